"""Finite horizons, myopic levels and demand by the calendar: textbook figures, plain dynamic programmes, the engine."""

from __future__ import annotations

import doctest
from functools import cache
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from echelon.baselines import finite_horizon as module
from echelon.baselines.calendar_demand import laws_by_period, probabilities, total_demand
from echelon.baselines.finite_horizon import finite_horizon, finite_horizon_plan
from echelon.baselines.myopic import myopic_base_stock, myopic_base_stock_plan
from echelon.baselines.newsvendor import newsvendor_plan
from echelon.baselines.plan import Plan
from echelon.baselines.total_demand import LatticeTotal, NormalTotal
from echelon.baselines.wagner_whitin import wagner_whitin_plan
from echelon.envs.demand import AR1, Deterministic, Discrete, Empirical, Gamma, Law, Normal, Poisson
from echelon.envs.errors import MethodError
from echelon.envs.network import Network
from echelon.envs.policy import order_up_to
from echelon.envs.problem import Problem
from echelon.envs.scenarios import sample
from echelon.envs.simulate import simulate

Floats = NDArray[np.float64]

# Snyder & Shen (2019), Problems 4.29 and 4.30, and instance 1 of stockpyl's tests. Demand is normal. The source takes
# the one-period costs of the normal law itself and moves the stock by demand rounded to whole units, as done here, but
# cuts demand at 4 standard deviations: costs differ by up to 0.02 %.
TEN_PERIODS: dict[str, Any] = {
    "periods": 10,
    "holding_cost": 1,
    "stockout_cost": 25,
    "terminal_holding_cost": 1,
    "terminal_stockout_cost": 25,
    "purchase_cost": 1,
    "discount_factor": 0.98,
    "demand": Normal(mean=18, sd=3),
}
MEANS = [20, 60, 110, 200, 200, 40, 200, 200, 100, 170, 30, 90]
SDS = [4.6, 11.9, 26.4, 32.8, 1.8, 8.5, 46.7, 33.9, 18.9, 31.6, 2.9, 14.8]
INSTANCE_1: dict[str, Any] = {
    "periods": 12,
    "holding_cost": [1, 1, 1, 1, 2, 2, 0.5, 0.5, 1, 1, 2, 2],
    "stockout_cost": [20, 20, 10, 15, 10, 10, 20, 20, 15, 25, 20, 10],
    "terminal_holding_cost": 4,
    "terminal_stockout_cost": 50,
    "purchase_cost": [0.5, 0.5, 0.5, 0.5, 0.2, 0.8, 0.2, 0.8, 0.5, 0.5, 0.5, 0.5],
    "discount_factor": 0.98,
    "demand": [Normal(mean=mean, sd=sd) for mean, sd in zip(MEANS, SDS, strict=True)],
}


@pytest.mark.parametrize(
    ("inputs", "reorder", "up_to", "cost"),
    [
        (TEN_PERIODS, [23] * 10, [23] * 10, 234.79622567591318),
        (TEN_PERIODS | {"fixed_cost": 40}, [17] * 9 + [18], [42] * 8 + [41, 23], 519.3557887889583),
        (INSTANCE_1, None, [28, 80, 145, 246, 202, 47, 409, 259, 129, 213, 34, 109], 1077.212611002917),
    ],
    ids=["problem 4.29", "problem 4.30", "instance 1"],
)
def test_the_levels_are_those_of_the_textbook(
    inputs: dict[str, Any], reorder: list[int] | None, up_to: list[int], cost: float
) -> None:
    best = finite_horizon(**inputs)
    assert best.order_up_to_levels == tuple(up_to)
    assert best.reorder_points == tuple(reorder or up_to)
    assert best.cost == pytest.approx(cost, rel=2e-4)


