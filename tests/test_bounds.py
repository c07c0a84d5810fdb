"""Lower bounds: below what any policy costs, on every scenario and on the average, and tight where they should be."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise, product
from typing import Any

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import integrate, stats

from echelon.baselines.base_stock import base_stock
from echelon.baselines.bounds import lower_bound
from echelon.baselines.information_relaxation import (
    information_relaxation,
    landed_costs,
    relaxed_costs,
    slopes,
)
from echelon.baselines.newsvendor import newsvendor, newsvendor_plan
from echelon.baselines.newsvendor_relaxation import (
    Share,
    TruncatedNormal,
    expected_cost,
    newsvendor_relaxation,
    shares,
)
from echelon.baselines.open_loop import open_loop_optimum
from echelon.baselines.per_period import Schedule
from echelon.baselines.perfect_information import clairvoyant, path_of
from echelon.envs import dynamics
from echelon.envs.arrays import network_arrays
from echelon.envs.catalogue import PROBLEMS, make_problem
from echelon.envs.classic_problems import LOST_SALES_OPTIMA
from echelon.envs.demand import (
    Deterministic,
    Discrete,
    Gamma,
    Law,
    NegativeBinomial,
    Normal,
    Poisson,
    Promotion,
    Uniform,
)
from echelon.envs.dynamics import initial_state
from echelon.envs.errors import MethodError
from echelon.envs.network import Network
from echelon.envs.policy import OrderUpTo, Position, order_up_to
from echelon.envs.problem import Problem
from echelon.envs.scenarios import Scenarios, sample
from echelon.envs.simulate import simulate
from echelon.envs.state import STOCKS, Draw, State

from .strategies import networks, order_up_to_levels
from .test_problems import SMALL

Floats = NDArray[np.float64]


BOUNDED = ("order bounds", "order delay")


def problems(network: Network, data: st.DataObject, periods: int = 5) -> Problem:
    """The network over a short horizon, with a warm-up, a discount or neither."""
    discount = data.draw(st.sampled_from([1.0, 1.0, 0.9]))
    warm_up = data.draw(st.integers(0, 2)) if discount == 1 else 0
    return Problem("random", network, periods=periods, warm_up=warm_up, discount=discount)


def some_rule(network: Network, data: st.DataObject) -> OrderUpTo:
    """Any order-up-to rule."""
    position: Position = data.draw(st.sampled_from(["installation", "echelon"]))
    return order_up_to(network, data.draw(order_up_to_levels(network)), position=position)


# What holds on every scenario


def follow(problem: Problem, rule: OrderUpTo, seed: int, cuts: list[int]) -> tuple[float, float]:
    """What the programme charges if it must ship and hold what the engine ships and holds, and what the engine charges.

    With several `cuts` the horizon falls into windows, each with a start of its own choice. Raises if the
    engine's path breaks a constraint.
    """
    network, value = problem.network, 0.0
    rounding = 0.0 if network.whole_units else 1e-6
    scenarios = sample(network, periods=problem.periods, replications=1, seed=seed)
    outcome = simulate(problem, rule, scenarios, trace=True)
    assert outcome.trace is not None
    for first, until in pairwise([0, *cuts, problem.periods]):
        path = path_of(network, scenarios, 0, first, until)
        model = clairvoyant(network, path, problem.weights[first:until], given_start=not cuts)
        for series, quantity in ((model.shipped, outcome.trace.shipped), (model.on_hand, outcome.trace.on_hand)):
            for k, one in enumerate(series):
                taken = quantity[0, first:until, k]
                model.program.require(one, taken - rounding, taken + rounding)
        value += model.program.solve()[0]
    return value, float(outcome.cost[0])


@settings(max_examples=200)
@given(network=st.one_of(networks(features=True, max_nodes=4), networks(max_nodes=4, always=BOUNDED)), data=st.data())
def test_every_path_of_the_engine_is_a_choice_of_the_clairvoyant_at_no_higher_cost(
    network: Network, data: st.DataObject
) -> None:
    problem = problems(network, data)
    value, cost = follow(problem, some_rule(network, data), data.draw(st.integers(0, 99)), [])
    assert value <= cost + 1e-3 * (1 + abs(cost))


@settings(max_examples=50)
@given(network=networks(features=True, max_nodes=4), data=st.data())
def test_the_clairvoyant_charges_what_the_engine_charges_for_the_same_path(
    network: Network, data: st.DataObject
) -> None:
    """Where no freedom is left: no fixed costs, nothing to make later, to scrap, to round, or to divide differently."""
    network = network.model_copy(
        update={"links": tuple(x.model_copy(update={"fixed_cost": 0.0}) for x in network.links)}
    )
    arrays = network_arrays(network)
    choosing = arrays.limited.any() or arrays.is_first.sum() > len(network.nodes) or arrays.ages or arrays.partial
    assume(not (choosing or (arrays.whole_units and (arrays.yields or arrays.bills))))
    problem = problems(network, data)
    value, cost = follow(problem, some_rule(network, data), data.draw(st.integers(0, 99)), [])
    assert value == pytest.approx(cost, rel=1e-3, abs=1e-3)


@settings(max_examples=60)
@given(network=networks(features=True, max_nodes=4), data=st.data())
def test_every_part_of_a_path_is_a_choice_of_a_window_that_starts_as_it_likes(
    network: Network, data: st.DataObject
) -> None:
    assume(not any(node.price for node in network.nodes))
    problem = problems(network, data)
    cut = data.draw(st.integers(1, problem.periods - 1))
    value, cost = follow(problem, some_rule(network, data), data.draw(st.integers(0, 99)), [cut])
    assert value <= cost + 1e-3 * (1 + abs(cost))


@settings(max_examples=40)
@given(network=networks(features=True, max_nodes=4), data=st.data())
def test_nobody_beats_the_clairvoyant_on_any_scenario(network: Network, data: st.DataObject) -> None:
    problem = problems(network, data)
    scenarios = sample(network, periods=problem.periods, replications=1, seed=data.draw(st.integers(0, 99)))
    cost = simulate(problem, some_rule(network, data), scenarios).cost
    assert relaxed_costs(problem, scenarios) <= cost + 1e-6 * (1 + np.abs(cost))


def expected_shortage(law: Law, cover: int, level: float) -> float:
    """E[(D - level)+] over `cover` periods of whole-number demand, by plain convolution."""
    pmf = np.ones(1)
    for _ in range(cover):
        pmf = np.convolve(pmf, law.pmf())
    return float(np.maximum(np.arange(len(pmf)) - level, 0) @ pmf)


def cost_with_expected_stock(problem: Problem, rule: Any, scenarios: Scenarios) -> float:
    """What the rule pays on the scenario if its outlets pay for their stock what it costs on the average."""
    network, weights = problem.network, problem.weights
    outcome = simulate(problem, rule, scenarios, trace=True)
    assert outcome.trace is not None
    value = float(outcome.cost[0])
    counted = int(np.argmax(weights > 0))
    for c, (node, law) in enumerate(zip(network.outlets, network.laws, strict=True)):
        n = network.index[node.name]
        kept = 0.0 if node.stockout_rule == "backorder" else float(landed_costs(network)[n])
        lost = outcome.trace.lost[0, :, c]
        on_hand, backorders = outcome.trace.on_hand[0, :, n], outcome.trace.backorders[0, :, c]
        revenue = node.price if node.stockout_rule == "lost_sales" else 0.0
        for share in shares(network, n, kept=kept):
            start = share.cover - 1 + (counted if node.stockout_rule == "lost_sales" else 0)
            late = weights * (np.arange(problem.periods) >= start)
            if node.stockout_rule == "lost_sales":
                late = weights
            if share == shares(network, n, kept=kept)[0]:
                value -= float(late @ (node.holding_cost * on_hand))
                value -= float(late @ ((node.stockout_cost + revenue - kept) * (backorders + lost)))
            for t in range(start, problem.periods):
                window = slice(t - share.cover + 1, t + 1)
                level = on_hand[t] - backorders[t] - lost[window].sum() + scenarios.demand[0, window, c].sum()
                short = expected_shortage(law, share.cover, level)
                over = level - share.cover * float(np.arange(len(law.pmf())) @ law.pmf()) + short
                value += weights[t] * (share.holding_cost * over + share.stockout_cost * short)
    return value


@settings(max_examples=50)
@given(network=networks(features=True, whole=True, max_nodes=4), data=st.data())
def test_nobody_beats_the_clairvoyant_who_pays_the_expected_cost_of_stock(
    network: Network, data: st.DataObject
) -> None:
    problem = problems(network, data)
    scenarios = sample(network, periods=problem.periods, replications=1, seed=data.draw(st.integers(0, 99)))
    cost = cost_with_expected_stock(problem, some_rule(network, data), scenarios)
    assert relaxed_costs(problem, scenarios, penalty=True)[0] <= cost + 1e-6 * (1 + abs(cost))


# What holds on the average: all scenarios of a tiny problem, against its optimum over all policies

COIN = Discrete(values=(0.0, 2.0), probabilities=(0.5, 0.5))


def optimum(problem: Problem, choices: tuple[float, ...] = (0.0, 1.0, 2.0)) -> float:
    """The least expected cost over all policies that order one of `choices` on each link: the whole tree of events."""
    network = problem.network
    actions = np.array(list(product(choices, repeat=len(network.links))))
    demands = np.array(list(product(COIN.values, repeat=len(network.outlets))))
    states = initial_state(network, 1)
    sizes, costs = len(actions) * len(demands), []
    for weight in problem.weights:
        batch = states.batch
        grown = _repeated(states, sizes)
        orders = np.tile(np.repeat(actions, len(demands), axis=0), (batch, 1))
        states, ledger = dynamics.step(grown, orders, Draw(np.tile(demands, (batch * len(actions), 1))))
        costs.append(weight * ledger.cost)
    value = np.zeros(states.batch)
    for cost in reversed(costs):
        of_event = (cost + value).reshape(-1, len(actions), len(demands))
        value = of_event.mean(axis=2).min(axis=1)
    return float(value[0])


def _repeated(state: State, times: int) -> State:
    stocks: dict[str, Any] = {name: np.repeat(getattr(state, name), times, axis=0) for name in STOCKS}
    return replace(state, **stocks)


def all_scenarios(problem: Problem) -> Scenarios:
    """Every path of the coins, all equally likely."""
    outlets = len(problem.network.outlets)
    paths = np.array(list(product(COIN.values, repeat=problem.periods * outlets)))
    return Scenarios(demand=paths.reshape(-1, problem.periods, outlets))


def store(**fields: Any) -> dict[str, Any]:
    return {"name": "store", "demand": COIN, "holding_cost": 1.0, "stockout_cost": 4.0, **fields}


TINY = {
    "backorders": ([store()], [{"target": "store", "lead_time": 1}]),
    "backorders at once": ([store()], [{"target": "store", "unit_cost": 1.0}]),
    "lost sales": ([store(stockout_rule="lost_sales")], [{"target": "store", "lead_time": 1}]),
    "lost sales, purchase": ([store(stockout_rule="lost_sales", price=3.0)], [{"target": "store", "unit_cost": 2.0}]),
    "perishable": (
        [store(stockout_rule="lost_sales", shelf_life=2, scrap_cost=1.0)],
        [{"target": "store", "unit_cost": 1.0, "max_order": 2.0}],
    ),
    "serial": (
        [{"name": "depot", "holding_cost": 0.5, "initial_on_hand": 2.0}, store(initial_on_hand=1.0)],
        [{"target": "depot", "lead_time": 1}, {"source": "depot", "target": "store", "unit_cost": 0.25}],
    ),
}


@pytest.mark.parametrize("name", TINY)
def test_the_bounds_are_below_the_optimum_over_all_policies(name: str) -> None:
    nodes, links = TINY[name]
    network = Network.from_dict({"nodes": nodes, "links": links})
    problem = Problem(name, network, periods=3 if len(links) > 1 else 4, warm_up=0)
    best = optimum(problem)
    scenarios = all_scenarios(problem)
    known, penalised = (float(relaxed_costs(problem, scenarios, penalty=p).mean()) for p in (False, True))
    assert known <= best + 1e-9
    assert penalised <= best + 1e-9
    assert newsvendor_relaxation(problem).value <= best + 1e-9
    # One more condition on the clairvoyant: it must not be a worse bound than both of the simple ones.
    assert penalised >= newsvendor_relaxation(problem).value - 1e-9
    if name == "backorders at once":
        assert penalised == pytest.approx(best, rel=0.2)


def test_the_bound_of_a_single_location_with_backorders_is_its_optimum() -> None:
    """Zero lead time, one coin a period, no end effect with a discount of 1 and no costs but stock: the newsvendor."""
    network = Network.from_dict({"nodes": [store()], "links": [{"target": "store"}]})
    problem = Problem("coin", network, periods=4, warm_up=0)
    assert newsvendor_relaxation(problem).value == pytest.approx(optimum(problem), abs=1e-12)
    assert information_relaxation(problem).value == pytest.approx(optimum(problem), abs=1e-9)


@pytest.mark.parametrize("lead_time", [0, 1, 4])
@pytest.mark.parametrize("demand", [Poisson(mean=5), NegativeBinomial(mean=5, sd=4), Gamma(mean=5, sd=2)])
def test_the_newsvendor_relaxation_is_exact_for_a_single_location_with_backorders(lead_time: int, demand: Law) -> None:
    network = Network.from_dict(
        {
            "nodes": [{"name": "store", "demand": demand, "holding_cost": 1.0, "stockout_cost": 9.0}],
            "links": [{"target": "store", "lead_time": lead_time}],
        }
    )
    problem = Problem("single", network, periods=200, warm_up=50)
    plan = newsvendor_plan(problem)
    assert newsvendor_relaxation(problem).value == pytest.approx(plan.model_cost, rel=1e-12)
    bound = information_relaxation(problem, replications=2)
    assert bound.value == pytest.approx(plan.model_cost, rel=1e-6)


# The newsvendor relaxation


@pytest.mark.parametrize(
    ("law", "lead_time", "ratio", "value"),
    [(law, *key, value) for law, rows in LOST_SALES_OPTIMA.items() for key, value in rows.items()],
)
def test_lost_sales_optima_of_zipkins_test_bed_are_above_the_bound(
    law: str, lead_time: int, ratio: float, value: float
) -> None:
    problem = make_problem("echelon/LostSales-v0", demand=law, lead_time=lead_time, stockout_cost=float(ratio))
    bound = newsvendor_relaxation(problem).value
    assert 0.7 * value < bound < value


def test_the_shares_of_lost_sales_add_up_and_beat_a_single_window() -> None:
    network = make_problem("echelon/LostSales-v0", lead_time=4, stockout_cost=4.0).network
    parts = shares(network, 0)
    assert sum(part.holding_cost for part in parts) == pytest.approx(1.0)
    assert sum(part.cover * part.stockout_cost for part in parts) == pytest.approx(4.0)
    law = Poisson(mean=5)
    best = sum(expected_cost(law, (1.0,) * part.cover, part).least for part in parts)
    single = [newsvendor(demand=law, holding_cost=1, stockout_cost=4 / n, lead_time=n - 1).cost for n in range(1, 6)]
    assert best >= max(single) - 1e-9


def test_a_normal_demand_is_truncated_as_it_is_sampled() -> None:
    law = Normal(mean=2, sd=3)
    exact = TruncatedNormal(law, 1.5)
    density = stats.truncnorm(-2 / 3, np.inf, loc=3, scale=4.5).pdf
    for level in (-1.0, 0.5, 4.0, 9.0):
        short = integrate.quad(lambda x, y=level: max(x - y, 0) * density(x), 0, 60, points=[max(level, 0)])[0]
        assert float(exact.shortage(np.array(level))) == pytest.approx(short, abs=1e-7)
        below = integrate.quad(density, 0, max(level, 0))[0]
        assert float(exact.cdf(np.array(level))) == pytest.approx(below, abs=1e-7)
    assert exact.mean == pytest.approx(law.moments(1.5)[0])


def test_the_sum_of_truncated_normals_is_bounded_from_below() -> None:
    """Wild normal demand over three periods: the bound gives away the difference to the normal law that is summed."""
    law, share = Normal(mean=2, sd=1.5), Share(3, 1.0, 4.0)
    uniform = np.random.default_rng(0).random((200_000, 3))
    total = law.quantile(uniform).sum(axis=1)
    cost = expected_cost(law, (1.0, 1.0, 1.0), share)
    for level in (2.0, 6.0, 9.0):
        sampled = np.maximum(level - total, 0) + 4 * np.maximum(total - level, 0)
        assert float(cost.at(np.array(level))) < sampled.mean() + 3 * sampled.std() / len(total) ** 0.5


@pytest.mark.parametrize("law", [Poisson(mean=3), Gamma(mean=5, sd=5), Uniform(low=1, high=4), Normal(mean=9, sd=2)])
@pytest.mark.parametrize("share", [Share(1, 1.0, 9.0), Share(3, 2.0, 1.0), Share(2, 0.1, 50.0)])
def test_the_slopes_touch_the_expected_cost_from_below(law: Law, share: Share) -> None:
    window = (1.0,) * share.cover
    cost, pieces = expected_cost(law, window, share), slopes(law, window, share)
    assert pieces.least == pytest.approx(cost.least, abs=1e-9)
    for level in np.linspace(-5, 40, 91):
        value, move = pieces.least, level - pieces.base
        for slope, width in pieces.up if move > 0 else pieces.down:
            part = min(abs(move), width)
            value, move = value + slope * part, abs(move) - part
        assert value <= float(cost.at(np.array(level))) + 1e-9


def test_outlets_without_a_newsvendor_add_nothing() -> None:
    law = {"law": "ar1", "mean": 5.0, "sd": 1.0, "correlation": 0.5}
    nodes = [
        {"name": "a", "demand": law, "holding_cost": 1.0, "stockout_cost": 5.0},
        {"name": "b", "demand": {"law": "deterministic", "values": 3}, "holding_cost": 1.0, "stockout_cost": 5.0},
        {"name": "c", "demand": {"law": "poisson", "mean": 3}, "stockout_cost": 5.0},
    ]
    network = Network.from_dict({"nodes": nodes, "links": [{"target": node["name"]} for node in nodes]})
    assert newsvendor_relaxation(Problem("nothing", network, periods=10, warm_up=0)).value == 0.0


@pytest.mark.parametrize("spec", [{"seasonal": (0.5, 1.5)}, {"trend": 0.01}])
def test_seasonal_demand_has_a_newsvendor_for_every_window(spec: dict[str, Any]) -> None:
    law = Poisson(mean=4, **spec)
    node = {"name": "store", "demand": law, "holding_cost": 1.0, "stockout_cost": 9.0}
    network = Network.from_dict({"nodes": [node], "links": [{"target": "store", "lead_time": 1}]})
    problem = Problem("seasonal", network, periods=20, warm_up=4)
    cost = 0.0
    for t in range(4, 20):
        mean = float(4 * law.factors(20)[t - 1 : t + 1].sum())
        cost += newsvendor(demand=Poisson(mean=mean), holding_cost=1, stockout_cost=9).cost / 16
    assert newsvendor_relaxation(problem).value == pytest.approx(cost, rel=1e-9)


@pytest.mark.parametrize("rule", ["backorder", "lost_sales", 0.5])
@pytest.mark.parametrize(
    "law",
    [
        Gamma(mean=4, sd=2, seasonal=(0.5, 1.5)),
        NegativeBinomial(mean=4, sd=3, growth=0.02, promotions=(Promotion(start=3, uplift=0.0),)),
        Discrete(values=(0.0, 4.0), probabilities=(0.5, 0.5), seasonal=(0.25, 0.5, 1.0)),
        Normal(mean=1, sd=2, trend=-0.01),
    ],
)
def test_a_calendar_is_bounded_below_what_rules_cost(law: Law, rule: str | float) -> None:
    node = {"name": "store", "demand": law, "holding_cost": 1.0, "stockout_cost": 5.0, "stockout_rule": rule}
    network = Network.from_dict({"nodes": [node], "links": [{"target": "store", "lead_time": 2, "unit_cost": 0.5}]})
    problem = Problem("calendar", network, periods=40, warm_up=5)
    scenarios = sample(network, periods=40, replications=2000, seed=0)
    cost = min(simulate(problem, order_up_to(network, [level]), scenarios).cost.mean() for level in range(6, 24, 3))
    assert 0 < newsvendor_relaxation(problem).value < cost
    assert newsvendor_relaxation(problem).value < lower_bound(problem).proven < cost


# Schedules for networks without randomness


@pytest.mark.parametrize(
    "parameters", [{}, {"warm_up": 12}, {"order_delay": 0}, {"holding_cost": [0.1, 0.2, 0.4, 0.8], "lead_time": 1}]
)
def test_the_engine_pays_what_the_programme_says_for_the_best_schedule_of_the_beer_game(
    parameters: dict[str, Any],
) -> None:
    problem = make_problem("echelon/BeerGame-v0", **parameters)
    plan = open_loop_optimum(problem)
    scenarios = sample(problem.network, periods=problem.periods, replications=2, seed=5)
    assert plan.optimal
    assert plan.model_cost is not None
    np.testing.assert_allclose(simulate(problem, plan.policy, scenarios, check=True).cost, plan.model_cost, atol=1e-9)
    assert information_relaxation(problem).value == pytest.approx(plan.model_cost, abs=1e-6)
    assert (
        plan.model_cost
        <= simulate(problem, order_up_to(problem.network, [36, 44, 44, 40]), scenarios).cost.min() + 1e-9
    )


def test_the_schedule_is_that_of_wagner_and_whitin() -> None:
    """Snyder and Shen (2019), example 3.9: orders of 210 and 150, 1,380 in all."""
    node = {"name": "store", "holding_cost": 2.0, "stockout_cost": 1e4}
    demand = Deterministic(values=(90, 120, 80, 70))
    network = Network.from_dict(
        {"nodes": [{**node, "demand": demand}], "links": [{"target": "store", "fixed_cost": 500.0}]}
    )
    plan = open_loop_optimum(Problem("wagner_whitin", network, periods=4, warm_up=0))
    assert plan.model_cost == pytest.approx(1380 / 4)
    assert plan.parameters["orders"] == [[210], [0], [150], [0]]


@settings(max_examples=15)
@given(data=st.data())
def test_lots_smallest_orders_and_fixed_costs_are_scheduled_as_well_as_by_trying_everything(
    data: st.DataObject,
) -> None:
    lot = data.draw(st.sampled_from([None, 2.0, 3.0]))
    link = {
        "target": "store",
        "lead_time": data.draw(st.integers(0, 1)),
        "lot_size": lot,
        "min_order": (lot or 1.0) * data.draw(st.integers(0, 2)),
        "max_order": data.draw(st.sampled_from([None, 6.0])),
        "fixed_cost": data.draw(st.sampled_from([0.0, 1.5, 4.0])),
        "unit_cost": data.draw(st.sampled_from([0.0, 1.0])),
    }
    demand = Deterministic(values=tuple(map(float, data.draw(st.lists(st.integers(0, 4), min_size=3, max_size=3)))))
    node = {
        "name": "store",
        "demand": demand,
        "holding_cost": data.draw(st.sampled_from([0.5, 1.0])),
        "stockout_cost": 3.0,
        "stockout_rule": data.draw(st.sampled_from(["backorder", "lost_sales"])),
    }
    problem = Problem("lots", Network.from_dict({"nodes": [node], "links": [link]}), periods=3, warm_up=0)
    scenarios = sample(problem.network, periods=3, replications=1, seed=0)
    schedules = np.array(list(product(range(13), repeat=3)), dtype=np.float64)
    copies = Scenarios(np.repeat(scenarios.demand, len(schedules), axis=0))
    cost = simulate(problem, lambda state: schedules[:, state.period : state.period + 1], copies).cost
    assert open_loop_optimum(problem).model_cost == pytest.approx(cost.min(), abs=1e-6)


@settings(max_examples=25)
@given(network=networks(max_nodes=4, max_lead_time=2), data=st.data())
def test_no_rule_beats_the_schedule_on_a_network_without_randomness(network: Network, data: st.DataObject) -> None:
    values = data.draw(st.lists(st.integers(0, 6), min_size=1, max_size=4))
    known = Deterministic(values=tuple(map(float, values)))
    nodes = [node.model_copy(update={"demand": known if node.demand else None}) for node in network.nodes]
    problem = Problem("known", network.model_copy(update={"nodes": tuple(nodes), "units": "whole"}), 6, 0)
    scenarios = sample(problem.network, periods=6, replications=1, seed=0)
    try:
        plan = open_loop_optimum(problem)
    except MethodError:  # it would pay to hold something back
        return
    assert plan.model_cost is not None
    cost = simulate(problem, some_rule(problem.network, data), scenarios).cost[0]
    assert plan.model_cost <= cost + 1e-6 * (1 + abs(cost))


@pytest.mark.parametrize(("unfilled", "short"), [("backorder", 0.0), ("drop", 2.0)])
def test_what_a_source_owes_can_be_shipped_beyond_the_largest_order(unfilled: str, short: float) -> None:
    """Two orders of 2 wait for the depot's supply, which comes just in time for a demand of 4, or they are dropped."""
    demand = Deterministic(values=(0, 0, 4, 0))
    store = {"name": "store", "demand": demand, "stockout_rule": "lost_sales", "stockout_cost": 1.0}
    lanes = [
        {"target": "depot", "lead_time": 2},
        {"source": "depot", "target": "store", "max_order": 2.0, "unfilled": unfilled},
    ]
    network = Network.from_dict({"nodes": [{"name": "depot"}, store], "links": lanes})
    plan = open_loop_optimum(Problem("owed", network, periods=4, warm_up=0))
    assert plan.model_cost == pytest.approx(short / 4)


