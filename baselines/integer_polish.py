"""The last steps of a search: parameters on the grid that meet their floors on a sample, with something to spare.

Where `constrained_search` compares merits, here a floor is a floor: a candidate stands only if every margin m,
with standard error e on the sample, has m >= z e. The allowance z is what fresh scenarios may take back. Since
points move in whole units, floors are exceeded by parts of a unit, and spans can take that up: with the gains of
the model it is told how much shorter the spans of a node can be, or how much longer they must be if its points
go down by one or two. Around these guesses spans are tried one by one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from math import floor

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.constrained_search import BlockSearch
from echelon.baselines.floor_model import LEAST_GAIN, fit_model, lifted
from echelon.baselines.network_trials import Block, Measured, Request, Search

Floats = NDArray[np.float64]

MOST_REPAIRS = 24
MOST_ROUNDS = 2
POINTS, MORE_POINTS = (0, -1, 1), (0, -1, 1, -2, 2)
"""Units by which the points of a node are changed; more of them in blocks of at most `SMALL` nodes."""
SMALL = 2
JOINT = ((0, 1), (0, -1), (1, -1), (-1, 1), (-1, 0), (1, 0), (0, 3), (0, -3), (-3, 3), (3, -3))
"""Units by which point and span of a supplier are moved before its receiver is fitted to it."""
MOST_LONGER = 8
"""Units by which spans are made longer until the floors are met."""
MOST_SPANS = 6
"""Spans that are tried from there while the cost falls."""
MOST_CHANGE = 64
WORTH = 2e-5
"""Share of the cost that a round of candidates must save for another one to follow."""


@dataclass(frozen=True, eq=False)
class Candidate:
    """Parameters of a block on the grid."""

    parameters: Floats
    """[2, e]"""
    measured: Measured
    lacking: float
    """By how much margins fall short of their allowances, in standard errors; 0 where all floors are met."""

    @property
    def score(self) -> tuple[float, float]:
        """What is compared: first what is lacking, then the cost."""
        return self.lacking, self.measured.cost


@dataclass(eq=False)
class Polish:
    """The polishing of one block."""

    search: BlockSearch
    allowance: Floats
    """[f] standard errors"""
    least: Floats
    """[f] margins that are asked for in any case"""
    kept: list[Candidate] = field(default_factory=list)
    """Those that met all floors, the cheapest last."""

    def run(self, parameters: Floats, *, rounds: int = MOST_ROUNDS, joint: bool = False) -> Search[Candidate]:
        """The cheapest parameters found near some that are close to their floors.

        With `joint`, suppliers are also moved together with a receiver, in blocks of at most `SMALL` nodes.
        """
        best = yield from self._repaired(parameters)
        for _ in range(rounds):
            before = best.score
            for n in range(len(self._block.nodes)):
                best = yield from self._around(n, best)
            if joint and len(self._block.nodes) <= SMALL:
                for supplier, receiver in self._block.pairs:
                    best = yield from self._together(supplier, receiver, best)
            if before[0] == best.score[0] and before[1] - best.score[1] < WORTH * abs(before[1]):
                break
        return best

    @property
    def _block(self) -> Block:
        return self.search.block

    @property
    def _best(self) -> float:
        return self.kept[-1].measured.cost if self.kept else np.nan

    def _spare(self, measured: Measured) -> Floats:
        """[f] what margins exceed what is asked of them by."""
        return measured.margin - np.maximum(self.allowance * measured.error, self.least)

    def _judge(self, parameters: Floats, measured: Measured) -> Candidate:
        spare = self._spare(measured)
        scale = np.maximum(measured.error, LEAST_GAIN)
        found = Candidate(parameters, measured, float(np.maximum(-spare / scale, 0.0).sum()))
        if found.lacking == 0 and not measured.cost >= self._best:
            self.kept.append(found)
        return found

    def _tried(self, parameters: Floats) -> Search[Candidate]:
        return self._judge(parameters, (yield Request(parameters, self._best)))

    def _repaired(self, parameters: Floats) -> Search[Candidate]:
        """The least lifts that meet all floors: down while the model promises it, up while a floor is not met."""
        search, block = self.search, self._block
        parameters = search.space.clip(parameters, block.links)
        found = yield from self._tried(parameters)
        search.model = yield from fit_model(search.space, block, parameters, found.measured, search.step, self._best)
        best, seen = found, {parameters.tobytes()}
        for _ in range(MOST_REPAIRS):
            spare = self._spare(found.measured)
            lifts = self._whole(search.model.lifts(spare), up=bool((spare < 0).any()))
            moved = lifted(search.space, block, found.parameters, lifts)
            if moved.tobytes() in seen:
                break
            seen.add(moved.tobytes())
            after = yield from self._tried(moved)
            search.model = search.model.corrected(found.measured, after.measured, lifts)
            found = after
            best = min(best, found, key=lambda one: one.score)
        return best

    def _whole(self, lifts: Floats, *, up: bool) -> Floats:
        """[n] lifts on the grid. While a floor is not met, only up."""
        block, unit = self._block, self.search.space.unit
        units = np.array([unit[block.links[x]].max(initial=LEAST_GAIN) for x in block.into])
        whole = units * np.ceil(lifts / units - 1e-9)
        only_up = self._unpriced() | up
        return np.asarray(np.where(only_up, np.maximum(whole, 0.0), whole))

    def _unpriced(self) -> NDArray[np.bool_]:
        """[n] nodes without a floor that costs something."""
        model, count = self.search.model, len(self._block.nodes)
        assert model is not None
        return np.array([not model.price[self._block.node_of_floor == n].any() for n in range(count)])

    def _around(self, n: int, best: Candidate) -> Search[Candidate]:
        """The best of a few neighbours that change the numbers of one node."""
        block, space = self._block, self.search.space
        links = block.into[n]
        if not len(links):
            return best
        unit, has_span = space.unit[block.links[links]], space.rule != "base_stock"
        binding = not self._unpriced()[n]
        for points in MORE_POINTS if len(block.nodes) <= SMALL else POINTS:
            moved = best.parameters + self._change(links, points * unit, 0 * unit)
            if has_span:
                spans = self._spans(n, best, points) if binding else -points
                best = yield from self._along_span(best, moved, links, spans)
            elif points:
                found = yield from self._tried(space.clip(moved, block.links))
                best = min(best, found, key=lambda one: one.score)
        return best

    def _together(self, supplier: int, receiver: int, best: Candidate) -> Search[Candidate]:
        """The best of a few moves of a supplier, each with what its receiver then needs."""
        block, space = self._block, self.search.space
        links = block.into[supplier]
        unit = space.unit[block.links[links]]
        for points, spans in JOINT:
            moved = space.clip(best.parameters + self._change(links, points * unit, spans * unit), block.links)
            if np.array_equal(moved, best.parameters):
                continue
            found = yield from self._tried(moved)
            assert self.search.model is not None
            spare = self._spare(found.measured)
            lifts = self._whole(self.search.model.lifts(spare), up=bool((spare < 0).any()))
            lifts[np.arange(len(lifts)) < supplier] = 0.0
            if lifts.any():
                found = yield from self._tried(lifted(space, block, moved, lifts))
            found = yield from self._around(receiver, found)
            best = min(best, found, key=lambda one: one.score)
        return best

    def _along_span(
        self, best: Candidate, parameters: Floats, links: NDArray[np.int64], spans: int
    ) -> Search[Candidate]:
        """The best spans near a guess: longer until the floors are met, then whichever way the cost falls."""
        unit = self.search.space.unit[self._block.links[links]]

        def tried(units: int) -> Search[Candidate]:
            moved = parameters + self._change(links, 0 * unit, units * unit)
            return self._tried(self.search.space.clip(moved, self._block.links))

        middle = yield from tried(spans)
        ways = [1, -1]
        while middle.lacking and len(ways) < MOST_LONGER:
            spans += 1
            middle = yield from tried(spans)
            ways = [1] * (len(ways) + 1)  # what is shorter is known not to do
        best = min(best, middle, key=lambda one: one.score)
        for way in dict.fromkeys(ways):
            last = middle
            for stride in range(1, MOST_SPANS):
                found = yield from tried(spans + way * stride)
                if found.score >= last.score:
                    break
                last = found
            best = min(best, last, key=lambda one: one.score)
        return best

    def _spans(self, n: int, best: Candidate, points: int) -> int:
        """Units by which the spans of a node should change, so that its floors are just met with other points."""
        model, block = self.search.model, self._block
        assert model is not None
        own = np.flatnonzero(block.node_of_floor == n)
        spare = float(self._spare(best.measured)[own].min())
        gain = max(float(model.gain[own, n].min()), LEAST_GAIN)
        unit = float(self.search.space.unit[block.links[block.into[n]]].max())
        # What is left at other points, in units of lift, is what the spans give back or must add.
        left = (spare / gain) / unit + points
        return int(np.clip(-floor(left / self._lift_per_span(n)), -MOST_CHANGE, MOST_CHANGE))

    def _lift_per_span(self, n: int) -> float:
        """Units of lift that a unit of span is worth at its floors, as the search has seen it."""
        for direction in self.search.directions:
            column = self._block.into[n]
            if direction.vector[1, column].all() and not direction.vector[0].any() and direction.tilt[n] < 0:
                return float(np.clip(-direction.tilt[n], 0.05, 1.0))
        return 0.3

    def _change(self, links: NDArray[np.int64], points: Floats, spans: Floats) -> Floats:
        change = np.zeros((2, len(self._block.links)))
        change[0, links], change[1, links] = points, spans
        return change
