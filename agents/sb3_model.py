"""Setting up a model of Stable-Baselines3 for a problem: its environment, its networks and where its critic starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.noise import NormalActionNoise

from echelon.agents.algorithms import INITIAL_LOG_STD, NETWORK, algorithm_of, is_on_policy
from echelon.agents.sb3_actor import architecture_of
from echelon.agents.vec_env import NativeVecEnv
from echelon.envs.codec import Codec, Decision
from echelon.envs.errors import MethodError
from echelon.envs.problem import Problem
from echelon.envs.vector_env import NetworkVectorEnv

EPISODE = 200
"""Periods of a training episode, or ten times the longest echelon lead time, if that is more."""
PROBE = 50
"""Periods in which the reward of the untrained policy is measured, to start the critic at its level."""
LAST_RATE = 0.01
"""Share of the learning rate that is left at the end."""


def training_env(problem: Problem, codec: Codec, copies: int) -> NativeVecEnv:
    """Copies with short episodes, or, where every period from the first one counts, those of the problem."""
    long_run = problem.warm_up > 0 or problem.discount < 1
    periods = max(EPISODE, 10 * int(codec.echelon_cover.max())) if long_run else problem.periods
    episodes = replace(problem, periods=periods, warm_up=0, discount=1.0)
    native = NetworkVectorEnv(episodes, copies, decision=codec.decision, action=codec.action)
    return NativeVecEnv(native, expected_cost=True)


def new_model(
    algorithm: str, env: NativeVecEnv, *, seed: int, settings: Mapping[str, Any], decision: Decision
) -> BaseAlgorithm:
    """The untrained model. Raises `MethodError` if the algorithm cannot take the settings or the actions."""
    kind = algorithm_of(algorithm)
    try:
        arguments = _arguments(algorithm, env, settings, decision)
        model = kind("MlpPolicy", env, seed=seed, device="cpu", **arguments)
    except (TypeError, AssertionError, ValueError) as error:
        raise MethodError(f"{algorithm} cannot be set up: {error}") from error
    architecture_of(model.policy)  # raises before the training if no checkpoint could be written after it
    env.seed(int(np.random.SeedSequence((seed, 1)).generate_state(1)[0]))  # after the model, which seeds it anew
    if is_on_policy(algorithm):
        _start_critic_at(model, _mean_reward(model, env))
    return model


def _arguments(algorithm: str, env: NativeVecEnv, settings: Mapping[str, Any], decision: Decision) -> dict[str, Any]:
    """Arguments of the algorithm: a rate becomes a schedule, a standard deviation of the action becomes noise."""
    network = dict(NETWORK)
    if is_on_policy(algorithm):
        network["log_std_init"] = INITIAL_LOG_STD[decision]
    own = settings.get("policy_kwargs", {})
    if not isinstance(own, Mapping):
        raise TypeError(f"policy_kwargs must be a mapping (got {own!r})")
    arguments = {**settings, "policy_kwargs": network | dict(own)}
    arguments["learning_rate"] = _falling(settings.get("learning_rate", 3e-4))
    noise = settings.get("action_noise")
    if isinstance(noise, int | float):
        links = env.action_space.shape or ()
        arguments["action_noise"] = NormalActionNoise(np.zeros(links), np.full(links, float(noise)))
    return arguments


def _falling(rate: Any) -> Callable[[float], float] | Any:
    """A schedule that falls linearly with what remains of the training."""
    return (lambda remaining: rate * max(remaining, LAST_RATE)) if isinstance(rate, int | float) else rate


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
