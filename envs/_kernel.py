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

from echelon.envs._compiled import compiled, vectorised
from echelon.envs._layout import (
    ALL_SOURCES,
    ALL_SOURCES_COUNT,
    AT_ONCE,
    BOUNDED,
    BY_AGE,
    DELAY,
    F_BACKORDERS,
    F_DELIVERED,
    F_DEMAND,
    F_DROPPED,
    F_IN_PROCESS,
    F_IN_TRANSIT,
    F_LOST,
    F_MADE,
    F_ON_HAND,
    F_ORDERED,
    F_PLACED,
    F_SCRAPPED,
    F_SHIPPED,
    F_SOLD,
    F_SPOILED,
    F_STOCKOUT,
    FIFO,
    IN,
    IN_COUNT,
    IS_FIRST,
    KEEPS_BACKLOG,
    LATERAL,
    LATERAL_IN,
    LATERAL_IN_COUNT,
    LATERAL_OUT,
    LATERAL_OUT_COUNT,
    LIFE,
    LIMITED,
    LINK_CAPACITY,
    LONGEST,
    LOT_SIZE,
    M_AGES,
    M_BACKORDERS,
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
    MAX_ORDER,
    MIN_ORDER,
    OUT,
    OUT_COUNT,
    OUTLET,
    OUTLET_NODE,
    PLAIN,
    POOL,
    PROCESSING,
    QUANTITY,
    RULE,
    S_AGES,
    S_BALANCED,
    S_DELAYS,
    S_LATERALS,
    S_LIMITED_SHIPPING,
    S_LINKS,
    S_NODES,
    S_OUTLETS,
    S_PROCESS_SLOTS,
    S_QUEUE,
    S_RESOURCES,
    S_SLOTS,
    S_WHOLE_UNITS,
    SERVES,
    SERVES_COUNT,
    SETS,
    SETS_COUNT,
    SHORTEST,
    SOURCE,
    TARGET,
    USES,
    USES_COUNT,
    W_ASKED,
    W_ECHELON,
    W_LEFT,
    W_LEVEL,
    W_REQUEST,
    W_SPARE,
    W_WANTED,
    WAITS,
    memory_of,
    quantities_of,
    rows_of,
    state_of,
    tables_of,
)
from echelon.envs.arrays import BALANCE, FIRST_COME, PRIORITY, NetworkArrays
from echelon.envs.policy import OrderUpTo
from echelon.envs.scenarios import Scenarios
from echelon.envs.state import Draw, Ledger, State

BLOCK = 256
"""Replications computed together."""
DRAWN = ("demand", "lead_time", "yields", "yield_chance", "wait_chance", "node_up", "link_up")
LOT_TOLERANCE = 1e-9
"""That of dynamics.py; compiled code keeps a copy."""


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
        _cost(self.tables, entry, self._work, cost)
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
    arrays = start.arrays
    tables, rows = tables_of(arrays), rows_of(arrays)
    stocks, draws = memory_of(start)[:, 0].copy(), draws_of(scenarios)
    totals = np.zeros((rows.entry, scenarios.replications))
    levels = Rule(rule.reorder, rule.up_to, rule.cap, rule.lot, rule.position == "echelon", rule.review_period)

    def run(first: int, last: int) -> None:
        width = last - first
        work = (np.empty((rows.memory, width)), np.zeros((rows.entry, width)), np.empty((rows.scratch, width)))
        block = (tables.at, *work, _buffer(arrays))
        _rollout_block(tables, levels, block, stocks, draws, start.period, weights, totals, first)

    in_blocks(run, scenarios.replications, threads=threads)
    return quantities_of(arrays, totals)


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
        _copy(entry[at[F_ORDERED] + e], orders[e], 0, memory.shape[1])
    for first in range(0, memory.shape[1], BLOCK):
        last = min(first + BLOCK, memory.shape[1])
        _period(net, block, draws, t, 0, first, last, first)
        _turn_pipelines(net, at, memory, first, last)


@compiled
def _cost(net, f, w, cost):  # type: ignore[no-untyped-def]
    at, rates, width = net.at, net.rates, f.shape[1]
    kinds = (F_ON_HAND, F_IN_PROCESS, F_IN_TRANSIT, F_LOST, F_SHIPPED, F_PLACED, F_SCRAPPED, F_DELIVERED)
    counts = (S_NODES, S_NODES, S_LINKS, S_OUTLETS, S_LINKS, S_LINKS, S_NODES, S_OUTLETS)
    part = w[0]
    for kind in range(8):
        _set(part, 0.0, 0, width)
        for j in range(at[counts[kind]]):
            if rates[kind, j] != 0.0:
                row = f[at[kinds[kind]] + j]
                if kinds[kind] == F_LOST:
                    _charge_twice(part, row, f[at[F_BACKORDERS] + j], rates[kind, j])
                else:
                    _charge(part, row, rates[kind, j])
        _increase(cost, part, 0, width)


