"""What a planner looks at: frontiers, components, reductions, classes of stock, agreements and what-if scenarios."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.optimize import brentq, minimize_scalar
from scipy.stats import norm

from echelon.baselines.planning import Targets, plan_tables
from echelon.baselines.planning_example import example_tables
from echelon.baselines.planning_frontier import efficient, first_weeks, frontier, frontiers, lower_hull
from echelon.baselines.planning_network import lanes_of, network_of, suppliers
from echelon.baselines.planning_reduction import (
    StockClasses,
    classify_stock,
    least_loss_reduction,
    normal_shortage,
    targeted_reduction,
)
from echelon.baselines.planning_scenarios import (
    Case,
    CloseSite,
    CutLeadTime,
    Delta,
    PlanBy,
    Pool,
    Postpone,
    ServiceLevel,
    StockMethod,
    applied,
    compare,
)
from echelon.baselines.planning_service import customer_service, mean_on_hand, planned_service
from echelon.baselines.planning_tables import PlanningTables, check_tables
from echelon.baselines.planning_views import (
    component_sweep,
    simulated,
    with_safety_stock,
    with_service_level,
)
from echelon.baselines.service_agreements import service_agreements
from echelon.envs.errors import ConfigError, MethodError

ITEM = "personal_care"
LEVELS = (0.8, 0.9, 0.95, 0.99)
FREE: dict[str, Any] = {"bands": {}}
YEARLY = {"every_weeks": 52}
"""The multistage method solved once."""
SHOPS = tuple(f"distributor_{number}_personal_care_north" for number in ("0002", "0015", "0016"))
WAREHOUSES = ("warehouse_02_north", "warehouse_03_north", "warehouse_01_north")
START = pd.Timestamp("2024-01-01")


@cache
def small() -> PlanningTables:
    """A factory, a mother warehouse, three warehouses and a distributor at each of them."""
    return example_tables(category=ITEM, distributors=20, warehouses=3, mother_warehouses=1)


@cache
def assp() -> Targets:
    return plan_tables(small(), "assp", **FREE)


@cache
def pair() -> PlanningTables:
    """One shop and its warehouse alone, which are soon planned together."""
    kept = (WAREHOUSES[2], SHOPS[2])
    tables = {
        name: table[table["location"].isin(kept)].reset_index(drop=True) if "location" in table else table
        for name, table in small().tables.items()
    }
    return PlanningTables(tables)


def copied(tables: PlanningTables) -> dict[str, pd.DataFrame]:
    return {name: table.copy(deep=True) for name, table in tables.tables.items()}


def changed(column: str, values: Any) -> PlanningTables:
    """The small tables with another column of item-locations."""
    rows = small()["item_locations"].assign(**{column: values})
    return PlanningTables({**small().tables, "item_locations": rows})


# planned service and stock


def test_planned_service_is_the_target_where_safety_stock_is_planned_for_it() -> None:
    """A plan of one forecast for all periods: the service of its safety stock, by integration, is the target."""
    forecasts = small()["forecasts"]
    mean = forecasts.groupby("location")["quantity"].transform("mean")
    tables = PlanningTables({**small().tables, "forecasts": forecasts.assign(quantity=mean)})
    for kind, level in product(("alpha", "beta"), (0.9, 0.98)):
        rows = tables["item_locations"].assign(service_kind=kind, service_level=level)
        rows["method"] = "AT" if kind == "alpha" else "BT"
        targets = plan_tables(PlanningTables({**tables.tables, "item_locations": rows}), "assp", **FREE)
        np.testing.assert_allclose(planned_service(targets), level, atol=2e-4)
        one = targets.parameters.iloc[0]
        sd1 = np.sqrt(one["cover"] * one["demand_sd"] ** 2 + (one["demand_mean"] * one["lead_time_sd"]) ** 2)
        sd0 = np.sqrt(one["lead_time"] * one["demand_sd"] ** 2 + (one["demand_mean"] * one["lead_time_sd"]) ** 2)
        late = short(one["safety_stock"], sd1) - short(one["safety_stock"] + one["demand_mean"], sd0)
        beta = 1 - late / one["demand_mean"]
        by_hand = beta if kind == "beta" else norm.cdf(one["safety_stock"] / sd1)
        assert planned_service(targets)[0] == pytest.approx(by_hand, abs=1e-6)


def short(stock: float, sd: float) -> float:
    """E[(sd Z - stock)+], by integration."""
    x = np.linspace(0, 12, 200_001)
    return float(np.trapezoid(x * sd * norm.pdf(stock / sd + x), x))


@pytest.mark.parametrize(("method", "tolerance"), [("assp", 0.04), ("multistage", 0.05)])
def test_the_mean_stock_on_hand_is_that_of_the_simulation(method: str, tolerance: float) -> None:
    from echelon.baselines.planning import policy_of
    from echelon.baselines.planning_network import problem_of
    from echelon.envs.simulate import simulate_stream

    targets = plan_tables(small(), method, **(FREE if method == "assp" else YEARLY))
    problem = problem_of(small(), item=ITEM, periods=364, warm_up=28)
    outcome = simulate_stream(problem, policy_of(targets, problem.network, item=ITEM), replications=60, seed=1)
    assert mean_on_hand(targets).sum() == pytest.approx(outcome.per_period["on_hand"].mean(axis=0).sum(), rel=tolerance)


def test_stock_on_hand_is_what_a_negative_safety_stock_leaves() -> None:
    """E[(SS + sd Z)+] by integration, at a safety stock of minus one deviation."""
    exposure_sd = np.sqrt(
        assp().parameters["cover"] * assp().parameters["demand_sd"] ** 2
        + (assp().parameters["demand_mean"] * assp().parameters["lead_time_sd"]) ** 2
    ).to_numpy()
    found = mean_on_hand(with_safety_stock(assp(), -exposure_sd))
    z = np.linspace(1, 12, 400_001)
    left = np.trapezoid((z - 1) * norm.pdf(z), z)
    np.testing.assert_allclose(found, exposure_sd * left, rtol=1e-6)


# frontier and components


@pytest.mark.parametrize(("method", "options"), [("assp", FREE), ("gsm", None)])
def test_a_frontier_rises_in_service_and_investment_and_is_efficient(
    method: str, options: dict[str, Any] | None
) -> None:
    found = frontier(small(), method, LEVELS, item=ITEM, options=options)
    planned = found.iloc[:-1]
    assert found["point"].tolist() == ["planned"] * len(LEVELS) + ["status quo (stock)"]
    assert planned["service"].is_monotonic_increasing
    assert planned["investment"].is_monotonic_increasing
    assert planned["efficient"].all()
    slopes = np.diff(planned["investment"]) / np.diff(planned["service"])
    hull = planned[planned["on_hull"]]
    assert planned["on_hull"].all() == (np.diff(slopes) >= 0).all()
    assert (np.diff(np.diff(hull["investment"]) / np.diff(hull["service"])) >= -1e-9).all()
    assert np.isfinite(found.select_dtypes("number").to_numpy()).all()


def test_the_status_quo_is_the_stock_on_hand_or_the_parameters() -> None:
    today = frontier(small(), "assp", [0.95], item=ITEM, options=FREE).iloc[-1]
    assert today["investment"] == small()["stock"]["on_hand"].sum()
    assert today["service"] > 0.99
    without = PlanningTables({**small().tables, "stock": small()["stock"].iloc[:0]})
    stated = frontier(without, "assp", [0.95], item=ITEM, options=FREE).iloc[-1]
    assert stated["point"] == "status quo (parameters)"
    assert stated["investment"] == pytest.approx(mean_on_hand(assp()).sum())
    misplaced = small()["stock"].assign(on_hand=np.where(small()["stock"]["location"].isin(SHOPS), 0.0, 100.0))
    poor = PlanningTables({**small().tables, "stock": misplaced})
    assert not frontier(poor, "assp", [0.95], item=ITEM, options=FREE)["efficient"].iloc[-1]


def test_a_frontier_doubles_with_the_value_of_a_unit() -> None:
    items = small()["items"].assign(unit_value=2.0)
    dear = PlanningTables({**small().tables, "items": items})
    once, twice = (frontier(tables, "assp", LEVELS, item=ITEM)["investment"] for tables in (small(), dear))
    np.testing.assert_allclose(twice, 2 * once)


def test_a_simulated_frontier_has_intervals_and_is_marked_by_simulated_service() -> None:
    found = frontier(small(), "gsm", [0.9, 0.99], item=ITEM, replications=20, periods=196)
    assert (found[["fill_rate_half_width", "cost_half_width"]] > 0).all().all()
    planned = found.iloc[:-1]
    assert planned["fill_rate"].is_monotonic_increasing
    assert (planned["fill_rate"] <= planned["service"]).all()
    again = frontier(small(), "gsm", [0.9, 0.99], item=ITEM, replications=20, periods=196)
    pd.testing.assert_frame_equal(found, again)


def test_frontiers_of_several_methods_stand_below_one_another() -> None:
    levels = [0.9, 0.97]
    found = frontiers(small(), ["assp", "dynamic"], levels, options={"assp": FREE, "dynamic": {"minimum": 2.0}})
    assert found["method"].tolist() == ["assp"] * 3 + ["dynamic"] * 2
    one = frontier(small(), "assp", levels, item=ITEM, options=FREE)
    pd.testing.assert_frame_equal(found.iloc[:3], one, check_dtype=False)
    alone = found.iloc[3]
    assert (alone["point"], alone["efficient"], alone["on_hull"]) == ("planned", True, True)
    assert np.isnan(alone["service_level"])
    demand = plan_tables(small(), "dynamic", minimum=2.0).parameters
    assert alone["safety_stock"] == pytest.approx(demand["safety_stock"].sum())


def test_all_items_together_have_a_frontier_of_their_own() -> None:
    tables = example_tables(distributors=8, warehouses=1, mother_warehouses=1, weeks=4, history_weeks=8)
    items = list(tables["items"]["item"])
    assert len(items) > 1
    whole = frontier(tables, "assp", [0.9, 0.97], options=FREE)
    parts = [frontier(tables, "assp", [0.9, 0.97], item=item, options=FREE) for item in items]
    for name in ("safety_stock", "investment"):
        np.testing.assert_allclose(whole[name], sum(part[name] for part in parts), rtol=1e-9)


def test_one_service_level_holds_for_promises_too() -> None:
    promise = pd.DataFrame({name: [""] for name in small()["service_targets"]})
    promise = promise.assign(item=ITEM, service_level=0.999, service_kind="beta")
    places = small()["locations"].assign(customer="Chain")
    own = promise.assign(item="", customer="Chain", service_level=0.6)
    promised = PlanningTables(
        {**small().tables, "locations": places, "service_targets": pd.concat([promise, own], ignore_index=True)}
    )
    levels = plan_tables(with_service_level(promised, 0.9), "assp").parameters["service_level"]
    assert set(levels) == {0.9}


def test_the_first_weeks_are_those_that_are_planned() -> None:
    near = first_weeks(small(), 2)
    for method in ("assp", "dynamic"):
        days = plan_tables(near, method).series["period"]
        assert (days.min(), days.max()) == (START, START + pd.Timedelta(days=13))
    forecasts = small()["forecasts"]
    kept = forecasts[forecasts["period"] < START + pd.Timedelta(days=14)]
    pd.testing.assert_frame_equal(near["forecasts"], kept.reset_index(drop=True))
    assert kept["period"].min() < START


def test_efficient_points_and_their_hull_are_those_of_a_search_over_all_pairs_and_mixes() -> None:
    rng = np.random.default_rng(3)
    for _ in range(30):
        s, m = rng.integers(0, 8, (2, 9)).astype(float)
        marked, hull = efficient(s, m), lower_hull(s, m)
        for j in range(9):
            beaten = any(s[k] >= s[j] and m[k] <= m[j] and (s[k], m[k]) != (s[j], m[j]) for k in range(9))
            assert marked[j] == (not beaten)
            on = marked[j]
            for a, b in product(np.flatnonzero(marked), repeat=2):
                if s[a] < s[j] < s[b]:
                    on &= m[j] <= m[a] + (m[b] - m[a]) * (s[j] - s[a]) / (s[b] - s[a]) + 1e-12
            assert hull[j] == on


@pytest.mark.parametrize(("method", "options"), [("assp", FREE), ("assp", None), ("multistage", YEARLY), ("gsm", None)])
def test_safety_stock_rises_with_the_service_level_and_the_pipeline_stays(
    method: str, options: dict[str, Any] | None
) -> None:
    found = component_sweep(pair() if method == "multistage" else small(), method, LEVELS[1::2], options=options)
    assert found["safety_stock"].is_monotonic_increasing
    assert found["safety_stock"].iloc[-1] > 1.1 * found["safety_stock"].iloc[0]
    # the forecasts that a location passes on depend on its service times, by some days
    assert np.ptp(found["pipeline_stock"]) < (1e-3 if method == "gsm" else 1e-9) * found["pipeline_stock"].iloc[0]
    assert np.ptp(found["cycle_stock"]) == 0


@pytest.mark.parametrize(
    ("method", "levels", "message"),
    [
        ("dynamic", [0.9], "dynamic reads no service level: it has no frontier"),
        ("assp", [], "service_levels must have at least one level"),
        ("assp", [0.9, 1.0], "service_levels must be above 0 and below 1, got 1"),
        ("assp", [float("nan")], "service_levels must be above 0 and below 1, got nan"),
    ],
)
def test_levels_that_make_no_frontier_are_refused(method: str, levels: Sequence[float], message: str) -> None:
    with pytest.raises(MethodError, match=f"^{message}$"):
        frontier(small(), method, levels, item=ITEM)
    with pytest.raises(MethodError, match=f"^{message}$"):
        component_sweep(small(), method, levels)


def test_one_replication_has_no_interval() -> None:
    with pytest.raises(MethodError, match=r"^replications must be at least 2, for an interval, got 1$"):
        simulated(small(), assp(), replications=1)


def test_an_unknown_item_has_no_frontier() -> None:
    with pytest.raises(ConfigError, match=r"there is no item 'personal_car'; did you mean 'personal_care'\?"):
        frontier(small(), "assp", [0.9], item="personal_car")


# targeted reduction


def test_the_greedy_reduction_is_the_lagrangian_path_of_a_convex_toy() -> None:
    """Loss a_j (x_j - left)^2 / 2: by the multiplier t, min(t v_j / a_j, x_j) units of each go."""
    stock, value = np.array([10.0, 4.0, 30.0, 8.0]), np.array([1.0, 5.0, 2.0, 0.5])
    curvature, slope = np.array([2.0, 0.5, 1.0, 3.0]), np.array([1.0, 2.0, 0.0, 4.0])

    def loss(j: int, left: float) -> float:
        gone = stock[j] - left
        return float(slope[j] * gone + curvature[j] * gone**2 / 2)

    def at(multiplier: float) -> np.ndarray:
        return np.asarray(np.clip((multiplier * value - slope) / curvature, 0.0, stock))

    for amount in (1.0, 10.0, 40.0, 80.0, 93.9):
        taken, order = least_loss_reduction(stock, value, loss, amount=amount, steps=20_000)
        multiplier = brentq(lambda t, amount=amount: at(t) @ value - amount, 0.0, 1e3, xtol=1e-12)
        np.testing.assert_allclose(taken, at(multiplier), atol=2 * amount / 20_000 / value.min())
        assert taken @ value == pytest.approx(amount, rel=1e-9)
        assert set(order) == set(np.flatnonzero(taken))
        starts = (slope / value)[order]
        assert (np.diff(starts) >= 0).all()


def test_a_targeted_reduction_loses_the_least_and_equalises_the_marginal_shortage() -> None:
    amount = 100.0
    found = targeted_reduction(small(), assp(), amount=amount, steps=5_000)
    assert found["money"].sum() == pytest.approx(amount)
    left = found["safety_stock"] - found["reduction"]
    inside = (found["reduction"] > 0) & (left > 0)
    marginal = found["marginal_shortage"][inside]
    assert np.ptp(marginal) < 0.02 * marginal.mean()
    assert (found["service_after"] <= found["service_before"]).all()
    even = assp().parameters["safety_stock"] * (1 - amount / assp().parameters["safety_stock"].sum())
    rows = assp().parameters
    sd = np.sqrt(rows["cover"] * rows["demand_sd"] ** 2 + (rows["demand_mean"] * rows["lead_time_sd"]) ** 2)
    before, alike = (
        sum(sigma * minimised(stock / sigma) for stock, sigma in zip(stocks, sd, strict=True))
        for stocks in (rows["safety_stock"], even)
    )
    assert found["shortage"].sum() < alike - before


def minimised(z: float) -> float:
    """G(z) as the least of the newsvendor's quantile losses: G(z) = max over p of E[(Z - z) 1{Z > q}]."""
    best = minimize_scalar(lambda q: -(norm.pdf(q) - z * norm.sf(q)), bounds=(z - 2, z + 2), method="bounded")
    return float(-best.fun)


