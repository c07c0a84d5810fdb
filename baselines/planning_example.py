"""A planner's tables for the consumer-goods network, with generated histories, to try every planning method on.

One item a category. Each distributor is supplied by its warehouse, that by its mother warehouse, and that by one
factory, so that the lanes form a tree. Demand is drawn from the laws of the catalogued problem, and a forecast
is the mean of its law, off by a few per cent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.planning_tables import PlanningTables, check_tables
from echelon.envs.consumer_goods import CATEGORIES, category_of, consumer_goods
from echelon.envs.errors import ConfigError, nearest
from echelon.envs.network import OUTSIDE, Link, Network, Node

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

FIRST_DAY = "2024-01-01"
"""The day after the histories, a Monday, on which planning and simulation start."""
LAG = 7
"""Days before that a forecast is made."""
UNRECORDED = 0.4
"""The share of the orders whose actual lead time nobody wrote down."""
LATE = ((-1, 0.1), (0, 0.7), (1, 0.1), (2, 0.1))
"""Days by which a recorded delivery missed its plan, with their probabilities."""

SAP_COLUMNS: dict[str, dict[str, str]] = {
    "items": {"MATNR": "item", "MATKL": "category", "STPRS": "unit_value"},
    "locations": {"WERKS": "location"},
    "lanes": {"LOCFR": "source", "LOCTO": "location", "MATNR": "item", "TTYPE": "transport", "TRANSDUR": "duration"},
    "item_locations": {
        "MATNR": "item",
        "WERKS": "location",
        "SFTY_METHOD": "method",
        "SERVICE_LEVEL": "service_level",
        "TARGET_DAYS": "target_days",
        "RLT": "lead_time",
        "RLT_ERROR": "lead_time_error",
        "FCST_ERROR": "demand_error",
        "BSTRF": "lot_size",
        "EISBE": "safety_stock",
        "SHZET": "safety_days",
        "HOLD_COST": "holding_cost",
    },
    "forecasts": {"MATNR": "item", "WERKS": "location", "DATUM": "period", "PLNMG": "quantity"},
    "demand": {"MATNR": "item", "WERKS": "location", "DATUM": "period", "GSMNG": "quantity"},
}
"""An example of a mapping: the column names of an export in the shape of SAP's tables, and ours."""


def renamed(tables: Mapping[str, pd.DataFrame], columns: Mapping[str, Mapping[str, str]]) -> dict[str, pd.DataFrame]:
    """Tables of another system under our names, by a mapping such as `SAP_COLUMNS`; columns without one are dropped.

    Raises `ConfigError` that lists the columns that are missing.
    """
    missing = [
        f"{name}: the column {column!r} is required ({ours})"
        for name, table in tables.items()
        for column, ours in columns.get(name, {}).items()
        if column not in table.columns and ours in ("item", "location", "source")
    ]
    unknown = [f"{name}: the mapping has no such table{nearest(name, columns)}" for name in tables.keys() - columns]
    if missing or unknown:
        raise ConfigError([*unknown, *missing])
    return {
        name: table.rename(columns=dict(columns[name]))[[ours for raw, ours in columns[name].items() if raw in table]]
        for name, table in tables.items()
    }


def example_tables(
    *,
    category: str | None = None,
    distributors: int = 1_200,
    warehouses: int = 35,
    mother_warehouses: int = 4,
    history_weeks: int = 60,
    weeks: int = 52,
    forecast_error: float = 0.05,
    seed: int = 0,
) -> PlanningTables:
    """The tables of one category, or of all: `history_weeks` of history, and forecasts for `weeks` more.

    `forecast_error` is the coefficient of variation of the factor, new each week, by which a forecast is
    off. Histories that are a multiple of 12 weeks end where the calendar of promotions begins anew.
    Raises `ConfigError`.
    """
    names = [one.name for one in CATEGORIES]
    if category is not None and category not in names:
        raise ConfigError([f"category: there is no category {category!r}{nearest(category, names)}"])
    problem = consumer_goods(
        distributors=distributors, warehouses=warehouses, mother_warehouses=mother_warehouses, seed=seed
    )
    rng = np.random.default_rng([seed, 1])
    paths = _paths(problem.network, [category] if category else names)
    network = problem.network
    tables = _masters(network, paths)
    tables |= _histories(network, paths, history_weeks, weeks, forecast_error, rng)
    tables["lead_times"] = _deliveries(tables["item_locations"], paths, history_weeks, rng)
    tables |= _on_hand_and_due(network, paths)
    import pandas as pd

    return check_tables({name: pd.DataFrame(rows) for name, rows in tables.items()}, provenance={})


def _paths(network: Network, categories: list[str]) -> dict[tuple[str, str], Link]:
    """The link that supplies each item at each location, from the distributors up; one source for each."""
    into: dict[str, Link] = {}
    for link in network.links:
        into.setdefault(link.target, link)
    paths: dict[tuple[str, str], Link] = {}
    for outlet in network.outlets:
        traded = category_of(outlet.name)
        location = outlet.name
        while traded and traded.name in categories and location != OUTSIDE:
            paths.setdefault((traded.name, location), into[location])
            location = into[location].source
    return paths


