"""The guaranteed-service model with random stage times (Humair, Ruark, Tomlin and Willems 2013).

With tau = SI + T - S random, what customers are owed but has not come yet is the demand X of tau^+ periods,
and what came early is the demand of (-tau)^+. Where orders do not overtake one another tau is independent
of that demand, so E[X] = mu E[tau^+] and Var[X] = sigma^2 E[tau^+] + mu^2 Var[tau^+]. A base stock of
E[X] + z sd[X] leaves z sd[X] + mu E[(-tau)^+] on hand in the mean: the safety stock of the model.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.special import ndtr

from echelon.baselines.guaranteed_service import guaranteed_service
from echelon.baselines.stage_costs import early_stock, safety_stock
from echelon.baselines.stage_demand import demand_bounds, demand_means, safety_factors
from echelon.baselines.stage_network import Stage, StageNetwork

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

MEAN, SD, Z = 8.0, 3.0, 2.0
PERIODS = 1_000_000
TIMES = {1.0: 0.3, 2.0: 0.3, 3.0: 0.4}


def of_stage(times: Mapping[float, float] | float, k: float, *, mean: float = MEAN, bound: float = Z * SD) -> float:
    stage = Stage(name="part", stage_time=times if isinstance(times, float | int) else dict(times))
    spread = safety_stock(stage, np.array(k), mean=mean, bound=bound, safety_factor=Z)
    return float(spread + early_stock(stage, np.array(k), mean=mean))


def by_hand(times: Mapping[float, float], k: float, *, mean: float, bound: float, z: float) -> float:
    """The formula, one outcome at a time, for the net replenishment times k + T - floor(longest T)."""
    outcomes = [(k + time - math.floor(max(times)), share) for time, share in times.items()]
    late = sum(share * max(tau, 0) for tau, share in outcomes)
    spread = sum(share * (max(tau, 0) - late) ** 2 for tau, share in outcomes)
    early = sum(share * max(-tau, 0) for tau, share in outcomes)
    return math.sqrt(bound**2 * late + (z * mean) ** 2 * spread) + mean * early


def independent_times(rng: np.random.Generator) -> Ints:
    return rng.choice(np.array(list(TIMES), dtype=np.int64), size=PERIODS, p=list(TIMES.values()))


def times_without_overtaking(rng: np.random.Generator) -> Ints:
    """Every period all orders of age J or more arrive (Kaplan 1970), with P(J > a) = P(T > a) / P(T > a - 1)."""
    ages = np.arange(int(max(TIMES)) + 1)
    outlives = np.array([sum(share for time, share in TIMES.items() if time > age) for age in ages])
    at_least = np.concatenate([[1.0], outlives[:-1]])
    probabilities = -np.diff(np.concatenate([[1.0], outlives / at_least]))
    arrives = rng.choice(ages, size=PERIODS + len(ages), p=probabilities)
    times = np.full(PERIODS, -1)
    for age in ages:
        times[(times < 0) & (arrives[age : age + PERIODS] <= age)] = age
    return times


def net_stock(rng: np.random.Generator, times: Ints, *, service_time: int, base_stock: float) -> Floats:
    """[PERIODS] what one stage has at the end of each period, orders delivered as they come and shipped when due."""
    demand = rng.gamma((MEAN / SD) ** 2, SD**2 / MEAN, size=PERIODS)
    arrivals = np.bincount(np.arange(PERIODS) + times, weights=demand)[:PERIODS]
    due = np.concatenate([np.zeros(service_time), demand])[:PERIODS]
    return np.asarray((base_stock + np.cumsum(arrivals) - np.cumsum(due))[100:])


def within(samples: Floats, expected: float) -> bool:
    """Whether the mean of a stationary sequence is as expected, by means of batches."""
    batches = samples[: len(samples) // 1000 * 1000].reshape(1000, -1).mean(axis=1)
    return bool(abs(samples.mean() - expected) < 3 * batches.std() / math.sqrt(1000))


@pytest.mark.parametrize("service_time", [0, 2])
def test_the_formula_is_the_mean_stock_and_its_spread_where_orders_do_not_overtake(service_time: int) -> None:
    rng = np.random.default_rng(1)
    times = times_without_overtaking(rng)
    arrivals = np.arange(PERIODS) + times
    assert (np.diff(arrivals) >= 0).all()
    assert np.bincount(times, minlength=4)[1:] / PERIODS == pytest.approx(list(TIMES.values()), abs=3e-3)

    tau = {time - service_time: share for time, share in TIMES.items()}
    late = sum(share * max(t, 0) for t, share in tau.items())
    early = sum(share * max(-t, 0) for t, share in tau.items())
    variance = SD**2 * late + MEAN**2 * sum(share * (max(t, 0) - late) ** 2 for t, share in tau.items())
    base_stock = MEAN * late + Z * math.sqrt(variance)
    stock = net_stock(rng, times, service_time=service_time, base_stock=base_stock)
    safety = of_stage(TIMES, max(TIMES) - service_time)
    assert safety == pytest.approx(Z * math.sqrt(variance) + MEAN * early, rel=1e-12)
    assert within(stock, safety)
    owed = np.maximum(base_stock - stock, 0.0)  # early and late never occur together without overtaking
    assert within(owed, MEAN * late)
    assert within((owed - MEAN * late) ** 2, variance)


def test_orders_that_overtake_vary_less_than_the_formula_says() -> None:
    rng = np.random.default_rng(2)
    stock = net_stock(rng, independent_times(rng), service_time=0, base_stock=0.0)
    outlives = [sum(share for time, share in TIMES.items() if time > age) for age in range(int(max(TIMES)))]
    mean_time = sum(outlives)
    crossing = SD**2 * mean_time + MEAN**2 * sum(share * (1 - share) for share in outlives)
    formula = (of_stage(TIMES, max(TIMES)) / Z) ** 2
    assert within(-stock, MEAN * mean_time)
    assert within((stock + MEAN * mean_time) ** 2, crossing)
    assert (crossing, formula) == pytest.approx((47.7, 63.06))


def test_the_base_stock_is_what_customers_are_owed_and_z_of_its_standard_deviations() -> None:
    part = {"name": "part", "stage_time": TIMES, "holding_cost": 1.0, "demand_mean": MEAN, "demand_sd": SD}
    network = StageNetwork.from_dict({"stages": [{**part, "safety_factor": Z, "service_time": 2}]})
    for service_time, late, variance, early in ((0, 2.1, 0.69, 0.0), (1, 1.1, 0.69, 0.0), (2, 0.4, 0.24, 0.3)):
        found = guaranteed_service(network, outbound={"part": service_time})
        spread = Z * math.sqrt(SD**2 * late + MEAN**2 * variance)
        assert found.net_replenishment_time[0] == pytest.approx(late - early)
        assert found.safety_stock[0] == pytest.approx(spread)
        assert found.early_stock[0] == pytest.approx(MEAN * early)
        assert found.base_stock[0] == pytest.approx(MEAN * late + spread)
        assert found.pipeline_stock[0] == pytest.approx(MEAN * 2.1)


def test_a_long_time_that_is_rare_breaks_the_service_level_that_z_stands_for() -> None:
    """Part 1 of chain 1 of Willems (2008) takes 20, 25 or 50 periods; z sd is not a quantile of that mixture."""
    times, mean, sd, z = {20.0: 0.4, 25.0: 0.4, 50.0: 0.2}, 100.0, 20.0, 1.6448536269514722
    assert sum(t * share for t, share in times.items()) == pytest.approx(28)
    safety = by_hand(times, 50, mean=mean, bound=z * sd, z=z)
    assert safety == pytest.approx(z * math.sqrt(sd**2 * 28 + mean**2 * 126))
    stage = Stage(name="part", stage_time=times)
    assert safety_stock(stage, np.array(50.0), mean=mean, bound=z * sd, safety_factor=z) == pytest.approx(safety)
    served = sum(share * ndtr((28 * mean + safety - t * mean) / (sd * math.sqrt(t))) for t, share in times.items())
    assert served == pytest.approx(0.8015, abs=1e-4)  # not 0.95


@pytest.mark.parametrize("time", [0.0, 2.0, 3.75])
def test_a_time_that_is_certain_is_a_fixed_time(time: float) -> None:
    for k in range(6):
        assert of_stage({time: 1.0}, k) == pytest.approx(of_stage(time, k), rel=1e-12)
    almost = {time: 1 - 1e-12, time + 0.2: 1e-12}
    assert of_stage(almost, 2) == pytest.approx(of_stage(time, 2), rel=1e-3)


def test_times_between_whole_periods_are_worked_by_hand() -> None:
    times = {0.5: 0.5, 2.5: 0.5}  # SI = 0: tau is -1.5 or 0.5 with S = 2, -0.5 or 1.5 with S = 1
    assert of_stage(times, 0) == pytest.approx(math.sqrt(36 * 0.25 + 256 * 0.0625) + 8 * 0.75)
    assert of_stage(times, 0) == pytest.approx(11)
    assert of_stage(times, 1) == pytest.approx(math.sqrt(36 * 0.75 + 256 * 0.5625) + 8 * 0.25)


def test_without_mean_demand_only_the_mean_time_matters() -> None:
    assert of_stage({1: 0.5, 5: 0.5}, 5, mean=0.0) == pytest.approx(of_stage(3.0, 3.0, mean=0.0))


def test_customers_with_different_factors_each_add_theirs_to_what_late_orders_need() -> None:
    """A late part is late for all customers at once: z_d n_d mu_d sd[tau] add up, while their demands pool."""
    stages = [
        {"name": "part", "stage_time": {0: 0.5, 2: 0.5}, "holding_cost": 1.0},
        {"name": "a", "stage_time": 0, "suppliers": ["part"], "demand_mean": 10, "demand_sd": 3, "safety_factor": 1},
        {"name": "b", "stage_time": 0, "suppliers": {"part": 2}, "demand_mean": 5, "demand_sd": 2, "safety_factor": 2},
    ]
    network = StageNetwork.from_dict({"stages": stages})
    assert safety_factors(network)[0] * demand_means(network)[0] == pytest.approx(1 * 10 + 2 * 2 * 5)
    assert demand_bounds(network)[0] ** 2 == pytest.approx((1 * 3) ** 2 + (2 * 2 * 2) ** 2)
    found = guaranteed_service(network, outbound={"part": 0})
    assert found.cost == pytest.approx(math.sqrt(73 * 1 + 30**2 * 1))


def line(holding_cost: float) -> StageNetwork:
    stages = [
        {"name": "part", "stage_time": {1: 0.5, 3: 0.5}, "holding_cost": 1.0},
        {
            "name": "shop",
            "stage_time": 1,
            "holding_cost": holding_cost,
            "suppliers": ["part"],
            "demand_mean": 10,
            "demand_sd": 1,
            "safety_factor": 3,
        },
    ]
    return StageNetwork.from_dict({"stages": stages})


def test_a_line_of_two_stages_is_worked_by_hand() -> None:
    """S of the part from 0 to 3: tau is {1, 3}, {0, 2}, {-1, 1} or {-2, 0}, evenly; the shop's is 1 + S."""
    part = (math.sqrt(9 * 2 + 900), math.sqrt(9 + 900), math.sqrt(9 * 0.5 + 900 * 0.25) + 10 * 0.5, 10 * 1.0)
    for holding_cost, best in ((2.0, 3), (8.0, 0)):
        network = line(holding_cost)
        costs = [part[s] + holding_cost * 3 * math.sqrt(1 + s) for s in range(4)]
        for s in range(4):
            assert guaranteed_service(network, outbound={"part": s}).cost == pytest.approx(costs[s])
        found = guaranteed_service(network)
        assert found.service_times["part"] == best
        assert found.cost == pytest.approx(min(costs))
        assert found.lower_bound == pytest.approx(found.cost)
    made_to_order = guaranteed_service(line(2.0))  # nothing is ordered ahead; half of the parts are two periods early
    assert made_to_order.base_stock[0] == pytest.approx(0)
    assert (made_to_order.safety_stock[0], made_to_order.early_stock[0]) == pytest.approx((0, 10))
    assert made_to_order.placement == ["shop"]


