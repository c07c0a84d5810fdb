"""Bringing runs to their end: what is planned, trained and gathered when, and what becomes of what fails."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from echelon.envs.errors import ConfigError, EchelonError
from echelon.envs.policy import Policy
from echelon.experiments.cell_files import ERROR, TOLD, UNFINISHED, files_of, write_error
from echelon.experiments.cells import Cell, NotApplicable, make_cell
from echelon.experiments.competitors import check_agent, plan_start
from echelon.experiments.config import Config
from echelon.experiments.executors import JOBS, ExecutorName, open_executor
from echelon.experiments.gather import gather
from echelon.experiments.manifest import manifest
from echelon.experiments.progress import Progress
from echelon.experiments.schedule import Report, Schedule, Task
from echelon.experiments.whole_folder import Commits, synchronise, write_file, write_json

MANIFEST = "manifest.json"
KEPT = ("started", "command")
"""What the manifest tells of the first attempt."""
END = "tables and report"


class UnfinishedRun(EchelonError):
    """A run has come to its end without some of what it should hold; the rest is there."""

    def __init__(self, message: str, folder: Path) -> None:
        super().__init__(message)
        self.folder = folder


@dataclass(frozen=True)
class Way:
    """How runs are carried out; what they find does not depend on it."""

    progress: Progress = field(default_factory=Progress)
    workers: int = 1
    executor: ExecutorName = "local"
    options: Mapping[str, Any] = field(default_factory=dict)
    """Of the executor, see `open_executor`."""
    retries: int = 1
    """How often a cell that has failed is tried again."""
    report: bool = True
    """Whether figures and pages are made; `echelon report` makes them later too."""


@dataclass(eq=False)
class Job:
    """A run that is to be brought to its end, and what has become of it."""

    folder: Path
    config: Config
    open: dict[str, Cell]
    """The cells that are not finished, by their names."""
    label: str = ""
    values: Mapping[str, Any] = field(default_factory=dict)
    """What sets the run apart from the others of its grid."""
    failed: dict[str, str] = field(default_factory=dict)
    """What went wrong, by the name of the cell."""
    left_out: dict[str, str] = field(default_factory=dict)
    """Why a policy does not apply, by the name of the cell."""
    finished: bool = False
    first: Mapping[str, Any] = field(default_factory=dict)
    """What the manifest keeps, of an earlier attempt too: when it began, and by which command."""
    spent: float = 0.0
    """Seconds of earlier attempts."""
    began: float = field(default_factory=time.monotonic)

    def full_name(self, name: str) -> str:
        """As the user is told of a cell, or of another part of the run."""
        return f"{self.label}: {name}" if self.label else name


@dataclass(frozen=True, eq=False)
class Planned:
    """What came of the planning of a cell."""

    refusal: str = ""
    """Why the policy cannot be had, nothing if it can."""
    start: Policy | None = None
    """What the training of an agent begins from."""


def bring_to_end(root: Path, jobs: Sequence[Job], way: Way) -> None:
    """Make all open cells of some runs, and their tables and reports.

    Raises `ConfigError` with every policy that cannot be planned, before anything is trained, and `UnfinishedRun` if
    something has failed for good.
    """
    with open_executor(way.executor, workers=way.workers, folder=root, options=way.options) as executor:
        work = _Work(Schedule(executor, way.workers, way.retries, way.progress), jobs, way)
        try:
            work.plan()
            work.train()
        finally:
            work.commits.finish()
    failed = [(job.full_name(name), fault) for job in jobs for name, fault in job.failed.items()]
    if failed:
        told = "\n".join(f"  {name}: {fault}" for name, fault in failed)
        raise UnfinishedRun(
            f"{len(failed)} of the run's parts failed:\n{told}\n"
            f"Their tracebacks are in the files error.txt; to try them again: echelon run --resume {root}",
            root,
        )
    shutil.rmtree(root / JOBS, ignore_errors=True)


class _Work:
    """What there is to do for some runs, and what has come of it so far."""

    def __init__(self, schedule: Schedule, jobs: Sequence[Job], way: Way) -> None:
        self.schedule, self.jobs, self.way = schedule, jobs, way
        self.commits = Commits()
        self.cells: dict[Task, tuple[Job, Cell]] = {}
        self.ends: dict[Task, Job] = {}
        self.planned: dict[Cell, Planned] = {}

    def plan(self) -> None:
        """Make the cells of all baselines, and see what agents need before they can be trained."""
        for job in self.jobs:
            if not job.finished:
                _write_manifest(job, self.way)
        open_cells = [(job, cell) for job in self.jobs for cell in job.open.values()]
        tasks = [self._task(job, cell, plan_cell, job.folder, cell) for job, cell in open_cells if _needs_plan(cell)]
        self.schedule.perform("planning", tasks, self._after_plan)
        refused = [
            job.full_name(f"problems.{cell.problem_name}.policies.{cell.policy_name}: {self.planned[cell].refusal}")
            for job, cell in open_cells
            if cell in self.planned and self.planned[cell].refusal and cell.name not in job.left_out
        ]
        if refused:
            raise ConfigError(refused)

    def train(self) -> None:
        """Make the cells of all agents, and finish each run after its last one."""
        ends = [self._end(job) for job in self.jobs if not (job.open or job.finished)]
        tasks = [
            self._task(job, cell, make_cell, job.folder, cell, self.planned.get(cell, Planned()).start)
            for job in self.jobs
            for cell in job.open.values()
        ]
        self.schedule.perform("training", [*ends, *tasks], self._after_training)

    def _task(self, job: Job, cell: Cell, act: Callable[..., Any], *arguments: Any) -> Task:
        task = Task(job.full_name(cell.name), act, arguments, cell.place(job.folder, UNFINISHED) / TOLD)
        self.cells[task] = job, cell
        return task

    def _after_plan(self, task: Task, report: Report) -> Iterable[Task]:
        job, cell = self.cells[task]
        if report.fault:
            self._fail(job, cell, report)
            return ()
        planned = self.planned[cell] = report.result
        if planned.refusal and cell.policy.where_it_applies:
            job.left_out[cell.name] = planned.refusal
            del job.open[cell.name]
        elif not planned.refusal and cell.policy.baseline is not None:
            self._finish(job, cell)
        return ()

    def _after_training(self, task: Task, report: Report) -> Iterable[Task]:
        if task in self.ends:
            self._after_end(self.ends[task], report)
            return ()
        job, cell = self.cells[task]
        if report.fault:
            self._fail(job, cell, report)
        else:
            self._finish(job, cell)
        return () if job.open else (self._end(job),)

    def _finish(self, job: Job, cell: Cell) -> None:
        del job.open[cell.name]
        self.commits.add(files_of(job.folder, cell))

    def _fail(self, job: Job, cell: Cell, report: Report) -> None:
        del job.open[cell.name]
        job.failed[cell.name] = report.fault
        write_error(job.folder, cell, report.details)

    def _end(self, job: Job) -> Task:
        """The tables and the report of a run, all cells of which are finished or have failed."""
        _write_manifest(job, self.way)
        task = Task(
            job.full_name(END),
            finish_run,
            (job.folder, job.config, self.way.report),
            job.folder / UNFINISHED / TOLD,
            False,
        )
        self.ends[task] = job
        return task

    def _after_end(self, job: Job, report: Report) -> None:
        if report.fault:
            job.failed[END] = report.fault
            write_file(job.folder / ERROR, report.details)
        job.finished = not job.failed
        if job.finished:
            (job.folder / ERROR).unlink(missing_ok=True)
            shutil.rmtree(job.folder / UNFINISHED, ignore_errors=True)
        _write_manifest(job, self.way)


def _needs_plan(cell: Cell) -> bool:
    policy = cell.policy
    return bool(policy.baseline or policy.start or policy.settings or policy.where_it_applies)


def plan_cell(run: Path, cell: Cell, *, progress: Progress) -> Planned:
    """Make the cell of a baseline; of an agent, see that it can be set up, and plan what it starts from."""
    try:
        if cell.policy.baseline is not None:
            make_cell(run, cell, None, progress=progress)
            return Planned()
    except NotApplicable as error:
        return Planned(refusal=str(error))
    try:
        check_agent(cell.policy, cell.problem)
    except EchelonError as error:
        return Planned(refusal=str(error))
    try:
        return Planned(start=None if cell.policy.start is None else plan_start(cell.policy, cell.problem))
    except EchelonError as error:
        return Planned(refusal=f"start: {error}")


def finish_run(run: Path, config: Config, report: bool, *, progress: Progress) -> None:
    """Write the tables of what is finished of a run, and if so wanted its figures and report."""
    progress.stage(END, 1)
    something = gather(run, config)
    networks = run / "networks"
    synchronise([*networks.iterdir(), networks])
    if something and report:
        from echelon.experiments.report import remake

        remake(run)
    progress.advance(1, "")


def _write_manifest(job: Job, way: Way) -> None:
    """Write how a run is made and how far it is; when it began, and by which command, stays."""
    now = manifest(job.config, workers=way.workers, executor=way.executor)
    job.first = job.first or {key: now[key] for key in KEPT}
    seconds = job.spent + time.monotonic() - job.began
    status = "finished" if job.finished else "open"
    state = {"seconds": seconds, "status": status, "failed": job.failed, "left_out": job.left_out}
    write_json(job.folder / MANIFEST, {**now, **job.first, **state})
