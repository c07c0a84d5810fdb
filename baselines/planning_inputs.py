"""What every planning method starts from: one row an item-location, with its demand, lead time and their errors.

Demand is forecast where there are customers. A location asks its supplier today for what is needed when the order
arrives, so that requirements pass up the lanes earlier by the time that an order must cover, and add up. The errors
of the customers' forecasts, of the latest one of each period, are taken to be independent: their variances add up
likewise. What the tables state wins over what their history tells, and every figure says where it is from.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.demand_intelligence import demand_intelligence
from echelon.baselines.demand_tables import ratio
from echelon.baselines.forecast_errors import Estimator
from echelon.baselines.lead_time_errors import lead_time_errors
from echelon.baselines.planning_network import forecast_start, lanes_of, suppliers
from echelon.baselines.planning_tables import PlanningTables
from echelon.baselines.safety_stock_errors import ERROR_KINDS
from echelon.baselines.service_targets import FIELDS, resolve_targets
from echelon.envs.network import OUTSIDE

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Names = NDArray[np.object_]

WEEK = 7
"""Periods from one planning run to the next."""
LEAST_DELIVERIES = 20
"""Recorded deliveries from which on an item-location, or else its lane or its source, speaks for itself: of fewer, the
mean is off by more than a fifth of the deviation, which costs more service than borrowing from others does."""
GENERAL, NO_TARGET = "global", 0.5
"""The source of a target that names nothing, and the level of the one that stands for none: it is never read."""


@dataclass(frozen=True, eq=False)
class PlanningInputs:
    """Rows of item-locations [n] with forecasts of T periods, as they are known in each planning run."""

    rows: pd.DataFrame
    """The columns of item_locations, with the category filled in and lead_time as it was realised in the mean; besides
    lead_time_planned, lead_time_sd, lead_time_source, demand_mean and demand_sd (per period, over the horizon) and
    demand_source. The sources say where the deviations are from.
    """
    supplier: Ints
    """[n] the row that supplies each, -1 where that is outside."""
    own: Floats
    """[V, n, T] mean demand of each location's own customers, units per period, as forecast by the day of each planning
    run. V is 1 where the forecast of a period is made but once."""
    relative_error: Floats
    """[n] standard deviation of a period's own demand over its mean"""
    start: pd.Timestamp
    """The first period."""

    @property
    def periods(self) -> int:
        """T"""
        return int(self.own.shape[2])

    @property
    def days(self) -> pd.DatetimeIndex:
        """[T] the periods."""
        import pandas as pd

        return pd.date_range(self.start, periods=self.periods)

    @property
    def runs(self) -> Ints:
        """[W] the periods in which a planning run takes place."""
        return np.arange(0, self.periods, WEEK)

    @property
    def lead_time(self) -> Floats:
        """[n] mean, periods"""
        return self.rows["lead_time"].to_numpy(dtype=np.float64)

    @property
    def own_variance(self) -> Floats:
        """[V, n, T] of the demand of a period of each location's own customers."""
        return np.asarray((self.relative_error[:, None] * self.own) ** 2)

    @cached_property
    def tiers(self) -> list[Ints]:
        """The rows that have a supplier, farthest from outside first, those of one distance together."""
        depth = depths(self.supplier)
        return [np.flatnonzero(depth == d) for d in range(int(depth.max(initial=0)), 0, -1)]

    def passed_up(self, own: Floats, cover: Floats) -> Floats:
        """[V, n, T] what passes through each location if the customers there account for `own`.

        An order of period t, which must cover the `cover` [n] periods t, ..., t + cover - 1, asks for what the last of
        them needs: the others have been asked for before.
        """
        total = own.copy()
        for rows in self.tiers:
            above, asked = self.supplier[rows], _later(total[:, rows], cover[rows] - 1.0)
            for view, units in zip(total, asked, strict=True):
                np.add.at(view, above, units)
        return total

    def window(self, series: Floats, cover: Floats) -> Floats:
        """[n, T] the sum of a series [V, n, T] over `cover` [n] periods from each one on, as known on its day."""
        total = np.zeros_like(series)
        for k in range(int(np.ceil(cover.max(initial=0.0)))):
            total += np.clip(cover - k, 0.0, 1.0)[:, None] * _later(series, np.full(len(cover), float(k)))
        return self.known(total)

    def known(self, series: Floats) -> Floats:
        """[n, T] a series [V, n, T] as it is known on the day of each period: by the planning run before it."""
        if len(series) == 1:
            return np.asarray(series[0])
        day = np.arange(self.periods)
        return np.ascontiguousarray(series[day // WEEK, :, day].T)


def planning_inputs(tables: PlanningTables, *, estimator: Estimator = "rmse") -> PlanningInputs:
    """The inputs of all item-locations of checked tables. Raises `ConfigError` or `MethodError`.

    `estimator` is that of forecast errors. "mad", which planning systems use, is too low for skewed demand.
    """
    rows = tables["item_locations"].copy()
    supplier, start = suppliers(tables), forecast_start(tables)
    own = _forecasts(tables, rows, start)
    known = demand_intelligence(
        tables["forecasts"].sort_values("lag").drop_duplicates(["item", "location", "period"]),
        tables["demand"],
        items=tables["items"][["item", "category"]],
        estimator=estimator,
    )
    relative, source = _relative_errors(rows, known.series)
    rows["lead_time_planned"] = rows["lead_time"]
    rows["lead_time"], rows["lead_time_sd"], rows["lead_time_source"] = _lead_times(tables, rows, supplier)
    category = tables["items"].set_index("item")["category"]
    rows["category"] = rows["category"].where(rows["category"] != "", rows["item"].map(category))
    promised = _promises(tables, rows, own[0].any(axis=1))
    rows["service_level"], rows["service_kind"], rows["service_source"] = promised
    inputs = PlanningInputs(rows, supplier, own, relative, start)
    none = np.ones(len(rows))
    rows["demand_mean"] = inputs.passed_up(own, none)[0].mean(axis=1)
    rows["demand_sd"] = np.sqrt(inputs.passed_up(inputs.own_variance, none)[0].mean(axis=1))
    served = np.where(own[0].any(axis=1), source, "customers below")
    rows["demand_source"] = np.where(rows["demand_mean"] > 0, served, "no demand")
    return inputs


def _promises(tables: PlanningTables, rows: pd.DataFrame, served: NDArray[np.bool_]) -> tuple[Floats, Names, Names]:
    """[n] service level and kind, and where they are from: service_targets where there are customers (`served`).

    The level of an item-location is a target for that item at that location, unless the table has one itself. Where
    none fits the level stays empty: not every method reads it.
    """
    level, kind = np.array(rows["service_level"], dtype=np.float64), np.array(rows["service_kind"], dtype=object)
    source = np.where(np.isnan(level), "", "item_locations").astype(object)
    targets: list[dict[str, Any]] = tables["service_targets"].to_dict("records")  # type: ignore[assignment]
    if not targets:
        return level, kind, source
    named = {(row["item"], row["location"]) for row in targets if not row["customer"] + row["customer_class"]}
    customer = tables["locations"].set_index("location")["customer"].to_dict()
    group = tables["items"].set_index("item")["customer_class"].to_dict()
    general = any(not any(row[name] for name in FIELDS) for row in targets)
    if not general:
        targets.append({"service_level": NO_TARGET})
    at = np.flatnonzero(served)
    wanted: list[dict[str, Any]] = rows.iloc[at].to_dict("records")  # type: ignore[assignment]
    for row in wanted:
        row |= {"customer": customer[row["location"]], "customer_class": group[row["item"]]}
        if not np.isnan(row["service_level"]) and (row["item"], row["location"]) not in named:
            own = {key: row[key] for key in ("item", "location", "service_level", "service_kind")}
            targets.append({**own, "source": "item_locations"})
    for j, found in zip(at.tolist(), resolve_targets(targets, wanted), strict=True):
        if general or found.source != GENERAL:
            level[j], kind[j], source[j] = found.service_level, found.service_kind, found.source
    return level, kind, source


def depths(supplier: Ints) -> Ints:
    """[n] locations between each one and outside."""
    depth, above = np.zeros(len(supplier), dtype=np.int64), supplier
    while (above >= 0).any():
        depth += above >= 0
        above = np.where(above >= 0, supplier[above], -1)
    return depth


def _later(series: Floats, ahead: Floats) -> Floats:
    """[V, n, T] a series `ahead` [n] periods later; after the horizon its last week goes on."""
    periods = series.shape[2]
    week, whole = min(WEEK, periods), np.floor(ahead).astype(np.int64)

    def at(shift: Ints) -> Floats:
        day = np.arange(periods) + shift[:, None]
        day = np.where(day < periods, day, periods - week + (day - periods) % week)
        return np.asarray(np.take_along_axis(series, np.broadcast_to(day, (1, *day.shape)), axis=2))

    part = (ahead - whole)[:, None]
    return at(whole) if not part.any() else (1 - part) * at(whole) + part * at(whole + 1)


def _forecasts(tables: PlanningTables, rows: pd.DataFrame, start: pd.Timestamp) -> Floats:
    """[V, n, T] what each planning run knows: the latest forecast made by its day, else the first one made after it."""
    import pandas as pd

    planned = tables["forecasts"]
    planned = planned[planned["period"] >= start]
    index = pd.MultiIndex.from_frame(rows[["item", "location"]])
    at = index.get_indexer(pd.MultiIndex.from_frame(planned[["item", "location"]]))
    day = (planned["period"] - start).dt.days.to_numpy()
    made, quantity = day - planned["lag"].to_numpy(), planned["quantity"].to_numpy(dtype=np.float64)
    periods = int(day.max(initial=0)) + 1
    once = not planned.duplicated(["item", "location", "period"]).any()
    runs = [0] if once else range(0, periods, WEEK)
    own = np.zeros((len(runs), len(rows), periods))
    for view, run in zip(own, runs, strict=True):
        order = np.lexsort((np.where(made <= run, made, -made), made <= run))
        view[at[order], day[order]] = quantity[order]
    return own


def _relative_errors(rows: pd.DataFrame, series: pd.DataFrame) -> tuple[Floats, Names]:
    """[n] standard deviation over mean of a period's own demand, and where it is from."""
    found = rows[["item", "location"]].merge(series, on=["item", "location"], how="left")
    stated = rows["demand_error"].fillna(0.0).to_numpy(dtype=np.float64)
    relative = found["relative_error"].fillna(0.0).to_numpy(dtype=np.float64)
    source = found["sigma_source"].fillna("").to_numpy(dtype=object)
    return np.where(stated > 0, ERROR_KINDS["mad"] * stated, relative), np.where(stated > 0, "stated", source)


def _lead_times(tables: PlanningTables, rows: pd.DataFrame, supplier: Ints) -> tuple[Floats, Floats, Names]:
    """[n] mean and standard deviation of the lead time, and where they are from.

    A stated error stands, around the planned lead time. Otherwise recorded deliveries tell of both, and where there
    are none at all the lane does.
    """
    planned = rows["lead_time"].to_numpy(dtype=np.float64)
    stated = rows["lead_time_error"].to_numpy(dtype=np.float64)
    bias, sd, source = _recorded(tables["lead_times"], rows, supplier)
    lane = rows[["item", "location"]].merge(lanes_of(tables, rows), on=["item", "location"], how="left")
    lane_sd = lane["duration_sd"].fillna(0.0).to_numpy(dtype=np.float64)
    choices: list[tuple[NDArray[np.bool_], Floats, Floats, str]] = [
        (~np.isnan(stated), planned, ERROR_KINDS["mad"] * np.nan_to_num(stated) * planned, "stated"),
        (source != "", np.maximum(planned + bias, 0.0), sd, ""),
        (lane_sd > 0, planned, lane_sd, "lane"),
    ]
    told = [choice[0] for choice in choices]
    return (
        np.select(told, [choice[1] for choice in choices], planned),
        np.select(told, [choice[2] for choice in choices], 0.0),
        np.select(told, ["stated", source, "lane"], "none").astype(object),
    )


def _recorded(deliveries: pd.DataFrame, rows: pd.DataFrame, supplier: Ints) -> tuple[Floats, Floats, Names]:
    """[n] bias and standard deviation of the recorded deliveries, in periods, and whose they are."""
    if not len(deliveries):
        return np.zeros(len(rows)), np.zeros(len(rows)), np.full(len(rows), "", dtype=object)
    keys = rows[["item", "location"]]
    lane = keys.assign(lane=np.where(supplier >= 0, rows["location"].to_numpy()[supplier], OUTSIDE))
    named = deliveries.merge(lane, on=["item", "location"])
    named["source"] = named["source"].where(named["source"] != "", named["lane"])
    errors = lead_time_errors(named.drop(columns="lane"), estimator="sd", least=LEAST_DELIVERIES)
    best = errors.sort_values("donors", ascending=False).drop_duplicates(["item", "location"])
    found = keys.merge(best, on=["item", "location"], how="left")
    usual = found["mean_planned"].to_numpy(dtype=np.float64)
    scale = ratio(rows["lead_time"].to_numpy(dtype=np.float64), usual)
    bias, sd = (np.nan_to_num(found[name].to_numpy(dtype=np.float64) * scale) for name in ("bias", "sd"))
    return bias, sd, found["provenance"].fillna("").to_numpy(dtype=object)
