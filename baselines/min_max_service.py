"""The cheapest (s, S) or (r, Q) policy that reaches a service level, and the base-stock level that does.

Periodic review, backorders, demand in whole units, long-run average (continuous review of Poisson demand
for (r, Q) as well). `position_service` has the two measures of service, as functions
of the inventory position. A policy's service is their mean over its positions S, S - 1, ..., s + 1, which
have the weights m(0), ..., m(S - s - 1) of `renewal_density` under (s, S) and equal ones under (r, Q).
"""

from __future__ import annotations

import numpy as np

from echelon.baselines.flow_cost import flow_cost
from echelon.baselines.option_types import Share
from echelon.baselines.plan import Plan
from echelon.baselines.position_service import Service, ServiceLevels, ServiceOfPosition, require_service_level
from echelon.baselines.renewal_reward import renewal_density
from echelon.baselines.reorder_lots_exact import Review, orders_in_lots, require_single_units, review_model
from echelon.baselines.reorder_model import (
    arguments_of,
    require_whole_backorder_theory,
    some_whole_demand,
    whole_levels,
)
from echelon.baselines.requirements import require_at_least_zero, require_positive
from echelon.baselines.service_search import Family, ServiceResult, cheapest_with_service
from echelon.baselines.stock_cost import StockCost
from echelon.envs.demand import Law
from echelon.envs.policy import order_up_to
from echelon.envs.problem import Problem

BISECTIONS = 100
"""Halvings of an interval, down to the spacing of floating-point numbers."""


def service_base_stock(
    *, demand: Law, service_level: float, kind: Service = "fill_rate", lead_time: float = 0
) -> float:
    """The least base-stock level with a service of at least `service_level`, which must be between 0 and 1.

    Any demand law; for demand in whole units the level is whole. Normal demand is not truncated at 0 here.
    """
    require_service_level(service_level)
    service = ServiceOfPosition.of(demand, lead_time)
    measure = service.measure(kind)
    if demand.whole:
        return float(service.least_level(kind, service_level))
    if kind == "alpha":
        return service.total.quantile(service_level)
    low, high = min(0.0, service.before.bounds[0]), service.total.bounds[1]
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if measure(np.array(middle)) >= service_level else (middle, high)
    return high


def min_max_service(reorder: float, up_to: float, *, demand: Law, lead_time: float = 0) -> ServiceLevels:
    """The exact service of an (s, S) policy in the long run."""
    s, top = whole_levels(reorder, up_to)
    visits = renewal_density(some_whole_demand(demand), top - s)
    return ServiceOfPosition.of(demand, lead_time).average(top - np.arange(float(top - s)), visits)


def optimal_service_min_max(
    *,
    demand: Law,
    holding_cost: float,
    fixed_cost: float,
    service_level: float,
    kind: Service = "fill_rate",
    stockout_cost: float = 0,
    lead_time: float = 0,
) -> ServiceResult:
    """The (s, S) policy with a service of at least `service_level` that costs least to order and to hold.

    `stockout_cost` per unit backordered at the end of a period is added to the objective; it is 0 where
    the service level takes its place. All spans S - s are enumerated up to one that is proven too large,
    each with its best S. Mixtures of policies, which can meet the level exactly, are not considered.
    """
    sizes = some_whole_demand(demand)
    values = np.arange(float(len(sizes)))

    def policies(most: int) -> Family:
        weights = renewal_density(sizes, most)
        # By Wald, the k highest positions last (k + overshoot) / E[D] periods; by Lorden's inequality the
        # expected overshoot is at most E[D^2] / E[D].
        return Family(weights, 1 / np.cumsum(weights), float(values**2 @ sizes / (values @ sizes)))

    service = ServiceOfPosition.of(demand, lead_time)
    stock = _stock_cost(service, holding_cost, stockout_cost)
    return cheapest_with_service(policies, service, stock, fixed_cost, service_level, kind)


def optimal_service_reorder_lots(
    *,
    demand: Law,
    holding_cost: float,
    fixed_cost: float,
    service_level: float,
    kind: Service = "fill_rate",
    stockout_cost: float = 0,
    lead_time: float = 0,
    review: Review = "periodic",
) -> ServiceResult:
    """The (r, Q) policy with a service of at least `service_level` that costs least, with Q = `up_to` - `reorder`.

    Arguments are those of `optimal_service_min_max`; see `optimal_reorder_lots` for the two clocks.
    """
    sizes, _ = review_model(demand, lead_time, review)
    require_single_units(sizes)

    def policies(most: int) -> Family:
        lots = np.arange(1.0, most + 1)
        return Family(np.ones(most), orders_in_lots(demand, sizes, most, review) / lots, 0.0)

    service = ServiceOfPosition.of(demand, lead_time, review)
    stock = _stock_cost(service, holding_cost, stockout_cost)
    return cheapest_with_service(policies, service, stock, fixed_cost, service_level, kind)


def service_min_max(problem: Problem, *, service_level: Share = 0.95, kind: Service = "fill_rate") -> Plan:
    """The cheapest (s, S) policy of a single location with backorders that reaches a service level.

    All costs of the problem count, its stockout cost included if it has one. Raises `MethodError` where
    the model does not hold, with the rule that is broken.
    """
    require_whole_backorder_theory(problem, "service_min_max")
    best = optimal_service_min_max(**arguments_of(problem), service_level=service_level, kind=kind)
    parameters = {
        "reorder": [best.reorder],
        "up_to": [best.up_to],
        "fill_rate": best.service.fill_rate,
        "alpha": best.service.alpha,
    }
    return Plan(
        order_up_to(problem.network, [best.up_to], reorder=[best.reorder]),
        parameters,
        model_cost=best.cost + flow_cost(problem.network),
        citation="Y.-S. Zheng and A. Federgruen, Finding optimal (s, S) policies is about as simple as evaluating a "
        "single policy, Operations Research 39(4), 1991; enumeration",
    )


def _stock_cost(service: ServiceOfPosition, holding_cost: float, stockout_cost: float) -> StockCost:
    require_positive("holding_cost", holding_cost)
    require_at_least_zero("stockout_cost", stockout_cost)
    return StockCost(service.total, holding_cost, stockout_cost)