@compiled
def _rollout_block(net, rule, block, stocks, draws, start, weights, totals, first):  # type: ignore[no-untyped-def]
    at, m, f, w, buffer = block
    width = m.shape[1]
    for r in range(len(m)):
        _set(m[r], stocks[r], 0, width)
    constant = True
    for t in range(len(weights)):
        if weights[t] != 0.0 and weights[t] != weights[-1]:
            constant = False
    for t in range(len(weights)):
        _order(net, rule, block, start + t, width)
        _period(net, block, draws, t, t, 0, width, first)
        if weights[t] != 0.0:
            weight = 1.0 if constant else weights[t]
            for r in net.live:
                _accumulate(totals[r, first : first + width], f[r], weight)
    if constant:
        for r in net.live:
            _scale(totals[r, first : first + width], weights[-1])


@compiled
def _turn_pipelines(net, at, m, lo, hi):  # type: ignore[no-untyped-def]
    """After one period, bring the slot that arrives next to the front; the slot that has arrived is empty."""
    for e in range(at[S_LINKS]):
        slots, length = at[M_PIPELINE] + e * at[S_SLOTS], net.link[LONGEST, e]
        for slot in range(length - 1):
            _copy(m[slots + slot], m[slots + slot + 1], lo, hi)
        if length > 1:
            _set(m[slots + length - 1], 0.0, lo, hi)


@compiled
def _order(net, rule, block, period, hi):  # type: ignore[no-untyped-def]
    """Orders of a parametric rule; receivers decide before their suppliers."""
    at, m, f, w, buffer = block
    orders = at[F_ORDERED]
    if period % rule.review_period != 0:
        for e in range(at[S_LINKS]):
            _set(f[orders + e], 0.0, 0, hi)
        return
    for n in range(at[S_NODES]):
        _inventory_level(net, block, n, w[at[W_LEVEL] + n], 0, hi)
    position = w[at[W_SPARE]]
    for e in net.downstream_first:
        node = net.link[TARGET, e]
        _copy(position, w[at[W_LEVEL] + node], 0, hi)
        for k in range(net.node[OUT_COUNT, node]):
            _decrease(position, f[orders + net.flat[net.node[OUT, node] + k]], 0, hi)
        if rule.echelon:
            for k in range(net.node[SERVES_COUNT, node]):
                below = net.flat[net.node[SERVES, node] + k]
                _increase(position, w[at[W_ECHELON] + net.link[POOL, below]], 0, hi)
        if net.link_number[QUANTITY, e] != 1.0:
            _scale(position, net.link_number[QUANTITY, e])
        if not net.link[LATERAL, e]:
            _add_on_order(net, block, e, position, hi)
        order = f[orders + e]
        if rule.lot[e] > 0.0:
            _order_lots(order, position, rule.reorder[e], rule.lot[e], rule.cap[e])
        else:
            _order_up_to(order, position, rule.reorder[e], rule.up_to[e], rule.cap[e])
        if net.link[BOUNDED, e]:
            _accept(net, e, order, 0, hi)
        if rule.echelon and not net.link[LATERAL, e]:
            _add(w[at[W_ECHELON] + net.link[POOL, e]], position, order, 0, hi)


@compiled
def _inventory_level(net, block, n, level, lo, hi):  # type: ignore[no-untyped-def]
    """Stock of a node, in process included, less what it owes to customers and on its links."""
    at, m, f, w, buffer = block
    _copy(level, m[at[M_ON_HAND] + n], lo, hi)
    if net.node[OUTLET, n] >= 0:
        _decrease(level, m[at[M_BACKORDERS] + net.node[OUTLET, n]], lo, hi)
    for k in range(net.node[OUT_COUNT, n]):
        e = net.flat[net.node[OUT, n] + k]
        _decrease(level, m[at[M_OWED] + e], lo, hi)
        for slot in range(net.link[DELAY, e]):
            _decrease(level, m[at[M_REQUESTS] + e * at[S_DELAYS] + slot], lo, hi)
    for slot in range(net.node[PROCESSING, n]):
        _increase(level, m[at[M_IN_PROCESS] + n * at[S_PROCESS_SLOTS] + slot], lo, hi)
    for k in range(net.node[LATERAL_IN_COUNT, n]):
        _increase(level, m[at[M_IN_TRANSIT] + net.flat[net.node[LATERAL_IN, n] + k]], lo, hi)