def test_a_schedule_orders_nothing_once_it_has_ended() -> None:
    problem = make_problem("echelon/BeerGame-v0")
    schedule = Schedule(np.full((1, 4), 3.0))
    state = initial_state(problem.network, 2)
    np.testing.assert_array_equal(schedule(state), np.full((2, 4), 3.0))
    state, _ = dynamics.step(state, schedule(state), Draw(np.ones((2, 1))))
    np.testing.assert_array_equal(schedule(state), np.zeros((2, 4)))


# The catalogue


@pytest.mark.parametrize("problem_id", PROBLEMS)
def test_the_lower_bound_of_every_problem_is_below_a_tuned_rule_and_its_optimum(problem_id: str) -> None:
    options = dict(SMALL.get(problem_id, {}))
    if problem_id != "echelon/BeerGame-v0":
        options |= {"periods": 90, "warm_up": 30}
    problem = make_problem(problem_id, **options)
    bound = lower_bound(problem)
    rule = base_stock(problem, scenarios=sample(problem.network, periods=problem.periods, replications=8, seed=1))
    cost = simulate(
        problem, rule.policy, sample(problem.network, periods=problem.periods, replications=200, seed=0)
    ).cost
    assert 0 < bound.proven <= cost.mean() + 3 * cost.std() / len(cost) ** 0.5
    if problem.reference is not None and problem.reference.kind == "optimal":
        assert bound.proven <= problem.reference.value


