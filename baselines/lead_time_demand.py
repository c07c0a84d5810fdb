"""Demand over a lead time: the law of the total demand of several periods.

Stock that is ordered today must last until the next order can arrive, so every base-stock formula
starts from the total demand over some duration. `lead_time_demand` gives its law, as one of the
classes of `total_demand`.

Poisson, geometric, negative binomial, normal and gamma demand are infinitely divisible: their total
is known over any duration, whole or not. Other laws are summed period by period, and the duration
must be a whole number of periods.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.lattice import hat_weights, sum_of_two, trimmed
from echelon.baselines.total_demand import (
    NEGLIGIBLE,
    GammaTotal,
    HistogramTotal,
    LatticeTotal,
    LeadTimeDemand,
    NormalTotal,
)
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

CELLS = 512
"""Cells into which one period of a uniform law is cut."""


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


def whole_demand(demand: Law) -> Floats:
    """[K] probabilities of a period's demand of 0, 1, 2, ... units, which must be whole."""
    one = lead_time_demand(demand, 1)
    assert isinstance(one, LatticeTotal), "whole demand is on a lattice"
    return np.asarray(one.from_zero / one.pmf.sum())


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
    total, power = _certain(0.0), trimmed(one)
    while periods:
        if periods % 2:
            total = sum_of_two(total, power)
        periods //= 2
        power = sum_of_two(power, power) if periods else power
    return total


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
