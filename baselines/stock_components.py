"""What the stock of a location is for, period by period: safety, cycle, pipeline, pre-build and merchandising stock.

For a location that is reviewed every R periods, with a lead time of L periods, in period t:

    safety           SS_t, what the method of safety stock gives
    cycle            stock between two replenishments: D (R - 1) / 2 at the ends of periods (D R / 2 on average over the
                     time between), and with lots of Q units Q / 2 more, (Q - 1) / 2 in whole units
    pipeline         the demand of L periods, on its way
    pre-build        PB_t = max(0, D_{t+1} - Cap_{t+1} + PB_{t+1}): what later periods need beyond their capacity
    merchandising    max(0, least display stock - (safety + cycle + pre-build))
    target position  TIP_t = sum_{k < R + L} D_{t+k} + SS_t

In this framework's sequence of events an order that is placed at the review of t serves the demand of t + L, so R = 1
already covers L + 1 periods of demand. Levels follow from it: a base-stock level is TIP with R, a reorder point of an
(r, nQ) policy TIP with R = 1 (less the unit at which the position is just above r, where quantities are whole).

**Stock on hand.** Safety stock is the mean of *net* stock just before a replenishment. So the mean stock on hand is
safety + cycle + pre-build + merchandising stock **plus the mean backorders**, which are small beside a safety stock
that serves its target well and are not small beside little safety stock: they are a part of their own here.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from echelon.baselines.requirements import require_at_least_zero, require_choice
from echelon.envs.errors import MethodError

Floats = NDArray[np.float64]
Moment = Literal["end", "average"]


@dataclass(frozen=True, eq=False)
class StockComponents:
    """Mean stock by what it is for, units; arrays [T]."""

    safety: Floats
    cycle: Floats
    pipeline: Floats
    """On its way."""
    prebuild: Floats
    merchandising: Floats
    backorders: Floats
    """Mean backorders, by which stock on hand exceeds the mean net stock."""
    target_position: Floats
    """TIP: on hand, on order and less backorders."""
    safety_days: Floats
    """Periods of mean demand that the safety stock covers; 0 without demand."""

    @property
    def on_hand(self) -> Floats:
        """[T] the mean stock on hand that the parts sum to."""
        return self.safety + self.cycle + self.prebuild + self.merchandising + self.backorders


def stock_components(
    mean_demand: ArrayLike,
    safety_stock: ArrayLike,
    *,
    lead_time: float,
    review_period: float = 1.0,
    lot_size: float = 0.0,
    capacity: ArrayLike = np.inf,
    display_stock: ArrayLike = 0.0,
    backorders: ArrayLike = 0.0,
    whole: bool = False,
    moment: Moment = "end",
) -> StockComponents:
    """The components of a location's stock, for the mean demand [T] of the periods that are planned.

    `safety_stock`, `capacity` (units that can arrive in a period), `display_stock` and `backorders` are one number or
    [T]. After the last period its demand goes on, and nothing is built for what comes then. `moment` says whether cycle
    stock is that at the end of a period, as in the simulator, or on average over time. Without demand the cycle,
    pipeline and pre-build stock are 0. Raises `MethodError`.

    >>> parts = stock_components([10.0] * 4, 6.0, lead_time=2, review_period=3)
    >>> parts.on_hand[0], parts.pipeline[0], parts.target_position[0]
    (np.float64(16.0), np.float64(20.0), np.float64(56.0))
    """
    demand = np.atleast_1d(np.asarray(mean_demand, dtype=np.float64))
    given = {"mean_demand": demand, "capacity": capacity, "display_stock": display_stock, "backorders": backorders}
    arrays = {name: _checked(name, value, demand) for name, value in given.items()}
    safety = _checked("safety_stock", safety_stock, demand, least=-np.inf)
    require_at_least_zero("lead_time", lead_time)
    require_at_least_zero("lot_size", lot_size)
    require_choice("moment", moment, get_args(Moment))
    if not 1 <= review_period < np.inf:
        raise MethodError(f"review_period must be at least 1 and finite, got {review_period:g}")
    cycle = demand * ((review_period - (moment == "end")) / 2)
    cycle = cycle + (demand > 0) * (max(lot_size - whole, 0.0) / 2)
    prebuild = prebuild_stock(demand, arrays["capacity"])
    covered = np.array([_ahead(demand, t, review_period + lead_time) for t in range(len(demand))])
    return StockComponents(
        safety=safety,
        cycle=cycle,
        pipeline=np.array([_ahead(demand, t, lead_time) for t in range(len(demand))]),
        prebuild=prebuild,
        merchandising=np.maximum(arrays["display_stock"] - (safety + cycle + prebuild), 0.0),
        backorders=arrays["backorders"],
        target_position=covered + safety,
        safety_days=np.divide(
            safety * (review_period + lead_time), covered, out=np.zeros_like(demand), where=covered > 0
        ),
    )


def prebuild_stock(demand: ArrayLike, capacity: ArrayLike, *, review_period: int = 1) -> Floats:
    """[T] stock at the end of each period for later demand beyond capacity: PB_t = max(0, D_{t+1} - Cap_{t+1} +
    PB_{t+1}).

    With one arrival every R periods, ``PB_t = max(0, D_{t+1} + ... + D_{t+R} - Cap_{t+1} + PB_{t+R})`` at the end of
    the period before the next one. What the first period needs beyond its own capacity cannot be built any more and is
    not in it.
    """
    needed = np.atleast_1d(np.asarray(demand, dtype=np.float64))
    able = np.broadcast_to(np.asarray(capacity, dtype=np.float64), needed.shape)
    stock = np.zeros_like(needed)
    for t in range(len(needed) - 2, -1, -1):
        following = stock[t + review_period] if t + review_period < len(stock) else 0.0
        stock[t] = max(0.0, needed[t + 1 : t + 1 + review_period].sum() - able[t + 1] + following)
    return stock


def _ahead(demand: Floats, start: int, periods: float) -> float:
    """The demand of so many periods from `start` on; of the last one a part."""
    whole = int(periods)
    at = np.minimum(np.arange(start, start + whole + 1), len(demand) - 1)
    return float(demand[at[:-1]].sum() + (periods - whole) * demand[at[-1]])


def _checked(name: str, value: ArrayLike, demand: Floats, *, least: float = 0.0) -> Floats:
    try:
        array = np.broadcast_to(np.asarray(value, dtype=np.float64), demand.shape).copy()
    except ValueError:
        raise MethodError(f"{name} must be one number or {len(demand)}, got {np.size(value)}") from None
    wrong = np.flatnonzero(~(array >= least) | (np.isinf(array) & (name != "capacity")))
    if len(wrong):
        rule = "a number" if np.isinf(least) else f"at least {least:g} and finite"
        raise MethodError(f"{name} must be {rule}, got {array[wrong[0]]:g} in period {wrong[0]}")
    return array
