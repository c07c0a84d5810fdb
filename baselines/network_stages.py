"""A network of the engine, read as the stages of the guaranteed-service model, and base stocks back from it.

In a period of the engine a node orders, ships and only then sees its customers' demand, and a base-stock
rule passes an order on upstream in the same period. With that, stage j of a node has

* the stage time T: the shortest lead time of the links into the node, plus its processing time, plus one
  period if it has customers, since their demand of period t is replaced by the orders of t + 1;
* for each longer link from another node a stage in between, named by the link, that never holds stock: it
  takes what the link takes longer. A longer link from outside raises the inbound service time instead;
* for a link with an order delay an inbound service time of at least that delay. An order is promised from
  when it is placed, not from when it is heard of: the position of the source knows of it at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from math import ceil, sqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from echelon.baselines.requirements import require
from echelon.baselines.stage_demand import demand_bounds, demand_means, safety_factors
from echelon.baselines.stage_network import StageNetwork
from echelon.envs.errors import MethodError
from echelon.envs.network import OUTSIDE, Link, Network, Node
from echelon.envs.supply import LeadTime

Floats = NDArray[np.float64]

METHOD = "guaranteed_service"
LEAST_SERVICE_LEVEL = 0.51
"""The model knows no service level of 0.5 or less, which needs no safety stock."""
GREATEST_SERVICE_LEVEL = 0.9999
ROUNDING = 1e-9
"""Units by which a level may be above a whole number by rounding."""


def stages_of(network: Network, *, service_level: float | None = None) -> StageNetwork:
    """The stages of a network, with holding costs and the demand's mean and standard deviation per period.

    Customers are promised a service time of 0. The service level of an outlet is `service_level`, or left out its
    critical ratio p / (p + h), kept within 0.51 and 0.9999: a stage that is always supplied in time is
    a newsvendor. A random lead time makes the stage time random.

    What the model has no word for (capacities, shelf lives, yields, disruptions, lost sales) is passed over here and
    refused by `guaranteed_service_plan`. Raises `MethodError` for alternative sources of a component,
    lateral links, and a random lead time on one of several links into a node.
    """
    if service_level is not None and not 0.5 < service_level < 1:
        raise MethodError(f"service_level must be above 0.5 and below 1, got {service_level:g}")
    _require_stages(network)
    into: dict[str, list[Link]] = {node.name: [] for node in network.nodes}
    for link in network.links:
        into[link.target].append(link)
    supplies = {link.source for link in network.links}
    nodes = [
        _stage(node, into[node.name]) | _demand(node, service_level, supplies=node.name in supplies)
        for node in network.nodes
    ]
    between = [stage for links in into.values() for stage in _transits(links)]
    return StageNetwork.from_dict({"name": network.name, "stages": [*nodes, *between]})


def order_up_to_levels(network: Network, stages: StageNetwork, service_times: Mapping[str, int]) -> list[float]:
    """[E] the installation base-stock level of each link, units of its component.

    What is ordered on link i -> j in period t is in stock at j by ``t + W``, where W is the lead time, the
    processing time and ``max(S_i, order delay)``. Until then j has to deliver what its receivers ordered in the
    ``tau = max(W - S_j, 0)`` periods after t, and what its customers ask for in one period more. So the level
    covers ``mu_r tau + mu_c (tau + 1)`` and the safety stock ``z sigma sqrt(tau)``, with ``tau + 1`` in the latter if
    there are customers.

    For the slowest component it is the stage's base stock (less the mean of one period of receivers' orders,
    if there are both customers and receivers). A quicker one is ordered up to less, so that it does not wait
    at j for the slowest: the service times are kept all the same. With random lead times the level is
    that of the mean of tau with the safety stock of `stage_costs`. It is rounded up to whole units of j in a
    network of whole units.
    """
    means, bounds, factors = demand_means(stages), demand_bounds(stages), safety_factors(stages)
    levels = []
    for link in network.links:
        j = stages.index[link.target]
        stage, processing = stages.stages[j], network.nodes[network.index[link.target]].processing_time
        times, chances = _lead_times(link)
        shipped = link.order_delay if link.source == OUTSIDE else max(service_times[link.source], link.order_delay)
        due = shipped + times + processing - service_times[link.target]
        net = np.maximum(due + stage.has_customers, 0)
        expected = float(chances @ net)
        variance = max(float(chances @ net**2) - expected**2, 0.0)
        cycle = stage.demand_mean * expected + (means[j] - stage.demand_mean) * float(chances @ np.maximum(due, 0))
        level = float(cycle + sqrt(bounds[j] ** 2 * expected + (factors[j] * means[j]) ** 2 * variance))
        levels.append(link.quantity * (float(ceil(level - ROUNDING)) if network.whole_units else level))
    return levels


def _require_stages(network: Network) -> None:
    sources = Counter((link.target, link.item) for link in network.links)
    into = Counter(link.target for link in network.links)
    for link in network.links:
        unclear = isinstance(link.lead_time, LeadTime) and into[link.target] > 1
        require(
            METHOD,
            {
                f"a network without lateral links (got {link.label!r})": link.lateral,
                f"one source for every component (got several of {link.item!r} at {link.target!r})": (
                    sources[link.target, link.item] > 1
                ),
                f"fixed lead times into a node with several links (got a random one on {link.label!r})": unclear,
            },
        )


def _critical_ratio(node: Node) -> float:
    """p / (p + h) of an outlet, within the service levels that the model knows."""
    require(METHOD, {f"a stockout_cost at {node.name}, or a service_level": node.stockout_cost == 0})
    ratio = node.stockout_cost / (node.stockout_cost + node.holding_cost)
    return min(max(ratio, LEAST_SERVICE_LEVEL), GREATEST_SERVICE_LEVEL)


def _stage(node: Node, into: list[Link]) -> dict[str, Any]:
    """What the stage of a node takes from the links into it, but for its customers."""
    shortest = min(into, key=_time)
    times, chances = _lead_times(shortest)
    times = times + (_time(shortest) - times.min() + node.processing_time + _has_customers(node))
    suppliers: dict[str, float] = {}
    for link in into:
        if link.source != OUTSIDE:
            name = link.label if _extra(link, into) else link.source
            suppliers[name] = suppliers.get(name, 0.0) + link.quantity
    return {
        "name": node.name,
        "stage_time": times[0] if len(times) == 1 else dict(zip(times, chances.tolist(), strict=True)),
        "holding_cost": node.holding_cost,
        "suppliers": suppliers,
        "inbound_service_time": max(_least_wait(link, into) for link in into),
    }


def _demand(node: Node, service_level: float | None, *, supplies: bool) -> dict[str, float]:
    """What the stage of a node takes from its customers."""
    if _has_customers(node):
        assert node.demand is not None
        level = _critical_ratio(node) if service_level is None else service_level
        moments = {"demand_mean": node.demand.mean_demand, "demand_sd": node.demand.sd_demand}
        return {**moments, "safety_factor": float(ndtri(level))}
    return {} if supplies else {"demand_bound": 0.0}


def _transits(into: list[Link]) -> list[dict[str, Any]]:
    """The stages of the links from other nodes that take longer than the shortest, in units of the component."""
    return [
        {
            "name": link.label,
            "stage_time": _extra(link, into),
            "suppliers": {link.source: 1.0},
            "inbound_service_time": link.order_delay,
            "holds_stock": False,
        }
        for link in into
        if link.source != OUTSIDE and _extra(link, into)
    ]


def _has_customers(node: Node) -> bool:
    return node.demand is not None and (node.demand.mean_demand > 0 or node.demand.sd_demand > 0)


def _lead_times(link: Link) -> tuple[Floats, Floats]:
    """The lead times that a shipment can have, and their probabilities."""
    if isinstance(link.lead_time, int):
        return np.array([float(link.lead_time)]), np.ones(1)
    values, place = np.unique(np.array(link.lead_time.values, dtype=np.float64), return_inverse=True)
    chances = np.asarray(np.bincount(place, weights=link.lead_time.weights), dtype=np.float64)
    return values[chances > 0], chances[chances > 0]


def _time(link: Link) -> int:
    """Periods from when an order has to be shipped to its arrival; the outside source ships as soon as it hears."""
    return min(link.lead_times) + (link.order_delay if link.source == OUTSIDE else 0)


def _extra(link: Link, into: list[Link]) -> int:
    """Periods that the link takes longer than the shortest."""
    return _time(link) - min(map(_time, into))


def _least_wait(link: Link, into: list[Link]) -> int:
    """The least inbound service time that the link leaves to its target; what a stage in between has is its own."""
    if link.source == OUTSIDE:
        return _extra(link, into)
    return 0 if _extra(link, into) else link.order_delay
