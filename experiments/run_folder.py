"""A finished run, read back from its folder: all that the figures and the report are made from."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from echelon.envs.errors import ConfigError
from echelon.experiments.folder_tables import Row, json_object, number, rows, rows_if_any
from echelon.experiments.measured import COST_KINDS as COST_KINDS
from echelon.experiments.measured import RESULTS as RESULTS
from echelon.experiments.measured import Measured, Share, Spread, read_measured, share, spread
from echelon.experiments.missing import Missing, failed_in, left_out_in
from echelon.experiments.observed import NodeFlow, OrderMap, read_flows, read_maps

SUMMARY = [
    *("problem", "policy", "kind", "parameters", "model_cost", "mean", "half_width", "confidence"),
    *("reference", "reference_kind"),
    *("gap_percent", "gap_half_width", "difference", "difference_half_width", "verdict"),
    *("fill_rate", "alpha", "seconds"),
]
TRAINING = ["problem", "policy", "steps", "cost", "half_width"]
TRACE = ["problem", "policy", "period", "node", "on_hand", "backorders", "ordered", "demand"]

Key = tuple[str, str]


@dataclass(frozen=True)
class NodeTrace:
    """What one node held and ordered along one sample path: units at the end of each period, [T]."""

    node: str
    period: tuple[int, ...]
    on_hand: tuple[float, ...]
    backorders: tuple[float, ...]
    ordered: tuple[float, ...]
    demand: tuple[float, ...]


@dataclass(frozen=True)
class TrainingCurve:
    """Cost on the validation scenarios after so many environment steps, [checkpoints]."""

    steps: tuple[float, ...]
    cost: tuple[float, ...]
    half_width: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class PolicyResult:
    """How one policy did on one problem; a half width is None where there was nothing to estimate it from."""

    name: str
    kind: str
    parameters: Mapping[str, Any]
    mean: float
    half_width: float | None
    gap: float | None
    """Per cent above the reference."""
    gap_half_width: float | None
    difference: float | None
    """Mean cost less that of the best policy of the problem, on common scenarios."""
    difference_half_width: float | None
    verdict: str
    fill_rate: float | None
    alpha: float | None
    seconds: float | None
    costs: Mapping[str, float]
    """Mean cost by kind."""
    training: TrainingCurve | None
    trace: tuple[NodeTrace, ...]
    spent: Spread | None = None
    """Cost but for stockouts."""
    served: Share | None = None
    """Fill rate."""
    maps: tuple[OrderMap, ...] = ()
    flows: tuple[NodeFlow, ...] = ()


@dataclass(frozen=True, eq=False)
class Result:
    """One problem of a run: what is known about it, and its policies from the lowest mean cost upward."""

    name: str
    title: str
    citation: str
    objective: str
    reference: float | None
    reference_kind: str
    reference_source: str
    parameters: Mapping[str, Any]
    methods: Mapping[str, str]
    """Where a policy's method was published, for those that were."""
    periods: int
    """Periods of a replication, 0 if unknown."""
    warm_up: int
    """Periods at the start that do not count."""
    confidence: float
    replications: int
    """Of the policy that has the most; they differ where a precision was asked for."""
    fewest_replications: int
    network: Mapping[str, Any] | None
    policies: tuple[PolicyResult, ...]

    @cached_property
    def best(self) -> PolicyResult:
        """The policy that the paired differences are taken to."""
        return next((policy for policy in self.policies if policy.verdict == "best"), self.policies[0])

    @cached_property
    def discounted(self) -> bool:
        """Whether the objective is a discounted total and not an average per period."""
        return self.objective.startswith("discounted")


@dataclass(frozen=True, eq=False)
class Run:
    """A run folder as data."""

    name: str
    results: tuple[Result, ...]
    manifest: Mapping[str, Any]
    config: str
    failed: tuple[Missing, ...] = ()
    left_out: tuple[Missing, ...] = ()

    @cached_property
    def policy_names(self) -> tuple[str, ...]:
        """Every policy of the run once, by problem and then by cost: the order that colours are given out in."""
        return tuple(dict.fromkeys(policy.name for result in self.results for policy in result.policies))


@dataclass(frozen=True, eq=False)
class _Tables:
    """What the tables but the summary hold, by problem and policy."""

    measured: Mapping[Key, Measured]
    training: Mapping[Key, TrainingCurve]
    traces: Mapping[Key, tuple[NodeTrace, ...]]
    maps: Mapping[Key, tuple[OrderMap, ...]]
    flows: Mapping[Key, tuple[NodeFlow, ...]]


