"""Service-level agreements: whether customers got what they were promised, window by window.

An agreement is a row of the table service_targets that names a customer, and is kept or broken in each window of
a fixed number of periods. Targets plan stock; agreements judge what was delivered, in reality or in simulation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from echelon.baselines.planning_tables import PlanningTables
from echelon.envs.errors import ConfigError, MethodError

if TYPE_CHECKING:
    import pandas as pd

NEEDED = ("item", "location", "period", "demand", "filled")
NEGLIGIBLE = 1e-9
"""The share of a demand that may be missing for rounding."""


def service_agreements(tables: PlanningTables, deliveries: pd.DataFrame, *, window: int) -> pd.DataFrame:
    """How each agreement was kept in each window.

    `deliveries` has item, location, period (a date), demand and filled, what of it was met at once, in units. Windows
    of `window` days follow one another from the first period on; the last may be shorter. A row an agreement and
    window: customer, item, location (empty: any), service_kind, service_level, first (day of the window), periods,
    demand, filled, service, kept, and missing, the units that beta service was short of its target (0 for alpha).

    Beta service is filled over demand. Alpha service is the share of the periods with an entry in which nothing was
    missing. Without demand both are 1. Raises `ConfigError` that lists what is wrong with the deliveries.
    """
    import pandas as pd

    if window < 1:
        raise MethodError(f"window must be at least 1 period, got {window}")
    _check(deliveries)
    customer = tables["locations"].set_index("location")["customer"]
    group = tables["items"].set_index("item")["customer_class"]
    rows = deliveries.assign(
        customer=deliveries["location"].map(customer).fillna(""),
        customer_class=deliveries["item"].map(group).fillna(""),
    )
    start = rows["period"].min()
    rows = rows.assign(first=start + pd.to_timedelta((rows["period"] - start).dt.days // window * window, unit="D"))
    agreed = tables["service_targets"]
    reports = [_kept(agreement, rows) for _, agreement in agreed[agreed["customer"] != ""].iterrows()]
    return pd.concat(reports, ignore_index=True) if reports else pd.DataFrame(columns=list(REPORT))


REPORT = (
    *("customer", "item", "location", "service_kind", "service_level"),
    *("first", "periods", "demand", "filled", "service", "kept", "missing"),
)


def _kept(agreement: pd.Series, rows: pd.DataFrame) -> pd.DataFrame:
    """The report of one agreement, over the deliveries that it is about."""
    for key in ("customer", "customer_class", "item", "location"):
        if agreement[key]:
            rows = rows[rows[key] == agreement[key]]
    days = rows.groupby(["first", "period"], as_index=False)[["demand", "filled"]].sum()
    short = rows["demand"] - rows["filled"] > NEGLIGIBLE * rows["demand"]
    days["served"] = ~short.groupby([rows["first"], rows["period"]]).any().to_numpy(dtype=bool)
    found = days.groupby("first", as_index=False).agg(
        periods=("period", "size"), demand=("demand", "sum"), filled=("filled", "sum"), served=("served", "mean")
    )
    demand, filled = (found[name].to_numpy(dtype=np.float64) for name in ("demand", "filled"))
    beta = np.divide(filled, demand, out=np.ones_like(demand), where=demand > 0)
    level, by_units = float(agreement["service_level"]), agreement["service_kind"] == "beta"
    service = beta if by_units else found["served"].to_numpy(dtype=np.float64)
    kept = service >= level - NEGLIGIBLE
    missing = np.where(kept | (not by_units), 0.0, level * demand - filled)
    named = {name: agreement[name] for name in REPORT[:5]}
    return found.assign(**named, service=service, kept=kept, missing=missing)[list(REPORT)]


def _check(deliveries: pd.DataFrame) -> None:
    """Raise `ConfigError` for columns that are missing and rows that cannot be."""
    absent = [f"deliveries: the column {name!r} is required" for name in NEEDED if name not in deliveries]
    if absent:
        raise ConfigError(absent)
    demand, filled = deliveries["demand"], deliveries["filled"]
    good = (filled >= 0) & (filled <= demand * (1 + NEGLIGIBLE)) & np.isfinite(demand) & deliveries["period"].notna()
    wrong = [
        f"deliveries:{row}: filled must be at least 0 and at most demand, which is finite"
        for row in deliveries.index[~good]
    ]
    if wrong:
        raise ConfigError(wrong)
