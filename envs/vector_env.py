"""The native vector environment: B copies of a problem in one batch, on the compiled dynamics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space
from numpy.typing import NDArray

from echelon.envs._kernel import Engine, draws_of
from echelon.envs._layout import quantities_of
from echelon.envs.codec import ActionKind, Codec, Decision
from echelon.envs.dynamics import initial_state
from echelon.envs.problem import Problem
from echelon.envs.scenarios import sample_rows, stream_key
from echelon.envs.state import Ledger, State

Arrays = dict[str, Any]


class Batch:
    """Episodes of B copies that begin and end together: what the single and the vector environment share.

    Copy k draws episode e from replication e of the stream `environment` of its own seed.
    """

    def __init__(self, problem: Problem, codec: Codec, size: int) -> None:
        self.problem = problem
        self.codec = codec
        self.size = size
        self.keys: NDArray[np.uint64] | None = None
        self.episode = -1
        self._start = initial_state(problem.network, size)
        self._engine: Engine | None = None

    @property
    def state(self) -> State | None:
        """The current state, or None before the first reset."""
        return None if self._engine is None else self._engine.state

    @property
    def ledger(self) -> Ledger:
        """What the last step moved and cost."""
        arrays = self.codec.arrays
        return Ledger(arrays=arrays, **quantities_of(arrays, self._entry))

    def seed(self, seeds: Sequence[int]) -> None:
        """Start the streams of the copies anew."""
        self.keys = np.stack([stream_key(seed, "environment") for seed in seeds])
        self.episode = -1

    def reset(self) -> NDArray[np.float32]:
        """Begin the next episode; returns observations [B, D]."""
        if self.keys is None:
            self.seed([int(s) for s in np.random.SeedSequence().generate_state(self.size)])
        assert self.keys is not None
        self.episode += 1
        periods = self.problem.periods
        self._draws = draws_of(sample_rows(self.problem.network, self.keys, [self.episode] * self.size, periods))
        self._engine = Engine(self._start)
        return self.codec.observe_memory(self._engine.memory, 0)

    def step(self, action: Any) -> tuple[NDArray[np.float32], NDArray[np.float64], bool]:
        """One period; returns observations [B, D], costs [B] and whether the episode ends."""
        engine, codec = self._engine, self.codec
        if engine is None or engine.period == self.problem.periods:
            raise RuntimeError("reset must be called before step, and again when an episode has ended")
        quantity = codec.quantities(action, self.size, engine.period)
        orders = codec.as_orders(quantity, lambda: engine.state)
        self._entry = engine.step_drawn(orders, self._draws, engine.period)
        ends = engine.period == self.problem.periods
        return codec.observe_memory(engine.memory, engine.period), engine.cost(self._entry), ends


class NetworkVectorEnv(VectorEnv[NDArray[np.float32], NDArray[Any], NDArray[Any]]):
    """B copies of a problem that step together.

    Observations, actions and rewards are those of `NetworkEnv`, with a batch axis. Every copy is
    truncated after `problem.periods` periods and reset in the same step: the observation returned
    is that of the new episode, and `info["final_obs"]` [B, D] that of the old. `info["cost"]` [B] is
    the cost of the period in money. Copy k of a vector environment that was reset with seed s equals
    a single environment that was reset with seed s + k.
    """

    metadata: dict[str, Any] = {  # noqa: RUF012 (Gymnasium declares it so)
        "autoreset_mode": AutoresetMode.SAME_STEP
    }

    def __init__(
        self, problem: Problem, num_envs: int = 1, *, decision: Decision = "orders", action: ActionKind = "continuous"
    ) -> None:
        if num_envs < 1:
            raise ValueError(f"num_envs must be at least 1 (got {num_envs})")
        self.num_envs = num_envs
        self.problem = problem
        self.codec = Codec(problem.network, decision, action)
        self.single_observation_space = self.codec.observation_space
        self.single_action_space = self.codec.action_space
        self.observation_space = batch_space(self.single_observation_space, num_envs)
        self.action_space = batch_space(self.single_action_space, num_envs)
        self._batch = Batch(problem, self.codec, num_envs)

    def reset(
        self, *, seed: int | Sequence[int | None] | None = None, options: Arrays | None = None
    ) -> tuple[NDArray[np.float32], Arrays]:
        """Begin an episode in every copy; a seed s seeds copy k with s + k."""
        if seed is not None:
            seeds = [seed + k for k in range(self.num_envs)] if isinstance(seed, int | np.integer) else seed
            if len(seeds) != self.num_envs or any(s is None for s in seeds):
                raise ValueError(f"seed must be one number, or {self.num_envs} numbers, one per copy (got {seed!r})")
            self._batch.seed([int(s) for s in seeds if s is not None])
        return self._batch.reset(), {}

    def step(
        self, actions: NDArray[Any]
    ) -> tuple[NDArray[np.float32], NDArray[Any], NDArray[Any], NDArray[Any], Arrays]:
        """One period in every copy."""
        observation, cost, ends = self._batch.step(actions)
        every = np.ones(self.num_envs, dtype=bool)
        info: Arrays = {"cost": cost, "_cost": every}
        if ends:
            info |= {"final_obs": observation, "_final_obs": every, "final_info": {"cost": cost}, "_final_info": every}
            observation = self._batch.reset()
        never = np.zeros(self.num_envs, dtype=bool)
        return observation, self.codec.reward(cost), never, np.full(self.num_envs, ends), info