def test_a_normal_shortage_is_that_of_an_integral_and_of_no_deviation() -> None:
    x = np.linspace(0, 60, 600_001)
    for stock, sd in ((0.0, 2.0), (3.0, 2.0), (-1.0, 4.0)):
        assert normal_shortage(stock, sd) == pytest.approx(np.trapezoid(x * norm.pdf(stock + x, scale=sd), x), rel=1e-6)
    assert [normal_shortage(2.0, 0.0), normal_shortage(-2.0, 0.0)] == [0.0, 2.0]


def test_stock_that_is_set_elsewhere_is_not_reduced() -> None:
    external = small()["item_locations"]["location"].isin(SHOPS)
    tables = changed("external", external)
    given = tables["item_locations"].assign(safety_stock=np.where(external, 20.0, np.nan))
    tables = PlanningTables({**tables.tables, "item_locations": given})
    found = targeted_reduction(tables, plan_tables(tables, "assp", **FREE), amount=50.0)
    assert not set(found["location"]) & set(SHOPS)


def test_an_amount_that_is_not_there_is_refused_and_none_takes_nothing() -> None:
    with pytest.raises(MethodError, match=r"^amount must be at most the value of the stock, 3, got 4$"):
        least_loss_reduction([1.0, 2.0], [1.0, 1.0], lambda _, left: -left, amount=4.0)
    with pytest.raises(MethodError, match=r"^amount must be .*got -1$"):
        least_loss_reduction([1.0], [1.0], lambda _, left: -left, amount=-1.0)
    assert targeted_reduction(small(), assp(), amount=0.0).empty
    taken, _ = least_loss_reduction([1.0, 2.0], [1.0, 0.0], lambda _, left: -left, amount=1.0)
    assert taken.tolist() == [1.0, 0.0]


