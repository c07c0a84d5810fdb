"""Trials of parameters by simulation: what a search over a network asks for, block by block.

Blocks are parts of a network that neither ship to one another nor share a resource. What one of them costs does not
depend on the parameters of another, so that a search can run in each of them at the same time: every simulation
tries one candidate of every block. A search is a generator that asks for what some parameters of its block would
do and is sent the answer; it need not know that it is not alone.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass, field
from math import sqrt
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.rule_space import RuleSpace
from echelon.baselines.service_floors import ServiceFloor, margins
from echelon.envs.network import Network, topological_order
from echelon.envs.node_outcome import simulate_nodes
from echelon.envs.problem import Problem
from echelon.envs.scenarios import Scenarios
from echelon.envs.simulate import simulate_cost

Floats = NDArray[np.float64]

FEW_LINKS = 6
"""Links of the largest block up to which there is time to follow several searches to their ends."""
Ints = NDArray[np.int64]
Found = TypeVar("Found")


@dataclass(frozen=True, eq=False)
class Block:
    """A part of a network that is on its own. Nodes are in order, suppliers first."""

    nodes: Ints
    """[n] positions in the network"""
    links: Ints
    """[e] positions of the links into them"""
    floors: Ints
    """[f] positions of their floors"""
    into: tuple[Ints, ...]
    """For each node the links into it, as positions in `links`."""
    is_leaf: NDArray[np.bool_]
    """[n] whether the node supplies no other."""
    node_of_floor: Ints
    """[f] positions in `nodes`"""
    pairs: tuple[tuple[int, int], ...] = ()
    """Suppliers and their receivers, as positions in `nodes`."""


@dataclass(frozen=True, eq=False)
class Measured:
    """What parameters did on a sample: means over its replications."""

    node_cost: Floats
    """[n]"""
    margin: Floats
    """[f]"""
    error: Floats
    """[f] standard errors of the margins"""

    @property
    def cost(self) -> float:
        """Of all nodes."""
        return float(self.node_cost.sum())

    def of(self, block: Block) -> Measured:
        """What concerns a block."""
        return Measured(self.node_cost[block.nodes], self.margin[block.floors], self.error[block.floors])


@dataclass(frozen=True, eq=False)
class Request:
    """A search asks for what parameters of its block would do, and tells the best that it has."""

    parameters: Floats
    """[2, e]"""
    best: float
    """Cost of the block, nan as long as there is none that meets its floors."""


Search = Generator[Request, Measured, Found]


@dataclass(frozen=True)
class SearchRecord:
    """A moment of a search."""

    stage: str
    evaluations: int
    """Simulations so far."""
    node_periods: int
    """Simulated so far."""
    best: float | None
    """Least cost so far on the scenarios of the stage, at the floors; None as long as a block has not reached them."""


@dataclass(eq=False)
class Trials:
    """Simulations of parameters on one set of scenarios after another, counted."""

    problem: Problem
    space: RuleSpace
    floors: Sequence[ServiceFloor]
    threads: int = 1
    progress: Callable[[SearchRecord], None] | None = None
    cost_only: bool = False
    """Only the cost of the network is wanted, which is simulated faster; it is booked on the first node."""
    records: list[SearchRecord] = field(default_factory=list)
    evaluations: int = 0
    node_periods: int = 0

    def measure(self, parameters: Floats, scenarios: Scenarios) -> Measured:
        """One simulation."""
        policy = self.space.policy(parameters)
        self.evaluations += 1
        self.node_periods += scenarios.replications * scenarios.periods * len(self.problem.network.nodes)
        if self.cost_only:
            cost = float(simulate_cost(self.problem, policy, scenarios, threads=self.threads).mean())
            return Measured(np.append(cost, np.zeros(len(self.problem.network.nodes) - 1)), np.zeros(0), np.zeros(0))
        outcome = simulate_nodes(self.problem, policy, scenarios, threads=self.threads)
        margin = margins(self.problem, outcome, self.floors)
        error = margin.std(axis=0, ddof=1) / sqrt(len(margin))
        return Measured(outcome.node_cost.mean(axis=0), margin.mean(axis=0), error)

    def run(
        self,
        blocks: Sequence[Block],
        searches: Sequence[Search[Found]],
        parameters: Floats,
        scenarios: Scenarios,
        stage: str,
    ) -> list[Found]:
        """Let the searches of all blocks run to their ends on the same scenarios.

        `parameters` [2, E] are those of blocks that have ended, or begin.
        """
        current, found = parameters.copy(), {}
        asks: dict[int, Request] = {}
        best = np.full(len(blocks), np.nan)
        answers: dict[int, Measured | None] = dict.fromkeys(range(len(blocks)))
        while answers:
            asks.clear()
            for b, answer in answers.items():
                try:
                    asks[b] = next(searches[b]) if answer is None else searches[b].send(answer)
                except StopIteration as end:
                    found[b] = end.value
            if not asks:
                break
            for b, ask in asks.items():
                current[:, blocks[b].links], best[b] = ask.parameters, ask.best
            measured = self.measure(current, scenarios)
            answers = {b: measured.of(blocks[b]) for b in asks}
            self._record(stage, float(best.sum()))
        return [found[b] for b in range(len(blocks))]

    def _record(self, stage: str, best: float) -> None:
        """Keep a record whenever the best has changed, and report it."""
        known = None if np.isnan(best) else best
        record = SearchRecord(stage, self.evaluations, self.node_periods, known)
        if not self.records or (self.records[-1].stage, self.records[-1].best) != (stage, known):
            self.records.append(record)
        if self.progress is not None:
            self.progress(record)


def have_few_links(blocks: Sequence[Block]) -> bool:
    """Whether no block has more than `FEW_LINKS`."""
    return max(len(block.links) for block in blocks) <= FEW_LINKS


def blocks_of(network: Network, floors: Sequence[ServiceFloor]) -> list[Block]:
    """The blocks of a network, in the order of their first nodes."""
    group = {node.name: node.name for node in network.nodes}

    def join(members: Sequence[str]) -> None:
        names = {group[member] for member in members}
        for name, found in group.items():
            if found in names:
                group[name] = group[members[0]]

    for link in network.links:
        if link.source in group:
            join([link.source, link.target])
    for resource in network.resources:
        join(list(resource.members))
    parts: dict[str, list[str]] = {}
    for name in topological_order(network):
        parts.setdefault(group[name], []).append(name)
    return [_block(network, floors, names) for names in parts.values()]


def _block(network: Network, floors: Sequence[ServiceFloor], names: Sequence[str]) -> Block:
    at = {name: n for n, name in enumerate(names)}
    links = [e for e, link in enumerate(network.links) if link.target in at]
    own = [f for f, floor in enumerate(floors) if floor.node in at]
    sources = {link.source for link in network.links}
    return Block(
        nodes=np.array([network.index[name] for name in names], dtype=np.int64),
        links=np.array(links, dtype=np.int64),
        floors=np.array(own, dtype=np.int64),
        into=tuple(
            np.array([i for i, e in enumerate(links) if network.links[e].target == name], dtype=np.int64)
            for name in names
        ),
        is_leaf=np.array([name not in sources for name in names]),
        node_of_floor=np.array([at[floors[f].node] for f in own], dtype=np.int64),
        pairs=tuple((at[link.source], at[link.target]) for link in network.links if link.source in at),
    )
