"""The fastest rollout: parametric rules on plain networks, for the cost of each replication and nothing else.

A network is plain if every node has one supply link with a fixed lead time and none of the features
that `plain` names: serial systems and distribution trees. The sequence of events is that of
`dynamics`, and the costs are those of `simulate`. What is different:

- A node has one **net stock**, what is on hand less what its customers wait for, and one **position**,
  which follows what happens instead of being summed up anew.
- What is in transit to a node is a ring of rows: in every period one falls due and is filled anew. What
  is asked for is written there as if it could be shipped; what cannot be shipped is taken out again.
- A node reviews, receives, ships and sells in one pass over its rows, receivers before suppliers,
  unless it has customers as well as receivers, or several receivers. A node with lead time 0 has to
  wait until its supplier has shipped.
- Costs are sums of quantities until the end. If units are whole and all counted periods weigh the
  same, everything is exact in single precision as long as nothing exceeds 2^24. A bound on the
  quantities tells beforehand, the sums are watched, and where either fails the block is run in double
  precision. So the precision changes no result, nor does the number of threads or the way in which the
  batch is split.

Rows are blocks of W replications, and all rows of a block are in one matrix. The link into a node goes
by the number of the node, and nodes are numbered receivers first. Other axes: T periods, C outlets,
K receivers of one node, S sums.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echelon.envs import _fused_kernel as kernel
from echelon.envs._compiled import aligned
from echelon.envs._fused_plan import common_weight, largest_demand, plan_of, structure_of, weights_of
from echelon.envs.arrays import PRIORITY, PROPORTIONAL, network_arrays
from echelon.envs.network import Network
from echelon.envs.policy import OrderUpTo

Floats = NDArray[np.float64]

WIDTH = 384
"""Most replications in a block."""


@lru_cache(maxsize=256)
def plain(network: Network) -> bool:
    """Whether the network is one that `rollout_cost` can run."""
    arrays = network_arrays(network)
    return (
        arrays.in_links.shape[1] == 1
        and not any((arrays.delays, arrays.process_slots, arrays.ages, arrays.queue))
        and not any((arrays.bounded_orders, arrays.limited_shipping, arrays.limited_making, arrays.partial))
        and not any((arrays.alternatives, arrays.bills, arrays.laterals))
        and bool(np.isin(arrays.allocation, (PROPORTIONAL, PRIORITY)).all())
        and bool((arrays.shortest == arrays.longest).all())
        and not arrays.price.any()
        and all(link.yield_rate == 1.0 for link in network.links)
    )


def can_fuse(network: Network, rule: OrderUpTo) -> bool:
    """Whether `rollout_cost` gives the cost of this rule on this network.

    Beyond `plain`: where units are whole, so must the levels be. Where they are not, neither the rule nor
    the costs may jump, because then the rounding of a position could decide whether an order is placed.
    """
    if not plain(network):
        return False
    arrays = network_arrays(network)
    if arrays.whole_units:
        levels = np.concatenate((rule.reorder, rule.up_to, rule.cap, rule.lot))
        return bool(np.all(levels == np.floor(levels)))
    jumps = rule.lot.any() or arrays.fixed_cost.any() or not np.array_equal(rule.reorder, rule.up_to)
    return not jumps


@dataclass(frozen=True, eq=False)
class PackedDemand:
    """Demand in the form that the rollout reads, which takes a fourth of the memory if all of it is whole."""

    rows: NDArray[Any]
    """[T * C, B] numbers of two bytes, or of eight if they do not fit."""
    largest_total: float
    """The largest total of a replication, infinite if not all numbers are whole."""


def pack(demand: Floats) -> PackedDemand:
    """Pack demand [B, T, C] once for many rollouts. Fast where replications lie next to each other in memory."""
    rows = np.ascontiguousarray(demand.transpose(1, 2, 0), dtype=np.float64).reshape(-1, len(demand))
    packed, totals = np.empty(rows.shape, dtype=np.uint16), np.zeros(len(demand))
    if kernel.pack(rows, packed, totals):
        return PackedDemand(packed, float(totals.max()))
    return PackedDemand(rows, np.inf)


def rollout_cost(
    network: Network, rule: OrderUpTo, demand: Floats | PackedDemand, weights: Floats, *, threads: int = 1
) -> Floats:
    """[B] what a rule costs with the demand [B, T, C]: the cost of each period times its weight [T], added up.

    This is `simulate(...).cost` for the networks and rules that `can_fuse`. Demand that is used more than
    once is best packed before.
    """
    structure = structure_of(network)
    packed = demand if isinstance(demand, PackedDemand) else pack(demand)
    cost = np.empty(packed.rows.shape[1])
    width = _width(len(cost))
    done = [False] * -(-len(cost) // width)
    fits = structure.whole_units and packed.largest_total <= largest_demand(structure, rule)
    for precision in (np.float32, np.float64) if fits and common_weight(weights) is not None else (np.float64,):
        plan, weighing = plan_of(structure, rule, precision), weights_of(structure, weights, precision)

        def run(blocks: range, plan: kernel.Plan = plan, weighing: kernel.Weights = weighing) -> None:
            work = _work(plan, weighing, width)
            for block in blocks:
                if not done[block]:
                    begin = block * width
                    done[block] = kernel.run(plan, weighing, packed.rows, begin, cost[begin : begin + width], work)

        _in_threads(run, len(done), threads)
        if all(done):
            break
    return cost


def _in_threads(run: Callable[[range], None], blocks: int, threads: int) -> None:
    """Call `run` with the blocks of each thread."""
    count = max(1, min(threads, blocks))
    parts = [range(blocks * k // count, blocks * (k + 1) // count) for k in range(count)]
    if count == 1:
        run(parts[0])
        return
    with ThreadPoolExecutor(count) as pool:
        list(pool.map(run, parts))


def _width(batch: int) -> int:
    """Replications of a block: blocks of one size, in full vectors."""
    blocks = -(-batch // WIDTH)
    return -(-batch // (16 * blocks)) * 16


def _work(plan: kernel.Plan, weights: kernel.Weights, width: int) -> kernel.Work:
    precision, scratch = plan.start.dtype, 2 * plan.receivers.shape[1] + 2
    return kernel.Work(
        rows=aligned((len(plan.start), width), precision),
        demand=aligned((int(plan.nodes["outlet"].max()) + 1, width), precision),
        totals=aligned((len(weights.rate), width), np.float64),
        now=np.zeros(len(plan.nodes), dtype=kernel.NOW),
        small=aligned((scratch, width), np.uint16),
        large=aligned((scratch, width), np.float64),
    )
