"""The position that a parametric rule goes by, worked out by hand."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, get_args

import numpy as np
import pytest

from echelon.baselines import min_max
from echelon.envs.dynamics import initial_state
from echelon.envs.errors import PolicyError
from echelon.envs.network import Network
from echelon.envs.policy import OrderUpTo, Position, order_up_to
from echelon.envs.problem import Problem
from echelon.envs.scenarios import Floats, Scenarios, sample
from echelon.envs.simulate import simulate, simulate_cost
from echelon.envs.state import State, on_backend


def shop(**options: Any) -> Network:
    """A shop with its supplier outside."""
    node = {"name": "shop", "holding_cost": 1.0, "demand": {"law": "poisson", "mean": 3.0}}
    link = {"target": "shop", "lead_time": options.pop("lead_time", 2)}
    return Network.from_dict({"nodes": [node | options], "links": [link], "units": "whole"})


def orders_of(network: Network, rule: OrderUpTo, demand: list[list[float]]) -> Floats:
    """[T, E] the orders of a rule with the demand [T][C] of every period."""
    scenarios = Scenarios(np.array(demand)[None])
    outcome = simulate(Problem("p", network, periods=len(demand), warm_up=0), rule, scenarios, trace=True, check=True)
    assert outcome.trace is not None
    return np.asarray(outcome.trace.ordered[0])


@pytest.mark.parametrize("under_way", [0.0, 6.0, 100.0])
def test_with_min_10_max_25_and_8_on_hand_the_order_is_17_whatever_is_under_way(under_way: float) -> None:
    network = shop(initial_on_hand=8.0, lead_time=3)
    state = initial_state(network, 1)
    state = replace(state, pipeline=np.array([[[under_way, 0.0, 0.0]]]))
    rule = order_up_to(network, [25.0], reorder=[10.0], position="on_hand")
    assert rule(state) == 17.0
    by_position = order_up_to(network, [25.0], reorder=[10.0])
    assert by_position(state) == (17.0 - under_way if under_way <= 2.0 else 0.0)


def test_the_rule_is_the_same_on_torch() -> None:
    torch = pytest.importorskip("torch")
    network = shop(initial_on_hand=8.0, lead_time=3)
    state = on_backend(initial_state(network, 2), torch.zeros(1, dtype=torch.float64))
    rule = order_up_to(network, [25.0], reorder=[10.0], position="on_hand")
    assert rule(state).tolist() == [[17.0], [17.0]]


def test_min_max_on_hand_orders_again_while_an_order_is_under_way() -> None:
    """Lead time 2, Min 4, Max 10, 5 on hand: the first order is placed again before it arrives.

    Day 0: 5 on hand, above Min. 3 are sold. Day 1: 2 on hand, 8 ordered. Day 2: the order is under way, 2 on hand: 8
    more. 6 are asked for, 4 wait. Day 3: the 8 arrive, 4 are left and that is Min: 6 ordered. Day 4: 8 more arrive,
    12 on hand. Day 5: 6 arrive: 18 on hand, far above Max.
    """
    network, demand = shop(initial_on_hand=5.0), [[3.0], [0.0], [6.0], [0.0], [0.0], [0.0]]
    on_hand = order_up_to(network, [10.0], reorder=[4.0], position="on_hand")
    assert orders_of(network, on_hand, demand)[:, 0].tolist() == [0.0, 8.0, 8.0, 6.0, 0.0, 0.0]
    position = order_up_to(network, [10.0], reorder=[4.0])
    assert orders_of(network, position, demand)[:, 0].tolist() == [0.0, 8.0, 0.0, 6.0, 0.0, 0.0]


def test_what_receivers_order_in_this_period_and_what_they_wait_for_is_no_longer_on_hand() -> None:
    """A depot with 10 and a shop with 6, Min = Max = 6 and lead time 1.

    Day 0: nobody orders; 5 are sold. Day 1: the shop orders 5, which leaves the depot with 5 of its Max of 9: 4
    ordered. Day 2: the 5 and the 4 have arrived: 6 and 9. 9 are asked of the shop. Day 3: -3 at the shop: 9 ordered,
    none left at the depot: 9 ordered. All of the 9 are shipped.
    """
    nodes = [
        {"name": "depot", "initial_on_hand": 10.0},
        {"name": "shop", "initial_on_hand": 6.0, "demand": {"law": "poisson", "mean": 3.0}},
    ]
    links = [{"target": "depot", "lead_time": 1}, {"source": "depot", "target": "shop", "lead_time": 1}]
    network = Network.from_dict({"nodes": nodes, "links": links, "units": "whole"})
    rule = order_up_to(network, [9.0, 6.0], position="on_hand")
    found = orders_of(network, rule, [[5.0], [0.0], [9.0], [0.0]])
    assert found.tolist() == [[0.0, 0.0], [4.0, 5.0], [0.0, 0.0], [9.0, 9.0]]


def test_components_that_wait_are_on_hand_and_those_on_order_are_not() -> None:
    """A kit of a bolt and a nut, Max 4 each. The nuts take two days longer, so that the bolts wait for them."""
    nodes = [{"name": "kit", "initial_on_hand": 0.0, "demand": {"law": "poisson", "mean": 1.0}}]
    links = [
        {"name": "bolt", "target": "kit", "component": "bolt", "lead_time": 1},
        {"name": "nut", "target": "kit", "component": "nut", "lead_time": 3},
    ]
    network = Network.from_dict({"nodes": nodes, "links": links, "units": "whole"})
    rule = order_up_to(network, [4.0, 4.0], position="on_hand")
    found = orders_of(network, rule, [[0.0]] * 4)
    assert found.tolist() == [[4.0, 4.0], [0.0, 4.0], [0.0, 4.0], [0.0, 0.0]]


def test_alternative_sources_know_what_the_ones_before_have_just_been_asked_for() -> None:
    links = [
        {"target": "shop", "component": "item", "lead_time": 2, "max_order": 4.0, "name": "near"},
        {"target": "shop", "component": "item", "lead_time": 4, "name": "far"},
    ]
    node = {"name": "shop", "initial_on_hand": 1.0, "demand": {"law": "poisson", "mean": 3.0}}
    network = Network.from_dict({"nodes": [node], "links": links, "units": "whole"})
    rule = order_up_to(network, [10.0, 10.0], position="on_hand")
    assert orders_of(network, rule, [[0.0], [0.0]]).tolist() == [[4.0, 5.0], [4.0, 5.0]]


def test_an_unknown_position_is_named() -> None:
    with pytest.raises(PolicyError, match=r"position must be one of installation, echelon, on_hand \(got 'net'\)"):
        order_up_to(shop(), [5.0], position="net")  # type: ignore[arg-type]


def test_the_state_is_not_changed_by_the_rule() -> None:
    state: State = initial_state(shop(initial_on_hand=8.0), 1)
    before = state.on_hand.copy(), state.owed.copy(), state.pipeline.copy()
    order_up_to(state.network, [25.0], position="on_hand")(state)
    for old, new in zip(before, (state.on_hand, state.owed, state.pipeline), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.parametrize("position", get_args(Position))
@pytest.mark.parametrize("fixed_cost", [0.0, 30.0])
def test_min_max_is_tuned_on_every_position(position: Position, fixed_cost: float) -> None:
    node = {"name": "shop", "holding_cost": 1.0, "stockout_cost": 9.0, "demand": {"law": "poisson", "mean": 5.0}}
    link = {"target": "shop", "lead_time": 1, "fixed_cost": fixed_cost}
    problem = Problem("p", Network.from_dict({"nodes": [node], "links": [link]}), periods=120, warm_up=20)
    scenarios = sample(problem.network, periods=120, replications=100, seed=3, stream="tuning")
    plan = min_max(problem, position=position, scenarios=scenarios)
    assert plan.parameters["position"] == position
    best = simulate_cost(problem, plan.policy, scenarios).mean()
    s, top = plan.parameters["reorder"][0], plan.parameters["up_to"][0]
    for reorder, up_to in ((s - 1, top), (s + 1, top + 1), (s, top + 1), (s - 1, top - 1)):
        rule = order_up_to(problem.network, [up_to], reorder=[min(reorder, up_to)], position=position)
        assert simulate_cost(problem, rule, scenarios).mean() >= best


def test_on_hand_and_position_agree_where_nothing_is_ever_under_way() -> None:
    network = shop(initial_on_hand=8.0, lead_time=0, stockout_cost=5.0)
    problem = Problem("p", network, periods=50, warm_up=0)
    scenarios = sample(network, periods=50, replications=20, seed=0)
    costs = [
        simulate_cost(problem, order_up_to(network, [12.0], reorder=[5.0], position=position), scenarios)
        for position in get_args(Position)
    ]
    np.testing.assert_array_equal(costs[0], costs[2])
