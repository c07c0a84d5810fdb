"""What the alerts look at: each measure is a table of values, with the figures that its limit may be a multiple of.

A measure has item, location, period and value. Its limit is ``base + limit scale`` with the limit of the rule
(`planning_alerts`); base is 0 and scale 1 where the measure has no such column. A measure of a whole location or
category leaves item or location empty, and `note` goes into the message.
"""

from __future__ import annotations

from math import pi, sqrt
from typing import TYPE_CHECKING

import numpy as np

from echelon.baselines.forecast_errors import error_rows, forecast_errors
from echelon.baselines.outliers import flag_outliers
from echelon.baselines.planning_service import KEY, component_stock, customer_demand, planned_service
from echelon.baselines.planning_tables import PlanningTables

if TYPE_CHECKING:
    import pandas as pd

    from echelon.baselines.planning import Targets

EXTENDED = ("AS", "AT", "BS", "BT")
"""Methods that need a service level."""
RECENT_PERIODS = 56
"""Periods of forecast errors that bias and error are taken from."""
LAST_PERIODS = 7
"""Periods in which a spike is news."""
RECENT_ORDERS, FEWEST_ORDERS = 6, 3
"""Recorded deliveries that a drift is taken from: at most, and at least."""
FOREVER = 36_500.0
"""Days of supply that stand for a stock without demand."""


def service_reached(tables: PlanningTables, targets: Targets) -> pd.DataFrame:
    """The planned service of every location with customers, against its target."""
    rows = targets.parameters
    table = _at_start(rows, targets).assign(value=planned_service(targets), base=rows["service_level"])
    return table[(customer_demand(tables, rows) > 0) & rows["service_level"].notna()]


def stock_before_resupply(tables: PlanningTables, targets: Targets) -> pd.DataFrame:
    """Stock on hand plus receipts less forecast demand, in the periods that an order of today comes too late for.

    Receipts that are overdue count in the first period. Item-locations whose stock is not known are left out.
    """
    start = targets.series["period"].min()
    rows: pd.DataFrame = targets.series[[*KEY, "period", "mean_demand"]].merge(
        targets.parameters[[*KEY, "lead_time"]], on=KEY
    )
    rows = rows[(rows["period"] - start).dt.days < np.ceil(rows["lead_time"])].merge(tables["stock"], on=KEY)
    due = tables["receipts"].assign(period=tables["receipts"]["period"].clip(lower=start))
    rows = rows.merge(due.groupby([*KEY, "period"])["quantity"].sum().reset_index(), on=[*KEY, "period"], how="left")
    rows = rows.sort_values([*KEY, "period"])
    rows["net"] = rows["quantity"].fillna(0.0) - rows["mean_demand"]
    return rows.assign(value=rows["on_hand"] + rows.groupby(KEY)["net"].cumsum())


def stock_on_hand(tables: PlanningTables, targets: Targets) -> pd.DataFrame:
    """Stock on hand against the target position of today; the limit counts in days of demand."""
    today = targets.series[targets.series["period"] == targets.series["period"].min()]
    rows: pd.DataFrame = today[[*KEY, "period", "target_position"]].merge(
        targets.parameters[[*KEY, "demand_mean"]], on=KEY
    )
    rows = rows.merge(tables["stock"], on=KEY)
    return rows.rename(columns={"on_hand": "value", "target_position": "base", "demand_mean": "scale"})


def stored(tables: PlanningTables, targets: Targets) -> pd.DataFrame:
    """Planned stock of all items at each location, and of each item where it has a storage of its own."""
    import pandas as pd

    series = targets.series[[*KEY, "period"]].assign(value=component_stock(targets.series))
    whole = series.groupby(["location", "period"])["value"].sum().reset_index().assign(item="")
    whole = whole.merge(tables["locations"][["location", "storage"]].dropna(), on="location")
    own = series.merge(tables["item_locations"][[*KEY, "storage"]].dropna(), on=KEY)
    both = [table for table in (whole, own) if len(table)] or [own]
    return pd.concat(both, ignore_index=True).rename(columns={"storage": "scale"})


