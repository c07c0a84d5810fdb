"""Backtests: any forecaster leaves behind the plans that it would have made, without looking ahead."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray

from echelon.baselines.backtest import LaggedRegression, backtest
from echelon.baselines.forecast_errors import forecast_errors
from echelon.envs.errors import MethodError

Floats = NDArray[np.float64]


@dataclass
class Naive:
    """Tomorrow is as today; in the manner of statsforecast, whose `predict` returns a mapping."""

    last: float = 0.0

    def fit(self, y: Floats, /) -> Naive:
        self.last = float(y[-1])
        return self

    def predict(self, h: int, /) -> dict[str, Floats]:
        return {"mean": np.full(h, self.last)}


@dataclass
class MovingAverage:
    """The mean of the last periods; its `fit` returns nothing, and it counts how often it was fitted."""

    window: int = 3
    level: float = 0.0
    fits: list[int] = field(default_factory=list)

    def fit(self, y: Floats, /) -> None:
        self.level = float(y[-self.window :].mean())
        self.fits.append(len(y))

    def predict(self, h: int, /) -> Floats:
        assert len(self.fits) == 1, "every forecast must be made by a fresh copy"
        return np.full(h, self.level)


@dataclass
class Answer:
    """A forecaster that always gives the same answer."""

    answer: Any

    def fit(self, y: Floats, /) -> Answer:
        return self

    def predict(self, h: int, /) -> Any:
        return self.answer


class LeastSquares:
    """A linear regression with the methods of scikit-learn."""

    def fit(self, X: Floats, y: Floats, /) -> LeastSquares:
        self.weights = np.linalg.lstsq(np.column_stack([np.ones(len(X)), X]), y)[0]
        return self

    def predict(self, X: Floats, /) -> Floats:
        return np.asarray(self.weights[0] + X @ self.weights[1:])


def history(units: list[float], *, item: str = "tea") -> pd.DataFrame:
    return pd.DataFrame({"item": item, "location": "shop", "period": range(len(units)), "quantity": units})


def test_the_naive_forecast_is_the_demand_of_as_many_periods_ago_as_the_lag() -> None:
    table = backtest(history([3.0, 1, 4, 1, 5]), Naive(), lags=(1, 3), first=2)
    found = {(row.period, row.lag): row.quantity for row in table.itertuples()}
    assert found == {(2, 1): 1, (3, 1): 4, (4, 1): 1, (4, 3): 1}
    assert table.columns.tolist() == ["item", "location", "period", "lag", "quantity"]


def test_a_copy_of_the_forecaster_is_fitted_for_every_forecast() -> None:
    forecaster = MovingAverage()
    table = backtest(history([3.0, 6, 9, 6, 3, 0]), forecaster, first=3)
    assert table["quantity"].tolist() == [6, 7, 6]
    assert forecaster.fits == []


@pytest.mark.parametrize("forecaster", [Naive(), MovingAverage(), LaggedRegression(LeastSquares(), window=2)])
def test_what_is_yet_to_come_changes_no_forecast(forecaster: Naive | MovingAverage | LaggedRegression) -> None:
    rng = np.random.default_rng(1)
    units, now = rng.gamma(4, 5, 40), 20
    other = np.concatenate([units[:now], rng.permutation(units[now:]) * 7])
    before, after = (backtest(history(list(series)), forecaster, lags=(1, 4)) for series in (units, other))
    made_by_now = before["period"] - before["lag"] < now
    assert 0 < made_by_now.sum() < len(before)
    pd.testing.assert_frame_equal(before[made_by_now], after[made_by_now])
    assert not np.allclose(before["quantity"][~made_by_now], after["quantity"][~made_by_now])


def test_one_series_tells_another_nothing_and_gaps_are_periods_without_demand() -> None:
    tea, jam = history([5.0, 0, 7, 0, 9, 2]), history([1.0, 2, 3, 4, 5, 6], item="jam")
    together = backtest(pd.concat([tea[tea["quantity"] > 0], jam]).sample(frac=1, random_state=1), Naive(), first=1)
    alone = backtest(tea, Naive(), first=1)
    pd.testing.assert_frame_equal(together[together["item"] == "tea"].reset_index(drop=True), alone)
    assert alone["quantity"].tolist() == [5, 0, 7, 0, 9]


def test_the_planned_table_goes_straight_into_the_forecast_errors() -> None:
    rng = np.random.default_rng(2)
    realised = history(list(rng.normal(100, 10, 2_000)))
    planned = backtest(realised, Naive(), lags=(1, 2))
    errors = forecast_errors(planned, realised, by=("item", "lag"), estimator="rmse")
    assert errors["sigma"].to_numpy() == pytest.approx(10 * np.sqrt(2), rel=0.05)


def test_a_regressor_learns_a_recursion_and_forecasts_it_several_periods_ahead() -> None:
    units = [1.0]
    for _ in range(30):
        units.append(8 + 0.5 * units[-1])
    table = backtest(history(units), LaggedRegression(LeastSquares(), window=1), lags=(1, 3), first=6)
    assert table["quantity"].to_numpy() == pytest.approx([units[t] for t in table["period"]])


def test_a_regressor_without_enough_history_forecasts_the_mean() -> None:
    table = backtest(history([2.0, 4, 9]), LaggedRegression(LeastSquares(), window=4), first=1)
    assert table["quantity"].tolist() == [2, 3]
    with pytest.raises(MethodError, match="window must be at least 1, got 0"):
        backtest(history([2.0, 4, 9]), LaggedRegression(LeastSquares(), window=0), first=1)


@pytest.mark.parametrize("units", [[], [1.0], [1.0] * 12])
def test_a_series_that_is_too_short_has_no_row(units: list[float]) -> None:
    table = backtest(history(units), Naive())
    assert table.columns.tolist() == ["item", "location", "period", "lag", "quantity"]
    assert len(table) == 0


def test_a_forecast_below_zero_counts_as_zero_and_one_that_is_no_number_is_refused() -> None:
    assert backtest(history([1.0, 1]), Answer([-3.0]), first=1)["quantity"].tolist() == [0]
    for answer in ([float("nan")], [1.0, 2.0], []):
        with pytest.raises(MethodError, match=r"^a forecaster must return 1 finite numbers, got array\("):
            backtest(history([1.0, 1]), Answer(answer), first=1)


@pytest.mark.parametrize("lags", [(), (0,), (1, 1)])
def test_lags_that_cannot_be_are_refused(lags: tuple[int, ...]) -> None:
    with pytest.raises(MethodError, match="lags must be different whole numbers of at least 1"):
        backtest(history([1.0, 1]), Naive(), lags=lags)
    with pytest.raises(MethodError, match="first must be at least 1, got 0"):
        backtest(history([1.0, 1]), Naive(), first=0)
