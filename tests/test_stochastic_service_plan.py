"""Multi-stage plans, in simulation and refused."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from echelon.baselines.stochastic_service_plan import multistage_plan, tree_of
from echelon.envs.catalogue import make_problem
from echelon.envs.errors import MethodError
from echelon.envs.network import Network
from echelon.envs.problem import Problem
from echelon.envs.scenarios import sample
from echelon.envs.simulate import Outcome, simulate


def tree(
    seed: int, tiers: int, law: str = "poisson", *, allocation: str = "proportional", lead_time: Any = None
) -> Problem:
    """A root and two or three, then two to four receivers each; means of 0.5 to 3 a period."""
    rng = np.random.default_rng(seed)
    nodes: list[dict[str, Any]] = [{"name": "r", "holding_cost": 0.4, "allocation": allocation}]
    links: list[dict[str, Any]] = [{"target": "r", "lead_time": int(rng.integers(1, 4))}]
    front = ["r"]
    for tier in range(1, tiers):
        below = [f"{i}{k}" for i in front for k in range(int(rng.integers(2, 4 if tier == 1 else 5)))]
        for name in below:
            node: dict[str, Any] = {"name": name, "holding_cost": 0.7, "allocation": allocation}
            if tier == tiers - 1:
                mean = float(np.round(rng.uniform(0.5, 3), 2))
                demand = {"law": law, "mean": mean} | ({} if law == "poisson" else {"sd": float((2 * mean) ** 0.5)})
                node |= {"holding_cost": 1.0, "stockout_cost": 20.0, "demand": demand}
            nodes.append(node)
            links.append({"source": name[:-1], "target": name, "lead_time": lead_time or int(rng.integers(1, 4))})
        front = below
    return Problem("tree", Network.from_dict({"nodes": nodes, "links": links}), periods=20_200, warm_up=200)


def run(problem: Problem, policy: Any, replications: int = 20) -> Outcome:
    """Twenty replications of 20,000 periods."""
    return simulate(
        problem, policy, sample(problem.network, periods=problem.periods, replications=replications, seed=1)
    )


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("service_level", [0.95, None])
def test_one_warehouse_that_serves_in_turn_is_exact(seed: int, service_level: float | None) -> None:
    problem = tree(seed, 2, allocation="first_come")
    plan = multistage_plan(problem, service_level=service_level)
    outcome = run(problem, plan.policy)
    error = outcome.cost.std(ddof=1) / len(outcome.cost) ** 0.5
    assert abs(outcome.cost.mean() - plan.model_cost) < 3 * error < 0.01 * outcome.cost.mean()
    sums = {name: values.sum(axis=0) for name, values in outcome.per_period.items()}
    rate = sums["sold"] / sums["demand"] if service_level else 1 - sums["stockout"] / len(outcome.cost)
    assert rate == pytest.approx(list(plan.parameters["service"].values()), abs=1.5e-3)
    assert min(plan.parameters["service"].values()) >= (service_level or 20 / 21)


@pytest.mark.parametrize("law", ["poisson", "negative_binomial"])
@pytest.mark.parametrize("allocation", ["first_come", "proportional"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_customers_of_three_tiers_are_served_as_the_model_says(law: str, allocation: str, seed: int) -> None:
    problem = tree(seed, 3, law, allocation=allocation)
    plan = multistage_plan(problem, service_level=0.95)
    means = np.array([outlet.mean_demand for outlet in problem.network.laws])
    promised = (
        np.array([plan.parameters["service"][node.name] for node in problem.network.outlets]) @ means / means.sum()
    )
    outcome = run(problem, plan.policy, 8)
    assert outcome.fill_rate.mean() == pytest.approx(promised, abs=5e-3)
    assert outcome.cost.mean() == pytest.approx(plan.model_cost, rel=0.03)


@pytest.mark.parametrize("crossover", [True, False])
def test_random_lead_times_enter_through_their_variance(crossover: bool) -> None:
    lead_time = {"values": [1, 2, 5], "probabilities": [0.5, 0.25, 0.25], "crossover": crossover}
    problem = tree(4, 2, "negative_binomial", lead_time=lead_time)
    plan = multistage_plan(problem, service_level=0.95)
    promised = np.mean(list(plan.parameters["service"].values()))
    assert run(problem, plan.policy, 8).fill_rate.mean() == pytest.approx(promised, abs=7e-3)


def test_the_lead_time_without_crossover_is_that_of_shipments_that_wait_for_each_other() -> None:
    lead_time = {"values": [0, 3], "crossover": False}
    network = tree(4, 2, lead_time=lead_time).network
    drawn = np.random.default_rng(0).choice([0, 3], 200_000)
    times = [0]
    for one in drawn.tolist():
        times.append(max(one, times[-1] - 1))
    found = tree_of(network, {}, ready_rate=False)
    assert found.lead_time[1] == pytest.approx(np.mean(times), rel=0.01)
    assert found.lead_time_variance[1] == pytest.approx(np.var(times), rel=0.02)


def test_only_the_customers_have_targets_and_internal_levels_are_lower_up_a_chain() -> None:
    nodes = [
        {"name": "factory", "holding_cost": 0.3},
        {"name": "warehouse", "holding_cost": 0.6},
        {"name": "centre", "holding_cost": 1.0, "demand": {"law": "poisson", "mean": 20.0}},
    ]
    names = ["outside", "factory", "warehouse", "centre"]
    links = [{"source": a, "target": b, "lead_time": 3} for a, b in pairwise(names)]
    problem = Problem("chain", Network.from_dict({"nodes": nodes, "links": links}), periods=20_200, warm_up=200)
    plan = multistage_plan(problem, service_level=0.999)
    internal = plan.parameters["internal_service"]
    assert list(internal) == ["factory", "warehouse"]
    assert max(internal.values()) < 0.999 <= plan.parameters["service"]["centre"]
    assert run(problem, plan.policy).fill_rate.mean() == pytest.approx(plan.parameters["service"]["centre"], abs=2e-3)


def test_a_placed_level_is_kept_and_costs_more() -> None:
    problem = tree(0, 3)
    best = multistage_plan(problem, service_level=0.95)
    forced = multistage_plan(problem, service_level=0.95, placed={"r": 0})
    assert forced.parameters["levels"][0] == 0
    assert forced.parameters["holding_cost"] > best.parameters["holding_cost"]


def test_what_the_model_does_not_hold_for_is_refused() -> None:
    problem = tree(0, 2)
    for options, message in (
        ({"service_level": 1.0}, "service_level must be above 0 and below 1, got 1.0 at 'r0'"),
        ({"service_level": {"r0": 0.9}}, "service_level must be above 0 and below 1, got None at 'r1'"),
        ({"service_level": {"rx": 0.9}}, "service_level must name outlets, got 'rx'"),
        ({"service_level": 0.9, "placed": {"r0": 1}}, "placed must name warehouses, got 'r0'"),
        ({"service_level": 0.9, "service_kind": "beta"}, "service_kind must be fill_rate or ready_rate, got 'beta'"),
    ):
        with pytest.raises(MethodError) as error:
            multistage_plan(problem, **options)
        assert str(error.value).startswith(message)
    with pytest.raises(MethodError, match=r"^multistage needs proportional, first_come or balance allocation$"):
        multistage_plan(tree(0, 2, allocation="priority"))


@pytest.mark.parametrize(
    ("problem", "rule"),
    [
        ("LostSales", "multistage needs backorders at every outlet"),
        ("Assembly", "multistage needs one supply link into every node"),
    ],
)
def test_problems_of_other_kinds_are_refused(problem: str, rule: str) -> None:
    with pytest.raises(MethodError) as error:
        multistage_plan(make_problem(f"echelon/{problem}-v0"))
    assert str(error.value) == rule
