"""What a planner sees after a planning run: the totals of a plan, what they become, and what they achieve.

The investment of a plan is the value of its mean stock on hand, ``sum_i v_i (safety_i + cycle_i)``, with pre-build and
merchandising stock where a method plans them, and what is backordered in the mean: safety stock is net of it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.planning import Targets, plan_tables, policy_of
from echelon.baselines.planning_network import problem_of
from echelon.baselines.planning_service import KEY, customer_service, mean_on_hand, unit_values
from echelon.baselines.planning_tables import PlanningTables
from echelon.envs.errors import MethodError
from echelon.envs.simulate import simulate_stream

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Options = Mapping[str, Any]

COMPONENTS = ("safety_stock", "cycle_stock", "prebuild_stock", "merchandising_stock", "pipeline_stock")
WITHOUT_SERVICE = ("dynamic",)
"""Methods that read no service level."""


def component_sweep(
    tables: PlanningTables, method: str, service_levels: Sequence[float], *, options: Options | None = None
) -> pd.DataFrame:
    """How each component of stock moves with the service level: a row a level, in units of all item-locations.

    service_level, the components that the method plans, the investment and the planned service of the customers.
    Raises `MethodError`.
    """
    import pandas as pd

    require_levels(method, service_levels)
    rows = []
    for level in service_levels:
        targets = plan_tables(with_service_level(tables, level), method, **(options or {}))
        rows.append({"service_level": float(level), **figures(tables, targets)})
    return pd.DataFrame(rows)


def figures(tables: PlanningTables, targets: Targets) -> dict[str, float]:
    """The totals of a plan: units of each component, the investment, and the planned service of the customers."""
    rows = targets.parameters
    units = {name: float(rows[name].sum()) for name in COMPONENTS if name in rows}
    investment = float(unit_values(tables, rows) @ mean_on_hand(targets))
    return {**units, "investment": investment, "service": customer_service(tables, targets)}


def with_service_level(tables: PlanningTables, level: float) -> PlanningTables:
    """The tables with one service level for all item-locations, and for all promises to customers."""
    changed = {name: tables[name].assign(service_level=float(level)) for name in ("item_locations", "service_targets")}
    return PlanningTables({**tables.tables, **changed}, tables.provenance)


def with_safety_stock(targets: Targets, safety_stock: Floats) -> Targets:
    """Targets with other safety stocks [n], the same in all periods; positions move along with them."""
    rows, series = targets.parameters, targets.series
    index = series.set_index(KEY).index
    stock = rows.assign(new=safety_stock).set_index(KEY)["new"].reindex(index).to_numpy(dtype=np.float64)
    moved = stock - series["safety_stock"].to_numpy(dtype=np.float64)
    demand = series["mean_demand"].to_numpy(dtype=np.float64)
    days = np.divide(stock, demand, out=np.zeros_like(stock), where=demand > 0)
    positions = {name: series[name] + moved for name in ("target_position", "reorder_position")}
    mean = rows["demand_mean"].to_numpy(dtype=np.float64)
    changed = rows.assign(
        safety_stock=safety_stock,
        safety_days=np.divide(safety_stock, mean, out=np.zeros_like(mean), where=mean > 0),
        target_position=rows["target_position"] + safety_stock - rows["safety_stock"],
    ).drop(columns="internal_service", errors="ignore")
    series = series.assign(safety_stock=stock, safety_days=days, **positions)
    log = targets.log.drop(columns="outstanding_sd", errors="ignore")  # the log is that of the plan as it was
    return replace(targets, parameters=changed, series=series, log=log)


@dataclass(frozen=True, eq=False)
class Simulated:
    """What targets achieved in simulation; arrays [B], one value a replication."""

    fill_rate: Floats
    """The share of the demand of all items that was met at once."""
    cost: Floats
    """Per period, all items."""

    @property
    def summary(self) -> dict[str, float]:
        """The means with the half widths of their 95 % Student intervals."""
        found = {"fill_rate": self.fill_rate, "cost": self.cost}
        widths = {f"{name}_half_width": _half_width(values) for name, values in found.items()}
        return {name: float(values.mean()) for name, values in found.items()} | widths


def simulated(
    tables: PlanningTables, targets: Targets, *, replications: int, periods: int = 364, warm_up: int = 28, seed: int = 0
) -> Simulated:
    """The targets of all items as policies of their networks, on `replications` scenarios of their own stream.

    The same seed gives the same scenarios to every plan of the same tables. Raises `MethodError`.
    """
    if replications < 2:
        raise MethodError(f"replications must be at least 2, for an interval, got {replications}")
    sold, demand, cost = (np.zeros(replications) for _ in range(3))
    for item in dict.fromkeys(targets.parameters["item"]):
        problem = problem_of(tables, item=item, periods=periods, warm_up=warm_up)
        policy = policy_of(targets, problem.network, item=item)
        outcome = simulate_stream(problem, policy, replications=replications, seed=seed)
        sold += outcome.per_period["sold"].sum(axis=1)
        demand += outcome.per_period["demand"].sum(axis=1)
        cost += outcome.cost
    return Simulated(np.divide(sold, demand, out=np.ones_like(sold), where=demand > 0), cost)


def require_levels(method: str, levels: Sequence[float]) -> None:
    """Raise `MethodError` unless the method reads service levels, and these are some."""
    if method in WITHOUT_SERVICE:
        raise MethodError(f"{method} reads no service level: it has no frontier")
    if not len(levels):
        raise MethodError("service_levels must have at least one level")
    for level in levels:
        if not 0 < level < 1:
            raise MethodError(f"service_levels must be above 0 and below 1, got {level:g}")


def _half_width(values: Floats) -> float:
    from scipy.special import stdtrit

    count = len(values)
    return float(stdtrit(count - 1, 0.975) * values.std(ddof=1) / np.sqrt(count))
