"""Perishable stock at one location: optima, the cost of policies and simpler rules, against published numbers,
brute force and simulation."""

from __future__ import annotations

import csv
import doctest
import io
from collections.abc import Callable
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from echelon.baselines import perishable as module
from echelon.baselines.perishable import (
    OrderTable,
    largest_order,
    optimal_orders,
    perishable_optimal,
    perishable_optimum,
)
from echelon.baselines.perishable_chain import perishable_policy_cost
from echelon.baselines.perishable_policies import bsp_low_ew, ewa, expected_waste, perishable_base_stock
from echelon.baselines.perishable_store import Issuing, PerishableStore, store_of
from echelon.baselines.plan import Plan
from echelon.envs.catalogue import make_problem
from echelon.envs.demand import Deterministic, Discrete, Law, Normal, Poisson
from echelon.envs.errors import MethodError
from echelon.envs.network import Network
from echelon.envs.perishable import OPTIMA, rounded_gamma
from echelon.envs.problem import Problem
from echelon.envs.scenarios import sample
from echelon.envs.simulate import simulate_cost
from echelon.envs.state import State

Floats = NDArray[np.float64]

PUBLISHED = list(
    csv.DictReader(
        io.StringIO(
            """shelf_life,lead_time,waste_cost,issuing,optimum,optimum_sd,base_stock,base_stock_sd
2,1,7,lifo,1553,61,1565,62
2,1,7,fifo,1457,59,1474,56
2,1,10,fifo,1463,60,1485,61
2,2,7,lifo,1551,62,1590,64
2,2,10,lifo,1569,61,1606,64
2,2,10,fifo,1469,59,1504,60
3,1,7,fifo,1424,56,1435,52
3,1,10,lifo,1498,61,1512,58
3,2,7,lifo,1513,61,1533,61
3,2,7,fifo,1435,56,1456,58
3,2,10,fifo,1437,56,1457,58
4,1,7,lifo,1459,56,1476,54
4,1,10,lifo,1465,56,1481,60
4,1,10,fifo,1422,56,1430,52
4,2,7,fifo,1432,55,1453,58
4,2,10,lifo,1489,59,1505,58
5,1,7,lifo,1443,55,1454,55
5,1,7,fifo,1422,56,1430,52
5,1,10,fifo,1422,56,1430,52
5,2,7,lifo,1463,58,1480,60
5,2,10,lifo,1467,58,1484,59
5,2,10,fifo,1432,55,1453,58
"""
        )
    )
)
"""Mean and standard deviation over 10,000 sample paths of the discounted cost of 365 periods, by value iteration and
by the best base-stock level, as printed: De Moor, Gijsbrechts and Boute, European Journal of Operational Research
301(2), 2022. `benchmarks/perishable_bed.py` solves the instances with the longest shelf lives as well."""
PERIODS = (1 - 0.99**365) / 0.01
"""What 365 discounted periods weigh."""
ROUNDING, ROLLOUTS = 0.5, 10_000


def catalogued(row: dict[str, str]) -> Problem:
    whole = {name: int(row[name]) for name in ("shelf_life", "lead_time", "waste_cost")}
    return make_problem("echelon/Perishable-v0", issuing=row["issuing"], **whole)


def label(row: dict[str, str]) -> str:
    return "{issuing} m={shelf_life} L={lead_time} w={waste_cost}".format(**row)


SMALL = [row for row in PUBLISHED if int(row["shelf_life"]) + int(row["lead_time"]) <= 5]
QUICK = pytest.mark.parametrize("row", SMALL, ids=label)


@pytest.mark.parametrize(
    ("issuing", "life", "lead_time", "waste"),
    [(issuing, *key) for issuing, values in OPTIMA.items() for key in values if key[0] + key[1] <= 5],
)
def test_the_optimum_is_that_of_the_catalogue(issuing: str, life: int, lead_time: int, waste: int) -> None:
    problem = make_problem(
        "echelon/Perishable-v0", shelf_life=life, lead_time=lead_time, waste_cost=waste, issuing=issuing
    )
    plan = perishable_optimal(problem)
    assert plan.optimal
    assert plan.model_cost == pytest.approx(OPTIMA[issuing][life, lead_time, waste], abs=1e-5)
    assert plan.parameters["high"] - plan.parameters["low"] <= 1e-6


