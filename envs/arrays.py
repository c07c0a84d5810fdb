"""A network as arrays: the index tables and parameters that the dynamics read.

Axes: N nodes, E links, C outlets, R resources, K links of one node. Tables over K are padded with E,
the index of a column of neutral values that the dynamics append, so that gathers need no masks.
Links that bring one component to one node form a **pool**; its first link, the one with the lowest
index, stands for it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

import numpy as np

from echelon.envs.network import OUTSIDE, Network, topological_order

QUEUE = 16
"""Periods of which a node that serves first come, first served, remembers the orders apart; older ones are one."""
ALLOCATIONS = ("proportional", "priority", "first_come", "balance")
PROPORTIONAL, PRIORITY, FIRST_COME, BALANCE = range(len(ALLOCATIONS))

Array = Any
"""A NumPy array or a torch tensor."""


def namespace(array: Array) -> Any:
    """The module, `numpy` or `torch`, whose functions take this array."""
    if isinstance(array, np.ndarray):
        return np
    import torch  # only reached with a tensor in hand, so torch is loaded already

    return torch


@dataclass(frozen=True, eq=False)
class Wave:
    """Nodes that make and ship at the same moment: no shipment that arrives at once leads from one to another."""

    makes: Array
    """[N] 1.0 where the node is in the wave, whether it ships or not."""
    nodes: Array
    """[W] indices of the nodes of the wave that ship."""
    links: Array
    """[W, K] outgoing links in the order in which they are served, padded with E."""
    rule: Array
    """[W] index in `ALLOCATIONS`."""
    rules: tuple[int, ...]
    """The rules that occur in the wave."""
    node_column: Array
    """[N] position in `nodes`, W where the node does not ship in the wave."""
    link_column: Array
    """[E] position in `links` flattened, W * K where the link is not in the wave."""


@dataclass(frozen=True, eq=False)
class NetworkArrays:
    """Index tables and parameters of one network, in the order of its nodes, links, outlets and resources.

    Features that no part of the network has are off as a whole: their axis has length 0, or their flag
    is false, and the dynamics skip them.
    """

    slots: int
    """L: length of the pipelines, the longest lead time (at least 1)."""
    delays: int
    """D: length of the requests under way, the longest order delay plus 1; 0 without delays."""
    process_slots: int
    """P: the longest processing time."""
    ages: int
    """A: the longest shelf life, 0 without perishable stock."""
    queue: int
    """Q: `QUEUE` if any node serves first come, first served, else 0."""
    whole_units: bool
    bounded_orders: bool
    """Whether any link has a smallest or largest order or a lot size."""
    limited_shipping: bool
    """Whether any link has a capacity, or any link or node can be down."""
    limited_making: bool
    """Whether any node has a capacity or a resource, or can be down."""
    plain_making: bool
    """Whether every node makes its item of one component, one for one, at once and without limit: nothing waits."""
    some_at_once: bool
    """Whether any shipment can arrive in the period in which it is sent."""
    alternatives: bool
    """Whether any component has several sources."""
    bills: bool
    """Whether any quantity differs from 1."""
    laterals: bool
    yields: bool
    """Whether any link brings less than it ships."""
    partial: bool
    """Whether anywhere a fraction of unmet demand waits that is neither 0 nor 1."""
    source: Array
    """[E] node index, N for the outside source."""
    target: Array
    """[E] node index."""
    from_outside: Array
    """[E] bool."""
    is_lateral: Array
    """[E] bool."""
    lead_time: Array
    """[E] mean, periods."""
    shortest: Array
    """[E] shortest lead time, periods."""
    longest: Array
    """[E] longest lead time, periods."""
    at_once: Array
    """[E] 1.0 where the lead time is fixed at 0, else 0.0."""
    enters_slot: Array
    """[E, L] 1.0 at slot longest - 1, where a new shipment enters the pipeline if the lead time is fixed."""
    order_delay: Array
    """[E] periods."""
    reaches_slot: Array
    """[E, D] 1.0 at slot order_delay, where an order joins the requests under way."""
    quantity: Array
    """[E] units of the component in one unit of the target's item."""
    pool: Array
    """[E] the first link of each link's pool; a lateral link is its own."""
    is_first: Array
    """[E] 1.0 on the first link of a pool, 0.0 on all others and on lateral links."""
    pool_links: Array
    """[E, K] all links of each link's pool, padded with E."""
    later_sources: Array
    """[E, K] the link itself and the links of its pool after it, padded with E."""
    pool_size: Array
    """[E] number of links in each link's pool."""
    in_links: Array
    """[N, K] links into each node but laterals, padded with E."""
    in_pools: Array
    """[N, K] first links of the pools into each node, padded with E."""
    out_links: Array
    """[N, K] links out of each node but laterals, in the order in which they are served, padded with E."""
    out_pools: Array
    """[N, K] as `out_links`, with one link for each pool that the node serves."""
    lateral_out: Array
    """[N, K] lateral links out of each node in the order in which they are served, padded with E."""
    lateral_in: Array
    """[N, K] lateral links into each node, padded with E."""
    lateral_column: Array
    """[E] position in `lateral_out` flattened, N * K for links that are not lateral."""
    upstream_first: Array
    """[N] nodes by the links on the longest path that leads to them, ties in the order of the nodes."""
    downstream_first: Array
    """[E] links, every link out of a target before the links into it."""
    height: int
    """Number of links on the longest path through the network."""
    waves: tuple[Wave, ...]
    outlet: Array
    """[C] node index of each outlet."""
    outlet_column: Array
    """[N] outlet index of each node, C for nodes without customers."""
    waits: Array
    """[C] fraction of unmet demand that waits: 1 backorder, 0 lost sales."""
    keeps_backlog: Array
    """[E] 1.0 where the unfilled part of an order stays owed, 0.0 where it is dropped."""
    allocation: Array
    """[N] index in `ALLOCATIONS`."""
    served_by_age: Array
    """[E] 1.0 on links out of nodes that serve first come, first served."""
    min_order: Array
    """[E] units."""
    lot_size: Array
    """[E] units, 0 where orders come in any size."""
    max_order: Array
    """[E] units, infinite without a bound."""
    link_capacity: Array
    """[E] units per period, infinite without a limit."""
    node_capacity: Array
    """[N] units per period, infinite without a limit."""
    limited: Array
    """[N] 1.0 where a capacity, a resource or a disruption limits what the node makes."""
    processing_time: Array
    """[N] periods."""
    enters_process: Array
    """[N, P] 1.0 at slot processing_time - 1, where what is made enters processing."""
    without_processing: Array
    """[N] 1.0 where what is made is in stock at once."""
    shelf_life: Array
    """[N] periods, 0 where stock does not perish."""
    perishable: Array
    """[N] 1.0 where stock perishes."""
    fresh: Array
    """[N, A] 1.0 at the column shelf_life - 1, where a unit begins to age."""
    fifo: Array
    """[N] bool: the oldest stock leaves first."""
    member: Array
    """[R, N] 1.0 where the node uses the resource."""
    is_storage: tuple[bool, ...]
    """[R]"""
    resource_capacity: Array
    """[R] units, per period where the resource is production."""
    resource_nodes: tuple[tuple[int, tuple[int, ...]], ...]
    """Nodes that use resources, upstream first, each with the resources that it uses."""
    holding_cost: Array
    """[N] money per unit and period."""
    processing_holding_cost: Array
    """[N] money per unit and period."""
    scrap_cost: Array
    """[N] money per unit."""
    stockout_cost: Array
    """[C] money per unit and period backordered, or per unit lost."""
    price: Array
    """[C] money per unit."""
    unit_cost: Array
    """[E] money per unit shipped."""
    fixed_cost: Array
    """[E] money per order."""
    transit_holding_cost: Array
    """[E] money per unit and period."""

    def to(self, like: Array) -> NetworkArrays:
        """The same tables as arrays of the kind, dtype and device of `like`."""
        if isinstance(like, np.ndarray):
            return self
        moved: NetworkArrays = _on_tensors(self, like)
        return moved


