"""Compiled parts of the codec: stocks to observations, actions to quantities."""

from __future__ import annotations

import numpy as np

from echelon.envs._compiled import compiled


@compiled
def observe(memory, rows, less, units, bound, observation):  # type: ignore[no-untyped-def]
    """Write [B, D]: row `rows[d]` of a memory less row `less[d]` if there is one, in `units[d]`, within the bound."""
    for d in range(len(rows)):
        row, unit = memory[rows[d]], units[d]
        for b in range(memory.shape[1]):
            value = row[b] - memory[less[d], b] if less[d] >= 0 else row[b]
            observation[b, d] = min(max(value / unit, -bound), bound)


@compiled
def quantities(action, low, middle, high, whole, quantity):  # type: ignore[no-untyped-def]
    """Write [E, B] what continuous actions [B, E] name, on straight lines from low over middle to high.

    Returns whether every action is a number.
    """
    sound = True
    for e in range(action.shape[1]):
        for b in range(action.shape[0]):
            share = action[b, e]
            sound = sound and share == share
            share = min(max(share, -1.0), 1.0)
            value = middle[e] + share * (high[e] - middle[e] if share > 0.0 else middle[e] - low[e])
            quantity[e, b] = np.rint(value) if whole else value
    return sound


@compiled
def choices(action, low, stride, count, whole, quantity):  # type: ignore[no-untyped-def]
    """Write [E, B] what discrete actions [B, E] name; returns whether every one is a choice."""
    sound = True
    for e in range(action.shape[1]):
        for b in range(action.shape[0]):
            choice = action[b, e]
            sound = sound and 0.0 <= choice < count[e] and choice == np.floor(choice)
            value = low[e] + choice * stride[e]
            quantity[e, b] = np.rint(value) if whole else value
    return sound
