"""Learned policies on the test beds: what they cost, beside the best that is known, and how long they trained.

Run with: python benchmarks/learning.py BED [--seeds 0 1 2] [--instances PATTERN] [--shard K/N]

The beds are the files of `configs/benchmarks`. A row for each instance, policy and seed is added to
`benchmarks/results/learning_BED.csv` as soon as it is known. Rows that are there already are not made again, so that a
run that was interrupted goes on where it stopped, and several processes may share one table, each with its shard. A
file `.json` beside it has the settings, the versions and the machine. `half_width` (95 %) is that of `cost` beyond
`reference`; `train_cpu_seconds` counts all of the training, its validation too. `python benchmarks/learning_table.py`
then writes the page of the documents.
"""

from __future__ import annotations

import argparse
import csv
import fcntl
import json
import os
import platform
import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatch
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from learning_beds import BOUND, Bed, Instance, Learner, bed_names, load_bed
from learning_costs import Cost, Judge

from echelon.agents import train
from echelon.baselines import lower_bound, make_plan
from echelon.envs import Problem
from echelon.envs.errors import ConfigError
from echelon.envs.policy import Policy

RESULTS = Path(__file__).resolve().parent / "results"
COLUMNS = (
    "problem",
    "parameters",
    "policy",
    "seed",
    "cost",
    "half_width",
    "reference",
    "gap_percent",
    "train_cpu_seconds",
)
PACKAGES = ("numpy", "scipy", "numba", "torch")

Row = dict[str, str]
Key = tuple[str, str, str, str]


@dataclass(frozen=True)
class Task:
    """A row that is to be made. A baseline has neither a learner nor a seed, nor has a lower bound."""

    instance: Instance
    policy: str
    learner: Learner | None = None
    seed: int | None = None

    @property
    def key(self) -> Key:
        """What tells its row from all others."""
        return (*self.instance.key, self.policy, "" if self.seed is None else str(self.seed))


def tasks_of(bed: Bed, seeds: Sequence[int]) -> list[Task]:
    """All rows of a bed, in order: of each instance the baselines, then every policy with every seed."""
    found = []
    for instance in bed.members():
        found += [Task(instance, name) for name in (*instance.against, *bed.bounds)]
        found += [Task(instance, name, one, seed) for name, one in instance.policies.items() for seed in seeds]
    return found


def made(task: Task, judge: Judge) -> Row:
    """Train and evaluate."""
    began = time.process_time()
    if task.policy == BOUND:
        bound = lower_bound(judge.problem).proven
        return row_of(task, Cost(bound, 0.0, None), time.process_time() - began)
    if task.learner is None:
        policy = judge.baselines[task.policy].policy
    else:
        assert task.seed is not None
        policy = trained(judge.problem, task.learner, task.seed)
    seconds = time.process_time() - began
    return row_of(task, judge.cost(policy), seconds)


def trained(problem: Problem, learner: Learner, seed: int) -> Policy:
    """The policy of a training, without the watch that it keeps on states outside of the training."""
    start = None if learner.start is None else make_plan(learner.start, problem).policy
    training = train(
        problem,
        algorithm=learner.algorithm,
        seed=seed,
        steps=learner.steps,
        settings=learner.settings,
        start=start,
    )
    return training.policy.actor.orders


def row_of(task: Task, cost: Cost, seconds: float) -> Row:
    """The row of a table."""
    reference, gap = ("" if x is None else f"{x:.6f}" for x in (cost.reference, cost.gap_percent))
    figures = (f"{cost.value:.6f}", f"{cost.half_width:.2g}", reference, gap, f"{seconds:.1f}")
    return dict(zip(COLUMNS, (*task.key, *figures), strict=True))


def run(bed: Bed, tasks: Sequence[Task], table: Path) -> None:
    """Make the rows of the tasks that the table lacks."""
    keep_settings(bed, table)
    order = order_of(bed)
    judge: Judge | None = None
    for task in tasks:
        if task.key in {key_of(row) for row in read_table(table)}:
            continue
        if judge is None or judge.instance.key != task.instance.key:
            judge = Judge(bed, task.instance)
        row = made(task, judge)
        add_row(table, row, order)
        print(*(row[name] for name in COLUMNS[2:]), task.instance.name, flush=True)


