"""Agents: the bridge to Stable-Baselines3, training that repeats itself to the bit, checkpoints that carry no code."""

from __future__ import annotations

import math
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch")
pytest.importorskip("stable_baselines3")

import torch
from stable_baselines3.common.vec_env import DummyVecEnv, VecMonitor

from echelon.agents import ALGORITHMS, LearnedPolicy, NativeVecEnv, Training
from echelon.agents.algorithms import DEFAULTS
from echelon.agents.sb3 import train_sb3
from echelon.baselines import reference_of
from echelon.envs.catalogue import lost_sales, network_problem, one_warehouse
from echelon.envs.errors import ConfigError, EchelonError, MethodError
from echelon.envs.gym_env import NetworkEnv
from echelon.envs.problem import Problem
from echelon.envs.scenarios import sample
from echelon.envs.simulate import simulate
from echelon.envs.vector_env import Batch, NetworkVectorEnv

SHOP = lost_sales(lead_time=2, periods=120, warm_up=20)
TREE = one_warehouse(periods=60, warm_up=20)
ON_POLICY = {"n_steps": 16}
REPLAY = {"learning_starts": 1_200, "batch_size": 64, "gradient_steps": 1, "buffer_size": 4_000}
QUICK: dict[str, dict[str, Any]] = {
    "ppo": {**ON_POLICY, "batch_size": 128, "n_epochs": 2},
    "a2c": ON_POLICY,
    "trpo": {**ON_POLICY, "batch_size": 128},
    "sac": REPLAY,
    "td3": REPLAY,
    "tqc": REPLAY,
    "dqn": REPLAY,
    "qrdqn": {**REPLAY, "policy_kwargs": {"n_quantiles": 5}},
}
UNTOUCHED = deepcopy(DEFAULTS)


def quick(algorithm: str = "ppo", problem: Problem = SHOP, *, steps: int = 2_000, **options: Any) -> Training:
    """A short training."""
    options = {"seed": 3, "settings": QUICK[algorithm], **options}
    return train_sb3(
        problem, algorithm=algorithm, steps=steps, copies=16, evaluations=2, validation_replications=10, **options
    )


def ordered(policy: LearnedPolicy, problem: Problem = SHOP) -> NDArray[np.float64]:
    """Orders [B, T, E] on ten scenarios."""
    scenarios = sample(problem.network, periods=problem.periods, replications=10, seed=0)
    trace = simulate(problem, policy, scenarios, trace=True).trace
    assert trace is not None
    return np.asarray(trace.ordered)


def weights(training: Training) -> dict[str, torch.Tensor]:
    return dict(training.policy.actor.state_dict())


@pytest.fixture(scope="module", params=sorted(ALGORITHMS))
def trained(request: pytest.FixtureRequest) -> Training:
    """A short training by every algorithm."""
    return quick(request.param)


def vec_env(problem: Problem = SHOP, copies: int = 3, **options: Any) -> NativeVecEnv:
    return NativeVecEnv(NetworkVectorEnv(problem, copies, **options))


@pytest.mark.parametrize("problem", [SHOP, TREE])
@pytest.mark.parametrize("action", ["continuous", "discrete"])
def test_the_vec_env_equals_single_environments_in_stable_baselines3s_own(problem: Problem, action: Any) -> None:
    """Observations, rewards, ends and what is told at an end, over more than two episodes."""
    native = vec_env(problem, action=action)
    single = DummyVecEnv([lambda: NetworkEnv(problem, action=action) for _ in range(3)])
    assert native.observation_space == single.observation_space
    assert native.action_space == single.action_space
    assert native.num_envs == single.num_envs
    assert [*native.seed(5)] == [*single.seed(5)]
    np.testing.assert_array_equal(native.reset(), single.reset())
    native.action_space.seed(1)
    for _ in range(2 * problem.periods + 5):
        actions = np.stack([native.action_space.sample() for _ in range(3)])
        ours, theirs = native.step(actions), single.step(actions)
        for mine, other in zip(ours[:3], theirs[:3], strict=True):
            assert np.asarray(mine).dtype == np.asarray(other).dtype
            np.testing.assert_array_equal(np.asarray(mine), np.asarray(other))
        for mine, other, done in zip(ours[3], theirs[3], ours[2], strict=True):
            assert ("terminal_observation" in mine) == bool(done)
            assert mine.get("TimeLimit.truncated", False) == other["TimeLimit.truncated"] == bool(done)
            if done:
                np.testing.assert_array_equal(mine["terminal_observation"], other["terminal_observation"])


