"""Base-stock levels that any network can be run with at once, by the normal approximation."""

from __future__ import annotations

import math
from dataclasses import dataclass

from scipy import special

from echelon.envs.errors import PolicyError
from echelon.envs.network import OUTSIDE, Link, Network, topological_order
from echelon.envs.supply import LeadTime

Pool = tuple[str, str]
"""A target and one of its components."""


@dataclass(frozen=True)
class _Flow:
    """Demand per period, units."""

    mean: float = 0.0
    variance: float = 0.0

    def plus(self, other: _Flow) -> _Flow:
        return _Flow(self.mean + other.mean, self.variance + other.variance)


def base_stock_levels(network: Network, *, service: float = 0.95, review_period: int = 1) -> list[float]:
    """A base-stock level per link [E], units of the component, for `order_up_to(network, levels)`.

    The level covers the demand of the lead time, order delay, processing time and review period T with
    probability `service`: mu * E[T] + z * sqrt(sigma^2 * E[T] + mu^2 * Var[T]), as if suppliers always
    delivered, demand passed through them unchanged, and outlets and periods were independent.
    Alternative sources serve in the order of the links, each up to its largest order or capacity; sources
    after a limited one take what it cannot, so that all of such a pool have one level. Lateral links have
    level 0: they are used for what is owed. Raises `PolicyError`.
    """
    if not 0 < service < 1:
        raise PolicyError(f"service must be above 0 and below 1 (got {service!r})")
    if not review_period >= 1:
        raise PolicyError(f"review_period must be at least 1 (got {review_period!r})")
    safety = float(special.ndtri(service))
    pools = _pools(network)
    demand = _demand_of_pools(network, pools)
    processing = {node.name: node.processing_time for node in network.nodes}
    levels = [0.0] * len(network.links)
    for pool, members in pools.items():
        links = [network.links[e] for e in members]
        covers = [_cover(link, processing[link.target] + review_period) for link in links]
        if math.isfinite(_limit(links[0])):
            covers = [max(covers, key=lambda cover: cover.mean)] * len(covers)
        flow = demand[pool]
        for e, cover in zip(members, covers, strict=True):
            spread = math.sqrt(flow.variance * cover.mean + flow.mean**2 * cover.variance)
            level = max(flow.mean * cover.mean + safety * spread, 0.0)
            levels[e] = float(math.ceil(level)) if network.whole_units else level
    return levels


def _pools(network: Network) -> dict[Pool, list[int]]:
    """The links of each pool, in their order."""
    pools: dict[Pool, list[int]] = {}
    for e, link in enumerate(network.links):
        if not link.lateral:
            pools.setdefault((link.target, link.item), []).append(e)
    return pools


def _demand_of_pools(network: Network, pools: dict[Pool, list[int]]) -> dict[Pool, _Flow]:
    """What each target draws of each component."""
    of_node = {
        node.name: _Flow(node.demand.mean_demand, node.demand.sd_demand**2) if node.demand else _Flow()
        for node in network.nodes
    }
    into: dict[str, list[Pool]] = {name: [] for name in of_node}
    for pool in pools:
        into[pool[0]].append(pool)
    demand: dict[Pool, _Flow] = {}
    for name in reversed(topological_order(network)):
        for pool in into[name]:
            links = [network.links[e] for e in pools[pool]]
            units = links[0].quantity / _usable(links)
            flow = demand[pool] = _Flow(of_node[name].mean * units, of_node[name].variance * units**2)
            for link, share in zip(links, _shares(links, flow), strict=True):
                if link.source != OUTSIDE:
                    of_node[link.source] = of_node[link.source].plus(share)
    return demand


def _shares(links: list[Link], flow: _Flow) -> list[_Flow]:
    """What each source of a pool supplies: the mean as far as its limit goes; the variance goes to the first
    source without a limit, or to all by their limits."""
    limits = [_limit(link) for link in links]
    whole = sum(limits)
    shares: list[_Flow] = []
    left = flow.mean
    for limit in limits:
        mean = min(left, limit)
        part = limit / whole if math.isfinite(whole) else float(len(shares) == limits.index(math.inf))
        shares.append(_Flow(mean, flow.variance * part))
        left -= mean
    return shares


def _limit(link: Link) -> float:
    """Most units that a source can be asked for and ships in a period."""
    return min(link.max_order or math.inf, link.capacity or math.inf)


def _usable(links: list[Link]) -> float:
    """The mean usable share of what the sources of a pool deliver; 1 where nothing is ever usable."""
    shares = [link.yield_rate if isinstance(link.yield_rate, float | int) else link.yield_rate.mean for link in links]
    return sum(shares) / len(shares) or 1.0


def _cover(link: Link, others: int) -> _Flow:
    """Mean and variance of the periods that a level of the link must last, `others` of them fixed."""
    variance = link.lead_time.variance if isinstance(link.lead_time, LeadTime) else 0.0
    return _Flow(link.mean_lead_time + link.order_delay + others, variance)
