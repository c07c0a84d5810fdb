"""Demand by any continuous distribution of scipy.stats, in the form that the formulas read (`LeadTimeDemand`)."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import Any, Protocol, cast

import numpy as np
from numpy.typing import ArrayLike
from scipy import integrate

from echelon.baselines.total_demand import NEGLIGIBLE, Floats
from echelon.envs.errors import MethodError

GRID = (1e-12, 1e-6, 1e-3, 0.05, 0.25, 0.5, 0.75, 0.95, 1 - 1e-3, 1 - 1e-6, 1 - 1e-12)
"""Probabilities whose quantiles part the range of integration, so that no peak is missed."""


class Continuous(Protocol):
    """What is used of a frozen continuous distribution, such as `scipy.stats.lognorm(0.3, scale=400)`."""

    def pdf(self, x: Any) -> Any: ...
    def cdf(self, x: Any) -> Any: ...
    def ppf(self, q: Any) -> Any: ...
    def mean(self) -> Any: ...
    def std(self) -> Any: ...


@dataclass(frozen=True, eq=False)
class ContinuousTotal:
    """The demand of one period by a continuous distribution; expectations are integrals of its cdf."""

    law: Continuous

    @cached_property
    def mean(self) -> float:
        return float(self.law.mean())

    @cached_property
    def sd(self) -> float:
        return float(self.law.std())

    @cached_property
    def bounds(self) -> tuple[float, float]:
        return float(self.law.ppf(NEGLIGIBLE)), float(self.law.ppf(1 - 1e-16))

    def cdf(self, level: ArrayLike) -> Floats:
        return np.asarray(self.law.cdf(level), dtype=np.float64)

    def quantile(self, probability: float) -> float:
        return float(self.law.ppf(probability))

    def shortage(self, level: ArrayLike) -> Floats:
        return np.maximum(self.excess(level) + self.mean - np.asarray(level, dtype=np.float64), 0.0)

    def excess(self, level: ArrayLike) -> Floats:
        return np.asarray(np.vectorize(self._excess, otypes=[float])(level))

    def _excess(self, level: float) -> float:
        """The area under the cdf up to the level."""
        parts = [self.bounds[0], *(x for x in self._parts if self.bounds[0] < x < level), level]
        if level <= parts[0]:
            return 0.0
        return sum(
            integrate.quad(self.law.cdf, low, high, epsabs=0.0, epsrel=1e-11)[0] for low, high in pairwise(parts)
        )

    @cached_property
    def _parts(self) -> list[float]:
        return [float(x) for x in np.unique(self.law.ppf(np.array(GRID)))]


def continuous_demand(demand: object) -> ContinuousTotal:
    """The demand of one period. Raises `MethodError` unless it has a density, a finite mean and a finite variance."""
    if not all(hasattr(demand, name) for name in ("pdf", "cdf", "ppf", "mean", "std")):
        raise MethodError(
            "demand must be a demand law or a frozen continuous distribution of scipy.stats, "
            f"got {type(demand).__name__}"
        )
    total = ContinuousTotal(cast(Continuous, demand))
    if not (np.isfinite(total.mean) and np.isfinite(total.sd)):
        raise MethodError(f"demand must have a finite mean and variance, got mean {total.mean:g} and sd {total.sd:g}")
    return total
