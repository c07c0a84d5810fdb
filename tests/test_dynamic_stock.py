"""ERP dynamic stock: the vendor's figures, levels by segment and date, and the rule as a policy."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echelon.baselines.dynamic_stock import (
    Coverage,
    CoverageProfile,
    average_daily_requirement,
    coverage_levels,
    exceeds_maximum,
    proposal,
)
from echelon.baselines.erp_policies import ddmrp_plan, drp_plan, dynamic_stock_plan
from echelon.baselines.per_period import OrderUpToByPeriod
from echelon.envs import dynamics
from echelon.envs.catalogue import make_problem
from echelon.envs.errors import MethodError
from echelon.envs.network import Network
from echelon.envs.policy import OrderUpTo
from echelon.envs.problem import Problem
from echelon.envs.scenarios import Scenarios, sample
from echelon.envs.simulate import simulate

from .strategies import networks

SMALL = {"factories": 1, "subcontractors": 2, "mother_warehouses": 1, "warehouses": 1, "distributors": 3}
SEASONAL = {"law": "poisson", "mean": 6.0, "seasonal": [0.5, 1.0, 2.0, 0.5, 1.0, 1.0, 1.0]}


def store(**node: Any) -> Problem:
    """One store with lead time 2 that starts empty."""
    described = {"name": "store", "holding_cost": 1.0, "stockout_cost": 9.0, "demand": SEASONAL, **node}
    network = Network.from_dict({"nodes": [described], "links": [{"target": "store", "lead_time": 2}]})
    return Problem("store", network, periods=60, warm_up=0)


def short(problem_id: str, **parameters: Any) -> Problem:
    more = SMALL if "ConsumerGoods" in problem_id else {}
    return make_problem(problem_id, **{"periods": 40, "warm_up": 10, **more, **parameters})


def scenarios_of(problem: Problem, replications: int = 8) -> Scenarios:
    return sample(problem.network, periods=problem.periods, replications=replications, seed=3)


def test_two_weeks_of_five_standard_days_divide_by_ten() -> None:
    # The example of the vendor's page "Calculating the Average Daily Requirements".
    week = [30.0, 0.0, 20.0, 50.0, 0.0, 0.0, 0.0]
    required = np.array(week + [10.0] * 7 + [999.0] * 7)
    assert average_daily_requirement(required, periods=2) == (100 + 70) / 10
    assert average_daily_requirement(required, periods=2, days="calendar") == 170 / 14
    work = [True, True, False, True, True, False, False] * 3
    assert average_daily_requirement(required, periods=2, days="work", workdays=work) == 170 / 8


def test_requirements_in_the_past_of_the_current_period_count() -> None:
    required = np.array([70.0, 0, 0, 0, 0, 0, 0] + [7.0] * 7 + [700.0] * 7)
    for today in range(7):
        assert average_daily_requirement(required, periods=2, today=today) == (70 + 49) / 10
    assert average_daily_requirement(required, periods=2, today=7) == (49 + 4900) / 10


def test_months_have_their_own_lengths() -> None:
    required = np.ones((2, 90)) * [[1.0], [3.0]]
    daily = average_daily_requirement(required, periods=2, period_length=(31, 28, 31), days_per_period=20, today=40)
    np.testing.assert_allclose(daily, [59 / 40, 3 * 59 / 40])


def test_levels_and_proposal_are_those_of_the_vendors_example() -> None:
    # Average daily requirement 15, ranges of 3, 5 and 7 days: levels 45, 75 and 105; available 40: proposal 35.
    levels = coverage_levels(15.0, CoverageProfile((Coverage(3, 5, 7),)))
    assert [level.item() for level in (levels.minimum, levels.target, levels.maximum) if level is not None] == [
        45,
        75,
        105,
    ]
    assert proposal(40.0, levels) == 35


def test_a_proposal_comes_below_the_minimum_only() -> None:
    levels = coverage_levels(15.0, CoverageProfile((Coverage(3, 5, 7),)))
    available = np.array([-5.0, 44.0, 45.0, 75.0, 105.0, 106.0])
    np.testing.assert_array_equal(proposal(available, levels), [80, 31, 0, 0, 0, 0])
    np.testing.assert_array_equal(exceeds_maximum(available, levels), [False] * 5 + [True])
    without = coverage_levels(15.0, CoverageProfile((Coverage(3, 5),)))
    assert without.maximum is None
    assert not exceeds_maximum(available, without).any()


def test_segments_follow_one_another_and_dates_override_them() -> None:
    profile = CoverageProfile(
        (Coverage(1, 2, 3, periods=2), Coverage(4, 5, 6, periods=1), Coverage(7, 8, 9, periods=1)),
        overrides={1: Coverage(10, 11, 12), 4: Coverage(0, 1, 2)},
    )
    assert [profile.ranges(period).minimum for period in range(7)] == [1, 10, 4, 7, 0, 7, 7]


def test_without_requirements_the_levels_are_the_static_safety_stock() -> None:
    daily = average_daily_requirement(np.zeros((3, 14)), periods=2)
    for static in (0.0, 25.0):
        levels = coverage_levels(daily, CoverageProfile((Coverage(3, 5, 7),), safety_stock=static))
        assert levels.maximum is not None
        for level in (levels.minimum, levels.target, levels.maximum):
            np.testing.assert_array_equal(level, [static] * 3)
    assert proposal(0.0, coverage_levels(0.0, CoverageProfile((Coverage(3, 5, 7),)))) == 0


@given(
    st.floats(0, 1e3), st.floats(0, 50), st.floats(0, 50), st.floats(-1e4, 1e4), st.floats(0, 100)
)  # requirement, ranges, available, static safety stock
@settings(max_examples=50, deadline=None)
def test_a_proposal_ends_at_the_target_or_is_nothing(
    daily: float, low: float, more: float, available: float, static: float
) -> None:
    levels = coverage_levels(daily, CoverageProfile((Coverage(low, low + more),), safety_stock=static))
    order = float(proposal(available, levels))
    assert order >= 0
    assert order == 0 or available + order == pytest.approx(float(levels.target))
    assert available + order >= float(levels.minimum) - 1e-9 * (1 + abs(available))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: average_daily_requirement([-1.0] * 7, periods=1), "requirements must be finite and at least 0"),
        (lambda: average_daily_requirement([1.0] * 7, periods=2), "requirements must reach to the end of 2 periods"),
        (lambda: average_daily_requirement([1.0] * 7, periods=0), "periods must be at least 1, got 0"),
        (lambda: average_daily_requirement([1.0] * 7, periods=1, period_length=0), "period_length must be at least 1"),
        (lambda: average_daily_requirement([1.0] * 7, periods=1, today=7), "today must be a day of the requirements"),
        (lambda: average_daily_requirement([1.0] * 7, periods=1, days="work"), "workdays must reach day 7"),
        (
            lambda: average_daily_requirement([1.0] * 7, periods=1, days="work", workdays=[False] * 7),
            "days must be more than 0 in the periods, got 0 work days",
        ),
        (lambda: Coverage(3, 2), "ranges of coverage must rise from minimum over target to maximum, got 3, 2 and 2"),
        (lambda: Coverage(-1, 2), "minimum must be a finite number of at least 0, got -1"),
        (lambda: Coverage(1, 2, periods=0), "periods must be at least 1, got 0"),
        (lambda: CoverageProfile(()), "segments must be 1 to 3, got 0"),
        (lambda: CoverageProfile((Coverage(1, 2), Coverage(1, 2))), "periods must be given for every segment but"),
        (lambda: proposal(np.nan, coverage_levels(1.0, CoverageProfile((Coverage(1, 2),)))), "available must be"),
        (lambda: dynamic_stock_plan(store(), minimum_days=-1.0), "minimum_days must be finite and at least 0"),
        (lambda: dynamic_stock_plan(store(), minimum_days=[1.0, 2.0]), "minimum_days must be one number or 1, one"),
        (lambda: dynamic_stock_plan(store(), minimum_days=3.0, target_days=2.0), "target_days must be at least"),
        (lambda: dynamic_stock_plan(store(), minimum_days=3.0, review_period=0), "review_period must be at least 1"),
    ],
)
def test_bad_input_is_named(call: Any, message: str) -> None:
    with pytest.raises(MethodError, match=message):
        call()


def test_the_policy_proposes_what_the_pure_functions_do_from_the_projected_stock() -> None:
    problem = store()
    policy = dynamic_stock_plan(problem, minimum_days=1.0, target_days=3.0).policy
    assert isinstance(policy, OrderUpToByPeriod)
    mean = 6.0 * np.array([0.5, 1.0, 2.0, 0.5, 1.0, 1.0, 1.0] * 12)
    profile = CoverageProfile((Coverage(1, 3),))
    asked = scenarios_of(problem)
    state = dynamics.initial_state(problem.network, asked.replications)
    for t in range(problem.periods):
        start = t - t % 7
        daily = average_daily_requirement(mean[start : start + 14], periods=2, days="calendar", today=t - start)
        available = state.inventory_position[:, 0] - mean[t : t + 3].sum()
        orders = policy(state)
        np.testing.assert_array_equal(
            orders[:, 0], np.ceil(proposal(available, coverage_levels(daily, profile)) - 1e-9)
        )
        state, _ = dynamics.step(state, orders, asked.draw(t))


def test_with_steady_demand_the_rule_is_a_reorder_policy() -> None:
    problem = make_problem("echelon/LostSales-v0")
    policy = dynamic_stock_plan(problem, minimum_days=2.0, target_days=4.0).policy
    assert isinstance(policy, OrderUpTo)
    # Mean 5, lead time 4: 25 units cover the five periods; below 35 order up to 45.
    assert (policy.reorder.tolist(), policy.up_to.tolist()) == ([34], [45])


PLANS: dict[str, Any] = {"dynamic_stock": dynamic_stock_plan, "drp": drp_plan, "ddmrp": ddmrp_plan}
OPTION = {"dynamic_stock": "minimum_days", "drp": "safety_days", "ddmrp": "lead_time_factor"}
PROBLEMS = ("Serial", "OneWarehouse", "Assembly", "Network", "BeerGame", "LostSales", "ConsumerGoods", "Perishable")


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("problem_id", PROBLEMS)
def test_every_rule_runs_on_every_problem_and_every_unit_goes_somewhere(problem_id: str, name: str) -> None:
    problem = short(f"echelon/{problem_id}-v0")
    scenarios = scenarios_of(problem)
    options = {OPTION[name]: 0.5} if problem_id in ("ConsumerGoods", "BeerGame") else {"scenarios": scenarios}
    plan = PLANS[name](problem, **options)
    assert plan.model_cost is None
    assert plan.citation
    assert not plan.optimal
    assert np.isfinite(simulate(problem, plan.policy, scenarios, check=True).cost).all()


def weekly() -> Problem:
    """The consumer goods, with orders that can be large enough for a week."""
    problem = short("echelon/ConsumerGoods-v0")
    links = tuple(
        link.model_copy(update={"max_order": link.max_order * 7 if link.max_order else None})
        for link in problem.network.links
    )
    return replace(problem, network=problem.network.model_copy(update={"links": links}))


@pytest.mark.parametrize("name", PLANS)
@pytest.mark.parametrize("review_period", [1, 7])
def test_no_rule_looks_ahead(name: str, review_period: int) -> None:
    problem = weekly() if review_period == 7 else short("echelon/ConsumerGoods-v0")
    policy = PLANS[name](problem, **{OPTION[name]: 1.0, "review_period": review_period}).policy
    asked = scenarios_of(problem)
    shuffled = asked.demand.copy()
    shuffled[:, 20:] = np.random.default_rng(5).permuted(shuffled[:, 20:], axis=1)
    assert (shuffled != asked.demand).any()
    traces = [
        simulate(problem, policy, Scenarios(**{**asked._arrays(), "demand": demand}), trace=True).trace
        for demand in (asked.demand, shuffled)
    ]
    assert traces[0] is not None
    assert traces[1] is not None
    # Orders of period 20 are placed before its demand is known.
    np.testing.assert_array_equal(traces[0].ordered[:, :21], traces[1].ordered[:, :21])
    assert (traces[0].ordered[:, 21:] != traces[1].ordered[:, 21:]).any()
    if review_period == 7:
        assert not traces[0].ordered[:, np.arange(40) % 7 > 0].any()


@pytest.mark.parametrize("name", PLANS)
def test_a_weekly_review_needs_orders_for_a_week(name: str) -> None:
    problem = short("echelon/ConsumerGoods-v0")
    message = (
        rf"^{name} needs largest orders that reach for a review period \(got 75 for 7 periods of 49 on link factory"
    )
    with pytest.raises(MethodError, match=message):
        PLANS[name](problem, **{OPTION[name]: 1.0, "review_period": 7})
    assert PLANS[name](weekly(), **{OPTION[name]: 1.0, "review_period": 7}).policy


def test_a_changing_forecast_is_followed_better_than_a_steady_one() -> None:
    problem = store()
    steady = store(demand={"law": "poisson", "mean": 6.0})
    scenarios = scenarios_of(problem, 200)
    seen = [
        min(
            simulate(problem, dynamic_stock_plan(known, minimum_days=days).policy, scenarios).cost.mean()
            for days in (0.5, 1.0, 1.5)
        )
        for known in (problem, steady)
    ]
    assert seen[0] < 0.97 * seen[1]


def test_levels_by_period_decide_as_the_parametric_rule_does() -> None:
    for problem_id in ("Network", "DualSourcing", "ConsumerGoods", "Assembly"):
        problem = short(f"echelon/{problem_id}-v0")
        rng = np.random.default_rng(7)
        links = len(problem.network.links)
        up_to = rng.integers(5, 60, links).astype(float)
        reorder = up_to - rng.integers(0, 5, links)
        rule = OrderUpTo(reorder, up_to, np.full(links, np.inf), np.zeros(links), "installation")
        table = OrderUpToByPeriod(np.tile(reorder, (40, 1)), np.tile(up_to, (40, 1)))
        scenarios = scenarios_of(problem)
        one, other = (simulate(problem, policy, scenarios, trace=True).trace for policy in (rule, table))
        assert one is not None
        assert other is not None
        np.testing.assert_array_equal(one.ordered, other.ordered)


def test_tuned_days_cost_no_more_than_any_of_a_grid_of_the_same_days_everywhere() -> None:
    problem = make_problem("echelon/Serial-v0", periods=300, warm_up=50)
    scenarios = scenarios_of(problem, 50)
    tuned = simulate(problem, dynamic_stock_plan(problem, scenarios=scenarios).policy, scenarios).cost.mean()
    for days in np.linspace(0, 3, 13):
        rule = dynamic_stock_plan(problem, minimum_days=float(days)).policy
        assert tuned <= simulate(problem, rule, scenarios).cost.mean() * 1.001


def test_classes_of_items_get_days_of_their_own() -> None:
    problem = short("echelon/ConsumerGoods-v0")
    plan = dynamic_stock_plan(problem, scenarios=scenarios_of(problem, 4))
    shortage = {
        link.label: problem.network.nodes[problem.network.index[link.target]].stockout_cost
        for link in problem.network.links
    }
    days: dict[float, set[float]] = {}
    for cost, minimum in zip(shortage.values(), plan.parameters["minimum_days"], strict=True):
        days.setdefault(cost, set()).add(minimum)
    assert all(len(values) == 1 for values in days.values())
    assert max(days[999.0]) > max(days[0.0])


@given(network=networks(features=True, max_nodes=5))
@settings(max_examples=25, deadline=None)
def test_every_rule_fits_any_network(network: Network) -> None:
    problem = Problem("any", network, periods=12, warm_up=0)
    scenarios = scenarios_of(problem, 3)
    for name, build in PLANS.items():
        try:
            plan = build(problem, **{OPTION[name]: 0.5})
        except MethodError as error:
            assert str(error) == "drp needs a largest order on all sources of a component but the last"  # noqa: PT017
            continue
        assert np.isfinite(simulate(problem, plan.policy, scenarios, check=True).cost).all()
