"""The stages of a search by simulation, each on scenarios of its own: see `simulation_optimization`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import ceil

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.analytic_start import INTERNAL_SERVICE, analytic_start
from echelon.baselines.certification import Certificate, certify, simulated_service
from echelon.baselines.constrained_search import BlockSearch, Point, directions_of
from echelon.baselines.floor_prices import FloorPrice, floor_prices
from echelon.baselines.integer_polish import Polish
from echelon.baselines.network_trials import Block, Trials
from echelon.baselines.ranking_selection import Selection, select_best, simulated_costs
from echelon.baselines.rule_space import RuleSpace
from echelon.baselines.search import lead_time_moments
from echelon.baselines.service_floors import ServiceFloor
from echelon.envs.problem import Problem
from echelon.envs.scenarios import Scenarios, sample
from echelon.envs.simulate import scenario_bytes, simulate_cost

Floats = NDArray[np.float64]

YEAR = 365
YEARS = (64, 256, 1_024)
"""Years of periods that a simulation of each stage of the search has."""
KEPT = (2, 1)
"""Searches that go on from one stage to the next, in every block."""
SWEEPS = (3, 3, 3)
TOLERANCE = 2e-4
"""Share of the cost that a sweep over all directions must gain for another one to follow."""
SELECTION_YEARS = 4_096
ASSESSMENT_YEARS = 2_048
MOST_BYTES = 5e8
"""Memory for the scenarios of a stage."""
CONTENDERS = 4
FINAL_ROUNDS = 1
"""Rounds of polishing on the sample of the selection."""
ALLOWANCES = (1.0, 2.0)
"""Standard errors by which margins must exceed 0 on the samples of the polish and of the selection."""
MORE_ALLOWANCE = 1.5
ATTEMPTS = 5
INDIFFERENT = 1e-3
"""Share of the cost below which contenders count as equal."""
LOT_SHARES = (1.0, 0.5, 2.0)
INTERNAL_SERVICES = (0.6, 0.97)
"""Further starts: lots as shares of those of the formula, and service inside the network where no floor sets it."""


@dataclass(frozen=True, eq=False)
class Chosen:
    """Parameters [2, E] and the searches that know how they can be moved."""

    parameters: Floats
    lacking: float
    searches: Sequence[BlockSearch]
    allowance: Floats
    """[F]"""


@dataclass(frozen=True, eq=False)
class SearchStages:
    """The stages of a search."""

    trials: Trials
    seed: int
    blocks: Sequence[Block]
    scale: float = 1.0
    """Sizes of the samples as a share of the usual ones."""

    @cached_property
    def steps(self) -> list[Floats]:
        """[n] for each block: lifts that can be told from none, about a quarter of a standard deviation."""
        _, spread = lead_time_moments(self.trials.problem)
        unit = self.trials.space.unit

        def step(links: NDArray[np.int64]) -> float:
            grid = float(unit[links].max(initial=1e-9))
            return max(float(np.rint(spread[links].max(initial=0.0) / 4 / grid)), 1.0) * grid

        return [np.array([step(block.links[x]) for x in block.into]) for block in self.blocks]

    def usual_effort(self, starts: int) -> float:
        """About how many node-periods the search takes at the usual sizes."""
        directions = max(
            len(search.directions) for search in self._searches(np.zeros((2, len(self.trials.space.unit))))
        )
        evaluations = directions * np.array([12 * starts, 12 * KEPT[0], 24 * KEPT[1], 5])
        years = float(evaluations @ np.array([*YEARS, SELECTION_YEARS]))
        return years * YEAR * len(self.trials.problem.network.nodes)

    def scenarios(self, years: float, stream: str) -> Scenarios:
        """About so many years, in 8 replications or more."""
        problem = self.trials.problem
        counted = int(np.count_nonzero(problem.weights))
        most = int(MOST_BYTES / scenario_bytes(problem))
        wanted = min(ceil(years * min(self.scale, 4.0) * YEAR / counted), most)
        replications = max(wanted, 8)
        return sample(
            problem.network, periods=problem.periods, replications=replications, seed=self.seed, stream=stream
        )

    def refined(self, starts: Sequence[Floats]) -> list[list[tuple[BlockSearch, Point]]]:
        """For each block the searches that are left, the best first."""
        whole = self.scenarios(YEARS[-1], "tuning")
        fresh = [self._searches(at) for at in starts]
        alive = [
            [(searches[b], at[:, block.links]) for searches, at in zip(fresh, starts, strict=True)]
            for b, block in enumerate(self.blocks)
        ]
        found: list[list[tuple[BlockSearch, Point]]] = []
        for stage, years in enumerate(YEARS):
            size = max(8, round(whole.replications * years / YEARS[-1]))
            found = self._descended(alive, whole[:size], stage)
            keep = KEPT[min(stage, len(KEPT) - 1)]
            alive = [[(search, point.parameters) for search, point in of_block[:keep]] for of_block in found]
        return found

    def _descended(
        self, alive: Sequence[Sequence[tuple[BlockSearch, Floats]]], scenarios: Scenarios, stage: int
    ) -> list[list[tuple[BlockSearch, Point]]]:
        """Let the k-th searches of all blocks descend together, for every k."""
        found: list[list[tuple[BlockSearch, Point]]] = [[] for _ in self.blocks]
        for k in range(len(alive[0])):
            together = [of_block[k] for of_block in alive]
            searches = [search.descend(at, sweeps=SWEEPS[stage], tolerance=TOLERANCE) for search, at in together]
            name = ("explore", "refine", "refine further")[stage]
            points = self.trials.run(self.blocks, searches, self._whole([at for _, at in together]), scenarios, name)
            for b, point in enumerate(points):
                found[b].append((together[b][0], point))
        return [sorted(of_block, key=lambda pair: pair[1].score) for of_block in found]

    def contenders(
        self, refined: Sequence[Sequence[tuple[BlockSearch, Point]]]
    ) -> list[tuple[Floats, Sequence[BlockSearch]]]:
        """Parameters that meet their floors on the last sample of the search, the cheapest first."""
        searches = [of_block[0][0] for of_block in refined]
        polishes = [Polish(search, np.full(len(search.block.floors), ALLOWANCES[0])) for search in searches]
        begin = [of_block[0][1].parameters for of_block in refined]
        found = self.trials.run(
            self.blocks,
            [polish.run(at) for polish, at in zip(polishes, begin, strict=True)],
            self._whole(begin),
            self.scenarios(YEARS[-1], "tuning"),
            "polish",
        )
        ranked = [
            [one.parameters for one in polish.kept[::-1]] or [last.parameters]
            for polish, last in zip(polishes, found, strict=True)
        ]
        return [
            (self._whole([of_block[min(k, len(of_block) - 1)] for of_block in ranked]), searches)
            for k in range(min(CONTENDERS, max(len(of_block) for of_block in ranked)))
        ]

    def selected(self, contenders: Sequence[tuple[Floats, Sequence[BlockSearch]]]) -> tuple[Chosen, Selection]:
        """The best of the contenders, once each meets its floors on a larger sample."""
        searches = contenders[0][1]
        scenarios = self.scenarios(SELECTION_YEARS, "selection")
        allowance = np.full(len(self.trials.floors), ALLOWANCES[1])
        repaired: dict[bytes, Chosen] = {}
        for parameters, _ in contenders:
            chosen = self._repaired(Chosen(parameters, 0.0, searches, allowance), scenarios, rounds=0)
            repaired[chosen.parameters.tobytes()] = chosen
        least = min(chosen.lacking for chosen in repaired.values())
        equal = [chosen for chosen in repaired.values() if chosen.lacking <= least]
        problem, space = self.trials.problem, self.trials.space
        costs = simulated_costs(
            problem, [space.policy(one.parameters) for one in equal], seed=self.seed, stream="ranking"
        )
        selection = select_best(
            costs, len(equal), delta=INDIFFERENT, relative=True, first_stage=64, batch=256, max_replications=2_048
        )
        return self._repaired(equal[selection.best], scenarios, rounds=FINAL_ROUNDS), selection

    def certified(self, chosen: Chosen) -> tuple[Floats, Certificate, float]:
        """Parameters with a certificate, after as many attempts as it takes or are allowed."""
        problem, space, floors = self.trials.problem, self.trials.space, self.trials.floors
        scenarios: Scenarios | None = None
        for attempt in range(ATTEMPTS):
            draw = simulated_service(
                problem,
                space.policy(chosen.parameters),
                floors,
                seed=self.seed,
                stream=f"certification-{attempt}",
                threads=self.trials.threads,
            )
            certificate = certify(floors, draw, sizes=self._certificate_sizes(), attempt=attempt)
            if certificate.met or attempt == ATTEMPTS - 1 or chosen.lacking:
                break
            scenarios = scenarios or self.scenarios(SELECTION_YEARS, "selection")
            short = np.array([result.verdict != "met" for result in certificate.floors])
            chosen = self._repaired(
                replace(chosen, allowance=chosen.allowance + MORE_ALLOWANCE * short), scenarios, rounds=1
            )
        return chosen.parameters, certificate, chosen.lacking

    def _certificate_sizes(self) -> tuple[int, ...]:
        """Replications: 1,000 and 4,000 years, and 16,000 of them if need be."""
        problem = self.trials.problem
        years = max(1.0, int(np.count_nonzero(problem.weights)) / YEAR)
        return tuple(ceil(size / years) for size in (1_000, 4_000, 16_000))

    def _repaired(self, chosen: Chosen, scenarios: Scenarios, *, rounds: int) -> Chosen:
        """The nearest parameters that meet every floor with its allowance, polished."""
        polishes = [Polish(search, chosen.allowance[search.block.floors]) for search in chosen.searches]
        found = self.trials.run(
            self.blocks,
            [polish.run(chosen.parameters[:, polish.search.block.links], rounds=rounds) for polish in polishes],
            chosen.parameters,
            scenarios,
            "selection",
        )
        parameters = self._whole([one.parameters for one in found])
        return replace(chosen, parameters=parameters, lacking=sum(one.lacking for one in found))

    def prices(self, parameters: Floats) -> tuple[FloorPrice, ...]:
        """What each floor costs."""
        if not self.trials.floors:
            return ()
        return floor_prices(self.trials, self.blocks, self.steps, parameters, self.scenarios(YEARS[-1], "prices"))

    def assessed(self, candidates: Sequence[Floats]) -> list[Floats]:
        """[B] costs of each on scenarios that no other stage sees."""
        scenarios, space = self.scenarios(ASSESSMENT_YEARS, "assessment"), self.trials.space
        return [
            simulate_cost(self.trials.problem, space.policy(one), scenarios, threads=self.trials.threads)
            for one in candidates
        ]

    def _whole(self, parts: Sequence[Floats]) -> Floats:
        """[2, E] parameters of the network from those of its blocks."""
        whole = np.zeros((2, len(self.trials.space.unit)))
        for block, part in zip(self.blocks, parts, strict=True):
            whole[:, block.links] = part
        return whole

    def _searches(self, start: Floats) -> list[BlockSearch]:
        space = self.trials.space
        mean, _ = lead_time_moments(self.trials.problem)
        return [
            BlockSearch(
                space, block, step, directions_of(space, block, step, np.maximum(start[1], mean)[block.links] / 4)
            )
            for block, step in zip(self.blocks, self.steps, strict=True)
        ]


def starts_of(problem: Problem, space: RuleSpace, floors: Sequence[ServiceFloor]) -> Iterator[Floats]:
    """Starts by formula, all different, the plain one first."""
    asked = {floor.node for floor in floors} | {node.name for node in problem.network.outlets}
    inside = any(link.source not in asked for link in problem.network.links if link.source in problem.network.index)
    pairs = [(share, INTERNAL_SERVICE) for share in LOT_SHARES]
    pairs += [(1.0, service) for service in INTERNAL_SERVICES if inside]
    seen: set[bytes] = set()
    for share, service in pairs:
        found = analytic_start(problem, space, floors, lot_share=share, internal_service=service)
        if found.tobytes() not in seen:
            seen.add(found.tobytes())
            yield found
