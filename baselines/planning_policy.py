"""The policy of requirements planning: net every link's record against the forecast at every review."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import inf
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.per_period import heights
from echelon.baselines.requirements import require
from echelon.baselines.requirements_forecast import (
    planned_lead_times,
    requirements_forecast,
    source_limit,
    usable_share,
)
from echelon.baselines.requirements_planning import LotRule, net_requirements
from echelon.envs.arrays import NetworkArrays, network_arrays
from echelon.envs.network import Network
from echelon.envs.problem import Problem
from echelon.envs.state import State

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class _Stage:
    """Pools that are planned at the same time and in the same lots, G of them, each by its first link."""

    links: Ints
    """[G]"""
    lot_rule: LotRule
    units: Floats
    """[G] units of the component in one unit of what the target supplies."""
    receivers: Ints
    """[G, K] links out of the target, padded with E."""
    ahead: Ints
    """[G, K] reviews until the first one at which the receiver asks for what an order of today brings."""
    sources: Ints
    """[G, S] the links of the pool, in the order in which they are asked, padded with E."""
    limit: Floats
    """[G, S] most units that each of them is asked for; the last one takes what is left."""
    reviews: int
    """W of the stage: as many as its suppliers' records need."""


@dataclass(frozen=True, eq=False)
class RequirementsPlanning:
    """Plan every link for some reviews ahead, receivers first, and order what is to be released now.

    Bucket m of a link's record is what is needed between the arrival of an order that is placed m reviews from now and
    the arrival of the next one; planned receipts of bucket m are released then. What is on order counts as there in
    time, because nothing that is ordered now can come before it, so the record opens with the position less the
    requirements of the lead time. After the periods of the problem nothing is ordered.
    """

    stages: tuple[_Stage, ...]
    demand: Floats
    """[T + H + 1, E] the customers' forecast, summed up to the beginning of each period, units of the component."""
    safety_stock: Floats
    """[E]"""
    lead_time: Ints
    """[E]"""
    review_period: int
    periods: int
    """T"""

    def __call__(self, state: State) -> Floats:
        """Orders [B, E]."""
        links = len(self.lead_time)
        if state.period % self.review_period or state.period >= self.periods:
            return np.zeros((state.batch, links))
        position = np.asarray(state.inventory_position)
        asked = np.zeros((state.batch, links, 1 + max(stage.reviews for stage in self.stages)))
        for stage in self.stages:
            left = self._released(stage, state.period, position[:, stage.links], asked)
            for s in range(stage.sources.shape[1]):
                real = np.flatnonzero(stage.sources[:, s] < links)
                taken = np.minimum(left[:, real], stage.limit[real, s, None])
                released = np.cumsum(taken, axis=2)
                asked[:, stage.sources[real, s], 1 : 1 + stage.reviews] = released
                asked[:, stage.sources[real, s], 1 + stage.reviews :] = released[..., -1:]
                left[:, real] -= taken
        return asked[:, :, 1]

    def _released(self, stage: _Stage, period: int, position: Floats, asked: Floats) -> Floats:
        """[B, G, W] planned releases of the pools of a stage; `asked` is what receivers release before each review."""
        review = np.arange(stage.reviews + 1)
        arrival = period + self.lead_time[stage.links, None] + self.review_period * review
        total = self.demand[arrival, stage.links[:, None]] - self.demand[period, stage.links, None]
        needed = np.repeat(total[None], len(position), axis=0)
        for k in range(stage.receivers.shape[1]):
            real = np.flatnonzero(stage.receivers[:, k] < len(self.lead_time))
            at = np.clip(review + stage.ahead[real, k, None], 0, asked.shape[2] - 1)
            needed[:, real] += asked[:, stage.receivers[real, k, None], at] * stage.units[real, None]
        record = net_requirements(
            np.diff(needed, axis=2),
            on_hand=position - needed[..., 0],
            safety_stock=self.safety_stock[stage.links, None],
            lot_rule=stage.lot_rule,
        )
        return record.planned_releases


