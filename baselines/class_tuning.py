"""Tuning a parameter by classes of items: one value for each class, by simulation on common random numbers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar

from echelon.baselines.search import tuning_scenarios
from echelon.envs.network import Network
from echelon.envs.policy import OrderUpTo, Policy
from echelon.envs.problem import Problem
from echelon.envs.scenarios import Scenarios
from echelon.envs.simulate import simulate_cost

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

GRID = 9
"""Values of a parameter that are tried before the search closes in on the best of them."""
MOST_CLASSES = 4
"""Classes of items that are tuned apart."""
UNCOMPILED_REPLICATIONS = 64
"""Most replications that a rule is tuned on that does not run in the compiled rollout."""


def tune_by_class(
    problem: Problem, build: Callable[[Floats], Policy], most: Floats, scenarios: Scenarios | None, seed: int
) -> Floats:
    """[E] the parameter, from 0 to `most` [E], whose policy costs least on the scenarios: one value for each class.

    First all classes move together on a grid, then one after the other around the best value so far.
    """
    common = scenarios or tuning_scenarios(problem, seed=seed)
    if scenarios is None and not isinstance(build(most), OrderUpTo):
        common = common[:UNCOMPILED_REPLICATIONS]
    classes = _classes(problem.network)
    tops = np.array([max(most[members].max(), 0.0) for members in classes])

    def spread(values: Floats) -> Floats:
        parameter = np.zeros(len(most))
        for members, value in zip(classes, values, strict=True):
            parameter[members] = value
        return parameter

    known: dict[tuple[float, ...], float] = {}

    def cost(values: Floats) -> float:
        key = tuple(values.tolist())
        if key not in known:
            known[key] = float(simulate_cost(problem, build(spread(values)), common).mean())
        return known[key]

    best = min((tops * share for share in np.linspace(0.0, 1.0, GRID)), key=cost)
    for width in (0.5, 0.25) if len(classes) > 1 else (1 / (GRID - 1),):
        for c in range(len(classes)):
            best = _moved(cost, best, c, max(best[c] - width * tops[c], 0.0), best[c] + width * tops[c])
    return spread(best)


def _moved(cost: Callable[[Floats], float], best: Floats, c: int, low: float, high: float) -> Floats:
    """The best values with value c moved between the bounds to where the cost is least, or as they are."""

    def at(value: float) -> Floats:
        return np.concatenate((best[:c], [value], best[c + 1 :]))

    if not low < high:
        return best
    found = minimize_scalar(
        lambda value: cost(at(value)),
        bounds=(low, high),
        method="bounded",
        options={"xatol": (high - low) / 50, "maxiter": 8},
    )
    return min((best, at(low), at(float(found.x))), key=cost)


def _classes(network: Network) -> list[Ints]:
    """Links whose targets have one profile: those without customers, and outlets by what a shortage costs.

    Beyond `MOST_CLASSES` all outlets are one class.
    """
    key = [-1.0 if network.nodes[network.index[x.target]].demand is None else 0.0 for x in network.links]
    costs = [network.nodes[network.index[x.target]].stockout_cost for x in network.links]
    fine = np.array([k if k else cost for k, cost in zip(key, costs, strict=True)])
    labels = fine if len(set(fine.tolist())) <= MOST_CLASSES else np.array(key)
    return [np.flatnonzero(labels == label) for label in np.unique(labels)]
