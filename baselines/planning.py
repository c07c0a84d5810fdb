"""Stock targets from a planner's tables, by any of the methods, and the policy that follows them.

- `assp`: each location on its own, by its own safety stock method, service level and lead time, with safety stock
  clamped to the band of its category (`safety_stock_table`); replanned every week, with the safety stock of each day;
- `dynamic`: minimum and target stock as days of the average daily requirement, without any variance (`dynamic_stock`);
- `multistage`: all locations of an item together, from the service of the customers alone (`stochastic_service`);
- `gsm`: all locations of an item together, from guaranteed service times (`guaranteed_service`).

An order of period t covers the periods t, ..., t + c - 1, c being lead time and review period. The **target
position** is the safety stock plus what is forecast for these periods, at a location that supplies others without
what those order in t itself, since that has been taken off the position when the location orders:

    TIP_t = sum_{k < c} own_{t+k} + sum_{1 <= k < c} passed_{t+k} + SS_t  (+ the lot, where one is ordered)

and the pre-build and merchandising stock of `stock_components`, where there is a capacity or a display: the pre-build
stock of period t + c - 1, when the order has arrived (`planning_prebuild`).

No figure of a period depends on what happens after the planning run before it, and safety stock that is set elsewhere
(method MB, or external) is never replanned.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from inspect import signature
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.demand_tables import ratio
from echelon.baselines.per_period import OrderUpToByPeriod
from echelon.baselines.planning_columns import hint
from echelon.baselines.planning_inputs import WEEK, PlanningInputs, planning_inputs
from echelon.baselines.planning_limits import within_limits
from echelon.baselines.planning_methods import Planned, plan_assp, plan_dynamic
from echelon.baselines.planning_prebuild import prebuild
from echelon.baselines.planning_required import kept_rows, require_kept_stock
from echelon.baselines.planning_tables import PlanningTables
from echelon.baselines.planning_trees import plan_gsm, plan_multistage
from echelon.envs.errors import MethodError, nearest
from echelon.envs.network import Network

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]

KEY = ("item", "location")
KNOWN = (
    *("category", "method", "service_level", "service_kind", "service_source"),
    *("demand_mean", "demand_sd", "demand_source"),
    *("lead_time_planned", "lead_time", "lead_time_sd", "lead_time_source"),
)
"""Parameters that are known before anything is planned, and where from."""
MEANS = (
    *("mean_demand", "safety_stock", "cycle_stock", "pipeline_stock", "prebuild_stock", "merchandising_stock"),
    "target_position",
)
"""Parameters that are means of the series."""

PLANNERS: Mapping[str, Callable[..., Planned]] = {
    "assp": plan_assp,
    "dynamic": plan_dynamic,
    "multistage": plan_multistage,
    "gsm": plan_gsm,
}
"""The planning methods by name."""


@dataclass(frozen=True, eq=False)
class Targets:
    """What a method plans. Quantities are units; a series has a row for each period, the log one for each plan made."""

    method: str
    parameters: pd.DataFrame
    """A row an item-location: how it is planned, demand and lead time with their deviations, the means of the series,
    by `assp` and `multistage` the parts of the safety stock by what drives it (`planning_drivers`), and what the
    method adds, such as the internal service level."""
    series: pd.DataFrame
    """A row an item-location and period: mean_demand, safety_stock, safety_days, cycle_stock, pipeline_stock,
    prebuild_stock, merchandising_stock, target_position, and reorder_position, at or below which an order is placed;
    empty in a period without orders."""
    log: pd.DataFrame
    """A row an item-location and planning run, by `assp` and day: every figure that its safety stock follows from."""


def plan_tables(
    tables: PlanningTables,
    method: str,
    *,
    item: str | None = None,
    budget: float | None = None,
    within_storage: bool = False,
    **options: Any,
) -> Targets:
    """The targets of all item-locations by a method of `PLANNERS`; its options go by name.

    With `item` those of this item alone, which are the same: what other items tell of its errors and its lead times
    counts. Where the investment is above the `budget` (money), or `within_storage` where planned stock does not fit,
    safety stock is cut (`planning_limits`). Raises `ConfigError` for an unknown item, `MethodError` for an unknown
    method or option, and where the tables do not fit the method.
    """
    if method not in PLANNERS:
        raise MethodError(f"method must be one of {', '.join(PLANNERS)}, got {method!r}{nearest(method, PLANNERS)}")
    known = list(signature(PLANNERS[method]).parameters)[2:]
    for name in options:
        if name not in known:
            raise MethodError(f"{method} has no option {name!r}; it has {', '.join(known)}{nearest(name, known)}")
    inputs = planning_inputs(tables)
    if item is not None:
        tables, inputs = tables.only(item=item), inputs.only(item)
    require_kept_stock(tables, inputs)
    planned = _kept(inputs, PLANNERS[method](tables, inputs, **options))
    series = _series(inputs, planned)
    targets = Targets(method, _parameters(inputs, planned, series), series, planned.log)
    if budget is None and not within_storage:
        return targets
    return within_limits(tables, targets, budget=budget, storage=within_storage)


def policy_of(targets: Targets, network: Network, *, item: str, periods: int | None = None) -> OrderUpToByPeriod:
    """The targets of one item as a policy of its network (`planning_network.network_of`).

    In every period each location orders up to its target position of that period if its position is at or below the
    reorder position. Raises `MethodError` where the targets have fewer periods than are to be simulated.
    """
    series = targets.series[targets.series["item"] == item]
    if series.empty:
        raise MethodError(f"there are no targets for item {item!r}{hint(item, set(targets.series['item']))}")
    levels = {
        column: series.pivot(index="period", columns="location", values=column)
        for column in ("reorder_position", "target_position")
    }
    planned = levels["target_position"]
    if periods is not None and periods > len(planned):
        raise MethodError(f"targets must reach to the last of {periods} periods, got {len(planned)} for item {item!r}")
    order = [link.target for link in network.links]
    if missing := set(order) - set(planned.columns):
        raise MethodError(f"there are no targets for {item} at {min(missing)}")
    reorder, up_to = (table[order].to_numpy(dtype=np.float64) for table in levels.values())
    asked, base_stock = ~np.isnan(reorder), reorder >= up_to
    if network.whole_units:
        reorder, up_to = np.floor(reorder + ROUNDING), np.ceil(up_to - ROUNDING)
    return OrderUpToByPeriod(np.where(asked, np.where(base_stock, up_to, reorder), -np.inf), up_to)


def replay(log: pd.DataFrame) -> NDArray[np.float64]:
    """[rows] the safety stock of each row of a log, from the other figures of the row alone.

    By `assp` it is ``safety_factor exposure_sd``, or the stock that is given, in its band; by `dynamic`
    ``minimum_days daily_requirement``; by `multistage` the base stock less what is needed in the mean; by `gsm`
    ``sqrt(bound^2 net_time + factor_mean^2 net_time_variance)``. Of a positive one `kept_share` is left where a limit
    has cut it. External stock is as given.
    """
    if "exposure_sd" in log:
        planned = np.where(log["exposure_sd"].notna(), log["safety_factor"] * log["exposure_sd"], log["planned_stock"])
        clamped = log["rule"].notna() & (log["rule"] != "")  # a file has nothing where there is no rule
        stock = np.where(clamped, log["safety_days"] * log["demand_mean"], planned)
    elif "daily_requirement" in log:
        stock = np.asarray(log["minimum_days"] * log["daily_requirement"])
    elif "base_stock" in log:
        stock = np.asarray(log["base_stock"] - log["needed"])
    else:
        variance = log["bound"] ** 2 * log["net_time"] + log["factor_mean"] ** 2 * log["net_time_variance"]
        stock = np.sqrt(variance.to_numpy(dtype=np.float64))
    if "kept_share" in log:
        stock = stock * log["kept_share"].to_numpy()
    return np.where(log["status"] == "kept", log["given_stock"], stock).astype(np.float64)


ROUNDING = 1e-9
"""Units by which a level may be above a whole number by rounding."""
BELOW = 1e-6
"""Units below a position that itself is not to be ordered at."""


def _kept(inputs: PlanningInputs, planned: Planned) -> Planned:
    """The plan with safety stock that is set elsewhere as it is set."""
    rows, kept = inputs.rows, kept_rows(inputs)
    given = rows["safety_stock"].to_numpy(dtype=np.float64)
    runs = len(planned.log) // len(rows)
    log = planned.log.assign(
        status=np.repeat(np.where(kept, "kept", "planned"), runs),
        given_stock=np.repeat(np.where(kept, given, np.nan), runs),
    )
    log["safety_stock"] = np.where(log["status"] == "kept", log["given_stock"], log["safety_stock"])
    safety = np.where(kept[:, None], given[:, None], planned.safety)
    drivers = {name: np.where(kept, given if name == "base" else 0.0, part) for name, part in planned.drivers.items()}
    return replace(planned, safety=safety, log=log, drivers=drivers)


def _parameters(inputs: PlanningInputs, planned: Planned, series: pd.DataFrame) -> pd.DataFrame:
    """A row an item-location: what was known of it, and the means of its series."""
    rows = inputs.rows[[*KEY, *KNOWN]].copy()
    rows["cover"] = planned.cover
    means = series.groupby(list(KEY), sort=False)[list(MEANS)].mean().reset_index(drop=True)
    for name in MEANS:
        rows[name] = means[name].to_numpy()
    rows["safety_days"] = ratio(rows["safety_stock"].to_numpy(), rows["mean_demand"].to_numpy())
    drivers = {f"driver_{name}": part for name, part in planned.drivers.items()}
    return rows.assign(**drivers, **{name: np.asarray(values) for name, values in planned.extra.items()})


def _series(inputs: PlanningInputs, planned: Planned) -> pd.DataFrame:
    """A row an item-location and period."""
    import pandas as pd

    passing = inputs.passed_up(inputs.own, planned.cover)
    demand, safety = inputs.known(passing), planned.safety
    shape = demand.shape
    review = np.broadcast_to(np.asarray(planned.review), shape[:1])
    lot = np.broadcast_to(np.asarray(planned.lot, dtype=np.float64), shape)
    batch = np.maximum(lot, inputs.rows["lot_size"].to_numpy(dtype=np.float64)[:, None])
    daily = inputs.window(passing, np.full(shape[0], float(WEEK))) / WEEK
    cycle = ((daily > 0) * np.maximum(batch - 1.0, 0.0) + demand * (review[:, None] - 1)) / 2
    held, ordered_before = prebuild(inputs, passing, planned.cover, review)
    shown = inputs.rows["display_stock"].to_numpy(dtype=np.float64)[:, None]
    merchandising = np.maximum(shown - (np.maximum(safety, 0.0) + cycle + held), 0.0)
    reorder = inputs.window(passing, planned.cover) - inputs.known(passing - inputs.own)
    reorder += safety + ordered_before + merchandising
    position = reorder + lot
    at = reorder - BELOW if planned.strict else reorder
    asked = np.arange(shape[1]) % review[:, None] == 0
    columns = {
        "mean_demand": demand,
        "safety_stock": safety,
        "safety_days": ratio(safety.ravel(), daily.ravel()),
        "cycle_stock": cycle,
        "pipeline_stock": inputs.window(passing, inputs.lead_time),
        "prebuild_stock": held,
        "merchandising_stock": merchandising,
        "target_position": position,
        "reorder_position": np.where(asked, at, np.nan),
    }
    keys = {name: np.repeat(inputs.rows[name].to_numpy(), shape[1]) for name in KEY}
    periods = np.tile(inputs.days.to_numpy(), shape[0])
    return pd.DataFrame({**keys, "period": periods, **{name: values.ravel() for name, values in columns.items()}})