def plain_optimum(
    chances: list[list[float]],
    *,
    holding: list[float],
    stockout: list[float],
    price: list[float],
    fixed: list[float],
    discount: float,
    terminal: tuple[float, float],
    start: int,
) -> float:
    """The optimal cost by enumeration of all orders in all states that can be reached."""
    most = sum(len(each) - 1 for each in chances)

    @cache
    def cost(t: int, x: int) -> float:
        if t == len(chances):
            return terminal[0] * max(x, 0) + terminal[1] * max(-x, 0)
        return min(fixed[t] * (y > x) + price[t] * (y - x) + after(t, y) for y in range(x, max(x, most) + 1))

    @cache
    def after(t: int, y: int) -> float:
        ends = [(y - d, chance) for d, chance in enumerate(chances[t]) if chance]
        return sum(
            chance * (holding[t] * max(x, 0) + stockout[t] * max(-x, 0) + discount * cost(t + 1, x))
            for x, chance in ends
        )

    return cost(0, start)


@given(data=st.data(), periods=st.integers(1, 4), discount=st.sampled_from([1.0, 0.9]))
@settings(max_examples=40, deadline=None)
def test_no_sequence_of_orders_costs_less(data: st.DataObject, periods: int, discount: float) -> None:
    def drawn(most: int) -> list[float]:
        return data.draw(st.lists(st.integers(0, most).map(float), min_size=periods, max_size=periods))

    laws, chances = [], []
    for _ in range(periods):
        weights = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=4).filter(any))
        chances.append([weight / sum(weights) for weight in weights])
        laws.append(Discrete(values=tuple(range(len(weights))), probabilities=tuple(chances[-1])))
    terminal = data.draw(st.tuples(st.integers(0, 4).map(float), st.integers(0, 9).map(float)))
    holding, stockout, price, fixed = drawn(4), drawn(9), drawn(5), drawn(8)
    start = data.draw(st.integers(-4, 4))
    best = finite_horizon(
        demand=laws,
        periods=periods,
        holding_cost=holding,
        stockout_cost=stockout,
        purchase_cost=price,
        fixed_cost=fixed,
        discount_factor=discount,
        terminal_holding_cost=terminal[0],
        terminal_stockout_cost=terminal[1],
        initial_inventory_level=start,
    )
    optimum = plain_optimum(
        chances,
        holding=holding,
        stockout=stockout,
        price=price,
        fixed=fixed,
        discount=discount,
        terminal=terminal,
        start=start,
    )
    assert best.cost == pytest.approx(optimum, abs=1e-9)


def test_one_period_is_the_newsvendor_and_a_dear_order_is_not_placed() -> None:
    one: dict[str, Any] = {"demand": Poisson(mean=6), "periods": 1, "holding_cost": 1, "stockout_cost": 4}
    best = finite_horizon(**one)
    assert (best.reorder_points, best.order_up_to_levels) == ((8,), (8,))
    assert best.cost == pytest.approx(3.570106945770946)  # Snyder & Shen (2019), Example 4.7 without fixed cost
    never = finite_horizon(**one, purchase_cost=5)
    assert (never.reorder_points, never.order_up_to_levels) == ((None,), (None,))
    assert never.cost == pytest.approx(4 * 6)


def test_demand_of_zero_and_costs_of_zero_have_their_limits() -> None:
    nothing = finite_horizon(demand=Deterministic(values=(0,)), periods=3, holding_cost=1, stockout_cost=1)
    assert (nothing.order_up_to_levels, nothing.cost) == ((0, 0, 0), 0.0)
    free = finite_horizon(demand=Poisson(mean=4), periods=3, holding_cost=0, stockout_cost=0, purchase_cost=1)
    assert (free.order_up_to_levels, free.cost) == ((None, None, None), 0.0)
    certain = finite_horizon(demand=Deterministic(values=(3, 5)), periods=2, holding_cost=1, stockout_cost=9)
    assert (certain.order_up_to_levels, certain.cost) == ((3, 5), 0.0)


NODE_KEYS = ("holding_cost", "stockout_cost", "initial_on_hand", "stockout_rule", "demand")


