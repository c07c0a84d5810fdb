"""Stock under a budget, and under the storage of a location, each with the price of one more unit of it.

**Budget.** Multi-stage targets may ask for stock of a higher value than there is money for. A target t at holding cost
h is that of a newsvendor whose backorder costs ``p = h t / (1 - t)``. With a price lambda on the money that is tied up
a unit of value v costs ``h + lambda v`` to hold, everywhere, and is worth ``p`` as before: the customers' targets
become ``p / (p + h + lambda v)``, and the levels are those of least cost for them. The least lambda whose stock is
within the budget is its shadow price: about what a unit of money more would save per period, at the prices that the
targets imply. About, because only the customers' levels weigh those prices; the warehouses' are those of least holding
cost for the targets. Fill rates are lowered in the same way as ready rates.

**Storage.** Items that share the space of a location, each with a base-stock level S, take at most ``sum_i s_i S_i``
of it. Each unit of item i from S to S + 1 saves ``(h + p) P(X_i > S) - h`` per period, less for each unit more. Taking
units by what they save per space until the next does not fit is optimal where all units take the same space, and else
at most what the unit that did not fit would have saved away from the optimum; what it would have saved per space is
the shadow price.

**Safety factors.** The same for stock that any method planned: a safety factor k stands for the backorder cost
``p = h Phi(k) / (1 - Phi(k))``. At a price lambda of what a unit takes, s, the factor k' of least cost against normal
demand is, where the mean stock on hand takes it, and where the level S does, as in a storage,

    Phi(k') / (1 - Phi(k')) = Phi(k) / (1 - Phi(k)) / (1 + lambda s / h)
    1 - Phi(k') = (1 - Phi(k)) (1 + lambda s / h)
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import log_expit, log_ndtr, ndtri_exp

from echelon.baselines.distribution_tree import DistributionTree
from echelon.baselines.requirements import require_at_least_zero, require_positive
from echelon.baselines.stochastic_service import StockTargets, multistage_targets
from echelon.baselines.total_demand import LeadTimeDemand
from echelon.envs.errors import MethodError

Floats = NDArray[np.float64]

CLOSE = 1e-3
"""Share of the budget that may be left when the search for its price ends."""
HIGHEST_PRICE = 1e12
"""The shadow price up to which a budget is sought."""
HALVINGS = 14
"""Halvings of the range of the price; whole levels may change nothing between two prices that are this close."""


FAINT, UTMOST = 1e-9, 1e15
"""Prices, in those of `least_price`'s unit, at which a limit changes nothing, and at which nothing is left."""
STEPS = 60
"""Halvings of the logarithm of the price between these."""


@dataclass(frozen=True, eq=False)
class BudgetTargets:
    """Levels whose stock is within a budget."""

    targets: StockTargets
    """Holding cost and service as they are; the cost is without the price of the budget."""
    target: Floats
    """[N] the customers' targets that the budget allows."""
    value: float
    """Of the mean stock on hand, money."""
    shadow_price: float
    """Money saved per period by a unit of money more; 0 where the budget suffices."""


def targets_within_budget(tree: DistributionTree, *, unit_value: Floats, budget: float) -> BudgetTargets:
    """The levels of least cost whose mean stock on hand is worth at most `budget`, see this module.

    `unit_value` [N] is money per unit. Where whole levels are few, the value of the stock moves in steps and may stay
    below the budget by one of them. Raises `MethodError` for a budget or a value that is not above 0, and where a
    location with a target has no holding cost, which would leave the target without a price.
    """
    require_positive("budget", budget)
    values = np.asarray(unit_value, dtype=np.float64)
    if values.shape != tree.supplier.shape or not ((values > 0) & (values < np.inf)).all():
        raise MethodError(f"unit_value must be {len(tree.supplier)} finite numbers above 0, got {unit_value!r}")
    if ((tree.target > 0) & (tree.holding_cost == 0)).any():
        raise MethodError("holding_cost must be above 0 at locations with a target, got 0")

    def within(price: float) -> BudgetTargets:
        return _priced(tree, values, price)

    free = within(0.0)
    if free.value <= budget:
        return free
    low, high = 0.0, float((tree.holding_cost / values).max())
    while (best := within(high)).value > budget:
        high *= 4
        if high > HIGHEST_PRICE:
            raise MethodError(f"budget must be at least the value of the least stock that is possible, got {budget:g}")
    for _ in range(HALVINGS):
        if best.value >= (1 - CLOSE) * budget:
            break
        middle = (low + high) / 2
        tried = within(middle)
        low, high, best = (low, middle, tried) if tried.value <= budget else (middle, high, best)
    return best


def _priced(tree: DistributionTree, values: Floats, price: float) -> BudgetTargets:
    holding = tree.holding_cost + price * values
    worth = tree.holding_cost * tree.target / (1 - tree.target)
    target = np.where(tree.target > 0, worth / np.where(tree.target > 0, worth + holding, 1.0), 0.0)
    found = multistage_targets(replace(tree, holding_cost=holding, target=target))
    real = replace(found, cost=float(found.on_hand @ tree.holding_cost))
    return BudgetTargets(real, target, float(found.on_hand @ values), price)


