"""Information relaxation: no policy costs less than one that knows the future, less what that knowledge is worth.

For each of a number of sampled scenarios the perfect-information programme of the whole network is solved
(`perfect_information`); the mean of its optima is a lower bound on the cost of every policy that does not look
ahead (Brown, Smith and Sun 2010, with a penalty of zero). Alone it is weak, since whoever knows the
demand needs no safety stock. With `penalty` the clairvoyant pays for an outlet's stock what it costs on the
average over the demand that it is to meet, not what it costs on the scenario. For a policy that does not look
ahead the two have the same mean, so the bound stays one: their difference is a dual-feasible penalty in the sense
of the paper. The programme stays linear, and its optimum is never below the newsvendor relaxation's in the mean.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.linear_program import Program, Series, known, total
from echelon.baselines.newsvendor_relaxation import (
    Share,
    demand_windows,
    expected_cost,
    is_plain,
    mean_demand,
    shares,
)
from echelon.baselines.perfect_information import OutletCost, clairvoyant, path_of
from echelon.baselines.plan import Bound
from echelon.baselines.requirements import require
from echelon.envs.arrays import network_arrays
from echelon.envs.demand import Law
from echelon.envs.errors import MethodError
from echelon.envs.network import Network
from echelon.envs.problem import Problem
from echelon.envs.scenarios import Scenarios, sample

Floats = NDArray[np.float64]

BROWN_SMITH_SUN = (
    "D. B. Brown, J. E. Smith and P. Sun, Information relaxations and duality in stochastic dynamic programs, "
    "Operations Research 58(4), 2010"
)
QUANTILES = (0.02, 0.1, 0.25, 0.4, 0.5, 0.6, 0.7, 0.8, 0.87, 0.92, 0.96, 0.99)
"""Probabilities of the stock levels at which the expected cost is touched from below."""
MOST_CELLS = 60_000
"""Periods times nodes, links and outlets up to which one programme is solved in seconds."""


@dataclass(frozen=True, eq=False)
class Slopes:
    """A convex cost that is piecewise linear: `least` at `base`, and what a move away from it costs."""

    base: float
    least: float
    up: Floats
    """[K, 2] slope and width of the pieces to the right of the base, the nearest first; the last one is endless."""
    down: Floats
    """[K, 2] to the left."""


def information_relaxation(
    problem: Problem,
    *,
    replications: int = 20,
    periods: int | None = None,
    penalty: bool = True,
    seed: int = 0,
    threads: int = 1,
) -> Bound:
    """A lower bound on the cost of any policy: the mean over sampled scenarios, with its 95 % Student interval.

    Without `periods` a programme spans the whole horizon, from the network's initial stock. With `periods` it
    spans a window of about that many, drawn at random among those that the counted periods are cut into, and starts
    from whatever state it likes, free of charge: as no policy costs less in that window, the mean is still a
    bound. Large networks need it. Where nothing is random one scenario is solved, and the half width is 0.
    Raises `MethodError` if a programme is too large, and for windows where customers wait and pay a price.
    """
    if replications < 2:
        raise MethodError(f"replications must be at least 2, got {replications}")
    if periods is not None and not 1 <= periods <= problem.periods:
        raise MethodError(f"periods must be from 1 to problem.periods = {problem.periods}, got {periods}")
    network = problem.network
    _require_size(network, periods or problem.periods)
    if periods is not None:
        waits = [node.price > 0 and node.stockout_rule != "lost_sales" for node in network.outlets]
        require("information_relaxation over windows", {"no price where customers wait": any(waits)})
    count = replications if is_random(network) or periods else 1
    scenarios = sample(network, periods=problem.periods, replications=count, seed=seed, stream="bound")
    costs = relaxed_costs(problem, scenarios, periods=periods, penalty=penalty, seed=seed, threads=threads)
    costs = costs - _luck(problem, scenarios) if periods is None else costs
    return Bound(float(costs.mean()), "information_relaxation", _half_width(costs), BROWN_SMITH_SUN)


def relaxed_costs(
    problem: Problem,
    scenarios: Scenarios,
    *,
    periods: int | None = None,
    penalty: bool = False,
    seed: int = 0,
    threads: int = 1,
) -> Floats:
    """[B] the optimum of the programme of each replication; without `penalty` what a clairvoyant would pay on it.

    With `periods` each replication is one random window, scaled up to all of them.
    """
    windows = _windows(problem, periods)
    drawn = np.random.default_rng(seed).integers(len(windows), size=scenarios.replications)

    def solve(replication: int) -> float:
        first, until = windows[drawn[replication]]
        weights = problem.weights[first:until] * len(windows)
        path = path_of(problem.network, scenarios, replication, first, until)
        costs = _penalised(problem, first, weights) if penalty else {}
        start = periods is None
        return clairvoyant(problem.network, path, weights, outlet_costs=costs, given_start=start).program.solve()[0]

    with ThreadPoolExecutor(threads) as pool:
        return np.array(list(pool.map(solve, range(scenarios.replications))))


def is_random(network: Network) -> bool:
    """Whether anything that happens is up to chance."""
    arrays = network_arrays(network)
    fails = any(node.disruption for node in network.nodes) or any(link.disruption for link in network.links)
    known_demand = all(getattr(law, "law", "") == "deterministic" for law in network.laws)
    partial = arrays.partial and arrays.whole_units
    return not known_demand or fails or partial or arrays.yields or bool((arrays.shortest < arrays.longest).any())


def _require_size(network: Network, periods: int) -> None:
    """Raise `MethodError` if a programme of so many periods would take minutes."""
    per_period = len(network.nodes) + len(network.links) + len(network.outlets)
    if periods * per_period > MOST_CELLS:
        fits = MOST_CELLS // per_period
        advice = f"periods = {fits} would fit" if fits else "no window would fit"
        raise MethodError(
            f"information_relaxation needs at most {MOST_CELLS:,} periods times nodes, links and outlets "
            f"(got {periods:,} times {per_period:,}): {advice}"
        )


def _windows(problem: Problem, periods: int | None) -> list[tuple[int, int]]:
    """The whole horizon, or the counted periods cut into windows of equal length but for one period."""
    if periods is None:
        return [(0, problem.periods)]
    counted = np.arange(problem.warm_up, problem.periods)
    parts = np.array_split(counted, max(1, round(len(counted) / periods)))
    return [(int(part[0]), int(part[-1]) + 1) for part in parts]


def _half_width(costs: Floats) -> float:
    if len(costs) == 1:
        return 0.0
    from scipy import stats

    return float(stats.t.ppf(0.975, len(costs) - 1) * costs.std(ddof=1) / len(costs) ** 0.5)


def _luck(problem: Problem, scenarios: Scenarios) -> Floats:
    """[B] what the demand of each replication costs more than that of the average one, by what a unit costs to land.

    Its expectation is 0, whatever a unit is said to cost, so it takes noise out of the bound and nothing else.
    """
    arrays, network, landed = network_arrays(problem.network), problem.network, landed_costs(problem.network)
    luck = np.zeros(scenarios.replications)
    for c, law in enumerate(network.laws):
        if is_plain(law):
            surplus = scenarios.demand[:, :, c] - mean_demand(law, problem.periods)
            luck += (landed[arrays.outlet[c]] - arrays.price[c]) * (surplus @ problem.weights)
    return luck


def landed_costs(network: Network) -> Floats:
    """[N] what a unit costs to buy and to move to each node from the cheapest sources, without any delay on the way."""
    arrays = network_arrays(network)
    landed = np.append(arrays.processing_holding_cost * arrays.processing_time, 0.0)
    per_unit = arrays.unit_cost + arrays.transit_holding_cost * arrays.lead_time
    for e in arrays.downstream_first[::-1]:
        if arrays.is_first[e]:
            pool = [k for k in arrays.pool_links[e] if k < len(network.links)]
            landed[arrays.target[e]] += arrays.quantity[e] * min(landed[arrays.source[k]] + per_unit[k] for k in pool)
    return np.asarray(landed[:-1])


def _penalised(problem: Problem, first: int, weights: Floats) -> Mapping[int, OutletCost]:
    """The outlets that pay the expected cost of their stock, with that cost."""
    network = problem.network
    landed = landed_costs(network)
    charged: dict[int, OutletCost] = {}
    for c, node in enumerate(network.outlets):
        n = network.index[node.name]
        # Whoever pays nothing for a lost sale would rather keep the unit than buy the next one.
        kept = 0.0 if node.stockout_rule == "backorder" else float(landed[n])
        if parts := shares(network, n, kept=kept):
            charged[c] = _Newsvendors(network, c, parts, kept, first, weights)
    return charged


@dataclass(frozen=True, eq=False)
class _Newsvendors:
    """Charges an outlet's net stock at the end of each period what it costs on the average over its demand."""

    network: Network
    outlet: int
    parts: tuple[Share, ...]
    kept: float
    """The stockout cost per unit that is charged as it comes."""
    first: int
    """The number of the window's first period on the calendar."""
    weights: Floats

    def __call__(self, program: Program, on_hand: Series, backorders: Series, lost: Series, demand: Floats) -> None:
        """Add the cost: the slopes of each share, for every window of demand in the programme's periods."""
        node, law = self.network.outlets[self.outlet], self.network.laws[self.outlet]
        periods, counted = program.periods, int(np.argmax(self.weights > 0))
        program.charge(backorders + lost, self.kept * self.weights)
        for share in self.parts:
            reach = share.cover - 1
            start = reach + (counted if node.stockout_rule == "lost_sales" else 0)
            if node.stockout_rule != "lost_sales":
                early = self.weights * (np.arange(periods) < start)
                program.charge(on_hand, node.holding_cost * early)
                program.charge(backorders + lost, node.stockout_cost * early)
            if start >= periods:
                continue
            net = on_hand - backorders - lost.of_last(share.cover) + known(demand, periods).of_last(share.cover)
            self._charge(program, net, share, law, start)

    def _charge(self, program: Program, level: Series, share: Share, law: Law, start: int) -> None:
        periods = program.periods
        windows, which = demand_windows(law, self.first + periods, share.cover, self.first + start - share.cover + 1)
        pieces = [slopes(law, window, share) for window in windows]

        def over_time(values: list[float]) -> Floats:
            return np.append(np.zeros(start), np.array(values)[which])

        moves = []
        for side, sign in (("up", -1.0), ("down", 1.0)):
            tables = [getattr(piece, side) for piece in pieces]
            for k in range(max(len(table) for table in tables)):
                slope = over_time([table[min(k, len(table) - 1), 0] for table in tables])
                width = over_time([table[k, 1] if k < len(table) else 0.0 for table in tables])
                move = program.variables(width, first=start)
                program.charge(move, slope * self.weights)
                moves.append(move * sign)
        program.charge(known(over_time([piece.least for piece in pieces]), periods), self.weights)
        inside = np.arange(periods) >= start
        base = known(over_time([piece.base for piece in pieces]), periods)
        balance = total([level, *moves], periods) - base
        program.require(balance, np.where(inside, 0.0, -np.inf), np.where(inside, 0.0, np.inf))


