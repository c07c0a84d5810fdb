"""What a run tells about itself while it runs."""

from __future__ import annotations

import json
import os
import time
from dataclasses import dataclass
from pathlib import Path

SECONDS_BETWEEN = 1.0
"""How often a worker tells how far it is."""


@dataclass(frozen=True)
class Count:
    """How far a run is: numbers of cells, or of whatever the stage consists of."""

    stage: str
    total: int
    done: int
    failed: int
    running: tuple[str, ...]
    """What is at work, each with how far it is."""


class Progress:
    """What a run tells about itself while it runs; this one says nothing."""

    def stage(self, name: str, total: int) -> None:
        """A stage of so many steps begins within a cell."""

    def advance(self, done: int, note: str) -> None:
        """So many steps of the stage are done."""

    def count(self, count: Count) -> None:
        """How far the whole run is."""

    def say(self, message: str) -> None:
        """Something that the user must know: a failure, or what was found damaged."""


class FileProgress(Progress):
    """How far a worker is, in a small file that the main process reads; it is no harm if that cannot be written."""

    def __init__(self, file: Path) -> None:
        self._file, self._stage, self._total, self._due = file, "", 1, 0.0

    def stage(self, name: str, total: int) -> None:
        """Begin a stage of so many steps."""
        self._stage, self._total, self._due = name, total, 0.0
        self.advance(0, "")

    def advance(self, done: int, note: str) -> None:
        """Write how far the stage is, if some time has passed."""
        if time.monotonic() < self._due:
            return
        self._due = time.monotonic() + SECONDS_BETWEEN
        part = self._file.with_name(f".{self._file.name}.part")
        try:
            part.write_text(json.dumps([self._stage, done, self._total, note]), encoding="utf-8")
            os.replace(part, self._file)
        except OSError:
            return


def told_by(file: Path) -> str:
    """What a worker has told in its file, nothing if there is none yet."""
    try:
        stage, done, total, note = json.loads(file.read_text(encoding="utf-8"))
        return f"{stage} {100 * done / total:.0f} % {note}".strip()
    except (OSError, ValueError, TypeError, ZeroDivisionError):
        return ""