def test_a_step_of_the_vec_env_has_the_shapes_and_types_of_the_contract() -> None:
    env = vec_env()
    first = env.reset()
    observation, reward, done, infos = env.step(np.zeros((3, 1), np.float32))
    for array, kind, shape in (
        (first, np.float32, (3, *(env.observation_space.shape or ()))),
        (observation, np.float32, first.shape),
        (reward, np.float32, (3,)),
        (done, np.bool_, (3,)),
    ):
        assert isinstance(array, np.ndarray)
        assert array.dtype == kind
        assert array.shape == shape
    assert not done.any()
    assert isinstance(infos, list)
    assert infos == [{}, {}, {}]
    env.close()


def test_seeds_of_the_vec_env_repeat_and_are_used_once() -> None:
    def episodes(env: NativeVecEnv) -> NDArray[Any]:
        env.seed(9)
        env.reset()
        return np.stack([env.step(np.zeros((3, 1), np.float32))[1] for _ in range(2 * SHOP.periods)])

    env = vec_env()
    first, again, other = episodes(env), episodes(env), episodes(vec_env())
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(first, other)
    assert (first[: SHOP.periods] != first[SHOP.periods :]).any()
    assert len({tuple(copy) for copy in first.T}) == 3


def test_the_vec_env_answers_questions_about_its_copies() -> None:
    env = vec_env()
    assert [problem.name for problem in env.get_attr("problem")] == [SHOP.name] * 3
    assert env.get_attr("num_envs", 1) == [3]
    assert env.get_attr("num_envs", [0, 2]) == [3, 3]
    assert env.env_is_wrapped(VecMonitor) == [False] * 3
    assert env.has_attr("codec")
    assert not env.has_attr("nonsense")
    with pytest.raises(NotImplementedError, match="share one environment"):
        env.set_attr("problem", None)
    with pytest.raises(NotImplementedError, match="share one environment"):
        env.env_method("reset")


def test_the_vec_env_can_be_monitored() -> None:
    """A wrapper of Stable-Baselines3 finds the length and the return of every episode."""
    env = VecMonitor(vec_env())
    env.reset()
    rewards = []
    for _ in range(SHOP.periods):
        _, reward, _, infos = env.step(np.zeros((3, 1), np.float32))
        rewards.append(reward)
    assert [info["episode"]["l"] for info in infos] == [SHOP.periods] * 3
    returns = np.sum(rewards, axis=0)
    assert [info["episode"]["r"] for info in infos] == pytest.approx(returns, rel=1e-4)


def test_every_algorithm_trains_and_its_policy_survives_the_checkpoint_bit_for_bit(
    trained: Training, tmp_path: Path
) -> None:
    assert 2_000 <= trained.steps < 2_000 + 16 * 16
    assert trained.seconds > 0
    assert [point["steps"] for point in trained.curve] == sorted({point["steps"] for point in trained.curve})
    assert trained.curve[-1]["steps"] == trained.steps
    assert all(math.isfinite(value) for point in trained.curve for value in point.values())
    trained.policy.save(tmp_path / "saved")
    loaded = LearnedPolicy.load(tmp_path / "saved")
    orders = ordered(trained.policy)
    assert (ordered(loaded) == orders).all()
    assert (orders >= 0).all()
    assert loaded.actor.record() == trained.policy.actor.record()
    assert loaded.method == trained.policy.method
    assert [*loaded.actor.state_dict()] == [*weights(trained)]


def test_training_repeats_itself_to_the_bit_and_depends_on_the_seed(trained: Training) -> None:
    algorithm = trained.policy.method
    again, other = quick(algorithm), quick(algorithm, seed=4)
    assert all(torch.equal(value, weights(again)[name]) for name, value in weights(trained).items())
    assert [point["cost"] for point in again.curve] == [point["cost"] for point in trained.curve]
    assert any(not torch.equal(value, weights(other)[name]) for name, value in weights(trained).items())


