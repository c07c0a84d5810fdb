"""Base-stock and capped base-stock policies with lost sales, against exact average costs.

One location, Poisson demand of mean 5, holding cost 1: the test bed of P. Zipkin, Old and new methods
for lost-sales inventory systems, Operations Research 56(5), 2008. The costs are those of an
independent program that solves the Markov chain of each policy; it searched all levels and caps.
"""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import stats

from echelon.baselines import base_stock, capped_base_stock
from echelon.envs.catalogue import make_problem
from echelon.envs.policy import order_up_to
from echelon.envs.problem import Problem
from echelon.envs.scenarios import Scenarios, sample
from echelon.envs.simulate import simulate

Floats = NDArray[np.float64]

# Lead time, stockout cost; best base-stock level and its cost; best capped base-stock level, cap and their cost.
ROWS: list[tuple[int, float, int, float, int, int, float]] = [
    (1, 4, 12, 4.1628, 12, 6, 4.0654),
    (1, 9, 13, 5.5475, 14, 6, 5.4812),
    (1, 39, 16, 7.8626, 16, 9, 7.8425),
    (2, 4, 16, 4.6386, 17, 5, 4.4057),
    (2, 19, 21, 7.8420, 21, 7, 7.7209),
    (2, 39, 22, 9.1900, 22, 8, 9.1326),
    (3, 9, 23, 6.8640, 24, 6, 6.6164),
    (3, 19, 26, 8.6042, 26, 6, 8.4010),
    (4, 4, 25, 5.1977, 26, 5, 4.7979),
    (4, 9, 28, 7.2708, 29, 5, 6.9123),
    (4, 39, 33, 11.0618, 34, 6, 10.8926),
]
TUNED = [(2, 4), (3, 9), (4, 4)]
"""Rows whose best levels a search on the default scenarios must find."""

PERIODS, WARM_UP, REPLICATIONS = 3_100, 100, 5_000
"""15 million counted periods."""


def problem(lead_time: int, stockout_cost: float) -> Problem:
    return make_problem(
        "echelon/LostSales-v0", lead_time=lead_time, stockout_cost=stockout_cost, periods=PERIODS, warm_up=WARM_UP
    )


@cache
def scenarios() -> Scenarios:
    """Every row has the same customers."""
    return sample(problem(1, 4).network, periods=PERIODS, replications=REPLICATIONS, seed=2008)


def where_customers_wait(row: Problem) -> Problem:
    """The same location with backorders, where the exact cost of a level is the newsvendor's."""
    node = row.network.nodes[0].model_copy(update={"stockout_rule": "backorder"})
    return replace(row, network=row.network.model_copy(update={"nodes": (node,)}))


def controls(row: Problem, level: float) -> Floats:
    """[B, 2] control variates of expectation 0: mean demand, and the cost of the level with backorders."""
    node, lead_time = row.network.nodes[0], int(row.network.links[0].mean_lead_time)
    demand = np.arange(400.0)
    cost = node.holding_cost * np.maximum(level - demand, 0) + node.stockout_cost * np.maximum(demand - level, 0)
    exact = cost @ stats.poisson(5 * (lead_time + 1)).pmf(demand)
    outcome = simulate(where_customers_wait(row), order_up_to(row.network, [level]), scenarios())
    return np.column_stack([outcome.per_period["demand"][:, 0] - 5, outcome.cost - exact])


def check(row: Problem, level: float, cap: float, cost: float) -> None:
    """Simulate a capped base-stock policy and hold its cost, by regression on the controls, against the exact one."""
    policy = order_up_to(row.network, [level], cap=[cap])
    simulated = simulate(row, policy, scenarios()).cost
    design = np.column_stack([np.ones(REPLICATIONS), controls(row, level)])
    coefficients, *_ = np.linalg.lstsq(design, simulated)
    error = np.std(simulated - design @ coefficients, ddof=3) / REPLICATIONS**0.5
    assert error < 2.5e-4 * cost, "too few periods for the tolerance"
    assert coefficients[0] == pytest.approx(cost, rel=1e-3)


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"L{row[0]}-p{row[1]}")
def test_simulated_costs_are_the_exact_ones(row: tuple[int, float, int, float, int, int, float]) -> None:
    lead_time, stockout_cost, level, cost, capped_level, cap, capped_cost = row
    check(problem(lead_time, stockout_cost), level, np.inf, cost)
    check(problem(lead_time, stockout_cost), capped_level, cap, capped_cost)


@pytest.mark.parametrize(("lead_time", "stockout_cost"), TUNED)
def test_tuning_finds_the_best_levels(lead_time: int, stockout_cost: float) -> None:
    (row,) = [row for row in ROWS if row[:2] == (lead_time, stockout_cost)]
    tuned = make_problem("echelon/LostSales-v0", lead_time=lead_time, stockout_cost=stockout_cost)
    assert base_stock(tuned).parameters["levels"] == [row[2]]
    capped = capped_base_stock(tuned).parameters
    assert (capped["levels"], capped["caps"]) == ([row[4]], [row[5]])
