"""The Min/Max case: its numbers, its sizes, and that floors cost something."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from echelon.baselines.service_floors import achieved, floors_of, margins
from echelon.envs._fused import plain
from echelon.envs.catalogue import make_problem
from echelon.envs.errors import ConfigError
from echelon.envs.metrics import table
from echelon.envs.node_outcome import NodeOutcome, simulate_nodes
from echelon.envs.policy import OrderUpTo, order_up_to
from echelon.envs.problem import Problem
from echelon.envs.scenarios import sample
from echelon.envs.simulate import simulate, simulate_cost

Floats = NDArray[np.float64]
ID = "echelon/MinMaxCase-v0"


def case(**parameters: Any) -> Problem:
    return make_problem(ID, **parameters)


def rule_of(problem: Problem, safety: float) -> OrderUpTo:
    """Min by the mean and the square root of demand over the lead time, Max a lot of the square-root formula above."""
    network = problem.network
    mean = np.array(network.mean_flow)
    holding = np.array([node.holding_cost for node in network.nodes])
    cover = 1 + np.array([link.mean_lead_time for link in network.links])
    variance = np.array([node.demand.sd_demand**2 if node.demand else 0.0 for node in network.nodes])
    for n, node in enumerate(network.nodes):
        supplied = [network.index[link.target] for link in network.links if link.source == node.name]
        variance[n] += variance[supplied].sum()
    fixed = np.array([link.fixed_cost for link in network.links])
    reorder = np.round(mean * cover + safety * np.sqrt(variance * cover))
    return order_up_to(network, reorder + np.round(np.sqrt(2 * fixed * mean / holding)), reorder=reorder)


def run(problem: Problem, safety: float, replications: int = 200) -> NodeOutcome:
    scenarios = sample(problem.network, periods=problem.periods, replications=replications, seed=1)
    return simulate_nodes(problem, rule_of(problem, safety), scenarios)


def test_the_case_is_a_centre_with_four_warehouses_and_ten_numbers() -> None:
    problem = case()
    network = problem.network
    assert (problem.periods - problem.warm_up, problem.warm_up) == (365, 60)
    assert [node.name for node in network.nodes] == ["centre_1", *(f"warehouse_{w}" for w in (1, 2, 3, 4))]
    assert [link.source for link in network.links] == ["outside", *["centre_1"] * 4]
    assert network.mean_flow == (31.0, 4.0, 6.0, 9.0, 12.0)
    assert [law.sd_demand**2 for law in network.laws] == pytest.approx([12.0, 30.0, 18.0, 48.0])
    assert [link.lead_time for link in network.links] == [6, 1, 3, 2, 2]
    assert network.whole_units
    assert plain(network)


def test_lots_by_the_square_root_formula_are_a_few_days_to_a_few_weeks_of_demand() -> None:
    for problem in (case(), case(warehouses=35, centres=4)):
        rule = rule_of(problem, 0.0)
        days = (rule.up_to - rule.reorder) / np.array(problem.network.mean_flow)
        assert days.min() > 3
        assert days.max() < 21


@pytest.mark.parametrize(("warehouses", "centres"), [(1, 1), (3, 1), (9, 2), (35, 4), (200, 7)])
def test_the_case_has_any_size_and_the_same_seed_makes_the_same_one(warehouses: int, centres: int) -> None:
    problem = case(warehouses=warehouses, centres=centres)
    network = problem.network
    assert len(network.nodes) == len(network.links) == warehouses + centres
    assert plain(network)
    assert network == case(warehouses=warehouses, centres=centres).network
    assert (network != case(warehouses=warehouses, centres=centres, seed=1).network) == (warehouses > 4)
    supplied = [sum(link.source == f"centre_{c + 1}" for link in network.links) for c in range(centres)]
    assert max(supplied) - min(supplied) <= 1
    for law in network.laws:
        assert 4 <= law.mean_demand <= 12
        assert 2 - 1e-9 <= law.sd_demand**2 / law.mean_demand <= 5 + 1e-9
    for link in network.links:
        low, high = (5, 7) if link.source == "outside" else (1, 3)
        assert low <= link.mean_lead_time <= high


def test_more_warehouses_leave_the_first_ones_as_they_are() -> None:
    small, large = case(warehouses=9), case(warehouses=20)
    assert large.network.outlets[:9] == small.network.outlets


def test_a_spread_of_lead_times_keeps_their_means() -> None:
    fixed, random = case().network, case(lead_time_spread=2).network
    assert [link.mean_lead_time for link in random.links] == [link.lead_time for link in fixed.links]
    assert [link.lead_times for link in random.links[:2]] == [(4, 5, 6, 7, 8), (0, 1, 2)]
    assert not plain(random)
    outcome = run(case(lead_time_spread=2), 1.0, 20)
    assert np.isfinite(outcome.cost).all()
    assert outcome.filled.sum() < run(case(), 1.0, 20).filled.sum()


def test_floors_of_095_cost_something() -> None:
    problem = case()
    floors = floors_of(problem.network, dict.fromkeys(problem.network.index, 0.95))
    low, high = run(problem, -0.5), run(problem, 1.0)
    assert low.cost.mean() < high.cost.mean()
    assert achieved(problem, low, floors).min() < 0.9
    assert (margins(problem, high, floors).mean(axis=0) > 0).all()


def test_a_higher_min_at_the_centre_never_lowers_what_the_warehouses_fill() -> None:
    problem = case()
    base = rule_of(problem, -0.5)
    scenarios = sample(problem.network, periods=problem.periods, replications=400, seed=2)
    raised = np.array([30.0, 0, 0, 0, 0])
    more = order_up_to(problem.network, base.up_to + raised, reorder=base.reorder + raised)
    gain = simulate_nodes(problem, more, scenarios).filled - simulate_nodes(problem, base, scenarios).filled
    mean, half = gain[:, 1:].mean(axis=0), 1.96 * gain[:, 1:].std(axis=0, ddof=1) / 20
    assert (mean > half).all()


def test_orders_at_the_centre_are_lumpier_than_the_demand_of_customers() -> None:
    problem = case()
    scenarios = sample(problem.network, periods=problem.periods, replications=50, seed=3)
    trace = simulate(problem, rule_of(problem, 1.0), scenarios, trace=True).trace
    assert trace is not None
    asked = trace.ordered[:, problem.warm_up :, 1:].sum(axis=2)
    customers = scenarios.demand[:, problem.warm_up :].sum(axis=2)
    assert asked.var() / asked.mean() > 5 * customers.var() / customers.mean() > 5


def test_the_large_network_runs_in_the_compiled_rollout() -> None:
    problem = case(warehouses=35, centres=4)
    scenarios = sample(problem.network, periods=problem.periods, replications=20, seed=1)
    costs = simulate_cost(problem, rule_of(problem, 1.0), scenarios)
    np.testing.assert_allclose(costs, run(problem, 1.0, 20).cost, rtol=1e-12)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"centres": 0}, "centres must be at least 1 (got 0)"),
        ({"warehouses": 3, "centres": 4}, "warehouses must be at least 4 (got 3)"),
        ({"lead_time_spread": -1}, "lead_time_spread must be at least 0 (got -1)"),
        ({"warehouse": 3}, f"{ID}: warehouse: unknown key; did you mean 'warehouses'?"),
    ],
)
def test_a_case_that_cannot_be_is_refused(parameters: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        case(**parameters)
    assert str(error.value) == message


def test_95_percent_intervals_of_the_years_kpis_cover_in_93_to_97_percent_of_repeats() -> None:
    """The mean of all years, whose error is a thirtieth of that of one repeat, stands for the true value."""
    repeats, size, names = 1_000, 20, ("cost", "fill_rate", "alpha")
    problem = case(periods=195, warm_up=30)
    scenarios = sample(problem.network, periods=problem.periods, replications=repeats * size, seed=9)
    outcome = simulate(problem, rule_of(problem, 0.0), scenarios)
    exact = {(row.metric, row.place): row.mean for row in table(outcome, names)}
    covered = dict.fromkeys(exact, 0)
    for first in range(0, repeats * size, size):
        part = {key: values[first : first + size] for key, values in outcome.per_period.items()}
        for row in table(replace(outcome, per_period=part), names):
            covered[row.metric, row.place] += abs(row.mean - exact[row.metric, row.place]) <= row.half_width
    shares = np.array(list(covered.values())) / repeats
    assert len(shares) > 10
    assert ((shares >= 0.93) & (shares <= 0.97)).all(), covered
