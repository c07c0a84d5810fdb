"""Compiled: what is asked for, made, shipped and received within a period."""

# ruff: noqa: RUF059 (every function unpacks its block in the same way)
from __future__ import annotations

import numpy as np

from echelon.envs._compiled import at as row
from echelon.envs._compiled import compiled, inlined
from echelon.envs._layout import (
    AT_ONCE,
    BOUNDED,
    BY_AGE,
    DELAY,
    F_DEFECTIVE,
    F_DROPPED,
    F_IN_TRANSIT,
    F_MADE,
    F_ORDERED,
    F_PLACED,
    F_SHIPPED,
    IN,
    IN_COUNT,
    IS_FIRST,
    KEEPS_BACKLOG,
    LATERAL,
    LATERAL_OUT,
    LATERAL_OUT_COUNT,
    LIMITED,
    LINK_CAPACITY,
    LONGEST,
    M_COMPONENTS,
    M_IN_PROCESS,
    M_IN_TRANSIT,
    M_LINK_UP,
    M_MADE,
    M_NODE_UP,
    M_ON_HAND,
    M_OWED,
    M_PIPELINE,
    M_QUEUE,
    M_REQUESTS,
    OUT,
    OUT_COUNT,
    PLAIN,
    POOL,
    PROCESSING,
    QUANTITY,
    RULE,
    S_DELAYS,
    S_LATERALS,
    S_LIMITED_SHIPPING,
    S_LINKS,
    S_NODES,
    S_PROCESS_SLOTS,
    S_QUEUE,
    S_RESOURCES,
    S_SLOTS,
    S_WHOLE_UNITS,
    SETS,
    SETS_COUNT,
    SHORTEST,
    SOURCE,
    TARGET,
    USES,
    USES_COUNT,
    W_ASKED,
    W_LEFT,
    W_REQUEST,
    W_SPARE,
    W_WANTED,
)
from echelon.envs._positions import accept
from echelon.envs._rows import (
    ask_now,
    copy_row,
    count_orders,
    cut,
    decrease,
    increase,
    keep_least_sets,
    keep_or_take_all,
    keep_within,
    multiply,
    put,
    put_limited,
    put_sum,
    send,
    send_at_most,
    settle,
    use_components,
)
from echelon.envs._shares import share_out
from echelon.envs.arrays import PRIORITY


@compiled
def ask(net, block, lo, hi):  # type: ignore[no-untyped-def]
    """What each source is asked for, and what capacities and disruptions let through of it."""
    at, m, f, w, buffer = block
    for e in range(at[S_LINKS]):
        order, owed = row(f, at[F_ORDERED] + e), row(m, at[M_OWED] + e)
        if net.link[BOUNDED, e]:
            accept(net, e, order, lo, hi)
        request = row(w, at[W_REQUEST] + e)
        if net.link[DELAY, e] > 0:
            count_orders(row(f, at[F_PLACED] + e), order, lo, hi)
            slots = at[M_REQUESTS] + e * at[S_DELAYS]
            copy_row(request, row(m, slots), lo, hi)
            for slot in range(net.link[DELAY, e] - 1):
                copy_row(row(m, slots + slot), row(m, slots + slot + 1), lo, hi)
            copy_row(row(m, slots + net.link[DELAY, e] - 1), order, lo, hi)
            put_sum(row(w, at[W_ASKED] + e), owed, request, lo, hi)
        else:
            ask_now(row(w, at[W_ASKED] + e), row(f, at[F_PLACED] + e), owed, order, lo, hi)
            if net.link[BY_AGE, e]:
                copy_row(request, order, lo, hi)
        if at[S_LIMITED_SHIPPING]:
            let_through(net, block, e, lo, hi)
        if net.link[SOURCE, e] == at[S_NODES]:
            copy_row(row(f, at[F_SHIPPED] + e), row(w, wanted(at) + e), lo, hi)


