"""One policy for many problems: conditioned on their parameters, trained on all of them, and used at once on others."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from echelon.agents.actor import Actor
from echelon.agents.actors import PathwiseActor
from echelon.agents.architectures import Architecture
from echelon.agents.columns import column_names
from echelon.agents.decisions import default_decision
from echelon.agents.generalist_features import link_features
from echelon.agents.generalist_union import union
from echelon.agents.graph_body import Table
from echelon.agents.pathwise import train_pathwise
from echelon.agents.pathwise_settings import PathwiseSettings, check_problem
from echelon.agents.support import Support
from echelon.agents.training import Training
from echelon.envs.codec import Codec, Decision
from echelon.envs.errors import MethodError
from echelon.envs.network import Network
from echelon.envs.problem import Problem
from echelon.envs.scenarios import sample
from echelon.envs.simulate import simulate
from echelon.envs.state import State

DEFAULTS: Mapping[str, Any] = {"body": "graph", "hidden": (64, 64)}
"""Settings that differ from those of a policy for one problem."""
ROWS = 2_048
"""Links times states in the last updates, as far as they are left open."""
FEWEST_STATES = 16
SEEN = 2_000
"""Periods of each problem by which the support is told, at least."""


class GeneralistActor(PathwiseActor):
    """A `PathwiseActor` whose weights fit every network, and that counts in units of each link's own demand."""

    kind: ClassVar[str] = "generalist"
    start: Tensor

    def __init__(self, network: Network, decision: Decision, architecture: Architecture) -> None:
        if architecture.body == "mlp":
            raise MethodError("a generalist needs a body whose weights links share, 'shared' or 'graph' (got 'mlp')")
        super().__init__(network, decision, architecture)
        features = link_features(self.codec)
        share = np.maximum(features.mean / features.unit, 1e-3)
        start = share + np.log(-np.expm1(-share))
        units = {"unit": features.unit, "centre": features.centre, "spread": features.spread, "start": start}
        self.below = Table(features.below)
        for name, values in units.items():
            self.register_buffer(name, torch.as_tensor(values, dtype=torch.float32), persistent=False)

    def decide(self, observation: Tensor, position: Tensor, body: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """See `PathwiseActor`; what it says is in standard deviations, of a period's need or of a link's own level."""
        said = (body or self.body)(observation)
        if self.codec.decision == "orders":
            return self.unit * nn.functional.softplus(said + self.start)
        levels: Tensor = self.centre + self.below((self.spread * said).T).T
        return (levels - position).clamp(min=0)


def train_generalist(
    problems: Sequence[Problem],
    *,
    seed: int = 0,
    steps: int = 2_000,
    settings: PathwiseSettings | Mapping[str, Any] | None = None,
    evaluations: int = 4,
    validation_replications: int = 8,
    checkpoint: str | Path | None = None,
    log_folder: str | Path | None = None,
    on_progress: Callable[[int, float], None] | None = None,
) -> Training:
    """Train one policy on all problems by `steps` updates, each of which takes states of every problem.

    It is `train_pathwise` on the `union` of the problems; costs are relative to those under a newsvendor's echelon
    levels, and the curve counts their sum. The policy orders for the first problem; `policy.for_network` is the same
    for another, warned if that lies outside of what the problems span. Raises `MethodError` for problems that the
    method is not for, and for some that do not go together.
    """
    if not problems:
        raise MethodError("a generalist needs at least one problem to train on (got none)")
    for problem in problems:
        check_problem(problem)
    whole = union(problems, seed=seed)
    chosen = _settings(problems, settings)
    assert chosen.decision is not None
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        actor = GeneralistActor(whole.network, chosen.decision, chosen.architecture)
    training = train_pathwise(
        whole,
        seed=seed,
        steps=steps,
        settings=chosen,
        actor=actor,
        evaluations=evaluations,
        validation_replications=validation_replications,
        checkpoint=checkpoint,
        log_folder=log_folder,
        on_progress=on_progress,
    )
    found = training.policy.actor
    first = GeneralistActor.restored(problems[0].network, found.record(), found.state_dict())
    support = _support(found, whole, [problem.network for problem in problems], seed)
    return replace(training, policy=replace(training.policy, actor=first, method="generalist", support=support))


def _settings(problems: Sequence[Problem], given: PathwiseSettings | Mapping[str, Any] | None) -> PathwiseSettings:
    """The settings, with what is left open."""
    values = given.model_dump(exclude_unset=True) if isinstance(given, PathwiseSettings) else dict(given or {})
    links = sum(len(problem.network.links) for problem in problems)
    last = max(ROWS // links, FEWEST_STATES)
    single = all(default_decision(problem.network) == "orders" for problem in problems)
    open_ones = {"decision": "orders" if single else "levels", "batch": (max(last // 4, FEWEST_STATES), last)}
    return PathwiseSettings.of({**DEFAULTS, **open_ones, **values})


def _support(actor: Actor, whole: Problem, networks: Sequence[Network], seed: int) -> Support:
    """What it observes while it orders, on training scenarios of all problems at once."""
    seen: list[NDArray[np.float32]] = []

    def watched(state: State) -> NDArray[np.float64]:
        seen.append(actor.observe(state))
        return actor.orders(state)

    replications = -(-SEEN // whole.periods)
    scenarios = sample(whole.network, periods=whole.periods, replications=replications, seed=seed, stream="training")
    simulate(whole, watched, scenarios)
    return Support.of_many([(np.concatenate(seen), column_names(Codec(whole.network)))], networks)
