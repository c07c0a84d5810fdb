"""Commands of Echelon in processes of their own that can be killed, without the seconds that its imports take.

A server runs one command itself, so that everything is imported and compiled, and forks a process for every other one.
Runs make no figures unless that is asked for: they take longer than all the rest.
"""

from __future__ import annotations

import csv
import json
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from glob import glob
from pathlib import Path
from types import TracebackType
from typing import Any, Self

End = tuple[int, float | str]
"""A signal, and when it is sent: after so many seconds, or once there is a file of that pattern."""


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code, less than 0 for a signal, how long it took, and what it said."""

    code: int
    seconds: float
    said: str


class Commands:
    """The server, to be used in a `with` statement."""

    def __init__(self, folder: Path, *warm_up: str | Path, figures: bool = False) -> None:
        self.folder, self.warm_up, self.figures = folder, warm_up, figures

    def __enter__(self) -> Self:
        command = [sys.executable, str(Path(__file__).resolve()), *self._words(self.warm_up)]
        pipes: dict[str, Any] = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
        self.server = subprocess.Popen(command, cwd=self.folder, **pipes)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with self.server:
            self.server.kill()

    def run(
        self, *arguments: str | Path, end: End | None = None, limit: int | None = None, deadly: bool = False
    ) -> Ended:
        """Run `echelon` with arguments; send it a signal in due time; limit the size of its files.

        What goes beyond a `deadly` limit kills the process, in the middle of that file.
        """
        (ended,) = self.together([arguments], end=end, limit=limit, deadly=deadly)
        return ended

    def together(
        self,
        commands: Sequence[Sequence[str | Path]],
        *,
        end: End | None = None,
        limit: int | None = None,
        deadly: bool = False,
    ) -> list[Ended]:
        """Run some commands at the same time."""
        words = [self._words(command) for command in commands]
        request = {"commands": words, "end": end, "limit": limit, "deadly": deadly}
        assert self.server.stdin is not None
        assert self.server.stdout is not None
        self.server.stdin.write(json.dumps(request) + "\n")
        self.server.stdin.flush()
        return [Ended(*answer) for answer in json.loads(self.server.stdout.readline())]

    def _words(self, command: Sequence[str | Path]) -> list[str]:
        without = command[:1] == ("run",) and not self.figures
        return [*map(str, command), *(["--no-report"] if without else [])]


def _serve() -> None:
    from typer.testing import CliRunner

    from echelon.experiments.cli import app

    CliRunner().invoke(app, sys.argv[1:], catch_exceptions=False)
    for line in sys.stdin:
        request = json.loads(line)
        began = time.monotonic()
        limit = request["limit"], request["deadly"]
        children = [_begin(k, words, *limit) for k, words in enumerate(request["commands"])]
        answers = [_end_of(k, child, began, request["end"]) for k, child in enumerate(children)]
        print(json.dumps(answers), flush=True)


def _begin(number: int, words: Sequence[str], limit: int | None, deadly: bool) -> int:
    """Fork a process that runs a command."""
    from echelon.experiments.cli import main

    child = os.fork()
    if child:
        return child
    said = os.open(_said(number), os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for stream in (1, 2):
        os.dup2(said, stream)
    if limit is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if deadly:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    sys.argv = ["echelon", *words]
    code = 99
    try:
        main()
    except SystemExit as ended:
        code = int(ended.code or 0)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _end_of(number: int, child: int, began: float, end: End | None) -> tuple[int, float, str]:
    """Wait for a process, and send it its signal in time."""
    while True:
        found, status = os.waitpid(child, os.WNOHANG)
        if found:
            said = Path(_said(number)).read_text(encoding="utf-8")
            return os.waitstatus_to_exitcode(status), time.monotonic() - began, said
        if end is not None and _is_due(end[1], began):
            os.kill(child, end[0])
            end = None
        time.sleep(0.002)


def _is_due(moment: float | str, began: float) -> bool:
    return bool(glob(moment)) if isinstance(moment, str) else time.monotonic() - began >= moment


def _said(number: int) -> str:
    return f"said-{number}.txt"


def results_of(run: Path) -> Mapping[str, bytes | list[str]]:
    """All results of a run: tables without seconds, and checkpoints."""
    found: dict[str, bytes | list[str]] = {}
    for file in sorted([*run.glob("*.csv"), *run.glob("cells/*/*/*.csv")]):
        with file.open(encoding="utf-8", newline="") as stream:
            rows = [
                [(name, value) for name, value in row.items() if name != "seconds"] for row in csv.DictReader(stream)
            ]
        found[str(file.relative_to(run))] = [str(row) for row in rows]
    for file in sorted(run.glob("learned/*/*/*")):
        if file.is_file():
            found[str(file.relative_to(run))] = file.read_bytes()
    for name in ("config.yaml", "problems.json", "networks.json"):
        found[name] = (run / name).read_bytes()
    return found


if __name__ == "__main__":
    _serve()
