"""Serial systems: published optima, and checks that share no code with the method."""

from __future__ import annotations

import doctest
from collections.abc import Callable
from itertools import accumulate, product
from time import process_time
from typing import Any, TypedDict

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from echelon.baselines import serial as module
from echelon.baselines.newsvendor import newsvendor
from echelon.baselines.plan import Plan
from echelon.baselines.serial import (
    Review,
    clark_scarf,
    clark_scarf_plan,
    in_transit_cost,
    local_base_stock,
    serial_cost,
    shang_song,
    shang_song_plan,
)
from echelon.envs.catalogue import make_problem
from echelon.envs.demand import (
    Deterministic,
    DiscreteUniform,
    Empirical,
    Gamma,
    Geometric,
    Law,
    NegativeBinomial,
    Normal,
    Poisson,
    Uniform,
)
from echelon.envs.errors import MethodError
from echelon.envs.scenarios import sample
from echelon.envs.simulate import simulate_cost

Floats = NDArray[np.float64]


class Problem(TypedDict):
    """The arguments that all functions of the module take. Lists are stage 1 first."""

    echelon_holding_cost: list[float]
    lead_time: list[float]
    stockout_cost: float
    demand: Law
    review: Review


def problem(
    holding: list[float], lead_time: list[float], stockout: float, demand: Law, review: Review = "periodic"
) -> Problem:
    return Problem(
        echelon_holding_cost=holding, lead_time=lead_time, stockout_cost=stockout, demand=demand, review=review
    )


# Shang & Song (2003), Table 1 and its family: 4 stages, Poisson demand of 16 a unit of time, lead times of 1/4,
# continuous review. Echelon holding costs, stockout cost, optimal levels, optimal cost. The costs with three
# decimals are the published ones (rows 1, 9, 17, 25); the others were recomputed by an independent program.
SHANG_SONG: list[tuple[list[float], float, list[float], float]] = [
    ([0.25, 0.25, 0.25, 0.25], 9, [8, 13, 18, 22], 12.688),
    ([0.25, 2.5, 2.5, 0.25], 9, [9, 10, 13, 19], 53.008),
    ([0.25, 0.25, 0.25, 0.25], 99, [11, 17, 22, 27], 16.206),
    ([0.25, 2.5, 2.5, 0.25], 99, [11, 14, 18, 26], 74.564),
    ([0.25, 0.25, 0.25, 0.25], 9, [8, 13, 18, 22], 12.68789782790388),
    ([0.25, 2.5, 2.5, 0.25], 9, [9, 10, 13, 19], 53.00760477013108),
    ([0.25, 2.5, 2.5, 0.25], 99, [11, 14, 18, 26], 74.56363970773981),
    ([0.25, 0.25, 0.25, 2.5], 9, [9, 14, 18, 18], 49.38704),
    ([0.25, 0.25, 2.5, 2.5], 9, [9, 14, 15, 17], 73.10666),
    ([0.25, 2.5, 0.25, 0.25], 9, [9, 10, 16, 21], 28.61495),
    ([0.25, 2.5, 2.5, 2.5], 9, [9, 11, 14, 17], 86.21972),
    ([2.5, 0.25, 0.25, 2.5], 9, [6, 13, 18, 18], 53.42387),
    ([2.5, 0.25, 2.5, 0.25], 9, [6, 13, 14, 20], 43.08175),
    ([2.5, 2.5, 0.25, 0.25], 9, [6, 9, 16, 20], 32.47942),
    ([2.5, 2.5, 0.25, 2.5], 9, [6, 10, 16, 17], 66.7378),
    ([2.5, 2.5, 2.5, 2.5], 9, [6, 10, 13, 16], 88.85665),
    ([0.25, 0.25, 0.25, 0.25], 99, [11, 17, 22, 27], 16.20554),
    ([0.25, 0.25, 2.5, 0.25], 99, [11, 17, 19, 26], 52.07746),
    ([0.25, 0.25, 2.5, 2.5], 99, [11, 17, 19, 23], 97.49596),
    ([0.25, 2.5, 0.25, 2.5], 99, [11, 14, 21, 23], 86.56909),
    ([2.5, 0.25, 0.25, 0.25], 99, [8, 16, 22, 27], 27.38263),
    ([2.5, 0.25, 0.25, 2.5], 99, [8, 16, 22, 24], 74.37316),
    ([2.5, 0.25, 2.5, 2.5], 99, [8, 16, 19, 23], 107.53222),
    ([2.5, 2.5, 0.25, 0.25], 99, [8, 13, 21, 26], 50.5234),
    ([2.5, 2.5, 2.5, 0.25], 99, [8, 14, 18, 25], 84.26254),
    ([2.5, 2.5, 2.5, 2.5], 99, [8, 14, 18, 23], 128.59141),
]

