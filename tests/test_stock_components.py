"""Stock components, drivers, constraints and service targets at six levels."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echelon.baselines.distribution_tree import DistributionTree
from echelon.baselines.lead_time_demand import lead_time_demand
from echelon.baselines.service_targets import resolve_targets
from echelon.baselines.stochastic_service import evaluate_levels, multistage_targets
from echelon.baselines.stock_components import prebuild_stock, stock_components
from echelon.baselines.stock_constraints import levels_within_storage, targets_within_budget
from echelon.baselines.stock_drivers import DRIVERS, Exposure, driver_parts, safety_stock_of
from echelon.envs.demand import NegativeBinomial, Poisson
from echelon.envs.errors import MethodError
from echelon.envs.network import Network
from echelon.envs.policy import order_up_to, reorder_lots
from echelon.envs.problem import Problem
from echelon.envs.scenarios import sample
from echelon.envs.simulate import simulate


def shop(lead_time: int) -> Problem:
    """One location, negative binomial demand of 20 a period."""
    network = Network.from_dict(
        {
            "nodes": [
                {
                    "name": "shop",
                    "holding_cost": 1.0,
                    "stockout_cost": 9.0,
                    "demand": {"law": "negative_binomial", "mean": 20.0, "sd": 9.0},
                }
            ],
            "links": [{"target": "shop", "lead_time": lead_time}],
        }
    )
    return Problem("shop", network, periods=20_160, warm_up=160)


@pytest.mark.parametrize("safety", [30.0, 0.0])
@pytest.mark.parametrize(("review", "lot"), [(1, 0.0), (4, 0.0), (1, 60.0)])
def test_the_components_sum_to_the_simulated_stock(safety: float, review: int, lot: float) -> None:
    problem = shop(2)
    parts = stock_components([20.0], safety, lead_time=2, review_period=review, lot_size=lot, whole=True)
    position = float(parts.target_position[0])
    if lot:
        policy = reorder_lots(problem.network, [position - 1], [lot])
    else:
        policy = order_up_to(problem.network, [position], review_period=review)
    found = simulate(
        problem, policy, sample(problem.network, periods=problem.periods, replications=40, seed=2)
    ).per_period
    on_hand, backorders = (found[name].sum(axis=1).mean() for name in ("on_hand", "backorders"))
    parts = stock_components(
        [20.0], safety, lead_time=2, review_period=review, lot_size=lot, whole=True, backorders=backorders
    )
    assert parts.on_hand[0] == pytest.approx(on_hand, rel=5e-3)
    assert (on_hand - backorders) == pytest.approx(float(parts.safety[0] + parts.cycle[0]), rel=0.02, abs=0.05)
    assert found["in_transit"].sum(axis=1).mean() == pytest.approx(parts.pipeline[0], rel=5e-3)


def test_target_position_pipeline_and_prebuild_follow_the_demand() -> None:
    demand = [10.0, 20.0, 30.0, 60.0, 50.0, 10.0]
    parts = stock_components(
        demand, 5.0, lead_time=2, review_period=1, capacity=40.0, display_stock=[0, 0, 40, 0, 0, 0]
    )
    np.testing.assert_allclose(parts.prebuild, [0, 30 - 40 + 30, 60 - 40 + 10, 50 - 40, 0, 0])
    np.testing.assert_allclose(parts.target_position, [65, 115, 145, 125, 75, 35])
    np.testing.assert_allclose(parts.pipeline, [30, 50, 90, 110, 60, 20])
    np.testing.assert_allclose(parts.merchandising, [0, 0, 5, 0, 0, 0])
    np.testing.assert_allclose(parts.safety_days[0], 5 * 3 / 60)
    assert stock_components([10.0], 5.0, lead_time=0.5).target_position[0] == pytest.approx(20.0)
    assert stock_components([10.0], 0.0, lead_time=1, review_period=2, moment="average").cycle[0] == 10.0


@settings(max_examples=30, deadline=None)
@given(st.lists(st.floats(0, 50), min_size=1, max_size=12), st.floats(0, 60))
def test_prebuild_is_the_least_stock_that_serves_all_later_demand(demand: list[float], capacity: float) -> None:
    stock = prebuild_stock(demand, capacity)
    for t in range(len(demand)):
        excess = np.cumsum(np.array(demand[t + 1 :]) - capacity)
        assert stock[t] == pytest.approx(max(0.0, excess.max(initial=0.0)), abs=1e-9)


def test_the_worked_numbers_of_a_forecast_of_100_with_an_error_of_25() -> None:
    """Training material for SAP IBP: review 1 and lead time 0 give 41, a lead time of 2 gives 72 (rounded up)."""
    assert safety_stock_of(Exposure(100.0, 25.0), service_level=0.95) == pytest.approx(41.1, abs=0.05)
    assert safety_stock_of(Exposure(100.0, 25.0, lead_time=2.0), service_level=0.95) == pytest.approx(71.2, abs=0.05)


EXPOSURE = Exposure(
    100.0, 25.0, lead_time=3.0, lead_time_sd=0.7, wait=0.4, wait_sd=0.6, lot_size=400.0, review_period=2.0
)


@pytest.mark.parametrize("kind", ["cycle_service", "fill_rate"])
@pytest.mark.parametrize("order", [tuple(DRIVERS), tuple(DRIVERS)[::-1]])
def test_the_drivers_sum_to_the_safety_stock_and_without_the_last_its_part_goes(
    kind: str, order: tuple[str, ...]
) -> None:
    parts = driver_parts(EXPOSURE, service_level=0.97, kind=kind, order=order)  # type: ignore[arg-type]
    whole = safety_stock_of(EXPOSURE, service_level=0.97, kind=kind)  # type: ignore[arg-type]
    assert tuple(parts) == order
    assert sum(parts.values()) == pytest.approx(whole, abs=1e-9)
    without = safety_stock_of(replace(EXPOSURE, **DRIVERS[order[-1]]), service_level=0.97, kind=kind)  # type: ignore[arg-type]
    assert whole - without == pytest.approx(parts[order[-1]], abs=1e-9)


def test_a_driver_that_drives_nothing_has_no_part_and_a_large_lot_lowers_the_stock() -> None:
    parts = driver_parts(Exposure(100.0, 25.0, lead_time=3.0), service_level=0.95)
    assert parts == {
        "demand": parts["demand"],
        "lead_time": 0,
        "upstream_service": 0,
        "lot_size": 0,
        "review_period": 0,
    }
    assert driver_parts(EXPOSURE, service_level=0.97, kind="fill_rate")["lot_size"] < 0
    assert sum(driver_parts(Exposure(100.0), service_level=0.9).values()) == 0


def test_components_and_drivers_that_cannot_be_are_refused() -> None:
    for call, message in (
        (
            lambda: stock_components([1.0, np.nan], 1.0, lead_time=1),
            "mean_demand must be at least 0 and finite, got nan in",
        ),
        (lambda: stock_components([1.0], [1.0, 2.0], lead_time=1), "safety_stock must be one number or 1, got 2"),
        (
            lambda: stock_components([1.0], 1.0, lead_time=1, review_period=0),
            "review_period must be at least 1 and finite",
        ),
        (lambda: safety_stock_of(Exposure(1.0), service_level=1.0), "service_level must be above 0 and below 1, got 1"),
        (
            lambda: driver_parts(EXPOSURE, service_level=0.9, order=["demand"]),
            "order must name each of demand, lead_time",
        ),
    ):
        with pytest.raises(MethodError) as error:
            call()
        assert str(error.value).startswith(message)


def chain(whole: bool) -> DistributionTree:
    """A factory, two warehouses and four locations with customers."""
    supplier = np.array([-1, 0, 0, 1, 1, 2, 2])
    ends = np.arange(7) > 2
    mean = np.where(ends, [0, 0, 0, 4, 6, 8, 10.0], 0.0)
    cost = np.where(ends, 1.0, [0.4, 0.7, 0.6, 0, 0, 0, 0])
    target = np.where(ends, 0.95, 0.0)
    return DistributionTree(supplier, np.full(7, 2.0), np.zeros(7), mean, 2 * mean, cost, target, ends, whole=whole)


@pytest.mark.parametrize(("whole", "share"), [(False, 0.9), (False, 0.6), (True, 0.8)])
def test_a_budget_is_used_and_not_exceeded(whole: bool, share: float) -> None:
    tree, value = chain(whole), np.array([5.0, 8.0, 8.0, 10, 10, 10, 10])
    free = multistage_targets(tree)
    budget = share * float(free.on_hand @ value)
    found = targets_within_budget(tree, unit_value=value, budget=budget)
    assert found.value <= budget
    assert found.value == pytest.approx(budget, rel=0.04 if whole else 5e-3)
    assert found.shadow_price > 0
    assert (found.target <= tree.target).all()
    more = targets_within_budget(tree, unit_value=value, budget=1.02 * budget)
    assert more.shadow_price <= found.shadow_price


def test_a_budget_that_suffices_costs_nothing() -> None:
    tree = chain(whole=True)
    found = targets_within_budget(tree, unit_value=np.ones(7), budget=1e6)
    assert found.shadow_price == 0
    np.testing.assert_allclose(found.target, tree.target)
    np.testing.assert_array_equal(found.targets.level, multistage_targets(tree).level)


def test_the_price_of_a_budget_is_what_a_little_more_of_it_saves() -> None:
    tree, value = chain(whole=False), np.array([5.0, 8.0, 8.0, 10, 10, 10, 10])
    budget = 0.8 * float(multistage_targets(tree).on_hand @ value)
    worth = np.where(tree.target > 0, tree.holding_cost * tree.target / (1 - tree.target), 0.0)

    def total(money: float) -> tuple[float, float, float]:
        found = targets_within_budget(tree, unit_value=value, budget=money)
        real = evaluate_levels(tree, found.targets.level)
        return found.value, real.cost + float(worth @ real.backorders), found.shadow_price

    (less, costs, high), (more, saves, low) = total(0.95 * budget), total(1.05 * budget)
    assert low * 0.9 < (costs - saves) / (more - less) < high * 1.1


@pytest.mark.parametrize("capacity", [6, 11, 17, 80])
@pytest.mark.parametrize("space", [(1.0, 1.0), (1.0, 3.0)])
def test_two_items_in_one_store_have_the_levels_of_enumeration(capacity: int, space: tuple[float, float]) -> None:
    laws = [lead_time_demand(Poisson(mean=5.0), 2), lead_time_demand(NegativeBinomial(mean=3.0, sd=2.5), 2)]
    holding, stockout = (1.0, 2.0), (9.0, 15.0)

    def cost(levels: tuple[int, ...]) -> float:
        rows = zip(laws, holding, stockout, levels, strict=True)
        return sum(float(h * law.excess(s) + p * law.shortage(s)) for law, h, p, s in rows)

    fits = [s for s in product(range(30), repeat=2) if s[0] * space[0] + s[1] * space[1] <= capacity]
    found = levels_within_storage(laws, holding_cost=holding, stockout_cost=stockout, space=space, capacity=capacity)
    best = min(map(cost, fits))
    assert found.cost == pytest.approx(cost(found.levels))
    assert found.space <= capacity
    if space == (1.0, 1.0):
        assert found.cost == pytest.approx(best)
    else:
        assert best <= found.cost + 1e-9 <= best + found.shadow_price * max(space) + 2e-9
    assert (found.shadow_price > 0) == (capacity < 80)


WANTED = {"customer": "Smith", "customer_class": "gold", "item": "A", "location": "north", "category": "food"}
ROWS = [
    ({"customer": "Smith"}, 0.96),
    ({"customer_class": "gold"}, 0.95),
    ({"item": "A", "location": "north"}, 0.94),
    ({"item": "A"}, 0.93),
    ({"category": "food"}, 0.92),
    ({}, 0.91),
]
"""From the most specific to the least."""


@pytest.mark.parametrize("first", range(6))
def test_of_the_six_levels_the_most_specific_target_wins(first: int) -> None:
    rows = [{**names, "service_level": level} for names, level in reversed(ROWS[first:])]
    found = resolve_targets(rows, [WANTED])[0]
    assert found.service_level == ROWS[first][1]
    others = [{**names, "service_level": 0.5} for names, _ in ROWS[:first]]
    elsewhere = [{name: "other" if name in row else "" for name in WANTED} | {"service_level": 0.5} for row in others]
    elsewhere = [row for row in elsewhere if any(row[name] for name in WANTED)]
    unique = {tuple(sorted(row.items())): row for row in elsewhere}
    assert resolve_targets([*rows, *unique.values()], [WANTED])[0].service_level == ROWS[first][1]


def test_a_target_that_names_more_beats_one_that_names_less() -> None:
    rows = [
        {"customer": "Smith", "service_level": 0.9},
        {"customer": "Smith", "item": "A", "service_level": 0.8, "service_kind": "alpha"},
        {"item": "A", "location": "north", "service_level": 0.7},
    ]
    found = resolve_targets(rows, [WANTED, {**WANTED, "item": "B"}, {**WANTED, "customer": ""}])
    assert [one.service_level for one in found] == [0.8, 0.9, 0.7]
    assert (found[0].service_kind, found[0].source) == ("alpha", "customer=Smith, item=A")


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "service_targets must have a row that fits customer=Smith, customer_class=gold, location=north, item=A"),
        ([{"service_level": 1.0}], "service_level must be above 0 and below 1, got 1 in row 0 of service_targets"),
        ([{"location": "x", "service_level": 0.9}], "item must be given with a location, got location 'x' in row 0"),
        ([{"service_level": 0.9}] * 2, "service_targets must have one row for global, got another in row 1"),
    ],
)
def test_targets_that_cannot_be_are_refused(rows: list[dict[str, object]], message: str) -> None:
    with pytest.raises(MethodError) as error:
        resolve_targets(rows, [WANTED])
    assert str(error.value).startswith(message)


def test_a_lot_that_is_next_to_nothing_asks_for_the_normal_quantile() -> None:
    small = safety_stock_of(Exposure(1e-16, 30.0, 5.0), service_level=0.95, kind="fill_rate")
    assert small == pytest.approx(safety_stock_of(Exposure(1e-16, 30.0, 5.0), service_level=0.95))


def test_a_budget_that_no_stock_meets_and_a_space_without_items_are_refused() -> None:
    with pytest.raises(MethodError, match="demand must have at least one item, got none"):
        levels_within_storage([], holding_cost=[], stockout_cost=[], space=[], capacity=1.0)
