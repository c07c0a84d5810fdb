"""Drawing a network in layers after Sugiyama, Tagawa and Toda (1981): what stands in which layer, in what order.

A node's layer is its longest way to a customer, long links get a bend in every layer that they cross, and
every layer is ordered by the mean rank of its neighbours so that links cross seldom.
"""

from __future__ import annotations

import math
from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np

SWEEPS = 8
ROUNDS = 20

Vertex = tuple[str, int]
"""A node's name and 0; or "" and the number of the link that starts outside or bends here; bends carry their layer."""
Columns = dict[int, list[Vertex]]
"""The vertices of every layer from top to bottom."""
Neighbours = Mapping[Vertex, set[Vertex]]


def layers(names: Sequence[str], links: Sequence[Mapping[str, Any]]) -> dict[str, int] | None:
    """Every node's layer, 0 for those that feed no other and less to their left; None for a cycle."""
    layer = dict.fromkeys(names, 0)
    for _ in names:
        wrong = [link for link in links if layer.get(link["source"], -math.inf) >= layer[link["target"]]]
        for link in wrong:
            layer[link["source"]] = min(layer[link["source"]], layer[link["target"]] - 1)
        if not wrong:
            return layer
    return None


def bends(source: str, target: str, number: int, layer: Mapping[str, int]) -> tuple[Vertex, ...]:
    """The way of link `number` from its source to its target, with a bend in every layer between."""
    between = [(f"bend {depth}", number) for depth in range(layer[source] + 1, layer[target])]
    return ((source, 0), *between, (target, 0))


def neighbours_of(routes: Iterable[Sequence[Vertex]]) -> defaultdict[Vertex, set[Vertex]]:
    """What stands beside each vertex on the routes, left or right."""
    neighbours: defaultdict[Vertex, set[Vertex]] = defaultdict(set)
    for route in routes:
        for left, right in pairwise(route):
            neighbours[left].add(right)
            neighbours[right].add(left)
    return neighbours


def ordered(routes: Sequence[Sequence[Vertex]], layer: Mapping[str, int]) -> Columns:
    """The order with the fewest crossings that sweeps to and fro over the layers have met."""
    columns: defaultdict[int, list[Vertex]] = defaultdict(list)
    for name, depth in layer.items():
        columns[depth].append((name, 0))
    for route in routes:
        for steps, vertex in enumerate(reversed(route)):
            if vertex[1]:
                columns[layer[route[-1][0]] - steps].append(vertex)
    neighbours = neighbours_of(routes)
    best, fewest = dict(columns), math.inf
    for sweep in range(SWEEPS):
        for depth in sorted(columns, reverse=sweep % 2 == 0):
            _reorder(columns, depth, neighbours=neighbours, side=1 if sweep % 2 == 0 else -1)
        crossed = crossings(columns, neighbours)
        if crossed < fewest:
            best, fewest = {depth: list(column) for depth, column in columns.items()}, crossed
    return best


def _reorder(columns: Mapping[int, list[Vertex]], depth: int, *, neighbours: Neighbours, side: int) -> None:
    beside = {vertex: rank for rank, vertex in enumerate(columns.get(depth + side, ()))}
    own = {vertex: rank for rank, vertex in enumerate(columns[depth])}

    def mean_rank(vertex: Vertex) -> float:
        ranks = [beside[other] for other in neighbours.get(vertex, ()) if other in beside]
        return sum(ranks) / len(ranks) if ranks else own[vertex]

    columns[depth].sort(key=mean_rank)


def crossings(columns: Mapping[int, Sequence[Vertex]], neighbours: Neighbours) -> int:
    """How many pairs of links cross between two layers."""
    total = 0
    for depth, column in columns.items():
        right = {vertex: rank for rank, vertex in enumerate(columns.get(depth + 1, ()))}
        above: list[int] = []  # where the links that start higher up end
        for vertex in column:
            ends = [right[other] for other in neighbours.get(vertex, ()) if other in right]
            total += sum(len(above) - bisect_right(above, end) for end in ends)
            for end in ends:
                insort(above, end)
    return total


def heights(columns: Columns, neighbours: Neighbours, room: Callable[[Vertex], float]) -> dict[Vertex, float]:
    """The height of every vertex, as close to those of its neighbours as its layer allows; the top is at 0.

    `room` is what a vertex needs above and below its middle. Layers take turns to be placed by least
    squares, which with order and distances given is an isotonic regression.
    """
    from scipy.optimize import isotonic_regression

    offset = {depth: _offsets([room(vertex) for vertex in column]) for depth, column in columns.items()}
    height = {
        vertex: float(y - offset[depth][-1] / 2)
        for depth, column in columns.items()
        for vertex, y in zip(column, offset[depth], strict=True)
    }
    for sweep in range(ROUNDS):
        for depth in sorted(columns, reverse=sweep % 2 == 0):
            column = columns[depth]
            wanted = [_mean([height[other] for other in neighbours.get(v, ())] or [height[v]]) for v in column]
            placed = isotonic_regression(np.array(wanted) - offset[depth]).x + offset[depth]
            height.update(zip(column, placed.tolist(), strict=True))
    top = min(y - room(vertex) for vertex, y in height.items())
    return {vertex: y - top for vertex, y in height.items()}


def _offsets(rooms: Sequence[float]) -> np.ndarray[Any, np.dtype[np.float64]]:
    """How far below the first of a column each of its vertices is if they stand as close as they may."""
    return np.cumsum([0.0] + [above + below for above, below in pairwise(rooms)])


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
