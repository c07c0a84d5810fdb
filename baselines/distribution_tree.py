"""Distribution trees and the two moments of outstanding orders on them, see `stochastic_service`.

What a warehouse i owes, ``B_i``, is the demand of about ``B_i / mu_i`` periods, and receiver j has the share
``s = mu_j / mu_i`` of it on average. Its part deviates from ``s B_i`` by ``D_j - s D_i`` in each of these periods,
which has the variance ``w_j = (1 - s)^2 sigma_j^2 + s^2 (sigma_i^2 - sigma_j^2)``, for Poisson demand ``s (1 - s)
mu_i``. So

    E[B_ij] = s E[B_i],    Var[B_ij] = s^2 Var[B_i] + w_j E[n]

* for single orders, first come, first served: ``n = B_i / mu_i`` periods. Poisson units are thinned, and this is exact.
* shared in proportion to what is owed, a fraction q of every order is left in each period; ``q = t / (1 + t)`` with
  ``t = B_i / mu_i``, and the deviations of the k-th last period count ``q^(2k)``: ``n = t^2 / (1 + 2 t)``.
* orders of a period served one receiver after the other: as the first, but for the batch in which the stock ends. It
  ends at a uniform place u of it, and what is left of j's order is not ``s (1 - u)`` of the batch but ``s (1 - u) +
  e(u)`` with ``e(u) = min(max(a + s - u, 0), s) - s (1 - u)``, where a and b are the shares before and after j. The
  moments of e are ``s (a - b) / 2`` and ``s^2 (a^2 - a b + b^2) / 3``.

The first rule is that of Graves (1985); the others are approximations of the simulator's allocation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.fitted_laws import FittedLaw
from echelon.envs.errors import MethodError

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ROUNDING = 1 / 6
"""Variance of the whole part that a location gets of a number of units, around its share of them."""
LEAST = 1e-12
"""Units, and probabilities, that count as nothing."""


@dataclass(frozen=True, eq=False)
class DistributionTree:
    """Locations that each have one supplier and either customers or receivers; arrays [N], suppliers first."""

    supplier: Ints
    """The supplier's position, -1 where it is outside."""
    lead_time: Floats
    """Mean, periods."""
    lead_time_variance: Floats
    demand_mean: Floats
    """Of the location's own customers, units per period; 0 at a warehouse."""
    demand_variance: Floats
    holding_cost: Floats
    """Per unit and period."""
    target: Floats
    """Least service of the customers, 0 at a warehouse."""
    ready_rate: NDArray[np.bool_]
    """Whether the target is one of the share of periods that end without backorders, not of demand met from stock."""
    whole: bool = True
    """Whether quantities are whole units."""
    periodic: bool = True
    """Whether orders are placed once a period, before its demand, so that one of a location with customers must cover
    one period more; otherwise they are placed at every sale."""
    in_turn: NDArray[np.bool_] | None = None
    """Where orders are placed once a period: whether a warehouse serves those of a period one receiver after the
    other, in the order of the arrays, and the oldest period first. Otherwise it shares in proportion to what it owes
    to each."""

    def __post_init__(self) -> None:
        _check(self)

    @cached_property
    def flow(self) -> tuple[Floats, Floats]:
        """[N] mean and variance of the demand of a period that passes through each location."""
        mean, variance = self.demand_mean.copy(), self.demand_variance.copy()
        for j in range(len(self.supplier) - 1, -1, -1):
            if self.supplier[j] >= 0:
                mean[self.supplier[j]] += mean[j]
                variance[self.supplier[j]] += variance[j]
        return mean, variance

    @cached_property
    def share(self) -> Floats:
        """[N] the probability that a unit which the supplier owes is the location's; 0 where that is outside."""
        mean = self.flow[0]
        return np.where(self.supplier < 0, 0.0, mean / mean[self.supplier])

    @cached_property
    def ahead(self) -> Floats:
        """[N] the share of the supplier's other receivers that come before the location."""
        ahead = np.zeros(len(self.supplier))
        for below in self.receivers:
            ahead[below] = np.cumsum(self.share[below]) - self.share[below]
        return ahead

    @cached_property
    def deviation(self) -> Floats:
        """[N] w_j, the variance of a period's demand around its share of the supplier's."""
        variance, share = self.flow[1], self.share
        return np.asarray((1 - share) ** 2 * variance + share**2 * (variance[self.supplier] - variance))

    @cached_property
    def is_warehouse(self) -> NDArray[np.bool_]:
        """[N] whether the location supplies others."""
        found = np.zeros(len(self.supplier), dtype=np.bool_)
        found[self.supplier[self.supplier >= 0]] = True
        return found

    @cached_property
    def receivers(self) -> tuple[Ints, ...]:
        """The locations that each location supplies."""
        order = np.argsort(self.supplier, kind="stable")
        first = np.searchsorted(self.supplier[order], np.arange(len(self.supplier) + 1))
        return tuple(order[first[j] : first[j + 1]] for j in range(len(self.supplier)))

    @cached_property
    def tiers(self) -> tuple[Ints, ...]:
        """The locations by the number of locations between them and outside."""
        depth = np.zeros(len(self.supplier), dtype=np.int64)
        for j, i in enumerate(self.supplier.tolist()):
            depth[j] = 0 if i < 0 else depth[i] + 1
        return tuple(np.flatnonzero(depth == tier) for tier in range(int(depth.max()) + 1))

    @cached_property
    def cover(self) -> Floats:
        """[N] mean number of periods whose demand an order must cover."""
        return np.asarray(self.lead_time + (~self.is_warehouse) * float(self.periodic))


