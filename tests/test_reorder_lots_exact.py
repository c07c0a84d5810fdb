"""Exact (r, Q) policies and their approximations: published figures, brute force, quadrature and simulation."""

from __future__ import annotations

import doctest
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import integrate, stats

from echelon.baselines import reorder_lots_exact as module
from echelon.baselines.min_max_exact import optimal_min_max
from echelon.baselines.reorder_lots_approximations import (
    eoq_backorder_lots,
    eoq_safety_stock_lots,
    expected_inventory_level_lots,
    loss_function_lots,
)
from echelon.baselines.reorder_lots_exact import (
    ReorderLotsResult,
    Review,
    optimal_reorder_lots,
    optimal_reorder_lots_plan,
    reorder_lots_cost,
)
from echelon.baselines.reorder_lots_normal import normal_reorder_lots, normal_reorder_lots_cost, normal_reorder_point
from echelon.envs.demand import Deterministic, Discrete, Gamma, Geometric, Law, NegativeBinomial, Normal, Poisson
from echelon.envs.errors import MethodError

from .test_min_max_exact import LUMPY, assert_simulation_agrees, position_chain, stock_costs, store

Floats = NDArray[np.float64]

# Continuous review, Poisson demand: rate, L, h, b, K, r, Q, cost. Snyder & Shen (2nd ed., 2019) example 5.8 and
# problem 5.2; the others by an independent program and by brute force.
POISSON_OPTIMA = [
    (1.5, 2, 20, 150, 100, 3, 5, 107.9235806331),
    (12, 0.5, 4, 28, 4, 6, 7, 28.241312842169155),
    (50, 1, 10, 25, 1, 50, 7, 95.46105689347914),
    (50, 1, 10, 100, 1, 56, 7, 142.8095083712253),
    (50, 1, 10, 25, 5, 48, 12, 115.31981970672724),
    (50, 1, 10, 100, 5, 54, 12, 165.20906204931873),
    (50, 1, 10, 25, 25, 44, 23, 171.0896646007354),
    (50, 1, 10, 100, 25, 52, 20, 227.40374313114359),
    (50, 1, 10, 25, 100, 38, 40, 289.374452122191),
    (50, 1, 10, 100, 100, 48, 37, 357.79655009304713),
    (50, 1, 10, 25, 1000, 15, 120, 852.4999999989999),
    (50, 1, 10, 100, 1000, 40, 107, 978.5841201589163),
]
EXAMPLE_5_1: dict[str, Any] = {
    "demand": Normal(mean=1300, sd=150),
    "holding_cost": 0.225,
    "stockout_cost": 7.5,
    "fixed_cost": 8,
    "lead_time": 1 / 12,
}
PROBLEM_5_1: dict[str, Any] = {
    "demand": Normal(mean=800, sd=40),
    "holding_cost": 3.1,
    "stockout_cost": 45,
    "fixed_cost": 50,
    "lead_time": 4 / 365,
}
PROBLEM_5_3: dict[str, Any] = {
    "demand": Normal(mean=192, sd=17.4),
    "holding_cost": 3 / 14,
    "stockout_cost": 40,
    "fixed_cost": 85,
    "lead_time": 3,
}
NORMAL = {"example 5.1": EXAMPLE_5_1, "problem 5.1": PROBLEM_5_1, "problem 5.3": PROBLEM_5_3}


@pytest.mark.parametrize(("rate", "lead", "holding", "stockout", "fixed", "reorder", "lot", "cost"), POISSON_OPTIMA)
def test_poisson_optima_come_out_to_ten_digits(
    rate: float, lead: float, holding: float, stockout: float, fixed: float, reorder: int, lot: int, cost: float
) -> None:
    best = optimal_reorder_lots(
        demand=Poisson(mean=rate),
        holding_cost=holding,
        stockout_cost=stockout,
        fixed_cost=fixed,
        lead_time=lead,
        review="continuous",
    )
    assert (best.reorder, best.lot) == (reorder, lot)
    assert best.cost == pytest.approx(cost, rel=1e-10)


