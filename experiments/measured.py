"""What results.csv says of every policy: mean costs by kind, and what its service was paid with."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from echelon.envs.errors import ConfigError
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


def spread(values: tuple[float, ...], *, confidence: float) -> Spread | None:
    """Mean and interval of independent replications."""
    if not values:
        return None
    array: NDArray[np.float64] = np.asarray(values)
    return Spread(float(array.mean()), estimate(array, confidence=confidence).half_width if len(array) > 1 else None)
