"""Classes of demand, promotions and eligibility: by hand, by simulation, and at every boundary."""

from __future__ import annotations

import math
import statistics
from typing import Any

import numpy as np
import pandas as pd
import pytest

from echelon.baselines.demand_classes import classify
from echelon.baselines.eligibility import EligibilityRules, eligibility
from echelon.baselines.promotions import promotion_uplift
from echelon.envs.errors import ConfigError, MethodError

Series = dict[str, list[float]]


def history(series: Series) -> pd.DataFrame:
    """A long table with a row for each period of each item."""
    rows = [(item, "shop", t, units) for item, all_units in series.items() for t, units in enumerate(all_units)]
    return pd.DataFrame(rows, columns=["item", "location", "period", "quantity"])


def records(table: pd.DataFrame) -> dict[Any, dict[Any, Any]]:
    """The rows by their item."""
    return {row["item"]: row for row in table.to_dict("records")}


def promoted(periods: dict[str, list[int]]) -> pd.DataFrame:
    rows = [(item, "shop", t) for item, those in periods.items() for t in those]
    return pd.DataFrame(rows, columns=["item", "location", "period"])


def test_the_measures_of_a_series_are_those_computed_by_hand() -> None:
    units = [0.0, 3, 0, 0, 5, 4, 0, 0]
    found = classify(history({"tea": units})).iloc[0]
    assert (found["periods"], found["demand_periods"], found["idle_periods"]) == (8, 3, 2)
    assert found["mean"] == 1.5
    assert found["adi"] == pytest.approx(8 / 3)
    assert found["cv2"] == pytest.approx(1 / 16)
    assert found["cv"] == pytest.approx(statistics.stdev(units) / 1.5)
    assert found["value"] == 12
    assert (found["pattern"], found["abc"], found["xyz"]) == ("intermittent", "A", "Z")


def test_periods_without_a_row_are_periods_without_demand() -> None:
    full = history({"tea": [3.0, 0, 0, 5, 4, 0], "soap": [1.0] * 6})
    sparse = full[full["quantity"] > 0].sample(frac=1, random_state=1)
    pd.testing.assert_frame_equal(classify(full), classify(sparse))


@pytest.mark.parametrize(
    ("units", "pattern"),
    [
        ([4.0, 5, 6, 5], "smooth"),
        ([1.0, 9, 1, 9], "erratic"),
        ([5.0, 0, 5, 0], "intermittent"),
        ([1.0, 0, 9, 0], "lumpy"),
        ([0.0, 0, 0, 0], "no demand"),
        ([7.0], "smooth"),
    ],
)
def test_each_pattern_has_its_corner(units: list[float], pattern: str) -> None:
    assert classify(history({"tea": units}))["pattern"].tolist() == [pattern]


def test_a_value_at_a_cut_off_falls_in_the_steadier_class() -> None:
    # ADI = 33 / 25 = 1.32; CV^2 of 1 and 3 is 2 / 4 = 0.5.
    at = history({"tea": [2.0] * 25 + [0.0] * 8, "soap": [1.0, 3.0] + [0.0] * 31})
    found = records(classify(at, cv2_cut=0.5))
    assert (found["tea"]["adi"], found["tea"]["pattern"]) == (1.32, "smooth")
    assert (found["soap"]["cv2"], found["soap"]["pattern"]) == (0.5, "intermittent")
    assert records(classify(at))["soap"]["pattern"] == "lumpy"
    sizes = history({"tea": [1.0, 2.0, 3.0]})  # a CV of 1/2
    assert classify(sizes)["xyz"].tolist() == ["X"]
    assert classify(sizes, xyz_cuts=(0.49, 0.5))["xyz"].tolist() == ["Y"]
    assert classify(sizes, xyz_cuts=(0.2, 0.3))["xyz"].tolist() == ["Z"]


def test_a_panel_of_known_classes_is_told_apart() -> None:
    rng = np.random.default_rng(7)
    odds = {"smooth": (0.95, 0.2), "erratic": (0.95, 1.2), "intermittent": (0.4, 0.2), "lumpy": (0.4, 1.2)}
    series = {
        f"{pattern}-{i}": list((rng.random(104) < chance) * rng.gamma(1 / cv**2, 20 * cv**2, 104))
        for pattern, (chance, cv) in odds.items()
        for i in range(100)
    }
    found = classify(history(series))
    assert (found["pattern"] == found["item"].str.split("-").str[0]).mean() > 0.95


