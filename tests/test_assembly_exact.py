"""Assembly systems: Rosling's reduction against his figure, dynamic programming over all policies, and simulation."""

from __future__ import annotations

import doctest
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from echelon.baselines import assembly as module
from echelon.baselines.assembly import rosling, serial_equivalent
from echelon.baselines.assembly_plan import rosling_plan
from echelon.baselines.serial import clark_scarf, clark_scarf_plan
from echelon.envs.catalogue import make_problem
from echelon.envs.demand import Poisson
from echelon.envs.errors import MethodError
from echelon.envs.network import Network
from echelon.envs.policy import Policy, order_up_to
from echelon.envs.problem import Problem
from echelon.envs.scenarios import sample
from echelon.envs.simulate import simulate

Floats = NDArray[np.float64]

# K. Rosling, Operations Research 37(4), 1989, Figure 1: seven items, here counted from 0.
FIGURE_1: dict[str, Any] = {"lead_time": [1, 1, 3, 2, 4, 1, 2], "successor": [None, 0, 0, 2, 1, 3, 3]}


def test_the_items_of_roslings_figure_form_the_series_that_he_gives() -> None:
    series = serial_equivalent(**FIGURE_1, echelon_holding_cost=[1, 2, 4, 8, 16, 32, 64])
    assert series.total_lead_time == (1, 2, 4, 6, 6, 7, 8)
    assert series.lead_time == (1, 1, 2, 2, 1, 1)
    assert series.echelon_holding_cost == (1, 2, 4, 8 + 16, 32, 64)
    assert series.stage == (0, 1, 2, 3, 3, 4, 5)


def test_the_levels_and_the_cost_are_those_of_the_series() -> None:
    demand: dict[str, Any] = {"stockout_cost": 80, "demand": Poisson(mean=5)}
    tree = rosling(**FIGURE_1, echelon_holding_cost=[3, 1, 1, 2, 0.5, 1, 0.5], **demand)
    series = clark_scarf(lead_time=[1, 1, 2, 2, 1, 1], echelon_holding_cost=[3, 1, 1, 2.5, 1, 0.5], **demand)
    s = series.echelon_base_stock
    assert tree.cost == series.cost
    assert tree.echelon_base_stock == (s[0], s[1], s[2], s[3], s[3], s[4], s[5])


def test_quantities_multiply_along_the_way_and_scale_the_costs() -> None:
    tree: dict[str, Any] = {"lead_time": [1, 2, 1], "successor": [None, 0, 1]}
    series = serial_equivalent(**tree, echelon_holding_cost=[5, 0.5, 0.25], quantity=[1, 2, 3])
    assert series.per_end_item == (1, 2, 6)
    assert series.echelon_holding_cost == (5, 1, 1.5)


