"""The compiled dynamics: `step` of dynamics.py for NumPy arrays, and a fused rollout of parametric rules.

The operations and their order are those of the specification, so that results are equal bit for bit
wherever sums are exact (always with whole units). Replications are computed in blocks that stay in
the cache, with the replication as the innermost axis, so that inner loops vectorise. No operation
mixes replications: neither the batch nor the width of a block can change a bit.

A block works on rows: stocks `m`, ledger entry `f` and scratch `w`, each [rows, width], laid out as
`_layout` says. Functions that take rows are `vectorised`; those that steer them are `compiled`.
"""

# ruff: noqa: RUF059 (every function unpacks its block in the same way)
from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import numpy as np

from echelon.envs._compiled import at as row
from echelon.envs._compiled import compiled
from echelon.envs._layout import (
    F_ORDERED,
    S_LINKS,
    S_NODES,
    memory_of,
    quantities_of,
    rows_of,
    state_of,
    tables_of,
)
from echelon.envs._period import add_costs, period, turn_pipelines
from echelon.envs._positions import order_by_rule
from echelon.envs._rows import accumulate, copy_row, multiply_by, put
from echelon.envs._service import ARRIVALS, COUNTS, NAMES, SPARE, begin_service, count_service
from echelon.envs.arrays import NetworkArrays
from echelon.envs.policy import OrderUpTo
from echelon.envs.scenarios import Scenarios
from echelon.envs.state import Draw, Ledger, State

BLOCK = 256
"""Replications computed together."""
DRAWN = ("demand", "lead_time", "yields", "yield_chance", "wait_chance", "node_up", "link_up")


class Draws(NamedTuple):
    """The draws of some periods, each [T, rows, B], with no rows where nothing is drawn."""

    demand: Any
    lead_time: Any
    yields: Any
    yield_chance: Any
    wait_chance: Any
    node_up: Any
    link_up: Any


class Rule(NamedTuple):
    """An `OrderUpTo` policy."""

    reorder: Any
    up_to: Any
    cap: Any
    lot: Any
    echelon: bool
    on_hand: bool
    review_period: int


def step(state: State, orders: np.ndarray, draw: Draw) -> tuple[State, Ledger]:
    """The compiled equal of `dynamics.step`."""
    engine = Engine(state)
    entry = engine.step(orders, draw)
    return engine.state, Ledger(arrays=state.arrays, **quantities_of(state.arrays, entry))


class Engine:
    """The stocks of a batch, moved in place: what stands behind `step` and the environments."""

    def __init__(self, state: State) -> None:
        arrays = state.arrays
        self.like = state
        self.memory = memory_of(state)
        self.period = state.period
        self.tables = tables_of(arrays)
        self._rows = rows_of(arrays)
        self._work = np.empty((self._rows.scratch, state.batch))
        self._buffer = _buffer(arrays)

    @property
    def state(self) -> State:
        """The state; it does not change with the next step."""
        return state_of(self.like, self.memory.copy(), self.period)

    def step(self, orders: np.ndarray, draw: Draw) -> np.ndarray:
        """Advance by one period; returns the ledger [rows, B]."""
        drawn = [getattr(draw, name) for name in DRAWN]
        draws = Draws(*(_NOTHING if x is None else np.ascontiguousarray(x.T, dtype=np.float64)[None] for x in drawn))
        return self.step_drawn(np.ascontiguousarray(orders.T), draws, 0)

    def step_drawn(self, orders: np.ndarray, draws: Draws, t: int) -> np.ndarray:
        """Advance by the t-th period of some draws, with orders [E, B]; returns the ledger [rows, B]."""
        entry = np.zeros((self._rows.entry, self.memory.shape[1]))
        _step_batch(self.tables, self.memory, orders, draws, t, entry, self._work, self._buffer)
        self.period += 1
        return entry

    def cost(self, entry: np.ndarray) -> np.ndarray:
        """[B] the cost of a period, from its ledger; bit for bit that of `Ledger.cost`."""
        cost = np.zeros(entry.shape[1])
        add_costs(self.tables, entry, self._work, cost)
        return cost


_NOTHING = np.zeros((1, 0, 0))


def draws_of(scenarios: Scenarios) -> Draws:
    """The draws of scenarios with the replication as the last axis; copied only where they lie otherwise."""
    return Draws(*(_by_period(getattr(scenarios, name), scenarios.periods) for name in DRAWN))


def _by_period(drawn: np.ndarray | None, periods: int) -> np.ndarray:
    if drawn is None:
        return np.zeros((periods, 0, 0))
    return np.ascontiguousarray(np.moveaxis(drawn, 0, -1), dtype=np.float64)


