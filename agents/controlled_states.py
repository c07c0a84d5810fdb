"""Where a policy goes and what it costs there: visited states to learn from, and its cost on long runs."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from echelon.agents.controlled_rollouts import Decider
from echelon.envs._kernel import Engine, draws_of
from echelon.envs.codec import Codec
from echelon.envs.dynamics import initial_state
from echelon.envs.problem import Problem
from echelon.envs.scenarios import sample
from echelon.envs.simulate import PART_BYTES, scenario_bytes

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

COPIES = 1_024
"""Most copies of the system in which states are collected."""


def visited_states(
    problem: Problem,
    decider: Decider,
    quantities: Floats,
    *,
    choices: Ints,
    count: int,
    exploration: float,
    seed: int,
    stream: str,
) -> Floats:
    """[rows, S = count] stocks that a policy visits if with some probability a period it orders at random instead.

    `quantities` [E, A] are the possible orders, of which each link has its first `choices` [E]. Without a
    discount the copies of the system are looked at after a warm-up, and then so seldom that they have renewed
    their stocks. With one, after a geometric number of periods: early states weigh more.
    """
    network = problem.network
    rng = np.random.default_rng(np.random.SeedSequence((seed, *stream.encode())))
    copies = min(count, COPIES)
    when, copy = _moments(problem, count, copies, rng), np.arange(count) % copies
    horizon = int(when.max()) + 1
    draws = draws_of(sample(network, periods=horizon, replications=copies, seed=seed, stream=stream))
    engine = Engine(initial_state(network, copies))
    memory = np.empty((len(engine.memory), count))
    for t in range(horizon):
        seen = when == t
        memory[:, seen] = engine.memory[:, copy[seen]]
        placed = decider.memory_orders(engine.memory, 0)
        engine.step_drawn(_explored(placed, quantities, choices, exploration, rng), draws, t)
    return memory


def _moments(problem: Problem, count: int, copies: int, rng: np.random.Generator) -> Ints:
    """[S] the period in which each state is seen."""
    cover = int(Codec(problem.network).echelon_cover.max())
    if problem.discount < 1:
        last = min(problem.periods, 1 + math.ceil(math.log(0.01) / math.log(problem.discount)))
        return np.minimum(rng.geometric(1 - problem.discount, count) - 1, last - 1)
    return max(50, 10 * cover) + cover * (np.arange(count) // copies)


def _explored(
    orders: Floats, quantities: Floats, choices: Ints, exploration: float, rng: np.random.Generator
) -> Floats:
    """The orders [E, B], some of them replaced by any that is possible."""
    other = np.take_along_axis(quantities, rng.integers(choices[:, None], size=orders.shape), axis=1)
    return np.where(rng.random(orders.shape) < exploration, other, orders)


def simulated_cost(problem: Problem, decider: Decider, *, replications: int, seed: int) -> Floats:
    """[B] the cost of a policy on the replications of the stream `validation`."""
    size = max(1, int(PART_BYTES / scenario_bytes(problem)))
    parts = [range(first, min(first + size, replications)) for first in range(0, replications, size)]
    return np.concatenate([_cost(problem, decider, part, seed) for part in parts])


def _cost(problem: Problem, decider: Decider, replications: range, seed: int) -> Floats:
    network, total = problem.network, np.zeros(len(replications))
    drawn = sample(network, periods=problem.periods, replications=replications, seed=seed, stream="validation")
    draws, engine = draws_of(drawn), Engine(initial_state(network, len(replications)))
    for t, weight in enumerate(problem.weights):
        entry = engine.step_drawn(decider.memory_orders(engine.memory, 0), draws, t)
        total += weight * engine.cost(entry)
    return total
