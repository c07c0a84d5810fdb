"""Depots with and without stock, and the relaxation that bounds every policy of a distribution system."""

from __future__ import annotations

import doctest
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from echelon.baselines import depot_without_stock as module
from echelon.baselines.convex import Convex, kink, shared
from echelon.baselines.depot_allocation import Allocation, DepotPolicy, allocation_path
from echelon.baselines.depot_without_stock import eppen_schrage, eppen_schrage_plan, federgruen_zipkin_plan
from echelon.baselines.distribution_bound import clark_scarf_relaxation, relaxed_costs
from echelon.baselines.lattice import on_lattice
from echelon.baselines.lead_time_demand import lead_time_demand
from echelon.baselines.one_for_one_plans import one_for_one_plan
from echelon.baselines.serial import clark_scarf_plan
from echelon.envs.assembly import assembly
from echelon.envs.classic_problems import lost_sales, one_warehouse, serial
from echelon.envs.demand import Gamma, Law, Normal, Poisson
from echelon.envs.errors import MethodError
from echelon.envs.network import Network
from echelon.envs.policy import order_up_to
from echelon.envs.problem import Problem
from echelon.envs.scenarios import sample
from echelon.envs.simulate import simulate, simulate_cost

ALLOCATIONS: tuple[Allocation, ...] = ("balanced", "myopic")

# Mean and sd of the retailers, L_0, L, h, p; level and cost by an independent program, whose simulation of the balanced
# policy gave 33.2469, 144.2016 and 65.4906.
EPPEN_SCHRAGE: list[tuple[list[float], list[float], int, int, float, float, float, float]] = [
    ([10] * 4, [3] * 4, 2, 1, 1, 9, 184.31573131645303, 33.29846726801509),
    ([10] * 16, [3] * 16, 2, 1, 1, 19, 755.0927484737902, 144.33094984148528),
    ([5, 10, 20], [2, 5, 8], 3, 2, 1, 19, 260.8044137374601, 63.71078445952018),
]


@pytest.mark.parametrize("row", EPPEN_SCHRAGE)
def test_the_closed_form_of_eppen_and_schrage_gives_the_reference_rows(row: Any) -> None:
    best = closed_form(*row[:6])
    assert best.level == pytest.approx(row[6], rel=1e-12)
    assert best.cost == pytest.approx(row[7], rel=1e-12)


def closed_form(mean: Any, sd: Any, warehouse: int, lead_time: Any, holding: float, stockout: float) -> Any:
    return eppen_schrage(
        mean=mean,
        sd=sd,
        warehouse_lead_time=warehouse,
        lead_time=lead_time,
        holding_cost=holding,
        stockout_cost=stockout,
    )


def test_a_depot_without_any_variance_costs_nothing() -> None:
    best = closed_form([3, 4], [0, 0], 2, [1, 0], 1, 9)
    assert (best.level, best.cost, best.sd) == (3 * 4 + 4 * 3, 0.0, 0.0)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({0: []}, "mean, sd and lead_time must have one number per retailer, got 0, 2 and 0"),
        ({1: [1.0]}, "mean, sd and lead_time must have one number per retailer, got 2, 1 and 2"),
        ({1: [1.0, -1.0]}, "sd must be a finite number of at least 0, got -1"),
        ({2: -1}, "warehouse_lead_time must be a finite number of at least 0, got -1"),
        ({4: 0}, "holding_cost must be a finite number greater than 0, got 0"),
        ({5: 0}, "stockout_cost must be a finite number greater than 0, got 0"),
    ],
)
def test_bad_depots_are_refused_by_name(change: dict[int, Any], message: str) -> None:
    arguments: list[Any] = [[1, 1], [1, 1], 1, 1, 1, 1]
    for position, value in change.items():
        arguments[position] = value
    with pytest.raises(MethodError) as caught:
        closed_form(*arguments)
    assert str(caught.value) == message


def test_the_recursion_for_normal_demand_agrees_with_the_closed_form() -> None:
    mean, sd, times = [8.0, 20.0, 32.0], [2.0, 5.0, 8.0], [2, 0, 1]
    demand = [{"law": "normal", "mean": m, "sd": s} for m, s in zip(mean, sd, strict=True)]
    problem = one_warehouse(demand=demand, lead_time=times, warehouse_lead_time=3)
    plan, best = eppen_schrage_plan(problem), closed_form(mean, sd, 3, times, 1, 9)
    assert plan.model_cost == pytest.approx(best.cost, rel=3e-6)
    assert plan.model_cost is not None
    assert plan.model_cost <= best.cost
    assert plan.parameters["level"] == pytest.approx(best.level, rel=1e-3)


