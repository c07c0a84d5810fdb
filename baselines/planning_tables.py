"""A planner's tables: read from a folder of CSV or Parquet files, checked to the last cell, and written back.

`read_tables` lists every defect with its file, row and column before anything is planned. The schema is
`planning_schema.SCHEMA`.
"""

from __future__ import annotations

import csv
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from echelon.baselines.planning_columns import FILE_ROWS, checked_table
from echelon.baselines.planning_schema import MOST_DAYS, SCHEMA, Table
from echelon.envs.errors import ConfigError, MissingExtraError, nearest
from echelon.envs.network import OUTSIDE

if TYPE_CHECKING:
    import pandas as pd

MOST_DEFECTS = 50
"""Defects that one error lists."""
LEAST_DAYS = 4
"""Days of demand from which on it is no chance that all of them are one day of the week, or of the month."""
MOST_HINTED = 1_000
"""Names among which the nearest one is looked for."""


@dataclass(frozen=True, eq=False)
class PlanningTables:
    """Checked tables by their names; one that was not given is empty but has all columns."""

    tables: Mapping[str, pd.DataFrame]
    provenance: Mapping[str, str] = field(default_factory=dict)
    """Where each table came from."""

    def __getitem__(self, name: str) -> pd.DataFrame:
        """A table by its name."""
        return self.tables[name]

    def only(self, *, item: str | None = None, category: str | None = None) -> PlanningTables:
        """The rows of one item, or of the items of one category, in all tables. Raises `ConfigError`."""
        items = self["items"]
        for key, value in (("item", item), ("category", category)):
            if value is not None:
                if value not in set(items[key]):
                    raise ConfigError([f"{key}: there is no {key} {value!r}{nearest(value, set(items[key]))}"])
                items = items[items[key] == value]
        kept = set(items["item"])
        tables = {
            name: table[table["item"].isin(kept | {""})].reset_index(drop=True) if "item" in table else table
            for name, table in self.tables.items()
        }
        return PlanningTables(tables, self.provenance)


def read_tables(folder: str | Path) -> PlanningTables:
    """The tables in a folder, one file each: `items.csv` or `items.parquet` and so on.

    Raises `ConfigError` that lists what is wrong in all files, and `MissingExtraError` for Parquet files
    without pyarrow.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ConfigError([f"{folder}: there is no such folder"])
    found: dict[str, pd.DataFrame] = {}
    provenance: dict[str, str] = {}
    defects: list[str] = []
    for path in sorted(folder.iterdir()):
        if path.suffix in (".csv", ".parquet") and path.stem not in SCHEMA:
            defects.append(f"{path}: there is no such table{nearest(path.stem, SCHEMA)}")
    for name in SCHEMA:
        files = [path for path in (folder / f"{name}.csv", folder / f"{name}.parquet") if path.exists()]
        if len(files) > 1:
            defects.append(f"{files[1]}: there must be one file for each table, and {files[0].name} is there too")
        if files:
            found[name], miscounted = _read(files[0])
            defects += miscounted
            provenance[name] = str(files[0])
    return check_tables(found, provenance=provenance, defects=defects, folder=str(folder))


def check_tables(
    tables: Mapping[str, pd.DataFrame],
    *,
    provenance: Mapping[str, str] | None = None,
    defects: Iterable[str] = (),
    folder: str = "",
) -> PlanningTables:
    """Tables from memory, checked and completed with defaults. Raises `ConfigError` that lists every defect."""
    import pandas as pd

    where = dict(provenance or {})
    problems = list(defects)
    for name in tables.keys() - SCHEMA.keys():
        problems.append(f"{name}: there is no such table{nearest(name, SCHEMA)}")
    complete: dict[str, pd.DataFrame] = {}
    for name, table in SCHEMA.items():
        given = tables.get(name)
        if given is not None and not isinstance(given, pd.DataFrame):
            problems.append(f"{name}: must be a DataFrame (got {type(given).__name__})")
            given = None
        elif given is None and table.required:
            problems.append(f"{folder or 'tables'}: the table {name} is required ({table.meaning})")
        data, found = checked_table(table, given, where.get(name, name))
        complete[name] = data
        problems += found
    for name, table in SCHEMA.items():
        problems += _dangling(table, complete, where.get(name, name))
    problems += _unsupplied(complete, where.get("lanes", "lanes"))
    for name in ("forecasts", "demand", "receipts"):
        problems += _calendar(name, complete[name], where.get(name, name))
    if not problems:
        complete["item_locations"], problems = _with_lead_times(complete, where.get("item_locations", "item_locations"))
    if not problems:
        problems = _cycles(PlanningTables(complete), where.get("lanes", "lanes"))
    if problems:
        left = len(problems) - MOST_DEFECTS
        raise ConfigError([*problems[:MOST_DEFECTS], *([f"and {left} more"] if left > 0 else [])])
    return PlanningTables(complete, where)


def write_tables(tables: PlanningTables, folder: str | Path) -> None:
    """Write every table that has rows as a CSV file that `read_tables` reads back, all of them or none.

    Raises `ConfigError` unless the folder is new or empty.
    """
    files = {f"{name}.csv": table for name, table in tables.tables.items() if len(table)}
    write_folder(folder, {name: table.to_csv(index=False) for name, table in files.items()})


def write_folder(folder: str | Path, files: Mapping[str, str]) -> None:
    """Write text files into a new or empty folder in one step: it has all of them or stays as it is.

    Raises `ConfigError`.
    """
    target = Path(folder)
    require_new(target)
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(4)}")
    try:
        temporary.mkdir()
        for name, text in files.items():
            (temporary / name).write_text(text, encoding="utf-8", newline="")
        os.replace(temporary, target)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def require_new(folder: Path) -> None:
    """Raise `ConfigError` unless the folder can be made, or is there and empty."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError([f"{folder}: the folder must be new or empty"])
    if not folder.parent.is_dir():
        raise ConfigError([f"{folder}: the folder {folder.parent} must exist"])


