"""What changes from period to period: arguments with one value a period, and policies with one level a period."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from echelon.envs.arrays import Array, NetworkArrays, namespace, network_arrays
from echelon.envs.batched import gather_sum
from echelon.envs.dynamics import accepted_orders
from echelon.envs.errors import MethodError
from echelon.envs.network import Network
from echelon.envs.state import State

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
PerPeriod = float | Sequence[float]
"""One value for all periods, or one a period."""


def values_by_period(key: str, values: PerPeriod, periods: int) -> Floats:
    """[T] an argument that is finite and at least 0 in every period. Raises `MethodError`."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim > 1 or (array.ndim == 1 and len(array) != periods):
        raise MethodError(f"{key} must be one number or {periods}, one per period, got {array.size}")
    wrong = array[~((array >= 0) & (array < np.inf))]
    if wrong.size:
        raise MethodError(f"{key} must be a finite number of at least 0 in every period, got {wrong[0]:g}")
    return np.broadcast_to(array, (periods,))


@dataclass(frozen=True, eq=False)
class OrderUpToByPeriod:
    """Order up to `up_to[t]` in period t where the installation position is at or below `reorder[t]`.

    It decides as `OrderUpTo` does, receivers and earlier sources of a component first, in one pass over the links.
    After the last of its periods it orders no more.
    """

    reorder: Floats
    """[T, E] s; minus infinity in a period without orders"""
    up_to: Floats
    """[T, E] S"""

    def __call__(self, state: State) -> Floats:
        """Orders [B, E]."""
        arrays = state.arrays
        if state.period >= len(self.up_to) or not (self.reorder[state.period] > -np.inf).any():
            return np.zeros((state.batch, len(arrays.target)))
        reorder, up_to = self.reorder[state.period], self.up_to[state.period]
        position = np.asarray(state.inventory_position)
        orders = np.zeros_like(position)
        for links, before in _turns(state.network):
            asked = gather_sum(orders, arrays.out_links[arrays.target[links]]) * arrays.quantity[links]
            left = position[:, links] - asked + gather_sum(orders, before)
            wanted = np.where(left <= reorder[links], np.maximum(up_to[links] - left, 0.0), 0.0)
            orders[:, links] = wanted
            if arrays.bounded_orders:
                orders = accepted_orders(arrays, orders)
        return orders


@lru_cache(maxsize=64)
def _turns(network: Network) -> list[tuple[Ints, Ints]]:
    """Links that decide at the same time [G], with the sources of their pools that have decided before them [G, K]."""
    arrays, links = network_arrays(network), len(network.links)
    before = [[k for k in pool if k < e] + [links] * sum(k >= e for k in pool) for e, pool in _numbered(arrays)]
    height, rank = heights(arrays), [sum(k < e for k in pool) for e, pool in _numbered(arrays)]
    turns: dict[tuple[int, int], list[int]] = {}
    for e in range(links):
        turns.setdefault((height[e], rank[e]), []).append(e)
    return [(np.array(group), np.array([before[e] for e in group])) for _, group in sorted(turns.items())]


def _numbered(arrays: NetworkArrays) -> list[tuple[int, list[int]]]:
    """Every link with the links of its pool, padded with E."""
    return list(enumerate(arrays.pool_links.tolist()))


def heights(arrays: NetworkArrays) -> list[int]:
    """[E] links on the longest path that begins with each link."""
    links = len(arrays.target)
    above = [0] * links
    for e in arrays.downstream_first.tolist():
        out = arrays.out_links[arrays.target[e]]
        above[e] = 1 + max((above[k] for k in out[out < links]), default=0)
    return above


@dataclass(frozen=True, eq=False)
class Schedule:
    """A policy that orders by the calendar, whatever the state; nothing once the schedule has ended."""

    orders: Floats
    """[T, E] units."""

    def __call__(self, state: State) -> Array:
        """Orders [B, E]."""
        zeros = namespace(state.owed).zeros_like(state.owed)
        if state.period >= len(self.orders):
            return zeros
        today = self.orders[state.period]
        return zeros + namespace(zeros).asarray(today, dtype=zeros.dtype, device=zeros.device)
