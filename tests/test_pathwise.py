"""Pathwise gradients: near the optimum in seconds, the same bits twice and after a break, and clear refusals."""

from __future__ import annotations

import math
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch")

import torch

from echelon.agents import pathwise
from echelon.agents.actors import PathwiseActor
from echelon.agents.architectures import Architecture
from echelon.agents.learned import LearnedPolicy
from echelon.agents.pathwise import train_pathwise
from echelon.agents.pathwise_learner import Learner
from echelon.agents.pathwise_settings import PathwiseSettings
from echelon.agents.training import Training
from echelon.baselines import make_plan, reference_of
from echelon.baselines.lost_sales_policy_cost import lost_sales_policy_cost
from echelon.envs.catalogue import lost_sales, make_problem, one_warehouse, serial
from echelon.envs.errors import MethodError
from echelon.envs.policy import order_up_to
from echelon.envs.problem import Problem
from echelon.envs.scenarios import sample
from echelon.envs.simulate import simulate

SHOP = make_problem("zipkin2008/poisson-L2-p4", periods=60, warm_up=20)
SMALL: dict[str, Any] = {"batch": (16, 64), "hidden": (8,), "unroll": 6, "tail": 4}


def quick(problem: Problem = SHOP, *, steps: int = 24, **options: Any) -> Training:
    """A training of a second."""
    options = {"settings": SMALL, "evaluations": 4, "validation_replications": 8, **options}
    return train_pathwise(problem, steps=steps, **options)


def weights(training: Training) -> dict[str, Any]:
    return dict(training.policy.actor.state_dict())


def same(one: Training, other: Training) -> bool:
    """Whether all weights and all costs are equal, bit for bit."""
    costs = [[point["cost"] for point in training.curve] for training in (one, other)]
    return costs[0] == costs[1] and all(torch.equal(x, weights(other)[name]) for name, x in weights(one).items())


def test_lost_sales_end_near_the_optimum_and_far_below_the_best_base_stock_level() -> None:
    """Exactly evaluated: within 0.15 %, where the best base-stock level is more than 2 % above the optimum."""
    training = train_pathwise(SHOP, steps=300, settings={"batch": (128, 512)}, evaluations=1)
    assert SHOP.reference is not None
    gap = lost_sales_policy_cost(SHOP, training.policy, tolerance=1e-5).cost / SHOP.reference.value - 1
    base_stock = make_plan("base_stock", SHOP).policy
    assert lost_sales_policy_cost(SHOP, base_stock, tolerance=1e-5).cost / SHOP.reference.value - 1 > 0.02
    assert -1e-5 < gap < 0.0015


def test_a_serial_system_ends_at_the_optimum_of_clark_and_scarf() -> None:
    """Paired with the optimal policy on common random numbers: at most 0.1 % above it."""
    problem = serial(periods=300, warm_up=100)
    training = train_pathwise(problem, steps=150, settings={"batch": (128, 256)}, evaluations=1)
    scenarios = sample(problem.network, periods=problem.periods, replications=400, seed=3)
    optimum = simulate(problem, make_plan("clark_scarf", problem).policy, scenarios).cost
    learned = simulate(problem, training.policy, scenarios).cost
    reference = reference_of(problem)
    assert reference is not None
    assert optimum.mean() == pytest.approx(reference.value, rel=0.01)
    assert learned.mean() <= 1.001 * optimum.mean()


def test_the_same_seed_gives_the_same_bits_and_another_seed_others() -> None:
    first = quick()
    assert same(first, quick())
    assert not same(first, quick(seed=1))


