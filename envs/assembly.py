"""Assembly: a product that is made of several components with lead times of their own."""

from __future__ import annotations

from collections.abc import Sequence

from echelon.envs.demand import as_law
from echelon.envs.errors import ConfigError
from echelon.envs.network import Network
from echelon.envs.problem import Problem
from echelon.envs.problem_defaults import DemandSpec, default_horizon, one_each

ROSLING = (
    "K. Rosling, Optimal inventory policies for assembly systems under random demands, Operations Research 37(4), 1989"
)


def assembly(
    *,
    lead_time: Sequence[int] = (4, 1),
    quantity: float | Sequence[float] = (1.0, 2.0),
    component_holding_cost: float | Sequence[float] = (0.5, 0.25),
    assembly_time: int = 2,
    holding_cost: float = 2.0,
    stockout_cost: float = 20.0,
    demand: DemandSpec = "poisson",
    demand_mean: float = 5.0,
    periods: int | None = None,
    warm_up: int | None = None,
) -> Problem:
    """A product and its components, which are bought from outside (Rosling 1989); customers wait.

    Lists hold one value per component: its lead time, how many of it are in one product, its holding
    cost. A set of components that is released becomes a product after `assembly_time` periods; until then it is
    charged the holding cost of its parts, and so is a component that waits at the plant for the others.
    """
    if not lead_time:
        raise ConfigError(["lead_time must have one value per component (got none)"])
    count = len(lead_time)
    quantities = one_each(quantity, count, "quantity")
    holding = one_each(component_holding_cost, count, "component_holding_cost")
    law = as_law(demand, demand_mean)
    flow = round(law.mean_demand)
    product = {
        "name": "product",
        "holding_cost": holding_cost,
        "stockout_cost": stockout_cost,
        "demand": law,
        "processing_time": assembly_time,
        "processing_holding_cost": sum(q * cost for q, cost in zip(quantities, holding, strict=True)),
        "initial_on_hand": (2 + assembly_time) * flow,
    }
    names = [f"component_{k + 1}" for k in range(count)]
    components = [
        {"name": name, "holding_cost": cost, "initial_on_hand": flow * q}
        for name, cost, q in zip(names, holding, quantities, strict=True)
    ]
    bought = [
        {"target": name, "lead_time": time, "initial_in_transit": flow * q}
        for name, time, q in zip(names, lead_time, quantities, strict=True)
    ]
    released = [
        {"source": name, "target": "product", "quantity": q, "transit_holding_cost": cost}
        for name, q, cost in zip(names, quantities, holding, strict=True)
    ]
    network = Network.from_dict({"name": "assembly", "nodes": [*components, product], "links": [*bought, *released]})
    return Problem("echelon/Assembly-v0", network, *default_horizon(network, periods, warm_up), citation=ROSLING)
