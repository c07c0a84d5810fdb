"""Economic order quantities: textbook figures, brute force over quantities, and the engine for the plan.

Snyder & Shen, Fundamentals of Supply Chain Theory (2nd ed., 2019), as stated by stockpyl's tests.
"""

from __future__ import annotations

import doctest
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

from echelon.baselines import eoq as module
from echelon.baselines.eoq import (
    DiscountKind,
    economic_production_quantity,
    eoq,
    eoq_plan,
    eoq_quantity_discount,
    eoq_with_backorders,
)
from echelon.baselines.eoq_supply import eoq_additive_yield, eoq_multiplicative_yield, eoq_with_disruptions
from echelon.baselines.joint_replenishment import joint_replenishment
from echelon.baselines.wagner_whitin import wagner_whitin_plan
from echelon.envs.errors import MethodError
from echelon.envs.network import Network
from echelon.envs.policy import reorder_lots
from echelon.envs.problem import Problem
from echelon.envs.scenarios import sample
from echelon.envs.simulate import simulate

EXAMPLE_3_1 = {"fixed_cost": 8, "holding_cost": 0.225, "demand_rate": 1300}
PROBLEM_3_1 = {"fixed_cost": 2250, "holding_cost": 275, "demand_rate": 182500}
PROBLEM_3_12: dict[str, Any] = {
    "fixed_cost": 2250,
    "holding_cost_rate": 0.25,
    "demand_rate": 182500,
    "breakpoints": [0, 1200, 2400],
    "unit_costs": [1490, 1220, 1100],
}
EXAMPLE_3_5: dict[str, Any] = {
    "fixed_cost": 8,
    "holding_cost_rate": 0.3,
    "demand_rate": 1300,
    "breakpoints": [0, 400, 800],
    "unit_costs": [0.75, 0.72, 0.68],
}
EXAMPLE_9_1 = {
    "holding_cost": 0.225,
    "stockout_cost": 5,
    "fixed_cost": 8,
    "demand_rate": 1300,
    "disruption_rate": 1.5,
    "recovery_rate": 14,
}
positive = st.floats(0.01, 1e4)


@pytest.mark.parametrize(
    ("inputs", "quantity", "cost"),
    [
        (EXAMPLE_3_1, 304.0467800264368, 68.41052550594827),
        (PROBLEM_3_1, 1728.109844993551, 475230.2073732266),
        (EXAMPLE_3_1 | {"order_quantity": 250}, 250, 69.725),
    ],
    ids=["example 3.1", "problem 3.1", "example 3.1 at 250"],
)
def test_the_economic_order_quantity_is_that_of_the_textbook(
    inputs: dict[str, float], quantity: float, cost: float
) -> None:
    lot = eoq(**inputs)
    assert [lot.order_quantity, lot.cost] == pytest.approx([quantity, cost], rel=1e-12)


def test_the_quantity_with_backorders_is_that_of_problem_3_2b() -> None:
    lot = eoq_with_backorders(fixed_cost=40, holding_cost=40.05, stockout_cost=60, demand_rate=2080)
    assert lot.order_quantity == pytest.approx(83.23544812889804, rel=1e-12)
    assert lot.stockout_fraction == pytest.approx(0.400299850074962, rel=1e-12)
    assert lot.cost == pytest.approx(1999.148244415212, rel=1e-12)


@pytest.mark.parametrize(
    ("inputs", "quantity", "cost"),
    [
        (EXAMPLE_3_1 | {"production_rate": 2000}, 513.9328595516969, 40.47221268969612),
        (
            {"fixed_cost": 4, "holding_cost": 0.08, "demand_rate": 80, "production_rate": 110},
            171.2697677155351,
            3.73679493197531,
        ),
    ],
    ids=["example 3.1", "problem 3.22"],
)
def test_the_production_quantity_is_that_of_the_textbook(
    inputs: dict[str, float], quantity: float, cost: float
) -> None:
    lot = economic_production_quantity(**inputs)
    assert [lot.order_quantity, lot.cost] == pytest.approx([quantity, cost], rel=1e-12)


