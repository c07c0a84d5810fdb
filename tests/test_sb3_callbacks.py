"""What trains beside Stable-Baselines3: the batched bootstrap, the expected cost, the evaluation with its interval."""

from __future__ import annotations

import importlib
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("stable_baselines3")

import torch
from scipy import stats
from stable_baselines3 import PPO
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.vec_env import VecMonitor

from echelon.agents import NativeVecEnv
from echelon.agents.callbacks import Validation
from echelon.agents.sb3 import train_sb3
from echelon.agents.sb3_callbacks import BatchedBootstrap, Exploration, WeightAverage
from echelon.agents.training import half_width
from echelon.agents.vec_env_luck import DemandLuck, Shortage
from echelon.envs.catalogue import lost_sales, one_warehouse
from echelon.envs.demand import as_law
from echelon.envs.errors import MethodError
from echelon.envs.problem import Problem
from echelon.envs.simulate import simulate
from echelon.envs.vector_env import NetworkVectorEnv

SHOP = lost_sales(lead_time=2, periods=30, warm_up=5)
TREE = one_warehouse(periods=30, warm_up=5)


class Seen(BaseCallback):
    """Keeps the rewards that reached the rollout buffer, and counts the calls of the critic."""

    def _on_step(self) -> bool:
        return True

    def _on_rollout_end(self) -> None:
        self.rewards = self.model.rollout_buffer.rewards.copy()  # type: ignore[attr-defined]
        self.advantages = self.model.rollout_buffer.advantages.copy()  # type: ignore[attr-defined]


def model(problem: Problem = SHOP, copies: int = 16, **options: Any) -> PPO:
    env = NativeVecEnv(NetworkVectorEnv(problem, copies), **options)
    settings: dict[str, Any] = {"n_steps": 64, "batch_size": 256, "n_epochs": 1}
    return PPO("MlpPolicy", env, seed=1, device="cpu", **settings)


