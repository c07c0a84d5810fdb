"""Resampling scores [runs, instances]: what is drawn again, how often, and how far out the ends of an interval lie.

Over `runs`, every instance is a stratum whose runs are drawn again with replacement: the stratified bootstrap of
R. Agarwal, M. Schwarzer, P. S. Castro, A. Courville and M. G. Bellemare, Deep reinforcement learning at the edge of the
statistical precipice, NeurIPS 2021. The instances stay as they are, so the interval is about them alone. Over
`instances`, whole instances are drawn again, with all their runs, and the interval is about the population of which
they are a random sample. It is the only one of the two that a single run of each instance allows.

A bootstrap interval of few values is too narrow: drawing n values again shrinks the variance by (n - 1) / n and takes
no account of not knowing it. T. C. Hesterberg, What teachers should know about the bootstrap, The American Statistician
69(4), 2015, widens it by taking the quantiles at Phi(-sqrt(n / (n - 1)) t), with t the quantile of Student, instead of
those at alpha / 2 = Phi(-z). For a mean the result is close to Student's interval; with many values nothing changes.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr, stdtrit

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]
Over = Literal["runs", "instances"]

FEWEST: dict[Over, int] = {"runs": 5, "instances": 10}
"""With fewer, measured coverage of 95 % intervals falls below 93 %."""
PART = 2**21
"""Weights that are held at a time."""
IN_TAIL = 5
"""Resamples that must lie beyond each end of an interval."""


@dataclass(frozen=True)
class Interval:
    """A figure, and an interval that holds the true one with probability `confidence`; it need not be symmetric."""

    value: float
    low: float
    high: float
    confidence: float
    method: str
    """In words: which bootstrap, and of what."""


def require_scores(name: str, scores: ArrayLike) -> Floats:
    """Scores as numbers [runs, instances]; `ValueError` if they are not."""
    array = np.asarray(scores, dtype=np.float64)
    if array.ndim != 2 or array.size == 0:
        raise ValueError(f"{name} must have the shape [runs, instances], with at least one of each (got {array.shape})")
    if not np.isfinite(array).all():
        raise ValueError(f"{name} must be finite (got {array[~np.isfinite(array)][0]})")
    return array


def choose_over(over: Over | None, *, runs: int, instances: int) -> Over:
    """What is drawn again: as asked for, else runs where there are several; `ValueError` if there are too few."""
    if over is None:
        over = "runs" if runs > 1 else "instances"
    if over not in get_args(Over):
        raise ValueError(f"over must be 'runs' or 'instances' (got {over!r})")
    count = {"runs": runs, "instances": instances}[over]
    if count < FEWEST[over]:
        known = f"{runs} runs of {instances} instances" if runs > 1 else f"1 run of {instances} instances"
        raise ValueError(f"an interval over {over} needs at least {FEWEST[over]} {over} (got {known})")
    return over


def tail_of(confidence: float, *, shrinkage: float, freedom: int, resamples: int) -> float:
    """The probability beyond each end of an interval, if drawing again multiplies the variance by `shrinkage`.

    The variance has so many degrees of `freedom`.
    Raises `ValueError` if the confidence is none or there are too few resamples to see such a tail.
    """
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1 (got {confidence})")
    tail = float(ndtr(-stdtrit(freedom, 0.5 + confidence / 2) / math.sqrt(shrinkage)))
    if not resamples * tail >= IN_TAIL:
        raise ValueError(
            f"resamples must be at least {math.ceil(IN_TAIL / tail):,} for a confidence of {confidence}"
            f" and {freedom} degrees of freedom (got {resamples:,})"
        )
    return tail


def score_tail(over: Over, *, runs: int, instances: int, confidence: float, resamples: int) -> float:
    """`tail_of` scores [runs, instances]: every stratum has a mean of its own."""
    drawn, strata = (runs, instances) if over == "runs" else (instances, 1)
    return tail_of(confidence, shrinkage=1 - 1 / drawn, freedom=strata * (drawn - 1), resamples=resamples)


def ends(resampled: Floats, tail: float) -> Floats:
    """[2, ...] the quantiles of resampled values [S, ...] that leave `tail` on either side."""
    return np.asarray(np.quantile(resampled, [tail, 1 - tail], axis=0, method="weibull"))


def parts(resamples: int, scores: int) -> Iterator[int]:
    """Sizes of parts of the resamples that fit in memory."""
    size = max(1, PART // scores)
    yield from (min(size, resamples - first) for first in range(0, resamples, size))


def drawn_counts(rng: np.random.Generator, resamples: int, *, strata: int, size: int) -> Integers:
    """[S, strata, size] how often each of `size` values is drawn when so many are drawn with replacement."""
    rows = resamples * strata
    drawn = rng.integers(size, size=(rows, size)) + size * np.arange(rows)[:, None]
    return np.bincount(drawn.ravel(), minlength=rows * size).reshape(resamples, strata, size)


def resampled_weights(
    rng: np.random.Generator, over: Over, *, runs: int, instances: int, resamples: int
) -> Iterator[Integers]:
    """[S', instances * runs] how often each score counts, in parts of the resamples; the runs of an instance adjoin."""
    for part in parts(resamples, runs * instances):
        if over == "runs":
            yield drawn_counts(rng, part, strata=instances, size=runs).reshape(part, instances * runs)
        else:
            yield np.repeat(drawn_counts(rng, part, strata=1, size=instances)[:, 0], runs, axis=1)


def unseen(confidence: float, trials: int) -> float:
    """The largest chance at which something unseen in so many independent trials is not yet ruled out.

    The end of the interval of C. J. Clopper and E. S. Pearson, The use of confidence or fiducial limits illustrated in
    the case of the binomial, Biometrika 26(4), 1934. It holds for the mean chance where trials differ in theirs
    (W. Hoeffding, On the distribution of the number of successes in independent trials, Annals of Mathematical
    Statistics 27(3), 1956).
    """
    return float(1 - ((1 - confidence) / 2) ** (1 / trials))


def widened(
    low: Floats, high: Floats, over: Over, *, runs: int, instances: int, confidence: float
) -> tuple[Floats, Floats]:
    """Ends of the interval of a share, moved to what even a share of 0 or 1 would leave open."""
    least = unseen(confidence, runs * instances if over == "runs" else instances)
    return np.minimum(low, 1 - least), np.maximum(high, least)


def words(over: Over) -> str:
    """The method of an `Interval` of scores."""
    return "stratified bootstrap over runs" if over == "runs" else "bootstrap over instances"