# classes of stock


def test_stock_is_classified_as_labelled() -> None:
    """Seven shops of one item, 10 units a day, target position 30 days: what they have, and what it is."""
    label = {
        "full": "healthy",
        "bare": "none",
        "soon": "early buy",
        "due": "early buy",
        "heap": "excess",
        "old": "obsolete",
        "still": "non-moving",
    }
    held = {"full": 20.0, "bare": 0.0, "soon": 300.0, "due": 20.0, "heap": 900.0, "old": 7.0, "still": 7.0}
    past = pd.date_range(end=START - pd.Timedelta(days=1), periods=200)
    ahead = pd.date_range(START, periods=28)
    forecasts, demand = [], []
    for name in label:
        sold = np.where(past < START - pd.Timedelta(days=120), 10.0, 0.0 if name in ("old", "still") else 10.0)
        demand.append(pd.DataFrame({"item": "tea", "location": name, "period": past, "quantity": sold}))
        plan = 0.0 if name == "old" else 10.0
        forecasts.append(pd.DataFrame({"item": "tea", "location": name, "period": [*past, *ahead], "quantity": plan}))
    given = {"method": "SB", "safety_stock": 20.0, "lead_time": 1.0, "holding_cost": 1.0}
    tables = check_tables(
        {
            "items": pd.DataFrame([{"item": "tea", "unit_value": 3.0}]),
            "locations": pd.DataFrame([{"location": name, "kind": "outlet"} for name in label]),
            "item_locations": pd.DataFrame([{"item": "tea", "location": name, **given} for name in label]),
            "forecasts": pd.concat(forecasts),
            "demand": pd.concat(demand),
            "stock": pd.DataFrame([{"item": "tea", "location": name, "on_hand": held[name]} for name in label]),
            "receipts": pd.DataFrame([{"item": "tea", "location": "due", "period": START, "quantity": 50.0}]),
        }
    )
    targets = plan_tables(tables, "assp", **FREE)
    found = classify_stock(tables, targets).set_index("location")
    assert found["class"].to_dict() == label
    position = 2 * 10.0 + 20.0
    assert found["surplus"].to_dict() == pytest.approx(
        {"full": 0, "bare": 0, "soon": 300 - position, "due": 70 - position, "heap": 860, "old": 7, "still": 7}
    )
    assert found.at["heap", "value"] == 3.0 * 860
    assert (found.at["heap", "days"], found.at["old", "days"]) == (86.0, 0.0)
    strict = classify_stock(tables, targets, StockClasses(early_days=20.0)).set_index("location")["class"]
    assert (strict["soon"], strict["due"]) == ("excess", "early buy")
    with pytest.raises(MethodError, match="early_days"):
        StockClasses(early_days=-1.0)


