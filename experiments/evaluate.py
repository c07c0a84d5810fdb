"""Statistics of a comparison on common scenarios: intervals, paired differences, gaps."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtr, stdtrit

from echelon.envs.problem import Reference

Floats = NDArray[np.float64]
Verdict = Literal["best", "worse", "not distinguishable"]


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


def gap(cost: Estimate, reference: Reference | None) -> Gap | None:
    """The gap of a cost to a reference, None without one or if it is 0."""
    if reference is None or reference.value == 0:
        return None
    scale = 100 / abs(reference.value)
    return Gap((cost.mean - reference.value) * scale, cost.half_width * scale)


def compare(costs: Mapping[str, Floats], *, confidence: float = 0.95) -> dict[str, Difference]:
    """Paired differences of every policy to the one with the lowest mean cost.

    All policies must have met the same scenarios. A policy is `worse` if its paired difference is
    significant by Holm's (1979) step-down procedure at level 1 - confidence over all comparisons. The
    intervals themselves are Bonferroni's, so that they hold together.
    """
    best = min(costs, key=lambda name: float(costs[name].mean()))
    others = [name for name in costs if name != best]
    joint = 1 - (1 - confidence) / max(1, len(others))
    differences = {name: estimate(costs[name] - costs[best], confidence=joint) for name in others}
    significant = _holm({name: _p_value(costs[name] - costs[best]) for name in others}, 1 - confidence)
    found = {
        name: Difference(differences[name], "worse" if name in significant else "not distinguishable")
        for name in others
    }
    return {name: found.get(name, Difference(Estimate(0.0, 0.0, joint, len(costs[best])), "best")) for name in costs}


def _p_value(differences: Floats) -> float:
    """Two-sided p-value of the paired t test."""
    error = differences.std(ddof=1) / math.sqrt(len(differences))
    if error == 0:
        return 0.0 if differences.mean() else 1.0
    return float(2 * stdtr(len(differences) - 1, -abs(differences.mean()) / error))


def _holm(p_values: Mapping[str, float], level: float) -> set[str]:
    """The hypotheses that Holm's step-down procedure rejects."""
    rejected: set[str] = set()
    for rank, name in enumerate(sorted(p_values, key=p_values.__getitem__)):
        if p_values[name] > level / (len(p_values) - rank):
            break
        rejected.add(name)
    return rejected
