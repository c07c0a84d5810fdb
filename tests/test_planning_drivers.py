"""What drives the safety stocks of a plan: the parts sum to it, and without a driver exactly its part goes."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from echelon.baselines.planning import PLANNERS, Targets, plan_tables, replay
from echelon.baselines.planning_drivers import DRIVERS
from echelon.baselines.planning_example import example_tables
from echelon.baselines.planning_tables import PlanningTables
from echelon.baselines.safety_stock import assp
from echelon.baselines.safety_stock_bands import Band
from echelon.baselines.safety_stock_rules import Profile, SafetyStockRules

from .test_planning import chain

COLUMNS = [f"driver_{name}" for name in DRIVERS]


def mixed() -> PlanningTables:
    """Thirty distributors and what is above them: all methods, with and without lots and reorder cycles."""
    tables = example_tables(category="personal_care", distributors=60, warehouses=2, mother_warehouses=1, weeks=10)
    rows = tables["item_locations"].copy()
    rows["method"] = np.resize(["BT", "AT", "BS", "AS", "SZ", "MB"], len(rows))
    rows["safety_stock"], rows["safety_days"] = 12.5, 2.0
    rows["target_days"] = np.resize([1.0, 3.0, 5.0, 2.0], len(rows))
    rows["lot_size"] = np.resize([0.0, 0.0, 70.0, 0.0, 20.0], len(rows))
    return PlanningTables({**tables.tables, "item_locations": rows})


def drivers(targets: Targets, location: str = "A") -> dict[str, float]:
    """The parts of one location by the names of the drivers."""
    rows = targets.parameters.set_index("location")
    return {name: float(rows[f"driver_{name}"][location]) for name in DRIVERS}


@pytest.mark.parametrize("options", [{}, {"bands": {}}, {"demand": "gamma"}, {"demand": "negative_binomial"}])
def test_the_drivers_of_every_safety_stock_by_assp_sum_to_it(options: dict[str, Any]) -> None:
    rows = plan_tables(mixed(), "assp", **options).parameters
    assert_allclose(rows[COLUMNS].sum(axis=1), rows["safety_stock"], rtol=0, atol=1e-9)
    stated = rows["method"].isin(["SZ", "MB"])
    assert (rows.loc[stated, "driver_base"] > 0).all()
    assert (rows.loc[~stated, "driver_base"] == 0).all()
    assert not rows["driver_upstream_service"].any()
    with_lot = rows["driver_lot_size"] != 0
    assert set(rows.loc[with_lot, "method"]) == {"BS"}


@pytest.mark.parametrize("kind", ["alpha", "beta"])
def test_the_drivers_of_every_safety_stock_by_multistage_sum_to_it(kind: str) -> None:
    tables = example_tables(category="personal_care", distributors=60, warehouses=2, mother_warehouses=1, weeks=10)
    rows = tables["item_locations"].assign(service_kind=kind)
    targets = plan_tables(PlanningTables({**tables.tables, "item_locations": rows}), "multistage", every_weeks=4)
    found = targets.parameters
    assert_allclose(found[COLUMNS].sum(axis=1), found["safety_stock"], rtol=0, atol=1e-9)
    from_outside = found["location"] == "factory_1"
    assert (found.loc[from_outside, "driver_upstream_service"] == 0).all()
    assert (found.loc[~from_outside, "driver_upstream_service"] != 0).all()
    assert not found[["driver_lot_size", "driver_review_period", "driver_band", "driver_base"]].any(axis=None)


def test_without_a_deviation_or_a_cycle_exactly_its_part_goes() -> None:
    """Constant forecasts, so that the demand that an order covers has no other mean under another cycle."""
    for method in ("AT", "BT"):
        row: dict[str, Any] = {"method": method, "target_days": 4.0, "lead_time": 3.0, "lead_time_error": 0.3}
        plan = [
            plan_tables(chain(rows={"A": row | change}), "assp", bands={})
            for change in ({}, {"target_days": 1.0}, {"target_days": 1.0, "lead_time_error": 0.0})
        ]
        stock = [targets.parameters.set_index("location")["safety_stock"]["A"] for targets in plan]
        parts = drivers(plan[0])
        assert parts["review_period"] == pytest.approx(stock[0] - stock[1], abs=1e-9)
        assert parts["lead_time"] == pytest.approx(stock[1] - stock[2], abs=1e-9)
        assert parts["demand"] == pytest.approx(stock[2], abs=1e-9)
        assert min(parts["demand"], parts["lead_time"]) > 1
        assert drivers(plan[2])["lead_time"] == drivers(plan[1])["review_period"] == 0


def test_a_lot_beyond_the_demand_of_a_day_lowers_the_stock_by_its_part() -> None:
    row: dict[str, Any] = {"method": "BS", "lead_time": 3.0, "lot_size": 45.0}
    targets = plan_tables(chain(rows={"A": row}), "assp", bands={})
    log = targets.log[targets.log["location"] == "A"].iloc[0]
    known = {name: log[name] for name in ("demand_mean", "demand_sd", "lead_time", "lead_time_sd", "service_level")}
    small = float(assp("BS", **known, order_quantity=known["demand_mean"]))
    large = float(assp("BS", **known, order_quantity=45.0))
    assert drivers(targets)["lot_size"] == pytest.approx(large - small, abs=1e-9)
    assert large < small
    by_days = plan_tables(chain(rows={"A": row | {"lot_size": 0.0, "target_days": 4.5}}), "assp", bands={})
    fewer = float(assp("BS", **known, order_quantity=40.0))  # 4.5 days are rounded to 4
    assert drivers(by_days)["review_period"] == pytest.approx(fewer - small, abs=1e-9)
    assert drivers(by_days)["lot_size"] == 0


def test_what_a_band_moves_is_a_driver_of_its_own() -> None:
    items = chain()["items"].assign(category="hot drinks")
    bands = {"hot drinks": Band(0.95, 4.0, 5.0)}
    clamped = plan_tables(chain(items=items), "assp", bands=bands)
    free = plan_tables(chain(items=items), "assp", bands={})
    for name in ("A", "B", "Depot"):
        stock = [targets.parameters.set_index("location")["safety_stock"][name] for targets in (clamped, free)]
        assert drivers(clamped, name)["band"] == pytest.approx(stock[0] - stock[1], abs=1e-9) != 0
        assert drivers(clamped, name) | {"band": 0.0} == drivers(free, name)


def test_upstream_service_is_the_wait_and_its_deviation_at_the_safety_factor_of_the_location() -> None:
    targets = plan_tables(chain(), "multistage")
    log = targets.log[targets.log["location"] == "B"].iloc[0]
    # 2 days of lead time and one of review, with a stated error of 0.3 of 20 units
    needed, own = 60.0, np.sqrt(3) * np.sqrt(np.pi / 2) * 0.3 * 20
    factor = (log["base_stock"] - log["outstanding_mean"]) / log["outstanding_sd"]
    parts = drivers(targets, "B")
    assert parts["demand"] == pytest.approx(factor * own, rel=1e-9)
    wait = log["outstanding_mean"] - needed
    assert parts["upstream_service"] == pytest.approx(wait + factor * (log["outstanding_sd"] - own), abs=1e-9)
    assert wait > 0
    assert parts["lead_time"] == 0


@pytest.mark.parametrize("method", PLANNERS)
def test_stock_that_is_set_elsewhere_is_stated_and_two_methods_have_no_drivers(method: str) -> None:
    rows: dict[str, dict[str, Any]] = {"A": {"method": "MB", "safety_stock": 7.5}}
    targets = plan_tables(chain(rows=rows), method)
    if method in ("dynamic", "gsm"):
        assert not [name for name in targets.parameters if str(name).startswith("driver_")]
    else:
        assert drivers(targets) == dict.fromkeys(DRIVERS, 0.0) | {"base": 7.5}


def test_a_formula_of_ones_own_is_taken_apart_as_well() -> None:
    """Five units in any case, and twice the deviations; a formula that divides by one has no part for it before."""

    def formula(method: str, fields: Any) -> Any:
        assert method == "BT"
        return 5.0 + 2.0 * fields["demand_sd"] + 3.0 * fields["lead_time_sd"]

    targets = plan_tables(
        chain(rows={"A": {"lead_time_error": 0.3}}), "assp", bands={}, rules=SafetyStockRules(formula)
    )
    log = targets.log[targets.log["location"] == "A"].iloc[0]
    expected = {"base": 5.0, "demand": 2 * log["demand_sd"], "lead_time": 3 * log["lead_time_sd"]}
    assert drivers(targets) == pytest.approx(dict.fromkeys(DRIVERS, 0.0) | expected, abs=1e-9)

    def divides(_method: str, fields: Any) -> Any:
        with np.errstate(divide="ignore", invalid="ignore"):
            return fields["demand_mean"] / fields["demand_sd"]

    rows = plan_tables(chain(), "assp", bands={}, rules=SafetyStockRules(divides)).parameters
    assert np.isfinite(rows[COLUMNS].to_numpy()).all()
    assert_allclose(rows[COLUMNS].sum(axis=1), rows["safety_stock"], rtol=0, atol=1e-9)


def test_the_log_reproduces_a_band_of_corrected_forecasts() -> None:
    items = chain()["items"].assign(category="hot drinks")
    rules = SafetyStockRules(profile=lambda _table: Profile(forecast=0.5))
    rows: dict[str, dict[str, Any]] = {"A": {"method": "SZ", "safety_days": 1.0}}
    targets = plan_tables(
        chain(items=items, rows=rows), "assp", bands={"hot drinks": Band(0.95, 4.0, 5.0)}, rules=rules
    )
    assert (targets.log["rule"] == "least_days").all()
    assert_allclose(replay(targets.log), targets.log["safety_stock"], rtol=0, atol=1e-9)
    assert_array_equal(targets.log.loc[targets.log["location"] == "A", "safety_stock"], 1.5 * 10 * 4)
