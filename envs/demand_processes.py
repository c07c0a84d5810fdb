"""Demand whose periods depend on one another: an autoregression, and a market that changes its regime."""

from __future__ import annotations

from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator
from scipy import special

from echelon.envs.demand_history import Empirical
from echelon.envs.demand_law import (
    Factor,
    Floats,
    Law,
    NonNegative,
    Positive,
    Scaled,
    cumulated,
    require_same_in_every_period,
)
from echelon.envs.demand_lumpy import Compound, Intermittent
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

Independent = Annotated[
    Poisson
    | Geometric
    | NegativeBinomial
    | Discrete
    | DiscreteUniform
    | Uniform
    | Normal
    | Gamma
    | Deterministic
    | Empirical
    | Compound
    | Intermittent,
    Field(discriminator="law"),
]
"""Laws whose periods are independent."""

SMALLEST_UNIFORM = 2.0**-54
"""What a uniform number of 0 counts as before it is turned into a normal one, so that it stays finite."""


class AR1(Scaled):
    """Autocorrelated demand: a normal autoregression of order 1, cut at 0, and rounded on request.

    Z(t) = correlation * Z(t - 1) + sqrt(1 - correlation^2) * (a new standard normal number), Z(0) standard
    normal, so that every Z(t) is. The demand of period t is max(0, factor(t) * (mean + sd * Z(t))),
    rounded to the nearest whole number if `rounded`. Negative values are cut to 0, not drawn anew. `mean`,
    `sd` and `correlation` are those before cutting and rounding; `moments` gives those after it.
    """

    law: Literal["ar1"] = "ar1"
    mean: Positive
    sd: Positive
    correlation: Annotated[float, Field(gt=-1, lt=1, strict=True)]
    """Of one period with the next."""
    rounded: bool = False

    @property
    def whole(self) -> bool:
        return self.rounded

    @property
    def independent(self) -> bool:
        return self.correlation == 0

    def moments(self, factor: float = 1.0) -> tuple[float, float]:
        mean, sd = self.mean * factor, self.sd * factor
        if factor == 0:
            return 0.0, 0.0
        if self.rounded:
            survival = 1.0 - self._rounded_cdf(factor)
            first, second = survival.sum(), ((2 * np.arange(len(survival)) + 1) * survival).sum()
        else:
            above = special.ndtr(mean / sd)
            density = np.exp(-0.5 * (mean / sd) ** 2) / (2 * np.pi) ** 0.5
            first, second = mean * above + sd * density, (mean**2 + sd**2) * above + mean * sd * density
        return float(first), float(max(second - first**2, 0.0) ** 0.5)

    def _rounded_cdf(self, factor: float) -> Floats:
        """P(demand <= 0), P(demand <= 1), ... of rounded demand."""
        most = int(factor * (self.mean + 9 * self.sd)) + 2
        if factor == 0:
            return np.ones(1)
        return np.asarray(special.ndtr((np.arange(most) + 0.5 - factor * self.mean) / (factor * self.sd)))

    def pmf(self, factor: float = 1.0) -> Floats:
        if not self.rounded:
            return super().pmf(factor)
        return np.diff(self._rounded_cdf(factor), prepend=0.0)

    def quantile(self, uniform: Floats, factor: Factor = 1.0) -> Floats:
        return self._demand(special.ndtri(np.maximum(uniform, SMALLEST_UNIFORM)), factor)

    def _demand(self, z: Floats, factor: Factor) -> Floats:
        demand = factor * np.maximum(self.mean + self.sd * z, 0.0)
        return np.rint(demand) if self.rounded else np.asarray(demand)

    def sample(self, uniform: Floats, start: int = 0) -> Floats:
        z = special.ndtri(np.maximum(uniform, SMALLEST_UNIFORM))
        fresh = (1 - self.correlation**2) ** 0.5
        for t in range(1, z.shape[1]):
            z[:, t] = self.correlation * z[:, t - 1] + fresh * z[:, t]
        return self._demand(z, self.factors(uniform.shape[1], start))