def owed_by(tree: DistributionTree, nodes: Ints, law: FittedLaw, level: Floats) -> Floats:
    """[4, ..., n] what nodes [n] owe that have outstanding orders of this law, with base-stock levels.

    E[B], E[B^2], P(B > 0), and the probability that their stock ends inside a batch of orders: without any stock the
    orders of a period are owed as a whole.
    """
    above, short, square = law.losses(level)
    return np.stack([short, square, above, above * np.minimum(level / tree.flow[0][nodes], 1.0)])


def owed_to(tree: DistributionTree, nodes: Ints, owed: Floats) -> Floats:
    """[4, n] what the suppliers of nodes [n] owe in all, where `owed` [4, N] is what each location owes."""
    supplier = tree.supplier[nodes]
    return np.where(supplier < 0, 0.0, owed[:, supplier])


def outstanding(tree: DistributionTree, nodes: Ints, owed: Floats) -> tuple[Floats, Floats]:
    """[..., n] mean and variance of the outstanding orders of nodes [n].

    `owed` [4, ..., n] is what the supplier of each owes in all, or [4, ..., 1] where that is one for all of them,
    see `owed_by`.
    """
    mean, variance = tree.flow[0][nodes], tree.flow[1][nodes]
    own = variance * tree.cover[nodes] + mean**2 * tree.lead_time_variance[nodes]
    part, part_variance = _part(tree, nodes, owed)
    return mean * tree.cover[nodes] + part, own + part_variance


def _part(tree: DistributionTree, nodes: Ints, owed: Floats) -> tuple[Floats, Floats]:
    """[..., n] mean and variance of what is owed to nodes [n]."""
    first, second, chance, _ = owed
    share, supplier = tree.share[nodes], tree.supplier[nodes]
    flow = tree.flow[0][supplier]
    spread = share**2 * np.maximum(second - first**2, 0.0)
    periods = first / flow
    if not tree.periodic:
        return share * first, spread + tree.deviation[nodes] * periods
    owing = periods / np.maximum(chance, LEAST)  # while anything is owed
    even = tree.deviation[nodes] * (second / flow**2 / (1 + 2 * owing))
    if tree.whole:
        even = np.minimum(
            even + np.minimum(ROUNDING * chance, share * (1 - share) * first), tree.deviation[nodes] * periods
        )
    even += spread
    in_turn = np.zeros(len(nodes), dtype=np.bool_) if tree.in_turn is None else tree.in_turn[supplier] & (supplier >= 0)
    if not in_turn.any():
        return share * first, even
    shift, more = _in_turn(tree, nodes, owed)
    return np.maximum(share * first + in_turn * shift, 0.0), np.where(in_turn, np.maximum(spread + more, 0.0), even)


