"""`echelon tune`: search for the settings of one policy of a config, and write the config with the best ones."""

from __future__ import annotations

import csv
import io
import json
import os
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from echelon.baselines import make_plan
from echelon.envs.errors import ConfigError, nearest
from echelon.envs.yaml_io import dump_yaml
from echelon.experiments.config import Config, PolicyConfig, ProblemConfig, load_config

if TYPE_CHECKING:
    from echelon.agents.tuning import Target, Tuning

JOURNAL, TRIALS, TUNED = "study.journal", "trials.csv", "tuned.yaml"
COLUMNS = ("trial", "state", "cost", "cpu_seconds", "settings")


@dataclass(frozen=True)
class TuneRequest:
    """The options of `echelon tune`."""

    config: Path
    policy: str
    problem: str | None
    trials: int
    out: Path
    overrides: Sequence[str] = ()


def run_tune(request: TuneRequest) -> None:
    """Search, print every trial, and write the folder; a folder of the same search is gone on with.

    The folder holds the journal of the study, a table of the trials, and, once a trial is complete, the config with
    the best settings. Raises `ConfigError` for what cannot be tuned, before any work.
    """
    config = load_config(request.config, request.overrides)
    problem = _problem_of(config, request)
    target = _target(config, problem, request)
    _prepare(request.out)
    from echelon.agents.tuning import tune

    def written(tuning: Tuning) -> None:
        last = tuning.trials[-1]
        cost = "" if last.cost is None else f"  cost {last.cost:.6g}"
        print(f"trial {last.number:3}  {last.state:8}{cost}  {json.dumps(dict(last.settings))}", flush=True)
        _write(request, config, problem, tuning)

    tuning = tune(target, request.out / JOURNAL, trials=request.trials, on_trial=written)
    _write(request, config, problem, tuning)
    best = tuning.best
    print(f"\nbest: trial {best.number}, validation cost {best.cost:.6g}\nConfig: {request.out / TUNED}")


def tuned_config(config: Config, problem: str, policy: str, tuning: Tuning) -> Config:
    """The config with the best settings of a search for one policy on one problem."""
    section = config.problems[problem]
    old = section.policies[policy]
    new = old.model_copy(update={"settings": {**tuning.best.settings, **old.settings}})
    changed = section.model_copy(update={"policies": {**section.policies, policy: new}})
    return config.model_copy(update={"problems": {**config.problems, problem: changed}})


def _problem_of(config: Config, request: TuneRequest) -> str:
    """The name of the problem on which the policy is tuned."""
    having = [name for name, section in config.problems.items() if request.policy in section.policies]
    if not having:
        names = {policy for section in config.problems.values() for policy in section.policies}
        raise ConfigError([f"--policy: unknown policy {request.policy!r}{nearest(request.policy, names)}"])
    if request.problem is None and len(having) > 1:
        raise ConfigError([f"--problem: {request.policy!r} is a policy of {', '.join(having)}; choose one of them"])
    if request.problem is not None and request.problem not in having:
        raise ConfigError([f"--problem: unknown problem {request.problem!r}{nearest(request.problem, having)}"])
    return request.problem or having[0]


def _target(config: Config, problem: str, request: TuneRequest) -> Target:
    """What is searched. Raises `ConfigError` if the policy is no agent that can be tuned."""
    section: ProblemConfig = config.problems[problem]
    policy: PolicyConfig = section.policies[request.policy]
    if policy.agent is None:
        raise ConfigError([f"--policy: {request.policy!r} is a baseline; only agents are tuned"])
    from echelon.agents.algorithms import unknown_settings
    from echelon.agents.methods import METHODS
    from echelon.agents.tuning import Target
    from echelon.agents.tuning_spaces import SPACES, space_of

    if policy.agent not in SPACES:
        raise ConfigError([f"--policy: only {', '.join(SPACES)} can be tuned (got the agent {policy.agent!r})"])
    place = f"problems.{problem}.policies.{request.policy}.settings"
    if found := unknown_settings(policy.agent, policy.settings):
        raise ConfigError([f"{place}.{defect}" for defect in found])
    space_of(policy.agent, policy.settings)
    start = None if policy.start is None else make_plan(policy.start, section.problem, **policy.start_options).policy
    return Target(
        problem=section.problem,
        algorithm=policy.agent,
        steps=policy.steps or METHODS[policy.agent].steps,
        seed=config.seed,
        copies=policy.copies,
        decision=policy.decision,
        action=policy.action,
        settings=policy.settings,
        start=start,
    )


def _prepare(folder: Path) -> None:
    """Make the folder, or see that it is one of a search."""
    if folder.exists() and not (folder / JOURNAL).is_file():
        raise ConfigError([f"{folder}: must be new, or the folder of a search; choose another one with --out"])
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ConfigError([f"{folder}: the folder cannot be made: {error.strerror}"]) from None


def _write(request: TuneRequest, config: Config, problem: str, tuning: Tuning) -> None:
    """Write the table and the config, each in one step."""
    rows = io.StringIO(newline="")
    table = csv.writer(rows, lineterminator="\n")
    table.writerow(COLUMNS)
    for trial in tuning.trials:
        seconds = None if trial.cpu_seconds is None else round(trial.cpu_seconds, 2)
        table.writerow((trial.number, trial.state, trial.cost, seconds, json.dumps(dict(trial.settings))))
    _replace(request.out / TRIALS, rows.getvalue())
    if any(trial.state == "complete" for trial in tuning.trials):
        best = tuned_config(config, problem, request.policy, tuning)
        dump_yaml(best.model_dump(mode="json"), request.out / TUNED)


def _replace(path: Path, text: str) -> None:
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        temporary.write_text(text, encoding="utf-8")
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
