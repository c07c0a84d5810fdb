"""Compiled: one period of a block, from the orders at a review to the next review.

A block is (at, m, f, w, buffer): the places of `_layout`, stocks `m`, ledger entry `f` and scratch `w`,
each [rows, width], and memory for the shares of one node.
"""

# ruff: noqa: RUF059 (every function unpacks its block in the same way)
from __future__ import annotations

import numpy as np

from echelon.envs._compiled import at as row
from echelon.envs._compiled import compiled
from echelon.envs._layout import (
    F_BACKORDERS,
    F_DELIVERED,
    F_DEMAND,
    F_IN_PROCESS,
    F_IN_TRANSIT,
    F_LOST,
    F_MADE,
    F_ON_HAND,
    F_PLACED,
    F_SCRAPPED,
    F_SHIPPED,
    F_SOLD,
    F_STOCKOUT,
    FIFO,
    LIFE,
    LIMITED,
    LONGEST,
    M_AGES,
    M_BACKORDERS,
    M_IN_PROCESS,
    M_IN_TRANSIT,
    M_LINK_UP,
    M_MADE,
    M_NODE_UP,
    M_ON_HAND,
    M_PIPELINE,
    OUTLET_NODE,
    PLAIN,
    PROCESSING,
    S_AGES,
    S_BALANCED,
    S_LINKS,
    S_NODES,
    S_OUTLETS,
    S_PROCESS_SLOTS,
    S_SLOTS,
    S_WHOLE_UNITS,
    W_LEVEL,
    W_SPARE,
    WAITS,
)
from echelon.envs._positions import positions_before_shipping
from echelon.envs._rows import (
    charge,
    charge_twice,
    copy_row,
    decrease,
    increase,
    increase_by_difference,
    lose,
    multiply,
    put,
    put_waiting,
    sell,
    take_drawn,
)
from echelon.envs._supply import ask, dispatch, fulfil, make, receive, resources_left


@compiled
def period(net, block, draws, t, turned, lo, hi, first):  # type: ignore[no-untyped-def]
    """Advance columns lo, ..., hi - 1 by one period, from the orders in the ledger entry.

    They are the replications from `first` on. The pipelines are rings that have turned by `turned`.
    """
    if net.at[S_BALANCED]:
        positions_before_shipping(net, block, lo, hi)
    ask(net, block, lo, hi)
    fulfil(net, block, draws, t, lo, hi, first)
    for e in range(net.at[S_LINKS]):
        dispatch(net, block, e, draws, t, turned, lo, hi, first)
    serve(net, block, draws, t, lo, hi, first)
    close(net, block, lo, hi)
    arrive(net, block, draws, t, turned, lo, hi, first)


@compiled
def serve(net, block, draws, t, lo, hi, first):  # type: ignore[no-untyped-def]
    """Demand is met from stock."""
    at, m, f, w, buffer = block
    for c in range(at[S_OUTLETS]):
        n, waits = int(net.outlet_number[OUTLET_NODE, c]), net.outlet_number[WAITS, c]
        demand, on_hand, backorders = row(f, at[F_DEMAND] + c), row(m, at[M_ON_HAND] + n), row(m, at[M_BACKORDERS] + c)
        drawn, waiting, available = draws.demand[t, c], row(w, at[W_SPARE]), row(w, at[W_SPARE] + 1)
        for b in range(lo, hi):
            demand[b] = drawn[first - lo + b]
        copy_row(available, on_hand, lo, hi)
        if draws.node_up.shape[1] > 0:
            multiply(available, row(m, at[M_NODE_UP] + n), lo, hi)
        sold, delivered = row(f, at[F_SOLD] + c), row(f, at[F_DELIVERED] + c)
        sell(on_hand, available, backorders, demand, sold, delivered, lo, hi)
        put_waiting(waiting, demand, sold, waits, lo, hi)
        if at[S_WHOLE_UNITS] and waits > 0.0 and waits < 1.0:
            chance = draws.wait_chance[t, c]
            for b in range(lo, hi):
                waiting[b] = min(demand[b] - sold[b], np.floor(waiting[b] + chance[first - lo + b]))
        lost, stockout = row(f, at[F_LOST] + c), row(f, at[F_STOCKOUT] + c)
        lose(backorders, waiting, demand, sold, lost, stockout, lo, hi)
        copy_row(row(f, at[F_BACKORDERS] + c), backorders, lo, hi)


@compiled
def close(net, block, lo, hi):  # type: ignore[no-untyped-def]
    """The end of the period: stocks are recorded, then perishable stock ages."""
    at, m, f, w, buffer = block
    for n in range(at[S_NODES]):
        copy_row(row(f, at[F_ON_HAND] + n), row(m, at[M_ON_HAND] + n), lo, hi)
        if net.node[PROCESSING, n] > 0:
            held = row(f, at[F_IN_PROCESS] + n)
            put(held, 0.0, lo, hi)
            for slot in range(net.node[PROCESSING, n]):
                increase(held, row(m, at[M_IN_PROCESS] + n * at[S_PROCESS_SLOTS] + slot), lo, hi)
        if net.node[LIFE, n] > 0:
            age(net, block, n, lo, hi)


