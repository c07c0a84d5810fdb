"""Policies for a service level: full enumeration, closed forms, and the service that the simulation counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from echelon.baselines.min_max_service import (
    min_max_service,
    optimal_service_min_max,
    optimal_service_reorder_lots,
    service_base_stock,
    service_min_max,
)
from echelon.baselines.position_service import Service
from echelon.envs.demand import (
    Deterministic,
    Discrete,
    DiscreteUniform,
    Gamma,
    Geometric,
    Intermittent,
    Law,
    NegativeBinomial,
    Normal,
    Poisson,
)
from echelon.envs.errors import MethodError
from echelon.envs.policy import order_up_to, reorder_lots
from echelon.envs.scenarios import sample
from echelon.envs.simulate import simulate

from .test_min_max_exact import LUMPY, position_chain, stock_costs, store, sum_of_periods
from .test_reorder_lots_exact import SINGLE_UNITS, lots_chain

Floats = NDArray[np.float64]
KINDS: tuple[Service, Service] = ("fill_rate", "alpha")


def instance(seed: int) -> tuple[Law, dict[str, Any]]:
    """A small random problem: demand, lead time, costs, kind of service and its target."""
    random = np.random.default_rng(seed)
    chances = random.dirichlet(np.ones(5))
    laws: list[Law] = [
        Poisson(mean=float(random.uniform(0.5, 4))),
        Discrete(values=(0, 1, 2, 3, 4), probabilities=tuple(np.append(chances[:-1], 1 - chances[:-1].sum()).tolist())),
        DiscreteUniform(low=int(random.integers(0, 3)), high=int(random.integers(3, 6))),
        NegativeBinomial(mean=2, sd=float(random.uniform(1.6, 2.5))),
    ]
    return laws[seed % 4], {
        "holding_cost": float(random.uniform(0.5, 2)),
        "fixed_cost": float(random.uniform(0, 25)),
        "stockout_cost": float(random.choice([0, 0, 3])),
        "service_level": float(random.uniform(0.5, 0.98)),
        "kind": KINDS[int(random.integers(2))],
        "lead_time": int(random.integers(0, 3)),
    }


def service_of_levels(law: Law, lead: int, kind: str, levels: Floats) -> Floats:
    """The service of each position, summed over the demands of the lead time and of the period."""
    if kind == "alpha":
        total = sum_of_periods(law, lead + 1)
        return np.asarray([total[np.arange(len(total)) <= level].sum() for level in levels])
    before, period = sum_of_periods(law, lead), law.pmf()
    stock = np.maximum(levels[:, None] - np.arange(len(before)), 0)
    sold = np.minimum(stock[:, :, None], np.arange(len(period)))
    return np.asarray((sold @ period) @ before / (np.arange(len(period)) @ period))


def enumerated(
    law: Law, arguments: dict[str, Any], shares_and_orders: Callable[[Law, int], tuple[Floats, float]]
) -> tuple[float, dict[tuple[float, int], tuple[float, float]]]:
    """The least cost of all feasible policies, and every policy's cost and service, by highest position and span."""
    levels = np.arange(-25.0, 50.0)
    lead, kind = arguments["lead_time"], arguments["kind"]
    g = stock_costs(law, lead, arguments["holding_cost"], arguments["stockout_cost"], levels)
    service = service_of_levels(law, lead, kind, levels)
    known = {}
    for span in range(1, 36):
        shares, orders = shares_and_orders(law, span)
        for top in range(span, len(levels)):
            at = top - np.arange(span)
            known[float(levels[top]), span] = (
                arguments["fixed_cost"] * orders + float(shares @ g[at]),
                float(shares @ service[at]),
            )
    feasible = [cost for cost, achieved in known.values() if achieved >= arguments["service_level"]]
    return min(feasible), known


def chain_of_min_max(law: Law, span: int) -> tuple[Floats, float]:
    """Shares of the positions S, ..., s + 1 after the review, and orders per period."""
    shares = position_chain(law, span)
    chances = law.pmf()
    return shares, float(sum(share * chances[span - below :].sum() for below, share in enumerate(shares)))


def chain_of_lots(law: Law, lot: int) -> tuple[Floats, float]:
    """The same for r + Q, ..., r + 1."""
    shares, orders = lots_chain(law, lot)
    return shares[::-1], orders


@pytest.mark.parametrize("seed", range(50))
def test_the_constrained_min_max_optimum_is_that_of_full_enumeration(seed: int) -> None:
    law, arguments = instance(seed)
    best = optimal_service_min_max(demand=law, **arguments)
    least, known = enumerated(law, arguments, chain_of_min_max)
    assert best.cost == pytest.approx(least, rel=1e-9)
    cost, achieved = known[best.up_to, best.up_to - best.reorder]
    assert best.cost == pytest.approx(cost, rel=1e-9)
    assert getattr(best.service, arguments["kind"]) == pytest.approx(achieved, rel=1e-9)
    assert achieved >= arguments["service_level"] - 1e-9
    assert best.up_to - best.reorder < 35


