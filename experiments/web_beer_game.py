"""The beer game for one person: a person at one stage is a policy, and everything else is the engine's.

A game is a `Setup` and the orders so far; the whole of it is computed anew from these two whenever it is looked at, so
that the address of a page is a saved game and a class can play the same one.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import lru_cache
from typing import Any
from urllib.parse import urlencode

import numpy as np
from numpy.typing import NDArray

from echelon.envs import dynamics
from echelon.envs.catalogue import make_problem
from echelon.envs.demand import Deterministic, Law, Poisson
from echelon.envs.errors import ConfigError, nearest
from echelon.envs.network import Network
from echelon.envs.policy import Policy
from echelon.envs.problem import Problem
from echelon.envs.scenarios import Scenarios, sample
from echelon.envs.simulate import checked_orders
from echelon.envs.state import State
from echelon.experiments.web_beer_rules import STAGES as STAGES
from echelon.experiments.web_beer_rules import Sterman, central_base_stock, local_base_stock, net_stock

Floats = NDArray[np.float64]

DEMANDS: Mapping[str, tuple[Mapping[str, Any], Law]] = {
    "step": ({}, Deterministic(values=(8,))),
    "random": ({"demand": {"law": "poisson", "mean": 8}}, Poisson(mean=8)),
}
"""By name the parameters of the problem, and the law that rules are planned for: after the step it stays at 8."""

COSTS: Mapping[str, Mapping[str, Any]] = {"board": {}, "rising": {"holding_cost": [0.2, 0.3, 0.4, 0.5]}}
"""Holding costs, factory first: 0.5 at every stage as on the board, or more the nearer to the customers."""

RULES: Mapping[str, Callable[[Network, Law], Policy]] = {
    "base_stock": local_base_stock,
    "clark_scarf": central_base_stock,
    "sterman": lambda _network, _law: Sterman(),
}
LIMITS = {"weeks": (4, 104), "seed": (0, 2**31 - 1)}
MOST_CASES = 9_999
"""The largest order."""
SEPARATOR = "."
UNITS = ("net_stock", "ordered", "incoming", "received")
"""The tables of a `Course`."""


@dataclass(frozen=True)
class Setup:
    """What is fixed before a game: who plays what, the demand, and for how long."""

    stage: str = "retailer"
    partner: str = "base_stock"
    """The rule of the other three stages."""
    demand: str = "step"
    costs: str = "board"
    weeks: int = 36
    seed: int = 1
    """Of the random demand."""

    def __post_init__(self) -> None:
        for name, known in (("stage", STAGES), ("partner", RULES), ("demand", DEMANDS), ("costs", COSTS)):
            if getattr(self, name) not in known:
                value = getattr(self, name)
                raise ConfigError([f"{name} must be one of {', '.join(known)} (got {value!r}){nearest(value, known)}"])
        for name, (least, most) in LIMITS.items():
            value = getattr(self, name)
            if not (isinstance(value, int) and not isinstance(value, bool) and least <= value <= most):
                raise ConfigError([f"{name} must be a whole number from {least} to {most} (got {value!r})"])

    @property
    def link(self) -> int:
        """The link that the person orders on, which is also the node where the person is."""
        return STAGES.index(self.stage)

    @property
    def problem(self) -> Problem:
        """The catalogued problem over the weeks of the game."""
        parameters = {**DEMANDS[self.demand][0], **COSTS[self.costs]}
        return make_problem("echelon/BeerGame-v0", periods=self.weeks, **parameters)

    @property
    def scenarios(self) -> Scenarios:
        """The one scenario of the game."""
        return sample(self.problem.network, periods=self.weeks, replications=1, seed=self.seed, stream="beer_game")

    def rule(self, name: str) -> Policy:
        """A rule for all four stages."""
        return RULES[name](self.problem.network, DEMANDS[self.demand][1])

    def query(self, orders: Sequence[int] = ()) -> str:
        """The game as the query of an address."""
        values: dict[str, Any] = {item.name: getattr(self, item.name) for item in fields(self)}
        return urlencode(values | ({"orders": SEPARATOR.join(map(str, orders))} if orders else {}))


def read_query(query: Mapping[str, str]) -> tuple[Setup, tuple[int, ...]]:
    """A game from the query of an address; what is absent has its default. Raises `ConfigError`."""
    known = {item.name: item.default for item in fields(Setup)}
    values: dict[str, Any] = {name: query[name] for name in known if name in query}
    for name in LIMITS.keys() & values.keys():
        values[name] = _whole(name, values[name])
    setup = Setup(**values)
    orders = tuple(_whole("orders", text) for text in query.get("orders", "").split(SEPARATOR) if text)
    if len(orders) > setup.weeks:
        raise ConfigError([f"orders must be at most one a week, {setup.weeks} (got {len(orders)})"])
    for order in orders:
        require_order(order)
    return setup, orders


def require_order(order: Any) -> int:
    """A person's order as a whole number. Raises `ConfigError`."""
    if isinstance(order, bool) or not isinstance(order, int | float) or order != order // 1:
        raise ConfigError([f"an order must be a whole number of cases (got {order})"])
    if not 0 <= order <= MOST_CASES:
        raise ConfigError([f"an order must be from 0 to {MOST_CASES:,} cases (got {order:g})"])
    return int(order)


