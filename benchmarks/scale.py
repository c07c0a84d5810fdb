"""Cost per node-period from 5 to 1,258 nodes: the consumer-goods network at several sizes.

Run with: python benchmarks/scale.py OUT.csv

Each size runs a base-stock policy for 365 days, sampling included, one after the other in a process of
its own, so that the peak of memory is that of the size alone. The last row is the whole network with
1,000 replications. A plot is written beside the table.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SIZES: tuple[dict[str, int], ...] = (
    {"factories": 1, "subcontractors": 1, "mother_warehouses": 1, "warehouses": 1, "distributors": 1},
    {"factories": 1, "subcontractors": 1, "mother_warehouses": 1, "warehouses": 2, "distributors": 15},
    {"factories": 2, "subcontractors": 3, "mother_warehouses": 2, "warehouses": 6, "distributors": 87},
    {"factories": 4, "subcontractors": 6, "mother_warehouses": 2, "warehouses": 15, "distributors": 400},
    {},
)
NODE_PERIODS = 120e6
"""Simulated for each size but the whole network."""
ROUNDS = 3


def measure(parameters: dict[str, int]) -> dict[str, Any]:
    """One size: the best of some rounds, after one that compiles."""
    from echelon.envs import base_stock_levels, make_problem, order_up_to, simulate_stream

    problem = make_problem("echelon/ConsumerGoods-v0", **parameters)
    nodes = len(problem.network.nodes)
    policy = order_up_to(problem.network, base_stock_levels(problem.network))
    replications = 1_000 if not parameters else int(NODE_PERIODS / (nodes * problem.periods))
    simulate_stream(problem, policy, replications=4, seed=1)
    seconds = []
    for _ in range(ROUNDS):
        started = time.process_time()
        simulate_stream(problem, policy, replications=replications, seed=0)
        seconds.append(time.process_time() - started)
    return {
        "nodes": nodes,
        "replications": replications,
        "cpu_seconds": round(min(seconds), 3),
        "ns_per_node_period": round(1e9 * min(seconds) / (nodes * problem.periods * replications), 2),
        "peak_memory_mib": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def draw(rows: list[dict[str, Any]], file: Path) -> None:
    """Nanoseconds per node-period against the number of nodes."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.0, 3.2), layout="constrained")
    axes = figure.add_subplot()
    axes.plot([row["nodes"] for row in rows], [row["ns_per_node_period"] for row in rows], "o-", color="#0072b2")
    axes.set_xscale("log")
    axes.set_ylim(bottom=0)
    axes.set_xlabel("nodes of the network")
    axes.set_ylabel("CPU nanoseconds per node-period")
    axes.grid(axis="y", linewidth=0.5)
    figure.savefig(file, dpi=150)


def main() -> None:
    """Measure every size and write the table and the plot."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, help="CSV file to write; the plot goes beside it")
    parser.add_argument("--one", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one is not None:
        print(json.dumps(measure(arguments.one)))
        return
    rows = []
    for parameters in SIZES:
        command = [sys.executable, __file__, str(arguments.out), "--one", json.dumps(parameters)]
        rows.append(json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout))
        print(rows[-1], flush=True)
    with arguments.out.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    draw(rows, arguments.out.with_suffix(".png"))


if __name__ == "__main__":
    main()
