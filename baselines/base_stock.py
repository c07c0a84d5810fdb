"""Base-stock policies: order the inventory position up to a level in every period.

The level of each link is tuned by simulation on common random numbers, or given. On serial systems
with backorders the echelon form is optimal (Clark and Scarf 1960) and nested installation levels do
as well; with lost sales neither is, and capping the order helps (Xin 2021).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import ndtr

from echelon.baselines.plan import Plan
from echelon.baselines.search import (
    MOST_TUNED_LINKS,
    first_step,
    lead_time_moments,
    require_tunable,
    safety_factor,
    tune,
    tuning_scenarios,
)
from echelon.envs.arrays import network_arrays
from echelon.envs.batched import cascade_sum, gather_sum
from echelon.envs.codec import Codec
from echelon.envs.errors import MethodError
from echelon.envs.levels import base_stock_levels
from echelon.envs.policy import OrderUpTo, Position, order_up_to
from echelon.envs.problem import Problem
from echelon.envs.scenarios import Scenarios
from echelon.envs.simulate import simulate_cost

ARROW_KARLIN_SCARF = (
    "K. J. Arrow, S. Karlin and H. Scarf, Studies in the Mathematical Theory of Inventory and Production, "
    "Stanford University Press, 1958"
)
XIN = (
    "L. Xin, Understanding the performance of capped base-stock policies in lost-sales inventory models, "
    "Operations Research 69(1), 2021"
)


def base_stock(
    problem: Problem, *, levels: Sequence[float] | None = None, scenarios: Scenarios | None = None, seed: int = 0
) -> Plan:
    """Installation base-stock levels [E], tuned on `scenarios` unless `levels` are given.

    On networks of more than `MOST_TUNED_LINKS` links the levels follow from the normal approximation with one
    service level for all of them, and only that is tuned.
    """
    return _plan(problem, "installation", levels, scenarios, seed)


def echelon_base_stock(
    problem: Problem, *, levels: Sequence[float] | None = None, scenarios: Scenarios | None = None, seed: int = 0
) -> Plan:
    """Echelon base-stock levels [E], tuned as those of `base_stock` unless `levels` are given."""
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
    require_tunable(problem, "capped_base_stock", given=levels is not None)
    links = len(problem.network.links)

    def build(parameters: Sequence[float]) -> OrderUpTo:
        return order_up_to(problem.network, parameters[:links], cap=parameters[links:])

    if levels is not None and caps is not None:
        best: tuple[float, ...] = (*levels, *caps)
    else:
        common = scenarios or tuning_scenarios(problem, seed=seed)
        uncapped = base_stock(problem, scenarios=common).parameters["levels"]
        codec = Codec(problem.network)
        step = [*first_step(problem, lead_time_moments(problem)[1]), *codec.need / 4]
        tight, loose = [*uncapped, *1.2 * codec.need], [*uncapped, *codec.order_limit]
        lowest = [0.0] * (2 * links)
        best = tune(problem, build, starts=[tight, loose], step=step, lowest=lowest, scenarios=common)
    parameters = {"levels": list(best[:links]), "caps": list(best[links:])}
    return Plan(build(best), parameters, citation=XIN)


def _plan(
    problem: Problem, position: Position, levels: Sequence[float] | None, scenarios: Scenarios | None, seed: int
) -> Plan:
    """Either form is searched in echelon levels, where one level can move without the others."""

    def own_levels(echelon_levels: Sequence[float]) -> Sequence[float]:
        return echelon_levels if position == "echelon" else _installation_levels(problem, echelon_levels)

    def build(echelon_levels: Sequence[float]) -> OrderUpTo:
        return order_up_to(problem.network, own_levels(echelon_levels), position=position)

    if levels is None and len(problem.network.links) > MOST_TUNED_LINKS:
        levels = _common_service(problem, position, scenarios or tuning_scenarios(problem, seed=seed))
    if levels is None:
        start, spread = starting_levels(problem)
        common = scenarios or tuning_scenarios(problem, seed=seed)
        step, lowest = first_step(problem, spread), [0.0] * len(start)
        levels = own_levels(tune(problem, build, starts=[start], step=step, lowest=lowest, scenarios=common))
    parameters = {"levels": [float(x) for x in levels], "position": position}
    policy = order_up_to(problem.network, levels, position=position)
    return Plan(policy, parameters, citation=ARROW_KARLIN_SCARF)


def _common_service(problem: Problem, position: Position, scenarios: Scenarios) -> list[float]:
    """Levels [E] by the normal approximation, with one service level for all links, which alone is tuned."""
    arrays = network_arrays(problem.network)

    def levels_of(safety: float) -> list[float]:
        levels = base_stock_levels(problem.network, service=float(ndtr(safety)))
        return levels if position == "installation" else [float(x) for x in cascade_sum(np.array([levels]), arrays)[0]]

    def cost(safety: float) -> float:
        rule = order_up_to(problem.network, levels_of(safety), position=position)
        return float(simulate_cost(problem, rule, scenarios).mean())

    best = minimize_scalar(cost, bounds=(-2.0, 5.0), method="bounded", options={"xatol": 0.02})
    return levels_of(float(best.x))


def _installation_levels(problem: Problem, echelon_levels: Sequence[float]) -> list[float]:
    """[E] what each echelon level leaves for the link's own target, after the echelons of the links out of it."""
    arrays = network_arrays(problem.network)
    own = np.asarray(echelon_levels, dtype=np.float64)
    below = gather_sum(own[None], arrays.out_pools)[0, arrays.target]
    return [float(x) for x in own - below * arrays.quantity]


def starting_levels(problem: Problem) -> tuple[Any, Any]:
    """Echelon levels [E] by the normal approximation of lead-time demand, and the standard deviations behind them."""
    mean, spread = lead_time_moments(problem)
    arrays = network_arrays(problem.network)
    levels = (mean + safety_factor(problem) * spread) * ~arrays.is_lateral
    total = cascade_sum(np.stack([levels, spread**2]), arrays)
    return total[0], np.sqrt(total[1])