@pytest.mark.parametrize(
    ("inputs", "kind", "quantity", "region", "cost"),
    [
        (EXAMPLE_3_5, "incremental", 304.04678003, 0, 1043.41052551),
        (PROBLEM_3_12, "incremental", 28553.06065428, 2, 208678591.67992836),
        (PROBLEM_3_12, "all_units", 2400, 2, 201251093.75),
    ],
)
def test_quantity_discounts_are_those_of_the_textbook(
    inputs: dict[str, Any], kind: DiscountKind, quantity: float, region: int, cost: float
) -> None:
    lot = eoq_quantity_discount(**inputs, kind=kind)
    assert lot.order_quantity == pytest.approx(quantity, rel=1e-9)
    assert lot.region == region
    assert lot.cost == pytest.approx(cost, rel=1e-9)


def paid(quantity: float, breakpoints: list[float], prices: list[float], kind: str) -> float:
    """What the units of one order cost, bracket by bracket."""
    if kind == "all_units":
        return quantity * next(c for b, c in reversed(list(zip(breakpoints, prices, strict=True))) if quantity >= b)
    brackets = zip(pairwise([*breakpoints, np.inf]), prices, strict=True)
    return sum(c * (min(quantity, high) - low) for (low, high), c in brackets if quantity > low)


@pytest.mark.parametrize("kind", ["all_units", "incremental"])
@pytest.mark.parametrize("fixed_cost", [1.0, 20.0, 300.0])
@pytest.mark.parametrize("prices", [[5.0, 4.9, 4.0], [5.0, 4.0, 3.99], [5.0, 2.5, 1.0]])
def test_no_quantity_is_cheaper_than_the_one_chosen_under_discounts(
    prices: list[float], fixed_cost: float, kind: DiscountKind
) -> None:
    breakpoints = [0.0, 30.0, 90.0]
    arguments: dict[str, Any] = {
        "fixed_cost": fixed_cost,
        "holding_cost_rate": 0.2,
        "demand_rate": 12.0,
        "breakpoints": breakpoints,
        "unit_costs": prices,
        "kind": kind,
    }
    best = eoq_quantity_discount(**arguments)
    costs = []
    for quantity in [*np.linspace(0.25, 500, 2_000), *breakpoints[1:]]:
        bill = paid(quantity, breakpoints, prices, kind)
        costs.append((fixed_cost + bill) * 12.0 / quantity + 0.2 * bill / 2)
        given_cost = eoq_quantity_discount(**arguments, order_quantity=quantity).cost
        assert given_cost == pytest.approx(costs[-1], rel=1e-12)
    assert best.cost * (1 - 1e-12) <= min(costs) <= best.cost * (1 + 1e-3)


@given(fixed=positive, holding=positive, stockout=positive, rate=positive)
@settings(max_examples=30, deadline=None)
def test_backorders_save_money_and_vanish_as_they_become_dear(
    fixed: float, holding: float, stockout: float, rate: float
) -> None:
    plain = eoq(fixed_cost=fixed, holding_cost=holding, demand_rate=rate)
    waiting = eoq_with_backorders(fixed_cost=fixed, holding_cost=holding, stockout_cost=stockout, demand_rate=rate)
    assert waiting.cost <= plain.cost * (1 + 1e-12)
    dear = eoq_with_backorders(fixed_cost=fixed, holding_cost=holding, stockout_cost=1e9 * holding, demand_rate=rate)
    assert dear.cost == pytest.approx(plain.cost, rel=1e-8)
    for change in (0.5, 0.9, 1.1, 2.0):
        for fraction in (0.0, 0.3, 1.0, waiting.stockout_fraction):
            other = eoq_with_backorders(
                fixed_cost=fixed,
                holding_cost=holding,
                stockout_cost=stockout,
                demand_rate=rate,
                order_quantity=change * waiting.order_quantity,
                stockout_fraction=fraction,
            )
            assert other.cost >= waiting.cost * (1 - 1e-12)


def test_the_quantity_under_disruptions_is_that_of_example_9_1() -> None:
    lot = eoq_with_disruptions(**EXAMPLE_9_1)
    assert lot.order_quantity == pytest.approx(772.8110631910017, rel=1e-6)
    assert lot.cost == pytest.approx(173.9500025731971, rel=1e-9)


