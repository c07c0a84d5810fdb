"""One process at a time, by a lock on a file, which the system gives up when the process ends in whatever way."""

from __future__ import annotations

import json
import os
import platform
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import FileIO
from pathlib import Path

from echelon.envs.errors import ConfigError

REPORT_LOCK = ".report.lock"
"""Held by whoever makes the report of a folder, be it a run's own process or `echelon report`."""

if sys.platform == "win32":
    import msvcrt

    def _lock(handle: int, *, wait: bool) -> None:
        msvcrt.locking(handle, msvcrt.LK_LOCK if wait else msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(handle: int, *, wait: bool) -> None:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))


@contextmanager
def locked(path: Path, *, wait: bool = False) -> Iterator[int]:
    """Hold the lock of a file, which is made if need be and stays; wait for it, or raise `ConfigError` if it is taken.

    Every holder adds a line to the file; given is the number of holders so far. The error names the one that holds it
    now, and its machine.
    """
    handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_NOFOLLOW", 0), 0o644)
    with os.fdopen(handle, "r+b", buffering=0) as file:
        try:
            _lock(handle, wait=wait)
        except OSError:
            raise ConfigError([f"{path.parent}: {_holder(file)} is at work on it; wait for it, or end it"]) from None
        before = len(file.readlines())
        file.write(json.dumps({"pid": os.getpid(), "host": platform.node()}).encode() + b"\n")
        yield before + 1


def _holder(file: FileIO) -> str:
    """Who holds the lock, as far as it has written that down yet."""
    try:
        holder = json.loads(file.readlines()[-1])
        return f"process {int(holder['pid'])} on {holder['host']}"
    except (OSError, ValueError, LookupError, TypeError):
        return "another process"
