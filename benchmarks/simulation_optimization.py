"""What simulation optimisation reaches, and its CPU seconds: the Min/Max case, exact single nodes, a wide network.

    python benchmarks/simulation_optimization.py [--json] [--quick]

`dc4` is the centre with four warehouses, a fill rate of 0.95 at every node, three seeds; `differential_evolution` is
SciPy's on the same ten numbers with a penalty on 100 years, repaired on 2,000 years that it has not seen.
`single_nodes` are 50 random instances with a floor, against exact enumeration; `wide` has 35 warehouses and
4 centres. `--quick` leaves out the evolution and the wide network.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import scipy
from numpy.typing import NDArray
from scipy.optimize import Bounds, differential_evolution

from echelon.baselines.min_max_exact import min_max_cost
from echelon.baselines.min_max_service import min_max_service, optimal_service_min_max
from echelon.baselines.position_service import Service
from echelon.baselines.rule_space import rule_space
from echelon.baselines.service_floors import FloorKind, ServiceFloor, achieved, floors_of
from echelon.baselines.simulation_optimization import SimulationOptimum, simulation_optimization
from echelon.envs.catalogue import make_problem
from echelon.envs.demand import Law, NegativeBinomial, Poisson
from echelon.envs.node_outcome import simulate_nodes
from echelon.envs.problem import Problem
from echelon.envs.scenarios import Scenarios, sample
from echelon.envs.simulate import simulate_cost

Floats = NDArray[np.float64]

SEEDS = (0, 1, 2)
INSTANCES = 50
TELLABLE = 0.0035
"""Service by which a policy must exceed its floor to be told from one that misses it."""
PENALTY = 1e3


def everywhere(problem: Problem, level: float = 0.95) -> tuple[ServiceFloor, ...]:
    """A fill rate at every node."""
    return floors_of(problem.network, {node.name: level for node in problem.network.nodes})


def summary(found: SimulationOptimum) -> dict[str, Any]:
    """What a search found and took."""
    return {
        "cost": found.cost.mean,
        "half_width": found.cost.half_width,
        "certified": found.certified,
        "replications": found.certificate.replications,
        "start_cost": found.start_cost.mean,
        "gain": found.gain.mean,
        "gain_half_width": found.gain.half_width,
        "evaluations": found.evaluations,
        "node_periods": found.node_periods,
        "cpu_seconds": found.cpu_seconds,
        "node_periods_per_cpu_second": found.node_periods / found.cpu_seconds,
        "parameters": dict(found.parameters),
    }


def dc4() -> list[dict[str, Any]]:
    """One search for each seed."""
    problem = make_problem("echelon/MinMaxCase-v0")
    return [summary(simulation_optimization(problem, floors=everywhere(problem), seed=seed)) for seed in SEEDS]


def wide() -> dict[str, Any]:
    """78 numbers."""
    problem = make_problem("echelon/MinMaxCase-v0", warehouses=35, centres=4)
    return summary(simulation_optimization(problem, floors=everywhere(problem), seed=0))


def evolution(seed: int) -> dict[str, Any]:
    """An independent search of the ten numbers, judged on the scenarios that judge the others."""
    problem = make_problem("echelon/MinMaxCase-v0")
    floors, space, network = everywhere(problem), rule_space(problem), problem.network
    flow = np.array(network.mean_flow)

    def scenarios(years: int, stream: str) -> Scenarios:
        return sample(network, periods=problem.periods, replications=years, seed=seed, stream=stream)

    def measure(numbers: Sequence[float] | Floats, on: Scenarios) -> tuple[float, Floats]:
        parameters = np.rint(np.asarray(numbers)).reshape(2, -1)
        outcome = simulate_nodes(problem, space.policy(parameters), on)
        return float(outcome.cost.mean()), achieved(problem, outcome, floors)

    seen = scenarios(100, "differential evolution")

    def penalised(numbers: Floats) -> float:
        cost, service = measure(numbers, seen)
        return cost + PENALTY * float(np.maximum(0.95 - service, 0.0).sum())

    began = time.process_time()
    bounds = Bounds(np.zeros(2 * len(flow)), np.concatenate([12 * flow, 20 * flow]))
    found = differential_evolution(
        penalised,
        bounds,
        maxiter=120,
        popsize=12,
        tol=1e-6,
        seed=seed,
        integrality=np.ones(2 * len(flow), dtype=np.bool_),
        polish=False,
    )
    fresh = scenarios(2_000, "differential evolution, fresh")
    before = measure(found.x, fresh)[1]
    numbers = repaired(np.rint(found.x), lambda candidate: measure(candidate, fresh)[1])
    cost = simulate_cost(
        problem,
        space.policy(numbers.reshape(2, -1)),
        sample(network, periods=problem.periods, replications=2_048, seed=0, stream="assessment"),
    ).mean()
    return {
        "cost": float(cost),
        "evaluations": int(found.nfev),
        "least_service_on_fresh_years_before_the_repair": float(before.min()),
        "cpu_seconds": time.process_time() - began,
    }


def repaired(numbers: Floats, service: Callable[[Floats], Floats], level: float = 0.9503) -> Floats:
    """Points raised until every floor is met with a little to spare, the centre first, then lowered one by one."""
    numbers, nodes = numbers.copy(), len(numbers) // 2
    while (short := service(numbers) < level).any():
        numbers[:nodes] += np.arange(nodes) == 0 if short[0] else short
    for n in range(nodes):
        lower = np.arange(len(numbers)) == n
        while (service(numbers - lower) >= level).all():
            numbers = numbers - lower
    return numbers


def instance(k: int) -> tuple[Law, dict[str, float], float, Service]:
    """Demand, costs, level and kind of service."""
    rng = np.random.default_rng([7, k])
    mean = float(rng.uniform(1, 12))
    law = [Poisson(mean=mean), NegativeBinomial(mean=mean, sd=float((mean * rng.uniform(1.5, 4)) ** 0.5))][k % 2]
    costs = {
        "holding_cost": 1.0,
        "fixed_cost": float(rng.uniform(5, 60)),
        "stockout_cost": float(rng.choice([0.5, 1, 2])),
        "lead_time": int(rng.integers(0, 4)),
    }
    kinds: tuple[Service, Service] = ("fill_rate", "alpha")
    return law, costs, float(rng.uniform(0.8, 0.98)), kinds[int(rng.integers(2))]


def single_nodes() -> dict[str, Any]:
    """How often the policy is the optimum, and how far its exact cost is from it."""
    began, rows = time.process_time(), []
    for k in range(INSTANCES):
        law, costs, level, kind = instance(k)
        problem = make_problem("echelon/SingleLocation-v0", demand=law, **costs)
        asked: FloorKind = "period_service" if kind == "alpha" else "fill_rate"
        found = simulation_optimization(problem, floors=floors_of(problem.network, level, kind=asked), seed=k)
        pair = int(found.parameters["Min store"]), int(found.parameters["Max store"])
        cost = min_max_cost(*pair, demand=law, **costs)
        best, tellable = (
            optimal_service_min_max(demand=law, service_level=at, kind=kind, **costs)
            for at in (level, level + TELLABLE)
        )
        reached = getattr(min_max_service(*pair, demand=law, lead_time=costs["lead_time"]), kind)
        judged = (pair == (best.reorder, best.up_to), reached >= level, found.certified)
        rows.append((*judged, cost / best.cost - 1, cost / tellable.cost - 1))
    optimal, feasible, certified, above, above_tellable = np.array(rows).T
    return {
        "instances": INSTANCES,
        "the_optimal_pair": int(optimal.sum()),
        "feasible_exactly": int(feasible.sum()),
        "certified": int(certified.sum()),
        "mean_cost_above_the_optimum": float(above.mean()),
        "largest_cost_above_the_optimum": float(above.max()),
        "largest_cost_above_the_optimum_that_can_be_certified": float(above_tellable.max()),
        "cpu_seconds": time.process_time() - began,
    }


def measure(*, quick: bool) -> dict[str, Any]:
    """Every figure by its key."""
    problem = make_problem("echelon/MinMaxCase-v0")
    simulation_optimization(problem, floors=everywhere(problem), budget=1_000_000)  # compiles
    rows = dc4()
    costs = [row["cost"] for row in rows]
    figures: dict[str, Any] = {
        "machine": platform.machine(),
        "versions": {"python": platform.python_version(), "numpy": np.__version__, "scipy": scipy.__version__},
        "dc4_costs": costs,
        "dc4_spread_percent": 100 * (max(costs) / min(costs) - 1),
        "dc4_cpu_seconds": max(row["cpu_seconds"] for row in rows),
        "dc4_certified": all(row["certified"] for row in rows),
        "dc4": rows,
        "single_nodes": single_nodes(),
    }
    if not quick:
        figures["wide"] = wide()
        figures["differential_evolution"] = [evolution(seed) for seed in SEEDS]
    return figures


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.add_argument("--quick", action="store_true", help="leave out what takes minutes")
    arguments = parser.parse_args()
    figures = measure(quick=arguments.quick)
    if arguments.json:
        print(json.dumps(figures, indent=1))
        return
    for name, value in figures.items():
        print(f"{name:24} {value}")


if __name__ == "__main__":
    main()
