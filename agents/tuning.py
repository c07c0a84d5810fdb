"""Search for an algorithm's settings with Optuna, in a journal that several processes share. Needs extra `tune`."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np

from echelon.agents.sb3 import train_sb3
from echelon.agents.tuning_spaces import default_parameters, settings_of, space_of
from echelon.envs.codec import ActionKind, Decision
from echelon.envs.errors import ConfigError, MethodError, MissingExtraError
from echelon.envs.policy import Policy
from echelon.envs.problem import Problem

STUDY = "tuning"
"""The name of the one study in a journal."""
EVALUATIONS = 8
"""Evaluations of a trial, after each of which it may be given up."""
UNPRUNED = 5
"""Trials that are finished before any is given up."""


@dataclass(frozen=True)
class Target:
    """What is tuned: an algorithm's training on a problem, but for the settings that are searched."""

    problem: Problem
    algorithm: str
    steps: int
    seed: int = 0
    copies: int | None = None
    decision: Decision | None = None
    action: ActionKind | None = None
    settings: Mapping[str, Any] | None = None
    """Settings that are fixed."""
    start: Policy | None = None
    """What every training begins from."""

    def identity(self) -> str:
        """Text that is equal for equal targets."""
        network = self.problem.network.model_dump(mode="json", exclude_defaults=True)
        own = (self.algorithm, self.steps, self.seed, self.copies, self.decision, self.action, self.start is not None)
        horizon = (self.problem.periods, self.problem.warm_up, self.problem.discount)
        return json.dumps([own, dict(self.settings or {}), horizon, network], sort_keys=True, default=str)


@dataclass(frozen=True)
class Trial:
    """One training of a search."""

    number: int
    state: str
    """complete, pruned (given up), fail, or running: in another process, or in one that was killed."""
    cost: float | None
    """Validation cost, of a given-up trial the last one."""
    settings: Mapping[str, Any]
    cpu_seconds: float | None


@dataclass(frozen=True)
class Tuning:
    """A search, as far as it has come."""

    trials: tuple[Trial, ...]

    @property
    def best(self) -> Trial:
        """The trial with the lowest cost. Raises `MethodError` if none was completed."""
        done = [trial for trial in self.trials if trial.state == "complete" and trial.cost is not None]
        if not done:
            raise MethodError(
                f"no trial was completed, out of {len(self.trials)}; a smaller learning_rate may be needed"
            )
        return min(done, key=lambda trial: (trial.cost, trial.number))


def tune(
    target: Target, journal: Path, *, trials: int = 20, on_trial: Callable[[Tuning], None] | None = None
) -> Tuning:
    """Search until the journal holds so many finished trials, which are those of all processes that share it.

    The first trial has the defaults. Later ones are drawn by the tree-structured Parzen estimator (Bergstra et al.,
    NeurIPS 2011), seeded by the target's seed and the trial's number, so that a search that was killed goes on as if it
    had not been. All have equal steps and the same validation scenarios; one whose cost is above the median of the
    others after equally many steps is given up. The cost is that of one seed: measure the winner on others.
    `on_trial` hears of every trial. Raises `ConfigError` for a journal of another target.
    """
    if trials < 1:
        raise MethodError(f"trials must be at least 1 (got {trials})")
    optuna = _optuna()
    space = space_of(target.algorithm, target.settings or {})
    with _quiet(optuna):
        study = _study(optuna, journal, target)
        if not study.trials:
            study.enqueue_trial(default_parameters(target.algorithm, space), skip_if_exists=True)
        while sum(trial.state.is_finished() for trial in study.trials) < trials:
            trial = study.ask()
            seed = int(np.random.SeedSequence((target.seed, trial.number)).generate_state(1)[0])
            study.sampler = optuna.samplers.TPESampler(seed=seed)
            parameters = {name: part.draw(trial, name) for name, part in space.items()}
            _run(optuna, study, trial, target, settings_of(parameters))
            if on_trial is not None:
                on_trial(_read(study))
        return _read(study)


def _run(optuna: ModuleType, study: Any, trial: Any, target: Target, searched: Mapping[str, Any]) -> None:
    """Train with the settings of a trial, and tell the study how it went."""
    evaluated = 0

    def promising(_: int, cost: float) -> bool:
        nonlocal evaluated
        evaluated += 1
        trial.report(cost, evaluated)
        return evaluated >= EVALUATIONS or not trial.should_prune()

    trial.set_user_attr("settings", dict(searched))
    try:
        training = train_sb3(
            target.problem,
            algorithm=target.algorithm,
            seed=target.seed,
            steps=target.steps,
            copies=target.copies,
            decision=target.decision,
            action=target.action,
            settings={**searched, **(target.settings or {})},
            start=target.start,
            evaluations=EVALUATIONS,
            on_evaluation=promising,
        )
    except MethodError:
        study.tell(trial, state=optuna.trial.TrialState.FAIL)
        return
    trial.set_user_attr("cpu_seconds", training.seconds)
    if training.steps < target.steps:
        study.tell(trial, state=optuna.trial.TrialState.PRUNED)
    else:
        study.tell(trial, min(point["cost"] for point in training.curve))


def _study(optuna: ModuleType, journal: Path, target: Target) -> Any:
    """The study of a journal, which is made if need be."""
    from optuna.storages.journal import JournalFileBackend

    _mend(journal)
    try:
        study = optuna.create_study(
            storage=optuna.storages.JournalStorage(JournalFileBackend(str(journal))),
            study_name=STUDY,
            load_if_exists=True,
            pruner=optuna.pruners.MedianPruner(n_startup_trials=UNPRUNED, n_warmup_steps=1),
        )
        known = study.user_attrs.get("target")
    except (OSError, ValueError, LookupError, TypeError, AssertionError) as error:
        raise ConfigError([f"{journal}: the journal must be sound: {type(error).__name__}: {error}"]) from error
    if known is None:
        study.set_user_attr("target", target.identity())
    elif known != target.identity():
        raise ConfigError([f"{journal}: holds the search for another problem, policy or seed; choose another folder"])
    return study


def _mend(journal: Path) -> None:
    """Cut off the half of a line that a killed process left at the end."""
    if not journal.exists():
        return
    from optuna.storages.journal import JournalFileSymlinkLock

    lock = JournalFileSymlinkLock(str(journal))
    lock.acquire()
    try:
        content = journal.read_bytes()
        whole = content.rfind(b"\n") + 1
        if whole < len(content):
            with journal.open("r+b") as stream:
                stream.truncate(whole)
    finally:
        lock.release()


def _read(study: Any) -> Tuning:
    found = []
    for trial in study.trials:
        cost = trial.value if trial.value is not None else trial.intermediate_values.get(trial.last_step)
        seconds = trial.user_attrs.get("cpu_seconds")
        settings = trial.user_attrs.get("settings", {})
        found.append(Trial(trial.number, trial.state.name.lower(), cost, settings, seconds))
    return Tuning(tuple(found))


def _optuna() -> ModuleType:
    try:
        import optuna
    except ImportError as error:
        raise MissingExtraError(
            f"tuning needs the extra 'tune' ({error.name} is not installed): "
            "pip install 'echelon[learn,tune]' -c constraints.txt"
        ) from error
    return optuna


@contextmanager
def _quiet(optuna: ModuleType) -> Iterator[None]:
    """Without the messages of Optuna about every trial, and its notes on what is new in it."""
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            yield
    finally:
        optuna.logging.set_verbosity(before)
