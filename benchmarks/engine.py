"""How fast the engine is: paired ratios, measured in turns on one thread.

Run with: python benchmarks/engine.py [--json] [--peers PYTHON]

The system is serial with four stages, lead times of 1 and Poisson demand, under a base-stock policy. It
is held against a hand-written loop in C for just this system (`limit.c`, compiled with gcc), against the
specification, and against other simulators: those need `pip install stockpyl gym-invmgmt`, here or in
an environment of their own whose interpreter `--peers` names. What cannot be measured is null.

Times are CPU time. A ratio is the median over the rounds of two times taken one after the other, so that
a slow moment of the machine hits both. A ratio above 1 means that this package is faster.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from echelon.envs.catalogue import make_problem
from echelon.envs.dynamics import initial_state
from echelon.envs.gym_env import NetworkEnv
from echelon.envs.network import Network
from echelon.envs.node_outcome import simulate_nodes
from echelon.envs.policy import order_up_to
from echelon.envs.problem import Problem
from echelon.envs.scenarios import Scenarios, sample
from echelon.envs.simulate import simulate, simulate_cost, stepper
from echelon.envs.vector_env import NetworkVectorEnv

ROUNDS = 9
REPLICATIONS = 1_024
COPIES = 1_024
LEVELS = (5.0, 6.0, 5.0, 17.0)
"""Best installation base-stock levels of the serial system."""
RETAILERS = 20
WAREHOUSE_LEVELS = (110.0, *[10.0] * RETAILERS)
"""Best base-stock levels of the warehouse and of its retailers; the warehouse is short in most periods."""
WIDTH = 64
"""Replications in a block of `limit.c`."""
PEERS = ("stockpyl", "gym-invmgmt")

Work = Callable[[], object]
Ask = Callable[[str], float | None]


def seconds(work: Work) -> float:
    """CPU time of one call."""
    started = time.process_time()
    work()
    return time.process_time() - started


def measure(peers: Ask) -> dict[str, float | None]:
    """Every figure of the benchmark. `peers` tells the CPU seconds per node-period of another simulator."""
    problem = make_problem("echelon/Serial-v0")
    scenarios = sample(problem.network, periods=problem.periods, replications=REPLICATIONS, seed=0)
    rule = order_up_to(problem.network, LEVELS)
    node_periods = problem.periods * len(problem.network.nodes) * REPLICATIONS
    limit = limit_of(problem, scenarios)
    if limit is not None:
        np.testing.assert_allclose(limit(), simulate_cost(problem, rule, scenarios), rtol=1e-6)

    def with_sampling() -> None:
        fresh = sample(problem.network, periods=problem.periods, replications=REPLICATIONS, seed=1)
        simulate_cost(problem, rule, fresh)

    warehouse, warehouse_node_periods = one_warehouse()
    works: dict[str, tuple[Work, float]] = {
        "fused": (lambda: simulate_cost(problem, rule, scenarios), node_periods),
        **({} if limit is None else {"limit": (limit, node_periods)}),
        "warehouse": (warehouse, warehouse_node_periods),
        "sampled": (with_sampling, node_periods),
        "by node": (lambda: simulate_nodes(problem, rule, scenarios), node_periods),
        "all quantities": (lambda: simulate(problem, rule, scenarios), node_periods),
        "specified": (
            lambda: simulate(problem, rule, scenarios[:64], backend="specification"),
            node_periods * 64 / REPLICATIONS,
        ),
        "compiled step": (steps(problem.network, scenarios[:64], LEVELS, "compiled"), 1),
        "specified step": (steps(problem.network, scenarios[:64], LEVELS, "specification"), 1),
        "env": (env_steps(), 1_000),
        "vector env": (vector_steps(), 100 * COPIES),
    }
    for work, _ in works.values():
        work()
    for name in PEERS:
        peers(name)
    return figures([measure_round(works, peers) for _ in range(ROUNDS)])


def measure_round(works: dict[str, tuple[Work, float]], peers: Ask) -> dict[str, float | None]:
    """CPU seconds per unit of every kind of work; what is short is repeated, up to about a tenth of a second."""
    times: dict[str, float | None] = {}
    for name, (work, units) in works.items():
        spent, count = seconds(work), 1
        while spent < 0.02:
            spent, count = spent + seconds(work), count + 1
        times[name] = spent / (count * units)
    return times | {name: peers(name) for name in PEERS}


def figures(rounds: list[dict[str, float | None]]) -> dict[str, float | None]:
    """The medians over the rounds."""

    def ratio(slow: str, fast: str) -> float | None:
        pairs = [(r.get(slow), r.get(fast)) for r in rounds]
        found = [a / b for a, b in pairs if a is not None and b is not None]
        return statistics.median(found) if found else None

    def rate(name: str) -> float:
        return 1 / statistics.median(t for r in rounds if (t := r[name]) is not None)

    return {
        "node_periods_per_cpu_second": rate("fused"),
        "node_periods_per_cpu_second_one_warehouse": rate("warehouse"),
        "node_periods_per_cpu_second_with_sampling": rate("sampled"),
        "node_periods_per_cpu_second_by_node": rate("by node"),
        "node_periods_per_cpu_second_all_quantities": rate("all quantities"),
        "env_steps_per_cpu_second": rate("env"),
        "vector_env_steps_per_cpu_second": rate("vector env"),
        "ratio_to_limit": ratio("limit", "fused"),
        "ratio_to_limit_one_warehouse": ratio("limit", "warehouse"),
        "ratio_cost_to_cost_and_service_by_node": ratio("by node", "fused"),
        "ratio_to_stockpyl": ratio("stockpyl", "fused"),
        "ratio_to_gym_invmgmt": ratio("gym-invmgmt", "fused"),
        "ratio_fused_to_specification": ratio("specified", "fused"),
        "ratio_all_quantities_to_specification": ratio("specified", "all quantities"),
        "ratio_compiled_step_to_specification": ratio("specified step", "compiled step"),
    }


def limit_of(problem: Problem, scenarios: Scenarios) -> Callable[[], NDArray[np.float32]] | None:
    """The loop in `limit.c` on the same demand, or None without gcc. It returns the cost of each replication."""
    if shutil.which("gcc") is None:
        return None
    source = Path(__file__).with_name("limit.c")
    with tempfile.TemporaryDirectory() as folder:
        library = Path(folder) / "limit.so"
        options = ["-O3", "-march=native", "-ffast-math", "-shared", "-fPIC"]
        subprocess.run(["gcc", *options, "-o", str(library), str(source)], check=True)
        rollout = ctypes.CDLL(str(library)).rollout
    start = initial_state(problem.network, 1)
    blocks = scenarios.demand[:, :, 0].reshape(-1, WIDTH, problem.periods).transpose(0, 2, 1)
    demand = np.ascontiguousarray(blocks, dtype=np.float32)
    holding = [node.holding_cost for node in problem.network.nodes]
    rows = [np.array(x, dtype=np.float32) for x in (LEVELS, start.on_hand[0], holding)]
    stockout = ctypes.c_float(problem.network.outlets[0].stockout_cost)
    cost = np.empty(scenarios.replications, dtype=np.float32)

    def pointer(array: NDArray[np.float32]) -> ctypes.c_void_p:
        return ctypes.c_void_p(array.ctypes.data)

    def run() -> NDArray[np.float32]:
        sizes = (len(demand), problem.periods, problem.warm_up)
        rollout(*sizes, pointer(demand), *(pointer(row) for row in rows), stockout, pointer(cost))
        return cost

    return run


def one_warehouse() -> tuple[Work, float]:
    """A warehouse with retailers, on demand that takes as much memory as that of `limit.c`, and its node-periods."""
    problem = make_problem("echelon/OneWarehouse-v0", retailers=RETAILERS, periods=300, warm_up=100)
    scenarios = sample(problem.network, periods=problem.periods, replications=384, seed=0)
    rule = order_up_to(problem.network, WAREHOUSE_LEVELS)
    return lambda: simulate_cost(problem, rule, scenarios), problem.periods * (RETAILERS + 1) * scenarios.replications


def steps(network: Network, scenarios: Scenarios, levels: tuple[float, ...], backend: str) -> Work:
    """200 periods, step by step, with the policy asked in every one."""
    step = stepper("compiled" if backend == "compiled" else "specification")
    policy = order_up_to(network, levels)

    def run() -> None:
        state = initial_state(network, scenarios.replications)
        for t in range(200):
            state, _ = step(state, policy(state), scenarios.draw(t))

    return run


def env_steps() -> Work:
    """1,000 steps of one environment."""
    env = NetworkEnv(make_problem("echelon/Serial-v0"))
    env.reset(seed=0)
    action = np.zeros(env.action_space.shape or (), dtype=np.float32)

    def run() -> None:
        for _ in range(1_000):
            _, _, _, truncated, _ = env.step(action)
            if truncated:
                env.reset()

    return run


def vector_steps() -> Work:
    """100 steps of the native vector environment."""
    env = NetworkVectorEnv(make_problem("echelon/Serial-v0"), COPIES)
    env.reset(seed=0)
    action = np.zeros(env.action_space.shape or (), dtype=np.float32)

    def run() -> None:
        for _ in range(100):
            env.step(action)

    return run


@contextmanager
def simulators(python: str) -> Iterator[Ask]:
    """Other simulators in a process of their own, asked one at a time."""
    script = str(Path(__file__).with_name("peers.py"))
    with subprocess.Popen([python, script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        requests, answers = process.stdin, process.stdout

        def ask(name: str) -> float | None:
            print(name, file=requests, flush=True)
            answer: float | None = json.loads(answers.readline())
            return answer

        yield ask
        requests.close()


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument(
        "--peers", default=sys.executable, metavar="PYTHON", help="interpreter with the other simulators"
    )
    arguments = parser.parse_args()
    with simulators(arguments.peers) as ask:
        found = measure(ask)
    if arguments.json:
        print(json.dumps(found))
        return
    hints = {"limit": "needs gcc", "stockpyl": "pip install stockpyl", "gym_invmgmt": "pip install gym-invmgmt"}
    for name, value in found.items():
        if value is None:
            text = "null: " + next(hint for key, hint in hints.items() if key in name)
        else:
            text = f"{value:,.4g}" if value < 1_000 else f"{value:,.0f}"
        print(f"{name:45} {text}")


if __name__ == "__main__":
    main()