@compiled
def _add_on_order(net, block, e, position, hi):  # type: ignore[no-untyped-def]
    """Add what the pool of a link has on order, with what its links before this one have just ordered."""
    at, m, f, w, buffer = block
    if not net.node[PLAIN, net.link[TARGET, e]]:
        _increase(position, m[at[M_COMPONENTS] + net.link[POOL, e]], 0, hi)
    for k in range(net.link[ALL_SOURCES_COUNT, e]):
        g = net.flat[net.link[ALL_SOURCES, e] + k]
        _increase_twice(position, m[at[M_IN_TRANSIT] + g], m[at[M_OWED] + g], hi)
        for slot in range(net.link[DELAY, g]):
            _increase(position, m[at[M_REQUESTS] + g * at[S_DELAYS] + slot], 0, hi)
        if g < e:
            _increase(position, f[at[F_ORDERED] + g], 0, hi)


@compiled
def _period(net, block, draws, t, turned, lo, hi, first):  # type: ignore[no-untyped-def]
    """Advance columns lo, ..., hi - 1 by one period, from the orders in the ledger entry.

    They are the replications from `first` on. The pipelines are rings that have turned by `turned`.
    """
    if net.at[S_BALANCED]:
        _positions_before_shipping(net, block, lo, hi)
    _ask(net, block, lo, hi)
    _fulfil(net, block, draws, t, lo, hi, first)
    for e in range(net.at[S_LINKS]):
        _dispatch(net, block, e, draws, t, turned, lo, hi, first)
    _serve(net, block, draws, t, lo, hi, first)
    _close(net, block, lo, hi)
    _arrive(net, block, draws, t, turned, lo, hi, first)


@compiled
def _positions_before_shipping(net, block, lo, hi):  # type: ignore[no-untyped-def]
    """What every receiver has and has coming, less what it owes: its position without what is owed to it."""
    at, m, f, w, buffer = block
    for n in range(at[S_NODES]):
        _inventory_level(net, block, n, w[at[W_LEVEL] + n], lo, hi)
    for e in range(at[S_LINKS]):
        position, quantity = w[at[W_ECHELON] + e], net.link_number[QUANTITY, e]
        level = w[at[W_LEVEL] + net.link[TARGET, e]]
        for b in range(lo, hi):
            position[b] = level[b] * quantity
        for k in range(net.link[ALL_SOURCES_COUNT, e]):
            g = net.flat[net.link[ALL_SOURCES, e] + k]
            _increase(position, m[at[M_COMPONENTS] + g], lo, hi)
            _increase(position, m[at[M_IN_TRANSIT] + g], lo, hi)


@compiled
def _ask(net, block, lo, hi):  # type: ignore[no-untyped-def]
    """What each source is asked for, and what capacities and disruptions let through of it."""
    at, m, f, w, buffer = block
    for e in range(at[S_LINKS]):
        order, owed = f[at[F_ORDERED] + e], m[at[M_OWED] + e]
        if net.link[BOUNDED, e]:
            _accept(net, e, order, lo, hi)
        request = w[at[W_REQUEST] + e]
        if net.link[DELAY, e] > 0:
            _count(f[at[F_PLACED] + e], order, lo, hi)
            slots = at[M_REQUESTS] + e * at[S_DELAYS]
            _copy(request, m[slots], lo, hi)
            for slot in range(net.link[DELAY, e] - 1):
                _copy(m[slots + slot], m[slots + slot + 1], lo, hi)
            _copy(m[slots + net.link[DELAY, e] - 1], order, lo, hi)
            _add(w[at[W_ASKED] + e], owed, request, lo, hi)
        else:
            _ask_now(w[at[W_ASKED] + e], f[at[F_PLACED] + e], owed, order, lo, hi)
            if net.link[BY_AGE, e]:
                _copy(request, order, lo, hi)
        if at[S_LIMITED_SHIPPING]:
            _let_through(net, block, e, lo, hi)
        if net.link[SOURCE, e] == at[S_NODES]:
            _copy(f[at[F_SHIPPED] + e], w[_wanted(at) + e], lo, hi)


@compiled
def _wanted(at):  # type: ignore[no-untyped-def]
    """The first row of what sources may ship."""
    return at[W_WANTED] if at[S_LIMITED_SHIPPING] else at[W_ASKED]


@compiled
def _let_through(net, block, e, lo, hi):  # type: ignore[no-untyped-def]
    at, m, f, w, buffer = block
    wanted = w[at[W_WANTED] + e]
    _limit(wanted, w[at[W_ASKED] + e], net.link_number[LINK_CAPACITY, e], m[at[M_LINK_UP] + e], lo, hi)
    if net.link[SOURCE, e] < at[S_NODES]:
        _multiply(wanted, m[at[M_NODE_UP] + net.link[SOURCE, e]], lo, hi)


