"""Demand intelligence: from tables to tables, with no number missing and every defect found."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pandas as pd
import pytest

from echelon.baselines.demand_intelligence import DemandIntelligence, demand_intelligence
from echelon.baselines.forecast_errors import Estimator, forecast_errors
from echelon.envs.errors import ConfigError

KEYS = ["item", "location", "period"]


def table(rows: list[tuple[str, int, float]]) -> pd.DataFrame:
    """Rows of (item, period, quantity) at one location."""
    frame = pd.DataFrame(rows, columns=["item", "period", "quantity"])
    return frame.assign(location="shop")[[*KEYS, "quantity"]]


def normal_items(rng: np.random.Generator, items: int, *, periods: int = 52) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Items with a mean of 100 and a sigma of 20, planned at their mean, and for four weeks beyond the history."""
    names = [f"i{i:02d}" for i in range(items)]
    planned = table([(name, t, 100.0) for name in names for t in range(periods + 4)])
    realised = table([(name, t, max(rng.normal(100, 20), 0)) for name in names for t in range(periods)])
    return planned, realised


def records(table: pd.DataFrame) -> dict[Any, dict[Any, Any]]:
    """The rows by their item."""
    return {row["item"]: row for row in table.to_dict("records")}


def assert_complete(found: DemandIntelligence) -> None:
    """No value of any table is missing or infinite."""
    for frame in (found.series, found.periods, found.errors, found.lead_times):
        if frame is not None:
            assert not frame.isna().any(axis=None)
            assert np.isfinite(frame.select_dtypes("number").to_numpy(np.float64)).all()


HISTORIES: dict[str, list[float]] = {
    "length 0": [],
    "length 1": [7.0],
    "length 1, no demand": [0.0],
    "length 2": [7.0, 3.0],
    "length 2, as planned": [5.0, 5.0],
    "all zero": [0.0] * 30,
    "one spike": [0.0] * 20 + [500.0] + [0.0] * 9,
    "constant": [5.0] * 30,
    "huge": [1e15, 0.0, 1e15],
    "tiny": [1e-200, 0.0, 3e-200],
}


PLANS: list[float | None] = [0.0, 5.0, None]


def odd_item(name: str, units: list[float], plan: float | None) -> tuple[pd.DataFrame, pd.DataFrame]:
    """An item whose history ends in period 29, planned at one figure for it and a period more, or not at all."""
    realised = table([(name, 30 - len(units) + t, x) for t, x in enumerate(units)])
    if plan is None:
        return table([]), realised
    return table([(name, 30 - len(units) + t, plan) for t in range(len(units) + 1)]), realised


@pytest.mark.parametrize("units", HISTORIES.values(), ids=HISTORIES)
@pytest.mark.parametrize("plan", PLANS)
def test_no_history_on_its_own_gives_a_missing_or_infinite_number(units: list[float], plan: float | None) -> None:
    planned, realised = odd_item("odd", units, plan)
    promotions = table([("odd", 20, 1.0)]).drop(columns="quantity")
    found = demand_intelligence(planned, realised, promotions=promotions, winsorise=True)
    assert_complete(found)
    assert len(found.series) == (plan is not None or bool(units))
    assert (found.series["sigma"] >= 0).all()


@pytest.mark.parametrize("estimator", ["mad", "rmse", "sd"])
@pytest.mark.parametrize("shrink", ["estimate", 0, 8])
@pytest.mark.parametrize("others", [0, 3])
def test_no_history_among_others_gives_a_missing_or_infinite_number(
    estimator: Estimator, shrink: float | Literal["estimate"], others: int
) -> None:
    odd = [odd_item(f"{name}, {plan}", units, plan) for name, units in HISTORIES.items() for plan in PLANS]
    planned, realised = (
        pd.concat(frames, ignore_index=True)
        for frames in zip(normal_items(np.random.default_rng(1), others, periods=30), *odd, strict=True)
    )
    promotions = realised[realised["period"] % 10 == 0].drop(columns="quantity")
    found = demand_intelligence(planned, realised, promotions=promotions, estimator=estimator, shrink=shrink)
    assert_complete(found)
    assert len(found.series) == others + len(odd) - 1


