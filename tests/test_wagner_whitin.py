"""Dynamic lot sizing: textbook figures, mixed-integer programmes, and the engine for the plan."""

from __future__ import annotations

import doctest
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import Bounds, LinearConstraint, milp

from echelon.baselines import wagner_whitin as module
from echelon.baselines.wagner_whitin import wagner_whitin, wagner_whitin_plan
from echelon.envs.errors import MethodError
from echelon.envs.network import Network
from echelon.envs.problem import Problem
from echelon.envs.scenarios import sample
from echelon.envs.simulate import simulate

# Snyder & Shen, Fundamentals of Supply Chain Theory (2nd ed., 2019), and stockpyl's tests of it.
TEXTBOOK: dict[str, tuple[dict[str, Any], list[float], float]] = {
    "example 3.9": (
        {"demand": [90, 120, 80, 70], "holding_cost": 2, "fixed_cost": 500},
        [210, 0, 150, 0],
        1380,
    ),
    "problem 3.29": (
        {"demand": [730, 580, 445, 650, 880], "holding_cost": 0.1, "fixed_cost": 100},
        [1310, 0, 1095, 0, 880],
        423,
    ),
    "homework c": (
        {
            "demand": [400, 500, 500, 1100, 900],
            "holding_cost": 0.1,
            "fixed_cost": 100,
            "purchase_cost": [3, 1, 4, 6, 6],
        },
        [400, 3000, 0, 0, 0],
        4940,
    ),
    "no demand at first": (
        {"demand": [0, 0, 0, 0, 0, 7], "holding_cost": 1, "fixed_cost": [110, 108, 110, 120, 125, 134]},
        [0, 0, 7, 0, 0, 0],
        131,
    ),
}


@pytest.mark.parametrize("name", TEXTBOOK)
def test_the_textbook_plans_come_out(name: str) -> None:
    inputs, orders, cost = TEXTBOOK[name]
    plan = wagner_whitin(**inputs)
    assert plan.order_quantities == pytest.approx(orders)
    assert plan.cost == pytest.approx(cost, rel=1e-12)


def mixed_integer_optimum(
    demand: list[float],
    fixed: list[float],
    price: list[float],
    holding: list[float],
    stockout: list[float] | None,
    *,
    all_served: bool = True,
    start: float = 0.0,
) -> float:
    """The optimum by HiGHS: orders x, stock i, backorders b and set-ups z of every period."""
    periods, total = len(demand), sum(demand) + 1.0
    eye, zero = np.eye(periods), np.zeros((periods, periods))
    shift = np.eye(periods, k=-1)
    balance = np.hstack([eye, shift - eye, eye - shift, zero])
    linked = np.hstack([eye, zero, zero, -total * eye])
    high = np.full(4 * periods, np.inf)
    high[2 * periods : 3 * periods] = 0.0 if stockout is None else np.inf
    if all_served:
        high[3 * periods - 1] = 0.0
    high[3 * periods :] = 1.0
    met = np.array(demand) - np.array([start] + [0.0] * (periods - 1))
    found = milp(
        np.concatenate([price, holding, stockout or [0.0] * periods, fixed]),
        constraints=[LinearConstraint(balance, met, met), LinearConstraint(linked, ub=0.0)],
        integrality=np.repeat([0, 0, 0, 1], periods),
        bounds=Bounds(0.0, high),
        options={"mip_rel_gap": 0.0},
    )
    assert found.status == 0
    return float(found.fun)


quantities = st.integers(0, 9).map(float)


