"""Simulation traces of serial systems, published to four digits and more by the stockpyl package.

stockpyl's period t runs: customers ask for D_t; every stage orders, stage 1 first, up to its local
base-stock level, where its position already counts the demand or the order that it has just
received; shipments made L periods before arrive and every stage ships what it can, upstream first;
stage 1 serves its customers; costs are charged.

In our period the orders come before the demand and so cannot know it. That is the only difference
that matters: arrivals come first with us, but no stage's position changes when a shipment arrives,
and from the orders on both run receipts, shipments upstream first, demand, costs. A policy that is
told D_t when it orders in period t therefore repeats stockpyl's trace exactly, with the same lead
times and the same initial stock and pipelines:

    order_1 = (S_1 + D_t - IP_1)+        order_j = (S_j + order_{j-1} - IP_j)+    for j > 1

where IP_j is our inventory position at review. Units in transit to stage j are charged the holding
cost of the stage that shipped them, j + 1, and nothing on their way from outside.
"""

from __future__ import annotations

from typing import TypedDict

import numpy as np
import pytest
from numpy.typing import NDArray

from echelon.envs.network import OUTSIDE, Network
from echelon.envs.problem import Problem
from echelon.envs.scenarios import Scenarios
from echelon.envs.simulate import Backend, simulate
from echelon.envs.state import State

Floats = NDArray[np.float64]


class Trace(TypedDict):
    """A record of the model `serial_simulation_trace`. Lists run from stage 1, the customers' stage, upwards."""

    local_base_stock: list[float]
    local_holding_cost: list[float]
    stockout_cost: float
    lead_time: list[int]
    initial_inventory_level: float
    initial_shipments_per_pipeline_slot: float
    periods: int
    demand: tuple[int, float, float]
    """Seed, mean and standard deviation: `numpy.random.RandomState(seed).normal(mean, sd)`, one draw a period."""
    total_cost: float
    inventory_level: dict[tuple[int, int], float]
    """At the end of a period, by (stage, period): on hand less backorders, or less what the stage owes."""


# Snyder & Shen, Fundamentals of Supply Chain Theory (2nd ed., 2019), problems 6.1 and 6.16, as simulated in
# stockpyl 1.0.2 (MIT licence), tests/test_sim.py, TestSimulation. An independent simulator gives the same totals.
TRACES: dict[str, Trace] = {
    "problem 6.1": {
        "local_base_stock": [100, 94],
        "local_holding_cost": [2, 1],
        "stockout_cost": 15,
        "lead_time": [1, 1],
        "initial_inventory_level": 0.0,
        "initial_shipments_per_pipeline_slot": 0.0,
        "periods": 100,
        "demand": (531, 100, 15),
        "total_cost": 35794.476254,
        "inventory_level": {(1, 95): -21.4276, (2, 89): -28.4205},
    },
    "problem 6.16": {
        "local_base_stock": [171.1912, 57.7257],
        "local_holding_cost": [7, 2],
        "stockout_cost": 24,
        "lead_time": [8, 3],
        "initial_inventory_level": 20.0,
        "initial_shipments_per_pipeline_slot": 20.0,
        "periods": 100,
        "demand": (762, 20, 4),
        "total_cost": 52386.309175,
        "inventory_level": {(1, 95): -4.72853, (2, 89): -12.6397},
    },
}


def network_of(record: Trace) -> Network:
    """The serial network of a record: node and link j - 1 are those of stage j."""
    holding = record["local_holding_cost"]
    _, mean, sd = record["demand"]
    stages = range(1, len(holding) + 1)
    nodes = [
        {
            "name": f"stage {j}",
            "holding_cost": holding[j - 1],
            "initial_on_hand": record["initial_inventory_level"],
        }
        for j in stages
    ]
    nodes[0] |= {"stockout_cost": record["stockout_cost"], "demand": {"law": "normal", "mean": mean, "sd": sd}}
    links = [
        {
            "source": f"stage {j + 1}" if j < len(holding) else OUTSIDE,
            "target": f"stage {j}",
            "lead_time": record["lead_time"][j - 1],
            "transit_holding_cost": [*holding, 0.0][j],
            "initial_in_transit": record["initial_shipments_per_pipeline_slot"],
        }
        for j in stages
    ]
    return Network.from_dict({"nodes": nodes, "links": links})


def demand_of(record: Trace) -> Floats:
    """[T] demand, regenerated from the seed."""
    seed, mean, sd = record["demand"]
    return np.random.RandomState(seed).normal(mean, sd, size=record["periods"])


def run(record: Trace, backend: Backend) -> tuple[float, Floats]:
    """The total cost and the inventory levels [T, N] at the end of every period."""
    network, demand, levels = network_of(record), demand_of(record), record["local_base_stock"]

    def policy(state: State) -> Floats:
        asked = np.full(state.batch, demand[state.period])
        orders = []
        for stage, level in enumerate(levels):
            asked = np.maximum(level + asked - state.inventory_position[:, stage], 0.0)
            orders.append(asked)
        return np.stack(orders, axis=1)

    problem = Problem("trace", network, periods=record["periods"], warm_up=0)
    outcome = simulate(problem, policy, Scenarios(demand[None, :, None]), backend=backend, trace=True)
    assert outcome.trace is not None
    owed = np.cumsum(outcome.trace.ordered - outcome.trace.shipped, axis=1)[0]
    short = np.concatenate([outcome.trace.backorders[0], owed[:, :-1]], axis=1)
    return float(outcome.cost[0]) * record["periods"], outcome.trace.on_hand[0] - short


@pytest.mark.parametrize("backend", ["compiled", "specification"])
@pytest.mark.parametrize("name", TRACES)
def test_the_published_trace_comes_out(name: str, backend: Backend) -> None:
    record = TRACES[name]
    total, levels = run(record, backend)
    assert total == pytest.approx(record["total_cost"], rel=1e-6)
    for (stage, period), level in record["inventory_level"].items():
        assert levels[period, stage - 1] == pytest.approx(level, rel=1e-5), (stage, period)
