"""Every problem of the catalogue with every policy that applies to it: the page `docs/results.md`.

    echelon run configs/published.yaml --workers 2 --out runs/published
    python benchmarks/published.py runs/published

The second command copies the figures of the run to `benchmarks/results/published.csv` and `published.json` and writes
the page from these; without a folder it writes the page again.
"""

from __future__ import annotations

import argparse
import csv
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from echelon.envs.yaml_io import load_yaml
from echelon.experiments.whole_folder import write_file, write_json

ROOT = Path(__file__).resolve().parent.parent
TABLE = ROOT / "benchmarks" / "results" / "published.csv"
PAGE = ROOT / "docs" / "results.md"
COLUMNS = (
    "problem", "policy", "kind", "mean", "half_width", "reference", "reference_kind", "gap_percent", "gap_half_width",
    "difference", "difference_half_width", "verdict", "fill_rate", "alpha", "seconds", "wall_seconds",
)  # fmt: skip
ROUNDING = 1e-12
"""Half widths below this share of a figure come from the rounding of equal numbers."""
REFERENCES = {"optimal": "the optimum", "lower_bound": "a proven lower bound", "best_known": "the best known cost"}
HEAD = """# Results: every problem of the catalogue, every policy that applies

This page is made by `python benchmarks/published.py` from [published.csv](../benchmarks/results/published.csv), the
figures of one run of `configs/published.yaml`, whose first lines tell the commands. All policies of a problem meet the
same {replications:,} replications. ± is the half width of a {level:g} % interval (Student); differences are paired, to
the cheapest policy, their intervals hold together (Bonferroni), and the verdicts are Holm's. A gap is percent above the
reference; where an optimal policy is at hand, that of the paired difference to it. Seconds are those of planning or
training. Learned policies were trained once, with seed {seed}, for the time that is told and not tuned to the problem:
PPO for a million periods, controlled learning on 1,000 states a generation for all links together. That is little for a
network with many links or with fixed costs, and some end far above the rule that they began with.
[Learned policies: results](learning_results.md) has longer trainings on published test beds.
"""


def copy_run(folder: Path) -> None:
    """Keep the figures of a run, and with what they were made. Raises `ConfigError` if the folder holds no run."""
    from echelon.experiments.run_folder import read_run

    run = read_run(folder)
    with (folder / "summary.csv").open(newline="") as stream:
        rows = [{**row, "wall_seconds": wall_seconds(folder, row)} for row in csv.DictReader(stream)]
    problems = {one.name: {"title": one.title, "source": one.reference_source} for one in run.results}
    sections = load_yaml(folder / "config.yaml").data["problems"]
    planned = [name.split(" / ")[0] for name in run.manifest["left_out"]]
    left_out = {name: len(section.get("left_out", {})) + planned.count(name) for name, section in sections.items()}
    names = ("echelon", "python", "numpy", "torch", "platform", "seed", "replications", "confidence", "seconds")
    write_json(
        TABLE.with_suffix(".json"),
        {"problems": problems, "left_out": left_out, **{name: run.manifest[name] for name in names}},
    )
    lines = [",".join(COLUMNS), *(",".join(row[name] for name in COLUMNS) for row in rows)]
    write_file(TABLE, "\n".join(lines) + "\n")


def wall_seconds(folder: Path, row: Mapping[str, str]) -> str:
    """How long the planning or training of a policy took."""
    told = json.loads((folder / "cells" / row["problem"] / row["policy"] / "cell.json").read_text())
    return f"{told['wall_seconds']:.1f}"


def page() -> str:
    """The whole page, from the committed files."""
    told = json.loads(TABLE.with_suffix(".json").read_text())
    with TABLE.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    level = 100 * told["confidence"]
    lines = [HEAD.format(replications=told["replications"], level=level, seed=told["seed"]).rstrip()]
    for name, problem in told["problems"].items():
        own = [row for row in rows if row["problem"] == name]
        lines += section(name, problem, sorted(own, key=lambda row: float(row["mean"])), told["left_out"][name])
    versions = ", ".join(f"{name} {told[name]}" for name in ("echelon", "python", "numpy", "torch"))
    lines += ["", f"Made on {told['platform']} with {versions}, in {told['seconds'] / 60:.0f} minutes.", ""]
    return "\n".join(lines)


def section(name: str, problem: Mapping[str, Any], rows: Sequence[Mapping[str, str]], left_out: int) -> Iterator[str]:
    """The lines of a problem, its policies from the cheapest on."""
    yield from ("", f"## {name.capitalize()}", "")
    first = rows[0]
    told = f"`{problem['title']}`."
    if first["reference"]:
        known = REFERENCES[first["reference_kind"]]
        source = f" ({problem['source']})" if problem["source"] else ""
        told += f" Gaps are to {known}, {float(first['reference']):.6g}{source}."
    yield f"{told} {left_out} methods do not apply."
    yield from ("", "| policy | kind | cost | gap, % | difference | verdict | fill rate, % | CPU-s | wall-s |")
    yield "|---|---|---|---|---|---|---|---|---|"
    for row in rows:
        cells = (
            row["policy"],
            row["kind"],
            spread(row["mean"], row["half_width"]),
            spread(row["gap_percent"], row["gap_half_width"], digits=3),
            spread(row["difference"], row["difference_half_width"]) if row["verdict"] != "best" else "",
            row["verdict"],
            f"{100 * float(row['fill_rate']):.2f}" if row["fill_rate"] else "",
            f"{float(row['seconds']):.1f}",
            f"{float(row['wall_seconds']):.1f}",
        )
        yield "| " + " | ".join(cells) + " |"


def spread(value: str, half_width: str, *, digits: int = 5) -> str:
    """A figure with its half width; nothing for an empty cell."""
    if not value:
        return ""
    shown = f"{float(value):.{digits}g}"
    if not half_width:
        return shown
    wide = float(half_width)
    return f"{shown} ± {wide if wide > ROUNDING * abs(float(value)) else 0:.2g}"


def main(arguments: Sequence[str] | None = None) -> None:
    """Copy a run if one is given, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, nargs="?")
    given = parser.parse_args(arguments)
    if given.folder is not None:
        copy_run(given.folder)
    write_file(PAGE, page())


if __name__ == "__main__":
    main()
