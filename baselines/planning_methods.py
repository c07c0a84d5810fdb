"""The planning methods for each location on its own: from the inputs of all item-locations to their safety stock.

`planning` says what the methods have in common, `planning_trees` has those for all locations of an item together.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from echelon.baselines.dynamic_stock import Coverage, CoverageProfile, coverage_levels
from echelon.baselines.planning_drivers import assp_parts
from echelon.baselines.planning_inputs import WEEK, PlanningInputs
from echelon.baselines.planning_required import require_method_fields
from echelon.baselines.planning_tables import PlanningTables
from echelon.baselines.safety_stock import EXTENDED, assp
from echelon.envs.errors import MethodError

if TYPE_CHECKING:
    import pandas as pd

    from echelon.baselines.safety_stock_bands import Band
    from echelon.baselines.safety_stock_rules import SafetyStockRules

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Planned:
    """What a method makes of n item-locations over T periods."""

    safety: Floats
    """[n, T] units"""
    cover: Floats
    """[n] periods that an order must cover, from its own on to the last one before the next order can arrive."""
    log: pd.DataFrame
    """item, location, period, safety_stock and all that this follows from, whenever it is planned."""
    extra: Mapping[str, ArrayLike] = field(default_factory=dict)
    """[n] columns for the parameters."""
    lot: Floats | float = 0.0
    """[n, T] units from the reorder position up to the target position."""
    review: Ints | int = 1
    """[n] periods from one chance to order to the next."""
    strict: bool = False
    """Whether nothing is ordered exactly at the reorder position."""
    drivers: Mapping[str, Floats] = field(default_factory=dict)
    """[n] the parts of the mean safety stock that sum to it (`planning_drivers`), where the method has any."""


def plan_assp(
    tables: PlanningTables,
    inputs: PlanningInputs,
    *,
    bands: Mapping[str, Band] | None = None,
    rules: SafetyStockRules | None = None,
    demand: str = "normal",
) -> Planned:
    """Each location on its own: the safety stock of a period follows the periods that its order must last for.

    They are taken as forecast by the planning run of the week. The log has a row for each period, as mean and variance
    depend on the weekday on which an order is placed. A promise to customers decides between AS and BS, or AT and BT,
    by its kind; elsewhere the method stands. `target_days` are rounded to whole periods, at least 1.
    `bands` are those of the consumer-goods case unless given, and categories that it does not know have none, nor a
    `clamp_rate`; an empty mapping clamps nothing. `demand` is the law of the demand that stock must last for: "normal",
    "gamma" or "negative_binomial"; `rules` have a formula of their own.
    AS and BS order a lot at a reorder point, or the demand of the target days, all others order every target days.
    """
    from echelon.baselines.safety_stock_bands import TABLE_1
    from echelon.baselines.safety_stock_rules import SafetyStockRules
    from echelon.baselines.safety_stock_table import plan_safety_stock

    def formula(method: str, fields: Mapping[str, Any]) -> Floats:
        return assp(method, **fields, demand=demand)

    require_method_fields(tables, inputs)
    rows = by_promise(inputs.rows)
    cycle = np.maximum(np.rint(rows["target_days"].to_numpy(dtype=np.float64)), 1.0)
    by_point = rows["method"].isin(["AS", "BS"]).to_numpy()
    cover = inputs.lead_time + np.where(by_point, 1.0, cycle)
    mean, variance = (
        inputs.window(inputs.passed_up(own, cover), cover) / cover[:, None] for own in (inputs.own, inputs.own_variance)
    )
    # the deviations of the inputs are resolved: stated errors would win over what is pooled from the customers below
    resolved = rows.drop(columns=["demand_error", "lead_time_error"])
    table = resolved.loc[np.repeat(rows.index, inputs.periods)].reset_index(drop=True)
    unknown = (bands is None) & (rows["category"] != "") & ~rows["category"].isin(TABLE_1)
    table["category"] = table["category"].where(~np.repeat(unknown.to_numpy(), inputs.periods), "")
    table["target_days"] = np.repeat(cycle, inputs.periods)
    table["demand_mean"], table["demand_sd"] = mean.ravel(), np.sqrt(variance).ravel()
    rules = rules or SafetyStockRules(formula)
    plan = plan_safety_stock(table, rules=rules, bands=TABLE_1 if bands is None else bands)
    demand_mean = table["demand_mean"] * (1 + np.asarray(rules.profile(table).forecast))
    safety = plan.safety_stock.to_numpy(dtype=np.float64).reshape(mean.shape)
    clamped = (plan.log["rule"].to_numpy() != "").reshape(mean.shape).mean(axis=1)
    given = rows["lot_size"].to_numpy(dtype=np.float64)[:, None]
    lot = np.where(given > 0, given, mean * cycle[:, None])
    log = plan.log.assign(demand_mean=demand_mean).rename(columns={"method": "stock_method"})
    parts = assp_parts(log, rules.formula, np.repeat(given[:, 0] > 0, inputs.periods))
    return Planned(
        safety,
        cover,
        side_by_side(log_rows(inputs, {}, runs=np.arange(inputs.periods)), log),
        {
            "clamp_rate": np.where(unknown, np.nan, clamped),
            "method": rows["method"],
            "service_kind": rows["service_kind"],
        },
        lot=np.where(by_point[:, None], lot, 0.0),
        review=np.where(by_point, 1, cycle).astype(np.int64),
        drivers={name: part.reshape(mean.shape).mean(axis=1) for name, part in parts.items()},
    )


def by_promise(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with method and service_kind of one kind: that of a promise in `service_targets`, or the method's."""
    methods, kinds = [], []
    for method, kind, source in rows[["method", "service_kind", "service_source"]].itertuples(index=False):
        extended = method in EXTENDED
        if extended and source not in ("", "item_locations"):
            method = ("A" if kind == "alpha" else "B") + method[1]
        methods.append(method)
        kinds.append(("alpha" if method[0] == "A" else "beta") if extended else kind)
    return rows.assign(method=methods, service_kind=kinds)


