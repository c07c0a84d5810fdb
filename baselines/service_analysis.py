"""The questions that people ask of a guaranteed-service network: where is the stock, what if, what would help.

Every answer is an optimum, or is held against one; safety stock costs what `Stage.holding_cost` says.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.guaranteed_service import GuaranteedService, guaranteed_service, longest_waits
from echelon.baselines.stage_costs import holding_costs, whole_time
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
            "early_stock": solution.early_stock,
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
        """Above the optimum; below 0 only if stages were changed."""
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
    """What a longer or shorter stage time of one stage costs."""

    stage: str
    change: float
    """Periods; below 0 for a shorter time."""
    extra_cost: float
    """With the best service times for the new stage time, above the optimum."""
    extra_cost_kept: float | None
    """With the outbound service times of the optimum, which a faster stage may keep by a longer wait; None if the stage
    cannot keep its own."""

    @property
    def marginal_cost(self) -> float:
        """By how much a period more raises the optimal cost: what a period less is worth, where `change` is below 0."""
        return self.extra_cost / self.change


def time_sensitivity(
    network: StageNetwork, *, change: float = 1, stages: str | Iterable[str] | None = None
) -> tuple[TimeSensitivity, ...]:
    """What the optimal cost becomes if one stage time after the other is `change` periods longer, or shorter.

    Of a random stage time every value changes. `stages` are the stages to try; left out, all whose time can
    change so: it stays at least 0, and whole where no stock may be held.

    A time that is longer by whole periods never lowers the cost: a stage that quotes as many periods less, or 0, holds
    no more than with the longer time. Nor does a longer fixed time whose part beyond whole periods does not fall, such
    as any that was whole, unless stock is forced on the stage. Where that part falls the cost can, because service
    times are whole: half a period cannot be quoted and must be held, a whole one can be passed on. Raises
    `MethodError`.
    """
    if isinstance(change, bool) or not isinstance(change, Real) or not (np.isfinite(change) and change != 0):
        raise MethodError(f"change must be a number of periods other than 0 (got {change})")
    if stages is None:
        stages = [stage.name for stage in network.stages if _can_change(stage, change)]
    optimum = guaranteed_service(network)
    names = [stages] if isinstance(stages, str) else stages
    return tuple(_sensitivity(optimum, _stage(network, name), change) for name in names)


def _can_change(stage: Stage, change: float) -> bool:
    passed_on = stage.holds_stock is not False or float(max(stage.times) + change).is_integer()
    return passed_on and min(stage.times) + change >= 0


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
    """What the stage costs more than in the optimum, with the outbound service times and the best inbound one."""
    network = optimum.network
    j = network.index[stage.name]
    shortest = max([stage.inbound_service_time, *optimum.outbound[list(network.suppliers[j])].tolist()])
    longest, whole = int(longest_waits(network)[0][j]), whole_time(stage)
    steps = np.arange(shortest, longest + 1) + whole - optimum.outbound[j]
    if stage.holds_stock is not None:
        steps = steps[(steps + (max(stage.times) - whole) > 0) == stage.holds_stock]
    steps = steps[steps >= 0]
    costs = holding_costs(
        stage,
        longest + whole,
        mean=demand_means(network)[j],
        bound=demand_bounds(network)[j],
        safety_factor=safety_factors(network)[j],
    )
    return float(costs[steps].min() - optimum.stage_cost[j]) if len(steps) else None


@dataclass(frozen=True, eq=False)
class PromisedTime:
    """The optimum if the customers of a stage are promised this service time, in periods."""

    stage: str
    service_time: int
    solution: GuaranteedService


def service_time_sensitivity(
    network: StageNetwork, service_times: Mapping[str, int | Iterable[int]]
) -> tuple[PromisedTime, ...]:
    """The optimum for each promised service time of a stage, one or several of them, the other stages as they are.

    A promise is the longest outbound service time allowed, so that a longer one never costs more. Raises
    `NetworkError` if there is no such stage, or a service time is not a whole number from 0.
    """
    return tuple(
        PromisedTime(stage, time, guaranteed_service(network.with_stages({stage: {"service_time": time}})))
        for stage, times in service_times.items()
        for time in numbers(f"service_times of {stage}", times)
    )


def numbers(key: str, values: float | Iterable[float]) -> list[Any]:
    """An argument that may be one number or several, as a list of Python's own. Raises `MethodError`."""
    several = list(values) if isinstance(values, Iterable) and not isinstance(values, str) else [values]
    for value in several:
        if isinstance(value, bool) or not isinstance(value, Real):
            raise MethodError(f"{key} must be one number or several (got {value!r})")
    return [value.item() if isinstance(value, np.generic) else value for value in several]