class Regime(BaseModel):
    """A state of the market and the law of the demand in it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(min_length=1)]
    demand: Independent


class MarkovModulated(Law):
    """Demand whose law depends on the state of a market that moves as a Markov chain.

    `transition[i][j]` is the probability that regime j follows regime i. The chain starts in its stationary
    distribution, or in the regime `start`. One uniform number moves the chain and, what is left of it
    stretched to [0, 1), gives the demand. `moments` are those of a period in the long run: the mixture of
    the regimes by the stationary distribution. The calendar multiplies the mean of every regime.
    """

    law: Literal["markov_modulated"] = "markov_modulated"
    regimes: Annotated[tuple[Regime, ...], Field(min_length=1)]
    transition: tuple[tuple[NonNegative, ...], ...]
    start: str = ""
    """The regime of period 0; left out, it is drawn from the stationary distribution."""

    @model_validator(mode="after")
    def _is_a_chain(self) -> Self:
        names = [regime.name for regime in self.regimes]
        if len(set(names)) < len(names):
            raise ValueError(f"regimes must have different names (got {', '.join(names)})")
        for regime in self.regimes:
            require_same_in_every_period(regime.demand, f"regime {regime.name!r}")
        if self.start and self.start not in names:
            raise ValueError(f"start must be a regime, one of {', '.join(names)} (got {self.start!r})")
        if [len(row) for row in self.transition] != [len(names)] * len(names):
            raise ValueError(f"transition must have {len(names)} rows and columns, as there are regimes")
        for name, row in zip(names, self.transition, strict=True):
            if abs(sum(row) - 1) > 1e-9:
                raise ValueError(f"transition from {name!r} must sum to 1 (got {sum(row):g})")
        if not _all_connected(np.asarray(self.transition) > 0):
            raise ValueError("transition must lead from every regime to every other one, in some number of periods")
        return self

    @property
    def whole(self) -> bool:
        parts = (regime.demand.model_copy(update=self._calendar) for regime in self.regimes)
        return all(part.whole for part in parts)

    @property
    def _calendar(self) -> dict[str, object]:
        return {name: getattr(self, name) for name in ("seasonal", "promotions", "trend", "growth")}

    @property
    def stationary(self) -> bool:
        return super().stationary and not self.start

    @property
    def independent(self) -> bool:
        return len(self.regimes) == 1

    @property
    def long_run(self) -> Floats:
        """The stationary distribution [R] of the regimes."""
        return stationary_distribution(np.asarray(self.transition))

    def moments(self, factor: float = 1.0) -> tuple[float, float]:
        mean, sd = np.array([regime.demand.moments(factor) for regime in self.regimes]).T
        share = self.long_run
        overall = float((share * mean).sum())
        return overall, float((share * (sd**2 + (mean - overall) ** 2)).sum()) ** 0.5

    def pmf(self, factor: float = 1.0) -> Floats:
        parts = [regime.demand.pmf(factor) for regime in self.regimes]
        mixture = np.zeros(max(map(len, parts)))
        for share, part in zip(self.long_run, parts, strict=True):
            mixture[: len(part)] += share * part
        return mixture

    def quantile(self, uniform: Floats, factor: float = 1.0) -> Floats:
        """Demand of a period in the long run; monotone within a regime only."""
        regimes, within = self._path(uniform.reshape(-1, 1), self.long_run)
        return self._demand(regimes, within, factor).reshape(uniform.shape)

    def sample(self, uniform: Floats, start: int = 0) -> Floats:
        names = [regime.name for regime in self.regimes]
        first = np.eye(len(names))[names.index(self.start)] if self.start else self.long_run
        regimes, within = self._path(uniform, first)
        factors = self.factors(uniform.shape[1], start)
        demand = np.empty_like(uniform)
        for factor in np.unique(factors):
            at = factors == factor
            demand[:, at] = self._demand(regimes[:, at], within[:, at], float(factor))
        return demand

    def _path(self, uniform: Floats, first: Floats) -> tuple[NDArray[np.int64], Floats]:
        """The regime [B, T] of every period, and the uniform number [B, T] that its demand is drawn with."""
        from echelon.envs._sampling import markov_path

        return markov_path(uniform, cumulated(first), cumulated(np.asarray(self.transition)))

    def _demand(self, regimes: NDArray[np.int64], within: Floats, factor: float) -> Floats:
        """Demand [B, T] of the regimes [B, T]."""
        demand = np.empty_like(within)
        for number, regime in enumerate(self.regimes):
            at = regimes == number
            demand[at] = regime.demand.quantile(within[at], factor)
        return demand


def stationary_distribution(transition: Floats) -> Floats:
    """The long-run shares [R] of the states of an irreducible chain (Grassmann, Taksar and Heyman 1985)."""
    chain = transition / transition.sum(axis=1, keepdims=True)
    for last in range(len(chain) - 1, 0, -1):
        chain[:last, last] /= chain[last, :last].sum()
        chain[:last, :last] += chain[:last, last, None] * chain[last, None, :last]
    shares = np.ones(len(chain))
    for state in range(1, len(chain)):
        shares[state] = (shares[:state] * chain[:state, state]).sum()
    return np.asarray(shares / shares.sum())


def _all_connected(leads: NDArray[np.bool_]) -> bool:
    """Whether every state leads to every other one, over any number of steps."""
    for middle in range(len(leads)):
        leads = leads | (leads[:, middle, None] & leads[None, middle, :])
    return bool((leads | np.eye(len(leads), dtype=bool)).all())
