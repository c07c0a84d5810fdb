"""(s, S) at the top of a serial system: against brute force, dynamic programming, published rows and simulation."""

from __future__ import annotations

import doctest
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from echelon.baselines import serial_min_max as module
from echelon.baselines.newsvendor import newsvendor
from echelon.baselines.renewal_reward import best_min_max, renewal_reward_cost
from echelon.baselines.serial import clark_scarf, clark_scarf_plan, serial_cost
from echelon.baselines.serial_min_max import serial_min_max, serial_min_max_plan
from echelon.baselines.serial_recursion import cost_to_go
from echelon.baselines.serial_system import serial_system
from echelon.envs.catalogue import make_problem
from echelon.envs.demand import Deterministic, DiscreteUniform, Empirical, Geometric, Law, Normal, Poisson
from echelon.envs.errors import MethodError
from echelon.envs.network import Network
from echelon.envs.problem import Problem
from echelon.envs.scenarios import sample
from echelon.envs.simulate import simulate_cost

Floats = NDArray[np.float64]

# Zheng & Federgruen (1991), Operations Research 39(4), numerical table: Poisson demand of the given mean, fixed
# cost 64, holding cost 1, stockout cost 9, no lead time. s, S and the cost, recomputed by brute force.
ZHENG_FEDERGRUEN = [
    (10, 6, 40, 35.0215552723),
    (15, 10, 49, 42.6978189226),
    (21, 15, 65, 50.4060198929),
    (22, 16, 68, 51.6323007771),
    (24, 18, 54, 53.5178648088),
    (25, 19, 56, 54.2621667186),
    (35, 28, 77, 61.2154790477),
    (40, 33, 87, 64.5118470979),
]


@pytest.mark.parametrize(("mean", "reorder", "up_to", "cost"), ZHENG_FEDERGRUEN)
def test_one_stage_gives_the_rows_of_zheng_and_federgruen(mean: int, reorder: int, up_to: int, cost: float) -> None:
    best = serial_min_max(
        echelon_holding_cost=[1], lead_time=[0], stockout_cost=9, demand=Poisson(mean=mean), fixed_cost=64
    )
    assert (best.reorder, best.echelon_up_to) == (reorder, (up_to,))
    assert best.cost == pytest.approx(cost, rel=1e-10)


def stationary_cost(rates: Floats, pmf: Floats, reorder: int, up_to: int, fixed_cost: float) -> float:
    """Cost of an (s, S) policy from the stationary law of the position after ordering; G at s + 1, ..., S."""
    states = np.arange(reorder + 1, up_to + 1)
    move = np.zeros((len(states), len(states)))
    orders = np.zeros(len(states))
    for i, y in enumerate(states):
        for d, probability in enumerate(pmf):
            ordering = y - d <= reorder
            move[i, -1 if ordering else i - d] += probability
            orders[i] += probability * ordering
    balance = np.vstack([move.T - np.eye(len(states)), np.ones(len(states))])
    law = np.linalg.lstsq(balance, np.append(np.zeros(len(states)), 1.0), rcond=None)[0]
    return float(law @ (rates + fixed_cost * orders))


PMF = np.array([0.3, 0.0, 0.25, 0.2, 0.15, 0.1])


def rate(y: Floats) -> Floats:
    """A cost rate that is neither convex nor symmetric, but falls to a minimum at 4 and rises after it."""
    return np.where(y < 4, np.sqrt(np.abs(y - 4)) * 5, 0.4 * np.maximum(y - 4, 0) ** 1.3) + 2.0


def test_the_price_of_given_levels_is_that_of_the_stationary_law() -> None:
    for reorder, up_to, fixed_cost in [(0, 1, 7.0), (-3, 9, 20.0), (2, 17, 0.0), (4, 8, 3.5)]:
        rates = rate(np.arange(reorder + 1.0, up_to + 1))
        exact = stationary_cost(rates, PMF, reorder, up_to, fixed_cost)
        assert renewal_reward_cost(rate, PMF, reorder=reorder, up_to=up_to, fixed_cost=fixed_cost) == pytest.approx(
            exact, rel=1e-10
        )


