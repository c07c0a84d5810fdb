"""The recursion behind `finite_horizon`: (s, S) levels backwards in time, on a grid of whole positions.

Below the grid V_t is continued as a straight line, which it is where a unit more owed is bought in the
next order, or waits for good: the grid is extended until every order-up-to level and every reorder
point lies on it. Above the grid no order goes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from echelon.baselines.per_period import Floats
from echelon.baselines.stock_cost import StockCost
from echelon.envs.errors import MethodError

MOST_PRODUCTS = 2e10
"""Products that one pass may sum, some ten seconds' worth."""
TIE = 1e-11
"""Share of the cost by which ordering must be better, so that rounding decides nothing."""

Terminal = tuple[float, float]
"""What a unit left, and a unit owed, costs after the last period."""


@dataclass(frozen=True)
class FiniteHorizonPolicy:
    """The (s, S) levels of each period, in whole units, and the expected cost of all periods.

    Order up to S at s and below. None in a period in which it is best not to order from any stock.
    """

    reorder_points: tuple[int | None, ...]
    order_up_to_levels: tuple[int | None, ...]
    cost: float


@dataclass(frozen=True, eq=False)
class Stage:
    """What one period's decision faces. Costs are in money of the period."""

    stock: StockCost
    """G_t, of the position after ordering."""
    purchase: float
    fixed: float
    least: int
    """The least demand of the period."""
    chances: Floats
    """Probabilities of a demand of `least`, `least + 1`, ... units in the period."""


def solve(stages: Sequence[Stage], discount: float, terminal: Terminal, start: int) -> FiniteHorizonPolicy:
    """The optimal levels of all stages, and the expected cost from the position `start`."""
    slopes = _slopes(stages, discount, terminal[1])
    high = max(start, _highest(stages, discount, terminal[1]))
    depth = max(int(stage.stock.total.mean) for stage in stages) + 1
    while True:
        low = min(start, 0) - depth
        _require_products(stages, high - low + 1)
        found = _backwards(stages, discount, terminal, slopes, np.arange(low, high + 1, dtype=np.float64))
        if found is not None:
            reorder, up_to, values = found
            return FiniteHorizonPolicy(tuple(reorder), tuple(up_to), float(values[start - low]))
        depth *= 2


def _backwards(
    stages: Sequence[Stage], discount: float, terminal: Terminal, slopes: Sequence[float], x: Floats
) -> tuple[list[int | None], list[int | None], Floats] | None:
    """The levels of each period and V_0 on the grid x; None if a level lies below the grid."""
    values = terminal[0] * np.maximum(x, 0.0) + terminal[1] * np.maximum(-x, 0.0)
    reorder: list[int | None] = []
    up_to: list[int | None] = []
    for t in reversed(range(len(stages))):
        stage, slope = stages[t], slopes[t + 1]
        cost = stage.purchase * x + stage.stock(x) + discount * _expected(values, slope, stage)
        if _orders(stage, discount, slope):
            point, best = _levels(cost, stage.fixed)
            if point < 0:
                return None
            reorder.append(int(x[point]))
            up_to.append(int(x[best]))
        else:
            reorder.append(None)
            up_to.append(None)
        best_above = np.append(np.minimum.accumulate(cost[::-1])[::-1][1:], np.inf)
        values = np.minimum(cost, stage.fixed + best_above) - stage.purchase * x
    return reorder[::-1], up_to[::-1], values


def _levels(cost: Floats, fixed: float) -> tuple[int, int]:
    """Grid positions of s, -1 if it may lie below the grid, and of S. Without a fixed cost they are one."""
    best = int(np.argmin(cost))
    if fixed == 0:
        return best or -1, best
    pays = cost[:best] > cost[best] + fixed + TIE * abs(cost[best])
    return (best if pays.all() else int(np.argmin(pays))) - 1, best


def _expected(values: Floats, slope: float, stage: Stage) -> Floats:
    """E[V(y - D)] on the grid of y; below the grid V falls by `slope` a unit."""
    below = values[0] + slope * np.arange(stage.least + len(stage.chances) - 1, 0, -1)
    reached = np.append(below, values)[: len(values) + len(stage.chances) - 1]
    return np.convolve(reached, stage.chances, mode="valid")


def _slopes(stages: Sequence[Stage], discount: float, terminal: float) -> list[float]:
    """[T + 1] what a unit more owed costs from each period on: it is bought, or waits if that costs less."""
    slopes = [terminal]
    for stage in stages[::-1]:
        slopes.append(min(stage.purchase, stage.stock.stockout_cost + discount * slopes[-1]))
    return slopes[::-1]


def _orders(stage: Stage, discount: float, slope: float) -> bool:
    """Whether serving what is owed costs less than letting it wait; if not, no order pays (K-convexity)."""
    return stage.purchase < stage.stock.stockout_cost + discount * slope


def _highest(stages: Sequence[Stage], discount: float, terminal: float) -> int:
    """A position that no order goes beyond: all demand to come, or where the next order costs less than to hold.

    To have y instead of y' < y saves at most the fixed cost of the next order and the price of its units, or
    after the last period what is charged for units owed: ``H(y) - H(y') >= g(y) - g(y') - gamma K_{t+1}``
    with ``g(y) = (c_t - gamma c_{t+1}) y + G_t(y)``, which is convex.
    """
    highest, demand, fixed, price, slope = 0.0, 0.0, 0.0, terminal, terminal
    for stage in stages[::-1]:
        demand += stage.stock.total.bounds[1]
        if _orders(stage, discount, slope):
            highest = max(highest, _beyond(stage, discount * fixed, discount * price, demand))
        slope = min(stage.purchase, stage.stock.stockout_cost + discount * slope)
        fixed, price = stage.fixed, stage.purchase
    return int(np.ceil(highest)) + 1


def _beyond(stage: Stage, saved: float, later: float, most: float) -> float:
    """The first position of a coarse list, from the least g on, where g is more than `saved` above that."""
    scale = max(stage.stock.total.mean, 1.0)
    y = np.minimum(scale * np.append(np.linspace(0.0, 4.0, 65), 2.0 ** np.arange(3, 40)), most)
    g = (stage.purchase - later) * y + stage.stock(y)
    lowest = int(np.argmin(g))
    enough = np.flatnonzero(g[lowest:] > g[lowest] + saved)
    return float(y[lowest + enough[0]]) if enough.size else most


def _require_products(stages: Sequence[Stage], points: int) -> None:
    products = points * sum(len(stage.chances) for stage in stages)
    if products > MOST_PRODUCTS:
        raise MethodError(
            f"finite_horizon needs {products:.2g} products for {points:,} positions in {len(stages):,} periods, the "
            f"limit is {MOST_PRODUCTS:.2g}: take fewer periods, or count the units in boxes"
        )
