"""From a planner's tables to targets, policies and a rolling simulation."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from echelon.baselines.guaranteed_service import guaranteed_service
from echelon.baselines.network_stages import order_up_to_levels, stages_of
from echelon.baselines.planning import PLANNERS, Targets, plan_tables, policy_of, replay
from echelon.baselines.planning_compare import MEASURES, compare_methods
from echelon.baselines.planning_example import example_tables
from echelon.baselines.planning_inputs import planning_inputs
from echelon.baselines.planning_network import network_of, problem_of, realised_lead_times, without_overtaking
from echelon.baselines.planning_tables import PlanningTables, check_tables
from echelon.baselines.safety_stock import assp
from echelon.envs.errors import ConfigError, MethodError
from echelon.envs.scenarios import sample
from echelon.envs.simulate import simulate

FIRST = pd.Timestamp("2024-01-01")
WEEKLY = np.array([1.05, 1.0, 1.0, 1.05, 1.2, 1.2, 0.5])


def chain(
    *,
    weeks: int = 4,
    forecast: Mapping[str, Any] | None = None,
    rows: Mapping[str, Mapping[str, Any]] | None = None,
    **tables: pd.DataFrame,
) -> PlanningTables:
    """Factory (3 days) -> Depot (2 days) -> shops A (1 day) and B (2 days), with constant forecasts of 10 and 20."""
    planned = {"A": 10.0, "B": 20.0, **(forecast or {})}
    days = pd.date_range(FIRST, periods=7 * weeks)
    lead_time = {"Factory": 3, "Depot": 2, "A": 1, "B": 2}
    holding = {"Factory": 0.3, "Depot": 0.5, "A": 1.0, "B": 1.0}
    item_locations = [
        {
            "item": "tea",
            "location": name,
            "service_level": 0.95,
            "lead_time": time,
            "holding_cost": holding[name],
            "stockout_cost": 19.0 if name in planned else None,
            "demand_error": 0.3 if name in planned else None,
            **(rows or {}).get(name, {}),
        }
        for name, time in lead_time.items()
    ]
    frames = {
        "items": pd.DataFrame({"item": ["tea"]}),
        "locations": pd.DataFrame({"location": list(lead_time)}),
        "lanes": pd.DataFrame(
            {"source": ["Factory", "Depot", "Depot"], "location": ["Depot", "A", "B"], "duration": [2, 1, 2]}
        ),
        "item_locations": pd.DataFrame(item_locations),
        "forecasts": pd.concat(
            pd.DataFrame({"item": "tea", "location": name, "period": days, "quantity": quantity})
            for name, quantity in planned.items()
        ),
    }
    return check_tables(frames | tables)


@cache
def example() -> PlanningTables:
    """A year of one category with 24 distributors."""
    return example_tables(category="personal_care", distributors=160, warehouses=4, mother_warehouses=2, weeks=52)


def matrix(targets: Targets, column: str) -> pd.DataFrame:
    """A column of the series by period and location."""
    return targets.series.pivot(index="period", columns="location", values=column)


NO_BANDS: dict[str, dict[str, Any]] = {"assp": {"bands": {}}}


@pytest.mark.parametrize("method", PLANNERS)
def test_the_target_position_is_the_forecast_that_an_order_must_cover_and_the_safety_stock(method: str) -> None:
    own = {"A": 10 * np.tile(WEEKLY, 4), "B": 20 * np.tile(WEEKLY[::-1], 4)}
    targets = plan_tables(chain(forecast=own), method, **NO_BANDS.get(method, {}))
    position, safety = matrix(targets, "target_position"), matrix(targets, "safety_stock")
    cover = targets.parameters.set_index("location")["cover"].round().astype(int)
    lot = matrix(targets, "target_position") - matrix(targets, "reorder_position").to_numpy()

    def passed(name: str, t: int) -> float:
        """What shop or depot asks for in t: the need of the last period that the order covers."""
        last = t + cover[name] - 1
        return float(own[name][last]) if name in own else passed("A", last) + passed("B", last)

    for t in range(8):
        shop = sum(own["A"][t + k] for k in range(cover["A"]))
        depot = sum(passed("A", t + k) + passed("B", t + k) for k in range(1, cover["Depot"]))
        factory = sum(passed("Depot", t + k) for k in range(1, cover["Factory"]))
        for name, needed in (("A", shop), ("Depot", depot), ("Factory", factory)):
            extra = lot[name].iloc[t] if method == "dynamic" else 0.0
            assert position[name].iloc[t] == pytest.approx(needed + safety[name].iloc[t] + extra, abs=1e-5)


def test_a_need_reaches_every_supplier_earlier_by_the_lead_times_below_it() -> None:
    once = np.where(np.arange(28) == 20, 70.0, 0.0)
    inputs = planning_inputs(chain(forecast={"A": once, "B": 0.0}))
    passed = inputs.passed_up(inputs.own, inputs.lead_time + 1.0)[0]
    names = inputs.rows["location"].tolist()
    peaks = {name: np.flatnonzero(passed[names.index(name)]).tolist() for name in names}
    assert peaks == {"A": [20], "Depot": [19], "Factory": [17], "B": []}


def test_half_a_period_of_lead_time_takes_half_of_two_periods() -> None:
    inputs = planning_inputs(chain(forecast={"A": np.arange(28.0), "B": 0.0}, rows={"A": {"lead_time": 1.5}}))
    row = inputs.rows["location"].tolist().index("A")
    assert inputs.window(inputs.own, inputs.lead_time + 1.0)[row, 4] == 4 + 5 + 0.5 * 6
    depot = inputs.rows["location"].tolist().index("Depot")
    assert inputs.passed_up(inputs.own, inputs.lead_time + 1.0)[0, depot, 4] == 0.5 * 5 + 0.5 * 6
    # after the last Sunday, 27, the last week goes on: 21, 22, ...
    assert inputs.window(inputs.own, np.full(4, 3.0))[row, 27] == 27 + 21 + 22


@pytest.mark.parametrize("method", PLANNERS)
def test_the_log_alone_reproduces_every_safety_stock(method: str) -> None:
    targets = plan_tables(example(), method)
    log = targets.log
    assert_allclose(replay(log.drop(columns="safety_stock")), log["safety_stock"], rtol=0, atol=1e-9)
    on_run_days = targets.series.merge(log, on=["item", "location", "period"])
    assert len(on_run_days) == len(log) > 0
    assert_allclose(on_run_days["safety_stock_x"], on_run_days["safety_stock_y"], rtol=0, atol=1e-9)


def test_the_log_of_assp_is_the_formula_applied_to_its_own_inputs() -> None:
    log = plan_tables(example(), "assp").log
    fields = ("demand_mean", "demand_sd", "lead_time", "lead_time_sd", "review_period", "service_level")
    inputs: dict[str, Any] = {name: log[name].to_numpy() for name in fields}
    again = assp("BT", **inputs)
    assert_allclose(again, log["planned_stock"], rtol=0, atol=1e-9)
    clamped = log[log["rule"] != ""]
    assert 0 < len(clamped) < len(log)
    assert set(clamped["safety_days"]) <= {2.0, 6.0}
    assert_allclose(clamped["planned_days"], clamped["planned_stock"] / clamped["demand_mean"])


@pytest.mark.parametrize("method", PLANNERS)
def test_what_is_forecast_later_changes_no_target_of_today(method: str) -> None:
    options: dict[str, Any] = {"every_weeks": 2} if method in ("multistage", "gsm") else {}
    rng = np.random.default_rng(0)
    demand = 10 + np.tile(WEEKLY, 8)
    other = np.concatenate([demand[:35], rng.permutation(demand[35:]) * 3])
    first, second = (plan_tables(chain(weeks=8, forecast={"A": of}), method, **options) for of in (demand, other))
    for column in ("safety_stock", "target_position", "reorder_position"):
        before, after = matrix(first, column), matrix(second, column)
        # the run of day 14 sees at most three weeks ahead, and the factory orders for eight days later
        assert_array_equal(before.iloc[:14], after.iloc[:14])
        assert not np.array_equal(before.iloc[28:], after.iloc[28:])


def test_a_forecast_made_later_is_not_known_to_earlier_runs() -> None:
    old = pd.DataFrame(
        {"item": "tea", "location": "A", "period": pd.date_range(FIRST, periods=28), "lag": 28, "quantity": 10.0}
    )
    new = old.assign(lag=7, quantity=30.0)
    other = old.assign(location="B")
    both = plan_tables(chain(forecasts=pd.concat([old, new, other])), "assp", bands={})
    without = plan_tables(chain(forecasts=pd.concat([old, other])), "assp", bands={})
    demand, before = matrix(both, "mean_demand")["A"], matrix(without, "mean_demand")["A"]
    # what is made 7 days ahead is known in the run of day 0 for days 0 to 7, in that of day 7 to day 14
    assert demand.tolist() == [30.0] * 28
    assert set(before) == {10.0}
    positions = matrix(both, "target_position")["A"] - matrix(both, "safety_stock")["A"]
    assert positions.iloc[[0, 5, 6]].tolist() == [60.0, 60.0, 60.0]
    late = plan_tables(chain(forecasts=pd.concat([old, new.assign(lag=3), other])), "assp", bands={})
    assert matrix(late, "mean_demand")["A"].iloc[:7].tolist() == [30.0] * 4 + [10.0] * 3
    wild = new.assign(lag=3, quantity=np.where(np.arange(28) > 3, 1e3, 30.0))
    changed = plan_tables(chain(forecasts=pd.concat([old, wild, other])), "assp", bands={})
    for column in ("safety_stock", "target_position"):
        assert_array_equal(matrix(late, column).iloc[:7], matrix(changed, column).iloc[:7])
        assert (matrix(late, column)["A"].iloc[7:] < matrix(changed, column)["A"].iloc[7:]).any()


@pytest.mark.parametrize("method", PLANNERS)
def test_shuffling_the_demand_of_the_future_changes_no_order_of_today(method: str) -> None:
    tables = chain(weeks=6)
    problem = problem_of(tables, item="tea", periods=42, warm_up=0)
    policy = policy_of(plan_tables(tables, method), problem.network, item="tea", periods=42)
    scenarios = sample(problem.network, periods=42, replications=5, seed=1)
    demand = scenarios.demand.copy()
    demand[:, 21:] = np.random.default_rng(2).permuted(demand[:, 21:], axis=1)
    traces = [
        simulate(problem, policy, drawn, trace=True).trace for drawn in (scenarios, replace(scenarios, demand=demand))
    ]
    assert traces[0] is not None
    assert traces[1] is not None
    assert_array_equal(traces[0].ordered[:, :22], traces[1].ordered[:, :22])
    assert not np.array_equal(traces[0].ordered[:, 22:], traces[1].ordered[:, 22:])


@pytest.mark.parametrize("method", PLANNERS)
def test_stock_that_is_set_elsewhere_is_never_replanned(method: str) -> None:
    set_elsewhere: dict[str, dict[str, Any]] = {
        "A": {"method": "MB", "safety_stock": 7.5},
        "Depot": {"external": True, "safety_stock": 0.25},
    }
    targets = plan_tables(chain(rows=set_elsewhere), method)
    assert set(matrix(targets, "safety_stock")["A"]) == {7.5}
    assert set(matrix(targets, "safety_stock")["Depot"]) == {0.25}
    kept = targets.log[targets.log["status"] == "kept"]
    assert set(kept["location"]) == {"A", "Depot"}
    assert_array_equal(replay(targets.log), targets.log["safety_stock"])
    with pytest.raises(MethodError, match="safety_stock"):
        plan_tables(chain(rows={"A": {"method": "MB"}}), method)


def test_reorder_points_order_lots_and_reorder_cycles_order_on_their_days() -> None:
    rows: dict[str, dict[str, Any]] = {"A": {"method": "BS", "lot_size": 40.0}, "B": {"target_days": 5.0}}
    tables = chain(rows=rows)
    targets = plan_tables(tables, "assp", bands={})
    reorder, target = matrix(targets, "reorder_position"), matrix(targets, "target_position")
    safety = matrix(targets, "safety_stock")
    assert_allclose(reorder["A"], 2 * 10 + safety["A"])
    assert_allclose(target["A"] - reorder["A"], 40)
    assert reorder["B"].notna().tolist() == [t % 5 == 0 for t in range(28)]
    assert_allclose(target["B"], (2 + 5) * 20 + safety["B"])
    problem = problem_of(tables, item="tea", periods=28, warm_up=0)
    policy = policy_of(targets, problem.network, item="tea")
    scenarios = sample(problem.network, periods=28, replications=3, seed=0)
    trace = simulate(problem, policy, scenarios, trace=True).trace
    assert trace is not None
    at = {link.target: e for e, link in enumerate(problem.network.links)}
    ordered = trace.ordered[:, :, at["B"]] > 0
    assert ordered[:, ::5].all()
    assert ordered.sum() == ordered[:, ::5].sum()
    assert not (trace.ordered[:, :, at["A"]] % 40).any()


def test_what_is_beyond_capacity_is_built_before_and_displays_are_filled() -> None:
    peak = np.where(np.arange(28) == 10, 50.0, 10.0)
    rows: dict[str, dict[str, Any]] = {"A": {"capacity": 20.0, "method": "SB", "safety_stock": 5.0}}
    rows["B"] = {"display_stock": 60.0, "method": "SB", "safety_stock": 25.0}
    tables = chain(forecast={"A": peak}, rows=rows)
    targets = plan_tables(tables, "assp", bands={})
    # 30 more than can be ordered are needed on day 10, and 10 more than needed can be had on each day before
    assert matrix(targets, "prebuild_stock")["A"].iloc[6:11].tolist() == [0.0, 10.0, 20.0, 30.0, 0.0]
    # an order of day 8 arrives on day 9
    assert matrix(targets, "target_position")["A"].iloc[8] == 10 + 10 + 5 + 30
    assert set(matrix(targets, "merchandising_stock")["B"]) == {35.0}
    assert set(matrix(targets, "target_position")["B"]) == {3 * 20 + 25 + 35.0}
    assert {link.target: link.max_order for link in network_of(tables, item="tea").links}["A"] == 20


def test_the_most_specific_promise_to_a_customer_holds() -> None:
    places = ["Factory", "Depot", "A", "B"]
    locations = pd.DataFrame({"location": places, "customer": ["", "", "Smith", ""]})
    promises = pd.DataFrame({"customer": ["Smith", ""], "item": ["", "tea"], "service_level": [0.99, 0.8]})
    targets = plan_tables(chain(locations=locations, service_targets=promises), "multistage")
    rows = targets.parameters.set_index("location")
    assert rows["service_level"].tolist() == [0.95, 0.95, 0.99, 0.95]
    assert rows["service_source"].tolist()[2:] == ["customer=Smith", "item_locations"]
    assert rows["internal_service"]["A"] >= 0.99
    unset = {name: {"service_level": None} for name in places}
    loose = plan_tables(chain(locations=locations, service_targets=promises, rows=unset), "multistage").parameters
    assert loose["service_source"].tolist() == ["", "", "customer=Smith", "item=tea"]
    assert loose["service_level"].tolist()[2:] == [0.99, 0.8]


def test_dynamic_stock_orders_up_to_the_target_below_the_minimum_alone() -> None:
    tables = chain()
    targets = plan_tables(tables, "dynamic", minimum=2, target=6)
    problem = problem_of(tables, item="tea", periods=28, warm_up=0)
    policy = policy_of(targets, problem.network, item="tea")
    at = {link.target: e for e, link in enumerate(problem.network.links)}["A"]
    # 2 periods of 10 until an order can serve, and days of stock on top
    assert (policy.reorder[0, at], policy.up_to[0, at]) == (39.0, 80.0)
    assert set(matrix(targets, "safety_stock")["A"]) == {20.0}


def test_a_deviation_that_the_lane_states_is_told_from_that_of_deliveries_on_it() -> None:
    lanes = pd.DataFrame(
        {"source": ["Factory", "Depot", "Depot"], "location": ["Depot", "A", "B"], "duration": [2, 1, 2]}
    )
    stated = planning_inputs(chain(lanes=lanes.assign(duration_sd=[0.0, 0.5, 0.0]))).rows.set_index("location")
    assert stated["lead_time_source"].to_dict() == {"Factory": "none", "Depot": "none", "A": "lanes", "B": "none"}
    assert stated["lead_time_sd"]["A"] == 0.5


def test_lead_times_are_drawn_so_that_realised_ones_are_as_recorded() -> None:
    late = {-1: 10, 0: 70, 1: 10, 2: 10}
    realised = realised_lead_times(2.0, late)
    assert realised == {1: 0.1, 2: 0.7, 3: 0.1, 4: 0.1}
    drawn = without_overtaking(realised)
    cumulated = np.cumsum([drawn[time] for time in (1, 2, 3, 4)])
    assert_allclose(cumulated, [0.1 / 0.8, 0.8 / 0.9, 0.9, 1.0])
    recorded = pd.DataFrame(
        {
            "item": "tea",
            "location": "A",
            "ordered": pd.date_range("2023-01-01", periods=100),
            "planned": 1.0,
            "actual": np.repeat([0.0, 1.0, 2.0, 3.0], [10, 70, 10, 10]),
        }
    )
    network = network_of(chain(lead_times=recorded), item="tea")
    times = sample(network, periods=4_000, replications=10, seed=3).lead_time
    assert times is not None
    column = {link.target: e for e, link in enumerate(network.links)}["Depot"]
    counted = np.bincount(times[:, 10:, column].ravel().astype(int), minlength=5)
    assert_allclose(counted / counted.sum(), [0, 0.1, 0.7, 0.1, 0.1], atol=0.01)
    assert realised_lead_times(2.4, {}) == {2: 1.0} == without_overtaking({2: 1.0})


def test_every_figure_says_where_it_is_from() -> None:
    rows = plan_tables(example(), "assp").parameters.set_index("location")
    shops = rows.index.str.startswith("distributor")
    assert set(rows["demand_source"][shops]) <= {"own history", "shrunk", "pooled"}
    assert set(rows["demand_source"][~shops]) == {"customers below"}
    assert set(rows["lead_time_source"]) <= {"own", "lane", "source", "location", "all"}
    # deliveries come 0.2 days late in the mean, with a deviation of 0.75 days
    assert (rows["lead_time"] - rows["lead_time_planned"]).mean() == pytest.approx(0.2, abs=0.1)
    assert rows["lead_time_sd"].mean() == pytest.approx(0.75, abs=0.15)
    stated = planning_inputs(chain(rows={"A": {"lead_time_error": 0.5, "lead_time": 4.0}})).rows.set_index("location")
    assert stated.loc["A", "lead_time_source"] == "stated" == stated.loc["A", "demand_source"]
    assert stated.loc["A", "lead_time_sd"] == pytest.approx(np.sqrt(np.pi / 2) * 0.5 * 4)
    assert stated.loc["A", "demand_sd"] == pytest.approx(np.sqrt(np.pi / 2) * 0.3 * 10)
    assert stated.loc["Depot", "demand_sd"] == pytest.approx(np.sqrt(np.pi / 2) * 0.3 * np.hypot(10, 20))
    assert stated.loc["Depot", "lead_time_source"] == "none"
    assert stated.loc["Depot", "lead_time_sd"] == 0


def test_guaranteed_service_is_that_of_the_network() -> None:
    tables = chain()
    targets = plan_tables(tables, "gsm")
    network = network_of(tables, item="tea")
    moments = {
        name: {"demand_mean": mean, "demand_sd": np.sqrt(np.pi / 2) * 0.3 * mean}
        for name, mean in (("A", 10.0), ("B", 20.0))
    }
    stages = stages_of(network, service_level=0.95).with_stages(moments)
    best = guaranteed_service(stages)
    rows = targets.parameters.set_index("location")
    names = [stage.name for stage in stages.stages]
    assert_allclose(rows.loc[names, "safety_stock"], best.safety_stock)
    assert rows.loc[names, "service_time"].tolist() == best.outbound.tolist()
    policy = policy_of(targets, network, item="tea")
    assert policy.up_to[0].tolist() == order_up_to_levels(network, stages, best.service_times)


def test_the_multistage_plan_serves_customers_as_promised_and_tells_what_others_deliver() -> None:
    tables = chain(weeks=60, rows={"A": {"service_level": 0.97}})
    problem = problem_of(tables, item="tea", periods=420, warm_up=30)
    spread = {name: np.sqrt(np.pi / 2) * 0.3 * mean for name, mean in (("A", 10.0), ("B", 20.0))}
    nodes = [
        node.model_copy(update={"demand": node.demand.model_copy(update={"sd": spread[node.name]})})
        if node.demand
        else node
        for node in problem.network.nodes
    ]
    problem = replace(problem, network=problem.network.model_copy(update={"nodes": tuple(nodes)}))
    targets = plan_tables(tables, "multistage")
    scenarios = sample(problem.network, periods=420, replications=200, seed=4)
    outcome = simulate(problem, policy_of(targets, problem.network, item="tea"), scenarios)
    fill = outcome.per_period["sold"].mean(axis=0) / outcome.per_period["demand"].mean(axis=0)
    planned = targets.parameters.set_index("location")["internal_service"]
    for outlet, filled in zip(problem.network.outlets, fill.tolist(), strict=True):
        promised = {"A": 0.97, "B": 0.95}[outlet.name]
        assert planned[outlet.name] >= promised
        assert filled == pytest.approx(promised, abs=0.005)
    assert (planned[["Depot", "Factory"]] < 0.95).all()


def test_a_run_in_which_little_has_changed_keeps_the_multistage_targets() -> None:
    doubled = 10.0 * np.where(np.arange(56) < 42, 1.0, 2.0)
    log = plan_tables(chain(weeks=8, forecast={"A": doubled}), "multistage", every_weeks=2).log
    of = log[log["location"] == "A"].set_index("period")
    assert (of["solved"] == [FIRST, FIRST, FIRST, FIRST + pd.Timedelta(days=42)]).all()
    assert of["safety_stock"].nunique() == 2
    again = plan_tables(chain(weeks=8), "multistage", every_weeks=2, change=0.0).log
    assert again["solved"].nunique() == 1


def test_locations_without_demand_need_no_stock() -> None:
    for method in PLANNERS:
        targets = plan_tables(chain(forecast={"A": 0.0, "B": 0.0}), method)
        assert not targets.series[["safety_stock", "target_position", "mean_demand"]].to_numpy().any()
        assert set(targets.parameters["demand_source"]) == {"no demand"}
        assert np.isfinite(targets.series.drop(columns=["item", "location", "period"]).to_numpy()).all()


def test_what_cannot_be_planned_is_refused_by_name() -> None:
    tables = chain()
    for method, options, message in (
        ("asap", {}, "method must be one of assp, dynamic, multistage, gsm, got 'asap'; did you mean 'assp'?"),
        ("assp", {"band": {}}, "assp has no option 'band'; it has bands, rules, demand; did you mean 'bands'?"),
        ("gsm", {"every_weeks": 0}, "every_weeks must be a whole number of at least 1, got 0"),
        ("multistage", {"every_weeks": 1.5}, "every_weeks must be a whole number of at least 1, got 1.5"),
        ("multistage", {"change": -1}, "change must be a finite number of at least 0, got -1"),
        ("multistage", {"change": np.nan}, "change must be a finite number of at least 0, got nan"),
        ("dynamic", {"weeks": -1}, "weeks must be a whole number of at least 1, got -1"),
        ("dynamic", {"weeks": 0}, "weeks must be a whole number of at least 1, got 0"),
        ("dynamic", {"weeks": 1.5}, "weeks must be a whole number of at least 1, got 1.5"),
        ("dynamic", {"weeks": np.inf}, "weeks must be a whole number of at least 1, got inf"),
        ("gsm", {"service_level": 0.5}, "gsm needs a service_level above 0.5 and below 1 at locations with customers, "
            "got 0.5 for tea at A"),
    ):  # fmt: skip
        with pytest.raises(MethodError) as caught:
            plan_tables(tables, method, **options)
        assert str(caught.value) == message
    open_level = chain(rows={"B": {"service_level": None}})
    for method in ("multistage", "gsm"):
        with pytest.raises(MethodError) as caught:
            plan_tables(open_level, method)
        assert str(caught.value) == (
            f"item_locations: service_level: is required by {method} at locations with customers, where no row of "
            "service_targets fits (tea at B)"
        )
    targets = plan_tables(tables, "dynamic")
    network = network_of(tables, item="tea")
    with pytest.raises(MethodError, match="targets must reach to the last of 29 periods, got 28 for item 'tea'"):
        policy_of(targets, network, item="tea", periods=29)
    with pytest.raises(MethodError, match="there are no targets for item 'te'; did you mean 'tea'"):
        policy_of(targets, network, item="te")
    without = replace(targets, series=targets.series[targets.series["location"] != "Depot"])
    with pytest.raises(MethodError, match="there are no targets for tea at Depot"):
        policy_of(without, network, item="tea")
    with pytest.raises(ConfigError, match="item: there is no item 'te' in item_locations; did you mean 'tea'"):
        network_of(tables, item="te")
    past = pd.DataFrame({"item": "tea", "location": "A", "period": [FIRST + pd.Timedelta(days=30)], "quantity": 1.0})
    with pytest.raises(ConfigError, match="there must be forecasts after the last realised demand"):
        plan_tables(chain(demand=past), "assp")


def test_methods_meet_on_common_scenarios_from_tables_to_a_year_of_simulation() -> None:
    tables = example()
    problem = problem_of(tables, item="personal_care")
    again = policy_of(plan_tables(tables, "assp"), problem.network, item="personal_care")
    table = compare_methods(tables, item="personal_care", policies={"assp again": again}, replications=8)
    assert table["method"].tolist() == [*PLANNERS, "assp again"]
    rows: dict[str, Any] = dict(zip(table["method"], table.to_dict("records"), strict=True))
    first, multistage, again_ = rows["assp"], rows["multistage"], rows["assp again"]
    for measure in (*MEASURES, "cost_difference"):
        assert first[measure] == again_[measure]
    for row in rows.values():
        assert row["cost_difference"] == pytest.approx(row["cost"] - first["cost"])
        assert row["cost"] == pytest.approx(row["holding_cost"] + row["stockout_cost"])
    assert first["cost_difference_half_width"] == 0 == again_["cost_difference_half_width"]
    assert multistage["cost_difference"] < -multistage["cost_difference_half_width"] < 0
    assert multistage["fill_rate"] > 0.99 > first["fill_rate"]
    with pytest.raises(MethodError, match="replications must be at least 2, got 1"):
        compare_methods(tables, item="personal_care", replications=1)


def test_assp_holds_what_it_plans_and_serves_as_promised_where_supply_is_sure() -> None:
    days = pd.date_range(FIRST, periods=420)
    tables = check_tables(
        {
            "items": pd.DataFrame({"item": ["tea"]}),
            "locations": pd.DataFrame({"location": ["Shop"]}),
            "item_locations": pd.DataFrame(
                {"item": ["tea"], "location": "Shop", "service_level": 0.95, "lead_time": 3, "holding_cost": 1.0}
            ),
            "forecasts": pd.DataFrame(
                {"item": "tea", "location": "Shop", "period": days, "quantity": 100 * np.tile(WEEKLY, 60)}
            ),
        }
    )
    problem = problem_of(tables, item="tea", periods=420, warm_up=28)
    law = problem.network.nodes[0].demand
    assert law is not None
    known = tables["item_locations"].assign(demand_error=30 / 100 / np.sqrt(np.pi / 2))
    tables = check_tables({**tables.tables, "item_locations": known})
    targets = plan_tables(tables, "assp", bands={})
    node = problem.network.nodes[0].model_copy(update={"demand": law.model_copy(update={"sd": 30.0})})
    problem = replace(problem, network=problem.network.model_copy(update={"nodes": (node,)}))
    scenarios = sample(problem.network, periods=420, replications=400, seed=0)
    outcome = simulate(problem, policy_of(targets, problem.network, item="tea"), scenarios)
    stock = outcome.per_period["on_hand"][:, 0] - outcome.per_period["backorders"][:, 0]
    assert stock.mean() == pytest.approx(matrix(targets, "safety_stock").iloc[28:].mean().item() + 0.5, abs=1.0)
    assert outcome.fill_rate.mean() == pytest.approx(0.95, abs=0.005)


def shop(first: pd.Timestamp, **row: Any) -> PlanningTables:
    """A shop with much of its demand on weekends, from any first day."""
    days = pd.date_range(first, periods=140)
    known = {"service_level": 0.95, "lead_time": 1, "holding_cost": 1.0, "demand_error": 0.4, **row}
    quantity = np.where(days.day_of_week < 5, 40.0, 250.0)
    return check_tables(
        {
            "items": pd.DataFrame({"item": ["tea"]}),
            "locations": pd.DataFrame({"location": ["Shop"]}),
            "item_locations": pd.DataFrame([{"item": "tea", "location": "Shop", **known}]),
            "forecasts": pd.DataFrame({"item": "tea", "location": "Shop", "period": days, "quantity": quantity}),
        }
    )


def test_the_weekday_on_which_a_plan_begins_changes_no_safety_stock() -> None:
    by_weekday = []
    for k in range(7):
        targets = plan_tables(shop(FIRST + pd.Timedelta(days=k)), "assp", bands={})
        # 20 weeks by weekday, Monday first
        safety = np.roll(matrix(targets, "safety_stock")["Shop"].to_numpy(), k).reshape(20, 7)
        assert_allclose(safety, np.tile(safety[0], (20, 1)))
        by_weekday.append(safety[0])
        assert_array_equal(replay(targets.log.drop(columns="safety_stock")), targets.log["safety_stock"])
    assert_allclose(by_weekday, np.tile(by_weekday[0], (7, 1)))
    # an order of Saturday must last for Saturday and Sunday
    spread = np.sqrt(np.pi / 2) * 0.4 * 250
    weekend = assp("BT", demand_mean=250, demand_sd=spread, lead_time=1, review_period=1, service_level=0.95)
    assert by_weekday[0][5] == pytest.approx(weekend)


@pytest.mark.parametrize("begin", [0, 5])
def test_a_shop_serves_its_weekends_as_promised_whenever_the_plan_begins(begin: int) -> None:
    tables = shop(FIRST + pd.Timedelta(days=begin))
    problem = problem_of(tables, item="tea", periods=140, warm_up=14)
    scenarios = sample(problem.network, periods=140, replications=400, seed=0)
    targets = plan_tables(tables, "assp", bands={})
    mean = matrix(targets, "mean_demand")["Shop"].to_numpy()
    # errors in proportion to the forecast, in whole units of at least 0
    noise = np.random.default_rng(0).normal(size=scenarios.demand.shape)
    demand = np.rint(np.maximum(mean[None, :, None] * (1 + np.sqrt(np.pi / 2) * 0.4 * noise), 0.0))
    policy = policy_of(targets, problem.network, item="tea")
    outcome = simulate(problem, policy, replace(scenarios, demand=demand))
    # a little more: what is left of the weekend's stock serves the days after it
    assert outcome.fill_rate.mean() == pytest.approx(0.965, abs=0.005)


def test_part_of_a_target_day_is_rounded_before_anything_follows_from_it() -> None:
    for days, whole in ((2.4, 2), (2.6, 3), (0.3, 1)):
        part, full = (plan_tables(shop(FIRST, target_days=of), "assp", bands={}) for of in (days, float(whole)))
        pd.testing.assert_frame_equal(part.series, full.series)
        assert part.parameters["cover"].tolist() == [1.0 + whole]
        assert set(part.log["review_period"]) == {whole}
        asked = matrix(part, "reorder_position")["Shop"].notna().to_numpy()
        assert np.flatnonzero(asked).tolist() == list(range(0, 140, whole))


def test_a_supplier_is_planned_for_the_errors_of_its_customers() -> None:
    stated = plan_tables(chain(rows={"Depot": {"demand_error": 0.9, "lead_time_error": 0.5}}), "assp", bands={})
    depot = stated.log[stated.log["location"] == "Depot"]
    assert_allclose(depot["demand_sd"], np.sqrt(np.pi / 2) * 0.3 * np.hypot(10, 20))
    assert_allclose(depot["lead_time_sd"], np.sqrt(np.pi / 2) * 0.5 * 2)


def test_the_kind_of_a_promise_decides_between_alpha_and_beta() -> None:
    places = pd.DataFrame({"location": ["Factory", "Depot", "A", "B"], "customer": ["", "", "Smith", ""]})
    promises = pd.DataFrame({"customer": ["Smith"], "service_level": 0.95, "service_kind": "alpha"})
    rows: dict[str, dict[str, Any]] = {"A": {"service_level": None}, "B": {"method": "AS"}}
    tables = chain(locations=places, service_targets=promises, rows=rows)
    targets = plan_tables(tables, "assp", bands={})
    planned = targets.parameters.set_index("location")[["method", "service_kind"]]
    assert planned["method"].to_dict() == {"Factory": "BT", "Depot": "BT", "A": "AT", "B": "AS"}
    assert planned["service_kind"].to_dict() == {"Factory": "beta", "Depot": "beta", "A": "alpha", "B": "alpha"}
    log = targets.log[targets.log["location"] == "A"]
    assert set(log["stock_method"]) == {"AT"}
    spread = np.sqrt(np.pi / 2) * 0.3 * 10
    alpha = assp("AT", demand_mean=10, demand_sd=spread, lead_time=1, review_period=1, service_level=0.95)
    assert_allclose(log["safety_stock"], alpha)
    # what item_locations states itself is no promise, and its method decides
    places = pd.concat([places, pd.DataFrame({"location": ["Elsewhere"], "customer": "Jones"})])
    given = plan_tables(chain(locations=places, service_targets=promises.assign(customer="Jones")), "assp", bands={})
    assert set(given.log["stock_method"]) == {"BT"}
