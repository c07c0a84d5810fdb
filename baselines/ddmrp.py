"""Demand driven MRP: stock buffers of three zones at chosen positions, refilled by the net flow.

A buffer is sized by rules of thumb from the average daily usage and the decoupled lead time. It is a rule and no
optimum: neither the lead time factor nor the variability factor follows from a cost or from a service level.

C. Ptak and C. Smith, *Demand Driven Material Requirements Planning (DDMRP)*, Industrial Press, 2016.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from echelon.baselines.requirements_planning import amounts
from echelon.envs.errors import MethodError, nearest
from echelon.envs.network import OUTSIDE, Link, Network, topological_order

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class BufferZones:
    """The zones of buffers, units, one per item."""

    red_base: Floats
    red_safety: Floats
    yellow: Floats
    green: Floats

    @property
    def red(self) -> Floats:
        """What is kept against variability; its top is the top of red."""
        return self.red_base + self.red_safety

    @property
    def top_of_yellow(self) -> Floats:
        """Net flow at or below which is ordered."""
        return self.red + self.yellow

    @property
    def top_of_green(self) -> Floats:
        """Net flow up to which is ordered."""
        return self.top_of_yellow + self.green


def buffer_zones(
    *,
    daily_usage: ArrayLike,
    lead_time: ArrayLike,
    lead_time_factor: ArrayLike,
    variability_factor: ArrayLike,
    minimum_order: ArrayLike = 0.0,
    order_cycle: ArrayLike = 0.0,
) -> BufferZones:
    """The zones of a buffer: ADU the average daily usage, DLT the decoupled lead time in days, LTF and VF the factors.

    - red: ``ADU DLT LTF`` (base) plus ``ADU DLT LTF VF`` (safety)
    - yellow: ``ADU DLT``
    - green: the greatest of ``ADU DLT LTF``, the minimum order quantity and ``ADU`` times the order cycle in days

    All arguments broadcast. Without usage only the minimum order is left, in green; without a lead time red and
    yellow are 0.

    >>> zones = buffer_zones(daily_usage=10, lead_time=12, lead_time_factor=0.5, variability_factor=0.5, order_cycle=7)
    >>> float(zones.red), float(zones.yellow), float(zones.green), float(zones.top_of_green)
    (90.0, 120.0, 70.0, 280.0)
    """
    usage, factor = amounts("daily_usage", daily_usage), amounts("lead_time_factor", lead_time_factor)
    yellow = usage * amounts("lead_time", lead_time)
    base = yellow * factor
    safety = base * amounts("variability_factor", variability_factor)
    cycle = usage * amounts("order_cycle", order_cycle)
    green = np.maximum(np.maximum(base, cycle), amounts("minimum_order", minimum_order))
    return BufferZones(*np.broadcast_arrays(base, safety, yellow, green))


def net_flow(
    *,
    on_hand: ArrayLike,
    on_order: ArrayLike,
    demand: ArrayLike,
    spike_threshold: ArrayLike = np.inf,
    spike_horizon: int = 0,
) -> Floats:
    """Net flow position [...]: on hand plus on order less qualified demand.

    `demand` [..., H] are known orders by day; column 0 is what is due today or past due, and always qualifies. A day
    of the next `spike_horizon` days qualifies as a whole if its orders exceed `spike_threshold`: a spike.
    """
    known = amounts("demand", demand)
    if spike_horizon < 0:
        raise MethodError(f"spike_horizon must be at least 0, got {spike_horizon}")
    ahead = known[..., 1 : 1 + spike_horizon]
    spikes = np.where(ahead > np.asarray(spike_threshold, dtype=np.float64)[..., None], ahead, 0.0).sum(axis=-1)
    return np.asarray(amounts("on_hand", on_hand) + amounts("on_order", on_order) - known[..., 0] - spikes)


def buffer_order(flow: ArrayLike, zones: BufferZones) -> Floats:
    """Units to order: up to the top of green where the net flow is at or below the top of yellow, else nothing."""
    position = np.asarray(flow, dtype=np.float64)
    if not np.isfinite(position).all():
        raise MethodError("flow must be finite numbers, got one that is not")
    return np.where(position <= zones.top_of_yellow, zones.top_of_green - position, 0.0)


def decoupled_lead_times(network: Network, buffered: Collection[str] | None = None) -> list[float]:
    """Per link [E] the longest path without a buffer that ends with the link: its own lead time, and before that the
    lead times into sources without a buffer.

    `buffered` names the nodes with a buffer; left out, all have one and every lead time is decoupled. A link's own
    lead time is that of shipping (the mean, where it is random), of order information and of processing at the target.
    Lateral links have no part in it; theirs is 0.
    """
    names = network.index
    held = set(names) if buffered is None else set(buffered)
    for name in sorted(held - set(names)):
        raise MethodError(f"buffered must be nodes, got {name!r}{nearest(name, names)}")
    into = {name: [e for e, x in enumerate(network.links) if x.target == name and not x.lateral] for name in names}
    times = [0.0] * len(network.links)
    for name in topological_order(network):
        for e in into[name]:
            link = network.links[e]
            unbuffered = link.source != OUTSIDE and link.source not in held
            before = max((times[k] for k in into[link.source]), default=0.0) if unbuffered else 0.0
            times[e] = before + own_lead_time(network, link)
    return times


def own_lead_time(network: Network, link: Link) -> float:
    """Periods from an order on the link to stock at its target, where the source has stock."""
    return link.mean_lead_time + link.order_delay + network.nodes[network.index[link.target]].processing_time