@compiled
def _fulfil(net, block, draws, t, lo, hi, first):  # type: ignore[no-untyped-def]
    """Nodes make and ship, wave after wave; lateral links come last."""
    at, m, f, w, buffer = block
    for n in range(at[S_NODES]):
        _set(f[at[F_MADE] + n], 0.0, lo, hi)
    for e in range(at[S_LINKS] if draws.yields.shape[1] else 0):
        _set(f[at[F_SPOILED] + e], 0.0, lo, hi)
    begin = 0
    for end in net.wave_ends:
        _resources_left(net, block, lo, hi)
        for n in net.turns[begin:end]:
            for k in range(net.node[IN_COUNT, n] if net.node[AT_ONCE, n] else 0):
                e = net.flat[net.node[IN, n] + k]
                if net.link[SHORTEST, e] == 0:
                    _receive_at_once(net, block, e, draws, t, lo, hi, first)
            if not net.node[PLAIN, n] and (net.node[AT_ONCE, n] or net.node[LIMITED, n]):
                _make(net, block, n, lo, hi)
        for n in net.turns[begin:end]:
            if net.node[OUT_COUNT, n] > 0:
                _ship(net, block, n, lo, hi)
        begin = end
    if at[S_LATERALS]:
        _ship_laterally(net, block, draws, t, lo, hi, first)


@compiled
def _receive_at_once(net, block, e, draws, t, lo, hi, first):  # type: ignore[no-untyped-def]
    """What was shipped on a link in this period and arrives in it."""
    at, m, f, w, buffer = block
    arrived = w[at[W_SPARE]]
    _copy(arrived, f[at[F_SHIPPED] + e], lo, hi)
    if net.link[LONGEST, e] > 0:
        lead_time = draws.lead_time[t, e]
        for b in range(lo, hi):
            arrived[b] = arrived[b] if lead_time[first - lo + b] == 0.0 else 0.0
    _receive(net, block, e, arrived, draws, t, lo, hi, first)


@compiled
def _receive(net, block, e, arrived, draws, t, lo, hi, first):  # type: ignore[no-untyped-def]
    """The usable part of what arrives joins the components of its pool, or the stock if none need to wait."""
    at, m, f, w, buffer = block
    node = net.link[TARGET, e]
    usable = w[at[W_SPARE] + 1]
    if draws.yields.shape[1] == 0:
        _copy(usable, arrived, lo, hi)
    else:
        spoiled = f[at[F_SPOILED] + e]
        share = draws.yields[t, e]
        if at[S_WHOLE_UNITS]:
            chance = draws.yield_chance[t, e]
            for b in range(lo, hi):
                drawn = first - lo + b
                whole = min(arrived[b], np.floor(arrived[b] * share[drawn] + chance[drawn]))
                usable[b] = whole if share[drawn] < 1.0 else arrived[b]
                spoiled[b] += arrived[b] - usable[b]
        else:
            for b in range(lo, hi):
                usable[b] = arrived[b] * share[first - lo + b]
                spoiled[b] += arrived[b] - usable[b]
    if net.link[LATERAL, e]:
        _increase(m[at[M_ON_HAND] + node], usable, lo, hi)
    elif net.node[PLAIN, node]:
        _increase(m[at[M_ON_HAND] + node], usable, lo, hi)
        _increase(f[at[F_MADE] + node], usable, lo, hi)
    else:
        _increase(m[at[M_COMPONENTS] + net.link[POOL, e]], usable, lo, hi)


@compiled
def _resources_left(net, block, lo, hi):  # type: ignore[no-untyped-def]
    """What every resource has left: storage not filled, production not used in this period."""
    at, m, f, w, buffer = block
    for r in range(at[S_RESOURCES]):
        left, used = w[at[W_LEFT] + r], w[at[W_SPARE]]
        _set(used, 0.0, lo, hi)
        for n in range(at[S_NODES]):
            if net.member[r, n] == 0.0:
                continue
            if net.resource[1, r] == 0.0:
                _increase(used, m[at[M_MADE] + n], lo, hi)
                continue
            _increase(used, m[at[M_ON_HAND] + n], lo, hi)
            for slot in range(net.node[PROCESSING, n]):
                _increase(used, m[at[M_IN_PROCESS] + n * at[S_PROCESS_SLOTS] + slot], lo, hi)
        for b in range(lo, hi):
            left[b] = net.resource[0, r] - used[b]


