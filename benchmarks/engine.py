"""How fast the engine is: paired ratios, measured in turns in one process on one thread.

Run with: python benchmarks/engine.py [--json]

The system is serial with four stages, lead times of 1 and Poisson demand, under an echelon base-stock
policy. Times are CPU time. A ratio is the median over the rounds of two times taken one after the
other, so that a slow moment of the machine hits both.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable

import numpy as np

from echelon.envs.catalogue import make_problem
from echelon.envs.dynamics import initial_state
from echelon.envs.policy import order_up_to
from echelon.envs.scenarios import sample
from echelon.envs.simulate import simulate, stepper
from echelon.envs.vector_env import NetworkVectorEnv

ROUNDS = 7
REPLICATIONS = 1_024
COPIES = 1_024


def seconds(work: Callable[[], object]) -> float:
    """CPU time of one call."""
    started = time.process_time()
    work()
    return time.process_time() - started


def measure() -> dict[str, float]:
    """Every figure of the benchmark; the compiled code is warmed up first."""
    problem = make_problem("echelon/Serial-v0")
    network = problem.network
    policy = order_up_to(network, [33, 28, 22, 17], position="echelon")
    scenarios = sample(network, periods=problem.periods, replications=REPLICATIONS, seed=0)
    node_periods = problem.periods * len(network.nodes) * REPLICATIONS

    def with_sampling() -> None:
        simulate(problem, policy, sample(network, periods=problem.periods, replications=REPLICATIONS, seed=1))

    def stepwise(backend: str) -> Callable[[], None]:
        step = stepper("compiled" if backend == "compiled" else "specification")
        part = scenarios[:64]

        def run() -> None:
            state = initial_state(network, part.replications)
            for t in range(200):
                state, _ = step(state, policy(state), part.demand[:, t])

        return run

    fused = lambda: simulate(problem, policy, scenarios)  # noqa: E731
    specification = lambda: simulate(problem, policy, scenarios[:64], backend="specification")  # noqa: E731
    vector = vector_steps()
    for work in (fused, stepwise("compiled"), vector):
        work()
    rounds = [
        {
            "fused": seconds(fused) / node_periods,
            "sampled": seconds(with_sampling) / node_periods,
            "specification": seconds(specification) / (node_periods * 64 / REPLICATIONS),
            "compiled_step": seconds(stepwise("compiled")),
            "specified_step": seconds(stepwise("specification")),
            "vector": seconds(vector) / (100 * COPIES),
        }
        for _ in range(ROUNDS)
    ]

    def ratio(slow: str, fast: str) -> float:
        return statistics.median(r[slow] / r[fast] for r in rounds)

    def rate(name: str) -> float:
        return 1 / statistics.median(r[name] for r in rounds)

    return {
        "node_periods_per_cpu_second": rate("fused"),
        "node_periods_per_cpu_second_with_sampling": rate("sampled"),
        "vector_env_steps_per_cpu_second": rate("vector"),
        "ratio_fused_to_specification": ratio("specification", "fused"),
        "ratio_compiled_step_to_specification": ratio("specified_step", "compiled_step"),
    }


def vector_steps() -> Callable[[], None]:
    """100 steps of the native vector environment."""
    env = NetworkVectorEnv(make_problem("echelon/Serial-v0"), COPIES)
    env.reset(seed=0)
    action = np.zeros(env.action_space.shape or (), dtype=np.float32)

    def run() -> None:
        for _ in range(100):
            env.step(action)

    return run


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON")
    arguments = parser.parse_args()
    figures = measure()
    if arguments.json:
        print(json.dumps(figures))
        return
    for name, value in figures.items():
        print(f"{name:45} {value:,.4g}" if value < 1_000 else f"{name:45} {value:,.0f}")


if __name__ == "__main__":
    main()
