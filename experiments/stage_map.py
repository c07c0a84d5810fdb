"""The picture of a guaranteed-service network with its stock: who supplies whom, and which stages hold how much.

Stages stand in layers from left to right, customers at the right. A stage with safety stock is filled and
has a triangle whose area grows with what the stock costs; one without is hollow. Beyond `LARGEST` stages
the picture shows one box for each layer instead, with the stages in it whose stock costs most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

from echelon.baselines.guaranteed_service import GuaranteedService
from echelon.envs.errors import ConfigError
from echelon.experiments.layering import Vertex, bends, heights, layers, neighbours_of, ordered
from echelon.experiments.network_map import CUSTOMERS, arrow_head, customers
from echelon.experiments.page import style_sheet, write_page
from echelon.experiments.stage_layers import LISTED, layer_boxes
from echelon.experiments.stage_marks import (
    BOX_X,
    LONGEST_NAME,
    PITCH_X,
    Drawing,
    Item,
    escaped,
    figure,
    items_of,
    percent,
    rounded,
    short,
    text,
    triangle,
)

LARGEST = 60
"""Stages beyond which layers are drawn instead."""
WIDE_X = 390
"""From layer to layer in pixels where there are many links, as curves need more room."""
MANY = 1.6
"""Links per stage from which there are many."""
BETWEEN, BEND = 8, 7
"""Room above and below a box, and a link that passes between boxes, in pixels."""
MARGIN, HEADER, LEGEND = 24, 84, 84
NARROWEST = 620
LEVEL = 36
"""Pixels that a link runs level at its start, under the service time."""

STAGES_LEGEND = (
    "safety stock: units, share of the cost; the triangle grows with the cost",
    "T: stage time. S: service time quoted to those supplied. Both in periods.",
)
LAYERS_LEGEND = (
    f"safety stock: share of the cost; the triangle grows with the cost; the {LISTED} dearest stages are named",
    "A box is a layer of the network: stages by their longest way to the customers.",
)

Point = tuple[float, float]


def stage_map(solution: GuaranteedService) -> str:
    """The picture as an SVG element, which can stand in a page or be a file; light and dark as the reader has it."""
    items = items_of(solution)
    links = [
        {"source": supplier, "target": stage.name} for stage in solution.network.stages for supplier in stage.suppliers
    ]
    layer = layers([item.name for item in items], links)
    assert layer is not None, "a network of stages has no cycle"
    if len(items) > LARGEST:
        return _framed(solution, layer_boxes(items, layer), LAYERS_LEGEND)
    drawing = _stage_boxes(items, layer, [(link["source"], link["target"]) for link in links])
    return _framed(solution, drawing, STAGES_LEGEND)


def write_stage_map(solution: GuaranteedService, path: str | Path) -> None:
    """Write the picture to a file in one step, whose name must end in .svg. Raises `ConfigError`."""
    if Path(path).suffix.lower() != ".svg":
        raise ConfigError([f"the name of a picture must end in .svg (got {path})"])
    picture = f'<?xml version="1.0" encoding="UTF-8"?>\n{stage_map(solution)}\n'
    try:
        write_page(picture, Path(path))
    except OSError as error:
        raise ConfigError([f"{path}: the picture cannot be written: {error.strerror}"]) from None


def _stage_boxes(items: Sequence[Item], layer: Mapping[str, int], links: Sequence[tuple[str, str]]) -> Drawing:
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


def _stage(item: Item, centre: Point, *, feeding: bool) -> str:
    x, y = centre
    left, right = x - BOX_X / 2, x + BOX_X / 2
    stock = item.units > 0
    lines = [("name", short(item.name, LONGEST_NAME + (0 if stock else 4))), ("time", item.time)]
    lines += [("units", f"{rounded(item.units)} units, {percent(item.share)}")] if stock else []
    said = "".join(
        text(kind, left + 10, y + 4 + (rank - (len(lines) - 1) / 2) * 15, words)
        for rank, (kind, words) in enumerate(lines)
    )
    outlet = customers(right, y + (item.half - 8 if feeding else 0)) if item.to_customers else ""
    quote = text("quote", right + 5, y - 6 if feeding or not outlet else y - 13, f"S = {item.service_time}")
    return (
        f'<g class="{"stock" if stock else "none"}"><title>{escaped(item.facts)}</title>'
        f'<rect x="{left:.1f}" y="{y - item.half:.1f}" width="{BOX_X}" height="{2 * item.half:.0f}" rx="5"/>'
        f"{said}{triangle(right - 22, y, item.triangle)}{outlet}{quote}</g>"
    )


def _framed(solution: GuaranteedService, drawing: Drawing, legend: Sequence[str]) -> str:
    """The drawing with its title, legend, background and style."""
    network = solution.network
    body, width, height = drawing
    style = style_sheet("stage_map.css")
    placed = f"{len(solution.placement):,} of {len(network.stages):,} stages"
    says = f"Safety stock costs {figure(solution.cost)}, at {placed}."
    full_x, full_y = max(width + 2 * MARGIN, NARROWEST), height + HEADER + LEGEND
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" class="stage-map" role="img" '
        f'aria-label="{escaped(f"{network.name}. {says}")}" viewBox="0 0 {full_x:.0f} {full_y:.0f}" '
        f'width="{full_x:.0f}" height="{full_y:.0f}"><style>{style}</style>'
        f'<rect class="paper" width="100%" height="100%"/>'
        f"{text('title', MARGIN, 34, network.name)}{text('says', MARGIN, 55, says)}"
        f'<g transform="translate({(full_x - width) / 2:.1f} {HEADER})">{body}</g>'
        f'<g transform="translate({MARGIN} {full_y - LEGEND + 30:.0f})">{_legend(legend)}</g></svg>'
    )


def _legend(words: Sequence[str]) -> str:
    return (
        f'<g class="stock"><rect y="-11" width="30" height="15" rx="3"/>{triangle(15, -4, 11)}</g>'
        f"{text('legend', 40, 0, words[0])}"
        f'<g class="none"><rect y="9" width="30" height="15" rx="3"/></g>'
        f"{text('legend', 40, 20, 'none')}{text('legend', 0, 40, words[1])}"
    )