@inlined
def wanted(at):  # type: ignore[no-untyped-def]
    """The first row of what sources may ship."""
    return at[W_WANTED] if at[S_LIMITED_SHIPPING] else at[W_ASKED]


@inlined
def let_through(net, block, e, lo, hi):  # type: ignore[no-untyped-def]
    at, m, f, w, buffer = block
    wanted = row(w, at[W_WANTED] + e)
    put_limited(wanted, row(w, at[W_ASKED] + e), net.link_number[LINK_CAPACITY, e], row(m, at[M_LINK_UP] + e), lo, hi)
    if net.link[SOURCE, e] < at[S_NODES]:
        multiply(wanted, row(m, at[M_NODE_UP] + net.link[SOURCE, e]), lo, hi)


@compiled
def fulfil(net, block, draws, t, lo, hi, first):  # type: ignore[no-untyped-def]
    """Nodes make and ship, wave after wave; lateral links come last."""
    at, m, f, w, buffer = block
    for n in range(at[S_NODES]):
        put(row(f, at[F_MADE] + n), 0.0, lo, hi)
    for e in range(at[S_LINKS] if draws.yields.shape[1] else 0):
        put(row(f, at[F_DEFECTIVE] + e), 0.0, lo, hi)
    begin = 0
    for end in net.wave_ends:
        resources_left(net, block, lo, hi)
        for n in net.turns[begin:end]:
            for k in range(net.node[IN_COUNT, n] if net.node[AT_ONCE, n] else 0):
                e = net.flat[net.node[IN, n] + k]
                if net.link[SHORTEST, e] == 0:
                    receive_at_once(net, block, e, draws, t, lo, hi, first)
            if not net.node[PLAIN, n] and (net.node[AT_ONCE, n] or net.node[LIMITED, n]):
                make(net, block, n, lo, hi)
        for n in net.turns[begin:end]:
            if net.node[OUT_COUNT, n] > 0:
                ship(net, block, n, lo, hi)
        begin = end
    if at[S_LATERALS]:
        ship_laterally(net, block, draws, t, lo, hi, first)


@inlined
def receive_at_once(net, block, e, draws, t, lo, hi, first):  # type: ignore[no-untyped-def]
    """What was shipped on a link in this period and arrives in it."""
    at, m, f, w, buffer = block
    arrived = row(w, at[W_SPARE])
    copy_row(arrived, row(f, at[F_SHIPPED] + e), lo, hi)
    if net.link[LONGEST, e] > 0:
        lead_time = draws.lead_time[t, e]
        for b in range(lo, hi):
            arrived[b] = arrived[b] if lead_time[first - lo + b] == 0.0 else 0.0
    receive(net, block, e, arrived, draws, t, lo, hi, first)


@inlined
def receive(net, block, e, arrived, draws, t, lo, hi, first):  # type: ignore[no-untyped-def]
    """The usable part of what arrives joins the components of its pool, or the stock if none need to wait."""
    at, m, f, w, buffer = block
    node = net.link[TARGET, e]
    usable = row(w, at[W_SPARE] + 1)
    if draws.yields.shape[1] == 0:
        copy_row(usable, arrived, lo, hi)
    else:
        defective = row(f, at[F_DEFECTIVE] + e)
        share = draws.yields[t, e]
        if at[S_WHOLE_UNITS]:
            chance = draws.yield_chance[t, e]
            for b in range(lo, hi):
                drawn = first - lo + b
                whole = min(arrived[b], np.floor(arrived[b] * share[drawn] + chance[drawn]))
                usable[b] = whole if share[drawn] < 1.0 else arrived[b]
                defective[b] += arrived[b] - usable[b]
        else:
            for b in range(lo, hi):
                usable[b] = arrived[b] * share[first - lo + b]
                defective[b] += arrived[b] - usable[b]
    if net.link[LATERAL, e]:
        increase(row(m, at[M_ON_HAND] + node), usable, lo, hi)
    elif net.node[PLAIN, node]:
        increase(row(m, at[M_ON_HAND] + node), usable, lo, hi)
        increase(row(f, at[F_MADE] + node), usable, lo, hi)
    else:
        increase(row(m, at[M_COMPONENTS] + net.link[POOL, e]), usable, lo, hi)