@pytest.mark.parametrize(("rate", "lead", "holding", "stockout", "fixed", "reorder", "lot", "cost"), POISSON_OPTIMA)
def test_no_other_pair_on_a_grid_costs_less(
    rate: float, lead: float, holding: float, stockout: float, fixed: float, reorder: int, lot: int, cost: float
) -> None:
    """All r and Q within 30 units, with the costs summed over the demands of the lead time."""
    points, lots = np.arange(reorder - 30, reorder + 31), np.arange(max(lot - 30, 1), lot + 31)
    levels = np.arange(points[0] + 1, points[-1] + lots[-1] + 1)
    demands = np.arange(400)
    left = levels[:, None] - demands
    g = (holding * np.maximum(left, 0) + stockout * np.maximum(-left, 0)) @ stats.poisson.pmf(demands, rate * lead)
    sums = np.append(0.0, np.cumsum(g))
    first = points - points[0]
    grid = (fixed * rate + sums[first[:, None] + lots] - sums[first[:, None]]) / lots
    at = np.unravel_index(np.argmin(grid), grid.shape)
    assert (points[at[0]], lots[at[1]]) == (reorder, lot)
    assert grid[at] == pytest.approx(cost, rel=1e-10)
    arguments: dict[str, Any] = {"holding_cost": holding, "stockout_cost": stockout, "fixed_cost": fixed}
    for i, j in ((0, 0), (7, 3), (-1, -1)):
        priced = reorder_lots_cost(
            points[i], lots[j], demand=Poisson(mean=rate), lead_time=lead, review="continuous", **arguments
        )
        assert priced == pytest.approx(grid[i, j], rel=1e-10)


@pytest.mark.parametrize(
    ("rate", "lead", "holding", "stockout", "fixed", "reorder", "lot", "cost"),
    [
        (1.5, 2, 20, 150, 100, 8, 12, 242.5281637662021),  # Snyder & Shen (2nd ed., 2019), example 5.8
        (12, 0.5, 4, 28, 4, 3, 9, 34.2641544694695),  # problem 5.2
    ],
)
def test_poisson_policies_that_are_not_optimal_cost_what_the_textbook_says(
    rate: float, lead: float, holding: float, stockout: float, fixed: float, reorder: int, lot: int, cost: float
) -> None:
    priced = reorder_lots_cost(
        reorder,
        lot,
        demand=Poisson(mean=rate),
        holding_cost=holding,
        stockout_cost=stockout,
        fixed_cost=fixed,
        lead_time=lead,
        review="continuous",
    )
    assert priced == pytest.approx(cost, rel=1e-12)


def lots_chain(law: Law, lot: int) -> tuple[Floats, float]:
    """Shares of the positions r + 1, ..., r + Q after the review, and orders per period, from the chain itself."""
    chances = law.pmf()
    move, orders = np.zeros((lot, lot)), np.zeros(lot)
    for place in range(lot):
        for size, chance in enumerate(chances):
            move[place, (place - size) % lot] += chance
            orders[place] += chance * (size > place)
    equations = np.vstack([move.T - np.eye(lot), np.ones(lot)])
    shares = np.linalg.lstsq(equations, np.append(np.zeros(lot), 1.0), rcond=None)[0]
    return shares, float(shares @ orders)


SINGLE_UNITS = [law for law in LUMPY if np.gcd.reduce(np.flatnonzero(law.pmf())) == 1]


