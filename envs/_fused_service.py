"""The fused rollout with the cost and the service of every node: what is counted around the periods of `_fused_kernel`.

A period that counts is opened and closed. Opening it sees what is due, before it is overwritten; closing
it sees what is still missing.
"""

from __future__ import annotations

import numpy as np

from echelon.envs._compiled import at, compiled, vectorised
from echelon.envs._fused_kernel import FLUSH, NEVER, ONE, ZERO, flush, load, period, start, turn

STATES = (
    "drawn",  # the demand of the period
    "short_periods",  # of the replenishment cycle so far; -infinity before the first one
)
WEIGHTED = (
    "asked",  # units newly asked
    "unmet",  # of these, what is not met in the same period
    "stockout",  # periods with something missing at their end
)
COUNTS = (
    *WEIGHTED,
    "arrivals",  # periods in which units enter the stock
    "failed",  # of these, those that end a cycle with a stockout
)
SERVICE = np.dtype([(name, np.int64) for name in (*STATES, *COUNTS)])
"""The rows in which the service of a node is counted: states, and sums."""


@compiled
def run(plan, weights, service, demand, begin, totals, work):  # type: ignore[no-untyped-def]
    """Find the totals [S, b] of a block: of the replications from `begin` on of a demand [T * C, B].

    Returns whether they are exact; where they are not, single precision was too short.
    """
    periods, count, exact = len(weights.period), totals.shape[1], True
    start(plan, work)
    for v in range(len(service)):
        _set(work.rows.shape[1], at(work.rows, service[v].short_periods), NEVER)
    for t in range(periods):
        load(demand, t, begin, count, work.demand)
        turn(plan.nodes, work.now)
        if weights.period[t] != ZERO:
            _open(plan, service, weights.period[t], work)
        period(plan, weights, t, work)
        if weights.period[t] != ZERO:
            _close(plan, service, weights.period[t], work)
        if (t + 1) % FLUSH == 0 or t + 1 == periods:
            exact &= flush(plan, work)
    for s in range(len(totals)):
        for b in range(count):
            totals[s, b] = work.totals[s, b]
    return exact


@compiled
def _open(plan, service, weight, work):  # type: ignore[no-untyped-def]
    """Count what customers ask for, and what arrives."""
    width, rows = work.rows.shape[1], work.rows
    for v in range(len(service)):
        node, of = plan.nodes[v], service[v]
        if node.outlet >= 0:
            _draw(width, at(work.demand, node.outlet), at(rows, of.drawn), at(rows, of.asked), weight)
        if node.lead_time > 0:
            _arrive(
                width, at(rows, work.now[v].due), at(rows, of.arrivals), at(rows, of.failed), at(rows, of.short_periods)
            )


@compiled
def _close(plan, service, weight, work):  # type: ignore[no-untyped-def]
    """Count what receivers asked for, and what is missing."""
    width, rows, now = work.rows.shape[1], work.rows, work.now
    missing = at(rows, plan.scratch)
    for v in range(len(service)):
        node, of = plan.nodes[v], service[v]
        asked, unmet = at(rows, of.asked), at(rows, of.unmet)
        _set(width, missing, ZERO)
        for k in range(node.receivers):
            c = plan.receivers[v, k]
            order = at(rows, plan.nodes[c].order)
            if plan.nodes[c].drops:
                _count_dropped(width, order, at(rows, now[c].sent), asked, unmet, missing, weight)
            else:
                _count_owed(width, order, at(rows, plan.nodes[c].owed), asked, unmet, missing, weight)
        if node.outlet >= 0:
            gone = at(work.demand, node.outlet)
            _count_customers(width, at(rows, of.drawn), gone, at(rows, node.stock), unmet, missing, weight)
        if node.lead_time == 0:
            _arrive(
                width, at(rows, now[v].sent), at(rows, of.arrivals), at(rows, of.failed), at(rows, of.short_periods)
            )
        _judge(width, missing, at(rows, of.stockout), at(rows, of.short_periods), weight)


@vectorised
def _draw(width, demand, drawn, asked, weight):  # type: ignore[no-untyped-def]
    for b in range(width):
        drawn[b] = demand[b]
        asked[b] += weight * demand[b]


@vectorised
def _arrive(width, entered, arrivals, failed, short_periods):  # type: ignore[no-untyped-def]
    """Units that enter the stock end a cycle and begin one."""
    for b in range(width):
        begins, failure = entered[b] > ZERO, short_periods[b] > ZERO
        arrivals[b] += ONE if begins else ZERO
        failed[b] += ONE if begins and failure else ZERO
        short_periods[b] = ZERO if begins else short_periods[b]


@vectorised
def _count_owed(width, order, owed, asked, unmet, missing, weight):  # type: ignore[no-untyped-def]
    """What a receiver waits for may be of older orders."""
    for b in range(width):
        asked[b] += weight * order[b]
        unmet[b] += weight * min(order[b], owed[b])
        missing[b] += owed[b]


@vectorised
def _count_dropped(width, order, sent, asked, unmet, missing, weight):  # type: ignore[no-untyped-def]
    for b in range(width):
        dropped = order[b] - sent[b]
        asked[b] += weight * order[b]
        unmet[b] += weight * dropped
        missing[b] += dropped


@vectorised
def _count_customers(width, drawn, gone, stock, unmet, missing, weight):  # type: ignore[no-untyped-def]
    """Customers take all that is drawn but what is lost; what they wait for may be of older demand."""
    for b in range(width):
        lost, waiting = drawn[b] - gone[b], max(-stock[b], ZERO)
        unmet[b] += weight * (lost + min(drawn[b], waiting))
        missing[b] += lost + waiting


@vectorised
def _judge(width, missing, stockout, short_periods, weight):  # type: ignore[no-untyped-def]
    for b in range(width):
        short = missing[b] > ZERO
        stockout[b] += weight if short else ZERO
        short_periods[b] += ONE if short else ZERO


@vectorised
def _set(width, row, value):  # type: ignore[no-untyped-def]
    for b in range(width):
        row[b] = value
