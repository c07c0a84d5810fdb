"""The oracle of the constrained searches: against a simulation in a loop, and against the exact baselines."""

from __future__ import annotations

from dataclasses import astuple

import numpy as np
import pytest
from numpy.typing import NDArray

from echelon.baselines.min_max_service import min_max_service, optimal_service_min_max
from echelon.baselines.position_service import Service
from echelon.envs.demand import Discrete

from .constrained_oracle import (
    Costs,
    Kind,
    backorders,
    cheapest_with_backorders,
    cheapest_with_lost_sales,
    demand_over,
    lost_sales,
)

Floats = NDArray[np.float64]
PMF = (0.3, 0.25, 0.2, 0.0, 0.15, 0.1)
COSTS = Costs(holding=1.0, stockout=4.0, fixed=12.0)
KINDS: dict[Kind, Service] = {"fill_rate": "fill_rate", "period_service": "alpha"}


def simulated(*, lead_time: int, reorder: int, up_to: int, lost: bool, paths: int = 2_000) -> tuple[Floats, Floats]:
    """Means over the paths of the fields of `LongRun`, and their standard errors; period by period, as described."""
    random = np.random.default_rng(lead_time)
    on_hand, owed = np.full(paths, up_to), np.zeros(paths, dtype=np.int64)
    pipeline = [np.zeros(paths, dtype=np.int64) for _ in range(lead_time)]
    totals = np.zeros((6, paths))
    for period in range(600):
        if lead_time:
            arrived = pipeline.pop(0)
            on_hand, owed = on_hand + np.maximum(arrived - owed, 0), np.maximum(owed - arrived, 0)
        position = on_hand - owed + sum(pipeline, np.zeros(paths, dtype=np.int64))
        order = np.where(position <= reorder, up_to - position, 0)
        if lead_time:
            pipeline.append(order)
        else:
            on_hand, owed = on_hand + np.maximum(order - owed, 0), np.maximum(owed - order, 0)
        demand = random.choice(len(PMF), size=paths, p=PMF)
        met = np.minimum(on_hand, demand)
        on_hand = on_hand - met
        missing = demand - met
        owed = np.zeros_like(owed) if lost else owed + missing
        short = missing if lost else owed
        if period >= 100:
            cost = COSTS.holding * on_hand + COSTS.stockout * short + COSTS.fixed * (order > 0)
            totals += [cost, met / np.dot(PMF, range(len(PMF))), short == 0, order > 0, on_hand, short]
    return totals.mean(axis=1) / 500, totals.std(axis=1, ddof=1) / 500 / paths**0.5


@pytest.mark.parametrize("lost", [False, True])
@pytest.mark.parametrize(("lead_time", "reorder", "up_to"), [(0, 1, 6), (0, 3, 4), (1, 2, 9), (1, 4, 6), (2, 3, 11)])
def test_the_long_run_is_that_of_a_simulation_in_a_loop(lead_time: int, reorder: int, up_to: int, lost: bool) -> None:
    exact = (lost_sales if lost else backorders)(PMF, lead_time=lead_time, reorder=reorder, up_to=up_to, costs=COSTS)
    means, errors = simulated(lead_time=lead_time, reorder=reorder, up_to=up_to, lost=lost)
    assert (errors < 0.01 * np.maximum(means, 0.05)).all()
    assert (np.abs(means - astuple(exact)) <= 3.5 * errors + 1e-12).all()


@pytest.mark.parametrize(("lead_time", "reorder", "up_to"), [(0, -3, 2), (1, 4, 5), (3, 7, 19)])
def test_the_service_with_backorders_is_that_of_the_exact_baseline(lead_time: int, reorder: int, up_to: int) -> None:
    ours = backorders(PMF, lead_time=lead_time, reorder=reorder, up_to=up_to, costs=COSTS)
    law = Discrete(values=tuple(range(len(PMF))), probabilities=PMF)
    exact = min_max_service(reorder, up_to, demand=law, lead_time=lead_time)
    assert (ours.fill_rate, ours.period_service) == pytest.approx((exact.fill_rate, exact.alpha), rel=1e-10)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("lead_time", "level", "stockout"), [(0, 0.9, 0.0), (2, 0.95, 0.0), (1, 0.8, 4.0)])
def test_the_cheapest_pair_with_backorders_is_that_of_the_exact_baseline(
    kind: Kind, lead_time: int, level: float, stockout: float
) -> None:
    costs = Costs(holding=1.0, stockout=stockout, fixed=12.0)
    box = {"reorders": range(-8, 18), "up_tos": range(36)}
    ours = cheapest_with_backorders(PMF, lead_time=lead_time, costs=costs, level=level, kind=kind, **box)
    law = Discrete(values=tuple(range(len(PMF))), probabilities=PMF)
    exact = optimal_service_min_max(
        demand=law,
        holding_cost=1.0,
        fixed_cost=12.0,
        stockout_cost=stockout,
        service_level=level,
        kind=KINDS[kind],
        lead_time=lead_time,
    )
    assert ours is not None
    assert ours.long_run.cost == pytest.approx(exact.cost, rel=1e-10)
    assert (ours.reorder, ours.up_to) == (exact.reorder, exact.up_to)


@pytest.mark.parametrize("lead_time", [0, 1])
def test_the_cheapest_pair_with_lost_sales_is_the_least_of_those_that_reach_the_floor(lead_time: int) -> None:
    box = {"reorders": range(9), "up_tos": range(1, 16)}
    best = cheapest_with_lost_sales(PMF, lead_time=lead_time, costs=COSTS, level=0.9, kind="fill_rate", **box)
    assert best is not None
    assert best.long_run == lost_sales(PMF, lead_time=lead_time, reorder=best.reorder, up_to=best.up_to, costs=COSTS)
    assert best.long_run.fill_rate >= 0.9
    # One unit less of stock saves money and breaks the floor, or does not pay.
    for reorder, up_to in ((best.reorder - 1, best.up_to), (best.reorder, best.up_to - 1)):
        other = lost_sales(PMF, lead_time=lead_time, reorder=reorder, up_to=up_to, costs=COSTS)
        assert other.fill_rate < 0.9 or other.cost >= best.long_run.cost
    assert (
        cheapest_with_lost_sales(
            PMF, lead_time=lead_time, costs=COSTS, level=0.9, kind="fill_rate", reorders=range(1), up_tos=range(1, 3)
        )
        is None
    )


def test_lost_sales_with_one_unit_are_those_by_hand() -> None:
    """s = 0, S = 1, by hand: one unit is there in every period."""
    pmf = (0.5, 0.5)
    exact = lost_sales(pmf, lead_time=0, reorder=0, up_to=1, costs=Costs(1, 4, 2))
    assert astuple(exact) == pytest.approx((0.5 + 0.5 * 2, 1, 1, 0.5, 0.5, 0))
    # With a lead time of 1 there is none while the order is under way: 2 periods with, 1 without.
    late = lost_sales(pmf, lead_time=1, reorder=0, up_to=1, costs=Costs(1, 4, 2))
    assert astuple(late) == pytest.approx((1 / 3 + 4 / 6 + 2 / 3, 2 / 3, 5 / 6, 1 / 3, 1 / 3, 1 / 6))


def test_the_demand_of_several_periods_is_a_law_with_their_mean() -> None:
    total = demand_over(PMF, 3)
    assert total.sum() == pytest.approx(1)
    assert total @ np.arange(len(total)) == pytest.approx(3 * np.dot(PMF, range(len(PMF))))
    assert demand_over(PMF, 0).tolist() == [1]
