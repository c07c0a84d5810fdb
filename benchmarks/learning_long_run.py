"""What a policy for lost sales costs in the long run where its Markov chain is too large: by simulation.

A period is charged its expected cost given the stock x that demand meets. What is left of the variance is that of the
sales S = min(x, D): given the state after ordering, S - E[S] and S^2 - E[S^2] have mean 0, whatever the policy, and so
has their product with any function of that state. The mean cost is regressed on the means of such products over the
replications; since their true means are known to be 0, the intercept estimates the cost with less variance (control
variates that are martingale differences: S. G. Henderson and P. W. Glynn, Mathematics of Operations Research 27(2),
2002). Functions: 1, and the units that are on hand or arrive within k periods, k = 0, ..., L.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numba import njit
from numpy.typing import NDArray
from scipy.special import ndtri

from echelon.baselines.lost_sales_system import LostSalesSystem, system_of
from echelon.envs.dynamics import initial_state
from echelon.envs.policy import Policy
from echelon.envs.problem import Problem
from echelon.envs.simulate import checked_orders

Floats = NDArray[np.float64]

REPLICATIONS = 8_192
WARM_UP = 300
"""Periods, from an empty store, before costs count."""


@dataclass(frozen=True)
class LongRun:
    """A cost per period with the half width (95 %) of its interval, with and without the controls."""

    cost: float
    half_width: float
    plain_half_width: float
    periods: int


def long_run_cost(
    problem: Problem, policy: Policy, *, periods: int, replications: int = REPLICATIONS, seed: int = 0
) -> LongRun:
    """The average cost per period of a policy on a location with lost sales, from so many periods in all."""
    system = system_of(problem, "long_run_cost")
    rng = np.random.default_rng([seed, replications])
    store = _Store(problem, system, replications)
    for _ in range(WARM_UP):
        store.advance(policy, rng.random(replications))
    store.totals[:] = 0.0
    counted = -(-periods // replications)
    for _ in range(counted):
        store.advance(policy, rng.random(replications))
    return _estimate(store.totals / counted, counted)


def _estimate(means: Floats, counted: int) -> LongRun:
    """From the means of each replication [R, 1 + controls], the cost first."""
    cost, controls = means[:, 0], means[:, 1:]
    count = len(cost)
    scale = controls.std(axis=0)
    design = np.column_stack([np.ones(count), controls[:, scale > 0] / scale[scale > 0]])
    found, _, rank, _ = np.linalg.lstsq(design, cost, rcond=None)
    left = cost - design @ found
    variance = float(left @ left) / (count - int(rank))
    spread = np.linalg.pinv(design.T @ design)[0, 0]
    wide = float(ndtri(0.975))
    plain = wide * float(cost.std(ddof=1)) / count**0.5
    return LongRun(float(found[0]), wide * (variance * float(spread)) ** 0.5, plain, counted * count)


class _Store:
    """Many copies of the location, simulated side by side."""

    def __init__(self, problem: Problem, system: LostSalesSystem, copies: int) -> None:
        first = initial_state(problem.network, copies)
        self.state = replace(first, on_hand=np.zeros_like(first.on_hand), pipeline=np.zeros_like(first.pipeline))
        self.system = system
        self.below = np.cumsum(system.one_period.pmf)
        self.tables = _tables(system, 64)
        self.totals = np.zeros((copies, 1 + 2 * (system.lead_time + 2)))

    def advance(self, policy: Policy, luck: Floats) -> None:
        """One period."""
        state = self.state
        orders = checked_orders(policy(state), state)
        following = np.concatenate([state.pipeline[:, 0, : self.system.lead_time - 1], orders], axis=1)
        on_hand = state.on_hand[:, 0].copy()
        while on_hand.max() >= self.tables.shape[1]:
            self.tables = _tables(self.system, 2 * self.tables.shape[1])
        demand = self.system.one_period.origin + np.searchsorted(self.below, luck).astype(np.float64)
        _period(on_hand, following, demand, self.tables, self.totals)
        pipeline = np.zeros_like(state.pipeline)
        pipeline[:, 0, : self.system.lead_time - 1] = following[:, 1:]
        self.state = replace(state, on_hand=on_hand[:, None], pipeline=pipeline)


def _tables(system: LostSalesSystem, length: int) -> Floats:
    """[3, length] of the stock that demand meets: the expected cost, and the mean of the sales and of their square."""
    stock = np.arange(length)
    chances = system.pmf(length)
    least = np.minimum(stock[:, None], stock)
    tail = np.maximum(1 - chances.sum(), 0.0)
    first, second = (least**power @ chances + tail * stock.astype(float) ** power for power in (1, 2))
    return np.stack([system.period_cost(stock), first, second])


@njit(cache=True)
def _period(on_hand, following, demand, tables, totals):  # type: ignore[no-untyped-def]
    """Demand and arrivals of a period; adds the cost and the controls of each copy to `totals`."""
    for r in range(len(on_hand)):
        x = on_hand[r]
        sold = min(x, demand[r])
        i = int(x)
        first, second = sold - tables[1, i], sold * sold - tables[2, i]
        row = totals[r]
        row[0] += tables[0, i]
        row[1] += first
        row[2] += second
        units = x
        row[3] += units * first
        row[4] += units * second
        for k in range(following.shape[1]):
            units += following[r, k]
            row[5 + 2 * k] += units * first
            row[6 + 2 * k] += units * second
        on_hand[r] = x - sold + following[r, 0]