@QUICK
@pytest.mark.parametrize("discount", [1.0, 0.99])
def test_the_optimum_is_what_the_paper_prints(row: dict[str, str], discount: float) -> None:
    """Whether orders minimise the average or the discounted cost, as in the paper, its figures cannot tell."""
    problem = catalogued(row)
    orders = optimal_orders(store_of(problem, "test"), discount=discount).orders
    cost = perishable_policy_cost(problem, OrderTable(orders, int(row["shelf_life"]))).cost
    error = 3 * float(row["optimum_sd"]) / ROLLOUTS**0.5 + ROUNDING
    assert PERIODS * cost == pytest.approx(float(row["optimum"]), abs=error)


@QUICK
def test_the_best_base_stock_level_is_what_the_paper_prints_or_better(row: dict[str, str]) -> None:
    problem = catalogued(row)
    best = perishable_base_stock(problem)
    assert best.model_cost is not None
    level = best.parameters["level"]
    costs = [perishable_base_stock(problem, level=level + step).model_cost or np.inf for step in (-2, -1, 0, 1, 2)]
    assert min(costs) == costs[2]
    error = 3 * float(row["base_stock_sd"]) / ROLLOUTS**0.5 + ROUNDING
    published = float(row["base_stock"])
    assert PERIODS * best.model_cost <= published + error
    assert min(abs(PERIODS * cost - published) for cost in costs[1:3]) <= error


def sold(stock: tuple[int, ...], demand: int, issuing: str) -> tuple[list[int], int]:
    """What is left of stock by remaining life after selling unit by unit, and the sales lost."""
    left, lost = list(stock), 0
    for _ in range(demand):
        ages = [age for age, units in enumerate(left) if units]
        if ages:
            left[ages[0] if issuing == "fifo" else ages[-1]] -= 1
        else:
            lost += 1
    return left, lost


def brute_force(
    demand: dict[int, float],
    life: int,
    lead_time: int,
    issuing: str,
    costs: dict[str, float],
    most: int,
    discount: float,
) -> tuple[float, Any]:
    """Optimal cost per period, or discounted from the empty store, by value iteration on dense matrices."""
    digits = life + lead_time - 1
    states = list(product(range(most + 1), repeat=digits))
    number = {state: i for i, state in enumerate(states)}
    cost = np.zeros((most + 1, len(states)))
    chance = np.zeros((most + 1, len(states), len(states)))
    for state, order, (units, probability) in product(states, range(most + 1), demand.items()):
        whole = (*state, order)
        left, lost = sold(whole[:life], units, issuing)
        period = costs["holding"] * sum(left) + costs["stockout"] * lost + costs["scrap"] * left[0]
        cost[order, number[state]] += probability * (period + costs["unit"] * order)
        chance[order, number[state], number[(*left[1:], *whole[life:])]] += probability
    values = np.zeros(len(states))
    for _ in range(10_000):
        ahead = cost + discount * chance @ values
        change = ahead.min(0) - values
        if (np.ptp(change) if discount == 1 else np.abs(change).max()) < 1e-11:
            return float(change[0] if discount == 1 else values[0]), ahead
        values = values + 0.7 * change
        values -= values[0] if discount == 1 else 0.0
    raise AssertionError("the values did not settle")


DEMAND = {0: 0.2, 1: 0.3, 2: 0.2, 4: 0.2, 6: 0.1}
LAW = Discrete(values=tuple(map(float, DEMAND)), probabilities=tuple(DEMAND.values()))


