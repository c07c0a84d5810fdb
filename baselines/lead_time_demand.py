"""Demand over a lead time: the law of the total demand of several periods.

Stock that is ordered today must last until the next order can arrive, so every base-stock formula
starts from the total demand over some duration. `lead_time_demand` gives its law, as one of four
small classes that answer the same questions (`LeadTimeDemand`).

Poisson, geometric, negative binomial, normal and gamma demand are infinitely divisible: their total
is known over any duration, whole or not. Other laws are summed period by period, and the duration
must be a whole number of periods.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import fft, special

from echelon.baselines.loss_functions import standard_normal_loss
from echelon.envs.demand import (
    Deterministic,
    Discrete,
    DiscreteUniform,
    Empirical,
    Gamma,
    Geometric,
    Intermittent,
    Law,
    NegativeBinomial,
    Normal,
    Poisson,
    Uniform,
)
from echelon.envs.errors import MethodError

Floats = NDArray[np.float64]

NEGLIGIBLE = 1e-20
"""Probability in each tail below which a table ends, far below what a cost can feel."""
TIE = 1e-13
"""Rounding error of a distribution function: a quantile within it of a jump takes the jump's value."""
CELLS = 512
"""Cells into which one period of a uniform law is cut."""
DIRECT = 2**26
"""Products up to which probabilities are convolved directly, about 0.05 s."""


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


def lead_time_demand(demand: Law, duration: float) -> LeadTimeDemand:
    """The law of the total demand over `duration` periods.

    Normal demand follows the textbook theory: the total is normal with mean `mean * duration` and
    standard deviation `sd * sqrt(duration)`, *not truncated at 0*, whereas a simulated period is.
    The two differ by little while `sd` is below a third of `mean`. A total of uniform periods is a
    histogram with the exact mean and variance; values that are not whole are put on the coarsest decimal
    lattice that holds them, or on 4,097 points with their mean kept; intermittent demand of sizes that
    are not whole is put on a fine grid.

    Raises `MethodError` for demand that varies by season, for a block bootstrap, and for a duration
    that the law does not allow.
    """
    _require_applicable(demand, duration)
    factor = demand.seasonal[0] if demand.seasonal else 1.0
    mean = demand.moments(factor)[0] * duration
    if mean == 0:
        return _certain(0.0)
    match demand:
        case Poisson():
            return _poisson(mean)
        case Geometric():
            return _negative_binomial(mean, duration)
        case NegativeBinomial():
            return _negative_binomial(mean, demand.successes * duration)
        case Normal():
            return NormalTotal(demand.mean * factor * duration, demand.sd * factor * duration**0.5)
        case Gamma():
            return GammaTotal(mean, demand.sd * factor * duration**0.5)
        case Deterministic():
            return _certain(mean)
        case Uniform() if demand.low < demand.high:
            return _uniform(mean, (demand.high - demand.low) * factor, int(duration))
        case Uniform():
            return _certain(mean)
        case DiscreteUniform() if not demand.whole:
            count = demand.high - demand.low + 1
            return _sum_of(LatticeTotal(demand.low * factor, factor, np.full(count, 1.0 / count)), int(duration))
        case Empirical() if not demand.whole:
            return _sum_of(_on_lattice(np.asarray(demand.values) * factor), int(duration))
        case Discrete() if not demand.whole:
            values, chances = np.asarray(demand.values) * factor, np.asarray(demand.probabilities)
            return _sum_of(_on_lattice(values, chances / chances.sum()), int(duration))
        case Intermittent() if not demand.whole:
            return _sum_of(_intermittent(demand, factor), int(duration))
        case _ if not demand.whole:
            raise MethodError(f"demand must have a law that sums can be told of, got {type(demand).__name__} demand")
        case _:
            return _sum_of(LatticeTotal(0.0, 1.0, demand.pmf(factor)), int(duration))


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


def _require_applicable(demand: Law, duration: float) -> None:
    name = type(demand).__name__
    if not demand.stationary:
        raise MethodError(f"demand must have the same law in every period, got {name} demand that changes over time")
    if not demand.independent:
        raise MethodError(
            f"demand must be independent from period to period, got {name} demand that depends on the past"
        )
    if not 0 <= duration < np.inf:
        raise MethodError(f"lead time must be a finite number of at least 0 periods, got {duration:g}")
    divisible = isinstance(demand, Poisson | Geometric | NegativeBinomial | Normal | Gamma | Deterministic)
    if not divisible and duration != int(duration):
        raise MethodError(
            f"lead time must be a whole number of periods for {name} demand, got {duration:g}: part of a period has "
            "no law; poisson, geometric, negative_binomial, normal and gamma demand take any lead time"
        )


def _certain(value: float) -> LatticeTotal:
    return LatticeTotal(value, 1.0, np.ones(1))


