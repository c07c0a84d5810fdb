"""A network as arrays: the index tables and parameters that the dynamics read.

Axes: N nodes, E links, C outlets, K links of one node. Tables over K are padded with E, the index of
a column of neutral values that the dynamics append, so that gathers need no masks.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import Any

import numpy as np

from echelon.envs.network import OUTSIDE, Network, topological_order

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
    """Nodes that ship at the same moment: no link of lead time 0 leads from one to another."""

    nodes: Array
    """[W] node indices."""
    links: Array
    """[W, K] outgoing links in the order in which they are served, padded with E."""
    by_priority: Array
    """[W] whether the node allocates by priority; otherwise proportionally."""
    node_column: Array
    """[N] position in `nodes`, W where the node is not in the wave."""
    link_column: Array
    """[E] position in `links` flattened, W * K where the link is not in the wave."""


@dataclass(frozen=True, eq=False)
class NetworkArrays:
    """Index tables and parameters of one network, in the order of its nodes, links and outlets."""

    slots: int
    """L: length of the pipelines, the longest lead time (at least 1)."""
    whole_units: bool
    source: Array
    """[E] node index, N for the outside source."""
    target: Array
    """[E] node index."""
    from_outside: Array
    """[E] bool."""
    lead_time: Array
    """[E] periods."""
    at_once: Array
    """[E] 1.0 where the lead time is 0, else 0.0."""
    enters_slot: Array
    """[E, L] 1.0 at slot lead_time - 1, where a new shipment enters the pipeline."""
    in_links: Array
    """[N, K] the components of each node, padded with E."""
    out_links: Array
    """[N, K] the outgoing links of each node in the order in which they are served, padded with E."""
    upstream_first: Array
    """[N] nodes, every source before its targets."""
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
    by_priority: Array
    """[N] whether the node allocates by priority."""
    holding_cost: Array
    """[N] money per unit and period."""
    stockout_cost: Array
    """[C] money per unit and period backordered, or per unit lost."""
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
    nodes, links, outlets = network.nodes, network.links, network.outlets
    source = np.array([len(nodes) if x.source == OUTSIDE else network.index[x.source] for x in links])
    target = np.array([network.index[x.target] for x in links])
    lead_time = np.array([x.lead_time for x in links])
    outlet = np.array([network.index[x.name] for x in outlets])
    by_priority = np.array([x.allocation == "priority" for x in nodes])
    order = np.array([network.index[name] for name in topological_order(network)])
    served = sorted(range(len(links)), key=lambda e: (nodes[target[e]].priority, e))
    in_links = _table(range(len(links)), target, len(nodes))
    out_links = _table(served, source, len(nodes))
    heights = _heights(source, target, order)
    slots = max(1, int(lead_time.max()))
    return NetworkArrays(
        slots=slots,
        whole_units=network.whole_units,
        source=source,
        target=target,
        from_outside=source == len(nodes),
        lead_time=lead_time,
        at_once=(lead_time == 0).astype(np.float64),
        enters_slot=(lead_time[:, None] == 1 + np.arange(slots)).astype(np.float64),
        in_links=in_links,
        out_links=out_links,
        upstream_first=order,
        downstream_first=np.argsort(heights, kind="stable"),
        height=int(heights.max()),
        waves=_waves(source, target, lead_time, order, out_links, by_priority),
        outlet=outlet,
        outlet_column=_columns(outlet, len(nodes)),
        waits=np.array([float(x.stockout_rule == "backorder") for x in outlets]),
        keeps_backlog=np.array([float(x.unfilled == "backorder") for x in links]),
        by_priority=by_priority,
        holding_cost=np.array([x.holding_cost for x in nodes], dtype=np.float64),
        stockout_cost=np.array([x.stockout_cost for x in outlets], dtype=np.float64),
        unit_cost=np.array([x.unit_cost for x in links], dtype=np.float64),
        fixed_cost=np.array([x.fixed_cost for x in links], dtype=np.float64),
        transit_holding_cost=np.array([x.transit_holding_cost for x in links], dtype=np.float64),
    )


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


def _heights(source: np.ndarray, target: np.ndarray, order: np.ndarray) -> np.ndarray:
    """[E] the number of links on the longest path that begins with each link."""
    height = np.zeros(len(order), dtype=np.int64)
    for node in order[::-1]:
        receivers = target[source == node]
        if len(receivers):
            height[node] = 1 + height[receivers].max()
    return np.asarray(1 + height[target])


def _waves(
    source: np.ndarray,
    target: np.ndarray,
    lead_time: np.ndarray,
    order: np.ndarray,
    out_links: np.ndarray,
    by_priority: np.ndarray,
) -> tuple[Wave, ...]:
    node_count, link_count = len(order), len(source)
    depth = np.zeros(node_count, dtype=np.int64)
    for node in order:
        suppliers = source[(target == node) & (lead_time == 0) & (source < node_count)]
        if len(suppliers):
            depth[node] = 1 + depth[suppliers].max()
    ships = out_links[:, 0] < link_count
    waves = []
    for level in range(int(depth.max()) + 1):
        nodes = np.flatnonzero(ships & (depth == level))
        if len(nodes):
            links = out_links[nodes]
            links = links[:, (links < link_count).any(axis=0)]
            flat = _columns_of_table(links, link_count)
            waves.append(Wave(nodes, links, by_priority[nodes], _columns(nodes, node_count), flat))
    return tuple(waves)


def _columns_of_table(links: np.ndarray, link_count: int) -> np.ndarray:
    columns = np.full(link_count + 1, links.size)
    columns[links.ravel()] = np.arange(links.size)
    return columns[:link_count]
