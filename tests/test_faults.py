"""Runs that survive: whatever ends a process, at whatever moment, the run goes on to the same bits."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from echelon.envs.errors import ConfigError
from echelon.experiments import report
from echelon.experiments.resume import resume

from .forked_commands import Commands, results_of

pytest.importorskip("stable_baselines3")

CONFIG = """\
name: small
seed: 1
replications: 20
problems:
  shop:
    id: echelon/LostSales-v0
    parameters: {lead_time: 1, stockout_cost: 9, periods: 40, warm_up: 10}
    policies:
      base stock: {baseline: base_stock, options: {levels: [12]}}
      PPO: {agent: ppo, steps: 640, copies: 8, settings: {n_steps: 8, batch_size: 32, n_epochs: 1}}
      controlled:
        agent: controlled
        steps: 20
        settings: {generations: 3, rollouts: 100, validation_replications: 50, epochs: 4}
      pathwise: {agent: pathwise, steps: 4, settings: {batch: [32, 64], hidden: [8], unroll: 4, tail: 4}}
"""
WIDE = """\
name: wide
replications: 10000
problems:
  shop:
    id: echelon/LostSales-v0
    parameters: {lead_time: 1, periods: 5, warm_up: 0}
    policies:
      low: {baseline: base_stock, options: {levels: [12]}}
      high: {baseline: base_stock, options: {levels: [14]}}
