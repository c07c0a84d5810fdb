"""The policy that controlled learning starts from where none is given: tuned order-up-to levels with a cap."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from echelon.envs.codec import Codec
from echelon.envs.levels import base_stock_levels
from echelon.envs.policy import OrderUpTo, order_up_to
from echelon.envs.problem import Problem
from echelon.envs.scenarios import sample
from echelon.envs.simulate import simulate_cost

Floats = NDArray[np.float64]

REPLICATIONS = 32
SERVICE = (0.5, 0.7, 0.8, 0.9, 0.95, 0.99)
"""Service levels whose base-stock levels are tried first."""
CAPS = (np.inf, 2.0, 1.5, 1.2)
"""Largest orders that are tried first, in mean needs of a period, on links without a fixed cost."""
STEPS = (1.0, 0.5, 0.25, 0.125)
"""Lengths of the steps of the search, one after the other, in standard deviations of a period's need."""
ROUNDS = 10
"""Most rounds with steps of one length."""


def tuned_start(problem: Problem, *, seed: int) -> OrderUpTo:
    """An order-up-to rule that costs little on simulated scenarios of the stream `training`.

    It is found from the best of a few rules by changing one number of one link at a time: its reorder
    point, its cap, or, where an order has a fixed cost, how far above the reorder point the level lies.
    """
    network, codec = problem.network, Codec(problem.network)
    scenarios = sample(network, periods=problem.periods, replications=REPLICATIONS, seed=seed, stream="training")

    def cost(numbers: Floats) -> float:
        return float(simulate_cost(problem, _rule(problem, numbers), scenarios).mean())

    costly = codec.arrays.fixed_cost > 0
    gap = np.where(costly, codec.economic_lot, 0.0)
    tried = [
        np.stack(
            [np.array(base_stock_levels(network, service=service)), gap, np.where(costly, np.inf, cap * codec.need)]
        )
        for service in SERVICE
        for cap in CAPS
    ]
    best = min(tried, key=cost)
    unit = np.maximum(codec.sd, codec.need / 4)
    for length in STEPS:
        step = length * np.stack([unit, unit * costly, unit])
        best = _descended(cost, best, np.ceil(step) if network.whole_units else step)
    return _rule(problem, best)


def _rule(problem: Problem, numbers: Floats) -> OrderUpTo:
    """The rule with numbers [3, E]: the reorder point, how far above it the level lies, and the cap."""
    reorder, gap, cap = np.rint(numbers) if problem.network.whole_units else numbers
    return order_up_to(problem.network, list(reorder + gap), reorder=list(reorder), cap=list(cap))


def _descended(cost: Callable[[Floats], float], numbers: Floats, step: Floats) -> Floats:
    """Coordinate search over numbers [3, E] of at least 0 with steps of one length."""
    best = cost(numbers)
    for _ in range(ROUNDS):
        before = best
        for place in zip(*np.nonzero((step > 0) & np.isfinite(numbers)), strict=True):
            for change in (step[place], -step[place]):
                changed = numbers.copy()
                changed[place] = max(changed[place] + change, 0.0)
                found = cost(changed)
                if found < best:
                    best, numbers = found, changed
                    break
        if best == before:
            break
    return numbers
