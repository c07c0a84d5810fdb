"""Where a learned policy was trained: it says when it is elsewhere, seldom without cause, and can step back."""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Self

import numpy as np
import pytest
from numpy.typing import NDArray

pytest.importorskip("torch")
pytest.importorskip("stable_baselines3")

import torch
from torch import Tensor

from echelon.agents.columns import column_names, kind_of_column
from echelon.agents.drift import DriftMonitor, demand_monitor, with_total
from echelon.agents.learned import LearnedPolicy
from echelon.agents.support import MARGIN, OutsideTrainingWarning, Support, support_of
from echelon.envs.catalogue import PROBLEMS, lost_sales, make_problem, one_warehouse
from echelon.envs.codec import Codec
from echelon.envs.dynamics import initial_state
from echelon.envs.errors import ConfigError, MethodError
from echelon.envs.levels import base_stock_levels
from echelon.envs.network import Network
from echelon.envs.policy import order_up_to
from echelon.envs.problem import Problem
from echelon.envs.scenarios import sample
from echelon.envs.simulate import simulate
from echelon.envs.state import State

SHOP = lost_sales(lead_time=2)
TREE = one_warehouse()


@dataclass(frozen=True, eq=False)
class Levels:
    """An actor with order-up-to levels for weights: good orders without any training."""

    kind: ClassVar[str] = "levels"

    network: Network
    levels: Tensor

    def observe(self, state: State) -> NDArray[np.float32]:
        return Codec(self.network).observe(state)

    def orders(self, state: State) -> NDArray[np.float64]:
        return np.asarray(order_up_to(self.network, self.levels.tolist())(state))

    def record(self) -> dict[str, Any]:
        return {}

    def state_dict(self) -> dict[str, Any]:
        return {"levels": self.levels}

    @classmethod
    def restored(cls, network: Network, record: Mapping[str, Any], weights: Mapping[str, Tensor]) -> Self:
        if len(weights["levels"]) != len(network.links):
            raise ValueError(
                f"one level a link (got {weights['levels'].tolist()} for {len(network.links)} links{record})"
            )
        return cls(network, weights["levels"])


def policy_for(problem: Problem, **options: Any) -> LearnedPolicy:
    actor = Levels(problem.network, torch.tensor(base_stock_levels(problem.network)))
    return LearnedPolicy(actor, "levels", support_of(actor, problem, **options))


@pytest.fixture(scope="module", params=["shop", "tree"])
def learned(request: pytest.FixtureRequest) -> tuple[LearnedPolicy, Problem]:
    problem = SHOP if request.param == "shop" else TREE
    return policy_for(problem), problem


def fresh(policy: LearnedPolicy) -> LearnedPolicy:
    """The policy before it has seen anything."""
    assert policy.support is not None
    return policy.with_support(policy.support)


def changed(network: Network, **changes: Any) -> Network:
    """A network with other values at the outlets, `demand` a factor on the mean."""
    data = network.model_dump(mode="json", exclude_defaults=True)
    factor = changes.pop("demand", 1.0)
    for node in data["nodes"]:
        if "demand" in node:
            node["demand"]["mean"] *= factor
            node.update(changes)
    return Network.from_dict(data)


def test_in_its_own_distribution_a_policy_finds_less_than_one_state_in_a_thousand_outside(
    learned: tuple[LearnedPolicy, Problem],
) -> None:
    """A million states of other scenarios than those that the support was taken from; and no warning."""
    policy, problem = fresh(learned[0]), learned[1]
    scenarios = sample(problem.network, periods=problem.periods, replications=910, seed=5)
    simulate(problem, policy, scenarios)
    assert policy.watch.states == 910 * problem.periods >= 10**6
    assert policy.watch.share < 1e-4
    assert not policy.watch.warned


@pytest.mark.parametrize("factor", [10, 30])
def test_ten_times_the_stock_is_outside_wherever_it_lies(factor: int, learned: tuple[LearnedPolicy, Problem]) -> None:
    policy, problem = learned
    state = initial_state(problem.network, 3)
    assert not policy.outside(state).any()
    for n in range(len(problem.network.nodes)):
        more = state.on_hand.copy()
        more[1, n] *= factor
        assert policy.outside(replace(state, on_hand=more)).tolist() == [False, True, False]
    pipeline = state.pipeline.copy()
    pipeline[2, 0, 0] = 5 * factor * max(1.0, float(Codec(problem.network).need[0]))
    assert policy.outside(replace(state, pipeline=pipeline)).tolist() == [False, False, True]


