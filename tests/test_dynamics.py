"""The dynamics: the specification, the compiled kernel, torch and the referee tell the same story."""

from __future__ import annotations

import sys
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echelon.envs import _kernel, dynamics
from echelon.envs.dynamics import LEDGER_AXES, Ledger, State, initial_state
from echelon.envs.network import Network
from echelon.envs.policy import order_up_to
from echelon.envs.problem import Problem
from echelon.envs.scenarios import Scenarios, sample
from echelon.envs.simulate import simulate, stepper

from . import strategies
from .referee import echelon_position, inventory_position, referee
from .strategies import Trial, networks, trials

BACKENDS = ("specification", "compiled", "torch")
STOCKS = ("on_hand", "backorders", "components", "owed", "pipeline")
History = tuple[list[State], list[Ledger]]


def run(trial: Trial, backend: str, *, copies: int = 1) -> History:
    """All states and ledgers of a trial; every copy meets the same orders and demand. NumPy arrays."""
    network = trial.network
    orders = np.asarray(trial.orders, dtype=np.float64)[:, None].repeat(copies, axis=1)
    asked = [[period[outlet.name] for outlet in network.outlets] for period in trial.demand]
    demand = np.asarray(asked, dtype=np.float64)[:, None].repeat(copies, axis=1)
    if backend == "torch":
        return _run_on_torch(network, orders, demand)
    step = stepper("compiled" if backend == "compiled" else "specification")
    states, ledgers = [initial_state(network, copies)], []
    for t in range(len(orders)):
        state, ledger = step(states[-1], orders[t], demand[t])
        states.append(state)
        ledgers.append(ledger)
    return states, ledgers


def _run_on_torch(network: Network, orders: np.ndarray, demand: np.ndarray) -> History:
    torch = pytest.importorskip("torch")
    state = initial_state(network, orders.shape[1], like=torch.zeros(1, dtype=torch.float64))
    states, ledgers = [_as_numpy(state)], []
    for order, asked in zip(orders, demand, strict=True):
        state, ledger = dynamics.step(state, torch.as_tensor(order), torch.as_tensor(asked))
        states.append(_as_numpy(state))
        ledgers.append(Ledger(states[0].arrays, **{name: getattr(ledger, name).numpy() for name in LEDGER_AXES}))
    return states, ledgers


def _as_numpy(state: State) -> State:
    arrays = initial_state(state.network, 1).arrays
    return replace(state, arrays=arrays, **{name: getattr(state, name).numpy() for name in STOCKS})


def fields_of(history: History) -> dict[str, np.ndarray]:
    """Every array of a history, stacked over time."""
    states, ledgers = history
    stocks = {f"state.{name}": np.stack([getattr(s, name) for s in states]) for name in STOCKS}
    return stocks | {f"ledger.{name}": np.stack([getattr(x, name) for x in ledgers]) for name in LEDGER_AXES}


@settings(max_examples=300)
@given(trials(network=networks(whole=True), max_periods=14))
def test_kernel_equals_specification_bit_for_bit_on_whole_units(trial: Trial) -> None:
    specified, compiled = fields_of(run(trial, "specification")), fields_of(run(trial, "compiled"))
    for name, array in specified.items():
        np.testing.assert_array_equal(compiled[name], array, err_msg=name)


@settings(max_examples=200)
@given(trials(max_periods=14), st.sampled_from(["compiled", "torch"]))
def test_every_backend_agrees_with_the_specification_to_1e_12(trial: Trial, backend: str) -> None:
    specified, other = fields_of(run(trial, "specification")), fields_of(run(trial, backend))
    for name, array in specified.items():
        np.testing.assert_allclose(other[name], array, rtol=1e-12, atol=1e-12, err_msg=name)


