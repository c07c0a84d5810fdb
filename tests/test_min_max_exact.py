"""Exact (s, S) policies: published optima, brute force, value iteration over all policies, and simulation."""

from __future__ import annotations

import doctest
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from echelon.baselines import min_max_exact as module
from echelon.baselines.min_max_exact import min_max_cost, optimal_min_max, optimal_min_max_plan
from echelon.baselines.newsvendor import newsvendor
from echelon.baselines.plan import Plan
from echelon.baselines.power_approximation import power_approximation, power_approximation_plan
from echelon.envs.demand import (
    AR1,
    Compound,
    Deterministic,
    Discrete,
    DiscreteUniform,
    Empirical,
    Gamma,
    Geometric,
    Intermittent,
    Law,
    NegativeBinomial,
    Poisson,
)
from echelon.envs.errors import MethodError
from echelon.envs.network import Network
from echelon.envs.problem import Problem
from echelon.envs.scenarios import sample
from echelon.envs.simulate import simulate_cost

Floats = NDArray[np.float64]

# Zheng & Federgruen, Operations Research 39(4), 1991, the table with Poisson demand, K = 64, h = 1, b = 9 and no
# lead time: mean, s, S, cost as published. Each was recomputed by an independent program.
ZHENG_FEDERGRUEN = [
    (10, 6, 40, 35.022),
    (15, 10, 49, 42.698),
    (21, 15, 65, 50.406),
    (22, 16, 68, 51.632),
    (23, 17, 52, 52.757),
    (24, 18, 54, 53.518),
    (25, 19, 56, 54.262),
    (30, 23, 66, 57.819),
    (35, 28, 77, 61.215),
    (40, 33, 87, 64.512),
    (45, 37, 97, 67.776),
    (50, 42, 108, 70.975),
    (51, 43, 110, 71.611),
    (52, 44, 112, 72.246),
    (55, 47, 118, 74.149),
    (59, 51, 126, 76.679),
    (61, 52, 131, 77.929),
    (63, 54, 73, 78.287),
    (64, 55, 74, 78.402),
    (65, 56, 75, 78.518),
    (70, 62, 81, 79.037),
    (75, 67, 86, 79.554),
]
# Poisson mean, L, h, b, K, s, S, cost. Snyder & Shen (2nd ed., 2019) example 4.7 and problem 4.31; the others by an
# independent program and by brute force.
FURTHER_OPTIMA = [
    (6, 0, 1, 4, 5, 4, 10, 8.0341115615),
    (4, 0, 40, 125, 150, 2, 7, 223.574829567),
    (5, 0, 1, 9, 64, 2, 27, 24.783425124797677),
    (10, 0, 1, 9, 64, 6, 40, 35.02155527232095),
    (5, 1, 1, 9, 64, 7, 33, 25.560615188163066),
    (10, 1, 1, 9, 64, 16, 51, 36.097428136085945),
    (5, 2, 1, 9, 64, 12, 38, 26.250086370154754),
    (10, 2, 1, 9, 64, 26, 62, 37.06435363810686),
    (5, 4, 1, 9, 64, 23, 49, 27.438443161939706),
    (10, 4, 1, 9, 64, 47, 83, 38.7220636695442),
    (21, 0, 1, 9, 64, 15, 65, 50.4060198929),
    (61, 0, 1, 9, 64, 52, 131, 77.9287348824),
    (75, 0, 1, 9, 64, 67, 86, 79.55384650399085),
]
LUMPY: list[Law] = [
    Poisson(mean=0.7),
    Geometric(mean=2),
    NegativeBinomial(mean=2, sd=3),
    Discrete(values=(0, 1, 7), probabilities=(0.85, 0.1, 0.05)),
    Discrete(values=(0, 4, 6), probabilities=(0.5, 0.3, 0.2)),
    DiscreteUniform(low=1, high=6),
    Deterministic(values=(3,)),
    Empirical(values=(0, 0, 0, 2, 5)),
    Intermittent(interval=3, size=Geometric(mean=2), shift=1),
    Compound(customers=Poisson(mean=0.6), size=DiscreteUniform(low=1, high=4)),
]


@pytest.mark.parametrize(("mean", "reorder", "up_to", "cost"), ZHENG_FEDERGRUEN)
def test_the_table_of_zheng_and_federgruen_comes_out_to_the_printed_digits(
    mean: float, reorder: int, up_to: int, cost: float
) -> None:
    best = optimal_min_max(demand=Poisson(mean=mean), holding_cost=1, stockout_cost=9, fixed_cost=64)
    assert (best.reorder, best.up_to, round(best.cost, 3)) == (reorder, up_to, cost)


