"""What learns by pathwise gradients: an actor, the moving average of its weights, and a pool of states."""

from __future__ import annotations

import copy
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from echelon.agents.actors import PathwiseActor
from echelon.agents.decisions import default_decision
from echelon.agents.pathwise_settings import PathwiseSettings
from echelon.agents.relaxed import Relaxed, Stocks, relaxed
from echelon.agents.warm_start import Student
from echelon.envs.problem import Problem
from echelon.envs.scenarios import sample
from echelon.envs.state import State

Floats = NDArray[np.float64]

SETTLING = 9
"""Periods beyond the echelon cover in which an order's last consequences show."""
STANDARDISE_AFTER = 0.08
"""Share of the training after which inputs are counted from the mean, and in standard deviations, of the pool."""
LEAST_SD = 0.05
"""Periods of mean demand that count as a standard deviation at least."""
STRAYING = 32
"""One of so many states is led by orders that are multiplied by random numbers between 0 and 2, in the first half of
the training."""
RETURNING = 64
"""One of so many states of the long run begins anew after an unroll."""
MOMENTS = (0.9, 0.98)
"""Decay rates of the two moments of Adam."""


@dataclass(frozen=True)
class Update:
    """What an update tells."""

    cost: float
    """Mean cost per period of the batch."""
    gradient_norm: float
    """Length of the gradient before clipping, of costs in units of `Codec.cost_scale`."""