def days_until_sold(tables: PlanningTables, targets: Targets) -> pd.DataFrame:
    """Days of supply of the stock on hand, and of the most that is planned to be, against the shelf life."""
    rows = _at_start(targets.parameters, targets).join(
        targets.parameters[["demand_mean", "safety_stock", "cycle_stock"]]
    )
    rows = rows.merge(tables["item_locations"][[*KEY, "shelf_life"]].dropna(), on=KEY)
    rows = rows.merge(tables["stock"], on=KEY, how="left")
    most = np.maximum(rows["safety_stock"], 0.0) + 2 * rows["cycle_stock"]
    stock = np.maximum(most, rows["on_hand"].fillna(0.0)).to_numpy(dtype=np.float64)
    demand = rows["demand_mean"].to_numpy(dtype=np.float64)
    days = np.divide(stock, demand, out=np.where(stock > 0, FOREVER, 0.0), where=demand > 0)
    return rows.assign(value=np.minimum(days, FOREVER), scale=rows["shelf_life"])


def inputs_given(tables: PlanningTables, targets: Targets) -> pd.DataFrame:
    """How many figures of each kind an item-location has that planning needs."""
    import pandas as pd

    rows = tables["item_locations"]
    index = pd.MultiIndex.from_frame(rows[KEY])
    forecast, history = (_count(tables[name], index) for name in ("forecasts", "demand"))
    known = targets.parameters.set_index(KEY).reindex(index)
    demand = known["demand_mean"].fillna(0.0).to_numpy()
    counts = {
        # a promise to customers counts as well
        "service level": known["service_level"].notna().to_numpy() | ~rows["method"].isin(EXTENDED).to_numpy(),
        "forecast of its own or from below": demand > 0,
        "realised demand": (history > 0) | (forecast == 0),
    }
    table = _at_start(rows, targets)
    return pd.concat(
        [table.assign(value=np.asarray(n, dtype=np.float64), note=f"no {kind}") for kind, n in counts.items()]
    )


def deliveries_recorded(tables: PlanningTables, targets: Targets) -> pd.DataFrame:
    """How many actual lead times are known of each item-location whose lead time error is not stated."""
    import pandas as pd

    rows = tables["item_locations"]
    rows = rows[rows["lead_time_error"].isna()]
    recorded = _count(tables["lead_times"].dropna(subset="actual"), pd.MultiIndex.from_frame(rows[KEY]))
    return _at_start(rows, targets).assign(value=recorded)


def age_of_demand(tables: PlanningTables, targets: Targets) -> pd.DataFrame:
    """Periods from the last realised demand to the first planned period."""
    start = targets.series["period"].min()
    last = tables["demand"].groupby(KEY)["period"].max().reset_index()
    return last.assign(value=(start - last["period"]).dt.days.astype(float), period=start)


def history_behind(tables: PlanningTables, targets: Targets) -> pd.DataFrame:
    """Days by which each history ends before the last one, against the most days that it left out before.

    Histories may leave out days without demand, so that one that seldom has any ends early by itself.
    """
    days = tables["demand"].sort_values([*KEY, "period"])
    step = days.assign(step=days.groupby(KEY)["period"].diff().dt.days.fillna(1.0))
    last = step.groupby(KEY).agg(last=("period", "max"), step=("step", "max")).reset_index()
    behind = (last["last"].max() - last["last"]).dt.days.astype(float)
    return last.assign(value=behind, base=last["step"] - 1.0, period=targets.series["period"].min())


def errors_known(tables: PlanningTables, targets: Targets) -> pd.DataFrame:
    """How many forecast errors each deviation of demand rests on that is not stated."""
    errors = forecast_errors(_latest(tables["forecasts"]), tables["demand"], missing="between")
    rows = targets.parameters[[*KEY, "demand_source"]].merge(errors[errors["count"] > 0], on=KEY)
    rows = rows[~rows["demand_source"].isin(["stated", "no demand"])]
    return rows.assign(value=rows["count"].astype(float), period=targets.series["period"].min())


def lead_time_drift(tables: PlanningTables, targets: Targets) -> pd.DataFrame:
    """By which share of the plan the recent recorded deliveries missed it, in the mean."""
    recorded = tables["lead_times"].dropna(subset="actual").sort_values("ordered", kind="stable")
    recent = recorded.groupby(KEY).tail(RECENT_ORDERS).assign(orders=1)
    total: pd.DataFrame = recent.groupby(KEY)[["planned", "actual", "orders"]].sum().reset_index()
    total = total.loc[(total["orders"] >= FEWEST_ORDERS) & (total["planned"] > 0)]
    miss = (total["actual"] - total["planned"]) / total["planned"]
    note = np.where(miss > 0, "later", "earlier")
    return total.assign(value=miss.abs(), note=note, period=targets.series["period"].min())


