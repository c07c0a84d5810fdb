"""How cost and margins of a block answer to its points, and what that says of the price of a floor.

The *lift* of a node moves the points of all links into it. Its floors are met, or no longer more than met, by lifts:
they move the node's own stock and, with backorders, nobody's orders, so that what they do is simple and nearly
separate. At the floors the cost C and the margins m obey the conditions of Karush, Kuhn and Tucker,

    dC/dlift_n = sum_f lambda_f dm_f/dlift_n     for every node n with a floor,     lambda_f >= 0,

with lambda_f the price of floor f. The merit C - sum_f lambda_f m_f is then flat along the lifts: it is the cost that
parameters would have with their lifts adjusted until all margins are 0, up to terms of second order, whatever their
own margins are. So a candidate need not meet its floors for its worth to be known.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import nnls

from echelon.baselines.network_trials import Block, Measured, Request, Search
from echelon.baselines.rule_space import RuleSpace

Floats = NDArray[np.float64]

LEAST_GAIN = 1e-9
CORRECTION = 4.0
"""Most by which one observation changes what is believed of a gain."""


@dataclass(frozen=True, eq=False)
class FloorModel:
    """What a unit of lift does, per node [n] and floor [f], around some parameters."""

    block: Block
    gain: Floats
    """[f, n] on the margins"""
    slope: Floats
    """[n] on the cost of the block"""
    price: Floats
    """[f] lambda, money per period and unit of margin; 0 for a floor that costs nothing"""
    longest: Floats
    """[n] most units of lift at a time"""

    def merit(self, measured: Measured) -> float:
        """The cost, had all floors that cost something been met exactly."""
        return measured.cost - float(self.price @ measured.margin)

    def lifts(self, margin: Floats) -> Floats:
        """[n] lifts that bring margins [f] to 0: up where one is below, down where a floor with a price is exceeded.

        Suppliers first: what a supplier's lift does for its receivers is taken into account.
        """
        lifts = np.zeros(len(self.block.nodes))
        for n in range(len(lifts)):
            own = np.flatnonzero(self.block.node_of_floor == n)
            if not len(own):
                continue
            expected = margin[own] + self.gain[own] @ lifts
            needed = -expected / np.maximum(self.gain[own, n], LEAST_GAIN)
            least = -np.inf if (self.price[own] > 0).any() else 0.0
            lifts[n] = np.clip(max(least, float(needed.max())), -self.longest[n], self.longest[n])
        return lifts

    def shortfall(self, margin: Floats) -> float:
        """How many units of lift the margins are short of, beyond rounding; 0 where lifts can settle it."""
        own = self.gain[np.arange(len(margin)), self.block.node_of_floor]
        return float(np.maximum(-margin - own, 0.0) @ (1 / np.maximum(own, LEAST_GAIN)))

    def corrected(self, before: Measured, after: Measured, lifts: Floats) -> FloorModel:
        """The model with the gains that a change of lifts showed at nodes whose suppliers stayed."""
        gain = self.gain.copy()
        for f, n in enumerate(self.block.node_of_floor):
            others = np.abs(gain[f] * lifts).sum() - abs(gain[f, n] * lifts[n])
            moved = after.margin[f] - before.margin[f]
            if abs(lifts[n]) >= 1e-9 and others <= 0.1 * abs(moved) and moved * lifts[n] > 0:
                gain[f, n] = np.clip(moved / lifts[n], gain[f, n] / CORRECTION, gain[f, n] * CORRECTION)
        return replace(self, gain=gain)


def lifted(space: RuleSpace, block: Block, parameters: Floats, lifts: Floats) -> Floats:
    """[2, e] parameters of a block with the points of each node's links moved."""
    moved = parameters.copy()
    for n, links in enumerate(block.into):
        moved[0, links] += lifts[n]
    return space.clip(moved, block.links)


def fit_model(
    space: RuleSpace, block: Block, parameters: Floats, measured: Measured, step: Floats, best: float
) -> Search[FloorModel]:
    """Measure the answers to lifts of `step` [n]: of all nodes that supply nobody at once, of each other alone."""
    count = len(block.nodes)
    gain, slope = np.zeros((len(block.floors), count)), np.zeros(count)
    groups = [np.array([n]) for n in np.flatnonzero(~block.is_leaf)] + [np.flatnonzero(block.is_leaf)]
    if not len(block.floors):
        groups = []  # then the merit is the cost
    for nodes in groups:
        lifts = np.zeros(count)
        lifts[nodes] = step[nodes]
        moved = lifted(space, block, parameters, lifts)
        if np.array_equal(moved, parameters):
            moved = lifted(space, block, parameters, -lifts)
        change = np.array([(moved - parameters)[0, links].mean() if len(links) else 0.0 for links in block.into])
        after = yield Request(moved, best)
        alone = len(nodes) == 1
        for n in nodes:
            if change[n]:
                floors = np.arange(len(block.floors)) if alone else np.flatnonzero(block.node_of_floor == n)
                gain[floors, n] = (after.margin - measured.margin)[floors] / change[n]
                cost = after.node_cost - measured.node_cost
                slope[n] = (cost.sum() if alone else cost[n]) / change[n]
    return FloorModel(block, gain, slope, prices_of(block, gain, slope, step), np.maximum(8 * step, 4.0))


def prices_of(block: Block, gain: Floats, slope: Floats, step: Floats) -> Floats:
    """[f] the lambda >= 0 that come closest to the conditions at the nodes with floors."""
    nodes = np.unique(block.node_of_floor)
    if not len(nodes):
        return np.zeros(0)
    matrix = (gain[:, nodes] * step[nodes]).T
    if not matrix.any():
        return np.zeros(len(block.floors))
    scale = np.abs(matrix).max(axis=0)
    found, _ = nnls(matrix / np.where(scale > 0, scale, 1.0), slope[nodes] * step[nodes])
    return np.asarray(found / np.where(scale > 0, scale, 1.0))
