"""What results.csv says of every policy: mean costs by kind, and what its service was paid with."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from echelon.envs.errors import ConfigError
from echelon.envs.metrics import share_ends
from echelon.experiments.evaluate import estimate
from echelon.experiments.folder_tables import Row, number, rows

COST_KINDS = (
    "holding",
    "processing_holding",
    "transit_holding",
    "stockout",
    "purchase",
    "fixed",
    "scrap",
    "revenue",
)
"""The columns of results.csv that sum to its cost."""

RESULTS = ["problem", "policy", *COST_KINDS]

Key = tuple[str, str]


@dataclass(frozen=True)
class Spread:
    """A mean over replications with the half width of its interval, None for a single replication."""

    mean: float
    half_width: float | None


@dataclass(frozen=True)
class Share:
    """The mean of a share, such as a fill rate, with the ends of its interval; None for a single replication."""

    mean: float
    ends: tuple[float, float] | None

    @property
    def reach(self) -> tuple[float, float]:
        """How far the interval reaches below the mean and above it."""
        low, high = self.ends or (self.mean, self.mean)
        return max(0.0, self.mean - low), max(0.0, high - self.mean)


@dataclass(frozen=True, eq=False)
class Measured:
    """The replications of one policy on one problem."""

    replications: int
    costs: dict[str, float]
    """Mean cost by kind."""
    spent: tuple[float, ...]
    """Cost but for stockouts, by replication."""
    served: tuple[float, ...]
    """Fill rate by replication; empty if the table has none."""


def read_measured(file: Path) -> dict[Key, Measured]:
    """The results by problem and policy."""
    columns: defaultdict[Key, list[tuple[float | None, ...]]] = defaultdict(list)
    for row in rows(file, RESULTS):
        columns[row["problem"], row["policy"]].append(_values(row, file))
    return {key: _measured(iter(found)) for key, found in columns.items()}


def _values(row: Row, file: Path) -> tuple[float | None, ...]:
    costs = [number(row[kind]) for kind in COST_KINDS]
    if None in costs:
        kind = COST_KINDS[costs.index(None)]
        place = f"policy {row['policy']!r} on {row['problem']!r}"
        raise ConfigError([f"{file}: {kind} of {place} must be a finite number (got {row[kind]!r})"])
    return *costs, number(row.get("fill_rate"))


def _measured(found: Iterator[tuple[float | None, ...]]) -> Measured:
    *kinds, served = zip(*found, strict=True)
    count = len(served)
    costs = {kind: math.fsum(column) / count for kind, column in zip(COST_KINDS, kinds, strict=True)}
    paid = zip(*(column for kind, column in zip(COST_KINDS, kinds, strict=True) if kind != "stockout"), strict=True)
    spent = tuple(math.fsum(parts) for parts in paid)
    return Measured(count, costs, spent, () if None in served else served)


def spread(values: Sequence[float], *, confidence: float) -> Spread | None:
    """Mean and interval of independent replications."""
    if not values:
        return None
    array: NDArray[np.float64] = np.asarray(values)
    return Spread(float(array.mean()), estimate(array, confidence=confidence).half_width if len(array) > 1 else None)


def share(values: Sequence[float], *, confidence: float) -> Share | None:
    """The same of a share, whose interval ends where shares do."""
    found = spread(values, confidence=confidence)
    if found is None or found.half_width is None:
        return None if found is None else Share(found.mean, None)
    low, high = share_ends(found.mean, found.half_width)
    return Share(found.mean, (float(low), float(high)))
