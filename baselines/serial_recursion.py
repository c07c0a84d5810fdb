"""The recursions behind `serial`: upwards through the stages to the optimum, downwards to the cost of given levels.

Both work on grids of one step. On the demand's own lattice they are exact; other demand is put on
finer and finer grids until the cost settles.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate

import numpy as np

from echelon.baselines.lattice import convolve, on_lattice
from echelon.baselines.requirements import require_positive
from echelon.baselines.serial_system import Floats, Levels, SerialSystem, level_bounds, without_free_stages
from echelon.envs.errors import MethodError

COARSEST = 1 / 128
"""First grid step for continuous demand, in standard deviations of the demand over all lead times."""
FINEST = 2**16
"""Grid steps per standard deviation beyond which refinement is given up."""
DIRECT = 2**21
"""Products up to which a convolution is summed directly; beyond it the Fourier transform is faster."""

Priced = tuple[Levels, float]
"""Echelon base-stock levels and their cost per period."""


@dataclass(frozen=True, eq=False)
class CostToGo:
    """The cost per period as a function of the echelon position of the last stage, below it all optimal.

    It is convex, and straight below and above the grid: far below it every unit more saves a backorder,
    far above it costs the echelon holding of the last stage.
    """

    levels_below: Levels
    """Optimal levels of the stages below the last; infinite where a stage holds nothing back."""
    start: float
    step: float
    on_grid: Floats
    """C_N at `start + k * step`."""

    def __call__(self, position: Floats) -> Floats:
        """C_N at any positions, units."""
        last = len(self.on_grid) - 1
        at = (position - self.start) / self.step
        below, above = np.minimum(at, 0.0), np.maximum(at - last, 0.0)
        inside = np.interp(at, np.arange(last + 1), self.on_grid)
        first_slope, last_slope = np.diff(self.on_grid[[0, 1, -2, -1]])[::2]
        return np.asarray(inside + first_slope * below + last_slope * above)


def optimum(system: SerialSystem, tolerance: float) -> Priced:
    """The optimal levels and their cost."""
    return _refine(lambda step: _optimum(system, step), system, tolerance, exact=system.lattice is not None)


def priced(levels: Levels, system: SerialSystem, tolerance: float) -> Priced:
    """Given levels and their cost."""
    exact = system.lattice is not None and _on_lattice(levels, system, system.lattice)
    return _refine(lambda step: (levels, _policy_cost(levels, system, step)), system, tolerance, exact)


def cost_to_go(system: SerialSystem) -> CostToGo:
    """C_N, exactly, of a system whose demand comes in whole units."""
    low, high = level_bounds(system)
    low[-1] = min(low[-1], sum(stage.bounds[0] for stage in system.stages))
    high[-1] = max(high[-1], sum(stage.bounds[1] for stage in system.stages))
    levels, _, start, on_grid = _upwards(system, 1.0, low, high)
    return CostToGo(levels[:-1], start, 1.0, on_grid)


def _on_lattice(levels: Levels, system: SerialSystem, step: float) -> bool:
    """Whether the shortfalls that the levels leave are multiples of the demand's own step."""
    gaps = np.diff(levels) - [stage.bounds[0] for stage in system.stages[1:]]
    return bool(np.allclose(gaps / step, np.rint(gaps / step), rtol=0, atol=1e-6))


def _refine(solve: Callable[[float], Priced], system: SerialSystem, tolerance: float, exact: bool) -> Priced:
    """Solve on finer and finer grids until the cost settles; once, on the demand's own lattice, if that is exact.

    The error of hat functions falls with the square of the step, so that the last halving moves the
    cost by three times the error that is left.
    """
    require_positive("tolerance", tolerance)
    if exact and system.lattice:
        return solve(system.lattice)
    total = system.echelons[-1]
    scale = total.sd or total.mean or 1.0
    step = system.lattice or COARSEST * scale
    cost = solve(step)[1]
    while step * FINEST > scale:
        step /= 2
        finer = solve(step)
        if abs(finer[1] - cost) <= tolerance * abs(finer[1]):
            return finer
        cost = finer[1]
    raise MethodError(f"the cost does not settle to a tolerance of {tolerance:g}; allow a larger tolerance")


def _optimum(system: SerialSystem, step: float) -> Priced:
    levels, cost, _, _ = _upwards(system, step, *level_bounds(system))
    return without_free_stages(levels), cost