@pytest.mark.parametrize("issuing", ["fifo", "lifo"])
@pytest.mark.parametrize("discount", [1.0, 0.9])
@pytest.mark.parametrize(
    ("life", "lead_time", "most"), [(2, 1, 9), (1, 0, 9), (1, 2, 7), (2, 0, 9), (3, 0, 9), (2, 2, 5), (3, 1, 5)]
)
def test_the_optimum_is_that_of_value_iteration_on_dense_matrices(
    issuing: Issuing, discount: float, life: int, lead_time: int, most: int
) -> None:
    costs = {"holding": 0.5, "stockout": 6.0, "scrap": 4.0, "unit": 1.5}
    expected, ahead = brute_force(DEMAND, life, lead_time, issuing, costs, most, discount)
    found = perishable_optimum(
        demand=LAW,
        shelf_life=life,
        lead_time=lead_time,
        issuing=issuing,
        holding_cost=0.5,
        stockout_cost=6,
        scrap_cost=4,
        unit_cost=1.5,
        max_order=None if most == 9 else most,
        discount=discount,
        tolerance=1e-9,
    )
    assert found.cost == pytest.approx(expected * (1 if discount == 1 else 1 - discount), abs=2e-9)
    ours = dict(np.ndenumerate(found.orders))
    for i, state in enumerate(product(range(most + 1), repeat=life + lead_time - 1)):
        if state in ours:
            assert ahead[ours[state], i] == pytest.approx(ahead[:, i].min(), abs=1e-6)


@cache
def plans(issuing: str, life: int, lead_time: int) -> tuple[Problem, dict[str, Plan]]:
    problem = make_problem("echelon/Perishable-v0", shelf_life=life, lead_time=lead_time, issuing=issuing)
    methods: tuple[Callable[[Problem], Plan], ...] = (perishable_optimal, bsp_low_ew, ewa, perishable_base_stock)
    return problem, {method.__name__: method(problem) for method in methods}


@pytest.mark.parametrize(("issuing", "life", "lead_time"), list(product(("fifo", "lifo"), (2, 3), (1, 2))))
def test_rules_that_see_ages_cost_less_than_base_stock_and_more_than_the_optimum(
    issuing: str, life: int, lead_time: int
) -> None:
    costs = [plan.model_cost or np.inf for plan in plans(issuing, life, lead_time)[1].values()]
    assert costs[0] <= costs[1] + 1e-6
    assert costs[1] <= costs[2] + 1e-6
    assert costs[2] <= costs[3] + 1e-6


@pytest.mark.parametrize(
    ("issuing", "life", "lead_time", "rules"),
    [
        ("fifo", 2, 1, ["perishable_optimal", "bsp_low_ew"]),
        ("lifo", 3, 2, ["perishable_optimal", "perishable_base_stock"]),
    ],
)
def test_simulation_costs_what_the_model_says(issuing: str, life: int, lead_time: int, rules: list[str]) -> None:
    problem, found = plans(issuing, life, lead_time)
    scenarios = sample(problem.network, periods=problem.periods, replications=10_000, seed=1)
    for plan in (found[rule] for rule in rules):
        costs = simulate_cost(problem, plan.policy, scenarios)
        error = costs.std(ddof=1) / len(costs) ** 0.5
        assert error < 3e-4 * costs.mean()
        assert abs(costs.mean() - plan.model_cost) < 3 * error


def test_the_chain_prices_the_optimal_orders_at_the_optimum() -> None:
    for issuing, life, lead_time in product(("fifo", "lifo"), (2, 3), (1, 2)):
        problem, found = plans(issuing, life, lead_time)
        plan = found["perishable_optimal"]
        assert perishable_policy_cost(problem, plan.policy).cost == pytest.approx(plan.model_cost, abs=2e-6)


def store(**changes: Any) -> Problem:
    """A store with a shelf life of two periods, with some fields of its node or link changed."""
    node: dict[str, Any] = {
        "name": "store",
        "demand": Poisson(mean=3),
        "holding_cost": 1,
        "stockout_cost": 8,
        "stockout_rule": "lost_sales",
        "shelf_life": 2,
        "scrap_cost": 4,
    }
    link: dict[str, Any] = {"target": "store", "lead_time": 1, "unit_cost": 2}
    for name, value in changes.items():
        (link if name in ("lead_time", "unit_cost", "fixed_cost", "max_order", "lot_size") else node)[name] = value
    return Problem("store", Network.from_dict({"name": "store", "nodes": [node], "links": [link]}))


