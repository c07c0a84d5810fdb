"""Lead times: errors, what stands in where none was recorded, and which suppliers are to blame."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pandas as pd
import pytest

from echelon.baselines.demand_sigma import demand_sigma
from echelon.baselines.lead_time_errors import imputation_sensitivity, impute_lead_times, lead_time_errors
from echelon.envs.errors import ConfigError, MethodError

NAN = float("nan")


def deliveries(*rows: tuple[str, str, str, float, float]) -> pd.DataFrame:
    """Deliveries as (item, source, location, planned, actual)."""
    return pd.DataFrame(list(rows), columns=["item", "source", "location", "planned", "actual"])


def records(table: pd.DataFrame) -> dict[tuple[Any, ...], dict[Any, Any]]:
    """The rows by item, source and location."""
    return {(row["item"], row["source"], row["location"]): row for row in table.to_dict("records")}


HISTORY = deliveries(
    ("tea", "farm", "shop", 10, 12),
    ("tea", "farm", "shop", 10, 9),
    ("tea", "farm", "shop", 10, 15),
    ("jam", "farm", "shop", 20, NAN),
    ("jam", "farm", "store", 5, NAN),
    ("jam", "mill", "shop", 4, NAN),
    ("jam", "mill", "store", 8, NAN),
)


def test_every_missing_lead_time_is_imputed_from_the_nearest_recorded_ones() -> None:
    table = impute_lead_times(HISTORY)
    assert table["actual"].to_numpy() == pytest.approx([12, 9, 15, 24, 6, 4.8, 9.6])
    assert table["provenance"].tolist() == [*["recorded"] * 3, "lane", "source", "location", "all"]
    assert table["donors"].tolist() == [0, 0, 0, 3, 3, 3, 3]


def test_without_any_record_lead_times_are_as_planned() -> None:
    for table in (HISTORY.assign(actual=NAN), HISTORY.drop(columns="actual")):
        imputed = impute_lead_times(table)
        assert imputed["actual"].tolist() == HISTORY["planned"].tolist()
        assert set(imputed["provenance"]) == {"planned"}
        assert (imputed["donors"] == 0).all()


def test_the_statistics_of_three_deliveries_are_those_computed_by_hand() -> None:
    found = records(lead_time_errors(HISTORY))["tea", "farm", "shop"]
    assert (found["count"], found["mean_planned"], found["mean_realised"], found["bias"]) == (3, 10, 12, 2)
    assert found["mad"] == pytest.approx(8 / 3)
    assert found["rmse"] == pytest.approx(math.sqrt(10))
    assert found["sd"] == pytest.approx(3)
    assert found["wape"] == pytest.approx(8 / 36)
    assert found["sigma"] == pytest.approx(math.sqrt(math.pi / 2) * 8 / 3)
    assert found["relative_error"] == pytest.approx(found["sigma"] / 10)
    assert (found["provenance"], found["donors"]) == ("own", 3)


def test_a_group_without_records_has_the_relative_error_of_its_donors() -> None:
    table = records(lead_time_errors(HISTORY, estimator="sd"))
    expected = {("jam", "farm", "shop"): ("lane", 20), ("jam", "farm", "store"): ("source", 5),
                ("jam", "mill", "shop"): ("location", 4), ("jam", "mill", "store"): ("all", 8)}  # fmt: skip
    for key, (provenance, planned) in expected.items():
        found = table[key]
        assert (found["provenance"], found["donors"], found["count"]) == (provenance, 3, 0)
        assert (found["mean_planned"], found["mean_realised"]) == (planned, pytest.approx(1.2 * planned))
        assert found["sigma"] == found["sd"] == pytest.approx(0.3 * planned)
        assert found["bias"] == pytest.approx(0.2 * planned)


def test_records_that_are_too_few_are_not_trusted_alone() -> None:
    table = pd.concat([HISTORY, deliveries(("jam", "mill", "store", 8, 40))], ignore_index=True)
    found = records(lead_time_errors(table))["jam", "mill", "store"]
    assert (found["count"], found["provenance"], found["donors"]) == (1, "all", 4)
    alone = records(lead_time_errors(table, least=1))["jam", "mill", "store"]
    assert (alone["provenance"], alone["bias"]) == ("own", 32)


def test_where_nothing_is_recorded_the_assumed_error_stands_and_can_be_varied() -> None:
    table = lead_time_errors(HISTORY.assign(actual=NAN), default_error=0.45)
    assert set(table["provenance"]) == {"default"}
    assert table["sigma"].to_numpy() == pytest.approx(0.45 * table["mean_planned"])
    assert table["mad"].to_numpy() == pytest.approx(table["sigma"] / math.sqrt(math.pi / 2))
    report = imputation_sensitivity(table, relative_errors=(0.4, 0.5))
    assert len(report) == 2 * len(table)
    assert report["assumed_sigma"].to_numpy() == pytest.approx(report["assumed_error"] * report["mean_planned"])
    assert imputation_sensitivity(lead_time_errors(HISTORY))["item"].tolist() == ["jam"] * 8


def test_the_error_of_20000_orders_is_recovered_within_2_percent() -> None:
    rng = np.random.default_rng(1)
    rows = pd.DataFrame({"item": "tea", "location": "shop", "planned": 10.0, "actual": rng.normal(12, 2.5, 20_000)})
    found = lead_time_errors(rows, estimator="sd").iloc[0]
    assert found["source"] == "outside"
    assert found["sigma"] == pytest.approx(2.5, rel=0.02)
    assert found["bias"] == pytest.approx(2, rel=0.02)


def test_the_scorecard_finds_every_bad_supplier() -> None:
    rng = np.random.default_rng(2)
    bad = {f"s{i}" for i in (3, 11, 17)}
    rows = [
        ("tea", f"s{i}", "shop", 20.0, float(20 * rng.gamma(4, 0.3) if f"s{i}" in bad else rng.gamma(100, 0.2)))
        for i in range(20)
        for _ in range(40)
    ]
    card = lead_time_errors(deliveries(*rows), by=("source",)).sort_values("relative_error", ascending=False)
    assert set(card["source"].iloc[:3]) == bad


def test_short_records_can_be_shrunk_like_forecast_errors() -> None:
    rng = np.random.default_rng(3)
    rows = [(f"i{i}", "farm", "shop", 10.0, float(rng.normal(10, 2))) for i in range(300) for _ in range(4)]
    table = demand_sigma(lead_time_errors(deliveries(*rows)))
    assert np.abs(table["sigma"] / 2 - 1).max() < 0.25
    assert (table["source"] == "farm").all()


@pytest.mark.parametrize("planned", [0.0, 10.0])
@pytest.mark.parametrize("actual", [[NAN], [3.0], [0.0], [5.0, NAN], [0.0, 0.0, 0.0], [0.0, 0.0, 90.0], []])
def test_no_record_however_poor_gives_a_missing_number(planned: float, actual: list[float]) -> None:
    table = deliveries(*[("tea", "farm", "shop", planned, days) for days in actual])
    for least in (1, 3):
        errors = lead_time_errors(table, least=least)
        assert np.isfinite(errors.select_dtypes("number").to_numpy()).all()
        assert not errors.isna().any(axis=None)
        assert not imputation_sensitivity(errors).isna().any(axis=None)
    assert not impute_lead_times(table).isna().any(axis=None)


def test_bad_rows_and_options_are_refused() -> None:
    actual: list[Any] = [12, 9, "late", 3, -2, None, NAN]
    broken = HISTORY.assign(planned=[10, 10, -1, 20, 5, NAN, 8], actual=actual)
    with pytest.raises(ConfigError) as caught:
        lead_time_errors(broken)
    assert caught.value.problems == (
        "lead_times, row 2, planned: must be a number from 0 to 1e+15 (got -1.0)",
        "lead_times, row 2, actual: must be a number from 0 to 1e+15 (got 'late')",
        "lead_times, row 4, actual: must be a number from 0 to 1e+15 (got -2)",
        "lead_times, row 5, planned: must be a number from 0 to 1e+15 (got nan)",
    )
    with pytest.raises(MethodError, match="least must be at least 1, got 0"):
        lead_time_errors(HISTORY, least=0)
    with pytest.raises(MethodError, match="by must name columns of item, source, location, got 'lane'"):
        lead_time_errors(HISTORY, by=("lane",))
