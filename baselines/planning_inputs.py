"""What every planning method starts from: one row an item-location, with its demand, lead time and their errors.

Demand is forecast where there are customers. A location asks its supplier today for what is needed when the order
arrives, so that requirements pass up the lanes earlier by the time that an order must cover, and add up. The errors
of the customers' forecasts, of the latest one of each period, are taken to be independent: their variances add up
likewise. What the tables state wins over what their history tells, and every figure says where it is from.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.demand_intelligence import demand_intelligence
from echelon.baselines.demand_tables import ratio
from echelon.baselines.forecast_errors import Estimator
from echelon.baselines.lead_time_errors import lead_time_errors
from echelon.baselines.planning_network import forecast_start, lanes_of, suppliers
from echelon.baselines.planning_promises import categories_of, promises
from echelon.baselines.planning_tables import PlanningTables
from echelon.baselines.safety_stock_errors import ERROR_KINDS
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

    def only(self, item: str) -> PlanningInputs:
        """The rows of one item, with what the histories of the others have told of them."""
        here = np.flatnonzero((self.rows["item"] == item).to_numpy())
        place = np.full(len(self.rows) + 1, -1)  # the last one for outside
        place[here] = np.arange(len(here))
        return PlanningInputs(
            self.rows.iloc[here].reset_index(drop=True),
            place[self.supplier[here]],
            self.own[:, here],
            self.relative_error[here],
            self.start,
        )

    def passed_up(self, own: Floats, cover: Floats) -> Floats:
        """[V, n, T] what passes through each location if the customers there account for `own`.

        An order of period t, which must cover the `cover` [n] periods t, ..., t + cover - 1, asks for what the last of
        them needs: the others have been asked for before.
        """
        total = own.copy()
        for rows in self.tiers:
            above, asked = self.supplier[rows], later(total[:, rows], cover[rows] - 1.0)
            for view, units in zip(total, asked, strict=True):
                np.add.at(view, above, units)
        return total

    def window(self, series: Floats, cover: Floats) -> Floats:
        """[n, T] the sum of a series [V, n, T] over `cover` [n] periods from each one on, as known on its day."""
        total = np.zeros_like(series)
        for k in range(int(np.ceil(cover.max(initial=0.0)))):
            total += np.clip(cover - k, 0.0, 1.0)[:, None] * later(series, np.full(len(cover), float(k)))
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
        missing="between",
    )
    relative, source = _relative_errors(rows, known.series)
    rows["lead_time_planned"] = rows["lead_time"]
    rows["lead_time"], rows["lead_time_sd"], rows["lead_time_source"] = _lead_times(tables, rows, supplier)
    rows["category"] = categories_of(tables, rows)
    promised = promises(tables, rows, own[0].any(axis=1))
    rows["service_level"], rows["service_kind"], rows["service_source"] = promised
    inputs = PlanningInputs(rows, supplier, own, relative, start)
    none = np.ones(len(rows))
    rows["demand_mean"] = inputs.passed_up(own, none)[0].mean(axis=1)
    rows["demand_sd"] = np.sqrt(inputs.passed_up(inputs.own_variance, none)[0].mean(axis=1))
    served = np.where(own[0].any(axis=1), source, "customers below")
    rows["demand_source"] = np.where(rows["demand_mean"] > 0, served, "no demand")
    return inputs


def depths(supplier: Ints) -> Ints:
    """[n] locations between each one and outside."""
    depth, above = np.zeros(len(supplier), dtype=np.int64), supplier
    while (above >= 0).any():
        depth += above >= 0
        above = np.where(above >= 0, supplier[above], -1)
    return depth


def later(series: Floats, ahead: Floats) -> Floats:
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
        (lane_sd > 0, planned, lane_sd, "lanes"),
    ]
    told = [choice[0] for choice in choices]
    return (
        np.select(told, [choice[1] for choice in choices], planned),
        np.select(told, [choice[2] for choice in choices], 0.0),
        np.select(told, ["stated", source, "lanes"], "none").astype(object),
    )


def _recorded(deliveries: pd.DataFrame, rows: pd.DataFrame, supplier: Ints) -> tuple[Floats, Floats, Names]:
    """[n] bias and standard deviation of the recorded deliveries, in periods, and whose they are.

    Of several sources the one that supplies now tells, else one whose deliveries are many enough to stand alone, else
    the one with the most donors. Errors grow with the lead time, except from one of 0 or to one.
    """
    if not len(deliveries):
        return np.zeros(len(rows)), np.zeros(len(rows)), np.full(len(rows), "", dtype=object)
    keys = rows[["item", "location"]]
    lane = keys.assign(lane=np.where(supplier >= 0, rows["location"].to_numpy()[supplier], OUTSIDE))
    named = deliveries.merge(lane, on=["item", "location"])
    named["source"] = named["source"].where(named["source"] != "", named["lane"])
    errors = lead_time_errors(named.drop(columns="lane"), estimator="sd", least=LEAST_DELIVERIES)
    present = errors.merge(lane, on=["item", "location"])
    present = present.assign(now=present["source"] == present["lane"], own=present["provenance"] == "own")
    best = present.sort_values(["now", "own", "donors"], ascending=False, kind="stable")
    best = best.drop_duplicates(["item", "location"])
    found = keys.merge(best, on=["item", "location"], how="left")
    planned, usual = rows["lead_time"].to_numpy(dtype=np.float64), found["mean_planned"].to_numpy(dtype=np.float64)
    scale = np.where((planned > 0) & (usual > 0), ratio(planned, usual), 1.0)
    bias, sd = (np.nan_to_num(found[name].to_numpy(dtype=np.float64) * scale) for name in ("bias", "sd"))
    return bias, sd, found["provenance"].fillna("").to_numpy(dtype=object)