def least_cost(network: StageNetwork) -> float:
    """The least cost over all service times, with the least inbound service time that suppliers allow."""
    stages = {stage.name: stage for stage in network.stages}
    power = network.pooling

    def units(supplier: str, of: str) -> float:
        if supplier == of:
            return 1.0
        return sum(n * units(supplier, name) for name, n in stages[of].suppliers.items())

    def longest(name: str) -> int:
        above = max((longest(i) for i in stages[name].suppliers), default=0)
        return max(above, stages[name].inbound_service_time) + math.floor(max(stages[name].times))

    cost_of: dict[str, dict[int, float]] = {}
    for name, stage in stages.items():
        demands = [(units(name, d.name), d) for d in network.stages if d.has_customers]
        mean = sum(n * d.demand_mean for n, d in demands)
        late = sum(n * d.demand_mean * (d.z or 0) for n, d in demands)
        bound = sum((n * d.demand_sd * (d.z or 0)) ** power for n, d in demands) ** (1 / power)
        z = late / mean if mean > 0 else 0.0
        cost_of[name] = {
            k: stage.holding_cost * by_hand(stage.times, k, mean=mean, bound=bound, z=z)
            for k in range(longest(name) + 1)
        }
    best = math.inf
    for quotes in itertools.product(*(range(longest(name) + 1) for name in stages)):
        outbound = dict(zip(stages, quotes, strict=True))
        total = 0.0
        for name, stage in stages.items():
            inbound = max([stage.inbound_service_time, *(outbound[i] for i in stage.suppliers)])
            k = inbound + math.floor(max(stage.times)) - outbound[name]
            if k < 0 or outbound[name] > stage.longest_service_time:
                total = math.inf
                break
            total += cost_of[name][k]
        best = min(best, total)
    return best


