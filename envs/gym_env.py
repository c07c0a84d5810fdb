"""The single Gymnasium environment, and the entry points of every problem of the catalogue."""

from __future__ import annotations

from typing import Any, cast

import gymnasium
import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from echelon.envs.catalogue import make_problem
from echelon.envs.codec import ActionKind, Codec, Decision
from echelon.envs.problem import Problem
from echelon.envs.vector_env import Batch, NetworkVectorEnv


class NetworkEnv(gymnasium.Env[NDArray[np.float32], Any]):
    """Plan the orders on every link of a supply network, period after period.

    * **Observation**: `Box` [D], float32, in periods of mean demand; see `codec`.
    * **Action**: `Box` [E] in [-1, 1], or with `action="discrete"` a `Discrete` or `MultiDiscrete`:
      one order per link, or with `decision="levels"` one echelon base-stock level per link.
    * **Reward**: minus the cost of the period, divided by the constant `env.unwrapped.codec.cost_scale`;
      `info["cost"]` is that cost in money.
    * **Episode end**: truncated after `problem.periods` periods; never terminated.
    * **State**: `env.unwrapped.state`, a `State` with one replication.
    * **Source**: the dynamics are those of `echelon.envs.dynamics`.

    Example: `gymnasium.make("echelon:echelon/LostSales-v0", lead_time=4, stockout_cost=4.0)`.
    """

    def __init__(self, problem: Problem, *, decision: Decision = "orders", action: ActionKind = "continuous") -> None:
        self.problem = problem
        self.codec = Codec(problem.network, decision, action)
        self.observation_space = cast(spaces.Space[NDArray[np.float32]], self.codec.observation_space)
        self.action_space = self.codec.action_space
        self._batch = Batch(problem, self.codec, 1)

    @property
    def state(self) -> Any:
        """The current `State`, or None before the first reset."""
        return self._batch.state

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[NDArray[np.float32], dict[str, Any]]:
        """Begin an episode; without a seed the next one of the same stream."""
        super().reset(seed=seed)
        if seed is not None or self._batch.keys is None:
            self._batch.seed([int(self.np_random_seed)])
        return self._batch.reset()[0], {}

    def step(self, action: Any) -> tuple[NDArray[np.float32], float, bool, bool, dict[str, Any]]:
        """One period."""
        observation, cost, ends = self._batch.step(np.asarray(action)[None])
        return observation[0], float(self.codec.reward(cost)[0]), False, ends, {"cost": float(cost[0])}


def make_env(
    problem_id: str,
    *,
    decision: Decision = "orders",
    action: ActionKind = "continuous",
    render_mode: str | None = None,
    **parameters: Any,
) -> NetworkEnv:
    """The environment of a catalogued problem."""
    _refuse_to_render(render_mode)
    return NetworkEnv(make_problem(problem_id, **parameters), decision=decision, action=action)


def make_vector_env(
    problem_id: str,
    *,
    num_envs: int = 1,
    decision: Decision = "orders",
    action: ActionKind = "continuous",
    render_mode: str | None = None,
    **parameters: Any,
) -> NetworkVectorEnv:
    """The native vector environment of a catalogued problem."""
    _refuse_to_render(render_mode)
    return NetworkVectorEnv(make_problem(problem_id, **parameters), num_envs, decision=decision, action=action)


def _refuse_to_render(render_mode: str | None) -> None:
    """Raise the `TypeError` that callers take for an environment without render modes."""
    if render_mode is not None:
        raise TypeError(f"the environments do not render: render_mode must be None (got {render_mode!r})")
