"""Sums and gathers on batches, in a fixed order of operations, on NumPy arrays and torch tensors alike."""

from __future__ import annotations

from echelon.envs.arrays import Array, NetworkArrays, namespace


def pad(array: Array, value: float = 0.0) -> Array:
    """[B, M + 1]: a column of neutral values behind the last one, for gathers with padded tables."""
    xp = namespace(array)
    return xp.concat((array, xp.zeros_like(array[:, :1]) + value), 1)


def gather_sum(values: Array, table: Array) -> Array:
    """[B, R] sums of `values` [B, M] over the columns named in each row of `table` [R, K]; M stands for none."""
    padded = pad(values)
    total = padded[:, table[:, 0]]
    for k in range(1, table.shape[1]):
        total = total + padded[:, table[:, k]]
    return total


def cascade_sum(values: Array, arrays: NetworkArrays) -> Array:
    """[B, E] the value of each link plus those of all pools downstream of it, once per path, in its own units."""
    total = values
    for _ in range(1, arrays.height):
        total = values + gather_sum(total, arrays.out_pools)[:, arrays.target] * arrays.quantity
    return total


def sum_columns(values: Array) -> Array:
    """The sum over the last axis, from the first column to the last."""
    return namespace(values).cumsum(values, -1)[..., -1]
