"""Streams of random numbers: every number has an address, and no number depends on which others are drawn.

Every replication has a counter-based stream of its own (Philox), addressed by the seed, the name of
the stream and the number of the replication. Inside it every purpose has its own place, so that a
network that gains a random lead time keeps its demand.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from echelon.envs.errors import ConfigError

if TYPE_CHECKING:
    from echelon.envs._sampling import Lookup

Floats = NDArray[np.float64]

PART_NUMBERS = 500_000
"""Numbers that are held beside the result while it is computed."""


class Purpose(IntEnum):
    """What the numbers of a replication are for. A purpose keeps its value: it is part of the address."""

    DEMAND = 0
    COMMON_DEMAND = 1
    LEAD_TIME = 2
    YIELD = 3
    YIELD_CHANCE = 4
    WAIT_CHANCE = 5
    NODE_STATUS = 6
    LINK_STATUS = 7


def stream_key(seed: int, stream: str) -> NDArray[np.uint64]:
    """[2] the key of a named stream of a seed."""
    if seed < 0:
        raise ConfigError([f"seed must be at least 0 (got {seed})"])
    sequence = np.random.SeedSequence((seed, zlib.crc32(stream.encode())))
    return sequence.generate_state(2, np.uint64).astype(np.uint64)


@dataclass(frozen=True, eq=False)
class Streams:
    """The streams of B replications over T periods."""

    keys: NDArray[np.uint64]
    """[B, 2]"""
    replications: NDArray[np.uint64]
    """[B] number of the replication within the stream of its key."""
    periods: int

    @classmethod
    def of(cls, keys: NDArray[np.uint64], replications: Sequence[int], periods: int) -> Streams:
        """The streams of rows with their own keys and replication numbers."""
        return cls(np.ascontiguousarray(keys, dtype=np.uint64), np.array(replications, dtype=np.uint64), periods)

    def __getitem__(self, rows: slice) -> Streams:
        """The streams of some of the replications."""
        return Streams(self.keys[rows], self.replications[rows], self.periods)

    def parts(self, columns: int = 1) -> Iterator[slice]:
        """Replications in parts that have about `PART_NUMBERS` numbers each, for so many numbers a period."""
        size = max(1, PART_NUMBERS // (self.periods * columns))
        for first in range(0, len(self.replications), size):
            yield slice(first, first + size)

    def numbers(
        self, purpose: Purpose, columns: int, lookup: Lookup | None = None, *, into: Floats | None = None
    ) -> Floats:
        """[B, T, columns] uniform numbers, looked up where the rows of `lookup` [T * columns] say so.

        In memory the replication is the last axis: what a period needs of all replications lies side by side.
        An array of that shape and layout in `into` is overwritten; fresh memory would cost more than the numbers.
        """
        from echelon.envs._sampling import draw, no_lookup

        rows = np.empty((self.periods * columns, len(self.replications)))
        if into is not None and into.shape == (len(self.replications), self.periods, columns):
            rows = into.transpose(1, 2, 0).reshape(rows.shape)
        draw(rows, self.keys, self.replications, np.uint64(purpose), lookup or no_lookup(len(rows)))
        return rows.reshape(self.periods, columns, -1).transpose(2, 0, 1)
