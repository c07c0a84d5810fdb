"""Min/Max and other parametric rules for a whole network by simulation, with service floors that are certified.

The search has a rough model and an accurate one. Formulas give starts (`analytic_start`); simulation on common random
numbers does the rest, on samples that grow as candidates become fewer and steps smaller:

1. **explore** (`constrained_search`): all starts, few years, wide steps, along the ridge that the floors make;
2. **refine**: the better half on more years, then the best on many;
3. **polish** (`integer_polish`): whole numbers that meet every floor on the sample with an allowance;
4. **rank** (`ranking_selection`): the contenders on fresh years, with a stated probability of correct selection;
5. **certify** (`certification`): every floor on fresh years. If one is not shown to be met, its allowance grows and the
   next attempt meets the next stream.

Every stage has a stream of its own, so that no result is judged on what it was chosen by. Blocks of the network
that have nothing in common are searched at the same time, and the same seed gives the same result on any
number of threads.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from echelon.baselines.certification import Certificate
from echelon.baselines.floor_prices import FloorPrice
from echelon.baselines.network_trials import SearchRecord, Trials, blocks_of
from echelon.baselines.option_types import Share, Whole
from echelon.baselines.plan import Plan
from echelon.baselines.ranking_selection import Selection
from echelon.baselines.requirements import require
from echelon.baselines.rule_space import Bounds, Rule, Values, rule_space
from echelon.baselines.search_stages import Outcome, SearchStages
from echelon.baselines.search_starts import starts_of
from echelon.baselines.service_floors import FloorKind, ServiceFloor, floors_of, require_floors
from echelon.envs.errors import MethodError
from echelon.envs.policy import OrderUpTo, Position
from echelon.envs.problem import Problem

Floats = NDArray[np.float64]

METHOD = "simulation_optimization"
SUPPLY = "more stock at the node does not mend it: what is supplied to it is too little, or too late"
SAMPLES = "the samples of the search were too small to tell how much stock it takes: give it a larger budget"
MOST_LINKS = 200
"""Links up to which every number is searched."""
CITATION = (
    "simulation optimisation with common random numbers; selection: S.-H. Kim and B. L. Nelson, A fully sequential "
    "procedure for indifference-zone selection in simulation, ACM Transactions on Modeling and Computer Simulation "
    "11(3), 2001"
)


@dataclass(frozen=True)
class Estimate:
    """A mean with the half-width of its 95 % confidence interval."""

    mean: float
    half_width: float

    def __str__(self) -> str:
        return f"{self.mean:.6g} +- {self.half_width:.2g}"


@dataclass(frozen=True, eq=False)
class SimulationOptimum:
    """The best parameters found, and what fresh scenarios say of them."""

    policy: OrderUpTo
    parameters: Mapping[str, float]
    """The rule's own numbers by their labels: "Min dc", "Max dc"."""
    cost: Estimate
    """Objective of the problem, on scenarios that neither search, selection nor certification has seen."""
    certificate: Certificate
    """Service under every floor."""
    shortfalls: tuple[str, ...]
    """For every floor that is not shown to be met, by how much it is missed and what limits it."""
    prices: tuple[FloorPrice, ...]
    start: Mapping[str, float]
    """Numbers from which the search began."""
    start_cost: Estimate
    gain: Estimate
    """Cost of the start less that of the optimum, paired on the same scenarios. The start may miss floors."""
    selection: Selection
    """Contenders, and the probability of having selected the best of them."""
    trace: tuple[SearchRecord, ...]
    evaluations: int
    node_periods: int
    """Simulated by the search, up to the selection."""
    cpu_seconds: float

    @property
    def certified(self) -> bool:
        """Every floor is met on fresh scenarios, with 95 % confidence; so it is where there is no floor."""
        return self.certificate.met

    def lines(self) -> list[str]:
        """A report, line by line."""
        found = [f"cost {self.cost}, {self.gain} below the start"]
        found += [f"{label} {value:g}" for label, value in self.parameters.items()]
        found += self.certificate.lines() + list(self.shortfalls)
        return found + [
            f"a point of {price.floor} costs " + ("?" if price.per_point is None else f"{price.per_point:.4g}")
            for price in self.prices
        ]


