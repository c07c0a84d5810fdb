"""The classifier of controlled learning: what comparisons teach about the orders, and the network that learns it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from echelon.agents.controlled_actor import ControlledActor, Ints
from echelon.agents.controlled_halving import Comparison
from echelon.agents.controlled_settings import ControlledSettings
from echelon.envs.errors import MethodError

HELD_OUT = 0.1
"""The share of the states that the network is not trained on, for the early stop."""


@dataclass(frozen=True, eq=False)
class Lessons:
    """What is to be learned in S states."""

    inputs: Tensor
    """[S, I] what the network sees."""
    links: Tensor
    """[S] the link that decides."""
    targets: Tensor
    """[S, A] how likely each choice is to be the best one; 0 for those that were not compared."""
    regrets: Tensor
    """[S, A] estimated cost above that of the best choice; for those that were not compared, that of the worst one."""

    def __getitem__(self, chosen: Tensor) -> Lessons:
        return Lessons(*(getattr(self, field.name)[chosen] for field in fields(self)))

    @classmethod
    def joined(cls, parts: Sequence[Lessons]) -> Lessons:
        """The lessons of several generations."""
        return cls(*(torch.cat([getattr(part, field.name) for part in parts]) for field in fields(cls)))


def lessons_of(inputs: Tensor, links: Ints, arms: Ints, found: Comparison, choices: int) -> Lessons:
    """The lessons of a comparison of some choices, `arms` [S, K] out of A, in ascending order.

    A target falls exponentially with the estimated regret, e^(-regret / error), where the error is the median of
    the standard errors in the state, about that of the choices which were given up first: choices that are
    as good as equal within the noise share the target, and what is clear stays clear. (The largest error is
    often that of an order far away, and says nothing about those that are close.)

    Where a link has fewer choices than K, one of them is repeated at the end of its row; repetitions are given up
    before it, and know less, so that they do not count.
    """
    counts = np.diff(np.maximum.accumulate(arms, axis=1), axis=1, prepend=-1) > 0
    cost, error = (np.where(counts, each, np.nan) for each in (found.cost, found.error))
    regret = cost - np.nanmin(cost, axis=1, keepdims=True)
    likely = np.exp(-regret / np.maximum(np.nanmedian(error, axis=1, keepdims=True), 1e-12))
    state, arm = np.nonzero(counts)
    targets, regrets = np.zeros((len(arms), choices)), np.repeat(np.nanmax(regret, axis=1)[:, None], choices, axis=1)
    targets[state, arms[state, arm]] = likely[state, arm]
    regrets[state, arms[state, arm]] = regret[state, arm]
    targets /= targets.sum(axis=1, keepdims=True)
    return Lessons(
        inputs,
        torch.from_numpy(np.asarray(links)),
        torch.from_numpy(targets.astype(np.float32)),
        torch.from_numpy(regrets.astype(np.float32)),
    )


def fit(actor: ControlledActor, lessons: Lessons, *, settings: ControlledSettings, seed: int) -> float:
    """Train the network on the lessons, in place; returns the mean regret of its choices in the held-out states.

    Cross-entropy to the targets, Adam, a step that falls with the cosine to 0. The weights are kept that
    choose best in the held-out states, and training stops when `patience` epochs have brought no better ones.
    """
    torch.set_flush_denormal(True)  # the moments of units that have died shrink to numbers that take twice the time
    try:
        return _fit(actor, lessons, settings, torch.Generator().manual_seed(seed))
    finally:
        torch.set_flush_denormal(False)


def _fit(actor: ControlledActor, lessons: Lessons, settings: ControlledSettings, generator: torch.Generator) -> float:
    order = torch.randperm(len(lessons.inputs), generator=generator)
    held = max(1, int(HELD_OUT * len(order)))
    test, train = lessons[order[:held]], lessons[order[held:]]
    batches = max(1, len(train.inputs) // settings.batch_size)
    optimiser = torch.optim.Adam(actor.parameters(), lr=settings.learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, settings.epochs * batches)
    best, weights, since = float("inf"), actor.state_dict(), 0
    for epoch in range(settings.epochs):
        for part in torch.randperm(len(train.inputs), generator=generator).chunk(batches):
            optimiser.zero_grad()
            loss = _cross_entropy(actor, train[part])
            if not loss.isfinite():
                raise MethodError(
                    f"the loss of controlled learning is not finite in epoch {epoch} (got {loss.item()}); "
                    f"a smaller learning_rate prevents that (got {settings.learning_rate:g})"
                )
            loss.backward()  # type: ignore[no-untyped-call]
            optimiser.step()
            schedule.step()
        regret = _regret(actor, test)
        since += 1
        if regret < best:
            best, weights, since = regret, {name: value.clone() for name, value in actor.state_dict().items()}, 0
        if since >= settings.patience:
            break
    actor.load_state_dict(weights)
    return best


def _cross_entropy(actor: ControlledActor, lessons: Lessons) -> Tensor:
    likely = torch.log_softmax(actor(lessons.inputs, lessons.links), 1)
    return -(lessons.targets * likely).sum(1).mean()


def _regret(actor: ControlledActor, lessons: Lessons) -> float:
    with torch.no_grad():
        chosen = actor(lessons.inputs, lessons.links).argmax(1, keepdim=True)
        return float(lessons.regrets.gather(1, chosen).mean())
