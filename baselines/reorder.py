"""(s, S) policies, called Min/Max in practice: at or below s, order up to S.

With a fixed cost per order they are optimal at a single location with backorders (Scarf 1960).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from echelon.baselines.base_stock import base_stock, echelon_base_stock
from echelon.baselines.plan import Plan
from echelon.baselines.search import first_step, lead_time_moments, require_tunable, tune, tuning_scenarios
from echelon.envs.codec import Codec
from echelon.envs.errors import MethodError
from echelon.envs.policy import OrderUpTo, Position, order_up_to
from echelon.envs.problem import Problem
from echelon.envs.scenarios import Scenarios

SCARF = (
    "H. Scarf, The optimality of (S, s) policies in the dynamic inventory problem, in: K. J. Arrow, S. Karlin and "
    "P. Suppes (eds.), Mathematical Methods in the Social Sciences, 1959, Stanford University Press, 1960"
)


def min_max(
    problem: Problem,
    *,
    reorder: Sequence[float] | None = None,
    up_to: Sequence[float] | None = None,
    position: Position = "installation",
    scenarios: Scenarios | None = None,
    seed: int = 0,
) -> Plan:
    """(s, S) levels [E] on a position, tuned on `scenarios` unless both are given.

    Without a fixed cost anywhere the levels on an inventory position are the tuned base-stock levels: it pays to
    order in every period. A rule that goes by the stock on hand orders again while an order is under way; see
    `OrderUpTo`.
    """
    if (reorder is None) != (up_to is None):
        raise MethodError("reorder and up_to must be given together, or both left to be tuned")
    require_tunable(problem, "min_max", given=reorder is not None)
    links = len(problem.network.links)

    def build(parameters: Sequence[float]) -> OrderUpTo:
        points, lots = parameters[:links], parameters[links:]
        tops = [s + q for s, q in zip(points, lots, strict=True)]
        return order_up_to(problem.network, tops, reorder=points, position=position)

    if reorder is None or up_to is None:
        common = scenarios or tuning_scenarios(problem, seed=seed)
        _, spread = lead_time_moments(problem)
        codec = Codec(problem.network)
        lot = codec.economic_lot
        every_period = (echelon_base_stock if position == "echelon" else base_stock)(problem, scenarios=common)
        levels = every_period.parameters["levels"]
        if not lot.any() and position != "on_hand":
            return _plan(problem, levels, levels, position)
        points = np.asarray(levels)
        best = tune(
            problem,
            build,
            starts=[[*points, *0 * lot], *([*points - codec.need / 2, *share * lot] for share in LOT_SHARES)],
            step=[*first_step(problem, spread), *np.maximum(lot / 8, codec.need / 4)],
            lowest=[*-lowest_depth(codec), *np.zeros(links)],
            scenarios=common,
        )
        reorder, up_to = best[:links], [s + q for s, q in zip(best[:links], best[links:], strict=True)]
    return _plan(problem, reorder, up_to, position)


def _plan(problem: Problem, reorder: Sequence[float], up_to: Sequence[float], position: Position) -> Plan:
    policy = order_up_to(problem.network, up_to, reorder=reorder, position=position)
    parameters = {"reorder": [float(s) for s in reorder], "up_to": [float(x) for x in up_to], "position": position}
    return Plan(policy, parameters, citation=SCARF)


LOT_SHARES = (0.25, 0.5, 0.75, 1.0)
"""Lots that the search starts from, as shares of the economic one: the cost has several valleys."""


def lowest_depth(codec: Codec) -> np.ndarray:
    """[E] how far below 0 a reorder point may lie: with a dear order and a cheap shortage it pays to run short."""
    return np.asarray(np.where(codec.economic_lot > 0, np.ceil(2 * codec.economic_lot + codec.need), 0.0))
