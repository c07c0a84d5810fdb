"""`echelon run` and `echelon rerun`: what they print, and how they end."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

from echelon.envs.errors import ConfigError
from echelon.experiments.console import RichProgress, print_league
from echelon.experiments.executors import ExecutorName
from echelon.experiments.grid import load_grid
from echelon.experiments.jobs import UnfinishedRun, Way
from echelon.experiments.progress import Count, Progress
from echelon.experiments.rerun import rerun
from echelon.experiments.resume import resume
from echelon.experiments.run import GRID_TABLE, run_grid

SUMMARY_TABLE, PAGE = "summary.csv", "report.html"

FAILED, INTERRUPTED, TERMINATED = 1, 130, 143
"""Exit codes where something failed for good, and of processes that end by Ctrl-C and by SIGTERM."""


class Terminated(KeyboardInterrupt):
    """The process was asked to end."""


@dataclass(frozen=True)
class RunRequest:
    """The options of `echelon run`."""

    config: Path | None = None
    resume: Path | None = None
    overrides: Sequence[str] = ()
    out: Path | None = None
    workers: int = 1
    executor: ExecutorName = "local"
    options: Mapping[str, Any] = field(default_factory=dict)
    retries: int = 1
    dry_run: bool = False
    report: bool = True

    def way(self, progress: Progress) -> Way:
        """How the run is carried out."""
        return Way(progress, self.workers, self.executor, self.options, self.retries, self.report)


def run_command(request: RunRequest) -> None:
    """Run a config, or go on with a run."""
    if (request.config is None) == (request.resume is None):
        raise ConfigError(["give a config, or the folder of an interrupted run with --resume"])
    if request.resume is not None:
        if request.overrides or request.out or request.dry_run:
            raise ConfigError(["--resume: a run goes on as it was begun, without --set, --out and --dry-run"])
        with _watched() as progress:
            folder = resume(request.resume, way=request.way(progress))
        _print_end(folder)
        return
    assert request.config is not None
    grid = load_grid(request.config, request.overrides)
    if request.dry_run:
        from echelon.experiments.dry_run import print_dry_run

        print_dry_run(grid)
        return
    with _watched() as progress:
        folder = run_grid(grid, out=request.out, way=request.way(progress))
    _print_end(folder)


def rerun_command(folder: Path, *, out: Path | None, workers: int) -> None:
    """Run what a folder holds again, and print which bits differ and why."""
    with _watched() as progress:
        made = rerun(folder, out=out, way=Way(progress, workers))
    if not made.differences:
        print(f"{made.folder} is the same as {folder}, bit for bit.")
        return
    print(f"{made.folder} differs from {folder}:", *made.differences, sep="\n  ")
    if made.causes:
        print("What is not as it was then:", *made.causes, sep="\n  ")
    else:
        print("Versions, machine and threads are as they were then.")
    sys.exit(FAILED)


def _print_end(folder: Path) -> None:
    """Print the league table of a run, or the table of a grid, and where the pages are."""
    if (folder / GRID_TABLE).exists():
        print((folder / GRID_TABLE).read_text(encoding="utf-8"), end="")
        print(f"\nRuns: {folder}")
        return
    print_league(folder)
    print(f"\nReport: {folder / PAGE}" if (folder / PAGE).exists() else f"\nRun: {folder}")


class _Watched(RichProgress):
    """Progress that ends the run where an interruption was lost: Python drops one that comes in a finalizer."""

    asked: KeyboardInterrupt | None = None

    def interrupt(self, number: int, _: FrameType | None) -> None:
        """Handle a signal to end."""
        self.asked = Terminated() if number == signal.SIGTERM else KeyboardInterrupt()
        raise self.asked

    def stage(self, name: str, total: int) -> None:
        """Begin a bar of so many steps in the place of the last one."""
        self._end_if_asked()
        super().stage(name, total)

    def advance(self, done: int, note: str) -> None:
        """Move the bar of the stage."""
        self._end_if_asked()
        super().advance(done, note)

    def count(self, count: Count) -> None:
        """Move the bar of all cells."""
        self._end_if_asked()
        super().count(count)

    def _end_if_asked(self) -> None:
        if self.asked is not None:
            raise self.asked


@contextmanager
def _watched() -> Iterator[Progress]:
    """Show progress; an interruption, and a run of which a part has failed, end the process with their exit codes."""
    progress = _Watched()
    before = {number: signal.signal(number, progress.interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with progress:
            yield progress
    except UnfinishedRun as error:
        if (error.folder / SUMMARY_TABLE).exists():
            print_league(error.folder)
        print(error, file=sys.stderr)
        sys.exit(FAILED)
    except KeyboardInterrupt as error:
        sys.exit(TERMINATED if isinstance(error, Terminated) else INTERRUPTED)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
