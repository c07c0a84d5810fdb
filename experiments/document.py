"""The document that a user writes: a config that may extend others and stand for several problems and several runs.

A document is read in three steps: what it `extends` is put below it, values from the command line replace its own,
and the whole is checked against `ConfigDocument`. What `grid` makes of it are runs, each a `Config`.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, ValidationInfo, field_validator

from echelon.envs.arguments import argument_defects
from echelon.envs.catalogue import builder_of
from echelon.envs.defects import Defects, show
from echelon.envs.defects import Path as Location
from echelon.envs.errors import ConfigError
from echelon.envs.yaml_io import Document, apply_overrides, load_yaml, refusal
from echelon.experiments.config import Name, PolicyConfig, RunSettings, Section, Seed, find_config, id_defects

Values = Annotated[list[Any], Field(min_length=1)]
File = Annotated[str, Field(min_length=1)]

EXTENDS = "extends"
MOST_LEVELS = 10
"""Configs that extend one another in a chain."""
MOST_FILES = 100
"""Configs that one document is put together of."""


class ProblemDocument(Section):
    """One problem, or one for every combination of the values in `each`, and the policies to compare on it."""

    id: str
    """The name of a problem or published instance of the catalogue. With `each` it may hold {KEY}."""
    each: dict[str, Values] = Field(default_factory=dict)
    """Lists of values by key: every combination is a problem. A key is a parameter, unless the id holds {KEY}; the
    problem's own name must hold the keys that tell the problems apart."""
    parameters: dict[str, Any] = Field(default_factory=dict)
    """Those that differ from the catalogue's."""
    policies: dict[Name, PolicyConfig] = Field(default_factory=dict)
    """The competitors on this problem, by names of your choice."""
    left_out: dict[Name, str] = Field(default_factory=dict)
    """Policies for all problems that do not apply to this one, with the reason; runs write it into their config."""

    @property
    def copies(self) -> int:
        """For how many problems it stands."""
        return prod(len(values) for values in self.each.values())

    @field_validator("id")
    @classmethod
    def _is_known(cls, problem_id: str) -> str:
        if "{" not in problem_id and (defects := id_defects(problem_id)):
            raise Defects(defects)
        return problem_id

    @field_validator("parameters")
    @classmethod
    def _are_known(cls, parameters: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        problem_id, each = info.data.get("id", ""), info.data.get("each", {})
        defects: list[tuple[Location, str]] = [((key,), "is given by 'each' too") for key in parameters if key in each]
        defects += [] if id_defects(problem_id) else argument_defects(builder_of(problem_id), parameters)
        if defects:
            raise Defects(defects)
        return parameters


class ConfigDocument(RunSettings):
    """An experiment: problems, the policies that are compared on each, and the runs to make of them."""

    extends: File | Annotated[list[File], Field(min_length=1)] | None = None
    """Configs to begin with: files, relative to this one, or shipped configs by name. Their keys hold wherever this
    document has none; of several configs the later wins. A key that is null here is removed."""
    seeds: Annotated[list[Seed], Field(min_length=1)] | None = None
    """One run for each, instead of the `seed`."""
    sweep: dict[str, Values] = Field(default_factory=dict)
    """Lists of values by any key, such as problems.NAME.parameters.lead_time: one run for every combination."""
    policies: dict[Name, PolicyConfig] = Field(default_factory=dict)
    """Competitors on every problem; a problem's own policy of the same name comes instead."""
    problems: Annotated[dict[str, ProblemDocument], Field(min_length=1)]
    """By names of your choice."""

    @field_validator("seeds")
    @classmethod
    def _are_different(cls, seeds: list[int] | None) -> list[int] | None:
        given = seeds or []
        if defects := [((at,), f"is given twice (got {seed})") for at, seed in enumerate(given) if seed in given[:at]]:
            raise Defects(defects)
        return seeds

    @property
    def cells(self) -> int:
        """Policies to evaluate in one run, over all problems."""
        return sum(p.copies * len({*self.policies, *p.policies}) for p in self.problems.values())

    @property
    def runs(self) -> int:
        """For how many runs it stands."""
        return len(self.seeds or [0]) * prod(len(values) for values in self.sweep.values())


def read_document(path: str | Path, overrides: Sequence[str] = ()) -> Document:
    """The plain data of a config file with what it extends and with overrides, as yet unchecked.

    Raises `ConfigError` if a file is missing or no sound YAML, or an override cannot be applied.
    """
    of_files = [text for text in overrides if text.partition("=")[0].split(".")[0] == EXTENDS]
    others = [text for text in overrides if text not in of_files]
    document = apply_overrides(load_yaml(find_config(Path(path))), of_files)
    return _with_flat_sweep(apply_overrides(_Extender().extended(document, (document.file,)), others))


def _with_flat_sweep(document: Document) -> Document:
    """The document with each swept key in one piece: `a: {b: [1, 2]}`, as overrides make it, means `a.b: [1, 2]`."""
    if not isinstance(document.data.get("sweep"), dict):
        return document
    flat: dict[str, Any] = {}
    moved: dict[Location, Location] = {}

    def add(names: tuple[str, ...], value: Any) -> None:
        if isinstance(value, dict) and value:
            for name, inside in value.items():
                add((*names, name), inside)
            return
        flat[".".join(names)] = value
        if len(names) > 1:
            moved["sweep", ".".join(names)] = ("sweep", *names)

    for key, value in document.data["sweep"].items():
        add((key,), value)
    return replace(document, data={**document.data, "sweep": flat}, moved=moved)


class _Extender:
    """Puts documents together; it counts the files."""

    def __init__(self) -> None:
        self.files = 0

    def extended(self, document: Document, chain: tuple[str, ...]) -> Document:
        """The document on top of what it extends. `chain` names the files that led here, itself the last."""
        data = dict(document.data)
        names = data.pop(EXTENDS, None)
        if names is None:
            return replace(document, data=data)
        if names == []:
            raise refusal(document, [((EXTENDS,), "must have at least 1 item (got [])")])
        below: Document | None = None
        for at, name in enumerate(names if isinstance(names, list) else [names]):
            where = (EXTENDS, at) if isinstance(names, list) else (EXTENDS,)
            base = self._base(document, name, where, chain)
            below = base if below is None else merged(below, base)
        own = replace(document, data=data)
        return own if below is None else merged(below, own)

    def _base(self, document: Document, name: Any, where: Location, chain: tuple[str, ...]) -> Document:
        if not isinstance(name, str) or not name:
            raise refusal(document, [(where, f"must be the name of a file (got {show(name)})")])
        said_by_override = document.line(where) == 0
        try:
            file = find_config(Path(name), Path() if said_by_override else Path(chain[-1]).parent)
        except ConfigError as error:
            raise refusal(document, [(where, str(error))]) from None
        if file.is_dir():
            raise refusal(document, [(where, f"must be the name of a file (got {show(name)}, a folder)")])
        links = [*chain, str(file)]
        if os.path.realpath(file) in map(os.path.realpath, chain):
            raise refusal(document, [(where, f"must not lead back to itself (got {' -> '.join(links)})")])
        self.files += 1
        if len(chain) > MOST_LEVELS or self.files > MOST_FILES:
            raise refusal(document, [(where, f"at most {MOST_LEVELS} levels and {MOST_FILES} files are allowed")])
        return self.extended(load_yaml(file), (*chain, str(file)))


def merged(below: Document, above: Document) -> Document:
    """One document of two: mappings are joined, other values of `above` replace those of `below`, null removes them."""
    files = {path: below.files.get(path, below.file) for path in below.lines if path not in above.lines}
    return replace(
        above,
        data=_joined(below.data, above.data),
        lines={**below.lines, **above.lines},
        files={**files, **above.files},
    )


def _joined(below: Any, above: Any) -> Any:
    if not (isinstance(below, Mapping) and isinstance(above, Mapping)):
        return above
    joined = dict(below)
    for key, value in above.items():
        if value is None and key in joined:
            del joined[key]
        else:
            joined[key] = _joined(joined.get(key), value)
    return joined
