"""A serial system as its methods see it: the checked parameters, and bounds on the optimal levels.

The model and its symbols are those of `serial`. Tuples and lists run over the stages, stage 1 first.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.lattice import common_step
from echelon.baselines.lead_time_demand import lead_time_demand
from echelon.baselines.requirements import require_choice, require_positive
from echelon.baselines.total_demand import LatticeTotal, LeadTimeDemand
from echelon.envs.demand import Law
from echelon.envs.errors import MethodError

Floats = NDArray[np.float64]
Levels = tuple[float, ...]
Review = Literal["periodic", "continuous"]


@dataclass(frozen=True)
class SerialSystem:
    """A serial system, checked."""

    holding: tuple[float, ...]
    stockout: float
    stages: tuple[LeadTimeDemand, ...]
    """Demand over the lead time of stage j alone."""
    echelons: tuple[LeadTimeDemand, ...]
    """Demand over the lead times of stages 1..j together."""
    whole: bool
    """Whether demand comes in whole units."""
    lattice: float | None
    """Step of the lattice that holds the demand of all stages, if there is one."""

    @property
    def penalty(self) -> float:
        """What a backorder costs beside the echelon holding costs that it saves: p + sum h."""
        return self.stockout + sum(self.holding)


def serial_system(
    holding: Sequence[float], lead_time: Sequence[float], stockout: float, demand: Law, review: Review
) -> SerialSystem:
    """The system with the laws of its lead-time demands. Raises `MethodError` that names the argument that is wrong."""
    require_positive("stockout_cost", stockout)
    require_holding(holding)
    covered = covered_periods(lead_time, review, len(holding))
    stages = tuple(lead_time_demand(demand, periods) for periods in covered)
    echelons = tuple(lead_time_demand(demand, periods) for periods in accumulate(covered))
    whole = demand.whole and all(isinstance(stage, LatticeTotal) and stage.whole for stage in stages)
    lattice = 1.0 if whole else common_step(stages)
    return SerialSystem(tuple(map(float, holding)), float(stockout), stages, echelons, whole, lattice)


def require_holding(holding: Sequence[float]) -> None:
    """Raise `MethodError` unless echelon holding costs are at least 0, and above 0 at the last stage."""
    if len(holding) == 0:
        raise MethodError("echelon_holding_cost must have at least one stage, got none")
    for stage, cost in enumerate(holding, start=1):
        if not 0 <= cost < np.inf:
            raise MethodError(f"echelon_holding_cost must be finite and at least 0, got {cost:g} at stage {stage}")
    require_positive(f"echelon_holding_cost at the last stage ({len(holding)})", holding[-1])


def covered_periods(lead_time: Sequence[float], review: Review, stages: int) -> list[float]:
    """Periods of demand that each stage covers: under periodic review one more than its lead time at stage 1."""
    require_choice("review", review, get_args(Review))
    if len(lead_time) != stages:
        raise MethodError(f"lead_time must have as many stages as echelon_holding_cost, {stages}, got {len(lead_time)}")
    for stage, duration in enumerate(lead_time, start=1):
        if not 0 <= duration < np.inf:
            raise MethodError(f"lead_time must be finite and at least 0, got {duration:g} at stage {stage}")
        if review == "periodic" and duration != int(duration):
            raise MethodError(
                f"lead_time must be a whole number of periods under periodic review, got {duration:g} at stage {stage}"
            )
    extra = 1.0 if review == "periodic" else 0.0
    return [float(duration) + extra * (stage == 0) for stage, duration in enumerate(lead_time)]


def require_levels(levels: Levels, system: SerialSystem) -> None:
    """Raise `MethodError` unless there is a level for each stage, whole for whole demand."""
    if len(levels) != len(system.holding):
        raise MethodError(f"levels must have one level for each of the {len(system.holding)} stages, got {len(levels)}")
    for stage, level in enumerate(levels, start=1):
        if not np.isfinite(level):
            raise MethodError(f"levels must be finite, got {level:g} at stage {stage}")
        if system.whole and not level.is_integer():
            raise MethodError(f"levels must be whole numbers for whole demand, got {level:g} at stage {stage}")


def level_bounds(system: SerialSystem) -> tuple[list[float], list[float]]:
    """Shang and Song's bounds on the optimal levels; infinite at a stage that costs nothing."""
    low, high = [], []
    for stage, (holding, demand) in enumerate(zip(system.holding, system.echelons, strict=True)):
        above = system.stockout + sum(system.holding[stage + 1 :])
        low.append(demand.quantile(above / system.penalty) if holding else np.inf)
        high.append(demand.quantile(above / (above + holding)) if holding else np.inf)
    return low, high


def without_free_stages(levels: Sequence[float]) -> Levels:
    """Infinite levels replaced by the level of the stage above, which binds just as little."""
    finite = list(levels)
    for stage in reversed(range(len(finite) - 1)):
        if finite[stage] == np.inf:
            finite[stage] = finite[stage + 1]
    return tuple(finite)
