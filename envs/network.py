"""The supply network: nodes, links, costs and stockout rules, with no state and no randomness.

A `Network` is a directed graph without cycles. A **node** is one item at one location. A **link** is
a supply lane into a node, from another node or from an outside source that never runs out. Every
link into a node brings a component of its own, and one unit of each makes one unit of the node's
item: a node with one link is a stock point, a node with several is a plant that assembles. Serial
systems, distribution trees and assembly systems are all of this form.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from echelon.envs.defects import Defects, describe_all
from echelon.envs.defects import Path as Location
from echelon.envs.demand import Demand, Law
from echelon.envs.errors import NetworkError, nearest
from echelon.envs.yaml_io import dump_yaml, load_model

Cost = Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)]
Quantity = Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)]
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
    priority: Annotated[int, Field(ge=0, strict=True)] = 0
    """Rank as a receiver under the rule `priority`: lower is served first, ties in the order of the links."""
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
    """Units that arrive in each of the periods 0, ..., lead_time - 1, before any order can."""

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
            raise Defects(defects)
        return self

    @classmethod
    def from_dict(cls, data: object) -> Network:
        """A network from plain data, such as the content of a YAML file. Raises `NetworkError`."""
        try:
            return cls.model_validate(data)
        except ValidationError as error:
            raise NetworkError("\n".join(text for _, text in describe_all(error, cls))) from None

    @classmethod
    def from_yaml(cls, path: str | Path) -> Network:
        """Read a network file. Raises `ConfigError` that lists every defect with its line."""
        return load_model(Path(path), cls)

    def to_yaml(self, path: str | Path) -> None:
        """Write the network file that `from_yaml` reads back as an equal network."""
        dump_yaml(self.model_dump(mode="json", exclude_defaults=True), Path(path))

    def with_running_stock(self) -> Network:
        """The same network in full flow at the start: a period's mean demand at every node and in every slot."""
        flows = [float(round(flow)) if self.whole_units else flow for flow in self.mean_flow]
        of_node = {node.name: flow for node, flow in zip(self.nodes, flows, strict=True)}
        nodes = tuple(node.model_copy(update={"initial_on_hand": of_node[node.name]}) for node in self.nodes)
        links = tuple(link.model_copy(update={"initial_in_transit": of_node[link.target]}) for link in self.links)
        return Network(name=self.name, nodes=nodes, links=links, units=self.units, description=self.description)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Network:
        """A copy with some fields changed, and nothing that was derived from the old ones."""
        copy = super().model_copy(update=update, deep=deep)
        for derived in ("index", "mean_flow"):
            copy.__dict__.pop(derived, None)
        return copy

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


def _defects(network: Network) -> list[tuple[Location, str]]:
    """What breaks the rules of the model: where, and a sentence."""
    return [*_naming_defects(network), *_supply_defects(network), *_unit_defects(network)]


def _naming_defects(network: Network) -> list[tuple[Location, str]]:
    names = [node.name for node in network.nodes]
    known = [*names, OUTSIDE]
    defects: list[tuple[Location, str]] = []
    for i, name in enumerate(names):
        if name in names[:i]:
            defects.append((("nodes", i, "name"), f"must be unique (node {name!r} is defined before)"))
        if name == OUTSIDE:
            defects.append((("nodes", i, "name"), f"must not be {OUTSIDE!r}: that is the source that never runs out"))
    nodes, seen = set(names), set()
    for e, link in enumerate(network.links):
        if link.target not in nodes:
            defects.append(
                (("links", e, "target"), f"must be a node (got {link.target!r}){nearest(link.target, names)}")
            )
        if link.source not in known:
            hint = nearest(link.source, known)
            defects.append((("links", e, "source"), f"must be a node or {OUTSIDE!r} (got {link.source!r}){hint}"))
        if link.label in seen:
            defects.append((("links", e), f"must be the only link {link.label}: a pair of nodes has one link"))
        seen.add(link.label)
    return defects


def _supply_defects(network: Network) -> list[tuple[Location, str]]:
    sources = {link.source for link in network.links}
    targets = {link.target for link in network.links}
    reached = set(topological_order(network))
    defects: list[tuple[Location, str]] = []
    for i, node in enumerate(network.nodes):
        if node.name not in targets:
            defects.append((("nodes", i), f"node {node.name!r} has no supply: a link must lead to it"))
        if node.demand is None and node.name not in sources:
            defects.append((("nodes", i), f"node {node.name!r} supplies nobody and has no customers: give it a demand"))
    on_cycle = [node.name for node in network.nodes if node.name not in reached]
    if on_cycle:
        defects.append((("links",), f"must form no cycle; nodes on one or below it: {', '.join(on_cycle)}"))
    return defects


def _unit_defects(network: Network) -> list[tuple[Location, str]]:
    if not network.whole_units:
        return []
    rule = "must be whole on a network of whole units"
    initial: list[tuple[Location, float]] = [
        *((("nodes", i, "initial_on_hand"), node.initial_on_hand) for i, node in enumerate(network.nodes)),
        *((("links", e, "initial_in_transit"), link.initial_in_transit) for e, link in enumerate(network.links)),
    ]
    defects: list[tuple[Location, str]] = [
        (("nodes", i, "demand"), f"{rule} (got {node.demand.law})")
        for i, node in enumerate(network.nodes)
        if node.demand is not None and not node.demand.whole
    ]
    return defects + [(at, f"{rule} (got {value:g})") for at, value in initial if not float(value).is_integer()]
