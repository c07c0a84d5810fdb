"""Random lead times, yields and disruptions of a network from the streams of its replications.

Each function returns None where no part of the network has the feature, and else an array over all
links or nodes, with the constant where a part does not have it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echelon.envs.demand_law import Inversion, cumulated
from echelon.envs.network import Network
from echelon.envs.streams import Purpose, Streams
from echelon.envs.supply import Disruption, LeadTime, Yield

Floats = NDArray[np.float64]


def sample_lead_times(network: Network, streams: Streams) -> NDArray[Any] | None:
    """Periods [B, T, E] that a shipment of each period takes; without crossover none overtakes another."""
    lead_times = [link.lead_time for link in network.links]
    if all(isinstance(lead_time, int) for lead_time in lead_times):
        return None
    longest = max(max(link.lead_times) for link in network.links)
    kind = np.int16 if longest <= np.iinfo(np.int16).max else np.int32
    shape = (streams.periods, len(lead_times), len(streams.replications))
    drawn = np.empty(shape, dtype=kind).transpose(2, 0, 1)
    for part in streams.parts(len(lead_times)):
        drawn[part] = _looked_up(streams[part], Purpose.LEAD_TIME, [_inversion(x) for x in lead_times])
    for e, lead_time in enumerate(lead_times):
        if isinstance(lead_time, LeadTime) and not lead_time.crossover:
            _forbid_overtaking(drawn[:, :, e])
    return drawn


def _forbid_overtaking(lead_time: NDArray[Any]) -> None:
    """L'(t) = max(L'(t - 1) - 1, L(t)), in place [B, T]; before period 0 nothing is under way."""
    for t in range(1, lead_time.shape[1]):
        lead_time[:, t] = np.maximum(lead_time[:, t - 1] - 1, lead_time[:, t])


def sample_yields(network: Network, streams: Streams) -> tuple[Floats | None, Floats | None]:
    """Usable shares [B, T, E] of what arrives, and on networks of whole units numbers that round them."""
    rates = [link.yield_rate for link in network.links]
    if all(rate == 1.0 for rate in rates):
        return None, None
    yields = _looked_up(streams, Purpose.YIELD, [_inversion(rate) for rate in rates])
    return yields, streams.numbers(Purpose.YIELD_CHANCE, len(rates)) if network.whole_units else None


def sample_wait_chance(network: Network, streams: Streams) -> Floats | None:
    """Numbers [B, T, C] that round the waiting fraction of unmet demand, where it is neither all nor none."""
    rules = [node.stockout_rule for node in network.outlets]
    rounds = network.whole_units and any(isinstance(rule, float) and 0 < rule < 1 for rule in rules)
    return streams.numbers(Purpose.WAIT_CHANCE, len(rules)) if rounds else None


def sample_status(disruptions: Sequence[Disruption | None], streams: Streams, purpose: Purpose) -> Floats | None:
    """1.0 where a node or link is up in the period after each period [B, T, N], else 0.0."""
    if not any(disruptions):
        return None
    failure = np.array([d.failure if d else 0.0 for d in disruptions])
    repair = np.array([d.repair if d else 1.0 for d in disruptions])
    status = streams.numbers(purpose, len(disruptions))
    up = np.ones((len(status), len(disruptions)), dtype=bool)
    for t in range(streams.periods):
        uniform = status[:, t]
        up = np.where(up, uniform >= failure, uniform < repair)
        status[:, t] = up
    return status


def _looked_up(streams: Streams, purpose: Purpose, inversions: Sequence[Inversion]) -> Floats:
    """[B, T, E] numbers of a purpose, each column by its own look-up."""
    from echelon.envs._sampling import make_lookup

    rule = np.tile(np.arange(len(inversions), dtype=np.int32), streams.periods)
    return streams.numbers(purpose, len(inversions), make_lookup(inversions, rule))


def _inversion(law: float | LeadTime | Yield) -> Inversion:
    """A constant, a distribution or a history as a look-up."""
    if isinstance(law, int | float):
        return Inversion(values=np.array([law], dtype=np.float64))
    table = cumulated(law.weights) if law.probabilities else None
    return Inversion(table=table, values=np.asarray(law.values, dtype=np.float64))