"""
KILLS = 20
SAVED = "unfinished/shop/PPO/saves-*/state*.json"
FIRST_SAVE, SECOND_SAVE = SAVED, SAVED.replace("*.json", ".previous.json")
MEGABYTE = 2**20


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the configs and, in `whole`, an uninterrupted run; tests write beside it."""
    place = tmp_path_factory.mktemp("faults")
    (place / "small.yaml").write_text(CONFIG, encoding="utf-8")
    (place / "wide.yaml").write_text(WIDE, encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def commands(folder: Path) -> Iterator[Commands]:
    with Commands(folder, "run", "small.yaml", "--out", "whole") as server:
        assert server.run("baselines").code == 0  # the run is over
        yield server


def is_clean(run: Path) -> bool:
    """Whether nothing is left of interrupted work."""
    return not [file for file in run.rglob("*") if file.suffix == ".part" or file.name in ("saves", "unfinished")]


def test_a_run_that_is_killed_at_twenty_random_moments_ends_with_the_same_bits(
    commands: Commands, folder: Path
) -> None:
    """Moments are spread over the duration of a run: each kill interrupts a new run, or the resumption of one."""
    moments, duration = random.Random(9), commands.run("run", "small.yaml", "--out", "timed").seconds
    out, kills, runs, resumed = folder / "killed", 0, 0, 0
    while kills < KILLS or out.exists():
        words = ("run", "--resume", out) if out.exists() else ("run", "small.yaml", "--out", out)
        resumed += out.exists()
        end = (signal.SIGKILL, moments.uniform(0, duration)) if kills < KILLS else None
        ended = commands.run(*words, end=end)
        if ended.code == -signal.SIGKILL:
            kills += 1
            continue
        assert ended.code == 0, ended.said
        assert results_of(out) == results_of(folder / "whole")
        assert is_clean(out)
        shutil.rmtree(out)
        runs += 1
    assert resumed >= KILLS / 4
    assert runs >= 1


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_run_that_is_asked_to_end_says_how_to_go_on_and_does_so_to_the_same_bits(
    number: int, code: int, commands: Commands, folder: Path
) -> None:
    out = folder / f"ended-{number}"
    ended = commands.run("run", "small.yaml", "--out", out, end=(number, f"{out}/{FIRST_SAVE}"))
    assert ended.code == code
    assert f"to go on: echelon run --resume {out}" in ended.said
    assert "Traceback" not in ended.said
    assert not (out / "results.csv").exists()
    again = commands.run("run", "--resume", out)
    assert again.code == 0, again.said
    assert results_of(out) == results_of(folder / "whole")


def test_a_run_whose_files_cannot_grow_says_so_and_loses_nothing_that_is_finished(
    commands: Commands, folder: Path
) -> None:
    """A cell has 0.7 MB, the table of both more than the limit of 1 MB: the cells are finished, the table is not."""
    whole, out = folder / "wide", folder / "limited"
    assert commands.run("run", "wide.yaml", "--out", whole).code == 0
    ended = commands.run("run", "wide.yaml", "--out", out, limit=MEGABYTE)
    assert ended.code == 1
    assert "tables and report: OSError: [Errno 27] File too large" in ended.said
    assert f"echelon run --resume {out}" in ended.said
    assert "Traceback" not in ended.said
    made = {file: file.stat().st_mtime_ns for file in out.glob("cells/*/*/cell.json")}
    assert len(made) == 2
    assert commands.run("run", "--resume", out).code == 0
    assert results_of(out) == results_of(whole)
    assert {file: file.stat().st_mtime_ns for file in made} == made


def test_a_cell_whose_files_cannot_grow_fails_alone(commands: Commands, folder: Path) -> None:
    out = folder / "limited cell"
    ended = commands.run("run", "wide.yaml", "--out", out, limit=MEGABYTE // 2)
    assert ended.code == 1
    assert "shop / low: OSError: [Errno 27] File too large" in ended.said
    assert not [*out.glob("cells/*/*/cell.json")]
    assert "File too large" in (out / "cells/shop/low/error.txt").read_text(encoding="utf-8")
    assert commands.run("run", "--resume", out).code == 0
    assert results_of(out) == results_of(folder / "wide")


def test_of_two_processes_that_race_for_a_folder_one_wins_and_the_other_says_why(
    commands: Commands, folder: Path
) -> None:
    out = folder / "raced"
    both = commands.together([("run", "small.yaml", "--out", out)] * 2)
    assert sorted(ended.code for ended in both) == [0, 2]
    (loser,) = (ended for ended in both if ended.code == 2)
    assert "raced: the run folder exists already; choose another one with --out, or" in loser.said
    assert results_of(out) == results_of(folder / "whole")
    shutil.rmtree(out / "cells" / "shop" / "PPO")
    both = commands.together([("run", "--resume", out)] * 2)
    assert sorted(ended.code for ended in both) == [0, 2]
    (loser,) = (ended for ended in both if ended.code == 2)
    assert "is at work on it; wait for it, or end it" in loser.said
    assert "process " in loser.said
    assert results_of(out) == results_of(folder / "whole")


def copied(run: Path, target: Path) -> Path:
    shutil.copytree(run, target)
    return target


def flip(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 4
    file.write_bytes(content)


def truncate(file: Path) -> None:
    os.truncate(file, file.stat().st_size // 2)


@pytest.mark.parametrize("damage", [flip, truncate, Path.unlink])
@pytest.mark.parametrize("name", ["results.csv", "cell.json", "policy.json", "policy-*.safetensors"])
def test_a_damaged_cell_is_made_again_and_told_of(
    damage: Any, name: str, commands: Commands, folder: Path, tmp_path: Path
) -> None:
    out = copied(folder / "whole", tmp_path / "out")
    (file,) = out.glob(f"*/shop/controlled/{name}")
    damage(file)
    ended = commands.run("run", "--resume", out)
    assert ended.code == 0, ended.said
    assert "; the cell is made again" in ended.said or (name == "cell.json" and damage is Path.unlink)
    assert results_of(out) == results_of(folder / "whole")


@pytest.fixture(scope="module")
def half(commands: Commands, folder: Path) -> Path:
    """A run that was killed in the training of PPO, after its second save."""
    out = folder / "half"
    while len([*out.glob(SAVED)]) < 2:  # between two saves there is only the one before
        shutil.rmtree(out, ignore_errors=True)
        ended = commands.run("run", "small.yaml", "--out", out, end=(signal.SIGKILL, f"{out}/{SECOND_SAVE}"))
        assert ended.code == -signal.SIGKILL
    return out


@pytest.mark.parametrize("damage", [flip, truncate])
@pytest.mark.parametrize(("both", "told"), [(False, "the state before it is used"), (True, "the training begins anew")])
def test_a_training_goes_on_from_the_save_before_a_damaged_one(
    damage: Any, both: bool, told: str, commands: Commands, half: Path, folder: Path, tmp_path: Path
) -> None:
    out = copied(half, tmp_path / "out")
    (last,) = out.rglob("state.json")
    damage(last)
    if both:
        damage(last.with_name("state.previous.json"))
    ended = commands.run("run", "--resume", out)
    assert ended.code == 0, ended.said
    assert told in ended.said
    assert results_of(out) == results_of(folder / "whole")


@pytest.mark.usefixtures("commands")
def test_a_run_folder_with_a_link_out_of_it_is_refused(folder: Path, tmp_path: Path) -> None:
    out = copied(folder / "whole", tmp_path / "out")
    outside = tmp_path / "outside"
    shutil.move(out / "cells" / "shop" / "PPO", outside)
    (outside / "cell.json").unlink()
    before = sorted(file.name for file in outside.iterdir())
    (out / "cells" / "shop" / "PPO").symlink_to(outside)
    with pytest.raises(ConfigError, match=r"cells/shop/PPO: a run folder must hold no links; remove this one"):
        resume(out)
    assert sorted(file.name for file in outside.iterdir()) == before


@pytest.mark.usefixtures("commands")
def test_a_finished_run_is_not_made_again(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(report, "remake", None)
    before = json.loads((folder / "whole" / "manifest.json").read_text(encoding="utf-8"))
    assert resume(folder / "whole") == folder / "whole"
    assert json.loads((folder / "whole" / "manifest.json").read_text(encoding="utf-8")) == before


@pytest.mark.parametrize("text", [None, "", "name: [", "name: x"])
def test_what_is_no_run_cannot_be_resumed(text: str | None, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "config.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError, match=r"must be the folder of a run|config\.yaml"):
        resume(tmp_path)
