"""Lumpy demand: few customers who ask for many units, and items that are asked for now and then."""

from __future__ import annotations

import math
from typing import Annotated, Literal, Self

import numpy as np
from pydantic import Field, model_validator

from echelon.envs.demand_history import Empirical
from echelon.envs.demand_law import (
    LAST_BELOW_ONE,
    LONGEST_TABLE,
    TAIL,
    Floats,
    Inversion,
    NonNegative,
    Tabulated,
    require_same_in_every_period,
    too_long,
)
from echelon.envs.demand_simple import (
    Deterministic,
    Discrete,
    DiscreteUniform,
    Gamma,
    Geometric,
    NegativeBinomial,
    Normal,
    Poisson,
    Uniform,
)
from echelon.envs.errors import DemandError

Customers = Annotated[Poisson | Geometric | NegativeBinomial, Field(discriminator="law")]
WholeSize = Annotated[
    Poisson | Geometric | NegativeBinomial | DiscreteUniform | Deterministic | Empirical, Field(discriminator="law")
]
Size = Annotated[
    Poisson
    | Geometric
    | NegativeBinomial
    | Discrete
    | DiscreteUniform
    | Uniform
    | Normal
    | Gamma
    | Deterministic
    | Empirical,
    Field(discriminator="law"),
]

LARGEST_EXPONENT = 600.0
"""exp(-600) is the smallest probability that Panjer's recursion starts from."""


class Compound(Tabulated):
    """A random number of customers a period, each of whom asks for a random number of units.

    The calendar multiplies the mean number of customers; the sizes stay. The distribution is that of
    Panjer's recursion (Panjer 1981), from a table.
    """

    law: Literal["compound"] = "compound"
    customers: Customers
    size: WholeSize
    """Whole units that a customer asks for, in every period alike."""

    @model_validator(mode="after")
    def _parts_are_plain(self) -> Self:
        require_same_in_every_period(self.customers, "customers")
        require_same_in_every_period(self.size, "size")
        if not self.size.whole:
            raise ValueError(f"size must be a whole number of units (got {self.size.law} with parts of units)")
        if self.size.moments()[0] == 0:
            raise ValueError("size must be more than 0 for some customers")
        return self

    def moments(self, factor: float = 1.0) -> tuple[float, float]:
        (mean, sd), (size, spread) = self.customers.moments(factor), self.size.moments()
        return mean * size, (mean * spread**2 + sd**2 * size**2) ** 0.5

    def tabulate(self, factor: float) -> Floats:
        sizes = self.size.pmf()
        mean, sd = self.moments(factor)
        length = int(min(mean + 12 * sd, LONGEST_TABLE)) + 16 * len(sizes)
        while length < LONGEST_TABLE:
            pmf = panjer(self.customers, factor, sizes, length)
            if pmf[-len(sizes) :].max() * length < TAIL:
                table = np.cumsum(pmf)
                table /= table[-1]
                return table[: int(np.searchsorted(table, 1.0 - TAIL)) + 1].copy()
            length *= 2
        raise too_long(self)


def panjer(customers: Poisson | Geometric | NegativeBinomial, factor: float, sizes: Floats, length: int) -> Floats:
    """P(total = 0), ..., P(total = length - 1) for a number of customers of Panjer's (a, b, 0) class.

    The customers' laws are infinitely divisible. Where P(total = 0) is too small for a number, the
    recursion is run for one of 2^m equal parts, which are then added up.
    """
    mean, sizes = customers.moments(factor)[0], sizes[:length]
    if isinstance(customers, Poisson):
        exponent = mean * (1 - sizes[0])
        a, b = 0.0, mean
    else:
        successes = customers.successes if isinstance(customers, NegativeBinomial) else 1.0
        odds = mean / successes
        exponent = successes * math.log1p(odds * (1 - sizes[0]))
        a = odds / (1 + odds)
        b = successes * a
    halvings = max(0, math.ceil(math.log2(max(exponent, 1e-300) / LARGEST_EXPONENT)))
    # The recursion's b is -a plus what is proportional to the part.
    pmf = _recursion(a, b / 2**halvings - a, math.exp(-exponent / 2**halvings), sizes, length)
    for _ in range(halvings):
        pmf = np.convolve(pmf, pmf)[:length]
    return pmf