@given(
    mean=st.floats(0.5, 4),
    issuing=st.sampled_from(["fifo", "lifo"]),
    lead_time=st.integers(0, 1),
    stockout_cost=st.floats(2, 20),
)
@settings(max_examples=15, deadline=None)
def test_a_longer_life_and_oldest_first_and_cheaper_scrap_cost_no_more(
    mean: float, issuing: Issuing, lead_time: int, stockout_cost: float
) -> None:
    def cost(**changes: Any) -> float:
        fields: dict[str, Any] = {
            "demand": Poisson(mean=mean),
            "shelf_life": 2,
            "lead_time": lead_time,
            "issuing": issuing,
            "holding_cost": 0.5,
            "stockout_cost": stockout_cost,
            "scrap_cost": 2,
            "unit_cost": 1,
            "max_order": 8,
        }
        return perishable_optimum(**{**fields, **changes}).cost

    assert cost(shelf_life=3) <= cost() + 1e-6
    assert cost() <= cost(scrap_cost=4) + 1e-6
    assert cost(issuing="fifo") <= cost(issuing="lifo") + 1e-6
    assert cost(lead_time=0) <= cost(lead_time=1) + 1e-6
    assert cost(max_order=None) <= cost() + 1e-6


def test_stock_that_lives_one_period_and_comes_at_once_is_a_newsvendor() -> None:
    best = perishable_optimum(
        demand=Poisson(mean=6),
        shelf_life=1,
        lead_time=0,
        issuing="fifo",
        holding_cost=1,
        stockout_cost=10,
        scrap_cost=2,
        unit_cost=3,
    )
    chances = Poisson(mean=6).pmf()
    units = np.arange(len(chances))
    costs = [3 * q + chances @ (3 * np.maximum(q - units, 0) + 10 * np.maximum(units - q, 0)) for q in range(20)]
    assert best.cost == pytest.approx(min(costs), abs=1e-9)
    assert best.orders.item() == int(np.argmin(costs))


@pytest.mark.parametrize("issuing", ["fifo", "lifo"])
@pytest.mark.parametrize("lead_time", [0, 1, 2])
def test_demand_that_does_not_vary_is_met_without_stock(issuing: Issuing, lead_time: int) -> None:
    costs = {"holding_cost": 1, "stockout_cost": 5, "scrap_cost": 6, "unit_cost": 3}
    for units in (0.0, 4.0):
        best = perishable_optimum(
            demand=Deterministic(values=(units,)), shelf_life=2, lead_time=lead_time, issuing=issuing, **costs
        )
        assert best.cost == pytest.approx(3 * units, abs=1e-6)


def test_nothing_is_ordered_where_a_lost_sale_costs_no_more_than_a_unit() -> None:
    problem = store(unit_cost=8)
    plan = perishable_optimal(problem)
    assert plan.parameters["states"] == 1
    assert plan.model_cost == pytest.approx(24)
    for rule in (perishable_base_stock, ewa, bsp_low_ew):
        assert rule(problem).model_cost == pytest.approx(24)


@pytest.mark.parametrize("issuing", ["fifo", "lifo"])
@pytest.mark.parametrize("discount", [1.0, 0.8])
def test_orders_beyond_the_largest_one_do_not_help(issuing: Issuing, discount: float) -> None:
    costs: dict[str, Any] = {"holding_cost": 0.2, "stockout_cost": 5.0, "scrap_cost": 0.5, "unit_cost": 1.0}
    small = PerishableStore(demand=LAW, shelf_life=2, lead_time=1, issuing=issuing, **costs)
    largest = largest_order(small, discount=discount)
    named = {"holding": 0.2, "stockout": 5.0, "scrap": 0.5, "unit": 1.0}
    _, ahead = brute_force(DEMAND, 2, 1, issuing, named, largest + 3, discount)
    assert largest < 12
    assert (ahead.argmin(0) <= largest).all()


