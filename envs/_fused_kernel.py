"""The compiled part of the fused rollout: what happens to a block of replications, period by period.

`_fused` tells what is computed and why in this way. Functions that steer get the plan, the rows and
what changes of a node (`now`); functions that loop get the addresses of rows.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from echelon.envs._compiled import LINE, at, compiled, inlined, prefetch, vectorised

FLUSH = 64
"""Periods after which the sums of a block are added up in double precision."""
SINGLE_LIMIT = 2.0**24
"""Whole numbers up to here are exact in single precision."""
NARROW = 4_096
"""Products of two whole numbers up to here are exact in single precision."""
KEYS = 65_536
"""Keys below this fit into two bytes."""
AHEAD = 8
"""Rows of demand between the one that is read and the one that is fetched from memory."""
SCRATCH = 3
"""Rows of scratch."""

ZERO, ONE, NEVER = np.float32(0), np.float32(1), np.float32(-np.inf)
"""Single precision: what they are combined with keeps the precision that it has."""

TOO_LARGE = np.uint32(2**16)
"""What does not fit into two bytes."""

LEAF, ASKING, CHAIN, MIXED = range(4)
"""Kinds of nodes: with customers only; the same, and the supplier is mixed; with one receiver only; all others.

Those with lead time 0 are mixed. Where sales can be lost, or orders cost money, no node is of the second kind."""

NODE = np.dtype(
    [
        (name, np.int64)
        for name in (
            "kind",
            "lead_time",
            "ring_size",
            "source",  # node, -1 for the outside source
            "receivers",  # number of them
            "outlet",  # -1 without customers
            "drops",  # whether what cannot be shipped to the node is dropped
            "by_priority",
            "position",  # from here on: rows
            "stock",
            "owed",
            "order",
            "asked",  # by all receivers together
            "unshipped",  # of that, what is still owed
            "ring",  # the first of `ring_size` rows
            "held",  # sums; those without a cost are -1
            "short",
            "placed",
            "shipped",
            "in_transit",
            "with_transit",  # whether `held` also takes what is in transit to the only receiver
        )
    ]
)
"""What the compiled code knows of a node and of the link into it."""

NOW = np.dtype(
    [
        ("due", np.int64),  # the row of what arrives at the node in this period
        ("sent", np.int64),  # the row of what is shipped to it
        ("ordered", np.int64),  # the row of what it orders
        ("was_short", np.int64),  # whether it owes anything to its receivers
    ]
)
"""Where a node is in its ring, and more that changes from period to period."""

LEVELS = ("reorder", "up_to", "cap", "lot", "lost")
"""Levels of each node, in the precision of the block; `lost` is 1.0 where unmet demand is lost, else 0.0."""


class Plan(NamedTuple):
    """What the compiled code reads of a network, in one precision."""

    nodes: Any
    """[N] of `NODE`"""
    levels: Any
    """[N] of `LEVELS`"""
    receivers: Any
    """[N, K] in served order."""
    comparators: Any
    """[P, 2] a sorting network for K rows."""
    start: Any
    """[rows] the value of every row at the start."""
    scratch: int
    """The first of `SCRATCH` rows."""
    sums: int
    """The first row of sums; they are the last ones."""
    limit: float
    """Sums below this are exact."""
    whole_units: bool
    echelon: bool
    on_hand: bool
    """Whether a position leaves out what is on order."""
    review_period: int


class Weights(NamedTuple):
    """What a period counts, in one precision, and what a sum costs."""

    period: Any
    """[T]"""
    transit: Any
    """[N, T] the weights of the periods that a shipment of a period spends in transit, added up."""
    rate: Any
    """[S] money per unit of a sum."""
    base: Any
    """[N] the cost of what is in transit to each node at the start, in double precision."""
    scale: float
    """What the whole cost is multiplied by in the end."""


class Work(NamedTuple):
    """Working memory for one block of replications."""

    rows: Any
    """[rows, W]"""
    demand: Any
    """[C, W] of the period; in the end without what was lost."""
    totals: Any
    """[S, W] the sums until the last flush, in double precision."""
    now: Any
    """[N] of `NOW`"""
    small: Any
    """[2 K + 2, W] of two bytes: scratch of the allocation."""
    large: Any
    """[2 K + 2, W] of eight bytes."""


@compiled
def pack(rows, packed, totals):  # type: ignore[no-untyped-def]
    """Copy demand [R, B] to two-byte numbers and add it up in totals [B]; whether that was possible."""
    for r in range(len(rows)):
        if _pack_row(rows.shape[1], at(rows, r), at(packed, r), at(totals, 0)) >= TOO_LARGE:
            return False
    return True


@compiled
def run(plan, weights, demand, begin, cost, work):  # type: ignore[no-untyped-def]
    """Find the cost [b] of a block: of the replications from `begin` on of a demand [T * C, B]; whether it is exact.

    Where it is not, single precision was too short.
    """
    periods, exact = len(weights.period), True
    start(plan, work)
    for t in range(periods):
        load(demand, t, begin, len(cost), work.demand)
        turn(plan.nodes, work.now)
        period(plan, weights, t, work)
        if (t + 1) % FLUSH == 0 or t + 1 == periods:
            exact &= flush(plan, work)
    base = 0.0
    for v in range(len(plan.nodes)):
        base += weights.base[v]
    for b in range(len(cost)):
        cost[b] = base
        for s in range(len(weights.rate)):
            cost[b] += weights.rate[s] * work.totals[s, b]
        cost[b] *= weights.scale
    return exact


@compiled
def start(plan, work):  # type: ignore[no-untyped-def]
    """The initial state in every replication of the block."""
    width = work.rows.shape[1]
    for r in range(len(work.rows)):
        _set(width, at(work.rows, r), plan.start[r])
    for s in range(len(work.totals)):
        _set(width, at(work.totals, s), 0.0)
    for c in range(len(work.demand)):
        _set(width, at(work.demand, c), 0.0)
    for v in range(len(plan.nodes)):
        work.now[v].due = plan.nodes[v].ring + plan.nodes[v].ring_size - 1
        work.now[v].was_short = False


@inlined
def load(demand, t, begin, count, loaded):  # type: ignore[no-untyped-def]
    """Read the demand of a period, and have that of a later one fetched."""
    outlets, batch, line = len(loaded), demand.shape[1], LINE // demand.itemsize
    for c in range(outlets):
        r = t * outlets + c
        for b in range(0, count if r + AHEAD < len(demand) else 0, line):
            prefetch(demand, (r + AHEAD) * batch + begin + b)
        _copy(count, at(loaded, c), at(demand[r], begin))


@inlined
def period(plan, weights, t, work):  # type: ignore[no-untyped-def]
    """One period: nodes review and serve, receivers first; then those with lead time 0 serve, suppliers first."""
    rows, now, demand = work.rows, work.now, work.demand
    reviews, weight = t % plan.review_period == 0, weights.period[t]
    if plan.on_hand:
        _find_positions(plan, rows, now)
    for v in range(len(plan.nodes)):
        if plan.nodes[v].kind == MIXED:
            _set(rows.shape[1], at(rows, plan.nodes[v].asked), ZERO)
    for v in range(len(plan.nodes)):
        kind = plan.nodes[v].kind
        if kind == LEAF:
            _serve_leaf(plan, v, reviews, weight, demand, rows, now)
        elif kind == ASKING:
            _serve_asking(plan, v, reviews, weight, demand, rows, now)
        elif kind == CHAIN:
            _serve_chain(plan, weights, v, t, reviews, rows, now)
        else:
            _review_mixed(plan, v, reviews, rows, now)
            if plan.nodes[v].lead_time > 0:
                _serve_mixed(plan, v, weight, demand, rows, work)
    for v in range(len(plan.nodes) - 1, -1, -1):
        if plan.nodes[v].lead_time == 0:
            _serve_mixed(plan, v, weight, demand, rows, work)
    if plan.echelon:
        _tell_suppliers(plan, demand, rows)
    _charge_links(plan, weights, t, rows, now)


@compiled
def _find_positions(plan, rows, now):  # type: ignore[no-untyped-def]
    """Positions that leave out what is on order: the net stock with what is due, less what receivers wait for."""
    width = rows.shape[1]
    for v in range(len(plan.nodes)):
        node = plan.nodes[v]
        position = at(rows, node.position)
        _copy(width, position, at(rows, node.stock))
        if node.lead_time > 0:  # else it is in stock already
            _increase(width, position, at(rows, now[v].due))
        for k in range(node.receivers):
            _decrease(width, position, at(rows, plan.nodes[plan.receivers[v, k]].owed))


@compiled
def _tell_suppliers(plan, demand, rows):  # type: ignore[no-untyped-def]
    """What customers took lowers the echelon position of every node upstream."""
    width = rows.shape[1]
    for v in range(len(plan.nodes)):
        if plan.nodes[v].outlet >= 0:
            source = plan.nodes[v].source
            while source >= 0:
                _decrease(width, at(rows, plan.nodes[source].position), at(demand, plan.nodes[v].outlet))
                source = plan.nodes[source].source


@inlined
def _charge_links(plan, weights, t, rows, now):  # type: ignore[no-untyped-def]
    width = rows.shape[1]
    for v in range(len(plan.nodes)):
        node = plan.nodes[v]
        if node.placed >= 0:
            _count(width, at(rows, node.placed), at(rows, now[v].ordered), weights.period[t])
        if node.shipped >= 0:
            _add(width, at(rows, node.shipped), at(rows, now[v].sent), weights.period[t])
        if node.in_transit >= 0:
            _add(width, at(rows, node.in_transit), at(rows, now[v].sent), weights.transit[v, t])


@inlined
def turn(nodes, now):  # type: ignore[no-untyped-def]
    """Turn every ring by a row. Orders from outside go into the row that was due before: they ship as they are."""
    for v in range(len(nodes)):
        node, before = nodes[v], now[v].due
        now[v].due = before + 1 if before + 1 < node.ring + node.ring_size else node.ring
        now[v].sent = now[v].due if node.source >= 0 else before
        now[v].ordered = node.order if node.source >= 0 else before


@inlined
def _reorder_point(level, reviews):  # type: ignore[no-untyped-def]
    """Between reviews no position is low enough to order."""
    return level.reorder if reviews else NEVER


@inlined
def _serve_leaf(plan, v, reviews, weight, demand, rows, now):  # type: ignore[no-untyped-def]
    node, level = plan.nodes[v], plan.levels[v]
    _review_and_sell(
        rows.shape[1], at(rows, node.position), at(rows, now[v].ordered), at(rows, node.stock), at(rows, now[v].due),
        at(demand, node.outlet),
        at(rows, node.held), at(rows, node.short), weight, level.lost,
        _reorder_point(level, reviews), level.up_to, level.cap, level.lot,
    )  # fmt: skip


@inlined
def _serve_asking(plan, v, reviews, weight, demand, rows, now):  # type: ignore[no-untyped-def]
    node, level = plan.nodes[v], plan.levels[v]
    _review_sell_and_ask(
        rows.shape[1], at(rows, node.position), at(rows, node.stock), at(rows, now[v].sent), at(rows, node.owed),
        at(rows, plan.nodes[node.source].asked), at(demand, node.outlet), at(rows, node.held), at(rows, node.short),
        weight, _reorder_point(level, reviews), level.up_to, level.cap, level.lot,
    )  # fmt: skip


@inlined
def _serve_chain(plan, weights, v, t, reviews, rows, now):  # type: ignore[no-untyped-def]
    node, level = plan.nodes[v], plan.levels[v]
    c = plan.receivers[v, 0]
    receiver = plan.nodes[c]
    transit = weights.transit[c, t] if node.with_transit else ZERO
    _review_and_ship(
        rows.shape[1], at(rows, node.position), at(rows, now[v].ordered), at(rows, node.stock), at(rows, now[v].due),
        at(rows, receiver.order), at(rows, receiver.owed), at(rows, now[c].sent), at(rows, node.held),
        weights.period[t], transit, ZERO if plan.echelon else ONE,
        _reorder_point(level, reviews), level.up_to, level.cap, level.lot,
    )  # fmt: skip
    if receiver.drops:
        _drop(plan, node, receiver, rows)


@compiled
def _review_mixed(plan, v, reviews, rows, now):  # type: ignore[no-untyped-def]
    """Order, and add up what the receivers ask for."""
    width = rows.shape[1]
    node, level = plan.nodes[v], plan.levels[v]
    asked, below = at(rows, node.asked), at(rows, plan.scratch)
    for k in range(node.receivers):
        c = plan.receivers[v, k]
        receiver = plan.nodes[c]
        if receiver.kind != ASKING:
            _ask(width, at(rows, receiver.order), at(rows, receiver.owed), at(rows, now[c].sent), asked)
    if plan.echelon:
        _set(width, below, ZERO)
    else:
        _difference(width, below, asked, at(rows, node.unshipped))
    reorder = _reorder_point(level, reviews)
    _review(width, at(rows, node.position), at(rows, now[v].ordered), below, reorder, level.up_to, level.cap, level.lot)


@compiled
def _serve_mixed(plan, v, weight, demand, rows, work):  # type: ignore[no-untyped-def]
    """Receive, ship to the receivers, sell to the customers."""
    width = rows.shape[1]
    node, level = plan.nodes[v], plan.levels[v]
    stock, available, held = at(rows, node.stock), at(rows, plan.scratch), at(rows, node.held)
    _receive(width, stock, at(rows, work.now[v].due), available)
    if node.receivers > 0:
        _ship(plan, v, available, rows, work)
    if node.outlet >= 0:
        position, short = at(rows, node.position), at(rows, node.short)
        _sell(width, position, stock, available, at(demand, node.outlet), held, short, weight, level.lost)
    else:
        _hold(width, stock, available, held, weight)


@compiled
def _ship(plan, v, available, rows, work):  # type: ignore[no-untyped-def]
    """Ship what is asked, which is in the rings; where that is too much, take back what is not there."""
    width = rows.shape[1]
    node, now = plan.nodes[v], work.now
    limit, unshipped = at(rows, plan.scratch + 1), at(rows, node.unshipped)
    largest = _limit(width, at(rows, node.asked), available, limit, unshipped)
    if largest > 0:
        if node.by_priority or node.receivers == 1:
            _ship_in_turn(plan, v, limit, rows, now)
        elif not plan.whole_units:
            _ship_in_proportion(plan, v, limit, rows, now)
        elif largest < NARROW and largest * node.receivers < KEYS:
            _ship_whole(plan, v, limit, rows, now, work.small, KEYS - 1, ONE)
        else:
            _ship_whole(plan, v, limit, rows, now, work.large, np.inf, np.float64(1))
    elif now[v].was_short:
        for k in range(node.receivers):
            _set(width, at(rows, plan.nodes[plan.receivers[v, k]].owed), ZERO)
    now[v].was_short = largest > 0
    for k in range(node.receivers):
        receiver = plan.nodes[plan.receivers[v, k]]
        if receiver.drops:
            _decrease(width, unshipped, at(rows, receiver.owed))
            _drop(plan, node, receiver, rows)


@compiled
def _ship_in_turn(plan, v, limit, rows, now):  # type: ignore[no-untyped-def]
    width = rows.shape[1]
    for k in range(plan.nodes[v].receivers):
        c = plan.receivers[v, k]
        receiver = plan.nodes[c]
        _give_up_to(width, at(rows, now[c].sent), at(rows, receiver.owed), limit)


@compiled
def _ship_in_proportion(plan, v, limit, rows, now):  # type: ignore[no-untyped-def]
    width = rows.shape[1]
    fraction = at(rows, plan.scratch + 2)
    _ratio(width, fraction, limit, at(rows, plan.nodes[v].asked))
    for k in range(plan.nodes[v].receivers):
        c = plan.receivers[v, k]
        receiver = plan.nodes[c]
        _give_fraction(width, at(rows, now[c].sent), at(rows, receiver.owed), limit, fraction)


@compiled
def _ship_whole(plan, v, limit, rows, now, keys, above, unit):  # type: ignore[no-untyped-def]
    """Whole shares in proportion to what is asked; the largest remainders get the units left over.

    A remainder becomes a key that also tells the served order, so that no two are equal. The keys of
    each replication are sorted by a fixed sequence of comparisons, the same in all replications; the
    last of them to get a unit is the threshold.
    """
    width, count = rows.shape[1], plan.nodes[v].receivers
    asked, left_over = at(rows, plan.nodes[v].asked), at(rows, plan.scratch + 2)
    _copy(width, left_over, limit)
    for k in range(count):
        c = plan.receivers[v, k]
        sent, share = at(rows, now[c].sent), at(rows, plan.nodes[c].owed)
        factor, place = np.float32(count), np.float32(count - 1 - k)
        _share(width, sent, share, limit, asked, left_over, at(keys, k), at(keys, count + k), factor, place, unit)
    _sort(width, at(keys, 0), plan.comparators, count)
    threshold, count_left = at(keys, 2 * count), at(keys, 2 * count + 1)
    _set(width, threshold, above)
    _copy(width, count_left, left_over)
    for k in range(count):
        _choose(width, threshold, at(keys, k), count_left, k + 1)
    for k in range(count):
        c = plan.receivers[v, k]
        _give_share(width, at(rows, now[c].sent), at(rows, plan.nodes[c].owed), at(keys, count + k), threshold)


@compiled
def _drop(plan, node, receiver, rows):  # type: ignore[no-untyped-def]
    """An order that is dropped leaves no trace."""
    width = rows.shape[1]
    _decrease(width, at(rows, receiver.position), at(rows, receiver.owed))
    if not plan.echelon:
        _increase(width, at(rows, node.position), at(rows, receiver.owed))
    _set(width, at(rows, receiver.owed), ZERO)


@compiled
def _order(position, reorder, up_to, cap, lot):  # type: ignore[no-untyped-def]
    """The order of a parametric rule at a position."""
    quantity = lot * (np.floor((reorder - position) / lot) + ONE) if lot > ZERO else up_to - position
    return max(min(quantity, cap), ZERO) if position <= reorder else ZERO


@vectorised
def _review(width, position, order, below, reorder, up_to, cap, lot):  # type: ignore[no-untyped-def]
    for b in range(width):
        before = position[b] - below[b]
        order[b] = _order(before, reorder, up_to, cap, lot)
        position[b] = before + order[b]


@vectorised
def _review_and_sell(width, position, order, stock, due, demand, held, short, weight, lost, reorder, up_to, cap, lot):  # type: ignore[no-untyped-def]
    for b in range(width):
        quantity = _order(position[b], reorder, up_to, cap, lot)
        net = stock[b] + due[b] - demand[b]
        on_hand = max(net, ZERO)
        missing = on_hand - net
        gone = demand[b] - lost * missing
        order[b] = quantity
        stock[b] = net + lost * missing
        held[b] += weight * on_hand
        short[b] += weight * missing
        demand[b] = gone
        position[b] += quantity - gone


@vectorised
def _review_sell_and_ask(  # type: ignore[no-untyped-def]
    width, position, stock, ring, owed, total, demand, held, short, weight, reorder, up_to, cap, lot
):
    """What is due is taken from the ring, and what is asked for is written there."""
    for b in range(width):
        order = _order(position[b], reorder, up_to, cap, lot)
        net = stock[b] + ring[b] - demand[b]
        on_hand = max(net, ZERO)
        asked = owed[b] + order
        ring[b] = asked
        total[b] += asked
        stock[b] = net
        held[b] += weight * on_hand
        short[b] += weight * (on_hand - net)
        position[b] += order - demand[b]


@vectorised
def _review_and_ship(  # type: ignore[no-untyped-def]
    width, position, order, stock, due, below, owed, sent, held, weight, transit, share, reorder, up_to, cap, lot
):  # fmt: skip
    for b in range(width):
        before = position[b] - share * below[b]
        order[b] = _order(before, reorder, up_to, cap, lot)
        position[b] = before + order[b]
        available, asked = stock[b] + due[b], owed[b] + below[b]
        shipment = min(asked, available)
        sent[b] = shipment
        owed[b] = asked - shipment
        stock[b] = available - shipment
        held[b] += weight * stock[b] + transit * shipment


@vectorised
def _ask(width, order, owed, sent, total):  # type: ignore[no-untyped-def]
    for b in range(width):
        asked = owed[b] + order[b]
        sent[b] = asked
        total[b] += asked


@vectorised
def _receive(width, stock, due, available):  # type: ignore[no-untyped-def]
    """Split the net stock into what is available and, below 0, what customers wait for."""
    for b in range(width):
        available[b] = max(stock[b], ZERO) + due[b]
        stock[b] = min(stock[b], ZERO)


@vectorised
def _sell(width, position, stock, available, demand, held, short, weight, lost):  # type: ignore[no-untyped-def]
    for b in range(width):
        net = available[b] + stock[b] - demand[b]
        on_hand = max(net, ZERO)
        missing = on_hand - net
        stock[b] = net + lost * missing
        held[b] += weight * on_hand
        short[b] += weight * missing
        demand[b] -= lost * missing
        position[b] -= demand[b]


@vectorised
def _hold(width, stock, available, held, weight):  # type: ignore[no-untyped-def]
    for b in range(width):
        stock[b] = available[b]
        held[b] += weight * available[b]


@vectorised
def _limit(width, asked, available, limit, unshipped):  # type: ignore[no-untyped-def]
    """What can be shipped of all that is asked; the largest of what is asked where that is not all, or 0.

    The result is rounded up to a whole number. What is asked becomes at least 1, to divide by it.
    """
    largest = np.int64(0)
    for b in range(width):
        limit[b] = min(asked[b], available[b])
        unshipped[b] = asked[b] - limit[b]
        if unshipped[b] > ZERO:
            largest = max(largest, np.int64(asked[b]) + 1)
        available[b] -= limit[b]
        asked[b] = asked[b] if asked[b] > ZERO else ONE
    return largest


@vectorised
def _give_up_to(width, sent, owed, remaining):  # type: ignore[no-untyped-def]
    for b in range(width):
        shipment = min(sent[b], remaining[b])
        owed[b] = sent[b] - shipment
        sent[b] = shipment
        remaining[b] -= shipment


@vectorised
def _ratio(width, fraction, limit, asked):  # type: ignore[no-untyped-def]
    for b in range(width):
        fraction[b] = limit[b] / asked[b]


@vectorised
def _give_fraction(width, sent, owed, remaining, fraction):  # type: ignore[no-untyped-def]
    for b in range(width):
        shipment = min(sent[b] * fraction[b], remaining[b])
        owed[b] = sent[b] - shipment
        sent[b] = shipment
        remaining[b] -= shipment


@vectorised
def _share(width, asked, share, limit, total, left_over, ranked, key, factor, place, unit):  # type: ignore[no-untyped-def]
    """Shares in whole units, computed in the precision of `unit`."""
    for b in range(width):
        product, divisor = asked[b] * unit * limit[b], total[b] * unit
        whole = np.floor(product / divisor)
        number = (product - whole * divisor) * factor + place
        share[b] = whole
        left_over[b] -= whole
        ranked[b] = number
        key[b] = number


@compiled
def _sort(width, keys, comparators, count):  # type: ignore[no-untyped-def]
    """Sort the first rows of the keys, the highest first."""
    for p in range(len(comparators)):
        high, low = comparators[p, 0] * width, comparators[p, 1] * width
        if comparators[p, 1] < count:
            for b in range(width):
                one, other = keys[high + b], keys[low + b]
                keys[high + b] = max(one, other)
                keys[low + b] = min(one, other)


@vectorised
def _choose(width, threshold, ranked, left_over, count):  # type: ignore[no-untyped-def]
    for b in range(width):
        candidate, current = ranked[b], threshold[b]
        threshold[b] = candidate if left_over[b] == count else current


@vectorised
def _give_share(width, sent, owed, key, threshold):  # type: ignore[no-untyped-def]
    """Before, `sent` holds what is asked and `owed` the share without the unit left over."""
    for b in range(width):
        asked = sent[b]
        sent[b] = owed[b] + (ONE if key[b] >= threshold[b] else ZERO)
        owed[b] = asked - sent[b]


@vectorised
def _pack_row(width, values, packed, totals):  # type: ignore[no-untyped-def]
    """The largest number; what is negative or not whole counts as very large."""
    largest = np.uint32(0)
    for b in range(width):
        number = np.int32(values[b])
        packed[b] = number
        totals[b] += values[b]
        largest = max(largest, np.uint32(number) if np.float64(number) == values[b] else TOO_LARGE)
    return largest


@compiled
def flush(plan, work):  # type: ignore[no-untyped-def]
    """Move all sums to the totals; whether they were exact."""
    exact = True
    for s in range(len(work.totals)):
        exact &= _flush_row(work.rows.shape[1], at(work.rows, plan.sums + s), at(work.totals, s)) < plan.limit
    return exact


@vectorised
def _flush_row(width, sums, totals):  # type: ignore[no-untyped-def]
    """Move the sums to the totals; returns the largest, rounded down."""
    largest = np.int64(0)
    for b in range(width):
        totals[b] += sums[b]
        largest = max(largest, np.int64(sums[b]))
        sums[b] = 0.0
    return largest


@vectorised
def _set(width, row, value):  # type: ignore[no-untyped-def]
    for b in range(width):
        row[b] = value


@vectorised
def _copy(width, row, values):  # type: ignore[no-untyped-def]
    for b in range(width):
        row[b] = values[b]


@vectorised
def _difference(width, row, whole, part):  # type: ignore[no-untyped-def]
    for b in range(width):
        row[b] = whole[b] - part[b]


@vectorised
def _increase(width, row, values):  # type: ignore[no-untyped-def]
    for b in range(width):
        row[b] += values[b]


@vectorised
def _decrease(width, row, values):  # type: ignore[no-untyped-def]
    for b in range(width):
        row[b] -= values[b]


@vectorised
def _add(width, total, values, weight):  # type: ignore[no-untyped-def]
    for b in range(width):
        total[b] += weight * values[b]


@vectorised
def _count(width, total, values, weight):  # type: ignore[no-untyped-def]
    for b in range(width):
        total[b] += weight if values[b] > ZERO else ZERO
