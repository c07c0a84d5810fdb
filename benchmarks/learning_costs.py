"""What a policy costs, by the evaluation that its bed asks for."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from learning_beds import Bed, Evaluation, Instance
from learning_long_run import long_run_cost
from numpy.typing import NDArray

from echelon.agents.training import half_width
from echelon.baselines import Plan, make_plan
from echelon.baselines.dual_sourcing_policy_cost import dual_sourcing_policy_cost
from echelon.baselines.lost_sales_policy_cost import lost_sales_policy_cost
from echelon.baselines.perishable_chain import perishable_policy_cost
from echelon.envs import Problem, simulate_stream
from echelon.envs.errors import MethodError
from echelon.envs.policy import Policy

TOLERANCE = 1e-5
"""Money per period."""
SEED = 0
"""Of the scenarios of the evaluation, the same for all policies."""


class Bounds(Protocol):
    """A cost that is proven to lie between two numbers."""

    @property
    def low(self) -> float: ...
    @property
    def high(self) -> float: ...


CHAINS: dict[str, Callable[..., Bounds]] = {
    "echelon/LostSales-v0": lost_sales_policy_cost,
    "echelon/DualSourcing-v0": dual_sourcing_policy_cost,
    "echelon/Perishable-v0": perishable_policy_cost,
}
"""Exact costs of any stationary policy, by the name of the problem."""


@dataclass(frozen=True)
class Cost:
    """Money per period, what it may be wrong by (95 %), and what it is held against."""

    value: float
    half_width: float
    reference: float | None

    @property
    def gap_percent(self) -> float | None:
        """The cost beyond the reference."""
        return None if self.reference is None else 100 * (self.value / self.reference - 1)


@dataclass(frozen=True)
class Judge:
    """Measures policies on one instance of a bed; what all of them share is worked out once."""

    bed: Bed
    instance: Instance

    @cached_property
    def problem(self) -> Problem:
        """The problem of the instance."""
        return self.instance.problem

    @property
    def evaluation(self) -> Evaluation:
        """How costs are measured."""
        return self.bed.evaluation

    def cost(self, policy: Policy) -> Cost:
        """The cost of a policy."""
        if self.evaluation.kind == "paired":
            return self._paired(policy)
        reference = self.bed.reference(self.instance)
        value, half = self._exact(policy) or self._long_run(policy)
        return Cost(value, half, None if reference is None else reference.value)

    def _exact(self, policy: Policy) -> tuple[float, float] | None:
        """The cost of the policy's chain and what it may be wrong by; None for a chain too large or without end."""
        chain, limit = CHAINS[self.problem.name], self.evaluation.memory_gib * 2**30
        try:
            bounds = chain(self.problem, policy, tolerance=TOLERANCE, memory_limit=limit)
        except MethodError:
            return None
        return (bounds.low + bounds.high) / 2, (bounds.high - bounds.low) / 2

    def _long_run(self, policy: Policy) -> tuple[float, float]:
        """The simulated cost and the half width of its interval."""
        if self.problem.name == "echelon/LostSales-v0":
            found = long_run_cost(self.problem, policy, periods=self.evaluation.periods, seed=SEED)
            return found.cost, found.half_width
        costs = self._simulated(policy)
        return float(costs.mean()), half_width(costs)

    @cached_property
    def baselines(self) -> dict[str, Plan]:
        """The plans of the baselines that policies are held against."""
        return {name: make_plan(name, self.problem) for name in self.instance.against}

    @cached_property
    def _best(self) -> tuple[NDArray[np.float64], float]:
        """The costs [R] of the cheapest baseline on the common scenarios, and its mean: the exact one of an optimum."""
        costs = {name: self._simulated(plan.policy) for name, plan in self.baselines.items()}
        name = min(costs, key=lambda name: costs[name].mean())
        plan = self.baselines[name]
        exact = plan.model_cost if plan.optimal else None
        return costs[name], float(costs[name].mean()) if exact is None else exact

    def _paired(self, policy: Policy) -> Cost:
        against, mean = self._best
        difference = self._simulated(policy) - against
        return Cost(mean + float(difference.mean()), half_width(difference), mean)

    def _simulated(self, policy: Policy) -> NDArray[np.float64]:
        replications = self.evaluation.replications
        return simulate_stream(self.problem, policy, replications=replications, seed=SEED).cost