def test_empty_tables_give_empty_tables() -> None:
    found = demand_intelligence(table([]), table([]))
    assert (len(found.series), len(found.periods), len(found.errors)) == (0, 0, 0)
    assert {"sigma", "pattern", "abc", "uplift", "eligible", "route", "reason"} <= set(found.series.columns)


def test_like_items_with_a_known_sigma_are_recovered_within_5_percent_and_sent_on() -> None:
    planned, realised = normal_items(np.random.default_rng(2), 60)
    found = demand_intelligence(planned, realised, items=pd.DataFrame({"item": planned["item"].unique()}))
    assert_complete(found)
    assert np.abs(found.series["sigma"] / 20 - 1).max() < 0.05
    assert (
        found.series[["pattern", "xyz", "route"]].drop_duplicates().to_numpy() == [["smooth", "X", "regular"]]
    ).all()
    assert len(found.periods) == 60 * 56
    assert np.abs(found.periods["sd"] / 20 - 1).max() < 0.05


def test_every_part_is_in_the_table_of_the_series() -> None:
    planned, realised = normal_items(np.random.default_rng(3), 4)
    planned = pd.concat([planned, table([("new", 52, 40.0)])], ignore_index=True)
    realised.loc[(realised["item"] == "i00") & (realised["period"] < 2), "quantity"] *= 3
    realised.loc[(realised["item"] == "i01") & (realised["period"] == 9), "quantity"] = 2_000
    realised.loc[realised["item"] == "i02", "quantity"] *= realised["period"] % 4 == 0
    on = table([("i00", 0, 0.0), ("i00", 1, 0.0)]).drop(columns="quantity")
    items = pd.DataFrame({"item": ["i00", "i01", "i02", "i03", "new"], "category": list("aabbb"), "unit_value": 2.0})
    deliveries = pd.DataFrame({"item": ["i00"], "location": "shop", "planned": 5.0})
    found = demand_intelligence(planned, realised, items=items, promotions=on, lead_times=deliveries)
    assert_complete(found)
    series = records(found.series)
    i00, i02, new = (series[name] for name in ("i00", "i02", "new"))
    assert (i00["count"], i00["promoted_periods"], i00["uplift_source"]) == (50, 2, "own history")
    assert i00["uplift"] == pytest.approx(3, rel=0.3)
    assert (i02["pattern"], i02["route"]) == ("intermittent", "manual")
    assert i02["reason"].startswith("forecast biased: +")
    assert (new["periods"], new["sigma_source"], new["reason"]) == (0, "pooled", "no history")
    assert new["sigma"] > 0
    assert found.errors[found.errors["outlier"] & (found.errors["item"] == "i01")]["period"].tolist() == [9]
    assert found.lead_times is not None
    assert found.lead_times["provenance"].tolist() == ["default"]
    pulled = demand_intelligence(planned, realised, items=items, winsorise=True, estimator="rmse", shrink=0)
    plain = demand_intelligence(planned, realised, items=items, estimator="rmse", shrink=0)
    spiked = [records(found.series)["i01"]["sigma"] for found in (pulled, plain)]
    assert spiked[0] < 35 < 200 < spiked[1]


def test_the_unit_of_quantity_and_the_order_of_rows_change_nothing() -> None:
    planned, realised = normal_items(np.random.default_rng(4), 5)
    plain = demand_intelligence(planned, realised)
    scaled = demand_intelligence(
        *(frame.assign(quantity=frame["quantity"] * 8).sample(frac=1, random_state=5) for frame in (planned, realised))
    )
    units = ["mean_planned", "mean_realised", "bias", "mad", "rmse", "sd", "sigma", "mean", "baseline", "value"]
    scaled_back = scaled.series.assign(**{name: scaled.series[name] / 8 for name in units})
    pd.testing.assert_frame_equal(plain.series, scaled_back)


