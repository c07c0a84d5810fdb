"""Models of Stable-Baselines3 that start from a policy: the actor as its clone, the critic at its value."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.policies import ActorCriticPolicy, BasePolicy
from torch import Tensor, nn

from echelon.agents.algorithms import NARROWING
from echelon.agents.sb3_actor import Sb3Actor
from echelon.agents.vec_env import NativeVecEnv
from echelon.agents.warm_start import BATCH, Cloning, Student, clone
from echelon.envs.codec import Codec
from echelon.envs.errors import MethodError
from echelon.envs.policy import Policy
from echelon.envs.problem import Problem
from echelon.envs.state import State

Floats = NDArray[np.float64]
SLACK = 0.25
"""Units by which an output may miss a whole order of the teacher without loss; beyond 0.5 it is another order."""
CRITIC_UPDATES = 500
"""Steps by which the critic learns the value of a clone."""
RETURNS = 128
"""Periods from which it learns that."""


def start_from(
    teacher: Policy, problem: Problem, model: BaseAlgorithm, env: NativeVecEnv, *, algorithm: str, seed: int
) -> Cloning:
    """Let a model begin as the clone of a teacher; an on-policy one also learns the clone's value.

    It then explores as narrowly as an untrained one would at the end of its training. Raises `MethodError` for
    algorithms whose networks hold values of actions, and no orders.
    """
    codec, policy = env.native.codec, model.policy
    cloning = clone(teacher, problem, student_of(Sb3Actor(codec, policy, algorithm)), seed=seed)
    if isinstance(policy, ActorCriticPolicy):
        if hasattr(policy, "log_std"):
            with torch.no_grad():
                policy.log_std.sub_(NARROWING[codec.decision])
        _fit_critic(policy, env, model.gamma, seed)  # type: ignore[attr-defined]
    return cloning


def student_of(actor: Sb3Actor) -> Student:
    """A network of Stable-Baselines3 as a student."""
    codec, policy = actor.codec, actor.policy
    if isinstance(policy, ActorCriticPolicy):
        parts: list[nn.Module] = [policy.mlp_extractor.policy_net, policy.action_net]
        learned = tuple(parameter for part in parts for parameter in part.parameters())
        if codec.action == "discrete":
            return Student(learned, codec.observe, _choice_of(codec), _surprise(policy), actor.orders)
        mean = partial(_mean_action, policy)
        return Student(learned, codec.observe, _interval_of(codec), _distance(mean), actor.orders)
    network: Any = getattr(policy, "actor", None)
    if network is None:
        raise MethodError(f"{actor.algorithm} cannot start from a policy: its network holds values, not orders")
    return Student(tuple(network.parameters()), codec.observe, _interval_of(codec), _distance(network), actor.orders)


def _mean_action(policy: ActorCriticPolicy, seen: Tensor) -> Tensor:
    mean: Tensor = policy.get_distribution(seen).distribution.mean  # type: ignore[union-attr]
    return mean


def actions_for(codec: Codec, quantity: Floats) -> Floats:
    """[B, E] continuous actions that name orders or levels [B, E], also beyond the range of what they can name."""
    low, high = (np.zeros_like(codec.order_limit), codec.order_limit)
    if codec.decision == "levels":
        low, high = codec.level_range
    middle = np.minimum(codec.mean if codec.decision == "orders" else (low + high) / 2, high)
    below = (quantity - middle) / np.maximum(middle - low, 1e-9)
    above = (quantity - middle) / np.maximum(high - middle, 1e-9)
    return np.where(quantity < middle, below, above)


def _interval_of(codec: Codec) -> Callable[[Floats, State], Floats]:
    """[B, 2 E] the lowest and the highest actions that are a teacher's orders; open where nothing more can be named."""

    def target(orders: Floats, state: State) -> Floats:
        named = orders if codec.decision == "orders" else orders + np.asarray(state.echelon_inventory_position)
        slack = SLACK if codec.arrays.whole_units else 0.0
        low = np.clip(actions_for(codec, named - slack), -1.0, 1.0)
        high = np.clip(actions_for(codec, named + slack), -1.0, 1.0)
        low = np.where((orders <= 0) | (low <= -1), -np.inf, low)
        high = np.where(high >= 1, np.inf, high)
        return np.concatenate([low, high], axis=1)

    return target


def _distance(output: Callable[[Tensor], Tensor]) -> Callable[[Tensor, Tensor], Tensor]:
    """[B] the squared distance of outputs [B, E] from their intervals [B, 2 E], summed over the links."""

    def loss(seen: Tensor, told: Tensor) -> Tensor:
        low, high = told.chunk(2, dim=1)
        action = output(seen)
        return ((low - action).clamp(min=0) + (action - high).clamp(min=0)).square().sum(dim=1)

    return loss


def _choice_of(codec: Codec) -> Callable[[Floats, State], Floats]:
    """[B, E] the discrete actions nearest to a teacher's orders."""
    links = len(codec.network.links)
    counts = codec.action_space.nvec if links > 1 else [codec.action_space.n]  # type: ignore[attr-defined]
    steps = [codec.quantities(np.full((1, links), k), 1, 0)[:, 0] for k in (0, 1)]

    def target(orders: Floats, state: State) -> Floats:
        named = orders if codec.decision == "orders" else orders + np.asarray(state.echelon_inventory_position)
        return np.clip(np.rint((named - steps[0]) / (steps[1] - steps[0])), 0, np.asarray(counts) - 1)

    return target


def _surprise(policy: ActorCriticPolicy) -> Callable[[Tensor, Tensor], Tensor]:
    """[B] minus the logarithm of the chance that the network gives to the teacher's choices [B, E]."""

    def loss(seen: Tensor, told: Tensor) -> Tensor:
        choices = told.long()
        return -policy.get_distribution(seen).log_prob(choices if choices.shape[1] > 1 else choices[:, 0])

    return loss


def _fit_critic(policy: ActorCriticPolicy, env: NativeVecEnv, gamma: float, seed: int) -> None:
    """Regress the critic on the discounted rewards of the exploring clone; after the last period their mean goes on."""
    observations, rewards = _experience(policy, env)
    level = float(rewards.mean()) / (1 - gamma) if gamma < 1 else 0.0
    value, returns = np.full(rewards.shape[1], level), np.empty_like(rewards)
    for t in reversed(range(len(rewards))):
        value = rewards[t] + gamma * value
        returns[t] = value
    seen = torch.as_tensor(observations.reshape(-1, observations.shape[-1]))
    told = torch.as_tensor(returns.ravel())
    with torch.no_grad():
        policy.value_net.bias.fill_(told.mean())
    learned = [*policy.mlp_extractor.value_net.parameters(), *policy.value_net.parameters()]
    optimiser = torch.optim.Adam(learned, lr=1e-3)
    rng = np.random.default_rng(np.random.SeedSequence((seed, 3)))
    for _ in range(CRITIC_UPDATES):
        some = torch.as_tensor(rng.integers(len(seen), size=BATCH))
        loss = (policy.predict_values(seen[some]).flatten() - told[some]).square().mean()
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(learned, 1.0)
        optimiser.step()


def _experience(policy: BasePolicy, env: NativeVecEnv) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Observations [T, B, D] and rewards [T, B] of the exploring policy."""
    observation: Any = env.reset()
    seen, rewards = [], []
    for _ in range(RETURNS):
        seen.append(observation)
        action, _ = policy.predict(observation)
        observation, reward, _, _ = env.step(action)
        rewards.append(reward)
    return np.stack(seen), np.stack(rewards).astype(np.float32)
