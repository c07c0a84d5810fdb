"""Cells: what their results depend on, sequential stopping, numbers that are none, and logs that fail."""

from __future__ import annotations

import csv
import io
import json
import math
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echelon.envs.catalogue import make_problem
from echelon.envs.errors import ConfigError, MethodError, PolicyError
from echelon.envs.policy import order_up_to
from echelon.envs.simulate import scenario_bytes, simulate_stream
from echelon.experiments.cell_files import DamagedCell, columns_text, read_cell, table_text
from echelon.experiments.cells import cells_of
from echelon.experiments.config import Config, load_config
from echelon.experiments.evaluate import estimate
from echelon.experiments.grid import load_grid
from echelon.experiments.jobs import UnfinishedRun, Way
from echelon.experiments.resume import resume
from echelon.experiments.run import run_experiment, run_grid

CONFIG = """\
name: cells
replications: 100
problems:
  shop:
    id: echelon/LostSales-v0
    parameters: {lead_time: 1, stockout_cost: 9, periods: 60, warm_up: 10}
    policies:
      low: {baseline: base_stock, options: {levels: [12]}}
      high: {baseline: base_stock, options: {levels: [14]}}
"""
SILENT = Way(report=False)


def config(folder: Path, *overrides: str, text: str = CONFIG) -> Config:
    (folder / "exp.yaml").write_text(text, encoding="utf-8")
    return load_config(folder / "exp.yaml", overrides)


def made(folder: Path, *overrides: str, text: str = CONFIG) -> Path:
    """A run of the config with those overrides."""
    (folder / "exp.yaml").write_text(text, encoding="utf-8")
    return run_grid(load_grid(folder / "exp.yaml", overrides), out=folder / "out", way=SILENT)


def rows(file: Path) -> list[dict[str, str]]:
    with file.open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def costs(run: Path, policy: str) -> Any:
    return np.asarray([float(row["cost"]) for row in rows(run / "results.csv") if row["policy"] == policy])


@pytest.mark.parametrize(
    "override",
    [
        *("seed=2", "replications=101", "confidence=0.9", "precision=5.0", "problems.shop.parameters.periods=61"),
        *("problems.shop.parameters.stockout_cost=8", "problems.shop.policies.low.options.levels=[13]"),
    ],
)
def test_whatever_a_result_depends_on_is_part_of_the_digest(override: str, tmp_path: Path) -> None:
    first, other = (cells_of(loaded)["shop / low"].digest for loaded in (config(tmp_path), config(tmp_path, override)))
    assert first != other
    assert first == cells_of(config(tmp_path, "problems.shop.policies.high.options.levels=[15]"))["shop / low"].digest


