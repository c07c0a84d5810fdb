"""What safety stock a stage needs by its net replenishment time, and what that costs.

Service times are whole, stage times need not be. Costs are tables by ``k = SI + floor(T) - S``, so that
the net replenishment time is k plus what the stage time has beyond its whole part.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.stage_network import Stage
from echelon.envs.errors import MethodError

Floats = NDArray[np.float64]

StageCost = Callable[[Floats, Floats], Floats]
"""What a stage costs per period by its inbound and outbound service times, which are arrays that broadcast."""

EQUAL = 1e-12
"""How far, as a share of the largest, costs may differ that are taken to be the same."""


def whole_time(stage: Stage) -> int:
    """How many periods later than all components were promised the item can be promised, at most."""
    return math.floor(max(stage.times))


def safety_stock(stage: Stage, steps: Floats, *, mean: float, bound: float, safety_factor: float) -> Floats:
    """Safety stock, units, by ``k = SI + floor(T) - S`` (`steps`).

    With a fixed stage time z sigma sqrt(tau) (Graves and Willems 2000), where `bound` is z sigma. With a
    random one z sqrt(sigma^2 E[tau^+] + mu^2 Var[tau^+]) (Humair, Ruark, Tomlin and Willems 2013), which is the
    spread of what is due exactly where orders do not overtake one another, and no less where they do.
    """
    if not isinstance(stage.stage_time, dict):
        return np.asarray(bound * np.sqrt(steps + (stage.stage_time - whole_time(stage))))
    probabilities, net = _net_times(stage, steps)
    late = np.maximum(net, 0.0)
    expected = late @ probabilities
    variance = np.maximum((late**2) @ probabilities - expected**2, 0.0)
    return np.asarray(np.sqrt(bound**2 * expected + (safety_factor * mean) ** 2 * variance))


def early_stock(stage: Stage, steps: Floats, *, mean: float) -> Floats:
    """Units that are there before they are due, mu E[(-tau)^+], by `steps`; 0 where the stage time is fixed."""
    if not isinstance(stage.stage_time, dict):
        return np.zeros_like(steps)
    probabilities, net = _net_times(stage, steps)
    return np.asarray(mean * (np.maximum(-net, 0.0) @ probabilities))


def _net_times(stage: Stage, steps: Floats) -> tuple[Floats, Floats]:
    """The probabilities of the stage times, and tau for each of them in the last axis."""
    times = np.array(list(stage.times))
    return np.array(list(stage.times.values())), steps[..., None] + (times - whole_time(stage))


def holding_costs(stage: Stage, longest: int, *, mean: float, bound: float, safety_factor: float) -> Floats:
    """[longest + 1] what safety stock and early stock cost per period, by k. Raises `MethodError` if that overflows."""
    steps = np.arange(longest + 1.0)
    with np.errstate(over="ignore", invalid="ignore"):
        stock = safety_stock(stage, steps, mean=mean, bound=bound, safety_factor=safety_factor)
        cost = stage.holding_cost * (stock + early_stock(stage, steps, mean=mean))
    if not np.isfinite(cost).all():
        raise MethodError(
            f"the cost of stage {stage.name} must be finite (got holding_cost {stage.holding_cost:g} on a demand "
            f"bound of {bound:g})"
        )
    return np.asarray(cost)


def cost_table(stage: Stage, cost: StageCost, inbound: int) -> Floats:
    """A callable cost as a table: by SI + T - S where it depends on that alone, else [SI, S].

    `inbound` is the longest inbound service time. Raises `MethodError`.
    """
    time = whole_time(stage)
    si, s = np.arange(inbound + 1.0)[:, None], np.arange(inbound + time + 1.0)
    try:
        with np.errstate(divide="ignore", invalid="ignore"):  # what comes out where S > SI + T is not used
            asked = cost(si, s)
    except (TypeError, ValueError) as error:
        raise MethodError(f"the cost of stage {stage.name} must be a function of two arrays: {error}") from error
    try:
        values = np.broadcast_to(np.asarray(asked, dtype=np.float64), (len(si), len(s)))
    except (TypeError, ValueError) as error:
        raise MethodError(
            f"the cost of stage {stage.name} must be numbers that broadcast to {len(si)} inbound by {len(s)} outbound "
            f"service times (got an array of shape {np.shape(asked)})"
        ) from error
    steps = np.asarray(si + time - s, dtype=np.int64)
    if np.isnan(values[steps >= 0]).any() or (values[steps >= 0] == -np.inf).any():
        raise MethodError(f"the cost of stage {stage.name} must be a number for all service times, or infinite")
    first = np.full(len(s), np.inf)
    first[steps[-1]] = values[-1]  # from the longest inbound service time every net replenishment time can be had
    by_steps = np.where(steps >= 0, first[np.maximum(steps, 0)], np.inf)
    table = np.where(steps >= 0, values, np.inf)
    return first if np.isclose(table, by_steps, rtol=EQUAL, atol=0).all() else table
