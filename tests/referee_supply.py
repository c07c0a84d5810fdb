"""The referee's supply side: how orders reach their source, what is shipped, received and made."""

from __future__ import annotations

import math
from dataclasses import dataclass

from echelon.envs.network import Link, Network, Node

from .referee_state import (
    Draw,
    Flows,
    View,
    due_at,
    laterals_out_of,
    layers,
    links_into,
    links_out_of,
    node_of,
    pool_of,
    total,
)

OLDEST = 16
"""Orders that a first-come node has known for so many periods or more are all of one age."""


NEARLY = 1e-9
"""Of a lot: so little too much is no reason for one lot more."""


def accepted(link: Link, order: float) -> float:
    """What a link makes of an order: at least the least, whole lots, at most the most."""
    if order <= 0:
        return 0.0
    if order < link.min_order:
        order = link.min_order
    if link.lot_size is not None:
        order = link.lot_size * math.ceil(order / link.lot_size - NEARLY)
    if link.max_order is not None and order > link.max_order:
        order = link.max_order
    return order


@dataclass
class _Turn:
    """A period's fulfilment while it runs."""

    network: Network
    state: View
    flows: Flows
    draw: Draw
    period: int
    reached: dict[int, float]
    """What the source of each link heard of in this period."""
    wanted: dict[int, float]
    """What each link would carry, if the source had it."""
    at_door: dict[int, float]
    """What was shipped with lead time 0 and is not yet received."""


def fulfil(network: Network, state: View, flows: Flows, draw: Draw, period: int) -> None:
    """Orders reach their sources; every link ships what it can, upstream first, lateral links last."""
    need = _needs(network, state)
    reached = _pass_on(network, state, flows, period)
    wanted = {e: _wanted(network, state, e) for e in reached}
    turn = _Turn(network, state, flows, draw, period, reached, wanted, dict.fromkeys(reached, 0.0))
    for e, link in enumerate(network.links):
        if link.source not in state["on_hand"]:
            _ship(turn, e, wanted[e])
    for layer in layers(network):
        for node in layer:
            for e in links_into(network, node.name):
                receive(network, state, flows, draw, e, turn.at_door[e])
        for node in layer:
            make(network, state, flows, node, period)
        for node in layer:
            for e, quantity in _allocate(turn, node, need).items():
                _ship(turn, e, quantity)
    for node in network.nodes:
        for e in served_order(network, laterals_out_of(network, node.name)):
            _ship(turn, e, min(wanted[e], state["on_hand"][node.name]))
    for e, link in enumerate(network.links):
        if link.lateral:
            receive(network, state, flows, draw, e, turn.at_door[e])


def _needs(network: Network, view: View) -> dict[int, float]:
    """How well the target of each link is off for the component: what it has, waits for it or is under way to it."""
    levels = inventory_levels(network, view)
    needs = {}
    for e, link in enumerate(network.links):
        coming = sum(view["waiting"][f] + total(view["pipeline"][f]) for f in pool_of(network, e))
        needs[e] = link.quantity * levels[link.target] + coming
    return needs


def _pass_on(network: Network, state: View, flows: Flows, period: int) -> dict[int, float]:
    """What each source hears of in this period. It owes all of it, until it ships or drops it."""
    reached = {}
    for e, link in enumerate(network.links):
        state["requests"][e].append((period + link.order_delay, flows["ordered"][e]))
        reached[e] = due_at(state["requests"][e], period)
        state["owed"][e] += reached[e]
    return reached


def _wanted(network: Network, state: View, e: int) -> float:
    link = network.links[e]
    if not state["link_up"][e] or not state["node_up"].get(link.source, 1.0):
        return 0.0
    return state["owed"][e] if link.capacity is None else min(state["owed"][e], link.capacity)


def _ship(turn: _Turn, e: int, quantity: float) -> None:
    """Send a quantity off on a link; what is still owed stays owed or is dropped."""
    link, state = turn.network.links[e], turn.state
    if link.source in state["on_hand"]:
        state["on_hand"][link.source] -= quantity
    turn.flows["shipped"][e] = quantity
    rest = state["owed"][e] - quantity
    forgotten = link.lateral or link.unfilled == "drop"
    turn.flows["dropped"][e] = rest if forgotten else 0.0
    state["owed"][e] = 0.0 if forgotten else rest
    if any(node.name == link.source and node.allocation == "first_come" for node in turn.network.nodes):
        _strike_off(turn, e, quantity, forgotten=forgotten)
    lead_time = link.lead_time if isinstance(link.lead_time, int) else turn.draw["lead_time"][e]
    if lead_time == 0:
        turn.at_door[e] += quantity
    else:
        state["pipeline"][e].append((turn.period + lead_time, quantity))