def simulation_optimization(
    problem: Problem,
    *,
    rule: Rule = "min_max",
    position: Position = "installation",
    review_period: int = 1,
    floors: Sequence[ServiceFloor] = (),
    start: Values | None = None,
    bounds: Bounds | None = None,
    seed: int = 0,
    budget: int | None = None,
    threads: int = 1,
    progress: Callable[[SearchRecord], None] | None = None,
) -> SimulationOptimum:
    """The parameters of a rule that cost least on a network while every floor is met.

    `start` and `bounds` are in the rule's own numbers, by label or in the order of `RuleSpace.labels`; with a start,
    the search begins there and nowhere else. `budget` is about how many node-periods the search simulates; the
    least that it takes, however small the budget, is some hundred simulations of 8 replications and some dozen of 64.
    Where no parameters meet the floors the least infeasible are returned, with `certified` false and the floors and
    limits in `shortfalls`. Raises `MethodError` for what cannot be asked.
    """
    began = time.process_time()
    floors = tuple(floors)
    require_floors(problem.network, floors)
    links = len(problem.network.links)
    require(METHOD, {f"at most {MOST_LINKS} links (got {links})": links > MOST_LINKS})
    _require_stakes(problem, floors)
    if budget is not None and budget < 1:
        raise MethodError(f"budget must be at least 1 node-period, got {budget}")
    space = rule_space(problem, rule=rule, position=position, review_period=review_period, bounds=bounds)
    blocks = blocks_of(problem.network, floors)
    trials = Trials(problem, space, floors, threads, progress, cost_only=not floors and len(blocks) == 1)
    stages = SearchStages(trials, seed, blocks)
    starts = list(starts_of(problem, space, floors)) if start is None else [space.clip(space.encode(start))]
    if budget is not None:
        stages = replace(stages, scale=budget / stages.usual_effort(len(starts)))
    outcome = stages.certified(stages.contenders(stages.refined(starts)))
    chosen = outcome.best.parameters
    prices = stages.prices(chosen)
    first, last = stages.assessed([starts[0], chosen])
    return SimulationOptimum(
        policy=space.policy(chosen),
        parameters=space.named(chosen),
        cost=_estimate(last),
        certificate=outcome.certificate,
        shortfalls=_shortfalls(trials, outcome),
        prices=prices,
        start=space.named(starts[0]),
        start_cost=_estimate(first),
        gain=_estimate(first - last),
        selection=outcome.selection,
        trace=tuple(trials.records),
        evaluations=trials.evaluations,
        node_periods=trials.node_periods,
        cpu_seconds=time.process_time() - began,
    )


def simulation_optimization_plan(
    problem: Problem,
    *,
    service_level: Share | Mapping[str, Share] | None = None,
    kind: FloorKind = "fill_rate",
    rule: Rule = "min_max",
    position: Position = "installation",
    review_period: Whole = 1,
    budget: Whole | None = None,
    seed: int = 0,
) -> Plan:
    """Parameters of a rule by simulation, with floors under the service of nodes.

    `service_level` is one floor for every node with customers, or one for each node of a mapping, with or without
    customers; left out there is none. `budget` is about how many node-periods the search simulates. Raises
    `MethodError`.
    """
    floors = () if service_level is None else floors_of(problem.network, service_level, kind=kind)
    found = simulation_optimization(
        problem, rule=rule, position=position, review_period=review_period, floors=floors, seed=seed, budget=budget
    )
    service = {str(result.floor): result.service for result in found.certificate.floors}
    parameters = {"numbers": dict(found.parameters), "certified": found.certified, "service": service}
    parameters |= {"reorder": found.policy.reorder.tolist(), "up_to": found.policy.up_to.tolist()}
    return Plan(found.policy, parameters | {"position": position}, citation=CITATION)


def _require_stakes(problem: Problem, floors: Sequence[ServiceFloor]) -> None:
    """Raise `MethodError` if it would be cheapest not to serve some customers at all."""
    floored = {floor.node for floor in floors}
    free = [
        node.name for node in problem.network.outlets if not (node.stockout_cost or node.price or node.name in floored)
    ]
    require(
        METHOD, {f"a floor, a stockout cost or a price at every outlet (got none at {', '.join(free)})": bool(free)}
    )


def _estimate(values: Floats) -> Estimate:
    """Mean and half-width over replications [B]."""
    count = len(values)
    return Estimate(float(values.mean()), float(stdtrit(count - 1, 0.975) * values.std(ddof=1) / count**0.5))


def _shortfalls(trials: Trials, outcome: Outcome) -> tuple[str, ...]:
    """What is not shown to be met, and why."""
    network, found, parameters = trials.problem.network, [], outcome.best.parameters
    for result in outcome.certificate.open:
        limits = [
            limit
            for e, link in enumerate(network.links)
            if link.target == result.floor.node and (limit := trials.space.at_bound(parameters, e))
        ]
        why = "; ".join(limits) or (SUPPLY if outcome.best.lacking else SAMPLES)
        found.append(f"{result} ({why})")
    return tuple(found)
