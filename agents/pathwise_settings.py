"""The settings of pathwise gradients, and the problems that they are for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

import torch
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from echelon.agents.architectures import Architecture, BodyKind
from echelon.envs.codec import Codec, Decision
from echelon.envs.defects import describe_all
from echelon.envs.errors import MethodError
from echelon.envs.network import Link
from echelon.envs.problem import Problem

WIDE = 64
"""Observed numbers beyond which the largest batch is halved each time that they double."""

Whole = Annotated[int, Field(ge=1, strict=True)]
Share = Annotated[float, Field(ge=0, lt=1)]


class PathwiseSettings(BaseModel):
    """How a policy is trained by pathwise gradients."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    decision: Decision | None = None
    """What the network says of each link, its order or an echelon level; None leaves it to `default_decision`."""
    body: BodyKind = "mlp"
    hidden: tuple[Whole, ...] = Field((32, 32), min_length=1)
    """Units of the hidden layers."""
    activation: Literal["SiLU", "Hardswish", "ReLU", "ELU", "Tanh"] = "SiLU"
    unroll: Whole = 24
    """Periods in which the policy learns; with a calendar it is raised to whole cycles."""
    tail: Annotated[int, Field(ge=0, strict=True)] | None = None
    """Periods after them in which costs are counted and parameters held; None is the echelon cover plus 9."""
    batch: tuple[Whole, Whole] | None = None
    """States in the first and in the last updates; it doubles in between. None is 256 and 2,048, less if they are
    wide."""
    learning_rate: float = Field(0.02, gt=0)
    last_rate: float = Field(0.005, gt=0, le=1)
    """Share of the learning rate that is left at the end of its fall along a cosine."""
    averaging: Share = 0.99
    """Weight of the past in the moving average of the weights, which is what is used."""
    clip: float = Field(1.0, gt=0)
    """The longest gradient, of costs in units of `Codec.cost_scale`."""
    patience: Whole | None = None
    """Evaluations without an improvement beyond the interval of the paired difference after which training stops."""
    device: str = "cpu"
    """Where the simulations run, in the words of PyTorch: `cpu`, `cuda`, `cuda:1`."""

    @field_validator("device")
    @classmethod
    def _is_there(cls, device: str) -> str:
        try:
            torch.empty(0, device=torch.device(device))
        except (RuntimeError, AssertionError) as error:
            raise ValueError(f"must be a device that PyTorch has here: {str(error).splitlines()[0]}") from error
        return device

    @field_validator("batch")
    @classmethod
    def _grows(cls, batch: tuple[int, int] | None) -> tuple[int, int] | None:
        if batch is not None and batch[1] < batch[0]:
            raise ValueError("must not fall")
        return batch

    @classmethod
    def of(cls, given: PathwiseSettings | Mapping[str, Any] | None) -> Self:
        """Settings from some of their values, the defaults elsewhere. Raises `MethodError` that names every defect."""
        values = given.model_dump() if isinstance(given, PathwiseSettings) else dict(given or {})
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            raise MethodError("\n".join(line for _, line in describe_all(error, cls))) from error

    def record(self) -> dict[str, Any]:
        """Plain data."""
        return self.model_dump(mode="json")

    @property
    def architecture(self) -> Architecture:
        """The shape of the actor."""
        return Architecture(self.body, self.hidden, self.activation)

    def batches(self, codec: Codec) -> tuple[int, ...]:
        """The sizes of the batch, one after the other."""
        first, last = self.batch or _batch_for(codec)
        sizes = [first]
        while sizes[-1] * 2 <= last:
            sizes.append(sizes[-1] * 2)
        return tuple(sizes)


def _batch_for(codec: Codec) -> tuple[int, int]:
    """The largest batch that still fits the caches and the memory of a laptop."""
    columns, last = len(codec.sights[0]), 2048
    while columns > WIDE and last > 256:
        columns, last = columns // 2, last // 2
    return max(last // 8, 64), last


def check_problem(problem: Problem) -> None:
    """Raise `MethodError` for a problem whose costs have no useful slope, or that is not simulated as it is drawn."""
    found = [f"{word} on {link.label}" for link in problem.network.links for word in _steps(link)]
    if found:
        raise MethodError(
            f"pathwise gradients need costs without steps; use the algorithm 'controlled' (got {'; '.join(found)})"
        )


def _steps(link: Link) -> list[str]:
    """What makes the costs of a link jump."""
    rates = {"fixed_cost": link.fixed_cost, "min_order": link.min_order, "lot_size": link.lot_size or 0.0}
    return [f"{name} {value:g}" for name, value in rates.items() if value > (name == "lot_size")]
