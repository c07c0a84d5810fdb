"""Laws of a total demand: four classes that answer the same questions (`LeadTimeDemand`)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from echelon.baselines.loss_functions import standard_normal_loss

Floats = NDArray[np.float64]

NEGLIGIBLE = 1e-20
"""Probability in each tail below which a table ends, far below what a cost can feel."""
TIE = 1e-13
"""Rounding error of a distribution function: a quantile within it of a jump takes the jump's value."""


class LeadTimeDemand(Protocol):
    """The law of a total demand X, in units. Every array argument may have any shape."""

    @property
    def mean(self) -> float:
        """E[X]."""

    @property
    def sd(self) -> float:
        """Standard deviation of X."""

    @property
    def bounds(self) -> tuple[float, float]:
        """Values outside which X falls with a negligible probability."""

    def cdf(self, level: ArrayLike) -> Floats:
        """P(X <= level)."""

    def quantile(self, probability: float) -> float:
        """Smallest level with P(X <= level) >= probability."""

    def shortage(self, level: ArrayLike) -> Floats:
        """E[max(X - level, 0)]: the units short when `level` units face the demand."""

    def excess(self, level: ArrayLike) -> Floats:
        """E[max(level - X, 0)]: the units left over."""


@dataclass(frozen=True, eq=False)
class LatticeTotal:
    """A total that takes the values `origin + k * step` with probabilities `pmf[k]`."""

    origin: float
    step: float
    pmf: Floats

    @cached_property
    def mean(self) -> float:
        return self.origin + self.step * float(np.arange(len(self.pmf)) @ self.pmf)

    @cached_property
    def sd(self) -> float:
        return float(np.sqrt((self._values - self.mean) ** 2 @ self.pmf))

    @property
    def whole(self) -> bool:
        """Whether every value is a whole number of units."""
        return self.origin.is_integer() and self.step.is_integer()

    @property
    def from_zero(self) -> Floats:
        """Probabilities of 0, 1, 2, ... units, for a total in whole units."""
        return np.append(np.zeros(int(self.origin)), self.pmf)

    @property
    def bounds(self) -> tuple[float, float]:
        return float(self._values[0]), float(self._values[-1])

    def cdf(self, level: ArrayLike) -> Floats:
        at = np.floor((np.asarray(level, dtype=np.float64) - self.origin) / self.step + 1e-9)
        inside = self._cumulative[np.clip(at, 0, len(self.pmf) - 1).astype(np.int64)]
        return np.asarray(inside * (at >= 0), dtype=np.float64)

    def quantile(self, probability: float) -> float:
        at = int(np.searchsorted(self._cumulative, probability - TIE))
        return float(self._values[min(at, len(self.pmf) - 1)])

    def shortage(self, level: ArrayLike) -> Floats:
        level = np.asarray(level, dtype=np.float64)
        above = np.cumsum(self.pmf[::-1])[::-1][1:]
        at_values = self.step * np.append(np.cumsum(above[::-1])[::-1], 0.0)
        return np.where(level < self.origin, self.mean - level, np.interp(level, self._values, at_values))

    def excess(self, level: ArrayLike) -> Floats:
        level = np.asarray(level, dtype=np.float64)
        at_values = self.step * np.append(0.0, np.cumsum(self._cumulative[:-1]))
        return np.where(level > self._values[-1], level - self.mean, np.interp(level, self._values, at_values))

    @cached_property
    def _values(self) -> Floats:
        return self.origin + self.step * np.arange(len(self.pmf), dtype=np.float64)

    @cached_property
    def _cumulative(self) -> Floats:
        return np.minimum(np.cumsum(self.pmf), 1.0)