EXAMPLE_6_1 = problem([3, 2, 2], [1, 1, 2], 37.12, Normal(mean=5, sd=1), "continuous")
PROBLEM_6_1 = problem([1, 1], [1, 1], 15, Normal(mean=100, sd=15), "continuous")
PROBLEM_6_2A = problem([2, 2, 1, 1, 1], [0.5] * 5, 24, Normal(mean=64, sd=8), "continuous")
PROBLEM_6_2B = problem([2, 2, 1, 1, 1], [0.5] * 5, 24, Poisson(mean=64), "continuous")
PROBLEM_6_16 = problem([5, 2], [8, 3], 24, Normal(mean=20, sd=4), "continuous")

# Snyder & Shen, Fundamentals of Supply Chain Theory (2nd ed., 2019), section 6.2. Levels and costs are converged
# values of an independent program, confirmed by its simulation; the book prints (6.49, 12.02, 22.71) and 47.65.
SNYDER_SHEN: dict[str, tuple[Problem, list[float], float]] = {
    "example 6.1": (EXAMPLE_6_1, [6.4909, 12.0176, 22.7055], 47.6602),
    "problem 6.1": (PROBLEM_6_1, [123.47095, 228.41816], 166.25066539649112),
    "problem 6.2a": (PROBLEM_6_2A, [40.58671, 74.25742, 109.0856, 142.12135, 174.51804], 451.609509894064),
    "problem 6.2b": (PROBLEM_6_2B, [41, 74, 109, 142, 174], 453.6915586955466),
    "problem 6.16": (PROBLEM_6_16, [171.19119, 232.1645], 438.1845710521154),
}


@pytest.mark.parametrize(("holding", "stockout", "levels", "cost"), SHANG_SONG)
def test_shang_and_song_rows_come_out_to_the_printed_digits(
    holding: list[float], stockout: float, levels: list[float], cost: float
) -> None:
    best = clark_scarf(**problem(holding, [0.25] * 4, stockout, Poisson(mean=16), "continuous"))
    assert best.echelon_base_stock == tuple(levels)
    printed = len(str(cost).split(".")[1])
    assert round(best.cost, min(printed, 5)) == pytest.approx(round(cost, 5), abs=1e-9)


@pytest.mark.parametrize("name", SNYDER_SHEN)
def test_snyder_and_shen_examples_come_out(name: str) -> None:
    example, levels, cost = SNYDER_SHEN[name]
    best = clark_scarf(**example)
    assert best.cost == pytest.approx(cost, rel=1e-5 if name != "problem 6.2b" else 1e-12)
    np.testing.assert_allclose(best.echelon_base_stock, levels, atol=1e-3)


@pytest.mark.parametrize(
    ("holding", "stockout", "levels", "cost"),
    [
        ([0.25, 0.25, 0.25, 0.25], 9, [8, 13, 18, 22], 12.688),
        ([0.25, 2.5, 2.5, 0.25], 9, [9, 10, 14, 20], 53.258),
        ([0.25, 0.25, 0.25, 0.25], 99, [11, 17, 22, 27], 16.206),
        ([0.25, 2.5, 2.5, 0.25], 99, [11, 14, 19, 26], 74.747),
    ],
    ids=["row 1", "row 9", "row 17", "row 25"],
)
def test_heuristic_levels_and_costs_are_those_of_shang_and_song(
    holding: list[float], stockout: float, levels: list[float], cost: float
) -> None:
    table_1 = problem(holding, [0.25] * 4, stockout, Poisson(mean=16), "continuous")
    found = shang_song(**table_1)
    assert found.echelon_base_stock == tuple(levels)
    assert round(found.cost, 3) == cost
    assert serial_cost(levels, **table_1) == found.cost


