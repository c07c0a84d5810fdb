"""The stages of a search by simulation, each on scenarios of its own: see `simulation_optimization`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import zip_longest
from math import ceil

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.certification import Certificate, certify, simulated_service
from echelon.baselines.constrained_search import BlockSearch, Point, directions_of
from echelon.baselines.floor_prices import FloorPrice, floor_prices
from echelon.baselines.integer_polish import MOST_ROUNDS, SMALL, Candidate, Polish
from echelon.baselines.network_trials import Block, Found, Trials, have_few_links
from echelon.baselines.ranking_selection import Selection, select_best, simulated_costs
from echelon.baselines.search import lead_time_moments
from echelon.envs.scenarios import Scenarios, sample
from echelon.envs.simulate import scenario_bytes, simulate_cost

Floats = NDArray[np.float64]

YEAR = 365
YEARS = (64, 256, 1_024)
"""Years of periods that a simulation of each stage of the search has."""
KEPT, MORE_KEPT = (2, 1), (4, 2)
"""Searches that go on from one stage to the next, in every block; more of them where blocks have few links."""
DISTINCT, POOR = 0.15, 0.02
"""Shares: a span of searches that count as different differs by so much; what is so much dearer does not count."""
SWEEPS = (3, 3, 3)
TOLERANCE = 2e-4
"""Share of the cost that a sweep over all directions must gain for another one to follow."""
SELECTION_YEARS, MORE_YEARS = 4_096, 20_480
"""Of the selection: so many, or on small networks more, so many divided by their nodes."""
ASSESSMENT_YEARS = 2_048
PRICED = 512
"""Least replications on which the floors are priced."""
MOST_BYTES = 5e8
"""Memory for the scenarios of a stage."""
CONTENDERS = 4
RUNNERS = 2
"""Contenders, the best included, that go on to another attempt where the best could not be certified."""
LEAST_REPLICATIONS = 64
"""Of the selection's sample, as far as memory allows: fewer say little about what fresh ones may take back."""
FINAL_ROUNDS, MORE_ROUNDS = 1, 3
"""Rounds of polishing on the sample of the selection; more of them in small blocks, and on the sample of the search."""
ALLOWANCES = (1.0, 2.0)
"""Standard errors by which margins must exceed 0 on the samples of the polish and of the selection."""
MORE_ALLOWANCE = 1.5
ATTEMPTS = 5
INDIFFERENT = 1e-3
"""Share of the cost below which contenders count as equal."""


@dataclass(frozen=True, eq=False)
class Contender:
    """Parameters [2, E], the searches that know how they can be moved, and what they did on the selection's sample."""

    parameters: Floats
    searches: Sequence[BlockSearch]
    lacking: float = 0.0
    """By how much margins fall short of what is asked of them, in standard errors."""
    cost: float = np.nan
    margin: Floats = field(default_factory=lambda: np.zeros(0))
    """[F]"""


