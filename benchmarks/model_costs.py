"""What each method's model says that its policy costs, against ten million simulated node-periods.

    python benchmarks/model_costs.py benchmarks/results/model_costs.csv

One row per problem and method whose model is exact: model cost, simulated mean, standard error, and the distance in
standard errors. All policies of a problem meet the same scenarios, so that their distances rise and fall together.
"""

from __future__ import annotations

import csv
import math
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from echelon.baselines import make_plan
from echelon.envs.catalogue import make_problem
from echelon.envs.problem import Problem
from echelon.envs.simulate import simulate_stream

NODE_PERIODS = 10_000_000
SEED = 2026

Case = tuple[str, dict[str, Any], tuple[str, ...]]
CASES: list[Case] = [
    ("echelon/SingleLocation-v0", {"fixed_cost": 0.0, "lead_time": 2}, ("newsvendor",)),
    ("zheng_federgruen1991/mean21", {}, ("optimal_min_max", "optimal_reorder_lots", "service_min_max")),
    ("echelon/SingleLocation-v0", {"lead_time": 3}, ("optimal_min_max", "power_approximation")),
    (
        "zipkin2008/poisson-L4-p9",
        {},
        (
            *("lost_sales_optimal", "lost_sales_base_stock", "lost_sales_capped_base_stock", "constant_order"),
            *("myopic_lost_sales", "vector_base_stock", "projected_inventory_level"),
        ),
    ),
    ("zipkin2008/geometric-L2-p19", {}, ("lost_sales_optimal", "projected_inventory_level")),
    (
        "gijsbrechts2022/lr3-ce110",
        {},
        ("dual_sourcing_optimal", "single_index", "dual_index", "capped_dual_index", "tailored_base_surge"),
    ),
    (
        "de_moor2022/m3-l2-cp7-lifo",
        {},
        ("perishable_optimal", "perishable_base_stock", "ewa", "bsp_low_ew"),
    ),
    ("echelon/Serial-v0", {}, ("clark_scarf", "shang_song", "rosling")),
    ("snyder_shen2019/problem-6.16", {}, ("clark_scarf", "shang_song")),
    ("echelon/Assembly-v0", {}, ("rosling",)),
]


def rows() -> Iterator[dict[str, Any]]:
    """One row per case and method."""
    for problem_id, parameters, methods in CASES:
        problem = make_problem(problem_id, **parameters)
        for method in methods:
            yield {"problem": problem_id, "parameters": parameters or "", "method": method, **compare(problem, method)}


def compare(problem: Problem, method: str) -> dict[str, Any]:
    """The model's cost beside the simulated one."""
    plan = make_plan(method, problem)
    assert plan.model_cost is not None
    replications = math.ceil(NODE_PERIODS / (problem.periods - problem.warm_up) / len(problem.network.nodes))
    cost = simulate_stream(problem, plan.policy, replications=replications, seed=SEED).cost
    error = cost.std(ddof=1) / len(cost) ** 0.5
    return {
        "model_cost": round(plan.model_cost, 6),
        "simulated": round(float(cost.mean()), 6),
        "standard_error": round(float(error), 6),
        "distance": round(float((cost.mean() - plan.model_cost) / error), 2),
        "node_periods": replications * (problem.periods - problem.warm_up) * len(problem.network.nodes),
    }


def main() -> None:
    """Write the table to the file that is named."""
    table = list(rows())
    with Path(sys.argv[1]).open("w", newline="") as file:
        writer = csv.DictWriter(file, table[0])
        writer.writeheader()
        writer.writerows(table)
    for row in table:
        print(f"{row['problem']:30} {row['method']:25} {row['model_cost']:10.4f} {row['distance']:6.2f}")


if __name__ == "__main__":
    main()