@pytest.mark.parametrize("kept", [1, 2, 3])
def test_a_training_that_was_stopped_goes_on_to_the_same_bits(
    kept: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Stopped after each of its checkpoints, among them one before the inputs are standardised."""
    whole = quick(steps=40)
    keep, calls = pathwise._keep, []

    def keep_and_stop(*arguments: Any) -> None:
        keep(*arguments)
        calls.append(arguments)
        if len(calls) == kept:
            raise KeyboardInterrupt

    monkeypatch.setattr(pathwise, "_keep", keep_and_stop)
    with pytest.raises(KeyboardInterrupt):
        quick(steps=40, checkpoint=tmp_path)
    monkeypatch.setattr(pathwise, "_keep", keep)
    assert same(whole, quick(steps=40, checkpoint=tmp_path))


def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path) -> None:
    quick(checkpoint=tmp_path)
    with pytest.raises(MethodError, match=r"holds a training with other seed, steps; give another checkpoint folder"):
        quick(seed=2, steps=25, checkpoint=tmp_path)
    with pytest.raises(MethodError, match=r"other validation_replications;"):
        quick(validation_replications=9, checkpoint=tmp_path)


def test_a_saved_policy_orders_as_the_trained_one(tmp_path: Path) -> None:
    training = quick(one_warehouse(periods=60, warm_up=20))
    training.policy.save(tmp_path)
    problem = one_warehouse(periods=60, warm_up=20)
    scenarios = sample(problem.network, periods=60, replications=5, seed=0)
    trained, loaded = (simulate(problem, p, scenarios).cost for p in (training.policy, LearnedPolicy.load(tmp_path)))
    np.testing.assert_array_equal(trained, loaded)


def test_orders_are_whole_where_units_are_whole_and_continuous_elsewhere() -> None:
    gamma = {"law": "gamma", "mean": 5.0, "sd": 2.0}
    for demand, is_whole in (("poisson", True), (gamma, False)):
        problem = lost_sales(demand=demand, periods=60, warm_up=20)
        training = quick(problem)
        scenarios = sample(problem.network, periods=60, replications=4, seed=0)
        trace = simulate(problem, training.policy, scenarios, trace=True).trace
        assert trace is not None
        assert bool((trace.ordered == np.rint(trace.ordered)).all()) == is_whole


def test_standardised_inputs_do_not_change_what_an_actor_says() -> None:
    actor = PathwiseActor(SHOP.network, "orders", Architecture(hidden=(16,)))
    width = actor.codec.observation_space.shape[0]
    generator = torch.Generator().manual_seed(0)
    seen = torch.rand(32, width, generator=generator)
    before = actor.body(seen)
    actor.body.standardise(torch.arange(width) * 0.3, torch.arange(1, width + 1) * 0.2)
    torch.testing.assert_close(actor.body(seen), before, rtol=1e-5, atol=1e-6)
    assert not torch.equal(actor.body.centre, torch.ones(width))


def test_the_slope_is_that_of_the_cost() -> None:
    """Against central differences on the same demand, with the tail's policy as it was."""
    learner = Learner(SHOP, PathwiseSettings.of(SMALL | {"batch": (512, 512)}), seed=5, steps=10)
    for _ in range(3):  # away from whole stocks, where the slope jumps
        learner.update()
    *_, bias = learner.actor.parameters()
    bias.grad = None

    def cost(shift: float) -> Any:
        with torch.no_grad():
            bias.add_(shift)
        learner.drawn = 0
        mean, _ = learner._simulate(torch.arange(512))
        with torch.no_grad():
            bias.sub_(shift)
        return mean

    cost(0.0).backward()
    assert bias.grad is not None
    assert float(bias.grad) == pytest.approx(float((cost(0.02) - cost(-0.02)).detach()) / 0.04, rel=0.03)
    assert abs(float(bias.grad)) > 0.01


def test_states_of_the_pool_begin_anew_when_the_horizon_is_over() -> None:
    problem = lost_sales(periods=30, warm_up=0)
    learner = Learner(problem, PathwiseSettings.of(SMALL | {"batch": (8, 8)}), seed=0, steps=50)
    start = learner.dynamics.start[0]
    anew = 0
    for _ in range(12):
        learner.update()
        assert int(learner.age.max()) < 30
        young = learner.age == 0
        anew += int(young.sum())
        assert torch.equal(learner.pool[0][young], start[young])
    assert anew > 8


def test_the_unroll_covers_whole_cycles_of_a_calendar() -> None:
    network = lost_sales().network
    node = network.nodes[0]
    assert node.demand is not None
    weekly = node.model_copy(update={"demand": node.demand.model_copy(update={"seasonal": (1.5, 1, 1, 1, 1, 1, 0.5)})})
    problem = Problem("week", network.model_copy(update={"nodes": (weekly,)}), periods=70, warm_up=14)
    learner = Learner(problem, PathwiseSettings.of(SMALL | {"unroll": 10}), seed=0, steps=10)
    assert learner.unroll == 14
    made = learner.update()
    assert math.isfinite(made.cost)


def test_a_training_begins_with_what_another_policy_does() -> None:
    teacher = order_up_to(SHOP.network, [15.0])
    started, fresh = (quick(steps=1, start=start, evaluations=1) for start in (teacher, None))
    scenarios = sample(SHOP.network, periods=SHOP.periods, replications=20, seed=1)
    taught, untaught, goal = (simulate(SHOP, p, scenarios).cost.mean() for p in (started.policy, fresh.policy, teacher))
    assert abs(taught - goal) < 0.2 * abs(untaught - goal)


def test_progress_and_log_tell_of_the_training(tmp_path: Path) -> None:
    heard: list[tuple[int, float]] = []
    training = quick(log_folder=tmp_path, on_progress=lambda step, cost: heard.append((step, cost)))
    assert [step for step, _ in heard] == [*range(1, 25)]
    assert all(math.isfinite(cost) for _, cost in heard)
    assert [point["steps"] for point in training.curve] == [6, 12, 18, 24]
    event_accumulator: Any = import_module("tensorboard.backend.event_processing.event_accumulator")
    events = event_accumulator.EventAccumulator(str(tmp_path))
    events.Reload()
    tags = set(events.Tags()["scalars"])
    assert tags >= {"train/cost", "train/gradient_norm", "validation/cost", "validation/gap_percent"}
    assert [event.step for event in events.Scalars("validation/cost")] == [6, 12, 18, 24]


def test_a_training_without_improvement_stops_where_patience_ends() -> None:
    training = quick(steps=400, evaluations=40, settings=SMALL | {"patience": 2, "learning_rate": 1e-9})
    assert training.steps == 30


def test_a_training_that_diverges_is_refused_with_what_prevents_it() -> None:
    with pytest.raises(MethodError, match=r"diverges after \d+ updates .*a smaller learning_rate or clip prevents"):
        quick(settings=SMALL | {"learning_rate": 1e30, "clip": 1e30}, steps=60, evaluations=1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"unrol": 3}, "unrol: unknown key; did you mean 'unroll'?"),
        ({"unroll": 0}, "unroll: must be at least 1 (got 0)"),
        ({"tail": -1}, "tail: must be at least 0 (got -1)"),
        ({"batch": (64, 32)}, "batch: must not fall"),
        ({"hidden": ()}, "hidden: must have at least 1 item (got ())"),
        ({"learning_rate": math.nan}, "learning_rate: must be finite (got nan)"),
        ({"averaging": 1.0}, "averaging: must be less than 1 (got 1.0)"),
        ({"activation": "Silu"}, "activation: must be 'SiLU', 'Hardswish', 'ReLU', 'ELU' or 'Tanh' (got 'Silu')"),
        ({"device": "gpu"}, "device: must be a device that PyTorch has here"),
    ],
)
def test_settings_that_cannot_be_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(MethodError) as caught:
        PathwiseSettings.of(settings)
    assert message in str(caught.value)


def test_problems_whose_costs_jump_are_refused() -> None:
    with pytest.raises(MethodError) as caught:
        train_pathwise(make_problem("echelon/MinMaxCase-v0"))
    assert "pathwise gradients need costs without steps; use the algorithm 'controlled' (got fixed_cost" in str(
        caught.value
    )
    with pytest.raises(MethodError, match=r"steps must be a whole number of at least 1 \(got 0\)"):
        train_pathwise(SHOP, steps=0)
