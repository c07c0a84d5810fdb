"""Where the compiled dynamics keep things: a network, its stocks and its ledger as a few flat arrays.

Compiled functions pay for every array that they are handed, so all integers of a node are one column
of one table, all lists of links lie behind one another in `flat`, and the stocks of a state are the
rows of one array whose last axis is the replication.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from echelon.envs.arrays import BALANCE, NetworkArrays
from echelon.envs.state import LEDGER_AXES, STOCKS, State, costs_of

# Rows of Tables.node: integers of each node. A list of links is a start in `flat` and a count.
OUT, OUT_COUNT, SETS, SETS_COUNT, IN, IN_COUNT, SERVES, SERVES_COUNT, LATERAL_OUT, LATERAL_OUT_COUNT = range(10)
LATERAL_IN, LATERAL_IN_COUNT, USES, USES_COUNT, OUTLET, RULE, PROCESSING, LIFE, FIFO, PLAIN, LIMITED, AT_ONCE = range(
    10, 22
)
# Rows of Tables.link: integers of each link.
(
    TARGET,
    SOURCE,
    POOL,
    ALL_SOURCES,
    ALL_SOURCES_COUNT,
    LONGEST,
    SHORTEST,
    DELAY,
    LATERAL,
    IS_FIRST,
    BOUNDED,
    BY_AGE,
) = range(12)
# Rows of Tables.link_number.
QUANTITY, MIN_ORDER, LOT_SIZE, MAX_ORDER, LINK_CAPACITY, KEEPS_BACKLOG = range(6)
# Rows of Tables.outlet_number.
OUTLET_NODE, WAITS = range(2)


# Places in Tables.at. S: the length of an axis, or whether the network has a thing at all. The first row of
# M: a stock in the memory of a batch, in the order of STOCKS, then the sum over the pipeline; F: a quantity
# of the ledger; W: what a block keeps inside a period. The rows of one link or node lie together.
(
    S_NODES,
    S_LINKS,
    S_OUTLETS,
    S_SLOTS,
    S_DELAYS,
    S_PROCESS_SLOTS,
    S_AGES,
    S_QUEUE,
    S_RESOURCES,
    S_WHOLE_UNITS,
    S_LIMITED_SHIPPING,
    S_LATERALS,
    S_BALANCED,
) = range(13)
(
    M_ON_HAND,
    M_BACKORDERS,
    M_COMPONENTS,
    M_OWED,
    M_PIPELINE,
    M_REQUESTS,
    M_IN_PROCESS,
    M_AGES,
    M_QUEUE,
    M_MADE,
    M_NODE_UP,
    M_LINK_UP,
    M_IN_TRANSIT,
) = range(13, 26)
(
    F_ON_HAND,
    F_IN_PROCESS,
    F_MADE,
    F_SCRAPPED,
    F_BACKORDERS,
    F_IN_TRANSIT,
    F_ORDERED,
    F_PLACED,
    F_SHIPPED,
    F_DROPPED,
    F_DEFECTIVE,
    F_DEMAND,
    F_SOLD,
    F_DELIVERED,
    F_LOST,
    F_STOCKOUT,
) = range(26, 42)
(
    W_ASKED,
    W_WANTED,
    W_REQUEST,
    W_LEVEL,
    W_ECHELON,
    W_LEFT,
    W_SPARE,
) = range(42, 49)


class Tables(NamedTuple):
    """The network."""

    at: Any
    """Sizes and first rows, at the places that S_, M_, F_ and W_ name."""
    node: Any
    """[., N]"""
    node_capacity: Any
    """[N]"""
    link: Any
    """[., E]"""
    link_number: Any
    """[., E]"""
    outlet_number: Any
    """[., C]"""
    resource: Any
    """[2, R] capacity, and 1.0 where it is storage"""
    member: Any
    """[R, N]"""
    rates: Any
    """[8, max(N, E, C)] money per unit of each kind of cost, in the order of `costs_of`."""
    live: Any
    """Rows of the ledger that can be other than 0."""
    flat: Any
    """Lists of links, and of resources, one behind the other."""
    turns: Any
    """[N] nodes in the order in which they make and ship."""
    wave_ends: Any
    """[waves] how many nodes of `turns` have had theirs when each wave ends."""
    downstream_first: Any
    """[E]"""


class Rows(NamedTuple):
    """How many rows there are."""

    memory: int
    entry: int
    scratch: int


def lengths(arrays: NetworkArrays) -> dict[str, int]:
    """The length of each axis by its letter."""
    return {"N": len(arrays.allocation), "E": len(arrays.source), "C": len(arrays.outlet)}


@lru_cache(maxsize=256)
def rows_of(arrays: NetworkArrays) -> Rows:
    """How many rows the stocks, the ledger and the scratch memory of a network have."""
    return Rows(*(int(sum(counts)) for counts in (_stocks(arrays), _entries(arrays), _scratch(arrays))))


def _stocks(arrays: NetworkArrays) -> list[int]:
    n, e, c = lengths(arrays).values()
    counts = [n, c, e, e, e * arrays.slots, e * arrays.delays, n * arrays.process_slots, n * arrays.ages]
    return [*counts, e * arrays.queue, n, n, e, e]


def _entries(arrays: NetworkArrays) -> list[int]:
    return [lengths(arrays)[axis] for axis in LEDGER_AXES.values()]


def _scratch(arrays: NetworkArrays) -> list[int]:
    n, e, _ = lengths(arrays).values()
    return [e, e, e, n, e, len(arrays.resource_capacity), 3]


def _firsts(counts: list[int]) -> list[int]:
    return [0, *(int(end) for end in np.cumsum(counts)[:-1])]


@lru_cache(maxsize=256)
def tables_of(arrays: NetworkArrays) -> Tables:
    """The compiled code's view of a network."""
    flat: list[int] = []
    size = (
        *lengths(arrays).values(),
        arrays.slots,
        arrays.delays,
        arrays.process_slots,
        arrays.ages,
        arrays.queue,
        len(arrays.resource_capacity),
        arrays.whole_units,
        arrays.limited_shipping,
        arrays.laterals,
        bool((arrays.allocation == BALANCE).any()),
    )
    waves = [np.flatnonzero(wave.makes) for wave in arrays.waves]
    return Tables(
        at=np.array([*size, *_firsts(_stocks(arrays)), *_firsts(_entries(arrays)), *_firsts(_scratch(arrays))]),
        node=_node_table(arrays, flat),
        node_capacity=arrays.node_capacity,
        link=_link_table(arrays, flat),
        link_number=np.stack(
            [
                arrays.quantity,
                arrays.min_order,
                arrays.lot_size,
                arrays.max_order,
                arrays.link_capacity,
                arrays.keeps_backlog,
            ]
        ),
        outlet_number=np.stack([arrays.outlet.astype(np.float64), arrays.waits]),
        resource=np.stack([arrays.resource_capacity, np.array(arrays.is_storage, dtype=np.float64)]),
        member=arrays.member,
        rates=_rates(arrays),
        live=_live(arrays),
        flat=np.array(flat, dtype=np.int64),
        turns=np.concatenate(waves),
        wave_ends=np.cumsum([len(wave) for wave in waves]),
        downstream_first=arrays.downstream_first,
    )


