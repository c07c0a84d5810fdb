"""Alerts after a planning run: every rule fires on one case and is silent on another, and the order is fixed."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest

from echelon.baselines.planning import Targets, plan_tables
from echelon.baselines.planning_alerts import COLUMNS, alerts, readable
from echelon.baselines.planning_rules import RULES, SEVERITIES, AlertRule
from echelon.baselines.planning_tables import PlanningTables, check_tables
from echelon.baselines.safety_stock_bands import Band
from echelon.envs.errors import MethodError

START = pd.Timestamp("2024-01-01")
Frames = dict[str, pd.DataFrame]
Case = tuple[PlanningTables, Targets]
Change = Callable[[Frames], None]
"""A change of the tables before they are planned."""


def frames() -> Frames:
    """One item from a depot to a shop: 10 units a day, forecasts off by 2, nothing to complain about."""
    past, future = pd.date_range(end=START - pd.Timedelta(days=1), periods=70), pd.date_range(START, periods=56)
    key = {"item": "tea", "location": "shop"}
    off = np.resize([2.0, -2.0], len(past))
    orders = pd.DataFrame(
        [
            {"item": "tea", "location": at, "ordered": past[7 * k], "planned": lead, "actual": lead}
            for k in range(8)
            for at, lead in (("shop", 2.0), ("depot", 4.0))
        ]
    )
    return {
        "items": pd.DataFrame([{"item": "tea", "category": "Packaged foods", "unit_value": 2.0}]),
        "locations": pd.DataFrame(
            [{"location": "depot", "kind": "warehouse"}, {"location": "shop", "kind": "outlet", "storage": 500.0}]
        ),
        "lanes": pd.DataFrame([{"source": "depot", "location": "shop", "duration": 2.0}]),
        "item_locations": pd.DataFrame(
            [
                {**key, "service_level": 0.95, "lead_time": 2.0, "holding_cost": 1.0, "shelf_life": 60},
                {**key, "location": "depot", "service_level": 0.95, "lead_time": 4.0, "holding_cost": 0.5},
            ]
        ),
        "forecasts": pd.DataFrame({**key, "period": [*past, *future], "quantity": 10.0}),
        "demand": pd.DataFrame({**key, "period": past, "quantity": 10.0 + off}),
        "lead_times": orders,
        "stock": pd.DataFrame([{**key, "on_hand": 40.0}, {**key, "location": "depot", "on_hand": 60.0}]),
        "receipts": pd.DataFrame([{**key, "period": START, "quantity": 10.0}]),
    }


def case(change: Change | None = None, method: str = "assp", **options: Any) -> Case:
    """The tables after a change, and their targets."""
    data = frames()
    if change:
        change(data)
    tables = check_tables(data)
    return tables, plan_tables(tables, method, **({"bands": {}} | options if method == "assp" else options))


@cache
def sound_case() -> Case:
    return case(**wide_bands())


def row(table: str, column: str, value: Any, *, at: str = "shop") -> Change:
    """Another value in the row of a location."""

    def change(data: Frames) -> None:
        data[table] = data[table].copy()
        data[table].loc[data[table]["location"] == at, column] = value

    return change


def wide_bands() -> dict[str, Any]:
    return {"bands": {"Packaged foods": Band(0.95, 0.0, 30.0)}}


def low_bands() -> dict[str, Any]:
    return {"bands": {"Packaged foods": Band(0.95, 5.0, 6.0)}}


def without_safety_stock(data: Frames) -> None:
    """Safety stock is set elsewhere, to nothing, where demand is uncertain."""
    data["item_locations"] = data["item_locations"].assign(method="SB", safety_stock=0.0)
    data["demand"]["quantity"] = np.resize([0.0, 20.0], len(data["demand"]))


def idle(data: Frames) -> None:
    """A location that nobody buys from."""
    data["locations"].loc[2] = {"location": "kiosk", "kind": "outlet"}
    new = data["item_locations"].iloc[[0]].assign(location="kiosk")
    data["item_locations"] = pd.concat([data["item_locations"], new])


def old(data: Frames) -> None:
    """A second shop whose demand was last written down 25 days ago."""
    data["locations"].loc[2] = {"location": "kiosk", "kind": "outlet"}
    for name in ("item_locations", "forecasts", "demand", "lead_times"):
        new = data[name][data[name]["location"] == "shop"].assign(location="kiosk")
        if name == "demand":
            new = new[new["period"] <= START - pd.Timedelta(days=25)]
        data[name] = pd.concat([data[name], new])


def begun(data: Frames) -> None:
    """A shop that is five days old."""
    data["demand"] = data["demand"].tail(5)


def garden(data: Frames) -> None:
    """A category that the case of Table 1 does not have."""
    data["items"] = data["items"].assign(category="Garden")


def late_deliveries(data: Frames) -> None:
    times = data["lead_times"]
    times["actual"] = times["planned"] + np.where(times["location"] == "depot", 2.0, 0.0)


def low_forecasts(data: Frames) -> None:
    data["demand"]["quantity"] += 5.0


def spike(data: Frames) -> None:
    data["demand"].loc[data["demand"]["period"] == START - pd.Timedelta(days=3), "quantity"] = 90.0


def noisy(data: Frames) -> None:
    data["demand"]["quantity"] = np.resize([0.0, 0.0, 0.0, 40.0], len(data["demand"]))


def unrecorded(data: Frames) -> None:
    data["lead_times"].loc[data["lead_times"]["location"] == "depot", "actual"] = np.nan


FIRING: dict[str, tuple[Change | None, dict[str, Any], str, float, float]] = {
    "projected_stockout": (row("stock", "on_hand", 5.0), {}, "shop", 5 + 10 - 2 * 10, 0.0),
    "storage_exceeded": (row("locations", "storage", 1.0), {}, "shop", np.nan, 1.0),
    "limited_stock": (row("locations", "storage", 3.0), {"within_storage": True}, "shop", np.nan, 0.0),
    "expiry_risk": (row("item_locations", "shelf_life", 3), {}, "shop", 40 / 10, 3.0),
    "excess_stock": (row("stock", "on_hand", 400.0), {}, "shop", 400.0, np.nan),
    "target_unreachable": (without_safety_stock, {}, "shop", np.nan, 0.945),
    "missing_input": (idle, {}, "kiosk", 0.0, 1.0),
    "stale_input": (old, {}, "kiosk", 25.0, 14.0),
    "lead_time_drift": (late_deliveries, {}, "depot", 2 / 4, 0.25),
    "overdue_receipts": (row("receipts", "period", START - pd.Timedelta(days=3)), {}, "shop", 3.0, 0.0),
    "forecast_bias": (low_forecasts, {}, "shop", 56 * 5 / 5, 3 * np.sqrt(np.pi / 2 * 56)),
    "clamp_rate": (None, low_bands(), "", 1.0, 0.5),
    "history_behind": (old, {}, "kiosk", 24.0, 0.0),
    "short_history": (begun, {}, "shop", 5.0, 14.0),
    "no_band": (garden, {"bands": None}, "", 2.0, 0.0),
    "demand_spike": (spike, {}, "shop", 80.0, np.nan),
    "forecast_error": (noisy, {}, "shop", 60 / 40, 1.0),
    "missing_lead_times": (unrecorded, {}, "depot", 0.0, 1.0),
}
"""A case in which each rule fires: the change, the options, where, and value and limit by hand (NaN: not checked)."""


def fired(of: Case, name: str) -> pd.DataFrame:
    return alerts(*of, rules={name: RULES[name]})


@pytest.mark.parametrize("name", FIRING)
def test_a_rule_fires_on_its_case_with_value_and_limit(name: str) -> None:
    change, options, location, value, limit = FIRING[name]
    found = fired(case(change, **options), name)
    assert list(found.columns) == list(COLUMNS)
    assert location in found["location"].tolist()
    first = found[found["location"] == location].iloc[0]
    assert first["period"] >= START or name == "demand_spike"
    if not np.isnan(value):
        assert first["value"] == pytest.approx(value, rel=1e-9)
    if not np.isnan(limit):
        assert first["limit"] == pytest.approx(limit, rel=1e-9)
    assert (first["value"] < first["limit"]) == (RULES[name].fires == "below")


@pytest.mark.parametrize("name", FIRING)
def test_messages_have_units_and_no_digits_that_say_nothing(name: str) -> None:
    change, options, *_ = FIRING[name]
    message = fired(case(change, **options), name)["message"].iloc[0]
    assert not re.search(r"\d\.\d{3}|e[+-]?\d", message), message
    assert ("%" in message) == RULES[name].in_percent


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "lead_time_drift",
            "recent deliveries came later than planned by 50 % of the lead time, at most 25 % is allowed",
        ),
        ("clamp_rate", "the band of Packaged foods moved 100 % of the safety stocks, at most 50 % is allowed"),
        ("forecast_error", "recent forecasts missed demand by 150 % of it, at most 100 % is allowed"),
        ("expiry_risk", "stock lasts 4 days, units keep for 3"),
        ("projected_stockout", "stock is projected to be -5 units before an order of today can arrive"),
    ],
)
def test_a_message_reads_well(name: str, message: str) -> None:
    change, options, *_ = FIRING[name]
    assert fired(case(change, **options), name)["message"].iloc[0] == message


def test_a_value_close_to_its_limit_has_the_digits_that_tell_them_apart() -> None:
    assert readable(0.0712345, 0.05, in_percent=True) == ("7.12 %", "5 %")
    assert readable(0.94496, 0.945, in_percent=True) == ("94.496 %", "94.5 %")
    assert readable(100_000.0, 123_456.7) == ("100,000", "123,457")
    assert readable(1_000.4, 1_000.3) == ("1,000.4", "1,000.3")
    assert readable(-1e-9, 0.0) == ("0", "0")


@pytest.mark.parametrize("name", RULES)
def test_no_rule_fires_on_the_sound_case(name: str) -> None:
    assert fired(sound_case(), name).empty


def test_the_solver_gap_fires_where_a_method_reports_one_beyond_its_limit() -> None:
    tables, targets = case()
    assert fired((tables, targets), "solver_gap").empty
    with_gap = replace(targets, parameters=targets.parameters.assign(gap=[0.01, 0.0005]))
    found = fired((tables, with_gap), "solver_gap")
    assert found[["location", "severity", "value", "limit"]].to_numpy().tolist() == [["shop", "warning", 0.01, 0.001]]


def test_a_rule_exists_for_every_case_and_a_case_for_every_rule() -> None:
    assert {*FIRING, "solver_gap"} == set(RULES)
    assert all(name == rule.name for name, rule in RULES.items())


def test_a_stockout_is_projected_for_the_first_period_that_runs_short() -> None:
    """Stock 5, 10 units due on the first day, 10 sold a day, an order of today comes after two days."""
    found = fired(case(row("stock", "on_hand", 5.0)), "projected_stockout")
    assert found[["period", "value"]].to_numpy().tolist() == [[START + pd.Timedelta(days=1), -5.0]]
    assert fired(case(row("stock", "on_hand", 10.0)), "projected_stockout").empty


def test_an_excess_is_counted_beyond_the_target_position_and_thirty_days() -> None:
    tables, targets = case(row("stock", "on_hand", 400.0))
    shop = targets.series[(targets.series["location"] == "shop") & (targets.series["period"] == START)]
    limit = float(shop["target_position"].iloc[0]) + 30 * 10
    assert fired((tables, targets), "excess_stock")["limit"].iloc[0] == pytest.approx(limit)
    assert fired(case(row("stock", "on_hand", limit - 1)), "excess_stock").empty
    assert len(fired(case(row("stock", "on_hand", limit + 1)), "excess_stock")) == 1


def test_the_storage_of_a_location_is_shared_by_its_items() -> None:
    data = frames()
    other = {name: table.assign(item="soap") for name, table in data.items() if "item" in table and name != "lanes"}
    both = {name: pd.concat([data[name], other[name]]) if name in other else data[name] for name in data}
    tables = check_tables(both)
    targets = plan_tables(tables, "assp", bands={})
    start = targets.series[(targets.series["period"] == START) & (targets.series["location"] == "shop")]
    planned = float((start["safety_stock"] + start["cycle_stock"]).sum())
    one = float(start["safety_stock"].iloc[0])
    assert one < planned
    for storage, count in ((0.99 * planned, 1), (1.01 * planned, 0)):
        rule = {"storage": RULES["storage_exceeded"]}
        places = tables["locations"].assign(storage=[np.nan, storage])
        found = alerts(PlanningTables({**tables.tables, "locations": places}), targets, rule)
        assert len(found) == count
        assert not count or (found["item"].iloc[0], found["value"].iloc[0]) == ("", pytest.approx(planned))


def test_a_stock_without_demand_is_an_expiry_risk_without_infinite_days() -> None:
    def still(data: Frames) -> None:
        data["forecasts"]["quantity"] = 0.0

    found = fired(case(still), "expiry_risk")
    assert np.isfinite(found["value"].to_numpy(dtype=float)).all()
    assert found["severity"].tolist() == ["critical"]


def test_the_severity_rises_where_the_value_is_beyond_the_second_limit() -> None:
    for days, severity in ((25, "warning"), (64, "critical")):

        def ancient(data: Frames, days: int = days) -> None:
            old(data)
            kiosk = data["demand"]["location"] == "kiosk"
            data["demand"] = data["demand"][~kiosk | (data["demand"]["period"] <= START - pd.Timedelta(days=days))]

        assert fired(case(ancient), "stale_input")["severity"].tolist() == [severity]


def test_alerts_come_in_one_order_whatever_the_order_of_the_rows() -> None:
    def worst(data: Frames) -> None:
        for change in (old, late_deliveries, spike, row("stock", "on_hand", 1.0), row("locations", "storage", 1.0)):
            change(data)

    def shuffled(data: Frames) -> None:
        worst(data)
        for name in ("demand", "forecasts", "lead_times", "stock"):
            data[name] = data[name].sample(frac=1.0, random_state=3)

    first, again, mixed = (alerts(*case(change)) for change in (worst, worst, shuffled))
    pd.testing.assert_frame_equal(first, again)
    pd.testing.assert_frame_equal(first, mixed)
    rank = [SEVERITIES.index(severity) for severity in first["severity"]]
    assert rank == sorted(rank)
    assert len(set(first["rule"])) > 4
    assert np.isfinite(first[["value", "limit"]].to_numpy(dtype=float)).all()


def test_a_rule_of_ones_own_names_a_column_of_the_parameters() -> None:
    rule = AlertRule("many_days", "info", "{value} days of safety stock", "safety_days", limit=-1.0)
    found = alerts(*case(), rules={"many_days": rule})
    assert found["location"].tolist() == ["depot", "shop"]
    assert found["message"].iloc[0] == f"{round(found['value'].iloc[0], 2):g} days of safety stock"
    assert alerts(*case(), rules={}).columns.tolist() == list(COLUMNS)


def test_a_rule_that_cannot_be_is_refused() -> None:
    rule = RULES["stale_input"]
    with pytest.raises(MethodError, match=r"^severity must be one of critical, warning, info, got 'fatal'"):
        replace(rule, severity="fatal")  # type: ignore[arg-type]
    with pytest.raises(MethodError, match=r"^fires must be one of above, below, got 'abov'; did you mean 'above'\?$"):
        replace(rule, fires="abov")  # type: ignore[arg-type]
    with pytest.raises(MethodError, match=r"^escalates must be beyond the limit of 14 of stale_input, got 3$"):
        replace(rule, escalates=3.0)


@pytest.mark.parametrize("method", ["assp", "dynamic", "multistage", "gsm"])
def test_every_method_gives_alerts_without_missing_numbers(method: str) -> None:
    found = alerts(*case(old, method))
    assert "stale_input" in found["rule"].tolist()
    assert not found.isna().to_numpy().any()


def test_a_promise_to_customers_is_a_service_level() -> None:
    def promised(data: Frames) -> None:
        data["item_locations"]["service_level"] = [np.nan, 0.95]
        data["service_targets"] = pd.DataFrame([{"item": "tea", "service_level": 0.95}])

    assert fired(case(promised), "missing_input").empty
    tables, targets = case(promised)
    unpromised = replace(targets, parameters=targets.parameters.assign(service_level=np.nan))
    assert set(fired((tables, unpromised), "missing_input")["location"]) == {"shop", "depot"}
