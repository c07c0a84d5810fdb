"""Floors under the service of nodes: what a policy must reach, and by how much a simulated one does.

A floor is linear in what is simulated. With u units filled of d units asked, a fill rate of at least b is the
same as E[u - b d] >= 0; with x failed cycles of c, a cycle service of at least b is E[(1 - b) c - x] >= 0. So
every floor has a margin per replication whose mean must not be negative: ordinary means, intervals and tests
apply, and the ratio is that of the long run, not a mean of ratios.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from echelon.envs.errors import MethodError, nearest
from echelon.envs.network import Network
from echelon.envs.node_outcome import NodeOutcome
from echelon.envs.problem import Problem

Floats = NDArray[np.float64]
FloorKind = Literal["fill_rate", "period_service", "cycle_service"]
"""Share of the units asked for that is met at once (beta); of the periods that end without a shortage (alpha); of
the replenishment cycles without one."""


@dataclass(frozen=True)
class ServiceFloor:
    """The least service of a node towards all who ask it, customers and other nodes."""

    node: str
    level: float
    """In (0, 1)."""
    kind: FloorKind = "fill_rate"

    def __str__(self) -> str:
        return f"{self.kind} of {self.node} >= {self.level:g}"


def floors_of(
    network: Network, service_level: float | Mapping[str, float], *, kind: FloorKind = "fill_rate"
) -> tuple[ServiceFloor, ...]:
    """One floor for all nodes with customers, or those of a mapping from nodes to levels.

    Raises `MethodError` for an unknown node or kind, and for a level that is not in (0, 1).
    """
    if not isinstance(service_level, Mapping):
        service_level = {outlet.name: service_level for outlet in network.outlets}
    floors = tuple(ServiceFloor(node, level, kind) for node, level in service_level.items())
    require_floors(network, floors)
    return floors


def require_floors(network: Network, floors: Sequence[ServiceFloor]) -> None:
    """Raise `MethodError` that lists every floor that cannot be one on this network."""
    receivers = {link.source for link in network.links}
    served = {node.name: node.demand is not None or node.name in receivers for node in network.nodes}
    defects = [f"floors: {defect}" for floor in floors for defect in _defects(floor, served)]
    places = Counter((floor.node, floor.kind) for floor in floors)
    defects += [f"floors: {node} has {n} floors under its {kind}" for (node, kind), n in places.items() if n > 1]
    if defects:
        raise MethodError("\n".join(defects))


def _defects(floor: ServiceFloor, served: Mapping[str, bool]) -> Iterator[str]:
    """What is wrong with a floor; `served` says of each node whether anyone asks it for anything."""
    if floor.node not in served:
        yield f"the network has no node {floor.node!r}{nearest(floor.node, served)}"
    elif not served[floor.node]:
        yield f"{floor.node} serves neither customers nor other nodes"
    if floor.kind not in get_args(FloorKind):
        yield f"kind must be one of {', '.join(get_args(FloorKind))} (got {floor.kind!r})"
    if isinstance(floor.level, bool) or not isinstance(floor.level, int | float) or not 0 < floor.level < 1:
        yield f"the level of {floor.node} must be greater than 0 and less than 1 (got {floor.level!r})"


def margins(problem: Problem, outcome: NodeOutcome, floors: Sequence[ServiceFloor]) -> Floats:
    """[B, F] by how much each replication exceeds each floor: units, periods or cycles, below 0 where it falls short.

    Units and periods are per period, as in the outcome.
    """
    columns = [_parts(problem, outcome, floor) for floor in floors]
    shares = [good - floor.level * whole for floor, (good, whole) in zip(floors, columns, strict=True)]
    return np.stack(shares, axis=1) if floors else np.zeros((len(outcome.cost), 0))


def achieved(problem: Problem, outcome: NodeOutcome, floors: Sequence[ServiceFloor]) -> Floats:
    """[F] the service that the replications together reach; 1 where nothing was asked for."""
    parts = [_parts(problem, outcome, floor) for floor in floors]
    return np.array([good.sum() / whole.sum() if whole.sum() > 0 else 1.0 for good, whole in parts])


def _parts(problem: Problem, outcome: NodeOutcome, floor: ServiceFloor) -> tuple[Floats, Floats]:
    """[B] what went well, and the whole of it."""
    n = problem.network.index[floor.node]
    if floor.kind == "fill_rate":
        return outcome.filled[:, n], outcome.asked[:, n]
    if floor.kind == "cycle_service":
        return outcome.cycles[:, n] - outcome.failed_cycles[:, n], outcome.cycles[:, n]
    weight = float(problem.weights.sum())
    return weight - outcome.stockout[:, n], np.full(len(outcome.cost), weight)