def test_a_warehouse_moves_if_something_below_it_does() -> None:
    found = classify_stock(small(), assp())
    assert set(found["class"]) <= {"healthy", "early buy", "excess"}
    silent = PlanningTables({**small().tables, "demand": small()["demand"].assign(quantity=0.0)})
    assert set(classify_stock(silent, assp())["class"]) == {"non-moving"}


def test_stock_whose_history_is_not_known_is_not_called_non_moving() -> None:
    demand = small()["demand"]
    recent = demand[demand["period"] > demand["period"].max() - pd.Timedelta(days=30)].assign(quantity=0.0)
    for known in (demand.iloc[:0], recent, demand[demand["period"] < demand["period"].max() - pd.Timedelta(days=200)]):
        tables = PlanningTables({**small().tables, "demand": known})
        assert "non-moving" not in set(classify_stock(tables, assp())["class"])
    # one shop without history is enough for its suppliers to move
    silent = demand[demand["location"] != SHOPS[0]].assign(quantity=0.0)
    found = classify_stock(PlanningTables({**small().tables, "demand": silent}), assp()).set_index("location")["class"]
    assert found[SHOPS[0]] != "non-moving"
    assert set(found[list(SHOPS[1:])]) == {"non-moving"}
    assert (found[list(WAREHOUSES)] == "non-moving").sum() == 2


