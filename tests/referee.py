"""The referee: one replication of the model in plain Python, to hold the package's simulators against.

Written from the description of a period alone, with loops and dicts and no regard for speed. It
shares no code with the package: of a `Network` it reads plain fields only. In every dict nodes go by
their name and links by their position in `network.links`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from typing import TypedDict

from echelon.envs.network import Link, Network, Node


class View(TypedDict):
    """The plain state: what `orders_fn` sees at review, after the arrivals of the period."""

    on_hand: dict[str, float]
    backorders: dict[str, float]
    """Units that customers wait for."""
    waiting: dict[int, float]
    """Components of the link that wait at its target for a matching set."""
    owed: dict[int, float]
    """Ordered and not yet shipped by the source."""
    pipeline: dict[int, list[tuple[int, float]]]
    """Shipments under way, as (period of arrival, quantity)."""


class Record(TypedDict):
    """One period: stocks at its end, flows in it, and what it cost."""

    on_hand: dict[str, float]
    backorders: dict[str, float]
    waiting: dict[int, float]
    owed: dict[int, float]
    pipeline: dict[int, float]
    """Total quantity under way, with what arrives next period."""
    ordered: dict[int, float]
    shipped: dict[int, float]
    demand: dict[str, float]
    sold: dict[str, float]
    """New demand met at once."""
    lost: dict[str, float]
    holding: dict[str, float]
    transit_holding: dict[int, float]
    stockout: dict[str, float]
    unit: dict[int, float]
    fixed: dict[int, float]
    cost: float


OrdersFn = Callable[[int, View], Sequence[float]]
"""Gives the order on every link, in link order, from the period and the state at review."""


def referee(network: Network, orders_fn: OrdersFn, demand: Sequence[Mapping[str, float]]) -> list[Record]:
    """Run one replication, with the demand of each outlet in every period, and record every period."""
    state = _start(network)
    records = []
    for period, asked in enumerate(demand):
        _arrive(network, state, period)
        orders = dict(enumerate(float(order) for order in orders_fn(period, deepcopy(state))))
        shipped = _fulfil(network, state, orders, period)
        sold, lost = _serve(network, state, asked)
        records.append(_record(network, state, orders, shipped, asked, sold, lost))
    return records


def inventory_position(network: Network, view: View) -> list[float]:
    """Per link: all that the target has or has coming on the link, less all that it owes."""
    positions = []
    for e, link in enumerate(network.links):
        owed_by_target = sum(view["owed"][f] for f in _out_links(network, link.target))
        net = view["on_hand"][link.target] - view["backorders"][link.target] - owed_by_target
        positions.append(net + view["waiting"][e] + _under_way(view, e) + view["owed"][e])
    return positions


def echelon_position(network: Network, view: View) -> list[float]:
    """Per link: the inventory position of the target with all that lies downstream of it."""
    positions = inventory_position(network, view)

    def echelon(e: int) -> float:
        return positions[e] + sum(echelon(f) for f in _out_links(network, network.links[e].target))

    return [echelon(e) for e in range(len(network.links))]


def _start(network: Network) -> View:
    """The state before the arrivals of period 0, of which the first slot of every pipeline is a part."""
    links = dict(enumerate(network.links))
    return {
        "on_hand": {node.name: node.initial_on_hand for node in network.nodes},
        "backorders": {node.name: 0.0 for node in network.nodes},
        "waiting": dict.fromkeys(links, 0.0),
        "owed": dict.fromkeys(links, 0.0),
        "pipeline": {
            e: [(period, link.initial_in_transit) for period in range(link.lead_time)] for e, link in links.items()
        },
    }


def _arrive(network: Network, state: View, period: int) -> None:
    """Shipments that are due reach their target, and every node makes what sets it can."""
    for e in range(len(network.links)):
        for due, quantity in state["pipeline"][e]:
            if due == period:
                state["waiting"][e] += quantity
        state["pipeline"][e] = [entry for entry in state["pipeline"][e] if entry[0] > period]
    for node in network.nodes:
        _make_sets(network, state, node.name)


def _make_sets(network: Network, state: View, name: str) -> None:
    """One unit of each incoming link's component makes one unit of the node's item."""
    incoming = [e for e, link in enumerate(network.links) if link.target == name]
    made = min(state["waiting"][e] for e in incoming)
    for e in incoming:
        state["waiting"][e] -= made
    state["on_hand"][name] += made


def _fulfil(network: Network, state: View, orders: dict[int, float], period: int) -> dict[int, float]:
    """Ship on every link what can be shipped of what is owed, upstream first. Returns what was shipped."""
    shipped: dict[int, float] = {}
    for e in range(len(network.links)):
        state["owed"][e] += orders[e]
    inside = {node.name for node in network.nodes}
    for e, link in enumerate(network.links):
        if link.source not in inside:
            shipped[e] = state["owed"][e]
            _ship(link, state, e, shipped[e], period)
    for node in _upstream_first(network):
        _make_sets(network, state, node.name)
        shares, state["on_hand"][node.name] = _allocate(network, state, node)
        for e, quantity in shares.items():
            shipped[e] = quantity
            _ship(network.links[e], state, e, quantity, period)
    return {e: shipped[e] for e in range(len(network.links))}


def _ship(link: Link, state: View, e: int, quantity: float, period: int) -> None:
    state["owed"][e] = 0.0 if link.unfilled == "drop" else state["owed"][e] - quantity
    if link.lead_time == 0:
        state["waiting"][e] += quantity
    else:
        state["pipeline"][e].append((period + link.lead_time, quantity))


def _upstream_first(network: Network) -> list[Node]:
    """The nodes in an order in which every source comes before its targets."""
    left = list(network.nodes)
    order = []
    while left:
        names = {node.name for node in left}
        fed_by_left = {link.target for link in network.links if link.source in names}
        order += [node for node in left if node.name not in fed_by_left]
        left = [node for node in left if node.name in fed_by_left]
    return order


def _allocate(network: Network, state: View, node: Node) -> tuple[dict[int, float], float]:
    """What the node ships on each of its outgoing links, and what remains on hand."""
    on_hand = state["on_hand"][node.name]
    owed = {e: state["owed"][e] for e in _out_links(network, node.name)}
    total = sum(owed.values())
    if on_hand >= total:
        return owed, on_hand - total
    if node.allocation == "priority":
        return _by_priority(owed, on_hand, _ranked(network, owed))
    if network.whole_units:
        return _by_share_in_whole_units(owed, on_hand, _ranked(network, owed))
    return _by_share(owed, on_hand, total)


def _ranked(network: Network, owed: dict[int, float]) -> list[int]:
    """The links by the priority of their target, ties in the order of the links."""
    priority = {node.name: node.priority for node in network.nodes}
    return sorted(owed, key=lambda e: (priority[network.links[e].target], e))


def _by_priority(owed: dict[int, float], on_hand: float, ranked: list[int]) -> tuple[dict[int, float], float]:
    shares = {}
    for e in ranked:
        shares[e] = min(owed[e], on_hand)
        on_hand -= shares[e]
    return shares, on_hand


def _by_share(owed: dict[int, float], on_hand: float, total: float) -> tuple[dict[int, float], float]:
    shares = {}
    remains = on_hand
    for e, quantity in owed.items():
        # Rounding may make a share a hair more than is owed, or the shares a hair more than there is.
        shares[e] = min(quantity * on_hand / total, quantity, remains)
        remains -= shares[e]
    return shares, remains


def _by_share_in_whole_units(
    owed: dict[int, float], on_hand: float, ranked: list[int]
) -> tuple[dict[int, float], float]:
    """Largest remainders: whole shares first, then one unit each to those who lost most by rounding down."""
    stock, wanted = _whole(on_hand), {e: _whole(quantity) for e, quantity in owed.items()}
    total = sum(wanted.values())
    shares = {e: wanted[e] * stock // total for e in wanted}
    leftover = stock - sum(shares.values())
    by_remainder = sorted(ranked, key=lambda e: shares[e] * total - wanted[e] * stock)
    for e in by_remainder[:leftover]:
        shares[e] += 1
    return {e: float(share) for e, share in shares.items()}, 0.0


def _whole(quantity: float) -> int:
    if quantity != int(quantity):
        raise ValueError(f"a network in whole units must hold whole quantities only (got {quantity})")
    return int(quantity)


def _serve(network: Network, state: View, asked: Mapping[str, float]) -> tuple[dict[str, float], dict[str, float]]:
    """Serve old backorders, then the new demand. Returns new demand met at once, and sales lost, per outlet."""
    sold, lost = {}, {}
    for node in network.nodes:
        if node.demand is None:
            continue
        late = min(state["on_hand"][node.name], state["backorders"][node.name])
        state["on_hand"][node.name] -= late
        state["backorders"][node.name] -= late
        sold[node.name] = min(state["on_hand"][node.name], asked[node.name])
        state["on_hand"][node.name] -= sold[node.name]
        short = asked[node.name] - sold[node.name]
        lost[node.name] = short if node.stockout_rule == "lost_sales" else 0.0
        state["backorders"][node.name] += short - lost[node.name]
    return sold, lost


def _record(
    network: Network,
    state: View,
    orders: dict[int, float],
    shipped: dict[int, float],
    asked: Mapping[str, float],
    sold: dict[str, float],
    lost: dict[str, float],
) -> Record:
    """The period's record: a copy of the stocks at its end, its flows, and its costs."""
    nodes = {node.name: node for node in network.nodes}
    links = dict(enumerate(network.links))
    pipeline = {e: _under_way(state, e) for e in links}
    holding = {name: node.holding_cost * state["on_hand"][name] for name, node in nodes.items()}
    transit = {e: link.transit_holding_cost * (pipeline[e] + state["waiting"][e]) for e, link in links.items()}
    stockout = {name: nodes[name].stockout_cost * (state["backorders"][name] + lost[name]) for name in lost}
    unit = {e: link.unit_cost * shipped[e] for e, link in links.items()}
    fixed = {e: link.fixed_cost if orders[e] > 0 else 0.0 for e, link in links.items()}
    return {
        "on_hand": dict(state["on_hand"]),
        "backorders": dict(state["backorders"]),
        "waiting": dict(state["waiting"]),
        "owed": dict(state["owed"]),
        "pipeline": pipeline,
        "ordered": orders,
        "shipped": shipped,
        "demand": {name: float(asked[name]) for name in lost},
        "sold": sold,
        "lost": lost,
        "holding": holding,
        "transit_holding": transit,
        "stockout": stockout,
        "unit": unit,
        "fixed": fixed,
        "cost": sum(map(sum, (kind.values() for kind in (holding, transit, stockout, unit, fixed)))),
    }


def _out_links(network: Network, name: str) -> list[int]:
    return [e for e, link in enumerate(network.links) if link.source == name]


def _under_way(view: View, e: int) -> float:
    return sum((quantity for _, quantity in view["pipeline"][e]), 0.0)
