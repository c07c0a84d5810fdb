"""Dual sourcing: the optimal orders on a slow, cheap and a fast, dear source, by value iteration.

The states are those of `dual_sourcing_system`. With a difference l of one period between the lead times
two base-stock levels are optimal (Y. Fukuda, *Management Science* 10(4), 1964); with more the optimal
orders depend on every regular order that is pending, and the table has l axes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from echelon.baselines import _dual_sourcing
from echelon.baselines.dual_sourcing_system import DualSourcing, Sources, dual_sourcing_of
from echelon.baselines.option_types import Positive
from echelon.baselines.plan import Plan
from echelon.baselines.requirements import require_memory, require_positive
from echelon.baselines.value_iteration import Solution, optimal_cost
from echelon.envs.demand import Law
from echelon.envs.problem import Problem
from echelon.envs.state import State

Floats = NDArray[np.float64]
Units = NDArray[np.int32]

BYTES_PER_STATE = 41
"""Four tables of values, two of actions, and a mark."""
MEMORY_LIMIT = 2e9
"""Bytes."""
SHEOPURI = (
    "A. Sheopuri, G. Janakiraman and S. Seshadri, New policies for the stochastic inventory control problem with two "
    "supply sources, Operations Research 58(3), 2010"
)


@dataclass(frozen=True, eq=False)
class DualSourcingResult:
    """Optimal orders and proven bounds on the optimal cost, purchases included."""

    low: float
    high: float
    expedited: Units
    """What to expedite [P, ..., P, X]. The last axis is the expedited position, `lowest` first; axis i counts the
    regular units that enter it in i + 1 periods."""
    regular: Units
    """What to order from the regular source, on the same axes."""
    lowest: int
    """The expedited position is always raised to this at least."""
    sweeps: int

    @property
    def cost(self) -> float:
        """The middle of the interval."""
        return (self.low + self.high) / 2


@dataclass(frozen=True, eq=False)
class SourcingTable:
    """A policy that reads both orders from the tables of a `DualSourcingResult`.

    Positions and pipelines beyond the tables, which only the start can bring about, count as the last in them.
    """

    sources: Sources
    expedited: Units
    regular: Units
    lowest: int

    def __call__(self, state: State) -> Floats:
        """Orders [B, 2]."""
        level = self.sources.expedited_position(state) - self.lowest
        at = np.clip(level, 0, self.expedited.shape[-1] - 1).astype(np.int64)
        pipe = np.minimum(self.sources.pending(state), self.expedited.shape[0] - 1).astype(np.int64)
        entry = (*pipe.T, at)
        return self.sources.orders(self.expedited[entry] + np.maximum(-level, 0), self.regular[entry])


def dual_sourcing_optimum(
    *,
    demand: Law,
    regular_lead_time: int,
    expedited_lead_time: int = 0,
    regular_cost: float,
    expedited_cost: float,
    holding_cost: float,
    stockout_cost: float,
    tolerance: float = 1e-5,
    memory_limit: float = MEMORY_LIMIT,
) -> DualSourcingResult:
    """The orders on both sources that minimise the average cost per period, purchases included.

    Demand is in whole units, independent and of one law. Value iteration proves the cost to within
    `tolerance`, money per period, for tables that end somewhere; they are made larger until the optimal
    policy, wherever its own stock moves, stays clear of their ends. That suffices, since the problem is
    discretely convex (multimodular: Q. Li and P. Yu, *Manufacturing & Service Operations Management* 16(3),
    2014): a bound that does not bind at the optimum can be dropped.

    Demand without variance gives `regular_cost` times the demand: stock never waits. Raises `MethodError`
    for an expedited source that is not dearer, and where the tables would take more than `memory_limit` bytes.
    """
    system = DualSourcing(
        demand=demand,
        regular_lead_time=regular_lead_time,
        expedited_lead_time=expedited_lead_time,
        regular_cost=regular_cost,
        expedited_cost=expedited_cost,
        holding_cost=holding_cost,
        stockout_cost=stockout_cost,
    )
    return optimal_orders(system, tolerance=tolerance, memory_limit=memory_limit)


def optimal_orders(
    system: DualSourcing, *, tolerance: float = 1e-5, memory_limit: float = MEMORY_LIMIT
) -> DualSourcingResult:
    """`dual_sourcing_optimum` of a system."""
    require_positive("tolerance", tolerance)
    box = _first_box(system)
    while True:
        _require_fit(system, box, memory_limit)
        solution = _solve(system, box, tolerance)
        larger = _enlarged(system, box, solution.policy)
        if larger == box:
            break
        box = larger
    expedited, regular = np.divmod(solution.policy, box.size)
    axes = (box.size,) * (system.lead - 1) + (box.width,)
    purchases = system.regular_cost * system.mean_demand
    return DualSourcingResult(
        solution.low + purchases,
        solution.high + purchases,
        expedited.reshape(axes),
        regular.reshape(axes),
        box.lowest,
        solution.sweeps,
    )


def dual_sourcing_optimal(
    problem: Problem, *, tolerance: Positive = 1e-5, memory_limit: Positive = MEMORY_LIMIT
) -> Plan:
    """The optimal orders on the two sources of a single location, see `dual_sourcing_optimum`.

    The faster link is the expedited source. Raises `MethodError` where the model does not hold.
    """
    system, sources = dual_sourcing_of(problem, "dual_sourcing_optimal")
    best = optimal_orders(system, tolerance=tolerance, memory_limit=memory_limit)
    return Plan(
        SourcingTable(sources, best.expedited, best.regular, best.lowest),
        {"low": best.low, "high": best.high, "states": best.regular.size},
        model_cost=best.cost,
        optimal=True,
        citation=SHEOPURI,
    )


@dataclass(frozen=True)
class _Box:
    """Where the tables end: expedited positions from lowest to highest, regular orders below size."""

    lowest: int
    highest: int
    size: int

    @property
    def width(self) -> int:
        return self.highest - self.lowest + 1

    def states(self, lead: int) -> int:
        return int(self.width * self.size ** (lead - 1))


def _first_box(system: DualSourcing) -> _Box:
    """From what demand alone would take the position to below its best level, up to what one slow source would hold."""
    level = int(system.cover.quantile(system.critical_ratio))
    margin = 2 + int(np.ceil(system.mean_demand))
    highest = int(system.total_demand(system.regular_lead_time + 1).quantile(system.critical_ratio))
    return _Box(level - margin, max(highest, level) + 1, margin)


def _require_fit(system: DualSourcing, box: _Box, limit: float) -> None:
    leads = [lead for lead in range(1, system.lead) if box.states(lead) * BYTES_PER_STATE <= limit]
    advice = f"with this demand it takes lead times that differ by at most {len(leads)}"
    require_memory("dual_sourcing_optimal", box.states(system.lead), BYTES_PER_STATE, limit, advice=advice)


def _solve(system: DualSourcing, box: _Box, tolerance: float) -> Solution:
    tables = _tables(system, box)
    shape = (box.size ** (system.lead - 1), box.width)
    expected = np.empty(shape)

    def improve(values: Floats, new: Floats, policy: Units) -> tuple[float, float]:
        low, high = _dual_sourcing.improve(tables, values, new, policy, expected)
        return float(low), float(high)

    def evaluate(values: Floats, new: Floats, policy: Units) -> tuple[float, float]:
        low, high = _dual_sourcing.evaluate(tables, values, new, policy, expected)
        return float(low), float(high)

    return optimal_cost(improve, evaluate, np.zeros(shape), np.zeros(shape, dtype=np.int32), tolerance=tolerance)


def _tables(system: DualSourcing, box: _Box) -> _dual_sourcing.Tables:
    positions = np.arange(box.lowest, box.highest + 1)
    return _dual_sourcing.Tables(box.size, system.premium, system.pmf, system.period_cost(positions))


def _enlarged(system: DualSourcing, box: _Box, policy: Units) -> _Box:
    """The box with its ends moved where the policy, once it has settled, touches them."""
    tables = _tables(system, box)
    seen, touched = np.zeros(policy.shape, dtype=np.uint8), np.zeros(3, dtype=np.bool_)
    seen[_settled(tables, policy)] = 1
    while _dual_sourcing.visit(tables, policy, seen, touched):
        pass
    step = max(2, box.width // 3)
    return replace(
        box,
        lowest=box.lowest - step * int(touched[0]),
        highest=box.highest + step * int(touched[1]),
        size=box.size + max(1, box.size // 4) * int(touched[2]),
    )


def _settled(tables: _dual_sourcing.Tables, policy: Units) -> tuple[int, int]:
    """A state to which the policy returns: where it ends under the likeliest positive demand, again and again."""
    demand = int(np.argmax(tables.pmf[1:])) + 1 if len(tables.pmf) > 1 else 0
    pipes, width = policy.shape
    state, passed = (0, 0), set[tuple[int, int]]()
    while state not in passed:
        passed.add(state)
        units, order = divmod(int(policy[state]), tables.size)
        entering, pipe = divmod(state[0] * tables.size + order, pipes)
        level = min(state[1] + units + entering, width - 1) - demand
        state = (pipe, max(level, 0))
    return state
