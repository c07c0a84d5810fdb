"""Classes of demand: how regular it is, how much it is worth, how much it varies.

* Regularity: the average interval between periods with demand (ADI) and the squared coefficient of variation
  of the sizes of demand in these periods (CV^2). J. D. Croston, *Operational Research Quarterly* 23, 1972;
  A. A. Syntetos, J. E. Boylan and J. D. Croston, On the categorization of demand patterns, *Journal of the
  Operational Research Society* 56, 2005, whose cut-off values 1.32 and 0.49 are the defaults.
* ABC: the share of the value of all demand; XYZ: the coefficient of variation of demand per period.

All boundaries are inclusive: a value at a cut-off falls in the steadier, or the more valuable, class.
"""

from __future__ import annotations

from math import inf
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.demand_tables import (
    ITEMS,
    REALISED,
    SERIES,
    Floats,
    Integers,
    checked,
    codes,
    first_periods,
    group_sums,
    ratio,
)
from echelon.baselines.requirements import require_at_least_zero
from echelon.envs.errors import ConfigError, MethodError

if TYPE_CHECKING:
    import pandas as pd

Names = NDArray[np.str_]

ROUNDING = 1e-9
"""Shares that differ by less are the same."""


def classify(
    realised: pd.DataFrame,
    *,
    items: pd.DataFrame | None = None,
    adi_cut: float = 1.32,
    cv2_cut: float = 0.49,
    abc_shares: tuple[float, float] = (0.80, 0.95),
    xyz_cuts: tuple[float, float] = (0.5, 1.0),
) -> pd.DataFrame:
    """The classes of each series, a row for each item and location.

    Columns: `periods`, from the first row of the series to the last period of the table, those without a row
    being without demand; `demand_periods`, those with demand; `idle_periods` since the last of them;
    `mean` per period; `adi` (periods over demand periods, or periods if there is no demand); `cv2` (0 for one
    demand); `cv`; `value` (units times the `unit_value` of the item in `items`, or 1); and the classes
    `pattern` ("smooth", "erratic", "intermittent", "lumpy" or "no demand"), `abc` and `xyz`. Variances have
    ``n - 1``. A series is A if those before it, by falling value and then by name, make up less than the
    first share of the total, so that the most valuable one always is; without any value all are C. A mean of
    0 is Z.
    """
    _require_cuts(adi_cut, cv2_cut, abc_shares, xyz_cuts)
    extra = [] if items is None else [(ITEMS, items)]
    demand, *prices = checked((REALISED, realised), *extra)
    (code,), series = codes(SERIES, demand)
    table = series.assign(**_measures(demand, code, len(series)))
    table = table.assign(value=table["mean"] * table["periods"] * _unit_values(series, prices[0] if prices else None))
    value, cv = table["value"].to_numpy(np.float64), table["cv"].to_numpy(np.float64)
    xyz = np.where(table["mean"] == 0, "Z", np.where(cv <= xyz_cuts[0], "X", np.where(cv <= xyz_cuts[1], "Y", "Z")))
    return table.assign(pattern=_pattern(table, adi_cut, cv2_cut), abc=_abc(value, abc_shares), xyz=xyz)


def _measures(demand: pd.DataFrame, code: Integers, groups: int) -> dict[str, Floats | Integers]:
    """Counts, means and variations [G] of each series, with the periods that have no row as zeros."""

    quantity = demand["quantity"].to_numpy(np.float64)
    (period,), periods = codes(["period"], demand)
    counted = len(periods) - first_periods(code, period, groups)
    some = quantity > 0
    n = np.bincount(code[some], minlength=groups)
    last = np.full(groups, -1)
    np.maximum.at(last, code[some], period[some])
    total = group_sums(code, groups, quantity)
    mean, size = total / counted, total / np.maximum(n, 1)
    spread = group_sums(code, groups, (quantity - mean[code]) ** 2) + (counted - group_sums(code, groups)) * mean**2
    of_size = group_sums(code[some], groups, (quantity - size[code])[some] ** 2)
    return {
        "periods": counted,
        "demand_periods": n,
        "idle_periods": np.where(n > 0, len(periods) - 1 - last, counted),
        "mean": mean,
        "adi": counted / np.maximum(n, 1),
        "cv2": ratio(of_size / np.maximum(n - 1, 1), size**2),
        "cv": ratio(np.sqrt(spread / np.maximum(counted - 1, 1)), mean),
    }


def _pattern(table: pd.DataFrame, adi_cut: float, cv2_cut: float) -> Names:
    often, steady = table["adi"] <= adi_cut, table["cv2"] <= cv2_cut
    pattern = np.where(often, np.where(steady, "smooth", "erratic"), np.where(steady, "intermittent", "lumpy"))
    return np.where(table["demand_periods"] == 0, "no demand", pattern)


def _abc(value: Floats, shares: tuple[float, float]) -> Names:
    order = np.argsort(-value, kind="stable")
    before = np.zeros(len(value))
    before[order] = np.cumsum(value[order]) - value[order]
    total = value.sum()
    share = before / total if total > 0 else np.ones(len(value))
    return np.where(share < shares[0] - ROUNDING, "A", np.where(share < shares[1] - ROUNDING, "B", "C"))


def _unit_values(series: pd.DataFrame, items: pd.DataFrame | None) -> Floats:
    """[G] the value of a unit of each series' item."""
    if items is None or "unit_value" not in items.columns:
        return np.ones(len(series))
    worth = dict(zip(items["item"], items["unit_value"].to_numpy(np.float64), strict=True))
    value = series["item"].map(worth).to_numpy(np.float64)
    absent = series["item"][np.isnan(value)].drop_duplicates()
    if len(absent):
        raise ConfigError([f"items: must have a unit_value for item {item}" for item in absent])
    return value


def _require_cuts(
    adi_cut: float, cv2_cut: float, abc_shares: tuple[float, float], xyz_cuts: tuple[float, float]
) -> None:
    if not 1 <= adi_cut < inf:
        raise MethodError(f"adi_cut must be a finite number of at least 1, got {adi_cut:g}")
    require_at_least_zero("cv2_cut", cv2_cut)
    if not 0 < abc_shares[0] < abc_shares[1] <= 1:
        raise MethodError(f"abc_shares must rise from above 0 to at most 1, got {abc_shares}")
    if not 0 <= xyz_cuts[0] < xyz_cuts[1] < inf:
        raise MethodError(f"xyz_cuts must be at least 0, finite and rise, got {xyz_cuts}")
