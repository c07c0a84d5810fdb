"""Tables of demand and lead times: what each must hold, and every way in which one does not.

Tables are pandas data frames in long form, one row a fact. Three conventions hold for all of them:

* A series is an item at a location. It begins with its first row and lasts to the last period of the
  whole table; a period in between without a row is one without demand.
* A period is whatever can be ordered: numbers, dates, time stamps or ISO text, the same in all tables.
* Rows are counted from 0 in messages, as `DataFrame.iloc` does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from echelon.envs.errors import ConfigError, nearest

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

SERIES = ("item", "location")
MIXED = "a mixture"
LARGEST = 1e15
"""The largest number in a table, whose square is still exact enough to sum."""


@dataclass(frozen=True)
class Schema:
    """The columns that a table must have; others are ignored.

    `numbers` are from 0 to 1e15. `gaps` are numbers that may be missing, or their whole column.
    `whole` are whole numbers that may be left out as a column and where given belong to the key; `options`
    are names that may be left out. With `unique`, no two rows have the same key.
    """

    name: str
    keys: tuple[str, ...]
    numbers: tuple[str, ...] = ()
    gaps: tuple[str, ...] = ()
    whole: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    unique: bool = True

    def key_of(self, table: pd.DataFrame) -> list[str]:
        """The columns that tell the rows of this table apart."""
        return [*self.keys, *(name for name in self.whole if name in table.columns)]


PLANNED = Schema("planned", (*SERIES, "period"), ("quantity",), whole=("lag",))
REALISED = Schema("realised", (*SERIES, "period"), ("quantity",))
PROMOTIONS = Schema("promotions", (*SERIES, "period"))
ITEMS = Schema("items", ("item",), gaps=("unit_value",), options=("category",))
LEAD_TIMES = Schema("lead_times", SERIES, ("planned",), ("actual",), options=("source",), unique=False)


def checked(*tables: tuple[Schema, pd.DataFrame]) -> list[pd.DataFrame]:
    """The tables with the columns of their schemas alone, numbers as floats and rows counted from 0.

    Raises `ConfigError` that lists every defect of every table as `table, row, column: what must hold`.
    """
    problems = [problem for schema, table in tables for problem in _defects(schema, table)]
    if problems:
        raise ConfigError(problems)
    problems = list(_kind_problems([(schema.name, table) for schema, table in tables]))
    if problems:
        raise ConfigError(problems)
    return [_clean(schema, table) for schema, table in tables]


def codes(by: Sequence[str], *tables: pd.DataFrame) -> tuple[list[Integers], pd.DataFrame]:
    """The group of each row, per table, and the groups themselves [G] in the order of their keys."""
    import pandas as pd

    keys = pd.concat([table[list(by)] for table in tables], ignore_index=True)
    code = keys.groupby(list(by), sort=True, observed=True).ngroup().to_numpy(np.int64)
    _, first = np.unique(code, return_index=True)
    ends = np.cumsum([len(table) for table in tables])
    return np.split(code, ends[:-1]), keys.iloc[first].reset_index(drop=True)


def group_sums(code: Integers, groups: int, values: ArrayLike | None = None) -> Floats:
    """[G] the sum of the values of each group's rows, or the number of its rows."""
    return np.bincount(code, weights=values, minlength=groups).astype(np.float64)


def first_periods(code: Integers, period: Integers, groups: int) -> Integers:
    """[G] the least period of each group, and one beyond all periods where there is none."""
    first = np.full(groups, np.iinfo(np.int64).max)
    np.minimum.at(first, code, period)
    return first


def last_periods(code: Integers, period: Integers, groups: int) -> Integers:
    """[G] the greatest period of each group, and -1 where there is none."""
    last = np.full(groups, -1)
    np.maximum.at(last, code, period)
    return last


def looked_up(keys: Integers, values: ArrayLike, wanted: Integers) -> tuple[NDArray[np.bool_], Floats]:
    """Which of the wanted keys occur among the keys, and their values, 0 where they do not."""
    order = np.argsort(keys)
    table = keys[order]
    at = np.minimum(np.searchsorted(table, wanted), max(len(keys) - 1, 0))
    found = table[at] == wanted if len(keys) else np.zeros(len(wanted), dtype=np.bool_)
    value = np.asarray(values, dtype=np.float64)[order]
    return found, np.where(found, value[at], 0.0) if len(keys) else np.zeros(len(wanted))