def _read(path: Path) -> tuple[pd.DataFrame, list[str]]:
    """A file as text, so that each cell can be checked as it was written; and its rows of too many or few cells."""
    import pandas as pd

    try:
        if path.suffix == ".parquet":
            return pd.read_parquet(path), []
        with path.open(encoding="utf-8-sig", newline="") as file:
            header, *rows = [row for row in csv.reader(file, strict=True) if row] or [[]]
    except ImportError:
        raise MissingExtraError(f"{path}: Parquet files need pyarrow: pip install pyarrow, or give CSV files") from None
    except (OSError, ValueError, csv.Error) as error:
        raise ConfigError([f"{path}: the file cannot be read: {error}"]) from None
    width = len(header)
    wrong = [(number, len(row)) for number, row in enumerate(rows, FILE_ROWS) if len(row) != width]
    data = pd.DataFrame([(row + [""] * width)[:width] for row in rows], columns=header, dtype=object)
    return data, [
        f"{path}:{number}: the row must have {width} cells, as the header (got {cells})" for number, cells in wrong
    ]


def _dangling(table: Table, tables: Mapping[str, pd.DataFrame], where: str) -> Iterator[str]:
    """Names that stand in no master table, and pairs of item and location that are not planned."""
    data = tables[table.name]
    for row in data.index[data["location"] == OUTSIDE] if table.name == "locations" else ():
        yield f"{where}:{row + FILE_ROWS}: location: {OUTSIDE!r} is the name of what is not planned"
    for column in table.columns:
        if column.refers_to:
            known = set(tables[column.refers_to][column.refers_to.removesuffix("s")].dropna())
            names = data[column.name]
            for row in data.index[names.notna() & ~names.isin(known)] if known else ():
                hint = nearest(str(names[row]), known) if len(known) <= MOST_HINTED else ""
                yield f"{where}:{row + FILE_ROWS}: {column.name}: {names[row]!r} is not in {column.refers_to}{hint}"
    if table.name in ("forecasts", "demand", "lead_times", "stock", "receipts"):
        key = ["item", "location"]
        sound = data[
            data["item"].isin(tables["items"]["item"]) & data["location"].isin(tables["locations"]["location"])
        ]
        planned = tables["item_locations"].set_index(key).index
        for row in sound.index[~sound.set_index(key).index.isin(planned)] if len(planned) else ():
            item, location = data.at[row, "item"], data.at[row, "location"]
            yield f"{where}:{row + FILE_ROWS}: {item!r} at {location!r} is not in item_locations"


