"""`echelon tune`: searches that repeat, resume and share a journal, and a config that `echelon run` takes."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

pytest.importorskip("stable_baselines3")
pytest.importorskip("optuna")

from echelon.agents import ALGORITHMS, tuning
from echelon.agents.algorithms import DEFAULTS, unknown_settings
from echelon.agents.tuning import Target, Tuning, tune
from echelon.agents.tuning_spaces import SPACES, Choice, Span, default_parameters, settings_of, space_of
from echelon.envs.catalogue import lost_sales
from echelon.envs.errors import ConfigError, MethodError
from echelon.experiments.config import load_config
from echelon.experiments.tune_command import COLUMNS, JOURNAL, TRIALS, TUNED, TuneRequest, run_tune

SHOP = lost_sales(lead_time=1, periods=60, warm_up=10)
TARGET = Target(SHOP, "ppo", steps=800, seed=3)
CONFIG = """
name: tiny
seed: 3
replications: 4
problems:
  shop:
    id: echelon/LostSales-v0
    parameters: {lead_time: 1, periods: 60, warm_up: 10}
    policies:
      base stock: {baseline: base_stock}
      PPO: {agent: ppo, steps: 512, copies: 16, settings: {n_steps: 16, batch_size: 256, n_epochs: 1}}
"""


def a_cost(settings: dict[str, Any]) -> float:
    """A made-up cost of settings with its optimum inside the space."""
    return float(1 + (np.log10(settings["learning_rate"]) + 3) ** 2 + 0.1 * abs(settings["n_epochs"] - 4))


def made_up(_: Any, **options: Any) -> Any:
    """A training that costs nothing: the cost falls to that of its settings."""
    cost = a_cost(options["settings"])
    curve: list[dict[str, float]] = []
    steps = 0
    for share in range(1, options["evaluations"] + 1):
        steps = share * options["steps"] // options["evaluations"]
        curve.append({"cost": cost * (1 + 1 / share)})
        if not options["on_evaluation"](steps, curve[-1]["cost"]):
            break
    return SimpleNamespace(steps=steps, seconds=0.5, curve=curve)


@pytest.fixture
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tuning, "train_sb3", made_up)


def outcome(found: Tuning) -> list[tuple[Any, ...]]:
    return [(trial.number, trial.state, trial.cost, trial.settings) for trial in found.trials]


@pytest.mark.usefixtures("_cheap")
def test_a_search_begins_with_the_defaults_and_finds_better_settings(tmp_path: Path) -> None:
    found = tune(TARGET, tmp_path / "journal", trials=25)
    first = found.trials[0]
    assert first.settings["learning_rate"] == DEFAULTS["ppo"].settings["learning_rate"]
    assert first.settings["policy_kwargs"] == {"net_arch": [64, 64]}
    assert {trial.state for trial in found.trials} == {"complete", "pruned"}
    assert [trial.state for trial in found.trials[:5]] == ["complete"] * 5
    assert found.best.cost is not None
    assert first.cost is not None
    assert found.best.cost <= first.cost
    assert found.best.cost < 1.3 * 1.125
    given_up = [trial.cost for trial in found.trials if trial.state == "pruned"]
    assert min(cost for cost in given_up if cost is not None) > found.best.cost


@pytest.mark.usefixtures("_cheap")
def test_a_search_that_was_stopped_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    whole = tune(TARGET, tmp_path / "whole", trials=12)
    for trials in (1, 5, 12):
        resumed = tune(TARGET, tmp_path / "parts", trials=trials)
    assert outcome(resumed) == outcome(whole)
    assert outcome(tune(TARGET, tmp_path / "parts", trials=12)) == outcome(whole)


class Killed(BaseException):
    """What ends a process in the middle of a trial."""


@pytest.mark.usefixtures("_cheap")
def test_a_killed_search_resumes_even_if_its_last_line_is_half_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal = tmp_path / "journal"
    tune(TARGET, journal, trials=3)

    def dies(_: Any, **options: Any) -> None:
        options["on_evaluation"](1, 9.0)
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(tuning, "train_sb3", dies)
        with pytest.raises(Killed):
            tune(TARGET, journal, trials=4)
    with journal.open("ab") as stream:
        stream.write(b'{"op_code": 6, "trial')
    found = tune(TARGET, journal, trials=5)
    assert [trial.state for trial in found.trials].count("running") == 1
    assert sum(trial.state in ("complete", "pruned") for trial in found.trials) == 5


@pytest.mark.usefixtures("_cheap")
def test_a_journal_of_another_search_or_of_something_else_is_refused(tmp_path: Path) -> None:
    tune(TARGET, tmp_path / "journal", trials=1)
    for other in (Target(SHOP, "ppo", steps=800, seed=4), Target(SHOP, "ppo", steps=801, seed=3)):
        with pytest.raises(ConfigError, match="holds the search for another problem, policy or seed"):
            tune(other, tmp_path / "journal", trials=1)
    (tmp_path / "noise").write_bytes(b"what is this?\nno journal\n")
    with pytest.raises(ConfigError, match="noise: the journal must be sound"):
        tune(TARGET, tmp_path / "noise", trials=1)


def test_trials_that_fail_are_told_and_if_all_do_there_is_no_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def diverges(*_: Any, **__: Any) -> None:
        raise MethodError("ppo cannot go on after 8 steps; its numbers may have diverged")

    monkeypatch.setattr(tuning, "train_sb3", diverges)
    found = tune(TARGET, tmp_path / "journal", trials=2)
    assert [trial.state for trial in found.trials] == ["fail", "fail"]
    with pytest.raises(MethodError, match="no trial was completed, out of 2; a smaller learning_rate"):
        _ = found.best


@pytest.mark.parametrize("algorithm", sorted(ALGORITHMS))
def test_every_algorithm_has_a_space_of_settings_that_it_takes_around_its_defaults(algorithm: str) -> None:
    space = SPACES[algorithm]
    drawn = {name: part.low if isinstance(part, Span) else part.values[0] for name, part in space.items()}
    assert unknown_settings(algorithm, settings_of(drawn)) == []
    own = DEFAULTS[algorithm].settings
    assert {name for name in own if name in space} == {*default_parameters(algorithm, space)} - {"width"}
    for part in space.values():
        assert part.low < part.high if isinstance(part, Span) else len({*part.values}) == len(part.values) > 1
        assert not isinstance(part, Choice) or [*part.values] == sorted(part.values)


def test_fixed_settings_are_not_searched() -> None:
    assert {"width", "n_steps"} <= {*space_of("ppo", {})}
    assert not {"width", "n_steps"} & {*space_of("ppo", {"n_steps": 8, "policy_kwargs": {}})}
    with pytest.raises(MethodError, match="settings must leave something of"):
        space_of("ppo", {**dict.fromkeys(SPACES["ppo"]), "policy_kwargs": {}})
    with pytest.raises(MethodError, match=r"only ppo, .* can be tuned"):
        space_of("pathwise", {})


def command(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "tiny.yaml").write_text(CONFIG, encoding="utf-8")
    line = [sys.executable, "-m", "echelon.experiments.cli", "tune", "tiny.yaml", *arguments]
    return subprocess.run(line, capture_output=True, text=True, timeout=120, check=False, cwd=folder)


def request(folder: Path, overrides: Sequence[str] = (), **options: Any) -> TuneRequest:
    (folder / "tiny.yaml").write_text(CONFIG, encoding="utf-8")
    given: dict[str, Any] = {"policy": "PPO", "problem": None, "trials": 2, "out": folder / "out", **options}
    return TuneRequest(config=folder / "tiny.yaml", overrides=overrides, **given)


def test_the_command_writes_a_journal_a_table_and_a_config_that_can_be_run(tmp_path: Path) -> None:
    ended = command(tmp_path, "--policy", "PPO", "--trials", "2", "--out", "out", "--set", "seed=5")
    assert ended.returncode == 0, ended.stderr
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == sorted([JOURNAL, TRIALS, TUNED])
    with (tmp_path / "out" / TRIALS).open(newline="") as stream:
        rows = [*csv.DictReader(stream)]
    assert tuple(rows[0]) == COLUMNS
    assert [row["state"] for row in rows] == ["complete"] * 2
    best = min(rows, key=lambda row: float(row["cost"]))
    tuned = load_config(tmp_path / "out" / TUNED)
    assert tuned.seed == 5
    policy = tuned.problems["shop"].policies["PPO"]
    fixed = {"n_steps": 16, "batch_size": 256, "n_epochs": 1}
    assert policy.settings == {**json.loads(best["settings"]), **fixed}
    assert policy.steps == 512
    assert f"validation cost {float(best['cost']):.6g}" in ended.stdout


@pytest.mark.usefixtures("_cheap")
def test_the_command_goes_on_with_its_folder(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    free = "problems.shop.policies.PPO.settings={}"
    run_tune(request(tmp_path, [free], trials=2))
    run_tune(request(tmp_path, [free], trials=3))
    told = [line.split()[1] for line in capsys.readouterr().out.splitlines() if line.startswith("trial")]
    assert told == ["0", "1", "2"]
    with (tmp_path / "out" / TRIALS).open(newline="") as stream:
        assert len([*csv.DictReader(stream)]) == 3
    with pytest.raises(ConfigError, match="holds the search for another"):
        run_tune(request(tmp_path, [free, "seed=9"]))


@pytest.mark.parametrize(
    ("options", "overrides", "message"),
    [
        ({"policy": "PPPO"}, [], r"--policy: unknown policy 'PPPO'; did you mean 'PPO'\?"),
        ({"policy": "base stock"}, [], "--policy: 'base stock' is a baseline; only agents are tuned"),
        ({"problem": "shp"}, [], r"--problem: unknown problem 'shp'; did you mean 'shop'\?"),
        ({}, ["problems.shop.policies.PPO.settings.gama=0.9"], r"settings\.gama: unknown key; did you mean 'gamma'\?"),
        ({}, ["problems.two={id: echelon/LostSales-v0, policies: {PPO: {agent: ppo}}}"], "--problem: 'PPO' is a pol"),
        ({}, ["problems.shop.policies.PPO.steps=0"], "steps"),
    ],
)
def test_what_cannot_be_tuned_is_told_before_any_work(
    options: dict[str, Any], overrides: list[str], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message):
        run_tune(request(tmp_path, overrides, **options))
    assert not (tmp_path / "out").exists()


def test_a_folder_of_something_else_is_never_written_into(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    with pytest.raises(ConfigError, match="out: must be new, or the folder of a search"):
        run_tune(request(tmp_path))
    assert [*(tmp_path / "out").iterdir()] == []


def test_without_the_extra_the_message_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from echelon.envs.errors import MissingExtraError

    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(MissingExtraError, match=r"the extra 'tune' .* pip install 'echelon\[learn,tune\]'"):
        tune(TARGET, tmp_path / "journal", trials=1)
    assert not (tmp_path / "journal").exists()
