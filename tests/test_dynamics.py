"""The dynamics: the specification, the compiled kernel, torch and the referee tell the same story."""

from __future__ import annotations

import sys
from dataclasses import fields, replace
from itertools import pairwise
from typing import Any, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echelon.envs import _kernel, dynamics
from echelon.envs.audit import audit
from echelon.envs.dynamics import initial_state
from echelon.envs.errors import ConservationError
from echelon.envs.network import Network
from echelon.envs.policy import OrderUpTo, Position, order_up_to
from echelon.envs.problem import Problem
from echelon.envs.scenarios import Scenarios, sample
from echelon.envs.simulate import simulate, stepper
from echelon.envs.state import COST_AXES, LEDGER_AXES, STOCKS, Draw, Ledger, State

from . import strategies
from .referee import echelon_position, inventory_position, order_up_to_orders, referee
from .referee_supply import accepted
from .strategies import Trial, draw_arrays, follow, networks, trials

History = tuple[list[State], list[Ledger]]


def run(trial: Trial, backend: str, *, copies: int = 1) -> History:
    """All states and ledgers of a trial; every copy meets the same orders and draws. NumPy arrays."""
    network = trial.network
    orders = np.asarray(trial.orders, dtype=np.float64)[:, None].repeat(copies, axis=1)
    draws = [Draw(**draw_arrays(network, draw, copies=copies)) for draw in trial.draws]
    if backend == "torch":
        return _run_on_torch(network, orders, draws)
    step = stepper("compiled" if backend == "compiled" else "specification")
    states, ledgers = [initial_state(network, copies)], []
    for order, draw in zip(orders, draws, strict=True):
        state, ledger = step(states[-1], order, draw)
        states.append(state)
        ledgers.append(ledger)
    return states, ledgers


def _run_on_torch(network: Network, orders: np.ndarray, draws: list[Draw]) -> History:
    torch = pytest.importorskip("torch")
    state = initial_state(network, orders.shape[1], like=torch.zeros(1, dtype=torch.float64))
    states, ledgers = [_as_numpy(state)], []
    for order, draw in zip(orders, draws, strict=True):
        drawn = {f.name: getattr(draw, f.name) for f in fields(draw)}
        tensors = {name: None if x is None else torch.as_tensor(x) for name, x in drawn.items()}
        state, ledger = dynamics.step(state, torch.as_tensor(order), Draw(**tensors))
        states.append(_as_numpy(state))
        ledgers.append(Ledger(states[0].arrays, **{name: getattr(ledger, name).numpy() for name in LEDGER_AXES}))
    return states, ledgers


def _as_numpy(state: State) -> State:
    arrays = initial_state(state.network, 1).arrays
    stocks: dict[str, Any] = {name: getattr(state, name).numpy() for name in STOCKS}
    return replace(state, arrays=arrays, **stocks)


def fields_of(history: History) -> dict[str, np.ndarray]:
    """Every array of a history, stacked over time."""
    states, ledgers = history
    stocks = {f"state.{name}": np.stack([getattr(s, name) for s in states]) for name in STOCKS}
    return stocks | {f"ledger.{name}": np.stack([getattr(x, name) for x in ledgers]) for name in LEDGER_AXES}


@settings(max_examples=500)
@given(trials(network=networks(features=True), max_periods=14))
def test_referee_specification_and_kernel_agree_on_networks_that_mix_features(trial: Trial) -> None:
    check_against_the_referee(trial)


@settings(max_examples=150)
@given(trials(max_periods=14))
def test_referee_specification_and_kernel_agree_on_classic_networks(trial: Trial) -> None:
    check_against_the_referee(trial)


