"""The price of a floor is what a point more of it costs, also where bounds hold some of the numbers."""

from __future__ import annotations

import pytest

from echelon.baselines.rule_space import Bounds
from echelon.baselines.service_floors import floors_of
from echelon.baselines.simulation_optimization import SimulationOptimum, simulation_optimization
from echelon.envs.network import Network
from echelon.envs.problem import Problem

DEMAND = {"law": "negative_binomial", "mean": 4.0, "sd": 4.0}
STORE = Problem(
    "store",
    Network.from_dict(
        {
            "nodes": [{"name": "s", "demand": DEMAND, "holding_cost": 1.0}],
            "links": [{"target": "s", "lead_time": 2, "fixed_cost": 20.0}],
        }
    ),
    periods=425,
    warm_up=60,
)


def planned(level: float, bounds: Bounds | None) -> SimulationOptimum:
    floors = floors_of(STORE.network, level)
    return simulation_optimization(STORE, floors=floors, seed=2, bounds=bounds, budget=40_000_000)


@pytest.mark.parametrize(
    "bounds", [None, {"Min s": (10, 10)}, {"Max s": (33, 33)}, {"Min s": (-40, 12), "Max s": (-40, 80)}]
)
def test_the_price_is_the_slope_of_the_least_cost_within_the_bounds(bounds: Bounds | None) -> None:
    low, here, high = (planned(level, bounds) for level in (0.94, 0.95, 0.96))
    assert low.certified
    assert here.certified
    assert high.certified
    slope = (high.cost.mean - low.cost.mean) / 2
    assert here.prices[0].per_point == pytest.approx(slope, rel=0.15)


def test_there_is_no_price_where_bounds_do_not_allow_more_service() -> None:
    full = planned(0.95, {"Min s": (14, 14), "Max s": (26, 26)})
    assert not full.certified
    assert full.prices[0].per_point is None
    assert full.lines()[-1].endswith("costs ?")


def test_a_floor_that_is_met_anyway_costs_nothing() -> None:
    dear = STORE.network.nodes[0].model_copy(update={"stockout_cost": 50.0})
    problem = Problem("dear", STORE.network.model_copy(update={"nodes": (dear,)}), periods=425, warm_up=60)
    found = simulation_optimization(problem, floors=floors_of(problem.network, 0.8), seed=2, budget=40_000_000)
    assert found.prices[0].per_point == pytest.approx(0.0, abs=0.02)