@pytest.mark.parametrize("fixed_cost", [0.0, 0.7, 4.0, 15.0])
def test_the_search_finds_the_best_of_all_levels(fixed_cost: float) -> None:
    found = best_min_max(rate, PMF, fixed_cost=fixed_cost, start=-30)
    every = {
        (s, up_to): renewal_reward_cost(rate, PMF, reorder=s, up_to=up_to, fixed_cost=fixed_cost)
        for s, up_to in product(range(-16, 8), range(-15, 40))
        if s < up_to
    }
    assert found.cost == pytest.approx(min(every.values()), rel=1e-12)
    assert every[found.reorder, found.up_to] == pytest.approx(found.cost, rel=1e-12)


def test_what_the_search_cannot_use_is_named() -> None:
    with pytest.raises(MethodError, match="reorder must be below up_to = 3, got 3"):
        renewal_reward_cost(rate, PMF, reorder=3, up_to=3, fixed_cost=1)
    with pytest.raises(MethodError, match="fixed_cost must be a finite number of at least 0, got -1"):
        best_min_max(rate, PMF, fixed_cost=-1)
    with pytest.raises(MethodError, match=r"demand must be probabilities of 0, 1, 2, \.\.\. units that sum to 1"):
        best_min_max(rate, [0.5, 0.4], fixed_cost=1)
    with pytest.raises(MethodError, match="with some of it above 0"):
        best_min_max(rate, [1.0], fixed_cost=1)
    for never_rises in (lambda y: -y, lambda y: np.maximum(-y, 0.0)):
        with pytest.raises(MethodError, match="the cost rate must rise on both sides of its minimum"):
            best_min_max(never_rises, PMF, fixed_cost=1)


CHAINS: dict[str, dict[str, Any]] = {
    "poisson": {"echelon_holding_cost": [1, 0.5], "lead_time": [2, 1], "stockout_cost": 12, "demand": Poisson(mean=3)},
    "geometric": {
        "echelon_holding_cost": [1, 0.5, 2],
        "lead_time": [0, 3, 1],
        "stockout_cost": 20,
        "demand": Geometric(mean=4),
    },
    "a stage that adds no value": {
        "echelon_holding_cost": [0, 1],
        "lead_time": [1, 1],
        "stockout_cost": 9,
        "demand": DiscreteUniform(low=0, high=6),
    },
    "lumpy": {
        "echelon_holding_cost": [0.4, 1],
        "lead_time": [0, 2],
        "stockout_cost": 15,
        "demand": Empirical(values=(0, 0, 0, 7, 11)),
    },
    "certain": {
        "echelon_holding_cost": [1, 1],
        "lead_time": [1, 2],
        "stockout_cost": 10,
        "demand": Deterministic(values=(4,)),
    },
}


@pytest.mark.parametrize("name", CHAINS)
def test_without_a_fixed_cost_the_policy_is_that_of_clark_and_scarf(name: str) -> None:
    free, best = serial_min_max(**CHAINS[name], fixed_cost=0), clark_scarf(**CHAINS[name])
    assert free.cost == pytest.approx(best.cost, rel=1e-12)
    assert free.echelon_up_to == best.echelon_base_stock
    assert free.reorder == best.echelon_base_stock[-1] - 1


@pytest.mark.parametrize("name", CHAINS)
def test_the_cost_to_go_is_that_of_the_levels_below_with_any_position_at_the_top(name: str) -> None:
    chain = CHAINS[name]
    system = serial_system(chain["echelon_holding_cost"], chain["lead_time"], chain["stockout_cost"], chain["demand"],
                           "periodic")  # fmt: skip
    to_go = cost_to_go(system)
    for y in (-300, -1, 0, 7, 13, 20, 33, 80, 900):
        levels = [min(level, 1e3) for level in to_go.levels_below]
        priced = serial_cost([*levels, y], **chain)
        assert to_go(np.array([float(y)]))[0] == pytest.approx(priced, rel=1e-10)