@given(data=st.data(), periods=st.integers(1, 7), waiting=st.booleans())
@settings(max_examples=40, deadline=None)
def test_the_plan_costs_as_little_as_a_mixed_integer_programme_finds(
    data: st.DataObject, periods: int, waiting: bool
) -> None:
    def drawn() -> list[float]:
        return data.draw(st.lists(quantities, min_size=periods, max_size=periods))

    demand, fixed, price, holding = drawn(), drawn(), drawn(), drawn()
    stockout = drawn() if waiting else None
    plan = wagner_whitin(
        demand=demand, fixed_cost=fixed, purchase_cost=price, holding_cost=holding, stockout_cost=stockout
    )
    assert plan.cost == pytest.approx(mixed_integer_optimum(demand, fixed, price, holding, stockout), abs=1e-6)
    left = np.cumsum(np.array(plan.order_quantities) - demand)
    assert left[-1] == 0
    assert waiting or (left >= 0).all()
    cost = np.dot(price, plan.order_quantities) + np.dot(fixed, np.array(plan.order_quantities) > 0)
    cost += np.dot(holding, np.maximum(left, 0)) + np.dot(stockout or np.zeros(periods), np.maximum(-left, 0))
    assert plan.cost == pytest.approx(cost, abs=1e-9)


def test_every_choice_of_order_periods_costs_at_least_as_much() -> None:
    demand, fixed = np.array([3.0, 0.0, 9.0, 4.0, 1.0, 6.0]), 11.0
    costs = []
    for chosen in product((0, 1), repeat=6):
        if not chosen[0]:
            continue
        periods = np.flatnonzero(chosen)
        orders = np.zeros(6)
        orders[periods] = [part.sum() for part in np.split(demand, periods[1:])]
        costs.append(fixed * (orders > 0).sum() + 2.0 * np.cumsum(orders - demand).sum())
    assert wagner_whitin(demand=demand.tolist(), fixed_cost=fixed, holding_cost=2).cost == min(costs)


def test_without_demand_nothing_is_ordered() -> None:
    plan = wagner_whitin(demand=[0, 0, 0], fixed_cost=5, holding_cost=1)
    assert (plan.order_quantities, plan.cost) == ((0.0, 0.0, 0.0), 0.0)


def test_a_long_horizon_is_planned_at_once() -> None:
    demand = (10 + 5 * np.sin(np.arange(2_000))).tolist()
    plan = wagner_whitin(demand=demand, fixed_cost=50, holding_cost=1, stockout_cost=4)
    assert sum(plan.order_quantities) == pytest.approx(sum(demand))


def store(
    values: Any, *, discount: float = 1.0, periods: int | None = None, warm_up: int = 0, **fields: Any
) -> Problem:
    """A single location with known demand. Fields are those of its node or its link."""
    node = {"name": "store", "holding_cost": 1.0, "stockout_cost": 9.0, "demand": {"law": "deterministic", **values}}
    link: dict[str, Any] = {"target": "store", "fixed_cost": 12.0}
    for key, value in fields.items():
        (node if key in ("holding_cost", "stockout_cost", "initial_on_hand", "stockout_rule") else link)[key] = value
    network = Network.from_dict({"nodes": [node], "links": [link]})
    return Problem("store", network, periods=periods or len(values["values"]), warm_up=warm_up, discount=discount)


WAVES = {"values": (3, 8, 0, 5, 9, 1, 2, 7)}
PLANS = {
    "example 3.9": store({"values": (90, 120, 80, 70)}, holding_cost=2.0, fixed_cost=500.0, stockout_cost=1000.0),
    "no lead time": store(WAVES),
    "lead time and every cost": store(
        WAVES, lead_time=2, unit_cost=0.5, transit_holding_cost=0.1, initial_on_hand=4.0, initial_in_transit=3.0
    ),
    "discount": store(WAVES, lead_time=1, unit_cost=2.0, transit_holding_cost=0.3, discount=0.9, fixed_cost=5.0),
    "more stock than is asked for": store(WAVES, initial_on_hand=99.0, unit_cost=1.0),
    "nothing at the start of a long lead time": store(WAVES, lead_time=3, fixed_cost=30.0),
    "cheap shortages": store(WAVES, stockout_cost=0.4, unit_cost=3.0),
    "a lead time beyond the horizon": store(WAVES, lead_time=9, initial_on_hand=5.0, transit_holding_cost=1.0),
    "parts of units, a season and a trend": store(
        {"values": (3.5, 8.25, 2.0), "seasonal": (1.0, 1.5), "trend": 0.1}, periods=30, lead_time=1, unit_cost=1.0
    ),
}


