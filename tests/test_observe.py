"""What runs note of their policies: paths, orders against the state, and bullwhip, against the model and by hand."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from echelon.envs import make_problem
from echelon.envs.policy import order_up_to
from echelon.envs.problem import Problem
from echelon.envs.scenarios import sample
from echelon.envs.simulate import simulate
from echelon.envs.state import State
from echelon.experiments import observe
from echelon.experiments.observe import bin_width, mapped_links, observations, served_demand, watch
from echelon.experiments.observed import BULLWHIP, POLICY_MAP


def lost_sales() -> Problem:
    return make_problem("echelon/LostSales-v0", lead_time=2)


def rows(problem: Problem, levels: list[float], table: str) -> list[observe.Row]:
    return observations("shop", "mine", order_up_to(problem.network, levels), problem, seed=3)[table]


def test_the_path_is_that_of_the_first_evaluation_replication_whatever_else_is_watched() -> None:
    problem = lost_sales()
    policy = order_up_to(problem.network, [18])
    scenarios = sample(problem.network, periods=problem.periods, replications=1, seed=3)
    trace = simulate(problem, policy, scenarios, trace=True).trace
    assert trace is not None
    found = rows(problem, [18], "trace")
    assert [row["period"] for row in found] == [*range(100, 160)]
    assert [row["on_hand"] for row in found] == trace.on_hand[0, 100:160, 0].tolist()
    assert [row["ordered"] for row in found] == trace.ordered[0, 100:160, 0].tolist()
    assert [row["demand"] for row in found] == trace.demand[0, 100:160, 0].tolist()


def test_a_base_stock_orders_what_its_position_lacks() -> None:
    found = rows(lost_sales(), [18], "policy_map")
    line = [row for row in found if row["view"] == observe.INSTALLATION]
    plane = [row for row in found if row["view"] == observe.PLANE]
    assert len(line) > 5
    assert len(plane) > 30
    assert all(row["order"] == row["low"] == row["high"] == 18 - row["x"] for row in line)
    assert all(row["order"] == 18 - row["x"] - row["y"] for row in plane)
    visits = 100 * observe.MOST_WATCHED
    assert sum(row["visits"] for row in line) == sum(row["visits"] for row in plane) == visits
    assert all(set(row) == set(POLICY_MAP) for row in found)


def test_in_a_series_an_echelon_base_stock_orders_what_its_echelon_position_lacks() -> None:
    problem = make_problem("echelon/Serial-v0")
    policy = order_up_to(problem.network, [33, 28, 22, 17], position="echelon")
    found = observations("row", "mine", policy, problem, seed=1)["policy_map"]
    levels = {link.label: level for link, level in zip(problem.network.links, (33, 28, 22, 17), strict=True)}
    assert {row["view"] for row in found} == {observe.ECHELON}
    assert list(dict.fromkeys(row["link"] for row in found)) == [*levels]
    assert all(row["order"] == levels[row["link"]] - row["x"] for row in found)


def test_the_mean_and_the_usual_orders_in_a_state_are_those_of_the_path() -> None:
    problem = lost_sales()
    drawn = np.random.default_rng(0)

    def erratic(state: State) -> NDArray[np.float64]:
        return drawn.integers(0, 9, size=(state.batch, 1)).astype(np.float64)

    watched = watch(erratic, problem, seed=1)
    found = [row for row in observe._policy_map(watched) if row["view"] == observe.INSTALLATION]
    positions, orders = watched.position.ravel(), watched.ledger.ordered[:, 100:].ravel()
    for row in found:
        half = row["x_width"] / 2
        met = orders[(positions > row["x"] - half) & (positions < row["x"] + half)]
        assert (len(met), row["order"]) == (row["visits"], pytest.approx(met.mean()))
        assert (row["low"], row["high"]) == tuple(np.quantile(met, [0.1, 0.9]))


@pytest.mark.parametrize(
    ("span", "whole", "width"),
    [(0.0, False, 1.0), (31, True, 1.0), (32, True, 2.0), (100, True, 5.0), (1.0, False, 0.05), (0.3, True, 1.0)],
)
def test_bins_have_a_round_width(span: float, whole: bool, width: float) -> None:
    assert bin_width(span, whole=whole) == pytest.approx(width)
    assert span / bin_width(span, whole=whole) < observe.MOST_BINS


def test_the_bullwhip_of_a_constant_order_is_none_and_that_of_orders_twice_the_demand_is_four() -> None:
    problem = lost_sales()
    steady = observations("shop", "steady", lambda state: np.full((state.batch, 1), 5.0), problem, seed=1)["bullwhip"]
    assert [(row["order_variance"], row["bullwhip"]) for row in steady] == [(0.0, 0.0)]
    scenarios = sample(problem.network, periods=200, replications=observe.MOST_WATCHED, seed=1)

    def twice(state: State) -> NDArray[np.float64]:
        return 2 * scenarios.demand[:, state.period]

    (row,) = observations("shop", "twice", twice, problem, seed=1)["bullwhip"]
    assert row["bullwhip"] == pytest.approx(4.0, rel=1e-12)
    assert row["bullwhip_half_width"] == pytest.approx(0.0, abs=1e-12)
    assert row["demand_variance"] == pytest.approx(scenarios.demand[:, 100:].var())
    assert [*row] == BULLWHIP


def test_base_stocks_pass_the_demand_up_a_series_without_bullwhip() -> None:
    problem = make_problem("echelon/Serial-v0")
    policy = order_up_to(problem.network, [33, 28, 22, 17], position="echelon")
    found = observations("row", "mine", policy, problem, seed=1)["bullwhip"]
    assert len(found) == 4
    for row in found:
        assert row["bullwhip"] == pytest.approx(1.0, abs=max(0.02, 2 * row["bullwhip_half_width"]))


def test_a_node_serves_the_demand_of_all_that_it_supplies_in_units_of_its_own_item() -> None:
    problem = make_problem("echelon/Assembly-v0")
    watched = watch(order_up_to(problem.network, [40.0, 40.0, 20.0, 40.0]), problem, seed=1)
    served, names = served_demand(watched), [node.name for node in problem.network.nodes]
    demand = watched.ledger.demand[:, 100:, 0]
    assert (served[:, :, names.index("product")] == demand).all()
    assert (served[:, :, names.index("component_1")] == demand).all()
    assert (served[:, :, names.index("component_2")] == 2 * demand).all()


def test_of_a_large_network_a_few_links_are_mapped_and_one_replication_is_watched() -> None:
    problem = make_problem("echelon/ConsumerGoods-v0")
    links = mapped_links(problem)
    assert len(links) == observe.MOST_LINKS
    targets = [problem.network.links[e].target for e in links]
    assert targets[0].startswith("factory")
    assert not targets[-1].startswith("factory")


def test_no_demand_variance_gives_no_bullwhip() -> None:
    problem = make_problem("echelon/LostSales-v0", lead_time=1, demand={"law": "deterministic", "values": [5]})
    (row,) = rows(problem, [10], "bullwhip")
    assert (row["demand_variance"], row["bullwhip"], row["bullwhip_half_width"]) == (0.0, None, None)