def test_the_best_policy_of_the_curve_is_returned(trained: Training) -> None:
    scenarios = sample(SHOP.network, periods=SHOP.periods, replications=10, seed=3, stream="validation")
    cost = simulate(SHOP, trained.policy, scenarios).cost.mean()
    assert cost == min(point["cost"] for point in trained.curve)


def test_training_leaves_the_defaults_and_the_settings_as_they_were(trained: Training) -> None:
    settings: dict[str, Any] = {**QUICK[trained.policy.method], "policy_kwargs": {"net_arch": [8]}}
    before = deepcopy(settings)
    training = quick(trained.policy.method, settings=settings, steps=200)
    assert settings == before
    assert DEFAULTS == UNTOUCHED
    assert {name: training.settings[name] for name in settings} == settings


def test_neighbouring_seeds_train_on_different_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[set[tuple[int, ...]]] = []
    seed = Batch.seed

    def spy(batch: Batch, seeds: Any) -> None:
        seed(batch, seeds)
        assert batch.keys is not None
        seen[-1] |= {tuple(map(int, key)) for key in batch.keys}

    monkeypatch.setattr(Batch, "seed", spy)
    for number in (0, 1):
        seen.append(set())
        quick(seed=number, steps=256)
    assert len(seen[0]) >= 16
    assert not seen[0] & seen[1]


@pytest.mark.parametrize(
    ("algorithm", "extra"),
    [
        ("ppo", {"policy_kwargs": {"net_arch": {"pi": [8], "vf": [16]}}}),
        ("ppo", {"policy_kwargs": {"activation_fn": torch.nn.Sigmoid}}),
        ("ppo", {"use_sde": True}),
        ("sac", {"policy_kwargs": {"net_arch": {"pi": [8], "qf": [16]}, "n_critics": 3}}),
    ],
)
def test_what_can_be_trained_can_be_saved_and_loaded(algorithm: str, extra: dict[str, Any], tmp_path: Path) -> None:
    """Or is refused before it is trained."""
    try:
        policy = quick(algorithm, steps=200, settings={**QUICK[algorithm], **extra}).policy
    except MethodError:
        return
    policy.save(tmp_path / "saved")
    assert (ordered(LearnedPolicy.load(tmp_path / "saved")) == ordered(policy)).all()


def test_policies_of_several_links_and_kinds_of_decisions_survive_the_checkpoint(tmp_path: Path) -> None:
    for number, options in enumerate(({"action": "discrete"}, {"decision": "orders"}, {"decision": "levels"})):
        policy = quick(problem=TREE, steps=256, **options).policy
        policy.save(tmp_path / f"{number}")
        loaded = LearnedPolicy.load(tmp_path / f"{number}")
        assert loaded.actor.record() == policy.actor.record()
        assert (ordered(loaded, TREE) == ordered(policy, TREE)).all()


