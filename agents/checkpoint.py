"""Tensors and plain data in a folder, so that a crash at any moment leaves the old ones or the new ones.

A checkpoint named `policy` is two files: `policy.json` with the data and two checksums, and the tensors
as safetensors in `policy-HASH.safetensors`, named by the first digits of their checksum. The tensors are
written first, and the description that asks for them takes its place in one step; what no description
asks for is removed last. Every file is synchronised to the disk before it counts. Nothing is pickled, no
name that stands in a file is ever opened, links are not followed, and sizes are checked before reading:
reading a checkpoint of unknown origin executes nothing that came with it.

One process at a time may write into a folder.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import secrets
import stat
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as tensor_bytes
from torch import Tensor

from echelon.envs.defects import show
from echelon.envs.errors import ConfigError, MethodError

SCHEMA = 2
"""Version of the layout that is written; version 1, which had its tensors in `policy.safetensors`, is still read."""
DATA_BYTES, TENSOR_BYTES = 2**26, 2**31
"""Largest files that are read."""

STATE, PREVIOUS = "state", ".previous"
"""The name of a training's state, and what is added to the name of the one that was kept before."""


class CheckpointWarning(UserWarning):
    """The last checkpoint is broken, and the one before it was read."""


def write_checkpoint(
    folder: str | Path,
    name: str,
    *,
    tensors: Mapping[str, Tensor],
    data: Mapping[str, Any],
    keep_previous: bool = False,
) -> None:
    """Write tensors and plain data under a name into a folder, which is made if need be.

    What had the name is replaced, or kept as `NAME.previous`. Raises `MethodError` for data that is not plain, and
    `ConfigError` where the folder cannot be written; the old checkpoint is then as it was.
    """
    target = Path(folder)
    content = tensor_bytes({key: _alone(value) for key, value in tensors.items()})
    checksum = hashlib.sha256(content).hexdigest()
    text = _described(data, checksum)
    try:
        target.mkdir(parents=True, exist_ok=True)
        _replace(target / _tensor_file(name, checksum), content)
        if keep_previous and (target / f"{name}.json").exists():
            os.replace(target / f"{name}.json", target / f"{name}{PREVIOUS}.json")
        _replace(target / f"{name}.json", text.encode())
        _remove_unused(target, name)
    except OSError as error:
        raise ConfigError([f"{folder}: the checkpoint cannot be written: {error.strerror}"]) from error


