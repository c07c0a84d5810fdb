"""The page `docs/learning_results.md`, from the committed tables of `benchmarks/learning.py` and the beds alone.

Run with: python benchmarks/learning_table.py
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean

from learning import RESULTS, Row, read_table, settings_of
from learning_beds import ROOT, Bed, Instance, bed_names, load_bed
from learning_table_generalist import generalist_section

PAGE = ROOT / "docs" / "learning_results.md"
ORDER = ("lost_sales", "long_lead", "serial", "dual_sourcing", "perishable", "one_warehouse", "networks")
HEAD = """# Learned policies: results

This page is made by `python benchmarks/learning_table.py` from the tables in `benchmarks/results`, which
`python benchmarks/learning.py BED` fills; the beds and all settings are the files of `configs/benchmarks`. Gaps are
percent of the reference. Seconds are CPU seconds of one thread and count all of a training, its validation too.
"""


@dataclass(frozen=True)
class Cell:
    """What one policy reached on one instance, over its seeds."""

    instance: Instance
    policy: str
    rows: tuple[Row, ...]

    @property
    def costs(self) -> list[float]:
        """By seed."""
        return [float(row["cost"]) for row in self.rows]

    @property
    def gaps(self) -> list[float]:
        """Percent, by seed; none without a reference."""
        return [float(row["gap_percent"]) for row in self.rows if row["gap_percent"]]

    @property
    def errors(self) -> list[float]:
        """Half widths in percent of the reference, by seed."""
        return [100 * float(row["half_width"]) / float(row["reference"]) for row in self.rows if row["reference"]]

    @property
    def seconds(self) -> list[float]:
        """CPU seconds of training, by seed."""
        return [float(row["train_cpu_seconds"]) for row in self.rows]

    @property
    def is_better(self) -> bool:
        """Whether every seed is cheaper than the reference beyond its interval."""
        return bool(self.gaps) and all(gap + wide < 0 for gap, wide in zip(self.gaps, self.errors, strict=True))

    def is_at_or_below(self, error: float) -> bool:
        """Whether the mean over the seeds is at most the reference, which may be wrong by `error` percent."""
        return bool(self.gaps) and fmean(self.gaps) <= fmean(self.errors) + error


@dataclass(frozen=True)
class Verdict:
    """One of the things that a bed was to show."""

    asked: str
    found: str
    met: bool


def cells_of(bed: Bed, rows: Sequence[Row], *, learned: bool) -> list[Cell]:
    """The cells of all learned policies, or of all baselines, in order; none for what has no rows."""
    found: dict[tuple[str, str, str], list[Row]] = {}
    for row in rows:
        found.setdefault((row["problem"], row["parameters"], row["policy"]), []).append(row)
    cells = []
    for instance in bed.members():
        for policy in instance.policies if learned else (*instance.against, *bed.bounds):
            if (*instance.key, policy) in found:
                cells.append(Cell(instance, policy, tuple(found[*instance.key, policy])))
    return cells


def verdicts(bed: Bed, cells: Sequence[Cell]) -> Iterator[Verdict]:
    """What was asked of a bed and what was found."""
    gaps = [gap for cell in cells for gap in cell.gaps]
    seconds = [each for cell in cells for each in cell.seconds]
    goal, members = bed.goal, len(bed.members())
    for name, most, values, unit in (
        ("mean gap", goal.mean_gap, [fmean(gaps)] if gaps else [], "%"),
        ("worst gap", goal.worst_gap, gaps, "%"),
        ("training", goal.train_cpu_seconds, seconds, "CPU-s"),
    ):
        if most is not None and values:
            yield Verdict(f"{name} at most {most:g} {unit}", f"{max(values):.4g} {unit}", max(values) <= most)
    if goal.at_or_below is not None:
        count = sum(cell.is_at_or_below(bed.reference_errors.get(cell.instance.name, 0.0)) for cell in cells)
        asked = f"at or below the reference on {goal.at_or_below} of {members}"
        yield Verdict(asked, f"{count} of {members}", count >= goal.at_or_below)
    if goal.better is not None:
        count = sum(cell.is_better for cell in cells)
        asked = f"better than the reference on {goal.better} of {members + len(bed.left_out)}, interval excluding 0"
        yield Verdict(asked, f"{count} of {members}", count >= goal.better)


def section(bed: Bed, rows: Sequence[Row]) -> Iterator[str]:
    """The lines of a bed."""
    yield from ("", f"## {bed.title}", "", bed.about)
    learned = cells_of(bed, rows, learned=True)
    by_policy: dict[str, list[Cell]] = {}
    for cell in learned:
        by_policy.setdefault(cell.policy, []).append(cell)
    if by_policy:
        yield from ("", "| policy | instances | seeds | mean gap | worst gap | mean CPU-s | asked | found | met |")
        yield "|---|---|---|---|---|---|---|---|---|"
    for policy, cells in by_policy.items():
        for line, verdict in enumerate([*verdicts(bed, cells)] or [Verdict("", "", True)]):
            judged = (verdict.asked, verdict.found, ("yes" if verdict.met else "no") if verdict.asked else "")
            yield _line((*(summary(policy, cells) if line == 0 else [""] * 6), *judged))
    missing = [one.name for one in bed.members() if one.key not in {cell.instance.key for cell in learned}]
    if missing:
        yield from ("", f"Not run yet: {', '.join(missing)}.")
    for name, reason in bed.left_out.items():
        yield from ("", f"Left out: {name}, {reason}.")
    yield from details(bed, learned, cells_of(bed, rows, learned=False))


def summary(policy: str, cells: Sequence[Cell]) -> list[str]:
    """The first columns of a policy's line."""
    gaps = [gap for cell in cells for gap in cell.gaps]
    seeds = sorted({len(cell.rows) for cell in cells})
    shown = [f"{fmean(gaps):.3f} %", f"{max(gaps):.3f} %"] if gaps else ["", ""]
    seconds = fmean(each for cell in cells for each in cell.seconds)
    return [policy, str(len(cells)), "-".join(map(str, (seeds[0], seeds[-1])[: len(seeds)])), *shown, f"{seconds:.0f}"]