DEFECTS: list[tuple[int, dict[str, Any], str]] = [
    (0, {"quantity": -1.0}, "realised, row 0, quantity: must be a number from 0 to 1e+15 (got -1.0)"),
    (1, {"quantity": float("nan")}, "realised, row 1, quantity: must be a number from 0 to 1e+15 (got nan)"),
    (2, {"quantity": "many"}, "realised, row 2, quantity: must be a number from 0 to 1e+15 (got 'many')"),
    (3, {"quantity": float("inf")}, "realised, row 3, quantity: must be a number from 0 to 1e+15 (got inf)"),
    (4, {"item": None}, "realised, row 4, item: must not be missing"),
    (5, {"location": None}, "realised, row 5, location: must not be missing"),
    (7, {"period": 6}, "realised, row 7, item, location, period: must be unique (got i00, shop, 6, as in row 6)"),
    (8, {"period": 6}, "realised, row 8, item, location, period: must be unique (got i00, shop, 6, as in row 6)"),
]


def test_every_defect_of_every_table_is_listed_with_its_row_and_column() -> None:
    planned, realised = normal_items(np.random.default_rng(6), 1, periods=10)
    realised = realised.astype(object)
    for row, changes, _ in DEFECTS:
        for column, value in changes.items():
            realised.loc[row, column] = value
    planned = planned.assign(lag=1)
    planned["lag"] = planned["lag"].astype(object)
    planned.loc[2, "lag"] = 1.5
    planned.loc[4, "quantity"] = -3.0
    with pytest.raises(ConfigError) as caught:
        forecast_errors(planned, realised)
    assert caught.value.problems == (
        "planned, row 2, lag: must be a whole number from 0 to 1e+15 (got 1.5)",
        "planned, row 4, quantity: must be a number from 0 to 1e+15 (got -3.0)",
        *(message for _, _, message in DEFECTS),
    )


def test_columns_that_are_missing_or_repeated_are_listed() -> None:
    planned, realised = normal_items(np.random.default_rng(7), 1, periods=3)
    twice = pd.concat([realised, realised[["item"]]], axis=1)
    with pytest.raises(ConfigError) as caught:
        forecast_errors(planned.rename(columns={"quantity": "quantitiy"}).drop(columns="period"), twice)
    assert caught.value.problems == (
        "planned, column period: is required; known: item, location, quantitiy",
        "planned, column quantity: is required; did you mean 'quantitiy'?",
        "realised, column item: must occur once (got 2)",
    )


def test_keys_that_could_never_match_are_refused() -> None:
    planned, realised = normal_items(np.random.default_rng(8), 1, periods=3)
    with pytest.raises(ConfigError) as caught:
        forecast_errors(planned, realised.assign(period=["2024-01-01", "2024-01-08", "2024-01-15"], item=[4, 4, 4]))
    assert caught.value.problems == (
        "column item: must be of one kind in all tables (got text in planned, numbers in realised)",
        "column period: must be of one kind in all tables (got numbers in planned, text in realised)",
    )
    with pytest.raises(ConfigError, match="column period: must be of one kind in all tables"):
        forecast_errors(planned.iloc[:0], realised.assign(period=[1, "2", 3]))


def test_an_item_without_a_row_in_the_items_is_named() -> None:
    planned, realised = normal_items(np.random.default_rng(9), 2, periods=3)
    with pytest.raises(ConfigError, match=r"^items: must have a row for item i01$"):
        demand_intelligence(planned, realised, items=pd.DataFrame({"item": ["i00"], "category": ["a"]}))
    twice = pd.DataFrame({"item": ["i00", "i01", "i00"], "category": ["a", "a", "b"]})
    with pytest.raises(ConfigError, match=r"^items, row 2, item: must be unique \(got i00, as in row 0\)$"):
        demand_intelligence(planned, realised, items=twice)
