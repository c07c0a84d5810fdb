"""PPO's defaults: how near to the optimum, in how many CPU seconds, and how fast beside one environment a copy.

Run with: python benchmarks/ppo.py results FOLDER   (about six minutes on one core)
          python benchmarks/ppo.py speed FOLDER     (about three minutes)

`results` writes ppo.csv. Every seed trains `STEPS` periods. The gap is to the proven optimum: on lost sales that of
value iteration, with the exact cost of the policy's Markov chain; on the serial system that of Clark and Scarf, as the
paired difference to their policy on 4,000 common replications.

`speed` writes ppo_speed.csv: training by the same network and settings on the native environment and on
`DummyVecEnv` with as many `NetworkEnv`, in turns, so that what else the machine does hits both.
"""

from __future__ import annotations

import csv
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from stable_baselines3.common.vec_env import DummyVecEnv, VecEnv

from echelon.agents.algorithms import DEFAULTS, NARROWING, horizon_settings
from echelon.agents.decisions import default_decision
from echelon.agents.sb3 import train_sb3
from echelon.agents.sb3_callbacks import BatchedBootstrap, Exploration, WeightAverage
from echelon.agents.sb3_model import new_model, training_env
from echelon.agents.training import half_width
from echelon.baselines import make_plan, reference_of
from echelon.baselines.lost_sales_policy_cost import lost_sales_policy_cost
from echelon.envs import make_problem, simulate_stream
from echelon.envs.codec import Codec
from echelon.envs.gym_env import NetworkEnv
from echelon.envs.policy import Policy
from echelon.envs.problem import Problem

LOST_SALES, SERIAL = "zipkin2008/poisson-L4-p4", "echelon/Serial-v0"
SEEDS = (1, 2, 3)
STEPS = 4_000_000
COLUMNS = ("problem", "policy", "seed", "cost", "half_width", "reference", "gap_percent", "train_cpu_seconds")

TURNS = 5
TURN_STEPS = 65_536
"""Steps of a turn of the comparison of speeds: eight rollouts of the default."""
SPEED_COLUMNS = ("problem", "turn", "environment", "steps", "cpu_seconds", "steps_per_second", "ratio")


def exact_cost(problem: Problem, policy: Policy) -> tuple[float, float]:
    """The cost of a policy on lost sales and what it may be wrong by."""
    cost = lost_sales_policy_cost(problem, policy, tolerance=1e-5)
    return cost.cost, (cost.high - cost.low) / 2


def paired_cost(problem: Problem, policy: Policy) -> tuple[float, float]:
    """The optimum's exact cost and the mean difference to it on common replications, with its half width."""
    plan = make_plan("clark_scarf", problem)
    assert plan.model_cost is not None
    costs = [simulate_stream(problem, each, replications=4_000, seed=0).cost for each in (policy, plan.policy)]
    above = costs[0] - costs[1]
    return plan.model_cost + float(above.mean()), half_width(above)


def row(problem_id: str, seed: int, measure: Callable[[Problem, Policy], tuple[float, float]]) -> tuple[object, ...]:
    """Train and evaluate once."""
    problem = make_problem(problem_id)
    reference = reference_of(problem)
    assert reference is not None
    training = train_sb3(problem, algorithm="ppo", seed=seed, steps=STEPS)
    cost, width = measure(problem, training.policy)
    gap = 100 * (cost / reference.value - 1)
    figures = (cost, width, reference.value, gap)
    return (problem_id, "ppo", seed, *(round(x, 5) for x in figures), round(training.seconds, 1))


def one_turn(problem: Problem, env: VecEnv | None, seed: int) -> tuple[int, float]:
    """Steps and CPU seconds of a training on the native environment, or on the one given."""
    defaults = DEFAULTS["ppo"]
    codec = Codec(problem.network, default_decision(problem.network))
    native = training_env(problem, codec, defaults.copies)
    settings = {**horizon_settings(problem, "ppo"), **defaults.settings}
    model = new_model("ppo", native, seed=seed, settings=settings, decision=codec.decision)
    helpers = [Exploration(NARROWING[codec.decision]), WeightAverage()]
    if env is not None:
        model.set_env(env)
    else:
        helpers.insert(0, BatchedBootstrap())
    began = time.process_time()
    model.learn(TURN_STEPS, callback=helpers)
    return model.num_timesteps, time.process_time() - began


def dummy_env(problem: Problem) -> DummyVecEnv:
    """As many single environments, with the episodes of the native one."""
    decision = default_decision(problem.network)
    native = training_env(problem, Codec(problem.network, decision), DEFAULTS["ppo"].copies)
    episodes = native.native.problem
    return DummyVecEnv([lambda: NetworkEnv(episodes, decision=decision) for _ in range(native.num_envs)])


def speeds(problem_id: str) -> list[tuple[object, ...]]:
    """The rows of one problem: both environments in turns, the first turn of each not counted."""
    torch.set_num_threads(1)
    problem = make_problem(problem_id)
    rows: list[tuple[object, ...]] = []
    for turn in range(TURNS + 1):
        taken = {"native": one_turn(problem, None, turn), "DummyVecEnv": one_turn(problem, dummy_env(problem), turn)}
        speed = {name: steps / seconds for name, (steps, seconds) in taken.items()}
        for name, (steps, seconds) in taken.items():
            ratio = round(speed["native"] / speed["DummyVecEnv"], 2) if name == "native" else ""
            if turn > 0:
                rows.append((problem_id, turn, name, steps, round(seconds, 3), round(speed[name]), ratio))
    ratios = [float(str(each[-1])) for each in rows if each[-1] != ""]
    print(f"{problem_id}: {np.median(ratios):.2f} times the steps per second of DummyVecEnv (median of {TURNS})")
    return rows


def main() -> None:
    """Write the tables."""
    what, folder = sys.argv[1], Path(sys.argv[2])
    name, columns = ("ppo.csv", COLUMNS) if what == "results" else ("ppo_speed.csv", SPEED_COLUMNS)
    with (folder / name).open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(columns)
        for problem_id, measure in ((LOST_SALES, exact_cost), (SERIAL, paired_cost)):
            if what == "speed":
                table.writerows(speeds(problem_id))
                continue
            for seed in SEEDS:
                table.writerow(row(problem_id, seed, measure))
                stream.flush()


if __name__ == "__main__":
    main()
