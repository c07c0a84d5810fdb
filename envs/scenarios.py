"""Scenarios: the sampled randomness of B replications of T periods, made before any policy runs.

Every replication has a counter-based stream of its own (Philox), addressed by the seed, the name of
the stream and the number of the replication. Replication k of a seed is the same number for number
whatever the batch, the number of workers or the horizon. Training, tuning and evaluation use
streams of different names, which are disjoint.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from echelon.envs.demand import Law
from echelon.envs.errors import ConfigError
from echelon.envs.network import Network

Floats = NDArray[np.float64]

DEMAND_NUMBERS = 0
"""Address of the demand numbers inside a replication's stream."""


@dataclass(frozen=True, eq=False)
class Scenarios:
    """Exogenous randomness that any number of policies can meet (common random numbers)."""

    demand: Floats
    """[B, T, C] units asked for by the customers of each outlet in each period."""

    @property
    def replications(self) -> int:
        """B"""
        return int(self.demand.shape[0])

    @property
    def periods(self) -> int:
        """T"""
        return int(self.demand.shape[1])

    def __getitem__(self, replications: slice) -> Self:
        """The scenarios of some of the replications."""
        return replace(self, demand=self.demand[replications])


def sample(
    network: Network, *, periods: int, replications: int | range, seed: int, stream: str = "evaluation"
) -> Scenarios:
    """Scenarios of a network: replications 0 to B - 1, or those of a range.

    `stream` names the purpose. Scenarios of different streams or seeds are independent.
    """
    wanted = range(replications) if isinstance(replications, int) else replications
    if periods < 1 or len(wanted) < 1:
        raise ConfigError([f"periods and replications must be at least 1 (got {periods} and {len(wanted)})"])
    keys = np.broadcast_to(stream_key(seed, stream), (len(wanted), 2))
    return Scenarios(sample_demand(network.laws, keys, wanted, periods))


def stream_key(seed: int, stream: str) -> NDArray[np.uint64]:
    """[2] the key of a named stream of a seed."""
    if seed < 0:
        raise ConfigError([f"seed must be at least 0 (got {seed})"])
    sequence = np.random.SeedSequence((seed, zlib.crc32(stream.encode())))
    return sequence.generate_state(2, np.uint64).astype(np.uint64)


def sample_demand(laws: Sequence[Law], keys: NDArray[np.uint64], replications: Sequence[int], periods: int) -> Floats:
    """Demand [B, T, C]; row b is replication `replications[b]` of the stream with key `keys[b]`."""
    uniform = np.empty((len(replications), periods, len(laws)))
    for row, key, replication in zip(uniform, keys, replications, strict=True):
        stream = np.random.Philox(key=key, counter=[0, 0, DEMAND_NUMBERS, replication])
        np.random.Generator(stream).random(out=row)
    demand = np.empty_like(uniform)
    for outlet, law in enumerate(laws):
        demand[:, :, outlet] = law.sample(np.ascontiguousarray(uniform[:, :, outlet]))
    return demand
