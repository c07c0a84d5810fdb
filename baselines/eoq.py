"""The economic order quantity (Harris 1913) and its classic variants, for demand at a constant known rate.

Symbols are those of Snyder & Shen, *Fundamentals of Supply Chain Theory* (2nd ed., 2019), chapter 3:
fixed cost K per order, holding cost h and stockout cost p per unit and unit of time, demand rate
lambda, order quantity Q. Costs are per unit of time; time is continuous and stock is infinitely
divisible. Every cost, rate and quantity must be greater than 0: a rate of 0 raises `MethodError`.
`eoq_plan` puts the quantity to work under periodic review.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from math import ceil, floor, inf, sqrt
from typing import Literal

import numpy as np

from echelon.baselines.flow_cost import flow_cost
from echelon.baselines.plan import Plan
from echelon.baselines.requirements import (
    require,
    require_average_backorder_cost,
    require_positive,
    require_single_location,
)
from echelon.envs.demand import Deterministic
from echelon.envs.errors import MethodError
from echelon.envs.policy import reorder_lots
from echelon.envs.problem import Problem

DiscountKind = Literal["all_units", "incremental"]

HARRIS = "F. W. Harris, How many parts to make at once, Factory, The Magazine of Management 10(2), 1913"


@dataclass(frozen=True)
class LotSize:
    """An order quantity (units) and its cost per unit of time."""

    order_quantity: float
    cost: float


@dataclass(frozen=True)
class BackorderLotSize(LotSize):
    """A lot size of which a part serves customers who have waited."""

    stockout_fraction: float
    """The share x of the demand that waits."""


@dataclass(frozen=True)
class DiscountLotSize(LotSize):
    """A lot size bought at the price number `region`, counted from 0. The cost includes the purchases."""

    region: int


def eoq(*, fixed_cost: float, holding_cost: float, demand_rate: float, order_quantity: float | None = None) -> LotSize:
    """The quantity that balances ordering and holding: ``g(Q) = K lambda / Q + h Q / 2`` (section 3.2).

    ``Q* = sqrt(2 K lambda / h)``. `order_quantity` prices a given quantity instead of the best one.

    >>> best = eoq(fixed_cost=8, holding_cost=0.225, demand_rate=1300)
    >>> round(best.order_quantity, 2), round(best.cost, 2)
    (304.05, 68.41)
    """
    _require_rates(fixed_cost=fixed_cost, holding_cost=holding_cost, demand_rate=demand_rate)
    quantity = _given(order_quantity, sqrt(2 * fixed_cost * demand_rate / holding_cost))
    return LotSize(quantity, fixed_cost * demand_rate / quantity + holding_cost * quantity / 2)


def eoq_with_backorders(
    *,
    fixed_cost: float,
    holding_cost: float,
    stockout_cost: float,
    demand_rate: float,
    order_quantity: float | None = None,
    stockout_fraction: float | None = None,
) -> BackorderLotSize:
    """The economic order quantity where customers wait at a cost (section 3.5).

    ``g(Q, x) = h Q (1 - x)^2 / 2 + p Q x^2 / 2 + K lambda / Q``, with ``x* = h / (h + p)`` whatever
    the quantity, and ``Q* = sqrt(2 K lambda (h + p) / (h p))``. Either can be given, to be priced.
    """
    _require_rates(
        fixed_cost=fixed_cost, holding_cost=holding_cost, stockout_cost=stockout_cost, demand_rate=demand_rate
    )
    waiting = holding_cost / (holding_cost + stockout_cost) if stockout_fraction is None else stockout_fraction
    if not 0 <= waiting <= 1:
        raise MethodError(f"stockout_fraction must be between 0 and 1, got {waiting:g}")
    per_unit = holding_cost * (1 - waiting) ** 2 + stockout_cost * waiting**2
    quantity = _given(order_quantity, sqrt(2 * fixed_cost * demand_rate / per_unit))
    return BackorderLotSize(quantity, per_unit * quantity / 2 + fixed_cost * demand_rate / quantity, waiting)


def economic_production_quantity(
    *,
    fixed_cost: float,
    holding_cost: float,
    demand_rate: float,
    production_rate: float,
    order_quantity: float | None = None,
) -> LotSize:
    """The lot of a machine that makes `production_rate` units per unit of time while demand goes on (section 3.6).

    Stock builds up at the rate mu - lambda only: the economic order quantity with ``h (1 - lambda / mu)``.
    """
    _require_rates(holding_cost=holding_cost, demand_rate=demand_rate, production_rate=production_rate)
    if not production_rate > demand_rate:
        raise MethodError(f"production_rate must be above demand_rate = {demand_rate:g}, got {production_rate:g}")
    rising = holding_cost * (1 - demand_rate / production_rate)
    return eoq(fixed_cost=fixed_cost, holding_cost=rising, demand_rate=demand_rate, order_quantity=order_quantity)


def eoq_quantity_discount(
    *,
    fixed_cost: float,
    holding_cost_rate: float,
    demand_rate: float,
    breakpoints: Sequence[float],
    unit_costs: Sequence[float],
    kind: DiscountKind,
    order_quantity: float | None = None,
) -> DiscountLotSize:
    """The order quantity where larger orders are cheaper by the unit (section 3.4).

    From ``b_j`` units on (`breakpoints`, the first is 0) the price is ``c_j``: of the whole order
    (`"all_units"`), or of the units beyond the breakpoint (`"incremental"`). An order of Q costs
    ``K + a_j + c_j Q``, with ``a_j = 0`` in the first case, and holding costs ``i`` times the average
    price paid, with ``i = holding_cost_rate``. So in region j

        g_j(Q) = c_j lambda + i a_j / 2 + (K + a_j) lambda / Q + i c_j Q / 2,

    least at the economic order quantity of ``K + a_j``. The best of the regions is taken, moved up to
    the breakpoint where it lies below it; that is never worth it for incremental discounts.
    """
    _require_rates(fixed_cost=fixed_cost, holding_cost_rate=holding_cost_rate, demand_rate=demand_rate)
    _require_prices(breakpoints, unit_costs)
    added = _added_costs(breakpoints, unit_costs, kind)

    def priced(quantity: float) -> DiscountLotSize:
        region = int(np.searchsorted(breakpoints, quantity, side="right")) - 1
        price, extra = unit_costs[region], added[region]
        holding = holding_cost_rate * (extra + price * quantity) / 2
        cost = price * demand_rate + (fixed_cost + extra) * demand_rate / quantity + holding
        return DiscountLotSize(quantity, cost, region)

    if order_quantity is not None:
        return priced(_given(order_quantity, 0.0))
    candidates = []
    for start, end, price, extra in zip(breakpoints, [*breakpoints[1:], inf], unit_costs, added, strict=True):
        best = max(start, sqrt(2 * (fixed_cost + extra) * demand_rate / (holding_cost_rate * price)))
        if best < end:
            candidates.append(priced(best))
    return min(candidates, key=lambda lot: lot.cost)


def eoq_plan(problem: Problem) -> Plan:
    """An (r, nQ) policy with the economic order quantity with backorders of the mean demand.

    For random demand Q is the better one of the whole numbers around it, and r makes the share
    h / (h + p) of a cycle end in backorders if the demand of the L + 1 periods to cover is its mean.
    Safety stock is not thought of, and there is no model cost: `min_max` and exact (r, Q) methods cost less.

    For demand that is the same known number d in every period, Q covers a whole number n of periods:
    anything else would leave stock over at every order. The positions after ordering are then d apart,
    n (h / (h + p)) of them, rounded down, are below the demand to be covered, and the model cost is the
    exact average over a cycle, from the phase in which the stock at the start puts it.
    """
    require_single_location(problem, "eoq")
    require_average_backorder_cost(problem, "eoq", fixed_cost=True)
    node, link, law = problem.network.nodes[0], problem.network.links[0], problem.network.laws[0]
    require(
        "eoq",
        {
            "a fixed cost per order": not link.fixed_cost,
            "a holding cost and a stockout cost": not (node.holding_cost and node.stockout_cost),
            "demand with the same law in every period": not law.stationary,
            "some demand": law.mean_demand == 0,
        },
    )
    lot, reorder = _rule(problem)
    return Plan(
        reorder_lots(problem.network, [reorder], [lot]),
        {"reorder": [reorder], "lot": [lot]},
        model_cost=_cycle_cost(problem, lot, reorder) if isinstance(law, Deterministic) else None,
        citation=HARRIS,
    )


def _rule(problem: Problem) -> tuple[float, float]:
    """Q and r of the plan. Q is a multiple of a grain: a period's demand if it is certain, or one unit."""
    node, link, law = problem.network.nodes[0], problem.network.links[0], problem.network.laws[0]
    mean, whole = law.mean_demand, problem.network.whole_units
    grain = mean if isinstance(law, Deterministic) else float(whole)

    def priced(quantity: float | None) -> BackorderLotSize:
        return eoq_with_backorders(
            fixed_cost=link.fixed_cost,
            holding_cost=node.holding_cost,
            stockout_cost=node.stockout_cost,
            demand_rate=mean,
            order_quantity=quantity,
        )

    best = priced(None)
    lot, below = best.order_quantity, best.order_quantity * best.stockout_fraction
    if grain:
        counts = max(1, floor(lot / grain)), ceil(lot / grain)
        lot = min((count * grain for count in counts), key=lambda quantity: priced(quantity).cost)
        below = (floor(lot / grain * best.stockout_fraction + 1e-9) + 0.5) * grain
    reorder = mean * (link.mean_lead_time + 1) - below
    return lot, float(floor(reorder)) if whole else reorder


