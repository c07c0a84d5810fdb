"""Trainings by on-policy algorithms that go on after an interruption, bit for bit as if there had been none."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from stable_baselines3.common.callbacks import BaseCallback
from torch import Tensor

from echelon.agents.algorithms import ALGORITHMS, is_on_policy
from echelon.agents.callbacks import Kept, Validation
from echelon.agents.checkpoint import load_state, save_state
from echelon.agents.sb3_callbacks import Exploration, WeightAverage
from echelon.agents.training import require_same_training
from echelon.agents.vec_env import NativeVecEnv
from echelon.envs.errors import MethodError

SAVES = 20
"""About how often a training is saved."""

Tensors = dict[str, Tensor]


def require_resumable(algorithm: str, settings: Mapping[str, Any]) -> None:
    """Raise `MethodError` for trainings that cannot be saved."""
    if not is_on_policy(algorithm):
        able = ", ".join(name for name in ALGORITHMS if is_on_policy(name))
        raise MethodError(f"checkpoint must be left out for {algorithm}: only {able} can be saved on the way")
    if settings.get("use_sde"):
        raise MethodError("checkpoint must be left out with use_sde, whose noise is not saved")


class Resumption(BaseCallback):
    """Saves a training at the boundaries of rollouts, and puts the last save back when the training begins.

    It must be the first of the callbacks: it saves before the others do their work at a boundary, so that after an
    interruption they do it once. A save holds the weights, the optimiser's state, the environment, the random
    generators of PyTorch and NumPy, and what the other callbacks know.
    """

    def __init__(
        self,
        folder: str | Path,
        identity: Mapping[str, Any],
        *,
        every: float,
        env: NativeVecEnv,
        helpers: Sequence[BaseCallback],
    ) -> None:
        super().__init__()
        self.folder, self.identity = folder, dict(identity)
        self.every, self.due = every, every
        self.env = env
        (self.average,) = (helper for helper in helpers if isinstance(helper, WeightAverage))
        (self.exploration,) = (helper for helper in helpers if isinstance(helper, Exploration))
        (self.validation,) = (helper for helper in helpers if isinstance(helper, Validation))
        self.found = load_state(folder)
        if self.found is not None:
            require_same_training(str(folder), self.identity, self.found[1]["identity"])

    def _on_training_start(self) -> None:
        if self.found is not None:
            self._restore(*self.found)
            self.due = self.model.num_timesteps + self.every

    def _on_step(self) -> bool:
        return True

    def _on_rollout_start(self) -> None:
        if self.model.num_timesteps >= self.due:
            self.due += self.every
            save_state(self.folder, *self._state())

    def _state(self) -> tuple[Tensors, dict[str, Any]]:
        model: Any = self.model
        env, memory = self.env.snapshot()
        generator = np.random.get_state(legacy=False)  # noqa: NPY002 (that of Stable-Baselines3)
        assert isinstance(generator, dict)
        tensors = {
            **_prefixed("policy", model.policy.state_dict()),
            **_prefixed("average", self.average.policy.state_dict()),
            **_prefixed("optimizer", _flat(model.policy.optimizer.state_dict()["state"])),
            **_prefixed("env", {name: torch.from_numpy(array) for name, array in memory.items()}),
            "observation": torch.from_numpy(model._last_obs),
            "starts": torch.from_numpy(model._last_episode_starts),
            "random.torch": torch.get_rng_state(),
            "random.numpy": torch.from_numpy(generator["state"]["key"].astype(np.int64)),
        }
        if self.exploration.first is not None:
            tensors["exploration"] = self.exploration.first
        best = self.validation.best
        if best is not None:
            tensors |= {"best.cost": torch.from_numpy(best.cost), **_prefixed("best.weights", best.weights)}
        data = {
            "identity": self.identity,
            "steps": model.num_timesteps,
            "updates": model._n_updates,
            "remaining": model._current_progress_remaining,
            "rollouts": self.average.rollouts,
            "env": env,
            "random": {
                "pos": generator["state"]["pos"],
                "has_gauss": generator["has_gauss"],
                "gauss": generator["gauss"],
            },
            "validation": {
                "curve": self.validation.curve,
                "due": self.validation.due,
                "stale": self.validation.stale,
                "spent": self.validation.spent,
            },
        }
        return tensors, data

    def _restore(self, tensors: Mapping[str, Tensor], data: Mapping[str, Any]) -> None:
        model: Any = self.model
        model.policy.load_state_dict(_part("policy", tensors))
        self.average.policy.load_state_dict(_part("average", tensors))
        groups = model.policy.optimizer.state_dict()["param_groups"]
        model.policy.optimizer.load_state_dict({"state": _nested(_part("optimizer", tensors)), "param_groups": groups})
        self.env.restore(data["env"], {name: tensor.numpy() for name, tensor in _part("env", tensors).items()})
        model._last_obs = tensors["observation"].numpy().copy()
        model._last_episode_starts = tensors["starts"].numpy().copy()
        model.num_timesteps, model._n_updates = data["steps"], data["updates"]
        model._current_progress_remaining = data["remaining"]
        self.average.rollouts = data["rollouts"]
        self.exploration.first = tensors.get("exploration")
        self._restore_validation(tensors, data["validation"])
        torch.set_rng_state(tensors["random.torch"])
        np.random.set_state(  # noqa: NPY002
            {
                "bit_generator": "MT19937",
                "state": {"key": tensors["random.numpy"].numpy().astype(np.uint32), "pos": data["random"]["pos"]},
                "has_gauss": data["random"]["has_gauss"],
                "gauss": data["random"]["gauss"],
            }
        )

    def _restore_validation(self, tensors: Mapping[str, Tensor], data: Mapping[str, Any]) -> None:
        validation = self.validation
        validation.curve = [dict(point) for point in data["curve"]]
        validation.due, validation.stale = data["due"], data["stale"]
        validation.started, validation.seconds = time.process_time() - data["spent"], 0.0
        if "best.cost" in tensors:
            validation.best = Kept(tensors["best.cost"].numpy(), _part("best.weights", tensors))


def _prefixed(name: str, tensors: Mapping[str, Tensor]) -> Tensors:
    return {f"{name}.{key}": value for key, value in tensors.items()}


def _part(name: str, tensors: Mapping[str, Tensor]) -> Tensors:
    start = f"{name}."
    return {key.removeprefix(start): value for key, value in tensors.items() if key.startswith(start)}


def _flat(state: Mapping[int, Mapping[str, Any]]) -> Tensors:
    """The state of an optimiser, by "number of the parameter . name"."""
    return {f"{k}.{name}": torch.as_tensor(value) for k, own in state.items() for name, value in own.items()}


def _nested(flat: Mapping[str, Tensor]) -> dict[int, Tensors]:
    nested: dict[int, Tensors] = {}
    for key, value in flat.items():
        k, _, name = key.partition(".")
        nested.setdefault(int(k), {})[name] = value
    return nested
