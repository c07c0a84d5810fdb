"""The supply network: nodes, links, resources, costs and rules, with no state and no randomness.

A `Network` is a directed graph without cycles. A **node** is one item at one location. A **link** is
a supply lane into a node, from another node or from an outside source that never runs out. Links
into one node that bring the same component are alternative sources of it; a node with several
components is a plant that assembles, and takes `quantity` units of each to make one unit. Serial
systems, distribution trees, assembly systems and dual sourcing are all of this form. **Lateral**
links between nodes that stock the same item come on top, and may form cycles.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from echelon.envs.defects import Defects, describe_all
from echelon.envs.demand import Demand, Law
from echelon.envs.errors import NetworkError
from echelon.envs.supply import Disruption, LeadTime, Yield
from echelon.envs.yaml_io import dump_yaml, load_model

Cost = Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)]
Quantity = Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, strict=True, allow_inf_nan=False)]
Fraction = Annotated[float, Field(ge=0, le=1, strict=True)]
Periods = Annotated[int, Field(ge=0, strict=True)]
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
    stockout_rule: Literal["backorder", "lost_sales"] | Fraction = "backorder"
    """What becomes of demand that is not met at once; a number is the fraction of it that waits."""
    stockout_cost: Cost = 0.0
    """Per unit backordered at the end of a period, or per unit of sales lost in it."""
    price: Cost = 0.0
    """Per unit delivered to customers."""
    allocation: Literal["proportional", "priority", "first_come", "balance"] = "proportional"
    """How the node divides what it has among its receivers when it cannot ship all that they ask."""
    priority: Annotated[int, Field(ge=0, strict=True)] = 0
    """Rank as a receiver: lower is served first, ties in the order of the links."""
    capacity: Positive | None = None
    """Most units that the node can make, or take into stock, in a period."""
    processing_time: Periods = 0
    """Periods from making a unit to having it in stock."""
    processing_holding_cost: Cost = 0.0
    """Per unit in process at the end of a period."""
    shelf_life: Annotated[int, Field(ge=1, strict=True)] | None = None
    """Periods that a unit can be used, from its entry into the stock of this node."""
    issuing: Literal["fifo", "lifo"] = "fifo"
    """Whether perishable stock leaves oldest or freshest first."""
    scrap_cost: Cost = 0.0
    """Per unit that expires."""
    disruption: Disruption | None = None
    """While a node is down it makes, ships and sells nothing."""
    initial_on_hand: Quantity = 0.0


class Link(_Frozen):
    """A supply lane into the node `target`. The decision is one order per link and period."""

    name: str = ""
    """What the link is called; left out, "source -> target"."""
    source: Name = OUTSIDE
    target: Name
    component: str = ""
    """What the link brings; left out, the name of its source. Links of one component are alternatives."""
    quantity: Positive = 1.0
    """Units of the component in one unit of the target's item."""
    lead_time: Periods | LeadTime = 0
    """Periods from shipment to arrival; with 0 a shipment can serve the demand of its own period."""
    order_delay: Periods = 0
    """Periods until the source hears of an order."""
    capacity: Positive | None = None
    """Most units shipped in a period."""
    min_order: Quantity = 0.0
    """A positive order is raised to this."""
    lot_size: Positive | None = None
    """An order is raised to a multiple of this."""
    max_order: Positive | None = None
    """An order is cut to this."""
    unit_cost: Cost = 0.0
    """Per unit shipped."""
    fixed_cost: Cost = 0.0
    """Per period in which the order is positive."""
    transit_holding_cost: Cost = 0.0
    """Per unit in transit, or waiting at the target for the other components, at the end of a period."""
    unfilled: Literal["backorder", "drop"] = "backorder"
    """What becomes of the part of an order that the source cannot ship at once."""
    yield_rate: Fraction | Yield = 1.0
    """The share of what arrives that is usable."""
    disruption: Disruption | None = None
    """While a link is down nothing is shipped on it."""
    lateral: bool = False
    """Whether the link moves the item itself between two nodes that stock it (transshipment)."""
    initial_in_transit: Quantity = 0.0
    """Units that arrive in each of the periods before the first order can: as many as the shortest lead time."""

    @property
    def label(self) -> str:
        """What messages and tables call the link."""
        return self.name or f"{self.source} -> {self.target}"

    @property
    def item(self) -> str:
        """The component that the link brings."""
        return self.component or self.source

    @property
    def lead_times(self) -> tuple[int, ...]:
        """Every lead time that a shipment can have."""
        return (self.lead_time,) if isinstance(self.lead_time, int) else self.lead_time.possible

    @property
    def mean_lead_time(self) -> float:
        """The expected lead time."""
        return float(self.lead_time) if isinstance(self.lead_time, int) else self.lead_time.mean


