"""(s, S) policies whose cost depends on the position after ordering alone: exact pricing and the optimum.

The inventory position falls by the demand of each period; at or below s it is raised to S at a fixed
cost K. If a period that starts at position y costs G(y), renewal theory gives the average cost, and
the search of Zheng and Federgruen the best (s, S). Single locations and the top of serial systems
differ in G only. Demand comes in whole units.

Source: Y.-S. Zheng and A. Federgruen, Finding optimal (s, S) policies is about as simple as evaluating
a single policy, Operations Research 39(4), 1991.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from echelon.baselines.requirements import require_at_least_zero
from echelon.envs.errors import MethodError

Floats = NDArray[np.float64]
CostRate = Callable[[Floats], Floats]
"""G: the expected cost of a period at each inventory position after ordering, fixed cost apart."""

MOST_POSITIONS = 2**20
"""Width of the range of positions beyond which the search is given up."""


@dataclass(frozen=True)
class MinMaxLevels:
    """At or below `reorder` (s) order up to `up_to` (S), whole units, at `cost` per period."""

    reorder: int
    up_to: int
    cost: float


def min_max_cost(rate: CostRate, demand: ArrayLike, *, reorder: int, up_to: int, fixed_cost: float) -> float:
    """The average cost per period of an (s, S) policy, exactly.

    ``c(s, S) = (K + sum_{j < S-s} m(j) G(S - j)) / sum_{j < S-s} m(j)``, where ``m(j)`` is the expected
    number of periods of a cycle that start at position ``S - j``. `demand` holds the probabilities of
    a period's demand of 0, 1, 2, ... units.
    """
    if not reorder < up_to:
        raise MethodError(f"reorder must be below up_to = {up_to}, got {reorder}")
    require_at_least_zero("fixed_cost", fixed_cost)
    visits = _visits(demand, up_to - reorder)
    return _cost(visits, np.asarray(rate(np.arange(reorder + 1, up_to + 1.0))), fixed_cost)


def best_min_max(rate: CostRate, demand: ArrayLike, *, fixed_cost: float, start: int = 0) -> MinMaxLevels:
    """The (s, S) policy of least average cost, if G falls to a minimum and rises after it.

    No policy of any form costs less then. `start` is where the search for the minimum of G begins;
    the closer, the faster. Without a fixed cost S is the lowest minimiser of G and s is S - 1.
    """
    require_at_least_zero("fixed_cost", fixed_cost)
    best = _minimiser(rate, start)
    ordering_in_every_period = float(rate(np.array([float(best)]))[0]) + fixed_cost / _visits(demand, 1)[0]
    first, rates = _level_set(rate, best, ordering_in_every_period)
    visits = _visits(demand, len(rates))

    def cost(s: int, up_to: int) -> float:
        return _cost(visits, rates[s + 1 - first : up_to + 1 - first], fixed_cost)

    s, up_to = best - 1, best
    while cost(s, up_to) > rates[s - first]:
        s -= 1
    least = cost(s, up_to)
    candidate = up_to + 1
    while rates[candidate - first] < least:
        if cost(s, candidate) < least:
            up_to = candidate
            while cost(s, up_to) <= rates[s + 1 - first]:
                s += 1
            least = cost(s, up_to)
        candidate += 1
    return MinMaxLevels(s, up_to, least)


def _visits(demand: ArrayLike, count: int) -> Floats:
    """m(0), ..., m(count - 1): the renewal mass function, ``m(j) = [j = 0] + sum_{i <= j} p(i) m(j - i)``."""
    pmf = np.asarray(demand, dtype=np.float64)
    if pmf.ndim != 1 or not (pmf >= 0).all() or abs(pmf.sum() - 1) > 1e-6 or pmf[0] >= 1:
        raise MethodError("demand must be probabilities of 0, 1, 2, ... units that sum to 1, with some of it above 0")
    visits = np.zeros(count)
    visits[0] = 1.0 / (1.0 - pmf[0])
    for j in range(1, count):
        reach = min(j, len(pmf) - 1)
        visits[j] = pmf[1 : reach + 1] @ visits[j - reach : j][::-1] * visits[0]
    return visits


def _cost(visits: Floats, rates: Floats, fixed_cost: float) -> float:
    """Cost of an (s, S) policy, given G at s + 1, ..., S."""
    periods = visits[: len(rates)]
    return float((fixed_cost + periods @ rates[::-1]) / periods.sum())


def _minimiser(rate: CostRate, start: int) -> int:
    """The lowest minimiser of G, by steps that double as long as they go downhill."""
    position, step = start, 1
    while True:
        around = np.arange(position - step, position + step + 1.0)
        lowest = int(np.argmin(rate(around))) - step
        if step > MOST_POSITIONS:
            raise MethodError("the cost rate must rise on both sides of its minimum")
        if abs(lowest) < step:
            return position + lowest
        position, step = position + lowest, 2 * step


def _level_set(rate: CostRate, best: int, bound: float) -> tuple[int, Floats]:
    """First position and values of G on a range that holds all positions where G is at most `bound`, and ends above."""
    reach = 1
    while reach <= MOST_POSITIONS:
        values = np.asarray(rate(np.arange(best - reach, best + reach + 1.0)))
        if values[0] > bound < values[-1]:
            inside = np.flatnonzero(values <= bound)
            first = int(inside[0]) - 1
            return best - reach + first, values[first : int(inside[-1]) + 2]
        reach *= 2
    raise MethodError("the cost rate must rise on both sides of its minimum")
