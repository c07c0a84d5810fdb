"""The compiled dynamics: `step` of dynamics.py for NumPy arrays, and a fused rollout of parametric rules.

The operations and their order are those of the specification, so that results are equal bit for bit
wherever sums are exact (always with whole units). Replications are computed in blocks that stay in
the cache, with the replication as the innermost axis, so that inner loops vectorise. No operation
mixes replications: neither the batch nor the width of a block can change a bit.
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numba import njit

from echelon.envs.arrays import NetworkArrays
from echelon.envs.dynamics import LEDGER_AXES, Ledger, State
from echelon.envs.policy import OrderUpTo

_WITHOUT_REFERENCE_COUNTS: dict[str, Any] = {"_nrt": False}
"""The compiled code allocates nothing; counting references to its arrays would take most of its time."""

compiled = njit(cache=True, nogil=True, error_model="numpy", **_WITHOUT_REFERENCE_COUNTS)

BLOCK = 256
"""Replications computed together."""

_FIELDS = {axis: tuple(name for name, letter in LEDGER_AXES.items() if letter == axis) for axis in "NEC"}
IN_TRANSIT, ORDERED, PLACED, SHIPPED, DROPPED = range(len(_FIELDS["E"]))
BACKORDERS, DEMAND, SOLD, LOST, STOCKOUT = range(len(_FIELDS["C"]))


class Tables(NamedTuple):
    """The fields of `NetworkArrays` that the compiled code reads."""

    whole_units: bool
    target: Any
    from_outside: Any
    lead_time: Any
    in_links: Any
    out_links: Any
    upstream_first: Any
    downstream_first: Any
    outlet: Any
    outlet_column: Any
    waits: Any
    keeps_backlog: Any
    by_priority: Any


class Stock(NamedTuple):
    """The arrays of a `State`; in a block the replication is the last axis instead of the first."""

    on_hand: Any
    backorders: Any
    components: Any
    owed: Any
    pipeline: Any


class Entry(NamedTuple):
    """The quantities of a `Ledger`, stacked: [F, N, B], [F, E, B] and [F, C, B]."""

    nodes: Any
    links: Any
    outlets: Any


class Rule(NamedTuple):
    """The arrays of an `OrderUpTo` policy."""

    reorder: Any
    up_to: Any
    cap: Any
    echelon: bool


class Block(NamedTuple):
    """Working memory for one block of replications."""

    stock: Stock
    entry: Entry
    sums: Entry
    asked: Any
    """[E, b]"""
    position: Any
    """[E, b]"""
    in_transit: Any
    """[E, b]"""
    scratch: Any
    """[4, b]"""
    remainder: Any
    """[K]"""


@lru_cache(maxsize=256)
def tables(arrays: NetworkArrays) -> Tables:
    """The compiled code's view of a network."""
    return Tables(**{name: getattr(arrays, name) for name in Tables._fields})


def step(state: State, orders: np.ndarray, demand: np.ndarray) -> tuple[State, Ledger]:
    """The compiled equal of `dynamics.step`."""
    stock, entry = _stock_of(state), _entry(state, state.batch)
    _step_batch(tables(state.arrays), stock, orders.T, demand.T, entry, _block(state))
    return _advanced(state, stock, 1), Ledger(arrays=state.arrays, **_quantities(entry))


def rollout(
    state: State, rule: OrderUpTo, demand: np.ndarray, *, weights: np.ndarray
) -> tuple[State, dict[str, np.ndarray]]:
    """Run a parametric rule over demand [B, T, C].

    Returns the last state and the sums over the periods, weighted by `weights` [T], of every quantity
    of the ledger: [B, N], [B, E] or [B, C].
    """
    stock, totals = _stock_of(state), _entry(state, state.batch)
    levels = Rule(rule.reorder, rule.up_to, rule.cap, rule.position == "echelon")
    _rollout_batch(tables(state.arrays), levels, stock, demand, weights, totals, _block(state))
    return _advanced(state, stock, demand.shape[1]), _quantities(totals)


def _stock_of(state: State) -> Stock:
    """Copies of the state's arrays with the replication as the last axis."""
    return Stock(*(np.array(np.moveaxis(getattr(state, name), 0, -1), order="C") for name in Stock._fields))


def _advanced(state: State, stock: Stock, periods: int) -> State:
    arrays = {name: np.moveaxis(array, -1, 0) for name, array in stock._asdict().items()}
    return replace(state, period=state.period + periods, **arrays)


def _entry(state: State, width: int) -> Entry:
    rows = (state.on_hand.shape[1], state.owed.shape[1], state.backorders.shape[1])
    return Entry(*(np.zeros((len(_FIELDS[axis]), n, width)) for axis, n in zip("NEC", rows, strict=True)))