def test_the_bound_of_a_serial_system_is_the_clark_scarf_optimum_over_a_long_horizon_only() -> None:
    for periods, warm_up in ((130, 9), (60, 30)):
        problem = make_problem("echelon/Serial-v0", periods=periods, warm_up=warm_up)
        assert lower_bound(problem).kind != "clark_scarf_relaxation"
    bound = lower_bound(make_problem("echelon/Serial-v0", periods=150, warm_up=30))
    assert bound.kind == "clark_scarf_relaxation"
    assert bound.half_width == 0.0


def test_a_bound_is_the_same_for_the_same_seed_and_any_number_of_threads() -> None:
    problem = make_problem("echelon/Perishable-v0", periods=60, warm_up=10)
    one, two = (information_relaxation(problem, replications=4, seed=3, threads=threads) for threads in (1, 2))
    assert one == two
    assert one != information_relaxation(problem, replications=4, seed=4)
    assert one.half_width > 0


def test_windows_make_a_weaker_bound_that_large_networks_can_afford() -> None:
    problem = make_problem("echelon/ConsumerGoods-v0", **SMALL["echelon/ConsumerGoods-v0"], periods=120)
    whole, windows = (information_relaxation(problem, periods=p, replications=4) for p in (None, 20))
    assert 0 < windows.proven < whole.value


