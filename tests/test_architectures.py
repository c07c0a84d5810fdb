"""Bodies whose weights all links share: symmetry, networks of other sizes, units, training on one network."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy.special import ndtri

from echelon.agents.actors import PathwiseActor
from echelon.agents.architectures import Architecture, make_body
from echelon.agents.generalist_features import POINTS, link_features
from echelon.agents.graph_body import GraphBody
from echelon.agents.learned import LearnedPolicy
from echelon.agents.pathwise import train_pathwise
from echelon.agents.support import OutsideTrainingWarning
from echelon.agents.training import Training
from echelon.envs.catalogue import make_problem
from echelon.envs.codec import Codec
from echelon.envs.dynamics import initial_state
from echelon.envs.errors import MethodError
from echelon.envs.network import Network
from echelon.envs.simulate import simulate_stream
from echelon.envs.state import State

SHARED = ("shared", "graph")
NAMES = ("Serial", "OneWarehouse", "DualSourcing", "Perishable", "Assembly", "BeerGame", "Network", "LostSales")


def body_of(network: Network, kind: Any, seed: int = 0) -> GraphBody:
    """A body whose last layers say something."""
    torch.manual_seed(seed)
    body = make_body(Codec(network), Architecture(kind, (16, 16, 16)))
    assert isinstance(body, GraphBody)
    with torch.no_grad():
        for parameter in body.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return body


def stores(places: Sequence[int]) -> Network:
    """A warehouse with stores that differ in all that stores differ in, in some order."""
    lead_time, short, mean = (1, 3, 2, 1), (5.0, 9.0, 19.0, 30.0), (2.0, 3.0, 5.0, 7.0)
    problem = make_problem(
        "echelon/OneWarehouse-v0",
        retailers=len(places),
        lead_time=[lead_time[k] for k in places],
        stockout_cost=[short[k] for k in places],
        demand=[{"law": "poisson", "mean": mean[k]} for k in places],
    )
    return problem.network


def visited(network: Network, *, batch: int, seed: int) -> State:
    """A state with random stocks."""
    state = initial_state(network, batch)
    random = np.random.default_rng(seed)
    names = ("on_hand", "backorders", "owed")
    changes = {name: np.floor(random.uniform(0, 9, getattr(state, name).shape)) for name in names}
    changes["pipeline"] = np.floor(random.uniform(0, 9, state.pipeline.shape)) * (
        np.arange(state.arrays.slots) < state.arrays.longest[:, None]
    )
    changes["owed"] = changes["owed"] * ~state.arrays.from_outside
    return replace(state, **changes)


def permuted(state: State, network: Network, order: NDArray[np.int64]) -> State:
    """The state of the network in which store k is store order[k] of this one."""
    places = np.concatenate([[0], 1 + order])
    pipeline = state.pipeline[:, places]
    return replace(
        initial_state(network, state.batch),
        on_hand=state.on_hand[:, places],
        backorders=state.backorders[:, order],
        owed=state.owed[:, places],
        pipeline=pipeline,
    )


@pytest.mark.parametrize("kind", SHARED)
def test_stores_in_another_order_get_the_same_orders_in_that_order(kind: Any) -> None:
    order = np.array([2, 0, 3, 1])
    one, other = stores(range(4)), stores(list(order))
    body, same = body_of(one, kind), body_of(other, kind, seed=1)
    same.load_state_dict(body.state_dict())
    state = visited(one, batch=50, seed=0)
    said = body(torch.as_tensor(Codec(one).observe(state)))
    turned = same(torch.as_tensor(Codec(other).observe(permuted(state, other, order))))
    torch.testing.assert_close(turned, said[:, [0, *(1 + order)]], rtol=1e-4, atol=1e-5)
    assert said.std(0).min() > 1e-3, "what is said must depend on the state"
    assert (said[:, 1:].mean(0).unique().numel()) == 4, "stores that differ must be told apart"


def test_only_messages_let_a_store_hear_of_another_store() -> None:
    network = stores(range(4))
    observation = torch.ones(1, Codec(network).observation_space.shape[0], requires_grad=True)
    column = 2  # the stock of the second store
    for kind, heard in (("shared", False), ("graph", True)):
        (slope,) = torch.autograd.grad(body_of(network, kind)(observation)[0, 1], observation)
        assert (slope[0, column] != 0) == heard


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", SHARED)
def test_the_same_weights_order_on_every_problem(name: str, kind: Any) -> None:
    small, network = stores(range(3)), make_problem(f"echelon/{name}-v0").network
    first = PathwiseActor(small, "levels", Architecture(kind, (8, 8)))
    for decision in ("orders", "levels"):
        actor = PathwiseActor.restored(network, {**first.record(), "decision": decision}, first.state_dict())
        orders = actor.orders(initial_state(network, 3))
        assert orders.shape == (3, len(network.links))
        assert np.isfinite(orders).all()
        assert (orders >= 0).all()


@pytest.mark.parametrize("name", NAMES)
def test_what_a_link_sees_is_its_own_position_and_pipeline(name: str) -> None:
    problem = make_problem(f"echelon/{name}-v0")
    codec = Codec(problem.network)
    features = link_features(codec)
    states: list[State] = []

    def watched(state: State) -> NDArray[np.float64]:
        states.append(state)
        share = np.random.default_rng(state.period).uniform(0, 2, (state.batch, len(codec.mean)))
        return np.asarray(np.floor(share * codec.mean))

    simulate_stream(make_problem(f"echelon/{name}-v0", periods=40, warm_up=0), watched, replications=2, seed=0)
    state = states[-1]
    seen = np.einsum("bd,def->bef", codec.observe(state), features.views) - features.offset
    position = (state.echelon_inventory_position - features.centre) / (features.below @ features.spread)
    np.testing.assert_allclose(seen[:, :, 0], position, atol=1e-4)
    arrays, next_in = codec.arrays, (state.pipeline[:, :, 0] - features.mean) / features.unit
    np.testing.assert_allclose(seen[:, :, 2 + POINTS], np.where(arrays.longest > 0, next_in, 0), atol=1e-4)


def test_features_do_not_change_with_the_unit_of_goods_or_money() -> None:
    def of(goods: float, money: float) -> Any:
        problem = make_problem(
            "echelon/OneWarehouse-v0",
            warehouse_holding_cost=0.5 * money,
            holding_cost=money,
            stockout_cost=9 * money,
            demand={"law": "normal", "mean": 50.0 * goods, "sd": 10.0 * goods},
        )
        return link_features(Codec(problem.network))

    one, other = of(1.0, 1.0), of(3.0, 7.0)
    np.testing.assert_allclose(one.static, other.static, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(one.offset, other.offset, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(3 * one.centre, other.centre, rtol=1e-9)


def test_a_newsvendor_is_the_centre_of_a_single_stores_level() -> None:
    problem = make_problem(
        "echelon/SingleLocation-v0",
        lead_time=3,
        fixed_cost=0.0,
        stockout_cost=9.0,
        demand={"law": "normal", "mean": 100.0, "sd": 20.0},
    )
    level = 4 * 100.0 + ndtri(0.9) * np.sqrt(4) * 20.0
    np.testing.assert_allclose(link_features(Codec(problem.network)).centre, [level], rtol=2e-3)


def test_stock_is_seen_that_there_would_be_after_a_share_of_any_lead_time() -> None:
    for lead_time, halfway in ((12, [1] * 6 + [0] * 6), (3, [1, 0.5, 0]), (1, [0.5])):
        problem = make_problem("echelon/LostSales-v0", lead_time=lead_time)
        codec = Codec(problem.network)
        features = link_features(codec)
        view = features.views[:, 0, 2 + POINTS // 2]
        np.testing.assert_allclose(view / view[0], [1, *halfway])
        assert features.offset[0, 2 + POINTS // 2] * features.unit == pytest.approx(5 * np.sqrt(1 + lead_time / 2))


def test_what_a_link_sees_does_not_grow_with_the_number_of_stores() -> None:
    def warehouse(count: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """What it sees, offset included, where all have what they have on the mean; and its parameters."""
        codec = Codec(make_problem("echelon/OneWarehouse-v0", retailers=count).network)
        features = link_features(codec)
        full = np.ones(len(features.views))
        full[0] = full[-count:] = 0.0  # the warehouse is empty, and owes nothing
        return (full @ features.views[:, 0] - features.offset[0]), features.static[0]

    (seen, told), (seen_by_more, told_more) = warehouse(4), warehouse(80)
    np.testing.assert_allclose(seen_by_more[1:], seen[1:], atol=1e-6)
    assert abs(seen_by_more[0] - seen[0]) < 0.5
    assert np.abs(told_more - told).max() < 0.5


@pytest.mark.parametrize("kind", SHARED)
def test_standardising_inputs_changes_nothing_that_is_said(kind: Any) -> None:
    network = stores(range(3))
    body = body_of(network, kind)
    seen = torch.as_tensor(Codec(network).observe(visited(network, batch=50, seed=1)))
    before = body(seen)
    body.standardise(seen.mean(0), seen.std(0).clamp(min=0.05))
    torch.testing.assert_close(body(seen), before, rtol=1e-3, atol=1e-4)
    assert not torch.equal(body.centre, torch.zeros_like(body.centre))


def test_slopes_are_those_of_finite_differences() -> None:
    network = stores(range(2))
    body = body_of(network, "graph").double()
    seen = torch.as_tensor(Codec(network).observe(visited(network, batch=1, seed=2))).double().requires_grad_()
    assert torch.autograd.gradcheck(body, (seen,))


def trained_on_one_warehouse(body: Any) -> Training:
    """A training of a few seconds."""
    problem = make_problem("echelon/OneWarehouse-v0", periods=300)
    settings = {"body": body, "hidden": (16, 16), "batch": (32, 32), "unroll": 10, "tail": 5}
    return train_pathwise(problem, steps=50, settings=settings, evaluations=1, validation_replications=50)


@pytest.fixture(scope="module")
def multi_layer_perceptron() -> Training:
    """What bodies with shared weights are compared with."""
    return trained_on_one_warehouse("mlp")


@pytest.mark.parametrize("kind", SHARED)
def test_training_with_shared_weights_is_as_good_as_without(
    kind: Any, multi_layer_perceptron: Training, tmp_path: Path
) -> None:
    training = trained_on_one_warehouse(kind)
    problem = make_problem("echelon/OneWarehouse-v0", periods=300)
    untrained = PathwiseActor(problem.network, "levels", Architecture(kind, (16, 16)))
    before = simulate_stream(problem, untrained.orders, replications=50, seed=0, stream="validation").cost.mean()
    after = training.curve[-1]["cost"]
    assert after < 0.85 * before
    assert after < 1.02 * multi_layer_perceptron.curve[-1]["cost"]
    training.policy.save(tmp_path)
    state = initial_state(problem.network, 4)
    np.testing.assert_array_equal(LearnedPolicy.load(tmp_path)(state), training.policy(state))
    larger = make_problem("echelon/OneWarehouse-v0", retailers=6).network
    with pytest.warns(OutsideTrainingWarning, match="retailer_4"):
        assert training.policy.for_network(larger)(initial_state(larger, 2)).shape == (2, 7)


def test_an_unknown_body_is_refused() -> None:
    with pytest.raises(MethodError, match="unknown body 'grpah'; did you mean 'graph'"):
        Architecture("grpah")  # type: ignore[arg-type]
