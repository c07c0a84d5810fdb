"""Doing many things on an executor: so many at a time, each again if it fails, and none of them stops the others."""

from __future__ import annotations

import traceback
import warnings
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from echelon.experiments.executors import Here
from echelon.experiments.progress import Count, FileProgress, Progress, told_by

SECONDS_BETWEEN = 1.0
"""How often the progress is told while nothing ends."""


@dataclass(frozen=True)
class Report:
    """What came of an attempt."""

    result: Any = None
    fault: str = ""
    """What went wrong in a line, nothing if all went well."""
    details: str = ""
    """The traceback."""
    warnings: tuple[str, ...] = ()


@dataclass(eq=False)
class Task:
    """Something to do: a function of data that can be sent elsewhere, and of a `Progress`."""

    name: str
    act: Callable[..., Any]
    arguments: tuple[Any, ...]
    told: Path
    """The file in which a worker tells how far it is."""
    counts: bool = True
    """Whether it is one of those that the user counts."""
    attempts: int = 0


@dataclass(frozen=True, eq=False)
class Schedule:
    """How tasks are done."""

    executor: Executor
    workers: int
    retries: int
    progress: Progress

    def perform(self, stage: str, tasks: Sequence[Task], then: Callable[[Task, Report], Iterable[Task]]) -> None:
        """Do tasks, and those that `then` returns when one of them has ended well, or failed for good."""
        queue, running = deque(tasks), dict[Future[Report], Task]()
        total, done, failed = sum(task.counts for task in tasks), 0, 0
        while queue or running:
            while queue and len(running) < self.workers:
                task = queue.popleft()
                self._count(stage, total, done, failed, [*running.values(), task])
                running[self._submit(task)] = task
            ended, _ = wait(running, timeout=SECONDS_BETWEEN, return_when=FIRST_COMPLETED)
            for future in ended:
                task = running.pop(future)
                report = _came_of(future)
                for warning in report.warnings:
                    self.progress.say(f"{task.name}: {warning}")
                if report.fault and task.attempts <= self.retries:
                    self.progress.say(f"{task.name}: {report.fault}; it is tried again")
                    queue.append(task)
                    continue
                done += task.counts and not report.fault
                failed += task.counts and bool(report.fault)
                if report.fault:
                    self.progress.say(f"{task.name}: {report.fault}; it has failed")
                queue.extendleft(then(task, report))
            self._count(stage, total, done, failed, [*running.values()])

    def _submit(self, task: Task) -> Future[Report]:
        task.attempts += 1
        here = isinstance(self.executor, Here)
        progress = self.progress if here else FileProgress(task.told)
        act = attempt if here else attempt_in_worker
        return self.executor.submit(act, task.act, task.arguments, progress)

    def _count(self, stage: str, total: int, done: int, failed: int, running: Sequence[Task]) -> None:
        told = tuple(f"{task.name}: {told_by(task.told)}".rstrip(": ") for task in running)
        self.progress.count(Count(stage, total, done, failed, told))


def attempt(act: Callable[..., Any], arguments: tuple[Any, ...], progress: Progress) -> Report:
    """Do something; whatever goes wrong is told, and not raised."""
    try:
        return Report(act(*arguments, progress=progress))
    except Exception as error:
        return Report(fault=_in_a_line(error), details=traceback.format_exc())


def attempt_in_worker(act: Callable[..., Any], arguments: tuple[Any, ...], progress: Progress) -> Report:
    """The same in a process that nobody watches: its warnings are told too."""
    with warnings.catch_warnings(record=True) as heard:
        report = attempt(act, arguments, progress)
    told = tuple(dict.fromkeys(str(warning.message) for warning in heard))
    return Report(report.result, report.fault, report.details, told)


def _came_of(future: Future[Report]) -> Report:
    """The report of an attempt; that of one whose process died says so."""
    try:
        return future.result()
    except Exception as error:
        return Report(fault=f"its process ended: {_in_a_line(error)}", details=traceback.format_exc())


def _in_a_line(error: Exception) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}".removesuffix(": ")
