"""A warehouse that ships on all or part of what arrives: Eppen and Schrage (1981), Federgruen and Zipkin (1984).

The warehouse orders up to an echelon level; what arrives L_0 periods later is shared among the retailers
by what they have then, so their demands of L_0 periods are pooled. Both models ignore that a retailer
cannot give stock back: they let the positions of the retailers add up to what there is and price that
at its best split. Their cost is a lower bound on that of every policy that they describe, and close to
that of the policy below as long as shipments rarely would have to be negative.

The plans share stock by the myopic rule unless told otherwise, see `depot_allocation`. The balanced rule is
as good where the retailers have the same costs. With unequal costs it is far off, even at equal ratios of them:
in the catalogue's OneWarehouse with three retailers of N(20, 4), h = 1, 2, 4 and p = 9, 18, 36, it costs
1 % more as `federgruen_zipkin` and 5 % as `eppen_schrage`; with six of Poisson(3) and p from 4 to 39, 10 %.

- `eppen_schrage`: a depot that holds no stock and ships on everything,
- `federgruen_zipkin`: the depot keeps back what is worth more there; no policy at all costs less than its
  model cost, which is the bound of `clark_scarf_relaxation`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri

from echelon.baselines.depot_allocation import Allocation, DepotPolicy, allocation_path
from echelon.baselines.distribution_bound import relaxed_costs, settled
from echelon.baselines.flow_cost import flow_cost
from echelon.baselines.lead_time_demand import lead_time_demand
from echelon.baselines.one_warehouse import OneWarehouse, require_one_warehouse
from echelon.baselines.plan import Plan
from echelon.baselines.requirements import require_at_least_zero, require_positive
from echelon.baselines.total_demand import NormalTotal
from echelon.envs.errors import MethodError
from echelon.envs.problem import Problem

EPPEN_SCHRAGE = (
    "G. Eppen and L. Schrage, Centralized ordering policies in a multi-warehouse system with lead times and random "
    "demand, in: Multi-Level Production/Inventory Control Systems, TIMS Studies in the Management Sciences 16, 1981"
)
FEDERGRUEN_ZIPKIN = (
    "A. Federgruen and P. Zipkin, Approximations of dynamic, multilocation production and inventory problems, "
    "Management Science 30(1), 1984; Computational issues in an infinite-horizon, multiechelon inventory model, "
    "Operations Research 32(4), 1984"
)


@dataclass(frozen=True)
class DepotResult:
    """The order-up-to level of the whole system, in units, and a lower bound on its cost per period."""

    level: float
    cost: float
    mean: float
    """Mean of the demand that the level must cover."""
    sd: float
    """Its standard deviation, as if stock at the retailers could be moved between them."""


def eppen_schrage(
    *,
    mean: Sequence[float],
    sd: Sequence[float],
    lead_time: int | Sequence[int],
    warehouse_lead_time: int,
    holding_cost: float,
    stockout_cost: float,
) -> DepotResult:
    """The level and the cost of a depot without stock, for normal demand and one pair of costs at all retailers.

    ``y = sum_i mu_i (L_0 + L_i + 1) + z sigma`` and cost ``(h + p) phi(z) sigma``, with ``z`` the normal
    quantile of ``p / (p + h)`` and

        sigma^2 = L_0 sum_i sigma_i^2 + (sum_i sigma_i sqrt(L_i + 1))^2:

    demand is pooled before the depot shares out what arrived, and not after. It is a lower bound, as
    stock at the retailers is taken to be split in balance. Without any variance the cost is 0.

    >>> best = eppen_schrage(mean=[10] * 4, sd=[3] * 4, lead_time=1, warehouse_lead_time=2,
    ...                      holding_cost=1, stockout_cost=9)
    >>> round(best.level, 3), round(best.cost, 4)
    (184.316, 33.2985)
    """
    require_positive("holding_cost", holding_cost)
    require_positive("stockout_cost", stockout_cost)
    require_at_least_zero("warehouse_lead_time", warehouse_lead_time)
    times = [lead_time] * len(mean) if isinstance(lead_time, int | float) else list(lead_time)
    if not 0 < len(mean) == len(sd) == len(times):
        raise MethodError(
            f"mean, sd and lead_time must have one number per retailer, got {len(mean)}, {len(sd)} and {len(times)}"
        )
    for key, numbers in (("mean", mean), ("sd", sd), ("lead_time", times)):
        for number in numbers:
            require_at_least_zero(key, number)
    covered = sum(mu * (warehouse_lead_time + periods + 1) for mu, periods in zip(mean, times, strict=True))
    pooled = warehouse_lead_time * sum(sigma**2 for sigma in sd)
    apart = sum(sigma * (periods + 1) ** 0.5 for sigma, periods in zip(sd, times, strict=True))
    spread = (pooled + apart**2) ** 0.5
    level = covered + float(ndtri(stockout_cost / (stockout_cost + holding_cost))) * spread
    shortage = float(NormalTotal(covered, spread).shortage(level)) if spread else 0.0
    cost = holding_cost * (level - covered) + (holding_cost + stockout_cost) * shortage
    return DepotResult(level, cost, covered, spread)


def eppen_schrage_plan(problem: Problem, *, allocation: Allocation = "myopic") -> Plan:
    """A depot without stock: echelon base stock at the warehouse, and everything that arrives is shared at once.

    The model cost is a lower bound for policies that keep nothing at the warehouse, for any demand law
    and costs of the retailers. Raises `MethodError` where the theory does not hold.
    """
    return _plan(problem, "eppen_schrage", allocation, keeps_stock=False, citation=EPPEN_SCHRAGE)


def federgruen_zipkin_plan(problem: Problem, *, allocation: Allocation = "myopic") -> Plan:
    """A warehouse with stock: echelon base stock there, and shipments up to a total that is worth more at retailers.

    The model cost is a lower bound for all policies, see `clark_scarf_relaxation`; with one retailer it
    is the cost of this policy, which then is optimal. Raises `MethodError` where the theory does not hold.
    """
    return _plan(problem, "federgruen_zipkin", allocation, keeps_stock=True, citation=FEDERGRUEN_ZIPKIN)


def _plan(problem: Problem, name: str, allocation: Allocation, *, keeps_stock: bool, citation: str) -> Plan:
    system, network = require_one_warehouse(problem, name), problem.network
    depot = system.warehouse.name
    stockless = None if keeps_stock else depot

    def solve(step: float) -> float:
        return relaxed_costs(network, step, stockless=stockless)[depot].minimum

    step, cost = settled(network, solve)
    level = relaxed_costs(network, step, stockless=stockless)[depot].minimiser
    path = _path(system, allocation, keeps_stock=keeps_stock, whole=network.whole_units)
    links = np.array([network.links.index(link) for link in system.links])
    policy = DepotPolicy(level, path, network.index[depot], network.links.index(system.supply), links)
    return Plan(
        policy,
        {"level": level, "allocation": allocation},
        model_cost=cost + flow_cost(network),
        citation=citation,
    )


def _path(system: OneWarehouse, allocation: Allocation, *, keeps_stock: bool, whole: bool) -> np.ndarray:
    periods = [lead_time + 1 for lead_time in system.lead_times]
    return allocation_path(
        [lead_time_demand(law, duration) for law, duration in zip(system.laws, periods, strict=True)],
        allocation,
        holding_cost=[node.holding_cost for node in system.retailers],
        stockout_cost=[node.stockout_cost for node in system.retailers],
        warehouse_holding_cost=system.warehouse.holding_cost if keeps_stock else None,
        whole=whole,
    )
