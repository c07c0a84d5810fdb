"""A first guess of the parameters of a rule by formulas: the sighting scope of a search by simulation.

Lots come from the power approximation (or the square-root formula), receivers first. Then every node gets the least
point that reaches what is asked of it, suppliers first: its floors, the service at which a unit more on hand costs
what it saves in shortages, and at nodes that have neither a common internal service. The demand that a node covers has
the mean and variance of `Cover`, with a law of these two moments (`fitted_laws`); its position is taken to be uniform
between point and top. What the formulas get wrong is what the simulation is for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.fitted_laws import FittedLaw
from echelon.baselines.power_approximation import power_approximation
from echelon.baselines.rule_space import RuleSpace
from echelon.baselines.service_floors import FloorKind, ServiceFloor
from echelon.envs.arrays import network_arrays
from echelon.envs.codec import Codec
from echelon.envs.network import Link, Network, topological_order
from echelon.envs.problem import Problem

Floats = NDArray[np.float64]
Target = tuple[FloorKind, float]

POSITIONS = 24
"""Positions between point and top at which service is computed."""
UNIFORM = 1 / 6
"""Variance of the difference of two independent uniform variables on (0, 1)."""
MOST_SERVICE = 0.9999
INTERNAL_SERVICE = 0.9


@dataclass(frozen=True)
class Cover:
    """Moments of the demand between an order and the end of the period in which what it brings can serve.

    Customers' demand adds the variance of its periods. A receiver that orders lots of Q has ordered what its
    customers took, but for the difference of two of its positions, which has the variance Q^2 u (1 - u) as long as the
    cover is a share u < 1 of what a lot lasts, and at most about Q^2 / 6 later. Lead times add mu^2 Var[L], and a
    supplier that owes B adds its receiver's share of B (Graves 1985).
    """

    mean: float
    """Units per period that pass through the node."""
    variance: float
    """Of the customers' demand behind them, per period."""
    periods: float
    """Mean lead time and review; one period more where customers are served."""
    further: float
    """Variance from lots, lead times and what the supplier owes."""
    owed: float
    """Mean of what the supplier owes to the node, units."""

    def law(self, less: float, *, whole: bool) -> FittedLaw:
        """The law of the demand of all but the last `less` periods."""
        periods = max(self.periods - less, 0.0)
        mean = self.mean * periods + self.owed
        share = periods / self.periods if self.periods else 0.0
        return FittedLaw(np.array(mean), np.array(self.variance * periods + self.further * share), whole)


def analytic_start(
    problem: Problem,
    space: RuleSpace,
    floors: Sequence[ServiceFloor] = (),
    *,
    lot_share: float = 1.0,
    internal_service: float = INTERNAL_SERVICE,
) -> Floats:
    """Parameters [2, E], with lots of `lot_share` times those of the formula.

    `internal_service` is the fill rate of nodes without customers and floors.
    """
    network = problem.network
    spans = np.maximum(lot_share * _lots(problem, space), space.least_span)
    points = np.zeros(len(network.links))
    owed: dict[str, tuple[float, float]] = {}
    receivers = {link.source for link in network.links}
    for name in topological_order(network):
        node = network.nodes[network.index[name]]
        targets = _targets(problem, name, floors, internal_service)
        for e, link in enumerate(network.links):
            if link.target == name:
                cover = _cover(problem, space, e, spans, owed)
                points[e] = _least_point(cover, targets, spans[e] / link.quantity, network.whole_units) * link.quantity
                if name in receivers and node.demand is None:
                    owed[name] = _owed(cover, points[e] / link.quantity, spans[e] / link.quantity, network.whole_units)
    return space.clip(np.array([points, spans]))


def _lots(problem: Problem, space: RuleSpace) -> Floats:
    """[E] spans by formula: 0 for base stock and where orders have no fixed cost."""
    codec, arrays = Codec(problem.network), network_arrays(problem.network)
    if space.rule != "min_max":
        return codec.economic_lot * (space.rule == "reorder_lots")
    lots = np.zeros(len(problem.network.links))
    for e, lot in enumerate(codec.economic_lot):
        if lot > 0:
            levels = power_approximation(
                mean=float(codec.need[e]),
                sd=float(codec.sd[e]),
                holding_cost=max(float(arrays.holding_cost[arrays.target[e]]), 1e-3),
                stockout_cost=1.0,  # the lot does not depend on it
                fixed_cost=float(arrays.fixed_cost[e]),
                lead_time=float(arrays.lead_time[e] + arrays.order_delay[e]),
            )
            lots[e] = levels.up_to - levels.reorder
    return lots


