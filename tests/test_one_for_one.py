"""One warehouse with one-for-one replenishment: reference rows, and checks that share no code with the methods."""

from __future__ import annotations

import doctest
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from echelon.baselines import one_for_one as module
from echelon.baselines.one_for_one import one_for_one, one_for_one_service
from echelon.baselines.one_for_one_plans import metric_plan, one_for_one_plan, two_moment_plan
from echelon.baselines.outstanding_orders import Method, OneForOneSystem, Retailer, outstanding_orders
from echelon.baselines.serial import clark_scarf, clark_scarf_plan, in_transit_cost
from echelon.envs.classic_problems import lost_sales, one_warehouse, serial
from echelon.envs.demand import Poisson
from echelon.envs.errors import MethodError
from echelon.envs.network import Network
from echelon.envs.problem import Problem
from echelon.envs.scenarios import sample
from echelon.envs.simulate import simulate_cost

METHODS: tuple[Method, ...] = ("exact", "metric", "two_moment")


class Row(NamedTuple):
    """An instance of the reference table: levels, cost by the method and exact cost for each method."""

    rates: Sequence[float]
    warehouse_lead_time: float
    lead_time: float | Sequence[float]
    warehouse_holding_cost: float
    holding_cost: float | Sequence[float]
    stockout_cost: float | Sequence[float]
    found: dict[Method, tuple[int, Sequence[int], float, float]]
    fill_rate: Sequence[float]
    """Exact, at the levels of the exact method."""

    def solve(self, method: Method, **given: Any) -> module.OneForOneResult:
        return one_for_one(
            demand_rate=self.rates,
            lead_time=self.lead_time,
            warehouse_lead_time=self.warehouse_lead_time,
            holding_cost=self.holding_cost,
            warehouse_holding_cost=self.warehouse_holding_cost,
            stockout_cost=self.stockout_cost,
            method=method,
            **given,
        )


# Computed by an independent program (Poisson backlog and binomial thinning: Simon 1971, Graves 1985, Axsäter 1990;
# METRIC: Sherbrooke 1968; negative binomial: Graves 1985) and confirmed by its simulation to within 0.084 %.
ROWS = [
    Row([1.0] * 4, 1, 1, 1, 1, 9, {
        "exact": (3, [3] * 4, 9.837783049529573, 9.837783049529573),
        "metric": (3, [3] * 4, 9.476511980293948, 9.837783049529573),
        "two_moment": (3, [3] * 4, 9.838091077805645, 9.837783049529573),
    }, [0.844181150602094] * 4),
    Row([0.1] * 4, 1, 1, 1, 1, 10, {
        "exact": (0, [1] * 4, 4.024153135431202, 4.024153135431202),
        "metric": (0, [1] * 4, 4.0241531354312015, 4.024153135431202),
        "two_moment": (0, [1] * 4, 4.0241531354312015, 4.024153135431202),
    }, [0.8187307530779819] * 4),
    Row([0.1] * 32, 1, 1, 1, 1, 10, {
        "exact": (2, [1] * 32, 31.22654101509538, 31.22654101509538),
        "metric": (2, [1] * 32, 31.086336689651194, 31.22654101509538),
        "two_moment": (2, [1] * 32, 31.22578907786524, 31.22654101509538),
    }, [0.8661788151918545] * 32),
    Row([5.0] * 4, 2, 1, 0.5, 1, 19, {
        "exact": (45, [9] * 4, 24.508773995971463, 24.508773995971463),
        "metric": (39, [10] * 4, 22.706768577666868, 25.27077545439964),
        "two_moment": (42, [10] * 4, 24.331598571128264, 24.585089528064653),
    }, [0.9136004702709403] * 4),
    Row([0.5, 1.0, 2.0, 4.0], 1.5, [1, 2, 1, 0.5], 0.6, [1, 1, 2, 1], [10, 20, 15, 30], {
        "exact": (13, [2, 5, 4, 6], 16.94840037480863, 16.94840037480863),
        "metric": (12, [2, 5, 4, 6], 15.876597226465384, 17.20616845779592),
        "two_moment": (13, [2, 5, 4, 6], 16.79416517263205, 16.94840037480863),
    }, [0.895359332758608, 0.937816200438484, 0.8210469333942281, 0.9533056132776849]),
]  # fmt: skip

