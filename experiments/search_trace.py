"""What a search over parameters tells, while it runs and afterwards: a line on the terminal, a table, TensorBoard."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from rich import progress as bars
from rich.console import Console

from echelon.baselines.network_trials import SearchRecord
from echelon.envs.errors import MissingExtraError

COLUMNS = ("stage", "evaluations", "node_periods", "best_cost")
EVENT_FILE = "events.out.tfevents.search"
"""TensorBoard finds its files by the middle of this name."""
EVERY = 0.1
"""Seconds between two updates of the bar."""


class SearchProgress:
    """A line on the terminal with the stage, the evaluations and the best cost; nothing where there is no terminal.

    It goes to the standard error, so that what is printed can be read by a program.
    """

    def __init__(self, console: Console | None = None) -> None:
        console = console or Console(stderr=True)
        self.times: dict[int, float] = {}
        """Seconds since the epoch, by evaluations."""
        self._seen = 0.0
        self._bars = bars.Progress(
            bars.SpinnerColumn(),
            bars.TextColumn("{task.description}"),
            bars.TimeElapsedColumn(),
            bars.TextColumn("{task.fields[note]}"),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bars.add_task("search", total=None, note="")

    def __enter__(self) -> Self:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def stage(self, name: str) -> None:
        """Say what is done now that is no search."""
        self._bars.update(self._task, description=name, note="")

    def search(self, prefix: str = "") -> Callable[[SearchRecord], None]:
        """What a search reports to; with a prefix it is none of the search itself."""

        def report(record: SearchRecord) -> None:
            now = time.time()
            if not prefix:
                self.times[record.evaluations] = now
            if now >= self._seen + EVERY:
                self._seen = now
                best = "" if record.best is None else f", best cost {record.best:.6g}"
                note = f"{record.evaluations:,} evaluations{best}"
                self._bars.update(self._task, description=f"{prefix}{record.stage}", note=note)

        return report


def trace_rows(trace: Sequence[SearchRecord]) -> list[dict[str, Any]]:
    """A row for each record; the best cost is empty as long as the floors are not reached."""
    values = ((one.stage, one.evaluations, one.node_periods, "" if one.best is None else one.best) for one in trace)
    return [dict(zip(COLUMNS, row, strict=True)) for row in values]


def write_events(
    folder: Path, trace: Sequence[SearchRecord], final: Mapping[str, float], *, times: Mapping[int, float] | None = None
) -> Path:
    """A file for TensorBoard: best cost and node-periods by evaluation, and the values of `final` at the last one.

    `times` are seconds since the epoch, by evaluations. Raises `MissingExtraError` where TensorBoard is not installed.
    """
    try:
        from tensorboard.compat.proto.event_pb2 import Event  # type: ignore[import-untyped]
        from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[import-untyped]
        from tensorboard.summary.writer.record_writer import RecordWriter  # type: ignore[import-untyped]
    except ImportError:
        raise MissingExtraError("the trace for TensorBoard needs it: pip install 'echelon[learn]'") from None
    known = times or {}
    last = trace[-1].evaluations if trace else 0
    rows = [(one.evaluations, _scalars(one)) for one in trace] + [(last, dict(final))]
    path = folder / EVENT_FILE
    with path.open("wb") as stream:
        writer = RecordWriter(stream)
        first = known.get(trace[0].evaluations, 0.0) if trace else 0.0
        writer.write(Event(wall_time=first, file_version="brain.Event:2").SerializeToString())
        for step, scalars in rows:
            values = [Summary.Value(tag=tag, simple_value=value) for tag, value in scalars.items()]
            event = Event(wall_time=known.get(step, 0.0), step=step, summary=Summary(value=values))
            writer.write(event.SerializeToString())
        writer.flush()
    return path


def _scalars(record: SearchRecord) -> dict[str, float]:
    """What is drawn of a record."""
    best = {} if record.best is None else {f"best cost/{record.stage}": record.best, "search/best cost": record.best}
    return {**best, "search/node-periods": float(record.node_periods)}
