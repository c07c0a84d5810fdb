"""One location whose customers wait: the newsvendor's, (s, S) and (r, Q) models."""

from __future__ import annotations

from echelon.envs.demand import as_law
from echelon.envs.network import Network
from echelon.envs.problem import Problem
from echelon.envs.problem_defaults import DemandSpec, StockoutRule, default_horizon

ZHENG_FEDERGRUEN = (
    "Y.-S. Zheng and A. Federgruen, Finding optimal (s, S) policies is about as simple as evaluating a single policy, "
    "Operations Research 39(4), 1991"
)


def single_location(
    *,
    lead_time: int = 0,
    holding_cost: float = 1.0,
    stockout_cost: float = 9.0,
    fixed_cost: float = 64.0,
    unit_cost: float = 0.0,
    stockout_rule: StockoutRule = "backorder",
    demand: DemandSpec = "poisson",
    demand_mean: float = 10.0,
    periods: int | None = None,
    warm_up: int | None = None,
) -> Problem:
    """One location with a fixed cost per order (Scarf 1960; Zheng and Federgruen 1991); with 0 it is the newsvendor."""
    law = as_law(demand, demand_mean)
    flow = round(law.mean_demand)
    store = {
        "name": "store",
        "holding_cost": holding_cost,
        "stockout_cost": stockout_cost,
        "stockout_rule": stockout_rule,
        "demand": law,
        "initial_on_hand": 2 * flow,
    }
    link = {
        "target": "store",
        "lead_time": lead_time,
        "fixed_cost": fixed_cost,
        "unit_cost": unit_cost,
        "initial_in_transit": flow,
    }
    network = Network.from_dict({"name": "single_location", "nodes": [store], "links": [link]})
    return Problem(
        "echelon/SingleLocation-v0", network, *default_horizon(network, periods, warm_up), citation=ZHENG_FEDERGRUEN
    )
