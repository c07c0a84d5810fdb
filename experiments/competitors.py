"""The policies of a run, made ready to be evaluated: baselines are planned, agents are trained."""

from __future__ import annotations

import inspect
import shutil
import time
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from echelon.baselines import BASELINES, make_plan
from echelon.envs.errors import ConfigError, EchelonError, MethodError
from echelon.envs.policy import Policy
from echelon.envs.problem import Problem
from echelon.experiments.config import PolicyConfig
from echelon.experiments.progress import Progress
from echelon.experiments.whole_folder import write_json


class DamageWarning(UserWarning):
    """Something in a run folder is not as it was written, and is made again."""


@dataclass(frozen=True, eq=False)
class Competitor:
    """A policy that is ready to be evaluated."""

    name: str
    kind: str
    """baseline, optimal or learned."""
    policy: Policy
    parameters: Mapping[str, Any]
    seconds: float
    """CPU seconds of planning or training."""
    citation: str = ""
    curve: tuple[Mapping[str, float], ...] = ()
    model_cost: float | None = None
    """What the method's own model says that the policy costs, see `Plan`."""


def plan_baseline(name: str, policy: PolicyConfig, problem: Problem, *, seed: int, progress: Progress) -> Competitor:
    """Plan a baseline; a method that takes a seed gets that of the run."""
    assert policy.baseline is not None
    started = time.process_time()
    progress.stage(f"{name}: planning", 1)
    options = dict(policy.options)
    if "seed" in inspect.signature(BASELINES[policy.baseline]).parameters:
        options["seed"] = seed
    plan = make_plan(policy.baseline, problem, **options)
    progress.advance(1, policy.baseline)
    kind = "optimal" if plan.optimal else "baseline"
    seconds = time.process_time() - started
    return Competitor(name, kind, plan.policy, plan.parameters, seconds, plan.citation, model_cost=plan.model_cost)


def plan_start(policy: PolicyConfig, problem: Problem) -> Policy:
    """Plan the baseline that the training of an agent begins from."""
    assert policy.start is not None
    return make_plan(policy.start, problem, **policy.start_options).policy


def train_agent(
    name: str,
    policy: PolicyConfig,
    problem: Problem,
    *,
    seed: int,
    start: Policy | None,
    folder: Path,
    saves: Path,
    progress: Progress,
) -> Competitor:
    """Train an agent; its checkpoint and logs go to `folder`, and what it needs to go on after a break to `saves`."""
    from echelon.agents import METHODS, train

    assert policy.agent is not None
    method = METHODS[policy.agent]
    progress.stage(f"{name}: training {policy.agent}", policy.steps or method.steps)
    training = train(
        problem,
        algorithm=policy.agent,
        seed=seed,
        steps=policy.steps,
        start=start,
        copies=policy.copies,
        decision=policy.decision,
        action=policy.action,
        settings=policy.settings,
        checkpoint=_sound(saves) if can_resume(policy) else None,
        log_folder=folder / "tensorboard",
        on_progress=lambda steps, cost: progress.advance(steps, "" if np.isnan(cost) else f"cost {cost:.4g}"),
    )
    training.policy.save(folder)
    write_json(folder / "training.json", {"settings": dict(training.settings)})
    decision = training.policy.actor.record().get("decision", "orders")
    parameters = {"algorithm": policy.agent, "decision": decision, "steps": training.steps}
    return Competitor(name, "learned", training.policy, parameters, training.seconds, method.citation, training.curve)


def can_resume(policy: PolicyConfig) -> bool:
    """Whether the training of an agent can be saved on the way; one that cannot is begun anew after a break."""
    from echelon.agents.algorithms import ALGORITHMS, is_on_policy

    assert policy.agent is not None
    return policy.agent not in ALGORITHMS or (is_on_policy(policy.agent) and not policy.settings.get("use_sde"))


def _sound(saves: Path) -> Path:
    """The folder of a training's saves; if none of them can be read they are removed, with a warning."""
    from echelon.agents.checkpoint import CheckpointWarning, load_state

    try:
        with warnings.catch_warnings(action="ignore", category=CheckpointWarning):  # it comes when they are used
            load_state(saves)
    except ConfigError as error:
        warnings.warn(f"{error}; the training begins anew", DamageWarning, stacklevel=3)
        shutil.rmtree(saves)
    return saves


UNSUITED = "agent: "
"""How a defect begins that tells that a method is not for a problem, however it is used."""


def agent_defects(policy: PolicyConfig, problem: Problem) -> list[str]:
    """Why an agent cannot be trained on a problem as its policy says, as far as that can be told without any work."""
    from echelon.agents import unsuited

    assert policy.agent is not None
    return unsuited(
        policy.agent,
        problem,
        policy.settings,
        decision=policy.decision,
        copies=policy.copies,
        action=policy.action,
    )


def check_agent(policy: PolicyConfig, problem: Problem) -> None:
    """Raise `MethodError` if an agent is not for a problem, or if Stable-Baselines3 cannot take its settings.

    What Stable-Baselines3 says of settings only a model can tell.
    """
    from echelon.agents.algorithms import ALGORITHMS, all_settings

    if found := [defect for defect in agent_defects(policy, problem) if defect.startswith(UNSUITED)]:
        raise MethodError("; ".join(found))
    if policy.agent in ALGORITHMS and policy.settings:
        from echelon.agents.sb3 import set_up

        settings = all_settings(problem, policy.agent, policy.settings)
        try:
            set_up(
                problem,
                policy.agent,
                seed=0,
                copies=policy.copies,
                decision=policy.decision,
                action=policy.action,
                settings=settings,
            )
        except EchelonError as error:
            raise MethodError(f"settings: {error}") from error
