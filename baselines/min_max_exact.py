"""The optimal (s, S) policy of a single location that pays a fixed cost per order, and the exact cost of any.

Periodic review, backorders, long-run average cost, demand in whole units. The position after the
review of t decides the stock at the end of period t + L, so that all costs follow from the law of
the position and from one convex function of it:

    G(y) = h E[(y - D)+] + b E[(D - y)+],   D the demand of L + 1 periods.

`renewal_reward` has the algorithm of Zheng and Federgruen (1991), whose symbols these are.
"""

from __future__ import annotations

from echelon.baselines.flow_cost import flow_cost
from echelon.baselines.lead_time_demand import lead_time_demand
from echelon.baselines.plan import Plan
from echelon.baselines.renewal_reward import MinMaxResult, best_min_max, renewal_reward_cost
from echelon.baselines.reorder_model import (
    arguments_of,
    require_costs,
    require_stockout_cost,
    require_whole_backorder_theory,
    some_whole_demand,
    whole_levels,
)
from echelon.baselines.stock_cost import StockCost
from echelon.envs.demand import Law
from echelon.envs.policy import order_up_to
from echelon.envs.problem import Problem

CITATION = (
    "Y.-S. Zheng and A. Federgruen, Finding optimal (s, S) policies is about as simple as evaluating a single policy, "
    "Operations Research 39(4), 1991; optimal over all policies: D. L. Iglehart, Dynamic programming and stationary "
    "analysis of inventory problems, in: H. Scarf, D. Gilford and M. Shelly (eds.), Multistage Inventory Models and "
    "Techniques, Stanford University Press, 1963; A. F. Veinott and H. M. Wagner, Computing optimal (s, S) inventory "
    "policies, Management Science 11(5), 1965; Y.-S. Zheng, A simple proof for optimality of (s, S) policies in "
    "infinite-horizon inventory systems, Journal of Applied Probability 28(4), 1991"
)


def optimal_min_max(
    *, demand: Law, holding_cost: float, stockout_cost: float, fixed_cost: float, lead_time: float = 0
) -> MinMaxResult:
    """The (s, S) policy that costs least on average; no other policy costs less (Iglehart 1963, Zheng 1991).

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
    sizes = some_whole_demand(demand)
    stock = StockCost(lead_time_demand(demand, lead_time + 1), holding_cost, stockout_cost)
    return best_min_max(stock, sizes, fixed_cost=fixed_cost, start=int(stock.best_level), method="optimal_min_max")


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

    The base-stock policy has `reorder` = `up_to` - 1, or `up_to`. The formula is that of `renewal_reward_cost`.
    """
    require_costs(holding_cost, stockout_cost, fixed_cost, lead_time)
    s, top = whole_levels(reorder, up_to)
    sizes = some_whole_demand(demand)
    stock = StockCost(lead_time_demand(demand, lead_time + 1), holding_cost, stockout_cost)
    return renewal_reward_cost(stock, sizes, reorder=s, up_to=top, fixed_cost=fixed_cost)


def optimal_min_max_plan(problem: Problem) -> Plan:
    """The optimal (s, S) policy of a single location with backorders and a fixed cost per order.

    Raises `MethodError` where the model does not hold, with the rule that is broken.
    """
    require_whole_backorder_theory(problem, "optimal_min_max")
    require_stockout_cost(problem, "optimal_min_max")
    best = optimal_min_max(**arguments_of(problem))
    return Plan(
        order_up_to(problem.network, [best.up_to], reorder=[best.reorder]),
        {"reorder": [best.reorder], "up_to": [best.up_to]},
        model_cost=best.cost + flow_cost(problem.network),
        optimal=True,
        citation=CITATION,
    )
