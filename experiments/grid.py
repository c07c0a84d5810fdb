"""The runs that a document stands for: one for each of its seeds and each combination of the values that it sweeps."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from echelon.envs.defects import Path as Location
from echelon.envs.defects import show
from echelon.envs.errors import ConfigError, nearest
from echelon.envs.yaml_io import Document, put_value, refusal, validate_document
from echelon.experiments.config import Config
from echelon.experiments.document import ConfigDocument, read_document
from echelon.experiments.each import expanded
from echelon.experiments.labels import labels_of as labels_of
from echelon.experiments.suitability import Checks

MOST_CELLS = 100_000
"""Cells of the largest grid."""
MOST_DEFECTS = 100
"""Defects of which a reader is told at once, where each of many runs has its own."""

_UNSWEPT = ("extends", "seeds", "sweep")
_NAMING = ("problems", "policies")
"""Keys below which names are the user's own."""

Values = Mapping[str, Any]


@dataclass(frozen=True)
class Member:
    """One run of a grid."""

    label: str
    """The name of its folder, "" for the only run of a document without seeds and sweep."""
    values: Values
    """What sets it apart: values by the keys of the document."""
    config: Config


@dataclass(frozen=True)
class Grid:
    """All runs of a document."""

    name: str
    members: tuple[Member, ...]
    document: Values
    """What the user wrote, with what it extends and with overrides; as YAML it can be read again."""

    @property
    def cells(self) -> int:
        """Policies to evaluate, over all problems of all runs."""
        return sum(len(p.policies) for member in self.members for p in member.config.problems.values())


def load_grid(path: str | Path, overrides: Sequence[str] = ()) -> Grid:
    """Read a config file, or one that the package ships by its name. Raises `ConfigError` with every defect."""
    document = read_document(path, overrides)
    outline = validate_document(document, ConfigDocument)
    _require_size(document, outline.runs, outline.runs * outline.cells)
    if defects := [*_sweep_defects(document, outline)]:
        raise refusal(document, defects)
    seeds: Sequence[Values] = [{}] if outline.seeds is None else [{"seed": seed} for seed in outline.seeds]
    runs = [
        ({**values, **seed}, config.model_copy(update=seed))
        for values, config in _configs(document, outline.sweep)
        for seed in seeds
    ]
    labels = labels_of([values for values, _ in runs])
    members = tuple(Member(label, values, config) for label, (values, config) in zip(labels, runs, strict=True))
    grid = Grid(members[0].config.name, members, document.data)
    _require_size(document, len(members), grid.cells)
    return grid


def _configs(document: Document, sweep: Mapping[str, list[Any]]) -> list[tuple[Values, Config]]:
    """The config of every combination. Raises `ConfigError` with the defects of all of them, each once."""
    found: list[tuple[Values, Config]] = []
    checks, problems = Checks(), dict[str, None]()
    for values, swept in _combinations(document, sweep):
        try:
            outline = validate_document(swept, ConfigDocument)
            _require_size(document, 1, outline.cells)
            found.append((values, validate_document(expanded(swept, outline, checks), Config, context=checks)))
        except ConfigError as error:
            problems |= dict.fromkeys(error.problems)
            if len(problems) > MOST_DEFECTS:
                break
    if problems:
        raise ConfigError(list(problems)[:MOST_DEFECTS])
    return found


def _combinations(document: Document, sweep: Mapping[str, list[Any]]) -> Iterator[tuple[Values, Document]]:
    """The values of every combination, and the document that has them in their places."""
    plain = {key: value for key, value in document.data.items() if key not in ("sweep", "seeds")}
    for picks in product(*(enumerate(values) for values in sweep.values())):
        chosen = dict(zip(sweep, picks, strict=True))
        data = deepcopy(plain)
        moved = dict(document.moved)
        for key, (at, value) in chosen.items():
            place = f"{document.where(('sweep', key))}: sweep"
            moved[put_value(data, key, deepcopy(value), place)] = ("sweep", key, at)
        yield {key: value for key, (_, value) in chosen.items()}, replace(document, data=data, moved=moved)


def _require_size(document: Document, runs: int, cells: int) -> None:
    if max(runs, cells) > MOST_CELLS:
        told = f"must have at most {MOST_CELLS:,} cells, one for each policy and problem of each run"
        raise ConfigError([f"{document.where(())}: the config {told} (got {cells:,} cells in {runs:,} runs)"])


def _sweep_defects(document: Document, outline: ConfigDocument) -> Iterator[tuple[Location, str]]:
    """What is wrong with the keys of a sweep; the values are checked where they are put."""
    for key, values in outline.sweep.items():
        names = tuple(key.split("."))
        if names[0] in _UNSWEPT:
            yield ("sweep", key), "cannot be swept"
        if names[0] == "seed" and outline.seeds is not None:
            yield ("sweep", key), "is given by 'seeds' too"
        if inside := [other for other in outline.sweep if names[: other.count(".") + 1] == (*other.split("."),)][:-1]:
            yield ("sweep", key), f"is part of {inside[0]!r}, which is swept too"
        yield from ((("sweep", key), must) for must in _unknown_names(document.data, names))
        shown = [json.dumps(value) for value in values]
        twice = [at for at, text in enumerate(shown) if text in shown[:at]]
        yield from ((("sweep", key, at), f"is given twice (got {show(values[at])})") for at in twice)


def _unknown_names(data: Any, names: tuple[str, ...]) -> Iterator[str]:
    """Names of problems and policies in a key that the document does not have."""
    for depth, name in enumerate(names):
        if depth and names[depth - 1] in _NAMING and isinstance(data, dict) and name not in data:
            yield f"unknown name (got {name!r}){nearest(name, data)}"
        data = data.get(name) if isinstance(data, dict) else None