@pytest.mark.parametrize(("mean", "lead", "holding", "stockout", "fixed", "reorder", "up_to", "cost"), FURTHER_OPTIMA)
def test_other_optima_come_out_to_ten_digits(
    mean: float, lead: int, holding: float, stockout: float, fixed: float, reorder: int, up_to: int, cost: float
) -> None:
    best = optimal_min_max(
        demand=Poisson(mean=mean), holding_cost=holding, stockout_cost=stockout, fixed_cost=fixed, lead_time=lead
    )
    assert (best.reorder, best.up_to) == (reorder, up_to)
    assert best.cost == pytest.approx(cost, rel=1e-10)


def test_a_policy_that_is_not_optimal_costs_what_the_textbook_says() -> None:
    # Snyder & Shen (2nd ed., 2019), problem 4.31 at s = 4, S = 10, as stated by stockpyl's tests.
    cost = min_max_cost(4, 10, demand=Poisson(mean=4), holding_cost=40, stockout_cost=125, fixed_cost=150)
    assert cost == pytest.approx(262.2755613772775, rel=1e-12)


def test_the_whole_table_takes_less_than_half_a_second() -> None:
    start = time.process_time()
    for mean, *_ in [*ZHENG_FEDERGRUEN, (20,), (60,)]:
        optimal_min_max(demand=Poisson(mean=mean), holding_cost=1, stockout_cost=9, fixed_cost=64)
    assert time.process_time() - start < 0.5


def sum_of_periods(law: Law, periods: int) -> Floats:
    """Probabilities of the total demand, by convolving period by period."""
    total = np.ones(1)
    for _ in range(periods):
        total = np.convolve(total, law.pmf())
    return total


def stock_costs(law: Law, lead: int, holding: float, stockout: float, levels: Floats) -> Floats:
    """G at each level, summed over all demands."""
    chances = sum_of_periods(law, lead + 1)
    left = levels[:, None] - np.arange(len(chances))
    return np.asarray((holding * np.maximum(left, 0) + stockout * np.maximum(-left, 0)) @ chances)


def position_chain(law: Law, span: int) -> Floats:
    """Long-run shares of the positions S, S - 1, ..., s + 1 after the review: the chain's linear equations."""
    move = np.zeros((span, span))
    for below in range(span):
        for size, chance in enumerate(law.pmf()):
            move[below, below + size if below + size < span else 0] += chance
    equations = np.vstack([move.T - np.eye(span), np.ones(span)])
    return np.asarray(np.linalg.lstsq(equations, np.append(np.zeros(span), 1.0), rcond=None)[0])


@pytest.mark.parametrize("law", LUMPY, ids=lambda law: law.law)
@pytest.mark.parametrize(("lead", "holding", "stockout", "fixed"), [(0, 1.0, 9.0, 12.0), (2, 2.0, 3.0, 5.0)])
def test_the_optimum_is_that_of_all_pairs_of_levels(
    law: Law, lead: int, holding: float, stockout: float, fixed: float
) -> None:
    best = optimal_min_max(demand=law, holding_cost=holding, stockout_cost=stockout, fixed_cost=fixed, lead_time=lead)
    levels = np.arange(-25.0, 60.0)
    g = stock_costs(law, lead, holding, stockout, levels)
    costs = {}
    for span in range(1, 31):
        shares = position_chain(law, span)
        orders = sum(share * law.pmf()[span - below :].sum() for below, share in enumerate(shares))
        for top in range(span, len(levels)):
            costs[levels[top - span], levels[top]] = fixed * orders + shares @ g[top - np.arange(span)]
    assert best.cost == pytest.approx(min(costs.values()), rel=1e-10)
    assert costs[best.reorder, best.up_to] == pytest.approx(best.cost, rel=1e-10)
    assert -25 < best.reorder < best.up_to < 59
    for levels_of_policy in list(costs)[::97]:
        arguments = {"holding_cost": holding, "stockout_cost": stockout, "fixed_cost": fixed, "lead_time": lead}
        priced = min_max_cost(*levels_of_policy, demand=law, **arguments)
        assert priced == pytest.approx(costs[levels_of_policy], rel=1e-9)