@compiled
def _make(net, block, n, lo, hi):  # type: ignore[no-untyped-def]
    """Matching sets of components become units in stock or in process."""
    at, m, f, w, buffer = block
    made = w[at[W_SPARE] + 2]
    _set(made, np.inf, lo, hi)
    for k in range(net.node[SETS_COUNT, n]):
        e = net.flat[net.node[SETS, n] + k]
        _sets(made, m[at[M_COMPONENTS] + e], net.link_number[QUANTITY, e], at[S_WHOLE_UNITS], lo, hi)
    if net.node[LIMITED, n]:
        _within(made, m[at[M_NODE_UP] + n], m[at[M_MADE] + n], net.node_capacity[n], lo, hi)
        for k in range(net.node[USES_COUNT, n]):
            _cut(made, w[at[W_LEFT] + net.flat[net.node[USES, n] + k]], lo, hi)
        for k in range(net.node[USES_COUNT, n]):
            _decrease(w[at[W_LEFT] + net.flat[net.node[USES, n] + k]], made, lo, hi)
    for k in range(net.node[SETS_COUNT, n]):
        e = net.flat[net.node[SETS, n] + k]
        _use(m[at[M_COMPONENTS] + e], made, net.link_number[QUANTITY, e], lo, hi)
    if net.node[PROCESSING, n] > 0:
        slot = at[M_IN_PROCESS] + n * at[S_PROCESS_SLOTS] + net.node[PROCESSING, n] - 1
        _increase(m[slot], made, lo, hi)
    else:
        _increase(m[at[M_ON_HAND] + n], made, lo, hi)
    if net.node[LIMITED, n]:
        _increase(m[at[M_MADE] + n], made, lo, hi)
    _increase(f[at[F_MADE] + n], made, lo, hi)


@compiled
def _ship(net, block, n, lo, hi):  # type: ignore[no-untyped-def]
    """Shipments of one node on its outgoing links."""
    at, m, f, w, buffer = block
    on_hand, out, count = m[at[M_ON_HAND] + n], net.node[OUT, n], net.node[OUT_COUNT, n]
    if count == 1:
        e = net.flat[out]
        _send(on_hand, f[at[F_SHIPPED] + e], w[_wanted(at) + e], lo, hi)
        return
    if net.node[RULE, n] != PRIORITY:
        total = w[at[W_SPARE]]
        _set(total, 0.0, lo, hi)
        for k in range(count):
            _increase(total, w[_wanted(at) + net.flat[out + k]], lo, hi)
        for b in range(lo, hi):
            if total[b] > on_hand[b]:
                _share(net, block, n, b, total[b], on_hand[b])
            else:
                total[b] = -1.0
        for k in range(count):
            e = net.flat[out + k]
            _keep_or_take_all(f[at[F_SHIPPED] + e], w[_wanted(at) + e], total, lo, hi)
        remaining = w[at[W_SPARE] + 1]
        _copy(remaining, on_hand, lo, hi)
        for k in range(count):
            _send_at_most(remaining, f[at[F_SHIPPED] + net.flat[out + k]], lo, hi)
    else:
        remaining = w[at[W_SPARE] + 1]
        _copy(remaining, on_hand, lo, hi)
        for k in range(count):
            e = net.flat[out + k]
            _send(remaining, f[at[F_SHIPPED] + e], w[_wanted(at) + e], lo, hi)
    sent = w[at[W_SPARE] + 2]
    _set(sent, 0.0, lo, hi)
    for k in range(count):
        _increase(sent, f[at[F_SHIPPED] + net.flat[out + k]], lo, hi)
    _decrease(on_hand, sent, lo, hi)


@compiled
def _share(net, block, n, b, total, available):  # type: ignore[no-untyped-def]
    """Shares of one replication of a node that is short, by its rule."""
    at, m, f, w, buffer = block
    out, count = net.node[OUT, n], net.node[OUT_COUNT, n]
    wanted, shares = buffer[0], buffer[1]
    first = at[W_WANTED] if at[S_LIMITED_SHIPPING] else at[W_ASKED]
    for k in range(count):
        wanted[k] = w[first + net.flat[out + k], b]
    if net.node[RULE, n] == FIRST_COME:
        _first_come(net, block, n, b, available)
    elif net.node[RULE, n] == BALANCE:
        _balance(net, block, n, b, available)
    elif at[S_WHOLE_UNITS]:
        _largest_remainders(buffer, count, total, available)
    else:
        scale = available / total
        for k in range(count):
            shares[k] = wanted[k] * scale
    for k in range(count):
        f[at[F_SHIPPED] + net.flat[out + k], b] = shares[k]


@compiled
def _largest_remainders(buffer, count, total, available):  # type: ignore[no-untyped-def]
    """Whole shares in proportion to what is wanted; the largest remainders get the units left over."""
    wanted, shares, remainders = buffer[0], buffer[1], buffer[2]
    left_over = available
    for k in range(count):
        product = wanted[k] * available
        shares[k] = np.floor(product / total)
        remainders[k] = product - shares[k] * total
        left_over -= shares[k]
    while left_over > 0.0:
        best = 0
        for k in range(1, count):
            if remainders[k] > remainders[best]:
                best = k
        if remainders[best] < 0.0:
            break
        shares[best] += 1.0
        remainders[best] = -1.0
        left_over -= 1.0


