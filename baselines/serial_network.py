"""A serial network of the engine, read as the serial system that the theory knows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypedDict

from echelon.baselines.flow_cost import flow_cost
from echelon.baselines.requirements import require, require_average_backorder_cost, require_steady_demand
from echelon.envs.demand import Law
from echelon.envs.network import OUTSIDE, Link, Network
from echelon.envs.problem import Problem


class SerialArguments(TypedDict):
    """What all functions on serial systems take. Lists are stage 1 first; lead times are whole periods."""

    echelon_holding_cost: list[float]
    lead_time: list[float]
    stockout_cost: float
    demand: Law


@dataclass(frozen=True)
class SerialNetwork:
    """A serial network, stage 1 (the customers') first."""

    network: Network
    links: tuple[Link, ...]
    """The link into each stage."""
    arguments: SerialArguments
    flow_cost: float
    """The cost per period of the engine less that of the convention in `serial`; it is the same for all policies.

    The engine charges purchases, and units in transit at the link's own rate; the convention charges
    them at the rate of the stage that shipped them, and each unit one period more between the first
    two stages.
    """

    def by_link(self, values: Sequence[float]) -> list[float]:
        """Values of the stages in the order of the network's links [E]."""
        of_link = dict(zip(self.links, values, strict=True))
        return [of_link[link] for link in self.network.links]


def serial_network(problem: Problem, method: str, *, fixed_cost: bool = False) -> SerialNetwork:
    """The network of a problem as a serial system. Raises `MethodError` "METHOD needs RULE" where it is none.

    Fixed costs per order are refused unless the method takes them into account (`fixed_cost`).
    """
    require_average_backorder_cost(problem, method, fixed_cost=fixed_cost)
    require_steady_demand(problem, method)
    network = problem.network
    links = _links_upwards(network, method)
    nodes = [network.nodes[network.index[link.target]] for link in links]
    local = [*(node.holding_cost for node in nodes), 0.0]
    echelon = [own - above for own, above in pairwise(local)]
    require(
        method,
        {
            "holding costs that do not fall from stage to stage towards the customers": min(echelon) < 0,
            "a positive holding cost at the stage that is fed from outside": echelon[-1] == 0,
            "a positive stockout cost": nodes[0].stockout_cost == 0,
        },
    )
    law = network.laws[0]
    arguments = SerialArguments(
        echelon_holding_cost=echelon,
        lead_time=[link.mean_lead_time for link in links],
        stockout_cost=nodes[0].stockout_cost,
        demand=law,
    )
    by_convention = sum(link.mean_lead_time * above for link, above in zip(links, local[1:], strict=True)) + local[1]
    return SerialNetwork(network, tuple(links), arguments, flow_cost(network) - law.mean_demand * by_convention)


def _links_upwards(network: Network, method: str) -> list[Link]:
    """The links of a serial network from the customers up to the outside source."""
    into = {link.target: link for link in network.links}
    one_each = len(into) == len(network.links) == len({link.source for link in network.links})
    rule = "a serial network: one link into and at most one out of every node, one outlet"
    require(method, {rule: len(network.outlets) != 1 or not one_each})
    links = [into[network.outlets[0].name]]
    while links[-1].source != OUTSIDE:
        links.append(into[links[-1].source])
    require(method, {"a serial network whose last stage is the outlet": len(links) < len(network.links)})
    return links
