"""`echelon rerun`: the same bits again, and what it says of those that differ."""

from __future__ import annotations

import csv
import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from echelon.envs.errors import ConfigError
from echelon.experiments import executors, report
from echelon.experiments.cell_files import table_text
from echelon.experiments.cli import app
from echelon.experiments.config import load_config
from echelon.experiments.grid import load_grid
from echelon.experiments.jobs import Way
from echelon.experiments.rerun import rerun
from echelon.experiments.run import run_grid

CONFIG = """\
name: again
replications: 10
problems:
  shop:
    id: echelon/LostSales-v0
    parameters: {lead_time: 1, stockout_cost: 9, periods: 60, warm_up: 10}
    policies:
      low: {baseline: base_stock, options: {levels: [12]}}
      controlled:
        agent: controlled
        steps: 20
        settings: {generations: 2, rollouts: 100, validation_replications: 50, epochs: 4}
"""
SILENT = Way(report=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("torch")
    place = tmp_path_factory.mktemp("rerun")
    (place / "exp.yaml").write_text(CONFIG, encoding="utf-8")
    return run_grid(load_grid(place / "exp.yaml"), out=place / "first", way=SILENT)


@pytest.fixture
def copy(folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(folder, tmp_path / "copy"))


def test_a_run_that_is_run_again_has_the_same_bits(folder: Path, tmp_path: Path) -> None:
    again = rerun(folder, out=tmp_path / "again", way=SILENT)
    assert (again.folder, again.differences, again.causes) == (tmp_path / "again", (), ())
    assert (again.folder / "results.csv").read_bytes() == (folder / "results.csv").read_bytes()


def test_what_differs_is_told_by_file_and_column_with_what_may_have_caused_it(copy: Path, tmp_path: Path) -> None:
    lines = (copy / "results.csv").read_text(encoding="utf-8").splitlines()
    cells = lines[1].split(",")
    cells[3] = str(float(cells[3]) * 1.5)
    (copy / "results.csv").write_text("\n".join([lines[0], ",".join(cells), *lines[2:]]) + "\n", encoding="utf-8")
    (copy / "trace.csv").unlink()
    policy = copy / "learned" / "shop" / "controlled" / "policy.json"
    policy.write_text(json.dumps({**json.loads(policy.read_bytes()), "weights_sha256": "0"}), encoding="utf-8")
    manifest = json.loads((copy / "manifest.json").read_bytes())
    old = {**manifest, "numpy": "1.0", "threads": "8", "seconds": 5.0, "workers": 7}
    (copy / "manifest.json").write_text(json.dumps(old), encoding="utf-8")
    again = rerun(copy, out=tmp_path / "again", way=SILENT)
    assert again.differences == (
        "results.csv: column cost differs in 1 of 20 rows, by at most 33 %",
        f"trace.csv: is missing in {copy}",
        "learned/shop/controlled/policy.json: weights differ",
    )
    assert again.causes == (f"numpy: 1.0, now {manifest['numpy']}", f"threads: 8, now {manifest['threads']}")


def test_seconds_are_no_result(copy: Path, tmp_path: Path) -> None:
    with (copy / "summary.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    text = table_text([{**row, "seconds": 123.0} for row in rows])
    assert text != (copy / "summary.csv").read_text(encoding="utf-8")
    (copy / "summary.csv").write_text(text, encoding="utf-8")
    assert rerun(copy, out=tmp_path / "again", way=SILENT).differences == ()


def test_the_command_ends_with_0_if_the_bits_are_the_same_and_with_1_if_not(
    copy: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(report, "remake", lambda _: None)
    monkeypatch.setattr(executors, "pin_threads", lambda: None)  # not in the process of the tests
    same = CliRunner().invoke(app, ["rerun", str(copy)])
    assert same.exit_code == 0
    assert "copy-rerun is the same as" in same.output
    (copy / "bullwhip.csv").unlink()
    other = CliRunner().invoke(app, ["rerun", str(copy), "--out", str(copy.parent / "third")])
    assert other.exit_code == 1
    assert f"differs from {copy}:\n  bullwhip.csv: is missing in {copy}\n" in other.output


def test_a_grid_is_run_again_as_a_whole(tmp_path: Path) -> None:
    baselines = CONFIG.partition("      controlled:")[0] + "seeds: [1, 2]\n"
    (tmp_path / "exp.yaml").write_text(baselines, encoding="utf-8")
    first = run_grid(load_grid(tmp_path / "exp.yaml"), out=tmp_path / "first", way=SILENT)
    again = rerun(first, way=SILENT)
    assert (again.folder, again.differences) == (tmp_path / "first-rerun", ())
    assert len([*again.folder.glob("*/results.csv")]) == 2
    labels = [file.parent.name for file in first.glob("*/config.yaml")]
    assert {load_config(first / label / "config.yaml").seed for label in labels} == {1, 2}


def test_what_is_no_run_cannot_be_run_again(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"must be the folder of a run, with config\.yaml, or of a grid"):
        rerun(tmp_path)
