"""Errors, bands, time-phased plans, tables with their hooks, and runs that can be stopped."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from echelon.baselines import safety_stock_run
from echelon.baselines.safety_stock import EXTENDED, assp
from echelon.baselines.safety_stock_bands import TABLE_1, Band, clamp
from echelon.baselines.safety_stock_errors import automatic_safety_stock, sd_per_period, sigma_from_error
from echelon.baselines.safety_stock_rules import Profile, SafetyStockRules
from echelon.baselines.safety_stock_run import assp_to_file
from echelon.baselines.safety_stock_table import plan_safety_stock
from echelon.baselines.safety_stock_time_phased import assp_time_phased
from echelon.envs.errors import MethodError

# R of the ERP automatic safety stock: 1.25 z by service level, and the values that circulate among its users.
R_FACTORS = {
    55: (0.157, 0.16),
    60: (0.317, 0.31),
    65: (0.482, 0.49),
    70: (0.656, 0.65),
    75: (0.843, 0.84),
    80: (1.052, 1.05),
    85: (1.296, 1.3),
    90: (1.602, 1.6),
    95: (2.056, 2.06),
    98: (2.567, 2.56),
    99: (2.908, 2.91),
    99.5: (3.22, 3.2),
    99.8: (3.598, 4),
}


def test_the_factor_of_automatic_safety_stock_is_one_and_a_quarter_normal_quantiles() -> None:
    levels = np.array(list(R_FACTORS)) / 100
    own, published = np.array(list(R_FACTORS.values())).T
    stock = automatic_safety_stock(levels, lead_time=1, mad=1)
    np.testing.assert_allclose(stock, own, atol=5e-4 + 1e-9)
    assert (abs(stock - published) < 0.01).sum() == 11


def test_automatic_safety_stock_grows_with_the_root_above_one_period_and_in_proportion_below() -> None:
    stock = automatic_safety_stock(0.95, lead_time=[0.0, 0.25, 1, 4], mad=10)
    np.testing.assert_allclose(stock / stock[2], [0, 0.25, 1, 2])
    assert automatic_safety_stock(0.4, lead_time=3, mad=10) == 0
    assert automatic_safety_stock(0.95, lead_time=20, mad=10, forecast_period=5) == pytest.approx(stock[3])


def test_sigma_is_recovered_from_a_million_normal_errors() -> None:
    actual = np.random.default_rng(0).normal(200, 37, 10**6)
    mad, rmse = abs(actual - 200).mean() / 200, np.sqrt(((actual - 200) ** 2).mean()) / 200
    assert sigma_from_error(mad, 200) == pytest.approx(37, rel=0.005)
    assert sigma_from_error(rmse, 200, kind="rmse") == pytest.approx(37, rel=0.005)
    assert sd_per_period(37, 4) == 18.5


def test_bad_errors_are_refused() -> None:
    with pytest.raises(MethodError, match="kind must be mad or rmse, got 'mape'"):
        sigma_from_error(0.1, 10, kind="mape")
    with pytest.raises(MethodError, match=r"error must be at least 0 .* got -0.1"):
        sigma_from_error(-0.1, 10)
    with pytest.raises(MethodError, match="periods must be above 0"):
        sd_per_period(3, 0)
    with pytest.raises(MethodError, match="forecast_period must be above 0"):
        automatic_safety_stock(0.9, lead_time=1, mad=1, forecast_period=0)


def test_table_1_is_shipped() -> None:
    assert {name: dataclasses.astuple(band) for name, band in TABLE_1.items()} == {
        "Tobacco (high sellers)": (0.999, 2, 6),
        "Tobacco (low sellers)": (0.999, 6, 10),
        "Packaged foods": (0.95, 2, 6),
        "Ready-to-eat foods": (0.95, 6, 10),
        "Personal care products": (0.99, 2, 6),
    }


def test_days_are_moved_into_their_band_and_every_move_is_on_record() -> None:
    category = ["Packaged foods", "Packaged foods", "Ready-to-eat foods", None, "Tobacco (high sellers)"]
    found = clamp([3, 9, 4, 99, 1.5], category)
    assert found.days.tolist() == [3, 6, 6, 99, 2]
    assert found.audit.to_dict("list") == {
        "row": [1, 2, 4],
        "category": ["Packaged foods", "Ready-to-eat foods", "Tobacco (high sellers)"],
        "days": [9, 4, 1.5],
        "clamped_days": [6, 6, 2],
        "rule": ["most_days", "least_days", "least_days"],
    }
    assert found.rate == 0.6
    assert found.counts().loc["Packaged foods", "most_days"] == 1
    again = clamp(found.days, category)
    assert again.days.tolist() == found.days.tolist()
    assert again.audit.empty
    assert again.rate == clamp([], "Packaged foods").rate == 0


def test_bad_bands_are_refused() -> None:
    with pytest.raises(MethodError, match="category 'Tobaco' has no band"):
        clamp([1.0], "Tobaco")
    with pytest.raises(MethodError, match=r"days must be at least 0 .* got nan at position 1"):
        clamp([1.0, np.nan], "Packaged foods")
    with pytest.raises(MethodError, match="category must be one name or one for each of 3 rows, got 2"):
        clamp([1.0, 2.0, 3.0], ["Packaged foods"] * 2)
    with pytest.raises(MethodError, match="least_days must be at least 0 and at most most_days"):
        Band(0.9, 5, 4)
    with pytest.raises(MethodError, match="service_level must be above 0 and below 1, got 1"):
        Band(1, 0, 4)


PHASED: dict[str, Any] = {"lead_time": 2.5, "lead_time_sd": 0.7, "review_period": 3, "service_level": 0.97}


@pytest.mark.parametrize("method", EXTENDED)
@pytest.mark.parametrize("demand", ["normal", "gamma"])
def test_a_forecast_that_does_not_change_gives_the_same_stock_in_every_period(method: str, demand: str) -> None:
    mean, sd = np.full((2, 8), 20.0), np.array([[6.0], [9.0]])
    stock = assp_time_phased(method, demand_mean=mean, demand_sd=sd, **PHASED, demand=demand)
    steady = assp(method, demand_mean=20, demand_sd=sd, **PHASED, demand=demand)
    np.testing.assert_allclose(stock, np.broadcast_to(steady, (2, 8)), rtol=1e-9)


def test_safety_stock_follows_the_forecast_of_its_window() -> None:
    mean, sd = np.array([10.0, 10, 10, 40, 40, 10, 10]), np.array([2.0, 2, 2, 8, 8, 2, 2])
    given: dict[str, Any] = {**PHASED, "demand_mean": mean, "demand_sd": sd}
    z = 1.880793608151251
    expected = [np.sqrt(4 + 4 + 2 + (25 / 2.5 * 0.7) ** 2), np.sqrt(4 + 4 + 32 + (40 / 2.5 * 0.7) ** 2)]
    stock = assp_time_phased("AS", **given)
    np.testing.assert_allclose(stock[:2], z * np.array(expected))
    assert stock[5] == pytest.approx(float(assp("AS", demand_mean=10, demand_sd=2, **PHASED)))
    later = mean.copy()
    later[6] = 99
    changed = assp_time_phased("BT", **{**given, "demand_mean": later}) != assp_time_phased("BT", **given)
    assert changed.tolist() == [False] + [True] * 6  # L + R is 5.5: the first window ends before period 6
    assert (assp_time_phased("BS", **given) >= 0).all()


def test_periods_without_demand_need_no_stock() -> None:
    stock = assp_time_phased("BT", demand_mean=[0.0] * 9 + [5.0], demand_sd=[0.0] * 9 + [2.0], **PHASED)
    assert (stock[:4] == 0).all()
    assert (stock[4:] > 0).all()
    with pytest.raises(MethodError, match="demand_mean must have an axis of periods"):
        assp_time_phased("BT", demand_mean=3, demand_sd=1, **PHASED)
    with pytest.raises(MethodError, match="method must be AS or"):
        assp_time_phased("SB", demand_mean=[3], demand_sd=1, **PHASED)


TABLE = pd.DataFrame(
    {
        "method": ["BT", "AS", "BS", "MB", "SZ", "SM", "AT"],
        "service_level": [0.95, 0.99, 0.95, None, None, None, 0.9],
        "demand_mean": [100.0, 50, 20, 30, 10, 10, 10],
        "demand_error": [0.4, 0.0, 0.5, None, None, None, 0.3],
        "demand_sd": [None, 12.0, 99.0, None, None, None, None],
        "lead_time": [5.0, 4, 6, None, None, None, 3],
        "lead_time_error": [None, 0.2, None, None, None, None, None],
        "target_days": [5.0, 1, 4, None, None, None, 2],
        "lot_size": [None, None, 0.0, None, None, None, None],
        "safety_stock": [None, None, None, 333.0, None, 15.0, 7.0],
        "safety_days": [None, None, None, None, 4.0, 2.0, None],
        "category": ["Packaged foods"] * 4 + ["Ready-to-eat foods", "", "Packaged foods"],
        "external": [None, False, np.nan, False, False, False, True],
    },
    index=pd.Index(list("abcdefg"), name="row"),
)
C = np.sqrt(np.pi / 2)


def test_a_table_is_planned_row_by_row_by_its_own_methods() -> None:
    log = plan_safety_stock(TABLE).log
    expected = [
        assp("BT", demand_mean=100, demand_sd=C * 40, lead_time=5, review_period=5, service_level=0.95),
        assp("AS", demand_mean=50, demand_sd=12, lead_time=4, lead_time_sd=C * 0.8, service_level=0.99),
        assp("BS", demand_mean=20, demand_sd=C * 10, lead_time=6, order_quantity=80, service_level=0.95),
        *(333, 40, 20, 7),
    ]
    np.testing.assert_allclose(log["safety_stock"], np.array(expected, dtype=float))
    assert log["status"].tolist() == ["planned"] * 3 + ["kept"] + ["planned"] * 2 + ["kept"]
    assert log.index.equals(TABLE.index)


def test_the_log_alone_reproduces_every_stock() -> None:
    log = plan_safety_stock(TABLE, bands=TABLE_1).log
    extended = log["safety_factor"].notna()
    np.testing.assert_allclose(
        (log["safety_factor"] * log["exposure_sd"])[extended], log["planned_stock"][extended], rtol=1e-12
    )
    clamped = log["rule"] != ""
    np.testing.assert_allclose((log["safety_days"] * log["demand_mean"])[clamped], log["safety_stock"][clamped])
    np.testing.assert_array_equal(log["planned_stock"][~clamped], log["safety_stock"][~clamped])


def test_bands_move_planned_rows_and_never_those_of_others() -> None:
    plan = plan_safety_stock(TABLE, bands=TABLE_1)
    assert plan.log.loc["e", "safety_stock"] == 60  # 4 days, raised to 6
    assert plan.log.loc["d", "safety_stock"] == 333  # 11.1 days by MB, above the band
    assert plan.log.loc["g", "safety_stock"] == 7  # 0.7 days, planned elsewhere
    assert plan.clamped.audit["row"].tolist() == [0, 2, 4]
    assert plan.safety_stock.loc["f"] == 20


def test_each_hook_changes_what_it_returns_and_nothing_else() -> None:
    base = plan_safety_stock(TABLE).log
    columns = ["demand_mean", "demand_sd", "lead_time", "lead_time_sd", "planned_stock"]

    def changed(rules: SafetyStockRules) -> list[str]:
        log = plan_safety_stock(TABLE, rules=rules).log
        return [key for key in columns if not log[key].equals(base[key])]

    def doubled(method: str, fields: Mapping[str, Any]) -> Any:
        return 2 * assp(method, **fields)

    def forecast_error(table: pd.DataFrame) -> Any:
        return 0.1 * table["demand_mean"].to_numpy()

    def lead_time(table: pd.DataFrame) -> Any:
        return np.full(len(table), 9.0), np.full(len(table), 1.0)

    assert changed(SafetyStockRules(formula=doubled)) == ["planned_stock"]
    assert changed(SafetyStockRules(forecast_error=forecast_error)) == ["demand_sd", "planned_stock"]
    assert changed(SafetyStockRules(lead_time=lead_time)) == ["lead_time", "lead_time_sd", "planned_stock"]
    profiles = {
        "forecast": ["demand_mean", "demand_sd", "planned_stock"],
        "forecast_error": ["demand_sd", "planned_stock"],
        "lead_time": ["lead_time", "lead_time_sd", "planned_stock"],
        "lead_time_error": ["lead_time_sd", "planned_stock"],
    }
    for key, expected in profiles.items():

        def corrected(_table: pd.DataFrame, key: str = key) -> Profile:
            return Profile(**{key: 0.25})

        assert changed(SafetyStockRules(profile=corrected)) == expected
    with pytest.raises(MethodError, match="lead_time of a profile must be finite and at least -1"):
        Profile(lead_time=-2)
    with pytest.raises(MethodError, match="the formula for BT must give a finite number of at least 0 for each row"):
        plan_safety_stock(TABLE, rules=SafetyStockRules(formula=lambda _method, _fields: np.array([np.nan])))


def test_every_defect_of_a_table_is_listed() -> None:
    table = TABLE.copy()
    table.loc["a", "service_level"] = 1.0
    table.loc["b", ["demand_sd", "lead_time"]] = [np.nan, -1]
    table.loc["c", "method"] = "XX"
    table.loc["d", "safety_stock"] = np.nan
    with pytest.raises(MethodError) as caught:
        plan_safety_stock(table)
    lines = str(caught.value).splitlines()
    assert [line.split(":")[0] for line in lines] == ["row c", "row b", "row b", "row b", "row a", "row d"]
    assert "row a: BT needs service_level above 0 and below 1, got 1" in lines
    assert "row b: AS needs demand_sd at least 0 and at most 1e+50, got nothing" in lines
    assert "row d: MB needs safety_stock at least 0 and at most 1e+50, got nothing" in lines
    with pytest.raises(MethodError, match="the table needs a column 'method'"):
        plan_safety_stock(table.drop(columns="method"))


def test_a_row_without_demand_has_no_days_and_needs_no_stock() -> None:
    table = TABLE.assign(demand_mean=0.0, method="BS", external=False)
    log = plan_safety_stock(table.iloc[:1], bands=TABLE_1).log
    assert log[["safety_stock", "safety_days"]].to_numpy().tolist() == [[0.0, 0.0]]


FIELDS: dict[str, Any] = {
    "demand_mean": np.linspace(1, 90, 1_000),
    "demand_sd": np.linspace(5, 20, 1_000),
    "lead_time": 4,
    "review_period": 3.0,
    "service_level": 0.98,
}


def test_a_run_that_is_stopped_goes_on_where_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "stock.npy"
    calls = []

    def stopping(method: str, **fields: Any) -> Any:
        calls.append(len(fields["demand_mean"]))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return assp(method, **fields)

    monkeypatch.setattr(safety_stock_run, "assp", stopping)
    monkeypatch.setattr(stopping, "__kwdefaults__", assp.__kwdefaults__)
    with pytest.raises(KeyboardInterrupt):
        assp_to_file(path, "BT", FIELDS, part=300)
    assert not path.exists()
    assert json.loads((tmp_path / "stock.npy.json").read_text())["rows_done"] == 600
    with pytest.raises(MethodError, match=r"stock.npy.json belongs to a run with other fields"):
        assp_to_file(path, "BT", {**FIELDS, "lead_time": 5}, part=300)
    stock = assp_to_file(path, "BT", FIELDS, part=250)
    assert calls == [300, 300, 300, 250, 150]
    assert stock.tobytes() == assp("BT", **FIELDS).tobytes()
    assert [file.name for file in tmp_path.iterdir()] == ["stock.npy"]


def test_bad_runs_leave_no_file(tmp_path: Path) -> None:
    path = tmp_path / "stock.npy"
    bad: list[tuple[dict[str, Any], str]] = [
        ({**FIELDS, "service_level": np.r_[np.full(999, 0.9), 1.0]}, "got 1 at position 999"),
        ({**FIELDS, "demand_sigma": 3}, "unknown field 'demand_sigma'"),
        ({**FIELDS, "lead_time": np.ones(7)}, "arrays of one length"),
        (dict.fromkeys(FIELDS, 1), "arrays of one length and at least one row"),
    ]
    for fields, message in bad:
        with pytest.raises(MethodError, match=message):
            assp_to_file(path, "BT", fields)
    with pytest.raises(MethodError, match="part must be at least 1, got 0"):
        assp_to_file(path, "BT", FIELDS, part=0)
    assert not list(tmp_path.iterdir())