@pytest.mark.parametrize("law", SINGLE_UNITS, ids=lambda law: law.law)
@pytest.mark.parametrize(("lead", "holding", "stockout", "fixed"), [(0, 1.0, 9.0, 12.0), (2, 2.0, 3.0, 40.0)])
def test_the_periodic_optimum_is_that_of_all_points_and_lots(
    law: Law, lead: int, holding: float, stockout: float, fixed: float
) -> None:
    arguments: dict[str, Any] = {"holding_cost": holding, "stockout_cost": stockout, "fixed_cost": fixed}
    best = optimal_reorder_lots(demand=law, lead_time=lead, **arguments)
    levels = np.arange(-30.0, 60.0)
    g = stock_costs(law, lead, holding, stockout, levels)
    costs = {}
    for lot in range(1, 41):
        shares, orders = lots_chain(law, lot)
        for at in range(len(levels) - lot):
            costs[levels[at], lot] = fixed * orders + shares @ g[at + 1 : at + 1 + lot]
    assert best.cost == pytest.approx(min(costs.values()), rel=1e-10)
    assert costs[best.reorder, int(best.lot)] == pytest.approx(best.cost, rel=1e-10)
    assert best.lot < 40
    for reorder, lot in list(costs)[::301]:
        priced = reorder_lots_cost(reorder, lot, demand=law, lead_time=lead, **arguments)
        assert priced == pytest.approx(costs[reorder, lot], rel=1e-9)


@settings(max_examples=30, deadline=None)
@given(
    law=st.sampled_from([Poisson(mean=3), Geometric(mean=2), NegativeBinomial(mean=2, sd=3)]),
    lead=st.integers(0, 3),
    stockout=st.floats(0.5, 30),
    fixed=st.floats(0, 50),
)
def test_lots_of_one_size_cost_at_least_as_much_as_orders_of_any_size(
    law: Law, lead: int, stockout: float, fixed: float
) -> None:
    arguments: dict[str, Any] = {
        "demand": law,
        "holding_cost": 1.0,
        "stockout_cost": stockout,
        "fixed_cost": fixed,
        "lead_time": lead,
    }
    lots, any_size = optimal_reorder_lots(**arguments), optimal_min_max(**arguments)
    assert lots.cost >= any_size.cost * (1 - 1e-9)
    if fixed == 0:
        assert lots.lot == 1


@pytest.mark.parametrize("row", [0, 1, 6, 9])
def test_continuous_review_costs_what_an_event_simulation_charges(row: int) -> None:
    rate, lead, holding, stockout, fixed, reorder, lot, cost = POISSON_OPTIMA[row]
    costs = event_simulation(rate, lead, reorder, lot, holding, stockout, fixed, runs=60, demands=40_000)
    error = costs.std(ddof=1) / len(costs) ** 0.5
    assert error < 0.003 * cost
    assert abs(costs.mean() - cost) < 3 * error


def event_simulation(
    rate: float,
    lead: float,
    reorder: int,
    lot: int,
    holding: float,
    stockout: float,
    fixed: float,
    *,
    runs: int,
    demands: int,
) -> Floats:
    """[runs] cost per unit of time of an (r, Q) policy: Poisson customers one by one, deliveries L after orders.

    The position starts at r + Q with nothing on order, so that every Q-th customer causes an order. The first
    tenth of the time does not count.
    """
    random = np.random.default_rng(5)
    costs = np.empty(runs)
    for run in range(runs):
        customers = np.cumsum(random.exponential(1 / rate, demands))
        ordered = customers[lot - 1 :: lot]
        times = np.concatenate([customers, ordered + lead])
        order = np.argsort(times, kind="stable")
        changes = np.concatenate([np.full(demands, -1), np.full(len(ordered), lot)])[order]
        level = reorder + lot + np.append(0, np.cumsum(changes))
        edges = np.concatenate([[0.0], times[order], [customers[-1]]])
        start, end = customers[-1] / 10, customers[-1]
        lengths = np.diff(np.clip(edges, start, end))
        stock = holding * np.maximum(level, 0) + stockout * np.maximum(-level, 0)
        costs[run] = (stock @ lengths + fixed * np.sum((ordered > start) & (ordered <= end))) / (end - start)
    return costs


@pytest.mark.parametrize(
    ("law", "lead"),
    [(Poisson(mean=5), 2), (NegativeBinomial(mean=5, sd=8), 0), (Geometric(mean=0.5), 1)],
    ids=["poisson", "lumpy", "slow"],
)
def test_the_model_cost_is_what_the_simulation_charges(law: Law, lead: int) -> None:
    problem = store(law, link={"lead_time": lead})
    plan = optimal_reorder_lots_plan(problem)
    assert not plan.optimal
    assert_simulation_agrees(problem, plan)


