"""Reading YAML 1.2 into a pydantic model with every defect named by file, line and key, and writing it back.

A `Document` is plain data plus the line of every key and list item. `load_model` reads a file into a
model in one go; an experiment goes `load_yaml`, `apply_overrides`, `validate_document`, so that values
from the command line pass through the same checks as those from the file.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.representer import SafeRepresenter

from echelon.envs.defects import Path as KeyPath
from echelon.envs.defects import describe as describe
from echelon.envs.defects import describe_all, dotted, show
from echelon.envs.errors import ConfigError

M = TypeVar("M", bound=BaseModel)

CONFIG_BYTES = 2**20
"""Largest config file."""
NETWORK_BYTES = 2**26
"""Largest network file."""

OVERRIDE = "--set"
"""The command-line option that `apply_overrides` serves, and the place that its defects are reported at."""

_TAG = "tag:yaml.org,2002:"
_DEEPEST = 100
_FEWEST_VALUES = 100_000
"""Values that any document may have; beyond it aliases must not make more values than the text has bytes."""


@dataclass(frozen=True)
class Document:
    """Plain data (dict, list, str, int, float, bool, None) and where each part of it was written."""

    data: Any
    file: str
    lines: Mapping[KeyPath, int] = field(default_factory=dict)
    """The line of each key and list item by its path; 0 for what an override has set."""

    def line(self, path: KeyPath) -> int | None:
        """The line of the value at `path`, or of the closest value around it that was written."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path)

    def where(self, path: KeyPath) -> str:
        """The place of the value at `path` as messages say it: `file:line`, or `--set`."""
        line = self.line(path)
        if line == 0:
            return OVERRIDE
        return self.file if line is None else f"{self.file}:{line}"


def load_model(path: Path, model: type[M], *, max_bytes: int = NETWORK_BYTES) -> M:
    """Read a YAML file into a model. Raises `ConfigError` that lists every defect with its line."""
    return validate_document(load_yaml(path, max_bytes=max_bytes), model)


def load_yaml(path: Path, *, max_bytes: int = CONFIG_BYTES) -> Document:
    """Read a YAML file that holds one mapping. Raises `ConfigError` if it is not sound YAML."""
    try:
        if path.stat().st_size > max_bytes:
            raise ConfigError([f"{path}: a file must have at most {max_bytes:,} bytes (got {path.stat().st_size:,})"])
        text = path.read_bytes().decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigError([f"{path}: there is no such file"]) from None
    except OSError as error:
        raise ConfigError([f"{path}: the file cannot be read: {error.strerror}"]) from None
    except UnicodeDecodeError as error:
        line = 1 + error.object[: error.start].count(b"\n")
        raise ConfigError([f"{path}:{line}: the file must be text in UTF-8"]) from None
    data, lines = _parse(text, lambda line: f"{path}:{line}")
    if data is None:
        raise ConfigError([f"{path}:1: the file is empty; it must hold a mapping of keys to values"])
    if not isinstance(data, dict):
        raise ConfigError([f"{path}:{lines[()]}: the top level must be a mapping of keys to values (got {show(data)})"])
    return Document(data, str(path), lines)


def validate_document(document: Document, model: type[M]) -> M:
    """Read a document into a model. Raises `ConfigError` that lists every defect with its place."""
    try:
        return model.model_validate(document.data)
    except ValidationError as error:
        defects = sorted(describe_all(error, model), key=lambda defect: document.line(defect[0]) or 0)
    raise ConfigError(f"{document.where(path)}: {text}" for path, text in defects)


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
        return self.represent_sequence(_TAG + "seq", data, flow_style=numbers)

    def represent_str(self, data: str) -> ScalarNode:
        # In single quotes the emitter would write line separators such as U+0085 as they are: they fold to a space.
        plain = data.replace("\n", "").isprintable()
        return self.represent_scalar(_TAG + "str", data, style=None if plain else '"')


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
    names = key.split(".")
    if not equals or not all(names):
        raise ConfigError([f"{place}: must have the form key.sub_key=value"])
    value, _ = _parse(text, lambda _: place)
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