def _quantities(entry: Entry) -> dict[str, np.ndarray]:
    """Arrays [B, N], [B, E] and [B, C] by the names of the ledger."""
    parts = zip("NEC", entry, strict=True)
    return {name: part[f].T for axis, part in parts for f, name in enumerate(_FIELDS[axis])}


def _block(state: State) -> Block:
    nodes, links, outlets = state.on_hand.shape[1], state.owed.shape[1], state.backorders.shape[1]
    width = max(1, min(BLOCK, state.batch))
    shapes = ((nodes,), (outlets,), (links,), (links,), (links, state.pipeline.shape[2]))
    stock = Stock(*(np.zeros((*shape, width)) for shape in shapes))
    return Block(
        stock=stock,
        entry=_entry(state, width),
        sums=_entry(state, width),
        asked=np.zeros((links, width)),
        position=np.zeros((links, width)),
        in_transit=np.zeros((links, width)),
        scratch=np.zeros((4, width)),
        remainder=np.zeros(state.arrays.out_links.shape[1]),
    )


@compiled
def _step_batch(net, stock, orders, demand, entry, block):  # type: ignore[no-untyped-def]
    width = block.asked.shape[1]
    for first in range(0, orders.shape[1], width):
        last = min(first + width, orders.shape[1])
        _load_stock(net, block, stock, first, last)
        _fill(block.entry.links[ORDERED], orders[:, first:last])
        _fill(block.entry.outlets[DEMAND], demand[:, first:last])
        _period(net, block, 0)
        _store_stock(net, stock, block.stock, first, last, 1)
        _store_entry(entry, block.entry, first, last)


@compiled
def _rollout_batch(net, rule, stock, demand, weights, totals, block):  # type: ignore[no-untyped-def]
    width = block.asked.shape[1]
    sums = block.sums
    for first in range(0, len(demand), width):
        last = min(first + width, len(demand))
        _load_stock(net, block, stock, first, last)
        _clear(sums.nodes)
        _clear(sums.links)
        _clear(sums.outlets)
        for t in range(demand.shape[1]):
            _fill(block.entry.outlets[DEMAND], demand[first:last, t].T)
            _order(net, rule, block)
            _period(net, block, t)
            if weights[t] != 0.0:
                _add(sums.nodes, block.entry.nodes, weights[t])
                _add(sums.links, block.entry.links, weights[t])
                _add(sums.outlets, block.entry.outlets, weights[t])
        _store_stock(net, stock, block.stock, first, last, demand.shape[1])
        _store_entry(totals, sums, first, last)


@compiled
def _load_stock(net, block, stock, first, last):  # type: ignore[no-untyped-def]
    """Copy replications first, ..., last - 1 of a batch into a block."""
    _fill(block.stock.on_hand, stock.on_hand[:, first:last])
    _fill(block.stock.backorders, stock.backorders[:, first:last])
    _fill(block.stock.components, stock.components[:, first:last])
    _fill(block.stock.owed, stock.owed[:, first:last])
    for e in range(len(net.lead_time)):
        _fill(block.stock.pipeline[e], stock.pipeline[e, :, first:last])
        _set(block.in_transit[e], 0.0)
        for slot in range(net.lead_time[e]):
            _increase(block.in_transit[e], block.stock.pipeline[e, slot])


@compiled
def _store_stock(net, stock, block, first, last, period):  # type: ignore[no-untyped-def]
    """Copy a block back into the batch; its pipelines are rings whose first slot is that of the period."""
    _store(stock.on_hand, block.on_hand, first, last)
    _store(stock.backorders, block.backorders, first, last)
    _store(stock.components, block.components, first, last)
    _store(stock.owed, block.owed, first, last)
    for e in range(len(net.lead_time)):
        for slot in range(net.lead_time[e]):
            ring = block.pipeline[e, (period + slot) % net.lead_time[e]]
            for b in range(last - first):
                stock.pipeline[e, slot, first + b] = ring[b]


@compiled
def _store_entry(entry, block, first, last):  # type: ignore[no-untyped-def]
    for f in range(len(entry.nodes)):
        _store(entry.nodes[f], block.nodes[f], first, last)
    for f in range(len(entry.links)):
        _store(entry.links[f], block.links[f], first, last)
    for f in range(len(entry.outlets)):
        _store(entry.outlets[f], block.outlets[f], first, last)


@compiled
def _fill(block, values):  # type: ignore[no-untyped-def]
    """Copy [M, count] into the first columns of a block."""
    for j in range(values.shape[0]):
        for b in range(values.shape[1]):
            block[j, b] = values[j, b]


