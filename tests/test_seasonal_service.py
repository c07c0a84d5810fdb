"""Constant service times under demand that changes with the calendar (Graves and Willems 2008)."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from echelon.baselines.guaranteed_service import guaranteed_service
from echelon.baselines.seasonal_service import (
    SeasonalDemand,
    SeasonalGuaranteedService,
    over_windows,
    seasonal_service,
)
from echelon.baselines.stage_network import StageNetwork
from echelon.envs.errors import MethodError

Floats = NDArray[np.float64]

QUIET_AND_BUSY = {"shop": SeasonalDemand(mean=[10, 20], sd=[0, 5])}


def two_stages(**shop: Any) -> StageNetwork:
    stages = [
        {"name": "part", "stage_time": 1, "holding_cost": 1.0},
        {"name": "shop", "stage_time": 1, "holding_cost": 2.0, "suppliers": ["part"]},
    ]
    stages[1] |= {"demand_mean": 15.0, "demand_sd": math.sqrt(12.5), "safety_factor": 1.0} | shop
    return StageNetwork.from_dict({"stages": stages})


def tree_and_more(rng: np.random.Generator, pooling: float, *, whole: bool = True) -> StageNetwork:
    """Two parts, a module of both, and two shops, one of which also takes a part directly."""

    def time() -> float:
        return float(rng.integers(0, 3)) if whole else float(rng.choice([0.0, 0.5, 1.25, 2.0]))

    sells: dict[str, Any] = {"demand_mean": 20.0, "demand_sd": 4.0, "safety_factor": 1.5}
    stages: list[dict[str, Any]] = [
        {"name": "bolt", "stage_time": time() + 1},
        {"name": "gear", "stage_time": time()},
        {"name": "module", "stage_time": time(), "suppliers": {"bolt": 2, "gear": 1}},
        {"name": "east", "stage_time": time(), "suppliers": {"module": 1}, **sells},
        {"name": "west", "stage_time": time(), "suppliers": {"module": 2, "gear": 1}, **sells, "service_time": 1},
    ]
    for stage in stages:
        stage["holding_cost"] = float(rng.uniform(0.2, 3))
    return StageNetwork.from_dict({"stages": stages, "pooling": pooling})


def two_seasons(rng: np.random.Generator, periods: int) -> dict[str, SeasonalDemand]:
    return {
        shop: SeasonalDemand(mean=rng.uniform(10, 40, periods).tolist(), sd=rng.uniform(0, 6, periods).tolist())
        for shop in ("east", "west")
    }


def test_two_stages_and_two_periods_are_worked_by_hand() -> None:
    """z = 1: over 1 period SS is 5 or 0, over 2 periods 5. With S = 0 both stages cover 1 period, with S = 1 the
    shop covers 2: 2.5 (1 + 2) = 7.5 against 5 * 2 = 10. Demand that is as variable on the average, sd^2 = 12.5,
    would say 3.54 * 3 = 10.6 against 5 * 2 = 10, and choose S = 1, which costs a third more here."""
    network = two_stages()
    best = seasonal_service(network, QUIET_AND_BUSY)
    assert best.service.service_times == {"part": 0, "shop": 0}
    assert best.service.cost == pytest.approx(7.5)
    assert best.service.lower_bound == pytest.approx(7.5)
    assert best.safety_stock == pytest.approx(np.array([[5, 0], [5, 0]]))
    assert best.base_stock == pytest.approx(np.array([[25, 10], [25, 10]]))
    # The shop orders 15 more before the busy period and 15 less in it. The part does so one period ahead of
    # the shop, and for itself in the same period as the shop: the two cancel.
    assert best.order_change == pytest.approx(np.array([[0, 0], [15, -15]]))
    assert best.mean_orders == pytest.approx(np.array([[10, 20], [25, 5]]))
    assert best.service.safety_stock == pytest.approx([2.5, 2.5])
    assert best.service.base_stock == pytest.approx([17.5, 17.5])
    assert best.service.pipeline_stock == pytest.approx([15, 15])
    assert best.service.stage_cost == pytest.approx([2.5, 5])
    on_average = guaranteed_service(network)
    assert on_average.service_times["part"] == 1
    assert on_average.cost == pytest.approx(10)
    kept = seasonal_service(network, QUIET_AND_BUSY, outbound=on_average.service_times)
    assert kept.service.cost == pytest.approx(10)


@pytest.mark.parametrize("pooling", [1.0, 1.5, 2.0])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_constant_demand_is_the_model_of_steady_demand(pooling: float, seed: int) -> None:
    network = tree_and_more(np.random.default_rng(seed), pooling, whole=False)
    steady = guaranteed_service(network)
    constant = {"east": SeasonalDemand([20.0] * 5, [4.0] * 5)}  # west keeps its own
    for demand in (constant, {}):
        found = seasonal_service(network, demand)
        assert found.service.cost == pytest.approx(steady.cost, rel=1e-12)
        assert found.service.service_times == steady.service_times
        for mine, of_steady in (
            (found.service.safety_stock, steady.safety_stock),
            (found.service.base_stock, steady.base_stock),
            (found.service.pipeline_stock, steady.pipeline_stock),
            (found.base_stock[:, -1], steady.base_stock),
        ):
            assert mine == pytest.approx(of_steady, rel=1e-9)
        assert found.order_change == pytest.approx(0.0, abs=1e-9)


def least_cost(network: StageNetwork, demand: dict[str, SeasonalDemand]) -> float:
    """Over all service times; windows period by period, paths one by one."""
    stages = {stage.name: stage for stage in network.stages}
    sd = {shop: np.array(of.sd).tolist() for shop, of in demand.items()}
    periods = np.size(next(iter(demand.values())).mean)

    def units(supplier: str, of: str) -> float:
        if supplier == of:
            return 1.0
        return sum(n * units(supplier, name) for name, n in stages[of].suppliers.items())

    def safety(name: str, tau: float) -> float:
        total = 0.0
        for t in range(periods):
            power = 0.0
            for shop in demand:
                whole = math.floor(tau)
                variance = sum(sd[shop][(t + u) % periods] ** 2 for u in range(1, whole + 1))
                variance += (tau - whole) * sd[shop][(t + whole + 1) % periods] ** 2
                power += (units(name, shop) * (stages[shop].z or 0) * math.sqrt(variance)) ** network.pooling
            total += power ** (1 / network.pooling)
        return total / periods

    def longest(name: str) -> int:
        return max((longest(i) for i in stages[name].suppliers), default=0) + math.floor(stages[name].mean_time)

    table = {
        (name, k): stage.holding_cost * safety(name, k + stage.mean_time % 1)
        for name, stage in stages.items()
        for k in range(longest(name) + 1)
    }
    best = math.inf
    for quotes in itertools.product(*(range(int(min(longest(j), stages[j].longest_service_time)) + 1) for j in stages)):
        outbound = dict(zip(stages, quotes, strict=True))
        steps = {
            name: max((outbound[i] for i in stage.suppliers), default=0) + math.floor(stage.mean_time) - outbound[name]
            for name, stage in stages.items()
        }
        if min(steps.values()) >= 0:
            best = min(best, sum(table[pair] for pair in steps.items()))
    return best


@pytest.mark.parametrize("seed", range(12))
def test_the_best_service_times_are_those_of_a_search_over_all(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network = tree_and_more(rng, float(rng.choice([1.0, 1.5, 2.0])), whole=seed % 2 == 0)
    demand = two_seasons(rng, int(rng.integers(1, 6)))
    found = seasonal_service(network, demand)
    assert found.service.cost == pytest.approx(least_cost(network, demand), rel=1e-9)
    assert found.service.gap <= 1e-9
    assert found.service.stage_cost == pytest.approx(
        [stage.holding_cost for stage in network.stages] * found.safety_stock.mean(axis=1)
    )


def bounded(rng: np.random.Generator, of: SeasonalDemand, z: float, longest: int, cycles: int) -> Floats:
    """Demand that no window of up to `longest` periods lets exceed its bound, which it often meets."""
    mean, sd = np.array(of.mean * cycles), np.array(of.sd * cycles)  # type: ignore[operator]
    demand = np.maximum(rng.normal(mean, 1.5 * sd), 0.0)
    for t in range(len(mean)):
        room = math.inf
        for begin in range(max(t - longest + 1, 0), t + 1):
            window = slice(begin, t + 1)
            bound = mean[window].sum() + z * math.sqrt((sd[window] ** 2).sum())
            room = min(room, bound - demand[begin:t].sum())
        demand[t] = min(demand[t], room)
    return np.asarray(demand)


def later(flow: Floats, periods: int) -> Floats:
    return np.concatenate([np.zeros(periods), flow])[: len(flow)]


def simulate(
    found: SeasonalGuaranteedService, demand: dict[str, Floats], levels: Floats, *, returns: bool = True
) -> tuple[Floats, Floats]:
    """[N, T] the orders and the stock on hand of base-stock policies with `levels` [N, T], every delivery on time.

    Each stage orders what was ordered from it and by how much its level rises, starts when its inbound service
    time is over, and ships what is due. Without `returns` it waits, where its level falls, until it is above its stock.
    """
    service, network = found.service, found.service.network
    orders, on_hand = np.zeros_like(levels), np.zeros_like(levels)
    asked = np.zeros_like(levels)
    for j in reversed(network.order):
        stage, si, s = network.stages[j], int(service.inbound[j]), int(service.outbound[j])
        asked[j] += demand.get(stage.name, 0.0)
        so_far = np.concatenate([levels[j, -1:], np.cumsum(asked[j]) + levels[j]])
        orders[j] = np.diff(so_far if returns else np.maximum.accumulate(so_far))
        arrived = later(orders[j], si + int(stage.mean_time))
        on_hand[j] = levels[j, -1] + np.cumsum(arrived - later(asked[j], s))
        for i, units in zip(network.suppliers[j], stage.suppliers.values(), strict=True):
            asked[i] += units * orders[j]
    return orders, on_hand


def levels_of(found: SeasonalGuaranteedService, cycles: int) -> Floats:
    """[N, T] B_j(t) and what customers' levels will rise by in the tau_j periods that follow."""
    network, tau = found.service.network, found.service.net_replenishment_time
    levels = found.base_stock.copy()
    periods = levels.shape[1]
    for j, stage in enumerate(network.stages):
        for k, customer in enumerate(network.stages):
            units = customer.suppliers.get(stage.name, 0.0)
            for t, u in itertools.product(range(periods), range(1, int(tau[j]) + 1)):
                levels[j, t] += units * found.order_change[k, (t + u) % periods]
    return np.tile(levels, cycles)


