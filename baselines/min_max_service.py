"""The cheapest (s, S) or (r, Q) policy that reaches a service level, and the base-stock level that does.

Periodic review, backorders, demand in whole units, long-run average (continuous review of Poisson demand
for (r, Q) as well). Two measures of service, both as the simulation counts them:

- `fill_rate` (beta): the fraction of demand that is met at once from stock;
- `ready_rate` (alpha, cycle service level per period): the chance that nobody waits at the end of a period.

Let X be the demand of the L periods before the one that position y decides, and D that of this period.
Stock of (y - X)+ meets D, so that y leaves (X + D - y)+ - (X - y)+ of it unmet:

    fill(y) = 1 - (E[(X + D - y)+] - E[(X - y)+]) / E[D],   ready(y) = P(X + D <= y).

Both grow with y. A policy's service is their mean over its positions S, S - 1, ..., s + 1, which have the
weights m(0), ..., m(S - s - 1) of `renewal_density` under (s, S) and equal ones under (r, Q).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.lead_time_demand import LeadTimeDemand, lead_time_demand
from echelon.baselines.min_max_exact import (
    TIE,
    StockCost,
    cost_of_supply,
    renewal_density,
    require_whole_backorder_theory,
    too_wide,
    whole_demand,
    whole_levels,
    windows,
)
from echelon.baselines.plan import Plan
from echelon.baselines.reorder_lots_exact import Review, orders_in_lots, require_single_units, review_model
from echelon.baselines.requirements import require_at_least_zero, require_positive
from echelon.envs.demand import Law
from echelon.envs.errors import MethodError
from echelon.envs.policy import order_up_to
from echelon.envs.problem import Problem

Floats = NDArray[np.float64]
Service = Literal["fill_rate", "ready_rate"]

LARGEST_SEARCH = 2**17
"""Units to either side beyond which a search is given up: it would take more than some ten seconds."""
BISECTIONS = 100
"""Halvings of an interval, down to the spacing of floating-point numbers."""


@dataclass(frozen=True)
class ServiceLevels:
    """What a policy gives the customers, fractions."""

    fill_rate: float
    ready_rate: float


@dataclass(frozen=True)
class ServiceResult:
    """A policy (units), its expected cost per period and its service."""

    reorder: int
    """s, or r"""
    up_to: int
    """S, or r + Q"""
    cost: float
    service: ServiceLevels


@dataclass(frozen=True, eq=False)
class ServiceOfPosition:
    """What position y gives the customers of the period that it decides."""

    before: LeadTimeDemand
    """X"""
    total: LeadTimeDemand
    """X + D; X itself under continuous review."""
    mean: float
    """E[D]"""
    review: Review = "periodic"

    @classmethod
    def of(cls, demand: Law, lead_time: float, review: Review = "periodic") -> ServiceOfPosition:
        """The service of positions that cover a lead time."""
        require_at_least_zero("lead_time", lead_time)
        before, mean = lead_time_demand(demand, lead_time), lead_time_demand(demand, 1).mean
        require_positive("mean demand", mean)
        total = before if review == "continuous" else lead_time_demand(demand, lead_time + 1)
        return cls(before, total, mean, review)

    def fill_rate(self, level: Floats) -> Floats:
        """fill(y); under continuous review a customer, who asks for one unit, is served if there is one."""
        if self.review == "continuous":
            return self.before.cdf(level - 1)
        unmet = self.total.shortage(level) - self.before.shortage(level)
        return np.clip(1 - unmet / self.mean, 0.0, 1.0)

    def ready_rate(self, level: Floats) -> Floats:
        """ready(y)."""
        return self.total.cdf(level)

    def measure(self, kind: Service) -> Callable[[Floats], Floats]:
        """The measure of that name. Raises `MethodError`."""
        if kind not in ("fill_rate", "ready_rate"):
            raise MethodError(f"kind must be 'fill_rate' or 'ready_rate', got {kind!r}")
        return self.fill_rate if kind == "fill_rate" else self.ready_rate

    def least_level(self, kind: Service, service_level: float) -> int:
        """The smallest whole y with that service."""
        levels = np.arange(self.total.bounds[1] + 2)
        return int(np.argmax(self.measure(kind)(levels) >= service_level - TIE))

    def average(self, positions: Floats, weights: Floats) -> ServiceLevels:
        """The service of a policy whose positions have these weights, which need not sum to 1."""
        shares = weights / weights.sum()
        return ServiceLevels(float(shares @ self.fill_rate(positions)), float(shares @ self.ready_rate(positions)))


@dataclass(frozen=True, eq=False)
class Family:
    """All policies of one kind with a span, S - s or Q, of at most n."""

    weights: Floats
    """[n] of the positions, from the highest one down."""
    orders: Floats
    """[n] orders per period of the policies with spans 1, ..., n."""
    slack: float
    """w such that the k highest of n positions have a share of at least k / (n + w), and at most (k + w) / n."""


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
    if kind == "ready_rate":
        return service.total.quantile(service_level)
    low, high = min(0.0, service.before.bounds[0]), service.total.bounds[1]
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (low, middle) if measure(np.array(middle)) >= service_level else (middle, high)
    return high


def min_max_service(reorder: float, up_to: float, *, demand: Law, lead_time: float = 0) -> ServiceLevels:
    """The exact service of an (s, S) policy in the long run."""
    s, top = whole_levels(reorder, up_to)
    positions = top - np.arange(float(top - s))
    return ServiceOfPosition.of(demand, lead_time).average(positions, renewal_density(whole_demand(demand), top - s))


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
    sizes = whole_demand(demand)
    values = np.arange(float(len(sizes)))

    def policies(most: int) -> Family:
        weights = renewal_density(sizes, most)
        # By Wald, the k highest positions last (k + overshoot) / E[D] periods; by Lorden's inequality the
        # expected overshoot is at most E[D^2] / E[D].
        return Family(weights, 1 / np.cumsum(weights), float(values**2 @ sizes / (values @ sizes)))

    service = ServiceOfPosition.of(demand, lead_time)
    stock = _stock_cost(service, holding_cost, stockout_cost)
    return _optimum(policies, service, stock, fixed_cost, service_level, kind)


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
    return _optimum(policies, service, stock, fixed_cost, service_level, kind)


def service_min_max(problem: Problem, *, service_level: float, kind: Service = "fill_rate") -> Plan:
    """The cheapest (s, S) policy of a single location with backorders that reaches a service level.

    All costs of the problem count, its stockout cost included if it has one. Raises `MethodError` where
    the model does not hold, with the rule that is broken.
    """
    require_whole_backorder_theory(problem, "service_min_max")
    node, link, law = problem.network.nodes[0], problem.network.links[0], problem.network.laws[0]
    best = optimal_service_min_max(
        demand=law,
        holding_cost=node.holding_cost,
        stockout_cost=node.stockout_cost,
        fixed_cost=link.fixed_cost,
        service_level=service_level,
        kind=kind,
        lead_time=link.mean_lead_time,
    )
    parameters = {
        "reorder": [best.reorder],
        "up_to": [best.up_to],
        "fill_rate": best.service.fill_rate,
        "ready_rate": best.service.ready_rate,
    }
    return Plan(
        order_up_to(problem.network, [best.up_to], reorder=[best.reorder]),
        parameters,
        model_cost=best.cost + cost_of_supply(problem),
        citation="Y.-S. Zheng and A. Federgruen, Operations Research 39(4), 1991; enumeration",
    )


def require_service_level(service_level: float) -> None:
    """Raise `MethodError` unless the service level is a fraction that every demand law allows."""
    if not 0 < service_level < 1:
        raise MethodError(f"service_level must be above 0 and below 1, got {service_level:g}")


def _stock_cost(service: ServiceOfPosition, holding_cost: float, stockout_cost: float) -> StockCost:
    require_positive("holding_cost", holding_cost)
    require_at_least_zero("stockout_cost", stockout_cost)
    return StockCost(service.total, holding_cost, stockout_cost)


def _optimum(
    policies: Callable[[int], Family],
    service: ServiceOfPosition,
    stock: StockCost,
    fixed_cost: float,
    service_level: float,
    kind: Service,
) -> ServiceResult:
    """Enumerate the spans in windows that double until the search stays inside."""
    require_at_least_zero("fixed_cost", fixed_cost)
    require_service_level(service_level)
    start, measure = service.least_level(kind, service_level), service.measure(kind)
    # N positions from `start` up reach the target for at most K E[D] / N + h (start + N) + b E[(X + D - start)+].
    ceiling = 2 * (fixed_cost * service.mean * stock.holding_cost) ** 0.5 + stock.holding_cost * (start + 1)
    ceiling += stock.stockout_cost * float(service.total.shortage(start))
    for size in windows(LARGEST_SEARCH):
        family = policies(size)
        if fixed_cost * family.orders[-1] >= ceiling:
            continue  # all of them order too often
        levels = start - size + np.arange(2.0 * size + 1)
        floor = _least_holding_cost(family, stock, service_level)
        found = _cheapest(family, stock(levels), measure(levels) - service_level, fixed_cost, floor)
        if found is not None:
            top, span = start - size + found[0], found[1]
            achieved = service.average(top - np.arange(float(span)), family.weights[:span])
            return ServiceResult(top - span, top, found[2], achieved)
    raise too_wide("the search for a service level", LARGEST_SEARCH)


def _cheapest(
    family: Family, costs: Floats, surplus: Floats, fixed_cost: float, floor: Floats
) -> tuple[int, int, float] | None:
    """Index of the highest position, span and cost of the cheapest feasible policy; None if it leaves the window.

    `costs` are those of stock at each level, `surplus` is its service less the target, and `floor` is
    below the cost of every policy of a span. A longer span adds a lower position, where service and the
    slope of the costs are lower, so that the best highest position only ever rises.
    """
    upward, total = family.weights[::-1].copy(), np.cumsum(family.weights)
    top, best = len(costs) // 2, (0, 0, np.inf)
    for span in range(1, len(upward) + 1):
        if floor[span - 1] >= best[2]:
            return best
        shares = upward[-span:] / total[span - 1]
        while _mean(shares, surplus, top) < -TIE or _mean(shares, costs, top + 1) < _mean(shares, costs, top):
            top += 1
            if top + 1 == len(costs):
                return None
        cost = fixed_cost * float(family.orders[span - 1]) + _mean(shares, costs, top)
        if cost < best[2] * (1 - TIE):
            best = (top, span, cost)
    return None


def _mean(shares: Floats, values: Floats, top: int) -> float:
    """The mean of `values` over the positions from `top` down."""
    return float(shares @ values[top - len(shares) + 1 : top + 1])


def _least_holding_cost(family: Family, stock: StockCost, service_level: float) -> Floats:
    """[n] a bound on the holding cost of every policy with spans 1, ..., n that reaches the service level.

    Nobody is served from a position below 0, so that a share of `service_level` of the positions is at
    least 0, and S >= service_level * n - 1 - w. Stock exceeds the position less the mean demand, and the
    x highest positions have a share of at least x / (n + w): their sum is at least that of a triangle.
    """
    spans = np.arange(1.0, len(family.weights) + 1)
    height = np.maximum(service_level * spans - 2 - family.slack - stock.total.mean, 0.0)
    return np.asarray(stock.holding_cost * height**2 / (2 * (spans + family.slack)))