def test_a_column_may_leave_its_range_by_a_quarter_of_its_spread() -> None:
    values = np.random.default_rng(0).uniform(0.0, 8.0, (5_000, 2))
    values[:2, 0] = 0.0, 8.0
    values[:, 1] = 3.0
    support = Support.of(values, ("a 'x'", "b 'x'"), SHOP.network)
    spread = float(support.upper[0] - support.lower[0])
    assert spread == pytest.approx(8.0, rel=0.01)
    edge = 8.0 + MARGIN * spread
    inside = [[edge - 1e-6, 3.0], [8.0 - edge + 1e-6, 3.0], [4.0, 3.0 + MARGIN]]
    beyond = [[edge + 1e-6, 3.0], [8.0 - edge - 1e-6, 3.0], [4.0, 3.0 + MARGIN + 1e-6]]
    assert support.outside(np.array(inside)).tolist() == [False] * 3
    assert support.outside(np.array(beyond)).tolist() == [True] * 3


def far(problem: Problem, copies: int, strange: int) -> State:
    """Copies at the start, some of them with fifty times the stock at the first node."""
    state = initial_state(problem.network, copies)
    more = state.on_hand.copy()
    more[:strange, 0] *= 50
    return replace(state, on_hand=more)


def test_one_warning_tells_the_share_and_the_worst_column() -> None:
    policy = policy_for(TREE, states=5_000)
    with pytest.warns(OutsideTrainingWarning) as caught:
        policy(far(TREE, copies=200, strange=50))
    for _ in range(2):
        policy(far(TREE, copies=200, strange=50))
    assert len(caught) == 1
    message = str(caught[0].message)
    assert message.startswith("25.0 % of 200 states lay outside of the training of this levels policy, most often in ")
    assert "on hand at 'warehouse': must be in [" in message
    assert message.endswith("periods of mean demand (got 100)")
    assert caught[0].filename == __file__
    assert (policy.watch.states, policy.watch.outside) == (600, 150)
    worst = column_names(Codec(TREE.network)).index("on hand at 'warehouse'")
    assert policy.watch.columns[worst] == 150


def test_a_few_states_outside_are_counted_without_a_warning() -> None:
    policy = policy_for(TREE, states=5_000)
    policy(far(TREE, copies=1_000, strange=5))
    assert (policy.watch.outside, policy.watch.warned) == (5, False)


def test_the_fallback_orders_for_the_states_outside_and_for_no_others() -> None:
    policy = policy_for(TREE, states=5_000)

    def plenty(state: State) -> NDArray[np.float64]:
        return np.full((state.batch, len(TREE.network.links)), 77.0)

    careful = policy.with_fallback(plenty, "plenty")
    state = far(TREE, copies=40, strange=13)
    with pytest.warns(OutsideTrainingWarning):
        orders = careful(state)
    plain = policy.actor.orders(state)
    assert (orders[:13] == 77).all()
    assert (orders[13:] == plain[13:]).all()
    assert (plain != 77).all()
    assert careful.fallback is not None
    assert careful.fallback.name == "plenty"


def test_a_policy_with_a_fallback_survives_a_start_far_from_its_training() -> None:
    """Simulated from fifty times the stock, the fallback acts until the stock is sold and the network after that."""
    policy = policy_for(SHOP)
    calls: list[int] = []

    def wait(state: State) -> NDArray[np.float64]:
        calls.append(state.period)
        return np.zeros((state.batch, 1))

    data = SHOP.network.model_dump(mode="json", exclude_defaults=True)
    data["nodes"][0]["initial_on_hand"] = 250.0
    full = replace(SHOP, network=Network.from_dict(data), warm_up=0, periods=120)
    scenarios = sample(full.network, periods=120, replications=20, seed=1)
    careful = policy.with_fallback(wait, "wait")
    with pytest.warns(OutsideTrainingWarning):
        trace = simulate(full, careful, scenarios, trace=True).trace
    assert trace is not None
    assert (trace.ordered[:, :30] == 0).all()
    assert (trace.ordered[:, 80:].mean(axis=(1, 2)) > 3).all()
    assert max(calls) < 80


def test_a_fallback_needs_a_support() -> None:
    bare = replace(policy_for(SHOP, states=2_000), support=None)
    with pytest.raises(MethodError, match="a fallback needs a policy with a support"):
        bare.with_fallback(order_up_to(SHOP.network, [9.0]), "base_stock")
    assert not bare.outside(far(SHOP, copies=5, strange=5)).any()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bare(far(SHOP, copies=5, strange=5))


