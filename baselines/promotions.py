"""Promotions: by what factor they raise demand, and which share of a history they make up.

Demand in a promoted period is a multiple ``u`` of demand in the others, with the same coefficient of
variation ``c``. Then ``u`` is estimated by the ratio of the means of ``n_p`` promoted and ``n_b`` other
periods, and ``Var[log u] = c^2 (1/n_p + 1/n_b)`` (delta method).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from echelon.baselines.demand_tables import (
    PROMOTIONS,
    REALISED,
    SERIES,
    Floats,
    Integers,
    checked,
    codes,
    first_periods,
    group_sums,
    looked_up,
    ratio,
)
from echelon.baselines.shrinkage import VariancePrior, random_effects, shrunk_variances, variance_prior
from echelon.envs.errors import MethodError

if TYPE_CHECKING:
    import pandas as pd

LEAST_VARIANCE = 1e-12
"""Of the logarithm of an uplift: demand that does not vary still weighs finitely."""


def promotion_uplift(
    realised: pd.DataFrame, promotions: pd.DataFrame, *, shrink: bool = True, confidence: float = 0.95
) -> pd.DataFrame:
    """The factor by which promotions raise demand, a row for each item and location that has realised demand.

    `promotions` lists promoted periods: item, location, period; those outside the history do not count.
    With `shrink`, ``log u`` is the mean of the series' own and of all series' (the common one), weighted by
    how sharply each is known; else the own stands wherever there is one. A series without promotions, or
    without demand in or out of them, has the common uplift; it is 1 if no series has one.

    Columns: periods, promoted_periods, promotion_share, baseline (mean of the other periods), uplift,
    uplift_lower and uplift_upper (an interval that holds the true factor with the `confidence`, for normal
    ``log u``; of the common uplift, one that holds that of a new series) and uplift_source ("own history",
    "shrunk", "pooled", or "none", which has no interval).
    """
    if not 0 < confidence < 1:
        raise MethodError(f"confidence must be above 0 and below 1, got {confidence:g}")
    demand, promoted = checked((REALISED, realised), (PROMOTIONS, promotions))
    table, logs, variance = _own_uplifts(demand, promoted)
    known = np.isfinite(logs)
    if not known.any():
        return table.assign(uplift=1.0, uplift_lower=1.0, uplift_upper=1.0, uplift_source="none")
    location, tau2 = random_effects(logs[known], variance[known])
    of_location = 1 / np.sum(1 / (variance[known] + tau2))
    weight = np.where(known, tau2 / (tau2 + variance), 0.0)
    if not shrink or known.sum() == 1:
        weight = known.astype(np.float64)
    centre = weight * np.where(known, logs, 0.0) + (1 - weight) * location
    within = np.where(weight == 1, variance, np.where(known, weight * variance, tau2))
    half = float(ndtri((1 + confidence) / 2)) * np.sqrt(within + (1 - weight) ** 2 * of_location)
    source = np.where(weight == 1, "own history", np.where(weight > 0, "shrunk", "pooled"))
    interval = {"uplift_lower": np.exp(centre - half), "uplift_upper": np.exp(centre + half)}
    return table.assign(uplift=np.exp(centre), **interval, uplift_source=source)


def _own_uplifts(demand: pd.DataFrame, promoted: pd.DataFrame) -> tuple[pd.DataFrame, Floats, Floats]:
    """The counts and baseline of each series [G], the log of its own uplift (NaN without one), and its variance."""
    promoted = promoted[promoted["period"].isin(demand["period"])].merge(demand[list(SERIES)].drop_duplicates())
    (code, promo), series = codes(SERIES, demand, promoted)
    (period, promo_period), periods = codes(["period"], demand, promoted)
    groups, width = len(series), len(periods)
    first = first_periods(code, period, groups)
    in_history = promo_period >= first[promo]
    key, promo_key = code * width + period, (promo * width + promo_period)[in_history]
    on = _sample(promo[in_history], looked_up(key, demand["quantity"], promo_key)[1], groups)
    rest = ~np.isin(key, promo_key)
    off = _sample(code[rest], demand["quantity"].to_numpy(np.float64)[rest], groups, width - first - on.count)
    seen = (on.mean > 0) & (off.mean > 0)
    logs = np.log(np.where(seen, on.mean, 1.0)) - np.log(np.where(seen, off.mean, 1.0))
    squares, degrees = on.squares + off.squares, np.where(seen, on.count + off.count - 2, 0.0)
    variation = _variations(ratio(squares, degrees), degrees)
    variance = variation * (1 / np.maximum(on.count, 1) + 1 / np.maximum(off.count, 1))
    counts = {"periods": width - first, "promoted_periods": on.count.astype(np.int64)}
    share = {"promotion_share": on.count / (width - first), "baseline": off.mean}
    return series.assign(**counts, **share), np.where(seen, logs, np.nan), np.maximum(variance, LEAST_VARIANCE)


@dataclass(frozen=True)
class _Sample:
    """Periods of each series [G]: how many, their mean, and their squared deviations relative to it."""

    count: Floats
    mean: Floats
    squares: Floats


def _sample(code: Integers, quantity: Floats, groups: int, count: Floats | None = None) -> _Sample:
    """The sample of each series, in which the periods beyond those given, up to `count` [G], have no demand."""
    given = group_sums(code, groups)
    n = given if count is None else count
    mean = ratio(group_sums(code, groups, quantity), n)
    relative = ratio(quantity, mean[code])
    squares = group_sums(code, groups, (relative - 1) ** 2) + (n - given)
    return _Sample(n, mean, np.where(mean > 0, squares, 0.0))


def _variations(squares: Floats, degrees: Floats) -> Floats:
    """Squared coefficients of variation, those of short histories drawn to the others; 1 if there are none."""
    prior = variance_prior(squares, degrees) or VariancePrior(0.0 if degrees.any() else 1.0, 0.0)
    return shrunk_variances(squares, degrees, prior)[0]
