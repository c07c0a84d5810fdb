"""Running an experiment: plan or train every policy, evaluate all on common scenarios, write a run folder."""

from __future__ import annotations

import inspect
import json
import math
import os
import platform
import shutil
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from echelon.baselines import BASELINES, make_plan, reference_of
from echelon.envs.arguments import plain
from echelon.envs.arrays import network_arrays
from echelon.envs.batched import gather_sum
from echelon.envs.errors import ConfigError, EchelonError
from echelon.envs.policy import Policy, order_up_to
from echelon.envs.problem import Problem, Reference
from echelon.envs.scenarios import sample
from echelon.envs.simulate import Outcome, simulate, simulate_stream
from echelon.envs.yaml_io import dump_yaml
from echelon.experiments.config import Config, PolicyConfig, ProblemConfig
from echelon.experiments.evaluate import Difference, compare, estimate, gap

Row = dict[str, Any]
Floats = NDArray[np.float64]

TRACED_PERIODS = 60
SAME_OPTIMUM = 1e-4
"""Share of the cost by which a reference may be rounded."""
MOST_LUCK = 4.0
"""Standard errors by which the simulated cost of an optimal policy may miss its exact cost."""
CHECKPOINT = "policy.json"
"""A file that only a trained policy leaves in a run folder."""
PACKAGES = ("numpy", "scipy", "numba", "gymnasium", "pandas", "torch", "stable-baselines3")


@dataclass(frozen=True, eq=False)
class Competitor:
    """A policy that is ready to be evaluated."""

    name: str
    kind: str
    """baseline, optimal or learned."""
    policy: Policy
    parameters: Mapping[str, Any]
    seconds: float
    """CPU seconds of planning or training."""
    citation: str = ""
    curve: tuple[Mapping[str, float], ...] = ()
    model_cost: float | None = None
    """What the method's own model says that the policy costs, see `Plan`."""


class Progress:
    """What a run tells about itself while it runs; this one says nothing."""

    def stage(self, name: str, total: int) -> None:
        """A stage of so many steps begins."""

    def advance(self, done: int, note: str) -> None:
        """So many steps of the stage are done."""


def run_experiment(config: Config, *, out: Path | None = None, progress: Progress | None = None) -> Path:
    """Run a config and write its folder; returns the folder.

    The folder holds `results.csv` (one row per policy and replication), `summary.csv`, `training.csv`,
    `trace.csv`, `config.yaml` (resolved), `networks/`, `manifest.json`, checkpoints, TensorBoard logs, plots and
    `report.html`. Raises `ConfigError` if the folder exists. A run that fails leaves its folder behind
    only if it holds results or a trained policy.
    """
    _require_extras(config)
    folder = new_folder(out or default_folder(config.name))
    try:
        _fill_folder(folder, config, progress or Progress())
    except BaseException:
        if not any(any(folder.rglob(kept)) for kept in (CHECKPOINT, "results.csv")):
            shutil.rmtree(folder)
        raise
    return folder


def _fill_folder(folder: Path, config: Config, progress: Progress) -> None:
    from echelon.experiments.plots import write_plots
    from echelon.experiments.report import write_report

    dump_yaml(config.model_dump(mode="json"), folder / "config.yaml")
    started = datetime.now(UTC)
    planned = _plan_baselines(config, progress)
    rows: dict[str, list[Row]] = {"results": [], "summary": [], "training": [], "trace": []}
    described: dict[str, Any] = {}
    for name, section in config.problems.items():
        described[name] = _run_problem(name, section, config, planned[name], folder, rows, progress)
        for table, content in rows.items():
            _write_csv(folder / f"{table}.csv", content)
        _write_json(folder / "problems.json", {name: d["problem"] for name, d in described.items()})
        _write_json(folder / "networks.json", {name: d["network"] for name, d in described.items()})
        _write_json(folder / "manifest.json", _manifest(config, started))
    write_plots(folder)
    write_report(folder)


