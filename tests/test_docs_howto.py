"""The start, the how-to guides and the API page: a reader's commands run in their order, and nothing is out of date."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import sys
from pathlib import Path
from types import ModuleType

import pytest

from echelon.envs import make_problem
from echelon.experiments.config import load_config
from echelon.testing import check_problem

ROOT = Path(__file__).resolve().parents[1]
DOCS = ROOT / "docs"
GUIDES = [DOCS / "start.md", *sorted((DOCS / "howto").glob("*.md"))]
TEMPLATES = ROOT / "configs" / "templates"
SLOW = re.compile("baseline: (echelon_base_stock|min_max)")
"""Policies of the template that a test of the commands can do without."""


def script(path: str) -> ModuleType:
    """A script of the repository as a module."""
    spec = importlib.util.spec_from_file_location(Path(path).stem, ROOT / path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


newcomer = script("benchmarks/newcomer.py")
make_api = script("docs/make_api.py")


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder as a reader's clone, with a small experiment in the templates, and `echelon` in the path."""
    shutil.copytree(ROOT / "configs", tmp_path / "configs")
    experiment = tmp_path / "configs" / "templates" / "experiment.yaml"
    text = experiment.read_text().replace("replications: 1000", "replications: 20")
    text = text.replace("periods: 600, warm_up: 100", "periods: 30, warm_up: 5")
    experiment.write_text("\n".join(line for line in text.splitlines() if not SLOW.search(line)))
    monkeypatch.setenv("PATH", os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]))
    return tmp_path


@pytest.mark.parametrize("page", GUIDES, ids=lambda page: page.stem)
def test_a_reader_can_type_every_command_of_a_guide(page: Path, clone: Path) -> None:
    blocks = [block for block in newcomer.blocks_of(page) if block.step not in ("install", "quickstart")]
    assert blocks
    for took in newcomer.walk(blocks, clone):
        assert took.returncode == 0, f"{took.step}\n{took.output}"
    reports = list((clone / "study").glob("*/report.html"))
    assert len(reports) == 1
    assert (reports[0].parent / "results.csv").exists()


def test_the_walk_has_the_five_steps_in_their_order() -> None:
    steps = [block.step for block in newcomer.blocks_of(DOCS / "start.md")]
    assert steps == ["install", "quickstart", "own network", "own policy", "comparison report"]


def test_no_command_of_a_guide_is_left_out_of_the_walk() -> None:
    for page in GUIDES:
        fenced = re.findall(r"^```(bash|python \S+)$", page.read_text(), re.MULTILINE)
        assert len(newcomer.blocks_of(page)) == len(fenced), page


def test_an_own_policy_takes_fifteen_lines() -> None:
    saved = [block.code for block in newcomer.blocks_of(DOCS / "start.md") if block.file]
    first = re.findall(r"```python\n(.*?)```", (DOCS / "howto" / "own_policy.md").read_text(), re.DOTALL)[0]
    for code in (*saved, first):
        assert len([line for line in code.splitlines() if line.strip()]) <= 15


def test_the_short_quickstart_is_the_quickstart_with_less_work() -> None:
    short = load_config(ROOT / "configs" / "quickstart.yaml", newcomer.SMALL_QUICKSTART)
    whole = load_config(ROOT / "configs" / "quickstart.yaml")
    assert short.problems.keys() == whole.problems.keys()
    assert short.replications < whole.replications
    block = next(block for block in newcomer.blocks_of(DOCS / "start.md") if block.step == "quickstart")
    assert newcomer.shortened(block.code).count("--set=") == len(newcomer.SMALL_QUICKSTART)


def test_a_terminal_keeps_its_folder_and_its_variables_and_stops_at_the_first_failure(tmp_path: Path) -> None:
    terminal = newcomer.Terminal(tmp_path)
    assert terminal.run("mkdir inner && cd inner\nexport WORD='two lines\nof it'") == (0, "")
    assert terminal.run('echo "$WORD $(basename $PWD)"') == (0, "two lines\nof it inner\n")
    code, output = terminal.run("echo first\nfalse\necho second")
    assert (code, output) == (1, "first\n")
    blocks = [newcomer.Block("a", "bash", "", "exit 3\n"), newcomer.Block("b", "bash", "", "echo b\n")]
    assert next(newcomer.walk(blocks, tmp_path)).returncode == 3


def test_the_network_template_is_a_sound_problem_that_shows_what_a_fixed_cost_changes() -> None:
    problem = make_problem("echelon/Network-v0", path=TEMPLATES / "network.yaml", periods=200, warm_up=50)
    check_problem(problem)
    assert len(problem.network.outlets) == 2
    assert any(link.fixed_cost for link in problem.network.links)


def test_the_experiment_template_fits_the_network_template(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(TEMPLATES)
    config = load_config("experiment.yaml")
    assert len(config.problems["my network"].policies) >= 3


def test_the_index_lists_every_document() -> None:
    index = (DOCS / "README.md").read_text()
    listed = {(DOCS / target).resolve() for target in re.findall(r"\]\(([^)#:]+\.md)\)", index)}
    assert listed == {path.resolve() for path in DOCS.rglob("*.md")} - {(DOCS / "README.md").resolve()}


def test_the_api_page_is_what_the_source_says() -> None:
    assert (DOCS / "api.md").read_text() == make_api.page(), "run python docs/make_api.py"


def test_the_api_page_has_every_export_and_tells_what_it_is_for() -> None:
    page = make_api.page()
    assert len(re.findall(r"^### ", page, re.MULTILINE)) > 120
    for package in make_api.PACKAGES:
        for module, name in make_api.exports(package):
            if name.isupper():
                continue  # a table of names: the source says what it is
            _, *told = make_api.described(module, name, package)
            words = [part for part in told if not part.startswith(("```", "`", "|"))]
            assert words, f"{package}.{name} has no docstring"


def test_the_api_page_knows_fields_properties_and_signatures() -> None:
    page = make_api.page()
    assert "### Reference" in page
    assert "| `kind` | `ReferenceKind` |" in page
    assert "- `batch: int`: B, the number of replications." in page
    assert "check_problem(\n    problem: Problem, *, seed: int=0" in page
