"""CPU seconds of the exact guaranteed-service model: the 38 chains of Willems (2008), random trees, deep networks.

    python benchmarks/guaranteed_service.py [--json] [--data DIR]

DIR holds `stages.csv` and `arcs.csv` of the chains, and may hold known optima in `gsm_optimal.csv`; without it the
chains are left out. Every figure is one call of `guaranteed_service` after one that compiles; reading is not counted.
"""

from __future__ import annotations

import argparse
import csv
import heapq
import json
import platform
import statistics
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
import scipy

from echelon.baselines.guaranteed_service import GuaranteedService, guaranteed_service
from echelon.baselines.stage_network import StageNetwork
from echelon.baselines.willems_stages import load_willems_stages

CHAINS = range(1, 39)
CONVENTIONS: tuple[Literal["canonical", "moncayo"], ...] = ("canonical", "moncayo")
SWEEP = np.linspace(0.9, 0.99, 50)
DEMAND = {"demand_mean": 10.0, "service_level": 0.95}

Stages = list[dict[str, Any]]


def timed(network: StageNetwork) -> tuple[GuaranteedService, float]:
    """The optimum, and the CPU seconds that it took."""
    started = time.process_time()
    return guaranteed_service(network), time.process_time() - started


def chains(data: Path, convention: Literal["canonical", "moncayo"]) -> list[dict[str, Any]]:
    """One row for each chain."""
    rows = []
    optima = known_optima(data, convention)
    for chain in CHAINS:
        network = load_willems_stages(data, chain, convention=convention)
        found, seconds = timed(network)
        row = {"chain": chain, "stages": len(network.stages), "cpu_seconds": seconds}
        row |= {"cost": found.cost, "gap": found.gap}
        if chain in optima:
            row["distance_from_known_optimum"] = found.cost / optima[chain] - 1
        rows.append(row)
    return rows


def known_optima(data: Path, convention: str) -> dict[int, float]:
    """The optimum of those chains for which there is one in the file."""
    file = data / "gsm_optimal.csv"
    if not file.exists():
        return {}
    with file.open(newline="") as lines:
        column = f"optimal_cost_{convention}_convention"
        return {int(row["chain"]): float(row[column]) for row in csv.DictReader(lines)}


