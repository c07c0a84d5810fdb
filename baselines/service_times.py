"""The best service times of a guaranteed-service network, by elimination and, where that ends, linear programming.

Every stage j chooses an outbound service time S_j and an inbound one SI_j >= S_i for each of its
suppliers i; its cost depends on these two alone. What hangs on the rest of the network by one arc only
is eliminated by dynamic programming (Graves and Willems 2000), which solves trees; stages that have the
same customers and no suppliers, or the same suppliers and no customers, are merged into one, which may
make new trees. What remains goes to `service_core`.
"""

from __future__ import annotations

from collections import defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from echelon.baselines import _stage_kernels as kernels
from echelon.baselines.service_offers import Need, Offer, Times, need_of, offer_of, padded

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

CONCAVE = 1e-12
"""How far the second differences of a concave cost may be above 0, as a share of the largest cost."""


@dataclass(frozen=True, eq=False)
class ServiceTimeProblem:
    """Whole service times to be chosen for N stages."""

    suppliers: Sequence[Sequence[int]]
    """The suppliers of each stage."""
    time: Ints
    """[N] T, whole periods: no outbound service time exceeds the inbound one by more."""
    cost: Sequence[Floats]
    """Of each stage, per period: by SI + T - S, or as a table by SI and S."""
    inbound: Sequence[Floats]
    """What each inbound service time from 0 costs besides; infinite where it is not allowed."""
    outbound: Sequence[Floats]
    """What each outbound service time from 0 costs besides."""

    def costs_at(self, inbound: Ints, outbound: Ints) -> Floats:
        """[N] what each stage costs with these service times."""
        return np.array(
            [
                (table[si + time - s] if table.ndim == 1 else table[si, s]) + self.inbound[j][si] + self.outbound[j][s]
                for j, (table, time, si, s) in enumerate(zip(self.cost, self.time, inbound, outbound, strict=True))
            ]
        )


@dataclass(frozen=True, eq=False)
class ServiceTimes:
    """The solution of a `ServiceTimeProblem`."""

    inbound: Ints
    """[N] SI"""
    outbound: Ints
    """[N] S"""
    cost: float
    lower_bound: float
    """What no service times can cost less than."""