@settings(max_examples=25)
@given(
    parents=st.lists(st.integers(0, 10), min_size=1, max_size=6),
    numbers=st.lists(st.tuples(st.integers(0, 3), st.floats(0.1, 3)), min_size=7, max_size=7),
    order=st.randoms(),
)
def test_the_cost_depends_neither_on_the_order_of_the_items_nor_on_their_units(
    parents: list[int], numbers: list[tuple[int, float]], order: Any
) -> None:
    count = len(parents) + 1
    successor = [None, *(parent % (i + 1) for i, parent in enumerate(parents))]
    times, holding = ([row[k] for row in numbers[:count]] for k in (0, 1))
    demand: dict[str, Any] = {"stockout_cost": 30, "demand": Poisson(mean=2)}
    plain = rosling(lead_time=times, successor=successor, echelon_holding_cost=holding, **demand)
    shuffled = list(range(count))
    order.shuffle(shuffled)
    at = {item: place for place, item in enumerate(shuffled)}
    moved = rosling(
        lead_time=[times[i] for i in shuffled],
        successor=[None if (after := successor[i]) is None else at[after] for i in shuffled],
        echelon_holding_cost=[holding[i] for i in shuffled],
        **demand,
    )
    assert moved.cost == pytest.approx(plain.cost, rel=1e-12)
    assert [moved.echelon_base_stock[at[i]] for i in range(count)] == list(plain.echelon_base_stock)
    units = [1.0]
    for i in range(1, count):
        units.append(units[successor[i] or 0] * 2)
    in_halves = rosling(
        lead_time=times,
        successor=successor,
        quantity=[2.0] * count,
        echelon_holding_cost=[h / u for h, u in zip(holding, units, strict=True)],
        **demand,
    )
    assert in_halves.cost == pytest.approx(plain.cost, rel=1e-9)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"successor": [None, None]}, "successor must be None for one item, the end item, got 2"),
        ({"successor": [1, 0]}, "successor must be None for one item, the end item, got 0"),
        ({"successor": [None, 1]}, "successor must lead from every item to the end item, got 1 at item 1"),
        ({"successor": [None, 7]}, "successor must lead from every item to the end item, got 7 at item 1"),
        ({"successor": [None]}, "successor must have as many items as lead_time, 2, got 1"),
        ({"quantity": [1, 0]}, "quantity must be finite and above 0, got 0 at item 1"),
        ({"quantity": [1]}, "quantity must have as many items as lead_time, 2, got 1"),
        ({"lead_time": [1, -1]}, "lead_time must be finite and at least 0, got -1 at item 1"),
        ({"lead_time": [1, 0.5]}, "lead_time must be a whole number of periods under periodic review, got 0.5"),
        ({"echelon_holding_cost": [1, -2]}, "echelon_holding_cost must be finite and at least 0, got -2 at item 1"),
        ({"stockout_cost": 0}, "stockout_cost must be a finite number greater than 0, got 0"),
    ],
)
def test_argument_that_is_wrong_is_named(changes: dict[str, Any], message: str) -> None:
    system: dict[str, Any] = {
        "lead_time": [1, 2],
        "successor": [None, 0],
        "echelon_holding_cost": [1, 1],
        "stockout_cost": 10,
        "demand": Poisson(mean=3),
    }
    with pytest.raises(MethodError, match=message):
        rosling(**system | changes)


# Dynamic programming over all policies. Demand in a period: 0, 1 or 2.
DEMAND = {0: 0.5, 1: 0.3, 2: 0.2}
HISTORY = {"law": "empirical", "values": (0, 0, 0, 0, 0, 1, 1, 1, 2, 2)}
DEEPEST, HIGHEST = 12, 7
"""Backorders beyond which customers are no longer counted, and most units of the product."""
NET = np.arange(-DEEPEST, HIGHEST + 1)
STOCKOUT, HOLDING = 20.0, 3.0


def least_average_cost(improve: Any, values: Floats) -> float:
    """Relative value iteration; the last axis of the values is the net stock of the product at the review."""
    while True:
        following = sum(q * values[..., np.maximum(np.arange(len(NET)) - d, 0)] for d, q in DEMAND.items())
        best = improve(following)
        change = best - values
        values = best - best.flat[DEEPEST]
        if np.ptp(change) < 1e-9:
            return float(change.mean())


def outlay() -> Floats:
    """[X] expected cost of the product's stock and backorders at the end of a period."""
    return np.asarray(
        sum(q * (HOLDING * np.maximum(NET - d, 0) + STOCKOUT * np.maximum(d - NET, 0)) for d, q in DEMAND.items())
    )


def ahead(values: Floats, units: int) -> Floats:
    """Values when the net stock will be so many units higher; what is too much for the table is thrown away."""
    return values[..., np.minimum(np.arange(len(NET)) + units, len(NET) - 1)]


def least_cost_with_stocks_of_components() -> float:
    """Components a and b, bought with lead times of 2 and 1, stocked, released into an assembly of one period.

    State: a that arrives next, a and b in stock, the product. Stock of a costs 0.6, of b 0.5, a set at work 1.1.
    """
    most = 6

    def improve(following: Floats) -> Floats:
        best = np.full(following.shape, np.inf)
        bought = np.full(following.shape[1:], np.inf)
        for b in range(most + 1):
            bought[:, b] = following[:, :, b:].min(axis=(0, 2))
        for due, a, b in product(range(following.shape[0]), range(most + 1), range(most + 1)):
            for sets in range(min(a, b) + 1):
                held = 0.6 * (a - sets) + 0.5 * (b - sets) + 1.1 * sets
                option = outlay() + held + ahead(bought[min(a - sets + due, most), b - sets], sets)
                best[due, a, b] = np.minimum(best[due, a, b], option)
        return best

    return least_average_cost(improve, np.zeros((4, most + 1, most + 1, len(NET))))


