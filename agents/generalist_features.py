"""What is known of every link of any network in the same few numbers, so that one network of weights can order on all.

Quantities are counted in standard deviations of a period's need, from its mean, so that the same numbers mean the same
whatever the demand and the lead times. They must do so on networks of any size too: nothing may grow with the number of
stores. That is why a warehouse has a level of its own, to which the echelon levels of its receivers are added; an
echelon level in units of the pooled spread would have to grow with the root of their number. All that is seen of a
state is linear in the observation of the codec.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from echelon.envs._layout import memory_of, state_of
from echelon.envs.arrays import NetworkArrays
from echelon.envs.batched import cascade_sum, gather_sum, pad
from echelon.envs.codec import Codec
from echelon.envs.demand_law import Law
from echelon.envs.dynamics import initial_state
from echelon.envs.state import State

Floats = NDArray[np.float64]

POINTS = 8
"""Parts of the lead time at whose ends is seen what stock there would be without demand."""
LATEST = 2
"""Last orders that are seen apart."""
AGES = 4
"""Remaining lives of perishable stock that are seen apart; fresher stock is one sum."""
LEAST_CV = 0.1
"""Share of the mean that the unit of a quantity is at least."""
LEAST = 1e-9
"""A cost rate below which one counts as this."""
TINY = 1e-12
WIDEST = 4.0
"""Largest safety factor, and its negative the smallest."""
GRID = (np.arange(4_000) + 0.5) / 4_000
"""Uniform numbers by which a law's skewness is told."""


@dataclass(frozen=True, eq=False)
class LinkFeatures:
    """The numbers of every link of a network."""

    views: Floats
    """[D, E, F] what one unit of each observed column adds to what is seen at each link."""
    offset: Floats
    """[E, F] what is taken off it."""
    static: Floats
    """[E, S] numbers of order 1 that tell a link's parameters."""
    unit: Floats
    """[E] the unit of an order: a standard deviation of a period's need."""
    mean: Floats
    """[E] mean order."""
    centre: Floats
    """[E] an echelon level: a newsvendor's at the outlets, and mean lead-time demand more at each stage above."""
    spread: Floats
    """[E] the unit of a level of the link's own: a standard deviation of its lead-time demand."""
    below: Floats
    """[E, E] units of its own level that each link's echelon level has for one of another link's."""
    suppliers: Floats
    """[E, E] the weights with which a link hears of the links into its source; a row adds up to 1 or to 0."""
    receivers: Floats
    """[E, E] the weights, by mean need, with which a link hears of the links out of its target."""


@dataclass(frozen=True, eq=False)
class Needs:
    """What links must bring in a period, and the outlets that they bring it to; all [E]."""

    mean: Floats
    sd: Floats
    """At least a little of the mean of each outlet."""
    cv: Floats
    """Of the outlets that are served, by their share of the mean, as all that follows."""
    skewness: Floats
    holding_cost: Floats
    stockout_cost: Floats
    waits: Floats
    """Share of unmet demand that waits."""


def link_features(codec: Codec) -> LinkFeatures:
    """The features of a network's links."""
    arrays, needs = codec.arrays, _needs(codec)
    unit = needs.sd + 1e-6 * needs.mean.max() + TINY
    periods = _own_time(arrays) + _is_outlet(arrays)
    spread = unit * np.sqrt(np.maximum(periods, 1))
    safety = _safety_factor(arrays, needs, periods)
    below = cascade_sum(np.eye(len(unit)), arrays).T
    centre = below @ (needs.mean * periods + spread * safety * _is_outlet(arrays))
    static = _static(codec, needs, unit, spread, safety)
    mean = needs.mean / arrays.pool_size * ~arrays.is_lateral
    positions = [(centre, below @ spread), (needs.mean * periods, spread)]
    seen = _views(codec, needs, mean, unit, positions)
    return LinkFeatures(*seen, static, unit, mean, centre, spread, below, *_neighbours(arrays, needs))


def _needs(codec: Codec) -> Needs:
    arrays, laws = codec.arrays, codec.network.laws
    ends = (arrays.target == arrays.outlet[:, None]) * arrays.quantity
    per_unit = cascade_sum(ends, arrays)
    means = np.array([law.mean_demand for law in laws])
    sds = np.maximum([law.sd_demand for law in laws], LEAST_CV * means)
    mean = means @ per_unit

    def of_outlets(rate: Floats) -> Floats:
        return np.asarray((means * rate) @ per_unit / np.maximum(mean, TINY))

    return Needs(
        mean,
        np.sqrt(sds**2 @ per_unit**2),
        of_outlets(sds / np.maximum(means, TINY)),
        of_outlets(np.array([_skewness(law) for law in laws])),
        of_outlets(arrays.holding_cost[arrays.outlet]),
        of_outlets(arrays.stockout_cost),
        of_outlets(arrays.waits),
    )