@pytest.mark.parametrize(
    ("algorithm", "problem", "options", "message"),
    [
        ("ppoo", SHOP, {"settings": {}}, r"unknown algorithm 'ppoo'; did you mean 'ppo'\?"),
        ("dqn", TREE, {}, r"dqn .*(MultiDiscrete|4 links)"),
        ("dqn", SHOP, {"action": "continuous"}, "dqn cannot be set up: .*Box"),
        ("sac", SHOP, {"action": "discrete"}, "sac cannot be set up: .*Discrete"),
        ("ppo", SHOP, {"settings": {"learning_rte": 1e-3}}, "ppo cannot be set up: .*'learning_rte'"),
        ("ppo", SHOP, {"settings": {"seed": 3}}, "ppo cannot be set up: .*'seed'"),
        ("ppo", SHOP, {"settings": {**QUICK["ppo"], "policy_kwargs": None}}, "ppo cannot be set up"),
        ("ppo", SHOP, {"settings": {**QUICK["ppo"], "learning_rate": 1e10}}, "ppo .*|.* not finite .*"),
    ],
)
def test_what_cannot_be_trained_is_a_method_error(
    algorithm: str, problem: Problem, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(MethodError, match=message):
        train_sb3(
            problem, algorithm=algorithm, **{"steps": 512, "settings": QUICK.get(algorithm, {}), **options}, copies=16
        )


@pytest.mark.parametrize("options", [{"steps": 0}, {"copies": 0}, {"copies": -1}, {"decision": "level"}])
def test_arguments_of_a_training_out_of_bounds_are_refused(options: dict[str, Any]) -> None:
    settings = {"n_steps": 16, "batch_size": 32}
    with pytest.raises((EchelonError, ValueError), match=next(iter(options))):
        train_sb3(SHOP, **{"steps": 64, "copies": 4, "settings": settings, "validation_replications": 4, **options})


def test_a_learner_may_leave_the_future_undiscounted() -> None:
    assert quick(steps=256, settings={**QUICK["ppo"], "gamma": 1.0}).steps == 256


def test_progress_is_told_of_while_training() -> None:
    heard: list[tuple[int, float]] = []
    training = quick(steps=1_024, on_progress=lambda steps, cost: heard.append((steps, cost)))
    assert [steps for steps, _ in heard] == [*range(16, 1_025, 16)]
    assert {cost for _, cost in heard if not math.isnan(cost)} == {training.curve[0]["cost"]}


def test_training_is_logged_for_tensorboard(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    quick(steps=512, log_folder=tmp_path / "log")
    (log,) = (tmp_path / "log").iterdir()
    assert log.name.startswith("events.out.tfevents")
    assert b"validation/cost" in log.read_bytes()


@pytest.mark.parametrize("missing", ["torch", "stable_baselines3", "safetensors"])
def test_without_the_extra_the_message_says_what_to_install(missing: str, tmp_path: Path) -> None:
    (tmp_path / "exp.yaml").write_text(
        "name: x\nproblems: {shop: {id: echelon/LostSales-v0, policies: {PPO: {agent: ppo}}}}\n", encoding="utf-8"
    )
    code = (
        f"import sys; sys.modules[{missing!r}] = None; sys.argv[1:] = ['run', 'exp.yaml', '--out', 'out']\n"
        "from echelon.experiments.cli import main; main()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False, cwd=tmp_path
    )
    assert ended.returncode == 2
    assert ended.stderr == (
        f"learned policies need the extra 'learn' ({missing} is not installed): "
        "pip install 'echelon[learn]' -c constraints.txt\n"
    )
    assert not (tmp_path / "out").exists()


def test_ppo_learns_the_optimal_policy_of_a_single_location() -> None:
    """Backorders, Poisson demand of 5 and lead time 1: base stock is optimal (Arrow, Harris and Marschak 1951)."""
    node = {
        "name": "store",
        "holding_cost": 1.0,
        "stockout_cost": 1.0,
        "demand": {"law": "poisson", "mean": 5.0},
        "initial_on_hand": 5,
    }
    link = {"target": "store", "lead_time": 1, "initial_in_transit": 5}
    problem = network_problem(network={"nodes": [node], "links": [link]}, periods=400, warm_up=100)
    reference = reference_of(problem)
    assert reference is not None
    settings = {"batch_size": 512, "n_epochs": 4}
    training = train_sb3(
        problem, steps=100_000, copies=64, settings=settings, evaluations=8, validation_replications=50
    )
    scenarios = sample(problem.network, periods=400, replications=500, seed=0)
    cost = simulate(problem, training.policy, scenarios).cost.mean()
    assert training.curve[0]["cost"] > 1.2 * reference.value
    assert 0.98 * reference.value < cost < 1.05 * reference.value
    assert training.seconds < 30


def test_the_usual_helper_of_stable_baselines3_makes_the_environment() -> None:
    from stable_baselines3.common.env_util import make_vec_env

    env = make_vec_env("echelon:echelon/LostSales-v0", n_envs=2, seed=0)
    assert np.asarray(env.reset()).shape == (2, 5)


def test_a_setting_that_the_algorithm_does_not_take_is_named_before_any_work(tmp_path: Path) -> None:
    from echelon.experiments.config import load_config
    from echelon.experiments.run import run_experiment

    path = tmp_path / "exp.yaml"
    path.write_text(
        "name: x\nproblems:\n  shop:\n    id: echelon/LostSales-v0\n"
        "    policies: {PPO: {agent: ppo, settings: {gama: 0.9}}}\n"
    )
    with pytest.raises(ConfigError, match=r"problems\.shop\.policies\.PPO.*gama: .*did you mean 'gamma'\?"):
        run_experiment(load_config(path), out=tmp_path / "out")
    assert not (tmp_path / "out").exists()
