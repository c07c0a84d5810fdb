"""What a policy for two sources costs, exactly: the Markov chain of the states that it reaches.

A state is the net stock at review and the orders of both sources that are under way. Nothing of the reduction to an
expedited position (`dual_sourcing_system`) is used, so that the policy may look at all of the state, and
each checks the other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from echelon.baselines.dual_sourcing_system import DualSourcing, Sources, dual_sourcing_of
from echelon.baselines.requirements import require, require_memory, require_positive
from echelon.baselines.stock_cost import StockCost
from echelon.baselines.value_iteration import policy_cost
from echelon.envs.arrays import network_arrays
from echelon.envs.dynamics import accepted_orders, initial_state
from echelon.envs.errors import MethodError
from echelon.envs.policy import Policy
from echelon.envs.problem import Problem
from echelon.envs.simulate import checked_orders

Floats = NDArray[np.float64]
Units = NDArray[np.int64]

METHOD = "dual_sourcing_policy_cost"
BITS = 62
"""Bits of the number of a state."""
BYTES_PER_OUTCOME = 56
"""Of a state and a demand: both states' numbers and the chance, in parts, in one, and in the sparse matrix."""
MEMORY_LIMIT = 2e9
"""Bytes."""
MOST_WAVES = 500
"""Periods after which a policy that still reaches new states is given up."""


@dataclass(frozen=True)
class DualSourcingPolicyCost:
    """The average cost per period of a policy lies between `low` and `high`, purchases included."""

    low: float
    high: float
    states: int
    """Number of states that the policy can reach."""

    @property
    def cost(self) -> float:
        """The middle of the interval."""
        return (self.low + self.high) / 2


@dataclass(frozen=True, eq=False)
class _Store:
    """What a period does to the states of a problem [n, 1 + (l_e - 1)+ + l_r - 1]: net stock, then what is under way
    from the expedited and from the regular source, the next to arrive first."""

    problem: Problem
    system: DualSourcing
    sources: Sources
    policy: Policy

    @property
    def slots(self) -> tuple[int, int]:
        """Orders of the expedited and of the regular source that are under way at review."""
        return max(self.system.expedited_lead_time - 1, 0), self.system.regular_lead_time - 1

    def orders(self, states: Units) -> Units:
        """[n, 2] what the policy orders from the expedited and from the regular source."""
        network, (fast, _) = self.problem.network, self.slots
        state = initial_state(network, len(states))
        net, pipeline = states[:, :1].astype(np.float64), np.zeros_like(state.pipeline)
        pipeline[:, self.sources.expedited, :fast] = states[:, 1 : 1 + fast]
        pipeline[:, self.sources.regular, : self.slots[1]] = states[:, 1 + fast :]
        stocks = {"on_hand": np.maximum(net, 0), "backorders": np.maximum(-net, 0), "pipeline": pipeline}
        asked = replace(state, **stocks)
        orders = accepted_orders(network_arrays(network), checked_orders(self.policy(asked), asked))
        return np.asarray(orders[:, [self.sources.expedited, self.sources.regular]].astype(np.int64))

    def period(self, states: Units) -> tuple[Units, Floats]:
        """What follows if nobody buys anything [n, digits], and the expected cost of the period [n]."""
        orders, (fast, _) = self.orders(states), self.slots
        net, expedited, regular = states[:, 0].copy(), states[:, 1 : 1 + fast], states[:, 1 + fast :]
        if self.system.expedited_lead_time == 0:
            net += orders[:, 0]
        else:
            expedited = np.column_stack([expedited, orders[:, 0]])
        regular = np.column_stack([regular, orders[:, 1]])
        one = StockCost(self.system.total_demand(1), self.system.holding_cost, self.system.stockout_cost)
        cost = one(net) + orders @ np.array([self.system.expedited_cost, self.system.regular_cost])
        net += regular[:, 0] + expedited[:, :1].sum(axis=1)
        return np.column_stack([net, expedited[:, 1:], regular[:, 1:]]), cost


def dual_sourcing_policy_cost(
    problem: Problem, policy: Policy, *, tolerance: float = 1e-6, memory_limit: float = MEMORY_LIMIT
) -> DualSourcingPolicyCost:
    """The long-run cost per period of a stationary policy, to within `tolerance` (money), without simulation.

    The policy may look at stock and at what is under way, not at the period or the past. The chain has the states
    that it reaches from an empty store. Raises `MethodError` where the model of `dual_sourcing_optimum` does not
    hold, where the policy reaches more states than fit into `memory_limit` bytes, or ever new ones, and where it
    has several classes of states to end in.
    """
    require_positive("tolerance", tolerance)
    system, sources = dual_sourcing_of(problem, METHOD)
    cost, following = _chain(_Store(problem, system, sources, policy), memory_limit)

    def follow(values: Floats, new: Floats, _policy: object) -> tuple[float, float]:
        np.add(cost, following @ values, out=new)
        change = new - values
        return float(change.min()), float(change.max())

    solution = policy_cost(follow, np.zeros(len(cost)), np.empty(0), tolerance=tolerance)
    return DualSourcingPolicyCost(solution.low, solution.high, len(cost))


def _chain(store: _Store, limit: float) -> tuple[Floats, csr_array]:
    """The states that a policy reaches: their costs per period [S], and the chances between them [S, S]."""
    digits = 1 + sum(store.slots)
    bits = BITS // digits
    demands = np.flatnonzero(store.system.pmf)
    known = frontier = _numbers(np.zeros((1, digits), dtype=np.int64), bits)
    states, costs, following = list[Units](), list[Floats](), list[Units]()
    while len(frontier):
        require(METHOD, {"a policy that keeps stock and backorders within bounds": len(states) > MOST_WAVES})
        after, cost = store.period(_states(frontier, digits, bits))
        outcomes = [after - demand * (np.arange(digits) == 0) for demand in demands]
        reached = np.stack([_numbers(outcome, bits) for outcome in outcomes], axis=1)
        states.append(frontier)
        costs.append(cost)
        following.append(reached)
        frontier = np.setdiff1d(reached, known)
        known = np.union1d(known, frontier)
        needed = BYTES_PER_OUTCOME * len(demands)
        require_memory(METHOD, len(known), needed, limit, advice="lower what the policy orders")
    order = np.argsort(np.concatenate(states))
    column = np.searchsorted(known, np.concatenate(following)[order])
    chances = np.tile(store.system.pmf[demands], len(known))
    starts = np.arange(len(known) + 1) * len(demands)
    return np.concatenate(costs)[order], csr_array((chances, column.ravel(), starts), shape=(len(known),) * 2)


def _numbers(states: Units, bits: int) -> Units:
    """[n] the numbers of states [n, digits]: so many bits a digit, the net stock counted from the middle of them."""
    half = np.where(np.arange(states.shape[1]) == 0, 2 ** (bits - 1), 0)
    counted = states + half
    if counted.min() < 0 or counted.max() >= 2**bits:
        raise MethodError(f"{METHOD} needs a policy that keeps stock, backorders and orders below {2 ** (bits - 1):,}")
    return np.asarray(counted @ 2 ** (bits * np.arange(states.shape[1], dtype=np.int64)))


def _states(numbers: Units, digits: int, bits: int) -> Units:
    """[n, digits] the states of some numbers [n]."""
    states = numbers[:, None] >> bits * np.arange(digits, dtype=np.int64) & 2**bits - 1
    states[:, 0] -= 2 ** (bits - 1)
    return np.asarray(states)
