"""A supply network as an inline SVG drawing: stock flows from left to right, customers stand at the right."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from typing import Any

from echelon.experiments.layering import Vertex, bends, layers, ordered

LARGEST = 30
"""Nodes beyond which a drawing is a tangle."""

PITCH_X, PITCH_Y = 156, 52
BOX_X, BOX_Y = 98, 36
MARGIN, CUSTOMERS = 8, 40
"""Room around the drawing and right of the last layer, in pixels."""
SOURCE = 11
"""Radius of an outside source, in pixels."""
EARLY, LATE = (0.0, 0.5), (0.5, 1.0)
"""Where a link bends that is the only one into its target, or else the only one out of its source."""
LONGEST_NAME = 14
SMALLEST = 0.85
"""To how much of its size a narrow screen may shrink the drawing before it scrolls."""

BAR_Y, BAR_X = 11, 44
"""Height of the row of a bar below a node's name, and length of the longest bar, in pixels."""

Point = tuple[float, float]


@dataclass(frozen=True)
class Bar:
    """An amount at a node, as a bar in its box."""

    colour: str
    """As CSS has it."""
    share: float
    """Of the longest bar of the map."""
    text: str


@dataclass(frozen=True)
class _Route:
    """A link's way through the layers, from its source to its target."""

    vertices: tuple[Vertex, ...]
    lead_time: str
    shift: float
    """Pixels by which it is moved down, to be seen beside other links of the same two nodes."""
    bend: tuple[float, float]
    """Between which fractions of a layer's gap it changes height; the label stands on what is level, or in the bend."""


def network_map(
    network: Mapping[str, Any],
    *,
    label: str,
    notes: Mapping[str, str] | None = None,
    bars: Mapping[str, Sequence[Bar]] | None = None,
) -> str | None:
    """The drawing as an SVG element, or None if the network has more than `LARGEST` nodes or a cycle.

    `notes` stand below the names of nodes, in place of their holding costs, and `bars` below these.
    """
    nodes, links = network["nodes"], network["links"]
    layer = layers([node["name"] for node in nodes], links) if len(nodes) <= LARGEST else None
    if not layer:
        return None
    routes = _routes(links, layer)
    columns = ordered([route.vertices for route in routes], layer)
    tallest = max(len(column) for column in columns.values())
    room = BAR_Y * max(map(len, bars.values()), default=0) if bars else 0
    place = _places(columns, tallest, pitch=PITCH_Y + room)
    width = max(x for x, _ in place.values()) + BOX_X / 2 + CUSTOMERS
    body = [_link(route, place) for route in routes]
    for node in nodes:
        note = f"h = {node['holding_cost']:g}" if notes is None else notes.get(node["name"], "")
        shown = (bars or {}).get(node["name"], ())
        body.append(_node(node, place[node["name"], 0], note=note, bars=shown, room=room))
    body += [_source(route, place) for route in routes if _is_outside(route)]
    body += [_lead_time(route, place) for route in routes]
    height = tallest * (PITCH_Y + room)
    return (
        f'<svg class="network" role="img" aria-label="{escape(label)}" viewBox="0 0 {width:.0f} {height}" '
        f'width="{width:.0f}" style="min-width:{SMALLEST * width:.0f}px">{"".join(body)}</svg>'
    )


def _routes(links: Sequence[Mapping[str, Any]], layer: Mapping[str, int]) -> list[_Route]:
    routes = []
    ends = [(link["source"], link["target"]) for link in links]
    for number, (source, target) in enumerate(ends, start=1):
        if source in layer:
            vertices = bends(source, target, number, layer)
            shift = 20.0 * (ends[:number].count((source, target)) - (ends.count((source, target)) + 1) / 2)
        else:
            vertices, shift = (("", number), (target, 0)), 0.0
        only_in = [end for _, end in ends].count(target) == 1
        only_out = source not in layer or [start for start, _ in ends].count(source) == 1
        bend = EARLY if only_in else LATE if only_out else (0.0, 1.0)
        routes.append(_Route(vertices, str(links[number - 1].get("lead_time", "")), shift, bend))
    return routes


def _places(columns: Mapping[int, Sequence[Vertex]], tallest: int, *, pitch: float) -> dict[Vertex, Point]:
    """The centre of every vertex in pixels; a short column is spread over the height of the tallest.

    Outside sources stand at the right of their column, close to what they feed.
    """
    places = {}
    for depth, column in columns.items():
        step = tallest * pitch / len(column)
        for rank, vertex in enumerate(column):
            aside = BOX_X / 2 - SOURCE if vertex[0] == "" else 0.0
            places[vertex] = (depth * PITCH_X + aside, (rank + 0.5) * step)
    leftmost = min(x - (SOURCE if name == "" else BOX_X / 2) for (name, _), (x, _) in places.items()) - MARGIN
    return {vertex: (x - leftmost, y) for vertex, (x, y) in places.items()}