# Rate, L_0, L_i, h_0, h, N, target; then levels, holding cost, customer fill, warehouse fill, warehouse stock, retailer
# stock; levels and cost of the practice that gives the warehouse the same target. By the same independent program.
SERVICE = [
    (1.0, 1, 1, 1, 1, 4, 0.9, (6, 3), 10.116106540412648, 0.9093823397568257,
     0.7851303870304052, 2.195434581462937, 1.9801679897374278, (8, 3), 12.096971443848359),
    (1.0, 1, 1, 1, 1, 4, 0.95, (4, 4), 12.047967990822332, 0.9631158731449025,
     0.43347012036670896, 0.7814672592526578, 2.8166251828924187, (9, 4), 17.017738699165754),
    (1.0, 1, 1, 1, 1, 4, 0.999, (6, 6), 22.000682526579393, 0.9991046963758272,
     0.7851303870304052, 2.195434581462937, 4.951311986279114, (12, 6), 28.00037932240685),
    (5.0, 2, 1, 0.5, 1, 4, 0.9, (43, 9), 17.23562995717683, 0.9010969759977682,
     0.6618173010741413, 4.324946980522011, 3.768289116728956, (49, 9), 20.619507629583616),
    (5.0, 2, 1, 0.5, 1, 4, 0.99, (45, 12), 30.122755743006778, 0.9907525350739053,
     0.7656849472121782, 5.806856091071114, 6.8048319243678055, (56, 12), 36.00293213393951),
    (5.0, 2, 1, 0.5, 1, 4, 0.999, (49, 14), 40.375783244483074, 0.9990687468257273,
     0.9075311613998097, 9.252335277697254, 8.937403901408612, (62, 14), 47.00070668583933),
    (0.5, 2, 1, 1, 1.5, 8, 0.95, (7, 3), 28.284990655299843, 0.9602436582444023,
     0.31337427753639774, 0.6637314461177768, 2.3017716007651723, (14, 3), 36.00848436337964),
    (0.5, 2, 1, 1, 1.5, 8, 0.99, (7, 4), 40.18808132417114, 0.9919242224059402,
     0.31337427753639774, 0.6637314461177768, 3.293695823171113, (16, 4), 49.999099740588015),
    (2.0, 3, 1, 0.7, 1, 16, 0.9, (93, 5), 45.1486088302319, 0.9042431360825848,
     0.3660685360205959, 2.567768558885902, 2.7094481774382357, (110, 5), 58.077638170313946),
    (2.0, 3, 1, 0.7, 1, 16, 0.95, (90, 6), 57.94473740907758, 0.9530485906549969,
     0.25659515922711607, 1.582533508920168, 3.5523102470520915, (113, 6), 75.94305109552454),
    (2.0, 3, 1, 0.7, 1, 16, 0.999, (96, 9), 110.83346768259597, 0.9990933941410318,
     0.4864269408611043, 3.9054285067473558, 6.756229232992051, (129, 9), 135.100331889317),
    (20.0, 2, 2, 0.8, 1, 4, 0.9, (148, 53), 41.06323328075063, 0.9005190406909946,
     0.16153902038263535, 1.1184664466010883, 10.04211503086744, (177, 49), 50.57219918459488),
    (20.0, 2, 2, 0.8, 1, 4, 0.99, (157, 59), 72.35339579873234, 0.9902671713501024,
     0.3957039909879042, 3.669548890533691, 17.354439171576345, (191, 56), 88.86853049879338),
    (20.0, 2, 2, 0.8, 1, 4, 0.999, (162, 64), 96.78333002398898, 0.9990618780426207,
     0.5523362628651995, 6.116983053672108, 22.972435895262823, (201, 62), 120.80402170951032),
]  # fmt: skip


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("row", ROWS)
def test_levels_and_costs_are_those_of_the_reference_table(row: Row, method: Method) -> None:
    warehouse_level, levels, cost, cost_exact = row.found[method]
    best = row.solve(method)
    assert (best.warehouse_level, best.levels) == (warehouse_level, tuple(levels))
    assert best.cost == pytest.approx(cost, rel=1e-10)
    assert best.cost_exact == pytest.approx(cost_exact, rel=1e-10)
    if method == "exact":
        np.testing.assert_allclose(best.fill_rate, row.fill_rate, rtol=1e-10)


