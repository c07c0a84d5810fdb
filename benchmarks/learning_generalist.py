"""One policy for lost sales on instances that it was not trained on: its exact cost against the optimum.

    python benchmarks/learning_generalist.py FOLDER [--steps 2000] [--seeds 1]     (about 5 CPU minutes a seed)

The training problems are random: lead times 1, 2, 4, 5, 6 and 8, stockout costs from 2.5 to 60, means from 2.5 to 12,
with Poisson, negative binomial and discrete uniform demand; none has the mean 5, geometric demand, or the lead times 3
and 7. The test bed is that of Zipkin (2008), mean 5, lead times 1 to 4, stockout costs 4 to 39, Poisson and geometric
demand, and the same with lead times 5 to 7. So every instance is unseen, by (mean, stockout cost), all geometric ones
also by the law, and those of lead times 3 and 7 also by the lead time. Costs are those of the policy's Markov chain. It
writes the policy, and `learning_generalist.csv` with a row for each instance.
"""

from __future__ import annotations

import argparse
import csv
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from echelon.agents.generalist import train_generalist
from echelon.agents.learned import LearnedPolicy
from echelon.agents.support import OutsideTrainingWarning
from echelon.baselines.lost_sales_policy_cost import lost_sales_policy_cost
from echelon.envs.catalogue import make_problem
from echelon.envs.instances import INSTANCES
from echelon.envs.problem import Problem

COLUMNS = (
    "problem", "parameters", "policy", "seed", "cost", "half_width", "reference", "gap_percent", "train_cpu_seconds",
)  # fmt: skip
LEAD_TIMES = (1, 2, 4, 5, 6, 8)
STOCKOUT_COSTS = (2.5, 60.0)
MEANS = (2.5, 12.0)
PROBLEMS = 128
STEPS = 2_000
BATCH = (6, 16)
HIDDEN = (64, 64)
LONGEST = 7
"""The longest lead time of the test bed."""


def training_problems(count: int = PROBLEMS, *, seed: int = 0) -> list[Problem]:
    """Random problems of lost sales, without mean 5, geometric demand and the lead times 3 and 7."""
    random = np.random.default_rng(seed)
    return [
        make_problem(
            "echelon/LostSales-v0",
            lead_time=int(random.choice(LEAD_TIMES)),
            stockout_cost=round(float(np.exp(random.uniform(*np.log(STOCKOUT_COSTS)))), 2),
            demand=_law(random),
            periods=600,
            warm_up=100,
        )
        for _ in range(count)
    ]


def _law(random: np.random.Generator) -> dict[str, Any]:
    mean = round(float(np.exp(random.uniform(*np.log(MEANS)))), 2)
    kind = random.choice(3, p=(0.4, 0.45, 0.15))
    if kind == 0:
        return {"law": "poisson", "mean": mean}
    if kind == 1:
        shape = float(np.exp(random.uniform(*np.log((0.7, 6.0)))))
        return {"law": "negative_binomial", "mean": mean, "sd": round((mean + mean**2 / shape) ** 0.5, 3)}
    low = int(random.integers(0, 5))
    return {"law": "discrete_uniform", "low": low, "high": low + int(random.choice((4, 8, 12)))}


def test_bed() -> Iterator[tuple[str, Problem]]:
    """The 32 instances of Zipkin (2008), and those that go on with lead times 5 to 7."""
    for name in INSTANCES:
        if name.startswith("zipkin2008/") and int(name.split("-L")[1][0]) <= LONGEST:
            yield name, make_problem(name)


def rows(policy: LearnedPolicy, seed: int, seconds: float) -> Iterator[tuple[object, ...]]:
    """What the policy costs on every instance."""
    for name, problem in test_bed():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", OutsideTrainingWarning)
            used = policy.for_network(problem.network)
        # the support only counts what is strange; the chain is the same without it, and found faster
        found = lost_sales_policy_cost(problem, used.actor.orders, tolerance=1e-5)
        assert problem.reference is not None
        best = problem.reference.value
        figures = (found.cost, (found.high - found.low) / 2, best, 100 * (found.cost / best - 1))
        yield name, "", "generalist", seed, *(round(x, 5) for x in figures), round(seconds, 1)


def main(arguments: Sequence[str] | None = None) -> None:
    """Train, evaluate and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    given = parser.parse_args(arguments)
    given.folder.mkdir(parents=True, exist_ok=True)
    with (given.folder / "learning_generalist.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(COLUMNS)
        for seed in given.seeds:
            training = train_generalist(
                training_problems(),
                seed=seed,
                steps=given.steps,
                settings={"body": "shared", "hidden": HIDDEN, "batch": BATCH},
                checkpoint=given.folder / f"training-{seed}",
            )
            training.policy.save(given.folder / f"generalist-{seed}")
            for row in rows(training.policy, seed, training.seconds):
                writer.writerow(row)
                file.flush()
                print(*row, flush=True)


if __name__ == "__main__":
    main()
