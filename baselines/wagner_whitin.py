"""Dynamic lot sizing (Wagner and Whitin 1958): demand is known and changes, every order has a fixed cost.

Between two periods that end without stock and without backorders it is best to order once at most, as
costs are concave. So the best cost f(e) of the first e periods, which end in such a state, follows from
those before it:

    m(t) = min over s <= t of f(s) + [orders of t that serve the backorders of s..t-1],
    f(e) = min over t < e of m(t) + K_t + [orders of t that serve t..e-1],

or f(e) = f(e - 1) where nothing is asked for in the last period. Without backorders s = t. In all O(T^2).
W. I. Zangwill, A deterministic multi-period production scheduling model with backlogging, Management
Science 13(1), 1966, added the backorders. Snyder & Shen (2019), section 3.7.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from echelon.baselines.per_period import Floats, PerPeriod, Schedule, values_by_period
from echelon.baselines.plan import Plan
from echelon.baselines.requirements import require, require_classic, require_single_location
from echelon.envs.demand import Deterministic
from echelon.envs.errors import MethodError
from echelon.envs.problem import Problem

WAGNER_WHITIN = (
    "H. M. Wagner and T. M. Whitin, Dynamic version of the economic lot size model, Management Science 5(1), 1958; "
    "W. I. Zangwill, A deterministic multi-period production scheduling model with backlogging, "
    "Management Science 13(1), 1966"
)


@dataclass(frozen=True)
class LotSchedule:
    """The order of each period (units), which arrives at once, and the total cost of all periods."""

    order_quantities: tuple[float, ...]
    cost: float


def wagner_whitin(
    *,
    demand: Sequence[float],
    fixed_cost: PerPeriod,
    holding_cost: PerPeriod,
    purchase_cost: PerPeriod = 0.0,
    stockout_cost: PerPeriod | None = None,
) -> LotSchedule:
    """The cheapest orders that meet a known demand in every period, starting and ending without stock.

    Costs are one number, or one per period: `fixed_cost` per order, `purchase_cost` per unit,
    `holding_cost` per unit left at the end of a period. Customers never wait, unless a `stockout_cost`
    per unit that waits at the end of a period is given; by the end all are served. All may be 0;
    without any demand nothing is ordered.

    >>> wagner_whitin(demand=[90, 120, 80, 70], fixed_cost=500, holding_cost=2)
    LotSchedule(order_quantities=(210.0, 0.0, 150.0, 0.0), cost=1380.0)
    """
    if not len(demand):
        raise MethodError("demand must have at least one period, got none")
    periods = len(demand)
    units = values_by_period("demand", demand, periods)
    fixed = values_by_period("fixed_cost", fixed_cost, periods)
    price = values_by_period("purchase_cost", purchase_cost, periods)
    held = _summed(values_by_period("holding_cost", holding_cost, periods))
    waited = None if stockout_cost is None else _summed(values_by_period("stockout_cost", stockout_cost, periods))
    best, first, ordered = _shortest_path(units, fixed, price, held, waited)
    orders = np.zeros(periods)
    end = periods
    while end > 0:
        if ordered[end] < 0:
            end -= 1
            continue
        start = first[ordered[end]]
        orders[ordered[end]] = units[start:end].sum()
        end = start
    return LotSchedule(tuple(orders.tolist()), float(best[periods]))


def _shortest_path(
    units: Floats, fixed: Floats, price: Floats, held: Floats, waited: Floats | None
) -> tuple[Floats, list[int], list[int]]:
    """f [T + 1]; s for each t; and t for each e, -1 where the last period needs no order."""
    periods = len(units)
    best = np.append(0.0, np.full(periods, np.inf))
    first, ordered = list(range(periods)), [-1] * (periods + 1)
    for t in range(periods):
        if units[t] == 0 and best[t] < best[t + 1]:
            best[t + 1], ordered[t + 1] = best[t], -1
        before = best[t]
        if waited is not None:
            each = (units[:t] * (price[t] + waited[t] - waited[:t]))[::-1].cumsum()[::-1]
            costs = best[: t + 1] + np.append(each, 0.0)
            first[t] = t - int(np.argmin(costs[::-1]))
            before = costs[first[t]]
        onwards = before + fixed[t] + (units[t:] * (price[t] + held[t:periods] - held[t])).cumsum()
        cheaper = np.flatnonzero(onwards < best[t + 1 :]) + t + 1
        best[cheaper] = onwards[cheaper - t - 1]
        for end in cheaper.tolist():
            ordered[end] = t
    return best, first, ordered


def _summed(costs: Floats) -> Floats:
    """[T + 1] what keeping a unit from the first period up to each later one costs."""
    return np.append(0.0, np.cumsum(costs))


def wagner_whitin_plan(problem: Problem) -> Plan:
    """The optimal schedule of orders over the problem's periods, for a location whose demand is known.

    Stock at the start and on the way is used up first. An order of period t serves from period t + L on,
    so that nothing is ordered in the last L periods; customers wait where that costs less than serving
    them, some of them at the end of the horizon for good. Among all policies none costs less. The model
    cost is what the simulation charges, to the last digits.
    """
    require_single_location(problem, "wagner_whitin")
    require_classic(problem, "wagner_whitin")
    node, law = problem.network.nodes[0], problem.network.laws[0]
    require(
        "wagner_whitin",
        {
            "known demand (law deterministic)": not isinstance(law, Deterministic),
            "backorders": node.stockout_rule != "backorder",
            "no warm-up (warm_up 0)": problem.warm_up > 0,
        },
    )
    demand = law.sample(np.zeros((1, problem.periods)))[0]
    orders = _schedule(problem, demand)
    return Plan(
        Schedule(orders[:, None]),
        {"orders": orders[:, None].tolist()},
        model_cost=_schedule_cost(problem, demand, orders),
        optimal=True,
        citation=WAGNER_WHITIN,
    )


def _schedule(problem: Problem, demand: Floats) -> Floats:
    """[T] the orders, by the period in which they are placed.

    The lot-sizing problem is that of the T - L periods that orders can reach, with the costs as they
    weigh in the objective. A period after the end, in which everything is free, stands for customers
    who are never served.
    """
    node, link, weights = problem.network.nodes[0], problem.network.links[0], problem.weights
    lead_time, periods = int(link.mean_lead_time), problem.periods
    orders = np.zeros(periods)
    if lead_time >= periods:
        return orders
    start = node.initial_on_hand + lead_time * link.initial_in_transit
    uncovered = np.maximum(np.cumsum(demand) - start, 0.0)[lead_time:]
    placed, costly = weights[: periods - lead_time], weights[lead_time:]
    on_the_way = np.array([weights[t : t + lead_time].sum() for t in range(periods - lead_time)])
    plan = wagner_whitin(
        demand=np.append(np.diff(uncovered, prepend=0.0), 0.0).tolist(),
        fixed_cost=np.append(link.fixed_cost * placed, 0.0).tolist(),
        purchase_cost=np.append(link.unit_cost * placed + link.transit_holding_cost * on_the_way, 0.0).tolist(),
        holding_cost=np.append(node.holding_cost * costly, 0.0).tolist(),
        stockout_cost=np.append(node.stockout_cost * costly, 0.0).tolist(),
    )
    orders[: periods - lead_time] = plan.order_quantities[:-1]
    return orders


def _schedule_cost(problem: Problem, demand: Floats, orders: Floats) -> float:
    """The objective of a schedule, period by period."""
    node, link = problem.network.nodes[0], problem.network.links[0]
    lead_time, periods = int(link.mean_lead_time), problem.periods
    received = np.append(np.full(lead_time, link.initial_in_transit), orders)[:periods]
    net = node.initial_on_hand + np.cumsum(received - demand)
    # What is due in the next period is received after this one's end.
    in_transit = lead_time * link.initial_in_transit + np.cumsum(orders) - np.cumsum(received)
    costs = node.holding_cost * np.maximum(net, 0.0) + node.stockout_cost * np.maximum(-net, 0.0)
    costs += link.unit_cost * orders + link.fixed_cost * (orders > 0) + link.transit_holding_cost * in_transit
    return float(problem.weights @ costs)