def _in_turn(tree: DistributionTree, nodes: Ints, owed: Floats) -> tuple[Floats, Floats]:
    """What the mean, and the variance beyond the share's, become where the orders of a period are served in turn."""
    first, _, chance, split = owed
    share, before, supplier = tree.share[nodes], tree.ahead[nodes], tree.supplier[nodes]
    after = np.maximum(1 - before - share, 0.0)
    flow, squared = tree.flow[0][supplier], tree.flow[1][supplier] / tree.flow[0][supplier] ** 2
    owing = first / np.maximum(chance, LEAST)
    batch = np.minimum(flow * (1 + squared), 2 * owing)  # in which the stock ends: a larger one is met more often
    batch_squared = batch**2 * (1 + 2 * squared) / (1 + squared)
    later = owing - batch / 2
    mean = share * (before - after) / 2
    square = share**2 * (before**2 - before * after + after**2) / 3
    product = share * (before - before**2 / 2 + share**2 / 3 + after * share / 2 - 1 / 3)
    shift = split * batch * mean
    moment = 2 * share * split * (batch * mean * later + batch_squared * product) + split * batch_squared * square
    noise = tree.deviation[nodes] * chance * (later / flow + (batch / flow) ** 2 / 3)
    return shift, moment - shift * (2 * share * first + shift) + noise


def service(tree: DistributionTree, nodes: Ints, mean: Floats, variance: Floats, level: Floats) -> Floats:
    """[..., n] the service of nodes [n] whose outstanding orders have these moments."""
    law = FittedLaw(mean, variance, tree.whole)
    ready, filled = tree.ready_rate[nodes] & ~tree.is_warehouse[nodes], np.zeros(0)
    if not ready.all():
        filled = _filled(tree, nodes, law, level)
        if not ready.any():
            return np.clip(filled, 0.0, 1.0)
    at_once = 1 - law.above(level)
    return np.clip(np.where(ready, at_once, filled) if len(filled) else at_once, 0.0, 1.0)


def _filled(tree: DistributionTree, nodes: Ints, law: FittedLaw, level: Floats) -> Floats:
    """The share of demand that is met at once: what is not is short at the end of a period and was not before it."""
    if not tree.periodic:
        return 1 - law.above(level - 1.0 if tree.whole else level)
    demand, variance = tree.flow[0][nodes], tree.flow[1][nodes]
    last = np.minimum(tree.cover[nodes], 1.0)
    before = FittedLaw(np.maximum(law.mean - last * demand, 0.0), law.variance - last * variance, tree.whole)
    return np.asarray(1 - (law.shortage(level) - before.shortage(level)) / demand)


def _check(tree: DistributionTree) -> None:
    count = len(tree.supplier)
    for name in ("lead_time", "lead_time_variance", "demand_mean", "demand_variance", "holding_cost", "target"):
        values = getattr(tree, name)
        if values.shape != (count,):
            raise MethodError(f"{name} must have one number for each of {count} locations, got {values.size}")
        wrong = np.flatnonzero(~((values >= 0) & (values < np.inf)))
        if len(wrong):
            raise MethodError(f"{name} must be at least 0 and finite, got {values[wrong[0]]:g} at location {wrong[0]}")
    late = np.flatnonzero((tree.supplier >= np.arange(count)) | (tree.supplier < -1))
    if len(late):
        where = f"got {tree.supplier[late[0]]} at location {late[0]}"
        raise MethodError(f"supplier must come before the location that it supplies, {where}")
    supplies = tree.is_warehouse
    for name, values, broken, rule in (
        ("demand_mean", tree.demand_mean, supplies & (tree.demand_mean > 0), "0 at a location that supplies others"),
        (
            "demand_mean",
            tree.demand_mean,
            ~supplies & (tree.demand_mean == 0),
            "greater than 0 where there is no receiver",
        ),
        ("target", tree.target, supplies & (tree.target > 0), "0 at a location without customers"),
        ("target", tree.target, tree.target >= 1, "below 1: no finite stock serves all"),
    ):
        if broken.any():
            at = int(np.flatnonzero(broken)[0])
            raise MethodError(f"{name} must be {rule}, got {values[at]:g} at location {at}")