def _on_tensors(record: Any, like: Array) -> Any:
    xp = namespace(like)

    def convert(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(convert(v) for v in value)
        if isinstance(value, Wave):
            return _on_tensors(value, like)
        if isinstance(value, np.ndarray):
            dtype = like.dtype if value.dtype == np.float64 else None
            return xp.asarray(value.copy(), dtype=dtype, device=like.device)
        return value

    return replace(record, **{field.name: convert(getattr(record, field.name)) for field in fields(record)})


@lru_cache(maxsize=256)
def network_arrays(network: Network) -> NetworkArrays:
    """The arrays of a network; made once per network."""
    tables, of_links, of_nodes = _supply_tables(network), _link_parameters(network), _node_parameters(network)
    return NetworkArrays(
        whole_units=network.whole_units,
        plain_making=not (of_links["bills"] or of_nodes["limited_making"] or of_nodes["process_slots"])
        and bool(((tables["in_pools"] < len(network.links)).sum(axis=1) == 1).all()),
        **tables,
        **of_links,
        **of_nodes,
        **_outlet_parameters(network),
        **_resource_parameters(network, tables["upstream_first"]),
    )


def _supply_tables(network: Network) -> dict[str, Any]:
    """Who supplies whom, and in which order."""
    nodes, links = network.nodes, network.links
    source = np.array([len(nodes) if x.source == OUTSIDE else network.index[x.source] for x in links])
    target = np.array([network.index[x.target] for x in links])
    lateral = np.array([x.lateral for x in links])
    pool = _pools(network)
    served = sorted(range(len(links)), key=lambda e: (nodes[target[e]].priority, e))
    regular = [e for e in served if not lateral[e]]
    out_links = _table(regular, source, len(nodes))
    by_index = np.flatnonzero(~lateral)
    depth, heights = _depths(network), _heights(network, source, target, lateral)
    order = np.lexsort((np.arange(len(nodes)), depth))
    lateral_out = _table([e for e in served if lateral[e]], source, len(nodes))
    allocation = np.array([ALLOCATIONS.index(x.allocation) for x in nodes])
    level = depth if network.resources else _depths(network, at_once=True)
    firsts = list(dict.fromkeys((int(source[e]), int(pool[e])) for e in regular))
    of_pool = {pair: e for e in reversed(regular) for pair in [(int(source[e]), int(pool[e]))]}
    pool_links = _table(by_index, pool, len(links))
    is_first = (pool == np.arange(len(links))) & ~lateral
    return {
        "source": source,
        "target": target,
        "from_outside": source == len(nodes),
        "is_lateral": lateral,
        "laterals": bool(lateral.any()),
        "pool": pool,
        "is_first": is_first.astype(np.float64),
        "pool_links": pool_links[pool],
        "later_sources": np.where(pool_links[pool] < np.arange(len(links))[:, None], len(links), pool_links[pool]),
        "pool_size": np.bincount(pool, minlength=len(links))[pool],
        "alternatives": bool((is_first.sum() + lateral.sum()) < len(links)),
        "in_links": _table(by_index, target, len(nodes)),
        "in_pools": _table(np.flatnonzero(is_first), target, len(nodes)),
        "out_links": out_links,
        "out_pools": _table([of_pool[pair] for pair in firsts], source, len(nodes)),
        "lateral_out": lateral_out,
        "lateral_column": _columns_of_table(lateral_out, len(links)),
        "lateral_in": _table(np.flatnonzero(lateral), target, len(nodes)),
        "upstream_first": order,
        "downstream_first": np.argsort(heights, kind="stable"),
        "height": int(heights.max()),
        "waves": _waves(level, out_links, allocation, len(links)),
        "allocation": allocation,
        "served_by_age": np.append(allocation == FIRST_COME, False)[source].astype(np.float64) * ~lateral,
        "queue": QUEUE if (allocation == FIRST_COME).any() else 0,
    }


def _link_parameters(network: Network) -> dict[str, Any]:
    links = network.links
    longest = np.array([max(x.lead_times) for x in links])
    slots = max(1, int(longest.max()))
    delay = np.array([x.order_delay for x in links])
    delays = int(delay.max()) + 1 if delay.any() else 0
    capacity = _limits([x.capacity for x in links])
    can_fail = any(x.disruption for x in links) or any(x.disruption for x in network.nodes)
    return {
        "slots": slots,
        "delays": delays,
        "lead_time": np.array([x.mean_lead_time for x in links]),
        "shortest": np.array([min(x.lead_times) for x in links]),
        "longest": longest,
        "at_once": (longest == 0).astype(np.float64),
        "some_at_once": any(min(x.lead_times) == 0 for x in links),
        "enters_slot": (longest[:, None] == 1 + np.arange(slots)).astype(np.float64),
        "order_delay": delay,
        "reaches_slot": (delay[:, None] == np.arange(delays)).astype(np.float64),
        "quantity": _floats(x.quantity for x in links),
        "bills": any(x.quantity != 1 for x in links),
        "keeps_backlog": _floats(x.unfilled == "backorder" and not x.lateral for x in links),
        "min_order": _floats(x.min_order for x in links),
        "lot_size": _floats(x.lot_size or 0.0 for x in links),
        "max_order": _limits([x.max_order for x in links]),
        "yields": any(x.yield_rate != 1 for x in links),
        "bounded_orders": any(x.min_order or x.lot_size or x.max_order for x in links),
        "link_capacity": capacity,
        "limited_shipping": bool(np.isfinite(capacity).any()) or can_fail,
        "unit_cost": _floats(x.unit_cost for x in links),
        "fixed_cost": _floats(x.fixed_cost for x in links),
        "transit_holding_cost": _floats(x.transit_holding_cost for x in links),
    }


def _node_parameters(network: Network) -> dict[str, Any]:
    nodes = network.nodes
    life = np.array([x.shelf_life or 0 for x in nodes])
    processing = np.array([x.processing_time for x in nodes])
    capacity = _limits([x.capacity for x in nodes])
    shared = {name for resource in network.resources for name in resource.members}
    return {
        "ages": int(life.max()),
        "process_slots": int(processing.max()),
        "node_capacity": capacity,
        "limited": _floats(x.capacity is not None or x.disruption is not None or x.name in shared for x in nodes),
        "limited_making": bool(np.isfinite(capacity).any() or shared or any(x.disruption for x in nodes)),
        "processing_time": processing,
        "enters_process": (processing[:, None] == 1 + np.arange(processing.max())).astype(np.float64),
        "without_processing": (processing == 0).astype(np.float64),
        "shelf_life": life,
        "perishable": (life > 0).astype(np.float64),
        "fresh": (life[:, None] == 1 + np.arange(life.max())).astype(np.float64),
        "fifo": np.array([x.issuing == "fifo" for x in nodes]),
        "holding_cost": _floats(x.holding_cost for x in nodes),
        "processing_holding_cost": _floats(x.processing_holding_cost for x in nodes),
        "scrap_cost": _floats(x.scrap_cost for x in nodes),
    }


def _outlet_parameters(network: Network) -> dict[str, Any]:
    outlets = network.outlets
    outlet = np.array([network.index[x.name] for x in outlets])
    fraction = {"backorder": 1.0, "lost_sales": 0.0}
    waits = _floats(fraction[r] if isinstance(r := x.stockout_rule, str) else r for x in outlets)
    return {
        "outlet": outlet,
        "outlet_column": _columns(outlet, len(network.nodes)),
        "waits": waits,
        "partial": bool(((waits > 0) & (waits < 1)).any()),
        "stockout_cost": _floats(x.stockout_cost for x in outlets),
        "price": _floats(x.price for x in outlets),
    }


def _resource_parameters(network: Network, order: np.ndarray) -> dict[str, Any]:
    resources = network.resources
    member = np.zeros((len(resources), len(network.nodes)))
    for r, resource in enumerate(resources):
        member[r, [network.index[name] for name in resource.members]] = 1.0
    users = [(int(n), tuple(int(r) for r in np.flatnonzero(member[:, n]))) for n in order]
    return {
        "member": member,
        "is_storage": tuple(x.kind == "storage" for x in resources),
        "resource_capacity": _floats(x.capacity for x in resources),
        "resource_nodes": tuple(user for user in users if user[1]),
    }


def _floats(values: Iterable[float]) -> np.ndarray:
    return np.array([float(x) for x in values])


def _limits(values: list[float | None]) -> np.ndarray:
    return np.array([np.inf if x is None else float(x) for x in values])


def _pools(network: Network) -> np.ndarray:
    """[E] the first link of each link's pool."""
    first: dict[tuple[str, ...], int] = {}
    keys = [(x.label,) if x.lateral else (x.target, x.item) for x in network.links]
    return np.array([first.setdefault(key, e) for e, key in enumerate(keys)])


def _columns(members: np.ndarray, length: int) -> np.ndarray:
    """[length] the position of each index in `members`, len(members) where it is none of them."""
    columns = np.full(length, len(members))
    columns[members] = np.arange(len(members))
    return columns


def _table(link_order: Any, end: np.ndarray, node_count: int) -> np.ndarray:
    """[N, K] links by the node at one of their ends, padded with E."""
    rows: list[list[int]] = [[] for _ in range(node_count)]
    for link in link_order:
        if end[link] < node_count:
            rows[end[link]].append(link)
    width = max(1, max(map(len, rows)))
    return np.array([row + [len(end)] * (width - len(row)) for row in rows])


def _depths(network: Network, *, at_once: bool = False) -> np.ndarray:
    """[N] links on the longest path that leads to each node; with `at_once`, of lead times that can be 0 only."""
    depth = {node.name: 0 for node in network.nodes}
    out: dict[str, list[str]] = {node.name: [] for node in network.nodes}
    for link in network.links:
        if link.source != OUTSIDE and not link.lateral and not (at_once and min(link.lead_times)):
            out[link.source].append(link.target)
    for name in topological_order(network):
        for receiver in out[name]:
            depth[receiver] = max(depth[receiver], depth[name] + 1)
    return np.array([depth[node.name] for node in network.nodes])


def _heights(network: Network, source: np.ndarray, target: np.ndarray, lateral: np.ndarray) -> np.ndarray:
    """[E] the number of links on the longest path that begins with each link."""
    height = np.zeros(len(network.nodes), dtype=np.int64)
    receivers: list[list[int]] = [[] for _ in network.nodes]
    for e in np.flatnonzero(~lateral & (source < len(receivers))):
        receivers[source[e]].append(int(target[e]))
    for name in reversed(topological_order(network)):
        node = network.index[name]
        if receivers[node]:
            height[node] = 1 + height[receivers[node]].max()
    return np.asarray(1 + height[target])


def _waves(level: np.ndarray, out_links: np.ndarray, allocation: np.ndarray, link_count: int) -> tuple[Wave, ...]:
    node_count = len(level)
    ships = out_links[:, 0] < link_count
    waves = []
    for number in range(int(level.max()) + 1):
        nodes = np.flatnonzero(ships & (level == number))
        links = out_links[nodes]
        links = links[:, (links < link_count).any(axis=0)] if len(nodes) else links[:, :0]
        waves.append(
            Wave(
                makes=(level == number).astype(np.float64),
                nodes=nodes,
                links=links,
                rule=allocation[nodes],
                rules=tuple(int(rule) for rule in np.unique(allocation[nodes])),
                node_column=_columns(nodes, node_count),
                link_column=_columns_of_table(links, link_count),
            )
        )
    return tuple(waves)


def _columns_of_table(links: np.ndarray, link_count: int) -> np.ndarray:
    columns = np.full(link_count + 1, links.size)
    columns[links.ravel()] = np.arange(links.size)
    return columns[:link_count]
