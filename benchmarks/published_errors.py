"""How far published costs by simulation are off: the base-stock figures of the source of `long_lead.yaml`, made again.

Run with: python benchmarks/published_errors.py

The learners' figures of Temizöz et al. are simulations of 5 million periods, without intervals. The same source gives
the cost of the best base-stock policy on the same instances, which can be known well: here it is simulated for 40
million periods with control variates (`learning_long_run`). Two things follow: `error_percent`, how far the published
figure is from it, and `half_width_percent`, the half width (95 %) that a plain simulation of 5 million periods of that
policy has. The bed allows for the larger of both. The table is `benchmarks/results/published_errors.csv`.
"""

from __future__ import annotations

import csv

from learning import RESULTS
from learning_beds import ROOT, Instance, load_bed
from learning_long_run import LongRun, long_run_cost

from echelon.baselines.lost_sales_system import system_of
from echelon.envs.policy import order_up_to
from echelon.envs.problem import Problem

TABLE = RESULTS / "published_errors.csv"
PUBLISHED = {
    "poisson-L6-p4": 5.5079,
    "poisson-L6-p9": 7.88644,
    "poisson-L6-p19": 10.1843,
    "poisson-L6-p39": 12.3587,
    "poisson-L8-p4": 5.71969,
    "poisson-L8-p9": 8.31805,
    "poisson-L8-p19": 10.905,
    "poisson-L8-p39": 13.3863,
    "poisson-L10-p4": 5.87092,
    "poisson-L10-p9": 8.64139,
    "poisson-L10-p19": 11.4746,
    "poisson-L10-p39": 14.2357,
    "geometric-L8-p4": 12.1096,
    "geometric-L8-p9": 19.1661,
    "geometric-L8-p19": 26.7931,
    "geometric-L8-p39": 34.5528,
}
"""The best base-stock policy, as published (Temizöz et al., by simulation)."""
PERIODS = 40_000_000
PUBLISHED_PERIODS = 5_000_000
COARSE, FINE = 1_000_000, 5_000_000
"""Periods of the simulations that choose the level."""
COLUMNS = ("instance", "level", "cost", "half_width", "published", "error_percent", "half_width_percent")


def simulated(problem: Problem, level: int, periods: int) -> LongRun:
    """The cost of ordering up to a level."""
    return long_run_cost(problem, order_up_to(problem.network, [level]), periods=periods, replications=1024)


def best_base_stock(problem: Problem) -> tuple[int, LongRun]:
    """The best level and its cost. The cost is convex in the level, but for the noise, which the last step lessens."""
    known: dict[tuple[int, int], float] = {}

    def cost(level: int, periods: int) -> float:
        if (level, periods) not in known:
            known[level, periods] = simulated(problem, level, periods).cost
        return known[level, periods]

    system = system_of(problem, "base_stock")
    low, high = 1, int(system.mean * (system.lead_time + 15))
    while high - low > 3:
        left, right = (2 * low + high) // 3, (low + 2 * high) // 3
        low, high = (low, right) if cost(left, COARSE) < cost(right, COARSE) else (left, high)
    best = min(range(low - 1, high + 2), key=lambda level: cost(level, FINE))
    return best, simulated(problem, best, PERIODS)


def row_of(instance: Instance) -> dict[str, str]:
    """One line of the table."""
    level, found = best_base_stock(instance.problem)
    published = PUBLISHED.get(instance.name)
    plain = found.plain_half_width * (found.periods / PUBLISHED_PERIODS) ** 0.5
    return {
        "instance": instance.name,
        "level": str(level),
        "cost": f"{found.cost:.5f}",
        "half_width": f"{found.half_width:.5f}",
        "published": "" if published is None else str(published),
        "error_percent": "" if published is None else f"{100 * (published / found.cost - 1):.3f}",
        "half_width_percent": f"{100 * plain / found.cost:.3f}",
    }


def main() -> None:
    rows = []
    for instance in load_bed("long_lead").members():
        rows.append(row_of(instance))
        print(*rows[-1].values(), flush=True)
    with TABLE.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, COLUMNS)
        writer.writeheader()
        writer.writerows(rows)
    print(f"wrote {TABLE.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
