"""Write docs/api.md from the docstrings: every name that the packages export, as the source states it.

Run with: python docs/make_api.py

It reads the source and imports nothing, so that it needs no extras and gives the same page everywhere.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "api.md"
PACKAGES = {
    "echelon.envs": "Networks, scenarios, policies and the simulator.",
    "echelon.baselines": "Policies by formula, by exact methods and by tuning. `make_plan` makes one by name; "
    "[theory](theory/README.md) says which is for what.",
    "echelon.agents": "Learned policies. Needs the extra `learn`.",
    "echelon.testing": "Conformance checks for policies, problems and environments of your own.",
}
MODULES = {
    "echelon.experiments.config": ("load_config",),
    "echelon.experiments.run": ("run_experiment",),
    "echelon.experiments.evaluate": ("estimate", "compare", "gap", "Estimate", "Difference", "Gap"),
    "echelon.envs.gym_env": ("NetworkEnv",),
    "echelon.envs.vector_env": ("NetworkVectorEnv",),
}
"""What is public in modules that no package exports."""

Definition = ast.FunctionDef | ast.ClassDef


def main() -> None:
    """Write the page."""
    PAGE.write_text(page(), encoding="utf-8")
    print(PAGE)


def page() -> str:
    """The whole page."""
    parts = [
        "# API",
        "Every public name, with its signature and what it is for; made from the source by `python docs/make_api.py`. "
        "Arrays say their axes: B replications, T periods, N nodes, E links, C outlets.",
    ]
    for package, purpose in PACKAGES.items():
        parts += [f"## {package}", purpose]
        for module, name in sorted(exports(package), key=lambda export: export[1].lower()):
            parts += described(module, name, package)
    parts += ["## Experiments and environments"]
    for module, names in MODULES.items():
        for name in names:
            parts += described(module, name, module)
    return "\n\n".join(parts) + "\n"


def exports(package: str) -> Iterator[tuple[str, str]]:
    """The module and the name of everything that a package or module of packages exports as itself."""
    for node in ast.walk(tree_of(package)):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("echelon."):
            yield from ((str(node.module), alias.name) for alias in node.names if alias.asname == alias.name)


@cache
def tree_of(module: str) -> ast.Module:
    """The syntax tree of a module of echelon."""
    inside = ROOT.joinpath("src", *module.split("."))
    file = inside.with_suffix(".py") if inside.with_suffix(".py").exists() else inside / "__init__.py"
    return ast.parse(file.read_text(encoding="utf-8"))


def described(module: str, name: str, package: str) -> list[str]:
    """The paragraphs about one name."""
    body = tree_of(module).body
    for index, node in enumerate(body):
        if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name:
            return [f"### {name}", *(class_part(node) if isinstance(node, ast.ClassDef) else function_part(node))]
        if name in assigned(node):
            return [f"### {name}", f"`{package}.{name}`", *docstring_after(body, index)]
    for node in body:  # a module that hands on what another one defines
        if isinstance(node, ast.ImportFrom) and name in {alias.name for alias in node.names}:
            inner = f"{node.module}.{name}" if is_module(f"{node.module}.{name}") else str(node.module)
            return (
                [f"### {name}", module_line(inner)] if inner.endswith(f".{name}") else described(inner, name, package)
            )
    if is_module(f"{module}.{name}"):
        return [f"### {name}", module_line(f"{module}.{name}")]
    raise LookupError(f"{name} is not defined in {module}")


def is_module(name: str) -> bool:
    """Whether a dotted name is a file of echelon."""
    return ROOT.joinpath("src", *name.split(".")).with_suffix(".py").exists()


def module_line(module: str) -> str:
    """A module by its first sentence."""
    return f"The module `{module}`. {(ast.get_docstring(tree_of(module)) or '').split(chr(10) * 2)[0]}"


def assigned(node: ast.stmt) -> set[str]:
    """The names that a statement assigns."""
    targets = node.targets if isinstance(node, ast.Assign) else [node.target] if isinstance(node, ast.AnnAssign) else []
    return {target.id for target in targets if isinstance(target, ast.Name)}


def docstring_after(body: list[ast.stmt], index: int) -> list[str]:
    """The string that stands below an assignment and says what it is."""
    following = body[index + 1] if index + 1 < len(body) else None
    value = following.value if isinstance(following, ast.Expr) else None
    return [str(value.value)] if isinstance(value, ast.Constant) and isinstance(value.value, str) else []


def function_part(node: ast.FunctionDef) -> list[str]:
    """Signature and docstring of a function."""
    return [f"```text\n{signature(node)}\n```", *documented(node)]


def class_part(node: ast.ClassDef) -> list[str]:
    """Docstring, fields, and public methods of a class."""
    parts = documented(node)
    rows = [
        f"| `{name}` | `{text}` | {' '.join(' '.join(docstring_after(node.body, index)).split()).replace('|', '/')} |"
        for index, statement in enumerate(node.body)
        if isinstance(statement, ast.AnnAssign)
        for name in sorted(assigned(statement))
        for text in [ast.unparse(statement.annotation).replace("|", "or")]
        if not name.startswith("_") and name != "model_config"
    ]
    if rows:
        parts.append("\n".join(["| field | type | what it is |", "|---|---|---|", *rows]))
    methods = [member for member in node.body if isinstance(member, ast.FunctionDef) and is_public(member)]
    lines = [f"- `{signature(member, bare=True)}`{first_sentence(member)}" for member in methods]
    return [*parts, "\n".join(lines)] if lines else parts


def is_public(node: ast.FunctionDef) -> bool:
    """Whether a method is for callers."""
    return node.name == "__call__" or not node.name.startswith("_")


def signature(node: ast.FunctionDef, *, bare: bool = False) -> str:
    """The signature in the source's own words; that of a method is `bare` of self, and a property is its name."""
    decorators = {ast.unparse(decorator).split(".")[-1] for decorator in node.decorator_list}
    returns = ast.unparse(node.returns) if node.returns else "None"
    if decorators & {"property", "cached_property"}:
        return f"{node.name}: {returns}"
    arguments = ast.unparse(node.args)
    if bare and "staticmethod" not in decorators:
        arguments = arguments.partition(",")[2].strip()
    line = f"{node.name}({arguments}) -> {returns}"
    return line if bare or len(line) <= 110 else f"{node.name}(\n    {arguments}\n) -> {returns}"


def documented(node: Definition) -> list[str]:
    """The docstring as it stands."""
    text = ast.get_docstring(node)
    return [text] if text else []


def first_sentence(node: ast.FunctionDef) -> str:
    """The first paragraph of a docstring in one line, after a colon."""
    text = (ast.get_docstring(node) or "").split("\n\n")[0]
    return f": {' '.join(text.split())}" if text else ""


if __name__ == "__main__":
    main()
