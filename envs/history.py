"""Demand histories from a CSV file, and the networks whose outlets resample them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Literal

from echelon.envs.errors import DemandError, nearest
from echelon.envs.history_lead_times import LeadTimeHistory
from echelon.envs.history_rows import (
    DATE,
    NAME,
    PERIODS,
    Column,
    Period,
    periods_between,
    read_rows,
    require_period,
    starts_between,
)
from echelon.envs.network import OUTSIDE, Network
from echelon.envs.supply import LeadTime

COLUMNS = ("date", "item", "location", "quantity")
WAREHOUSE = "warehouse"
"""The location of the node that supplies an item's outlets."""
BLOCKS: dict[Period, int] = {"D": 28, "W": 13, "M": 12}
"""Periods in a block: four weeks of days, a quarter of weeks, a year of months.

Of the pairs of periods that are k apart, a share 1 - k/l lies in one block of l. So much of the autocovariance at
lag k stays: more than 0.9 at lag 1.
"""

Key = tuple[str, str]
"""An item and a location."""
Cost = float | Mapping[str, float]
"""One number, or one by location."""


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
    require_period(period)
    rows = read_rows(Path(path), lambda _: _COLUMNS)
    first, last = min(row["date"] for row in rows), max(row["date"] for row in rows)
    starts = tuple(starts_between(first, last, period))
    totals: dict[Key, list[float]] = {}
    for row in rows:
        units = totals.setdefault((row["item"], row["location"]), [0.0] * len(starts))
        units[periods_between(first, row["date"], period)] += row["quantity"]
    return DemandHistory(period, starts, {key: tuple(units) for key, units in totals.items()})