@dataclass(frozen=True)
class StorageLevels:
    """Base-stock levels of items that share a space."""

    levels: tuple[int, ...]
    cost: float
    """Holding and stockout cost per period of all items."""
    space: float
    """That the levels take."""
    shadow_price: float
    """Money saved per period by a unit of space more; 0 where all fits."""


def levels_within_storage(
    demand: Sequence[LeadTimeDemand],
    *,
    holding_cost: Sequence[float],
    stockout_cost: Sequence[float],
    space: Sequence[float],
    capacity: float,
) -> StorageLevels:
    """Base-stock levels of least cost for items with these lead-time demands that share a space, see this module.

    `space` is what a unit takes; one number for each item. Raises `MethodError`.
    """
    require_at_least_zero("capacity", capacity)
    if not demand:
        raise MethodError("demand must have at least one item, got none")
    for name, numbers in (("holding_cost", holding_cost), ("stockout_cost", stockout_cost), ("space", space)):
        if len(numbers) != len(demand):
            raise MethodError(f"{name} must be one number for each of {len(demand)} items, got {len(numbers)}")
        for value in numbers:
            require_positive(name, value)
    saved, item = _savings(demand, holding_cost, stockout_cost, space)
    taken = np.zeros(len(demand), dtype=np.int64)
    left, price = capacity, 0.0
    for k in np.argsort(-saved, kind="stable").tolist():
        i = int(item[k])
        if space[i] <= left * (1 + 1e-12):
            left -= space[i]
            taken[i] += 1
        else:
            price = float(saved[k])
            break
    rows = zip(demand, holding_cost, stockout_cost, taken.tolist(), strict=True)
    cost = sum(float(h * law.excess(level) + p * law.shortage(level)) for law, h, p, level in rows)
    return StorageLevels(tuple(taken.tolist()), cost, capacity - left, price)


def _savings(
    demand: Sequence[LeadTimeDemand], holding: Sequence[float], stockout: Sequence[float], space: Sequence[float]
) -> tuple[Floats, NDArray[np.int64]]:
    """What each unit worth having saves per space, and of which item it is."""
    parts = []
    for law, h, p, s in zip(demand, holding, stockout, space, strict=True):
        levels = np.arange(np.ceil(law.quantile(p / (p + h))) + 1)
        shortage = law.shortage(np.append(levels, levels[-1] + 1))
        saving = (h + p) * (shortage[:-1] - shortage[1:]) - h
        parts.append(saving[saving > 0] / s)
    return np.concatenate(parts), np.repeat(np.arange(len(parts)), [len(part) for part in parts])


def factor_of_priced_stock(factor: ArrayLike, price: ArrayLike) -> Floats:
    """k' where `price`, lambda s / h, is that of the mean stock on hand, see this module.

    >>> round(float(factor_of_priced_stock(1.6448536, 0.0)), 4), round(float(factor_of_priced_stock(1.6448536, 4.0)), 4)
    (1.6449, 0.8122)
    """
    k = np.asarray(factor, dtype=np.float64)
    odds = log_ndtr(k) - log_ndtr(-k) - np.log1p(price)
    tail = ndtri_exp(log_expit(-np.abs(odds)))  # of the smaller of both chances, which has all the digits
    return np.asarray(np.where(odds > 0, -tail, tail))


def factor_of_priced_level(factor: ArrayLike, price: ArrayLike) -> Floats:
    """k' where `price`, lambda s / h, is that of the level, see this module; minus infinity where it is not worth it.

    >>> round(float(factor_of_priced_level(1.6448536, 0.0)), 4), round(float(factor_of_priced_level(1.6448536, 4.0)), 4)
    (1.6449, 0.6745)
    """
    chance = log_ndtr(-np.asarray(factor, dtype=np.float64)) + np.log1p(price)
    return np.asarray(-ndtri_exp(np.minimum(chance, 0.0)))


def least_price(used: Callable[[Floats], Floats], limit: ArrayLike, *, unit: float) -> Floats:
    """The least prices at which what is used keeps its limits: `used` maps prices to quantities, falling in them.

    All have the shape of the limits. A price is 0 where the limit is kept without one; where none keeps it, it is the
    least at which nothing more goes. `unit` is that of a price, holding cost per space.
    """
    zero = np.zeros_like(np.asarray(limit, dtype=np.float64))
    low, high = zero + np.log(FAINT * unit), zero + np.log(UTMOST * unit)
    limits = np.maximum(limit, used(np.exp(high)))
    for _ in range(STEPS):
        middle = (low + high) / 2
        keeps = used(np.exp(middle)) <= limits
        low, high = np.where(keeps, low, middle), np.where(keeps, middle, high)
    return np.where(used(zero) <= limits, 0.0, np.exp(high))
