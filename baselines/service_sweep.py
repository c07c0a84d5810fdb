"""How the safety stock of a guaranteed-service network moves when a service level or a holding cost does."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np

from echelon.baselines.guaranteed_service import GuaranteedService, guaranteed_service
from echelon.baselines.service_analysis import numbers
from echelon.baselines.stage_demand import mean_flow
from echelon.baselines.stage_network import StageNetwork
from echelon.envs.errors import MethodError, nearest


@dataclass(frozen=True, eq=False)
class ServiceLevelPoint:
    """The optimum at one service level of all customers."""

    service_level: float
    solution: GuaranteedService

    @property
    def cost(self) -> float:
        """Of the safety stock at all stages."""
        return self.solution.cost

    @property
    def safety_stock(self) -> float:
        """Units at all stages together."""
        return float(self.solution.safety_stock.sum())


def service_level_sweep(network: StageNetwork, levels: float | Iterable[float]) -> tuple[ServiceLevelPoint, ...]:
    """The optimum at each service level, one or several, which replaces those of all customers.

    If no stage time is random, one optimum tells them all. With the same z at every customer the bound of
    stage j is ``z (sum_d (n_d sigma_d)^p)^(1/p) = z b_j``, so that service times tau cost ``z sum_j h_j b_j
    sqrt(tau_j)``. What may be chosen does not depend on z, and a positive factor moves no minimiser: the
    service times are best at every level, and safety stock, cost and bound are in proportion to z. Early
    arrivals under random stage times, mu E[(-tau)^+], do not grow with z; each level is solved then.
    Raises `MethodError`, also where a `demand_bound` is given, since it does not say which z is in it.
    """
    swept = numbers("levels", levels)
    for level in swept:
        if not 0.5 < level < 1:
            raise MethodError(f"levels must lie between 0.5 and 1 (got {level:g})")
    given = [stage.name for stage in network.stages if stage.demand_bound]
    if given:
        raise MethodError(f"service_level_sweep needs demand_sd instead of demand_bound (got one at {given[0]})")
    one_tells_all = all(len(stage.times) == 1 for stage in network.stages)
    points: list[ServiceLevelPoint] = []
    for level in swept:
        at_level = network.with_service_level(level)
        known = points[0].solution if points and one_tells_all else None
        solution = guaranteed_service(at_level) if known is None else _scaled(known, at_level)
        points.append(ServiceLevelPoint(level, solution))
    return tuple(points)


def _scaled(solution: GuaranteedService, network: StageNetwork) -> GuaranteedService:
    """The optimum of a network that differs in the one safety factor of all customers only."""
    factor = _safety_factor(network) / _safety_factor(solution.network)
    safety = factor * solution.safety_stock
    return replace(
        solution,
        network=network,
        safety_stock=safety,
        base_stock=solution.base_stock - solution.safety_stock + safety,
        stage_cost=factor * solution.stage_cost,
        cost=factor * solution.cost,
        lower_bound=factor * solution.lower_bound,
        solve_seconds=0.0,
    )


def _safety_factor(network: StageNetwork) -> float:
    return next((stage.z for stage in network.stages if stage.z is not None), 1.0)


@dataclass(frozen=True, eq=False)
class Postponement:
    """The optimum if the item is worth more from one stage on."""

    added_holding_cost: float
    """Per unit of the stage's item and period."""
    solution: GuaranteedService
    downstream_units: float
    """Safety and early stock at the stage and downstream of it, in units of its item that are in there."""
    upstream_cost: float
    """Of the stock at all other stages, whose holding costs stay as they are."""


def postponement(
    network: StageNetwork, stage: str, added_holding_costs: float | Iterable[float]
) -> tuple[Postponement, ...]:
    """How safety stock moves when more value is added at a stage, and so to all that it goes into.

    Each unit of a stage k that holds n_k units of the item, over all paths, then costs n_k a more to hold.
    With A(tau) the cost without the addition and N(tau) the `downstream_units`, the service times minimise
    A + a N. For two additions a < b with optima tau_a and tau_b, adding ``A(tau_a) + a N(tau_a) <= A(tau_b) +
    a N(tau_b)`` to its counterpart gives ``(b - a) (N(tau_b) - N(tau_a)) <= 0``: value added later never
    draws stock downstream. Raises `MethodError`.
    """
    if stage not in network.index:
        raise MethodError(f"there is no stage {stage!r}{nearest(stage, network.index)}")
    units = mean_flow(network, np.eye(len(network.stages)))[network.index[stage]]
    points = []
    for added in numbers("added_holding_costs", added_holding_costs):
        if not (np.isfinite(added) and added >= 0):
            raise MethodError(f"added_holding_costs must be at least 0 and finite (got {added:g})")
        costs = {
            of.name: {"holding_cost": of.holding_cost + added * float(n)}
            for of, n in zip(network.stages, units, strict=True)
            if n > 0
        }
        solution = guaranteed_service(network.with_stages(costs))
        upstream = float(solution.stage_cost[units == 0].sum())
        held = solution.safety_stock + solution.early_stock
        points.append(Postponement(added, solution, float(units @ held), upstream))
    return tuple(points)