def test_another_network_of_the_same_shape_is_taken_and_what_differs_is_said() -> None:
    policy = policy_for(SHOP, states=2_000)
    assert policy.for_network(SHOP.network) is policy
    other = changed(SHOP.network, demand=1.5, stockout_cost=19.0)
    lines = (
        "demand.mean of 'store': trained on 5, used on 7.5",
        "stockout_cost of 'store': trained on 4, used on 19",
    )
    assert policy.differences(other) == lines
    with pytest.warns(OutsideTrainingWarning, match="demand.mean of 'store'"):
        moved = policy.for_network(other)
    assert moved.network == other
    assert moved.differences(other) == lines
    assert replace(policy, support=None).differences(other) == lines
    assert policy.differences(SHOP.network) == ()


def test_another_network_of_another_shape_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"the policy of 'lost_sales' does not fit 'one_warehouse': .*for 4 links"):
        policy_for(SHOP, states=2_000).for_network(TREE.network)


def test_settings_that_one_network_leaves_at_their_defaults_are_told() -> None:
    policy = policy_for(SHOP, states=2_000)
    dear = changed(SHOP.network, price=3.0)
    assert policy.differences(dear) == ("price of 'store': trained on the default, used on 3",)
    started = changed(SHOP.network, initial_on_hand=50.0)
    assert policy.differences(started) == ()


def test_a_policy_of_many_networks_knows_ranges_and_not_names() -> None:
    rng = np.random.default_rng(2)
    networks = [lost_sales(lead_time=2, stockout_cost=cost).network for cost in (4.0, 9.0, 19.0)] + [TREE.network]
    seen = [(rng.uniform(0, 3, (1_000, len(names))), names) for names in map(column_names, map(Codec, networks))]
    support = Support.of_many(seen, networks)
    assert support.pooled
    assert "arriving in 1 period on" in support.columns
    data = lost_sales(lead_time=2, stockout_cost=12.0).network.model_dump(mode="json", exclude_defaults=True)
    data["nodes"][0]["name"] = data["links"][0]["target"] = "kiosk"
    kiosk = Network.from_dict({**data, "name": "kiosk"})
    assert support.differences(kiosk) == ()
    dear = lost_sales(lead_time=6, stockout_cost=39.0).network
    assert support.differences(dear) == (
        "lead_time of a link: trained on 1 to 2, used on 6",
        "stockout_cost of a node: trained on 4 to 19, used on 39",
    )
    low, high = support.bounds(column_names(Codec(dear)))
    assert np.isfinite(high[:3]).all()
    assert np.isinf(high[3:]).all()
    assert np.isinf(low[3:]).all()


def test_a_support_is_plain_data_and_back() -> None:
    support = policy_for(TREE, states=2_000).support
    assert support is not None
    again = Support.restored(json.loads(json.dumps(support.record())))
    assert again.record() == support.record()
    other = changed(TREE.network, demand=2.0)
    assert again.differences(other) == support.differences(other)
    assert len(again.differences(other)) == 3


def test_a_support_needs_enough_observations_and_a_name_for_each_column() -> None:
    names = column_names(Codec(SHOP.network))
    for observations in (np.zeros((10, 3)), np.full((2_000, 3), np.nan)):
        with pytest.raises(MethodError, match="a support needs at least 1,000 observations, all finite"):
            Support.of(observations, names, SHOP.network)
    with pytest.raises(MethodError, match=r"observations must have shape \[M, 3\], one column a name"):
        Support.of(np.zeros((2_000, 4)), names, SHOP.network)


@pytest.mark.parametrize("name", sorted(PROBLEMS))
def test_every_column_of_every_catalogued_problem_has_a_name_of_its_own(name: str) -> None:
    network = make_problem(name).network
    codec = Codec(network)
    names = column_names(codec)
    assert len(names) == len(set(names)) == codec.observation_space.shape[0]
    places = [node.name for node in network.nodes] + [link.label for link in network.links]
    assert all(any(place in column for place in places) or "calendar" in column for column in names)
    assert all("'" not in kind_of_column(column) for column in names)


def test_names_of_columns_say_what_the_columns_hold() -> None:
    """One unit put anywhere into a state shows in the columns with the name of that place, and in no others."""
    state = initial_state(TREE.network, 1)
    codec = Codec(TREE.network)
    names = np.array(column_names(codec))
    before = codec.observe(state)
    for stock, place, words in (
        ("on_hand", (0, 0), "on hand at 'warehouse'"),
        ("backorders", (0, 1), "net stock at 'retailer_2'"),
        ("pipeline", (0, 0, 1), "arriving in 2 periods on 'outside -> warehouse'"),
        ("owed", (0, 3), "owed on 'warehouse -> retailer_3'"),
    ):
        values = getattr(state, stock).copy()
        values[place] += 1
        moved = codec.observe(replace(state, **{stock: values}))
        assert names[(moved != before)[0]].tolist() == [words]


