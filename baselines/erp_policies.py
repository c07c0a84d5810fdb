"""The rules of ERP systems as plans for the simulator: dynamic stock, DRP and DDMRP buffers.

Each looks at the installation position of every link and at the forecast, the means of the demand laws by period; none
knows what will be asked for. Where the forecast does not change they are (s, S) rules, which run in the compiled
rollout. Each has one parameter that is tuned by simulation unless it is given: one value for all nodes without
customers, and one for each class of outlets with the same stockout cost, as companies set them by class of items. They
are baselines to rank others by: none of them claims to be optimal.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import ceil
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.class_tuning import tune_by_class
from echelon.baselines.ddmrp import buffer_zones, decoupled_lead_times
from echelon.baselines.dynamic_stock import Coverage, CoverageProfile, coverage_levels
from echelon.baselines.option_types import Whole
from echelon.baselines.plan import Plan
from echelon.baselines.planning_policy import planning_policy
from echelon.baselines.planning_view import PlanningView, steady
from echelon.baselines.requirements import require
from echelon.baselines.requirements_forecast import cover_periods, planned_lead_times
from echelon.baselines.requirements_planning import amounts
from echelon.envs.arrays import network_arrays
from echelon.envs.batched import gather_sum
from echelon.envs.codec import Codec
from echelon.envs.errors import MethodError
from echelon.envs.network import Network
from echelon.envs.policy import OrderUpTo, Policy
from echelon.envs.problem import Problem
from echelon.envs.scenarios import Scenarios

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

ECC = (
    "SAP help pages: Calculating the Average Daily Requirements; Calculating the Minimum, Maximum and Target Stock "
    "Level; Calculating the Dynamic Safety Stock"
)
MARTIN = "A. J. Martin, Distribution Resource Planning, Wiley, 1990; J. Orlicky, Material Requirements Planning, 1975"
PTAK_SMITH = "C. Ptak and C. Smith, Demand Driven Material Requirements Planning (DDMRP), Industrial Press, 2016"

PerLink = float | Sequence[float]
"""One number for all links, or one for each."""


def dynamic_stock_plan(
    problem: Problem,
    *,
    minimum_days: PerLink | None = None,
    target_days: PerLink | None = None,
    coverage_periods: Whole = 2,
    period_length: Whole = 7,
    review_period: Whole = 1,
    scenarios: Scenarios | None = None,
    seed: int = 0,
) -> Plan:
    """ERP dynamic stock: where what is available falls below the minimum, order up to the target.

    Available is what the position leaves once the forecast of the time until the next order can arrive is taken off.
    The levels are days of the average daily requirement of `coverage_periods` calendar periods of `period_length`
    periods each, the current one included. `minimum_days` is tuned unless given. Left out, `target_days` is that much
    and an economic lot, which is 0 without a fixed cost.
    """
    _require_whole_periods(review_period, coverage_periods=coverage_periods, period_length=period_length)
    _require_large_orders(problem.network, "dynamic_stock", review_period)
    view = PlanningView.of(problem, review_period, beyond=coverage_periods * period_length)
    daily = view.average_daily_requirement(coverage_periods, period_length)
    ranges = None if target_days is None else _per_link("target_days", target_days, view.links)

    def build(minimum: Floats) -> Policy:
        least, target = np.empty_like(daily), np.empty_like(daily)
        tops = np.maximum(minimum + view.lot_days if ranges is None else ranges, minimum)
        for e, (low, high) in enumerate(zip(minimum.tolist(), tops.tolist(), strict=True)):
            levels = coverage_levels(daily[:, e], CoverageProfile((Coverage(low, high),)))
            least[:, e], target[:, e] = levels.minimum, levels.target
        return view.policy(below=view.cover + least, up_to=view.cover + target)

    if minimum_days is None:
        most = view.most_days if ranges is None else np.minimum(view.most_days, ranges)
        days = tune_by_class(problem, build, most, scenarios, seed)
    else:
        days = _per_link("minimum_days", minimum_days, view.links)
    if ranges is not None and minimum_days is not None and (days > ranges).any():
        raise MethodError(f"target_days must be at least minimum_days = {days.max():g}, got {ranges.min():g}")
    policy = build(days)
    tops = days + view.lot_days if ranges is None else np.maximum(ranges, days)
    return Plan(policy, {"minimum_days": days.tolist(), "target_days": tops.tolist(), **_levels(policy)}, citation=ECC)


def drp_plan(
    problem: Problem,
    *,
    safety_days: PerLink | None = None,
    supply_periods: Whole | None = None,
    review_period: Whole = 1,
    scenarios: Scenarios | None = None,
    seed: int = 0,
) -> Plan:
    """DRP and MRP: net the forecast at every review, and release what is due, from the customers up to the sources.

    The safety stock of every link is `safety_days` of its mean requirement, tuned unless given. A receipt covers the
    net requirements of `supply_periods` review periods; left out, as many as make an economic lot, 1 without a fixed
    cost. With a steady forecast and neither lots nor limits, netting is a base-stock rule and is run as one.
    """
    _require_whole_periods(review_period, supply_periods=1 if supply_periods is None else supply_periods)
    _require_large_orders(problem.network, "drp", review_period)
    network = problem.network
    supply = _supply_periods(network, review_period, supply_periods)
    by_record = network_arrays(network).bounded_orders or max(supply) > 1 or not steady(network)
    view = PlanningView.of(problem, review_period)
    need = Codec(network).need * ~network_arrays(network).is_lateral

    def build(days: Floats) -> Policy:
        if by_record:
            return planning_policy(problem, days * need, supply_periods=supply, review_period=review_period)
        return view.policy(below=view.cover + days * need, up_to=view.cover + days * need)

    if safety_days is None:
        days = tune_by_class(problem, build, view.most_days, scenarios, seed)
    else:
        days = _per_link("safety_days", safety_days, view.links)
    policy = build(days)
    return Plan(policy, {"safety_days": days.tolist(), **_levels(policy)}, citation=MARTIN)


def ddmrp_plan(
    problem: Problem,
    *,
    lead_time_factor: PerLink | None = None,
    variability_factor: PerLink | None = None,
    usage_periods: Whole = 28,
    order_cycle: float = 0.0,
    buffered: Sequence[str] | None = None,
    review_period: Whole = 1,
    scenarios: Scenarios | None = None,
    seed: int = 0,
) -> Plan:
    """DDMRP: order up to the top of green where the net flow is at or below the top of yellow.

    The average daily usage is the forecast of the next `usage_periods`, the decoupled lead time the time that an order
    must last for. `lead_time_factor` is tuned unless given; left out, the variability factor is the coefficient of
    variation of a period's requirement, at most 1. The green zone is at least an economic lot and `order_cycle` periods
    of usage. Nodes that are not `buffered` order what they are asked for. Components of one node are ordered
    together, by the longest of their lead times.
    """
    _require_whole_periods(review_period, usage_periods=usage_periods)
    _require_large_orders(problem.network, "ddmrp", review_period)
    view = PlanningView.of(problem, review_period, beyond=usage_periods)
    network, codec = problem.network, Codec(problem.network)
    arrays = network_arrays(network)
    held = np.array([buffered is None or link.target in buffered for link in network.links]) & ~arrays.is_lateral
    times = _buffer_lead_times(network, decoupled_lead_times(network, buffered))
    lasting = cover_periods(network, times, review_period=review_period)
    usage = np.stack([view.forecast.total[t : t + usage_periods].mean(axis=0) for t in range(view.periods)])
    spread = np.divide(codec.sd, codec.need, out=np.zeros(view.links), where=codec.need > 0)
    factor = np.minimum(spread, 1.0)
    if variability_factor is not None:
        factor = _per_link("variability_factor", variability_factor, view.links)
    lot = np.maximum.reduce([arrays.min_order, arrays.lot_size, codec.economic_lot])

    def build(lead_time_factor: Floats) -> Policy:
        zones = buffer_zones(
            daily_usage=usage,
            lead_time=lasting,
            lead_time_factor=lead_time_factor,
            variability_factor=factor,
            minimum_order=lot,
            order_cycle=order_cycle,
        )
        return view.policy(at_most=zones.top_of_yellow * held, up_to=zones.top_of_green * held)

    if lead_time_factor is None:
        most = np.maximum(2.0, 5 * spread / np.sqrt(np.maximum(lasting, 1)))
        factors = tune_by_class(problem, build, most, scenarios, seed)
    else:
        factors = _per_link("lead_time_factor", lead_time_factor, view.links)
    policy = build(factors)
    chosen = {"lead_time_factor": factors.tolist(), "variability_factor": factor.tolist()}
    return Plan(policy, {**chosen, **_levels(policy)}, citation=PTAK_SMITH)


def _supply_periods(network: Network, review_period: int, supply_periods: int | None) -> list[int]:
    """[E] review periods that a receipt covers: those of an economic lot, unless they are given."""
    if supply_periods is not None:
        return [supply_periods] * len(network.links)
    codec = Codec(network)
    of_review = review_period * codec.need
    ratio = np.divide(codec.economic_lot, of_review, out=np.zeros_like(of_review), where=of_review > 0)
    return [max(1, round(periods)) for periods in ratio.tolist()]


def _buffer_lead_times(network: Network, times: Sequence[float]) -> Ints:
    """[E] whole periods: one lead time for all components of a node, and for all sources that share one buffer."""
    arrays, whole = network_arrays(network), np.array([ceil(time) for time in times])
    planned = planned_lead_times(network)
    for links in arrays.in_links:
        members = links[links < len(network.links)]
        together = len(set(arrays.pool[members])) > 1 or len(set(planned[members])) == 1
        if together and len(members):
            whole[members] = whole[members].max()
    return whole


def _per_link(key: str, value: PerLink, links: int) -> Floats:
    """[E] an option that is one number for all links or one for each."""
    values = amounts(key, value)
    if values.shape not in ((), (links,)):
        raise MethodError(f"{key} must be one number or {links}, one per link, got {values.size}")
    return np.array(np.broadcast_to(values, (links,)))


def _levels(policy: Policy) -> dict[str, Any]:
    """The levels of a rule that has one of each per link."""
    if not isinstance(policy, OrderUpTo):
        return {}
    return {"reorder": policy.reorder.tolist(), "up_to": policy.up_to.tolist()}


def _require_whole_periods(review_period: int, **others: int) -> None:
    for key, value in {"review_period": review_period, **others}.items():
        if value < 1:
            raise MethodError(f"{key} must be at least 1, got {value}")


def _require_large_orders(network: Network, method: str, review_period: int) -> None:
    """Raise `MethodError` if the largest orders of a review period are less than what is required in it."""
    arrays, need = network_arrays(network), Codec(network).need
    for e in np.flatnonzero(arrays.is_first).tolist() if review_period > 1 else ():
        most = gather_sum(arrays.max_order[None], arrays.pool_links[[e]])[0, 0]
        rule = f"largest orders that reach for a review period (got {most:g} for {review_period} periods "
        require(method, {f"{rule}of {need[e]:g} on link {network.links[e].label})": most < review_period * need[e]})