@pytest.mark.parametrize("row", SERVICE)
def test_service_optima_and_internal_service_are_those_of_the_reference_table(row: Sequence[Any]) -> None:
    rate, warehouse_lead_time, lead_time, h0, h, count, target, levels, *numbers, same_levels, same_cost = row
    system = {"demand_rate": [rate] * count, "lead_time": lead_time, "warehouse_lead_time": warehouse_lead_time}
    costs = {"holding_cost": h, "warehouse_holding_cost": h0, "fill_rate": target}
    best = one_for_one_service(**system, **costs)
    assert (best.warehouse_level, best.levels) == (levels[0], (levels[1],) * count)
    exact = best.exact
    found = [best.cost, best.fill_rate[0], exact.warehouse_fill_rate, exact.warehouse_on_hand, exact.on_hand[0]]
    np.testing.assert_allclose(found, numbers, rtol=1e-10)
    practice = one_for_one_service(**system, **costs, rule="same_target")
    assert (practice.warehouse_level, practice.levels) == (same_levels[0], (same_levels[1],) * count)
    assert practice.cost == pytest.approx(same_cost, rel=1e-10)


def test_the_exact_law_is_a_binomial_share_of_the_backlog_plus_the_demand_on_the_way() -> None:
    row = ROWS[4]
    retailers = tuple(Retailer(rate, time, 1, 1) for rate, time in zip(row.rates, (1, 2, 1, 0.5), strict=True))
    system = OneForOneSystem(retailers, row.warehouse_lead_time, 1)
    backlog, x = np.arange(60), np.arange(60)
    for retailer in retailers:
        for level, law in outstanding_orders(system, retailer, "exact", range(20)):
            owed = stats.poisson.pmf(backlog + level, 7.5 * 1.5)
            owed[0] = stats.poisson.cdf(level, 7.5 * 1.5)
            share = stats.binom.pmf(x[:, None], backlog, retailer.rate / 7.5) @ owed
            own = stats.poisson.pmf(x, retailer.rate * retailer.lead_time)
            np.testing.assert_allclose(law.cdf(x), np.cumsum(np.convolve(share, own)[:60]), atol=1e-13)


def test_a_simulation_of_every_unit_in_continuous_time_agrees_with_the_exact_cost() -> None:
    row = ROWS[4]
    best = row.solve("exact")
    rng = np.random.default_rng(5)
    costs = [simulated_in_continuous_time(row, best.warehouse_level, best.levels, rng) for _ in range(40)]
    error = np.std(costs) / 40**0.5
    assert error < 0.003 * best.cost
    assert abs(np.mean(costs) - best.cost) < 3 * error


