"""The optimal (s, S) policy of a single location that pays a fixed cost per order, and the exact cost of any.

Periodic review, backorders, long-run average cost, demand in whole units. The position after the
review of t decides the stock at the end of period t + L, so that all costs follow from the law of
the position and from one convex function of it:

    G(y) = h E[(y - D)+] + b E[(D - y)+],   D the demand of L + 1 periods.

Symbols and algorithm are those of Y.-S. Zheng and A. Federgruen, "Finding optimal (s, S) policies is
about as simple as evaluating a single policy", Operations Research 39(4), 1991.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.lead_time_demand import LatticeTotal, LeadTimeDemand, convolve, lead_time_demand
from echelon.baselines.plan import Plan
from echelon.baselines.requirements import (
    require,
    require_at_least_zero,
    require_average_backorder_cost,
    require_positive,
    require_single_location,
)
from echelon.envs.demand import Law
from echelon.envs.errors import MethodError
from echelon.envs.policy import order_up_to
from echelon.envs.problem import Problem

Floats = NDArray[np.float64]

FIRST_WINDOW = 64
"""Units to either side of the cheapest level within which an optimum is looked for first."""
LARGEST_WINDOW = 2**19
"""Units to either side beyond which a search is given up: it would take more than some ten seconds."""
TIE = 1e-12
"""Share of a cost, or of a service level, below which a difference is rounding."""


@dataclass(frozen=True)
class MinMaxResult:
    """Levels of an (s, S) policy (units) and its expected cost per period, that of ordering included."""

    reorder: int
    """s: an order is placed when the inventory position is at or below it."""
    up_to: int
    """S: the position after an order."""
    cost: float


@dataclass(frozen=True, eq=False)
class StockCost:
    """G(y): expected holding and stockout cost of the period that position y decides."""

    total: LeadTimeDemand
    """The demand that y must cover."""
    holding_cost: float
    stockout_cost: float

    def __call__(self, level: Floats) -> Floats:
        """G at every level."""
        return np.asarray(
            self.holding_cost * self.total.excess(level) + self.stockout_cost * self.total.shortage(level)
        )

    @property
    def best_level(self) -> float:
        """The smallest y at which G is least."""
        return self.total.quantile(self.stockout_cost / (self.stockout_cost + self.holding_cost))


def optimal_min_max(
    *, demand: Law, holding_cost: float, stockout_cost: float, fixed_cost: float, lead_time: float = 0
) -> MinMaxResult:
    """The (s, S) policy that costs least on average; no other policy costs less (Iglehart 1963).

    Costs are `holding_cost` h per unit on hand and `stockout_cost` b per unit backordered at the end of a
    period, and `fixed_cost` K per period with an order. An order placed in period t can serve the demand
    of period t + `lead_time`. With K = 0 the policy orders up to S in every period, s = S - 1. Demand
    that never varies is allowed; demand must be in whole units, and not always 0 (`MethodError`).

    >>> from echelon.envs.demand import Poisson
    >>> best = optimal_min_max(demand=Poisson(mean=21), holding_cost=1, stockout_cost=9, fixed_cost=64)
    >>> best.reorder, best.up_to, round(best.cost, 3)
    (15, 65, 50.406)
    """
    require_costs(holding_cost, stockout_cost, fixed_cost, lead_time)
    sizes = whole_demand(demand)
    stock = StockCost(lead_time_demand(demand, lead_time + 1), holding_cost, stockout_cost)
    for size in windows(LARGEST_WINDOW):
        best = _search(sizes, stock, fixed_cost, size)
        if best is not None:
            return best
    raise too_wide("optimal_min_max", LARGEST_WINDOW)


def min_max_cost(
    reorder: float,
    up_to: float,
    *,
    demand: Law,
    holding_cost: float,
    stockout_cost: float,
    fixed_cost: float,
    lead_time: float = 0,
) -> float:
    """The exact expected cost per period of an (s, S) policy: at or below `reorder`, order up to `up_to`.

    Orders start cycles that are alike, so that the cost is that of a cycle over its length,

        c(s, S) = (K + sum of m(j) G(S - j) over j < S - s) / M(S - s),

    with the m of `renewal_density` and M(k) = m(0) + ... + m(k - 1). The base-stock policy has `reorder` =
    `up_to` - 1, or `up_to`.
    """
    require_costs(holding_cost, stockout_cost, fixed_cost, lead_time)
    s, top = whole_levels(reorder, up_to)
    visits = renewal_density(whole_demand(demand), top - s)
    stock = StockCost(lead_time_demand(demand, lead_time + 1), holding_cost, stockout_cost)
    return float((fixed_cost + visits @ stock(top - np.arange(float(top - s)))) / visits.sum())


def renewal_density(sizes: Floats, length: int) -> Floats:
    """m(j), j < `length`: expected periods that the position spends j below the level it was last raised to.

    `sizes` are the probabilities of the demands 0, 1, ... of a period. The position stays for
    1 / (1 - p(0)) periods where it is, then falls:

        m(0) = 1 / (1 - p(0)),   m(j) = sum of p(k) m(j - k) over k = 1, ..., j, divided by 1 - p(0).

    The first n values give the next n: what falls beyond them for the first time, and m from there on.
    """
    some = float(sizes[1:].sum())
    falls = np.zeros(max(2 * length, len(sizes)))
    falls[1 : len(sizes)] = sizes[1:] / some
    visits = np.ones(1)
    while (known := len(visits)) < length:
        beyond = convolve(falls[: 2 * known], visits)[known : 2 * known]
        visits = np.append(visits, convolve(visits, beyond)[:known])
    return visits[:length] / some


def whole_demand(demand: Law) -> Floats:
    """Probabilities of the demands 0, 1, 2, ... of a period. Raises `MethodError` if there is no such thing."""
    if not demand.whole:
        raise MethodError(
            f"demand must be in whole units, got {type(demand).__name__} demand with parts of units: "
            "round it, or use power_approximation"
        )
    one = lead_time_demand(demand, 1)
    assert isinstance(one, LatticeTotal)
    if one.mean == 0:
        raise MethodError("demand must be greater than 0 on average, got 0")
    return np.append(np.zeros(int(one.origin)), one.pmf)


def whole_number(key: str, value: float) -> int:
    """The value as an integer. Raises `MethodError`."""
    if not float(value).is_integer():
        raise MethodError(f"{key} must be a whole number, got {value:g}")
    return int(value)


def whole_levels(reorder: float, up_to: float) -> tuple[int, int]:
    """s < S as integers; as no order follows at S itself, s = S is the same as s = S - 1. Raises `MethodError`."""
    s, top = whole_number("reorder", reorder), whole_number("up_to", up_to)
    if s > top:
        raise MethodError(f"reorder must be at most up_to = {top}, got {s}")
    return min(s, top - 1), top


def require_costs(holding_cost: float, stockout_cost: float, fixed_cost: float, lead_time: float) -> None:
    """Raise `MethodError` unless stock and shortage cost something and nothing is negative."""
    require_positive("holding_cost", holding_cost)
    require_positive("stockout_cost", stockout_cost)
    require_at_least_zero("fixed_cost", fixed_cost)
    require_at_least_zero("lead_time", lead_time)


def require_whole_backorder_theory(problem: Problem, method: str) -> None:
    """Raise `MethodError` unless the problem is one location with backorders and independent whole demand."""
    require_single_location(problem, method)
    require_average_backorder_cost(problem, method, fixed_cost=True)
    law, node = problem.network.laws[0], problem.network.nodes[0]
    require(
        method,
        {
            "demand with the same law in every period": not law.stationary,
            "demand that is independent from period to period": not law.independent,
            "demand in whole units": not law.whole,
            "a holding cost greater than 0": node.holding_cost == 0,
        },
    )


def require_stockout_cost(problem: Problem, method: str) -> None:
    """Raise `MethodError` if backorders are free: then it is cheapest never to order."""
    require(method, {"a stockout cost greater than 0": problem.network.nodes[0].stockout_cost == 0})


def cost_of_supply(problem: Problem) -> float:
    """Purchase and transit cost per period at a single location, the same for all policies that serve everybody."""
    link, law = problem.network.links[0], problem.network.laws[0]
    return (link.unit_cost + link.transit_holding_cost * link.mean_lead_time) * law.mean_demand


def optimal_min_max_plan(problem: Problem) -> Plan:
    """The optimal (s, S) policy of a single location with backorders and a fixed cost per order.

    Raises `MethodError` where the model does not hold, with the rule that is broken.
    """
    require_whole_backorder_theory(problem, "optimal_min_max")
    require_stockout_cost(problem, "optimal_min_max")
    node, link, law = problem.network.nodes[0], problem.network.links[0], problem.network.laws[0]
    best = optimal_min_max(
        demand=law,
        holding_cost=node.holding_cost,
        stockout_cost=node.stockout_cost,
        fixed_cost=link.fixed_cost,
        lead_time=link.mean_lead_time,
    )
    return Plan(
        order_up_to(problem.network, [best.up_to], reorder=[best.reorder]),
        {"reorder": [best.reorder], "up_to": [best.up_to]},
        model_cost=best.cost + cost_of_supply(problem),
        optimal=True,
        citation="Y.-S. Zheng and A. Federgruen, Operations Research 39(4), 1991; "
        "optimal over all policies: H. Scarf 1960, D. L. Iglehart 1963",
    )


def windows(largest: int) -> Iterator[int]:
    """`FIRST_WINDOW`, doubled again and again up to `largest`."""
    size = FIRST_WINDOW
    while size <= largest:
        yield size
        size *= 2


def too_wide(method: str, window: int) -> MethodError:
    """The error of a search that has left its largest window."""
    return MethodError(f"{method} needs levels within {window:,} units of one another: count demand in larger units")


def _search(sizes: Floats, stock: StockCost, fixed_cost: float, size: int) -> MinMaxResult | None:
    """The optimum, or None if it is not within `size` units of the level where G is least.

    By the lemmas of Zheng and Federgruen a level s is optimal for S if and only if G(s) >= c(s, S) >=
    G(s + 1), and another S is better, with any s, if and only if it is with this s. So s and S improve by
    turns, every S being tried at once. Indices count levels from the bottom of the window.
    """
    bottom = int(stock.best_level) - size
    g = stock(bottom + np.arange(2.0 * size + 1))
    visits = renewal_density(sizes, len(g))
    periods = np.cumsum(visits)
    best, top = MinMaxResult(0, 0, np.inf), size
    while True:
        for_top = (fixed_cost + np.cumsum(visits[:top] * g[top:0:-1])) / periods[:top]
        low_enough = for_top[top - size :] <= g[size - 1 :: -1]
        if not low_enough.any():
            return None
        s = size - 1 - int(np.argmax(low_enough))
        cost = float(for_top[top - s - 1])
        if cost >= best.cost * (1 - TIE):
            return best if g[-1] > best.cost else None
        best = MinMaxResult(bottom + s, bottom + top, cost)
        above = len(g) - s - 1
        for_s = (fixed_cost + convolve(visits, g[s + 1 :])[:above]) / periods[:above]
        top = s + 1 + int(np.argmin(for_s))
