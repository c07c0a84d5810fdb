"""What a grid costs beside its cells' own work: queue, locks, folders, manifests, rows, checksums, gathering, tables.

Run with: python benchmarks/bookkeeping.py [--json] [--seeds N] [--replications N] [--rounds N] [--fixed] [--profile]

A grid with ten problems and ten policies for each seed, 1,000 cells with the ten seeds of the default, is made in this
process by one worker. Work is to plan a policy, to simulate it, and to watch it: a sample path, and what it orders in
which state. Bookkeeping is all else, from reading the document to the last manifest; figures and pages are left out, as
`--no-report` does. Both are measured in the same grid, in CPU time, that of bookkeeping over all threads; given are the
medians of the rounds. The policies are the heuristics for lost sales or, with `--fixed`, ten given levels: no cells are
cheaper. `--profile` prints the functions that bookkeeping is spent in.
"""

from __future__ import annotations

import argparse
import cProfile
import json
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from echelon.experiments import cells, gather
from echelon.experiments.grid import load_grid
from echelon.experiments.jobs import Way
from echelon.experiments.run import run_grid

WORK = {
    "planning": (cells, "_competitor"),
    "simulating": (cells, "_measured"),
    "measuring": (cells, "_results"),
    "watching": (cells, "observations"),
    "references": (gather, "reference_of"),
}
"""Where the cells' own work is done."""

DOCUMENT = """\
name: bookkeeping
replications: {replications}
seeds: {seeds}
problems:
  L{{lead_time}} p{{stockout_cost}}:
    id: echelon/LostSales-v0
    each: {{lead_time: [1, 2], stockout_cost: [4, 9, 19, 39, 99]}}
policies:
"""
RULES = (
    *("base_stock", "echelon_base_stock", "capped_base_stock", "min_max", "constant_order", "lost_sales_base_stock"),
    *("lost_sales_capped_base_stock", "myopic_lost_sales", "vector_base_stock", "projected_inventory_level"),
)
LEVELS = range(14, 24)


def document(seeds: int, replications: int, *, fixed: bool) -> str:
    """The grid as YAML, of all heuristics for lost sales or of fixed levels."""
    rules = {f"level {level}": f"base_stock, options: {{levels: [{level}]}}" for level in LEVELS}
    policies = rules if fixed else {rule: rule for rule in RULES}
    lines = (f"  {name}: {{baseline: {rule}}}\n" for name, rule in policies.items())
    return DOCUMENT.format(seeds=[*range(seeds)], replications=replications) + "".join(lines)


@contextmanager
def clocks(profile: cProfile.Profile | None) -> Iterator[dict[str, float]]:
    """CPU seconds of each part of the work, which the profile does not see."""
    spent: dict[str, float] = defaultdict(float)

    def clocked(name: str, act: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **options: Any) -> Any:
            if profile:
                profile.disable()
            started = time.thread_time()
            try:
                return act(*arguments, **options)
            finally:
                spent[name] += time.thread_time() - started
                if profile:
                    profile.enable()

        return timed

    with ExitStack() as stack:
        for name, (module, function) in WORK.items():
            stack.enter_context(patch.object(module, function, clocked(name, getattr(module, function))))
        yield spent


def measure(text: str, profile: cProfile.Profile | None = None) -> dict[str, float]:
    """One grid: CPU milliseconds per cell of each part of the work and of bookkeeping, and its share in percent."""
    with tempfile.TemporaryDirectory() as name, clocks(profile) as spent:
        folder = Path(name)
        (folder / "grid.yaml").write_text(text, encoding="utf-8")
        started = time.process_time()
        if profile:
            profile.enable()
        grid = load_grid(folder / "grid.yaml")
        run_grid(grid, out=folder / "out", way=Way(report=False))
        if profile:
            profile.disable()
        total = time.process_time() - started
    bookkeeping = total - sum(spent.values())
    per_cell = {part: 1e3 * seconds / grid.cells for part, seconds in {**spent, "bookkeeping": bookkeeping}.items()}
    return {"cells": grid.cells, **per_cell, "percent": 100 * bookkeeping / total}


def main() -> None:
    """Measure the rounds, after a small grid that compiles, and print the medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--seeds", type=int, default=10, help="runs of 100 cells each")
    parser.add_argument("--replications", type=int, default=2_000, help="rows of each cell")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--fixed", action="store_true", help="fixed levels instead of heuristics")
    parser.add_argument("--profile", action="store_true", help="print where the bookkeeping of one grid goes, instead")
    arguments = parser.parse_args()
    text = document(arguments.seeds, arguments.replications, fixed=arguments.fixed)
    measure(document(1, 10, fixed=arguments.fixed))
    if arguments.profile:
        profile = cProfile.Profile(time.thread_time)
        measure(text, profile)
        profile.print_stats("tottime")
        return
    rounds = [measure(text) for _ in range(arguments.rounds)]
    found = {key: round(statistics.median(one[key] for one in rounds), 3) for key in rounds[0]}
    print(json.dumps(found, indent=2) if arguments.json else "\n".join(f"{key:12} {found[key]:>10,}" for key in found))


if __name__ == "__main__":
    main()
