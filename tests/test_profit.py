"""Networks that earn money: revenue is a cost below 0, and everything that compares costs must bear it."""

from __future__ import annotations

import pytest

from echelon.baselines import base_stock, min_max
from echelon.envs import Network, Problem, make_problem, sample, simulate
from echelon.envs.errors import ConfigError


@pytest.mark.parametrize("method", [base_stock, min_max])
def test_a_profitable_store_can_be_tuned(method: object) -> None:
    store = {
        "name": "store",
        "holding_cost": 1.0,
        "stockout_rule": "lost_sales",
        "price": 10.0,
        "demand": {"law": "poisson", "mean": 4.0},
    }
    network = Network.from_dict({"nodes": [store], "links": [{"target": "store", "lead_time": 1, "unit_cost": 1.0}]})
    problem = Problem("store", network, periods=120, warm_up=20)
    scenarios = sample(network, periods=120, replications=50, seed=0)
    plan = method(problem, scenarios=scenarios)  # type: ignore[operator]
    outcome = simulate(problem, plan.policy, scenarios)
    assert -36 < outcome.cost.mean() < -28  # at most 9 for each of 4 units; holding takes a part
    assert outcome.costs["revenue"].sum() < 0


@pytest.mark.parametrize("problem_id", ["echelon/Perishable-v0", "echelon/DualSourcing-v0", "echelon/BeerGame-v0"])
def test_a_mean_that_the_demand_does_not_take_is_refused(problem_id: str) -> None:
    with pytest.raises(ConfigError, match=r"demand_mean has no effect on this .* demand: it takes no mean"):
        make_problem(problem_id, demand_mean=3.0)
    assert make_problem(problem_id, demand="poisson", demand_mean=3.0).network.laws[0].mean_demand == 3.0
