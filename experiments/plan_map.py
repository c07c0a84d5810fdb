"""The network with its safety stock: who supplies whom, and where how much is held.

Up to `LARGEST` locations each has a box, beyond that each tier has one. The area of a box's triangle grows with the
value of its safety stock. Stock flows from left to right; the style is that of the map of guaranteed service.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from itertools import pairwise
from typing import TYPE_CHECKING

from echelon.experiments.layering import Vertex, bends, heights, layers, neighbours_of, ordered
from echelon.experiments.network_map import arrow_head, customers
from echelon.experiments.plan_summary import PlanSummary, amount

if TYPE_CHECKING:
    import pandas as pd

LARGEST = 30
"""Locations beyond which tiers are drawn instead."""
BOX_X, BOX_Y = 168, 54
PITCH_X, BETWEEN, BEND = 236, 9, 7
"""From column to column, and the room above and below a box and a bend, in pixels."""
MARGIN, CUSTOMERS, LEVEL = 2, 40, 26
LARGEST_TRIANGLE, SMALLEST_TRIANGLE = 28.0, 6.0
LONGEST_NAME, LINE = 19, 15
SMALLEST = 0.8
"""To how much of its size a narrow screen may shrink the drawing before it scrolls."""

Point = tuple[float, float]


@dataclass(frozen=True)
class _Box:
    name: str
    facts: str
    stock: str
    triangle: float
    """Side in pixels, 0 without safety stock."""
    to_customers: bool


def is_by_location(summary: PlanSummary) -> bool:
    """Whether each location has a box of its own, and not each tier."""
    return summary.rows["location"].nunique() <= LARGEST


def stock_map(summary: PlanSummary, *, label: str) -> str:
    """The drawing as an SVG element."""
    column = "location" if is_by_location(summary) else "group"
    boxes = _boxes(summary, column)
    links = _links(summary.rows, column)
    layer = layers(list(boxes), [{"source": source, "target": target} for source, target in links])
    if layer is None:  # items that flow to and fro between two locations: no link is drawn
        links, layer = [], dict.fromkeys(boxes, 0)
    routes = [bends(source, target, number, layer) for number, (source, target) in enumerate(links, start=1)]
    columns = ordered(routes, layer)
    height = heights(columns, neighbours_of(routes), _room)
    first = min(columns)
    place = {
        vertex: ((depth - first) * PITCH_X + BOX_X / 2, height[vertex])
        for depth, of in columns.items()
        for vertex in of
    }
    feeding = {source for source, _ in links}
    body = [_link(route, place) for route in routes]
    body += [_box(box, place[name, 0], feeding=name in feeding) for name, box in boxes.items()]
    width = max(x for x, _ in place.values()) + BOX_X / 2 + CUSTOMERS + 2 * MARGIN
    tall = max(y + _room(vertex) for vertex, (_, y) in place.items()) + 2 * MARGIN
    return (
        f'<svg class="stage-map plan-map" role="img" aria-label="{escape(label)}" viewBox="{-MARGIN} {-MARGIN} '
        f'{width:.0f} {tall:.0f}" width="{width:.0f}" style="min-width:{SMALLEST * width:.0f}px">{"".join(body)}</svg>'
    )


def _room(vertex: Vertex) -> float:
    return BEND if vertex[1] else BOX_Y / 2 + BETWEEN


def _boxes(summary: PlanSummary, column: str) -> dict[str, _Box]:
    """A box for each location or tier, with the share of its safety stock in that of all."""
    value = summary.rows.groupby(column, sort=False)["value"].sum()
    whole, most = float(value.sum()) or 1.0, float(value.max()) or 1.0
    boxes = {}
    for name, rows in summary.rows.groupby(column, sort=False):
        held = float(value[name])
        demand = float((rows["demand_mean"] * rows["unit_value"]).sum())
        days = f"{amount(held / demand)} days" if demand > 0 and held > 0 else "no safety stock"
        of = str(rows["kind"].iloc[0]) if column == "location" else _counted(rows)
        side = max(LARGEST_TRIANGLE * math.sqrt(held / most), SMALLEST_TRIANGLE) if held > 0 else 0.0
        stock = f"{amount(held)} · {100 * held / whole:.0f} %" if held > 0 else ""
        boxes[str(name)] = _Box(str(name), f"{of} · {days}", stock, side, bool((rows["own_demand"] > 0).any()))
    return boxes


def _counted(rows: pd.DataFrame) -> str:
    count = rows["location"].nunique()
    return f"{count:,} location{'s' * (count != 1)}"


def _links(rows: pd.DataFrame, column: str) -> list[tuple[str, str]]:
    """Who supplies whom, each pair once, in the order of the rows."""
    of = dict(zip(zip(rows["item"], rows["location"], strict=True), rows[column], strict=True))
    pairs = (
        (of[item, supplier], target)
        for item, supplier, target in zip(rows["item"], rows["supplier"], rows[column], strict=True)
        if supplier
    )
    return [(source, target) for source, target in dict.fromkeys(pairs) if source != target]


def _link(route: Sequence[Vertex], place: Mapping[Vertex, Point]) -> str:
    path = ""
    for source, target in pairwise(route):
        (x0, y0), (x1, y1) = place[source], place[target]
        x0, x1 = x0 + (0 if source[1] else BOX_X / 2), x1 - (0 if target[1] else BOX_X / 2)
        start, end = x0 + (0 if source[1] else LEVEL / 2), x1 - (0 if target[1] else 10)
        middle = (start + end) / 2
        path += f"{'L' if path else 'M'}{x0:.1f} {y0:.1f}L{start:.1f} {y0:.1f}"
        path += f"C{middle:.1f} {y0:.1f} {middle:.1f} {y1:.1f} {end:.1f} {y1:.1f}L{x1:.1f} {y1:.1f}"
    return f'<path class="link" d="{path}"/>{arrow_head(x1, y1)}'


def _box(box: _Box, centre: Point, *, feeding: bool) -> str:
    x, y = centre
    left, right = x - BOX_X / 2, x + BOX_X / 2
    lines = [("name", box.name if len(box.name) <= LONGEST_NAME else f"{box.name[: LONGEST_NAME - 1]}…")]
    lines += [("time", box.facts), *([("units", box.stock)] if box.stock else [])]
    first = y + 4 - (len(lines) - 1) * LINE / 2
    text = "".join(
        f'<text class="{kind}" x="{left + 10:.1f}" y="{first + rank * LINE:.1f}">{escape(words)}</text>'
        for rank, (kind, words) in enumerate(lines)
    )
    outlet = customers(right, y + (BOX_Y / 2 - 8 if feeding else 0)) if box.to_customers else ""
    return (
        f'<g class="{"stock" if box.stock else "none"}"><title>{escape(box.name)}</title>'
        f'<rect x="{left:.1f}" y="{y - BOX_Y / 2:.1f}" width="{BOX_X}" height="{BOX_Y}" rx="5"/>'
        f"{text}{_triangle(right - 20, y, box.triangle)}{outlet}</g>"
    )


def _triangle(x: float, y: float, side: float) -> str:
    if not side:
        return ""
    tall = side * math.sqrt(3) / 2
    return f'<path class="triangle" d="M{x:.1f} {y - tall / 2:.1f}l{side / 2:.1f} {tall:.1f}h{-side:.1f}z"/>'