@compiled
def age(net, block, n, lo, hi):  # type: ignore[no-untyped-def]
    """What left the stock is taken from its ages; what is left is a period older, and what expired is scrapped."""
    at, m, f, w, buffer = block
    life, ages = net.node[LIFE, n], at[M_AGES] + n * at[S_AGES]
    for b in range(lo, hi):
        if net.node[PROCESSING, n] == 0:
            m[ages + life - 1, b] += f[at[F_MADE] + n, b]
        taken = 0.0
        for a in range(life):
            taken += m[ages + a, b]
        taken -= m[at[M_ON_HAND] + n, b]
        for k in range(life):
            a = k if net.node[FIFO, n] else life - 1 - k
            part = min(m[ages + a, b], taken)
            m[ages + a, b] -= part
            taken -= part
        scrapped = m[ages, b]
        f[at[F_SCRAPPED] + n, b] = scrapped
        m[at[M_ON_HAND] + n, b] = max(m[at[M_ON_HAND] + n, b] - scrapped, 0.0)
        for a in range(life - 1):
            m[ages + a, b] = m[ages + a + 1, b]
        m[ages + life - 1, b] = 0.0


@compiled
def arrive(net, block, draws, t, turned, lo, hi, first):  # type: ignore[no-untyped-def]
    """The arrivals of the next period."""
    at, m, f, w, buffer = block
    for n in range(draws.node_up.shape[1]):
        take_drawn(row(m, at[M_NODE_UP] + n), draws.node_up[t, n], lo, hi, first)
    for e in range(draws.link_up.shape[1]):
        take_drawn(row(m, at[M_LINK_UP] + e), draws.link_up[t, e], lo, hi, first)
    for n in range(at[S_NODES]):
        if net.node[LIMITED, n]:
            put(row(m, at[M_MADE] + n), 0.0, lo, hi)
        if net.node[LIFE, n] > 0:
            copy_row(row(w, at[W_LEVEL] + n), row(m, at[M_ON_HAND] + n), lo, hi)
        if net.node[PROCESSING, n] > 0:
            slots, last = at[M_IN_PROCESS] + n * at[S_PROCESS_SLOTS], net.node[PROCESSING, n] - 1
            increase(row(m, at[M_ON_HAND] + n), row(m, slots), lo, hi)
            for slot in range(last):
                copy_row(row(m, slots + slot), row(m, slots + slot + 1), lo, hi)
            put(row(m, slots + last), 0.0, lo, hi)
    for e in range(at[S_LINKS]):
        length = net.link[LONGEST, e]
        if length > 0:
            due = row(m, at[M_PIPELINE] + e * at[S_SLOTS] + turned % length)
            decrease(row(m, at[M_IN_TRANSIT] + e), due, lo, hi)
            receive(net, block, e, due, draws, t, lo, hi, first)
            put(due, 0.0, lo, hi)
    resources_left(net, block, lo, hi)
    for n in net.turns:
        if not net.node[PLAIN, n]:
            make(net, block, n, lo, hi)
        if net.node[LIFE, n] > 0:
            freshest = row(m, at[M_AGES] + n * at[S_AGES] + net.node[LIFE, n] - 1)
            increase_by_difference(freshest, row(m, at[M_ON_HAND] + n), row(w, at[W_LEVEL] + n), lo, hi)


@compiled
def turn_pipelines(net, at, m, lo, hi):  # type: ignore[no-untyped-def]
    """After one period, bring the slot that arrives next to the front; the slot that has arrived is empty."""
    for e in range(at[S_LINKS]):
        slots, length = at[M_PIPELINE] + e * at[S_SLOTS], net.link[LONGEST, e]
        for slot in range(length - 1):
            copy_row(row(m, slots + slot), row(m, slots + slot + 1), lo, hi)
        if length > 1:
            put(row(m, slots + length - 1), 0.0, lo, hi)


@compiled
def add_costs(net, f, w, cost):  # type: ignore[no-untyped-def]
    """Add the cost of a period to `cost` [B], kind by kind and place by place, in the order of `Ledger.cost`."""
    at, rates, width = net.at, net.rates, f.shape[1]
    kinds = (F_ON_HAND, F_IN_PROCESS, F_IN_TRANSIT, F_LOST, F_SHIPPED, F_PLACED, F_SCRAPPED, F_DELIVERED)
    counts = (S_NODES, S_NODES, S_LINKS, S_OUTLETS, S_LINKS, S_LINKS, S_NODES, S_OUTLETS)
    part = row(w, 0)
    for kind in range(8):
        put(part, 0.0, 0, width)
        for j in range(at[counts[kind]]):
            if rates[kind, j] != 0.0:
                quantity = row(f, at[kinds[kind]] + j)
                if kinds[kind] == F_LOST:
                    charge_twice(part, quantity, row(f, at[F_BACKORDERS] + j), rates[kind, j], width)
                else:
                    charge(part, quantity, rates[kind, j], width)
        increase(cost, part, 0, width)
