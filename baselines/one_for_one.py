"""One warehouse and N retailers that replenish one for one, under continuous review.

Retailer i meets Poisson customers at rate lambda_i and orders a unit from the warehouse for every unit
sold, up to a base-stock level S_i; the warehouse, with level S_0, orders a unit outside for every unit
that it is asked for. Transport takes L_0 to the warehouse and L_i on to retailer i, unmet demand waits,
and the warehouse serves first come, first served. The cost per unit of time is

    h_0 E[on hand at 0] + sum_i h_i E[on hand at i] + b_i E[backorders at i],

without the units on their way, which cost the same whatever the levels.

The warehouse owes ``B_0 = (D_0 - S_0)^+`` units with ``D_0`` Poisson of mean ``lambda_0 L_0``, and
retailer i's outstanding orders are ``X_i = B_i + Poisson(lambda_i L_i)``, where ``B_i`` is what the
warehouse owes to i. The methods differ in the law of ``X_i`` alone:

- `"exact"`: each unit owed is retailer i's with probability ``lambda_i / lambda_0``, so ``B_i`` is
  binomial given ``B_0`` (Simon 1971; Graves 1985, who splits the backlog; Axsäter 1990).
- `"metric"`: ``X_i`` Poisson with mean ``lambda_i (L_i + E[B_0] / lambda_0)``, Little's mean delay
  (Sherbrooke 1968). It keeps the mean of ``X_i`` and understates its variance.
- `"two_moment"`: ``X_i`` negative binomial with the exact mean and variance (Graves 1985).
- `"in_turn"`: exact for orders that are placed once a period by every retailer and served batch by
  batch, the oldest period first and within a period in the order of the retailers; L_0 must be whole.
  This is not continuous review, but the periodic review of this framework with `first_come` allocation.

Given S_0 the retailers separate, so the best levels are found by trying every S_0 between the quantiles
of the warehouse's lead-time demand at 1e-20 and 1 - 1e-20: above them stock can only lie idle, and
below them it never does. With a target for the service, or given levels, it is tried from 0.

Under the periodic review of this framework the same formulas hold with one period more at the
retailers, see `one_for_one_plan`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate
from typing import Literal, get_args

import numpy as np

from echelon.baselines.outstanding_orders import Method, OneForOneSystem, Retailer, outstanding_orders
from echelon.baselines.requirements import require_at_least_zero, require_choice, require_positive
from echelon.baselines.stock_cost import StockCost
from echelon.baselines.total_demand import LatticeTotal
from echelon.envs.errors import MethodError

ServiceRule = Literal["simultaneous", "same_target"]


@dataclass(frozen=True)
class Performance:
    """What base-stock levels achieve, as one method evaluates them. Tuples run over the retailers."""

    cost: float
    """Holding and backorder cost per unit of time, or holding cost where backorders are not priced."""
    fill_rate: tuple[float, ...]
    """Share of the customers who are served at once, 1 where there are none. Under periodic review this is the
    probability that stock is left at the end of a period, not the share of a period's demand."""
    on_hand: tuple[float, ...]
    backorders: tuple[float, ...]
    warehouse_fill_rate: float
    """Share of the retailers' orders that the warehouse ships at once, 1 where there are none."""
    warehouse_on_hand: float
    warehouse_backorders: float


@dataclass(frozen=True)
class OneForOneResult:
    """Base-stock levels, what the method says of them, and what is true of them."""

    warehouse_level: int
    levels: tuple[int, ...]
    model: Performance
    """By the method that chose the levels."""
    exact: Performance

    @property
    def cost(self) -> float:
        """The cost by the method that chose the levels."""
        return self.model.cost

    @property
    def cost_exact(self) -> float:
        """The exact cost of the levels."""
        return self.exact.cost

    @property
    def fill_rate(self) -> tuple[float, ...]:
        """The exact share of each retailer's customers who are served at once."""
        return self.exact.fill_rate


