"""The newsvendor relaxation: what uncertain demand costs each outlet, whatever the rest of the network does.

Stock that is to meet the demand of period t must have been shipped before that demand is known. However
cleverly the rest of the network is run, an outlet's expected holding and stockout cost is therefore at least
that of a newsvendor who picks the best stock for each period anew. The relaxation holds for every policy and
every feature of the model; `docs/theory/bounds.md` proves it.

Symbols: h and p are the outlet's holding and stockout cost, D[s, t] the demand of periods s to t, k the number of
periods before t in which nothing that is still to be decided can arrive by t.

- With k = 0 the net stock Y before the demand of t is independent of it, and the cost of the period is
  h (Y - D)+ + p (D - Y)+, whether customers wait or not.
- Where they wait, the net stock at the end of t is Z - D[t - k, t], and Z is fixed before period t - k's demand.
- Where sales are lost, stock less the sales lost in t - k, ..., t is Z - D[t - k, t]. A lost sale occurs in k + 1
  such windows: its cost may be shared among windows of several lengths, `(k + 1) a_k` adding up to p and `h_k` to h,
  each with a newsvendor of its own. A linear programme finds the best shares.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import ArrayLike, NDArray
from scipy import special

from echelon.baselines.lattice import convolve
from echelon.baselines.lead_time_demand import lead_time_demand
from echelon.baselines.loss_functions import standard_normal_loss
from echelon.baselines.plan import Bound
from echelon.baselines.requirements import require
from echelon.baselines.total_demand import HistogramTotal, LatticeTotal, LeadTimeDemand
from echelon.envs.demand import Deterministic, Empirical, Law, Normal
from echelon.envs.errors import DemandError, MethodError
from echelon.envs.network import Network
from echelon.envs.problem import Problem

Floats = NDArray[np.float64]

GRID = 128
"""Stock levels at which the best shares of a lost-sales outlet are sought."""
LONGEST_COVER = 24
"""Periods beyond which windows get no longer."""


@dataclass(frozen=True)
class Share:
    """A part of an outlet's cost: that of a newsvendor with the demand of `cover` periods."""

    cover: int
    """k + 1 periods."""
    holding_cost: float
    """h_k, per unit left over."""
    stockout_cost: float
    """a_k, per unit short of the demand of all `cover` periods."""


GRID_ERROR = 1e-6
"""Standard deviations by which the loss of a sum of uniform periods, a histogram, may exceed the true one: ten times
what Irwin and Hall's formula shows for 2, 3 and 5 periods."""


@dataclass(frozen=True, eq=False)
class ExpectedCost:
    """The cost G(y) = h E[(y - D)+] + p E[(D - y)+] of a stock y, never more than it is."""

    share: Share
    demand: LeadTimeDemand
    slack: float
    """Money by which the law that computes the cost may exceed the law that is sampled."""

    def at(self, level: Floats) -> Floats:
        """G(y) at the given levels."""
        holding, stockout = self.share.holding_cost, self.share.stockout_cost
        short = self.demand.shortage(level)
        return np.asarray(holding * (level - self.demand.mean + short) + stockout * short - self.slack)

    def slope(self, level: Floats) -> Floats:
        """The slope of G to the right of the given levels."""
        holding, stockout = self.share.holding_cost, self.share.stockout_cost
        return np.asarray((holding + stockout) * self.demand.cdf(level) - stockout)

    @property
    def best(self) -> float:
        """The level that minimises G."""
        return self.demand.quantile(self.share.stockout_cost / (self.share.holding_cost + self.share.stockout_cost))

    @property
    def least(self) -> float:
        """min G, at least 0."""
        return max(0.0, float(self.at(np.array(self.best))))


@dataclass(frozen=True)
class TruncatedNormal:
    """One period of normal demand as it is sampled: given that it is not negative."""

    law: Normal
    factor: float

    @property
    def mean(self) -> float:
        return self.law.moments(self.factor)[0]

    @property
    def sd(self) -> float:
        return self.law.moments(self.factor)[1]

    @property
    def bounds(self) -> tuple[float, float]:
        return 0.0, self.factor * (self.law.mean + 9 * self.law.sd)

    def cdf(self, level: ArrayLike) -> Floats:
        above = special.ndtr((self.law.mean - np.asarray(level) / self.factor) / self.law.sd)
        return np.clip(1 - above / special.ndtr(self.law.mean / self.law.sd), 0.0, 1.0)

    def quantile(self, probability: float) -> float:
        return float(self.law.quantile(np.array(probability), self.factor))

    def shortage(self, level: ArrayLike) -> Floats:
        z = (np.maximum(np.asarray(level) / self.factor, 0.0) - self.law.mean) / self.law.sd
        kept = special.ndtr(self.law.mean / self.law.sd)
        return np.asarray(
            self.factor * self.law.sd * standard_normal_loss(z) / kept + np.maximum(-np.asarray(level), 0.0)
        )

    def excess(self, level: ArrayLike) -> Floats:
        return np.asarray(self.shortage(level) + np.asarray(level) - self.mean)