@dataclass(frozen=True, eq=False)
class HistogramTotal:
    """A total with the density of a histogram: `masses[k]` spread evenly over a cell of width `step`.

    The cells lie side by side from `origin` upwards.
    """

    origin: float
    step: float
    masses: Floats

    @cached_property
    def mean(self) -> float:
        return self.origin + self.step * float((np.arange(len(self.masses)) + 0.5) @ self.masses)

    @cached_property
    def sd(self) -> float:
        spread = (self._edges[:-1] + self.step / 2 - self.mean) ** 2 @ self.masses
        return float(np.sqrt(spread + self.step**2 / 12))

    @property
    def bounds(self) -> tuple[float, float]:
        return float(self._edges[0]), float(self._edges[-1])

    def cdf(self, level: ArrayLike) -> Floats:
        return np.interp(np.asarray(level, dtype=np.float64), self._edges, self._below)

    def quantile(self, probability: float) -> float:
        return float(np.interp(probability, self._below, self._edges))

    def shortage(self, level: ArrayLike) -> Floats:
        level = np.asarray(level, dtype=np.float64)
        above = np.append(np.cumsum(self.masses[::-1])[::-1], 0.0)
        at_edges = np.append(np.cumsum((above[:-1] + above[1:])[::-1])[::-1], 0.0) * self.step / 2
        right = np.clip(np.searchsorted(self._edges, level), 1, len(self._edges) - 1)
        width = self._edges[right] - level
        within = at_edges[right] + width * (above[right] + np.interp(level, self._edges, above)) / 2
        return np.where(level < self.origin, self.mean - level, within * (width >= 0))

    def excess(self, level: ArrayLike) -> Floats:
        return self.shortage(level) + np.asarray(level, dtype=np.float64) - self.mean

    @cached_property
    def _edges(self) -> Floats:
        return self.origin + self.step * np.arange(len(self.masses) + 1, dtype=np.float64)

    @cached_property
    def _below(self) -> Floats:
        return np.append(0.0, np.cumsum(self.masses))


@dataclass(frozen=True)
class NormalTotal:
    """A normal total, not truncated at 0."""

    mean: float
    sd: float

    @property
    def bounds(self) -> tuple[float, float]:
        reach = -float(special.ndtri(NEGLIGIBLE)) * self.sd
        return self.mean - reach, self.mean + reach

    def cdf(self, level: ArrayLike) -> Floats:
        return np.asarray(special.ndtr(self._standard(level)))

    def quantile(self, probability: float) -> float:
        return self.mean + self.sd * float(special.ndtri(probability))

    def shortage(self, level: ArrayLike) -> Floats:
        return self.sd * standard_normal_loss(self._standard(level))

    def excess(self, level: ArrayLike) -> Floats:
        return self.sd * standard_normal_loss(-self._standard(level))

    def _standard(self, level: ArrayLike) -> Floats:
        return (np.asarray(level, dtype=np.float64) - self.mean) / self.sd


@dataclass(frozen=True)
class GammaTotal:
    """A gamma total."""

    mean: float
    sd: float

    @property
    def bounds(self) -> tuple[float, float]:
        low, high = special.gammaincinv(self._shape, NEGLIGIBLE), special.gammainccinv(self._shape, NEGLIGIBLE)
        return float(low) * self._scale, float(high) * self._scale

    def cdf(self, level: ArrayLike) -> Floats:
        return np.asarray(special.gammainc(self._shape, self._scaled(level)))

    def quantile(self, probability: float) -> float:
        return float(special.gammaincinv(self._shape, probability)) * self._scale

    def shortage(self, level: ArrayLike) -> Floats:
        x = self._scaled(level)
        served = self.mean * special.gammaincc(self._shape + 1, x)
        return np.asarray(served - np.asarray(level) * special.gammaincc(self._shape, x))

    def excess(self, level: ArrayLike) -> Floats:
        x = self._scaled(level)
        return np.asarray(
            x * self._scale * special.gammainc(self._shape, x) - self.mean * special.gammainc(self._shape + 1, x)
        )

    @property
    def _shape(self) -> float:
        return (self.mean / self.sd) ** 2

    @property
    def _scale(self) -> float:
        return self.sd**2 / self.mean

    def _scaled(self, level: ArrayLike) -> Floats:
        return np.maximum(np.asarray(level, dtype=np.float64), 0.0) / self._scale