def key_of(row: Row) -> Key:
    """What tells a row from all others."""
    return row["problem"], row["parameters"], row["policy"], row["seed"]


def read_table(table: Path) -> list[Row]:
    """The rows of a table, none where there is no file."""
    if not table.exists():
        return []
    with table.open(newline="") as stream:
        return list(csv.DictReader(stream))


def order_of(bed: Bed) -> Callable[[Row], tuple[int, int, int]]:
    """Where a row stands in the table of a bed: by instance, policy and seed."""
    instances = [instance.key for instance in bed.members()]
    policies = [name for instance in bed.members() for name in (*instance.against, *bed.bounds)]
    policies += [name for instance in bed.members() for name in instance.policies]

    def place(row: Row) -> tuple[int, int, int]:
        at = instances.index((row["problem"], row["parameters"]))
        return at, policies.index(row["policy"]), int(row["seed"] or -1)

    return place


def add_row(table: Path, row: Row, order: Callable[[Row], tuple[int, int, int]]) -> None:
    """Put a row in its place; others may write to the table at the same time."""
    with _alone(table.parent):
        rows = sorted([*read_table(table), row], key=order)
        with _replaced(table) as stream:
            writer = csv.DictWriter(stream, COLUMNS, lineterminator="\n")
            writer.writeheader()
            writer.writerows(rows)


def keep_settings(bed: Bed, table: Path) -> None:
    """Write the settings and the machine beside the table. Raises `ConfigError` if its rows have other settings."""
    place, settings = table.with_suffix(".json"), settings_of(bed)
    with _alone(table.parent):
        if place.exists() and (kept := json.loads(place.read_text())["settings"]) != settings:
            other = [key for key in settings if kept.get(key) != settings[key]]
            raise ConfigError([f"{table} was made with other {', '.join(other)}; remove it or give another --out"])
        with _replaced(place) as stream:
            stream.write(json.dumps({"settings": settings, **machine()}, indent=1) + "\n")


def settings_of(bed: Bed) -> dict[str, Any]:
    """What decides the figures of a bed, as plain data."""
    data = bed.model_dump(mode="json")
    return {name: data[name] for name in ("evaluation", "policies", "instances", "references")}


def machine() -> dict[str, Any]:
    """Where and with what the table was made."""
    packages = {name: version(name) for name in PACKAGES}
    return {
        "processor": processor(),
        "machine": platform.platform(),
        "threads": torch.get_num_threads(),
        "python": platform.python_version(),
        **packages,
    }


def processor() -> str:
    """The name of the CPU, as far as the system tells."""
    place = Path("/proc/cpuinfo")
    lines = place.read_text().splitlines() if place.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor()


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold a folder until the block is over."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


@contextmanager
def _replaced(place: Path) -> Iterator[Any]:
    """A stream to a new file that takes the place of an old one when it is complete."""
    temporary = place.with_name(f".{place.name}.{secrets.token_hex(4)}")
    try:
        with temporary.open("w", newline="") as stream:
            yield stream
        os.replace(temporary, place)
    finally:
        temporary.unlink(missing_ok=True)


def shard_of(text: str) -> tuple[int, int]:
    """K and N of "K/N"."""
    part, _, parts = text.partition("/")
    if not (part.isdigit() and parts.isdigit() and 1 <= int(part) <= int(parts)):
        raise argparse.ArgumentTypeError(f"must be K/N with K from 1 to N (got {text!r})")
    return int(part), int(parts)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run a bed, or a part of it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bed", choices=bed_names())
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--instances", default="*", help="names, with * for any letters")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--shard", type=shard_of, default=(1, 1), help="K/N: every N-th instance from the K-th on")
    given = parser.parse_args(arguments)
    torch.set_num_threads(1)
    bed = load_bed(given.bed)
    members = [one.key for one in bed.members() if fnmatch(one.name, given.instances)]
    first, step = given.shard
    mine = set(members[first - 1 :: step])
    table = given.out or RESULTS / f"learning_{bed.name}.csv"
    run(bed, [task for task in tasks_of(bed, given.seeds) if task.instance.key in mine], table)


if __name__ == "__main__":
    main()
