"""The compiled part of sampling: random numbers by address, and their inversion by look-up.

Random numbers are those of NumPy's Philox generator (Salmon et al. 2011), computed at their address:
number i of a replication's stream depends on the key, the purpose, the replication and i alone. Rows
hold one quantity in one period and run over replications, which is also how the compiled dynamics
read them. Four rows of a tile of replications are drawn and looked up while they are in the cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from llvmlite import ir  # type: ignore[import-untyped]
from numba import types
from numba.extending import intrinsic
from numpy.typing import NDArray

from echelon.envs._compiled import compiled
from echelon.envs.demand_law import LAST_BELOW_ONE, Inversion

Floats = NDArray[np.float64]

TILE = 1024
"""Replications whose rows are in the cache together."""
LEAST_CELLS = 1024
MANY_TABLES = 64
"""Tables beyond which their guides are kept small."""

_ROUNDS = 10
_M0, _M1 = np.uint64(0xD2E7470EE14C6C93), np.uint64(0xCA5A826395121157)
_W0, _W1 = np.uint64(0x9E3779B97F4A7C15), np.uint64(0xBB67AE8584CAA73B)
_TO_UNIT = 1.0 / 9007199254740992.0


class Lookup(NamedTuple):
    """Inversions laid end to end, and which of them each row uses."""

    rule: Any
    """[R] the inversion of each row; -1 leaves the uniform numbers as they are."""
    cells: Any
    """[I] cells of the guide of a table, or the number of equally likely values."""
    guide_at: Any
    """[I] where the guide begins; -1 for equally likely values."""
    table_at: Any
    values_at: Any
    """[I] where the values begin; -1 if the look-up itself is the demand."""
    guide: Any
    """For every cell of [0, 1) the number of entries of the table that are at most its lower end."""
    table: Any
    values: Any


def make_lookup(inversions: Sequence[Inversion], rule: NDArray[np.int32]) -> Lookup:
    """The look-up of rows that use the given inversions."""
    tables = [np.asarray(i.table) for i in inversions if i.table is not None]
    values = [np.asarray(i.values) for i in inversions if i.values is not None]
    least = LEAST_CELLS if len(tables) <= MANY_TABLES else 16
    sizes = [max(least, 1 << (16 * len(table) - 1).bit_length()) for table in tables]
    if len(tables) > MANY_TABLES:
        sizes = [max(least, size // 4) for size in sizes]
    guides = [
        np.searchsorted(table, np.arange(n) / n, side="right").astype(np.int32)
        for table, n in zip(tables, sizes, strict=True)
    ]
    has_table = np.array([i.table is not None for i in inversions], dtype=bool)
    has_values = np.array([i.values is not None for i in inversions], dtype=bool)
    cells = np.array([len(i.values) if i.values is not None else 0 for i in inversions], dtype=np.float64)
    cells[has_table] = sizes
    return Lookup(
        rule=rule,
        cells=cells,
        guide_at=_starts(has_table, guides),
        table_at=_starts(has_table, tables),
        values_at=_starts(has_values, values),
        guide=np.concatenate([np.zeros(0, np.int32), *guides]),
        table=np.concatenate([np.zeros(0), *tables]),
        values=np.concatenate([np.zeros(0), *values]),
    )


def no_lookup(rows: int) -> Lookup:
    """A look-up that leaves all rows as they are."""
    return make_lookup([], np.full(rows, -1, dtype=np.int32))


def _starts(present: NDArray[np.bool_], parts: Sequence[NDArray[Any]]) -> NDArray[np.int64]:
    """Where each part begins when they are laid end to end; -1 where there is none."""
    starts = np.full(len(present), -1, dtype=np.int64)
    starts[present] = np.cumsum([0, *map(len, parts)])[: len(parts)]
    return starts


def _multiply_wide(_typing: Any, _a: Any, _b: Any) -> Any:
    """The upper 64 bits of the product of two 64-bit numbers."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        wide = ir.IntType(128)
        product = builder.mul(*(builder.zext(argument, wide) for argument in arguments))
        return builder.trunc(builder.lshr(product, ir.Constant(wide, 64)), ir.IntType(64))

    return types.uint64(types.uint64, types.uint64), generate


