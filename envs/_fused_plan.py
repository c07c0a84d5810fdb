"""What the compiled part of the fused rollout is told about a network, a rule and the weights of the periods."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from echelon.envs._fused_kernel import ASKING, CHAIN, LEAF, LEVELS, MIXED, NODE, SCRATCH, SINGLE_LIMIT, Plan, Weights
from echelon.envs._fused_service import COUNTS, SERVICE, STATES
from echelon.envs.arrays import PRIORITY, NetworkArrays, network_arrays
from echelon.envs.dynamics import initial_state
from echelon.envs.network import Link, Network, Node
from echelon.envs.policy import OrderUpTo

Floats = NDArray[np.float64]
Precision = type[np.float32] | type[np.float64]


class Structure(NamedTuple):
    """What is the same for all rules on a network; see `Plan` for the rest. Nodes are numbered receivers first."""

    link: Any
    """[N] the link into each node."""
    nodes: Any
    receivers: Any
    comparators: Any
    start: Any
    """[rows], without the positions."""
    positions: dict[str, Floats]
    """[N] at the start, by the kind of position."""
    lost: Floats
    """[N]"""
    scratch: int
    sums: int
    rate: Floats
    """[S] of the sums that cost money, which come first."""
    payer: Any
    """[S] the node whose cost it is, -1 if that of several."""
    service: Any
    """[N] of `SERVICE`; empty where only the cost is asked for."""
    transit: Floats
    """[N, L] money per period for what is in each slot of the pipeline to each node at the start."""
    bound: tuple[float, float, float]
    """See `_bound`."""
    whole_units: bool


@lru_cache(maxsize=256)
def structure_of(network: Network, *, by_node: bool = False) -> Structure:
    """The structure of a plain network: for its cost only, or for the cost and the service of every node."""
    arrays, state = network_arrays(network), initial_state(network, 1)
    order = arrays.upstream_first[::-1]
    link = arrays.in_links[order, 0]
    nodes, receivers = _nodes(arrays, order, link, by_node=by_node)
    scratch = _number_rows(nodes)
    states = scratch + SCRATCH
    sums = states + (len(STATES) * len(nodes) if by_node else 0)
    rate, payer = _number_sums(nodes, receivers, arrays, order, link, sums, by_node=by_node)
    service = np.zeros(len(nodes) if by_node else 0, dtype=SERVICE)
    _number(service, STATES, states)
    _number(service, COUNTS, sums + len(rate))
    count = sums + len(rate) + len(COUNTS) * len(service)
    return Structure(
        link=link,
        nodes=nodes,
        receivers=receivers,
        comparators=_comparators(receivers.shape[1]),
        start=_start(nodes, [network.nodes[n] for n in order], [network.links[e] for e in link], count),
        positions={
            "installation": state.inventory_position[0, link],
            "echelon": state.echelon_inventory_position[0, link],
            "on_hand": state.inventory_level[0, order],
        },
        lost=1.0 - np.append(arrays.waits, 1.0)[nodes["outlet"]],
        scratch=scratch,
        sums=sums,
        rate=rate,
        payer=payer,
        service=service,
        transit=arrays.transit_holding_cost[link, None] * state.pipeline[0, link],
        bound=_bound(nodes, receivers, float(state.on_hand.sum() + state.pipeline.sum())),
        whole_units=arrays.whole_units,
    )


def _nodes(arrays: NetworkArrays, order: Any, link: Any, *, by_node: bool) -> tuple[Any, NDArray[np.int64]]:
    """[N] of `NODE`, without the rows, and the receivers [N, K]."""
    number = np.append(np.argsort(order), -1)
    receivers = number[np.append(arrays.target, -1)[arrays.out_links[order]]]
    nodes = np.zeros(len(order), dtype=NODE)
    nodes["lead_time"] = arrays.longest[link]
    nodes["source"] = number[arrays.source[link]]
    nodes["receivers"] = (receivers >= 0).sum(axis=1)
    nodes["outlet"] = np.where(arrays.outlet_column < len(arrays.outlet), arrays.outlet_column, -1)[order]
    nodes["drops"] = arrays.keeps_backlog[link] == 0
    nodes["by_priority"] = arrays.allocation[order] == PRIORITY
    nodes["kind"] = _kinds(nodes, may_ask=not (by_node or arrays.fixed_cost.any() or (arrays.waits < 1).any()))
    return nodes, receivers


def _kinds(nodes: Any, *, may_ask: bool) -> NDArray[np.int64]:
    """[N] `LEAF`, `ASKING`, `CHAIN` or `MIXED`."""
    later = nodes["lead_time"] > 0
    kinds = np.where(later & (nodes["receivers"] == 0), LEAF, MIXED)
    kinds[later & (nodes["receivers"] == 1) & (nodes["outlet"] < 0)] = CHAIN
    if may_ask:
        kinds[(kinds == LEAF) & (nodes["source"] >= 0) & (kinds[nodes["source"]] == MIXED)] = ASKING
    return kinds


def _number(table: Any, names: Sequence[str], first: int) -> None:
    """Give each node a row of every name, from the row `first` on."""
    for place, name in enumerate(names):
        table[name] = first + place * len(table) + np.arange(len(table))


def _number_rows(nodes: Any) -> int:
    """Give the nodes their rows; returns how many there are. An outside source ships orders as they are."""
    count = len(nodes)
    names = ("position", "stock", "owed", "order", "asked", "unshipped")
    _number(nodes, names, 0)
    nodes["ring_size"] = np.where(nodes["source"] >= 0, np.maximum(nodes["lead_time"], 1), nodes["lead_time"] + 1)
    ends = len(names) * count + np.cumsum(nodes["ring_size"])
    nodes["ring"] = ends - nodes["ring_size"]
    return int(ends[-1])


def _number_sums(
    nodes: Any, receivers: Any, arrays: NetworkArrays, order: Any, link: Any, first: int, *, by_node: bool
) -> tuple[Floats, NDArray[np.int64]]:
    """Give the nodes the rows of their sums; returns their rates and payers [S].

    By node every one has its own, else there is one for all quantities of a kind with the same rate.
    """
    stockout_cost = np.append(arrays.stockout_cost, 0.0)  # where there are no customers
    rates = {
        "held": arrays.holding_cost[order],
        "short": stockout_cost[nodes["outlet"]],
        "placed": arrays.fixed_cost[link],
        "shipped": arrays.unit_cost[link],
        "in_transit": arrays.transit_holding_cost[link],
    }
    numbers: dict[tuple[str, float, int], int] = {}
    chains = [] if by_node else np.flatnonzero(nodes["kind"] == CHAIN).tolist()
    for v in chains:  # usual: in transit at the holding cost of the sender
        receiver = receivers[v, 0]
        if rates["in_transit"][receiver] and rates["in_transit"][receiver] == rates["held"][v]:
            nodes["with_transit"][v], rates["in_transit"][receiver] = 1, 0.0
    for kind, of_nodes in rates.items():
        nodes[kind] = -1
        for v, rate in enumerate(of_nodes):
            if rate or kind in ("held", "short"):
                payer = v if by_node else -1
                nodes[kind][v] = first + numbers.setdefault((kind, float(rate), payer), len(numbers))
    return np.array([rate for _, rate, _ in numbers]), np.array([payer for _, _, payer in numbers])


def _start(nodes: Any, places: Sequence[Node], links: Sequence[Link], count: int) -> Floats:
    """[count] the value of every row at the start, without the positions."""
    start = np.zeros(count)
    for node, place, link in zip(nodes, places, links, strict=True):
        start[node["stock"]] = place.initial_on_hand
        start[node["ring"] : node["ring"] + node["lead_time"]] = link.initial_in_transit
    return start


def _comparators(count: int) -> NDArray[np.int64]:
    """[P, 2] pairs to compare and exchange that sort `count` rows (merge exchange, Knuth, vol. 3, 5.2.2M)."""
    pairs = []
    top = 1 << max(0, (count - 1).bit_length() - 1)
    step = top
    while step:
        width, rest, gap = top, 0, step
        while True:
            pairs += [(i, i + gap) for i in range(count - gap) if i & step == rest]
            if width == step:
                break
            gap, width, rest = width - step, width >> 1, step
        step >>= 1
    return np.array(pairs, dtype=np.int64).reshape(-1, 2)


def _bound(nodes: Any, receivers: NDArray[np.int64], stocks: float) -> tuple[float, float, float]:
    """What limits every quantity: the stocks at the start, and the factors of the levels and of the total demand.

    Let A be twice the sum of all levels and stocks. What a node has ordered and not lost to a rule that drops
    exceeds what has left it by at most A, since its position then was at most at a level; and an order
    exceeds by at most A what has left the node, with what its receivers ask for in the same period.
    """
    ordered, order = np.zeros((2, len(nodes))), np.zeros((2, len(nodes)))  # factors of A and of the demand
    for v, node in enumerate(nodes):
        below = receivers[v, : node["receivers"]]
        kept = ordered[:, below] + nodes["drops"][below] * order[:, below]
        asked = ordered[:, below] + order[:, below]
        ordered[:, v] = 1.0 + kept[0].sum(), kept[1].max(initial=1.0)
        order[:, v] = 1.0 + asked[0].sum(), asked[1].max(initial=1.0)
    of_levels, of_demand = (ordered + order).max(axis=1)
    return stocks, 1.0 + float(of_levels), float(of_demand)


def largest_demand(structure: Structure, rule: OrderUpTo) -> float:
    """The largest total demand of a replication that keeps every quantity exact in single precision."""
    if not structure.whole_units or rule.position == "on_hand":  # such orders have no bound: they ignore one another
        return -np.inf
    stocks, of_levels, of_demand = structure.bound
    levels = 2.0 * (stocks + float(np.sum(np.abs(rule.reorder) + np.abs(rule.up_to) + rule.lot)))
    return (SINGLE_LIMIT - levels * of_levels) / of_demand


def plan_of(structure: Structure, rule: OrderUpTo, precision: Precision) -> Plan:
    """What the compiled code reads of a rule on a network."""
    link = structure.link
    columns = (rule.reorder[link], rule.up_to[link], rule.cap[link], rule.lot[link], structure.lost)
    levels = np.empty(len(link), dtype=[(name, precision) for name in LEVELS])
    for name, column in zip(LEVELS, columns, strict=True):
        levels[name] = column
    start = structure.start.astype(precision)
    start[structure.nodes["position"]] = structure.positions[rule.position]
    return Plan(
        nodes=structure.nodes,
        levels=levels,
        receivers=structure.receivers,
        comparators=structure.comparators,
        start=start,
        scratch=structure.scratch,
        sums=structure.sums,
        limit=SINGLE_LIMIT if precision is np.float32 else np.inf,
        whole_units=structure.whole_units,
        echelon=rule.position == "echelon",
        on_hand=rule.position == "on_hand",
        review_period=rule.review_period,
    )


def common_weight(weights: Floats) -> float | None:
    """The weight of all periods that count, or None if they differ."""
    counted = weights[weights != 0.0]
    if len(counted) == 0:
        return 1.0
    return float(counted[0]) if np.all(counted == counted[0]) else None


def weights_of(structure: Structure, weights: Floats, precision: Precision) -> Weights:
    """What the compiled code reads of the weights [T]; a common weight becomes 1, so that whole sums stay whole."""
    scale = common_weight(weights) or 1.0
    period = weights / scale
    spent = np.zeros((structure.transit.shape[1] + 1, len(weights)))
    for length in range(1, len(spent)):
        spent[length] = spent[length - 1]
        spent[length, : 1 - length or None] += period[length - 1 :]
    return Weights(
        period=period.astype(precision),
        transit=spent[structure.nodes["lead_time"]].astype(precision),
        rate=structure.rate,
        base=structure.transit @ spent[1:, 0],
        scale=scale,
    )