def _quantity(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if value >= 0 and math.isfinite(value) and "_" not in text else None


_QUANTITY: Column = (_quantity, "must be a finite number of at least 0")
_COLUMNS: dict[str, Column] = dict(zip(COLUMNS, (DATE, NAME, NAME, _QUANTITY), strict=True))


def history_network(
    history: DemandHistory,
    *,
    lead_time: int,
    holding_cost: Cost,
    stockout_cost: Cost,
    fixed_cost: Cost = 0.0,
    stockout_rule: Literal["lost_sales", "backorder"] = "lost_sales",
    method: Literal["empirical", "bootstrap"] = "empirical",
    block: int | None = None,
    align: int = 1,
    joint: bool = False,
    item: str | None = None,
    location: str | None = None,
    warehouse_lead_time: int | None = None,
    lead_times: LeadTimeHistory | None = None,
    least_periods: int = 2,
) -> Network:
    """A network with an outlet `item@location` per series of the history, or per series of one item or location.

    `empirical` draws every period alone; `bootstrap` draws runs of `block` periods, by default those of
    `BLOCKS`, and so keeps the autocorrelation within a run. With `align` n, period t is drawn from the periods of
    the history in phase with it: 7 keeps the weekdays of daily data. The oldest periods are then left out until n
    divides their number, and period 0 is in phase with the first one that stays. With `joint` the locations of an
    item draw the same periods, which keeps the correlation between them; else outlets are independent.

    Each outlet is supplied from outside, or, with a `warehouse_lead_time`, from the node `item@warehouse`. Costs
    are per unit and period, the fixed cost is per order, lead times are in periods. A holding cost that is one
    number is halved at a warehouse; one by location names the warehouse "warehouse". Links of which `lead_times`
    knows draw their lead time from it. Raises `NetworkError`, and `DemandError` if the history is shorter than
    `least_periods` or two blocks, or knows of no demand at a place.
    """
    block = _block_length(method, block, history.period)
    _require_length(history, max(least_periods, align), block)
    cut = len(history.starts) % max(align, 1)
    series = {key: units[cut:] for key, units in _select(history, item, location).items()}
    _require_demand(series)
    customers = {
        (name, place): {
            "demand": {
                "law": "empirical",
                "values": units,
                "block": block,
                "align": align,
                "joint": name if joint else "",
            },
            "stockout_cost": _at("stockout_cost", stockout_cost, place),
            "stockout_rule": stockout_rule,
        }
        for (name, place), units in series.items()
    }
    lanes = _lanes(series, lead_time, warehouse_lead_time)
    times = _lead_times(lanes, lead_times, history.period)
    nodes = [
        {"name": _name(key), "holding_cost": _at("holding_cost", holding_cost, key[1], 1.0 if key in series else 0.5)}
        | customers.get(key, {})
        for key in lanes
    ]
    links = [
        {
            "source": _name((key[0], source)) if source == WAREHOUSE else source,
            "target": _name(key),
            "lead_time": times[key],
            "fixed_cost": _at("fixed_cost", fixed_cost, key[1]),
        }
        for key, (source, _) in lanes.items()
    ]
    span = f"{len(history.starts) - cut} {PERIODS[history.period]} from {history.starts[cut]}"
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


def _require_demand(series: Mapping[Key, tuple[float, ...]]) -> None:
    idle = [_name(key) for key, units in series.items() if not any(units)]
    if idle:
        raise DemandError(f"the history must have a period with demand at each place (got none at {', '.join(idle)})")


def _block_length(method: str, block: int | None, period: Period) -> int:
    if method not in ("empirical", "bootstrap"):
        raise DemandError(f"method must be 'empirical' or 'bootstrap' (got {method!r})")
    if method == "bootstrap":
        return BLOCKS[period] if block is None else block
    if block not in (None, 1):
        raise DemandError(f"block must be left out or 1 unless the method is 'bootstrap' (got {block!r})")
    return 1


def _require_length(history: DemandHistory, least: int, block: int) -> None:
    """Raise `DemandError` for a history that is too short: two blocks are the least that can differ."""
    count, unit = len(history.starts), PERIODS[history.period]
    got = f"(got {count}, from {history.starts[0]})"
    if count < least:
        raise DemandError(f"the history must have at least {least} {unit} {got}")
    if block > 1 and count < 2 * block:
        raise DemandError(f"a bootstrap in blocks of {block} {unit} needs a history of at least {2 * block} {got}")


def _lanes(series: Iterable[Key], lead_time: int, warehouse_lead_time: int | None) -> dict[Key, tuple[str, int]]:
    """Where each node is supplied from, the warehouses first, and the lead time if no more is known."""
    if warehouse_lead_time is None:
        return dict.fromkeys(series, (OUTSIDE, lead_time))
    taken = [_name(key) for key in series if key[1] == WAREHOUSE]
    if taken:
        raise DemandError(f"a location must not be called {WAREHOUSE!r} beside a warehouse (got {taken[0]})")
    warehouses = {(name, WAREHOUSE): (OUTSIDE, warehouse_lead_time) for name, _ in series}
    return warehouses | dict.fromkeys(series, (WAREHOUSE, lead_time))


def _lead_times(
    lanes: Mapping[Key, tuple[str, int]], history: LeadTimeHistory | None, period: Period
) -> dict[Key, int | LeadTime]:
    """The lead time into each node: that of the history of lead times where it knows the lane."""
    given = {key: time for key, (_, time) in lanes.items()}
    if history is None:
        return dict(given)
    if history.period != period:
        raise DemandError(f"lead_times must be in {PERIODS[period]} as the demand is (got {PERIODS[history.period]})")
    laws = {key: history.law(*key, source) for key, (source, _) in lanes.items()}
    if all(law is None for law in laws.values()):
        known = ", ".join(f"{item}@{place} from {source or 'anywhere'}" for item, place, source in history.series)
        raise DemandError(f"lead_times must know a link of the network (known: {known})")
    return {key: given[key] if law is None else law for key, law in laws.items()}


def _name(key: Key) -> str:
    return "@".join(key)


def _at(name: str, cost: Cost, place: str, share: float = 1.0) -> float:
    """The cost at a place; of one number for all places, a share."""
    if not isinstance(cost, Mapping):
        return cost * share
    if place not in cost:
        raise DemandError(f"{name} must have a value for {place!r}{nearest(place, cost)}")
    return cost[place]
