"""The supply network: nodes, links, costs and stockout rules, with no state and no randomness.

A `Network` is a directed graph without cycles. A **node** is one item at one location. A **link** is
a supply lane into a node, from another node or from an outside source that never runs out. Every
link into a node brings a component of its own, and one unit of each makes one unit of the node's
item: a node with one link is a stock point, a node with several is a plant that assembles. Serial
systems, distribution trees and assembly systems are all of this form.
"""

from __future__ import annotations

from collections import Counter, deque
from functools import cached_property
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from echelon.envs.demand import Demand, Law
from echelon.envs.errors import NetworkError, nearest
from echelon.envs.yaml_io import describe, dump_yaml, load_model

Cost = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Quantity = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Name = Annotated[str, Field(min_length=1)]

OUTSIDE = "outside"
"""The name of the source that never runs out."""


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Node(_Frozen):
    """One item at one location. Costs are money per unit and period, quantities are units."""

    name: Name
    holding_cost: Cost = 0.0
    """Per unit on hand at the end of a period."""
    demand: Demand | None = None
    """The customers' demand; a node that has it is an outlet."""
    stockout_rule: Literal["backorder", "lost_sales"] = "backorder"
    stockout_cost: Cost = 0.0
    """Per unit backordered at the end of a period, or per unit of sales lost in it."""
    allocation: Literal["proportional", "priority"] = "proportional"
    """How the node divides what it has among its receivers when it cannot ship all that they ask."""
    priority: Annotated[int, Field(ge=0)] = 0
    """The node's rank as a receiver under the rule `priority`: lower is served first, ties in the order of the links."""
    initial_on_hand: Quantity = 0.0


class Link(_Frozen):
    """A supply lane into the node `target`. The decision is one order per link and period."""

    source: Name = OUTSIDE
    target: Name
    lead_time: Annotated[int, Field(ge=0, strict=True)] = 0
    """Periods from shipment to arrival; with 0 a shipment can serve the demand of its own period."""
    unit_cost: Cost = 0.0
    """Per unit shipped."""
    fixed_cost: Cost = 0.0
    """Per period in which the order is positive."""
    transit_holding_cost: Cost = 0.0
    """Per unit in transit, or waiting at the target for the other components, at the end of a period."""
    unfilled: Literal["backorder", "drop"] = "backorder"
    """What becomes of the part of an order that the source cannot ship at once."""
    initial_in_transit: Quantity = 0.0
    """Units in every slot of the pipeline at the start: they arrive in periods 1, ..., lead_time."""

    @property
    def label(self) -> str:
        return f"{self.source} -> {self.target}"