# agreements


def deliveries() -> pd.DataFrame:
    """Twelve days of a customer with two shops and two items; what was missing is written beside the days."""
    demand = {("tea", "north"): [10] * 12, ("tea", "south"): [5, 0] * 6, ("soap", "north"): [4] * 12}
    missing = {("tea", "north"): {2: 3, 7: 10}, ("tea", "south"): {2: 1, 8: 5}, ("soap", "north"): {11: 2}}
    rows = [
        {
            "item": item,
            "location": place,
            "period": START + pd.Timedelta(days=t),
            "demand": float(units),
            "filled": float(units - missing[item, place].get(t, 0)),
        }
        for (item, place), daily in demand.items()
        for t, units in enumerate(daily)
    ]
    return pd.DataFrame(rows)


def agreed(*rows: dict[str, object]) -> PlanningTables:
    return check_tables(
        {
            "items": pd.DataFrame([{"item": "tea", "customer_class": "A"}, {"item": "soap"}]),
            "locations": pd.DataFrame(
                [{"location": at, "kind": "outlet", "customer": "Chain"} for at in ("north", "south")]
                + [{"location": "other", "kind": "outlet", "customer": "Kiosk"}]
            ),
            "item_locations": pd.DataFrame(
                [{"item": "tea", "location": "north", "lead_time": 1.0, "holding_cost": 1.0, "service_level": 0.9}]
            ),
            "forecasts": pd.DataFrame([{"item": "tea", "location": "north", "period": START, "quantity": 1.0}]),
            "service_targets": pd.DataFrame(list(rows)),
        }
    )


