"""The picture of a guaranteed-service network with its stock: who supplies whom, and which stages hold how much.

Stages stand in layers from left to right, customers at the right. A stage with safety stock is filled and
has a triangle whose area grows with what the stock costs; one without is hollow. Beyond `LARGEST` stages
the picture shows one box for each layer instead, with the stages in it whose stock costs most.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from html import escape
from importlib.resources import files
from itertools import pairwise
from pathlib import Path

from echelon.baselines.guaranteed_service import GuaranteedService
from echelon.envs.errors import ConfigError
from echelon.experiments.layering import Vertex, bends, heights, layers, neighbours_of, ordered
from echelon.experiments.network_map import arrow_head, customers

LARGEST = 60
"""Stages beyond which layers are drawn instead."""

BOX_X, HOLLOW_Y, FILLED_Y = 172, 38, 54
PITCH_X, WIDE_X = 276, 390
"""From layer to layer in pixels: where there are many links, curves need more room."""
MANY = 1.6
"""Links per stage from which there are many."""
BETWEEN, BEND = 8, 7
"""Room above and below a box, and a link that passes between boxes, in pixels."""
MARGIN, CUSTOMERS, HEADER, LEGEND = 24, 40, 84, 84
NARROWEST = 620
LEVEL = 36
"""Pixels that a link runs level at its start, under the service time."""
LARGEST_TRIANGLE, SMALLEST_TRIANGLE = 28.0, 8.0
LONGEST_NAME = 18
"""Letters that fit beside the triangle."""
LISTED = 5
"""How many stages of a layer are named where layers are drawn."""
LINE = 17
LAYER_X, LAYER_Y = 200, (LISTED + 6) * LINE

STAGES_LEGEND = (
    "safety stock: units, share of the cost; the triangle grows with the cost",
    "T: stage time. S: service time quoted to those supplied. Both in periods.",
)
LAYERS_LEGEND = (
    f"safety stock: share of the cost; the triangle grows with the cost; the {LISTED} dearest stages are named",
    "A box is a layer of the network: stages by their longest way to the customers.",
)

Point = tuple[float, float]
_Drawing = tuple[str, float, float]
"""Elements, and their width and height in pixels."""


@dataclass(frozen=True)
class _Item:
    """What the picture says of one stage."""

    name: str
    time: str
    service_time: int
    units: float
    cost: float
    share: float
    triangle: float
    """Side in pixels; 0 without stock."""
    to_customers: bool
    facts: str

    @property
    def half(self) -> float:
        """Half the height of the box."""
        return (FILLED_Y if self.units > 0 else HOLLOW_Y) / 2


def stage_map(solution: GuaranteedService) -> str:
    """The picture as an SVG element, which can stand in a page or be a file; light and dark as the reader has it."""
    items = _items(solution)
    links = [
        {"source": supplier, "target": stage.name} for stage in solution.network.stages for supplier in stage.suppliers
    ]
    layer = layers([item.name for item in items], links)
    assert layer is not None, "a network of stages has no cycle"
    if len(items) > LARGEST:
        return _framed(solution, _layer_boxes(items, layer), LAYERS_LEGEND)
    drawing = _stage_boxes(items, layer, [(link["source"], link["target"]) for link in links])
    return _framed(solution, drawing, STAGES_LEGEND)


def write_stage_map(solution: GuaranteedService, path: str | Path) -> None:
    """Write the picture to a file, whose name must end in .svg. Raises `ConfigError`."""
    if Path(path).suffix.lower() != ".svg":
        raise ConfigError([f"the name of a picture must end in .svg (got {path})"])
    Path(path).write_text(f'<?xml version="1.0" encoding="UTF-8"?>\n{stage_map(solution)}\n', encoding="utf-8")


def _items(solution: GuaranteedService) -> list[_Item]:
    dearest = float(solution.stage_cost.max()) or 1.0
    items = []
    for j, stage in enumerate(solution.network.stages):
        units, cost = float(solution.safety_stock[j]), float(solution.stage_cost[j])
        time = f"{'T = ' if len(stage.times) == 1 else 'T random, mean '}{stage.mean_time:.3g}"
        side = max(LARGEST_TRIANGLE * math.sqrt(cost / dearest), SMALLEST_TRIANGLE) if units > 0 else 0.0
        facts = (
            f"{stage.name}: stage time {stage.mean_time:g}, service time in {solution.inbound[j]}, "
            f"out {solution.outbound[j]}, net replenishment time {solution.net_replenishment_time[j]:g}; "
            f"safety stock {_figure(units)}, base stock {_figure(float(solution.base_stock[j]))}, "
            f"pipeline stock {_figure(float(solution.pipeline_stock[j]))}; cost {_figure(cost)} per period"
        )
        share = cost / (solution.cost or 1.0)
        items.append(
            _Item(stage.name, time, int(solution.outbound[j]), units, cost, share, side, stage.has_customers, facts)
        )
    return items


def _stage_boxes(items: Sequence[_Item], layer: Mapping[str, int], links: Sequence[tuple[str, str]]) -> _Drawing:
    """The network, its width and its height."""
    known = {item.name: item for item in items}
    routes = [bends(source, target, number, layer) for number, (source, target) in enumerate(links, start=1)]
    columns = ordered(routes, layer)

    def room(vertex: Vertex) -> float:
        return BEND if vertex[1] else known[vertex[0]].half + BETWEEN

    height = heights(columns, neighbours_of(routes), room)
    left, pitch = min(columns), WIDE_X if len(links) > MANY * len(items) else PITCH_X
    place = {
        vertex: ((depth - left) * pitch + BOX_X / 2, height[vertex])
        for depth, column in columns.items()
        for vertex in column
    }
    feeding = {source for source, _ in links}
    body = [_link(route, place) for route in routes]
    body += [_stage(item, place[item.name, 0], feeding=item.name in feeding) for item in items]
    bottom = max(height[vertex] + room(vertex) for vertex in height)
    return "".join(body), max(x for x, _ in place.values()) + BOX_X / 2 + CUSTOMERS, bottom


def _link(route: Sequence[Vertex], place: Mapping[Vertex, Point]) -> str:
    path = ""
    for source, target in pairwise(route):
        (x0, y0), (x1, y1) = place[source], place[target]
        x0, x1 = x0 + (0 if source[1] else BOX_X / 2), x1 - (0 if target[1] else BOX_X / 2)
        start, end = x0 + (0 if source[1] else LEVEL), x1 - (0 if target[1] else 10)
        middle = (start + end) / 2
        path += f"{'L' if path else 'M'}{x0:.1f} {y0:.1f}L{start:.1f} {y0:.1f}"
        path += f"C{middle:.1f} {y0:.1f} {middle:.1f} {y1:.1f} {end:.1f} {y1:.1f}L{x1:.1f} {y1:.1f}"
    return f'<path class="link" d="{path}"/>{arrow_head(x1, y1)}'


def _stage(item: _Item, centre: Point, *, feeding: bool) -> str:
    x, y = centre
    left, right = x - BOX_X / 2, x + BOX_X / 2
    stock = item.units > 0
    lines = [("name", _short(item.name, LONGEST_NAME + (0 if stock else 4))), ("time", item.time)]
    lines += [("units", f"{_rounded(item.units)} units, {_percent(item.share)}")] if stock else []
    text = "".join(
        _text(kind, left + 10, y + 4 + (rank - (len(lines) - 1) / 2) * 15, words)
        for rank, (kind, words) in enumerate(lines)
    )
    outlet = customers(right, y + (item.half - 8 if feeding else 0)) if item.to_customers else ""
    quote = _text("quote", right + 5, y - 6 if feeding or not outlet else y - 13, f"S = {item.service_time}")
    return (
        f'<g class="{"stock" if stock else "none"}"><title>{escape(item.facts)}</title>'
        f'<rect x="{left:.1f}" y="{y - item.half:.1f}" width="{BOX_X}" height="{2 * item.half:.0f}" rx="5"/>'
        f"{text}{_triangle(right - 22, y, item.triangle)}{outlet}{quote}</g>"
    )


def _layer_boxes(items: Sequence[_Item], layer: Mapping[str, int]) -> _Drawing:
    """One box for each layer, their width and their height."""
    depths = sorted(set(layer.values()))
    members = [[item for item in items if layer[item.name] == depth] for depth in depths]
    dearest = max(sum(item.cost for item in here) for here in members) or 1.0
    body = []
    for rank, here in enumerate(members):
        left, middle = rank * PITCH_X, LAYER_Y / 2
        body.append(_layer(here, left, LARGEST_TRIANGLE * math.sqrt(sum(item.cost for item in here) / dearest)))
        end = left + PITCH_X
        arrow = f'<path class="link" d="M{left + LAYER_X} {middle}H{end}"/>{arrow_head(end, middle)}'
        body.append(customers(left + LAYER_X, middle) if here is members[-1] else arrow)
    return "".join(body), (len(depths) - 1) * PITCH_X + LAYER_X + CUSTOMERS, LAYER_Y


def _layer(here: Sequence[_Item], left: float, triangle: float) -> str:
    """The box of one layer, with the stages whose safety stock costs most."""
    holding = sorted((item for item in here if item.units > 0), key=lambda item: -item.cost)
    right, listed = left + LAYER_X - 10, holding[:LISTED]
    share = sum(item.share for item in here)
    text = _text("name", left + 10, 20, f"{len(here):,} stage{'s' * (len(here) > 1)}")
    text += _text("time", left + 10, 20 + LINE, f"{f'{len(holding):,}' if holding else 'none'} with safety stock")
    text += _text("units", left + 10, 20 + 2 * LINE, _percent(share)) if holding else ""
    for rank, item in enumerate(listed):
        y = 34 + (rank + 3) * LINE
        text += f"<g><title>{escape(item.facts)}</title>{_text('time', left + 10, y, _short(item.name))}"
        text += f"{_text('time end', right, y, _percent(item.share))}</g>"
    if len(holding) > LISTED:
        text += _text("time", left + 10, 34 + (LISTED + 3) * LINE, f"and {len(holding) - LISTED:,} more")
    return (
        f'<g class="{"stock" if holding else "none"}"><rect x="{left}" width="{LAYER_X}" height="{LAYER_Y}" rx="5"/>'
        f"{text}{_triangle(right - 12, 30, max(triangle, SMALLEST_TRIANGLE) if holding else 0)}</g>"
    )


def _framed(solution: GuaranteedService, drawing: _Drawing, legend: Sequence[str]) -> str:
    """The drawing with its title, legend, background and style."""
    network = solution.network
    body, width, height = drawing
    says = (
        f"Safety stock costs {_figure(solution.cost)} per period, "
        f"at {len(solution.placement):,} of {len(network.stages):,} stages."
    )
    full_x, full_y = max(width + 2 * MARGIN, NARROWEST), height + HEADER + LEGEND
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="stage-map" role="img" '
        f'aria-label="{escape(f"{network.name}. {says}")}" viewBox="0 0 {full_x:.0f} {full_y:.0f}" '
        f'width="{full_x:.0f}" height="{full_y:.0f}"><style>{_style()}</style>'
        f'<rect class="paper" width="100%" height="100%"/>'
        f"{_text('title', MARGIN, 34, network.name)}{_text('says', MARGIN, 55, says)}"
        f'<g transform="translate({(full_x - width) / 2:.1f} {HEADER})">{body}</g>'
        f'<g transform="translate({MARGIN} {full_y - LEGEND + 30:.0f})">{_legend(legend)}</g></svg>'
    )


def _legend(words: Sequence[str]) -> str:
    return (
        f'<g class="stock"><rect y="-11" width="30" height="15" rx="3"/>{_triangle(15, -4, 11)}</g>'
        f"{_text('legend', 40, 0, words[0])}"
        f'<g class="none"><rect y="9" width="30" height="15" rx="3"/></g>'
        f"{_text('legend', 40, 20, 'none')}{_text('legend', 0, 40, words[1])}"
    )


def _triangle(x: float, y: float, side: float) -> str:
    if not side:
        return ""
    tall = side * math.sqrt(3) / 2
    return f'<path class="triangle" d="M{x:.1f} {y - tall / 2:.1f}l{side / 2:.1f} {tall:.1f}h{-side:.1f}z"/>'


def _text(kind: str, x: float, y: float, words: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}">{escape(words)}</text>'


def _short(name: str, longest: int = LONGEST_NAME) -> str:
    return name if len(name) <= longest else f"{name[: longest - 1]}…"


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"


def _rounded(value: float) -> str:
    """As `_figure`, with thousands and millions where room is short."""
    if value < 1e4:
        return _figure(value)
    return f"{value / 1e3:.3g} k" if value < 999.5e3 else f"{value / 1e6:.4g} M"


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %" if share < 0.1 else f"{100 * share:.0f} %"


@cache
def _style() -> str:
    return files("echelon.experiments").joinpath("stage_map.css").read_text(encoding="utf-8")