convex_functions = st.builds(
    lambda origin, value, slope, jumps: Convex(float(origin), float(value), float(slope), np.array(jumps, float), 1.0),
    st.integers(-3, 3),
    st.integers(-5, 5),
    st.integers(-6, -1),
    st.lists(st.integers(0, 4), min_size=2, max_size=5).map(lambda jumps: [*jumps, 7]),
)


def value(f: Convex, x: float) -> float:
    bends = (float(jump) * max(x - f.origin - k * f.step, 0.0) for k, jump in enumerate(f.jumps))
    return f.value + f.slope * (x - f.origin) + sum(bends)


@given(f=convex_functions, g=convex_functions, x=st.integers(-15, 15), limit=st.integers(-1, 4))
@settings(max_examples=60, deadline=None)
def test_convex_functions_are_shared_capped_minimised_and_averaged_as_brute_force_does(
    f: Convex, g: Convex, x: int, limit: int
) -> None:
    far = range(-60, 61)
    assert value(shared([f, g]), x) == pytest.approx(min(value(f, y) + value(g, x - y) for y in far))
    assert value(f.steepest(limit), x) == pytest.approx(min(value(f, z) + limit * (x - z) for z in range(-60, x + 1)))
    assert f.minimum == pytest.approx(min(value(f, y) for y in far))
    assert value(f, f.minimiser) == pytest.approx(f.minimum)
    dice = on_lattice(lead_time_demand(Poisson(mean=1.5), 2), 1.0)
    brute = sum(p * value(f, x - d) for d, p in enumerate(stats.poisson.pmf(np.arange(60), 3.0)))
    assert value(f.expected(dice), x) == pytest.approx(brute, abs=1e-10)


def test_a_law_put_on_a_lattice_keeps_its_mean_and_gets_no_less_variable() -> None:
    law = lead_time_demand(Gamma(mean=5, sd=3), 2)
    coarse = on_lattice(law, 0.5)
    assert coarse.mean == pytest.approx(10, rel=1e-9)
    assert 0 < coarse.sd - law.sd < 0.05


@pytest.mark.parametrize("demand", ["poisson", "geometric"])
def test_the_relaxation_of_a_serial_system_is_exact(demand: str) -> None:
    problem = serial(demand=demand)
    bound = clark_scarf_relaxation(problem)
    assert (bound.kind, bound.half_width) == ("clark_scarf_relaxation", 0.0)
    assert bound.value == pytest.approx(clark_scarf_plan(problem).model_cost, rel=1e-12)


@pytest.mark.parametrize(
    "demand", [{"law": "normal", "mean": 5.0, "sd": 1.0}, {"law": "gamma", "mean": 5.0, "sd": 3.0}]
)
def test_the_relaxation_on_a_lattice_stays_just_below_the_exact_cost(demand: dict[str, Any]) -> None:
    problem = serial(demand=demand, lead_time=(1, 2), holding_cost=(1.0, 2.0))
    exact = clark_scarf_plan(problem).model_cost
    assert exact is not None
    assert (1 - 5e-6) * exact < clark_scarf_relaxation(problem).value <= exact


def test_the_bound_of_unlike_retailers_is_that_of_a_direct_search_over_all_splits() -> None:
    means, times, h, p, h0 = (0.7, 1.5), (1, 0), (1.0, 2.0), (9.0, 4.0), 0.5
    demand = [{"law": "poisson", "mean": mean} for mean in means]
    problem = one_warehouse(
        retailers=2, demand=demand, lead_time=times, holding_cost=h, stockout_cost=p, warehouse_lead_time=2
    )
    units, d = np.arange(-30, 40), np.arange(60)
    costs = []
    for mean, time, holding, stockout in zip(means, times, h, p, strict=True):
        pmf, net = stats.poisson.pmf(d, mean * (time + 1)), units[:, None] - d
        costs.append((holding * np.maximum(net, 0) + stockout * np.maximum(-net, 0)) @ pmf)
    pooled = stats.poisson.pmf(d, 2 * sum(means))

    def best_split(x: int) -> float:
        room = x - (units[:, None] + units)
        return float(np.where(room >= 0, h0 * room + costs[0][:, None] + costs[1], np.inf).min())

    splits = {x: best_split(x) for x in range(-40, 30)}
    direct = min(sum(chance * splits[y - k] for k, chance in enumerate(pooled[:40])) for y in range(30))
    assert clark_scarf_relaxation(problem).value == pytest.approx(direct, rel=1e-10)


