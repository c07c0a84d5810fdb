"""Searches of many items in step: each asks for the cost of one candidate, and one simulation answers them all.

The search of an item is a generator: it yields the levels of a candidate and is sent their cost. So it reads
like the search of a single item, remembers what it has asked, and ends when it is done; the items that are left
go on in a smaller network.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from itertools import product

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.policy_selection_items import Floats, Item, supply_links, with_units
from echelon.baselines.policy_selection_rules import Levels, Parameters, Rule, levels_of
from echelon.envs.metrics import measure
from echelon.envs.policy import OrderUpTo, order_up_to
from echelon.envs.problem import Problem
from echelon.envs.scenarios import Scenarios, sample
from echelon.envs.simulate import simulate

Search = Generator[Levels, float, dict[str, Parameters]]
Asking = Generator[Levels, float, float]
SHRINK = 0.75
"""Share of the items still searching at which the network is cut down to them."""
PART_BYTES = 256e6
"""Memory for the scenarios that are simulated together."""
FINEST = 16
"""Where units are not whole, steps shrink to the first one over this."""
BY_NODE = ("demand", "wait_chance", "node_up")
"""Arrays of the scenarios that go by node, all of which are outlets; the others go by link."""


@dataclass(frozen=True, eq=False)
class Panel:
    """A problem of independent item-locations with scenarios for them."""

    problem: Problem
    scenarios: Scenarios

    def costs(self, levels: Sequence[Levels]) -> Floats:
        """[B, N] the cost of each replication and item with its levels [N]."""
        outcome = simulate(self.problem, policy_of(self.problem, levels), self.scenarios)
        return measure(outcome, ["cost"])["cost"].values

    def part(self, items: NDArray[np.int64]) -> Panel:
        """The panel of some of the items."""
        network = with_units(self.problem).network
        links = supply_links(network)[items]
        places = {"nodes": tuple(network.nodes[n] for n in items), "links": tuple(network.links[e] for e in links)}
        drawn = {field.name: getattr(self.scenarios, field.name) for field in fields(Scenarios)}
        kept = {
            name: array[:, :, items if name in BY_NODE else links] for name, array in drawn.items() if array is not None
        }
        return Panel(replace(self.problem, network=network.model_copy(update=places)), Scenarios(**kept))


def policy_of(problem: Problem, levels: Sequence[Levels]) -> OrderUpTo:
    """The one policy that has the levels [N] of each node on the link into it."""
    by_link = np.empty((len(levels), 4))
    by_link[supply_links(problem.network)] = levels
    reorder, up_to, cap, lot = by_link.T
    return order_up_to(problem.network, list(up_to), reorder=list(reorder), cap=list(cap), lot=list(lot))


def tune_items(panel: Panel, items: Sequence[Item], rules: Sequence[Sequence[Rule]]) -> list[dict[str, Parameters]]:
    """For each item the best parameters of each of its rules on the scenarios of the panel."""
    searches = [search(item, offered) for item, offered in zip(items, rules, strict=True)]
    found: list[dict[str, Parameters]] = [{} for _ in items]
    asked: dict[int, Levels] = {}
    for n, one in enumerate(searches):
        _advance(n, one, None, asked, found)
    members, part = np.arange(len(items)), panel
    latest: dict[int, Levels] = dict(asked)
    while asked:
        if len(asked) < SHRINK * len(members):
            members = np.array(sorted(asked))
            part = panel.part(members)
        latest |= asked
        costs = part.costs([latest[n] for n in members.tolist()]).mean(axis=0)
        for n, cost in zip(members.tolist(), costs.tolist(), strict=True):
            if n in asked:
                _advance(n, searches[n], cost, asked, found)
    return found


def _advance(
    n: int, one: Search, cost: float | None, asked: dict[int, Levels], found: list[dict[str, Parameters]]
) -> None:
    """Answer the search of item n, and note what it asks next or what it has found."""
    try:
        asked[n] = next(one) if cost is None else one.send(cost)
    except StopIteration as end:
        asked.pop(n, None)
        found[n] = end.value


def stream_costs(
    problem: Problem, tuned: Sequence[Mapping[str, Parameters]], *, seed: int, stream: str, replications: int
) -> list[dict[str, Floats]]:
    """For each item the cost [B] of each of its rules on a stream; the k-th rules of all items run together."""
    names = [tuple(found) for found in tuned]
    costs: list[dict[str, list[Floats]]] = [{rule: [] for rule in own} for own in names]
    for scenarios in _parts(problem, seed, stream, replications):
        panel = Panel(problem, scenarios)
        for k in range(max(map(len, names))):
            at = [own[min(k, len(own) - 1)] for own in names]
            found = panel.costs([levels_of(rule, one[rule]) for rule, one in zip(at, tuned, strict=True)])
            for n, own in enumerate(names):
                if k < len(own):
                    costs[n][own[k]].append(found[:, n])
    return [{rule: np.concatenate(parts) for rule, parts in own.items()} for own in costs]


def _parts(problem: Problem, seed: int, stream: str, replications: int) -> Iterator[Scenarios]:
    """The replications of a stream, as many at a time as fit into memory."""
    size = max(1, int(PART_BYTES / (8.0 * problem.periods * len(problem.network.nodes))))
    for first in range(0, replications, size):
        part = range(first, min(first + size, replications))
        yield sample(problem.network, periods=problem.periods, replications=part, seed=seed, stream=stream)


def search(item: Item, rules: Sequence[Rule]) -> Search:
    """The best parameters of each rule, one after the other: each may begin where an earlier one ended."""
    known: dict[Levels, float] = {}
    found: dict[str, Parameters] = {}
    for rule in rules:
        found[rule.name] = yield from _tuned(item, rule, found, known)
    return found


def _tuned(
    item: Item, rule: Rule, found: Mapping[str, Parameters], known: dict[Levels, float]
) -> Generator[Levels, float, Parameters]:
    """A compass search (Kolda, Lewis and Torczon 2003) from the cheapest start, with steps down to a unit."""
    lowest = np.asarray(rule.lowest(item))
    starts = list(dict.fromkeys(_within(np.asarray(x), lowest, item.whole) for x in rule.starts(item, found)))
    best = starts[0]
    for other in starts[1:]:
        if (yield from _cost(rule, other, known)) < (yield from _cost(rule, best, known)):
            best = other
    for widths in _shrinking(rule.steps(item), item.whole):
        improved = True
        while improved:
            improved = False
            for move in _moves(widths):
                candidate = _within(best + move, lowest, item.whole)
                while (yield from _cost(rule, candidate, known)) < (yield from _cost(rule, best, known)):
                    best, improved = candidate, True
                    candidate = _within(best + move, lowest, item.whole)
    return best


def _cost(rule: Rule, parameters: Parameters, known: dict[Levels, float]) -> Asking:
    levels = rule.levels(parameters)
    if levels not in known:
        known[levels] = yield levels
    return known[levels]


def _within(parameters: Floats, lowest: Floats, whole: bool) -> Parameters:
    rounded = np.rint(parameters) if whole else parameters
    return tuple(np.maximum(rounded, lowest).tolist())


def _shrinking(steps: Parameters, whole: bool) -> Iterator[Floats]:
    """Steps that are halved until all of them are a unit, or a share of the first where units are not whole."""
    if not steps:
        return
    widths = np.maximum(np.ceil(steps), 1.0) if whole else np.asarray(steps)
    finest = np.ones_like(widths) if whole else widths / FINEST
    while True:
        yield widths
        if (widths <= finest).all():
            return
        widths = np.maximum(np.floor(widths / 2) if whole else widths / 2, finest)


def _moves(widths: Floats) -> list[Floats]:
    """One parameter up or down, then all of them at once."""
    corners = (np.array(signs) for signs in product((-1.0, 0.0, 1.0), repeat=len(widths)) if any(signs))
    return [signs * widths for signs in sorted(corners, key=lambda signs: float(np.abs(signs).sum()))]
