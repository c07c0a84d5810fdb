"""Simulating until an interval is narrow enough: "run until the half width is 0.1 % of the mean".

Y. S. Chow and H. Robbins, On the asymptotic theory of fixed-width sequential confidence intervals for the mean, Annals
of Mathematical Statistics 36(2), 1965: if one observation is added at a time until the interval is narrow enough, its
coverage tends to what it says as the width asked for tends to 0, and no fewer observations would do. A. Nadas, An
extension of a theorem of Chow and Robbins on sequential confidence intervals for the mean, Annals of Mathematical
Statistics 40(2), 1969, has the same for a width relative to the mean.

**Before the limit coverage is too low.** A sample that by chance varies little stops early, and its interval is too
narrow for the same reason. Each look at the data is another such chance, and the smaller the sample the larger. So

- the first batch has at least `FEWEST_FIRST` replications, whose standard deviation is known to some 7 %;
- the sample then grows to the size at which the interval is predicted to be narrow enough, not one by one; the
  prediction takes the upper `GUARD` confidence limit of the standard deviation: mostly the next look is the last one;
- it grows at most `GROWTH`-fold, so that a poor first prediction costs a look and not hours.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import chdtri

from echelon.experiments.evaluate import Estimate, estimate

Floats = NDArray[np.float64]
SimulateMore = Callable[[range], Floats]
"""The values [n] of n replications, given by their numbers; the same number must always give the same value."""

FEWEST_FIRST = 100
GUARD = 0.9
GROWTH = 10


def until_precise(
    simulate_more: SimulateMore, *, first: int, precision: float, most: int, confidence: float = 0.95
) -> Floats:
    """Values [n] of replications 0, ..., n - 1 whose Student half width is at most `precision` percent of |mean|.

    `simulate_more` is asked for range(0, first) and then for the ranges that follow. At `most` replications it ends,
    precise or not (`is_precise` tells), as it does if the mean is 0. The sizes depend on the values alone, and so the
    result does not depend on how `simulate_more` splits its work. Replications must be independent, and
    their law must not be so skewed that the first batch is likely to miss its tail.
    """
    _require(first, precision, most, confidence)
    values = _draw(simulate_more, range(first))
    while len(values) < most and not is_precise(values, precision=precision, confidence=confidence):
        size = min(most, _predicted_size(estimate(values, confidence=confidence), precision))
        values = np.concatenate([values, _draw(simulate_more, range(len(values), size))])
    return values


def is_precise(values: Floats, *, precision: float, confidence: float = 0.95) -> bool:
    """Whether the Student half width of values [n] is at most `precision` percent of their |mean|."""
    found = estimate(values, confidence=confidence)
    return found.half_width <= precision / 100 * abs(found.mean)


def _predicted_size(found: Estimate, precision: float) -> int:
    """Replications at which the half width is enough, if the standard deviation is at its upper confidence limit."""
    count, target = found.replications, precision / 100 * abs(found.mean)
    guard = math.sqrt((count - 1) / chdtri(count - 1, GUARD))
    excess = min(guard * found.half_width, target * GROWTH) / target if target > 0 else GROWTH
    return min(GROWTH * count, max(count + 1, math.ceil(count * excess**2)))


def _draw(simulate_more: SimulateMore, replications: range) -> Floats:
    values = np.asarray(simulate_more(replications), dtype=np.float64)
    if values.shape != (len(replications),) or not np.isfinite(values).all():
        raise ValueError(
            f"simulate_more must give one finite value for each of {len(replications)} replications"
            f" (got shape {values.shape})"
        )
    return values


def _require(first: int, precision: float, most: int, confidence: float) -> None:
    if not 0 < confidence < 1:
        raise ValueError(f"confidence must be between 0 and 1 (got {confidence})")
    if not 0 < precision < math.inf:
        raise ValueError(f"precision must be a percentage above 0 (got {precision})")
    if first < FEWEST_FIRST:
        raise ValueError(
            f"first must be at least {FEWEST_FIRST} replications, or intervals hold too seldom (got {first})"
        )
    if most < first:
        raise ValueError(f"most must be at least first = {first} (got {most})")
