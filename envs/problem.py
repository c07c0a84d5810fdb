"""Problems: a network, how long it is run, and what is known about its best cost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from echelon.envs.errors import ConfigError
from echelon.envs.network import Network

ReferenceKind = Literal["optimal", "lower_bound", "best_known"]


@dataclass(frozen=True)
class Reference:
    """A cost to measure gaps against: money per period, or discounted money in total."""

    value: float
    kind: ReferenceKind
    source: str


@dataclass(frozen=True, eq=False)
class Problem:
    """A network with its horizon, its discount and its reference.

    Without a discount the objective is the average cost per period after the warm-up; with one it is
    the discounted cost of all periods, the first at full weight.
    """

    name: str
    network: Network
    periods: int = 1_100
    warm_up: int = 100
    """Periods at the start that do not count."""
    discount: float = 1.0
    reference: Reference | None = None
    citation: str = ""
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("periods", "warm_up"):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool):
                raise ConfigError([f"{name} must be a whole number (got {value!r})"])
        if not 0 < self.discount <= 1:
            raise ConfigError([f"discount must be above 0 and at most 1 (got {self.discount})"])
        if not 0 <= self.warm_up < self.periods:
            raise ConfigError([f"warm_up must be at least 0 and below periods = {self.periods} (got {self.warm_up})"])
        if self.discount < 1 and self.warm_up:
            raise ConfigError([f"warm_up must be 0 with a discount (got {self.warm_up})"])

    @property
    def weights(self) -> np.ndarray:
        """[T] the weight of each period's cost in the objective: the objective is the weighted sum."""
        if self.discount < 1:
            return np.power(self.discount, np.arange(self.periods, dtype=np.float64))
        counted = np.arange(self.periods) >= self.warm_up
        return np.asarray(counted / counted.sum())
