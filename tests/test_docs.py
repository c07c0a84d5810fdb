"""The documents: links lead somewhere, and every block of Python runs."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from echelon.envs import base_stock_levels, make_problem, order_up_to, sample, simulate

ROOT = Path(__file__).resolve().parent.parent
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
BLOCKS = [(page, block) for page in PAGES for block in re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)]
NETWORKS = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs/networks.md").read_text(), re.DOTALL)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_relative_link_leads_to_a_file(page: Path) -> None:
    for target in re.findall(r"\]\((?!\w+:)([^)#]+)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize(("page", "block"), BLOCKS, ids=[page.name for page, _ in BLOCKS])
def test_every_block_of_python_runs(
    page: Path, block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "network.yaml").write_text(NETWORKS[0])
    monkeypatch.chdir(tmp_path)
    exec(compile(block, str(page), "exec"), {})
    capsys.readouterr()


@pytest.mark.parametrize("text", NETWORKS)
def test_every_network_file_that_the_documents_show_can_be_simulated(text: str, tmp_path: Path) -> None:
    (tmp_path / "network.yaml").write_text(text)
    problem = make_problem("echelon/Network-v0", path=tmp_path / "network.yaml", periods=20, warm_up=0)
    scenarios = sample(problem.network, periods=20, replications=3, seed=0)
    rule = order_up_to(problem.network, base_stock_levels(problem.network))
    assert simulate(problem, rule, scenarios, check=True).cost.shape == (3,)
