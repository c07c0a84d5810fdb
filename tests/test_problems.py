"""Every catalogued problem as a Gymnasium environment: the standard checks, and that it is the simulator inside out."""

from __future__ import annotations

from itertools import product
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env
from gymnasium.vector import AutoresetMode
from numpy.typing import NDArray

from echelon.envs.catalogue import PROBLEMS, make_problem
from echelon.envs.codec import OBSERVATION_BOUND, Codec, Decision
from echelon.envs.dynamics import initial_state
from echelon.envs.errors import ConfigError
from echelon.envs.gym_env import NetworkEnv, make_env, make_vector_env
from echelon.envs.network import Network
from echelon.envs.problem import Problem
from echelon.envs.scenarios import Scenarios, sample_rows, stream_key
from echelon.envs.simulate import Backend, simulate
from echelon.registration import PROBLEM_IDS

Floats = NDArray[np.float64]
Variant = tuple[str, Any, Any]

PERIODS = 25
SMALL: dict[str, dict[str, Any]] = {
    "echelon/ConsumerGoods-v0": {
        "factories": 1,
        "subcontractors": 2,
        "mother_warehouses": 1,
        "warehouses": 1,
        "distributors": 3,
    }
}
"""Parameters with which a large problem is tried."""
VARIANTS: list[Variant] = list(product(PROBLEMS, ("orders", "levels"), ("continuous", "discrete")))
"""Problem, decision and action kind."""

every_problem = pytest.mark.parametrize("problem_id", PROBLEMS)
every_variant = pytest.mark.parametrize("variant", VARIANTS, ids=lambda v: "-".join((v[0].split("/")[1], *v[1:])))


def make(variant: Variant, **parameters: Any) -> NetworkEnv:
    """The bare environment, with short episodes."""
    problem_id, decision, action = variant
    options = {"decision": decision, "action": action, "periods": PERIODS, "warm_up": 0, **SMALL.get(problem_id, {})}
    return make_env(problem_id, **(options | parameters))


def small(problem_id: str) -> Problem:
    """The problem at a size to be tried."""
    return make_problem(problem_id, **SMALL.get(problem_id, {}))


def actions_for(env: NetworkEnv, count: int, seed: int = 1) -> list[Any]:
    """Random actions of the environment's space."""
    env.action_space.seed(seed)
    return [env.action_space.sample() for _ in range(count)]


def play(env: NetworkEnv, actions: list[Any], **reset: Any) -> tuple[Floats, Floats, Floats]:
    """Observations [T + 1, D], rewards [T] and costs [T] of the actions, after a reset."""
    observations, rewards, costs = [env.reset(**reset)[0]], [], []
    for action in actions:
        observation, reward, _, _, info = env.step(action)
        observations.append(observation)
        rewards.append(reward)
        costs.append(info["cost"])
    return np.stack(observations), np.array(rewards), np.array(costs)


def limits(codec: Codec) -> tuple[Floats, Floats]:
    """[E] the lowest and the highest order or level that an action can name."""
    return codec.level_range if codec.decision == "levels" else (np.zeros_like(codec.order_limit), codec.order_limit)


def environment_scenarios(problem: Problem, seed: int, episode: int) -> Scenarios:
    """The randomness of an episode of an environment that was reset with a seed."""
    key = stream_key(seed, "environment")[None]
    return sample_rows(problem.network, key, [episode], problem.periods)


def test_every_catalogued_problem_is_registered_and_no_other() -> None:
    assert set(PROBLEM_IDS) == set(PROBLEMS)
    assert len(PROBLEM_IDS) == len(PROBLEMS)
    registered = {spec_id for spec_id in gymnasium.registry if spec_id.startswith("echelon/")}
    assert registered == set(PROBLEMS)


@every_problem
def test_a_problem_is_named_by_its_id_and_starts_in_a_sound_state(problem_id: str) -> None:
    problem = make_problem(problem_id)
    assert problem.name == problem_id
    state = initial_state(problem.network, 2)
    assert (state.on_hand >= 0).all()
    assert state.on_hand.sum() > 0