def _recursion(a: float, b: float, none: float, sizes: Floats, length: int) -> Floats:
    """g_k = sum over j from 1 to k of (a + b j / k) f_j g_(k-j), divided by 1 - a f_0 (Panjer 1981)."""
    pmf = np.zeros(length)
    pmf[0] = none
    j = np.arange(1, len(sizes))
    constant, rising = a * sizes[1:] / (1 - a * sizes[0]), b * j * sizes[1:] / (1 - a * sizes[0])
    for k in range(1, length):
        most = min(k, len(j))
        before = pmf[k - most : k][::-1]
        pmf[k] = ((constant[:most] + rising[:most] / k) * before).sum()
    return pmf


class Intermittent(Tabulated):
    """Demand that occurs with probability 1 / `interval` in a period, of a random positive size (Croston 1972).

    Every size is `shift` + a draw of `size`; a law of sizes that can be 0 needs a shift, usually 1. The
    calendar multiplies the probability that demand occurs, which must stay at most 1; the sizes stay.
    """

    law: Literal["intermittent"] = "intermittent"
    interval: Annotated[float, Field(ge=1, strict=True, allow_inf_nan=False)]
    """Mean periods from one demand to the next."""
    size: Size
    shift: NonNegative = 0.0
    """Units added to every size."""

    @model_validator(mode="after")
    def _sizes_are_positive_and_the_chance_is_one(self) -> Self:
        require_same_in_every_period(self.size, "size")
        if self.shift == 0 and _can_be_zero(self.size):
            raise ValueError(
                f"size must be more than 0 (got {self.size.law}, which can be 0); with shift: 1 sizes are 1 more"
            )
        peak = float(self.calendar_factors.max()) if not (self.trend or self.growth) else 1.0
        if peak > self.interval:
            raise ValueError(_too_often(peak, self.interval))
        return self

    @property
    def whole(self) -> bool:
        return self.size.whole and self.shift.is_integer()

    @property
    def average_interval(self) -> float:
        """ADI: mean periods between demands (Syntetos, Boylan and Croston 2005)."""
        return self.interval

    @property
    def squared_variation(self) -> float:
        """CV2: variance of the sizes over their squared mean (Syntetos, Boylan and Croston 2005)."""
        mean, sd = self.size.moments()
        return (sd / (self.shift + mean)) ** 2

    @property
    def category(self) -> Literal["smooth", "erratic", "intermittent", "lumpy"]:
        """The class of the item at ADI 1.32 and CV2 0.49 (Syntetos, Boylan and Croston 2005)."""
        rare, variable = self.average_interval >= 1.32, self.squared_variation >= 0.49
        if rare:
            return "lumpy" if variable else "intermittent"
        return "erratic" if variable else "smooth"

    def chance(self, factor: float = 1.0) -> float:
        """The probability that demand occurs in a period."""
        if factor > self.interval:
            raise DemandError(_too_often(factor, self.interval))
        return factor / self.interval

    def moments(self, factor: float = 1.0) -> tuple[float, float]:
        chance, (mean, sd) = self.chance(factor), self.size.moments()
        size = self.shift + mean
        return chance * size, (chance * sd**2 + chance * (1 - chance) * size**2) ** 0.5

    def tabulate(self, factor: float) -> Floats:
        sizes = np.cumsum(self.size.pmf())
        sizes /= sizes[-1]
        none = 1.0 - self.chance(factor)
        return none + (1.0 - none) * np.concatenate([np.zeros(int(self.shift)), sizes])

    def quantile(self, uniform: Floats, factor: float = 1.0) -> Floats:
        if self.whole:
            return super().quantile(uniform, factor)
        none = 1.0 - self.chance(factor)
        demand = np.zeros_like(uniform)
        occurs = uniform >= none
        within = np.minimum((uniform[occurs] - none) / max(1.0 - none, 1e-300), LAST_BELOW_ONE)
        demand[occurs] = self.shift + self.size.quantile(within)
        return demand

    def inversion(self, factor: float = 1.0) -> Inversion | None:
        return super().inversion(factor) if self.whole else None

    def pmf(self, factor: float = 1.0) -> Floats:
        if not self.whole:
            raise DemandError(f"{type(self).__name__} demand has no probability mass function: sizes are not whole")
        return super().pmf(factor)


def _can_be_zero(size: Size) -> bool:
    match size:
        case Poisson() | Geometric() | NegativeBinomial():
            return True
        case DiscreteUniform():
            return size.low == 0
        case Deterministic() | Empirical():
            return min(size.values) == 0
        case _:
            return False


def _too_often(factor: float, interval: float) -> str:
    return (
        f"interval must be at least the largest factor of season, promotions and trend, {factor:g}, which multiplies "
        f"the chance of demand 1 / interval (got {interval:g})"
    )
