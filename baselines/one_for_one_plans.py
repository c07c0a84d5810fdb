"""One-for-one replenishment as plans of one-warehouse networks: the exact levels, METRIC's and the two-moment ones.

The formulas of `one_for_one` hold under the framework's periodic review with one period more at the
retailers. After the shipments of period t the warehouse owes what it was asked for beyond its stock in
the last L_0 reviews, ``B_0 = (D_0 - S_0)^+`` with ``D_0`` the demand of L_0 periods: the order that it
placed L_0 periods ago, and every earlier one, has arrived, and an order counts the retailers' orders
of its own review. What retailer i has at the end of period ``t + L_i`` is ``S_i`` less its share of
that ``B_0`` and less the demand of the ``L_i + 1`` periods from t on.

The retailer's share of it depends on the warehouse's allocation rule. With `first_come` the orders of a
review are served one retailer after the other, and `one_for_one_plan` is exact for that
(`"in_turn"`). For the other rules all plans take the units owed to be a random sample of those asked
for, which single units served first come, first served would give. That is exact where nothing is
shared, with one retailer or without a warehouse lead time, and otherwise an approximation, whose
measured error stands in `docs/theory/distribution.md`.
"""

from __future__ import annotations

from echelon.baselines.flow_cost import flow_cost
from echelon.baselines.one_for_one import one_for_one
from echelon.baselines.one_warehouse import require_one_warehouse
from echelon.baselines.outstanding_orders import Method
from echelon.baselines.plan import Plan
from echelon.baselines.requirements import require
from echelon.envs.demand import Poisson
from echelon.envs.policy import order_up_to
from echelon.envs.problem import Problem

CITATIONS: dict[Method, str] = {
    "exact": "R. M. Simon, Stationary properties of a two-echelon inventory model for low demand items, "
    "Operations Research 19(3), 1971; S. Axsäter, Simple solution procedures for a class of two-echelon inventory "
    "problems, Operations Research 38(1), 1990",
    "metric": "C. C. Sherbrooke, METRIC: a multi-echelon technique for recoverable item control, "
    "Operations Research 16(1), 1968",
    "two_moment": "S. C. Graves, A multi-echelon inventory model for a repairable item with one-for-one "
    "replenishment, Management Science 31(10), 1985",
}


def one_for_one_plan(problem: Problem) -> Plan:
    """The best installation base-stock levels of a warehouse and its retailers, by exact evaluation.

    The model cost is exact with `first_come` allocation, and otherwise but for the sharing of shortages
    among the retailers, see this module. Raises `MethodError` where the theory does not hold.
    """
    return _plan(problem, "one_for_one", "exact")


def metric_plan(problem: Problem) -> Plan:
    """The levels of `one_for_one_plan` by METRIC, which understates how variable the warehouse's delays are."""
    return _plan(problem, "metric", "metric")


def two_moment_plan(problem: Problem) -> Plan:
    """The levels of `one_for_one_plan` by a negative binomial fit of two moments of the outstanding orders."""
    return _plan(problem, "two_moment", "two_moment")


def _plan(problem: Problem, name: str, method: Method) -> Plan:
    system = require_one_warehouse(problem, name)
    require(
        name,
        {
            "Poisson demand at every outlet": any(not isinstance(law, Poisson) for law in system.laws),
            "a holding cost above 0 at the warehouse": not system.warehouse.holding_cost > 0,
        },
    )
    first_come = system.warehouse.allocation == "first_come"
    served = sorted(range(len(system.retailers)), key=lambda i: system.retailers[i].priority)
    best = one_for_one(
        demand_rate=[system.laws[i].mean_demand for i in served],
        lead_time=[system.lead_times[i] + 1 for i in served],
        warehouse_lead_time=system.lead_time,
        holding_cost=[system.retailers[i].holding_cost for i in served],
        warehouse_holding_cost=system.warehouse.holding_cost,
        stockout_cost=[system.retailers[i].stockout_cost for i in served],
        method="in_turn" if method == "exact" and first_come else method,
    )
    by_link = {system.links[i]: level for i, level in zip(served, best.levels, strict=True)}
    by_link[system.supply] = best.warehouse_level
    levels = [float(by_link[link]) for link in problem.network.links]
    return Plan(
        order_up_to(problem.network, levels),
        {"levels": levels},
        model_cost=best.cost + flow_cost(problem.network),
        citation=CITATIONS[method],
    )
