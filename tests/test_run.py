"""Runs: what a run folder holds, that its tables agree with one another, and that it can be made again to the bit."""

from __future__ import annotations

import csv
import json
import sys
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from echelon.baselines import Plan, make_plan
from echelon.envs.errors import ConfigError, PolicyError
from echelon.envs.policy import order_up_to
from echelon.envs.problem import Problem
from echelon.envs.scenarios import Scenarios, sample
from echelon.envs.simulate import simulate, simulate_stream
from echelon.experiments import cells, competitors, jobs, report
from echelon.experiments.cli import main
from echelon.experiments.config import Config, load_config
from echelon.experiments.evaluate import compare, estimate
from echelon.experiments.grid import load_grid
from echelon.experiments.jobs import UnfinishedRun
from echelon.experiments.manifest import manifest
from echelon.experiments.progress import Count, Progress
from echelon.experiments.run import run_experiment, run_grid
from echelon.experiments.run_folder import COST_KINDS, SUMMARY, TRACE
from echelon.experiments.single import evaluate_policy

BASELINES = """\
name: tiny
seed: 1
replications: 20
problems:
  shop:
    id: echelon/LostSales-v0
    parameters: {lead_time: 1, stockout_cost: 9, periods: 120, warm_up: 60}
    policies:
      low: {baseline: base_stock, options: {levels: [12]}}
      tuned: {baseline: base_stock}
"""
LEARNED = (
    BASELINES
    + """\
      PPO:
        agent: ppo
        steps: 4000
        copies: 16
        settings: {n_steps: 16, batch_size: 128}
"""
)
POLICIES = ("low", "tuned", "PPO")
OPTIMUM = 5.43822
"""Of lost sales with Poisson demand of 5, lead time 1 and stockout cost 9, by value iteration."""
TABLES = ("results.csv", "summary.csv", "training.csv", "trace.csv", "policy_map.csv", "bullwhip.csv")
DESCRIPTIONS = ("config.yaml", "manifest.json", "networks.json", "problems.json", "report.html")


def config(folder: Path, text: str = BASELINES, *overrides: str) -> Config:
    (folder / "exp.yaml").write_text(text, encoding="utf-8")
    return load_config(folder / "exp.yaml", overrides)


