"""Quick approximations of the best (r, Q) policy under continuous review with normal demand.

Four textbook methods (Snyder and Shen, *Fundamentals of Supply Chain Theory*, 2nd ed., 2019, chapter 5;
G. Hadley and T. M. Whitin, *Analysis of Inventory Systems*, 1963). All take the demand per unit of
time, `holding_cost` h per unit and unit of time, `fixed_cost` K > 0 per order and the lead time L. Below,
l is the mean demand per unit of time, X the demand of the lead time, F its distribution function and
n(r) = E[(X - r)+]. The cost that comes with a result is the exact one, `normal_reorder_lots_cost`,
except in `expected_inventory_level_lots`; the optimum is `normal_reorder_lots`. With `lead_time` 0 nothing is
uncertain: `eoq_backorder_lots` and `loss_function_lots` are then optimal, the other two an EOQ.
"""

from __future__ import annotations

import math
from collections.abc import Callable

from scipy import special

from echelon.baselines.reorder_lots_exact import ReorderLotsResult
from echelon.baselines.reorder_lots_normal import NormalModel, root
from echelon.baselines.requirements import require_positive
from echelon.envs.demand import Normal
from echelon.envs.errors import MethodError

MOST_STEPS = 10_000
"""Steps after which an iteration is given up."""


def expected_inventory_level_lots(
    *, demand: Normal, holding_cost: float, stockout_cost: float, fixed_cost: float, lead_time: float
) -> ReorderLotsResult:
    """The expected-inventory-level method (EIL): r and Q by turns, with its own approximate cost.

    ``Q = sqrt(2 l (K + p n(r)) / h)`` and ``F(r) = 1 - Q h / (p l)``, from the EOQ on, to minimise

        h (r - l L + Q / 2) + K l / Q + p l n(r) / Q.

    Unlike in the other methods `stockout_cost` p is money per unit short, *however long it waits*. The
    inventory level stands for the stock on hand, which is right where backorders are rare. Raises
    `MethodError` where it is cheaper to hold nothing: then no r satisfies the second equation.
    """
    model = _model(demand, holding_cost, stockout_cost, fixed_cost, lead_time)

    def point(lot: float) -> float:
        share = lot * holding_cost / (stockout_cost * model.rate)
        if share >= 1:
            raise MethodError(
                f"stockout_cost must be above holding_cost * lot / demand = {share * stockout_cost:g} "
                f"for this method, got {stockout_cost:g}"
            )
        return model.mean - model.sd * float(special.ndtri(share))

    def next_lot(lot: float) -> float:
        return _eoq(model, fixed_cost + stockout_cost * model.loss(point(lot)))

    lot = _settle(next_lot, _eoq(model, fixed_cost))
    r = point(lot)
    ordering = model.rate * (fixed_cost + stockout_cost * model.loss(r)) / lot
    return ReorderLotsResult(r, lot, holding_cost * (r - model.mean + lot / 2) + ordering)


def eoq_backorder_lots(
    *, demand: Normal, holding_cost: float, stockout_cost: float, fixed_cost: float, lead_time: float
) -> ReorderLotsResult:
    """The EOQB method: the lot of an EOQ with backorders, and the r that is best for it.

    ``Q = sqrt(2 K l (h + b) / (h b))``, then G(r) = G(r + Q), with `stockout_cost` b per unit and unit of
    time. It costs at most an eighth more than the optimum (Zheng 1992).
    """
    model = _model(demand, holding_cost, stockout_cost, fixed_cost, lead_time)
    return _priced(model, model.point(model.certain_lot), model.certain_lot)


def eoq_safety_stock_lots(
    *, demand: Normal, holding_cost: float, stockout_cost: float, fixed_cost: float, lead_time: float
) -> ReorderLotsResult:
    """The EOQ+SS method: the EOQ, and a reorder point with the newsvendor's safety stock.

    ``Q = sqrt(2 K l / h)`` and ``F(r) = b / (b + h)``, with `stockout_cost` b per unit and unit of time. It
    ignores that the position is above r most of the time, and holds too much.
    """
    model = _model(demand, holding_cost, stockout_cost, fixed_cost, lead_time)
    return _priced(model, model.best_level, _eoq(model, fixed_cost))


def loss_function_lots(
    *, demand: Normal, holding_cost: float, stockout_cost: float, fixed_cost: float, lead_time: float
) -> ReorderLotsResult:
    """The loss-function method: the conditions for the optimum without the shortages above r + Q.

    ``n(r) = Q h / (h + b)`` and ``Q = sqrt(2 (K l + (h + b) m(r)) / h)`` by turns, with m the integral of n
    from r upwards and `stockout_cost` b per unit and unit of time.
    """
    model = _model(demand, holding_cost, stockout_cost, fixed_cost, lead_time)
    penalty = holding_cost + stockout_cost

    def point(lot: float) -> float:
        """The r with n(r) = Q h / (h + b); it is at least E[X] - n(r)."""
        short = lot * holding_cost / penalty
        high = model.mean + model.sd
        while model.loss(high) > short:
            high += model.sd
        return root(lambda r: model.loss(r) - short, model.mean - short - 1e-9 * lot, high + 1e-9 * lot)

    def next_lot(lot: float) -> float:
        return _eoq(model, fixed_cost + penalty * model.loss_integral(point(lot)) / model.rate)

    lot = _settle(next_lot, _eoq(model, fixed_cost))
    return _priced(model, point(lot), lot)


def _model(
    demand: Normal, holding_cost: float, stockout_cost: float, fixed_cost: float, lead_time: float
) -> NormalModel:
    require_positive("fixed_cost", fixed_cost)
    return NormalModel.of(demand, holding_cost, stockout_cost, fixed_cost, lead_time)


def _priced(model: NormalModel, reorder: float, lot: float) -> ReorderLotsResult:
    return ReorderLotsResult(reorder, lot, model.cost(reorder, lot))


def _eoq(model: NormalModel, cost_per_order: float) -> float:
    return math.sqrt(2 * model.rate * cost_per_order / model.holding_cost)


def _settle(step: Callable[[float], float], start: float) -> float:
    """The limit of repeated steps; those of the methods above only ever grow."""
    value = start
    for _ in range(MOST_STEPS):
        before, value = value, step(value)
        if abs(value - before) <= 1e-14 * value:
            return value
    raise MethodError(f"the lot did not settle in {MOST_STEPS:,} steps")
