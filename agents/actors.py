"""The actor that pathwise gradients train: a network between what is seen of a state and the orders of all links.

All is in units of the problem: inputs are in periods of mean demand, and outputs are counted in the mean order of a
link, or in the spread of its echelon lead-time demand. So one learning rate suits all problems.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from echelon.agents.architectures import Architecture, make_body
from echelon.envs.codec import Codec, Decision
from echelon.envs.network import Network
from echelon.envs.state import State

START = float(np.log(math.e - 1))
"""Its softplus is 1: an untrained network orders the mean."""
SPREADS = 8.0
"""The range of echelon levels that the codec offers is so many standard deviations wide."""


class PathwiseActor(nn.Module):
    """Orders of all links together, as quantities or as echelon base-stock levels up to which is ordered."""

    kind: ClassVar[str] = "pathwise"
    unit: Tensor
    centre: Tensor
    spread: Tensor

    def __init__(self, network: Network, decision: Decision, architecture: Architecture) -> None:
        super().__init__()
        self.codec = Codec(network, decision)
        self.architecture = architecture
        self.body = make_body(self.codec, architecture)
        low, high = self.codec.level_range
        least = 1e-6 * float(self.codec.need.max())
        for name, values in (
            ("unit", np.maximum(self.codec.mean, least)),
            ("centre", (low + high) / 2),
            ("spread", np.maximum((high - low) / SPREADS, least)),
        ):
            self.register_buffer(name, torch.as_tensor(values, dtype=torch.float32), persistent=False)

    @property
    def network(self) -> Network:
        """The supply network that it orders for."""
        return self.codec.network

    def decide(self, observation: Tensor, position: Tensor, body: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """[B, E] orders of at least 0, not rounded, from observations [B, D] and echelon inventory positions [B, E].

        A body that has been `prepared` saves work.
        """
        said = (body or self.body)(observation)
        if self.codec.decision == "orders":
            wanted = self.unit * nn.functional.softplus(said + START)
        else:
            wanted = (self.centre + self.spread * said - position).clamp(min=0)
        return wanted

    def observe(self, state: State) -> NDArray[np.float32]:
        """[B, D] the observations of the codec."""
        return self.codec.observe(state)

    def orders(self, state: State) -> NDArray[np.float64]:
        """Orders [B, E], rounded to the nearest whole number where units are whole."""
        with torch.no_grad():
            observation = torch.as_tensor(self.observe(state)).to(self.unit)
            position = torch.as_tensor(np.asarray(state.echelon_inventory_position)).to(self.unit)
            orders = self.decide(observation, position).cpu().numpy().astype(np.float64)
        return np.rint(orders) if self.codec.arrays.whole_units else orders

    def record(self) -> dict[str, Any]:
        """What its outputs mean, and its shape."""
        return {"decision": self.codec.decision, "architecture": self.architecture.record()}

    @classmethod
    def restored(cls, network: Network, record: Mapping[str, Any], weights: Mapping[str, Tensor]) -> Self:
        """The actor with this record and these weights."""
        actor = cls(network, record["decision"], Architecture.restored(record["architecture"]))
        actor.load_state_dict(weights)
        return actor