def _parse(text: str, place: Callable[[int], str]) -> tuple[Any, dict[KeyPath, int]]:
    """The data of the one YAML document in `text`, None if there is none, and the lines of their parts.

    `place` says how a message names a line.
    """
    try:
        root = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise ConfigError([f"{place(line)}: not valid YAML: {error.problem or error.context}"]) from None
    except YAMLError as error:
        raise ConfigError([f"{place(1)}: not valid YAML: {' '.join(str(error).split())}"]) from None
    except RecursionError:
        raise ConfigError([f"{place(1)}: nested too deep; at most {_DEEPEST} levels are allowed"]) from None
    if root is None:
        return None, {}
    builder = _Builder(place, max(_FEWEST_VALUES, len(text)))
    data = builder.build(root, ())
    if builder.problems:
        raise ConfigError(builder.problems)
    return data, builder.lines


class _Builder:
    """Turns YAML nodes into plain data, and notes the lines and the defects on its way."""

    def __init__(self, place: Callable[[int], str], most_values: int) -> None:
        self.place = place
        self.most_values = most_values
        self.lines: dict[KeyPath, int] = {}
        self.problems: list[str] = []

    def build(self, node: Node, path: KeyPath) -> Any:
        self.lines.setdefault(path, node.start_mark.line + 1)
        if len(path) > _DEEPEST:
            raise ConfigError([self.at(node, path) + f"nested too deep; at most {_DEEPEST} levels are allowed"])
        if len(self.lines) > self.most_values:
            raise ConfigError([self.at(node, path) + "aliases repeat too much"])
        kind = str(node.tag).removeprefix(_TAG)
        if isinstance(node, MappingNode) and kind == "map":
            return {key: self.build(value, (*path, key)) for key, value in self.pairs(node, path)}
        if isinstance(node, SequenceNode) and kind == "seq":
            return [self.build(item, (*path, position)) for position, item in enumerate(node.value)]
        if not isinstance(node, ScalarNode) or kind not in _SCALARS:
            self.problems.append(self.at(node, path) + f"tags are not supported (got {node.tag})")
            return None
        try:
            return _SCALARS[kind](node.value)
        except ValueError:
            self.problems.append(self.at(node, path) + f"not a value of the kind {kind} (got {show(node.value)})")
            return None

    def pairs(self, node: MappingNode, path: KeyPath) -> Iterator[tuple[str, Node]]:
        """The keys and values of a mapping; a key is text, however it looks."""
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                self.problems.append(self.at(key, path) + "a key must be a single name or number")
                continue
            at = (*path, key.value)
            if at in self.lines:
                earlier = f"the key is given twice, first on line {self.lines[at]}"
                self.problems.append(self.at(key, at) + earlier)
                continue
            self.lines[at] = key.start_mark.line + 1
            yield key.value, value

    def at(self, node: Node, path: KeyPath) -> str:
        """The opening of a message about `node`: its place and its key."""
        place = self.place(node.start_mark.line + 1)
        return f"{place}: {dotted(path)}: " if path else f"{place}: "


def _bool(text: str) -> bool | str:
    """True or false; other words that YAML 1.1 took for truth values stay words."""
    return {"true": True, "false": False}.get(text.lower(), text)


def _int(text: str) -> int:
    digits = text.replace("_", "").lower()
    return int(digits, 0 if digits.lstrip("+-")[:2] in ("0x", "0o", "0b") else 10)


def _float(text: str) -> float:
    return float(text.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan"))


_SCALARS: dict[str, Callable[[str], Any]] = {
    "null": lambda _: None,
    "bool": _bool,
    "int": _int,
    "float": _float,
    # Dates, `=` and `<<` have no meaning of their own in YAML 1.2.
    **dict.fromkeys(("str", "timestamp", "value", "merge"), str),
}
