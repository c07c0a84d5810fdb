"""The network of one item, as its tables describe it, to simulate what was planned for it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.forecast_errors import error_rows
from echelon.baselines.planning_columns import hint
from echelon.baselines.planning_tables import PlanningTables
from echelon.envs.errors import ConfigError
from echelon.envs.network import OUTSIDE, Network
from echelon.envs.problem import Problem

if TYPE_CHECKING:
    import pandas as pd

LEAST_EXCESS = 1e-6
"""Variance over mean, beyond 1, of demand in whole units that is less variable than Poisson demand."""


def network_of(tables: PlanningTables, *, item: str) -> Network:
    """One node a location and one link a lane, for one item; a location without a lane is supplied from outside.

    Demand is negative binomial: its mean by period is the latest forecast, and its spread is how realised demand
    missed the forecasts, from the first to the last day of its history. A lead time is the planned one, in whole
    periods, and misses it as the item's recorded deliveries did (`realised_lead_times`); none overtakes another.
    Initial stock is that of the tables, and the receipts that are due within the lead time arrive evenly over it, in
    whole units: what is left of them is there from the start. Storage, priorities and external stock are not
    simulated. Raises `ConfigError`.
    """
    rows = _of_item(tables["item_locations"], item)
    if rows.empty:
        known = set(tables["item_locations"]["item"])
        raise ConfigError([f"item: there is no item {item!r} in item_locations{hint(item, known)}"])
    lanes: dict[Any, dict[str, Any]] = lanes_of(tables, rows).set_index("location").to_dict("index")  # type: ignore[assignment]
    laws, late = _laws(tables, item), misses(tables, item)
    stock: dict[Any, float] = _of_item(tables["stock"], item).set_index("location")["on_hand"].to_dict()
    due = _due(tables, item, rows)
    records: list[dict[str, Any]] = rows.to_dict("records")  # type: ignore[assignment]
    nodes, links = [], []
    for row in records:
        place, times = row["location"], without_overtaking(realised_lead_times(row["lead_time"], late))
        units = round(due.get(place, 0.0))
        each, left = divmod(units, min(times)) if min(times) > 0 else (0, units)
        nodes.append(_node(row, laws.get(place), float(stock.get(place, 0.0)) + left))
        links.append(_link(row, lanes.get(place, {}), times, each))
    return Network.from_dict({"name": item, "nodes": nodes, "links": links, "units": "whole"})


def problem_of(tables: PlanningTables, *, item: str, periods: int = 364, warm_up: int = 28) -> Problem:
    """The network of one item as a problem of `periods` periods."""
    return Problem(f"planning/{item}", network_of(tables, item=item), periods, warm_up)


def lanes_of(tables: PlanningTables | Mapping[str, pd.DataFrame], rows: pd.DataFrame) -> pd.DataFrame:
    """The lane that supplies each item-location: one for its item before one for all, and the first of several."""
    lanes = tables["lanes"]
    own = rows[["item", "location"]].merge(lanes[lanes["item"] != ""], on=["item", "location"])
    every = rows[["item", "location"]].merge(lanes[lanes["item"] == ""].drop(columns="item"), on="location")
    import pandas as pd

    both = pd.concat([own, every], ignore_index=True)
    stocked = pd.MultiIndex.from_frame(rows[["item", "location"]])
    upstream = pd.MultiIndex.from_frame(both[["item", "source"]])
    return both[upstream.isin(stocked)].drop_duplicates(["item", "location"])


def suppliers(tables: PlanningTables) -> NDArray[np.int64]:
    """[n] the row of item_locations that supplies each, -1 where that is outside. Raises `ConfigError` for a cycle."""
    import pandas as pd

    rows = tables["item_locations"]
    lanes = lanes_of(tables, rows)
    index = pd.MultiIndex.from_frame(rows[["item", "location"]])
    supplier = np.full(len(rows), -1, dtype=np.int64)
    at = index.get_indexer(pd.MultiIndex.from_frame(lanes[["item", "location"]]))
    supplier[at] = index.get_indexer(pd.MultiIndex.from_frame(lanes[["item", "source"]]))
    above = supplier
    for _ in range(len(rows)):
        if (above < 0).all():
            return supplier
        above = np.where(above >= 0, supplier[above], -1)
    row = rows.iloc[int(np.flatnonzero(above >= 0)[0])]
    raise ConfigError([f"locations must not supply one another in a cycle ({row['item']} at {row['location']})"])


def forecast_start(tables: PlanningTables) -> pd.Timestamp:
    """The first period that is forecast and not yet realised. Raises `ConfigError`."""
    import pandas as pd

    forecasts, demand = tables["forecasts"], tables["demand"]
    if demand.empty:
        return pd.Timestamp(forecasts["period"].min())
    later = forecasts["period"][forecasts["period"] > demand["period"].max()]
    if later.empty:
        raise ConfigError(
            [f"forecasts: there must be forecasts after the last realised demand ({demand['period'].max():%Y-%m-%d})"]
        )
    return pd.Timestamp(later.min())


def _of_item(table: pd.DataFrame, item: str) -> pd.DataFrame:
    return table[table["item"] == item]


def _laws(tables: PlanningTables, item: str) -> dict[str, dict[str, Any]]:
    """The demand law of each location that has forecasts."""
    import pandas as pd

    start = forecast_start(tables)
    forecasts, demand = _of_item(tables["forecasts"], item), _of_item(tables["demand"], item)
    latest = forecasts.sort_values("lag").drop_duplicates(["location", "period"])
    errors = error_rows(latest, demand, missing="between")
    squared = (errors["error"] ** 2).groupby(errors["location"]).mean().to_dict()
    ahead = latest[latest["period"] >= start]
    days = pd.date_range(start, ahead["period"].max())
    table = ahead.pivot(index="location", columns="period", values="quantity").reindex(columns=days).fillna(0.0)
    laws: dict[str, dict[str, Any]] = {}
    for location, quantity in zip(table.index, table.to_numpy(dtype=np.float64), strict=True):
        mean = float(quantity.mean())
        if mean > 0:
            profile = quantity / mean
            # the law's excess over Poisson variance grows with the square of the profile
            excess = (float(squared.get(location, mean)) - mean) / float((profile**2).mean())
            sd = math.sqrt(mean + max(excess, LEAST_EXCESS * mean))
            law = {"law": "negative_binomial", "mean": mean, "sd": sd, "seasonal": tuple(profile.tolist())}
            laws[str(location)] = law
    return laws


def misses(tables: PlanningTables, item: str) -> dict[int, int]:
    """How often deliveries of the item came how many periods after their plan."""
    recorded = _of_item(tables["lead_times"], item).dropna(subset="actual")
    return Counter((recorded["actual"] - recorded["planned"]).round().astype(int).tolist())


def realised_lead_times(planned: float, late: Mapping[int, int]) -> dict[int, float]:
    """The lead times of deliveries with that plan, in whole periods, by how often the item's missed theirs."""
    times: Counter[int] = Counter()
    for periods, count in late.items():
        times[max(round(planned) + periods, 0)] += count
    return {time: times[time] / times.total() for time in sorted(times)} or {round(planned): 1.0}