def table(folder: Path, name: str) -> list[dict[str, str]]:
    with (folder / f"{name}.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def column(folder: Path, policy: str, name: str, *, of: str = "results") -> NDArray[np.float64]:
    """The numbers in one column of a policy's rows."""
    return np.asarray([float(row[name]) for row in table(folder, of) if row["policy"] == policy])


def summary(folder: Path, policy: str) -> dict[str, Any]:
    """What the summary says of a policy, numbers as numbers."""
    (row,) = (row for row in table(folder, "summary") if row["policy"] == policy)
    words = ("problem", "policy", "kind", "parameters", "reference_kind", "verdict")
    return {name: value if name in words or not value else float(value) for name, value in row.items()}


def no_drawings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "remake", lambda _: None)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of two baselines and a short training; tests only read it."""
    pytest.importorskip("stable_baselines3")
    place = tmp_path_factory.mktemp("run")
    return run_experiment(config(place, LEARNED), out=place / "out")


def test_a_run_folder_holds_tables_descriptions_figures_a_report_and_checkpoints(folder: Path) -> None:
    assert sorted(entry.name for entry in folder.iterdir()) == sorted(
        (*TABLES, *DESCRIPTIONS, "plots", "tables", "learned", "networks", "cells", ".lock", ".report.lock")
    )
    assert all(entry.stat().st_size > 1_000 for entry in (folder / "plots").iterdir())
    assert len([*(folder / "plots").iterdir()]) >= 3
    learned = folder / "learned" / "shop" / "PPO"
    weights = json.loads((learned / "policy.json").read_text())["weights_sha256"][:16]
    assert sorted(entry.name for entry in learned.iterdir()) == [
        f"policy-{weights}.safetensors",
        "policy.json",
        "tensorboard",
        "training.json",
    ]
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert all(name in page for name in ("shop", "low", "tuned", "PPO"))
    assert not [path for path in folder.rglob("*") if path.name.endswith((".part", ".pkl", ".zip", ".pt", ".pth"))]


def test_the_tables_have_a_row_for_everything(folder: Path) -> None:
    results, rows, trace = table(folder, "results"), table(folder, "summary"), table(folder, "trace")
    assert set(rows[0]) == set(SUMMARY)
    assert [*results[0]] == ["problem", "policy", "replication", "cost", "fill_rate", "alpha", *COST_KINDS]
    assert [*trace[0]] == TRACE
    expected = [("shop", policy, str(k)) for policy in POLICIES for k in range(20)]
    assert [(row["problem"], row["policy"], row["replication"]) for row in results] == expected
    assert [row["policy"] for row in rows] == [*POLICIES]
    assert [row["kind"] for row in rows] == ["baseline", "baseline", "learned"]
    steps = column(folder, "PPO", "steps", of="training")
    assert steps[-1] >= 4_000
    assert (np.diff(steps) > 0).all()


def test_the_summary_is_that_of_the_results(folder: Path) -> None:
    costs = {policy: column(folder, policy, "cost") for policy in POLICIES}
    for policy, difference in compare(costs).items():
        row, cost = summary(folder, policy), estimate(costs[policy])
        assert row["mean"] == pytest.approx(cost.mean, rel=1e-12)
        assert row["half_width"] == pytest.approx(cost.half_width, rel=1e-12)
        assert (row["reference"], row["reference_kind"]) == (OPTIMUM, "optimal")
        assert row["gap_percent"] == pytest.approx(100 * (cost.mean / OPTIMUM - 1))
        assert row["gap_half_width"] == pytest.approx(100 * cost.half_width / OPTIMUM)
        assert row["difference"] == pytest.approx(difference.estimate.mean, rel=1e-12)
        assert row["verdict"] == difference.verdict
        for rate in ("fill_rate", "alpha"):
            assert row[rate] == pytest.approx(column(folder, policy, rate).mean())
            assert 0 <= row[rate] <= 1


def test_the_kinds_of_cost_sum_to_the_cost(folder: Path) -> None:
    for policy in POLICIES:
        parts = np.stack([column(folder, policy, kind) for kind in COST_KINDS])
        np.testing.assert_allclose(parts.sum(axis=0), column(folder, policy, "cost"), rtol=1e-12)
        assert (parts >= 0).all()
        assert not parts[[COST_KINDS.index(kind) for kind in ("transit_holding", "purchase", "fixed")]].any()


def test_the_trace_obeys_the_model_and_its_means_are_those_of_the_first_replication(folder: Path) -> None:
    """Lead time 1: what is ordered in t arrives in t + 1; the 60 counted periods are all traced."""
    for policy in POLICIES:
        on_hand, ordered, demand = (
            column(folder, policy, name, of="trace") for name in ("on_hand", "ordered", "demand")
        )
        first = {name: column(folder, policy, name)[0] for name in ("holding", "stockout", "fill_rate", "alpha")}
        assert [*column(folder, policy, "period", of="trace")] == [*range(60, 120)]
        before = on_hand[:-1] + ordered[:-1]
        assert (on_hand[1:] == np.maximum(before - demand[1:], 0)).all()
        assert on_hand.mean() == pytest.approx(first["holding"])
        # What the first traced period began with is not in the trace: its loss follows from the cost.
        lost = np.maximum(demand[1:] - before, 0)
        unseen = round(first["stockout"] * 60 / 9 - lost.sum())
        assert 0 <= unseen <= demand[0]
        assert first["stockout"] == pytest.approx(9 * (lost.sum() + unseen) / 60)
        assert first["fill_rate"] == pytest.approx(1 - (lost.sum() + unseen) / demand.sum())
        assert first["alpha"] == pytest.approx(1 - ((lost > 0).sum() + (unseen > 0)) / 60)


def test_every_policy_of_a_problem_meets_the_same_demand(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    demand = column(folder, "low", "demand", of="trace")
    for policy in POLICIES:
        assert (column(folder, policy, "demand", of="trace") == demand).all()
    met: list[Scenarios] = []

    def spy(problem: Any, policy: Any, scenarios: Scenarios, **options: Any) -> Any:
        if scenarios.replications == 20:
            met.append(scenarios)
        return simulate(problem, policy, scenarios, **options)

    no_drawings(monkeypatch)
    monkeypatch.setattr(sys.modules["echelon.envs.simulate"], "simulate", spy)
    run_experiment(config(tmp_path), out=tmp_path / "out")
    assert len(met) == 2
    assert (met[0].demand == met[1].demand).all()
    assert met[0].demand.shape == (20, 120, 1)


def test_the_results_are_those_of_the_evaluation_stream(folder: Path, tmp_path: Path) -> None:
    problem = config(tmp_path).problems["shop"].problem
    scenarios = sample(problem.network, periods=120, replications=20, seed=1)
    cost = simulate(problem, order_up_to(problem.network, [12]), scenarios).cost
    assert (column(folder, "low", "cost") == cost).all()
    tuning = sample(problem.network, periods=120, replications=20, seed=1, stream="tuning")
    validation = sample(problem.network, periods=120, replications=20, seed=1, stream="validation")
    assert not any((stream.demand == scenarios.demand).all(axis=(1, 2)).any() for stream in (tuning, validation))


def test_the_command_evaluate_measures_what_a_run_measures(folder: Path) -> None:
    parameters = {"lead_time": 1, "stockout_cost": 9, "periods": 120, "warm_up": 60}
    for policy, name in (("tuned", "base_stock"), ("PPO", str(folder / "learned" / "shop" / "PPO"))):
        record = evaluate_policy(
            "echelon/LostSales-v0", name, parameters=parameters, options={}, replications=20, seed=1
        )
        for key in ("mean", "half_width", "confidence", "reference", "reference_kind", "gap_percent"):
            assert record[key] == summary(folder, policy)[key]


def test_the_manifest_tells_how_the_run_was_made(folder: Path) -> None:
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    assert set(manifest) == {
        *("echelon", "numpy", "scipy", "numba", "gymnasium", "pandas", "torch", "stable-baselines3"),
        *("python", "platform", "cpu", "cores", "seed", "replications", "confidence", "started", "seconds", "command"),
        *("processor", "threads", "executor", "workers", "status", "failed", "left_out"),
    }
    assert (manifest["status"], manifest["failed"], manifest["left_out"]) == ("finished", {}, {})
    assert (manifest["seed"], manifest["replications"], manifest["confidence"]) == (1, 20, 0.95)
    assert manifest["numpy"] == np.__version__
    assert manifest["seconds"] > 0
    assert manifest["command"][0] == "echelon"


def test_a_run_began_when_it_began_however_often_its_manifest_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moments = (f"moment {k}" for k in count(1))
    monkeypatch.setattr(
        jobs, "manifest", lambda *given, **named: {**manifest(*given, **named), "started": next(moments)}
    )
    no_drawings(monkeypatch)
    out = run_experiment(config(tmp_path), out=tmp_path / "out")
    assert next(moments) != "moment 2"
    assert json.loads((out / "manifest.json").read_text(encoding="utf-8"))["started"] == "moment 1"


def test_the_same_config_gives_the_same_results_byte_for_byte(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_drawings(monkeypatch)
    again = run_experiment(config(tmp_path, LEARNED), out=tmp_path / "again")
    learned = "learned/shop/PPO"
    weights = [path.name for path in (folder / learned).glob("policy-*.safetensors")]
    for name in ("results.csv", "trace.csv", "config.yaml", f"{learned}/policy.json", f"{learned}/{weights[0]}"):
        assert (again / name).read_bytes() == (folder / name).read_bytes(), name


def test_the_resolved_config_gives_the_same_results(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_drawings(monkeypatch)
    again = run_experiment(load_config(folder / "config.yaml"), out=tmp_path / "again")
    for name in ("results.csv", "trace.csv", "config.yaml"):
        assert (again / name).read_bytes() == (folder / name).read_bytes(), name


def test_overrides_are_part_of_the_resolved_config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_drawings(monkeypatch)
    out = run_experiment(config(tmp_path, BASELINES, "replications=5", "confidence=0.5"), out=tmp_path / "out")
    assert load_config(out / "config.yaml").replications == 5
    assert len(column(out, "low", "cost")) == 5
    half_width = estimate(column(out, "low", "cost"), confidence=0.5).half_width
    assert summary(out, "low")["confidence"] == 0.5
    assert summary(out, "low")["half_width"] == pytest.approx(half_width)


def test_another_seed_gives_other_results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_drawings(monkeypatch)
    costs = [
        column(run_experiment(config(tmp_path, BASELINES, f"seed={seed}"), out=tmp_path / f"{seed}"), "low", "cost")
        for seed in (1, 2)
    ]
    assert not set(np.round(costs[0], 9)) <= set(np.round(costs[1], 9))


def test_a_run_tells_of_its_stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[tuple[Any, ...]] = []

    class Listener(Progress):
        def stage(self, name: str, total: int) -> None:
            heard.append((name, total))

        def advance(self, done: int, note: str) -> None:
            heard.append((done, note))

        def count(self, count: Count) -> None:
            heard.append((count.stage, count.done, count.failed, count.running))

    no_drawings(monkeypatch)
    run_experiment(config(tmp_path), out=tmp_path / "out", progress=Listener())
    assert heard == [
        ("planning", 0, 0, ("shop / low",)),
        *(("low: planning", 1), (1, "base_stock"), ("shop / low: evaluating", 1), (1, "")),
        *(("planning", 1, 0, ()), ("planning", 1, 0, ("shop / tuned",))),
        *(("tuned: planning", 1), (1, "base_stock"), ("shop / tuned: evaluating", 1), (1, "")),
        *(("planning", 2, 0, ()), ("training", 0, 0, ("tables and report",))),
        *(("tables and report", 1), (1, ""), ("training", 0, 0, ())),
    ]


def test_a_run_without_out_goes_below_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    no_drawings(monkeypatch)
    out = run_experiment(config(tmp_path))
    assert out.parent == Path("runs")
    assert out.name.startswith("tiny-")
    assert (tmp_path / out / "results.csv").exists()


def test_a_run_folder_is_never_written_into(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded = config(tmp_path)
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("kept", encoding="utf-8")
    with pytest.raises(ConfigError, match="out: the run folder exists already; choose another one with --out, or"):
        run_experiment(loaded, out=tmp_path / "out")
    monkeypatch.setattr(sys, "argv", ["echelon", "run", str(tmp_path / "exp.yaml"), "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 2
    assert "the run folder exists already" in capsys.readouterr().err
    assert [entry.name for entry in (tmp_path / "out").iterdir()] == ["mine.txt"]


def test_a_run_folder_that_cannot_be_made_is_an_error_in_plain_words(tmp_path: Path) -> None:
    loaded = config(tmp_path)
    with pytest.raises(ConfigError, match=r"exp\.yaml"):
        run_experiment(loaded, out=tmp_path / "exp.yaml" / "out")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("policies.low.options.levels=[3, 4]", r"up_to must be 1 numbers, one per link \(got \[3, 4\]\)"),
        ("policies.low.options.levels=[3.5]", "up_to must be whole numbers"),
    ],
)
def test_a_baseline_that_cannot_be_planned_leaves_no_folder(override: str, message: str, tmp_path: Path) -> None:
    loaded = config(tmp_path, BASELINES, f"problems.shop.{override}")
    with pytest.raises(ConfigError, match=f"problems.shop.policies.low: {message}"):
        run_experiment(loaded, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_all_baselines_that_cannot_be_planned_are_told_before_any_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cells, "train_agent", interrupt)
    text = LEARNED + (
        "  long:\n    id: zipkin2008/poisson-L4-p9\n    policies:\n"
        "      best: {baseline: optimal, options: {memory_limit: 1000.0}}\n      eoq: {baseline: eoq}\n"
    )
    with pytest.raises(ConfigError) as error:
        run_experiment(config(tmp_path, text), out=tmp_path / "out")
    lines = str(error.value).splitlines()
    assert lines[0] == "problems.long.policies.best: optimal needs a problem that an exact method solves:"
    assert lines[1].startswith("lost_sales_optimal needs ")
    assert "problems.long.policies.eoq: eoq needs backorders at every outlet" in lines


def test_a_policy_that_misses_its_own_cost_by_more_than_chance_is_no_yardstick(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_drawings(monkeypatch)

    def planned(name: str, problem: Problem, **options: Any) -> Plan:
        plan = make_plan(name, problem, **options)
        return replace(plan, policy=order_up_to(problem.network, [5.0])) if name == "optimal" else plan

    monkeypatch.setattr(competitors, "make_plan", planned)
    folder = run_experiment(config(tmp_path, BASELINES + "      best: {baseline: optimal}\n"), out=tmp_path / "out")
    assert summary(folder, "best")["gap_percent"] > 10


def test_beside_an_optimal_policy_gaps_are_those_of_paired_differences(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_drawings(monkeypatch)
    with_optimum = BASELINES + "      best: {baseline: optimal}\n"
    folder = run_experiment(config(tmp_path, with_optimum), out=tmp_path / "out")
    best, low = summary(folder, "best"), summary(folder, "low")
    assert (best["gap_percent"], best["gap_half_width"]) == (pytest.approx(0, abs=1e-9), pytest.approx(0, abs=1e-9))
    excess = estimate(column(folder, "low", "cost") - column(folder, "best", "cost"))
    assert low["reference"] == best["model_cost"] == pytest.approx(OPTIMUM, abs=1e-5)
    assert low["gap_percent"] == pytest.approx(100 * excess.mean / low["reference"])
    assert low["gap_half_width"] == pytest.approx(100 * excess.half_width / low["reference"])


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("learning_rate=fast", "ppo cannot be set up: .*fast"),
        ("batch_size=1", "ppo cannot be set up: .*batch_size"),
        ("policy_kwargs=null", "ppo cannot be set up"),
    ],
)
def test_an_agent_that_cannot_be_set_up_leaves_no_folder(setting: str, message: str, tmp_path: Path) -> None:
    pytest.importorskip("stable_baselines3")
    loaded = config(tmp_path, LEARNED, f"problems.shop.policies.PPO.settings.{setting}")
    with pytest.raises(ConfigError, match=f"problems.shop.policies.PPO: settings: {message}"):
        run_experiment(loaded, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def interrupt(*_: Any, **__: Any) -> Any:
    raise KeyboardInterrupt


def test_a_run_that_is_interrupted_before_anything_is_finished_leaves_no_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = config(tmp_path)
    monkeypatch.setattr(cells, "simulate_stream", interrupt)
    with pytest.raises(KeyboardInterrupt):
        run_experiment(loaded, out=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_run_that_is_interrupted_keeps_what_is_finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = config(tmp_path)

    def interrupted(name: str, problem: Problem, **options: Any) -> Plan:
        plan: Plan = make_plan(name, problem, **options) if "levels" in options else interrupt()
        return plan

    monkeypatch.setattr(competitors, "make_plan", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run_experiment(loaded, out=tmp_path / "out")
    assert (tmp_path / "out" / "cells" / "shop" / "low" / "cell.json").exists()
    assert not (tmp_path / "out" / "results.csv").exists()


def test_a_run_that_is_interrupted_keeps_a_training_that_was_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("stable_baselines3")
    text = "".join(line for line in LEARNED.splitlines(keepends=True) if "baseline:" not in line)
    loaded = config(tmp_path, text)

    def save_and_end(*_: Any, saves: Path, **__: Any) -> Any:
        saves.mkdir(parents=True)
        (saves / "state.json").write_text("{}", encoding="utf-8")
        raise KeyboardInterrupt

    monkeypatch.setattr(cells, "train_agent", save_and_end)
    with pytest.raises(KeyboardInterrupt):
        run_experiment(loaded, out=tmp_path / "out")
    assert len([*(tmp_path / "out").glob("unfinished/shop/PPO/saves-*/state.json")]) == 1
    assert (tmp_path / "out" / "config.yaml").exists()


def test_a_cell_that_fails_is_tried_again_and_told_of_and_the_others_go_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_drawings(monkeypatch)
    met: list[float] = []

    def broken(problem: Problem, policy: Any, **options: Any) -> Any:
        met.append(policy.up_to[0])
        if met[-1] == 12:
            raise PolicyError("orders must be finite")
        return simulate_stream(problem, policy, **options)

    monkeypatch.setattr(cells, "simulate_stream", broken)
    loaded = config(tmp_path)
    with pytest.raises(UnfinishedRun, match=r"1 of the run's parts failed:\n  shop / low: PolicyError: orders must be"):
        run_experiment(loaded, out=tmp_path / "out", retries=2)
    assert met.count(12) == 3
    out = tmp_path / "out"
    assert "PolicyError: orders must be finite" in (out / "cells/shop/low/error.txt").read_text(encoding="utf-8")
    assert [row["policy"] for row in table(out, "summary")] == ["tuned"]
    manifest = json.loads((out / "manifest.json").read_text(encoding="utf-8"))
    assert manifest["failed"] == {"shop / low": "PolicyError: orders must be finite"}
    assert manifest["status"] == "open"


def test_a_training_that_fails_stops_neither_the_next_one_nor_the_other_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    agents = "      broken: {agent: pathwise, steps: 2}\n      sound: {agent: pathwise, steps: 2}\nseeds: [1, 2]\n"
    (tmp_path / "exp.yaml").write_text(BASELINES + agents, encoding="utf-8")

    def trained(name: str, _: Any, problem: Problem, **__: Any) -> competitors.Competitor:
        if name == "broken":
            raise PolicyError("orders must be finite")
        return competitors.Competitor(name, "learned", order_up_to(problem.network, [12.0]), {}, 0.0)

    monkeypatch.setattr(cells, "train_agent", trained)
    with pytest.raises(UnfinishedRun, match="2 of the run's parts failed"):
        run_grid(load_grid(tmp_path / "exp.yaml"), out=tmp_path / "out", way=jobs.Way(report=False))
    runs = sorted(file.parent for file in (tmp_path / "out").glob("*/config.yaml"))
    assert len(runs) == 2
    for run in runs:
        assert [row["policy"] for row in table(run, "summary")] == ["low", "tuned", "sound"]
    status = [row["status"] for row in table(tmp_path / "out", "grid")]
    assert status == ["1 failed", "1 failed"]


def test_results_outlive_a_failure_of_the_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(folder: Path) -> None:
        raise RuntimeError(f"no figures for {folder}")

    monkeypatch.setattr(report, "remake", fail)
    loaded = config(tmp_path)
    with pytest.raises(UnfinishedRun, match="tables and report: RuntimeError: no figures"):
        run_experiment(loaded, out=tmp_path / "out")
    assert len(column(tmp_path / "out", "low", "cost")) == 20


def test_the_interrupted_command_ends_with_130_and_no_traceback(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    config(tmp_path)
    monkeypatch.setattr(cells, "simulate_stream", interrupt)
    monkeypatch.setattr(sys, "argv", ["echelon", "run", str(tmp_path / "exp.yaml"), "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as caught:
        main()
    assert caught.value.code == 130
    told = capsys.readouterr()
    assert "Traceback" not in told.out + told.err
