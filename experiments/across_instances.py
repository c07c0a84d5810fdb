"""How policies do across many instances: interquartile mean, performance profile, probability of improvement.

Scores [runs, instances] are costs or gaps: **lower is better**. Runs are what shows how a method's result varies on an
instance: trainings from seeds of their own, or replications. The figures are those of R. Agarwal, M. Schwarzer,
P. S. Castro, A. Courville and M. G. Bellemare, Deep reinforcement learning at the edge of the statistical precipice,
NeurIPS 2021, with intervals by the bootstrap; `resampling` tells what is drawn again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from echelon.experiments.resampling import (
    Floats,
    Integers,
    Interval,
    Over,
    choose_over,
    drawn_counts,
    ends,
    parts,
    require_scores,
    resampled_weights,
    score_tail,
    tail_of,
    widened,
    words,
)


@dataclass(frozen=True, eq=False)
class Profile:
    """The share of scores at or below each threshold, with pointwise bands."""

    thresholds: Floats
    """[K] in increasing order, in units of the score."""
    share: Floats
    """[K] of runs and instances, from 0 to 1."""
    low: Floats
    high: Floats
    """[K] ends of the intervals; each holds its true share with probability `confidence`, not all of them at once."""
    confidence: float
    method: str


def interquartile_mean(scores: ArrayLike) -> float:
    """The mean of the scores that are left when a quarter of all of them is cut at either end, rounded down.

    Less swayed by single instances than the mean, less wasteful than the median. Scores may have any shape.
    """
    ordered = np.sort(np.asarray(scores, dtype=np.float64), axis=None)
    if not len(ordered) or not np.isfinite(ordered).all():
        raise ValueError(f"scores must be finite numbers, at least one (got {len(ordered)})")
    cut = len(ordered) // 4
    return float(ordered[cut : len(ordered) - cut].mean())


def iqm_interval(
    scores: ArrayLike, *, over: Over | None = None, confidence: float = 0.95, resamples: int = 9_999, seed: int = 0
) -> Interval:
    """The interquartile mean of scores [runs, instances] with its percentile bootstrap interval.

    Over runs (the default where there are several) it is about these instances, and says how the figure varies with the
    runs; over instances it is about the population of instances.
    """
    array = require_scores("scores", scores)
    runs, instances = array.shape
    over = choose_over(over, runs=runs, instances=instances)
    tail = score_tail(over, runs=runs, instances=instances, confidence=confidence, resamples=resamples)
    flat, size = array.T.ravel(), array.size
    order, cut = np.argsort(flat), size // 4
    found = []
    weights = resampled_weights(np.random.default_rng(seed), over, runs=runs, instances=instances, resamples=resamples)
    for part in weights:
        # Of the drawn scores in order, those of rank cut + 1 to size - cut are kept.
        ranks = np.clip(np.cumsum(part[:, order], axis=1), cut, size - cut)
        found.append(np.diff(ranks, axis=1, prepend=cut) @ flat[order] / (size - 2 * cut))
    low, high = ends(np.concatenate(found), tail)
    return Interval(interquartile_mean(array), float(low), float(high), confidence, words(over))


def performance_profile(
    scores: ArrayLike,
    thresholds: Sequence[float] | Floats,
    *,
    over: Over | None = None,
    confidence: float = 0.95,
    resamples: int = 9_999,
    seed: int = 0,
) -> Profile:
    """The share of scores [runs, instances] that are at or below each threshold [K], with pointwise bootstrap bands.

    The profile of a policy that is better everywhere lies above. After E. D. Dolan and J. J. More, Benchmarking
    optimization software with performance profiles, Mathematical Programming 91(2), 2002, with gaps for their ratios.
    Where the share is 0 or 1 drawing again shows no spread, so every band reaches as far as the interval of Clopper and
    Pearson does for such a share.
    """
    array, taus = require_scores("scores", scores), np.asarray(thresholds, dtype=np.float64)
    if taus.ndim != 1 or not len(taus) or not np.isfinite(taus).all() or (np.diff(taus) <= 0).any():
        raise ValueError(f"thresholds must be finite and increasing, at least one (got {thresholds})")
    runs, instances = array.shape
    over = choose_over(over, runs=runs, instances=instances)
    tail = score_tail(over, runs=runs, instances=instances, confidence=confidence, resamples=resamples)
    below = (array.T.reshape(-1, 1) <= taus).astype(np.float64)
    weights = resampled_weights(np.random.default_rng(seed), over, runs=runs, instances=instances, resamples=resamples)
    low, high = ends(np.concatenate([part @ below for part in weights]) / array.size, tail)
    low, high = widened(low, high, over, runs=runs, instances=instances, confidence=confidence)
    return Profile(taus, below.mean(axis=0), low, high, confidence, words(over))


def probability_of_improvement(
    a: ArrayLike,
    b: ArrayLike,
    *,
    over: Over | None = None,
    confidence: float = 0.95,
    resamples: int = 9_999,
    seed: int = 0,
) -> Interval:
    """The chance that a run of A costs less than one of B on an instance drawn at random; equal costs count half.

    a [Ra, instances] and b [Rb, instances] are scores of independent runs on the same instances, lower is better.
    On each instance the chance is the share of pairs of runs, Mann and Whitney's U / (Ra Rb); the result is its mean
    over instances. 0.5 says no difference, and nothing is said of how large differences are. Where A always wins, or
    never, the interval is Clopper and Pearson's for as many pairs as there are of which no two share a run.
    """
    one, two = require_scores("a", a), require_scores("b", b)
    if one.shape[1] != two.shape[1]:
        raise ValueError(f"a and b must have the same instances (got {one.shape[1]} and {two.shape[1]})")
    instances, fewest = one.shape[1], min(len(one), len(two))
    over = choose_over(over, runs=fewest, instances=instances)
    freedom = instances * (len(one) + len(two) - 2) if over == "runs" else instances - 1
    # Each sample's noise adds to the variance that drawing the other one again shows, about as much as is lost.
    shrinkage = 1.0 if over == "runs" else 1 - 1 / instances
    tail = tail_of(confidence, shrinkage=shrinkage, freedom=freedom, resamples=resamples)
    each = _wins(one.T, two.T, np.ones((1, instances, len(one))), np.ones((1, instances, len(two))))[0]
    rng, found = np.random.default_rng(seed), []
    for part in parts(resamples, one.size + two.size):
        if over == "runs":
            counts = (drawn_counts(rng, part, strata=instances, size=len(runs)) for runs in (one, two))
            found.append(_wins(one.T, two.T, *counts).mean(axis=1))
        else:
            found.append(drawn_counts(rng, part, strata=1, size=instances)[:, 0] @ each / instances)
    low, high = ends(np.concatenate(found), tail)
    low, high = widened(low, high, over, runs=fewest, instances=instances, confidence=confidence)
    return Interval(float(each.mean()), float(low), float(high), confidence, words(over))


def _wins(a: Floats, b: Floats, a_counts: Floats | Integers, b_counts: Floats | Integers) -> Floats:
    """[S, instances] the share of pairs of runs with a < b, ties half.

    The runs a [instances, Ra] count a_counts [S, instances, Ra] times, those of b in increasing order b_counts times.
    """
    below = np.cumsum(np.pad(b_counts, ((0, 0), (0, 0), (1, 0))), axis=2)
    pairs = list(zip(np.sort(b, axis=1), a, strict=True))
    lost = np.zeros(a_counts.shape)
    for side in ("left", "right"):
        ranks = np.stack([np.searchsorted(theirs, ours, side=side) for theirs, ours in pairs])
        lost += np.asarray(np.take_along_axis(below, ranks[None], axis=2), dtype=np.float64) / 2
    return np.asarray((a_counts * (b.shape[1] - lost)).sum(axis=2) / (a.shape[1] * b.shape[1]))
