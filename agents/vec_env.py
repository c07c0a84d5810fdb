"""The bridge from the native vector environment to Stable-Baselines3."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from stable_baselines3.common.vec_env import VecEnv
from stable_baselines3.common.vec_env.base_vec_env import VecEnvStepReturn

from echelon.agents.vec_env_luck import DemandLuck
from echelon.envs.vector_env import NetworkVectorEnv


class NativeVecEnv(VecEnv):
    """A Stable-Baselines3 `VecEnv` over one `NetworkVectorEnv`: a single batch, no processes.

    With `expected_cost` the reward is that of the expected cost, given the stock, where the demand's law allows
    it: the same on average in every state and with less noise, see `DemandLuck`.
    """

    def __init__(self, env: NetworkVectorEnv, *, expected_cost: bool = False) -> None:
        self.native = env
        self._luck = DemandLuck.of(env.problem.network) if expected_cost else None
        self._nothing: list[dict[str, Any]] = [{} for _ in range(env.num_envs)]
        super().__init__(env.num_envs, env.single_observation_space, env.single_action_space)

    def reset(self) -> np.ndarray:
        """Begin an episode in every copy; returns observations [B, D]."""
        seeds = self._seeds if None not in self._seeds else None
        observation, _ = self.native.reset(seed=seeds)
        self._reset_seeds()
        self._reset_options()
        self._observation = observation
        return observation

    def step_async(self, actions: np.ndarray) -> None:
        """Keep the actions for `step_wait`."""
        self._actions = actions

    def step_wait(self) -> VecEnvStepReturn:
        """One period in every copy; the last observation of an episode is in `terminal_observation`."""
        before = self._observation
        observation, reward, _, truncated, info = self.native.step(self._actions)
        self._observation = observation
        if self._luck is not None:
            reward = reward - self.native.codec.reward(self._luck_of(before))
        infos = self._nothing
        if truncated.any():
            infos = [
                {"terminal_observation": last, "TimeLimit.truncated": True} if ended else {}
                for ended, last in zip(truncated, info["final_obs"], strict=True)
            ]
        return observation, reward.astype(np.float32), truncated, infos

    def _luck_of(self, observation: np.ndarray) -> np.ndarray:
        """[B] the luck of the period that began with an observation [B, D]: its first columns are the net stock."""
        assert self._luck is not None
        codec, demand = self.native.codec, np.asarray(self.native._batch.ledger.demand)
        nodes = len(codec.network.nodes)
        stock = observation[:, :nodes].astype(np.float64) * codec.sights[2][:nodes]
        return self._luck(np.rint(stock) if codec.arrays.whole_units else stock, demand)

    def snapshot(self) -> tuple[dict[str, int], dict[str, np.ndarray]]:
        """Where the copies are in their episodes: numbers and arrays, from which `restore` goes on."""
        batch = self.native._batch
        assert batch._engine is not None
        assert batch.keys is not None
        arrays = {
            "keys": batch.keys.view(np.int64),
            "memory": batch._engine.memory.copy(),
            "observation": self._observation,
        }
        return {"episode": batch.episode, "period": batch._engine.period}, arrays

    def restore(self, numbers: Mapping[str, int], arrays: Mapping[str, np.ndarray]) -> None:
        """Go on from a snapshot of an environment of the same problem and size."""
        batch = self.native._batch
        batch.keys = arrays["keys"].view(np.uint64)
        batch.episode = numbers["episode"] - 1
        batch.reset()
        assert batch._engine is not None
        batch._engine.memory[...] = arrays["memory"]
        batch._engine.period = numbers["period"]
        self._observation = arrays["observation"]

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
