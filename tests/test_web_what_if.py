"""The what-if page without a browser: its numbers are those of the baselines, and they come in time."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from echelon.baselines.serial import clark_scarf_plan
from echelon.envs.catalogue import make_problem
from echelon.envs.policy import order_up_to
from echelon.envs.scenarios import sample
from echelon.envs.simulate import simulate
from echelon.experiments.web_what_if_models import CHAIN_HOLDING, MEAN, placement, serial_chain, single
from echelon.experiments.web_what_if_view import of_single

CALLS: dict[str, Callable[[], object]] = {
    "single": lambda: single(lead_time=12, sd=6, holding_cost=4, stockout_cost=60),
    "chain": lambda: serial_chain(lead_times=(8, 8, 8), sd=16, stockout_cost=60),
    "placement": lambda: placement(service_level=0.99, sd=60, brewery_time=30, promise=3),
}


def test_the_single_location_pays_what_the_engine_charges() -> None:
    found = single(lead_time=2, sd=4, holding_cost=1, stockout_cost=9)
    problem = make_problem(
        "echelon/SingleLocation-v0",
        lead_time=2,
        holding_cost=1,
        stockout_cost=9,
        fixed_cost=0,
        demand={"law": "normal", "mean": MEAN, "sd": 4},
        periods=4_000,
        warm_up=100,
    )
    policy = order_up_to(problem.network, [found.level])
    outcome = simulate(problem, policy, sample(problem.network, periods=4_000, replications=100, seed=1))
    assert float(outcome.cost.mean()) == pytest.approx(found.cost, rel=0.005)
    assert float(outcome.fill_rate.mean()) == pytest.approx(found.fill_rate, abs=0.0005)
    assert float(outcome.alpha.mean()) == pytest.approx(found.cycle_service, abs=0.002)


def test_the_stock_of_the_chain_is_where_the_engine_has_it() -> None:
    """Stock by stage and backorders are differences of costs; the engine counts them one by one."""
    found = serial_chain(lead_times=(3, 2, 1), sd=8, stockout_cost=10)
    problem = make_problem(
        "echelon/Serial-v0",
        lead_time=[3, 2, 1],
        holding_cost=list(CHAIN_HOLDING),
        stockout_cost=10,
        demand={"law": "negative_binomial", "mean": MEAN, "sd": 8},
        periods=4_000,
        warm_up=100,
    )
    plan = clark_scarf_plan(problem)
    assert tuple(plan.parameters["levels"]) == found.echelon_levels
    outcome = simulate(problem, plan.policy, sample(problem.network, periods=4_000, replications=200, seed=1))
    stock = outcome.per_period["on_hand"].mean(axis=0)
    assert stock == pytest.approx(found.on_hand, rel=0.01)
    assert outcome.per_period["backorders"].mean() == pytest.approx(found.backorders, rel=0.02)
    assert outcome.costs["holding"].sum(axis=1).mean() == pytest.approx(found.holding, rel=0.01)


def test_the_frontier_of_the_chain_goes_through_its_own_optimum() -> None:
    found = serial_chain(lead_times=(3, 2, 1), sd=8, stockout_cost=8)
    assert (found.wait, found.holding) == pytest.approx(found.frontier[3])
    waits, costs = zip(*found.frontier, strict=True)
    assert list(waits) == sorted(waits, reverse=True)
    assert list(costs) == sorted(costs)


def test_the_frontier_of_the_network_goes_through_its_own_optimum() -> None:
    found = placement(service_level=0.95, sd=20, brewery_time=8, promise=0)
    assert dict(found.frontier)[95.0] == pytest.approx(found.solution.cost)
    costs = [cost for _, cost in found.frontier]
    assert costs == sorted(costs)


def test_a_best_level_of_little_service_is_on_the_frontier_that_is_drawn() -> None:
    now = single(lead_time=12, sd=6, holding_cost=4, stockout_cost=1)
    left = of_single(now, now).left
    assert left["xAxis"]["min"] <= now.point[0] < 60
    assert left["series"][0]["data"][0][0] <= now.point[0]


def test_more_patient_customers_never_cost_more() -> None:
    costs = [placement(service_level=0.95, sd=20, brewery_time=8, promise=days).solution.cost for days in range(15)]
    assert costs == sorted(costs, reverse=True)
    assert costs[-1] < costs[0]


@pytest.mark.parametrize("name", CALLS)
def test_a_slider_is_answered_within_a_second(name: str) -> None:
    CALLS[name]()  # compiled once, when the server starts
    begun = time.perf_counter()
    CALLS[name]()
    assert time.perf_counter() - begun < 1.0
