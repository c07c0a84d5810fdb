"""What a policy for perishable stock costs, exactly: the Markov chain of the states that it reaches.

Transitions are written out in NumPy and SciPy, apart from the compiled sweeps that find the optimum: each
checks the other.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components

from echelon.baselines.perishable import MEMORY_LIMIT
from echelon.baselines.perishable_store import Floats, Issuing, PerishableStore, Units, store_of
from echelon.baselines.requirements import require_memory, require_positive
from echelon.baselines.value_iteration import policy_cost
from echelon.envs.arrays import network_arrays
from echelon.envs.dynamics import accepted_orders, initial_state
from echelon.envs.errors import MethodError
from echelon.envs.policy import Policy
from echelon.envs.problem import Problem
from echelon.envs.simulate import checked_orders

Amounts = NDArray[Any]

BYTES_PER_OUTCOME = 72
"""Of a state and a demand: both states' numbers and the chance, in parts, in one, and in the sparse matrix."""


@dataclass(frozen=True)
class PolicyCost:
    """The average cost per period of a policy lies between `low` and `high`; it lives in so many states."""

    low: float
    high: float
    states: int

    @property
    def cost(self) -> float:
        """The middle of the interval."""
        return (self.low + self.high) / 2


def perishable_policy_cost(
    problem: Problem, policy: Policy, *, tolerance: float = 1e-6, memory_limit: float = MEMORY_LIMIT
) -> PolicyCost:
    """The long-run cost per period of a stationary policy, to within `tolerance`, without simulation.

    The policy may look at stock by age and at what is under way, not at the period or the past. Only the
    states that it reaches from an empty store are listed, so that a policy that holds little is priced fast
    however large the state space is; those that it returns to for ever decide. Raises `MethodError` where the
    model of `perishable_optimum` does not hold, where the list takes more than `memory_limit` bytes, and where
    the policy has several such classes of states, or takes too long to get from some of them to the others.
    """
    require_positive("tolerance", tolerance)
    cost, following = _chain(problem, store_of(problem, "perishable_policy_cost"), policy, memory_limit)
    lasting = _closed_class(following)
    cost, following = cost[lasting], following[lasting][:, lasting]

    def follow(values: Floats, new: Floats, _policy: Units) -> tuple[float, float]:
        np.add(cost, following @ values, out=new)
        change = new - values
        return float(change.min()), float(change.max())

    solution = policy_cost(follow, np.zeros(len(cost)), np.empty(0), tolerance=tolerance)
    return PolicyCost(solution.low, solution.high, len(cost))


def left_after(stock: Amounts, demand: float, issuing: Issuing) -> Amounts:
    """What a demand leaves of stock [B, M] by remaining life, the oldest first."""
    issued = stock if issuing == "fifo" else stock[:, ::-1]
    left: Amounts = np.clip(np.cumsum(issued, axis=1) - demand, 0, issued)
    return left if issuing == "fifo" else left[:, ::-1]


def _chain(problem: Problem, store: PerishableStore, policy: Policy, limit: float) -> tuple[Floats, Any]:
    """The states that a policy reaches from an empty store: their costs per period, and the chances between them.

    A state has a number, with some bits for each of its digits.
    """
    bits = 62 // max(store.digits, 1)
    known = frontier = np.zeros(1, dtype=np.int64)
    states, costs = [], []
    origins, successors, chances = list[Units](), list[Units](), list[Floats]()
    while len(frontier):
        decided = _decided(problem, store, policy, _digits(frontier, store.digits, bits))
        if decided.max() >= 2**bits:
            raise MethodError(f"perishable_policy_cost needs orders below {2**bits:,}, got {decided.max():,}")
        states.append(frontier)
        costs.append(_cost(store, decided))
        demands = _demands(store, int(decided[:, : store.shelf_life].sum(axis=1).max()))
        reached = [_number(_successor(store, decided, units), bits) for units, _ in demands]
        origins += [frontier] * len(demands)
        successors += reached
        chances += [np.full(len(frontier), chance) for _, chance in demands]
        frontier = np.setdiff1d(np.concatenate(reached), known)
        known = np.union1d(known, frontier)
        needed, advice = BYTES_PER_OUTCOME * len(store.pmf), "lower the levels of the policy"
        require_memory("perishable_policy_cost", len(known), needed, limit, advice=advice)
    row, column = (np.searchsorted(known, np.concatenate(numbers)) for numbers in (origins, successors))
    following = csr_array((np.concatenate(chances), (row, column)), shape=(len(known), len(known)))
    return np.concatenate(costs)[np.argsort(np.concatenate(states))], following


def _demands(store: PerishableStore, most: int) -> list[tuple[int, float]]:
    """The demands that can arise, with their chances; all that empty a store of at most `most` units are one."""
    below = [(units, float(store.pmf[units])) for units in np.flatnonzero(store.pmf[:most]).tolist()]
    emptying = float(store.pmf[most:].sum())
    return [*below, (most, emptying)] if emptying > 0 else below


def _closed_class(following: Any) -> Units:
    """The states that the chain never leaves once it is there, all of them within reach of each other."""
    count, label = connected_components(following, connection="strong")
    origin = np.repeat(label, np.diff(following.indptr))
    transient = np.unique(origin[label[following.indices] != origin])
    closed = np.setdiff1d(np.arange(count), transient)
    if len(closed) > 1:
        raise MethodError(f"perishable_policy_cost needs a policy with one class of lasting states (got {len(closed)})")
    return np.flatnonzero(label == closed[0])


def _number(lives: Units, bits: int) -> Units:
    """[n] the numbers of states [n, d]."""
    return np.asarray(lives @ 2 ** (bits * np.arange(lives.shape[1], dtype=np.int64)))


def _digits(numbers: Units, digits: int, bits: int) -> Units:
    """[n, d] units by remaining life in the states of some numbers [n]."""
    return np.asarray(numbers[:, None] >> bits * np.arange(digits, dtype=np.int64) & 2**bits - 1)


def _decided(problem: Problem, store: PerishableStore, policy: Policy, lives: Units) -> Units:
    """[n, d + 1] units by remaining life, with the order as the last."""
    state = initial_state(problem.network, len(lives))
    ages, pipeline = np.zeros_like(state.ages), np.zeros_like(state.pipeline)
    in_stock, coming = lives[:, : store.shelf_life], lives[:, store.shelf_life :]
    ages[:, 0, : in_stock.shape[1]], pipeline[:, 0, : coming.shape[1]] = in_stock, coming
    state = replace(state, on_hand=ages.sum(axis=2), ages=ages, pipeline=pipeline)
    orders = accepted_orders(network_arrays(problem.network), checked_orders(policy(state), state))
    return np.column_stack([lives, orders.astype(np.int64)])


def _cost(store: PerishableStore, decided: Units) -> Floats:
    """[n] expected cost of the period."""
    stock = decided[:, : store.shelf_life]
    oldest, in_stock = stock[:, 0], stock.sum(axis=1)
    if store.issuing == "fifo":
        scrapped = store.left_over(oldest)
    else:
        scrapped = store.left_over(in_stock) - store.left_over(in_stock - oldest)
    return store.stock_cost(in_stock) + store.scrap_cost * scrapped + store.unit_cost * decided[:, -1]


def _successor(store: PerishableStore, decided: Units, demand: int) -> Units:
    """[n, d] the states after a demand."""
    stock, coming = decided[:, : store.shelf_life], decided[:, store.shelf_life :]
    return np.column_stack([left_after(stock, demand, store.issuing)[:, 1:], coming])
