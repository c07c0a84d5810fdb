"""Results that are there whole or not at all, and never in the place of others."""

from __future__ import annotations

import json
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from echelon.envs.errors import ConfigError


def require_new_file(path: Path, option: str) -> None:
    """Raise `ConfigError` unless a file can be written there without harm to another."""
    if path.exists():
        raise ConfigError([f"{path}: the file exists already; choose another one with {option}"])
    if not path.parent.is_dir():
        raise ConfigError([f"{path}: the folder {path.parent} must exist"])


def require_no_folder(folder: Path) -> None:
    """Raise `ConfigError` unless a folder can be made there."""
    if folder.exists():
        raise ConfigError([f"{folder}: the folder exists already; choose another one with --out"])
    if not folder.resolve().parent.is_dir():
        raise ConfigError([f"{folder}: the folder {folder.parent} must exist"])


@contextmanager
def whole_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder to write into, which becomes the new `folder` when all went well. Raises `ConfigError`."""
    require_no_folder(folder)
    target = folder.resolve()
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        temporary.mkdir()
        yield temporary
        os.replace(temporary, target)
    except OSError as error:
        raise ConfigError([f"{folder}: the folder cannot be written: {error}"]) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def require_no_links(folder: Path) -> None:
    """Raise `ConfigError` if something in a folder is a symbolic link: what is written there must stay there."""
    found = [
        Path(place) / name
        for place, folders, files in os.walk(folder)
        for name in (*folders, *files)
        if (Path(place) / name).is_symlink()
    ]
    if found:
        raise ConfigError([f"{link}: a run folder must hold no links; remove this one" for link in sorted(found)])


@contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A file beside its place to write into, which is moved there when all went well: a reader sees all or nothing."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        yield part
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_file(path: Path, content: str | Iterable[str]) -> None:
    """Write a text, or its parts one after the other, as a `whole_file`, and wait until the disk has it."""
    with whole_file(path) as part, part.open("x", encoding="utf-8", newline="") as stream:
        stream.writelines([content] if isinstance(content, str) else content)
        stream.flush()
        os.fsync(stream.fileno())
    synchronise([path.parent])


def remove_parts(folder: Path, name: str | None = None) -> None:
    """Remove files that were never whole, of that name or of any, since the process that wrote them was killed.

    Nobody else may be at work on them.
    """
    part = re.compile(rf"\.{'.+' if name is None else re.escape(name)}\.[0-9a-f]{{8}}(\.part)?")
    for file in folder.iterdir() if folder.is_dir() else ():
        if part.fullmatch(file.name) and not file.is_dir():
            file.unlink(missing_ok=True)


def write_json(path: Path, data: Any) -> None:
    """Write plain data as JSON by `write_file`."""
    write_file(path, as_json(data))


def as_json(data: Any) -> str:
    """Plain data as the text of a file."""
    return json.dumps(data, indent=2) + "\n"


def synchronise(paths: Iterable[Path]) -> None:
    """Wait until the disk has the content of files and the names in folders, where the system can."""
    for path in paths if os.name == "posix" else ():
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


class Commits:
    """Puts finished work on the disk while other work goes on: each wait for the disk is long.

    Until then a failure of the whole machine may lose it; that of a process does not.
    """

    def __init__(self) -> None:
        self._waiting: list[Path] = []
        self._thread = ThreadPoolExecutor(1)
        self._under_way: Future[None] | None = None

    def add(self, paths: Iterable[Path]) -> None:
        """Files and folders that are to be on the disk soon."""
        self._waiting += paths
        if self._under_way is None or self._under_way.done():
            self._begin()

    def finish(self) -> None:
        """Wait until all of them are. Raises what has gone wrong."""
        with self._thread:
            self._begin()
            if self._under_way is not None:
                self._under_way.result()

    def _begin(self) -> None:
        if self._under_way is not None:
            self._under_way.result()
        self._under_way = self._thread.submit(synchronise, list(dict.fromkeys(self._waiting)))
        self._waiting = []
