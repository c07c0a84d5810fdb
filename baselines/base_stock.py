"""Base-stock policies: order the inventory position up to a level in every period.

The level of each link is tuned by simulation on common random numbers, or given. On serial systems
with backorders the echelon form is optimal (Clark and Scarf 1960) and nested installation levels do
as well; with lost sales neither is, and capping the order helps (Xin 2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from echelon.baselines.plan import Plan
from echelon.baselines.search import first_step, lead_time_moments, safety_factor, tune, tuning_scenarios
from echelon.envs.arrays import network_arrays
from echelon.envs.codec import Codec
from echelon.envs.dynamics import cascade_sum
from echelon.envs.errors import MethodError
from echelon.envs.policy import OrderUpTo, Position, order_up_to
from echelon.envs.problem import Problem
from echelon.envs.scenarios import Scenarios

XIN = "L. Xin, Understanding the performance of capped base-stock policies, Operations Research 69(1), 2021"


def base_stock(
    problem: Problem, *, levels: Sequence[float] | None = None, scenarios: Scenarios | None = None, seed: int = 0
) -> Plan:
    """Installation base-stock levels [E], tuned on `scenarios` unless `levels` are given."""
    return _plan(problem, "installation", levels, scenarios, seed)


def echelon_base_stock(
    problem: Problem, *, levels: Sequence[float] | None = None, scenarios: Scenarios | None = None, seed: int = 0
) -> Plan:
    """Echelon base-stock levels [E], tuned on `scenarios` unless `levels` are given."""
    return _plan(problem, "echelon", levels, scenarios, seed)


def capped_base_stock(
    problem: Problem,
    *,
    levels: Sequence[float] | None = None,
    caps: Sequence[float] | None = None,
    scenarios: Scenarios | None = None,
    seed: int = 0,
) -> Plan:
    """Installation base-stock levels [E] with a largest order [E] (Xin 2021), both tuned unless given."""
    if (levels is None) != (caps is None):
        raise MethodError("levels and caps must be given together, or both left to be tuned")
    links = len(problem.network.links)

    def build(parameters: Sequence[float]) -> OrderUpTo:
        return order_up_to(problem.network, parameters[:links], cap=parameters[links:])

    if levels is not None and caps is not None:
        best: tuple[float, ...] = (*levels, *caps)
    else:
        common = scenarios or tuning_scenarios(problem, seed=seed)
        uncapped = base_stock(problem, scenarios=common).parameters["levels"]
        flow = Codec(problem.network).flow[network_arrays(problem.network).target]
        step = [*first_step(problem, lead_time_moments(problem)[1]), *flow / 4]
        tight, loose = [*uncapped, *np.ceil(1.2 * flow)], [*uncapped, *Codec(problem.network).order_limit]
        lowest = [0.0] * (2 * links)
        best = tune(problem, build, starts=[tight, loose], step=step, lowest=lowest, scenarios=common)
    parameters = {"levels": list(best[:links]), "caps": list(best[links:])}
    return Plan(build(best), parameters, citation=XIN)


def _plan(
    problem: Problem, position: Position, levels: Sequence[float] | None, scenarios: Scenarios | None, seed: int
) -> Plan:
    def build(parameters: Sequence[float]) -> OrderUpTo:
        return order_up_to(problem.network, parameters, position=position)

    if levels is None:
        start, spread = starting_levels(problem, position)
        common = scenarios or tuning_scenarios(problem, seed=seed)
        step, lowest = first_step(problem, spread), [0.0] * len(start)
        levels = tune(problem, build, starts=[start], step=step, lowest=lowest, scenarios=common)
    return Plan(build(levels), {"levels": [float(x) for x in levels], "position": position})


def starting_levels(problem: Problem, position: Position) -> tuple[Any, Any]:
    """Levels [E] by the normal approximation of lead-time demand, and the standard deviations behind them."""
    arrays = network_arrays(problem.network)
    mean, spread = lead_time_moments(problem)
    own = mean + safety_factor(problem) * spread
    if position == "installation":
        return own, spread
    total = cascade_sum(np.stack([own, spread**2]), arrays)
    return total[0], np.sqrt(total[1])
