"""The conformance kit: what is sound passes, and what is broken is named, with what to do about it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from numpy.typing import NDArray

from echelon.baselines import make_plan
from echelon.envs import Codec, Network, Policy, Problem, Reference, State, base_stock_levels, make_problem, sample
from echelon.envs.catalogue import PROBLEMS
from echelon.envs.demand import Poisson
from echelon.envs.gym_env import NetworkEnv
from echelon.envs.policy import order_up_to
from echelon.envs.vector_env import NetworkVectorEnv
from echelon.testing import ConformanceError, check_env, check_policy, check_problem

from .test_problems import SMALL

Floats = NDArray[np.float64]

SHOP = make_problem("echelon/LostSales-v0", lead_time=2, periods=12, warm_up=2)
CHAIN = make_problem("echelon/Serial-v0", periods=12, warm_up=2)
TREE = make_problem("echelon/OneWarehouse-v0", periods=12, warm_up=2)
FUTURE = sample(TREE.network, periods=TREE.periods, replications=10, seed=0).demand

every_problem = pytest.mark.parametrize("problem_id", PROBLEMS)


def small(problem_id: str, periods: int = 15) -> Problem:
    return make_problem(problem_id, **{"periods": periods, "warm_up": 0, **SMALL.get(problem_id, {})})


def gap(state: State, level: float = 20.0) -> Floats:
    """What is missing to a level on every link [B, E]: a sound policy that others here break."""
    return np.asarray(np.maximum(level - state.inventory_position, 0.0))


# What conforms.


@every_problem
def test_base_stock_conforms_on_every_problem_of_the_catalogue(problem_id: str) -> None:
    problem = small(problem_id)
    check_policy(order_up_to(problem.network, base_stock_levels(problem.network)), problem, strict=True)


@every_problem
def test_every_problem_of_the_catalogue_conforms(problem_id: str) -> None:
    check_problem(replace(small(problem_id), reference=None), periods=15)


@every_problem
def test_every_environment_of_the_catalogue_conforms(problem_id: str) -> None:
    check_env(gymnasium.make(problem_id, **{"periods": 15, "warm_up": 0, **SMALL.get(problem_id, {})}))


@pytest.mark.parametrize("action", ["continuous", "discrete"])
def test_environments_with_other_decisions_conform(action: Any) -> None:
    check_env(NetworkEnv(CHAIN, decision="levels", action=action))


def test_an_id_is_enough_for_an_environment() -> None:
    check_env("echelon/BeerGame-v0")


@pytest.mark.parametrize(
    "reference",
    [
        Reference(4.3953, "optimal", "Zipkin (2008)"),
        Reference(4.3, "lower_bound", "a relaxation"),
        Reference(4.45, "best_known", "a heuristic"),
    ],
)
def test_a_reference_that_can_be_true_conforms(reference: Reference) -> None:
    check_problem(replace(known_shop(), reference=reference))


def known_shop() -> Problem:
    """Lost sales whose optimum is 4.3953."""
    return make_problem("echelon/LostSales-v0", lead_time=2, stockout_cost=4.0, periods=600, warm_up=100)


@pytest.mark.parametrize("name", ["optimal", "constant_order", "myopic_lost_sales", "dynamic_stock", "ddmrp", "drp"])
def test_policies_that_are_no_plain_rules_conform(name: str) -> None:
    check_policy(make_plan(name, known_shop()).policy, known_shop())


def test_orders_that_the_engine_has_to_round_conform_unless_it_is_strict() -> None:
    problem = in_lots()
    check_policy(lambda state: np.full((state.batch, 1), 7.0), problem)
    with pytest.raises(ConformanceError, match="within min_order, lot_size and max_order of their link\n  got: 7 on"):
        check_policy(lambda state: np.full((state.batch, 1), 7.0), problem, strict=True)


def in_lots() -> Problem:
    network = SHOP.network
    link = network.links[0].model_copy(update={"lot_size": 5.0, "max_order": 20.0})
    return replace(SHOP, network=Network.from_dict(network.model_copy(update={"links": (link,)}).model_dump()))


def test_a_policy_may_warn() -> None:
    def warning(state: State) -> Floats:
        warnings.warn("outside of the training", stacklevel=1)
        return gap(state)

    check_policy(warning, CHAIN)


def test_the_error_is_an_assertion_and_has_three_parts() -> None:
    with pytest.raises(AssertionError) as caught:
        check_policy(lambda state: -gap(state), CHAIN)
    error = caught.value
    assert isinstance(error, ConformanceError)
    assert error.must == "orders must be at least 0"
    assert str(error) == f"{error.must}\n  got: {error.got}\n  mend: {error.mend}"
    assert "link outside -> stage_1, period 0, row 0 of 7" in error.got


# Broken policies.


def in_place(state: State) -> Floats:
    state.on_hand[:] += 1.0
    return gap(state)


def in_a_table(state: State) -> Floats:
    state.arrays.stockout_cost[:] *= 2
    try:
        return gap(state)
    finally:
        SPOILT.append(state.arrays)


SPOILT: list[Any] = []


def at_random(state: State) -> Floats:
    return np.random.default_rng().integers(0, 9, gap(state).shape).astype(float)


def by_the_mean_of_the_batch(state: State) -> Floats:
    return np.asarray(gap(state) + np.rint(state.on_hand.mean()))


def by_the_place_in_the_batch(state: State) -> Floats:
    return np.asarray(gap(state) + np.arange(state.batch)[:, None])


def clairvoyant(state: State) -> Floats:
    """Orders of the stores what their customers are going to ask for."""
    return np.concatenate([gap(state)[:, :1], FUTURE[: state.batch, state.period]], axis=1)


def only_for_many(state: State) -> Floats:
    if state.batch == 1:
        raise IndexError("too few rows")
    return gap(state)


def at_the_start_only(state: State) -> Floats:
    return gap(state) if state.period < 5 else gap(state) * np.nan


def before_the_last_period(state: State) -> Floats:
    return np.asarray(gap(state) + [3.0, 2.0, 1.0, 0.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 1.0][state.period])


@dataclass
class Remembers:
    """Smooths the stock that it has seen so far, the same within a period."""

    seen: dict[int, float] = field(default_factory=dict)

    def __call__(self, state: State) -> Floats:
        self.seen.setdefault(state.period, float(len(self.seen)))
        self.seen = {**self.seen, -1: max(self.seen.get(-1, 0.0), state.period)}
        return np.asarray(gap(state) + self.seen[-1])


@dataclass
class Buffered:
    """Writes into the array that it returned before."""

    orders: Floats = field(default_factory=lambda: np.zeros((7, 4)))

    def __call__(self, state: State) -> Floats:
        self.orders[: state.batch] = gap(state)
        return self.orders[: state.batch]


BROKEN_POLICIES: dict[str, tuple[Any, Problem, str]] = {
    "one number": (
        lambda state: state.period * 1.0,
        CHAIN,
        "array of shape (7, 4): replications by links\n  got: float of shape ()",
    ),
    "a row too few": (lambda state: gap(state)[0], CHAIN, "got: ndarray of shape (4,)"),
    "a list": (lambda state: gap(state).tolist(), CHAIN, "got: list of shape ()"),
    "text": (lambda state: gap(state).astype(str), CHAIN, "must be real numbers"),
    "truth values": (lambda state: gap(state) > 0, CHAIN, "got: dtype bool"),
    "not a number": (lambda state: gap(state) * np.nan, CHAIN, "must be finite"),
    "negative": (lambda state: -gap(state), CHAIN, "must be at least 0"),
    "halves": (lambda state: gap(state) / 2 + 0.25, CHAIN, "must be whole on a network of whole units"),
    "endless": (lambda state: np.full((state.batch, 4), 1e17), CHAIN, "small enough for every unit to count"),
    "in place": (in_place, CHAIN, "must not change the state that it is given\n  got: state.on_hand"),
    "in a table": (in_a_table, CHAIN, "state.arrays.stockout_cost changed"),
    "at random": (at_random, CHAIN, "same state must get the same orders twice"),
    "batch mean": (by_the_mean_of_the_batch, CHAIN, "a batch of 1 must get the orders that its rows get"),
    "place in the batch": (by_the_place_in_the_batch, CHAIN, "must not look ahead"),
    "clairvoyant": (clairvoyant, TREE, "scenarios that share the past must get the same orders"),
    "only for many": (only_for_many, CHAIN, "got: IndexError: too few rows in period 0, with a batch of 1"),
    "not at the end": (before_the_last_period, CHAIN, "got: IndexError: list index out of range in period 11"),
    "memory": (Remembers(), CHAIN, "when it is met again"),
    "buffer": (Buffered(), CHAIN, "must not change afterwards"),
}


@pytest.mark.parametrize("name", BROKEN_POLICIES)
def test_a_broken_policy_is_named_with_what_it_breaks(name: str) -> None:
    policy, problem, words = BROKEN_POLICIES[name]
    with pytest.raises(ConformanceError) as caught:
        check_policy(policy, problem)
    while SPOILT:
        SPOILT.pop().stockout_cost[:] /= 2
    assert words in str(caught.value)
    assert caught.value.mend


def test_a_policy_that_breaks_in_the_middle_of_a_run_is_caught() -> None:
    with pytest.raises(ConformanceError, match=r"orders must be finite\n  got: nan on link .*, period 5"):
        check_policy(at_the_start_only, CHAIN)


def test_rounding_between_batches_is_forgiven_with_a_tolerance_and_no_more() -> None:
    continuous = make_problem("echelon/Network-v0", network=CHAIN.network.model_copy(update={"units": "continuous"}))

    def blas(error: float) -> Policy:
        return lambda state: np.asarray(gap(state) * (1 + error * state.batch))

    with pytest.raises(ConformanceError, match="pass tolerance"):
        check_policy(blas(1e-9), continuous)
    check_policy(blas(1e-9), continuous, tolerance=1e-6)
    with pytest.raises(ConformanceError, match="pass tolerance"):
        check_policy(blas(1e-3), continuous, tolerance=1e-6)


# Broken problems.


class Shifting(Poisson):
    """A law of one's own: no file knows it."""