def _live(arrays: NetworkArrays) -> np.ndarray:
    """The rows of the ledger but those of processing, scrap, drops and defects where there is none."""
    drops = arrays.laterals or bool((arrays.keeps_backlog == 0).any())
    dead = {
        "in_process": not arrays.process_slots,
        "scrapped": not arrays.ages,
        "dropped": not drops,
        "defective": not arrays.yields,
    }
    counts = _entries(arrays)
    rows = [
        np.arange(first, first + count)
        for name, first, count in zip(LEDGER_AXES, _firsts(counts), counts, strict=True)
        if not dead.get(name, False)
    ]
    return np.concatenate(rows)


def _rates(arrays: NetworkArrays) -> np.ndarray:
    """What one unit of each kind costs at each place; backorders are charged as lost sales are."""
    one_unit = dict.fromkeys(LEDGER_AXES, 1.0) | {"backorders": 0.0}
    kinds = costs_of(one_unit, arrays).values()
    rates = np.zeros((len(kinds), max(lengths(arrays).values())))
    for row, rate in zip(rates, kinds, strict=True):
        row[: len(rate)] = rate
    return rates


def _node_table(arrays: NetworkArrays, flat: list[int]) -> np.ndarray:
    uses = dict(arrays.resource_nodes)
    pooled = (arrays.in_pools < len(arrays.source)).sum(axis=1)
    columns = []
    for n in range(len(pooled)):
        into = _listed(arrays.in_links[n], len(arrays.source))
        plain = pooled[n] == 1 and not arrays.limited[n] and not arrays.processing_time[n]
        plain = plain and arrays.quantity[into[0]] == 1
        lists = [arrays.out_links[n], arrays.in_pools[n], arrays.in_links[n], arrays.out_pools[n]]
        lists += [arrays.lateral_out[n], arrays.lateral_in[n]]
        starts = [x for table in lists for x in _append(flat, _listed(table, len(arrays.source)))]
        starts += _append(flat, uses.get(n, ()))
        outlet = arrays.outlet_column[n] if arrays.outlet_column[n] < len(arrays.outlet) else -1
        columns.append(
            [
                *starts,
                outlet,
                arrays.allocation[n],
                arrays.processing_time[n],
                arrays.shelf_life[n],
                arrays.fifo[n],
                plain,
                arrays.limited[n],
                (arrays.shortest[into] == 0).any(),
            ]
        )
    return np.array(columns, dtype=np.int64).T.copy()


