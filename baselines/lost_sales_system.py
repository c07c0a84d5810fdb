"""One location with lost sales: its parameters, its laws, and rules that order for it.

Symbols are those of P. Zipkin, Old and new methods for lost-sales inventory systems, Operations
Research 56(5), 2008: lead time L, holding cost h, stockout cost p, stock x on hand at review, and the
pipeline q_1, ..., q_{L-1} of the orders that arrive in 1, ..., L-1 periods. The order z of this review
arrives in L periods. Then comes the demand D; a period costs ``h (x - D)+ + p (D - x)+`` and the next
review finds ``(x - D)+ + q_1`` on hand. Without a lead time the order z is in x before the demand.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from math import prod

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.lead_time_demand import lead_time_demand
from echelon.baselines.requirements import (
    require,
    require_at_least_zero,
    require_average_cost,
    require_classic,
    require_positive,
    require_single_location,
    require_steady_demand,
)
from echelon.baselines.total_demand import LatticeTotal
from echelon.envs.demand import Law
from echelon.envs.errors import MethodError
from echelon.envs.problem import Problem
from echelon.envs.state import State

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Rule = Callable[[Ints, Ints], Ints]
"""`rule(on_hand [B], pipeline [B, L - 1]) -> orders [B]`, all whole units; column k - 1 arrives in k periods."""


@dataclass(frozen=True, eq=False)
class LostSalesSystem:
    """A location whose customers do not wait. Raises `MethodError` for parameters without a solution.

    Every unit that is bought is sold sooner or later, so that per period ``c (E[D] - E[lost])`` is
    spent on purchases: a purchase cost c is a constant and a stockout cost of ``p - c``, the `margin`.
    It may be negative, where a sale brings more than the unit costs.
    """

    demand: Law
    lead_time: int
    holding_cost: float
    stockout_cost: float
    purchase_cost: float = 0.0

    def __post_init__(self) -> None:
        if not isinstance(self.lead_time, int | np.integer) or self.lead_time < 0:
            raise MethodError(f"lead_time must be a whole number of at least 0 periods, got {self.lead_time!r}")
        require_positive("holding_cost", self.holding_cost)
        require_at_least_zero("stockout_cost", self.stockout_cost)
        if not np.isfinite(self.purchase_cost):
            raise MethodError(f"purchase_cost must be a finite number, got {self.purchase_cost:g}")
        if not self.demand.whole:
            raise MethodError(f"demand must come in whole units, got {type(self.demand).__name__} demand")
        if self.one_period.sd == 0:
            raise MethodError(f"demand must vary, got {self.one_period.mean:g} in every period: order just that")

    @cached_property
    def one_period(self) -> LatticeTotal:
        """The law of one period's demand."""
        total = lead_time_demand(self.demand, 1)
        assert isinstance(total, LatticeTotal), "whole demand is on a lattice"
        return total

    @property
    def mean(self) -> float:
        """E[D]."""
        return self.one_period.mean

    @property
    def margin(self) -> float:
        """p - c, what a lost sale costs more than a sale."""
        return self.stockout_cost - self.purchase_cost

    @cached_property
    def limits(self) -> Ints:
        """[L + 1] s_0, ..., s_L: an optimal order leaves at most s_k units that arrive in k periods or later.

        s_k is the smallest s with ``P(D_[k, L] <= s) >= m / (m + h)``, where ``D_[k, L]`` is the demand of
        the L - k + 1 periods from the k-th one on and m the margin (Morton 1969, 1971; Zipkin 2008). In k = 0
        the stock on hand counts too. All are 0 where the margin is not positive: then nothing is ever bought.
        """
        if self.margin <= 0:
            return np.zeros(self.lead_time + 1, np.int64)
        ratio = self.margin / (self.margin + self.holding_cost)
        periods = range(self.lead_time + 1, 0, -1)
        return np.array([lead_time_demand(self.demand, n).quantile(ratio) for n in periods], dtype=np.int64)

    def pmf(self, length: int) -> Floats:
        """[length] P(D = 0), P(D = 1), ..."""
        one = self.one_period
        whole = np.concatenate([np.zeros(int(one.origin)), one.pmf, np.zeros(length)])
        return np.asarray(whole[:length])

    def at_least(self, length: int) -> Floats:
        """[length] P(D >= 0), P(D >= 1), ..., summed from the far end, where they are smallest."""
        one = self.one_period
        tail = np.cumsum(one.pmf[::-1])[::-1]
        return np.concatenate([np.ones(int(one.origin)), tail, np.zeros(length)])[:length]

    def period_cost(self, stock: Ints) -> Floats:
        """Expected cost of a period whose demand meets the given stock, any shape."""
        lost = self.one_period.shortage(stock)
        return self.holding_cost * self.one_period.excess(stock) + self.margin * lost + self.purchase_cost * self.mean

    def after_demand(self, width: int) -> Floats:
        """[width, width] the probability that stock x (row) leaves y (column) at the end of the period."""
        x, y = np.arange(width)[:, None], np.arange(width)
        law = self.pmf(width)[np.maximum(x - y, 0)] * (x >= y)
        law[:, 0] = self.at_least(width)
        return np.asarray(law)

    def left_before_arrival(self, on_hand: Ints, pipeline: Ints) -> Floats:
        """[B, W] the law of the stock that is left when the order of this review arrives: after L demands."""
        width = int((on_hand + pipeline.sum(1)).max(initial=0)) + 1
        law = np.eye(width)[on_hand]
        step = self.after_demand(width)
        for period in range(self.lead_time):
            law = law @ step
            if period < self.lead_time - 1:
                law = shifted(law, pipeline[:, period])
        return law