class Resource(_Frozen):
    """A capacity that several nodes share.

    `production`: units that its members make in a period, all together. `storage`: units that they
    hold on hand and in process; what does not fit waits at the door as a component.
    """

    name: Name
    kind: Literal["production", "storage"] = "production"
    capacity: Positive
    members: tuple[Name, ...]


class Network(_Frozen):
    """A supply network without cycles. Raises `NetworkError` if it breaks a rule of the model."""

    name: Name = "network"
    nodes: Annotated[tuple[Node, ...], Field(min_length=1)]
    links: Annotated[tuple[Link, ...], Field(min_length=1)]
    resources: tuple[Resource, ...] = ()
    units: Literal["whole", "continuous"] | None = None
    """Whether orders and shipments are whole units. Left out: whole if every demand law is whole."""
    demand_correlation: Annotated[float, Field(ge=0, lt=1, strict=True)] = 0.0
    """Correlation between the outlets of the normal scores of their demand (one-factor Gaussian copula)."""
    description: str = ""

    @model_validator(mode="after")
    def _sound(self) -> Self:
        from echelon.envs.network_rules import defects_of  # the rules read the classes of this file

        defects = defects_of(self)
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
        whole = self.whole_units
        of_node = {node.name: round(f) if whole else f for node, f in zip(self.nodes, self.mean_flow, strict=True)}
        of_link = [round(flow) if whole else flow for flow in self.mean_link_flow]
        nodes = tuple(node.model_copy(update={"initial_on_hand": float(of_node[node.name])}) for node in self.nodes)
        links = tuple(
            link.model_copy(update={"initial_in_transit": float(flow)})
            for link, flow in zip(self.links, of_link, strict=True)
        )
        return Network.from_dict(self.model_copy(update={"nodes": nodes, "links": links}).model_dump())

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Network:
        """A copy with some fields changed, and nothing that was derived from the old ones."""
        copy = super().model_copy(update=update, deep=deep)
        for derived in ("index", "_flows"):
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

    @property
    def mean_flow(self) -> tuple[float, ...]:
        """Mean demand per period [N] that passes through each node in the long run."""
        return self._flows[0]

    @property
    def mean_link_flow(self) -> tuple[float, ...]:
        """Mean units per period [E] on each link; alternative sources have equal shares, laterals none."""
        return self._flows[1]

    @cached_property
    def _flows(self) -> tuple[tuple[float, ...], tuple[float, ...]]:
        of_node = {node.name: (node.demand.mean_demand if node.demand else 0.0) for node in self.nodes}
        alternatives = Counter((link.target, link.item) for link in self.links if not link.lateral)
        into: dict[str, list[int]] = {node.name: [] for node in self.nodes}
        for e, link in enumerate(self.links):
            if not link.lateral:
                into[link.target].append(e)
        of_link = [0.0] * len(self.links)
        for name in reversed(topological_order(self)):
            for e in into[name]:
                link = self.links[e]
                of_link[e] = of_node[name] * link.quantity / alternatives[link.target, link.item]
                if link.source != OUTSIDE:
                    of_node[link.source] += of_link[e]
        return tuple(of_node[node.name] for node in self.nodes), tuple(of_link)


def topological_order(network: Network) -> list[str]:
    """The names of the nodes, every source before its targets; nodes on a cycle are left out."""
    waiting = {node.name: 0 for node in network.nodes}
    receivers: dict[str, list[str]] = {node.name: [] for node in network.nodes}
    for link in network.links:
        if not link.lateral and link.source in receivers and link.target in waiting:
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