@every_variant
def test_gymnasium_finds_nothing_to_say(variant: Variant) -> None:
    check_env(make(variant), skip_render_check=True)


@every_variant
def test_stable_baselines3_finds_nothing_to_say(variant: Variant) -> None:
    checker = pytest.importorskip("stable_baselines3.common.env_checker")
    checker.check_env(make(variant))


@every_problem
def test_gymnasium_makes_it_from_an_id_that_names_the_package(problem_id: str) -> None:
    options = {"periods": 3, "warm_up": 0, **SMALL.get(problem_id, {})}
    single = gymnasium.make(f"echelon:{problem_id}", **options)
    assert isinstance(single.unwrapped, NetworkEnv)
    assert single.unwrapped.problem.periods == 3
    several = gymnasium.make_vec(f"echelon:{problem_id}", num_envs=2, **options)
    assert several.reset(seed=0)[0].shape == (2, *single.unwrapped.codec.observation_space.shape)


@every_variant
def test_the_same_seed_and_actions_give_the_same_episodes(variant: Variant) -> None:
    first, second = make(variant), make(variant)
    actions = actions_for(first, PERIODS)
    episodes = [[play(env, actions, seed=7), play(env, actions)] for env in (first, second)]
    for one, other in zip(*episodes, strict=True):
        for array, again in zip(one, other, strict=True):
            np.testing.assert_array_equal(array, again)
    again = play(first, actions, seed=7)
    np.testing.assert_array_equal(again[0], episodes[0][0][0])
    if variant[0] != "echelon/BeerGame-v0":
        assert not np.array_equal(episodes[0][0][2], episodes[0][1][2]), "two episodes must differ"
        assert not np.array_equal(episodes[0][0][2], play(first, actions, seed=8)[2]), "two seeds must differ"


@pytest.mark.parametrize("backend", ["compiled", "specification"])
@every_variant
def test_an_episode_costs_what_the_simulator_charges_for_the_same_orders(variant: Variant, backend: Backend) -> None:
    env = make(variant)
    for episode in range(2):
        env.reset(seed=5) if episode == 0 else env.reset()
        orders, costs = [], []
        for action in actions_for(env, PERIODS, seed=episode):
            orders.append(env.codec.orders(np.asarray(action)[None], env.state))
            costs.append(env.step(action)[4]["cost"])
        outcome = simulate(
            env.problem,
            lambda state, orders=orders: orders[state.period],
            environment_scenarios(env.problem, 5, episode),
            backend=backend,
        )
        assert sum(costs) == pytest.approx(outcome.cost[0] * PERIODS, rel=1e-12)
        assert sum(costs) > 0


@every_variant
def test_the_reward_is_minus_the_cost_over_a_constant(variant: Variant) -> None:
    env = make(variant)
    _, rewards, costs = play(env, actions_for(env, PERIODS), seed=3)
    assert env.codec.cost_scale > 0
    np.testing.assert_allclose(rewards, -costs / env.codec.cost_scale, rtol=1e-15)
    assert make(variant, periods=50).codec.cost_scale == env.codec.cost_scale


@every_variant
def test_an_episode_is_truncated_after_its_periods_and_never_terminated(variant: Variant) -> None:
    env = make(variant, periods=4)
    env.reset(seed=0)
    ends = [env.step(action)[2:4] for action in actions_for(env, 4)]
    assert ends == [(False, False)] * 3 + [(False, True)]


@every_variant
def test_observations_stay_in_their_space_whatever_is_ordered(variant: Variant) -> None:
    env = make(variant, periods=60)
    space = env.action_space
    extremes: list[Any] = (
        [space.low, space.high]
        if isinstance(space, gymnasium.spaces.Box)
        else [np.zeros(space.shape, dtype=np.int64), getattr(space, "nvec", getattr(space, "n", 0)) - 1]
    )
    for actions in (*([extreme] * 60 for extreme in extremes), actions_for(env, 60)):
        observations, _, costs = play(env, actions, seed=1)
        assert observations.dtype == np.float32
        assert all(env.observation_space.contains(observation) for observation in observations)
        assert np.isfinite(costs).all()
        assert (costs >= 0).all()


