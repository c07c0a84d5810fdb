"""The end of a beer game: the person's cost beside that of rules and trained policies on the same demand."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from echelon.baselines.perfect_information import clairvoyant, path_of
from echelon.envs.catalogue import make_problem
from echelon.envs.errors import ConfigError
from echelon.experiments.web_beer_game import Course, Setup, course, played, rule_course

PERSON, OPTIMAL = "You", "clark_scarf"
RULE_NAMES = {
    "clark_scarf": "Optimal policy (Clark and Scarf)",
    "base_stock": "Base stock at every stage",
    "sterman": "As people play (Sterman)",
}
"""The rules in the words of the reveal."""


@dataclass(frozen=True, eq=False)
class Score:
    """One line of the reveal."""

    name: str
    course: Course
    above: float | None
    """Per cent above the optimal policy, that is Clark and Scarf's; None if that costs nothing."""
    bullwhip: tuple[float | None, ...]
    """[4] variance of the stage's orders over that of the customers' demand; None where demand does not vary."""
    note: str = ""


@dataclass(frozen=True, eq=False)
class Reveal:
    """All that is shown at the end; the person's line is the first."""

    optimum: float
    """What the optimal policy costs on this demand. It is the best in the long run, for one who cannot see ahead."""
    hindsight: float
    """The least cost for someone who knew all demand beforehand; no orders whatever can cost less."""
    scores: tuple[Score, ...]

    @property
    def person(self) -> Score:
        """The person's line."""
        return self.scores[0]

    def courses(self) -> dict[str, Course]:
        """Every line's course by its name."""
        return {score.name: score.course for score in self.scores}


def reveal(setup: Setup, orders: Sequence[int], trained: Mapping[str, Any] | None = None) -> Reveal:
    """The reveal of a finished game; `trained` are `LearnedPolicy` by name."""
    optimum = rule_course(setup, OPTIMAL).cost
    scores = [_score(PERSON, played(setup, orders), optimum)]
    scores += [_score(name, rule_course(setup, rule), optimum) for rule, name in RULE_NAMES.items()]
    for name, policy in (trained or {}).items():
        game, note = _trained_course(setup, policy)
        scores.append(_score(f"Trained: {name}", game, optimum, note))
    return Reveal(optimum, hindsight_cost(setup), tuple(scores))


@lru_cache(maxsize=64)
def hindsight_cost(setup: Setup) -> float:
    """The optimum of the linear programme that knows the demand of the game.

    Its only constraints are those of a flow through time and places, so that it has a whole optimum without saying so.
    """
    problem = setup.problem
    path = path_of(problem.network, setup.scenarios, 0, 0, setup.weeks)
    return clairvoyant(problem.network, path, np.ones(setup.weeks)).program.solve()[0]


def bullwhip(game: Course) -> tuple[float | None, ...]:
    """[4] how much more the orders of each stage vary than the customers' demand."""
    demand = float(game.incoming[:, -1].var())
    if demand == 0:
        return (None,) * 4
    return tuple(float(variance) / demand for variance in game.ordered.var(axis=0))


def load_trained(folders: Sequence[Path]) -> dict[str, Any]:
    """Trained policies by the names of their folders. Raises `ConfigError` where one cannot play the beer game."""
    policies: dict[str, Any] = {}
    for folder in folders:
        if not folder.is_dir():
            raise ConfigError([f"--policy: must be the folder of a trained policy (got {str(folder)!r})"])
        from echelon.agents import LearnedPolicy

        policy = LearnedPolicy.load(folder)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                policy.for_network(make_problem("echelon/BeerGame-v0").network)
            except ConfigError as error:
                raise ConfigError([f"--policy: {folder} must be trained on echelon/BeerGame-v0: {error}"]) from error
        name = folder.resolve().name
        policies[name if name not in policies else f"{name} ({len(policies) + 1})"] = policy
    return policies


def _score(name: str, game: Course, optimum: float, note: str = "") -> Score:
    above = 100 * (game.cost / optimum - 1) if optimum > 0 else None
    return Score(name, game, above, bullwhip(game), note)


def _trained_course(setup: Setup, policy: Any) -> tuple[Course, str]:
    """How the policy plays, and what differs between this game and its training."""
    problem = setup.problem
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        game = course(problem, policy.for_network(problem.network), setup.scenarios)
    return game, "; ".join(dict.fromkeys(str(warning.message) for warning in caught))
