"""Safety stock of a table of item-locations: each row by its own method, clamped to its band, with a log of it all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from echelon.baselines.safety_stock import EXTENDED, METHODS, NEEDED, Model, law_of
from echelon.baselines.safety_stock_bands import Band, Clamped, clamp
from echelon.baselines.safety_stock_columns import FIELDS, Floats
from echelon.baselines.safety_stock_rules import SafetyStockRules, numbers, textbook_formula
from echelon.envs.errors import MethodError

if TYPE_CHECKING:
    import pandas as pd

Rows = np.ndarray
FROM_TABLE = {
    "review_period": "target_days",
    "order_quantity": "lot_size",
    "service_level": "service_level",
    "safety_stock": "safety_stock",
    "safety_days": "safety_days",
    "demand_mean": "demand_mean",
}
"""The columns of the table that fields of `assp` are read from."""
LOG = (
    *("demand_mean", "demand_sd", "lead_time", "lead_time_sd", "review_period", "order_quantity", "service_level"),
    *("exposure_mean", "exposure_sd", "exposure_sd_before", "span", "safety_factor", "planned_stock"),
)


@dataclass(frozen=True, eq=False)
class SafetyStockPlan:
    """The safety stock of each row, and how it came about.

    `log` has the index of the table and a line per row: `method`; `status`, "planned" or "kept"; every field as used,
    after all corrections; the exposure of the extended methods with its `safety_factor`; `planned_stock`;
    `planned_days` of supply; `rule`, the bound of the band that was broken, or empty; `safety_days` and
    `safety_stock` as planned in the end. An extended method's `planned_stock` is ``safety_factor * exposure_sd``.
    Cells that a method does not use are NaN; days of supply without demand are 0.
    """

    log: pd.DataFrame
    clamped: Clamped

    @property
    def safety_stock(self) -> pd.Series:
        """Units, one per row."""
        return self.log["safety_stock"]


def plan_safety_stock(
    table: pd.DataFrame,
    *,
    rules: SafetyStockRules | None = None,
    bands: Mapping[str, Band] | None = None,
) -> SafetyStockPlan:
    """The safety stock of every row of a table of item-locations.

    Columns: `method`; for the extended methods `service_level`, `demand_mean` (per period), `demand_error` or
    `demand_sd`, `lead_time` (periods), `lead_time_error` or `lead_time_sd`, `target_days` (the reorder cycle) and
    for BS `lot_size` (0 or empty: the demand of the target days); for the standard ones `safety_stock` and
    `safety_days`; `category` for `bands`; `external`, whether the row is planned elsewhere. Rows by MB and external
    rows keep their `safety_stock`: they are never replanned, and no band touches them. `rules` are the four hooks.

    Raises `MethodError` with a line for every defect.
    """
    import pandas as pd

    rules = rules or SafetyStockRules()
    if "method" not in table:
        raise MethodError("the table needs a column 'method'")
    fields = _fields(table, rules)
    methods = table["method"].to_numpy(dtype=object)
    kept = (methods == "MB") | _flags(table, "external")
    used = np.where(kept, "MB", methods)
    if defects := _defects(table, used, fields):
        raise MethodError("\n".join(defects))
    cells = {key: np.full(len(table), np.nan) for key in LOG}
    for method in dict.fromkeys(used):
        rows = np.flatnonzero(used == method)
        values = {key: column[rows] for key, column in fields.items()}
        for key, column in _planned(method, values, rules).items():
            cells[key][rows] = column
    log = pd.DataFrame({"method": methods, "status": np.where(kept, "kept", "planned"), **cells}, index=table.index)
    clamped = _in_bands(table, log, fields["demand_mean"], kept, bands or {})
    return SafetyStockPlan(log, clamped)


def _fields(table: pd.DataFrame, rules: SafetyStockRules) -> dict[str, Floats]:
    """Every field of `assp` as corrected numbers [rows], NaN where there is none."""
    fields = {key: numbers(table, column) for key, column in FROM_TABLE.items()}
    profile = rules.profile(table)
    sd = np.asarray(rules.forecast_error(table), dtype=np.float64)
    lead, lead_sd = (np.asarray(column, dtype=np.float64) for column in rules.lead_time(table))
    forecast, longer = 1 + np.asarray(profile.forecast), 1 + np.asarray(profile.lead_time)
    lot = fields["order_quantity"]
    fields["demand_mean"] = fields["demand_mean"] * forecast
    fields["order_quantity"] = np.where(lot > 0, lot, fields["demand_mean"] * fields["review_period"])
    return fields | {
        "demand_sd": sd * forecast * (1 + np.asarray(profile.forecast_error)),
        "lead_time": lead * longer,
        "lead_time_sd": lead_sd * longer * (1 + np.asarray(profile.lead_time_error)),
    }


def _flags(table: pd.DataFrame, key: str) -> Rows:
    if key not in table:
        return np.zeros(len(table), dtype=np.bool_)
    flags = table[key]
    return np.where(flags.notna(), flags.to_numpy(dtype=object), False).astype(np.bool_)


def _defects(table: pd.DataFrame, used: Rows, fields: Mapping[str, Floats]) -> list[str]:
    """A line for each cell that its row's method cannot use."""
    found = [
        f"row {row}: method must be one of {', '.join(METHODS)}, got {method!r}"
        for row, method in zip(table.index, used, strict=True)
        if method not in METHODS
    ]
    for method in (name for name in METHODS if name in used):
        rows = np.flatnonzero(used == method)
        for key in (*NEEDED[method], *(["lead_time_sd"] if method in EXTENDED else [])):
            values = fields[key][rows]
            # without demand, the lot of BS is 0 units, and no safety stock is needed
            idle = (values == 0) & (fields["demand_mean"][rows] == 0) & (key == "order_quantity")
            for k in np.flatnonzero(~FIELDS[key].kept_by(values) & ~idle):
                got = "nothing" if np.isnan(values[k]) else f"{values[k]:g}"
                found.append(f"row {table.index[rows[k]]}: {method} needs {key} {FIELDS[key].rule}, got {got}")
    return found


