"""Bodies whose weights all links share: whatever the size of a network, and in whatever order its places are named."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from itertools import pairwise
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn.functional import linear

from echelon.agents.generalist_features import link_features
from echelon.envs.codec import Codec

LEAST_SPREAD = 0.05
"""What the spread of an input counts at least."""


class Table(nn.Module):
    """A constant matrix with few entries [R, C], to multiply by; no part of the weights."""

    entries: Tensor
    transposed: Tensor

    def __init__(self, values: NDArray[Any]) -> None:
        super().__init__()
        for name, table in (("entries", values), ("transposed", values.T)):
            sparse: Tensor = torch.as_tensor(table).float().to_sparse()
            self.register_buffer(name, sparse.coalesce(), persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        """[R, K] from values [C, K]."""
        product: Tensor = _Product.apply(self.entries, self.transposed, values)  # type: ignore[no-untyped-call]
        return product


class _Product(torch.autograd.Function):
    """A sparse matrix times a dense one, with a slope for the dense one alone."""

    @staticmethod
    def forward(ctx: Any, entries: Tensor, transposed: Tensor, values: Tensor) -> Any:
        """[R, K]"""
        ctx.transposed = transposed
        return torch.sparse.mm(entries, values)

    @staticmethod
    def backward(ctx: Any, slope: Tensor) -> Any:
        """[C, K]"""
        return None, None, torch.sparse.mm(ctx.transposed, slope)


class GraphBody(nn.Module):
    """The same layers at every link; with `messages` each layer after the first also hears of the neighbours.

    A link hears of the links into its source (means), and of those out of its target (means by need). What the
    parameters of a link are (`LinkFeatures.static`) scales and shifts the units of every layer.
    """

    centre: Tensor
    scale: Tensor
    static: Tensor
    offset: Tensor

    def __init__(self, codec: Codec, hidden: tuple[int, ...], activation: nn.Module, *, messages: bool) -> None:
        super().__init__()
        features = link_features(codec)
        width, parameters = features.offset.shape[1], features.static.shape[1]
        self.activation, self.messages = activation, messages
        self.encoder = nn.Sequential(
            nn.Linear(parameters, max(hidden)), activation, quiet(nn.Linear(max(hidden), 2 * sum(hidden)))
        )
        heard = 3 if messages else 1
        self.first = nn.Linear(width, hidden[0])
        self.later = nn.ModuleList(nn.Linear(heard * before, after) for before, after in pairwise(hidden))
        self.last = quiet(nn.Linear(hidden[-1], 1))
        self.register_buffer("centre", torch.zeros(width))
        self.register_buffer("scale", torch.ones(width))
        self.register_buffer("static", torch.as_tensor(features.static).float(), persistent=False)
        self.register_buffer("offset", torch.as_tensor(features.offset).float(), persistent=False)
        self.views = Table(features.views.reshape(len(features.views), -1).T)
        self.suppliers, self.receivers = Table(features.suppliers), Table(features.receivers)

    @property
    def _layers(self) -> list[nn.Linear]:
        return [self.first, *(layer for layer in self.later if isinstance(layer, nn.Linear))]

    def forward(self, observation: Tensor) -> Tensor:
        """[B, E]"""
        return self.prepared()(observation)

    def prepared(self) -> Callable[[Tensor], Tensor]:
        """See `BodyModule`; it is what the parameters of the links say."""
        layers = self._layers
        slopes = [self.first.weight * self.scale, *(layer.weight for layer in layers[1:])]
        biases = [
            (self.first.bias - linear(self.offset + self.centre, slopes[0])).unsqueeze(1),
            *(layer.bias for layer in layers[1:]),
        ]
        said = self.encoder(self.static).split([2 * layer.out_features for layer in layers], 1)
        told = [part.unsqueeze(1).chunk(2, 2) for part in said]
        gains = [1 + gain for gain, _ in told]
        shifts = [shift + gain * bias for gain, (_, shift), bias in zip(gains, told, biases, strict=True)]
        return partial(self._say, slopes, gains, shifts)

    def _say(
        self, slopes: Sequence[Tensor], gains: Sequence[Tensor], shifts: Sequence[Tensor], observation: Tensor
    ) -> Tensor:
        """[B, E], with the slopes [H', H] of every layer, and what scales and shifts it [E, 1, H']."""
        links, batch = len(self.static), len(observation)
        known = self.views(observation.T).reshape(links, -1, batch).transpose(1, 2)
        for k, (slope, gain, shift) in enumerate(zip(slopes, gains, shifts, strict=True)):
            if k and self.messages:
                flat = known.reshape(links, -1)
                heard = [table(flat).reshape(known.shape) for table in (self.suppliers, self.receivers)]
                known = torch.cat([known, *heard], 2)
            known = self.activation(torch.addcmul(shift, linear(known, slope), gain))
        said: Tensor = self.last(known)
        return said.squeeze(2).T

    def standardise(self, mean: Tensor, sd: Tensor) -> None:
        """See `BodyModule`; what links see of one kind is counted alike, as if columns were independent."""
        shape = self.offset.shape
        means = self.views(mean.unsqueeze(1)).reshape(shape) - self.offset
        variances = torch.mv(self.views.entries.square(), sd.square()).reshape(shape)
        there = (variances > 0).to(means)
        count = there.sum(0).clamp(min=1)
        centre = (means * there).sum(0) / count
        spread = ((((means - centre).square() + variances) * there).sum(0) / count).sqrt()
        spread = torch.where(spread > 0, spread.clamp(min=LEAST_SPREAD), 1.0)
        with torch.no_grad():
            slope = self.first.weight * self.scale
            self.first.bias.add_(slope @ (centre - self.centre))
            self.first.weight.copy_(slope * spread)
            self.centre.copy_(centre)
            self.scale.copy_(1 / spread)


def quiet(layer: nn.Linear) -> nn.Linear:
    """A last layer that says almost 0 at first."""
    with torch.no_grad():
        layer.weight.mul_(0.1)
        layer.bias.zero_()
    return layer
