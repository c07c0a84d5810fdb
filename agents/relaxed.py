"""The relaxed problem on torch: continuous orders, sampled demand, expected costs, from one period to the next."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from echelon.agents.period_cost import PeriodCost
from echelon.agents.specialise import Program, Traced
from echelon.envs.codec import OBSERVATION_BOUND, Codec
from echelon.envs.dynamics import initial_state, step
from echelon.envs.network import Network
from echelon.envs.scenarios import Scenarios, sample
from echelon.envs.state import STOCKS, Draw, State

Stocks = tuple[Tensor, ...]
_DRAWS = tuple(field.name for field in fields(Draw))


@dataclass(frozen=True, eq=False)
class Relaxed:
    """The dynamics of a network for a batch of one size, without what never changes in it."""

    start: Stocks
    """Each [B, ...]: the stocks that change, at the start of period 0."""
    see: Program
    """Stocks to observations [B, D], without the phase of a calendar, and echelon inventory positions [B, E]."""
    period: Program
    """Stocks, orders [B, E] and draws to the next stocks and the cost [B]."""
    drawn: tuple[str, ...]
    """The names of the draws that a period needs, in order."""
    cycle: int

    def draws(self, scenarios: Scenarios) -> list[tuple[Tensor, ...]]:
        """The draws of every period, each [B, ...]."""
        like = self.start[0]
        tables = [
            torch.as_tensor(np.ascontiguousarray(np.moveaxis(getattr(scenarios, name), 1, 0))).to(like)
            for name in self.drawn
        ]
        return list(zip(*(table.unbind(0) for table in tables), strict=True))

    def observe(self, stocks: Stocks, period: int) -> tuple[Tensor, Tensor]:
        """Observations [B, D] and echelon inventory positions [B, E] at the review of a period."""
        observation, position = self.see(*stocks)
        if self.cycle == 1:
            return observation, position
        angle = 2 * math.pi * (period % self.cycle) / self.cycle
        phase = observation.new_tensor([math.sin(angle), math.cos(angle)])
        return torch.cat([observation, phase.expand(len(observation), 2)], 1), position


def relaxed(network: Network, batch: int, device: torch.device) -> Relaxed:
    """The relaxed dynamics of a network, traced for a batch of this size."""
    scenarios = sample(network, periods=1, replications=1, seed=0, stream="tracing")
    continuous = network.model_copy(update={"units": "continuous"})
    state = initial_state(continuous, batch, like=torch.zeros(1))
    drawn = tuple(name for name in _DRAWS if getattr(scenarios, name) is not None)
    cost = PeriodCost(network)
    codec = Codec(network)

    def at(stocks: Sequence[Tensor]) -> State:
        named: dict[str, Any] = dict(zip(STOCKS, stocks, strict=True))
        return replace(state, **named)

    def period(*arguments: Tensor) -> list[Tensor]:
        before, orders, draws = at(arguments[: len(STOCKS)]), arguments[len(STOCKS)], arguments[len(STOCKS) + 1 :]
        after, ledger = step(before, orders, Draw(**dict(zip(drawn, draws, strict=True))))
        return [*(getattr(after, name) for name in STOCKS), cost(before, ledger)]

    def see(*stocks: Tensor) -> list[Tensor]:
        return [_observation(codec, at(stocks)), at(stocks).echelon_inventory_position]

    stocks = [getattr(state, name) for name in STOCKS]
    draws = [torch.as_tensor(getattr(scenarios, name)[:, 0]).expand(batch, -1).float() for name in drawn]
    example = [*stocks, torch.ones(batch, len(network.links)), *draws]
    traced = Traced.of(period, example)
    constant = traced.unchanging(len(stocks))
    changing = [k for k in range(len(stocks)) if k not in constant]
    return Relaxed(
        start=tuple(stocks[k].to(device) for k in changing),
        see=Traced.of(see, stocks).specialised(constant).to(device),
        period=traced.specialised(constant, [*changing, len(stocks)]).to(device),
        drawn=drawn,
        cycle=codec.cycle,
    )


def _observation(codec: Codec, state: State) -> Tensor:
    """[B, D] what `Codec.observe` gives, without the phase of a calendar, differentiable."""
    rows, less, units = codec.sights
    stocks = [getattr(state, name).reshape(state.batch, -1) for name in STOCKS]
    seen = _columns(stocks, rows) - _columns(stocks, less)
    return (seen * torch.as_tensor(1.0 / units).float()).clamp(-OBSERVATION_BOUND, OBSERVATION_BOUND)


def _columns(stocks: Sequence[Tensor], rows: NDArray[np.int64]) -> Tensor:
    """[B, D] columns of the stocks side by side, 0 for row -1; rows in one stock are picked together."""
    parts = [*stocks, torch.zeros_like(stocks[0][:, :1])]
    ends = np.cumsum([part.shape[1] for part in parts])
    rows = np.where(rows < 0, ends[-1] - 1, rows)
    inside = np.searchsorted(ends, rows, side="right")
    runs = np.split(np.arange(len(rows)), np.flatnonzero(np.diff(inside)) + 1)
    begins = ends - [part.shape[1] for part in parts]
    picked = [parts[inside[run[0]]][:, torch.as_tensor(rows[run] - begins[inside[run[0]]])] for run in runs]
    return torch.cat(picked, 1)