def _strike_off(turn: _Turn, e: int, quantity: float, *, forgotten: bool) -> None:
    """Take a shipment off what a first-come node owes on the link, oldest first."""
    left = []
    for heard, owed in [*turn.state["queue"][e], (turn.period, turn.reached[e])]:
        off = min(owed, quantity)
        quantity -= off
        left.append((heard, owed - off))
    turn.state["queue"][e] = [] if forgotten else [entry for entry in left if entry[1] > 0]


def receive(network: Network, state: View, flows: Flows, draw: Draw | None, e: int, arrived: float) -> None:
    """What arrives joins the components at the target, or its stock on a lateral link, less what is defective.

    Without a draw, before the first period, all of it is usable.
    """
    link = network.links[e]
    usable = arrived if draw is None else _usable(network, draw, e, arrived)
    flows["defective"][e] += arrived - usable
    if link.lateral:
        state["on_hand"][link.target] += usable
    else:
        state["waiting"][pool_of(network, e)[0]] += usable


def _usable(network: Network, draw: Draw, e: int, arrived: float) -> float:
    rate = network.links[e].yield_rate
    share = rate if isinstance(rate, float) else draw["yields"][e]
    if share >= 1:
        return arrived
    if not network.whole_units:
        return arrived * share
    return min(arrived, float(math.floor(arrived * share + draw["yield_chance"][e])))


def make(network: Network, state: View, flows: Flows, node: Node, period: int) -> None:
    """The node makes what its components, its capacity and the resources that it shares allow."""
    pools = sorted({pool_of(network, e)[0] for e in links_into(network, node.name)})
    made = min(state["waiting"][e] / network.links[e].quantity for e in pools)
    if network.whole_units:
        made = float(math.floor(made))
    if node.capacity is not None:
        made = min(made, node.capacity - state["made"][node.name])
    for resource in network.resources:
        if node.name in resource.members:
            made = min(made, resource.capacity - _load(state, resource.kind, resource.members))
    if made <= 0 or not state["node_up"][node.name]:
        return
    for e in pools:
        state["waiting"][e] -= made * network.links[e].quantity
    state["made"][node.name] += made
    flows["made"][node.name] += made
    if node.processing_time > 0:
        state["in_process"][node.name].append((period + node.processing_time, made))
    else:
        into_stock(state, node, made)


def _load(state: View, kind: str, members: tuple[str, ...]) -> float:
    """What the members have made in this period, or what they store now."""
    if kind == "production":
        return sum(state["made"][name] for name in members)
    return sum(state["on_hand"][name] + total(state["in_process"][name]) for name in members)


def into_stock(state: View, node: Node, quantity: float) -> None:
    """Units enter the node's stock, with their whole life before them."""
    state["on_hand"][node.name] += quantity
    if node.shelf_life is not None:
        state["ages"][node.name][-1] += quantity


def inventory_levels(network: Network, view: View) -> dict[str, float]:
    """By node: what it has, in process and on lateral links too, less what it owes to receivers and customers."""
    levels = {}
    for node in network.nodes:
        coming = sum(
            total(view["pipeline"][e])
            for e, link in enumerate(network.links)
            if link.lateral and link.target == node.name
        )
        owes = sum(view["owed"][e] + total(view["requests"][e]) for e in links_out_of(network, node.name))
        has = view["on_hand"][node.name] + total(view["in_process"][node.name]) + coming
        levels[node.name] = has - view["backorders"][node.name] - owes
    return levels


def served_order(network: Network, links: list[int]) -> list[int]:
    """The links by the priority of their target, ties in the order of the links."""
    return sorted(links, key=lambda e: (node_of(network, network.links[e].target).priority, e))


