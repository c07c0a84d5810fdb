"""The exact long-run cost of any stationary policy of one location with lost sales.

The chain has the states that the policy can reach from an empty system, and no others: a base-stock
policy with level S never sees more than S units. Each state is one number, the stock on hand in its
last bits, so that the states that demand can lead to lie side by side among the sorted numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from echelon.baselines import _lost_sales
from echelon.baselines.lost_sales_system import Floats, Ints, LostSalesPolicy, LostSalesSystem, Rule, system_of
from echelon.baselines.requirements import require, require_memory, require_positive
from echelon.baselines.value_iteration import policy_cost
from echelon.envs.dynamics import initial_state
from echelon.envs.errors import MethodError
from echelon.envs.policy import Policy
from echelon.envs.problem import Problem
from echelon.envs.simulate import checked_orders

MEMORY = 2**30
"""Bytes that a chain may take unless the caller says otherwise."""
STATE_BYTES = 64
"""Memory for a state: its number, its stock, its successors, its values and costs, and working memory."""
MOST_WAVES = 500
"""Periods after which a policy that still reaches new states is given up."""
BITS = 62
"""Bits of the number of a state."""


@dataclass(frozen=True)
class LostSalesPolicyCost:
    """An average cost per period, proven to lie between `low` and `high`."""

    low: float
    high: float
    states: int
    """Number of states that the policy can reach."""

    @property
    def cost(self) -> float:
        """The middle of the interval."""
        return (self.low + self.high) / 2


@dataclass(frozen=True, eq=False)
class Chain:
    """The states that a rule can reach from an empty system. Arrays [S], in the order of the states' numbers."""

    stock: Ints
    """What demand meets."""
    target: Ints
    """The state after a demand that leaves nothing; one unit more left is one state further."""


def lost_sales_policy_cost(
    problem: Problem, policy: Policy, *, tolerance: float = 1e-6, memory_limit: float = MEMORY
) -> LostSalesPolicyCost:
    """The average cost per period of a policy, to within `tolerance` (money per period), without simulation.

    The policy must depend on stock and pipeline alone, not on the period. Raises `MethodError` where the
    model does not hold, and where the policy reaches more states than fit into `memory_limit` bytes,
    or ever new ones, as a constant order does (`constant_order` has its own formula).
    """
    system = system_of(problem, "lost_sales_policy_cost")
    rule = policy.rule if isinstance(policy, LostSalesPolicy) else _as_rule(problem, policy)
    return rule_cost(system, rule, tolerance=tolerance, memory_limit=memory_limit)


def rule_cost(
    system: LostSalesSystem, rule: Rule, *, tolerance: float = 1e-6, memory_limit: float = MEMORY
) -> LostSalesPolicyCost:
    """`lost_sales_policy_cost` of a rule."""
    require_positive("tolerance", tolerance)
    chain = reachable(system, rule, memory_limit)
    states, top = len(chain.stock), int(chain.stock.max()) + 1
    laws = (system.pmf(top), system.at_least(top))
    cost = system.period_cost(chain.stock)

    def sweep(values: NDArray[np.float64], new: NDArray[np.float64], _: object) -> tuple[float, float]:
        low, high = _lost_sales.follow(values, chain.target, chain.stock, *laws, cost, new)
        return float(low), float(high)

    solution = policy_cost(sweep, np.zeros(states), np.empty(0), tolerance=tolerance)
    return LostSalesPolicyCost(solution.low, solution.high, states)


def reachable(system: LostSalesSystem, rule: Rule, memory_limit: float = MEMORY) -> Chain:
    """The chain of a rule, found wave by wave from an empty system."""
    bits = BITS // max(system.lead_time, 1)
    known = frontier = np.zeros(1, np.int64)
    waves: list[tuple[Ints, Ints, Ints]] = []
    while len(frontier):
        require("lost_sales_policy_cost", {"a policy that orders nothing beyond some stock": len(waves) > MOST_WAVES})
        stock, target = _step(system, rule, _digits(frontier, max(system.lead_time, 1), bits), bits)
        waves.append((frontier, stock, target))
        found = _all_between(target, stock)
        at = np.minimum(np.searchsorted(known, found), len(known) - 1)
        frontier = found[known[at] != found]
        known = np.sort(np.concatenate([known, frontier]), kind="stable")
        require_memory("lost_sales_policy_cost", len(known), STATE_BYTES, memory_limit, advice="give a larger one")
    number, stock, target = (np.concatenate(part) for part in zip(*waves, strict=True))
    order = np.argsort(number)
    return Chain(stock[order], np.searchsorted(known, target[order]))


def _step(system: LostSalesSystem, rule: Rule, digits: Ints, bits: int) -> tuple[Ints, Ints]:
    """What demand meets in each state [B], and the number of the state after it if nothing is left."""
    on_hand, pipeline = digits[:, 0], digits[:, 1:]
    orders = rule(on_hand, pipeline)
    if system.lead_time == 0:
        return on_hand + orders, np.zeros_like(on_hand)
    following = np.column_stack([pipeline, orders])
    if max(following.max(), (on_hand + following[:, 0]).max()) >= 2**bits:
        raise MethodError(f"lost_sales_policy_cost needs fewer than {2**bits:,} units on hand and in each order")
    return on_hand, (following << (bits * np.arange(system.lead_time))).sum(1)


def _digits(numbers: Ints, count: int, bits: int) -> Ints:
    """[B, count] stock on hand and pipeline of the states with the given numbers."""
    return np.asarray((numbers[:, None] >> (bits * np.arange(count))) & (2**bits - 1))


def _all_between(first: Ints, further: Ints) -> Ints:
    """All numbers that are in one of the ranges first, first + 1, ..., first + further; sorted."""
    heads, which = np.unique(first, return_inverse=True)
    longest = np.zeros(len(heads), np.int64)
    np.maximum.at(longest, which, further)
    lengths = longest + 1
    ramp = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
    return np.unique(np.repeat(heads, lengths) + ramp)


def _as_rule(problem: Problem, policy: Policy) -> Rule:
    """A policy as a rule, asked on states made up for it."""

    def rule(on_hand: Ints, pipeline: Ints) -> Ints:
        state = initial_state(problem.network, len(on_hand))
        slots: Floats = np.zeros_like(state.pipeline)
        slots[:, 0, : pipeline.shape[1]] = pipeline
        state = replace(state, on_hand=on_hand[:, None].astype(np.float64), pipeline=slots)
        orders: Ints = checked_orders(policy(state), state)[:, 0].astype(np.int64)
        return orders

    return rule
