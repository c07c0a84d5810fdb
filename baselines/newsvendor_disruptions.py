"""The newsvendor whose supplier is up and down in turns while demand is known.

Snyder & Shen, *Fundamentals of Supply Chain Theory* (2nd ed., 2019), chapter 9, example 9.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, floor, log

from echelon.baselines.requirements import require_at_least_zero, require_positive
from echelon.envs.errors import MethodError


@dataclass(frozen=True)
class DisruptedNewsvendor:
    """A base-stock level (units) and its expected holding and stockout cost per period."""

    level: float
    cost: float
    critical_ratio: float


def newsvendor_with_disruptions(
    *,
    demand: float,
    holding_cost: float,
    stockout_cost: float,
    disruption_prob: float,
    recovery_prob: float,
    level: float | None = None,
) -> DisruptedNewsvendor:
    """The base-stock level that rides out disruptions, for demand of `demand` units in every period.

    The supplier goes down with probability a in a period in which it is up and recovers with
    probability b in one in which it is down; orders placed while it is down wait. In the long run
    it has been down for exactly n periods with probability ``pi_0 = b / (a + b)``,
    ``pi_n = a b / (a + b) (1 - b)^(n - 1)``. After n of them (n + 1) d units have been asked of the
    level S, so that the cost is ``sum pi_n (h (S - (n + 1) d)+ + p ((n + 1) d - S)+)``: a newsvendor, and
    ``S* = (n + 1) d`` with the smallest n for which ``P(down for at most n) >= p / (p + h)``.

    `level` prices a given level. A probability of disruption of 0 gives ``S* = d`` at no cost.

    >>> best = newsvendor_with_disruptions(demand=2000, holding_cost=0.25, stockout_cost=3,
    ...                                    disruption_prob=0.04, recovery_prob=0.25)
    >>> best.level, round(best.cost, 2)
    (8000.0, 2737.07)
    """
    require_positive("demand", demand)
    require_positive("holding_cost", holding_cost)
    require_positive("stockout_cost", stockout_cost)
    if not 0 <= disruption_prob <= 1:
        raise MethodError(f"disruption_prob must be between 0 and 1, got {disruption_prob:g}")
    if not 0 < recovery_prob <= 1:
        raise MethodError(f"recovery_prob must be above 0 and at most 1, got {recovery_prob:g}")
    ratio = stockout_cost / (stockout_cost + holding_cost)
    down = disruption_prob / (disruption_prob + recovery_prob)
    if level is None:
        level = demand * (1 + _quantile(ratio, down, recovery_prob))
    require_at_least_zero("level", level)
    short = demand * _shortage(level / demand, down, recovery_prob)
    excess = level - demand * (1 + down / recovery_prob) + short
    return DisruptedNewsvendor(float(level), holding_cost * excess + stockout_cost * short, ratio)


def _quantile(ratio: float, down: float, recovery: float) -> int:
    """The smallest n with P(N <= n) = 1 - down (1 - recovery)^n >= ratio, N the length of the disruption so far."""
    if 1 - down >= ratio:
        return 0
    if recovery == 1:
        return 1
    return max(1, ceil(log((1 - ratio) / down) / log(1 - recovery) - 1e-9))


def _shortage(periods: float, down: float, recovery: float) -> float:
    """E[(N + 1 - y)+] for y = periods >= 0: the area under P(N + 1 > u) = P(N >= floor(u)) from y upwards."""
    whole = floor(periods)
    at_least = down * (1 - recovery) ** (whole - 1) if whole else 1.0
    beyond = down * (1 - recovery) ** whole / recovery
    return (whole + 1 - periods) * at_least + beyond
