"""The fused rollout against the specification, and against itself in other blocks, threads and layouts."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echelon.envs import _fused
from echelon.envs._fused import can_fuse, pack, plain, rollout_cost
from echelon.envs._fused_plan import _comparators, plan_of
from echelon.envs.catalogue import make_problem
from echelon.envs.network import Network
from echelon.envs.policy import OrderUpTo, Position, order_up_to
from echelon.envs.problem import Problem
from echelon.envs.scenarios import Floats, Scenarios, sample
from echelon.envs.simulate import simulate

from .strategies import networks, quantities

TREES = ("serial", "distribution")


@st.composite
def rules(draw: st.DrawFn, network: Network, *, jumps: bool) -> OrderUpTo:
    """A parametric rule: with `jumps` of any kind, else base stock, capped or not."""
    count = len(network.links)

    def levels(highest: int) -> list[float]:
        level = quantities(highest, whole=network.whole_units)
        return draw(st.lists(level, min_size=count, max_size=count))

    up_to = levels(30)
    return order_up_to(
        network,
        up_to,
        reorder=[max(0.0, s - gap) for s, gap in zip(up_to, levels(8), strict=True)] if jumps else None,
        cap=levels(12) if draw(st.booleans()) else None,
        lot=levels(5) if jumps and draw(st.booleans()) else None,
        position=draw(st.sampled_from(get_args(Position))),
        review_period=draw(st.integers(1, 3)),
    )


@st.composite
def runs(draw: st.DrawFn, *, whole: bool) -> tuple[Problem, OrderUpTo]:
    """A problem on a plain network, with a warm-up, a discount or neither, and a rule that can be fused."""
    network = draw(networks(shapes=TREES, whole=whole))
    if not whole:
        links = tuple(link.model_copy(update={"fixed_cost": 0.0}) for link in network.links)
        network = network.model_copy(update={"links": links})
    periods = draw(st.integers(1, 30))
    discount = draw(st.sampled_from([1.0, 0.9]))
    warm_up = draw(st.integers(0, periods - 1)) if discount == 1.0 else 0
    problem = Problem("p", network, periods=periods, warm_up=warm_up, discount=discount)
    return problem, draw(rules(network, jumps=whole))


def specified(problem: Problem, rule: OrderUpTo, demand: Floats) -> Floats:
    """[B] the cost by the specification, step by step."""
    return simulate(problem, lambda state: rule(state), Scenarios(demand), backend="specification").cost


def fused(problem: Problem, rule: OrderUpTo, demand: Floats, **options: Any) -> Floats:
    """[B] the cost by the fused rollout."""
    assert can_fuse(problem.network, rule)
    return rollout_cost(problem.network, rule, demand, problem.weights, **options)


def demand_of(problem: Problem, replications: int) -> Floats:
    """[B, T, C]"""
    return sample(problem.network, periods=problem.periods, replications=replications, seed=1).demand


@settings(max_examples=100, deadline=None)
@given(runs(whole=True), st.integers(1, 20))
def test_costs_in_whole_units_are_those_of_the_specification(run: tuple[Problem, OrderUpTo], batch: int) -> None:
    problem, rule = run
    demand = demand_of(problem, batch)
    np.testing.assert_allclose(fused(problem, rule, demand), specified(problem, rule, demand), rtol=1e-12, atol=1e-12)


@settings(max_examples=60, deadline=None)
@given(runs(whole=False), st.integers(1, 20))
def test_costs_in_continuous_units_are_those_of_the_specification(run: tuple[Problem, OrderUpTo], batch: int) -> None:
    problem, rule = run
    demand = demand_of(problem, batch)
    np.testing.assert_allclose(fused(problem, rule, demand), specified(problem, rule, demand), rtol=1e-9, atol=1e-9)


@settings(max_examples=100, deadline=None)
@given(networks(shapes=TREES, features=True), st.data())
def test_what_can_be_fused_costs_what_the_specification_says(network: Network, data: st.DataObject) -> None:
    rule = data.draw(rules(network, jumps=True))
    if can_fuse(network, rule):
        problem = Problem("p", network, periods=10, warm_up=0)
        demand = demand_of(problem, 3)
        expected = specified(problem, rule, demand)
        np.testing.assert_allclose(rollout_cost(network, rule, demand, problem.weights), expected, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize(
    ("node", "link"),
    [
        ({"price": 1.0}, {}),
        ({"capacity": 5.0}, {}),
        ({"processing_time": 1}, {}),
        ({"shelf_life": 2}, {}),
        ({"stockout_rule": 0.5}, {}),
        ({"disruption": {"failure": 0.1, "repair": 0.5}}, {}),
        ({}, {"order_delay": 1}),
        ({}, {"capacity": 5.0}),
        ({}, {"max_order": 5.0}),
        ({}, {"lot_size": 5.0}),
        ({}, {"yield_rate": 0.9}),
        ({}, {"quantity": 2.0}),
        ({}, {"lead_time": {"values": [1, 2]}}),
    ],
)
def test_a_network_with_more_than_the_fused_rollout_knows_is_not_plain(
    node: dict[str, Any], link: dict[str, Any]
) -> None:
    def shop(node: dict[str, Any], link: dict[str, Any]) -> Network:
        demand = {"law": "poisson", "mean": 3.0}
        return Network.from_dict(
            {"nodes": [{"name": "shop", "demand": demand, **node}], "links": [{"target": "shop", **link}]}
        )

    assert plain(shop({}, {}))
    assert not plain(shop(node, link))


def warehouse(retailers: int, level: float, **options: Any) -> tuple[Problem, OrderUpTo]:
    """A warehouse with several retailers, and base-stock levels with which it is often short if its level is low."""
    problem = make_problem("echelon/OneWarehouse-v0", retailers=retailers, periods=60, warm_up=10, **options)
    return problem, order_up_to(problem.network, [level, *[9.0] * retailers])


@pytest.mark.parametrize("options", [{}, {"stockout_rule": "lost_sales"}, {"allocation": "priority"}])
@pytest.mark.parametrize(("retailers", "level"), [(2, 12.0), (20, 110.0), (20, 300.0), (37, 200.0)])
def test_a_warehouse_divides_what_it_has_as_specified(retailers: int, level: float, options: dict[str, Any]) -> None:
    problem, rule = warehouse(retailers, level, **options)
    demand = demand_of(problem, 40)
    np.testing.assert_allclose(fused(problem, rule, demand), specified(problem, rule, demand), rtol=1e-12)


def test_large_quantities_are_divided_as_specified() -> None:
    problem, _ = warehouse(3, 0.0, demand_mean=3_000.0)
    rule = order_up_to(problem.network, [15_000.0, *[6_000.0] * 3])
    demand = demand_of(problem, 40)
    np.testing.assert_allclose(fused(problem, rule, demand), specified(problem, rule, demand), rtol=1e-12)


@pytest.fixture
def precisions(monkeypatch: pytest.MonkeyPatch) -> list[type]:
    """The precisions in which the rollouts of a test run."""
    seen: list[type] = []

    def spy(structure: Any, rule: OrderUpTo, precision: Any) -> Any:
        seen.append(precision)
        return plan_of(structure, rule, precision)

    monkeypatch.setattr(_fused, "plan_of", spy)
    return seen


def test_small_whole_quantities_are_run_in_single_precision(precisions: list[type]) -> None:
    problem, rule = warehouse(20, 110.0)
    fused(problem, rule, demand_of(problem, 40))
    assert precisions == [np.float32]


@pytest.mark.parametrize(
    ("retailers", "level", "factor", "tried"),
    [
        (3, 2.0**23, 1.0, [np.float64]),  # the levels are too large
        (1, 150_000.0, 1.0, [np.float32, np.float64]),  # only the sum of what is on hand is too large
        (6, 100.0, 5_500.0, [np.float64]),  # the demand is too large
        (3, 100.0, 50_000.0, [np.float64]),  # and does not fit into two bytes
    ],
)
def test_large_whole_quantities_are_run_in_double_precision(
    precisions: list[type], retailers: int, level: float, factor: float, tried: list[type]
) -> None:
    problem, _ = warehouse(retailers, 0.0)
    rule = order_up_to(problem.network, [3 * level, *[level] * retailers])
    demand = demand_of(problem, 20) * factor
    np.testing.assert_allclose(fused(problem, rule, demand), specified(problem, rule, demand), rtol=1e-12)
    assert precisions == tried


def test_discounted_costs_are_run_in_double_precision(precisions: list[type]) -> None:
    network = warehouse(3, 12.0)[0].network
    problem = Problem("p", network, periods=60, warm_up=0, discount=0.95)
    rule = order_up_to(network, [12.0, 9.0, 9.0, 9.0])
    demand = demand_of(problem, 20)
    np.testing.assert_allclose(fused(problem, rule, demand), specified(problem, rule, demand), rtol=1e-12)
    assert precisions == [np.float64]


def test_demand_that_is_not_whole_is_not_rounded() -> None:
    law = {"law": "poisson", "mean": 1.0}
    shop = {"name": "shop", "holding_cost": 1.0, "initial_on_hand": 10.0, "demand": law}
    network = Network.from_dict({"nodes": [shop], "links": [{"target": "shop", "lead_time": 1}]})
    cost = rollout_cost(network, order_up_to(network, [0.0]), np.full((1, 3, 1), 0.25), np.ones(3))
    assert cost == 9.75 + 9.5 + 9.25


@pytest.mark.parametrize("discount", [1.0, 0.95])
@pytest.mark.parametrize("position", ["installation", "echelon"])
def test_neither_threads_nor_blocks_nor_layout_change_a_bit(discount: float, position: Any) -> None:
    network = warehouse(20, 110.0)[0].network
    problem = Problem("p", network, periods=40, warm_up=0, discount=discount)
    rule = order_up_to(network, [110.0 if position == "installation" else 290.0, *[9.0] * 20], position=position)
    demand = demand_of(problem, 1_000)
    cost = fused(problem, rule, demand)
    for threads in (2, 3):
        np.testing.assert_array_equal(fused(problem, rule, demand, threads=threads), cost)
    np.testing.assert_array_equal(
        np.concatenate([fused(problem, rule, demand[:7]), fused(problem, rule, demand[7:])]), cost
    )
    np.testing.assert_array_equal(fused(problem, rule, np.ascontiguousarray(demand)), cost)
    np.testing.assert_array_equal(fused(problem, rule, np.asfortranarray(demand)), cost)
    np.testing.assert_array_equal(fused(problem, rule, demand[::-1])[::-1], cost)
    np.testing.assert_array_equal(rollout_cost(network, rule, pack(demand), problem.weights), cost)


@pytest.mark.parametrize("count", range(1, 13))
def test_the_sorting_network_sorts_zeros_and_ones_and_so_everything(count: int) -> None:
    rows = (np.arange(2**count) >> np.arange(count)[:, None]) & 1
    for high, low in _comparators(count):
        rows[[high, low]] = np.maximum(rows[high], rows[low]), np.minimum(rows[high], rows[low])
    assert (np.diff(rows, axis=0) <= 0).all()