def planning_policy(
    problem: Problem, safety_stock: Floats, *, supply_periods: Sequence[int], review_period: int
) -> RequirementsPlanning:
    """The policy of a problem, with a safety stock [E] and the reviews [E] that a receipt covers.

    Lots and bounds of orders are those of the links. Raises `MethodError` where a component has several sources and
    one before the last is unlimited: a plan cannot tell what the others are for.
    """
    network, arrays = problem.network, network_arrays(problem.network)
    members = {e: _members(arrays, e) for e in np.flatnonzero(arrays.is_first).tolist()}
    unlimited = any(source_limit(network.links[k]) == inf for pool in members.values() for k in pool[:-1])
    require("drp", {"a largest order on all sources of a component but the last": unlimited})
    times = planned_lead_times(network)
    stages = _stages(network, members, times, supply_periods, review_period)
    reach = int(times.max()) + review_period * max(stage.reviews for stage in stages)
    forecast = requirements_forecast(network, periods=problem.periods + reach, review_period=review_period)
    demand = np.concatenate((np.zeros_like(forecast.own[:1]), np.cumsum(forecast.own, axis=0)))
    return RequirementsPlanning(stages, demand, safety_stock, times, review_period, problem.periods)


def _stages(
    network: Network, members: dict[int, list[int]], times: Ints, supply_periods: Sequence[int], review_period: int
) -> tuple[_Stage, ...]:
    """Pools by the longest path below them, and by their lots."""
    arrays = network_arrays(network)
    above = heights(arrays)
    ahead = -((np.append(arrays.order_delay, 0)[arrays.out_links[arrays.target]] - times[:, None]) // review_period)
    reviews = _reviews(arrays, ahead, supply_periods)
    groups: dict[tuple[Any, ...], list[int]] = {}
    for e, pool in members.items():
        groups.setdefault((above[e], *_lots(network, pool, supply_periods[e])), []).append(e)
    stages = []
    for (_, *lots), links in sorted(groups.items()):
        first = np.array(links)
        receivers = _trimmed(arrays.out_links[arrays.target[first]], len(network.links))
        sources = _trimmed(arrays.pool_links[first], len(network.links))
        limit = np.full(sources.shape, inf)
        for row, e in enumerate(links):
            limit[row, : len(members[e]) - 1] = [source_limit(network.links[k], review_period) for k in members[e][:-1]]
        units = arrays.quantity[first] / [usable_share([network.links[k] for k in members[e]]) for e in links]
        seen = ahead[first, : receivers.shape[1]]
        most = max(reviews[k] for e in links for k in members[e])
        stages.append(_Stage(first, LotRule(*lots), units, receivers, seen, sources, limit, most))
    return tuple(stages)


def _reviews(arrays: NetworkArrays, ahead: Ints, supply_periods: Sequence[int]) -> list[int]:
    """[E] reviews ahead that the record of each link must reach, for the suppliers' records to be complete."""
    links = len(arrays.target)
    known = [1] * links
    reach = [0] * links
    for e in arrays.downstream_first[::-1].tolist():
        reach[e] = known[e] + supply_periods[e] - 1
        for k, receiver in enumerate(arrays.out_links[arrays.target[e]].tolist()):
            if receiver < links:
                known[receiver] = max(known[receiver], reach[e] + int(ahead[e, k]))
    return reach


def _trimmed(table: Ints, padding: int) -> Ints:
    """[G, K] without the last columns that are nothing but padding."""
    return table[:, : int((table < padding).sum(axis=1).max())]


def _members(arrays: NetworkArrays, first: int) -> list[int]:
    """The links of a pool in their order."""
    return [int(k) for k in arrays.pool_links[first] if k < len(arrays.target)]


def _lots(network: Network, pool: list[int], supply_periods: int) -> tuple[float, float, float, int]:
    """The arguments of the lot rule of a pool: lots and least orders are those of its first source."""
    links = [network.links[e] for e in pool]
    multiple = links[0].lot_size or float(network.whole_units)
    return multiple, links[0].min_order, sum(link.max_order or inf for link in links), supply_periods