def simulated_in_continuous_time(
    row: Row, warehouse_level: int, levels: Sequence[int], rng: np.random.Generator
) -> float:
    """The cost per unit of time of one sample path, unit by unit (Axsäter's view).

    The n-th order at the warehouse is met by the unit that order n - S_0 made it ask for outside; a retailer's k-th
    customer by the unit that customer k - S_i made the retailer ask for.
    """
    total, customers = sum(row.rates), 60_000
    times = np.cumsum(rng.exponential(1 / total, customers))
    whose = rng.choice(len(row.rates), size=customers, p=np.array(row.rates) / total)
    at_warehouse = np.concatenate([np.zeros(warehouse_level), times + row.warehouse_lead_time])[:customers]
    sent = np.maximum(times, at_warehouse)
    cost = row.warehouse_holding_cost * (sent - at_warehouse).sum()
    for i, level in enumerate(levels):
        own, h, b = whose == i, np.broadcast_to(row.holding_cost, 4)[i], np.broadcast_to(row.stockout_cost, 4)[i]
        there = np.concatenate([np.zeros(level), sent[own] + np.broadcast_to(row.lead_time, 4)[i]])[: own.sum()]
        gap = times[own] - there
        cost += h * np.maximum(gap, 0).sum() + b * np.maximum(-gap, 0).sum()
    return float(cost / times[-1])


def test_one_retailer_is_a_serial_system_and_gives_the_optimum_of_clark_and_scarf() -> None:
    best = one_for_one(
        demand_rate=[16],
        lead_time=0.25,
        warehouse_lead_time=0.5,
        holding_cost=2,
        warehouse_holding_cost=1,
        stockout_cost=9,
    )
    holding, times = [1.0, 1.0], [0.25, 0.5]
    optimum = clark_scarf(
        echelon_holding_cost=holding, lead_time=times, stockout_cost=9, demand=Poisson(mean=16), review="continuous"
    )
    on_the_way = in_transit_cost(
        echelon_holding_cost=holding, lead_time=times, demand=Poisson(mean=16), review="continuous"
    )
    assert best.cost == pytest.approx(optimum.cost - on_the_way, rel=1e-10)


def test_a_warehouse_without_lead_time_or_with_boundless_stock_leaves_newsvendors() -> None:
    alone = ROWS[3]._replace(warehouse_lead_time=0).solve("exact")
    assert (alone.warehouse_level, alone.exact.warehouse_backorders) == (0, 0)
    plenty = ROWS[3].solve("exact", warehouse_level=10_000_000)
    assert plenty.levels == alone.levels
    assert plenty.exact.backorders == pytest.approx(alone.exact.backorders, rel=1e-12)
    assert plenty.exact.warehouse_on_hand == pytest.approx(10_000_000 - 40)


def test_a_retailer_without_demand_keeps_no_stock_and_disappoints_nobody() -> None:
    row = ROWS[0]._replace(rates=[1.0, 0.0, 1.0, 1.0, 1.0])
    for method in get_args(Method):
        best = row.solve(method)
        assert (best.levels[1], best.fill_rate[1]) == (0, 1.0)
    assert row.solve("exact").cost == pytest.approx(ROWS[0].solve("exact").cost, rel=1e-12)
    nobody = ROWS[0]._replace(rates=[0.0, 0.0]).solve("two_moment")
    assert (nobody.warehouse_level, nobody.levels, nobody.cost) == (0, (0, 0), 0.0)
    served = one_for_one_service(
        demand_rate=[0, 0], lead_time=1, warehouse_lead_time=1, holding_cost=1, warehouse_holding_cost=1,
        fill_rate=0.9, rule="same_target",
    )  # fmt: skip
    assert (served.warehouse_level, served.levels, served.fill_rate) == (0, (0, 0), (1.0, 1.0))


def test_targets_may_differ_between_retailers() -> None:
    best = one_for_one_service(
        demand_rate=[1, 2],
        lead_time=1,
        warehouse_lead_time=1,
        holding_cost=1,
        warehouse_holding_cost=1,
        fill_rate=[0.0, 0.95],
    )
    assert best.levels[0] == 0
    assert best.fill_rate[1] >= 0.95


