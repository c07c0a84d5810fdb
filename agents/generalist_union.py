"""Many problems side by side as one, so that a policy is trained on all of them at once.

The union of networks has the nodes and links of all of them and nothing between them. Its cost is the sum of theirs,
each in units of what that problem costs under a newsvendor's echelon levels, so that relative gaps count.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeVar

import numpy as np

from echelon.agents.generalist_features import link_features
from echelon.envs.codec import Codec
from echelon.envs.errors import MethodError
from echelon.envs.network import OUTSIDE, Link, Network, Node, Resource
from echelon.envs.policy import order_up_to
from echelon.envs.problem import Problem
from echelon.envs.simulate import simulate_stream

Part = TypeVar("Part", Node, Link)
RATES: dict[type, tuple[str, ...]] = {
    Node: ("holding_cost", "stockout_cost", "price", "processing_holding_cost", "scrap_cost"),
    Link: ("unit_cost", "fixed_cost", "transit_holding_cost"),
}
"""What is counted in money."""
REPLICATIONS = 20
"""In which the cost level of a problem is told."""


def union(problems: Sequence[Problem], *, seed: int = 0) -> Problem:
    """The problem of ordering for all of them at once. Raises `MethodError` where they do not go together."""
    first = problems[0]
    for name, values in (
        ("discount", [problem.discount for problem in problems]),
        ("units", ["whole" if problem.network.whole_units else "continuous" for problem in problems]),
        ("demand_correlation", [problem.network.demand_correlation for problem in problems]),
        ("calendar of demand, in periods", [Codec(problem.network).cycle for problem in problems]),
        ("horizon, where there is no warm-up", [0 if problem.warm_up else problem.periods for problem in problems]),
    ):
        if len(set(values)) > 1:
            found = ", ".join(dict.fromkeys(map(str, values)))
            raise MethodError(f"problems that are trained on together must have the same {name} (got {found})")
    parts = [
        _part(problem.network, f"{k + 1}.", 1 / cost_level(problem, seed=seed)) for k, problem in enumerate(problems)
    ]
    nodes, links, resources = (tuple(x for part in parts for x in part[axis]) for axis in range(3))
    units = "whole" if first.network.whole_units else "continuous"
    network = Network.from_dict(
        {
            "name": "union",
            "nodes": [node.model_dump() for node in nodes],
            "links": [link.model_dump() for link in links],
            "resources": [resource.model_dump() for resource in resources],
            "units": units,
            "demand_correlation": first.network.demand_correlation,
        }
    )
    periods, warm_up = (max(getattr(problem, name) for problem in problems) for name in ("periods", "warm_up"))
    return Problem("union", network, periods, warm_up, first.discount)


def cost_level(problem: Problem, *, seed: int = 0) -> float:
    """What a problem costs per period of its objective under a newsvendor's echelon levels, at least a little."""
    codec = Codec(problem.network)
    levels = np.maximum(link_features(codec).centre, 0.0) * ~codec.arrays.is_lateral
    policy = order_up_to(problem.network, np.rint(levels) if codec.arrays.whole_units else levels, position="echelon")
    cost = abs(
        float(simulate_stream(problem, policy, replications=REPLICATIONS, seed=seed, stream="scale").cost.mean())
    )
    return max(cost / float(problem.weights.sum()), 1e-3 * codec.cost_scale)


def _part(network: Network, prefix: str, factor: float) -> tuple[Sequence[Node], Sequence[Link], Sequence[Resource]]:
    """Nodes, links and resources under other names, with all money multiplied by a factor."""

    def named(name: str) -> str:
        return name if name == OUTSIDE else prefix + name

    nodes = [_scaled(node, factor, name=named(node.name)) for node in network.nodes]
    links = [
        _scaled(
            link,
            factor,
            name=prefix + link.label,
            source=named(link.source),
            target=named(link.target),
            component=link.component and prefix + link.component,
        )
        for link in network.links
    ]
    resources = [
        resource.model_copy(update={"name": named(resource.name), "members": tuple(map(named, resource.members))})
        for resource in network.resources
    ]
    return nodes, links, resources


def _scaled(item: Part, factor: float, **changes: Any) -> Part:
    rates = {name: getattr(item, name) * factor for name in RATES[type(item)]}
    return item.model_copy(update={**rates, **changes})
