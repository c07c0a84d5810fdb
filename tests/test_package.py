"""The shape of the package: which folder imports which, what is installed, and what an import loads."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import os
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
MAY_IMPORT = {
    "envs": {"envs"},
    "baselines": {"envs", "baselines"},
    "agents": {"envs", "agents"},
    "experiments": {"envs", "baselines", "agents", "experiments", "configs"},
    "configs": set[str](),
}
"""Folders and those that they may import from."""
LEARNING = {"torch", "stable_baselines3", "safetensors", "tensorboard"}
SLOW = {*LEARNING, "pandas", "matplotlib", "numba", "scipy.stats"}
"""Modules that take long to load."""

every_folder = pytest.mark.parametrize("folder", MAY_IMPORT)
every_documented_folder = pytest.mark.parametrize("folder", ["envs", "baselines"])


def modules(folder: str) -> list[Path]:
    """The Python files of a folder."""
    return sorted((ROOT / folder).glob("*.py"))


def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def imported(nodes: Iterable[ast.AST]) -> set[str]:
    """Dotted names of the modules that import statements among the nodes may load."""
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names |= {str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


def loaded_on_import(nodes: Iterable[ast.AST]) -> Iterator[ast.AST]:
    """Nodes that run when a module is imported: not those in functions or under TYPE_CHECKING."""
    for node in nodes:
        yield node
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
            yield from loaded_on_import(node.orelse)
        elif not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield from loaded_on_import(ast.iter_child_nodes(node))


def pyproject() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def run_python(code: str) -> dict[str, Any]:
    """What a fresh interpreter prints as JSON on the last line of its output."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


@every_folder
def test_a_folder_imports_only_from_the_folders_that_it_stands_on(folder: str) -> None:
    for path in modules(folder):
        relative = [node for node in ast.walk(tree(path)) if isinstance(node, ast.ImportFrom) and node.level]
        assert not relative, f"imports must be absolute: {path}"
        ours = {name.split(".")[1] for name in imported(ast.walk(tree(path))) if name.startswith("echelon.")}
        assert not (ours & set(MAY_IMPORT)) - MAY_IMPORT[folder], path


def test_nothing_imports_a_folder_by_its_bare_name() -> None:
    for path in ROOT.glob("*/*.py"):
        bare = {name for name in imported(ast.walk(tree(path))) if name.split(".")[0] in MAY_IMPORT}
        assert not bare, path


@every_folder
def test_learning_libraries_are_loaded_by_agents_alone_and_slow_ones_only_when_needed(folder: str) -> None:
    allowed = {"agents": LEARNING, "envs": {"numba"}}.get(folder, set())
    for path in modules(folder):
        names = imported(loaded_on_import([tree(path)]))
        slow = {heavy for heavy in SLOW for name in names if name == heavy or name.startswith(f"{heavy}.")}
        assert slow <= allowed, path
        assert "numba" not in slow or path.name.startswith("_")


def test_the_table_of_packages_the_folders_and_the_symlinks_agree() -> None:
    table = pyproject()["tool"]["setuptools"]
    assert set(table["packages"]) == {"echelon", *(f"echelon.{folder}" for folder in MAY_IMPORT)}
    assert table["package-dir"] == {"echelon": "src/echelon"} | {f"echelon.{folder}": folder for folder in MAY_IMPORT}
    own = {path.parent.name for path in ROOT.glob("*/__init__.py")} - {"tests"}
    assert own == set(MAY_IMPORT)
    links = {path.name: os.readlink(path) for path in (ROOT / "src/echelon").iterdir() if path.is_symlink()}
    assert links == {folder: f"../../{folder}" for folder in MAY_IMPORT}


@every_folder
def test_every_file_of_a_folder_is_installed(folder: str) -> None:
    patterns = ["*.py", *pyproject()["tool"]["setuptools"]["package-data"].get(f"echelon.{folder}", [])]
    found = [path.relative_to(ROOT / folder) for path in (ROOT / folder).rglob("*") if path.is_file()]
    for path in found:
        if "__pycache__" not in path.parts:
            assert any(path.match(pattern) and len(path.parts) == pattern.count("/") + 1 for pattern in patterns), path


def test_importing_echelon_is_quick_and_loads_no_heavy_library() -> None:
    loaded = run_python(
        "import json, sys, time\n"
        "start = time.process_time()\n"
        "import echelon\n"
        "print(json.dumps({'seconds': time.process_time() - start, 'modules': sorted(sys.modules)}))"
    )
    assert not {"torch", "stable_baselines3", "pandas", "matplotlib", "numba", "scipy"} & set(loaded["modules"])
    assert loaded["seconds"] < 2


def test_the_help_of_the_command_line_loads_no_heavy_library() -> None:
    loaded = run_python(
        "import json, sys\n"
        "from echelon.experiments.cli import main\n"
        "sys.argv = ['echelon', '--help']\n"
        "try:\n"
        "    main()\n"
        "except SystemExit as end:\n"
        "    print()\n"
        "    print(json.dumps({'code': end.code, 'modules': sorted(sys.modules)}))"
    )
    assert loaded["code"] == 0
    assert not {"torch", "stable_baselines3", "pandas", "numba", "matplotlib"} & set(loaded["modules"])


def test_gymnasium_finds_the_problems_without_loading_them() -> None:
    loaded = run_python(
        "import json, sys\n"
        "import echelon, gymnasium\n"
        "ids = [name for name in gymnasium.registry if name.startswith('echelon/')]\n"
        "print(json.dumps({'ids': ids, 'modules': sorted(sys.modules)}))"
    )
    assert "echelon/LostSales-v0" in loaded["ids"]
    assert "echelon.envs.catalogue" not in loaded["modules"]


def test_the_command_line_is_installed() -> None:
    module, name = pyproject()["project"]["scripts"]["echelon"].split(":")
    assert callable(getattr(importlib.import_module(module), name))


@every_documented_folder
def test_every_public_function_and_class_says_what_it_is_for(folder: str) -> None:
    for path in modules(folder):
        module = importlib.import_module(f"echelon.{folder}.{path.stem}".removesuffix(".__init__"))
        assert module.__doc__, path
        for name, member in vars(module).items():
            own = getattr(member, "__module__", None) == module.__name__ and not path.stem.startswith("_")
            if own and not name.startswith("_") and (inspect.isclass(member) or inspect.isroutine(member)):
                assert inspect.getdoc(member), f"{path.name}: {name}"


@pytest.mark.parametrize("folder", ["envs", "baselines", "agents", "experiments"])
def test_what_a_folder_exports_exists_and_is_marked_as_an_export(folder: str) -> None:
    if folder == "agents":
        pytest.importorskip("stable_baselines3")
    package = importlib.import_module(f"echelon.{folder}")
    for node in ast.walk(tree(ROOT / folder / "__init__.py")):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith(f"echelon.{folder}."):
            for alias in node.names:
                assert alias.asname == alias.name, f"{alias.name} must be exported as itself"
                assert hasattr(package, alias.name)
                assert getattr(package, alias.name) is getattr(importlib.import_module(str(node.module)), alias.name)


def test_every_baseline_is_exported() -> None:
    from echelon import baselines

    assert all(getattr(baselines, method.__name__) is method for method in baselines.BASELINES.values())
