"""The rules of the model: what a network must not combine, each with the place where it is broken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator

from echelon.envs.defects import Path
from echelon.envs.demand_history import joint_defects
from echelon.envs.errors import nearest
from echelon.envs.network import OUTSIDE, Link, Network, Node, topological_order

Defect = tuple[Path, str]


def defects_of(network: Network) -> list[Defect]:
    """What breaks the rules of the model: where, and a sentence."""
    rules: tuple[Callable[[Network], Iterator[Defect]], ...] = (
        _naming,
        _histories,
        _supply,
        _sources,
        _bounds,
        _shelf_lives,
        _laterals,
        _resources,
        _units,
    )
    return [defect for rule in rules for defect in rule(network)]


def beyond_classic(network: Network) -> list[str]:
    """The places where a network goes beyond the classic model that most formulas assume.

    Classic: fixed lead times, one source a component, one unit of each, all or none of the unmet
    demand waits, and none of capacities, order bounds, delays, shelf lives, yields, disruptions,
    lateral links and shared resources.
    """
    found = [f"resource {resource.name!r}" for resource in network.resources]
    if network.demand_correlation:
        found.append("demand_correlation")
    joint = Counter(getattr(law, "joint", "") or "" for law in network.laws)
    found += [f"joint histories {name!r}" for name, count in joint.items() if name and count > 1]
    for node in network.nodes:
        odd = _changed(node, ("capacity", "processing_time", "shelf_life", "disruption", "price"))
        odd += ["stockout_rule"] if isinstance(node.stockout_rule, float) else []
        found += [f"{name} of node {node.name!r}" for name in odd]
    pools = Counter((link.target, link.item) for link in network.links if not link.lateral)
    for link in network.links:
        odd = _changed(link, _BEYOND_ON_LINKS)
        odd += ["lead_time (random)"] if not isinstance(link.lead_time, int) else []
        odd += ["component (several sources)"] if pools[link.target, link.item] > 1 else []
        found += [f"{name} of link {link.label!r}" for name in odd]
    return found


_BEYOND_ON_LINKS = (
    "quantity",
    "order_delay",
    "capacity",
    "min_order",
    "lot_size",
    "max_order",
    "yield_rate",
    "disruption",
    "lateral",
)


def _changed(part: Node | Link, names: tuple[str, ...]) -> list[str]:
    fields = type(part).model_fields
    return [name for name in names if getattr(part, name) != fields[name].default]


def _naming(network: Network) -> Iterator[Defect]:
    names = [node.name for node in network.nodes]
    known = [*names, OUTSIDE]
    seen: set[str] = set()
    for i, name in enumerate(names):
        if name in seen:
            yield ("nodes", i, "name"), f"must be unique (node {name!r} is defined before)"
        if name == OUTSIDE:
            yield ("nodes", i, "name"), f"must not be {OUTSIDE!r}: that is the source that never runs out"
        seen.add(name)
    nodes, labels = set(names), set[str]()
    for e, link in enumerate(network.links):
        if link.target not in nodes:
            yield ("links", e, "target"), f"must be a node (got {link.target!r}){nearest(link.target, names)}"
        if link.source not in nodes and link.source != OUTSIDE:
            hint = nearest(link.source, known)
            yield ("links", e, "source"), f"must be a node or {OUTSIDE!r} (got {link.source!r}){hint}"
        if link.label in labels:
            yield ("links", e), f"must be the only link {link.label}: give links between one pair of nodes names"
        labels.add(link.label)


def _histories(network: Network) -> Iterator[Defect]:
    for i, message in joint_defects([node.demand for node in network.nodes]):
        yield ("nodes", i, "demand"), message


def _supply(network: Network) -> Iterator[Defect]:
    sources = {link.source for link in network.links}
    targets = {link.target for link in network.links if not link.lateral}
    reached = set(topological_order(network))
    for i, node in enumerate(network.nodes):
        if node.name not in targets:
            yield ("nodes", i), f"node {node.name!r} has no supply: a link must lead to it"
        if node.demand is None and node.name not in sources:
            yield ("nodes", i), f"node {node.name!r} supplies nobody and has no customers: give it a demand"
    if not network.outlets:
        yield ("nodes",), "must have customers somewhere: give at least one node a demand"
    on_cycle = [node.name for node in network.nodes if node.name not in reached]
    if on_cycle:
        yield ("links",), f"must form no cycle; nodes on one or below it: {', '.join(on_cycle)}"


def _sources(network: Network) -> Iterator[Defect]:
    quantities: dict[tuple[str, str], float] = {}
    for e, link in enumerate(network.links):
        if link.lateral:
            continue
        quantity = quantities.setdefault((link.target, link.item), link.quantity)
        if link.quantity != quantity:
            rule = f"must be {quantity:g}, that of the other sources of component {link.item!r}"
            yield ("links", e, "quantity"), f"{rule} (got {link.quantity:g})"


def _bounds(network: Network) -> Iterator[Defect]:
    for e, link in enumerate(network.links):
        for name in ("min_order", "max_order"):
            value = getattr(link, name)
            lots = value / link.lot_size if value and link.lot_size else 0.0
            if abs(lots - round(lots)) > 1e-9 * max(1.0, lots):
                rule = f"must be a multiple of lot_size = {link.lot_size:g}"
                yield ("links", e, name), f"{rule} on link {link.label} (got {value:g})"
        if link.max_order is not None:
            for name in ("min_order", "lot_size"):
                if (getattr(link, name) or 0) > link.max_order:
                    rule = f"must be at most max_order = {link.max_order:g}"
                    yield ("links", e, name), f"{rule} on link {link.label} (got {getattr(link, name):g})"


def _shelf_lives(network: Network) -> Iterator[Defect]:
    components: dict[str, set[str]] = {}
    for link in network.links:
        if not link.lateral:
            components.setdefault(link.target, set()).add(link.item)
    plants = {name for name, items in components.items() if len(items) > 1}
    fed = {link.source: link.target for link in network.links if link.target in plants and not link.lateral}
    for i, node in enumerate(network.nodes):
        if node.shelf_life is None:
            for name in ("issuing", "scrap_cost"):
                if _changed(node, (name,)):
                    yield ("nodes", i, name), f"needs a shelf_life on node {node.name!r}"
        elif node.issuing == "lifo" and node.name in fed:
            rule = f"must be fifo on node {node.name!r}: its perishable units wait in kits at {fed[node.name]!r}"
            yield ("nodes", i, "issuing"), rule


def _laterals(network: Network) -> Iterator[Defect]:
    perishable = {node.name for node in network.nodes if node.shelf_life is not None}
    stored = {name for resource in network.resources if resource.kind == "storage" for name in resource.members}
    for e, link in enumerate(network.links):
        if not link.lateral:
            continue
        if link.source == OUTSIDE:
            yield ("links", e, "source"), f"must be a node on the lateral link {link.label}"
        if link.source == link.target:
            yield ("links", e, "source"), f"must be another node than the target on the lateral link {link.label}"
        for name in ("component", "quantity", "order_delay", "unfilled"):
            if _changed(link, (name,)):
                yield ("links", e, name), f"must be left out on the lateral link {link.label}"
        for end in {link.source, link.target} & perishable:
            yield (
                ("links", e, "lateral"),
                f"must be false: node {end!r} is perishable, and a lateral would hide the age",
            )
        if link.target in stored:
            yield (
                ("links", e, "lateral"),
                f"must be false: node {link.target!r} shares a storage, which it would pass by",
            )


def _resources(network: Network) -> Iterator[Defect]:
    stock = {node.name: node.initial_on_hand for node in network.nodes}
    names = Counter(resource.name for resource in network.resources)
    for r, resource in enumerate(network.resources):
        at = ("resources", r)
        if names[resource.name] > 1:
            yield (*at, "name"), f"must be unique (got {resource.name!r} {names[resource.name]} times)"
        if not resource.members:
            yield (*at, "members"), f"must name at least one node (resource {resource.name!r} has no members)"
        for name, count in Counter(resource.members).items():
            if name not in stock:
                yield (*at, "members"), f"must be nodes (got {name!r}){nearest(name, stock)}"
            elif count > 1:
                yield (*at, "members"), f"must be different nodes (got {name!r} {count} times)"
        held = sum(stock.get(name, 0.0) for name in set(resource.members))
        if resource.kind == "storage" and held > resource.capacity:
            yield (
                (*at, "capacity"),
                f"must be at least the initial stock of its members, {held:g} (got {resource.capacity:g})",
            )


_WHOLE_ON_NODES = ("initial_on_hand", "capacity")
_WHOLE_ON_LINKS = ("initial_in_transit", "quantity", "capacity", "min_order", "lot_size", "max_order")


def _units(network: Network) -> Iterator[Defect]:
    if not network.whole_units:
        return
    rule = "must be whole on a network of whole units"
    for i, node in enumerate(network.nodes):
        if node.demand is not None and not node.demand.whole:
            yield ("nodes", i, "demand"), f"{rule} (got {node.demand.law})"
    parts = [
        *((("nodes", i), node, _WHOLE_ON_NODES) for i, node in enumerate(network.nodes)),
        *((("links", e), link, _WHOLE_ON_LINKS) for e, link in enumerate(network.links)),
        *((("resources", r), resource, ("capacity",)) for r, resource in enumerate(network.resources)),
    ]
    for at, part, names in parts:
        for name in names:
            value = getattr(part, name)
            if value is not None and not float(value).is_integer():
                yield (*at, name), f"{rule} (got {value:g})"
