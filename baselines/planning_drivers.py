"""What drives the safety stocks of a plan: parts of each of them that sum to it, one for each of `DRIVERS`.

`assp` switches the drivers on one after the other in its own formula (`stock_drivers`): the deviation of demand, that
of the lead time, a lot that is given, and the reorder cycle beyond one period. What a band then moves is the part
"band", what a budget or a storage takes away is "limit" (`planning_limits`), and stock that is stated in the tables, or
that a formula has without any driver, is "base".

`multistage` does so at the safety factor ``k = (S - E[X]) / sd[X]`` that its levels give a location, X being the
outstanding orders (`stochastic_service`), of mean ``mu c + w`` with w what the supplier owes:

    demand             k sigma sqrt(c)
    lead time          k (sqrt(sigma^2 c + mu^2 Var[L]) - sigma sqrt(c))
    upstream service   w + k (sd[X] - sqrt(sigma^2 c + mu^2 Var[L]))

Where a factor is negative, a planned delay, so are the parts. `dynamic` reads no deviation, and under `gsm` they are
bounds over net times that all locations share: neither has parts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.distribution_tree import DistributionTree
from echelon.baselines.safety_stock import EXTENDED, NEEDED
from echelon.baselines.stochastic_service import StockTargets
from echelon.baselines.stock_drivers import switched_on

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Formula = Callable[[str, Mapping[str, Any]], Floats]

DRIVERS = ("demand", "lead_time", "upstream_service", "lot_size", "review_period", "band", "limit", "base")
"""The parts, each in the column `driver_NAME` of the parameters."""
ONE_PERIOD = 1.0
"""The reorder cycle that drives nothing."""


def assp_parts(log: pd.DataFrame, formula: Formula, given_lot: Bools) -> dict[str, Floats]:
    """[rows] each part of the safety stocks of a log of `plan_safety_stock`, planned by the formula.

    `given_lot` [rows] says where a lot is given; elsewhere it is the demand of the reorder cycle.
    """
    planned, stock = (log[name].to_numpy(dtype=np.float64) for name in ("planned_stock", "safety_stock"))
    parts = {name: np.zeros(len(log)) for name in DRIVERS}
    parts["base"] = planned.copy()
    parts["band"] = stock - planned
    for method in EXTENDED:
        rows = np.flatnonzero((log["stock_method"] == method) & (log["status"] == "planned"))
        keys = (*NEEDED[method], "lead_time_sd")
        fields = {key: log[key].to_numpy(dtype=np.float64)[rows] for key in keys}
        off, steps = _steps(fields, given_lot[rows])
        of = partial(_with_fields, formula, method, fields)
        for name, part in switched_on(of, off, steps, whole=planned[rows]).items():
            parts[name][rows] = part
    return parts


def _with_fields(formula: Formula, method: str, fields: Mapping[str, Floats], changed: Mapping[str, Any]) -> Floats:
    return formula(method, {**fields, **changed})


def _steps(fields: Mapping[str, Floats], given_lot: Bools) -> tuple[dict[str, Floats], dict[str, dict[str, Floats]]]:
    """The fields of `assp` at which nothing drives the stock, and those that each driver changes."""
    drivers = {"demand": "demand_sd", "lead_time": "lead_time_sd"}
    off = {key: np.zeros_like(fields[key]) for key in drivers.values()}
    steps = {driver: {key: fields[key]} for driver, key in drivers.items()}
    if "review_period" in fields:
        off["review_period"] = np.full_like(fields["review_period"], ONE_PERIOD)
        steps["review_period"] = {"review_period": fields["review_period"]}
    if "order_quantity" in fields:
        lot, day = fields["order_quantity"], fields["demand_mean"] * ONE_PERIOD
        off["order_quantity"] = np.where(day > 0, day, lot)
        steps["lot_size"] = {"order_quantity": np.where(given_lot, lot, off["order_quantity"])}
        steps["review_period"] = {"order_quantity": lot}
    return off, steps


def multistage_parts(tree: DistributionTree, best: StockTargets) -> dict[str, Floats]:
    """[N] each part of the safety stocks, the levels less what must be covered in the mean."""
    flow, flow_variance = tree.flow
    own = flow_variance * tree.cover
    sds = (np.sqrt(own), np.sqrt(own + flow**2 * tree.lead_time_variance), np.sqrt(best.variance))
    above = best.level - best.mean
    varies = sds[2] > 0
    factor = np.divide(above, sds[2], out=np.zeros_like(above), where=varies)
    parts = {name: np.zeros_like(above) for name in DRIVERS}
    parts["demand"] = factor * sds[0]
    parts["lead_time"] = factor * (sds[1] - sds[0])
    parts["upstream_service"] = best.mean - flow * tree.cover + factor * (sds[2] - sds[1])
    parts["base"] = np.where(varies, 0.0, above)
    return parts