def read_run(folder: Path) -> Run:
    """Read a run folder. Raises `ConfigError` that names what is missing or cannot be read."""
    file = folder / "summary.csv"
    summary = _by_problem(rows(file, SUMMARY))
    if not summary:
        raise ConfigError([f"{file} must have at least one row (got none)"])
    described, networks = json_object(folder / "problems.json"), json_object(folder / "networks.json")
    tables = _Tables(
        read_measured(folder / "results.csv"),
        _training(folder / "training.csv"),
        _traces(folder / "trace.csv"),
        read_maps(folder / "policy_map.csv"),
        read_flows(folder / "bullwhip.csv"),
    )
    results = []
    for name, found in summary.items():
        policies = sorted((_policy(row, tables, file=file) for row in found), key=lambda policy: policy.mean)
        replications = [m.replications for (problem, _), m in tables.measured.items() if problem == name] or [0]
        results.append(_result(found[0], described.get(name, {}), networks.get(name), policies, replications))
    config = folder / "config.yaml"
    text = config.read_text(encoding="utf-8") if config.exists() else ""
    told = json_object(folder / "manifest.json")
    return Run(folder.resolve().name, tuple(results), told, text, failed_in(told), left_out_in(told, text))


def _policy(row: Row, tables: _Tables, *, file: Path) -> PolicyResult:
    key = (row["problem"], row["policy"])
    mean, confidence = number(row["mean"]), _confidence(row)
    if mean is None:
        raise ConfigError([f"{file}: mean of policy {key[1]!r} on {key[0]!r} must be a number (got {row['mean']!r})"])
    measured = tables.measured.get(key)
    return PolicyResult(
        name=key[1],
        kind=row["kind"],
        parameters=json.loads(row["parameters"] or "{}"),
        mean=mean,
        half_width=number(row["half_width"]),
        gap=number(row["gap_percent"]),
        gap_half_width=number(row["gap_half_width"]),
        difference=number(row["difference"]),
        difference_half_width=number(row["difference_half_width"]),
        verdict=row["verdict"],
        fill_rate=number(row["fill_rate"]),
        alpha=number(row["alpha"]),
        seconds=number(row["seconds"]),
        costs=measured.costs if measured else {},
        spent=spread(measured.spent, confidence=confidence) if measured else None,
        served=share(measured.served, confidence=confidence) if measured else None,
        training=tables.training.get(key),
        trace=tables.traces.get(key, ()),
        maps=tables.maps.get(key, ()),
        flows=tables.flows.get(key, ()),
    )


def _confidence(row: Row) -> float:
    return number(row["confidence"]) or 0.95


def _result(
    row: Row,
    described: Mapping[str, Any],
    network: Mapping[str, Any] | None,
    policies: list[PolicyResult],
    replications: list[int],
) -> Result:
    return Result(
        name=row["problem"],
        title=str(described.get("title") or row["problem"]),
        citation=str(described.get("citation") or ""),
        objective=str(described.get("objective") or "average cost per period"),
        reference=number(row["reference"]),
        reference_kind=row["reference_kind"],
        reference_source=str(described.get("reference_source") or ""),
        parameters=described.get("parameters") or {},
        methods=described.get("methods") or {},
        periods=int(described.get("periods") or 0),
        warm_up=int(described.get("warm_up") or 0),
        confidence=_confidence(row),
        replications=max(replications),
        fewest_replications=min(replications),
        network=network,
        policies=tuple(policies),
    )


def _training(file: Path) -> dict[Key, TrainingCurve]:
    points: defaultdict[Key, list[tuple[float, float, float]]] = defaultdict(list)
    for row in rows_if_any(file, TRAINING):
        steps, cost = number(row["steps"]), number(row["cost"])
        if steps is not None and cost is not None:
            points[row["problem"], row["policy"]].append((steps, cost, number(row["half_width"]) or 0.0))
    return {key: TrainingCurve(*zip(*sorted(found), strict=True)) for key, found in points.items()}


def _traces(file: Path) -> dict[Key, tuple[NodeTrace, ...]]:
    paths: defaultdict[Key, defaultdict[str, list[tuple[float, ...]]]] = defaultdict(lambda: defaultdict(list))
    for row in rows_if_any(file, TRACE):
        units = (number(row[name]) or 0.0 for name in ("on_hand", "backorders", "ordered", "demand"))
        paths[row["problem"], row["policy"]][row["node"]].append((int(row["period"]), *units))
    return {key: tuple(_node_trace(node, found) for node, found in nodes.items()) for key, nodes in paths.items()}


def _node_trace(node: str, found: list[tuple[float, ...]]) -> NodeTrace:
    period, *quantities = zip(*sorted(found), strict=True)
    return NodeTrace(node, tuple(int(t) for t in period), *quantities)


def _by_problem(found: Iterator[Row]) -> dict[str, list[Row]]:
    problems: defaultdict[str, list[Row]] = defaultdict(list)
    for row in found:
        problems[row["problem"]].append(row)
    return problems
