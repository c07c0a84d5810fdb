"""Where a learned policy was trained, so that it can say when it is used elsewhere.

A network interpolates well and extrapolates without knowing it. `Support` keeps the range of every column
that was observed in training, and the parameters of the networks. A state counts as **outside** when some
column lies beyond the lowest or the highest value seen by more than `MARGIN` of its spread: the distance
between its quantiles 0.1 % and 99.9 %, at least one period of mean demand. One state cannot tell a slow
change of demand from bad luck: that is the work of `drift`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echelon.agents.actor import Actor
from echelon.agents.columns import column_names, kind_of_column
from echelon.agents.parameters import Span, differences, record_of, spans_from, spans_of
from echelon.envs.codec import Codec
from echelon.envs.errors import ConfigError, MethodError
from echelon.envs.network import Network
from echelon.envs.problem import Problem
from echelon.envs.scenarios import sample
from echelon.envs.simulate import simulate
from echelon.envs.state import State

Floats = NDArray[np.float64]

MARGIN = 0.25
"""Share of a column's spread by which it may leave the range seen in training."""
QUANTILES = (0.001, 0.999)
RANGES = ("low", "high", "lower", "upper")
LEAST_SPREAD = 1.0
"""Periods of mean demand that a column's spread counts at least; indicators have the values 0 and 1."""
FEWEST = 1_000
"""States below which no quantile can be told."""


NUMBERS = 20_000_000
"""Most numbers that `support_of` keeps while it watches."""


class OutsideTrainingWarning(UserWarning):
    """A learned policy is used where it was not trained."""


@dataclass(frozen=True, eq=False)
class Support:
    """The states and the parameters that a policy was trained on."""

    columns: tuple[str, ...]
    """K names of what was observed, see `column_names`; pooled, only their kinds."""
    low: Floats
    """[K] the lowest value seen."""
    high: Floats
    """[K] the highest value seen."""
    lower: Floats
    """[K] the quantile 0.1 %."""
    upper: Floats
    """[K] the quantile 99.9 %."""
    states: int
    """How many states were seen."""
    parameters: Mapping[str, Span]
    pooled: bool = False
    """Whether the places of a network have no names, as for a policy that serves networks of many sizes."""

    @classmethod
    def of(cls, observations: NDArray[Any], columns: Sequence[str], network: Network) -> Support:
        """The support of a policy of one network from what it observed [M, D]."""
        return cls._of(_columns(observations, columns), spans_of([network], pooled=False), pooled=False)

    @classmethod
    def of_many(cls, observed: Iterable[tuple[NDArray[Any], Sequence[str]]], networks: Iterable[Network]) -> Support:
        """The support of a policy of many networks: observations [M, D] with the names of their columns, of each."""
        pools: dict[str, list[Floats]] = {}
        for observations, columns in observed:
            for name, values in _columns(observations, columns).items():
                pools.setdefault(kind_of_column(name), []).append(values)
        merged = {kind: np.concatenate(parts) for kind, parts in pools.items()}
        return cls._of(merged, spans_of(networks, pooled=True), pooled=True)

    @classmethod
    def _of(cls, values: Mapping[str, Floats], parameters: Mapping[str, Span], *, pooled: bool) -> Support:
        low, high = (np.array([end(column) for column in values.values()]) for end in (np.min, np.max))
        lower, upper = np.array([np.quantile(column, QUANTILES) for column in values.values()]).T
        states = min(len(column) for column in values.values())
        return cls(tuple(values), low, high, lower, upper, states, parameters, pooled)

    def bounds(self, columns: Sequence[str]) -> tuple[Floats, Floats]:
        """[D] the lowest and the highest values that are inside, for these columns; any value for unknown ones."""
        place = {name: k for k, name in enumerate(self.columns)}
        found = [place.get(kind_of_column(name) if self.pooled else name, -1) for name in columns]
        margin = MARGIN * np.maximum(self.upper - self.lower, LEAST_SPREAD)
        return np.append(self.low - margin, -np.inf)[found], np.append(self.high + margin, np.inf)[found]

    def outside(self, observations: NDArray[Any]) -> NDArray[np.bool_]:
        """[B] which observations [B, K], with the columns of the support, lie outside."""
        low, high = self.bounds(self.columns)
        return np.asarray(((observations < low) | (observations > high)).any(axis=1))

    def differences(self, network: Network) -> tuple[str, ...]:
        """What a network has that training had not, one line each."""
        return differences(self.parameters, network, pooled=self.pooled)

    def record(self) -> dict[str, Any]:
        """The support as plain data."""
        ranges = {name: getattr(self, name).tolist() for name in RANGES}
        shape = {"columns": [*self.columns], "states": self.states, "pooled": self.pooled}
        return {**shape, **ranges, "parameters": record_of(self.parameters)}

    @classmethod
    def restored(cls, record: Mapping[str, Any]) -> Support:
        """The support that `record` made into plain data. Raises `ConfigError`."""
        columns = tuple(map(str, record["columns"]))
        low, high, lower, upper = ranges = [np.asarray(record[name], dtype=np.float64) for name in RANGES]
        if any(values.shape != (len(columns),) or not np.isfinite(values).all() for values in ranges):
            raise ConfigError([f"support: low, high, lower and upper must have {len(columns)} finite numbers each"])
        parameters, states, pooled = spans_from(record["parameters"]), int(record["states"]), bool(record["pooled"])
        return cls(columns, low, high, lower, upper, states, parameters, pooled)


def support_of(actor: Actor, problem: Problem, *, seed: int = 0, states: int = 100_000) -> Support:
    """The support of an actor that was trained on a problem: what it observes while it orders, on training scenarios.

    About so many states are seen, fewer where an observation is long.
    """
    columns = column_names(Codec(actor.network))
    most = max(FEWEST, min(states, NUMBERS // len(columns)))
    replications = math.ceil(most / problem.periods)
    scenarios = sample(
        problem.network, periods=problem.periods, replications=replications, seed=seed, stream="training"
    )
    seen: list[NDArray[np.float32]] = []

    def watched(state: State) -> Floats:
        seen.append(actor.observe(state))
        return actor.orders(state)

    simulate(problem, watched, scenarios)
    return Support.of(np.concatenate(seen), columns, actor.network)


def _columns(observations: NDArray[Any], columns: Sequence[str]) -> dict[str, Floats]:
    """[M] the values of each column by its name."""
    values = np.asarray(observations, dtype=np.float64)
    if values.ndim != 2 or values.shape[1] != len(columns) or len(set(columns)) < len(columns):
        raise MethodError(f"observations must have shape [M, {len(columns)}], one column a name (got {values.shape})")
    if len(values) < FEWEST or not np.isfinite(values).all():
        raise MethodError(f"a support needs at least {FEWEST:,} observations, all finite (got {len(values):,})")
    return dict(zip(columns, values.T, strict=True))