def random_network(rng: np.random.Generator) -> StageNetwork:
    names = ["a", "b", "c", "d"]
    stages: list[dict[str, Any]] = []
    for j, name in enumerate(names):
        time: dict[float, float] | float = float(rng.integers(0, 3))
        if rng.random() < 0.7:
            values = rng.choice([0.0, 0.5, 1.0, 1.5, 2.0], size=2, replace=False)
            time = dict(zip(values.tolist(), (0.25, 0.75), strict=True))
        above = {i: float(rng.integers(1, 3)) for i in names[:j] if rng.random() < 0.6}
        stage: dict[str, Any] = {
            "name": name,
            "stage_time": time,
            "holding_cost": float(rng.uniform(0.2, 3)),
            "suppliers": above,
        }
        if j >= 2:
            stage |= {"demand_mean": float(rng.uniform(0, 9)), "demand_sd": float(rng.uniform(0.1, 5))}
            stage |= {"safety_factor": float(rng.uniform(0.5, 4)), "service_time": int(rng.integers(0, 3))}
        stages.append(stage)
    wanted = {i for stage in stages for i in stage["suppliers"]}
    kept = [stage for stage in stages if stage["name"] in wanted or "demand_mean" in stage]
    return StageNetwork.from_dict({"stages": kept, "pooling": float(rng.choice([1.0, 1.5, 2.0]))})


