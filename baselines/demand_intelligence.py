"""What a planner must know of demand and supply before planning stock: from tables to tables.

The parts are functions of their own, each in a module of its own: forecast errors, their sigma, outliers,
classes, promotions, lead times and eligibility. `demand_intelligence` calls them all. Forecasts are an
input: `echelon.baselines.backtest` makes them by any forecaster, for a history that has none.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from echelon.baselines.demand_classes import classify
from echelon.baselines.demand_sigma import demand_sd, demand_sigma
from echelon.baselines.demand_tables import ITEMS, SERIES, checked
from echelon.baselines.eligibility import EligibilityRules, eligibility
from echelon.baselines.forecast_errors import Estimator, Missing, error_rows, forecast_errors
from echelon.baselines.lead_time_errors import lead_time_errors
from echelon.baselines.outliers import flag_outliers
from echelon.baselines.promotions import promotion_uplift
from echelon.envs.errors import ConfigError

if TYPE_CHECKING:
    import pandas as pd

WHOLE = ("periods", "demand_periods", "idle_periods", "promoted_periods")
NO_DEMAND = {
    **dict.fromkeys(("periods", "demand_periods", "idle_periods", "mean", "adi", "cv2", "cv", "value"), 0),
    "pattern": "no demand",
    "abc": "C",
    "xyz": "Z",
}
"""The measures of a series that has no realised demand at all."""
NO_PROMOTION = {
    **dict.fromkeys(("promoted_periods", "promotion_share", "baseline"), 0),
    **dict.fromkeys(("uplift", "uplift_lower", "uplift_upper"), 1),
    "uplift_source": "none",
}


@dataclass(frozen=True)
class DemandIntelligence:
    """What is known of each series, and the rows that it rests on."""

    series: pd.DataFrame
    """A row for each item and location: category, the columns of `demand_sigma`, `classify`, `promotion_uplift`
    and `eligibility`."""
    periods: pd.DataFrame
    """A row for each planned period: item, location, period, (lag), quantity, and the sd of demand."""
    errors: pd.DataFrame
    """A row for each forecast that met its demand, promoted periods left out, with the flag `outlier`."""
    lead_times: pd.DataFrame | None
    """The table of `lead_time_errors`, None without lead times."""


def demand_intelligence(
    planned: pd.DataFrame,
    realised: pd.DataFrame,
    *,
    items: pd.DataFrame | None = None,
    promotions: pd.DataFrame | None = None,
    lead_times: pd.DataFrame | None = None,
    lag: int | None = None,
    estimator: Estimator = "mad",
    shrink: float | Literal["estimate"] = "estimate",
    missing: Missing = "zero",
    outlier_threshold: float = 4.0,
    winsorise: bool = False,
    rules: EligibilityRules | None = None,
) -> DemandIntelligence:
    """Everything about the demand of each series and the lead times that lead to it, with where it is from.

    `planned` and `realised` are the tables of `forecast_errors`, `promotions` lists promoted periods, which
    sigma leaves out, `lead_times` the deliveries (see `lead_time_errors`), and `items` has the item, its
    category, whose series lend each other what they know of sigma, and the value of a unit for the ABC
    classes. `winsorise` pulls the outliers in to the threshold, robust standard deviations from the median,
    before sigma is taken. No number in any table is missing or infinite. Raises `ConfigError` that lists
    every defect of a table, or `MethodError`.
    """
    errors = forecast_errors(
        planned,
        realised,
        lag=lag,
        estimator=estimator,
        promotions=promotions,
        missing=missing,
        winsorise=outlier_threshold if winsorise else None,
    )
    pool = ["category"] if items is not None and "category" in items.columns else []
    series = demand_sigma(_with_category(errors, items), estimator=estimator, shrink=shrink, pool=pool)
    for table, absent in (
        (classify(realised, items=items), NO_DEMAND),
        (promotion_uplift(realised, _promotions(realised, promotions)), NO_PROMOTION),
    ):
        new = [name for name in table.columns if name not in series.columns]
        series = series.merge(table[[*SERIES, *new]], on=list(SERIES), how="left").fillna(absent)
    rows = error_rows(planned, realised, lag=lag, promotions=promotions, missing=missing)
    return DemandIntelligence(
        eligibility(series.astype(dict.fromkeys(WHOLE, np.int64)), rules=rules),
        demand_sd(series, planned),
        flag_outliers(rows, threshold=outlier_threshold),
        None if lead_times is None else lead_time_errors(lead_times, estimator=estimator),
    )


def _with_category(errors: pd.DataFrame, items: pd.DataFrame | None) -> pd.DataFrame:
    """The errors with the category of each item, if the items have one."""
    if items is None:
        return errors
    (known,) = checked((ITEMS, items))
    absent = errors["item"][~errors["item"].isin(known["item"])].drop_duplicates()
    if len(absent):
        raise ConfigError([f"items: must have a row for item {item}" for item in absent])
    if "category" not in known.columns:
        return errors
    return errors.assign(category=errors["item"].map(known.set_index("item")["category"]))


def _promotions(realised: pd.DataFrame, promotions: pd.DataFrame | None) -> pd.DataFrame:
    return realised[[*SERIES, "period"]].iloc[:0] if promotions is None else promotions
