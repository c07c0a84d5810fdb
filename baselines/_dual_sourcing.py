"""Compiled loops over the states of a location with a regular and an expedited source.

Regular orders that have not entered the expedited position are digits to the base `size`: the next to
enter is the most significant. `pipe` is the number of all but the newest of them, `window` that with the
newest order at the end. After a period the first digit of the window enters the position and the other
digits are the next `pipe`. With one period between the lead times there is no pipe (`pipes` is 1), and the
order itself enters.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from echelon.envs._compiled import compiled


class Tables(NamedTuple):
    """What the sweeps of value iteration know of the location."""

    size: int
    """Regular orders are 0, ..., size - 1."""
    premium: float
    """What an expedited unit costs more than a regular one."""
    pmf: Any
    """[D] the probability of a demand of d units."""
    cost: Any
    """[W] the expected holding and stockout cost of an expedited position after ordering."""


@compiled
def improve(tables, values, new, policy, expected):  # type: ignore[no-untyped-def]
    """One step of value iteration on tables [pipes, W]; returns the least and the greatest change of value.

    The action is (expedited units) * size + (regular order); of equally good ones the least of either.
    """
    expect(tables, values, expected)
    pipes, width = values.shape
    low, high = np.inf, -np.inf
    for pipe in range(pipes):
        least, target, order = np.inf, 0, 0
        for level in range(width - 1, -1, -1):
            following, best = np.inf, 0
            for q in range(tables.size):
                window = pipe * tables.size + q
                value = expected[window % pipes, min(level + window // pipes, width - 1)]
                if value < following:
                    following, best = value, q
            total = tables.premium * level + tables.cost[level] + following
            if total <= least:
                least, target, order = total, level, best
            new[pipe, level] = least - tables.premium * level
            policy[pipe, level] = (target - level) * tables.size + order
            change = new[pipe, level] - values[pipe, level]
            low, high = min(low, change), max(high, change)
    return low, high


@compiled
def evaluate(tables, values, new, policy, expected):  # type: ignore[no-untyped-def]
    """The same step under a given policy."""
    expect(tables, values, expected)
    pipes, width = values.shape
    low, high = np.inf, -np.inf
    for pipe in range(pipes):
        for level in range(width):
            units, q = divmod(policy[pipe, level], tables.size)
            window, target = pipe * tables.size + q, level + units
            following = expected[window % pipes, min(target + window // pipes, width - 1)]
            new[pipe, level] = tables.premium * units + tables.cost[target] + following
            change = new[pipe, level] - values[pipe, level]
            low, high = min(low, change), max(high, change)
    return low, high


@compiled
def expect(tables, values, expected):  # type: ignore[no-untyped-def]
    """Fill `expected` [pipes, W] with the value after the demand; what falls below the table is expedited."""
    pipes, width = values.shape
    for pipe in range(pipes):
        for level in range(width):
            total = 0.0
            for d in range(len(tables.pmf)):
                short = max(d - level, 0)
                total += tables.pmf[d] * (values[pipe, level - d + short] + tables.premium * short)
            expected[pipe, level] = total


@compiled
def visit(tables, policy, seen, touched):  # type: ignore[no-untyped-def]
    """Mark the states that follow those marked 1 in `seen` [pipes, W], and mark these 2; returns how many.

    `touched` [3] notes where the policy meets the bounds: the lowest position, the highest, the largest order.
    """
    pipes, width = policy.shape
    visited = 0
    for pipe in range(pipes):
        for level in range(width):
            if seen[pipe, level] != 1:
                continue
            seen[pipe, level] = 2
            visited += 1
            units, q = divmod(policy[pipe, level], tables.size)
            window, target = pipe * tables.size + q, level + units
            position = target + window // pipes
            touched[0] |= target == 0
            touched[1] |= position >= width
            touched[2] |= q == tables.size - 1
            for d in range(len(tables.pmf)):
                after = max(min(position, width - 1) - d, 0)
                if tables.pmf[d] > 0.0 and seen[window % pipes, after] == 0:
                    seen[window % pipes, after] = 1
    return visited


@compiled
def spread(size, cap, gap, pmf, on_order, law, new):  # type: ignore[no-untyped-def]
    """Half a period of a capped dual-index policy: `new` is the mean of `law` and the law a period later.

    Laws are tables [pipes, gap + 1] over the pipe and the overshoot; `on_order` [pipes] is the sum of its digits.
    Returns the total change of probability and the mean regular order.
    """
    pipes, width = law.shape
    for pipe in range(pipes):
        for over in range(width):
            new[pipe, over] = 0.5 * law[pipe, over]
    ordered = 0.0
    for pipe in range(pipes):
        for over in range(width):
            mass = law[pipe, over]
            if mass == 0.0:
                continue
            q = min(cap, gap - over - on_order[pipe])
            ordered += mass * q
            window = pipe * size + q
            for d in range(len(pmf)):
                new[window % pipes, max(over + window // pipes - d, 0)] += 0.5 * mass * pmf[d]
    change = 0.0
    for pipe in range(pipes):
        for over in range(width):
            change += abs(new[pipe, over] - law[pipe, over])
    return change, ordered


@compiled
def follow(demand, cap, gap, pending, counts):  # type: ignore[no-untyped-def]
    """Follow a capped dual-index policy through `demand` [T]: counts of the overshoot; returns the regular units.

    `pending` [l] holds the regular orders of the last l periods, l the difference of the lead times; `counts` is
    [gap + 1].
    """
    over, on_order, total = gap, 0, 0
    for t in range(len(demand)):
        counts[over] += 1
        slot = t % len(pending)
        q = max(min(cap, gap - over - on_order), 0)
        pending[slot] = q
        total += q
        arriving = pending[(t + 1) % len(pending)]
        on_order += q - arriving
        over = max(over + arriving - demand[t], 0)
    return total
