"""Moving what a planner's tables say of some locations to another one, and shifting lead times."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.planning_columns import hint
from echelon.baselines.planning_network import forecast_start, lanes_of, suppliers
from echelon.baselines.planning_schema import SCHEMA
from echelon.baselines.planning_service import KEY
from echelon.baselines.planning_tables import PlanningTables
from echelon.envs.errors import MethodError

if TYPE_CHECKING:
    import pandas as pd

Bools = NDArray[np.bool_]

ADDED_UP = {
    "forecasts": (("item", "location", "period", "lag"), "quantity"),
    "demand": (("item", "location", "period"), "quantity"),
    "receipts": (("item", "location", "period"), "quantity"),
    "stock": (("item", "location"), "on_hand"),
}
"""Tables whose quantities add up when locations are merged: their keys and the quantity."""


def require_name(tables: PlanningTables, table: str, name: str) -> None:
    """Raise `MethodError` unless the item or location is in its table."""
    key = table.removesuffix("s")
    known = set(tables[table][key])
    if name not in known:
        raise MethodError(f"{key} must be one of the tables, got {name!r}{hint(name, known)}")


def selected(tables: PlanningTables, *, item: str = "", location: str = "") -> Bools:
    """[n] which item-locations are of the item and at the location, where they are given. Raises `MethodError`."""
    rows = tables["item_locations"]
    found = np.ones(len(rows), dtype=bool)
    for key, name in (("item", item), ("location", location)):
        if name:
            require_name(tables, f"{key}s", name)
            found &= (rows[key] == name).to_numpy()
    if not found.any():
        raise MethodError(f"item {item!r} must be stocked at location {location!r}")
    return found


def merged(tables: PlanningTables, closed: Collection[str], into: str) -> PlanningTables:
    """The tables without some locations, whose business is that of `into` (see `planning_scenarios.CloseSite`).

    A stated relative forecast error is pooled as if the errors were independent. Records of deliveries to the closed
    locations are dropped, but for items that are new at `into`; those of deliveries from them count for it.
    Raises `MethodError`.
    """
    for name in (*closed, into):
        require_name(tables, "locations", name)
    if into in closed:
        raise MethodError(f"a location must not be closed in favour of itself, got {into!r}")
    _require_not_below(tables, closed, into)
    data = dict(tables.tables)
    for name, (keys, quantity) in ADDED_UP.items():
        moved = _renamed(data[name], "location", closed, into)
        data[name] = moved.groupby(list(keys), sort=False)[quantity].sum().reset_index()
    targets = _renamed(data["service_targets"], "location", closed, into)
    data["service_targets"] = targets.drop_duplicates(list(SCHEMA["service_targets"].key))
    data["lead_times"] = _merged_deliveries(tables, closed, into)
    data["locations"] = data["locations"][~data["locations"]["location"].isin(closed)]
    data["item_locations"] = _merged_rows(tables, closed, into)
    data["lanes"] = _merged_lanes(tables, closed, into, data["item_locations"])
    data = {name: table.reset_index(drop=True) for name, table in data.items()}
    return _without_idle(_with_lane_times(PlanningTables(data), tables, closed), tables)


def shifted_lead_time(tables: PlanningTables, here: Bools, periods: float) -> PlanningTables:
    """The lead times of some item-locations [n], and the lanes that supply them, some periods longer.

    Raises `MethodError` where one would be below 0.
    """
    import pandas as pd

    rows = tables["item_locations"]
    shortest = float(rows.loc[here, "lead_time"].min())
    if shortest + periods < 0:
        raise MethodError(f"periods must be at most the lead time of {shortest:g}, got {-periods:g}")
    lead_time = rows["lead_time"].where(~here, rows["lead_time"] + periods)
    used = lanes_of(tables, rows).merge(rows.loc[here, KEY], on=KEY)
    own = used.assign(duration=np.maximum(used["duration"] + periods, 0.0))
    lanes = pd.concat([own[list(tables["lanes"].columns)], tables["lanes"]], ignore_index=True)
    lanes = lanes.drop_duplicates(["source", "location", "item"], ignore_index=True)
    return PlanningTables({**tables.tables, "item_locations": rows.assign(lead_time=lead_time), "lanes": lanes})


def _renamed(table: pd.DataFrame, column: str, closed: Collection[str], into: str) -> pd.DataFrame:
    return table.assign(**{column: table[column].where(~table[column].isin(closed), into)})


def _require_not_below(tables: PlanningTables, closed: Collection[str], into: str) -> None:
    """Raise `MethodError` if `into` is supplied by one of the closed locations, directly or not."""
    place = tables["item_locations"]["location"].to_numpy()
    supplier = suppliers(tables)
    above = supplier[place == into]
    while (above >= 0).any():
        above = above[above >= 0]
        for name in place[above]:
            if name in closed:
                raise MethodError(f"{into!r} must not be supplied by {name!r}, which it is to replace")
        above = supplier[above]


def _merged_rows(tables: PlanningTables, closed: Collection[str], into: str) -> pd.DataFrame:
    """The item-locations: of each item at `into` and the closed locations one row, that of `into` if there is one."""
    import pandas as pd

    rows = tables["item_locations"]
    together = rows["location"].isin([*closed, into])
    errors = _pooled_errors(tables, rows[together])
    moved = _renamed(rows, "location", closed, into)
    first = pd.concat([moved[rows["location"] == into], moved[rows["location"] != into]])
    kept = first.drop_duplicates(KEY).sort_index()
    pooled = kept["item"].map(errors).where(kept["location"] == into)
    return kept.assign(demand_error=pooled.fillna(kept["demand_error"]))


def _pooled_errors(tables: PlanningTables, rows: pd.DataFrame) -> pd.Series:
    """By item, the stated relative error of the sum of independent demands; only where each of them states one."""
    start = forecast_start(tables)
    ahead = tables["forecasts"][tables["forecasts"]["period"] >= start]
    mean = ahead.groupby(KEY)["quantity"].sum().reset_index()
    both = rows[[*KEY, "demand_error"]].merge(mean, on=KEY)
    both["squared"] = (both["demand_error"] * both["quantity"]) ** 2
    total = both.groupby("item").agg(
        squared=("squared", "sum"), quantity=("quantity", "sum"), stated=("demand_error", lambda e: (e > 0).all())
    )
    total = total[total["stated"].astype(bool) & (total["quantity"] > 0)]
    return total["squared"] ** 0.5 / total["quantity"]


def _merged_deliveries(tables: PlanningTables, closed: Collection[str], into: str) -> pd.DataFrame:
    rows = tables["item_locations"]
    records = _renamed(tables["lead_times"], "source", closed, into)
    known = records["item"].isin(rows["item"][rows["location"] == into])
    kept = _renamed(records[~(records["location"].isin(closed) & known)], "location", closed, into)
    return kept.drop_duplicates(["item", "location", "ordered"])


def _merged_lanes(tables: PlanningTables, closed: Collection[str], into: str, rows: pd.DataFrame) -> pd.DataFrame:
    """The lanes out of the closed locations come from `into`; into it come those of the items that are new there."""
    import pandas as pd

    lanes, before = tables["lanes"], tables["item_locations"]
    there = set(before["item"][before["location"] == into])
    new = before[before["location"].isin(closed) & ~before["item"].isin(there)].drop_duplicates("item")
    supply = lanes_of(tables, before).merge(new[KEY], on=KEY).assign(location=into)[list(lanes.columns)]
    out = _renamed(lanes[~lanes["location"].isin(closed)], "source", closed, into)
    own = out[lanes.loc[out.index, "source"] == into]
    both: pd.DataFrame = pd.concat([own, out, supply], ignore_index=True)
    both = both.loc[both["source"] != both["location"]]
    stocked = set(zip(rows["item"], rows["location"], strict=True))
    known = [not item or (item, source) in stocked for item, source in zip(both["item"], both["source"], strict=True)]
    lanes = both.loc[np.array(known, dtype=bool)]
    return lanes.drop_duplicates(["source", "location", "item"])


def _with_lane_times(after: PlanningTables, before: PlanningTables, closed: Collection[str]) -> PlanningTables:
    """The tables with the lead time of each location that has a new supplier as its lane has it."""
    rows = after["item_locations"]
    had = lanes_of(before, before["item_locations"])
    rerouted = had[had["source"].isin(closed) & ~had["location"].isin(closed)][KEY]
    now = rerouted.merge(lanes_of(after, rows)[[*KEY, "duration"]], on=KEY)
    times = rows[KEY].merge(now, on=KEY, how="left")["duration"]
    lead_time = times.fillna(rows["lead_time"].reset_index(drop=True))
    return PlanningTables({**after.tables, "item_locations": rows.assign(lead_time=lead_time.to_numpy())})


def _without_idle(after: PlanningTables, before: PlanningTables) -> PlanningTables:
    """The tables without item-locations that have neither customers nor, any more, someone to supply."""
    import pandas as pd

    supplied = pd.MultiIndex.from_frame(before["item_locations"].iloc[np.unique(_positive(suppliers(before)))][KEY])
    while True:
        index = pd.MultiIndex.from_frame(after["item_locations"][KEY])
        busy = np.isin(np.arange(len(index)), suppliers(after)) | index.isin(_pairs(after["forecasts"]))
        idle = index[index.isin(supplied) & ~busy]
        if idle.empty:
            return after
        tables = {
            name: table[~_pairs(table).isin(idle)].reset_index(drop=True)
            if name not in ("lanes", "service_targets") and {*KEY} <= set(table.columns)
            else table
            for name, table in after.tables.items()
        }
        after = PlanningTables(tables)


def _pairs(table: pd.DataFrame) -> pd.MultiIndex:
    import pandas as pd

    return pd.MultiIndex.from_frame(table[KEY])


def _positive(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    return rows[rows >= 0]