def test_agreements_are_kept_as_by_hand_over_twelve_periods() -> None:
    """Windows of six days. Demand of a window: tea 60 + 15, soap 24. Missing: tea 3 + 1 on day 2, then 10 on day 7 and
    5 on day 8, soap 2 on day 11."""
    tables = agreed(
        {"customer": "Chain", "service_level": 0.9, "service_kind": "beta"},
        {"customer": "Chain", "item": "tea", "service_level": 0.8, "service_kind": "alpha"},
        {"customer": "Chain", "location": "south", "service_level": 0.95, "service_kind": "beta"},
        {"customer": "Chain", "customer_class": "A", "service_level": 0.5, "service_kind": "beta"},
        {"item": "tea", "service_level": 0.99, "service_kind": "beta"},
    )
    found = service_agreements(tables, deliveries(), window=6)
    by_hand = [
        ("beta", 0.9, 99, 95, 95 / 99, True, 0.0),
        ("beta", 0.9, 99, 82, 82 / 99, False, 0.9 * 99 - 82),
        ("alpha", 0.8, 75, 71, 5 / 6, True, 0.0),
        ("alpha", 0.8, 75, 60, 4 / 6, False, 0.0),
        ("beta", 0.95, 15, 14, 14 / 15, False, 0.95 * 15 - 14),
        ("beta", 0.95, 15, 10, 10 / 15, False, 0.95 * 15 - 10),
        ("beta", 0.5, 75, 71, 71 / 75, True, 0.0),
        ("beta", 0.5, 75, 60, 60 / 75, True, 0.0),
    ]
    columns = ["service_kind", "service_level", "demand", "filled", "service", "kept", "missing"]
    for got, expected in zip(found[columns].to_numpy().tolist(), by_hand, strict=True):
        assert got[0] == expected[0]
        assert got[1:] == pytest.approx(list(expected[1:]))
    assert found["first"].tolist() == [START, START + pd.Timedelta(days=6)] * 4
    assert found["periods"].tolist() == [6] * 8


def test_a_window_longer_than_the_history_and_a_customer_without_deliveries_are_reported() -> None:
    tables = agreed(
        {"customer": "Chain", "service_level": 0.9, "service_kind": "alpha"},
        {"customer": "Kiosk", "service_level": 0.9, "service_kind": "beta"},
    )
    found = service_agreements(tables, deliveries(), window=30)
    assert found[["customer", "periods"]].to_numpy().tolist() == [["Chain", 12]]
    assert found["service"].tolist() == pytest.approx([8 / 12])
    only_items = agreed({"item": "tea", "service_level": 0.9})
    assert service_agreements(only_items, deliveries(), window=6).empty


def test_broken_deliveries_are_refused() -> None:
    tables = agreed({"customer": "Chain", "service_level": 0.9})
    with pytest.raises(ConfigError, match="deliveries: the column 'filled' is required"):
        service_agreements(tables, deliveries().drop(columns="filled"), window=6)
    broken = deliveries()
    broken.loc[3, "filled"] = 11.0
    with pytest.raises(ConfigError, match="deliveries:3: filled must be at least 0 and at most demand"):
        service_agreements(tables, broken, window=6)
    with pytest.raises(MethodError, match="window must be at least 1 period, got 0"):
        service_agreements(tables, deliveries(), window=0)


# scenarios


DELTAS: dict[str, Delta] = {
    "close": CloseSite(WAREHOUSES[0], WAREHOUSES[2]),
    "pool": Pool(SHOPS[:2], SHOPS[0]),
    "postpone": Postpone("factory_1", 0.5, 1.0),
    "faster": CutLeadTime(WAREHOUSES[1], 2.0, ITEM),
    "service": ServiceLevel(0.9, location=SHOPS[0]),
    "alpha": StockMethod("AT", ITEM),
    "gsm": PlanBy("gsm"),
}


@cache
def compared() -> pd.DataFrame:
    return compare(small(), {name: [delta] for name, delta in DELTAS.items()}, "assp", options=FREE).set_index(
        "scenario"
    )


def test_scenarios_stand_side_by_side_and_leave_the_base_as_it_is() -> None:
    before = copied(small())
    compared.cache_clear()
    found = compared()
    for name, table in before.items():
        pd.testing.assert_frame_equal(table, small()[name])
    assert found.index.tolist() == ["base", *DELTAS]
    base = found.iloc[0]
    assert base["investment"] == pytest.approx(mean_on_hand(assp()).sum())
    assert base["service"] == pytest.approx(customer_service(small(), assp()))
    assert base[["investment_change", "holding_cost_change", "service_change"]].tolist() == [0, 0, 0]
    assert found.at["close", "item_locations"] == 7
    assert found.at["faster", "investment"] < base["investment"]
    assert found.at["service", "investment"] < base["investment"]
    assert found.at["postpone", "holding_cost"] < base["holding_cost"]
    assert found.at["gsm", "method"] == "gsm"
    assert np.isfinite(found.select_dtypes("number").to_numpy()).all()


def test_no_change_and_changes_to_what_is_already_so_change_nothing() -> None:
    idle: dict[str, list[Delta]] = {
        "nothing": [],
        "same level": [ServiceLevel(0.99)],
        "same method": [StockMethod("BT")],
        "same lead time": [CutLeadTime(SHOPS[0], 0.0)],
        "same planning": [PlanBy("assp", FREE)],
        "same value": [Postpone("factory_1", 1.0)],
    }
    found = compare(small(), idle, "assp", options=FREE).drop(columns="scenario")
    for k in range(1, len(found)):
        pd.testing.assert_series_equal(found.iloc[k], found.iloc[0], check_names=False)
    after = applied(Case(small(), "assp"), idle["same lead time"] + idle["same level"])
    network, same = (network_of(tables, item=ITEM) for tables in (small(), after.tables))
    assert same == network