@pytest.mark.parametrize(
    ("law", "holding", "stockout", "fixed"),
    [
        (Poisson(mean=4), 1.0, 9.0, 20.0),
        (Discrete(values=(0, 1, 7), probabilities=(0.6, 0.3, 0.1)), 1.0, 5.0, 8.0),
        (NegativeBinomial(mean=3, sd=3), 2.0, 7.0, 15.0),
    ],
)
def test_no_policy_at_all_costs_less(law: Law, holding: float, stockout: float, fixed: float) -> None:
    """Value iteration over all positions after the review, with bounds on the optimal average cost."""
    positions = np.arange(-60.0, 60.0)
    g = stock_costs(law, 0, holding, stockout, positions)
    chances = law.pmf()
    after = np.arange(len(positions))[:, None] - np.arange(len(chances))  # below the lowest position: as if there
    values = np.zeros(len(positions))  # before the review
    low, high = -np.inf, np.inf
    while high - low > 1e-9:
        stay = g + values[np.maximum(after, 0)] @ chances
        best_above = np.minimum.accumulate(stay[::-1])[::-1]
        new = np.minimum(stay, fixed + best_above)
        low, high = (new - values).min(), (new - values).max()
        values = (new - new[0] + values - values[0]) / 2  # halved steps keep the chain from having a period
    best = optimal_min_max(demand=law, holding_cost=holding, stockout_cost=stockout, fixed_cost=fixed)
    assert low - 1e-9 <= best.cost <= high + 1e-9


@pytest.mark.parametrize("law", LUMPY, ids=lambda law: law.law)
def test_without_a_fixed_cost_the_policy_is_the_newsvendors(law: Law) -> None:
    best = optimal_min_max(demand=law, holding_cost=1, stockout_cost=9, fixed_cost=0, lead_time=2)
    base = newsvendor(demand=law, holding_cost=1, stockout_cost=9, lead_time=2)
    assert (best.reorder, best.up_to) == (base.level - 1, base.level)
    assert best.cost == pytest.approx(base.cost, abs=1e-12)
    for reorder in (base.level, base.level - 1):
        cost = min_max_cost(reorder, base.level, demand=law, holding_cost=1, stockout_cost=9, fixed_cost=0, lead_time=2)
        assert cost == pytest.approx(base.cost, abs=1e-12)


def test_certain_demand_gives_an_eoq_in_whole_periods() -> None:
    """Three units a period, ordered for n periods ahead: K / n + 3 h (n - 1) / 2 is least at n = 4."""
    best = optimal_min_max(demand=Deterministic(values=(3,)), holding_cost=1, stockout_cost=1e6, fixed_cost=25)
    assert best.up_to == 12
    assert best.cost == pytest.approx(25 / 4 + 3 * 3 / 2)


def test_levels_far_apart_are_found_and_priced() -> None:
    best = optimal_min_max(demand=Poisson(mean=20), holding_cost=1, stockout_cost=9, fixed_cost=1e6)
    eoq = (2 * 1e6 * 20 * 9 / 10) ** 0.5  # cost of the EOQ with backorders: the optimum of certain demand
    assert best.cost == pytest.approx(eoq, rel=2e-3)
    assert best.up_to - best.reorder > 6_000


@settings(max_examples=30, deadline=None)
@given(
    law=st.sampled_from(LUMPY),
    lead=st.integers(0, 3),
    stockout=st.floats(0.5, 30),
    fixed=st.floats(0, 50),
    shift=st.tuples(st.integers(-6, 6), st.integers(-6, 6)),
)
def test_other_levels_cost_no_less_and_a_higher_fixed_cost_costs_no_less(
    law: Law, lead: int, stockout: float, fixed: float, shift: tuple[int, int]
) -> None:
    arguments: dict[str, Any] = {"demand": law, "holding_cost": 1.0, "stockout_cost": stockout, "lead_time": lead}
    best = optimal_min_max(fixed_cost=fixed, **arguments)
    up_to = best.up_to + shift[1]
    reorder = min(best.reorder + shift[0], up_to)
    assert min_max_cost(reorder, up_to, fixed_cost=fixed, **arguments) >= best.cost * (1 - 1e-9) - 1e-12
    assert optimal_min_max(fixed_cost=fixed + 1, **arguments).cost >= best.cost - 1e-9
    twice = arguments | {"holding_cost": 2.0, "stockout_cost": 2 * stockout}
    assert optimal_min_max(fixed_cost=2 * fixed, **twice).cost == pytest.approx(2 * best.cost, rel=1e-9)


