"""What `echelon plan --method minmax` does: find the parameters of a rule by simulation, and tell them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from echelon.baselines.network_trials import SearchRecord
from echelon.baselines.rule_space import NUMBERS, Rule, RuleSpace, places, rule_space
from echelon.baselines.service_floors import FloorKind, ServiceFloor, achieved
from echelon.baselines.service_frontier import floors_at
from echelon.baselines.simulation_optimization import Estimate, SimulationOptimum, simulation_optimization
from echelon.envs.catalogue import PROBLEMS, make_problem
from echelon.envs.errors import ConfigError, nearest
from echelon.envs.instances import INSTANCES
from echelon.envs.node_outcome import NodeOutcome, simulate_nodes
from echelon.envs.policy import Position
from echelon.envs.problem import Problem
from echelon.envs.scenarios import Scenarios, sample
from echelon.envs.simulate import scenario_bytes
from echelon.envs.yaml_io import Document, validate_document

YEAR, YEARS = 365, 1_000
"""Years of periods on which the nodes are described."""
MOST_BYTES = 3e8

Bound = Annotated[list[float], Field(min_length=2, max_length=2)]
Whole = Annotated[int, Field(ge=1, strict=True)]


class MinMaxOptions(BaseModel):
    """What --option sets."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    rule: Rule = "min_max"
    position: Position = "installation"
    review_period: Whole = 1
    kind: FloorKind = "fill_rate"
    """Of the floors."""
    bounds: dict[str, Bound] | None = None
    """A lowest and a highest value of numbers of the rule, such as Max depot."""
    start: dict[str, float] | None = None
    """Every number of the rule, from which the search begins; by default it begins at those of formulas."""
    budget: Whole | None = None
    """About how many node-periods the search simulates."""
    threads: Whole = 1


@dataclass(frozen=True)
class Asked:
    """What a plan is asked for."""

    source: str
    parameters: Mapping[str, Any]
    """Of the problem."""
    service: float | None
    """Floor of all nodes with customers."""
    floors: Mapping[str, float]
    """Further floors, or other ones, by node."""
    options: MinMaxOptions
    seed: int

    @property
    def fixed(self) -> tuple[ServiceFloor, ...]:
        """The floors of single nodes."""
        return tuple(ServiceFloor(node, level, self.options.kind) for node, level in self.floors.items())


@dataclass(frozen=True, eq=False)
class MinMaxPlan:
    """A plan, with what it does at every node beside what its start does, on the same scenarios."""

    asked: Asked
    problem: Problem
    space: RuleSpace
    floors: tuple[ServiceFloor, ...]
    optimum: SimulationOptimum
    outcome: NodeOutcome
    start_outcome: NodeOutcome

    @property
    def missed_by_start(self) -> int:
        """How many floors the start misses."""
        service = achieved(self.problem, self.start_outcome, self.floors)
        return int(sum(x < floor.level for x, floor in zip(service, self.floors, strict=True)))


def asked_for(
    source: str,
    *,
    service: float | None = None,
    floors: Sequence[str] = (),
    options: Mapping[str, Any] | None = None,
    parameters: Mapping[str, Any] | None = None,
    seed: int = 0,
) -> Asked:
    """What the command line asks for, read. Raises `ConfigError`."""
    if service is not None and not 0 < service < 1:
        raise ConfigError([f"--service: must be greater than 0 and less than 1 (got {service:g})"])
    known = validate_document(Document(dict(options or {}), "--option"), MinMaxOptions)
    return Asked(source, parameters or {}, service, _floors(floors), known, seed)


def plan_min_max(asked: Asked, *, progress: Callable[[SearchRecord], None] | None = None) -> MinMaxPlan:
    """Search, and measure what was found at every node. Raises `ConfigError` or `MethodError`."""
    problem, options = read_problem(asked.source, asked.parameters), asked.options
    rule, position, review = options.rule, options.position, options.review_period
    floors = floors_at(problem.network, asked.service, kind=options.kind, fixed=asked.fixed)
    optimum = simulation_optimization(
        problem,
        rule=rule,
        position=position,
        review_period=review,
        floors=floors,
        start=options.start,
        bounds=options.bounds,
        seed=asked.seed,
        budget=options.budget,
        threads=options.threads,
        progress=progress,
    )
    space = rule_space(problem, rule=rule, position=position, review_period=review, bounds=options.bounds)
    scenarios = common_scenarios(problem, YEARS, seed=asked.seed, stream="nodes")
    outcomes = [
        simulate_nodes(problem, space.policy(space.encode(numbers)), scenarios, threads=options.threads)
        for numbers in (optimum.parameters, optimum.start)
    ]
    return MinMaxPlan(asked, problem, space, floors, optimum, *outcomes)


