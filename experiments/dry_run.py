"""What a grid would do, and how large it is, without doing any of it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace

from rich import box
from rich.console import Console
from rich.table import Table

from echelon.envs.dynamics import initial_state
from echelon.envs.errors import MissingExtraError
from echelon.envs.problem import Problem
from echelon.envs.simulate import PART_BYTES, scenario_bytes
from echelon.envs.state import LEDGER_AXES
from echelon.experiments.config import Config, PolicyConfig
from echelon.experiments.grid import Grid

SHOWN = 20
"""Rows of each list; what is beyond them is counted."""

WIDTH = 110
"""Characters of a table, which would leave columns out on a narrower terminal."""

_NUMBER = 8
"""Bytes of a number."""


@dataclass(frozen=True)
class Evaluation:
    """One problem of one run, with the size of its evaluation."""

    problem: str
    policies: tuple[str, ...]
    left_out: tuple[tuple[str, str], ...]
    """Policies that do not apply, with the reason."""
    nodes: int
    links: int
    periods: int
    replications: int
    """Of each policy: all of them, or with a precision the most that there may be."""
    first: int
    """Of each policy: the fewest that there are."""
    memory: int
    """Bytes of the arrays of one policy's evaluation: what one worker needs beyond the program itself."""

    @property
    def node_periods(self) -> int:
        """Steps of one node over one period, of all policies; the fewest that there are."""
        return len(self.policies) * self.first * self.periods * self.nodes


@dataclass(frozen=True)
class DryRun:
    """The size of a grid."""

    runs: tuple[str, ...]
    """Their labels."""
    evaluations: tuple[Evaluation, ...]
    """One for each run and problem."""
    policies: Mapping[str, int]
    """What is planned or trained, in words, and in how many cells."""
    training: Mapping[str, int]
    """Length of all training by agent and unit."""

    @property
    def cells(self) -> int:
        """Policies to evaluate, over all problems of all runs."""
        return sum(len(evaluation.policies) for evaluation in self.evaluations)

    @property
    def node_periods(self) -> int:
        """Steps of one node over one period, in all."""
        return sum(evaluation.node_periods for evaluation in self.evaluations)

    @property
    def memory(self) -> int:
        """Bytes of the largest evaluation."""
        return max(evaluation.memory for evaluation in self.evaluations)


def dry_run(grid: Grid) -> DryRun:
    """The size of a grid; every problem is built, and nothing is planned, trained or simulated."""
    evaluations = tuple(found for member in grid.members for found in _evaluations(member.config))
    every = [
        (name, policy)
        for member in grid.members
        for section in member.config.problems.values()
        for name, policy in section.policies.items()
    ]
    training: Counter[str] = Counter()
    for _, policy in every:
        unit, length = _length(policy)
        training[f"{unit} of {policy.agent}"] += length
    return DryRun(
        runs=tuple(member.label for member in grid.members),
        evaluations=evaluations,
        policies=Counter(f"{name}: {_method(policy)}" for name, policy in every),
        training={unit: length for unit, length in training.items() if length},
    )


def planned_memory(problem: Problem, replications: int) -> int:
    """Bytes of the arrays of an evaluation.

    Replications are simulated in parts, as many together as have scenarios of at most `PART_BYTES`. A part needs its
    scenarios, the states before and after a period, the period's ledger and the sums of its quantities; every
    replication then keeps its sums.
    """
    of_scenarios = scenario_bytes(problem)
    part = min(replications, max(1, int(PART_BYTES / of_scenarios)))
    state = initial_state(problem.network, 1)
    of_state = sum(getattr(getattr(state, field.name), "nbytes", 0) for field in fields(state))
    network = problem.network
    counts = {"N": len(network.nodes), "E": len(network.links), "C": len(network.outlets)}
    of_ledger = _NUMBER * sum(counts[axis] for axis in LEDGER_AXES.values())
    return part * (of_scenarios + 2 * of_state + 2 * of_ledger) + replications * of_ledger


def print_dry_run(grid: Grid) -> None:
    """Print the runs, their problems and policies, and what they would need."""
    found = dry_run(grid)
    least = any(evaluation.first < evaluation.replications for evaluation in found.evaluations)
    print(f"{grid.name}: {_counted(len(found.runs), 'run')}, {_counted(found.cells, 'cell')}")
    if len(found.runs) > 1:
        _print_list("runs", found.runs)
    _print_list("policies", [f"{policy}, {_counted(cells, 'cell')}" for policy, cells in found.policies.items()])
    _print_list("left out", _left_out(found.evaluations))
    rows = Counter(replace(evaluation, left_out=()) for evaluation in found.evaluations)
    Console(width=max(WIDTH, Console().width)).print(_table(rows))
    print(f"evaluation: {'at least ' if least else ''}{found.node_periods:,} node-periods")
    for unit, length in found.training.items():
        print(f"training: {length:,} {unit}")
    print(f"memory: {_bytes(found.memory)} for the largest evaluation, in each worker, beyond the program itself")


def _print_list(title: str, lines: Sequence[str]) -> None:
    if lines:
        print(f"\n{title}:")
    for line in lines[:SHOWN]:
        print(f"  {line}")
    if len(lines) > SHOWN:
        print(f"  ... and {len(lines) - SHOWN:,} more")


def _left_out(evaluations: Sequence[Evaluation]) -> list[str]:
    """What is left out of which problems, and why: a line for each, once."""
    told = [f"{policy} of {e.problem}: {reason}" for e in evaluations for policy, reason in e.left_out]
    return list(dict.fromkeys(told))


def _evaluations(config: Config) -> Iterator[Evaluation]:
    most = config.replications if config.precision is None else config.most_replications
    for name, section in config.problems.items():
        problem = section.problem
        yield Evaluation(
            problem=name,
            policies=tuple(section.policies),
            left_out=tuple(section.left_out.items()),
            nodes=len(problem.network.nodes),
            links=len(problem.network.links),
            periods=problem.periods,
            replications=most,
            first=config.replications,
            memory=planned_memory(problem, most),
        )


def _method(policy: PolicyConfig) -> str:
    """What makes the policy, in words."""
    if policy.baseline is not None:
        return policy.baseline
    unit, length = _length(policy)
    return f"{policy.agent}" + (f", {length:,} {unit}" if length else "")


def _length(policy: PolicyConfig) -> tuple[str, int]:
    """The unit and the length of an agent's training; 0 for a baseline, and where agents are not installed."""
    if policy.agent is None:
        return "", 0
    try:
        from echelon.agents import METHODS
    except MissingExtraError:
        return "steps", policy.steps or 0
    method = METHODS[policy.agent]
    return method.unit, policy.steps or method.steps


def _table(rows: Mapping[Evaluation, int]) -> Table:
    """A row for each problem, and one more for each size that it has in other runs."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    table.add_column("problem", min_width=20)
    for column in ("runs", "policies", "nodes", "links", "periods", "replications", "memory"):
        table.add_column(column, justify="right", no_wrap=True)
    for e, runs in list(rows.items())[:SHOWN]:
        count = f"{e.first:,}" if e.first == e.replications else f"\u2265 {e.first:,}"
        sizes = [f"{size:,}" for size in (runs, len(e.policies), e.nodes, e.links, e.periods)]
        table.add_row(e.problem, *sizes, count, _bytes(e.memory))
    if len(rows) > SHOWN:
        table.add_row(f"... and {len(rows) - SHOWN:,} more")
    return table


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _bytes(count: int) -> str:
    return f"{count / 2**30:,.1f} GiB" if count >= 2**30 else f"{count / 2**20:,.1f} MiB"