def test_without_disruptions_the_quantity_is_the_economic_one() -> None:
    lot = eoq_with_disruptions(**EXAMPLE_9_1 | {"disruption_rate": 0.0})
    assert lot.order_quantity == pytest.approx(304.0467800264368, rel=1e-9)
    assert lot.cost == pytest.approx(68.41052550594827, rel=1e-12)


@pytest.mark.parametrize("quantity", [300.0, 772.8110631910017, 2000.0])
def test_the_cost_under_disruptions_is_that_of_a_simulated_supplier(quantity: float) -> None:
    cycles, rng = 400_000, np.random.default_rng(5)
    length = quantity / 1300
    clock, is_up = np.zeros(cycles), np.ones(cycles, dtype=bool)
    running = clock < length
    while running.any():  # until the phase in which the stock runs out
        clock = np.where(running, clock + rng.exponential(np.where(is_up, 1 / 1.5, 1 / 14)), clock)
        is_up = np.where(running, ~is_up, is_up)
        running = clock < length
    waiting = np.where(is_up, clock - length, 0.0)  # it ended with a change: up now, so down before
    costs = 8 + 0.225 * quantity * length / 2 + 5 * 1300 * waiting
    simulated = costs.sum() / (length + waiting).sum()
    model = eoq_with_disruptions(**EXAMPLE_9_1, order_quantity=quantity).cost
    error = np.std(costs - model * (length + waiting)) / cycles**0.5 / (length + waiting).mean()
    assert abs(simulated - model) < 3 * error
    assert error < 0.01 * model


def test_no_quantity_is_cheaper_under_disruptions() -> None:
    best = eoq_with_disruptions(**EXAMPLE_9_1)
    found = minimize_scalar(
        lambda quantity: eoq_with_disruptions(**EXAMPLE_9_1, order_quantity=quantity).cost,
        bounds=(1, 5000),
        method="bounded",
    )
    assert best.cost * (1 - 1e-12) <= found.fun <= best.cost * (1 + 1e-9)


@pytest.mark.parametrize(
    ("method", "inputs", "quantity", "cost"),
    [
        (
            eoq_additive_yield,
            {"holding_cost": 0.06, "fixed_cost": 18500, "demand_rate": 75000, "yield_mean": -15000, "yield_sd": 9000},
            230246.3704688188,
            12914.78222812913,
        ),
        (
            eoq_additive_yield,
            PROBLEM_3_1 | {"yield_mean": -50.0, "yield_sd": 0.02},
            1778.109845109285,
            475230.2074050533,
        ),
        (
            eoq_multiplicative_yield,
            PROBLEM_3_1 | {"yield_mean": 0.9, "yield_sd": 0.05773502691896258},
            1916.183333947864,
            476207.0433625989,
        ),
    ],
    ids=["example 9.4", "problem 9.4a", "problem 9.4b"],
)
def test_quantities_under_random_yield_are_those_of_the_textbook(
    method: Any, inputs: dict[str, float], quantity: float, cost: float
) -> None:
    lot = method(**inputs)
    assert lot.order_quantity == pytest.approx(quantity, rel=1e-12)
    assert lot.cost == pytest.approx(cost, rel=1e-12)


@pytest.mark.parametrize("quantity", [20.0, 55.0, None])
def test_the_cost_under_random_yield_is_the_mean_over_two_outcomes(quantity: float | None) -> None:
    costs = {"fixed_cost": 30.0, "holding_cost": 0.4, "demand_rate": 9.0}
    additive = eoq_additive_yield(**costs, yield_mean=-2.0, yield_sd=3.0, order_quantity=quantity)
    share = eoq_multiplicative_yield(**costs, yield_mean=0.8, yield_sd=0.1, order_quantity=quantity)
    for lot, received in (
        (additive, additive.order_quantity + np.array([-5.0, 1.0])),
        (share, share.order_quantity * np.array([0.7, 0.9])),
    ):
        cycle = 30.0 + 0.4 * received**2 / (2 * 9.0)
        assert lot.cost == pytest.approx(cycle.sum() / (received / 9.0).sum(), rel=1e-12)