def least_cost_of_parts_sent_to_the_plant() -> float:
    """Parts a and b go to the plant at once, with lead times of 2 and 1, and wait there for each other.

    State: a that arrives next, sets of a (above 0) or b (below 0) that wait, the product. Parts in transit or
    waiting cost 0.6 (a) and 0.4 (b).
    """
    most, due = 4, 2

    def improve(following: Floats) -> Floats:
        best = np.full(following.shape, np.inf)
        for coming, waits in product(range(due + 1), range(-most, most + 1)):
            for ordered_a, ordered_b in product(range(due + 1), repeat=2):
                a, b = max(waits, 0) + coming, max(-waits, 0) + ordered_b
                left = min(max(a - b, -most), most)
                cost = 0.6 * (max(waits, 0) + coming + ordered_a) + 0.4 * (max(-waits, 0) + ordered_b)
                option = outlay() + cost + ahead(following[ordered_a, left + most], min(a, b))
                best[coming, waits + most] = np.minimum(best[coming, waits + most], option)
        return best

    return least_average_cost(improve, np.zeros((due + 1, 2 * most + 1, len(NET))))


def stocked() -> Problem:
    return make_problem(
        "echelon/Assembly-v0",
        lead_time=(2, 1),
        quantity=(1, 1),
        component_holding_cost=(0.6, 0.5),
        assembly_time=1,
        holding_cost=HOLDING,
        stockout_cost=STOCKOUT,
        demand=HISTORY,
    )


def sent_to_the_plant() -> Problem:
    nodes = [{"name": "product", "holding_cost": HOLDING, "stockout_cost": STOCKOUT, "demand": HISTORY}]
    links = [
        {"name": "a", "target": "product", "component": "a", "lead_time": 2, "transit_holding_cost": 0.6},
        {"name": "b", "target": "product", "component": "b", "lead_time": 1, "transit_holding_cost": 0.4},
    ]
    return problem_of(nodes, links)


def problem_of(nodes: list[dict[str, Any]], links: list[dict[str, Any]]) -> Problem:
    return Problem("assembly", Network.from_dict({"nodes": nodes, "links": links}), periods=1_100, warm_up=100)


def test_no_policy_costs_less_where_components_are_stocked() -> None:
    assert rosling_plan(stocked()).model_cost == pytest.approx(least_cost_with_stocks_of_components(), rel=1e-8)


def test_no_policy_costs_less_where_parts_go_to_the_plant_at_once() -> None:
    assert rosling_plan(sent_to_the_plant()).model_cost == pytest.approx(
        least_cost_of_parts_sent_to_the_plant(), rel=1e-8
    )


def car(demand: dict[str, Any]) -> Problem:
    """A product of a subassembly, a frame and four screws; a subassembly of three bolts and two castings."""
    nodes = [
        {"name": "casting", "holding_cost": 0.5},
        {"name": "subassembly", "holding_cost": 3.0, "processing_time": 3, "processing_holding_cost": 0.7},
        {"name": "product", "holding_cost": 9.0, "stockout_cost": 60.0, "processing_time": 1,
         "processing_holding_cost": 2.0, "demand": demand},
    ]  # fmt: skip
    links = [
        {"target": "casting", "lead_time": 2, "unit_cost": 1.0, "transit_holding_cost": 0.1, "initial_in_transit": 7},
        {"source": "casting", "target": "subassembly", "lead_time": 2, "quantity": 2, "transit_holding_cost": 0.6},
        {"name": "bolt", "target": "subassembly", "component": "bolt", "quantity": 3, "unit_cost": 0.3,
         "transit_holding_cost": 0.2},
        {"source": "subassembly", "target": "product", "lead_time": 1, "transit_holding_cost": 3.2},
        {"name": "frame", "target": "product", "component": "frame", "lead_time": 4, "transit_holding_cost": 1.0,
         "initial_in_transit": 9},
        {"name": "screw", "target": "product", "component": "screw", "lead_time": 3, "quantity": 4,
         "transit_holding_cost": 0.1},
    ]  # fmt: skip
    return problem_of(nodes, links)