def store(demand: dict[str, Any], **changes: Any) -> Problem:
    """A single location. Changes are fields of its node, its link or the problem."""
    node: dict[str, Any] = {"name": "store", "holding_cost": 1.0, "stockout_cost": 9.0, "demand": demand}
    link: dict[str, Any] = {"target": "store"}
    frame: dict[str, Any] = {"periods": 12, "warm_up": 0}
    for key, value in changes.items():
        part = frame if key in ("periods", "warm_up", "discount") else node if key in NODE_KEYS else link
        part[key] = value
    return Problem("store", Network.from_dict({"nodes": [node], "links": [link]}), **frame)


POISSON = {"law": "poisson", "mean": 5.0}
SEASON = {"law": "poisson", "mean": 6.0, "seasonal": (1.0, 1.2, 1.4, 1.1, 0.9, 0.8)}
FINITE = {
    "plain": store(POISSON),
    "every cost": store(
        POISSON,
        lead_time=2,
        fixed_cost=20.0,
        unit_cost=1.0,
        transit_holding_cost=0.3,
        initial_on_hand=7,
        initial_in_transit=4,
        periods=15,
    ),
    "season and discount": store(
        SEASON, lead_time=1, fixed_cost=30.0, unit_cost=2.0, discount=0.95, periods=20, initial_in_transit=2
    ),
    "a lead time as long as half the horizon": store(
        {"law": "negative_binomial", "mean": 4.0, "sd": 4.0},
        lead_time=4,
        fixed_cost=10.0,
        transit_holding_cost=0.2,
        discount=0.9,
        initial_in_transit=5,
        periods=8,
    ),
    "promotion, trend and too much stock": store(
        {"law": "geometric", "mean": 3.0, "trend": 0.1, "promotions": [{"start": 4, "length": 2, "uplift": 3.0}]},
        lead_time=1,
        initial_on_hand=40,
    ),
}


def check_model_cost(problem: Problem, plan: Plan, replications: int, seed: int = 3) -> None:
    """The simulated cost is the model's, to within noise that is small."""
    scenarios = sample(problem.network, periods=problem.periods, replications=replications, seed=seed)
    costs = simulate(problem, plan.policy, scenarios).cost
    error = costs.std(ddof=1) / replications**0.5
    assert plan.model_cost is not None
    assert error < 3e-3 * plan.model_cost
    assert abs(costs.mean() - plan.model_cost) < 3 * error


@pytest.mark.parametrize("problem", FINITE.values(), ids=FINITE)
def test_the_plan_costs_what_its_model_says(problem: Problem) -> None:
    plan = finite_horizon_plan(problem)
    assert plan.optimal
    check_model_cost(problem, plan, 100_000)


@pytest.mark.parametrize("name", ["plain", "every cost"])
def test_no_levels_beside_those_of_the_plan_cost_less(name: str) -> None:
    problem = FINITE[name]
    plan = finite_horizon_plan(problem)
    scenarios = sample(problem.network, periods=problem.periods, replications=20_000, seed=8)
    best = simulate(problem, plan.policy, scenarios).cost
    for reorder, up_to in ((8, 8), (9, 9), (15, 30), (14, 26)):
        other = simulate(problem, order_up_to(problem.network, [up_to], reorder=[reorder]), scenarios).cost
        assert (other - best).mean() >= -3 * (other - best).std() / 20_000**0.5


@pytest.mark.parametrize("lead_time", [0, 2])
def test_known_demand_is_planned_as_by_wagner_and_whitin(lead_time: int) -> None:
    problem = store(
        {"law": "deterministic", "values": (3, 8, 0, 5, 9, 1, 2, 7)},
        lead_time=lead_time,
        fixed_cost=12.0,
        unit_cost=0.5,
        transit_holding_cost=0.1,
        initial_on_hand=4,
        initial_in_transit=3,
        periods=9,
    )
    assert finite_horizon_plan(problem).model_cost == pytest.approx(wagner_whitin_plan(problem).model_cost, rel=1e-12)


