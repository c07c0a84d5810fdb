"""What an inventory position gives the customers: two measures of service, as the simulation counts them.

- `fill_rate` (beta): the fraction of demand that is met at once from stock;
- `alpha` (event-oriented): the chance that nobody waits at the end of a period.

Let X be the demand of the L periods before the one that position y decides, and D that of this period.
Stock of (y - X)+ meets D, so that y leaves (X + D - y)+ - (X - y)+ of it unmet:

    fill(y) = 1 - (E[(X + D - y)+] - E[(X - y)+]) / E[D],   alpha(y) = P(X + D <= y).

Both grow with y.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from echelon.baselines.lead_time_demand import lead_time_demand
from echelon.baselines.renewal_reward import TIE
from echelon.baselines.reorder_lots_exact import Review
from echelon.baselines.requirements import require_at_least_zero, require_positive
from echelon.baselines.total_demand import Floats, LeadTimeDemand
from echelon.envs.demand import Law
from echelon.envs.errors import MethodError

Service = Literal["fill_rate", "alpha"]


@dataclass(frozen=True)
class ServiceLevels:
    """What a policy gives the customers, fractions."""

    fill_rate: float
    alpha: float


@dataclass(frozen=True, eq=False)
class ServiceOfPosition:
    """What position y gives the customers of the period that it decides."""

    before: LeadTimeDemand
    """X"""
    total: LeadTimeDemand
    """X + D; X itself under continuous review."""
    mean: float
    """E[D]"""
    review: Review = "periodic"

    @classmethod
    def of(cls, demand: Law, lead_time: float, review: Review = "periodic") -> ServiceOfPosition:
        """The service of positions that cover a lead time."""
        require_at_least_zero("lead_time", lead_time)
        before, mean = lead_time_demand(demand, lead_time), lead_time_demand(demand, 1).mean
        require_positive("mean demand", mean)
        total = before if review == "continuous" else lead_time_demand(demand, lead_time + 1)
        return cls(before, total, mean, review)

    def fill_rate(self, level: Floats) -> Floats:
        """fill(y); under continuous review a customer, who asks for one unit, is served if there is one."""
        if self.review == "continuous":
            return self.before.cdf(level - 1)
        unmet = self.total.shortage(level) - self.before.shortage(level)
        return np.clip(1 - unmet / self.mean, 0.0, 1.0)

    def alpha(self, level: Floats) -> Floats:
        """ready(y)."""
        return self.total.cdf(level)

    def measure(self, kind: Service) -> Callable[[Floats], Floats]:
        """The measure of that name. Raises `MethodError`."""
        if kind not in ("fill_rate", "alpha"):
            raise MethodError(f"kind must be 'fill_rate' or 'alpha', got {kind!r}")
        return self.fill_rate if kind == "fill_rate" else self.alpha

    def least_level(self, kind: Service, service_level: float) -> int:
        """The smallest whole y with that service."""
        levels = np.arange(self.total.bounds[1] + 2)
        return int(np.argmax(self.measure(kind)(levels) >= service_level - TIE))

    def average(self, positions: Floats, weights: Floats) -> ServiceLevels:
        """The service of a policy whose positions have these weights, which need not sum to 1."""
        shares = weights / weights.sum()
        return ServiceLevels(float(shares @ self.fill_rate(positions)), float(shares @ self.alpha(positions)))


def require_service_level(service_level: float) -> None:
    """Raise `MethodError` unless the service level is a fraction that every demand law allows."""
    if not 0 < service_level < 1:
        raise MethodError(f"service_level must be above 0 and below 1, got {service_level:g}")
