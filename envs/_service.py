"""Compiled: what the nodes of any network were asked for and what they missed, from the ledger of each period.

`node_outcome` defines the quantities. Whatever is owed on a link, or has not been heard of at its source, is
what has been ordered and neither shipped nor dropped.
"""

# ruff: noqa: RUF059 (every function unpacks its block in the same way)
from __future__ import annotations

import numpy as np

from echelon.envs._compiled import at as row
from echelon.envs._compiled import compiled, inlined, vectorised
from echelon.envs._layout import (
    DELAY,
    F_DELIVERED,
    F_DEMAND,
    F_DROPPED,
    F_ON_HAND,
    F_ORDERED,
    F_SCRAPPED,
    F_SHIPPED,
    F_SOLD,
    F_STOCKOUT,
    LATERAL_OUT,
    LATERAL_OUT_COUNT,
    M_OWED,
    M_REQUESTS,
    OUT,
    OUT_COUNT,
    OUTLET,
    S_DELAYS,
    S_NODES,
)
from echelon.envs._rows import increase, put, put_sum

COUNTS = ("asked", "unmet", "stockout", "arrivals", "failed")
"""What is counted; `_fused_service` says what it is."""
ASKED, UNMET, STOCKOUT, ARRIVALS, FAILED, SHORT_PERIODS, LEFT, NAMES = range(8)
"""What there is a row of for every node: what is counted, its state there, and what is left in stock."""
SPARE = 3
"""Rows of scratch behind those of the nodes."""
ROUNDING = 1e-9
"""That of metric_definitions.py; compiled code keeps a copy."""


@compiled
def begin_service(net, service, on_hand, hi):  # type: ignore[no-untyped-def]
    """Nothing is counted, no cycle has begun, and the nodes have what is `on_hand` [N]."""
    nodes = net.at[S_NODES]
    for r in range(len(service)):
        put(row(service, r), 0.0, 0, hi)
    for n in range(nodes):
        put(row(service, SHORT_PERIODS * nodes + n), -np.inf, 0, hi)
        put(row(service, LEFT * nodes + n), on_hand[n], 0, hi)


@compiled
def count_service(net, block, service, weight, hi):  # type: ignore[no-untyped-def]
    """Count a period; where its weight is 0, only see what is left."""
    at, m, f, w, buffer = block
    nodes = at[S_NODES]
    missing, outflow = row(service, NAMES * nodes), row(service, NAMES * nodes + 1)
    for n in range(nodes):
        left = row(service, LEFT * nodes + n)
        if weight != 0.0:
            put(missing, 0.0, 0, hi)
            put(outflow, 0.0, 0, hi)
            _count_receivers(net, block, service, n, missing, outflow, weight, hi)
            _count_customers(net, block, service, n, missing, outflow, weight, hi)
            short_periods = row(service, SHORT_PERIODS * nodes + n)
            arrivals, failed = row(service, ARRIVALS * nodes + n), row(service, FAILED * nodes + n)
            _arrive(row(f, at[F_ON_HAND] + n), left, outflow, arrivals, failed, short_periods, hi)
            _judge(missing, row(service, STOCKOUT * nodes + n), short_periods, weight, hi)
        _put_difference(left, row(f, at[F_ON_HAND] + n), row(f, at[F_SCRAPPED] + n), hi)


@inlined
def _count_receivers(net, block, service, n, missing, outflow, weight, hi):  # type: ignore[no-untyped-def]
    at, m, f, w, buffer = block
    nodes = at[S_NODES]
    asked, unmet = row(service, ASKED * nodes + n), row(service, UNMET * nodes + n)
    unshipped = row(service, NAMES * nodes + 2)
    for k in range(net.node[OUT_COUNT, n]):
        e = net.flat[net.node[OUT, n] + k]
        put_sum(unshipped, row(m, at[M_OWED] + e), row(f, at[F_DROPPED] + e), 0, hi)
        for slot in range(net.link[DELAY, e]):
            increase(unshipped, row(m, at[M_REQUESTS] + e * at[S_DELAYS] + slot), 0, hi)
        _add_unmet(row(f, at[F_ORDERED] + e), unshipped, asked, unmet, missing, weight, hi)
        increase(outflow, row(f, at[F_SHIPPED] + e), 0, hi)
    for k in range(net.node[LATERAL_OUT_COUNT, n]):
        increase(outflow, row(f, at[F_SHIPPED] + net.flat[net.node[LATERAL_OUT, n] + k]), 0, hi)


@inlined
def _count_customers(net, block, service, n, missing, outflow, weight, hi):  # type: ignore[no-untyped-def]
    at, m, f, w, buffer = block
    nodes, c = at[S_NODES], net.node[OUTLET, n]
    if c >= 0:
        asked, unmet = row(service, ASKED * nodes + n), row(service, UNMET * nodes + n)
        demand, sold = row(f, at[F_DEMAND] + c), row(f, at[F_SOLD] + c)
        _add_unsold(demand, sold, asked, unmet, weight, hi)
        increase(missing, row(f, at[F_STOCKOUT] + c), 0, hi)
        increase(outflow, row(f, at[F_DELIVERED] + c), 0, hi)


@vectorised
def _add_unmet(order, unshipped, asked, unmet, missing, weight, hi):  # type: ignore[no-untyped-def]
    for b in range(hi):
        asked[b] += weight * order[b]
        unmet[b] += weight * min(order[b], max(unshipped[b], 0.0))
        missing[b] += unshipped[b]


@vectorised
def _add_unsold(demand, sold, asked, unmet, weight, hi):  # type: ignore[no-untyped-def]
    for b in range(hi):
        asked[b] += weight * demand[b]
        unmet[b] += weight * (demand[b] - sold[b])


@vectorised
def _arrive(on_hand, before, outflow, arrivals, failed, short_periods, hi):  # type: ignore[no-untyped-def]
    """Units that enter the stock end a cycle and begin one."""
    for b in range(hi):
        begins = on_hand[b] - before[b] + outflow[b] > ROUNDING * (1.0 + before[b] + outflow[b])
        arrivals[b] += 1.0 if begins else 0.0
        failed[b] += 1.0 if begins and short_periods[b] > 0.0 else 0.0
        short_periods[b] = 0.0 if begins else short_periods[b]


@vectorised
def _judge(missing, stockout, short_periods, weight, hi):  # type: ignore[no-untyped-def]
    for b in range(hi):
        short = missing[b] > ROUNDING
        stockout[b] += weight if short else 0.0
        short_periods[b] += 1.0 if short else 0.0


@vectorised
def _put_difference(row, whole, part, hi):  # type: ignore[no-untyped-def]
    for b in range(hi):
        row[b] = whole[b] - part[b]
