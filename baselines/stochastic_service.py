"""Multi-stage stock targets from the service of the customers alone, on a distribution tree.

Every location orders up to a base-stock level in every period, and what its supplier cannot ship waits.
Only locations with customers have a service target; how well a warehouse serves the locations below it
is a result. The levels minimise the holding cost of stock on hand subject to the targets.

Location j with level S_j has the outstanding orders ``X_j = D_j + B_ij``: the demand of the periods that an order
must cover, and what its supplier i owes to it. Of ``B_i = (X_i - S_i)^+`` each unit is j's with probability
``mu_j / mu_i``, so that

    E[X_j] = mu_j c_j + (mu_j / mu_i) E[B_i]
    Var[X_j] = sigma_j^2 c_j + mu_j^2 Var[L_j] + (mu_j / mu_i)^2 Var[B_i] + (mu_j / mu_i) (1 - mu_j / mu_i) E[B_i]

with a law of these two moments for every X_j (`fitted_laws`). This is the recursion of Graves (1985) for one
warehouse, carried down a tree. The order of a period covers c_j = L_j periods at a warehouse, where the
demand is known when it orders, and one period more at a location with customers.

The levels are found from the customers up and set from the outside down (`stochastic_service_search`). For one
warehouse with Poisson demand nothing is fitted: laws and levels are exact (`one_warehouse_targets`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from echelon.baselines.distribution_tree import DistributionTree as DistributionTree
from echelon.baselines.distribution_tree import Floats, outstanding, owed_by, owed_to, service
from echelon.baselines.fitted_laws import FittedLaw
from echelon.baselines.one_warehouse_service import is_one_warehouse, one_warehouse_targets
from echelon.baselines.stochastic_service_search import LevelSearch
from echelon.envs.errors import MethodError


@dataclass(frozen=True, eq=False)
class StockTargets:
    """Base-stock levels and what they achieve; arrays [N]."""

    level: Floats
    """S, units"""
    cost: float
    """Holding cost of the mean stock on hand, per period."""
    on_hand: Floats
    """Mean, at the end of a period."""
    backorders: Floats
    """Mean, to customers and locations below."""
    service: Floats
    """At locations with customers, of the kind of their target; elsewhere the share of units that is shipped at
    once."""
    mean: Floats
    """E[X], units"""
    variance: Floats
    """Var[X]"""


def multistage_targets(tree: DistributionTree, *, placed: Mapping[int, float] | None = None) -> StockTargets:
    """The levels of least holding cost that meet every target.

    `placed` has the levels of warehouses that are given, by their positions. Without any, one warehouse with whole
    demand whose variance is its mean is taken for one with Poisson demand and solved exactly. A target of 0
    needs no stock. Raises `MethodError` that names the first broken value.
    """
    given = _placed(tree, placed or {})
    if not is_one_warehouse(tree):
        return evaluate_levels(tree, LevelSearch(tree, given).levels())
    found = one_warehouse_targets(tree, warehouse_level=next((int(level) for level in given.values()), None))
    cost = float(found.on_hand @ tree.holding_cost)
    return StockTargets(found.level, cost, found.on_hand, found.backorders, found.service, found.mean, found.variance)


def evaluate_levels(tree: DistributionTree, level: Sequence[float] | Floats) -> StockTargets:
    """What given base-stock levels [N] achieve. Raises `MethodError`."""
    levels = np.asarray(level, dtype=np.float64)
    count = len(tree.supplier)
    if levels.shape != (count,) or not (np.all(levels >= 0) and np.all(np.isfinite(levels))):
        raise MethodError(f"level must be {count} finite numbers of at least 0, one for each location, got {level!r}")
    mean, variance, rate = (np.zeros(count) for _ in range(3))
    owed = np.zeros((4, count))
    for tier in tree.tiers:
        mean[tier], variance[tier] = outstanding(tree, tier, owed_to(tree, tier, owed))
        owed[:, tier] = owed_by(tree, tier, FittedLaw(mean[tier], variance[tier], tree.whole), levels[tier])
        rate[tier] = service(tree, tier, mean[tier], variance[tier], levels[tier])
    on_hand = np.maximum(levels - mean + owed[0], 0.0)
    return StockTargets(levels, float(on_hand @ tree.holding_cost), on_hand, owed[0], rate, mean, variance)


def _placed(tree: DistributionTree, placed: Mapping[int, float]) -> Mapping[int, float]:
    for at, level in placed.items():
        if not (0 <= at < len(tree.supplier) and tree.is_warehouse[at]):
            raise MethodError(f"placed must have positions of warehouses, got {at}")
        if not 0 <= level < np.inf or (tree.whole and level % 1):
            number = "whole number" if tree.whole else "finite number"
            raise MethodError(f"placed must have a {number} of at least 0 for each, got {level:g} at location {at}")
    return placed