def test_abc_classes_share_the_value_and_ties_go_by_name() -> None:
    series = {"a": [80.0], "b": [10.0], "c": [5.0], "d": [5.0], "e": [0.0]}
    found = classify(history(series)).set_index("item")["abc"]
    assert found.tolist() == ["A", "B", "B", "C", "C"]
    prices = pd.DataFrame({"item": list("abcde"), "unit_value": [1.0, 100, 1, 1, 1]})
    assert classify(history(series), items=prices).set_index("item")["abc"].tolist() == ["B", "A", "C", "C", "C"]
    assert classify(history({"a": [0.0], "b": [0.0]}))["abc"].tolist() == ["C", "C"]
    assert classify(history(series), abc_shares=(0.01, 1))["abc"].tolist() == ["A", "B", "B", "B", "C"]


def test_classes_do_not_depend_on_the_unit_of_quantity() -> None:
    rng = np.random.default_rng(8)
    table = history({f"i{i}": list(rng.poisson(2, 30) * 1.0) for i in range(20)})
    classes = ["adi", "cv2", "cv", "pattern", "abc", "xyz"]
    dozen = classify(table.assign(quantity=table["quantity"] * 1024))
    pd.testing.assert_frame_equal(classify(table)[classes], dozen[classes])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"adi_cut": 0.9}, "adi_cut must be a finite number of at least 1, got 0.9"),
        ({"cv2_cut": -1.0}, "cv2_cut must be a finite number of at least 0, got -1"),
        ({"abc_shares": (0.9, 0.8)}, "abc_shares must rise from above 0 to at most 1, got (0.9, 0.8)"),
        ({"xyz_cuts": (1.0, 1.0)}, "xyz_cuts must be at least 0, finite and rise, got (1.0, 1.0)"),
    ],
)
def test_cuts_that_cannot_be_are_refused(options: dict[str, float], message: str) -> None:
    with pytest.raises(MethodError) as caught:
        classify(history({"tea": [1.0]}), **options)  # type: ignore[arg-type]
    assert str(caught.value) == message


def test_an_item_without_a_value_is_named() -> None:
    prices = pd.DataFrame({"item": ["tea", "jam"], "unit_value": [2.0, np.nan]})
    with pytest.raises(ConfigError) as caught:
        classify(history({"tea": [1.0], "jam": [1.0], "soap": [2.0]}), items=prices)
    assert caught.value.problems == (
        "items: must have a unit_value for item jam", "items: must have a unit_value for item soap"
    )  # fmt: skip


def test_the_uplift_of_one_series_is_the_ratio_of_its_means() -> None:
    table = promotion_uplift(history({"tea": [10.0, 12, 30, 8, 10, 34]}), promoted({"tea": [2, 5, 9]}))
    found = table.iloc[0]
    assert (found["periods"], found["promoted_periods"], found["baseline"]) == (6, 2, 10)
    assert found["promotion_share"] == pytest.approx(1 / 3)
    assert found["uplift"] == pytest.approx(3.2)
    c2 = (2 * (2 / 32) ** 2 + 2 * 0.2**2) / 4
    half = 1.959964 * math.sqrt(c2 * (1 / 2 + 1 / 4))
    assert found["uplift_lower"] == pytest.approx(3.2 * math.exp(-half), rel=1e-6)
    assert found["uplift_upper"] == pytest.approx(3.2 * math.exp(half), rel=1e-6)
    assert found["uplift_source"] == "own history"


def test_periods_without_a_row_count_as_promoted_or_not_without_demand() -> None:
    full = history({"tea": [10.0, 0, 30, 0, 10, 34], "soap": [5.0] * 6})
    sparse = full[full["quantity"] > 0]
    on = promoted({"tea": [2, 3, 5], "soap": [0]})
    pd.testing.assert_frame_equal(promotion_uplift(full, on), promotion_uplift(sparse, on))


