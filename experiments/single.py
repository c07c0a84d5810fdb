"""One policy on one problem, and the bound of a problem, for the command line."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from echelon.baselines import BASELINES, lower_bound, reference_of
from echelon.envs.catalogue import make_problem
from echelon.envs.errors import ConfigError, nearest
from echelon.envs.problem import Problem
from echelon.envs.simulate import simulate_stream
from echelon.envs.yaml_io import Document, validate_document
from echelon.experiments.competitors import Competitor, plan_baseline
from echelon.experiments.config import PolicyConfig
from echelon.experiments.gather import summary_row
from echelon.experiments.progress import Progress

KEYS = ("kind", "model_cost", "mean", "half_width", "confidence", "reference", "reference_kind", "gap_percent")


def evaluate_policy(
    problem_id: str,
    policy: str,
    *,
    parameters: Mapping[str, Any],
    options: Mapping[str, Any],
    replications: int,
    seed: int,
    confidence: float = 0.95,
) -> dict[str, Any]:
    """The record that `echelon evaluate` prints: the problem, the policy, its cost and its gap."""
    problem = make_problem(problem_id, **parameters)
    competitor = _competitor(policy, problem, options, seed)
    outcome = simulate_stream(problem, competitor.policy, replications=replications, seed=seed)
    row = summary_row(competitor, outcome, reference_of(problem), confidence)
    measured = {key: row[key] for key in KEYS}
    return {"problem": problem_id, "policy": policy, "parameters": json.loads(row["parameters"]), **measured}


def bound_problem(problem_id: str, *, parameters: Mapping[str, Any], seed: int) -> dict[str, Any]:
    """The record that `echelon bound` prints: the value, its interval, the end that is proven, kind and citation."""
    bound = lower_bound(make_problem(problem_id, **parameters), seed=seed)
    return {
        "problem": problem_id,
        "lower_bound": bound.proven,
        "value": bound.value,
        "half_width": bound.half_width,
        "kind": bound.kind,
        "citation": bound.citation,
    }


def _competitor(policy: str, problem: Problem, options: Mapping[str, Any], seed: int) -> Competitor:
    if policy in BASELINES:
        document = Document({"baseline": policy, "options": dict(options)}, "--option")
        config = validate_document(document, PolicyConfig)
        return plan_baseline(policy, config, problem, seed=seed, progress=Progress())
    if not Path(policy).is_dir():
        raise ConfigError(
            [
                f"--policy: must be a baseline or the folder of a trained policy (got {policy!r})"
                f"{nearest(policy, BASELINES)}"
            ]
        )
    if options:
        raise ConfigError([f"--option: a trained policy has no options (got {', '.join(options)})"])
    from echelon.agents import LearnedPolicy

    learned = LearnedPolicy.load(policy)
    if learned.network != problem.network:
        raise ConfigError(
            [f"--policy: {policy} was trained on another network than {problem.name} with these parameters"]
        )
    return Competitor(Path(policy).name, "learned", learned, {"algorithm": learned.method}, 0.0)