@compiled
def _first_come(net, block, n, b, available):  # type: ignore[no-untyped-def]
    """The oldest orders first; orders of one period in the order in which the receivers are served."""
    at, m, f, w, buffer = block
    out, count, ages = net.node[OUT, n], net.node[OUT_COUNT, n], at[S_QUEUE]
    wanted, shares = buffer[0], buffer[1]
    for k in range(count):
        shares[k] = 0.0
    for age in range(ages - 1, -2, -1):
        for k in range(count):
            e = net.flat[out + k]
            quantity = w[at[W_REQUEST] + e, b] if age < 0 else m[at[M_QUEUE] + e * ages + age, b]
            part = min(min(quantity, wanted[k] - shares[k]), available)
            shares[k] += part
            available -= part


@compiled
def _balance(net, block, n, b, available):  # type: ignore[no-untyped-def]
    """Raise the lowest inventory positions first, up to one common level."""
    at, m, f, w, buffer = block
    out, count = net.node[OUT, n], net.node[OUT_COUNT, n]
    wanted, shares, positions, corners = buffer[0], buffer[1], buffer[2], buffer[3]
    for k in range(count):
        positions[k] = w[at[W_ECHELON] + net.flat[out + k], b]
        corners[k] = positions[k]
        corners[count + k] = positions[k] + wanted[k]
    level, used = -np.inf, 0.0
    for j in range(2 * count):
        filled = 0.0
        for k in range(count):
            filled += min(max(corners[j] - positions[k], 0.0), wanted[k])
        if filled <= available:
            level, used = max(level, corners[j]), max(used, filled)
    slope = 0.0
    for k in range(count):
        if positions[k] <= level and level < positions[k] + wanted[k]:
            slope += 1.0
    level += (available - used) / (slope if slope > 0.0 else 1.0)
    if at[S_WHOLE_UNITS]:
        level = np.floor(level)
    left_over = available
    for k in range(count):
        shares[k] = min(max(level - positions[k], 0.0), wanted[k])
        left_over -= shares[k]
    for k in range(count if at[S_WHOLE_UNITS] else 0):
        if left_over > 0.0 and shares[k] < wanted[k] and positions[k] + shares[k] <= level:
            shares[k] += 1.0
            left_over -= 1.0


@compiled
def _ship_laterally(net, block, draws, t, lo, hi, first):  # type: ignore[no-untyped-def]
    at, m, f, w, buffer = block
    for n in range(at[S_NODES]):
        for k in range(net.node[LATERAL_OUT_COUNT, n]):
            e = net.flat[net.node[LATERAL_OUT, n] + k]
            _send(m[at[M_ON_HAND] + n], f[at[F_SHIPPED] + e], w[_wanted(at) + e], lo, hi)
    for e in range(at[S_LINKS]):
        if net.link[LATERAL, e] and net.link[SHORTEST, e] == 0:
            _receive_at_once(net, block, e, draws, t, lo, hi, first)


@compiled
def _dispatch(net, block, e, draws, t, turned, lo, hi, first):  # type: ignore[no-untyped-def]
    """What was shipped on a link enters the pipeline, what was not stays owed or is dropped."""
    at, m, f, w, buffer = block
    shipped, length = f[at[F_SHIPPED] + e], net.link[LONGEST, e]
    if net.link[SOURCE, e] < at[S_NODES] or at[S_LIMITED_SHIPPING]:
        keeps = net.link_number[KEEPS_BACKLOG, e]
        _settle(m[at[M_OWED] + e], f[at[F_DROPPED] + e], w[at[W_ASKED] + e], shipped, keeps, lo, hi)
    if net.link[BY_AGE, e]:
        _remember(net, block, e, lo, hi)
    if length > 0:
        slots, in_transit = at[M_PIPELINE] + e * at[S_SLOTS], m[at[M_IN_TRANSIT] + e]
        if draws.lead_time.shape[1] > 0 and net.link[SHORTEST, e] < length:
            lead_time = draws.lead_time[t, e]
            for b in range(lo, hi):
                periods = int(lead_time[first - lo + b])
                if periods > 0:
                    m[slots + (turned + periods - 1) % length, b] += shipped[b]
                    in_transit[b] += shipped[b]
        else:
            _increase(m[slots + (turned + length - 1) % length], shipped, lo, hi)
            _increase(in_transit, shipped, lo, hi)
    if net.link[IS_FIRST, e] and not net.node[PLAIN, net.link[TARGET, e]]:
        _add(f[at[F_IN_TRANSIT] + e], m[at[M_IN_TRANSIT] + e], m[at[M_COMPONENTS] + e], lo, hi)
    else:
        _copy(f[at[F_IN_TRANSIT] + e], m[at[M_IN_TRANSIT] + e], lo, hi)


@compiled
def _remember(net, block, e, lo, hi):  # type: ignore[no-untyped-def]
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


