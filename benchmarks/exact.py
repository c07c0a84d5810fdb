"""CPU seconds of the exact methods on the published beds, and the distance from the catalogue.

    python benchmarks/exact.py [--json]

Every figure is the median over repetitions in one process, with the compiled code in numba's
cache. `benchmarks/lost_sales_bed.py` and `benchmarks/perishable_bed.py` compute the whole of their beds.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

from echelon.baselines import clark_scarf, make_plan
from echelon.baselines.lost_sales import lost_sales_optimum
from echelon.baselines.min_max_exact import optimal_min_max
from echelon.envs.catalogue import make_problem
from echelon.envs.demand import Normal, Poisson
from echelon.envs.instances import INSTANCES, MIN_MAX_OPTIMA


def cpu_seconds(run: Callable[[], object], repetitions: int = 5) -> float:
    """The median CPU time of a call, after one that compiles."""
    run()
    return statistics.median(_timed(run) for _ in range(repetitions))


def _timed(run: Callable[[], object]) -> float:
    started = time.process_time()
    run()
    return time.process_time() - started


def zheng_federgruen() -> list[float]:
    """The costs of all 24 problems."""
    return [
        optimal_min_max(demand=Poisson(mean=float(mean)), holding_cost=1, stockout_cost=9, fixed_cost=64).cost
        for mean in MIN_MAX_OPTIMA
    ]


def snyder_shen() -> float:
    """Example 6.1 to 1e-4: the cost as the book counts it."""
    return clark_scarf(
        echelon_holding_cost=[3, 2, 2],
        lead_time=[1, 1, 2],
        stockout_cost=37.12,
        demand=Normal(mean=5, sd=1),
        review="continuous",
        tolerance=1e-4,
    ).cost


def lost_sales(lead_time: int, stockout_cost: float) -> float:
    """The optimum of Zipkin's bed, Poisson demand of mean 5."""
    return lost_sales_optimum(
        demand=Poisson(mean=5), lead_time=lead_time, holding_cost=1, stockout_cost=stockout_cost
    ).cost


def instances(bed: str) -> list[str]:
    """The names of the instances of a publication."""
    return [name for name in INSTANCES if name.startswith(f"{bed}/")]


def largest_gap(bed: str) -> float:
    """The largest distance of a computed optimum from the catalogue's, over a bed."""

    def distance(name: str) -> float:
        problem = make_problem(name)
        cost = make_plan("optimal", problem).model_cost
        assert cost is not None
        assert problem.reference is not None
        return abs(cost - problem.reference.value)

    return max(map(distance, instances(bed)))


def measure() -> dict[str, Any]:
    """Every figure by its key."""
    costs = zip(zheng_federgruen(), MIN_MAX_OPTIMA.values(), strict=True)
    return {
        "zheng_federgruen_24_cpu_seconds": cpu_seconds(zheng_federgruen),
        "zheng_federgruen_24_distance_from_catalogue": max(abs(a - b) for a, b in costs),
        "clark_scarf_example_6_1_cpu_seconds": cpu_seconds(snyder_shen),
        **{
            f"lost_sales_L{lead_time}_p{p}_cpu_seconds": cpu_seconds(lambda: lost_sales(lead_time, p), 3)  # noqa: B023
            for lead_time in (4, 5, 6)
            for p in (4.0, 39.0)
        },
        "gijsbrechts_8_cpu_seconds": cpu_seconds(lambda: largest_gap("gijsbrechts2022"), 1),
        "gijsbrechts_8_distance_from_catalogue": largest_gap("gijsbrechts2022"),
    }


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON")
    figures = measure()
    if parser.parse_args().json:
        print(json.dumps(figures, indent=1))
        return
    for key, value in figures.items():
        print(f"{key:40} {value:.4g}")


if __name__ == "__main__":
    main()
