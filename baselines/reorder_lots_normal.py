"""(r, Q) policies under continuous review where the demand of the lead time is normal: exact cost and the best.

The sum over the positions r + 1, ..., r + Q of `reorder_lots_exact` becomes an integral, with G(y) = h (y - E[X]) +
(h + b) n(y), X the demand of the lead time and n(y) = E[(X - y)+]: Snyder and Shen, *Fundamentals of Supply
Chain Theory* (2nd ed., 2019), chapter 5.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

from scipy import special
from scipy.optimize import brentq

from echelon.baselines.lead_time_demand import lead_time_demand
from echelon.baselines.loss_functions import standard_normal_loss, standard_normal_second_loss
from echelon.baselines.reorder_lots_exact import ReorderLotsResult
from echelon.baselines.reorder_model import require_costs
from echelon.baselines.requirements import require_positive
from echelon.envs.demand import Normal
from echelon.envs.errors import MethodError


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
    if not math.isfinite(reorder):
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
        return self.sd * float(standard_normal_loss((level - self.mean) / self.sd))

    def loss_integral(self, level: float) -> float:
        """The integral of n from y upwards, E[((X - y)+)^2] / 2."""
        if self.sd == 0:
            return max(self.mean - level, 0.0) ** 2 / 2
        return self.sd**2 * float(standard_normal_second_loss((level - self.mean) / self.sd))

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
