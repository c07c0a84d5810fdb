"""What the referee keeps: the draws it is given, the state at review, and the record of a period.

In every dict nodes go by their name and links by their position in `network.links`. What is dated
carries its period, so that nothing has to be shifted.
"""

from __future__ import annotations

from typing import Required, TypedDict

from echelon.envs.network import Link, Network, Node


class Draw(TypedDict, total=False):
    """What chance decides in one period. What is left out is as if its feature were switched off."""

    demand: Required[dict[str, float]]
    lead_time: dict[int, int]
    """Of the shipments that leave in this period."""
    yields: dict[int, float]
    """Share usable of what arrives between the review of this period and the next."""
    yield_chance: dict[int, float]
    """In [0, 1): decides on the last unit where units are whole."""
    wait_chance: dict[str, float]
    """In [0, 1): decides on the last customer who waits or leaves, where units are whole."""
    node_up: dict[str, float]
    """1 or 0: the status in the period that follows."""
    link_up: dict[int, float]


class View(TypedDict):
    """The plain state: what `orders_fn` sees at review, after the arrivals of the period."""

    on_hand: dict[str, float]
    backorders: dict[str, float]
    """Units that customers wait for."""
    waiting: dict[int, float]
    """Components that wait at the target, all sources together, at the first link of their pool."""
    owed: dict[int, float]
    """Ordered, known to the source and not yet shipped."""
    pipeline: dict[int, list[tuple[int, float]]]
    """Shipments under way, as (period of arrival, quantity)."""
    requests: dict[int, list[tuple[int, float]]]
    """Orders that the source has not heard of, as (period in which it does, quantity)."""
    in_process: dict[str, list[tuple[int, float]]]
    """Units that were made and are not yet in stock, as (period of entry, quantity)."""
    ages: dict[str, list[float]]
    """Stock of a perishable node by the periods of life left after this one: 0, 1, ...; else empty."""
    queue: dict[int, list[tuple[int, float]]]
    """What a first-come node owes, as (period in which it heard of it, quantity)."""
    made: dict[str, float]
    """Units that the node has made so far in this period."""
    node_up: dict[str, float]
    link_up: dict[int, float]


class Record(TypedDict):
    """One period: stocks at its end before anything is scrapped, flows in it, and what it cost."""

    on_hand: dict[str, float]
    backorders: dict[str, float]
    waiting: dict[int, float]
    owed: dict[int, float]
    pipeline: dict[int, float]
    """Total quantity under way, with what arrives next period."""
    requests: dict[int, float]
    in_process: dict[str, float]
    ordered: dict[int, float]
    """What the link accepts of the policy's order."""
    shipped: dict[int, float]
    dropped: dict[int, float]
    """What a source could not ship and forgets."""
    defective: dict[int, float]
    """Unusable part of what arrived from this review to the next."""
    made: dict[str, float]
    """From this review to the next."""
    scrapped: dict[str, float]
    """Units whose life ends with the period."""
    demand: dict[str, float]
    sold: dict[str, float]
    """New demand met at once."""
    lost: dict[str, float]
    delivered: dict[str, float]
    """To customers, old backorders included."""
    holding: dict[str, float]
    transit_holding: dict[int, float]
    processing_holding: dict[str, float]
    stockout: dict[str, float]
    purchase: dict[int, float]
    fixed: dict[int, float]
    scrap: dict[str, float]
    revenue: dict[str, float]
    """Below zero: what customers pay."""
    cost: float


class Flows(TypedDict):
    """What has moved since the review."""

    ordered: dict[int, float]
    shipped: dict[int, float]
    dropped: dict[int, float]
    defective: dict[int, float]
    made: dict[str, float]
    scrapped: dict[str, float]
    sold: dict[str, float]
    lost: dict[str, float]
    delivered: dict[str, float]


