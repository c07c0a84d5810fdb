"""The exact long run of one location under (s, S), by brute force, to hold the package's searches against.

Written from the description of a period alone; it shares no code with the package. A period: what was ordered L
periods before arrives, the position (on hand + on order - owed) is reviewed and raised to S if it is s or less, with
no lead time what is ordered arrives at once, demand comes, and costs are charged on the stock and the shortage at the
end. Demand is in whole units, independent from period to period, with probabilities pmf[0], pmf[1], ...
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Kind = Literal["fill_rate", "period_service"]


@dataclass(frozen=True)
class Costs:
    """Per unit and period on hand, per unit short (owed and period, or lost), and per order."""

    holding: float
    stockout: float
    fixed: float


@dataclass(frozen=True)
class LongRun:
    """What a policy costs and gives per period."""

    cost: float
    fill_rate: float
    """Units met at once, of those asked for."""
    period_service: float
    """Share of the periods at whose end nothing is owed or was lost."""
    orders: float
    on_hand: float
    short: float
    """Units owed at the end of a period, or lost in it."""


@dataclass(frozen=True)
class Cheapest:
    """The cheapest pair of levels in a box that reaches a floor, and what it gives."""

    reorder: int
    up_to: int
    long_run: LongRun


def demand_over(pmf: Sequence[float] | Floats, periods: int) -> Floats:
    """The probabilities of the demand of some periods together."""
    total = np.ones(1)
    for _ in range(periods):
        total = np.convolve(total, pmf)
    return total


def backorders(pmf: Sequence[float] | Floats, *, lead_time: int, reorder: int, up_to: int, costs: Costs) -> LongRun:
    """(s, S) where demand waits.

    The position after the review is a Markov chain on s + 1, ..., S. That of period t, less the demand of the L
    periods t, ..., t + L - 1, is the stock that meets the demand of period t + L.
    """
    shares, orders = _positions(pmf, up_to - reorder)
    levels = up_to - np.arange(up_to - reorder)
    tables = _of_levels(pmf, lead_time, levels)
    on_hand, short, filled, ready = (float(shares @ column) for column in tables)
    return _long_run(costs, orders, on_hand, short, filled / _mean(pmf), ready)


def cheapest_with_backorders(
    pmf: Sequence[float] | Floats,
    *,
    lead_time: int,
    costs: Costs,
    level: float,
    kind: Kind,
    reorders: range,
    up_tos: range,
) -> Cheapest | None:
    """Every pair s < S of the box is priced; None if none reaches the floor. Of equal costs the first pair is kept."""
    lowest = reorders.start + 1
    tables = np.array(_of_levels(pmf, lead_time, np.arange(lowest, up_tos.stop)))
    spans = {span: _positions(pmf, span) for span in range(1, up_tos.stop - reorders.start)}

    def price(reorder: int, up_to: int) -> LongRun:
        shares, orders = spans[up_to - reorder]
        rows = up_to - lowest - np.arange(up_to - reorder)
        on_hand, short, filled, ready = (float(x) for x in tables[:, rows] @ shares)
        return _long_run(costs, orders, on_hand, short, filled / _mean(pmf), ready)

    pairs = ((s, top) for s in reorders for top in up_tos if s < top)
    return _cheapest((Cheapest(s, top, price(s, top)) for s, top in pairs), level, kind)


def lost_sales(pmf: Sequence[float] | Floats, *, lead_time: int, reorder: int, up_to: int, costs: Costs) -> LongRun:
    """(s, S) where demand that is not met at once is lost, with a lead time of a few periods.

    A Markov chain on the stock at the review and the orders that arrive in the next L - 1 periods, with the states
    that can be reached from S on hand. s must be at least 0, or an empty location may never order.
    """
    assert 0 <= reorder < up_to
    start = (up_to, *[0] * max(0, lead_time - 1))
    states, moves, rewards = {start: 0}, [], []
    for state in _growing(states):
        placed = up_to - sum(state) if sum(state) <= reorder else 0
        stock, coming = (state[0], [*state[1:], placed]) if lead_time else (state[0] + placed, [0])
        left = [max(stock - size, 0) for size in range(len(pmf))]
        for after, chance in zip(left, pmf, strict=True):
            if chance > 0:
                following = (after + coming[0], *coming[1:])
                moves.append((states[state], states.setdefault(following, len(states)), chance))
        unmet = np.maximum(np.arange(len(pmf)) - stock, 0)
        rewards.append((placed > 0, np.dot(pmf, left), np.dot(pmf, unmet), np.dot(pmf, unmet == 0)))
    orders, on_hand, short, ready = (float(x) for x in _stationary(moves, len(states)) @ np.array(rewards, dtype=float))
    return _long_run(costs, orders, on_hand, short, 1 - short / _mean(pmf), ready)


def cheapest_with_lost_sales(
    pmf: Sequence[float] | Floats,
    *,
    lead_time: int,
    costs: Costs,
    level: float,
    kind: Kind,
    reorders: range,
    up_tos: range,
) -> Cheapest | None:
    """The same where demand is lost."""
    pairs = ((s, top) for s in reorders for top in up_tos if s < top)
    priced = (
        Cheapest(s, top, lost_sales(pmf, lead_time=lead_time, reorder=s, up_to=top, costs=costs)) for s, top in pairs
    )
    return _cheapest(priced, level, kind)


def _growing(states: dict[tuple[int, ...], int]) -> Iterable[tuple[int, ...]]:
    """The states in the order of their numbers, with those that are added meanwhile."""
    visited = 0
    while fresh := list(states)[visited:]:
        yield from fresh
        visited += len(fresh)


def _cheapest(priced: Iterable[Cheapest], level: float, kind: Kind) -> Cheapest | None:
    reached = (one for one in priced if getattr(one.long_run, kind) >= level)
    return min(reached, key=lambda one: one.long_run.cost, default=None)


def _positions(pmf: Sequence[float] | Floats, span: int) -> tuple[Floats, float]:
    """Long-run shares [span] of the positions S, S - 1, ..., s + 1 after the review, and orders per period."""
    moves = [
        (below, below + size if below + size < span else 0, chance)
        for below in range(span)
        for size, chance in enumerate(pmf)
    ]
    shares = _stationary(moves, span)
    falls = [sum(pmf[span - below :]) for below in range(span)]
    return shares, float(shares @ falls)


def _of_levels(pmf: Sequence[float] | Floats, lead_time: int, levels: NDArray[np.int64]) -> tuple[Floats, ...]:
    """[levels] units on hand and owed at the end, units met at once, and the chance that nobody waits at the end."""
    before, sizes = demand_over(pmf, lead_time), np.arange(len(pmf))
    net = levels[:, None, None] - np.arange(len(before))[:, None]
    chance = before[:, None] * np.asarray(pmf)

    def mean(values: NDArray[np.int64] | NDArray[np.bool_]) -> Floats:
        return np.asarray((values * chance).sum(axis=(1, 2)))

    end = net - sizes
    met = np.minimum(np.maximum(net, 0), sizes)
    return mean(np.maximum(end, 0)), mean(np.maximum(-end, 0)), mean(met), mean(end >= 0)


def _stationary(moves: Iterable[tuple[int, int, float]], states: int) -> Floats:
    """The long-run shares of a chain with one recurrent class, from its (from, to, probability)."""
    equations = -np.eye(states)
    for source, target, chance in moves:
        equations[target, source] += chance
    equations[0] = 1.0
    return np.asarray(np.linalg.solve(equations, np.eye(states)[0]))


def _mean(pmf: Sequence[float] | Floats) -> float:
    return float(np.dot(pmf, np.arange(len(pmf))))


def _long_run(costs: Costs, orders: float, on_hand: float, short: float, fill_rate: float, ready: float) -> LongRun:
    cost = costs.holding * on_hand + costs.stockout * short + costs.fixed * orders
    return LongRun(cost, fill_rate, ready, orders, on_hand, short)