def test_nothing_is_ordered_where_more_arrives_than_is_wanted() -> None:
    lot = eoq_additive_yield(fixed_cost=1, holding_cost=1, demand_rate=1, yield_mean=50, yield_sd=0)
    assert [lot.order_quantity, lot.cost] == pytest.approx([0.0, 1 / 50 + 25])


SILVER: dict[str, Any] = {
    "shared_fixed_cost": 10,
    "individual_fixed_costs": [1.87, 5.27, 7.94, 8.19, 8.87],
    "holding_costs": [0.2] * 5,
    "demand_rates": [1736, 656, 558, 170, 142],
}
HOMEWORK: dict[str, Any] = {
    "shared_fixed_cost": 20000,
    "individual_fixed_costs": [36000, 46000, 34000, 38000],
    "holding_costs": [1000, 900, 1200, 1000],
    "demand_rates": [1780, 445, 920, 175],
}


@pytest.mark.parametrize(
    ("items", "multiples", "cycle", "cost", "quantities"),
    [
        (
            SILVER,
            (1, 1, 1, 3, 3),
            0.2813771490671472,
            218.68632025498687,
            [488.4707307805676, 184.58340978804858, 157.00844917946816, 143.50234602424507, 119.8666655026047],
        ),
        (
            HOMEWORK,
            (1, 2, 1, 3),
            0.24433405218634363,
            1028646.3597045067,
            [434.91461289169166, 217.45730644584583, 224.78732801143613, 128.2753773978304],
        ),
    ],
    ids=["Silver (1976)", "homework"],
)
def test_silvers_heuristic_gives_the_published_plans_and_is_close_to_the_best_multiples(
    items: dict[str, Any], multiples: tuple[int, ...], cycle: float, cost: float, quantities: list[float]
) -> None:
    plan = joint_replenishment(**items)
    assert plan.multiples == multiples
    assert plan.base_cycle_time == pytest.approx(cycle, rel=1e-12)
    assert plan.cost == pytest.approx(cost, rel=1e-12)
    assert plan.order_quantities == pytest.approx(quantities, rel=1e-12)
    count = len(multiples)
    costs = [
        joint_replenishment(**items, multiples=others).cost
        for others in product(range(1, 5), repeat=count)
        if 1 in others
    ]
    assert min(costs) <= plan.cost * (1 + 1e-12)
    assert plan.cost <= 1.02 * min(costs)


def test_a_joint_plan_costs_what_its_orders_and_stocks_cost() -> None:
    plan = joint_replenishment(**HOMEWORK)
    orders = HOMEWORK["shared_fixed_cost"] / plan.base_cycle_time
    for k, h, d, q in zip(
        HOMEWORK["individual_fixed_costs"],
        HOMEWORK["holding_costs"],
        HOMEWORK["demand_rates"],
        plan.order_quantities,
        strict=True,
    ):
        orders += k * d / q + h * q / 2
    assert plan.cost == pytest.approx(orders, rel=1e-12)


def location(demand: Any, **changes: Any) -> Problem:
    """A single location. Changes are fields of its node, its link or the problem."""
    node = {"name": "store", "holding_cost": 1.0, "stockout_cost": 3.0, "demand": demand}
    link: dict[str, Any] = {"target": "store", "fixed_cost": 50.0}
    frame: dict[str, Any] = {"periods": 1_300, "warm_up": 100}
    for key, value in changes.items():
        part = frame if key in ("periods", "warm_up", "discount") else node if key in NODE_KEYS else link
        part[key] = value
    return Problem("store", Network.from_dict({"nodes": [node], "links": [link]}), **frame)


NODE_KEYS = ("holding_cost", "stockout_cost", "initial_on_hand", "stockout_rule")
CONSTANT = {
    "whole": location({"law": "deterministic", "values": 4}),
    "lead time and unit costs": location(
        {"law": "deterministic", "values": 4}, lead_time=2, unit_cost=0.5, transit_holding_cost=0.1
    ),
    "out of phase": location({"law": "deterministic", "values": 5}, lead_time=3, initial_on_hand=7.0, fixed_cost=90),
    "parts of units": location({"law": "deterministic", "values": 2.3}, lead_time=1, fixed_cost=10.0),
    "parts of units, out of phase": location({"law": "deterministic", "values": 2.3}, initial_on_hand=0.7),
    "one unit": location({"law": "deterministic", "values": 1}, stockout_cost=0.2),
    "an order in every period": location({"law": "deterministic", "values": 40}, lead_time=2, fixed_cost=1.0),
}