@pytest.mark.parametrize("seed", range(30))
def test_the_best_service_times_are_those_of_a_search_over_all(seed: int) -> None:
    network = random_network(np.random.default_rng(seed))
    found = guaranteed_service(network)
    assert found.cost == pytest.approx(least_cost(network), rel=1e-9)
    assert found.gap <= 1e-9


def test_chain_1_of_willems_with_its_random_time_is_what_a_search_over_all_service_times_finds() -> None:
    """Three parts go into two products, sold alone and as a pair, which takes two of each part.

    The figures are those of the data set, with 0.2 of the cumulative cost to hold a unit.
    """
    z, rate = 1.6448536269514722, 0.2
    parts = {"part 1": ({20.0: 0.4, 25.0: 0.4, 50.0: 0.2}, 12.0), "part 2": (15.0, 5.0), "part 3": (10.0, 9.0)}
    products = {"product 1": 65.0, "product 2": 62.0}
    shops = {"shop 1": (["product 1"], 253.0, 36.62), "shop 3": (["product 2"], 75.0, 2.0)}
    shops["shop 2"] = (["product 1", "product 2"], 45.0, 1.0)
    stages: list[dict[str, Any]] = [
        {"name": name, "stage_time": time, "holding_cost": rate * cost} for name, (time, cost) in parts.items()
    ]
    stages += [
        {"name": name, "stage_time": 10, "holding_cost": rate * cost, "suppliers": list(parts)}
        for name, cost in products.items()
    ]
    for name, (above, mean, sd) in shops.items():
        stage = {"name": name, "stage_time": 0, "suppliers": above, "demand_mean": mean, "demand_sd": sd}
        value = rate * sum(products[product] for product in above)
        stages.append({**stage, "service_level": 0.95, "holding_cost": value})
    found = guaranteed_service(StageNetwork.from_dict({"stages": stages}))

    sigma = {1: math.hypot(36.62, 1), 2: math.hypot(2, 1), "all": math.hypot(36.62, 2, 2 * 1)}
    wait, quote = np.arange(51), np.arange(61)
    random_part = [
        rate * 12 * by_hand({20: 0.4, 25: 0.4, 50: 0.2}, k, mean=253 + 75 + 2 * 45, bound=z * sigma["all"], z=z)
        for k in range(51)
    ]
    price = np.minimum.accumulate(np.array(random_part)[::-1])  # by the longest service time that part 1 may quote
    for time, cost in ((15, 5), (10, 9)):
        price = price + rate * cost * z * sigma["all"] * np.sqrt(np.maximum(time - wait, 0))
    total = np.full((61, 61), math.inf)  # by the service times of the two products
    make = []
    for product, cost in ((1, 65), (2, 62)):
        tau = wait[:, None] + 10 - quote
        costs = np.where(tau >= 0, rate * cost * z * sigma[product] * np.sqrt(np.maximum(tau, 0)), math.inf)
        make.append(np.minimum.accumulate(costs[::-1])[::-1])  # any inbound service time from this one on
    for m in wait:
        total = np.minimum(total, price[m] + make[0][m][:, None] + make[1][m])
    later = np.sqrt(quote)
    total += rate * z * (65 * 36.62 * later[:, None] + 62 * 2 * later + 127 * np.maximum(later[:, None], later))
    assert found.cost == pytest.approx(total.min(), rel=1e-12)
    assert found.cost == pytest.approx(21737.63, abs=0.005)


