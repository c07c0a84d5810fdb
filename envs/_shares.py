"""Compiled: how a node that is short divides what it has, one replication at a time."""

# ruff: noqa: RUF059 (every function unpacks its block in the same way)
from __future__ import annotations

import numpy as np

from echelon.envs._compiled import compiled
from echelon.envs._layout import (
    F_SHIPPED,
    M_QUEUE,
    OUT,
    OUT_COUNT,
    RULE,
    S_LIMITED_SHIPPING,
    S_QUEUE,
    S_WHOLE_UNITS,
    W_ASKED,
    W_ECHELON,
    W_REQUEST,
    W_WANTED,
)
from echelon.envs.arrays import BALANCE, FIRST_COME


@compiled
def share_out(net, block, n, b, total, available):  # type: ignore[no-untyped-def]
    """Shares of one replication of a node that is short, by its rule."""
    at, m, f, w, buffer = block
    out, count = net.node[OUT, n], net.node[OUT_COUNT, n]
    wanted, shares = buffer[0], buffer[1]
    first = at[W_WANTED] if at[S_LIMITED_SHIPPING] else at[W_ASKED]
    for k in range(count):
        wanted[k] = w[first + net.flat[out + k], b]
    if net.node[RULE, n] == FIRST_COME:
        first_come(net, block, n, b, available)
    elif net.node[RULE, n] == BALANCE:
        balance(net, block, n, b, available)
    elif at[S_WHOLE_UNITS]:
        largest_remainders(buffer, count, total, available)
    else:
        scale = available / total
        for k in range(count):
            shares[k] = wanted[k] * scale
    for k in range(count):
        f[at[F_SHIPPED] + net.flat[out + k], b] = shares[k]


@compiled
def largest_remainders(buffer, count, total, available):  # type: ignore[no-untyped-def]
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
def first_come(net, block, n, b, available):  # type: ignore[no-untyped-def]
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
def balance(net, block, n, b, available):  # type: ignore[no-untyped-def]
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
