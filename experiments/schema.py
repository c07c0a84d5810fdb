"""The JSON Schema of a config, by which editors complete keys and names and mark mistakes while one types.

It knows what a key may hold; whether a problem can be built and a policy suits it, only `load_grid` can tell.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from echelon.baselines import BASELINES
from echelon.baselines.registry import NOT_OPTIONS
from echelon.envs.arguments import NO_NAMES, arguments_model
from echelon.envs.catalogue import PROBLEMS
from echelon.envs.instances import INSTANCES
from echelon.experiments.document import ConfigDocument

Schema = dict[str, Any]

DRAFT = "https://json-schema.org/draft/2020-12/schema"
TITLE = "Echelon config"

_TEMPLATE = r"^[A-Za-z0-9{][A-Za-z0-9 _()+{}:.-]*$"
"""Names of problems before their keys in braces are filled in."""
_WITH_KEY = r"\{"
_COMPLETE_POLICY: Schema = {"type": "object", "oneOf": [{"required": ["baseline"]}, {"required": ["agent"]}]}
_POLICIES: Schema = {"additionalProperties": _COMPLETE_POLICY}
_COMPLETE: Schema = {
    "required": ["name", "problems"],
    "properties": {
        "policies": _POLICIES,
        "problems": {
            "additionalProperties": {"type": "object", "required": ["id"], "properties": {"policies": _POLICIES}}
        },
    },
}
"""What a config must have that extends no other; one that does may leave out anything, or remove it by null."""


def config_schema() -> Schema:
    """The schema of a config as a user writes it, in draft 2020-12."""
    problems = {name: arguments_model(builder, NO_NAMES) for name, builder in PROBLEMS.items()}
    options = {name: arguments_model(method, NOT_OPTIONS) for name, method in BASELINES.items()}
    models: list[type[BaseModel]] = [ConfigDocument, *problems.values(), *options.values()]
    places, whole = models_json_schema([(model, "validation") for model in models], title=TITLE)
    known = {model: places[model, "validation"] for model in models}
    parts = whole["$defs"]
    _complete_policy(parts["PolicyConfig"], {name: known[model] for name, model in options.items()})
    _complete_problem(parts["ProblemDocument"], {name: known[model] for name, model in problems.items()})
    for model in problems.values():
        parts[known[model]["$ref"].rpartition("/")[2]].pop("required", None)  # `each` may give them
    root = parts.pop("ConfigDocument")
    root["properties"]["problems"]["propertyNames"] = {"maxLength": 200, "pattern": _TEMPLATE}
    for section, key in ((root, "policies"), (root, "problems"), (parts["ProblemDocument"], "policies")):
        _name_items(section["properties"][key])
    for section in (root, parts["ProblemDocument"]):
        del section["required"]
    plain: Schema = _without_titles({**root, "$defs": parts})
    extends = {"required": ["extends"]}
    return {"$schema": DRAFT, "title": TITLE, **plain, "if": {"not": extends}, "then": _COMPLETE}


def _complete_policy(policy: Schema, options: Mapping[str, Schema]) -> None:
    """Name the baselines, with the options of each."""
    properties = policy["properties"]
    for key in ("baseline", "start"):
        properties[key] = {"description": properties[key]["description"], **_names(BASELINES)}
    policy["not"] = {"required": ["baseline", "agent"]}
    policy["allOf"] = [
        _where(key, [name], options_key, part)
        for key, options_key in (("baseline", "options"), ("start", "start_options"))
        for name, part in options.items()
    ]


def _complete_problem(problem: Schema, parameters: Mapping[str, Schema]) -> None:
    """Name the problems and instances, with the parameters of each."""
    described = {**PROBLEMS, **{name: PROBLEMS[instance.problem] for name, instance in INSTANCES.items()}}
    template = {"type": "string", "pattern": _WITH_KEY}
    about = problem["properties"]["id"]["description"]
    problem["properties"]["id"] = {"description": about, "anyOf": [_names(described), template]}
    problem["allOf"] = [
        _where("id", [name, *(i for i, of in INSTANCES.items() if of.problem == name)], "parameters", part)
        for name, part in parameters.items()
    ]


def _names(functions: Mapping[str, Callable[..., Any]]) -> Schema:
    """One of the names; editors show what each is for by the first line of its docstring."""
    told = [(inspect.getdoc(function) or "").partition("\n")[0] for function in functions.values()]
    return {"type": "string", "enum": list(functions), "enumDescriptions": told}


def _where(key: str, values: Iterable[str], then_key: str, then: Schema) -> Schema:
    condition = {"required": [key], "properties": {key: {"enum": list(values)}}}
    return {"if": condition, "then": {"properties": {then_key: then}}}


def _name_items(mapping: Schema) -> None:
    """Say of a mapping by names what a name is, and let its values be null, which removes what another config has."""
    if named := mapping.pop("patternProperties", None):
        [(pattern, mapping["additionalProperties"])] = named.items()
        mapping["propertyNames"] = {**mapping.get("propertyNames", {}), "pattern": pattern}
    mapping["additionalProperties"] = {"anyOf": [mapping["additionalProperties"], {"type": "null"}]}


def _without_titles(part: Any) -> Any:
    """The schema without the titles that say no more than the keys."""
    if isinstance(part, list):
        return [_without_titles(item) for item in part]
    if isinstance(part, dict):
        return {key: _without_titles(item) for key, item in part.items() if key != "title" or isinstance(item, dict)}
    return part
