"""Safety stock against demand that is 0 in many periods: the exposure's demand is gamma or negative binomial.

Both laws take the mean and the variance of the exposure, are never negative and lean to the right; the
equations are those of normal demand with their own quantile and loss. A row without variance keeps its mean.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy import special

from echelon.baselines.safety_stock_columns import Floats
from echelon.baselines.safety_stock_exposure import Exposure
from echelon.envs.errors import MethodError

HALVINGS = 200
"""Most steps of a search by halves; it ends when no interval gets smaller."""


class SporadicExposure(ABC):
    """What the two laws share: levels are found by halving an interval."""

    @abstractmethod
    def third_cumulant(self, mean: Floats, variance: Floats) -> Floats:
        """E[(X - E[X])^3]."""

    @abstractmethod
    def exceeds(self, level: Floats, mean: Floats, sd: Floats) -> Floats:
        """P(X > level)."""

    @abstractmethod
    def loss(self, level: Floats, mean: Floats, sd: Floats) -> Floats:
        """E[(X - level)+]."""

    @abstractmethod
    def lowest(self, above: Callable[[Floats], Floats], low: Floats, high: Floats) -> Floats:
        """The lowest level at which `above`, which decreases from `low` on, is at most 0."""

    def alpha_stock(self, exposure: Exposure, level: Floats) -> Floats:
        """The quantile of X, less its mean."""

        def above(stock: Floats) -> Floats:
            return self.exceeds(stock, exposure.mean, exposure.sd) - (1.0 - level)

        return self._stock(exposure, above, np.full_like(level, -1.0))

    def beta_stock(self, exposure: Exposure, level: Floats, *, two_term: bool, floor: bool) -> Floats:
        """The least stock of which at most ``(1 - beta) B`` units of a cycle come too late."""

        def above(stock: Floats) -> Floats:
            return self._late(exposure, stock - exposure.mean, two_term=two_term) - (1.0 - level) * exposure.span

        return self._stock(exposure, above, np.floor(-exposure.span) - 1.0)

    def alpha_of(self, exposure: Exposure, stock: Floats) -> Floats:
        """``P(X <= E[X] + SS)``."""
        return 1.0 - self.exceeds(exposure.mean + stock, exposure.mean, exposure.sd)

    def late(self, exposure: Exposure, stock: Floats) -> Floats:
        """The units of a cycle that come too late, see `Exposure`."""
        return self._late(exposure, stock, two_term=True)

    def _late(self, exposure: Exposure, stock: Floats, *, two_term: bool) -> Floats:
        late = self.loss(exposure.mean + stock, exposure.mean, exposure.sd)
        if two_term:
            before = exposure.mean_before + stock + exposure.span
            late = late - self.loss(before, exposure.mean_before, exposure.sd_before)
        return late

    def _stock(self, exposure: Exposure, above: Callable[[Floats], Floats], low: Floats) -> Floats:
        """SS at the lowest level; the interval from `low` is widened until it holds the level."""
        width = exposure.sd + 1.0
        high = exposure.mean + width
        for _ in range(64):
            short = above(high) > 0
            if not short.any():
                break
            width = np.where(short, 2 * width, width)
            high = np.where(short, exposure.mean + width, high)
        return self.lowest(above, low, high) - exposure.mean


@dataclass(frozen=True)
class GammaExposure(SporadicExposure):
    """X is gamma with shape ``mean^2 / variance``."""

    def third_cumulant(self, mean: Floats, variance: Floats) -> Floats:
        """``2 variance^2 / mean``."""
        return 2 * variance * variance / np.where(mean > 0, mean, 1.0)

    def exceeds(self, level: Floats, mean: Floats, sd: Floats) -> Floats:
        """``Q(a, x)``, the regularised upper incomplete gamma function at ``x = level / scale``."""
        shape, scale, varies = _gamma(mean, sd)
        tail = special.gammaincc(shape, np.maximum(level, 0.0) / scale)
        return np.where(varies & (level >= 0), tail, np.where(level < mean, 1.0, 0.0))

    def loss(self, level: Floats, mean: Floats, sd: Floats) -> Floats:
        """``mean Q(a + 1, x) - level Q(a, x)``; ``mean - level`` below 0."""
        shape, scale, varies = _gamma(mean, sd)
        x = np.maximum(level, 0.0) / scale
        found = mean * special.gammaincc(shape + 1, x) - level * special.gammaincc(shape, x)
        return np.where(varies & (level >= 0), np.maximum(found, 0.0), np.maximum(mean - level, 0.0))

    def lowest(self, above: Callable[[Floats], Floats], low: Floats, high: Floats) -> Floats:
        """By halves to the last bit."""
        for _ in range(HALVINGS):
            middle = 0.5 * (low + high)
            if np.array_equal(middle, low) or np.all((middle == low) | (middle == high)):
                break
            short = above(middle) > 0
            low, high = np.where(short, middle, low), np.where(short, high, middle)
        return high


@dataclass(frozen=True)
class NegativeBinomialExposure(SporadicExposure):
    """X is negative binomial, in whole units; its variance must be above its mean. Levels are whole."""

    def third_cumulant(self, mean: Floats, variance: Floats) -> Floats:
        """``variance (2 variance - mean) / mean``."""
        return variance * (2 * variance - mean) / np.where(mean > 0, mean, 1.0)

    def exceeds(self, level: Floats, mean: Floats, sd: Floats) -> Floats:
        """``P(X > k) = I(k + 1, r)``, the regularised incomplete beta function at ``1 - mean / variance``."""
        number, share, varies = _negative_binomial(mean, sd)
        k = np.floor(level)
        tail = special.betainc(np.maximum(k, 0.0) + 1.0, number, share)
        return np.where(varies & (k >= 0), tail, np.where(level < mean, 1.0, 0.0))

    def loss(self, level: Floats, mean: Floats, sd: Floats) -> Floats:
        """``mean P(X' >= k) - level P(X > k)``, X' with ``r + 1`` for r; ``mean - level`` below 0."""
        number, share, varies = _negative_binomial(mean, sd)
        k = np.maximum(np.floor(level), 0.0)
        sized = np.where(k > 0, special.betainc(np.maximum(k, 1.0), number + 1.0, share), 1.0)
        found = mean * sized - level * special.betainc(k + 1.0, number, share)
        return np.where(varies & (level >= 0), np.maximum(found, 0.0), np.maximum(mean - level, 0.0))

    def lowest(self, above: Callable[[Floats], Floats], low: Floats, high: Floats) -> Floats:
        """By halves to a whole number."""
        low, high = np.floor(low), np.ceil(high)
        for _ in range(HALVINGS):
            if np.all(high - low <= 1):
                break
            middle = np.floor(0.5 * (low + high))
            short = above(middle) > 0
            low, high = np.where(short, middle, low), np.where(short, high, middle)
        return high


def _gamma(mean: Floats, sd: Floats) -> tuple[Floats, Floats, np.ndarray]:
    """Shape, scale and whether there is a variance; ones where there is none."""
    varies = (sd > 0) & (mean > 0)
    m, s = np.where(varies, mean, 1.0), np.where(varies, sd, 1.0)
    return (m / s) ** 2, s * (s / m), varies


def _negative_binomial(mean: Floats, sd: Floats) -> tuple[Floats, Floats, np.ndarray]:
    """The number r, the share ``1 - mean / variance`` and whether there is a variance; harmless where there is none."""
    varies = (sd > 0) & (mean > 0)
    broken = varies & (sd * sd <= mean)
    if broken.any():
        first = int(np.flatnonzero(broken)[0])
        raise MethodError(
            "negative_binomial needs demand of the exposure with a variance above its mean, got variance "
            f"{sd.flat[first] ** 2:g} and mean {mean.flat[first]:g}"
        )
    m, v = np.where(varies, mean, 1.0), np.where(varies, sd * sd, 2.0)
    return m * m / (v - m), (v - m) / v, varies