def _unsupplied(tables: Mapping[str, pd.DataFrame], where: str) -> Iterator[str]:
    """Lanes that would be dropped: what their location stocks no lane brings, for their source does not stock it."""
    import pandas as pd

    from echelon.baselines.planning_network import lanes_of

    rows, lanes = tables["item_locations"].dropna(subset=["item", "location"]), tables["lanes"]
    if rows.empty or lanes.empty:
        return
    lanes = lanes.assign(row=lanes.index)
    own = lanes[lanes["item"] != ""]
    every = lanes[lanes["item"] == ""].drop(columns="item").merge(rows[["item", "location"]], on="location")
    served = pd.MultiIndex.from_frame(lanes_of(tables, rows)[["item", "location"]])
    every = every[~pd.MultiIndex.from_frame(every[["item", "location"]]).isin(served)]
    both = pd.concat([own, every])
    stocked = pd.MultiIndex.from_frame(rows[["item", "location"]])
    lost = both[~pd.MultiIndex.from_frame(both[["item", "source"]]).isin(stocked)].dropna(subset=["source"])
    for row, item, source in zip(lost["row"], lost["item"], lost["source"], strict=True):
        yield f"{where}:{row + FILE_ROWS}: {item!r} is not in item_locations at {source!r}"


def _calendar(name: str, data: pd.DataFrame, where: str) -> Iterator[str]:
    """Periods that are not days: days that forecasts leave out, demand by week or month, and far too many days."""
    data = data.dropna(subset=["item", "location", "period"])
    if data.empty or data["period"].dtype.kind != "M":
        return
    first, last = data["period"].min(), data["period"].max()
    if (last - first).days > MOST_DAYS:
        line = int(data.index[data["period"] == last][0]) + FILE_ROWS
        yield f"{where}:{line}: period: {last:%Y-%m-%d} must be within {MOST_DAYS} days of the first, {first:%Y-%m-%d}"
    elif name == "forecasts":
        key = ["item", "location"]
        days = data.sort_values([*key, "period"]).drop_duplicates([*key, "period"])
        step = days.groupby(key, sort=False)["period"].diff().dt.days
        for row in days[step > 1].drop_duplicates(key).index:
            gap = f"{days['period'][row]:%Y-%m-%d} comes {step[row]:g} days after the last one"
            yield f"{where}:{row + FILE_ROWS}: period: periods are days, and none may be left out ({gap})"
    elif name == "demand":
        met = data["period"].drop_duplicates()
        if len(met) >= LEAST_DAYS and 1 in (met.dt.day_of_week.nunique(), met.dt.day.nunique()):
            yield f"{where}: period: periods are days, and these are weeks or months; days without demand can be 0"


def _cycles(tables: PlanningTables, where: str) -> list[str]:
    """What is wrong with the lanes as a whole."""
    from echelon.baselines.planning_network import suppliers

    try:
        suppliers(tables)
    except ConfigError as error:
        return [f"{where}: {problem}" for problem in error.problems]
    return []


def _with_lead_times(tables: Mapping[str, pd.DataFrame], where: str) -> tuple[pd.DataFrame, list[str]]:
    """Item-locations with the duration of their lane where they have no lead time of their own."""
    rows = tables["item_locations"]
    empty = rows["lead_time"].isna()
    if not empty.any():
        return rows, []
    from echelon.baselines.planning_network import lanes_of

    key = ["item", "location"]
    duration = rows[key].merge(lanes_of(tables, rows), on=key, how="left")["duration"]
    filled = rows.assign(lead_time=rows["lead_time"].where(~empty, duration))
    untold = filled.index[filled["lead_time"].isna()]
    must = "lead_time: is required where no lane leads to the location"
    return filled, [f"{where}:{row + FILE_ROWS}: {must}" for row in untold]
