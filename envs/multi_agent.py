"""A supply network as a PettingZoo parallel environment: every node is an agent that orders for itself."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import numpy as np
from gymnasium import spaces
from numpy.typing import NDArray

from echelon.envs.catalogue import make_problem
from echelon.envs.codec import ActionKind, Codec, Decision
from echelon.envs.errors import MissingExtraError
from echelon.envs.problem import Problem
from echelon.envs.state import COST_AXES
from echelon.envs.vector_env import Batch

try:
    from pettingzoo import ParallelEnv
except ImportError as error:
    raise MissingExtraError("multi-agent environments need PettingZoo: pip install 'echelon[multi]'") from error

Reward = Literal["team", "own"]
Information = Literal["local", "global"]
Observations = dict[str, NDArray[np.float32]]


class NetworkParallelEnv(ParallelEnv):  # type: ignore[misc]
    """Every node of a network decides on the links that lead into it, all at the same review.

    * **Agents**: the names of the nodes.
    * **Observation**: `Box` [D of the agent], float32, in periods of mean demand. With
      `information="local"` what a planner at the node knows: its own stock, what is under way to it, what
      it is owed and what it owes, its capacity being up or down, and the phase of the calendar; with
      "global" what `NetworkEnv` observes. `state()` always gives the latter.
    * **Action**: `Box` [K] in [-1, 1], one order (or level, see `Codec`) for each of the K links into the
      node, in the order of the network's links; with `action="discrete"` a `Discrete` or `MultiDiscrete`.
    * **Reward**: minus a cost divided by `codec.cost_scale`: with `reward="team"` the cost of the network,
      the same for every agent; with "own" that of the node and of the links into it. Own costs sum to the
      team's. `infos[agent]["cost"]` is the node's own cost in money.
    * **Episode end**: all agents are truncated after `problem.periods` periods.
    """

    metadata: ClassVar[dict[str, Any]] = {"name": "echelon_v0", "render_modes": [], "is_parallelizable": True}

    def __init__(
        self,
        problem: Problem,
        *,
        reward: Reward = "team",
        information: Information = "local",
        decision: Decision = "orders",
        action: ActionKind = "continuous",
    ) -> None:
        if reward not in ("team", "own"):
            raise ValueError(f"reward must be 'team' or 'own' (got {reward!r})")
        if information not in ("local", "global"):
            raise ValueError(f"information must be 'local' or 'global' (got {information!r})")
        self.problem = problem
        self.codec = Codec(problem.network, decision, action)
        self.render_mode = None
        self.possible_agents = [node.name for node in problem.network.nodes]
        self.agents: list[str] = []
        self._reward = reward
        self._observation: Any = None
        self._batch = Batch(problem, self.codec, 1)
        target, count = self.codec.arrays.target, len(self.possible_agents)
        self._links = [np.flatnonzero(target == n) for n in range(count)]
        everything = np.arange(self.codec.observation_space.shape[0])
        self._seen = self.codec.columns_of_nodes() if information == "local" else [everything] * count
        self.observation_spaces = {
            agent: spaces.Box(box.low[seen], box.high[seen], dtype=np.float32)
            for box in (self.codec.observation_space,)
            for agent, seen in zip(self.possible_agents, self._seen, strict=True)
        }
        self.action_spaces = dict(zip(self.possible_agents, self._action_spaces(), strict=True))

    def observation_space(self, agent: str) -> spaces.Space[Any]:
        """The observations of an agent."""
        return self.observation_spaces[agent]

    def action_space(self, agent: str) -> spaces.Space[Any]:
        """The actions of an agent."""
        return self.action_spaces[agent]

    def state(self) -> NDArray[np.float32]:
        """The observation of the whole network, [D]. Raises `RuntimeError` before the first reset."""
        if self._observation is None:
            raise RuntimeError("reset must be called before state")
        return np.array(self._observation)

    def reset(
        self, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[Observations, dict[str, dict[str, Any]]]:
        """Begin an episode; without a seed the next one of the same stream."""
        if seed is not None:
            self._batch.seed([seed])
        self.agents = list(self.possible_agents)
        self._observation = self._batch.reset()[0]
        return self._observations(), {agent: {} for agent in self.agents}

    def step(
        self, actions: Mapping[str, Any]
    ) -> tuple[Observations, dict[str, float], dict[str, bool], dict[str, bool], dict[str, dict[str, Any]]]:
        """One period, with an action of every agent."""
        agents = self.agents
        if not agents:
            raise RuntimeError("reset must be called before step, and again when an episode has ended")
        missing = [agent for agent in agents if agent not in actions]
        if missing:
            raise ValueError(f"actions must hold one for every agent (missing {', '.join(missing)})")
        joint = np.zeros((1, len(self.codec.arrays.target)))
        for agent, links in zip(self.possible_agents, self._links, strict=True):
            action = np.asarray(actions[agent], dtype=np.float64)
            if action.size != len(links):
                raise ValueError(f"the action of {agent} must be {len(links)} numbers (got {actions[agent]!r})")
            joint[0, links] = action.ravel()
        observation, cost, ends = self._batch.step(joint)
        self._observation = observation[0]
        own = dict(zip(agents, self._own_costs(), strict=True))
        paid = own if self._reward == "own" else dict.fromkeys(agents, float(cost[0]))
        rewards = {agent: float(self.codec.reward(np.asarray(paid[agent]))) for agent in agents}
        observations, infos = self._observations(), {agent: {"cost": own[agent]} for agent in agents}
        self.agents = [] if ends else agents
        return observations, rewards, dict.fromkeys(agents, False), dict.fromkeys(agents, ends), infos

    def render(self) -> None:
        """The environment does not render."""

    def close(self) -> None:
        """Nothing is held open."""

    def _observations(self) -> Observations:
        return {agent: self._observation[seen] for agent, seen in zip(self.possible_agents, self._seen, strict=True)}

    def _own_costs(self) -> list[float]:
        """[N] the cost of each node with its customers and the links into it."""
        arrays = self.codec.arrays
        total = np.zeros(len(self.possible_agents))
        places = {"N": np.arange(len(total)), "E": arrays.target, "C": arrays.outlet}
        for kind, part in self._batch.ledger.costs.items():
            np.add.at(total, places[COST_AXES[kind]], part[0])
        return [float(x) for x in total]

    def _action_spaces(self) -> list[spaces.Space[Any]]:
        joint = self.codec.action_space
        if isinstance(joint, spaces.Box):
            return [spaces.Box(-1.0, 1.0, (len(links),), np.float32) for links in self._links]
        choices = np.atleast_1d(joint.nvec if isinstance(joint, spaces.MultiDiscrete) else joint.n)  # type: ignore[attr-defined]
        return [
            spaces.Discrete(int(choices[links[0]])) if len(links) == 1 else spaces.MultiDiscrete(choices[links])
            for links in self._links
        ]


def parallel_env(
    problem_id: str,
    *,
    reward: Reward = "team",
    information: Information = "local",
    decision: Decision = "orders",
    action: ActionKind = "continuous",
    **parameters: Any,
) -> NetworkParallelEnv:
    """The parallel environment of a catalogued problem."""
    problem = make_problem(problem_id, **parameters)
    return NetworkParallelEnv(problem, reward=reward, information=information, decision=decision, action=action)
