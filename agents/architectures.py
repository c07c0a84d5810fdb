"""Networks that order: from what is seen of a state to what is said of every link."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, fields
from itertools import pairwise
from typing import Any, Literal, Protocol, Self, get_args

import torch
from torch import Tensor, nn

from echelon.agents.graph_body import GraphBody, quiet
from echelon.envs.codec import Codec
from echelon.envs.errors import MethodError, nearest

BodyKind = Literal["mlp", "shared", "graph"]
ACTIVATIONS: Mapping[str, type[nn.Module]] = {
    kind.__name__: kind for kind in (nn.SiLU, nn.Hardswish, nn.ReLU, nn.ELU, nn.Tanh)
}


@dataclass(frozen=True)
class Architecture:
    """The shape of an actor, as plain data. Raises `MethodError` for what no actor has."""

    body: BodyKind = "mlp"
    hidden: tuple[int, ...] = (32, 32)
    """Units of the hidden layers."""
    activation: str = "SiLU"

    def __post_init__(self) -> None:
        for name, known in (("body", get_args(BodyKind)), ("activation", tuple(ACTIVATIONS))):
            value = getattr(self, name)
            if value not in known:
                raise MethodError(f"unknown {name} {value!r}{nearest(str(value), known)}")
        object.__setattr__(self, "hidden", tuple(self.hidden))
        if not self.hidden or any(type(n) is not int or n < 1 for n in self.hidden):
            raise MethodError(f"hidden must be whole numbers of at least 1 (got {list(self.hidden)!r})")

    def record(self) -> dict[str, Any]:
        """The architecture as plain data."""
        return asdict(self) | {"hidden": list(self.hidden)}

    @classmethod
    def restored(cls, record: Mapping[str, Any]) -> Self:
        """The architecture of a record. Raises `MethodError` for keys that it does not have."""
        known = [field.name for field in fields(cls)]
        for key in record:
            if key not in known:
                raise MethodError(f"unknown key {key!r} of an architecture{nearest(str(key), known)}")
        return cls(**record)


class BodyModule(Protocol):
    """What stands between observations and what an actor says."""

    def __call__(self, observation: Tensor) -> Tensor:
        """[B, E] numbers of order 1 from observations [B, D]."""
        ...

    def prepared(self) -> Callable[[Tensor], Tensor]:
        """The same, with what no observation changes worked out once; good for one backward pass."""
        ...

    def standardise(self, mean: Tensor, sd: Tensor) -> None:
        """Count inputs from a mean [D] and in standard deviations [D] from now on, with unchanged outputs."""
        ...


class Mlp(nn.Module):
    """A multi-layer perceptron on the whole observation, for the orders of all links together."""

    centre: Tensor
    scale: Tensor

    def __init__(self, codec: Codec, architecture: Architecture) -> None:
        super().__init__()
        width = int(codec.observation_space.shape[0])
        sizes = [width, *architecture.hidden]
        layers: list[nn.Module] = []
        for before, after in pairwise(sizes):
            layers += [nn.Linear(before, after), ACTIVATIONS[architecture.activation]()]
        self.layers = nn.Sequential(*layers, quiet(nn.Linear(sizes[-1], len(codec.network.links))))
        self.register_buffer("centre", torch.ones(width))
        self.register_buffer("scale", torch.ones(width))

    def forward(self, observation: Tensor) -> Tensor:
        """[B, E]"""
        said: Tensor = self.layers((observation - self.centre) * self.scale)
        return said

    def prepared(self) -> Self:
        """See `BodyModule`."""
        return self

    def standardise(self, mean: Tensor, sd: Tensor) -> None:
        """See `BodyModule`."""
        first = self.layers[0]
        assert isinstance(first, nn.Linear)
        with torch.no_grad():
            slope = first.weight * self.scale
            first.bias.add_(slope @ (mean - self.centre))
            first.weight.copy_(slope * sd)
            self.centre.copy_(mean)
            self.scale.copy_(1 / sd)


def make_body(codec: Codec, architecture: Architecture) -> Mlp | GraphBody:
    """The body of an actor, with random weights."""
    if architecture.body == "mlp":
        return Mlp(codec, architecture)
    activation = ACTIVATIONS[architecture.activation]()
    return GraphBody(codec, architecture.hidden, activation, messages=architecture.body == "graph")