def test_a_long_horizon_comes_close_to_the_stationary_optimum() -> None:
    problem = store(POISSON, lead_time=2, periods=1_100, warm_up=0)
    best, stationary = finite_horizon_plan(problem), newsvendor_plan(problem).model_cost
    assert stationary is not None
    assert best.model_cost == pytest.approx(stationary + 9 * 5 * (0 + 1) / 1_100, rel=1e-2)
    assert best.parameters["up_to"][0][500] == newsvendor_plan(problem).parameters["levels"][0]


MEMORY = {"law": "ar1", "mean": 5.0, "sd": 1.0, "correlation": 0.5}


@pytest.mark.parametrize(
    ("problem", "rule"),
    [
        (store(POISSON, warm_up=3), "no warm-up (warm_up 0)"),
        (store(POISSON, stockout_rule="lost_sales"), "backorders"),
        (store({"law": "gamma", "mean": 5.0, "sd": 2.0}), "a network of whole units"),
        (store(POISSON, capacity=4.0), "a network without capacity of link 'outside -> store'"),
    ],
)
def test_the_plan_names_the_rule_that_a_problem_breaks(problem: Problem, rule: str) -> None:
    with pytest.raises(MethodError) as error:
        finite_horizon_plan(problem)
    assert str(error.value) == f"finite_horizon needs {rule}"


def test_a_problem_that_is_too_large_is_refused() -> None:
    with pytest.raises(MethodError) as error:
        finite_horizon_plan(store({"law": "poisson", "mean": 1e6}, periods=10, fixed_cost=1e6))
    assert str(error.value).startswith("finite_horizon needs ")
    assert str(error.value).endswith(
        "in 10 periods, the limit is 2e+10: take fewer periods, or count the units in boxes"
    )


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"periods": 0}, "periods must be a whole number of at least 1, got 0"),
        ({"discount_factor": 0}, "discount_factor must be above 0 and at most 1, got 0"),
        ({"initial_inventory_level": 0.5}, "initial_inventory_level must be a whole number, got 0.5"),
        ({"holding_cost": [1, 2]}, "holding_cost must be one number or 10, one per period, got 2"),
        ({"stockout_cost": -1}, "stockout_cost must be a finite number of at least 0 in every period, got -1"),
        ({"terminal_stockout_cost": -1}, "terminal_stockout_cost must be a finite number of at least 0, got -1"),
        ({"demand": [Poisson(mean=4)]}, "demand must be one law or 10, one per period, got 1"),
        (
            {"demand": AR1(mean=5, sd=1, correlation=0.5)},
            "demand must be independent from period to period, got AR1 demand that depends on the past",
        ),
    ],
)
def test_an_argument_that_is_wrong_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(MethodError) as error:
        finite_horizon(**TEN_PERIODS | changes)
    assert str(error.value) == message


PROBLEM_4_1: dict[str, Any] = {
    "demand": Normal(mean=900, sd=60),
    "holding_cost": 43,
    "stockout_cost": 79,
    "purchase_cost": 65,
    "purchase_cost_next_period": 55,
    "discount_factor": 0.9,
}


def test_the_myopic_level_is_that_of_problem_4_1() -> None:
    # Snyder & Shen (2019), Problem 4.1, as stated by stockpyl's tests.
    best = myopic_base_stock(**PROBLEM_4_1)
    assert best.level == pytest.approx(903.0832764843523, rel=1e-12)
    assert best.cost == pytest.approx(61416.404244990816, rel=1e-12)
    for level in (850.0, 903.0, 904.0, 960.0):
        assert myopic_base_stock(**PROBLEM_4_1, level=level).cost >= best.cost


