"""The search for the base-stock levels of a distribution tree, see `stochastic_service`.

Given the two moments of the outstanding orders X_j of a location, the cost of the stock at it and below it
depends on no other level, and the subtrees of its receivers separate once its own level is given:

    V_j(E[X_j], Var[X_j]) = min over S_j of  h_j E[(S_j - X_j)^+] + sum over receivers k of V_k(E[X_k], Var[X_k]),

and at a location with customers V_j is the cost of the least level that meets the target. Where the levels of a
subtree can be enumerated in reasonable time, they are, and V_j is exact. Elsewhere V_j is interpolated
on a grid of means and standard deviations, in which it is almost linear. On the grid a customer's level is a
mixture of two neighbouring whole ones that meets the target exactly, since the steps of whole levels would be noise.
The levels follow from the root down, each by the best of all its values, and a last round moves each of them a little
with everything below it as it really is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from echelon.baselines.distribution_tree import (
    LEAST,
    DistributionTree,
    Floats,
    Ints,
    outstanding,
    owed_by,
    owed_to,
    service,
)
from echelon.baselines.fitted_laws import FittedLaw

BELOW, ABOVE = 3.5, 5.0
"""Standard deviations around the mean of its outstanding orders within which a warehouse's level is looked for."""
GRID = 9
"""Means, and standard deviations, at which the cost of a subtree is tabulated."""
COARSE = 24
"""Levels of a warehouse that are tried for each of them."""
MOST = 96
"""Whole levels of a warehouse that are tried; if there are more, evenly spread ones."""
EVEN = 40
"""Levels of a warehouse that are tried where quantities are not whole."""
ENUMERATED = 3_000_000
"""Combinations of levels, of all warehouses together, up to which those below a warehouse are enumerated."""
TOLERANCE = 1e-3
"""How exact levels are in the search, in standard deviations, where quantities are not whole."""
FINE = 1e-9
"""How exact the customers' levels are in the end."""


