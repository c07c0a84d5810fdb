"""What every node of a network cost and how well it served those who ask it: customers and other nodes.

`Outcome` tells the service of the outlets only. Here a node with receivers counts what they order from it as
well (line fill), so that a floor can be put on the service of a depot. Searches over parameters live off
`simulate_nodes`, which keeps no trace where the rule and the network allow it.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

from echelon.envs.arrays import network_arrays
from echelon.envs.batched import gather_sum
from echelon.envs.dynamics import initial_state
from echelon.envs.finite import counted_from
from echelon.envs.metric_definitions import ROUNDING, Run, replenishment_cycles
from echelon.envs.metrics import measure
from echelon.envs.policy import OrderUpTo, Policy
from echelon.envs.problem import Problem
from echelon.envs.scenarios import Scenarios
from echelon.envs.simulate import Outcome, check_fit, simulate

Floats = NDArray[np.float64]

TRACED_BYTES = 256e6
"""Memory for the traces of the replications that are simulated together."""


@dataclass(frozen=True, eq=False)
class NodeOutcome:
    """Cost and service by node, per replication: weighted means over the counted periods.

    As in `Outcome.per_period` they are weighted sums where the problem discounts. Lateral shipments between
    equals are no orders to be served.
    """

    cost: Floats
    """[B] the objective of the problem."""
    node_cost: Floats
    """[B, N] the node's own costs, those of its customers, and those of the links into it; they sum to the cost."""
    on_hand: Floats
    """[B, N] units at the end of a period."""
    asked: Floats
    """[B, N] units newly asked of the node in a period by its customers and its receivers."""
    filled: Floats
    """[B, N] of these, the units that are sold or shipped in the same period."""
    stockout: Floats
    """[B, N] 1 for a period in which something asked for is missing at its end: owed to anyone, or lost."""
    cycles: Floats
    """[B, N] number of replenishment cycles, at least 1; see `replenishment_cycles`."""
    failed_cycles: Floats
    """[B, N] of these, the ones with a stockout."""


def simulate_nodes(problem: Problem, policy: Policy, scenarios: Scenarios, *, threads: int = 1) -> NodeOutcome:
    """Run a policy and tell the cost and the service of every node. Raises what `simulate` raises.

    Parametric rules on networks of whole units run in a compiled loop that keeps sums only, the fastest one on serial
    systems and distribution trees. In continuous units the rounding of a stock could decide whether a period has a
    stockout; they and other policies go by the trace of the run.
    """
    if not (isinstance(policy, OrderUpTo) and problem.network.whole_units):
        return _traced(problem, policy, scenarios, threads)
    from echelon.envs import _fused

    check_fit(problem, policy, scenarios)
    plain = _fused.can_fuse(problem.network, policy) and np.isfinite(scenarios.packed_demand.largest_total)
    found = (_fused_nodes if plain else _compiled_nodes)(problem, policy, scenarios, threads)
    finite = all(np.isfinite(getattr(found, field.name)).all() for field in fields(NodeOutcome))
    return found if finite else _traced(problem, policy, scenarios, threads)  # which says what is not, and since when


def _fused_nodes(problem: Problem, rule: OrderUpTo, scenarios: Scenarios, threads: int) -> NodeOutcome:
    """By the sums of the fused rollout."""
    from echelon.envs import _fused

    demand, weights = scenarios.packed_demand, problem.weights
    found = _fused.rollout_nodes(problem.network, rule, demand, weights, threads=threads)
    return _of_counts(found["cost"].sum(axis=1), found["cost"], found["held"], found)


def _compiled_nodes(problem: Problem, rule: OrderUpTo, scenarios: Scenarios, threads: int) -> NodeOutcome:
    """By the sums of the compiled rollout."""
    from echelon.envs import _kernel

    start = initial_state(problem.network, 1)
    totals, counts = _kernel.rollout_nodes(start, rule, scenarios, weights=problem.weights, threads=threads)
    outcome = Outcome(problem, totals)
    return _of_counts(outcome.cost, measure(outcome, ["cost"])["cost"].values, totals["on_hand"], counts)


def _of_counts(cost: Floats, node_cost: Floats, on_hand: Floats, counts: dict[str, Floats]) -> NodeOutcome:
    """From sums over the counted periods, and the numbers of arrivals and of failed cycles."""
    cycles = counts["arrivals"] - 1.0
    return NodeOutcome(
        cost=cost,
        node_cost=node_cost,
        on_hand=on_hand,
        asked=counts["asked"],
        filled=counts["asked"] - counts["unmet"],
        stockout=counts["stockout"],
        cycles=np.maximum(cycles, 1.0),
        failed_cycles=np.where(cycles > 0, counts["failed"], counts["stockout"] > 0),
    )


def _traced(problem: Problem, policy: Policy, scenarios: Scenarios, threads: int) -> NodeOutcome:
    """By the trace of the run, in parts that fit into memory."""
    nodes, links, outlets = (len(x) for x in (problem.network.nodes, problem.network.links, problem.network.outlets))
    row = 8.0 * problem.periods * (8 * nodes + 12 * links + 8 * outlets)
    size = max(1, int(TRACED_BYTES / row))
    parts = []
    for first in range(0, scenarios.replications, size):
        with counted_from(first):
            part = simulate(problem, policy, scenarios[first : first + size], trace=True, threads=threads)
        parts.append(node_outcome(part))
    named = {field.name: [getattr(part, field.name) for part in parts] for field in fields(NodeOutcome)}
    return NodeOutcome(**{name: np.concatenate(arrays) for name, arrays in named.items()})


def node_outcome(outcome: Outcome) -> NodeOutcome:
    """The same of a run with a trace: the definition of every quantity."""
    assert outcome.trace is not None
    problem, trace, run = outcome.problem, outcome.trace, Run(outcome, 1.0)
    arrays, weights = network_arrays(problem.network), problem.weights

    def on_links(values: Floats) -> Floats:
        """[B, T, N] sums over the links out of each node."""
        flat = gather_sum(values.reshape(-1, values.shape[2]), arrays.out_links)
        return np.asarray(flat.reshape(*values.shape[:2], -1))

    def mean(values: Floats) -> Floats:
        return np.asarray(np.einsum("t,btn->bn", weights, values))

    unshipped = np.cumsum(trace.ordered - trace.shipped - trace.dropped, axis=1) + trace.dropped
    missing = np.minimum(trace.ordered, np.maximum(unshipped, 0.0))
    short = (on_links(unshipped) > ROUNDING) | (run.of_outlets(trace.stockout) > 0)
    cycles, failed = replenishment_cycles(run.arrives, short[:, run.counted])
    asked = on_links(trace.ordered) + run.of_outlets(trace.demand)
    return NodeOutcome(
        cost=outcome.cost,
        node_cost=measure(outcome, ["cost"])["cost"].values,
        on_hand=mean(trace.on_hand),
        asked=mean(asked),
        filled=mean(asked - on_links(missing) - run.of_outlets(trace.demand - trace.sold)),
        stockout=mean(short.astype(np.float64)),
        cycles=cycles,
        failed_cycles=failed,
    )