def test_the_batched_bootstrap_gives_the_numbers_of_stable_baselines3s_own_loop() -> None:
    """Two episodes end within the rollout; without any bootstrap the rewards differ there."""
    ours, theirs = Seen(), Seen()
    model().learn(1_024, callback=[BatchedBootstrap(), ours])
    model().learn(1_024, callback=theirs)
    np.testing.assert_allclose(ours.rewards, theirs.rewards, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(ours.advantages, theirs.advantages, rtol=1e-4, atol=1e-5)
    env = model().get_env()
    assert env is not None


def test_the_critic_is_asked_once_for_all_copies_that_end(monkeypatch: pytest.MonkeyPatch) -> None:
    trained = model()
    asked: list[int] = []
    predict = trained.policy.predict_values

    def spy(seen: Any) -> torch.Tensor:
        asked.append(len(seen))
        return predict(seen)

    monkeypatch.setattr(trained.policy, "predict_values", spy)
    trained.learn(1_024, callback=BatchedBootstrap())
    assert asked == [16, 16, 16]  # the ends after 30 and 60 periods, and the end of the rollout


def test_the_bootstrap_works_through_a_monitor_and_leaves_its_episodes_alone() -> None:
    trained = PPO("MlpPolicy", VecMonitor(NativeVecEnv(NetworkVectorEnv(SHOP, 4))), seed=1, n_steps=64, batch_size=64)
    trained.learn(256, callback=BatchedBootstrap())
    assert trained.ep_info_buffer is not None
    assert [episode["l"] for episode in trained.ep_info_buffer] == [30] * 8


@pytest.mark.parametrize(
    "law",
    [
        {"law": "poisson", "mean": 5.0},
        {"law": "geometric", "mean": 3.0},
        {"law": "empirical", "values": [0, 0, 3, 11]},
        {"law": "gamma", "mean": 5.0, "sd": 2.0},
    ],
)
def test_the_table_of_shortages_holds_the_expectations_of_the_law(law: dict[str, Any]) -> None:
    demand = as_law(law)
    drawn = demand.sample(np.random.default_rng(0).random((1, 400_000)))[0]
    stock = np.array([-3.0, 0.0, 2.0, 4.5, 7.0, 30.0])
    left, short = Shortage.of(demand).expected(stock)
    for x, over, under in zip(stock, left, short, strict=True):
        error = 4 * drawn.std() / math.sqrt(len(drawn)) + 1e-9
        assert abs(np.maximum(x - drawn, 0).mean() - over) < error
        assert abs(np.maximum(drawn - x, 0).mean() - under) < error


@pytest.mark.parametrize("problem", [SHOP, TREE])
def test_the_expected_cost_has_the_mean_of_the_cost_and_less_noise(problem: Problem) -> None:
    """The same copies, orders and demand; the difference of the rewards is luck, of mean 0."""
    rewards: list[NDArray[Any]] = []
    for expected in (False, True):
        env = NativeVecEnv(NetworkVectorEnv(problem, 1_500), expected_cost=expected)
        env.seed(3)
        env.reset()
        env.action_space.seed(1)
        actions = np.tile(env.action_space.sample(), (1_500, 1))
        rewards.append(np.stack([env.step(actions)[1] for _ in range(2 * problem.periods)]))
    plain, expected_rewards = rewards
    luck = (plain - expected_rewards).mean(axis=0)
    assert abs(luck.mean()) < 3.5 * luck.std() / math.sqrt(len(luck))
    assert luck.std() > 0
    in_first_period = [reward[0].std() for reward in rewards]
    assert in_first_period[1] < 0.5 * in_first_period[0]


def test_outlets_with_demand_that_depends_on_the_past_or_the_calendar_have_no_luck() -> None:
    for demand in ({"law": "ar1", "mean": 5.0, "sd": 1.0, "correlation": 0.5}, {"law": "poisson", "mean": 5.0}):
        network = SHOP.network.model_dump(mode="json", exclude_defaults=True)
        network["nodes"][0]["demand"] = {**demand, **({"seasonal": [0.5, 1.5]} if demand["law"] == "poisson" else {})}
        luck = DemandLuck.of(type(SHOP.network).from_dict(network))
        assert luck.tables == ()
        assert (luck(np.ones((3, 1)), np.full((3, 1), 9.0)) == 0).all()


def test_the_interval_is_students() -> None:
    costs = np.random.default_rng(0).normal(size=12)
    low, high = stats.t.interval(0.95, 11, loc=costs.mean(), scale=stats.sem(costs))
    assert half_width(costs) == pytest.approx((high - low) / 2)
    assert half_width(costs[:1]) == 0.0


def test_ones_own_model_is_validated_on_common_scenarios(tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from stable_baselines3.common.logger import configure

    accumulator = importlib.import_module("tensorboard.backend.event_processing.event_accumulator")

    trained = model()
    trained.set_logger(configure(str(tmp_path), ["tensorboard"]))
    watched = Validation(SHOP, every=1_024, seed=5, replications=20, at_start=True)
    trained.learn(3_072, callback=watched)
    watched.evaluate()
    assert [point["steps"] for point in watched.curve] == [0, 1_024, 2_048, 3_072]
    best = simulate(SHOP, watched.best_policy(), watched.scenarios).cost
    assert best.mean() == min(point["cost"] for point in watched.curve)
    assert watched.curve[0]["half_width"] == half_width(simulate_first(trained, watched))
    log = accumulator.EventAccumulator(str(tmp_path)).Reload()
    written = {tag: [event.value for event in log.Scalars(tag)] for tag in log.Tags()["scalars"]}
    assert written["validation/cost"] == pytest.approx([point["cost"] for point in watched.curve], rel=1e-6)
    assert written["validation/half_width"] == pytest.approx([point["half_width"] for point in watched.curve], rel=1e-6)
    assert all(0 <= service <= 1 for service in written["validation/service"])


def simulate_first(trained: PPO, watched: Validation) -> NDArray[np.float64]:
    """The validation costs of the untrained model."""
    fresh = model()
    trained.policy.load_state_dict(fresh.policy.state_dict())
    return simulate(SHOP, watched.current_policy(), watched.scenarios).cost


def test_training_stops_when_nothing_improves() -> None:
    """Without a learning rate every evaluation finds the same policy."""
    still = {"learning_rate": 0.0, "n_steps": 16, "batch_size": 256, "n_epochs": 1}
    options: dict[str, Any] = {"copies": 16, "settings": still, "evaluations": 20, "validation_replications": 10}
    stopped = train_sb3(SHOP, steps=10_000, patience=3, **options)
    assert stopped.steps < 4_000
    assert len(stopped.curve) == 5
    whole = train_sb3(SHOP, steps=2_000, **options)
    assert whole.steps >= 2_000
    ended = train_sb3(SHOP, steps=10_000, on_evaluation=lambda steps, _: steps < 2_000, **options)
    assert 2_000 <= ended.steps < 3_000


@pytest.mark.parametrize(("options", "message"), [({"every": 0}, "every"), ({"every": 1, "patience": 0}, "patience")])
def test_bounds_of_a_validation(options: dict[str, Any], message: str) -> None:
    with pytest.raises(MethodError, match=f"{message} must be"):
        Validation(SHOP, replications=2, **options)


def test_exploration_narrows_evenly_and_the_average_follows_the_weights() -> None:
    trained, average = model(), WeightAverage(decay=0.5)
    before = {name: value.clone() for name, value in trained.policy.state_dict().items()}
    widths: list[float] = []

    class Width(BaseCallback):
        def _on_step(self) -> bool:
            return True

        def _on_rollout_start(self) -> None:
            widths.append(trained.policy.log_std[0].item())

    trained.learn(4 * 1_024, callback=[Exploration(1.0), average, Width()])
    assert widths == pytest.approx([0.0, -0.25, -0.5, -0.75])
    for name, value in average.policy.state_dict().items():
        ends = torch.stack([before[name], trained.policy.state_dict()[name]])
        if name == "log_std":
            assert -0.75 < float(value[0]) < 0.0
        elif (ends[0] != ends[1]).any():
            assert not torch.equal(value, ends[0])
            assert not torch.equal(value, ends[1])
