"""The methods of training by their names in configs and checkpoints, behind one door."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from echelon.agents.algorithms import ALGORITHMS, unknown_settings
from echelon.agents.controlled import train_controlled
from echelon.agents.controlled_settings import ControlledSettings
from echelon.agents.controlled_settings import check_problem as check_controlled
from echelon.agents.pathwise import train_pathwise
from echelon.agents.pathwise_settings import PathwiseSettings
from echelon.agents.pathwise_settings import check_problem as check_pathwise
from echelon.agents.sb3 import train_sb3
from echelon.agents.support import support_of
from echelon.agents.training import Training
from echelon.envs.codec import ActionKind, Decision
from echelon.envs.errors import EchelonError, MethodError, nearest
from echelon.envs.policy import Policy
from echelon.envs.problem import Problem


@dataclass(frozen=True)
class Method:
    """A way to train a policy."""

    steps: int
    """How long it trains if nothing is said."""
    unit: str
    """What a step is."""
    citation: str


_SB3 = "as implemented in A. Raffin et al., Stable-Baselines3, JMLR 22(268), 2021"
_CITATIONS = {
    "ppo": "J. Schulman et al., Proximal policy optimization algorithms, arXiv:1707.06347, 2017",
    "a2c": "V. Mnih et al., Asynchronous methods for deep reinforcement learning, ICML 2016",
    "trpo": "J. Schulman et al., Trust region policy optimization, ICML 2015",
    "sac": "T. Haarnoja et al., Soft actor-critic, ICML 2018",
    "td3": "S. Fujimoto, H. van Hoof and D. Meger, Addressing function approximation error, ICML 2018",
    "tqc": "A. Kuznetsov et al., Controlling overestimation bias with truncated mixture of quantile critics, ICML 2020",
    "dqn": "V. Mnih et al., Human-level control through deep reinforcement learning, Nature 518, 2015",
    "qrdqn": "W. Dabney et al., Distributional reinforcement learning with quantile regression, AAAI 2018",
}

METHODS: Mapping[str, Method] = {
    "pathwise": Method(
        1_500,
        "updates",
        "M. Alvo, D. Russo and Y. Kanoria, Neural inventory control in networks via hindsight differentiable policy "
        "optimization, arXiv:2306.11246, 2023",
    ),
    "controlled": Method(
        4_000,
        "states in each generation",
        "T. Temizöz et al., Deep controlled learning for inventory control, European Journal of Operational "
        "Research, 2025",
    ),
    **{name: Method(2_000_000, "periods", f"{_CITATIONS[name]}, {_SB3}") for name in ALGORITHMS},
}
"""By their names in configs and checkpoints."""


def train(
    problem: Problem,
    *,
    algorithm: str = "pathwise",
    seed: int = 0,
    steps: int | None = None,
    settings: Mapping[str, Any] | None = None,
    start: Policy | None = None,
    copies: int | None = None,
    decision: Decision | None = None,
    action: ActionKind | None = None,
    checkpoint: str | Path | None = None,
    log_folder: str | Path | None = None,
    on_progress: Callable[[int, float], None] | None = None,
) -> Training:
    """Train a policy on a problem by a method of `METHODS`.

    `steps` is the length of the training, in the unit of the method. `settings` override the method's own; `decision`,
    `copies` and `action` say what a learner's actions mean and how many environments it has, for methods that have
    them. With a `start` training begins from what that policy does. `checkpoint` is a folder from which an interrupted
    training goes on, `log_folder` is for TensorBoard, and `on_progress(steps, cost)` hears of it. The policy knows
    where it was trained (`Support`). Raises `MethodError` for what the method cannot do.
    """
    if found := unsuited(algorithm, problem, settings or {}, decision=decision, copies=copies, action=action):
        raise MethodError("\n".join(found))
    length = METHODS[algorithm].steps if steps is None else steps
    common: dict[str, Any] = {
        "seed": seed,
        "steps": length,
        "start": start,
        "checkpoint": checkpoint,
        "log_folder": log_folder,
        "on_progress": on_progress,
    }
    if algorithm == "pathwise":
        chosen = {**(settings or {}), **({} if decision is None else {"decision": decision})}
        training = train_pathwise(problem, settings=chosen, **common)
    elif algorithm == "controlled":
        training = train_controlled(problem, settings=settings, **common)
    else:
        common |= {"copies": copies, "decision": decision, "action": action}
        training = train_sb3(problem, algorithm=algorithm, settings=settings, **common)
    support = support_of(training.policy.actor, problem, seed=seed)
    return replace(training, policy=training.policy.with_support(support))


def unsuited(
    algorithm: str,
    problem: Problem,
    settings: Mapping[str, Any],
    *,
    decision: Decision | None = None,
    copies: int | None = None,
    action: ActionKind | None = None,
) -> list[str]:
    """Why a method cannot be used in this way on a problem, as far as that can be told without any work.

    Each line begins with what is wrong: `agent`, `decision`, `copies`, `action`, or `settings.KEY`.
    """
    if algorithm not in METHODS:
        return [f"agent: unknown method {algorithm!r}{nearest(algorithm, METHODS)}"]
    given = {"decision": decision, "copies": copies, "action": action}
    foreign = {"pathwise": ("copies", "action"), "controlled": ("decision", "copies", "action")}.get(algorithm, ())
    found = [f"{name}: {algorithm} has no such option" for name in foreign if given[name] is not None]
    check_settings, check_problem = _CHECKS.get(algorithm, (partial(_check_sb3, algorithm), _accept))
    return [*found, *_said("settings.", check_settings, settings), *_said("agent: ", check_problem, problem)]


def _said(place: str, check: Callable[[Any], object], value: Any) -> list[str]:
    """What a check says of a value, each line at its place."""
    try:
        check(value)
    except EchelonError as error:
        return [place + line for line in str(error).splitlines()]
    return []


def _check_sb3(algorithm: str, settings: Mapping[str, Any]) -> None:
    if found := unknown_settings(algorithm, settings):
        raise MethodError("\n".join(found))


def _accept(problem: Problem) -> None:
    """Any problem will do."""


_CHECKS: Mapping[str, tuple[Callable[[Any], object], Callable[[Problem], None]]] = {
    "pathwise": (PathwiseSettings.of, check_pathwise),
    "controlled": (ControlledSettings.of, check_controlled),
}
"""For a method: what raises for settings, and for a problem, that it cannot use."""
