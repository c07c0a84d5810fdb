"""The catalogue as records and as text, for the command line."""

from __future__ import annotations

import inspect
from dataclasses import asdict
from typing import Any

from echelon.envs.catalogue import PROBLEMS, make_problem
from echelon.envs.instances import INSTANCES
from echelon.envs.problem import Problem


def catalogue_records() -> list[dict[str, Any]]:
    """Every problem at its defaults and every instance: id, problem, parameters, reference, citation, published.

    The parameters of a problem are all that it takes, with their defaults; those of an instance are
    what it sets. A reference is None where no optimum or bound is catalogued.
    """
    problems = [_record(name, name, _defaults(name), {}) for name in PROBLEMS]
    instances = [
        _record(name, instance.problem, dict(instance.parameters), dict(instance.published))
        for name, instance in INSTANCES.items()
    ]
    return problems + instances


def print_catalogue() -> None:
    """The problems with their parameters, then the instances with their references, one a line."""
    for name, builder in PROBLEMS.items():
        print(f"{name}\n    {(builder.__doc__ or '').splitlines()[0]}")
        for parameter, default in _defaults(name).items():
            print(f"    {parameter} = {default!r}")
        print()
    width = max(map(len, INSTANCES))
    for name in INSTANCES:
        reference = make_problem(name).reference
        print(f"{name:{width}}  " + (f"{reference.value:.5f} {reference.kind}" if reference else "no reference"))


def _defaults(name: str) -> dict[str, Any]:
    return {key: parameter.default for key, parameter in inspect.signature(PROBLEMS[name]).parameters.items()}


def _record(name: str, problem_id: str, parameters: dict[str, Any], published: dict[str, float]) -> dict[str, Any]:
    problem: Problem = make_problem(name)
    return {
        "id": name,
        "problem": problem_id,
        "parameters": parameters,
        "reference": asdict(problem.reference) if problem.reference else None,
        "citation": problem.citation,
        "published": published,
    }
