"""Forecast errors: every statistic by hand and by brute force, and the laws that they keep."""

from __future__ import annotations

import math
import statistics
from datetime import date
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echelon.baselines.forecast_errors import STATISTICS, error_rows, error_statistics, forecast_errors
from echelon.baselines.outliers import flag_outliers, winsorised
from echelon.envs.errors import MethodError

KEYS = ("item", "location", "period")


def series(units: list[float], *, item: str = "soap", location: str = "shop", first: int = 0) -> pd.DataFrame:
    """A long table of one series, a row a period."""
    periods = range(first, first + len(units))
    return pd.DataFrame({"item": item, "location": location, "period": list(periods), "quantity": units})


def both(*tables: pd.DataFrame) -> pd.DataFrame:
    return pd.concat(tables, ignore_index=True)


def records(table: pd.DataFrame, *key: str) -> dict[tuple[Any, ...], dict[Any, Any]]:
    """The rows by the values of their key."""
    return {tuple(row[name] for name in key): row for row in table.to_dict("records")}


def panel(
    rng: np.random.Generator, *, items: int, periods: int, bias: float = 0.0
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Plans and demands of some items at two locations, in whole units, zeros among them."""
    keys = pd.MultiIndex.from_product(
        [[f"i{i}" for i in range(items)], ["shop", "store"], range(periods)], names=["item", "location", "period"]
    )
    planned = rng.poisson(3, len(keys)).astype(np.float64)
    realised = rng.poisson(3 + bias, len(keys)).astype(np.float64)
    frame = keys.to_frame(index=False)
    return frame.assign(quantity=planned), frame.assign(quantity=realised)


def test_the_statistics_of_four_periods_are_those_computed_by_hand() -> None:
    found = forecast_errors(series([10, 10, 10, 0]), series([12, 7, 10, 0])).iloc[0]
    assert (found["item"], found["location"], found["count"], found["mape_count"]) == ("soap", "shop", 4, 3)
    assert found["mean_planned"] == 7.5
    assert found["mean_realised"] == 7.25
    assert found["bias"] == -0.25
    assert found["mad"] == 1.25
    assert found["rmse"] == pytest.approx(math.sqrt(13 / 4))
    assert found["sd"] == pytest.approx(math.sqrt(4.25))
    assert found["wape"] == pytest.approx(5 / 29)
    assert found["mape"] == pytest.approx((2 / 12 + 3 / 7 + 0) / 3)
    assert found["tracking_signal"] == pytest.approx(-0.8)
    assert found["sigma"] == pytest.approx(1.2533141373155001 * 1.25)


@pytest.mark.parametrize("by", [("item", "location"), ("item",), ("location", "period"), ("lag",), ("item", "lag")])
def test_every_statistic_agrees_with_a_loop_over_the_rows(by: tuple[str, ...]) -> None:
    rng = np.random.default_rng(5)
    one, realised = panel(rng, items=4, periods=9, bias=1)
    planned = both(one.assign(lag=1), one.assign(lag=2, quantity=one["quantity"] + 1))
    demand = {key[:3]: row["quantity"] for key, row in records(realised, *KEYS).items()}
    errors: dict[tuple[object, ...], list[tuple[float, float]]] = {}
    for key, row in records(planned, *KEYS, "lag").items():
        pair = (row["quantity"], demand[key[:3]])
        errors.setdefault(tuple(row[name] for name in by), []).append(pair)
    table = records(forecast_errors(planned, realised, by=by, estimator="sd"), *by)
    assert len(table) == len(errors)
    for key, pairs in errors.items():
        e = [y - f for f, y in pairs]
        ape = [abs(y - f) / y for f, y in pairs if y > 0]
        mad = statistics.fmean(map(abs, e))
        found = table[key]
        assert found["count"] == len(e)
        assert found["mape_count"] == len(ape)
        assert found["mad"] == pytest.approx(mad)
        assert found["rmse"] == pytest.approx(math.sqrt(statistics.fmean(x * x for x in e)))
        assert found["sd"] == found["sigma"] == pytest.approx(statistics.stdev(e))
        assert found["bias"] == pytest.approx(statistics.fmean(e))
        assert found["wape"] == pytest.approx(sum(map(abs, e)) / sum(y for _, y in pairs))
        assert found["mape"] == pytest.approx(statistics.fmean(ape))
        assert found["tracking_signal"] == pytest.approx(sum(e) / mad)


def test_1_2533_mad_is_the_sigma_of_a_million_normal_errors() -> None:
    errors = np.random.default_rng(1).normal(0, 20, 1_000_000)
    planned = np.full(len(errors), 200.0)
    one_group = np.zeros(len(errors), dtype=np.int64)
    found = error_statistics(one_group, 1, planned, planned + errors, errors, estimator="mad")
    assert found["sigma"][0] == pytest.approx(20, rel=0.003)


def test_only_the_forecasts_of_the_lag_that_is_asked_for_count() -> None:
    planned = both(series([5, 5]).assign(lag=1), series([9, 9]).assign(lag=3))
    realised = series([6, 6])
    assert forecast_errors(planned, realised, lag=1)["bias"].tolist() == [1]
    assert forecast_errors(planned, realised, lag=3)["bias"].tolist() == [-3]
    assert forecast_errors(planned, realised)["count"].tolist() == [4]
    assert forecast_errors(planned, realised, lag=2)["count"].tolist() == [0]


def test_a_period_without_a_row_is_one_without_demand_within_the_series_alone() -> None:
    planned = series([4, 4, 4, 4, 4, 4])
    realised = both(series([7], first=1), series([1], item="tea", first=4))
    rows = error_rows(planned, realised)
    assert rows["period"].tolist() == [1, 2, 3, 4]
    assert rows["realised"].tolist() == [7, 0, 0, 0]
    assert error_rows(planned, realised, missing="unknown")["period"].tolist() == [1]


def test_promoted_periods_are_left_out() -> None:
    promoted = series([0, 0], first=1).drop(columns="quantity")
    rows = error_rows(series([4, 4, 4, 4]), series([4, 40, 40, 5]), promotions=promoted)
    assert rows["error"].tolist() == [0, 1]
    other = promoted.assign(location="elsewhere")
    assert len(error_rows(series([4, 4, 4, 4]), series([4, 40, 40, 5]), promotions=other)) == 4


def test_keys_can_be_categories_with_values_that_do_not_occur() -> None:
    planned, realised = series([4, 4]), series([5, 7])
    as_category = [
        frame.assign(item=pd.Categorical(frame["item"], ["salt", "soap", "tea"][i:]))
        for i, frame in enumerate([planned, realised])
    ]
    table = forecast_errors(*as_category)
    assert (table["item"].astype(str).tolist(), table["mad"].tolist()) == (["soap"], [2])


def test_what_was_planned_without_any_demand_has_a_wape_and_a_mape_of_1() -> None:
    found = forecast_errors(series([4, 2]), series([0, 0])).iloc[0]
    assert (found["wape"], found["mape"], found["mape_count"], found["bias"]) == (1, 1, 0, -3)


def test_series_that_were_only_planned_or_only_realised_have_a_row_with_their_mean() -> None:
    table = forecast_errors(series([4, 2]), series([6, 8], item="tea"))
    assert table["item"].tolist() == ["soap", "tea"]
    assert table["count"].tolist() == [0, 0]
    assert table["mean_planned"].tolist() == [3, 0]
    assert table["mean_realised"].tolist() == [0, 7]
    assert np.isfinite(table[list(STATISTICS)].to_numpy()).all()


def test_periods_can_be_dates_time_stamps_and_text() -> None:
    days = [date(2024, 1, 1), date(2024, 1, 8), date(2024, 1, 15)]
    for periods in (days, pd.to_datetime(days), [day.isoformat() for day in days]):
        planned = series([4, 4, 4]).assign(period=periods)
        realised = series([5, 7, 4]).assign(period=periods).drop(index=1)
        assert forecast_errors(planned, realised)["mad"].tolist() == [pytest.approx(5 / 3)]


@settings(max_examples=12, deadline=None)
@given(
    units=st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=12),
    power=st.integers(-3, 6),
    seed=st.integers(0, 99),
)
def test_units_and_the_order_of_rows_do_not_matter(units: list[tuple[int, int]], power: int, seed: int) -> None:
    planned, realised = (series([float(pair[i]) for pair in units]) for i in (0, 1))
    shuffled = planned.sample(frac=1, random_state=seed), realised.sample(frac=1, random_state=seed + 1)
    table = forecast_errors(planned, realised)
    scaled = forecast_errors(*(frame.assign(quantity=frame["quantity"] * 2.0**power) for frame in shuffled))
    dimensionless = ["mape", "wape", "tracking_signal"]
    for name in STATISTICS:
        factor = 1.0 if name in dimensionless else 2.0**power
        assert scaled[name].iloc[0] == pytest.approx(table[name].iloc[0] * factor)
    found = table.iloc[0]
    assert abs(found["bias"]) <= found["mad"] + 1e-12 <= found["rmse"] + 1e-9


def test_hampels_rule_flags_the_spike_and_deletes_nothing() -> None:
    rows = pd.DataFrame({"item": "soap", "location": "shop", "error": [1.0, 2, 3, 4, 5, 6, 7, 8, 100]})
    flagged = flag_outliers(rows)
    assert flagged["outlier"].tolist() == [False] * 8 + [True]
    assert flagged["upper"].iloc[0] == pytest.approx(5 + 4 * 1.4826022185056018 * 2)
    assert flagged["lower"].iloc[0] == pytest.approx(5 - 4 * 1.4826022185056018 * 2)
    assert winsorised(rows)["error"].iloc[-1] == flagged["upper"].iloc[0]
    assert winsorised(rows)["error"].iloc[:-1].tolist() == rows["error"].iloc[:-1].tolist()


def test_one_spike_among_equal_values_is_an_outlier_by_the_mean_deviation() -> None:
    rows = pd.DataFrame({"item": "soap", "location": "shop", "error": [0.0] * 19 + [40.0]})
    flagged = flag_outliers(rows)
    assert flagged["outlier"].sum() == 1
    assert flagged["upper"].iloc[0] == pytest.approx(4 * math.sqrt(math.pi / 2) * 40 / 20)


@pytest.mark.parametrize("errors", [[0.0, 0, 9], [5.0], [2.0] * 30])
def test_short_and_constant_series_have_no_outliers(errors: list[float]) -> None:
    rows = pd.DataFrame({"item": "soap", "location": "shop", "error": errors})
    assert not flag_outliers(rows)["outlier"].any()
    assert winsorised(rows)["error"].tolist() == errors


def test_each_series_is_judged_by_itself() -> None:
    calm = pd.DataFrame({"item": "calm", "location": "shop", "error": [-1.0, 1] * 10})
    wild = pd.DataFrame({"item": "wild", "location": "shop", "error": [-90.0, 90] * 10})
    spike = pd.DataFrame({"item": "calm", "location": "shop", "error": [80.0]})
    flagged = flag_outliers(pd.concat([calm, wild, spike], ignore_index=True))
    assert np.flatnonzero(flagged["outlier"]).tolist() == [40]


def test_hardly_any_normal_error_is_an_outlier_and_winsorising_keeps_sigma() -> None:
    errors = np.random.default_rng(2).normal(0, 10, 40_000)
    rows = pd.DataFrame({"item": "soap", "location": "shop", "error": errors})
    assert flag_outliers(rows)["outlier"].mean() < 3e-4
    planned, realised = series([200.0] * 40_000), series(list(200 + errors))
    spiked = realised.assign(quantity=realised["quantity"].where(realised["period"] != 7, 90_000.0))
    plain, pulled = (
        forecast_errors(planned, spiked, estimator="rmse"),
        forecast_errors(planned, spiked, estimator="rmse", winsorise=4.0),
    )
    assert plain["sigma"].iloc[0] > 400
    assert pulled["sigma"].iloc[0] == pytest.approx(10, rel=0.02)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"by": ("itme",)}, "by must name columns of item, location, period, lag, got 'itme'; did you mean 'item'?"),
        ({"by": ()}, "by must name at least one column, each once, got ()"),
        ({"by": ("lag",)}, "lag needs a column lag in the planned table"),
        ({"lag": 1}, "lag needs a column lag in the planned table"),
        ({"estimator": "mda"}, "estimator must be mad or rmse or sd, got 'mda'; did you mean 'mad'?"),
        ({"missing": "nil"}, "missing must be zero or between or unknown, got 'nil'; known: between, unknown, zero"),
        ({"winsorise": 0.0}, "threshold must be a finite number greater than 0, got 0"),
    ],
)
def test_an_option_that_cannot_be_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(MethodError) as caught:
        forecast_errors(series([1, 2]), series([1, 2]), **options)  # type: ignore[arg-type]
    assert str(caught.value) == message
