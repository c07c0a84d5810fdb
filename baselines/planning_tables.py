"""A planner's tables: read from a folder of CSV or Parquet files, checked to the last cell, and written back.

`read_tables` lists every defect with its file, row and column before anything is planned. The schema is
`planning_schema.SCHEMA`.
"""

from __future__ import annotations

import csv
import os
import secrets
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from echelon.baselines.planning_columns import FILE_ROWS, at_most, checked_table, hint
from echelon.baselines.planning_references import unknown_references
from echelon.baselines.planning_schema import MOST_DAYS, SCHEMA
from echelon.envs.errors import ConfigError, MissingExtraError, nearest

if TYPE_CHECKING:
    import pandas as pd

LEAST_DAYS = 4
"""Days of demand from which on it is no chance that all of them are one day of the week, or of the month."""


@dataclass(frozen=True, eq=False)
class PlanningTables:
    """Checked tables by their names; one that was not given is empty but has all columns."""

    tables: Mapping[str, pd.DataFrame]
    provenance: Mapping[str, str] = field(default_factory=dict)
    """The files that the tables came from, all of their rows in order, one a line; without others."""

    def __getitem__(self, name: str) -> pd.DataFrame:
        """A table by its name."""
        return self.tables[name]

    def only(self, *, item: str | None = None, category: str | None = None) -> PlanningTables:
        """The rows of one item, or of the items of one category, in all tables. Raises `ConfigError`."""
        items = self["items"]
        for key, value in (("item", item), ("category", category)):
            if value is not None:
                if value not in set(items[key]):
                    raise ConfigError([f"{key}: there is no {key} {value!r}{hint(value, set(items[key]))}"])
                items = items[items[key] == value]
        kept = set(items["item"])
        tables = {
            name: table[table["item"].isin(kept | {""})].reset_index(drop=True) if "item" in table else table
            for name, table in self.tables.items()
        }
        return PlanningTables(tables)


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
    present = [path for path in sorted(folder.iterdir()) if path.suffix.lower() in (".csv", ".parquet")]
    for path in present:
        if path.stem not in SCHEMA:
            defects.append(f"{path}: there is no such table{nearest(path.stem, SCHEMA)}")
    shifted: dict[str, list[int]] = {}
    for name in SCHEMA:
        files = [path for path in present if path.stem == name]
        if len(files) > 1:
            defects.append(f"{files[1]}: there must be one file for each table, and {files[0].name} is there too")
        if files:
            found[name], lines, miscounted = _read(files[0])
            defects += miscounted
            provenance[name] = str(files[0])
            if lines != list(range(FILE_ROWS, len(lines) + FILE_ROWS)):
                shifted[name] = lines
    try:
        tables = check_tables(found, provenance=provenance, defects=defects, folder=str(folder))
    except ConfigError as error:
        problems = list(error.problems)
        for name, lines in shifted.items():
            problems = [_on_its_line(problem, provenance[name], lines) for problem in problems]
        raise ConfigError(problems) from None
    return PlanningTables(tables.tables, {name: file for name, file in provenance.items() if name not in shifted})


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
    problems += unknown_references(complete, {name: where.get(name, name) for name in SCHEMA})
    for name in ("forecasts", "demand", "receipts"):
        problems += _calendar(name, complete[name], where.get(name, name))
    if not problems:
        complete["item_locations"], problems = _with_lead_times(complete, where.get("item_locations", "item_locations"))
    if not problems:
        problems = _cycles(PlanningTables(complete), where.get("lanes", "lanes"))
        problems += _horizon(complete, where.get("forecasts", "forecasts"))
    if problems:
        raise ConfigError(at_most(problems))
    return PlanningTables(complete, where)


def write_tables(tables: PlanningTables, folder: str | Path) -> None:
    """Write every table that has rows as a CSV file that `read_tables` reads back, all of them or none.

    Raises `ConfigError` unless the folder is new or empty.
    """
    files = {f"{name}.csv": table for name, table in tables.tables.items() if len(table)}
    write_folder(folder, {name: table.to_csv(index=False) for name, table in files.items()})


