"""Pydantic's validation errors in plain words: `nodes.1.holding_cost: must be at least 0 (got -1)`."""

from __future__ import annotations

import types
from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from echelon.envs.errors import nearest

Path = tuple[str | int, ...]
"""The keys and list positions that lead to a value; `()` is the whole."""

LONGEST_VALUE = 60
"""Characters of a value that a message shows."""

_Context = Mapping[str, Any]
_KINDS = {"Path": "a path", "Sequence": "a list", "Mapping": "a mapping of keys to values"}
_MAPPING = "must be a mapping of keys to values"
_SCALAR = ("must be a whole number", "must be a number", "must be text", "must be true or false")
_MUST: dict[str, Callable[[_Context], str]] = {
    "missing": lambda _: "is required",
    "greater_than": lambda c: f"must be greater than {_number(c['gt'])}",
    "greater_than_equal": lambda c: f"must be at least {_number(c['ge'])}",
    "less_than": lambda c: f"must be less than {_number(c['lt'])}",
    "less_than_equal": lambda c: f"must be at most {_number(c['le'])}",
    "multiple_of": lambda c: f"must be a multiple of {_number(c['multiple_of'])}",
    "finite_number": lambda _: "must be finite",
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), lambda _: "must be a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), lambda _: "must be a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), lambda _: "must be true or false"),
    **dict.fromkeys(("tuple_type", "list_type", "set_type", "frozen_set_type"), lambda _: "must be a list"),
    **dict.fromkeys(
        ("model_type", "model_attributes_type", "dict_type", "mapping_type"),
        lambda _: _MAPPING,
    ),
    "sequence_str": lambda _: "must be a list",
    "is_instance_of": lambda c: f"must be {_KINDS.get(c['class'], c['class'])}",
    "string_type": lambda _: "must be text",
    "string_too_short": lambda c: f"must have at least {_count(c['min_length'], 'character')}",
    "string_too_long": lambda c: f"must have at most {_count(c['max_length'], 'character')}",
    "string_pattern_mismatch": lambda c: f"must match the pattern {c['pattern']}",
    "too_short": lambda c: f"must have at least {_count(c['min_length'], 'item')}",
    "too_long": lambda c: f"must have at most {_count(c['max_length'], 'item')}",
    "literal_error": lambda c: f"must be {c['expected']}",
    "enum": lambda c: f"must be {c['expected']}",
    "none_required": lambda _: "must be null",
}


class Defects(ValueError):
    """What a validator raises that has found several defects, each at its path below the value that it checks."""

    def __init__(self, found: Iterable[tuple[Path, str]]) -> None:
        self.found = tuple(found)
        super().__init__("; ".join(_joined(path, must) for path, must in self.found))


def describe(defect: ErrorDetails, model: type[BaseModel]) -> str:
    """One of pydantic's errors about `model` as `dotted.key: what must hold (got value)`, a line for each defect."""
    return "\n".join(_joined(path, must + got) for path, must, got in _found(defect, model))


def describe_all(error: ValidationError, model: type[BaseModel]) -> list[tuple[Path, str]]:
    """Every defect in `error` with its path, in the words of `describe`.

    What the members of a union say about one value is joined into one sentence; `Defects` keep a line
    each. Pydantic also calls a
    list too short when it is the items that are broken; that is left out.
    """
    listed: list[tuple[Path, str]] = []
    musts: dict[Path, dict[str, None]] = {}
    last_got: dict[Path, str] = {}
    values: dict[Path, Any] = {}
    for defect in error.errors():
        if defect["type"] == "too_short" and len(defect["input"]) >= defect["ctx"]["min_length"]:
            continue
        if isinstance(defect.get("ctx", {}).get("error"), Defects):
            listed += [(path, _joined(path, must)) for path, must, _ in _found(defect, model)]
            continue
        for path, must, got in _found(defect, model):
            musts.setdefault(path, {})[must] = None
            last_got[path] = got
            values[path] = defect["input"]
    musts = {path: _apt(said, values[path], any(_below(p, path) for p in musts)) for path, said in musts.items()}
    musts = {path: said for path, said in musts.items() if said}
    return listed + [(path, _joined(path, ", or ".join(said) + last_got[path])) for path, said in musts.items()]


def _apt(said: dict[str, None], value: object, broken_inside: bool) -> dict[str, None]:
    """Of what the members of a union say, that of the members that the value may have been meant for."""
    if isinstance(value, Mapping) and (broken_inside or len(said) > 1):
        return {must: None for must in said if must not in _SCALAR}
    apt = [must for must in said if must != _MAPPING or len(said) == 1]
    return dict.fromkeys(sorted(apt, key=lambda must: "did you mean" in must))


def _below(path: Path, above: Path) -> bool:
    return len(path) > len(above) and path[: len(above)] == above


def dotted(path: Path) -> str:
    """A path as the user writes it: `nodes.1.holding_cost`."""
    return ".".join(map(str, path))


