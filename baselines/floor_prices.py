"""What a floor costs: money per period for a percentage point more of service.

At the least cost, with C the cost and m_f = good_f - level_f whole_f the margins, the conditions of Karush, Kuhn
and Tucker give multipliers lambda_f >= 0 with dC = sum_f lambda_f dm_f for every change of the parameters. A level
that moves by dl asks for whole_f dl more of the margin, so that, by the envelope theorem, dC/dlevel_f = lambda_f
E[whole_f], whatever else adjusts. The multipliers are those of the lifts of the nodes with floors (`floor_model`),
by central differences on a sample, since parameters move in whole units.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.floor_model import FloorModel, fit_model, prices_of
from echelon.baselines.network_trials import Block, Measured, Request, Search, Trials
from echelon.baselines.rule_space import RuleSpace
from echelon.baselines.service_floors import ServiceFloor, margins
from echelon.envs.node_outcome import simulate_nodes
from echelon.envs.scenarios import Scenarios

Floats = NDArray[np.float64]

SLACK = 2.0
"""Steps of lift by which a floor is exceeded that does not bind."""


@dataclass(frozen=True)
class FloorPrice:
    """What a floor costs at the margin."""

    floor: ServiceFloor
    per_point: float
    """Money per period for a percentage point more of service; 0 where the floor does not bind."""


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
    points = multipliers * _whole(trials, parameters, scenarios) / 100
    return tuple(FloorPrice(*pair) for pair in zip(trials.floors, points.tolist(), strict=True))


def _multipliers(space: RuleSpace, block: Block, parameters: Floats, step: Floats) -> Search[Floats]:
    """[f] lambda."""
    measured: Measured = yield Request(parameters, np.nan)
    models: list[FloorModel] = []
    for sign in (1.0, -1.0):
        models.append((yield from fit_model(space, block, parameters, measured, sign * step, np.nan)))
    gain, slope = (models[0].gain + models[1].gain) / 2, (models[0].slope + models[1].slope) / 2
    own = gain[np.arange(len(block.floors)), block.node_of_floor]
    binds = measured.margin <= SLACK * own * step[block.node_of_floor]
    return np.where(binds, prices_of(block, gain * binds[:, None], slope, step), 0.0)


def _whole(trials: Trials, parameters: Floats, scenarios: Scenarios) -> Floats:
    """[F] mean units asked for, periods or cycles: what a margin loses when its level rises by 1."""
    outcome = simulate_nodes(trials.problem, trials.space.policy(parameters), scenarios, threads=trials.threads)
    low, high = (
        margins(trials.problem, outcome, [replace(floor, level=level) for floor in trials.floors])
        for level in (0.0, 1.0)
    )
    return np.asarray((low - high).mean(axis=0))
