"""Dual sourcing, perishable stock, assembly and the beer game's mail: against published and exact numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from echelon.envs.catalogue import make_problem
from echelon.envs.perishable import rounded_gamma
from echelon.envs.policy import Policy, order_up_to
from echelon.envs.problem import Problem
from echelon.envs.scenarios import Scenarios, sample
from echelon.envs.simulate import Outcome, simulate
from echelon.envs.state import State

Floats = NDArray[np.float64]

DUAL_SOURCING = [
    (2, 105, {"base surge": (4, 1), "capped": (4, 7, 2), "dual index": (4, 7), "single index": (5, 6)},
     (216.90301, 216.78239, 217.02205, 217.99996), 216.7698),
    (2, 110, {"base surge": (4, 1), "capped": (4, 8, 2), "dual index": (4, 8), "single index": (6, 8)},
     (221.903, 219.79938, 220.12529, 221.99998), 219.73333),
    (3, 105, {"base surge": (4, 1), "capped": (4, 9, 1), "dual index": (4, 8), "single index": (6, 7)},
     (216.90301, 216.87832, 217.45822, 218.99996), 216.87672),
    (3, 110, {"base surge": (4, 1), "capped": (4, 10, 2), "dual index": (4, 9), "single index": (6, 7)},
     (221.903, 220.46567, 221.13531, 224.99996), 220.34105),
]  # fmt: skip
"""Regular lead time, expedited price, heuristics and their exact average costs, optimum: instances of Gijsbrechts et
al., Manufacturing & Service Operations Management 24(3), 2022, by an independent exact program."""

PERISHABLE = [
    ("fifo", 2, 1, 7, -1457, 59, -1474, 56), ("fifo", 2, 1, 10, -1463, 60, -1485, 61),
    ("fifo", 2, 2, 10, -1469, 59, -1504, 60), ("fifo", 3, 1, 7, -1424, 56, -1435, 52),
    ("fifo", 3, 2, 7, -1435, 56, -1456, 58), ("fifo", 4, 2, 7, -1432, 55, -1453, 58),
    ("fifo", 5, 1, 10, -1422, 56, -1430, 52), ("fifo", 5, 2, 10, -1432, 55, -1453, 58),
    ("lifo", 2, 1, 7, -1553, 61, -1565, 62), ("lifo", 2, 2, 7, -1551, 62, -1590, 64),
    ("lifo", 2, 2, 10, -1569, 61, -1606, 64), ("lifo", 3, 1, 10, -1498, 61, -1512, 58),
    ("lifo", 3, 2, 7, -1513, 61, -1533, 61), ("lifo", 4, 1, 7, -1459, 56, -1476, 54),
    ("lifo", 4, 2, 10, -1489, 59, -1505, 58), ("lifo", 5, 1, 7, -1443, 55, -1454, 55),
    ("lifo", 5, 2, 10, -1467, 58, -1484, 59),
]  # fmt: skip
"""Issuing, shelf life, lead time, waste cost; mean and standard deviation of the return by value iteration, and by the
best base-stock level: De Moor, Gijsbrechts and Boute, European Journal of Operational Research 301(2), 2022."""
DISCOUNTED = (1 - 0.99**365) / 0.01
"""A return is the cost of 365 periods in the steady state, discounted at 0.99."""
ROLLOUTS = 10_000
"""Sample paths behind every published return."""


@dataclass(frozen=True)
class Index:
    """Dual-index policy (Veeraraghavan and Scheller-Wolf 2008), with the regular order capped or constant."""

    expedite_up_to: float
    order_up_to: float = np.inf
    cap: float = np.inf

    def __call__(self, state: State) -> Floats:
        lead_time = int(state.arrays.lead_time[0])
        near = state.inventory_level[:, 0] + state.in_transit[:, 0] + state.pipeline[:, 1, :lead_time].sum(axis=1)
        expedited = np.maximum(self.expedite_up_to - near, 0)
        position = state.inventory_position[:, 1] + expedited
        return np.stack([expedited, np.clip(self.order_up_to - position, 0, self.cap)], axis=1)


def heuristic(problem: Problem, name: str, levels: tuple[float, ...]) -> Policy:
    """A heuristic of the dual-sourcing table."""
    if name == "single index":
        return order_up_to(problem.network, levels)
    if name == "base surge":
        return Index(levels[0], cap=levels[1])
    return Index(*levels)


def controlled(cost: Floats, control: Floats) -> tuple[float, float]:
    """Mean of a cost [B] and its standard error, by regression on a control [B] of mean 0."""
    design = np.column_stack([np.ones_like(cost), control])
    coefficients, *_ = np.linalg.lstsq(design, cost)
    residual = cost - design @ coefficients
    return float(coefficients[0]), float(residual.std(ddof=2) / len(cost) ** 0.5)


@cache
def uniform_customers() -> Scenarios:
    """Every instance of dual sourcing has the same customers."""
    return sample(make_problem("echelon/DualSourcing-v0").network, periods=600, replications=400, seed=7)


@pytest.mark.parametrize(("lead_time", "price", "heuristics", "costs", "optimum"), DUAL_SOURCING)
def test_heuristics_for_dual_sourcing_cost_what_the_table_says(
    lead_time: int, price: float, heuristics: dict[str, Any], costs: tuple[float, ...], optimum: float
) -> None:
    problem = make_problem(
        "echelon/DualSourcing-v0", regular_lead_time=lead_time, expedited_cost=price, periods=600, warm_up=100
    )
    assert problem.reference is not None
    assert problem.reference.value == pytest.approx(optimum, abs=1e-5)
    for (name, levels), exact in zip(heuristics.items(), costs, strict=True):
        outcome = simulate(problem, heuristic(problem, name, levels), uniform_customers())
        cost, error = controlled(outcome.cost, outcome.per_period["demand"][:, 0] - 2)
        assert 3 * error < 0.003 * exact, name
        assert abs(cost - exact) < 3 * error, name


def test_the_optimum_of_dual_sourcing_scales_with_the_costs() -> None:
    scaled = {"regular_cost": 7.0, "expedited_cost": 27.0, "holding_cost": 10.0, "stockout_cost": 990.0}
    reference = make_problem("echelon/DualSourcing-v0", regular_lead_time=3, **scaled).reference
    assert reference is not None
    assert reference.value == pytest.approx(2 * 7 + 2 * (220.34105 - 200), abs=2e-5)
    for other in ({"stockout_cost": 400.0}, {"regular_lead_time": 7}, {"demand": "poisson", "demand_mean": 2.0}):
        assert make_problem("echelon/DualSourcing-v0", **other).reference is None


def test_rounded_gamma_demand_has_the_mass_between_the_halves() -> None:
    law = rounded_gamma(4.0, 2.0)
    gamma = stats.gamma(4)
    k = np.arange(len(law.values))
    np.testing.assert_array_equal(law.values, k)
    np.testing.assert_allclose(law.pmf(), gamma.cdf(k + 0.5) - gamma.cdf(k - 0.5), atol=1e-13)
    assert law.whole


def perishable(instance: tuple[Any, ...], **parameters: Any) -> Problem:
    issuing, shelf_life, lead_time, waste_cost = instance[:4]
    return make_problem(
        "echelon/Perishable-v0",
        issuing=issuing,
        shelf_life=shelf_life,
        lead_time=lead_time,
        waste_cost=float(waste_cost),
        **parameters,
    )


@cache
def hungry_customers() -> Scenarios:
    """Every instance of perishable stock has the same customers."""
    return sample(perishable(PERISHABLE[0]).network, periods=700, replications=1_000, seed=3)


@pytest.mark.parametrize("row", PERISHABLE, ids=lambda row: "-".join(map(str, row[:4])))
def test_the_best_base_stock_level_for_perishable_stock_returns_what_the_paper_prints(row: tuple[Any, ...]) -> None:
    problem = perishable(row, periods=700, warm_up=100)
    *_, published, deviation = row
    levels = range(4 * int(row[2]) - 2, 4 * int(row[2]) + 6)
    outcomes = [simulate(problem, order_up_to(problem.network, [level]), hungry_customers()) for level in levels]
    mean = problem.network.laws[0].mean_demand
    found = [controlled(outcome.cost, outcome.per_period["demand"][:, 0] - mean) for outcome in outcomes]
    cost, error = (np.array(column) * DISCOUNTED for column in zip(*found, strict=True))
    tolerance = 3 * np.hypot(error, deviation / ROLLOUTS**0.5) + 0.5
    best = int(cost.argmin())
    assert 0 < best < len(levels) - 1
    assert cost[best] < -published + tolerance[best]
    # Twice, at lead time 2 and a long life, the published level lies one below the best, at 0.2 % more.
    as_published = best - (row[0] == "fifo" and row[2] == 2 and row[1] >= 4)
    assert abs(cost[as_published] + published) < tolerance[as_published]


@pytest.mark.parametrize("row", PERISHABLE, ids=lambda row: "-".join(map(str, row[:4])))
def test_the_optimum_for_perishable_stock_is_the_return_of_value_iteration(row: tuple[Any, ...]) -> None:
    reference = perishable(row).reference
    assert reference is not None
    assert abs(reference.value * DISCOUNTED + row[4]) < 3 * row[5] / ROLLOUTS**0.5 + 0.5
    assert reference.value * DISCOUNTED < -row[6], "base-stock costs more"


def test_other_perishable_problems_know_no_optimal_cost() -> None:
    for other in ({"shelf_life": 6}, {"unit_cost": 2.0}, {"stockout_rule": "backorder"}, {"max_order": None}):
        assert make_problem("echelon/Perishable-v0", **other).reference is None
    assert make_problem("echelon/Perishable-v0", demand="poisson", demand_mean=4.0).reference is None


def run(problem: Problem, levels: Sequence[float], **options: Any) -> Outcome:
    scenarios = sample(problem.network, periods=problem.periods, replications=20, seed=4)
    return simulate(problem, order_up_to(problem.network, levels, **options), scenarios)


def test_components_with_equal_lead_times_are_one_serial_system() -> None:
    both: dict[str, Any] = {"periods": 200, "warm_up": 50, "stockout_cost": 20.0}
    made = make_problem(
        "echelon/Assembly-v0", lead_time=[3, 3], quantity=1.0, component_holding_cost=[0.5, 0.25], **both
    )
    serial = make_problem("echelon/Serial-v0", lead_time=[3, 2], holding_cost=[0.75, 2.0], **both)
    # The stages of the two problems start with different stock, which is forgotten in the warm-up.
    expected = run(serial, [22, 19]).cost
    np.testing.assert_allclose(run(made, [22, 22, 19, 19]).cost, expected, rtol=1e-12)


def test_a_component_may_be_counted_in_pairs() -> None:
    common: dict[str, Any] = {"lead_time": [4, 1], "periods": 200, "warm_up": 50}
    pairs = make_problem("echelon/Assembly-v0", quantity=[1.0, 1.0], component_holding_cost=[0.5, 0.5], **common)
    single = make_problem("echelon/Assembly-v0", quantity=[1.0, 2.0], component_holding_cost=[0.5, 0.25], **common)
    for levels in ([27, 12, 20, 20], [20, 16, 20, 20]):
        doubled = [levels[0], 2 * levels[1], levels[2], 2 * levels[3]]
        for position in ("installation", "echelon"):
            counted = run(pairs, levels, position=position).cost
            np.testing.assert_allclose(run(single, doubled, position=position).cost, counted, rtol=1e-12)


def test_the_mail_of_the_beer_game_takes_as_long_as_on_the_board() -> None:
    problem = make_problem("echelon/BeerGame-v0", periods=6)
    scenarios = sample(problem.network, periods=6, replications=1, seed=0)
    first = np.array([[5.0, 0, 0, 7.0]])
    trace = simulate(problem, lambda state: first * (state.period == 0), scenarios, trace=True).trace
    assert trace is not None
    # Production starts at once; an order is read a week later. Both then take two weeks.
    np.testing.assert_array_equal(trace.shipped[0, :, 0], [5, 0, 0, 0, 0, 0])
    np.testing.assert_array_equal(trace.shipped[0, :, 3], [0, 7, 0, 0, 0, 0])
    np.testing.assert_array_equal(trace.made[0, :, 0], [4, 5, 0, 0, 0, 0])
    np.testing.assert_array_equal(trace.made[0, :, 3], [4, 0, 7, 0, 0, 0])
    at_once = make_problem("echelon/BeerGame-v0", order_delay=0).network
    assert {link.order_delay for link in at_once.links} == {0}
