"""A finished run, read back from its folder: all that the figures and the report are made from."""

from __future__ import annotations

import csv
import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from echelon.envs.errors import ConfigError

COST_KINDS = (
    "holding",
    "processing_holding",
    "transit_holding",
    "stockout",
    "purchase",
    "fixed",
    "scrap",
    "revenue",
)
"""The columns of results.csv that sum to its cost."""

SUMMARY = [
    *("problem", "policy", "kind", "parameters", "model_cost", "mean", "half_width", "confidence"),
    *("reference", "reference_kind"),
    *("gap_percent", "gap_half_width", "difference", "difference_half_width", "verdict"),
    *("fill_rate", "alpha", "seconds"),
]
RESULTS = ["problem", "policy", *COST_KINDS]
TRAINING = ["problem", "policy", "steps", "cost", "half_width"]
TRACE = ["problem", "policy", "period", "node", "on_hand", "backorders", "ordered", "demand"]

Row = dict[str, str]
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

    @cached_property
    def policy_names(self) -> tuple[str, ...]:
        """Every policy of the run once, by problem and then by cost: the order that colours are given out in."""
        return tuple(dict.fromkeys(policy.name for result in self.results for policy in result.policies))


def read_run(folder: Path) -> Run:
    """Read a run folder. Raises `ConfigError` that names what is missing or cannot be read."""
    summary = _by_problem(_rows(folder / "summary.csv", SUMMARY))
    if not summary:
        raise ConfigError([f"{folder / 'summary.csv'} must have at least one row (got none)"])
    described, networks = _json(folder / "problems.json"), _json(folder / "networks.json")
    costs, replications = _mean_costs(_rows(folder / "results.csv", RESULTS))
    training, traces = _training(folder / "training.csv"), _traces(folder / "trace.csv")
    results = []
    for name, rows in summary.items():
        policies = [_policy(row, costs, training=training, traces=traces, file=folder / "summary.csv") for row in rows]
        policies.sort(key=lambda policy: policy.mean)
        results.append(_result(rows[0], described.get(name, {}), networks.get(name), policies, replications[name]))
    config = folder / "config.yaml"
    text = config.read_text(encoding="utf-8") if config.exists() else ""
    return Run(folder.resolve().name, tuple(results), _json(folder / "manifest.json"), text)


def _policy(
    row: Row,
    costs: Mapping[Key, Mapping[str, float]],
    *,
    training: Mapping[Key, TrainingCurve],
    traces: Mapping[Key, tuple[NodeTrace, ...]],
    file: Path,
) -> PolicyResult:
    key = (row["problem"], row["policy"])
    mean = _number(row["mean"])
    if mean is None:
        raise ConfigError([f"{file}: mean of policy {key[1]!r} on {key[0]!r} must be a number (got {row['mean']!r})"])
    return PolicyResult(
        name=key[1],
        kind=row["kind"],
        parameters=json.loads(row["parameters"] or "{}"),
        mean=mean,
        half_width=_number(row["half_width"]),
        gap=_number(row["gap_percent"]),
        gap_half_width=_number(row["gap_half_width"]),
        difference=_number(row["difference"]),
        difference_half_width=_number(row["difference_half_width"]),
        verdict=row["verdict"],
        fill_rate=_number(row["fill_rate"]),
        alpha=_number(row["alpha"]),
        seconds=_number(row["seconds"]),
        costs=costs.get(key, {}),
        training=training.get(key),
        trace=traces.get(key, ()),
    )


def _result(
    row: Row,
    described: Mapping[str, Any],
    network: Mapping[str, Any] | None,
    policies: list[PolicyResult],
    replications: int,
) -> Result:
    return Result(
        name=row["problem"],
        title=str(described.get("title") or row["problem"]),
        citation=str(described.get("citation") or ""),
        objective=str(described.get("objective") or "average cost per period"),
        reference=_number(row["reference"]),
        reference_kind=row["reference_kind"],
        reference_source=str(described.get("reference_source") or ""),
        parameters=described.get("parameters") or {},
        methods=described.get("methods") or {},
        periods=int(described.get("periods") or 0),
        warm_up=int(described.get("warm_up") or 0),
        confidence=_number(row["confidence"]) or 0.95,
        replications=replications,
        network=network,
        policies=tuple(policies),
    )


def _mean_costs(rows: Iterator[Row]) -> tuple[dict[Key, dict[str, float]], defaultdict[str, int]]:
    """Mean cost by kind of every problem and policy, and the largest number of replications of every problem."""
    columns: defaultdict[Key, list[list[float]]] = defaultdict(list)
    for row in rows:
        columns[row["problem"], row["policy"]].append([float(row[kind]) for kind in COST_KINDS])
    means, replications = {}, defaultdict[str, int](int)
    for key, values in columns.items():
        sums = [math.fsum(column) for column in zip(*values, strict=True)]
        means[key] = {kind: total / len(values) for kind, total in zip(COST_KINDS, sums, strict=True)}
        replications[key[0]] = max(replications[key[0]], len(values))
    return means, replications


def _training(file: Path) -> dict[Key, TrainingCurve]:
    points: defaultdict[Key, list[tuple[float, float, float]]] = defaultdict(list)
    for row in _rows(file, TRAINING) if file.exists() else ():
        steps, cost = _number(row["steps"]), _number(row["cost"])
        if steps is not None and cost is not None:
            points[row["problem"], row["policy"]].append((steps, cost, _number(row["half_width"]) or 0.0))
    return {key: TrainingCurve(*zip(*sorted(rows), strict=True)) for key, rows in points.items()}


def _traces(file: Path) -> dict[Key, tuple[NodeTrace, ...]]:
    paths: defaultdict[Key, defaultdict[str, list[tuple[float, ...]]]] = defaultdict(lambda: defaultdict(list))
    for row in _rows(file, TRACE) if file.exists() else ():
        units = (_number(row[name]) or 0.0 for name in ("on_hand", "backorders", "ordered", "demand"))
        paths[row["problem"], row["policy"]][row["node"]].append((int(row["period"]), *units))
    return {key: tuple(_node_trace(node, rows) for node, rows in nodes.items()) for key, nodes in paths.items()}


def _node_trace(node: str, rows: list[tuple[float, ...]]) -> NodeTrace:
    period, *quantities = zip(*sorted(rows), strict=True)
    return NodeTrace(node, tuple(int(t) for t in period), *quantities)


def _by_problem(rows: Iterator[Row]) -> dict[str, list[Row]]:
    problems: defaultdict[str, list[Row]] = defaultdict(list)
    for row in rows:
        problems[row["problem"]].append(row)
    return problems


def _rows(file: Path, columns: Sequence[str]) -> Iterator[Row]:
    _must_exist(file)
    with file.open(encoding="utf-8", newline="") as lines:
        reader = csv.DictReader(lines)
        missing = [column for column in columns if column not in (reader.fieldnames or columns)]
        if missing:
            raise ConfigError([f"{file} must have the columns {', '.join(columns)} (lacks {', '.join(missing)})"])
        yield from reader


def _json(file: Path) -> Mapping[str, Any]:
    _must_exist(file)
    content: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content


def _must_exist(file: Path) -> None:
    if not file.exists():
        raise ConfigError([f"a run folder must hold {file.name} (got none in {file.parent}); has the run ended?"])


def _number(text: str) -> float | None:
    """A finite number, or None for an empty cell."""
    value = float(text) if text.strip() else math.nan
    return value if math.isfinite(value) else None
