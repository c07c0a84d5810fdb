"""The exact cost of a policy for two sources, against the engine and against models that share no code with it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from echelon.baselines import make_plan
from echelon.baselines.dual_sourcing_policy_cost import dual_sourcing_policy_cost
from echelon.envs import make_problem, simulate_stream
from echelon.envs.errors import MethodError
from echelon.envs.state import State


class LookingAhead:
    """An odd rule that uses all of the state: the expedited order knows what the slow source will bring next."""

    def __call__(self, state: State) -> NDArray[np.float64]:
        """Orders [B, 2]."""
        net, soon = state.inventory_level[:, 0], state.pipeline[:, 1, 0]
        expedited = np.maximum(5 - net - soon - state.pipeline[:, 0].sum(axis=1), 0)
        return np.stack([expedited, np.clip(9 - net - state.pipeline[:, 1].sum(axis=1), 0, 3)], axis=1)


@pytest.mark.parametrize("lead_times", [(2, 0), (3, 0), (3, 1), (4, 2)])
@pytest.mark.parametrize("method", ["dual_sourcing_optimal", "capped_dual_index"])
def test_the_chain_of_a_policy_costs_what_its_own_model_says(lead_times: tuple[int, int], method: str) -> None:
    slow, fast = lead_times
    problem = make_problem(
        "echelon/DualSourcing-v0", regular_lead_time=slow, expedited_lead_time=fast, expedited_cost=112.0
    )
    plan = make_plan(method, problem)
    found = dual_sourcing_policy_cost(problem, plan.policy)
    assert plan.model_cost == pytest.approx(found.cost, abs=2e-5)
    assert found.low <= found.cost <= found.high <= found.low + 1e-6


@pytest.mark.parametrize("lead_times", [(3, 0), (3, 1), (4, 2)])
def test_the_engine_agrees_on_a_rule_that_no_model_covers(lead_times: tuple[int, int]) -> None:
    slow, fast = lead_times
    problem = make_problem(
        "echelon/DualSourcing-v0",
        regular_lead_time=slow,
        expedited_lead_time=fast,
        stockout_cost=40.0,
        demand={"law": "discrete", "values": [0, 1, 5], "probabilities": [0.5, 0.3, 0.2]},
        periods=600,
        warm_up=100,
    )
    found = dual_sourcing_policy_cost(problem, LookingAhead())
    costs = simulate_stream(problem, LookingAhead(), replications=4_000, seed=1).cost
    error = costs.std(ddof=1) / math.sqrt(len(costs))
    assert error < 0.003 * found.cost
    assert abs(costs.mean() - found.cost) < 3 * error


def test_a_policy_that_never_stops_ordering_is_refused() -> None:
    problem = make_problem("echelon/DualSourcing-v0")
    with pytest.raises(MethodError, match="needs a policy that keeps stock and backorders within bounds"):
        dual_sourcing_policy_cost(problem, lambda state: np.ones((state.batch, 2)))


def test_a_policy_that_lets_customers_wait_for_ever_is_refused() -> None:
    problem = make_problem("echelon/DualSourcing-v0")
    with pytest.raises(MethodError, match="needs a policy that keeps stock and backorders within bounds"):
        dual_sourcing_policy_cost(problem, lambda state: np.zeros((state.batch, 2)))


def test_bad_input_is_named() -> None:
    problem = make_problem("echelon/DualSourcing-v0")
    policy = make_plan("dual_index", problem).policy
    with pytest.raises(MethodError, match="memory_limit, in bytes"):
        dual_sourcing_policy_cost(problem, policy, memory_limit=100)
    with pytest.raises(MethodError, match="tolerance must be a finite number greater than 0, got 0"):
        dual_sourcing_policy_cost(problem, policy, tolerance=0)
    with pytest.raises(MethodError, match="dual_sourcing_policy_cost needs"):
        dual_sourcing_policy_cost(make_problem("echelon/LostSales-v0"), policy)
