"""A newcomer's walk: every block of docs/start.md, in its order, timed.

Run with: python benchmarks/newcomer.py [--here] [--short]

From a clean clone in a temporary folder: install, quickstart, own network from a template, own policy in 15 lines,
comparison report. The commands are those of the page: a block of bash is run as it stands, and a block of Python that
names a file is saved under that name, all in one terminal session. `--here` takes the environment that runs this
script and the files of this checkout, instead of cloning and installing; `--short` makes the quickstart small. The
walk ends at the first command that fails, and the script with its exit code.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
START = ROOT / "docs" / "start.md"
BLOCK = re.compile(
    r"(?:<!-- walk: (?P<step>[^>]+?) -->\n)?"
    r"^```(?P<language>bash|python)(?: (?P<file>[\w.]+))?\n(?P<code>.*?)^```$",
    re.DOTALL | re.MULTILINE,
)
QUICKSTART = "echelon run configs/quickstart.yaml"
SMALL_QUICKSTART = (
    "replications=50",
    "problems.lost sales.policies.pathwise.steps=5",
    "problems.lost sales.policies.PPO.steps=5000",
    "problems.serial.policies.pathwise.steps=5",
)


@dataclass(frozen=True)
class Block:
    """A block of code of a page."""

    step: str
    """What the comment above it calls it, empty without one."""
    language: str
    file: str
    """Where Python is to be saved, empty where it is not."""
    code: str


@dataclass(frozen=True)
class Took:
    """A step that was taken."""

    step: str
    seconds: float
    returncode: int
    output: str


def blocks_of(page: Path) -> list[Block]:
    """The blocks that a reader types: bash, and Python that is saved to a file."""
    found = (
        Block(*(match[group] or "" for group in ("step", "language", "file", "code")))
        for match in BLOCK.finditer(page.read_text(encoding="utf-8"))
    )
    return [block for block in found if block.language == "bash" or block.file]


def walk(blocks: Iterable[Block], folder: Path, *, small: bool = False) -> Iterator[Took]:
    """Take the blocks one after the other, as in one terminal that is opened in a folder."""
    terminal = Terminal(folder)
    for block in blocks:
        started = time.perf_counter()
        if block.file:
            (terminal.folder / block.file).write_text(block.code, encoding="utf-8")
            done = (0, f"saved as {block.file}\n")
        else:
            done = terminal.run(shortened(block.code) if small else block.code)
        yield Took(block.step or block.code.splitlines()[0], time.perf_counter() - started, *done)


def shortened(code: str) -> str:
    """The commands with a quickstart that takes seconds."""
    return code.replace(QUICKSTART, shlex.join([*QUICKSTART.split(), *(f"--set={x}" for x in SMALL_QUICKSTART)]))


class Terminal:
    """A terminal session: the folder and the environment last from one block to the next."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._environment = dict(os.environ)

    def run(self, code: str) -> tuple[int, str]:
        """Run some lines of bash up to the first that fails; returns its exit code and all output."""
        with tempfile.TemporaryDirectory() as notes:
            after = Path(notes) / "after"
            script = f"set -eo pipefail\n{code}\n{{ pwd; env -0; }} > {shlex.quote(str(after))}\n"
            done = subprocess.run(
                ["bash", "-c", script],
                cwd=self.folder,
                env=self._environment,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                check=False,
            )
            if done.returncode == 0:
                place, _, variables = after.read_text(encoding="utf-8").partition("\n")
                self.folder = Path(place)
                self._environment = dict(entry.partition("=")[::2] for entry in variables.split("\0") if entry)
        return done.returncode, done.stdout


def clone(folder: Path) -> Path:
    """A clean clone of the last commit, in a new folder."""
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder / "echelon")], check=True)
    return folder / "echelon"


def checkout(folder: Path) -> Path:
    """The files that a walk needs from this checkout, and its environment's commands first in the path."""
    shutil.copytree(ROOT / "configs", folder / "echelon" / "configs")
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    return folder / "echelon"


def main() -> int:
    """Take the walk, and print what each step took."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--here", action="store_true", help="this environment and checkout: no clone, no install")
    parser.add_argument("--short", action="store_true", help="a quickstart that takes seconds")
    options = parser.parse_args()
    blocks = [block for block in blocks_of(START) if not (options.here and block.step == "install")]
    prepare: Callable[[Path], Path] = checkout if options.here else clone
    total = 0.0
    with tempfile.TemporaryDirectory() as folder:
        for took in walk(blocks, prepare(Path(folder)), small=options.short):
            total += took.seconds
            print(f"{took.step:20} {took.seconds:8.1f} s", flush=True)
            if took.returncode:
                print(f"it ended with exit code {took.returncode}:\n{took.output}")
                return took.returncode
    print(f"{'in all':20} {total:8.1f} s")
    return 0


if __name__ == "__main__":
    sys.exit(main())
