"""Results that are there whole or not at all, and never in the place of others."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

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