@pytest.mark.parametrize(
    ("arguments", "reorder", "lot", "cost"),
    [
        (EXAMPLE_5_1, 100, 250, 87.34647802817499),
        (PROBLEM_5_1, -1.9859, 166.95, 484.2110418415538),
        (PROBLEM_5_1, 100, 250, 830.3219178082192),
    ],
)
def test_normal_costs_are_those_of_the_textbook_and_of_quadrature(
    arguments: dict[str, Any], reorder: float, lot: float, cost: float
) -> None:
    priced = normal_reorder_lots_cost(reorder, lot, **arguments)
    assert priced == pytest.approx(cost, rel=1e-12)
    assert priced == pytest.approx(by_quadrature(arguments, reorder, lot), rel=1e-9)


def by_quadrature(arguments: dict[str, Any], reorder: float, lot: float) -> float:
    """C(r, Q) with G(y) itself integrated from the density of the demand of the lead time."""
    law, lead = arguments["demand"], arguments["lead_time"]
    normal = stats.norm(law.mean * lead, law.sd * lead**0.5)

    def g(level: float) -> float:
        mean, sd = normal.mean(), normal.std()
        z = (level - mean) / sd
        short = sd * stats.norm.pdf(z) - (level - mean) * stats.norm.sf(z)
        return float(arguments["holding_cost"] * (level - mean + short) + arguments["stockout_cost"] * short)

    cuts = np.clip(normal.mean() + normal.std() * np.arange(-8, 9, 2), reorder, reorder + lot)
    edges = [reorder, *cuts, reorder + lot]
    parts = (integrate.quad(g, a, b, epsabs=1e-12)[0] for a, b in pairwise(edges) if a < b)
    return float((arguments["fixed_cost"] * law.mean + sum(parts)) / lot)


@pytest.mark.parametrize(
    ("arguments", "lot", "reorder"),
    [
        (EXAMPLE_5_1, 150, 147.1949578391578),
        (EXAMPLE_5_1, 750, 99.85377347905121),
        (PROBLEM_5_1, 318, -11.727678814853338),
    ],
)
def test_reorder_points_for_a_given_lot_are_those_of_the_textbook(
    arguments: dict[str, Any], lot: float, reorder: float
) -> None:
    rest = {key: value for key, value in arguments.items() if key != "fixed_cost"}
    assert normal_reorder_point(lot, **rest) == pytest.approx(reorder, rel=1e-9)


@pytest.mark.parametrize("arguments", NORMAL.values(), ids=NORMAL)
@pytest.mark.parametrize("step", [0.5, 5.0, 50.0])
def test_no_point_around_the_normal_optimum_costs_less(arguments: dict[str, Any], step: float) -> None:
    best = normal_reorder_lots(**arguments)
    assert best.cost == pytest.approx(by_quadrature(arguments, best.reorder, best.lot), rel=1e-9)
    around = [(dr, dq) for dr in (-step, 0, step) for dq in (-step, 0, step) if dr or dq]
    assert all(by_quadrature(arguments, best.reorder + dr, best.lot + dq) > best.cost for dr, dq in around)


Method = Callable[..., ReorderLotsResult]

