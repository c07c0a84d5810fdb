"""Serial systems: the exactly optimal echelon base-stock policy (Clark and Scarf 1960).

A serial system is a chain of stages. Stage 1 serves the customer, stage j + 1 supplies stage j, and
the last stage buys from a source that never runs out. Lists run from stage 1 upwards. The *echelon*
of stage j is all stock at stages 1..j and on the way between them, less the backorders of stage 1;
its holding cost h_j is what a unit costs more at stage j than at stage j + 1. An echelon base-stock
policy orders at each stage up to a level of the echelon's stock plus what is on order there.

Symbols are those of Snyder & Shen, *Fundamentals of Supply Chain Theory* (2nd ed., 2019), section
6.2: h_j, lead times L_j, stockout cost p at stage 1, levels S_j. The cost is

    sum_j h_j E[IN_j] + (p + sum_j h_j) E[IN_1^-],

with IN_j the net stock of echelon j. It counts the units on their way between stages, at the rate of
the stage that shipped them, which is the same for all policies (`in_transit_cost`).

Review is `"continuous"` (real lead times, demand is a rate) or `"periodic"` in the framework's order
of events, where stage 1 must cover the demand of L_1 + 1 periods and every other stage that of L_j:
the continuous formulas with one period more at stage 1.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.lead_time_demand import LatticeTotal, LeadTimeDemand, convolve, lead_time_demand
from echelon.baselines.plan import Plan
from echelon.baselines.requirements import require_average_backorder_cost, require_positive
from echelon.envs.demand import Law
from echelon.envs.errors import MethodError, nearest
from echelon.envs.network import OUTSIDE, Link, Network
from echelon.envs.policy import order_up_to
from echelon.envs.problem import Problem

Floats = NDArray[np.float64]
Review = Literal["periodic", "continuous"]
Rounding = Literal["down", "up"]

COARSEST = 1 / 128
"""First grid step for continuous demand, in standard deviations of the demand over all lead times."""
FINEST = 2**16
"""Grid steps per standard deviation beyond which refinement is given up."""
DIRECT = 2**21
"""Products up to which a convolution is summed directly; beyond it the Fourier transform is faster."""


@dataclass(frozen=True)
class SerialPolicy:
    """Echelon base-stock levels (units, stage 1 first) and their expected cost per period."""

    echelon_base_stock: tuple[float, ...]
    cost: float

    @property
    def local_base_stock(self) -> tuple[float, ...]:
        """The same policy stage by stage, see `local_base_stock`."""
        return local_base_stock(self.echelon_base_stock)


def clark_scarf(
    *,
    echelon_holding_cost: Sequence[float],
    lead_time: Sequence[float],
    stockout_cost: float,
    demand: Law,
    review: Review = "periodic",
    tolerance: float = 1e-5,
) -> SerialPolicy:
    """The optimal policy of a serial system and its cost, in the convention of this module.

    Chen and Zheng's (1994) form of the recursion, upwards from ``C_0(x) = (p + sum h) x^-``:
    ``C_j(y) = E[h_j (y - D_j) + C_{j-1}(min(S_{j-1}, y - D_j))]`` with ``S_j`` the minimiser of
    ``C_j`` and ``D_j`` the demand over the stage's lead time; the cost is ``C_N(S_N)``.

    Demand in whole units is solved exactly and gives whole levels. For other demand each ``D_j`` is
    put on a grid by hat functions, that is, every demand is shared between the two grid points beside
    it so that its mean is kept; the grid is halved until the cost moves by less than `tolerance`, a
    share of the cost. A stage with an echelon holding cost of 0 holds nothing back: its level is that
    of the stage above.

    >>> from echelon.envs.demand import Poisson
    >>> best = clark_scarf(echelon_holding_cost=[0.25] * 4, lead_time=[0.25] * 4, stockout_cost=9,
    ...                    demand=Poisson(mean=16), review="continuous")
    >>> best.echelon_base_stock, round(best.cost, 3)
    ((8.0, 13.0, 18.0, 22.0), 12.688)
    """
    system = _system(echelon_holding_cost, lead_time, stockout_cost, demand, review)
    return _refine(lambda step: _optimum(system, step), system, tolerance, exact=system.lattice is not None)


def clark_scarf_plan(problem: Problem) -> Plan:
    """The optimal policy of a serial network with backorders, as echelon base-stock levels [E].

    Its model cost is that of the framework's own sequence of events: the convention of this module
    charges each unit one period more between the first two stages, and every unit in transit at the
    rate of the stage that shipped it. Raises `MethodError` where the theory does not hold.
    """
    require_average_backorder_cost(problem, "clark_scarf")
    links = _links_upwards(problem.network)
    nodes = [problem.network.nodes[problem.network.index[link.target]] for link in links]
    local = [*(node.holding_cost for node in nodes), 0.0]
    echelon = [own - above for own, above in pairwise(local)]
    law, stockout = problem.network.laws[0], nodes[0].stockout_cost
    lead_times = [link.mean_lead_time for link in links]
    best = clark_scarf(echelon_holding_cost=echelon, lead_time=lead_times, stockout_cost=stockout, demand=law)
    in_transit = sum(
        link.mean_lead_time * (link.transit_holding_cost - above) + link.unit_cost
        for link, above in zip(links, local[1:], strict=True)
    )
    by_link = dict(zip(links, best.echelon_base_stock, strict=True))
    levels = [by_link[link] for link in problem.network.links]
    return Plan(
        order_up_to(problem.network, levels, position="echelon"),
        {"levels": levels, "position": "echelon"},
        model_cost=best.cost + law.mean_demand * (in_transit - local[1]),
        optimal=True,
        citation="A. J. Clark and H. Scarf, Management Science 6(4), 1960",
    )


def _links_upwards(network: Network) -> list[Link]:
    """The links of a serial network from the customers up to the outside source."""
    into = {link.target: link for link in network.links}
    if len(network.outlets) != 1 or not len(into) == len(network.links) == len({x.source for x in network.links}):
        raise MethodError(
            "clark_scarf needs a serial network: one link into and at most one out of every node, one outlet"
        )
    links = [into[network.outlets[0].name]]
    while links[-1].source != OUTSIDE:
        links.append(into[links[-1].source])
    if len(links) < len(network.links):
        raise MethodError("clark_scarf needs a serial network whose last stage is the outlet")
    return links


def serial_cost(
    levels: Sequence[float],
    *,
    echelon_holding_cost: Sequence[float],
    lead_time: Sequence[float],
    stockout_cost: float,
    demand: Law,
    review: Review = "periodic",
    tolerance: float = 1e-5,
) -> float:
    """Expected cost per period of any echelon base-stock levels, stage 1 first.

    Follows the shortfall ``V_j``, how far the echelon of stage j is below its level because the stage
    above ran out: ``V_N = 0`` and ``V_j = (V_{j+1} + D_{j+1} - (S_{j+1} - S_j))+``. That is not the
    recursion of `clark_scarf` read backwards, so each checks the other. Demand in whole units needs
    levels in whole units.
    """
    system = _system(echelon_holding_cost, lead_time, stockout_cost, demand, review)
    given = tuple(float(level) for level in levels)
    _require_levels(given, system)
    return _priced(given, system, tolerance).cost


def shang_song(
    *,
    echelon_holding_cost: Sequence[float],
    lead_time: Sequence[float],
    stockout_cost: float,
    demand: Law,
    review: Review = "periodic",
    rounding: Rounding | None = None,
    tolerance: float = 1e-5,
) -> SerialPolicy:
    """Shang and Song's (2003) heuristic levels: the average of two newsvendor levels, and their cost.

    With ``D`` the demand over the lead times of stages 1..j, ``S_j`` lies between the quantiles of
    ``D`` at ``(p + sum_{i>j} h_i) / (p + sum h)`` and ``(p + sum_{i>j} h_i) / (p + sum_{i>=j} h_i)``
    for any demand law. For demand in whole units an average that ends in one half is rounded
    `"down"` or `"up"` at every stage; left open, down for a critical ratio ``p / (p + sum h)`` of at
    most 0.9 and up beyond it, which gives the levels of rows 1, 9, 17 and 25 of the paper's Table 1.
    """
    if rounding is not None:
        _require_choice("rounding", rounding, get_args(Rounding))
    system = _system(echelon_holding_cost, lead_time, stockout_cost, demand, review)
    low, high = _bounds(system)
    levels = _without_free_stages([(a + b) / 2 for a, b in zip(low, high, strict=True)])
    if system.whole:
        up = rounding == "up" if rounding else system.stockout / system.penalty > 0.9 + 1e-9
        levels = tuple(float(np.ceil(level) if up else np.floor(level)) for level in levels)
    return _priced(levels, system, tolerance)


def local_base_stock(echelon_levels: Sequence[float]) -> tuple[float, ...]:
    """Local levels under which each stage, seeing only its own stock and orders, acts the same.

    A stage cannot use more than the stages above it allow, so with ``S'_j = min_{i>=j} S_i`` the
    local level is ``S'_j - S'_{j-1}``, and ``S'_1`` at stage 1.
    """
    usable = list(accumulate(reversed(echelon_levels), min))[::-1]
    return tuple(float(upper - lower) for upper, lower in zip(usable, [0.0, *usable[:-1]], strict=True))


def in_transit_cost(
    *,
    echelon_holding_cost: Sequence[float],
    lead_time: Sequence[float],
    demand: Law,
    review: Review = "periodic",
) -> float:
    """The part of the cost that is holding on units between stages; no policy changes it.

    By Little's law ``mean * sum_{j>1} h'_j L_{j-1}`` with ``h'_j`` the cost of a unit that stage j
    shipped. Under periodic review the convention charges a unit to stage 2 for one period more than
    it is on the way to stage 1, and that is included: subtract this figure to compare with a
    simulation that charges only stock at the stages and backorders at the end of each period.
    """
    _require_holding(echelon_holding_cost)
    covered = _durations(lead_time, review, len(echelon_holding_cost))
    local = list(accumulate(reversed(echelon_holding_cost)))[::-1]
    return sum(h * lead_time_demand(demand, time).mean for h, time in zip(local[1:], covered[:-1], strict=True))


@dataclass(frozen=True)
class _System:
    """A serial system, checked. Tuples run over the stages, stage 1 first."""

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


def _system(
    holding: Sequence[float], lead_time: Sequence[float], stockout: float, demand: Law, review: Review
) -> _System:
    require_positive("stockout_cost", stockout)
    _require_holding(holding)
    durations = _durations(lead_time, review, len(holding))
    stages = tuple(lead_time_demand(demand, duration) for duration in durations)
    echelons = tuple(lead_time_demand(demand, duration) for duration in accumulate(durations))
    whole = demand.whole and all(isinstance(stage, LatticeTotal) and stage.whole for stage in stages)
    lattice = 1.0 if whole else _common_step(stages)
    return _System(tuple(map(float, holding)), float(stockout), stages, echelons, whole, lattice)


def _common_step(stages: tuple[LeadTimeDemand, ...]) -> float | None:
    steps = {stage.step if isinstance(stage, LatticeTotal) else None for stage in stages if stage.sd > 0}
    return steps.pop() if len(steps) == 1 else None


def _require_holding(holding: Sequence[float]) -> None:
    if len(holding) == 0:
        raise MethodError("echelon_holding_cost must have at least one stage, got none")
    for stage, cost in enumerate(holding, start=1):
        if not 0 <= cost < np.inf:
            raise MethodError(f"echelon_holding_cost must be finite and at least 0, got {cost:g} at stage {stage}")
    require_positive(f"echelon_holding_cost at the last stage ({len(holding)})", holding[-1])


def _durations(lead_time: Sequence[float], review: Review, stages: int) -> list[float]:
    """Periods of demand that each stage covers."""
    _require_choice("review", review, get_args(Review))
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


def _require_choice(key: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise MethodError(f"{key} must be {' or '.join(choices)}, got {value!r}{nearest(value, choices)}")


def _require_levels(levels: tuple[float, ...], system: _System) -> None:
    if len(levels) != len(system.holding):
        raise MethodError(f"levels must have one level for each of the {len(system.holding)} stages, got {len(levels)}")
    for stage, level in enumerate(levels, start=1):
        if not np.isfinite(level):
            raise MethodError(f"levels must be finite, got {level:g} at stage {stage}")
        if system.whole and not level.is_integer():
            raise MethodError(f"levels must be whole numbers for whole demand, got {level:g} at stage {stage}")


def _bounds(system: _System) -> tuple[list[float], list[float]]:
    """Shang and Song's bounds on the optimal levels; infinite at a stage that costs nothing."""
    low, high = [], []
    for stage, (holding, demand) in enumerate(zip(system.holding, system.echelons, strict=True)):
        above = system.stockout + sum(system.holding[stage + 1 :])
        low.append(demand.quantile(above / system.penalty) if holding else np.inf)
        high.append(demand.quantile(above / (above + holding)) if holding else np.inf)
    return low, high