def test_stock_beyond_the_table_counts_as_the_most_in_it() -> None:
    network = store(initial_on_hand=500).network
    problem = Problem("store", network, periods=200, warm_up=100)
    plan = perishable_optimal(problem)
    scenarios = sample(network, periods=200, replications=50, seed=0)
    assert simulate_cost(problem, plan.policy, scenarios).mean() == pytest.approx(plan.model_cost, rel=0.05)


def test_expected_waste_follows_the_mean_demand_through_the_lead_time() -> None:
    lives = np.array([[5.0, 2.0, 0.0], [9.0, 0.0, 4.0], [0.0, 7.0, 8.0]])
    fifo = expected_waste(lives, 3.0, shelf_life=2, lead_time=2, issuing="fifo")
    # 5 - 3 expire, then of 2 none; 9 - 3, then none; none, then 7 - 3 - 3
    assert fifo.tolist() == [2.0, 6.0, 1.0]
    lifo = expected_waste(lives, 3.0, shelf_life=2, lead_time=2, issuing="lifo")
    # 2 fresh and 1 old are sold, so 4 expire; 9 - 3; then 7 - 3 fresh ones grow old beside 8 that are sold first
    assert lifo.tolist() == [4.0, 6.0, 4.0]
    assert expected_waste(lives[:, :1], 3.0, shelf_life=2, lead_time=0, issuing="fifo").tolist() == [0.0] * 3


def test_the_rule_orders_less_below_its_threshold_and_the_same_at_it() -> None:
    problem = make_problem("echelon/Perishable-v0", demand=Deterministic(values=(4.0,)), shelf_life=2, lead_time=1)
    plan = bsp_low_ew(problem, level=11, low_level=5, threshold=8)

    def order(old: int, fresh: int) -> float:
        ages = np.array([[[old, fresh]]], dtype=np.float64)
        state: Any = type("Stock", (), {"ages": ages, "pipeline": np.zeros((1, 1, 1))})
        return float(np.asarray(plan.policy(state)).item())

    # alpha = 1 - 6 / 8: 5 - 2 / 4, rounded up; 5 - 7 / 4; 11 - 8 at the threshold; 11 - 9 and one expires
    assert [order(0, 2), order(0, 7), order(4, 4), order(5, 4), order(0, 12)] == [5.0, 3.0, 3.0, 3.0, 0.0]


class Splitting:
    """Orders 5 for ever, or 2 for ever, by what its first order of 3 meets."""

    def __call__(self, state: State) -> Floats:
        old, fresh = state.ages[:, 0, 0], state.ages[:, 0, 1]
        orders = np.select([fresh == 0, fresh == 3, fresh == 1], [3.0, 1.0, 2.0 + 3 * (old > 0)], fresh)
        return np.asarray(orders[:, None])


def test_a_policy_that_ends_in_unlike_classes_of_states_has_no_cost() -> None:
    with pytest.raises(MethodError, match=r"needs a policy with one class of lasting states \(got 2\)"):
        perishable_policy_cost(store(), Splitting())


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"shelf_life": None, "scrap_cost": 0}, "a shelf life"),
        ({"stockout_rule": "backorder"}, "lost sales"),
        ({"fixed_cost": 5}, "no fixed cost per order"),
        ({"demand": Normal(mean=10, sd=2)}, "demand in whole units"),
        ({"demand": Poisson(mean=3, seasonal=(1.0, 2.0))}, "demand with the same law in every period"),
        ({"lot_size": 2}, "a network without lot_size of link 'outside -> store'"),
        ({"price": 9}, "a network without price of node 'store'"),
    ],
)
def test_every_method_names_the_rule_that_a_problem_breaks(changes: dict[str, Any], rule: str) -> None:
    for method in (perishable_optimal, perishable_base_stock, ewa, bsp_low_ew):
        with pytest.raises(MethodError) as caught:
            method(store(**changes))
        assert str(caught.value).startswith(f"{method.__name__} needs {rule}")