def plan_dynamic(
    _tables: PlanningTables,
    inputs: PlanningInputs,
    *,
    minimum: float = 1.0,
    target: float = 3.0,
    weeks: int = 2,
) -> Planned:
    """Minimum and target stock in days of the average daily requirement of the `weeks` ahead, anew every week.

    Below the minimum, once the forecast until an order can arrive is taken off, the target is ordered. No service level
    and no variance enter.
    """
    weeks = whole_weeks("weeks", weeks)
    cover = inputs.lead_time + 1.0
    horizon = np.full(len(cover), float(weeks * WEEK))
    daily = inputs.window(inputs.passed_up(inputs.own, cover), horizon)[:, inputs.runs] / horizon[:, None]
    levels = coverage_levels(daily, CoverageProfile((Coverage(minimum=minimum, target=target),)))
    log = log_rows(
        inputs,
        {
            "daily_requirement": daily,
            "minimum_days": minimum,
            "target_stock": levels.target,
            "safety_stock": levels.minimum,
        },
    )
    low, high = (until_next_run(level, inputs) for level in (levels.minimum, levels.target))
    return Planned(low, cover, log, lot=high - low, strict=True)


def whole_weeks(key: str, value: float) -> int:
    """The number of weeks. Raises `MethodError` unless it is whole and at least 1."""
    if not value >= 1 or value % 1 != 0:
        raise MethodError(f"{key} must be a whole number of at least 1, got {value:g}")
    return int(value)


def until_next_run(weekly: Floats, inputs: PlanningInputs) -> Floats:
    """[n, T] what each planning run sets [n, W], until the next one."""
    return np.repeat(weekly, WEEK, axis=1)[:, : inputs.periods]


def log_rows(inputs: PlanningInputs, columns: Mapping[str, Any], *, runs: Ints | None = None) -> pd.DataFrame:
    """A row an item-location and planning run, by default every week's, with columns [n, W]."""
    import pandas as pd

    of = inputs.runs if runs is None else runs
    keys = {name: np.repeat(inputs.rows[name].to_numpy(), len(of)) for name in ("item", "location")}
    shape = (len(inputs.rows), len(of))
    values = {name: np.broadcast_to(np.asarray(value), shape).ravel() for name, value in columns.items()}
    return pd.DataFrame({**keys, "period": np.tile(inputs.days[of], shape[0]), **values})


def side_by_side(left: pd.DataFrame, right: pd.DataFrame) -> pd.DataFrame:
    """Two tables of the same rows side by side."""
    return left.assign(**{str(name): right[name].to_numpy() for name in right.columns})
