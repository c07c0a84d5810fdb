"""Demand laws: how many units the customers of an outlet ask for in each period.

A law is frozen data with one duty: turn uniform numbers into demand by inversion. Inversion makes
demand monotone in its uniform number, so that two laws fed with the same numbers are as alike as
they can be (common random numbers), and it needs exactly one number per outlet and period, so that
a replication does not depend on the batch that it is part of.

`seasonal` multiplies the mean by a profile that repeats: period t uses `seasonal[t % len(seasonal)]`.
Poisson and geometric demand keep their law; normal and gamma demand keep their coefficient of
variation; negative binomial demand keeps its number of successes; all other laws are multiplied.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Annotated, Any, Literal, Self, TypeVar

import numpy as np
from numpy.typing import NDArray
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    model_serializer,
    model_validator,
)
from scipy import special

from echelon.envs.defects import describe_all
from echelon.envs.errors import DemandError, nearest

Floats = NDArray[np.float64]
T = TypeVar("T", bound="Law")
Positive = Annotated[float, Field(gt=0, strict=True, allow_inf_nan=False)]
NonNegative = Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)]

TAIL = 1e-16
"""Probability beyond the last value of a tabulated law."""
LONGEST_TABLE = 10_000_000


class Law(BaseModel):
    """What all demand laws share. Quantities are units per period."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seasonal: tuple[NonNegative, ...] = ()

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
        return len(set(self.seasonal)) <= 1

    @property
    def independent(self) -> bool:
        """Whether the periods are independent of one another."""
        return True

    def moments(self, factor: float = 1.0) -> tuple[float, float]:
        """Mean and standard deviation of one period's demand at a seasonal factor."""
        raise NotImplementedError

    def quantile(self, uniform: Floats, factor: float = 1.0) -> Floats:
        """Demand at the given uniform numbers in [0, 1), any shape, at a seasonal factor."""
        raise NotImplementedError

    def pmf(self, factor: float = 1.0) -> Floats:
        """Probabilities of a demand of 0, 1, 2, ... units; raises `DemandError` if not whole."""
        raise DemandError(f"{type(self).__name__} demand has no probability mass function: its values are not whole")

    def factors(self, periods: int, start: int = 0) -> Floats:
        """Seasonal factors [T] of periods `start`, `start + 1`, ..."""
        if not self.seasonal:
            return np.ones(periods)
        return np.asarray(self.seasonal)[(start + np.arange(periods)) % len(self.seasonal)]

    def sample(self, uniform: Floats, start: int = 0) -> Floats:
        """Demand [B, T] of periods `start`, `start + 1`, ... from uniform numbers [B, T]."""
        factors = self.factors(uniform.shape[1], start)
        demand = np.empty_like(uniform)
        for factor in np.unique(factors):
            at = factors == factor
            demand[:, at] = self.quantile(uniform[:, at], float(factor))
        return demand

    @property
    def mean_demand(self) -> float:
        """Mean demand per period, averaged over the season."""
        return float(np.mean([self.moments(f)[0] for f in self.seasonal or (1.0,)]))

    @property
    def sd_demand(self) -> float:
        """Root mean square deviation of a period's demand from `mean_demand`, over the season."""
        moments = np.asarray([self.moments(f) for f in self.seasonal or (1.0,)])
        return float(np.sqrt(np.mean(moments[:, 1] ** 2 + (moments[:, 0] - self.mean_demand) ** 2)))


class _Tabulated(Law):
    """A whole-number law that is sampled from a table of its distribution function."""

    @property
    def whole(self) -> bool:
        return True

    def cdf(self, k: Floats, factor: float = 1.0) -> Floats:
        """P(demand <= k)."""
        raise NotImplementedError

    def pmf(self, factor: float = 1.0) -> Floats:
        return np.maximum(np.diff(_table(self, factor), prepend=0.0), 0.0)

    def quantile(self, uniform: Floats, factor: float = 1.0) -> Floats:
        return np.searchsorted(_table(self, factor), uniform, side="right").astype(np.float64)


@lru_cache(maxsize=4096)
def _table(law: _Tabulated, factor: float) -> Floats:
    """P(demand <= 0), P(demand <= 1), ... up to the first value that is 1 to within `TAIL`."""
    mean, sd = law.moments(factor)
    length = int(mean + 10 * sd) + 16
    while length < LONGEST_TABLE:
        table = law.cdf(np.arange(length, dtype=np.float64), factor)
        reached = int(np.searchsorted(table, 1.0 - TAIL))
        if reached < length:
            table = table[: reached + 1].copy()
            table[-1] = 1.0
            table.flags.writeable = False
            return table
        length *= 2
    raise DemandError(f"{law} needs a table of more than {LONGEST_TABLE:,} values; use gamma demand")