def details(bed: Bed, learned: Sequence[Cell], baselines: Sequence[Cell]) -> Iterator[str]:
    """A line for each instance and learned policy: costs and gaps by seed."""
    if not learned:
        return
    names = list(dict.fromkeys(cell.policy for cell in baselines))
    published = [bed.published_source] if bed.published else []
    errors = ["may be off by, %"] if bed.reference_errors else []
    head = (
        "instance",
        "policy",
        "reference",
        *errors,
        *names,
        "cost by seed",
        "gap by seed, %",
        *published,
        "half width",
        "CPU-s",
    )
    yield ""
    yield _line(head)
    yield "|" + "---|" * len(head)
    costs = {(cell.instance.key, cell.policy): cell.costs[0] for cell in baselines}
    for cell in learned:
        first = cell.rows[0]
        yield _line(
            (
                cell.instance.name,
                cell.policy,
                _number(first["reference"]),
                *[_error(bed, cell.instance.name) for _ in errors],
                *(_number(costs.get((cell.instance.key, name), "")) for name in names),
                " ".join(map(_number, cell.costs)),
                " ".join(f"{gap:.3f}" for gap in cell.gaps),
                *[
                    f"{bed.published[cell.instance.name]:.2f}" if cell.instance.name in bed.published else ""
                    for _ in published
                ],
                _width(max(float(row["half_width"]) for row in cell.rows)),
                f"{fmean(cell.seconds):.0f}",
            )
        )


def _error(bed: Bed, instance: str) -> str:
    return f"{bed.reference_errors[instance]:.3f}" if instance in bed.reference_errors else ""


def _number(value: object) -> str:
    return "" if value == "" else f"{float(str(value)):.6g}"


def _width(value: float) -> str:
    return "exact" if value < 1e-4 else f"{value:.2g}"


def _line(cells: Sequence[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def machine_of(table: Path) -> str:
    """The sentence on where a table was made."""
    kept = json.loads(table.with_suffix(".json").read_text())
    packages = ", ".join(f"{name} {kept[name]}" for name in ("numpy", "torch"))
    return f"Made on {kept['processor']}, {kept['threads']} thread, Python {kept['python']}, {packages}."


def page() -> str:
    """The whole page."""
    lines = [HEAD.rstrip()]
    for name in sorted(bed_names(), key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name)):
        bed, table = load_bed(name), RESULTS / f"learning_{name}.csv"
        rows = read_table(table)
        lines += section(bed, rows)
        if rows:
            kept = json.loads(table.with_suffix(".json").read_text())["settings"]
            changed = "" if kept == settings_of(bed) else " The settings of the bed have changed since."
            lines += ["", f"[Table](../benchmarks/results/learning_{name}.csv). {machine_of(table)}{changed}"]
    return "\n".join([*lines, *generalist_section(RESULTS)]) + "\n"


def main() -> None:
    """Write the page."""
    PAGE.write_text(page())


if __name__ == "__main__":
    main()
