"""Dual sourcing: published instances, value iteration and chains that share no code, simulation, laws, refusals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from echelon.baselines import dual_sourcing_policies
from echelon.baselines.dual_sourcing import DualSourcingResult, dual_sourcing_optimal, dual_sourcing_optimum
from echelon.baselines.dual_sourcing_policies import capped_dual_index, dual_index, single_index, tailored_base_surge
from echelon.baselines.newsvendor import newsvendor
from echelon.baselines.plan import Plan
from echelon.envs.catalogue import make_problem
from echelon.envs.demand import Deterministic, Discrete, DiscreteUniform, Law, Normal, Poisson
from echelon.envs.errors import MethodError
from echelon.envs.network import Network
from echelon.envs.problem import Problem
from echelon.envs.scenarios import sample
from echelon.envs.simulate import simulate, simulate_cost

Floats = NDArray[np.float64]
Method = Callable[..., Plan]
HEURISTICS: list[Method] = [tailored_base_surge, capped_dual_index, dual_index, single_index]

# Instances of J. Gijsbrechts, R. N. Boute, J. A. Van Mieghem and D. J. Zhang, Manufacturing & Service Operations
# Management 24(3), 2022: demand uniform on 0, ..., 4, l_e = 0, c_r = 100, h = 5, b = 495. Regular lead time, expedited
# cost, optimal cost, and by heuristic its parameters and cost; costs recomputed by an independent program whose
# optima are converged, and whose heuristics' costs are to within 5e-5 (the single index of the first row costs
# 200 + 5 * 6/5 + 5 * (6 - 2 * 4/5 - 2) = 218).
TABLE: list[tuple[int, float, float, dict[str, tuple[tuple[int, ...], float]]]] = [
    (2, 105.0, 216.7698, {"tailored_base_surge": ((4, 1), 216.90301), "capped_dual_index": ((4, 7, 2), 216.78239),
                          "dual_index": ((4, 7), 217.02205), "single_index": ((5, 6), 217.99996)}),
    (2, 110.0, 219.73333, {"tailored_base_surge": ((4, 1), 221.903), "capped_dual_index": ((4, 8, 2), 219.79938),
                           "dual_index": ((4, 8), 220.12529), "single_index": ((6, 8), 221.99998)}),
    (3, 105.0, 216.87672, {"tailored_base_surge": ((4, 1), 216.90301), "capped_dual_index": ((4, 9, 1), 216.87832),
                           "dual_index": ((4, 8), 217.45822), "single_index": ((6, 7), 218.99996)}),
    (3, 110.0, 220.34105, {"tailored_base_surge": ((4, 1), 221.903), "capped_dual_index": ((4, 10, 2), 220.46567),
                           "dual_index": ((4, 9), 221.13531), "single_index": ((6, 7), 224.99996)}),
    (4, 105.0, 216.89305, {}),
    (4, 110.0, 220.61223, {}),
    (5, 105.0, 216.89857, {"tailored_base_surge": ((4, 1), 216.90301)}),
    (5, 110.0, 220.7653, {"tailored_base_surge": ((4, 1), 221.903)}),
]  # fmt: skip
LUMPS = Discrete(values=(0.0, 1.0, 3.0), probabilities=(0.3, 0.35, 0.35))
COSTS = {"regular_cost": 2.0, "expedited_cost": 5.0, "holding_cost": 1.0, "stockout_cost": 20.0}


def gijsbrechts(lead_time: int, price: float) -> Problem:
    return make_problem("echelon/DualSourcing-v0", regular_lead_time=lead_time, expedited_cost=price)


def shop(
    demand: dict[str, Any] | Law,
    times: tuple[int, int],
    *,
    regular_first: bool = True,
    node: dict[str, Any] | None = None,
    links: dict[str, Any] | None = None,
    **settings: Any,
) -> Problem:
    """A location with sources of lead times (regular, expedited), at `COSTS`."""
    law = demand if isinstance(demand, dict) else demand.model_dump()
    place = {"name": "shop", "demand": law, "holding_cost": 1.0, "stockout_cost": 20.0, "initial_on_hand": 4}
    sources = [
        {"name": name, "target": "shop", "lead_time": time, "unit_cost": cost} | (links or {})
        for name, time, cost in zip(("slow", "fast"), times, (2.0, 5.0), strict=True)
    ]
    data = {"nodes": [place | (node or {})], "links": sources if regular_first else sources[::-1]}
    return Problem("shop", Network.from_dict(data), **settings)


def optimum(demand: Law, times: tuple[int, int], **changes: Any) -> DualSourcingResult:
    regular, expedited = times
    parameters: dict[str, Any] = COSTS | {"tolerance": 1e-8} | changes
    return dual_sourcing_optimum(demand=demand, regular_lead_time=regular, expedited_lead_time=expedited, **parameters)


def model_cost(plan: Plan) -> float:
    assert plan.model_cost is not None
    return plan.model_cost


@pytest.mark.parametrize(("lead_time", "price", "cost", "heuristics"), TABLE)
def test_published_instances_come_out(
    lead_time: int, price: float, cost: float, heuristics: dict[str, tuple[tuple[int, ...], float]]
) -> None:
    problem = gijsbrechts(lead_time, price)
    best = dual_sourcing_optimal(problem, tolerance=1e-7)
    assert best.optimal
    assert model_cost(best) == pytest.approx(cost, abs=1e-5)
    assert problem.reference is not None
    assert problem.reference.value == pytest.approx(model_cost(best), abs=1e-5)
    for method in HEURISTICS:
        plan = method(problem)
        assert not plan.optimal
        assert model_cost(plan) > model_cost(best)
        if method.__name__ in heuristics:
            parameters, printed = heuristics[method.__name__]
            assert tuple(plan.parameters.values()) == parameters
            assert model_cost(plan) == pytest.approx(printed, abs=5e-5)
            assert model_cost(method(problem, **plan.parameters)) == pytest.approx(model_cost(plan), abs=1e-9)


def test_the_single_index_of_the_first_instance_costs_218_exactly() -> None:
    assert model_cost(single_index(gijsbrechts(2, 105.0))) == pytest.approx(218.0, abs=1e-10)


@pytest.mark.parametrize("lead_time", [2, 3, 4, 5])
@pytest.mark.parametrize("price", [105.0, 110.0])
def test_the_dual_index_is_within_two_percent_of_the_optimum(lead_time: int, price: float) -> None:
    problem = gijsbrechts(lead_time, price)
    assert model_cost(dual_index(problem)) < 1.02 * model_cost(dual_sourcing_optimal(problem))


# --- the location as the engine runs it, in plain Python -------------------------------------------------------------

State = tuple[int, tuple[int, ...], tuple[int, ...]]
"""Net stock after arrivals, expedited and regular orders under way, the next to arrive first."""


@dataclass(frozen=True)
class Location:
    """The unreduced location: orders arrive, demand comes, costs are charged, all in the period they belong to."""

    times: tuple[int, int]
    law: Discrete

    def outcomes(self, state: State, expedited: int, regular: int) -> list[tuple[float, float, State]]:
        """Probability, cost and next state of each demand."""
        stock, fast, slow = state
        fast, slow = (*fast, expedited), (*slow, regular)
        stock += expedited if self.times[1] == 0 else 0
        bought = COSTS["expedited_cost"] * expedited + COSTS["regular_cost"] * regular
        result = []
        for demand, chance in zip(self.law.values, self.law.probabilities, strict=True):
            left = stock - int(demand)
            cost = bought + COSTS["holding_cost"] * max(left, 0) + COSTS["stockout_cost"] * max(-left, 0)
            arrived = slow[0] + (fast[0] if self.times[1] else 0)
            result.append((chance, cost, (left + arrived, fast[1:] if self.times[1] else (), slow[1:])))
        return result

    def states(self, stocks: range, most_fast: int, most_slow: int) -> list[State]:
        fast = list(product(range(most_fast + 1), repeat=max(self.times[1] - 1, 0)))
        slow = list(product(range(most_slow + 1), repeat=self.times[0] - 1))
        return [(stock, f, s) for stock in stocks for f in fast for s in slow]


def brute_force_optimum(location: Location, stocks: range, most_fast: int, most_slow: int) -> float:
    """Relative value iteration over all states and all pairs of orders; stock is clipped to the range."""
    states = location.states(stocks, most_fast, most_slow)
    number = {state: k for k, state in enumerate(states)}
    chance = np.array(location.law.probabilities)
    costs, following = [], []
    for actions in product(range(most_fast + 1), range(most_slow + 1)):
        rows = [location.outcomes(state, *actions) for state in states]
        costs.append([sum(p * cost for p, cost, _ in row) for row in rows])
        following.append(
            [[number[min(max(s[0], stocks[0]), stocks[-1]), s[1], s[2]] for _, _, s in row] for row in rows]
        )
    cost, after = np.array(costs), np.array(following)
    values = np.zeros(len(states))
    for _ in range(5_000):
        new = (cost + values[after] @ chance).min(axis=0)
        change = new - values
        values = new - new[0]
        if np.ptp(change) < 1e-9:
            return float(change.mean())
    raise AssertionError("does not settle")


@pytest.mark.parametrize("times", [(1, 0), (2, 0), (3, 0), (2, 1), (3, 1), (3, 2)])
def test_the_optimum_is_that_of_a_dense_programme_over_all_states_and_orders(times: tuple[int, int]) -> None:
    exact = brute_force_optimum(Location(times, LUMPS), range(-6, 14), 3 + 2 * (times[1] > 0), 3)
    assert optimum(LUMPS, times).cost == pytest.approx(exact, abs=1e-6)


Rule = Callable[[State], tuple[int, int]]


def index_rule(times: tuple[int, int], low: int, high: float, cap: float = np.inf, *, single: bool = False) -> Rule:
    def rule(state: State) -> tuple[int, int]:
        stock, fast, slow = state
        soon, later = sum(slow[: times[1]]), sum(slow[times[1] :])
        position = stock + sum(fast) + soon
        expedited = max(low - position - later * single, 0)
        return expedited, int(min(max(high - position - later - expedited, 0), cap))

    return rule


def brute_force_cost(location: Location, rule: Rule, most: int = 80) -> float:
    """The average cost of a rule, by the balance equations of its chain; stock is clipped at `most`."""
    start: State = (0, (0,) * max(location.times[1] - 1, 0), (0,) * (location.times[0] - 1))
    number, queue = {start: 0}, [start]
    rows = []
    for state in queue:
        rows.append([(p, c, (min(s[0], most), s[1], s[2])) for p, c, s in location.outcomes(state, *rule(state))])
        for _, _, following in rows[-1]:
            if following not in number:
                number[following] = len(queue)
                queue.append(following)
    chain = np.zeros((len(queue), len(queue)))
    for k, row in enumerate(rows):
        for chance, _, following in row:
            chain[k, number[following]] += chance
    balance = chain.T - np.eye(len(queue))
    balance[0] = 1.0  # in the place of an equation that follows from the others
    law = np.linalg.solve(balance, np.eye(len(queue))[0])
    return float(law @ [sum(chance * cost for chance, cost, _ in row) for row in rows])


@pytest.mark.parametrize("times", [(1, 0), (3, 0), (3, 1), (4, 2)])
def test_index_policies_cost_what_the_balance_equations_of_their_chains_say(times: tuple[int, int]) -> None:
    problem, location = shop(LUMPS, times), Location(times, LUMPS)
    for low, high, cap in [(1, 4, 1), (3, 3, 2), (3, 6, 2), (-1, 5, 3), (4, 9, 1)]:
        levels = {"expedite_up_to": low, "order_up_to": high}
        for method, rule in (
            (single_index(problem, **levels), index_rule(times, low, high, single=True)),
            (dual_index(problem, **levels), index_rule(times, low, high)),
            (capped_dual_index(problem, **levels, cap=cap), index_rule(times, low, high, cap)),
            (
                tailored_base_surge(problem, expedite_up_to=low, constant_order=cap % 2),
                index_rule(times, low, np.inf, cap % 2),
            ),
        ):
            assert model_cost(method) == pytest.approx(brute_force_cost(location, rule), abs=1e-8)


@pytest.mark.parametrize("times", [(2, 0), (3, 1), (4, 1)])
@pytest.mark.parametrize("law", [LUMPS, Discrete(values=(0.0, 6.0), probabilities=(0.7, 0.3))], ids=["lumps", "lots"])
def test_no_parameters_in_a_wide_range_cost_less_than_the_tuned_ones(law: Law, times: tuple[int, int]) -> None:
    problem = shop(law, times)
    tuned = {method.__name__: model_cost(method(problem)) for method in HEURISTICS}
    for low, gap in product(range(0, 13, 2), range(0, 16, 1 + (times[0] > 3))):
        levels = {"expedite_up_to": low, "order_up_to": low + gap}
        assert model_cost(single_index(problem, **levels)) > tuned["single_index"] - 1e-9
        assert model_cost(dual_index(problem, **levels)) > tuned["dual_index"] - 1e-9
        if low % 4 == 0:
            for cap in range(7):
                cost = model_cost(capped_dual_index(problem, **levels, cap=cap))
                assert cost > tuned["capped_dual_index"] - 1e-9
    for low, order in product(range(-1, 13), range(2)):
        plan = tailored_base_surge(problem, expedite_up_to=low, constant_order=order)
        assert model_cost(plan) > tuned["tailored_base_surge"] - 1e-9


# --- the engine ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [dual_sourcing_optimal, *HEURISTICS], ids=lambda method: method.__name__)
def test_plans_cost_in_the_engine_what_their_model_says(method: Method) -> None:
    demand = {"law": "discrete_uniform", "low": 0, "high": 4}
    changes: dict[str, Any] = {"transit_holding_cost": 0.5, "initial_in_transit": 2}
    problem = shop(demand, (4, 1), links=changes, periods=2_600, warm_up=50)
    plan = method(problem)
    costs = simulate_cost(problem, plan.policy, sample(problem.network, periods=2_600, replications=4_000, seed=5))
    error = costs.std(ddof=1) / len(costs) ** 0.5
    assert 3 * error < 0.003 * costs.mean()
    assert abs(costs.mean() - model_cost(plan)) < 3 * error


@pytest.mark.parametrize("method", [dual_sourcing_optimal, *HEURISTICS], ids=lambda method: method.__name__)
def test_the_order_of_the_links_does_not_matter(method: Method) -> None:
    costs = []
    for regular_first in (True, False):
        problem = shop(LUMPS, (3, 1), regular_first=regular_first, periods=200, warm_up=20)
        plan = method(problem)
        outcome = simulate(problem, plan.policy, sample(problem.network, periods=200, replications=20, seed=1))
        slow, fast = outcome.per_period["ordered"].mean(axis=0)[:: 1 if regular_first else -1]
        assert slow > 0
        assert fast < 1
        costs.append((model_cost(plan), *outcome.cost))
    assert costs[0] == pytest.approx(costs[1])


def test_the_table_serves_states_beyond_its_ends() -> None:
    changes = {"initial_in_transit": 50}
    problem = shop(LUMPS, (3, 1), node={"initial_on_hand": 90}, links=changes, periods=1_000, warm_up=300)
    plan = dual_sourcing_optimal(problem)
    costs = simulate_cost(problem, plan.policy, sample(problem.network, periods=1_000, replications=200, seed=2))
    assert abs(costs.mean() - model_cost(plan)) < 3 * costs.std(ddof=1) / 200**0.5


def test_chains_that_are_too_large_are_tuned_on_sampled_demand(monkeypatch: pytest.MonkeyPatch) -> None:
    problem = gijsbrechts(4, 110.0)
    exact = {method: model_cost(method(problem)) for method in (dual_index, capped_dual_index)}
    with monkeypatch.context() as patch:
        patch.setattr(dual_sourcing_policies, "MOST_STATES", 0)
        sampled = {method: method(problem, seed=3) for method in exact}
    for method, plan in sampled.items():
        assert plan.model_cost is None
        assert model_cost(method(problem, **plan.parameters)) < exact[method] * (1 + 1e-4)


# --- laws ------------------------------------------------------------------------------------------------------------


@st.composite
def small_laws(draw: st.DrawFn) -> Discrete:
    weights = draw(st.lists(st.integers(0, 5), min_size=2, max_size=5).filter(lambda w: sum(w[1:]) > 0))
    return Discrete(
        values=tuple(float(k) for k in range(len(weights))), probabilities=tuple(w / sum(weights) for w in weights)
    )


@settings(max_examples=25, deadline=None)
@given(law=small_laws(), lead=st.integers(1, 3), fast=st.integers(0, 1), premium=st.integers(1, 60))
def test_no_heuristic_beats_the_optimum_and_more_choice_never_costs(
    law: Discrete, lead: int, fast: int, premium: int
) -> None:
    problem = shop(law, (fast + lead, fast), links=None)
    data = problem.network.model_dump(exclude_defaults=True)
    data["links"][1]["unit_cost"] = 2.0 + premium
    problem = Problem("shop", Network.from_dict(data))
    best = optimum(law, (fast + lead, fast), expedited_cost=2.0 + premium, tolerance=1e-6)
    assert best.high - best.low <= 1e-6
    capped, dual = model_cost(capped_dual_index(problem)), model_cost(dual_index(problem))
    for method in HEURISTICS:
        assert best.cost <= model_cost(method(problem)) + 1e-6
    assert capped <= dual + 1e-6
    slower = optimum(law, (fast + lead + 1, fast), expedited_cost=2.0 + premium, tolerance=1e-6)
    dearer = optimum(law, (fast + lead, fast), expedited_cost=4.0 + premium, tolerance=1e-6)
    assert best.cost <= min(slower.cost, dearer.cost) + 1e-6
    if lead == 1:  # Fukuda (1964): two base-stock levels are optimal
        assert dual == pytest.approx(best.cost, abs=2e-6)


def test_a_premium_beyond_all_reason_leaves_the_regular_source_alone() -> None:
    law = DiscreteUniform(low=0, high=4)
    alone = newsvendor(demand=law, holding_cost=1, stockout_cost=20, lead_time=3).cost + 2 * 2
    assert optimum(law, (3, 1), expedited_cost=1e4).cost == pytest.approx(alone, abs=1e-7)
    assert optimum(law, (3, 1), expedited_cost=1e4).expedited[0, -10:].max() == 0


def test_demand_without_variance_costs_its_purchase() -> None:
    certain = Deterministic(values=(3.0,))
    assert optimum(certain, (4, 1)).cost == pytest.approx(6.0, abs=1e-9)
    problem = shop(certain, (4, 1))
    for method in (single_index, dual_index, capped_dual_index):
        assert model_cost(method(problem)) == pytest.approx(6.0, abs=1e-9)
    # a constant order must leave something to expedite: 2 units at 2 and 1 at 5
    assert model_cost(tailored_base_surge(problem)) == pytest.approx(9.0, abs=1e-9)


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"regular_lead_time": 1.5}, "regular_lead_time must be a whole number of at least 0 periods, got 1.5"),
        ({"expedited_lead_time": -1}, "expedited_lead_time must be a whole number of at least 0 periods, got -1"),
        ({"expedited_lead_time": 2}, "regular_lead_time must be above expedited_lead_time = 2, got 2"),
        ({"regular_cost": -1.0}, "regular_cost must be a finite number of at least 0, got -1"),
        ({"expedited_cost": float("inf")}, "expedited_cost must be a finite number of at least 0, got inf"),
        (
            {"expedited_cost": 2.0},
            "expedited_cost must be above regular_cost = 2, got 2: the regular source would never be used",
        ),
        ({"holding_cost": 0.0}, "holding_cost must be a finite number greater than 0, got 0"),
        ({"stockout_cost": 0.0}, "stockout_cost must be a finite number greater than 0, got 0"),
        ({"tolerance": 0.0}, "tolerance must be a finite number greater than 0, got 0"),
        ({"demand": Normal(mean=9, sd=1)}, "demand must be in whole units, got Normal demand"),
        ({"demand": DiscreteUniform(low=0, high=0)}, "demand must be above 0 in some periods, got 0 in all of them"),
        (
            {"demand": Poisson(mean=5, seasonal=(0.5, 1.5))},
            "demand must have the same law in every period, got Poisson demand that changes over time",
        ),
        (
            {"regular_lead_time": 30, "memory_limit": 1e6},
            "dual_sourcing_optimal needs 6.38e+11 GiB for 16,717,361,816,799,281,152 states, the limit is 0.000931 GiB "
            "(memory_limit, in bytes): with this demand it takes lead times that differ by at most 5",
        ),
    ],
)
def test_bad_input_is_named(changes: dict[str, Any], message: str) -> None:
    parameters: dict[str, Any] = {"demand": LUMPS, "regular_lead_time": 2, **COSTS, **changes}
    with pytest.raises(MethodError) as error:
        dual_sourcing_optimum(**parameters)
    assert str(error.value) == message


@pytest.mark.parametrize("method", [dual_sourcing_optimal, *HEURISTICS], ids=lambda method: method.__name__)
@pytest.mark.parametrize(
    ("problem", "rule"),
    [
        (make_problem("echelon/LostSales-v0"), "two sources of one component (links: 1, components: 1)"),
        (make_problem("echelon/Serial-v0"), "a single location (got 4 nodes)"),
        (shop(LUMPS, (2, 0), discount=0.9, warm_up=0), "an average-cost objective (discount 1)"),
        (shop(LUMPS, (2, 0), node={"stockout_rule": "lost_sales"}), "backorders at every outlet"),
        (shop(LUMPS, (2, 0), links={"fixed_cost": 1.0}), "no fixed cost per order"),
        (shop({"law": "normal", "mean": 9, "sd": 1}, (2, 0)), "demand in whole units"),
        (shop(LUMPS, (2, 0), links={"max_order": 4}), "a network without max_order of link 'slow'"),
        (shop(LUMPS, (2, 2)), "sources with different lead times (got 2 and 2)"),
        (
            shop(LUMPS, (2, 0), links={"unit_cost": 3.0}),
            "a fast source that is dearer than the slow one (got 3 and 3 per unit)",
        ),
        (
            shop(LUMPS, (2, 0), links={"transit_holding_cost": 2.0}),
            "a fast source that is dearer than the slow one (got 5 and 6 per unit)",
        ),
    ],
    ids=lambda value: "" if isinstance(value, Problem) else None,
)
def test_a_plan_names_the_assumption_that_a_problem_breaks(method: Method, problem: Problem, rule: str) -> None:
    with pytest.raises(MethodError) as error:
        method(problem)
    assert str(error.value) == f"{method.__name__} needs {rule}"


def test_two_components_are_not_two_sources() -> None:
    data = shop(LUMPS, (2, 0)).network.model_dump(exclude_defaults=True)
    for link in data["links"]:
        link["component"] = link["name"]
    with pytest.raises(
        MethodError, match=r"^dual_index needs two sources of one component \(links: 2, components: 2\)"
    ):
        dual_index(Problem("kit", Network.from_dict(data)))


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        (dual_index, {"order_up_to": 4}, "expedite_up_to and order_up_to must be given together, or all be left"),
        (single_index, {"expedite_up_to": 5, "order_up_to": 4}, "order_up_to must be at least expedite_up_to = 5, got"),
        (dual_index, {"expedite_up_to": 1.5, "order_up_to": 4}, "expedite_up_to must be a whole number, got 1.5"),
        (capped_dual_index, {"expedite_up_to": 1, "order_up_to": 4, "cap": -1}, "cap must be at least 0, got -1"),
        (
            tailored_base_surge,
            {"expedite_up_to": 1, "constant_order": 2},
            "constant_order must be below the mean demand of 1.4, got 2",
        ),
        (
            tailored_base_surge,
            {"expedite_up_to": 1, "constant_order": -2},
            "constant_order must be at least 0, got -2",
        ),
    ],
)
def test_bad_parameters_are_named(method: Method, options: dict[str, Any], message: str) -> None:
    with pytest.raises(MethodError) as error:
        method(shop(LUMPS, (2, 0)), **options)
    assert str(error.value).startswith(message)


def test_a_constant_order_just_below_the_mean_demand_is_refused_where_stock_would_pile_up() -> None:
    law = Discrete(values=(0.0, 2.0), probabilities=(0.5 - 1e-9, 0.5 + 1e-9))
    with pytest.raises(MethodError, match=r"^constant_order = 1 is too close to the mean demand of 1: the stock would"):
        tailored_base_surge(shop(law, (2, 0)), expedite_up_to=2, constant_order=1)