def _poisson(mean: float) -> LatticeTotal:
    return _from_ratios(lambda k: mean / (k + 1), mode=int(mean))


def _negative_binomial(mean: float, successes: float) -> LatticeTotal:
    failure = mean / (successes + mean)
    mode = int(max(mean * (successes - 1) / successes, 0.0))
    return _from_ratios(lambda k: failure * (successes + k) / (k + 1), mode)


def _from_ratios(ratio: Callable[[Floats], Floats], mode: int) -> LatticeTotal:
    """The whole-number law with pmf[k + 1] / pmf[k] = ratio(k).

    Products of ratios from the mode outwards keep full relative accuracy in both tails, which
    differences of a distribution function and exponentials of log-gamma functions lose.
    """
    above = _falling(lambda k: ratio(mode + k))
    below = _falling(lambda k: 1.0 / ratio(mode - 1 - k), mode)
    pmf = np.concatenate([below[::-1], np.ones(1), above])
    return LatticeTotal(float(mode - len(below)), 1.0, pmf / pmf.sum())


def _falling(ratio: Callable[[Floats], Floats], limit: float = np.inf) -> Floats:
    """Running products of ratio(0), ratio(1), ... until they are negligible, at most `limit` of them."""
    length = 64
    while True:
        products = np.multiply.accumulate(ratio(np.arange(min(length, limit), dtype=np.float64)))
        if length >= limit or products[-1] < NEGLIGIBLE:
            return products[products >= NEGLIGIBLE]
        length *= 2


def _uniform(mean: float, width: float, periods: int) -> HistogramTotal:
    """The sum of uniform periods: one lattice of cells a period, spread over one cell at the end.

    The cells' width is such that the variance of the sum is exact, not only its mean; for one period
    it is `width / CELLS`, and the histogram is the uniform law itself.
    """
    step = width * (periods / (periods * (CELLS**2 - 1) + 1)) ** 0.5
    cells = _sum_of(LatticeTotal(0.0, 1.0, np.full(CELLS, 1.0 / CELLS)), periods)
    centre = cells.origin - periods * (CELLS - 1) / 2
    return HistogramTotal(mean + step * (centre - 0.5), step, cells.pmf)


def _sum_of(one: LatticeTotal, periods: int) -> LatticeTotal:
    """The law of the sum of independent periods, by repeated doubling."""
    total, power = _certain(0.0), _trim(one)
    while periods:
        if periods % 2:
            total = sum_of_two(total, power)
        periods //= 2
        power = sum_of_two(power, power) if periods else power
    return total


def sum_of_two(a: LatticeTotal, b: LatticeTotal, *, direct: int = DIRECT) -> LatticeTotal:
    """The law of the sum of two independent totals on lattices of the same step; for `direct` see `convolve`."""
    return _trim(LatticeTotal(a.origin + b.origin, b.step, convolve(a.pmf, b.pmf, direct)))


def _trim(total: LatticeTotal) -> LatticeTotal:
    """The same law without its negligible tails."""
    first = int(np.searchsorted(np.cumsum(total.pmf), NEGLIGIBLE))
    last = len(total.pmf) - int(np.searchsorted(np.cumsum(total.pmf[::-1]), NEGLIGIBLE))
    return LatticeTotal(total.origin + first * total.step, total.step, total.pmf[first:last])


def _intermittent(demand: Intermittent, factor: float) -> LatticeTotal:
    """Now and then a size with a density: the law on a grid from 0 by hat functions, `CELLS` points a standard
    deviation."""
    size, chance = lead_time_demand(demand.size, 1), demand.chance(factor)
    step = (size.sd or demand.shift + size.mean) / CELLS
    pmf = chance * hat_weights(size, origin=-demand.shift, step=step)
    pmf[0] += 1 - chance
    return LatticeTotal(0.0, step, pmf)


def _on_lattice(values: Floats, chances: Floats | None = None) -> LatticeTotal:
    """The law of values that are not whole; without chances they are equally likely."""
    weights = np.full(len(values), 1 / len(values)) if chances is None else chances
    low, span = float(values.min()), float(np.ptp(values))
    if span == 0:
        return _certain(low)
    for unit in (0.1, 0.01, 0.001, 0.0001):
        at = np.rint((values - low) / unit).astype(np.int64)
        common = int(np.gcd.reduce(at))
        if span / (unit * common) <= 2**16 and np.allclose(low + at * unit, values, rtol=0, atol=1e-9):
            return LatticeTotal(low, unit * common, np.asarray(np.bincount(at // common, weights), dtype=np.float64))
    step = span / 4096
    below = np.minimum(np.floor((values - low) / step), 4095).astype(np.int64)
    share = (values - low) / step - below
    pmf = np.bincount(below, weights * (1 - share), 4097) + np.bincount(below + 1, weights * share, 4097)
    return LatticeTotal(low, step, np.asarray(pmf, dtype=np.float64))
