"""The cheapest policy of a family that reaches a service level, by enumeration of its spans.

A span is S - s or Q: the number of positions that a policy visits. All spans are tried up to one that is
proven too large, each with its best highest position.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from echelon.baselines.position_service import Service, ServiceLevels, ServiceOfPosition, require_service_level
from echelon.baselines.renewal_reward import TIE, too_wide, windows
from echelon.baselines.requirements import require_at_least_zero
from echelon.baselines.stock_cost import StockCost
from echelon.baselines.total_demand import Floats

LARGEST_SEARCH = 2**17
"""Units to either side beyond which a search is given up: it would take more than some ten seconds."""


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
class Family:
    """All policies of one kind with a span, S - s or Q, of at most n."""

    weights: Floats
    """[n] of the positions, from the highest one down."""
    orders: Floats
    """[n] orders per period of the policies with spans 1, ..., n."""
    slack: float
    """w such that the k highest of n positions have a share of at least k / (n + w), and at most (k + w) / n."""


def cheapest_with_service(
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
