"""What the methods of training have in common: what they return, what they log, and how they are told apart."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Mapping
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


class TrackerWarning(UserWarning):
    """The log of a training cannot be written, and the training goes on without it."""


class Writer:
    """Scalars for TensorBoard, nowhere without a folder; one that fails is given up with a warning, once."""

    def __init__(self, folder: str | Path | None) -> None:
        self._writer: Any = None
        if folder is not None:
            self._attempt(self._open, str(folder))

    def write(self, group: str, step: int, **scalars: float) -> None:
        """Write scalars of a step as `group/name`."""
        self.write_all({f"{group}/{name}": value for name, value in scalars.items()}, step)

    def write_all(self, scalars: Mapping[str, float], step: int) -> None:
        """Write scalars of a step by their names."""
        for name, value in scalars.items():
            if self._writer is not None:
                self._attempt(self._writer.add_scalar, name, value, step)

    def flush(self) -> None:
        """Give the file what has been written so far."""
        if self._writer is not None:
            self._attempt(self._writer.flush)

    def close(self) -> None:
        """Write what is left and close the file."""
        if self._writer is not None:
            self._attempt(self._writer.close)

    def _open(self, folder: str) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self._writer = SummaryWriter(folder)

    def _attempt(self, act: Callable[..., object], *arguments: Any) -> None:
        """Do something with the log; no failure of it may cost a training."""
        try:
            act(*arguments)
        except Exception as error:
            self._writer = None
            told = f"{type(error).__name__}: {error}"
            warnings.warn(f"the training goes on without a log for TensorBoard: {told}", TrackerWarning, stacklevel=4)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