def panel(rng: np.random.Generator, uplifts: np.ndarray, *, promotions: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    series, on = {}, {}
    for i, uplift in enumerate(uplifts):
        units = rng.gamma(25, 4, 40)
        days = rng.choice(40, promotions, replace=False)
        units[days] *= uplift
        series[f"i{i:03d}"], on[f"i{i:03d}"] = list(units), list(days)
    return history(series), promoted(on)


def test_the_interval_holds_the_true_uplift_as_often_as_it_says_and_shrinking_sharpens_it() -> None:
    rng = np.random.default_rng(9)
    truth = np.exp(rng.normal(math.log(2), 0.1, 400))
    realised, on = panel(rng, truth, promotions=2)
    shrunk, own = promotion_uplift(realised, on), promotion_uplift(realised, on, shrink=False)
    for table in (shrunk, own):
        inside = (table["uplift_lower"] <= truth) & (truth <= table["uplift_upper"])
        assert inside.mean() == pytest.approx(0.95, abs=0.03)
    error = [float(np.sqrt(np.mean(np.log(table["uplift"] / truth) ** 2))) for table in (shrunk, own)]
    assert error[0] < 0.75 * error[1]
    assert set(shrunk["uplift_source"]) == {"shrunk"}


def test_a_series_that_was_never_promoted_takes_the_common_uplift() -> None:
    rng = np.random.default_rng(10)
    realised, on = panel(rng, np.full(30, 2.0), promotions=3)
    table = promotion_uplift(realised, on[on["item"] != "i000"])
    assert table["uplift_source"].iloc[0] == "pooled"
    assert table["uplift"].iloc[0] == pytest.approx(2, rel=0.1)


@pytest.mark.parametrize(
    ("series", "on"),
    [
        ({"tea": [5.0, 5, 5]}, {}),
        ({"tea": [5.0, 5, 5]}, {"tea": [0, 1, 2]}),
        ({"tea": [0.0, 0, 0]}, {"tea": [1]}),
        ({"tea": [5.0]}, {"tea": [0]}),
        ({"tea": [0.0, 9, 0]}, {"tea": [1]}),
        ({}, {"tea": [1]}),
    ],
)
def test_without_demand_in_and_out_of_promotions_there_is_no_uplift(series: Series, on: dict[str, list[int]]) -> None:
    table = promotion_uplift(history(series), promoted(on))
    assert (table["uplift_source"] == "none").all()
    assert (table[["uplift", "uplift_lower", "uplift_upper"]] == 1).all(axis=None)


def test_demand_that_does_not_vary_has_a_sharp_uplift() -> None:
    table = promotion_uplift(history({"tea": [5.0, 10, 5], "jam": [2.0, 4, 2]}), promoted({"tea": [1], "jam": [1]}))
    assert table["uplift"].to_numpy() == pytest.approx([2, 2])
    assert table["uplift_upper"].to_numpy() == pytest.approx([2, 2], rel=1e-5)


def facts(**changed: object) -> pd.DataFrame:
    """A series that may be planned automatically, but for what is changed."""
    usual = {"count": 52, "periods": 52, "demand_periods": 50, "idle_periods": 0, "mean": 10.0, "pattern": "smooth"}
    return pd.DataFrame([{**usual, "bias": 1.0, "promotion_share": 0.1, **changed}])


@pytest.mark.parametrize(
    ("changed", "route", "reason"),
    [
        ({}, "regular", ""),
        ({"pattern": "lumpy"}, "sporadic", "lumpy demand"),
        ({"pattern": "intermittent"}, "sporadic", "intermittent demand"),
        ({"periods": 0, "demand_periods": 0, "count": 0}, "manual", "no history"),
        ({"periods": 11}, "manual", "history too short: 11 periods, 12 needed"),
        ({"demand_periods": 0, "mean": 0.0, "bias": -2.0}, "manual", "no demand in the history"),
        ({"demand_periods": 1}, "manual", "demand in too few periods: 1, 2 needed"),
        ({"idle_periods": 27}, "manual", "does not move: no demand for 27 periods, 26 allowed"),
        ({"promotion_share": 0.3}, "manual", "promoted in 30% of the periods, 25% allowed"),
        ({"count": 0}, "manual", "forecast missing: 0 periods have one, 1 needed"),
        ({"bias": -6.0}, "manual", "forecast biased: +60% of mean demand, 50% allowed"),
        ({"bias": 6.0}, "manual", "forecast biased: -60% of mean demand, 50% allowed"),
        (
            {"periods": 3, "count": 0},
            "manual",
            "history too short: 3 periods, 12 needed; forecast missing: 0 periods have one, 1 needed",
        ),
    ],
)
def test_a_series_is_routed_with_the_reason(changed: dict[str, object], route: str, reason: str) -> None:
    found = eligibility(facts(**changed)).iloc[0]
    assert (found["route"], found["reason"], found["eligible"]) == (route, reason, route != "manual")


def test_the_limits_themselves_are_allowed_and_can_be_set() -> None:
    at = facts(periods=12, demand_periods=2, idle_periods=26, promotion_share=0.25, bias=5.0, count=1)
    assert eligibility(at)["eligible"].all()
    assert not eligibility(at, rules=EligibilityRules(most_idle_periods=25))["eligible"].any()
    with pytest.raises(MethodError, match="most_bias must be a finite number of at least 0, got -1"):
        EligibilityRules(most_bias=-1)
    with pytest.raises(ConfigError, match="series, column pattern: is required"):
        eligibility(at.drop(columns="pattern"))