class Poisson(_Tabulated):
    """Poisson demand with the given mean."""

    law: Literal["poisson"] = "poisson"
    mean: Positive

    def moments(self, factor: float = 1.0) -> tuple[float, float]:
        return self.mean * factor, (self.mean * factor) ** 0.5

    def cdf(self, k: Floats, factor: float = 1.0) -> Floats:
        return np.asarray(special.pdtr(k, self.mean * factor))


class Geometric(_Tabulated):
    """Number of failures before the first success: 0, 1, 2, ... with the given mean (Zipkin 2008)."""

    law: Literal["geometric"] = "geometric"
    mean: Positive

    def moments(self, factor: float = 1.0) -> tuple[float, float]:
        mean = self.mean * factor
        return mean, (mean * (1 + mean)) ** 0.5

    def cdf(self, k: Floats, factor: float = 1.0) -> Floats:
        mean = self.mean * factor
        return 1.0 - np.power(mean / (1.0 + mean), k + 1.0)


class NegativeBinomial(_Tabulated):
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
        """The shape r of the law, mean^2 / (sd^2 - mean); it does not change over the season."""
        return self.mean**2 / (self.sd**2 - self.mean)

    def moments(self, factor: float = 1.0) -> tuple[float, float]:
        mean = self.mean * factor
        return mean, (mean + mean**2 / self.successes) ** 0.5

    def cdf(self, k: Floats, factor: float = 1.0) -> Floats:
        success = self.successes / (self.successes + self.mean * factor)
        return np.asarray(special.betainc(self.successes, k + 1.0, success))


class DiscreteUniform(Law):
    """Whole numbers from `low` to `high`, both included, all equally likely."""

    law: Literal["discrete_uniform"] = "discrete_uniform"
    low: Annotated[int, Field(ge=0, strict=True)]
    high: Annotated[int, Field(ge=0, strict=True)]

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        return _require_order(self, self.low, self.high)

    @property
    def whole(self) -> bool:
        return all(f.is_integer() for f in self.seasonal)

    def moments(self, factor: float = 1.0) -> tuple[float, float]:
        count = self.high - self.low + 1
        return factor * (self.low + self.high) / 2, factor * ((count**2 - 1) / 12) ** 0.5

    def quantile(self, uniform: Floats, factor: float = 1.0) -> Floats:
        return factor * (self.low + np.floor(uniform * (self.high - self.low + 1)))

    def pmf(self, factor: float = 1.0) -> Floats:
        return _pmf_of_values(self, np.arange(self.low, self.high + 1, dtype=np.float64) * factor)


class Uniform(Law):
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

    def quantile(self, uniform: Floats, factor: float = 1.0) -> Floats:
        return factor * (self.low + uniform * (self.high - self.low))


class Normal(Law):
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

    def quantile(self, uniform: Floats, factor: float = 1.0) -> Floats:
        above = special.ndtr(self.mean / self.sd) * (1 - uniform)
        return np.asarray(factor * np.maximum(self.mean - self.sd * special.ndtri(above), 0.0))


class Gamma(Law):
    """Gamma demand by its mean and standard deviation."""

    law: Literal["gamma"] = "gamma"
    mean: Positive
    sd: Positive

    @property
    def whole(self) -> bool:
        return False

    def moments(self, factor: float = 1.0) -> tuple[float, float]:
        return factor * self.mean, factor * self.sd

    def quantile(self, uniform: Floats, factor: float = 1.0) -> Floats:
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
        return _all_whole(self.values, self.seasonal)

    @property
    def stationary(self) -> bool:
        return super().stationary and len(set(self.values)) == 1

    def moments(self, factor: float = 1.0) -> tuple[float, float]:
        return factor * self.values[-1], 0.0

    @property
    def sd_demand(self) -> float:
        path = np.multiply.outer(self.values, self.seasonal or (1.0,))
        return float(np.sqrt(np.mean((path - self.mean_demand) ** 2)))

    def quantile(self, uniform: Floats, factor: float = 1.0) -> Floats:
        return np.full_like(uniform, factor * self.values[-1])

    def sample(self, uniform: Floats, start: int = 0) -> Floats:
        periods = uniform.shape[1]
        at = np.minimum(start + np.arange(periods), len(self.values) - 1)
        return np.broadcast_to(np.asarray(self.values)[at] * self.factors(periods, start), uniform.shape).copy()

    def pmf(self, factor: float = 1.0) -> Floats:
        return _pmf_of_values(self, np.asarray(self.values[-1:]) * factor)


