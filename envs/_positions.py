"""Compiled: inventory positions, and the orders of parametric rules that go by them."""

# ruff: noqa: RUF059 (every function unpacks its block in the same way)
from __future__ import annotations

from echelon.envs._compiled import at as row
from echelon.envs._compiled import compiled, inlined
from echelon.envs._layout import (
    ALL_SOURCES,
    ALL_SOURCES_COUNT,
    BOUNDED,
    DELAY,
    F_ORDERED,
    LATERAL,
    LATERAL_IN,
    LATERAL_IN_COUNT,
    LOT_SIZE,
    M_BACKORDERS,
    M_COMPONENTS,
    M_IN_PROCESS,
    M_IN_TRANSIT,
    M_ON_HAND,
    M_OWED,
    M_REQUESTS,
    MAX_ORDER,
    MIN_ORDER,
    OUT,
    OUT_COUNT,
    OUTLET,
    PLAIN,
    POOL,
    PROCESSING,
    QUANTITY,
    S_DELAYS,
    S_LINKS,
    S_NODES,
    S_PROCESS_SLOTS,
    SERVES,
    SERVES_COUNT,
    TARGET,
    W_ECHELON,
    W_LEVEL,
    W_SPARE,
)
from echelon.envs._rows import (
    accept_row,
    copy_row,
    decrease,
    increase,
    increase_twice,
    multiply_by,
    order_lots,
    order_up_to,
    put,
    put_sum,
)


@compiled
def order_by_rule(net, rule, block, period, hi):  # type: ignore[no-untyped-def]
    """Orders of a parametric rule; receivers decide before their suppliers."""
    at, m, f, w, buffer = block
    orders = at[F_ORDERED]
    if period % rule.review_period != 0:
        for e in range(at[S_LINKS]):
            put(row(f, orders + e), 0.0, 0, hi)
        return
    for n in range(at[S_NODES]):
        inventory_level(net, block, n, row(w, at[W_LEVEL] + n), 0, hi)
    position = row(w, at[W_SPARE])
    for e in net.downstream_first:
        node = net.link[TARGET, e]
        copy_row(position, row(w, at[W_LEVEL] + node), 0, hi)
        for k in range(net.node[OUT_COUNT, node]):
            decrease(position, row(f, orders + net.flat[net.node[OUT, node] + k]), 0, hi)
        if rule.echelon:
            for k in range(net.node[SERVES_COUNT, node]):
                below = net.flat[net.node[SERVES, node] + k]
                increase(position, row(w, at[W_ECHELON] + net.link[POOL, below]), 0, hi)
        if net.link_number[QUANTITY, e] != 1.0:
            multiply_by(position, net.link_number[QUANTITY, e], hi)
        if not net.link[LATERAL, e]:
            add_on_order(net, block, e, rule.on_hand, position, hi)
        order = row(f, orders + e)
        if rule.lot[e] > 0.0:
            order_lots(order, position, rule.reorder[e], rule.lot[e], rule.cap[e], hi)
        else:
            order_up_to(order, position, rule.reorder[e], rule.up_to[e], rule.cap[e], hi)
        if net.link[BOUNDED, e]:
            accept(net, e, order, 0, hi)
        if rule.echelon and not net.link[LATERAL, e]:
            put_sum(row(w, at[W_ECHELON] + net.link[POOL, e]), position, order, 0, hi)


@inlined
def inventory_level(net, block, n, level, lo, hi):  # type: ignore[no-untyped-def]
    """Stock of a node, in process included, less what it owes to customers and on its links."""
    at, m, f, w, buffer = block
    copy_row(level, row(m, at[M_ON_HAND] + n), lo, hi)
    if net.node[OUTLET, n] >= 0:
        decrease(level, row(m, at[M_BACKORDERS] + net.node[OUTLET, n]), lo, hi)
    for k in range(net.node[OUT_COUNT, n]):
        e = net.flat[net.node[OUT, n] + k]
        decrease(level, row(m, at[M_OWED] + e), lo, hi)
        for slot in range(net.link[DELAY, e]):
            decrease(level, row(m, at[M_REQUESTS] + e * at[S_DELAYS] + slot), lo, hi)
    for slot in range(net.node[PROCESSING, n]):
        increase(level, row(m, at[M_IN_PROCESS] + n * at[S_PROCESS_SLOTS] + slot), lo, hi)
    for k in range(net.node[LATERAL_IN_COUNT, n]):
        increase(level, row(m, at[M_IN_TRANSIT] + net.flat[net.node[LATERAL_IN, n] + k]), lo, hi)


@inlined
def add_on_order(net, block, e, here, position, hi):  # type: ignore[no-untyped-def]
    """Add what the pool of a link has on order, or of that only what is `here`, and what its links before this one
    have just ordered."""
    at, m, f, w, buffer = block
    if not net.node[PLAIN, net.link[TARGET, e]]:
        increase(position, row(m, at[M_COMPONENTS] + net.link[POOL, e]), 0, hi)
    for k in range(net.link[ALL_SOURCES_COUNT, e]):
        g = net.flat[net.link[ALL_SOURCES, e] + k]
        if not here:
            increase_twice(position, row(m, at[M_IN_TRANSIT] + g), row(m, at[M_OWED] + g), hi)
            for slot in range(net.link[DELAY, g]):
                increase(position, row(m, at[M_REQUESTS] + g * at[S_DELAYS] + slot), 0, hi)
        if g < e:
            increase(position, row(f, at[F_ORDERED] + g), 0, hi)


@inlined
def accept(net, e, order, lo, hi):  # type: ignore[no-untyped-def]
    """Round the order on a link to its bounds."""
    number = net.link_number
    accept_row(order, number[MIN_ORDER, e], number[LOT_SIZE, e], number[MAX_ORDER, e], lo, hi)


@compiled
def positions_before_shipping(net, block, lo, hi):  # type: ignore[no-untyped-def]
    """What every receiver has and has coming, less what it owes: its position without what is owed to it."""
    at, m, f, w, buffer = block
    for n in range(at[S_NODES]):
        inventory_level(net, block, n, row(w, at[W_LEVEL] + n), lo, hi)
    for e in range(at[S_LINKS]):
        position, quantity = row(w, at[W_ECHELON] + e), net.link_number[QUANTITY, e]
        level = row(w, at[W_LEVEL] + net.link[TARGET, e])
        for b in range(lo, hi):
            position[b] = level[b] * quantity
        for k in range(net.link[ALL_SOURCES_COUNT, e]):
            g = net.flat[net.link[ALL_SOURCES, e] + k]
            increase(position, row(m, at[M_COMPONENTS] + g), lo, hi)
            increase(position, row(m, at[M_IN_TRANSIT] + g), lo, hi)
