"""What changes from period to period: arguments with one value a period, and policies with one level a period."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from echelon.envs.arrays import Array, namespace
from echelon.envs.errors import MethodError
from echelon.envs.policy import OrderUpTo
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
    """Order up to `up_to[t]` in period t if the installation position is at or below `reorder[t]`.

    Upstream it may use what is ordered downstream in the same period, as `OrderUpTo` does. After the last
    of its periods it orders no more.
    """

    reorder: Floats
    """[T, E] s; minus infinity in a period without orders"""
    up_to: Floats
    """[T, E] S"""

    def __call__(self, state: State) -> Array:
        """Orders [B, E]."""
        if state.period >= len(self.up_to):
            return namespace(state.owed).zeros_like(state.owed)
        reorder, up_to = self.reorder[state.period], self.up_to[state.period]
        unlimited, any_size = np.full(len(up_to), np.inf), np.zeros(len(up_to))
        return OrderUpTo(reorder, up_to, unlimited, any_size, "installation")(state)


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
