"""What a run shows on the terminal."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from rich import box
from rich import progress as bars
from rich.console import Console
from rich.table import Table

from echelon.experiments.progress import Count, Progress
from echelon.experiments.run_folder import PolicyResult, read_run

MOST_RUNNING = 3
"""Cells of workers that are shown with how far they are."""


class RichProgress(Progress):
    """A bar for all cells, one for the stage of the cell that is made here, and a line for what workers are at."""

    def __init__(self) -> None:
        self._bars = bars.Progress(
            bars.TextColumn("{task.description}"),
            bars.BarColumn(),
            bars.TaskProgressColumn(),
            bars.TimeElapsedColumn(),
            bars.TextColumn("{task.fields[note]}"),
        )
        self._stage: bars.TaskID | None = None
        self._cells: dict[str, bars.TaskID] = {}

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def stage(self, name: str, total: int) -> None:
        """Begin a bar of so many steps in the place of the last one."""
        if self._stage is not None:
            self._bars.remove_task(self._stage)
        self._stage = self._bars.add_task(name, total=total, note="")

    def advance(self, done: int, note: str) -> None:
        """Move the bar of the stage."""
        if self._stage is not None:
            self._bars.update(self._stage, completed=done, note=note)

    def count(self, count: Count) -> None:
        """Move the bar of all cells."""
        if not count.total:
            return
        if count.stage not in self._cells:
            self._cells[count.stage] = self._bars.add_task(count.stage, total=count.total, note="")
        failed = f", {count.failed} failed" if count.failed else ""
        note = f"{count.done} of {count.total}{failed}, {len(count.running)} running"
        shown = [note, *count.running[:MOST_RUNNING]] if self._stage is None else [note]
        done = count.done + count.failed
        self._bars.update(self._cells[count.stage], completed=done, note="; ".join(shown))

    def say(self, message: str) -> None:
        """Print a line above the bars."""
        self._bars.console.print(message, highlight=False, markup=False, soft_wrap=True)


def print_league(folder: Path) -> None:
    """Print a table per problem: cost with its interval, gap, paired difference to the best policy."""
    run = read_run(folder)
    console = Console()
    for result in run.results:
        kind = result.reference_kind.replace("_", " ")
        note = "no reference" if result.reference is None else f"{kind} {result.reference:.4f}"
        gap = "gap to bound %" if result.reference_kind == "lower_bound" else "gap %"
        table = Table(title=f"{result.name}: {note}", title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
        for column in ("policy", "cost", gap, "above the best", "CPU s"):
            table.add_column(column, justify="left" if column == "policy" else "right", no_wrap=column != "policy")
        tied = any(policy.verdict == "not distinguishable" for policy in result.policies)
        for policy in result.policies:
            table.add_row(*_cells(policy, "lowest" if tied else "best"))
        console.print(table)


def _cells(policy: PolicyResult, leader: str) -> tuple[str, ...]:
    above = _number(policy.difference, policy.difference_half_width, 4)
    return (
        policy.name,
        _number(policy.mean, policy.half_width, 4),
        _number(policy.gap, policy.gap_half_width, 2),
        {"best": leader, "not distinguishable": "\u2248 lowest"}.get(policy.verdict, above),
        _number(policy.seconds, None, 1),
    )


def _number(value: float | None, half_width: float | None, digits: int) -> str:
    if value is None:
        return ""
    return f"{value:.{digits}f}" + (f" ± {half_width:.{digits}f}" if half_width is not None else "")
