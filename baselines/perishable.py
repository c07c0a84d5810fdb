"""Perishable stock at one location: the optimal orders, by value iteration over stock by remaining life.

What is best to order depends on how old the stock is and on what is under way, not on their total alone. The
model and its symbols are those of `perishable_store`, after B. J. De Moor, J. Gijsbrechts and R. N. Boute,
*European Journal of Operational Research* 301(2), 2022; the theory begins with S. Nahmias, *Operations Research*
23(4), 1975, and B. E. Fries, *Operations Research* 23(1), 1975.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from echelon.baselines import _perishable
from echelon.baselines.option_types import Positive
from echelon.baselines.perishable_store import Floats, Issuing, PerishableStore, store_of, units_by_life
from echelon.baselines.plan import Plan
from echelon.baselines.requirements import require_memory, require_positive
from echelon.baselines.value_iteration import Solution, optimal_cost
from echelon.envs.demand import Law
from echelon.envs.errors import MethodError
from echelon.envs.perishable import DE_MOOR
from echelon.envs.problem import Problem
from echelon.envs.state import State

Orders = NDArray[np.int32]

BYTES_PER_STATE = 32
"""Three tables of values and two of orders."""
MEMORY_LIMIT = 2e9
"""Bytes that a method may take unless the caller says otherwise."""


@dataclass(frozen=True, eq=False)
class PerishableResult:
    """The optimal orders of a store, and bounds on the optimal cost."""

    low: float
    high: float
    """The optimal cost per period lies between the two. With a discount the optimal cost of all periods, from an
    empty store, lies between `low / (1 - discount)` and `high / (1 - discount)`."""
    orders: Orders
    """What to order: axis i - 1 counts x_i, the units that can be used in i periods from now."""

    @property
    def cost(self) -> float:
        """The middle of the interval."""
        return (self.low + self.high) / 2


@dataclass(frozen=True, eq=False)
class OrderTable:
    """A policy that looks its orders up, in a table as that of `PerishableResult`.

    Stock beyond the table, which only the start or another policy can bring about, counts as the most in it.
    """

    orders: Orders
    shelf_life: int

    def __call__(self, state: State) -> Floats:
        """Orders [B, 1]."""
        lives = units_by_life(state, self.shelf_life, self.orders.ndim)
        known = np.minimum(lives, np.array(self.orders.shape, dtype=np.int64) - 1)
        orders = np.broadcast_to(self.orders[tuple(known.T)], state.batch)
        return np.asarray(orders, dtype=np.float64)[:, None]


def perishable_optimum(
    *,
    demand: Law,
    shelf_life: int,
    lead_time: int,
    issuing: Issuing,
    holding_cost: float,
    stockout_cost: float,
    scrap_cost: float,
    unit_cost: float = 0.0,
    max_order: int | None = None,
    discount: float = 1.0,
    tolerance: float = 1e-6,
    memory_limit: float = MEMORY_LIMIT,
) -> PerishableResult:
    """The orders that minimise the cost per period of a store of perishable stock with lost sales.

    A period that begins with ``x_1, ..., x_m`` in stock, ``I`` in all, and in which ``q`` units are ordered costs
    ``c q + h E[(I - D)+] + p E[(D - I)+] + w E[Z]``: holding is charged on all that is left, before the units
    ``Z`` in their last period are scrapped, ``(x_1 - D)+`` of them by FIFO and ``min(x_1, (I - D)+)`` by LIFO.
    (De Moor et al. hold only what is kept: their waste cost is ``scrap_cost + holding_cost`` here.)

    `low` and `high` prove the cost to within `tolerance` (money per period). Orders up to `max_order` are
    tried, or up to `largest_order`, which no optimal order exceeds, if that is less. With a `discount` below 1
    the orders minimise the discounted cost instead. Demand that does not vary, or is 0, is allowed. Raises
    `MethodError` where the tables would take more than `memory_limit` bytes.

    >>> from echelon.envs.demand import Poisson
    >>> costs = {"holding_cost": 1, "stockout_cost": 5, "scrap_cost": 6, "unit_cost": 3}
    >>> best = perishable_optimum(demand=Poisson(mean=4), shelf_life=2, lead_time=1, issuing="fifo", **costs)
    >>> round(best.cost, 4), int(best.orders[0, 4])
    (15.1784, 3)
    """
    store = PerishableStore(
        demand=demand,
        shelf_life=shelf_life,
        lead_time=lead_time,
        issuing=issuing,
        holding_cost=holding_cost,
        stockout_cost=stockout_cost,
        scrap_cost=scrap_cost,
        unit_cost=unit_cost,
        max_order=max_order,
    )
    return optimal_orders(store, discount=discount, tolerance=tolerance, memory_limit=memory_limit)


def optimal_orders(
    store: PerishableStore, *, discount: float = 1.0, tolerance: float = 1e-6, memory_limit: float = MEMORY_LIMIT
) -> PerishableResult:
    """`perishable_optimum` of a store."""
    require_positive("tolerance", tolerance)
    if not 0 < discount <= 1:
        raise MethodError(f"discount must be above 0 and at most 1, got {discount:g}")
    largest = largest_order(store, discount=discount)
    size = 1 + (largest if store.max_order is None else min(largest, store.max_order))
    fits = max(int((memory_limit / BYTES_PER_STATE) ** (1 / max(store.digits, 1))) - 1, 0)
    advice = f"a max_order of {fits} would fit"
    require_memory("perishable_optimal", size**store.digits, BYTES_PER_STATE, memory_limit, advice=advice)
    solution = _solve(store, size, discount, tolerance)
    return PerishableResult(solution.low, solution.high, solution.policy.reshape((size,) * store.digits))


def largest_order(store: PerishableStore, *, discount: float = 1.0) -> int:
    """A quantity that no optimal order needs to exceed.

    Of an order of q units the last one is sold only if the demand of the ``m`` periods of its life is q or
    more, say with probability ``u``. If it is, then it, or a unit that it replaces, saves one lost sale at most;
    if not, it is held for m periods and scrapped. A policy that orders it can be improved by leaving it
    out if ``p u <= c + (1 - u) (m h + w)``, that is if
    ``P(demand of m periods < q) >= (p - c) / (p + m h + w)``. (With a discount, gains count from the earliest
    period in which they can arise, and costs from the latest.)
    """
    gain = store.stockout_cost * discount**store.lead_time - store.unit_cost
    if gain <= 0:
        return 0
    loss = store.unit_cost + (store.shelf_life * store.holding_cost + store.scrap_cost) * discount**store.digits
    below = np.cumsum(store.total_demand(store.shelf_life))
    return min(int(np.searchsorted(below, gain / (gain + loss))), len(below) - 1)


def perishable_optimal(problem: Problem, *, tolerance: Positive = 1e-6, memory_limit: Positive = MEMORY_LIMIT) -> Plan:
    """The optimal orders of a single location with perishable stock and lost sales, as a table.

    Raises `MethodError` where the model of `perishable_optimum` does not hold, or the table would be too large.
    """
    store = store_of(problem, "perishable_optimal")
    best = optimal_orders(store, tolerance=tolerance, memory_limit=memory_limit)
    return Plan(
        OrderTable(best.orders, store.shelf_life),
        {"low": best.low, "high": best.high, "states": best.orders.size},
        model_cost=best.cost,
        optimal=True,
        citation=DE_MOOR,
    )


def _solve(store: PerishableStore, size: int, discount: float, tolerance: float) -> Solution:
    tables = _tables(store, size, discount)
    following, totals = np.empty(len(tables.stock_cost), dtype=np.int64), np.empty(size)

    def improve(values: Floats, new: Floats, policy: Orders) -> tuple[float, float]:
        low, high = _perishable.improve(tables, values, new, policy, following, totals)
        return float(low), float(high)

    def evaluate(values: Floats, new: Floats, policy: Orders) -> tuple[float, float]:
        low, high = _perishable.evaluate(tables, values, new, policy, following)
        return float(low), float(high)

    states = size**store.digits
    return optimal_cost(improve, evaluate, np.zeros(states), np.zeros(states, dtype=np.int32), tolerance=tolerance)


def _tables(store: PerishableStore, size: int, discount: float) -> _perishable.Tables:
    in_stock = np.arange(store.shelf_life * (size - 1) + 1)
    return _perishable.Tables(
        size=size,
        life=store.shelf_life,
        lead_time=store.lead_time,
        fifo=store.issuing == "fifo",
        weights=size ** np.arange(store.digits, -1, -1, dtype=np.int64),
        chance=discount * store.pmf,
        at_least=discount * np.cumsum(store.pmf[::-1])[::-1],
        stock_cost=store.stock_cost(in_stock),
        scrap_cost=store.scrap_cost * store.left_over(in_stock),
        order_cost=store.unit_cost * np.arange(size, dtype=np.float64),
    )
