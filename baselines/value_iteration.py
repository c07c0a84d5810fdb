"""Average-cost dynamic programmes: value iteration with proven bounds on the optimal cost.

The state spaces, and the compiled sweeps over them, belong to the methods that use this
(`lost_sales`, `dual_sourcing`, `perishable`); what is common is how sweeps are alternated and when
they may stop. Source: M. L. Puterman, *Markov Decision Processes* (1994), sections 8.5 and 8.7.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echelon.envs.errors import MethodError

Sweep = Callable[[NDArray[Any], NDArray[Any], NDArray[Any]], tuple[float, float]]
"""`sweep(values, new_values, policy) -> (low, high)`: one pass over all states.

It fills `new_values` with the cost of one period and the expected value after it, and returns the
least and the greatest of `new_values - values`. An improving sweep minimises over actions and fills
`policy` with the minimisers; an evaluating sweep follows `policy`. All arrays have the shape of the
table of states.
"""

MOST_SWEEPS = 100_000
"""Sweeps after which a chain that does not converge is given up."""
PATIENCE = 64
"""Improving sweeps in which the interval must become half as wide, or the values may be swinging."""
STRIDE = 0.8
"""The part of each change that is taken once the values swing."""


@dataclass(frozen=True, eq=False)
class Solution:
    """An average cost per period, proven to lie between `low` and `high`, and what attains it."""

    low: float
    high: float
    values: NDArray[Any]
    """Relative values of the states: 0 at the first one."""
    policy: NDArray[Any]
    """The action in each state."""
    sweeps: int

    @property
    def cost(self) -> float:
        """The middle of the interval."""
        return (self.low + self.high) / 2


def optimal_cost(
    improve: Sweep,
    evaluate: Sweep,
    values: NDArray[Any],
    policy: NDArray[Any],
    *,
    tolerance: float,
    evaluations: int = 20,
) -> Solution:
    """Modified policy iteration: an improving sweep, then up to `evaluations` sweeps of its policy, and again.

    Stops when an improving sweep proves the optimal average cost to within `tolerance` (money per
    period): it lies between the least and the greatest change of value, whatever the values are
    (Puterman, theorem 8.5.5). Where the best orders take turns (3, 2, 3, 2, ...) values swing for ever; then
    only a part of each change is taken, as if the process stood still at times (section 8.5.4). `values` is
    where the iteration starts, `policy` an array of the same shape to be filled. Raises `MethodError` where the
    values do not settle even so.
    """
    values, policy, spare = values.copy(), policy.copy(), np.empty_like(values)
    sweeps, improvements, stride, width = 0, 0, 1.0, np.inf
    while sweeps < MOST_SWEEPS:
        low, high = improve(values, spare, policy)
        values, spare = _advanced(values, spare, stride), values
        sweeps, improvements = sweeps + 1, improvements + 1
        if high - low <= tolerance:
            return Solution(low, high, values, policy, sweeps)
        if improvements % PATIENCE == 0:
            stride = stride if high - low < width / 2 else STRIDE
            width = high - low
        for _ in range(evaluations):
            least, greatest = evaluate(values, spare, policy)
            values, spare = _advanced(values, spare, stride), values
            sweeps += 1
            if greatest - least <= (high - low) / 10:
                break
    raise _unsettled(high - low)


def policy_cost(evaluate: Sweep, values: NDArray[Any], policy: NDArray[Any], *, tolerance: float) -> Solution:
    """The average cost of a given policy, proven to within `tolerance`, by sweeps that follow it.

    The chain of the policy must have one recurrent class, or the cost of the worst and of the best
    class differ and the sweeps do not settle (`MethodError`).
    """
    return optimal_cost(evaluate, evaluate, values, policy, tolerance=tolerance, evaluations=0)


def _advanced(values: NDArray[Any], new: NDArray[Any], stride: float) -> NDArray[Any]:
    """`new`, or a part of the way to it, less its first value; in the memory of `new`."""
    if stride < 1:
        new -= values
        new *= stride
        new += values
    new -= new.flat[0]
    return new


def _unsettled(span: float) -> MethodError:
    return MethodError(
        f"value iteration did not settle in {MOST_SWEEPS:,} sweeps (the interval is still {span:.3g} wide)"
    )
