"""The catalogue: problems by id, with the paper they come from and what is known about their best cost.

One dictionary feeds the configs, the command line and the Gymnasium ids.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from echelon.envs.arguments import argument_defects, plain
from echelon.envs.assembly import assembly as assembly
from echelon.envs.classic_problems import beer_game as beer_game
from echelon.envs.classic_problems import lost_sales as lost_sales
from echelon.envs.classic_problems import one_warehouse as one_warehouse
from echelon.envs.classic_problems import serial as serial
from echelon.envs.consumer_goods import consumer_goods as consumer_goods
from echelon.envs.defects import dotted
from echelon.envs.dual_sourcing import dual_sourcing as dual_sourcing
from echelon.envs.errors import ConfigError, nearest
from echelon.envs.instances import INSTANCES
from echelon.envs.min_max_case import min_max_case as min_max_case
from echelon.envs.network import Network
from echelon.envs.perishable import perishable as perishable
from echelon.envs.problem import Problem
from echelon.envs.problem_defaults import default_horizon
from echelon.envs.single_location import single_location as single_location


def network_problem(
    *,
    path: str | Path | None = None,
    network: Network | Mapping[str, Any] | None = None,
    periods: int | None = None,
    warm_up: int | None = None,
    discount: float = 1.0,
) -> Problem:
    """Any network, from a YAML file or given as data; without either, a plant with two components and two stores."""
    if path is not None and network is not None:
        raise ConfigError(["give either path or network, not both"])
    if path is not None:
        described = Network.from_yaml(path)
    elif network is None:
        described = _example_network()
    else:
        described = network if isinstance(network, Network) else Network.from_dict(network)
    horizon = default_horizon(described, periods, 0 if discount < 1 and warm_up is None else warm_up)
    return Problem("echelon/Network-v0", described, *horizon, discount=discount, citation=described.description)


PROBLEMS: dict[str, Callable[..., Problem]] = {
    "echelon/SingleLocation-v0": single_location,
    "echelon/LostSales-v0": lost_sales,
    "echelon/Serial-v0": serial,
    "echelon/BeerGame-v0": beer_game,
    "echelon/OneWarehouse-v0": one_warehouse,
    "echelon/DualSourcing-v0": dual_sourcing,
    "echelon/Perishable-v0": perishable,
    "echelon/Assembly-v0": assembly,
    "echelon/ConsumerGoods-v0": consumer_goods,
    "echelon/MinMaxCase-v0": min_max_case,
    "echelon/Network-v0": network_problem,
}


def make_problem(problem_id: str, **parameters: Any) -> Problem:
    """A problem of the catalogue, or a published instance of one with some parameters changed.

    Raises `ConfigError` for an unknown id or parameter.
    """
    if problem_id in INSTANCES:
        return _instance(problem_id, parameters)
    builder = builder_of(problem_id)
    defects = argument_defects(builder, parameters)
    if defects:
        raise ConfigError(f"{problem_id}: {dotted(path)}: {must}" for path, must in defects)
    values = {name: plain(value) for name, value in parameters.items()}
    problem = builder(**values)
    _check_that_the_mean_counts(problem_id, problem, values.get("demand_mean"))
    return replace(problem, parameters=values)


def builder_of(problem_id: str) -> Callable[..., Problem]:
    """The function that builds a problem or an instance. Raises `ConfigError` for an unknown id."""
    known = INSTANCES[problem_id].problem if problem_id in INSTANCES else problem_id
    if known not in PROBLEMS:
        raise ConfigError([f"unknown problem {problem_id!r}{nearest_problem(problem_id)}"])
    return PROBLEMS[known]


def nearest_problem(problem_id: str) -> str:
    """The hint for an unknown id: the closest problem or instance, or else the list of problems."""
    closest = nearest(problem_id, [*PROBLEMS, *INSTANCES])
    if "did you mean" in closest:
        return closest
    return f"{nearest(problem_id, PROBLEMS)}; `echelon problems` lists published instances too"


def _instance(name: str, parameters: Mapping[str, Any]) -> Problem:
    """A published instance; its own reference holds while only `free` parameters are changed."""
    instance = INSTANCES[name]
    problem = make_problem(instance.problem, **{**instance.parameters, **parameters})
    reference = problem.reference or (instance.reference if parameters.keys() <= instance.free else None)
    return replace(problem, reference=reference, citation=instance.citation)


def _check_that_the_mean_counts(problem_id: str, problem: Problem, mean: float | None) -> None:
    """Raise `ConfigError` if a `demand_mean` was given that the demand does not take."""
    for law in problem.network.laws if mean is not None else ():
        if getattr(law, "mean", None) != mean:
            known = f"its mean is {law.mean:g}" if hasattr(law, "mean") else "it takes no mean"
            name = getattr(law, "law", type(law).__name__)
            raise ConfigError([f"{problem_id}: demand_mean has no effect on this {name} demand: {known}"])


def _example_network() -> Network:
    """A plant that assembles two components and supplies two stores."""
    return Network.from_dict(
        {
            "name": "assembly_and_stores",
            "nodes": [
                {"name": "part_a", "holding_cost": 0.2, "initial_on_hand": 8},
                {"name": "part_b", "holding_cost": 0.3, "initial_on_hand": 8},
                {"name": "plant", "holding_cost": 1.0, "initial_on_hand": 8},
                *(
                    {
                        "name": f"store_{i}",
                        "holding_cost": 1.5,
                        "stockout_cost": 20.0,
                        "initial_on_hand": 8,
                        "demand": {"law": "poisson", "mean": 4.0},
                    }
                    for i in (1, 2)
                ),
            ],
            "links": [
                {"target": "part_a", "lead_time": 3, "initial_in_transit": 8},
                {"target": "part_b", "lead_time": 1, "initial_in_transit": 8},
                {"source": "part_a", "target": "plant", "lead_time": 1, "initial_in_transit": 8},
                {"source": "part_b", "target": "plant", "lead_time": 1, "initial_in_transit": 8},
                {"source": "plant", "target": "store_1", "lead_time": 1, "initial_in_transit": 4},
                {"source": "plant", "target": "store_2", "lead_time": 2, "initial_in_transit": 4},
            ],
        }
    )
