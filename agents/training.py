"""What the methods of training have in common: what they return, what they log, and how they are told apart."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from echelon.agents.learned import LearnedPolicy
from echelon.envs.errors import MethodError
from echelon.envs.policy import Policy
from echelon.envs.problem import Problem

CONFIDENCE = 0.95


@dataclass(frozen=True, eq=False)
class Training:
    """A trained policy and how its cost fell."""

    policy: LearnedPolicy
    curve: tuple[dict[str, float], ...]
    """Cost and half width (95 %) on the validation scenarios, after so many steps and CPU seconds."""
    steps: int
    """Length of the training in the unit of its method: periods (Stable-Baselines3), updates (pathwise), sampled
    states (controlled learning)."""
    seconds: float
    """CPU seconds of training, validation left out."""
    settings: Mapping[str, Any]
    """The settings, the defaults included."""


def half_width(costs: NDArray[np.float64]) -> float:
    """Half the width of Student's 95 % interval of the mean of independent costs [B]; 0 for a single one."""
    from scipy.special import stdtrit

    count = len(costs)
    if count < 2:
        return 0.0
    quantile = float(stdtrit(count - 1, (1 + CONFIDENCE) / 2))
    return quantile * float(costs.std(ddof=1)) / math.sqrt(count)


def identity_of(
    problem: Problem, *, seed: int, steps: int, settings: Mapping[str, Any], start: Policy | None
) -> dict[str, Any]:
    """What tells a training from all others, as plain data; of the policy that it starts from, whether there is one."""
    return {
        "network": problem.network.model_dump(mode="json"),
        "problem": [problem.periods, problem.warm_up, problem.discount],
        "seed": seed,
        "steps": steps,
        "settings": dict(settings),
        "start": "given" if start else "none",
    }


def require_same_training(folder: str, identity: Mapping[str, Any], kept: Mapping[str, Any]) -> None:
    """Raise `MethodError` if a folder holds the checkpoint of another training."""
    if other := [key for key, value in identity.items() if kept.get(key) != value]:
        raise MethodError(f"{folder} holds a training with other {', '.join(other)}; give another checkpoint folder")


class Writer:
    """Scalars for TensorBoard, nowhere without a folder."""

    def __init__(self, folder: str | Path | None) -> None:
        self._writer: Any = None
        if folder is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(folder))

    def write(self, group: str, step: int, **scalars: float) -> None:
        """Write scalars of a step as `group/name`."""
        if self._writer is not None:
            for name, value in scalars.items():
                self._writer.add_scalar(f"{group}/{name}", value, step)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._writer is not None:
            self._writer.close()
