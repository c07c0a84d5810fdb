"""CPU seconds and memory of safety stock at 15,000,000 product-locations: 10,000 products at 1,500 locations.

    python benchmarks/safety_stock.py [--json] [--products N]

Every product-location has its own demand, lead time and errors; the service level goes by product. Times are CPU
times of all threads, after a call that compiles. The bits must not depend on chunks and threads: each method is run
again with other ones and compared.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from typing import Any

import numpy as np

from echelon.baselines.safety_stock import EXTENDED, assp

LOCATIONS = 1_500


def fields(products: int) -> dict[str, Any]:
    """Fields [products, locations] like those of a consumer goods company; the service level is [products, 1]."""
    rng = np.random.default_rng(0)
    shape = (products, LOCATIONS)
    demand = rng.gamma(1.0, 20.0, shape)
    lead_time = rng.uniform(1.0, 20.0, shape)
    return {
        "demand_mean": demand,
        "demand_sd": demand * rng.uniform(0.1, 1.0, shape),
        "lead_time": lead_time,
        "lead_time_sd": lead_time * rng.uniform(0.0, 0.5, shape),
        "service_level": rng.choice([0.95, 0.99, 0.999], (products, 1)),
    }


def measure(products: int) -> dict[str, float | int | bool]:
    """Every figure by its key."""
    given = fields(products)
    inputs = _megabytes()
    figures: dict[str, float | int | bool] = {"product_locations": products * LOCATIONS}
    for method in EXTENDED:
        assp(method, demand_mean=1, demand_sd=1, lead_time=1, review_period=1, service_level=0.9)
        started = time.process_time()
        stock = assp(method, **given, review_period=5.0)
        figures[f"{method}_cpu_seconds"] = time.process_time() - started
        if method in ("AT", "BT"):
            again = assp(method, **given, review_period=5.0, chunk=10_007, threads=2)
            figures[f"{method}_same_bits"] = stock.tobytes() == again.tobytes()
    return figures | {"memory_of_fields_mebibytes": inputs, "most_memory_mebibytes": _megabytes()}


def _megabytes() -> int:
    """The most memory that the process has held."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--products", type=int, default=10_000)
    options = parser.parse_args()
    figures = measure(options.products)
    if options.json:
        print(json.dumps(figures, indent=1))
        return
    for key, value in figures.items():
        print(f"{key:30} {value:.4g}")


if __name__ == "__main__":
    main()