@pytest.mark.parametrize(
    ("example", "levels"),
    [
        (EXAMPLE_6_1, [6.490880975286938, 12.027434723327854, 22.634032391786285]),
        (PROBLEM_6_1, [123.470897070427, 228.860053914444]),
        (PROBLEM_6_2A, [40.5867040168793, 74.4580698705858, 109.5962562657559, 142.8985667640439, 175.8329858066735]),
        (PROBLEM_6_16, [171.1912, 234.4526]),
    ],
    ids=["example 6.1", "problem 6.1", "problem 6.2a", "problem 6.16"],
)
def test_heuristic_levels_of_the_textbook_come_out(example: Problem, levels: list[float]) -> None:
    found = shang_song(**example)
    np.testing.assert_allclose(found.echelon_base_stock, levels, atol=5e-5 if levels[0] == 171.1912 else 1e-9)
    assert clark_scarf(**example).cost <= found.cost <= 1.003 * clark_scarf(**example).cost


@pytest.mark.parametrize(
    ("example", "mean", "standard_error"),
    [
        (EXAMPLE_6_1, 47.6578, 0.0074),
        (PROBLEM_6_1, 166.2247, 0.0289),
        (PROBLEM_6_2A, 451.9062, 0.0372),
        (PROBLEM_6_16, 439.0495, 0.0434),
    ],
    ids=["example 6.1", "problem 6.1", "problem 6.2a", "problem 6.16"],
)
def test_heuristic_costs_what_an_independent_simulation_of_it_cost(
    example: Problem, mean: float, standard_error: float
) -> None:
    assert abs(shang_song(**example).cost - mean) < 3 * standard_error


@pytest.mark.parametrize(
    ("name", "mean", "standard_error"),
    [
        ("example 6.1", 47.6516, 0.0072),
        ("problem 6.1", 166.2137, 0.0294),
        ("problem 6.2a", 451.6418, 0.0402),
        ("problem 6.2b", 453.6211, 0.0436),
        ("problem 6.16", 438.0991, 0.0474),
    ],
)
def test_optimal_policy_costs_what_an_independent_simulation_of_it_cost(
    name: str, mean: float, standard_error: float
) -> None:
    example, levels, _ = SNYDER_SHEN[name]
    assert abs(serial_cost(levels, **example) - mean) < 3 * standard_error


def test_solving_every_published_example_to_1e_4_takes_a_small_part_of_half_a_second_each() -> None:
    rows = [problem(row[0], [0.25] * 4, row[1], Poisson(mean=16), "continuous") for row in SHANG_SONG]
    examples = [*rows, *(example for example, _, _ in SNYDER_SHEN.values())]
    start = process_time()
    for example in examples:
        clark_scarf(**example, tolerance=1e-4)
    assert process_time() - start < 0.1 * len(examples)


def test_heuristic_rounds_as_it_is_told() -> None:
    assert shang_song(**PROBLEM_6_2B, rounding="down").echelon_base_stock == (41, 74, 110, 143, 175)
    assert shang_song(**PROBLEM_6_2B, rounding="up").echelon_base_stock == (41, 75, 110, 143, 176)
    with pytest.raises(MethodError, match="rounding must be down or up, got 'nearest'"):
        shang_song(**PROBLEM_6_2B, rounding="nearest")  # type: ignore[arg-type]


