"""Lead times: how far actual ones were from planned ones, and what stands in where none was ever recorded.

The error of a delivery is its actual minus its planned lead time. The statistics are those of forecast
errors (`echelon.baselines.forecast_errors`); in ASSP ``sd_L = c e_L L`` with ``e_L`` the relative error. A
table of deliveries has item, location and planned, and may have source and actual; a missing actual is one
that was not recorded. Each stand-in says which deliveries it was taken from, and how many these were.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.demand_tables import LEAD_TIMES, Floats, Integers, checked, codes, ratio
from echelon.baselines.forecast_errors import (
    COUNTS,
    ESTIMATORS,
    MAD_TO_SIGMA,
    STATISTICS,
    Estimator,
    Statistics,
    error_statistics,
)
from echelon.baselines.requirements import require_at_least_zero, require_choice
from echelon.envs.errors import MethodError, nearest
from echelon.envs.network import OUTSIDE

if TYPE_CHECKING:
    import pandas as pd

LEVELS: dict[str, tuple[str, ...]] = {
    "lane": ("source", "location"),
    "source": ("source",),
    "location": ("location",),
    "all": (),
}
"""Whose deliveries stand in, the nearest first."""
DEFAULT_ERROR = 0.45
"""sd over mean of lead times of which nothing is recorded: planners in a consumer-goods company assume 40 to 50 %."""
SCALED = ("mean_planned", "mean_realised", "bias", "mad", "rmse", "sd", "sigma")
"""Statistics that grow with the lead time."""


def impute_lead_times(table: pd.DataFrame) -> pd.DataFrame:
    """The deliveries with every actual lead time filled in, and the columns provenance and donors.

    A lead time that was not recorded becomes ``planned * sum(actual) / sum(planned)`` over the recorded
    deliveries of its lane (source and location), else of its source, else of its location, else of all;
    without any it is as planned ("planned"). `provenance` is "recorded" or the level, `donors` the number of
    deliveries behind it. Filled-in values tell of the mean alone: use `lead_time_errors` for the spread.
    """
    rows = _read(table)
    known = _recorded(rows)
    recorded = rows["actual"].notna().to_numpy()
    provenance = np.where(recorded, "recorded", "planned").astype(object)
    donors, actual = np.zeros(len(rows)), rows["actual"].fillna(rows["planned"]).to_numpy(np.float64)
    blank = ~recorded
    for level, columns in LEVELS.items():
        (of_known, of_row), groups = _codes(columns, known, rows)
        statistics = _statistics(known, of_known, groups, "mad")
        factor = ratio(statistics["mean_realised"], statistics["mean_planned"])
        filled = blank & (statistics["mean_planned"] > 0)[of_row]
        actual = np.where(filled, rows["planned"] * factor[of_row], actual)
        donors, provenance[filled] = np.where(filled, statistics["count"][of_row], donors), level
        blank &= ~filled
    return rows.assign(actual=actual, provenance=provenance, donors=donors).astype({"donors": np.int64})


def lead_time_errors(
    table: pd.DataFrame,
    *,
    by: Sequence[str] = ("item", "source", "location"),
    estimator: Estimator = "mad",
    least: int = 3,
    default_error: float = DEFAULT_ERROR,
) -> pd.DataFrame:
    """Statistics of the lead-time errors of each group of deliveries, and whose they are.

    A group with at least `least` recorded deliveries has its own ("own"). Another has the relative
    statistics of the nearest level that has as many: its lane, source or location where `by` tells it, or all
    deliveries, times its own planned lead time; else no bias and a sigma of `default_error` times its
    planned lead time ("default"). The columns are those of `forecast_errors`, where `count` counts the
    group's own recorded deliveries, then relative_error (sigma over mean planned lead time), provenance and
    donors. No number is missing or infinite. By source alone the table is a scorecard of the suppliers.
    """
    require_choice("estimator", estimator, ESTIMATORS)
    require_at_least_zero("default_error", default_error)
    if least < 1:
        raise MethodError(f"least must be at least 1, got {least}")
    _require_columns(by)
    rows = _read(table)
    known = _recorded(rows)
    (of_known, of_row), groups = codes(by, known, rows)
    result = _statistics(known, of_known, len(groups), estimator)
    blank = result["count"] < least
    planned = rows["planned"].groupby(of_row).mean().to_numpy(np.float64)
    provenance = np.where(blank, "default", "own").astype(object)
    donors = np.where(blank, 0.0, result["count"])
    _replace(result, blank, _assumed(planned, default_error))
    for level, columns in LEVELS.items():
        if set(columns) <= set(by):
            (of_known, of_group), size = _codes(columns, known, groups)
            like = _like(_statistics(known, of_known, size, estimator), of_group, planned)
            filled = blank & (like["count"] >= least) & (like["mean_planned"] > 0)
            _replace(result, filled, like)
            donors, provenance[filled] = np.where(filled, like["count"], donors), level
            blank &= ~filled
    relative = ratio(result["sigma"], result["mean_planned"])
    table = groups.assign(**result, relative_error=relative, provenance=provenance, donors=donors)
    return table.astype(dict.fromkeys((*COUNTS, "donors"), np.int64))


def imputation_sensitivity(errors: pd.DataFrame, *, relative_errors: Sequence[float] = (0.4, 0.5)) -> pd.DataFrame:
    """What sigma would be under other assumptions, for each row of `lead_time_errors` that is not its own.

    A row for each such group and each assumed sd over mean: the group, mean_planned, sigma as it stands,
    assumed_error and assumed_sigma.
    """
    for value in relative_errors:
        require_at_least_zero("relative_errors", value)
    imputed = errors[errors["provenance"] != "own"]
    last = list(errors.columns).index("count")
    kept = imputed[[*errors.columns[:last], "mean_planned", "sigma", "provenance"]]
    table = kept.merge(_column("assumed_error", relative_errors), how="cross")
    return table.assign(assumed_sigma=table["assumed_error"] * table["mean_planned"])


def _read(table: pd.DataFrame) -> pd.DataFrame:
    (rows,) = checked((LEAD_TIMES, table))
    if "source" not in rows.columns:
        rows = rows.assign(source=OUTSIDE)
    return rows if "actual" in rows.columns else rows.assign(actual=np.nan)


def _recorded(rows: pd.DataFrame) -> pd.DataFrame:
    return rows[rows["actual"].notna()].reset_index(drop=True)


def _codes(columns: Sequence[str], *tables: pd.DataFrame) -> tuple[list[Integers], int]:
    """The group of each row, per table, and the number of groups; without columns all rows are one group."""
    if not columns:
        return [np.zeros(len(table), dtype=np.int64) for table in tables], 1
    code, groups = codes(columns, *tables)
    return code, len(groups)


def _statistics(known: pd.DataFrame, code: Integers, groups: int, estimator: Estimator) -> Statistics:
    planned, actual = (known[name].to_numpy(np.float64) for name in ("planned", "actual"))
    return error_statistics(code, groups, planned, actual, actual - planned, estimator=estimator)


def _like(statistics: Statistics, group: Integers, planned: Floats) -> Statistics:
    """The statistics of the groups' donors, as they would be at the groups' own planned lead times."""
    scale = ratio(planned, statistics["mean_planned"][group])
    return {name: values[group] * (scale if name in SCALED else 1) for name, values in statistics.items()}


def _assumed(planned: Floats, default_error: float) -> Statistics:
    """The statistics of normal lead times whose sd is the default error times the planned one."""
    sigma = default_error * planned
    mad, relative = sigma / MAD_TO_SIGMA, ratio(sigma / MAD_TO_SIGMA, planned)
    zero = np.zeros(len(planned))
    values = (planned, planned, zero, mad, sigma, sigma, relative, relative, zero, sigma)
    return dict(zip(STATISTICS, values, strict=True))


def _replace(result: Statistics, rows: NDArray[np.bool_], other: Statistics) -> None:
    """Put the other's statistics in place of the result's own, in some rows; counts stay."""
    for name in STATISTICS:
        result[name] = np.where(rows, other[name], result[name])


def _column(name: str, values: Sequence[float]) -> pd.DataFrame:
    import pandas as pd

    return pd.DataFrame({name: list(values)})


def _require_columns(by: Sequence[str]) -> None:
    allowed = ("item", "source", "location")
    for name in by:
        if name not in allowed:
            raise MethodError(f"by must name columns of {', '.join(allowed)}, got {name!r}{nearest(name, allowed)}")
    if not by or len(set(by)) < len(by):
        raise MethodError(f"by must name at least one column, each once, got {tuple(by)!r}")