# Snyder & Shen (2nd ed., 2019), chapter 5, as stated by stockpyl's tests: method, problem, r, Q, cost where stated.
APPROXIMATIONS: list[tuple[Method, str, float, float, float | None]] = [
    (expected_inventory_level_lots, "example 5.1", 213.9704421358024, 318.5901810768729, 95.45114022285196),
    (expected_inventory_level_lots, "problem 5.1", 17.972649360167715, 162.1231617283653, 531.1189321826714),
    (expected_inventory_level_lots, "problem 5.3", 644.8385303830128, 400.7559793125993, 100.627394934774),
    (eoq_backorder_lots, "example 5.1", 128.6378, 308.5738, None),
    (eoq_backorder_lots, "problem 5.1", -1.929822185100239, 166.085006519797, None),
    (eoq_backorder_lots, "problem 5.3", 609.0252058220594, 391.3259510944808, None),
    (eoq_safety_stock_lots, "example 5.1", 190.3369965715624, 304.0467800264368, None),
    (eoq_safety_stock_lots, "problem 5.3", 652.9638947041127, 390.281949364815, None),
    (loss_function_lots, "example 5.1", 126.8670642878315, 328.4491413581765, None),
    (loss_function_lots, "problem 5.1", -1.985868645048718, 166.9501022040942, None),
]


@pytest.mark.parametrize(("method", "name", "reorder", "lot", "cost"), APPROXIMATIONS)
def test_approximations_are_those_of_the_textbook(
    method: Method, name: str, reorder: float, lot: float, cost: float | None
) -> None:
    found = method(**NORMAL[name])
    assert found.reorder == pytest.approx(reorder, rel=1e-6)
    assert found.lot == pytest.approx(lot, rel=1e-6)
    if cost is None:
        cost = normal_reorder_lots_cost(found.reorder, found.lot, **NORMAL[name])
    assert found.cost == pytest.approx(cost, rel=1e-10)


@settings(max_examples=25, deadline=None)
@given(
    sd=st.floats(1, 60), fixed=st.floats(0.1, 1e4), stockout=st.floats(1, 100), lead=st.sampled_from([0.1, 1.0, 5.0])
)
def test_the_eoq_with_backorders_costs_at_most_an_eighth_more_than_the_optimum(
    sd: float, fixed: float, stockout: float, lead: float
) -> None:
    arguments: dict[str, Any] = {
        "demand": Normal(mean=100, sd=sd),
        "holding_cost": 1.0,
        "stockout_cost": stockout,
        "fixed_cost": fixed,
        "lead_time": lead,
    }
    best = normal_reorder_lots(**arguments)
    for method in (eoq_backorder_lots, eoq_safety_stock_lots, loss_function_lots):
        assert method(**arguments).cost >= best.cost * (1 - 1e-9)
    assert eoq_backorder_lots(**arguments).cost <= best.cost * 1.125
    assert eoq_backorder_lots(**arguments).lot <= best.lot * (1 + 1e-9)


def test_without_a_lead_time_the_optimum_is_the_eoq_with_backorders() -> None:
    arguments = EXAMPLE_5_1 | {"lead_time": 0}
    lot = (2 * 8 * 1300 * (0.225 + 7.5) / (0.225 * 7.5)) ** 0.5
    cost = (2 * 8 * 1300 * 0.225 * 7.5 / (0.225 + 7.5)) ** 0.5
    for method in (normal_reorder_lots, eoq_backorder_lots, loss_function_lots):
        found = method(**arguments)
        assert found.lot == pytest.approx(lot)
        assert found.cost == pytest.approx(cost)
        assert found.reorder == pytest.approx(-lot * 0.225 / (0.225 + 7.5))
    for method in (expected_inventory_level_lots, eoq_safety_stock_lots):
        assert method(**arguments).lot == pytest.approx((2 * 8 * 1300 / 0.225) ** 0.5)
        assert method(**arguments).reorder == 0


VALID: dict[str, Any] = {
    "demand": Poisson(mean=5),
    "holding_cost": 1,
    "stockout_cost": 9,
    "fixed_cost": 64,
    "lead_time": 1,
}


