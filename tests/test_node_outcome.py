"""Cost and service of every node: the fused rollout against the trace, and against work by hand."""

from __future__ import annotations

from dataclasses import fields
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echelon.envs import _fused, node_outcome
from echelon.envs.catalogue import make_problem
from echelon.envs.network import Network
from echelon.envs.node_outcome import NodeOutcome, simulate_nodes
from echelon.envs.policy import OrderUpTo, order_up_to
from echelon.envs.problem import Problem
from echelon.envs.scenarios import Scenarios, sample
from echelon.envs.simulate import simulate

from .strategies import networks
from .test_fused import rules, runs, warehouse

BY_NODE = [field.name for field in fields(NodeOutcome)]


def traced(problem: Problem, policy: Any, scenarios: Scenarios) -> NodeOutcome:
    """The definition of every quantity, on the specification."""
    outcome = simulate(problem, lambda state: policy(state), scenarios, backend="specification", trace=True)
    return node_outcome.node_outcome(outcome)


def assert_equal(found: NodeOutcome, expected: NodeOutcome) -> None:
    for name in BY_NODE:
        one, other = getattr(found, name), getattr(expected, name)
        np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12, err_msg=name)
        assert one.shape == other.shape


@pytest.fixture
def only_fused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the way over the trace."""
    monkeypatch.delattr(node_outcome, "_traced")


@pytest.fixture
def only_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither over the trace nor over the fused rollout."""
    monkeypatch.delattr(node_outcome, "_traced")
    monkeypatch.delattr(_fused, "rollout_nodes")


@settings(max_examples=50, deadline=None)
@given(runs(whole=True), st.integers(1, 20))
def test_the_fused_rollout_tells_of_every_node_what_the_trace_tells(run: tuple[Problem, OrderUpTo], batch: int) -> None:
    problem, rule = run
    scenarios = sample(problem.network, periods=problem.periods, replications=batch, seed=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.delattr(node_outcome, "_traced")
        found = simulate_nodes(problem, rule, scenarios)
    assert_equal(found, traced(problem, rule, scenarios))
    np.testing.assert_allclose(found.node_cost.sum(axis=1), found.cost, rtol=1e-12)
    assert (found.failed_cycles <= found.cycles).all()
    assert ((found.filled >= 0) & (found.filled <= found.asked)).all()


@settings(max_examples=40, deadline=None)
@given(networks(features=True), st.data())
def test_networks_and_units_of_every_kind_have_an_outcome_by_node(network: Network, data: st.DataObject) -> None:
    rule = data.draw(rules(network, jumps=True))
    discount, warm_up = data.draw(st.sampled_from([(1.0, 0), (1.0, 4), (0.9, 0)]))
    problem = Problem("p", network, periods=12, warm_up=warm_up, discount=discount)
    scenarios = sample(network, periods=12, replications=3, seed=1)
    found, expected = simulate_nodes(problem, rule, scenarios), traced(problem, rule, scenarios)
    for name in BY_NODE:
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-9, atol=1e-9, err_msg=name)


@pytest.mark.usefixtures("only_fused")
@pytest.mark.parametrize("options", [{}, {"stockout_rule": "lost_sales"}, {"allocation": "priority"}])
@pytest.mark.parametrize(("retailers", "level"), [(2, 12.0), (20, 110.0), (37, 200.0)])
def test_a_warehouse_that_is_often_short_has_the_service_of_the_trace(
    retailers: int, level: float, options: dict[str, Any]
) -> None:
    problem, rule = warehouse(retailers, level, **options)
    scenarios = sample(problem.network, periods=problem.periods, replications=40, seed=1)
    found = simulate_nodes(problem, rule, scenarios)
    assert_equal(found, traced(problem, rule, scenarios))
    assert found.stockout[:, 0].mean() > 0.1