def store(law: Law, *, node: dict[str, Any] | None = None, link: dict[str, Any] | None = None) -> Problem:
    """One location supplied from outside, with a fixed cost, a unit cost and stock in transit that costs."""
    nodes = [{"name": "store", "demand": law, "holding_cost": 1.0, "stockout_cost": 9.0, **(node or {})}]
    costs = {"fixed_cost": 30.0, "unit_cost": 2.0, "transit_holding_cost": 0.5}
    network = Network.from_dict({"nodes": nodes, "links": [{"target": "store", **costs, **(link or {})}]})
    return Problem("store", network, periods=10_100, warm_up=100)


def assert_simulation_agrees(problem: Problem, plan: Plan, *, replications: int = 1_000) -> None:
    """The simulated cost is the model's, within three standard errors that are below 0.3 %."""
    scenarios = sample(problem.network, periods=problem.periods, replications=replications, seed=11)
    costs = simulate_cost(problem, plan.policy, scenarios)
    error = costs.std(ddof=1) / len(costs) ** 0.5
    assert plan.model_cost is not None
    assert error < 0.003 * plan.model_cost
    assert abs(costs.mean() - plan.model_cost) < 3 * error


@pytest.mark.parametrize(
    ("law", "lead"),
    [
        (Poisson(mean=5), 2),
        (Intermittent(interval=4, size=Geometric(mean=6), shift=1), 1),
        (NegativeBinomial(mean=5, sd=8), 0),
    ],
    ids=["poisson", "intermittent", "lumpy"],
)
@pytest.mark.parametrize("method", [optimal_min_max_plan, power_approximation_plan])
def test_the_model_cost_is_what_the_simulation_charges(law: Law, lead: int, method: Callable[[Problem], Plan]) -> None:
    problem = store(law, link={"lead_time": lead})
    assert_simulation_agrees(problem, method(problem))


def test_without_a_fixed_cost_the_plan_is_a_base_stock_policy() -> None:
    problem = store(Poisson(mean=5), link={"fixed_cost": 0.0, "lead_time": 1})
    assert_simulation_agrees(problem, optimal_min_max_plan(problem), replications=300)


@pytest.mark.parametrize(
    ("node", "link", "rule"),
    [
        ({"stockout_rule": "lost_sales"}, {}, "backorders at every outlet"),
        ({"stockout_cost": 0.0}, {}, "a stockout cost greater than 0"),
        ({"holding_cost": 0.0}, {}, "a holding cost greater than 0"),
        ({"demand": Poisson(mean=5, seasonal=(1, 2))}, {}, "demand with the same law in every period"),
        (
            {"demand": AR1(mean=20, sd=2, correlation=0.5, rounded=True)},
            {},
            "demand that is independent from period to period",
        ),
        ({}, {"lot_size": 5.0}, "a network without lot_size of link 'outside -> store'"),
        ({}, {"max_order": 50.0}, "a network without max_order of link 'outside -> store'"),
    ],
)
def test_plans_name_the_rule_that_a_problem_breaks(node: dict[str, Any], link: dict[str, Any], rule: str) -> None:
    problem = store(Poisson(mean=5), node=node, link=link)
    for name, method in (
        ("optimal_min_max", optimal_min_max_plan),
        ("power_approximation", power_approximation_plan),
    ):
        with pytest.raises(MethodError) as caught:
            method(problem)
        assert str(caught.value) == f"{name} needs {rule}"


def test_parts_of_units_are_for_the_power_approximation() -> None:
    problem = store(Gamma(mean=20, sd=6))
    with pytest.raises(MethodError, match=r"^optimal_min_max needs demand in whole units$"):
        optimal_min_max_plan(problem)
    plan = power_approximation_plan(problem)
    assert plan.model_cost is None
    assert not float(plan.parameters["up_to"][0]).is_integer()


