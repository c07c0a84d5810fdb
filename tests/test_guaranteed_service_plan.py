"""The guaranteed-service model in the engine: what it promises is kept, and what it costs is simulated."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from math import sqrt
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import ndtri

from echelon.baselines import base_stock
from echelon.baselines.guaranteed_service import GuaranteedService, guaranteed_service
from echelon.baselines.guaranteed_service_plan import guaranteed_service_plan
from echelon.baselines.network_stages import order_up_to_levels, stages_of
from echelon.baselines.stage_network import StageNetwork
from echelon.envs.catalogue import make_problem
from echelon.envs.errors import MethodError
from echelon.envs.network import OUTSIDE, Network, topological_order
from echelon.envs.policy import order_up_to
from echelon.envs.problem import Problem
from echelon.envs.scenarios import Scenarios, sample
from echelon.envs.simulate import simulate

Floats = NDArray[np.float64]
Row = dict[str, Any]

LEVEL = 0.9
PERIODS = 40
"""Periods with demand; before them everything comes to rest."""
ROUNDING = 1e-6
POISSON = {"law": "poisson", "mean": 6.0}
NORMAL = {"law": "normal", "mean": 100.0, "sd": 20.0}


class Promised(NamedTuple):
    """A network and the outbound service time of every node."""

    network: Network
    service_times: dict[str, int]

    @property
    def stages(self) -> StageNetwork:
        """Without pooling, so that a bound on the demand of every outlet bounds that of every stage."""
        return stages_of(self.network, service_level=LEVEL).model_copy(update={"pooling": 1.0})

    @property
    def levels(self) -> list[float]:
        return order_up_to_levels(self.network, self.stages, self.service_times)


def network_of(nodes: list[Row], links: list[Row], **more: Any) -> Network:
    return Network.from_dict({"nodes": nodes, "links": links, **more})


@st.composite
def promised_networks(draw: st.DrawFn) -> Promised:
    """A tree in which any node may assemble, distribute and have customers, with service times that can be kept.

    Now and then a link more makes it a network that is no tree.

    Nodes serve first come, first served, and the receivers of a node have one order delay: with other rules the
    goods that are there in time can go to a receiver whose turn it is not. A node with customers and receivers
    promises 0 to both.
    """
    count = draw(st.integers(1, 6))
    upstream_first = draw(st.permutations(range(count)))
    ends = [(k, draw(st.integers(0, k - 1))) for k in range(1, count)]
    if count > 2 and draw(st.integers(0, 3)) == 0:
        ends.append((count - 1, draw(st.integers(0, count - 2))))
    pairs = sorted({tuple(sorted(pair, key=upstream_first.index)) for pair in ends})
    sources = {source for source, _ in pairs}
    delay = [draw(st.integers(0, 2)) for _ in range(count)]
    nodes: list[Row] = []
    for k in range(count):
        node: Row = {"name": f"n{k}", "allocation": "first_come", "processing_time": draw(st.integers(0, 2))}
        node["holding_cost"] = draw(st.sampled_from([1.0, 2.0, 5.0]))
        if k not in sources or draw(st.integers(0, 3)) == 0:
            node["demand"] = draw(st.sampled_from([POISSON, {"law": "poisson", "mean": 2.0}]))
        nodes.append(node)
    links = [
        {"source": f"n{source}", "target": f"n{target}", "order_delay": delay[source], **draw(lanes())}
        for source, target in pairs
    ]
    supplied = {target for _, target in pairs}
    links += [
        {"target": f"n{k}", "order_delay": draw(st.integers(0, 1)), **draw(lanes())}
        for k in range(count)
        if k not in supplied or draw(st.integers(0, 3)) == 0
    ]
    network = network_of(nodes, links, units=draw(st.sampled_from(["whole", "continuous"])))
    return Promised(network, draw(service_times(network)))


def lanes() -> st.SearchStrategy[Row]:
    return st.fixed_dictionaries({"lead_time": st.integers(0, 3), "quantity": st.sampled_from([1.0, 2.0])})


@st.composite
def service_times(draw: st.DrawFn, network: Network) -> dict[str, int]:
    """Any service times with net replenishment times of at least 0, up to 2 for customers."""
    sources = {link.source for link in network.links}
    times: dict[str, int] = {}
    for name in topological_order(network):
        node = network.nodes[network.index[name]]
        wait = node.processing_time + max(
            shipped_after(network, times, e) + link.lead_times[0]
            for e, link in enumerate(network.links)
            if link.target == name
        )
        most = wait if node.demand is None else 0 if name in sources else min(2, wait + 1)
        times[name] = draw(st.sampled_from([0, most]) | st.integers(0, most))
    return times


def shipped_after(network: Network, times: Mapping[str, int], e: int) -> int:
    """Periods from when an order is placed on a link until it must have been shipped."""
    link = network.links[e]
    return link.order_delay if link.source == OUTSIDE else max(times[link.source], link.order_delay)


def within_the_bound(wanted: Floats, mean: float, spread: float, *, whole: bool) -> Floats:
    """Demand [T], as much of what is wanted [T] as keeps every window of w periods within mu w + z sigma sqrt(w)."""
    windows = np.arange(1, len(wanted) + 1)
    bound = mean * windows + spread * np.sqrt(windows)
    demand = np.zeros(len(wanted))
    for t, most in enumerate(wanted):
        before = np.concatenate([[0.0], np.cumsum(demand[:t][::-1])])
        room = max(float((bound[: t + 1] - before).min()), 0.0)
        demand[t] = np.floor(min(most, room) + 1e-9) if whole else min(most, room)
    return demand


def bounded_paths(network: Network, seed: int, paths: int = 4) -> Scenarios:
    """Rest, then demand that hugs the bound: from the first period on, and after idle times of any length."""
    rng = np.random.default_rng(seed)
    rest = sum(link.lead_times[0] + link.order_delay for link in network.links) + sum(
        node.processing_time for node in network.nodes
    )
    demand = np.zeros((paths, rest + PERIODS, len(network.outlets)))
    for b in range(paths):
        shared = np.where(rng.random(PERIODS) < 0.3, np.inf, 0.0)
        for c, law in enumerate(network.laws):
            wanted = np.full(PERIODS, np.inf) if b == 0 else np.maximum(shared, 20 * rng.random(PERIODS) * (b - 1))
            spread = float(ndtri(LEVEL)) * law.sd_demand
            demand[b, rest:, c] = within_the_bound(wanted, law.mean_demand, spread, whole=network.whole_units)
    return Scenarios(demand=demand)


def lateness(promised: Promised, levels: list[float], scenarios: Scenarios) -> dict[str, float]:
    """The most units that were due and not delivered at any time: by link from a node, and by outlet."""
    network, times = promised
    problem = Problem("promise", network, periods=scenarios.periods, warm_up=0)
    trace = simulate(problem, order_up_to(network, levels), scenarios, trace=True).trace
    assert trace is not None
    late = {}
    for e, link in enumerate(network.links):
        if link.source != OUTSIDE:
            after = shipped_after(network, times, e)
            late[link.label] = _behind(trace.ordered[:, :, e], trace.shipped[:, :, e], after)
    for c, node in enumerate(network.outlets):
        late[node.name] = _behind(trace.demand[:, :, c], trace.delivered[:, :, c], times[node.name])
    return late


def _behind(asked: Floats, given: Floats, after: int) -> float:
    """Over the periods with demand: the first fill of the base stocks is no demand within the bound."""
    due = np.cumsum(asked, axis=1)[:, : asked.shape[1] - after]
    return float((due - np.cumsum(given, axis=1)[:, after:])[:, -PERIODS:].max())


@settings(max_examples=40, deadline=None)
@given(promised=promised_networks(), seed=st.integers(0, 99))
def test_every_service_time_is_kept_in_every_period_while_demand_is_within_its_bound(
    promised: Promised, seed: int
) -> None:
    late = lateness(promised, promised.levels, bounded_paths(promised.network, seed))
    assert max(late.values()) <= ROUNDING, late


def serial_example(times: tuple[int, int, int]) -> Promised:
    nodes: list[Row] = [{"name": "a"}, {"name": "b", "processing_time": 1}, {"name": "c", "demand": POISSON}]
    links = [
        {"target": "a", "lead_time": 2},
        {"source": "a", "target": "b", "lead_time": 1, "quantity": 2.0},
        {"source": "b", "target": "c", "lead_time": 1},
    ]
    return Promised(network_of(nodes, links, units="continuous"), dict(zip("abc", times, strict=True)))


def assembly_example(times: tuple[int, int, int]) -> Promised:
    """Two parts, one of which has a longer way to the product."""
    nodes: list[Row] = [{"name": "a"}, {"name": "b"}, {"name": "c", "demand": POISSON}]
    links = [
        {"target": "a", "lead_time": 1},
        {"target": "b", "lead_time": 1},
        {"source": "a", "target": "c", "lead_time": 1},
        {"source": "b", "target": "c", "lead_time": 3},
    ]
    return Promised(network_of(nodes, links, units="continuous"), dict(zip("abc", times, strict=True)))


def distribution_example(times: tuple[int, int, int], allocation: str = "first_come", delay: int = 0) -> Promised:
    nodes: list[Row] = [
        {"name": "a", "allocation": allocation},
        {"name": "b", "demand": POISSON, "priority": 1},
        {"name": "c", "demand": {"law": "poisson", "mean": 3.0}},
    ]
    links = [
        {"target": "a", "lead_time": 3},
        {"source": "a", "target": "b", "lead_time": 1, "order_delay": delay},
        {"source": "a", "target": "c", "order_delay": delay},
    ]
    return Promised(network_of(nodes, links, units="continuous"), dict(zip("abc", times, strict=True)))


@pytest.mark.parametrize(
    ("promised", "link", "who"),
    [
        (serial_example((0, 0, 0)), 0, "a -> b"),
        (serial_example((0, 0, 0)), 1, "b -> c"),
        (serial_example((0, 0, 0)), 2, "c"),
        (serial_example((1, 0, 0)), 0, "a -> b"),
        (serial_example((2, 2, 0)), 1, "b -> c"),
        (serial_example((2, 4, 2)), 2, "c"),
        (assembly_example((0, 0, 0)), 2, "c"),
        (assembly_example((0, 0, 0)), 3, "c"),
        (assembly_example((1, 1, 1)), 2, "c"),
        (distribution_example((0, 0, 0)), 0, "a -> b"),
        (distribution_example((2, 0, 0)), 0, "a -> b"),
        (distribution_example((3, 0, 0)), 1, "b"),
        (distribution_example((2, 0, 0), delay=1), 0, "a -> b"),
        (distribution_example((2, 0, 0), delay=2), 1, "b"),
    ],
)
def test_base_stock_for_a_hundredth_of_a_unit_less_is_late_on_demand_at_its_bound(
    promised: Promised, link: int, who: str
) -> None:
    scenarios = bounded_paths(promised.network, seed=0)
    levels = promised.levels
    assert levels[link] > 0
    assert max(lateness(promised, levels, scenarios).values()) <= ROUNDING
    levels[link] -= 0.01 * promised.network.links[link].quantity
    assert lateness(promised, levels, scenarios)[who] == pytest.approx(0.01)


@pytest.mark.parametrize("allocation", ["priority", "proportional", "balance"])
def test_a_promise_above_0_to_several_receivers_needs_first_come_first_served(allocation: str) -> None:
    for times in ((0, 0, 0), (3, 0, 0)):
        promised = distribution_example(times, allocation)
        late = lateness(promised, promised.levels, bounded_paths(promised.network, seed=0))
        assert (max(late.values()) > 1) == (times[0] > 0)


def test_without_its_base_stock_at_the_start_a_stage_is_late() -> None:
    promised = serial_example((0, 0, 0))
    scenarios = bounded_paths(promised.network, seed=0)
    at_once = Scenarios(demand=scenarios.demand[:, -PERIODS:])
    assert lateness(promised, promised.levels, at_once)["c"] > 10


def solved(read: StageNetwork, outbound: Mapping[str, int] | None = None) -> GuaranteedService:
    return guaranteed_service(read, outbound=outbound)


@settings(max_examples=15, deadline=None)
@given(promised=promised_networks())
def test_the_level_of_the_slowest_component_is_the_base_stock_of_the_stage(promised: Promised) -> None:
    network = promised.network.model_copy(update={"units": "continuous"})
    read = stages_of(network, service_level=LEVEL)
    best = solved(read)
    levels = order_up_to_levels(network, read, best.service_times)
    for name, j in read.index.items():
        if read.stages[read.index[name]].holds_stock is False:
            assert best.net_replenishment_time[j] == 0 == best.stage_cost[j]
            continue
        into = [e for e, link in enumerate(network.links) if link.target == name]
        most = max(levels[e] / network.links[e].quantity for e in into)
        receivers = best.base_stock[j] - most if read.stages[j].has_customers else 0.0
        assert most + receivers == pytest.approx(best.base_stock[j])
        if receivers:
            own = read.stages[j].demand_mean
            tau = best.net_replenishment_time[j]
            assert receivers == pytest.approx((best.base_stock[j] - best.safety_stock[j]) / tau - own)


def test_links_of_different_lengths_become_stages_in_between() -> None:
    nodes: list[Row] = [{"name": "a"}, {"name": "b"}, {"name": "c", "processing_time": 1, "demand": POISSON}]
    links = [
        {"target": "a", "lead_time": 5},
        {"target": "b", "lead_time": 1, "order_delay": 2},
        {"source": "a", "target": "c", "lead_time": 1, "quantity": 3.0, "order_delay": 1},
        {"source": "b", "target": "c", "lead_time": 4, "order_delay": 2},
        {"target": "c", "lead_time": 2, "component": "box"},
    ]
    read = stages_of(network_of(nodes, links), service_level=0.975)
    assert {stage.name for stage in read.stages if stage.holds_stock is False} == {"b -> c"}
    a, b, c, between = read.stages
    assert (a.stage_time, b.stage_time, between.stage_time) == (5, 3, 3)
    assert (c.stage_time, c.suppliers, c.inbound_service_time) == (1 + 1 + 1, {"a": 3.0, "b -> c": 1.0}, 1)
    assert (between.suppliers, between.inbound_service_time) == ({"b": 1.0}, 2)
    assert (c.demand_mean, c.demand_sd) == (6.0, sqrt(6.0))
    assert c.z == pytest.approx(1.959964)


def test_a_random_lead_time_makes_the_stage_time_random() -> None:
    nodes: list[Row] = [{"name": "a", "holding_cost": 1.0, "processing_time": 1}]
    nodes.append({"name": "b", "holding_cost": 2.0, "demand": NORMAL})
    random = {"values": (4, 1, 4, 2), "probabilities": (0.25, 0.5, 0.25, 0.0)}
    links: list[Row] = [{"target": "a", "lead_time": random}, {"source": "a", "target": "b", "lead_time": 1}]
    network = network_of(nodes, links)
    read = stages_of(network, service_level=LEVEL)
    assert read.stages[0].stage_time == {2.0: 0.5, 5.0: 0.5}
    for promise in (0, 3):
        best = solved(read, {"a": promise})
        levels = order_up_to_levels(network, read, best.service_times)
        assert levels == pytest.approx(best.base_stock.tolist())
    expected, variance = 1.0, 1.0  # of (T - 3)+, which is 0 or 2
    assert levels[0] == pytest.approx(
        100 * expected + ndtri(LEVEL) * sqrt(400 * expected + 100**2 * variance), rel=1e-4
    )


def chain(*, holding_cost: tuple[float, float] = (1.0, 2.0), stockout_cost: float = 38.0) -> Problem:
    nodes: list[Row] = [
        {"name": "a", "holding_cost": holding_cost[0]},
        {"name": "b", "holding_cost": holding_cost[1], "stockout_cost": stockout_cost, "demand": NORMAL},
    ]
    links: list[Row] = [{"target": "a", "lead_time": 3}, {"source": "a", "target": "b", "lead_time": 1}]
    return Problem("chain", network_of(nodes, links), periods=1_100, warm_up=100)


class Measured(NamedTuple):
    """Means over replications with their standard errors."""

    alpha: tuple[float, float]
    net_stock: tuple[float, float]
    """On hand less backorders of the last node."""


@cache
def measured(times: tuple[int, int], bound_upstream: float | None = None) -> Measured:
    """The chain at a service level of 0.95, over 11 million node-periods."""
    problem = chain()
    stages = stages_of(problem.network, service_level=0.95).with_stages({"a": {"demand_bound": bound_upstream}})
    levels = order_up_to_levels(problem.network, stages, dict(zip("ab", times, strict=True)))
    scenarios = sample(problem.network, periods=1_100, replications=5_000, seed=3)
    outcome = simulate(problem, order_up_to(problem.network, levels), scenarios)
    net = outcome.per_period["on_hand"][:, -1] - outcome.per_period["backorders"][:, 0]
    return Measured(*((float(x.mean()), float(x.std() / sqrt(len(x)))) for x in (outcome.alpha, net)))


@pytest.mark.parametrize(("times", "bound_upstream"), [((3, 0), None), ((0, 0), 1e4)])
def test_where_supply_never_fails_alpha_service_is_the_service_level_and_net_stock_the_safety_stock(
    times: tuple[int, int], bound_upstream: float | None
) -> None:
    alpha, net_stock = measured(times, bound_upstream)
    safety = float(ndtri(0.95)) * 20 * sqrt(times[0] + 2)
    assert abs(alpha[0] - 0.95) < 3 * alpha[1] < 1e-3
    assert abs(net_stock[0] - safety) < 3 * net_stock[1] < 0.01 * safety


def test_where_supply_fails_beyond_its_bound_and_is_backordered_alpha_service_is_less() -> None:
    alpha, net_stock = measured((0, 0))
    assert 0.92 < alpha[0] < 0.95 - 10 * alpha[1]
    assert net_stock[0] < float(ndtri(0.95)) * 20 * sqrt(2) - 10 * net_stock[1]


def test_a_quick_component_that_is_ordered_up_to_less_costs_less_and_gives_the_same_service() -> None:
    node: Row = {"name": "plant", "holding_cost": 2.0, "stockout_cost": 20.0, "demand": NORMAL}
    links: list[Row] = [
        {
            "name": component,
            "target": "plant",
            "component": component,
            "lead_time": periods,
            "transit_holding_cost": 1.0,
        }
        for component, periods in (("slow", 5), ("quick", 0))
    ]
    problem = Problem("plant", network_of([node], links), periods=600, warm_up=100)
    levels = guaranteed_service_plan(problem, service_level=0.95).parameters["levels"]
    scenarios = sample(problem.network, periods=600, replications=100, seed=3)
    own = simulate(problem, order_up_to(problem.network, levels), scenarios)
    same = simulate(problem, order_up_to(problem.network, [max(levels)] * 2), scenarios)
    assert levels == pytest.approx([600 + ndtri(0.95) * 20 * sqrt(6), 100 + ndtri(0.95) * 20], rel=1e-4)
    assert own.cost.mean() < 0.6 * same.cost.mean()
    assert own.alpha.mean() == pytest.approx(same.alpha.mean(), abs=0.05)


TAKEN = {"Serial": (1.02, 1.06), "OneWarehouse": (1.02, 1.08), "Assembly": (1.0, 1.04), "BeerGame": (1.0, 1.15)}
"""Catalogued problems, with the bounds of the cost as a share of that of base stocks which are tuned one by one."""


def catalogued(name: str, periods: int = 400) -> Problem:
    demand = {"demand": POISSON} if name == "BeerGame" else {}
    return make_problem(f"echelon/{name}-v0", periods=periods, warm_up=100, **demand)


@pytest.mark.parametrize("name", TAKEN)
def test_the_tuned_plan_costs_little_more_than_base_stocks_tuned_one_by_one(name: str) -> None:
    problem = catalogued(name)
    tuning = sample(problem.network, periods=400, replications=100, seed=0, stream="tuning")
    fresh = sample(problem.network, periods=400, replications=500, seed=1)
    plan, tuned = guaranteed_service_plan(problem, scenarios=tuning), base_stock(problem, scenarios=tuning)
    cost, best = (simulate(problem, x.policy, fresh).cost for x in (plan, tuned))
    low, high = TAKEN[name]
    assert low < cost.mean() / best.mean() < high
    assert plan.model_cost is None
    assert not plan.optimal
    for level in (0.8, 0.9, 0.95, 0.99):
        given_level = guaranteed_service_plan(problem, service_level=level)
        at = simulate(problem, given_level.policy, tuning).cost.mean()
        assert simulate(problem, plan.policy, tuning).cost.mean() < 1.002 * at
        assert given_level.parameters["service_times"] == plan.parameters["service_times"]


def test_the_parameters_tell_service_times_levels_placement_and_cost() -> None:
    plan = guaranteed_service_plan(chain(), service_level=0.975)
    z = float(ndtri(0.975))
    assert plan.parameters["service_times"] == {"a": 3, "b": 0}
    assert plan.parameters["levels"] == pytest.approx([0.0, 500 + z * 20 * sqrt(5)], rel=1e-4)
    assert plan.parameters["service_level"] == pytest.approx({"b": 0.975})
    assert plan.parameters["placement"] == ["b"]
    assert plan.parameters["safety_stock_cost"] == pytest.approx(2 * z * 20 * sqrt(5), rel=1e-4)
    assert "Graves and S. P. Willems" in plan.citation


def test_without_a_service_level_outlets_have_their_critical_ratios() -> None:
    costs = [(1.0, 9.0), (9.0, 1.0), (0.0, 1.0)]
    nodes = [
        {"name": f"n{k}", "holding_cost": h, "stockout_cost": p, "demand": POISSON} for k, (h, p) in enumerate(costs)
    ]
    network = network_of(nodes, [{"target": f"n{k}"} for k in range(3)])
    assert [stage.z for stage in stages_of(network).stages] == pytest.approx([ndtri(x) for x in (0.9, 0.51, 0.9999)])
    free = network.model_copy(update={"nodes": (network.nodes[0].model_copy(update={"stockout_cost": 0.0}),)})
    with pytest.raises(MethodError, match="guaranteed_service needs a stockout_cost at n0, or a service_level"):
        stages_of(free.model_copy(update={"links": network.links[:1]}))


def test_demand_that_does_not_vary_or_is_0_needs_no_safety_stock() -> None:
    nodes: list[Row] = [
        {"name": "a", "holding_cost": 1.0},
        *(
            {
                "name": name,
                "holding_cost": 2.0,
                "stockout_cost": 9.0,
                "demand": {"law": "deterministic", "values": (d,)},
            }
            for name, d in (("b", 3.0), ("c", 0.0))
        ),
    ]
    links: list[Row] = [{"target": "a", "lead_time": 2}, *({"source": "a", "target": x, "lead_time": 1} for x in "bc")]
    problem = Problem("constant", network_of(nodes, links), periods=60, warm_up=20)
    plan = guaranteed_service_plan(problem)
    after = plan.parameters["service_times"]["a"]
    assert plan.parameters["levels"] == [3.0 * (2 - after), 3.0 * (after + 2), 0.0]
    assert plan.parameters["placement"] == []
    assert simulate(problem, plan.policy, sample(problem.network, periods=60, replications=1, seed=0)).cost == [0.0]


REFUSED = {
    "SingleLocation": "no fixed cost per order",
    "LostSales": "backorders at every outlet",
    "BeerGame": "demand with the same law in every period",
    "DualSourcing": "one source for every component (got several of 'outside' at 'store')",
    "Perishable": "backorders at every outlet",
    "ConsumerGoods": "backorders at every outlet",
}


@pytest.mark.parametrize("name", REFUSED)
def test_catalogued_problems_outside_the_model_are_refused(name: str) -> None:
    with pytest.raises(MethodError) as refusal:
        guaranteed_service_plan(make_problem(f"echelon/{name}-v0"))
    assert str(refusal.value) == f"guaranteed_service needs {REFUSED[name]}"


CLASSIC = "a network without"
RANDOM = {"values": (1, 2)}


@pytest.mark.parametrize(
    ("store", "link", "rule"),
    [
        ({"capacity": 9.0}, {}, f"{CLASSIC} capacity of node 'store'"),
        ({"shelf_life": 3}, {}, f"{CLASSIC} shelf_life of node 'store'"),
        ({"stockout_rule": 0.5}, {}, "backorders at every outlet"),
        ({}, {"capacity": 9.0}, f"{CLASSIC} capacity of link 'depot -> store'"),
        ({}, {"lot_size": 2.0}, f"{CLASSIC} lot_size of link 'depot -> store'"),
        ({}, {"yield_rate": 0.9}, f"{CLASSIC} yield_rate of link 'depot -> store'"),
        ({}, {"disruption": {"failure": 0.1, "repair": 0.5}}, f"{CLASSIC} disruption of link 'depot -> store'"),
        ({}, {"unfilled": "drop"}, "unfilled internal orders to wait"),
        ({"demand": {**POISSON, "seasonal": (1.0, 2.0)}}, {}, "demand with the same law in every period"),
        (
            {},
            {"lead_time": RANDOM},
            "fixed lead times into a node with several links (got a random one on 'depot -> store')",
        ),
    ],
)
def test_features_outside_the_model_are_refused(store: Row, link: Row, rule: str) -> None:
    nodes: list[Row] = [{"name": "depot"}, {"name": "store", "stockout_cost": 9.0, "demand": POISSON, **store}]
    links: list[Row] = [
        {"target": "depot", "lead_time": 1},
        {"source": "depot", "target": "store", **link},
        {"target": "store", "component": "box"},
    ]
    with pytest.raises(MethodError) as refusal:
        guaranteed_service_plan(Problem("refused", network_of(nodes, links)))
    assert str(refusal.value) == f"guaranteed_service needs {rule}"


def test_discounts_laterals_and_impossible_service_levels_are_refused() -> None:
    discounted = Problem("discounted", chain().network, periods=100, warm_up=0, discount=0.9)
    with pytest.raises(MethodError, match=r"^guaranteed_service needs an average-cost objective \(discount 1\)$"):
        guaranteed_service_plan(discounted)
    stores: list[Row] = [{"name": name, "demand": POISSON} for name in "ab"]
    links: list[Row] = [{"target": "a"}, {"target": "b"}, {"source": "a", "target": "b", "lateral": True}]
    with pytest.raises(
        MethodError, match=r"^guaranteed_service needs a network without lateral links \(got 'a -> b'\)$"
    ):
        stages_of(network_of(stores, links))
    for level in (0.5, 1.0, 1.5, float("nan")):
        with pytest.raises(MethodError, match=rf"^service_level must be above 0.5 and below 1, got {level:g}$"):
            guaranteed_service_plan(chain(), service_level=level)
