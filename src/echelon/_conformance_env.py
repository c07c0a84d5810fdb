"""Whether an environment is one: Gymnasium finds nothing to say, and it is the simulator turned inside out."""

from __future__ import annotations

import warnings
from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
from gymnasium.utils.env_checker import check_env as gymnasium_check_env
from gymnasium.vector import VectorEnv

from echelon._conformance import ConformanceError, close, told
from echelon.envs.gym_env import NetworkEnv
from echelon.envs.scenarios import sample_rows, stream_key
from echelon.envs.simulate import simulate
from echelon.envs.vector_env import NetworkVectorEnv

COPIES = 3
ROUNDING = 1e-9
"""Share by which two sums of the same numbers may differ."""


def check_env(
    env: gymnasium.Env[Any, Any] | str, *, vector_env: VectorEnv[Any, Any, Any] | None = None, seed: int = 0
) -> None:
    """Raise `ConformanceError` unless an environment, or the one of an id, is sound and honest.

    Gymnasium's own checker must pass without a warning. An episode must end by truncation after the problem's
    `periods`, stay in its spaces, and charge in every period what the simulator charges for the same orders on the
    same scenarios: those of the stream `environment` of the seed that it was reset with. The reward must be minus
    that cost over a constant. Copy k of the vector environment, reset with seed s, must equal the single one reset
    with seed s + k. Wrappers are taken off first.

    The vector environment is the one that is given, or that `gymnasium.make_vec` makes of the id; for a
    `NetworkEnv` without an id it is the native one; another environment has none.
    """
    single = gymnasium.make(env).unwrapped if isinstance(env, str) else env.unwrapped
    _check_attributes(single)
    _check_with_gymnasium(single)
    _check_episode(single, seed)
    vector = vector_env or _vector_of(single)
    if vector is not None:
        _check_vector(single, vector, seed)


def _check_with_gymnasium(env: Any) -> None:
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        try:
            gymnasium_check_env(env, skip_render_check=True)
        except Exception as error:
            raise ConformanceError(
                "Gymnasium's check_env must pass",
                got=told(error),
                mend="see the traceback above, and gymnasium.farama.org on Env.reset and Env.step",
            ) from error
    if said:
        raise ConformanceError(
            "Gymnasium's check_env must pass without a warning",
            got=told(said[0].message) if isinstance(said[0].message, Warning) else str(said[0].message),
            mend="do what the warning says",
        )


def _check_attributes(env: Any) -> None:
    missing = [name for name in ("problem", "codec", "state") if not hasattr(env, name)]
    if missing:
        raise ConformanceError(
            "an environment must tell its `problem`, its `codec` and its `state`",
            got=f"{type(env).__name__} without {', '.join(missing)}",
            mend="build on echelon.envs.gym_env.NetworkEnv, which has all three",
        )


def _check_episode(env: Any, seed: int) -> None:
    """One whole episode against the simulator."""
    periods, scale = env.problem.periods, None
    env.reset(seed=seed)
    env.action_space.seed(seed)
    orders, costs = [], []
    for t in range(periods):
        action = env.action_space.sample()
        orders.append(env.codec.orders(np.asarray(action)[None], env.state))
        observation, reward, terminated, truncated, info = env.step(action)
        if not env.observation_space.contains(observation):
            raise ConformanceError(
                "observations must lie in the observation space",
                got=f"{observation!r} in period {t}, of {env.observation_space}",
                mend="keep the dtype of the space, and clip to its bounds",
            )
        if terminated or bool(truncated) != (t + 1 == periods):
            raise ConformanceError(
                f"an episode must be truncated after {periods} periods, and never terminated",
                got=f"terminated={terminated}, truncated={truncated} after period {t}",
                mend="an inventory system does not end: return terminated=False, so that learners bootstrap",
            )
        cost = info.get("cost", np.nan)
        if cost and scale is None:
            scale = -reward / cost
        if not (np.isfinite(cost) and close(reward, -cost * (scale or 0.0), ROUNDING)) or (scale or 1.0) <= 0:
            raise ConformanceError(
                "the reward must be minus info['cost'] over one positive constant",
                got=f"a reward of {reward:g} for a cost of {cost:g} in period {t}",
                mend="return codec.reward(cost); shape rewards in a wrapper of the training, not in the environment",
            )
        costs.append(cost)
    _check_costs(env, seed, orders, np.array(costs))


def _check_costs(env: Any, seed: int, orders: list[Any], costs: np.ndarray) -> None:
    problem = replace(env.problem, warm_up=0)
    key = stream_key(seed, "environment")[None]
    scenarios = sample_rows(problem.network, key, [0], problem.periods)
    trace = simulate(problem, lambda state: orders[state.period], scenarios, trace=True).trace
    assert trace is not None
    charged = sum(part[0].sum(axis=1) for part in trace.costs.values())
    wrong = np.flatnonzero(~close(costs, charged, ROUNDING))
    if len(wrong):
        t = int(wrong[0])
        raise ConformanceError(
            "an environment must charge what the simulator charges for the same orders",
            got=f"{costs[t]:g} instead of {np.asarray(charged)[t]:g} in period {t}",
            mend="step with echelon.envs.step on scenarios of sample_rows(network, stream_key(seed, 'environment')"
            "[None], [episode], periods), and report ledger.cost; NetworkEnv does both",
        )


def _vector_of(env: Any) -> VectorEnv[Any, Any, Any] | None:
    if env.spec is not None and env.spec.vector_entry_point is not None:
        return gymnasium.make_vec(env.spec, num_envs=COPIES)
    if type(env) is NetworkEnv:
        return NetworkVectorEnv(env.problem, COPIES, decision=env.codec.decision, action=env.codec.action)
    return None


def _check_vector(env: Any, vector: VectorEnv[Any, Any, Any], seed: int) -> None:
    """Every copy of the vector environment against the single one, over one episode."""
    periods, copies = env.problem.periods, vector.num_envs
    env.action_space.seed(seed)
    actions = [[env.action_space.sample() for _ in range(copies)] for _ in range(periods)]
    together = [{"observation": vector.reset(seed=seed)[0]}]
    for taken in actions:
        observation, reward, _, truncated, info = vector.step(np.stack(taken))
        seen = info.get("final_obs", observation)
        together.append({"observation": seen, "reward": reward, "truncated": truncated, "cost": info["cost"]})
    for k in range(copies):
        alone = [{"observation": env.reset(seed=seed + k)[0]}]
        for taken in actions:
            observation, reward, _, truncated, info = env.step(taken[k])
            alone.append({"observation": observation, "reward": reward, "truncated": truncated, "cost": info["cost"]})
        for t, (one, all_of_them) in enumerate(zip(alone, together, strict=True)):
            for name, value in one.items():
                if not np.array_equal(np.asarray(value), np.asarray(all_of_them[name][k])):
                    raise ConformanceError(
                        f"copy {k} of the vector environment must equal the single one that is reset with seed + {k}",
                        got=f"another {name} after {t} periods: {all_of_them[name][k]!r} instead of {value!r}",
                        mend="seed the copies with seed, seed + 1, ..., and share one step between both",
                    )
