"""The folder of a plan by simulation: parameters, record, trace, report and the events for TensorBoard, all or none."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from echelon.baselines.cost_surface import cost_surface, dearest_link
from echelon.baselines.service_frontier import FrontierPoint, service_frontier
from echelon.envs.errors import ConfigError, MissingExtraError
from echelon.experiments.minmax_plan import Asked, MinMaxPlan, common_scenarios, plan_record, plan_rows, read_problem
from echelon.experiments.minmax_report import Pictures, minmax_page
from echelon.experiments.search_trace import EVENT_FILE, SearchProgress, trace_rows, write_events
from echelon.experiments.whole_folder import whole_folder

LEVELS = (0.8, 0.9, 0.95, 0.98)
"""Floors of the frontier, beside that of the plan."""
SHARE = 1 / 8
"""Of the plan's own search that the search for a point of the frontier may take."""
SURFACE_YEARS = 512


def frontier_levels(text: str | None, asked: Asked) -> tuple[float, ...]:
    """The levels that --frontier names, of those the plan itself does not have.

    Left out they are the usual ones where the plan has a floor for all customers, and none otherwise. Raises
    `ConfigError` for levels that are none, and where every node with customers has a floor of its own.
    """
    usual = text is None and asked.service is not None
    levels = list(LEVELS) if usual else []
    if text not in (None, "none"):
        try:
            levels = [float(word) for word in str(text).split(",")]
        except ValueError:
            levels = [float("nan")]
        if not all(0 < level < 1 for level in levels):
            must = "must be none, or levels greater than 0 and less than 1, such as 0.9,0.95"
            raise ConfigError([f"--frontier: {must} (got {text!r})"])
    if levels and asked.floors:
        outlets = {node.name for node in read_problem(asked.source, asked.parameters).network.outlets}
        if outlets <= asked.floors.keys():
            if usual:
                return ()
            raise ConfigError(["--frontier: every node with customers has a --floor, so that no common one can move"])
    return tuple(sorted({*levels} - {asked.service}))


def write_minmax(plan: MinMaxPlan, folder: Path, *, levels: Sequence[float], progress: SearchProgress) -> list[str]:
    """Draw the pictures and write all files into the new folder: their names, or why one is left out.

    Raises `ConfigError`.
    """
    pictures = _pictures(plan, levels, progress)
    progress.stage("report")
    record = plan_record(plan) | {"frontier": [_point(point) for point in pictures.frontier]}
    with whole_folder(folder) as temporary:
        _write_csv(plan_rows(plan), temporary / "parameters.csv")
        (temporary / "plan.json").write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
        _write_csv(trace_rows(plan.optimum.trace), temporary / "trace.csv")
        (temporary / "report.html").write_text(minmax_page(plan, pictures), encoding="utf-8", newline="\n")
        written = ["parameters.csv", "plan.json", "trace.csv", "report.html"]
        try:
            write_events(temporary, plan.optimum.trace, _final(plan), times=progress.times)
        except MissingExtraError as error:
            return [f"{folder}: {', '.join(written)}", f"{folder}: without {EVENT_FILE}: {error}"]
    return [f"{folder}: {', '.join([*written, EVENT_FILE])}"]


def _pictures(plan: MinMaxPlan, levels: Sequence[float], progress: SearchProgress) -> Pictures:
    """The surface of the dearest outlet, and the frontier."""
    problem, space, found, asked = plan.problem, plan.space, plan.optimum, plan.asked
    progress.stage("cost surface")
    link = dearest_link(problem, plan.outcome.node_cost)
    surface = cost_surface(
        problem,
        space,
        space.encode(found.parameters),
        common_scenarios(problem, SURFACE_YEARS, seed=asked.seed, stream="surface"),
        link=link,
        floors=plan.floors,
        shown=[space.encode(found.start)],
        threads=asked.options.threads,
    )
    if not levels:
        return Pictures(surface, link)
    options = asked.options
    points = service_frontier(
        problem,
        levels,
        start=found.parameters,
        near=asked.service,
        budget=max(1, round(SHARE * found.node_periods)),
        kind=options.kind,
        fixed=asked.fixed,
        rule=options.rule,
        position=options.position,
        review_period=options.review_period,
        bounds=options.bounds,
        seed=asked.seed,
        threads=options.threads,
        progress=progress.search("frontier: "),
    )
    own = None if asked.service is None else FrontierPoint(asked.service, found)
    return Pictures(surface, link, points, own)


def _point(point: FrontierPoint) -> dict[str, Any]:
    cost = point.optimum.cost
    return {
        "level": point.level,
        "cost": cost.mean,
        "half_width": cost.half_width,
        "certified": point.optimum.certified,
        "parameters": dict(point.optimum.parameters),
    }


def _final(plan: MinMaxPlan) -> dict[str, float]:
    """What TensorBoard shows of the result: its cost, and the service under every floor."""
    found = plan.optimum
    service = {f"service/{one.floor.kind} {one.floor.node}": one.service for one in found.certificate.floors}
    return {"result/cost": found.cost.mean, **service}


def _write_csv(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