SYSTEMS: dict[str, Problem] = {
    "poisson": problem([1, 0.5, 0.5], [2, 0, 3], 20, Poisson(mean=4)),
    "geometric": problem([1, 2], [0, 2], 30, Geometric(mean=5)),
    "negative binomial": problem([1, 1, 0.2], [0.4, 1.5, 0.7], 9, NegativeBinomial(mean=3, sd=4), "continuous"),
    "discrete uniform": problem([1, 0.5], [1, 1], 10, DiscreteUniform(low=0, high=10)),
    "history in quarters": problem([1, 0.5], [0, 2], 10, Empirical(values=(0.25, 1.5, 2.5, 7))),
    "any history": problem([1, 0.5], [0, 2], 10, Empirical(values=(2**0.5, np.pi, 7))),
    "normal": problem([1, 0.5, 2], [1, 2, 1], 25, Normal(mean=20, sd=5)),
    "normal without lead time in the middle": problem([1, 1, 1], [1, 0, 2], 25, Normal(mean=20, sd=5)),
    "normal without lead time downstream": problem([1, 1, 1], [0, 0, 2], 5, Normal(mean=20, sd=5), "continuous"),
    "gamma": problem([1, 0.3], [2, 2], 15, Gamma(mean=10, sd=6)),
    "gamma with a heavy tail": problem([1, 0.5, 0.5], [0.3, 2.2, 0], 50, Gamma(mean=10, sd=25), "continuous"),
    "uniform": problem([1, 0.5], [1, 3], 10, Uniform(low=2, high=10)),
    "certain": problem([1, 0.5], [2, 3], 10, Deterministic(values=(2.5,))),
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_no_level_can_be_moved_to_save_cost(name: str) -> None:
    system = SYSTEMS[name]
    best = clark_scarf(**system)
    slack = 1e-12 if system["demand"].whole else 1e-6
    for stage, move in product(range(len(best.echelon_base_stock)), (-1.0, 1.0)):
        moved = list(best.echelon_base_stock)
        moved[stage] += move
        assert serial_cost(moved, **system) >= best.cost * (1 - slack)


@pytest.mark.parametrize("name", SYSTEMS)
def test_upward_recursion_and_downward_evaluation_agree(name: str) -> None:
    best = clark_scarf(**SYSTEMS[name])
    assert serial_cost(best.echelon_base_stock, **SYSTEMS[name]) == pytest.approx(best.cost, rel=2e-6)


@pytest.mark.parametrize("name", [name for name in SYSTEMS if not SYSTEMS[name]["demand"].whole])
def test_default_tolerance_is_kept(name: str) -> None:
    assert clark_scarf(**SYSTEMS[name]).cost == pytest.approx(
        clark_scarf(**SYSTEMS[name], tolerance=1e-7).cost, rel=1e-5
    )


@pytest.mark.parametrize(
    "demand", [Poisson(mean=4), Geometric(mean=5), Normal(mean=20, sd=5), Gamma(mean=10, sd=6)], ids=repr
)
def test_periodic_review_is_continuous_review_with_one_period_more_at_stage_1(demand: Law) -> None:
    periodic = problem([1, 0.5, 0.5], [2, 0, 3], 20, demand)
    continuous = problem([1, 0.5, 0.5], [3, 0, 3], 20, demand, "continuous")
    assert clark_scarf(**periodic) == clark_scarf(**continuous)
    assert shang_song(**periodic) == shang_song(**continuous)
    levels = shang_song(**periodic).echelon_base_stock
    assert serial_cost(levels, **periodic) == serial_cost(levels, **continuous)


@pytest.mark.parametrize("demand", [Poisson(mean=4), Gamma(mean=10, sd=6), Normal(mean=20, sd=5)], ids=repr)
def test_one_stage_is_a_newsvendor(demand: Law) -> None:
    best = clark_scarf(**problem([2], [3], 9, demand))
    single = newsvendor(demand=demand, holding_cost=2, stockout_cost=9, lead_time=3)
    assert best.echelon_base_stock[0] == pytest.approx(single.level, rel=1e-12)
    assert best.cost == pytest.approx(single.cost, rel=1e-6)


def two_stage_cost_by_summation(levels: tuple[int, int], h: list[float], p: float, means: list[float]) -> float:
    """Cost of a two-stage Poisson system, summed over every pair of lead-time demands."""
    d1, d2 = np.arange(80)[:, None], np.arange(80)[None, :]
    probability = stats.poisson.pmf(d1, means[0]) * stats.poisson.pmf(d2, means[1])
    echelon_2 = levels[1] - d2
    echelon_1 = np.minimum(levels[0], echelon_2) - d1
    cost = h[0] * echelon_1 + h[1] * echelon_2 + (p + sum(h)) * np.maximum(-echelon_1, 0)
    return float((probability * cost).sum())


def test_two_stages_equal_the_sum_over_all_demands_and_its_minimum_by_enumeration() -> None:
    system = problem([1.5, 0.7], [1, 2], 12, Poisson(mean=3))
    costs = {
        levels: two_stage_cost_by_summation(levels, [1.5, 0.7], 12, [6, 6])
        for levels in product(range(4, 16), range(8, 26))
    }
    for levels in [(9, 17), (12, 12), (5, 20), (14, 9)]:
        assert serial_cost(levels, **system) == pytest.approx(costs[levels], rel=1e-12)
    best = clark_scarf(**system)
    assert best.cost == pytest.approx(min(costs.values()), rel=1e-12)
    assert best.echelon_base_stock == min(costs, key=lambda levels: costs[levels])


def simulated_costs(system: Problem, levels: list[float], uniform: Floats, local: bool = False) -> Floats:
    """Mean cost per period [B] of a two-stage system, by the order of events of a period.

    Charged at the end of a period: local holding on stock at the stages, and backorders. Stage 2
    orders up to an echelon level, or up to a local level on its own stock, orders and debts.
    """
    h1, h2 = sum(system["echelon_holding_cost"]), system["echelon_holding_cost"][1]
    l1, l2 = (int(time) for time in system["lead_time"])
    demand = system["demand"].sample(uniform)
    batch, periods = demand.shape
    to_1, to_2 = np.zeros((l1 + 1, batch)), np.zeros((l2 + 1, batch))
    net_1, owed, total = np.full(batch, float(min(levels))), np.zeros(batch), np.zeros(batch)
    stock_2 = np.zeros(batch)
    for t in range(periods):
        net_1 += to_1[0]
        stock_2 += to_2[0]
        to_1, to_2 = np.roll(to_1, -1, axis=0), np.roll(to_2, -1, axis=0)
        to_1[-1] = to_2[-1] = 0
        owed += levels[0] - (net_1 + to_1.sum(axis=0) + owed)
        below = -owed if local else net_1 + to_1.sum(axis=0)
        to_2[l2 - 1 if l2 else 0] += (levels[1] - (stock_2 + to_2.sum(axis=0) + below)) * (l2 > 0)
        if l2 == 0:
            stock_2 += levels[1] - (stock_2 + below)
        shipped = np.minimum(stock_2, owed)
        stock_2, owed = stock_2 - shipped, owed - shipped
        if l1 == 0:
            net_1 += shipped
        else:
            to_1[l1 - 1] += shipped
        net_1 -= demand[:, t]
        if t >= periods // 10:
            total += h2 * stock_2 + h1 * np.maximum(net_1, 0) + system["stockout_cost"] * np.maximum(-net_1, 0)
    return np.asarray(total / (periods - periods // 10))


SIMULATED: dict[str, tuple[Problem, list[float]]] = {
    "poisson": (problem([1, 0.5], [2, 1], 10, Poisson(mean=5)), [19, 24]),
    "poisson without lead time at stage 2": (problem([1, 0.5], [1, 0], 10, Poisson(mean=5)), [14, 13]),
    "geometric without lead time at stage 1": (problem([1, 0.5], [0, 2], 10, Geometric(mean=5)), [14, 22]),
    "gamma": (problem([2, 1], [1, 2], 15, Gamma(mean=10, sd=6)), [33.3, 51.7]),
    "gamma without lead time at stage 2": (problem([2, 1], [2, 0], 15, Gamma(mean=10, sd=6)), [44.4, 41.1]),
}


@pytest.mark.parametrize("name", SIMULATED)
def test_simulated_cost_is_the_computed_one_less_the_units_in_transit(name: str) -> None:
    system, levels = SIMULATED[name]
    costs = simulated_costs(system, levels, np.random.default_rng(20240615).random((1500, 600)))
    transit = in_transit_cost(
        echelon_holding_cost=system["echelon_holding_cost"], lead_time=system["lead_time"], demand=system["demand"]
    )
    standard_error = float(costs.std(ddof=1)) / len(costs) ** 0.5
    assert standard_error < 0.005 * costs.mean()
    assert abs(costs.mean() - (serial_cost(levels, **system) - transit)) < 3 * standard_error


@pytest.mark.parametrize("name", SIMULATED)
def test_local_levels_act_as_the_echelon_levels_do(name: str) -> None:
    system, levels = SIMULATED[name]
    uniform = np.random.default_rng(7).random((20, 300))
    np.testing.assert_allclose(
        simulated_costs(system, list(local_base_stock(levels)), uniform, local=True),
        simulated_costs(system, levels, uniform),
        rtol=1e-9,
    )


def test_local_levels_take_a_lower_level_upstream_into_account() -> None:
    assert local_base_stock([9, 14, 18, 18]) == (9, 5, 4, 0)
    assert local_base_stock([24, 10, 23.5]) == (10, 0, 13.5)


def test_stage_that_adds_no_value_holds_nothing_back() -> None:
    free = clark_scarf(**problem([0, 0, 0.7], [2, 1, 3], 10, Poisson(mean=5)))
    assert free.local_base_stock[1:] == (0, 0)
    nearly = clark_scarf(**problem([1e-9, 1e-9, 0.7], [2, 1, 3], 10, Poisson(mean=5)))
    assert free.cost == pytest.approx(nearly.cost, rel=1e-6)


def test_certain_demand_needs_the_lead_time_demand_and_costs_only_transit() -> None:
    system = SYSTEMS["certain"]
    best = clark_scarf(**system)
    assert best.echelon_base_stock == (7.5, 15.0)
    transit = in_transit_cost(
        echelon_holding_cost=system["echelon_holding_cost"], lead_time=system["lead_time"], demand=system["demand"]
    )
    assert best.cost == pytest.approx(transit, rel=1e-12)


@pytest.mark.parametrize("stockout", [1.0, 1e3, 1e6])
def test_cost_rises_with_the_stockout_cost_and_every_level_with_it(stockout: float) -> None:
    less = clark_scarf(**problem([1, 1, 1], [1, 2, 1], stockout, Gamma(mean=10, sd=4)))
    more = clark_scarf(**problem([1, 1, 1], [1, 2, 1], 3 * stockout, Gamma(mean=10, sd=4)))
    assert more.cost > less.cost
    assert all(np.greater(more.echelon_base_stock, less.echelon_base_stock))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"stockout_cost": 0}, "stockout_cost must be a finite number greater than 0, got 0"),
        ({"echelon_holding_cost": [1, -1]}, "echelon_holding_cost must be finite and at least 0, got -1 at stage 2"),
        ({"echelon_holding_cost": [1, 0]}, r"echelon_holding_cost at the last stage \(2\) must be .* got 0"),
        ({"echelon_holding_cost": []}, "echelon_holding_cost must have at least one stage, got none"),
        ({"lead_time": [1]}, "lead_time must have as many stages as echelon_holding_cost, 2, got 1"),
        ({"lead_time": [1, -1]}, "lead_time must be finite and at least 0, got -1 at stage 2"),
        ({"lead_time": [0.5, 1]}, "lead_time must be a whole number of periods under periodic review, got 0.5"),
        ({"review": "continous"}, "review must be periodic or continuous, got 'continous'; did you mean 'continuous'"),
        ({"demand": Poisson(mean=1, seasonal=(1, 2))}, "demand must have the same law in every period, got Poisson"),
        ({"demand": Empirical(values=(1, 2), block=2)}, "demand must be independent from period to period"),
        ({"tolerance": 0}, "tolerance must be a finite number greater than 0, got 0"),
    ],
)
def test_argument_that_is_wrong_is_named(changes: dict[str, object], message: str) -> None:
    arguments = {**problem([1, 1], [1, 1], 10, Poisson(mean=5)), **changes}
    with pytest.raises(MethodError, match=message):
        clark_scarf(**arguments)  # type: ignore[arg-type]


