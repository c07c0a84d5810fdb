"""The figures of a plan by simulation, one function each, and the words that go with them: half a page wide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle, groupby
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.cost_surface import CostSurface
from echelon.baselines.network_trials import SearchRecord
from echelon.baselines.service_frontier import FrontierPoint
from echelon.baselines.simulation_optimization import Estimate
from echelon.experiments.captions import Words
from echelon.experiments.minmax_words import with_interval
from echelon.experiments.palette import INK, MUTED, PAPER, POLICY_COLOURS
from echelon.experiments.plan_figures import half_page
from echelon.experiments.plots import DASHES

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Floats = NDArray[np.float64]

COST, WARN = POLICY_COLOURS[0], POLICY_COLOURS[1]
HEIGHT = 3.3
LINES = (0.04, 0.12, 0.25, 0.4, 0.55, 0.7, 0.85)
"""Contours run where so much of the table is cheaper: apart from one another, however skewed the costs are."""
ROOM = 0.12
"""Room above and below what is drawn, as a share of it."""
TANGENT = 0.012
"""How far to either side the price of the floors is drawn, in service."""


def draw_search(trace: Sequence[SearchRecord], cost: Estimate) -> Figure:
    """The best cost of every descent, and of every stage, against the node-periods that were simulated."""
    from matplotlib.ticker import FuncFormatter

    figure, axes = half_page(HEIGHT)
    axes.set_xscale("log")
    stages = _stages(trace)
    looks = dict(zip(dict.fromkeys(stage.name for stage in stages), cycle(POLICY_COLOURS), strict=False))
    for name, colour in looks.items():
        axes.plot([], [], color=colour, linewidth=2.0, label=name)
    for stage in stages:
        colour = looks[stage.name]
        axes.axvspan(stage.first, stage.end, color=colour, alpha=0.1, linewidth=0)
        for descent in stage.descents:
            axes.plot(*_path(descent), color=colour, linewidth=0.9, alpha=0.6)
        at, best = _path(stage.reached)
        least = np.minimum.accumulate(best)
        axes.step([*at, stage.end], [*least, least[-1]], where="post", color=colour, linewidth=2.0)
    axes.axhline(cost.mean, color=INK, linewidth=1.2, linestyle=DASHES, label="on fresh scenarios")
    axes.set_ylim(*_range(stages, cost.mean))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda count, _: _short_count(count)))
    axes.set_xlabel("node-periods simulated")
    axes.set_title("best cost so far (money per period)", loc="left", fontsize=8.5, color=MUTED)
    axes.grid(axis="y")
    figure.legend(loc="outside upper left", ncols=3)
    return figure


@dataclass(frozen=True)
class _Stage:
    """The records of a stage, from its first node-period to the first one of the next."""

    name: str
    records: Sequence[SearchRecord]
    end: int

    @property
    def first(self) -> int:
        return self.records[0].node_periods

    @property
    def reached(self) -> list[SearchRecord]:
        """The records at which the floors are met."""
        return [one for one in self.records if one.best is not None]

    @property
    def descents(self) -> list[list[SearchRecord]]:
        """The records from one start each: each begins where no best cost is known."""
        grouped = groupby(self.records, key=lambda one: one.best is not None)
        return [list(descent) for reached, descent in grouped if reached]


def _stages(trace: Sequence[SearchRecord]) -> list[_Stage]:
    """The stages that reached the floors."""
    grouped = [(name, list(records)) for name, records in groupby(trace, key=lambda one: one.stage)]
    ends = [records[0].node_periods for _, records in grouped[1:]] + [trace[-1].node_periods]
    stages = [_Stage(name, records, end) for (name, records), end in zip(grouped, ends, strict=True)]
    return [stage for stage in stages if stage.reached]


def _range(stages: Sequence[_Stage], cost: float) -> tuple[float, float]:
    """Of the costs that are drawn: down to the lowest, up to where the first descent began; others come from above."""
    reached = [best for stage in stages for best in _path(stage.reached)[1]]
    low, high = min([cost, *reached]), max([1.01 * cost, *reached[:1]])
    return low - ROOM * (high - low), high + ROOM * (high - low)


def _short_count(count: float) -> str:
    """A power of ten in words."""
    for size, name in ((1e9, "bn"), (1e6, "m"), (1e3, "k")):
        if count >= size:
            return f"{count / size:g} {name}"
    return f"{count:g}"


def _path(records: Sequence[SearchRecord]) -> tuple[list[int], list[float]]:
    return [one.node_periods for one in records], [one.best for one in records if one.best is not None]


def search_words(trace: Sequence[SearchRecord], cost: Estimate) -> Words:
    """How the search came to its result."""
    said = "; ".join(f"{stage.name}: {min(_path(stage.reached)[1]):.5g}" for stage in _stages(trace))
    return Words(
        "How the search went",
        "Least cost at the floors so far. Thin lines are descents from one start each, thick ones the best of a stage. "
        "Every stage has scenarios of its own, more of them than the one before, so that its costs differ a little; a "
        "stage of few scenarios can look cheaper than it is. Dashed: the cost of the result on fresh scenarios.",
        f"Best cost by stage: {said}. On fresh scenarios {with_interval(cost)}.",
    )


def draw_surface(surface: CostSurface, numbers: Floats, start: Floats) -> Figure:
    """Cost over the numbers [P] of one link, with the boundary of its floors; a curve where there is one number."""
    figure, axes = half_page(HEIGHT + 0.5 * (len(surface.axes) > 1))
    draw = _draw_map if len(surface.axes) > 1 else _draw_curve
    draw(axes, surface)
    for point, marker, size, label in ((start, "s", 6, "start"), (numbers, "*", 12, "result")):
        height = float(point[1]) if len(surface.axes) > 1 else _height(surface, float(point[0]))
        axes.plot(
            [float(point[0])], [height], marker, color=INK, markersize=size, label=label, ls="none", clip_on=False
        )
    axes.set_xlabel(f"{surface.names[0]} of {surface.place} (units)")
    figure.legend(loc="outside upper left", ncols=3)
    return figure


def _draw_map(axes: Axes, surface: CostSurface) -> None:
    first, last = surface.axes
    levels = sorted({float(f"{level:.4g}") for level in np.nanquantile(surface.cost, LINES)})
    cost = np.ma.masked_invalid(surface.cost.T)
    lines = axes.contour(first, last, cost, levels=levels, colors=COST, linewidths=1.1)
    axes.clabel(lines, fmt="%.4g", fontsize=7.5, inline_spacing=3)
    axes.plot([], [], color=COST, linewidth=1.1, label="cost")
    if surface.floors and np.nanmin(surface.slack) < 0:
        slack = np.ma.masked_invalid(surface.slack.T)
        axes.contourf(first, last, slack, levels=[-1.0, 0.0], colors=[WARN], alpha=0.14)
        axes.contour(first, last, slack, levels=[0.0], colors=WARN, linewidths=2.0)
        axes.plot([], [], color=WARN, linewidth=2.0, label="floor (below it: tinted)")
    axes.set_title(f"{surface.names[1]} of {surface.place} (units)", loc="left", fontsize=8.5, color=MUTED)
    axes.set_xlim(first[0], first[-1])
    axes.set_ylim(last[0], last[-1])


def _draw_curve(axes: Axes, surface: CostSurface) -> None:
    (levels,) = surface.axes
    axes.plot(levels, surface.cost, color=COST, linewidth=1.6, label="cost")
    missed = surface.slack < 0
    if missed.any() and not missed.all():
        boundary = float(np.interp(0.0, surface.slack, levels))
        axes.axvspan(levels[0], boundary, color=WARN, alpha=0.14, linewidth=0)
        axes.axvline(boundary, color=WARN, linewidth=2.0, label="floor (below it: tinted)")
    axes.set_title("cost of the network (money per period)", loc="left", fontsize=8.5, color=MUTED)
    axes.grid(axis="y")
    axes.margins(x=0.0)


def _height(surface: CostSurface, level: float) -> float:
    return float(np.interp(level, surface.axes[0], surface.cost))


def surface_words(surface: CostSurface, numbers: Floats, start: Floats) -> Words:
    """What one node's parameters do."""
    named = ", ".join(f"{name} {value:g}" for name, value in zip(surface.names, numbers, strict=True))
    began = ", ".join(f"{name} {value:g}" for name, value in zip(surface.names, start, strict=True))
    floors = "; ".join(map(str, surface.floors))
    said = f" Where it is tinted a floor is missed: {floors}." if floors else ""
    return Words(
        f"What the numbers of {surface.place} do",
        f"Cost of the whole network (money per period) while all other numbers stay as planned.{said} All points met "
        "the same scenarios.",
        f"Cost over {' and '.join(surface.names)} of {surface.place}, from {float(np.nanmin(surface.cost)):.5g} to "
        f"{float(np.nanmax(surface.cost)):.5g}. Start: {began}. Result: {named}.",
    )


