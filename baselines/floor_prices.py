"""What a floor costs: money per period for a percentage point more of service.

At the least cost, with C the cost and m_f = good_f - level_f whole_f the margins, the conditions of Karush, Kuhn and
Tucker give multipliers lambda_f >= 0 with dC = sum_f lambda_f dm_f for every change of the parameters, and a level that
moves by dl asks for whole_f dl more of the margin. So, by the envelope theorem, dC/dlevel_f = lambda_f E[whole_f],
whatever else adjusts. The multipliers are those of the points of the nodes with floors, by central differences on a
sample, since parameters move in whole units. Where bounds hold a point, they are those of the span, or of the way up
alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import isnan

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.floor_model import prices_of
from echelon.baselines.network_trials import Block, Measured, Request, Search, Trials
from echelon.baselines.rule_space import RuleSpace
from echelon.baselines.service_floors import ServiceFloor, margins
from echelon.envs.node_outcome import simulate_nodes
from echelon.envs.scenarios import Scenarios

Floats = NDArray[np.float64]

SLACK = 2.0
"""Moves by which a floor is exceeded that does not bind, unless less stock would cost less."""


@dataclass(frozen=True)
class FloorPrice:
    """What a floor costs at the margin."""

    floor: ServiceFloor
    per_point: float | None
    """Money per period for a percentage point more of service; 0 where the floor does not bind, and None where
    bounds hold every number of the node that could raise its service."""


def floor_prices(
    trials: Trials, blocks: Sequence[Block], steps: Sequence[Floats], parameters: Floats, scenarios: Scenarios
) -> tuple[FloorPrice, ...]:
    """The prices of all floors around parameters [2, E] that are close to the best.

    `steps` [n] of each block are the lifts of the differences: wide enough to be seen, narrow enough to be straight.
    """
    searches = [
        _multipliers(trials.space, block, parameters[:, block.links], step)
        for block, step in zip(blocks, steps, strict=True)
    ]
    found = trials.run(blocks, searches, parameters, scenarios, "prices")
    multipliers = np.zeros(len(trials.floors))
    for block, values in zip(blocks, found, strict=True):
        multipliers[block.floors] = values
    points = (multipliers * _whole(trials, parameters, scenarios) / 100).tolist()
    known = [None if isnan(point) else point for point in points]
    return tuple(FloorPrice(*pair) for pair in zip(trials.floors, known, strict=True))


def _multipliers(space: RuleSpace, block: Block, parameters: Floats, step: Floats) -> Search[Floats]:
    """[f] lambda, not a number where it cannot be told."""
    here: Measured = yield Request(parameters, np.nan)
    count = len(block.nodes)
    gain, slope, binds = np.zeros((len(block.floors), count)), np.zeros(count), np.zeros(len(block.floors), dtype=bool)
    known = np.zeros(count, dtype=bool)
    for n in np.unique(block.node_of_floor):
        own = np.flatnonzero(block.node_of_floor == n)
        up, down = _ends(space, block, parameters, n, step[n])
        if up is None:
            continue
        above: Measured = yield Request(up, np.nan)
        below: Measured = here
        if down is not None:
            below = yield Request(down, np.nan)
        # per move, not per unit: points and spans are then on one scale
        moves = 1 if down is None else 2
        known[n], gain[:, n] = True, (above.margin - below.margin) / moves
        slope[n] = (above.cost - below.cost) / moves
        binds[own] = (here.margin[own] <= SLACK * gain[own, n]) | (below.cost < here.cost)
    prices = prices_of(block, gain * binds[:, None], slope, np.ones(count))
    return np.where(known[block.node_of_floor], np.where(binds, prices, 0.0), np.nan)


def _ends(
    space: RuleSpace, block: Block, parameters: Floats, n: int, step: float
) -> tuple[Floats | None, Floats | None]:
    """Parameters [2, e] with more and with less stock at a node, None where a bound is in the way.

    It is the point that moves; where it cannot move both ways, the span, or the point below a top that stays.
    """
    links = block.into[n]
    unit = space.unit[block.links[links]]
    wide = np.maximum(unit * np.rint(parameters[1, links] / 8 / unit), step)

    def moved(point: Floats | float, span: Floats | float) -> Floats | None:
        wanted = parameters.copy()
        wanted[:, links] += np.stack([np.broadcast_to(point, len(links)), np.broadcast_to(span, len(links))])
        return wanted if np.allclose(space.clip(wanted, block.links), wanted) else None

    moves = ((step, 0.0), (0.0, wide), (step, -step))
    ways = [(moved(point, span), moved(-point, -span)) for point, span in moves]
    both = [way for way in ways if way[0] is not None and way[1] is not None]
    upwards = [way for way in ways if way[0] is not None]
    return (both or upwards or [(None, None)])[0]


def _whole(trials: Trials, parameters: Floats, scenarios: Scenarios) -> Floats:
    """[F] mean units asked for, periods or cycles: what a margin loses when its level rises by 1."""
    outcome = simulate_nodes(trials.problem, trials.space.policy(parameters), scenarios, threads=trials.threads)
    low, high = (
        margins(trials.problem, outcome, [replace(floor, level=level) for floor in trials.floors])
        for level in (0.0, 1.0)
    )
    return np.asarray((low - high).mean(axis=0))