def test_levels_that_do_not_fit_are_named() -> None:
    system = problem([1, 1], [1, 1], 10, Poisson(mean=5))
    with pytest.raises(MethodError, match="one level for each of the 2 stages, got 3"):
        serial_cost([1, 2, 3], **system)
    with pytest.raises(MethodError, match=r"whole numbers for whole demand, got 1.5 at stage 1"):
        serial_cost([1.5, 2], **system)
    with pytest.raises(MethodError, match="levels must be finite, got inf at stage 2"):
        serial_cost([1, float("inf")], **system)


# The published examples as problems of the catalogue, stages from the source down. Stage 1 of the engine covers a
# period more than its lead time, so the period is chosen such that this is the published lead time; costs are left
# per unit of time. The engine does not charge the period of demand that is on its way to the customers.
AS_PERIODS: dict[str, dict[str, Any]] = {
    **{
        f"shang & song {p:g} {h}": {
            "lead_time": [1, 1, 1, 0],
            "holding_cost": list(accumulate(reversed(h))),
            "stockout_cost": p,
            "demand": {"law": "poisson", "mean": 4},
        }
        for h, p, _, _ in SHANG_SONG
    },
    "example 6.1": {
        "lead_time": [2, 1, 0],
        "holding_cost": [2, 4, 7],
        "stockout_cost": 37.12,
        "demand": {"law": "normal", "mean": 5, "sd": 1},
    },
    "problem 6.1": {
        "lead_time": [1, 0],
        "holding_cost": [1, 2],
        "stockout_cost": 15,
        "demand": {"law": "normal", "mean": 100, "sd": 15},
    },
    "problem 6.2a": {
        "lead_time": [1, 1, 1, 1, 0],
        "holding_cost": [1, 2, 3, 5, 7],
        "stockout_cost": 24,
        "demand": {"law": "normal", "mean": 32, "sd": 8 * 0.5**0.5},
    },
    "problem 6.2b": {
        "lead_time": [1, 1, 1, 1, 0],
        "holding_cost": [1, 2, 3, 5, 7],
        "stockout_cost": 24,
        "demand": {"law": "poisson", "mean": 32},
    },
    "problem 6.16": {
        "lead_time": [3, 7],
        "holding_cost": [2, 7],
        "stockout_cost": 24,
        "demand": {"law": "normal", "mean": 20, "sd": 4},
    },
}
PUBLISHED = {f"shang & song {p:g} {h}": (levels, cost) for h, p, levels, cost in SHANG_SONG} | {
    name: (levels, cost) for name, (_, levels, cost) in SNYDER_SHEN.items()
}


