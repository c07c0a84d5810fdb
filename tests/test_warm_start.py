"""Warm start: a network that begins as the clone of a policy, and does not end worse than it."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("stable_baselines3")

import torch

from echelon.agents import sb3_warm_start
from echelon.agents.sb3 import train_sb3
from echelon.agents.sb3_actor import Sb3Actor
from echelon.agents.sb3_model import new_model, training_env
from echelon.agents.sb3_warm_start import actions_for, start_from, student_of
from echelon.agents.warm_start import Student, clone
from echelon.baselines import make_plan
from echelon.envs.catalogue import lost_sales, one_warehouse, serial
from echelon.envs.codec import Codec
from echelon.envs.errors import MethodError
from echelon.envs.policy import order_up_to
from echelon.envs.problem import Problem
from echelon.envs.scenarios import sample
from echelon.envs.simulate import simulate
from echelon.envs.state import State

SHOP = lost_sales(lead_time=2, periods=300, warm_up=50)
TREE = one_warehouse(periods=200, warm_up=50)
CHAIN = serial(periods=200, warm_up=50)
QUICK: dict[str, Any] = {"rounds": 4, "replications": 64, "periods": 60, "epochs": 12}


def actor_for(problem: Problem, algorithm: str = "ppo", **options: Any) -> Sb3Actor:
    """An untrained network."""
    codec = Codec(problem.network, **options)
    settings = {"n_steps": 8, "batch_size": 32} if algorithm == "ppo" else {"buffer_size": 100}
    model = new_model(algorithm, training_env(problem, codec, 4), seed=1, settings=settings, decision=codec.decision)
    return Sb3Actor(codec, model.policy, algorithm)


def percent_above(problem: Problem, policy: Any, teacher: Any) -> float:
    """What a policy costs more than its teacher, on common scenarios."""
    scenarios = sample(problem.network, periods=problem.periods, replications=100, seed=4)
    costs = [simulate(problem, each, scenarios).cost.mean() for each in (policy, teacher)]
    return float(100 * (costs[0] / costs[1] - 1))


@pytest.mark.parametrize(
    ("problem", "algorithm", "options"),
    [
        (TREE, "ppo", {"decision": "orders"}),
        (SHOP, "ppo", {"decision": "orders", "action": "discrete"}),
        (TREE, "sac", {"decision": "levels"}),
        (CHAIN, "ppo", {"decision": "levels"}),
    ],
)
def test_a_clone_of_a_base_stock_policy_costs_what_it_costs(
    problem: Problem, algorithm: str, options: dict[str, Any]
) -> None:
    teacher = make_plan("base_stock", problem).policy
    actor = actor_for(problem, algorithm, **options)
    assert percent_above(problem, actor.orders, teacher) > 1
    cloning = clone(teacher, problem, student_of(actor), seed=1, **QUICK)
    assert abs(percent_above(problem, actor.orders, teacher)) < 0.5
    assert cloning.samples == 4 * 64 * 60
    assert cloning.losses[-1] < cloning.losses[0]
    assert cloning.agreement > 0.9


def test_cloning_repeats_itself_to_the_bit_and_depends_on_the_seed() -> None:
    teacher = make_plan("base_stock", SHOP).policy
    actors = [actor_for(SHOP) for _ in range(3)]
    for actor, seed in zip(actors, (1, 1, 2), strict=True):
        clone(teacher, SHOP, student_of(actor), seed=seed, rounds=2, replications=16, periods=30, epochs=1)
    first, again, other = (torch.cat([x.ravel() for x in actor.state_dict().values()]) for actor in actors)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_any_module_can_be_a_student() -> None:
    """A linear network of what a base-stock policy goes by orders exactly as it does."""
    teacher = order_up_to(SHOP.network, [18.0])
    line = torch.nn.Linear(1, 1)

    def observe(state: State) -> NDArray[np.float32]:
        return (np.asarray(state.echelon_inventory_position) / 10).astype(np.float32)

    def orders(state: State) -> NDArray[np.float64]:
        with torch.no_grad():
            quantity = 10 * line(torch.as_tensor(observe(state))).numpy()
        return np.asarray(np.maximum(np.rint(quantity.astype(np.float64)), 0.0))

    def loss(seen: torch.Tensor, told: torch.Tensor) -> torch.Tensor:
        miss = line(seen) - told
        return torch.where(told > 0, miss, miss.clamp(min=0)).square().sum(dim=1)

    student = Student(tuple(line.parameters()), observe, lambda wanted, _: wanted / 10, loss, orders)
    cloning = clone(teacher, SHOP, student, learning_rate=0.05, **QUICK)
    assert line.weight.item() == pytest.approx(-1, abs=0.05)
    assert 10 * line.bias.item() == pytest.approx(18, abs=0.5)
    assert cloning.agreement > 0.99


@pytest.mark.parametrize("problem", [SHOP, TREE])
@pytest.mark.parametrize("decision", ["orders", "levels"])
def test_the_action_for_a_quantity_names_it(problem: Problem, decision: Any) -> None:
    codec = Codec(problem.network, decision)
    low, high = (0 * codec.order_limit, codec.order_limit) if decision == "orders" else codec.level_range
    quantity = np.linspace(low, high, 23)
    if decision == "orders":
        quantity = np.rint(quantity)
    np.testing.assert_allclose(codec.quantities(actions_for(codec, quantity), 23, 0).T, quantity, atol=1e-9)


def test_ppo_that_starts_from_a_policy_does_not_end_worse_than_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """The teacher is the optimum of its class, so that most changes are for the worse."""
    monkeypatch.setattr(sb3_warm_start, "clone", partial(clone, **QUICK))
    plan = make_plan("capped_base_stock", SHOP)
    settings = {"n_steps": 16, "batch_size": 512, "n_epochs": 2}
    training = train_sb3(
        SHOP,
        start=plan.policy,
        seed=2,
        steps=16_384,
        copies=32,
        settings=settings,
        evaluations=4,
        validation_replications=50,
    )
    scenarios = sample(SHOP.network, periods=SHOP.periods, replications=50, seed=2, stream="validation")
    teacher = simulate(SHOP, plan.policy, scenarios).cost
    worse = simulate(SHOP, training.policy, scenarios).cost - teacher
    assert worse.mean() < 1.96 * worse.std(ddof=1) / np.sqrt(len(worse)) + 1e-3 * teacher.mean()
    assert training.curve[0]["steps"] == 0
    assert training.curve[0]["cost"] == pytest.approx(teacher.mean(), rel=5e-3)
    assert max(point["cost"] for point in training.curve) < 1.05 * teacher.mean()


def test_an_algorithm_of_values_cannot_start_from_a_policy() -> None:
    codec = Codec(SHOP.network, "orders", "discrete")
    env = training_env(SHOP, codec, 2)
    model = new_model("dqn", env, seed=1, settings={"buffer_size": 100}, decision="orders")
    with pytest.raises(MethodError, match="dqn cannot start from a policy: its network holds values, not orders"):
        start_from(order_up_to(SHOP.network, [18.0]), SHOP, model, env, algorithm="dqn", seed=0)


@pytest.mark.parametrize("name", ["rounds", "replications", "periods", "epochs"])
def test_bounds_of_cloning(name: str) -> None:
    with pytest.raises(MethodError, match=f"{name} must be at least 1"):
        clone(order_up_to(SHOP.network, [18.0]), SHOP, student_of(actor_for(SHOP)), **{name: 0})