class LevelSearch:
    """The best levels [N] of a tree, with some warehouses' levels given."""

    def __init__(self, tree: DistributionTree, placed: Mapping[int, float]) -> None:
        self.tree, self.placed = tree, placed
        self.low, self.high = self._box()
        self.work = self._work()
        self.limit = ENUMERATED / max(int(tree.is_warehouse.sum()), 1)
        self.tables = np.zeros((len(tree.supplier), GRID, GRID))

    def levels(self) -> Floats:
        """From the outside down."""
        tree = self.tree
        self._tabulate()
        level, owed = np.zeros(len(tree.supplier)), np.zeros((4, len(tree.supplier)))
        for tier in tree.tiers:
            mean, variance = outstanding(tree, tier, owed_to(tree, tier, owed))
            ends = ~tree.is_warehouse[tier]
            level[tier[ends]] = least_levels(tree, tier[ends], mean[ends], variance[ends])
            for at in np.flatnonzero(~ends).tolist():
                level[tier[at]] = self._chosen(int(tier[at]), mean[at : at + 1], variance[at : at + 1])
            owed[:, tier] = owed_by(tree, tier, FittedLaw(mean, variance, tree.whole), level[tier])
        return level

    def _box(self) -> tuple[Floats, Floats]:
        """[2, N] the least and greatest mean and standard deviation of outstanding orders: with all stock, with
        none."""
        tree, count = self.tree, len(self.tree.supplier)
        low, high, owed = np.zeros((2, count)), np.zeros((2, count)), np.zeros((4, count))
        for tier in tree.tiers:
            low[:, tier] = outstanding(tree, tier, np.zeros((4, len(tier))))
            high[:, tier] = outstanding(tree, tier, owed_to(tree, tier, owed))
            owed[:, tier] = high[0, tier], high[1, tier] + high[0, tier] ** 2, np.ones(len(tier)), np.zeros(len(tier))
        low[1], high[1] = np.sqrt(low[1]), np.sqrt(high[1])
        return low, high

    def _work(self) -> Floats:
        """[N] combinations of levels below and at a location, if they are enumerated."""
        tree, work = self.tree, np.ones(len(self.tree.supplier))
        for j in np.flatnonzero(tree.is_warehouse)[::-1].tolist():
            tried = self._candidates(j, self.high[0, j : j + 1], self.high[1, j : j + 1] ** 2, fine=True).size
            work[j] = tried * float(work[tree.receivers[j]].sum())
        return work

    def _chosen(self, j: int, mean: Floats, variance: Floats) -> float:
        """The best level of a warehouse for one pair of moments: on a grid, then on finer ones around the best so
        far."""
        tried = self._candidates(j, mean, variance, fine=True)
        finest = 1.0 if self.tree.whole else TOLERANCE * float(np.sqrt(variance[0]))
        while True:
            best = tried[:, np.argmin(self._costs(j, mean, variance, tried, fine=True)[0])]
            step = float(np.diff(tried[0], prepend=tried[0, :1]).max())
            if step <= finest:
                return float(best[0])
            tried = self._levels(best - 2 * step, best + 2 * step, COARSE)

    def _candidates(self, j: int, mean: Floats, variance: Floats, *, fine: bool) -> Floats:
        """[n, K] the levels to try for each of n pairs of moments."""
        if j in self.placed:
            return np.full((len(mean), 1), self.placed[j])
        spread = np.sqrt(variance)
        return self._levels(mean - BELOW * spread, mean + ABOVE * spread + 1, MOST if fine else COARSE)

    def _levels(self, low: Floats, high: Floats, most: int) -> Floats:
        """[n, K] levels between bounds [n], all of them if they are whole and at most `most`."""
        low = np.maximum(low, 0.0)
        if not self.tree.whole:
            return np.linspace(low, high, min(most, EVEN), axis=-1)
        low, high = np.floor(low), np.ceil(high)
        count = int(min((high - low).max() + 1, most))
        return np.round(np.linspace(low, np.maximum(high, low + count - 1), count, axis=-1))

    def _best(self, j: int, mean: Floats, variance: Floats, *, fine: bool) -> Floats:
        """[n] the least cost of a warehouse's subtree for each of n pairs of moments."""
        level = self._candidates(j, mean, variance, fine=fine)
        return np.asarray(self._costs(j, mean, variance, level, fine=fine).min(axis=1))

    def _costs(self, j: int, mean: Floats, variance: Floats, level: Floats, *, fine: bool) -> Floats:
        """[n, K] the cost of a warehouse's subtree for each of n pairs of moments and K levels."""
        law = FittedLaw(mean[:, None], variance[:, None], self.tree.whole)
        owed = owed_by(self.tree, np.array([j]), law, level)
        below = self._below(j, owed.reshape(4, -1, 1), fine=fine).reshape(level.shape)
        return np.asarray(self.tree.holding_cost[j] * (level - mean[:, None] + owed[0]) + below)

    def _below(self, j: int, owed: Floats, *, fine: bool) -> Floats:
        """[n] the cost of the subtrees of the receivers of j, for n cases of what j owes [4, n, 1]."""
        tree, below = self.tree, self.tree.receivers[j]
        mean, variance = outstanding(tree, below, owed)
        exact = (self.work[below] * len(mean) <= self.limit) & fine
        cost = np.asarray(self._interpolated(below[~exact], mean[:, ~exact], variance[:, ~exact]).sum(axis=1))
        ends = exact & ~tree.is_warehouse[below]
        if ends.any():
            cost += customers_cost(tree, below[ends], mean[:, ends], variance[:, ends]).sum(axis=1)
        for at in np.flatnonzero(exact & ~ends).tolist():
            cost += self._best(int(below[at]), mean[:, at], variance[:, at], fine=True)
        return cost

    def _tabulate(self) -> None:
        """The tables of all locations below a warehouse that is too large to enumerate, from the customers up."""
        tree = self.tree
        if self.work.max() <= self.limit:
            return
        weight = np.linspace(0.0, 1.0, GRID)
        mean, spread = (low + weight[:, None] * (high - low) for low, high in zip(self.low, self.high, strict=True))
        ends = np.flatnonzero(~tree.is_warehouse)
        grid = [np.broadcast_to(x, (GRID, GRID, len(ends))) for x in (mean[:, None, ends], spread[None, :, ends] ** 2)]
        self.tables[ends] = np.moveaxis(customers_cost(tree, ends, *grid, mixed=True), -1, 0)
        for j in np.flatnonzero(tree.is_warehouse)[::-1].tolist():
            means, variances = (x.ravel() for x in np.meshgrid(mean[:, j], spread[:, j] ** 2, indexing="ij"))
            self.tables[j] = self._best(j, means, variances, fine=False).reshape(GRID, GRID)

    def _interpolated(self, nodes: Ints, mean: Floats, variance: Floats) -> Floats:
        """[n, c] the tabulated costs of subtrees, linear between the points of the grid."""
        low, high = self.low[:, nodes], self.high[:, nodes]
        width = np.maximum(high - low, LEAST)
        place = [(x - a) * ((GRID - 1) / w) for x, a, w in zip((mean, np.sqrt(variance)), low, width, strict=True)]
        place = [np.clip(x, 0.0, GRID - 1.0) for x in place]
        (i, k), (u, v) = zip(*((at := np.minimum(x.astype(np.int64), GRID - 2), x - at) for x in place), strict=True)
        flat, first = self.tables.ravel(), (nodes * GRID + i) * GRID + k
        below = flat[first] * (1 - v) + flat[first + 1] * v
        above = flat[first + GRID] * (1 - v) + flat[first + GRID + 1] * v
        return np.asarray(below * (1 - u) + above * u)


