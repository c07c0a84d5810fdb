"""Outstanding orders of the retailers of a one-for-one system: their laws by three methods, see `one_for_one`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.lead_time_demand import lead_time_demand
from echelon.baselines.total_demand import LatticeTotal
from echelon.envs.demand import NegativeBinomial, Poisson

Floats = NDArray[np.float64]
Method = Literal["exact", "metric", "two_moment", "in_turn"]

PLAIN = 1e-10
"""Excess of a variance over its mean, as a share of the mean, below which a law counts as Poisson."""


@dataclass(frozen=True)
class Retailer:
    """A retailer with Poisson customers at `rate`, `lead_time` away from the warehouse."""

    rate: float
    lead_time: float
    holding_cost: float
    stockout_cost: float
    """0 where service is a target and has no price."""
    level: int | None = None
    """The base-stock level, None where it is to be found."""
    fill_rate: float = 0.0
    """The least share of the customers to serve at once."""
    ahead: float = 0.0
    """Rate of all retailers whose orders are served before this one's, where orders come in batches."""


@dataclass(frozen=True, eq=False)
class OneForOneSystem:
    """The retailers and the warehouse that supplies them, `lead_time` away from its source."""

    retailers: tuple[Retailer, ...]
    lead_time: float
    holding_cost: float

    @cached_property
    def rate(self) -> float:
        """lambda_0"""
        return sum(retailer.rate for retailer in self.retailers)

    def share(self, retailer: Retailer) -> float:
        """The probability that a unit which the warehouse owes is this retailer's."""
        return retailer.rate / self.rate if self.rate else 0.0

    @cached_property
    def lead_time_demand(self) -> LatticeTotal:
        """D_0"""
        return _poisson(self.rate * self.lead_time)

    @cached_property
    def top(self) -> int:
        """The highest level of the warehouse that is worth a try."""
        return int(self.lead_time_demand.bounds[1])


def outstanding_orders(
    system: OneForOneSystem, retailer: Retailer, method: Method, levels: range
) -> Iterator[tuple[int, LatticeTotal]]:
    """The law of the retailer's outstanding orders X_i for each level of the warehouse, from the highest down."""
    if method == "exact":
        return _thinned(system, retailer, levels)
    if method == "in_turn":
        return _in_turn(system, retailer, levels)
    return _fitted(system, retailer, method, levels)


def _thinned(system: OneForOneSystem, retailer: Retailer, levels: range) -> Iterator[tuple[int, LatticeTotal]]:
    """The exact laws.

    A warehouse with one unit less owes one unit more whenever its lead-time demand is above that level,
    and the unit is retailer i's with probability ``lambda_i / lambda_0``. So the part of the law of X_i
    on which the warehouse owes something follows from that of the level above, by sums of positive
    numbers alone; the rest is that of the demand over L_i.
    """
    share = system.share(retailer)
    longest = _poisson(retailer.rate * (system.lead_time + retailer.lead_time))
    size = int(longest.bounds[1]) + 1
    own = _from_zero(_poisson(retailer.rate * retailer.lead_time), size)
    equal = _from_zero(system.lead_time_demand, system.top + 1)
    below = np.cumsum(equal)
    level, owing = system.top, np.zeros(size)
    for wanted in reversed(levels):
        while level > wanted:
            more = owing + equal[level] * own
            owing = (1 - share) * more
            owing[1:] += share * more[:-1]
            level -= 1
        yield wanted, LatticeTotal(0.0, 1.0, owing + below[min(wanted, system.top)] * own)


def _in_turn(system: OneForOneSystem, retailer: Retailer, levels: range) -> Iterator[tuple[int, LatticeTotal]]:
    """The exact laws where the retailers order once a period, in batches that are served one after the other.

    The warehouse's stock ends in one of the batches that it was asked for during its lead time. If that
    is another retailer's, X_i is the demand of the batches that retailer i ordered later, and that over
    L_i; if it is retailer i's own, the part of the batch that was left over comes on top.
    """
    periods = int(system.lead_time)
    before = [_poisson(system.rate * period + retailer.ahead) for period in range(periods)]
    after = [_poisson(system.rate * period + retailer.ahead + retailer.rate) for period in range(periods)]
    batch = _from_zero(_poisson(retailer.rate), int(_poisson(retailer.rate).bounds[1]) + 2)
    size = int(_poisson(retailer.rate * (periods + retailer.lead_time)).bounds[1]) + 1
    later = [_from_zero(_poisson(retailer.rate * (retailer.lead_time + n)), size) for n in range(periods + 1)]
    for level in reversed(levels):
        reached = [1.0, *(float(law.cdf(level)) for law in after)]
        own_turn = [*(float(law.cdf(level)) for law in before), 0.0]
        others = np.array(reached) - own_turn
        pmf = others[::-1] @ np.array(later)
        for period, law in enumerate(before):
            near = level + 1 - len(batch)
            stock_left = law.cdf(np.arange(near, level + 1)) - law.cdf(np.arange(near - 1, level))
            left_over = np.convolve(stock_left, batch)[len(batch) :]
            pmf[1:] += np.convolve(left_over, later[periods - 1 - period])[: size - 1]
        yield level, LatticeTotal(0.0, 1.0, pmf)


def _fitted(
    system: OneForOneSystem, retailer: Retailer, method: Method, levels: range
) -> Iterator[tuple[int, LatticeTotal]]:
    """Poisson laws with the exact mean, or negative binomial ones with the exact variance as well.

    The variance of X_i exceeds its mean by ``(lambda_i / lambda_0)^2 (Var B_0 - E B_0)``, which is 0 for
    a warehouse without stock and positive otherwise.
    """
    own, share = retailer.rate * retailer.lead_time, system.share(retailer)
    shortage = system.lead_time_demand.shortage(np.arange(system.top + 1))
    # E[B_0 (B_0 - 1)] is twice the sum of the expected shortages of all higher levels.
    factorial = 2 * np.append(np.cumsum(shortage[:0:-1])[::-1], 0.0)
    for level in reversed(levels):
        at = min(level, system.top)
        mean = own + share * shortage[at]
        beyond = share**2 * (factorial[at] - shortage[at] ** 2)
        plain = method == "metric" or beyond <= PLAIN * mean
        yield level, _poisson(mean) if plain else _negative_binomial(mean, mean + beyond)


def _from_zero(law: LatticeTotal, size: int) -> Floats:
    """[size] the probabilities of 0, 1, 2, ..."""
    return np.append(law.from_zero, np.zeros(size))[:size]


def _poisson(mean: float) -> LatticeTotal:
    law = lead_time_demand(Poisson(mean=mean), 1) if mean else LatticeTotal(0.0, 1.0, np.ones(1))
    assert isinstance(law, LatticeTotal)
    return law


def _negative_binomial(mean: float, variance: float) -> LatticeTotal:
    law = lead_time_demand(NegativeBinomial(mean=mean, sd=variance**0.5), 1)
    assert isinstance(law, LatticeTotal)
    return law
