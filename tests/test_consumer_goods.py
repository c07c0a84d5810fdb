"""The consumer-goods network: counts, regions, categories and sourcing; and levels that any network can be run with."""

from __future__ import annotations

from collections import Counter
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from scipy import special

from echelon.baselines import make_plan
from echelon.envs.catalogue import make_problem
from echelon.envs.consumer_goods import CATEGORIES, REGIONS, category_of
from echelon.envs.errors import ConfigError, PolicyError
from echelon.envs.levels import base_stock_levels
from echelon.envs.network import Network
from echelon.envs.policy import order_up_to
from echelon.envs.problem import Problem
from echelon.envs.scenarios import sample
from echelon.envs.simulate import Outcome, simulate
from echelon.experiments.config import load_config

Data = dict[str, Any]
TIERS = {"factory": 7, "subcontractor": 12, "mother": 4, "warehouse": 35, "distributor": 1_200}


@cache
def company() -> Problem:
    return make_problem("echelon/ConsumerGoods-v0")


def tier(name: str) -> str:
    return name.split("_", maxsplit=1)[0]


def run(problem: Problem, *, replications: int, trace: bool = False) -> Outcome:
    """Base-stock levels at a service of 95 % on the problem."""
    scenarios = sample(problem.network, periods=problem.periods, replications=replications, seed=2)
    policy = order_up_to(problem.network, base_stock_levels(problem.network))
    return simulate(problem, policy, scenarios, trace=trace)


def test_the_company_has_1258_nodes_and_a_year() -> None:
    names = [node.name for node in company().network.nodes]
    assert len(names) == len(set(names)) == 1_258
    assert Counter(map(tier, names)) == TIERS
    assert (company().periods, company().warm_up) == (365, 60)
    assert company().network.whole_units


def test_every_tier_is_supplied_by_the_one_above_within_its_region() -> None:
    above = {"factory": {"outside"}, "subcontractor": {"outside"}, "mother": {"factory", "subcontractor"},
             "warehouse": {"mother"}, "distributor": {"warehouse"}}  # fmt: skip
    sources = Counter(link.target for link in company().network.links)
    for link in company().network.links:
        assert tier(link.source) in above[tier(link.target)]
        if tier(link.target) in ("warehouse", "distributor"):
            region = link.target.rsplit("_", maxsplit=1)[1]
            assert region in REGIONS
            assert link.source.endswith(region)
            assert sources[link.target] == 1


def test_a_mother_warehouse_asks_its_own_factories_first() -> None:
    for region in REGIONS:
        pool = [link for link in company().network.links if link.target == f"mother_warehouse_{region}"]
        tiers = [tier(link.source) for link in pool]
        own = tiers.count("factory")
        assert 1 <= own <= 2
        assert tiers == ["factory"] * own + ["subcontractor"] * 3
        assert {link.component for link in pool} == {"goods"}
        assert all(link.max_order for link in pool)


def test_each_category_has_its_share_of_the_distributors_and_its_rule_when_out_of_stock() -> None:
    outlets = company().network.outlets
    of = {node.name: category_of(node.name) for node in outlets}
    assert Counter(of.values()) == {category: round(1_200 * category.share) for category in CATEGORIES}
    for node in outlets:
        category = of[node.name]
        assert category is not None
        assert node.stockout_rule == ("lost_sales" if "food" in category.title else "backorder")
        assert bool(node.demand and node.demand.promotions) == (category.name == "ready_to_eat")
        assert node.stockout_cost / (node.stockout_cost + 1) == pytest.approx(category.service, abs=1e-6)
    assert category_of("warehouse_01_north") is None
    # Categories are spread over the warehouses: none is the business of one region.
    assert (
        len(
            {
                (category, node.name.rsplit("_", maxsplit=1)[1])
                for node, category in zip(outlets, of.values(), strict=True)
            }
        )
        == 20
    )


def test_targets_and_bands_of_safety_stock_are_those_of_the_reference_configuration() -> None:
    assert [(category.title, category.service, category.days) for category in CATEGORIES] == [
        ("Tobacco (high sellers)", 0.999, (2, 6)),
        ("Tobacco (low sellers)", 0.999, (6, 10)),
        ("Packaged foods", 0.95, (2, 6)),
        ("Ready-to-eat foods", 0.95, (6, 10)),
        ("Personal care products", 0.99, (2, 6)),
    ]


def test_the_company_is_the_same_for_the_same_seed() -> None:
    small: dict[str, Any] = {"warehouses": 8, "distributors": 40}
    one, again, other = (make_problem("echelon/ConsumerGoods-v0", seed=s, **small).network for s in (1, 1, 2))
    assert one == again
    assert one != other


