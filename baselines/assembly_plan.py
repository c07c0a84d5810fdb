"""Rosling's policy on an assembly network: the rule that the engine runs, and the plan."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.assembly import rosling
from echelon.baselines.assembly_network import assembly_network
from echelon.baselines.plan import Plan
from echelon.baselines.requirements import require
from echelon.envs.problem import Problem
from echelon.envs.state import State

Floats = NDArray[np.float64]

ROUNDING = 1e-9
"""The part of an end item by which a position may miss a whole number."""


@dataclass(frozen=True, eq=False)
class BalancedBaseStock:
    """Echelon base stock that keeps an assembly system in balance (Rosling 1989).

    An order on link e is M_e periods away from the customers. It raises the echelon position, counted in
    end items, to ``min(S_e, min_j X_j)``: j runs over the links on which the other parts for the same
    end items have been ordered before, and X_j is the echelon position of j less what is more than M_e
    periods away. Parts that were not ordered in time for a set are not joined by others, so orders never
    exceed what the source has.
    """

    levels: Floats
    """[E] S, in end items."""
    per_end_item: Floats
    """[E] units of the link's component in one end item."""
    total_lead_time: NDArray[np.int64]
    """[E] M: periods from an order on the link until its units are in stock as end items."""
    whole: bool
    """Whether end items are whole units."""

    def __call__(self, state: State) -> Floats:
        """Orders [B, E]."""
        position: Floats = state.echelon_inventory_position / self.per_end_item
        raised = np.zeros_like(position)
        for distance in np.unique(self.total_lead_time):
            links = np.flatnonzero(self.total_lead_time == distance)
            up_to = np.minimum(self.levels[links], self._ordered_before(state, position, distance)[:, None])
            raised[:, links] = np.maximum(up_to - position[:, links], 0.0)
        orders = raised * self.per_end_item
        return np.asarray(np.rint(orders) if self.whole else orders)

    def _ordered_before(self, state: State, position: Floats, distance: int) -> Floats:
        """[B] min_j X_j: end items for which all parts of longer M are at most `distance` periods away."""
        arrays = state.arrays
        processing = arrays.processing_time[arrays.target]
        after = self.total_lead_time - arrays.longest - processing
        links = np.flatnonzero((after <= distance) & (distance < self.total_lead_time))
        if not len(links):
            return np.full(len(position), np.inf)
        in_transit = np.arange(1, arrays.slots + 1) + (processing + after)[links, None]
        in_process = np.arange(1, arrays.process_slots + 1) + after[links, None]
        too_far = np.sum(state.pipeline[:, links] * (in_transit > distance), axis=2)
        made = np.sum(state.in_process[:, arrays.target[links]] * (in_process > distance), axis=2)
        too_far = (too_far + made * arrays.quantity[links]) / self.per_end_item[links]
        within = np.asarray(np.min(position[:, links] - too_far, axis=1))
        return np.floor(within + ROUNDING) if self.whole else within


def rosling_plan(problem: Problem) -> Plan:
    """The optimal policy of an assembly network with backorders: balanced echelon base-stock levels [E].

    `levels` are in units of each link's component. Raises `MethodError` where the theory does not hold.
    """
    tree = assembly_network(problem, "rosling")
    network, law = problem.network, problem.network.laws[0]
    total, items = tree.total_lead_time, tree.items
    furthest = sum(item.echelon_holding_cost for item in items if total[item.links[0]] == max(total))
    require("rosling", {"a positive holding cost on the parts that are ordered furthest ahead": furthest == 0})
    best = rosling(
        lead_time=[item.lead_time for item in items],
        successor=[item.successor for item in items],
        echelon_holding_cost=[item.echelon_holding_cost for item in items],
        stockout_cost=network.outlets[0].stockout_cost,
        demand=law,
    )
    level = {e: level for item, level in zip(items, best.echelon_base_stock, strict=True) for e in item.links}
    per_end_item = np.array(tree.per_end_item)
    policy = BalancedBaseStock(
        levels=np.array([level[e] for e in range(len(network.links))]),
        per_end_item=per_end_item,
        total_lead_time=np.array(total),
        whole=network.whole_units,
    )
    return Plan(
        policy,
        {"levels": (policy.levels * per_end_item).tolist(), "total_lead_time": total},
        model_cost=best.cost + law.mean_demand * tree.flow_cost(best.equivalent),
        optimal=True,
        citation="K. Rosling, Optimal inventory policies for assembly systems under random demands, "
        "Operations Research 37(4), 1989",
    )
