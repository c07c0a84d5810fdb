"""The 38 real supply chains of Willems (2008) as networks.

Their user gets the data from the paper's electronic companion and must cite the paper; only this
loader is part of Echelon. What the data leave open is settled here, and `load_willems` says how.
"""

from __future__ import annotations

import csv
import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Literal

from echelon.envs.demand import Deterministic, Gamma, Normal
from echelon.envs.errors import NetworkError
from echelon.envs.network import OUTSIDE, Link, Network, Node

CITATION = (
    "S. P. Willems (2008), Data Set: Real-World Multiechelon Supply Chains Used for Inventory Optimization, "
    "Manufacturing & Service Operations Management 10(1), 19-23, doi:10.1287/msom.1070.0176"
)
CHAINS = range(1, 39)
SHA256 = {
    "stages.csv": "a86f0d0a817f61cd52f5670611863c35dbc4d86e04ee01eecd7047bc2e62a393",
    "arcs.csv": "858ef28dd05c34313d7035b42d4d5fa6797944a17ab7cee81e38f4963a47d028",
}
"""Checksums of the tables that the loader was written for: the sheets of the workbook, one after the other."""

MISSING_SERVICE_LEVEL = 0.95
HIGHEST_SERVICE_LEVEL = 0.999
LARGEST_NORMAL_VARIATION = 0.4
"""Coefficient of variation beyond which normal demand would lose more than 0.6 % of its mass to truncation at 0."""
MOST_TIMES = 6
"""How many columns the discrete distribution of a stage time has."""

Rounding = Literal["up", "nearest"]


@dataclass(frozen=True)
class WillemsStage:
    """One row of the data, and the arcs into it: costs are money per unit, demands units per period, times periods."""

    name: str
    cost: float
    """What the stage adds to the cost of its inputs."""
    time: float
    times: Mapping[float, float]
    """The discrete distribution of the stage time, time to probability; empty where the data have none."""
    rel_depth: float | None
    """How far from the customers the stage is drawn; None where the table has no such column."""
    mean: float | None
    """Mean demand of the stage's customers; None without customers."""
    sd: float
    service_level: float
    max_service_time: float | None
    inputs: tuple[str, ...] = ()


def load_willems(
    folder: str | Path,
    chain: int,
    *,
    holding_rate: float = 0.001,
    rounding: Rounding = "up",
    verify: bool = True,
) -> Network:
    """Chain 1, ..., 38 of the data set, from `stages.csv` and `arcs.csv` in `folder`.

    Every arc brings one unit of a required component. The lead time of every link into a stage is the
    stage's time, rounded up or to the nearest whole period (a half goes up); a stage without inputs is
    supplied from outside. Times are means: the lead-time distributions that some stages have are not
    used, nor are the maximum service times, which belong to the guaranteed-service model.

    A stage holds at `holding_rate` times its cumulative cost per unit and period, and a unit in transit
    at the rate of the stage that shipped it. Every stage starts with a
    period's mean demand on hand and in every slot of its pipelines. Unmet demand waits, at the cost
    h * a / (1 - a) for which the newsvendor's critical ratio is the service level a, at most 0.999.
    Demand is normal up to a coefficient of variation of 0.4, gamma beyond, and constant where it does
    not vary.

    Raises `NetworkError` if the files are missing or, unless `verify` is false, are not the known ones.
    """
    if rounding not in ("up", "nearest"):
        raise NetworkError(f"rounding must be 'up' or 'nearest' (got {rounding!r})")
    if not (holding_rate >= 0 and math.isfinite(holding_rate)):
        raise NetworkError(f"holding_rate must be at least 0 and finite (got {holding_rate!r})")
    stages = read_chain(folder, chain, verify=verify)
    holding_cost = {name: holding_rate * cost for name, cost in cumulative_costs(stages).items()}
    data = {
        "name": f"willems_{chain:02d}",
        "description": f"Chain {chain} of {CITATION}.",
        "units": "continuous",
        "nodes": [_node(stage, holding_cost[stage.name]) for stage in stages.values()],
        "links": [link for stage in stages.values() for link in _links(stage, holding_cost, rounding)],
    }
    return Network.from_dict(data).with_running_stock()


