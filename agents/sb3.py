"""Stable-Baselines3 algorithms, trained on the native vector environment through one door."""

from __future__ import annotations

import inspect
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import configure
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from echelon.agents.algorithms import ALGORITHMS
from echelon.agents.learned import LearnedPolicy, architecture_of
from echelon.agents.vec_env import NativeVecEnv
from echelon.envs.codec import ActionKind, Codec, Decision
from echelon.envs.errors import MethodError, nearest
from echelon.envs.problem import Problem
from echelon.envs.scenarios import Scenarios, sample
from echelon.envs.simulate import simulate
from echelon.envs.vector_env import NetworkVectorEnv

EPISODE = 200
"""Periods of a training episode, or ten times the longest echelon lead time, if that is more."""
PROBE = 50
"""Periods in which the reward of the untrained policy is measured, to start the critic at its level."""


@dataclass(frozen=True)
class Defaults:
    """Settings that work on inventory problems with one period's demand as the unit of everything."""

    copies: int
    action: ActionKind
    settings: Mapping[str, Any]


INITIAL_LOG_STD: dict[Decision, float] = {"orders": -1.0, "levels": -2.0}
"""How widely an on-policy learner explores at first; level actions begin near good levels."""

_NETWORK = {"net_arch": [64, 64], "activation_fn": torch.nn.SiLU}
_REPLAY = {
    "learning_rate": 1e-3,
    "buffer_size": 500_000,
    "learning_starts": 10_000,
    "batch_size": 512,
    "train_freq": 1,
    "gradient_steps": 4,
}

DEFAULTS: dict[str, Defaults] = {
    "ppo": Defaults(
        128,
        "continuous",
        {
            "learning_rate": 1e-3,
            "batch_size": 1_024,
            "n_epochs": 8,
        },
    ),
    "a2c": Defaults(
        256,
        "continuous",
        {"learning_rate": 2e-3},
    ),
    "sac": Defaults(64, "continuous", _REPLAY),
    "td3": Defaults(64, "continuous", _REPLAY),
    "dqn": Defaults(
        64, "discrete", {**_REPLAY, "learning_rate": 5e-4, "target_update_interval": 2_000, "exploration_fraction": 0.3}
    ),
}


@dataclass(frozen=True, eq=False)
class Training:
    """A trained policy and how its cost fell."""

    policy: LearnedPolicy
    curve: tuple[dict[str, float], ...]
    """Cost and half width (95 %) on the validation scenarios, after so many steps and CPU seconds."""
    steps: int
    seconds: float
    """CPU seconds of training, validation left out."""
    settings: Mapping[str, Any]
    """Arguments of the algorithm, the defaults included."""
    copies: int
    """Copies of the environment."""


def unknown_settings(algorithm: str, settings: Mapping[str, Any]) -> list[str]:
    """Settings that the algorithm does not take, each with the nearest one that it does."""
    known = inspect.signature(ALGORITHMS[algorithm].__init__).parameters.keys() - {"self", "policy", "env", "seed"}
    return [f"{key}: unknown key{nearest(key, known)}" for key in settings if key not in known]


def default_decision(problem: Problem) -> Decision:
    """The orders themselves for a single location that loses sales, and echelon levels everywhere else.

    Untrained levels are near good ones, and keep the stock of a network bounded while it is explored.
    """
    network = problem.network
    loses_sales = any(outlet.stockout_rule == "lost_sales" for outlet in network.outlets)
    return "orders" if loses_sales and len(network.links) == 1 else "levels"


