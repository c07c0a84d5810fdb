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

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import special
from scipy.optimize import brentq

from echelon.baselines.lead_time_demand import lead_time_demand
from echelon.baselines.min_max_exact import (
    LARGEST_WINDOW,
    TIE,
    StockCost,
    cost_of_supply,
    require_costs,
    require_stockout_cost,
    require_whole_backorder_theory,
    too_wide,
    whole_demand,
    whole_number,
    windows,
)
from echelon.baselines.plan import Plan
from echelon.baselines.requirements import require, require_positive
from echelon.envs.demand import Law, Normal, Poisson
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
    node, link, law = problem.network.nodes[0], problem.network.links[0], problem.network.laws[0]
    unit = common_unit(whole_demand(law))
    require(
        method,
        {
            "a network of whole units": not problem.network.whole_units,
            f"demand that is not always a multiple of {unit}": unit > 1,
        },
    )
    best = optimal_reorder_lots(
        demand=law,
        holding_cost=node.holding_cost,
        stockout_cost=node.stockout_cost,
        fixed_cost=link.fixed_cost,
        lead_time=link.mean_lead_time,
    )
    return Plan(
        reorder_lots(problem.network, [best.reorder], [best.lot]),
        {"reorder": [best.reorder], "lot": [best.lot]},
        model_cost=best.cost + cost_of_supply(problem),
        citation="A. Federgruen and Y.-S. Zheng, Operations Research 40(4), 1992; "
        "Y.-S. Zheng and F. Chen, Naval Research Logistics 39(3), 1992",
    )


def review_model(demand: Law, lead_time: float, review: Review) -> tuple[Floats, float]:
    """Probabilities of the demands 0, 1, ... of a period, and the periods that a position covers."""
    if review == "periodic":
        return whole_demand(demand), lead_time + 1
    if review != "continuous":
        raise MethodError(f"review must be 'periodic' or 'continuous', got {review!r}")
    if not isinstance(demand, Poisson):
        raise MethodError(f"demand must be Poisson under continuous review, got {type(demand).__name__}")
    return whole_demand(demand), lead_time


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


def normal_reorder_lots_cost(
    reorder: float,
    lot: float,
    *,
    demand: Normal,
    holding_cost: float,
    stockout_cost: float,
    fixed_cost: float,
    lead_time: float,
) -> float:
    """The cost C(r, Q) per unit of time under continuous review where the demand of the lead time is normal.

    ``C(r, Q) = (K l + integral of G(y) over r < y < r + Q) / Q``, l the mean demand per unit of time
    (Snyder and Shen 2019, chapter 5). Exact for demand that comes in steps too small to matter. Demand
    is not truncated at 0. With `lead_time` 0 this is the cost of an EOQ with backorders.
    """
    require_positive("lot", lot)
    if not np.isfinite(reorder):
        raise MethodError(f"reorder must be a finite number, got {reorder:g}")
    return NormalModel.of(demand, holding_cost, stockout_cost, fixed_cost, lead_time).cost(reorder, lot)


def normal_reorder_point(
    lot: float, *, demand: Normal, holding_cost: float, stockout_cost: float, lead_time: float
) -> float:
    """The reorder point r that is best for a given lot Q: the root of G(r) = G(r + Q)."""
    require_positive("lot", lot)
    return NormalModel.of(demand, holding_cost, stockout_cost, 0.0, lead_time).point(lot)


def normal_reorder_lots(
    *, demand: Normal, holding_cost: float, stockout_cost: float, fixed_cost: float, lead_time: float
) -> ReorderLotsResult:
    """The r and Q of least `normal_reorder_lots_cost`; `fixed_cost` must be above 0.

    With the best r for each Q, ``Q (G(r) - C(r, Q))`` grows with Q and is 0 at the optimum. The best lot
    is at least that of demand without variance (Y.-S. Zheng, "On properties of stochastic inventory
    systems", Management Science 38(1), 1992).
    """
    require_positive("fixed_cost", fixed_cost)
    model = NormalModel.of(demand, holding_cost, stockout_cost, fixed_cost, lead_time)

    def slope(lot: float) -> float:
        r = model.point(lot)
        return lot * (model.stock_cost(r) - model.cost(r, lot))

    high = 2 * model.certain_lot
    while slope(high) < 0:
        high *= 2
    lot = root(slope, model.certain_lot / 2, high)
    r = model.point(lot)
    return ReorderLotsResult(r, lot, model.cost(r, lot))