class Empirical(Law):
    """Demand resampled from a history of `values`, in runs of `block` consecutive periods.

    `block = 1` draws periods independently. A longer block keeps the autocorrelation inside it
    (circular block bootstrap, Politis and Romano 1992).
    """

    law: Literal["empirical"] = "empirical"
    values: Annotated[tuple[NonNegative, ...], Field(min_length=1)]
    block: Annotated[int, Field(ge=1, strict=True)] = 1

    @model_validator(mode="after")
    def _block_fits(self) -> Self:
        if self.block > len(self.values):
            raise ValueError(f"block must be at most the length of the history, {len(self.values)} (got {self.block})")
        return self

    @property
    def whole(self) -> bool:
        return _all_whole(self.values, self.seasonal)

    @property
    def independent(self) -> bool:
        return self.block == 1

    def moments(self, factor: float = 1.0) -> tuple[float, float]:
        return factor * float(np.mean(self.values)), factor * float(np.std(self.values))

    def quantile(self, uniform: Floats, factor: float = 1.0) -> Floats:
        ordered = np.sort(np.asarray(self.values))
        return np.asarray(factor * ordered[np.floor(uniform * len(ordered)).astype(np.int64)])

    def sample(self, uniform: Floats, start: int = 0) -> Floats:
        if self.block == 1:
            return super().sample(uniform, start)
        periods = uniform.shape[1]
        into = np.arange(periods) % self.block
        first = np.floor(uniform[:, np.arange(periods) - into] * len(self.values)).astype(np.int64)
        drawn = np.asarray(self.values)[(first + into) % len(self.values)]
        return np.asarray(drawn * self.factors(periods, start))

    def pmf(self, factor: float = 1.0) -> Floats:
        return _pmf_of_values(self, np.asarray(self.values) * factor)


Demand = Annotated[
    Poisson | Geometric | NegativeBinomial | DiscreteUniform | Uniform | Normal | Gamma | Deterministic | Empirical,
    Field(discriminator="law"),
]
"""Any demand law; in YAML a mapping whose key `law` names it."""

LAWS: dict[str, type[Law]] = {
    "poisson": Poisson,
    "geometric": Geometric,
    "negative_binomial": NegativeBinomial,
    "discrete_uniform": DiscreteUniform,
    "uniform": Uniform,
    "normal": Normal,
    "gamma": Gamma,
    "deterministic": Deterministic,
    "empirical": Empirical,
}


def as_law(demand: str | Mapping[str, Any] | Law, mean: float | None = None) -> Law:
    """A demand law from a law, its name, or a mapping with its parameters.

    `mean` fills in the law's mean where the mapping leaves it out. Raises `DemandError`.
    """
    if isinstance(demand, Law):
        return demand
    data: dict[str, Any] = {"law": demand} if isinstance(demand, str) else dict(demand)
    if "law" not in data:
        raise DemandError(f"demand must name its law (got {data!r}); known: {', '.join(LAWS)}")
    name = str(data["law"])
    if name not in LAWS:
        raise DemandError(f"unknown demand law {name!r}{nearest(name, LAWS)}")
    if mean is not None and "mean" in LAWS[name].model_fields:
        data.setdefault("mean", mean)
    try:
        return LAWS[name].model_validate(data)
    except ValidationError as error:
        defects = "; ".join(text for _, text in describe_all(error, LAWS[name]))
        raise DemandError(f"demand {name}: {defects}") from None


def _require_order(law: T, low: float, high: float) -> T:
    if high < low:
        raise ValueError(f"high must be at least low = {low:g} (got {high:g})")
    return law


def _all_whole(values: tuple[float, ...], seasonal: tuple[float, ...]) -> bool:
    return all((v * f).is_integer() for v in values for f in seasonal or (1.0,))


def _pmf_of_values(law: Law, values: Floats) -> Floats:
    """The probability mass function of values that are equally likely."""
    if not np.all(values == np.floor(values)):
        raise DemandError(
            f"{type(law).__name__} demand has values that are not whole: it has no probability mass function"
        )
    return np.asarray(np.bincount(values.astype(np.int64)) / len(values))