def customers_cost(
    tree: DistributionTree, nodes: Ints, mean: Floats, variance: Floats, *, mixed: bool = False
) -> Floats:
    """[..., c] the holding cost of the least levels that meet the targets of nodes [c].

    `mixed` mixes whole levels with the next lower ones, so that the target is met exactly.
    """
    level = least_levels(tree, nodes, mean, variance, within=TOLERANCE)
    law = FittedLaw(mean, variance, tree.whole)
    on_hand = level - mean + law.shortage(level)
    if mixed and tree.whole:
        lower = np.maximum(level - 1, 0.0)
        less = lower - mean + law.shortage(lower)
        reached, missed = (service(tree, nodes, mean, variance, x) for x in (level, lower))
        weight = np.clip((reached - tree.target[nodes]) / np.maximum(reached - missed, LEAST), 0.0, 1.0)
        on_hand = on_hand + weight * (less - on_hand)
    return np.asarray(tree.holding_cost[nodes] * on_hand)


def least_levels(
    tree: DistributionTree, nodes: Ints, mean: Floats, variance: Floats, *, within: float = FINE
) -> Floats:
    """[..., c] the least levels that meet the targets of nodes [c] whose outstanding orders have these moments.

    Where quantities are not whole they are found to `within` standard deviations. Brackets grow from a guess and are
    halved; each round evaluates only the elements that are not settled yet.
    """
    shape, target = mean.shape, tree.target[nodes]
    at = np.broadcast_to(nodes, shape).ravel()
    mean, variance, spread = mean.ravel(), variance.ravel(), np.sqrt(variance).ravel()
    unit = np.ones_like(mean) if tree.whole else np.maximum(within * spread, FINE * mean) + LEAST
    with np.errstate(over="ignore"):
        guess = mean + np.broadcast_to(ndtri(np.clip(target, 0.05, 1.0)), shape).ravel() * spread
    step = np.maximum(spread / 8, unit)
    guess, step = (np.round(guess), np.ceil(step)) if tree.whole else (guess, step)

    def met(chosen: Ints, level: Floats) -> NDArray[np.bool_]:
        served = service(tree, at[chosen], mean[chosen], variance[chosen], level)
        return np.asarray((level >= 0) & (served >= tree.target[at[chosen]]))

    low, high = _bracket(met, guess, step)
    open_ = np.flatnonzero(high - low > unit)
    while len(open_):
        middle = (low[open_] + high[open_]) / 2
        middle = np.floor(middle) if tree.whole else middle
        enough = met(open_, middle)
        high[open_], low[open_] = np.where(enough, middle, high[open_]), np.where(enough, low[open_], middle)
        open_ = open_[high[open_] - low[open_] > unit[open_]]
    return np.where(target > 0, np.maximum(high, 0.0).reshape(shape), 0.0)


def _bracket(met: Callable[[Ints, Floats], NDArray[np.bool_]], guess: Floats, step: Floats) -> tuple[Floats, Floats]:
    """A level that is not enough and one that is, for each element."""
    low, high = guess.copy(), np.maximum(guess, 0.0)
    every = np.arange(len(guess))
    enough = met(every, high)
    low = np.where(enough, high - step, high)
    falling, rising = every[enough], every[~enough]
    wide = step.copy()
    while len(rising):
        wide[rising] *= 2
        high[rising] = low[rising] + wide[rising]
        now = met(rising, high[rising])
        low[rising] = np.where(now, low[rising], high[rising])
        rising = rising[~now]
    while len(falling):
        now = met(falling, low[falling])
        falling = falling[now]
        wide[falling] *= 2
        high[falling] = low[falling]
        low[falling] -= wide[falling]
    return low, high
