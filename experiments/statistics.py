"""Statistics of experiments beyond a mean on one problem; everything here depends on its input and the seed only.

An interval of any figure of a sample by the bootstrap; and, from modules of their own, figures across many instances
(`across_instances`) and the warm-up of a simulation (`warm_up`).
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, Literal, get_args

import numpy as np

from echelon.experiments.across_instances import Profile as Profile
from echelon.experiments.across_instances import interquartile_mean as interquartile_mean
from echelon.experiments.across_instances import iqm_interval as iqm_interval
from echelon.experiments.across_instances import performance_profile as performance_profile
from echelon.experiments.across_instances import probability_of_improvement as probability_of_improvement
from echelon.experiments.resampling import Floats, parts, tail_of
from echelon.experiments.resampling import Interval as Interval
from echelon.experiments.warm_up import WarmUp as WarmUp
from echelon.experiments.warm_up import warm_up_mser as warm_up_mser

Method = Literal["BCa", "percentile"]
Statistic = Callable[..., Any]
"""`statistic(values, axis=-1)`, such as `np.mean` or `np.median`."""

FEWEST_VALUES = 20
MOST_FOR_BCA = 10_000
"""The jackknife of the BCa interval takes the square of the number of values."""


def bootstrap_interval(
    values: Sequence[float] | Floats,
    *,
    statistic: Statistic = np.mean,
    method: Method = "BCa",
    confidence: float = 0.95,
    resamples: int = 9_999,
    seed: int = 0,
) -> Interval:
    """The interval of a statistic of independent values [n], by `scipy.stats.bootstrap`.

    `BCa` is the bias-corrected and accelerated interval of B. Efron, Better bootstrap confidence intervals, Journal of
    the American Statistical Association 82(397), 1987. Both are widened for the number of values as `resampling` tells.
    Values that do not vary give an interval without width. Fewer than 20 values are refused: the interval of a mean
    would hold it too seldom, and Student's (`evaluate.estimate`) does better.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1 or len(array) < FEWEST_VALUES or not np.isfinite(array).all():
        raise ValueError(
            f"a bootstrap interval needs at least {FEWEST_VALUES} finite values (got shape {array.shape});"
            " `estimate` gives the interval of a mean from fewer"
        )
    if method not in get_args(Method):
        raise ValueError(f"method must be 'BCa' or 'percentile' (got {method!r})")
    if method == "BCa" and len(array) > MOST_FOR_BCA:
        raise ValueError(
            f"method 'BCa' takes at most {MOST_FOR_BCA:,} values (got {len(array):,}): choose 'percentile'"
        )
    count = len(array)
    tail = tail_of(confidence, shrinkage=1 - 1 / count, freedom=count - 1, resamples=resamples)
    value = float(statistic(array, axis=-1))
    constant = bool((array == array[0]).all())
    low, high = (value, value) if constant else _bootstrap(array, statistic, method, tail, resamples, seed)
    if not np.isfinite([value, low, high]).all():
        raise ValueError(
            f"the {method} bootstrap finds no interval of a statistic of {value:g} (got {low:g} to {high:g}): it must"
            " be finite and, for 'BCa', change when one value is left out"
        )
    return Interval(value, low, high, confidence, f"{method} bootstrap")


def _bootstrap(
    array: Floats, statistic: Statistic, method: Method, tail: float, resamples: int, seed: int
) -> tuple[float, float]:
    from scipy.stats import bootstrap

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of degenerate values, for which it gives NaN
        found = bootstrap(
            (array,),
            statistic,
            n_resamples=resamples,
            batch=next(parts(resamples, len(array))),
            confidence_level=1 - 2 * tail,
            method=method,
            random_state=np.random.default_rng(seed),
        ).confidence_interval
    return float(found.low), float(found.high)
