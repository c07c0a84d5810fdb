"""The exact optimum of one location with lost sales and a lead time, by value iteration on few states.

Notation is that of `lost_sales_system`. Zipkin's (2008) state is the stock on hand and the L - 1
orders on their way. A table over a box of such states is out of reach from L = 5 on, but an optimal
policy never leaves a small corner of the box: of the units that arrive in k periods or later, the new
order included, it never holds more than the newsvendor quantile ``s_k`` (`LostSalesSystem.limits`).
The states within all L + 1 limits are closed under demand and under orders that keep to the limits,
so that value iteration on them alone is exact.

The table: a pipeline is a number with the digits q_1, ..., q_{L-1} to the base ``s_L + 1``, and its
states ``x = 0, 1, ..., s_0 - sum q`` lie side by side. With the order z as one digit more at the end,
the first digit is what arrives next and the others are the next pipeline.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echelon.baselines import _lost_sales
from echelon.baselines.lost_sales_system import Ints, LostSalesPolicy, LostSalesSystem, system_of
from echelon.baselines.option_types import Positive
from echelon.baselines.plan import Plan
from echelon.baselines.requirements import require_memory, require_positive
from echelon.baselines.value_iteration import optimal_cost
from echelon.envs.demand import Law
from echelon.envs.problem import Problem

CITATION = "P. Zipkin, Old and new methods for lost-sales inventory systems, Operations Research 56(5), 2008"
MEMORY = 4 * 2**30
"""Bytes that a table may take unless the caller says otherwise."""
STATE_BYTES, PIPELINE_BYTES = 20, 8
"""Memory for a state (its value before and after a sweep, its order) and for a pipeline."""


@dataclass(frozen=True, eq=False)
class LostSalesTable:
    """The order of every state within the limits, as a rule for all states.

    Beyond the limits it orders nothing: the optimal policy gets there only from an initial stock.
    """

    limits: Ints
    """[L + 1] s_0, ..., s_L."""
    start: Ints
    """[P + 1] where the states of each pipeline begin."""
    orders: NDArray[np.int32]
    """[S] the order of each state."""

    @property
    def states(self) -> int:
        """S, the number of states within the limits."""
        return len(self.orders)

    def __call__(self, on_hand: Ints, pipeline: Ints) -> Ints:
        """Orders [B] for stock on hand [B] and pipelines [B, L - 1]."""
        base = int(self.limits[-1]) + 1
        inside = (pipeline < base).all(1)
        number = (np.minimum(pipeline, base - 1) * self._weights).sum(1)
        first, beyond = self.start[number], self.start[number + 1]
        inside &= first + on_hand < beyond
        orders = self.orders[np.where(inside, first + on_hand, 0)].astype(np.int64)
        return np.where(inside, orders, 0)

    @cached_property
    def _weights(self) -> Ints:
        """[L - 1] what a unit of each digit adds to the number of a pipeline."""
        digits = max(len(self.limits) - 2, 0)
        return np.asarray((self.limits[-1] + 1) ** np.arange(digits - 1, -1, -1))


@dataclass(frozen=True, eq=False)
class LostSalesSolution:
    """The optimal average cost per period, proven to lie between `low` and `high`, and the orders that attain it."""

    low: float
    high: float
    table: LostSalesTable

    @property
    def cost(self) -> float:
        """The middle of the interval."""
        return (self.low + self.high) / 2

    @property
    def states(self) -> int:
        """Number of states that the iteration ran over."""
        return self.table.states


def lost_sales_optimum(
    *,
    demand: Law,
    lead_time: int,
    holding_cost: float,
    stockout_cost: float,
    purchase_cost: float = 0.0,
    tolerance: float = 1e-5,
    memory_limit: float = MEMORY,
) -> LostSalesSolution:
    """The optimal policy of a location with lost sales and its cost per period, to within `tolerance` (money).

    Demand comes in whole units and varies. Without a lead time the best policy orders up to the
    newsvendor level s_0. Raises `MethodError` where the states need more than `memory_limit` bytes.

    >>> from echelon.envs.demand import Poisson
    >>> best = lost_sales_optimum(demand=Poisson(mean=5), lead_time=2, holding_cost=1, stockout_cost=4)
    >>> round(best.cost, 4), best.states
    (4.3953, 124)
    """
    require_positive("tolerance", tolerance)
    system = LostSalesSystem(demand, lead_time, holding_cost, stockout_cost, purchase_cost)
    if lead_time == 0:
        return _without_lead_time(system)
    states, pipelines = table_size(system.limits)
    _require_room(system, states, pipelines, memory_limit)
    start = np.zeros(pipelines + 1, np.int64)
    _lost_sales.lay_out(system.limits, lead_time - 1, start)
    improve = _sweep(system, start)
    # A sweep that follows a policy reads the table in no better order and takes as long as one that improves it.
    solution = optimal_cost(
        improve, improve, np.zeros(states), np.zeros(states, np.int32), tolerance=tolerance, evaluations=0
    )
    return LostSalesSolution(solution.low, solution.high, LostSalesTable(system.limits, start, solution.policy))


def lost_sales_optimal(problem: Problem, *, tolerance: Positive = 1e-5, memory_limit: Positive = MEMORY) -> Plan:
    """The optimal policy of one location with lost sales, as a table.

    Raises `MethodError` where the model does not hold, or where the table would be too large.
    """
    system = system_of(problem, "lost_sales_optimal")
    best = lost_sales_optimum(
        demand=system.demand,
        lead_time=system.lead_time,
        holding_cost=system.holding_cost,
        stockout_cost=system.stockout_cost,
        purchase_cost=system.purchase_cost,
        tolerance=tolerance,
        memory_limit=memory_limit,
    )
    policy = LostSalesPolicy(best.table, system.lead_time)
    parameters = {"low": best.low, "high": best.high, "states": best.states}
    return Plan(policy, parameters, model_cost=best.cost, optimal=True, citation=CITATION)


def table_size(limits: Ints) -> tuple[int, int]:
    """Number of states within the limits s_0, ..., s_L, and of pipelines in the box around them."""
    most, base, digits = int(limits[0]), int(limits[-1]) + 1, max(len(limits) - 2, 0)
    ways = [1]  # by the sum of the digits so far, from q_{L-1} to q_1; Python's numbers do not overflow
    for k in range(digits, 0, -1):
        upto = [0, *accumulate(ways)]
        last = len(ways)
        sums = range(int(limits[k + 1]) + 1)
        ways = [upto[min(total + 1, last)] - upto[min(max(total - base + 1, 0), last)] for total in sums]
    return sum(many * (most + 1 - total) for total, many in enumerate(ways)), base**digits


def _require_room(system: LostSalesSystem, states: int, pipelines: int, limit: float) -> None:
    needed = states * STATE_BYTES + pipelines * PIPELINE_BYTES
    if needed <= limit:
        return
    fits = 0
    while _bytes(system.limits[-fits - 2 :]) <= limit:
        fits += 1
    advice = f"the longest lead time that fits is {fits}, here it is {system.lead_time}"
    require_memory("lost_sales_optimal", states, -(-needed // states), limit, advice=advice)


def _bytes(limits: Ints) -> int:
    states, pipelines = table_size(limits)
    return states * STATE_BYTES + pipelines * PIPELINE_BYTES


def _sweep(system: LostSalesSystem, start: Ints) -> Any:
    """The sweep of value iteration over the table."""
    limits = system.limits
    size = int(limits[0]) + 1
    constants = (system.pmf(size), system.at_least(size), system.period_cost(np.arange(size)))
    working = (np.empty(size), np.empty(size), np.empty(size, np.int64))
    heads = (int(limits[-1]) + 1) ** (system.lead_time - 1)

    def sweep(values: NDArray[Any], new: NDArray[Any], policy: NDArray[Any]) -> tuple[float, float]:
        low, high = _lost_sales.improve(values, start, limits, heads, *constants, new, policy, *working)
        return float(low), float(high)

    return sweep


def _without_lead_time(system: LostSalesSystem) -> LostSalesSolution:
    level = int(system.limits[0])
    cost = float(system.period_cost(np.array(level)))
    orders = np.arange(level, -1, -1, dtype=np.int32)
    return LostSalesSolution(cost, cost, LostSalesTable(system.limits, np.array([0, level + 1]), orders))
