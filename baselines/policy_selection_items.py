"""Item-locations whose policy is to be selected: what a search needs to know of each, and where there are any.

Item-locations are independent: each has customers and one supply link from outside. So the cost of a network
is a sum over them, and one simulation of the network prices one candidate of every item.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.requirements import require
from echelon.envs.arrays import network_arrays
from echelon.envs.codec import Codec
from echelon.envs.demand import Empirical, Law
from echelon.envs.errors import MethodError
from echelon.envs.network import OUTSIDE, Network, Node
from echelon.envs.problem import Problem
from echelon.envs.scenarios import Scenarios

Floats = NDArray[np.float64]
DemandClass = Literal["smooth", "erratic", "intermittent", "lumpy", "no demand"]
CLASSES: tuple[DemandClass, ...] = get_args(DemandClass)

ADI_CUT, CV2_CUT = 1.32, 0.49
"""Syntetos, Boylan and Croston (2005); a value at a cut is in the steadier class, as in `demand_classes`."""


@dataclass(frozen=True)
class Item:
    """One item-location: its demand, its supply and its costs; units, periods and money per unit."""

    name: str
    pattern: DemandClass
    adi: float
    """Periods per period with demand."""
    cv2: float
    """Squared coefficient of variation of the demands that are not 0."""
    mean: float
    """Demand per period."""
    sd: float
    cover: float
    """Periods of demand that an order must cover: its lead time and the period in which it arrives."""
    holding_cost: float
    shortage_cost: float
    """Per unit and period waited for; where sales are lost, per unit lost, less what not buying it saves."""
    fixed_cost: float
    loses: bool
    """Whether any unmet demand is lost."""
    batched: bool
    """Whether orders cost money or have a least size, so that it can pay to order less often."""
    whole: bool

    @property
    def lead_time_mean(self) -> float:
        """Units."""
        return self.mean * self.cover

    @property
    def lead_time_sd(self) -> float:
        """Units."""
        return float(self.sd * self.cover**0.5)


def items_of(problem: Problem, scenarios: Scenarios) -> tuple[Item, ...]:
    """The items, in the order of the nodes. Demand is classified by its history, or else as it is in the scenarios."""
    network, arrays, codec = problem.network, network_arrays(problem.network), Codec(problem.network)
    links = supply_links(network)
    processing = np.array([node.processing_time for node in network.nodes])
    cover = arrays.lead_time[links] + arrays.order_delay[links] + processing + 1
    loses = arrays.waits < 1
    saved = np.array([network.links[e].unit_cost for e in links]) - [node.price for node in network.nodes]
    items = []
    for n, (node, e) in enumerate(zip(network.nodes, links, strict=True)):
        link, (adi, cv2) = network.links[e], regularity(_record(node, scenarios.demand[:, :, n]))
        items.append(
            Item(
                name=node.name,
                pattern=pattern_of(adi, cv2),
                adi=adi,
                cv2=cv2,
                mean=float(codec.need[e]),
                sd=float(codec.sd[e]),
                cover=float(cover[n]),
                holding_cost=node.holding_cost,
                shortage_cost=max(node.stockout_cost - saved[n] * loses[n], 0.0),
                fixed_cost=link.fixed_cost,
                loses=bool(loses[n]),
                batched=bool(link.fixed_cost or link.min_order or link.lot_size),
                whole=network.whole_units,
            )
        )
    return tuple(items)


def _record(node: Node, drawn: Floats) -> Floats:
    return np.asarray(node.demand.values) if isinstance(node.demand, Empirical) else drawn


def regularity(demand: Floats) -> tuple[float, float]:
    """ADI and CV^2 of demands per period, with n - 1 as in `demand_classes.classify`; (0, 0) where there are none."""
    sizes = demand[demand > 0]
    if not len(sizes):
        return 0.0, 0.0
    return demand.size / len(sizes), float(sizes.var(ddof=1) / sizes.mean() ** 2) if len(sizes) > 1 else 0.0


def pattern_of(adi: float, cv2: float) -> DemandClass:
    """The class of Syntetos, Boylan and Croston (2005) for an ADI, 0 for no demand at all, and a CV^2."""
    if adi == 0:
        return "no demand"
    if adi <= ADI_CUT:
        return "smooth" if cv2 <= CV2_CUT else "erratic"
    return "intermittent" if cv2 <= CV2_CUT else "lumpy"


def supply_links(network: Network) -> NDArray[np.int64]:
    """[N] the link into each node of a network of item-locations."""
    place = {link.target: e for e, link in enumerate(network.links)}
    return np.array([place[node.name] for node in network.nodes])


def require_item_locations(problem: Problem, method: str) -> None:
    """Raise `MethodError` unless the nodes of the network are independent item-locations."""
    network = problem.network
    supplies = Counter(link.target for link in network.links)
    inner = [link.label for link in network.links if link.source != OUTSIDE]
    idle = [node.name for node in network.nodes if node.demand is None]
    several = [(name, count) for name, count in supplies.items() if count > 1]
    rules = [f"item-locations without links between them (got {label})" for label in inner]
    rules += [f"customers at every node (got none at {name})" for name in idle]
    rules += [f"one supply link for each node (got {count} into {name})" for name, count in several]
    rules += [f"item-locations that share no resource (got {resource.name})" for resource in network.resources]
    require(method, dict.fromkeys(rules, True))


def with_units(problem: Problem) -> Problem:
    """The problem with its kind of units written down, so that no call has to look through all demand laws for it."""
    units = "whole" if problem.network.whole_units else "continuous"
    return replace(problem, network=problem.network.model_copy(update={"units": units}))


def split_history(problem: Problem, *, share: float = 0.75) -> tuple[Problem, Problem]:
    """The problem with the first `share` of every demand history, and with the rest: to choose on, and to judge on.

    The cut is at a whole number of the history's `align`, so that both parts start in the same phase of the
    calendar. Raises `MethodError` for demand that is not a history, and for a part shorter than a block.
    """
    if not 0 < share < 1:
        raise MethodError(f"share must be greater than 0 and less than 1, got {share:g}")
    parts = [[_part(node, share, part) for node in problem.network.nodes] for part in (0, 1)]
    first, last = (problem.network.model_copy(update={"nodes": tuple(nodes)}) for nodes in parts)
    return replace(problem, network=first), replace(problem, network=last)


def _part(node: Node, share: float, part: int) -> Node:
    law: Law | None = node.demand
    if not isinstance(law, Empirical):
        raise MethodError(f"split_history needs a demand history at every node (got none at {node.name})")
    cut = int(share * len(law.values)) // law.align * law.align
    values = (law.values[:cut], law.values[cut:])[part]
    if len(values) < law.block:
        raise MethodError(
            f"share must leave both parts of the history of {node.name} as long as a block, "
            f"{law.block} of {len(law.values)} periods, got {share:g}"
        )
    return node.model_copy(update={"demand": law.model_copy(update={"values": values})})