@pytest.mark.usefixtures("only_fused")
@pytest.mark.parametrize("discount", [1.0, 0.95])
def test_neither_threads_nor_blocks_change_a_bit_of_the_outcome_by_node(discount: float) -> None:
    network = warehouse(20, 110.0)[0].network
    problem = Problem("p", network, periods=40, warm_up=0, discount=discount)
    rule = order_up_to(network, [110.0, *[9.0] * 20])
    scenarios = sample(network, periods=40, replications=1_000, seed=1)
    found = simulate_nodes(problem, rule, scenarios)
    parts = [simulate_nodes(problem, rule, scenarios[part]) for part in (slice(0, 7), slice(7, 1_000))]
    for name in BY_NODE:
        for threads in (2, 3):
            again = simulate_nodes(problem, rule, scenarios, threads=threads)
            np.testing.assert_array_equal(getattr(again, name), getattr(found, name))
        together = np.concatenate([getattr(part, name) for part in parts])
        np.testing.assert_array_equal(together, getattr(found, name))


@pytest.mark.usefixtures("only_fused")
def test_large_quantities_are_counted_in_double_precision() -> None:
    problem, _ = warehouse(3, 0.0)
    rule = order_up_to(problem.network, [2.0**23, *[2.0**22] * 3])
    scenarios = sample(problem.network, periods=problem.periods, replications=10, seed=1)
    assert_equal(simulate_nodes(problem, rule, scenarios), traced(problem, rule, scenarios))


@pytest.mark.parametrize(
    ("node", "link"),
    [
        ({"capacity": 5.0}, {}),
        ({"processing_time": 1}, {}),
        ({"stockout_rule": 0.5}, {}),
        ({}, {"lead_time": {"values": [1, 2]}}),
        ({}, {"quantity": 2.0}),
    ],
)
@pytest.mark.usefixtures("only_compiled")
def test_what_the_fused_rollout_does_not_know_the_other_compiled_one_knows(
    node: dict[str, Any], link: dict[str, Any]
) -> None:
    demand = {"law": "poisson", "mean": 3.0}
    described = {"nodes": [{"name": "shop", "demand": demand, **node}], "links": [{"target": "shop", **link}]}
    problem = Problem("p", Network.from_dict(described), periods=20, warm_up=5)
    rule = order_up_to(problem.network, [12.0], reorder=[6.0])
    scenarios = sample(problem.network, periods=20, replications=5, seed=1)
    assert_equal(simulate_nodes(problem, rule, scenarios), traced(problem, rule, scenarios))


@pytest.mark.parametrize("spread", [0, 1])
def test_random_lead_times_and_threads_do_not_need_the_trace(spread: int, request: pytest.FixtureRequest) -> None:
    request.getfixturevalue("only_compiled" if spread else "only_fused")
    problem = make_problem("echelon/MinMaxCase-v0", lead_time_spread=spread)
    rule = order_up_to(problem.network, HIGHEST, reorder=LOWEST)
    scenarios = sample(problem.network, periods=problem.periods, replications=300, seed=1)
    found = simulate_nodes(problem, rule, scenarios, threads=2)
    assert_equal(simulate_nodes(problem, rule, scenarios[:20]), traced(problem, rule, scenarios[:20]))
    for name in BY_NODE:
        np.testing.assert_array_equal(
            getattr(found, name)[:20], getattr(simulate_nodes(problem, rule, scenarios[:20]), name)
        )


def test_policies_that_are_not_parametric_go_by_the_trace() -> None:
    problem, rule = warehouse(3, 20.0)
    scenarios = sample(problem.network, periods=problem.periods, replications=10, seed=1)
    assert_equal(
        simulate_nodes(problem, lambda state: rule(state), scenarios), simulate_nodes(problem, rule, scenarios)
    )


def by_hand(network: Network, rule: OrderUpTo, demand: list[list[float]]) -> NodeOutcome:
    """One replication with the demand [T][C] of every period; all of them count."""
    problem = Problem("p", network, periods=len(demand), warm_up=0)
    return simulate_nodes(problem, rule, Scenarios(np.array(demand)[None]))


