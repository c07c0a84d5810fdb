"""Loops over the rows of a block, all of them elementwise.

Columns lo, ..., hi - 1 of a row are replications. No two arguments of one call may be the same row.
"""

from __future__ import annotations

import numpy as np

from echelon.envs._compiled import vectorised

LOT_TOLERANCE = 1e-9
"""That of dynamics.py; compiled code keeps a copy."""


@vectorised
def put(row, value, lo, hi):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        row[b] = value


@vectorised
def copy_row(row, values, lo, hi):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        row[b] = values[b]


@vectorised
def put_sum(total, left, right, lo, hi):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        total[b] = left[b] + right[b]


@vectorised
def increase(total, terms, lo, hi):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        total[b] += terms[b]


@vectorised
def increase_twice(total, terms, others, hi):  # type: ignore[no-untyped-def]
    for b in range(hi):
        total[b] += terms[b] + others[b]


@vectorised
def increase_by_difference(total, after, before, lo, hi):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        total[b] += after[b] - before[b]


@vectorised
def decrease(total, terms, lo, hi):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        total[b] -= terms[b]


@vectorised
def multiply(row, factors, lo, hi):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        row[b] *= factors[b]


@vectorised
def multiply_by(row, factor, hi):  # type: ignore[no-untyped-def]
    for b in range(hi):
        row[b] *= factor


@vectorised
def accumulate(total, terms, weight, hi):  # type: ignore[no-untyped-def]
    for b in range(hi):
        total[b] += weight * terms[b]


@vectorised
def charge(cost, quantity, rate, hi):  # type: ignore[no-untyped-def]
    for b in range(hi):
        cost[b] += quantity[b] * rate


@vectorised
def charge_twice(cost, quantity, other, rate, hi):  # type: ignore[no-untyped-def]
    for b in range(hi):
        cost[b] += (other[b] + quantity[b]) * rate


@vectorised
def take_drawn(row, values, lo, hi, first):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        row[b] = values[first - lo + b]


@vectorised
def order_up_to(order, position, reorder, up_to, cap, hi):  # type: ignore[no-untyped-def]
    for b in range(hi):
        quantity = max(min(up_to - position[b], cap), 0.0)
        order[b] = quantity if position[b] <= reorder else 0.0


@vectorised
def order_lots(order, position, reorder, lot, cap, hi):  # type: ignore[no-untyped-def]
    for b in range(hi):
        lots = lot * (np.floor((reorder - position[b]) / lot + LOT_TOLERANCE) + 1.0)
        order[b] = max(min(lots, cap), 0.0) if position[b] <= reorder else 0.0


@vectorised
def accept_row(order, smallest, lot, largest, lo, hi):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        quantity = max(order[b], smallest)
        if lot > 0.0:
            quantity = np.ceil(quantity / lot - LOT_TOLERANCE) * lot
        order[b] = min(quantity, largest) if order[b] > 0.0 else 0.0


@vectorised
def count_orders(placed, order, lo, hi):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        placed[b] = 1.0 if order[b] > 0.0 else 0.0


@vectorised
def ask_now(asked, placed, owed, order, lo, hi):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        asked[b] = owed[b] + order[b]
        placed[b] = 1.0 if order[b] > 0.0 else 0.0


@vectorised
def put_limited(wanted, asked, capacity, up, lo, hi):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        wanted[b] = min(asked[b], capacity) * up[b]


@vectorised
def keep_least_sets(made, components, quantity, whole, lo, hi):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        sets = components[b] / quantity
        made[b] = min(made[b], np.floor(sets) if whole else sets)


@vectorised
def keep_within(made, up, so_far, capacity, lo, hi):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        made[b] = min(made[b] * up[b], max(capacity - so_far[b], 0.0))


@vectorised
def cut(made, left, lo, hi):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        made[b] = min(made[b], max(left[b], 0.0))


@vectorised
def use_components(components, made, quantity, lo, hi):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        components[b] -= made[b] * quantity


@vectorised
def send(available, shipped, wanted, lo, hi):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        shipped[b] = min(wanted[b], available[b])
        available[b] -= shipped[b]


@vectorised
def send_at_most(available, shipped, lo, hi):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        shipped[b] = min(shipped[b], available[b])
        available[b] -= shipped[b]


@vectorised
def keep_or_take_all(shipped, wanted, total, lo, hi):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        shipped[b] = wanted[b] if total[b] < 0.0 else shipped[b]


@vectorised
def settle(owed, dropped, asked, shipped, keeps, lo, hi):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        unshipped = asked[b] - shipped[b]
        owed[b] = unshipped * keeps
        dropped[b] = unshipped - owed[b]


@vectorised
def sell(on_hand, available, backorders, demand, sold, delivered, lo, hi):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        served = min(available[b], backorders[b])
        sold[b] = min(available[b] - served, demand[b])
        delivered[b] = served + sold[b]
        on_hand[b] -= delivered[b]
        backorders[b] -= served


@vectorised
def put_waiting(waiting, demand, sold, waits, lo, hi):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        waiting[b] = (demand[b] - sold[b]) * waits


@vectorised
def lose(backorders, waiting, demand, sold, lost, stockout, lo, hi):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        backorders[b] += waiting[b]
        lost[b] = demand[b] - sold[b] - waiting[b]
        stockout[b] = 1.0 if backorders[b] + lost[b] > 0.0 else 0.0
