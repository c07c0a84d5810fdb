"""Sequential halving: the best of some arms, found with a fixed number of samples.

Z. Karnin, T. Koren, O. Somekh, Almost optimal exploration in multi-armed bandits, ICML 2013, section 3:
in each of ceil(log2 K) rounds every arm that is left gets the same number of samples, and the better
half of the arms goes on. Here the samples of earlier rounds count on, and samples are common to the arms.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

Pull = Callable[[Ints, int, int], tuple[Floats, Floats]]
"""`pull(arms [S, M], first, count)`: sums and sums of squares [S, M] of samples `first`, ..., `first + count - 1`
of the cost of each arm, less that of a reference that does not change."""


@dataclass(frozen=True, eq=False)
class Comparison:
    """What is known about K arms in each of S states. Costs are relative to a reference; less is better."""

    cost: Floats
    """[S, K] mean of the samples."""
    error: Floats
    """[S, K] standard error of the mean."""
    samples: Ints
    """[S, K]"""
    best: Ints
    """[S] the arm that was left."""


def sequential_halving(pull: Pull, *, states: int, arms: int, budget: int) -> Comparison:
    """Compare K arms in S states at once with at most `budget` samples in each state, all arms together.

    The budget is at least one sample for each arm and round.
    """
    sums, squares = np.zeros((states, arms)), np.zeros((states, arms))
    samples = np.zeros((states, arms), dtype=np.int64)
    left = np.tile(np.arange(arms), (states, 1))
    taken = 0
    for count in counts(arms, budget):
        here = np.arange(states)[:, None], left
        total, square = pull(left, taken, count)
        sums[here] += total
        squares[here] += square
        samples[here] += count
        taken += count
        order = np.argsort(sums[here], axis=1, kind="stable")[:, : math.ceil(left.shape[1] / 2)]
        left = np.sort(np.take_along_axis(left, order, axis=1), axis=1)
    mean = sums / samples
    spread = np.maximum(squares / samples - mean**2, 0.0)
    return Comparison(mean, np.sqrt(spread / np.maximum(samples - 1, 1)), samples, left[:, 0])


def counts(arms: int, budget: int) -> list[int]:
    """How often each arm that is left is sampled in each round."""
    rounds = max(1, math.ceil(math.log2(arms)))
    sizes = [arms]
    while len(sizes) < rounds:
        sizes.append(math.ceil(sizes[-1] / 2))
    return [max(1, budget // (rounds * size)) for size in sizes]