class Reduction:
    """A problem that is made smaller step by step, with what it takes to undo each step.

    Stages beyond those of the problem stand for several merged ones. They have a cost by their outbound
    service time, or by their inbound one, and no table.
    """

    def __init__(self, problem: ServiceTimeProblem) -> None:
        stages = range(len(problem.suppliers))
        self.tables = dict(enumerate(problem.cost))
        self.concave = {j: table.ndim == 1 and _is_concave(table) for j, table in self.tables.items()}
        self.suppliers = {j: set(problem.suppliers[j]) for j in stages}
        self.customers: dict[int, set[int]] = {j: set() for j in stages}
        for j in stages:
            for i in problem.suppliers[j]:
                self.customers[i].add(j)
        self.inbound = {j: cost.copy() for j, cost in enumerate(problem.inbound)}
        self.outbound = {j: cost.copy() for j, cost in enumerate(problem.outbound)}
        self.cost = 0.0
        self.next = len(stages)
        self._undo: list[Callable[[Times, Times], None]] = []
        longest = max(len(cost) for cost in problem.outbound)
        self._scratch, self._stacks = np.empty((2, longest)), np.empty((3, longest), dtype=np.int64)

    def eliminate(self) -> None:
        """Remove what hangs on the rest by one arc at most, until nothing does."""
        leaves = deque(j for j in self.suppliers if self.degree(j) <= 1)
        while leaves:
            j = leaves.popleft()
            if j not in self.suppliers:
                continue
            for neighbour in self._remove_leaf(j):
                if self.degree(neighbour) <= 1:
                    leaves.append(neighbour)

    def degree(self, j: int) -> int:
        """Number of arcs."""
        return len(self.suppliers[j]) + len(self.customers[j])

    def _remove_leaf(self, j: int) -> set[int]:
        """Charge to its neighbour, if there is one, what the stage costs by the neighbour's service time."""
        above, below = self.suppliers[j], self.customers[j]
        if above:
            (i,) = above
            need = self.need(j)
            self.outbound[i] += need.price[: len(self.outbound[i])]
            self.customers[i].discard(j)
            self._undo.append(lambda inbound, outbound: need.settle(j, outbound[i], inbound, outbound))
        elif below:
            (k,) = below
            offer = self.offer(j)
            self.inbound[k] += padded(offer.price, len(self.inbound[k]))
            self.suppliers[k].discard(j)
            self._undo.append(lambda inbound, outbound: offer.settle(j, inbound[k], inbound, outbound))
        else:
            self._settle_alone(j)
        del self.suppliers[j], self.customers[j]
        return above | below

    def _settle_alone(self, j: int) -> None:
        """A stage without arcs bears the least cost, whatever its service times are."""
        if j in self.outbound:
            offer = self.offer(j)
            self.cost += float(offer.price[-1])
            self._undo.append(lambda inbound, outbound: offer.settle(j, len(offer.price), inbound, outbound))
        else:
            need = self.need(j)
            self.cost += float(need.price[0])
            self._undo.append(lambda inbound, outbound: need.settle(j, 0, inbound, outbound))

    def merge(self) -> bool:
        """Merge sources with the same customers, and sinks with the same suppliers; says whether there were any."""
        sources, sinks = defaultdict[frozenset[int], list[int]](list), defaultdict[frozenset[int], list[int]](list)
        for j in self.suppliers:
            if not self.suppliers[j]:
                sources[frozenset(self.customers[j])].append(j)
            elif not self.customers[j]:
                sinks[frozenset(self.suppliers[j])].append(j)
        twins = [(self._merge_sources, members) for members in sources.values() if len(members) > 1]
        twins += [(self._merge_sinks, members) for members in sinks.values() if len(members) > 1]
        for merge, members in twins:
            merge(members)
        return bool(twins)

    def _merge_sources(self, members: Sequence[int]) -> None:
        """One source whose outbound service time bounds those of the members from above."""
        offers = {j: self.offer(j) for j in members}
        merged = self._replace(members)
        longest = max(len(offer.price) for offer in offers.values())
        self.outbound[merged] = np.sum([padded(offer.price, longest) for offer in offers.values()], axis=0)

        def undo(inbound: Times, outbound: Times) -> None:
            for j, offer in offers.items():
                offer.settle(j, outbound[merged], inbound, outbound)

        self._undo.append(undo)

    def _merge_sinks(self, members: Sequence[int]) -> None:
        """One sink whose inbound service time bounds those of the members from below."""
        needs = {j: self.need(j) for j in members}
        merged = self._replace(members)
        # all have the same longest inbound service time, unless outside suppliers are slower than those inside
        shortest = min(len(need.price) for need in needs.values())
        self.inbound[merged] = np.sum([need.price[:shortest] for need in needs.values()], axis=0)

        def undo(inbound: Times, outbound: Times) -> None:
            for j, need in needs.items():
                need.settle(j, inbound[merged], inbound, outbound)

        self._undo.append(undo)

    def _replace(self, members: Sequence[int]) -> int:
        """A new stage with the arcs of the members, which go."""
        merged, self.next = self.next, self.next + 1
        self.suppliers[merged], self.customers[merged] = self.suppliers[members[0]], self.customers[members[0]]
        for j in members:
            del self.suppliers[j], self.customers[j]
        for side, neighbours in (
            (self.customers, self.suppliers[merged]),
            (self.suppliers, self.customers[merged]),
        ):
            for neighbour in neighbours:
                side[neighbour] = side[neighbour].difference(members) | {merged}
        return merged

    def offer(self, j: int) -> Offer:
        """What a stage without suppliers, but those eliminated, costs by a limit on its outbound service time."""
        if j not in self.tables:
            return offer_of(self.outbound[j], None)
        table, inbound, outbound = self.tables[j], self.inbound[j], self.outbound[j]
        if table.ndim == 2:
            total = table + inbound[:, None]
            wait = total.argmin(axis=0)
            return offer_of(total.min(axis=0) + outbound, wait)
        price, quote, wait = np.empty(len(table)), np.empty(len(table), np.int64), np.empty(len(table), np.int64)
        n = len(table)
        kernels.offer(
            table, self.concave[j], inbound, outbound, price, quote, wait, self._scratch[:, :n], self._stacks[:, :n]
        )
        return Offer(price, quote, wait)

    def need(self, j: int) -> Need:
        """What a stage without customers, but those eliminated, costs by a limit on its inbound service time."""
        if j not in self.tables:
            return need_of(self.inbound[j], None)
        table, inbound, outbound = self.tables[j], self.inbound[j], self.outbound[j]
        if table.ndim == 2:
            total = table + outbound
            return need_of(total.min(axis=1) + inbound, total.argmin(axis=1))
        m, n = len(inbound), len(table)
        price, bear, quote = np.empty(m), np.empty(m, np.int64), np.empty(m, np.int64)
        kernels.need(
            table, self.concave[j], inbound, outbound, price, bear, quote, self._scratch[:, :n], self._stacks[:, :n]
        )
        return Need(price, bear, quote)

    def finish(self, inbound: Times, outbound: Times) -> None:
        """Fill in the service times of all stages that are gone."""
        for undo in reversed(self._undo):
            undo(inbound, outbound)


def _is_concave(cost: Floats) -> bool:
    """Whether a cost by net replenishment time is finite and grows ever more slowly, up to rounding."""
    return bool(np.isfinite(cost).all() and (np.diff(cost, 2) <= CONCAVE * np.abs(cost).max()).all())
