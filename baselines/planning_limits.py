"""Safety stock cut to a budget and to the storage of locations, where a plan asks for more.

Only planned safety stock is cut, in every planning run to a share of it: what it needs to be of least cost at the
price of the limit, while a unit short costs as much as the plan itself implies (`stock_constraints`). Storage is kept
in every period, of all items of a location and of each that has its own; the budget by the investment of the whole
plan, the value of its mean stock on hand. Each limit has its own price, and the smaller share holds: both together
could be kept at a little less cost, with a price that is the sum of both.

Safety stock is ``offset + k sd``, with an offset where the supplier makes wait in the mean (`multistage`); factors
above 5, as stated stock without a deviation has, count as 5. That locations wait longer for a supplier whose stock is
cut is not planned for again, and `internal_service` falls by what the cut of a location costs its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from echelon.baselines.demand_tables import ratio
from echelon.baselines.loss_functions import standard_normal_loss
from echelon.baselines.planning_service import KEY, exposure_of, mean_on_hand, unit_values
from echelon.baselines.planning_tables import PlanningTables
from echelon.baselines.requirements import require_positive
from echelon.baselines.stock_constraints import factor_of_priced_level, factor_of_priced_stock, least_price
from echelon.envs.errors import MethodError

if TYPE_CHECKING:
    import pandas as pd

    from echelon.baselines.planning import Targets

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Factor = Callable[[Floats, Floats], Floats]

MOST_FACTOR = 5.0
ON_HAND = ("safety_stock", "cycle_stock", "prebuild_stock", "merchandising_stock")
SAVES = {
    "storage_price": "fit into the storage, of which a unit more would save {:.3g} money a period",
    "budget_price": "keep the budget, of which a unit more would save {:.3g} money a period",
}
"""What an alert says of each price."""
POSITIONS = ("target_position", "reorder_position")


def within_limits(tables: PlanningTables, targets: Targets, *, budget: float | None, storage: bool) -> Targets:
    """The targets with safety stock cut to a budget (money), and with `storage` to what fits.

    The log has the share of the safety stock that is kept, and the prices: money saved per period by a unit more of
    space, or of money. Raises `MethodError` for a budget below the value of the stock without any safety stock, and
    where an item-location has no holding cost, which would leave its shortages without a price.
    """
    stock = _Stock.of(tables, targets)
    share, price = np.ones_like(stock.safety), np.zeros_like(stock.safety)
    for rows, capacity in _spaces(tables) if storage else ():
        part = stock.at(rows)
        if (part.on_hand(1.0).sum(axis=0) > capacity).any():
            kept, dear = part.within(capacity)
            share[rows], price[rows] = np.minimum(share[rows], kept), np.maximum(price[rows], dear)
    share, price = stock.by_run(share, np.minimum), stock.by_run(price, np.maximum)
    stored = _cut(targets, stock, share, {"storage_price": price})
    return stored if budget is None else _within_budget(tables, stored, stock, share, budget)


def cut_stock(_tables: PlanningTables, targets: Targets) -> pd.DataFrame:
    """How much safety stock of each item-location a limit cuts in a planning run at most, and what more would save.

    A measure of `planning_alerts`; without rows where nothing is.
    """
    log = targets.log
    cut = log[log["cut_stock"] > 0] if "cut_stock" in log else log.iloc[:0].assign(cut_stock=0.0)
    cut = cut.reindex(columns=[*KEY, "period", "cut_stock", *SAVES], fill_value=0.0)
    most = cut.groupby(KEY, sort=False).agg({"period": "first", "cut_stock": "max", **dict.fromkeys(SAVES, "max")})
    notes = [
        " and ".join(text.format(price) for price, text in zip(prices, SAVES.values(), strict=True) if price > 0)
        for prices in most[list(SAVES)].itertuples(index=False)
    ]
    return most.reset_index().rename(columns={"cut_stock": "value"}).assign(note=notes)


def _spaces(tables: PlanningTables) -> Iterator[tuple[Ints, float]]:
    """The rows that share a storage, and what fits: of a location, and of an item there."""
    rows = tables["item_locations"]
    at = rows["location"].to_numpy()
    for location, capacity in tables["locations"].dropna(subset="storage")[["location", "storage"]].to_numpy():
        if len(members := np.flatnonzero(at == location)):
            yield members, float(capacity)
    own = rows["storage"].to_numpy(dtype=np.float64)
    for j in np.flatnonzero(~np.isnan(own)):
        yield np.array([j]), float(own[j])


def _within_budget(tables: PlanningTables, targets: Targets, stock: _Stock, share: Floats, budget: float) -> Targets:
    """Targets whose safety stock has been cut to a share already, with the investment within the budget."""
    require_positive("budget", budget)
    value = unit_values(tables, targets.parameters)

    def at(price: Floats) -> Targets:
        kept = stock.by_run(np.minimum(share, stock.share(price, value, factor_of_priced_stock)), np.minimum)
        return _cut(targets, stock, kept / np.where(share > 0, share, 1.0), {"budget_price": np.full_like(kept, price)})

    def investment(price: Floats) -> Floats:
        return np.asarray(value @ mean_on_hand(at(price)))

    counted = stock.movable & (value > 0)
    unit = float((stock.holding_cost[counted] / value[counted]).max(initial=0.0)) or 1.0
    price = least_price(investment, budget, unit=unit)
    found = at(price)
    if (least := float(value @ mean_on_hand(found))) > budget:
        raise MethodError(f"budget must be at least {least:g}, the value of stock without safety stock, got {budget:g}")
    return found


@dataclass(frozen=True, eq=False)
class _Stock:
    """The stock of a plan as arrays, [n] and [n, T], and when it was planned."""

    safety: Floats
    rest: Floats
    """Cycle and pre-build stock."""
    shown: Floats
    """[n, 1] least units on display."""
    offset: Floats
    sd: Floats
    holding_cost: Floats
    movable: Bools
    """[n] whose safety stock may be cut."""
    starts: Ints
    """[W] the periods of the planning runs."""

    @classmethod
    def of(cls, tables: PlanningTables, targets: Targets) -> _Stock:
        rows, log, known = targets.parameters, targets.log, tables["item_locations"]
        count = len(rows)
        series = {name: targets.series[name].to_numpy(dtype=np.float64).reshape(count, -1) for name in ON_HAND}
        runs, periods = (part["period"].to_numpy()[: len(part) // count] for part in (log, targets.series))
        mean, holding = series["safety_stock"].mean(axis=1), known["holding_cost"].to_numpy(dtype=np.float64)
        movable = (log["status"].to_numpy().reshape(count, -1)[:, 0] == "planned") & (mean > 0)
        if (movable & (holding == 0)).any():
            row = known[movable & (holding == 0)].iloc[0]
            named = f"{row['item']} at {row['location']}"
            raise MethodError(f"holding_cost must be above 0 where stock is cut to a limit, got 0 for {named}")
        offset, sd = np.zeros(count), exposure_of(targets).sd
        if "outstanding_sd" in log:
            waits = (log["outstanding_mean"] - log["needed"]).to_numpy().reshape(count, -1)
            offset, sd = waits.mean(axis=1), log["outstanding_sd"].to_numpy().reshape(count, -1).mean(axis=1)
        known_factor = (sd > 0) & (mean - offset <= MOST_FACTOR * sd)
        return cls(
            series["safety_stock"],
            series["cycle_stock"] + series["prebuild_stock"],
            known["display_stock"].to_numpy(dtype=np.float64)[:, None],
            np.where(known_factor, offset, 0.0),
            np.where(known_factor, sd, np.maximum(mean, 0.0) / MOST_FACTOR),
            holding,
            movable,
            np.searchsorted(periods, runs),
        )

    def at(self, rows: Ints) -> _Stock:
        """The stock of some rows."""
        parts = {field.name: getattr(self, field.name)[rows] for field in fields(self) if field.name != "starts"}
        return replace(self, **parts)

    def on_hand(self, share: Floats | float) -> Floats:
        """[n, T] the planned stock if a share of the safety stock is kept; below 0 it counts as none."""
        return np.maximum(np.maximum(self.safety * share, 0.0) + self.rest, self.shown)

    def share(self, price: Floats, space: Floats | float, factor_at: Factor) -> Floats:
        """[n, T] the share of the safety stock that is of least cost at a price, or prices [T], of a unit's space."""
        mean = np.where(self.movable, self.safety.mean(axis=1), 1.0)[:, None]
        sd, offset = np.where(self.movable, self.sd, 1.0)[:, None], self.offset[:, None]
        holding = np.where(self.movable, self.holding_cost, 1.0)
        factor = factor_at((mean - offset) / sd, price * (space / holding)[:, None])
        kept = np.clip((offset + factor * sd) / mean, 0.0, 1.0)
        return np.broadcast_to(np.where(self.movable[:, None] & (price > 0), kept, 1.0), self.safety.shape)

    def within(self, capacity: float) -> tuple[Floats, Floats]:
        """[n, T] the share that fits into a storage, and [T] its price."""
        holding = self.holding_cost[self.movable]
        unit = float(holding.max(initial=0.0)) or 1.0
        limit = np.full(self.safety.shape[1], capacity)

        def kept(price: Floats) -> Floats:
            return self.share(price, 1.0, factor_of_priced_level)

        price = least_price(lambda tried: self.on_hand(kept(tried)).sum(axis=0), limit, unit=unit)
        return kept(price), price

    def service(self, rows: pd.DataFrame, safety: Floats) -> Floats:
        """[n] alpha or beta service of safety stocks [n] where a period's orders are covered, for a normal law."""
        demand, demand_sd = (rows[name].to_numpy(dtype=np.float64) for name in ("demand_mean", "demand_sd"))
        sd, before = np.where(self.sd > 0, self.sd, 1.0), np.sqrt(np.maximum(self.sd**2 - demand_sd**2, 0.0))
        net = safety - self.offset
        known = np.where(before > 0, before, 1.0)
        short = sd * standard_normal_loss(net / sd)
        late = np.where(
            before > 0, known * standard_normal_loss((net + demand) / known), np.maximum(-net - demand, 0.0)
        )
        beta = 1.0 - np.divide(short - late, demand, out=np.zeros_like(net), where=demand > 0)
        return np.where(rows["service_kind"] == "alpha", ndtr(net / sd), beta)

    def by_run(self, values: Floats, of: np.ufunc) -> Floats:
        """[n, T] the least or the greatest value of each planning run, in all of its periods."""
        lasts = np.diff(np.append(self.starts, values.shape[1]))
        return np.repeat(of.reduceat(values, self.starts, axis=1), lasts, axis=1)


