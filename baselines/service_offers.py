"""What a stage costs those that it supplies, and those that supply it, by limits on its service times."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

Times = dict[int, int]
"""The service times that have been chosen so far, by stage."""


@dataclass(frozen=True, eq=False)
class Offer:
    """What a stage and all that hangs on it cost, by an upper limit s on its outbound service time."""

    price: Floats
    quote: Ints
    """The outbound service time that is best for each limit."""
    wait: Ints | None
    """The inbound service time that is best for each outbound one; None where there is none."""

    def settle(self, j: int, limit: int, inbound: Times, outbound: Times) -> None:
        """Choose the service times of stage j under the limit."""
        outbound[j] = int(self.quote[min(limit, len(self.quote) - 1)])
        if self.wait is not None:
            inbound[j] = int(self.wait[outbound[j]])


@dataclass(frozen=True, eq=False)
class Need:
    """What a stage and all that hangs on it cost, by a lower limit s on its inbound service time."""

    price: Floats
    bear: Ints
    """The inbound service time that is best for each limit."""
    quote: Ints | None
    """The outbound service time that is best for each inbound one; None where there is none."""

    def settle(self, j: int, limit: int, inbound: Times, outbound: Times) -> None:
        """Choose the service times of stage j above the limit."""
        inbound[j] = int(self.bear[limit])
        if self.quote is not None:
            outbound[j] = int(self.quote[inbound[j]])


def offer_of(cost: Floats, wait: Ints | None) -> Offer:
    """The offer of a stage with a cost by its outbound service time."""
    price = np.minimum.accumulate(cost)
    return Offer(price, _last_record(cost, price), wait)


def need_of(cost: Floats, quote: Ints | None) -> Need:
    """The need of a stage with a cost by its inbound service time."""
    price = np.minimum.accumulate(cost[::-1])
    return Need(price[::-1].copy(), len(cost) - 1 - _last_record(cost[::-1], price)[::-1], quote)


def _last_record(cost: Floats, record: Floats) -> Ints:
    """Where each running minimum was last reached."""
    return np.maximum.accumulate(np.where(cost == record, np.arange(len(cost)), 0))


def padded(price: Floats, length: int) -> Floats:
    """The first `length` values, the last one repeated if there are fewer."""
    return price[:length] if len(price) >= length else np.pad(price, (0, length - len(price)), mode="edge")
