"""The four places at which a company changes how its safety stock is planned: functions of its table."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike

from echelon.baselines.safety_stock import assp
from echelon.baselines.safety_stock_columns import Floats
from echelon.baselines.safety_stock_errors import ERROR_KINDS
from echelon.envs.errors import MethodError

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class Profile:
    """Corrections, each a share of what it corrects (0.1: 10 % up, -0.1: 10 % down); numbers or one per row.

    Errors are relative, so that a corrected forecast or lead time takes its standard deviation with it.
    """

    forecast: ArrayLike = 0.0
    forecast_error: ArrayLike = 0.0
    lead_time: ArrayLike = 0.0
    lead_time_error: ArrayLike = 0.0

    def __post_init__(self) -> None:
        for key, value in vars(self).items():
            shares = np.asarray(value, dtype=np.float64)
            if not (np.isfinite(shares) & (shares >= -1)).all():
                raise MethodError(f"{key} of a profile must be finite and at least -1, got {shares.tolist()}")


def no_correction(_table: pd.DataFrame) -> Profile:
    """The profile that corrects nothing."""
    return Profile()


def stated_forecast_error(table: pd.DataFrame) -> Floats:
    """The standard deviation of a period's demand: ``c demand_error demand_mean``, or `demand_sd` of the history.

    A `demand_error` above 0, a mean deviation as a share of the forecast, overrides the history. NaN where a row has
    neither.
    """
    stated = numbers(table, "demand_error")
    sd = ERROR_KINDS["mad"] * stated * numbers(table, "demand_mean")
    return np.where(stated > 0, sd, numbers(table, "demand_sd"))


def stated_lead_time(table: pd.DataFrame) -> tuple[Floats, Floats]:
    """Mean and standard deviation of the lead time: ``c lead_time_error lead_time``, or `lead_time_sd`, or 0."""
    mean, stated = numbers(table, "lead_time"), numbers(table, "lead_time_error")
    history = np.nan_to_num(numbers(table, "lead_time_sd"), nan=0.0)
    return mean, np.where(stated > 0, ERROR_KINDS["mad"] * stated * mean, history)


def textbook_formula(method: str, fields: Mapping[str, Any]) -> Floats:
    """`assp` with its defaults."""
    return assp(method, **fields)


@dataclass(frozen=True)
class SafetyStockRules:
    """Four functions; replacing one changes nothing but what it returns.

    `forecast_error`: the standard deviation of a period's demand [rows]; `lead_time`: mean and standard deviation of
    the lead time [rows], both before the corrections of `profile`; `formula`: the safety stock of an extended
    method from the corrected fields, as `assp` names them.
    """

    formula: Callable[[str, Mapping[str, Any]], Floats] = textbook_formula
    profile: Callable[[pd.DataFrame], Profile] = no_correction
    forecast_error: Callable[[pd.DataFrame], Floats] = stated_forecast_error
    lead_time: Callable[[pd.DataFrame], tuple[Floats, Floats]] = stated_lead_time


def numbers(table: pd.DataFrame, key: str) -> Floats:
    """A column as numbers, NaN where it is empty or missing."""
    import pandas as pd

    if key not in table:
        return np.full(len(table), np.nan)
    return pd.to_numeric(table[key]).to_numpy(dtype=np.float64, na_value=np.nan)
