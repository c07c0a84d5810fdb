"""One generation of controlled learning: sample states, compare orders in them, learn which are best."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import torch
from numpy.typing import NDArray

from echelon.agents.controlled_actor import ControlledActor, Floats, Ints, order_choices
from echelon.agents.controlled_fit import Lessons, fit, lessons_of
from echelon.agents.controlled_halving import sequential_halving
from echelon.agents.controlled_rollouts import Decider, PolicyDecider, Remembering, Rollouts, Visited
from echelon.agents.controlled_settings import ControlledSettings, default_horizon
from echelon.agents.controlled_start import tuned_start
from echelon.agents.controlled_states import visited_states
from echelon.envs.dynamics import initial_state
from echelon.envs.policy import Policy
from echelon.envs.problem import Problem

REACH = 3
"""Most choices by which the orders of earlier links are changed for the later ones to learn from."""


@dataclass(frozen=True, eq=False)
class Learner:
    """What stays the same from generation to generation."""

    problem: Problem
    settings: ControlledSettings
    seed: int
    states: int
    """Sampled states in each generation."""
    given: Policy | None
    """The first policy, if there is one."""

    @cached_property
    def start(self) -> Policy:
        """The policy of generation 0."""
        return self.given or tuned_start(self.problem, seed=self.seed)

    @cached_property
    def quantities(self) -> list[list[float]]:
        """The orders that each link may place."""
        return order_choices(self.problem.network)

    def decider(self, actor: ControlledActor | None) -> Decider:
        """What decides in simulations: an actor, or the start; states of whole units are remembered."""
        network = self.problem.network
        decider: Decider = PolicyDecider(self.start, initial_state(network, 1)) if actor is None else actor
        return Remembering(decider, network) if network.whole_units else decider

    def new_actor(self, generation: int) -> ControlledActor:
        """A network with random weights."""
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self._number(generation, 0))
            return ControlledActor(self.problem.network, self.quantities, self.settings.hidden)

    def lessons(
        self, generation: int, policy: ControlledActor | None, visitor: ControlledActor | None = None
    ) -> Lessons:
        """What orders cost if a policy goes on, None for the start, in states that it visits.

        With a visitor, half of the states are those that this one visits.
        """
        shape, decider = self.new_actor(generation), self.decider(policy)
        visited = self._visited(generation, shape, decider, decider if visitor is None else self.decider(visitor))
        arms = self._candidates(visited, shape, policy)
        orders = shape.table[visited.link[:, None], arms]
        rollouts = Rollouts(self.problem.network, decider, self._weights, self.seed, f"training {generation} compared")

        def pull(left: Ints, first: int, count: int) -> tuple[Floats, Floats]:
            return rollouts.compare(visited, np.take_along_axis(orders, left, axis=1), first, count)

        budget = self.settings.rollouts if generation else max(1, self.settings.rollouts // 4)
        found = sequential_halving(pull, states=len(visited), arms=arms.shape[1], budget=budget)
        return lessons_of(_inputs(visited, shape), visited.link, arms, found, shape.table.shape[1])

    def _visited(self, generation: int, shape: ControlledActor, decider: Decider, visitor: Decider) -> Visited:
        """States that two policies visit, with the orders of the first."""
        half = self.states // 2
        parts = [("visited", visitor, half), ("visited by the best", decider, self.states - half)]
        memory = np.concatenate(
            [
                visited_states(
                    self.problem,
                    who,
                    shape.table,
                    choices=shape.choices,
                    count=count,
                    exploration=self.settings.exploration,
                    seed=self.seed,
                    stream=f"training {generation} {stream}",
                )
                for stream, who, count in parts
            ],
            axis=1,
        )
        rng = np.random.default_rng(self._number(generation, 2))
        link = rng.permutation(np.arange(self.states) % len(shape.table))
        visited = Visited(memory, decider.memory_orders(memory, 0), link)
        return _disturbed(visited, shape, decider, rng) if len(shape.table) > 1 else visited

    def improved(self, generation: int, lessons: Lessons) -> tuple[ControlledActor, float]:
        """A network that has learned the lessons, and its mean regret in held-out states."""
        actor = self.new_actor(generation)
        return actor, fit(actor, lessons, settings=self.settings, seed=self._number(generation, 1))

    @cached_property
    def _weights(self) -> Floats:
        horizon = self.settings.horizon or default_horizon(self.problem)
        return np.power(self.problem.discount, np.arange(horizon, dtype=np.float64))

    def _number(self, generation: int, purpose: int) -> int:
        return int(np.random.SeedSequence((self.seed, generation, purpose)).generate_state(1)[0])

    def _candidates(self, visited: Visited, shape: ControlledActor, actor: ControlledActor | None) -> Ints:
        """[S, K] the choices that are compared: the policy's own, its neighbours, no order, and the likeliest.

        The start knows no likelihood: there it is the nearest ones, or all. A better order that lies further
        away is reached over generations, as the neighbours move with the policy. Rows of links with fewer
        choices than K repeat their own.
        """
        count = self.settings.candidates if actor else self.settings.first_candidates or shape.table.shape[1]
        count = min(count, shape.table.shape[1])
        own_orders = visited.orders[visited.link, np.arange(len(visited))]
        own = np.abs(shape.table[visited.link] - own_orders[:, None]).argmin(1)
        every = np.arange(shape.table.shape[1])
        distance = np.abs(every - own[:, None])
        rank = -1e-6 * distance
        if actor:
            rank += _likelihood(visited, actor)
        rank[:, 0] += 1.0
        rank[distance <= 1] += 1.0
        rank[distance == 0] += 1.0
        rank[every >= shape.choices[visited.link][:, None]] = -np.inf
        arms = np.sort(np.argsort(-rank, axis=1, kind="stable")[:, :count], axis=1)
        return np.where(arms < shape.choices[visited.link][:, None], arms, own[:, None])


def _disturbed(visited: Visited, shape: ControlledActor, decider: Decider, rng: np.random.Generator) -> Visited:
    """The visited states, in half of which the links before the one in question order somewhat else.

    The next policy will: each link has to learn what is best after orders that the last policy would not place.
    """
    own = np.abs(shape.table[:, None] - visited.orders[:, :, None]).argmin(2)
    moved = np.clip(own + rng.integers(-REACH, REACH + 1, size=own.shape), 0, shape.choices[:, None] - 1)
    changes = (np.arange(len(own))[:, None] < visited.link) & (rng.random(len(visited)) < 0.5)
    orders = np.where(changes, np.take_along_axis(shape.table, moved, axis=1), visited.orders)
    for e in range(1, len(own)):
        mine = visited.link == e
        memory = np.ascontiguousarray(visited.memory[:, mine])
        orders[:, mine] = decider.completed(memory, 0, orders[:, mine], e - 1)
    return replace(visited, orders=orders)


def _inputs(visited: Visited, actor: ControlledActor) -> torch.Tensor:
    """[S, I] what the network sees in the visited states."""
    observation = actor.codec.observe_memory(visited.memory, 0)
    inputs = [actor.inputs(observation, visited.orders, e) for e in range(len(visited.orders))]
    return torch.stack(inputs)[torch.from_numpy(visited.link), torch.arange(len(visited))]


def _likelihood(visited: Visited, actor: ControlledActor) -> NDArray[np.float64]:
    """[S, A] how likely the network thinks each choice to be the best one."""
    with torch.no_grad():
        scores = actor(_inputs(visited, actor), torch.from_numpy(visited.link))
    return torch.softmax(scores.double(), 1).numpy()