def _link_table(arrays: NetworkArrays, flat: list[int]) -> np.ndarray:
    bounded = (arrays.min_order > 0) | (arrays.lot_size > 0) | np.isfinite(arrays.max_order)
    lists = [_append(flat, _listed(links, len(arrays.source))) for links in arrays.pool_links]
    rows = [
        arrays.target,
        arrays.source,
        arrays.pool,
        *np.array(lists).T,
        arrays.longest,
        arrays.shortest,
        arrays.order_delay,
        arrays.is_lateral,
        arrays.is_first,
        bounded,
        arrays.served_by_age,
    ]
    return np.array(rows, dtype=np.int64)


def _listed(row: np.ndarray, pad: int) -> list[int]:
    """The links of a padded row of a table."""
    return [int(link) for link in row if link < pad]


def _append(flat: list[int], members: Sequence[int]) -> tuple[int, int]:
    """Put a list behind the others; where it starts, and how long it is."""
    flat.extend(members)
    return len(flat) - len(members), len(members)


def memory_of(state: State) -> np.ndarray:
    """[rows, B] the stocks of a state, copied."""
    parts = [np.moveaxis(getattr(state, name), 0, -1).reshape(-1, state.batch) for name in STOCKS]
    return np.concatenate([*parts, state.in_transit.T])


def state_of(like: State, memory: np.ndarray, period: int) -> State:
    """The state whose arrays are views of a memory."""
    counts, batch = _stocks(like.arrays), memory.shape[1]
    views: dict[str, Any] = {}
    for name, first, count in zip(STOCKS, _firsts(counts), counts, strict=False):
        shape = getattr(like, name).shape[1:]
        views[name] = np.moveaxis(memory[first : first + count].reshape(*shape, batch), -1, 0)
    return replace(like, period=period, **views)


def quantities_of(arrays: NetworkArrays, entry: np.ndarray) -> dict[str, np.ndarray]:
    """Views [B, N], [B, E] and [B, C] of the rows of a ledger, by its names."""
    counts = _entries(arrays)
    return {name: entry[a : a + n].T for name, a, n in zip(LEDGER_AXES, _firsts(counts), counts, strict=True)}