@pytest.mark.parametrize("seed", range(20))
def test_the_constrained_lot_optimum_is_that_of_full_enumeration(seed: int) -> None:
    law, arguments = instance(seed)
    best = optimal_service_reorder_lots(demand=law, **arguments)
    least, known = enumerated(law, arguments, chain_of_lots)
    assert best.cost == pytest.approx(least, rel=1e-9)
    cost, achieved = known[best.up_to, best.up_to - best.reorder]
    assert best.cost == pytest.approx(cost, rel=1e-9)
    assert getattr(best.service, arguments["kind"]) == pytest.approx(achieved, rel=1e-9)
    assert best.up_to - best.reorder < 35


def test_under_continuous_review_service_is_what_an_arriving_customer_finds() -> None:
    """The best of all pairs, with the level at a random time taken as uniform position less Poisson demand."""
    rate, lead, target = 4.0, 1.5, 0.95
    demands = np.arange(60)
    chances = stats.poisson.pmf(demands, rate * lead)
    costs = {}
    for reorder in range(-5, 20):
        for lot in range(1, 40):
            level = reorder + 1 + np.arange(lot)[:, None] - demands
            if ((level >= 1) @ chances).mean() >= target:
                costs[reorder, lot] = 20 * rate / lot + (np.maximum(level, 0) @ chances).mean()
    best = optimal_service_reorder_lots(
        demand=Poisson(mean=rate),
        holding_cost=1,
        fixed_cost=20,
        service_level=target,
        lead_time=lead,
        review="continuous",
    )
    assert (best.reorder, best.up_to - best.reorder) == min(costs, key=lambda pair: costs[pair])
    assert best.cost == pytest.approx(min(costs.values()))


@settings(max_examples=25, deadline=None)
@given(law=st.sampled_from(LUMPY), kind=st.sampled_from(KINDS), level=st.floats(0.05, 0.97), fixed=st.floats(0, 40))
def test_more_service_costs_no_less_and_is_reached(law: Law, kind: Service, level: float, fixed: float) -> None:
    arguments: dict[str, Any] = {"demand": law, "holding_cost": 1, "fixed_cost": fixed, "kind": kind, "lead_time": 1}
    less = optimal_service_min_max(service_level=level, **arguments)
    more = optimal_service_min_max(service_level=level + 0.02, **arguments)
    assert less.cost <= more.cost * (1 + 1e-9)
    assert getattr(less.service, kind) >= level - 1e-9
    achieved = min_max_service(less.reorder, less.up_to, demand=law, lead_time=1)
    assert achieved.fill_rate == pytest.approx(less.service.fill_rate, rel=1e-9, abs=1e-12)
    assert achieved.alpha == pytest.approx(less.service.alpha, rel=1e-9, abs=1e-12)


@pytest.mark.parametrize(
    ("law", "lead"),
    [
        (Poisson(mean=5), 2),
        (Intermittent(interval=4, size=Geometric(mean=6), shift=1), 1),
        (NegativeBinomial(mean=5, sd=8), 0),
    ],
    ids=["poisson", "intermittent", "lumpy"],
)
@pytest.mark.parametrize("kind", KINDS)
def test_the_simulation_counts_the_cost_and_the_service_of_the_model(law: Law, lead: int, kind: Service) -> None:
    problem = store(law, node={"stockout_cost": 0.0}, link={"lead_time": lead})
    plan = service_min_max(problem, service_level=0.92, kind=kind)
    assert not plan.optimal
    assert plan.parameters[kind] >= 0.92
    assert plan.model_cost is not None
    scenarios = sample(problem.network, periods=problem.periods, replications=1_000, seed=7)
    outcome = simulate(problem, plan.policy, scenarios)
    for simulated, model in (
        (outcome.cost, plan.model_cost),
        (outcome.fill_rate, plan.parameters["fill_rate"]),
        (outcome.alpha, plan.parameters["alpha"]),
    ):
        error = simulated.std(ddof=1) / len(simulated) ** 0.5
        assert error < 0.003 * model
        assert abs(simulated.mean() - model) < 3 * error


def test_the_simulation_counts_the_service_of_lots_and_of_base_stock() -> None:
    law = Poisson(mean=5)
    problem = store(law, link={"lead_time": 2})
    lots = optimal_service_reorder_lots(demand=law, holding_cost=1, fixed_cost=30, service_level=0.9, lead_time=2)
    base = int(service_base_stock(demand=law, service_level=0.9, lead_time=2))
    scenarios = sample(problem.network, periods=problem.periods, replications=1_000, seed=7)
    for policy, model in (
        (reorder_lots(problem.network, [lots.reorder], [lots.up_to - lots.reorder]), lots.service),
        (order_up_to(problem.network, [base]), min_max_service(base - 1, base, demand=law, lead_time=2)),
    ):
        outcome = simulate(problem, policy, scenarios)
        for simulated, expected in ((outcome.fill_rate, model.fill_rate), (outcome.alpha, model.alpha)):
            error = simulated.std(ddof=1) / len(simulated) ** 0.5
            assert abs(simulated.mean() - expected) < 3 * error


