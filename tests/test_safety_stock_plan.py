"""ASSP as a policy: its levels by hand, the service that it promises, forecasts that change, and what it refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import stats

from echelon.baselines import BASELINES, base_stock, make_plan
from echelon.baselines.per_period import OrderUpToByPeriod
from echelon.baselines.safety_stock_plan import assp_plan
from echelon.envs.catalogue import make_problem
from echelon.envs.errors import MethodError
from echelon.envs.network import Network
from echelon.envs.policy import OrderUpTo
from echelon.envs.problem import Problem
from echelon.envs.scenarios import sample
from echelon.envs.simulate import simulate

Data = dict[str, Any]
LAW: Data = {"law": "normal", "mean": 100.0, "sd": 10.0}
POISSON: Data = {"law": "poisson", "mean": 100.0}
STORE: Data = {"name": "store", "demand": LAW, "holding_cost": 1.0, "stockout_cost": 9.0}
Z = float(stats.norm.ppf(0.9))


def problem_of(nodes: list[Data], links: list[Data], **options: Any) -> Problem:
    network = Network.from_dict({"nodes": nodes, "links": links, "units": "continuous"})
    return Problem("network", network, **({"periods": 600, "warm_up": 100} | options))


def one_location(law: Data = LAW, lead_time: Any = 2, **link: Any) -> Problem:
    return problem_of([STORE | {"demand": law}], [{"target": "store", "lead_time": lead_time, **link}])


def serial() -> Problem:
    links = [{"target": "depot", "lead_time": 4}, {"source": "depot", "target": "store", "lead_time": 1}]
    return problem_of([{"name": "depot", "holding_cost": 0.5}, STORE], links)


def assembly() -> Problem:
    nodes = [{"name": "part"}, {"name": "case"}, STORE | {"processing_time": 1}]
    links: list[Data] = [
        {"target": "part", "lead_time": 2, "order_delay": 1},
        {"target": "case", "lead_time": 5},
        {"source": "part", "target": "store", "lead_time": 1, "quantity": 2.0},
        {"source": "case", "target": "store", "lead_time": 1},
    ]
    return problem_of(nodes, links)


def levels(problem: Problem, **options: Any) -> list[float]:
    """The levels of a steady network under alpha service of 90 %, unless the options differ."""
    plan = make_plan("assp", problem, **({"method": "AT", "service_level": 0.9} | options))
    found: list[float] = plan.parameters["up_to"]
    assert plan.parameters["reorder"] == pytest.approx(found)
    return found


def test_every_location_of_a_series_has_its_own_lead_time_and_review_period() -> None:
    assert levels(serial()) == pytest.approx([400 + Z * 10 * 4**0.5, 200 + Z * 10 * 2**0.5])
    # Reviewed every three periods, the depot covers the store's orders of two reviews, of three periods each.
    assert levels(serial(), review_period=3) == pytest.approx([600 + Z * 10 * 6**0.5, 400 + Z * 10 * 4**0.5])


def test_a_level_is_in_units_of_the_component_and_knows_delays_and_processing_times() -> None:
    part, case = 2 * 300 + Z * 20 * 3**0.5, 500 + Z * 10 * 5**0.5
    assert levels(assembly()) == pytest.approx([part, case, 2 * (300 + Z * 10 * 3**0.5), 300 + Z * 10 * 3**0.5])


def test_independent_receivers_add_up_by_their_variances() -> None:
    shops = [STORE | {"name": name} for name in ("a", "b", "c")]
    links = [{"target": "depot", "lead_time": 4}, *({"source": "depot", "target": shop["name"]} for shop in shops)]
    assert levels(problem_of([{"name": "depot"}, *shops], links))[0] == pytest.approx(1200 + Z * 10 * 12**0.5)


def test_a_random_lead_time_and_a_yield_raise_the_level() -> None:
    assert levels(one_location(lead_time={"values": [1, 3]})) == pytest.approx([300 + Z * (300 + 100**2) ** 0.5])
    assert levels(one_location(yield_rate=0.5)) == pytest.approx([2 * (300 + Z * 10 * 3**0.5)])


def test_sources_after_a_limited_one_have_its_level() -> None:
    pool = {"target": "store", "component": "goods"}
    links: list[Data] = [{"target": "own"}, {"target": "other"}]
    links += [{"source": "own", "lead_time": 1, "max_order": 110.0, **pool}]
    links += [{"source": "other", "lead_time": {"values": [2, 4]}, **pool}]
    found = levels(problem_of([{"name": "own"}, {"name": "other"}, STORE], links))
    assert found[2:] == pytest.approx([400 + Z * (400 + 100**2) ** 0.5] * 2)


def test_the_stock_of_a_fill_rate_solves_the_two_term_equation_of_the_reorder_cycle() -> None:
    (stock,) = assp_plan(one_location(), service_level=0.99, review_period=2).parameters["safety_stock"]

    def short(shift: float, sd: float) -> float:
        return float(stats.norm.expect(lambda x: x - shift, loc=0, scale=sd, lb=shift, ub=shift + 12 * sd))

    late = short(stock, 10 * 4**0.5) - short(stock + 200, 10 * 2**0.5)
    assert late == pytest.approx(0.01 * 200, rel=1e-6)


def test_levels_of_whole_units_are_whole_and_an_order_with_a_fixed_cost_is_an_economic_lot() -> None:
    network = Network.from_dict(
        {"nodes": [STORE | {"demand": POISSON}], "links": [{"target": "store", "lead_time": 2}]}
    )
    whole = assp_plan(Problem("whole", network), method="AT", service_level=0.9).parameters
    assert whole["up_to"] == [np.ceil(300 + Z * 10 * 3**0.5)]
    assert whole["reorder"] == [whole["up_to"][0] - 1]
    plan = assp_plan(one_location(fixed_cost=50.0), service_level=0.95)
    assert plan.parameters["up_to"][0] - plan.parameters["reorder"][0] == pytest.approx((2 * 50 * 100) ** 0.5)


@pytest.mark.parametrize(("method", "level"), [("AT", 0.9), ("BT", 0.95)])
def test_one_location_has_the_service_that_it_is_planned_for(method: str, level: float) -> None:
    law = {"law": "normal", "mean": 100.0, "sd": 25.0}
    problem = one_location(law, lead_time=5)
    plan = make_plan("assp", problem, method=method, service_level=level)
    assert plan.parameters["safety_stock"][0] > 0
    outcome = simulate(problem, plan.policy, sample(problem.network, periods=600, replications=4_000, seed=3))
    found = outcome.alpha if method == "AT" else outcome.fill_rate
    error = found.std() / len(found) ** 0.5
    assert error < 5e-4
    assert abs(found.mean() - level) < 3 * error


def test_the_level_follows_the_forecast_and_the_safety_stock_is_planned_anew_every_week() -> None:
    week = (1.5, 0.5, 1.0, 1.0, 1.2, 0.8, 1.0)
    promotion = {"start": 28, "length": 7, "uplift": 2.0}
    seasonal = LAW | {"seasonal": list(week), "promotions": [promotion]}
    problem = problem_of([STORE | {"demand": seasonal}], [{"target": "store", "lead_time": 2}], periods=56, warm_up=0)
    policy = assp_plan(problem, method="AT", service_level=0.9, coverage_periods=1).policy
    assert isinstance(policy, OrderUpToByPeriod)
    mean = 100 * np.array([week[t % 7] * (2 if 28 <= t < 35 else 1) for t in range(70)])
    cover = np.array([mean[t : t + 3].sum() for t in range(56)])
    stock = policy.up_to[:, 0] - cover
    assert stock == pytest.approx(stock[0] * np.where(np.arange(56) // 7 == 4, 2.0, 1.0))
    (law,) = problem.network.laws
    # The coefficient of variation is that of a period of the year, whose mean changes too.
    assert stock[0] == pytest.approx(Z * 3**0.5 * 100 * law.sd_demand / law.mean_demand)


def test_without_variance_or_demand_there_is_no_safety_stock() -> None:
    constant = {"law": "deterministic", "values": [7.0]}
    assert assp_plan(one_location(constant), service_level=0.99).parameters["up_to"] == pytest.approx([21.0])
    nothing = {"law": "deterministic", "values": [0.0]}
    assert assp_plan(one_location(nothing), service_level=0.99).parameters["up_to"] == [0.0]


def test_left_out_the_service_level_is_the_cheapest_and_the_same_for_all() -> None:
    problem = make_problem("echelon/Serial-v0", periods=400)
    scenarios = sample(problem.network, periods=400, replications=200, seed=5, stream="tuning")
    tuned = make_plan("assp", problem, scenarios=scenarios)
    assert isinstance(tuned.policy, OrderUpTo)

    def cost(plan: Any) -> float:
        return float(simulate(problem, plan.policy, scenarios).cost.mean())

    others = [assp_plan(problem, service_level=float(stats.norm.cdf(z))) for z in np.linspace(0, 5, 26)]
    assert cost(tuned) <= min(map(cost, others)) * 1.005
    assert min(map(cost, others)) < max(map(cost, others)) / 1.5
    again = assp_plan(problem, service_level=tuned.parameters["service_level"])
    assert again.parameters["up_to"] == tuned.parameters["up_to"]
    # One target for all is what multi-echelon levels, each on its own, are better than.
    assert cost(base_stock(problem, scenarios=scenarios)) < cost(tuned)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "BS"}, "method must be AT or BT, got 'BS'; known: AT, BT"),
        ({"review_period": 0}, "review_period must be at least 1, got 0"),
        ({"coverage_periods": 0}, "coverage_periods must be at least 1, got 0"),
        ({"period_length": 0}, "period_length must be at least 1, got 0"),
        ({"service_level": 1.0}, "service_level must be"),
        ({"service_level": 0.0}, "service_level must be"),
    ],
)
def test_an_option_that_cannot_be_is_named(options: Data, message: str) -> None:
    with pytest.raises(MethodError) as error:
        assp_plan(serial(), **options)
    assert str(error.value).startswith(message)


def test_it_is_a_baseline_for_configs() -> None:
    assert BASELINES["assp"] is assp_plan
    with pytest.raises(MethodError, match="assp: servicelevel: "):
        make_plan("assp", serial(), servicelevel=0.9)
