"""What a network is expected to need, period by period: the means of the demand laws, exploded upstream.

It is the forecast that planning rules know in advance. Nothing of what is sampled is in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, inf

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.calendar_demand import laws_by_period
from echelon.baselines.ddmrp import decoupled_lead_times, own_lead_time
from echelon.envs.arrays import network_arrays
from echelon.envs.demand import AR1, Empirical, Law
from echelon.envs.network import Link, Network

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class RequirementsForecast:
    """Mean requirements of the target of each link, units of the component, for as many periods as were asked for.

    Every source of a component has all of the requirement of the component here; lateral links have none.
    """

    own: Floats
    """[T, E] of the target's customers."""
    dependent: Floats
    """[T, E] of the nodes that the target supplies, in the period in which they order, spread over all periods."""

    @property
    def total(self) -> Floats:
        """[T, E]"""
        return self.own + self.dependent


def requirements_forecast(network: Network, *, periods: int, review_period: int = 1) -> RequirementsForecast:
    """The requirements of periods 0 to `periods` - 1, receivers first.

    What a node needs in a period is ordered a lead time before. Of several sources of a component the first one is
    asked, up to its largest order at a review or its capacity, then the next. Usable shares below 1 raise the
    requirement.
    """
    arrays, index = network_arrays(network), network.index
    ahead = periods + ceil(max(decoupled_lead_times(network, buffered=())))
    customers = np.zeros((ahead, len(network.nodes)))
    customers[:, arrays.outlet] = np.column_stack(_means(network.laws, ahead))
    drawn = np.zeros_like(customers)
    own, dependent = np.zeros((ahead, len(network.links))), np.zeros((ahead, len(network.links)))
    for e in arrays.downstream_first:
        if arrays.pool[e] != e or arrays.is_lateral[e]:
            continue
        members = [int(k) for k in arrays.pool_links[e] if k < len(network.links)]
        target, units = arrays.target[e], arrays.quantity[e] / usable_share([network.links[k] for k in members])
        own[:, members] = units * customers[:, [target]]
        dependent[:, members] = units * drawn[:, [target]]
        left = own[:, e] + dependent[:, e]
        for link in (network.links[k] for k in members):
            taken = np.minimum(left, source_limit(link, review_period) / review_period)
            left = left - taken
            if link.source in index:
                drawn[:, index[link.source]] += earlier(taken, ceil(own_lead_time(network, link)))
    return RequirementsForecast(own[:periods], dependent[:periods])


def earlier(values: Floats, periods: int) -> Floats:
    """[T] the values so many periods earlier; the last value stays."""
    return values[np.minimum(np.arange(len(values)) + periods, len(values) - 1)]


def mean_demand_by_period(law: Law, periods: int) -> Floats:
    """[T] the mean of each period. Of demand that depends on the past: the mean before anything has been seen.

    Where the regime that a Markov-modulated law starts in is given, the mean of the long run stands for it.
    """
    if isinstance(law, AR1 | Empirical):
        law = law.model_copy(update={"correlation": 0.0} if isinstance(law, AR1) else {"block": 1})
    if law.independent:
        laws = laws_by_period(law, periods)
        means = {one: one.mean_demand for one in set(laws)}
        return np.array([means[one] for one in laws])
    factors = law.factors(periods).tolist()
    known = {factor: law.moments(factor)[0] for factor in set(factors)}
    return np.array([known[factor] for factor in factors])


def planned_lead_times(network: Network) -> Ints:
    """[E] whole periods from an order to stock, the mean rounded up where it is random.

    Where the first source of a component is limited, so that others take what it cannot, all have the longest.
    """
    arrays = network_arrays(network)
    times = np.array([ceil(own_lead_time(network, link)) for link in network.links])
    for e in np.flatnonzero(arrays.is_first):
        members = arrays.pool_links[e][arrays.pool_links[e] < len(network.links)]
        if source_limit(network.links[e]) < inf:
            times[members] = times[members].max()
    return times


def cover(forecast: RequirementsForecast, lead_time: Ints, *, review_period: int, periods: int) -> Floats:
    """[T, E] what the position of a link must last for, once the receivers have ordered at the same review.

    Customers ask for ``L + R`` periods before the order of the next review is there, L the lead time and R the
    review period. Receivers order at reviews only: at the ``ceil(L / R)`` next ones, for R periods each.
    """
    later = review_period * -(-lead_time // review_period)
    now = np.zeros_like(lead_time)
    own = _sum_ahead(forecast.own, now, lead_time + review_period, periods)
    return own + _sum_ahead(forecast.dependent, now + review_period, later, periods)


def cover_periods(network: Network, lead_time: Ints, *, review_period: int) -> Ints:
    """[E] the periods of requirements in `cover`."""
    arrays = network_arrays(network)
    at_outlet = np.isin(arrays.target, arrays.outlet)
    return np.where(at_outlet, lead_time + review_period, review_period * -(-lead_time // review_period))


def source_limit(link: Link, review_period: int = 1) -> float:
    """Most units that a source can be asked for at a review and ships until the next one."""
    return min(link.max_order or inf, (link.capacity or inf) * review_period)


def usable_share(links: list[Link]) -> float:
    """The mean usable share of what the sources of a component deliver; 1 where nothing is ever usable."""
    rates = [link.yield_rate if isinstance(link.yield_rate, float | int) else link.yield_rate.mean for link in links]
    return sum(rates) / len(rates) or 1.0


def _means(laws: tuple[Law, ...], periods: int) -> list[Floats]:
    known = {law: mean_demand_by_period(law, periods) for law in set(laws)}
    return [known[law] for law in laws]


def _sum_ahead(values: Floats, first: Ints, count: Ints, periods: int) -> Floats:
    """[T, E] of periods t + first to t + first + count - 1."""
    total = np.concatenate((np.zeros_like(values[:1]), np.cumsum(values, axis=0)))
    start, links = np.arange(periods)[:, None] + first, np.arange(values.shape[1])
    return np.asarray(total[start + count, links] - total[start, links])