def forecast_bias(tables: PlanningTables, targets: Targets) -> pd.DataFrame:
    """The tracking signal sum e / MAD of the recent forecasts.

    Of n normal errors without bias its deviation is sqrt(pi n / 2), so that the limit counts in such deviations.
    """
    errors = _recent_errors(tables)
    note = np.where(errors["tracking_signal"] > 0, "too low", "too high")
    scale = sqrt(pi / 2) * np.sqrt(errors["count"])
    period = targets.series["period"].min()
    return errors.assign(value=errors["tracking_signal"].abs(), scale=scale, note=note, period=period)


def forecast_error(tables: PlanningTables, targets: Targets) -> pd.DataFrame:
    """WAPE, sum |e| / sum y, of the recent forecasts."""
    errors = _recent_errors(tables)
    return errors.assign(value=errors["wape"], period=targets.series["period"].min())


def demand_spikes(tables: PlanningTables, _targets: Targets) -> pd.DataFrame:
    """Demand above forecast in the last periods, against what is usual; the limit counts in the same units."""
    errors: pd.DataFrame = flag_outliers(error_rows(_latest(tables["forecasts"]), tables["demand"], missing="between"))
    if errors.empty:
        return errors.assign(value=0.0)
    last = errors["period"].max() - _days(LAST_PERIODS)
    recent: pd.DataFrame = errors[errors["period"] > last]
    return recent.rename(columns={"error": "value", "upper": "base"})


def overdue_receipts(tables: PlanningTables, targets: Targets) -> pd.DataFrame:
    """Periods by which the first receipt that is still expected is late."""
    start = targets.series["period"].min()
    first = tables["receipts"].groupby(KEY)["period"].min().reset_index()
    return first.assign(value=(start - first["period"]).dt.days.astype(float), period=start)


def clamp_rate(_tables: PlanningTables, targets: Targets) -> pd.DataFrame:
    """The share of the safety stocks of each category that its band moved."""
    rows = targets.parameters
    if "clamp_rate" not in rows:
        return rows.iloc[:0].assign(value=0.0, period=targets.series["period"].min())
    rate = rows.groupby("category")["clamp_rate"].mean().reset_index()
    rate = rate.rename(columns={"clamp_rate": "value", "category": "note"})
    return rate.assign(item="", location="", period=targets.series["period"].min())


def without_band(_tables: PlanningTables, targets: Targets) -> pd.DataFrame:
    """How many item-locations of each category have no band, where bands are asked for."""
    rows = targets.parameters
    rows = rows[rows["clamp_rate"].isna()] if "clamp_rate" in rows else rows.iloc[:0]
    count = rows.groupby("category").size().astype(float).reset_index(name="value")
    period = targets.series["period"].min()
    return count.rename(columns={"category": "note"}).assign(item="", location="", period=period)


def _at_start(rows: pd.DataFrame, targets: Targets) -> pd.DataFrame:
    return rows[KEY].assign(period=targets.series["period"].min())


def _count(table: pd.DataFrame, index: pd.MultiIndex) -> np.ndarray:
    """How many rows of the table each item-location has."""
    return np.asarray(table.groupby(KEY).size().reindex(index).fillna(0.0), dtype=np.float64)


def _latest(forecasts: pd.DataFrame) -> pd.DataFrame:
    """The last forecast of each period."""
    return forecasts.sort_values("lag", kind="stable").drop_duplicates([*KEY, "period"])


def _recent_errors(tables: PlanningTables) -> pd.DataFrame:
    """Error statistics of each item-location over the last periods that are realised."""
    demand, forecasts = tables["demand"], _latest(tables["forecasts"])
    recent = forecasts[forecasts["period"] > demand["period"].max() - _days(RECENT_PERIODS)]
    errors = forecast_errors(recent, demand, missing="between")
    return errors[errors["count"] > 0]


def _days(count: int) -> pd.Timedelta:
    import pandas as pd

    return pd.Timedelta(days=count)
