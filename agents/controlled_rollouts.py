"""What an order costs more than another one if the same policy goes on: simulated on common random numbers.

Every path of an order runs beside the path of the policy's own order with the same demand. As soon as
the stocks of the two are the same they stay the same, since the policy is; the path ends there and has
nothing more to add. The rest ends at a horizon. So what cannot differ is never simulated, and never adds noise.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from echelon.agents import controlled_kernel as kernel
from echelon.envs._kernel import Draws, Engine, draws_of
from echelon.envs._layout import state_of
from echelon.envs.codec import Codec
from echelon.envs.dynamics import initial_state
from echelon.envs.network import Network
from echelon.envs.policy import Policy
from echelon.envs.scenarios import sample_rows, stream_key
from echelon.envs.simulate import checked_orders
from echelon.envs.state import State

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

WIDTH = 65_536
"""Paths that are simulated together."""
CROWDED = 0.9
"""While more than this share of the paths is still of interest, the others are not yet taken out."""
REMEMBERED = 2**19
"""Most states whose orders are remembered."""


class Decider(Protocol):
    """What decides in the rollouts: a policy on the stocks of a memory [rows, B]."""

    def memory_orders(self, memory: Floats, period: int) -> Floats:
        """Orders [E, B]."""
        ...

    def completed(self, memory: Floats, period: int, orders: Floats, link: int) -> Floats:
        """The orders [E, B], of which those up to a link are given, with those of the links after it."""
        ...


@dataclass(frozen=True, eq=False)
class PolicyDecider:
    """Any policy; its links do not heed one another."""

    policy: Policy
    like: State

    def memory_orders(self, memory: Floats, period: int) -> Floats:
        """Orders [E, B]."""
        state = state_of(self.like, memory, period)
        return np.ascontiguousarray(checked_orders(self.policy(state), state).T)

    def completed(self, memory: Floats, period: int, orders: Floats, link: int) -> Floats:
        """The orders as given up to the link, and the policy's own after it."""
        own = self.memory_orders(memory, period)
        own[: link + 1] = orders[: link + 1]
        return own


class Remembering:
    """A decider that looks up what it has decided before, which takes a small part of the time of a network.

    It serves networks of whole units, for decisions that depend on the observed stocks alone.
    """

    def __init__(self, decider: Decider, network: Network) -> None:
        codec = Codec(network)
        self._decider = decider
        self._rows, self._less, _ = codec.sights
        self._slots = np.full(4 * REMEMBERED, -1, dtype=np.int32)
        self._keys = np.empty((REMEMBERED, len(self._rows)), dtype=np.int32)
        self._scratch = np.empty(len(self._rows), dtype=np.int32)
        self._answers = np.empty((REMEMBERED, len(network.links)))
        self._known = 0

    def memory_orders(self, memory: Floats, period: int) -> Floats:
        """Orders [E, B]."""
        number, fresh = (np.empty(memory.shape[1], dtype=np.int64) for _ in range(2))
        table = self._slots, self._keys, self._known, self._scratch
        found = kernel.number_states(memory, self._rows, self._less, *table, number, fresh)
        if found:
            self._learn(self._decider.memory_orders(np.ascontiguousarray(memory[:, fresh[:found]]), period))
        return np.ascontiguousarray(self._answers[number].T)

    def completed(self, memory: Floats, period: int, orders: Floats, link: int) -> Floats:
        """The orders [E, B], of which those up to a link are given, with those of the links after it."""
        return self._decider.completed(memory, period, orders, link)

    def _learn(self, orders: Floats) -> None:
        """Keep the answers to the newest states; those beyond `REMEMBERED` until the next call."""
        end = self._known + orders.shape[1]
        if end > len(self._answers):
            more = np.empty((end - len(self._answers), len(orders)))
            self._answers = np.concatenate([self._answers, more])
        self._answers[self._known : end] = orders.T
        self._known = min(end, REMEMBERED)


@dataclass(frozen=True, eq=False)
class Visited:
    """States that a policy visited, and what is decided in each of them."""

    memory: Floats
    """[rows, S] stocks."""
    orders: Floats
    """[E, S] the policy's own orders."""
    link: Ints
    """[S] the link whose order is in question."""

    def __len__(self) -> int:
        return len(self.link)

    def __getitem__(self, chosen: slice) -> Visited:
        return Visited(self.memory[:, chosen], self.orders[:, chosen], self.link[chosen])