@pytest.mark.parametrize("problem", PLANS.values(), ids=PLANS)
def test_the_model_cost_is_what_the_engine_charges(problem: Problem) -> None:
    plan = wagner_whitin_plan(problem)
    one = sample(problem.network, periods=problem.periods, replications=2, seed=0)
    assert simulate(problem, plan.policy, one, check=True).cost == pytest.approx(plan.model_cost, rel=1e-9)
    assert plan.optimal


@pytest.mark.parametrize("name", ["no lead time", "cheap shortages", "discount", "more stock than is asked for"])
def test_no_policy_costs_less_than_the_schedule(name: str) -> None:
    problem = PLANS[name]
    node, link, weights = problem.network.nodes[0], problem.network.links[0], problem.weights
    lead_time, demand = int(link.mean_lead_time), list(map(float, WAVES["values"]))
    reached, later = weights[: len(demand) - lead_time], weights[lead_time:]
    paid_later = sum(weights[k : len(demand) - lead_time + k] for k in range(lead_time))
    # All that is asked for before the first order arrives waits: it is part of the first demand that counts.
    best = mixed_integer_optimum(
        [sum(demand[: lead_time + 1]), *demand[lead_time + 1 :]],
        list(link.fixed_cost * reached),
        list(link.unit_cost * reached + link.transit_holding_cost * paid_later),
        list(node.holding_cost * later),
        list(node.stockout_cost * later),
        all_served=False,
        start=node.initial_on_hand,
    )
    best += node.stockout_cost * float(weights[:lead_time] @ np.cumsum(demand)[:lead_time])
    assert wagner_whitin_plan(problem).model_cost == pytest.approx(best, rel=1e-6)


def test_example_3_9_is_ordered_as_in_the_book() -> None:
    plan = wagner_whitin_plan(PLANS["example 3.9"])
    assert plan.parameters == {"orders": [[210.0], [0.0], [150.0], [0.0]]}
    assert plan.model_cost == pytest.approx(1380 / 4)


@pytest.mark.parametrize(
    ("problem", "rule"),
    [
        (store(WAVES, warm_up=2), "no warm-up (warm_up 0)"),
        (store(WAVES, stockout_rule="lost_sales"), "backorders"),
        (store(WAVES, lot_size=2.0), "a network without lot_size of link 'outside -> store'"),
        (store({"law": "poisson", "mean": 3.0}, periods=9), "known demand (law deterministic)"),
    ],
)
def test_the_plan_names_the_rule_that_a_problem_breaks(problem: Problem, rule: str) -> None:
    with pytest.raises(MethodError) as error:
        wagner_whitin_plan(problem)
    assert str(error.value) == f"wagner_whitin needs {rule}"


ARGUMENTS: dict[str, Any] = {"demand": [1, 2], "fixed_cost": 1, "holding_cost": 1}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"demand": []}, "demand must have at least one period, got none"),
        ({"demand": [1, -2]}, "demand must be a finite number of at least 0 in every period, got -2"),
        ({"fixed_cost": [1, 2, 3]}, "fixed_cost must be one number or 2, one per period, got 3"),
        ({"holding_cost": -1}, "holding_cost must be a finite number of at least 0 in every period, got -1"),
        (
            {"stockout_cost": float("nan")},
            "stockout_cost must be a finite number of at least 0 in every period, got nan",
        ),
        (
            {"purchase_cost": float("inf")},
            "purchase_cost must be a finite number of at least 0 in every period, got inf",
        ),
    ],
)
def test_an_argument_that_is_wrong_is_named(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(MethodError) as error:
        wagner_whitin(**ARGUMENTS | changes)
    assert str(error.value) == message


def test_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(module).failed == 0
