"""Stable-Baselines3 algorithms, trained on the native vector environment through one door."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.callbacks import BaseCallback
from stable_baselines3.common.logger import Logger

from echelon.agents.algorithms import (
    DEFAULTS,
    NARROWING,
    algorithm_of,
    all_settings,
    is_on_policy,
    plain,
)
from echelon.agents.callbacks import Validation
from echelon.agents.decisions import default_decision
from echelon.agents.learned import training_record
from echelon.agents.sb3_callbacks import BatchedBootstrap, Exploration, WeightAverage
from echelon.agents.sb3_log import TensorBoard
from echelon.agents.sb3_model import new_model, training_env
from echelon.agents.sb3_resume import SAVES, Resumption, require_resumable
from echelon.agents.sb3_warm_start import start_from
from echelon.agents.training import Training, identity_of
from echelon.agents.vec_env import NativeVecEnv
from echelon.envs.codec import ActionKind, Codec, Decision
from echelon.envs.errors import MethodError
from echelon.envs.policy import Policy
from echelon.envs.problem import Problem


def train_sb3(
    problem: Problem,
    *,
    algorithm: str = "ppo",
    seed: int = 0,
    steps: int = 2_000_000,
    copies: int | None = None,
    decision: Decision | None = None,
    action: ActionKind | None = None,
    settings: Mapping[str, Any] | None = None,
    start: Policy | None = None,
    evaluations: int = 8,
    validation_replications: int = 200,
    patience: int | None = None,
    checkpoint: str | Path | None = None,
    log_folder: str | Path | None = None,
    on_progress: Callable[[int, float], None] | None = None,
    on_evaluation: Callable[[int, float], bool] | None = None,
) -> Training:
    """Train a policy of Stable-Baselines3 on a problem.

    `steps` counts periods over all `copies` of the environment; the learning rate falls linearly to
    0 over them. `settings` override the algorithm's arguments. With a `start` the network first learns to order as
    that policy does, see `start_from`. The policy that costs least on the validation scenarios, out of `evaluations`
    spread over the training, is returned; on-policy algorithms are evaluated by the average of their weights over the
    last rollouts. With a `patience`, training ends when so many evaluations in a row are no better.

    On-policy trainings are saved to the folder `checkpoint` now and then; called again with the same arguments they
    go on from there, and end with the same numbers as without the interruption (on the same versions and machine).
    With a `log_folder` the training is logged for TensorBoard. `on_progress(steps, cost)` hears of it;
    `on_evaluation(steps, cost)` ends it by returning False. PyTorch is set to one thread: the networks are small, and
    more threads make their training slower.
    """
    algorithm_of(algorithm)
    for name, value in (("steps", steps), ("copies", copies), ("evaluations", evaluations)):
        if value is not None and value < 1:
            raise MethodError(f"{name} must be at least 1 (got {value})")
    torch.set_num_threads(1)
    chosen = all_settings(problem, algorithm, settings or {})
    if checkpoint is not None:
        require_resumable(algorithm, chosen)
    model, env, codec = set_up(
        problem, algorithm, seed=seed, copies=copies, decision=decision, action=action, settings=chosen
    )
    copies = env.num_envs
    if start is not None:
        start_from(start, problem, model, env, algorithm=algorithm, seed=seed)
    if log_folder is not None:
        model.set_logger(Logger(None, [TensorBoard(log_folder)]))
    average = WeightAverage() if is_on_policy(algorithm) else None
    validation = Validation(
        problem,
        every=steps / evaluations,
        seed=seed,
        replications=validation_replications,
        patience=patience,
        average=average,
        at_start=start is not None,
        on_progress=on_progress,
        on_evaluation=on_evaluation,
    )
    helpers: list[BaseCallback] = [validation]
    if average is not None:
        helpers = [BatchedBootstrap(), Exploration(0.0 if start else NARROWING[codec.decision]), average, validation]
    if checkpoint is not None:
        own = {"algorithm": algorithm, "copies": copies, "decision": codec.decision, "action": codec.action}
        watched = {"evaluations": evaluations, "validation_replications": validation_replications, "patience": patience}
        identity = identity_of(problem, seed=seed, steps=steps, settings=plain(chosen), start=start) | own | watched
        helpers.insert(0, Resumption(checkpoint, identity, every=steps / SAVES, env=env, helpers=helpers))
    _learn(model, algorithm, steps, helpers)
    seconds = validation.spent
    validation.evaluate()
    settled = {"copies": copies, **chosen}
    record = training_record(seed=seed, steps=model.num_timesteps, settings=plain(settled))
    policy = replace(validation.best_policy(), training=record)
    return Training(policy, tuple(validation.curve), model.num_timesteps, seconds, settled)


def set_up(
    problem: Problem,
    algorithm: str,
    *,
    seed: int,
    copies: int | None,
    decision: Decision | None,
    action: ActionKind | None,
    settings: Mapping[str, Any],
) -> tuple[BaseAlgorithm, NativeVecEnv, Codec]:
    """The untrained model, its environment and its codec. Raises `MethodError` for settings that it cannot take."""
    defaults = DEFAULTS[algorithm]
    codec = Codec(problem.network, decision or default_decision(problem.network), action or defaults.action)
    env = training_env(problem, codec, copies or defaults.copies)
    return new_model(algorithm, env, seed=seed, settings=settings, decision=codec.decision), env, codec


def _learn(model: BaseAlgorithm, algorithm: str, steps: int, helpers: list[BaseCallback]) -> None:
    try:
        model.learn(steps, callback=helpers)
    except ValueError as error:
        raise MethodError(
            f"{algorithm} cannot go on after {model.num_timesteps} steps; its numbers may have diverged, "
            f"which a smaller learning_rate prevents: {error}"
        ) from error