VALID: dict[str, Any] = {"demand": Poisson(mean=5), "holding_cost": 1, "stockout_cost": 9, "fixed_cost": 64}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"holding_cost": 0}, "holding_cost must be a finite number greater than 0, got 0"),
        ({"stockout_cost": -1}, "stockout_cost must be a finite number greater than 0, got -1"),
        ({"fixed_cost": -5}, "fixed_cost must be a finite number of at least 0, got -5"),
        ({"fixed_cost": float("nan")}, "fixed_cost must be a finite number of at least 0, got nan"),
        ({"lead_time": -1}, "lead_time must be a finite number of at least 0, got -1"),
        ({"demand": Poisson(mean=5, seasonal=(0,))}, "demand must be greater than 0 on average, got 0"),
        (
            {"demand": Gamma(mean=5, sd=2)},
            "demand must be in whole units, got Gamma demand with parts of units: round it, or use power_approximation",
        ),
        (
            {"demand": Poisson(mean=20), "fixed_cost": 1e12},
            "optimal_min_max needs levels within 524,288 units of one another: count demand in larger units",
        ),
    ],
)
def test_bad_input_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(MethodError) as caught:
        optimal_min_max(**VALID | changes)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("reorder", "up_to", "message"),
    [
        (5, 4, "reorder must be at most up_to = 4, got 5"),
        (1.5, 4, "reorder must be a whole number, got 1.5"),
        (1, float("inf"), "up_to must be a whole number, got inf"),
    ],
)
def test_levels_that_are_none_are_named(reorder: float, up_to: float, message: str) -> None:
    with pytest.raises(MethodError) as caught:
        min_max_cost(reorder, up_to, **VALID)
    assert str(caught.value) == message


# Snyder & Shen (2nd ed., 2019), example 4.8 and problem 4.32, as stated by stockpyl's tests: mean, sd, h, b, K, s, S.
POWER = [
    (50, 8, 0.18, 0.7, 2.5, 40.19461695647407, 74.29017010980579),
    (190, 48, 2, 36, 60, 226.6137928222839, 324.3797868133974),
]


@pytest.mark.parametrize(("mean", "sd", "holding", "stockout", "fixed", "reorder", "up_to"), POWER)
def test_the_power_approximation_reproduces_the_textbook(
    mean: float, sd: float, holding: float, stockout: float, fixed: float, reorder: float, up_to: float
) -> None:
    levels = power_approximation(mean=mean, sd=sd, holding_cost=holding, stockout_cost=stockout, fixed_cost=fixed)
    assert levels.reorder == pytest.approx(reorder, rel=1e-12)
    assert levels.up_to == pytest.approx(up_to, rel=1e-12)


@pytest.mark.parametrize("lead", [0, 2, 4])
@pytest.mark.parametrize("stockout", [4, 24, 99])
@pytest.mark.parametrize("fixed", [32, 64])
def test_the_power_approximation_is_within_a_few_percent_of_the_optimum(lead: int, stockout: int, fixed: int) -> None:
    """On a part of Ehrhardt's (1979) grid: h = 1, negative binomial demand with a variance of 3 times the mean."""
    law = NegativeBinomial(mean=8, sd=24**0.5)
    problem = store(law, node={"stockout_cost": float(stockout)}, link={"fixed_cost": float(fixed), "lead_time": lead})
    best, rough = optimal_min_max_plan(problem).model_cost, power_approximation_plan(problem).model_cost
    assert best is not None
    assert rough is not None
    supply = (2.0 + 0.5 * lead) * 8
    assert 1.0 - 1e-9 <= (rough - supply) / (best - supply) < 1.02


def test_limits_of_the_power_approximation() -> None:
    arguments: dict[str, Any] = {"mean": 50, "holding_cost": 1, "stockout_cost": 9}
    certain = power_approximation(sd=0, fixed_cost=100, **arguments)
    assert certain.reorder == pytest.approx(0.973 * 50)
    free = power_approximation(sd=8, fixed_cost=0, base_stock_cap=True, **arguments)
    assert free.reorder == free.up_to == pytest.approx(50 + 8 * 1.2815515655)
    capped = power_approximation(sd=8, fixed_cost=1, base_stock_cap=True, **arguments)
    assert capped.up_to == pytest.approx(50 + 8 * 1.2815515655)
    for changes, message in (
        ({"sd": 8, "fixed_cost": 0}, "fixed_cost must be a finite number greater than 0, got 0"),
        ({"sd": -1, "fixed_cost": 1}, "sd must be a finite number of at least 0, got -1"),
        ({"sd": 1, "fixed_cost": 1, "mean": 0}, "mean must be a finite number greater than 0, got 0"),
    ):
        with pytest.raises(MethodError) as caught:
            power_approximation(**arguments | changes)
        assert str(caught.value) == message


def test_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(module).failed == 0