def _is_outside(route: _Route) -> bool:
    return route.vertices[0][0] == ""


def _segments(route: _Route, place: Mapping[Vertex, Point]) -> list[tuple[Point, Point]]:
    """The straight ends that the curves of a link run between; the head of the arrow stays clear of the box."""
    points = [(place[vertex][0], place[vertex][1] + route.shift) for vertex in route.vertices]
    half = [0.0 if number and name else BOX_X / 2 for name, number in route.vertices]
    half[0] = SOURCE if _is_outside(route) else half[0]
    return [
        ((points[i][0] + half[i], points[i][1]), (points[i + 1][0] - half[i + 1], points[i + 1][1]))
        for i in range(len(points) - 1)
    ]


def _link(route: _Route, place: Mapping[Vertex, Point]) -> str:
    segments = _segments(route, place)
    (x, y), _ = segments[0]
    path = f"M{x:.1f} {y:.1f}"
    for (x0, y0), (x1, y1) in segments:
        start, end = (x0 + part * (x1 - x0) for part in route.bend)
        middle = (start + end) / 2
        path += (
            f"L{x0:.1f} {y0:.1f}L{start:.1f} {y0:.1f}C{middle:.1f} {y0:.1f} {middle:.1f} {y1:.1f} {end:.1f} {y1:.1f}"
        )
        path += f"L{x1:.1f} {y1:.1f}"
    x, y = segments[-1][1]
    return f'<path class="link" d="{path}"/>{arrow_head(x, y)}'


def arrow_head(x: float, y: float) -> str:
    """The head of an arrow to the right that ends at a point."""
    return f'<path class="head" d="M{x:.1f} {y:.1f}l-7 -3.5v7z"/>'


def _lead_time(route: _Route, place: Mapping[Vertex, Point]) -> str:
    segments = _segments(route, place)
    (x0, y0), (x1, y1) = segments[0 if route.bend == LATE else -1]
    along, rise = {EARLY: (0.68, 1.0), LATE: (0.28, 0.0)}.get(route.bend, (0.38, 0.3))
    x, y = x0 + along * (x1 - x0), y0 + rise * (y1 - y0) - 5
    return f'<text class="lead" x="{x:.1f}" y="{y:.1f}">{escape(f"L = {route.lead_time}")}</text>'


def _source(route: _Route, place: Mapping[Vertex, Point]) -> str:
    x, y = place[route.vertices[0]]
    return (
        f'<circle class="source" cx="{x:.1f}" cy="{y:.1f}" r="{SOURCE}"/>'
        f'<text class="endless" x="{x:.1f}" y="{y + 5:.1f}">∞</text>'
    )


def _node(node: Mapping[str, Any], centre: Point, *, note: str, bars: Sequence[Bar], room: float) -> str:
    """A box around `centre` with the node's name, its note, and its bars in the `room` below them."""
    x, y = centre
    name = str(node["name"])
    short = name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}…"
    left, top = x - BOX_X / 2, y - (BOX_Y + room) / 2
    box = (
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{BOX_X}" height="{BOX_Y + room}" rx="5"/>'
        f'<text class="name" x="{x:.1f}" y="{top + 16:.1f}">{escape(short)}</text>'
        f'<text class="holding" x="{x:.1f}" y="{top + 30:.1f}">{escape(note)}</text>'
    )
    box += "".join(_bar(bar, left + 8, top + BOX_Y + rank * BAR_Y) for rank, bar in enumerate(bars))
    outside = customers(x + BOX_X / 2, y) if node["outlet"] else ""
    return f'<g class="{"outlet" if node["outlet"] else "node"}"><title>{escape(name)}</title>{box}{outside}</g>'


def _bar(bar: Bar, x: float, y: float) -> str:
    length = max(1.0, BAR_X * bar.share)
    return (
        f'<path style="fill:{bar.colour}" d="M{x:.1f} {y:.1f}h{length:.1f}v7h-{length:.1f}z"/>'
        f'<text class="amount" x="{x + length + 4:.1f}" y="{y + 7:.1f}">{escape(bar.text)}</text>'
    )


def customers(x: float, y: float) -> str:
    """An arrow to a head and shoulders."""
    return (
        f'<path class="link" d="M{x:.1f} {y:.1f}h18"/>{arrow_head(x + 18, y)}'
        f'<circle class="customer" cx="{x + 28:.1f}" cy="{y - 4:.1f}" r="3.6"/>'
        f'<path class="customer" d="M{x + 21.5:.1f} {y + 7:.1f}c0 -9 13 -9 13 0z"/>'
    )
