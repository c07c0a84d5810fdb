"""Pathwise policy gradients: a policy is trained by the slope of simulated costs, through the dynamics themselves.

The method is stochastic gradient descent on the average cost of a policy in a differentiable simulator (infinitesimal
perturbation analysis: Glasserman and Tayur 1995; with neural networks, hindsight differentiable policy optimization:
Alvo, Russo and Kanoria 2023). An update takes a batch of states out of a pool, simulates the policy for `unroll`
periods and then, with its parameters held, for `tail` more, in which late orders show what they cost, and follows the
slope of the mean cost. The states at the end of the unroll go back into the pool, so that it comes to hold what the
policy itself visits, and no period is spent on warming up.

Orders are continuous while training and are rounded when the policy is used. Demand is sampled whole, and what it costs
to meet it is charged in expectation (`PeriodCost`).
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from echelon.agents.actors import PathwiseActor
from echelon.agents.checkpoint import load_state, save_state
from echelon.agents.learned import LearnedPolicy, training_record
from echelon.agents.pathwise_learner import Learner, Update
from echelon.agents.pathwise_settings import PathwiseSettings, check_problem
from echelon.agents.training import Training, Writer, half_width, identity_of, require_same_training
from echelon.agents.warm_start import clone
from echelon.envs.errors import MethodError
from echelon.envs.policy import Policy
from echelon.envs.problem import Problem
from echelon.envs.scenarios import Scenarios, sample
from echelon.envs.simulate import simulate

DIVERGED = 0.2
"""Costs that are higher than the best so far by more than this share of them send the training back there."""
NEAR_ZERO = 0.1
"""Share of `Codec.cost_scale` that counts as a cost where the cost itself is nearly 0."""
MOST_RESTARTS = 3
LOG_EVERY = 10
"""Updates from one line of the log to the next."""


@dataclass(eq=False)
class Progress:
    """What a training has found so far, beside what its learner holds."""

    curve: list[dict[str, float]] = field(default_factory=list)
    best: dict[str, Tensor] | None = None
    """The weights of the average that cost least."""
    costs: NDArray[np.float64] | None = None
    """[B] what it costs on each validation scenario."""
    stale: int = 0
    """Evaluations in a row that were no better, beyond the interval of the paired difference."""
    restarts: int = 0
    seconds: float = 0.0
    """CPU seconds of training."""


def train_pathwise(
    problem: Problem,
    *,
    seed: int = 0,
    steps: int = 1_500,
    settings: PathwiseSettings | Mapping[str, Any] | None = None,
    start: Policy | None = None,
    actor: PathwiseActor | None = None,
    evaluations: int = 8,
    validation_replications: int = 200,
    checkpoint: str | Path | None = None,
    log_folder: str | Path | None = None,
    on_progress: Callable[[int, float], None] | None = None,
) -> Training:
    """Train a policy by `steps` updates: the actor that is given, or a new one as the settings say.

    With a `start` the network first learns to order as that policy does. The policy is evaluated on the validation
    scenarios `evaluations` times; returned is the last one, unless an earlier one cost less beyond the interval (95 %)
    of the paired difference. A training that diverges goes back to its best weights, at half the learning rate.
    `on_progress(steps, cost)` hears of it, and `log_folder` is for TensorBoard.

    With a `checkpoint` folder the training is kept at every evaluation, and goes on from there when it is called again
    with the same arguments; the result is the same, bit for bit, as without a break. PyTorch is set to one thread.
    Raises `MethodError` for a problem that the method is not for (`check_problem`).
    """
    check_problem(problem)
    for name, value, least in (("steps", steps, 1), ("evaluations", evaluations, 1), ("seed", seed, 0)):
        if type(value) is not int or value < least:
            raise MethodError(f"{name} must be a whole number of at least {least} (got {value!r})")
    torch.set_num_threads(1)
    chosen = PathwiseSettings.of(settings)
    watched = {"evaluations": evaluations, "validation_replications": validation_replications}
    identity = identity_of(problem, seed=seed, steps=steps, settings=chosen.record(), start=start) | watched
    validation = sample(
        problem.network,
        periods=problem.periods,
        replications=validation_replications,
        seed=seed,
        stream="validation",
    )
    began = time.process_time()
    learner = Learner(problem, chosen, seed=seed, steps=steps, actor=actor)
    progress = _resumed(checkpoint, identity, learner)
    if progress is None:
        if start is not None:
            clone(start, problem, learner.student(), seed=seed)
            learner.begin_from_clone()
        progress = Progress(seconds=time.process_time() - began)
    with Writer(log_folder) as log:
        while learner.updates < steps and not _has_stalled(progress, chosen):
            began = time.process_time()
            _train_until(_next_evaluation(learner.updates, steps, evaluations), learner, progress, log, on_progress)
            progress.seconds += time.process_time() - began
            _evaluate(learner, progress, validation, log)
            if checkpoint is not None:
                _keep(checkpoint, identity, learner, progress)
    return _finished(learner, progress, seed=seed, settings=chosen)


def _next_evaluation(done: int, steps: int, evaluations: int) -> int:
    """The number of updates after which the policy is evaluated next."""
    return min(steps, math.ceil((math.floor(done * evaluations / steps) + 1) * steps / evaluations))


def _has_stalled(progress: Progress, settings: PathwiseSettings) -> bool:
    return settings.patience is not None and progress.stale >= settings.patience


def _train_until(
    update: int, learner: Learner, progress: Progress, log: Writer, on_progress: Callable[[int, float], None] | None
) -> None:
    """Train up to an update; where the numbers stop being finite, go back to the best weights."""
    while learner.updates < update:
        made = learner.update()
        if not (math.isfinite(made.cost) and math.isfinite(made.gradient_norm)):
            _go_back(learner, progress, made)
        if learner.updates % LOG_EVERY == 0:
            log.write("train", learner.updates, cost=made.cost, gradient_norm=made.gradient_norm)
        if on_progress is not None:
            on_progress(learner.updates, made.cost)


def _evaluate(learner: Learner, progress: Progress, validation: Scenarios, log: Writer) -> None:
    """Simulate the average of the weights on the validation scenarios, and add a point to the curve."""
    outcome = simulate(learner.problem, learner.average.orders, validation)
    mean, width = float(outcome.cost.mean()), half_width(outcome.cost)
    point = {"cost": mean, "half_width": width}
    progress.curve.append({"steps": float(learner.updates), "seconds": progress.seconds, **point})
    reference = learner.problem.reference
    if reference is not None and reference.value > 0:
        point["gap_percent"] = 100 * (mean / reference.value - 1)
    log.write("validation", learner.updates, service=float(outcome.fill_rate.mean()), **point)
    if progress.costs is not None:
        before = float(progress.costs.mean())
        if mean > before + DIVERGED * max(abs(before), NEAR_ZERO * learner.codec.cost_scale):
            _go_back(learner, progress, None)
            return
        difference = outcome.cost - progress.costs
        better = difference.mean() < -half_width(difference)
        progress.stale = 0 if better else progress.stale + 1
        if difference.mean() > half_width(difference):
            return
    progress.costs = outcome.cost
    progress.best = {name: value.clone() for name, value in learner.average.state_dict().items()}


def _go_back(learner: Learner, progress: Progress, made: Update | None) -> None:
    """Go on from the best weights so far at half the learning rate. Raises `MethodError` if that has been in vain."""
    progress.restarts += 1
    if progress.restarts > MOST_RESTARTS or progress.best is None:
        told = (
            "its costs rise" if made is None else f"cost {made.cost:g}, length of the gradient {made.gradient_norm:g}"
        )
        raise MethodError(
            f"pathwise training diverges after {learner.updates} updates ({told}); a smaller learning_rate or clip "
            f"prevents that (got {learner.settings.learning_rate:g} and {learner.settings.clip:g})"
        )
    learner.go_back(progress.best)


def _finished(learner: Learner, progress: Progress, *, seed: int, settings: PathwiseSettings) -> Training:
    assert progress.best is not None
    learner.average.load_state_dict(progress.best)
    record = training_record(seed=seed, steps=learner.updates, settings=settings.record())
    policy = LearnedPolicy(learner.average.to("cpu"), "pathwise", training=record)
    return Training(policy, tuple(progress.curve), learner.updates, progress.seconds, settings.record())


def _keep(folder: str | Path, identity: Mapping[str, Any], learner: Learner, progress: Progress) -> None:
    """Write a checkpoint."""
    assert progress.best is not None
    tensors = learner.tensors() | {f"best.{name}": value for name, value in progress.best.items()}
    tensors["costs"] = torch.from_numpy(progress.costs)
    found = {name: getattr(progress, name) for name in ("curve", "stale", "restarts", "seconds")}
    save_state(folder, tensors, {"identity": identity, "learner": learner.counts(), "found": found})


def _resumed(folder: str | Path | None, identity: Mapping[str, Any], learner: Learner) -> Progress | None:
    """The progress that a checkpoint holds, if there is one. Raises `MethodError` if it is that of another training."""
    kept = None if folder is None else load_state(folder)
    if kept is None:
        return None
    tensors, data = kept
    require_same_training(str(folder), identity, data["identity"])
    learner.restore(tensors, data["learner"])
    best = {name.removeprefix("best."): value for name, value in tensors.items() if name.startswith("best.")}
    return Progress(best=best, costs=tensors["costs"].numpy(), **data["found"])
