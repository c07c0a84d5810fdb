"""Scenarios: the sampled randomness of B replications of T periods, made before any policy runs.

Replication k of a seed is the same number for number whatever the batch, the number of workers or the
horizon. Training, tuning and evaluation use streams of different names, which are disjoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echelon.envs.demand_sampling import sample_demand
from echelon.envs.errors import ConfigError
from echelon.envs.network import Network
from echelon.envs.state import Draw
from echelon.envs.streams import Purpose, Streams
from echelon.envs.streams import stream_key as stream_key
from echelon.envs.supply_sampling import sample_lead_times, sample_status, sample_wait_chance, sample_yields

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Scenarios:
    """Exogenous randomness that any number of policies can meet (common random numbers).

    What is None has no randomness anywhere in the network. `Draw` tells what each array means.
    """

    demand: Floats
    """[B, T, C] units asked for by the customers of each outlet in each period."""
    lead_time: NDArray[Any] | None = None
    """[B, T, E] periods that a shipment of the period takes."""
    yields: Floats | None = None
    """[B, T, E] usable share of what arrives between this review and the next."""
    yield_chance: Floats | None = None
    """[B, T, E] in [0, 1)."""
    wait_chance: Floats | None = None
    """[B, T, C] in [0, 1)."""
    node_up: Floats | None = None
    """[B, T, N] 1.0 where the node is up in the period after, else 0.0."""
    link_up: Floats | None = None
    """[B, T, E] 1.0 where the link is up in the period after, else 0.0."""

    @property
    def replications(self) -> int:
        """B"""
        return int(self.demand.shape[0])

    @property
    def periods(self) -> int:
        """T"""
        return int(self.demand.shape[1])

    @cached_property
    def demand_range(self) -> tuple[float, float]:
        """The least and the greatest demand."""
        return float(self.demand.min()), float(self.demand.max())

    @cached_property
    def packed_demand(self) -> Any:
        """The demand in the form that the fastest rollout reads, made once for many rollouts."""
        from echelon.envs import _fused

        return _fused.pack(self.demand)

    def __getitem__(self, replications: slice) -> Scenarios:
        """The scenarios of some of the replications."""
        return Scenarios(**{name: array[replications] for name, array in self._arrays().items()})

    def draw(self, t: int) -> Draw:
        """What happens in period t."""
        return Draw(**{name: array[:, t] for name, array in self._arrays().items()})

    def _arrays(self) -> dict[str, NDArray[Any]]:
        """The arrays that there are, by the names of their fields."""
        named = ((field.name, getattr(self, field.name)) for field in fields(self))
        return {name: array for name, array in named if array is not None}


def sample(
    network: Network,
    *,
    periods: int,
    replications: int | range,
    seed: int,
    stream: str = "evaluation",
    into: Scenarios | None = None,
) -> Scenarios:
    """Scenarios of a network: replications 0 to B - 1, or those of a range.

    `stream` names the purpose. Scenarios of different streams or seeds are independent. Scenarios that are
    no longer needed can be handed over in `into`: if they have the same shape, their memory is overwritten.
    """
    wanted = range(replications) if isinstance(replications, int) else replications
    if periods < 1 or len(wanted) < 1:
        raise ConfigError([f"periods and replications must be at least 1 (got {periods} and {len(wanted)})"])
    keys = np.broadcast_to(stream_key(seed, stream), (len(wanted), 2))
    return sample_rows(network, keys, wanted, periods, into=into)


def sample_rows(
    network: Network,
    keys: NDArray[np.uint64],
    replications: Sequence[int],
    periods: int,
    *,
    into: Scenarios | None = None,
) -> Scenarios:
    """Scenarios whose row b is replication `replications[b]` of the stream with key `keys[b]`."""
    streams = Streams.of(keys, replications, periods)
    yields, yield_chance = sample_yields(network, streams)
    return Scenarios(
        demand=sample_demand(
            network.laws,
            streams,
            correlation=network.demand_correlation,
            into=None if into is None else into.demand,
        ),
        lead_time=sample_lead_times(network, streams),
        yields=yields,
        yield_chance=yield_chance,
        wait_chance=sample_wait_chance(network, streams),
        node_up=sample_status([node.disruption for node in network.nodes], streams, Purpose.NODE_STATUS),
        link_up=sample_status([link.disruption for link in network.links], streams, Purpose.LINK_STATUS),
    )
