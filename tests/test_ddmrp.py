"""DDMRP: a buffer worked by hand, decoupled lead times, and buffers as a policy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from echelon.baselines.ddmrp import buffer_order, buffer_zones, decoupled_lead_times, net_flow
from echelon.baselines.erp_policies import ddmrp_plan
from echelon.envs.catalogue import make_problem
from echelon.envs.errors import MethodError
from echelon.envs.network import Network
from echelon.envs.policy import OrderUpTo
from echelon.envs.problem import Problem
from echelon.envs.scenarios import sample
from echelon.envs.simulate import simulate

BUFFER: dict[str, Any] = {"daily_usage": 10, "lead_time": 12, "lead_time_factor": 0.5, "variability_factor": 0.5}


def test_the_zones_are_those_worked_by_hand() -> None:
    zones = buffer_zones(**BUFFER, minimum_order=50, order_cycle=7)
    assert [zone.item() for zone in (zones.red_base, zones.red_safety, zones.red)] == [60, 30, 90]
    assert [zone.item() for zone in (zones.yellow, zones.green)] == [120, 70]
    assert [top.item() for top in (zones.top_of_yellow, zones.top_of_green)] == [210, 280]


def test_green_is_the_greatest_of_its_three_parts() -> None:
    for minimum_order, order_cycle, green in ((0, 0, 60), (65, 6.4, 65), (65, 7, 70)):
        assert buffer_zones(**BUFFER, minimum_order=minimum_order, order_cycle=order_cycle).green == green


def test_without_usage_or_lead_time_zones_are_empty() -> None:
    nothing = buffer_zones(**{**BUFFER, "daily_usage": 0}, minimum_order=5)
    assert [zone.item() for zone in (nothing.top_of_yellow, nothing.green)] == [0, 5]
    at_once = buffer_zones(**{**BUFFER, "lead_time": np.array([0, 12])})
    np.testing.assert_array_equal(at_once.top_of_green, [0, 270])


def test_net_flow_counts_what_is_due_and_spikes_and_the_order_goes_to_the_top_of_green() -> None:
    zones = buffer_zones(**BUFFER, minimum_order=50, order_cycle=7)
    # Due 12; of the next three days only the 60 exceeds the threshold of 45, half of red; the 90 is beyond the horizon.
    flow = net_flow(on_hand=150, on_order=80, demand=[12, 8, 60, 45, 90], spike_threshold=45, spike_horizon=3)
    assert flow == 150 + 80 - 12 - 60
    assert buffer_order(flow, zones) == 280 - 158
    np.testing.assert_array_equal(buffer_order([210, 211, 280, 300], zones), [70, 0, 0, 0])
    assert net_flow(on_hand=5, on_order=0, demand=[12, 50]) == -7


def plant(**changes: Any) -> Network:
    """Two components, the second made of raw material, and a plant that supplies two stores."""
    store = {"demand": {"law": "poisson", "mean": 4.0}, "holding_cost": 2.0, "stockout_cost": 18.0}
    nodes = [
        {"name": "raw"},
        {"name": "a"},
        {"name": "b"},
        {"name": "plant", "processing_time": 2, "holding_cost": 1.0},
        {"name": "near", **store},
        {"name": "far", **store},
    ]
    links = [
        {"target": "raw", "lead_time": 9},
        {"target": "a", "lead_time": 3},
        {"source": "raw", "target": "b", "lead_time": 4},
        {"source": "a", "target": "plant", "lead_time": 1},
        {"source": "b", "target": "plant", "lead_time": 1, "order_delay": 1},
        {"source": "plant", "target": "near", "lead_time": 1},
        {"source": "plant", "target": "far", "lead_time": 5},
    ]
    return Network.from_dict({"nodes": nodes, "links": links, **changes})


def test_the_decoupled_lead_time_is_the_longest_path_without_a_buffer() -> None:
    network = plant()
    assert decoupled_lead_times(network) == [9, 3, 4, 3, 4, 1, 5]
    assert decoupled_lead_times(network, []) == [9, 3, 13, 6, 17, 18, 22]
    assert decoupled_lead_times(network, ["raw", "plant"]) == [9, 3, 4, 6, 8, 1, 5]


def test_with_steady_demand_a_buffer_is_a_reorder_policy() -> None:
    problem = make_problem("echelon/LostSales-v0")
    policy = ddmrp_plan(problem, lead_time_factor=0.5, variability_factor=0.5).policy
    assert isinstance(policy, OrderUpTo)
    # Usage 5, five periods to last: yellow 25, red 12.5 + 6.25, green 12.5; at 43.75 or below order up to 56.25.
    assert (policy.reorder.tolist(), policy.up_to.tolist()) == ([43], [57])


def test_components_of_one_node_are_ordered_together_and_unbuffered_nodes_hold_no_stock() -> None:
    problem = Problem("plant", plant(), periods=200, warm_up=50)
    plan = ddmrp_plan(problem, lead_time_factor=0.5, buffered=["raw", "plant", "near", "far"])
    scenarios = sample(problem.network, periods=200, replications=20, seed=4)
    trace = simulate(problem, plan.policy, scenarios, trace=True, check=True).trace
    assert trace is not None
    np.testing.assert_array_equal(trace.ordered[:, :, 3], trace.ordered[:, :, 4])
    assert not trace.on_hand[:, :, [1, 2]].any()
    assert trace.on_hand[:, 100:, [3, 4, 5]].mean() > 1


def test_a_longer_lead_time_factor_gives_more_stock_and_fewer_orders() -> None:
    problem = make_problem("echelon/OneWarehouse-v0", periods=300, warm_up=50)
    scenarios = sample(problem.network, periods=300, replications=20, seed=4)
    seen = [
        simulate(problem, ddmrp_plan(problem, lead_time_factor=factor).policy, scenarios)
        for factor in (0.1, 0.4, 0.8, 1.2)
    ]
    assert (np.diff([outcome.per_period["on_hand"].mean() for outcome in seen]) > 0).all()
    assert (np.diff([outcome.per_period["placed"].mean() for outcome in seen]) < 0).all()
    assert (np.diff([outcome.fill_rate.mean() for outcome in seen]) >= 0).all()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: buffer_zones(**{**BUFFER, "daily_usage": -1}), "daily_usage must be finite and at least 0 everywhere"),
        (lambda: buffer_zones(**{**BUFFER, "lead_time_factor": np.nan}), "lead_time_factor must be finite"),
        (lambda: net_flow(on_hand=1, on_order=0, demand=[-1.0]), "demand must be finite and at least 0 everywhere"),
        (lambda: net_flow(on_hand=1, on_order=0, demand=[1.0], spike_horizon=-1), "spike_horizon must be at least 0"),
        (lambda: buffer_order(np.nan, buffer_zones(**BUFFER)), "flow must be finite numbers"),
        (lambda: decoupled_lead_times(plant(), ["plnt"]), "buffered must be nodes, got 'plnt'; did you mean 'plant'"),
        (
            lambda: ddmrp_plan(make_problem("echelon/Serial-v0"), lead_time_factor=[1.0]),
            "lead_time_factor must be one number or 4, one per link, got 1",
        ),
        (
            lambda: ddmrp_plan(make_problem("echelon/Serial-v0"), lead_time_factor=-1.0),
            "lead_time_factor must be finite and at least 0 everywhere, got -1",
        ),
    ],
)
def test_bad_input_is_named(call: Any, message: str) -> None:
    with pytest.raises(MethodError, match=message):
        call()