class Restless(Poisson):
    """Draws from a generator of its own."""

    generator: ClassVar[np.random.Generator] = np.random.default_rng(0)

    def inversion(self, factor: float = 1.0) -> None:
        return None

    def sample(self, uniform: Floats, start: int = 0) -> Floats:
        return self.generator.poisson(5.0, uniform.shape).astype(float)


def changed(problem: Problem, **node: Any) -> Problem:
    """The problem with some fields of its last node changed, without validation."""
    network = problem.network
    nodes = (*network.nodes[:-1], network.nodes[-1].model_copy(update=node))
    return replace(problem, network=network.model_copy(update={"nodes": nodes}), reference=None)


def referring(value: float, kind: Any, source: str = "a paper") -> Problem:
    return replace(known_shop(), reference=Reference(value, kind, source))


BROKEN_PROBLEMS: dict[str, tuple[Callable[[], Problem], str]] = {
    "negative price": (lambda: changed(SHOP, holding_cost=-1.0), "must be valid"),
    "no such rule": (lambda: changed(SHOP, stockout_rule="wait"), "must be valid"),
    "stock of halves": (lambda: changed(SHOP, initial_on_hand=0.5), "must be valid"),
    "law of its own": (lambda: changed(SHOP, demand=Shifting(mean=5.0)), "must be valid"),
    "not finite": (lambda: referring(np.nan, "optimal"), "must be a finite cost with its source"),
    "no source": (lambda: referring(4.3953, "optimal", " "), "must be a finite cost with its source"),
    "optimum too high": (lambda: referring(4.6, "optimal"), "must not exceed the optimum"),
    "optimum too low": (lambda: referring(4.0, "optimal"), "must not be below what is proven"),
    "bound too high": (lambda: referring(4.5, "lower_bound"), "must not exceed the optimum"),
    "best known too low": (lambda: referring(4.2, "best_known"), "must not be below what is proven"),
    "best known is not": (lambda: referring(9.0, "best_known"), "must not be beaten by tuned base stock"),
}


