"""What can go wrong on the supply side, as frozen data: random lead times, yields and disruptions."""

from __future__ import annotations

from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

Probability = Annotated[float, Field(gt=0, le=1, strict=True)]
Weight = Annotated[float, Field(ge=0, strict=True, allow_inf_nan=False)]


class _Discrete(BaseModel):
    """A value is drawn in every period; without `probabilities` all are equally likely, as in a history."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    values: tuple[float, ...]
    probabilities: tuple[Weight, ...] = ()

    @model_validator(mode="after")
    def _sums_to_one(self) -> Self:
        if self.probabilities and len(self.probabilities) != len(self.values):
            raise ValueError(f"probabilities must be as many as values, {len(self.values)}")
        if self.probabilities and abs(sum(self.probabilities) - 1) > 1e-9:
            raise ValueError(f"probabilities must sum to 1 (got {sum(self.probabilities):g})")
        return self

    @property
    def weights(self) -> NDArray[np.float64]:
        """The probability of each of the values."""
        equal = [1 / len(self.values)] * len(self.values)
        return np.asarray(self.probabilities or equal, dtype=np.float64)

    @property
    def mean(self) -> float:
        """The expected value."""
        return float(self.weights @ np.asarray(self.values, dtype=np.float64))

    @property
    def variance(self) -> float:
        """The variance."""
        return float(self.weights @ (np.asarray(self.values, dtype=np.float64) - self.mean) ** 2)


class LeadTime(_Discrete):
    """A lead time that is drawn for each period's shipment: a distribution, or a history of lead times.

    With `crossover` every shipment arrives after its own lead time, be it before an earlier one.
    Without it no shipment overtakes: its lead time is at least what the one before has left.
    """

    values: Annotated[tuple[Annotated[int, Field(ge=0, strict=True)], ...], Field(min_length=1)]
    crossover: bool = True

    @property
    def possible(self) -> tuple[int, ...]:
        """The lead times that have a positive probability."""
        return tuple(value for value, weight in zip(self.values, self.weights, strict=True) if weight > 0)


class Yield(_Discrete):
    """The share of what arrives on a link that is usable, drawn for each period."""

    values: Annotated[tuple[Annotated[float, Field(ge=0, le=1, strict=True)], ...], Field(min_length=1)]


class Disruption(BaseModel):
    """A two-state Markov chain: what is up fails with probability `failure` a period, what is down is repaired
    with probability `repair`. Everything is up in period 0."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    failure: Probability
    repair: Probability

    @property
    def availability(self) -> float:
        """The long-run share of periods in which it is up."""
        return self.repair / (self.failure + self.repair)
