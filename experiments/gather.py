"""The tables of a run, gathered from its cells."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from echelon.baselines import reference_of
from echelon.envs.arguments import plain
from echelon.envs.problem import Problem, Reference
from echelon.experiments.cell_files import CELLS, read_cell, table_text
from echelon.experiments.cells import Cell, cells_of
from echelon.experiments.config import Config
from echelon.experiments.evaluate import Difference, compare, estimate, gap
from echelon.experiments.whole_folder import write_file, write_json

Row = dict[str, Any]
Floats = NDArray[np.float64]

TABLES = ("results", "training", "trace", "policy_map", "bullwhip")
"""Those that are the rows of all cells, one after the other."""
SAME_OPTIMUM = 1e-4
"""Share of the cost by which a reference may be rounded."""
MOST_LUCK = 4.0
"""Standard errors by which the simulated cost of an optimal policy may miss its exact cost."""


class Ranked(Protocol):
    """A policy as tables describe it."""

    @property
    def name(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def parameters(self) -> Mapping[str, Any]: ...
    @property
    def seconds(self) -> float: ...
    @property
    def model_cost(self) -> float | None: ...


class Measured(Protocol):
    """What a policy cost and achieved in each replication [B]."""

    @property
    def cost(self) -> Floats: ...
    @property
    def fill_rate(self) -> Floats: ...
    @property
    def alpha(self) -> Floats: ...


@dataclass(frozen=True, eq=False)
class Finished:
    """A finished cell: its policy, and what it cost and achieved in each replication [B]."""

    name: str
    kind: str
    parameters: Mapping[str, Any]
    seconds: float
    citation: str
    model_cost: float | None
    cost: Floats
    fill_rate: Floats
    alpha: Floats


def gather(run: Path, config: Config) -> bool:
    """Write the tables of a run from its finished cells; whether there is one. Cells that are not there are left out.

    Raises `DamagedCell` if a cell is not as it was written.
    """
    read = {cell: read_cell(run, cell) for cell in cells_of(config).values()}
    cells = {cell: record for cell, record in read.items() if record is not None}
    summary: list[Row] = []
    problems: Row = {}
    networks: Row = {}
    (run / "networks").mkdir(exist_ok=True)
    for name, section in config.problems.items():
        finished = [_finished(run, cell, record) for cell, record in cells.items() if cell.problem_name == name]
        if finished:
            problem = section.problem
            reference, rows = _summaries(problem, finished, config.confidence)
            summary += [{"problem": name, **row} for row in rows]
            problems[name] = _problem_record(problem, reference, finished)
            networks[name] = _network_record(problem)
            problem.network.to_yaml(run / "networks" / f"{name}.yaml")
    if not cells:
        return False
    for table in TABLES:
        write_file(run / f"{table}.csv", _joined([cell.place(run, CELLS) / f"{table}.csv" for cell in cells]))
    write_json(run / "problems.json", problems)
    write_json(run / "networks.json", networks)
    write_file(run / "summary.csv", table_text(summary))
    return True


def _joined(files: Sequence[Path]) -> Iterator[str]:
    """The tables of cells as one, in parts; rows are copied as they stand unless their columns differ."""
    found = [file for file in files if file.exists()]
    headers = {_header(file) for file in found}
    if len(headers) <= 1:
        yield "".join(headers) or "\n"
        yield from (file.read_text(encoding="utf-8").partition("\n")[2] for file in found)
    else:
        texts = [file.read_text(encoding="utf-8").splitlines() for file in found]
        yield table_text([row for text in texts for row in csv.DictReader(text)])


def _header(file: Path) -> str:
    with file.open(encoding="utf-8") as stream:
        return stream.readline()


def _finished(run: Path, cell: Cell, record: Row) -> Finished:
    file = cell.place(run, CELLS) / "results.csv"
    with file.open(encoding="utf-8", newline="") as stream:
        header = next(csv.reader(stream))
        places = [header.index(name) for name in ("cost", "fill_rate", "alpha")]
        numbers = np.loadtxt(stream, delimiter=",", quotechar='"', comments=None, usecols=places, ndmin=2)
    cost, fill_rate, alpha = numbers.T.copy()
    return Finished(
        name=cell.policy_name,
        kind=record["kind"],
        parameters=record["parameters"],
        seconds=record["seconds"],
        citation=record["citation"],
        model_cost=record["model_cost"],
        cost=cost,
        fill_rate=fill_rate,
        alpha=alpha,
    )


def _summaries(
    problem: Problem, finished: Sequence[Finished], confidence: float
) -> tuple[Reference | None, Iterator[Row]]:
    """The reference of a problem, and the figures of its policies.

    Differences are taken over the replications that all policies have met, the first ones.
    """
    common = min(len(policy.cost) for policy in finished)
    reference, luck = _yardstick(reference_of(problem), finished)
    differences = compare({policy.name: policy.cost[:common] for policy in finished}, confidence=confidence)
    rows = (
        {**summary_row(policy, policy, reference, confidence, luck), **_difference_columns(differences[policy.name])}
        for policy in finished
    )
    return reference, rows


def _yardstick(reference: Reference | None, finished: Sequence[Finished]) -> tuple[Reference | None, Floats | None]:
    """The reference to measure gaps against, and the luck of the scenarios [B] where an optimal policy has met them.

    The exact cost of an optimal policy is known, so what it cost more or less on each scenario is chance, of
    mean 0; without it gaps are as sharp as paired differences. A policy that misses its cost by more than chance
    explains is no yardstick.
    """
    for policy in finished:
        cost = policy.model_cost if policy.kind == "optimal" else None
        if cost is None or reference is None or reference.kind != "optimal":
            continue
        luck = policy.cost - cost
        error = luck.std(ddof=1) / len(luck) ** 0.5
        if math.isclose(cost, reference.value, rel_tol=SAME_OPTIMUM) and abs(luck.mean()) <= MOST_LUCK * error:
            return Reference(cost, "optimal", reference.source), luck
    return reference, None


def summary_row(
    policy: Ranked, measured: Measured, reference: Reference | None, confidence: float, luck: Floats | None = None
) -> Row:
    """The figures of one policy on one problem; the gap is that of the costs less the `luck` [B] of the scenarios."""
    cost = estimate(measured.cost, confidence=confidence)
    common = len(measured.cost) if luck is None else min(len(measured.cost), len(luck))
    fair = cost if luck is None else estimate(measured.cost[:common] - luck[:common], confidence=confidence)
    above = gap(fair, reference)
    return {
        "policy": policy.name,
        "kind": policy.kind,
        "parameters": json.dumps(dict(policy.parameters), default=plain),
        "model_cost": policy.model_cost,
        "mean": cost.mean,
        "half_width": cost.half_width,
        "confidence": confidence,
        "reference": reference.value if reference else None,
        "reference_kind": reference.kind if reference else None,
        "gap_percent": above.percent if above else None,
        "gap_half_width": above.half_width if above else None,
        "fill_rate": float(measured.fill_rate.mean()),
        "alpha": float(measured.alpha.mean()),
        "seconds": policy.seconds,
    }


def _difference_columns(difference: Difference) -> Row:
    best = difference.verdict == "best"
    return {
        "difference": difference.estimate.mean,
        "difference_half_width": None if best else difference.estimate.half_width,
        "verdict": difference.verdict,
    }


def _problem_record(problem: Problem, reference: Reference | None, finished: Sequence[Finished]) -> Row:
    return {
        "title": problem.name,
        "parameters": {name: _plain(value) for name, value in problem.parameters.items()},
        "periods": problem.periods,
        "warm_up": problem.warm_up,
        "citation": problem.citation,
        "objective": "average cost per period" if problem.discount == 1 else "discounted cost",
        "reference_source": reference.source if reference else "",
        "methods": {policy.name: policy.citation for policy in finished if policy.citation},
    }


def _plain(value: Any) -> Any:
    return value if isinstance(value, int | float | str | bool | list | dict | None) else str(value)


def _network_record(problem: Problem) -> Row:
    nodes = [
        {"name": n.name, "outlet": n.demand is not None, "holding_cost": n.holding_cost} for n in problem.network.nodes
    ]
    links = [
        {"source": x.source, "target": x.target, "lead_time": _span(x.lead_times)}
        for x in problem.network.links
        if not x.lateral
    ]
    return {"nodes": nodes, "links": links}


def _span(periods: Sequence[int]) -> int | str:
    shortest, longest = min(periods), max(periods)
    return shortest if shortest == longest else f"{shortest} to {longest}"