def test_the_relaxation_counts_purchase_and_transit_costs_of_the_flow() -> None:
    problem = one_warehouse(demand_mean=3.0)
    links = [link.model_copy(update={"unit_cost": 2.0, "transit_holding_cost": 0.5}) for link in problem.network.links]
    changed = Network.from_dict(problem.network.model_copy(update={"links": tuple(links)}).model_dump())
    more = clark_scarf_relaxation(replace(problem, network=changed)).value - clark_scarf_relaxation(problem).value
    assert more == pytest.approx(9 * (2 + 0.5 * 2) + 9 * (2 + 0.5 * 1))


def tree() -> Problem:
    """A central warehouse, two regional ones, and two shops at each of them."""
    nodes: list[dict[str, Any]] = [{"name": "centre", "holding_cost": 0.3, "initial_on_hand": 10}]
    links: list[dict[str, Any]] = [{"target": "centre", "lead_time": 2, "initial_in_transit": 10}]
    for region, lead_time in (("north", 1), ("south", 2)):
        nodes.append({"name": region, "holding_cost": 0.6, "allocation": "balance"})
        links.append({"source": "centre", "target": region, "lead_time": lead_time})
        for shop, mean in ((f"{region}_a", 2.0), (f"{region}_b", 4.0)):
            demand = {"law": "poisson", "mean": mean}
            nodes.append({"name": shop, "holding_cost": 1.0, "stockout_cost": 9.0, "demand": demand})
            links.append({"source": region, "target": shop, "lead_time": 1})
    network = Network.from_dict({"name": "tree", "nodes": nodes, "links": links})
    return Problem("tree", network, periods=600, warm_up=100)


def test_echelon_base_stock_on_a_tree_of_three_tiers_comes_close_to_the_bound_and_not_below() -> None:
    problem = tree()
    bound = clark_scarf_relaxation(problem).value
    costs = relaxed_costs(problem.network, 1.0)
    rule = order_up_to(problem.network, [costs[x.target].minimiser for x in problem.network.links], position="echelon")
    cost, error = simulated(problem, rule, 500)
    assert bound <= cost + 3 * error
    assert cost < 1.2 * bound


def simulated(problem: Problem, policy: Any, replications: int) -> tuple[float, float]:
    scenarios = sample(problem.network, periods=problem.periods, replications=replications, seed=11)
    cost = simulate_cost(problem, policy, scenarios)
    return float(cost.mean()), float(cost.std() / replications**0.5)


def short(**changes: Any) -> Problem:
    return one_warehouse(**changes, periods=300, warm_up=60)


ALIKE = [
    short(),
    short(retailers=4, demand={"law": "normal", "mean": 10.0, "sd": 2.5}),
    short(retailers=5, demand={"law": "negative_binomial", "mean": 5.0, "sd": 4.0}, warehouse_lead_time=3),
]


@pytest.mark.parametrize("problem", ALIKE, ids=["poisson", "normal", "negative binomial"])
def test_shipping_in_balance_costs_at_most_three_percent_more_than_the_bound_for_like_retailers(
    problem: Problem,
) -> None:
    bound = clark_scarf_relaxation(problem).value
    keeps, ships_all = federgruen_zipkin_plan(problem), eppen_schrage_plan(problem)
    assert keeps.model_cost == pytest.approx(bound, rel=1e-12)
    assert ships_all.model_cost is not None
    assert bound <= ships_all.model_cost
    for plan in (keeps, ships_all):
        cost, error = simulated(problem, plan.policy, 800)
        assert error < 0.003 * cost
        assert plan.model_cost is not None
        assert plan.model_cost - 3 * error < cost < 1.03 * plan.model_cost
        assert not plan.optimal


UNLIKE = short(
    demand=[{"law": "poisson", "mean": mean} for mean in (1.0, 3.0, 8.0)],
    lead_time=[1, 2, 0],
    stockout_cost=[9.0, 19.0, 5.0],
    warehouse_lead_time=3,
)