def without_overtaking(realised: Mapping[int, float]) -> dict[int, float]:
    """The law to draw lead times from, for those of one order a period to be `realised` when none overtakes another.

    An order of t arrives by ``t + x`` if its own draw is at most x, that of t - 1 at most x + 1, and so on, so that
    ``F_realised(x) = F(x) F_realised(x + 1)``. Where this is not a law, the nearest one above it is taken.
    """
    times = range(min(realised), max(realised) + 1)
    reached = np.cumsum([realised.get(time, 0.0) for time in times])
    drawn = np.maximum.accumulate(np.append(reached[:-1] / reached[1:], 1.0))
    return {time: float(chance) for time, chance in zip(times, np.diff(drawn, prepend=0.0), strict=True) if chance > 0}


def _due(tables: PlanningTables, item: str, rows: pd.DataFrame) -> dict[Any, float]:
    """The units of all receipts of each location that are due within its lead time."""
    receipts = _of_item(tables["receipts"], item).merge(rows[["location", "lead_time"]], on="location")
    days = (receipts["period"] - forecast_start(tables)).dt.days
    soon: dict[Any, float] = (
        receipts[days < np.ceil(receipts["lead_time"])].groupby("location")["quantity"].sum().to_dict()
    )
    return soon


def _link(row: dict[str, Any], lane: dict[str, Any], times: Mapping[int, float], due: int) -> dict[str, Any]:
    """The link into a location with these lead times, on which `due` units arrive in each period at first."""
    fixed = len(times) == 1
    link: dict[str, Any] = {
        "source": lane.get("source", OUTSIDE),
        "target": row["location"],
        "lead_time": min(times)
        if fixed
        else {"values": list(times), "probabilities": list(times.values()), "crossover": False},
        "unit_cost": lane.get("unit_cost", 0.0),
        "fixed_cost": lane.get("fixed_cost", 0.0),
    }
    if row["lot_size"]:
        link["lot_size"] = row["lot_size"]
    if row["capacity"] > 0:
        link["max_order"] = float(math.floor(row["capacity"]))
    if min(times) > 0:
        link["initial_in_transit"] = float(due)
    return link


def _node(row: dict[str, Any], law: dict[str, Any] | None, on_hand: float) -> dict[str, Any]:
    node = {
        "name": row["location"],
        "holding_cost": row["holding_cost"],
        "initial_on_hand": on_hand,
    }
    if law is None:
        return node
    cost = row["stockout_cost"]
    return {
        **node,
        "demand": law,
        "stockout_cost": 0.0 if math.isnan(cost) else cost,
        "stockout_rule": row["stockout_rule"],
    }