@compiled
def _store(batch, block, first, last):  # type: ignore[no-untyped-def]
    """Copy the first columns of a block into columns first, ..., last - 1 of a batch."""
    for j in range(batch.shape[0]):
        for b in range(last - first):
            batch[j, first + b] = block[j, b]


@compiled
def _set(row, value):  # type: ignore[no-untyped-def]
    for b in range(len(row)):
        row[b] = value


@compiled
def _copy(row, values):  # type: ignore[no-untyped-def]
    for b in range(len(row)):
        row[b] = values[b]


@compiled
def _add(sums, block, weight):  # type: ignore[no-untyped-def]
    for f in range(sums.shape[0]):
        for j in range(sums.shape[1]):
            total, terms = sums[f, j], block[f, j]
            for b in range(len(total)):
                total[b] += weight * terms[b]


@compiled
def _clear(sums):  # type: ignore[no-untyped-def]
    for f in range(sums.shape[0]):
        for j in range(sums.shape[1]):
            _set(sums[f, j], 0.0)


@compiled
def _order(net, rule, block):  # type: ignore[no-untyped-def]
    """Orders of a parametric rule; receivers decide before their suppliers."""
    orders, (owed, below, on_order, _) = block.entry.links[ORDERED], block.scratch
    for e in net.downstream_first:
        node = net.target[e]
        _set(owed, 0.0)
        _set(below, 0.0)
        for f in net.out_links[node]:
            if f == len(orders):
                break
            _increase(owed, block.stock.owed[f])
            _increase(below, block.position[f] if rule.echelon else orders[f])
        _on_order(block, e, on_order)
        _inventory_level(net, block.stock, node, owed, block.position[e])
        reorder, up_to, cap, sign = rule.reorder[e], rule.up_to[e], rule.cap[e], 1.0 if rule.echelon else -1.0
        position, order = block.position[e], orders[e]
        for b in range(len(position)):
            position[b] = position[b] + on_order[b] + sign * below[b]
            order[b] = min(up_to - position[b], cap) if position[b] <= reorder else 0.0


@compiled
def _inventory_level(net, stock, node, owed, level):  # type: ignore[no-untyped-def]
    _copy(level, stock.on_hand[node])
    c = net.outlet_column[node]
    if c < len(net.outlet):
        _decrease(level, stock.backorders[c])
    _decrease(level, owed)


@compiled
def _on_order(block, e, on_order):  # type: ignore[no-untyped-def]
    components, in_transit, owed = block.stock.components[e], block.in_transit[e], block.stock.owed[e]
    for b in range(len(on_order)):
        on_order[b] = components[b] + in_transit[b] + owed[b]


@compiled
def _increase(total, terms):  # type: ignore[no-untyped-def]
    for b in range(len(total)):
        total[b] += terms[b]


@compiled
def _decrease(total, terms):  # type: ignore[no-untyped-def]
    for b in range(len(total)):
        total[b] -= terms[b]


@compiled
def _period(net, block, period):  # type: ignore[no-untyped-def]
    """Advance a block by one period, in place, from the orders and the demand in its ledger entry."""
    stock, links = block.stock, block.entry.links
    for e in range(links.shape[1]):
        asked, owed, ordered, shipped, placed = (
            block.asked[e], stock.owed[e], links[ORDERED, e], links[SHIPPED, e], links[PLACED, e]
        )  # fmt: skip
        outside = 1.0 if net.from_outside[e] else 0.0
        for b in range(len(asked)):
            asked[b] = owed[b] + ordered[b]
            shipped[b] = asked[b] * outside
            placed[b] = 1.0 if ordered[b] > 0 else 0.0
    for node in net.upstream_first:
        _receive(net, stock, node, links[SHIPPED], True, block.scratch[0])
        if net.out_links[node, 0] < links.shape[1]:
            _ship(net, block, node)
    for e in range(links.shape[1]):
        _dispatch(net, block, e, period)
    for c in range(len(net.outlet)):
        _meet_demand(net, stock, c, block.entry.outlets)
    _fill(block.entry.nodes[0], stock.on_hand)
    for e in range(links.shape[1]):
        _arrive(net, block, e, period)
    for node in net.upstream_first:
        _receive(net, stock, node, block.asked, False, block.scratch[0])