def shifted(problem: Problem, factor: float, replications: int, periods: int) -> NDArray[np.float64]:
    """Demand as a monitor watches it, [B, T, K]."""
    network = changed(problem.network, demand=factor)
    return with_total(sample(network, periods=periods, replications=replications, seed=4).demand)


@pytest.mark.parametrize("problem", [SHOP, TREE])
def test_false_alarms_come_as_seldom_as_promised(problem: Problem) -> None:
    """The average run length without a change; its standard error is about 3 %, and the threshold has its own."""
    monitor = demand_monitor(problem.network, run_length=200)
    first = monitor.first_alarm(shifted(problem, 1.0, 1_000, 2_400))
    assert (first >= 0).mean() > 0.99
    assert np.where(first < 0, 2_400, first + 1).mean() == pytest.approx(200, rel=0.15)


@pytest.mark.parametrize(
    ("problem", "factor", "mean", "within_8"), [(SHOP, 2.0, 4.0, 0.98), (TREE, 1.5, 8.0, 0.65), (TREE, 2.0, 4.0, 0.99)]
)
def test_a_shift_of_demand_is_found_within_eight_periods(
    problem: Problem, factor: float, mean: float, within_8: float
) -> None:
    """Fifty periods as trained, then the mean shifts; mean delay over 2,000 paths without an earlier false alarm."""
    monitor = demand_monitor(problem.network)
    calm, after = shifted(problem, 1.0, 2_000, 50), shifted(problem, factor, 2_000, 60)
    first = monitor.first_alarm(np.concatenate([calm, after], axis=1))
    delay = first[first >= 50] - 50 + 1
    assert len(delay) > 1_700
    assert delay.mean() < mean
    assert (delay <= 8).mean() > within_8


def test_an_alarm_says_what_has_drifted_and_where_to() -> None:
    monitor = demand_monitor(TREE.network)
    sums = monitor.start(batch=2)
    for period in range(12):
        demand = np.array([[3.0, 3.0, 3.0], [3.0, 9.0, 3.0]])
        sums = monitor.update(sums, with_total(demand), period)
    calm, loud = monitor.alarms(sums)
    assert calm == []
    assert loud == ["demand at 'retailer_2' is higher", "demand of all outlets is higher"]
    sums = monitor.start()
    for period in range(12):
        sums = monitor.update(sums, with_total(np.zeros((1, 3))), period)
    assert "demand at 'retailer_1' is lower" in monitor.alarms(sums)[0]


def test_the_monitor_follows_the_sums_of_page() -> None:
    """By hand: mean 0, deviation 1, slack 0.5; 2 - 0.5, + 1 - 0.5, - 3 - 0.5 floored at 0."""
    monitor = DriftMonitor(("x",), np.zeros((1, 1)), np.ones((1, 1)), threshold=np.full((2, 1), 2.0))
    path = np.array([[[2.0], [1.0], [-3.0]]])
    assert monitor.highest(path).tolist() == [[0.75, 1.0, 1.25]]
    assert monitor.first_alarm(path).tolist() == [2]
    sums = monitor.start()
    for period in range(3):
        sums = monitor.update(sums, path[:, period], period)
    assert sums.tolist() == [[[0.0], [2.5]]]


def test_a_calendar_is_no_drift() -> None:
    """Demand of a weekly calendar is compared with the same weekday."""
    data = SHOP.network.model_dump(mode="json", exclude_defaults=True)
    data["nodes"][0]["demand"]["seasonal"] = [0.4, 0.4, 0.6, 1.0, 1.6, 2.0, 1.0]
    weekly = replace(SHOP, network=Network.from_dict(data))
    monitor = demand_monitor(weekly.network, run_length=200)
    assert len(monitor.mean) == 7
    first = monitor.first_alarm(shifted(weekly, 1.0, 300, 1_000))
    assert np.where(first < 0, 1_000, first + 1).mean() > 150


def test_demand_that_grows_has_no_level_to_drift_from() -> None:
    data = SHOP.network.model_dump(mode="json", exclude_defaults=True)
    data["nodes"][0]["demand"]["growth"] = 0.01
    with pytest.raises(MethodError, match=r"demand_monitor needs demand without trend or growth \(got it at 'store'\)"):
        demand_monitor(Network.from_dict(data))


def test_paths_that_no_threshold_can_be_set_from_are_refused() -> None:
    with pytest.raises(MethodError, match=r"paths must be finite and have shape \[R, T, K\]"):
        DriftMonitor.of(np.zeros((5, 10, 1)), ["x"], run_length=20)
