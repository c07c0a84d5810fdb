"""Several runs as one comparison: instances by policies, each cell once for every seed.

An instance is a problem with its parameters, and a policy is a name with its settings on a problem, as the resolved
configs have them. What a sweep varies becomes instances if it is part of the problem, or policies if it is part of one.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

from echelon.envs.errors import ConfigError
from echelon.envs.yaml_io import load_yaml
from echelon.experiments.evaluate import estimate
from echelon.experiments.findings import as_text
from echelon.experiments.folder_tables import rows
from echelon.experiments.measured import Spread
from echelon.experiments.missing import Missing
from echelon.experiments.run_folder import PolicyResult, Result, Run, read_run

GRID_TABLE = "grid.csv"

Place = tuple[str, str]
"""The name of an instance and that of a policy."""


@dataclass(frozen=True, eq=False)
class Pool:
    """The results of several runs."""

    name: str
    instances: tuple[str, ...]
    policies: tuple[str, ...]
    results: Mapping[str, Result]
    """One run's result for every instance: what is known of the problem."""
    values: Mapping[str, Mapping[str, Any]]
    """By instance, the parameters that tell it from others of its problem."""
    cells: Mapping[Place, Mapping[int, PolicyResult]]
    """The result of every seed."""
    failed: tuple[Missing, ...]
    left_out: tuple[Missing, ...]
    runs: int

    @cached_property
    def shared(self) -> tuple[str, ...]:
        """The instances on which every policy has a result of every common seed, and costs can be told in per cent."""
        seeds = set(self.seeds)
        return tuple(
            instance
            for instance in self.instances
            if seeds
            and lowest(self, instance) != 0
            and all(seeds <= set(self.cells.get((instance, policy), {})) for policy in self.policies)
        )

    @cached_property
    def seeds(self) -> tuple[int, ...]:
        """The seeds of most cells: those that every policy has on some instance with the most of them."""
        common = [
            set.intersection(*(set(self.cells.get((instance, policy), {})) for policy in self.policies))
            for instance in self.instances
        ]
        most = max(map(len, common), default=0)
        full = [seeds for seeds in common if len(seeds) == most]
        return tuple(sorted(set.intersection(*full) or full[0])) if full else ()

    @cached_property
    def confidence(self) -> float:
        """Of all intervals."""
        return next(iter(self.results.values())).confidence


def pooled(pool: Pool, place: Place) -> tuple[Spread, Spread | None] | None:
    """Mean cost and gap in per cent with intervals: over seeds, or over replications where there is one seed."""
    cells = [*pool.cells.get(place, {}).values()]
    if not cells:
        return None
    if len(cells) == 1:
        (cell,) = cells
        gap = None if cell.gap is None else Spread(cell.gap, cell.gap_half_width)
        return Spread(cell.mean, cell.half_width), gap
    gaps = [cell.gap for cell in cells if cell.gap is not None]
    return _over_seeds([cell.mean for cell in cells], pool), _over_seeds(gaps, pool) if gaps else None


def _over_seeds(values: Sequence[float], pool: Pool) -> Spread:
    found = estimate(values, confidence=pool.confidence) if len(values) > 1 else None
    return Spread(values[0], None) if found is None else Spread(found.mean, found.half_width)


def lowest(pool: Pool, instance: str) -> float:
    """The lowest mean cost of any policy on an instance."""
    return min(found[0].mean for policy in pool.policies if (found := pooled(pool, (instance, policy))))


def excess(pool: Pool, policy: str) -> list[list[float]]:
    """[seeds, instances] per cent of cost above the yardstick, on the instances that all policies share.

    The yardstick is the reference of each instance or, if one has none, the lowest mean cost on each.
    """
    known = all(pool.results[instance].reference for instance in pool.shared)
    return [[_above(pool, instance, policy, seed, known=known) for instance in pool.shared] for seed in pool.seeds]


def _above(pool: Pool, instance: str, policy: str, seed: int, *, known: bool) -> float:
    cell = pool.cells[instance, policy][seed]
    if known and cell.gap is not None:
        return cell.gap
    least = lowest(pool, instance)
    return 100 * (cell.mean - least) / abs(least)


@dataclass(frozen=True, eq=False)
class _Found:
    """A problem of one run as the config of the run has it."""

    folder: Path
    run: Run
    result: Result
    section: Mapping[str, Any]


def read_pool(folders: Sequence[Path]) -> Pool:
    """Read run folders, and the folders of grids that hold them.

    Raises `ConfigError` if none has results, if two differ in the same cell, or if their confidence differs.
    """
    failed: list[Missing] = []
    found: list[_Found] = []
    left_out: Counter[Missing] = Counter()
    runs = 0
    for label, folder in _members(folders, failed):
        run = read_run(folder)
        runs += 1
        config = load_yaml(folder / "config.yaml").data
        found += [_Found(folder, run, result, config["problems"][result.name]) for result in run.results]
        failed += [Missing(f"{label}: {one.place}", one.reason) for one in run.failed]
        left_out.update(run.left_out)
    if not found:
        raise ConfigError([f"{', '.join(map(str, folders))}: no run has results"])
    told = [
        one if of == runs else replace(one, place=f"{one.place} ({of} of {runs} runs)") for one, of in left_out.items()
    ]
    return _pool(folders, found, failed, told, runs)


