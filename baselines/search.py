"""Simulation-tuning: levels that minimise the simulated cost, on common random numbers.

Every candidate meets the same scenarios, so that differences between candidates are much less noisy
than their costs. The search is a compass search (Kolda, Lewis and Torczon 2003) on a grid that is
refined down to single units: it moves one level at a time, those of all links out of one node together, and two
at a time, together or apart. (With many stores a unit less in one of them may not pay where a unit less in all does.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from echelon.envs.arrays import network_arrays
from echelon.envs.codec import Codec
from echelon.envs.errors import MethodError
from echelon.envs.policy import Policy
from echelon.envs.problem import Problem
from echelon.envs.scenarios import Scenarios, sample
from echelon.envs.simulate import simulate_cost

Floats = NDArray[np.float64]
Levels = tuple[float, ...]

TUNING_NODE_PERIODS = 2_000_000
"""Node-periods that one evaluation of a candidate simulates, unless the scenarios are given."""
WORTH_ANOTHER_ROUND = 1e-3
"""Share of the cost that a search from wide steps to narrow ones must save for another one to follow."""
MOST_EVALUATIONS = 4_000
"""Candidates that one search simulates: the limit matters from some twenty links on."""
MOST_PAIRS = 8
"""Levels up to which the search also shifts stock between any two of them."""


MOST_TUNED_LINKS = 60
"""Links up to which every level is tuned on its own."""


def require_tunable(problem: Problem, method: str, *, given: bool) -> None:
    """Raise `MethodError` if parameters are to be tuned on a network that is too large for it."""
    links = len(problem.network.links)
    if links > MOST_TUNED_LINKS and not given:
        raise MethodError(
            f"{method} tunes at most {MOST_TUNED_LINKS} links (got {links}): give its parameters, or use base_stock"
        )


def tuning_scenarios(problem: Problem, *, seed: int = 0) -> Scenarios:
    """The scenarios that a baseline is tuned on: about `TUNING_NODE_PERIODS`, in 16 replications or more."""
    size = problem.periods * len(problem.network.nodes)
    replications = int(np.clip(TUNING_NODE_PERIODS / size, 16, 2_048))
    return sample(problem.network, periods=problem.periods, replications=replications, seed=seed, stream="tuning")


def tune(
    problem: Problem,
    build: Callable[[Levels], Policy],
    *,
    starts: Sequence[Sequence[float]],
    step: Sequence[float] | Floats,
    lowest: Sequence[float],
    scenarios: Scenarios,
) -> Levels:
    """The parameters whose policy costs least on the scenarios, from the best of several starts.

    Steps shrink from `step`, down to 1 on a network of whole units, where parameters stay whole.
    No parameter goes below its `lowest`. After `MOST_EVALUATIONS` candidates the best one so far stands.
    """
    whole = problem.network.whole_units
    bound = np.asarray(lowest, dtype=np.float64)
    groups = _siblings(problem, len(bound))
    known: dict[Levels, float] = {}

    def cost(levels: Levels) -> float:
        if levels not in known and len(known) >= MOST_EVALUATIONS:
            return np.inf
        if levels not in known:
            known[levels] = float(simulate_cost(problem, build(levels), scenarios).mean())
        return known[levels]

    def search(start: Sequence[float]) -> Levels:
        best = _within(np.rint(start) if whole else np.asarray(start), bound)
        before = np.inf
        while before - cost(best) > WORTH_ANOTHER_ROUND * abs(cost(best)):
            before = cost(best)
            for widths in _shrinking(np.asarray(step, dtype=np.float64), whole):
                best = _descend(cost, best, list(_moves(widths, groups)), bound)
        return best

    return min((search(start) for start in starts), key=cost)


def _shrinking(step: Floats, whole: bool) -> Iterator[Floats]:
    """Step widths, halved until they are 1, or a 16th of the first for units that are not whole."""
    widths = np.maximum(np.ceil(step), 1.0) if whole else step
    finest = np.ones_like(widths) if whole else widths / 16
    while True:
        yield widths
        if (widths <= finest).all():
            return
        widths = np.maximum(np.floor(widths / 2) if whole else widths / 2, finest)


def _siblings(problem: Problem, parameters: int) -> list[list[int]]:
    """The parameters of links out of one node, where it has several; parameters are those of all links in turn."""
    links = problem.network.links
    sources = dict.fromkeys(link.source for link in links)
    groups = [[e for e, link in enumerate(links) if link.source == source] for source in sources]
    blocks = range(0, parameters, len(links))
    return [[first + e for e in group] for first in blocks for group in groups if len(group) > 1]


def _descend(cost: Callable[[Levels], float], best: Levels, moves: Sequence[Floats], bound: Floats) -> Levels:
    """Move to a cheaper neighbour until there is none, keeping to the direction that helped last."""
    improved = True
    while improved:
        improved = False
        for move in moves:
            while cost(candidate := _within(np.asarray(best) + move, bound)) < cost(best):
                best, improved = candidate, True
    return best


def _moves(widths: Floats, groups: Sequence[Sequence[int]]) -> Iterator[Floats]:
    """One level up or down, those of a group, then two levels in opposite directions, and two in the same one."""
    basis = np.diag(widths)
    yield from basis
    yield from -basis
    for group in groups:
        together = basis[list(group)].sum(axis=0)
        yield from (together, -together)
    for i, j in combinations(range(len(widths) if len(widths) <= MOST_PAIRS else 0), 2):
        for one in (basis[i], -basis[i]):
            yield one - basis[j]
            yield one + basis[j]


def _within(levels: Floats, bound: Floats) -> Levels:
    return tuple(float(x) for x in np.maximum(levels, bound))


def lead_time_moments(problem: Problem) -> tuple[Floats, Floats]:
    """Mean and standard deviation [E] of the demand that each link's target must cover on its own.

    That is the demand of the link's lead time, order delay and processing time, and of one period more
    at an outlet.
    """
    codec, arrays = Codec(problem.network), network_arrays(problem.network)
    outlet = np.isin(arrays.target, arrays.outlet)
    cover = arrays.lead_time + arrays.order_delay + arrays.processing_time[arrays.target] + outlet
    return codec.need * cover, codec.sd * np.sqrt(cover)


def first_step(problem: Problem, spread: Floats) -> Floats:
    """[E] a step for levels: half a standard deviation, and at least a quarter of a period's mean demand."""
    mean = Codec(problem.network).need
    return np.asarray(np.maximum(np.maximum(spread / 2, mean / 4), 1e-3 * mean.max()))


def critical_ratio(problem: Problem) -> Floats:
    """[E] p / (p + h) of the dearest outlet and the link's target; between 0.5 and 0.999."""
    arrays = network_arrays(problem.network)
    shortage, holding = arrays.stockout_cost.max(), arrays.holding_cost[arrays.target]
    total = shortage + holding
    ratio = np.divide(shortage, total, out=np.full_like(total, 0.9), where=total > 0)
    return np.asarray(np.clip(ratio, 0.5, 0.999))


def safety_factor(problem: Problem) -> Floats:
    """[E] the standard normal quantile of the critical ratio."""
    return np.asarray(ndtri(critical_ratio(problem)))