def new_folder(path: Path) -> Path:
    """Make a folder for a run; one that exists is never written into."""
    try:
        path.mkdir(parents=True)
    except FileExistsError:
        raise ConfigError([f"{path}: the run folder exists already; choose another one with --out"]) from None
    except OSError as error:
        raise ConfigError([f"{path}: the run folder cannot be made: {error.strerror}"]) from None
    return path


def default_folder(name: str) -> Path:
    """runs/NAME-DATE-TIME, in the current folder."""
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    return Path("runs") / f"{name}-{stamp}"


def _require_extras(config: Config) -> None:
    """Fail before any work if an agent is asked for and cannot be trained."""
    found = []
    for problem, section in config.problems.items():
        for name, policy in section.policies.items():
            if policy.agent is not None:
                from echelon.agents import unsuited

                place = f"problems.{problem}.policies.{name}"
                options = {key: getattr(policy, key) for key in ("decision", "copies", "action")}
                defects = unsuited(policy.agent, section.problem, policy.settings, **options)
                found += [f"{place}.{defect}" for defect in defects]
    if found:
        raise ConfigError(found)


def _compile(problem: Problem) -> None:
    """Run the compiled code once, so that no policy's CPU time holds the compilation."""
    policy = order_up_to(problem.network, [0.0] * len(problem.network.links))
    scenarios = sample(problem.network, periods=problem.periods, replications=1, seed=0, stream="compilation")
    simulate(problem, policy, scenarios)
    simulate(problem, policy, scenarios, trace=True)


def _plan_baselines(config: Config, progress: Progress) -> dict[str, dict[str, Competitor]]:
    """The baselines of every problem, before anything is trained.

    Raises `ConfigError` with every policy that cannot be planned.
    """
    planned: dict[str, dict[str, Competitor]] = {}
    found = []
    for name, section in config.problems.items():
        _compile(section.problem)
        planned[name] = {}
        for label, policy in section.policies.items():
            if policy.baseline is None:
                continue
            try:
                planned[name][label] = _plan(label, policy, section.problem, config.seed, progress)
            except EchelonError as error:
                found.append(f"problems.{name}.policies.{label}: {error}")
    if found:
        raise ConfigError(found)
    return planned


def _run_problem(
    name: str,
    section: ProblemConfig,
    config: Config,
    planned: Mapping[str, Competitor],
    folder: Path,
    rows: dict[str, list[Row]],
    progress: Progress,
) -> dict[str, Any]:
    problem = section.problem
    networks = folder / "networks"
    networks.mkdir(exist_ok=True)
    problem.network.to_yaml(networks / f"{name}.yaml")
    learned = folder / "learned" / name
    competitors = [
        planned.get(label) or prepare(label, policy, problem, seed=config.seed, folder=learned, progress=progress)
        for label, policy in section.policies.items()
    ]
    progress.stage(f"{name}: evaluating", len(competitors))
    outcomes: dict[str, Outcome] = {}
    for done, competitor in enumerate(competitors):
        outcomes[competitor.name] = simulate_stream(
            problem, competitor.policy, replications=config.replications, seed=config.seed
        )
        rows["trace"] += _trace_rows(name, competitor, problem, config.seed)
        progress.advance(done + 1, competitor.name)
    reference, luck = _yardstick(reference_of(problem), competitors, outcomes)
    differences = compare({label: outcome.cost for label, outcome in outcomes.items()}, confidence=config.confidence)
    for competitor in competitors:
        outcome = outcomes[competitor.name]
        rows["results"] += _result_rows(name, competitor.name, outcome)
        summary = summary_row(competitor, outcome, reference, config.confidence, luck)
        rows["summary"].append({"problem": name, **summary, **_difference_columns(differences[competitor.name])})
        rows["training"] += [{"problem": name, "policy": competitor.name, **point} for point in competitor.curve]
    return {"problem": _problem_record(problem, reference, competitors), "network": _network_record(problem)}


def prepare(
    name: str, policy: PolicyConfig, problem: Problem, *, seed: int, folder: Path, progress: Progress
) -> Competitor:
    """Plan a baseline or train an agent."""
    if policy.baseline is not None:
        return _plan(name, policy, problem, seed, progress)
    return _train(name, policy, problem, seed=seed, folder=folder, progress=progress)