def _cover(problem: Problem, space: RuleSpace, e: int, spans: Floats, owed: dict[str, tuple[float, float]]) -> Cover:
    """What the orders on link e must cover, in units of the target's item."""
    network, codec = problem.network, Codec(problem.network)
    link, node = network.links[e], network.nodes[network.index[network.links[e].target]]
    mean, variance = float(codec.need[e]) / link.quantity, (float(codec.sd[e]) / link.quantity) ** 2
    periods = link.mean_lead_time + link.order_delay + node.processing_time + (space.review_period - 1) / 2
    periods += node.demand is not None
    further = mean**2 * _lead_time_variance(link)
    for f, out in enumerate(network.links):
        if out.source == node.name:
            further += _lot_variance(float(codec.mean[f]) * periods, float(spans[f]))
    total, square = owed.get(link.source, (0.0, 0.0))
    share = float(codec.mean[e]) / max(_flow_out(network, codec, link.source), 1e-12)
    return Cover(mean, variance, periods, further + share**2 * square + share * (1 - share) * total, share * total)


def _flow_out(network: Network, codec: Codec, source: str) -> float:
    return float(sum(codec.mean[f] for f, out in enumerate(network.links) if out.source == source))


def _lead_time_variance(link: Link) -> float:
    return 0.0 if isinstance(link.lead_time, int) else link.lead_time.variance


def _lot_variance(demand: float, lot: float) -> float:
    """Variance beyond the customers' of what is ordered in lots while `demand` units are asked for on average."""
    used = demand / lot if lot > 0 else 1.0
    return lot**2 * (used * (1 - used) if used < 0.5 else max(UNIFORM, used * (1 - used)) if used < 1 else UNIFORM)


def _targets(problem: Problem, name: str, floors: Sequence[ServiceFloor], internal_service: float) -> list[Target]:
    """What is asked of a node: its floors, and the balance of holding and shortage cost."""
    targets: list[Target] = [(floor.kind, floor.level) for floor in floors if floor.node == name]
    node = problem.network.nodes[problem.network.index[name]]
    if node.demand is None:
        return targets or [("fill_rate", internal_service)]
    shortage = node.stockout_cost + (node.price if node.stockout_rule == "lost_sales" else 0.0)
    if shortage > 0:
        targets.append(("period_service", min(shortage / (shortage + node.holding_cost), MOST_SERVICE)))
    return targets


def _least_point(cover: Cover, targets: Sequence[Target], span: float, whole: bool) -> float:
    """The least point that reaches every target."""
    services = [(_service(cover, kind, span, whole), level) for kind, level in targets]
    return max((_point_for(service, cover, span, level) for service, level in services), default=0.0)


def _service(cover: Cover, kind: FloorKind, span: float, whole: bool) -> Callable[[float], float]:
    """The service as a function of the point."""
    total, before = cover.law(0.0, whole=whole), cover.law(1.0, whole=whole)

    def service(point: float) -> float:
        positions = _positions(point, span, whole)
        if kind == "cycle_service":
            return 1.0 - float(total.above(np.array(point)))
        if kind == "period_service":
            return 1.0 - float(total.above(positions).mean())
        if cover.mean == 0 or cover.periods == 0:
            return 1.0
        unmet = total.shortage(positions) - before.shortage(positions)
        return 1.0 - float(unmet.mean()) / (cover.mean * min(cover.periods, 1.0))

    return service


def _positions(point: float, span: float, whole: bool) -> Floats:
    """Positions after ordering: above the point, up to the top."""
    count = int(min(POSITIONS, max(span, 1.0))) if whole else POSITIONS
    positions = point + span * (np.arange(count) + 0.5) / count + (0.5 if whole else 0.0)
    return np.minimum(np.rint(positions) if whole else positions, point + span)


def _point_for(service: Callable[[float], float], cover: Cover, span: float, level: float) -> float:
    """The least point with that service, to half a unit or less."""
    spread = float((cover.variance * cover.periods + cover.further) ** 0.5)
    centre = cover.mean * cover.periods + cover.owed
    low, high = -span - 1, centre + spread + 1
    while service(high) < level and high < 1e3 * (centre + spread + 1):
        high += centre + 4 * spread + 1
    while high - low > min(0.5, 0.02 * (centre + spread) + 1e-6):
        middle = (low + high) / 2
        low, high = (low, middle) if service(middle) >= level else (middle, high)
    return high


def _owed(cover: Cover, point: float, span: float, whole: bool) -> tuple[float, float]:
    """Mean and variance of what the node owes to its receivers."""
    _, first, second = cover.law(0.0, whole=whole).losses(_positions(point, span, whole))
    mean = float(first.mean())
    return mean, max(float(second.mean()) - mean**2, 0.0)
