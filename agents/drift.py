"""A monitor that tells when demand, or any other stream, no longer is what a policy was trained on.

The cumulative sums of Page (1954): with z the deviation of a period's value from its mean in standard deviations,

    up <- max(0, up + z - slack),    down <- max(0, down - z - slack),

and an alarm is raised once a sum of any column exceeds the threshold. A slack of half a standard deviation finds
a shift of one soonest. The thresholds are set by simulation, so that without any change the first alarm comes after
`run_length` periods on average, whatever the law of the stream and however its periods depend on each other, and
each column raises as many false alarms to either side: skewed demand has a higher threshold for rises.

E. S. Page, Continuous inspection schemes, Biometrika 41, 1954.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from echelon.envs.codec import Codec
from echelon.envs.errors import MethodError
from echelon.envs.network import Network
from echelon.envs.scenarios import sample

Floats = NDArray[np.float64]

RUN_LENGTH = 500
"""Periods between false alarms, on average."""
SLACK = 0.5
REPLICATIONS = 1_000
NUMBERS = 20_000_000
"""Most numbers that a threshold is set from."""


@dataclass(frozen=True, eq=False)
class DriftMonitor:
    """Cumulative sums over the columns of a stream; the caller keeps the sums from period to period."""

    names: tuple[str, ...]
    """K columns."""
    mean: Floats
    """[P, K] for every phase of the calendar."""
    sd: Floats
    """[P, K]"""
    threshold: Floats
    """[2, K] of the sums up and down."""
    slack: float = SLACK

    @classmethod
    def of(
        cls, paths: Floats, names: Sequence[str], *, cycle: int = 1, run_length: int = RUN_LENGTH, slack: float = SLACK
    ) -> DriftMonitor:
        """The monitor of a stream of which paths [R, T, K] without a change are known, T at least `run_length`.

        If run lengths are geometric, no alarm comes in `run_length` periods with probability exp(-1). Thresholds
        that share the alarms evenly are scaled to that quantile of the highest sum on a path.
        """
        values = np.asarray(paths, dtype=np.float64)
        if values.ndim != 3 or values.shape[1] < max(run_length, cycle) or not np.isfinite(values).all():
            raise MethodError(f"paths must be finite and have shape [R, T, K], T >= run_length (got {values.shape})")
        phases = [values[:, phase::cycle].reshape(-1, values.shape[2]) for phase in range(cycle)]
        mean = np.array([phase.mean(axis=0) for phase in phases])
        sd = np.maximum([phase.std(axis=0) for phase in phases], 1e-6 * np.maximum(np.abs(mean), 1.0))
        peaks = cls(tuple(names), mean, sd, np.ones((2, values.shape[2])), slack)._peaks(values[:, :run_length])
        even = np.maximum(np.quantile(peaks, np.exp(-1 / peaks[0].size), axis=0), slack)
        scale = np.quantile((peaks / even).max(axis=(1, 2)), np.exp(-1))
        return cls(tuple(names), mean, sd, even * max(scale, 1e-9), slack)

    def start(self, batch: int = 1) -> Floats:
        """Sums [B, 2, K] before the first period."""
        return np.zeros((batch, 2, len(self.names)))

    def update(self, sums: Floats, values: Floats, period: int) -> Floats:
        """Sums [B, 2, K] after the values [B, K] of a period."""
        phase = period % len(self.mean)
        z = (values - self.mean[phase]) / self.sd[phase]
        return np.asarray(np.maximum(sums + np.stack([z, -z], axis=1) - self.slack, 0.0))

    def alarms(self, sums: Floats) -> list[list[str]]:
        """For each of B copies what has drifted and where to: "demand at 'store' is higher"."""
        words = [f"{name} is {way}" for way in ("higher", "lower") for name in self.names]
        beyond = (sums > self.threshold).reshape(len(sums), -1)
        return [[words[k] for k in np.flatnonzero(row)] for row in beyond]

    def highest(self, paths: Floats) -> Floats:
        """[B, T] the highest sum after each period of paths [B, T, K], in units of its threshold."""
        sums, found = self.start(len(paths)), np.empty(paths.shape[:2])
        for period in range(paths.shape[1]):
            sums = self.update(sums, paths[:, period], period)
            found[:, period] = (sums / self.threshold).max(axis=(1, 2))
        return found

    def first_alarm(self, paths: Floats) -> NDArray[np.int64]:
        """[B] the period of the first alarm on paths [B, T, K], -1 where there is none."""
        beyond = self.highest(paths) > 1
        return np.where(beyond.any(axis=1), beyond.argmax(axis=1), -1)

    def _peaks(self, paths: Floats) -> Floats:
        """[B, 2, K] the highest value of each sum on paths [B, T, K]."""
        sums = peaks = self.start(len(paths))
        for period in range(paths.shape[1]):
            sums = self.update(sums, paths[:, period], period)
            peaks = np.maximum(peaks, sums)
        return peaks


def demand_monitor(
    network: Network, *, run_length: int = RUN_LENGTH, slack: float = SLACK, seed: int = 0
) -> DriftMonitor:
    """The monitor of the demand of a network's outlets: of each, and of all together if there are several.

    Demand, not sales: where sales are lost, what was not served must be counted. Raises `MethodError` for demand with
    a trend.
    """
    cycle = Codec(network).cycle
    growing = [node.name for node in network.outlets if node.demand and (node.demand.trend or node.demand.growth)]
    if growing:
        raise MethodError(f"demand_monitor needs demand without trend or growth (got it at {growing[0]!r})")
    replications = max(100, min(REPLICATIONS, NUMBERS // (run_length * len(network.laws))))
    periods = -(-run_length // cycle) * cycle
    scenarios = sample(network, periods=periods, replications=replications, seed=seed, stream="drift")
    names = [f"demand at {node.name!r}" for node in network.outlets]
    several = ["demand of all outlets"] if len(names) > 1 else []
    return DriftMonitor.of(
        with_total(scenarios.demand), names + several, cycle=cycle, run_length=run_length, slack=slack
    )


def with_total(demand: Floats) -> Floats:
    """[..., K] the demand [..., C] of outlets as `demand_monitor` watches it: with the total behind, if C > 1."""
    values = np.asarray(demand, dtype=np.float64)
    return values if values.shape[-1] == 1 else np.concatenate([values, values.sum(axis=-1, keepdims=True)], axis=-1)
