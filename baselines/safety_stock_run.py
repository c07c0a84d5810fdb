"""A safety stock run over a large table that a stop does not undo: each finished part is on disk for good."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.lib.format import open_memmap

from echelon.baselines.requirements import require_choice
from echelon.baselines.safety_stock import METHODS, assp, read_fields
from echelon.baselines.safety_stock_columns import Floats
from echelon.envs.errors import MethodError, nearest

PART = 2**18
"""Rows that are written at once."""


def assp_to_file(
    path: str | Path, method: str, fields: Mapping[str, Any], *, part: int = PART, threads: int = 1
) -> Floats:
    """Write `assp(method, **fields)` to the `.npy` file at `path`, `part` rows at a time, and map it into memory.

    `fields` are arguments of `assp`: at least one array [rows], the others [rows] or single values. Until all is
    done the result is `PATH.part`, and `PATH.json` says how many rows of it hold; a run that was stopped is
    begun again with the same call and goes on from there, to the same bits. `PATH` itself appears only when it is
    complete. A run of other fields, or another method, at an unfinished path is refused.
    """
    path = Path(path)
    unfinished, manifest = path.with_name(path.name + ".part"), path.with_name(path.name + ".json")
    require_choice("method", method, METHODS)
    if part < 1:
        raise MethodError(f"part must be at least 1, got {part}")
    rows = _rows(fields)
    read_fields(method, fields)
    digest = _digest(method, fields)
    done = _done(manifest, digest) if unfinished.exists() else 0
    out = open_memmap(unfinished, mode="r+" if done else "w+", dtype=np.float64, shape=(rows,))
    for first in range(done, rows, part):
        last = min(first + part, rows)
        out[first:last] = assp(method, **_slice(fields, first, last), threads=threads)
        out.flush()
        _replace(manifest, json.dumps({"digest": digest, "rows_done": last, "rows": rows}))
    del out
    os.replace(unfinished, path)
    manifest.unlink(missing_ok=True)
    return np.asarray(np.load(path, mmap_mode="r"))


def _rows(fields: Mapping[str, Any]) -> int:
    known = set(assp.__kwdefaults__ or ()) - {"chunk", "threads"}
    for key in fields:
        if key not in known:
            raise MethodError(f"unknown field {key!r}{nearest(key, known)}")
    shapes = {key: np.shape(value) for key, value in fields.items() if np.ndim(value)}
    lengths = set(shapes.values())
    if len(lengths) != 1 or len(next(iter(lengths))) != 1 or not next(iter(lengths))[0]:
        raise MethodError(f"fields must hold arrays of one length and at least one row, got {shapes}")
    return int(next(iter(lengths))[0])


def _slice(fields: Mapping[str, Any], first: int, last: int) -> dict[str, Any]:
    return {key: np.asarray(value)[first:last] if np.ndim(value) else value for key, value in fields.items()}


def _digest(method: str, fields: Mapping[str, Any]) -> str:
    """What tells one run from another: method, fields and every number in them."""
    digest = hashlib.blake2b(method.encode(), digest_size=16)
    for key in sorted(fields):
        value = np.ascontiguousarray(fields[key])
        digest.update(f"{key} {value.dtype} {value.shape}".encode())
        digest.update(repr(value.tolist()).encode() if value.dtype.kind == "O" else value.tobytes())
    return digest.hexdigest()


def _done(manifest: Path, digest: str) -> int:
    """The finished rows of the run at the manifest, 0 without one."""
    if not manifest.exists():
        return 0
    found = json.loads(manifest.read_text())
    if found["digest"] != digest:
        raise MethodError(f"{manifest} belongs to a run with other fields; finish that, or remove the file")
    return int(found["rows_done"])


def _replace(path: Path, text: str) -> None:
    """Write a file at once: a reader, or a stop, finds the old text or the new."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text)
    os.replace(fresh, path)