@pytest.mark.parametrize("replications", [1, 7, 99])
def test_the_bits_do_not_depend_on_how_the_evaluation_is_split(
    replications: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Learned policies are simulated in parts of so many replications, on a problem of units that can be divided."""
    agents = pytest.importorskip("echelon.agents")
    problem = make_problem("echelon/Serial-v0", holding_cost=[1, 2], lead_time=1, periods=30, warm_up=10)
    options = {"steps": 400, "copies": 8, "settings": {"n_steps": 8, "batch_size": 32}}
    policies = [order_up_to(problem.network, [12, 12]), agents.train(problem, algorithm="ppo", **options).policy]
    wholes = [simulate_stream(problem, policy, replications=100, seed=0).cost for policy in policies]
    module = sys.modules["echelon.envs.simulate"]
    monkeypatch.setattr(module, "PART_BYTES", float(replications * scenario_bytes(problem)))
    parts = [simulate_stream(problem, policy, replications=100, seed=0).cost for policy in policies]
    assert all((whole == part).all() for whole, part in zip(wholes, parts, strict=True))


def test_with_a_precision_a_policy_is_simulated_until_its_interval_is_narrow_enough(tmp_path: Path) -> None:
    run = made(tmp_path, "precision=1.0")
    counts = {policy: len(costs(run, policy)) for policy in ("low", "high")}
    assert len(set(counts.values())) == 2
    assert min(counts.values()) > 100
    for row in rows(run / "summary.csv"):
        assert float(row["half_width"]) <= 0.01 * float(row["mean"])
        expected = estimate(costs(run, row["policy"]))
        assert float(row["mean"]) == expected.mean
        assert float(row["half_width"]) == expected.half_width


def test_differences_are_taken_over_the_replications_that_all_have_met(tmp_path: Path) -> None:
    run = made(tmp_path, "precision=1.0")
    first = min(len(costs(run, policy)) for policy in ("low", "high"))
    low, high = (costs(run, policy)[:first] for policy in ("low", "high"))
    summary = {row["policy"]: row for row in rows(run / "summary.csv")}
    best = min(summary, key=lambda name: float(costs(run, name)[:first].mean()))
    other = "high" if best == "low" else "low"
    excess = (low - high) if other == "low" else (high - low)
    assert float(summary[other]["difference"]) == pytest.approx(excess.mean())


def test_the_first_replications_are_the_same_whatever_their_number() -> None:
    problem = make_problem("echelon/LostSales-v0", lead_time=1, periods=60, warm_up=10)
    policy = order_up_to(problem.network, [12])
    whole = simulate_stream(problem, policy, replications=50, seed=3).cost
    assert (simulate_stream(problem, policy, replications=range(20, 50), seed=3).cost == whole[20:]).all()


def test_a_cell_of_another_config_is_told_from_its_own(tmp_path: Path) -> None:
    run = made(tmp_path)
    cell = cells_of(config(tmp_path))["shop / low"]
    record = read_cell(run, cell)
    assert record is not None
    assert (record["kind"], record["attempts"], record["parameters"]["levels"]) == ("baseline", 1, [12.0])
    with pytest.raises(DamagedCell, match=r"cell\.json is of another config"):
        read_cell(run, replace(cell, digest="other"))


def test_a_policy_that_is_added_to_the_config_of_a_run_is_all_that_resume_makes(tmp_path: Path) -> None:
    run = made(tmp_path)
    before = (run / "cells/shop/low/cell.json").stat().st_mtime_ns
    text = (run / "config.yaml").read_text(encoding="utf-8")
    more = text + "      more: {baseline: base_stock, options: {levels: [13]}}\n"
    (run / "config.yaml").write_text(more, encoding="utf-8")
    resume(run, way=SILENT)
    assert {row["policy"] for row in rows(run / "summary.csv")} == {"low", "high", "more"}
    assert (run / "cells/shop/low/cell.json").stat().st_mtime_ns == before


def test_numbers_in_tables_are_read_back_as_they_were() -> None:
    values = [0.1 + 0.2, 1e-300, 5.0, math.inf]
    text = table_text([{"a": value, "b": None} for value in [*values, math.nan]])
    found = [line.split(",") for line in text.splitlines()]
    assert found[0] == ["a", "b"]
    assert [float(line[0]) for line in found[1:-1]] == values
    assert found[-1] == ["", ""]


NUMBERS = st.floats(-1e17, 1e17) | st.floats(-1e-3, 1e-3) | st.sampled_from([0.0, -0.0, 1e-4, 1e16, math.nan, math.inf])


@given(
    st.integers(0, 20).flatmap(lambda count: st.lists(st.lists(NUMBERS, min_size=count, max_size=count), max_size=6)),
    st.sampled_from(["low", 'a "wide", one', "],["]),
)
@settings(max_examples=200, deadline=None)
def test_columns_are_written_as_rows_would_be(columns: list[list[float]], name: str) -> None:
    count = len(columns[0]) if columns else 3
    replication = {"replication": np.arange(count)}
    found = {**replication, **{f"c{n}": np.asarray(column, dtype=np.float64) for n, column in enumerate(columns)}}
    key = {"problem": "shop", "policy": name}
    rows = [{**key, **{column: values[k].item() for column, values in found.items()}} for k in range(count)]
    assert columns_text(key, found) == table_text(rows)


def test_numbers_without_an_exponent_are_written_as_the_csv_writer_would() -> None:
    """Costs, shares and sums of any size that Python writes without an exponent, and zeros to the right of them."""
    random = np.random.default_rng(0)
    numbers = 10.0 ** random.uniform(-4, 16, (4, 50_000)) * random.choice([-1, 1], (4, 50_000))
    numbers[1], numbers[2] = random.random(50_000) + 1e-4, np.round(numbers[2] % 1e6, 3) + 1e-3
    columns = {f"c{n}": np.abs(column) if n else column for n, column in enumerate(numbers)}
    columns |= {"none": np.zeros(50_000), "no": np.full(50_000, -0.0)}
    expected = io.StringIO(newline="")
    writer = csv.writer(expected, lineterminator="\n")
    writer.writerow(["policy", *columns])
    writer.writerows(("low", *row) for row in zip(*(column.tolist() for column in columns.values()), strict=True))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("echelon.experiments.cell_files.table_text", None)
        assert columns_text({"policy": "low"}, columns) == expected.getvalue()


class Broken:
    """Orders that are right but for those of one period."""

    def __init__(self, value: float) -> None:
        self.value = value

    def __call__(self, state: Any) -> Any:
        orders = np.full((state.batch, len(state.network.links)), 5.0)
        if state.period == 7:
            orders[3, 0] = self.value
        return orders


@pytest.mark.parametrize(("value", "told"), [(math.nan, "nan"), (math.inf, "inf"), (-1.0, "-1.0")])
def test_orders_that_are_no_numbers_stop_with_the_link_the_period_and_the_replication(value: float, told: str) -> None:
    problem = make_problem("echelon/LostSales-v0", lead_time=1, periods=60, warm_up=10)
    words = f"got {told} on link .* in period 7, replication 3"
    with pytest.raises(PolicyError, match=words):
        simulate_stream(problem, Broken(value), replications=5, seed=0)


def test_costs_that_are_no_numbers_stop_with_the_node_the_period_and_the_replication() -> None:
    problem = make_problem("echelon/LostSales-v0", lead_time=1, periods=60, warm_up=10)
    huge = order_up_to(problem.network, [1.7e308])
    with (
        np.errstate(over="ignore", invalid="ignore"),
        pytest.raises(PolicyError, match=r"must be finite, got inf for on_hand at '\w+' in period 11, replication 0"),
    ):
        simulate_stream(problem, huge, replications=2, seed=0)


def test_a_loss_that_is_no_number_stops_controlled_learning_with_the_epoch() -> None:
    agents = pytest.importorskip("echelon.agents")
    problem = make_problem("echelon/LostSales-v0", lead_time=1, periods=60, warm_up=10)
    settings = {"generations": 1, "rollouts": 100, "validation_replications": 10, "learning_rate": 0.99}
    fit = pytest.importorskip("echelon.agents.controlled_fit")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(fit, "_cross_entropy", lambda actor, _: next(actor.parameters()).sum() * math.nan)
        with pytest.raises(MethodError, match=r"loss of controlled learning is not finite in epoch 0 \(got nan\)"):
            agents.train(problem, algorithm="controlled", steps=20, settings=settings)


def test_a_reward_that_is_no_number_stops_with_the_steps_and_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    agents = pytest.importorskip("echelon.agents")
    vec_env = pytest.importorskip("echelon.agents.vec_env")
    step = vec_env.NativeVecEnv.step_wait
    calls = []

    def broken(self: Any) -> Any:
        observation, reward, done, infos = step(self)
        calls.append(1)
        if len(calls) > 60:
            reward[5] = math.nan
        return observation, reward, done, infos

    monkeypatch.setattr(vec_env.NativeVecEnv, "step_wait", broken)
    problem = make_problem("echelon/LostSales-v0", lead_time=1, periods=60, warm_up=10)
    with pytest.raises(MethodError, match=r"a reward is not finite after 88 steps \(got nan in environment 5\)"):
        agents.train(problem, algorithm="ppo", steps=400, copies=8, settings={"n_steps": 8, "batch_size": 32})


class Failing:
    """A log that can be opened and nothing else."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def add_scalar(self, *_: Any) -> None:
        raise OSError(28, "No space left on device")

    flush = close = add_scalar


@pytest.mark.parametrize(
    ("algorithm", "options"),
    [
        ("ppo", {"steps": 400, "copies": 8, "settings": {"n_steps": 8, "batch_size": 32}}),
        ("controlled", {"steps": 20, "settings": {"generations": 1, "rollouts": 100, "validation_replications": 10}}),
    ],
)
def test_a_log_that_fails_is_given_up_with_one_warning_and_costs_nothing(
    algorithm: str, options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    agents = pytest.importorskip("echelon.agents")
    training = pytest.importorskip("echelon.agents.training")
    tensorboard = pytest.importorskip("torch.utils.tensorboard")
    problem = make_problem("echelon/LostSales-v0", lead_time=1, periods=60, warm_up=10)
    right = agents.train(problem, algorithm=algorithm, **options)
    monkeypatch.setattr(tensorboard, "SummaryWriter", Failing)
    with pytest.warns(training.TrackerWarning, match="goes on without a log for TensorBoard: OSError: ") as heard:
        found = agents.train(problem, algorithm=algorithm, log_folder=tmp_path, **options)
    assert len(heard) == 1
    assert [point["cost"] for point in found.curve] == [point["cost"] for point in right.curve]


def test_a_policy_that_does_not_apply_where_it_need_not_is_left_out(tmp_path: Path) -> None:
    extra = "      eoq: {baseline: eoq, where_it_applies: true}\n"
    run = made(tmp_path, text=CONFIG + extra)
    manifest = json.loads((run / "manifest.json").read_bytes())
    assert manifest["left_out"] == {"shop / eoq": "eoq needs backorders at every outlet"}
    assert manifest["status"] == "finished"
    assert {row["policy"] for row in rows(run / "summary.csv")} == {"low", "high"}


def test_a_learner_that_is_not_for_a_problem_where_it_need_not_be_is_left_out(tmp_path: Path) -> None:
    pytest.importorskip("echelon.agents")
    text = """
name: lots
replications: 20
problems:
  shop:
    id: echelon/SingleLocation-v0
    parameters: {fixed_cost: 5.0, periods: 40, warm_up: 10}
    policies:
      low: {baseline: base_stock, options: {levels: [20]}}
      pathwise: {agent: pathwise, steps: 2, where_it_applies: true}
"""
    manifest = json.loads((made(tmp_path, text=text) / "manifest.json").read_bytes())
    assert manifest["left_out"]["shop / pathwise"].startswith("agent: pathwise gradients need costs without steps")
    with pytest.raises(ConfigError, match=r"policies\.pathwise\.agent: pathwise gradients need costs without steps"):
        run_experiment(config(tmp_path, text=text.replace(", where_it_applies: true", "")), out=tmp_path / "other")


def test_a_run_of_which_every_cell_fails_keeps_its_errors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise MemoryError

    monkeypatch.setattr("echelon.experiments.cells.simulate_stream", fail)
    with pytest.raises(UnfinishedRun, match=r"2 of the run's parts failed:\n  shop / low: MemoryError"):
        run_experiment(config(tmp_path), out=tmp_path / "out")
    assert "MemoryError" in (tmp_path / "out/cells/shop/high/error.txt").read_text(encoding="utf-8")
    assert not (tmp_path / "out" / "summary.csv").exists()