class Network(_Frozen):
    """A supply network without cycles. Raises `NetworkError` if it breaks a rule of the model."""

    name: Name = "network"
    nodes: Annotated[tuple[Node, ...], Field(min_length=1)]
    links: Annotated[tuple[Link, ...], Field(min_length=1)]
    units: Literal["whole", "continuous"] | None = None
    """Whether orders and shipments are whole units. Left out: whole if every demand law is whole."""
    description: str = ""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        defects = _defects(self)
        if defects:
            raise ValueError("; ".join(defects))
        return self

    @classmethod
    def build(cls, *, nodes: list[Node], links: list[Link], name: str = "network", **extra: str) -> Network:
        """A network from nodes and links, with `NetworkError` instead of pydantic's own error."""
        return cls.from_dict({"name": name, "nodes": nodes, "links": links, **extra})

    @classmethod
    def from_dict(cls, data: object) -> Network:
        """A network from plain data, such as the content of a YAML file. Raises `NetworkError`."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise NetworkError("\n".join(describe(defect, cls) for defect in error.errors())) from None

    @classmethod
    def from_yaml(cls, path: str | Path) -> Network:
        """Read a network file. Raises `ConfigError` that lists every defect with its line."""
        return load_model(Path(path), cls)

    def to_yaml(self, path: str | Path) -> None:
        """Write the network file that `from_yaml` reads back as an equal network."""
        dump_yaml(self.model_dump(mode="json", exclude_defaults=True), Path(path))

    @cached_property
    def index(self) -> dict[str, int]:
        """The position of each node by its name."""
        return {node.name: position for position, node in enumerate(self.nodes)}

    @property
    def outlets(self) -> tuple[Node, ...]:
        """The nodes that have customers, in the order of the axis C."""
        return tuple(node for node in self.nodes if node.demand is not None)

    @property
    def laws(self) -> tuple[Law, ...]:
        """The demand law of each outlet, in the order of the axis C."""
        return tuple(node.demand for node in self.nodes if node.demand is not None)

    @property
    def whole_units(self) -> bool:
        """Whether orders and shipments are whole units."""
        return self.units == "whole" if self.units else all(law.whole for law in self.laws)

    @cached_property
    def mean_flow(self) -> tuple[float, ...]:
        """Mean demand per period [N] that passes through each node in the long run."""
        flow = {node.name: (node.demand.mean_demand if node.demand else 0.0) for node in self.nodes}
        supplies: dict[str, list[str]] = {node.name: [] for node in self.nodes}
        for link in self.links:
            supplies[link.target].append(link.source)
        for name in reversed(topological_order(self)):
            for source in supplies[name]:
                if source != OUTSIDE:
                    flow[source] += flow[name]
        return tuple(flow[node.name] for node in self.nodes)


def topological_order(network: Network) -> list[str]:
    """The names of the nodes, every source before its targets; nodes on a cycle are left out."""
    waiting = {node.name: 0 for node in network.nodes}
    receivers: dict[str, list[str]] = {node.name: [] for node in network.nodes}
    for link in network.links:
        if link.source in receivers and link.target in waiting:
            waiting[link.target] += 1
            receivers[link.source].append(link.target)
    ready = deque(name for name, count in waiting.items() if count == 0)
    order: list[str] = []
    while ready:
        order.append(name := ready.popleft())
        for receiver in receivers[name]:
            waiting[receiver] -= 1
            if waiting[receiver] == 0:
                ready.append(receiver)
    return order


def _defects(network: Network) -> list[str]:
    """What breaks the rules of the model, one sentence each."""
    return [*_naming_defects(network), *_supply_defects(network), *_unit_defects(network)]


def _naming_defects(network: Network) -> list[str]:
    names = [node.name for node in network.nodes]
    known = [*names, OUTSIDE]
    defects = [f"node {name!r} is defined {n} times; names must be unique" for name, n in Counter(names).items() if n > 1]
    if OUTSIDE in names:
        defects.append(f"no node may be called {OUTSIDE!r}: that is the source that never runs out")
    for label, n in Counter(link.label for link in network.links).items():
        if n > 1:
            defects.append(f"link {label} is defined {n} times; a pair of nodes has one link")
    nodes = set(names)
    for link in network.links:
        if link.target not in nodes:
            defects.append(f"link {link.label}: the target must be a node{nearest(link.target, names)}")
        if link.source not in nodes and link.source != OUTSIDE:
            defects.append(f"link {link.label}: the source must be a node or {OUTSIDE!r}{nearest(link.source, known)}")
    return defects


def _supply_defects(network: Network) -> list[str]:
    sources = {link.source for link in network.links}
    targets = {link.target for link in network.links}
    defects = [f"node {n.name!r} has no supply: a link must lead to it" for n in network.nodes if n.name not in targets]
    defects += [
        f"node {node.name!r} supplies nobody and has no customers: give it a demand"
        for node in network.nodes
        if node.demand is None and node.name not in sources
    ]
    reached = set(topological_order(network))
    on_cycle = [node.name for node in network.nodes if node.name not in reached]
    if on_cycle:
        defects.append(f"the network must have no cycle; on or below one: {', '.join(on_cycle)}")
    return defects


def _unit_defects(network: Network) -> list[str]:
    if network.units != "whole":
        return []
    outlets = [(node.name, node.demand) for node in network.nodes if node.demand is not None]
    defects = [
        f"node {name!r}: with whole units the demand must be whole too (got {law.law})"
        for name, law in outlets
        if not law.whole
    ]
    defects += [
        f"{name}: with whole units the initial stock must be whole too (got {quantity:g})"
        for name, quantity in [
            *((f"node {node.name!r}", node.initial_on_hand) for node in network.nodes),
            *((f"link {link.label}", link.initial_in_transit) for link in network.links),
        ]
        if not quantity.is_integer()
    ]
    return defects
