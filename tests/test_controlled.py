"""Deep controlled learning against exact dynamic programming that shares no code with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats

from echelon.agents.controlled import ControlledActor, ControlledSettings, train_controlled
from echelon.agents.controlled_actor import order_choices
from echelon.agents.controlled_fit import lessons_of
from echelon.agents.controlled_halving import Comparison, counts, sequential_halving
from echelon.agents.controlled_learning import Learner
from echelon.agents.controlled_rollouts import PolicyDecider, Remembering, Rollouts, Visited
from echelon.agents.controlled_settings import check_problem
from echelon.agents.learned import LearnedPolicy
from echelon.envs._layout import memory_of
from echelon.envs.catalogue import make_problem
from echelon.envs.dynamics import initial_state
from echelon.envs.errors import MethodError
from echelon.envs.network import Network
from echelon.envs.policy import Policy, order_up_to
from echelon.envs.problem import Problem
from echelon.envs.scenarios import sample
from echelon.envs.simulate import simulate, simulate_cost
from echelon.envs.state import State

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

QUICK: dict[str, Any] = {
    "generations": 3,
    "rollouts": 400,
    "hidden": (32, 32),
    "epochs": 40,
    "validation_replications": 200,
}


@dataclass(frozen=True)
class Exact:
    """Average-cost dynamic programming of one location with lost sales or backorders, Poisson demand, lead time 1,
    unit holding cost.

    The state x = 0, ..., X is the stock less backorders, plus `deepest`; the order z arrives before the next review.
    """

    mean: float
    stockout_cost: float
    fixed_cost: float
    loses: bool
    most: int = 60
    largest_order: int = 40
    deepest: int = 20

    @cached_property
    def lowest(self) -> int:
        return 0 if self.loses else -self.deepest

    @cached_property
    def levels(self) -> Ints:
        return np.arange(self.lowest, self.most + 1)

    @cached_property
    def chances(self) -> Floats:
        """[X, Y] from stock x to what is left."""
        chance = np.zeros((len(self.levels), len(self.levels)))
        for row, x in enumerate(self.levels):
            left = np.arange(self.lowest + 1, x + 1)
            chance[row, left - self.lowest] = stats.poisson.pmf(x - left, self.mean)
            chance[row, 0] = 1 - chance[row].sum()
        return chance

    @cached_property
    def cost(self) -> Floats:
        """[X] expected cost of the period."""
        demand = np.arange(200)
        left = self.levels[:, None] - demand
        each = np.maximum(left, 0) + self.stockout_cost * np.maximum(-left, 0)
        return np.asarray(each @ stats.poisson.pmf(demand, self.mean))

    def values(self, bias: Floats) -> Floats:
        """[X, Z] cost of each order and of all that follows."""
        z = np.arange(self.largest_order + 1)
        after = bias[np.minimum(np.arange(len(self.levels))[:, None] + z, len(self.levels) - 1)]
        return np.asarray(self.cost[:, None] + self.fixed_cost * (z > 0) + self.chances @ after)

    def optimum(self) -> tuple[float, Floats]:
        """The least average cost, and the bias [X]."""
        bias = np.zeros(len(self.levels))
        for _ in range(10_000):
            new = self.values(bias).min(axis=1)
            change = new - bias
            bias = new - new[0]
            if np.ptp(change) < 1e-9:
                return float(change[0]), bias
        raise AssertionError

    def follow(self, orders: Ints) -> tuple[float, Floats]:
        """Average cost and bias [X] of the orders [X]."""
        bias, every = np.zeros(len(self.levels)), np.arange(len(self.levels))
        for _ in range(20_000):
            new = self.values(bias)[every, orders]
            change = new - bias
            bias = new - new[0]
            if np.ptp(change) < 1e-9:
                return float(change[0]), bias
        raise AssertionError

    def orders_of(self, policy: Policy, network: Network) -> Ints:
        """[X] what a policy orders."""
        state = initial_state(network, len(self.levels))
        stock = self.levels[:, None].astype(np.float64)
        state = replace(state, on_hand=np.maximum(stock, 0.0), backorders=np.maximum(-stock, 0.0))
        orders: Floats = np.asarray(policy(state))[:, 0]
        return np.minimum(orders, self.largest_order).astype(np.int64)


def location(*, mean: float = 4.0, fixed_cost: float = 0.0, rule: str = "lost_sales", **changes: Any) -> Problem:
    return make_problem(
        "echelon/SingleLocation-v0",
        lead_time=changes.pop("lead_time", 1),
        demand_mean=mean,
        stockout_cost=changes.pop("stockout_cost", 9.0),
        fixed_cost=fixed_cost,
        stockout_rule=rule,
        **changes,
    )


def test_the_budget_is_shared_out_as_in_the_paper() -> None:
    assert counts(8, 2_400) == [100, 200, 400]
    assert counts(5, 900) == [60, 100, 150]
    assert counts(2, 10) == [5]
    assert counts(1, 10) == [10]
    assert counts(16, 1) == [1, 1, 1, 1]


def test_lessons_of_a_link_with_fewer_choices_are_those_without_the_repetitions() -> None:
    """Repetitions were given up early, with other means of fewer samples: they once took the place of the choice."""
    arms = np.array([[0, 1, 2, 1, 1], [0, 2, 3, 5, 6]])
    cost = np.array([[3.0, 0.5, 1.0, -9.0, 40.0], [2.0, 1.0, 4.0, 0.0, 8.0]])
    error = np.array([[0.5, 0.25, 0.125, 0.0, 0.0], [0.5, 0.5, 0.5, 0.5, 0.5]])
    found = Comparison(cost, error, np.ones_like(arms), np.zeros(2, dtype=np.int64))
    links = np.array([1, 0])
    got = lessons_of(torch.zeros(2, 1), links, arms, found, 7)

    regrets = np.array([[2.5, 0.0, 0.5, 2.5, 2.5, 2.5, 2.5], [2.0, 8.0, 1.0, 4.0, 8.0, 0.0, 8.0]])
    likely = np.array(
        [[np.exp(-10), 1, np.exp(-2), 0, 0, 0, 0], [np.exp(-4), 0, np.exp(-2), np.exp(-8), 0, 1, np.exp(-16)]]
    )
    np.testing.assert_allclose(got.regrets, regrets)
    np.testing.assert_allclose(got.targets, likely / likely.sum(axis=1, keepdims=True), rtol=1e-6)


def test_sequential_halving_finds_the_best_of_known_arms_within_its_budget() -> None:
    means = np.tile(np.array([0.3, 0.5, 0.0, 0.9, 0.8, 0.2, 0.7, 0.6]), (500, 1))
    rng = np.random.default_rng(0)
    drawn: list[tuple[int, int]] = []

    def pull(arms: Ints, first: int, count: int) -> tuple[Floats, Floats]:
        assert first == sum(taken for _, taken in drawn)
        drawn.append((arms.shape[1], count))
        samples = np.take_along_axis(means, arms, axis=1)[..., None] + rng.normal(size=(*arms.shape, count))
        return samples.sum(-1), (samples**2).sum(-1)

    found = sequential_halving(pull, states=500, arms=8, budget=2_400)
    assert drawn == [(8, 100), (4, 200), (2, 400)]
    assert (found.best == 2).mean() > 0.98
    assert found.samples[0, 2] == 700
    assert np.all(found.samples.sum(axis=1) == 2_400)
    errors = (found.cost - means)[:, 2] / found.error[:, 2]
    assert abs(errors.mean()) < 0.15
    assert 0.9 < errors.std() < 1.1


@pytest.mark.parametrize(("rule", "fixed_cost"), [("lost_sales", 0.0), ("lost_sales", 20.0), ("backorder", 20.0)])
def test_rollouts_estimate_the_exact_advantages_of_orders(rule: str, fixed_cost: float) -> None:
    problem = location(rule=rule, fixed_cost=fixed_cost)
    exact = Exact(4.0, 9.0, fixed_cost, rule == "lost_sales")
    reorder, level = (12, 12) if not fixed_cost else (9, 17)
    policy = order_up_to(problem.network, [level], reorder=[reorder])
    _, bias = exact.follow(exact.orders_of(policy, problem.network))
    stock = np.array([2, 6, 9, 14])
    start = initial_state(problem.network, len(stock))
    start = replace(start, on_hand=stock[:, None].astype(np.float64))
    decider = Remembering(PolicyDecider(policy, start), problem.network)
    memory = memory_of(start)
    own = decider.memory_orders(memory, 0)
    visited = Visited(memory, own, np.zeros(len(stock), dtype=np.int64))
    arms = np.tile(np.array([0, 3, 5, 9]), (len(stock), 1))
    count = 25_000
    rollouts = Rollouts(problem.network, decider, np.ones(200), seed=1, stream="test")
    sums, squares = rollouts.compare(visited, arms.astype(np.float64), 0, count)
    value = exact.values(bias)[stock - exact.lowest]
    right = np.take_along_axis(value, arms, axis=1) - value[np.arange(len(stock)), own[0].astype(int)][:, None]
    error = np.sqrt(np.maximum(squares / count - (sums / count) ** 2, 0.0) / count)
    assert np.all(np.abs(sums / count - right) < 4 * error + 1e-9)
    assert error.max() < 0.2  # of differences up to 40


def test_paths_do_not_depend_on_which_others_are_simulated_with_them() -> None:
    problem = location()
    policy = order_up_to(problem.network, [12])
    start = initial_state(problem.network, 6)
    memory = memory_of(replace(start, on_hand=np.arange(6.0)[:, None]))
    decider = PolicyDecider(policy, start)
    visited = Visited(memory, decider.memory_orders(memory, 0), np.zeros(6, dtype=np.int64))
    rollouts = Rollouts(problem.network, decider, np.ones(40), seed=1, stream="test")
    orders = np.tile(np.array([0.0, 4.0, 8.0]), (6, 1))
    whole = rollouts.compare(visited, orders, 0, 30)[0]
    apart = rollouts.compare(visited, orders, 0, 10)[0] + rollouts.compare(visited, orders, 10, 20)[0]
    assert np.array_equal(whole, apart)
    assert np.array_equal(rollouts.compare(visited, orders[:, :1], 0, 30)[0], whole[:, :1])
    remembered = replace(rollouts, decider=Remembering(decider, problem.network))
    assert np.array_equal(remembered.compare(visited, orders, 0, 30)[0], whole)


def best_base_stock(problem: Problem) -> float:
    """The least average cost of a base-stock policy, by simulation of every level."""
    scenarios = sample(problem.network, periods=problem.periods, replications=300, seed=5)
    rules = [order_up_to(problem.network, [level]) for level in range(60)]
    return min(float(simulate_cost(problem, rule, scenarios).mean()) for rule in rules)


def test_it_beats_base_stock_on_lost_sales() -> None:
    problem = make_problem("zipkin2008/poisson-L2-p4")
    training = train_controlled(problem, steps=1_500, settings=QUICK)
    scenarios = sample(problem.network, periods=problem.periods, replications=300, seed=5)
    cost = float(simulate(problem, training.policy, scenarios).cost.mean())
    assert problem.reference is not None
    assert cost < 0.97 * best_base_stock(problem)
    assert cost < 1.01 * problem.reference.value


@pytest.mark.parametrize("rule", ["lost_sales", "backorder"])
def test_it_is_near_the_optimum_where_orders_have_a_fixed_cost(rule: str) -> None:
    problem = location(rule=rule, fixed_cost=20.0)
    exact = Exact(4.0, 9.0, 20.0, rule == "lost_sales")
    optimum, _ = exact.optimum()
    training = train_controlled(problem, steps=1_000, settings=QUICK)
    cost, _ = exact.follow(exact.orders_of(training.policy, problem.network))
    assert optimum <= cost + 1e-6
    assert cost < 1.02 * optimum
    assert cost < 0.8 * best_base_stock(problem)


def test_a_good_start_is_improved_by_a_few_candidates() -> None:
    problem = make_problem("zipkin2008/poisson-L2-p4")
    start = order_up_to(problem.network, [14], cap=[6])
    settings = QUICK | {"candidates": 4, "first_candidates": 4, "generations": 1}
    training = train_controlled(problem, steps=1_500, settings=settings, start=start)
    scenarios = sample(problem.network, periods=problem.periods, replications=300, seed=5)
    difference = simulate(problem, training.policy, scenarios).cost - simulate_cost(problem, start, scenarios)
    assert difference.mean() < -3 * difference.std() / np.sqrt(300)


def small_training(checkpoint: Path | None = None, **changes: Any) -> Any:
    settings = QUICK | {"rollouts": 60, "epochs": 5, "validation_replications": 20} | changes
    return train_controlled(location(), seed=3, steps=200, settings=settings, checkpoint=checkpoint)


def same(left: LearnedPolicy, right: LearnedPolicy) -> bool:
    ours, theirs = left.actor.state_dict(), right.actor.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


def test_the_same_seed_gives_the_same_policy_and_a_resumed_training_too(tmp_path: Path) -> None:
    whole = small_training()
    assert same(whole.policy, small_training().policy)
    small_training(tmp_path, generations=3)
    other = tmp_path / "stopped"
    with pytest.raises(KeyboardInterrupt):
        stopped_after_one(other)
    resumed = small_training(other)
    assert same(whole.policy, resumed.policy)
    costs = [[point["cost"] for point in training.curve] for training in (whole, resumed)]
    assert costs[0] == costs[1]
    with pytest.raises(MethodError) as caught:
        small_training(other, rollouts=61)
    assert str(caught.value) == f"{other} holds a training with other settings; give another checkpoint folder"


def stopped_after_one(folder: Path) -> None:
    def stop(steps: int, cost: float) -> None:
        assert steps == 200
        assert cost > 0
        raise KeyboardInterrupt

    settings = QUICK | {"rollouts": 60, "epochs": 5, "validation_replications": 20}
    train_controlled(location(), seed=3, steps=200, settings=settings, checkpoint=folder, on_progress=stop)


def test_the_checkpoint_of_a_policy_orders_as_before(tmp_path: Path) -> None:
    policy = small_training(generations=1).policy
    policy.save(tmp_path)
    again = LearnedPolicy.load(tmp_path)
    state = initial_state(location().network, 3)
    state = replace(state, on_hand=np.array([[0.0], [5.0], [30.0]]))
    assert same(policy, again)
    assert np.array_equal(policy(state), again(state))


def test_orders_are_those_that_a_discrete_action_of_the_codec_can_name() -> None:
    network = location(fixed_cost=64.0, mean=10.0).network
    assert order_choices(network) == [list(np.arange(0.0, 73.0, 2.0))]
    link = network.links[0].model_copy(update={"lot_size": 10.0, "fixed_cost": 0.0})
    lots = network.model_copy(update={"links": (link,)})
    assert order_choices(lots) == [[0.0, 10.0, 20.0, 30.0]]


def test_links_decide_one_after_another_and_see_what_the_earlier_ones_order() -> None:
    network = make_problem("echelon/DualSourcing-v0").network
    actor = ControlledActor(network, order_choices(network), (8,))
    state = initial_state(network, 4)
    orders = actor.orders(state)
    given = np.ascontiguousarray(orders.T)
    assert np.array_equal(actor.completed(memory_of(state), 0, given, 0), given)
    observation = torch.from_numpy(actor.observe(state))
    units = actor.codec.need
    for link in range(2):
        before = np.where(np.arange(2) < link, orders / units, 0.0)
        inputs = np.concatenate([observation, before, np.eye(2)[[link] * 4]], axis=1).astype(np.float32)
        scores = actor(torch.from_numpy(inputs), torch.full((4,), link)).detach().numpy()
        assert np.array_equal(orders[:, link], actor.table[link][scores.argmax(1)])


def test_two_links_are_improved() -> None:
    problem = make_problem("echelon/DualSourcing-v0", stockout_cost=45.0)
    start = order_up_to(problem.network, [4, 8])
    training = train_controlled(problem, steps=600, settings=QUICK, start=start)
    first, last = training.curve[0], training.curve[-1]
    assert last["cost"] + last["half_width"] < first["cost"] - first["half_width"]


def test_the_policy_of_the_start_may_be_any_callable() -> None:
    def half_up_to_twelve(state: State) -> Floats:
        return np.asarray(np.floor(np.maximum(12.0 - state.inventory_position, 0.0) / 2))

    training = train_controlled(location(), steps=200, settings=QUICK | {"generations": 1}, start=half_up_to_twelve)
    assert training.steps == 200
    assert [point["steps"] for point in training.curve] == [0.0, 200.0]
    assert training.policy.method == "controlled"


def test_discounted_problems_see_their_early_states() -> None:
    problem = replace(location(), warm_up=0, periods=400, discount=0.9)
    learner = Learner(problem, ControlledSettings.of(QUICK), seed=0, states=2_000, given=None)
    lessons = learner.lessons(0, None)
    first = initial_state(problem.network, 1)
    shape = learner.new_actor(0)
    at_start = (lessons.inputs.numpy() == shape.observe(first)).all(axis=1).mean()
    assert 0.08 < at_start < 0.2  # the first period has the weight 0.1
    start = order_up_to(problem.network, [20])
    curve = train_controlled(problem, steps=400, settings=QUICK, start=start).curve
    assert curve[-1]["cost"] + curve[-1]["half_width"] < curve[0]["cost"] - curve[0]["half_width"]


def changed(link: dict[str, Any] | None = None, node: dict[str, Any] | None = None) -> Problem:
    problem = location()
    data = problem.network.model_dump(mode="json", exclude_defaults=True)
    data["links"][0] |= link or {}
    data["nodes"][0] |= node or {}
    return replace(problem, network=Network.from_dict(data))


@pytest.mark.parametrize(
    ("problem", "message"),
    [
        (
            replace(location(), warm_up=0),
            "controlled learning needs the long run: a warm_up above 0, or a discount below 1 "
            "(got warm_up 0 and discount 1)",
        ),
        (
            changed(node={"demand": {"law": "poisson", "mean": 4.0, "seasonal": [0.5, 1.5]}}),
            "controlled learning needs demand of one law in all periods, which do not depend on one another "
            "(got other demand at 'store')",
        ),
        (
            changed(link={"lead_time": {"values": [1, 2], "crossover": False}, "initial_in_transit": 0}),
            "controlled learning needs lead times that do not depend on one another "
            "(got crossover false on 'outside -> store')",
        ),
        (
            changed(node={"disruption": {"failure": 0.1, "repair": 0.5}}),
            "controlled learning needs supply without disruptions (got one of 'store')",
        ),
    ],
)
def test_problems_that_it_is_not_for_are_refused(problem: Problem, message: str) -> None:
    with pytest.raises(MethodError) as caught:
        check_problem(problem)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"rolouts": 5},
            "rolouts: unknown key; did you mean 'rollouts'?",
        ),
        ({"candidates": 2}, "candidates must be a whole number of at least 3 (got 2)"),
        ({"generations": 2.5}, "generations must be a whole number of at least 1 (got 2.5)"),
        ({"exploration": 1.0}, "exploration must be at least 0 and below 1 (got 1.0)"),
        ({"learning_rate": 0.0}, "learning_rate must be above 0 and below 1 (got 0.0)"),
        ({"hidden": ()}, "hidden must be one whole number of at least 1 for each layer (got ())"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(MethodError) as caught:
        ControlledSettings.of(settings)
    assert str(caught.value) == message


def test_too_few_states_are_refused() -> None:
    with pytest.raises(MethodError) as caught:
        train_controlled(location(), steps=19)
    assert str(caught.value) == "steps must be at least 20, the sampled states of a generation (got 19)"