@dataclass(frozen=True, eq=False)
class Rollouts:
    """Simulated comparisons of orders under one policy."""

    network: Network
    decider: Decider
    weights: Floats
    """[H] what the cost of each period from the decision on counts."""
    seed: int
    stream: str

    @cached_property
    def like(self) -> State:
        """A state that tells the shapes of the stocks."""
        return initial_state(self.network, 1)

    def compare(self, visited: Visited, orders: Floats, first: int, count: int) -> tuple[Floats, Floats]:
        """Sums and sums of squares [S, M] over scenarios `first`, ..., `first + count - 1` of every state.

        `orders` [S, M] are orders of the state's link. Summed up is what each costs more than the policy's own.
        """
        sums, squares = np.zeros(orders.shape), np.zeros(orders.shape)
        size = max(1, WIDTH // (count * (orders.shape[1] + 1)))
        for begin in range(0, len(visited), size):
            part = slice(begin, begin + size)
            self._compare(visited[part], orders[part], begin, first, count, sums[part], squares[part])
        return sums, squares

    def _compare(
        self, visited: Visited, orders: Floats, begin: int, first: int, count: int, sums: Floats, squares: Floats
    ) -> None:
        """Fill in the sums of some states, the first of which is number `begin`."""
        states, arms = len(visited), orders.shape[1] + 1
        state = np.repeat(np.arange(states), count * arms)
        arm = np.tile(np.arange(arms), states * count)
        scenario = np.repeat(np.arange(states * count), arms)
        draws = self._draws(states, begin, first, count)
        engine = Engine(state_of(self.like, visited.memory[:, state], 0))
        placed = self._first_orders(visited, orders, count)
        total = np.zeros(len(arm))
        for t, weight in enumerate(self.weights):
            if t:
                placed = self.decider.memory_orders(engine.memory, 0)
            entry = engine.step_drawn(placed, _at(draws, t, scenario), 0)
            kernel.charge_paths(arm, engine.cost(entry), weight, total)
            keep = np.zeros(len(arm), dtype=bool)
            if t + 1 < len(self.weights):
                kernel.keep_apart(engine.memory, arm, keep)
                if keep.mean() > CROWDED:
                    continue
            kernel.settle(state, arm, total, keep, sums, squares)
            engine.memory = np.compress(keep, engine.memory, axis=1)
            state, arm, scenario, total = state[keep], arm[keep], scenario[keep], total[keep]
            if not len(arm):
                break

    def _first_orders(self, visited: Visited, orders: Floats, count: int) -> Floats:
        """[E, S * count * arms] the orders of the first period; arm 0 is the policy's own."""
        every = np.repeat(visited.orders[:, :, None], orders.shape[1] + 1, axis=2)
        for e in np.unique(visited.link):
            mine = visited.link == e
            every[e, mine, 1:] = orders[mine]
            if e + 1 < len(every):
                flat = every[:, mine, 1:].reshape(len(every), -1)
                memory = np.repeat(visited.memory[:, mine], orders.shape[1], axis=1)
                following = self.decider.completed(memory, 0, flat, int(e))
                every[:, mine, 1:] = following.reshape(len(every), -1, orders.shape[1])
        return np.repeat(every[:, :, None], count, axis=2).reshape(len(every), -1)

    def _draws(self, states: int, begin: int, first: int, count: int) -> Draws:
        """The draws of all periods [H, rows, S * count]: state s has the replications s * 2^24, s * 2^24 + 1, ..."""
        numbers = (np.arange(begin, begin + states)[:, None] << 24) + np.arange(first, first + count)
        keys = np.broadcast_to(stream_key(self.seed, self.stream), (numbers.size, 2))
        return draws_of(sample_rows(self.network, keys, numbers.ravel().tolist(), len(self.weights)))


def _at(draws: Draws, t: int, scenario: Ints) -> Draws:
    """The draws [1, rows, B] of period t for the scenarios of all paths."""
    return Draws(*(drawn[t].take(scenario, axis=1)[None] if drawn.shape[1] else drawn for drawn in draws))
