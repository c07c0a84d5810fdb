"""The course: every notebook runs without a warning, its text and its code agree, and every exercise has a solution."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

FOLDER = Path(__file__).resolve().parent.parent / "docs" / "course"
NOTEBOOKS = sorted(FOLDER.glob("*.py"))
NAMES = [notebook.stem for notebook in NOTEBOOKS]
NUMBER = re.compile(r"(?<![\w.])\d[\d,]*\.\d+(?![\w.]*\d)")
"""A number with decimals, in prose."""


def cells(notebook: Path) -> list[Any]:
    """The cells as jupytext reads them."""
    jupytext = pytest.importorskip("jupytext", reason="needs the extra 'course'")
    return list(jupytext.read(notebook).cells)


def sources(notebook: Path, kind: str) -> list[str]:
    return [cell.source for cell in cells(notebook) if cell.cell_type == kind]


def numbers_of(code: str) -> set[float]:
    """The constants of a program."""
    constants = (node.value for node in ast.walk(ast.parse(code)) if isinstance(node, ast.Constant))
    return {float(value) for value in constants if isinstance(value, int | float)}


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=NAMES)
def test_the_notebook_runs_without_a_warning_and_finds_what_it_states(notebook: Path, tmp_path: Path) -> None:
    if notebook.stem.startswith("06"):
        pytest.importorskip("torch", reason="needs the extra 'learn'")
    # Agg draws every figure and shows none, which it says where there is a screen.
    quiet = ["-W", "error", "-W", "ignore:FigureCanvasAgg is non-interactive:UserWarning"]
    threads = {"OMP_NUM_THREADS": "1", "NUMBA_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *quiet, str(notebook)],
        cwd=tmp_path,
        env=os.environ | threads | {"MPLBACKEND": "Agg"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert not list(tmp_path.iterdir())  # it leaves nothing behind


def test_there_are_six_notebooks_and_the_page_tells_of_each() -> None:
    assert [name[:2] for name in NAMES] == ["01", "02", "03", "04", "05", "06"]
    page = (FOLDER / "README.md").read_text(encoding="utf-8")
    assert all(f"({notebook.name})" in page for notebook in NOTEBOOKS)


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=NAMES)
def test_jupytext_reads_a_notebook_that_can_be_taught(notebook: Path) -> None:
    text, code = sources(notebook, "markdown"), sources(notebook, "code")
    assert text[0].startswith("# ")  # a title
    assert len(text) >= 10
    assert len(code) >= 10
    together = "\n".join(code)
    assert sum(isinstance(node, ast.Assert) for node in ast.walk(ast.parse(together))) >= 15
    assert together.count("plt.show()") >= 4
    assert together.count("title=") >= 4
    assert "\n".join(text).count("**Predict first.**") >= 3
    for section in ("## Exercises", "## Sources", "## Solutions", "**When it fails.**"):
        assert section in "\n".join(text) or (section, notebook.stem[:2]) == ("**When it fails.**", "06")


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=NAMES)
def test_every_exercise_has_a_solution_with_code_that_asserts_something(notebook: Path) -> None:
    # Where a solution begins in the text, the code until the next one is its own.
    solved: dict[str, str] = {}
    asked: list[str] = []
    current = ""
    for cell in cells(notebook):
        if cell.cell_type == "markdown":
            asked += re.findall(r"^### Exercise (\d+)$", cell.source, re.MULTILINE)
            current = ([current, *re.findall(r"^### Solution (\d+)$", cell.source, re.MULTILINE)])[-1]
        elif current:
            solved[current] = solved.get(current, "") + cell.source + "\n"
    assert len(asked) >= 4
    assert asked == list(solved) == [str(number + 1) for number in range(len(asked))]
    assert all("assert " in code for code in solved.values())


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=NAMES)
def test_every_number_with_decimals_that_the_text_states_stands_in_the_code(notebook: Path) -> None:
    known = numbers_of("\n".join(sources(notebook, "code")))
    prose = "\n".join(sources(notebook, "markdown"))
    prose = re.sub(r"## Sources.*?(?=## Solutions)", "", prose, flags=re.DOTALL)  # numbers of volumes
    prose = re.sub(r"`[^`]*`|(Example|section|chapter) [\d.]+", "", prose)  # names and places
    stated = {number: float(number.replace(",", "")) for number in NUMBER.findall(prose)}
    assert stated
    missing = [
        number
        for number, value in stated.items()
        if not any(abs(value - other) < 1e-12 or abs(value / 100 - other) < 1e-12 for other in known)
    ]
    assert not missing