def newsvendor_relaxation(problem: Problem) -> Bound:
    """A lower bound on the cost of any policy: the sum of the outlets' newsvendor costs over the counted periods.

    It counts only what demand makes the outlets hold and run short, neither purchase nor the stock
    upstream. Exact for a single location with backorders, a fixed lead time and no other costs. Outlets whose
    demand depends on the past, or is known, add nothing. With a service level of 1, that is a stockout cost of
    infinity, there would be no bound; costs are finite here. Outlets with a holding or stockout cost of 0 add nothing.
    """
    network, weights = problem.network, problem.weights
    outlets = list(zip(network.outlets, network.laws, strict=True))
    waits = [node.price > 0 and node.stockout_rule != "lost_sales" for node, _ in outlets]
    past = [node.price > 0 and not (is_plain(law) or isinstance(law, Deterministic)) for node, law in outlets]
    rules = {"no price where customers wait": any(waits), "no price where demand depends on the past": any(past)}
    require("newsvendor_relaxation", rules)
    first = int(np.argmax(weights > 0))
    value = 0.0
    for node, law in outlets:
        if node.price:
            value -= node.price * float(weights @ mean_demand(law, problem.periods))
        for share in shares(network, network.index[node.name]):
            start = first if node.stockout_rule == "lost_sales" else max(first - share.cover + 1, 0)
            windows, which = demand_windows(law, problem.periods, share.cover, start)
            least = np.array([expected_cost(law, window, share).least for window in windows])
            value += float(weights[start + share.cover - 1 :] @ least[which])
    return Bound(value, "newsvendor_relaxation", citation="proved in docs/theory/bounds.md")


def demand_windows(law: Law, periods: int, cover: int, start: int) -> tuple[list[tuple[float, ...]], NDArray[np.int64]]:
    """The calendars of the windows of `cover` periods that begin at `start` or later, and which one each has."""
    factors = law.factors(periods)[start:]
    if len(factors) < cover:
        return [], np.zeros(0, dtype=np.int64)
    found, which = np.unique(sliding_window_view(factors, cover), axis=0, return_inverse=True)
    return [tuple(map(float, row)) for row in found], np.asarray(which.ravel())


def mean_demand(law: Law, periods: int) -> Floats:
    """[T] expected demand of each period of a law that `is_plain`."""
    factors, which = np.unique(law.factors(periods), return_inverse=True)
    if isinstance(law, Deterministic):
        return np.asarray(law.sample(np.zeros((1, periods)))[0])
    return np.array([law.moments(factor)[0] for factor in factors.tolist()])[which]


def is_plain(law: Law) -> bool:
    """Whether every period's demand has a law that is known beforehand, whatever was seen."""
    phased = isinstance(law, Empirical) and law.align > 1
    return law.independent and not phased and not isinstance(law, Deterministic)


def shares(network: Network, node: int, *, kept: float = 0.0) -> tuple[Share, ...]:
    """The newsvendors that an outlet's cost is shared among; none where the relaxation has nothing to say.

    `kept` is a part of the stockout cost that is charged elsewhere.
    """
    outlet = network.nodes[node]
    law, holding = outlet.demand, outlet.holding_cost
    assert law is not None
    lost = outlet.stockout_rule == "lost_sales"
    stockout = outlet.stockout_cost + (outlet.price if lost else 0.0) - kept
    if not (is_plain(law) and holding > 0 and stockout > 0):
        return ()
    cover = 1 if isinstance(outlet.stockout_rule, float) else frozen_periods(network, node) + 1
    return _best_shares(law, cover, holding, stockout, lost)


