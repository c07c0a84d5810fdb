"""The bridge from the native vector environment to Stable-Baselines3."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn

from echelon.envs.vector_env import NetworkVectorEnv


class NativeVecEnv(VecEnv):
    """A Stable-Baselines3 `VecEnv` over one `NetworkVectorEnv`: a single batch, no processes."""

    def __init__(self, env: NetworkVectorEnv) -> None:
        self.native = env
        self._nothing: list[dict[str, Any]] = [{} for _ in range(env.num_envs)]
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

    def reset(self) -> np.ndarray:
        """Begin an episode in every copy; returns observations [B, D]."""
        seeds = self._seeds if None not in self._seeds else None
        observation, _ = self.native.reset(seed=seeds)
        self._reset_seeds()
        self._reset_options()
        return observation

    def step_async(self, actions: np.ndarray) -> None:
        """Keep the actions for `step_wait`."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """One period in every copy; the last observation of an episode is in `terminal_observation`."""
        observation, reward, _, truncated, info = self.native.step(self._actions)
        infos = self._nothing
        if truncated.any():
            infos = [
                {"terminal_observation": last, "TimeLimit.truncated": True} if ended else {}
                for ended, last in zip(truncated, info["final_obs"], strict=True)
            ]
        return observation, reward.astype(np.float32), truncated, infos

    def close(self) -> None:
        """Nothing to release."""

    def get_attr(self, attr_name: str, indices: Any = None) -> list[Any]:
        """The attribute of the native environment, once per copy."""
        return [getattr(self.native, attr_name) for _ in self._indices(indices)]

    def set_attr(self, attr_name: str, value: Any, indices: Any = None) -> None:
        """Copies share one environment: their attributes cannot differ."""
        raise NotImplementedError("the copies of a native vector environment share one environment")

    def env_method(self, method_name: str, *args: Any, indices: Any = None, **kwargs: Any) -> list[Any]:
        """Copies share one environment: methods of single copies do not exist."""
        raise NotImplementedError("the copies of a native vector environment share one environment")

    def env_is_wrapped(self, wrapper_class: type[Any], indices: Any = None) -> list[bool]:
        """Copies are never wrapped."""
        return [False for _ in self._indices(indices)]

    def _indices(self, indices: int | Iterable[int] | None) -> Sequence[int]:
        return list(self._get_indices(indices))
