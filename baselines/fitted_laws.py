"""Laws with a given mean and variance, for arrays of them: tails and losses in closed form.

Whole quantities X are negative binomial if the variance exceeds the mean, Poisson if they are equal, and if
it is below the mean a mixture of two binomial laws whose numbers of trials are neighbours (Adan, van Eenige and
Resing, Fitting discrete distributions on the first two moments, Probability in the Engineering and
Informational Sciences 9(4), 1995). Other quantities are gamma. Each of these laws f has a factor ``a`` such that

    E[X; X > s] = m P(X > s) + g,    E[X (X - 1); X > s] = (m + a) E[X; X > s] + s g,    g = (m + a s) f(s)

for whole s >= 0, with ``a = sigma^2 / m - 1`` for a negative binomial law, 0 for a Poisson law and ``-p`` for a
binomial one. A gamma law has ``a = sigma^2 / m``, the square in place of ``X (X - 1)``, and ``g = a s f(s)``. So one
tail and one density give the loss and its second moment.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Law = Callable[[Floats, Floats, Floats], Floats]
"""E[X^k; X > level] for k = 0, 1, 2 from mean, variance and level."""

PLAIN = 1e-7
"""Excess of the variance over the mean, as a share of the mean, up to which a whole quantity counts as Poisson."""
CERTAIN = 1e-9
"""Coefficient of variation up to which a quantity counts as certain."""
LARGE = 1e3
"""Size of a negative binomial law from which Stirling's series is exact to 12 digits."""
NEVER_TWO = 1e-9
"""Least distance of ``E[X (X - 1)] / m^2`` from 0, where X is 0 or 1 and the mixture has only one law."""


@dataclass(frozen=True, eq=False)
class FittedLaw:
    """Independent nonnegative quantities X, one for each element of the arrays.

    A quantity without variance is its mean. A whole one is never closer to it than the two whole numbers around
    allow, whatever the variance.
    """

    mean: Floats
    variance: Floats
    whole: bool

    def above(self, level: ArrayLike) -> Floats:
        """P(X > level)."""
        return self._partial(level)[0]

    def shortage(self, level: ArrayLike) -> Floats:
        """E[(X - level)^+]."""
        return self.losses(level)[1]

    def squared_shortage(self, level: ArrayLike) -> Floats:
        """E[((X - level)^+)^2]."""
        return self.losses(level)[2]

    def losses(self, level: ArrayLike) -> tuple[Floats, Floats, Floats]:
        """P(X > level), E[(X - level)^+] and E[((X - level)^+)^2]."""
        at = np.asarray(level, dtype=np.float64)
        above, first, second = self._partial(at)
        square = second - 2 * at * first + at**2 * above
        return above, np.maximum(first - at * above, 0.0), np.maximum(square, 0.0)

    def _partial(self, level: ArrayLike) -> tuple[Floats, Floats, Floats]:
        """E[X^k; X > level] for k = 0, 1, 2."""
        mean, variance, at = np.broadcast_arrays(self.mean, self.variance, np.asarray(level, dtype=np.float64))
        parts = np.empty((3, mean.size))
        mean, variance, at = mean.ravel(), variance.ravel(), at.ravel()
        for chosen, law in self._laws(mean, variance):
            if chosen.all():
                parts[:] = law(mean, variance, at)
            elif chosen.any():
                parts[:, chosen] = law(mean[chosen], variance[chosen], at[chosen])
        shape = np.broadcast_shapes(np.shape(self.mean), np.shape(self.variance), np.shape(level))
        return parts[0].reshape(shape), parts[1].reshape(shape), parts[2].reshape(shape)

    def _laws(self, mean: Floats, variance: Floats) -> tuple[tuple[Flags, Law], ...]:
        """Which elements have which law."""
        if not self.whole:
            certain = variance <= (CERTAIN * mean) ** 2
            return (certain, _certain), (~certain, _gamma)
        wide, narrow = variance > mean * (1 + PLAIN), variance < mean * (1 - PLAIN)
        return (wide, _negative_binomial), (~(wide | narrow), _poisson), (narrow, _binomial)


