"""What changes from period to period: arguments with one value a period, and policies with one level a period."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from echelon.envs.arrays import Array, namespace
from echelon.envs.errors import MethodError
from echelon.envs.state import State

Floats = NDArray[np.float64]
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
    """Order up to `up_to[t]` in period t if the inventory position is at or below `reorder[t]`.

    For networks of one link. After the last of its periods it orders no more.
    """

    reorder: Floats
    """[T] s; minus infinity in a period without orders"""
    up_to: Floats
    """[T] S"""

    def __call__(self, state: State) -> Array:
        """Orders [B, E]."""
        position = np.asarray(state.inventory_position)
        if state.period >= len(self.up_to):
            return np.zeros_like(position)
        order = np.maximum(self.up_to[state.period] - position, 0.0)
        return np.where(position <= self.reorder[state.period], order, 0.0)


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
