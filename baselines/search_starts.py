"""Where a search by simulation begins: at the numbers of formulas, and at further ones of other shape."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.analytic_start import INTERNAL_SERVICE, analytic_start
from echelon.baselines.network_trials import blocks_of, have_few_links
from echelon.baselines.rule_space import RuleSpace
from echelon.baselines.service_floors import ServiceFloor
from echelon.envs.network import Network, topological_order
from echelon.envs.problem import Problem

Floats = NDArray[np.float64]

LOT_SHARES = (1.0, 0.5, 2.0)
INTERNAL_SERVICES = (0.6, 0.97)
"""Further starts: lots as shares of those of the formula, and service inside the network where no floor sets it."""
LOT_RATIOS = (0.0, 1.0, 2.0, 3.0)
"""Further starts where blocks have few links: lots of suppliers as multiples of what their receivers order together."""


def starts_of(problem: Problem, space: RuleSpace, floors: Sequence[ServiceFloor]) -> Iterator[Floats]:
    """Starts by formula, all different, the plain one first."""
    asked = {floor.node for floor in floors} | {node.name for node in problem.network.outlets}
    inside = any(link.source not in asked for link in problem.network.links if link.source in problem.network.index)
    pairs = [(share, INTERNAL_SERVICE) for share in LOT_SHARES]
    pairs += [(1.0, service) for service in INTERNAL_SERVICES if inside]
    seen: set[bytes] = set()
    plain = analytic_start(problem, space, floors)
    rest = [analytic_start(problem, space, floors, lot_share=share, internal_service=one) for share, one in pairs[1:]]
    if space.rule != "base_stock" and have_few_links(blocks_of(problem.network, floors)):
        rest += [_nested(problem.network, space, plain, ratio) for ratio in LOT_RATIOS]
    for found in (plain, *rest):
        if found.tobytes() not in seen:
            seen.add(found.tobytes())
            yield found


def _nested(network: Network, space: RuleSpace, start: Floats, ratio: float) -> Floats:
    """[2, E] a start with spans of suppliers that are multiples of what their receivers order together.

    A ratio of 0 lets the receivers order the suppliers' lots, and suppliers nothing beyond that.
    """
    found = start.copy()
    spans = found[1]
    for name in topological_order(network):
        above = [e for e, link in enumerate(network.links) if link.target == name]
        below = [e for e, link in enumerate(network.links) if link.source == name]
        if above and below and spans[below].sum() > 0:
            spans[below] *= spans[above].sum() / (max(ratio, 1.0) * spans[below].sum())
    if not ratio:
        spans[[e for e, link in enumerate(network.links) if link.target in {one.source for one in network.links}]] = 0.0
    return space.clip(found)
