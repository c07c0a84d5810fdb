"""The service times of what elimination leaves of a network: parts in which every stage lies between others.

They are written with one 0-1 variable for each stage and service time, which says whether the stage's
service time is at least that, and for stages with suppliers and customers with one for each pair of
service times that no other pair dominates. The linear relaxation is nearly always integral, and always
where no stage has both, since it is the dual of a flow problem then; where it is not, the mixed-integer
programme is solved. HiGHS solves both.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.service_offers import Times
from echelon.baselines.service_times import Reduction, ServiceTimeProblem, ServiceTimes
from echelon.envs.errors import MethodError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

WHOLE = 1e-6
"""How far a variable may be from 0 or 1 to count as such."""
LARGEST = 1e6
"""The largest cost that HiGHS is shown, whose tolerances are absolute, so that small costs would seem to be none."""
MOST_PAIRS = 50_000_000
"""Pairs of service times of one stage that are looked at, so that its table fits in memory."""
MOST_VARIABLES = 4_000_000
"""Variables of a programme that HiGHS is given."""


def best_service_times(problem: ServiceTimeProblem, *, merge: bool = True, time_limit: float = 600.0) -> ServiceTimes:
    """The service times of least cost; the cost is infinite if none are allowed. Raises `MethodError`.

    Inbound service times are the shortest ones that cost no more. HiGHS is stopped after `time_limit` seconds for
    each part and programme; what it has found by then comes with the bound that it has proven.
    """
    reduction = Reduction(problem)
    reduction.eliminate()
    while merge and reduction.merge():
        reduction.eliminate()
    inbound: Times = {}
    outbound: Times = {}
    lower_bound = reduction.cost
    for part in parts(reduction):
        lower_bound += _Programme(reduction, part).solve(inbound, outbound, time_limit)
    if not np.isfinite(lower_bound):
        none = np.zeros(len(problem.suppliers), dtype=np.int64)
        return ServiceTimes(none, none, np.inf, np.inf)
    reduction.finish(inbound, outbound)
    stages = range(len(problem.suppliers))
    s = np.array([outbound[j] for j in stages])
    si = np.array([_shortest(problem, j, inbound[j], s) for j in stages])
    cost = float(problem.costs_at(si, s).sum())
    return ServiceTimes(si, s, cost, min(lower_bound, cost))


def _shortest(problem: ServiceTimeProblem, j: int, inbound: int, outbound: Ints) -> int:
    """The shortest inbound service time of a stage that costs no more than the given one."""
    least = max([0, int(outbound[j] - problem.time[j]), *outbound[list(problem.suppliers[j])].tolist()])
    if least >= inbound:
        return inbound
    times = np.arange(least, inbound + 1)
    table, s = problem.cost[j], outbound[j]
    costs = (table[times + problem.time[j] - s] if table.ndim == 1 else table[times, s]) + problem.inbound[j][times]
    return int(times[np.flatnonzero(costs <= costs[-1])[0]])


def parts(reduction: Reduction) -> list[list[int]]:
    """The stages that are left, by connected part."""
    left, found = set(reduction.suppliers), []
    while left:
        part = [left.pop()]
        for j in part:
            new = (reduction.suppliers[j] | reduction.customers[j]) & left
            left -= new
            part += sorted(new)
        found.append(sorted(part))
    return found


@dataclass(frozen=True, eq=False)
class _Labels:
    """A service time as a sum of 0-1 variables: whether it is at least each of `values` but the first."""

    values: Ints
    columns: Ints

    def read(self, solution: Floats) -> int:
        """The service time."""
        return int(self.values[round(float(solution[self.columns].sum()))])


@dataclass(eq=False)
class _Rows:
    """The constraints so far."""

    terms: list[tuple[Ints, Ints, Floats]] = field(default_factory=list)
    lower: list[Floats] = field(default_factory=list)
    upper: list[Floats] = field(default_factory=list)
    count: int = 0

    def add(self, terms: Sequence[tuple[Ints, Ints, float]], lower: Floats, upper: Floats) -> None:
        """Each term has rows, counted from the first of these constraints, columns and one coefficient."""
        self.terms += [(rows + self.count, columns, np.full(len(rows), value)) for rows, columns, value in terms]
        self.lower.append(lower)
        self.upper.append(upper)
        self.count += len(lower)

    def not_below(self, above: Ints, below: Ints) -> None:
        """The columns `above` are at least the columns `below`, one by one."""
        rows = np.arange(len(above))
        self.add([(rows, above, 1.0), (rows, below, -1.0)], np.zeros(len(rows)), np.full(len(rows), np.inf))


class _Programme:
    """The linear programme of one part."""

    def __init__(self, reduction: Reduction, stages: Sequence[int]) -> None:
        self._reduction = reduction
        self._stages = stages
        self._rows = _Rows()
        self._charges: list[Floats] = []
        self._whole: list[bool] = []
        self._always: list[int] = []
        self._never: list[int] = []
        self._constant = 0.0
        self._inbound: dict[int, _Labels] = {}
        self._outbound: dict[int, _Labels] = {}
        for j in stages:
            if not reduction.suppliers[j]:
                self._outbound[j] = self._steps(reduction.offer(j).price, falling=True)
            elif not reduction.customers[j]:
                self._inbound[j] = self._steps(reduction.need(j).price, falling=False)
            else:
                self._couple(j)
        for j in stages:
            for i in sorted(reduction.suppliers[j]):
                self._order(self._outbound[i], self._inbound[j])

    def _columns(self, charges: Floats, *, whole: bool) -> Ints:
        first = len(self._whole)
        self._charges.append(charges)
        self._whole += [whole] * len(charges)
        return np.arange(first, len(self._whole))

    def _steps(self, price: Floats, *, falling: bool) -> _Labels:
        """The limit of a stage without suppliers (a falling price) or customers, at the values that bring a change."""
        finite = np.flatnonzero(np.isfinite(price))
        if not len(finite):
            self._constant = np.inf
            finite = np.zeros(1, dtype=np.int64)
        change = price[finite[1:]] != price[finite[:-1]]
        values = finite[np.r_[True, change]] if falling else finite[np.r_[change, True]]
        self._constant += float(price[values[0]])
        labels = _Labels(values, self._columns(np.diff(price[values]), whole=True))
        self._rows.not_below(labels.columns[:-1], labels.columns[1:])
        return labels

    def _couple(self, j: int) -> None:
        """Both service times of a stage, by one variable for each pair that is cheaper than all that allow as much."""
        self._require_size(len(self._reduction.inbound[j]) * len(self._reduction.outbound[j]), MOST_PAIRS)
        cost = pair_costs(self._reduction, j)
        least = np.minimum.accumulate(np.minimum.accumulate(cost[::-1], axis=0)[::-1], axis=1)
        later = np.pad(least[1:], ((0, 1), (0, 0)), constant_values=np.inf)
        sooner = np.pad(least[:, :-1], ((0, 0), (1, 0)), constant_values=np.inf)
        inbound, outbound = np.nonzero(np.isfinite(cost) & (cost < np.minimum(later, sooner)))
        if not len(inbound):
            self._constant = np.inf
            inbound, outbound = np.zeros((2, 1), dtype=np.int64)
        pairs = self._columns(cost[inbound, outbound], whole=False)
        self._require_size(len(self._whole), MOST_VARIABLES)
        for times, side in ((inbound, self._inbound), (outbound, self._outbound)):
            values, position = np.unique(times, return_inverse=True)
            side[j] = _Labels(values, self._columns(np.zeros(len(values) - 1), whole=True))
            self._add_up(side[j], pairs, position)

    def _require_size(self, count: int, most: int) -> None:
        if count > most:
            raise MethodError(
                f"guaranteed_service needs at most {most:,} pairs of service times at stages on a cycle of arcs "
                f"(got {count:,}): count in longer periods"
            )

    def _add_up(self, labels: _Labels, pairs: Ints, position: Ints) -> None:
        """The pairs with a value add up to 1 where the service time is at least that but not at least the next."""
        after = np.arange(1, len(labels.values))
        right = np.zeros(len(labels.values))
        right[0] = 1.0
        terms = [(position, pairs, 1.0), (after, labels.columns, -1.0), (after - 1, labels.columns, 1.0)]
        self._rows.add(terms, right, right)

    def _order(self, outbound: _Labels, inbound: _Labels) -> None:
        """An inbound service time is at least an outbound one."""
        first, *_ = at = np.searchsorted(inbound.values, outbound.values)
        if first == len(inbound.values):
            self._constant = np.inf
        self._always += inbound.columns[:first].tolist()
        self._never += outbound.columns[at[1:] == len(inbound.values)].tolist()
        binding = (np.diff(at) > 0) & (at[1:] < len(inbound.values))
        self._rows.not_below(inbound.columns[at[1:][binding] - 1], outbound.columns[binding])

    def solve(self, inbound: Times, outbound: Times, time_limit: float) -> float:
        """Fill in the service times of the part; returns the bound on its cost. Raises `MethodError`."""
        if not np.isfinite(self._constant):
            return np.inf
        solution, bound = self._optimum(time_limit)
        for j in self._stages:
            if not self._reduction.suppliers[j]:
                self._reduction.offer(j).settle(j, self._outbound[j].read(solution), inbound, outbound)
            elif not self._reduction.customers[j]:
                self._reduction.need(j).settle(j, self._inbound[j].read(solution), inbound, outbound)
            else:
                inbound[j], outbound[j] = self._inbound[j].read(solution), self._outbound[j].read(solution)
        return bound + self._constant

    def _optimum(self, time_limit: float) -> tuple[Floats, float]:
        """A solution in whole numbers, and a bound on the cost of all of them."""
        from scipy.optimize import Bounds, LinearConstraint, milp
        from scipy.sparse import coo_array

        count = len(self._whole)
        if count == 0:
            return np.zeros(0), 0.0
        rows, columns, values = (np.concatenate([term[k] for term in self._rows.terms]) for k in range(3))
        matrix = coo_array((values, (rows, columns)), shape=(self._rows.count, count)).tocsc()
        limits = LinearConstraint(matrix, np.concatenate(self._rows.lower), np.concatenate(self._rows.upper))
        lowest, highest = np.zeros(count), np.ones(count)
        lowest[self._always], highest[self._never] = 1.0, 0.0
        charges, whole = np.concatenate(self._charges), np.array(self._whole)
        unit = max(np.abs(charges).max(), np.finfo(float).tiny) / LARGEST
        for integrality in (np.zeros(count, dtype=np.int64), whole.astype(np.int64)):
            found = milp(
                charges / unit,
                bounds=Bounds(lowest, highest),
                constraints=limits,
                integrality=integrality,
                options={"mip_rel_gap": 0.0, "time_limit": time_limit, "presolve": bool(integrality.any())},
            )
            if found.x is None and found.status == 2:
                return np.zeros(count), np.inf
            if found.x is None:
                raise MethodError(f"the programme of {count:,} variables was not solved: {found.message}")
            solution = np.asarray(found.x)
            if (np.abs(solution - np.round(solution))[whole] <= WHOLE).all():
                break
        bound = found.fun if found.mip_dual_bound is None else found.mip_dual_bound
        return solution, unit * float(bound)  # type: ignore[arg-type]


def pair_costs(reduction: Reduction, j: int) -> Floats:
    """[SI, S] what a stage and all that hangs on it cost, infinite where S > SI + T."""
    table, inbound, outbound = reduction.tables[j], reduction.inbound[j], reduction.outbound[j]
    if table.ndim == 1:
        steps = np.arange(len(inbound))[:, None] + (len(outbound) - len(inbound)) - np.arange(len(outbound))
        table = np.where(steps >= 0, table[np.maximum(steps, 0)], np.inf)
    return np.asarray(table + inbound[:, None] + outbound)
