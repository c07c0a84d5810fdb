"""The algorithms of Stable-Baselines3 and sb3-contrib by name, with settings that suit inventory problems."""

from __future__ import annotations

import inspect
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from sb3_contrib import QRDQN, TQC, TRPO
from stable_baselines3 import A2C, DQN, PPO, SAC, TD3
from stable_baselines3.common.base_class import BaseAlgorithm
from stable_baselines3.common.on_policy_algorithm import OnPolicyAlgorithm

from echelon.envs.codec import ActionKind, Codec, Decision
from echelon.envs.errors import MethodError, nearest
from echelon.envs.problem import Problem

ALGORITHMS: dict[str, type[BaseAlgorithm]] = {
    "ppo": PPO,
    "a2c": A2C,
    "trpo": TRPO,
    "sac": SAC,
    "td3": TD3,
    "tqc": TQC,
    "dqn": DQN,
    "qrdqn": QRDQN,
}
"""By their names in configs and checkpoints."""


@dataclass(frozen=True)
class Defaults:
    """Settings that work on inventory problems with one period's demand as the unit of everything."""

    copies: int
    """Copies of the environment that step together."""
    action: ActionKind
    settings: Mapping[str, Any]


NETWORK: Mapping[str, Any] = {"net_arch": [64, 64], "activation_fn": torch.nn.SiLU}
"""Shape of the networks."""
INITIAL_LOG_STD: dict[Decision, float] = {"orders": -1.0, "levels": -2.0}
"""How widely an on-policy learner explores at first; level actions begin near good levels."""
NARROWING: dict[Decision, float] = {"orders": 1.0, "levels": 2.0}
"""By how much that logarithm falls over a training; orders are whole, and need about a unit of exploration."""

_REPLAY = {
    "learning_rate": 1e-3,
    "buffer_size": 500_000,
    "learning_starts": 10_000,
    "batch_size": 512,
    "train_freq": 1,
    "gradient_steps": 4,
}
_VALUES = {**_REPLAY, "learning_rate": 5e-4, "target_update_interval": 2_000, "exploration_fraction": 0.3}

DEFAULTS: dict[str, Defaults] = {
    "ppo": Defaults(256, "continuous", {"learning_rate": 2e-3, "batch_size": 2_048, "n_epochs": 3}),
    "a2c": Defaults(256, "continuous", {"learning_rate": 2e-3}),
    "trpo": Defaults(256, "continuous", {"learning_rate": 1e-3, "batch_size": 1_024, "target_kl": 0.02}),
    "sac": Defaults(64, "continuous", _REPLAY),
    "td3": Defaults(64, "continuous", {**_REPLAY, "action_noise": 0.1}),
    "tqc": Defaults(64, "continuous", _REPLAY),
    "dqn": Defaults(64, "discrete", _VALUES),
    "qrdqn": Defaults(64, "discrete", {**_VALUES, "policy_kwargs": {"n_quantiles": 25}}),
}


def algorithm_of(name: str) -> type[BaseAlgorithm]:
    """The class of an algorithm. Raises `MethodError` for an unknown name."""
    if name not in ALGORITHMS:
        raise MethodError(f"unknown algorithm {name!r}{nearest(name, ALGORITHMS)}")
    return ALGORITHMS[name]


def name_of(model: BaseAlgorithm) -> str:
    """The name of a model's algorithm in `ALGORITHMS`. Raises `MethodError` if it has none."""
    for name, kind in ALGORITHMS.items():
        if isinstance(model, kind):
            return name
    raise MethodError(f"the algorithm must be one of {', '.join(ALGORITHMS)} (got {type(model).__name__})")


def is_on_policy(name: str) -> bool:
    """Whether the algorithm learns from fresh experience alone."""
    return issubclass(algorithm_of(name), OnPolicyAlgorithm)


def unknown_settings(algorithm: str, settings: Mapping[str, Any]) -> list[str]:
    """Settings that the algorithm does not take, each with the nearest one that it does."""
    known = inspect.signature(algorithm_of(algorithm).__init__).parameters.keys() - {"self", "policy", "env", "seed"}
    return [f"{key}: unknown key{nearest(key, known)}" for key in settings if key not in known]


def horizon_settings(problem: Problem, algorithm: str) -> dict[str, Any]:
    """How far ahead a learner must look: an order shows in the costs only after the echelon lead time.

    The discount's horizon is ten echelon lead times and that of generalised advantage estimation four,
    since a shorter one would favour too little stock; both have the lower bounds that suit short ones.
    A problem that discounts keeps its own discount.
    """
    cover = float(Codec(problem.network).echelon_cover.max())
    gamma = {"gamma": problem.discount if problem.discount < 1 else 1 - 1 / max(50.0, 10 * cover)}
    if not is_on_policy(algorithm):
        return gamma
    return {**gamma, "gae_lambda": 1 - 1 / max(20.0, 4 * cover), "n_steps": 8 * math.ceil(max(32.0, 2 * cover) / 8)}


def all_settings(problem: Problem, algorithm: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a training: those that are given, and defaults for the problem and for the algorithm."""
    return {**horizon_settings(problem, algorithm), **DEFAULTS[algorithm].settings, **settings}


def plain(settings: Any) -> Any:
    """Settings as data of JSON: classes and functions by their names."""
    if isinstance(settings, Mapping):
        return {str(key): plain(value) for key, value in settings.items()}
    if isinstance(settings, list | tuple):
        return [plain(value) for value in settings]
    if settings is None or isinstance(settings, bool | int | float | str):
        return settings
    return getattr(settings, "__name__", type(settings).__name__)
