"""The guaranteed-service model: where to hold safety stock so that every stage keeps the service time it quotes.

Every stage j quotes an outbound service time S_j to those it supplies: what is ordered in period t is
delivered by t + S_j. It waits SI_j, the longest of its suppliers' service times, and its stage time T_j, so
that its stock must last the net replenishment time tau_j = SI_j + T_j - S_j >= 0. Demand over tau periods
is bounded by mu tau + z sigma sqrt(tau), and what exceeds it is met by measures outside the model. So
stage j needs the base stock ``mu_j tau_j + z sigma_j sqrt(tau_j)``, and the service times are chosen so
that the holding cost ``sum_j h_j z sigma_j sqrt(tau_j)`` of the safety stock is least. Pipeline stock,
mu_j T_j, is the same for all.

Any network without cycles is solved to proven optimality, within limits of time and size, see `service_times`.
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.service_core import best_service_times
from echelon.baselines.service_times import ServiceTimeProblem, ServiceTimes
from echelon.baselines.stage_costs import StageCost, cost_table, early_stock, holding_costs, safety_stock, whole_time
from echelon.baselines.stage_demand import demand_bounds, demand_means, safety_factors
from echelon.baselines.stage_network import Stage, StageNetwork
from echelon.envs.errors import MethodError, nearest

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

GRAVES_WILLEMS = (
    "S. C. Graves and S. P. Willems, Optimizing strategic safety stock placement in supply chains, "
    "Manufacturing & Service Operations Management 2(1), 2000"
)

LONGEST_TIME, MOST_TIMES = 1_000_000, 300_000_000
"""Periods from an outside supplier to a stage's item, and the sum over all stages, up to which tables fit in memory."""


@dataclass(frozen=True, eq=False)
class GuaranteedService:
    """Service times with the stock and the cost that they mean, by stage [N] in the order of `network.stages`."""

    network: StageNetwork
    inbound: Ints
    """[N] SI, periods"""
    outbound: Ints
    """[N] S, periods"""
    net_replenishment_time: Floats
    """[N] tau = SI + T - S, periods; its mean where T is random."""
    safety_stock: Floats
    """[N] units"""
    early_stock: Floats
    """[N] units that are there before they are due, where the stage time is random"""
    base_stock: Floats
    """[N] mu tau + safety stock + early stock, units"""
    pipeline_stock: Floats
    """[N] mu T, units"""
    stage_cost: Floats
    """[N] in the money and time of the holding costs"""
    cost: float
    """The sum of the stages' costs."""
    lower_bound: float
    """No service times that are allowed cost less than this."""
    solve_seconds: float = 0.0

    @property
    def gap(self) -> float:
        """By what share of the cost it may be above the least cost."""
        return float(max(self.cost - self.lower_bound, 0.0) / abs(self.cost)) if self.cost else 0.0

    @property
    def service_times(self) -> dict[str, int]:
        """The outbound service time of each stage by its name."""
        return {stage.name: int(s) for stage, s in zip(self.network.stages, self.outbound, strict=True)}

    @property
    def placement(self) -> list[str]:
        """The stages that hold safety stock."""
        return [stage.name for stage, units in zip(self.network.stages, self.safety_stock, strict=True) if units > 0]


def guaranteed_service(
    network: StageNetwork,
    *,
    stage_costs: Mapping[str, StageCost] | None = None,
    outbound: Mapping[str, int] | None = None,
    holds_stock: Mapping[str, bool] | None = None,
    merge: bool = True,
    time_limit: float = 600.0,
) -> GuaranteedService:
    """The service times of least cost, with a proof.

    For what-if questions `outbound` fixes the outbound service times of some stages, and `holds_stock`
    says of some whether their net replenishment time must or must not be positive, in place of the stage's
    own `holds_stock`. `stage_costs` replaces the holding cost of safety stock at some stages by any function of
    the inbound and outbound service time. `merge` says whether twins are merged; the cost is the same.
    After `time_limit` seconds HiGHS stops, and `gap` says how far the cost may be from the least. Raises
    `MethodError` where no service times meet what is asked, where a network is too large, and where HiGHS
    has found no service times in time.
    """
    started = time.perf_counter()
    holds = {stage.name: stage.holds_stock for stage in network.stages if stage.holds_stock is not None}
    holds |= holds_stock or {}
    problem = _problem(network, stage_costs or {}, outbound or {}, holds)
    best = best_service_times(problem, merge=merge, time_limit=time_limit)
    if not math.isfinite(best.cost):
        asked = ", ".join(dict.fromkeys([*(outbound or {}), *holds, *(stage_costs or {})]))
        raise MethodError(f"no service times meet what is asked of the stages {asked}")
    return _described(network, problem, best, time.perf_counter() - started)


def cost_of_service_times(
    network: StageNetwork, outbound: Mapping[str, int], *, stage_costs: Mapping[str, StageCost] | None = None
) -> GuaranteedService:
    """What given outbound service times of all stages cost, each stage with the inbound one that is best for it.

    Raises `MethodError` that names the stage if a service time is missing or not allowed.
    """
    missing = [stage.name for stage in network.stages if stage.name not in outbound]
    if missing:
        raise MethodError(f"outbound must have a service time for every stage (none for {missing[0]})")
    return guaranteed_service(network, stage_costs=stage_costs, outbound=outbound)


