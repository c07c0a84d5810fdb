"""Demand laws whose periods are independent, each with a distribution of a few parameters.

The calendar multiplies the mean. Poisson and geometric demand keep their law; normal and gamma demand
keep their coefficient of variation; negative binomial demand keeps its number of successes; uniform,
discrete and deterministic demand is multiplied.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self, TypeVar

import numpy as np
from pydantic import Field, model_validator
from scipy import special

from echelon.envs.demand_law import Factor, Floats, Inversion, Law, NonNegative, Positive, Scaled, Tabulated, cumulated
from echelon.envs.errors import DemandError

T = TypeVar("T", bound=Law)
MOST_VALUES = 4096
"""Equally likely values that are looked up; more are computed."""


class Poisson(Tabulated):
    """Poisson demand with the given mean."""

    law: Literal["poisson"] = "poisson"
    mean: Positive

    def moments(self, factor: float = 1.0) -> tuple[float, float]:
        return self.mean * factor, (self.mean * factor) ** 0.5

    def cdf(self, k: Floats, factor: float = 1.0) -> Floats:
        return np.asarray(special.pdtr(k, self.mean * factor))


class Geometric(Tabulated):
    """Number of failures before the first success: 0, 1, 2, ... with the given mean (Zipkin 2008)."""

    law: Literal["geometric"] = "geometric"
    mean: Positive

    def moments(self, factor: float = 1.0) -> tuple[float, float]:
        mean = self.mean * factor
        return mean, (mean * (1 + mean)) ** 0.5

    def cdf(self, k: Floats, factor: float = 1.0) -> Floats:
        mean = self.mean * factor
        return 1.0 - np.power(mean / (1.0 + mean), k + 1.0)


class NegativeBinomial(Tabulated):
    """Negative binomial demand by its mean and standard deviation; the variance must exceed the mean."""

    law: Literal["negative_binomial"] = "negative_binomial"
    mean: Positive
    sd: Positive

    @model_validator(mode="after")
    def _overdispersed(self) -> Self:
        if self.sd**2 <= self.mean:
            raise ValueError(
                f"sd must exceed sqrt(mean) = {self.mean**0.5:.6g} (got {self.sd:g}); at equality use poisson"
            )
        return self

    @property
    def successes(self) -> float:
        """The shape r of the law, mean^2 / (sd^2 - mean); it does not change over the calendar."""
        return self.mean**2 / (self.sd**2 - self.mean)

    def moments(self, factor: float = 1.0) -> tuple[float, float]:
        mean = self.mean * factor
        return mean, (mean + mean**2 / self.successes) ** 0.5

    def cdf(self, k: Floats, factor: float = 1.0) -> Floats:
        success = self.successes / (self.successes + self.mean * factor)
        return np.asarray(special.betainc(self.successes, k + 1.0, success))


class DiscreteUniform(Scaled):
    """Whole numbers from `low` to `high`, both included, all equally likely."""

    law: Literal["discrete_uniform"] = "discrete_uniform"
    low: Annotated[int, Field(ge=0, strict=True)]
    high: Annotated[int, Field(ge=0, strict=True)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        return _require_order(self, self.low, self.high)

    @property
    def whole(self) -> bool:
        return multiples_are_whole(self, (1.0,))

    def moments(self, factor: float = 1.0) -> tuple[float, float]:
        count = self.high - self.low + 1
        return factor * (self.low + self.high) / 2, factor * ((count**2 - 1) / 12) ** 0.5

    def quantile(self, uniform: Floats, factor: Factor = 1.0) -> Floats:
        return factor * (self.low + np.floor(uniform * (self.high - self.low + 1)))

    def inversion(self, factor: float = 1.0) -> Inversion | None:
        if self.high - self.low >= MOST_VALUES:
            return None
        return Inversion(values=factor * np.arange(self.low, self.high + 1, dtype=np.float64))

    def pmf(self, factor: float = 1.0) -> Floats:
        return pmf_of_values(self, np.arange(self.low, self.high + 1, dtype=np.float64) * factor)


class Discrete(Scaled):
    """One of a few `values`, each with its probability: any law on finitely many quantities."""

    law: Literal["discrete"] = "discrete"
    values: Annotated[tuple[NonNegative, ...], Field(min_length=1)]
    """From the smallest to the largest."""
    probabilities: tuple[NonNegative, ...]

    @model_validator(mode="after")
    def _is_a_law(self) -> Self:
        if any(later <= value for value, later in zip(self.values, self.values[1:], strict=False)):
            raise ValueError("values must rise from one to the next")
        if len(self.probabilities) != len(self.values):
            raise ValueError(f"probabilities must be as many as values, {len(self.values)}")
        if abs(sum(self.probabilities) - 1) > 1e-9:
            raise ValueError(f"probabilities must sum to 1 (got {sum(self.probabilities):g})")
        return self

    @property
    def whole(self) -> bool:
        return multiples_are_whole(self, self.values)

    def moments(self, factor: float = 1.0) -> tuple[float, float]:
        values, chances = np.asarray(self.values), np.asarray(self.probabilities) / sum(self.probabilities)
        mean = float(chances @ values)
        return factor * mean, factor * float(chances @ (values - mean) ** 2) ** 0.5

    def quantile(self, uniform: Floats, factor: Factor = 1.0) -> Floats:
        at = np.searchsorted(self._distribution, uniform, side="right")
        return np.asarray(factor * np.asarray(self.values)[at])

    def inversion(self, factor: float = 1.0) -> Inversion | None:
        return Inversion(table=self._distribution, values=factor * np.asarray(self.values))

    @property
    def _distribution(self) -> Floats:
        return cumulated(np.asarray(self.probabilities))

    def pmf(self, factor: float = 1.0) -> Floats:
        values = factor * np.asarray(self.values)
        return pmf_of_values(self, values, np.asarray(self.probabilities) / sum(self.probabilities))


class Uniform(Scaled):
    """Any quantity between `low` and `high`."""

    law: Literal["uniform"] = "uniform"
    low: NonNegative
    high: NonNegative

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        return _require_order(self, self.low, self.high)

    @property
    def whole(self) -> bool:
        return False

    def moments(self, factor: float = 1.0) -> tuple[float, float]:
        return factor * (self.low + self.high) / 2, factor * (self.high - self.low) / 12**0.5

    def quantile(self, uniform: Floats, factor: Factor = 1.0) -> Floats:
        return factor * (self.low + uniform * (self.high - self.low))


class Normal(Scaled):
    """Normal demand truncated at 0: the law of a normal variable, given that it is not negative.

    `mean` and `sd` are those of the normal before truncation; `moments` gives those after it.
    """

    law: Literal["normal"] = "normal"
    mean: Positive
    sd: Positive

    @property
    def whole(self) -> bool:
        return False

    def moments(self, factor: float = 1.0) -> tuple[float, float]:
        ratio = self.mean / self.sd
        hazard = np.exp(-0.5 * ratio**2) / (2 * np.pi) ** 0.5 / special.ndtr(ratio)
        mean = self.mean + self.sd * hazard
        sd = self.sd * (1 - ratio * hazard - hazard**2) ** 0.5
        return factor * float(mean), factor * float(sd)

    def quantile(self, uniform: Floats, factor: Factor = 1.0) -> Floats:
        above = special.ndtr(self.mean / self.sd) * (1 - uniform)
        return np.asarray(factor * np.maximum(self.mean - self.sd * special.ndtri(above), 0.0))


class Gamma(Scaled):
    """Gamma demand by its mean and standard deviation."""

    law: Literal["gamma"] = "gamma"
    mean: Positive
    sd: Positive

    @property
    def whole(self) -> bool:
        return False

    def moments(self, factor: float = 1.0) -> tuple[float, float]:
        return factor * self.mean, factor * self.sd

    def quantile(self, uniform: Floats, factor: Factor = 1.0) -> Floats:
        shape = (self.mean / self.sd) ** 2
        return np.asarray(factor * self.mean / shape * special.gammaincinv(shape, uniform))


class Deterministic(Law):
    """Known demand: one value for all periods, or one value a period, of which the last one stays."""

    law: Literal["deterministic"] = "deterministic"
    values: Annotated[tuple[NonNegative, ...], Field(min_length=1)]

    @model_validator(mode="before")
    @classmethod
    def _accept_one_value(cls, data: Any) -> Any:
        if isinstance(data, dict) and isinstance(data.get("values"), int | float):
            return {**data, "values": (data["values"],)}
        return data

    @property
    def whole(self) -> bool:
        return multiples_are_whole(self, self.values)

    @property
    def stationary(self) -> bool:
        return super().stationary and len(set(self.values)) == 1

    def moments(self, factor: float = 1.0) -> tuple[float, float]:
        return factor * self.values[-1], 0.0

    @property
    def sd_demand(self) -> float:
        path = np.multiply.outer(self.values, self.cycle_factors)
        return float(np.sqrt(np.mean((path - self.mean_demand) ** 2)))

    def quantile(self, uniform: Floats, factor: float = 1.0) -> Floats:
        return np.full_like(uniform, factor * self.values[-1])

    def sample(self, uniform: Floats, start: int = 0) -> Floats:
        periods = uniform.shape[1]
        at = np.minimum(start + np.arange(periods), len(self.values) - 1)
        return np.broadcast_to(np.asarray(self.values)[at] * self.factors(periods, start), uniform.shape)

    def pmf(self, factor: float = 1.0) -> Floats:
        return pmf_of_values(self, np.asarray(self.values[-1:]) * factor)


def multiples_are_whole(law: Law, values: tuple[float, ...]) -> bool:
    """Whether the values are whole in every period of the law's calendar, which multiplies them."""
    if law.trend or law.growth:
        return not any(values)
    multiples = np.multiply.outer(law.calendar_factors, np.asarray(values))
    return bool((multiples == np.floor(multiples)).all())


def pmf_of_values(law: Law, values: Floats, chances: Floats | None = None) -> Floats:
    """The probability mass function of values with the given chances; left out, they are equally likely."""
    if not np.all(values == np.floor(values)):
        raise DemandError(
            f"{type(law).__name__} demand has values that are not whole: it has no probability mass function"
        )
    if chances is None:
        return np.asarray(np.bincount(values.astype(np.int64)) / len(values))
    return np.asarray(np.bincount(values.astype(np.int64), weights=chances))


def _require_order(law: T, low: float, high: float) -> T:
    if high < low:
        raise ValueError(f"high must be at least low = {low:g} (got {high:g})")
    return law