@given(
    rates=st.lists(st.floats(0.05, 4), min_size=1, max_size=3),
    warehouse_lead_time=st.integers(0, 3),
    level=st.integers(0, 12),
)
@settings(max_examples=25, deadline=None)
def test_every_method_keeps_the_mean_and_all_but_metric_the_variance(
    rates: list[float], warehouse_lead_time: int, level: int
) -> None:
    retailers, ahead = [], 0.0
    for rate in rates:
        retailers.append(Retailer(rate, 1.5, 1, 1, ahead=ahead))
        ahead += rate
    system = OneForOneSystem(tuple(retailers), warehouse_lead_time, 1)
    owed = float(system.lead_time_demand.shortage(level))
    in_turn = 0.0
    for retailer in retailers:
        laws = {
            m: next(outstanding_orders(system, retailer, m, range(level, level + 1)))[1] for m in (*METHODS, "in_turn")
        }
        assert laws["exact"].mean == pytest.approx(retailer.rate * 1.5 + owed * system.share(retailer), rel=1e-9)
        assert laws["metric"].mean == pytest.approx(laws["exact"].mean, rel=1e-9)
        assert laws["two_moment"].mean == pytest.approx(laws["exact"].mean, rel=1e-9)
        assert laws["two_moment"].sd == pytest.approx(laws["exact"].sd, rel=1e-6)
        assert laws["metric"].sd <= laws["exact"].sd * (1 + 1e-9)
        assert laws["in_turn"].pmf.sum() == pytest.approx(1, abs=1e-12)
        in_turn += laws["in_turn"].mean - retailer.rate * 1.5
    assert in_turn == pytest.approx(owed, rel=1e-8, abs=1e-11)


@given(
    rates=st.lists(st.floats(0.1, 3), min_size=1, max_size=3),
    holding=st.floats(0.1, 2),
    stockout=st.floats(1, 50),
    level=st.integers(0, 10),
)
@settings(max_examples=15, deadline=None)
def test_no_other_levels_cost_less_than_the_exact_ones(
    rates: list[float], holding: float, stockout: float, level: int
) -> None:
    row = ROWS[0]._replace(rates=rates, warehouse_holding_cost=holding, stockout_cost=stockout)
    best = row.solve("exact")
    others = [row.solve("metric").cost_exact, row.solve("two_moment").cost_exact]
    others.append(row.solve("exact", warehouse_level=level).cost)
    others.append(row.solve("exact", levels=level).cost)
    others.append(row.solve("exact", warehouse_level=best.warehouse_level, levels=[n + 1 for n in best.levels]).cost)
    assert best.cost <= min(others) + 1e-9


def test_service_can_be_planned_for_batches_that_are_served_in_turn() -> None:
    system: dict[str, Any] = {"demand_rate": [3, 3], "lead_time": 2, "warehouse_lead_time": 1, "fill_rate": 0.9}
    best = one_for_one_service(**system, holding_cost=1, warehouse_holding_cost=0.9, method="in_turn")
    at = {"warehouse_level": best.warehouse_level, "levels": list(best.levels)}
    row = ROWS[0]._replace(rates=[3.0, 3.0], lead_time=2, warehouse_holding_cost=0.9)
    assert row.solve("in_turn", **at).exact.on_hand == best.exact.on_hand
    assert min(best.fill_rate) >= 0.9
    assert best.fill_rate != row.solve("exact", **at).fill_rate