def _skewness(law: Law) -> float:
    if not (law.stationary and law.independent) or law.sd_demand == 0:
        return 0.0
    deviation = law.quantile(GRID) - law.mean_demand
    return float((deviation**3).mean()) / law.sd_demand**3


def _source_rates(arrays: NetworkArrays) -> Floats:
    """[E] the holding cost of the source, 0 for the outside one."""
    return np.asarray(np.append(arrays.holding_cost, 0.0)[arrays.source] / arrays.quantity)


def _safety_factor(arrays: NetworkArrays, needs: Needs, periods: Floats) -> Floats:
    """[E] standard deviations of demand over so many periods by which a newsvendor's level is above its mean.

    The mean of those of the two newsvendors of Shang and Song (2003) that bound the level of a serial system, with the
    third moment of demand by the expansion of Cornish and Fisher.
    """
    at_source, here = _source_rates(arrays), arrays.holding_cost[arrays.target]
    outlet, short = np.maximum(needs.holding_cost, LEAST), needs.stockout_cost
    least = np.maximum(here, np.minimum(at_source, outlet))
    ratios = [np.minimum(short + at_source, short + held) / (short + held) for held in (outlet, least)]
    limit = 1e-5
    skewness = needs.skewness / np.sqrt(np.maximum(periods, 1))
    normal = np.mean([ndtri(np.clip(ratio, limit, 1 - limit)) for ratio in ratios], 0)
    return np.asarray(np.clip(normal + (normal**2 - 1) / 6 * skewness, -WIDEST, WIDEST))


def _static(codec: Codec, needs: Needs, unit: Floats, spread: Floats, safety: Floats) -> Floats:
    """[E, S]"""
    columns = [
        safety,
        *_costs(codec.arrays, needs),
        *_times(codec),
        *_demand(codec.arrays, needs, unit, spread),
        *_place(codec.arrays, needs),
    ]
    return np.stack([np.asarray(column, dtype=np.float64) for column in columns], 1)


def _costs(arrays: NetworkArrays, needs: Needs) -> list[Floats]:
    """What being short, holding here and holding at the source cost beside holding at the outlets."""
    here, at_source = arrays.holding_cost[arrays.target], _source_rates(arrays)
    outlet, short = np.maximum(needs.holding_cost, LEAST), np.maximum(needs.stockout_cost, LEAST)
    return [
        np.log(short / outlet) / 2,
        np.log(np.maximum(here, 0.01 * outlet) / outlet),
        np.minimum(at_source / outlet, 2.0),
    ]


def _times(codec: Codec) -> list[Floats]:
    own = _own_time(codec.arrays)
    return [np.log1p(own), 1 / (1 + own), own / 4, np.log(codec.echelon_cover)]


def _demand(arrays: NetworkArrays, needs: Needs, unit: Floats, spread: Floats) -> list[Floats]:
    """How variable and how skewed a period's need is, how coarse, and how variable lead-time demand; who waits."""
    return [
        np.log(np.maximum(needs.cv, LEAST_CV)),
        1 / np.maximum(needs.cv, LEAST_CV) / 3,
        np.clip(needs.skewness, -4, 4),
        (1 / unit).clip(max=4) * arrays.whole_units,
        np.log(spread / unit),
        1 - needs.waits,
    ]


def _place(arrays: NetworkArrays, needs: Needs) -> list[Any]:
    """Who is above and below, what alternatives there are, and how long stock lives."""
    cheapest = np.append(arrays.unit_cost, np.inf)[arrays.pool_links].min(1)
    stakes = np.maximum(needs.stockout_cost + needs.holding_cost, LEAST)
    life = arrays.shelf_life[arrays.target]
    receivers = (arrays.out_links[arrays.target] < len(life)).sum(1)
    return [
        _is_outlet(arrays),
        ~arrays.from_outside,
        (receivers > 0) / np.maximum(receivers, 1),
        _pooling(arrays, needs) - 1,
        np.minimum((arrays.unit_cost - cheapest) / stakes, 4.0),
        np.log(arrays.pool_size),
        np.where(life > 0, 1 / np.maximum(life, 1), 0.0),
        (life > 0) & arrays.fifo[arrays.target],
    ]


def _is_outlet(arrays: NetworkArrays) -> NDArray[np.bool_]:
    """[E] whether the target has customers."""
    return np.isin(arrays.target, arrays.outlet)


def _own_time(arrays: NetworkArrays) -> Floats:
    """[E] periods from an order that is shipped at once until its units can be used."""
    return np.asarray(arrays.lead_time + arrays.order_delay + arrays.processing_time[arrays.target])


def _pooling(arrays: NetworkArrays, needs: Needs) -> Floats:
    """[E] the spread of the need as a share of the sum of its receivers' spreads, 1 where there are none."""
    apart = gather_sum((needs.sd * arrays.is_first)[None], arrays.out_links)[0][arrays.target] * arrays.quantity
    return np.where(apart > 0, np.clip(needs.sd / np.maximum(apart, TINY), 0.01, 1.0), 1.0)


