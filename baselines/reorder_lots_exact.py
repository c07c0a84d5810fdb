"""(r, Q) policies at a single location with backorders: the exact cost of any, and the best.

When the inventory position is at or below the reorder point r, as many lots of Q are ordered as raise
it above r: (r, nQ). In the long run the position is then uniform on r + 1, ..., r + Q, whatever the
law of demand, so that the cost per period is

    C(r, Q) = (K w(Q) + G(r + 1) + ... + G(r + Q)) / Q

with G(y) the expected holding and stockout cost that follows from position y. Two clocks:

- `review="continuous"`, Poisson demand of rate l: the demand that y covers is that of the lead time L,
  every lot is ordered on its own, w(Q) = l. A. Federgruen and Y.-S. Zheng, "An efficient algorithm for
  computing an optimal (r, Q) policy in continuous review stochastic inventory systems", Operations
  Research 40(4), 1992.
- `review="periodic"`, any demand in whole units: y covers L + 1 periods, and the fixed cost is paid
  once per period with an order, whatever the number of lots. An order follows when the demand D of the
  period takes the uniform position down to r or below, so that w(Q) = E[min(D, Q)]. The policy is that
  of Y.-S. Zheng and F. Chen, "Inventory policies with quantized ordering", Naval Research Logistics
  39(3), 1992.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.flow_cost import flow_cost
from echelon.baselines.lead_time_demand import lead_time_demand
from echelon.baselines.plan import Plan
from echelon.baselines.renewal_reward import LARGEST_WINDOW, TIE, too_wide, windows
from echelon.baselines.reorder_model import (
    arguments_of,
    require_costs,
    require_stockout_cost,
    require_whole_backorder_theory,
    some_whole_demand,
    whole_number,
)
from echelon.baselines.requirements import require, require_positive
from echelon.baselines.stock_cost import StockCost
from echelon.envs.demand import Law, Poisson
from echelon.envs.errors import MethodError
from echelon.envs.policy import reorder_lots
from echelon.envs.problem import Problem

Floats = NDArray[np.float64]
Review = Literal["periodic", "continuous"]


@dataclass(frozen=True)
class ReorderLotsResult:
    """A reorder point and a lot (units), with the expected cost per period or unit of time."""

    reorder: float
    lot: float
    cost: float


def optimal_reorder_lots(
    *,
    demand: Law,
    holding_cost: float,
    stockout_cost: float,
    fixed_cost: float,
    lead_time: float = 0,
    review: Review = "periodic",
) -> ReorderLotsResult:
    """The (r, Q) policy that costs least on average, with r and Q whole.

    The best Q positions are the Q cheapest, which lie side by side as G is convex: start at the cheapest
    one and add the cheaper neighbour, until it is dearer than the average cost C(Q). No later Q is better
    then: in `C(Q')` for Q' > Q replace w(Q') by w(Q), which it is not below, and the averages of what is
    left only grow from C(Q) on. Under periodic review an earlier Q may be; all are compared.

    With K = 0 the lot is 1: a base-stock policy. Raises `MethodError` for demand that is not in whole
    units or is always a multiple of some number above 1.

    >>> costs = {"holding_cost": 20, "stockout_cost": 150, "fixed_cost": 100}
    >>> best = optimal_reorder_lots(demand=Poisson(mean=1.5), lead_time=2, review="continuous", **costs)
    >>> best.reorder, best.lot, round(best.cost, 4)
    (3, 5, 107.9236)
    """
    require_costs(holding_cost, stockout_cost, fixed_cost, lead_time)
    sizes, cover = review_model(demand, lead_time, review)
    require_single_units(sizes)
    stock = StockCost(lead_time_demand(demand, cover), holding_cost, stockout_cost)
    for size in windows(LARGEST_WINDOW):
        best = _grow(stock, fixed_cost * orders_in_lots(demand, sizes, 2 * size, review), size)
        if best is not None:
            return best
    raise too_wide("optimal_reorder_lots", LARGEST_WINDOW)


def reorder_lots_cost(
    reorder: float,
    lot: float,
    *,
    demand: Law,
    holding_cost: float,
    stockout_cost: float,
    fixed_cost: float,
    lead_time: float = 0,
    review: Review = "periodic",
) -> float:
    """The exact expected cost C(r, Q) of an (r, Q) policy with whole r and Q.

    Raises `MethodError` where demand and `lot` have a common divisor above 1: the position then keeps
    the remainder that it starts with, and the cost depends on it.
    """
    require_costs(holding_cost, stockout_cost, fixed_cost, lead_time)
    r, size = whole_number("reorder", reorder), whole_number("lot", lot)
    require_positive("lot", size)
    sizes, cover = review_model(demand, lead_time, review)
    if (unit := int(np.gcd(common_unit(sizes), size))) > 1:
        raise MethodError(f"demand and lot must have no common divisor, got multiples of {unit} and a lot of {size}")
    stock = StockCost(lead_time_demand(demand, cover), holding_cost, stockout_cost)
    setup = fixed_cost * orders_in_lots(demand, sizes, size, review)[-1]
    return float((setup + stock(r + 1 + np.arange(float(size))).sum()) / size)


def optimal_reorder_lots_plan(problem: Problem) -> Plan:
    """The best (r, nQ) policy of a single location with backorders and a fixed cost per order.

    An (s, S) policy costs as little or less (`optimal_min_max`); lots of one size are for goods that
    come by the case. Raises `MethodError` where the model does not hold, with the rule that is broken.
    """
    method = "optimal_reorder_lots"
    require_whole_backorder_theory(problem, method)
    require_stockout_cost(problem, method)
    unit = common_unit(some_whole_demand(problem.network.laws[0]))
    require(
        method,
        {
            "a network of whole units": not problem.network.whole_units,
            f"demand that is not always a multiple of {unit}": unit > 1,
        },
    )
    best = optimal_reorder_lots(**arguments_of(problem))
    return Plan(
        reorder_lots(problem.network, [best.reorder], [best.lot]),
        {"reorder": [best.reorder], "lot": [best.lot]},
        model_cost=best.cost + flow_cost(problem.network),
        citation="A. Federgruen and Y.-S. Zheng, An efficient algorithm for computing an optimal (r, Q) policy in "
        "continuous review stochastic inventory systems, Operations Research 40(4), 1992; "
        "Y.-S. Zheng and F. Chen, Inventory policies with quantized ordering, Naval Research Logistics 39(3), 1992",
    )


def review_model(demand: Law, lead_time: float, review: Review) -> tuple[Floats, float]:
    """Probabilities of the demands 0, 1, ... of a period, and the periods that a position covers."""
    if review == "periodic":
        return some_whole_demand(demand), lead_time + 1
    if review != "continuous":
        raise MethodError(f"review must be 'periodic' or 'continuous', got {review!r}")
    if not isinstance(demand, Poisson):
        raise MethodError(f"demand must be Poisson under continuous review, got {type(demand).__name__}")
    return some_whole_demand(demand), lead_time


def orders_in_lots(demand: Law, sizes: Floats, most: int, review: Review) -> Floats:
    """w(Q), Q = 1, ..., `most`: a period's expected orders times Q."""
    if review == "continuous":
        return np.full(most, demand.mean_demand)
    beyond = np.zeros(most)
    tails = np.cumsum(sizes[::-1])[::-1][1 : most + 1]
    beyond[: len(tails)] = tails
    return np.cumsum(beyond)