def test_batches_of_short_periods_are_as_good_as_single_units() -> None:
    fine = ROWS[0]._replace(rates=[0.005] * 4, lead_time=200, warehouse_lead_time=200)
    single = ROWS[0].solve("exact", warehouse_level=3, levels=3)
    assert fine.solve("in_turn", warehouse_level=3, levels=3).cost == pytest.approx(single.cost, rel=2e-3)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rates": []}, "demand_rate must have at least one retailer, got none"),
        ({"rates": [1.0, -1.0]}, "demand_rate must be a finite number of at least 0, got -1"),
        ({"lead_time": [1, 2]}, "lead_time must be one number or one for each of the 4 retailers, got 2"),
        ({"lead_time": -1}, "lead_time must be a finite number of at least 0, got -1"),
        ({"warehouse_lead_time": float("inf")}, "warehouse_lead_time must be a finite number of at least 0, got inf"),
        ({"warehouse_holding_cost": 0}, "warehouse_holding_cost must be a finite number greater than 0, got 0"),
        ({"holding_cost": 0}, "holding_cost must be a finite number greater than 0, got 0"),
        ({"stockout_cost": 0}, "stockout_cost must be a finite number greater than 0, got 0"),
    ],
)
def test_bad_systems_are_refused_by_name(change: dict[str, Any], message: str) -> None:
    with pytest.raises(MethodError) as caught:
        ROWS[0]._replace(**change).solve("exact")
    assert str(caught.value) == message


def test_bad_levels_methods_and_targets_are_refused_by_name() -> None:
    row = ROWS[0]
    unknown: Any = "metrik"
    known = "exact or metric or two_moment or in_turn"
    cases: list[tuple[Any, str]] = [
        (
            lambda: row.solve("exact", warehouse_level=-1),
            "warehouse_level must be a whole number of at least 0, got -1",
        ),
        (lambda: row.solve("exact", levels=1.5), "levels must be a whole number of at least 0, got 1.5"),
        (lambda: row.solve(unknown), f"method must be {known}, got 'metrik'; did you mean 'metric'?"),
        (
            lambda: row._replace(warehouse_lead_time=1.5).solve("in_turn"),
            "warehouse_lead_time must be a whole number of periods in_turn, got 1.5",
        ),
        (lambda: service(1.0), "fill_rate must be at least 0 and below 1, got 1: no finite stock serves all"),
        (lambda: service(np.nan), "fill_rate must be at least 0 and below 1, got nan: no finite stock serves all"),
        (
            lambda: service(0.9, rule="none"),
            "rule must be simultaneous or same_target, got 'none'; known: same_target, simultaneous",
        ),
    ]
    for call, message in cases:
        with pytest.raises(MethodError) as caught:
            call()
        assert str(caught.value) == message


def service(target: float, **options: Any) -> module.OneForOneResult:
    system: dict[str, Any] = {"demand_rate": [1], "lead_time": 1, "warehouse_lead_time": 1}
    costs: dict[str, Any] = {"holding_cost": 1, "warehouse_holding_cost": 1, "fill_rate": target}
    return one_for_one_service(**system, **costs, **options)


def test_the_examples_in_the_docstrings_are_right() -> None:
    assert doctest.testmod(module).failed == 0


def with_allocation(problem: Problem, rule: str) -> Problem:
    network = problem.network
    nodes = [node if node.demand else node.model_copy(update={"allocation": rule}) for node in network.nodes]
    changed = Network.from_dict(network.model_copy(update={"nodes": tuple(nodes)}).model_dump())
    return replace(problem, network=changed)


def simulated(problem: Problem, policy: Any) -> tuple[float, float]:
    """Mean cost and its standard error, over some ten million node-periods."""
    replications = round(1.1e7 / (problem.periods * len(problem.network.nodes)))
    scenarios = sample(problem.network, periods=problem.periods, replications=replications, seed=7)
    cost = simulate_cost(problem, policy, scenarios)
    return float(cost.mean()), float(cost.std() / replications**0.5)


UNLIKE = one_warehouse(
    demand=[{"law": "poisson", "mean": mean} for mean in (1.0, 3.0, 8.0)],
    lead_time=[1, 2, 0],
    stockout_cost=[9.0, 19.0, 5.0],
)


