"""What a run shows on the terminal."""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Self

from rich import box
from rich import progress as bars
from rich.console import Console
from rich.table import Table

from echelon.experiments.run import Progress
from echelon.experiments.run_folder import PolicyResult, read_run


class RichProgress(Progress):
    """One progress bar per stage."""

    def __init__(self) -> None:
        self._bars = bars.Progress(
            bars.TextColumn("{task.description}"),
            bars.BarColumn(),
            bars.TaskProgressColumn(),
            bars.TimeElapsedColumn(),
            bars.TextColumn("{task.fields[note]}"),
        )
        self._task: bars.TaskID | None = None

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def stage(self, name: str, total: int) -> None:
        """Begin a bar of so many steps."""
        self._task = self._bars.add_task(name, total=total, note="")

    def advance(self, done: int, note: str) -> None:
        """Move the current bar."""
        if self._task is not None:
            self._bars.update(self._task, completed=done, note=note)


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