# What is refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"replications": 1}, "replications must be at least 2, got 1"),
        ({"periods": 0}, "periods must be from 1 to problem.periods = 1100, got 0"),
        ({"periods": 2000}, "periods must be from 1 to problem.periods = 1100, got 2000"),
    ],
)
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(MethodError) as caught:
        information_relaxation(make_problem("echelon/LostSales-v0", periods=1100, warm_up=100), **options)
    assert str(caught.value) == message


def test_a_programme_that_is_too_large_says_what_would_fit() -> None:
    message = r"at most 60,000 periods times nodes, links and outlets \(got 365 times 3,731\): periods = 16 would fit"
    with pytest.raises(MethodError, match=message):
        information_relaxation(make_problem("echelon/ConsumerGoods-v0"))


def test_a_price_that_waiting_customers_pay_is_refused_where_it_would_bound_nothing() -> None:
    node = {"name": "store", "demand": {"law": "poisson", "mean": 3}, "price": 2.0, "holding_cost": 1.0}
    problem = Problem("price", Network.from_dict({"nodes": [node], "links": [{"target": "store"}]}), 20, 2)
    with pytest.raises(MethodError, match="newsvendor_relaxation needs no price where customers wait"):
        newsvendor_relaxation(problem)
    with pytest.raises(MethodError, match="over windows needs no price where customers wait"):
        information_relaxation(problem, periods=5)
    assert information_relaxation(problem).value < 0