@given(
    times=st.lists(st.integers(1, 6), min_size=1, max_size=4),
    at=st.integers(0, 3),
    by=st.sampled_from([0.25, 0.5, 1.0]),
    k=st.integers(0, 4),
)
@settings(max_examples=60, deadline=None)
def test_no_spread_of_the_time_around_its_mean_needs_less_stock_if_nothing_is_early(
    times: list[int], at: int, by: float, k: int
) -> None:
    """One of several equally likely times becomes two, `by` earlier and later; both have the same longest whole."""
    chosen = times[at % len(times)]
    narrow, wide = {7.0: 1 / (len(times) + 1)}, {7.0: 1 / (len(times) + 1)}
    for i, time in enumerate(times):
        share = 1 / (len(times) + 1)
        narrow[time] = narrow.get(time, 0.0) + share
        for outcome in (chosen - by, chosen + by) if i == at % len(times) else (time, time):
            wide[outcome] = wide.get(outcome, 0.0) + share / 2
    assert of_stage(wide, k + 7) >= of_stage(narrow, k + 7) - 1e-9


def test_a_wider_spread_may_need_less_stock_where_some_orders_are_early() -> None:
    """tau in {0, 1} becomes {-1, 1, 1, 1}: less variable where it is late. Only a large z makes it pay."""
    narrow, wide = {1.0: 0.5, 2.0: 0.5}, {0.0: 0.25, 2.0: 0.75}
    assert by_hand(wide, 1, mean=8, bound=0, z=10) < by_hand(narrow, 1, mean=8, bound=0, z=10)
    assert by_hand(wide, 1, mean=8, bound=0, z=2) > by_hand(narrow, 1, mean=8, bound=0, z=2)
