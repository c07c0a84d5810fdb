"""How many periods at the start to leave out: MSER-5, so that a simulation's start does not bias its mean.

K. P. White, An effective truncation heuristic for bias reduction in simulation output, Simulation 69(6), 1997: leave
out so many observations that the squared standard error of the mean of the rest, as if they were independent, is least,

    MSER(d) = 1 / (n - d)^2 sum_{i > d} (Y_i - mean_{i > d} Y)^2.

Observations that carry the start's bias raise the sum; leaving out those that do not raises 1 / (n - d)^2. MSER-5
applies it to the means of batches of 5 observations (K. P. White, M. J. Cobb and S. C. Spratt, A comparison of five
steady-state truncation heuristics for simulation, Winter Simulation Conference 2000). The last few batches are often
alike by chance, so at least 5 are left; a least value in the second half still says that the series is too short.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]

BATCH = 5
"""Observations whose mean is one of the Y."""
FEWEST_BATCHES = 10
FEWEST_LEFT = 5


@dataclass(frozen=True)
class WarmUp:
    """The periods that MSER-5 leaves out."""

    periods: int | None
    """None if the series is too short to tell."""
    error: float
    """The square root of the least MSER: the standard error of the mean of what is left, were batches independent."""
    warning: str = ""
    """Why there is no answer; empty where there is one."""


def warm_up_mser(series: ArrayLike) -> WarmUp:
    """The warm-up of a series [T], or of the mean over replications of [B, T]; `ValueError` below 50 periods.

    Replications make it sharper: their mean has the bias of the start but less noise. The last periods that do not
    fill a batch are not looked at. A series that does not vary has no warm-up.
    """
    array = np.asarray(series, dtype=np.float64)
    if array.ndim not in (1, 2) or array.size == 0 or not np.isfinite(array).all():
        raise ValueError(f"series must be finite numbers of shape [T] or [B, T] (got shape {array.shape})")
    mean = array if array.ndim == 1 else array.mean(axis=0)
    batches = len(mean) // BATCH
    if batches < FEWEST_BATCHES:
        raise ValueError(f"series must have at least {BATCH * FEWEST_BATCHES} periods (got {len(mean)})")
    mser = _mser(mean[: BATCH * batches].reshape(batches, BATCH).mean(axis=1))
    cut = int(np.argmin(mser))
    error = float(np.sqrt(mser[cut]))
    if cut <= batches / 2:
        return WarmUp(BATCH * cut, error)
    return WarmUp(
        None,
        error,
        f"MSER-5 would leave out {BATCH * cut} of {len(mean)} periods, more than half: simulate more periods",
    )


def _mser(values: Floats) -> Floats:
    """MSER(d) of values [n] for d = 0, ..., n - `FEWEST_LEFT`."""
    mser = np.empty(len(values) - 1)
    mean, squares = float(values[-1]), 0.0
    # Welford's update from the end: exact where values are equal, and no large sums cancel.
    for left, value in enumerate(values[-2::-1].tolist(), start=2):
        change = value - mean
        mean += change / left
        squares += change * (value - mean)
        mser[len(values) - left] = squares / left**2
    return mser[: len(values) - FEWEST_LEFT + 1]
