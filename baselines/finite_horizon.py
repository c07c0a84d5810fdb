"""Finite horizons: the optimal (s, S) levels of every period, by dynamic programming (Scarf 1960).

With y the position after ordering, the expected cost from period t on is

    V_t(x) = min over y >= x of  K_t [y > x] + c_t (y - x) + G_t(y) + gamma E[V_{t+1}(y - D_t)],

where ``G_t(y) = h_t E[(y - X_t)+] + p_t E[(X_t - y)+]`` and X_t is the demand that the stock must cover:
D_t, or the demand of L + 1 periods where orders take L periods. If fixed costs do not rise faster than
money grows, ``K_t >= gamma K_{t+1}``, an (s, S) rule is optimal in every period (H. Scarf, The optimality
of (S, s) policies in the dynamic inventory problem, 1960); without fixed costs s = S. Snyder & Shen
(2019), sections 4.3.3 and 4.4.3.

Positions are whole numbers. Demand that is not whole is rounded to the nearest unit where it moves the
position, while G_t is that of the law itself. `scarf_recursion` solves it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from echelon.baselines.calendar_demand import laws_by_period, probabilities, total_demand
from echelon.baselines.per_period import OrderUpToByPeriod, PerPeriod, values_by_period
from echelon.baselines.plan import Plan
from echelon.baselines.requirements import require, require_at_least_zero, require_classic, require_single_location
from echelon.baselines.scarf_recursion import FiniteHorizonPolicy as FiniteHorizonPolicy
from echelon.baselines.scarf_recursion import Stage, solve
from echelon.baselines.stock_cost import StockCost
from echelon.envs.demand import Law
from echelon.envs.errors import MethodError
from echelon.envs.problem import Problem

SCARF = (
    "H. Scarf, The optimality of (S, s) policies in the dynamic inventory problem, in: K. J. Arrow, S. Karlin and "
    "P. Suppes (eds.), Mathematical Methods in the Social Sciences, 1959, Stanford University Press, 1960"
)


def finite_horizon(
    *,
    demand: Law | Sequence[Law],
    periods: int,
    holding_cost: PerPeriod,
    stockout_cost: PerPeriod,
    purchase_cost: PerPeriod = 0.0,
    fixed_cost: PerPeriod = 0.0,
    discount_factor: float = 1.0,
    terminal_holding_cost: float = 0.0,
    terminal_stockout_cost: float = 0.0,
    initial_inventory_level: int = 0,
) -> FiniteHorizonPolicy:
    """The optimal policy over a number of periods, orders arriving at once (see the module).

    `demand` is one law, whose calendar is followed, or one per period. Costs are one number or one per
    period, per unit and period or per order. What is left, or owed, after the last period costs
    `terminal_holding_cost`, or `terminal_stockout_cost`, per unit. The cost is that from
    `initial_inventory_level`, discounted to the start of the first period. Any cost may be 0. Where a fixed cost
    rises faster than the discount allows (Scarf's condition ``K_t >= gamma K_{t+1}``) the cost is still the
    optimum, but no (s, S) levels need attain it.

    >>> from echelon.envs.demand import Normal
    >>> best = finite_horizon(demand=Normal(mean=18, sd=3), periods=10, holding_cost=1, stockout_cost=25,
    ...                       purchase_cost=1, fixed_cost=40, discount_factor=0.98,
    ...                       terminal_holding_cost=1, terminal_stockout_cost=25)
    >>> best.reorder_points[0], best.order_up_to_levels[0], round(best.cost)
    (17, 42, 519)
    """
    if not (isinstance(periods, int | np.integer) and periods >= 1):
        raise MethodError(f"periods must be a whole number of at least 1, got {periods!r}")
    if not 0 < discount_factor <= 1:
        raise MethodError(f"discount_factor must be above 0 and at most 1, got {discount_factor:g}")
    if not float(initial_inventory_level).is_integer():
        raise MethodError(f"initial_inventory_level must be a whole number, got {initial_inventory_level:g}")
    require_at_least_zero("terminal_holding_cost", terminal_holding_cost)
    require_at_least_zero("terminal_stockout_cost", terminal_stockout_cost)
    costs = {
        "holding_cost": holding_cost,
        "stockout_cost": stockout_cost,
        "purchase_cost": purchase_cost,
        "fixed_cost": fixed_cost,
    }
    by_period = zip(*(values_by_period(key, value, periods).tolist() for key, value in costs.items()), strict=True)
    stages = []
    for (holding, stockout, purchase, fixed), law in zip(by_period, _laws(demand, periods), strict=True):
        total = total_demand([law])
        stages.append(Stage(StockCost(total, holding, stockout), purchase, fixed, *probabilities(total)))
    terminal = terminal_holding_cost, terminal_stockout_cost
    return solve(stages, discount_factor, terminal, int(initial_inventory_level))


def finite_horizon_plan(problem: Problem) -> Plan:
    """The optimal policy over exactly the problem's periods, discounted or not, with any fixed lead time.

    An order of period t decides the stock at the end of t + L, so that the state is the inventory
    position and nothing is ordered in the last L periods. The model cost is the exact expectation of
    the objective. For demand in whole units, independent from period to period.
    """
    require_single_location(problem, "finite_horizon")
    require_classic(problem, "finite_horizon")
    node, link, law = problem.network.nodes[0], problem.network.links[0], problem.network.laws[0]
    require(
        "finite_horizon",
        {
            "backorders": node.stockout_rule != "backorder",
            "no warm-up (warm_up 0)": problem.warm_up > 0,
            "a network of whole units": not problem.network.whole_units,
            "independent demand": not law.independent,
        },
    )
    laws, lead_time = laws_by_period(law, problem.periods), int(link.mean_lead_time)
    start = int(node.initial_on_hand + lead_time * link.initial_in_transit)
    best = solve(_plan_stages(problem, laws), problem.discount, (0.0, 0.0), start)
    levels = [
        np.array([[-np.inf if level is None else level] for level in each])
        for each in (best.reorder_points, best.order_up_to_levels)
    ]
    return Plan(
        OrderUpToByPeriod(levels[0], levels[1]),
        {"reorder": [list(best.reorder_points)], "up_to": [list(best.order_up_to_levels)]},
        model_cost=(best.cost + _given_cost(problem, laws)) * float(problem.weights[0]),
        optimal=True,
        citation=SCARF,
    )


def _laws(demand: Law | Sequence[Law], periods: int) -> list[Law]:
    if isinstance(demand, Law):
        return laws_by_period(demand, periods)
    if len(demand) != periods:
        raise MethodError(f"demand must be one law or {periods}, one per period, got {len(demand)}")
    return [laws_by_period(law, period + 1)[period] for period, law in enumerate(demand)]


def _plan_stages(problem: Problem, laws: list[Law]) -> list[Stage]:
    """The decisions of a problem: what they cost later is discounted to the period of the order."""
    node, link = problem.network.nodes[0], problem.network.links[0]
    lead_time, discount = int(link.mean_lead_time), problem.discount
    stages = []
    for t, law in enumerate(laws):
        reach = laws[t : t + lead_time + 1]
        weight = discount**lead_time if len(reach) > lead_time else 0.0
        in_transit = sum(discount**later for later in range(min(lead_time, problem.periods - t)))
        price = link.unit_cost + link.transit_holding_cost * in_transit
        stock = StockCost(total_demand(reach), node.holding_cost * weight, node.stockout_cost * weight)
        stages.append(Stage(stock, price, link.fixed_cost, *probabilities(total_demand([law]))))
    return stages


def _given_cost(problem: Problem, laws: list[Law]) -> float:
    """The expected cost, discounted to the start, of what was in stock and on the way before the first order."""
    node, link = problem.network.nodes[0], problem.network.links[0]
    lead_time, cost = int(link.mean_lead_time), 0.0
    for t in range(min(lead_time, problem.periods)):
        stock = node.initial_on_hand + (t + 1) * link.initial_in_transit
        total = total_demand(laws[: t + 1])
        later = link.transit_holding_cost * (lead_time - 1 - t) * link.initial_in_transit
        charged = StockCost(total, node.holding_cost, node.stockout_cost)(stock)
        cost += problem.discount**t * float(charged + later)
    return cost
