"""Running an experiment again from its folder, and telling which bits differ and why."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from echelon.envs.errors import ConfigError
from echelon.experiments.cell_files import LEARNED
from echelon.experiments.jobs import MANIFEST, Way
from echelon.experiments.manifest import CAUSES
from echelon.experiments.resume import grid_of
from echelon.experiments.run import run_grid

TABLES = ("results.csv", "summary.csv", "training.csv", "trace.csv", "policy_map.csv", "bullwhip.csv")
NO_RESULTS = ("seconds",)
"""Columns of CPU time."""


@dataclass(frozen=True)
class Rerun:
    """A run that was made again."""

    folder: Path
    differences: tuple[str, ...]
    """What is not the same, a line each; none if all bits are."""
    causes: tuple[str, ...]
    """What is not as it was when the run was made first, a line each."""


def rerun(folder: Path, *, out: Path | None = None, way: Way | None = None) -> Rerun:
    """Run what a folder holds again, into another folder, and compare the two.

    Compared are all tables but for CPU seconds, and the checkpoints of learned policies. Raises `ConfigError` if the
    folder is not that of a run or a grid.
    """
    grid = grid_of(folder)
    made = run_grid(grid, out=out or folder.with_name(f"{folder.name}-rerun"), way=way)
    labels = [member.label for member in grid.members]
    return Rerun(
        made,
        tuple(line for label in labels for line in differences(folder / label, made / label)),
        tuple(dict.fromkeys(line for label in labels for line in _causes(folder / label, made / label))),
    )


def differences(first: Path, second: Path) -> Iterator[str]:
    """What differs between the results of two runs."""
    for name in TABLES:
        if (first / name).exists() or (second / name).exists():
            yield from _table_differences(first / name, second / name)
    checkpoints = {
        file.relative_to(run).as_posix() for run in (first, second) for file in run.glob(f"{LEARNED}/*/*/*.json")
    }
    for name in sorted(checkpoints):
        yield from _record_differences(first / name, second / name, name)


def _table_differences(first: Path, second: Path) -> Iterator[str]:
    """The columns of a table that differ, with how many rows and by how much."""
    if missing := [file for file in (first, second) if not file.exists()]:
        yield f"{first.name}: is missing in {missing[0].parent}"
        return
    rows, others = _rows(first), _rows(second)
    if len(rows) != len(others):
        yield f"{first.name}: {len(rows)} rows, now {len(others)}"
        return
    columns = dict.fromkeys(column for row in (*rows[:1], *others[:1]) for column in row)
    for column in columns:
        pairs = [(row.get(column), other.get(column)) for row, other in zip(rows, others, strict=True)]
        unequal = [pair for pair in pairs if pair[0] != pair[1]]
        if unequal and column not in NO_RESULTS:
            yield f"{first.name}: column {column} differs in {len(unequal)} of {len(rows)} rows{_by_at_most(unequal)}"


def _by_at_most(pairs: Sequence[tuple[str | None, str | None]]) -> str:
    """The largest relative difference, where both sides are numbers."""
    try:
        numbers = [(float(first or "nan"), float(second or "nan")) for first, second in pairs]
    except ValueError:
        return ""
    largest = max(abs(a - b) / max(abs(a), abs(b)) for a, b in numbers)
    return f", by at most {100 * largest:.2g} %" if math.isfinite(largest) else ""


def _rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def _record_differences(first: Path, second: Path, name: str) -> Iterator[str]:
    """The keys of a checkpoint's description that differ; its weights are among them by their checksum."""
    before, after = _record(first), _record(second)
    if before is None or after is None:
        yield f"{name}: is missing"
        return
    keys = [key for key in {**before, **after} if key != "sha256" and before.get(key) != after.get(key)]
    if keys:
        yield f"{name}: {', '.join('weights' if key == 'weights_sha256' else key for key in keys)} differ"


def _record(file: Path) -> Mapping[str, Any] | None:
    try:
        found: dict[str, Any] = json.loads(file.read_bytes())
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise ConfigError([f"{file}: must be sound JSON: {error}"]) from error
    return found


def _causes(first: Path, second: Path) -> Iterator[str]:
    before, after = _record(first / MANIFEST) or {}, _record(second / MANIFEST) or {}
    for key in CAUSES:
        if before.get(key) != after.get(key):
            yield f"{key}: {before.get(key, 'unknown')}, now {after.get(key, 'unknown')}"
