"""The fastest rollout: parametric rules on plain networks, for the cost of each replication.

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
  batch is split. For the cost and the service of every node there are more sums (`rollout_nodes`).

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
from echelon.envs import _fused_service as service
from echelon.envs._compiled import aligned
from echelon.envs._fused_plan import (
    Structure,
    common_weight,
    largest_demand,
    plan_of,
    structure_of,
    weights_of,
)
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
    packed = demand if isinstance(demand, PackedDemand) else pack(demand)
    cost = np.empty(packed.rows.shape[1])

    def run(plan: kernel.Plan, weighing: kernel.Weights, block: slice, work: kernel.Work) -> bool:
        return bool(kernel.run(plan, weighing, packed.rows, block.start, cost[block], work))

    _in_blocks(run, structure_of(network), rule, packed, weights, threads=threads)
    return cost


def rollout_nodes(
    network: Network, rule: OrderUpTo, demand: PackedDemand, weights: Floats, *, threads: int = 1
) -> dict[str, Floats]:
    """[B, N] by name: the cost of every node, what it holds, and `COUNTS`, for what `can_fuse` on whole units.

    Each period counts with its weight [T]; arrivals and failed cycles count as 1.
    """
    structure = structure_of(network, by_node=True)
    counters = structure.service
    totals = np.empty((len(structure.start) - structure.sums, demand.rows.shape[1]))

    def run(plan: kernel.Plan, weighing: kernel.Weights, block: slice, work: kernel.Work) -> bool:
        return bool(service.run(plan, weighing, counters, demand.rows, block.start, totals[:, block], work))

    _in_blocks(run, structure, rule, demand, weights, threads=threads)
    weighing = weights_of(structure, weights, np.float64)
    scale = weighing.scale
    cost = np.repeat(scale * weighing.base[:, None], totals.shape[1], axis=1)
    for payer, rate, total in zip(structure.payer, scale * structure.rate, totals, strict=False):
        cost[payer] += rate * total
    found = {name: totals[counters[name] - structure.sums] for name in service.COUNTS}
    found["held"] = totals[structure.nodes["held"] - structure.sums]
    for name in ("held", *service.WEIGHTED):
        found[name] *= scale
    number = np.argsort(network_arrays(network).target[structure.link])
    return {name: values[number].T for name, values in (found | {"cost": cost}).items()}


Run = Callable[[kernel.Plan, kernel.Weights, slice, kernel.Work], bool]
"""Runs the replications of a block; returns whether the precision sufficed."""


def _in_blocks(
    run: Run, structure: Structure, rule: OrderUpTo, packed: PackedDemand, weights: Floats, *, threads: int
) -> None:
    """Run all blocks, in single precision where that is exact."""
    width = _width(packed.rows.shape[1])
    done = [False] * -(-packed.rows.shape[1] // width)
    fits = packed.largest_total <= largest_demand(structure, rule) and common_weight(weights) is not None
    for precision in (np.float32, np.float64) if fits else (np.float64,):
        plan, weighing = plan_of(structure, rule, precision), weights_of(structure, weights, precision)

        def run_some(blocks: range, plan: kernel.Plan = plan, weighing: kernel.Weights = weighing) -> None:
            work = _work(plan, width)
            for block in blocks:
                if not done[block]:
                    done[block] = run(plan, weighing, slice(block * width, (block + 1) * width), work)

        _in_threads(run_some, len(done), threads)
        if all(done):
            break


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


def _work(plan: kernel.Plan, width: int) -> kernel.Work:
    precision, scratch = plan.start.dtype, 2 * plan.receivers.shape[1] + 2
    return kernel.Work(
        rows=aligned((len(plan.start), width), precision),
        demand=aligned((int(plan.nodes["outlet"].max()) + 1, width), precision),
        totals=aligned((len(plan.start) - plan.sums, width), np.float64),
        now=np.zeros(len(plan.nodes), dtype=kernel.NOW),
        small=aligned((scratch, width), np.uint16),
        large=aligned((scratch, width), np.float64),
    )