def read_checkpoint(folder: str | Path, name: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The tensors and the data of a name. Raises `ConfigError` that names the file if anything is wrong with them."""
    path = Path(folder) / f"{name}.json"
    data = _read_json(path)
    schema, checksum = data.get("schema"), data.get("weights_sha256")
    if schema not in (1, SCHEMA):
        _refuse(path, f"schema must be 1 or {SCHEMA} (got {show(schema)}); a newer Echelon may have written it")
    if schema == SCHEMA and data.pop("sha256", None) != _checksum_of(data):
        _refuse(path, "the description must be as it was written; its checksum differs")
    if not isinstance(checksum, str) or not re.fullmatch("[0-9a-f]{64}", checksum):
        _refuse(path, f"weights_sha256 must be 64 hexadecimal digits (got {show(checksum)})")
    file = path.with_name(f"{name}.safetensors" if schema == 1 else _tensor_file(name, checksum))
    return _read_tensors(file, checksum), data


def save_state(folder: str | Path, tensors: Mapping[str, Tensor], data: Mapping[str, Any]) -> None:
    """Keep what a training needs to go on, beside what was kept before it; older ones are removed."""
    write_checkpoint(folder, STATE, tensors=tensors, data={"data": data}, keep_previous=True)


def load_state(folder: str | Path) -> tuple[dict[str, Tensor], dict[str, Any]] | None:
    """What `save_state` kept last, None if it never did.

    If the last one is broken the one before it is read, with a `CheckpointWarning`. Raises `ConfigError` if
    that is broken too.
    """
    kept = [name for name in (STATE, STATE + PREVIOUS) if os.path.lexists(Path(folder) / f"{name}.json")]
    problems: list[str] = []
    for name in kept:
        try:
            tensors, data = read_checkpoint(folder, name)
        except ConfigError as error:
            problems += error.problems
            continue
        if problems:
            warnings.warn(f"{problems[0]}; the state before it is used", CheckpointWarning, stacklevel=2)
        return tensors, data["data"]
    if problems:
        raise ConfigError(problems)
    return None


def _alone(tensor: Tensor) -> Tensor:
    """A copy that shares no memory and lies in order, as safetensors wants it."""
    return tensor.detach().cpu().clone(memory_format=torch.contiguous_format)


def _described(data: Mapping[str, Any], checksum: str) -> str:
    """The text of a description."""
    try:
        plain = json.loads(json.dumps({"schema": SCHEMA, **data, "weights_sha256": checksum}, allow_nan=False))
    except (TypeError, ValueError, RecursionError) as error:
        raise MethodError(f"a checkpoint holds plain and finite data only: {error}") from error
    return json.dumps({**plain, "sha256": _checksum_of(plain)}, indent=2) + "\n"


def _checksum_of(data: Mapping[str, Any]) -> str:
    """The checksum of plain data, whatever the order of its keys."""
    return hashlib.sha256(json.dumps(data, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _tensor_file(name: str, checksum: str) -> str:
    return f"{name.removesuffix(PREVIOUS)}-{checksum[:16]}.safetensors"


def _replace(path: Path, content: bytes) -> None:
    """Write a file beside its place, wait until the disk has it, and move it there."""
    part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
    try:
        with part.open("xb") as stream:
            stream.write(content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(part, path)
        _synchronise(path.parent)
    finally:
        part.unlink(missing_ok=True)


def _synchronise(folder: Path) -> None:
    """Wait until the disk has the names in a folder, where the system can."""
    if os.name == "posix":
        handle = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)


def _remove_unused(folder: Path, name: str) -> None:
    """Remove tensors that no description asks for any more, and what interrupted writes have left."""
    used = set()
    for description in (name, name + PREVIOUS):
        try:
            used.add(_tensor_file(name, str(_read_json(folder / f"{description}.json").get("weights_sha256"))))
        except ConfigError:
            continue
    pattern = re.compile(rf"{re.escape(name)}(-[0-9a-f]{{16}})?\.safetensors|\.{re.escape(name)}[-.].*\.part")
    for file in folder.iterdir():
        if pattern.fullmatch(file.name) and file.name not in used:
            file.unlink(missing_ok=True)


def _refuse(path: Path, rule: str) -> NoReturn:
    raise ConfigError([f"{path}: {rule}"])


def read_bytes(path: Path, most: int) -> bytes:
    """The content of a plain file of at most so many bytes."""
    try:
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0))
    except FileNotFoundError:
        _refuse(path, "there is no such file")
    except OSError as error:
        _refuse(path, "the file must not be a link" if path.is_symlink() else f"cannot be read: {error.strerror}")
    with os.fdopen(handle, "rb") as stream:
        found = os.fstat(handle)
        if not stat.S_ISREG(found.st_mode):
            _refuse(path, "must be a plain file")
        if found.st_size > most:
            _refuse(path, f"a file must have at most {most:,} bytes (got {found.st_size:,})")
        return stream.read(most + 1)


def _read_json(path: Path) -> dict[str, Any]:
    def no_number(text: str) -> NoReturn:
        raise ValueError(f"numbers must be finite (got {text})")

    try:
        data = json.loads(read_bytes(path, DATA_BYTES).decode("utf-8"), parse_constant=no_number)
    except ConfigError:
        raise
    except RecursionError:
        _refuse(path, "nested too deep")
    except ValueError as error:
        _refuse(path, f"must be complete and sound JSON: {error}")
    if not isinstance(data, dict):
        _refuse(path, f"must hold a mapping (got {show(data)})")
    return data


def _read_tensors(path: Path, checksum: str) -> dict[str, Tensor]:
    content = read_bytes(path, TENSOR_BYTES)
    if hashlib.sha256(content).hexdigest() != checksum:
        _refuse(path, "the weights must be those that the description was written with; their checksum differs")
    try:
        return load_tensors(content)
    except (SafetensorError, ValueError, KeyError) as error:
        _refuse(path, f"must be complete and sound safetensors: {error}")