def _plan(name: str, policy: PolicyConfig, problem: Problem, seed: int, progress: Progress) -> Competitor:
    assert policy.baseline is not None
    started = time.process_time()
    progress.stage(f"{name}: planning", 1)
    options = dict(policy.options)
    if "seed" in inspect.signature(BASELINES[policy.baseline]).parameters:
        options["seed"] = seed
    plan = make_plan(policy.baseline, problem, **options)
    progress.advance(1, policy.baseline)
    kind = "optimal" if plan.optimal else "baseline"
    seconds = time.process_time() - started
    return Competitor(name, kind, plan.policy, plan.parameters, seconds, plan.citation, model_cost=plan.model_cost)


def _train(
    name: str, policy: PolicyConfig, problem: Problem, *, seed: int, folder: Path, progress: Progress
) -> Competitor:
    from echelon.agents import METHODS, train

    assert policy.agent is not None
    method = METHODS[policy.agent]
    progress.stage(f"{name}: training {policy.agent}", policy.steps or method.steps)
    start = None if policy.start is None else make_plan(policy.start, problem, **policy.start_options).policy
    training = train(
        problem,
        algorithm=policy.agent,
        seed=seed,
        steps=policy.steps,
        start=start,
        copies=policy.copies,
        decision=policy.decision,
        action=policy.action,
        settings=policy.settings,
        log_folder=folder / name / "tensorboard",
        on_progress=lambda steps, cost: progress.advance(steps, "" if np.isnan(cost) else f"cost {cost:.4g}"),
    )
    training.policy.save(folder / name)
    _write_json(folder / name / "training.json", {"settings": dict(training.settings)})
    decision = training.policy.actor.record().get("decision", "orders")
    parameters = {"algorithm": policy.agent, "decision": decision, "steps": training.steps}
    return Competitor(name, "learned", training.policy, parameters, training.seconds, method.citation, training.curve)


def _yardstick(
    reference: Reference | None, competitors: Sequence[Competitor], outcomes: Mapping[str, Outcome]
) -> tuple[Reference | None, Floats | None]:
    """The reference to measure gaps against, and the luck of the scenarios [B] where an optimal policy has met them.

    The exact cost of an optimal policy is known, so what it cost more or less on each scenario is chance, of
    mean 0; without it gaps are as sharp as paired differences. A policy that misses its cost by more than chance
    explains is no yardstick.
    """
    for competitor in competitors:
        cost = competitor.model_cost if competitor.kind == "optimal" else None
        if cost is None or reference is None or reference.kind != "optimal":
            continue
        luck = outcomes[competitor.name].cost - cost
        error = luck.std(ddof=1) / len(luck) ** 0.5
        if math.isclose(cost, reference.value, rel_tol=SAME_OPTIMUM) and abs(luck.mean()) <= MOST_LUCK * error:
            return Reference(cost, "optimal", reference.source), luck
    return reference, None


def summary_row(
    competitor: Competitor,
    outcome: Outcome,
    reference: Reference | None,
    confidence: float,
    luck: Floats | None = None,
) -> Row:
    """The figures of one policy on one problem; the gap is that of the costs less the `luck` [B] of the scenarios."""
    cost = estimate(outcome.cost, confidence=confidence)
    above = gap(cost if luck is None else estimate(outcome.cost - luck, confidence=confidence), reference)
    return {
        "policy": competitor.name,
        "kind": competitor.kind,
        "parameters": json.dumps(dict(competitor.parameters), default=plain),
        "model_cost": competitor.model_cost,
        "mean": cost.mean,
        "half_width": cost.half_width,
        "confidence": confidence,
        "reference": reference.value if reference else None,
        "reference_kind": reference.kind if reference else None,
        "gap_percent": above.percent if above else None,
        "gap_half_width": above.half_width if above else None,
        "fill_rate": float(outcome.fill_rate.mean()),
        "alpha": float(outcome.alpha.mean()),
        "seconds": competitor.seconds,
    }


