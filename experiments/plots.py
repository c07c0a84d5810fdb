"""All figures of a run, by name, and their files: PNG to look at, PDF and SVG to print.

A policy has one colour and one marker in all of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from echelon.experiments import by_node, comparison_figures, frontier, policy_map
from echelon.experiments.canvas import DASHES as DASHES
from echelon.experiments.canvas import WIDTH as WIDTH
from echelon.experiments.canvas import Looks as Looks
from echelon.experiments.canvas import short as short
from echelon.experiments.canvas import slug as slug
from echelon.experiments.canvas import style as style
from echelon.experiments.palette import PAPER, looks
from echelon.experiments.run_folder import PolicyResult, Result, Run, read_run
from echelon.experiments.sample_path import draw_path, path_policies
from echelon.experiments.stock_map import as_file, stock_map
from echelon.experiments.whole_folder import whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DOTS = 250
"""Of a PNG, per inch."""
KEEPS_NO_DATE = {"png": {"Software": None}, "pdf": {"CreationDate": None, "Producer": None}, "svg": {"Date": None}}
"""What a file must not say of its making, so that the same run gives the same bytes."""


@dataclass(frozen=True, eq=False)
class Drawn:
    """A figure of a problem, ready to be written."""

    problem: int
    """Its rank in the run, from 1."""
    name: str
    figure: Figure


def write_plots(folder: Path) -> list[Path]:
    """Draw every figure of a run folder into its folder `plots`, as PNG, PDF and SVG."""
    run = read_run(folder)
    with style():
        return save(draw_all(run), run, folder / "plots")


def draw_all(run: Run) -> list[Drawn]:
    """Every figure of a run, within `style()`."""
    policy_looks = looks(run.policy_names)
    return [
        Drawn(number, name, figure)
        for number, result in enumerate(run.results, start=1)
        for name, figure in figures(result, policy_looks)
    ]


def save(drawn: Sequence[Drawn], run: Run, target: Path) -> list[Path]:
    """Write the figures, and the map of every network, which is an SVG only."""
    target.mkdir(exist_ok=True)
    written = []
    for one in drawn:
        stem = f"{one.problem:02d}-{slug(run.results[one.problem - 1].name)}-{one.name}"
        written += save_figure(one.figure, target, stem)
    for number, result in enumerate(run.results, start=1):
        drawing = stock_map(result, looks(run.policy_names), label=f"The network of {result.name}")
        if drawing is not None:
            written.append(target / f"{number:02d}-{slug(result.name)}-network.svg")
            with whole_file(written[-1]) as part:
                part.write_text(as_file(drawing), encoding="utf-8")
    return written


def save_figure(figure: Figure, target: Path, stem: str) -> list[Path]:
    """One figure in all formats, each written in one step."""
    written = []
    for kind, metadata in KEEPS_NO_DATE.items():
        written.append(target / f"{stem}.{kind}")
        with whole_file(written[-1]) as part:
            figure.savefig(part, format=kind, dpi=DOTS, facecolor=PAPER, metadata=metadata)
        figure.set_layout_engine("none")  # the places are found once
    return written


def figures(result: Result, policy_looks: Looks) -> Iterator[tuple[str, Figure]]:
    """The name and the drawing of every figure that the data of a problem allow."""
    yield "cost", comparison_figures.draw_cost(result, policy_looks)
    if len(result.policies) > 1:
        yield "differences", comparison_figures.draw_differences(result, policy_looks)
    if len(frontier.with_service(result)) > 1:
        yield "frontier", frontier.draw_frontier(result, policy_looks)
    if any(policy.costs for policy in result.policies):
        yield "breakdown", comparison_figures.draw_breakdown(result, policy_looks)
    if any(policy.training for policy in result.policies):
        yield "training", comparison_figures.draw_training(result, policy_looks)
    if policy_map.by_position(result):
        yield "orders", policy_map.draw_orders(result, policy_looks)
    for name, link in plane_names(result).items():
        yield name, policy_map.draw_plane(policy_map.planes(result)[link])
    if len(by_node.stock(result)) > 1:
        yield "stock", by_node.draw_stock(result, policy_looks)
    if by_node.bullwhip(result):
        yield "bullwhip", by_node.draw_bullwhip(result, policy_looks)
    for name, policy in path_names(result).items():
        yield name, draw_path(result, policy, colour=policy_looks[policy.name].colour)


def plane_names(result: Result) -> dict[str, str]:
    """The links that have a map by stock and what is on order, by the names of their figures."""
    return {f"map-{rank}-{slug(link)}": link for rank, link in enumerate(policy_map.planes(result), start=1)}


def path_names(result: Result) -> dict[str, PolicyResult]:
    """The policies whose sample path is drawn, by the names of their figures."""
    return {f"path-{rank}-{slug(policy.name)}": policy for rank, policy in enumerate(path_policies(result), start=1)}