def test_an_endless_backlog_is_clipped_to_the_bounds_of_the_observation() -> None:
    env = make(("echelon/Serial-v0", "orders", "continuous"), periods=1_100)
    observations, _, _ = play(env, [np.full(4, -1.0)] * 1_100, seed=1)
    assert all(env.observation_space.contains(observation) for observation in observations)
    assert observations.min() == -OBSERVATION_BOUND


@every_variant
def test_the_vector_environment_equals_single_ones_across_episodes(variant: Variant) -> None:
    problem_id, decision, action = variant
    copies: int = 3
    parameters: dict[str, Any] = {"periods": 6, "warm_up": 0, **SMALL.get(problem_id, {})}
    vector = make_vector_env(problem_id, num_envs=copies, decision=decision, action=action, **parameters)
    singles = [make(variant, **parameters) for _ in range(copies)]
    first, _ = vector.reset(seed=40)
    np.testing.assert_array_equal(first, [env.reset(seed=40 + k)[0] for k, env in enumerate(singles)])
    vector.action_space.seed(2)
    for period in range(15):
        taken = vector.action_space.sample()
        observation, reward, terminated, truncated, info = vector.step(taken)
        ends = period % 6 == 5
        assert not terminated.any()
        assert truncated.tolist() == [ends] * copies
        assert ("final_obs" in info) == ends
        for k, env in enumerate(singles):
            seen, single_reward, _, single_truncated, single_info = env.step(taken[k])
            assert (single_reward, single_truncated) == (reward[k], ends)
            assert single_info["cost"] == info["cost"][k]
            if ends:
                np.testing.assert_array_equal(info["final_obs"][k], seen)
                seen, _ = env.reset()
            np.testing.assert_array_equal(observation[k], seen)


def test_the_vector_environment_says_that_it_resets_in_the_same_step() -> None:
    vector = make_vector_env("echelon/LostSales-v0", num_envs=2, periods=2, warm_up=0)
    assert vector.metadata["autoreset_mode"] == AutoresetMode.SAME_STEP
    vector.reset(seed=0)
    for ends in (False, True, False, True):
        *_, info = vector.step(np.zeros((2, 1)))
        assert info.get("_final_obs", np.zeros(2, dtype=bool)).tolist() == [ends, ends]


def test_copies_of_a_vector_environment_can_be_seeded_one_by_one() -> None:
    vector = make_vector_env("echelon/LostSales-v0", num_envs=3)
    vector.reset(seed=[4, 9, 4])
    _, _, _, _, info = vector.step(np.full((3, 1), -1.0))
    for _ in range(20):
        _, _, _, _, info = vector.step(np.full((3, 1), 0.5))
        assert info["cost"][0] == info["cost"][2]
    with pytest.raises(ValueError, match="seed must be one number, or 3 numbers, one per copy"):
        vector.reset(seed=[1, 2])


@pytest.mark.parametrize("decision", ["orders", "levels"])
@every_problem
def test_continuous_actions_are_clipped_to_their_bounds(problem_id: str, decision: str) -> None:
    env = make((problem_id, decision, "continuous"))
    env.reset(seed=0)
    for action, bound in ((1.7, 1.0), (-40.0, -1.0), (np.inf, 1.0)):
        links = len(env.problem.network.links)
        np.testing.assert_array_equal(
            env.codec.orders(np.full((1, links), action), env.state),
            env.codec.orders(np.full((1, links), bound), env.state),
        )


@every_variant
def test_orders_are_whole_and_stay_below_the_limit(variant: Variant) -> None:
    env = make(variant)
    env.reset(seed=0)
    lowest, highest = limits(env.codec)
    for action in actions_for(env, PERIODS):
        orders = env.codec.orders(np.asarray(action)[None], env.state)
        named = orders[0] + (env.state.echelon_inventory_position[0] if variant[1] == "levels" else 0.0)
        assert (orders >= 0).all()
        assert (named >= lowest).all()
        assert ((orders[0] == 0) | (named <= highest)).all()
        if env.problem.network.whole_units:
            np.testing.assert_array_equal(orders, np.floor(orders))
        env.step(action)