def _without_free_stages(levels: Sequence[float]) -> tuple[float, ...]:
    """Infinite levels replaced by the level of the stage above, which binds just as little."""
    finite = list(levels)
    for stage in reversed(range(len(finite) - 1)):
        if finite[stage] == np.inf:
            finite[stage] = finite[stage + 1]
    return tuple(finite)


def _priced(levels: tuple[float, ...], system: _System, tolerance: float) -> SerialPolicy:
    exact = system.lattice is not None and _on_lattice(levels, system, system.lattice)
    return _refine(lambda step: SerialPolicy(levels, _policy_cost(levels, system, step)), system, tolerance, exact)


def _on_lattice(levels: tuple[float, ...], system: _System, step: float) -> bool:
    """Whether the shortfalls that the levels leave are multiples of the demand's own step."""
    gaps = np.diff(levels) - [stage.bounds[0] for stage in system.stages[1:]]
    return bool(np.allclose(gaps / step, np.rint(gaps / step), rtol=0, atol=1e-6))


def _refine(solve: Callable[[float], SerialPolicy], system: _System, tolerance: float, exact: bool) -> SerialPolicy:
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
    policy = solve(step)
    while step * FINEST > scale:
        step /= 2
        finer = solve(step)
        if abs(finer.cost - policy.cost) <= tolerance * abs(finer.cost):
            return finer
        policy = finer
    raise MethodError(f"the cost does not settle to a tolerance of {tolerance:g}; allow a larger tolerance")