def _cycle_cost(problem: Problem, lot: float, reorder: float) -> float:
    """The average cost of a cycle with demand d in every period: the n positions after ordering, d apart."""
    node, link, demand = problem.network.nodes[0], problem.network.links[0], problem.network.laws[0].mean_demand
    lead_time = link.mean_lead_time
    start = node.initial_on_hand + lead_time * link.initial_in_transit
    periods = round(lot / demand)
    lowest = start + demand * (floor((reorder - start) / demand) + 1)
    left = lowest - demand * (lead_time + 1) + demand * np.arange(periods)
    ends = node.holding_cost * np.maximum(left, 0) + node.stockout_cost * np.maximum(-left, 0)
    return float(link.fixed_cost / periods + ends.mean() + flow_cost(problem.network))


def _added_costs(breakpoints: Sequence[float], unit_costs: Sequence[float], kind: DiscountKind) -> list[float]:
    """a_j: what an order pays on top of its price c_j a unit, because its first units cost more."""
    if kind not in ("all_units", "incremental"):
        raise MethodError(f"kind must be 'all_units' or 'incremental', got {kind!r}")
    added = [0.0]
    for point, (before, price) in zip(breakpoints[1:], pairwise(unit_costs), strict=True):
        added.append(added[-1] + (before - price) * point if kind == "incremental" else 0.0)
    return added


def _require_prices(breakpoints: Sequence[float], unit_costs: Sequence[float]) -> None:
    if len(breakpoints) != len(unit_costs) or not len(breakpoints):
        raise MethodError(
            f"unit_costs must be as many as breakpoints, at least one, got {len(unit_costs)} and {len(breakpoints)}"
        )
    if breakpoints[0] != 0 or not all(low < high < inf for low, high in pairwise(breakpoints)):
        raise MethodError(f"breakpoints must start with 0 and rise, got {list(breakpoints)}")
    for price in unit_costs:
        require_positive("unit_costs", price)
    if not all(before > price for before, price in pairwise(unit_costs)):
        raise MethodError(f"unit_costs must fall from one breakpoint to the next, got {list(unit_costs)}")


def _require_rates(**rates: float) -> None:
    for key, value in rates.items():
        require_positive(key, value)


def _given(quantity: float | None, best: float) -> float:
    """The quantity to price: the given one, if any."""
    if quantity is None:
        return best
    require_positive("order_quantity", quantity)
    return quantity