def test_other_problems_of_the_catalogue_are_refused() -> None:
    with pytest.raises(MethodError, match=r"^ewa needs a shelf life$"):
        ewa(make_problem("echelon/LostSales-v0"))
    with pytest.raises(MethodError, match=r"^perishable_optimal needs a single location \(got \d nodes\)$"):
        perishable_optimal(make_problem("echelon/BeerGame-v0"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"shelf_life": 0}, "shelf_life must be a whole number of at least 1, got 0"),
        ({"lead_time": 1.5}, "lead_time must be a whole number of at least 0, got 1.5"),
        ({"max_order": -1}, "max_order must be a whole number of at least 0, got -1"),
        ({"issuing": "hifo"}, "issuing must be 'fifo' or 'lifo', got 'hifo'"),
        ({"scrap_cost": -1}, "scrap_cost must be a finite number of at least 0, got -1"),
        ({"stockout_cost": 0}, "stockout_cost must be a finite number greater than 0, got 0"),
        ({"demand": Normal(mean=10, sd=2)}, "demand must be in whole units, got Normal demand"),
        ({"discount": 0}, "discount must be above 0 and at most 1, got 0"),
        ({"tolerance": 0}, "tolerance must be a finite number greater than 0, got 0"),
        (
            {"shelf_life": 4, "max_order": 6, "memory_limit": 32 * 625},
            "perishable_optimal needs 7.16e-05 GiB for 2,401 states, the limit is 1.86e-05 GiB "
            "(memory_limit, in bytes): a max_order of 4 would fit",
        ),
    ],
)
def test_bad_input_is_named(changes: dict[str, Any], message: str) -> None:
    fields: dict[str, Any] = {
        "demand": Poisson(mean=3),
        "shelf_life": 2,
        "lead_time": 1,
        "issuing": "fifo",
        "holding_cost": 1,
        "stockout_cost": 5,
        "scrap_cost": 6,
    }
    with pytest.raises(MethodError) as caught:
        perishable_optimum(**{**fields, **changes})
    assert str(caught.value) == message


def test_bad_parameters_and_limits_of_rules_are_named() -> None:
    problem, cases = store(), list[tuple[dict[str, Any], str]]()
    cases += (
        ({"level": 5}, "level, low_level and threshold must be given together, or all left to be tuned"),
        ({"level": 5, "low_level": 6, "threshold": 2}, "level must be at least 6, got 5"),
        ({"level": 5, "low_level": 3, "threshold": 0}, "threshold must be at least 1, got 0"),
    )
    for parameters, message in cases:
        with pytest.raises(MethodError) as caught:
            bsp_low_ew(problem, **parameters)
        assert str(caught.value) == message
    with pytest.raises(MethodError, match=r"perishable_policy_cost needs .* lower the levels of the policy"):
        perishable_policy_cost(problem, ewa(problem, level=8).policy, memory_limit=1e4)


def test_many_states_are_tuned_by_simulation_and_have_no_exact_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    from echelon.baselines import perishable_policies

    problem = Problem("store", store().network, periods=200, warm_up=50)
    exact = ewa(problem)
    monkeypatch.setattr(perishable_policies, "MOST_STATES", 1)
    scenarios = sample(problem.network, periods=problem.periods, replications=500, seed=0)
    simulated = ewa(problem, scenarios=scenarios)
    assert simulated.model_cost is None
    assert simulated.parameters == exact.parameters


def test_the_examples_of_the_module_hold() -> None:
    assert doctest.testmod(module).failed == 0


def test_the_law_of_the_paper_has_its_mean() -> None:
    law: Law = rounded_gamma(4.0, 2.0)
    assert PerishableStore(
        demand=law, shelf_life=2, lead_time=1, issuing="fifo", holding_cost=1, stockout_cost=5, scrap_cost=6
    ).mean_demand == pytest.approx(4.0, abs=2e-4)