@settings(max_examples=500)
@given(trials(max_periods=14), st.sampled_from(["specification", "compiled"]))
def test_every_backend_agrees_with_the_referee(trial: Trial, backend: str) -> None:
    network = trial.network
    records = referee(network, lambda t, _view: trial.orders[t], trial.demand)
    states, ledgers = run(trial, backend)
    outlets = [outlet.name for outlet in network.outlets]
    names = [node.name for node in network.nodes]
    links = range(len(network.links))
    for record, ledger, state in zip(records, ledgers, states[1:], strict=True):
        expected = {
            "on_hand": [record["on_hand"][n] for n in names],
            "backorders": [record["backorders"][n] for n in outlets],
            "in_transit": [record["pipeline"][e] + record["waiting"][e] for e in links],
            "shipped": [record["shipped"][e] for e in links],
            "ordered": [record["ordered"][e] for e in links],
            "sold": [record["sold"][n] for n in outlets],
            "lost": [record["lost"][n] for n in outlets],
        }
        for name, values in expected.items():
            np.testing.assert_allclose(getattr(ledger, name)[0], values, rtol=1e-9, atol=1e-9, err_msg=name)
        np.testing.assert_allclose(state.owed[0], [record["owed"][e] for e in links], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(ledger.cost[0], record["cost"], rtol=1e-9, atol=1e-9)


@settings(max_examples=100)
@given(trials(max_periods=8))
def test_positions_agree_with_the_referee(trial: Trial) -> None:
    views: list[Any] = []

    def orders(t: int, view: Any) -> list[float]:
        views.append(view)
        return trial.orders[t]

    referee(trial.network, orders, trial.demand)
    states, _ = run(trial, "specification")
    for view, state in zip(views, states, strict=False):
        own = inventory_position(trial.network, view)
        np.testing.assert_allclose(state.inventory_position[0], own, atol=1e-9)
        np.testing.assert_allclose(
            state.echelon_inventory_position[0], echelon_position(trial.network, view), atol=1e-9
        )


@pytest.mark.parametrize("backend", BACKENDS)
@settings(max_examples=100)
@given(trial=trials(max_periods=12))
def test_the_invariants_hold(trial: Trial, backend: str) -> None:
    states, ledgers = run(trial, backend)
    arrays = states[0].arrays
    for (before, after), ledger in zip(pairwise(states), ledgers, strict=True):
        for name in STOCKS:
            assert (getattr(after, name) >= 0).all(), name
        assert not ((ledger.on_hand[:, arrays.outlet] > 1e-9) & (ledger.backorders > 1e-9)).any()
        assert (ledger.shipped <= before.owed + ledger.ordered + 1e-9).all()
        np.testing.assert_allclose(
            before.owed + ledger.ordered, after.owed + ledger.shipped + ledger.dropped, atol=1e-9
        )
        _check_conservation(before, after, ledger)
        np.testing.assert_allclose(sum(part.sum(axis=1) for part in ledger.costs.values()), ledger.cost, rtol=1e-12)


def _check_conservation(before: State, after: State, ledger: Ledger) -> None:
    """Positions move by orders, drops, and what customers take or are owed; nothing else."""
    arrays = before.arrays
    taken = dynamics.gather_sum(ledger.demand - ledger.lost, arrays.outlet_column[:, None])
    moved = after.inventory_position - before.inventory_position
    net = ledger.ordered - ledger.dropped
    going_out = dynamics.gather_sum(net, arrays.out_links)
    np.testing.assert_allclose(moved, net - (taken + going_out)[:, arrays.target], atol=1e-9)


@pytest.mark.parametrize("backend", ["specification", "compiled"])
@settings(max_examples=60)
@given(trial=trials(max_periods=8))
def test_a_batch_of_one_equals_a_row_of_a_batch_bit_for_bit(trial: Trial, backend: str) -> None:
    alone, together = fields_of(run(trial, backend)), fields_of(run(trial, backend, copies=130))
    for name, array in alone.items():
        np.testing.assert_array_equal(together[name], np.repeat(array, 130, axis=1), err_msg=name)


@settings(max_examples=100)
@given(network=networks(whole=True), data=st.data())
def test_the_fused_rollout_equals_stepping_bit_for_bit(network: Network, data: st.DataObject) -> None:
    levels = data.draw(strategies.order_up_to_levels(network))
    rule = order_up_to(
        network,
        levels,
        reorder=[max(0.0, level - data.draw(st.integers(0, 5))) for level in levels],
        cap=[float(data.draw(st.integers(1, 20))) for _ in levels],
        position=data.draw(st.sampled_from(["installation", "echelon"])),
    )
    problem = Problem("random", network, periods=12, warm_up=3)
    scenarios = sample(network, periods=12, replications=130, seed=3)
    fused = simulate(problem, rule, scenarios)
    stepped = simulate(problem, lambda state: rule(state), scenarios, backend="specification")
    for name, array in fused.per_period.items():
        np.testing.assert_array_equal(stepped.per_period[name], array, err_msg=name)
    np.testing.assert_array_equal(stepped.cost, fused.cost)


@settings(max_examples=40)
@given(network=networks(whole=True), split=st.integers(1, 9))
def test_the_same_scenarios_give_the_same_bits_however_they_are_split(network: Network, split: int) -> None:
    problem = Problem("random", network, periods=9, warm_up=0)
    policy = order_up_to(network, [6.0] * len(network.links))
    scenarios = sample(network, periods=9, replications=10, seed=1)
    whole = simulate(problem, policy, scenarios).cost
    parts = [simulate(problem, policy, scenarios[part]).cost for part in (slice(0, split), slice(split, 10))]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


def test_gradients_flow_from_the_cost_to_earlier_orders() -> None:
    torch = pytest.importorskip("torch")
    from echelon.envs.catalogue import make_problem

    network = make_problem("echelon/LostSales-v0", lead_time=2).network.model_copy(update={"units": "continuous"})
    state = initial_state(network, 1, like=torch.zeros(1, dtype=torch.float64))
    order = torch.tensor([[3.0]], dtype=torch.float64, requires_grad=True)
    first_state, _ = dynamics.step(state, order, torch.tensor([[5.0]], dtype=torch.float64))
    _, second = dynamics.step(first_state, torch.zeros_like(order), torch.tensor([[5.0]], dtype=torch.float64))
    third_state, _ = dynamics.step(first_state, torch.zeros_like(order), torch.tensor([[5.0]], dtype=torch.float64))
    _, third = dynamics.step(third_state, torch.zeros_like(order), torch.tensor([[0.0]], dtype=torch.float64))
    assert second.cost.requires_grad is False or torch.autograd.grad(
        second.cost, order, retain_graph=True, allow_unused=True
    )[0] in (None, 0.0)
    (slope,) = torch.autograd.grad(third.cost, order)
    assert slope.item() == 1.0


def test_scenarios_do_not_change_with_the_number_of_replications_or_periods() -> None:
    network = Network.from_dict(
        {
            "nodes": [
                {"name": "a", "demand": {"law": "negative_binomial", "mean": 4, "sd": 3}},
                {"name": "b", "demand": {"law": "empirical", "values": [1, 2, 9], "block": 2}},
            ],
            "links": [{"target": "a"}, {"target": "b"}],
        }
    )
    full = sample(network, periods=30, replications=8, seed=5).demand
    np.testing.assert_array_equal(sample(network, periods=20, replications=range(3, 6), seed=5).demand, full[3:6, :20])
    assert not np.array_equal(sample(network, periods=30, replications=8, seed=5, stream="tuning").demand, full)
    assert not np.array_equal(sample(network, periods=30, replications=8, seed=6).demand, full)


def test_the_specification_refuses_nothing_that_the_kernel_takes() -> None:
    network = Network.from_dict(
        {"nodes": [{"name": "a", "demand": {"law": "poisson", "mean": 4}}], "links": [{"target": "a", "lead_time": 1}]}
    )
    state = initial_state(network, 2)
    scenarios = Scenarios(np.array([[[1.0]], [[2.0]]]))
    orders = np.array([[3.0], [4.0]])
    for step in (dynamics.step, _kernel.step):
        following, ledger = step(state, orders, scenarios.demand[:, 0])
        np.testing.assert_array_equal(following.on_hand, orders)
        np.testing.assert_array_equal(ledger.backorders, [[1.0], [2.0]])


def test_a_stream_in_parts_gives_what_one_batch_gives(monkeypatch: pytest.MonkeyPatch) -> None:
    from echelon.envs.catalogue import make_problem
    from echelon.envs.simulate import simulate_stream

    problem = make_problem("echelon/OneWarehouse-v0", periods=40)
    policy = order_up_to(problem.network, [18, 10, 10, 10])
    scenarios = sample(problem.network, periods=40, replications=23, seed=4)
    whole = simulate(problem, policy, scenarios).cost
    np.testing.assert_array_equal(simulate_stream(problem, policy, replications=23, seed=4).cost, whole)
    monkeypatch.setattr(sys.modules["echelon.envs.simulate"], "PART_BYTES", 8 * 40 * 3 * 5)
    np.testing.assert_array_equal(simulate_stream(problem, policy, replications=23, seed=4).cost, whole)
