"""What every demand law shares: its calendar, and how a uniform number becomes demand.

The **calendar** of a law multiplies its mean. Season, promotions and trend multiply one another:

    factor(t) = seasonal[t % len(seasonal)] * (uplifts of the promotions on in t)
                * max(0, 1 + trend * t) * (1 + growth) ** t

The long-run mean and standard deviation of a law are those over one common cycle of its season and its
repeated promotions. Promotions that come once, `trend` and `growth` do not count there: with a trend
they are the moments at the start of the horizon.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer, model_validator

from echelon.envs.errors import DemandError

Floats = NDArray[np.float64]
Factor = float | Floats
"""What multiplies the mean: a number, or one number per period."""
Finite = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, strict=True, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)]
Periods = Annotated[int, Field(ge=1, strict=True)]

TAIL = 1e-16
"""Probability beyond the last value of a tabulated law."""
LONGEST_TABLE = 10_000_000
LAST_BELOW_ONE = 1.0 - 2.0**-53
"""The largest uniform number."""
LONGEST_CYCLE = 100_000
"""Periods within which season and repeated promotions must begin anew."""


@dataclass(frozen=True, eq=False)
class Inversion:
    """Demand as a look-up of its uniform number u: the value number k of `values`.

    With a `table` of the distribution function, k counts the entries that are at most u; without one all
    values are equally likely, and k = floor(u * len(values)). Without `values` the demand is k itself.
    """

    table: Floats | None = None
    values: Floats | None = None


class Promotion(BaseModel):
    """Periods in which the mean demand is multiplied by `uplift`: once, or anew every so many periods."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    start: Annotated[int, Field(ge=0, strict=True)]
    """The first period of the (first) promotion."""
    length: Periods = 1
    every: Periods | None = None
    """Periods from the start of a promotion to the start of the next; left out: it comes once."""
    uplift: NonNegative

    @model_validator(mode="after")
    def _ends_before_it_comes_again(self) -> Self:
        if self.every is not None and self.every < self.length:
            raise ValueError(f"every must be at least length = {self.length} (got {self.every})")
        return self

    def factors(self, periods: NDArray[np.int64]) -> Floats:
        """The uplift in the given periods, 1 where the promotion is not on."""
        since = periods - self.start
        on = (since >= 0) & ((since % self.every if self.every else since) < self.length)
        return np.where(on, self.uplift, 1.0)