@pytest.mark.usefixtures("only_fused")
def test_a_depot_that_is_short_fills_part_of_what_its_receivers_order() -> None:
    """A depot with 9 and no supply, two shops with 10 and a base-stock level of 10, lead time 1.

    Day 0: 6 are sold in each shop. Day 1: each orders 6; the depot ships 5 and 4 and owes 1 and 2. Day 2: 5 and 4
    arrive; the depot still owes 3, of old orders.
    """
    shop = {"holding_cost": 2.0, "initial_on_hand": 10.0, "demand": {"law": "poisson", "mean": 3.0}}
    nodes = [
        {"name": "depot", "holding_cost": 1.0, "initial_on_hand": 9.0},
        {"name": "a", **shop},
        {"name": "b", **shop},
    ]
    into = {"lead_time": 1, "unit_cost": 0.5, "fixed_cost": 3.0}
    links = [{"target": "depot"}, *({"source": "depot", "target": name, **into} for name in "ab")]
    network = Network.from_dict({"nodes": nodes, "links": links, "units": "whole"})
    rule = order_up_to(network, [0.0, 10.0, 10.0], cap=[0.0, np.inf, np.inf])
    found = by_hand(network, rule, [[6.0, 6.0], [0.0, 0.0], [0.0, 0.0]])
    np.testing.assert_allclose(3 * found.asked, [[12.0, 6.0, 6.0]])
    np.testing.assert_allclose(3 * found.filled, [[9.0, 6.0, 6.0]])
    np.testing.assert_allclose(3 * found.stockout, [[2.0, 0.0, 0.0]])
    np.testing.assert_allclose(3 * found.on_hand, [[9.0, 4.0 + 4.0 + 9.0, 4.0 + 4.0 + 8.0]])
    np.testing.assert_allclose(3 * found.node_cost, [[9.0, 34.0 + 2.5 + 3.0, 32.0 + 2.0 + 3.0]])
    np.testing.assert_allclose(3 * found.cost, [9.0 + 39.5 + 37.0])
    assert found.cycles.tolist() == [[1.0, 1.0, 1.0]]
    assert found.failed_cycles.tolist() == [[1.0, 0.0, 0.0]]


@pytest.mark.usefixtures("only_fused")
def test_what_a_depot_does_not_ship_at_once_may_be_dropped() -> None:
    """The same, but the shops forget what they do not get: they order 1 and 2 again on day 2, in vain."""
    shop = {"initial_on_hand": 10.0, "demand": {"law": "poisson", "mean": 3.0}}
    nodes = [{"name": "depot", "initial_on_hand": 9.0}, {"name": "a", **shop}, {"name": "b", **shop}]
    links = [{"target": "depot"}, *({"source": "depot", "target": x, "lead_time": 1, "unfilled": "drop"} for x in "ab")]
    network = Network.from_dict({"nodes": nodes, "links": links, "units": "whole"})
    rule = order_up_to(network, [0.0, 10.0, 10.0], cap=[0.0, np.inf, np.inf])
    found = by_hand(network, rule, [[6.0, 6.0], [0.0, 0.0], [0.0, 0.0]])
    np.testing.assert_allclose(3 * found.asked, [[15.0, 6.0, 6.0]])
    np.testing.assert_allclose(3 * found.filled, [[9.0, 6.0, 6.0]])
    np.testing.assert_allclose(3 * found.stockout, [[2.0, 0.0, 0.0]])


def shop(**options: Any) -> Network:
    """A shop that orders from outside with a lead time of 1."""
    node = {"name": "shop", "holding_cost": 1.0, "stockout_cost": 5.0, "demand": {"law": "poisson", "mean": 3.0}}
    return Network.from_dict(
        {"nodes": [node | options], "links": [{"target": "shop", "lead_time": 1}], "units": "whole"}
    )


@pytest.mark.usefixtures("only_fused")
def test_sales_that_are_lost_are_a_stockout_of_their_period_only() -> None:
    """Level 5, 5 on hand. Day 0: 5 of 7 sold. Day 1: 5 ordered. Day 2: they arrive, 3 of them are sold."""
    network = shop(initial_on_hand=5.0, stockout_rule="lost_sales")
    found = by_hand(network, order_up_to(network, [5.0]), [[7.0], [0.0], [3.0]])
    np.testing.assert_allclose(3 * found.asked, [[10.0]])
    np.testing.assert_allclose(3 * found.filled, [[8.0]])
    np.testing.assert_allclose(3 * found.stockout, [[1.0]])
    np.testing.assert_allclose(3 * found.on_hand, [[2.0]])
    np.testing.assert_allclose(3 * found.cost, [5.0 * 2.0 + 2.0])
    assert (found.cycles.item(), found.failed_cycles.item()) == (1.0, 1.0)


