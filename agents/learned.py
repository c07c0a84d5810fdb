"""A trained network as a `Policy`: it orders, knows where it was trained, and is saved and loaded as data."""

from __future__ import annotations

import platform
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import metadata
from pathlib import Path
from textwrap import shorten
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from echelon.agents.actor import Actor, actor_class
from echelon.agents.checkpoint import read_checkpoint, write_checkpoint
from echelon.agents.columns import column_names
from echelon.agents.parameters import differences, spans_of
from echelon.agents.support import OutsideTrainingWarning, Support
from echelon.agents.watch import Watch
from echelon.envs.codec import Codec
from echelon.envs.errors import ConfigError, EchelonError, MethodError
from echelon.envs.network import Network
from echelon.envs.policy import Policy
from echelon.envs.state import State

Floats = NDArray[np.float64]

NAME = "policy"
"""The name of a policy in the folder of its checkpoint."""
PACKAGES = ("echelon", "torch", "numpy", "stable-baselines3")
"""What a training must have in the same version to be repeated bit for bit."""
BROKEN = (LookupError, TypeError, ValueError, AttributeError, RuntimeError, RecursionError, OverflowError, MemoryError)
"""What plain data of the wrong form makes the code raise that restores an actor from it."""
LONGEST = 300
"""Characters of a foreign error that a message repeats."""


@dataclass(frozen=True)
class Fallback:
    """A policy that orders where a learned one should not."""

    policy: Policy
    name: str
    """The name of the baseline, for tables and messages."""