def ratio(numerator: Floats, denominator: Floats) -> Floats:
    """Element by element, and 0 where the denominator is 0."""
    return np.divide(numerator, denominator, out=np.zeros(len(numerator)), where=denominator != 0)


def _defects(schema: Schema, table: pd.DataFrame) -> Iterator[str]:
    given = [str(name) for name in table.columns]
    wanted = (*schema.keys, *schema.numbers)
    named = (*wanted, *schema.gaps, *schema.whole, *schema.options)
    broken = [name for name in wanted if name not in given]
    yield from (f"{schema.name}, column {name}: is required{nearest(name, given)}" for name in broken)
    repeated = [name for name in named if given.count(name) > 1]
    yield from (f"{schema.name}, column {name}: must occur once (got {given.count(name)})" for name in repeated)
    if not broken and not repeated:
        found = [*_missing_keys(schema, table), *_broken_numbers(schema, table), *_repeated_keys(schema, table)]
        for row, must in sorted(found, key=lambda defect: defect[0]):
            yield f"{schema.name}, row {row}, {must}"


def _missing_keys(schema: Schema, table: pd.DataFrame) -> Iterator[tuple[int, str]]:
    for name in (*schema.keys, *(name for name in schema.options if name in table.columns)):
        for row in np.flatnonzero(table[name].isna()):
            yield int(row), f"{name}: must not be missing"


def _broken_numbers(schema: Schema, table: pd.DataFrame) -> Iterator[tuple[int, str]]:
    for name in (*schema.numbers, *schema.gaps, *schema.whole):
        if name not in table.columns:
            continue
        value = _numbers(table[name])
        good = (value >= 0) & (value <= LARGEST)
        must = f"must be a number from 0 to {LARGEST:g}"
        if name in schema.gaps:
            good |= table[name].isna().to_numpy()
        if name in schema.whole:
            good &= value == np.round(value)
            must = f"must be a whole number from 0 to {LARGEST:g}"
        for row in np.flatnonzero(~good):
            yield int(row), f"{name}: {must} (got {_shown(table[name].iloc[row])})"


def _repeated_keys(schema: Schema, table: pd.DataFrame) -> Iterator[tuple[int, str]]:
    if not schema.unique:
        return
    keys = table[schema.key_of(table)].reset_index(drop=True).dropna()
    first: dict[tuple[Any, ...], int] = {}
    for row, *values in keys[keys.duplicated(keep=False)].itertuples(name=None):
        before = first.setdefault(tuple(values), row)
        if before != row:
            got = ", ".join(map(str, values))
            yield row, f"{', '.join(keys.columns)}: must be unique (got {got}, as in row {before})"


def _clean(schema: Schema, table: pd.DataFrame) -> pd.DataFrame:
    numbers = [name for name in (*schema.numbers, *schema.gaps) if name in table.columns]
    names = [name for name in schema.options if name in table.columns]
    clean = table[[*schema.key_of(table), *names, *numbers]].reset_index(drop=True)
    clean = clean.assign(**{name: _numbers(clean[name]) for name in numbers})
    whole = [name for name in schema.whole if name in clean.columns]
    return clean.assign(**{name: _numbers(clean[name]).astype(np.int64) for name in whole})


def _numbers(column: pd.Series[Any]) -> Floats:
    import pandas as pd

    return np.asarray(pd.to_numeric(column, errors="coerce").to_numpy(dtype=np.float64, na_value=np.nan))


def _kind_problems(tables: Sequence[tuple[str, pd.DataFrame]]) -> Iterator[str]:
    """Keys of several kinds cannot be ordered; in two tables they would never match, without a word."""
    for column in (*SERIES, "source", "period"):
        kinds = {name: _kind(table[column]) for name, table in tables if column in table.columns and len(table)}
        got = ", ".join(f"{kind} in {name}" for name, kind in kinds.items())
        if len(set(kinds.values())) > 1 or MIXED in kinds.values():
            yield f"column {column}: must be of one kind in all tables (got {got})"


def _kind(column: pd.Series[Any]) -> str:
    import pandas as pd

    values = column.cat.categories if isinstance(column.dtype, pd.CategoricalDtype) else column
    kind = pd.api.types.infer_dtype(values)
    known = {"integer": "numbers", "floating": "numbers", "string": "text", "date": "dates", "period": "periods"}
    return known.get(kind, "time stamps" if kind.startswith("datetime") else MIXED)


def _shown(value: object) -> str:
    return repr(value.item() if isinstance(value, np.generic) else value)
