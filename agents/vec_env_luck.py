"""The luck in a period's demand: what it cost more than was to be expected, known exactly and of mean 0."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from echelon.envs.arrays import network_arrays
from echelon.envs.demand_law import Law
from echelon.envs.network import Network

Floats = NDArray[np.float64]
POINTS = 4_096
"""Quantiles that stand for a continuous demand law."""


@dataclass(frozen=True, eq=False)
class Shortage:
    """The expected stock and the expected shortage that a period's demand leaves, as a table."""

    support: Floats
    """[K] demands in rising order."""
    chance: Floats
    """[K + 1] P(D < support[k]), then 1."""
    partial: Floats
    """[K + 1] E[D; D < support[k]], then E[D]."""

    @classmethod
    def of(cls, law: Law) -> Shortage:
        """The table of a law; that of a continuous one has its quantiles at `POINTS` equal steps."""
        if law.whole:
            chances = law.pmf()
            support = np.arange(len(chances), dtype=np.float64)
        else:
            support = law.quantile((np.arange(POINTS) + 0.5) / POINTS)
            chances = np.full(POINTS, 1 / POINTS)
        return cls(support, *(np.concatenate([[0.0], np.cumsum(part)]) for part in (chances, chances * support)))

    def expected(self, stock: Floats) -> tuple[Floats, Floats]:
        """E[(x - D)+] and E[(D - x)+] for stocks x [B], which may be negative."""
        k = np.searchsorted(self.support, stock, side="right")
        left = stock * self.chance[k] - self.partial[k]
        return left, left - stock + self.partial[-1]


@dataclass(frozen=True, eq=False)
class DemandLuck:
    """A control variate for the cost of a period.

    With the stock x that an outlet has before demand D, holding cost h and stockout cost p it is the sum over the
    outlets of `g(x, D) - E[g(x, D)]` with `g(x, d) = h (x - d)+ + p (d - x)+`. Since x is known before D is drawn, its
    mean is 0 in every state: cost less luck has the same mean as the cost, and most of the noise is gone. Outlets
    whose demand depends on earlier periods or on the calendar have no luck here.
    """

    columns: NDArray[np.int64]
    """[K] outlets that it covers."""
    nodes: NDArray[np.int64]
    """[K] their nodes."""
    holding: Floats
    stockout: Floats
    tables: tuple[Shortage, ...]

    @classmethod
    def of(cls, network: Network) -> DemandLuck:
        """That of a network."""
        arrays = network_arrays(network)
        columns = np.array([c for c, law in enumerate(network.laws) if law.independent and law.stationary], dtype=int)
        known: dict[str, Shortage] = {}
        laws = [network.laws[c] for c in columns]
        tables = tuple(known.setdefault(law.model_dump_json(), Shortage.of(law)) for law in laws)
        nodes = arrays.outlet[columns]
        return cls(columns, nodes, arrays.holding_cost[nodes], arrays.stockout_cost[columns], tables)

    def __call__(self, net_stock: Floats, demand: Floats) -> Floats:
        """[B] the luck, in money, of demand [B, C] that met the net stock of the nodes [B, N]."""
        total = np.zeros(len(demand))
        for k, table in enumerate(self.tables):
            stock, drawn = net_stock[:, self.nodes[k]], demand[:, self.columns[k]]
            left, short = table.expected(stock)
            total += self.holding[k] * (np.maximum(stock - drawn, 0.0) - left)
            total += self.stockout[k] * (np.maximum(drawn - stock, 0.0) - short)
        return total
