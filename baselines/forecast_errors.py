"""Forecast errors: how far planned demand was from realised demand, by item, location, period or lag.

The error of a period is ``e_t = y_t - f_t``, realised minus planned demand: positive where the forecast was
too low. Statistics of `n` errors, in units a period unless said otherwise:

* ``bias = mean(e)``, ``MAD = mean |e|``, ``RMSE = sqrt(mean e^2)``, ``sd`` with ``n - 1`` about the bias;
* ``WAPE = sum |e| / sum y``, ``MAPE = mean(|e| / y)`` over periods with demand;
* ``tracking signal = sum e / MAD`` (R. G. Brown, *Smoothing, Forecasting and Prediction*, 1963).

Normal errors without bias have ``sigma = sqrt(pi / 2) MAD = 1.2533 MAD``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import pi, sqrt
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from echelon.baselines.demand_tables import (
    PLANNED,
    PROMOTIONS,
    REALISED,
    SERIES,
    Floats,
    Integers,
    checked,
    codes,
    first_periods,
    group_sums,
    last_periods,
    looked_up,
    ratio,
)
from echelon.baselines.outliers import winsorised
from echelon.baselines.requirements import require_choice
from echelon.envs.errors import MethodError, nearest

if TYPE_CHECKING:
    import pandas as pd

Estimator = Literal["mad", "rmse", "sd"]
Missing = Literal["zero", "between", "unknown"]
Statistics = dict[str, Floats]
"""Statistics [G] by name, counts among them."""
ESTIMATORS = ("mad", "rmse", "sd")
MAD_TO_SIGMA = sqrt(pi / 2)
"""sigma over mean absolute deviation, of a normal law."""
COUNTS = ("count", "mape_count")
STATISTICS = ("mean_planned", "mean_realised", "bias", "mad", "rmse", "sd", "mape", "wape", "tracking_signal", "sigma")


def forecast_errors(
    planned: pd.DataFrame,
    realised: pd.DataFrame,
    *,
    by: Sequence[str] = SERIES,
    lag: int | None = None,
    estimator: Estimator = "mad",
    promotions: pd.DataFrame | None = None,
    missing: Missing = "zero",
    winsorise: float | None = None,
) -> pd.DataFrame:
    """Statistics of the forecast errors, a row for each group that is planned or realised at all.

    `by` may name item, location, period and lag. `lag` keeps the forecasts that were made so many periods
    ahead; without it all lags count, each as an error of its own. `winsorise` pulls errors in to so many
    robust standard deviations from their series' median, see `echelon.baselines.outliers`. `sigma` is
    ``1.2533 MAD``, RMSE or sd, by `estimator`. The other arguments are those of `error_rows`.

    No number is missing or infinite. A group without errors has ``count = 0`` and statistics of 0, but for
    `mean_planned` and `mean_realised`, which then are the means of all its rows. MAPE leaves out periods
    without demand (it averages `mape_count` periods) and is WAPE if there are no others; WAPE of a group
    without any demand is relative to what was planned, which makes it 1. One error has an sd of 0.
    """
    require_choice("estimator", estimator, ESTIMATORS)
    _require_columns(by, lag, planned)
    plan, demand, promoted = _read(planned, realised, promotions, lag)
    rows = _rows(plan, demand, promoted, missing)
    if winsorise is not None:
        rows = winsorised(rows, threshold=winsorise)
    known = {"mean_planned": plan} | ({} if "lag" in by else {"mean_realised": demand})
    (code, *known_codes), groups = codes(by, rows, *known.values())
    columns = [rows[name].to_numpy(np.float64) for name in ("planned", "realised", "error")]
    statistics = error_statistics(code, len(groups), *columns, estimator=estimator)
    for (name, table), group in zip(known.items(), known_codes, strict=True):
        mean = ratio(group_sums(group, len(groups), table["quantity"]), group_sums(group, len(groups)))
        statistics[name] = np.where(statistics["count"] > 0, statistics[name], mean)
    return groups.assign(**statistics).astype(dict.fromkeys(COUNTS, np.int64))


def error_rows(
    planned: pd.DataFrame,
    realised: pd.DataFrame,
    *,
    lag: int | None = None,
    promotions: pd.DataFrame | None = None,
    missing: Missing = "zero",
) -> pd.DataFrame:
    """Every forecast that met its demand: item, location, period (and lag), planned, realised, error.

    Both tables have item, location, period and quantity, `planned` also a lag if it likes. A period within
    a series that has no row in `realised` is one without demand, or left out if `missing` is "unknown". A series lasts
    to the last period of the whole table, or, if `missing` is "between", to its own last row.
    Periods that are listed in `promotions` (item, location, period) are left out. Raises `ConfigError`
    that lists every defect of the tables.
    """
    return _rows(*_read(planned, realised, promotions, lag), missing)


def error_statistics(
    code: Integers, groups: int, planned: Floats, realised: Floats, error: Floats, *, estimator: Estimator
) -> Statistics:
    """The statistics [G] of the errors [n] of each group, where row i belongs to group `code[i]`."""

    def total(values: Floats) -> Floats:
        return group_sums(code, groups, values)

    count = group_sums(code, groups)
    n = np.maximum(count, 1)
    some = (realised > 0).astype(np.float64)
    mape_count = total(some)
    absolute, bias = total(np.abs(error)), total(error) / n
    mad = absolute / n
    of_plan = ratio(absolute, total(planned))
    wape = np.where(total(realised) > 0, ratio(absolute, total(realised)), of_plan)
    mape = ratio(total(ratio(np.abs(error), realised * some)), mape_count)
    statistics = {
        "mean_planned": total(planned) / n,
        "mean_realised": total(realised) / n,
        "bias": bias,
        "mad": mad,
        "rmse": np.sqrt(total(error**2) / n),
        "sd": np.sqrt(total((error - bias[code]) ** 2) / np.maximum(n - 1, 1)),
        "mape": np.where(mape_count > 0, mape, wape),
        "wape": wape,
        "tracking_signal": ratio(bias * n, mad),
    }
    return {"count": count, "mape_count": mape_count, **statistics, "sigma": sigma_of(statistics, estimator)}


def sigma_of(statistics: Mapping[str, Floats] | pd.DataFrame, estimator: Estimator) -> Floats:
    """[G] the standard deviation of the errors by one of the estimators."""
    value = np.asarray(statistics[estimator], dtype=np.float64)
    return value * MAD_TO_SIGMA if estimator == "mad" else value


def _read(
    planned: pd.DataFrame, realised: pd.DataFrame, promotions: pd.DataFrame | None, lag: int | None
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame | None]:
    """The tables, checked, with the forecasts of the lag alone."""
    extra = [] if promotions is None else [(PROMOTIONS, promotions)]
    plan, demand, *promoted = checked((PLANNED, planned), (REALISED, realised), *extra)
    if lag is not None and "lag" in plan.columns:
        plan = plan[plan["lag"] == lag].reset_index(drop=True)
    return plan, demand, promoted[0] if promoted else None


def _rows(plan: pd.DataFrame, demand: pd.DataFrame, promoted: pd.DataFrame | None, missing: Missing) -> pd.DataFrame:
    """The planned rows whose demand is known, beside it, without those of a promotion."""
    require_choice("missing", missing, get_args(Missing))
    tables = (plan, demand) if promoted is None else (plan, demand, promoted)
    (of_plan, of_demand, *of_promoted), series = codes(SERIES, *tables)
    (at_plan, at_demand, *at_promoted), periods = codes(["period"], *tables)
    width = len(periods)
    found, units = looked_up(of_demand * width + at_demand, demand["quantity"], of_plan * width + at_plan)
    if missing != "unknown" and len(demand):
        first, last = (edge(of_demand, at_demand, len(series)) for edge in (first_periods, last_periods))
        end = last[of_plan] if missing == "between" else at_demand.max()
        found |= (first[of_plan] <= at_plan) & (at_plan <= end)
    if promoted is not None:
        found &= ~np.isin(of_plan * width + at_plan, of_promoted[0] * width + at_promoted[0])
    rows = plan.rename(columns={"quantity": "planned"}).assign(realised=units)
    return rows.assign(error=rows["realised"] - rows["planned"])[found].reset_index(drop=True)


def _require_columns(by: Sequence[str], lag: int | None, planned: pd.DataFrame) -> None:
    allowed = (*SERIES, "period", "lag")
    for name in by:
        if name not in allowed:
            raise MethodError(f"by must name columns of {', '.join(allowed)}, got {name!r}{nearest(name, allowed)}")
    if not by or len(set(by)) < len(by):
        raise MethodError(f"by must name at least one column, each once, got {tuple(by)!r}")
    if (lag is not None or "lag" in by) and "lag" not in planned.columns:
        raise MethodError("lag needs a column lag in the planned table")
