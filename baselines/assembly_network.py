"""An assembly network of the engine, read as the assembly system that Rosling's theory knows.

In the engine the moves are orders on links. Into a plant lead several links, and it makes sets on its
own as soon as all parts are there; so the last moment at which a set can be held back is the release
of the parts whose links take the shortest. The items of Rosling's model are therefore

* for each node the *release* onto its shortest links: lead time that of these links plus the
  processing time, after which a unit costs the node's holding cost;
* for each longer link into a plant the *dispatch* onto it: lead time what the link takes longer, after
  which a unit waits at the plant at the link's transit holding cost.

Every link belongs to one item. Units on the move cost the same under all policies.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from echelon.baselines.assembly import SerialEquivalent
from echelon.baselines.requirements import require, require_average_backorder_cost, require_steady_demand
from echelon.envs.network import OUTSIDE, Link, Network, Node
from echelon.envs.problem import Problem

ROUNDING = 1e-9
"""The share of a cost by which the sum of its parts may miss it."""


@dataclass(frozen=True)
class Item:
    """An item of Rosling's model: links that are ordered together."""

    links: tuple[int, ...]
    lead_time: int
    successor: int | None
    """The index of the item that it goes into."""
    echelon_holding_cost: float
    """Per end item and period."""


@dataclass(frozen=True)
class Supply:
    """A node and the links into it, by their indices."""

    node: Node
    per_end_item: float
    """Units of the node's item in one end item."""
    shortest: tuple[int, ...]
    longer: tuple[int, ...]
    lead_time: int
    """That of the shortest links."""


@dataclass(frozen=True)
class AssemblyNetwork:
    """An assembly network, the outlet first."""

    network: Network
    supplies: tuple[Supply, ...]
    items: tuple[Item, ...]

    @property
    def per_end_item(self) -> list[float]:
        """[E] units of each link's component in one end item."""
        of_node = {supply.node.name: supply.per_end_item for supply in self.supplies}
        return [of_node[link.target] * link.quantity for link in self.network.links]

    @property
    def total_lead_time(self) -> list[int]:
        """[E] M: periods from an order on each link until its units are in stock as end items."""
        total = [0] * len(self.network.links)
        periods: list[int] = []
        for item in self.items:
            periods.append(item.lead_time + (0 if item.successor is None else periods[item.successor]))
            for e in item.links:
                total[e] = periods[-1]
        return total

    def flow_cost(self, series: SerialEquivalent) -> float:
        """Cost per unit of demand of the engine less that of the convention in `serial`, the same for all policies.

        The convention charges an item's echelon holding cost from the end of its lead time in the series on,
        and at stage 1 from a period later. The engine charges stock from when a unit is in it, and before
        that, transit, processing and purchases at rates of their own.
        """
        covered = [series.lead_time[0] + 1, *series.lead_time[1:]]
        total = sum(cost * periods for cost, periods in zip(series.echelon_holding_cost, covered, strict=True))
        total -= self.supplies[0].node.holding_cost
        for supply in self.supplies:
            node, links = supply.node, [self.network.links[e] for e in supply.shortest + supply.longer]
            arriving = sum(x.quantity * (x.unit_cost + supply.lead_time * x.transit_holding_cost) for x in links)
            processing = node.processing_time * node.processing_holding_cost
            not_in_stock = (supply.lead_time + node.processing_time) * node.holding_cost
            total += supply.per_end_item * (arriving + processing - not_in_stock)
        return total


def assembly_network(problem: Problem, method: str) -> AssemblyNetwork:
    """The network of a problem as an assembly system. Raises `MethodError` "METHOD needs RULE" where it is none."""
    _require_assembly(problem, method)
    network = problem.network
    supplies = _supplies(network)
    _require_costs(network, supplies, method)
    return AssemblyNetwork(network, supplies, _items(network, supplies))


