"""Optima and rules on the 32 instances of De Moor, Gijsbrechts and Boute (2022), each with its computing time.

Run with: python benchmarks/perishable_bed.py benchmarks/results/perishable_bed.csv [--longest 5]

One store of perishable stock: both issuing rules, shelf lives 2 to 5, lead times 1 and 2, waste costs 7 and 10. All
costs are per period and exact; `discounted` is the average cost of the policy that is optimal with the
paper's discount of 0.99. Times are CPU time of one thread, the sweeps compiled before. The table is written row by
row, and beside it a file `.json` with the machine.
"""

from __future__ import annotations

import argparse
import csv
import json
import platform
import resource
import time
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any

from echelon.baselines.perishable import OrderTable, optimal_orders, perishable_optimal
from echelon.baselines.perishable_chain import perishable_policy_cost
from echelon.baselines.perishable_policies import bsp_low_ew, ewa, perishable_base_stock
from echelon.baselines.perishable_store import store_of
from echelon.envs import Problem, make_problem

DISCOUNT = 0.99
RULES = {"base_stock": perishable_base_stock, "ewa": ewa, "bsp_low_ew": bsp_low_ew}


def row(problem: Problem) -> dict[str, Any]:
    """What was found on one instance."""
    started = time.process_time()
    best = perishable_optimal(problem)
    found = {**best.parameters, "optimum_seconds": time.process_time() - started}
    store = store_of(problem, "perishable_bed")
    discounted = OrderTable(optimal_orders(store, discount=DISCOUNT).orders, store.shelf_life)
    found["discounted"] = perishable_policy_cost(problem, discounted).cost
    for name, rule in RULES.items():
        started = time.process_time()
        plan = rule(problem)
        found[name] = " ".join(f"{x:g}" for value in plan.parameters.values() for x in _numbers(value))
        found[f"{name}_cost"] = plan.model_cost
        found[f"{name}_seconds"] = time.process_time() - started
    return {
        name: f"{x:.3g}" if "seconds" in name else f"{x:.6f}" if isinstance(x, float) else x
        for name, x in found.items()
    }


def _numbers(value: Any) -> list[float]:
    return value if isinstance(value, list) else [value]


def machine() -> dict[str, str]:
    """Where the times were taken."""
    packages = {name: version(name) for name in ("numpy", "scipy", "numba")}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"machine": platform.platform(), "python": platform.python_version(), **packages, "peak_gib": f"{peak:.2f}"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("table", type=Path)
    parser.add_argument("--longest", type=int, default=5, help="longest shelf life")
    arguments = parser.parse_args()
    perishable_optimal(make_problem("echelon/Perishable-v0"))  # compiles
    with arguments.table.open("w", newline="") as file:
        table: csv.DictWriter[str] | None = None
        for issuing, life, lead_time, waste in product(
            ("fifo", "lifo"), range(2, arguments.longest + 1), (1, 2), (7, 10)
        ):
            instance = {"shelf_life": life, "lead_time": lead_time, "waste_cost": waste, "issuing": issuing}
            line = {**instance, **row(make_problem("echelon/Perishable-v0", **instance))}
            if table is None:
                table = csv.DictWriter(file, list(line), lineterminator="\n")
                table.writeheader()
            table.writerow(line)
            file.flush()
    arguments.table.with_suffix(".json").write_text(json.dumps(machine(), indent=2) + "\n")


if __name__ == "__main__":
    main()
