"""Metrics: traces worked by hand, laws on random networks, formulas of the literature, intervals that cover."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from echelon.envs.errors import EchelonError
from echelon.envs.metrics import METRICS, Metric, Row, measure, table, unit_values
from echelon.envs.network import Network
from echelon.envs.policy import Policy, order_up_to, reorder_lots
from echelon.envs.problem import Problem
from echelon.envs.scenarios import Scenarios, sample
from echelon.envs.simulate import Outcome, simulate
from echelon.envs.state import COST_AXES, State

from .strategies import networks, order_up_to_levels

Floats = NDArray[np.float64]
SHARES = ("alpha", "cycle_service_level", "fill_rate", "ready_rate", "perfect_order_rate", "lost_fraction")
THREE_SIGMA = 0.9973
WITHOUT_TRACE = [name for name, definition in METRICS.items() if not definition.needs_trace]


def shop(**fields: Any) -> dict[str, Any]:
    """A node with customers; each test sets what they ask for."""
    return {"name": "shop", "demand": {"law": "deterministic", "values": [1]}, **fields}


def run(
    data: dict[str, Any], orders: list[list[float]], demand: list[float], *, warm_up: int = 0, discount: float = 1.0
) -> Outcome:
    """The outcome of given orders [T][E] and demand [T] on a network with one outlet."""
    network = Network.from_dict(data)
    problem = Problem("by hand", network, periods=len(demand), warm_up=warm_up, discount=discount)
    scenarios = Scenarios(demand=np.array(demand, dtype=np.float64)[None, :, None])
    placed = np.array(orders, dtype=np.float64)
    return simulate(
        problem, lambda state: placed[None, state.period], scenarios, backend="specification", trace=True, check=True
    )


def figures(metrics: dict[str, Metric]) -> dict[str, float]:
    """By "metric place", and by "metric" for the network, of the only replication."""
    found = {}
    for name, metric in metrics.items():
        if metric.network is not None:
            found[name] = float(metric.network[0])
        found |= {f"{name} {place}": float(value) for place, value in zip(metric.places, metric.values[0], strict=True)}
    return found


def of_all(metric: Metric) -> Floats:
    """[B] of the network, where there is something to measure."""
    assert metric.network is not None
    return metric.network


def by_hand(outcome: Outcome, expected: dict[str, float], **options: Any) -> None:
    found = figures(measure(outcome, **options))
    assert {name: found[name] for name in expected} == pytest.approx(expected, rel=1e-12, abs=1e-12)


def test_every_metric_of_a_shop_with_lost_sales_is_as_by_hand() -> None:
    # t          0  1 | 2  3  4  5  6  7     periods 2 to 7 count
    # enters     .  4 | .  5  .  2  6  .
    # demand     2  1 | 4  0  4  6  5  2     21
    # sold       2  1 | 4  0  4  3  5  1     17
    # lost       .  . | .  .  .  3  .  1      4
    # on hand    1  4 | 0  5  1  0  1  0      7
    # ordered    4  0 | 5  0  2  6  0  3     16, in transit at the end of its period alone
    # Cycles: 3-4 without, 5 with a stockout; 6-7 is not over. Stock before 3, 5 and 6: 0, 1, 0.
    node = shop(stockout_rule="lost_sales", holding_cost=1, stockout_cost=4, price=5, initial_on_hand=3)
    data = {"nodes": [node], "links": [{"target": "shop", "lead_time": 1, "unit_cost": 2, "fixed_cost": 3}]}
    outcome = run(data, [[4], [0], [5], [0], [2], [6], [0], [3]], [2, 1, 4, 0, 4, 6, 5, 2], warm_up=2)
    link = "outside -> shop"
    expected = {
        "cost": -3.0,
        "cost shop": -3.0,
        "cost.holding shop": 7 / 6,
        "cost.processing_holding shop": 0.0,
        f"cost.transit_holding {link}": 0.0,
        "cost.stockout shop": 16 / 6,
        f"cost.purchase {link}": 32 / 6,
        f"cost.fixed {link}": 12 / 6,
        "cost.scrap shop": 0.0,
        "cost.revenue shop": -85 / 6,
        "alpha shop": 4 / 6,
        "cycle_service_level shop": 1 / 2,
        "fill_rate shop": 17 / 21,
        "ready_rate shop": 3 / 6,
        "perfect_order_rate shop": 3 / 5,
        "lost_fraction shop": 4 / 21,
        "backorders shop": 0.0,
        "on_hand shop": 7 / 6,
        "in_process shop": 0.0,
        f"in_transit {link}": 16 / 6,
        "stock shop": 23 / 6,
        "cycle_stock shop": 5 / 6,
        "safety_stock shop": 1 / 3,
        "pipeline_stock shop": 16 / 6,
        "days_of_supply shop": 7 / 17,
        "inventory_turns shop": 12 * 34 / 46,
        "working_capital shop": 46 / 6,
        "scrapped shop": 0.0,
        f"defective {link}": 0.0,
        # Orders 5 0 2 6 0 3 have variance 188/36, demand 141/36.
        "order_variance_ratio shop": 188 / 141,
    }
    assert {name.split()[0] for name in expected} == set(METRICS)
    by_hand(outcome, expected, periods_per_year=12)
    found = figures(measure(outcome))
    assert all(found[line] == pytest.approx(found[line.split()[0]]) for line in found if " " in line)


def test_every_metric_of_a_serial_system_with_backorders_is_as_by_hand() -> None:
    # t                0  1  2  3  4  5
    # depot  ordered   4  0  3  0  1  0     8, enters two periods later
    #        shipped   2  1  2  1  2  0     8
    #        on hand   1  0  2  1  2  2     8
    #        to it     4  4  3  3  1  1    16
    # shop   ordered   2  3  0  1  2  0     8
    #        demand    1  4  0  3  1  1    10
    #        sold      1  3  0  2  0  1     7, and a period later those who waited
    #        waiting   0  1  0  1  1  0     3
    #        on hand   1  0  0  0  0  0     1
    #        to it     2  1  2  1  2  0     8
    # Cycles of the shop: 1, 2, 3 and 4, of which 2 has no stockout; on hand before 1 to 5: 1 0 0 0 0, above the mean.
    # Depot: 0 before period 2, 1 before period 4. A unit is worth 1 at the depot and 3 at the shop.
    nodes = [
        {"name": "depot", "holding_cost": 1, "initial_on_hand": 3},
        shop(holding_cost=2, stockout_cost=6, initial_on_hand=2),
    ]
    links = [
        {"target": "depot", "lead_time": 2, "unit_cost": 1},
        {"source": "depot", "target": "shop", "lead_time": 1, "unit_cost": 2, "transit_holding_cost": 0.5},
    ]
    orders = [[4.0, 2.0], [0.0, 3.0], [3.0, 0.0], [0.0, 1.0], [1.0, 2.0], [0.0, 0.0]]
    by_hand(
        run({"nodes": nodes, "links": links}, orders, [1, 4, 0, 3, 1, 1]),
        {
            "cost": 56 / 6,
            "cost depot": 16 / 6,
            "cost shop": 40 / 6,
            "cost.purchase outside -> depot": 8 / 6,
            "cost.purchase depot -> shop": 16 / 6,
            "cost.transit_holding": 4 / 6,
            "alpha": 3 / 6,
            "cycle_service_level": 1 / 4,
            "fill_rate": 7 / 10,
            "ready_rate": 1 / 6,
            "perfect_order_rate": 2 / 5,
            "lost_fraction": 0.0,
            "backorders": 3 / 6,
            "on_hand": 9 / 6,
            "in_transit outside -> depot": 16 / 6,
            "in_transit depot -> shop": 8 / 6,
            "stock": 33 / 6,
            "cycle_stock depot": 5 / 6,
            "safety_stock depot": 1 / 2,
            "pipeline_stock depot": 16 / 6,
            "cycle_stock shop": 0.0,
            "safety_stock shop": 1 / 6,
            "pipeline_stock shop": 8 / 6,
            "days_of_supply depot": 1.0,
            "days_of_supply shop": 1 / 10,
            "days_of_supply": 9 / 10,
            "working_capital depot": 4.0,
            "working_capital shop": 4.5,
            "inventory_turns depot": 1 / 3,
            "inventory_turns shop": 10 / 9,
            "inventory_turns": 10 / 17,
            # Variances times 36: demand 68, orders of the shop 44, of the depot 92.
            "order_variance_ratio shop": 44 / 68,
            "order_variance_ratio depot": 92 / 68,
            "order_variance_ratio": 92 / 68,
        },
    )


def test_every_metric_of_perishable_stock_is_as_by_hand() -> None:
    # Units live two periods, oldest first.
    # t          0  1  2  3  4
    # enters     .  3  .  2  5
    # demand     1  2  1  3  6     13
    # sold       1  2  1  2  5     11
    # on hand    3  4  2  0  0      9
    # scrapped   0  1  2  0  0      3
    # ordered    3  0  2  5  0     10
    # Cycles 1-2 without and 3 with a stockout. Left before periods 1, 3 and 4: 3, 0 and 0.
    node = shop(stockout_rule="lost_sales", shelf_life=2, scrap_cost=10, initial_on_hand=4)
    data = {"nodes": [node], "links": [{"target": "shop", "lead_time": 1, "unit_cost": 1}]}
    by_hand(
        run(data, [[3], [0], [2], [5], [0]], [1, 2, 1, 3, 6]),
        {
            "cost.scrap": 6.0,
            "scrapped": 3 / 5,
            "alpha": 3 / 5,
            "cycle_service_level": 1 / 2,
            "fill_rate": 11 / 13,
            "ready_rate": 3 / 5,
            "perfect_order_rate": 3 / 5,
            "on_hand": 9 / 5,
            "safety_stock": 1.0,
            "cycle_stock": 4 / 5,
            "pipeline_stock": 2.0,
            "stock": 19 / 5,
            "days_of_supply": 9 / 11,
            "inventory_turns": 11 / 19,
        },
    )


def test_units_sent_to_a_twin_leave_stock_and_keep_their_value() -> None:
    # t              0  1  2
    # twin enters    .  .  3, and 4 at the start
    #      sends     .  3  3
    #      on hand   4  1  1     6, and 1 before units enter
    # shop on hand   0  0  1     1, and 0 before the 3 enter that left in period 1
    #      to it     0  3  3     6
    data = {
        "nodes": [{"name": "twin", "initial_on_hand": 4}, shop()],
        "links": [
            {"target": "shop", "unit_cost": 2},
            {"target": "twin", "unit_cost": 2},
            {"name": "help", "source": "twin", "target": "shop", "lateral": True, "lead_time": 1, "unit_cost": 7},
        ],
    }
    by_hand(
        run(data, [[0, 0, 0], [0, 0, 3], [0, 3, 3]], [0, 0, 2]),
        {
            "cycle_stock twin": 1.0,
            "safety_stock twin": 1.0,
            "days_of_supply twin": 1.0,
            "working_capital twin": 4.0,
            "inventory_turns twin": 1.0,
            "cycle_stock shop": 1 / 3,
            "safety_stock shop": 0.0,
            "pipeline_stock shop": 2.0,
            "working_capital shop": 14 / 3,
            "cost.purchase help": 14.0,
            "cost shop": 14.0,
            "cost twin": 2.0,
        },
    )


def test_values_and_orders_of_an_assembly_are_counted_in_units_of_its_item() -> None:
    # A bike has 2 wheels, at 3 or at 5 apiece, and a frame, which the forge bends from 4 tubes.
    data = {
        "nodes": [{"name": "forge"}, shop()],
        "links": [
            {"name": "fast", "target": "shop", "component": "wheel", "quantity": 2, "unit_cost": 5},
            {"name": "slow", "target": "shop", "component": "wheel", "quantity": 2, "unit_cost": 3, "lead_time": 1},
            {"source": "forge", "target": "shop", "unit_cost": 2},
            {"target": "forge", "quantity": 4, "unit_cost": 1},
        ],
    }
    assert unit_values(Network.from_dict(data)).tolist() == [4.0, 2 * 3 + (2 + 4)]
    outcome = run(data, [[0, 2, 0, 0], [4, 2, 6, 8], [0, 2, 0, 16], [4, 2, 6, 8]], [1, 3, 1, 3])
    by_hand(
        outcome,
        {
            # Demand has variance 1. Wheels: 2 6 2 6, in bikes 1 3 1 3. Frames: 0 6 0 6, variance 9.
            "order_variance_ratio shop": (1 + 9) / 2,
            # Tubes: 0 8 16 8, in frames 0 2 4 2, variance 2.
            "order_variance_ratio forge": 2.0,
            # All from outside: 2 14 18 14, variance 36; needed 6 for each bike: 36.
            "order_variance_ratio": 1.0,
        },
    )
    trace, capital = outcome.trace, measure(outcome)["working_capital"].values
    assert trace is not None
    of_bikes, of_frames, wheels, slow, frames, tubes = (
        x[0].mean() for x in (trace.on_hand[..., 1], trace.on_hand[..., 0], *np.moveaxis(trace.in_transit, 2, 0))
    )
    assert capital[0] == pytest.approx([4 * of_frames + tubes, 12 * of_bikes + 5 * wheels + 3 * slow + 6 * frames])


def test_alternative_sources_bear_demand_in_the_proportion_of_what_was_ordered_from_them() -> None:
    # The shop orders 3 from a and 1 from b in every period, so 9/16 and 1/16 of the variance 4 of demand are theirs.
    data = {
        "nodes": [{"name": "a"}, {"name": "b"}, shop()],
        "links": [
            {"source": "a", "target": "shop", "component": "part"},
            {"source": "b", "target": "shop", "component": "part"},
            {"target": "a"},
            {"target": "b"},
        ],
    }
    orders = [[3.0, 1.0, 0.0, 1.0], [3.0, 1.0, 6.0, 1.0]] * 2
    expected = {"order_variance_ratio a": 4.0, "order_variance_ratio b": 0.0, "order_variance_ratio shop": 0.0}
    by_hand(run(data, orders, [2, 6, 2, 6]), expected)


def test_steady_demand_leaves_the_textbooks_cycle_and_safety_stock() -> None:
    # 2 of safety stock and batches of 12 for 3 a period: on hand 11 8 5 2, and 12 in transit in two periods of four.
    data = {"nodes": [shop(initial_on_hand=11)], "links": [{"target": "shop", "lead_time": 2}]}
    outcome = run(data, [[0], [12], [0], [0]] * 5, [3] * 20, warm_up=4)
    expected = {"cycle_stock": (12 - 3) / 2, "safety_stock": 2.0, "pipeline_stock": 2 * 3.0, "days_of_supply": 6.5 / 3}
    by_hand(outcome, expected)


def test_a_discount_weighs_the_periods() -> None:
    data = {"nodes": [shop(holding_cost=1, initial_on_hand=2)], "links": [{"target": "shop"}]}
    outcome = run(data, [[0], [0], [0]], [1, 2, 0], discount=0.5)
    # On hand 1 0 0, waiting 0 1 1, weights 4/7 2/7 1/7; the objective counts 1, 1/2, 1/4.
    by_hand(outcome, {"on_hand": 4 / 7, "alpha": 4 / 7, "ready_rate": 4 / 7, "fill_rate": 1 - 0.5 / 2, "cost": 1.0})
    by_hand(outcome, {"backorders": 3 / 7, "perfect_order_rate": 4 / 6, "cycle_service_level": 0.0})
    assert measure(outcome, ["cost"])["cost"].unit == "money, discounted"


def test_where_there_is_nothing_to_measure_a_metric_has_a_natural_value_or_no_place() -> None:
    data = {"nodes": [{"name": "idle", "initial_on_hand": 1}, shop()], "links": [{"target": "shop"}]}
    data["links"] += [{"target": "idle"}, {"source": "idle", "target": "shop", "component": "outside"}]
    outcome = run(data, [[0, 0, 0]] * 3, [0, 0, 0])
    by_hand(
        outcome, {"alpha": 1, "fill_rate": 1, "perfect_order_rate": 1, "cycle_service_level": 1, "lost_fraction": 0}
    )
    by_hand(outcome, {"ready_rate": 0, "safety_stock idle": 1, "cycle_stock idle": 0})
    for name in ("days_of_supply", "inventory_turns", "order_variance_ratio"):
        metric = measure(outcome, [name])[name]
        assert metric.places == ()
        assert metric.values.shape == (1, 0)
        assert metric.network is None


@settings(max_examples=60)
@given(network=networks(features=True), data=st.data())
def test_the_laws_of_metrics_hold_on_every_network(network: Network, data: st.DataObject) -> None:
    rule = order_up_to(network, data.draw(order_up_to_levels(network)))
    problem = Problem("random", network, periods=14, warm_up=data.draw(st.integers(0, 4)))
    states: list[State] = []

    def remember(state: State) -> Any:
        states.append(state)
        return rule(state)

    scenarios = sample(network, periods=14, replications=3, seed=1)
    outcome = simulate(problem, remember, scenarios, backend="specification", trace=True)
    found = measure(outcome)
    for name, metric in found.items():
        assert np.isfinite(metric.values).all(), name
        assert metric.network is None or np.isfinite(metric.network).all(), name
        assert metric.values.shape == (3, len(metric.places)), name
    for name in SHARES:
        assert found[name].values.min() >= 0, name
        assert found[name].values.max() <= 1 + 1e-12, name
    _parts_sum(outcome, found)
    _service_agrees_with_its_neighbours(outcome, found)
    if network.whole_units:
        np.testing.assert_allclose(found["cycle_service_level"].values, _cycle_service_level(outcome, states))


def _parts_sum(outcome: Outcome, found: dict[str, Metric]) -> None:
    def values(name: str) -> Floats:
        return found[name].values

    np.testing.assert_allclose(
        values("cycle_stock") + values("safety_stock") + values("pipeline_stock"), values("stock")
    )
    held = sum(values(name).sum(axis=1) for name in ("on_hand", "in_process", "in_transit"))
    np.testing.assert_allclose(values("stock").sum(axis=1), held)
    assert all(values(name).min() >= 0 for name in ("cycle_stock", "safety_stock", "pipeline_stock", "working_capital"))
    costs = [values(f"cost.{kind}").sum(axis=1) for kind in COST_AXES]
    np.testing.assert_allclose(np.sum(costs, axis=0), outcome.cost, atol=1e-9)
    np.testing.assert_allclose(values("cost").sum(axis=1), outcome.cost, atol=1e-9)
    np.testing.assert_allclose(of_all(found["fill_rate"]), outcome.fill_rate)
    np.testing.assert_allclose(of_all(found["alpha"]), outcome.alpha, atol=1e-12)


def _service_agrees_with_its_neighbours(outcome: Outcome, found: dict[str, Metric]) -> None:
    network = outcome.problem.network
    assert (found["fill_rate"].values + found["lost_fraction"].values <= 1 + 1e-12).all()
    lost = [outlet.stockout_rule in ("lost_sales", 0.0) for outlet in network.outlets]
    asked = outcome.per_period["demand"] > 0
    both = found["fill_rate"].values + found["lost_fraction"].values
    np.testing.assert_allclose(both[:, lost], 1.0)
    waits = [outlet.stockout_rule in ("backorder", 1.0) for outlet in network.outlets]
    assert not found["lost_fraction"].values[:, waits].any()
    whole = asked & (found["perfect_order_rate"].values == 1)
    np.testing.assert_allclose(found["fill_rate"].values[whole], 1.0)


def _cycle_service_level(outcome: Outcome, states: list[State]) -> list[list[float]]:
    """[B, C] in plain loops, with arrivals from the states: between two reviews, and within a period."""
    trace, problem = outcome.trace, outcome.problem
    assert trace is not None
    arrays = trace.arrays
    levels: list[list[float]] = []
    for b in range(trace.on_hand.shape[0]):
        levels.append([])
        for c, node in enumerate(arrays.outlet):
            cycles: list[bool] = []
            began = False
            left = problem.network.nodes[node].initial_on_hand
            for t, state in enumerate(states):
                out = sum(trace.shipped[b, t, e] for e in range(len(arrays.source)) if arrays.source[e] == node)
                out += trace.delivered[b, t, c]
                at_review = state.on_hand[b, node]
                enters = at_review > left or trace.on_hand[b, t, node] + out > at_review
                left = trace.on_hand[b, t, node] - trace.scrapped[b, t, node]
                if t < problem.warm_up:
                    continue
                if enters:
                    began = True
                    cycles.append(True)
                if began:
                    cycles[-1] &= not trace.stockout[b, t, c]
            whole = cycles[:-1] or [not trace.stockout[b, problem.warm_up :, c].any()]
            levels[-1].append(float(np.mean(whole)))
    return levels


def single(*, lead_time: int = 2, rule: str = "backorder", **law: Any) -> Network:
    """A shop with Poisson demand of mean 4, unless `law` says otherwise."""
    node = shop(stockout_rule=rule) | {"demand": law or {"law": "poisson", "mean": 4}}
    return Network.from_dict({"nodes": [node], "links": [{"target": "shop", "lead_time": lead_time}]})


def simulated(network: Network, policy: Policy, *, periods: int, replications: int, warm_up: int = 20) -> Outcome:
    problem = Problem("known", network, periods=periods, warm_up=warm_up)
    scenarios = sample(network, periods=periods, replications=replications, seed=11)
    return simulate(problem, policy, scenarios, trace=True)


def of_network(rows: list[Row]) -> dict[str, Row]:
    return {row.metric: row for row in rows if row.level == "network"}


def test_base_stock_under_poisson_demand_has_the_exact_service_of_the_literature() -> None:
    # Net stock at the end of a period is S less the demand of L + 1 periods (Axsäter 2015, ch. 5).
    level, periods = 15, 2
    after, before = stats.poisson(4.0 * (periods + 1)), stats.poisson(4.0 * periods)
    units = np.arange(200)
    waiting = float(after.pmf(units) @ np.maximum(units - level, 0))
    unmet = waiting - float(before.pmf(units) @ np.maximum(units - level, 0))
    none = float(stats.poisson(4.0).pmf(0))
    exact = {
        "alpha": after.cdf(level),
        "ready_rate": after.cdf(level - 1),
        "fill_rate": 1 - unmet / 4.0,
        "perfect_order_rate": (after.cdf(level) - none * before.cdf(level)) / (1 - none),
        "backorders": waiting,
        "on_hand": float(after.pmf(units) @ np.maximum(level - units, 0)),
        "in_transit": 4.0 * periods,
    }
    network = single(lead_time=periods)
    outcome = simulated(network, order_up_to(network, [level]), periods=220, replications=300)
    found = of_network(table(outcome, exact, level=THREE_SIGMA))
    for name, value in exact.items():
        assert abs(found[name].mean - value) <= found[name].half_width, name
        assert found[name].half_width < 0.06 * value, name


def test_without_a_lead_time_lost_sales_have_the_exact_service_of_the_newsvendor() -> None:
    network = single(lead_time=0, rule="lost_sales")
    outcome = simulated(network, order_up_to(network, [5]), periods=120, replications=300)
    demand, units = stats.poisson(4.0), np.arange(100)
    sold = float(demand.pmf(units) @ np.minimum(units, 5))
    exact = {"alpha": demand.cdf(5), "ready_rate": demand.cdf(4), "fill_rate": sold / 4, "lost_fraction": 1 - sold / 4}
    found = of_network(table(outcome, exact, level=THREE_SIGMA))
    for name, value in exact.items():
        assert abs(found[name].mean - value) <= found[name].half_width, name


def test_base_stock_passes_the_variance_of_demand_on() -> None:
    network = single()
    outcome = simulated(network, order_up_to(network, [15]), periods=420, replications=100)
    metric = measure(outcome)["order_variance_ratio"]
    trace = outcome.trace
    assert trace is not None
    # Each order is the demand of the period before.
    variances = trace.demand[:, 19:-1, 0].var(axis=1) / trace.demand[:, 20:, 0].var(axis=1)
    np.testing.assert_allclose(metric.values[:, 0], variances)
    np.testing.assert_allclose(of_all(metric), variances)
    row = of_network(table(outcome, ["order_variance_ratio"], level=THREE_SIGMA))["order_variance_ratio"]
    assert abs(row.mean - 1) <= row.half_width < 0.01


@pytest.mark.parametrize("batching", ["(s, S)", "(r, nQ)"])
def test_batches_amplify_the_variance_of_demand(batching: str) -> None:
    network = single()
    rule = order_up_to(network, [25], reorder=[15]) if batching == "(s, S)" else reorder_lots(network, [15], [10])
    outcome = simulated(network, rule, periods=220, replications=40)
    row = of_network(table(outcome, ["order_variance_ratio"]))["order_variance_ratio"]
    assert row.mean - row.half_width > 1.5


@pytest.mark.parametrize(("lead_time", "window"), [(1, 4), (3, 5)])
def test_a_moving_average_forecast_amplifies_as_chen_et_al_prove(lead_time: int, window: int) -> None:
    # Chen et al. (2000), order-up-to L times the mean of the last p demands, demand independent:
    # Var(q) / Var(D) = 1 + 2 L / p + 2 (L / p) ** 2.
    network = single(law="normal", mean=100, sd=5)
    problem = Problem("forecast", network, periods=620, warm_up=20)
    scenarios = sample(network, periods=620, replications=60, seed=5)
    demand = scenarios.demand[:, :, 0]

    def forecasting(state: State) -> Any:
        t = state.period
        if t <= window:
            return np.full((60, 1), 100.0)
        change = (demand[:, t - 1] - demand[:, t - 1 - window]) * lead_time / window
        return (demand[:, t - 1] + change)[:, None]

    outcome = simulate(problem, forecasting, scenarios, trace=True)
    row = of_network(table(outcome, ["order_variance_ratio"], level=THREE_SIGMA))["order_variance_ratio"]
    exact = 1 + 2 * lead_time / window + 2 * (lead_time / window) ** 2
    assert abs(row.mean - exact) <= row.half_width < 0.04 * exact


@pytest.mark.parametrize("name", ["alpha", "on_hand"])
def test_95_percent_intervals_cover_the_exact_value_in_93_to_97_percent_of_repeats(name: str) -> None:
    repeats, size = 1_500, 10
    network = single(lead_time=0)
    problem = Problem("coverage", network, periods=25, warm_up=0)
    scenarios = sample(network, periods=25, replications=repeats * size, seed=3)
    outcome = simulate(problem, order_up_to(network, [5]), scenarios)
    # The level is reached at every review only if customers who wait are served at once, as they are here.
    demand, units = stats.poisson(4.0), np.arange(100)
    exact = {"alpha": demand.cdf(5), "on_hand": float(demand.pmf(units) @ np.maximum(5 - units, 0))}[name]
    covered = 0
    for first in range(0, repeats * size, size):
        part = {key: values[first : first + size] for key, values in outcome.per_period.items()}
        row = of_network(table(replace(outcome, per_period=part), [name]))[name]
        covered += abs(row.mean - exact) <= row.half_width
    assert 0.93 <= covered / repeats <= 0.97


def test_a_table_has_a_row_for_the_network_and_for_each_place_with_students_interval() -> None:
    network = single()
    outcome = simulated(network, order_up_to(network, [14]), periods=60, replications=12)
    rows = table(outcome, ["fill_rate", "in_transit"], level=0.9)
    assert [(r.metric, r.level, r.place, r.unit) for r in rows] == [
        ("fill_rate", "network", "network", "share"),
        ("fill_rate", "outlet", "shop", "share"),
        ("in_transit", "network", "network", "units"),
        ("in_transit", "link", "outside -> shop", "units"),
    ]
    values = outcome.fill_rate
    low, high = stats.t.interval(0.9, 11, loc=values.mean(), scale=stats.sem(values))
    assert (rows[0].mean - rows[0].half_width, rows[0].mean + rows[0].half_width) == pytest.approx((low, high))


def test_without_a_trace_the_metrics_that_need_none_are_the_same() -> None:
    network = single()
    problem = Problem("plain", network, periods=50, warm_up=5)
    scenarios = sample(network, periods=50, replications=4, seed=1)
    plain, traced = (simulate(problem, order_up_to(network, [14]), scenarios, trace=trace) for trace in (False, True))
    found, full = measure(plain), measure(traced)
    assert list(found) == WITHOUT_TRACE
    assert list(full) == list(METRICS)
    for name in found:
        np.testing.assert_array_equal(found[name].values, full[name].values)


@pytest.mark.parametrize("name", sorted(set(METRICS) - set(WITHOUT_TRACE)))
def test_a_metric_that_needs_the_trace_says_so(name: str) -> None:
    network = single()
    problem = Problem("plain", network, periods=5, warm_up=0)
    outcome = simulate(problem, order_up_to(network, [14]), sample(network, periods=5, replications=2, seed=1))
    with pytest.raises(EchelonError, match=rf"metric '{name}' needs the trace of the run; .*trace=True"):
        measure(outcome, [name])


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"names": ["fill_rat"]}, r"unknown metric 'fill_rat'; did you mean 'fill_rate'\?"),
        ({"level": 1.0}, r"level must be between 0 and 1 \(got 1.0\)"),
        ({"periods_per_year": 0}, r"periods_per_year must be above 0 and finite \(got 0\)"),
        ({}, r"an interval needs at least 2 replications \(got 1\)"),
    ],
)
def test_a_wrong_question_is_told_what_must_hold(arguments: dict[str, Any], message: str) -> None:
    outcome = run({"nodes": [shop()], "links": [{"target": "shop"}]}, [[1], [1]], [1, 1])
    with pytest.raises(EchelonError, match=message):
        table(outcome, **arguments)


def test_every_metric_says_what_it_means_and_every_kind_of_cost_has_its_place() -> None:
    outcome = run({"nodes": [shop()], "links": [{"target": "shop"}]}, [[1]], [1])
    assert list(COST_AXES) == list(outcome.costs)
    assert all(definition.meaning.endswith(".") for definition in METRICS.values())