def _supplies(network: Network) -> tuple[Supply, ...]:
    """Every node after the one that it supplies."""
    found: list[Supply] = []
    waiting = [(network.outlets[0], 1.0)]
    while waiting:
        node, units = waiting.pop(0)
        into = {e: link for e, link in enumerate(network.links) if link.target == node.name}
        least = min(_lead_time(link) for link in into.values())
        shortest = tuple(e for e, link in into.items() if _lead_time(link) == least)
        longer = tuple(e for e in into if e not in shortest)
        found.append(Supply(node, units, shortest, longer, least))
        waiting += [
            (network.nodes[network.index[link.source]], units * link.quantity)
            for link in into.values()
            if link.source != OUTSIDE
        ]
    return tuple(found)


def _items(network: Network, supplies: tuple[Supply, ...]) -> tuple[Item, ...]:
    """Every item after its successor."""
    found: list[Item] = []
    item_of: dict[int, int] = {}
    goes_on = {link.source: e for e, link in enumerate(network.links)}
    for supply in supplies:
        node, release = supply.node, len(found)
        after = item_of[goes_on[node.name]] if found else None
        time, added = supply.lead_time + node.processing_time, _added_at_node(network, supply)
        found.append(Item(supply.shortest, time, after, supply.per_end_item * added))
        item_of |= dict.fromkeys(supply.shortest, release)
        for e in supply.longer:
            link = network.links[e]
            item_of[e] = len(found)
            added = supply.per_end_item * link.quantity * _added_on_link(network, link)
            found.append(Item((e,), _lead_time(link) - supply.lead_time, release, added))
    return tuple(found)


def _lead_time(link: Link) -> int:
    return link.lead_times[0]


def _source_cost(network: Network, link: Link) -> float:
    return 0.0 if link.source == OUTSIDE else network.nodes[network.index[link.source]].holding_cost


def _added_at_node(network: Network, supply: Supply) -> float:
    """What a unit in the node's stock costs more than its parts where they were last."""
    shortest, longer = ([network.links[e] for e in links] for links in (supply.shortest, supply.longer))
    parts = sum(link.quantity * _source_cost(network, link) for link in shortest)
    return _difference(
        supply.node.holding_cost, parts + sum(link.quantity * link.transit_holding_cost for link in longer)
    )


def _added_on_link(network: Network, link: Link) -> float:
    """What a unit that waits at the plant costs more than where it came from."""
    return _difference(link.transit_holding_cost, _source_cost(network, link))


def _difference(cost: float, parts: float) -> float:
    return 0.0 if abs(cost - parts) <= ROUNDING * cost else cost - parts


def _require_assembly(problem: Problem, method: str) -> None:
    network = problem.network
    require_average_backorder_cost(problem, method, allowed=("quantity", "processing_time"))
    require_steady_demand(problem, method)
    sources = [link.source for link in network.links if link.source != OUTSIDE]
    tree = len(network.outlets) == 1 and len({*sources, network.outlets[0].name}) == len(sources) + 1
    require(method, {"an assembly network: one outlet, and one link out of every other node": not tree})


def _require_costs(network: Network, supplies: tuple[Supply, ...], method: str) -> None:
    outlet = supplies[0].node
    rules = {"a positive stockout cost": outlet.stockout_cost == 0}
    for supply in supplies:
        falls = _added_at_node(network, supply) < 0
        rules[f"units of {supply.node.name!r} to cost at least what their parts cost to hold"] = falls
    for link in _meeting_others(network, supplies):
        falls = _added_on_link(network, link) < 0
        rules[f"parts on link {link.label!r} to cost at least as much in transit as in stock before"] = falls
    require(method, rules)


def _meeting_others(network: Network, supplies: tuple[Supply, ...]) -> Iterator[Link]:
    """The links into plants, on which a part that is early waits for the others."""
    for supply in supplies:
        links = supply.shortest + supply.longer
        yield from (network.links[e] for e in links if len(links) > 1)
