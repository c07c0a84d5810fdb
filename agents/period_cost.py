"""The cost of a period given the stock that demand meets, on torch.

What an outlet is charged in a period is random only through the demand of that period, and everything else is known
when that is drawn. Its expectation has the same mean and less variance; and since it is straight between whole
quantities, its slope is that of the relaxed problem and not that of one draw.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from echelon.envs.arrays import NetworkArrays, network_arrays
from echelon.envs.demand_law import Law
from echelon.envs.errors import DemandError
from echelon.envs.network import Network, Node
from echelon.envs.state import LEDGER_AXES, Ledger, State, costs_of

LONGEST_TABLE = 100_000
"""Whole quantities of which an outlet's expected cost is tabulated."""


class PeriodCost:
    """[B] the cost of a period, with the outlets' holding and stockout costs in expectation wherever that is exact.

    It is where demand is whole and has the same law in every period whatever was before, where all of what is short
    either waits or is lost, and where neither expiry, a price nor a failure of the node makes the cost depend on more.
    Where y meets a demand D the expected cost is (h + b) E[(y - D)+] - b (y - E[D]).
    """

    def __init__(self, network: Network) -> None:
        arrays = network_arrays(network)
        laws = [_tabulated(node) for node in network.outlets]
        self.columns = [c for c, chances in enumerate(laws) if chances is not None]
        self.nodes = arrays.outlet[self.columns].tolist()
        self.rates = _without(arrays, self.columns).to(torch.zeros(1))
        length = max((len(chances) for chances in laws if chances is not None), default=0) + 2
        values, slopes = np.zeros((2, len(self.columns), length))
        for row, c in enumerate(self.columns):
            chances = laws[c]
            assert chances is not None
            held, short = arrays.holding_cost[arrays.outlet[c]], arrays.stockout_cost[c]
            below = np.ones(length)
            below[: len(chances) + 1] = np.concatenate([[0.0], np.cumsum(chances)])
            slopes[row] = (held + short) * below - short
            at_whole = short * network.laws[c].mean_demand + np.cumsum(slopes[row]) - slopes[row]
            values[row] = at_whole - slopes[row] * np.maximum(np.arange(length) - 1, 0)
            values[row, 1:] -= slopes[row, 0]
        self.values, self.slopes = (torch.as_tensor(table, dtype=torch.float32) for table in (values, slopes))

    def __call__(self, state: State, ledger: Ledger) -> Tensor:
        """[B], from the state at review and the ledger of the period."""
        quantities = {name: getattr(ledger, name) for name in LEDGER_AXES}
        charged: Tensor = sum(part.sum(1) for part in costs_of(quantities, self.rates).values())
        if not self.columns:
            return charged
        met = ledger.on_hand[:, self.nodes] + ledger.delivered[:, self.columns] - state.backorders[:, self.columns]
        cell = (met.detach().floor().long() + 1).clamp(0, self.values.shape[1] - 1)
        row = torch.arange(len(self.columns))
        values, slopes = (table[row, cell] for table in (self.values, self.slopes))
        expected: Tensor = (values + slopes * met).sum(1)
        return charged + expected


def _without(arrays: NetworkArrays, columns: list[int]) -> NetworkArrays:
    """The rates without those that are charged in expectation."""
    holding, stockout = arrays.holding_cost.copy(), arrays.stockout_cost.copy()
    holding[arrays.outlet[columns]] = 0.0
    stockout[columns] = 0.0
    return replace(arrays, holding_cost=holding, stockout_cost=stockout)


def _tabulated(node: Node) -> NDArray[np.float64] | None:
    """Probabilities of a period's demand of 0, 1, 2, ..., or None where the expected cost needs more than them."""
    plain = node.shelf_life is None and node.price == 0 and node.disruption is None
    if not plain or node.stockout_rule not in ("lost_sales", "backorder"):
        return None
    law: Law | None = node.demand
    if law is None or not (law.whole and law.stationary and law.independent):
        return None
    try:
        chances = np.asarray(law.pmf())
    except DemandError:
        return None
    return chances if len(chances) <= LONGEST_TABLE else None