@pytest.mark.parametrize("name", BROKEN_PROBLEMS)
def test_a_broken_problem_is_named_with_what_it_breaks(name: str) -> None:
    build, words = BROKEN_PROBLEMS[name]
    with pytest.raises(ConformanceError) as caught:
        check_problem(build())
    assert words in str(caught.value)
    assert caught.value.mend


def test_a_bound_above_what_base_stock_costs_is_caught_where_no_exact_method_applies() -> None:
    problem = make_problem("echelon/OneWarehouse-v0", periods=300, warm_up=100)
    with pytest.raises(ConformanceError, match="lower_bound must not be beaten by tuned base stock"):
        check_problem(replace(problem, reference=Reference(100.0, "lower_bound", "a paper")))


def test_demand_that_does_not_repeat_is_caught() -> None:
    from echelon._conformance_problem import _check_scenarios

    with pytest.raises(ConformanceError, match="scenarios of one seed must be the same"):
        _check_scenarios(changed(SHOP, demand=Restless(mean=5.0)), 0, 10)


def test_costs_that_are_not_those_of_the_prices_are_caught() -> None:
    from echelon._conformance_problem import _check_accounts

    problem = replace(SHOP, network=Network.from_dict(SHOP.network.model_dump()), reference=None)
    _check_accounts(problem, 0, 10)
    Codec(problem.network).arrays.stockout_cost[:] *= 2
    try:
        with pytest.raises(ConformanceError, match="the sum over all kinds of a quantity times its price"):
            _check_accounts(problem, 0, 10)
    finally:
        Codec(problem.network).arrays.stockout_cost[:] /= 2