@pytest.mark.parametrize("seed", range(4))
def test_base_stocks_that_follow_the_season_keep_every_service_time(seed: int) -> None:
    """Without pooling the customers' bounds are those of all stages, so that no delivery is ever late."""
    rng = np.random.default_rng(seed)
    network, seasons, cycles = tree_and_more(rng, 1.0), two_seasons(rng, 6), 300
    outbound = None if seed % 2 == 0 else {"module": 1, "gear": 0}
    found = seasonal_service(network, seasons, outbound=outbound)
    longest = int(found.service.net_replenishment_time.max())
    demand = {name: bounded(rng, of, 1.5, max(longest, 1), cycles) for name, of in seasons.items()}
    orders, on_hand = simulate(found, demand, levels_of(found, cycles))
    settled = on_hand[:, 60:]
    assert settled.min() > -1e-8
    assert (settled.min(axis=1) < 1e-8).all()  # and no stage has a unit to spare
    asked = np.zeros_like(orders)
    for j in reversed(network.order):
        asked[j] += demand.get(network.stages[j].name, 0.0)
        for i, units in zip(network.suppliers[j], network.stages[j].suppliers.values(), strict=True):
            asked[i] += units * asked[j]
    assert orders - asked == pytest.approx(np.tile(found.order_change, cycles), abs=1e-8)


