"""What the what-if page draws, from the numbers of `web_what_if_models` alone."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from echelon.experiments.findings import plain
from echelon.experiments.palette import COST_COLOURS, INK, MUTED, POLICY_COLOURS
from echelon.experiments.stage_map import stage_map
from echelon.experiments.web_charts import Axis, Line, Mark, Options, bar_chart, column_chart, line_chart
from echelon.experiments.web_what_if_models import CHAIN, Chain, Placement, Point, Single

BLUE, ORANGE = POLICY_COLOURS[:2]
BEGAN, NOW = "where you began", "now"


@dataclass(frozen=True)
class Shown:
    """All that changes when a slider moves."""

    tiles: str
    left_heading: str
    left: Options
    right_heading: str
    right: Options
    extra: str = ""


def of_single(now: Single, start: Single) -> Shown:
    """A location: the frontier, and cost against the base-stock level."""
    tiles = _tiles(
        [
            ("Base-stock level", plain(now.level, 1), "units, the best"),
            ("Cost a week", plain(now.cost, 2), f"began at {plain(start.cost, 2)}"),
            ("Cycle service", f"{100 * now.cycle_service:.1f} %", "of weeks end without a shortage"),
            ("Fill rate", f"{100 * now.fill_rate:.1f} %", "of demand is met at once"),
        ]
    )
    least = min(60, math.floor(now.point[0] / 10) * 10)
    frontier = [[point for point in single.frontier if point[0] >= least] for single in (now, start)]
    left = _frontier(*frontier, point=now.point, x=Axis("fill rate (%)", least, 100), y="cost of stock a week")
    lines = [
        Line("stock", [(level, stock) for level, stock, _ in now.by_level], COST_COLOURS["holding"]),
        Line("shortage", [(level, short) for level, _, short in now.by_level], COST_COLOURS["stockout"]),
        Line("both", [(level, stock + short) for level, stock, short in now.by_level], INK, wide=True),
        Line(BEGAN, [(level, stock + short) for level, stock, short in start.by_level], MUTED, dashed=True),
    ]
    right = line_chart(
        lines,
        x=Axis("base-stock level (units)"),
        y=Axis("cost a week", 0, _ceiling(3 * max(now.cost, start.cost))),
        says=f"Cost a week by base-stock level; least, {now.cost:.2f}, at {now.level:.1f} units.",
        marks=[Mark("the best level", (now.level, now.cost), ORANGE)],
    )
    return Shown(tiles, "What service costs", left, "Why this level is the best", right)


def of_chain(now: Chain, start: Chain) -> Shown:
    """A chain: the frontier, and where the stock stands."""
    tiles = _tiles(
        [
            (
                "Echelon levels",
                " · ".join(plain(level, 0) for level in now.echelon_levels),
                "supplier, warehouse, shop",
            ),
            ("Stock costs", plain(now.holding, 2), f"a week; began at {plain(start.holding, 2)}"),
            ("Customers owed", plain(now.backorders, 2), "units, on average"),
            ("A unit waits", plain(now.wait, 2), "days, on average"),
        ]
    )
    left = _frontier(
        now.frontier,
        start.frontier,
        point=(now.wait, now.holding),
        x=Axis("mean wait (days)", 0),
        y="cost of stock a week",
    )
    bars = {NOW: now.on_hand, BEGAN: start.on_hand}
    says = "Mean stock on hand: " + ", ".join(f"{n} {x:.1f}" for n, x in zip(CHAIN, now.on_hand, strict=True)) + "."
    right = column_chart(bars, CHAIN, value=Axis("units", 0), colours=(BLUE, MUTED), says=says)
    return Shown(tiles, "What service costs", left, "Where the stock stands", right)


def of_placement(now: Placement, start: Placement) -> Shown:
    """A network: the frontier, where the safety stock is, and its map."""
    solution = now.solution
    held = ", ".join(solution.placement) or "nowhere"
    tiles = _tiles(
        [
            ("Safety stock costs", plain(solution.cost, 1), f"a day; began at {plain(start.solution.cost, 1)}"),
            ("Held at", f"{len(solution.placement)} of {len(solution.network.stages)}", held),
        ]
    )
    level = 100 * next(stage.service_level or 0.0 for stage in solution.network.stages if stage.has_customers)
    left = _frontier(
        now.frontier, start.frontier, point=(level, solution.cost), x=Axis("service level (%)", 80, 100), y="cost a day"
    )
    names = [stage.name for stage in solution.network.stages]
    bars = {NOW: _costs(now), BEGAN: _costs(start)}
    says = "Cost of safety stock: " + ", ".join(f"{n} {x:.1f}" for n, x in zip(names, bars[NOW], strict=True)) + "."
    right = bar_chart(bars, names, value=Axis("cost a day", 0), colours=(BLUE, MUTED), says=says, stacked=False)
    drawn = f'<div class="map" tabindex="0" role="region" aria-label="Map of the network">{stage_map(solution)}</div>'
    return Shown(tiles, "What service costs", left, "Where safety stock is held", right, drawn)


def _costs(found: Placement) -> list[float]:
    return [float(cost) for cost in found.solution.stage_cost]


def _frontier(now: Sequence[Point], start: Sequence[Point], *, point: Point, x: Axis, y: str) -> Options:
    lines = [Line(BEGAN, start, MUTED, dashed=True), Line(NOW, now, BLUE, wide=True)]
    says = f"{y.capitalize()} against {x.name}; the best for these costs is {point[1]:.2f} at {point[0]:.2f}."
    return line_chart(lines, x=x, y=Axis(y, 0), says=says, marks=[Mark("you are here", point, ORANGE)])


def _ceiling(value: float) -> float:
    """A round number above the value."""
    size = 10.0 ** (len(str(int(value))) - 1)
    return (value // size + 1) * size


def _tiles(tiles: Sequence[tuple[str, str, str]]) -> str:
    cells = "".join(
        f"<div><dt>{name}</dt><dd><b>{value}</b><small>{note}</small></dd></div>" for name, value, note in tiles
    )
    return f'<dl class="tiles">{cells}</dl>'