def _masters(network: Network, paths: Mapping[tuple[str, str], Link]) -> dict[str, Any]:
    """Items, locations, lanes and how each item is planned at each location."""
    nodes = {node.name: node for node in network.nodes}
    used = {item for item, _ in paths}
    title = {one.name: one.title for one in CATEGORIES}
    service = {one.name: one.service for one in CATEGORIES}
    lanes = {(link.source, link.target): link for link in paths.values() if link.source != OUTSIDE}
    return {
        "items": [{"item": item, "category": title[item]} for item in sorted(used)],
        "locations": [
            {"location": name, "kind": _kind(nodes[name])} for name in dict.fromkeys(location for _, location in paths)
        ],
        "lanes": [
            {"source": source, "location": target, "item": "", "transport": "road", "duration": link.mean_lead_time}
            for (source, target), link in lanes.items()
        ],
        "item_locations": [
            {
                "item": item,
                "location": location,
                "method": "BT",
                "service_level": service[item],
                "service_kind": "beta",
                "target_days": 1.0,
                "lead_time": link.mean_lead_time,
                "holding_cost": nodes[location].holding_cost,
                "stockout_cost": nodes[location].stockout_cost if nodes[location].demand else None,
                "stockout_rule": nodes[location].stockout_rule,
            }
            for (item, location), link in paths.items()
        ],
    }


def _kind(node: Node) -> str:
    if node.demand:
        return "outlet"
    return "factory" if node.name.startswith(("factory", "subcontractor")) else "warehouse"


def _histories(
    network: Network,
    paths: Mapping[tuple[str, str], Link],
    history_weeks: int,
    weeks: int,
    forecast_error: float,
    rng: np.random.Generator,
) -> dict[str, Any]:
    """Forecasts for all days, and what demand then was on those before the first day of planning."""
    import pandas as pd

    past, future = 7 * history_weeks, 7 * weeks
    days = pd.date_range(pd.Timestamp(FIRST_DAY) - pd.Timedelta(days=past), periods=past + future)
    nodes = {node.name: node for node in network.nodes}
    planned, real = [], []
    for item, location in paths:
        law = nodes[location].demand
        if law is None:
            continue
        factors = np.concatenate([law.factors(past), law.factors(future)])
        known = {factor: law.moments(factor)[0] for factor in np.unique(factors).tolist()}
        means = np.array([known[factor] for factor in factors.tolist()])
        off = np.exp(rng.normal(-(forecast_error**2) / 2, forecast_error, history_weeks + weeks)).repeat(7)
        key = {"item": item, "location": location}
        planned.append(pd.DataFrame({**key, "period": days, "lag": LAG, "quantity": np.round(means * off, 2)}))
        demand = law.sample(rng.random((1, past)))[0]
        real.append(pd.DataFrame({**key, "period": days[:past], "quantity": demand}))
    return {"forecasts": pd.concat(planned), "demand": pd.concat(real)}


def _deliveries(
    rows: list[dict[str, Any]], paths: Mapping[tuple[str, str], Link], history_weeks: int, rng: np.random.Generator
) -> list[dict[str, Any]]:
    """An order every four weeks at every location, with the planned lead time and, where recorded, the actual."""
    import pandas as pd

    orders = max(history_weeks // 4, 1)
    days = [pd.Timestamp(FIRST_DAY) - pd.Timedelta(weeks=4 * (k + 1)) for k in range(orders)]
    shifts, odds = zip(*LATE, strict=True)
    deliveries = []
    for row in rows:
        actual = np.maximum(row["lead_time"] + rng.choice(shifts, size=orders, p=odds), 0.0)
        actual[rng.random(orders) < UNRECORDED] = np.nan
        lane = {"source": paths[row["item"], row["location"]].source, "planned": row["lead_time"]}
        key = {"item": row["item"], "location": row["location"], **lane}
        deliveries += [{**key, "ordered": day, "actual": time} for day, time in zip(days, actual.tolist(), strict=True)]
    return deliveries


def _on_hand_and_due(network: Network, paths: Mapping[tuple[str, str], Link]) -> dict[str, Any]:
    """What there is at the start: a running stock at every location, and a day's demand in every slot of its lane."""
    import pandas as pd

    flow: dict[tuple[str, str], float] = dict.fromkeys(paths, 0.0)
    nodes = {node.name: node for node in network.nodes}
    for item, location in paths:
        law, at = nodes[location].demand, location
        while law is not None and at != OUTSIDE:
            flow[item, at] += law.mean_demand
            at = paths[item, at].source
    days = pd.date_range(FIRST_DAY, periods=60)
    stock, receipts = [], []
    for (item, location), link in paths.items():
        key = {"item": item, "location": location}
        stock.append({**key, "on_hand": float(round(3 * flow[item, location]))})
        units = float(round(flow[item, location]))
        receipts += [{**key, "period": days[t], "quantity": units} for t in range(int(link.mean_lead_time)) if units]
    return {"stock": stock, "receipts": receipts}