def _whole(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 10):
        raise ConfigError([f"{name} must be whole numbers (got {text!r})"])
    return int(text)


@dataclass(frozen=True, eq=False)
class Person:
    """The orders of one person at one stage, beside a rule at the others."""

    orders: Sequence[int]
    link: int
    others: Policy

    def __call__(self, state: State) -> Floats:
        """Orders [B, E]."""
        decided = np.array(self.others(state), dtype=np.float64)
        decided[:, self.link] = self.orders[state.period]
        return decided


@dataclass(frozen=True, eq=False)
class Course:
    """How a game went: units by week and stage at the end of each week, [T, 4], and its cost."""

    review: State
    """At the start of the week after the last."""
    arrived: Floats
    """[4] what has come in at that start."""
    net_stock: Floats
    ordered: Floats
    incoming: Floats
    """What was asked of the stage in the week."""
    received: Floats
    """What had arrived at the stage when the week began."""
    holding: Floats
    """[T] money"""
    stockout: Floats
    """[T] money"""

    @property
    def weeks(self) -> int:
        """T"""
        return len(self.holding)

    @property
    def cost(self) -> float:
        """Of the whole chain in all weeks."""
        return float(self.holding.sum() + self.stockout.sum())


def course(problem: Problem, policy: Policy, scenarios: Scenarios, weeks: int | None = None) -> Course:
    """The first weeks of the problem under a policy, by the engine's own step, for one replication."""
    state = dynamics.initial_state(problem.network, 1)
    received = np.array([[link.initial_in_transit for link in problem.network.links]])
    rows: dict[str, list[Floats]] = {name: [np.zeros((0, 4))] for name in UNITS}
    money: dict[str, list[float]] = {"holding": [], "stockout": []}
    for t in range(problem.periods if weeks is None else weeks):
        due, before = np.asarray(state.pipeline[:, :, 0]), net_stock(state)
        state, ledger = dynamics.step(state, checked_orders(policy(state), state), scenarios.draw(t))
        after = net_stock(state)
        week = (after - due, np.asarray(ledger.ordered), before + due - after, received)
        for name, units in zip(UNITS, week, strict=True):
            rows[name].append(units)
        for kind, amounts in money.items():
            amounts.append(float(ledger.costs[kind].sum()))
        received = due
    tables = {name: np.concatenate(parts) for name, parts in rows.items()}
    return Course(review=state, arrived=received[0], **tables, **{kind: np.array(x) for kind, x in money.items()})


def played(setup: Setup, orders: Sequence[int]) -> Course:
    """A person's game as far as the orders go."""
    person = Person(orders, setup.link, setup.rule(setup.partner))
    return course(setup.problem, person, setup.scenarios, len(orders))


@lru_cache(maxsize=64)
def rule_course(setup: Setup, name: str) -> Course:
    """All four stages by one rule, on the demand of the game."""
    return course(setup.problem, setup.rule(name), setup.scenarios)


def as_csv(courses: Mapping[str, Course]) -> str:
    """Every week of every stage: a line each, with the cost of the whole chain in the week."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["policy", "week", "stage", "received", "asked_for", "ordered", "net_stock", "chain_cost"])
    for name, game in courses.items():
        for t, cost in enumerate(game.holding + game.stockout):
            for n, stage in enumerate(STAGES):
                units = (table[t, n] for table in (game.received, game.incoming, game.ordered, game.net_stock))
                writer.writerow([name, t + 1, stage, *(f"{x:g}" for x in units), f"{cost:g}"])
    return text.getvalue()