def _allocate(turn: _Turn, node: Node, need: dict[int, float]) -> dict[int, float]:
    """What the node ships on each of its links."""
    network, on_hand = turn.network, turn.state["on_hand"][node.name]
    wanted = {e: turn.wanted[e] for e in links_out_of(network, node.name)}
    if on_hand >= sum(wanted.values()):
        return wanted
    ranked = served_order(network, list(wanted))
    if node.allocation == "priority":
        return _in_turn([(e, wanted[e]) for e in ranked], wanted, on_hand)
    if node.allocation == "first_come":
        return _in_turn(_claims(turn, ranked), wanted, on_hand)
    if node.allocation == "balance":
        level_out = _level_out_in_whole_units if network.whole_units else _level_out
        return level_out({e: need[e] for e in ranked}, wanted, on_hand)
    if network.whole_units:
        return _by_share_in_whole_units(wanted, on_hand, ranked)
    return _by_share(wanted, on_hand)


def _claims(turn: _Turn, ranked: list[int]) -> list[tuple[int, float]]:
    """All that is owed on the links, as (link, quantity), in the order in which a first-come node serves it."""
    dated = [
        (max(heard, turn.period - OLDEST), rank, quantity)
        for rank, e in enumerate(ranked)
        for heard, quantity in [*turn.state["queue"][e], (turn.period, turn.reached[e])]
    ]
    return [(ranked[rank], quantity) for _, rank, quantity in sorted(dated)]


def _in_turn(claims: list[tuple[int, float]], wanted: dict[int, float], on_hand: float) -> dict[int, float]:
    """Serve the claims one after the other while stock lasts, on no link more than it can carry."""
    shares = dict.fromkeys(wanted, 0.0)
    for e, quantity in claims:
        share = min(quantity, on_hand, wanted[e] - shares[e])
        shares[e] += share
        on_hand -= share
    return shares


def _filled(level: float, need: dict[int, float], wanted: dict[int, float]) -> dict[int, float]:
    """What brings every receiver up to the level, within what its link wants."""
    return {e: min(max(level - need[e], 0.0), wanted[e]) for e in need}


def _level_out(need: dict[int, float], wanted: dict[int, float], on_hand: float) -> dict[int, float]:
    """Bring the receivers that are worst off up to one level, which uses up the stock."""

    def used(level: float) -> float:
        return sum(_filled(level, need, wanted).values())

    # Between two neighbours among the points where a link starts or ends to fill, the total is a straight line.
    points = sorted({need[e] for e in need} | {need[e] + wanted[e] for e in need})
    enough = [point for point in points if used(point) > on_hand]
    low = max(point for point in points if used(point) <= on_hand)
    level = low + (enough[0] - low) * (on_hand - used(low)) / (used(enough[0]) - used(low)) if enough else low
    return _in_turn(list(_filled(level, need, wanted).items()), wanted, on_hand)


def _level_out_in_whole_units(need: dict[int, float], wanted: dict[int, float], on_hand: float) -> dict[int, float]:
    """The same, with one unit more to the first receivers that are no better off than the others."""
    level = min(need.values())
    while sum(_filled(level + 1, need, wanted).values()) <= on_hand:
        level += 1
    shares = _filled(level, need, wanted)
    left = on_hand - sum(shares.values())
    for e in need:
        if left > 0 and shares[e] < wanted[e] and need[e] + shares[e] <= level:
            shares[e] += 1
            left -= 1
    return shares


def _by_share(wanted: dict[int, float], on_hand: float) -> dict[int, float]:
    shares = {}
    everything = sum(wanted.values())
    remains = on_hand
    for e, quantity in wanted.items():
        # Rounding may make a share a hair more than is wanted, or the shares a hair more than there is.
        shares[e] = min(quantity * on_hand / everything, quantity, remains)
        remains -= shares[e]
    return shares


def _by_share_in_whole_units(wanted: dict[int, float], on_hand: float, ranked: list[int]) -> dict[int, float]:
    """Largest remainders: whole shares first, then one unit each to those who lost most by rounding down."""
    stock, units = _whole(on_hand), {e: _whole(quantity) for e, quantity in wanted.items()}
    everything = sum(units.values())
    shares = {e: units[e] * stock // everything for e in units}
    leftover = stock - sum(shares.values())
    by_remainder = sorted(ranked, key=lambda e: shares[e] * everything - units[e] * stock)
    for e in by_remainder[:leftover]:
        shares[e] += 1
    return {e: float(share) for e, share in shares.items()}


def _whole(quantity: float) -> int:
    if quantity != int(quantity):
        raise ValueError(f"a network in whole units must hold whole quantities only (got {quantity})")
    return int(quantity)
