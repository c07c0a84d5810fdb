"""The referee: one replication of the model in plain Python, to hold the package's simulators against.

Written from the description of a period alone, with loops and dicts and no regard for speed. It
shares no code with the package: of a `Network` it reads plain fields only. In every dict nodes go by
their name and links by their position in `network.links`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import Literal

from echelon.envs.network import Network, Node

from .referee_positions import Rule as Rule
from .referee_positions import echelon_position as echelon_position
from .referee_positions import inventory_position as inventory_position
from .referee_positions import order_up_to_orders as order_up_to_orders
from .referee_state import Draw as Draw
from .referee_state import Flows, due_at, no_flows, start, total, upstream_first
from .referee_state import Record as Record
from .referee_state import View as View
from .referee_supply import accepted, fulfil, into_stock, make, receive

OrdersFn = Callable[[int, View], Sequence[float]]
"""Gives the order on every link, in link order, from the period and the state at review."""


def referee(network: Network, orders_fn: OrdersFn, draws: Sequence[Draw]) -> list[Record]:
    """Run one replication, with what chance decides in every period, and record every period."""
    state = start(network)
    _arrive(network, state, no_flows(network), None, 0)
    records = []
    for period, draw in enumerate(draws):
        flows = no_flows(network)
        orders = orders_fn(period, deepcopy(state))
        flows["ordered"] = {
            e: accepted(link, float(order)) for (e, link), order in zip(enumerate(network.links), orders, strict=True)
        }
        fulfil(network, state, flows, draw, period)
        _serve(network, state, flows, draw)
        stocks = deepcopy(state)
        _age(network, state, flows)
        _arrive(network, state, flows, draw, period + 1)
        records.append(_record(network, stocks, flows, draw))
    return records


def _serve(network: Network, state: View, flows: Flows, draw: Draw) -> None:
    """Serve old backorders, then the new demand; of the customers who are not served some wait and some leave."""
    for node in network.nodes:
        if node.demand is None:
            continue
        name, asked = node.name, draw["demand"][node.name]
        available = state["on_hand"][name] if state["node_up"][name] else 0.0
        late = min(available, state["backorders"][name])
        sold = min(available - late, asked)
        waits = _waits(network, node, asked - sold, draw)
        state["on_hand"][name] -= late + sold
        state["backorders"][name] += waits - late
        flows["sold"][name] = sold
        flows["delivered"][name] = late + sold
        flows["lost"][name] = asked - sold - waits


def _waits(network: Network, node: Node, short: float, draw: Draw) -> float:
    if node.stockout_rule in ("backorder", 1.0):
        return short
    if node.stockout_rule in ("lost_sales", 0.0):
        return 0.0
    waits = short * float(node.stockout_rule)
    if network.whole_units:
        return min(short, float(math.floor(waits + draw["wait_chance"][node.name])))
    return waits


def _age(network: Network, state: View, flows: Flows) -> None:
    """Take what has left a perishable stock from its ages, scrap what has no life left, and let the rest age."""
    for node in network.nodes:
        if node.shelf_life is None:
            continue
        ages = state["ages"][node.name]
        left = flows["delivered"].get(node.name, 0.0)
        left += sum(flows["shipped"][e] for e, link in enumerate(network.links) if link.source == node.name)
        for column in range(node.shelf_life) if node.issuing == "fifo" else reversed(range(node.shelf_life)):
            off = min(ages[column], left)
            ages[column] -= off
            left -= off
        flows["scrapped"][node.name] = ages[0]
        state["ages"][node.name] = [*ages[1:], 0.0]
        state["on_hand"][node.name] = sum(ages[1:])


def _arrive(network: Network, state: View, flows: Flows, draw: Draw | None, period: int) -> None:
    """A period begins: who is up; what was in process or under way arrives; every node makes what it can."""
    if draw is not None:
        state["node_up"].update(draw.get("node_up", {}))
        state["link_up"].update(draw.get("link_up", {}))
    for node in network.nodes:
        state["made"][node.name] = 0.0
        into_stock(state, node, due_at(state["in_process"][node.name], period))
    for e in range(len(network.links)):
        receive(network, state, flows, draw, e, due_at(state["pipeline"][e], period))
    for node in upstream_first(network):
        make(network, state, flows, node, period)


def _record(network: Network, stocks: View, flows: Flows, draw: Draw) -> Record:
    """The period's record, from the stocks at its end and the flows up to the next review."""
    nodes = {node.name: node for node in network.nodes}
    links = dict(enumerate(network.links))
    pipeline = {e: total(stocks["pipeline"][e]) for e in links}
    in_process = {name: total(stocks["in_process"][name]) for name in nodes}
    short = {name: stocks["backorders"][name] + lost for name, lost in flows["lost"].items()}
    record: Record = {
        "on_hand": stocks["on_hand"],
        "backorders": stocks["backorders"],
        "waiting": stocks["waiting"],
        "owed": stocks["owed"],
        "pipeline": pipeline,
        "requests": {e: total(stocks["requests"][e]) for e in links},
        "in_process": in_process,
        **flows,
        "demand": {name: float(draw["demand"][name]) for name in short},
        "holding": {name: node.holding_cost * stocks["on_hand"][name] for name, node in nodes.items()},
        "transit_holding": {
            e: link.transit_holding_cost * (pipeline[e] + stocks["waiting"][e]) for e, link in links.items()
        },
        "processing_holding": {name: node.processing_holding_cost * in_process[name] for name, node in nodes.items()},
        "stockout": {name: nodes[name].stockout_cost * quantity for name, quantity in short.items()},
        "purchase": {e: link.unit_cost * flows["shipped"][e] for e, link in links.items()},
        "fixed": {e: link.fixed_cost if flows["ordered"][e] > 0 else 0.0 for e, link in links.items()},
        "scrap": {name: node.scrap_cost * flows["scrapped"][name] for name, node in nodes.items()},
        "revenue": {name: -nodes[name].price * quantity for name, quantity in flows["delivered"].items()},
        "cost": 0.0,
    }
    record["cost"] = sum(sum(record[kind].values()) for kind in COSTS)
    return record


COSTS: tuple[
    Literal["holding", "transit_holding", "processing_holding", "stockout", "purchase", "fixed", "scrap", "revenue"],
    ...,
] = ("holding", "transit_holding", "processing_holding", "stockout", "purchase", "fixed", "scrap", "revenue")
"""The kinds of cost in a record; `cost` is their sum."""
