"""One warehouse with Poisson demand: the levels of `stochastic_service` by exact laws, without a fit of moments.

The laws are those of `one_for_one`. Where orders are placed once a period, a location with customers covers one
period more, and what is short at the end of a period but was not before its demand is the demand that was not
met at once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import accumulate

import numpy as np

from echelon.baselines.distribution_tree import DistributionTree, Floats
from echelon.baselines.outstanding_orders import Method, OneForOneSystem, Retailer, outstanding_orders
from echelon.baselines.total_demand import LatticeTotal

POISSON = 1e-9
"""Difference of variance and mean, as a share of the mean, up to which whole demand counts as Poisson."""


@dataclass(frozen=True, eq=False)
class ExactTargets:
    """The best levels [N], the warehouse's first, and what they achieve."""

    level: Floats
    on_hand: Floats
    backorders: Floats
    service: Floats
    mean: Floats
    variance: Floats


@dataclass(frozen=True)
class _Customers:
    """What locations have in common that need the same levels."""

    retailer: Retailer
    target: float
    ready_rate: bool
    holding_cost: float


def is_one_warehouse(tree: DistributionTree) -> bool:
    """Whether the exact laws hold: one warehouse that serves first come, first served, Poisson demand and fixed lead
    times, whole periods where orders are placed once in each."""
    served = not tree.periodic or (
        tree.in_turn is not None and tree.in_turn[0] and float(tree.lead_time[0]).is_integer()
    )
    plain = tree.whole and served and not tree.lead_time_variance.any()
    poisson = np.abs(tree.demand_variance - tree.demand_mean) <= POISSON * tree.demand_mean
    return bool(plain and poisson.all() and len(tree.supplier) > 1 and (tree.supplier[1:] == 0).all())


def one_warehouse_targets(tree: DistributionTree, *, warehouse_level: int | None = None) -> ExactTargets:
    """The levels of least holding cost that meet every target, for a tree of which `is_one_warehouse` is true."""
    system, customers = _system(tree)
    tried = range(system.top + 1) if warehouse_level is None else range(warehouse_level, warehouse_level + 1)
    cost = {level: float(tree.holding_cost[0] * system.lead_time_demand.excess(level)) for level in tried}
    for one, count in Counter(customers).items():
        for level, law, before in _laws(tree, system, one, tried):
            cost[level] += count * one.holding_cost * float(law.excess(_least_level(tree, one, law, before)))
    best = min(tried, key=lambda level: cost[level])
    return _achieved(tree, system, customers, best)


def _system(tree: DistributionTree) -> tuple[OneForOneSystem, list[_Customers]]:
    ahead = list(accumulate(tree.demand_mean[1:].tolist(), initial=0.0))
    retailers = tuple(
        Retailer(float(rate), float(time), 0.0, 0.0, ahead=before if tree.periodic else 0.0)
        for rate, time, before in zip(tree.demand_mean[1:], tree.cover[1:], ahead, strict=False)
    )
    customers = [
        _Customers(retailer, float(target), bool(ready), float(cost))
        for retailer, target, ready, cost in zip(
            retailers, tree.target[1:], tree.ready_rate[1:], tree.holding_cost[1:], strict=True
        )
    ]
    return OneForOneSystem(retailers, float(tree.lead_time[0]), float(tree.holding_cost[0])), customers


def _laws(
    tree: DistributionTree, system: OneForOneSystem, one: _Customers, levels: range
) -> Iterator[tuple[int, LatticeTotal, LatticeTotal]]:
    """For each level of the warehouse the law of the outstanding orders, and that before the demand of the period."""
    sharing: Method = "in_turn" if tree.periodic else "exact"
    laws = outstanding_orders(system, one.retailer, sharing, levels)
    earlier = replace(one.retailer, lead_time=one.retailer.lead_time - 1) if tree.periodic else one.retailer
    for (level, law), (_, before) in zip(laws, outstanding_orders(system, earlier, sharing, levels), strict=True):
        yield level, law, before


def _least_level(tree: DistributionTree, one: _Customers, law: LatticeTotal, before: LatticeTotal) -> int:
    if not one.target:
        return 0
    if one.ready_rate or not tree.periodic:
        return int(law.quantile(one.target)) + (not one.ready_rate)
    levels = np.arange(int(law.bounds[1]) + 2)
    return int(np.argmax(_rate(tree, one, law, before, levels) >= one.target))


def _rate(
    tree: DistributionTree, one: _Customers, law: LatticeTotal, before: LatticeTotal, level: np.ndarray
) -> Floats:
    """The service that levels give."""
    if one.ready_rate or not tree.periodic:
        return law.cdf(level - (not one.ready_rate))
    return np.asarray(1 - (law.shortage(level) - before.shortage(level)) / one.retailer.rate)


def _achieved(
    tree: DistributionTree, system: OneForOneSystem, customers: list[_Customers], warehouse_level: int
) -> ExactTargets:
    upstream = system.lead_time_demand
    rows = [(float(warehouse_level), upstream, _warehouse_service(tree, system, warehouse_level))]
    at = range(warehouse_level, warehouse_level + 1)
    of: dict[_Customers, tuple[float, LatticeTotal, float]] = {}
    for one in customers:
        if one not in of:
            _, law, before = next(_laws(tree, system, one, at))
            level = _least_level(tree, one, law, before)
            of[one] = float(level), law, float(_rate(tree, one, law, before, np.asarray(level)))
        rows.append(of[one])
    return ExactTargets(
        level=np.array([level for level, _, _ in rows]),
        on_hand=np.array([float(law.excess(level)) for level, law, _ in rows]),
        backorders=np.array([float(law.shortage(level)) for level, law, _ in rows]),
        service=np.array([rate for _, _, rate in rows]),
        mean=np.array([law.mean for _, law, _ in rows]),
        variance=np.array([law.sd**2 for _, law, _ in rows]),
    )


def _warehouse_service(tree: DistributionTree, system: OneForOneSystem, level: int) -> float:
    """The share of the units asked for that is shipped at once."""
    if not tree.periodic:
        return float(system.lead_time_demand.cdf(level - 1))
    last = min(system.lead_time, 1.0)
    before = replace(system, lead_time=system.lead_time - last).lead_time_demand
    newly_short = float(system.lead_time_demand.shortage(level) - before.shortage(level))
    return 1 - newly_short / system.rate
