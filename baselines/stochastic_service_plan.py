"""Multi-stage stock targets as a plan: only the customers' service is given, every internal service is a result.

The network must be a tree, or several: every node has one link into it, and only nodes that supply nobody have
customers. `stochastic_service` is the theory. One warehouse with Poisson demand and fixed lead times is planned
with exact laws, which with `first_come` allocation are those of the orders that the simulator serves (batches
in the order of the retailers); other allocation rules are taken to share what is owed at random, an
approximation that `docs/theory/stochastic_service.md` measures.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Literal, get_args

import numpy as np

from echelon.baselines.distribution_tree import DistributionTree
from echelon.baselines.flow_cost import flow_cost
from echelon.baselines.option_types import Share
from echelon.baselines.plan import Plan
from echelon.baselines.requirements import (
    require,
    require_average_backorder_cost,
    require_choice,
    require_steady_demand,
)
from echelon.baselines.stochastic_service import multistage_targets
from echelon.envs.errors import MethodError, nearest
from echelon.envs.network import OUTSIDE, Link, Network
from echelon.envs.policy import order_up_to
from echelon.envs.problem import Problem

METHOD = "multistage"
ServiceKind = Literal["fill_rate", "ready_rate"]
GRAVES = (
    "S. C. Graves, A multi-echelon inventory model for a repairable item with one-for-one replenishment, "
    "Management Science 31(10), 1985"
)


def multistage_plan(
    problem: Problem,
    *,
    service_level: Share | Mapping[str, Share] | None = None,
    service_kind: ServiceKind = "fill_rate",
    placed: Mapping[str, float] | None = None,
) -> Plan:
    """Installation base-stock levels [E] of least holding cost that give the customers a service level.

    `service_level` is one target for every outlet or one for each by its name; `service_kind` says whether it is the
    share of demand met at once from stock (`"fill_rate"`) or the share of periods that end without backorders
    (`"ready_rate"`). Left out, every outlet has the ready rate of its newsvendor, p / (p + h). `placed` has
    the levels of warehouses that are given, by name. The parameters have the customers' `service` and the
    `internal_service` of every warehouse, the share of what is asked for that it ships at once.
    Raises `MethodError` "multistage needs RULE" where the model does not hold.
    """
    require_multistage(problem)
    require_choice("service_kind", service_kind, get_args(ServiceKind))
    network = problem.network
    names = location_order(network)
    ready_rate = service_level is None or service_kind == "ready_rate"
    tree = tree_of(network, _targets(network, service_level), ready_rate=ready_rate)
    found = multistage_targets(tree, placed=_positions(network, names, placed or {}))
    by_name = dict(zip(names, found.level.tolist(), strict=True))
    levels = [by_name[link.target] for link in network.links]
    at = {name: i for i, name in enumerate(names)}
    shortage = sum(node.stockout_cost * float(found.backorders[at[node.name]]) for node in network.outlets)
    outlets = {node.name for node in network.outlets}
    rates = dict(zip(names, found.service.tolist(), strict=True))
    return Plan(
        order_up_to(network, levels),
        {
            "levels": levels,
            "service": {name: rates[name] for name in names if name in outlets},
            "internal_service": {name: rates[name] for name in names if name not in outlets},
            "holding_cost": found.cost,
        },
        model_cost=found.cost + shortage + flow_cost(network),
        citation=GRAVES,
    )


def require_multistage(problem: Problem) -> None:
    """Raise `MethodError` "multistage needs RULE" where the model does not hold."""
    sources = Counter(link.target for link in problem.network.links)
    require(METHOD, {"one supply link into every node": max(sources.values()) > 1})
    require_average_backorder_cost(problem, METHOD, allowed=("lead_time",))
    require_steady_demand(problem, METHOD)
    supplies = {link.source for link in problem.network.links}
    both = [node.name for node in problem.network.outlets if node.name in supplies]
    require(
        METHOD,
        {
            f"customers only where nobody else is supplied (got both at {', '.join(both)})": bool(both),
            "proportional, first_come or balance allocation": any(
                node.allocation == "priority" and node.name in supplies for node in problem.network.nodes
            ),
            "demand above 0 at every outlet": any(not law.mean_demand > 0 for law in problem.network.laws),
        },
    )


def location_order(network: Network) -> list[str]:
    """The names of the nodes of a tree, suppliers first, and the receivers of each in the order in which it serves."""
    below: dict[str, list[str]] = {}
    rank = {node.name: node.priority for node in network.nodes}
    for link in sorted(network.links, key=lambda link: rank[link.target]):
        below.setdefault(link.source, []).append(link.target)
    names = list(below[OUTSIDE])
    for name in names:
        names += below.get(name, [])
    return names


def tree_of(network: Network, targets: Mapping[str, float], *, ready_rate: bool) -> DistributionTree:
    """The tree of a network with one link into every node, its locations in `location_order`."""
    names = location_order(network)
    into = {link.target: link for link in network.links}
    at = {name: i for i, name in enumerate(names)} | {OUTSIDE: -1}
    nodes = [network.nodes[network.index[name]] for name in names]
    times = [_lead_time(into[name]) for name in names]
    demand = [(node.demand.mean_demand, node.demand.sd_demand**2) if node.demand else (0.0, 0.0) for node in nodes]
    return DistributionTree(
        supplier=np.array([at[into[name].source] for name in names]),
        lead_time=np.array([mean for mean, _ in times]),
        lead_time_variance=np.array([variance for _, variance in times]),
        demand_mean=np.array([mean for mean, _ in demand]),
        demand_variance=np.array([variance for _, variance in demand]),
        holding_cost=np.array([node.holding_cost for node in nodes]),
        target=np.array([targets.get(name, 0.0) for name in names]),
        ready_rate=np.full(len(names), ready_rate),
        in_turn=np.array([node.allocation == "first_come" for node in nodes]),
        whole=network.whole_units,
    )


def _lead_time(link: Link) -> tuple[float, float]:
    """Mean of the lead time, and the variance of outstanding orders that it causes, for a demand of 1 per period.

    Without crossover the lead time of a shipment is ``max(draw, the last one less 1)``, so that in the long run
    ``P(L <= x) = prod_k P(draw <= x + k)``, and demand over L has the variance of L. With crossover the order
    of k periods ago is outstanding with probability ``P(L > k)``, independently of the others.
    """
    if isinstance(link.lead_time, int):
        return float(link.lead_time), 0.0
    law = link.lead_time
    longest = max(law.possible)
    below = np.array([law.weights[np.array(law.values) <= x].sum() for x in range(longest + 1)])
    if not law.crossover:
        below = np.cumprod(below[::-1])[::-1]
    later = np.clip(1 - below, 0.0, 1.0)  # P(L > x) for x = 0, 1, ...
    if law.crossover:
        return float(later.sum()), float((later * (1 - later)).sum())
    mean = float(later.sum())
    return mean, max(float(((2 * np.arange(longest + 1) + 1) * later).sum()) - mean**2, 0.0)


def _targets(network: Network, service_level: float | Mapping[str, float] | None) -> dict[str, float]:
    """The target of each outlet."""
    if service_level is None:
        free = any(not (node.stockout_cost > 0 and node.holding_cost > 0) for node in network.outlets)
        require(METHOD, {"a service_level, or holding and stockout costs above 0 at every outlet": free})
        return {node.name: node.stockout_cost / (node.stockout_cost + node.holding_cost) for node in network.outlets}
    names = [node.name for node in network.outlets]
    given = dict(service_level) if isinstance(service_level, Mapping) else dict.fromkeys(names, service_level)
    for name in given:
        if name not in names:
            raise MethodError(f"service_level must name outlets, got {name!r}{nearest(name, names)}")
    for name in names:
        if not 0 < given.get(name, 0.0) < 1:
            raise MethodError(f"service_level must be above 0 and below 1, got {given.get(name)} at {name!r}")
    return given


def _positions(network: Network, names: list[str], placed: Mapping[str, float]) -> dict[int, float]:
    inner = [name for name in names if network.nodes[network.index[name]].demand is None]
    for name in placed:
        if name not in inner:
            raise MethodError(f"placed must name warehouses, got {name!r}{nearest(name, inner)}")
    return {names.index(name): level for name, level in placed.items()}
