"""The files of a cell of a run: written whole, described with their checksums, and verified.

In a run folder `cells/PROBLEM/POLICY` appears in one step when the cell is finished. `cell.json` in it describes the
policy and holds the checksums of all files, those of the checkpoint in `learned/PROBLEM/POLICY` too. Until then
`unfinished/PROBLEM/POLICY` has what the training needs to go on, and the lock of whoever is at work on the cell.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import secrets
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from pydantic_core import to_json

from echelon.envs.arguments import plain
from echelon.envs.errors import EchelonError
from echelon.experiments.competitors import Competitor
from echelon.experiments.whole_folder import as_json, write_file

if TYPE_CHECKING:
    from echelon.experiments.cells import Cell

Row = Mapping[str, Any]

CELLS, LEARNED, UNFINISHED = "cells", "learned", "unfinished"
DESCRIPTION, ERROR = "cell.json", "error.txt"
LOCK, SAVES, TOLD = "lock", "saves", "progress.json"


@dataclass(frozen=True)
class Effort:
    """What the making of a cell took."""

    attempts: int
    wall_seconds: float
    """Of planning, or of training since it was last begun or gone on with."""


class DamagedCell(EchelonError):
    """The files of a cell are not as they were written, or of another config."""


def read_cell(run: Path, cell: Cell) -> dict[str, Any] | None:
    """The description of a finished cell, None if it is not finished. Raises `DamagedCell` that says what is wrong."""
    file = cell.place(run, CELLS) / DESCRIPTION
    try:
        record: dict[str, Any] = json.loads(file.read_bytes())
        if record.pop("sha256") != _checksum(as_json(record).encode()):
            raise ValueError("its checksum differs")
        files = dict(record["files"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as error:
        raise DamagedCell(f"{file} is damaged: {error}") from error
    if record["config"] != cell.digest:
        raise DamagedCell(f"{file} is of another config")
    for name, checksum in files.items():
        try:
            found = _checksum((run / name).read_bytes())
        except OSError as error:
            raise DamagedCell(f"{run / name} cannot be read: {error.strerror}") from error
        if found != checksum:
            raise DamagedCell(f"{run / name} is not as it was written; its checksum differs")
    return record


def discard_cell(run: Path, cell: Cell) -> None:
    """Remove what there is of a cell, its checkpoint and logs too."""
    for kind in (CELLS, LEARNED):
        shutil.rmtree(cell.place(run, kind), ignore_errors=True)


def write_error(run: Path, cell: Cell, details: str) -> None:
    """Leave the traceback of a failure in the folder of its cell."""
    folder = cell.place(run, CELLS)
    folder.mkdir(parents=True, exist_ok=True)
    write_file(folder / ERROR, details)


def files_of(run: Path, cell: Cell) -> Iterator[Path]:
    """The files and folders of a finished cell that must be on the disk before it counts."""
    folder = cell.place(run, CELLS)
    yield from (*folder.iterdir(), folder, folder.parent)


def table_text(rows: Sequence[Row]) -> str:
    """Rows as the text of a CSV file: numbers as they are read back, nothing for None and for NaN."""
    columns = list(dict.fromkeys(chain.from_iterable(rows)))
    entries = (map(row.get, columns) for row in rows)
    return _csv(columns) + _csv(*([None if value != value else value for value in row] for row in entries))


def columns_text(key: Row, columns: Mapping[str, NDArray[Any]]) -> str:
    """The text of rows that have the `key` in common, from columns of numbers [B] of 64 bits; that of `table_text`.

    JSON writes the same shortest decimals as Python in a sixth of the time, but for exponents. The last columns are
    often all zeros, as are costs that the problem does not have: what never changes is written once.
    """
    if not all(len(column) and _has_no_exponent(column) for column in columns.values()):
        rows = zip(*(column.tolist() for column in columns.values()), strict=True)
        return table_text([{**key, **dict(zip(columns, row, strict=True))} for row in rows])
    changing = [*columns.values()]
    end = ""
    while len(changing) > 1 and _never_changes(changing[-1]):
        end = f",{changing.pop()[0].item()}{end}"
    start = _csv([*key.values(), ""]).removesuffix("\n")
    numbers = to_json([*zip(*(column.tolist() for column in changing), strict=True)]).decode()
    middle = numbers.removeprefix("[[").removesuffix("]]").replace("],[", f"{end}\n{start}")
    return f"{_csv([*key, *columns])}{start}{middle}{end}\n"


def _never_changes(numbers: NDArray[Any]) -> bool:
    """Whether all bits are those of the first number; 0.0 and -0.0 are not the same text."""
    bits = numbers.view(np.int64)
    return bool((bits == bits[0]).all())


def _has_no_exponent(numbers: NDArray[Any]) -> bool:
    size = np.abs(numbers)
    return bool(((size == 0) | (size >= 1e-4) & (size < 1e16)).all())


def _csv(*rows: Sequence[Any]) -> str:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue()


def write_cell(run: Path, cell: Cell, competitor: Competitor, tables: Mapping[str, str], effort: Effort) -> None:
    """Write the files of a cell, tables by their names too, into a folder beside its place, and move that there."""
    target = cell.place(run, CELLS)
    target.parent.mkdir(parents=True, exist_ok=True)
    for interrupted in target.parent.glob(f".{target.name}.*"):
        shutil.rmtree(interrupted)
    part = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    part.mkdir()
    checksums = dict(_learned_checksums(run, cell))
    for name, text in tables.items():
        content = text.encode()
        (part / f"{name}.csv").write_bytes(content)
        checksums[(target / f"{name}.csv").relative_to(run).as_posix()] = _checksum(content)
    record = {
        "problem": cell.problem_name,
        "policy": cell.policy_name,
        "kind": competitor.kind,
        "parameters": json.loads(json.dumps(dict(competitor.parameters), default=plain)),
        "citation": competitor.citation,
        "model_cost": competitor.model_cost,
        "seconds": competitor.seconds,
        **asdict(effort),
        "config": cell.digest,
        "files": checksums,
    }
    checksum = _checksum(as_json(record).encode())
    (part / DESCRIPTION).write_bytes(as_json({**record, "sha256": checksum}).encode())
    shutil.rmtree(target, ignore_errors=True)
    os.replace(part, target)


def _learned_checksums(run: Path, cell: Cell) -> Iterator[tuple[str, str]]:
    """The files of a checkpoint with their checksums; logs are none of them, and interrupted writes go."""
    folder = cell.place(run, LEARNED)
    for file in sorted(folder.glob("*")) if folder.is_dir() else ():
        if file.suffix == ".part":
            file.unlink(missing_ok=True)
        elif file.is_file():
            yield file.relative_to(run).as_posix(), _checksum(file.read_bytes())


def _checksum(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
