"""Linear programmes over the periods of a horizon, written as sums of time series.

A planning model says "stock today is stock yesterday plus what arrives less what leaves". `Series` are such
sums, one affine expression per period; `Program` collects the variables, the constraints and the
cost, and HiGHS solves it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray

from echelon.envs.errors import MethodError

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Series:
    """One affine expression of the variables per period: `constant` plus `values` times the variables `columns`."""

    rows: Indices
    """The period of each term."""
    columns: Indices
    values: Floats
    constant: Floats
    """[T]"""

    def __add__(self, other: Series) -> Series:
        return Series(
            np.concatenate((self.rows, other.rows)),
            np.concatenate((self.columns, other.columns)),
            np.concatenate((self.values, other.values)),
            self.constant + other.constant,
        )

    def __sub__(self, other: Series) -> Series:
        return self + other * -1.0

    def __mul__(self, factor: ArrayLike) -> Series:
        """Every period times a number, or times its own of T numbers."""
        factors = np.broadcast_to(np.asarray(factor, dtype=np.float64), self.constant.shape)
        return replace(self, values=self.values * factors[self.rows], constant=self.constant * factors)

    def arriving(self, lead_time: ArrayLike) -> Series:
        """What each period sends, in the period in which it arrives; what arrives after the horizon is left out."""
        periods = len(self.constant)
        at = np.arange(periods) + np.asarray(lead_time, dtype=np.int64)
        kept, inside = at[self.rows] < periods, at < periods
        constant = np.zeros(periods)
        np.add.at(constant, at[inside], self.constant[inside])
        return Series(at[self.rows[kept]], self.columns[kept], self.values[kept], constant)

    def of_last(self, periods: int) -> Series:
        """The sum over the last `periods` periods, this one included; none before the start."""
        return total([self.arriving(k) for k in range(periods)], len(self.constant))

    def at(self, solution: Floats) -> Floats:
        """[T] the values at a solution."""
        return self.constant + np.bincount(self.rows, self.values * solution[self.columns], len(self.constant))


def known(values: ArrayLike, periods: int) -> Series:
    """A series without variables."""
    none = np.zeros(0, dtype=np.int64)
    constant = np.broadcast_to(np.asarray(values, dtype=np.float64), (periods,))
    return Series(none, none, np.zeros(0), np.asarray(constant))


def total(parts: Sequence[Series], periods: int) -> Series:
    """The sum of several series; 0 if there is none."""
    if not parts:
        return known(0.0, periods)
    return Series(
        np.concatenate([part.rows for part in parts]),
        np.concatenate([part.columns for part in parts]),
        np.concatenate([part.values for part in parts]),
        np.sum([part.constant for part in parts], axis=0),
    )


LONGEST = 600.0
"""Seconds after which HiGHS is stopped."""


class Program:
    """A programme under construction: what is charged is minimised subject to what is required."""

    def __init__(self, periods: int) -> None:
        self.periods = periods
        self._count = 0
        self._bounds: list[tuple[Floats, Floats, bool]] = []
        self._rows: list[tuple[Series, Floats, Floats]] = []
        self._charged: list[Series] = []

    def variables(
        self,
        upper: ArrayLike = np.inf,
        *,
        lower: ArrayLike = 0.0,
        first: int = 0,
        until: int | None = None,
        integer: bool = False,
    ) -> Series:
        """One variable for each period from `first` to before `until`, 0 in the others; the bounds may be [T]."""
        rows = np.arange(first, max(first, self.periods if until is None else min(until, self.periods)))
        columns = self._count + np.arange(len(rows))
        self._count += len(rows)
        low, high = (np.broadcast_to(np.asarray(x, dtype=np.float64), (self.periods,))[rows] for x in (lower, upper))
        self._bounds.append((low, high, integer))
        return Series(rows, columns, np.ones(len(rows)), np.zeros(self.periods))

    def require(self, series: Series, lower: ArrayLike = -np.inf, upper: ArrayLike = np.inf) -> None:
        """Keep the series between bounds in all periods; both are infinite where there is no bound."""
        low, high = (np.broadcast_to(np.asarray(x, dtype=np.float64), (self.periods,)) for x in (lower, upper))
        self._rows.append((series, low - series.constant, high - series.constant))

    def charge(self, series: Series, rate: ArrayLike) -> None:
        """Add the series times a rate per period to the cost."""
        self._charged.append(series * rate)

    @property
    def choices(self) -> int:
        """Number of variables that are 0 or 1."""
        return sum(int((upper == 1).sum()) for _, upper, integer in self._bounds if integer)

    def solve(self) -> tuple[float, Floats]:
        """The least cost and a solution that attains it. Raises `MethodError` if HiGHS finds none."""
        from scipy.optimize import Bounds, LinearConstraint, milp
        from scipy.sparse import coo_array

        cost = np.zeros(self._count)
        for series in self._charged:
            np.add.at(cost, series.columns, series.values)
        constant = sum(float(series.constant.sum()) for series in self._charged)
        starts = self.periods * np.arange(len(self._rows))
        rows = np.concatenate([series.rows + start for (series, _, _), start in zip(self._rows, starts, strict=True)])
        columns = np.concatenate([series.columns for series, _, _ in self._rows])
        values = np.concatenate([series.values for series, _, _ in self._rows])
        shape = (self.periods * len(self._rows), self._count)
        low, high = (np.concatenate([row[side] for row in self._rows]) for side in (1, 2))
        whole = np.concatenate([np.full(len(lower), integer) for lower, _, integer in self._bounds])
        found = milp(
            cost,
            integrality=whole if whole.any() else None,
            bounds=Bounds(*(np.concatenate([bound[side] for bound in self._bounds]) for side in (0, 1))),
            constraints=LinearConstraint(coo_array((values, (rows, columns)), shape=shape).tocsc(), low, high),
            options={"mip_rel_gap": 0.0, "time_limit": LONGEST},
        )
        if not found.success:
            raise MethodError(f"the linear programme of {self._count:,} variables was not solved: {found.message}")
        return float(found.fun) + constant, np.asarray(found.x)
