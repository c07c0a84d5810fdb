"""The cost and the service of a network over the parameters of one link, all others fixed: a table for a picture.

All points meet the same scenarios, so that differences between neighbours are much more certain than costs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.rule_space import NUMBERS, RuleSpace, places
from echelon.baselines.search import lead_time_moments
from echelon.baselines.service_floors import ServiceFloor, achieved
from echelon.envs.network import Network
from echelon.envs.node_outcome import simulate_nodes
from echelon.envs.problem import Problem
from echelon.envs.scenarios import Scenarios

Floats = NDArray[np.float64]

POINTS = 16
"""Values of each number: at most 256 simulations."""
SPANS, DEVIATIONS = 0.25, 2.0
"""How far the table reaches around what it must show: a share of the span, and deviations of lead-time demand."""


@dataclass(frozen=True, eq=False)
class CostSurface:
    """A table over the rule's own numbers of one link, with as many axes as the rule has numbers."""

    place: str
    names: tuple[str, ...]
    """Of the axes: "Min", "Max"."""
    axes: tuple[Floats, ...]
    """Values, increasing: [I] and [J]."""
    cost: Floats
    """[I, J] the objective of the problem, of the whole network; nan where the numbers are no rule."""
    slack: Floats
    """[I, J] the least service above its floor, below 0 where one is missed; nan where there is no rule or no floor."""
    floors: tuple[ServiceFloor, ...]
    """Those of the node and of all nodes that it supplies."""


def cost_surface(
    problem: Problem,
    space: RuleSpace,
    parameters: Floats,
    scenarios: Scenarios,
    *,
    link: int,
    floors: Sequence[ServiceFloor] = (),
    shown: Sequence[Floats] = (),
    points: int = POINTS,
    threads: int = 1,
) -> CostSurface:
    """The table around parameters [2, E]; its axes reach beyond those of `shown` as well."""
    network = problem.network
    reached = _supplied_by(network, network.links[link].target)
    near = tuple(floor for floor in floors if floor.node in reached)
    axes = _axes(problem, space, [parameters, *shown], link, points)
    cost, slack = np.full((2, *map(len, axes)), np.nan)
    for at, candidate in _candidates(space, parameters, link, axes):
        outcome = simulate_nodes(problem, space.policy(candidate), scenarios, threads=threads)
        cost[at] = outcome.cost.mean()
        if near:
            slack[at] = (achieved(problem, outcome, near) - [floor.level for floor in near]).min()
    return CostSurface(places(network)[link], NUMBERS[space.rule], axes, cost, slack, near)


def dearest_link(problem: Problem, node_cost: Floats) -> int:
    """The first link into the outlet that costs most, of costs [B, N] of all nodes."""
    network, means = problem.network, node_cost.mean(axis=0)
    outlet = max((node.name for node in network.outlets), key=lambda name: float(means[network.index[name]]))
    return next(e for e, link in enumerate(network.links) if link.target == outlet)


def _candidates(
    space: RuleSpace, parameters: Floats, link: int, axes: Sequence[Floats]
) -> Iterator[tuple[tuple[int, ...], Floats]]:
    """The points of the table that are rules, with their parameters."""
    for at in product(*map(range, map(len, axes))):
        numbers = space.numbers(parameters)
        numbers[:, link] = [axis[i] for axis, i in zip(axes, at, strict=True)]
        candidate = space.parameters(numbers)
        if candidate[1, link] >= space.least_span[link]:
            yield at, candidate


def _axes(problem: Problem, space: RuleSpace, shown: Sequence[Floats], link: int, points: int) -> tuple[Floats, ...]:
    """Multiples of the unit, for each of the rule's numbers."""
    _, deviation = lead_time_moments(problem)
    reach = SPANS * shown[0][1, link] + DEVIATIONS * float(deviation[link])
    numbers, unit = np.array([space.numbers(one)[:, link] for one in shown]), float(space.unit[link])
    low, high = numbers.min(axis=0) - reach, numbers.max(axis=0) + reach
    if space.rule == "reorder_lots":
        low[-1] = max(low[-1], unit)
    return tuple(
        np.unique(unit * np.rint(np.linspace(first, last, points) / unit))
        for first, last in zip(low, high, strict=True)
    )


def _supplied_by(network: Network, node: str) -> set[str]:
    """The node, and all that it supplies directly or through others."""
    found, open_ = {node}, [node]
    while open_:
        source = open_.pop()
        targets = {link.target for link in network.links if link.source == source} - found
        found |= targets
        open_ += sorted(targets)
    return found