@lru_cache(maxsize=4096)
def slopes(law: Law, window: tuple[float, ...], share: Share) -> Slopes:
    """The expected cost of a stock from below: the highest of some of its tangents, that at its minimum among them."""
    cost = expected_cost(law, window, share)
    levels = np.array([cost.demand.quantile(q) for q in QUANTILES])
    slope, at = cost.slope(levels), cost.at(levels)
    mean, holding, stockout = cost.demand.mean, share.holding_cost, share.stockout_cost
    lines = [(-stockout, stockout * mean - cost.slack), (0.0, cost.least), (holding, -holding * mean - cost.slack)]
    lines += [(float(b), float(a - b * y)) for b, a, y in zip(slope, at, levels, strict=True)]
    pieces = _highest(lines)
    kinks = [(a - c) / (d - b) for (b, a), (d, c) in pairwise(pieces)]
    edges = np.array([-np.inf, *kinks, np.inf])
    rates, widths = np.array([b for b, _ in pieces]), np.diff(edges)
    rising = int(np.argmax(rates >= 0))
    base, (rate, value) = float(edges[rising]), pieces[rising]
    up, down = np.stack((rates, widths), 1)[rising:], np.stack((-rates, widths), 1)[:rising][::-1]
    return Slopes(base, value + rate * base, up, down)


def _highest(lines: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """The upper envelope of lines (slope, value at 0), from the flattest downwards slope to the steepest upwards."""
    chosen: list[tuple[float, float]] = []
    for slope, value in sorted(lines):
        if chosen and slope - chosen[-1][0] < 1e-9 * max(1.0, abs(slope)):
            if value <= chosen[-1][1]:
                continue
            chosen.pop()
        while len(chosen) > 1 and _hides(chosen[-2], (slope, value), chosen[-1]):
            chosen.pop()
        chosen.append((slope, value))
    return chosen


def _hides(left: tuple[float, float], right: tuple[float, float], middle: tuple[float, float]) -> bool:
    """Whether the middle line is nowhere above both of the others."""
    crossing = (left[1] - right[1]) / (right[0] - left[0])
    return middle[0] * crossing + middle[1] <= left[0] * crossing + left[1]