def _difference_columns(difference: Difference) -> Row:
    best = difference.verdict == "best"
    return {
        "difference": difference.estimate.mean,
        "difference_half_width": None if best else difference.estimate.half_width,
        "verdict": difference.verdict,
    }


def _result_rows(problem: str, policy: str, outcome: Outcome) -> list[Row]:
    kinds = {kind: part.sum(axis=1) for kind, part in outcome.costs.items()}
    columns = {"cost": outcome.cost, "fill_rate": outcome.fill_rate, "alpha": outcome.alpha, **kinds}
    return [
        {"problem": problem, "policy": policy, "replication": k, **{name: float(v[k]) for name, v in columns.items()}}
        for k in range(len(outcome.cost))
    ]


def _trace_rows(name: str, competitor: Competitor, problem: Problem, seed: int) -> list[Row]:
    """What each node held and ordered in the first replication, after the warm-up."""
    arrays = network_arrays(problem.network)
    scenarios = sample(problem.network, periods=problem.periods, replications=1, seed=seed)
    trace = simulate(problem, competitor.policy, scenarios, trace=True).trace
    assert trace is not None
    of_outlets = arrays.outlet_column[:, None]
    by_node = {
        "on_hand": trace.on_hand[0],
        "backorders": gather_sum(trace.backorders[0], of_outlets),
        "ordered": gather_sum(trace.ordered[0], arrays.in_links),
        "demand": gather_sum(trace.demand[0], of_outlets),
    }
    last = min(problem.periods, problem.warm_up + TRACED_PERIODS)
    return [
        {
            "problem": name,
            "policy": competitor.name,
            "period": t,
            "node": node.name,
            **{column: float(values[t, n]) for column, values in by_node.items()},
        }
        for t in range(problem.warm_up, last)
        for n, node in enumerate(problem.network.nodes)
    ]


def _problem_record(problem: Problem, reference: Reference | None, competitors: list[Competitor]) -> Row:
    return {
        "title": problem.name,
        "parameters": {name: _plain(value) for name, value in problem.parameters.items()},
        "periods": problem.periods,
        "warm_up": problem.warm_up,
        "citation": problem.citation,
        "objective": "average cost per period" if problem.discount == 1 else "discounted cost",
        "reference_source": reference.source if reference else "",
        "methods": {c.name: c.citation for c in competitors if c.citation},
    }


def _plain(value: Any) -> Any:
    return value if isinstance(value, int | float | str | bool | list | dict | None) else str(value)


def _network_record(problem: Problem) -> Row:
    nodes = [
        {"name": n.name, "outlet": n.demand is not None, "holding_cost": n.holding_cost} for n in problem.network.nodes
    ]
    links = [
        {"source": x.source, "target": x.target, "lead_time": _span(x.lead_times)}
        for x in problem.network.links
        if not x.lateral
    ]
    return {"nodes": nodes, "links": links}


def _span(periods: Sequence[int]) -> int | str:
    shortest, longest = min(periods), max(periods)
    return shortest if shortest == longest else f"{shortest} to {longest}"


def _manifest(config: Config, started: datetime) -> Row:
    versions = {}
    for package in ("echelon", *PACKAGES):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        **versions,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": platform.machine(),
        "cores": os.cpu_count(),
        "seed": config.seed,
        "replications": config.replications,
        "confidence": config.confidence,
        "started": started.isoformat(timespec="seconds"),
        "seconds": (datetime.now(UTC) - started).total_seconds(),
        "command": ["echelon", *sys.argv[1:]],
    }


def _write_csv(path: Path, rows: list[Row]) -> None:
    import pandas as pd

    _replace(path, lambda part: pd.DataFrame(rows).to_csv(part, index=False))


def _write_json(path: Path, data: Any) -> None:
    _replace(path, lambda part: part.write_text(json.dumps(data, indent=2) + "\n"))


def _replace(path: Path, write: Callable[[Path], Any]) -> None:
    """Write a file beside its place and move it there, so that no reader sees a part of it."""
    part = path.with_name(f".{path.name}.part")
    write(part)
    os.replace(part, path)