def year(peak: float) -> SeasonalDemand:
    mean = [100 * (1 + peak * math.sin(2 * math.pi * month / 12)) for month in range(12)]
    return SeasonalDemand(mean=mean, sd=[0.3 * units for units in mean])


def factory_to_shop() -> StageNetwork:
    stages: list[dict[str, Any]] = [
        {"name": "factory", "stage_time": 4, "holding_cost": 1.0},
        {"name": "depot", "stage_time": 2, "holding_cost": 1.5, "suppliers": ["factory"]},
        {"name": "shop", "stage_time": 1, "holding_cost": 2.5, "suppliers": ["depot"], "demand_mean": 100.0},
    ]
    stages[-1] |= {"demand_sd": math.sqrt(np.mean(np.square(year(0.6).sd))), "service_level": 0.95}
    return StageNetwork.from_dict({"stages": stages})


def test_following_the_season_keeps_the_promise_that_average_levels_break_and_costs_less_than_peak_levels() -> None:
    rng, network, season, cycles = np.random.default_rng(7), factory_to_shop(), year(0.6), 200
    found = seasonal_service(network, {"shop": season})
    service = found.service
    demand = {"shop": bounded(rng, season, network.stages[2].z or 0.0, 7, cycles)}
    peak = np.repeat(found.base_stock.max(axis=1)[:, None], 12 * cycles, axis=1)
    steady = guaranteed_service(network, outbound=service.service_times).base_stock
    average = np.repeat(steady[:, None], 12 * cycles, axis=1)
    holding = np.array([stage.holding_cost for stage in network.stages])
    lowest, cost = {}, {}
    for name, levels in (("season", levels_of(found, cycles)), ("peak", peak), ("average", average)):
        _, on_hand = simulate(found, demand, levels)
        lowest[name], cost[name] = on_hand[:, 60:].min(), float(holding @ on_hand[:, 60:].mean(axis=1))
    assert lowest["season"] > -1e-8
    assert lowest["peak"] > -1e-8
    assert lowest["average"] < -100
    unused = float(holding @ service.net_replenishment_time) * (100 - demand["shop"].mean())
    assert cost["season"] - unused == pytest.approx(service.cost, rel=0.01)
    assert cost["peak"] > 1.5 * cost["season"]