@dataclass(frozen=True, eq=False)
class LearnedPolicy:
    """A trained network that orders without exploring.

    With a `support` it counts how many states lie outside of its training, warns once if they are many
    (`OutsideTrainingWarning`), and lets its `fallback`, if it has one, order for them.
    """

    actor: Actor
    method: str
    """How it was trained: `ppo`, `pathwise`, ..."""
    support: Support | None = None
    fallback: Fallback | None = None
    training: Mapping[str, Any] = field(default_factory=dict)
    """Where it comes from, as plain data, see `training_record`."""
    watch: Watch = field(default_factory=Watch, repr=False)
    """What it has seen of states outside of its training so far."""

    @property
    def network(self) -> Network:
        """The supply network that it orders for."""
        return self.actor.network

    def __call__(self, state: State) -> Floats:
        """Orders [B, E]."""
        orders = self.actor.orders(state)
        if self.support is None:
            return orders
        observations = np.asarray(self.actor.observe(state))
        strange = self._strange(observations)
        self.watch.see(observations, strange, self._columns, self._bounds, f"{self.method} policy")
        outside = np.asarray(strange.any(axis=1))
        if self.fallback is None or not outside.any():
            return orders
        return np.where(outside[:, None], np.asarray(self.fallback.policy(state), dtype=np.float64), orders)

    def outside(self, state: State) -> NDArray[np.bool_]:
        """[B] which copies are in a state outside of the training, none for a policy without a support."""
        return np.asarray(self._strange(np.asarray(self.actor.observe(state))).any(axis=1))

    def with_support(self, support: Support) -> LearnedPolicy:
        """The same policy that knows where it was trained."""
        return replace(self, support=support, watch=Watch())

    def with_fallback(self, policy: Policy, name: str) -> LearnedPolicy:
        """The same policy with another one, of that name, that orders for states outside of the training.

        A fallback is not part of a checkpoint. Raises `MethodError` if the policy does not know where it was trained.
        """
        if self.support is None:
            raise MethodError(f"a fallback needs a policy with a support, see support_of (got {self.method} without)")
        return replace(self, fallback=Fallback(policy, name), watch=Watch())

    def differences(self, network: Network) -> tuple[str, ...]:
        """What a network has that the training had not: "lead_time of 'outside -> store': trained on 4, used on 6"."""
        if self.support is not None:
            return self.support.differences(network)
        return differences(spans_of([self.network], pooled=False), network, pooled=False)

    def for_network(self, network: Network) -> LearnedPolicy:
        """The same weights on another network, without a fallback.

        Warns with what differs from the training (`OutsideTrainingWarning`). Raises `ConfigError` where the network
        has another shape than the weights.
        """
        if network == self.network:
            return self
        try:
            actor = type(self.actor).restored(network, self.actor.record(), self.actor.state_dict())
        except (EchelonError, *BROKEN) as error:
            words = f"the policy of {self.network.name!r} does not fit {network.name!r}"
            raise ConfigError([f"{words}: {told(error)}"]) from error
        if found := self.differences(network):
            warnings.warn("\n".join(found), OutsideTrainingWarning, stacklevel=2)
        return replace(self, actor=actor, fallback=None, watch=Watch())

    @cached_property
    def _columns(self) -> tuple[str, ...]:
        return column_names(Codec(self.network))

    @cached_property
    def _bounds(self) -> tuple[Floats, Floats]:
        assert self.support is not None
        return self.support.bounds(self._columns)

    def _strange(self, observations: NDArray[Any]) -> NDArray[np.bool_]:
        """[B, D] which columns are outside."""
        if self.support is None:
            return np.zeros(observations.shape, dtype=np.bool_)
        low, high = self._bounds
        return np.asarray((observations < low) | (observations > high))

    def save(self, folder: str | Path) -> None:
        """Write the checkpoint into a folder, which is made if need be."""
        data = {
            "kind": self.actor.kind,
            "method": self.method,
            "network": self.network.model_dump(mode="json", exclude_defaults=True),
            "record": self.actor.record(),
            "support": None if self.support is None else self.support.record(),
            "training": dict(self.training),
        }
        write_checkpoint(folder, NAME, tensors=self.actor.state_dict(), data=data)

    @classmethod
    def load(cls, folder: str | Path) -> LearnedPolicy:
        """Read a checkpoint. Raises `ConfigError` that names the file if it is missing, broken or of another schema."""
        weights, data = read_checkpoint(folder, NAME)
        place = f"{Path(folder) / NAME}.json"
        try:
            return cls._restored(weights, _upgraded(data))
        except EchelonError as error:
            raise ConfigError([f"{place}: {line}" for line in str(error).splitlines()]) from error
        except BROKEN as error:
            raise ConfigError([f"{place}: the checkpoint must be complete and sound: {told(error)}"]) from error

    @classmethod
    def _restored(cls, weights: Mapping[str, Tensor], data: Mapping[str, Any]) -> LearnedPolicy:
        if not all(bool(value.isfinite().all()) for value in weights.values()):
            raise ConfigError(["all weights must be finite"])
        actor = actor_class(data["kind"]).restored(Network.from_dict(data["network"]), data["record"], weights)
        made, stored = (_shapes(tensors) for tensors in (actor.state_dict(), weights))
        if made != stored:
            name = next(name for name in sorted({*made, *stored}) if made.get(name) != stored.get(name))
            raise ConfigError([f"weight {name} must be {made.get(name, 'absent')} (got {stored.get(name, 'none')})"])
        support = None if data["support"] is None else Support.restored(data["support"])
        return cls(actor, str(data["method"]), support, training=dict(data["training"]))


def training_record(*, seed: int, steps: int, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What a checkpoint tells of its training: with the same of all this it repeats bit for bit."""
    versions = {"python": platform.python_version(), **{name: metadata.version(name) for name in PACKAGES}}
    machine = {"threads": torch.get_num_threads(), "processor": torch.backends.cpu.get_cpu_capability()}
    return {"seed": seed, "steps": steps, "settings": dict(settings), "versions": versions, **machine}


def told(error: Exception) -> str:
    """An error as the end of a one-line message."""
    return shorten(f"{type(error).__name__}: {error}", LONGEST, placeholder=" ...")


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, str]:
    return {name: f"{str(value.dtype).removeprefix('torch.')} {list(value.shape)}" for name, value in tensors.items()}


def _upgraded(data: Mapping[str, Any]) -> Mapping[str, Any]:
    """The data of a checkpoint of schema 1, which only held Stable-Baselines3, as those of schema 2."""
    if data["schema"] != 1:
        return data
    record = {name: data[name] for name in ("algorithm", "decision", "action", "architecture")}
    shared = {"network": data["network"], "method": data["algorithm"]}
    return {**shared, "kind": "sb3", "record": record, "support": None, "training": {}}