@pytest.mark.parametrize("problem_id", [name for name in PROBLEMS if "BeerGame" not in name])
def test_randomness_is_refused_by_the_schedule(problem_id: str) -> None:
    with pytest.raises(MethodError, match="open_loop needs a network in which nothing is random"):
        open_loop_optimum(make_problem(problem_id, **SMALL.get(problem_id, {})))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"yield_rate": 0.5}, "open_loop needs links that bring all they ship (yield_rate 1)"),
        ({"lead_time": {"values": (0, 1)}}, "open_loop needs a network in which nothing is random: deterministic"),
    ],
)
def test_the_schedule_says_what_it_needs(change: dict[str, Any], message: str) -> None:
    node = {"name": "store", "demand": {"law": "deterministic", "values": 3}, "stockout_cost": 1.0}
    network = Network.from_dict({"nodes": [node], "links": [{"target": "store", **change}]})
    with pytest.raises(MethodError) as caught:
        open_loop_optimum(Problem("known", network, 5, 0))
    assert str(caught.value).startswith(message)


def test_a_schedule_that_would_have_to_hold_back_stock_is_refused() -> None:
    """Sales lost in the warm-up are free, so a planner who could refuse customers would save stock for later."""
    node = {
        "name": "store",
        "demand": {"law": "deterministic", "values": 3},
        "stockout_cost": 9.0,
        "stockout_rule": "lost_sales",
        "initial_on_hand": 3.0,
    }
    network = Network.from_dict({"nodes": [node], "links": [{"target": "store", "lead_time": 4}]})
    with pytest.raises(MethodError, match=r"never pays to hold back .* would pay 13.5, the schedule costs 27"):
        open_loop_optimum(Problem("known", network, periods=3, warm_up=1))