def _cut(targets: Targets, stock: _Stock, share: Floats, prices: Mapping[str, Floats]) -> Targets:
    """The targets with a share [n, T] of their safety stock, and prices [n, T] for the log."""
    rows, series, log = targets.parameters, targets.series, targets.log
    safety, filled = (series[name].to_numpy().reshape(share.shape) for name in ("safety_stock", "merchandising_stock"))
    share = np.where(safety > 0, share, 1.0)
    kept = safety * share
    fills = np.maximum(stock.shown - (np.maximum(kept, 0.0) + stock.rest), 0.0)
    less, moved = kept - safety, kept - safety + fills - filled
    at_runs = {name: values[:, stock.starts].ravel() for name, values in prices.items()}
    left = share[:, stock.starts].ravel()
    log = log.assign(
        kept_share=log.get("kept_share", 1.0) * left,
        cut_stock=log.get("cut_stock", 0.0) + log["safety_stock"] * (1.0 - left),
        safety_stock=log["safety_stock"] * left,
        **at_runs,
    )
    series = series.assign(
        safety_stock=kept.ravel(),
        safety_days=series["safety_days"] * share.ravel(),
        merchandising_stock=fills.ravel(),
        **{name: series[name] + moved.ravel() for name in POSITIONS},
    )
    mean = rows["safety_stock"].to_numpy() + less.mean(axis=1)
    changed = {name: rows[name] + less.mean(axis=1) for name in ("driver_limit", "base_stock") if name in rows}
    if "internal_service" in rows:
        fewer = stock.service(rows, mean) - stock.service(rows, rows["safety_stock"].to_numpy())
        changed["internal_service"] = np.clip(rows["internal_service"] + fewer, 0.0, 1.0)
    rows = rows.assign(
        safety_stock=mean,
        safety_days=ratio(mean, rows["mean_demand"].to_numpy()),
        merchandising_stock=rows["merchandising_stock"] + (fills - filled).mean(axis=1),
        target_position=rows["target_position"] + moved.mean(axis=1),
        **changed,
    )
    return replace(targets, parameters=rows, series=series, log=log)