@compiled
def _receive(net, stock, node, arrived, at_once, made):  # type: ignore[no-untyped-def]
    """Arrivals of one node, on its links of lead time 0 or on the others; complete sets become stock."""
    on_hand, first = stock.on_hand[node], net.in_links[node, 0]
    if net.in_links.shape[1] == 1 or net.in_links[node, 1] == len(net.target):
        if (net.lead_time[first] == 0) == at_once:
            _increase(on_hand, arrived[first])
        return
    _set(made, np.inf)
    for e in net.in_links[node]:
        if e == len(net.target):
            break
        components = stock.components[e]
        if (net.lead_time[e] == 0) == at_once:
            _increase(components, arrived[e])
        for b in range(len(made)):
            made[b] = min(made[b], components[b])
    _increase(on_hand, made)
    for e in net.in_links[node]:
        if e == len(net.target):
            break
        _decrease(stock.components[e], made)


@compiled
def _ship(net, block, node):  # type: ignore[no-untyped-def]
    """Shipments of one node on its outgoing links."""
    available, shipped, (total, remaining, sent, _) = (
        block.stock.on_hand[node],
        block.entry.links[SHIPPED],
        block.scratch,
    )
    _set(total, 0.0)
    _set(sent, 0.0)
    _copy(remaining, available)
    for e in net.out_links[node]:
        if e == len(net.target):
            break
        _increase(total, block.asked[e])
        _copy(shipped[e], block.asked[e])
    if not net.by_priority[node]:
        for b in range(len(total)):
            if total[b] > available[b]:
                _share(net, node, b, block.asked, available[b], total[b], shipped, block.remainder)
    for e in net.out_links[node]:
        if e == len(net.target):
            break
        shipment = shipped[e]
        for b in range(len(total)):
            shipment[b] = min(shipment[b], remaining[b])
            remaining[b] -= shipment[b]
            sent[b] += shipment[b]
    _decrease(available, sent)


@compiled
def _share(net, node, b, asked, available, total, shipped, remainder):  # type: ignore[no-untyped-def]
    """Proportional shares of one replication; with whole units the largest remainders get what is left over."""
    row = net.out_links[node]
    width, given = 0, 0.0
    while width < len(row) and row[width] < len(net.target):
        e = row[width]
        shipped[e, b] = (
            np.floor(asked[e, b] * available / total) if net.whole_units else asked[e, b] * (available / total)
        )
        given += shipped[e, b]
        width += 1
    if not net.whole_units:
        return
    left_over = available - given
    for k in range(width):
        remainder[k] = asked[row[k], b] * available - shipped[row[k], b] * total
    for k in range(width):
        rank = 0
        for j in range(width):
            if remainder[j] > remainder[k] or (remainder[j] == remainder[k] and j < k):
                rank += 1
        if rank < left_over:
            shipped[row[k], b] += 1.0


@compiled
def _dispatch(net, block, e, period):  # type: ignore[no-untyped-def]
    """What was shipped on a link enters the pipeline, what was not stays owed or is dropped."""
    links = block.entry.links
    asked, shipped, owed, dropped = block.asked[e], links[SHIPPED, e], block.stock.owed[e], links[DROPPED, e]
    for b in range(len(asked)):
        unshipped = asked[b] - shipped[b]
        owed[b] = unshipped * net.keeps_backlog[e]
        dropped[b] = unshipped - owed[b]
    in_transit, total, components = block.in_transit[e], links[IN_TRANSIT, e], block.stock.components[e]
    if net.lead_time[e] > 0:
        _increase(block.stock.pipeline[e, (period + net.lead_time[e] - 1) % net.lead_time[e]], shipped)
        _increase(in_transit, shipped)
    for b in range(len(total)):
        total[b] = components[b] + in_transit[b]


@compiled
def _meet_demand(net, stock, c, outlets):  # type: ignore[no-untyped-def]
    on_hand, backorders, waits = stock.on_hand[net.outlet[c]], stock.backorders[c], net.waits[c]
    demand, sold, lost, stockout = outlets[DEMAND, c], outlets[SOLD, c], outlets[LOST, c], outlets[STOCKOUT, c]
    for b in range(len(demand)):
        served = min(on_hand[b], backorders[b])
        sold[b] = min(on_hand[b] - served, demand[b])
        waiting = (demand[b] - sold[b]) * waits
        lost[b] = demand[b] - sold[b] - waiting
        on_hand[b] -= served + sold[b]
        backorders[b] = backorders[b] - served + waiting
        stockout[b] = 1.0 if backorders[b] + lost[b] > 0 else 0.0
    _copy(outlets[BACKORDERS, c], backorders)


@compiled
def _arrive(net, block, e, period):  # type: ignore[no-untyped-def]
    """Take what arrives next out of the pipeline of a link; the ring's next slot becomes its first."""
    arrived = block.asked[e]
    if net.lead_time[e] == 0:
        _set(arrived, 0.0)
        return
    due = block.stock.pipeline[e, period % net.lead_time[e]]
    _copy(arrived, due)
    _decrease(block.in_transit[e], due)
    _set(due, 0.0)