@dataclass(frozen=True)
class NormalModel:
    """Continuous review with normal demand X of the lead time, which has no variance if the lead time is 0."""

    rate: float
    """l: mean demand per unit of time."""
    mean: float
    sd: float
    """Of X, which is not truncated at 0."""
    holding_cost: float
    stockout_cost: float
    fixed_cost: float

    @classmethod
    def of(
        cls, demand: Normal, holding_cost: float, stockout_cost: float, fixed_cost: float, lead_time: float
    ) -> NormalModel:
        """The model of a demand law over a lead time. Raises `MethodError`."""
        require_costs(holding_cost, stockout_cost, fixed_cost, lead_time)
        if not isinstance(demand, Normal):
            raise MethodError(f"demand must be normal, got {type(demand).__name__}")
        total = lead_time_demand(demand, lead_time)
        rate = lead_time_demand(demand, 1).mean
        return cls(rate, total.mean, total.sd, holding_cost, stockout_cost, fixed_cost)

    def loss(self, level: float) -> float:
        """n(y) = E[(X - y)+]."""
        if self.sd == 0:
            return max(self.mean - level, 0.0)
        z = (level - self.mean) / self.sd
        return self.sd * (_density(z) - z * float(special.ndtr(-z)))

    def loss_integral(self, level: float) -> float:
        """The integral of n from y upwards, E[((X - y)+)^2] / 2."""
        if self.sd == 0:
            return max(self.mean - level, 0.0) ** 2 / 2
        z = (level - self.mean) / self.sd
        return self.sd**2 / 2 * ((z**2 + 1) * float(special.ndtr(-z)) - z * _density(z))

    def stock_cost(self, level: float) -> float:
        """G(y)."""
        return self.holding_cost * (level - self.mean) + (self.holding_cost + self.stockout_cost) * self.loss(level)

    def cost(self, reorder: float, lot: float) -> float:
        """C(r, Q)."""
        short = self.loss_integral(reorder) - self.loss_integral(reorder + lot)
        held = self.holding_cost * lot * (reorder + lot / 2 - self.mean)
        return (self.fixed_cost * self.rate + held + (self.holding_cost + self.stockout_cost) * short) / lot

    def point(self, lot: float) -> float:
        """The best r for a lot: G(r + Q) - G(r) grows with r."""

        def rise(r: float) -> float:
            return self.stock_cost(r + lot) - self.stock_cost(r)

        # For a lot that is tiny against the standard deviation, rounding may leave no change of sign.
        low, high = self.best_level - lot, self.best_level
        return root(rise, low, high) if rise(low) < 0 < rise(high) else (low + high) / 2

    @property
    def best_level(self) -> float:
        """The level y at which G is least, F(y) = b / (b + h)."""
        ratio = self.stockout_cost / (self.stockout_cost + self.holding_cost)
        return self.mean + self.sd * float(special.ndtri(ratio))

    @property
    def certain_lot(self) -> float:
        """The best lot for demand without variance, an EOQ with backorders: sqrt(2 K l (h + b) / (h b))."""
        h, b = self.holding_cost, self.stockout_cost
        return math.sqrt(2 * self.fixed_cost * self.rate * (h + b) / (h * b))


def root(function: Callable[[float], float], low: float, high: float) -> float:
    """The root of a function that changes its sign between `low` and `high`."""
    return float(brentq(function, low, high, xtol=1e-13 * max(abs(low), abs(high)), rtol=1e-14))


def _density(z: float) -> float:
    return math.exp(-(z**2) / 2) / math.sqrt(2 * math.pi)


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
