"""What service costs in stock: efficient frontiers of inventory investment against service.

A frontier has one point a service level, beside where the planner stands today. `planning_views` says what the
investment of a plan is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from echelon.baselines.planning import Targets, plan_tables
from echelon.baselines.planning_network import forecast_start
from echelon.baselines.planning_service import KEY, component_stock, mean_on_hand, unit_values
from echelon.baselines.planning_tables import PlanningTables
from echelon.baselines.planning_views import (
    WITHOUT_SERVICE,
    figures,
    require_levels,
    simulated,
    with_safety_stock,
    with_service_level,
)

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Options = Mapping[str, Any]


def frontier(
    tables: PlanningTables,
    method: str,
    service_levels: Sequence[float],
    *,
    item: str | None = None,
    replications: int = 0,
    periods: int = 364,
    warm_up: int = 28,
    seed: int = 0,
    options: Options | None = None,
) -> pd.DataFrame:
    """The frontier of inventory investment against service by a method, and the status quo; of one item or of all.

    A row a service level, with `point` "planned": safety_stock, cycle_stock (units), investment (money) and
    `service`, the planned service of the customers. With `replications` also fill_rate and cost of the plan in
    simulation with their 95 % half widths, of the same scenarios for every row. `efficient` marks a planned
    point that no other one beats in both service and investment, `on_hull` one on the lower convex hull of these
    (in simulated fill rates, if there are any), below which no mix of planned points gets.

    The last row is the status quo: the stock on hand, taken for the mean stock, or without a table of stock the plan
    with the service levels of the tables; `point` says which, and it is efficient if no planned point beats it.
    Raises `MethodError`.
    """
    require_levels(method, service_levels)

    def plan(of: PlanningTables) -> Targets:
        return plan_tables(of, method, item=item, **(options or {}))

    plans = [(level, plan(with_service_level(tables, level))) for level in service_levels]
    run = {"replications": replications, "periods": periods, "warm_up": warm_up, "seed": seed}
    return _frontier(tables, item, plans, plan(tables), run)


def frontiers(
    tables: PlanningTables,
    methods: Sequence[str],
    service_levels: Sequence[float],
    *,
    item: str | None = None,
    replications: int = 0,
    periods: int = 364,
    warm_up: int = 28,
    seed: int = 0,
    options: Mapping[str, Options] | None = None,
) -> pd.DataFrame:
    """The frontiers of several methods, one below the other, each with its own marks and status quo.

    `options` are those of the methods by their names. A method that reads no service level has its one plan as a
    point, whose service level is NaN. Raises `MethodError`.
    """
    import pandas as pd

    run = {"replications": replications, "periods": periods, "warm_up": warm_up, "seed": seed}
    found = []
    for method in methods:
        chosen = (options or {}).get(method, {})
        if method in WITHOUT_SERVICE:
            plan = plan_tables(tables, method, item=item, **chosen)
            found.append(_frontier(tables, item, [(np.nan, plan)], plan, run))
        else:
            found.append(frontier(tables, method, service_levels, item=item, options=chosen, **run))
    return pd.concat(found, ignore_index=True)


def first_weeks(tables: PlanningTables, weeks: int) -> PlanningTables:
    """The tables with the forecasts of the first weeks that are planned, and of the past."""
    import pandas as pd

    forecasts = tables["forecasts"]
    near = forecasts[forecasts["period"] < forecast_start(tables) + pd.Timedelta(weeks=weeks)]
    return PlanningTables({**tables.tables, "forecasts": near.reset_index(drop=True)})


def _frontier(
    tables: PlanningTables,
    item: str | None,
    plans: Sequence[tuple[float, Targets]],
    stated: Targets,
    run: Mapping[str, int],
) -> pd.DataFrame:
    """A row for each service level with its plan, and for the status quo beside the plan that the tables state."""
    import pandas as pd

    own = tables if item is None else tables.only(item=item)
    point, today, investment = _status_quo(own, stated)
    method = stated.method
    rows: list[dict[str, Any]] = [
        {"method": method, "point": "planned", "service_level": float(level), **figures(own, plan)}
        for level, plan in plans
    ]
    rows.append({"method": method, "point": point, "service_level": 0.0, **figures(own, today)})
    rows[-1] |= {"service_level": rows[-1]["service"], "investment": investment}
    if run["replications"]:
        for row, plan in zip(rows, [*(plan for _, plan in plans), today], strict=True):
            row |= simulated(tables, plan, **run).summary
    return _marked(pd.DataFrame(rows), "fill_rate" if run["replications"] else "service")


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


def _status_quo(tables: PlanningTables, targets: Targets) -> tuple[str, Targets, float]:
    """What the point is, its targets, and the money in it."""
    rows = targets.parameters
    if tables["stock"].empty:
        return "status quo (parameters)", targets, float(unit_values(tables, rows) @ mean_on_hand(targets))
    stock = tables["stock"].set_index(KEY)["on_hand"].reindex(rows.set_index(KEY).index)
    on_hand = stock.fillna(0.0).to_numpy(dtype=np.float64)
    cycle = component_stock(rows.assign(safety_stock=0.0))
    return "status quo (stock)", with_safety_stock(targets, on_hand - cycle), float(unit_values(tables, rows) @ on_hand)
