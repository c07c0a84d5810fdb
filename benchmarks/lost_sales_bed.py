"""The exact optima of Zipkin's (2008) test bed for lost sales, each with a proof and its computing time.

Run with: python benchmarks/lost_sales_bed.py benchmarks/results/lost_sales_bed.csv

It takes seven minutes. Longer lead times (benchmarks/results/lost_sales_long.csv, as far as it goes) take
minutes each: `--demand poisson --shortest 7 --longest 8`.

One location, mean demand 5, holding cost 1: Poisson and geometric demand, lead times from 1 on, stockout
costs 4, 9, 19 and 39. The table is written row by row, and beside it a file `.json` with the machine.
Times are CPU time of one thread, the sweeps compiled before.
"""

from __future__ import annotations

import argparse
import csv
import json
import platform
import resource
import time
from importlib.metadata import version
from pathlib import Path

from echelon.baselines.lost_sales import lost_sales_optimum
from echelon.envs.demand import Geometric, Law, Poisson
from echelon.envs.errors import MethodError

LAWS: dict[str, Law] = {"poisson": Poisson(mean=5), "geometric": Geometric(mean=5)}
STOCKOUT_COSTS = (4, 9, 19, 39)
COLUMNS = ("demand", "mean", "lead_time", "holding_cost", "stockout_cost", "low", "high", "states", "cpu_seconds")
GIB = 2**30


def row(name: str, lead_time: int, stockout_cost: float, memory_limit: float) -> list[str]:
    """One line of the table. Raises `MethodError` if the instance needs more memory."""
    started = time.process_time()
    best = lost_sales_optimum(
        demand=LAWS[name],
        lead_time=lead_time,
        holding_cost=1,
        stockout_cost=stockout_cost,
        memory_limit=memory_limit,
    )
    seconds = time.process_time() - started
    numbers = [f"{best.low:.6f}", f"{best.high:.6f}", str(best.states), f"{seconds:.3g}"]
    return [name, "5", str(lead_time), "1", str(stockout_cost), *numbers]


def machine() -> dict[str, str]:
    """Where the times were taken."""
    packages = {name: version(name) for name in ("numpy", "scipy", "numba")}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / GIB
    return {"machine": platform.platform(), "python": platform.python_version(), **packages, "peak_gib": f"{peak:.2f}"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("table", type=Path)
    parser.add_argument("--demand", choices=LAWS, nargs="+", default=list(LAWS))
    parser.add_argument("--shortest", type=int, default=1, help="shortest lead time")
    parser.add_argument("--longest", type=int, default=6, help="longest lead time")
    parser.add_argument("--memory", type=float, default=12.0, help="GiB that one instance may take")
    arguments = parser.parse_args()
    row("poisson", 1, 4, GIB)  # compiles
    with arguments.table.open("w", newline="") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(COLUMNS)
        for lead_time in range(arguments.shortest, arguments.longest + 1):
            for name in arguments.demand:
                for stockout_cost in STOCKOUT_COSTS:
                    try:
                        table.writerow(row(name, lead_time, stockout_cost, arguments.memory * GIB))
                    except MethodError as too_large:
                        print(f"left out: {name}, lead time {lead_time}, stockout cost {stockout_cost}: {too_large}")
                    file.flush()
                    arguments.table.with_suffix(".json").write_text(json.dumps(machine(), indent=2) + "\n")


if __name__ == "__main__":
    main()
