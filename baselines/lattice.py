"""Totals on lattices: their sums, and lattices that stand for other laws."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from scipy import fft

from echelon.baselines.total_demand import NEGLIGIBLE, Floats, LatticeTotal, LeadTimeDemand

DIRECT = 2**26
"""Products up to which probabilities are convolved directly, about 0.05 s."""


def convolve(a: Floats, b: Floats, direct: int = DIRECT) -> Floats:
    """Convolution of two arrays of numbers that are not negative.

    The direct sum has no cancellation, so that even the far tail of a distribution keeps its relative
    accuracy. Beyond `direct` products it would take seconds: the Fourier transform then takes over,
    whose error is some 1e-16 of the largest value, in the tails as well.
    """
    if len(a) * len(b) <= direct:
        return np.convolve(a, b)
    length = len(a) + len(b) - 1
    size = fft.next_fast_len(length, real=True)
    product = fft.irfft(fft.rfft(a, size) * fft.rfft(b, size), size)[:length]
    return np.maximum(product, 0.0)


def hat_weights(total: LeadTimeDemand, *, origin: float, step: float) -> Floats:
    """Probabilities of `origin + k * step`, k = 0, 1, ..., that stand for a total: its mean is kept.

    Every value is shared between the two points beside it. The weight of a point is the second
    difference of the expected shortage, or of the expected excess below the mean, where that is the
    smaller number and loses fewer digits. The origin must be at most the least value.
    """
    count = max(int(np.ceil((total.bounds[1] - origin) / step - 1e-9)), 1) + 1
    points = origin + step * np.arange(-1, count + 1)
    above, below = np.diff(total.shortage(points), 2), np.diff(total.excess(points), 2)
    weights = np.maximum(np.where(points[1:-1] > total.mean, above, below), 0.0)
    return np.asarray(weights / weights.sum())


def on_lattice(total: LeadTimeDemand, step: float, *, origin: float | None = None) -> LatticeTotal:
    """A total on the lattice `origin + k * step`: its own, or one that keeps its mean (`hat_weights`).

    The latter shares each value between the two points beside it, so that the expectation of a convex
    function never falls. The origin is by default the least value, and must be at most that.
    """
    start = total.bounds[0] if origin is None else origin
    starts_there = abs(total.bounds[0] - start) < 1e-6 * step
    if isinstance(total, LatticeTotal) and starts_there and (total.step == step or total.sd == 0):
        return LatticeTotal(total.origin, step, total.pmf)
    return LatticeTotal(start, step, hat_weights(total, origin=start, step=step))


def common_step(totals: Iterable[LeadTimeDemand]) -> float | None:
    """Step of the lattices of all totals that vary; None if none varies, or they have none in common."""
    steps = {total.step if isinstance(total, LatticeTotal) else None for total in totals if total.sd > 0}
    return steps.pop() if len(steps) == 1 else None


def sum_of_two(a: LatticeTotal, b: LatticeTotal, *, direct: int = DIRECT) -> LatticeTotal:
    """The law of the sum of two independent totals on lattices of the same step; for `direct` see `convolve`."""
    return trimmed(LatticeTotal(a.origin + b.origin, b.step, convolve(a.pmf, b.pmf, direct)))


def trimmed(total: LatticeTotal) -> LatticeTotal:
    """The same law without its negligible tails."""
    first = int(np.searchsorted(np.cumsum(total.pmf), NEGLIGIBLE))
    last = len(total.pmf) - int(np.searchsorted(np.cumsum(total.pmf[::-1]), NEGLIGIBLE))
    return LatticeTotal(total.origin + first * total.step, total.step, total.pmf[first:last])
