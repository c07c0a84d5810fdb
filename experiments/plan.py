"""What `echelon plan` does: read a file or a published example, plan it by a method, and tell the plan."""

from __future__ import annotations

import csv
import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from echelon.baselines.guaranteed_service import GuaranteedService, guaranteed_service
from echelon.baselines.guaranteed_service_plan import require_guaranteed_service
from echelon.baselines.network_stages import stages_of
from echelon.baselines.service_analysis import stage_table
from echelon.baselines.stage_examples import STAGE_EXAMPLES
from echelon.baselines.stage_network import StageNetwork
from echelon.envs.errors import ConfigError, nearest
from echelon.envs.network import Network
from echelon.envs.problem import Problem
from echelon.envs.yaml_io import NETWORK_BYTES, Document, load_yaml, validate_document
from echelon.experiments.stage_map import write_stage_map

FOR_TABLES = ("assp", "dynamic", "multistage")
"""Methods that plan a folder of a planner's tables and nothing else: see `plan_folder`."""
MOST_STAGES = 40
"""How many stages are printed."""

Row = Mapping[str, str | float]


@dataclass(frozen=True)
class PlanReport:
    """A plan in the three forms in which it can be asked for."""

    record: Mapping[str, Any]
    """What --json prints."""
    rows: Sequence[Row]
    """What --csv writes: a row for each stage, all with the same columns."""
    head: str
    """The cost, its bound and the gap in a few lines."""
    text: str
    """The stages, printed below that unless they go elsewhere."""
    draw: Callable[[Path], None]
    """Writes the picture that --picture asks for. Raises `ConfigError` unless the file's name ends in .svg."""


def make_plan(source: str, *, method: str, service_level: float | None = None) -> PlanReport:
    """Plan the network in the file `source`, or the example of that name. Raises `ConfigError` or `MethodError`."""
    if method not in METHODS:
        raise ConfigError([f"--method: must be a planning method (got {method!r}){nearest(method, KNOWN)}"])
    if service_level is not None and not 0.5 < service_level < 1:
        raise ConfigError([f"--service: must be greater than 0.5 and less than 1 (got {service_level:g})"])
    return METHODS[method](source, service_level)


def write_rows(rows: Sequence[Row], path: Path) -> None:
    """Write the rows as CSV in one step: the file is whole or not there."""
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with temporary.open("w", encoding="utf-8", newline="") as stream:
            writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def _guaranteed_service(source: str, service_level: float | None) -> PlanReport:
    """The service times of least cost in the guaranteed-service model."""
    plan = guaranteed_service(_read_stages(source, service_level))
    record: dict[str, Any] = {
        "cost": plan.cost,
        "lower_bound": plan.lower_bound,
        "gap": plan.gap,
        "service_times": plan.service_times,
        "solve_seconds": plan.solve_seconds,
    }
    rows: list[dict[str, Any]] = stage_table(plan).to_dict("records")  # type: ignore[assignment]
    record["stages"] = rows
    return PlanReport(
        record, rows, "\n".join(_head(plan)), "\n".join(_table(rows)), lambda path: write_stage_map(plan, path)
    )


METHODS: dict[str, Callable[[str, float | None], PlanReport]] = {"gsm": _guaranteed_service}
"""What --method can be: each plans a source, with one service level for all customers or None."""
KNOWN = (*METHODS, *FOR_TABLES, "minmax")
"""All methods of `echelon plan`."""


def _read_stages(source: str, service_level: float | None) -> StageNetwork:
    path = Path(source)
    if path.exists():
        return _stages_in(load_yaml(path, max_bytes=NETWORK_BYTES), service_level)
    if source not in STAGE_EXAMPLES:
        raise ConfigError([f"{source}: there is no such file or example{nearest(source, STAGE_EXAMPLES)}"])
    example = STAGE_EXAMPLES[source]()
    return example if service_level is None else example.with_service_level(service_level)


def _stages_in(document: Document, service_level: float | None) -> StageNetwork:
    """The stages in a file of stages, or of a network file."""
    if "stages" in document.data:
        return _all_served(document, service_level) if service_level is not None else _served(document)
    if "nodes" in document.data:
        network = validate_document(document, Network)
        require_guaranteed_service(Problem(network.name, network, periods=1, warm_up=0))
        return stages_of(network, service_level=service_level)
    raise ConfigError([f"{document.file}: must have the key 'stages' (a file of stages) or 'nodes' (a network file)"])


def _served(document: Document) -> StageNetwork:
    """The stages as the file has them; where some lack a service level, the message says how to give one."""
    try:
        return validate_document(document, StageNetwork)
    except ConfigError as error:
        levels = {"service_level", "safety_factor", "demand_bound"}
        if all(levels & stage.keys() for stage in _listed(document) if _has_customers(stage)):
            raise
        hint = f"{document.file}: --service LEVEL gives every stage with customers the same service level"
        raise ConfigError([*error.problems, hint]) from None


def _all_served(document: Document, service_level: float) -> StageNetwork:
    """The stages of the file with one service level at all that have customers, whether it has levels or not."""
    promise = {"service_level": service_level, "safety_factor": None}
    stages = [{**stage, **promise} if _has_customers(stage) else stage for stage in _listed(document)]
    data = {**document.data, "stages": stages or document.data["stages"]}
    network = validate_document(replace(document, data=data), StageNetwork)
    for stage in network.stages:
        if stage.demand_bound:
            must = f"changes nothing at stage {stage.name}, to which {document.file} gives a demand_bound"
            raise ConfigError([f"--service: {must}; leave one of them out"])
    return network


def _listed(document: Document) -> list[Any]:
    """The stages as they are written, which may be anything; none where they are no list."""
    stages = document.data["stages"]
    return stages if isinstance(stages, list) else []


def _has_customers(stage: object) -> bool:
    return isinstance(stage, dict) and bool(stage.get("demand_mean") or stage.get("demand_sd"))


COLUMNS = {
    "service time": "outbound_service_time",
    "net time": "net_replenishment_time",
    "safety stock": "safety_stock",
    "base stock": "base_stock",
    "cost": "cost",
}
"""What is printed of a stage, by the heading of the column."""


def _head(plan: GuaranteedService) -> Iterator[str]:
    """What the plan costs, and what is proven of it."""
    yield f"{plan.network.name}: safety stock at {len(plan.placement)} of {len(plan.network.stages)} stages"
    yield f"cost           {plan.cost:.8g}"
    yield f"lower bound    {plan.lower_bound:.8g}"
    yield f"gap            {100 * plan.gap:.3f} %"


def _table(rows: Sequence[Row]) -> Iterator[str]:
    """The stages, those with stock first, the dearest of them on top."""
    shown = sorted(rows, key=lambda row: (not row["safety_stock"], -float(row["cost"])))[:MOST_STAGES]
    width = max(len("stage"), *(len(str(row["stage"])) for row in shown))
    yield f"{'stage':{width}}" + "".join(f"  {heading:>12}" for heading in COLUMNS)
    for row in shown:
        yield f"{row['stage']:{width}}" + "".join(f"  {row[key]:12.6g}" for key in COLUMNS.values())
    if len(rows) > len(shown):
        yield f"and {len(rows) - len(shown)} more stages; --csv writes all of them"
