"""Selection of a rule for every item-location: against exact optima, brute force, and hindsight."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import stats

from echelon.baselines.demand_classes import classify
from echelon.baselines.lost_sales_levels import (
    CappedBaseStock,
    constant_order,
    constant_order_cost,
    lost_sales_base_stock,
    lost_sales_capped_base_stock,
)
from echelon.baselines.lost_sales_policy_cost import rule_cost
from echelon.baselines.lost_sales_system import system_of
from echelon.baselines.min_max_exact import min_max_cost, optimal_min_max
from echelon.baselines.newsvendor import newsvendor
from echelon.baselines.policy_selection import Candidates, _confidence, policy_selection, policy_selection_plan
from echelon.baselines.policy_selection_items import Item, items_of, pattern_of, regularity, split_history
from echelon.baselines.policy_selection_rules import RULES, Levels, one_for_one_level
from echelon.baselines.policy_selection_search import Panel, policy_of, search, tune_items
from echelon.baselines.reorder_lots_exact import optimal_reorder_lots, reorder_lots_cost
from echelon.baselines.reorder_model import arguments_of
from echelon.envs import make_problem
from echelon.envs.demand import Empirical
from echelon.envs.errors import MethodError
from echelon.envs.network import Network
from echelon.envs.node_outcome import simulate_nodes
from echelon.envs.problem import Problem
from echelon.envs.scenarios import Scenarios, sample

POISSON: dict[str, Any] = {"law": "poisson", "mean": 5.0}
CLUMPED: dict[str, Any] = {"law": "negative_binomial", "mean": 3.0, "sd": 2.5}
NOTHING: dict[str, Any] = {"law": "empirical", "values": [0.0]}
SPORADIC: dict[str, Any] = {
    "law": "intermittent",
    "interval": 4.0,
    "size": {"law": "poisson", "mean": 2.0},
    "shift": 1,
}


def item_locations(*items: dict[str, Any], periods: int = 600) -> Problem:
    """Items named a, b, ...; keys of a link are `lead_time`, `fixed_cost`, `unit_cost`, all others of the node."""
    of_link = ("lead_time", "fixed_cost", "unit_cost")
    costs = {"holding_cost": 1.0, "stockout_cost": 9.0}
    names = [chr(ord("a") + n) for n in range(len(items))]
    nodes = [
        {"name": name, **costs, **{key: x for key, x in item.items() if key not in of_link}}
        for name, item in zip(names, items, strict=True)
    ]
    links = [
        {"target": name, **{key: x for key, x in item.items() if key in of_link}}
        for name, item in zip(names, items, strict=True)
    ]
    network = Network.from_dict({"nodes": nodes, "links": links}).with_running_stock()
    return Problem("items", network, periods=periods, warm_up=100)


def alone(problem: Problem, n: int) -> Problem:
    """The problem of one item."""
    scenarios = sample(problem.network, periods=problem.periods, replications=1, seed=0)
    return Panel(problem, scenarios).part(np.array([n])).problem


def few(problem: Problem, replications: int = 16) -> Scenarios:
    """Scenarios to tune on; the choice and its certification then take as many, and twice as many."""
    return sample(problem.network, periods=problem.periods, replications=replications, seed=0, stream="tuning")


def tuned(problem: Problem) -> list[dict[str, tuple[float, ...]]]:
    scenarios = few(problem, 64)
    items = items_of(problem, scenarios)
    return tune_items(Panel(problem, scenarios), items, [[r for r in RULES if r.applies(item)] for item in items])


BACKORDERS = (
    {"demand": POISSON, "lead_time": 2, "fixed_cost": 30.0},
    {"demand": CLUMPED, "lead_time": 5, "fixed_cost": 10.0},
    {"demand": SPORADIC, "lead_time": 0, "fixed_cost": 20.0},
    {"demand": SPORADIC, "lead_time": 7, "fixed_cost": 50.0, "stockout_cost": 4.0},
)


def test_with_backorders_the_tuned_rules_cost_within_a_percent_of_their_exact_optima() -> None:
    problem = item_locations(*BACKORDERS)
    for n, found in enumerate(tuned(problem)):
        system = arguments_of(alone(problem, n))
        reorder, gap = found["min_max"]
        assert min_max_cost(reorder, reorder + gap, **system) <= 1.01 * optimal_min_max(**system).cost
        assert reorder_lots_cost(*found["reorder_lots"], **system) <= 1.01 * optimal_reorder_lots(**system).cost
        plain = {key: value for key, value in system.items() if key != "fixed_cost"}
        best = newsvendor(**plain)  # type: ignore[arg-type]
        (level,) = found["base_stock"]
        paid = system["fixed_cost"] * (1 - system["demand"].pmf()[0])  # in every period after one with demand
        assert newsvendor(**plain, level=level).cost + paid <= 1.01 * (best.cost + paid)  # type: ignore[arg-type]


LOST_SALES = (
    {"demand": POISSON, "lead_time": 0},
    {"demand": POISSON, "lead_time": 2},
    {"demand": {"law": "geometric", "mean": 5.0}, "lead_time": 3, "stockout_cost": 4.0},
    {"demand": CLUMPED, "lead_time": 3, "stockout_cost": 12.0, "unit_cost": 3.0},
)


def test_with_lost_sales_the_tuned_rules_cost_within_a_percent_of_their_exact_optima() -> None:
    problem = item_locations(*({**item, "stockout_rule": "lost_sales"} for item in LOST_SALES))
    for n, found in enumerate(tuned(problem)):
        one = alone(problem, n)
        system = system_of(one, "the test")
        ((level,), (top, cap), (quantity,)) = (found[x] for x in ("base_stock", "capped_base_stock", "constant_order"))
        pairs = [
            (rule_cost(system, CappedBaseStock(int(level), int(level))).cost, lost_sales_base_stock(one)),
            (rule_cost(system, CappedBaseStock(int(top), int(cap))).cost, lost_sales_capped_base_stock(one)),
            (constant_order_cost(system, int(quantity)), constant_order(one)),
        ]
        for cost, best in pairs:
            assert best.model_cost is not None
            assert cost <= 1.01 * best.model_cost


def test_the_chosen_rule_of_an_item_costs_hardly_more_than_the_best_policy_there_is() -> None:
    problem = item_locations(*BACKORDERS)
    for n, item in enumerate(policy_selection(problem, scenarios=few(problem, 192)).items):
        exact = optimal_min_max(**arguments_of(alone(problem, n))).cost
        assert exact - 2 * item.half_width < item.cost < 1.01 * exact + 2 * item.half_width
        assert item.half_width < 0.015 * exact
        assert set(item.costs) >= {"base_stock", "min_max", "reorder_lots"}


def test_a_long_lead_time_with_cheap_lost_sales_is_for_a_constant_order_or_a_cap() -> None:
    item = {"demand": {"law": "geometric", "mean": 5.0}, "stockout_rule": "lost_sales", "stockout_cost": 4.0}
    problem = item_locations({**item, "lead_time": 20})
    (chosen,) = policy_selection(problem, scenarios=few(problem, 64)).items
    assert chosen.rule in ("constant_order", "capped_base_stock")
    assert chosen.costs["base_stock"] > 1.05 * chosen.cost


def mixed_panel(count: int) -> Problem:
    rng = np.random.default_rng(3)
    laws = (
        lambda: {"law": "poisson", "mean": float(rng.uniform(3, 15))},
        lambda: SPORADIC | {"interval": 1.1, "size": {"law": "negative_binomial", "mean": 6.0, "sd": 8.0}},
        lambda: SPORADIC | {"interval": float(rng.uniform(1.6, 8))},
        lambda: SPORADIC | {"size": {"law": "negative_binomial", "mean": 5.0, "sd": 7.0}},
    )
    items = [
        {
            "demand": laws[n % 4](),
            "stockout_rule": str(rng.choice(["backorder", "lost_sales"])),
            "stockout_cost": float(rng.choice([9, 19])),
            "lead_time": int(rng.integers(0, 9)),
            "fixed_cost": float(rng.choice([0, 10, 40])),
        }
        for n in range(count)
    ]
    return item_locations(*items)


def test_nine_of_ten_choices_are_within_two_percent_of_the_best_rule_in_hindsight() -> None:
    problem = mixed_panel(32)
    best = policy_selection(problem, scenarios=few(problem, 32))
    network = problem.network
    expected = ["smooth", "erratic", "intermittent", "lumpy"] * 8
    assert np.mean([item.pattern == pattern for item, pattern in zip(best.items, expected, strict=True)]) >= 0.95
    other = sample(network, periods=problem.periods, replications=64, seed=5, stream="hindsight")
    items = items_of(problem, other)
    rivals = tune_items(Panel(problem, other), items, [[r for r in RULES if r.applies(item)] for item in items])
    judge = Panel(problem, sample(network, periods=problem.periods, replications=128, seed=6, stream="judging"))

    def mean_costs(levels: list[Levels]) -> np.ndarray:
        return np.asarray(judge.costs(levels).mean(axis=0))

    base = RULES[1]
    hindsight = [
        mean_costs([rule.levels(x[rule.name]) if rule.name in x else base.levels(x["base_stock"]) for x in rivals])
        for rule in RULES
    ]
    ours = simulate_nodes(problem, best.policy, judge.scenarios).node_cost.mean(axis=0)
    regret = ours / np.min(hindsight, axis=0) - 1
    assert (regret <= 0.02).mean() >= 0.9
    assert [item.cost for item in best.items] == pytest.approx(ours, rel=0.12)
    assert best.cost == pytest.approx(ours.sum(), rel=0.01)


def test_the_intervals_of_the_certified_costs_hold_the_true_costs() -> None:
    problem = mixed_panel(32)
    best = policy_selection(problem, candidates=["base_stock"], scenarios=few(problem))
    fresh = sample(problem.network, periods=problem.periods, replications=256, seed=77, stream="judging")
    true = simulate_nodes(problem, best.policy, fresh).node_cost.mean(axis=0)
    inside = [abs(item.cost - cost) <= item.half_width for item, cost in zip(best.items, true, strict=True)]
    assert np.mean(inside) >= 0.85


def test_confidence_is_one_minus_the_p_values_of_paired_tests() -> None:
    rng = np.random.default_rng(0)
    own = rng.normal(10, 1, 30)
    rivals = [own + rng.normal(shift, 0.3, 30) for shift in (-0.3, -0.1)]
    doubts = [stats.ttest_1samp(own - rival - 0.02 * rival.mean(), 0, alternative="less").pvalue for rival in rivals]
    assert _confidence(own, rivals, 0.02) == pytest.approx(1 - sum(doubts))
    assert _confidence(own, [own], 0.0) == 1.0
    assert _confidence(own, [own - 1.0], 0.02) == 0.0
    assert _confidence(own, [], 0.02) == 1.0


def test_of_equal_rules_the_simplest_is_chosen() -> None:
    # an item that sells a single unit now and then: the levels of all four rules come out as one
    unit = {"law": "intermittent", "interval": 6.0, "size": {"law": "deterministic", "values": [1.0]}}
    problem = item_locations({"demand": unit, "lead_time": 1, "fixed_cost": 0.001})
    (item,) = policy_selection(problem, scenarios=few(problem)).items
    assert (item.pattern, item.rule) == ("intermittent", "one_for_one")
    assert item.costs["base_stock"] == item.cost
    assert item.margin == pytest.approx(0.0, abs=1e-3 * item.cost)


def test_an_item_that_never_sells_is_not_stocked() -> None:
    problem = item_locations({"demand": NOTHING}, {"demand": POISSON})
    best = policy_selection(problem, scenarios=few(problem, 32))
    never, sells = best.items
    assert (never.pattern, never.rule, never.parameters) == ("no demand", "base_stock", {"up_to": 0.0})
    assert (never.cost, never.half_width, never.confidence, never.margin) == (0.0, 0.0, 1.0, 0.0)
    assert sells.cost > 0
    lost = item_locations({"demand": NOTHING, "stockout_rule": "lost_sales"})
    for rule in ("constant_order", "capped_base_stock", "one_for_one"):
        assert policy_selection(lost, candidates=[rule], scenarios=few(lost)).cost == 0.0


def test_demand_that_does_not_vary_is_met_exactly() -> None:
    problem = item_locations({"demand": {"law": "deterministic", "values": [4.0]}, "lead_time": 3})
    (item,) = policy_selection(problem, scenarios=few(problem)).items
    assert (item.pattern, item.rule, item.parameters, item.cost) == ("smooth", "base_stock", {"up_to": 16.0}, 0.0)


def test_free_stock_free_shortages_and_parts_of_units_leave_finite_numbers() -> None:
    gamma = {"law": "gamma", "mean": 5.0, "sd": 2.0}
    problem = item_locations(
        {"demand": gamma, "holding_cost": 0.0, "fixed_cost": 1.0},
        {"demand": gamma, "stockout_cost": 0.0, "fixed_cost": 1.0},
        {"demand": gamma, "stockout_cost": 0.0, "stockout_rule": "lost_sales", "fixed_cost": 1.0},
        periods=200,
    )
    best = policy_selection(problem, candidates=[rule.name for rule in RULES], scenarios=few(problem))
    for item in best.items:
        assert np.isfinite([item.cost, item.half_width, item.confidence, item.margin, *item.costs.values()]).all()
    assert best.items[0].cost == pytest.approx(0.0, abs=0.1)  # nothing speaks against a large stock, ordered once


def test_one_for_one_levels_are_those_of_the_poisson_and_the_erlang_loss_model() -> None:
    for mean, lead_time, price in ((0.2, 3, 9.0), (1.3, 5, 19.0), (4.0, 0, 3.0)):
        load = mean * (lead_time + 1)
        levels = np.arange(60)
        waits = items_of(
            problem := item_locations(
                {"demand": {"law": "poisson", "mean": mean}, "lead_time": lead_time, "stockout_cost": price},
                {
                    "demand": {"law": "poisson", "mean": mean},
                    "lead_time": lead_time,
                    "stockout_cost": price,
                    "stockout_rule": "lost_sales",
                },
            ),
            sample(problem.network, periods=10, replications=1, seed=0),
        )
        on_order = stats.poisson(load)
        ratio = price / (price + 1)
        assert one_for_one_level(waits[0]) == np.flatnonzero(on_order.cdf(levels) >= ratio)[0]
        lost = on_order.pmf(levels) / on_order.cdf(levels)
        costs = levels - load * (1 - lost) + price * mean * lost
        assert one_for_one_level(waits[1]) == np.argmin(costs)


def test_a_search_finds_the_least_of_a_convex_cost() -> None:
    (item,) = items_of(
        problem := item_locations({"demand": POISSON, "lead_time": 4, "fixed_cost": 30.0}),
        sample(problem.network, periods=10, replications=1, seed=0),
    )
    base, min_max = RULES[1], RULES[4]

    def cost(levels: Levels) -> float:
        reorder, up_to, _, _ = levels
        return (reorder - 31) ** 2 + 0.3 * (up_to - 52) ** 2 + abs(reorder + up_to - 90)

    asking = search(item, [base, min_max])
    levels, asked = next(asking), 0
    found: dict[str, tuple[float, ...]] = {}
    while not found:
        try:
            levels, asked = asking.send(cost(levels)), asked + 1
        except StopIteration as end:
            found = end.value
    reorder, gap = found["min_max"]
    best = min(cost((s, float(top), np.inf, 0.0)) for s in range(80) for top in range(s, 120))
    assert cost((reorder, reorder + gap, np.inf, 0.0)) == pytest.approx(best)
    assert asked < 120


def test_the_items_of_a_panel_cost_what_they_cost_without_the_others() -> None:
    network = mixed_panel(8).network
    nodes = [node.model_dump() for node in network.nodes]
    nodes[2]["disruption"] = {"failure": 0.05, "repair": 0.3}
    nodes[5]["stockout_rule"] = 0.5
    links = [link.model_dump() for link in network.links][::-1]  # links in another order than the nodes
    links[3]["lead_time"] = {"values": [1, 4], "probabilities": [0.5, 0.5]}
    links[4]["yield_rate"] = {"values": [0.5, 1.0]}
    problem = Problem("odd", Network.from_dict({"nodes": nodes, "links": links}), periods=150, warm_up=20)
    panel = Panel(problem, sample(problem.network, periods=150, replications=4, seed=0))
    levels: list[Levels] = [(20.0 + n, 30.0 + 2 * n, np.inf, 0.0) for n in range(8)]
    together = panel.costs(levels)
    assert together == pytest.approx(simulate_nodes(problem, policy_of(problem, levels), panel.scenarios).node_cost)
    few = [1, 2, 4, 5]
    assert np.array_equal(panel.part(np.array(few)).costs([levels[n] for n in few]), together[:, few])


def test_regularity_is_that_of_the_table_of_demand_classes() -> None:
    rng = np.random.default_rng(1)
    for units in ((rng.random(90) < 0.4) * rng.integers(1, 9, 90), [0, 0, 3, 0], [0] * 5):
        sizes = np.asarray(units, dtype=np.float64)
        frame = pd.DataFrame({"item": "x", "location": "y", "period": range(len(sizes)), "quantity": sizes})
        row = classify(frame).to_dict("records")[0]
        adi, cv2 = regularity(sizes)
        assert pattern_of(adi, cv2) == row["pattern"]
        if sizes.any():
            assert (adi, cv2) == pytest.approx((row["adi"], row["cv2"]))


def history(*series: list[float], **more: object) -> Problem:
    laws = ({"law": "empirical", "values": values, **more} for values in series)
    return item_locations(*({"demand": law, "lead_time": 2} for law in laws), periods=300)


def values_of(problem: Problem) -> tuple[float, ...]:
    (law,) = problem.network.laws
    assert isinstance(law, Empirical)
    return law.values


def test_a_history_is_classified_as_it_was_recorded_and_judged_on_its_later_part() -> None:
    rng = np.random.default_rng(4)
    early, late = rng.poisson(3, 300), rng.poisson(9, 100)
    problem = history([*early.tolist(), *late.tolist()])
    first, last = split_history(problem)
    assert [len(values_of(one)) for one in (first, last)] == [300, 100]
    (item,) = policy_selection(problem, scenarios=few(problem)).items
    assert item.adi == 400 / np.count_nonzero([*early, *late])
    (hoped,), (met,) = (policy_selection(first, judged_on=judge, scenarios=few(first)).items for judge in (first, last))
    assert hoped.parameters == met.parameters
    assert met.cost > 3 * hoped.cost  # demand has trebled, which no resample of its past could tell


def test_both_parts_of_a_history_start_on_the_same_weekday() -> None:
    problem = history([float(t % 7) for t in range(70)], align=7, block=7)
    first, last = split_history(problem, share=0.55)
    assert [values_of(one)[0] for one in (first, last)] == [0.0, 0.0]
    assert [len(values_of(one)) for one in (first, last)] == [35, 35]


def test_the_table_has_a_row_for_each_item() -> None:
    problem = item_locations(*BACKORDERS[:2], {"demand": POISSON}, periods=200)
    best = policy_selection(problem, scenarios=few(problem))
    table = best.table()
    assert table["item"].tolist() == ["a", "b", "c"]
    assert table["rule"].tolist() == [item.rule for item in best.items]
    assert table["cost"].tolist() == [item.cost for item in best.items]
    assert table["reorder"].isna().tolist() == [item.rule not in ("min_max", "reorder_lots") for item in best.items]
    assert "cost_constant_order" not in table  # nobody was offered it
    assert not table["margin"].isna().any()


def test_a_plan_repeats_itself_and_is_one_policy_for_all() -> None:
    problem = mixed_panel(6)
    plans = [policy_selection_plan(problem, seed=2, scenarios=few(problem)) for _ in range(2)]
    assert plans[0].parameters == plans[1].parameters
    assert len(plans[0].parameters["rules"]) == 6
    found = policy_selection(problem, seed=2, scenarios=few(problem))
    assert [dict(item.parameters) for item in found.items] == plans[0].parameters["levels"]
    assert np.array_equal(found.policy.up_to, plans[1].policy.up_to)  # type: ignore[attr-defined]


def test_the_candidates_of_a_class_can_be_set() -> None:
    problem = item_locations({"demand": POISSON, "fixed_cost": 20.0}, {"demand": SPORADIC, "fixed_cost": 20.0})
    found = policy_selection(problem, candidates={"smooth": ["reorder_lots", "base_stock"]}, scenarios=few(problem))
    assert set(found.items[0].costs) == {"base_stock", "reorder_lots"}
    assert set(found.items[1].costs) == {
        "one_for_one",
        "base_stock",
        "min_max",
        "reorder_lots",
    }  # no lost sales, no cap


@pytest.mark.parametrize(
    ("candidates", "message"),
    [
        ([], "candidates must name at least one rule for smooth demand, got ()"),
        (["base_stok"], "got 'base_stok'; did you mean 'base_stock'?"),
        ({"smoth": ["base_stock"]}, "got 'smoth'; did you mean 'smooth'?"),
        ({"lumpy": []}, "candidates must name at least one rule for lumpy demand, got []"),
        ("base_stock", "candidates must be a list of rules, got 'base_stock'"),
        (
            ["constant_order", "min_max"],
            "candidates must name a rule that applies to a, got constant_order, min_max: it has backorders and no "
            "cost or least size of an order",
        ),
    ],
)
def test_candidates_that_cannot_be_are_refused(candidates: Candidates, message: str) -> None:
    with pytest.raises(MethodError) as error:
        policy_selection_plan(item_locations({"demand": POISSON}, periods=120), candidates=candidates)
    assert message in str(error.value)


@pytest.mark.parametrize(
    ("problem_id", "message"),
    [
        ("echelon/Serial-v0", "policy_selection needs item-locations without links between them (got "),
        ("echelon/DualSourcing-v0", "policy_selection needs one supply link for each node (got 2 into "),
    ],
)
def test_networks_that_are_no_item_locations_are_refused(problem_id: str, message: str) -> None:
    with pytest.raises(MethodError) as error:
        policy_selection_plan(make_problem(problem_id))
    assert str(error.value).startswith(message)


def test_nodes_without_customers_and_shared_resources_are_refused() -> None:
    network = item_locations({"demand": POISSON}, {"demand": POISSON}).network
    idle = network.model_copy(
        update={"nodes": (network.nodes[0], network.nodes[1].model_copy(update={"demand": None}))}
    )
    with pytest.raises(MethodError, match=r"policy_selection needs customers at every node \(got none at b\)"):
        policy_selection(Problem("idle", idle))
    data = network.model_dump() | {"resources": [{"name": "shelf", "kind": "storage", "capacity": 9, "members": ["a"]}]}
    with pytest.raises(MethodError, match=r"needs item-locations that share no resource \(got shelf\)"):
        policy_selection(Problem("shelf", Network.from_dict(data)))


def test_shares_parts_and_judges_that_cannot_be_are_refused() -> None:
    problem = history([1.0, 2.0, 3.0, 4.0], block=2)
    with pytest.raises(MethodError, match="share must be greater than 0 and less than 1, got 1"):
        split_history(problem, share=1.0)
    with pytest.raises(MethodError, match=r"as long as a block, 2 of 4 periods, got 0\.9"):
        split_history(problem, share=0.9)
    with pytest.raises(MethodError, match=r"needs a demand history at every node \(got none at a\)"):
        split_history(item_locations({"demand": POISSON}))
    with pytest.raises(MethodError, match="judged_on must have the nodes and links of the problem"):
        policy_selection(problem, judged_on=item_locations({"demand": POISSON, "lead_time": 3}))
    with pytest.raises(MethodError, match="within must be a finite number of at least 0, got -1"):
        policy_selection(problem, within=-1.0)


def test_an_item_location_alone_is_a_panel_of_one() -> None:
    problem = replace(make_problem("echelon/LostSales-v0"), periods=400)
    plan = policy_selection_plan(problem, scenarios=few(problem, 64))
    assert plan.parameters["rules"] == ["capped_base_stock"]
    assert isinstance(items_of(problem, few(problem))[0], Item)
