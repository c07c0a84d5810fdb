"""Outliers in a series: flagged by a robust rule, never deleted.

A value is an outlier if it lies more than `threshold` robust standard deviations from the median of its
series (F. R. Hampel, The influence curve and its role in robust estimation, *JASA* 69, 1974; B. Iglewicz
and D. C. Hoaglin, *How to Detect and Handle Outliers*, 1993). The robust standard deviation is 1.4826 times
the median absolute deviation from the median. Where that is 0, more than half of the values being the same,
it is 1.2533 times the mean absolute deviation from the median.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import pi, sqrt
from typing import TYPE_CHECKING

import numpy as np
from scipy.special import ndtri

from echelon.baselines.demand_tables import SERIES, Floats
from echelon.baselines.requirements import require_positive

if TYPE_CHECKING:
    import pandas as pd

MEDIAN_TO_SIGMA = 1 / float(ndtri(0.75))
"""sigma over median absolute deviation, of a normal law: 1.4826."""
MEAN_TO_SIGMA = sqrt(pi / 2)
LEAST_VALUES = 8
"""In a shorter series nothing is called an outlier."""


def flag_outliers(
    rows: pd.DataFrame, *, by: Sequence[str] = SERIES, column: str = "error", threshold: float = 4.0
) -> pd.DataFrame:
    """The rows with the columns outlier, lower and upper: the bounds beyond which a value is an outlier.

    Of normal values, 1 in 15,000 lies beyond the default of 4. A series of fewer than 8 values has bounds
    that hold all of it.
    """
    lower, upper = _bounds(rows, by, column, threshold)
    value = rows[column].to_numpy(np.float64)
    return rows.assign(outlier=(value < lower) | (value > upper), lower=lower, upper=upper)


def winsorised(
    rows: pd.DataFrame, *, by: Sequence[str] = SERIES, column: str = "error", threshold: float = 4.0
) -> pd.DataFrame:
    """The rows with each outlier moved to the bound that it lies beyond."""
    return rows.assign(**{column: np.clip(rows[column].to_numpy(np.float64), *_bounds(rows, by, column, threshold))})


def _bounds(rows: pd.DataFrame, by: Sequence[str], column: str, threshold: float) -> tuple[Floats, Floats]:
    require_positive("threshold", threshold)
    key = [rows[name] for name in by]
    value = rows[column].astype(np.float64)
    grouped = value.groupby(key, observed=True)
    median = grouped.transform("median")
    deviation = (value - median).abs().groupby(key, observed=True)
    scale = MEDIAN_TO_SIGMA * deviation.transform("median")
    scale = scale.where(scale > 0, MEAN_TO_SIGMA * deviation.transform("mean"))
    short = grouped.transform("size") < LEAST_VALUES
    low, high = (median - threshold * scale), (median + threshold * scale)
    low, high = low.where(~short, grouped.transform("min")), high.where(~short, grouped.transform("max"))
    return low.to_numpy(np.float64), high.to_numpy(np.float64)