def test_the_myopic_cost_is_its_expectation() -> None:
    demand = Poisson(mean=7)
    pmf = demand.pmf()
    for level in (3.0, 8.0, 12.0):
        left = level - np.arange(len(pmf))
        charged = 2 * np.maximum(left, 0) + 9 * np.maximum(-left, 0) - 0.9 * 3 * left
        result = myopic_base_stock(
            demand=demand,
            holding_cost=2,
            stockout_cost=9,
            purchase_cost=4,
            purchase_cost_next_period=3,
            discount_factor=0.9,
            level=level,
        )
        assert result.cost == pytest.approx(4 * level + charged @ pmf, rel=1e-12)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"holding_cost": 0}, "holding_cost must be a finite number greater than 0, got 0"),
        ({"discount_factor": 1.1}, "discount_factor must be above 0 and at most 1, got 1.1"),
        ({"level": float("inf")}, "level must be finite, got inf"),
        (
            {"purchase_cost": 200},
            "purchase_cost - discount_factor * purchase_cost_next_period must lie between -holding_cost = -43 and "
            "stockout_cost = 79, got 150.5",
        ),
    ],
)
def test_an_argument_of_the_myopic_level_that_is_wrong_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(MethodError) as error:
        myopic_base_stock(**PROBLEM_4_1 | changes)
    assert str(error.value) == message


STEADY = {"law": "discrete_uniform", "low": 5, "high": 9, "seasonal": (1, 2, 1, 2)}
MYOPIC = {
    "season of random demand": store(SEASON, periods=66, warm_up=6),
    "levels that are always reached": store(STEADY, periods=40, lead_time=1),
    "every cost": store(
        SEASON, lead_time=2, unit_cost=1.0, transit_holding_cost=0.4, initial_on_hand=5, initial_in_transit=3
    ),
    "too much stock at the start": store(SEASON, lead_time=1, unit_cost=1.0, initial_on_hand=90, periods=30),
    "a peak and a trough": store({"law": "poisson", "mean": 5.0, "seasonal": (3.0, 0.2)}, periods=30),
    "rising demand in parts of units": store({"law": "normal", "mean": 20.0, "sd": 4.0, "trend": 0.05}, lead_time=2),
    "growing gamma demand": store({"law": "gamma", "mean": 9.0, "sd": 4.0, "growth": 0.1}, lead_time=1, unit_cost=0.5),
}
REACHED = {"levels that are always reached", "rising demand in parts of units", "growing gamma demand"}


@pytest.mark.parametrize("name", MYOPIC)
def test_myopic_levels_cost_what_their_model_says(name: str) -> None:
    problem = MYOPIC[name]
    plan = myopic_base_stock_plan(problem)
    assert plan.optimal == (name in REACHED and not problem.network.links[0].unit_cost)
    check_model_cost(problem, plan, 50_000, seed=12)


def test_looking_ahead_pays_where_demand_falls_fast() -> None:
    network = MYOPIC["a peak and a trough"].network
    myopic, best = (
        method(Problem("store", network, periods=36, warm_up=0)).model_cost
        for method in (myopic_base_stock_plan, finite_horizon_plan)
    )
    assert myopic is not None
    assert best is not None
    assert best < 0.999 * myopic


@pytest.mark.parametrize("name", ["levels that are always reached", "season of random demand", "a peak and a trough"])
def test_myopic_levels_are_optimal_where_they_are_reached_and_upper_bounds_elsewhere(name: str) -> None:
    problem = MYOPIC[name]
    myopic = myopic_base_stock_plan(Problem("store", problem.network, periods=36, warm_up=0))
    best = finite_horizon_plan(Problem("store", problem.network, periods=36, warm_up=0))
    assert myopic.model_cost is not None
    assert best.model_cost is not None
    if name in REACHED:
        assert myopic.model_cost == pytest.approx(best.model_cost, rel=1e-12)
    else:
        assert best.model_cost <= myopic.model_cost * (1 + 1e-12)
    pairs = zip(myopic.parameters["levels"][0], best.parameters["up_to"][0], strict=True)
    assert all(level >= other for level, other in pairs if other is not None)