def test_unlike_retailers_are_served_better_by_marginal_costs_than_by_equal_fractiles() -> None:
    bound = clark_scarf_relaxation(UNLIKE).value
    myopic, error = simulated(UNLIKE, federgruen_zipkin_plan(UNLIKE).policy, 800)
    balanced, _ = simulated(UNLIKE, federgruen_zipkin_plan(UNLIKE, allocation="balanced").policy, 800)
    assert bound - 3 * error < myopic < 1.02 * bound
    assert myopic < 0.97 * balanced
    one_by_one, _ = simulated(UNLIKE, one_for_one_plan(UNLIKE).policy, 800)
    assert myopic < one_by_one


def test_one_retailer_with_a_depot_is_the_optimal_serial_system() -> None:
    problem = one_warehouse(retailers=1, demand_mean=5.0)
    plan = federgruen_zipkin_plan(problem)
    assert plan.model_cost == pytest.approx(clark_scarf_plan(problem).model_cost, rel=1e-10)
    cost, error = simulated(problem, plan.policy, 1_500)
    assert plan.model_cost is not None
    assert error < 0.003 * cost
    assert abs(cost - plan.model_cost) < 3 * error


@pytest.mark.parametrize("allocation", ALLOCATIONS)
@pytest.mark.parametrize("problem", [UNLIKE, ALIKE[1], short(warehouse_lead_time=0)])
def test_the_depot_is_never_asked_for_more_than_it_has(problem: Problem, allocation: Allocation) -> None:
    scenarios = sample(problem.network, periods=problem.periods, replications=20, seed=3)
    for make in (eppen_schrage_plan, federgruen_zipkin_plan):
        policy = make(problem, allocation=allocation).policy
        outcome = simulate(problem, policy, scenarios, trace=True, check=True)
        assert outcome.trace is not None
        np.testing.assert_allclose(outcome.trace.shipped, outcome.trace.ordered, atol=1e-9)
        if make is eppen_schrage_plan:
            assert outcome.per_period["on_hand"][:, 0].max() < 1e-9


def retailers(*means: float) -> list[Any]:
    return [lead_time_demand(Poisson(mean=mean), 2) for mean in means]


PRICES: dict[str, Any] = {"holding_cost": [1, 2, 1], "stockout_cost": [9, 9, 30]}


@given(
    positions=st.lists(st.integers(-20, 25), min_size=3, max_size=3),
    stock=st.integers(0, 60),
    keeps=st.booleans(),
)
@settings(max_examples=60, deadline=None)
def test_myopic_shares_are_those_of_handing_out_units_one_by_one(positions: list[int], stock: int, keeps: bool) -> None:
    demands, value_at_depot = retailers(1, 3, 8), 0.5 if keeps else None
    path = allocation_path(demands, "myopic", **PRICES, warehouse_holding_cost=value_at_depot, whole=True)
    policy = DepotPolicy(0.0, path, 0, 0, np.arange(1, 4))
    shipped = policy.shipments(np.array([positions], float), np.array([float(stock)]), whole=True)[0]
    levels, left = list(positions), stock
    while left:
        slopes = [
            h + (h + p) * float(d.shortage(y + 1) - d.shortage(y))
            for d, h, p, y in zip(demands, PRICES["holding_cost"], PRICES["stockout_cost"], levels, strict=True)
        ]
        if keeps and min(slopes) >= 0.5:
            break
        levels[int(np.argmin(slopes))] += 1
        left -= 1
    assert (shipped >= 0).all()
    assert (shipped == np.floor(shipped)).all()
    assert shipped.sum() <= stock
    if all(y >= d.mean - 3 * d.sd for y, d in zip(levels, demands, strict=True)):
        cost = expected_cost(demands, np.array(positions) + shipped) + 0.5 * keeps * (stock - shipped.sum())
        assert cost == pytest.approx(expected_cost(demands, np.array(levels)) + 0.5 * keeps * left, rel=1e-9)


def expected_cost(demands: list[Any], levels: Any) -> float:
    costs = zip(demands, PRICES["holding_cost"], PRICES["stockout_cost"], levels, strict=True)
    return sum(float(h * d.excess(y) + p * d.shortage(y)) for d, h, p, y in costs)


@given(positions=st.lists(st.floats(-5, 30), min_size=3, max_size=3), stock=st.floats(0, 20))
@settings(max_examples=60, deadline=None)
def test_balanced_shares_leave_equal_fractiles_where_something_is_shipped(positions: list[float], stock: float) -> None:
    demands = [lead_time_demand(law, 2) for law in normal_laws()]
    path = allocation_path(demands, "balanced", **PRICES, warehouse_holding_cost=None, whole=False)
    policy = DepotPolicy(0.0, path, 0, 0, np.arange(1, 4))
    shipped = policy.shipments(np.array([positions]), np.array([stock]), whole=False)[0]
    after = [(y + q - d.mean) / d.sd for y, q, d in zip(positions, shipped, demands, strict=True)]
    assert shipped.sum() == pytest.approx(stock)
    raised = [z for z, q in zip(after, shipped, strict=True) if q > 1e-9]
    if raised:
        assert max(raised) - min(raised) < 0.05
        assert min(after) > max(raised) - 0.05


