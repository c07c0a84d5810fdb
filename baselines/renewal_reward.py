"""(s, S) policies whose cost depends on the position after ordering alone: exact cost, and the optimum.

The inventory position falls by the demand of each period; at or below s it is raised to S at a fixed
cost K. If a period that starts at position y costs G(y), renewal theory gives the average cost, and
the search of Zheng and Federgruen the best (s, S). Single locations and the top of serial systems
differ in G only. Demand comes in whole units.

Symbols and algorithm are those of Y.-S. Zheng and A. Federgruen, "Finding optimal (s, S) policies is
about as simple as evaluating a single policy", Operations Research 39(4), 1991.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from echelon.baselines.lattice import convolve
from echelon.baselines.requirements import require_at_least_zero
from echelon.envs.errors import MethodError

Floats = NDArray[np.float64]
CostRate = Callable[[Floats], Floats]
"""G: the expected cost of a period at each inventory position after ordering, fixed cost apart."""

FIRST_WINDOW = 64
"""Units to either side of the start within which an optimum is looked for first."""
LARGEST_WINDOW = 2**19
"""Units to either side beyond which a search is given up: it would take more than some ten seconds."""
TIE = 1e-12
"""Share of a cost, or of a service level, below which a difference is rounding."""


@dataclass(frozen=True)
class MinMaxResult:
    """Levels of an (s, S) policy (units) and its expected cost per period, that of ordering included."""

    reorder: int
    """s: an order is placed when the inventory position is at or below it."""
    up_to: int
    """S: the position after an order."""
    cost: float


def renewal_reward_cost(rate: CostRate, demand: ArrayLike, *, reorder: int, up_to: int, fixed_cost: float) -> float:
    """The average cost per period of an (s, S) policy, exactly.

    Orders start cycles that are alike, so that the cost is that of a cycle over its length,

        c(s, S) = (K + sum of m(j) G(S - j) over j < S - s) / M(S - s),

    with the m of `renewal_density` and M(k) = m(0) + ... + m(k - 1). `demand` holds the probabilities of
    a period's demand of 0, 1, 2, ... units.
    """
    if not reorder < up_to:
        raise MethodError(f"reorder must be below up_to = {up_to}, got {reorder}")
    require_at_least_zero("fixed_cost", fixed_cost)
    visits = renewal_density(demand, up_to - reorder)
    return float((fixed_cost + visits @ rate(up_to - np.arange(len(visits), dtype=np.float64))) / visits.sum())


def best_min_max(
    rate: CostRate, demand: ArrayLike, *, fixed_cost: float, start: int = 0, method: str = "best_min_max"
) -> MinMaxResult:
    """The (s, S) policy of least average cost, if G falls to a minimum and rises after it.

    No policy of any form costs less then. `start` is a level near the minimum of G; the closer, the
    faster. Without a fixed cost S is the lowest minimiser of G and s is S - 1. An error names `method`.
    """
    require_at_least_zero("fixed_cost", fixed_cost)
    for size in windows(LARGEST_WINDOW):
        bottom = start - size
        costs = rate(bottom + np.arange(2.0 * size + 1))
        low = int(np.argmax(costs - costs.min() <= TIE * abs(costs.min())))
        surrounded = costs[0] > costs[low] < costs[-1]
        best = _search(costs, low, demand, fixed_cost) if surrounded else None
        if best is not None:
            return MinMaxResult(bottom + best.reorder, bottom + best.up_to, best.cost)
    if not surrounded:
        raise MethodError("the cost rate must rise on both sides of its minimum")
    raise too_wide(method, LARGEST_WINDOW)


def renewal_density(demand: ArrayLike, length: int) -> Floats:
    """m(j), j < `length`: expected periods that the position spends j below the level it was last raised to.

    `demand` holds the probabilities p(0), p(1), ... of a period's demand. The position stays for
    1 / (1 - p(0)) periods where it is, then falls:

        m(0) = 1 / (1 - p(0)),   m(j) = sum of p(k) m(j - k) over k = 1, ..., j, divided by 1 - p(0).

    The first n values give the next n: what falls beyond them for the first time, and m from there on.
    """
    sizes = np.asarray(demand, dtype=np.float64)
    if sizes.ndim != 1 or not (sizes >= 0).all() or abs(sizes.sum() - 1) > 1e-6 or sizes[0] >= 1:
        raise MethodError("demand must be probabilities of 0, 1, 2, ... units that sum to 1, with some of it above 0")
    some = float(sizes[1:].sum())
    falls = np.zeros(max(2 * length, len(sizes)))
    falls[1 : len(sizes)] = sizes[1:] / some
    visits = np.ones(1)
    while (known := len(visits)) < length:
        beyond = convolve(falls[: 2 * known], visits)[known : 2 * known]
        visits = np.append(visits, convolve(visits, beyond)[:known])
    return visits[:length] / some


def windows(largest: int) -> Iterator[int]:
    """`FIRST_WINDOW`, doubled again and again up to `largest`."""
    size = FIRST_WINDOW
    while size <= largest:
        yield size
        size *= 2


def too_wide(method: str, window: int) -> MethodError:
    """The error of a search that has left its largest window."""
    return MethodError(f"{method} needs levels within {window:,} units of one another: count demand in larger units")


def _search(g: Floats, low: int, demand: ArrayLike, fixed_cost: float) -> MinMaxResult | None:
    """The optimum, or None if it is not among the levels 0, 1, ... that cost `g`; `low` is the cheapest of them.

    By the lemmas of Zheng and Federgruen a level s is optimal for S if and only if G(s) >= c(s, S) >=
    G(s + 1), and another S is better, with any s, if and only if it is with this s. So s and S improve by
    turns, every S being tried at once.
    """
    visits = renewal_density(demand, len(g))
    periods = np.cumsum(visits)
    best, top = MinMaxResult(0, 0, np.inf), low
    while True:
        for_top = (fixed_cost + np.cumsum(visits[:top] * g[top:0:-1])) / periods[:top]
        low_enough = for_top[top - low :] <= g[low - 1 :: -1]
        if not low_enough.any():
            return None
        s = low - 1 - int(np.argmax(low_enough))
        cost = float(for_top[top - s - 1])
        if cost >= best.cost * (1 - TIE):
            return best if g[-1] > best.cost else None
        best = MinMaxResult(s, top, cost)
        above = len(g) - s - 1
        for_s = (fixed_cost + convolve(visits, g[s + 1 :])[:above]) / periods[:above]
        top = s + 1 + int(np.argmin(for_s))