def test_a_closed_site_hands_everything_to_the_other_one() -> None:
    closed, to = WAREHOUSES[0], WAREHOUSES[2]
    tables = applied(Case(small(), "assp"), [CloseSite(closed, to)]).tables
    for name, table in tables.tables.items():
        for column in ("location", "source"):
            assert column not in table or closed not in set(table[column]), name
    lanes = lanes_of(tables, tables["item_locations"]).set_index("location")["source"]
    assert lanes[SHOPS[0]] == lanes[SHOPS[2]] == to
    stock = small()["stock"].set_index("location")["on_hand"]
    assert tables["stock"].set_index("location").at[to, "on_hand"] == stock[closed] + stock[to]
    base, after = (plan_tables(case, "assp", **FREE).parameters.set_index("location") for case in (small(), tables))
    for moment in ("demand_mean", "demand_sd"):
        before, now = (plan[moment] ** (2 if moment == "demand_sd" else 1) for plan in (base, after))
        assert now[to] == pytest.approx(before[closed] + before[to])
    checked = check_tables({name: table for name, table in tables.tables.items() if len(table)})
    assert len(checked["item_locations"]) == 7


def test_a_closed_shop_takes_the_warehouse_with_it_that_is_left_alone() -> None:
    tables = applied(Case(small(), "assp"), [Pool(SHOPS, SHOPS[2])]).tables
    left = tables["item_locations"]["location"].tolist()
    assert sorted(left) == sorted([SHOPS[2], WAREHOUSES[2], "mother_warehouse_north", "factory_1"])
    total = small()["demand"].groupby("period")["quantity"].sum()
    pd.testing.assert_series_equal(tables["demand"].groupby("period")["quantity"].sum(), total)
    assert network_of(tables, item=ITEM).outlets[0].name == SHOPS[2]


def test_an_item_that_is_new_at_the_other_site_comes_with_its_supplier() -> None:
    places = pd.concat([small()["locations"], small()["locations"].iloc[[1]].assign(location="annex")])
    tables = PlanningTables({**small().tables, "locations": places})
    after = applied(Case(tables, "assp"), [CloseSite(WAREHOUSES[0], "annex")]).tables
    lanes = lanes_of(after, after["item_locations"]).set_index("location")["source"]
    assert lanes["annex"] == "mother_warehouse_north"
    assert lanes[SHOPS[0]] == "annex"
    one, two = (plan_tables(case, "assp", **FREE).parameters["safety_stock"].sum() for case in (small(), after))
    assert two == pytest.approx(one, rel=1e-9)


def test_pooled_relative_errors_are_those_of_independent_demands() -> None:
    """Shops of mean 10 and 5 (about) with errors of 30 % and 60 % have one of sqrt(3^2 + 3^2) / 15 together."""
    error = small()["item_locations"]["location"].map({SHOPS[0]: 0.3, SHOPS[1]: 0.6})
    tables = applied(Case(changed("demand_error", error), "assp"), [Pool(SHOPS[:2], SHOPS[0])]).tables
    ahead = small()["forecasts"][small()["forecasts"]["period"] >= START].groupby("location")["quantity"].sum()
    a, b = ahead[SHOPS[0]], ahead[SHOPS[1]]
    found = tables["item_locations"].set_index("location")["demand_error"]
    assert found[SHOPS[0]] == pytest.approx(np.hypot(0.3 * a, 0.6 * b) / (a + b))
    assert found.drop(SHOPS[0]).isna().all()


def test_pooling_saves_safety_stock_at_the_customers_by_the_square_root() -> None:
    """Two shops with demand of one mean and error, and one lead time, need sqrt(2) of the stock of one together."""
    forecasts, demand = small()["forecasts"], small()["demand"]
    first = {name: table[table["location"] == SHOPS[0]] for name, table in (("f", forecasts), ("d", demand))}
    others = {name: table[table["location"] != SHOPS[1]] for name, table in (("f", forecasts), ("d", demand))}
    tables = changed("demand_error", np.where(small()["item_locations"]["location"].isin(SHOPS), 0.4, np.nan))
    rows = tables["item_locations"].assign(lead_time_error=0.0, lead_time=1.0)
    twins = PlanningTables(
        {
            **tables.tables,
            "item_locations": rows.assign(method="AT"),
            "forecasts": pd.concat([others["f"], first["f"].assign(location=SHOPS[1])], ignore_index=True),
            "demand": pd.concat([others["d"], first["d"].assign(location=SHOPS[1])], ignore_index=True),
            "lead_times": tables["lead_times"].iloc[:0],
        }
    )
    after = applied(Case(twins, "assp"), [Pool(SHOPS[:2], SHOPS[0])]).tables
    base, pooled = (
        plan_tables(case, "assp", **FREE).parameters.set_index("location")["safety_stock"] for case in (twins, after)
    )
    assert base[SHOPS[0]] == pytest.approx(base[SHOPS[1]])
    assert pooled[SHOPS[0]] == pytest.approx(np.sqrt(2) * base[SHOPS[0]], rel=1e-6)


