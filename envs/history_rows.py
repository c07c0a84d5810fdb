"""Rows of a CSV file by column, every broken one told by its line, and the periods that their dates lie in."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal

from echelon.envs.errors import DemandError

Period = Literal["D", "W", "M"]
PERIODS: dict[str, str] = {"D": "days", "W": "weeks", "M": "months"}
MOST_PROBLEMS = 20
"""Defects that one error lists."""

Row = dict[str, Any]
"""What is in each column, and the `line` of the file."""
Column = tuple[Callable[[str], Any], str]
"""How a column is read, with None for what cannot be, and what must hold for it."""


def read_rows(path: Path, columns_of: Callable[[Sequence[str]], Mapping[str, Column]]) -> list[Row]:
    """The rows of the file, at least one; `columns_of` names the columns that are read by the header.

    Raises `DemandError` that lists the broken rows.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            rows, problems = _parse(path, reader, columns_of)
    except OSError as error:
        raise DemandError(f"{path}: the history cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DemandError(f"{path}: the history must be text in UTF-8") from None
    except csv.Error as error:
        raise DemandError(f"{path}:{reader.line_num}: the history must be a CSV file: {error}") from None
    require_none(path, problems)
    if not rows:
        raise DemandError(f"{path}: the history must have at least one row below its header")
    return rows


def require_none(path: Path, problems: Sequence[str]) -> None:
    """Raise `DemandError` that lists the problems, if there are any."""
    listed = list(problems)
    if len(listed) > MOST_PROBLEMS:
        listed[MOST_PROBLEMS:] = [f"{path}: and {len(listed) - MOST_PROBLEMS} more"]
    if listed:
        raise DemandError("\n".join(listed))


def _parse(
    path: Path, reader: Any, columns_of: Callable[[Sequence[str]], Mapping[str, Column]]
) -> tuple[list[Row], list[str]]:
    """The rows of a CSV reader, and what is wrong with the others."""
    header = [name.strip() for name in next(reader, [])]
    columns = columns_of(header)
    problems = [
        f"{path}:1: the header must have the column {name!r} once (got {', '.join(header) or 'nothing'})"
        for name in columns
        if header.count(name) != 1
    ]
    rows: list[Row] = []
    for fields in reader if not problems else ():
        if not fields:
            continue
        if len(fields) != len(header):
            problems.append(f"{path}:{reader.line_num}: must have {len(header)} columns (got {len(fields)})")
            continue
        text = dict(zip(header, map(str.strip, fields), strict=True))
        row = {name: read(text[name]) for name, (read, _) in columns.items()}
        broken = [name for name in columns if row[name] is None]
        rows += [row | {"line": reader.line_num}] if not broken else []
        problems += [f"{path}:{reader.line_num}: {name}: {columns[name][1]} (got {text[name]!r})" for name in broken]
    return rows, problems


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


DATE: Column = (_date, "must be an ISO date such as 2024-03-31")
NAME: Column = (lambda text: text or None, "must not be empty")


def require_period(period: str) -> None:
    """Raise `DemandError` unless it is a length of periods."""
    if period not in PERIODS:
        raise DemandError(f"period must be one of {', '.join(PERIODS)} (got {period!r})")


def start_of(day: date, period: Period) -> date:
    """The first day of the period that `day` lies in: a Monday if periods are weeks."""
    if period == "M":
        return day.replace(day=1)
    return day - timedelta(days=day.weekday() if period == "W" else 0)


def starts_between(first: date, last: date, period: Period) -> Iterator[date]:
    """The first day of every period from that of `first` to that of `last`."""
    step = {"D": timedelta(days=1), "W": timedelta(days=7), "M": timedelta(days=31)}[period]
    start, end = start_of(first, period), start_of(last, period)
    yield start
    while start < end:
        start = start_of(start + step, period)
        yield start


def periods_between(first: date, last: date, period: Period) -> int:
    """By how many periods that of `last` is later than that of `first`."""
    if period == "M":
        return 12 * (last.year - first.year) + last.month - first.month
    return (start_of(last, period) - start_of(first, period)).days // {"D": 1, "W": 7}[period]