def _certain(mean: Floats, _variance: Floats, level: Floats) -> Floats:
    there = mean > level
    return np.stack([there, there * mean, there * mean**2])


def _gamma(mean: Floats, variance: Floats, level: Floats) -> Floats:
    shape, scale = mean**2 / variance, variance / mean
    at = np.maximum(level, 0.0)
    above = special.gammaincc(shape, at / scale)
    term = mean * np.exp(special.xlogy(shape, at / scale) - at / scale - special.gammaln(shape + 1))
    first = mean * above + term
    return np.stack([above, first, (mean + scale) * first + at * term])


def _poisson(mean: Floats, _variance: Floats, level: Floats) -> Floats:
    last = np.floor(level)
    at = np.maximum(last, 0.0)
    chance = np.exp(special.xlogy(at, mean) - mean - special.gammaln(at + 1))
    return _whole_partial(mean, np.zeros_like(mean), last, special.gammainc(at + 1, mean), chance)


def _negative_binomial(mean: Floats, variance: Floats, level: Floats) -> Floats:
    factor = variance / mean - 1
    size, last = mean / factor, np.floor(level)
    at = np.maximum(last, 0.0)
    tail = np.asarray(special.betainc(at + 1, size, factor / (1 + factor)), dtype=np.float64)
    return _whole_partial(mean, factor, last, tail, np.exp(_log_negative_binomial(at, mean, factor, size)))


def _log_negative_binomial(at: Floats, mean: Floats, factor: Floats, size: Floats) -> Floats:
    """log P(X = at)."""
    known = special.xlogy(at, mean) - (size + at) * np.log1p(factor) - special.gammaln(at + 1)
    return np.asarray(known + _log_rising(size, at))


def _log_rising(size: Floats, count: Floats) -> Floats:
    """log Gamma(size + count) / Gamma(size) size^count; where log-gamma functions would cancel, by Stirling's
    series."""
    total = size + count
    stirling = (total - 0.5) * np.log1p(count / size) - count + (1 / total - 1 / size) / 12
    exact = special.gammaln(total) - special.gammaln(size) - count * np.log(size)
    return np.where(size > LARGE, stirling, exact)


def _binomial(mean: Floats, variance: Floats, level: Floats) -> Floats:
    """``BIN(k, p)`` with probability w, else ``BIN(k + 1, p)``."""
    least = (mean % 1) * (1 - mean % 1)  # of a whole quantity with this mean
    excess = np.maximum(np.maximum(variance, least) / mean**2 - 1 / mean, NEVER_TWO - 1)
    trials = np.maximum(np.floor(-1 / excess * (1 + 1e-12)), 1.0)
    root = np.sqrt(np.maximum(-excess * trials * (1 + trials) - trials, 0.0))
    weight = np.clip((1 + excess * (1 + trials) + root) / (1 + excess), 0.0, 1.0)
    success = np.minimum(mean / (trials + 1 - weight), 1.0)
    parts = (_one_binomial(trials + more, success, level) for more in (0.0, 1.0))
    return np.asarray(weight * next(parts) + (1 - weight) * next(parts))


def _one_binomial(trials: Floats, success: Floats, level: Floats) -> Floats:
    last = np.floor(level)
    at = np.clip(last, 0.0, np.maximum(trials - 1, 0.0))  # beyond it all is 0
    above = np.where(trials > at, special.betainc(at + 1, np.maximum(trials - at, 1.0), success), 0.0)
    left = trials - at
    log = special.xlogy(at, success * (left + 1)) + special.xlog1py(left, -success) - special.gammaln(at + 1)
    chance = np.exp(log + _log_rising(left + 1, at))
    parts = _whole_partial(trials * success, -success, np.minimum(last, at), above, chance)
    return np.where(last >= trials, 0.0, parts)


def _whole_partial(mean: Floats, factor: Floats, last: Floats, above: Floats, chance: Floats) -> Floats:
    """The identities of this module at the whole number `last`, whose tail and chance are given; all below 0."""
    above = np.where(last < 0, 1.0, above)
    term = np.where(last < 0, 0.0, (mean + factor * last) * chance)
    first = mean * above + term
    return np.stack([above, first, (mean + factor + 1) * first + last * term])