@pytest.mark.parametrize("name", AS_PERIODS)
def test_published_examples_are_solved_as_problems_of_the_catalogue(name: str) -> None:
    example = make_problem("echelon/Serial-v0", **AS_PERIODS[name])
    plan = clark_scarf_plan(example)
    levels, cost = PUBLISHED[name]
    assert plan.model_cost is not None
    np.testing.assert_allclose(plan.parameters["levels"], levels[::-1], atol=1e-3)
    on_its_way = example.network.laws[0].mean_demand * AS_PERIODS[name]["holding_cost"][-2]
    assert plan.model_cost + on_its_way == pytest.approx(cost, rel=1e-5)


def test_plans_cost_what_they_say_and_the_heuristic_hardly_more_than_the_optimum() -> None:
    example = make_problem("echelon/Serial-v0")
    scenarios = sample(example.network, periods=example.periods, replications=2_500, seed=4)
    costs = []
    for plan in (clark_scarf_plan(example), shang_song_plan(example)):
        assert plan.model_cost is not None
        simulated = simulate_cost(example, plan.policy, scenarios)
        standard_error = float(simulated.std(ddof=1)) / len(simulated) ** 0.5
        assert standard_error < 1e-3 * plan.model_cost
        assert abs(simulated.mean() - plan.model_cost) < 3 * standard_error
        costs.append(plan.model_cost)
    assert costs[0] <= costs[1] <= 1.02 * costs[0]
    assert clark_scarf_plan(example).optimal
    assert not shang_song_plan(example).optimal


