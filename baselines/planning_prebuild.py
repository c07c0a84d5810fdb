"""Pre-build stock: what later orders need beyond the capacity of their periods, ordered and held before.

An order of period t is the last one that arrives before the end of period t + c - 1, c being its cover. What is to be
held at the end of that period for later demand, PB_{t + c - 1}, is therefore part of the target position of t, and is
on hand when the order has arrived: capacity limits orders, not stock.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.planning_inputs import PlanningInputs, later
from echelon.baselines.stock_components import prebuild_stock

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def prebuild(inputs: PlanningInputs, passing: Floats, cover: Floats, review: Ints) -> tuple[Floats, Floats]:
    """[n, T] pre-build stock on hand at the end of each period, and that which the target position has of it.

    `passing` [V, n, T] is what passes through each location as each planning run knows it, `cover` [n] and `review` [n]
    are the periods that an order covers and those from one to the next. Nothing is built for what comes after T.
    """
    capacity = inputs.rows["capacity"].to_numpy(dtype=np.float64)
    most = int(np.ceil(cover.max(initial=1.0))) + int(review.max(initial=1))
    stock = np.zeros((*passing.shape[:2], inputs.periods + most))
    for j in np.flatnonzero(~np.isnan(capacity)).tolist():
        for held, demand in zip(stock[:, j], passing[:, j], strict=True):
            held[: inputs.periods] = prebuild_stock(demand, capacity[j], review_period=int(review[j]))
    day, last = np.arange(inputs.periods), np.ceil(cover).astype(np.int64)[:, None] - 1
    ends = day + (last - day) % review[:, None]  # the period before the next order arrives
    on_hand = np.take_along_axis(stock, np.broadcast_to(ends, (1, *ends.shape)), axis=2)
    asked = later(stock, cover - 1.0)[:, :, : inputs.periods]
    return inputs.known(on_hand), inputs.known(asked)
