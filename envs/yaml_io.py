"""Reading YAML 1.2 into a pydantic model with every defect named by file, line and key, and writing it back.

A `Document` is plain data plus the line of every key and list item. `load_model` reads a file into a
model in one go; an experiment goes `load_yaml`, `apply_overrides`, `validate_document`, so that values
from the command line pass through the same checks as those from the file.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.nodes import ScalarNode, SequenceNode
from ruamel.yaml.representer import SafeRepresenter

from echelon.envs.defects import Path as KeyPath
from echelon.envs.defects import describe as describe
from echelon.envs.defects import describe_all, dotted, show
from echelon.envs.errors import ConfigError
from echelon.envs.yaml_text import TAG, one_line, parse_yaml

M = TypeVar("M", bound=BaseModel)

CONFIG_BYTES = 2**20
"""Largest config file."""
NETWORK_BYTES = 2**26
"""Largest network file."""

OVERRIDE = "--set"
"""The command-line option that `apply_overrides` serves, and the place that its defects are reported at."""


@dataclass(frozen=True)
class Document:
    """Plain data (dict, list, str, int, float, bool, None) and where each part of it was written."""

    data: Any
    file: str
    lines: Mapping[KeyPath, int] = field(default_factory=dict)
    """The line of each key and list item by its path; 0 for what an override has set."""
    files: Mapping[KeyPath, str] = field(default_factory=dict)
    """The file of what was written in another one."""
    moved: Mapping[KeyPath, KeyPath] = field(default_factory=dict)
    """The path under which a value was written that now stands, with all that is below it, under another one."""

    def line(self, path: KeyPath) -> int | None:
        """The line of the value at `path`, or of the closest value around it that was written."""
        return self.lines.get(self._written(path))

    def where(self, path: KeyPath) -> str:
        """The place of the value at `path` as messages say it: `file:line`, or `--set`."""
        written = self._written(path)
        line, file = self.lines.get(written), self.files.get(written, self.file)
        if line == 0:
            return OVERRIDE
        return file if line is None else f"{file}:{line}"

    def order(self, path: KeyPath) -> tuple[str, int]:
        """By which defects are sorted: those of the file itself come first."""
        return self.files.get(self._written(path), ""), self.line(path) or 0

    def _written(self, path: KeyPath) -> KeyPath:
        """Where the value at `path`, or the closest value around it, was written."""
        for depth in range(len(path), 0, -1) if self.moved else ():
            if path[:depth] in self.moved:
                return self._written(self.moved[path[:depth]] + path[depth:])
        while path and path not in self.lines:
            path = path[:-1]
        return path


def load_model(path: Path, model: type[M], *, max_bytes: int = NETWORK_BYTES) -> M:
    """Read a YAML file into a model. Raises `ConfigError` that lists every defect with its line."""
    return validate_document(load_yaml(path, max_bytes=max_bytes), model)


def load_yaml(path: Path, *, max_bytes: int = CONFIG_BYTES) -> Document:
    """Read a YAML file that holds one mapping. Raises `ConfigError` if it is not sound YAML."""
    try:
        with path.open("rb") as stream:
            content = stream.read(max_bytes + 1)
        if len(content) > max_bytes:
            size = max(path.stat().st_size, len(content))
            raise ConfigError([f"{path}: a file must have at most {max_bytes:,} bytes (got {size:,})"])
        text = content.decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError([f"{path}: there is no such file"]) from None
    except OSError as error:
        raise ConfigError([f"{path}: the file cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError as error:
        line = 1 + error.object[: error.start].count(b"\n")
        raise ConfigError([f"{path}:{line}: the file must be text in UTF-8"]) from None
    data, lines = parse_yaml(text, lambda line: f"{path}:{line}")
    if data is None:
        raise ConfigError([f"{path}:1: the file is empty; it must hold a mapping of keys to values"])
    if not isinstance(data, dict):
        raise ConfigError([f"{path}:{lines[()]}: the top level must be a mapping of keys to values (got {show(data)})"])
    return Document(data, str(path), lines)


def validate_document(document: Document, model: type[M], *, context: Any = None) -> M:
    """Read a document into a model, whose validators see the `context`.

    Raises `ConfigError` that lists every defect with its place.
    """
    try:
        return model.model_validate(document.data, context=context)
    except ValidationError as error:
        defects = sorted(describe_all(error, model), key=lambda defect: document.order(defect[0]))
    raise ConfigError(one_line(f"{document.where(path)}: {text}") for path, text in defects)


def refusal(document: Document, defects: Iterable[tuple[KeyPath, str]]) -> ConfigError:
    """The error that lists defects, each with its path, in the order in which they were written."""
    ordered = sorted(defects, key=lambda defect: document.order(defect[0]))
    return ConfigError(one_line(f"{document.where(path)}: {dotted(path)}: {must}") for path, must in ordered)


def apply_overrides(document: Document, overrides: Sequence[str]) -> Document:
    """The document with values replaced or added, each override of the form `key.sub_key=value`.

    A number in the key is the position in a list; the value is YAML, such as `3e-4` or `[1, 2]`.
    Raises `ConfigError` that lists every override that cannot be applied.
    """
    data, lines = deepcopy(document.data), dict(document.lines)
    problems: list[str] = []
    for override in overrides:
        try:
            path = _override(data, override)
        except ConfigError as error:
            problems += error.problems
            continue
        lines = {at: line for at, line in lines.items() if at[: len(path)] != path}
        lines |= {path[:depth]: 0 for depth in range(1, len(path) + 1) if path[:depth] not in lines}
    if problems:
        raise ConfigError(problems)
    return replace(document, data=data, lines=lines)


def dump_yaml(data: Any, path: Path) -> None:
    """Write plain data as YAML in one step: a reader sees the old file or the new one, never a part.

    Mappings keep their order, lists of numbers stand on one line, and numbers are read back as they were.
    """
    temporary = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        with temporary.open("w", encoding="utf-8", newline="\n") as stream:
            _writer().dump(data, stream)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


class _Representer(SafeRepresenter):
    """Writes lists of numbers in flow style, and equal objects twice instead of as an alias."""

    def ignore_aliases(self, data: Any) -> bool:
        return True

    def represent_list(self, data: Sequence[Any]) -> SequenceNode:
        numbers = all(isinstance(item, int | float) for item in data)
        return self.represent_sequence(TAG + "seq", data, flow_style=numbers)

    def represent_str(self, data: str) -> ScalarNode:
        # In single quotes the emitter would write line separators such as U+0085 as they are: they fold to a space.
        plain = data.replace("\n", "").isprintable()
        return self.represent_scalar(TAG + "str", data, style=None if plain else '"')


_Representer.add_representer(str, _Representer.represent_str)
_Representer.add_representer(list, _Representer.represent_list)
_Representer.add_representer(tuple, _Representer.represent_list)


def _writer() -> YAML:
    yaml = YAML(typ="safe", pure=True)
    yaml.Representer = _Representer
    yaml.default_flow_style = False
    yaml.sort_base_mapping_type_on_output = False  # type: ignore[assignment]
    yaml.width = 120
    return yaml


def _override(data: Any, override: str) -> KeyPath:
    """Carry out one override inside `data` in place; returns the path that it has set."""
    place = f"{OVERRIDE} {override}"
    key, equals, text = override.partition("=")
    if not equals:
        raise ConfigError([f"{place}: must have the form key.sub_key=value"])
    value, _ = parse_yaml(text, lambda _: place)
    return put_value(data, key, value, place)


def put_value(data: Any, key: str, value: Any, place: str) -> KeyPath:
    """Set the value of `key.sub_key` inside `data` in place; returns its path.

    Raises `ConfigError`, which names the place, if there can be no such key.
    """
    names = key.split(".")
    if not all(names):
        raise ConfigError([f"{place}: must have the form key.sub_key=value"])
    path: KeyPath = ()
    for depth, name in enumerate(names, start=1):
        step: str | int = name
        if isinstance(data, list):
            if not (name.isdecimal() and int(name) < len(data)):
                raise ConfigError([f"{place}: {dotted(path)} has {len(data)} items, counted from 0 (got {name!r})"])
            step = int(name)
        elif not isinstance(data, dict):
            raise ConfigError([f"{place}: {dotted(path)} is {show(data)}, which has no key {name!r}"])
        path = (*path, step)
        if depth == len(names):
            data[step] = value
        elif isinstance(data, dict) and data.get(step) is None:
            data[step] = {}
        data = data[step]
    return path