def _problem(
    network: StageNetwork,
    stage_costs: Mapping[str, StageCost],
    outbound: Mapping[str, int],
    holds_stock: Mapping[str, bool],
) -> ServiceTimeProblem:
    for name, values in (("stage_costs", stage_costs), ("outbound", outbound), ("holds_stock", holds_stock)):
        for unknown in [stage for stage in values if stage not in network.index]:
            raise MethodError(f"{name}: there is no stage {unknown!r}{nearest(unknown, network.index)}")
    for stage_name, held in holds_stock.items():
        if not isinstance(held, bool | np.bool_):
            raise MethodError(f"holds_stock: must be true or false for {stage_name} (got {held!r})")
    waits, times = longest_waits(network)
    means, bounds, factors = demand_means(network), demand_bounds(network), safety_factors(network)
    costs, inbound_costs, outbound_costs = [], [], []
    for j, stage in enumerate(network.stages):
        wait, longest = int(waits[j]), int(waits[j] + times[j])
        if stage.name in stage_costs:
            cost = cost_table(stage, stage_costs[stage.name], wait)
        else:
            cost = holding_costs(stage, longest, mean=means[j], bound=bounds[j], safety_factor=factors[j])
        if stage.name in holds_stock:
            cost = _placed(stage, cost, holds=holds_stock[stage.name])
        costs.append(cost)
        inbound_costs.append(np.where(np.arange(wait + 1) >= stage.inbound_service_time, 0.0, np.inf))
        outbound_costs.append(_quotable(stage, longest, outbound.get(stage.name)))
    return ServiceTimeProblem(network.suppliers, times, costs, inbound_costs, outbound_costs)


def longest_waits(network: StageNetwork) -> tuple[Ints, Ints]:
    """[N] the longest inbound service time of each stage, and its whole stage time."""
    times = np.array([min(whole_time(stage), 2 * LONGEST_TIME) for stage in network.stages], dtype=np.int64)
    waits = np.array([stage.inbound_service_time for stage in network.stages], dtype=np.int64)
    for j in network.order:
        for i in network.suppliers[j]:
            waits[j] = max(waits[j], waits[i] + times[i])
    longest = waits + times
    if longest.max() > LONGEST_TIME or longest.sum() > MOST_TIMES:
        stage = network.stages[int(longest.argmax())]
        raise MethodError(
            f"guaranteed_service needs replenishment times of at most {LONGEST_TIME:,} periods at a stage (got at "
            f"least {longest.max():,} at {stage.name}) and {MOST_TIMES:,} over all stages (got at least "
            f"{longest.sum():,}): count in longer periods"
        )
    return waits, times


def _quotable(stage: Stage, longest: int, fixed: int | None) -> Floats:
    """[M+1] 0 for the outbound service times that are allowed, else infinite."""
    limit = min(stage.longest_service_time, longest)
    times = np.arange(longest + 1)
    if fixed is None:
        return np.where(times <= limit, 0.0, np.inf)
    if not (isinstance(fixed, int | np.integer) and not isinstance(fixed, bool) and 0 <= fixed <= limit):
        promised = ", what its customers are promised" if limit < longest else ""
        raise MethodError(
            f"outbound: the service time of {stage.name} must be a whole number from 0 to {limit:g}{promised} "
            f"(got {fixed!r})"
        )
    return np.where(times == fixed, 0.0, np.inf)


def _placed(stage: Stage, cost: Floats, *, holds: bool) -> Floats:
    """The cost where only a positive net replenishment time is allowed, or only none."""
    time, longest = whole_time(stage), cost.shape[-1] - 1
    steps = np.arange(longest + 1) if cost.ndim == 1 else np.arange(len(cost))[:, None] + time - np.arange(longest + 1)
    part = max(stage.times) - time
    if holds and longest + part == 0:
        raise MethodError(f"holds_stock: {stage.name} cannot hold safety stock, since it waits for nothing")
    if part > 0 and not holds:
        raise MethodError(f"holds_stock: {stage.name} must hold safety stock, since its stage time is not whole")
    return np.where((steps + part > 0) == holds, cost, np.inf)


def _described(
    network: StageNetwork, problem: ServiceTimeProblem, best: ServiceTimes, seconds: float
) -> GuaranteedService:
    steps = best.inbound + problem.time - best.outbound
    means, bounds, factors = demand_means(network), demand_bounds(network), safety_factors(network)
    mean_times = np.array([stage.mean_time for stage in network.stages])
    safety, early = np.zeros(len(steps)), np.zeros(len(steps))
    for j, (stage, k) in enumerate(zip(network.stages, steps.astype(np.float64), strict=True)):
        safety[j] = safety_stock(stage, k, mean=means[j], bound=bounds[j], safety_factor=factors[j])
        early[j] = early_stock(stage, k, mean=means[j])
    net = best.inbound + mean_times - best.outbound
    return GuaranteedService(
        network=network,
        inbound=best.inbound,
        outbound=best.outbound,
        net_replenishment_time=net,
        safety_stock=safety,
        early_stock=early,
        base_stock=means * net + safety + early,
        pipeline_stock=means * mean_times,
        stage_cost=problem.costs_at(best.inbound, best.outbound),
        cost=best.cost,
        lower_bound=best.lower_bound,
        solve_seconds=seconds,
    )
