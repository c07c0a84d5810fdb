"""Requirements planning: records worked by hand, laws of every record, the explosion, and netting as a policy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echelon.baselines.erp_policies import drp_plan
from echelon.baselines.planning_policy import RequirementsPlanning, planning_policy
from echelon.baselines.requirements_forecast import mean_demand_by_period, requirements_forecast
from echelon.baselines.requirements_planning import LotRule, PlannedItem, net_requirements, plan_requirements
from echelon.envs.catalogue import make_problem
from echelon.envs.demand import AR1, Deterministic, Empirical, Poisson
from echelon.envs.errors import MethodError
from echelon.envs.network import Network
from echelon.envs.policy import OrderUpTo
from echelon.envs.problem import Problem
from echelon.envs.scenarios import sample
from echelon.envs.simulate import simulate

GROSS = (20, 0, 35, 10, 0, 60, 25, 40)
SCHEDULED = (0, 30, 0, 0, 0, 0, 0, 0)
# Worked by hand: 25 on hand, safety stock 5, lead time 2. Rows: projected on hand, net, planned receipts, releases.
RECORDS: dict[str, tuple[LotRule, tuple[tuple[int, ...], ...]]] = {
    "lot for lot": (
        LotRule(),
        (
            (5, 35, 5, 5, 5, 5, 5, 5),
            (0, 0, 5, 10, 0, 60, 25, 40),
            (0, 0, 5, 10, 0, 60, 25, 40),
            (5, 10, 0, 60, 25, 40, 0, 0),
        ),
    ),
    "fixed lots of 50": (
        LotRule(multiple=50),
        (
            (5, 35, 50, 40, 40, 30, 5, 15),
            (0, 0, 5, 0, 0, 25, 0, 40),
            (0, 0, 50, 0, 0, 50, 0, 50),
            (50, 0, 0, 50, 0, 50, 0, 0),
        ),
    ),
    "three periods of supply": (
        LotRule(periods=3),
        (
            (5, 35, 15, 5, 5, 70, 45, 5),
            (0, 0, 5, 0, 0, 60, 0, 0),
            (0, 0, 15, 0, 0, 125, 0, 0),
            (15, 0, 0, 125, 0, 0, 0, 0),
        ),
    ),
    "at least 30 in tens": (
        LotRule(minimum=30, multiple=10),
        (
            (5, 35, 30, 20, 20, 10, 15, 5),
            (0, 0, 5, 0, 0, 45, 20, 30),
            (0, 0, 30, 0, 0, 50, 30, 30),
            (30, 0, 0, 50, 30, 30, 0, 0),
        ),
    ),
    "at most 40": (
        LotRule(maximum=40),
        (
            (5, 35, 5, 5, 5, -15, 0, 0),
            (0, 0, 5, 10, 0, 60, 45, 45),
            (0, 0, 5, 10, 0, 40, 40, 40),
            (5, 10, 0, 40, 40, 40, 0, 0),
        ),
    ),
}


@pytest.mark.parametrize("name", RECORDS)
def test_every_row_of_the_record_of_eight_buckets_is_that_worked_by_hand(name: str) -> None:
    rule, (projected, net, receipts, releases) = RECORDS[name]
    record = net_requirements(
        GROSS, scheduled_receipts=SCHEDULED, on_hand=25, safety_stock=5, lead_time=2, lot_rule=rule
    )
    np.testing.assert_array_equal(record.gross, GROSS)
    np.testing.assert_array_equal(record.scheduled_receipts, SCHEDULED)
    np.testing.assert_array_equal(record.projected_on_hand, projected)
    np.testing.assert_array_equal(record.net, net)
    np.testing.assert_array_equal(record.planned_receipts, receipts)
    np.testing.assert_array_equal(record.planned_releases, releases)
    assert record.past_due == 0


def test_releases_that_are_past_due_are_reported() -> None:
    record = net_requirements(GROSS, scheduled_receipts=SCHEDULED, on_hand=25, safety_stock=5, lead_time=4)
    assert record.past_due == 15
    np.testing.assert_array_equal(record.planned_releases, [0, 60, 25, 40, 0, 0, 0, 0])
    late = net_requirements(GROSS, on_hand=0, lead_time=20)
    assert late.past_due == sum(GROSS)
    assert not late.planned_releases.any()


def test_a_target_above_the_safety_stock_is_filled_up_to() -> None:
    # Dynamic stock in time: below 5 order up to 30. Available: 5, 5, then -30 -> 60, 20, 20, then -40 -> 70, 5, -35.
    record = net_requirements(GROSS, on_hand=25, safety_stock=5, target_stock=30)
    np.testing.assert_array_equal(record.planned_receipts, [0, 0, 60, 0, 0, 70, 0, 65])
    np.testing.assert_array_equal(record.projected_on_hand, [5, 5, 30, 20, 20, 30, 5, 30])


def test_items_are_planned_together_as_they_are_alone() -> None:
    rng = np.random.default_rng(0)
    gross, on_hand, safety = rng.integers(0, 50, (5, 8)), rng.integers(-20, 60, 5), rng.integers(0, 20, (5, 1))
    together = net_requirements(gross, on_hand=on_hand, safety_stock=safety, lead_time=1, lot_rule=LotRule(30))
    for k in range(5):
        alone = net_requirements(
            gross[k], on_hand=on_hand[k], safety_stock=safety[k], lead_time=1, lot_rule=LotRule(30)
        )
        np.testing.assert_array_equal(together.planned_releases[k], alone.planned_releases)


@given(
    st.lists(st.integers(0, 60), min_size=8, max_size=8),
    st.lists(st.integers(0, 30), min_size=8, max_size=8),
    st.integers(-40, 80),
    st.integers(0, 20),
    st.integers(0, 9),
    st.sampled_from([LotRule(), LotRule(multiple=25), LotRule(periods=3), LotRule(minimum=40)]),
)
@settings(max_examples=60, deadline=None)
def test_the_laws_of_a_record(
    gross: list[int], scheduled: list[int], on_hand: int, safety: int, lead_time: int, rule: LotRule
) -> None:
    record = net_requirements(
        gross, scheduled_receipts=scheduled, on_hand=on_hand, safety_stock=safety, lead_time=lead_time, lot_rule=rule
    )
    flow = np.asarray(scheduled) - gross + record.planned_receipts
    np.testing.assert_allclose(record.projected_on_hand, on_hand + np.cumsum(flow))
    assert (record.projected_on_hand >= safety - 1e-9).all()
    assert record.planned_releases.sum() + record.past_due == pytest.approx(record.planned_receipts.sum())
    assert ((record.net > 0) == (record.planned_receipts > 0)).all()
    if rule == LotRule():
        np.testing.assert_allclose(record.planned_receipts, record.net)


STORES = {
    "north": PlannedItem(
        lead_time=2, on_hand=25, demand=GROSS, scheduled_receipts=SCHEDULED, safety_stock=5, supply={"warehouse": 1}
    ),
    "south": PlannedItem(lead_time=1, on_hand=20, demand=(10,) * 8, supply={"warehouse": 1}),
    "warehouse": PlannedItem(lead_time=1, on_hand=40, safety_stock=10, lot_rule=LotRule(multiple=60)),
}


def test_planned_releases_of_stores_are_gross_requirements_of_their_warehouse() -> None:
    records = plan_requirements(STORES, buckets=8)
    assert list(records) == ["north", "south", "warehouse"]
    np.testing.assert_array_equal(records["south"].planned_releases, [0, 10, 10, 10, 10, 10, 10, 0])
    warehouse = records["warehouse"]
    np.testing.assert_array_equal(warehouse.gross, [5, 20, 10, 70, 35, 50, 10, 0])
    np.testing.assert_array_equal(warehouse.net, [0, 0, 5, 15, 0, 40, 0, 0])
    np.testing.assert_array_equal(warehouse.projected_on_hand, [35, 15, 65, 55, 20, 30, 20, 20])
    np.testing.assert_array_equal(warehouse.planned_releases, [0, 60, 60, 0, 60, 0, 0, 0])


def test_components_are_needed_in_their_quantities_and_past_due_releases_at_once() -> None:
    items = {
        "wheel": PlannedItem(lead_time=1),
        "bike": PlannedItem(lead_time=2, demand=(3, 0, 4, 5), supply={"wheel": 2, "frame": 1}),
        "frame": PlannedItem(on_hand=4),
    }
    records = plan_requirements(items, buckets=4)
    assert records["bike"].past_due == 3
    np.testing.assert_array_equal(records["wheel"].gross, [14, 10, 0, 0])
    np.testing.assert_array_equal(records["frame"].planned_releases, [3, 5, 0, 0])
    assert records["wheel"].past_due == 14


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: net_requirements([1, -1]), "gross must be finite and at least 0 everywhere, got -1"),
        (lambda: net_requirements([]), "gross must have at least one bucket, got none"),
        (lambda: net_requirements([1.0], lead_time=-1), "lead_time must be at least 0, got -1"),
        (lambda: net_requirements([1.0], on_hand=np.inf), "on_hand must be finite numbers"),
        (lambda: net_requirements([1.0], safety_stock=3, target_stock=2), "target_stock must be at least safety_stock"),
        (lambda: LotRule(multiple=-1), "multiple must be a finite number of at least 0, got -1"),
        (lambda: LotRule(minimum=5, maximum=4), "maximum must be at least minimum and multiple, got 4"),
        (lambda: LotRule(periods=0), "periods must be at least 1, got 0"),
        (lambda: plan_requirements({"a": PlannedItem(supply={"b": 1})}, buckets=2), "supply of 'a' must be items"),
        (lambda: plan_requirements({"a": PlannedItem(demand=(1,))}, buckets=2), "demand of 'a' must have 2 buckets"),
        (
            lambda: plan_requirements(
                {"a": PlannedItem(supply={"b": 1}), "b": PlannedItem(supply={"a": 1})}, buckets=1
            ),
            "supply must form no cycle",
        ),
        (lambda: drp_plan(single(), safety_days=np.nan), "safety_days must be finite and at least 0"),
        (lambda: drp_plan(single(), safety_days=1.0, supply_periods=0), "supply_periods must be at least 1, got 0"),
    ],
)
def test_bad_input_is_named(call: Any, message: str) -> None:
    with pytest.raises(MethodError, match=message):
        call()


def single(**link: Any) -> Problem:
    node = {"name": "store", "holding_cost": 1.0, "stockout_cost": 9.0, "demand": {"law": "poisson", "mean": 5.0}}
    network = Network.from_dict({"nodes": [node], "links": [{"target": "store", "lead_time": 2, **link}]})
    return Problem("single", network, periods=60, warm_up=0)


def emptied(problem: Problem) -> Problem:
    """The problem with nothing in stock or in transit at the start, over 60 periods."""
    network = problem.network
    nodes = tuple(node.model_copy(update={"initial_on_hand": 0.0}) for node in network.nodes)
    links = tuple(link.model_copy(update={"initial_in_transit": 0.0}) for link in network.links)
    return Problem("empty", network.model_copy(update={"nodes": nodes, "links": links}), periods=60, warm_up=0)


@pytest.mark.parametrize("review_period", [1, 3])
@pytest.mark.parametrize("problem_id", ["Serial", "OneWarehouse", "Assembly", "Network", "LostSales"])
def test_netting_a_steady_forecast_is_a_base_stock_rule(problem_id: str, review_period: int) -> None:
    problem = emptied(make_problem(f"echelon/{problem_id}-v0"))
    links = len(problem.network.links)
    rule = drp_plan(problem, safety_days=1.0, review_period=review_period).policy
    assert isinstance(rule, OrderUpTo)
    means = np.array(requirements_forecast(problem.network, periods=1).total[0])
    netting = planning_policy(problem, means, supply_periods=[1] * links, review_period=review_period)
    scenarios = sample(problem.network, periods=60, replications=20, seed=2)
    one, other = (simulate(problem, policy, scenarios, trace=True, check=True).trace for policy in (rule, netting))
    assert one is not None
    assert other is not None
    np.testing.assert_array_equal(one.ordered, other.ordered)


def test_without_randomness_netting_serves_everybody_from_no_safety_stock() -> None:
    # Promotions at two stores, lead times 2 and 1 below a warehouse with 3: planned to the unit, so nothing is left.
    def outlet(name: str, start: int) -> dict[str, Any]:
        values = tuple(float(v) for v in [*[4] * start, 20, 20, *[4] * 60])
        demand = {"law": "deterministic", "values": values}
        return {"name": name, "holding_cost": 1.0, "stockout_cost": 9.0, "demand": demand}

    for review_period in (1, 7):
        network = Network.from_dict(
            {
                "nodes": [{"name": "warehouse", "holding_cost": 0.5}, outlet("a", 30), outlet("b", 37)],
                "links": [
                    {"target": "warehouse", "lead_time": 3},
                    {"source": "warehouse", "target": "a", "lead_time": 2},
                    {"source": "warehouse", "target": "b", "lead_time": 1},
                ],
            }
        )
        problem = Problem("known", network, periods=70, warm_up=0)
        scenarios = sample(network, periods=70, replications=1, seed=0)
        policy = drp_plan(problem, safety_days=0.0, review_period=review_period).policy
        assert isinstance(policy, RequirementsPlanning)
        trace = simulate(problem, policy, scenarios, trace=True, check=True).trace
        assert trace is not None
        settled = slice(3 * review_period + 7, None)
        assert not trace.backorders[:, settled].any()
        if review_period == 1:
            assert not trace.on_hand[:, settled].any()


def test_lots_and_periods_of_supply_are_kept() -> None:
    problem = single(lot_size=20.0)
    scenarios = sample(problem.network, periods=60, replications=20, seed=2)
    trace = simulate(problem, drp_plan(problem, safety_days=1.0).policy, scenarios, trace=True, check=True).trace
    assert trace is not None
    assert set(np.unique(trace.ordered)) <= {0.0, 20.0, 40.0, 60.0}
    # (r, nQ): mean 5, lead time 2: below 15 + 5 lots are ordered until the position is back there.
    assert isinstance(drp_plan(single(), safety_days=1.0).policy, OrderUpTo)
    seldom = simulate(single(), drp_plan(single(), safety_days=1.0, supply_periods=4).policy, scenarios, trace=True)
    assert seldom.trace is not None
    assert 0.2 < (seldom.trace.ordered > 0).mean() < 0.35


def test_an_unlimited_source_before_others_needs_a_steady_forecast() -> None:
    seasonal = {"law": "poisson", "mean": 4.0, "seasonal": [0.5, 1.5]}
    problem = make_problem("echelon/DualSourcing-v0", demand=seasonal)
    with pytest.raises(MethodError, match=r"^drp needs a largest order on all sources of a component but the last$"):
        drp_plan(problem, safety_days=1.0)
    assert isinstance(drp_plan(make_problem("echelon/DualSourcing-v0"), safety_days=1.0).policy, OrderUpTo)


def test_the_forecast_is_the_mean_of_each_period_one_lead_time_early_upstream() -> None:
    law = {"law": "poisson", "mean": 4.0, "seasonal": [0.5, 1.0, 1.5]}
    network = Network.from_dict(
        {
            "nodes": [{"name": "plant"}, {"name": "store", "demand": law}],
            "links": [
                {"target": "plant", "lead_time": 1, "quantity": 2.0},
                {"source": "plant", "target": "store", "lead_time": 2},
            ],
        }
    )
    forecast = requirements_forecast(network, periods=6)
    np.testing.assert_allclose(forecast.own, [[0, 2], [0, 4], [0, 6], [0, 2], [0, 4], [0, 6]])
    np.testing.assert_allclose(forecast.dependent[:, 0], 2 * np.array([6, 2, 4, 6, 2, 4]))


def test_the_mean_by_period_is_that_of_many_samples() -> None:
    uniform = np.random.default_rng(1).random((40_000, 6))
    for law in (
        Poisson(mean=4, seasonal=(0.5, 1.5), growth=0.1),
        AR1(mean=10, sd=6, correlation=0.7),
        Empirical(values=(1, 2, 9, 4), block=2, align=2),
    ):
        sampled = law.sample(uniform.copy()).mean(axis=0)
        np.testing.assert_allclose(mean_demand_by_period(law, 6), sampled, rtol=0.02)
    np.testing.assert_allclose(mean_demand_by_period(Deterministic(values=(4.0, 4.0, 8.0)), 4), [4, 4, 8, 8])


def test_netting_finds_the_optimum_of_the_beer_game_whose_demand_is_known() -> None:
    problem = make_problem("echelon/BeerGame-v0")
    scenarios = sample(problem.network, periods=problem.periods, replications=1, seed=0)
    cost = simulate(problem, drp_plan(problem, safety_days=0.0).policy, scenarios).cost
    assert cost == pytest.approx(2.48)  # the open-loop optimum
