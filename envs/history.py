"""Demand histories from a CSV file, and the networks whose outlets resample them."""

from __future__ import annotations

import csv
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal

from echelon.envs.errors import DemandError, nearest
from echelon.envs.network import OUTSIDE, Network

Period = Literal["D", "W", "M"]
PERIODS: dict[str, str] = {"D": "days", "W": "weeks", "M": "months"}
COLUMNS = ("date", "item", "location", "quantity")
WAREHOUSE = "warehouse"
"""The location of the node that supplies an item's outlets."""
MOST_PROBLEMS = 20
"""Defects that one error lists."""

Key = tuple[str, str]
"""An item and a location."""


@dataclass(frozen=True)
class DemandHistory:
    """Units asked for in every period, per item and location; all series cover the same periods."""

    period: Period
    starts: tuple[date, ...]
    """The first day of each period [T]: a Monday if periods are weeks."""
    series: Mapping[Key, tuple[float, ...]]
    """Units per period [T] of each (item, location), in the order in which the file names them."""

    @property
    def items(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(item for item, _ in self.series))

    @property
    def locations(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(location for _, location in self.series))


def load_history(path: str | Path, *, period: Period = "W") -> DemandHistory:
    """Read a CSV file with the columns date, item, location and quantity; other columns are ignored.

    Dates are ISO dates. The quantities of a period are added up. The periods run from the first date in
    the file to the last, both counted as whole periods, and one without rows is one without demand.
    Raises `DemandError` that lists the broken rows.
    """
    if period not in PERIODS:
        raise DemandError(f"period must be one of {', '.join(PERIODS)} (got {period!r})")
    rows = _read(Path(path))
    starts = tuple(_starts(min(row["date"] for row in rows), max(row["date"] for row in rows), period))
    position = {start: index for index, start in enumerate(starts)}
    totals: dict[Key, list[float]] = {}
    for row in rows:
        units = totals.setdefault((row["item"], row["location"]), [0.0] * len(starts))
        units[position[_start(row["date"], period)]] += row["quantity"]
    return DemandHistory(period, starts, {key: tuple(units) for key, units in totals.items()})


def history_network(
    history: DemandHistory,
    *,
    lead_time: int,
    holding_cost: float,
    stockout_cost: float,
    stockout_rule: Literal["lost_sales", "backorder"] = "lost_sales",
    method: Literal["empirical", "bootstrap"] = "empirical",
    block: int | None = None,
    item: str | None = None,
    location: str | None = None,
    warehouse_lead_time: int | None = None,
) -> Network:
    """A network with an outlet `item@location` per series of the history, or per series of one item or location.

    `empirical` draws every period alone; `bootstrap` draws runs of `block` periods, by default the cube
    root of the history's length, and so keeps the autocorrelation within a run. Outlets are drawn
    independently of one another. Each is supplied from outside, or, with a `warehouse_lead_time`, from
    the node `item@warehouse`, which holds at half the outlets' cost. Costs are per unit and period,
    lead times are in periods. Raises `DemandError` or `NetworkError`.
    """
    series = _select(history, item, location)
    block = _block_length(method, block, len(history.starts))
    costs = {"holding_cost": holding_cost, "stockout_cost": stockout_cost, "stockout_rule": stockout_rule}
    nodes: list[dict[str, Any]] = []
    links: list[dict[str, Any]] = []
    if warehouse_lead_time is not None:
        names = [f"{name}@{WAREHOUSE}" for name in dict.fromkeys(name for name, _ in series)]
        nodes += [{"name": name, "holding_cost": holding_cost / 2} for name in names]
        links += [{"target": name, "lead_time": warehouse_lead_time} for name in names]
    for (name, place), units in series.items():
        source = OUTSIDE if warehouse_lead_time is None else f"{name}@{WAREHOUSE}"
        demand = {"law": "empirical", "values": units, "block": block}
        nodes.append({"name": f"{name}@{place}", "demand": demand, **costs})
        links.append({"source": source, "target": f"{name}@{place}", "lead_time": lead_time})
    span = f"{len(history.starts)} {PERIODS[history.period]} from {history.starts[0]}"
    data = {"name": "history", "description": f"Demand of {span}.", "nodes": nodes, "links": links}
    return Network.from_dict(data).with_running_stock()


