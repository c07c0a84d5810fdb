"""Running experiments: plan or train every policy, evaluate all on common scenarios, write a run folder.

A run is made cell by cell (see `cells`): first those of all baselines, so that one that does not apply stops everything
before any training, then those of the agents; then its tables are gathered and its figures and report made. A cell that
fails is tried again, then told of and left out; the others go on.
"""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from echelon.envs.errors import ConfigError
from echelon.envs.yaml_io import dump_yaml
from echelon.experiments.cell_files import CELLS, DESCRIPTION, UNFINISHED, table_text
from echelon.experiments.cells import cells_of
from echelon.experiments.competitors import UNSUITED, agent_defects
from echelon.experiments.config import Config
from echelon.experiments.executors import ExecutorName
from echelon.experiments.grid import Grid, Member
from echelon.experiments.jobs import Job, UnfinishedRun, Way, bring_to_end
from echelon.experiments.locks import locked
from echelon.experiments.progress import Progress
from echelon.experiments.whole_folder import synchronise, write_file

CONFIG, GRID, GRID_TABLE, RUN_LOCK = "config.yaml", "grid.yaml", "grid.csv", ".lock"


def run_experiment(
    config: Config,
    *,
    out: Path | None = None,
    progress: Progress | None = None,
    workers: int = 1,
    executor: ExecutorName = "local",
    retries: int = 1,
) -> Path:
    """Run a config and write its folder; returns the folder.

    The folder holds `results.csv` (one row per policy and replication), `summary.csv`, `training.csv`, `trace.csv`,
    `policy_map.csv`, `bullwhip.csv`, `config.yaml` (resolved), `networks/`, `manifest.json`, `cells/`, checkpoints,
    TensorBoard logs, plots and `report.html`. The results depend neither on `workers` nor on the `executor`.

    Raises `ConfigError` if the folder exists, and with every policy that cannot be planned; then no folder is left. A
    cell that fails is tried again up to `retries` times; `UnfinishedRun` is raised at the end if some have failed for
    good. A run that is interrupted keeps its folder once a cell is finished or a training saved, for `resume`.
    """
    way = Way(progress or Progress(), workers, executor, retries=retries)
    return run_grid(Grid(config.name, (Member("", {}, config),), {}), out=out, way=way)


def run_grid(grid: Grid, *, out: Path | None = None, way: Way | None = None) -> Path:
    """Run all members of a grid, each in a folder of its own below `out`, as `run_experiment` runs one config.

    The folder holds `grid.yaml`, the document, and `grid.csv`, what sets each member apart and how it ended. The only
    member of a document without seeds and sweep has the folder for itself.
    """
    folder = out or default_folder(grid.name)
    _require_extras(grid)
    with _new_folder(folder, grid):
        jobs = jobs_of(folder, grid)
        try:
            carry_out(folder, grid, jobs, way or Way())
        except ConfigError:
            shutil.rmtree(folder)
            raise
        except KeyboardInterrupt:
            if not _is_worth_keeping(jobs):
                shutil.rmtree(folder)
            raise
    return folder


def carry_out(folder: Path, grid: Grid, jobs: Sequence[Job], way: Way) -> None:
    """Bring the runs in a folder to their end, with the table of a grid."""
    to_go_on = f"what is finished is kept; to go on: echelon run --resume {folder}"
    try:
        try:
            bring_to_end(folder, jobs, way)
        finally:
            if is_folder_of_several(grid):
                rows = [{"label": job.label, **job.values, "status": _status(job)} for job in jobs]
                write_file(folder / GRID_TABLE, table_text(rows))
    except KeyboardInterrupt:
        way.progress.say(f"Stopped; {to_go_on}")
        raise
    except OSError as error:
        raise UnfinishedRun(
            f"{error.filename or folder} cannot be written: {error.strerror}; {to_go_on}", folder
        ) from error


def jobs_of(folder: Path, grid: Grid) -> list[Job]:
    """The runs of a grid, none of whose cells is finished."""
    return [
        Job(folder / member.label, member.config, cells_of(member.config), member.label, member.values)
        for member in grid.members
    ]


def is_folder_of_several(grid: Grid) -> bool:
    """Whether each member has a folder of its own."""
    return any(member.label for member in grid.members)


def default_folder(name: str) -> Path:
    """runs/NAME-DATE-TIME, in the current folder."""
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    return Path("runs") / f"{name}-{stamp}"


@contextmanager
def _new_folder(folder: Path, grid: Grid) -> Iterator[None]:
    """Make the folder, with its configs, in one step, and hold its lock; one that exists is never written into."""
    part = folder.with_name(f".{folder.name}.{secrets.token_hex(4)}")
    try:
        part.mkdir(parents=True)
        _write_configs(part, grid)
    except OSError as error:
        shutil.rmtree(part, ignore_errors=True)
        raise ConfigError([f"{folder}: the run folder cannot be made: {error.strerror}"]) from None
    with locked(part / RUN_LOCK):
        _take_place(part, folder)
        yield


def _write_configs(folder: Path, grid: Grid) -> None:
    written = []
    for member in grid.members:
        (folder / member.label).mkdir(exist_ok=True)
        written.append(folder / member.label / CONFIG)
        dump_yaml(member.config.model_dump(mode="json"), written[-1])
    if is_folder_of_several(grid):
        written.append(folder / GRID)
        dump_yaml(grid.document, written[-1])
    synchronise([*written, *{file.parent for file in written}])


def _take_place(part: Path, folder: Path) -> None:
    """Move a folder to its place. Raises `ConfigError` if there is something; of two that race one comes first."""
    if not os.path.lexists(folder):
        with suppress(OSError):
            os.rename(part, folder)
            synchronise([folder.parent])
            return
    shutil.rmtree(part)
    raise ConfigError(
        [
            f"{folder}: the run folder exists already; choose another one with --out, or, if its run was interrupted, "
            f"go on with it by --resume"
        ]
    )


def _is_worth_keeping(jobs: Sequence[Job]) -> bool:
    """Whether a cell is finished, or a training saved."""
    kept = ((CELLS, DESCRIPTION), (UNFINISHED, "state.json"))
    return any(any((job.folder / kind).rglob(name)) for job in jobs for kind, name in kept)


def _status(job: Job) -> str:
    if job.failed:
        return f"{len(job.failed)} failed"
    return "finished" if job.finished else "open"


def _require_extras(grid: Grid) -> None:
    """Fail before any work if an agent is asked for and cannot be trained."""
    found: dict[str, None] = {}
    for member in grid.members:
        for problem, section in member.config.problems.items():
            for name, policy in section.policies.items():
                place = f"problems.{problem}.policies.{name}"
                defects = [] if policy.agent is None else agent_defects(policy, section.problem)
                if policy.where_it_applies:
                    defects = [defect for defect in defects if not defect.startswith(UNSUITED)]
                found |= dict.fromkeys(f"{place}.{defect}" for defect in defects)
    if found:
        raise ConfigError(found)