@pytest.mark.parametrize("fixed_cost", [5.0, 60.0])
@pytest.mark.parametrize("demand", [Poisson(mean=4), DiscreteUniform(low=0, high=9)], ids=repr)
def test_one_stage_equals_the_best_of_all_levels_by_brute_force(demand: Law, fixed_cost: float) -> None:
    best = serial_min_max(
        echelon_holding_cost=[1], lead_time=[2], stockout_cost=8, demand=demand, fixed_cost=fixed_cost
    )
    rates = {y: newsvendor(demand=demand, holding_cost=1, stockout_cost=8, lead_time=2, level=y).cost
             for y in range(-5, 75)}  # fmt: skip
    pmf = demand.pmf() if isinstance(demand, DiscreteUniform) else stats.poisson.pmf(np.arange(40), 4)
    s_best, up_to_best = int(best.reorder), int(best.echelon_up_to[0])
    around = product(range(s_best - 3, s_best + 4), range(up_to_best - 6, up_to_best + 7))
    costs = {
        (s, up_to): stationary_cost(
            np.array([rates[y] for y in range(s + 1, up_to + 1)]), pmf / pmf.sum(), s, up_to, fixed_cost
        )
        for s, up_to in around
        if s < up_to
    }
    assert min(costs, key=lambda pair: costs[pair]) == (s_best, up_to_best)
    assert min(costs.values()) == pytest.approx(best.cost, rel=1e-9)


def optimal_cost_of_two_stages(
    h: tuple[float, float], p: float, fixed_cost: float, demand: dict[int, float], *, deepest: int, most: int
) -> float:
    """Least average cost of two stages with lead times of 1 over all policies, by value iteration over all states.

    A state is the stock of stage 2 and the net stock of stage 1 at the review, local holding costs are h.
    """
    stock, net = np.arange(most + 1), np.arange(-deepest, most + 1)
    outlay = sum(q * (h[0] * np.maximum(net - d, 0) + p * np.maximum(d - net, 0)) for d, q in demand.items())
    values = np.zeros((len(stock), len(net)))
    while True:
        after = [q * values[:, np.maximum(np.arange(len(net)) - d, 0)] for d, q in demand.items()]
        following = np.sum(after, axis=0)
        ordered = np.array([
            np.minimum(following[left], fixed_cost + following[left:].min(axis=0)) for left in stock
        ])  # fmt: skip
        best = np.full(values.shape, np.inf)
        for i, sent in product(stock, stock):
            if sent <= i:
                to = np.full(len(net), np.inf)
                to[: len(net) - sent] = ordered[i - sent, sent:]
                best[i] = np.minimum(best[i], outlay + h[1] * (i - sent) + to)
        change = best - values
        values = best - best[0, deepest]
        if np.ptp(change) < 1e-8:
            return float(change.mean())


@pytest.mark.parametrize("fixed_cost", [0.0, 3.0, 12.0])
def test_no_policy_of_any_form_costs_less(fixed_cost: float) -> None:
    demand = {0: 0.5, 1: 0.2, 3: 0.3}
    history = Empirical(values=(0, 0, 0, 0, 0, 1, 1, 3, 3, 3))
    best = optimal_cost_of_two_stages((2.0, 0.8), 9.0, fixed_cost, demand, deepest=14, most=20)
    plan = serial_min_max_plan(two_stages(fixed_cost, history))
    assert plan.model_cost == pytest.approx(best, rel=1e-8)
    assert max(plan.parameters["up_to"]) < 20


def two_stages(outside: float, demand: Law, **link: Any) -> Problem:
    nodes = [
        {"name": "depot", "holding_cost": 0.8},
        {"name": "store", "holding_cost": 2.0, "stockout_cost": 9.0, "demand": demand},
    ]
    links = [
        {"target": "depot", "lead_time": 1, "fixed_cost": outside},
        {"source": "depot", "target": "store", "lead_time": 1, **link},
    ]
    return Problem("two stages", Network.from_dict({"nodes": nodes, "links": links}), periods=2_100, warm_up=100)


