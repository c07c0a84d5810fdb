"""The planning methods for all locations of an item together: multi-stage targets, and guaranteed service times.

Both are solved for the mean forecast of some weeks ahead, again and again, each time with what is known by then; the
safety stocks stand until the next time, while target positions follow the forecast every day.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from echelon.baselines.guaranteed_service import GuaranteedService, guaranteed_service
from echelon.baselines.planning_drivers import DRIVERS, multistage_parts
from echelon.baselines.planning_inputs import WEEK, PlanningInputs, depths
from echelon.baselines.planning_methods import Planned, log_rows, whole_weeks
from echelon.baselines.planning_required import kept_rows, require_promises
from echelon.baselines.planning_tables import PlanningTables
from echelon.baselines.requirements import require_at_least_zero
from echelon.baselines.stage_demand import demand_bounds, demand_means, safety_factors
from echelon.baselines.stage_network import StageNetwork
from echelon.baselines.stochastic_service import DistributionTree, StockTargets, evaluate_levels, multistage_targets
from echelon.envs.errors import MethodError

if TYPE_CHECKING:
    import pandas as pd

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

LEAST_VARIANCE = 1e-12
"""Of a demand that does not vary, where a formula divides by its deviation."""
STATED = (0.51, 0.999)
"""The least and the most service that a stock counts as which is set elsewhere without one."""
QUARTER = 13
"""Weeks from one run of a method for trees to the next, unless another number is given."""


def plan_multistage(
    tables: PlanningTables, inputs: PlanningInputs, *, every_weeks: int = QUARTER, change: float = 0.1
) -> Planned:
    """Least holding cost for the service that customers are promised; the service of other locations is a result.

    Service levels of locations without customers are not read: `internal_service` is what comes out. A run in which the
    mean demand of no location has changed by more than the share `change` keeps the safety stocks of the last one.
    Safety stock that is set elsewhere stands, and all others are planned around it. Locations that supply others must
    have no customers of their own.
    """
    require_at_least_zero("change", change)
    require_promises(tables, inputs, "multistage")
    runs = _Runs.of(inputs, every_weeks)
    shape = (len(inputs.rows), len(runs.starts))
    needed = runs.mean.T * (inputs.lead_time + 1.0)[:, None] + runs.received.T * inputs.lead_time[:, None]
    given = np.where(kept_rows(inputs), inputs.rows["safety_stock"].to_numpy(dtype=np.float64), np.nan)
    found = {name: np.zeros(shape) for name in (*_MULTISTAGE, *DRIVERS)}
    solved = np.zeros(shape[1], dtype=np.int64)
    for k in range(shape[1]):
        mean, last = runs.mean[k], runs.mean[solved[k - 1]]
        if k and (np.abs(mean - last) <= change * last).all():
            solved[k] = solved[k - 1]
            continue
        solved[k] = k
        found["internal_service"][:, k] = 1.0
        for tree, members in _trees(inputs, mean, runs.variance[k]):
            best = _targets(tree, needed[members, k] + given[members])
            planned = best.level - needed[members, k]
            found["safety_stock"][members, k] = np.where(np.isnan(given[members]), planned, given[members])
            found["internal_service"][members, k] = best.service
            found["outstanding_mean"][members, k], found["outstanding_sd"][members, k] = best.mean, best.variance**0.5
            for name, part in multistage_parts(tree, best).items():
                found[name][members, k] = part
    found = {name: values[:, solved] for name, values in found.items()}
    columns = {
        "solved": inputs.days[runs.starts[solved]],
        "needed": needed,
        **{name: found[name] for name in _MULTISTAGE},
    }
    columns["base_stock"] = needed + found["safety_stock"]
    extra = {name: np.asarray(columns[name]).mean(axis=1) for name in ("base_stock", "internal_service")}
    log = log_rows(inputs, columns, runs=runs.starts)
    parts = {name: runs.daily(found[name]).mean(axis=1) for name in DRIVERS}
    return Planned(runs.daily(found["safety_stock"]), inputs.lead_time + 1.0, log, extra, drivers=parts)


def _targets(tree: DistributionTree, given: Floats) -> StockTargets:
    """The best levels beside those that are `given` [N], NaN where none is, and what all of them achieve."""
    level = np.maximum(np.rint(given), 0.0)
    stands = ~np.isnan(given)
    placed = {j: float(level[j]) for j in np.flatnonzero(stands & tree.is_warehouse).tolist()}
    best = multistage_targets(tree, placed=placed)
    return evaluate_levels(tree, np.where(stands, level, best.level)) if stands.any() else best


_MULTISTAGE = ("outstanding_mean", "outstanding_sd", "internal_service", "safety_stock")


def plan_gsm(
    tables: PlanningTables,
    inputs: PlanningInputs,
    *,
    service_level: float | None = None,
    every_weeks: int = QUARTER,
) -> Planned:
    """Guaranteed service times of least safety-stock cost, solved once, for the mean forecast of the first weeks.

    The safety factor of each location with customers is the normal quantile of its service level in the tables,
    or of `service_level` for all. The service times stand; the safety stocks follow the forecast.
    """
    if service_level is None:
        require_promises(tables, inputs, "gsm")
    runs = _Runs.of(inputs, every_weeks)
    rows, shape = inputs.rows, (len(inputs.rows), len(runs.starts))
    bound, factor_mean = np.zeros(shape), np.zeros(shape)
    due, net, variance, quoted = (np.zeros(shape[0]) for _ in range(4))
    for item in rows["item"].unique():
        members = np.flatnonzero((rows["item"] == item).to_numpy())
        for k in range(shape[1]):
            stages = _stages(inputs, members, runs.mean[k], runs.variance[k], service_level)
            bound[members, k] = demand_bounds(stages)
            factor_mean[members, k] = safety_factors(stages) * demand_means(stages)
            if k == 0:
                plan = guaranteed_service(stages)
                quoted[members] = plan.outbound
                due[members], net[members], variance[members] = _net_times(plan)
    safety = np.sqrt(bound**2 * net[:, None] + factor_mean**2 * variance[:, None])
    columns = {
        "bound": bound,
        "factor_mean": factor_mean,
        "net_time": net[:, None],
        "net_time_variance": variance[:, None],
        "service_time": quoted[:, None],
        "safety_stock": safety,
    }
    extra = {"service_time": quoted.astype(np.int64), "net_time": net}
    return Planned(runs.daily(safety), due + 1.0, log_rows(inputs, columns, runs=runs.starts), extra)


def _net_times(plan: GuaranteedService) -> tuple[Floats, Floats, Floats]:
    """[N] the mean periods between an order's arrival and the promise that it is for, not below 0; and mean and
    variance of the net replenishment time, which is a period more for customers."""
    due, net, variance = [], [], []
    for stage, inbound, outbound in zip(plan.network.stages, plan.inbound, plan.outbound, strict=True):
        times, chances = (np.array(list(part)) for part in (stage.times, stage.times.values()))
        late = np.maximum(inbound + times - outbound, 0.0)
        due.append(chances @ np.maximum(inbound + times - outbound - float(stage.has_customers), 0.0))
        net.append(chances @ late)
        variance.append(max(chances @ late**2 - net[-1] ** 2, 0.0))
    return np.array(due), np.array(net), np.array(variance)


@dataclass(frozen=True, eq=False)
class _Runs:
    """When a method for trees is run, and the forecast of the weeks until its next run, as it is known then."""

    starts: Ints
    """[K]"""
    periods: int
    mean: Floats
    """[K, n] of the demand of a period of each location's own customers"""
    variance: Floats
    """[K, n]"""
    received: Floats
    """[K, n] mean of what the locations that each one supplies ask for per period"""

    @classmethod
    def of(cls, inputs: PlanningInputs, every_weeks: int) -> _Runs:
        starts = np.arange(0, inputs.periods, whole_weeks("every_weeks", every_weeks) * WEEK)
        ends = np.append(starts[1:], inputs.periods)
        own, variance, total = ([] for _ in range(3))
        none = np.ones(len(inputs.rows))
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            view = min(start // WEEK, len(inputs.own) - 1)
            ahead = slice(start, end)
            own.append(inputs.own[view, :, ahead].mean(axis=1))
            variance.append(inputs.own_variance[view, :, ahead].mean(axis=1))
            total.append(inputs.passed_up(own[-1][None, :, None], none)[0, :, 0])
        means = np.array(own)
        return cls(starts, inputs.periods, means, np.array(variance), np.maximum(np.array(total) - means, 0.0))

    def daily(self, values: Floats) -> Floats:
        """[n, T] what each run sets [n, K], until the next one."""
        lasts = np.diff(np.append(self.starts, self.periods))
        return np.repeat(values, lasts, axis=1)


def _trees(inputs: PlanningInputs, mean: Floats, variance: Floats) -> Iterator[tuple[DistributionTree, Ints]]:
    """The distribution tree of each item, with the rows that it is of, suppliers first; without idle locations."""
    rows, supplier = inputs.rows, inputs.supplier
    flow = inputs.passed_up(mean[None, :, None], np.ones(len(rows)))[0, :, 0]
    depth = depths(supplier)
    for item in rows["item"].unique():
        members = np.flatnonzero((rows["item"] == item).to_numpy() & (flow > 0))
        members = members[np.argsort(depth[members], kind="stable")]
        place = np.full(len(rows) + 1, -1)
        place[members] = np.arange(len(members))
        of = rows.iloc[members]
        target = _promised(of, mean[members], variance[members])
        both = np.flatnonzero((mean[members] > 0) & np.isin(members, supplier[members]))
        if len(both):
            raise MethodError(
                "multistage needs customers only where no other location is supplied, "
                f"got both for {item} at {of['location'].iloc[both[0]]}"
            )
        if len(members):
            yield (
                DistributionTree(
                    supplier=place[supplier[members]],
                    lead_time=inputs.lead_time[members],
                    lead_time_variance=of["lead_time_sd"].to_numpy(dtype=np.float64) ** 2,
                    demand_mean=mean[members],
                    demand_variance=variance[members],
                    holding_cost=of["holding_cost"].to_numpy(dtype=np.float64),
                    target=target,
                    ready_rate=(of["service_kind"] == "alpha").to_numpy(),
                ),
                members,
            )


def _promised(rows: pd.DataFrame, mean: Floats, variance: Floats) -> Floats:
    """[n] the service levels of locations with customers, 0 elsewhere.

    Where there is none safety stock is set elsewhere: its level is that of the periods without a shortage that such a
    stock gives, of what is covered in the mean, with supply in time.
    """
    level, stock, lead_time = (
        rows[name].to_numpy(dtype=np.float64) for name in ("service_level", "safety_stock", "lead_time")
    )
    deviation = np.sqrt(np.maximum(variance * (lead_time + 1.0), LEAST_VARIANCE))
    given = np.clip(ndtr(np.where(np.isnan(level), stock, 0.0) / deviation), *STATED)
    return np.where(mean > 0, np.where(np.isnan(level), given, level), 0.0)


def _stages(
    inputs: PlanningInputs, members: Ints, mean: Floats, variance: Floats, service_level: float | None
) -> StageNetwork:
    """The stages of an item, one for each of its rows in their order."""
    rows, names = inputs.rows.iloc[members], inputs.rows["location"].to_numpy()
    levels = np.full(len(members), service_level or 0.0)
    if service_level is None:
        levels = _promised(rows, mean[members], variance[members])
    supplies = np.isin(members, inputs.supplier)
    stages = []
    for j, row, level, busy in zip(members.tolist(), rows.to_dict("records"), levels.tolist(), supplies, strict=True):
        serves = bool(mean[j] > 0)
        if serves and not 0.5 < level < 1:
            raise MethodError(
                f"gsm needs a service_level above 0.5 and below 1 at locations with customers, got {level:g} "
                f"for {row['item']} at {row['location']}"
            )
        stage: dict[str, Any] = {
            "name": row["location"],
            "stage_time": _two_times(float(row["lead_time"]), float(row["lead_time_sd"]), serves),
            "holding_cost": float(row["holding_cost"]),
            "suppliers": {names[inputs.supplier[j]]: 1.0} if inputs.supplier[j] >= 0 else {},
        }
        if serves:
            stage |= {"demand_mean": float(mean[j]), "demand_sd": float(variance[j] ** 0.5), "service_level": level}
        elif not busy:
            stage["demand_bound"] = 0.0
        stages.append(stage)
    return StageNetwork.from_dict({"name": str(rows["item"].iloc[0]), "stages": stages})


def _two_times(mean: float, sd: float, serves: bool) -> float | dict[float, float]:
    """A stage time of that mean and standard deviation, with a period more where there are customers."""
    if mean * sd == 0:
        return mean + serves
    below = min(sd, mean)
    above = sd**2 / below
    return {mean - below + serves: above / (above + below), mean + above + serves: below / (above + below)}
