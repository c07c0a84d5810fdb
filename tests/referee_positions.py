"""The referee's positions, and the parametric rule that orders by them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from copy import deepcopy
from typing import Literal, TypedDict

from echelon.envs.network import Network

from .referee_state import View, links_out_of, pool_of, total, upstream_first
from .referee_supply import NEARLY, accepted, inventory_levels


class Rule(TypedDict):
    """The fields of a parametric rule: levels with one value per link, in link order."""

    reorder: Sequence[float]
    up_to: Sequence[float]
    cap: Sequence[float]
    lot: Sequence[float]
    """Multiples to order in; 0 to order up to `up_to`."""
    review_period: int
    position: Literal["installation", "echelon", "on_hand"]


def inventory_position(network: Network, view: View) -> list[float]:
    """Per link: all that the target has or has coming of the component, less all that it owes."""
    levels = inventory_levels(network, view)
    return [link.quantity * levels[link.target] + _on_order(network, view, e) for e, link in enumerate(network.links)]


def echelon_position(network: Network, view: View) -> list[float]:
    """Per link: the inventory position of the target with all that lies downstream of it."""
    levels = inventory_levels(network, view)

    def echelon(e: int) -> float:
        link = network.links[e]
        ways = [_ways(network, f) for f in links_out_of(network, link.target)]
        below = sum(echelon(f) for f in sorted(set(ways)))
        return link.quantity * (levels[link.target] + below) + _on_order(network, view, e)

    return [echelon(e) for e in range(len(network.links))]


def stock_here(network: Network, view: View) -> list[float]:
    """Per link: all that the target has of the component, waiting components included, less all that it owes."""
    levels = inventory_levels(network, view)
    waiting = [
        0.0 if link.lateral else sum(view["waiting"][f] for f in pool_of(network, e))
        for e, link in enumerate(network.links)
    ]
    return [link.quantity * levels[link.target] + waiting[e] for e, link in enumerate(network.links)]


def _ways(network: Network, e: int) -> int:
    """The first of the links on which the same source feeds the same pool."""
    return next(f for f in pool_of(network, e) if network.links[f].source == network.links[e].source)


def _on_order(network: Network, view: View, e: int) -> float:
    """Components that wait at the target, are under way, or are owed, from all sources; none on a lateral link."""
    if network.links[e].lateral:
        return 0.0
    return sum(
        view["waiting"][f] + total(view["pipeline"][f]) + view["owed"][f] + total(view["requests"][f])
        for f in pool_of(network, e)
    )


def order_up_to_orders(network: Network, rule: Rule, view: View, period: int) -> list[float]:
    """The orders of a parametric rule: receivers decide first, and each position knows what they ordered.

    It also knows what other sources of the same component have just been asked for.
    """
    position = {"installation": inventory_position, "echelon": echelon_position, "on_hand": stock_here}[
        rule["position"]
    ]
    seen = deepcopy(view)
    orders = [0.0] * len(network.links)
    for node in reversed(upstream_first(network)):
        for e, link in enumerate(network.links):
            if link.target != node.name or period % rule["review_period"]:
                continue
            found = position(network, seen)[e]
            if rule["position"] == "on_hand":
                found += _just_asked(network, orders, e)
            orders[e] = _order(rule, e, found, link.max_order)
            if not link.lateral:
                seen["owed"][e] += accepted(link, orders[e])
    return orders


def _just_asked(network: Network, orders: Sequence[float], e: int) -> float:
    """Of the other sources of the same component."""
    if network.links[e].lateral:
        return 0.0
    return sum(accepted(network.links[f], orders[f]) for f in pool_of(network, e) if f != e)


def _order(rule: Rule, e: int, position: float, largest: float | None) -> float:
    short = rule["reorder"][e] - position
    if short < 0:
        return 0.0
    lot = rule["lot"][e]
    order = lot * (math.floor(short / lot + NEARLY) + 1) if lot > 0 else rule["up_to"][e] - position
    order = min(order, rule["cap"][e])
    return max(0.0, order if largest is None else min(order, largest))