SIMULATED = {
    "catalogue": make_problem("echelon/Assembly-v0"),
    "catalogue, gamma demand": make_problem("echelon/Assembly-v0", demand={"law": "gamma", "mean": 5, "sd": 3}),
    "three components": make_problem(
        "echelon/Assembly-v0",
        lead_time=(1, 5, 3),
        quantity=(3, 1, 2),
        component_holding_cost=(0.1, 1.0, 0.3),
        assembly_time=0,
        holding_cost=4.0,
    ),
    "tree": car({"law": "poisson", "mean": 4}),
    "tree, negative binomial demand": car({"law": "negative_binomial", "mean": 2, "sd": 3}),
    "parts sent to the plant": sent_to_the_plant(),
}


def mean_and_error(problem: Problem, policy: Policy, *, replications: int) -> tuple[float, float]:
    scenarios = sample(problem.network, periods=problem.periods, replications=replications, seed=8)
    costs = simulate(problem, policy, scenarios).cost
    return float(costs.mean()), float(costs.std(ddof=1)) / replications**0.5


@pytest.mark.parametrize("name", SIMULATED)
def test_the_simulated_cost_is_that_of_the_model(name: str) -> None:
    problem = SIMULATED[name]
    plan = rosling_plan(problem)
    node_periods = {"catalogue": 10_100_000, "tree, negative binomial demand": 2_500_000}.get(name, 1_200_000)
    replications = int(node_periods / (problem.periods * len(problem.network.nodes)))
    mean, error = mean_and_error(problem, plan.policy, replications=replications)
    assert plan.optimal
    assert plan.model_cost is not None
    assert error < 3e-3 * mean
    assert abs(mean - plan.model_cost) < 3 * error


def test_plain_echelon_base_stock_with_the_same_levels_costs_more() -> None:
    """It buys the component of the short lead time for sets that the other one cannot complete in time."""
    problem = SIMULATED["catalogue"]
    plan = rosling_plan(problem)
    assert plan.model_cost is not None
    plain = order_up_to(problem.network, plan.parameters["levels"], position="echelon")
    mean, error = mean_and_error(problem, plain, replications=2_000)
    assert mean - plan.model_cost > 10 * error


def test_stock_out_of_balance_at_the_start_is_used_up_and_the_last_part_of_a_set_waits_for_no_other() -> None:
    problem = SIMULATED["tree"]
    plan = rosling_plan(problem)
    network = problem.network
    nodes = [
        node.model_copy(update={"initial_on_hand": stock})
        for node, stock in zip(network.nodes, (61, 0, 2), strict=True)
    ]
    uneven = Problem("uneven", network.model_copy(update={"nodes": tuple(nodes)}), periods=400, warm_up=200)
    scenarios = sample(uneven.network, periods=400, replications=50, seed=3)
    settled = simulate(uneven, plan.policy, scenarios, trace=True, check=True)
    assert settled.trace is not None
    ordered, shipped, under_way = (
        getattr(settled.trace, name)[:, 200:] for name in ("ordered", "shipped", "in_transit")
    )
    np.testing.assert_array_equal(ordered, shipped)
    bolt, subassembly = 2, 3
    assert (under_way[:, :, bolt] == 0).all()
    np.testing.assert_array_equal(under_way[:, :, subassembly], shipped[:, :, subassembly])