def show(value: object) -> str:
    """A value as a message echoes it."""
    text = repr(value)
    if isinstance(value, list | tuple | dict) and len(text) > LONGEST_VALUE:
        return f"a {'mapping' if isinstance(value, dict) else 'list'} of {_count(len(value), 'item')}"
    return text if len(text) <= LONGEST_VALUE else f"{text[: LONGEST_VALUE - 3]}..."


def _found(defect: ErrorDetails, model: type[BaseModel]) -> list[tuple[Path, str, str]]:
    """The defects in one of pydantic's errors: path without pydantic's labels, what must hold, what was got."""
    context = defect.get("ctx", {})
    kind = defect["type"]
    if kind == "extra_forbidden":
        path, of = _walk(model, defect["loc"][:-1])
        key = defect["loc"][-1]
        return [((*path, key), f"unknown key{nearest(str(key), _fields(of))}", "")]
    path, of = _walk(model, defect["loc"])
    if isinstance(context.get("error"), Defects):
        return [((*path, *below), must, "") for below, must in context["error"].found]
    if kind in ("union_tag_invalid", "union_tag_not_found"):
        return [((*path, context["discriminator"].strip("'")), _about_tag(context, of), "")]
    if kind in _MUST:
        return [(path, _MUST[kind](context) + _hint(defect), _got(defect))]
    message = defect["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    return [(path, message.replace("Input should be", "must be"), _got(defect))]


def _about_tag(context: _Context, union: Any) -> str:
    """What must hold for the key that says which member of a union is meant."""
    tags = [tag for member in _members(union) for tag in _tags(member)]
    if "tag" not in context:
        return f"is required; known: {', '.join(tags)}"
    return f"must be one of {', '.join(tags)} (got {show(context['tag'])}){_close(context['tag'], tags)}"


def _hint(defect: ErrorDetails) -> str:
    """How to mend a value of the wrong kind, where that is not plain from the rule."""
    value = defect["input"]
    if defect["type"] == "string_type" and isinstance(value, int | float):
        return ": put it in quotes"
    if defect["type"] == "literal_error" and isinstance(value, str):
        return _close(value, defect["ctx"]["expected"].replace(" or ", ", ").replace("'", "").split(", "))
    return ""


def _close(name: str, known: list[str]) -> str:
    hint = nearest(str(name), known)
    return hint if "did you mean" in hint else ""


def _got(defect: ErrorDetails) -> str:
    """The value, unless there is none or the message tells of it in its own way."""
    value = defect["input"]
    if defect["type"] == "missing" or "(got" in defect["msg"]:
        return ""
    if defect["type"] not in _MUST and not (value is None or isinstance(value, str | int | float)):
        return ""
    return f" (got {show(value)})"


def _joined(path: Path, message: str) -> str:
    return f"{dotted(path)}: {message}" if path else message


def _walk(model: type[BaseModel], loc: Path) -> tuple[Path, Any]:
    """The path that is left of `loc` without the labels of union members, and the type found there."""
    kind: Any = model
    path: Path = ()
    for item in loc:
        members = _members(kind)
        if len(members) > 1:
            kind = _chosen(members, str(item))
        elif item != "[key]":
            path, kind = (*path, item), _inside(members[0], item)
    return path, kind


def _members(kind: Any) -> list[Any]:
    """The types that a value may have; `None` does not count."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) not in (Union, types.UnionType):
        return [kind]
    members = [member for member in get_args(kind) if member is not type(None)]
    return _members(members[0]) if len(members) == 1 else members


def _chosen(members: list[Any], label: str) -> Any:
    """The member of a union that pydantic means by `label`: a tag, or a name of the type."""
    for member in members:
        if label in _tags(member) or ("union[" in label and len(_members(member)) > 1):
            return member
    return next((member for member in members if getattr(get_origin(member) or member, "__name__", "?") in label), Any)


def _tags(member: Any) -> list[str]:
    """The values of the literal fields of a model, among them the tag that selects it."""
    if not _is_model(member):
        return []
    literals = [f.annotation for f in member.model_fields.values() if get_origin(f.annotation) is Literal]
    return [str(value) for literal in literals for value in get_args(literal)]


def _inside(kind: Any, item: str | int) -> Any:
    """The type of one field or item of a value of type `kind`."""
    if _is_model(kind):
        return next((f.annotation for name, f in kind.model_fields.items() if item in (name, f.alias)), Any)
    arguments = get_args(kind)
    if not arguments:
        return Any
    if get_origin(kind) is tuple and isinstance(item, int) and Ellipsis not in arguments:
        return arguments[item] if item < len(arguments) else Any
    return arguments[1] if len(arguments) == 2 and Ellipsis not in arguments else arguments[0]


def _fields(kind: Any) -> list[str]:
    members = [member for member in _members(kind) if _is_model(member)]
    return [field.alias or name for member in members for name, field in member.model_fields.items()]


def _is_model(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _number(value: float) -> str:
    return f"{value:g}" if float(f"{value:g}") == value else str(value)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