def one_for_one(
    *,
    demand_rate: Sequence[float],
    lead_time: float | Sequence[float],
    warehouse_lead_time: float,
    holding_cost: float | Sequence[float],
    warehouse_holding_cost: float,
    stockout_cost: float | Sequence[float],
    method: Method = "exact",
    warehouse_level: int | None = None,
    levels: int | Sequence[int] | None = None,
) -> OneForOneResult:
    """The base-stock levels of least cost by a method, and their exact cost; levels that are given are priced.

    `demand_rate` has one number per retailer; what else describes retailers is one number for all of
    them or one for each. Without demand a retailer keeps no stock; without a lead time neither does the
    warehouse.

    >>> best = one_for_one(demand_rate=[1, 1, 1, 1], lead_time=1, warehouse_lead_time=1,
    ...                    holding_cost=1, warehouse_holding_cost=1, stockout_cost=9)
    >>> best.warehouse_level, best.levels, round(best.cost, 4)
    (3, (3, 3, 3, 3), 9.8378)
    """
    numbers = demand_rate, lead_time, holding_cost, stockout_cost, levels
    system = _system(*numbers, warehouse_lead_time=warehouse_lead_time, warehouse_holding_cost=warehouse_holding_cost)
    # Without stock at the warehouse either way, and with free choice at the retailers, more owed cannot be better.
    lowest = int(system.lead_time_demand.bounds[0]) if levels is None else 0
    return _solve(system, method, _cheapest, _candidates(system, warehouse_level, lowest))


def one_for_one_service(
    *,
    demand_rate: Sequence[float],
    lead_time: float | Sequence[float],
    warehouse_lead_time: float,
    holding_cost: float | Sequence[float],
    warehouse_holding_cost: float,
    fill_rate: float | Sequence[float],
    rule: ServiceRule = "simultaneous",
    method: Method = "exact",
) -> OneForOneResult:
    """The base-stock levels of least holding cost whose fill rate at every retailer is at least `fill_rate`.

    Only the customers' service is an input; how much of it the warehouse should give to the retailers
    is a result (`exact.warehouse_fill_rate`), found together with the levels. The rule `"same_target"`
    is the practice to compare with: the warehouse is planned first, as a single location with the same
    target (the highest one, if they differ), and the retailers after it.

    `fill_rate` must be below 1, which no finite stock gives. A retailer without demand keeps no stock.
    """
    require_choice("rule", rule, get_args(ServiceRule))
    numbers = demand_rate, lead_time, holding_cost, None, None
    system = _system(*numbers, warehouse_lead_time=warehouse_lead_time, warehouse_holding_cost=warehouse_holding_cost)
    targets = _one_each("fill_rate", fill_rate, len(system.retailers))
    for target in targets:
        if not 0 <= target < 1:
            raise MethodError(f"fill_rate must be at least 0 and below 1, got {target:g}: no finite stock serves all")
    with_targets = zip(system.retailers, targets, strict=True)
    retailers = tuple(replace(one, fill_rate=target if one.rate else 0.0) for one, target in with_targets)
    same = rule == "same_target" and system.rate > 0
    level = _least_level(system.lead_time_demand, max(targets)) if same else None
    return _solve(replace(system, retailers=retailers), method, _least_serving, _candidates(system, level, 0))


Choice = Callable[[Retailer, LatticeTotal], int]
"""The level of a retailer whose outstanding orders have a given law."""


def _candidates(system: OneForOneSystem, warehouse_level: int | None, lowest: int) -> range:
    """The levels of the warehouse to try: the given one, or all that are worth it from the lowest up."""
    if warehouse_level is None:
        return range(lowest, system.top + 1)
    given = _level("warehouse_level", warehouse_level)
    return range(given, given + 1)


def _solve(system: OneForOneSystem, method: Method, choose: Choice, levels: range) -> OneForOneResult:
    """The best of the levels of the warehouse, with the retailers' choices for it."""
    require_choice("method", method, get_args(Method))
    system = _served_in_turn(system) if method == "in_turn" else system
    total = {level: system.holding_cost * float(system.lead_time_demand.excess(level)) for level in levels}
    chosen: dict[tuple[Retailer, int], int] = {}
    for retailer, count in Counter(system.retailers).items():
        for level, law in outstanding_orders(system, retailer, method, levels):
            own = choose(retailer, law)
            chosen[retailer, level] = own
            total[level] += count * _cost(retailer, law, own)
    best = min(levels, key=lambda level: total[level])
    own_levels = tuple(chosen[retailer, best] for retailer in system.retailers)
    model = _performance(system, method, best, own_levels)
    exact = model if method in ("exact", "in_turn") else _performance(system, "exact", best, own_levels)
    return OneForOneResult(best, own_levels, model, exact)