def train(
    problem: Problem,
    *,
    algorithm: str = "ppo",
    seed: int = 0,
    steps: int = 2_000_000,
    copies: int | None = None,
    decision: Decision | None = None,
    action: ActionKind | None = None,
    settings: Mapping[str, Any] | None = None,
    evaluations: int = 8,
    validation_replications: int = 200,
    log_folder: Path | None = None,
    on_progress: Callable[[int, float], None] | None = None,
) -> Training:
    """Train a policy of Stable-Baselines3 on a problem.

    `steps` counts periods over all `copies` of the environment; the learning rate falls linearly to
    0 over them. `settings` override the algorithm's arguments. The policy that costs least on the
    validation scenarios, out of `evaluations` spread over the training, is returned. With a
    `log_folder` the training is logged for TensorBoard. `on_progress(steps, cost)` hears of it. PyTorch is set to
    one thread: the networks are small, and more threads make their training slower.
    """
    if algorithm not in ALGORITHMS:
        raise MethodError(f"unknown algorithm {algorithm!r}{nearest(algorithm, ALGORITHMS)}")
    for name, value in (("steps", steps), ("copies", copies)):
        if value is not None and value < 1:
            raise MethodError(f"{name} must be at least 1 (got {value})")
    torch.set_num_threads(1)
    defaults = DEFAULTS[algorithm]
    codec = Codec(problem.network, decision or default_decision(problem), action or defaults.action)
    copies = copies or defaults.copies
    env = _training_env(problem, codec, copies)
    chosen = {**horizon_settings(problem, ALGORITHMS[algorithm]), **defaults.settings, **(settings or {})}
    model = _model(algorithm, env, seed, chosen, codec.decision)
    env.seed(int(np.random.SeedSequence((seed, 1)).generate_state(1)[0]))  # after the model, which seeds it anew
    if log_folder is not None:
        model.set_logger(configure(str(log_folder), ["tensorboard"]))
    _start_critic_at(model, _mean_reward(model, env))
    watch = _Watch(problem, codec, _validation(problem, seed, validation_replications), steps, evaluations, on_progress)
    started = time.process_time()
    try:
        model.learn(steps, callback=watch)
    except ValueError as error:
        raise MethodError(
            f"{algorithm} cannot go on after {model.num_timesteps} steps; its numbers may have diverged, "
            f"which a smaller learning_rate prevents: {error}"
        ) from error
    seconds = time.process_time() - started - watch.seconds
    watch.evaluate()
    return Training(watch.best_policy(), tuple(watch.curve), model.num_timesteps, seconds, chosen, copies)


def horizon_settings(problem: Problem, algorithm: type[BaseAlgorithm]) -> dict[str, Any]:
    """How far ahead a learner must look: an order shows in the costs only after the echelon lead time.

    The discount's horizon is ten echelon lead times and that of generalised advantage estimation four,
    since a shorter one would favour too little stock; both have the lower bounds that suit short ones.
    A problem that discounts keeps its own discount.
    """
    cover = float(Codec(problem.network).echelon_cover.max())
    gamma = {"gamma": problem.discount if problem.discount < 1 else 1 - 1 / max(50.0, 10 * cover)}
    if not issubclass(algorithm, OnPolicyAlgorithm):
        return gamma
    return {**gamma, "gae_lambda": 1 - 1 / max(20.0, 4 * cover), "n_steps": 8 * math.ceil(max(32.0, 2 * cover) / 8)}


def _training_env(problem: Problem, codec: Codec, copies: int) -> NativeVecEnv:
    """Copies with short episodes, or, where every period from the first one counts, those of the problem."""
    long_run = problem.warm_up > 0 or problem.discount < 1
    periods = max(EPISODE, 10 * int(codec.echelon_cover.max())) if long_run else problem.periods
    episodes = replace(problem, periods=periods, warm_up=0, discount=1.0)
    native = NetworkVectorEnv(episodes, copies, decision=codec.decision, action=codec.action)
    return NativeVecEnv(native)