def no_flows(network: Network) -> Flows:
    """Nothing has moved yet."""
    links, nodes = range(len(network.links)), [node.name for node in network.nodes]
    outlets = [node.name for node in network.nodes if node.demand is not None]
    return {
        "ordered": dict.fromkeys(links, 0.0),
        "shipped": dict.fromkeys(links, 0.0),
        "dropped": dict.fromkeys(links, 0.0),
        "defective": dict.fromkeys(links, 0.0),
        "made": dict.fromkeys(nodes, 0.0),
        "scrapped": dict.fromkeys(nodes, 0.0),
        "sold": dict.fromkeys(outlets, 0.0),
        "lost": dict.fromkeys(outlets, 0.0),
        "delivered": dict.fromkeys(outlets, 0.0),
    }


def start(network: Network) -> View:
    """The state before the arrivals of period 0, of which the first slot of every pipeline is a part."""
    links, nodes = dict(enumerate(network.links)), [node.name for node in network.nodes]
    return {
        "on_hand": {node.name: node.initial_on_hand for node in network.nodes},
        "backorders": dict.fromkeys(nodes, 0.0),
        "waiting": dict.fromkeys(links, 0.0),
        "owed": dict.fromkeys(links, 0.0),
        "pipeline": {
            e: [(period, link.initial_in_transit) for period in range(_shortest(link))] for e, link in links.items()
        },
        "requests": {e: [] for e in links},
        "in_process": {name: [] for name in nodes},
        "ages": {node.name: _all_fresh(node) for node in network.nodes},
        "queue": {e: [] for e in links},
        "made": dict.fromkeys(nodes, 0.0),
        "node_up": dict.fromkeys(nodes, 1.0),
        "link_up": dict.fromkeys(links, 1.0),
    }


def _shortest(link: Link) -> int:
    return link.lead_time if isinstance(link.lead_time, int) else min(link.lead_time.values)


def _all_fresh(node: Node) -> list[float]:
    return [] if node.shelf_life is None else [0.0] * (node.shelf_life - 1) + [node.initial_on_hand]


def total(entries: list[tuple[int, float]]) -> float:
    """The quantity of all dated entries together."""
    return sum((quantity for _, quantity in entries), 0.0)


def due_at(entries: list[tuple[int, float]], period: int) -> float:
    """Take the quantity that is due in the period out of the entries."""
    quantity = total([entry for entry in entries if entry[0] == period])
    entries[:] = [entry for entry in entries if entry[0] != period]
    return quantity


def links_into(network: Network, name: str) -> list[int]:
    """The links that supply a node; lateral links are none of them."""
    return [e for e, link in enumerate(network.links) if link.target == name and not link.lateral]


def links_out_of(network: Network, name: str) -> list[int]:
    """The links to the receivers that a node supplies; lateral links are none of them."""
    return [e for e, link in enumerate(network.links) if link.source == name and not link.lateral]


def laterals_out_of(network: Network, name: str) -> list[int]:
    """The links on which a node helps out its neighbours."""
    return [e for e, link in enumerate(network.links) if link.source == name and link.lateral]


def pool_of(network: Network, e: int) -> list[int]:
    """The links that bring the same component to the same node as this one, itself among them."""
    own = network.links[e]
    return [f for f in links_into(network, own.target) if _item(network.links[f]) == _item(own)]


def _item(link: Link) -> str:
    return link.component or link.source


def node_of(network: Network, name: str) -> Node:
    """The node of that name."""
    return next(node for node in network.nodes if node.name == name)


def layers(network: Network) -> list[list[Node]]:
    """The nodes by the number of links on the longest way to them from outside, each layer as they are listed."""
    rank = {node.name: 0 for node in network.nodes}
    for _ in network.nodes:
        for link in network.links:
            if not link.lateral and link.source in rank:
                rank[link.target] = max(rank[link.target], rank[link.source] + 1)
    return [[node for node in network.nodes if rank[node.name] == k] for k in range(max(rank.values()) + 1)]


def upstream_first(network: Network) -> list[Node]:
    """All nodes, layer by layer."""
    return [node for layer in layers(network) for node in layer]