def shifted(law: Floats, units: Ints) -> Floats:
    """[B, W] the law of X + units [B] from that of X; no probability may leave the table."""
    column = np.arange(law.shape[1]) - units[:, None]
    moved = np.take_along_axis(law, np.maximum(column, 0), 1)
    return np.where(column >= 0, moved, 0.0)


def distinct(rows: Ints) -> tuple[Ints, Ints]:
    """The rows [U, K] that differ, of whole numbers of at least 0 [B, K], and which of them each row is [B]."""
    sizes = [int(size) + 1 for size in rows.max(0, initial=0)]
    if prod(sizes) >= 2**62:
        found, which = np.unique(rows, axis=0, return_inverse=True)
        return found, which.reshape(-1)
    weights = np.array([prod(sizes[k + 1 :]) for k in range(len(sizes))], dtype=np.int64)
    _, first, which = np.unique(rows @ weights, return_index=True, return_inverse=True)
    return rows[first], which


@dataclass(frozen=True, eq=False)
class Remembered:
    """A rule that is asked only once for each state, for rules that take long to answer."""

    rule: Rule
    known: dict[bytes, int] = field(default_factory=dict, repr=False)
    """The order of each state that was asked for."""

    def __call__(self, on_hand: Ints, pipeline: Ints) -> Ints:
        """Orders [B]."""
        rows, which = distinct(np.column_stack([on_hand, pipeline]))
        keys = [row.tobytes() for row in rows]
        new = [i for i, key in enumerate(keys) if key not in self.known]
        if new:
            orders = self.rule(rows[new, 0], rows[new, 1:])
            self.known.update(zip((keys[i] for i in new), orders.tolist(), strict=True))
        return np.array([self.known[key] for key in keys], dtype=np.int64)[which]


@dataclass(frozen=True, eq=False)
class LostSalesPolicy:
    """A rule as a policy. Stock counts in full units."""

    rule: Rule
    lead_time: int

    def __call__(self, state: State) -> Floats:
        """Orders [B, 1]."""
        later = max(self.lead_time - 1, 0)
        on_hand, pipeline = np.floor(state.on_hand[:, 0]), np.floor(state.pipeline[:, 0, :later])
        return self.rule(on_hand.astype(np.int64), pipeline.astype(np.int64))[:, None].astype(np.float64)


def system_of(problem: Problem, method: str) -> LostSalesSystem:
    """The system of a problem. Raises `MethodError` "METHOD needs RULE" where the model does not hold.

    What a unit costs until it is sold counts as its purchase cost: its price paid, its holding in
    transit, less the revenue that it brings.
    """
    network = problem.network
    node, link = network.nodes[0], network.links[0]
    require_single_location(problem, method)
    require(
        method,
        {
            "customers who do not wait (stockout_rule lost_sales)": node.stockout_rule != "lost_sales",
            "no fixed cost per order": link.fixed_cost > 0,
            "a positive holding cost": node.holding_cost == 0,
            "whole units": not network.whole_units,
        },
    )
    require_average_cost(problem, method)
    require_classic(problem, method, allowed=["price"])
    require_steady_demand(problem, method)
    lead_time = int(link.mean_lead_time)
    purchase = link.unit_cost + link.transit_holding_cost * lead_time - node.price
    return LostSalesSystem(network.laws[0], lead_time, node.holding_cost, node.stockout_cost, purchase)
