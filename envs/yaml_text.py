"""Reading YAML 1.2 text as plain data and the line of each part of it, whoever wrote the text.

Nothing but mappings, lists, text, numbers and truth values is ever made of it, and neither depth nor aliases make more
of it than a message about it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode
from ruamel.yaml.reader import ReaderError

from echelon.envs.defects import Path as KeyPath
from echelon.envs.defects import dotted, show
from echelon.envs.errors import ConfigError

TAG = "tag:yaml.org,2002:"
_DEEPEST = 100
_TOO_DEEP = f"nested too deep; at most {_DEEPEST} levels are allowed"
_FEWEST_VALUES = 100_000
"""Values that any document may have; beyond it aliases must not make more values than the text has bytes."""
_FEWEST_CHARACTERS = 2**20
"""The same for the characters of these values."""
_MOST_BITS = 2**12
"""Size of the largest whole number."""
_LONGEST_MESSAGE = 2_000
_BRACKETS = re.compile(rf"(?:[\[{{][ \t]*){{{_DEEPEST + 1}}}")
"""Opening brackets in a row that nest too deep; the parser would need seconds for thousands of them."""


def parse_yaml(text: str, place: Callable[[int], str]) -> tuple[Any, dict[KeyPath, int]]:
    """The data of the one YAML document in `text`, None if there is none, and the lines of their parts.

    `place` says how a message names a line.
    """
    root = _compose(text, place)
    if root is None:
        return None, {}
    builder = _Builder(place, len(text))
    data = builder.build(root, ())
    if builder.problems:
        raise ConfigError(map(one_line, builder.problems))
    return data, builder.lines


def _compose(text: str, place: Callable[[int], str]) -> Node | None:
    """The tree of the text, None if there is none."""
    try:
        if deep := _BRACKETS.search(text):
            line = 1 + text.count("\n", 0, deep.start())
            raise ConfigError([f"{place(line)}: {_TOO_DEEP}"])
        yaml = YAML(typ="safe", pure=True)
        yaml.max_depth = _DEEPEST + 1
        yaml.composer.warn_double_anchors = False
        root: Node | None = yaml.compose(text)
        return root
    except ReaderError as error:
        line = 1 + text.count("\n", 0, error.position)
        raise ConfigError([f"{place(line)}: not valid YAML: the character {_code(error)} is not allowed"]) from None
    except MarkedYAMLError as error:
        mark, problem = error.problem_mark or error.context_mark, error.problem or error.context
        told = _TOO_DEEP if "maximum depth" in str(problem) else f"not valid YAML: {problem}"
        raise ConfigError([one_line(f"{place(mark.line + 1 if mark else 1)}: {told}")]) from None
    except YAMLError as error:
        raise ConfigError([one_line(f"{place(1)}: not valid YAML: {error}")]) from None
    except RecursionError:
        raise ConfigError([f"{place(1)}: {_TOO_DEEP}"]) from None


def _code(error: ReaderError) -> str:
    """The character that cannot be read, by its code."""
    return f"U+{ord(error.character) if isinstance(error.character, str) else int(error.character):04X}"


class _Builder:
    """Turns YAML nodes into plain data, and notes the lines and the defects on its way."""

    def __init__(self, place: Callable[[int], str], size: int) -> None:
        self.place = place
        self.most_values = max(_FEWEST_VALUES, size)
        self.characters_left = max(_FEWEST_CHARACTERS, size)
        self.lines: dict[KeyPath, int] = {}
        self.problems: list[str] = []

    def build(self, node: Node, path: KeyPath) -> Any:
        self.lines.setdefault(path, node.start_mark.line + 1)
        if len(path) > _DEEPEST:
            raise ConfigError([one_line(self.at(node, path) + _TOO_DEEP)])
        self.characters_left -= len(node.value) if isinstance(node, ScalarNode) else 0
        if len(self.lines) > self.most_values or self.characters_left < 0:
            raise ConfigError([one_line(self.at(node, path) + "aliases repeat too much")])
        kind = str(node.tag).removeprefix(TAG)
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
            if str(key.tag).removeprefix(TAG) not in _SCALARS:
                self.problems.append(self.at(key, (*path, key.value)) + f"tags are not supported (got {key.tag})")
                continue
            at = (*path, key.value)
            if at in self.lines:
                earlier = f"the key is given twice, first on line {self.lines[at]}"
                self.problems.append(self.at(key, at) + earlier)
                continue
            self.lines[at] = key.start_mark.line + 1
            self.characters_left -= len(key.value)
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
    value = int(digits, 0 if digits.lstrip("+-")[:2] in ("0x", "0o", "0b") else 10)
    if value.bit_length() > _MOST_BITS:
        raise ValueError("no quantity is so large, and Python would not print it")
    return value


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


def one_line(message: str) -> str:
    """A message as one line that any terminal can show: without control characters, and not without end."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in message[:_LONGEST_MESSAGE])
    return shown if len(message) <= _LONGEST_MESSAGE else f"{shown}..."