def rollout(
    start: State, rule: OrderUpTo, scenarios: Scenarios, *, weights: np.ndarray, threads: int = 1
) -> dict[str, np.ndarray]:
    """Run a parametric rule over scenarios, every replication from the one state of `start`.

    Returns the sums over the periods, weighted by `weights` [T], of every quantity of the ledger:
    [B, N], [B, E] or [B, C].
    """
    return rollout_nodes(start, rule, scenarios, weights=weights, threads=threads, served=False)[0]


def rollout_nodes(
    start: State,
    rule: OrderUpTo,
    scenarios: Scenarios,
    *,
    weights: np.ndarray,
    threads: int = 1,
    served: bool = True,
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """What `rollout` returns, and `COUNTS` [B, N] of the service of every node by name, if that is asked for.

    Arrivals and failed cycles count as 1 in every period with a weight.
    """
    arrays = start.arrays
    tables, rows = tables_of(arrays), rows_of(arrays)
    stocks, draws = memory_of(start)[:, 0].copy(), draws_of(scenarios)
    initial = np.array([node.initial_on_hand for node in start.network.nodes])
    counts = np.zeros((len(COUNTS) * len(initial) if served else 0, scenarios.replications))
    totals = np.zeros((rows.entry, scenarios.replications))
    echelon, on_hand = (rule.position == name for name in ("echelon", "on_hand"))
    levels = Rule(rule.reorder, rule.up_to, rule.cap, rule.lot, echelon, on_hand, rule.review_period)

    def run(first: int, last: int) -> None:
        width = last - first
        work = (np.empty((rows.memory, width)), np.zeros((rows.entry, width)), np.empty((rows.scratch, width)))
        block = (tables.at, *work, _buffer(arrays))
        service = np.empty((NAMES * len(initial) + SPARE if served else 0, width))
        _rollout_block(tables, levels, block, stocks, draws, start.period, weights, totals, first, initial, service)
        counts[:, first:last] = service[: len(counts)]

    in_blocks(run, scenarios.replications, threads=threads)
    by_name = counts.reshape(len(COUNTS), -1, scenarios.replications)
    return quantities_of(arrays, totals), {name: count.T for name, count in zip(COUNTS, by_name, strict=True)}


def in_blocks(run: Callable[[int, int], None], batch: int, *, threads: int) -> None:
    """Call `run(first, last)` for every block of replications, on some threads."""
    blocks = [(first, min(first + BLOCK, batch)) for first in range(0, batch, BLOCK)]
    if threads == 1 or len(blocks) == 1:
        for first, last in blocks:
            run(first, last)
        return
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(lambda block: run(*block), blocks))


def _buffer(arrays: NetworkArrays) -> np.ndarray:
    """Memory for the shares of one node in one replication."""
    return np.zeros((6, 2 * arrays.out_links.shape[1]))


@compiled
def _step_batch(net, memory, orders, draws, t, entry, work, buffer):  # type: ignore[no-untyped-def]
    at = net.at
    block = (at, memory, entry, work, buffer)
    for e in range(at[S_LINKS]):
        copy_row(row(entry, at[F_ORDERED] + e), orders[e], 0, memory.shape[1])
    for first in range(0, memory.shape[1], BLOCK):
        last = min(first + BLOCK, memory.shape[1])
        period(net, block, draws, t, 0, first, last, first)
        turn_pipelines(net, at, memory, first, last)


@compiled
def _rollout_block(  # type: ignore[no-untyped-def]
    net, rule, block, stocks, draws, start, weights, totals, first, on_hand, service
):
    at, m, f, w, buffer = block
    width = m.shape[1]
    for r in range(len(m)):
        put(row(m, r), stocks[r], 0, width)
    if len(service) > 0:
        begin_service(net, service, on_hand, width)
    constant = True
    for t in range(len(weights)):
        if weights[t] != 0.0 and weights[t] != weights[-1]:
            constant = False
    for t in range(len(weights)):
        order_by_rule(net, rule, block, start + t, width)
        period(net, block, draws, t, t, 0, width, first)
        weight = 1.0 if constant and weights[t] != 0.0 else weights[t]
        if len(service) > 0:
            count_service(net, block, service, weight, width)
        if weight != 0.0:
            for r in net.live:
                accumulate(totals[r, first : first + width], row(f, r), weight, width)
    if constant:
        for r in net.live:
            multiply_by(totals[r, first : first + width], weights[-1], width)
        if len(service) > 0:
            for r in range(ARRIVALS * net.at[S_NODES]):
                multiply_by(row(service, r), weights[-1], width)
