"""Compiled parts of the rollouts of controlled learning: states that were met before, and paths that have met."""

from __future__ import annotations

import numpy as np

from echelon.envs._compiled import compiled, inlined


@compiled
def number_states(memory, rows, less, slots, keys, known, scratch, number, fresh):  # type: ignore[no-untyped-def]
    """Write [B] the number of every column's state, and the columns that show a state for the first time.

    A state is the whole numbers in `rows` of a memory less those in the rows `less`, -1 for none. `slots` is
    a hash table of numbers, a power of two long and -1 where empty; `keys` [M, D] are the states that have
    numbers. Where `keys` is full, states get numbers that are not remembered. Returns how many are fresh.
    """
    found, last = 0, len(slots) - 1
    for b in range(memory.shape[1]):
        mixed = np.uint64(1469598103934665603)
        for d in range(len(rows)):
            value = memory[rows[d], b]
            if less[d] >= 0:
                value -= memory[less[d], b]
            scratch[d] = np.int32(value)
            mixed = (mixed ^ np.uint64(np.int64(scratch[d]) + 2**31)) * np.uint64(1099511628211)
            mixed ^= mixed >> np.uint64(29)
        slot = np.int64(mixed & np.uint64(last))
        while slots[slot] >= 0 and not _is(keys, slots[slot], scratch):
            slot = (slot + 1) & last
        if slots[slot] >= 0:
            number[b] = slots[slot]
            continue
        number[b] = known + found
        if number[b] < len(keys):
            slots[slot] = number[b]
            for d in range(len(rows)):
                keys[number[b], d] = scratch[d]
        fresh[found] = b
        found += 1
    return found


@inlined
def _is(keys, number, state):  # type: ignore[no-untyped-def]
    for d in range(len(state)):  # noqa: SIM110 (compiled)
        if keys[number, d] != state[d]:
            return False
    return True


@compiled
def charge_paths(arm, cost, weight, total):  # type: ignore[no-untyped-def]
    """Add to each path [B] what its period cost more than that of the path of arm 0 before it."""
    base = 0.0
    for b in range(len(arm)):
        if arm[b] == 0:
            base = cost[b]
        else:
            total[b] += weight * (cost[b] - base)


@compiled
def keep_apart(memory, arm, keep):  # type: ignore[no-untyped-def]
    """Mark [B] the paths whose stocks still differ from those of the path of arm 0 before them, and that one."""
    first = 0
    for b in range(len(arm)):
        keep[b] = False
        if arm[b] == 0:
            first = b
            continue
        for row in range(memory.shape[0]):
            if memory[row, b] != memory[row, first]:
                keep[b] = keep[first] = True
                break


@compiled
def settle(state, arm, total, keep, sums, squares):  # type: ignore[no-untyped-def]
    """Enter the totals of the paths that are not kept into `sums` and `squares` [S, K]."""
    for b in range(len(arm)):
        if arm[b] > 0 and not keep[b]:
            sums[state[b], arm[b] - 1] += total[b]
            squares[state[b], arm[b] - 1] += total[b] * total[b]
