"""Counts of the states that a learned policy has met outside of its training, and the one warning about them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echelon.agents.support import OutsideTrainingWarning

SHARE = 0.01
"""Share of the states that must lie outside before it is worth a warning; in training practically none do."""


@dataclass
class Watch:
    """What a policy has seen so far."""

    states: int = 0
    outside: int = 0
    """States of which some column lay outside."""
    columns: NDArray[np.int64] = field(default_factory=lambda: np.zeros(0, dtype=np.int64))
    """[D] states in which each column lay outside."""
    warned: bool = False

    @property
    def share(self) -> float:
        """The share of the states that lay outside."""
        return self.outside / max(1, self.states)

    def see(
        self,
        observations: NDArray[Any],
        strange: NDArray[np.bool_],
        columns: Sequence[str],
        bounds: tuple[NDArray[np.float64], NDArray[np.float64]],
        policy: str,
    ) -> None:
        """Count observations [B, D] of which the columns [B, D] lie outside of the bounds [D], and warn if need be."""
        self.states += len(strange)
        if not strange.any():
            return
        counted = strange.sum(axis=0)
        self.columns = counted + (self.columns if self.columns.size else 0)
        self.outside += int(strange.any(axis=1).sum())
        if self.warned or self.share <= SHARE:
            return
        self.warned = True
        worst = int(self.columns.argmax())
        low, high = (float(end[worst]) for end in bounds)
        values = observations[:, worst]
        got = values[np.maximum(low - values, values - high).argmax()]
        warnings.warn(
            f"{100 * self.share:.1f} % of {self.states:,} states lay outside of the training of this {policy}, most "
            f"often in {columns[worst]}: must be in [{low:.3g}, {high:.3g}] periods of mean "
            f"demand (got {got:.3g})",
            OutsideTrainingWarning,
            stacklevel=3,
        )
