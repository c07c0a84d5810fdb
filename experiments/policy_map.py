"""The figures of a policy as a function: what it orders in which state.

Two views. By inventory position all policies share one frame for every link; for one location, a map for every policy
shows the order by what is in stock and what is on order. Both average over the states that a policy meets, and over
all that the policy may look at beside them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from echelon.experiments.canvas import WIDTH, Looks, short
from echelon.experiments.frames import on_scale
from echelon.experiments.observe import PLANE
from echelon.experiments.observed import OrderMap
from echelon.experiments.palette import INK, MUTED
from echelon.experiments.run_folder import PolicyResult, Result

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

HEIGHT, PLANE_HEIGHT = 1.75, 1.9
"""Inches for one link, and for a row of maps."""
MOST_POLICIES = 6
MOST_LINKS = 4
RARE = 0.005
"""Share of the visits at each end of the positions that is left out."""

Floats = NDArray[np.float64]
Drawn = tuple[PolicyResult, OrderMap]


def by_position(result: Result) -> dict[str, list[Drawn]]:
    """The maps by position that are drawn, by link: of more than a few, the most upstream and most downstream."""
    found = _maps(result, planes=False)
    names, half = list(found), MOST_LINKS // 2
    return found if len(names) <= MOST_LINKS else {name: found[name] for name in names[:half] + names[-half:]}


def planes(result: Result) -> dict[str, list[Drawn]]:
    """The maps by stock and what is on order, by link."""
    return _maps(result, planes=True)


def _maps(result: Result, *, planes: bool) -> dict[str, list[Drawn]]:
    """A policy off the scale of cost is far off that of positions too, and left out."""
    found: dict[str, list[Drawn]] = {}
    for policy in on_scale(result)[:MOST_POLICIES]:
        for order_map in policy.maps:
            if (order_map.view == PLANE) is planes:
                found.setdefault(order_map.link, []).append((policy, order_map))
    return found


def usual(order_map: OrderMap) -> OrderMap:
    """The map without the rare positions at both ends."""
    cells = sorted(order_map.cells, key=lambda cell: cell.x)
    seen = accumulate(cell.visits for cell in cells)
    kept = [
        cell
        for cell, upto in zip(cells, seen, strict=True)
        if upto > RARE * order_map.visits and upto - cell.visits < (1 - RARE) * order_map.visits
    ]
    return OrderMap(order_map.link, order_map.view, order_map.widths, tuple(kept))


def draw_orders(result: Result, policy_looks: Looks) -> Figure:
    """One panel for every link: mean and usual orders of every policy by inventory position."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    maps = by_position(result)
    names = dict.fromkeys(policy.name for drawn in maps.values() for policy, _ in drawn)
    figure = Figure(figsize=(WIDTH, 0.8 + 0.2 * ((len(names) + 1) // 2) + HEIGHT * len(maps)), layout="constrained")
    panels = figure.subplots(len(maps), 1, squeeze=False)[:, 0]
    for axes, (link, drawn) in zip(panels, maps.items(), strict=True):
        for rank, (policy, order_map) in enumerate(drawn):
            _line(axes, policy, usual(order_map), policy_looks, width=1.2 + 0.8 * (len(drawn) - 1 - rank))
        axes.set_title(f"order on {link} (units)", loc="left", fontsize=9, color=INK)
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))
        axes.yaxis.set_major_locator(MaxNLocator(4, integer=True))
        axes.grid(axis="y")
    panels[-1].set_xlabel(f"{next(iter(maps.values()))[0][1].view} at the review (units)")
    handles, labels = panels[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside upper left", ncols=2, columnspacing=1.2)
    return figure


def _line(axes: Axes, policy: PolicyResult, order_map: OrderMap, policy_looks: Looks, *, width: float) -> None:
    """The mean as a line, wider for better policies so that none hides another; markers grow with the visits."""
    look, cells = policy_looks[policy.name], order_map.cells
    x, order = [cell.x for cell in cells], [cell.order for cell in cells]
    low, high = [cell.low for cell in cells], [cell.high for cell in cells]
    share = np.asarray([cell.visits for cell in cells]) / max(cell.visits for cell in cells)
    axes.fill_between(x, low, high, color=look.colour, alpha=0.13, linewidth=0)
    axes.plot(x, order, color=look.colour, linewidth=width, alpha=0.85)
    axes.scatter(x, order, s=3 + 22 * share, marker=look.marker, color=look.colour, linewidth=0)
    axes.plot([], [], look.marker, linestyle="-", color=look.colour, markersize=5, label=short(policy.name))


def draw_plane(drawn: Sequence[Drawn]) -> Figure:
    """One map for every policy: its mean order on one link by stock and what is on order."""
    from matplotlib import colormaps
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure

    lines = (len(drawn) + 1) // 2
    figure = Figure(figsize=(WIDTH, 1.0 + PLANE_HEIGHT * lines), dpi=150, layout="constrained")
    columns = 2 if len(drawn) > 1 else 1
    panels = figure.subplots(lines, columns, sharex=True, sharey=True, squeeze=False)
    seen_on_any_page = ListedColormap(colormaps["viridis_r"](np.linspace(0.04, 0.82, 128)))
    most = max(cell.order for _, order_map in drawn for cell in order_map.cells)
    for axes, (policy, order_map) in zip(panels.flat, drawn, strict=False):
        x, y, orders = grid(order_map)
        mesh = axes.pcolormesh(x, y, orders, cmap=seen_on_any_page, vmin=0.0, vmax=max(most, 1e-9), rasterized=True)
        axes.set_title(short(policy.name), loc="left", fontsize=9, color=INK)
        axes.grid(linewidth=0.5)
        axes.set_axisbelow(True)
    for axes in list(panels.flat)[len(drawn) :]:
        axes.set_visible(False)
        panels[-2, -1].tick_params(labelbottom=True)
    figure.supxlabel("stock less backorders at the review (units)", fontsize=9, color=MUTED)
    figure.supylabel("on order (units)", fontsize=9, color=MUTED)
    bar = figure.colorbar(mesh, ax=panels, location="top", aspect=45, pad=0.02)
    bar.set_label(f"mean order on {short(drawn[0][1].link)} (units)", color=MUTED, loc="left")
    bar.outline.set_visible(False)
    return figure


def grid(order_map: OrderMap) -> tuple[Floats, Floats, Floats]:
    """A map as edges of columns and rows, and mean orders [rows, columns], NaN where no visit was."""
    x_width, y_width = order_map.widths
    assert y_width is not None
    x, y = (np.asarray(values) for values in zip(*_coordinates(order_map), strict=True))
    columns, lines = (np.rint((v - v.min()) / w).astype(int) for v, w in ((x, x_width), (y, y_width)))
    orders = np.full((lines.max() + 1, columns.max() + 1), np.nan)
    orders[lines, columns] = [cell.order for cell in order_map.cells]
    return _edges(x, x_width), _edges(y, y_width), orders


def _edges(values: Floats, width: float) -> Floats:
    """The sides of equal bins around the values."""
    return np.arange(values.min() - width / 2, values.max() + width, width)


def _coordinates(order_map: OrderMap) -> Iterator[tuple[float, float]]:
    for cell in order_map.cells:
        assert cell.y is not None
        yield cell.x, cell.y