@every_problem
def test_the_largest_continuous_action_orders_the_limit_and_the_least_nothing(problem_id: str) -> None:
    codec = Codec(small(problem_id).network)
    state = initial_state(codec.network, 1)
    links = len(codec.network.links)
    np.testing.assert_array_equal(codec.orders(np.ones((1, links)), state)[0], codec.order_limit)
    np.testing.assert_array_equal(codec.orders(-np.ones((1, links)), state), np.zeros((1, links)))
    flow = np.asarray(codec.network.mean_link_flow)
    most = [link.max_order or np.inf for link in codec.network.links]
    assert (codec.order_limit >= np.minimum(2 * flow, most)).all()


@every_problem
def test_the_discrete_actions_count_whole_units_from_the_lowest_to_the_highest_in_equal_steps(problem_id: str) -> None:
    decisions: tuple[Decision, ...] = ("orders", "levels")
    for decision in decisions:
        codec = Codec(small(problem_id).network, decision, "discrete")
        lowest, highest = limits(codec)
        last = np.atleast_1d(getattr(codec.action_space, "nvec", getattr(codec.action_space, "n", 0))) - 1
        step = np.ceil((highest - lowest + 1) / 64)
        np.testing.assert_array_equal(last, np.floor((highest - lowest) / step))
        assert (last <= 63).all()
        state = initial_state(codec.network, 1)
        for choice in (0 * last, last // 2, last):
            named = codec.orders(choice[None], state)[0]
            if decision == "levels":
                named = np.where(named > 0, named + state.echelon_inventory_position[0], lowest + choice * step)
            np.testing.assert_array_equal(named, lowest + choice * step)


def test_orders_are_not_rounded_on_a_network_of_continuous_units() -> None:
    env = make(("echelon/LostSales-v0", "orders", "continuous"), demand={"law": "gamma", "sd": 2.0})
    env.reset(seed=0)
    (limit,) = env.codec.order_limit
    mean = env.codec.mean[0]
    for action, order in (
        (-1.0, 0.0),
        (-0.5, mean / 2),
        (0.0, mean),
        (0.123, mean + 0.123 * (limit - mean)),
        (1.0, limit),
    ):
        assert env.codec.orders(np.array([[action]]), env.state)[0, 0] == pytest.approx(order)


def test_a_level_is_ordered_up_to_on_the_echelon_position() -> None:
    env = make(("echelon/Serial-v0", "levels", "continuous"))
    env.reset(seed=0)
    lowest, highest = env.codec.level_range
    levels = env.state.echelon_inventory_position[0] + [3, 0, 5, 1]
    action = 2 * (levels - lowest) / (highest - lowest) - 1
    np.testing.assert_array_equal(env.codec.orders(action[None], env.state), [[3, 0, 5, 1]])


def test_the_observation_is_stock_and_pipeline_in_periods_of_mean_demand() -> None:
    env = make(("echelon/LostSales-v0", "orders", "discrete"), lead_time=3)
    observation, _ = env.reset(seed=0)
    np.testing.assert_array_equal(observation, np.array([10, 5, 5, 0], dtype=np.float32) / 5)
    observation, *_ = env.step(7)
    on_hand = env.state.on_hand[0, 0]
    np.testing.assert_array_equal(observation, np.array([on_hand, 5, 7, 0], dtype=np.float32) / 5)


def test_the_phase_of_the_season_is_observed() -> None:
    env = make(("echelon/LostSales-v0", "orders", "continuous"), demand={"law": "poisson", "seasonal": [0.5, 1, 1.5]})
    observations, _, _ = play(env, [np.zeros(1)] * 7, seed=0)
    phases = observations[:, -2:]
    angle = 2 * np.pi * np.arange(8) / 3
    np.testing.assert_allclose(phases, np.column_stack([np.sin(angle), np.cos(angle)]), atol=1e-6)


@every_variant
def test_an_action_that_is_not_a_number_is_refused(variant: Variant) -> None:
    env = make(variant)
    env.reset(seed=0)
    links = len(env.problem.network.links)
    with pytest.raises(ValueError, match=r"actions must not be NaN .* in period 0"):
        env.step(np.full(links, np.nan))
    size = SMALL.get(variant[0], {})
    vector = make_vector_env(variant[0], num_envs=2, decision=variant[1], action=variant[2], **size)
    vector.reset(seed=0)
    actions = np.zeros((2, links))
    actions[1, 0] = np.nan
    with pytest.raises(ValueError, match="actions must not be NaN"):
        vector.step(actions)


@every_problem
def test_a_step_before_the_first_reset_is_refused(problem_id: str) -> None:
    size = SMALL.get(problem_id, {})
    env = make_env(problem_id, **size)
    with pytest.raises(RuntimeError, match="reset must be called before step"):
        env.step(env.action_space.sample())
    vector = make_vector_env(problem_id, num_envs=2, **size)
    with pytest.raises(RuntimeError, match="reset must be called before step"):
        vector.step(vector.action_space.sample())
    wrapped = gymnasium.make(f"echelon:{problem_id}", **size)
    with pytest.raises(gymnasium.error.ResetNeeded):
        wrapped.step(wrapped.action_space.sample())


@pytest.mark.parametrize(
    ("problem_id", "parameters", "message"),
    [
        ("echelon/LostSale-v0", {}, "unknown problem 'echelon/LostSale-v0'; did you mean 'echelon/LostSales-v0'?"),
        (
            "echelon/LostSales-v0",
            {"lead_tiem": 3},
            "echelon/LostSales-v0: lead_tiem: unknown key; did you mean 'lead_time'?",
        ),
        (
            "echelon/Serial-v0",
            {"stockout": 3, "perods": 5},
            "echelon/Serial-v0: stockout: unknown key; did you mean 'stockout_cost'?\n"
            "echelon/Serial-v0: perods: unknown key; did you mean 'periods'?",
        ),
        ("echelon/Serial-v0", {"lead_time": [1, 2]}, "lead_time must be one value or 4 (got 2)"),
        ("echelon/BeerGame-v0", {"holding_cost": [1, 2]}, "holding_cost must be one value or 4 (got 2)"),
        ("echelon/OneWarehouse-v0", {"demand": ["poisson"]}, "demand must be one value or 3 (got 1)"),
        (
            "echelon/DualSourcing-v0",
            {"expedited_lead_time": 2},
            "expedited_lead_time must be at least 0 and below regular_lead_time (got 2 and 2)",
        ),
        (
            "echelon/Perishable-v0",
            {"holding_cost": 8.0},
            "waste_cost must be at least holding_cost = 8 (got 7)",
        ),
        (
            "echelon/Perishable-v0",
            {"issuing": "filo"},
            "echelon/Perishable-v0: issuing: must be 'fifo' or 'lifo'; did you mean 'fifo'? (got 'filo')",
        ),
        ("echelon/Assembly-v0", {"lead_time": []}, "lead_time must have one value per component (got none)"),
        ("echelon/Assembly-v0", {"lead_time": [1, 2, 3]}, "quantity must be one value or 3 (got 2)"),
        ("echelon/ConsumerGoods-v0", {"subcontractors": 0}, "subcontractors must be at least 1 (got 0)"),
        ("echelon/ConsumerGoods-v0", {"distributors": 34}, "distributors must be at least 35 (got 34)"),
        ("echelon/Network-v0", {"path": "a.yaml", "network": {}}, "give either path or network, not both"),
    ],
)
def test_a_problem_that_cannot_be_made_is_refused_with_the_nearest_name(
    problem_id: str, parameters: dict[str, Any], message: str
) -> None:
    with pytest.raises(ConfigError) as error:
        make_problem(problem_id, **parameters)
    assert str(error.value) == message


@pytest.mark.parametrize(("option", "value"), [("decision", "order"), ("action", "box")])
def test_an_unknown_decision_or_action_kind_is_refused(option: str, value: str) -> None:
    with pytest.raises(ValueError, match=rf"{option} must be '\w+' or '\w+' \(got '{value}'\)"):
        make(("echelon/LostSales-v0", "orders", "continuous"), **{option: value})


def test_a_network_is_read_from_a_file_or_given_as_data(tmp_path: Path) -> None:
    network = make_problem("echelon/OneWarehouse-v0", retailers=2).network
    path = tmp_path / "network.yaml"
    network.to_yaml(path)
    from_file = make_problem("echelon/Network-v0", path=path)
    assert from_file.network == network
    assert from_file.parameters == {"path": path}
    env = gymnasium.make("echelon:echelon/Network-v0", path=str(path), periods=5, warm_up=0)
    assert isinstance(env.unwrapped, NetworkEnv)
    assert env.unwrapped.problem.network == network
    data = network.model_dump(exclude_defaults=True)
    assert make_problem("echelon/Network-v0", network=data).network == network
    assert make_problem("echelon/Network-v0", network=network).network is network


def test_a_discount_leaves_no_warm_up() -> None:
    problem = make_problem("echelon/Network-v0", discount=0.9, periods=3)
    assert problem.weights.tolist() == pytest.approx([1, 0.9, 0.81])


def test_costs_follow_the_parameters() -> None:
    network = make_problem("echelon/Serial-v0", lead_time=[3, 0, 2], holding_cost=[1.0, 1.5, 4.0]).network
    assert [link.lead_time for link in network.links] == [3, 0, 2]
    assert [link.transit_holding_cost for link in network.links] == [0.0, 1.0, 1.5]
    assert [node.holding_cost for node in network.nodes] == [1.0, 1.5, 4.0]
    retailers = make_problem(
        "echelon/OneWarehouse-v0", retailers=2, demand=[{"law": "poisson", "mean": 2}, "geometric"], lead_time=[1, 4]
    ).network
    assert retailers.mean_flow == (5.0, 2.0, 3.0)
    assert Network.model_validate(retailers.model_dump()) == retailers


# Average cost per period of the optimal policy: Poisson or geometric demand of mean 5, holding cost 1; value
# iteration by an independent program on the test bed of P. Zipkin, Operations Research 56(5), 2008.
OPTIMA = [
    ("poisson", 1, 4, 4.0407),
    ("poisson", 1, 9, 5.4382),
    ("poisson", 1, 39, 7.8359),
    ("poisson", 2, 4, 4.3953),
    ("poisson", 2, 19, 7.6644),
    ("poisson", 2, 39, 9.1064),
    ("poisson", 3, 9, 6.5314),
    ("poisson", 3, 19, 8.3625),
    ("poisson", 4, 4, 4.7285),
    ("poisson", 4, 9, 6.8359),
    ("poisson", 4, 39, 10.7944),
    ("geometric", 1, 4, 9.8175),
    ("geometric", 1, 19, 19.2179),
    ("geometric", 1, 39, 23.8657),
]


@pytest.mark.parametrize(("demand", "lead_time", "stockout_cost", "optimal"), OPTIMA)
def test_lost_sales_problems_know_their_optimal_cost(
    demand: str, lead_time: int, stockout_cost: float, optimal: float
) -> None:
    for scale in (1.0, 2.5):
        problem = make_problem(
            "echelon/LostSales-v0",
            demand=demand,
            lead_time=lead_time,
            holding_cost=scale,
            stockout_cost=scale * stockout_cost,
        )
        assert problem.reference is not None
        assert problem.reference.kind == "optimal"
        assert problem.reference.value == pytest.approx(scale * optimal, abs=scale * 5.1e-5)


def test_other_lost_sales_problems_know_no_optimal_cost() -> None:
    for parameters in ({"lead_time": 9}, {"demand_mean": 6.0}, {"stockout_cost": 5.0}, {"holding_cost": 0.0}):
        assert make_problem("echelon/LostSales-v0", **parameters).reference is None