@pytest.mark.parametrize(
    "problem",
    [
        with_allocation(one_warehouse(), "first_come"),
        with_allocation(one_warehouse(retailers=8, demand_mean=5, warehouse_lead_time=3), "first_come"),
        with_allocation(UNLIKE, "first_come"),
        one_warehouse(retailers=1, demand_mean=5.0),
        one_warehouse(warehouse_lead_time=0),
    ],
    ids=["alike", "eight", "unlike", "one retailer", "no warehouse lead time"],
)
def test_the_plan_costs_what_it_says_where_the_theory_is_exact(problem: Problem) -> None:
    plan = one_for_one_plan(problem)
    cost, error = simulated(problem, plan.policy)
    assert plan.model_cost is not None
    assert error < 0.003 * cost
    assert abs(cost - plan.model_cost) < 3 * error


@pytest.mark.parametrize("problem", [one_warehouse(), UNLIKE], ids=["alike", "unlike"])
def test_shares_in_proportion_cost_somewhat_less_than_random_ones(problem: Problem) -> None:
    plan = one_for_one_plan(problem)
    cost, _ = simulated(problem, plan.policy)
    assert plan.model_cost is not None
    assert 0.98 < cost / plan.model_cost < 1


def test_the_costs_of_flow_and_the_order_of_service_enter_the_plan() -> None:
    network = UNLIKE.network
    links = [
        link.model_copy(update={"unit_cost": 2.0 + e, "transit_holding_cost": 0.5})
        for e, link in enumerate(network.links)
    ]
    ranked = [node.model_copy(update={"priority": 3 - i}) for i, node in enumerate(network.nodes)]
    ranked[0] = ranked[0].model_copy(update={"allocation": "first_come"})
    changed = network.model_copy(update={"links": (*links[1:], links[0]), "nodes": tuple(ranked)})
    problem = replace(UNLIKE, network=Network.from_dict(changed.model_dump()))
    plan = one_for_one_plan(problem)
    cost, error = simulated(problem, plan.policy)
    assert plan.model_cost is not None
    assert abs(cost - plan.model_cost) < 3 * error


def test_one_retailer_under_periodic_review_costs_what_clark_and_scarf_find() -> None:
    problem = one_warehouse(retailers=1, demand_mean=5.0)
    assert one_for_one_plan(problem).model_cost == pytest.approx(clark_scarf_plan(problem).model_cost, rel=1e-12)


def test_metric_promises_less_than_it_costs_and_two_moments_nearly_what_it_costs() -> None:
    problem = one_warehouse()
    exact, metric, two = (f(problem) for f in (one_for_one_plan, metric_plan, two_moment_plan))
    assert metric.model_cost == pytest.approx(15.204039320765494, rel=1e-9)
    assert metric.model_cost is not None
    assert exact.model_cost is not None
    assert metric.model_cost < 0.96 * exact.model_cost
    assert two.model_cost == pytest.approx(exact.model_cost, rel=0.005)
    assert "Sherbrooke" in metric.citation


@pytest.mark.parametrize(
    ("problem", "rule"),
    [
        (lost_sales(), "backorders at every outlet"),
        (serial(), "one warehouse, the only one to buy outside, that supplies every outlet"),
        (one_warehouse(demand="geometric"), "Poisson demand at every outlet"),
        (one_warehouse(warehouse_holding_cost=0.0), "a holding cost above 0 at the warehouse"),
        (one_warehouse(stockout_cost=[9.0, 9.0, 0.0]), "holding and stockout costs above 0 at every outlet"),
        (
            one_warehouse(demand={"law": "poisson", "mean": 3.0, "seasonal": (0.5, 1.5)}),
            "demand with the same law in every period",
        ),
        (replace(one_warehouse(), warm_up=0, discount=0.99), "an average-cost objective (discount 1)"),
    ],
)
def test_plans_are_refused_with_the_rule_that_is_broken(problem: Problem, rule: str) -> None:
    for make, name in ((one_for_one_plan, "one_for_one"), (metric_plan, "metric"), (two_moment_plan, "two_moment")):
        with pytest.raises(MethodError) as caught:
            make(problem)
        assert str(caught.value) == f"{name} needs {rule}"
