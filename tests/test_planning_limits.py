"""Safety stock that is cut to a budget and to storage: the limits hold, and the cut is the one of least cost."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import norm

from echelon.baselines.lead_time_demand import lead_time_demand
from echelon.baselines.planning import PLANNERS, Targets, plan_tables, policy_of, replay
from echelon.baselines.planning_alerts import alerts
from echelon.baselines.planning_drivers import DRIVERS
from echelon.baselines.planning_example import example_tables
from echelon.baselines.planning_network import network_of
from echelon.baselines.planning_rules import RULES
from echelon.baselines.planning_service import component_stock, customer_service, mean_on_hand, unit_values
from echelon.baselines.planning_tables import PlanningTables
from echelon.baselines.stock_constraints import (
    factor_of_priced_level,
    factor_of_priced_stock,
    least_price,
    levels_within_storage,
)
from echelon.envs.demand import Poisson
from echelon.envs.errors import MethodError

from .test_planning import chain

Floats = NDArray[np.float64]

HOLDING, SPACE, SD = np.array([1.0, 0.5, 2.0]), np.array([1.0, 3.0, 2.0]), np.array([10.0, 6.0, 15.0])
FACTOR = np.array([1.9, 2.3, 0.8])
STOCKOUT = HOLDING * norm.cdf(FACTOR) / norm.sf(FACTOR)
"""What the factors stand for as prices of shortages."""


def left(k: Floats) -> Floats:
    """Mean stock on hand less the mean net stock, of normal net stock k deviations above 0."""
    return np.asarray(SD * (norm.pdf(k) - k * norm.sf(k)))


def cost(k: Floats) -> float:
    """Of holding and shortage, of three items with these factors."""
    return float(HOLDING @ (k * SD + left(k)) + STOCKOUT @ left(k))


def marginal_cost(k: Floats) -> Floats:
    """By factor: a unit more is held unless it is short, and then it saves its shortage."""
    return np.asarray(SD * (HOLDING * norm.cdf(k) - STOCKOUT * norm.sf(k)))


def used_levels(k: Floats) -> float:
    return float(SPACE @ (k * SD))


def used_stock(k: Floats) -> float:
    return float(SPACE @ (k * SD + left(k)))


@pytest.mark.parametrize(
    ("used", "factor_of"), [(used_levels, factor_of_priced_level), (used_stock, factor_of_priced_stock)]
)
def test_the_cut_factors_are_those_of_least_cost_and_the_price_is_what_a_unit_more_saves(
    used: Any, factor_of: Any
) -> None:
    def slope(k: Floats) -> Floats:
        return np.asarray(SPACE * SD * (norm.cdf(k) if used is used_stock else 1.0))

    def best(limit: float) -> float:
        fits: Any = {"type": "ineq", "fun": lambda k: limit - used(k), "jac": lambda k: -slope(k)}
        found = minimize(cost, 0.5 * FACTOR, jac=marginal_cost, method="SLSQP", constraints=fits, tol=1e-12)
        assert used(found.x) <= limit * (1 + 1e-9)
        return float(found.fun)

    def factors(price: Floats | float) -> Floats:
        return np.asarray(factor_of(FACTOR, price * SPACE / HOLDING))

    assert_allclose(factors(0.0), FACTOR, rtol=1e-9)
    limit = 0.6 * used(FACTOR)
    price = float(least_price(lambda tried: np.asarray(used(factors(tried))), limit, unit=1.0))
    assert used(factors(price)) == pytest.approx(limit, rel=1e-9)
    assert cost(factors(price)) == pytest.approx(best(limit), rel=1e-8)
    assert price == pytest.approx((best(limit - 0.5) - best(limit + 0.5)), rel=1e-3)
    assert least_price(lambda tried: np.asarray(used(factors(tried))), 2 * limit, unit=1.0) == 0.0


def test_whole_levels_within_a_storage_have_nearly_the_price_of_normal_ones() -> None:
    mean = np.array([400.0, 900.0])
    holding, stockout, sd = np.ones(2), np.array([9.0, 30.0]), np.sqrt(mean)
    factor = norm.ppf(stockout / (stockout + holding))
    space = float((mean + 0.5 * factor * sd).sum())
    exact = levels_within_storage(
        [lead_time_demand(Poisson(mean=m), 1) for m in mean.tolist()],
        holding_cost=holding.tolist(),
        stockout_cost=stockout.tolist(),
        space=[1.0, 1.0],
        capacity=space,
    )
    price = least_price(
        lambda tried: np.asarray((mean + factor_of_priced_level(factor, tried) * sd).sum()), space, unit=1.0
    )
    assert exact.shadow_price == pytest.approx(float(price), rel=0.05)


@cache
def small() -> PlanningTables:
    return example_tables(category="personal_care", distributors=40, warehouses=2, mother_warehouses=1, weeks=16)


def investment(targets: Targets, tables: PlanningTables | None = None) -> float:
    return float(unit_values(tables or small(), targets.parameters) @ mean_on_hand(targets))


def stored(targets: Targets) -> pd.Series:
    """Planned stock on hand by location and period."""
    series = targets.series.assign(stock=component_stock(targets.series))
    return series.groupby(["location", "period"])["stock"].sum()


def tight(tables: PlanningTables, targets: Targets, share: float) -> PlanningTables:
    """The tables with a storage at every location of a share of the most that is planned there."""
    most = share * stored(targets).groupby("location").max()
    places = tables["locations"]
    return PlanningTables({**tables.tables, "locations": places.assign(storage=places["location"].map(most))})


def consistent(targets: Targets) -> None:
    """The log reproduces the safety stock, and the parameters are the means of the series."""
    log = targets.log
    assert_allclose(replay(log.drop(columns="safety_stock")), log["safety_stock"], rtol=0, atol=1e-9)
    at_runs = targets.series.merge(log, on=["item", "location", "period"])
    assert_allclose(at_runs["safety_stock_x"], at_runs["safety_stock_y"], rtol=0, atol=1e-9)
    names = ["safety_stock", "merchandising_stock", "target_position"]
    means = targets.series.groupby(["item", "location"], sort=False)[names].mean()
    assert_allclose(means, targets.parameters[names], rtol=0, atol=1e-8)
    if "driver_limit" in targets.parameters:
        parts = targets.parameters[[f"driver_{name}" for name in DRIVERS]].sum(axis=1)
        assert_allclose(parts, targets.parameters["safety_stock"], rtol=0, atol=1e-9)


QUICK = [method for method in PLANNERS if method != "multistage"]
"""Methods that plan in less than a second; the other one is tested with both limits at once."""


@pytest.mark.parametrize("method", QUICK)
def test_a_budget_is_used_and_not_exceeded_and_one_that_suffices_changes_nothing(method: str) -> None:
    free = plan_tables(small(), method)
    budget = 0.85 * investment(free)
    cut = plan_tables(small(), method, budget=budget)
    consistent(cut)
    assert budget * (1 - 1e-9) <= investment(cut) <= budget
    assert (cut.log["budget_price"] > 0).all()
    assert cut.log["budget_price"].nunique() == 1
    assert (cut.parameters["safety_stock"] <= free.parameters["safety_stock"]).all()
    assert customer_service(small(), cut) < customer_service(small(), free)
    moved = cut.series["target_position"] - free.series["target_position"]
    assert_allclose(moved, cut.series["safety_stock"] - free.series["safety_stock"], rtol=0, atol=1e-8)
    rich = plan_tables(small(), method, budget=2 * investment(free))
    pd.testing.assert_frame_equal(rich.series, free.series)
    pd.testing.assert_frame_equal(rich.parameters, free.parameters)
    assert (rich.log["budget_price"] == 0).all()
    assert alerts(small(), rich, {"limited_stock": RULES["limited_stock"]}).empty


@pytest.mark.parametrize("method", QUICK)
def test_planned_stock_fits_its_storage_in_every_period(method: str) -> None:
    free = plan_tables(small(), method)
    tables = tight(small(), free, 0.8)
    storage = tables["locations"].set_index("location")["storage"]
    reported = plan_tables(tables, method)
    pd.testing.assert_frame_equal(reported.series, free.series)
    assert not alerts(tables, reported, {"storage_exceeded": RULES["storage_exceeded"]}).empty
    cut = plan_tables(tables, method, within_storage=True)
    consistent(cut)
    full = stored(cut) / storage.reindex(stored(cut).index.get_level_values("location")).to_numpy()
    assert full.max() == pytest.approx(1.0, abs=1e-9)
    assert alerts(tables, cut, {"storage_exceeded": replace(RULES["storage_exceeded"], limit=1 + 1e-9)}).empty
    fired = alerts(tables, cut, {"limited_stock": RULES["limited_stock"]})
    cuts = cut.log[cut.log["cut_stock"] > 0].groupby("location")["cut_stock"].max()
    assert dict(zip(fired["location"], fired["value"], strict=True)) == pytest.approx(cuts.to_dict())
    assert fired["message"].str.contains("to fit into the storage, of which a unit more would save").all()


def test_storage_of_a_location_is_shared_at_one_price_and_one_of_an_item_is_its_own() -> None:
    tables = chain(rows={"A": {"storage": 2.0}, "B": {"demand_error": 0.6}})
    free = plan_tables(tables, "assp", bands={}).parameters.set_index("location")["safety_stock"]
    assert free["A"] > 4
    cut = plan_tables(tables, "assp", bands={}, within_storage=True)
    found = cut.parameters.set_index("location")["safety_stock"]
    assert found["A"] == pytest.approx(2.0, abs=1e-9)
    assert_array_equal(found.drop("A"), free.drop("A"))
    log = cut.log[cut.log["location"] == "A"].iloc[0]
    # 1 - Phi(k') = (1 - Phi(k)) (1 + price / h), with what the stock stands against: two days of 10 units
    sd = np.sqrt(2) * np.sqrt(np.pi / 2) * 0.3 * 10
    assert norm.sf(2 / sd) == pytest.approx(norm.sf(free["A"] / sd) * (1 + log["storage_price"]), rel=1e-6)


def test_a_display_is_filled_where_safety_stock_is_cut() -> None:
    rows: dict[str, dict[str, Any]] = {"A": {"display_stock": 3.0, "storage": 2.0}}
    free = plan_tables(chain(rows=rows), "assp", bands={})
    cut = plan_tables(chain(rows=rows), "assp", bands={}, within_storage=True)
    at = cut.parameters.set_index("location").loc["A"]
    before = free.parameters.set_index("location").loc["A"]
    assert before["safety_stock"] > 3
    # no cut makes 3 units fit into 2, so it ends where it would change nothing
    assert at["safety_stock"] + at["merchandising_stock"] == pytest.approx(3.0)
    assert np.isfinite(cut.log["storage_price"]).all()


@pytest.mark.parametrize("method", PLANNERS)
def test_both_limits_hold_together_and_stock_that_is_set_elsewhere_stays(method: str) -> None:
    tables = small()
    rows = tables["item_locations"].copy()
    rows.loc[:2, ["external", "safety_stock"]] = [True, 11.0]
    kept = PlanningTables({**tables.tables, "item_locations": rows})
    free = plan_tables(kept, method)
    bounded = tight(kept, free, 0.95)
    budget = 0.9 * investment(free, kept)
    cut = plan_tables(bounded, method, within_storage=True, budget=budget)
    consistent(cut)
    assert investment(cut, kept) <= budget
    assert (cut.parameters["safety_stock"][:3] == 11).all()
    assert (cut.log.loc[cut.log["status"] == "kept", "kept_share"] == 1).all()


def test_a_policy_follows_the_targets_that_are_cut() -> None:
    tables = chain()
    free = plan_tables(tables, "assp", bands={})
    cut = plan_tables(tables, "assp", bands={}, budget=0.7 * investment(free, tables))
    network = network_of(tables, item="tea")
    levels = [policy_of(targets, network, item="tea").up_to for targets in (cut, free)]
    assert (levels[0] < levels[1]).all()


def test_limits_that_cannot_be_are_refused() -> None:
    for budget, message in (
        (0.0, "budget must be a finite number greater than 0, got 0"),
        (np.nan, "budget must be a finite number greater than 0, got nan"),
    ):
        with pytest.raises(MethodError, match=message):
            plan_tables(small(), "gsm", budget=budget)
    least = r"^budget must be at least [\d.]+, the value of stock without safety stock, got 1$"
    with pytest.raises(MethodError, match=least):
        plan_tables(small(), "dynamic", budget=1.0)
    free = chain(rows={"A": {"holding_cost": 0.0}})
    message = "holding_cost must be above 0 where stock is cut to a limit, got 0 for tea at A"
    with pytest.raises(MethodError, match=message):
        plan_tables(free, "assp", budget=1.0)