def _weights(demand: LeadTimeDemand, origin: float, step: float) -> Floats:
    """Probabilities of `origin + k * step`, k = 0, 1, ..., by hat functions; mean and total are kept.

    The weight of a point is the second difference of the expected shortage, or of the expected excess
    below the mean, where it is the smaller number and loses fewer digits. On its own lattice a
    demand gets back its probabilities.
    """
    if isinstance(demand, LatticeTotal) and demand.step == step and abs(demand.origin - origin) < 1e-6 * step:
        return demand.pmf
    count = int(np.ceil((demand.bounds[1] - origin) / step - 1e-9)) + 1
    points = origin + step * np.arange(-1, count + 1)
    above = np.diff(demand.shortage(points), 2)
    below = np.diff(demand.excess(points), 2)
    weights = np.maximum(np.where(points[1:-1] > demand.mean, above, below), 0.0)
    return np.asarray(weights / weights.sum())


def _optimum(system: _System, step: float) -> SerialPolicy:
    """One pass of the recursion, upwards, on grids of one step whose origins differ by stage."""
    low, high = _bounds(system)
    origins = [stage.bounds[0] for stage in system.stages]
    weights = [_weights(stage, origin, step) for stage, origin in zip(system.stages, origins, strict=True)]
    tops = [origin + step * (len(w) - 1) for origin, w in zip(origins, weights, strict=True)]
    starts = _starts(low, tops, origins[0], step)
    counts = _counts(starts, high, weights, step)
    levels: list[float] = []
    cost, value = np.empty(0), 0.0
    for stage, (holding, demand) in enumerate(zip(system.holding, system.stages, strict=True)):
        y = starts[stage] + step * np.arange(counts[stage], dtype=np.float64)
        below = _expected(cost, value, weights[stage], len(y)) if stage else system.penalty * demand.shortage(y)
        cost = holding * (y - demand.mean) + below
        level = np.inf
        if holding:
            level, value = _minimum(y, cost, low[stage], high[stage], step == system.lattice)
            cost[y >= level] = value
        levels.append(level)
    return SerialPolicy(_without_free_stages(levels), value)


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