@pytest.mark.usefixtures("only_fused")
def test_a_cycle_fails_if_customers_wait_at_the_end_of_one_of_its_days() -> None:
    """(2, 10) with 3 on hand; units arrive on days 2, 4 and 6, which makes two whole cycles.

    Day 1: 8 ordered, 2 of 5 sold. Day 2: 8 arrive, 3 go to those who wait, all of 4 are sold. Day 3: 9 ordered, 1 of
    3 sold: the cycle of days 2 and 3 fails. Day 4: 9 arrive, 2 go to those who wait, all of 6 are sold. Day 5: 9
    ordered, nothing asked: this cycle is good. Day 6: 9 arrive.
    """
    network = shop(initial_on_hand=3.0)
    rule = order_up_to(network, [10.0], reorder=[2.0])
    found = by_hand(network, rule, [[1.0], [5.0], [4.0], [3.0], [6.0], [0.0], [0.0]])
    np.testing.assert_allclose(7 * found.asked, [[19.0]])
    np.testing.assert_allclose(7 * found.filled, [[19.0 - 3.0 - 2.0]])
    np.testing.assert_allclose(7 * found.stockout, [[2.0]])
    assert (found.cycles.item(), found.failed_cycles.item()) == (2.0, 1.0)


def centre() -> Problem:
    """A distribution centre and four unlike warehouses with demand that is not Poisson."""
    return make_problem("echelon/MinMaxCase-v0")


LOWEST, HIGHEST = [150.0, 10.0, 35.0, 35.0, 45.0], [550.0, 50.0, 90.0, 130.0, 160.0]
"""Min and Max of the centre and its warehouses, with which the centre is often short."""


def test_a_higher_min_at_the_centre_does_not_lower_the_fill_rate_of_a_warehouse() -> None:
    """On common random numbers, with 95 % confidence; the gap between Min and Max stays."""
    problem = centre()
    scenarios = sample(problem.network, periods=problem.periods, replications=400, seed=2)
    outcomes = []
    for extra in (0.0, 40.0, 80.0, 160.0):
        reorder, up_to = [LOWEST[0] + extra, *LOWEST[1:]], [HIGHEST[0] + extra, *HIGHEST[1:]]
        outcomes.append(simulate_nodes(problem, order_up_to(problem.network, up_to, reorder=reorder), scenarios))
    for low, high in pairwise(outcomes):
        gain = (high.filled - low.filled)[:, 1:]
        half_width = 1.96 * gain.std(axis=0, ddof=1) / np.sqrt(len(gain))
        assert (gain.mean(axis=0) + half_width >= 0).all()
    first, last = outcomes[0], outcomes[-1]
    assert (last.filled.sum(axis=0) > first.filled.sum(axis=0)).all()


@pytest.mark.parametrize("law", [{"law": "poisson", "mean": 6.0}, {"law": "discrete_uniform", "low": 4, "high": 8}])
def test_lots_make_the_demand_on_the_centre_more_than_poisson(law: dict[str, Any]) -> None:
    """Variance over mean of what the warehouses order in a period; their customers' demand has at most 1."""
    names = [f"warehouse_{w}" for w in range(4)]
    nodes = [{"name": "centre"}, *({"name": name, "demand": law} for name in names)]
    links = [{"target": "centre", "lead_time": 2}, *({"source": "centre", "target": x, "lead_time": 2} for x in names)]
    problem = Problem("p", Network.from_dict({"nodes": nodes, "links": links}), periods=400, warm_up=100)
    scenarios = sample(problem.network, periods=400, replications=20, seed=3)
    indices = []
    for lot in (0.0, 7.0, 15.0, 40.0):
        rule = order_up_to(problem.network, [100.0, *[24.0 + lot] * 4], reorder=[100.0, *[24.0] * 4])
        trace = simulate(problem, rule, scenarios, trace=True).trace
        assert trace is not None
        orders = trace.ordered[:, problem.warm_up :, 1:].sum(axis=2)
        indices.append(float(orders.var() / orders.mean()))
    assert indices[0] < 1.05
    assert indices[1] > 1
    assert indices == sorted(indices)