def frozen_periods(network: Network, node: int) -> int:
    """k: periods before a demand in which nothing that is still to be decided can reach the outlet in time.

    0 where something else than customers and shipments moves its stock, or where a limit makes what
    enters it depend on what has left.
    """
    outlet = network.nodes[node]
    sends = any(link.source == outlet.name for link in network.links)
    into = [link for link in network.links if link.target == outlet.name]
    limited = outlet.capacity or outlet.disruption or outlet.shelf_life
    shared = any(outlet.name in resource.members for resource in network.resources)
    if sends or limited or shared or any(link.lateral for link in into):
        return 0
    return outlet.processing_time + min(min(link.lead_times) for link in into)


def expected_cost(law: Law, window: tuple[float, ...], share: Share) -> ExpectedCost:
    """The newsvendor's cost with the demand of a window of periods, by their calendar factors."""
    demand, gap = _total(law, window)
    if isinstance(demand, HistogramTotal):
        gap += GRID_ERROR * demand.sd
    return ExpectedCost(share, demand, gap * max(share.holding_cost, share.stockout_cost))


@lru_cache(maxsize=4096)
def _total(law: Law, window: tuple[float, ...]) -> tuple[LeadTimeDemand, float]:
    """The law of the demand of several periods, and the units by which it may differ from what is sampled.

    Sampled normal demand is truncated at 0. The sum of n such periods is, coupled by the same uniform
    numbers, above the normal sum by n (E[truncated] - mean) in the mean, and no cost moves faster than its units.
    """
    if isinstance(law, Normal) and len(window) == 1 and window[0]:
        return TruncatedNormal(law, window[0]), 0.0
    plain = {"promotions": (), "trend": 0.0, "growth": 0.0}
    if len(set(window)) == 1:
        scaled = law.model_copy(update={**plain, "seasonal": (window[0],)})
        gap = law.moments(window[0])[0] - law.mean * window[0] if isinstance(law, Normal) else 0.0
        return lead_time_demand(scaled, len(window)), gap * len(window)
    one, _ = _total(law, window[-1:])
    rest, _ = _total(law, window[:-1])
    if not (isinstance(one, LatticeTotal) and isinstance(rest, LatticeTotal) and one.step == rest.step == 1):
        raise MethodError(f"{type(law).__name__} demand that changes over time has no law over several periods")
    return LatticeTotal(one.origin + rest.origin, 1.0, convolve(one.pmf, rest.pmf)), 0.0


@lru_cache(maxsize=1024)
def _best_shares(law: Law, cover: int, holding: float, stockout: float, lost: bool) -> tuple[Share, ...]:
    """Where customers wait, all on one newsvendor; where sales are lost, the best shares; () if no law is known.

    They are chosen for the first periods of the calendar, and hold for all.
    """
    longest = min(cover, LONGEST_COVER) if law.stationary or law.whole else 1
    calendar = tuple(map(float, law.factors(longest)))
    single, several = Share(1, holding, stockout), Share(longest, holding, stockout)
    try:
        least = expected_cost(law, calendar[:1], single).least
        if longest == 1:
            return (single,)
        if not lost:
            return (several,) if expected_cost(law, calendar, several).least >= least else (single,)
        totals = [_total(law, calendar[:n])[0] for n in range(1, longest + 1)]
    except (MethodError, DemandError):
        return ()
    return _shares_of_lost_sales(totals, holding, stockout)


def _shares_of_lost_sales(totals: Sequence[LeadTimeDemand], holding: float, stockout: float) -> tuple[Share, ...]:
    """Maximise sum v_k with v_k <= h_k E[(y - D_k)+] + a_k E[(D_k - y)+] for all y, sum h_k = h, sum (k+1) a_k = p."""
    from scipy.optimize import linprog

    count = len(totals)
    matrix = []
    for k, demand in enumerate(totals):
        levels = np.array([demand.quantile(q) for q in np.linspace(0.002, 0.998, GRID)])
        rows = np.zeros((GRID, 3 * count))
        rows[:, k], rows[:, count + k], rows[:, 2 * count + k] = 1.0, -demand.excess(levels), -demand.shortage(levels)
        matrix.append(rows)
    sums = np.zeros((2, 3 * count))
    sums[0, count : 2 * count], sums[1, 2 * count :] = 1.0, np.arange(1, count + 1)
    gain = np.repeat([-1.0, 0.0, 0.0], count)
    found = linprog(gain, np.concatenate(matrix), np.zeros(count * GRID), sums, [holding, stockout])
    assert found.x is not None  # all of the cost on one share is always possible
    parts = zip(range(1, count + 1), found.x[count : 2 * count], found.x[2 * count :], strict=True)
    return tuple(Share(n, float(h), float(a)) for n, h, a in parts if min(h / holding, a * n / stockout) > 1e-6)
