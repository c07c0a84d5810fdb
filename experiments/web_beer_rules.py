"""Ordering rules for the beer game: what the other three stages do, and what a person is compared with.

`LocalBaseStock` and `Sterman` know what a player on the board knows: the stage's own stock, the orders that have
reached it and are not filled, and its own orders that have not arrived. What is in the mail to it is not in sight.
The Clark-Scarf rule is central: it sees the whole chain.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.newsvendor import newsvendor
from echelon.baselines.serial import clark_scarf
from echelon.envs.demand import Law
from echelon.envs.network import Network
from echelon.envs.policy import OrderUpTo, order_up_to
from echelon.envs.state import State

Floats = NDArray[np.float64]

STAGES = ("factory", "distributor", "wholesaler", "retailer")
"""The nodes of the network, and the targets of its links, in this order."""


def net_stock(state: State) -> Floats:
    """[B, 4] stock of each stage less what it owes: to customers, and to the next stage as far as it has heard."""
    owed = np.concatenate([state.owed[:, 1:], state.backorders], axis=1)
    return np.asarray(state.on_hand - owed)


@dataclass(frozen=True, eq=False)
class LocalBaseStock:
    """Every stage orders up to a level of its own: its net stock and what it has on order."""

    levels: tuple[float, ...]
    """[E] cases"""

    def __call__(self, state: State) -> Floats:
        """Orders [B, E]."""
        short = np.asarray(self.levels) - net_stock(state) - np.asarray(state.on_order)
        return np.asarray(np.maximum(short, 0.0))


def local_base_stock(network: Network, law: Law) -> LocalBaseStock:
    """The newsvendor's levels: each stage covers the demand until an order that it places has come in.

    An order takes `order_delay` weeks of mail and `lead_time` weeks on the way, and the week at whose end costs are
    charged is covered too. Under such a rule each stage orders what it was asked for, so that the customers' law
    is the law at every stage (F. Chen, Decentralized supply chains subject to information delays,
    Management Science 45(8), 1999).
    """
    stockout_cost = network.outlets[0].stockout_cost
    levels = (
        newsvendor(
            demand=law,
            holding_cost=network.nodes[network.index[link.target]].holding_cost,
            stockout_cost=stockout_cost,
            lead_time=link.order_delay + link.mean_lead_time,
        ).level
        for link in network.links
    )
    return LocalBaseStock(tuple(levels))


def central_base_stock(network: Network, law: Law) -> OrderUpTo:
    """Clark and Scarf's (1960) echelon levels for a chain whose orders are in the mail for a while.

    With L_j weeks on the way and d_j in the mail, an order of stage j is filled from what stage j + 1 has in stock
    d_j weeks later. What stage j + 1 orders now can be used by the order that stage j places L_{j+1} + d_{j+1} - d_j
    weeks from now, and that of stage 1 meets the demand until L_1 + d_1 weeks from now. So a planner who sees the
    whole chain faces Clark and Scarf's system with these differences as its lead times. Holding costs that do not rise
    towards the customers make it hold nothing upstream.
    """
    links = network.links[::-1]
    local = [*(network.nodes[network.index[link.target]].holding_cost for link in links), 0.0]
    delays = [0, *(link.order_delay for link in links)]
    best = clark_scarf(
        echelon_holding_cost=[own - above for own, above in pairwise(local)],
        lead_time=[
            link.mean_lead_time + own - below for link, (below, own) in zip(links, pairwise(delays), strict=True)
        ],
        stockout_cost=network.outlets[0].stockout_cost,
        demand=law,
    )
    return order_up_to(network, best.echelon_base_stock[::-1], position="echelon")


@dataclass(eq=False)
class Sterman:
    """How people play: Sterman's (1989) anchoring and adjustment, with the means of his estimates over 44 players.

    A stage orders ``O_t = max(0, L_t + alpha (S' - S_t - beta SL_t))``, rounded to whole cases: L_t is the demand it
    expects, ``L_t = theta D_{t-1} + (1 - theta) L_{t-1}``, S_t its net stock and SL_t its supply line. As beta is far
    below 1 it forgets most of what it has on order, and orders it again.

    The rule has a memory, the expected demand, which begins anew in period 0: one object plays one game at a time.
    """

    theta: float = 0.36
    alpha: float = 0.26
    beta: float = 0.34
    target: float = 17.0
    """S', cases"""
    expected_at_start: float = 4.0
    _expected: Floats = field(default_factory=lambda: np.zeros((1, 4)), repr=False)
    _before: Floats = field(default_factory=lambda: np.zeros((1, 4)), repr=False)
    """[B, 4] net stock of the review before, with what has arrived since."""

    def __call__(self, state: State) -> Floats:
        """Orders [B, E]."""
        net = net_stock(state)
        if state.period == 0:
            self._expected = np.full_like(net, self.expected_at_start)
        else:
            asked = self._before - net
            self._expected = self.theta * asked + (1 - self.theta) * self._expected
        self._before = net + np.asarray(state.pipeline[:, :, 0])
        gap = self.target - net - self.beta * np.asarray(state.on_order)
        return np.asarray(np.maximum(np.rint(self._expected + self.alpha * gap), 0.0))
