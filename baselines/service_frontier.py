"""What service costs: the least cost of a parametric rule against the service that customers are promised.

Every level has a search by simulation, which begins where that of its neighbour ended and so is short.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from echelon.baselines.network_trials import SearchRecord
from echelon.baselines.rule_space import Bounds, Rule, Values
from echelon.baselines.service_floors import FloorKind, ServiceFloor, floors_of, require_floors
from echelon.baselines.simulation_optimization import SimulationOptimum, simulation_optimization
from echelon.envs.errors import MethodError
from echelon.envs.network import Network
from echelon.envs.policy import Position
from echelon.envs.problem import Problem


@dataclass(frozen=True, eq=False)
class FrontierPoint:
    """The best that was found for one level."""

    level: float
    optimum: SimulationOptimum


def floors_at(
    network: Network, level: float | None, *, kind: FloorKind = "fill_rate", fixed: Sequence[ServiceFloor] = ()
) -> tuple[ServiceFloor, ...]:
    """One level at all nodes with customers, but for nodes that have a fixed floor of this kind, and the fixed floors.

    Without a level there are those that are fixed alone. Raises `MethodError`.
    """
    require_floors(network, fixed)
    own = {floor.node for floor in fixed if floor.kind == kind}
    common = () if level is None else floors_of(network, level, kind=kind)
    return (*(floor for floor in common if floor.node not in own), *fixed)


def service_frontier(
    problem: Problem,
    levels: Sequence[float],
    *,
    start: Values,
    budget: int,
    near: float | None = None,
    kind: FloorKind = "fill_rate",
    fixed: Sequence[ServiceFloor] = (),
    rule: Rule = "min_max",
    position: Position = "installation",
    review_period: int = 1,
    bounds: Bounds | None = None,
    seed: int = 0,
    threads: int = 1,
    progress: Callable[[SearchRecord], None] | None = None,
) -> tuple[FrontierPoint, ...]:
    """The points of the frontier in the order of their levels, all different.

    `start` are good numbers of the rule for the level `near`: the searches go from there to the higher levels one by
    one, and then to the lower ones. Each simulates about `budget` node-periods and has a seed of its own, so that no
    policy is judged on scenarios that its start was chosen by. Raises `MethodError`.
    """
    if not levels:
        raise MethodError("levels must be at least one level of service, got none")
    for level in levels:
        floors_at(problem.network, level, kind=kind, fixed=fixed)
    found: dict[float, SimulationOptimum] = {}
    middle = min(levels) if near is None else near
    for way in (sorted({x for x in levels if x >= middle}), sorted({x for x in levels if x < middle}, reverse=True)):
        at = start
        for level in way:
            found[level] = simulation_optimization(
                problem,
                rule=rule,
                position=position,
                review_period=review_period,
                floors=floors_at(problem.network, level, kind=kind, fixed=fixed),
                start=at,
                bounds=bounds,
                seed=seed + 1 + len(found),
                budget=budget,
                threads=threads,
                progress=progress,
            )
            at = found[level].parameters
    return tuple(FrontierPoint(level, found[level]) for level in sorted(found))
