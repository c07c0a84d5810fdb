"""Reading the tables of a run folder: rows by column name, and errors that name what is missing."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from echelon.envs.errors import ConfigError

Row = dict[str, str]


def rows(file: Path, columns: Sequence[str]) -> Iterator[Row]:
    """The rows of a table that must have these columns."""
    must_exist(file)
    with file.open(encoding="utf-8", newline="") as lines:
        reader = csv.DictReader(lines)
        missing = [column for column in columns if column not in (reader.fieldnames or columns)]
        if missing:
            raise ConfigError([f"{file} must have the columns {', '.join(columns)} (lacks {', '.join(missing)})"])
        yield from reader


def rows_if_any(file: Path, columns: Sequence[str]) -> Iterator[Row]:
    """As `rows`, or none where there is no such table."""
    return rows(file, columns) if file.exists() else iter(())


def json_object(file: Path) -> Mapping[str, Any]:
    """What a JSON file describes."""
    must_exist(file)
    content: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content


def must_exist(file: Path) -> None:
    """Raise `ConfigError` for a file that a finished run would hold."""
    if not file.exists():
        raise ConfigError([f"a run folder must hold {file.name} (got none in {file.parent}); has the run ended?"])


def number(text: str | None) -> float | None:
    """A finite number, or None for an empty cell."""
    value = float(text) if text and text.strip() else math.nan
    return value if math.isfinite(value) else None