def summary(rows: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """What a convention takes in all."""
    rows = list(rows)
    slowest = max(rows, key=lambda row: float(row["cpu_seconds"]))
    return {
        "cpu_seconds": sum(row["cpu_seconds"] for row in rows),
        "slowest_chain": slowest["chain"],
        "slowest_cpu_seconds": slowest["cpu_seconds"],
        "largest_gap": max(row["gap"] for row in rows),
        "largest_distance_from_known_optimum": max(abs(row.get("distance_from_known_optimum", 0)) for row in rows),
    }


def sweep(data: Path) -> float:
    """The CPU seconds of chain 12 at 50 service levels, each solved anew."""
    network = load_willems_stages(data, 12)
    return sum(timed(network.with_service_level(float(level)))[1] for level in SWEEP)


def recursive_tree(size: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Each stage is joined to one of those before it: trees of little depth."""
    return [(stage, int(rng.integers(0, stage))) for stage in range(1, size)]


def uniform_tree(size: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """Every labelled tree is as likely, from its Pruefer sequence."""
    sequence = rng.integers(0, size, size - 2).tolist()
    degree = [1 + count for count in np.bincount(sequence, minlength=size).tolist()]
    leaves = [stage for stage in range(size) if degree[stage] == 1]
    heapq.heapify(leaves)
    arcs = []
    for stage in sequence:
        arcs.append((heapq.heappop(leaves), stage))
        degree[stage] -= 1
        if degree[stage] == 1:
            heapq.heappush(leaves, stage)
    return [*arcs, (heapq.heappop(leaves), heapq.heappop(leaves))]


def tree(arcs: Iterable[tuple[int, int]], size: int, rng: np.random.Generator) -> StageNetwork:
    """Arcs that point either way, stage times from 1 to 10, customers where nobody else buys."""
    suppliers: list[dict[str, float]] = [{} for _ in range(size)]
    sells = np.zeros(size, dtype=bool)
    for ends in arcs:
        i, j = ends if rng.random() < 0.5 else ends[::-1]
        suppliers[j][f"s{i}"] = 1.0
        sells[i] = True
    stages: Stages = [
        {"name": f"s{j}", "stage_time": int(rng.integers(1, 11)), "holding_cost": rng.random(), "suppliers": above}
        | ({} if sells[j] else {**DEMAND, "demand_sd": rng.uniform(1, 5)})
        for j, above in enumerate(suppliers)
    ]
    return StageNetwork.from_dict({"stages": stages})


def random_tree(kind: str, size: int) -> StageNetwork:
    """The same tree every time."""
    rng = np.random.default_rng(size)
    return tree({"recursive": recursive_tree, "uniform": uniform_tree}[kind](size, rng), size, rng)


def line(size: int) -> StageNetwork:
    """Stages one after the other."""
    rng = np.random.default_rng(size)
    stages: Stages = [
        {"name": f"s{j}", "stage_time": int(rng.integers(1, 11)), "holding_cost": 1 + j * rng.random()}
        | {"suppliers": [f"s{j - 1}"] if j else []}
        for j in range(size)
    ]
    stages[-1] |= DEMAND | {"demand_sd": 1.0}
    return StageNetwork.from_dict({"stages": stages})


def assembly(depth: int) -> StageNetwork:
    """A line in which two bought parts, one of them slow, join at each step."""
    rng = np.random.default_rng(depth)
    stages: Stages = [
        {"name": f"{part}{j}", "stage_time": int(rng.integers(1, 100)), "holding_cost": rng.random()}
        for j in range(1, depth)
        for part in "pq"
    ]
    for j in range(depth):
        parts = [f"s{j - 1}", f"p{j}", f"q{j}"] if j else []
        stages.append({"name": f"s{j}", "stage_time": 1, "holding_cost": 1.0 + j, "suppliers": parts})
    stages[-1] |= DEMAND | {"demand_sd": 1.0}
    return StageNetwork.from_dict({"stages": stages})


def synthetic() -> dict[str, float]:
    """CPU seconds of networks that are drawn here; the median of five calls below 10,000 stages."""
    networks = {
        f"{kind}_tree_{size}": random_tree(kind, size)
        for size in (1_000, 10_000, 100_000)
        for kind in ("recursive", "uniform")
    }
    networks |= {"line_2000": line(2_000), "assembly_of_depth_300": assembly(300)}
    return {
        name: statistics.median(timed(network)[1] for _ in range(5 if len(network.stages) < 10_000 else 1))
        for name, network in networks.items()
    }


def measure(data: Path | None) -> dict[str, Any]:
    """Every figure by its key."""
    timed(random_tree("uniform", 100))
    figures: dict[str, Any] = {
        "machine": platform.machine(),
        "versions": {"python": platform.python_version(), "numpy": np.__version__, "scipy": scipy.__version__},
        "cpu_seconds": synthetic(),
    }
    if data is not None:
        rows = {convention: chains(data, convention) for convention in CONVENTIONS}
        figures["summary"] = {convention: summary(rows[convention]) for convention in CONVENTIONS}
        figures["chain_12_at_50_service_levels_cpu_seconds"] = sweep(data)
        figures["chains"] = rows
    return figures


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--data", type=Path, help="the folder with the chains")
    arguments = parser.parse_args()
    figures = measure(arguments.data)
    if arguments.json:
        print(json.dumps(figures, indent=1))
        return
    for name, seconds in figures["cpu_seconds"].items():
        print(f"{name:40} {seconds:8.3f} s")
    for convention, rows in figures.get("chains", {}).items():
        for row in rows:
            print(f"{convention:10} {row['chain']:3} {row['stages']:6} {row['cpu_seconds']:8.3f} s {row['cost']:18.4f}")
        print(f"{convention:10} {figures['summary'][convention]}")


if __name__ == "__main__":
    main()