@compiled
def _serve(net, block, draws, t, lo, hi, first):  # type: ignore[no-untyped-def]
    """Demand is met from stock."""
    at, m, f, w, buffer = block
    for c in range(at[S_OUTLETS]):
        n, waits = int(net.outlet_number[OUTLET_NODE, c]), net.outlet_number[WAITS, c]
        demand, on_hand, backorders = f[at[F_DEMAND] + c], m[at[M_ON_HAND] + n], m[at[M_BACKORDERS] + c]
        drawn, waiting, available = draws.demand[t, c], w[at[W_SPARE]], w[at[W_SPARE] + 1]
        for b in range(lo, hi):
            demand[b] = drawn[first - lo + b]
        _copy(available, on_hand, lo, hi)
        if draws.node_up.shape[1] > 0:
            _multiply(available, m[at[M_NODE_UP] + n], lo, hi)
        sold, delivered = f[at[F_SOLD] + c], f[at[F_DELIVERED] + c]
        _sell(on_hand, available, backorders, demand, sold, delivered, lo, hi)
        _wait(waiting, demand, sold, waits, lo, hi)
        if at[S_WHOLE_UNITS] and waits > 0.0 and waits < 1.0:
            chance = draws.wait_chance[t, c]
            for b in range(lo, hi):
                waiting[b] = min(demand[b] - sold[b], np.floor(waiting[b] + chance[first - lo + b]))
        lost, stockout = f[at[F_LOST] + c], f[at[F_STOCKOUT] + c]
        _lose(backorders, waiting, demand, sold, lost, stockout, lo, hi)
        _copy(f[at[F_BACKORDERS] + c], backorders, lo, hi)


@compiled
def _close(net, block, lo, hi):  # type: ignore[no-untyped-def]
    """The end of the period: stocks are recorded, then perishable stock ages."""
    at, m, f, w, buffer = block
    for n in range(at[S_NODES]):
        _copy(f[at[F_ON_HAND] + n], m[at[M_ON_HAND] + n], lo, hi)
        if net.node[PROCESSING, n] > 0:
            held = f[at[F_IN_PROCESS] + n]
            _set(held, 0.0, lo, hi)
            for slot in range(net.node[PROCESSING, n]):
                _increase(held, m[at[M_IN_PROCESS] + n * at[S_PROCESS_SLOTS] + slot], lo, hi)
        if net.node[LIFE, n] > 0:
            _age(net, block, n, lo, hi)


@compiled
def _age(net, block, n, lo, hi):  # type: ignore[no-untyped-def]
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
def _arrive(net, block, draws, t, turned, lo, hi, first):  # type: ignore[no-untyped-def]
    """The arrivals of the next period."""
    at, m, f, w, buffer = block
    for n in range(draws.node_up.shape[1]):
        _take(m[at[M_NODE_UP] + n], draws.node_up[t, n], lo, hi, first)
    for e in range(draws.link_up.shape[1]):
        _take(m[at[M_LINK_UP] + e], draws.link_up[t, e], lo, hi, first)
    for n in range(at[S_NODES]):
        if net.node[LIMITED, n]:
            _set(m[at[M_MADE] + n], 0.0, lo, hi)
        if net.node[LIFE, n] > 0:
            _copy(w[at[W_LEVEL] + n], m[at[M_ON_HAND] + n], lo, hi)
        if net.node[PROCESSING, n] > 0:
            slots, last = at[M_IN_PROCESS] + n * at[S_PROCESS_SLOTS], net.node[PROCESSING, n] - 1
            _increase(m[at[M_ON_HAND] + n], m[slots], lo, hi)
            for slot in range(last):
                _copy(m[slots + slot], m[slots + slot + 1], lo, hi)
            _set(m[slots + last], 0.0, lo, hi)
    for e in range(at[S_LINKS]):
        length = net.link[LONGEST, e]
        if length > 0:
            due = m[at[M_PIPELINE] + e * at[S_SLOTS] + turned % length]
            _decrease(m[at[M_IN_TRANSIT] + e], due, lo, hi)
            _receive(net, block, e, due, draws, t, lo, hi, first)
            _set(due, 0.0, lo, hi)
    _resources_left(net, block, lo, hi)
    for n in net.turns:
        if not net.node[PLAIN, n]:
            _make(net, block, n, lo, hi)
        if net.node[LIFE, n] > 0:
            freshest = m[at[M_AGES] + n * at[S_AGES] + net.node[LIFE, n] - 1]
            _increase_by_difference(freshest, m[at[M_ON_HAND] + n], w[at[W_LEVEL] + n], lo, hi)


# Rows: no two arguments of one call may be the same row.


@vectorised
def _set(row, value, lo, hi):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        row[b] = value


@vectorised
def _copy(row, values, lo, hi):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        row[b] = values[b]


@vectorised
def _add(total, left, right, lo, hi):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        total[b] = left[b] + right[b]


@vectorised
def _increase(total, terms, lo, hi):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        total[b] += terms[b]


@vectorised
def _increase_twice(total, terms, others, hi):  # type: ignore[no-untyped-def]
    for b in range(hi):
        total[b] += terms[b] + others[b]