def test_orders_in_a_line_may_wait_for_demand_instead_of_going_back() -> None:
    """The supplier then sees orders late, never more of them in all: cumulative orders are a running maximum."""
    rng, network, season, cycles = np.random.default_rng(1), factory_to_shop(), year(0.8), 100
    for outbound in ({"factory": 2, "depot": 1}, {"factory": 0, "depot": 2}):
        found = seasonal_service(network, {"shop": season}, outbound=outbound)
        demand = {"shop": bounded(rng, season, network.stages[2].z or 0.0, 7, cycles)}
        with_returns, least = simulate(found, demand, levels_of(found, cycles))
        without, more = simulate(found, demand, levels_of(found, cycles), returns=False)
        assert with_returns.min() < -100
        assert without.min() >= 0
        assert more[:, 60:].min() > -1e-8
        assert more[:, 60:].mean() > least[:, 60:].mean()


def test_a_supplier_of_several_may_count_on_what_one_of_them_should_send_back() -> None:
    """When the east's season ends the west's begins. Unsold stock that stays in the east is missing in the west."""
    shop: dict[str, Any] = {"stage_time": 3, "holding_cost": 2.0, "suppliers": ["part"], "safety_factor": 2.0}
    stages = [{"name": "part", "stage_time": 2, "holding_cost": 1.0}]
    stages += [{"name": name, "demand_mean": 100.0, **shop} for name in ("east", "west")]
    network = StageNetwork.from_dict({"stages": stages, "pooling": 1.0})
    means = {"east": [200.0] * 4 + [5.0] * 4, "west": [5.0] * 4 + [200.0] * 4}
    seasons = {name: SeasonalDemand(mean, [0.1 * units for units in mean]) for name, mean in means.items()}
    found = seasonal_service(network, seasons, outbound={"part": 0})
    assert found.mean_orders[1:].min() < -30
    rng = np.random.default_rng(0)
    demand = {name: bounded(rng, of, 2.0, 3, 300) for name, of in seasons.items()}
    _, kept = simulate(found, demand, levels_of(found, 300))
    _, broken = simulate(found, demand, levels_of(found, 300), returns=False)
    assert kept[:, 60:].min() > -1e-8
    assert broken[0, 60:].min() < -10


