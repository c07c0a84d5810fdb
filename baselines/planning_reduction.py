"""Which stock can go: what is more than needed, by cause, and which safety stock is missed the least.

A safety stock SS against a demand of deviation sigma over lead time and cycle R leaves ``sigma G(SS / sigma) / R``
units short per period, G the normal loss: a convex function of SS. Taking stock away step by step where a unit
of money costs the fewest units short is then optimal, and gives the Lagrangian path: all locations that still
have safety stock, and have given some, lose as much by the next unit of money.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from heapq import heapify, heappop, heappush
from math import erfc, exp, pi, sqrt
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from echelon.baselines.planning_network import suppliers
from echelon.baselines.planning_service import KEY, customer_demand, exposure_of, planned_service, unit_values
from echelon.baselines.planning_tables import PlanningTables
from echelon.baselines.requirements import require_at_least_zero
from echelon.envs.errors import MethodError

if TYPE_CHECKING:
    import pandas as pd

    from echelon.baselines.planning import Targets

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STEPS = 1_000
"""Parts in which an amount is taken away."""
ROUNDING = 1e-12
"""The share of a quantity that counts as nothing."""


def targeted_reduction(tables: PlanningTables, targets: Targets, *, amount: float, steps: int = STEPS) -> pd.DataFrame:
    """Where to take away safety stock worth `amount` so that the fewest units are short.

    A row for each item-location that gives some, in the order in which they begin to: safety_stock before,
    reduction (units), money, service before and after (of the kind of the target, as if the supplier were in time),
    shortage (more units short per period) and marginal_shortage, per money, of the last unit taken. External rows and
    those by MB keep theirs. Units short count alike everywhere. Raises `MethodError`.
    """
    rows, exposure = targets.parameters, exposure_of(targets)
    before = np.maximum(rows["safety_stock"].to_numpy(dtype=np.float64), 0.0)
    stock = np.where(_kept(tables, rows), 0.0, before)
    value = unit_values(tables, rows)

    def loss(j: int, left: float) -> float:
        return normal_shortage(left, float(exposure.sd[j])) / float(exposure.cycle[j])

    taken, order = least_loss_reduction(stock, value, loss, amount=amount, steps=steps)
    after = before - taken
    service = (planned_service(targets, safety_stock=level) for level in (before, after))
    short = np.array([loss(j, after[j]) - loss(j, before[j]) for j in range(len(rows))])
    marginal = np.array([_tail(after[j], exposure.sd[j]) for j in range(len(rows))]) / exposure.cycle
    table = rows[KEY].assign(
        safety_stock=before,
        reduction=taken,
        money=taken * value,
        **dict(zip(("service_before", "service_after"), service, strict=True)),
        shortage=short,
        marginal_shortage=np.divide(marginal, value, out=np.zeros_like(marginal), where=value > 0),
    )
    return table.iloc[order].reset_index(drop=True)


def least_loss_reduction(
    stock: ArrayLike, unit_value: ArrayLike, loss: Callable[[int, float], float], *, amount: float, steps: int = STEPS
) -> tuple[Floats, Ints]:
    """The units [n] to take from each stock so that money `amount` is freed with the least total loss, by greedy steps.

    ``loss(j, units)`` is what stock j loses in all when `units` of it are left, a convex function. Also gives those
    that are reduced in the order in which they begin to be. Exact up to a step of amount / steps.
    """
    left, value = np.array(stock, dtype=np.float64), np.asarray(unit_value, dtype=np.float64)
    require_at_least_zero("amount", amount)
    if steps < 1:
        raise MethodError(f"steps must be at least 1, got {steps}")
    if amount > left @ value * (1 + ROUNDING):
        raise MethodError(f"amount must be at most the value of the stock, {left @ value:g}, got {amount:g}")
    whole, to_free, order = left.copy(), amount, list[int]()

    def next_step(j: int) -> tuple[float, int, float]:
        units = min(amount / steps / value[j], left[j])
        return (loss(j, left[j] - units) - loss(j, left[j])) / (units * value[j]), j, units

    heap = [next_step(j) for j in np.flatnonzero(left * value > 0).tolist()] if amount else []
    heapify(heap)
    while heap and to_free > ROUNDING * amount:
        _, j, units = heappop(heap)
        if left[j] == whole[j]:
            order.append(j)
        units = min(units, to_free / value[j])
        left[j] -= units
        to_free -= units * value[j]
        if left[j] > ROUNDING * whole[j]:
            heappush(heap, next_step(j))
    return whole - np.maximum(left, 0.0), np.array(order, dtype=np.int64)


def normal_shortage(stock: float, sd: float) -> float:
    """E[(X - E[X] - stock)+] = sd G(stock / sd) of a normal X; without deviation what the stock is below 0."""
    if sd <= 0:
        return max(-stock, 0.0)
    return sd * (exp(-((stock / sd) ** 2) / 2) / sqrt(2 * pi)) - stock * _tail(stock, sd)


@dataclass(frozen=True)
class StockClasses:
    """The rules that `classify_stock` goes by."""

    recent: int = 90
    """Periods without any demand after which stock counts as not moving."""
    early_days: float = 30.0
    """Days of demand of a surplus up to which it was only bought too early."""

    def __post_init__(self) -> None:
        require_at_least_zero("recent", self.recent)
        require_at_least_zero("early_days", self.early_days)


def classify_stock(tables: PlanningTables, targets: Targets, rules: StockClasses | None = None) -> pd.DataFrame:
    """What is on hand and due at each item-location, by the first of these rules that holds:

    - `none`: there is nothing;
    - `obsolete`: no demand in the last `recent` periods of the history, its own or below, and none forecast;
    - `non-moving`: no demand in the last `recent` periods, although some is forecast, and history goes that far back;
    - `excess`: more than the target position of the first period and `early_days` of mean demand together;
    - `early buy`: more than the target position, but it is used up in `early_days`;
    - `healthy`: the rest.

    Columns: item, location, class, on_hand, due (within the lead time), surplus (all of it where it does not move,
    else what is above the target position), days (of the surplus, 0 without demand) and value of the surplus.
    """
    rules = rules or StockClasses()
    rows = targets.parameters
    index = rows.set_index(KEY).index
    start = targets.series["period"].min()
    first = targets.series[targets.series["period"] == start].set_index(KEY)["target_position"]
    position = first.reindex(index).to_numpy(dtype=np.float64)
    on_hand = tables["stock"].set_index(KEY)["on_hand"].reindex(index).fillna(0.0).to_numpy(dtype=np.float64)
    due = _due(tables, rows, start).reindex(index).fillna(0.0).to_numpy(dtype=np.float64)
    demand = rows["demand_mean"].to_numpy(dtype=np.float64)
    still, held = _idle(tables, rows, rules.recent) > rules.recent, on_hand + due
    over = np.maximum(held - position, 0.0)
    cases = {
        "none": held == 0,
        "obsolete": still & (demand == 0),
        "non-moving": still,
        "excess": over > rules.early_days * demand,
        "early buy": over > 0,
    }
    found = np.select(list(cases.values()), np.array(list(cases), dtype=object), "healthy")
    surplus = np.where(np.isin(found, ("obsolete", "non-moving")), held, over)
    days = np.divide(surplus, demand, out=np.zeros_like(surplus), where=demand > 0)
    columns = {"class": found, "on_hand": on_hand, "due": due, "surplus": surplus, "days": days}
    return rows[KEY].assign(**columns, value=surplus * unit_values(tables, rows)).reset_index(drop=True)


def _due(tables: PlanningTables, rows: pd.DataFrame, start: pd.Timestamp) -> pd.Series:
    """Receipts within the lead time, those overdue among them."""
    due = tables["receipts"].merge(rows[[*KEY, "lead_time"]], on=KEY)
    due = due[(due["period"] - start).dt.days <= due["lead_time"]]
    return due.groupby(KEY)["quantity"].sum()


def _idle(tables: PlanningTables, rows: pd.DataFrame, recent: int) -> Floats:
    """[n] periods of history since the last demand of each row or of one it supplies; infinite where none is known.

    0 where customers' demand is forecast and their history has fewer than `recent` periods: it may have moved.
    """
    import pandas as pd

    history = tables["demand"]
    index = pd.MultiIndex.from_frame(tables["item_locations"][KEY])
    last = history[history["quantity"] > 0].groupby(KEY)["period"].max()
    final = history["period"].max()
    ago, age = (
        (final - day.reindex(index)).dt.days.to_numpy(dtype=np.float64) + 1
        for day in (last, history.groupby(KEY)["period"].min())
    )
    unknown = ~(age >= recent) & ~(ago <= recent) & (customer_demand(tables, rows) > 0)
    idle = np.where(unknown, 0.0, np.nan_to_num(ago, nan=np.inf))
    supplier = suppliers(tables)
    above = supplier.copy()
    own = idle.copy()
    while (above >= 0).any():
        np.minimum.at(idle, above[above >= 0], own[above >= 0])
        above = np.where(above >= 0, supplier[above], -1)
    return idle


def _kept(tables: PlanningTables, rows: pd.DataFrame) -> NDArray[np.bool_]:
    """[n] rows whose safety stock is set elsewhere."""
    external = tables["item_locations"].set_index(KEY)["external"].reindex(rows.set_index(KEY).index)
    return np.asarray(external.to_numpy(dtype=bool) | (rows["method"] == "MB").to_numpy())


def _tail(stock: float, sd: float) -> float:
    """P(X > E[X] + stock)."""
    return float(stock < 0) if sd <= 0 else erfc(stock / sd / sqrt(2)) / 2
