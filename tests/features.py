"""Features beyond the classic model, added to a random network: each where it fits, and never against a rule.

A feature is a function that changes the fields of some nodes and links. The order of `FEATURES` is
that in which they are added, so that each meets what it must respect or may combine with.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from hypothesis import strategies as st

from echelon.envs.network import OUTSIDE, Link, Network, Node, Resource
from echelon.envs.supply import Disruption, LeadTime, Yield

T = TypeVar("T")
QUARTERS = (0.0, 0.25, 0.5, 0.75, 1.0)


@dataclass
class _Parts:
    """A network while it is being changed: the fields of its nodes, links and resources."""

    nodes: list[dict[str, Any]]
    links: list[dict[str, Any]]
    resources: list[dict[str, Any]]
    whole: bool

    def named(self, name: str) -> dict[str, Any]:
        return next(node for node in self.nodes if node["name"] == name)

    def suppliers(self) -> list[dict[str, Any]]:
        """The nodes that have receivers."""
        sources = {link["source"] for link in self.links if not link["lateral"]}
        return [node for node in self.nodes if node["name"] in sources]


@st.composite
def with_features(draw: st.DrawFn, network: Network, chosen: Collection[str]) -> Network:
    """The network with the chosen features. Its nodes are called n0, n1, ..., sources before targets."""
    parts = _Parts(
        [dict(node) for node in network.nodes], [dict(link) for link in network.links], [], network.whole_units
    )
    for name, feature in FEATURES.items():
        if name in chosen:
            feature(draw, parts)
    return Network(
        nodes=tuple(Node(**fields) for fields in parts.nodes),
        links=tuple(Link(**fields) for fields in draw(st.permutations(parts.links))),
        resources=tuple(Resource(**fields) for fields in parts.resources),
        units=network.units,
    )


def _some(draw: st.DrawFn, candidates: Sequence[T]) -> list[T]:
    """One or more of the candidates, if there are any."""
    if not candidates:
        return []
    places = draw(st.sets(st.integers(0, len(candidates) - 1), min_size=1))
    return [candidates[place] for place in sorted(places)]


def _units(draw: st.DrawFn, parts: _Parts, highest: int) -> float:
    """More than 0 units: whole, or in halves."""
    return float(draw(st.integers(1, highest))) if parts.whole else draw(st.integers(1, 2 * highest)) / 2


def _money(draw: st.DrawFn) -> float:
    return draw(st.integers(0, 16)) / 4


def _item(link: dict[str, Any]) -> str:
    return str(link["component"] or link["source"])


def _alternative_sources(draw: st.DrawFn, parts: _Parts) -> None:
    for k, link in enumerate(_some(draw, parts.links)):
        if draw(st.booleans()):
            component = "any"
            for other in [other for other in parts.links if other["target"] == link["target"]]:
                other["component"] = component
        else:
            component = _item(link)
        upstream = [f"n{rank}" for rank in range(int(link["target"][1:]))]
        change: dict[str, Any] = {"name": f"alternative {k}", "source": draw(st.sampled_from([OUTSIDE, *upstream]))}
        change |= {"component": component, "lead_time": draw(st.integers(0, 3)), "unit_cost": _money(draw)}
        parts.links.append(link | change)


def _quantity(draw: st.DrawFn, parts: _Parts) -> None:
    for target, item in sorted({(link["target"], _item(link)) for link in parts.links}):
        quantity = draw(st.sampled_from([1.0, 2.0, 3.0] if parts.whole else [0.5, 1.0, 2.0]))
        for link in parts.links:
            if (link["target"], _item(link)) == (target, item):
                link["quantity"] = quantity


def _perishable(draw: st.DrawFn, parts: _Parts) -> None:
    for node in _some(draw, parts.nodes):
        node |= {"shelf_life": draw(st.integers(1, 4)), "scrap_cost": _money(draw)}
        fed = {link["target"] for link in parts.links if link["source"] == node["name"]}
        items = [{_item(link) for link in parts.links if link["target"] == target} for target in fed]
        if all(len(brought) == 1 for brought in items):
            node["issuing"] = draw(st.sampled_from(["fifo", "lifo"]))


def _production(draw: st.DrawFn, parts: _Parts) -> None:
    members = tuple(node["name"] for node in _some(draw, parts.nodes))
    parts.resources.append({"name": "machine", "capacity": _units(draw, parts, 12), "members": members})


def _storage(draw: st.DrawFn, parts: _Parts) -> None:
    members = _some(draw, parts.nodes)
    held = int(sum(node["initial_on_hand"] for node in members))
    capacity = held + 1.0 + draw(st.integers(0, 12))
    names = tuple(node["name"] for node in members)
    parts.resources.append({"name": "room", "kind": "storage", "capacity": capacity, "members": names})


def _lateral(draw: st.DrawFn, parts: _Parts) -> None:
    lasting = [node["name"] for node in parts.nodes if node["shelf_life"] is None]
    stored = {name for resource in parts.resources if resource.get("kind") == "storage" for name in resource["members"]}
    pairs = [(a, b) for a in lasting for b in lasting if a != b and b not in stored]
    for source, target in _some(draw, pairs)[:4]:
        fields: dict[str, Any] = {
            "name": f"{source} helps {target}",
            "source": source,
            "target": target,
            "lateral": True,
        }
        fields |= {"lead_time": draw(st.integers(0, 2)), "unit_cost": _money(draw), "fixed_cost": _money(draw)}
        fields |= {"initial_in_transit": draw(st.sampled_from([0.0, 2.0]))}
        parts.links.append(dict(Link(**fields)))


def _order_delay(draw: st.DrawFn, parts: _Parts) -> None:
    for link in _some(draw, [link for link in parts.links if not link["lateral"]]):
        link["order_delay"] = draw(st.integers(1, 3))


def _random_lead_time(draw: st.DrawFn, parts: _Parts) -> None:
    for link in _some(draw, parts.links):
        values = tuple(draw(st.lists(st.integers(0, 4), min_size=1, max_size=3)))
        link["lead_time"] = LeadTime(values=values, crossover=draw(st.booleans()))


def _link_capacity(draw: st.DrawFn, parts: _Parts) -> None:
    for link in _some(draw, parts.links):
        link["capacity"] = _units(draw, parts, 8)


def _order_bounds(draw: st.DrawFn, parts: _Parts) -> None:
    for link in _some(draw, parts.links):
        lot, least = _units(draw, parts, 5), draw(st.integers(0, 2))
        link["min_order"] = lot * least
        link["max_order"] = draw(st.sampled_from([None, lot * max(1, least + draw(st.integers(0, 3)))]))
        link["lot_size"] = draw(st.sampled_from([None, lot]))


def _node_capacity(draw: st.DrawFn, parts: _Parts) -> None:
    for node in _some(draw, parts.nodes):
        node["capacity"] = _units(draw, parts, 8)


def _processing(draw: st.DrawFn, parts: _Parts) -> None:
    for node in _some(draw, parts.nodes):
        node |= {"processing_time": draw(st.integers(1, 3)), "processing_holding_cost": _money(draw)}


def _partial_backorders(draw: st.DrawFn, parts: _Parts) -> None:
    for node in _some(draw, [node for node in parts.nodes if node["demand"] is not None]):
        node["stockout_rule"] = draw(st.sampled_from(QUARTERS))


def _yield(draw: st.DrawFn, parts: _Parts) -> None:
    rates = st.sampled_from(QUARTERS)
    for link in _some(draw, parts.links):
        several = st.lists(rates, min_size=1, max_size=3).map(lambda values: Yield(values=tuple(values)))
        link["yield_rate"] = draw(st.one_of(rates, several))


def _disruption(draw: st.DrawFn, parts: _Parts) -> None:
    for part in _some(draw, [*parts.nodes, *parts.links]):
        part["disruption"] = Disruption(failure=0.25, repair=0.5)


def _allocation(rule: str) -> Feature:
    def allocation(draw: st.DrawFn, parts: _Parts) -> None:
        for node in _some(draw, parts.suppliers()):
            node["allocation"] = rule

    return allocation


def _price(draw: st.DrawFn, parts: _Parts) -> None:
    for node in _some(draw, parts.nodes):
        node["price"] = _money(draw)


Feature = Callable[[st.DrawFn, _Parts], None]

FEATURES: dict[str, Feature] = {
    "alternative sources": _alternative_sources,
    "quantity": _quantity,
    "perishable": _perishable,
    "production": _production,
    "storage": _storage,
    "lateral": _lateral,
    "order delay": _order_delay,
    "random lead time": _random_lead_time,
    "link capacity": _link_capacity,
    "order bounds": _order_bounds,
    "node capacity": _node_capacity,
    "processing": _processing,
    "partial backorders": _partial_backorders,
    "yield": _yield,
    "disruption": _disruption,
    "first come": _allocation("first_come"),
    "balance": _allocation("balance"),
    "price": _price,
}
"""By name, in the order in which they are added."""