def test_the_smallest_company_has_five_nodes() -> None:
    counts = dict.fromkeys(("factories", "subcontractors", "mother_warehouses", "warehouses", "distributors"), 1)
    problem = make_problem("echelon/ConsumerGoods-v0", **counts)
    assert len(problem.network.nodes) == 5
    assert run(problem, replications=20).fill_rate.mean() > 0.9


@pytest.mark.parametrize("mothers", [2, 6])
def test_every_source_and_mother_warehouse_has_a_partner(mothers: int) -> None:
    counts = {"mother_warehouses": mothers, "warehouses": 9, "distributors": 20}
    links = make_problem("echelon/ConsumerGoods-v0", factories=3, subcontractors=4, **counts).network.links
    pairs = [(link.source, link.target) for link in links if link.component == "goods"]
    assert len(pairs) == len(set(pairs))
    assert len({source for source, _ in pairs}) == 7
    for kind in ("factory", "subcontractor"):
        assert len({target for source, target in pairs if tier(source) == kind}) == mothers


def test_subcontractors_take_what_the_factories_cannot() -> None:
    problem = make_problem("echelon/ConsumerGoods-v0", warehouses=8, distributors=60, periods=150)
    trace = run(problem, replications=5, trace=True).trace
    assert trace is not None
    links = problem.network.links
    for region in REGIONS:
        pool = [e for e, link in enumerate(links) if link.target == f"mother_warehouse_{region}"]
        for first, then in pairwise(pool):
            asked = trace.ordered[:, :, then] > 0
            assert (trace.ordered[:, :, first][asked] == links[first].max_order).all()
        bought = [e for e in pool if tier(links[e].source) == "subcontractor"]
        assert 0.01 < trace.ordered[:, 60:, bought].sum() / trace.ordered[:, 60:, pool].sum() < 0.3


def test_a_base_stock_rule_serves_the_company_from_the_start() -> None:
    outcome = run(company(), replications=2)
    assert 0.95 < outcome.fill_rate.mean() < 0.995
    sold = outcome.per_period["sold"].mean(axis=0)
    flow = np.array([law.mean_demand for law in company().network.laws])
    assert sold.sum() == pytest.approx(flow.sum(), rel=0.1)


def test_a_category_is_the_same_company_without_the_others() -> None:
    small: Data = {"warehouses": 3, "mother_warehouses": 1, "distributors": 80}
    whole = make_problem("echelon/ConsumerGoods-v0", **small).network
    part = make_problem("echelon/ConsumerGoods-v0", category="personal_care", **small).network
    assert [node for node in whole.nodes if "_personal_care_" in node.name] == list(part.outlets)
    assert len(part.outlets) == 80 * 15 // 100
    assert part.nodes[0] != whole.nodes[0]  # a factory has stock for what is left to sell

    def last_mile(network: Network) -> list[Any]:
        return [link for link in network.links if "_personal_care_" in link.target]

    assert last_mile(part) == last_mile(whole)
    flow = sum(law.mean_demand for law in part.laws)
    own = [link.max_order for link in part.links if tier(link.source) == "factory"]
    assert sum(most or 0 for most in own) == pytest.approx(flow, abs=len(own))


def test_a_category_leaves_no_warehouse_without_distributors() -> None:
    with pytest.raises(ConfigError) as error:
        make_problem("echelon/ConsumerGoods-v0", category="personal_care", warehouses=8, distributors=8)
    assert str(error.value) == (
        "distributors must leave every warehouse one that trades personal_care "
        "(got 7 of 8 warehouses without, of 8 distributors)"
    )
    with pytest.raises(ConfigError) as error:
        make_problem("echelon/ConsumerGoods-v0", category="tobaco_high")
    assert str(error.value) == (
        "category must be that of a distributor (got 'tobaco_high'); did you mean 'tobacco_high'?"
    )


def test_with_single_sources_the_company_is_a_tree_without_limits() -> None:
    network = make_problem("echelon/ConsumerGoods-v0", single_source=True, category="tobacco_low").network
    whole = company().network
    sources = Counter(link.target for link in network.links)
    assert set(sources.values()) == {1}
    assert sources.keys() == {node.name for node in network.nodes}
    assert not any(link.max_order or link.unit_cost or link.component for link in network.links)
    for region in REGIONS:
        first, *_ = (link for link in whole.links if link.target == f"mother_warehouse_{region}")
        (only,) = (link for link in network.links if link.target == f"mother_warehouse_{region}")
        assert (only.source, only.lead_time) == (first.source, first.lead_time)


def test_without_a_calendar_every_day_is_alike() -> None:
    plain = make_problem("echelon/ConsumerGoods-v0", calendar=False).network
    assert all(law.stationary for law in plain.laws)
    for law, other in zip(plain.laws, company().network.laws, strict=True):
        assert law == other.model_copy(update={"seasonal": (), "promotions": ()})


