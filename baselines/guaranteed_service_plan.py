"""The guaranteed-service model as a policy of the engine, to be compared with others by simulated cost and service."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from scipy.special import ndtr

from echelon.baselines.guaranteed_service import GRAVES_WILLEMS, cost_of_service_times, guaranteed_service
from echelon.baselines.network_stages import METHOD, order_up_to_levels, stages_of
from echelon.baselines.option_types import AboveHalf
from echelon.baselines.plan import Plan
from echelon.baselines.requirements import (
    require,
    require_average_cost,
    require_classic,
    require_steady_demand,
)
from echelon.baselines.search import tuning_scenarios
from echelon.baselines.stage_network import StageNetwork
from echelon.envs.policy import order_up_to
from echelon.envs.problem import Problem
from echelon.envs.scenarios import Scenarios
from echelon.envs.simulate import simulate_cost

GREATEST_SAFETY_FACTOR = 5.0
IN_THE_MODEL = frozenset({"processing_time", "price", "quantity", "order_delay", "lead_time", "component"})
"""What the stages of a network know of, or what costs all policies the same; `stages_of` refuses the rest of it."""


def guaranteed_service_plan(
    problem: Problem, *, service_level: AboveHalf | None = None, scenarios: Scenarios | None = None, seed: int = 0
) -> Plan:
    """Installation base-stock levels [E] by the guaranteed-service model, see `order_up_to_levels`.

    The model places the safety stock; what that costs and what service it gives, the simulator says. **Demand
    beyond the bound is backordered** there: no extraordinary measures are taken, and a node that is short ships
    as soon as it can. Service times are kept while the demand that passes through every stage is within its
    bound, if each node that promises one of several receivers more than 0 periods serves first come, first
    served; under other allocation rules goods that are there in time may go to a receiver whose turn it is not.

    Without a `service_level` every outlet has the safety factor of its critical ratio (`stages_of`), and all of them
    are scaled together by what costs least on the `scenarios`. With fixed lead times the best service times
    are the same for every scale, so they are found once. Raises `MethodError` where the model does not hold.
    """
    require_guaranteed_service(problem)
    network = problem.network
    stages = stages_of(network, service_level=service_level)
    times = guaranteed_service(stages).service_times
    if service_level is None:
        stages = _tuned(problem, stages, times, scenarios or tuning_scenarios(problem, seed=seed))
    levels = order_up_to_levels(network, stages, times)
    placed = cost_of_service_times(stages, times)
    parameters = {
        "levels": levels,
        "service_times": {node.name: times[node.name] for node in network.nodes},
        "service_level": {stage.name: float(ndtr(stage.z)) for stage in stages.stages if stage.z is not None},
        "placement": placed.placement,
        "safety_stock_cost": placed.cost,
    }
    return Plan(order_up_to(network, levels), parameters, citation=GRAVES_WILLEMS)


def require_guaranteed_service(problem: Problem) -> None:
    """Raise `MethodError` "guaranteed_service needs RULE" where the model does not hold.

    It needs customers who wait, demand that is independent from period to period with one law, and
    supply without limits. Quantities, processing times, order delays and lead times that differ or are random are
    in the model, see `network_stages`.
    """
    network = problem.network
    require_average_cost(problem, METHOD)
    require(
        METHOD,
        {
            "backorders at every outlet": any(outlet.stockout_rule != "backorder" for outlet in network.outlets),
            "no fixed cost per order": any(link.fixed_cost for link in network.links),
            "unfilled internal orders to wait": any(link.unfilled != "backorder" for link in network.links),
        },
    )
    require_steady_demand(problem, METHOD)
    require_classic(problem, METHOD, allowed=IN_THE_MODEL)


def _tuned(problem: Problem, stages: StageNetwork, times: Mapping[str, int], scenarios: Scenarios) -> StageNetwork:
    """The stages with the safety factors scaled as costs least in simulation, the largest one to at most 5.

    Costs of whole levels are a step function of the scale, on which a search by slopes would stop: it is
    looked for on a grid, which is refined around the best scale so far.
    """
    known: dict[tuple[float, ...], float] = {}

    def cost(scale: float) -> float:
        levels = tuple(order_up_to_levels(problem.network, _scaled(stages, scale), times))
        if levels not in known:
            known[levels] = float(simulate_cost(problem, order_up_to(problem.network, levels), scenarios).mean())
        return known[levels]

    greatest = GREATEST_SAFETY_FACTOR / max((stage.z for stage in stages.stages if stage.z), default=1.0)
    best = width = greatest / 2
    for points in (11, 7, 7):
        grid = np.clip(np.linspace(best - width, best + width, points), 0.0, greatest)
        best = min((best, *grid.tolist()), key=cost)
        width = 2 * width / (points - 1)
    return _scaled(stages, best)


def _scaled(stages: StageNetwork, scale: float) -> StageNetwork:
    """The stages with every safety factor multiplied."""
    factors = {stage.name: stage.z for stage in stages.stages if stage.z is not None}
    return stages.with_stages({name: {"safety_factor": scale * z} for name, z in factors.items()})
