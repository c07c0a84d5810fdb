"""Deep controlled learning: approximate policy iteration by simulation, for orders that come in choices.

For problems whose costs jump: fixed ordering costs, lots, lost sales in whole units. No gradient of the
simulation is needed. Source: T. Temizöz, C. Imdahl, R. Dijkman, D. Lamghari-Idrissi, W. van Jaarsveld,
Deep controlled learning for inventory control, European Journal of Operational Research, 2025.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from echelon.agents.checkpoint import load_state, save_state
from echelon.agents.controlled_actor import ControlledActor as ControlledActor
from echelon.agents.controlled_actor import Floats
from echelon.agents.controlled_fit import Lessons
from echelon.agents.controlled_learning import Learner
from echelon.agents.controlled_settings import ControlledSettings as ControlledSettings
from echelon.agents.controlled_settings import check_problem
from echelon.agents.controlled_states import simulated_cost
from echelon.agents.learned import LearnedPolicy, training_record
from echelon.agents.training import Training, Writer, half_width, identity_of, require_same_training
from echelon.envs.errors import MethodError
from echelon.envs.policy import Policy
from echelon.envs.problem import Problem

FEWEST_STATES = 20


@dataclass(frozen=True, eq=False)
class Progress:
    """What a training has after some generations, all that it needs to go on."""

    generation: int = 0
    latest: ControlledActor | None = None
    best: ControlledActor | None = None
    """The one to return."""
    trusted: bool = False
    """Whether the best one is as good as the start, so that rollouts follow it."""
    costs: Floats | None = None
    """[B] what the policy that rollouts follow costs in the validation scenarios."""
    lessons: tuple[Lessons, ...] = ()
    """Those of the later half of the generations."""
    curve: tuple[dict[str, float], ...] = ()
    seconds: float = 0.0


def train_controlled(
    problem: Problem,
    *,
    seed: int = 0,
    steps: int = 4_000,
    settings: ControlledSettings | Mapping[str, Any] | None = None,
    start: Policy | None = None,
    checkpoint: str | Path | None = None,
    log_folder: str | Path | None = None,
    on_progress: Callable[[int, float], None] | None = None,
) -> Training:
    """Train a policy by controlled learning, `steps` sampled states in each generation.

    Each generation visits states with the last policy, compares orders there by rollouts of the best policy,
    and trains a new network on the comparisons of the later half of all generations. The best policy is the
    last one that cost no more than the one before it on the validation scenarios. The first is `start`, which must
    order by the stocks alone; left out, it is a tuned order-up-to rule. It is the first point of the curve.

    With a `checkpoint` folder the training is kept after each generation, and goes on from there when it is
    called again with the same arguments; the result is the same, bit for bit, as without a break. PyTorch is
    set to one thread. Raises `MethodError` where the method does not apply; see `check_problem`.
    """
    check_problem(problem)
    if not isinstance(steps, int) or steps < FEWEST_STATES:
        raise MethodError(f"steps must be at least {FEWEST_STATES}, the sampled states of a generation (got {steps})")
    torch.set_num_threads(1)
    chosen = ControlledSettings.of(settings)
    identity = identity_of(problem, seed=seed, steps=steps, settings=chosen.record(), start=start)
    began = time.process_time()
    learner = Learner(problem, chosen, seed, steps, start)
    progress = _resumed(checkpoint, identity, learner)
    if progress is None:
        learner.decider(None)
        progress = _with_point(learner, Progress(seconds=time.process_time() - began))
    while progress.generation < chosen.generations:
        progress = _next_generation(learner, progress)
        if checkpoint is not None:
            _keep(checkpoint, identity, progress)
        if on_progress is not None:
            on_progress(progress.generation * steps, progress.curve[-1]["cost"])
    with Writer(log_folder) as log:
        for point in progress.curve:
            scalars = {name: value for name, value in point.items() if name != "steps"}
            log.write("validation", int(point["steps"]), **scalars)
    assert progress.best is not None
    record = training_record(seed=seed, steps=progress.generation * steps, settings=chosen.record())
    policy = LearnedPolicy(progress.best, "controlled", training=record)
    return Training(policy, progress.curve, progress.generation * steps, progress.seconds, chosen.record())


def _next_generation(learner: Learner, progress: Progress) -> Progress:
    """Improve the latest policy once."""
    began = time.process_time()
    generation = progress.generation
    policy = progress.best if progress.trusted else None
    lessons = (*progress.lessons, learner.lessons(generation, policy, progress.latest))
    first = (generation + 1) // 2  # lessons before the later half are of policies that were too different
    lessons = lessons[first - generation - 1 :]
    actor, regret = learner.improved(generation, Lessons.joined(lessons))
    seconds = progress.seconds + time.process_time() - began
    done = replace(progress, generation=generation + 1, latest=actor, lessons=lessons, seconds=seconds)
    return _with_point(learner, done, regret=regret)


def _with_point(learner: Learner, progress: Progress, **more: float) -> Progress:
    """The progress with the validation of its latest policy.

    The rollouts of the next generation follow it unless it costs more beyond the noise (95 %) in the same
    scenarios. A worse one has come where nothing was learned: it only shows the next generation where that is.
    """
    count = learner.settings.validation_replications
    costs = simulated_cost(learner.problem, learner.decider(progress.latest), replications=count, seed=learner.seed)
    point = {
        "steps": float(progress.generation * learner.states),
        "seconds": progress.seconds,
        "cost": float(costs.mean()),
        "half_width": half_width(costs),
        **more,
    }
    before = [entry["cost"] for entry in progress.curve[1:]]
    progress = replace(progress, curve=(*progress.curve, point))
    if progress.latest is None or progress.costs is None:
        return replace(progress, costs=costs)
    if (costs - progress.costs).mean() <= half_width(costs - progress.costs):
        return replace(progress, best=progress.latest, trusted=True, costs=costs)
    if not progress.trusted and point["cost"] < min(before, default=math.inf):
        return replace(progress, best=progress.latest)
    return progress


def _keep(folder: str | Path, identity: Mapping[str, Any], progress: Progress) -> None:
    """Write a checkpoint."""
    assert progress.latest is not None
    assert progress.best is not None
    tensors: dict[str, Tensor] = {"costs": torch.from_numpy(progress.costs)}
    for name, actor in (("latest", progress.latest), ("best", progress.best)):
        tensors |= {f"{name}.{key}": value for key, value in actor.state_dict().items()}
    for k, lessons in enumerate(progress.lessons):
        tensors |= {f"lessons.{k}.{field.name}": getattr(lessons, field.name) for field in fields(Lessons)}
    data = {
        "identity": identity,
        "generation": progress.generation,
        "trusted": progress.trusted,
        "curve": list(progress.curve),
        "seconds": progress.seconds,
        "lessons": len(progress.lessons),
    }
    save_state(folder, tensors, data)


def _resumed(folder: str | Path | None, identity: Mapping[str, Any], learner: Learner) -> Progress | None:
    """The progress that a checkpoint holds, if there is one. Raises `MethodError` if it is that of another training."""
    kept = None if folder is None else load_state(folder)
    if kept is None:
        return None
    tensors, data = kept
    require_same_training(str(folder), identity, data["identity"])

    def actor(name: str) -> ControlledActor:
        weights = {key.removeprefix(f"{name}."): x for key, x in tensors.items() if key.startswith(f"{name}.")}
        made = learner.new_actor(0)
        made.load_state_dict(weights)
        return made

    lessons = tuple(
        Lessons(*(tensors[f"lessons.{k}.{field.name}"] for field in fields(Lessons))) for k in range(data["lessons"])
    )
    return Progress(
        generation=data["generation"],
        latest=actor("latest"),
        best=actor("best"),
        trusted=data["trusted"],
        costs=tensors["costs"].numpy(),
        lessons=lessons,
        curve=tuple(data["curve"]),
        seconds=data["seconds"],
    )