def write_folder(folder: str | Path, files: Mapping[str, str]) -> None:
    """Write text files into a new or empty folder: it has all of them, or stays as it is.

    A folder that is there stays the same one, for it may be somebody's current one. Raises `ConfigError`.
    """
    require_new(Path(folder))
    target = Path(folder).resolve()
    there = target.is_dir()
    temporary = (target if there else target.parent) / f".{target.name}.{secrets.token_hex(4)}"
    try:
        temporary.mkdir()
        for name, text in files.items():
            (temporary / name).write_text(text, encoding="utf-8", newline="")
        if there:
            for name in files:
                os.replace(temporary / name, target / name)
        else:
            os.replace(temporary, target)
    except OSError as error:
        for name in files if there else ():
            (target / name).unlink(missing_ok=True)
        raise ConfigError([f"{folder}: the folder cannot be written: {error}"]) from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def require_new(folder: Path) -> None:
    """Raise `ConfigError` unless the folder can be made, or is there and empty."""
    target = folder.resolve()
    try:
        if target.exists() and (not target.is_dir() or any(target.iterdir())):
            raise ConfigError([f"{folder}: the folder must be new or empty"])
        if not target.parent.is_dir():
            raise ConfigError([f"{folder}: the folder {folder.parent} must exist"])
    except OSError as error:
        raise ConfigError([f"{folder}: the folder cannot be written: {error}"]) from None


def _read(path: Path) -> tuple[pd.DataFrame, list[int], list[str]]:
    """A file as text, so that each cell can be checked as it was written; the lines that its rows end on, and what is
    wrong with rows of too many or few cells."""
    import pandas as pd

    try:
        if path.suffix.lower() == ".parquet":
            return (data := pd.read_parquet(path)), list(range(FILE_ROWS, len(data) + FILE_ROWS)), []
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header, *rows = [(reader.line_num, row) for row in reader if row] or [(1, [])]
    except ImportError:
        raise MissingExtraError(f"{path}: Parquet files need pyarrow: pip install pyarrow, or give CSV files") from None
    except (OSError, ValueError, csv.Error) as error:
        raise ConfigError([f"{path}: the file cannot be read: {error}"]) from None
    width = len(header[1])
    data = pd.DataFrame([(row + [""] * width)[:width] for _, row in rows], columns=header[1], dtype=object)
    wrong = [(number, len(row)) for number, (_, row) in enumerate(rows, FILE_ROWS) if len(row) != width]
    return (
        data,
        [line for line, _ in rows],
        [f"{path}:{number}: the row must have {width} cells, as the header (got {cells})" for number, cells in wrong],
    )


def _on_its_line(problem: str, file: str, lines: Sequence[int]) -> str:
    """What is wrong with a row of a file, by the line on which that stands instead of by its number."""
    row, _, rest = problem.removeprefix(f"{file}:").partition(":")
    own = problem.startswith(f"{file}:") and row.isdigit()
    return f"{file}:{lines[int(row) - FILE_ROWS]}:{rest}" if own else problem


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


def _horizon(tables: Mapping[str, pd.DataFrame], where: str) -> Iterator[str]:
    """Forecasts that begin after the first day to be planned, or end before the last one.

    Which days these are is a matter of all series, so that one that is short would be planned for no demand.
    """
    key, forecasts, realised = ["item", "location"], tables["forecasts"], tables["demand"]["period"].max()
    ahead = forecasts if tables["demand"].empty else forecasts[forecasts["period"] > realised]
    if ahead.empty:
        return
    edges = ((ahead["period"].min(), "idxmin", "begins"), (ahead["period"].max(), "idxmax", "ends"))
    for day, extreme, verb in edges:
        own = ahead.loc[ahead.groupby(key, sort=False)["period"].agg(extreme)]
        for row, item, place, period in own[own["period"] != day][[*key, "period"]].itertuples():
            says = f"the forecast of {item!r} at {place!r} {verb} on {period:%Y-%m-%d}"
            others = f"that of others on {day:%Y-%m-%d}; days without demand can be 0"
            yield f"{where}:{row + FILE_ROWS}: period: {says}, {others}"


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