@pytest.mark.parametrize("law", SINGLE_UNITS, ids=lambda law: law.law)
@pytest.mark.parametrize("kind", KINDS)
def test_the_base_stock_level_is_the_least_with_the_service(law: Law, kind: Service) -> None:
    for target in (0.3, 0.9, 0.99):
        level = service_base_stock(demand=law, service_level=target, kind=kind, lead_time=2)
        below, at = service_of_levels(law, 2, kind, np.array([level - 1, level]))
        assert below < target <= at + 1e-12


def test_base_stock_levels_of_continuous_demand_follow_the_closed_forms() -> None:
    normal = Normal(mean=50, sd=8)
    ready = service_base_stock(demand=normal, service_level=0.95, kind="alpha", lead_time=3)
    assert ready == pytest.approx(stats.norm.ppf(0.95, 200, 16))
    level = service_base_stock(demand=normal, service_level=0.98, lead_time=3)
    short = [stats.norm(mean, sd).expect(lambda x: x - level, lb=level) for mean, sd in ((200, 16), (150, 8 * 3**0.5))]
    assert 1 - (short[0] - short[1]) / 50 == pytest.approx(0.98, abs=1e-8)
    gamma = Gamma(mean=5, sd=4)
    level = service_base_stock(demand=gamma, service_level=0.9)
    law = stats.gamma((5 / 4) ** 2, scale=16 / 5)
    assert law.expect(lambda x: np.minimum(x, level)) / 5 == pytest.approx(0.9, rel=1e-6)


def test_certain_demand_is_served_in_full_or_not_at_all() -> None:
    law = Deterministic(values=(4,))
    assert service_base_stock(demand=law, service_level=0.999, lead_time=2) == 12
    assert service_base_stock(demand=law, service_level=0.5, lead_time=2) == 10
    best = optimal_service_min_max(demand=law, holding_cost=1, fixed_cost=0, service_level=0.99, lead_time=2)
    assert (best.up_to, best.cost, best.service.fill_rate) == (12, 0.0, 1.0)


VALID: dict[str, Any] = {"demand": Poisson(mean=5), "holding_cost": 1, "fixed_cost": 20, "service_level": 0.9}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"service_level": 1}, "service_level must be above 0 and below 1, got 1"),
        ({"service_level": 95}, "service_level must be above 0 and below 1, got 95"),
        ({"service_level": 0}, "service_level must be above 0 and below 1, got 0"),
        ({"service_level": float("nan")}, "service_level must be above 0 and below 1, got nan"),
        ({"kind": "beta"}, "kind must be 'fill_rate' or 'alpha', got 'beta'"),
        ({"holding_cost": 0}, "holding_cost must be a finite number greater than 0, got 0"),
        ({"stockout_cost": -1}, "stockout_cost must be a finite number of at least 0, got -1"),
        ({"fixed_cost": -1}, "fixed_cost must be a finite number of at least 0, got -1"),
        ({"lead_time": -1}, "lead_time must be a finite number of at least 0, got -1"),
        ({"demand": Poisson(mean=5, seasonal=(0,))}, "demand must be greater than 0 on average, got 0"),
        (
            {"fixed_cost": 1e14},
            "the search for a service level needs levels within 131,072 units of one another: "
            "count demand in larger units",
        ),
    ],
)
def test_bad_input_is_named(changes: dict[str, Any], message: str) -> None:
    for method in (optimal_service_min_max, optimal_service_reorder_lots):
        with pytest.raises(MethodError) as caught:
            method(**VALID | changes)
        assert str(caught.value) == message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"service_level": 1}, "service_level must be above 0 and below 1, got 1"),
        ({"kind": "beta"}, "kind must be 'fill_rate' or 'alpha', got 'beta'"),
        ({"demand": Gamma(mean=5, sd=2, seasonal=(0,))}, "mean demand must be a finite number greater than 0, got 0"),
    ],
)
def test_bad_input_of_the_base_stock_level_is_named(changes: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"demand": Poisson(mean=5), "service_level": 0.9}
    with pytest.raises(MethodError) as caught:
        service_base_stock(**arguments | changes)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("node", "rule"),
    [
        ({"stockout_rule": "lost_sales"}, "backorders at every outlet"),
        ({"demand": Gamma(mean=5, sd=2)}, "demand in whole units"),
        ({"holding_cost": 0.0}, "a holding cost greater than 0"),
        ({"capacity": 9.0}, "a network without capacity of node 'store'"),
    ],
)
def test_the_plan_names_the_rule_that_a_problem_breaks(node: dict[str, Any], rule: str) -> None:
    with pytest.raises(MethodError) as caught:
        service_min_max(store(Poisson(mean=5), node=node), service_level=0.9)
    assert str(caught.value) == f"service_min_max needs {rule}"


def test_a_stockout_cost_that_asks_for_more_than_the_target_prevails() -> None:
    plan = service_min_max(store(Poisson(mean=5), node={"stockout_cost": 50.0}), service_level=0.5)
    assert plan.parameters["fill_rate"] > 0.95
