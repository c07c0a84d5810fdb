"""A search over the parameters of a block for the least cost that meets its floors, on one set of scenarios.

The floors make a ridge of the problem: a longer span allows a lower point, and a search that moves one number at a time
stops on it. Here spans (and points of nodes without floors) are searched, and points follow: every candidate is
brought back to its floors by the lifts of `floor_model`, in one or two simulations, and is judged by its merit, which
is smooth along the ridge. A direction is tried both ways and then at the vertex of the parabola through what was
found, with widths that shrink. What a direction does to the lifts is remembered, so that the next candidate of the
same direction starts near its floors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.floor_model import FloorModel, fit_model, lifted
from echelon.baselines.network_trials import Block, Measured, Request, Search
from echelon.baselines.rule_space import RuleSpace

Floats = NDArray[np.float64]

SETTLED = 0.75
"""Units of lift that count as none."""
MOST_SETTLING = 12
"""Simulations to bring parameters to their floors from far away."""
MOST_CORRECTIONS = 2
"""Further simulations to bring a promising candidate to its floors."""
HOPE = 0.5
"""Share of what a candidate loses by its distance from the floors that it may regain on the way to them."""
STRIDES = 6
"""Most steps in a direction that keeps helping."""
GROWTH = 1.6
"""Factor by which the later ones of them grow."""


@dataclass(frozen=True, eq=False)
class Point:
    """Parameters of a block and what they did."""

    parameters: Floats
    """[2, e]"""
    measured: Measured
    shortfall: float
    """Units of lift that the floors are short of and lifts cannot mend."""
    merit: float

    @property
    def score(self) -> tuple[float, float]:
        """What is compared: first the shortfall, then the merit."""
        return self.shortfall, self.merit


@dataclass(frozen=True, eq=False)
class Direction:
    """A way in which parameters may move."""

    vector: Floats
    """[2, e] per unit of width"""
    width: float
    """Of the next step, units"""
    tilt: Floats
    """[n] lifts per unit of width that keep the margins"""
    node: int = -1
    """The node whose lift this is, -1 for others: useless while one of its floors has a price."""


@dataclass(eq=False)
class BlockSearch:
    """The search in one block. It keeps what it has learned from one set of scenarios to the next."""

    space: RuleSpace
    block: Block
    step: Floats
    """[n] lifts by which the model is measured, units"""
    directions: list[Direction]
    model: FloorModel | None = None
    point: Point | None = None
    best: float = field(default=np.nan)

    def descend(self, parameters: Floats, *, sweeps: int, tolerance: float) -> Search[Point]:
        """Settle the parameters on their floors, then sweep over all directions.

        Ends early once a sweep gains less than `tolerance`, a share of the merit.
        """
        self.best = np.nan
        point = yield from self._settle(self.space.clip(parameters, self.block.links))
        for _ in range(sweeps):
            before = point.score
            for d in range(len(self.directions)):
                point = yield from self._along(d, point)
            if before[0] - point.score[0] <= 1e-9 and before[1] - point.merit < tolerance * abs(point.merit):
                break
            point = yield from self._refit(point)
        self.point = point
        return point

    def _settle(self, parameters: Floats) -> Search[Point]:
        """Bring parameters to their floors from wherever they are."""
        measured = yield Request(parameters, self.best)
        model = yield from fit_model(self.space, self.block, parameters, measured, self.step, self.best)
        far = 0.0
        for _ in range(MOST_SETTLING):
            lifts = model.lifts(measured.margin)
            moved = lifted(self.space, self.block, parameters, self._rounded(lifts))
            if np.array_equal(moved, parameters):
                break
            after = yield Request(moved, self.best)
            done = self._change(parameters, moved)
            far += float(np.abs(done / self.step).max())
            model = model.corrected(measured, after, done)
            parameters, measured = moved, after
            if far > 4:
                model = yield from fit_model(self.space, self.block, parameters, measured, self.step, self.best)
                far = 0.0
        self.model = model
        return (yield from self._refit(self._judge(parameters, measured)))

    def _refit(self, point: Point) -> Search[Point]:
        """Measure the model anew where the search has come to."""
        old = self.model
        model = yield from fit_model(self.space, self.block, point.parameters, point.measured, self.step, self.best)
        assert old is not None
        exceeded = point.measured.margin > 2 * self.step[self.block.node_of_floor] * np.diag(
            model.gain[:, self.block.node_of_floor]
        )
        self.model = replace(model, price=np.where((old.price == 0) & exceeded, 0.0, model.price))
        return self._judge(point.parameters, point.measured)

    def _judge(self, parameters: Floats, measured: Measured) -> Point:
        assert self.model is not None
        point = Point(parameters, measured, self.model.shortfall(measured.margin), self.model.merit(measured))
        if point.shortfall == 0 and not point.merit >= self.best:
            self.best = point.merit
        return point

    def _rounded(self, lifts: Floats) -> Floats:
        """[n] lifts in whole units of the grid; what is close to none is none."""
        units = np.array([self.space.unit[self.block.links[links]].max(initial=1e-12) for links in self.block.into])
        return np.where(np.abs(lifts) <= SETTLED * units, 0.0, units * np.rint(lifts / units))

    def _change(self, before: Floats, after: Floats) -> Floats:
        """[n] lifts between two parameters."""
        return np.array([(after - before)[0, x].mean() if len(x) else 0.0 for x in self.block.into])

    def _along(self, d: int, point: Point) -> Search[Point]:
        """The best point found in a direction."""
        direction = self.directions[d]
        assert self.model is not None
        if direction.node >= 0 and self.model.price[self.block.node_of_floor == direction.node].any():
            return point
        width, start, values = direction.width, point, {}
        for sign in (1.0, -1.0):
            for stride in range(STRIDES):
                found = yield from self._trial(d, point, sign * width)
                if stride == 0 and found is not None:
                    values[sign] = found.merit
                if found is None or found.score >= point.score:
                    break
                point, width = found, width * (1.0 if stride == 0 else GROWTH)
            if point is not start:
                break
        if point is start and len(values) == 2:
            bend = values[1.0] - 2 * start.merit + values[-1.0]
            shift = width * (values[-1.0] - values[1.0]) / (2 * bend) if bend > 0 else 0.0
            if abs(shift) >= 0.1 * width:
                found = yield from self._trial(d, point, shift)
                point = found if found is not None and found.score < point.score else point
            width /= 2
        self.directions[d] = replace(self.directions[d], width=max(width, 1.0))
        return point

    def _trial(self, d: int, point: Point, width: float) -> Search[Point | None]:
        """A step in a direction, brought back to the floors if it is worth that; None where there is no step."""
        direction, model = self.directions[d], self.model
        assert model is not None
        ahead = self.space.clip(
            point.parameters + width * direction.vector * self.space.unit[self.block.links], self.block.links
        )
        parameters = lifted(self.space, self.block, ahead, self._rounded(width * direction.tilt))
        if np.array_equal(parameters, point.parameters):
            return None
        measured = yield Request(parameters, self.best)
        for _ in range(MOST_CORRECTIONS):
            lifts = model.lifts(measured.margin)
            moved = lifted(self.space, self.block, parameters, self._rounded(lifts))
            regained = HOPE * float(np.abs(model.price @ np.abs(measured.margin)))
            if np.array_equal(moved, parameters) or model.merit(measured) - regained > point.merit:
                break
            parameters, measured = moved, (yield Request(moved, self.best))
        total = self._change(ahead, parameters) + model.lifts(measured.margin)
        self.directions[d] = replace(self.directions[d], tilt=total / width)
        return self._judge(parameters, measured)


def directions_of(space: RuleSpace, block: Block, step: Floats, spans: Floats) -> list[Direction]:
    """Spans, points where several links bring the same node its supply, lifts, and spans against lifts.

    `step` [n] and `spans` [e] are the first widths, units.
    """
    count = len(block.links)
    none = np.zeros(len(block.nodes))
    found: list[Direction] = []

    def add(row_of: Sequence[tuple[int, int, float]], width: float, node: int = -1) -> None:
        vector = np.zeros((2, count))
        for row, column, value in row_of:
            vector[row, column] = value
        found.append(Direction(vector, max(width, 1.0), none, node))

    for n, links in enumerate(block.into):
        unit, wide = space.unit[block.links[links]], 0.0
        for u, e in zip(unit.tolist(), links.tolist(), strict=True):
            wide = float(step[n]) / u
            if space.rule != "base_stock":
                add([(1, e, 1.0)], float(spans[e]) / u)
            if len(links) > 1:
                add([(0, e, 1.0)], wide)
        add([(0, e, 1.0) for e in links.tolist()], wide, n)
        if space.rule != "base_stock":
            add([(row, e, 2.0 if row else -1.0) for e in links.tolist() for row in (0, 1)], wide, n)
    return [direction for direction in found if direction.vector.any()]
