"""The hook for forecasters: what any of them would have planned, period by period, without looking ahead.

Echelon does not forecast. Whatever has `fit(y)` and `predict(h)` can be put here, such as the models of
statsforecast (whose `predict` returns a mapping with "mean") or an estimator of skforecast or sktime behind
a line of code; a regressor of scikit-learn becomes a forecaster by `LaggedRegression`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike

from echelon.baselines.demand_tables import REALISED, SERIES, Floats, checked, codes
from echelon.envs.errors import MethodError

if TYPE_CHECKING:
    import pandas as pd


class Forecaster(Protocol):
    """What `backtest` asks of a forecaster."""

    def fit(self, y: Floats, /) -> Any:
        """Learn from a history y [t]; what is returned predicts, or the forecaster itself if that is None."""

    def predict(self, h: int, /) -> ArrayLike | Mapping[str, ArrayLike]:
        """The forecasts [h] of the periods that follow the history, or a mapping that has them as "mean"."""


class Regressor(Protocol):
    """A regressor in the manner of scikit-learn."""

    def fit(self, X: Floats, y: Floats, /) -> Any:
        """Learn y [n] from X [n, k]."""

    def predict(self, X: Floats, /) -> ArrayLike:
        """The values [n] at X [n, k]."""


def backtest(
    history: pd.DataFrame, forecaster: Forecaster, *, lags: Sequence[int] = (1,), first: int = 12
) -> pd.DataFrame:
    """The planned table that the forecaster would have left behind, for `forecast_errors`.

    `history` has item, location, period and quantity; periods of a series without a row are without demand.
    After each of its periods from the `first`-th on, a copy of the forecaster is fitted to the series so far
    alone, and its forecast of the period `lag` ahead is a row: item, location, period, lag, quantity. A
    forecast below 0 counts as 0. Only periods within the history are forecast; a series that is too short
    has no row. Raises `MethodError` if forecasts are not `h` finite numbers.
    """
    if not lags or min(lags) < 1 or len(set(lags)) < len(lags):
        raise MethodError(f"lags must be different whole numbers of at least 1, got {tuple(lags)}")
    if first < 1:
        raise MethodError(f"first must be at least 1, got {first}")
    (demand,) = checked((REALISED, history))
    (code,), series = codes(SERIES, demand)
    (period,), periods = codes(["period"], demand)
    quantity, order = demand["quantity"].to_numpy(np.float64), np.lexsort((period, code))
    rows: list[tuple[int, int, int, float]] = []
    for own in np.split(order, np.flatnonzero(np.diff(code[order])) + 1) if len(demand) else ():
        start = period[own[0]]
        y = np.zeros(len(periods) - start)
        y[period[own] - start] = quantity[own]
        rows += [(code[own[0]], start + at, lag, units) for at, lag, units in _rolling(y, forecaster, lags, first)]
    of, at, lag = np.array([row[:3] for row in rows], dtype=np.int64).reshape(-1, 3).T
    table = series.iloc[of].reset_index(drop=True)
    when = periods["period"].iloc[at].reset_index(drop=True)
    return table.assign(period=when, lag=lag, quantity=np.array([row[3] for row in rows], dtype=np.float64))


def _rolling(y: Floats, forecaster: Forecaster, lags: Sequence[int], first: int) -> Iterator[tuple[int, int, float]]:
    """Every forecast of a period of y that was possible before it: the period's position, the lag, the units."""
    for origin in range(first, len(y)):
        model = deepcopy(forecaster)
        fitted = model.fit(y[:origin].copy()) or model
        forecast = fitted.predict(max(lags))
        units = np.asarray(forecast["mean"] if isinstance(forecast, Mapping) else forecast, dtype=np.float64)
        if units.shape != (max(lags),) or not np.isfinite(units).all():
            raise MethodError(f"a forecaster must return {max(lags)} finite numbers, got {units!r}")
        for lag in lags:
            if origin + lag <= len(y):
                yield origin + lag - 1, lag, max(float(units[lag - 1]), 0.0)


@dataclass
class LaggedRegression:
    """A regressor of scikit-learn's kind as a forecaster: a period from the `window` periods before it.

    Several periods ahead it takes its own forecasts for demand. A history of at most `window` periods has
    nothing to learn from, and its mean as forecast.
    """

    regressor: Regressor
    window: int = 4
    recent: Floats = field(default_factory=lambda: np.zeros(0), init=False)
    """The last periods of the history, as far as `window` goes."""
    fitted: Any = field(default=None, init=False)
    """The regressor after it was fitted, None if there was nothing to learn from."""

    def fit(self, y: Floats, /) -> LaggedRegression:
        """Learn each period of y [t] from those before it."""
        if self.window < 1:
            raise MethodError(f"window must be at least 1, got {self.window}")
        self.recent, self.fitted = y, None
        if len(y) > self.window:
            model = deepcopy(self.regressor)
            self.fitted = model.fit(sliding_window_view(y[:-1], self.window), y[self.window :]) or model
            self.recent = y[-self.window :]
        return self

    def predict(self, h: int, /) -> Floats:
        """The forecasts [h] of the periods that follow."""
        if self.fitted is None:
            return np.full(h, self.recent.mean())
        values = list(self.recent)
        for _ in range(h):
            values.append(float(np.asarray(self.fitted.predict(np.array([values[-self.window :]])))[0]))
        return np.array(values[-h:])
