"""What a simulated policy achieved: service, stock, money and orders, by place and for the whole network.

`measure` turns an `Outcome` into metrics with one value per replication, `table` gives their means with
confidence intervals, and `METRICS` says what each metric means and which of them need the trace of the run.

- A mean over periods takes the weights of the problem: the periods after the warm-up alike, or discounted.
- Stock is that at the end of a period: after demand, before perished units are scrapped.
- A rate or ratio is one of sums over the counted periods of a replication. Its interval is one of the
  expected rate of such a horizon, which can differ from the long-run rate where the horizon is short.
- A place where some replication leaves nothing to divide by, such as the turns of a node that is never
  asked for anything, is left out; `METRICS` says where there is a natural value instead.
- Sums over the places of a network add units of different items where it has several.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from echelon.envs.errors import EchelonError, nearest
from echelon.envs.metric_definitions import METRICS as METRICS
from echelon.envs.metric_definitions import MONEY, SHARE, TURNS, Axis, Definition, Floats, Run
from echelon.envs.metric_definitions import unit_values as unit_values
from echelon.envs.simulate import Outcome

PLACES: dict[Axis, str] = {"N": "node", "E": "link", "C": "outlet"}


class MetricError(EchelonError, ValueError):
    """A metric is unknown, or cannot be measured on the outcome that was given."""


@dataclass(frozen=True, eq=False)
class Metric:
    """One metric of a run, for every replication."""

    name: str
    unit: str
    axis: Axis
    places: tuple[str, ...]
    """The K nodes, links or outlets, as `axis` says, at which there is something to measure."""
    values: Floats
    """[B, K] by place."""
    network: Floats | None
    """[B] of the whole network; None where some replication leaves nothing to measure."""


@dataclass(frozen=True)
class Row:
    """One line of a table: the mean over replications of a metric at a place, with its Student interval."""

    metric: str
    level: str
    """"network", "node", "link" or "outlet"."""
    place: str
    mean: float
    half_width: float
    unit: str

    @property
    def ends(self) -> tuple[float, float]:
        """The ends of the interval; see `share_ends` for a share."""
        if self.unit == SHARE:
            low, high = share_ends(self.mean, self.half_width)
            return float(low), float(high)
        return self.mean - self.half_width, self.mean + self.half_width


def share_ends(mean: ArrayLike, half_width: ArrayLike) -> tuple[Floats, Floats]:
    """The ends of mean ± half width of a share, such as a fill rate, as far as they lie within [0, 1].

    The expected share lies there too, so that what is cut off could never have held it.
    """
    at, width = np.asarray(mean, dtype=np.float64), np.asarray(half_width, dtype=np.float64)
    return np.clip(at - width, 0.0, 1.0), np.clip(at + width, 0.0, 1.0)


def measure(outcome: Outcome, names: Iterable[str] | None = None, *, periods_per_year: float = 1) -> dict[str, Metric]:
    """The metrics of a simulated run by name: those named, or all that the outcome allows.

    Without `simulate(..., trace=True)` that leaves out those that `METRICS` marks with `needs_trace`;
    asked for by name they raise `MetricError`. Inventory turns are those of `periods_per_year` periods.
    """
    if not (periods_per_year > 0 and math.isfinite(periods_per_year)):
        raise MetricError(f"periods_per_year must be above 0 and finite (got {periods_per_year})")
    traced = outcome.trace is not None
    chosen = [n for n, d in METRICS.items() if traced or not d.needs_trace] if names is None else list(names)
    run = Run(outcome, periods_per_year)
    return {name: _metric(name, _known(name), run) for name in chosen}


def table(
    outcome: Outcome, names: Iterable[str] | None = None, *, level: float = 0.95, periods_per_year: float = 1
) -> list[Row]:
    """Means over replications with Student's t intervals at `level`: the network first, then place by place.

    Raises `MetricError` for fewer than 2 replications, and for what `measure` does not take.
    """
    if not 0 < level < 1:
        raise MetricError(f"level must be between 0 and 1 (got {level})")
    rows = []
    for metric in measure(outcome, names, periods_per_year=periods_per_year).values():
        series = [] if metric.network is None else [("network", outcome.problem.network.name, metric.network)]
        series += [(PLACES[metric.axis], place, metric.values[:, k]) for k, place in enumerate(metric.places)]
        rows += [
            Row(metric.name, where, place, float(values.mean()), _half_width(values, level), metric.unit)
            for where, place, values in series
        ]
    return rows


def _known(name: str) -> Definition:
    if name not in METRICS:
        raise MetricError(f"unknown metric {name!r}{nearest(name, METRICS)}")
    return METRICS[name]


def _metric(name: str, definition: Definition, run: Run) -> Metric:
    if definition.needs_trace and run.outcome.trace is None:
        raise MetricError(f"metric {name!r} needs the trace of the run; call simulate(..., trace=True)")
    values, total = definition.of(run)
    network, unit = run.outcome.problem.network, definition.unit
    labels: dict[Axis, list[str]] = {
        "N": [node.name for node in network.nodes],
        "E": [link.label for link in network.links],
        "C": [outlet.name for outlet in network.outlets],
    }
    there = np.asarray(np.isfinite(values).all(axis=0))
    places = tuple(place for place, found in zip(labels[definition.axis], there, strict=True) if found)
    if unit == MONEY and run.outcome.problem.discount < 1:
        unit = "money, discounted"
    if unit == TURNS and run.periods_per_year != 1:
        unit = "per year"
    return Metric(name, unit, definition.axis, places, values[:, there], total if np.isfinite(total).all() else None)


def _half_width(values: Floats, level: float) -> float:
    """Half the width of Student's interval of the mean of independent replications [B]."""
    from scipy.special import stdtrit

    if len(values) < 2:
        raise MetricError(f"an interval needs at least 2 replications (got {len(values)})")
    return float(stdtrit(len(values) - 1, 0.5 + level / 2) * values.std(ddof=1) / math.sqrt(len(values)))