def _select(history: DemandHistory, item: str | None, location: str | None) -> dict[Key, tuple[float, ...]]:
    for noun, name, known in (("item", item, history.items), ("location", location, history.locations)):
        if name is not None and name not in known:
            raise DemandError(f"the history has no {noun} {name!r}{nearest(name, known)}")
    keys = [key for key in history.series if item in (None, key[0]) and location in (None, key[1])]
    if not keys:
        raise DemandError(f"the history has no demand for the item {item!r} at the location {location!r}")
    return {key: history.series[key] for key in keys}


def _block_length(method: str, block: int | None, periods: int) -> int:
    if method not in ("empirical", "bootstrap"):
        raise DemandError(f"method must be 'empirical' or 'bootstrap' (got {method!r})")
    if method == "bootstrap":
        return max(1, round(periods ** (1 / 3))) if block is None else block
    if block not in (None, 1):
        raise DemandError(f"block must be left out or 1 unless the method is 'bootstrap' (got {block!r})")
    return 1


def _read(path: Path) -> list[dict[str, Any]]:
    """The rows of the file by column, at least one."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            reader = csv.reader(stream, strict=True)
            rows, problems = _parse(path, reader)
    except OSError as error:
        raise DemandError(f"{path}: the history cannot be read: {error.strerror}") from None
    except UnicodeDecodeError:
        raise DemandError(f"{path}: the history must be text in UTF-8") from None
    except csv.Error as error:
        raise DemandError(f"{path}:{reader.line_num}: the history must be a CSV file: {error}") from None
    if len(problems) > MOST_PROBLEMS:
        problems[MOST_PROBLEMS:] = [f"{path}: and {len(problems) - MOST_PROBLEMS} more"]
    if problems:
        raise DemandError("\n".join(problems))
    if not rows:
        raise DemandError(f"{path}: the history must have at least one row below its header")
    return rows


def _parse(path: Path, reader: Any) -> tuple[list[dict[str, Any]], list[str]]:
    """The rows of a CSV reader, and what is wrong with the others."""
    header = [name.strip() for name in next(reader, [])]
    problems = [
        f"{path}:1: the header must have the column {name!r} once (got {', '.join(header) or 'nothing'})"
        for name in COLUMNS
        if header.count(name) != 1
    ]
    rows: list[dict[str, Any]] = []
    for fields in reader if not problems else ():
        if not fields:
            continue
        if len(fields) != len(header):
            problems.append(f"{path}:{reader.line_num}: must have {len(header)} columns (got {len(fields)})")
            continue
        text = dict(zip(header, map(str.strip, fields), strict=True))
        row = {name: read(text[name]) for name, (read, _) in _COLUMNS.items()}
        broken = [name for name in COLUMNS if row[name] is None]
        rows += [row] if not broken else []
        problems += [f"{path}:{reader.line_num}: {name}: {_COLUMNS[name][1]} (got {text[name]!r})" for name in broken]
    return rows, problems


def _date(text: str) -> date | None:
    try:
        return date.fromisoformat(text)
    except ValueError:
        return None


def _quantity(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if value >= 0 and math.isfinite(value) and "_" not in text else None


_COLUMNS: dict[str, tuple[Callable[[str], Any], str]] = {
    "date": (_date, "must be an ISO date such as 2024-03-31"),
    "item": (lambda text: text or None, "must not be empty"),
    "location": (lambda text: text or None, "must not be empty"),
    "quantity": (_quantity, "must be a finite number of at least 0"),
}
"""How each column is read, with None for what cannot be, and what must hold for it."""


def _start(day: date, period: Period) -> date:
    """The first day of the period that `day` lies in."""
    if period == "M":
        return day.replace(day=1)
    return day - timedelta(days=day.weekday() if period == "W" else 0)


def _starts(first: date, last: date, period: Period) -> Iterator[date]:
    """The first day of every period from that of `first` to that of `last`."""
    step = {"D": timedelta(days=1), "W": timedelta(days=7), "M": timedelta(days=31)}[period]
    start, end = _start(first, period), _start(last, period)
    yield start
    while start < end:
        start = _start(start + step, period)
        yield start