_high_word: Any = intrinsic(_multiply_wide)


@compiled
def _philox(c0: Any, c2: Any, c3: Any, k0: Any, k1: Any) -> Any:
    """The four words at the counter [c0, 0, c2, c3]."""
    c1 = np.uint64(0)
    for _ in range(_ROUNDS):
        high0, low0 = _high_word(_M0, c0), _M0 * c0
        high1, low1 = _high_word(_M1, c2), _M1 * c2
        c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
        k0 += _W0
        k1 += _W1
    return c0, c1, c2, c3


@compiled
def _draw_rows(out: Any, first: int, begin: int, end: int, keys: Any, replications: Any, purpose: Any) -> None:
    """Fill up to four rows from `first`, a multiple of 4, with uniform numbers."""
    rows = min(4, out.shape[0] - first)
    # NumPy's generator counts up before it draws.
    block = np.uint64(first // 4 + 1)
    for b in range(begin, end):
        words = _philox(block, purpose, replications[b], keys[b, 0], keys[b, 1])
        if rows == 4:
            out[first, b] = (words[0] >> np.uint64(11)) * _TO_UNIT
            out[first + 1, b] = (words[1] >> np.uint64(11)) * _TO_UNIT
            out[first + 2, b] = (words[2] >> np.uint64(11)) * _TO_UNIT
            out[first + 3, b] = (words[3] >> np.uint64(11)) * _TO_UNIT
        else:
            for r in range(rows):
                out[first + r, b] = (words[r] >> np.uint64(11)) * _TO_UNIT


@compiled
def _invert_row(row: Any, begin: int, end: int, i: int, lookup: Any) -> None:
    cells, values_at = lookup.cells[i], lookup.values_at[i]
    if lookup.guide_at[i] < 0:
        for b in range(begin, end):
            row[b] = lookup.values[values_at + np.int64(row[b] * cells)]
        return
    guide, table = lookup.guide[lookup.guide_at[i] :], lookup.table[lookup.table_at[i] :]
    for b in range(begin, end):
        u = row[b]
        k = guide[np.int64(u * cells)]
        while table[k] <= u:
            k += 1
        row[b] = k if values_at < 0 else lookup.values[values_at + k]


@compiled
def draw(out: Any, keys: Any, replications: Any, purpose: Any, lookup: Any) -> None:
    """Fill out [R, B] with the numbers of a purpose, each looked up as its row says."""
    for begin in range(0, out.shape[1], TILE):
        end = min(begin + TILE, out.shape[1])
        for first in range(0, out.shape[0], 4):
            _draw_rows(out, first, begin, end, keys, replications, purpose)
            for r in range(first, min(first + 4, out.shape[0])):
                if lookup.rule[r] >= 0:
                    _invert_row(out[r], begin, end, lookup.rule[r], lookup)


@compiled
def invert(out: Any, lookup: Any) -> None:
    """Look up uniform numbers [R, B] in place, each as its row says."""
    for r in range(out.shape[0]):
        if lookup.rule[r] >= 0:
            _invert_row(out[r], 0, out.shape[1], lookup.rule[r], lookup)


def markov_path(uniform: Floats, first: Floats, following: Floats) -> tuple[NDArray[np.int64], Floats]:
    """The states [B, T] of Markov chains, and what is left of the uniform numbers [B, T], stretched to [0, 1).

    `first` [S] and `following` [S, S] are distribution functions of the state of period 0, and of the
    state that follows each state.
    """
    rows = np.ascontiguousarray(uniform.T)
    states, within = np.empty(rows.shape, dtype=np.int64), np.empty_like(rows)
    _walk(rows, first, following, states, within)
    return states.T, within.T


@compiled
def _walk(uniform: Any, first: Any, following: Any, states: Any, within: Any) -> None:
    for t in range(uniform.shape[0]):
        for b in range(uniform.shape[1]):
            chances = first if t == 0 else following[states[t - 1, b]]
            u, state = uniform[t, b], 0
            while chances[state] <= u:
                state += 1
            below = chances[state - 1] if state else 0.0
            states[t, b] = state
            within[t, b] = min((u - below) / (chances[state] - below), LAST_BELOW_ONE)
