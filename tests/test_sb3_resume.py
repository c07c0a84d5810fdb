"""Trainings of Stable-Baselines3 that were interrupted end with the very numbers of those that were not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")

import torch

from echelon.agents import NativeVecEnv
from echelon.agents.sb3 import train_sb3
from echelon.agents.training import Training
from echelon.envs.catalogue import lost_sales, one_warehouse
from echelon.envs.errors import MethodError
from echelon.envs.policy import order_up_to
from echelon.envs.problem import Problem
from echelon.envs.vector_env import NetworkVectorEnv

SHOP = lost_sales(lead_time=2, periods=60, warm_up=10)
TREE = one_warehouse(periods=60, warm_up=10)
SETTINGS: dict[str, dict[str, Any]] = {
    "ppo": {"n_steps": 16, "batch_size": 128, "n_epochs": 2},
    "a2c": {"n_steps": 16},
    "trpo": {"n_steps": 16, "batch_size": 128},
}


class Interrupted(Exception):
    """What stops a training in the middle."""


def train(algorithm: str = "ppo", problem: Problem = SHOP, *, until: int | None = None, **options: Any) -> Training:
    """A short training, interrupted after so many steps."""

    def stop(steps: int, _: float) -> None:
        if until is not None and steps >= until:
            raise Interrupted

    given: dict[str, Any] = {"seed": 3, "steps": 4_096, "copies": 16, "settings": SETTINGS[algorithm], **options}
    return train_sb3(problem, algorithm=algorithm, evaluations=4, validation_replications=8, on_progress=stop, **given)


def assert_same(one: Training, other: Training) -> None:
    """The weights to the bit, and the curve but for the time that it took."""
    ours, theirs = one.policy.actor.state_dict(), other.policy.actor.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    for key in ("steps", "cost", "half_width"):
        assert [point[key] for point in one.curve] == [point[key] for point in other.curve]
    assert one.steps == other.steps


@pytest.mark.parametrize(("algorithm", "problem"), [("ppo", SHOP), ("ppo", TREE), ("a2c", SHOP), ("trpo", SHOP)])
def test_a_training_that_was_interrupted_twice_ends_as_one_that_was_not(
    algorithm: str, problem: Problem, tmp_path: Path
) -> None:
    whole = train(algorithm, problem)
    for until in (1_000, 2_700):
        with pytest.raises(Interrupted):
            train(algorithm, problem, until=until, checkpoint=tmp_path)
        np.random.seed(0)  # noqa: NPY002 (what runs in between must not matter)
        torch.manual_seed(0)
    heard: list[int] = []
    resumed = train_sb3(
        problem,
        algorithm=algorithm,
        seed=3,
        steps=4_096,
        copies=16,
        settings=SETTINGS[algorithm],
        evaluations=4,
        validation_replications=8,
        checkpoint=tmp_path,
        on_progress=lambda steps, _: heard.append(steps),
    )
    assert_same(resumed, whole)
    assert 2_000 < heard[0] < 2_900
    assert_same(train(algorithm, problem, checkpoint=tmp_path), whole)


def test_a_training_with_a_warm_start_goes_on_as_well(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("echelon.agents.sb3_warm_start.RETURNS", 16)
    monkeypatch.setattr("echelon.agents.sb3_warm_start.CRITIC_UPDATES", 10)
    monkeypatch.setattr("echelon.agents.sb3_warm_start.clone", lambda *_, **__: None)
    options: dict[str, Any] = {"start": order_up_to(SHOP.network, [17.0]), "steps": 2_048}
    whole = train(**options)
    with pytest.raises(Interrupted):
        train(until=1_000, checkpoint=tmp_path, **options)
    assert_same(train(checkpoint=tmp_path, **options), whole)


def test_a_save_holds_tensors_and_text_and_nothing_that_runs(tmp_path: Path) -> None:
    train(checkpoint=tmp_path, steps=1_024)
    files = [file for file in tmp_path.iterdir() if file.is_file()]
    assert {file.suffix for file in files} == {".json", ".safetensors"}
    assert not any(b"PK\x03\x04" in file.read_bytes()[:8] for file in files)


def test_a_save_of_another_training_is_refused(tmp_path: Path) -> None:
    train(checkpoint=tmp_path, steps=1_024)
    others: list[tuple[str, dict[str, Any]]] = [("seed", {"seed": 4}), ("steps", {"steps": 2_048})]
    for what, options in [*others, ("network", {"problem": TREE}), ("copies", {"copies": 8})]:
        with pytest.raises(MethodError, match=f"holds a training with other {what}"):
            train(checkpoint=tmp_path, **{"steps": 1_024, **options})
    other = {**SETTINGS["ppo"], "n_epochs": 3}
    with pytest.raises(MethodError, match="holds a training with other settings; give another checkpoint folder"):
        train(checkpoint=tmp_path, steps=1_024, settings=other)


def test_what_cannot_be_saved_is_refused_before_any_work(tmp_path: Path) -> None:
    with pytest.raises(MethodError, match="checkpoint must be left out for sac: only ppo, a2c, trpo can be saved"):
        train_sb3(SHOP, algorithm="sac", steps=100, checkpoint=tmp_path)
    with pytest.raises(MethodError, match="checkpoint must be left out with use_sde"):
        train_sb3(SHOP, steps=100, settings={"use_sde": True}, checkpoint=tmp_path)
    assert [*tmp_path.iterdir()] == []


def test_an_environment_goes_on_from_its_snapshot_across_the_end_of_an_episode() -> None:
    def steps(env: NativeVecEnv, count: int) -> list[Any]:
        taken = [env.step(actions) for _ in range(count)]
        return [np.column_stack([np.asarray(observation), reward]) for observation, reward, *_ in taken]

    actions = np.full((3, 1), 0.1, np.float32)
    first, second = (NativeVecEnv(NetworkVectorEnv(SHOP, 3), expected_cost=True) for _ in range(2))
    first.seed(7)
    first.reset()
    steps(first, 70)
    numbers, arrays = first.snapshot()
    after = steps(first, 70)
    second.restore(numbers, {name: array.copy() for name, array in arrays.items()})
    np.testing.assert_array_equal(steps(second, 70), after)