def draw_frontier(points: Sequence[FrontierPoint], asked: FrontierPoint | None) -> Figure:
    """Least cost against the floor, with the slope that the prices of the floors give."""
    from matplotlib.ticker import FuncFormatter

    figure, axes = half_page(HEIGHT)
    every = sorted([*points, *([asked] if asked else [])], key=lambda point: point.level)
    axes.plot([100 * x.level for x in every], [x.optimum.cost.mean for x in every], color=COST, linewidth=1.4)
    for certified, fill, label in ((True, COST, "floors certified"), (False, PAPER, "not certified")):
        shown = [point for point in every if point.optimum.certified is certified]
        if shown:
            levels, costs = [100 * x.level for x in shown], [x.optimum.cost.mean for x in shown]
            widths = [x.optimum.cost.half_width for x in shown]
            bars = axes.errorbar(levels, costs, yerr=widths, fmt="o", color=COST, capsize=3, label=label)
            bars.lines[0].set(markerfacecolor=fill, markersize=6)
    if asked is not None:
        known = _price_of_all(asked)
        slope = np.nan if known is None else known  # not a number draws nothing
        around = np.array([-TANGENT, TANGENT])
        axes.plot(
            100 * (asked.level + around),
            asked.optimum.cost.mean + slope * 100 * around,
            color=WARN,
            linewidth=1.8,
            label="price of the floors",
        )
        axes.plot(
            [100 * asked.level], [asked.optimum.cost.mean], "*", color=INK, markersize=13, label="this plan", zorder=3
        )
    axes.xaxis.set_major_formatter(FuncFormatter(lambda level, _: f"{level:g}"))
    axes.set_xlabel("floor of the customers' service (%)")
    axes.set_title("least cost (money per period)", loc="left", fontsize=8.5, color=MUTED)
    axes.grid(axis="y")
    figure.legend(loc="outside upper left", ncols=2)
    return figure


def _price_of_all(point: FrontierPoint) -> float | None:
    """What a point more of service costs at all floors together, None where bounds do not allow it at one of them."""
    prices = [price.per_point for price in point.optimum.prices]
    return None if None in prices else sum(price for price in prices if price is not None)


def frontier_words(points: Sequence[FrontierPoint], asked: FrontierPoint | None) -> Words:
    """What service costs."""
    every = sorted([*points, *([asked] if asked else [])], key=lambda point: point.level)
    said = ", ".join(f"{100 * x.level:.4g} % for {with_interval(x.optimum.cost)}" for x in every)
    price = ""
    if asked is not None and (points_cost := _price_of_all(asked)) is not None:
        price = (
            f" The short line has the slope of the prices of the floors together: {points_cost:.3g} per point of "
            "service. It comes from the multipliers of this plan alone, not from the other points."
        )
    return Words(
        "What service costs",
        f"Every point is a search of its own, a short one that begins at its neighbour's result. Bars are 95 % "
        f"intervals of the cost; a hollow point misses a floor or is not shown to meet it.{price}",
        f"Least cost against the floor: {said}.",
    )