def normal_laws() -> list[Law]:
    return [Normal(mean=5, sd=1), Normal(mean=8, sd=2), Normal(mean=4, sd=0.5)]


def test_a_backlog_beyond_the_path_is_shared_in_proportion() -> None:
    path = allocation_path(retailers(1, 3, 8), "balanced", **PRICES, warehouse_holding_cost=0.5, whole=True)
    policy = DepotPolicy(0.0, path, 0, 0, np.arange(1, 4))
    shipped = policy.shipments(np.array([[-1000.0, -2000.0, -1000.0]]), np.array([40.0]), whole=True)[0]
    assert shipped.tolist() == [10.0, 20.0, 9.0]


def test_certain_demand_costs_nothing_but_its_flow() -> None:
    problem = short(demand=[{"law": "deterministic", "values": (float(n),)} for n in (2, 3, 4)])
    assert clark_scarf_relaxation(problem).value == pytest.approx(0.0, abs=1e-9)
    for make in (eppen_schrage_plan, federgruen_zipkin_plan):
        cost, _ = simulated(problem, make(problem).policy, 2)
        assert cost == pytest.approx(0.0, abs=1e-9)


@pytest.mark.parametrize(
    ("problem", "rule"),
    [
        (lost_sales(), "backorders at every outlet"),
        (one_warehouse(stockout_rule="lost_sales"), "backorders at every outlet"),
        (replace(one_warehouse(), warm_up=0, discount=0.99), "an average-cost objective (discount 1)"),
        (one_warehouse(demand={"law": "normal", "mean": 3.0, "sd": 1.0}), "normal demand that is hardly ever negative"),
        (one_warehouse(demand={"law": "poisson", "mean": 3.0, "seasonal": (0.5, 1.5)}), "demand with the same law in every period"),  # noqa: E501
        (one_warehouse(demand={"law": "ar1", "mean": 9.0, "sd": 1.0, "correlation": 0.5}), "demand that is independent from period to period"),  # noqa: E501
    ],
)  # fmt: skip
def test_plans_and_the_bound_are_refused_with_the_rule_that_is_broken(problem: Problem, rule: str) -> None:
    names: dict[str, Callable[[Problem], object]] = {
        "eppen_schrage": eppen_schrage_plan,
        "federgruen_zipkin": federgruen_zipkin_plan,
        "clark_scarf_relaxation": clark_scarf_relaxation,
    }
    for name, make in names.items():
        with pytest.raises(MethodError) as caught:
            make(problem)
        assert str(caught.value) == f"{name} needs {rule}"


def test_the_bound_needs_a_tree_with_customers_at_its_ends_who_cost_something() -> None:
    plain = assembly(assembly_time=0, quantity=1.0)
    inner = tree()
    nodes = list(inner.network.nodes)
    nodes[1] = nodes[1].model_copy(update={"demand": Poisson(mean=1)})
    inner = replace(
        inner, network=Network.from_dict(inner.network.model_copy(update={"nodes": tuple(nodes)}).model_dump())
    )
    for problem, rule in (
        (plain, "a distribution tree: one link into every node"),
        (inner, "customers at the ends of the tree only"),
        (one_warehouse(stockout_cost=0.0), "a stockout cost above 0 at every outlet"),
    ):
        with pytest.raises(MethodError) as caught:
            clark_scarf_relaxation(problem)
        assert str(caught.value) == f"clark_scarf_relaxation needs {rule}"


def test_an_unknown_allocation_is_refused_by_name() -> None:
    unknown: Any = "fair"
    with pytest.raises(MethodError, match="allocation must be balanced or myopic, got 'fair'"):
        eppen_schrage_plan(one_warehouse(), allocation=unknown)


def test_the_examples_in_the_docstrings_are_right() -> None:
    assert doctest.testmod(module).failed == 0


def test_a_kink_is_the_cost_of_a_period() -> None:
    period = kink(-9.0, 1.0, 1.0)
    assert [value(period, x) for x in (-2, 0, 3)] == [18.0, 0.0, 3.0]
