"""The questions that people ask of a guaranteed-service network: where is the stock, what if, what would help.

Every answer is an optimum, or is held against one; safety stock costs what `Stage.holding_cost` says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.guaranteed_service import GuaranteedService, guaranteed_service
from echelon.baselines.stage_costs import safety_stock, whole_time
from echelon.baselines.stage_demand import demand_bounds, demand_means, safety_factors
from echelon.baselines.stage_network import Stage, StageNetwork
from echelon.envs.errors import MethodError, nearest

if TYPE_CHECKING:
    from pandas import DataFrame

Floats = NDArray[np.float64]

SAME = 1e-9
"""By what share of the larger one two stocks may differ that count as the same."""


def stage_table(solution: GuaranteedService) -> DataFrame:
    """One row per stage: its service times, its stock in units, what that costs, and its share of the whole cost.

    The shares are 0 where nothing costs anything.
    """
    from pandas import DataFrame

    return DataFrame(
        {
            "stage": [stage.name for stage in solution.network.stages],
            "inbound_service_time": solution.inbound,
            "outbound_service_time": solution.outbound,
            "net_replenishment_time": solution.net_replenishment_time,
            "safety_stock": solution.safety_stock,
            "base_stock": solution.base_stock,
            "pipeline_stock": solution.pipeline_stock,
            "holding_cost": [stage.holding_cost for stage in solution.network.stages],
            "cost": solution.stage_cost,
            "share": solution.stage_cost / (solution.cost or 1.0),
        }
    )


@dataclass(frozen=True, eq=False)
class WhatIf:
    """What a change of the network, or a decision that is not the best one, does to stock and cost."""

    optimum: GuaranteedService
    """Of the network as it is."""
    answer: GuaranteedService
    """The best under what was asked."""

    @property
    def extra_cost(self) -> float:
        """Per period, above the optimum; below 0 only if stages were changed."""
        return self.answer.cost - self.optimum.cost

    @property
    def moved(self) -> dict[str, float]:
        """Units of safety stock that each stage gains (above 0) or loses, without those where it stays the same."""
        before, after = self.optimum.safety_stock, self.answer.safety_stock
        differs = np.abs(after - before) > SAME * np.maximum(before, after)
        stages = self.optimum.network.stages
        return {stages[j].name: float(after[j] - before[j]) for j in np.flatnonzero(differs)}


def what_if(
    network: StageNetwork,
    *,
    outbound: Mapping[str, int] | None = None,
    holds_stock: Mapping[str, bool] | None = None,
    changes: Mapping[str, Mapping[str, Any]] | None = None,
) -> WhatIf:
    """The optimum against the best with some service times (`outbound`) or a placement (`holds_stock`) forced.

    `changes` are new values of fields of stages, such as ``{"DC": {"stage_time": 3}}``. Forced decisions are
    never cheaper. Raises `MethodError` if they cannot be met, `NetworkError` if a change is not allowed.
    """
    changed = network.with_stages(changes) if changes else network
    return WhatIf(guaranteed_service(network), guaranteed_service(changed, outbound=outbound, holds_stock=holds_stock))


@dataclass(frozen=True)
class TimeSensitivity:
    """What a longer or shorter stage time of one stage costs, per period."""

    stage: str
    change: float
    """Periods; below 0 for a shorter time."""
    extra_cost: float
    """With the best service times for the new stage time, above the optimum."""
    extra_cost_kept: float | None
    """With the service times of the optimum; None if the stage cannot keep them."""

    @property
    def marginal_cost(self) -> float:
        """By how much a period more raises the optimal cost: what a period less is worth, where `change` is below 0."""
        return self.extra_cost / self.change


def time_sensitivity(
    network: StageNetwork, *, change: float = 1, stages: Iterable[str] | None = None
) -> tuple[TimeSensitivity, ...]:
    """What the optimal cost becomes if one stage time after the other is `change` periods longer, or shorter.

    Of a random stage time every value changes. `stages` are the stages to try; left out, all whose time
    stays at least 0. Longer times never lower the cost if they are fixed, or longer by whole periods. Raises
    `MethodError`.
    """
    if not (np.isfinite(change) and change != 0):
        raise MethodError(f"change must be a number of periods other than 0 (got {change})")
    if stages is None:
        stages = [stage.name for stage in network.stages if min(stage.times) + change >= 0]
    optimum = guaranteed_service(network)
    return tuple(_sensitivity(optimum, _stage(network, name), change) for name in stages)


def _stage(network: StageNetwork, name: str) -> Stage:
    if name not in network.index:
        raise MethodError(f"there is no stage {name!r}{nearest(name, network.index)}")
    return network.stages[network.index[name]]


def _sensitivity(optimum: GuaranteedService, stage: Stage, change: float) -> TimeSensitivity:
    if min(stage.times) + change < 0:
        raise MethodError(f"the stage time of {stage.name} must stay at least 0 (got {min(stage.times) + change:g})")
    if isinstance(stage.stage_time, dict):
        new: float | dict[float, float] = {time + change: chance for time, chance in stage.stage_time.items()}
    else:
        new = stage.stage_time + change
    changed = optimum.network.with_stages({stage.name: {"stage_time": new}})
    best = guaranteed_service(changed)
    kept = _extra_cost_kept(optimum, _stage(changed, stage.name))
    return TimeSensitivity(stage.name, change, best.cost - optimum.cost, kept)


def _extra_cost_kept(optimum: GuaranteedService, stage: Stage) -> float | None:
    """What the stage costs more than in the optimum, with the same service times."""
    network = optimum.network
    j = network.index[stage.name]
    steps = optimum.inbound[j] + whole_time(stage) - optimum.outbound[j]
    if steps < 0:
        return None
    units = safety_stock(
        stage,
        np.array(float(steps)),
        mean=demand_means(network)[j],
        bound=demand_bounds(network)[j],
        safety_factor=safety_factors(network)[j],
    )
    return float(stage.holding_cost * units - optimum.stage_cost[j])


@dataclass(frozen=True, eq=False)
class PromisedTime:
    """The optimum if the customers of a stage are promised this service time, in periods."""

    stage: str
    service_time: int
    solution: GuaranteedService


def service_time_sensitivity(
    network: StageNetwork, service_times: Mapping[str, Sequence[int]]
) -> tuple[PromisedTime, ...]:
    """The optimum for each of several promised service times of a stage, the other stages as they are.

    A promise is the longest outbound service time allowed, so that a longer one never costs more. Raises
    `NetworkError` if there is no such stage, or a service time is not a whole number from 0.
    """
    return tuple(
        PromisedTime(stage, time, guaranteed_service(network.with_stages({stage: {"service_time": time}})))
        for stage, times in service_times.items()
        for time in times
    )
