"""What an independent examination of the planning layer found, case by case: each failed before it was put right."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from echelon.baselines.planning import PLANNERS, Targets, plan_tables, policy_of
from echelon.baselines.planning_alerts import alerts
from echelon.baselines.planning_compare import compare_methods
from echelon.baselines.planning_frontier import frontier
from echelon.baselines.planning_inputs import planning_inputs
from echelon.baselines.planning_network import network_of, problem_of
from echelon.baselines.planning_scenarios import Case, ServiceLevel, compare
from echelon.baselines.planning_service import mean_on_hand, planned_service
from echelon.baselines.planning_tables import PlanningTables, check_tables, read_tables, write_folder, write_tables
from echelon.baselines.planning_views import component_sweep
from echelon.baselines.stock_components import prebuild_stock
from echelon.envs.errors import ConfigError, MethodError
from echelon.envs.scenarios import sample
from echelon.envs.simulate import simulate
from echelon.experiments.plan_summary import plan_summary

DAYS = pd.date_range("2024-01-01", periods=28)
Row = Mapping[str, Any]


def case(forecast: Any = 10.0, *, shop: Row | None = None, depot: Row | None = None, **tables: Any) -> PlanningTables:
    """Depot (3 days) -> Shop (2 days), with customers at Shop, or where `tables` say so."""
    known = {"item": "tea", "service_level": 0.95, "demand_error": 0.2}
    own = {**known, "location": "Shop", "lead_time": 2.0, "lead_time_error": 0.25, "holding_cost": 2.0}
    above = {**known, "location": "Depot", "lead_time": 3.0, "lead_time_error": 0.0, "holding_cost": 1.0}
    frames: dict[str, Any] = {
        "items": [{"item": "tea"}],
        "locations": [{"location": "Shop", "kind": "outlet"}, {"location": "Depot"}],
        "lanes": [{"source": "Depot", "location": "Shop", "duration": 2}],
        "item_locations": [{**own, **(shop or {})}, {**above, **(depot or {})}],
        "forecasts": series(DAYS, forecast),
    }
    return check_tables({name: pd.DataFrame(rows) for name, rows in (frames | tables).items()})


def series(days: Any, quantity: Any, *, item: str = "tea", location: str = "Shop") -> pd.DataFrame:
    return pd.DataFrame({"item": item, "location": location, "period": days, "quantity": quantity})


def at(targets: Targets, location: str, column: str, item: str = "tea") -> np.ndarray[Any, Any]:
    """A column of the series of an item-location."""
    rows = targets.series
    return np.asarray(rows.loc[(rows["item"] == item) & (rows["location"] == location), column], dtype=np.float64)


def two_items(history: int = 60, behind: int = 0, *, categories: tuple[str, str] = ("foods", "care")) -> PlanningTables:
    """Soap and tea at one shop, with a history of `history` days, that of soap `behind` days shorter."""
    past = pd.date_range(end=DAYS[0] - pd.Timedelta(days=1), periods=history)
    rng = np.random.default_rng(1)
    rows = [{"item": item, "location": "Shop", "lead_time": 2.0, "holding_cost": 1.0} for item in ("soap", "tea")]
    both = past.append(DAYS)
    names = ("soap", "tea")
    sold: dict[str, pd.DataFrame] = {item: series(past, rng.poisson(10, history), item=item) for item in names}
    sold["soap"] = sold["soap"].head(history - behind)
    profile = 10.0 + np.arange(len(both)) % 7
    return check_tables(
        {
            "items": pd.DataFrame({"item": ["soap", "tea"], "category": categories}),
            "locations": pd.DataFrame([{"location": "Shop", "kind": "outlet"}]),
            "item_locations": pd.DataFrame(rows).assign(service_level=0.95, stockout_cost=19.0),
            "forecasts": pd.concat([series(both, profile, item=item) for item in sold]),
            "demand": pd.concat(sold.values()),
        }
    )


def capped(lead_time: float, capacity: float, **row: Any) -> PlanningTables:
    """One shop without safety stock that is asked for 10 a day and for 100 on day 20."""
    demand = np.where(np.arange(40) == 20, 100.0, 10.0)
    known = {"item": "tea", "location": "Shop", "method": "SB", "safety_stock": 0.0, "holding_cost": 1.0}
    return check_tables(
        {
            "items": pd.DataFrame([{"item": "tea"}]),
            "locations": pd.DataFrame([{"location": "Shop", "kind": "outlet"}]),
            "item_locations": pd.DataFrame([{**known, "lead_time": lead_time, "capacity": capacity, **row}]),
            "forecasts": series(pd.date_range("2024-01-01", periods=40), demand),
        }
    )


def net_stock(tables: PlanningTables) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    """Orders and net stock of the capped policy where demand is as forecast, and stock is in balance at first."""
    row = tables["item_locations"].iloc[0]
    wait, capacity = int(row["lead_time"]), float(row["capacity"])
    demand = tables["forecasts"]["quantity"].to_numpy()
    targets = plan_tables(tables, "assp", bands={})
    up_to, asked = at(targets, "Shop", "target_position"), ~np.isnan(at(targets, "Shop", "reorder_position"))
    arriving, net, orders = np.zeros(len(demand) + wait), 0.0, np.zeros(len(demand))
    arriving[:wait] = 10.0
    nets = np.zeros(len(demand))
    for t, sold in enumerate(demand):
        if asked[t]:
            orders[t] = min(capacity, max(0.0, up_to[t] - net - arriving[t:].sum()))
            arriving[t + wait] += orders[t]
        net += arriving[t] - sold
        nets[t] = net
    return orders, nets


@pytest.mark.parametrize("lead_time", [0, 1, 5])
def test_prebuild_stock_is_ordered_a_lead_time_before_it_is_held(lead_time: int) -> None:
    tables = capped(lead_time, 40.0)
    orders, net = net_stock(tables)
    assert orders[18 - lead_time : 21 - lead_time].tolist() == [40.0, 40.0, 40.0]
    assert net[17:23].tolist() == [0.0, 30.0, 60.0, 0.0, 0.0, 0.0]
    # on the day itself it is stock that is there
    assert at(plan_tables(tables, "assp", bands={}), "Shop", "prebuild_stock")[17:21].tolist() == [0.0, 30.0, 60.0, 0.0]


def test_with_an_order_every_three_days_the_capacity_is_that_of_an_order() -> None:
    # an order of at most 45 every third day, of 30 but for the one that day 20 is served by
    orders, net = net_stock(capped(3.0, 45.0, target_days=3.0))
    assert (net[12:] >= -1e-9).all()
    assert orders.max() == 45.0
    held = prebuild_stock([10.0] * 5 + [100.0] + [10.0] * 6, 45.0, review_period=3)
    assert held[[2, 5, 8]].tolist() == [75.0, 0.0, 0.0]
    assert_array_equal(prebuild_stock([10.0, 50.0, 10.0], 20.0), [30.0, 0.0, 0.0])


def test_a_simulated_peak_beyond_the_capacity_is_served() -> None:
    tables = capped(5.0, 40.0)
    problem = problem_of(tables, item="tea", periods=40, warm_up=0)
    policy = policy_of(plan_tables(tables, "assp", bands={}), problem.network, item="tea")
    scenarios = sample(problem.network, periods=40, replications=2, seed=0)
    demand = np.broadcast_to(tables["forecasts"]["quantity"].to_numpy()[None, :, None], scenarios.demand.shape)
    trace = simulate(problem, policy, replace(scenarios, demand=np.array(demand)), trace=True).trace
    assert trace is not None
    assert trace.ordered[0, 13:16, 0].tolist() == [40.0, 40.0, 40.0]


@pytest.mark.parametrize("method", PLANNERS)
def test_prebuild_stock_does_not_follow_from_a_forecast_that_is_made_later(method: str) -> None:
    rows = pd.concat([series(DAYS, 10.0).assign(lag=lag) for lag in (0, 7, 14, 21, 28)])
    spike = rows["period"].eq(DAYS[20]) & rows["lag"].eq(7)  # made on day 13, so that the run of day 14 is the first
    wild = rows.assign(quantity=rows["quantity"].where(~spike, 510.0))
    first, second = (plan_tables(case(forecasts=of, shop={"capacity": 11.0}), method) for of in (rows, wild))
    for column in ("prebuild_stock", "target_position", "reorder_position"):
        before, after = at(first, "Shop", column), at(second, "Shop", column)
        assert_array_equal(before[:14], after[:14])
        assert not np.array_equal(before[14:], after[14:])


def test_a_series_that_ends_or_begins_before_others_is_named() -> None:
    long = series(pd.date_range(DAYS[0], periods=56), 1.0, location="Depot")
    late = series(DAYS[3:], 1.0, location="Depot")
    for other, says in (
        (long, "29: period: the forecast of 'tea' at 'Shop' ends on 2024-01-28, that of others on 2024-02-25"),
        (late, "30: period: the forecast of 'tea' at 'Depot' begins on 2024-01-04, that of others on 2024-01-01"),
    ):
        with pytest.raises(ConfigError) as caught:
            case(forecasts=pd.concat([series(DAYS, 10.0), other]))
        assert list(caught.value.problems) == [f"forecasts:{says}; days without demand can be 0"]


def test_the_errors_of_an_item_do_not_depend_on_how_far_the_history_of_another_goes() -> None:
    whole, short = two_items(), two_items(behind=10)
    first, second = (planning_inputs(tables).rows.set_index("item") for tables in (whole, short))
    assert first["demand_sd"]["tea"] == second["demand_sd"]["tea"]
    own = short["demand"][short["demand"]["item"] == "soap"]
    planned = short["forecasts"].merge(own, on=["item", "location", "period"], suffixes=("_planned", ""))
    rmse = np.sqrt(((planned["quantity"] - planned["quantity_planned"]) ** 2).mean())
    relative = rmse / planned["quantity_planned"].mean()
    ahead = short["forecasts"].query("item == 'soap'").iloc[-28:]["quantity"]
    assert second["demand_sd"]["soap"] == pytest.approx(relative * np.sqrt((ahead**2).mean()))
    fired = alerts(short, plan_tables(short, "assp", bands={}))
    behind = fired[fired["rule"] == "history_behind"]
    assert behind[["item", "value", "limit", "severity"]].to_numpy().tolist() == [["soap", 10.0, 0.0, "warning"]]
    assert "history_behind" not in set(alerts(whole, plan_tables(whole, "assp", bands={}))["rule"])


def test_a_history_that_leaves_out_days_without_demand_is_not_behind() -> None:
    tables = two_items()
    sold = tables["demand"]
    few = sold[(sold["item"] != "soap") | (np.arange(len(sold)) % 4 == 0)]
    tables = check_tables({**tables.tables, "demand": few})
    assert few[few["item"] == "soap"]["period"].max() < few["period"].max()
    assert "history_behind" not in set(alerts(tables, plan_tables(tables, "assp", bands={}))["rule"])


def test_methods_are_compared_on_the_days_of_their_plan_with_the_plan_of_all_tables() -> None:
    tables = two_items(behind=3, categories=("foods", "foods"))
    whole = plan_tables(tables, "assp", bands={})
    own = plan_tables(tables, "assp", item="soap", bands={})
    expected = whole.parameters[whole.parameters["item"] == "soap"].reset_index(drop=True)
    pd.testing.assert_frame_equal(own.parameters, expected)
    rows = whole.series[whole.series["item"] == "soap"].reset_index(drop=True)
    pd.testing.assert_frame_equal(own.series, rows)
    law = network_of(tables, item="soap").nodes[0].demand
    assert law is not None
    assert law.mean_demand * law.factors(1)[0] == pytest.approx(at(own, "Shop", "mean_demand", item="soap")[0])
    run: dict[str, Any] = {"item": "soap", "replications": 2, "periods": 28, "warm_up": 0}
    compared = compare_methods(tables, methods=["assp"], options={"assp": {"bands": {}}}, **run)
    assert compared["planned_safety_stock"].iloc[0] == pytest.approx(float(expected["safety_stock"].sum()))
    points = frontier(tables, "assp", [0.95], item="soap", options={"bands": {}})
    assert points["safety_stock"].iloc[0] == pytest.approx(float(expected["safety_stock"].sum()))
    with pytest.raises(ConfigError, match="item: there is no item 'saop'; did you mean 'soap'"):
        plan_tables(tables, "assp", item="saop")


def deliveries(count: int, source: str, *, planned: float = 2.0, actual: Any = 2.0, first: str = "2023-01-01") -> Any:
    days = pd.date_range(first, periods=count)
    rows = {"item": "tea", "location": "Shop", "source": source, "ordered": days, "planned": planned}
    return pd.DataFrame({**rows, "actual": actual})


def test_the_deliveries_of_the_present_supplier_count_before_those_of_another_one() -> None:
    own = deliveries(25, "Depot")
    places = pd.DataFrame({"location": ["Shop", "Depot", "Plant"]})
    elsewhere = deliveries(40, "Plant", actual=9.0, first="2021-01-01").assign(location="Depot", planned=3.0)
    old = deliveries(2, "Plant", actual=9.0, first="2022-01-01")
    unstated: Row = {"lead_time_error": np.nan}
    for recorded in (own, pd.concat([own, old, elsewhere])):
        tables = case(shop=unstated, depot=unstated, locations=places, lead_times=recorded)
        shop = planning_inputs(tables).rows.iloc[0]
        assert shop[["lead_time", "lead_time_sd", "lead_time_source"]].tolist() == [2.0, 0.0, "own"]


def test_lateness_counts_against_a_planned_lead_time_of_zero() -> None:
    late = deliveries(40, "Depot", planned=0.0, actual=[0.0, 6.0] * 20)
    for planned in (2.0, 0.0):
        tables = case(shop={"lead_time_error": np.nan, "lead_time": planned}, lead_times=late)
        row = planning_inputs(tables).rows.iloc[0]
        assert row["lead_time"] == planned + 3.0
        assert row["lead_time_sd"] == pytest.approx(np.std([0.0, 6.0] * 20, ddof=1))


CHAIN = [{"location": "Shop", "kind": "outlet", "customer": "Chain"}, {"location": "Depot"}]


@pytest.mark.parametrize(
    "named", [{"customer": "Chain"}, {"item": "tea", "location": "Shop"}, {"item": "tea"}, {"category": "drinks"}]
)
def test_a_level_holds_against_promises_that_name_a_customer_or_a_place(named: Row) -> None:
    promise = [{**named, "service_level": 0.9, "service_kind": "alpha"}]
    items = [{"item": "tea", "category": "drinks"}]
    tables = case(shop={"service_level": np.nan}, locations=CHAIN, service_targets=promise, items=items)
    for method in ("assp", "gsm", "multistage"):
        swept = component_sweep(tables, method, [0.8, 0.99])["safety_stock"]
        assert swept.is_monotonic_increasing
        assert swept.is_unique
    found = frontier(tables, "assp", [0.8, 0.99], item="tea")["service"].iloc[:2]
    assert_allclose(found, [0.8, 0.99], atol=1e-6)
    for place in ("", "Shop"):
        change = ServiceLevel(0.99, location=place)
        assert compare(tables, {"more": [change]}, "assp")["service"].tolist() == pytest.approx([0.9, 0.99])


def test_a_level_at_one_place_leaves_what_others_are_promised() -> None:
    places = [*CHAIN, {"location": "Kiosk", "kind": "outlet", "customer": "Chain"}]
    row = {"item": "tea", "location": "Kiosk", "lead_time": 2.0, "holding_cost": 2.0, "demand_error": 0.2}
    forecasts = pd.concat([series(DAYS, 10.0), series(DAYS, 10.0, location="Kiosk")])
    rows = pd.concat([case()["item_locations"], pd.DataFrame([row])])
    promise = [{"customer": "Chain", "service_level": 0.9}]
    tables = case(locations=places, item_locations=rows, forecasts=forecasts, service_targets=promise)
    changed = ServiceLevel(0.99, location="Kiosk")(Case(tables, "assp")).tables
    assert planning_inputs(tables).rows["service_level"].tolist() == [0.9, 0.95, 0.9]
    assert planning_inputs(changed).rows["service_level"].tolist() == [0.9, 0.95, 0.99]


def test_multistage_tells_the_service_that_stock_gives_which_is_set_elsewhere() -> None:
    tables = case(shop={"external": True, "safety_stock": 0.0})
    targets = plan_tables(tables, "multistage")
    shop = targets.parameters.iloc[0]
    assert shop["safety_stock"] == 0.0
    assert shop["base_stock"] == 30.0
    assert shop["internal_service"] < 0.9
    assert planned_service(targets)[0] == shop["internal_service"]
    fired = alerts(tables, targets)
    assert "Shop" in set(fired[fired["rule"] == "target_unreachable"]["location"])


def test_multistage_plans_around_stock_that_is_set_elsewhere_above() -> None:
    free, tied = (
        plan_tables(case(depot=row), "multistage").parameters.set_index("location")
        for row in ({}, {"external": True, "safety_stock": -0.0})
    )
    stock, service = ([of[name] for of in (free, tied)] for name in ("safety_stock", "internal_service"))
    assert stock[0]["Depot"] < 0 == stock[1]["Depot"]
    assert service[1]["Depot"] > service[0]["Depot"]
    assert stock[1]["Shop"] < stock[0]["Shop"]
    assert service[1]["Shop"] >= 0.95


@pytest.mark.parametrize("method", PLANNERS)
def test_a_row_that_is_never_replanned_needs_no_service_level(method: str) -> None:
    tables = case(shop={"method": "MB", "safety_stock": 5.0, "service_level": np.nan})
    targets = plan_tables(tables, method)
    assert set(at(targets, "Shop", "safety_stock")) == {5.0}
    assert np.isfinite(at(targets, "Depot", "target_position")).all()


def test_leaving_out_days_without_demand_changes_neither_network_nor_alerts() -> None:
    past = pd.date_range(end=DAYS[0] - pd.Timedelta(days=1), periods=80)
    sold = np.where(np.arange(80) % 4 == 3, np.resize([21.0, 12.0, 30.0], 80), 0.0)
    sold[0] = 5.0
    demand = series(past, sold)
    forecasts = pd.concat([series(past, 10.0), series(DAYS, 10.0)])
    all_rows, few = (case(demand=of, forecasts=forecasts) for of in (demand, demand[demand["quantity"] > 0]))
    assert network_of(all_rows, item="tea") == network_of(few, item="tea")
    first, second = (alerts(tables, plan_tables(tables, "assp")) for tables in (all_rows, few))
    pd.testing.assert_frame_equal(first, second)
    assert {"forecast_error", "forecast_bias"} & set(first["rule"])


def test_names_that_promises_to_customers_get_wrong_are_told() -> None:
    rows = [
        {"item": "tee", "service_level": 0.9},
        {"category": "drinsk", "service_level": 0.9},
        {"customer": "Chian", "service_level": 0.9},
        {"customer_class": "retial", "service_level": 0.9},
        {"item": "tea", "location": "Shpo", "service_level": 0.9},
        {"location": "Shop", "service_level": 0.9},
    ]
    items = [{"item": "tea", "category": "drinks", "customer_class": "retail"}]
    with pytest.raises(ConfigError) as caught:
        case(locations=CHAIN, items=items, service_targets=rows)
    assert sorted(caught.value.problems) == [
        "service_targets:2: item: 'tee' is not in items; did you mean 'tea'?",
        "service_targets:3: category: 'drinsk' is not in items or item_locations; did you mean 'drinks'?",
        "service_targets:4: customer: 'Chian' is not in locations; did you mean 'Chain'?",
        "service_targets:5: customer_class: 'retial' is not in items; did you mean 'retail'?",
        "service_targets:6: location: 'Shpo' is not in locations; did you mean 'Shop'?",
        "service_targets:7: item: must be given with a location (got location 'Shop')",
    ]


def test_a_lane_that_would_bring_nothing_is_told() -> None:
    items, rows = [{"item": "tea"}, {"item": "soap"}], case()["item_locations"]
    rows = pd.concat([rows, rows.iloc[[1]].assign(item="soap")])
    lanes = [{"source": "Depot", "location": "Shop", "item": item, "duration": 2} for item in ("tea", "soap", "sope")]
    with pytest.raises(ConfigError) as caught:
        case(items=items, item_locations=rows, lanes=lanes)
    assert list(caught.value.problems) == [
        "lanes:4: item: 'sope' is not in items; did you mean 'soap'?",
        "lanes:3: 'soap' is not in item_locations at 'Shop'",
    ]


def test_a_plan_is_written_into_the_current_folder_and_behind_a_link(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "there").mkdir()
    (tmp_path / "link").symlink_to("there")
    monkeypatch.chdir(tmp_path / "here")
    write_folder(".", {"a.csv": "1"})
    write_folder(tmp_path / "link", {"a.csv": "1", "b.csv": "2"})
    assert [path.name for path in Path.cwd().iterdir()] == ["a.csv"]
    assert sorted(path.name for path in (tmp_path / "link").iterdir()) == ["a.csv", "b.csv"]
    assert (tmp_path / "link").is_symlink()


def test_a_folder_that_cannot_be_written_stays_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "here").mkdir()
    moved = Path.write_text

    def breaks(self: Path, text: str, **options: Any) -> int:
        if self.name == "b.csv":
            raise OSError("disk full")
        return moved(self, text, **options)

    monkeypatch.setattr(Path, "write_text", breaks)
    for name in ("here", "new"):
        with pytest.raises(ConfigError, match=f"{name}: the folder cannot be written: disk full"):
            write_folder(tmp_path / name, {"a.csv": "1", "b.csv": "2"})
    assert [path.name for path in tmp_path.iterdir()] == ["here"]
    assert not list((tmp_path / "here").iterdir())


def test_multistage_names_the_place_that_has_customers_and_supplies_others() -> None:
    forecasts = pd.concat([series(DAYS, 10.0), series(DAYS, 1.0, location="Depot")])
    with pytest.raises(MethodError) as caught:
        plan_tables(case(forecasts=forecasts), "multistage")
    assert str(caught.value) == (
        "multistage needs customers only where no other location is supplied, got both for tea at Depot"
    )


def test_without_demand_there_is_no_cycle_stock() -> None:
    parts = plan_tables(case(0.0, shop={"lot_size": 100.0}), "assp").parameters
    assert parts["cycle_stock"].tolist() == [0.0, 0.0]
    sundays = np.where(np.arange(28) % 7 == 6, 0.0, 10.0)
    assert set(at(plan_tables(case(sundays, shop={"lot_size": 100.0}), "assp"), "Shop", "cycle_stock")) == {49.5}


@pytest.mark.parametrize("method", PLANNERS)
def test_the_report_and_the_scenarios_agree_on_what_stock_costs_to_hold(method: str) -> None:
    tables = case()
    targets = plan_tables(tables, method)
    held = plan_summary(tables, targets).holding_cost
    assert held == pytest.approx(float(mean_on_hand(targets) @ [2.0, 1.0]))
    assert held == pytest.approx(compare(tables, {}, method)["holding_cost"].iloc[0])


@pytest.mark.parametrize("units", [1.0, 5.0, 6.0, 0.0])
def test_no_receipt_is_lost_or_invented_by_rounding(units: float) -> None:
    receipt = [{"item": "tea", "location": "Depot", "period": "2024-01-02", "quantity": units}]
    network = network_of(case(receipts=receipt), item="tea")
    link = next(link for link in network.links if link.target == "Depot")
    on_hand = next(node.initial_on_hand for node in network.nodes if node.name == "Depot")
    assert link.lead_time == 3
    assert 3 * link.initial_in_transit + on_hand == units


def test_a_deviation_that_rests_on_a_day_is_told() -> None:
    day = pd.date_range(end=DAYS[0] - pd.Timedelta(days=1), periods=1)
    forecasts = pd.concat([series(day, 10.0), series(DAYS, 10.0)])
    tables = case(shop={"demand_error": 0.0}, demand=series(day, 10.0), forecasts=forecasts)
    targets = plan_tables(tables, "assp")
    assert targets.parameters["demand_sd"].tolist() == [0.0, 0.0]
    fired = alerts(tables, targets)
    short = fired[fired["rule"] == "short_history"]
    assert short[["location", "value", "limit"]].to_numpy().tolist() == [["Shop", 1.0, 14.0]]


def test_a_file_counts_whatever_the_case_of_its_ending(tmp_path: Path) -> None:
    past = series(pd.date_range(end=DAYS[0] - pd.Timedelta(days=1), periods=5), 10.0)
    write_tables(case(demand=past), tmp_path / "data")
    (tmp_path / "data" / "demand.csv").rename(tmp_path / "data" / "demand.CSV")
    assert len(read_tables(tmp_path / "data")["demand"]) == 5
    (tmp_path / "data" / "dmeand.CSV").write_text("x")
    with pytest.raises(ConfigError, match=r"dmeand.CSV: there is no such table; did you mean 'demand'\?"):
        read_tables(tmp_path / "data")


def test_blank_lines_do_not_shift_the_lines_of_defects(tmp_path: Path) -> None:
    write_tables(case(), tmp_path / "data")
    path = tmp_path / "data" / "items.csv"
    head, row = path.read_text().splitlines()
    path.write_text(f"{head}\n\n\n{row}\n\n{row.replace('1.0', 'x').replace('tea', 'soap')}\n")
    with pytest.raises(ConfigError) as caught:
        read_tables(tmp_path / "data")
    assert [problem.partition("data/")[2] for problem in caught.value.problems] == [
        "items.csv:6: unit_value: must be a finite number (got 'x')"
    ]


def test_a_category_without_a_band_is_planned_and_told() -> None:
    tables = case(items=[{"item": "tea", "category": "Garden"}])
    targets, free = plan_tables(tables, "assp"), plan_tables(tables, "assp", bands={})
    assert_array_equal(targets.parameters["safety_stock"], free.parameters["safety_stock"])
    fired = alerts(tables, targets)
    assert fired[fired["rule"] == "no_band"]["message"].tolist() == [
        "there is no band for Garden: the safety stocks of 2 item-locations stay as they are planned"
    ]
    assert "no_band" not in set(alerts(tables, free)["rule"])