@pytest.mark.parametrize(("method", "options"), [("gsm", {}), ("multistage", YEARLY)])
def test_stock_moves_upstream_the_more_value_is_added_late(method: str, options: dict[str, Any]) -> None:
    cases = [applied(Case(pair(), method), [Postpone(WAREHOUSES[2], share)]) for share in (1.0, 0.1)]
    late, early = (
        plan_tables(case.tables, method, **options).parameters.set_index("location")["safety_stock"] for case in cases
    )
    assert early[WAREHOUSES[2]] > late[WAREHOUSES[2]] + 1.0
    assert early[SHOPS[2]] <= late[SHOPS[2]]


def test_finishing_moves_lead_time_from_a_location_to_those_that_it_supplies() -> None:
    tables = applied(Case(small(), "assp"), [Postpone("mother_warehouse_north", 0.5, 2.0)]).tables
    before, after = (case["item_locations"].set_index("location") for case in (small(), tables))
    moved = after["lead_time"] - before["lead_time"]
    assert moved.to_dict() == {
        "mother_warehouse_north": -2.0,
        **dict.fromkeys(WAREHOUSES, 2.0),
        **dict.fromkeys(SHOPS, 0.0),
        "factory_1": 0.0,
    }
    rows = tables["item_locations"][suppliers(tables) >= 0]
    lane = lanes_of(tables, tables["item_locations"]).set_index("location")["duration"]
    assert lane[rows["location"]].tolist() == rows["lead_time"].tolist()


Refused = tuple[Delta, str]
REFUSED: dict[str, Refused] = {
    "site": (
        CloseSite("warehouse_99", SHOPS[0]),
        r"^location must be one of the tables, got 'warehouse_99'; did",
    ),
    "other site": (CloseSite(WAREHOUSES[0], "nowhere"), r"^location must be one of the tables, got 'nowhere'"),
    "itself": (CloseSite(WAREHOUSES[0], WAREHOUSES[0]), r"^a location must not be closed in favour of itself"),
    "below": (
        CloseSite("factory_1", SHOPS[0]),
        r"^'distributor_0002_personal_care_north' must not be supplied by 'factory_1', which it is to replace$",
    ),
    "pool": (Pool(("nowhere", SHOPS[0]), SHOPS[0]), r"^location must be one of the tables, got 'nowhere'"),
    "item": (ServiceLevel(0.9, item="tea"), r"^item must be one of the tables, got 'tea'"),
    "level": (ServiceLevel(1.0), r"^level must be above 0 and below 1, got 1$"),
    "method": (StockMethod("XX"), r"^method must be .*got 'XX'"),
    "planner": (PlanBy("magic"), r"^method must be one of .*got 'magic'"),
    "lead time": (CutLeadTime(SHOPS[0], 5.0), r"^periods must be at most the lead time of 1, got 5$"),
    "share": (Postpone("factory_1", 0.0), r"^value_share must be above 0 and at most 1, got 0$"),
    "no receivers": (Postpone(SHOPS[0], 0.5), r"^location must supply others for Postpone, got 'distributor_0002"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_change_that_cannot_be_made_is_refused(name: str) -> None:
    delta, message = REFUSED[name]
    with pytest.raises(MethodError, match=message):
        compare(small(), {name: [delta]}, "assp")


def test_the_base_needs_its_name_for_itself() -> None:
    with pytest.raises(MethodError, match=r"^scenarios must not be named 'base', which is the case without changes$"):
        compare(small(), {"base": []}, "assp")


def test_scenarios_are_simulated_on_the_same_draws() -> None:
    found = compare(
        small(), {"nothing": [], "low": [ServiceLevel(0.8)]}, "assp", options=FREE, replications=5, periods=60
    )
    assert found["cost"].iloc[0] == found["cost"].iloc[1]
    assert found["fill_rate"].iloc[2] < found["fill_rate"].iloc[0]


def test_changes_apply_one_after_the_other() -> None:
    twice = applied(Case(small(), "assp"), [ServiceLevel(0.8), ServiceLevel(0.9, location=SHOPS[0])])
    levels = twice.tables["item_locations"].set_index("location")["service_level"]
    assert levels.to_dict() == {**dict.fromkeys(levels.index, 0.8), SHOPS[0]: 0.9}


def test_other_safety_stocks_move_positions_and_nothing_else() -> None:
    stock = assp().parameters["safety_stock"].to_numpy() + 7.0
    moved = with_safety_stock(replace(assp(), method="assp"), stock)
    assert moved.parameters["safety_stock"].tolist() == stock.tolist()
    assert (moved.series["mean_demand"] == assp().series["mean_demand"]).all()
    again = moved.series["target_position"] - moved.series["safety_stock"]
    np.testing.assert_allclose(again, assp().series["target_position"] - assp().series["safety_stock"])
    assert set(with_service_level(small(), 0.7)["item_locations"]["service_level"]) == {0.7}
