"""Which series safety stock may be planned for without a planner, by which kind of method, and why not.

Statistics cannot carry every item: one without a history, without demand, or that lives from promotions is
left to a planner ("manual"), with every reason. Demand that comes seldom is routed to a method for sporadic
demand, such as a gamma or negative binomial law.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from math import inf
from typing import TYPE_CHECKING, Any

import numpy as np

from echelon.envs.errors import ConfigError, MethodError, nearest

if TYPE_CHECKING:
    import pandas as pd

Row = Mapping[str, Any]

SPORADIC = ("intermittent", "lumpy")
"""Patterns of demand that comes seldom, see `echelon.baselines.demand_classes`."""
COLUMNS = ("count", "periods", "demand_periods", "idle_periods", "mean", "pattern", "bias", "promotion_share")


@dataclass(frozen=True)
class EligibilityRules:
    """What a series needs for safety stock to be planned automatically; periods are those of the history."""

    least_periods: int = 12
    """The shortest history."""
    least_demand_periods: int = 2
    """Periods with demand."""
    least_errors: int = 1
    """Periods with a forecast."""
    most_idle_periods: int = 26
    """Since the last demand; an item that rests longer does not move any more."""
    most_promotion_share: float = 0.25
    """Of the periods; an item that is promoted more often has no demand of its own to learn from."""
    most_bias: float = 0.5
    """Of the forecast either way, relative to mean demand; safety stock is no cure for a wrong forecast."""

    def __post_init__(self) -> None:
        for rule in fields(self):
            value = getattr(self, rule.name)
            if not 0 <= value < inf:
                raise MethodError(f"{rule.name} must be a finite number of at least 0, got {value:g}")


def eligibility(series: pd.DataFrame, *, rules: EligibilityRules | None = None) -> pd.DataFrame:
    """The series with the columns eligible, route ("regular", "sporadic" or "manual") and reason.

    `series` has a row for each series with the measures of `classify` (periods, demand_periods, idle_periods,
    mean, pattern), the count and bias of `forecast_errors` and a promotion_share. `reason` lists every rule
    that a series breaks, with the figure, and for sporadic demand says that it is; it is empty for the others.
    """
    rules = rules or EligibilityRules()
    given = [str(name) for name in series.columns]
    absent = [name for name in COLUMNS if name not in given]
    if absent:
        raise ConfigError([f"series, column {name}: is required{nearest(name, given)}" for name in absent])
    rows = series[list(COLUMNS)].itertuples(index=False, name=None)
    broken = ["; ".join(_reasons(dict(zip(COLUMNS, row, strict=True)), rules)) for row in rows]
    sporadic = series["pattern"].isin(SPORADIC).to_numpy()
    manual = np.array([bool(reason) for reason in broken], dtype=np.bool_)
    route = np.where(manual, "manual", np.where(sporadic, "sporadic", "regular"))
    seldom = [f"{pattern} demand" if pattern in SPORADIC else "" for pattern in series["pattern"]]
    reason = np.array([why or rare for why, rare in zip(broken, seldom, strict=True)], dtype=object)
    return series.assign(eligible=~manual, route=route, reason=reason)


def _reasons(row: Row, rules: EligibilityRules) -> Iterator[str]:
    """Every rule that the series breaks."""
    if row["periods"] == 0:
        yield "no history"
        return
    if row["periods"] < rules.least_periods:
        yield f"history too short: {row['periods']:g} periods, {rules.least_periods} needed"
    if row["demand_periods"] == 0:
        yield "no demand in the history"
    elif row["demand_periods"] < rules.least_demand_periods:
        yield f"demand in too few periods: {row['demand_periods']:g}, {rules.least_demand_periods} needed"
    if row["demand_periods"] > 0 and row["idle_periods"] > rules.most_idle_periods:
        yield f"does not move: no demand for {row['idle_periods']:g} periods, {rules.most_idle_periods} allowed"
    if row["promotion_share"] > rules.most_promotion_share:
        yield f"promoted in {row['promotion_share']:.0%} of the periods, {rules.most_promotion_share:.0%} allowed"
    if row["count"] < rules.least_errors:
        yield f"forecast missing: {row['count']:g} periods have one, {rules.least_errors} needed"
    elif abs(row["bias"]) > rules.most_bias * row["mean"] > 0:
        yield f"forecast biased: {-row['bias'] / row['mean']:+.0%} of mean demand, {rules.most_bias:.0%} allowed"