def read_chain(folder: str | Path, chain: int, *, verify: bool = True) -> dict[str, WillemsStage]:
    """The stages of one chain by name, in the order of the data; a repeated arc counts once.

    Raises `NetworkError` as `load_willems` does.
    """
    if chain not in CHAINS:
        raise NetworkError(f"chain must be a whole number from {CHAINS[0]} to {CHAINS[-1]} (got {chain!r})")
    stages = {row["Stage_Name"]: _stage(row) for row in _rows(Path(folder) / "stages.csv", chain, verify)}
    inputs: dict[str, dict[str, None]] = {name: {} for name in stages}
    for row in _rows(Path(folder) / "arcs.csv", chain, verify):
        if not {row["source"], row["destination"]} <= stages.keys():
            raise NetworkError(f"arcs.csv: chain {chain} has no stage for {row['source']} -> {row['destination']}")
        inputs[row["destination"]][row["source"]] = None
    return {name: replace(stage, inputs=tuple(inputs[name])) for name, stage in stages.items()}


def _rows(path: Path, chain: int, verify: bool) -> list[dict[str, str]]:
    """The rows of one chain."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise NetworkError(f"{path}: {error.strerror}; the file must hold a table of {CITATION}") from None
    checksum = hashlib.sha256(content).hexdigest()
    if verify and checksum != SHA256[path.name]:
        raise NetworkError(
            f"{path}: the SHA-256 checksum must be {SHA256[path.name]} (got {checksum}); "
            "pass verify=False to read another version of the data"
        )
    table = csv.DictReader(content.decode("utf-8").splitlines())
    return [row for row in table if row["chain"] == str(chain)]


def _stage(row: Mapping[str, str]) -> WillemsStage:
    return WillemsStage(
        name=row["Stage_Name"],
        cost=float(row["stageCost"]),
        time=float(row["stageTime"]),
        times=_times(row),
        rel_depth=_number(row, "relDepth"),
        mean=_number(row, "avgDemand"),
        sd=float(row["stdDevDemand"] or 0.0),
        service_level=min(float(row["serviceLevel"] or MISSING_SERVICE_LEVEL), HIGHEST_SERVICE_LEVEL),
        max_service_time=_number(row, "maxServiceTime"),
    )


def _number(row: Mapping[str, str], column: str) -> float | None:
    return float(row[column]) if row.get(column) else None


def _times(row: Mapping[str, str]) -> dict[float, float]:
    """The times that the row gives a probability, those that it names twice added up."""
    times: dict[float, float] = {}
    for k in range(1, MOST_TIMES + 1):
        time, probability = _number(row, f"stageTime_{k}"), _number(row, f"stageTime_%_{k}")
        if time is not None and probability:
            times[time] = times.get(time, 0.0) + probability
    return times


def cumulative_costs(stages: Mapping[str, WillemsStage]) -> dict[str, float]:
    """Money that one unit has cost when it leaves each stage: the stage's own cost and that of its inputs."""
    costs: dict[str, float] = {}
    try:
        for name in TopologicalSorter({name: stage.inputs for name, stage in stages.items()}).static_order():
            costs[name] = stages[name].cost + sum(costs[source] for source in stages[name].inputs)
    except CycleError as error:
        raise NetworkError(f"arcs.csv: the arcs must form no cycle (got {' -> '.join(error.args[1])})") from None
    return costs


def _node(stage: WillemsStage, holding_cost: float) -> Node:
    if stage.mean is None:
        return Node(name=stage.name, holding_cost=holding_cost)
    level = stage.service_level
    return Node(
        name=stage.name,
        holding_cost=holding_cost,
        demand=_demand(stage.mean, stage.sd),
        stockout_rule="backorder",
        stockout_cost=holding_cost * level / (1 - level),
    )


def _demand(mean: float, sd: float) -> Normal | Gamma | Deterministic:
    if mean == 0 or sd == 0:
        return Deterministic(values=(mean,))
    return Normal(mean=mean, sd=sd) if sd <= LARGEST_NORMAL_VARIATION * mean else Gamma(mean=mean, sd=sd)


def _links(stage: WillemsStage, holding_cost: Mapping[str, float], rounding: Rounding) -> list[Link]:
    lead_time = math.ceil(stage.time) if rounding == "up" else math.floor(stage.time + 0.5)
    return [
        Link(
            source=source,
            target=stage.name,
            lead_time=lead_time,
            transit_holding_cost=holding_cost.get(source, 0.0),
        )
        for source in stage.inputs or (OUTSIDE,)
    ]