def check_against_the_referee(trial: Trial) -> None:
    """The kernel equals the specification, bit for bit on whole units, and the specification the referee."""
    network = trial.network
    views, records = follow(trial)
    states, ledgers = run(trial, "specification")
    check_equal(fields_of((states, ledgers)), fields_of(run(trial, "compiled")), exact=network.whole_units)
    links = range(len(network.links))
    places = {"N": [x.name for x in network.nodes], "C": [x.name for x in network.outlets], "E": links}
    for t, (view, record, state, ledger) in enumerate(zip(views, records, states, ledgers, strict=False)):
        for name, axis in LEDGER_AXES.items():
            if name not in ("in_transit", "placed", "stockout"):
                expected = [record[name][place] for place in places[axis]]  # type: ignore[literal-required]
                np.testing.assert_allclose(
                    getattr(ledger, name)[0], expected, rtol=1e-9, atol=1e-9, err_msg=f"{name} of period {t}"
                )
        held = [record["pipeline"][e] + record["waiting"][e] for e in links]
        np.testing.assert_allclose(ledger.in_transit[0], held, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(ledger.cost[0], record["cost"], rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(state.inventory_position[0], inventory_position(network, view), atol=1e-9)
        np.testing.assert_allclose(state.echelon_inventory_position[0], echelon_position(network, view), atol=1e-9)


def check_equal(expected: dict[str, np.ndarray], got: dict[str, np.ndarray], *, exact: bool) -> None:
    for name, array in expected.items():
        if exact:
            np.testing.assert_array_equal(got[name], array, err_msg=name)
        else:
            np.testing.assert_allclose(got[name], array, rtol=1e-12, atol=1e-12, err_msg=name)


@settings(max_examples=150)
@given(trials(network=networks(features=True), max_periods=10))
def test_torch_agrees_with_numpy(trial: Trial) -> None:
    specified, other = fields_of(run(trial, "specification")), fields_of(run(trial, "torch"))
    check_equal(specified, other, exact=trial.network.whole_units)


@pytest.mark.parametrize("backend", ["specification", "compiled"])
def test_a_node_that_gave_all_it_had_owes_nothing_to_rounding(backend: str) -> None:
    """Shares of 0.944 sum to a hair more or less; when nothing is asked next, that must not be divided by."""
    stores = [
        {"name": f"store_{i}", "demand": {"law": "uniform", "low": 0, "high": 1}, "stockout_cost": 1.0}
        for i in range(3)
    ]
    lanes = [{"source": "warehouse", "target": store["name"], "unfilled": "drop"} for store in stores]
    network = Network.from_dict(
        {
            "nodes": [{"name": "warehouse", "initial_on_hand": 0.944}, *stores],
            "links": [{"target": "warehouse"}, *lanes],
        }
    )
    state = initial_state(network, 1)
    for orders in ([0.0, 7.831, 3.286, 8.432], [0.0] * 4):
        state, ledger = stepper(backend)(state, np.array([orders]), Draw(np.full((1, 3), 0.25)))  # type: ignore[arg-type]
        assert np.isfinite(ledger.cost).all()
        assert (state.on_hand >= 0).all()


@settings(max_examples=200)
@given(trials(network=networks(features=True), max_periods=12))
def test_every_unit_goes_somewhere(trial: Trial) -> None:
    states, ledgers = run(trial, "compiled")
    arrays = states[0].arrays
    for (before, after), ledger in zip(pairwise(states), ledgers, strict=True):
        audit(before, ledger, after)
        assert (ledger.shipped <= before.owed + before.requests.sum(axis=2) + ledger.ordered + 1e-9).all()
        open_outlets = (ledger.on_hand * before.node_up)[:, arrays.outlet]
        assert not ((open_outlets > 1e-9) & (ledger.backorders > 1e-9)).any()
        np.testing.assert_allclose(sum(part.sum(axis=1) for part in ledger.costs.values()), ledger.cost, rtol=1e-12)
        np.testing.assert_array_equal(list(ledger.costs), list(COST_AXES))


def test_the_audit_names_the_place_of_a_unit_that_vanished() -> None:
    network = Network.from_dict(
        {"nodes": [{"name": "a", "demand": {"law": "poisson", "mean": 4}}], "links": [{"target": "a", "lead_time": 1}]}
    )
    before = initial_state(network, 2)
    after, ledger = dynamics.step(before, np.full((2, 1), 3.0), Draw(np.ones((2, 1))))
    audit(before, ledger, after)
    lost = after.on_hand - np.array([[0.0], [1.0]])
    with pytest.raises(ConservationError, match=r"stock = .* off by 1 at 'a' in period 0, replication 1"):
        audit(before, ledger, replace(after, on_hand=lost))


@pytest.mark.parametrize("backend", ["specification", "compiled"])
@settings(max_examples=40)
@given(trial=trials(network=networks(features=True), max_periods=8))
def test_a_batch_of_one_equals_a_row_of_a_batch_bit_for_bit(trial: Trial, backend: str) -> None:
    alone, together = fields_of(run(trial, backend)), fields_of(run(trial, backend, copies=300))
    for name, array in alone.items():
        np.testing.assert_array_equal(together[name], np.repeat(array, 300, axis=1), err_msg=name)


@st.composite
def rules(draw: st.DrawFn, network: Network) -> OrderUpTo:
    """Any parametric rule."""
    levels = draw(strategies.order_up_to_levels(network))
    count = len(levels)
    return order_up_to(
        network,
        levels,
        reorder=[max(0.0, level - draw(st.integers(0, 5))) for level in levels],
        cap=draw(st.lists(st.integers(1, 20).map(float), min_size=count, max_size=count)),
        lot=draw(st.lists(st.integers(-3, 4).map(lambda q: float(max(q, 0))), min_size=count, max_size=count)),
        position=draw(st.sampled_from(get_args(Position))),
        review_period=draw(st.integers(1, 3)),
    )


@settings(max_examples=120)
@given(network=networks(whole=True, features=True), data=st.data())
def test_the_fused_rollout_equals_stepping_bit_for_bit(network: Network, data: st.DataObject) -> None:
    rule = data.draw(rules(network))
    problem = Problem("random", network, periods=12, warm_up=3)
    scenarios = sample(network, periods=12, replications=10, seed=3)
    fused = simulate(problem, rule, scenarios)
    stepped = simulate(problem, lambda state: rule(state), scenarios, backend="specification", check=True)
    for name, array in fused.per_period.items():
        np.testing.assert_array_equal(stepped.per_period[name], array, err_msg=name)
    np.testing.assert_array_equal(stepped.cost, fused.cost)


@settings(max_examples=120)
@given(trial=trials(network=networks(whole=True, features=True), max_periods=8), data=st.data())
def test_a_parametric_rule_orders_what_the_referee_orders(trial: Trial, data: st.DataObject) -> None:
    rule = data.draw(rules(trial.network))
    described = {name: getattr(rule, name) for name in ("reorder", "up_to", "cap", "lot", "position", "review_period")}
    placed: list[list[float]] = []

    def place(period: int, view: Any) -> list[float]:
        asked = order_up_to_orders(trial.network, described, view, period)  # type: ignore[arg-type]
        placed.append([accepted(link, order) for link, order in zip(trial.network.links, asked, strict=True)])
        return placed[-1]

    referee(trial.network, place, trial.draws)
    state = initial_state(trial.network, 1)
    for orders, draw in zip(placed, trial.draws, strict=True):
        np.testing.assert_array_equal(rule(state)[0], orders)
        state, _ = dynamics.step(state, rule(state), Draw(**draw_arrays(trial.network, draw)))


@settings(max_examples=40)
@given(network=networks(whole=True), split=st.integers(1, 9))
def test_the_same_scenarios_give_the_same_bits_however_they_are_split(network: Network, split: int) -> None:
    problem = Problem("random", network, periods=9, warm_up=0)
    policy = order_up_to(network, [6.0] * len(network.links))
    scenarios = sample(network, periods=9, replications=10, seed=1)
    whole = simulate(problem, policy, scenarios).cost
    parts = [simulate(problem, policy, scenarios[part]).cost for part in (slice(0, split), slice(split, 10))]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@settings(max_examples=10)
@given(network=networks(features=True), data=st.data())
def test_threads_and_parts_change_no_bit(network: Network, data: st.DataObject) -> None:
    rule, problem = data.draw(rules(network)), Problem("random", network, periods=6, warm_up=2)
    scenarios = sample(network, periods=6, replications=700, seed=2)
    alone = simulate(problem, rule, scenarios).per_period
    threaded = simulate(problem, rule, scenarios, threads=3).per_period
    parts = [simulate(problem, rule, scenarios[part]).per_period for part in (slice(0, 333), slice(333, 700))]
    for name, array in alone.items():
        np.testing.assert_array_equal(threaded[name], array, err_msg=name)
        np.testing.assert_array_equal(np.concatenate([part[name] for part in parts]), array, err_msg=name)


def test_gradients_flow_from_the_cost_to_earlier_orders() -> None:
    torch = pytest.importorskip("torch")
    from echelon.envs.catalogue import make_problem

    network = make_problem("echelon/LostSales-v0", lead_time=2).network.model_copy(update={"units": "continuous"})
    state = initial_state(network, 1, like=torch.zeros(1, dtype=torch.float64))
    order = torch.tensor([[3.0]], dtype=torch.float64, requires_grad=True)
    first_state, _ = dynamics.step(state, order, Draw(torch.tensor([[5.0]], dtype=torch.float64)))
    _, second = dynamics.step(first_state, torch.zeros_like(order), Draw(torch.tensor([[5.0]], dtype=torch.float64)))
    third_state, _ = dynamics.step(
        first_state, torch.zeros_like(order), Draw(torch.tensor([[5.0]], dtype=torch.float64))
    )
    _, third = dynamics.step(third_state, torch.zeros_like(order), Draw(torch.tensor([[0.0]], dtype=torch.float64)))
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
        following, ledger = step(state, orders, scenarios.draw(0))
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