def _views(
    codec: Codec, needs: Needs, mean: Floats, unit: Floats, positions: list[tuple[Floats, Floats]]
) -> tuple[Floats, Floats]:
    """[D, E, F] and [E, F], with the mean order, its unit, and the centres and units of echelon and own positions."""
    arrays, seen = codec.arrays, _one_of_each(codec)
    width, links = codec.observation_space.shape[0], len(mean)
    none = np.zeros(links)
    columns = [
        (seen.echelon_inventory_position, *positions[0]),
        (seen.inventory_position, *positions[1]),
        (seen.on_hand[:, arrays.target] * arrays.quantity, needs.mean * _is_outlet(arrays), unit),
        *_pipelines(seen, mean, unit),
        (_coming(seen), none, unit),
        (seen.owed, none, unit),
        (pad(seen.inventory_level)[:, arrays.source], none, _unit_of_source(arrays, unit)),
        *((lives[:, arrays.target] * arrays.quantity, none, unit) for lives in _folded(seen.ages, AGES)),
        (seen.node_up[:, arrays.target], none, none + 1),
        (seen.link_up, none, none + 1),
    ]
    views = np.zeros((width, links, len(columns) + 2))
    views[: len(seen.on_hand), :, :-2] = np.stack([value / scale for value, _, scale in columns], 2)
    if codec.cycle > 1:
        views[-2, :, -2] = views[-1, :, -1] = 1.0
    offset = [taken / scale for _, taken, scale in columns]
    return views, np.stack([*offset, none, none], 1)


def _unit_of_source(arrays: NetworkArrays, unit: Floats) -> Floats:
    """[E] the unit of the item that the source stocks, 1 for the outside one."""
    per_node = np.ones(len(arrays.holding_cost) + 1)
    per_node[arrays.target] = unit / arrays.quantity
    return per_node[arrays.source]


def _pipelines(seen: State, mean: Floats, unit: Floats) -> list[tuple[Floats, Floats, Floats]]:
    """Stock and what joins it until a share of the lead time has passed; then the orders that arrive next and last.

    Shares of the lead time mean alike whatever it is, so that what was learned on some also serves those between.
    """
    longest, on_hand = seen.arrays.longest, seen.on_hand[:, seen.arrays.target] * seen.arrays.quantity
    joined = np.concatenate([np.zeros_like(seen.pipeline[:, :, :1]), seen.pipeline.cumsum(2)], 2)
    links = np.arange(len(mean))
    columns = []
    for share in np.arange(1, POINTS) / POINTS:
        time = share * longest
        whole = np.floor(time).astype(np.int64)
        part, following = time - whole, np.minimum(whole + 1, longest)
        by_then = (1 - part) * joined[:, links, whole] + part * joined[:, links, following]
        columns.append((on_hand + by_then, mean * (_is_outlet(seen.arrays) + time), unit * np.sqrt(1 + time)))
    for slot in (0, *(longest - 1 - np.arange(LATEST)[:, None])):
        there = (slot >= 0) & (longest > 0)
        columns.append((seen.pipeline[:, links, np.maximum(slot, 0)] * there, mean * there, unit))
    return columns


def _coming(seen: State) -> Floats:
    """[D, E] what is on order and not in transit, with what the target has in process."""
    coming = seen.on_order - seen.in_transit
    if seen.arrays.process_slots:
        coming = coming + seen.in_process.sum(2)[:, seen.arrays.target] * seen.arrays.quantity
    return np.asarray(coming)


def _one_of_each(codec: Codec) -> State:
    """A state whose copy d holds what one unit of the observed column d stands for, and nothing else."""
    rows, _, units = codec.sights
    like = initial_state(codec.network, len(rows))
    memory = np.zeros_like(memory_of(like))
    memory[rows, np.arange(len(rows))] = units
    return state_of(like, memory, 0)


def _folded(slots: Floats, count: int) -> list[Floats]:
    """The first `count` columns [D, ...] of the last axis, and the sum of all others."""
    wide = np.concatenate([slots, np.zeros((*slots.shape[:-1], count))], -1)
    return [*np.moveaxis(wide[..., :count], -1, 0), wide[..., count:].sum(-1)]


def _neighbours(arrays: NetworkArrays, needs: Needs) -> tuple[Floats, Floats]:
    """[E, E] and [E, E]"""
    feeds = (arrays.target[:, None] == arrays.source) & ~arrays.from_outside & ~arrays.is_lateral
    into, out_of = feeds.T.astype(np.float64), feeds * (needs.mean / arrays.quantity / arrays.pool_size + TINY)
    return tuple(table / np.maximum(table.sum(1, keepdims=True), TINY) for table in (into, out_of))