PRICED = {
    "two stages": two_stages(40.0, Poisson(mean=5), transit_holding_cost=0.9, unit_cost=2.0),
    "lumpy demand": two_stages(25.0, Empirical(values=(0, 0, 0, 0, 9, 2))),
}


@pytest.mark.parametrize("name", PRICED)
def test_the_simulated_cost_is_that_of_the_model(name: str) -> None:
    problem = PRICED[name]
    plan = serial_min_max_plan(problem)
    scenarios = sample(problem.network, periods=problem.periods, replications=4_000, seed=5)
    costs = simulate_cost(problem, plan.policy, scenarios)
    standard_error = float(costs.std(ddof=1)) / len(costs) ** 0.5
    assert plan.optimal
    assert plan.model_cost is not None
    assert standard_error < 1e-3 * plan.model_cost
    assert abs(costs.mean() - plan.model_cost) < 3 * standard_error


def test_a_network_without_fixed_cost_has_the_plan_of_clark_and_scarf() -> None:
    problem = make_problem("echelon/Serial-v0")
    plan, best = serial_min_max_plan(problem), clark_scarf_plan(problem)
    assert plan.model_cost == pytest.approx(best.model_cost, rel=1e-12)
    assert plan.parameters["up_to"] == best.parameters["levels"]


@settings(max_examples=20)
@given(
    fixed_cost=st.floats(0, 300),
    more=st.floats(0.1, 300),
    stockout=st.floats(2, 50),
    above=st.floats(0.1, 3),
    lead_time=st.integers(0, 4),
)
def test_a_dearer_order_raises_the_cost_by_at_most_its_price_and_widens_the_gap(
    fixed_cost: float, more: float, stockout: float, above: float, lead_time: int
) -> None:
    chain: dict[str, Any] = {
        "echelon_holding_cost": [1, above],
        "lead_time": [1, lead_time],
        "stockout_cost": stockout,
        "demand": Poisson(mean=3),
    }
    less = serial_min_max(**chain, fixed_cost=fixed_cost)
    dear = serial_min_max(**chain, fixed_cost=fixed_cost + more)
    assert less.cost <= dear.cost <= less.cost + more
    assert dear.reorder <= less.reorder
    assert dear.echelon_up_to[-1] >= less.echelon_up_to[-1]
    assert dear.echelon_up_to[:-1] == less.echelon_up_to[:-1]


def test_what_the_theory_does_not_cover_is_named() -> None:
    chain: dict[str, Any] = {"echelon_holding_cost": [1], "lead_time": [1], "stockout_cost": 9}
    with pytest.raises(MethodError, match="demand must come in whole units, got Normal demand"):
        serial_min_max(**chain, demand=Normal(mean=20, sd=4), fixed_cost=5)
    with pytest.raises(MethodError, match="fixed_cost must be a finite number of at least 0, got -1"):
        serial_min_max(**chain, demand=Poisson(mean=5), fixed_cost=-1)
    with pytest.raises(MethodError, match="demand must be above 0 at times, got a mean of 0"):
        serial_min_max(**chain, demand=Deterministic(values=(0,)), fixed_cost=1)


REFUSED: dict[str, tuple[Problem, str]] = {
    "fixed cost below": (two_stages(5.0, Poisson(mean=5), fixed_cost=1.0), "a fixed cost on no link but that from "
                         "outside"),
    "demand that is not whole": (two_stages(5.0, Normal(mean=20, sd=4)), "demand in whole units"),
    "no demand": (two_stages(5.0, Deterministic(values=(0,))), "demand that is not always 0"),
    "not serial": (make_problem("echelon/OneWarehouse-v0"), "a serial network: one link into and at most one out of "
                   "every node, one outlet"),
    "lost sales": (make_problem("echelon/LostSales-v0"), "backorders at every outlet"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_the_plan_names_the_rule_that_a_network_breaks(name: str) -> None:
    problem, rule = REFUSED[name]
    with pytest.raises(MethodError) as error:
        serial_min_max_plan(problem)
    assert str(error.value) == f"serial_min_max needs {rule}"


def test_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(module).failed == 0
