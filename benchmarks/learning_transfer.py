"""One policy for one warehouse with many stores, trained on small networks: its cost on larger ones.

    python benchmarks/learning_transfer.py FOLDER [--steps 1000] [--seeds 1]     (about 6 CPU minutes a seed)

The training networks are random, with 2 to 6 stores: lead times 1 to 4 and 1 to 3, holding costs 0.2 to 0.9 at the
warehouse and 1 in the stores, stockout costs 5 to 40, Poisson or negative binomial demand with means 2 to 8. The
networks of the test are drawn alike, with other seeds and 6, 10, 20 and 50 stores. Beside the policy stand rules that
are made for the very network of the test; all meet the same fresh demand, and gaps are those of the paired differences
to the best of the rules. It writes the policy, and `learning_transfer.csv`.
"""

from __future__ import annotations

import argparse
import csv
import time
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from echelon.agents.generalist import train_generalist
from echelon.agents.learned import LearnedPolicy
from echelon.agents.support import OutsideTrainingWarning
from echelon.agents.training import half_width
from echelon.baselines import make_plan
from echelon.envs.catalogue import make_problem
from echelon.envs.problem import Problem
from echelon.envs.simulate import simulate_stream

COLUMNS = (
    "problem", "parameters", "policy", "seed", "cost", "half_width", "reference", "gap_percent", "train_cpu_seconds",
)  # fmt: skip
SMALL, LARGE = (2, 3, 4, 5, 6), (6, 10, 20, 50)
NETWORKS = 30
INSTANCES = 2
"""Networks of the test of each size."""
RULES: dict[str, dict[str, Any]] = {
    "base_stock": {},
    "simulation_optimization": {"rule": "base_stock"},
    "eppen_schrage": {},
    "federgruen_zipkin": {},
}
"""The first two are tuned by simulation, with a level for each link: a descent from the levels of formulas, and a
search in stages. The others bring the warehouse to an echelon level and share its stock out anew in every period."""
REPLICATIONS = 500
STEPS = 1_000
SETTINGS = {"body": "graph", "hidden": (48, 48, 48), "batch": (8, 16)}


def random_network(stores: int, *, seed: int) -> Problem:
    """One warehouse with stores of their own costs, lead times and demand."""
    random = np.random.default_rng((seed, stores))
    return make_problem(
        "echelon/OneWarehouse-v0",
        retailers=stores,
        warehouse_lead_time=int(random.integers(1, 5)),
        lead_time=[int(time) for time in random.integers(1, 4, stores)],
        warehouse_holding_cost=round(float(random.uniform(0.2, 0.9)), 2),
        stockout_cost=[round(float(np.exp(random.uniform(np.log(5), np.log(40)))), 1) for _ in range(stores)],
        demand=[_law(random) for _ in range(stores)],
        periods=600,
        warm_up=100,
    )


def _law(random: np.random.Generator) -> dict[str, Any]:
    mean = round(float(random.uniform(2, 8)), 1)
    if random.random() < 0.5:
        return {"law": "poisson", "mean": mean}
    return {"law": "negative_binomial", "mean": mean, "sd": round((mean * random.uniform(1.3, 3.0)) ** 0.5, 3)}


def rows(policy: LearnedPolicy, seed: int, seconds: float) -> Iterator[tuple[object, ...]]:
    """What the policy and the rules cost on every network of the test."""
    for stores in LARGE:
        for instance in range(INSTANCES):
            problem = random_network(stores, seed=1_000 + instance)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", OutsideTrainingWarning)
                used = policy.for_network(problem.network)
            costs, tuning = {}, {}
            for rule, choices in RULES.items():
                began = time.process_time()
                plan = make_plan(rule, problem, **choices)
                tuning[rule] = time.process_time() - began
                costs[rule] = _costs(problem, plan.policy)
            best = min(costs, key=lambda rule: float(costs[rule].mean()))
            costs["generalist"], tuning["generalist"] = _costs(problem, used.actor.orders), seconds
            reference = float(costs[best].mean())
            for name, found in costs.items():
                above = found - costs[best]
                figures = (found.mean(), half_width(above), reference, 100 * above.mean() / reference)
                told = f"stores={stores} instance={instance}"
                yield problem.name, told, name, seed, *(round(float(x), 5) for x in figures), round(tuning[name], 1)


def _costs(problem: Problem, policy: Any) -> np.ndarray:
    return simulate_stream(problem, policy, replications=REPLICATIONS, seed=7).cost


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, evaluate and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    given = parser.parse_args(arguments)
    given.folder.mkdir(parents=True, exist_ok=True)
    problems = [random_network(SMALL[k % len(SMALL)], seed=k) for k in range(NETWORKS)]
    with (given.folder / "learning_transfer.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for seed in given.seeds:
            training = train_generalist(
                problems,
                seed=seed,
                steps=given.steps,
                settings=SETTINGS,
                checkpoint=given.folder / f"transfer-training-{seed}",
            )
            training.policy.save(given.folder / f"transfer-{seed}")
            for row in rows(training.policy, seed, training.seconds):
                writer.writerow(row)
                file.flush()
                print(*row, flush=True)


if __name__ == "__main__":
    main()