# Broken environments.


class Flattering(NetworkEnv):
    def step(self, action: Any) -> Any:
        observation, reward, terminated, truncated, info = super().step(action)
        return observation, reward * 0.9, terminated, truncated, {"cost": info["cost"] * 0.9}


class Shaped(NetworkEnv):
    def step(self, action: Any) -> Any:
        observation, reward, *rest = super().step(action)
        return observation, reward + 0.1 * float(observation[0] > 0), *rest


class Praising(NetworkEnv):
    def step(self, action: Any) -> Any:
        observation, reward, *rest = super().step(action)
        return observation, -reward, *rest


class Ending(NetworkEnv):
    def step(self, action: Any) -> Any:
        observation, reward, _, truncated, info = super().step(action)
        return observation, reward, truncated, truncated, info


class Endless(NetworkEnv):
    def step(self, action: Any) -> Any:
        observation, reward, terminated, _, info = super().step(action)
        return observation, reward, terminated, False, info


class Doubled(NetworkEnv):
    def reset(self, **options: Any) -> Any:
        observation, info = super().reset(**options)
        return observation.astype(np.float64), info


class Overflowing(NetworkEnv):
    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        low, high = self.observation_space.low / 500, self.observation_space.high / 500  # type: ignore[attr-defined]
        self.observation_space = spaces.Box(low, high, dtype=np.float32)


class Unseeded(NetworkEnv):
    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> Any:
        super().reset(seed=seed)
        return super().reset(seed=int(np.random.default_rng().integers(2**31)))


class Mute(NetworkEnv):
    def step(self, action: Any) -> Any:
        return *super().step(action)[:4], {}


BROKEN_ENVIRONMENTS: dict[str, tuple[Callable[[], gymnasium.Env[Any, Any]], str]] = {
    "charges less": (lambda: Flattering(CHAIN), "must charge what the simulator charges"),
    "shaped reward": (lambda: Shaped(CHAIN), "minus info['cost'] over one positive constant"),
    "reward of the wrong sign": (lambda: Praising(CHAIN), "minus info['cost'] over one positive constant"),
    "terminates": (lambda: Ending(CHAIN), "never terminated\n  got: terminated=True, truncated=True after period 11"),
    "does not end": (lambda: Endless(CHAIN), "got: terminated=False, truncated=False after period 11"),
    "wrong dtype": (lambda: Doubled(CHAIN), "Gymnasium's check_env must pass"),
    "out of its space": (lambda: Overflowing(CHAIN), "observation"),
    "forgets its seed": (lambda: Unseeded(CHAIN), "Gymnasium's check_env must pass"),
    "tells no cost": (lambda: Mute(CHAIN), "for a cost of nan"),
    "another one": (lambda: gymnasium.make("CartPole-v1"), "CartPoleEnv without problem, codec"),
}


@pytest.mark.parametrize("name", BROKEN_ENVIRONMENTS)
def test_a_broken_environment_is_named_with_what_it_breaks(name: str) -> None:
    build, words = BROKEN_ENVIRONMENTS[name]
    with pytest.raises(ConformanceError) as caught:
        check_env(build())
    assert words in str(caught.value)
    assert caught.value.mend


class OneSeedForAll(NetworkVectorEnv):
    def reset(self, *, seed: Any = None, options: Any = None) -> Any:
        return super().reset(seed=[seed] * self.num_envs, options=options)


class Dearer(NetworkVectorEnv):
    def step(self, actions: Any) -> Any:
        observation, reward, terminated, truncated, info = super().step(actions)
        return observation, reward, terminated, truncated, {**info, "cost": info["cost"] * (1 + 1e-15)}


@pytest.mark.parametrize(
    ("vector", "words"),
    [
        (OneSeedForAll(CHAIN, 3), "copy 1 of the vector environment must equal the single one"),
        (Dearer(CHAIN, 3), "another cost after 1 periods"),
        (NetworkVectorEnv(make_problem("echelon/Serial-v0", periods=11, warm_up=2), 3), "after 11 periods"),
    ],
)
def test_a_vector_environment_that_differs_from_single_ones_is_caught(vector: NetworkVectorEnv, words: str) -> None:
    with pytest.raises(ConformanceError) as caught:
        check_env(NetworkEnv(CHAIN), vector_env=vector)
    assert words in str(caught.value)