def _model(
    algorithm: str, env: NativeVecEnv, seed: int, settings: Mapping[str, Any], decision: Decision
) -> BaseAlgorithm:
    rate = settings.get("learning_rate", 3e-4)
    schedule = (lambda remaining: rate * max(remaining, 0.01)) if isinstance(rate, int | float) else rate
    kind = ALGORITHMS[algorithm]
    network = dict(_NETWORK)
    if issubclass(kind, OnPolicyAlgorithm):
        network["log_std_init"] = INITIAL_LOG_STD[decision]
    own = settings.get("policy_kwargs", {})
    if not isinstance(own, Mapping):
        raise MethodError(f"{algorithm} cannot be set up: policy_kwargs must be a mapping (got {own!r})")
    network |= own
    arguments = {**settings, "learning_rate": schedule, "policy_kwargs": network}
    try:
        model = kind("MlpPolicy", env, seed=seed, device="cpu", **arguments)
    except (TypeError, AssertionError, ValueError) as error:
        raise MethodError(f"{algorithm} cannot be set up: {error}") from error
    architecture_of(model.policy)  # raises before the training if no checkpoint could be written after it
    return model


def _mean_reward(model: BaseAlgorithm, env: NativeVecEnv) -> float:
    observation: Any = env.reset()
    rewards = []
    for _ in range(PROBE):
        action, _ = model.predict(observation)
        observation, reward, _, _ = env.step(action)
        rewards.append(reward.mean())
    return float(np.mean(rewards))


def _start_critic_at(model: BaseAlgorithm, reward: float) -> None:
    """Let the value of an on-policy critic start at the discounted sum of a constant reward."""
    head = getattr(model.policy, "value_net", None)
    gamma: float = model.gamma  # type: ignore[attr-defined]
    if isinstance(head, torch.nn.Linear) and gamma < 1:
        with torch.no_grad():
            head.bias.fill_(reward / (1 - gamma))


def _validation(problem: Problem, seed: int, replications: int) -> Scenarios:
    return sample(problem.network, periods=problem.periods, replications=replications, seed=seed, stream="validation")


class _Watch(BaseCallback):
    """Evaluates the policy at even distances and keeps the best one."""

    def __init__(
        self,
        problem: Problem,
        codec: Codec,
        scenarios: Scenarios,
        steps: int,
        evaluations: int,
        on_progress: Callable[[int, float], None] | None,
    ) -> None:
        super().__init__()
        self.problem, self.codec, self.scenarios = problem, codec, scenarios
        self.every = steps / max(1, evaluations)
        self.due = self.every
        self.on_progress = on_progress
        self.curve: list[dict[str, float]] = []
        self.best: tuple[float, dict[str, torch.Tensor]] | None = None
        self.seconds = 0.0
        self.started = time.process_time()

    def _on_step(self) -> bool:
        if not math.isfinite(float(np.sum(self.locals.get("rewards", 0.0)))):
            raise MethodError(f"a reward is not finite after {self.num_timesteps} steps")
        if self.on_progress is not None:
            self.on_progress(self.num_timesteps, self.curve[-1]["cost"] if self.curve else math.nan)
        return True

    def _on_rollout_start(self) -> None:
        if self.num_timesteps >= self.due:
            self.due += self.every
            self.evaluate()

    def evaluate(self) -> None:
        """Simulate the current policy on the validation scenarios and add a point to the curve."""
        begin = time.process_time()
        cost = simulate(self.problem, self._current(), self.scenarios).cost
        mean, half_width = float(cost.mean()), float(1.96 * cost.std(ddof=1) / math.sqrt(len(cost)))
        if self.best is None or mean < self.best[0]:
            weights = {name: value.clone() for name, value in self.model.policy.state_dict().items()}
            self.best = (mean, weights)
        self.seconds += time.process_time() - begin
        spent = time.process_time() - self.started - self.seconds
        self.curve.append(
            {"steps": float(self.num_timesteps), "seconds": spent, "cost": mean, "half_width": half_width}
        )
        self.logger.record("validation/cost", mean)
        self.logger.dump(self.num_timesteps)

    def _current(self) -> LearnedPolicy:
        return LearnedPolicy(self.codec, self.model.policy, _name_of(self.model))

    def best_policy(self) -> LearnedPolicy:
        """The policy of the evaluation that cost least."""
        assert self.best is not None
        self.model.policy.load_state_dict(self.best[1])
        return self._current()


def _name_of(model: BaseAlgorithm) -> str:
    return next(name for name, kind in ALGORITHMS.items() if isinstance(model, kind))
