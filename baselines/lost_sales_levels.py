"""Rules of one or two numbers for one location with lost sales, with the best numbers by exact costs.

Unlike `base_stock` and `capped_base_stock`, which are tuned by simulation on any network, these search
on the chain of the states that a rule reaches (`lost_sales_policy_cost`), and so are without noise.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from math import ceil

import numpy as np
from scipy.linalg import solve_toeplitz

from echelon.baselines.base_stock import XIN
from echelon.baselines.lost_sales_policy_cost import MEMORY, rule_cost
from echelon.baselines.lost_sales_system import Ints, LostSalesSystem, system_of
from echelon.baselines.option_types import Positive
from echelon.baselines.plan import Plan
from echelon.envs.errors import MethodError
from echelon.envs.policy import order_up_to
from echelon.envs.problem import Problem

JANAKIRAMAN_ROUNDY = (
    "G. Janakiraman and R. O. Roundy, Lost-sales problems with stochastic lead times: convexity results for "
    "base-stock policies, Operations Research 52(5), 2004"
)
XIN_GOLDBERG = (
    "L. Xin and D. A. Goldberg, Optimality gap of constant-order policies decays exponentially in the lead time "
    "for lost sales models, Operations Research 64(6), 2016"
)
OUT_OF_REACH = 1e9
"""An order-up-to level that stock never reaches: the cap alone decides."""
SETTLED = 1e-9
"""Change of the mean stock, in units, at which the table of its law is long enough."""
LONGEST_TABLE = 2**14
RISES = 3
"""Caps in a row without improvement at which the search for the best one ends."""


@dataclass(frozen=True)
class CappedBaseStock:
    """Order up to `level`, at most `cap`."""

    level: int
    cap: int

    def __call__(self, on_hand: Ints, pipeline: Ints) -> Ints:
        """Orders [B]."""
        return np.asarray(np.clip(self.level - on_hand - pipeline.sum(1), 0, self.cap))


def lost_sales_base_stock(problem: Problem, *, memory_limit: Positive = MEMORY) -> Plan:
    """The base-stock level of least exact cost; that cost is convex in the level (Janakiraman and Roundy 2004)."""
    system = system_of(problem, "lost_sales_base_stock")

    def cost(level: int) -> float:
        return rule_cost(system, CappedBaseStock(level, level), memory_limit=memory_limit).cost

    level = least_whole(cost, int(system.limits[0]))
    policy = order_up_to(problem.network, [level])
    return Plan(policy, {"levels": [float(level)]}, model_cost=cost(level), citation=JANAKIRAMAN_ROUNDY)


def lost_sales_capped_base_stock(problem: Problem, *, memory_limit: Positive = MEMORY) -> Plan:
    """The base-stock level and the largest order of least exact cost (Xin 2021).

    For each cap, from 1 on, the search finds the best level; it ends where `RISES` caps in a row were no
    better, beyond the mean demand.
    """
    system = system_of(problem, "lost_sales_capped_base_stock")

    @cache
    def cost(level: int, cap: int) -> float:
        return rule_cost(system, CappedBaseStock(level, cap), memory_limit=memory_limit).cost

    @cache
    def level_of(cap: int) -> int:
        # the cost has a valley where the cap binds always, and one where it hardly does
        starts = {int(system.limits[0]), cap * (system.lead_time + 1)}
        return min((least_whole(partial(cost, cap=cap), start) for start in starts), key=partial(cost, cap=cap))

    cap = latest = 1
    while latest - cap < RISES or latest < system.mean:
        latest += 1
        if cost(level_of(latest), latest) < cost(level_of(cap), cap):
            cap = latest
    level = level_of(cap)
    parameters = {"levels": [float(level)], "caps": [float(cap)]}
    policy = order_up_to(problem.network, [level], cap=[cap])
    return Plan(policy, parameters, model_cost=cost(level, cap), citation=XIN)


def constant_order(problem: Problem, *, quantity: int | None = None) -> Plan:
    """The same order in every period, of the best whole size unless `quantity` is given (Xin and Goldberg 2016).

    Its cost does not depend on the lead time, and is convex in the quantity. The policy is a capped
    base-stock policy whose level is out of reach.
    """
    system = system_of(problem, "constant_order")
    if quantity is None:
        quantity = least_whole(lambda units: constant_order_cost(system, units), max(ceil(system.mean) - 2, 0))
    elif not (quantity == int(quantity) and 0 <= quantity < system.mean):
        raise MethodError(
            f"quantity must be a whole number of at least 0 and below the mean demand {system.mean:g}, got {quantity:g}"
        )
    cost = constant_order_cost(system, quantity)
    if cost == np.inf:
        raise MethodError(f"quantity must be further below the mean demand {system.mean:g}, got {quantity:g}")
    policy = order_up_to(problem.network, [OUT_OF_REACH], cap=[quantity])
    return Plan(policy, {"quantity": quantity}, model_cost=cost, citation=XIN_GOLDBERG)


def constant_order_cost(system: LostSalesSystem, quantity: int) -> float:
    """Cost per period of ordering r units in every period: ``h E[W] + m (E[D] - r) + c E[D]``, m the margin.

    W is the stock left at the end of a period, a random walk held at 0: in law ``W = (W + r - D)+``.
    Infinite where the stock has no limit law, or one too long to be computed, so near is r to E[D].
    """
    if quantity >= system.mean:
        return float(np.inf)
    short = system.margin * (system.mean - quantity)
    return system.holding_cost * _mean_stock(system, quantity) + short + system.purchase_cost * system.mean


def _mean_stock(system: LostSalesSystem, quantity: int) -> float:
    """E[W] as the sum of the tails ``T_n = P(W > n) = P(D < r - n) + sum_m P(D = m + r - n) T_m``.

    These are linear equations with a Toeplitz matrix, cut off where a table twice as long changes nothing.
    """
    before, length = np.inf, 64
    while length <= LONGEST_TABLE:
        pmf = system.pmf(length + quantity)
        column, constant = np.zeros(length), np.zeros(length)
        reached = min(quantity + 1, length)
        column[:reached] = pmf[quantity::-1][:reached]
        constant[: min(quantity, length)] = np.cumsum(pmf[:quantity])[::-1][:length]
        row = pmf[quantity : quantity + length]
        unit = (np.arange(length) == 0).astype(np.float64)
        mean = float(solve_toeplitz((unit - column, unit - row), constant).sum())
        if abs(mean - before) < SETTLED:
            return mean
        before, length = mean, 2 * length
    return float(np.inf)


def least_whole(cost: Callable[[int], float], start: int, *, reach: int = 1) -> int:
    """A whole number of at least 0 that costs no more than its `reach` neighbours on either side.

    It is the best of all where the cost is convex.
    """
    known = cache(cost)
    best = start
    while True:
        found = min(range(max(best - reach, 0), best + reach + 1), key=known)
        if known(found) >= known(best):
            return best
        best = found
