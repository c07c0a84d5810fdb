"""A network of Stable-Baselines3 as an actor."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from stable_baselines3.common.policies import BasePolicy
from torch import Tensor

from echelon.agents.algorithms import ALGORITHMS
from echelon.envs.codec import Codec
from echelon.envs.defects import show
from echelon.envs.errors import ConfigError, MethodError, nearest
from echelon.envs.network import Network
from echelon.envs.state import State

ACTIVATIONS: dict[str, type[torch.nn.Module]] = {
    kind.__name__: kind for kind in (torch.nn.SiLU, torch.nn.Tanh, torch.nn.ReLU, torch.nn.ELU, torch.nn.GELU)
}
"""The activation functions that a checkpoint can name."""
_NOT_SHAPE = frozenset(
    {
        "observation_space",
        "action_space",
        "lr_schedule",
        "optimizer_class",
        "optimizer_kwargs",
        "features_extractor_class",
        "features_extractor_kwargs",
    }
)
"""Arguments of a policy that come from the codec, or matter only while it is trained."""


@dataclass(frozen=True, eq=False)
class Sb3Actor:
    """A policy of Stable-Baselines3 between the observations and the orders of a codec."""

    kind: ClassVar[str] = "sb3"

    codec: Codec
    policy: BasePolicy
    algorithm: str
    """The name of its algorithm in `ALGORITHMS`."""

    @property
    def network(self) -> Network:
        """The supply network that it orders for."""
        return self.codec.network

    def observe(self, state: State) -> NDArray[np.float32]:
        """[B, D] the observations of the codec."""
        return self.codec.observe(state)

    def orders(self, state: State) -> NDArray[np.float64]:
        """Orders [B, E] of the deterministic actions."""
        self.policy.set_training_mode(False)
        with torch.no_grad():
            observation = torch.as_tensor(self.observe(state))
            action = self.policy._predict(observation, deterministic=True).cpu().numpy()
        return self.codec.orders(action, state)

    def record(self) -> dict[str, Any]:
        """The algorithm, what its actions mean, and the shape of the network."""
        return {
            "algorithm": self.algorithm,
            "decision": self.codec.decision,
            "action": self.codec.action,
            "architecture": architecture_of(self.policy),
        }

    def state_dict(self) -> dict[str, Any]:
        """The weights by name, the critic's included."""
        return dict(self.policy.state_dict())

    @classmethod
    def restored(cls, network: Network, record: Mapping[str, Any], weights: Mapping[str, Tensor]) -> Self:
        """The actor with this record and these weights."""
        algorithm = record["algorithm"]
        if algorithm not in ALGORITHMS:
            raise ConfigError([f"unknown algorithm {algorithm!r}{nearest(str(algorithm), ALGORITHMS)}"])
        codec = Codec(network, record["decision"], record["action"])
        architecture = dict(record["architecture"])
        architecture["activation_fn"] = ACTIVATIONS[architecture["activation_fn"]]
        _require_modest(architecture, weights)
        kind = ALGORITHMS[algorithm].policy_aliases["MlpPolicy"]
        policy = kind(codec.observation_space, codec.action_space, lambda _: 0.0, **architecture)
        policy.load_state_dict(dict(weights))
        return cls(codec, policy, algorithm)


def _require_modest(architecture: Mapping[str, Any], weights: Mapping[str, Tensor]) -> None:
    """Refuse layers that the weights cannot fill, before memory is taken for them."""
    given = architecture.get("net_arch") or []
    stacks = list(given.values()) if isinstance(given, Mapping) else [given]
    numbers = sum(value.numel() for value in weights.values())
    for stack in stacks:
        products = [a * b for a, b in pairwise([1, *stack, 1])]
        if not all(isinstance(width, int) for width in stack) or max(products, default=0) > numbers:
            raise ConfigError([f"net_arch must have the sizes of the weights (got {show(given)})"])
    if len(weights) < max([len(stack) for stack in stacks] + [architecture.get("n_critics", 0)]):
        raise ConfigError([f"net_arch must have no more layers than there are weights (got {show(given)})"])


def architecture_of(policy: BasePolicy) -> dict[str, Any]:
    """The arguments that shape the network, as plain data. Raises `MethodError` if they are not."""
    arguments = dict(policy._get_constructor_parameters())
    activation = arguments.pop("activation_fn", torch.nn.Tanh)
    if activation.__name__ not in ACTIVATIONS:
        raise MethodError(f"activation_fn must be one of {', '.join(ACTIVATIONS)} (got {activation.__name__})")
    plain = {name: value for name, value in arguments.items() if name not in _NOT_SHAPE}
    try:
        json.dumps(plain)
    except TypeError as error:
        raise MethodError(f"policy_kwargs must be plain data, so that a checkpoint can hold them: {error}") from error
    return {**plain, "activation_fn": activation.__name__}