def test_a_life_that_begins_and_ends_is_a_cycle_that_closes_without_demand() -> None:
    network, life = two_stages(safety_factor=2.0), ([5.0, 30.0, 60.0, 20.0], [1.0, 4.0, 9.0, 2.0])
    silence = [0.0, 0.0]
    found = seasonal_service(network, {"shop": SeasonalDemand(life[0] + silence, life[1] + silence)})

    def total(tau: int) -> float:
        windows = [range(max(begin, 0), min(begin + tau, 4)) for begin in range(-tau, 4)]
        return sum(2 * math.sqrt(sum(life[1][t] ** 2 for t in window)) for window in windows)

    assert 6 * found.service.cost == pytest.approx(min(3 * total(1), 2 * total(2)))
    assert found.base_stock.sum() == pytest.approx(
        sum(tau * sum(life[0]) + total(int(tau)) for tau in found.service.net_replenishment_time)
    )


@given(
    rates=st.lists(st.floats(0, 100), min_size=1, max_size=5),
    length=st.floats(0, 17),
    turn=st.integers(0, 4),
)
@settings(max_examples=60, deadline=None)
def test_windows_repeat_with_the_cycle_and_cover_each_period_equally(
    rates: list[float], length: float, turn: int
) -> None:
    periods = len(rates)
    (found,) = over_windows(np.array(rates), np.array([length]))
    assert found.mean() == pytest.approx(length * np.mean(rates), rel=1e-9, abs=1e-9)
    (turned,) = over_windows(np.roll(rates, turn), np.array([length]))
    assert turned == pytest.approx(np.roll(found, turn), rel=1e-9, abs=1e-9)
    (longer,) = over_windows(np.array(rates), np.array([length + periods]))
    assert longer == pytest.approx(found + sum(rates), rel=1e-9, abs=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_more_variable_demand_costs_no_less_and_the_calendar_may_begin_anywhere(seed: int) -> None:
    rng = np.random.default_rng(seed)
    network, seasons = tree_and_more(rng, 2.0), two_seasons(rng, 5)
    cost = seasonal_service(network, seasons).service.cost
    turned = {
        name: SeasonalDemand(np.roll(of.mean, 2).tolist(), np.roll(of.sd, 2).tolist()) for name, of in seasons.items()
    }
    assert seasonal_service(network, turned).service.cost == pytest.approx(cost)
    wider = {name: SeasonalDemand(of.mean, (np.array(of.sd) + 1).tolist()) for name, of in seasons.items()}
    assert seasonal_service(network, wider).service.cost > cost
    root_mean = {
        name: SeasonalDemand(of.mean, [math.sqrt(np.mean(np.square(of.sd)))] * 5) for name, of in seasons.items()
    }
    assert seasonal_service(network, root_mean).service.cost >= cost  # a root is concave


def test_seasons_that_rise_and_fall_together_keep_the_base_stocks_in_proportion() -> None:
    rng = np.random.default_rng(3)
    network, rhythm = tree_and_more(rng, 2.0), np.array([0.5, 1.0, 2.5])
    demand = {shop: SeasonalDemand((20 * rhythm).tolist(), (4 * rhythm).tolist()) for shop in ("east", "west")}
    found = seasonal_service(network, demand)
    steady = guaranteed_service(network, outbound=found.service.service_times)
    whole = found.service.net_replenishment_time
    for j, tau in enumerate(whole):
        windows = [sum(rhythm[(t + u) % 3] ** 2 for u in range(1, int(tau) + 1)) for t in range(3)]
        per_period = steady.safety_stock[j] / math.sqrt(tau) if tau else 0.0
        assert found.safety_stock[j] == pytest.approx(per_period * np.sqrt(windows))


def test_one_number_holds_for_all_periods() -> None:
    network = two_stages()
    for one, several in (
        (SeasonalDemand(15, [1, 2]), SeasonalDemand([15, 15], [1, 2])),
        (SeasonalDemand([10, 20], 3), SeasonalDemand([10, 20], [3, 3])),
        (SeasonalDemand(15, 3), SeasonalDemand([15], [3])),
    ):
        found, same = seasonal_service(network, {"shop": one}), seasonal_service(network, {"shop": several})
        assert found.base_stock.tolist() == same.base_stock.tolist()
        assert found.service.cost == same.service.cost


def test_a_bound_of_nothing_where_nobody_wants_anything_is_no_obstacle() -> None:
    leaflet = {"name": "leaflet", "stage_time": 3, "holding_cost": 1.0, "demand_bound": 0.0}
    network = two_stages()
    more = StageNetwork.from_dict({"stages": [*(stage.model_dump() for stage in network.stages), leaflet]})
    found = seasonal_service(more, QUIET_AND_BUSY)
    assert found.service.cost == seasonal_service(network, QUIET_AND_BUSY).service.cost
    assert found.base_stock[2].tolist() == [0, 0]


def test_without_variance_there_is_no_safety_stock_and_without_demand_no_stock() -> None:
    certain = seasonal_service(two_stages(), {"shop": SeasonalDemand([1, 2, 3], [0, 0, 0])})
    assert certain.service.cost == 0
    assert certain.safety_stock == pytest.approx(0.0)
    none = seasonal_service(two_stages(), {"shop": SeasonalDemand([0, 0], [0, 0])})
    assert none.base_stock == pytest.approx(0.0)
    assert none.order_change == pytest.approx(0.0)


@pytest.mark.parametrize(
    ("demand", "message"),
    [
        ({"shp": SeasonalDemand([1], [1])}, "demand: there is no stage 'shp'; did you mean 'shop'?"),
        (
            {"part": SeasonalDemand([1], [1])},
            "demand: part must be a stage with customers, which have a service_level",
        ),
        (
            {"shop": SeasonalDemand([1, 2], [1])},
            "demand: sd of shop must be one number or 2, one per period, got 1",
        ),
        (
            {"shop": SeasonalDemand([], [])},
            "demand: mean of shop must be one number or 1, one per period, got 0",
        ),
        (
            {"shop": SeasonalDemand([1, -2], [1, 1])},
            "demand: mean of shop must be a finite number of at least 0 in every period, got -2",
        ),
        (
            {"shop": SeasonalDemand([1], [math.inf])},
            "demand: sd of shop must be a finite number of at least 0 in every period, got inf",
        ),
        (
            {"shop": SeasonalDemand(1, math.nan)},
            "demand: sd of shop must be a finite number of at least 0 in every period, got nan",
        ),
    ],
)
def test_seasons_that_do_not_fit_the_network_are_refused(demand: dict[str, SeasonalDemand], message: str) -> None:
    with pytest.raises(MethodError) as caught:
        seasonal_service(two_stages(), demand)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"part": {"stage_time": {1.0: 0.5, 2.0: 0.5}}},
            "seasonal_service needs stage times that are fixed, got several for part",
        ),
        (
            {"part": {"demand_bound": 3.0}},
            "seasonal_service needs bounds that follow from the demand of each period, got a demand_bound for part",
        ),
    ],
)
def test_networks_that_the_seasonal_model_does_not_cover_are_refused(
    changes: dict[str, dict[str, Any]], message: str
) -> None:
    with pytest.raises(MethodError) as caught:
        seasonal_service(two_stages().with_stages(changes), QUIET_AND_BUSY)
    assert str(caught.value) == message
