"""The PettingZoo parallel environment: every node is an agent."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from pettingzoo.test import parallel_api_test, parallel_seed_test

from echelon.envs.catalogue import PROBLEMS
from echelon.envs.gym_env import make_env
from echelon.envs.multi_agent import NetworkParallelEnv, parallel_env

from .test_problems import SMALL


@pytest.fixture(autouse=True)
def _strict() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def make(problem_id: str, **options: Any) -> NetworkParallelEnv:
    return parallel_env(problem_id, periods=20, warm_up=0, **SMALL.get(problem_id, {}), **options)


@pytest.mark.parametrize("problem_id", PROBLEMS)
def test_every_problem_passes_the_tests_of_pettingzoo(problem_id: str) -> None:
    parallel_api_test(make(problem_id), num_cycles=60)
    parallel_seed_test(lambda: make(problem_id), num_cycles=10)


@pytest.mark.parametrize("options", [{"action": "discrete"}, {"decision": "levels"}, {"information": "global"}])
def test_every_form_passes_the_tests_of_pettingzoo(options: dict[str, Any]) -> None:
    parallel_api_test(make("echelon/OneWarehouse-v0", **options), num_cycles=30)


@pytest.mark.parametrize("problem_id", PROBLEMS)
def test_the_agents_together_are_the_single_environment(problem_id: str) -> None:
    several = make(problem_id, reward="own")
    single = make_env(problem_id, periods=20, warm_up=0, **SMALL.get(problem_id, {}))
    several.reset(seed=4)
    np.testing.assert_array_equal(single.reset(seed=4)[0], several.state())
    rng = np.random.default_rng(0)
    for _ in range(20):
        actions = {a: rng.uniform(-1, 1, several.action_space(a).shape) for a in several.possible_agents}
        joint = np.zeros(len(single.problem.network.links))
        for node, agent in enumerate(several.possible_agents):
            joint[single.codec.arrays.target == node] = actions[agent]
        observation, reward, _, ends, info = single.step(joint)
        _, rewards, terminations, truncations, infos = several.step(actions)
        np.testing.assert_array_equal(several.state(), observation)
        assert sum(rewards.values()) == pytest.approx(reward)
        assert sum(entry["cost"] for entry in infos.values()) == pytest.approx(info["cost"])
        assert not any(terminations.values())
        assert set(truncations.values()) == {ends}
    assert several.agents == []


def test_a_team_shares_one_reward() -> None:
    team = make("echelon/Serial-v0")
    team.reset(seed=1)
    _, rewards, _, _, infos = team.step({agent: np.zeros(1) for agent in team.agents})
    (reward,) = set(rewards.values())
    assert reward == pytest.approx(-sum(entry["cost"] for entry in infos.values()) / team.codec.cost_scale)


def test_an_agent_sees_its_own_place_only() -> None:
    env = make("echelon/Serial-v0")
    observations, _ = env.reset(seed=0)
    sizes = {agent: len(seen) for agent, seen in observations.items()}
    # net stock, one slot of the pipeline; from the second stage on what it is owed; all but the last what they owe
    assert sizes == {"stage_1": 3, "stage_2": 4, "stage_3": 4, "stage_4": 3}


def test_bad_calls_are_told() -> None:
    env = make("echelon/Serial-v0")
    env.reset(seed=0)
    with pytest.raises(ValueError, match=re.escape("missing stage_2, stage_3, stage_4")):
        env.step({"stage_1": np.zeros(1)})
    with pytest.raises(ValueError, match="reward must be 'team' or 'own'"):
        make("echelon/Serial-v0", reward="mine")
    with pytest.raises(ValueError, match="information must be 'local' or 'global'"):
        make("echelon/Serial-v0", information="none")