@pytest.mark.parametrize("problem", CONSTANT.values(), ids=CONSTANT)
def test_the_plan_costs_what_its_cycle_says_where_demand_is_constant(problem: Problem) -> None:
    plan = eoq_plan(problem)
    cycle = round(plan.parameters["lot"][0] / problem.network.laws[0].mean_demand)
    whole_cycles = Problem("store", problem.network, periods=100 + 12 * cycle, warm_up=100)
    one = sample(problem.network, periods=whole_cycles.periods, replications=1, seed=0)
    assert simulate(whole_cycles, plan.policy, one).cost[0] == pytest.approx(plan.model_cost, rel=1e-9)


@pytest.mark.parametrize("name", ["whole", "lead time and unit costs", "one unit"])
def test_no_other_reorder_point_and_lot_costs_less_than_the_plan_by_more_than_a_percent(name: str) -> None:
    problem = CONSTANT[name]
    plan = eoq_plan(problem)
    one = sample(problem.network, periods=problem.periods, replications=1, seed=0)
    lot, reorder = plan.parameters["lot"][0], plan.parameters["reorder"][0]
    costs = [
        simulate(problem, reorder_lots(problem.network, [reorder + r], [lot + q]), one).cost[0]
        for r in range(-8, 9, 2)
        for q in range(-8, 9, 2)
        if lot + q > 0
    ]
    assert plan.model_cost is not None
    assert plan.model_cost <= 1.01 * min(costs)


def test_the_optimal_schedule_is_a_little_cheaper_than_the_plan() -> None:
    problem = location({"law": "deterministic", "values": 4}, periods=1_200, warm_up=0)
    best, plan = wagner_whitin_plan(problem).model_cost, eoq_plan(problem).model_cost
    assert best is not None
    assert plan is not None
    assert best <= plan <= 1.01 * best


def test_the_plan_for_random_demand_has_the_rounded_quantity_and_no_model_cost() -> None:
    plan = eoq_plan(location({"law": "poisson", "mean": 5.0}, lead_time=1))
    exact = eoq_with_backorders(fixed_cost=50, holding_cost=1, stockout_cost=3, demand_rate=5)
    assert exact.order_quantity == pytest.approx(25.8199, abs=1e-4)
    assert plan.parameters == {"reorder": [3.0], "lot": [26.0]}
    assert (plan.model_cost, plan.optimal) == (None, False)
    smooth = eoq_plan(location({"law": "gamma", "mean": 5.0, "sd": 2.0}, lead_time=1))
    assert smooth.parameters["lot"] == [pytest.approx(exact.order_quantity)]
    assert smooth.parameters["reorder"] == [pytest.approx(10 - exact.order_quantity / 4)]


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"fixed_cost": 0.0}, "a fixed cost per order"),
        ({"stockout_cost": 0.0}, "a holding cost and a stockout cost"),
        ({"holding_cost": 0.0}, "a holding cost and a stockout cost"),
        ({"discount": 0.9, "warm_up": 0}, "an average-cost objective (discount 1)"),
        ({"stockout_rule": "lost_sales"}, "backorders at every outlet"),
        ({"max_order": 5.0}, "a network without max_order of link 'outside -> store'"),
    ],
)
def test_the_plan_names_the_rule_that_a_problem_breaks(changes: dict[str, Any], rule: str) -> None:
    with pytest.raises(MethodError) as error:
        eoq_plan(location({"law": "poisson", "mean": 5.0}, **changes))
    assert str(error.value) == f"eoq needs {rule}"


@pytest.mark.parametrize(
    ("demand", "rule"),
    [
        ({"law": "deterministic", "values": [3, 5]}, "demand with the same law in every period"),
        ({"law": "poisson", "mean": 5.0, "seasonal": [1, 2]}, "demand with the same law in every period"),
        ({"law": "deterministic", "values": 0}, "some demand"),
    ],
)
def test_the_plan_names_the_demand_that_it_cannot_take(demand: dict[str, Any], rule: str) -> None:
    with pytest.raises(MethodError) as error:
        eoq_plan(location(demand))
    assert str(error.value) == f"eoq needs {rule}"


