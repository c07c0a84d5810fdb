"""What a planner sees after a planning run: what service costs in stock, and which part of the stock it moves.

The investment of a plan is the value of its mean stock on hand, ``sum_i v_i (safety_i + cycle_i)``, with pre-build and
merchandising stock where a method plans them, and what is backordered in the mean: safety stock is net of it. An
efficient frontier sets it against service, one point a service level, beside where the planner stands today.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from echelon.baselines.planning import Targets, plan_tables, policy_of
from echelon.baselines.planning_network import problem_of
from echelon.baselines.planning_service import KEY, component_stock, customer_service, mean_on_hand, unit_values
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


def frontier(
    tables: PlanningTables,
    method: str,
    service_levels: Sequence[float],
    *,
    item: str,
    replications: int = 0,
    periods: int = 364,
    warm_up: int = 28,
    seed: int = 0,
    options: Options | None = None,
) -> pd.DataFrame:
    """The frontier of inventory investment against service of one item by a method, and the status quo.

    A row a service level, with `point` "planned": safety_stock, cycle_stock (units), investment (money) and
    `service`, the planned service of the customers. With `replications` also fill_rate and cost of the plan in
    simulation with their 95 % half widths, of the same scenarios for every row. `efficient` marks a planned
    point that no other one beats in both service and investment, `on_hull` one on the lower convex hull of these
    (in simulated fill rates, if there are any), below which no mix of planned points gets.

    The last row is the status quo: the stock on hand, taken for the mean stock, or without a table of stock the plan
    with the service levels of the tables; `point` says which, and it is efficient if no planned point beats it.
    Raises `MethodError`.
    """
    import pandas as pd

    _require_levels(method, service_levels)
    own = tables.only(item=item)
    plans = [plan_tables(with_service_level(own, level), method, **(options or {})) for level in service_levels]
    point, today, investment = _status_quo(own, method, options or {})
    rows = [
        {"method": method, "point": "planned", "service_level": float(level), **figures(own, plan)}
        for level, plan in zip(service_levels, plans, strict=True)
    ]
    rows.append({"method": method, "point": point, "service_level": 0.0, **figures(own, today)})
    rows[-1]["service_level"] = rows[-1]["service"]
    rows[-1]["investment"] = investment
    if replications:
        run = {"replications": replications, "periods": periods, "warm_up": warm_up, "seed": seed}
        for row, plan in zip(rows, [*plans, today], strict=True):
            row |= simulated(own, plan, **run).summary
    table = pd.DataFrame(rows)
    return _marked(table, "fill_rate" if replications else "service")


def component_sweep(
    tables: PlanningTables, method: str, service_levels: Sequence[float], *, options: Options | None = None
) -> pd.DataFrame:
    """How each component of stock moves with the service level: a row a level, in units of all item-locations.

    service_level, the components that the method plans, the investment and the planned service of the customers.
    Raises `MethodError`.
    """
    import pandas as pd

    _require_levels(method, service_levels)
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
    """The tables with one service level for all item-locations."""
    rows = tables["item_locations"].assign(service_level=float(level))
    return PlanningTables({**tables.tables, "item_locations": rows}, tables.provenance)


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
    return replace(targets, parameters=changed, series=series.assign(safety_stock=stock, safety_days=days, **positions))


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


def efficient(service: ArrayLike, investment: ArrayLike) -> Bools:
    """[n] whether no other point has as much service for as little money, and more or less of either."""
    s, m = np.asarray(service, dtype=np.float64), np.asarray(investment, dtype=np.float64)
    as_good = (s[None] >= s[:, None]) & (m[None] <= m[:, None])
    better = (s[None] > s[:, None]) | (m[None] < m[:, None])
    return np.asarray(~(as_good & better).any(axis=1))


def lower_hull(service: ArrayLike, investment: ArrayLike) -> Bools:
    """[n] whether a point is on the lower convex hull of the efficient ones, a convex function of service.

    By Andrew's monotone chain; of several equal points all are.
    """
    s, m = np.asarray(service, dtype=np.float64), np.asarray(investment, dtype=np.float64)
    hull: list[tuple[float, float]] = []
    for x, y in sorted({(float(s[k]), float(m[k])) for k in np.flatnonzero(efficient(s, m))}):
        while len(hull) > 1 and _turns_down(hull[-2], hull[-1], (x, y)):
            hull.pop()
        hull.append((x, y))
    kept = set(hull)
    return np.array([point in kept for point in zip(s.tolist(), m.tolist(), strict=True)], dtype=bool)


def _turns_down(a: tuple[float, float], b: tuple[float, float], c: tuple[float, float]) -> bool:
    """Whether b is above the line from a to c."""
    return (b[0] - a[0]) * (c[1] - a[1]) < (b[1] - a[1]) * (c[0] - a[0])


def _marked(table: pd.DataFrame, service: str) -> pd.DataFrame:
    """The table with its efficient points marked; the last row is the status quo."""
    s, m = table[service].to_numpy(), table["investment"].to_numpy()
    marks = efficient(s[:-1], m[:-1])
    beaten = ((s[:-1] >= s[-1]) & (m[:-1] <= m[-1]) & ((s[:-1] > s[-1]) | (m[:-1] < m[-1]))).any()
    return table.assign(efficient=np.append(marks, not beaten), on_hull=np.append(lower_hull(s[:-1], m[:-1]), False))


def _status_quo(tables: PlanningTables, method: str, options: Options) -> tuple[str, Targets, float]:
    """What the point is, its targets, and the money in it."""
    targets = plan_tables(tables, method, **options)
    rows = targets.parameters
    if tables["stock"].empty:
        return "status quo (parameters)", targets, float(unit_values(tables, rows) @ mean_on_hand(targets))
    stock = tables["stock"].set_index(KEY)["on_hand"].reindex(rows.set_index(KEY).index)
    on_hand = stock.fillna(0.0).to_numpy(dtype=np.float64)
    cycle = component_stock(rows.assign(safety_stock=0.0))
    return "status quo (stock)", with_safety_stock(targets, on_hand - cycle), float(unit_values(tables, rows) @ on_hand)


def _require_levels(method: str, levels: Sequence[float]) -> None:
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
