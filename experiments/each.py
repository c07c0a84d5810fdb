"""The problems of one run: those that `each` stands for, and on every one the policies that all share."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from string import Formatter
from typing import Any

from echelon.envs.defects import Defects
from echelon.envs.defects import Path as Location
from echelon.envs.errors import nearest
from echelon.envs.yaml_io import Document, refusal
from echelon.experiments.config import PolicyConfig
from echelon.experiments.document import ConfigDocument, ProblemDocument
from echelon.experiments.suitability import Checks

_FORMAT = re.compile(r"[-+ ]?0?\d?\d?(\.\d\d?)?[dfg]?")
"""Formats of numbers; others could write lines without end."""

_POINT = re.compile(r"(?<=\d)\.(?=\d)")

Raw = dict[str, Any]
Moves = dict[Location, Location]


@dataclass(frozen=True)
class _Copy:
    """One problem of those that `each` stands for."""

    name: str
    problem: Raw
    moves: Moves
    """Where its parts were written."""


def expanded(document: Document, outline: ConfigDocument, checks: Checks) -> Document:
    """The document of one run without `each` and shared policies. Raises `ConfigError` for names that clash."""
    rest = {key: value for key, value in document.data.items() if key not in ("seeds", "sweep", "policies", "problems")}
    problems: dict[str, Raw] = {}
    moved, defects, taken = dict(document.moved), list[tuple[Location, str]](), set[str]()
    for template, section in outline.problems.items():
        place: Location = ("problems", template)
        try:
            for one in _copies(template, document.data["problems"][template], section):
                if one.name.casefold() in taken:
                    raise ValueError(_clash(one.name, section))
                taken.add(one.name.casefold())
                moved |= one.moves
                problems[one.name] = _with_policies(one, document.data.get("policies") or {}, outline, template, checks)
                moved |= {
                    ("problems", one.name, "policies", shared): ("policies", shared)
                    for shared in outline.policies.keys() - section.policies.keys()
                }
        except ValueError as error:
            defects.append((place, str(error)))
    if defects:
        raise refusal(document, defects)
    return replace(document, data={**rest, "problems": problems}, moved=moved)


def _clash(name: str, section: ProblemDocument) -> str:
    if not section.each:
        return f"another problem has this name too (got {name!r})"
    keys = ", ".join(f"{{{key}}}" for key in section.each)
    return f"its name must tell the problems of 'each' apart by their keys {keys} (got {name!r} twice)"


def _copies(template: str, raw: Raw, section: ProblemDocument) -> Iterator[_Copy]:
    """The problems that a section stands for. Raises `ValueError` if a name or id cannot be filled in."""
    plain = {key: value for key, value in raw.items() if key != "each"}
    if not section.each:
        yield _Copy(template, plain, {})
        return
    inside = set(_keys(section.id))
    for picks in product(*(enumerate(values) for values in section.each.values())):
        chosen = dict(zip(section.each, picks, strict=True))
        name = _filled(template, {key: _word(at, value) for key, (at, value) in chosen.items()})
        name = _POINT.sub("p", name)
        problem_id = _filled(section.id, {key: value for key, (_, value) in chosen.items()})
        free = {key: pick for key, pick in chosen.items() if key not in inside}
        moves: Moves = {("problems", name): ("problems", template)} if name != template else {}
        moves |= {
            ("problems", name, "parameters", key): ("problems", template, "each", key, at)
            for key, (at, _) in free.items()
        }
        parameters = {**(plain.get("parameters") or {}), **{key: value for key, (_, value) in free.items()}}
        yield _Copy(name, {**plain, "id": problem_id, "parameters": parameters}, moves)


def _word(at: int, value: Any) -> Any:
    """What stands for a value in a name: a list or mapping is told by its position."""
    return at + 1 if isinstance(value, list | Mapping) else value


def _keys(text: str) -> Iterator[str]:
    return (key for _, key, _, _ in Formatter().parse(text) if key is not None)


def _filled(text: str, values: Mapping[str, Any]) -> str:
    """The text with {KEY} or {KEY:g} replaced. Unlike `str.format` it looks up nothing else."""
    parts: list[str] = []
    for literal, key, form, conversion in Formatter().parse(text):
        parts.append(literal)
        if key is None:
            continue
        if key not in values:
            raise ValueError(f"{{{key}}} is no key of 'each'{nearest(key, values)}")
        if conversion or not _FORMAT.fullmatch(form or ""):
            raise ValueError(f"{{{key}}} may have a format of numbers only, such as {{{key}:g}} (got {form!r})")
        parts.append(format(values[key], form or ""))
    return "".join(parts)


def _with_policies(one: _Copy, shared: Raw, outline: ConfigDocument, template: str, checks: Checks) -> Raw:
    """The problem with the policies of all, less those that are to be left out where they do not apply."""
    own = outline.problems[template].policies
    policies: Raw = {**shared, **(one.problem.get("policies") or {})}
    if alike := _alike(policies):
        raise ValueError(f"names of policies must differ by more than their case (got {alike[0]!r} and {alike[1]!r})")
    left_out: dict[str, str] = dict(one.problem.get("left_out") or {})
    for name, policy in ({**outline.policies, **own}).items():
        if policy.where_it_applies and (reason := _reason(policy, one.problem, checks)):
            left_out[name] = reason
            del policies[name]
    if left_out and not policies:
        raise ValueError("no policy applies: " + "; ".join(f"{name}: {reason}" for name, reason in left_out.items()))
    given = {"policies": policies} if policies or "policies" in one.problem else {}
    return {**one.problem, **given, **({"left_out": left_out} if left_out else {})}


def _alike(names: Iterable[str]) -> tuple[str, str] | None:
    """Two names that would be one folder where the case of letters does not count."""
    first: dict[str, str] = {}
    for name in names:
        if name != (other := first.setdefault(name.casefold(), name)):
            return other, name
    return None


def _reason(policy: PolicyConfig, problem: Raw, checks: Checks) -> str | None:
    try:
        found = [*checks.unsuited(policy, problem["id"], problem.get("parameters") or {})]
    except Defects:
        return None  # the problem itself is broken, and told of later
    return found[0][1] if found else None
