"""The cells of a planner's tables: their kinds, their defaults, and what is wrong with each of them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from difflib import get_close_matches
from numbers import Real
from typing import TYPE_CHECKING, Any

from echelon.baselines.planning_schema import Column, Table
from echelon.envs.errors import nearest

if TYPE_CHECKING:
    import pandas as pd

FILE_ROWS = 2
"""The line of a CSV file on which the first row stands."""
MOST_DEFECTS = 50
"""Defects that one error lists."""
MOST_HINTED, FEW = 1_000, 5
"""Names among which the closest one is looked for, and names that are listed where none is close."""


def at_most(defects: Sequence[str], most: int = MOST_DEFECTS) -> list[str]:
    """The first defects, and how many more there are."""
    left = len(defects) - most
    return [*defects[:most], *([f"and {left} more"] if left > 0 else [])]


def closest(name: str, known: Collection[str]) -> str:
    """The known name that is closest to one, or ""; among very many it is not looked for."""
    close = get_close_matches(name, sorted(known), n=1) if len(known) <= MOST_HINTED else []
    return close[0] if close else ""


def hint(name: str, known: Collection[str]) -> str:
    """The hint `; did you mean 'x'?` for the closest known name, or a few of the names that there are."""
    if close := closest(name, known):
        return f"; did you mean {close!r}?"
    few, more = sorted(known)[:FEW], len(known) - FEW
    return f"; known: {', '.join(few)}{f' and {more:,} more' if more > 0 else ''}" if few else ""


def checked_table(table: Table, data: pd.DataFrame | None, where: str) -> tuple[pd.DataFrame, list[str]]:
    """The table with its columns in order, of their kinds, defaults filled in; and what is wrong with it."""
    import pandas as pd

    if data is None:
        return pd.DataFrame({column.name: pd.Series(dtype=_dtype(column)) for column in table.columns}), []
    names = [column.name for column in table.columns]
    defects = [
        f"{where}: unknown column {name!r}{nearest(str(name), names)}" for name in data.columns if name not in names
    ]
    defects += [f"{where}: there are two columns {name!r}" for name in data.columns[data.columns.duplicated()]]
    data = data.loc[:, ~data.columns.duplicated()]
    if table.required and data.empty:
        defects.append(f"{where}: must have rows")
    required = [column.name for column in table.columns if column.required]
    defects += [f"{where}: the column {name!r} is required" for name in required if name not in data.columns]
    columns: dict[str, pd.Series] = {}
    for column in table.columns:
        given = data[column.name] if column.name in data.columns else pd.Series([""] * len(data))
        columns[column.name], found = _values(column, given.reset_index(drop=True), where, column.name in data.columns)
        defects += found
    complete = pd.DataFrame(columns)
    keyed = complete.dropna(subset=list(table.key))
    for row in keyed.index[keyed.duplicated(list(table.key), keep="first")]:
        key = ", ".join(f"{name} {_shown(complete.at[row, name])}" for name in table.key)
        defects.append(f"{where}:{row + FILE_ROWS}: there are two rows for {key}")
    return complete, defects


def _values(column: Column, given: pd.Series, where: str, present: bool) -> tuple[pd.Series, list[str]]:
    """The values of a column, and what is wrong with them, cell by cell."""
    empty = given.isna() | (given.astype(str).str.strip() == "")
    values, wrong_kind = _parsed(column, given.where(~empty))
    must: dict[int, str] = {}
    if column.required and present:
        must |= dict.fromkeys(given.index[empty], "is required")
    must |= dict.fromkeys(given.index[wrong_kind & ~empty], f"must be {_KIND[column.kind]}")
    if column.kind in ("number", "whole"):
        low = (values <= column.least) if column.open else (values < column.least)
        high = (values >= column.most) if column.open else (values > column.most)
        above, below = ("greater than", "less than") if column.open else ("at least", "at most")
        must |= dict.fromkeys(given.index[low & ~wrong_kind], f"must be {above} {column.least:g}")
        must |= dict.fromkeys(given.index[high & ~wrong_kind], f"must be {below} {column.most:g}")
    if column.choices:
        rule = f"must be one of {', '.join(column.choices)}"
        must |= dict.fromkeys(given.index[~empty & ~values.isin(column.choices)], rule)
    defects = [
        f"{where}:{row + FILE_ROWS}: {column.name}: {text}" + ("" if empty[row] else f" (got {_shown(given[row])})")
        for row, text in sorted(must.items())
    ]
    if column.default is not None:
        values = values.where(~empty, column.default)
    return values if must else values.astype(_dtype(column)), defects


_KIND = {
    "text": "text",
    "number": "a finite number",
    "whole": "a whole number",
    "flag": "true or false",
    "date": "a date such as 2024-01-31",
}
_DATE = r"(?:19|20|21)\d\d-\d\d-\d\d"
"""Whole days of 1900 to 2199: a year, a month or a time of day is another period, and a zone another day."""


def _parsed(column: Column, given: pd.Series) -> tuple[pd.Series, pd.Series]:
    """The values by their kind, and whether each is of another kind."""
    import numpy as np
    import pandas as pd

    if column.kind in ("number", "whole"):
        numbers = pd.to_numeric(given, errors="coerce").astype(float)
        cells = numbers.to_numpy(dtype=np.float64)
        wrong = ~np.isfinite(cells) | ((column.kind == "whole") & (cells != np.floor(cells)))
        return numbers, pd.Series(wrong, index=given.index)
    if column.kind == "date":
        dates = _dates(given)
        return dates, dates.isna()
    text = given.astype(str).str.strip().where(given.notna())
    if column.kind == "flag":
        flags = text.str.lower().map({"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False})
        return flags, flags.isna()
    return text, text.isna()


def _dates(given: pd.Series) -> pd.Series:
    """Days; NaT for what is no day."""
    import pandas as pd

    text = given.map(lambda cell: cell if isinstance(cell, str) else str(cell).removesuffix(" 00:00:00")).astype(str)
    text = text.str.strip()
    return pd.to_datetime(text.where(text.str.fullmatch(_DATE)), errors="coerce", format="%Y-%m-%d")


def _dtype(column: Column) -> Any:
    """Numbers that may stay empty are floats, also whole ones."""
    filled = column.required or column.default is not None
    kinds = {"text": "object", "number": "float64", "flag": "bool", "date": "datetime64[ns]"}
    return kinds.get(column.kind) or ("int64" if filled else "float64")


def _shown(value: object) -> str:
    return f"{value:g}" if isinstance(value, Real) else repr(str(value))
