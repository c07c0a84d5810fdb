"""Numbers that are not finite stop a run, and the message says of what, where and when they were the first."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from echelon.envs import finite, make_problem, order_up_to, sample
from echelon.envs.errors import PolicyError
from echelon.envs.node_outcome import simulate_nodes
from echelon.envs.problem import Problem
from echelon.envs.scenarios import Scenarios
from echelon.envs.simulate import simulate, simulate_cost, simulate_stream
from echelon.envs.vector_env import NetworkVectorEnv

WAYS: dict[str, Callable[[Problem, Any, Scenarios], Any]] = {
    "compiled rollout": simulate,
    "specification": lambda problem, rule, drawn: simulate(problem, rule, drawn, backend="specification"),
    "stepped": lambda problem, rule, drawn: simulate(problem, lambda state: rule(state), drawn),
    "with a trace": lambda problem, rule, drawn: simulate(problem, rule, drawn, trace=True),
    "two threads": lambda problem, rule, drawn: simulate(problem, rule, drawn, threads=2),
    "cost only": simulate_cost,
    "by node": simulate_nodes,
}

pytestmark = pytest.mark.filterwarnings("ignore:(overflow|invalid value) encountered")


def shop(*, warm_up: int = 10, **parameters: Any) -> Problem:
    return make_problem("echelon/LostSales-v0", lead_time=1, periods=60, warm_up=warm_up, **parameters)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("level", [1.7e308, 1e307, 9e306])
def test_the_period_is_the_one_whose_stock_makes_the_sum_too_large(way: str, level: float) -> None:
    """From period 1 on the stock is the level, and it counts from period 10 on: so many of them are a number."""
    problem = shop()
    drawn = sample(problem.network, periods=60, replications=3, seed=0)
    period = problem.warm_up + math.floor(sys.float_info.max / level)
    with pytest.raises(PolicyError) as caught:
        WAYS[way](problem, order_up_to(problem.network, [level]), drawn)
    assert str(caught.value) == (
        f"what a policy leads to must be finite, got inf for on_hand at 'store' in period {period}, replication 0; "
        "its orders may be too large"
    )


@pytest.mark.parametrize("id_", ["echelon/Serial-v0", "echelon/OneWarehouse-v0", "echelon/BeerGame-v0"])
def test_every_way_names_the_same_place_and_period(id_: str) -> None:
    problem = make_problem(id_, periods=30)
    rule = order_up_to(problem.network, [1e307] * len(problem.network.links))
    drawn = sample(problem.network, periods=30, replications=3, seed=0)
    told = set()
    for run in WAYS.values():
        with pytest.raises(PolicyError, match=r"at '.*' in period \d+, replication 0") as caught:
            run(problem, rule, drawn)
        told.add(str(caught.value))
    assert len(told) == 1


def ordered_once(state: Any) -> np.ndarray:
    """Stock for a start, and one absurd order once anything has been sold."""
    position = state.inventory_position
    return np.asarray(np.where(position < 10, 1.7e308 if state.period else 10.0 - position, 0.0))


def drawn_for_one(replication: int) -> Scenarios:
    """Demand for one unit in period 5 of one replication."""
    demand = np.zeros((6, 60, 1))
    demand[replication, 5, 0] = 1.0
    return Scenarios(demand)


@pytest.mark.parametrize("backend", ["compiled", "specification"])
@pytest.mark.parametrize("replication", [0, 3, 5])
def test_the_replication_is_the_one_that_breaks(backend: Any, replication: int) -> None:
    """It sells in period 5, orders in 6 and has the stock in 7; two such stocks are too many."""
    words = f"got inf for on_hand at 'store' in period 8, replication {replication};"
    with pytest.raises(PolicyError, match=words):
        simulate(shop(warm_up=0), ordered_once, drawn_for_one(replication), backend=backend)


@pytest.mark.parametrize("way", WAYS)
def test_a_cost_that_is_too_large_is_named_though_every_quantity_is_finite(way: str) -> None:
    problem = shop(warm_up=0, holding_cost=1e300)
    drawn = sample(problem.network, periods=60, replications=3, seed=0)
    with pytest.raises(PolicyError, match=r"got inf for the cost 'holding' at 'store' in period 1, replication 0"):
        WAYS[way](problem, order_up_to(problem.network, [1e12]), drawn)


def test_costs_that_are_too_large_only_together_are_told_too() -> None:
    """Without demand the chain pays for 25 units in period 0, and for 60 from then on, at most 30 in one place."""
    problem = make_problem("echelon/Serial-v0", lead_time=[1, 1], holding_cost=[4e306, 4e306], periods=60, warm_up=0)
    with pytest.raises(PolicyError, match="got inf for the whole cost in period 1, replication 0"):
        simulate(problem, order_up_to(problem.network, [30, 30]), Scenarios(np.zeros((2, 60, 1))))


def test_parts_of_a_stream_say_where_they_begin_to_count() -> None:
    problem = shop()
    rule = order_up_to(problem.network, [1.7e308])
    with pytest.raises(PolicyError, match=r"replication 0; its orders may be too large \(counted from replication 7\)"):
        simulate_stream(problem, rule, replications=range(7, 9), seed=0)
    with pytest.raises(PolicyError, match=r"its orders may be too large$"):
        simulate_stream(problem, rule, replications=2, seed=0)


def test_a_policy_that_cannot_be_asked_about_one_replication_hides_nothing() -> None:
    def by_row(state: Any) -> np.ndarray:
        orders = np.zeros((state.batch, 1))
        orders[3, 0] = 1.7e308
        return orders

    with pytest.raises(PolicyError, match=r"got inf for on_hand at 'store' in replication 3;"):
        simulate(shop(), by_row, sample(shop().network, periods=60, replications=5, seed=0))


def test_a_run_whose_numbers_are_finite_is_not_run_again(monkeypatch: pytest.MonkeyPatch) -> None:
    problem, asked = shop(), []
    rule = order_up_to(problem.network, [20.0])
    monkeypatch.setattr(finite, "_beginning", lambda *_: pytest.fail("it was run again"))

    def counting(state: Any) -> Any:
        asked.append(state.period)
        return rule(state)

    drawn = sample(problem.network, periods=60, replications=3, seed=0)
    for run in WAYS.values():
        run(problem, rule, drawn)
    simulate(problem, counting, drawn)
    assert asked == list(range(60))


@pytest.mark.parametrize(
    ("action", "decision"), [("continuous", "orders"), ("continuous", "levels"), ("discrete", "orders")]
)
def test_an_action_that_is_no_number_stops_with_the_link_the_period_and_the_environment(
    action: Any, decision: Any
) -> None:
    environment = NetworkVectorEnv(make_problem("echelon/Serial-v0"), 4, action=action, decision=decision)
    environment.reset(seed=0)
    links = [link.label for link in environment.problem.network.links]
    actions = np.zeros((4, len(links)))
    for _ in range(3):
        environment.step(actions)
    actions[2, 1] = np.nan
    with pytest.raises(ValueError, match=f"got nan on link {links[1]} in period 3, environment 2"):
        environment.step(actions)