def _members(folders: Sequence[Path], failed: list[Missing]) -> Iterator[tuple[str, Path]]:
    """The run folders with results; of those without, the failures are told."""
    for folder in folders:
        if not (folder / GRID_TABLE).exists():
            yield folder.name, folder
            continue
        for row in rows(folder / GRID_TABLE, ["label"]):
            member = folder / row["label"]
            if (member / "summary.csv").exists():
                yield row["label"], member
            else:
                failed.append(Missing(row["label"], f"no results ({row.get('status') or 'not begun'})"))


def _pool(
    folders: Sequence[Path],
    found: Sequence[_Found],
    failed: Sequence[Missing],
    left_out: Sequence[Missing],
    runs: int,
) -> Pool:
    instance_names = _names([(one.result.name, _without(one.section, "policies")) for one in found])
    policy_names: dict[tuple[str, str, str], str] = {}
    for problem in dict.fromkeys(one.result.name for one in found):
        ran = [(name, section) for one in found if one.result.name == problem for name, section in _policies(one)]
        policy_names |= {(problem, *key): name for key, name in _names(ran).items()}
    _require_one_confidence(found)
    cells: defaultdict[Place, dict[int, PolicyResult]] = defaultdict(dict)
    origins: dict[tuple[str, str, int], Path] = {}
    results: dict[str, Result] = {}
    values: dict[str, Mapping[str, Any]] = {}
    for one in found:
        key = (one.result.name, _text(_without(one.section, "policies")))
        instance = instance_names[key]
        results.setdefault(instance, one.result)
        values.setdefault(instance, one.section.get("parameters") or {})
        seed = int(one.run.manifest.get("seed", 0))
        for policy, (name, section) in zip(one.result.policies, _policies(one), strict=True):
            known = policy_names[one.result.name, name, _text(section)]
            origin = origins.setdefault((instance, known, seed), one.folder)
            # What a sweep leaves as it is, every run of the grid holds; by the seed it is the same everywhere.
            if _differ(cells[instance, known].setdefault(seed, policy), policy):
                cell = f"policy {known!r} on {instance!r} with seed {seed}"
                raise ConfigError([f"{origin} and {one.folder} differ in the result of {cell}: leave one of them out"])
    names = dict.fromkeys(name for _, name in cells)
    title = " + ".join(folder.resolve().name for folder in folders[:3]) + (" + …" if len(folders) > 3 else "")
    return Pool(title, tuple(results), tuple(names), results, values, cells, tuple(failed), tuple(left_out), runs)


def _differ(one: PolicyResult, other: PolicyResult) -> bool:
    return (one.mean, one.half_width) != (other.mean, other.half_width)


def _require_one_confidence(found: Sequence[_Found]) -> None:
    folders = {one.result.confidence: one.folder for one in found}
    if len(folders) > 1:
        told = ", ".join(f"{confidence:g} in {folder}" for confidence, folder in sorted(folders.items()))
        raise ConfigError([f"runs must have intervals of one confidence (got {told})"])


def _policies(one: _Found) -> list[tuple[str, Mapping[str, Any]]]:
    """The policies with results, with their settings."""
    return [(policy.name, one.section["policies"].get(policy.name, {})) for policy in one.result.policies]


def _names(found: Sequence[tuple[str, Mapping[str, Any]]]) -> dict[Place, str]:
    """A name for every (name, settings): the name itself or, if several share it, with what sets them apart."""
    settings: defaultdict[str, dict[str, Mapping[str, Any]]] = defaultdict(dict)
    for name, section in found:
        settings[name][_text(section)] = dict(_leaves(section))
    names = {}
    for name, variants in settings.items():
        keys = dict.fromkeys(key for leaves in variants.values() for key in leaves)
        missing = object()
        apart = [key for key in keys if len({_text(v.get(key, str(missing))) for v in variants.values()}) > 1]
        for text, said in zip(variants, _said([*variants.values()], apart), strict=True):
            names[name, text] = f"{name} ({said})" if said else name
    return names


def _said(variants: Sequence[Mapping[str, Any]], apart: Sequence[str]) -> list[str]:
    """What sets each variant apart, in as few words as tell them all: six digits may be the same for two values."""
    said: list[str] = []
    for whole_key, write in ((False, as_text), (False, _text), (True, _text)):
        words = {key: (key if whole_key else key.rpartition(".")[2]).replace("_", " ") for key in apart}
        said = [", ".join(f"{words[key]} {write(one[key])}" for key in apart if key in one) for one in variants]
        if len(set(said)) == len(said):
            break
    return said


def _leaves(section: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for key, value in section.items():
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _without(section: Mapping[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in section.items() if name != key}


def _text(section: Any) -> str:
    return json.dumps(section, sort_keys=True, default=str)