class Learner:
    """Trains a `PathwiseActor` update by update; all randomness comes from the seed and the number of the update."""

    def __init__(
        self,
        problem: Problem,
        settings: PathwiseSettings,
        *,
        seed: int,
        steps: int,
        actor: PathwiseActor | None = None,
    ) -> None:
        self.problem, self.settings, self.seed, self.steps = problem, settings, seed, steps
        self.device = torch.device(settings.device)
        self.actor = (actor or new_actor(problem, settings, seed=seed)).to(self.device)
        self.codec = self.actor.codec
        self.held, self.average = (copy.deepcopy(self.actor).requires_grad_(False) for _ in range(2))
        self.optimisers = _optimisers(self.actor)
        self.batches = settings.batches(self.codec)
        self.unroll = math.ceil(settings.unroll / self.codec.cycle) * self.codec.cycle
        self.tail = math.ceil(self.codec.echelon_cover.max()) + SETTLING if settings.tail is None else settings.tail
        self.updates, self.drawn, self.slowing = 0, 0, 1.0
        self.dynamics = relaxed(problem.network, self.batches[0], self.device)
        self.pool = tuple(_copies(stock, self.batches[-1]) for stock in self.dynamics.start)
        self.age = self._first_ages()

    @property
    def progress(self) -> float:
        """The share of the training that is done."""
        return self.updates / self.steps

    def update(self) -> Update:
        """Follow the slope of the mean cost of a batch once."""
        if self.updates == math.ceil(STANDARDISE_AFTER * self.steps):
            self._standardise()
        stage = min(int(self.progress * len(self.batches)), len(self.batches) - 1)
        chosen = self._chosen(self.batches[stage])
        self._hold()
        self._set_rate()
        cost, after = self._simulate(chosen)
        for optimiser in self.optimisers:
            optimiser.zero_grad()
        (cost / self.codec.cost_scale).backward()  # type: ignore[no-untyped-call]
        norm = nn.utils.clip_grad_norm_(self.actor.parameters(), self.settings.clip)
        for optimiser in self.optimisers:
            optimiser.step()
        self._average()
        self._put_back(chosen, after)
        self.updates += 1
        return Update(float(cost.detach()), float(norm))

    def _simulate(self, chosen: Tensor) -> tuple[Tensor, Stocks]:
        """The mean cost per period of the chosen states of the pool, and their stocks after the unroll."""
        dynamics = self._dynamics(len(chosen))
        replications = range(self.drawn, self.drawn + len(chosen))
        self.drawn = replications.stop
        periods = self.unroll + self.tail
        network, discount = self.problem.network, self.problem.discount
        draws = dynamics.draws(
            sample(network, periods=periods, replications=replications, seed=self.seed, stream="training")
        )
        stocks: Stocks = tuple(stock[chosen] for stock in self.pool)
        after, strays = stocks, self._strays(len(chosen))
        weight = discount ** self.age[chosen].to(stocks[0]) if discount < 1 else None
        total: Any = 0.0
        learning, held = self.actor.body.prepared(), self.held.body.prepared()
        for t, drawn in enumerate(draws):
            body = learning if t < self.unroll else held
            orders = self.actor.decide(*dynamics.observe(stocks, t), body)
            if t < self.unroll:
                orders = orders * strays[t]
            *following, cost = dynamics.period(*stocks, orders, *drawn)
            stocks = tuple(following)
            total = total + (cost.mean() if weight is None else discount**t * (cost * weight).sum() / weight.sum())
            if t == self.unroll - 1:
                after = tuple(stock.detach() for stock in stocks)
        return total / periods, after

    def _strays(self, batch: int) -> Tensor:
        """[T, B, E] what orders are multiplied by in the unroll: 1, but at random in the last rows.

        They lead to states that the policy itself has left, and that it must not be lost in when it is used.
        """
        factors = torch.ones(self.unroll, batch, len(self.codec.network.links))
        few = batch // STRAYING if self.progress < 0.5 else 0
        if few:
            shape = (self.unroll, few, factors.shape[2])
            factors[:, -few:] = 2 * torch.rand(shape, generator=self._generator(1))
        return factors.to(self.device)

    def _generator(self, purpose: int) -> torch.Generator:
        """Random numbers of this update for a purpose."""
        return torch.Generator().manual_seed((2 * self.updates + purpose) * 1_000_003 + self.seed)

    def _dynamics(self, batch: int) -> Relaxed:
        if len(self.dynamics.start[0]) != batch:
            self.dynamics = relaxed(self.problem.network, batch, self.device)
        return self.dynamics

    def _chosen(self, batch: int) -> Tensor:
        """[B] members of the pool."""
        return torch.randperm(self.batches[-1], generator=self._generator(0))[:batch].to(self.device)

    def _put_back(self, chosen: Tensor, after: Stocks) -> None:
        """The pool goes on from where the unroll has led it, or begins anew: where a horizon is over, and a few of
        the states of the long run, so that the policy knows what it will begin from."""
        self.age[chosen] += self.unroll
        over = self.age[chosen] >= self._horizon
        if math.isinf(self._horizon):
            over[: len(chosen) // RETURNING] = True
        for stock, start, moved in zip(self.pool, self.dynamics.start, after, strict=True):
            at_start = over.reshape(-1, *(1,) * (moved.ndim - 1))
            stock[chosen] = torch.where(at_start, start, moved)
        self.age[chosen[over]] = 0

    def student(self) -> Student:
        """The actor as one that can be cloned from another policy."""
        actor = self.actor
        unit = actor.unit if self.codec.decision == "orders" else actor.spread

        def loss(seen: Tensor, target: Tensor) -> Tensor:
            wanted, position = target.chunk(2, 1)
            return nn.functional.smooth_l1_loss(
                actor.decide(seen, position) / unit, wanted / unit, reduction="none"
            ).mean(1)

        def target(orders: Floats, state: State) -> Floats:
            return np.concatenate([orders, np.asarray(state.echelon_inventory_position)], 1)

        return Student(tuple(actor.parameters()), actor.observe, target, loss, actor.orders)

    def begin_from_clone(self) -> None:
        """Let the average begin where cloning has led the actor."""
        self.average.load_state_dict(self.actor.state_dict())

    def go_back(self, weights: Mapping[str, Tensor]) -> None:
        """Go on from earlier weights with fresh states, at half the learning rate."""
        for actor in (self.actor, self.average, self.held):
            actor.load_state_dict(weights)
        for optimiser in self.optimisers:
            optimiser.state.clear()
        for stock, start in zip(self.pool, self.dynamics.start, strict=True):
            stock.copy_(_copies(start, len(stock)))
        self.age = self._first_ages()
        self.slowing /= 2

    def counts(self) -> dict[str, float]:
        """The numbers that a checkpoint holds."""
        return {"updates": self.updates, "drawn": self.drawn, "slowing": self.slowing}

    def tensors(self) -> dict[str, Tensor]:
        """The tensors that a checkpoint holds."""
        found = {f"pool.{k}": stock for k, stock in enumerate(self.pool)} | {"age": self.age}
        for name, actor in (("actor", self.actor), ("average", self.average)):
            found |= {f"{name}.{key}": value for key, value in actor.state_dict().items()}
        for o, optimiser in enumerate(self.optimisers):
            for p, moments in optimiser.state_dict()["state"].items():
                found |= {f"optimiser.{o}.{p}.{name}": torch.as_tensor(value) for name, value in moments.items()}
        return found

    def restore(self, tensors: Mapping[str, Tensor], counts: Mapping[str, float]) -> None:
        """Be as the learner was that gave these."""
        self.updates, self.drawn = int(counts["updates"]), int(counts["drawn"])
        self.slowing = float(counts["slowing"])
        self.pool = tuple(tensors[f"pool.{k}"].to(self.device) for k in range(len(self.pool)))
        self.age = tensors["age"].to(self.device)
        for name, actor in (("actor", self.actor), ("average", self.average), ("actor", self.held)):
            actor.load_state_dict({key: tensors[f"{name}.{key}"] for key in actor.state_dict()})
        for o, optimiser in enumerate(self.optimisers):
            state: dict[int, dict[str, Tensor]] = {}
            for key, value in tensors.items():
                if key.startswith(f"optimiser.{o}."):
                    _, _, p, name = key.split(".")
                    state.setdefault(int(p), {})[name] = value.clone()
            optimiser.load_state_dict(optimiser.state_dict() | {"state": state})

    @property
    def _horizon(self) -> float:
        """Periods after which a state of the pool begins anew; where a warm-up is left out none ever does."""
        return math.inf if self.problem.warm_up else self.problem.periods

    def _first_ages(self) -> Tensor:
        """[P] spread over the horizon, so that not all of the pool begins anew at the same time."""
        count = self.batches[-1]
        if math.isinf(self._horizon):
            return torch.zeros(count, dtype=torch.int64, device=self.device)
        return (torch.arange(count, device=self.device) * self.unroll) % max(int(self._horizon), self.unroll)

    def _standardise(self) -> None:
        """Count the inputs anew, by where the policy has led the pool; what the actor says stays the same."""
        with torch.no_grad():
            stocks = tuple(stock[: len(self.dynamics.start[0])] for stock in self.pool)
            seen, _ = self.dynamics.observe(stocks, 0)
            mean, sd = seen.mean(0), seen.std(0).clamp(min=LEAST_SD)
        for actor in (self.actor, self.average):
            actor.body.standardise(mean, sd)
        self.held.load_state_dict(self.actor.state_dict())
        for optimiser in self.optimisers:
            optimiser.state.clear()

    def _hold(self) -> None:
        """Let the tail be led by the parameters as they are now."""
        with torch.no_grad():
            torch._foreach_copy_(list(self.held.parameters()), list(self.actor.parameters()))

    def _average(self) -> None:
        """The first updates weigh less, so that the average does not remember the untrained network."""
        share = 1 - min(self.settings.averaging, self.updates / (self.updates + SETTLING))
        with torch.no_grad():
            torch._foreach_lerp_(list(self.average.parameters()), list(self.actor.parameters()), share)

    def _set_rate(self) -> None:
        last = self.settings.last_rate
        share = last + (1 - last) * 0.5 * (1 + math.cos(math.pi * self.progress))
        for optimiser in self.optimisers:
            for group in optimiser.param_groups:
                group["lr"] = self.settings.learning_rate * share * self.slowing


def new_actor(problem: Problem, settings: PathwiseSettings, *, seed: int) -> PathwiseActor:
    """An actor for a problem with random weights."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        decision = settings.decision or default_decision(problem.network)
        return PathwiseActor(problem.network, decision, settings.architecture)


def _copies(stock: Tensor, count: int) -> Tensor:
    """[P, ...] the first row, so many times."""
    return stock[:1].repeat(count, *(1,) * (stock.ndim - 1))


def _optimisers(actor: PathwiseActor) -> tuple[torch.optim.Optimizer, ...]:
    """Muon (Jordan et al. 2024) for the matrices of the hidden layers, and Adam for all else."""
    parameters = list(actor.parameters())
    hidden = [p for p in parameters if p.ndim == 2 and min(p.shape) > 1 and p is not parameters[-2]]
    rest = [p for p in parameters if not any(p is q for q in hidden)]
    muon = torch.optim.Muon(hidden, lr=1.0, weight_decay=0.0)
    return muon, torch.optim.Adam(rest, lr=1.0, betas=MOMENTS, foreach=True)
