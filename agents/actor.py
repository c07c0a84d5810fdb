"""What every trained network is to the rest of the package: an actor, found by the name of its kind."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from echelon.envs.errors import ConfigError, nearest
from echelon.envs.network import Network
from echelon.envs.state import State


class Actor(Protocol):
    """A trained network that orders; `restored` makes it again from plain data and weights."""

    kind: ClassVar[str]
    """The key of its class in `ACTORS`."""

    @property
    def network(self) -> Network:
        """The supply network that it orders for."""
        ...

    def orders(self, state: State) -> NDArray[np.float64]:
        """Orders [B, E] without exploring, whole where units are whole."""
        ...

    def observe(self, state: State) -> NDArray[np.float32]:
        """[B, D] what it sees of a state."""
        ...

    def record(self) -> dict[str, Any]:
        """All but the weights and the network, as plain data of JSON."""
        ...

    def state_dict(self) -> dict[str, Any]:
        """The weights by name."""
        ...

    @classmethod
    def restored(cls, network: Network, record: Mapping[str, Any], weights: Mapping[str, Tensor]) -> Self:
        """The actor with this record and these weights. Raises an ordinary error where they do not fit."""
        ...


ACTORS: dict[str, str] = {
    "sb3": "echelon.agents.sb3_actor:Sb3Actor",
    "pathwise": "echelon.agents.actors:PathwiseActor",
    "controlled": "echelon.agents.controlled_actor:ControlledActor",
    "generalist": "echelon.agents.generalist:GeneralistActor",
}
"""Kinds of actors, each with the module and the class that is imported when one is read."""


def actor_class(kind: object) -> type[Actor]:
    """The class of a kind of actor. Raises `ConfigError` for one that is unknown."""
    if not isinstance(kind, str) or kind not in ACTORS:
        raise ConfigError([f"unknown kind of actor {kind!r}{nearest(str(kind)[:50], ACTORS)}"])
    module, _, name = ACTORS[kind].partition(":")
    found: type[Actor] = getattr(import_module(module), name)
    return found