def _planned(method: str, fields: Mapping[str, Floats], rules: SafetyStockRules) -> dict[str, Floats]:
    """The cells of the log that a method fills, for its rows."""
    if method not in EXTENDED:
        given = {key: fields[key] for key in NEEDED[method]}
        return _given(given) | {"planned_stock": textbook_formula(method, given)}
    used = {key: fields[key] for key in (*NEEDED[method], "lead_time_sd")}
    if method == "BS":
        used["order_quantity"] = np.where(fields["demand_mean"] > 0, used["order_quantity"], 1.0)
    exposure, _ = Model(method, tuple(used), law_of("normal")).exposure(used)
    stock = np.asarray(rules.formula(method, used), dtype=np.float64)
    if stock.shape != exposure.sd.shape or not (np.isfinite(stock) & (stock >= 0)).all():
        raise MethodError(f"the formula for {method} must give a finite number of at least 0 for each row, got {stock}")
    before = {"exposure_sd_before": exposure.sd_before, "span": exposure.span} if method[0] == "B" else {}
    return (
        _given(used)
        | before
        | {
            "exposure_mean": exposure.mean,
            "exposure_sd": exposure.sd,
            "safety_factor": np.divide(stock, exposure.sd, out=np.zeros_like(stock), where=exposure.sd > 0),
            "planned_stock": stock,
        }
    )


def _given(fields: Mapping[str, Floats]) -> dict[str, Floats]:
    """The fields that the log has columns for."""
    return {key: column for key, column in fields.items() if key in LOG}


def _in_bands(
    table: pd.DataFrame, log: pd.DataFrame, demand_mean: Floats, kept: Rows, bands: Mapping[str, Band]
) -> Clamped:
    """Write days, clamps and the stock that results into the log."""
    stock = log["planned_stock"].to_numpy()
    demand = np.nan_to_num(demand_mean, nan=0.0)
    days = np.divide(stock, demand, out=np.zeros_like(stock), where=demand > 0)
    bound = ~kept & (demand > 0) & bool(bands) & ("category" in table)
    category = np.where(bound, table["category"].to_numpy(dtype=object) if "category" in table else "", "")
    clamped = clamp(days, category, bands=bands)
    rule = np.full(len(table), "", dtype=object)
    rule[clamped.audit["row"].to_numpy()] = clamped.audit["rule"].to_numpy()
    log["planned_days"], log["rule"], log["safety_days"] = days, rule, clamped.days
    log["safety_stock"] = np.where(rule != "", clamped.days * demand, stock)
    return clamped
