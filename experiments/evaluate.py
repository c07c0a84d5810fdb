"""Statistics of a comparison on common scenarios: intervals, paired differences, gaps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from echelon.envs.problem import Reference

Floats = NDArray[np.float64]
Verdict = Literal["best", "worse", "not distinguishable"]
Pair = tuple[str, str]

NEGLIGIBLE = 1e-12
"""Differences up to this share of the cost are rounding errors."""
WIDEST_REFERENCE = 0.2
"""Share of a reference up to which its half width is small enough for the interval of a ratio."""


@dataclass(frozen=True)
class Estimate:
    """A mean with the half width of its Student interval."""

    mean: float
    half_width: float
    confidence: float
    replications: int


@dataclass(frozen=True)
class Difference:
    """How much more a policy costs than the best one, replication by replication."""

    estimate: Estimate
    verdict: Verdict


@dataclass(frozen=True)
class Gap:
    """How far a cost is above the reference, in percent."""

    percent: float
    half_width: float


def estimate(values: Sequence[float] | Floats, *, confidence: float = 0.95) -> Estimate:
    """Mean and Student interval of independent replications [B]. Raises `ValueError` for fewer than two."""
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or len(array) < 2 or not np.isfinite(array).all():
        raise ValueError(f"an interval needs at least 2 finite replications (got shape {array.shape})")
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1 (got {confidence})")
    error = array.std(ddof=1) / math.sqrt(len(array))
    quantile = stdtrit(len(array) - 1, 0.5 + confidence / 2)
    return Estimate(float(array.mean()), float(quantile * error), confidence, len(array))


def gap(cost: Estimate, reference: Reference | None, *, reference_half_width: float = 0.0) -> Gap | None:
    """The gap of a cost to a reference, None without one or if it is 0.

    A reference that was itself estimated, on other scenarios than the cost, has a half width, at the confidence of the
    cost. It widens that of the gap by the delta method for a ratio C / R,

        100 / |R| sqrt(h_C^2 + (C / R)^2 h_R^2),

    which needs h_R to be small beside R: `ValueError` above 20 %.
    """
    if reference is None or reference.value == 0:
        return None
    size = abs(reference.value)
    if not 0 <= reference_half_width <= WIDEST_REFERENCE * size:
        raise ValueError(
            f"reference_half_width must be from 0 to {WIDEST_REFERENCE:.0%} of the reference, {reference.value:g}"
            f" (got {reference_half_width:g})"
        )
    half_width = math.hypot(cost.half_width, cost.mean / size * reference_half_width)
    return Gap(*(_without_rounding(100 / size * value) for value in (cost.mean - reference.value, half_width)))


def _without_rounding(percent: float) -> float:
    return 0.0 if abs(percent) <= 100 * NEGLIGIBLE else percent


def compare(costs: Mapping[str, Floats], *, confidence: float = 0.95) -> dict[str, Difference]:
    """Paired differences of every policy to the one with the lowest mean cost.

    All policies must have met the same scenarios. A policy is `worse` if its paired difference is
    significant by Holm's (1979) step-down procedure at level 1 - confidence. The best policy is chosen
    by the same data, so the procedure runs over all pairs of policies, not just over those with the
    best one; the intervals are Bonferroni's over as many, so that they hold together.
    """
    best = min(costs, key=lambda name: float(costs[name].mean()))
    pairs = {pair: costs[pair[1]] - costs[pair[0]] for pair in combinations(sorted(costs), 2)}
    joint = 1 - (1 - confidence) / max(1, len(pairs))
    negligible = NEGLIGIBLE * float(np.abs(costs[best]).mean())
    rejected = _holm({pair: _p_value(values, negligible) for pair, values in pairs.items()}, 1 - confidence)
    worse = {name for pair in rejected if best in pair for name in pair}
    found: dict[str, Difference] = {}
    for name, cost in costs.items():
        if name == best:
            found[name] = Difference(Estimate(0.0, 0.0, joint, len(cost)), "best")
        else:
            verdict: Verdict = "worse" if name in worse else "not distinguishable"
            excess = cost - costs[best]
            excess[np.abs(excess) <= negligible] = 0.0
            found[name] = Difference(estimate(excess, confidence=joint), verdict)
    return found


def _p_value(differences: Floats, negligible: float) -> float:
    """Two-sided p-value of the paired t test; differences that are all rounding errors are none."""
    mean, error = differences.mean(), differences.std(ddof=1) / math.sqrt(len(differences))
    if np.abs(differences).max() <= negligible:
        return 1.0
    if error == 0:
        return 0.0
    return float(2 * stdtr(len(differences) - 1, -abs(mean) / error))


def _holm(p_values: Mapping[Pair, float], level: float) -> set[Pair]:
    """The hypotheses that Holm's step-down procedure rejects."""
    rejected: set[Pair] = set()
    for rank, pair in enumerate(sorted(p_values, key=p_values.__getitem__)):
        if p_values[pair] > level / (len(p_values) - rank):
            break
        rejected.add(pair)
    return rejected