def read_problem(source: str, parameters: Mapping[str, Any]) -> Problem:
    """The network in the file `source`, or the problem or instance of that name. Raises `ConfigError`."""
    if Path(source).is_dir():
        raise ConfigError([f"{source}: minmax plans a network file or a problem by name, not a folder"])
    if Path(source).exists():
        return make_problem("echelon/Network-v0", **{**parameters, "path": source})
    known = {*PROBLEMS, *INSTANCES}
    if source not in known:
        closest = nearest(source, known)
        hint = closest if "did you mean" in closest else "; `echelon problems` lists the names"
        raise ConfigError([f"{source}: there is no such file, problem or instance{hint}"])
    return make_problem(source, **parameters)


def common_scenarios(problem: Problem, years: int, *, seed: int, stream: str) -> Scenarios:
    """About so many years, in 8 replications or more, as memory allows."""
    counted = int(np.count_nonzero(problem.weights))
    replications = max(8, min(ceil(years * YEAR / counted), int(MOST_BYTES / scenario_bytes(problem))))
    return sample(problem.network, periods=problem.periods, replications=replications, seed=seed, stream=stream)


def _floors(floors: Sequence[str]) -> dict[str, float]:
    """The levels by node, of NODE=LEVEL."""
    found: dict[str, float] = {}
    for floor in floors:
        node, _, level = floor.rpartition("=")
        try:
            value = float(level)
        except ValueError:
            value = float("nan")
        if not node or not 0 < value < 1:
            must = "must be NODE=LEVEL with a level greater than 0 and less than 1, such as depot=0.9"
            raise ConfigError([f"--floor: {must} (got {floor!r})"])
        if node in found:
            raise ConfigError([f"--floor: {node} must be given once, got {found[node]:g} and {value:g}"])
        found[node] = value
    return found


def plan_rows(plan: MinMaxPlan) -> list[dict[str, Any]]:
    """A row for each link: the rule's numbers, and how the node that it leads to does with them."""
    problem, numbers = plan.problem, NUMBERS[plan.space.rule]
    values, first = (plan.space.numbers(plan.space.encode(x)) for x in (plan.optimum.parameters, plan.optimum.start))
    weight = float(problem.weights.sum())
    rows = []
    for e, (place, link) in enumerate(zip(places(problem.network), problem.network.links, strict=True)):
        n = problem.network.index[link.target]
        asked = float(plan.outcome.asked[:, n].sum())
        row: dict[str, Any] = {"place": place, "node": link.target, "source": link.source}
        row |= {name.lower(): plain_number(values[p, e]) for p, name in enumerate(numbers)}
        row |= {f"start_{name.lower()}": plain_number(first[p, e]) for p, name in enumerate(numbers)}
        row["on_hand"] = float(plan.outcome.on_hand[:, n].mean()) / weight
        row["fill_rate"] = float(plan.outcome.filled[:, n].sum()) / asked if asked > 0 else None
        row["period_service"] = 1 - float(plan.outcome.stockout[:, n].mean()) / weight if asked > 0 else None
        row["cost"] = float(plan.outcome.node_cost[:, n].mean())
        rows.append(row)
    return rows


def plan_record(plan: MinMaxPlan) -> dict[str, Any]:
    """What --json prints, and plan.json has."""
    found, options = plan.optimum, plan.asked.options
    prices = {price.floor: price.per_point for price in found.prices}
    return {
        "problem": plan.problem.name,
        "source": plan.asked.source,
        "rule": options.rule,
        "position": options.position,
        "review_period": options.review_period,
        "seed": plan.asked.seed,
        "cost": found.cost.mean,
        "half_width": found.cost.half_width,
        "certified": found.certified,
        "floors": [
            {
                "node": one.floor.node,
                "kind": one.floor.kind,
                "level": one.floor.level,
                "service": one.service,
                "at_least": one.at_least,
                "at_most": one.at_most,
                "verdict": one.verdict,
                "price_per_point": prices.get(one.floor),
            }
            for one in found.certificate.floors
        ],
        "shortfalls": list(found.shortfalls),
        "prices": {str(floor): price for floor, price in prices.items()},
        "confidence": found.certificate.confidence,
        "certificate_replications": found.certificate.replications,
        "parameters": _plain_numbers(found.parameters),
        "start": _plain_numbers(found.start),
        "start_cost": _pair(found.start_cost),
        "start_misses": plan.missed_by_start,
        "gain": _pair(found.gain),
        "nodes": plan_rows(plan),
        "selection": {
            "contenders": len(found.selection.means),
            "confidence": found.selection.confidence,
            "indifference_zone": found.selection.zone,
        },
        "evaluations": found.evaluations,
        "node_periods": found.node_periods,
        "cpu_seconds": found.cpu_seconds,
    }


def plain_number(value: float) -> int | float:
    """A whole number as one."""
    return int(value) if float(value).is_integer() else float(value)


def _plain_numbers(numbers: Mapping[str, float]) -> dict[str, int | float]:
    return {label: plain_number(value) for label, value in numbers.items()}


def _pair(value: Estimate) -> dict[str, float]:
    return {"mean": value.mean, "half_width": value.half_width}
