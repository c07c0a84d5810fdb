"""The standard deviation of forecast errors per series, and per period of the plan ahead.

Of 52 normal errors the RMSE has a relative standard error of ``1 / sqrt(2 * 52)`` = 9.8 %, and 1.2533 MAD one
of ``sqrt((pi/2 - 1) / 52)`` = 10.5 %: no estimator sees the sigma of a single series more sharply. Like items
can lend each other what they know, and a short history must borrow.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import isfinite, pi
from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray
from scipy.special import polygamma

from echelon.baselines.demand_tables import PLANNED, SERIES, Floats, Integers, checked, codes, ratio
from echelon.baselines.forecast_errors import ESTIMATORS, Estimator, sigma_of
from echelon.baselines.requirements import require_at_least_zero, require_choice
from echelon.baselines.shrinkage import VariancePrior, shrunk_variances, variance_prior
from echelon.envs.errors import ConfigError, nearest

if TYPE_CHECKING:
    import pandas as pd

Names = NDArray[np.object_]

MAD_DEGREES = 1 / (pi - 2)
"""Degrees of freedom per error of a squared MAD: as sharp as 0.876 squared errors."""
RESULTS = ("sigma", "relative_error", "weight", "standard_error", "sigma_source")


def demand_sigma(
    errors: pd.DataFrame,
    *,
    estimator: Estimator = "mad",
    shrink: float | Literal["estimate"] = "estimate",
    pool: Sequence[str] = (),
    default: float = 1.0,
) -> pd.DataFrame:
    """The table of `forecast_errors` with a sigma for every row, however short its history, and where it is from.

    Sigma is taken relative to the level, the mean of planned and realised demand, so that series of all
    sizes can be compared, and shrunk towards the pool of rows with the same values in the columns `pool`
    (all rows, if none are named). The series' own variance has the weight ``w = n / (n + n_0)``, that of its
    pool the rest, see `shrunk_variances`. How alike the series of the pool are tells ``n_0``, see
    `variance_prior`; a number given as `shrink` is ``n_0``, and 0 leaves every history alone. (With the sd,
    ``n - 1`` stands for ``n``.)

    Adds the columns sigma; relative_error (sigma over mean plan, 0 where nothing is planned); weight (w);
    standard_error (of sigma, relative); and sigma_source: "own history", "shrunk", "pooled" (w = 0),
    "all series" (the pool shows no error at all but others do), "default" (no series does: sigma is `default`
    times the level) or "no demand" (a level of 0, and a sigma of 0). No value is missing or infinite.
    """
    require_choice("estimator", estimator, ESTIMATORS)
    require_at_least_zero("default", default)
    if shrink != "estimate":
        require_at_least_zero("shrink", shrink)
    _require_statistics(errors, estimator, pool)
    level = _levels(errors)
    relative = ratio(sigma_of(errors, estimator), level)
    count = errors["count"].to_numpy(np.float64)
    degrees = np.where(level > 0, _degrees(count, estimator), 0.0)
    group = codes(pool, errors)[0][0] if pool else np.zeros(len(errors), dtype=np.int64)
    given = None if shrink == "estimate" else shrink * (MAD_DEGREES if estimator == "mad" else 1.0)
    value, weight, error, source = _shrunk(
        relative, _unbiased(relative**2, count, estimator), degrees, group, given, default
    )
    source[level == 0] = "no demand"
    sigma = value * level
    relative_error = ratio(sigma, errors["mean_planned"].to_numpy(np.float64))
    columns = (sigma, relative_error, weight, error, source)
    return errors.assign(**dict(zip(RESULTS, columns, strict=True)))


def demand_sd(sigmas: pd.DataFrame, planned: pd.DataFrame) -> pd.DataFrame:
    """The standard deviation of demand in every planned period: item, location, period, (lag), quantity, sd.

    ``sd_t = sigma f_t / mean forecast``: the error grows with the forecast ``f_t``. Where the history has no
    forecast above 0 to compare with, the sd is sigma in every period. `sigmas` is the table of
    `demand_sigma` by item and location, with a row for every planned series.
    """
    (plan,) = checked((PLANNED, planned))
    (of_plan, of_sigma), series = codes(SERIES, plan, sigmas)
    row = np.full(len(series), -1)
    row[of_sigma] = np.arange(len(sigmas))
    unknown = series[row == -1].itertuples(index=False, name=None)
    problems = [f"sigmas: must have a row for item {item}, location {location}" for item, location in unknown]
    if problems:
        raise ConfigError(problems)
    at = row[of_plan]
    relative, sigma = (sigmas[name].to_numpy(np.float64)[at] for name in ("relative_error", "sigma"))
    usual = sigmas["mean_planned"].to_numpy(np.float64)[at] > 0
    return plan.assign(sd=np.where(usual, relative * plan["quantity"].to_numpy(np.float64), sigma))


def _shrunk(
    relative: Floats, unbiased: Floats, degrees: Floats, group: Integers, given: float | None, default: float
) -> tuple[Floats, Floats, Floats, Names]:
    """Relative sigma, weight of the own history, relative standard error and source, of each row."""
    overall = variance_prior(unbiased, degrees)
    value, weight, error = np.zeros(len(relative)), np.zeros(len(relative)), np.ones(len(relative))
    source: Names = np.full(len(relative), "default", dtype=object)
    order = np.argsort(group, kind="stable")
    for rows in np.split(order, np.flatnonzero(np.diff(group[order])) + 1):
        d = degrees[rows]
        own = variance_prior(unbiased[rows], d)
        prior = own or overall or VariancePrior(default**2, 0.0)
        if given is not None:
            prior = VariancePrior(prior.variance, given)
        variance, weight[rows] = shrunk_variances(relative[rows] ** 2, d, prior)
        value[rows] = np.sqrt(variance)
        error[rows] = _standard_error(d + prior.degrees if isfinite(prior.degrees) else np.full(len(d), d.sum()))
        borrowed = "pooled" if own else "all series" if overall else "default"
        source[rows] = np.where(weight[rows] == 1, "own history", np.where(weight[rows] > 0, "shrunk", borrowed))
    return value, weight, error, source


def _levels(errors: pd.DataFrame) -> Floats:
    """The level of each row: the mean of planned and realised demand where both are known, else the one that is."""
    planned, realised = (errors[name].to_numpy(np.float64) for name in ("mean_planned", "mean_realised"))
    both = errors["count"].to_numpy() > 0
    return np.asarray(np.where(both, (planned + realised) / 2, np.where(planned > 0, planned, realised)))


def _degrees(count: Floats, estimator: Estimator) -> Floats:
    """The degrees of freedom of a squared estimate of sigma, one that is as sharp as a normal sample's variance."""
    return np.maximum(count - 1, 0) if estimator == "sd" else count * (MAD_DEGREES if estimator == "mad" else 1.0)


def _unbiased(squares: Floats, count: Floats, estimator: Estimator) -> Floats:
    """Squared estimates of sigma without bias: that of the MAD is too large by its own sampling variance."""
    return squares / (1 + (pi / 2 - 1) / np.maximum(count, 1)) if estimator == "mad" else squares


def _standard_error(degrees: Floats) -> Floats:
    """The standard deviation of log sigma given so many degrees of freedom, ``sqrt(trigamma(d/2)) / 2``, at most 1."""
    return np.asarray(np.minimum(np.sqrt(polygamma(1, np.maximum(degrees, 1e-9) / 2)) / 2, 1.0))


def _require_statistics(errors: pd.DataFrame, estimator: Estimator, pool: Sequence[str]) -> None:
    given = [str(name) for name in errors.columns]
    wanted = ("count", "mean_planned", "mean_realised", estimator, *pool)
    absent = [name for name in wanted if name not in given]
    if absent:
        raise ConfigError([f"errors, column {name}: is required{nearest(name, given)}" for name in absent])