@compiled
def resources_left(net, block, lo, hi):  # type: ignore[no-untyped-def]
    """What every resource has left: storage not filled, production not used in this period."""
    at, m, f, w, buffer = block
    for r in range(at[S_RESOURCES]):
        left, used = row(w, at[W_LEFT] + r), row(w, at[W_SPARE])
        put(used, 0.0, lo, hi)
        for n in range(at[S_NODES]):
            if net.member[r, n] == 0.0:
                continue
            if net.resource[1, r] == 0.0:
                increase(used, row(m, at[M_MADE] + n), lo, hi)
                continue
            increase(used, row(m, at[M_ON_HAND] + n), lo, hi)
            for slot in range(net.node[PROCESSING, n]):
                increase(used, row(m, at[M_IN_PROCESS] + n * at[S_PROCESS_SLOTS] + slot), lo, hi)
        for b in range(lo, hi):
            left[b] = net.resource[0, r] - used[b]


@compiled
def make(net, block, n, lo, hi):  # type: ignore[no-untyped-def]
    """Matching sets of components become units in stock or in process."""
    at, m, f, w, buffer = block
    made = row(w, at[W_SPARE] + 2)
    put(made, np.inf, lo, hi)
    for k in range(net.node[SETS_COUNT, n]):
        e = net.flat[net.node[SETS, n] + k]
        keep_least_sets(made, row(m, at[M_COMPONENTS] + e), net.link_number[QUANTITY, e], at[S_WHOLE_UNITS], lo, hi)
    if net.node[LIMITED, n]:
        keep_within(made, row(m, at[M_NODE_UP] + n), row(m, at[M_MADE] + n), net.node_capacity[n], lo, hi)
        for k in range(net.node[USES_COUNT, n]):
            cut(made, row(w, at[W_LEFT] + net.flat[net.node[USES, n] + k]), lo, hi)
        for k in range(net.node[USES_COUNT, n]):
            decrease(row(w, at[W_LEFT] + net.flat[net.node[USES, n] + k]), made, lo, hi)
    for k in range(net.node[SETS_COUNT, n]):
        e = net.flat[net.node[SETS, n] + k]
        use_components(row(m, at[M_COMPONENTS] + e), made, net.link_number[QUANTITY, e], lo, hi)
    if net.node[PROCESSING, n] > 0:
        slot = at[M_IN_PROCESS] + n * at[S_PROCESS_SLOTS] + net.node[PROCESSING, n] - 1
        increase(row(m, slot), made, lo, hi)
    else:
        increase(row(m, at[M_ON_HAND] + n), made, lo, hi)
    if net.node[LIMITED, n]:
        increase(row(m, at[M_MADE] + n), made, lo, hi)
    increase(row(f, at[F_MADE] + n), made, lo, hi)


@inlined
def ship(net, block, n, lo, hi):  # type: ignore[no-untyped-def]
    """Shipments of one node on its outgoing links."""
    at, m, f, w, buffer = block
    on_hand, out, count = row(m, at[M_ON_HAND] + n), net.node[OUT, n], net.node[OUT_COUNT, n]
    if count == 1 or net.node[RULE, n] == PRIORITY:
        for k in range(count):
            e = net.flat[out + k]
            send(on_hand, row(f, at[F_SHIPPED] + e), row(w, wanted(at) + e), lo, hi)
        return
    total = row(w, at[W_SPARE])
    put(total, 0.0, lo, hi)
    for k in range(count):
        increase(total, row(w, wanted(at) + net.flat[out + k]), lo, hi)
    for b in range(lo, hi):
        if total[b] > on_hand[b]:
            share_out(net, block, n, b, total[b], on_hand[b])
        else:
            total[b] = -1.0  # everybody gets all
    for k in range(count):
        e = net.flat[out + k]
        keep_or_take_all(row(f, at[F_SHIPPED] + e), row(w, wanted(at) + e), total, lo, hi)
        send_at_most(on_hand, row(f, at[F_SHIPPED] + e), lo, hi)