class Law(BaseModel):
    """What all demand laws share. Quantities are units per period."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seasonal: tuple[NonNegative, ...] = ()
    """Multiplies the mean by a profile that repeats."""
    promotions: tuple[Promotion, ...] = ()
    trend: Finite = 0.0
    """The mean of period t is multiplied by 1 + trend * t, and by 0 where that is negative."""
    growth: Annotated[float, Field(gt=-1, strict=True, allow_inf_nan=False)] = 0.0
    """The mean of period t is multiplied by (1 + growth) ** t."""

    @model_validator(mode="after")
    def _calendar_begins_anew(self) -> Self:
        if self.cycle > LONGEST_CYCLE:
            raise ValueError(
                f"season and promotions must begin anew within {LONGEST_CYCLE:,} periods (got {self.cycle:,})"
            )
        return self

    @model_serializer(mode="wrap")
    def _keep_the_name(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Write the name of the law even where defaults are left out."""
        return {"law": getattr(self, "law", None), **serialize(self)}

    @property
    def whole(self) -> bool:
        """Whether every demand is a whole number of units."""
        raise NotImplementedError

    @property
    def stationary(self) -> bool:
        """Whether every period has the same law."""
        steady = len(set(self.seasonal)) <= 1 and not self.trend and not self.growth
        return steady and all(promotion.uplift == 1 for promotion in self.promotions)

    @property
    def independent(self) -> bool:
        """Whether the periods are independent of one another."""
        return True

    @property
    def cycle(self) -> int:
        """Periods after which season and repeated promotions begin anew; 1 for demand without either."""
        lengths = [len(self.seasonal)] if len(set(self.seasonal)) > 1 else []
        lengths += [p.every for p in self.promotions if p.every and p.every > p.length and p.uplift != 1]
        return math.lcm(*lengths)

    def moments(self, factor: float = 1.0) -> tuple[float, float]:
        """Mean and standard deviation of one period's demand where the calendar multiplies by `factor`."""
        raise NotImplementedError

    def quantile(self, uniform: Floats, factor: float = 1.0) -> Floats:
        """Demand at the given uniform numbers in [0, 1), any shape."""
        raise NotImplementedError

    def pmf(self, factor: float = 1.0) -> Floats:
        """Probabilities of a demand of 0, 1, 2, ... units; raises `DemandError` if not whole."""
        raise DemandError(f"{type(self).__name__} demand has no probability mass function: its values are not whole")

    def inversion(self, factor: float = 1.0) -> Inversion | None:
        """`quantile` as a look-up, for laws of independent periods that have one."""
        return None

    def factors(self, periods: int, start: int = 0) -> Floats:
        """The calendar's factors [T] of periods `start`, `start + 1`, ..."""
        t = start + np.arange(periods)
        factors = self._repeated(t)
        for promotion in self.promotions:
            if not promotion.every:
                factors *= promotion.factors(t)
        if self.trend:
            factors *= np.maximum(1 + self.trend * t, 0.0)
        if self.growth:
            factors *= np.cumprod(np.append(1.0, np.full(start + periods - 1, 1 + self.growth)))[start:]
        return factors

    def _repeated(self, t: NDArray[np.int64]) -> Floats:
        """Factors of the season and of the repeated promotions in periods t."""
        factors = np.asarray(self.seasonal)[t % len(self.seasonal)] if self.seasonal else np.ones(len(t))
        for promotion in self.promotions:
            if promotion.every:
                factors *= promotion.factors(t)
        return factors

    @property
    def cycle_factors(self) -> Floats:
        """Factors of one cycle, once all repeated promotions have begun, without trend and growth."""
        begun = max((p.start for p in self.promotions if p.every), default=0)
        return self._repeated(-(-begun // self.cycle) * self.cycle + np.arange(self.cycle))

    @property
    def calendar_factors(self) -> Floats:
        """All values that the factor takes, for a calendar without trend and growth."""
        last = max((p.start + p.length for p in self.promotions), default=0)
        return np.unique(self.factors(last + self.cycle))

    def sample(self, uniform: Floats, start: int = 0) -> Floats:
        """Demand [B, T] of periods `start`, `start + 1`, ... from uniform numbers [B, T]."""
        factors = self.factors(uniform.shape[1], start)
        demand = np.empty_like(uniform)
        for factor in np.unique(factors):
            at = factors == factor
            demand[:, at] = self.quantile(uniform[:, at], float(factor))
        return demand

    def cycle_moments(self) -> Floats:
        """Mean and standard deviation [cycle, 2] of each period of a cycle."""
        factors = self.cycle_factors.tolist()
        known = {factor: self.moments(factor) for factor in set(factors)}
        return np.array([known[factor] for factor in factors])

    @property
    def mean_demand(self) -> float:
        """Mean demand per period in the long run, averaged over a cycle; trends left out."""
        return float(np.mean(self.cycle_moments()[:, 0]))

    @property
    def sd_demand(self) -> float:
        """Root mean square deviation of a period's demand from `mean_demand`, over a cycle; trends left out."""
        mean, sd = self.cycle_moments().T
        return float(np.sqrt(np.mean(sd**2 + (mean - np.mean(mean)) ** 2)))


class Scaled(Law):
    """A law that the calendar multiplies: its quantile takes one factor per period as well."""

    def quantile(self, uniform: Floats, factor: Factor = 1.0) -> Floats:
        raise NotImplementedError

    def sample(self, uniform: Floats, start: int = 0) -> Floats:
        return self.quantile(uniform, self.factors(uniform.shape[1], start))


class Tabulated(Law):
    """A whole-number law that is sampled from a table of its distribution function."""

    @property
    def whole(self) -> bool:
        return True

    def cdf(self, k: Floats, factor: float = 1.0) -> Floats:
        """P(demand <= k)."""
        raise NotImplementedError

    def pmf(self, factor: float = 1.0) -> Floats:
        return np.maximum(np.diff(distribution(self, factor), prepend=0.0), 0.0)

    def quantile(self, uniform: Floats, factor: float = 1.0) -> Floats:
        return np.searchsorted(distribution(self, factor), uniform, side="right").astype(np.float64)

    def inversion(self, factor: float = 1.0) -> Inversion | None:
        return Inversion(table=distribution(self, factor))

    def tabulate(self, factor: float) -> Floats:
        """P(demand <= 0), P(demand <= 1), ... up to the first value that is 1 to within `TAIL`."""
        mean, sd = self.moments(factor)
        length = int(min(mean + 10 * sd, LONGEST_TABLE)) + 16
        while length < LONGEST_TABLE:
            table = self.cdf(np.arange(length, dtype=np.float64), factor)
            reached = int(np.searchsorted(table, 1.0 - TAIL))
            if reached < length:
                return table[: reached + 1].copy()
            length *= 2
        raise too_long(self)


@lru_cache(maxsize=4096)
def distribution(law: Tabulated, factor: float) -> Floats:
    """The table of a law's distribution function; its last value is 1. Not to be written to."""
    table = law.tabulate(factor)
    table[-1] = 1.0
    table.flags.writeable = False
    return table


def cumulated(chances: Floats) -> Floats:
    """Distribution functions of probabilities along the last axis; the last value is 1."""
    table = np.cumsum(chances, axis=-1)
    # Everything from the last possible value on is 1, so that rounding never lets an impossible one in.
    return np.where(table >= table[..., -1:], 1.0, table)


def too_long(law: Law) -> DemandError:
    """The error of a law whose distribution has too many values to be tabulated."""
    return DemandError(f"{law} needs a table of more than {LONGEST_TABLE:,} values; use gamma demand")


def require_same_in_every_period(law: Law, role: str) -> None:
    """Raise `ValueError` unless a law that is part of another one is stationary and independent."""
    if not law.stationary or law.seasonal or not law.independent:
        raise ValueError(
            f"{role} must have the same law in every period, independent of the others: "
            "season, promotions and trend belong to the law that it is part of"
        )