def common_unit(sizes: Floats) -> int:
    """The greatest common divisor of the demands that can occur."""
    return int(np.gcd.reduce(np.flatnonzero(sizes)))


def require_single_units(sizes: Floats) -> None:
    """Raise `MethodError` if demand is always a multiple of some number above 1.

    Where the lot is one as well, the position keeps the remainder that it starts with.
    """
    if (unit := common_unit(sizes)) > 1:
        raise MethodError(f"demand must not always be a multiple of {unit}: count it in units of {unit}")


def _grow(stock: StockCost, setup: Floats, size: int) -> ReorderLotsResult | None:
    """The algorithm of Federgruen and Zheng; None if it leaves the window of `size` units around the best level.

    `setup` is K w(Q) for Q = 1, 2, ... Levels are counted from the bottom of the window.
    """
    bottom = int(stock.best_level) - size
    g = stock(bottom + np.arange(2.0 * size + 1))
    low = high = size
    total = float(g[size])
    best = (float(setup[0]) + total, low, 1)
    while low > 0 and high < 2 * size:
        lot = high - low + 1
        neighbour = float(min(g[low - 1], g[high + 1]))
        if neighbour >= (setup[lot - 1] + total) / lot:
            return ReorderLotsResult(bottom + best[1] - 1, best[2], best[0])
        low, high = (low - 1, high) if g[low - 1] <= g[high + 1] else (low, high + 1)
        total += neighbour
        cost = float(setup[lot] + total) / (lot + 1)
        if cost < best[0] * (1 - TIE):
            best = (cost, low, lot + 1)
    return None
