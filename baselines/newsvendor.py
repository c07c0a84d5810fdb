"""The newsvendor: how much stock to have before a random demand, at a single location.

Symbols and equations are those of Snyder & Shen, *Fundamentals of Supply Chain Theory* (2nd ed.,
2019), section 4.3. The same formula gives the optimal base-stock level of a location that
is reviewed every period, backorders its shortages and pays no fixed cost to order.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from echelon.baselines.continuous_demand import Continuous, continuous_demand
from echelon.baselines.flow_cost import flow_cost
from echelon.baselines.lead_time_demand import lead_time_demand
from echelon.baselines.plan import Plan
from echelon.baselines.requirements import (
    require_at_least_zero,
    require_average_backorder_cost,
    require_positive,
    require_single_location,
    require_steady_demand,
)
from echelon.baselines.stock_cost import StockCost
from echelon.baselines.total_demand import LeadTimeDemand
from echelon.envs.demand import Law
from echelon.envs.errors import MethodError
from echelon.envs.policy import order_up_to
from echelon.envs.problem import Problem


@dataclass(frozen=True)
class NewsvendorResult:
    """A base-stock level (units) and its expected holding and stockout cost per period."""

    level: float
    cost: float
    critical_ratio: float


@dataclass(frozen=True)
class NewsvendorProfit:
    """An order quantity (units) and its expected profit over the one selling season."""

    level: float
    profit: float
    critical_ratio: float


def newsvendor(
    *,
    demand: Law | Continuous,
    holding_cost: float,
    stockout_cost: float,
    lead_time: float = 0,
    level: float | None = None,
) -> NewsvendorResult:
    """The base-stock level S that minimises expected holding and stockout cost per period.

    ``g(S) = h E[(S - D)+] + p E[(D - S)+]`` with ``h`` the holding cost and ``p`` the stockout cost
    per unit and period. It is least at the smallest ``S`` with ``F(S) >= p / (p + h)``, the critical
    ratio; for demand in whole units that is a whole number.

    Under periodic review the level must cover the demand ``D`` of ``lead_time + 1`` periods: that of
    the lead time and that of the period at whose end costs are charged. `level` prices a given level
    instead of the best one. Normal demand is not truncated at 0 here, see `lead_time_demand`. Demand can
    also be a frozen continuous distribution of `scipy.stats`, without a lead time. Demand that does not
    vary, or is 0, is stocked exactly at no cost.

    >>> from echelon.envs.demand import Normal
    >>> best = newsvendor(demand=Normal(mean=50, sd=8), holding_cost=0.18, stockout_cost=0.70)
    >>> round(best.level, 2), round(best.cost, 3)
    (56.6, 1.998)
    """
    require_positive("holding_cost", holding_cost)
    require_positive("stockout_cost", stockout_cost)
    require_at_least_zero("lead_time", lead_time)
    ratio = stockout_cost / (stockout_cost + holding_cost)
    total = _total(demand, lead_time + 1)
    best = total.quantile(ratio) if level is None else level
    if not isfinite(best):
        raise MethodError(f"level must be finite, got {best:g}")
    return NewsvendorResult(best, float(StockCost(total, holding_cost, stockout_cost)(best)), ratio)


def newsvendor_profit(
    *,
    demand: Law | Continuous,
    revenue: float,
    purchase_cost: float,
    salvage_value: float = 0.0,
    level: float | None = None,
) -> NewsvendorProfit:
    """The order quantity that maximises expected profit when there is one chance to order.

    Each unit costs ``c``, sells for ``r`` and, if left over, brings ``v``; all demand is that of one
    period. A unit too many costs ``h = c - v``, a unit too few ``p = r - c``, so that the profit is
    ``(r - c) E[D] - g(S)`` with the newsvendor's ``g``, and the critical ratio is
    ``(r - c) / (r - v)``. A disposal cost is a negative salvage value.
    """
    if not salvage_value < purchase_cost:
        raise MethodError(f"salvage_value must be below purchase_cost = {purchase_cost:g}, got {salvage_value:g}")
    if not revenue > purchase_cost:
        raise MethodError(f"revenue must be above purchase_cost = {purchase_cost:g}, got {revenue:g}")
    margin = revenue - purchase_cost
    best = newsvendor(demand=demand, holding_cost=purchase_cost - salvage_value, stockout_cost=margin, level=level)
    profit = margin * _total(demand, 1).mean - best.cost
    return NewsvendorProfit(best.level, profit, best.critical_ratio)


def newsvendor_plan(problem: Problem) -> Plan:
    """The optimal base-stock policy of a single location with backorders.

    Raises `MethodError` where the newsvendor model does not hold, with the rule that is broken.
    """
    node, link, law = problem.network.nodes[0], problem.network.links[0], problem.network.laws[0]
    require_single_location(problem, "newsvendor")
    require_average_backorder_cost(problem, "newsvendor")
    require_steady_demand(problem, "newsvendor")
    best = newsvendor(
        demand=law,
        holding_cost=node.holding_cost,
        stockout_cost=node.stockout_cost,
        lead_time=link.mean_lead_time,
    )
    return Plan(
        order_up_to(problem.network, [best.level]),
        {"levels": [best.level]},
        model_cost=best.cost + flow_cost(problem.network),
        optimal=True,
        citation="F. Y. Edgeworth, The mathematical theory of banking, Journal of the Royal Statistical Society 51(1), "
        "1888; K. J. Arrow, T. Harris and J. Marschak, Optimal inventory policy, Econometrica 19(3), 1951",
    )


def _total(demand: Law | Continuous, periods: float) -> LeadTimeDemand:
    if isinstance(demand, Law):
        return lead_time_demand(demand, periods)
    if periods != 1:
        raise MethodError(
            f"lead_time must be 0 for a distribution of scipy.stats, whose sums are not known, got {periods - 1:g}"
        )
    return continuous_demand(demand)
