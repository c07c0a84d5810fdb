"""PPO's defaults over three seeds on the two problems of the quickstart.

Run with: python benchmarks/ppo.py OUT.csv   (about six minutes on one core)

Every seed trains 1.7 million periods; the policy is then evaluated on 4,000 fresh replications. The
gap is to the proven optimum: value iteration for lost sales, Clark-Scarf for the serial system.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from echelon.agents import train
from echelon.baselines import reference_of
from echelon.envs import make_problem, simulate_stream
from echelon.experiments.evaluate import estimate, gap

PROBLEMS = ("echelon/LostSales-v0", "echelon/Serial-v0")
SEEDS = (1, 2, 3)
STEPS = 1_700_000
COLUMNS = ("problem", "policy", "seed", "cost", "half_width", "reference", "gap_percent", "train_cpu_seconds")


def row(problem_id: str, seed: int) -> tuple[str | int | float, ...]:
    """Train and evaluate once."""
    problem = make_problem(problem_id)
    reference = reference_of(problem)
    assert reference is not None
    training = train(problem, algorithm="ppo", seed=seed, steps=STEPS)
    cost = estimate(simulate_stream(problem, training.policy, replications=4_000, seed=seed).cost)
    above = gap(cost, reference)
    assert above is not None
    figures = (cost.mean, cost.half_width, reference.value, above.percent)
    return (problem_id, "ppo", seed, *(round(x, 4) for x in figures), round(training.seconds, 1))


def main() -> None:
    """Write the table."""
    with Path(sys.argv[1]).open("w", newline="") as stream:
        table = csv.writer(stream)
        table.writerow(COLUMNS)
        for problem_id in PROBLEMS:
            for seed in SEEDS:
                table.writerow(row(problem_id, seed))
                stream.flush()


if __name__ == "__main__":
    main()
