"""The network of controlled learning: scores for every order that a link may place, link after link."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any, ClassVar, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from echelon.envs._layout import memory_of
from echelon.envs.codec import Codec
from echelon.envs.dynamics import accepted_orders
from echelon.envs.network import Network
from echelon.envs.state import State

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
PART = 8_192
"""States that the network sees at a time: their activations stay in the cache."""


class ControlledActor(nn.Module):
    """A small perceptron that scores the possible orders of a link; the order with the highest score is placed.

    The links decide one after another, in the order of the network. Each sees the observation of the
    codec, what the links before it order in this period, in units of its mean need, and which link it is.
    """

    kind: ClassVar[str] = "controlled"

    def __init__(self, network: Network, quantities: Sequence[Sequence[float]], hidden: Sequence[int]) -> None:
        super().__init__()
        self.codec = Codec(network)
        self.quantities = tuple(tuple(float(q) for q in row) for row in quantities)
        self.hidden = tuple(int(width) for width in hidden)
        links, most = len(self.quantities), max(len(row) for row in self.quantities)
        self.table = np.array([[*row, *[row[-1]] * (most - len(row))] for row in self.quantities])
        """[E, A] the order that each choice names; rows with fewer choices repeat their last one."""
        self.choices = np.array([len(row) for row in self.quantities])
        """[E]"""
        self._units = np.maximum(self.codec.need, 1e-6)
        sizes = [self.codec.observation_space.shape[0] + (2 * links if links > 1 else 0), *self.hidden]
        layers: list[nn.Module] = []
        for size, following in pairwise(sizes):
            layers += [nn.Linear(size, following), nn.ReLU()]
        self.layers = nn.Sequential(*layers, nn.Linear(sizes[-1], most))
        spare = np.arange(most) >= self.choices[:, None]
        self._barred = torch.as_tensor(np.where(spare, -1e9, 0.0), dtype=torch.float32)

    @property
    def network(self) -> Network:
        """The supply network that it orders for."""
        return self.codec.network

    def observe(self, state: State) -> NDArray[np.float32]:
        """[B, D] the observations of the codec."""
        return self.codec.observe(state)

    def orders(self, state: State) -> Floats:
        """Orders [B, E]."""
        return np.ascontiguousarray(self.memory_orders(memory_of(state), state.period).T)

    def memory_orders(self, memory: Floats, period: int) -> Floats:
        """Orders [E, B] for the stocks in a memory."""
        return self.completed(memory, period, np.zeros((len(self.table), memory.shape[1])), -1)

    def completed(self, memory: Floats, period: int, orders: Floats, link: int) -> Floats:
        """The orders [E, B], of which those up to a link are given, with those of the links after it."""
        orders, observation = orders.copy(), self.codec.observe_memory(memory, period)
        for e in range(link + 1, len(orders)):
            orders[e] = self.table[e][self._scores(observation, orders, e).argmax(1)]
        return orders

    def probabilities(self, memory: Floats, period: int, orders: Floats, link: int) -> NDArray[np.float32]:
        """[B, A] how likely each choice of a link is, after the orders [E, B] of the links before it."""
        scores = torch.from_numpy(self._scores(self.codec.observe_memory(memory, period), orders, link))
        return np.asarray(torch.softmax(scores, 1).numpy())

    def inputs(self, observation: NDArray[np.float32], orders: Floats, link: int) -> Tensor:
        """[B, I] what the network sees when a link decides, after the orders [E, B] of the links before it."""
        seen = torch.from_numpy(np.ascontiguousarray(observation))
        if len(orders) == 1:
            return seen
        before = np.where(np.arange(len(orders))[:, None] < link, orders / self._units[:, None], 0.0)
        which = np.zeros_like(before)
        which[link] = 1.0
        return torch.cat([seen, torch.from_numpy(np.concatenate([before, which]).T.astype(np.float32))], 1)

    def forward(self, inputs: Tensor, links: Tensor) -> Tensor:
        """Scores [B, A] of what links [B] may choose."""
        scores: Tensor = self.layers(inputs) + self._barred[links]
        return scores

    def _scores(self, observation: NDArray[np.float32], orders: Floats, link: int) -> NDArray[np.float32]:
        inputs = self.inputs(observation, orders, link)
        scores = np.empty((len(inputs), self.table.shape[1]), dtype=np.float32)
        with torch.no_grad():
            for first in range(0, len(inputs), PART):
                part = self.layers(inputs[first : first + PART]) + self._barred[link]
                scores[first : first + PART] = part.numpy()
        return scores

    def record(self) -> dict[str, Any]:
        """The orders that each link may place, and the shape of the network."""
        return {"quantities": [list(row) for row in self.quantities], "hidden": list(self.hidden)}

    @classmethod
    def restored(cls, network: Network, record: Mapping[str, Any], weights: Mapping[str, Tensor]) -> Self:
        """The actor with this record and these weights."""
        actor = cls(network, record["quantities"], record["hidden"])
        actor.load_state_dict(dict(weights))
        return actor


def order_choices(network: Network) -> list[list[float]]:
    """[E][A] the orders that a discrete action of the codec can name, as the bounds of the link round them."""
    codec = Codec(network, "orders", "discrete")
    low, stride, count = codec._discrete
    most = int(count.max())
    named = low[:, None] + np.minimum(np.arange(most), count[:, None] - 1) * stride[:, None]
    accepted = accepted_orders(codec.arrays, np.ascontiguousarray(named.T)).T
    return [np.unique(row).tolist() for row in accepted]
