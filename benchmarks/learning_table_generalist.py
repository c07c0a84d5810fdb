"""The part of the page of results on one policy for many problems, from the committed tables alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

from learning import Row, read_table

MOST_MEAN, MOST_WORST = 0.3, 1.0
"""Percent that was asked on lead times 1 to 4."""
TUNED = ("base_stock", "simulation_optimization")
UNSEEN = """One policy is trained once on 128 random problems of lost sales and then used at once on instances that are
all unseen: no training problem has mean 5, geometric demand, or the lead times 3 and 7. Costs and optima are exact."""
TRANSFER = """One policy with messages is trained once on 30 random networks of one warehouse with 2 to 6 stores, then
used at once on other networks, some much larger. The reference is the best of the rules that are made for that very
network: base stock tuned by simulation in two ways, and the echelon levels of Eppen and Schrage and of Federgruen and
Zipkin, which share the warehouse's stock out anew in every period. Differences are paired."""


def generalist_section(results: Path) -> Iterator[str]:
    """The lines of `learning_generalist.py` and `learning_transfer.py`."""
    unseen, transfer = (read_table(results / f"learning_{name}.csv") for name in ("generalist", "transfer"))
    yield from ("", "## One policy for many problems", "", UNSEEN, "")
    yield "| instances of Zipkin (2008) | number | seeds | mean gap | worst gap | asked | met |"
    yield "|---|---|---|---|---|---|---|"
    near = [row for row in unseen if _lead_time(row) <= 4]
    yield from _gaps("lead times 1 to 4", near, asked=True)
    yield from _gaps("of these, lead time 3", [row for row in near if _lead_time(row) == 3])
    yield from _gaps("of these, geometric demand", [row for row in near if "geometric" in row["problem"]])
    yield from _gaps("lead times 5 to 7", [row for row in unseen if _lead_time(row) > 4])
    yield from ("", _trained(unseen, "generalist"), "", TRANSFER, "")
    yield "| stores | best rule | its cost | gap of tuned base stock, % | gap by seed, % | half width, % |"
    yield "|---|---|---|---|---|---|"
    learned = [row for row in transfer if row["policy"] == "generalist"]
    for network in dict.fromkeys(row["parameters"] for row in learned):
        yield _compared([row for row in transfer if row["parameters"] == network])
    yield from ("", _trained(learned, "transfer"))


def _lead_time(row: Row) -> int:
    return int(row["problem"].partition("-L")[2].partition("-")[0])


def _gaps(name: str, rows: Sequence[Row], *, asked: bool = False) -> Iterator[str]:
    gaps = [float(row["gap_percent"]) for row in rows]
    mean, worst = fmean(gaps), max(gaps)
    goal = f"mean at most {MOST_MEAN:g} %, worst at most {MOST_WORST:g} %" if asked else ""
    met = ("yes" if mean <= MOST_MEAN and worst <= MOST_WORST else "no") if asked else ""
    instances, seeds = ({row[key] for row in rows} for key in ("problem", "seed"))
    yield f"| {name} | {len(instances)} | {len(seeds)} | {mean:.4f} % | {worst:.3f} % | {goal} | {met} |"


def _compared(rows: Sequence[Row]) -> str:
    """The line of one network."""
    learned = [row for row in rows if row["policy"] == "generalist"]
    gaps = {row["policy"]: float(row["gap_percent"]) for row in rows if row["policy"] != "generalist"}
    stores = rows[0]["parameters"].split()[0].partition("=")[2]
    reference = float(rows[0]["reference"])
    shown = " ".join(f"{float(row['gap_percent']):+.2f}" for row in learned)
    widest = 100 * max(float(row["half_width"]) for row in learned) / reference
    tuned = min(gaps[name] for name in TUNED)
    return f"| {stores} | {min(gaps, key=gaps.__getitem__)} | {reference:.4g} | {tuned:+.2f} | {shown} | {widest:.2f} |"


def _trained(rows: Sequence[Row], name: str) -> str:
    seconds = {row["seed"]: float(row["train_cpu_seconds"]) for row in rows}
    told = ", ".join(f"{each:.0f}" for each in seconds.values())
    return f"CPU seconds of the one training, by seed: {told}. [Table](../benchmarks/results/learning_{name}.csv)."