def _upwards(
    system: SerialSystem, step: float, low: list[float], high: list[float]
) -> tuple[Levels, float, float, Floats]:
    """One pass of the recursion, on grids of one step whose origins differ by stage.

    `low` and `high` bound the levels, and the grid of the last stage reaches from one to the other.
    Gives the levels, the cost, and the start and the values of C_N on its grid.
    """
    origins = [stage.bounds[0] for stage in system.stages]
    weights = [on_lattice(stage, step, origin=origin).pmf for stage, origin in zip(system.stages, origins, strict=True)]
    tops = [origin + step * (len(w) - 1) for origin, w in zip(origins, weights, strict=True)]
    starts = _starts(low, tops, origins[0], step)
    counts = _counts(starts, high, weights, step)
    levels: list[float] = []
    cost, usable, value = np.empty(0), np.empty(0), 0.0
    for stage, (holding, demand) in enumerate(zip(system.holding, system.stages, strict=True)):
        y = starts[stage] + step * np.arange(counts[stage], dtype=np.float64)
        below = _expected(usable, value, weights[stage], len(y)) if stage else system.penalty * demand.shortage(y)
        cost = usable = holding * (y - demand.mean) + below
        level = np.inf
        if holding:
            level, value = _minimum(y, cost, low[stage], high[stage], step == system.lattice)
            usable = np.where(y >= level, value, cost)
        levels.append(level)
    return tuple(levels), value, starts[-1], cost


def _starts(low: list[float], tops: list[float], anchor: float, step: float) -> list[float]:
    """Lowest grid point of each stage: below every stage's level, and low enough for those above it.

    The anchor, the least demand at stage 1, is on the grid, and so is the bend in the cost of a stage
    without lead time.
    """
    drops = [0.0, *accumulate(tops[1:])]
    lowest = min(level - drop for level, drop in zip(low, drops, strict=True))
    first = anchor + step * (np.floor((lowest - anchor) / step + 1e-9) - 1)
    return [float(first + drop) for drop in drops]


def _counts(starts: list[float], high: list[float], weights: list[Floats], step: float) -> list[int]:
    """Grid points of each stage: up to its highest possible level, or as far as the stage above looks."""
    counts: list[int] = []
    needed = 0
    for start, level, weight in zip(reversed(starts), reversed(high), reversed(weights), strict=True):
        counts.append(needed if level == np.inf else int(np.ceil((level - start) / step)) + 2)
        needed = counts[-1] + len(weight) - 1
    return counts[::-1]


def _expected(cost: Floats, beyond: float, weights: Floats, count: int) -> Floats:
    """E[cost(y - D)] at the `count` lowest y for which all of y - D is on the grid, or `beyond` above it.

    Costs, unlike probabilities, are wanted to an absolute accuracy, so the Fourier transform's error
    of 1e-16 times the largest cost on the grid does no harm.
    """
    needed = count + len(weights) - 1
    padded = np.concatenate([cost[:needed], np.full(max(needed - len(cost), 0), beyond)])
    return convolve(padded, weights, DIRECT)[len(weights) - 1 : needed]


def _minimum(y: Floats, cost: Floats, low: float, high: float, exact: bool) -> tuple[float, float]:
    """Minimiser in [low, high] and minimum of a convex function on a grid, between its points by a parabola.

    `exact` says that the function is straight between the points: then one of them is the minimiser.
    """
    slope = np.diff(cost)
    rounding = 4 * np.finfo(np.float64).eps * float(np.abs(cost).max())
    at = max(int(np.argmax(slope >= -rounding)), 1)
    if exact:
        return float(y[at]), float(cost[at])
    step, bend, tilt = y[1] - y[0], slope[at] - slope[at - 1], (slope[at] + slope[at - 1]) / 2
    level = min(max(float(y[at] - step * tilt / bend), low), high)
    shift = (level - y[at]) / step
    return level, float(cost[at] + tilt * shift + bend * shift**2 / 2)


def _policy_cost(levels: Levels, system: SerialSystem, step: float) -> float:
    """Cost of given levels by the law of the shortfall, followed downwards on multiples of `step`."""
    holding = sum(h * (level - d.mean) for h, level, d in zip(system.holding, levels, system.stages, strict=True))
    least, shortfall = 0.0, np.ones(1)
    for stage in range(len(levels) - 1, 0, -1):
        demand, gap = system.stages[stage], levels[stage] - levels[stage - 1] - least
        origin = demand.bounds[0]
        if gap > origin:
            # The grid of the demand is laid through the gap, where the shortfall bends.
            origin = gap - step * np.ceil((gap - origin) / step - 1e-9)
        owed = convolve(shortfall, on_lattice(demand, step, origin=origin).pmf, DIRECT)
        least, shortfall = max(origin - gap, 0.0), _beyond(owed, max(round((gap - origin) / step), 0))
        holding -= system.holding[stage - 1] * (least + step * float(np.arange(len(shortfall)) @ shortfall))
    short = system.stages[0].shortage(levels[0] - least - step * np.arange(len(shortfall)))
    return float(holding + system.penalty * (shortfall @ short))


def _beyond(weights: Floats, index: int) -> Floats:
    """The law of max(X - index, 0) for X with the given probabilities of 0, 1, 2, ..."""
    return np.concatenate([weights[: index + 1].sum(keepdims=True), weights[index + 1 :]])