@vectorised
def _increase_by_difference(total, after, before, lo, hi):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        total[b] += after[b] - before[b]


@vectorised
def _decrease(total, terms, lo, hi):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        total[b] -= terms[b]


@vectorised
def _multiply(row, factors, lo, hi):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        row[b] *= factors[b]


@vectorised
def _scale(row, factor):  # type: ignore[no-untyped-def]
    for b in range(len(row)):
        row[b] *= factor


@vectorised
def _accumulate(total, terms, weight):  # type: ignore[no-untyped-def]
    for b in range(len(total)):
        total[b] += weight * terms[b]


@vectorised
def _charge(cost, quantity, rate):  # type: ignore[no-untyped-def]
    for b in range(len(cost)):
        cost[b] += quantity[b] * rate


@vectorised
def _charge_twice(cost, quantity, other, rate):  # type: ignore[no-untyped-def]
    for b in range(len(cost)):
        cost[b] += (other[b] + quantity[b]) * rate


@vectorised
def _take(row, values, lo, hi, first):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        row[b] = values[first - lo + b]


@vectorised
def _order_up_to(order, position, reorder, up_to, cap):  # type: ignore[no-untyped-def]
    for b in range(len(order)):
        quantity = max(min(up_to - position[b], cap), 0.0)
        order[b] = quantity if position[b] <= reorder else 0.0


@vectorised
def _order_lots(order, position, reorder, lot, cap):  # type: ignore[no-untyped-def]
    for b in range(len(order)):
        lots = lot * (np.floor((reorder - position[b]) / lot + LOT_TOLERANCE) + 1.0)
        order[b] = max(min(lots, cap), 0.0) if position[b] <= reorder else 0.0


@vectorised
def _accept_row(order, smallest, lot, largest, lo, hi):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        quantity = max(order[b], smallest)
        if lot > 0.0:
            quantity = np.ceil(quantity / lot - LOT_TOLERANCE) * lot
        order[b] = min(quantity, largest) if order[b] > 0.0 else 0.0


@compiled
def _accept(net, e, order, lo, hi):  # type: ignore[no-untyped-def]
    """Round the order on a link to its bounds."""
    number = net.link_number
    _accept_row(order, number[MIN_ORDER, e], number[LOT_SIZE, e], number[MAX_ORDER, e], lo, hi)


@vectorised
def _count(placed, order, lo, hi):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        placed[b] = 1.0 if order[b] > 0.0 else 0.0


@vectorised
def _ask_now(asked, placed, owed, order, lo, hi):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        asked[b] = owed[b] + order[b]
        placed[b] = 1.0 if order[b] > 0.0 else 0.0


@vectorised
def _limit(wanted, asked, capacity, up, lo, hi):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        wanted[b] = min(asked[b], capacity) * up[b]


@vectorised
def _sets(made, components, quantity, whole, lo, hi):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        sets = components[b] / quantity
        made[b] = min(made[b], np.floor(sets) if whole else sets)


@vectorised
def _within(made, up, so_far, capacity, lo, hi):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        made[b] = min(made[b] * up[b], max(capacity - so_far[b], 0.0))


@vectorised
def _cut(made, left, lo, hi):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        made[b] = min(made[b], max(left[b], 0.0))


@vectorised
def _use(components, made, quantity, lo, hi):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        components[b] -= made[b] * quantity


@vectorised
def _send(available, shipped, wanted, lo, hi):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        shipped[b] = min(wanted[b], available[b])
        available[b] -= shipped[b]


@vectorised
def _send_at_most(available, shipped, lo, hi):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        shipped[b] = min(shipped[b], available[b])
        available[b] -= shipped[b]


@vectorised
def _keep_or_take_all(shipped, wanted, total, lo, hi):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        shipped[b] = wanted[b] if total[b] < 0.0 else shipped[b]


@vectorised
def _settle(owed, dropped, asked, shipped, keeps, lo, hi):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        unshipped = asked[b] - shipped[b]
        owed[b] = unshipped * keeps
        dropped[b] = unshipped - owed[b]


@vectorised
def _sell(on_hand, available, backorders, demand, sold, delivered, lo, hi):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        served = min(available[b], backorders[b])
        sold[b] = min(available[b] - served, demand[b])
        delivered[b] = served + sold[b]
        on_hand[b] -= delivered[b]
        backorders[b] -= served


@vectorised
def _wait(waiting, demand, sold, waits, lo, hi):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        waiting[b] = (demand[b] - sold[b]) * waits


@vectorised
def _lose(backorders, waiting, demand, sold, lost, stockout, lo, hi):  # type: ignore[no-untyped-def]
    for b in range(lo, hi):
        backorders[b] += waiting[b]
        lost[b] = demand[b] - sold[b] - waiting[b]
        stockout[b] = 1.0 if backorders[b] + lost[b] > 0.0 else 0.0