@pytest.mark.parametrize(
    ("changes", "review", "message"),
    [
        ({"stockout_cost": 0}, "periodic", "stockout_cost must be a finite number greater than 0, got 0"),
        ({"fixed_cost": -1}, "continuous", "fixed_cost must be a finite number of at least 0, got -1"),
        ({"lead_time": -1}, "continuous", "lead_time must be a finite number of at least 0, got -1"),
        ({"demand": Geometric(mean=3)}, "continuous", "demand must be Poisson under continuous review, got Geometric"),
        (
            {"demand": Poisson(mean=3, seasonal=(0,))},
            "continuous",
            "demand must be greater than 0 on average, got 0",
        ),
        (
            {"demand": Deterministic(values=(4,))},
            "periodic",
            "demand must not always be a multiple of 4: count it in units of 4",
        ),
        ({}, "daily", "review must be 'periodic' or 'continuous', got 'daily'"),
    ],
)
def test_bad_input_is_named(changes: dict[str, Any], review: Review, message: str) -> None:
    with pytest.raises(MethodError) as caught:
        optimal_reorder_lots(**VALID | changes, review=review)
    assert str(caught.value) == message


def test_lots_that_share_a_divisor_with_demand_are_refused_and_others_are_not() -> None:
    arguments = VALID | {"demand": Discrete(values=(0, 4, 6), probabilities=(0.5, 0.3, 0.2)), "lead_time": 0}
    with pytest.raises(MethodError) as caught:
        reorder_lots_cost(3, 8, **arguments)
    assert str(caught.value) == "demand and lot must have no common divisor, got multiples of 2 and a lot of 8"
    shares, orders = lots_chain(arguments["demand"], 7)
    g = stock_costs(arguments["demand"], 0, 1, 9, np.arange(4.0, 11.0))
    assert reorder_lots_cost(3, 7, **arguments) == pytest.approx(64 * orders + shares @ g)


@pytest.mark.parametrize(
    ("reorder", "lot", "message"),
    [
        (3, 0, "lot must be a finite number greater than 0, got 0"),
        (3, 2.5, "lot must be a whole number, got 2.5"),
        (float("nan"), 4, "reorder must be a whole number, got nan"),
    ],
)
def test_points_and_lots_that_are_none_are_named(reorder: float, lot: float, message: str) -> None:
    with pytest.raises(MethodError) as caught:
        reorder_lots_cost(reorder, lot, **VALID)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("method", "changes", "message"),
    [
        (normal_reorder_lots, {"fixed_cost": 0}, "fixed_cost must be a finite number greater than 0, got 0"),
        (loss_function_lots, {"fixed_cost": 0}, "fixed_cost must be a finite number greater than 0, got 0"),
        (eoq_safety_stock_lots, {"demand": Poisson(mean=5)}, "demand must be normal, got Poisson"),
        (
            expected_inventory_level_lots,
            {"stockout_cost": 0.01},
            "stockout_cost must be above holding_cost * lot / demand = 0.0526235 for this method, got 0.01",
        ),
    ],
)
def test_bad_input_of_the_normal_methods_is_named(method: Method, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(MethodError) as caught:
        method(**EXAMPLE_5_1 | changes)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("law", "link", "rule"),
    [
        (Gamma(mean=5, sd=2), {}, "demand in whole units"),
        (Deterministic(values=(4,)), {}, "demand that is not always a multiple of 4"),
        (Poisson(mean=5), {"max_order": 10.0}, "a network without max_order of link 'outside -> store'"),
    ],
)
def test_the_plan_names_the_rule_that_a_problem_breaks(law: Law, link: dict[str, Any], rule: str) -> None:
    with pytest.raises(MethodError) as caught:
        optimal_reorder_lots_plan(store(law, link=link))
    assert str(caught.value) == f"optimal_reorder_lots needs {rule}"


def test_the_positions_of_both_kinds_of_policy_agree_where_each_order_is_one_unit_of_demand() -> None:
    """With demand of 0 or 1 a position never falls by more than 1: then s = r, S = r + Q."""
    law = Discrete(values=(0, 1), probabilities=(0.4, 0.6))
    best, lots = optimal_min_max(**VALID | {"demand": law}), optimal_reorder_lots(**VALID | {"demand": law})
    assert (best.reorder, best.up_to) == (lots.reorder, lots.reorder + lots.lot)
    assert best.cost == pytest.approx(lots.cost)
    assert position_chain(law, 4) == pytest.approx(np.full(4, 0.25))


def test_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(module).failed == 0
