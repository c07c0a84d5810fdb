"""Whether problems can be built and policies suit them, as far as that can be told without any work."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from echelon.baselines import EXACT_LONG_RUN, make_plan
from echelon.envs.arguments import argument_defects
from echelon.envs.catalogue import builder_of, make_problem
from echelon.envs.defects import Defects
from echelon.envs.defects import Path as Location
from echelon.envs.errors import EchelonError
from echelon.envs.problem import Problem

if TYPE_CHECKING:
    from echelon.experiments.config import PolicyConfig


class Checks:
    """What was found out while a document is read: each problem is built, and each exact method tried, only once."""

    def __init__(self) -> None:
        self._problems: dict[str, Problem | Defects] = {}
        self._refusals: dict[tuple[str, str], str | None] = {}

    def problem(self, problem_id: str, parameters: Mapping[str, Any]) -> Problem:
        """The problem. Raises `Defects` if it cannot be built."""
        key = _key(problem_id, parameters)
        if key not in self._problems:
            self._problems[key] = _built(problem_id, parameters)
        found = self._problems[key]
        if isinstance(found, Defects):
            raise found
        return found

    def unsuited(
        self, policy: PolicyConfig, problem_id: str, parameters: Mapping[str, Any]
    ) -> Iterator[tuple[Location, str]]:
        """Why the policy cannot work on the problem, as far as that can be told without any work."""
        links = len(self.problem(problem_id, parameters).network.links)
        if policy.agent in ("dqn", "qrdqn") and links > 1:
            yield ("agent",), f"{policy.agent} takes one decision a period; this network has {links} links"
        methods = {"baseline": (policy.baseline, policy.options), "start": (policy.start, policy.start_options)}
        for key, (method, options) in methods.items():
            if method is None or method not in EXACT_LONG_RUN:
                continue
            if refusal := self._refusal(method, options, problem_id, parameters):
                yield (key,), refusal

    def _refusal(
        self, method: str, options: Mapping[str, Any], problem_id: str, parameters: Mapping[str, Any]
    ) -> str | None:
        key = _key(problem_id, parameters), _key(method, options)
        if key not in self._refusals:
            try:
                make_plan(method, self.problem(problem_id, parameters), **options)
                self._refusals[key] = None
            except EchelonError as error:
                self._refusals[key] = "; ".join(str(error).splitlines())
        return self._refusals[key]


def _built(problem_id: str, parameters: Mapping[str, Any]) -> Problem | Defects:
    try:
        if defects := argument_defects(builder_of(problem_id), parameters):
            return Defects(defects)
        return make_problem(problem_id, **parameters)
    except (EchelonError, ValueError, OverflowError) as error:
        return Defects([((), line) for line in str(error).splitlines()])
    except MemoryError as error:
        return Defects([((), f"too large for the memory of this machine: {error}")])


def _key(name: str, values: Mapping[str, Any]) -> str:
    return json.dumps([name, values], sort_keys=True, default=str)