def test_plan_of_the_heuristic_rounds_as_it_is_told() -> None:
    example = make_problem("echelon/Serial-v0", **AS_PERIODS["problem 6.2b"])
    assert shang_song_plan(example, rounding="up").parameters["levels"] == [176, 143, 110, 75, 41]
    assert shang_song_plan(example, rounding="down").parameters["levels"] == [175, 143, 110, 74, 41]


@pytest.mark.parametrize(("name", "method"), [("clark_scarf", clark_scarf_plan), ("shang_song", shang_song_plan)])
@pytest.mark.parametrize(
    ("options", "rule"),
    [
        ({"holding_cost": (2, 1)}, "holding costs that do not fall from stage to stage towards the customers"),
        ({"holding_cost": (0, 1)}, "a positive holding cost at the stage that is fed from outside"),
        ({"holding_cost": (1, 2), "stockout_cost": 0.0}, "a positive stockout cost"),
    ],
    ids=["falling", "free", "no stockout cost"],
)
def test_plan_names_the_rule_that_a_network_breaks(
    name: str, method: Callable[..., Plan], options: dict[str, Any], rule: str
) -> None:
    with pytest.raises(MethodError) as error:
        method(make_problem("echelon/Serial-v0", lead_time=1, **options))
    assert str(error.value) == f"{name} needs {rule}"


def test_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(module).failed == 0
