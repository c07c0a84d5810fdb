"""One cell of a run: a policy on a problem, planned or trained, evaluated, and written whole.

What a cell comes to depends on its problem, its policy and the numbers of the evaluation alone: not on the process, the
machine's load, or what was made before it. So cells can be made in any order, anywhere, and again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from dataclasses import astuple, dataclass, fields, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echelon.envs.errors import EchelonError
from echelon.envs.policy import Policy, order_up_to
from echelon.envs.problem import Problem
from echelon.envs.scenarios import sample
from echelon.envs.simulate import Outcome, simulate, simulate_stream
from echelon.experiments.cell_files import (
    LEARNED,
    LOCK,
    SAVES,
    UNFINISHED,
    DamagedCell,
    Effort,
    columns_text,
    read_cell,
    table_text,
    write_cell,
)
from echelon.experiments.competitors import Competitor, plan_baseline, train_agent
from echelon.experiments.config import Config, PolicyConfig
from echelon.experiments.locks import locked
from echelon.experiments.observe import observations
from echelon.experiments.progress import Progress
from echelon.experiments.sequential import until_precise

Floats = NDArray[np.float64]


class NotApplicable(EchelonError):
    """A baseline does not apply to its problem: the config is broken."""


@dataclass(frozen=True)
class Evaluation:
    """How a policy is evaluated; see `Config`."""

    seed: int
    replications: int
    precision: float | None
    most_replications: int
    confidence: float


@dataclass(frozen=True, eq=False)
class Cell:
    """A policy on a problem, and all else that the result depends on."""

    problem_name: str
    policy_name: str
    problem: Problem
    policy: PolicyConfig
    evaluation: Evaluation
    digest: str
    """Of all the above."""

    @property
    def name(self) -> str:
        """As the user is told of it."""
        return f"{self.problem_name} / {self.policy_name}"

    def place(self, run: Path, kind: str) -> Path:
        """The folder of the cell in that part of a run folder."""
        return run / kind / self.problem_name / self.policy_name


def cells_of(config: Config) -> dict[str, Cell]:
    """The cells of a run by their names, in the order of the config."""
    found = {}
    evaluation = Evaluation(*(getattr(config, field.name) for field in fields(Evaluation)))
    for name, section in config.problems.items():
        problem = section.problem
        network = problem.network.model_dump_json()
        common = [network, problem.periods, problem.warm_up, problem.discount, *astuple(evaluation)]
        for label, policy in section.policies.items():
            settings = json.dumps([*common, policy.model_dump(mode="json")], sort_keys=True)
            digest = hashlib.sha256(settings.encode()).hexdigest()
            cell = Cell(name, label, problem, policy, evaluation, digest)
            found[cell.name] = cell
    return found


def make_cell(run: Path, cell: Cell, start: Policy | None, *, progress: Progress) -> None:
    """Plan or train, evaluate and write a cell, unless that is done; another process that is at it is waited for.

    Raises `NotApplicable` for a baseline that cannot be planned, and whatever else goes wrong.
    """
    workshop = cell.place(run, UNFINISHED)
    workshop.mkdir(parents=True, exist_ok=True)
    with locked(workshop / LOCK, wait=True) as attempts:
        if not _is_finished(run, cell):
            began = time.monotonic()
            competitor = _competitor(run, cell, start, progress)
            effort = Effort(attempts, time.monotonic() - began)
            progress.stage(f"{cell.name}: evaluating", 1)
            outcome = _measured(cell.problem, competitor.policy, cell.evaluation)
            write_cell(run, cell, competitor, _tables(cell, competitor, outcome), effort)
            progress.advance(1, "")
    shutil.rmtree(workshop, ignore_errors=True)


def _is_finished(run: Path, cell: Cell) -> bool:
    try:
        return read_cell(run, cell) is not None
    except DamagedCell:
        return False


def _competitor(run: Path, cell: Cell, start: Policy | None, progress: Progress) -> Competitor:
    _compile(cell.problem)
    name, policy, problem, seed = cell.policy_name, cell.policy, cell.problem, cell.evaluation.seed
    if policy.baseline is not None:
        try:
            return plan_baseline(name, policy, problem, seed=seed, progress=progress)
        except EchelonError as error:
            raise NotApplicable(str(error)) from error
    # Saves are kept by the digest of the cell, so that a config that was changed does not meet those of the old one.
    learned, saves = cell.place(run, LEARNED), cell.place(run, UNFINISHED) / f"{SAVES}-{cell.digest[:16]}"
    if not saves.exists():
        shutil.rmtree(learned, ignore_errors=True)
    return train_agent(name, policy, problem, seed=seed, start=start, folder=learned, saves=saves, progress=progress)


@lru_cache(maxsize=64)
def _compile(problem: Problem) -> None:
    """Run the compiled code once, so that no policy's CPU time holds the compilation."""
    short = replace(problem, periods=2, warm_up=0)
    policy = order_up_to(problem.network, [0.0] * len(problem.network.links))
    scenarios = sample(problem.network, periods=2, replications=1, seed=0, stream="compilation")
    simulate(short, policy, scenarios)
    simulate(short, policy, scenarios, trace=True)


def _measured(problem: Problem, policy: Policy, evaluation: Evaluation) -> Outcome:
    """The policy on the replications of the evaluation; with a `precision`, on as many as it takes."""
    seed = evaluation.seed
    if evaluation.precision is None:
        return simulate_stream(problem, policy, replications=evaluation.replications, seed=seed)
    parts: list[Outcome] = []

    def simulate_more(replications: range) -> Floats:
        parts.append(simulate_stream(problem, policy, replications=replications, seed=seed))
        return parts[-1].cost

    until_precise(
        simulate_more,
        first=evaluation.replications,
        precision=evaluation.precision,
        most=evaluation.most_replications,
        confidence=evaluation.confidence,
    )
    joined = {name: np.concatenate([part.per_period[name] for part in parts]) for name in parts[0].per_period}
    return Outcome(problem, joined)


def _tables(cell: Cell, competitor: Competitor, outcome: Outcome) -> dict[str, str]:
    """The rows of the cell for every table of the run, as text."""
    key = {"problem": cell.problem_name, "policy": cell.policy_name}
    watched = observations(
        cell.problem_name, cell.policy_name, competitor.policy, cell.problem, seed=cell.evaluation.seed
    )
    training = [{**key, **point} for point in competitor.curve]
    others = {name: table_text(rows) for name, rows in {"training": training, **watched}.items() if rows}
    return {"results": columns_text(key, _results(outcome)), **others}


def _results(outcome: Outcome) -> dict[str, NDArray[Any]]:
    """What each replication came to [B]."""
    kinds = {kind: part.sum(axis=1) for kind, part in outcome.costs.items()}
    measures = {"cost": outcome.cost, "fill_rate": outcome.fill_rate, "alpha": outcome.alpha}
    return {"replication": np.arange(len(outcome.cost)), **measures, **kinds}