@pytest.mark.parametrize(
    "options",
    [{}, {"demand": {"law": "gamma", "mean": 10, "sd": 6}}, {"lead_time": (0, 2, 0), "holding_cost": (1, 1, 3)}],
    ids=["catalogue", "gamma", "no lead time"],
)
def test_a_chain_costs_what_clark_and_scarf_say(options: dict[str, Any]) -> None:
    problem = make_problem("echelon/Serial-v0", **options)
    plan, best = rosling_plan(problem), clark_scarf_plan(problem)
    assert plan.model_cost == pytest.approx(best.model_cost, rel=1e-5)
    mean, error = mean_and_error(problem, plan.policy, replications=100)
    assert abs(mean - (best.model_cost or 0.0)) < 3 * error


def test_certain_demand_costs_what_is_under_way() -> None:
    """Deterministic demand of 3: nothing is in stock at the end of a period, 3 units are in every period of transit."""
    problem = make_problem("echelon/Assembly-v0", demand={"law": "deterministic", "values": (3,)})
    plan = rosling_plan(problem)
    assert plan.model_cost == pytest.approx(3 * 2 * (0.5 + 2 * 0.25), rel=1e-12)
    mean, error = mean_and_error(problem, plan.policy, replications=2)
    assert error == 0
    assert mean == pytest.approx(plan.model_cost, rel=1e-9)


def altered(node: dict[str, Any] | None = None, link: dict[str, Any] | None = None, **settings: Any) -> Problem:
    """The catalogue's assembly with changes to the product, and to the link on which component 1 is released."""
    network = make_problem("echelon/Assembly-v0").network
    data = network.model_dump(exclude_defaults=True)
    data["nodes"] = [*data["nodes"][:2], data["nodes"][2] | (node or {})]
    data["links"] = [*data["links"][:2], data["links"][2] | (link or {}), data["links"][3]]
    return Problem("altered", Network.from_dict(data), **settings)


REFUSED: list[tuple[Problem, str]] = [
    (altered(discount=0.99, warm_up=0), "an average-cost objective (discount 1)"),
    (altered({"stockout_rule": "lost_sales"}), "backorders at every outlet"),
    (altered({"stockout_cost": 0.0}), "a positive stockout cost"),
    (altered({"demand": {"law": "normal", "mean": 5, "sd": 2}}), "normal demand that is hardly ever negative"),
    (altered({"capacity": 9.0}), "a network without capacity of node 'product'"),
    (altered({"holding_cost": 0.9}), "units of 'product' to cost at least what their parts cost to hold"),
    (altered(link={"fixed_cost": 1.0}), "no fixed cost per order"),
    (altered(link={"unfilled": "drop"}), "unfilled internal orders to wait"),
    (altered(link={"transit_holding_cost": 0.4}), "parts on link 'component_1 -> product' to cost at least as much in "
     "transit as in stock before"),
    (altered(link={"transit_holding_cost": 0.4, "lead_time": 2}), "parts on link 'component_1 -> product' to cost at "
     "least as much in transit as in stock before"),
    (make_problem("echelon/Assembly-v0", component_holding_cost=(0.0, 0.25)), "a positive holding cost on the parts "
     "that are ordered furthest ahead"),
    (make_problem("echelon/OneWarehouse-v0"), "an assembly network: one outlet, and one link out of every other node"),
    (make_problem("echelon/LostSales-v0"), "backorders at every outlet"),
]  # fmt: skip


@pytest.mark.parametrize(("problem", "rule"), REFUSED, ids=[rule for _, rule in REFUSED])
def test_the_plan_names_the_rule_that_a_network_breaks(problem: Problem, rule: str) -> None:
    with pytest.raises(MethodError) as error:
        rosling_plan(problem)
    assert str(error.value) == f"rosling needs {rule}"


def test_parts_whose_sum_is_the_products_cost_up_to_rounding_are_accepted() -> None:
    problem = make_problem("echelon/Assembly-v0", quantity=(3, 1), component_holding_cost=(0.1, 0.0), holding_cost=0.3)
    assert 3 * 0.1 > 0.3
    levels = rosling_plan(problem).parameters["levels"]
    assert levels[2:] == [levels[0], levels[0] / 3]


def test_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(module).failed == 0
