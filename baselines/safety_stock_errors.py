"""From errors as companies state them, a share of the forecast or of the lead time, to standard deviations."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike
from scipy import special

from echelon.baselines.requirements import require_choice
from echelon.baselines.safety_stock_columns import FIELDS, Field, Floats, read_column

MAD_TO_SD = math.sqrt(math.pi / 2)
"""Standard deviation over mean absolute deviation of a normal error, 1.2533."""
ERROR_KINDS: Mapping[str, float] = {"mad": MAD_TO_SD, "rmse": 1.0}
"""Standard deviation of an error over its mean absolute deviation, or over its root mean square."""


def sigma_from_error(error: ArrayLike, mean: ArrayLike, *, kind: str = "mad") -> Floats:
    """The standard deviation ``c e m`` of a relative error e (0.4 for 40 %) of forecasts, or lead times, of mean m.

    c is sqrt(pi / 2) if e is a mean absolute deviation ("mad") of errors that are normal, and 1 if it is a root mean
    square ("rmse"), which counts a bias as spread.

    >>> round(float(sigma_from_error(0.4, 100)), 2), float(sigma_from_error(0.4, 100, kind="rmse"))
    (50.13, 40.0)
    """
    require_choice("kind", kind, tuple(ERROR_KINDS))
    shares = read_column("error", error, Field())
    means = read_column("mean", mean, Field())
    return np.asarray(ERROR_KINDS[kind] * shares * means, dtype=np.float64)[()]


def sd_per_period(sd: ArrayLike, periods: ArrayLike) -> Floats:
    """The standard deviation of one period from that of a bucket of so many independent ones: ``sd / sqrt(n)``."""
    spread = read_column("sd", sd, Field())
    lengths = read_column("periods", periods, Field(least_itself=False))
    return np.asarray(spread / np.sqrt(lengths), dtype=np.float64)[()]


def automatic_safety_stock(
    service_level: ArrayLike, *, lead_time: ArrayLike, mad: ArrayLike, forecast_period: ArrayLike = 1.0
) -> Floats:
    """The automatic safety stock of an ERP system: ``R sqrt(W) MAD`` for W >= 1, ``R W MAD`` below; 0 if negative.

    W is lead time over forecast period, both in the same unit, and MAD the mean absolute deviation of the demand
    of a forecast period. R is 1.25 z; the tables that circulate agree to 0.01 up to a service level of 0.99.

    >>> round(float(automatic_safety_stock(0.95, lead_time=4, mad=10)), 1)
    41.1
    """
    levels = read_column("service_level", service_level, FIELDS["service_level"])
    leads = read_column("lead_time", lead_time, FIELDS["lead_time"])
    lengths = read_column("forecast_period", forecast_period, Field(least_itself=False))
    w = np.asarray(leads / lengths)
    factor = 1.25 * np.maximum(special.ndtri(levels.astype(np.float64)), 0.0)
    return np.asarray(factor * np.minimum(w, np.sqrt(w)) * read_column("mad", mad, Field()))[()]
