"""The page of all problems and policies, from a small run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from echelon.baselines import BASELINES
from echelon.envs.catalogue import PROBLEMS
from echelon.experiments.grid import load_grid
from echelon.experiments.jobs import Way
from echelon.experiments.run import run_grid

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

import published  # noqa: E402

CONFIG = """\
name: small
replications: 50
problems:
  shop: {id: echelon/LostSales-v0, parameters: {lead_time: 1, periods: 60, warm_up: 10}}
policies:
  low: {baseline: base_stock, options: {levels: [8]}}
  high: {baseline: base_stock, options: {levels: [14]}}
  eoq: {baseline: eoq, where_it_applies: true}
  clark_scarf: {baseline: clark_scarf, where_it_applies: true}
"""


def test_the_page_has_every_policy_of_a_run_from_the_cheapest_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "small.yaml").write_text(CONFIG)
    run = run_grid(load_grid(tmp_path / "small.yaml"), out=tmp_path / "run", way=Way(report=False))
    monkeypatch.setattr(published, "TABLE", tmp_path / "published.csv")
    monkeypatch.setattr(published, "PAGE", tmp_path / "results.md")
    published.main([str(run)])
    page = (tmp_path / "results.md").read_text()
    assert "same 50 replications" in page
    assert "Gaps are to the optimum" in page
    assert "2 methods do not apply." in page  # one is known when the config is read, one when it is planned
    rows = [line.split(" | ") for line in page.splitlines() if " | baseline | " in line]
    costs = [float(row[2].split()[0]) for row in rows]
    assert len(rows) == 2
    assert costs == sorted(costs)
    assert rows[0][5] == "best"

    published.main([])
    assert (tmp_path / "results.md").read_text() == page


def test_the_published_config_has_every_problem_and_every_baseline() -> None:
    text = (ROOT / "configs" / "published.yaml").read_text()
    assert all(f"id: {problem}" in text for problem in PROBLEMS)
    assert all(f"baseline: {baseline}," in text for baseline in BASELINES)


def test_the_committed_page_is_that_of_the_committed_table() -> None:
    assert (ROOT / "docs" / "results.md").read_text() == published.page()


def test_a_half_width_that_is_rounding_is_shown_as_zero() -> None:
    assert published.spread("13.08", "1.6e-16") == "13.08 ± 0"
    assert published.spread("13.08", "0.0123") == "13.08 ± 0.012"
    assert published.spread("0.0", "0.0") == "0 ± 0"
