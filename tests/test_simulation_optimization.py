"""Rules for a whole network by simulation: exact optima, certified floors, and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from echelon.baselines import search_stages
from echelon.baselines.analytic_start import analytic_start
from echelon.baselines.constrained_search import BlockSearch, directions_of
from echelon.baselines.min_max_exact import min_max_cost
from echelon.baselines.min_max_service import optimal_service_min_max
from echelon.baselines.network_trials import SearchRecord, Trials, blocks_of
from echelon.baselines.ranking_selection import simulated_costs
from echelon.baselines.reorder_model import arguments_of
from echelon.baselines.rule_space import rule_space
from echelon.baselines.search_stages import SearchStages
from echelon.baselines.service_floors import ServiceFloor, floors_of
from echelon.baselines.simulation_optimization import (
    SimulationOptimum,
    simulation_optimization,
    simulation_optimization_plan,
)
from echelon.envs.catalogue import make_problem
from echelon.envs.demand import Deterministic, Law, NegativeBinomial, Poisson
from echelon.envs.errors import MethodError
from echelon.envs.network import Network
from echelon.envs.problem import Problem
from echelon.envs.scenarios import sample

from .constrained_oracle import Costs, Kind, backorders, cheapest_with_backorders

Floats = NDArray[np.float64]

ZHENG_FEDERGRUEN = [
    (10, 35.0215552723),
    (15, 42.6978189226),
    (21, 50.4060198929),
    (22, 51.6323007771),
    (24, 53.5178648088),
    (25, 54.2621667186),
    (35, 61.2154790477),
    (40, 64.5118470979),
    (50, 70.9752123295),
    (51, 71.610921),
    (55, 74.1486874693),
    (59, 76.6790683284),
    (61, 77.9287348824),
    (63, 78.2868280204),
    (65, 78.5182332101),
    (70, 79.0374836638),
]
"""Mean of Poisson demand and optimal cost for K = 64, h = 1, b = 9, no lead time: Zheng and Federgruen 1991."""


def store(law: Law, **costs: Any) -> Problem:
    """One location with customers who wait."""
    return make_problem("echelon/SingleLocation-v0", demand=law, **costs)


def dc4() -> tuple[Problem, tuple[ServiceFloor, ...]]:
    """The centre with four warehouses, and floors of 0.95 everywhere."""
    problem = make_problem("echelon/MinMaxCase-v0")
    return problem, floors_of(problem.network, {node.name: 0.95 for node in problem.network.nodes})


@pytest.mark.parametrize(("mean", "optimum"), ZHENG_FEDERGRUEN)
def test_without_floors_the_optimum_of_zheng_and_federgruen_is_found(mean: float, optimum: float) -> None:
    problem = make_problem("echelon/SingleLocation-v0", demand_mean=float(mean))
    found = simulation_optimization(problem, seed=1, budget=15_000_000)
    levels = found.parameters["Min store"], found.parameters["Max store"]
    assert min_max_cost(*levels, **arguments_of(problem)) == pytest.approx(optimum, rel=5e-4)
    assert found.certified
    assert not found.prices
    assert found.shortfalls == ()


def constrained(k: int) -> tuple[Law, dict[str, float], float, Kind]:
    """A random instance with a floor."""
    rng = np.random.default_rng([7, k])
    mean = float(rng.uniform(1, 12))
    law = [Poisson(mean=mean), NegativeBinomial(mean=mean, sd=float((mean * rng.uniform(1.5, 4)) ** 0.5))][k % 2]
    costs = {
        "holding_cost": 1.0,
        "fixed_cost": float(rng.uniform(5, 60)),
        "stockout_cost": float(rng.choice([0.5, 1, 2])),
        "lead_time": int(rng.integers(0, 4)),
    }
    kinds: tuple[Kind, Kind] = ("fill_rate", "period_service")
    return law, costs, float(rng.uniform(0.8, 0.98)), kinds[int(rng.integers(2))]


TELLABLE = 0.0035
"""Service that a certificate takes from the floor: a policy that exceeds it by less cannot be told from one below."""


@pytest.mark.parametrize("k", range(8))
def test_with_a_floor_the_cheapest_policy_that_can_be_certified_is_found(k: int) -> None:
    """Against full enumeration: feasible, and at most 0.1 % dearer than the optimum at a floor a little higher."""
    law, costs, level, kind = constrained(k)
    problem = store(law, **costs)
    found = simulation_optimization(
        problem, floors=floors_of(problem.network, level, kind=kind), seed=k, budget=150_000_000
    )
    reorder, up_to = (int(found.parameters[f"{name} store"]) for name in ("Min", "Max"))
    lead, pmf = int(costs["lead_time"]), law.pmf()
    money = Costs(costs["holding_cost"], costs["stockout_cost"], costs["fixed_cost"])
    exact = backorders(pmf, lead_time=lead, reorder=reorder, up_to=up_to, costs=money)
    limit = cheapest_with_backorders(
        pmf,
        lead_time=lead,
        costs=money,
        level=level + TELLABLE,
        kind=kind,
        reorders=range(reorder - 6, reorder + 7),
        up_tos=range(up_to - 12, up_to + 13),
    )
    assert limit is not None
    assert getattr(exact, kind) >= level
    assert exact.cost <= limit.long_run.cost * 1.001
    assert found.certified
    assert found.certificate.floors[0].at_least >= level
    assert found.cost.mean == pytest.approx(exact.cost, abs=4 * found.cost.half_width)


def test_four_warehouses_and_their_centre_are_certified_and_cheaper_than_the_formulas() -> None:
    problem, floors = dc4()
    found = simulation_optimization(problem, floors=floors, seed=3, budget=600_000_000)
    assert found.certified
    assert found.shortfalls == ()
    assert found.certificate.replications >= 1_000
    assert all(result.at_least >= 0.95 for result in found.certificate.floors)
    assert found.gain.mean - found.gain.half_width > 0.03 * found.cost.mean
    assert found.cost.mean < 1.003 * 23.70  # a differential evolution with 14,520 candidates, repaired
    assert all(price.per_point is not None and price.per_point > 0 for price in found.prices)
    assert found.selection.confidence == 0.95
    assert len(found.lines()) == 1 + 10 + 5 + 5


def small(threads: int = 1) -> SimulationOptimum:
    """A quick search."""
    problem, floors = dc4()
    return simulation_optimization(problem, floors=floors, seed=5, budget=20_000_000, threads=threads)


def test_the_same_seed_gives_the_same_result_on_any_number_of_threads() -> None:
    first, second = small(), small(threads=2)
    assert first.parameters == second.parameters
    assert first.cost == second.cost
    assert first.gain == second.gain
    assert first.certificate == second.certificate
    assert first.trace == second.trace


def test_the_trace_counts_what_was_simulated_and_reports_it() -> None:
    problem = store(Poisson(mean=5), fixed_cost=20.0)
    heard: list[SearchRecord] = []
    found = simulation_optimization(
        problem, floors=floors_of(problem.network, 0.9), seed=1, budget=3_000_000, progress=heard.append
    )
    assert len(heard) == found.evaluations
    assert heard[-1].node_periods == found.node_periods
    assert [record.evaluations for record in heard] == list(range(1, len(heard) + 1))
    assert set(found.trace) <= set(heard)
    assert {record.stage for record in heard} >= {"explore", "refine", "polish", "selection", "prices"}


def evaluations_until(problem: Problem, floors: tuple[ServiceFloor, ...], starts: list[Floats]) -> list[int]:
    """Simulations from each start until 0.5 % above the best that any of them finds, on the same scenarios."""
    space, blocks = rule_space(problem), blocks_of(problem.network, floors)
    scenarios = sample(problem.network, periods=problem.periods, replications=48, seed=2, stream="tuning")
    traces: list[list[SearchRecord]] = []
    for start in starts:
        trials = Trials(problem, space, floors)
        (step,) = SearchStages(trials, 0, blocks).steps
        search = BlockSearch(space, blocks[0], step, directions_of(space, blocks[0], step, start[1] / 4))
        trials.run(blocks, [search.descend(start, sweeps=12, tolerance=1e-4)], start, scenarios, "explore")
        traces.append(trials.records)
    costs = [[record.best for record in trace if record.best is not None] for trace in traces]
    target = 1.005 * min(min(found) for found in costs)
    return [
        next((record.evaluations for record in trace if record.best is not None and record.best <= target), 10_000)
        for trace in traces
    ]


def test_the_analytic_start_halves_the_evaluations_of_a_random_one() -> None:
    counts: list[list[int]] = []
    for k in range(10):
        rng = np.random.default_rng([11, k])
        problem = make_problem("echelon/MinMaxCase-v0", warehouses=int(rng.integers(1, 5)), seed=k)
        level = float(rng.uniform(0.9, 0.97))
        floors = floors_of(problem.network, {node.name: level for node in problem.network.nodes})
        start = analytic_start(problem, rule_space(problem), floors)
        scale = np.exp(rng.uniform(-1.2, 1.2, start.shape))
        counts.append(evaluations_until(problem, floors, [start, np.rint(start * scale)]))
    ratios = np.array([first / other for first, other in counts])
    assert np.median(ratios) <= 0.5
    assert np.sum([first for first, _ in counts]) <= 0.5 * np.sum([other for _, other in counts])


def test_the_price_of_a_floor_is_what_the_optimum_costs_more_where_it_is_raised() -> None:
    law = NegativeBinomial(mean=40, sd=20)
    problem = store(law, lead_time=2, holding_cost=1.0, fixed_cost=300.0, stockout_cost=0.5)
    found = simulation_optimization(problem, floors=floors_of(problem.network, 0.95), seed=1)
    above, below = (
        optimal_service_min_max(
            demand=law, lead_time=2, holding_cost=1.0, fixed_cost=300.0, stockout_cost=0.5, service_level=level
        ).cost
        for level in (0.96, 0.94)
    )
    assert found.prices[0].per_point == pytest.approx((above - below) / 2, rel=0.15)


def test_a_floor_that_does_not_bind_has_no_price() -> None:
    problem = store(Poisson(mean=10), fixed_cost=20.0, stockout_cost=50.0, lead_time=1)
    found = simulation_optimization(problem, floors=floors_of(problem.network, 0.6), seed=1, budget=5_000_000)
    assert found.certified
    assert found.prices[0].per_point == pytest.approx(0.0, abs=0.01)


def test_parts_of_a_network_that_have_nothing_in_common_are_searched_in_one() -> None:
    problem = make_problem("echelon/MinMaxCase-v0", warehouses=4, centres=2)
    floors = floors_of(problem.network, 0.9)
    blocks = blocks_of(problem.network, floors)
    names = [[problem.network.nodes[n].name for n in block.nodes] for block in blocks]
    assert names == [["centre_1", "warehouse_1", "warehouse_3"], ["centre_2", "warehouse_2", "warehouse_4"]]
    network = problem.network.model_dump()
    shared = {"name": "yard", "kind": "storage", "capacity": 1e6, "members": ("centre_1", "centre_2")}
    assert len(blocks_of(Network.from_dict(network | {"resources": [shared]}), floors)) == 1


@pytest.mark.parametrize("rule", ["base_stock", "reorder_lots"])
def test_other_rules_are_certified_as_well(rule: Any) -> None:
    problem, floors = dc4()
    found = simulation_optimization(problem, rule=rule, floors=floors, seed=1, budget=30_000_000)
    assert found.certified
    lots = {
        "base_stock": [0.0] * 5,
        "reorder_lots": [found.parameters.get(f"Lot {n.name}") for n in problem.network.nodes],
    }
    assert found.policy.lot.tolist() == lots[rule]


def test_on_echelon_positions_every_node_still_meets_its_floor() -> None:
    problem, floors = dc4()
    found = simulation_optimization(problem, position="echelon", floors=floors, seed=1, budget=30_000_000)
    assert found.certified
    assert found.policy.position == "echelon"
    below = sum(found.parameters[f"Min warehouse_{i}"] for i in range(1, 5))
    assert found.parameters["Min centre_1"] > below


def test_bounds_that_leave_no_room_give_the_least_infeasible_and_say_why() -> None:
    problem, floors = dc4()
    bounds = {"Max warehouse_1": (0, 8)}
    found = simulation_optimization(problem, floors=floors, bounds=bounds, seed=1, budget=20_000_000)
    assert not found.certified
    assert found.parameters["Max warehouse_1"] == 8
    assert len(found.shortfalls) == 1
    assert found.shortfalls[0].startswith("fill_rate of warehouse_1 >= 0.95: 0.6")
    assert found.shortfalls[0].endswith("(Max warehouse_1 is at its upper bound 8)")
    assert all(r.verdict == "met" for r in found.certificate.floors if r.floor.node != "warehouse_1")


def test_supply_that_cannot_keep_up_is_named() -> None:
    node = {"name": "store", "holding_cost": 1.0, "stockout_cost": 1.0, "demand": Poisson(mean=5), "initial_on_hand": 9}
    network = Network.from_dict({"nodes": [node], "links": [{"target": "store", "lead_time": 1, "capacity": 4.0}]})
    problem = Problem("narrow", network, periods=300, warm_up=50)
    found = simulation_optimization(problem, floors=floors_of(network, 0.9), rule="base_stock", budget=500_000)
    assert not found.certified
    assert found.shortfalls[0].endswith("what is supplied to it is too little, or too late)")


def test_the_plan_has_the_numbers_and_what_they_achieve() -> None:
    problem = store(Poisson(mean=5), fixed_cost=20.0)
    plan = simulation_optimization_plan(problem, service_level=0.9, seed=2)
    assert plan.parameters["certified"]
    assert plan.parameters["service"]["fill_rate of store >= 0.9"] >= 0.9
    numbers = plan.parameters["numbers"]
    assert plan.parameters["reorder"] == [numbers["Min store"]]
    assert plan.parameters["up_to"] == [numbers["Max store"]]


def test_a_start_is_where_the_search_begins() -> None:
    problem = store(Poisson(mean=5), fixed_cost=20.0)
    found = simulation_optimization(problem, start={"Min store": 30, "Max store": 31}, seed=2, budget=2_000_000)
    assert found.start == {"Min store": 30.0, "Max store": 31.0}
    assert found.gain.mean > 0
    assert found.parameters["Min store"] < 15


def serial(**depot: Any) -> Problem:
    """A depot and an outlet with lumpy demand, each with a fixed cost."""
    outlet = {"name": "a", "demand": NegativeBinomial(mean=4, sd=4), "holding_cost": 1.0}
    nodes = [{"name": "d", "holding_cost": 0.5} | depot, outlet]
    links = [
        {"target": "d", "lead_time": 4, "fixed_cost": 60.0},
        {"source": "d", "target": "a", "lead_time": 2, "fixed_cost": 10.0},
    ]
    return Problem("serial", Network.from_dict({"nodes": nodes, "links": links}), periods=425, warm_up=60)


@pytest.mark.parametrize("seed", range(2))
def test_what_is_returned_is_what_was_ranked(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    ranked: list[list[tuple[float, ...]]] = []

    def recorded(problem: Problem, policies: Any, **options: Any) -> Any:
        ranked.append([(*policy.reorder, *policy.up_to) for policy in policies])
        return simulated_costs(problem, policies, **options)

    monkeypatch.setattr(search_stages, "simulated_costs", recorded)
    problem = serial()
    found = simulation_optimization(problem, floors=floors_of(problem.network, 0.95), seed=seed, budget=10_000_000)
    assert found.certified
    assert len(ranked) == found.certificate.attempt + 1  # type: ignore[operator]
    assert (*found.policy.reorder, *found.policy.up_to) == ranked[-1][found.selection.best]
    assert len(set(ranked[-1])) == len(found.selection.means)


def test_the_valley_between_a_suppliers_lots_and_its_receivers_is_found() -> None:
    """The cheapest pair that is known to be certified costs 30.81: Min d 36, Max d 70, Min a 22, Max a 56."""
    problem = serial()
    found = simulation_optimization(problem, position="echelon", floors=floors_of(problem.network, 0.95), seed=2)
    assert found.certified
    assert found.cost.mean - found.cost.half_width < 1.003 * 30.81


@pytest.mark.parametrize("budget", [1, 300_000])
def test_small_samples_certify_what_is_feasible(budget: int) -> None:
    problem = serial()
    found = simulation_optimization(problem, floors=floors_of(problem.network, 0.95), seed=2, budget=budget)
    assert found.certified


def test_where_attempts_run_out_the_samples_are_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_stages, "ATTEMPTS", 1)
    monkeypatch.setattr(SearchStages, "_certificate_sizes", lambda _: [2, 3])
    problem = store(NegativeBinomial(mean=40, sd=20), fixed_cost=20.0)
    found = simulation_optimization(problem, floors=floors_of(problem.network, 0.95), budget=300_000)
    assert not found.certified
    assert found.shortfalls[0].endswith(": give it a larger budget)")


def test_replications_may_be_very_long() -> None:
    problem = replace(store(Poisson(mean=5), fixed_cost=20.0), periods=334 * 365 + 50, warm_up=50)
    found = simulation_optimization(
        problem, rule="base_stock", floors=floors_of(problem.network, 0.9), budget=1, start=[12]
    )
    assert found.certified
    assert found.certificate.replications >= 30


def test_a_network_without_demand_costs_nothing() -> None:
    node = {"name": "store", "holding_cost": 1.0, "stockout_cost": 1.0, "demand": Deterministic(values=(0.0,))}
    network = Network.from_dict({"nodes": [node], "links": [{"target": "store", "lead_time": 1}]})
    found = simulation_optimization(Problem("idle", network, periods=60, warm_up=10), budget=100_000)
    assert found.cost.mean == 0.0
    assert found.certified


REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        {"rule": "s_S"},
        "rule must be min_max or base_stock or reorder_lots, got 's_S'; known: base_stock, min_max, reorder_lots",
    ),
    (
        {"position": "on_hands"},
        "position must be installation or echelon or on_hand, got 'on_hands'; did you mean 'on_hand'?",
    ),
    ({"review_period": 0}, "review_period must be a whole number of at least 1, got 0"),
    ({"budget": 0}, "budget must be at least 1 node-period, got 0"),
    (
        {"floors": (ServiceFloor("store", 1.0),)},
        "floors: the level of store must be greater than 0 and less than 1 (got 1.0)",
    ),
    ({"bounds": {"Min store": (9, 3)}}, "bounds: Min store must not cross, got lowest 9 above highest 3"),
    ({"bounds": {"Min stor": (1, 3)}}, "bounds: the rule has no number 'Min stor'; did you mean 'Min store'?"),
    ({"bounds": {"Min store": (0.5, 3)}}, "bounds: Min store must be a whole number, got 0.5"),
    (
        {"bounds": {"Min store": (5, 9), "Max store": (0, 3)}},
        "bounds: Max store must reach up to Min store, got 3 below 5",
    ),
    ({"bounds": [(0, 3)]}, "bounds must have 2 values, one for each of Min store, Max store (got 1)"),
    ({"start": [5]}, "start must have 2 values, one for each of Min store, Max store (got 1)"),
    ({"start": [5, 2]}, "start: Max store must be at least Min, got 2 below 5"),
    ({"start": {"Min store": 3}}, "start must have a value for every number, none for 'Max store'"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED)
def test_what_cannot_be_asked_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(MethodError) as error:
        simulation_optimization(store(Poisson(mean=5)), **options)
    assert str(error.value).startswith(message)


def test_customers_who_may_wait_for_nothing_need_a_floor() -> None:
    problem = store(Poisson(mean=5), stockout_cost=0.0)
    with pytest.raises(MethodError, match="needs a floor, a stockout cost or a price at every outlet"):
        simulation_optimization(problem)
    found = simulation_optimization(problem, floors=floors_of(problem.network, 0.9), budget=2_000_000)
    assert found.certified


def test_a_network_too_large_to_be_searched_is_refused() -> None:
    with pytest.raises(MethodError, match=r"simulation_optimization needs at most 200 links \(got 1273\)"):
        simulation_optimization(make_problem("echelon/ConsumerGoods-v0"))


def test_lateral_links_are_refused() -> None:
    problem = make_problem("echelon/OneWarehouse-v0")
    data = problem.network.model_dump(exclude_defaults=True)
    data["links"] = [*data["links"], {"source": "retailer_1", "target": "retailer_2", "lateral": True}]
    with pytest.raises(MethodError, match="simulation_optimization needs a network without lateral links"):
        simulation_optimization(replace(problem, network=Network.from_dict(data)))