@dataclass(frozen=True, eq=False)
class Outcome:
    """The contender selected, and what fresh scenarios say of it."""

    best: Contender
    selection: Selection
    certificate: Certificate


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

    @cached_property
    def few_links(self) -> bool:
        """Whether all blocks have few links."""
        return have_few_links(self.blocks)

    @property
    def carried(self) -> int:
        """Searches that are polished."""
        return self._kept[-1]

    @property
    def _selection_years(self) -> float:
        return max(SELECTION_YEARS, MORE_YEARS / len(self.trials.problem.network.nodes))

    @property
    def _kept(self) -> tuple[int, int]:
        return MORE_KEPT if self.few_links else KEPT

    def usual_effort(self, starts: int) -> float:
        """About how many node-periods the search takes at the usual sizes."""
        directions = max(
            len(search.directions) for search in self._searches(np.zeros((2, len(self.trials.space.unit))))
        )
        evaluations = directions * np.array(
            [12 * starts, 12 * self._kept[0], 24 * self._kept[1], 20 if self.few_links else 5]
        )
        years = float(evaluations @ np.array([*YEARS, self._selection_years]))
        return years * YEAR * len(self.trials.problem.network.nodes)

    def scenarios(self, years: float, stream: str, *, least: int = 8) -> Scenarios:
        """About so many years, in `least` replications or more as far as memory allows, at any rate in 8."""
        problem = self.trials.problem
        counted = int(np.count_nonzero(problem.weights))
        most = int(MOST_BYTES / scenario_bytes(problem))
        wanted = ceil(years * min(self.scale, 4.0) * YEAR / counted)
        replications = max(min(max(wanted, least), most), 8)
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
            keep = self._kept[min(stage, len(self._kept) - 1)]
            found = [_different(of_block, keep) for of_block in found]
            alive = [[(search, point.parameters) for search, point in of_block] for of_block in found]
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

    def contenders(self, refined: Sequence[Sequence[tuple[BlockSearch, Point]]]) -> list[Contender]:
        """Parameters that meet their floors on the last sample of the search, the cheapest of each search first."""
        scenarios, rounds = self.scenarios(YEARS[-1], "tuning"), MORE_ROUNDS if self.few_links else MOST_ROUNDS
        found: list[list[list[tuple[Candidate, BlockSearch]]]] = [[] for _ in self.blocks]
        for together in zip(*refined, strict=True):
            counts = [len(search.block.floors) for search, _ in together]
            polishes = [
                Polish(search, np.full(count, ALLOWANCES[0]), np.full(count, -np.inf))
                for (search, _), count in zip(together, counts, strict=True)
            ]
            begin = [point.parameters for _, point in together]
            runs = [
                polish.run(at, rounds=rounds, joint=self.few_links) for polish, at in zip(polishes, begin, strict=True)
            ]
            ends = self.trials.run(self.blocks, runs, self._whole(begin), scenarios, "polish")
            for of_block, polish, end in zip(found, polishes, ends, strict=True):
                of_block.append([(one, polish.search) for one in polish.kept[::-1] or [end]])
        ranked = [_in_turn(sorted(of_block, key=lambda chain: chain[0][0].score)) for of_block in found]
        return [
            self._contender([of_block[min(k, len(of_block) - 1)] for of_block in ranked])
            for k in range(min(CONTENDERS, max(len(of_block) for of_block in ranked)))
        ]

    def _contender(self, parts: Sequence[tuple[Candidate, BlockSearch]]) -> Contender:
        return Contender(self._whole([one.parameters for one, _ in parts]), [search for _, search in parts])

    def certified(self, contenders: Sequence[Contender]) -> Outcome:
        """The best of the contenders, with a certificate, after as many attempts as it takes or are allowed.

        In each attempt contenders are first moved to meet what is asked of their margins, then ranked; the best is
        certified as it is. So what is said of the selection is said of the parameters that are returned.
        """
        scenarios = self.scenarios(self._selection_years, "selection", least=LEAST_REPLICATIONS)
        allowance = np.full(len(self.trials.floors), ALLOWANCES[1])
        least = np.full(len(allowance), -np.inf)
        for attempt in range(ATTEMPTS):
            contenders = self._repaired(contenders, scenarios, allowance, least)
            selection = self._selection(contenders, attempt)
            best = contenders[selection.best]
            certificate = self._certificate(best, attempt)
            if certificate.met or best.lacking:
                break
            contenders = [contenders[i] for i in np.argsort(selection.differences, kind="stable")[:RUNNERS]]
            short = np.array([result.verdict != "met" for result in certificate.floors])
            allowance = allowance + MORE_ALLOWANCE * short
            least = np.where(short, np.maximum(least, best.margin + self._missing(certificate)), least)
        return Outcome(best, selection, certificate)

    def _repaired(
        self, contenders: Sequence[Contender], scenarios: Scenarios, allowance: Floats, least: Floats
    ) -> list[Contender]:
        """Contenders that meet what is asked of them, all different, the cheapest first; the first are polished."""
        found: dict[bytes, Contender] = {}
        for one in contenders:
            moved = self._polished(one, scenarios, allowance, least, rounds=0)
            found[moved.parameters.tobytes()] = moved
        rounds = MORE_ROUNDS if max(len(block.nodes) for block in self.blocks) <= SMALL else FINAL_ROUNDS
        order = sorted(found.values(), key=lambda one: (one.lacking, one.cost))
        for one in order[: self.carried]:
            moved = self._polished(one, scenarios, allowance, least, rounds=rounds)
            if (moved.lacking, moved.cost) < (one.lacking, one.cost):
                del found[one.parameters.tobytes()]
                found[moved.parameters.tobytes()] = moved
        order = sorted(found.values(), key=lambda one: (one.lacking, one.cost))
        return [one for one in order if one.lacking <= order[0].lacking]

    def _polished(
        self, one: Contender, scenarios: Scenarios, allowance: Floats, least: Floats, *, rounds: int
    ) -> Contender:
        """The nearest parameters that meet what is asked of every margin, polished."""
        polishes = [Polish(each, allowance[each.block.floors], least[each.block.floors]) for each in one.searches]
        found = self.trials.run(
            self.blocks,
            [polish.run(one.parameters[:, polish.search.block.links], rounds=rounds) for polish in polishes],
            one.parameters,
            scenarios,
            "selection",
        )
        margin = np.zeros(len(allowance))
        for block, part in zip(self.blocks, found, strict=True):
            margin[block.floors] = part.measured.margin
        return Contender(
            self._whole([part.parameters for part in found]),
            one.searches,
            sum(part.lacking for part in found),
            sum(part.measured.cost for part in found),
            margin,
        )

    def _selection(self, contenders: Sequence[Contender], attempt: int) -> Selection:
        """The contenders ranked on years that nothing else has seen."""
        policies = [self.trials.space.policy(one.parameters) for one in contenders]
        stream = f"ranking-{attempt}"
        costs = simulated_costs(
            self.trials.problem, policies, seed=self.seed, stream=stream, threads=self.trials.threads
        )
        delta = INDIFFERENT * (min(abs(one.cost) for one in contenders) or 1.0)
        return select_best(costs, len(policies), delta=delta, first_stage=64, batch=256, max_replications=2_048)

    def _certificate(self, one: Contender, attempt: int) -> Certificate:
        problem, floors = self.trials.problem, self.trials.floors
        policy, stream = self.trials.space.policy(one.parameters), f"certification-{attempt}"
        draw = simulated_service(problem, policy, floors, seed=self.seed, stream=stream, threads=self.trials.threads)
        return certify(floors, draw, sizes=self._certificate_sizes(), attempt=attempt)

    def _certificate_sizes(self) -> list[int]:
        """Replications: 1,000 and 4,000 years, and 16,000 of them if need be; 30, 60 and 120 at least."""
        years = max(1.0, int(np.count_nonzero(self.trials.problem.weights)) / YEAR)
        return [max(ceil(size / years), few) for size, few in zip((1_000, 4_000, 16_000), (30, 60, 120), strict=True)]

    def _missing(self, certificate: Certificate) -> Floats:
        """[F] by how much margins must rise for the largest sample to show the floors."""
        shrinks = (certificate.replications / self._certificate_sizes()[-1]) ** 0.5
        return np.array(
            [max(0.0, shrinks * (one.margin - one.margin_at_least) - one.margin) for one in certificate.floors]
        )

    def prices(self, parameters: Floats) -> tuple[FloorPrice, ...]:
        """What each floor costs."""
        if not self.trials.floors:
            return ()
        scenarios = self.scenarios(YEARS[-1], "prices", least=PRICED)
        return floor_prices(self.trials, self.blocks, self.steps, parameters, scenarios)

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


def _different(found: Sequence[tuple[BlockSearch, Point]], keep: int) -> list[tuple[BlockSearch, Point]]:
    """The best of what was found, the best first, with spans that differ as long as there are such."""
    chosen: list[tuple[BlockSearch, Point]] = []
    rest: list[tuple[BlockSearch, Point]] = []
    for pair in found:
        spans = pair[1].parameters[1]
        near = any(
            (np.abs(spans - other.parameters[1]) <= DISTINCT * np.maximum(spans, other.parameters[1])).all()
            for _, other in chosen
        )
        poor = bool(chosen) and pair[1].merit > chosen[0][1].merit + POOR * abs(chosen[0][1].merit)
        (rest if near or poor else chosen).append(pair)
    return sorted((chosen + rest)[:keep], key=lambda pair: pair[1].score)


def _in_turn(chains: Sequence[Sequence[Found]]) -> list[Found]:
    """The first of each chain, then the second of each."""
    return [one for rank in zip_longest(*chains) for one in rank if one is not None]