def _policy_cost(levels: tuple[float, ...], system: _System, step: float) -> float:
    """Cost of given levels by the law of the shortfall, followed downwards on multiples of `step`."""
    holding = sum(h * (level - d.mean) for h, level, d in zip(system.holding, levels, system.stages, strict=True))
    least, shortfall = 0.0, np.ones(1)
    for stage in range(len(levels) - 1, 0, -1):
        demand, gap = system.stages[stage], levels[stage] - levels[stage - 1] - least
        origin = demand.bounds[0]
        if gap > origin:
            # The grid of the demand is laid through the gap, where the shortfall bends.
            origin = gap - step * np.ceil((gap - origin) / step - 1e-9)
        owed = convolve(shortfall, _weights(demand, origin, step), DIRECT)
        least, shortfall = max(origin - gap, 0.0), _beyond(owed, max(round((gap - origin) / step), 0))
        holding -= system.holding[stage - 1] * (least + step * float(np.arange(len(shortfall)) @ shortfall))
    short = system.stages[0].shortage(levels[0] - least - step * np.arange(len(shortfall)))
    return float(holding + system.penalty * (shortfall @ short))


def _beyond(weights: Floats, index: int) -> Floats:
    """The law of max(X - index, 0) for X with the given probabilities of 0, 1, 2, ..."""
    return np.concatenate([weights[: index + 1].sum(keepdims=True), weights[index + 1 :]])