def _performance(system: OneForOneSystem, method: Method, warehouse_level: int, levels: Sequence[int]) -> Performance:
    at, upstream = range(warehouse_level, warehouse_level + 1), system.lead_time_demand
    laws = {retailer: next(outstanding_orders(system, retailer, method, at))[1] for retailer in set(system.retailers)}
    each = [(retailer, laws[retailer], level) for retailer, level in zip(system.retailers, levels, strict=True)]
    on_hand = float(upstream.excess(warehouse_level))
    return Performance(
        cost=system.holding_cost * on_hand + sum(_cost(*one) for one in each),
        fill_rate=tuple(_fill_rate(law, level) if retailer.rate else 1.0 for retailer, law, level in each),
        on_hand=tuple(float(law.excess(level)) for _, law, level in each),
        backorders=tuple(float(law.shortage(level)) for _, law, level in each),
        warehouse_fill_rate=_fill_rate(upstream, warehouse_level) if system.rate else 1.0,
        warehouse_on_hand=on_hand,
        warehouse_backorders=float(upstream.shortage(warehouse_level)),
    )


def _served_in_turn(system: OneForOneSystem) -> OneForOneSystem:
    if not float(system.lead_time).is_integer():
        raise MethodError(f"warehouse_lead_time must be a whole number of periods in_turn, got {system.lead_time:g}")
    ahead = accumulate((retailer.rate for retailer in system.retailers), initial=0.0)
    retailers = tuple(replace(one, ahead=rate) for one, rate in zip(system.retailers, ahead, strict=False))
    return replace(system, retailers=retailers)


def _cheapest(retailer: Retailer, law: LatticeTotal) -> int:
    """The level that is given, or else the newsvendor's."""
    if retailer.level is not None:
        return retailer.level
    return int(law.quantile(retailer.stockout_cost / (retailer.stockout_cost + retailer.holding_cost)))


def _least_serving(retailer: Retailer, law: LatticeTotal) -> int:
    return _least_level(law, retailer.fill_rate)


def _least_level(law: LatticeTotal, fill_rate: float) -> int:
    """The least level that serves the share of the demand at once."""
    return int(law.quantile(fill_rate)) + 1 if fill_rate else 0


def _fill_rate(law: LatticeTotal, level: int) -> float:
    """P(X <= level - 1): a Poisson customer finds a unit (PASTA)."""
    return float(law.cdf(level - 1))


def _cost(retailer: Retailer, law: LatticeTotal, level: int) -> float:
    return float(StockCost(law, retailer.holding_cost, retailer.stockout_cost)(level))


def _system(
    demand_rate: Sequence[float],
    lead_time: float | Sequence[float],
    holding_cost: float | Sequence[float],
    stockout_cost: float | Sequence[float] | None,
    levels: int | Sequence[int] | None,
    *,
    warehouse_lead_time: float,
    warehouse_holding_cost: float,
) -> OneForOneSystem:
    """The system, checked."""
    if not (count := len(demand_rate)):
        raise MethodError("demand_rate must have at least one retailer, got none")
    require_at_least_zero("warehouse_lead_time", warehouse_lead_time)
    require_positive("warehouse_holding_cost", warehouse_holding_cost)
    times, holding = _one_each("lead_time", lead_time, count), _one_each("holding_cost", holding_cost, count)
    stockout = [0.0] * count if stockout_cost is None else _one_each("stockout_cost", stockout_cost, count)
    own = [None] * count if levels is None else [_level("levels", x) for x in _one_each("levels", levels, count)]
    for i in range(count):
        require_at_least_zero("demand_rate", demand_rate[i])
        require_at_least_zero("lead_time", times[i])
        require_positive("holding_cost", holding[i])
        if stockout_cost is not None:
            require_positive("stockout_cost", stockout[i])
    rows = zip(demand_rate, times, holding, stockout, own, strict=True)
    return OneForOneSystem(tuple(Retailer(*row) for row in rows), warehouse_lead_time, warehouse_holding_cost)


def _one_each(key: str, value: float | Sequence[float], count: int) -> list[float]:
    values = [float(x) for x in value] if isinstance(value, Sequence | np.ndarray) else [float(value)] * count
    if len(values) != count:
        raise MethodError(f"{key} must be one number or one for each of the {count} retailers, got {len(values)}")
    return values


def _level(key: str, level: float) -> int:
    if not (level >= 0 and float(level).is_integer()):
        raise MethodError(f"{key} must be a whole number of at least 0, got {level:g}")
    return int(level)
