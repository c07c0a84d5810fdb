"""Warm start by behaviour cloning: a network learns to order as any policy does, before it learns to do better.

`clone` is independent of the kind of network: a `Student` says what the network sees, what it is told of the
teacher's orders, and how far it is from them. `agents.sb3_warm_start` has those of Stable-Baselines3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from echelon.envs.dynamics import initial_state
from echelon.envs.errors import MethodError
from echelon.envs.policy import Policy
from echelon.envs.problem import Problem
from echelon.envs.scenarios import sample
from echelon.envs.simulate import checked_orders, stepper
from echelon.envs.state import State

Floats = NDArray[np.float64]
BATCH = 512
"""Samples of a step of the optimiser."""
TEACHER_SHARE = 0.5
"""Share of the copies that the teacher leads in the second round; it is the same share of that in each later one."""


@dataclass(frozen=True)
class Student:
    """What cloning needs to know of a network."""

    parameters: tuple[nn.Parameter, ...]
    """What is learned."""
    observe: Callable[[State], NDArray[np.float32]]
    """[B, D] what it sees of a state."""
    target: Callable[[Floats, State], NDArray[np.float64]]
    """[B, K] what the loss is told of the teacher's orders [B, E]."""
    loss: Callable[[Tensor, Tensor], Tensor]
    """[B] how far the outputs for observations [B, D] are from targets [B, K]."""
    orders: Callable[[State], Floats]
    """[B, E] what it would order itself, as it is now."""


@dataclass(frozen=True)
class Cloning:
    """How a clone came to be."""

    samples: int
    """States that the teacher was asked about."""
    losses: tuple[float, ...]
    """Mean loss of the last epoch of every round."""
    agreement: float
    """Share of orders in which student and teacher agreed in the last round, to half a unit."""


def clone(
    teacher: Policy,
    problem: Problem,
    student: Student,
    *,
    seed: int = 0,
    rounds: int = 6,
    replications: int = 128,
    periods: int = 100,
    epochs: int = 10,
    learning_rate: float = 3e-3,
) -> Cloning:
    """Train a student in place to order as a teacher does.

    In the first round the teacher leads all `replications` for `periods` periods. In later rounds the student leads
    more and more of them, so that it sees the states that its own mistakes lead to; the teacher is asked in all of
    them (dataset aggregation: Ross, Gordon and Bagnell, AISTATS 2011). After every round the student is trained on
    all samples so far.
    """
    for name, value in (("rounds", rounds), ("replications", replications), ("periods", periods), ("epochs", epochs)):
        if value < 1:
            raise MethodError(f"{name} must be at least 1 (got {value})")
    rng = np.random.default_rng(np.random.SeedSequence((seed, 2)))
    optimiser = torch.optim.Adam(student.parameters, lr=learning_rate)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, rounds * epochs, eta_min=0.01 * learning_rate)
    seen: list[Tensor] = []
    told: list[Tensor] = []
    losses: list[float] = []
    agreement = 0.0
    for number in range(rounds):
        led = rng.random(replications) < TEACHER_SHARE**number
        some = range(number * replications, (number + 1) * replications)
        walk = _walk(teacher, problem, student, led, replications=some, periods=periods, seed=seed)
        seen.append(walk.seen)
        told.append(walk.told)
        agreement = walk.agreement
        observations, targets = torch.cat(seen), torch.cat(told)
        for _ in range(epochs):
            loss = _epoch(student, observations, targets, optimiser, rng)
            schedule.step()
        losses.append(loss)
    return Cloning(len(observations), tuple(losses), agreement)


@dataclass(frozen=True, eq=False)
class _Walk:
    seen: Tensor
    told: Tensor
    agreement: float


def _walk(
    teacher: Policy,
    problem: Problem,
    student: Student,
    led: NDArray[np.bool_],
    *,
    replications: range,
    periods: int,
    seed: int,
) -> _Walk:
    """Samples of one simulation, in which the teacher leads the replications `led` [B] and the student the others."""
    scenarios = sample(problem.network, periods=periods, replications=replications, seed=seed, stream="clone")
    state, step = initial_state(problem.network, len(replications)), stepper("compiled")
    seen, told, agreed = [], [], []
    for t in range(periods):
        wanted = checked_orders(teacher(state), state)
        own = checked_orders(student.orders(state), state)
        seen.append(np.asarray(student.observe(state), dtype=np.float32))
        told.append(np.asarray(student.target(wanted, state), dtype=np.float32))
        agreed.append(np.mean(np.abs(wanted - own) <= 0.5))
        state, _ = step(state, np.where(led[:, None], wanted, own), scenarios.draw(t))
    return _Walk(torch.as_tensor(np.concatenate(seen)), torch.as_tensor(np.concatenate(told)), float(np.mean(agreed)))


def _epoch(
    student: Student, seen: Tensor, told: Tensor, optimiser: torch.optim.Optimizer, rng: np.random.Generator
) -> float:
    """One pass over the samples in random order; returns their mean loss."""
    total = 0.0
    order = torch.as_tensor(rng.permutation(len(seen)))
    for first in range(0, len(order), BATCH):
        some = order[first : first + BATCH]
        loss = student.loss(seen[some], told[some])
        optimiser.zero_grad()
        loss.mean().backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(student.parameters, 1.0)
        optimiser.step()
        total += float(loss.detach().sum())
    return total / len(seen)
