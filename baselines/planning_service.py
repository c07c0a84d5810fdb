"""The service that planned stock should give its customers, before anything is simulated.

A location with demand of mean D and deviation sd per period, lead time L (deviation sd_L) and reorder cycle R orders
up to ``D (L + R) + SS``. By the two loss terms of `safety_stock.service_of` the share beta of its demand is met at
once, or the share alpha of its cycles ends without a shortage. Its supplier is taken to deliver in time, except where
a method says what service results (`internal_service` of the multistage method).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.loss_functions import standard_normal_complementary_loss
from echelon.baselines.planning_network import suppliers
from echelon.baselines.planning_tables import PlanningTables
from echelon.envs.errors import MethodError

if TYPE_CHECKING:
    import pandas as pd

    from echelon.baselines.planning import Targets

Floats = NDArray[np.float64]

KEY = ["item", "location"]
NEGLIGIBLE = 1e-9
"""The share of a location's demand below which it counts as demand of the locations below it."""

SMALLEST_LOT, SHORTEST_CYCLE = 1e-6, 1e-6
"""Units and periods that stand for none where a formula divides by them."""


def planned_service(targets: Targets, *, safety_stock: Floats | None = None) -> Floats:
    """[n] service of the kind of each row's target, 1 where there is no demand.

    `safety_stock` [n] in place of the planned one always goes by the formula. With guaranteed service times L is the
    time until a supplier's promise is kept. Where orders are only placed at or below a lower reorder position, beta
    service is that of a lot of the difference, and L + 1 periods.
    """
    from echelon.baselines.safety_stock import service_of

    rows, exposure = targets.parameters, exposure_of(targets)
    if safety_stock is None and "internal_service" in rows:
        return _numbers(rows, "internal_service")
    stock = _numbers(rows, "safety_stock") if safety_stock is None else safety_stock
    service = partial(
        service_of,
        stock=stock,
        demand_mean=_numbers(rows, "demand_mean"),
        demand_sd=_numbers(rows, "demand_sd"),
        lead_time_sd=exposure.lead_time_sd,
    )
    alpha, beta = (
        service(method, lead_time=exposure.lead_time, review_period=exposure.cycle) for method in ("AT", "BT")
    )
    lot = np.maximum(exposure.lot, SMALLEST_LOT)
    in_lots = service("BS", lead_time=exposure.lead_time + 1.0, order_quantity=lot)
    beta = np.where(exposure.lot > 0, in_lots, beta)
    return np.where(rows["service_kind"] == "alpha", alpha, beta)


@dataclass(frozen=True, eq=False)
class PlannedExposure:
    """What the safety stock of each row stands against; arrays [n]."""

    lead_time: Floats
    """L"""
    lead_time_sd: Floats
    cycle: Floats
    """R, periods from one chance to order to the next."""
    lot: Floats
    """Target less reorder position, units; 0 where orders are placed whenever there was demand."""
    sd: Floats
    """Standard deviation of the demand of L + R, units."""


def exposure_of(targets: Targets) -> PlannedExposure:
    """The lead times and cycles that the targets are planned with."""
    rows = targets.parameters
    names = ("demand_mean", "cover", "lead_time", "lead_time_sd")
    mean, cover, lead_time, lead_time_sd = (_numbers(rows, name) for name in names)
    if "service_time" in rows:
        lead_time = cover - 1.0
        lead_time_sd = np.where(lead_time > 0, lead_time_sd, 0.0)
    cycle = np.maximum(cover - lead_time, SHORTEST_CYCLE)
    gap = targets.series["target_position"] - targets.series["reorder_position"]
    gap = gap.groupby([targets.series[name] for name in KEY]).mean()
    lot = np.asarray(gap.reindex(rows.set_index(KEY).index).fillna(0.0), dtype=np.float64)
    variance = cover * _numbers(rows, "demand_sd") ** 2 + (mean * lead_time_sd) ** 2
    return PlannedExposure(lead_time, lead_time_sd, cycle, np.where(lot > NEGLIGIBLE, lot, 0.0), np.sqrt(variance))


def customer_demand(tables: PlanningTables, parameters: pd.DataFrame) -> Floats:
    """[n] mean demand of each location's own customers, 0 at locations that only supply others."""
    supplier, mean = suppliers(tables), _numbers(parameters, "demand_mean")
    if len(supplier) != len(mean):
        raise MethodError(f"targets must be those of the tables: {len(supplier)} item-locations, got {len(mean)}")
    own, supplied = mean.copy(), supplier >= 0
    np.subtract.at(own, supplier[supplied], mean[supplied])
    return np.where(own > NEGLIGIBLE * mean, own, 0.0)


def customer_service(tables: PlanningTables, targets: Targets, *, safety_stock: Floats | None = None) -> float:
    """The planned service of all customers, each location weighed with their demand; 1 without demand."""
    demand = customer_demand(tables, targets.parameters)
    if not demand.any():
        return 1.0
    return float(np.average(planned_service(targets, safety_stock=safety_stock), weights=demand))


def unit_values(tables: PlanningTables, parameters: pd.DataFrame) -> Floats:
    """[n] money that a unit of each row is worth."""
    value = parameters["item"].map(tables["items"].set_index("item")["unit_value"])
    return np.asarray(value, dtype=np.float64)


def component_stock(table: pd.DataFrame) -> Floats:
    """[rows] the stock on hand that is planned, of parameters or series: the sum of every component there is.

    Safety stock below 0, a planned delay, counts as none.
    """
    stock = np.maximum(_numbers(table, "safety_stock"), 0.0)
    for name in ("cycle_stock", "prebuild_stock", "merchandising_stock"):
        if name in table:
            stock = stock + _numbers(table, name)
    return stock


def mean_on_hand(targets: Targets) -> Floats:
    """[n] what is on hand in the mean: the components, and what is backordered, which safety stock has been net of.

    Against a normal demand of deviation sigma a safety stock leaves ``SS + sigma G(SS / sigma)`` on hand; so much more
    than SS as it is small, or below 0. The multistage method knows mean and deviation of the outstanding orders.
    """
    rows, log = targets.parameters, targets.log
    if "outstanding_sd" in log:
        net, sd = log["needed"] + log["safety_stock"] - log["outstanding_mean"], log["outstanding_sd"]
        left = log[KEY].assign(left=_excess(net.to_numpy(dtype=np.float64), sd.to_numpy(dtype=np.float64)))
        index = rows.set_index(KEY).index
        stock = left.groupby(KEY)["left"].mean().reindex(index).to_numpy(dtype=np.float64)
    else:
        exposure, safety = exposure_of(targets), _numbers(rows, "safety_stock")
        short = _excess(safety, exposure.sd) - safety
        stock = safety + short / np.maximum(exposure.cycle, 1.0)
    return np.asarray(np.maximum(stock, 0.0) + component_stock(rows.assign(safety_stock=0.0)))


def _excess(mean: Floats, sd: Floats) -> Floats:
    """E[(mean + sd Z)+] of a standard normal Z."""
    varies = sd > 0
    z = np.divide(mean, sd, out=np.zeros_like(mean), where=varies)
    return np.where(varies, sd * standard_normal_complementary_loss(z), np.maximum(mean, 0.0))


def _numbers(table: pd.DataFrame, column: str) -> Floats:
    return table[column].to_numpy(dtype=np.float64)