@compiled
def ship_laterally(net, block, draws, t, lo, hi, first):  # type: ignore[no-untyped-def]
    at, m, f, w, buffer = block
    for n in range(at[S_NODES]):
        for k in range(net.node[LATERAL_OUT_COUNT, n]):
            e = net.flat[net.node[LATERAL_OUT, n] + k]
            send(row(m, at[M_ON_HAND] + n), row(f, at[F_SHIPPED] + e), row(w, wanted(at) + e), lo, hi)
    for e in range(at[S_LINKS]):
        if net.link[LATERAL, e] and net.link[SHORTEST, e] == 0:
            receive_at_once(net, block, e, draws, t, lo, hi, first)


@inlined
def dispatch(net, block, e, draws, t, turned, lo, hi, first):  # type: ignore[no-untyped-def]
    """What was shipped on a link enters the pipeline, what was not stays owed or is dropped."""
    at, m, f, w, buffer = block
    shipped, length = row(f, at[F_SHIPPED] + e), net.link[LONGEST, e]
    if net.link[SOURCE, e] < at[S_NODES] or at[S_LIMITED_SHIPPING]:
        keeps = net.link_number[KEEPS_BACKLOG, e]
        settle(row(m, at[M_OWED] + e), row(f, at[F_DROPPED] + e), row(w, at[W_ASKED] + e), shipped, keeps, lo, hi)
    if net.link[BY_AGE, e]:
        remember(net, block, e, lo, hi)
    if length > 0:
        slots, in_transit = at[M_PIPELINE] + e * at[S_SLOTS], row(m, at[M_IN_TRANSIT] + e)
        if draws.lead_time.shape[1] > 0 and net.link[SHORTEST, e] < length:
            lead_time = draws.lead_time[t, e]
            for b in range(lo, hi):
                periods = int(lead_time[first - lo + b])
                if periods > 0:
                    m[slots + (turned + periods - 1) % length, b] += shipped[b]
                    in_transit[b] += shipped[b]
        else:
            increase(row(m, slots + (turned + length - 1) % length), shipped, lo, hi)
            increase(in_transit, shipped, lo, hi)
    if net.link[IS_FIRST, e] and not net.node[PLAIN, net.link[TARGET, e]]:
        put_sum(row(f, at[F_IN_TRANSIT] + e), row(m, at[M_IN_TRANSIT] + e), row(m, at[M_COMPONENTS] + e), lo, hi)
    else:
        copy_row(row(f, at[F_IN_TRANSIT] + e), row(m, at[M_IN_TRANSIT] + e), lo, hi)


@compiled
def remember(net, block, e, lo, hi):  # type: ignore[no-untyped-def]
    """The oldest of what a link is owed was shipped first; what is left is a period older."""
    at, m, f, w, buffer = block
    ages, keeps = at[S_QUEUE], net.link_number[KEEPS_BACKLOG, e]
    queue = at[M_QUEUE] + e * ages
    for b in range(lo, hi):
        shipped = f[at[F_SHIPPED] + e, b]
        for age in range(ages - 1, -1, -1):
            part = min(m[queue + age, b], shipped)
            shipped -= part
            left = (m[queue + age, b] - part) * keeps
            if age == ages - 1:
                m[queue + age, b] = left
            elif age == ages - 2:
                m[queue + age + 1, b] += left
            else:
                m[queue + age + 1, b] = left
        m[queue, b] = (w[at[W_REQUEST] + e, b] - min(w[at[W_REQUEST] + e, b], shipped)) * keeps
