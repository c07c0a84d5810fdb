"""Myopic base-stock levels: in every period, the best level as if only the next costs mattered.

Looking ahead is not needed where the stock can always be brought to the myopic level of the next period:
S. Karlin, Dynamic inventory policy with varying stochastic demands, Management Science 6(3), 1960;
A. F. Veinott, Optimal policy for a multi-product, dynamic, nonstationary inventory problem, Management
Science 12(3), 1965. Where demand falls so fast that stock is left above the next level, the myopic
levels are too high: they are upper bounds on the optimal ones, and `finite_horizon` finds those.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from echelon.baselines.calendar_demand import laws_by_period, probabilities, total_demand
from echelon.baselines.lead_time_demand import lead_time_demand
from echelon.baselines.per_period import Floats, OrderUpToByPeriod
from echelon.baselines.plan import Plan
from echelon.baselines.requirements import (
    require,
    require_at_least_zero,
    require_average_backorder_cost,
    require_positive,
    require_single_location,
)
from echelon.baselines.stock_cost import StockCost
from echelon.baselines.total_demand import LeadTimeDemand
from echelon.envs.demand import Law
from echelon.envs.errors import MethodError
from echelon.envs.problem import Problem

Distribution = tuple[Floats, Floats]
"""Values, one unit apart from the smallest up, and their probabilities."""

KARLIN_VEINOTT = (
    "S. Karlin, Dynamic inventory policy with varying stochastic demands, Management Science 6(3), 1960; "
    "A. F. Veinott, Optimal policy for a multi-product, dynamic, nonstationary inventory problem, "
    "Management Science 12(3), 1965"
)


@dataclass(frozen=True)
class MyopicResult:
    """A base-stock level (units) and the expected cost of the period that it looks at."""

    level: float
    cost: float
    critical_ratio: float


def myopic_base_stock(
    *,
    demand: Law,
    holding_cost: float,
    stockout_cost: float,
    purchase_cost: float,
    purchase_cost_next_period: float,
    discount_factor: float = 1.0,
    level: float | None = None,
) -> MyopicResult:
    """The level that is best for one period, whose leftovers are worth what they save in the next one.

    ``G(y) = c y + h E[(y - D)+] + p E[(D - y)+] - gamma c' E[y - D]``, with c the purchase cost now and
    c' that of the next period: what is left (or owed) then need not (or must) be bought. It is least at
    the quantile of D at ``(p - (c - gamma c')) / (p + h)``, which must lie between 0 and 1, or
    `MethodError` is raised. Veinott (1965); P. H. Zipkin, *Foundations of
    Inventory Management*, 2000, chapter 9.
    """
    require_positive("holding_cost", holding_cost)
    require_positive("stockout_cost", stockout_cost)
    require_at_least_zero("purchase_cost", purchase_cost)
    require_at_least_zero("purchase_cost_next_period", purchase_cost_next_period)
    if not 0 < discount_factor <= 1:
        raise MethodError(f"discount_factor must be above 0 and at most 1, got {discount_factor:g}")
    dearer = purchase_cost - discount_factor * purchase_cost_next_period
    ratio = (stockout_cost - dearer) / (stockout_cost + holding_cost)
    if not 0 < ratio < 1:
        raise MethodError(
            "purchase_cost - discount_factor * purchase_cost_next_period must lie between "
            f"-holding_cost = {-holding_cost:g} and stockout_cost = {stockout_cost:g}, got {dearer:g}"
        )
    total = lead_time_demand(demand, 1)
    best = total.quantile(ratio) if level is None else level
    if not np.isfinite(best):
        raise MethodError(f"level must be finite, got {best:g}")
    charged = float(StockCost(total, holding_cost, stockout_cost)(best))
    return MyopicResult(best, dearer * best + discount_factor * purchase_cost_next_period * total.mean + charged, ratio)


def myopic_base_stock_plan(problem: Problem) -> Plan:
    """One base-stock level a period: the newsvendor's for the demand of the next L + 1 periods.

    Demand may change by season, promotions, trend or schedule, but its periods must be independent.
    The levels minimise the holding and stockout cost of every single period. If all of them can be
    reached, that is, if none is above the next one by more than the least demand of its period, and the
    stock at the start is no more than the first, no policy has less of these costs. `optimal` is claimed
    if units cost nothing to buy and to move besides: with such costs a little is saved by letting the
    stock run down at the end of the horizon.

    The model cost is the exact expectation of the objective over the problem's periods, also where
    levels cannot be reached if units are whole; for other units it is None then.
    """
    require_single_location(problem, "myopic_base_stock")
    require_average_backorder_cost(problem, "myopic_base_stock")
    node, link = problem.network.nodes[0], problem.network.links[0]
    require(
        "myopic_base_stock",
        {"a holding cost and a stockout cost": not (node.holding_cost and node.stockout_cost)},
    )
    lead_time, periods = int(link.mean_lead_time), problem.periods
    laws = laws_by_period(problem.network.laws[0], periods + lead_time)
    totals = [total_demand(laws[t : t + lead_time + 1]) for t in range(periods)]
    ratio = node.stockout_cost / (node.stockout_cost + node.holding_cost)
    levels = np.array([total.quantile(ratio) for total in totals])
    reached = _reachable(levels, laws, _start(problem))
    if reached:
        positions: Iterable[Distribution] = ((np.array([level]), np.ones(1)) for level in levels)
    else:
        positions = _positions(levels, laws, _start(problem))
    exact = reached or problem.network.whole_units
    return Plan(
        OrderUpToByPeriod(levels[:, None], levels[:, None]),
        {"levels": [levels.tolist()]},
        model_cost=_expected_cost(problem, positions, totals, laws) if exact else None,
        optimal=reached and not (link.unit_cost or link.transit_holding_cost),
        citation=KARLIN_VEINOTT,
    )


def _start(problem: Problem) -> float:
    """The inventory position before the first order."""
    node, link = problem.network.nodes[0], problem.network.links[0]
    return node.initial_on_hand + link.mean_lead_time * link.initial_in_transit


def _reachable(levels: Floats, laws: list[Law], start: float) -> bool:
    """Whether even the least demand of a period brings the stock down to the next level."""
    least = [max(total_demand([law]).bounds[0], 0.0) for law in laws[: len(levels) - 1]]
    slack = 1e-9 * max(1.0, float(levels.max()))
    return bool(start <= levels[0] + slack and np.all(np.diff(levels) >= -np.array(least) - slack))


def _positions(levels: Floats, laws: list[Law], start: float) -> Iterator[Distribution]:
    """The law of the inventory position after each review, in whole units: ``y_t = max(S_t, y_{t-1} - D_{t-1})``."""
    values, chances = np.array([start]), np.ones(1)
    for t, level in enumerate(levels):
        if t:
            low, demand = probabilities(total_demand([laws[t - 1]]))
            chances = np.convolve(chances, demand[::-1])
            values = values[0] - low - len(demand) + 1 + np.arange(len(chances))
        above = values > level
        values, chances = np.append(level, values[above]), np.append(chances[~above].sum(), chances[above])
        gap = int(values[1] - level) if len(values) > 1 else 1
        if gap > 1:  # the level is further down than any position: keep the values one unit apart
            values, chances = level + np.arange(gap + len(values) - 1), np.insert(chances, 1, np.zeros(gap - 1))
        yield values, chances


def _expected_cost(
    problem: Problem, positions: Iterable[Distribution], totals: list[LeadTimeDemand], laws: list[Law]
) -> float:
    """The expected objective, given the law of the inventory position after every review."""
    node, link = problem.network.nodes[0], problem.network.links[0]
    lead_time, periods = int(link.mean_lead_time), problem.periods

    def charged(total: LeadTimeDemand, stock: Floats) -> Floats:
        return StockCost(total, node.holding_cost, node.stockout_cost)(stock)

    mean, ends = np.zeros(periods), np.zeros(periods + lead_time)
    for t, (values, chances) in enumerate(positions):
        mean[t] = values @ chances
        ends[t + lead_time] = charged(totals[t], values) @ chances
    for t in range(min(lead_time, periods)):  # what was there at the start
        stock = np.array(node.initial_on_hand + link.initial_in_transit * (t + 1))
        ends[t] = charged(total_demand(laws[: t + 1]), stock)
    demand = np.array([total_demand([law]).mean for law in laws[: periods - 1]])
    orders = np.diff(mean, prepend=_start(problem)) + np.append(0.0, demand)
    received = np.append(np.full(lead_time, link.initial_in_transit), orders)[:periods]
    in_transit = lead_time * link.initial_in_transit + np.cumsum(orders) - np.cumsum(received)
    return float(problem.weights @ (ends[:periods] + link.unit_cost * orders + link.transit_holding_cost * in_transit))
