"""What `echelon plan` was asked for, and who does it: formulas on stages, a planner's tables, or simulation."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from echelon.envs.errors import ConfigError
from echelon.experiments.plan import FOR_TABLES, make_plan, write_rows
from echelon.experiments.whole_folder import require_new_file, require_no_folder


@dataclass(frozen=True)
class PlanRequest:
    """The options of `echelon plan`; those left out are None, empty or False."""

    source: str
    method: str
    service: float | None = None
    floors: Sequence[str] = ()
    options: Mapping[str, Any] | None = None
    parameters: Mapping[str, Any] | None = None
    seed: int | None = None
    frontier: str | None = None
    as_json: bool = False
    csv: Path | None = None
    picture: Path | None = None
    folder: Path | None = None
    budget: float | None = None
    within_storage: bool = False

    @property
    def of_tables(self) -> bool:
        """Whether a folder of tables is to be planned."""
        by_table = Path(self.source).is_dir() or self.folder is not None or self.method in FOR_TABLES
        return self.method != "minmax" and by_table


def run_plan(request: PlanRequest) -> None:
    """Plan, print and write. Raises `ConfigError` for options that do not go together, before any work."""
    if request.as_json and request.csv:
        raise ConfigError(["--json and --csv: give one of them"])
    limited = request.budget is not None or request.within_storage
    if limited and (request.method == "minmax" or not Path(request.source).is_dir()):
        must = "only a folder of tables takes them"
        raise ConfigError([f"--budget, --within-storage: {must} (got {request.source!r})"])
    if request.method == "minmax":
        return _by_simulation(request)
    simulated = {
        "--floor": request.floors,
        "--option": request.options,
        "--set": request.parameters,
        "--seed": request.seed is not None,
        "--frontier": request.frontier,
    }
    for name, value in simulated.items():
        if value:
            raise ConfigError([f"{name}: only --method minmax takes it (got {request.method!r})"])
    return _of_tables(request) if request.of_tables else _of_stages(request)


def _of_stages(request: PlanRequest) -> None:
    for path, name in ((request.csv, "--csv"), (request.picture, "--picture")):
        if path:
            require_new_file(path, name)
    report = make_plan(request.source, method=request.method, service_level=request.service)
    if request.picture:
        report.draw(request.picture)
    if request.as_json:
        print(json.dumps(report.record))
        return
    print(report.head)
    if request.csv:
        write_rows(report.rows, request.csv)
        print(f"{request.csv}: {len(report.rows)} stages")
    else:
        print(f"\n{report.text}")
    if request.picture:
        print(f"{request.picture}: the network with its stock")


def _of_tables(request: PlanRequest) -> None:
    from echelon.experiments.plan_folder import plan_folder

    others = {
        "--service": request.service,
        "--json": request.as_json,
        "--csv": request.csv,
        "--picture": request.picture,
    }
    if request.folder is None or any(others.values()):
        without = "".join(f", without {name}" for name, value in others.items() if value)
        raise ConfigError([f"{request.source}: a folder of tables is planned with --out{without}"])
    told = plan_folder(
        request.source,
        method=request.method,
        out=request.folder,
        budget=request.budget,
        within_storage=request.within_storage,
    )
    print(told)


def _by_simulation(request: PlanRequest) -> None:
    if request.picture:
        raise ConfigError(["--picture: minmax draws its pictures into the folder of --out"])
    if request.frontier is not None and request.folder is None:
        raise ConfigError(["--frontier: it is drawn into the report, so give --out as well"])
    if request.csv:
        require_new_file(request.csv, "--csv")
    from echelon.experiments.minmax_folder import frontier_levels, write_minmax
    from echelon.experiments.minmax_plan import asked_for, plan_min_max, plan_record, plan_rows
    from echelon.experiments.minmax_words import plan_lines, warning_lines
    from echelon.experiments.search_trace import SearchProgress

    asked = asked_for(
        request.source,
        service=request.service,
        floors=request.floors,
        options=request.options,
        parameters=request.parameters,
        seed=request.seed or 0,
    )
    levels = frontier_levels(request.frontier, asked)
    if request.folder:
        require_no_folder(request.folder)
    with SearchProgress() as progress:
        found = plan_min_max(asked, progress=progress.search())
    print(json.dumps(plan_record(found)) if request.as_json else "\n".join(plan_lines(found, table=not request.csv)))
    if request.csv:
        write_rows(plan_rows(found), request.csv)
        print(f"{request.csv}: {len(found.problem.network.links)} rows")
    if request.folder:
        with progress:
            written = write_minmax(found, request.folder, levels=levels, progress=progress)
        print("\n".join(written), file=sys.stderr if request.as_json else sys.stdout)
    for line in [] if request.as_json else warning_lines(found):
        print(line, file=sys.stderr)