@pytest.mark.parametrize(
    ("method", "arguments", "message"),
    [
        (eoq, EXAMPLE_3_1 | {"fixed_cost": 0}, "fixed_cost must be a finite number greater than 0, got 0"),
        (eoq, EXAMPLE_3_1 | {"holding_cost": -1}, "holding_cost must be a finite number greater than 0, got -1"),
        (eoq, EXAMPLE_3_1 | {"demand_rate": 0}, "demand_rate must be a finite number greater than 0, got 0"),
        (eoq, EXAMPLE_3_1 | {"order_quantity": 0}, "order_quantity must be a finite number greater than 0, got 0"),
        (
            eoq_with_backorders,
            EXAMPLE_3_1 | {"stockout_cost": float("nan")},
            "stockout_cost must be a finite number greater than 0, got nan",
        ),
        (
            eoq_with_backorders,
            EXAMPLE_3_1 | {"stockout_cost": 1, "stockout_fraction": 1.5},
            "stockout_fraction must be between 0 and 1, got 1.5",
        ),
        (
            economic_production_quantity,
            EXAMPLE_3_1 | {"production_rate": 1300},
            "production_rate must be above demand_rate = 1300, got 1300",
        ),
        (
            eoq_quantity_discount,
            EXAMPLE_3_5 | {"kind": "all_unit"},
            "kind must be 'all_units' or 'incremental', got 'all_unit'",
        ),
        (
            eoq_quantity_discount,
            EXAMPLE_3_5 | {"kind": "all_units", "breakpoints": [10, 400, 800]},
            "breakpoints must start with 0 and rise, got [10, 400, 800]",
        ),
        (
            eoq_quantity_discount,
            EXAMPLE_3_5 | {"kind": "all_units", "unit_costs": [1, 2]},
            "unit_costs must be as many as breakpoints, at least one, got 2 and 3",
        ),
        (
            eoq_quantity_discount,
            EXAMPLE_3_5 | {"kind": "all_units", "unit_costs": [1, 2, 3]},
            "unit_costs must fall from one breakpoint to the next, got [1, 2, 3]",
        ),
        (
            eoq_with_disruptions,
            EXAMPLE_9_1 | {"stockout_cost": 0.01},
            "stockout_cost must be above 0.0526235, the cost per unit of the economic order quantity, got 0.01: "
            "it would be best never to order",
        ),
        (
            eoq_with_disruptions,
            EXAMPLE_9_1 | {"recovery_rate": 0},
            "recovery_rate must be a finite number greater than 0, got 0",
        ),
        (
            eoq_additive_yield,
            PROBLEM_3_1 | {"yield_mean": -50, "yield_sd": 1, "order_quantity": 40},
            "order_quantity must be above 50, so that something arrives, got 40",
        ),
        (
            eoq_multiplicative_yield,
            PROBLEM_3_1 | {"yield_mean": 0, "yield_sd": 1},
            "yield_mean must be a finite number greater than 0, got 0",
        ),
        (
            joint_replenishment,
            SILVER | {"demand_rates": [1736, 656, 558, 170, 0]},
            "demand_rates must be a finite number greater than 0, got 0",
        ),
        (
            joint_replenishment,
            SILVER | {"demand_rates": [1736]},
            "individual_fixed_costs, holding_costs and demand_rates must have one value per item, got 5, 5 and 1",
        ),
        (
            joint_replenishment,
            SILVER | {"shared_fixed_cost": 0, "individual_fixed_costs": [0] * 5},
            "shared_fixed_cost + individual_fixed_costs[0] must be a finite number greater than 0, got 0",
        ),
        (
            joint_replenishment,
            SILVER | {"multiples": [1, 1, 1, 1, 0]},
            "multiples must be 5 whole numbers of at least 1, got [1, 1, 1, 1, 0]",
        ),
    ],
)
def test_an_argument_that_is_wrong_is_named(method: Any, arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(MethodError) as error:
        method(**arguments)
    assert str(error.value) == message


def test_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(module).failed == 0