@pytest.mark.parametrize(
    "name", ["base_stock", "assp", "dynamic_stock", "drp", "ddmrp", "guaranteed_service", "multistage"]
)
def test_theory_and_practice_meet_on_one_category_without_calendar_and_choices_of_sources(name: str) -> None:
    counts = {"distributors": 40, "warehouses": 2, "mother_warehouses": 1, "factories": 1, "subcontractors": 1}
    plain: Data = {"category": "personal_care", "single_source": True, "calendar": False}
    problem = make_problem("echelon/ConsumerGoods-v0", periods=120, **counts, **plain)
    scenarios = sample(problem.network, periods=120, replications=50, seed=2)
    options: Data = {"scenarios": scenarios[:20]} if name != "multistage" else {}
    outcome = simulate(problem, make_plan(name, problem, **options).policy, scenarios)
    assert outcome.fill_rate.mean() > 0.95


def test_the_shipped_comparison_is_a_tree_of_seventeen_nodes_on_which_its_baselines_apply() -> None:
    (section,) = load_config("consumer_goods.yaml").problems.values()
    assert len(section.problem.network.nodes) == len(section.problem.network.links) == 17
    baselines = {policy.baseline for policy in section.policies.values() if policy.baseline}
    assert baselines == {"base_stock", "assp", "dynamic_stock", "guaranteed_service", "multistage"}
    for name in baselines - {"base_stock"}:
        assert make_plan(name, section.problem).parameters


def levels(nodes: list[Data], links: list[Data], **options: Any) -> list[float]:
    return base_stock_levels(Network.from_dict({"nodes": nodes, "links": links, "units": "continuous"}), **options)


LAW = {"law": "poisson", "mean": 9.0}


def test_a_level_covers_the_mean_and_a_quantile_of_the_demand_of_lead_time_and_review() -> None:
    z = special.ndtri(0.9)
    store: Data = {"name": "store", "demand": LAW, "processing_time": 1}
    link: Data = {"target": "store", "lead_time": 2, "order_delay": 1}
    (level,) = levels([store], [link], service=0.9, review_period=3)
    assert level == pytest.approx(9 * 7 + z * (9 * 7) ** 0.5)
    network = Network.from_dict({"nodes": [store], "links": [link]})
    assert base_stock_levels(network, service=0.9, review_period=3) == [np.ceil(level)]


def test_a_level_counts_the_units_of_the_component_and_what_spoils() -> None:
    nodes: list[Data] = [{"name": "part"}, {"name": "store", "demand": LAW}]
    links: list[Data] = [
        {"target": "part", "lead_time": 1, "yield_rate": 0.5},
        {"source": "part", "target": "store", "quantity": 3.0},
    ]
    z = special.ndtri(0.95)
    assert levels(nodes, links) == pytest.approx([2 * 54 + z * 18 * 2**0.5, 27 + z * 9])


def test_a_random_lead_time_raises_the_level_by_its_variance() -> None:
    link: Data = {"target": "store", "lead_time": {"values": [1, 3]}}
    (level,) = levels([{"name": "store", "demand": LAW}], [link])
    assert level == pytest.approx(27 + special.ndtri(0.95) * (9 * 3 + 81 * 1) ** 0.5)


def test_sources_after_a_limited_one_have_its_level_and_the_rest_of_its_flow() -> None:
    nodes: list[Data] = [{"name": "own"}, {"name": "other"}, {"name": "store", "demand": LAW}]
    pool = {"target": "store", "component": "goods"}
    links: list[Data] = [
        {"target": "own"},
        {"target": "other"},
        {"source": "own", "lead_time": 1, "max_order": 6.0, **pool},
        {"source": "other", "lead_time": 3, "max_order": 12.0, **pool},
    ]
    z = special.ndtri(0.95)
    level = 36 + z * 6
    assert levels(nodes, links) == pytest.approx([6 + z * 3**0.5, 3 + z * 6**0.5, level, level])
    unlimited = [{key: value for key, value in link.items() if key != "max_order"} for link in links]
    assert levels(nodes, unlimited)[2:] == pytest.approx([18 + z * 18**0.5, level])


def test_lateral_links_have_no_level_and_the_service_must_be_a_probability() -> None:
    nodes: list[Data] = [{"name": name, "demand": LAW} for name in ("a", "b")]
    links: list[Data] = [{"target": "a"}, {"target": "b"}, {"source": "a", "target": "b", "lateral": True}]
    assert levels(nodes, links)[2] == 0
    for service in (0.0, 1.0, 1.5):
        with pytest.raises(PolicyError, match=rf"service must be above 0 and below 1 \(got {service}\)"):
            levels(nodes, links, service=service)