def test_with_the_same_law_in_every_period_the_myopic_level_is_the_newsvendors() -> None:
    problem = store(POISSON, lead_time=2, periods=20)
    assert set(myopic_base_stock_plan(problem).parameters["levels"][0]) == set(
        newsvendor_plan(problem).parameters["levels"]
    )


def test_myopic_levels_that_parts_of_units_cannot_reach_have_no_model_cost() -> None:
    plan = myopic_base_stock_plan(store({"law": "gamma", "mean": 6.0, "sd": 3.0, "seasonal": (2.0, 1.0)}))
    assert (plan.model_cost, plan.optimal) == (None, False)


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        (store(POISSON, fixed_cost=3.0), "myopic_base_stock needs no fixed cost per order"),
        (store(POISSON, discount=0.9), "myopic_base_stock needs an average-cost objective (discount 1)"),
        (store(POISSON, stockout_cost=0.0), "myopic_base_stock needs a holding cost and a stockout cost"),
        (store(MEMORY), "demand must be independent from period to period, got AR1 demand that depends on the past"),
    ],
)
def test_the_myopic_plan_names_the_rule_that_a_problem_breaks(problem: Problem, message: str) -> None:
    with pytest.raises(MethodError) as error:
        myopic_base_stock_plan(problem)
    assert str(error.value) == message


CALENDAR: list[Law] = [
    Poisson(mean=4, seasonal=(1, 2, 0.5), trend=0.1),
    Gamma(mean=4, sd=3, seasonal=(1, 2, 0.5)),
    Normal(mean=20, sd=3, growth=0.1),
    Deterministic(values=(1, 4, 2.5), seasonal=(1, 2)),
    Empirical(values=(1, 5, 2, 7, 3, 9), align=3),
    Empirical(values=(0.5, 5, 2), seasonal=(1, 3)),
]


@pytest.mark.parametrize("law", CALENDAR, ids=repr)
def test_periods_of_the_calendar_have_the_law_that_is_sampled(law: Law) -> None:
    uniform = np.random.default_rng(7).random((40_000, 5))
    demand = law.sample(uniform)
    laws = laws_by_period(law, 5)
    for t, one in enumerate(laws):
        mean, sd = one.moments(one.seasonal[0])
        assert demand[:, t].mean() == pytest.approx(mean, abs=4 * sd / 200 + 1e-9)
    total, summed = total_demand(laws), demand.sum(axis=1)
    assert summed.mean() == pytest.approx(total.mean, abs=4 * total.sd / 200 + 1e-9)
    assert summed.std() == pytest.approx(total.sd, rel=2e-2, abs=1e-9)
    for level in np.quantile(summed, [0.1, 0.5, 0.9]):
        left = np.maximum(level - summed, 0)
        assert left.mean() == pytest.approx(float(total.excess(level)), abs=4 * left.std() / 200 + 1e-9)


def test_a_sum_of_different_normal_or_poisson_periods_is_exact() -> None:
    normal = total_demand(laws_by_period(Normal(mean=20, sd=3, seasonal=(1, 2)), 2))
    assert isinstance(normal, NormalTotal)
    assert [normal.mean, normal.sd] == pytest.approx([60.0, 45**0.5])
    poisson = total_demand(laws_by_period(Poisson(mean=4, seasonal=(1, 2)), 2))
    assert isinstance(poisson, LatticeTotal)
    expected = Poisson(mean=12).pmf()[:30]
    assert poisson.pmf[: 30 - int(poisson.origin)] == pytest.approx(expected[int(poisson.origin) :], rel=1e-9)


def test_demand_that_is_not_whole_is_rounded_to_whole_units() -> None:
    low, chances = probabilities(NormalTotal(18.0, 3.0))
    mean = (low + np.arange(len(chances))) @ chances
    assert chances.sum() == pytest.approx(1.0)
    assert mean == pytest.approx(18.0, abs=1e-9)
    low, chances = probabilities(NormalTotal(0.2, 1.0))
    assert (low, chances.sum()) == (0, pytest.approx(1.0))


def test_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(module).failed == 0
