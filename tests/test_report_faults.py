"""Tables, figures and pages whose making is killed: what is there is whole, and the next time all of it is."""

from __future__ import annotations

import json
import random
import re
import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from .forked_commands import Commands

CONFIG = """\
name: small
seed: 1
replications: 20
problems:
  shop:
    id: echelon/LostSales-v0
    parameters: {lead_time: 1, stockout_cost: 9, periods: 40, warm_up: 10}
    policies:
      low: {baseline: base_stock, options: {levels: [12]}}
"""
SECONDS = re.compile(rb"<dt>seconds</dt><dd>[^<]*</dd>")
"""Wall time on a page, which no two runs share."""
OF_REPORT = ("report.html", "plots/*", "tables/*")
DERIVED = ("*.csv", "networks.json", "problems.json", "networks/*", *OF_REPORT)
SECONDS_OF_A_REPORT = 2.0
"""About; a kill that comes too late is none."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("report-faults")
    (place / "small.yaml").write_text(CONFIG, encoding="utf-8")
    return place


@pytest.fixture(scope="module")
def commands(folder: Path) -> Iterator[Commands]:
    with Commands(folder, "run", "small.yaml", "--out", "whole", figures=True) as server:
        assert server.run("baselines").code == 0  # the run is over
        yield server


def content(run: Path) -> Mapping[str, bytes]:
    """All that is there under its own name, but for the manifest."""
    files = (file for file in run.rglob("*") if file.is_file() and not file.name.startswith("."))
    found = {file.relative_to(run).as_posix(): SECONDS.sub(b"", file.read_bytes()) for file in files}
    return {name: text for name, text in found.items() if name != "manifest.json"}


def left_behind(place: Path) -> set[str]:
    """What has a temporary name."""
    hidden = {file.name for file in place.rglob(".*")} - {".lock", ".report.lock"}
    return hidden | {file.name for file in place.rglob("*.part")}


def remove_derived(place: Path, patterns: Sequence[str]) -> None:
    """Remove what is made from the cells, but nothing that an interrupted process has left."""
    for file in (file for pattern in patterns for file in place.glob(pattern)):
        if not file.name.startswith("."):
            file.unlink()


def set_open(run: Path) -> None:
    """Let a run be one that has all its cells, and not yet its tables and report."""
    file = run / "manifest.json"
    file.write_text(json.dumps({**json.loads(file.read_bytes()), "status": "open"}), encoding="utf-8")


def assert_nothing_is_broken(place: Path, whole: Mapping[str, bytes]) -> None:
    found = {name: text for name, text in content(place).items() if not name.startswith("unfinished/")}
    assert {name for name, text in found.items() if whole.get(name) != text} == set()


@dataclass(frozen=True)
class Kill:
    """When a process is killed: inside of the first file as large as that one, or once there is such a file."""

    inside: str = ""
    after: str = ""


def was_killed(
    commands: Commands, words: Sequence[str | Path], kill: Kill, place: Path, whole: Mapping[str, bytes]
) -> bool:
    """Whether the process was killed; on a busy machine one that is to die after a file may have come to its end."""
    if kill.inside:
        return commands.run(*words, limit=len(whole[kill.inside]) - 1, deadly=True).code == -signal.SIGXFSZ
    return commands.run(*words, end=(signal.SIGKILL, f"{place}/{kill.after}")).code in (0, -signal.SIGKILL)


RESUME = (
    *(Kill(inside="results.csv"), Kill(after="networks/*.yaml"), Kill(after="summary.csv")),
    *(Kill(inside="plots/01-shop-cost.png"), Kill(inside="report.html")),
)
REPORT = (Kill(inside="plots/01-shop-cost.png"), Kill(after="tables/*.csv"), Kill(inside="report.html"))
OVER_RUNS = (Kill(inside="all-files/plots/forest.png"), Kill(after="all-files/plots/*.pdf"), Kill(inside="all.html"))


@pytest.mark.parametrize(("command", "kills"), [("run", RESUME), ("report", REPORT)])
def test_whenever_the_last_stage_of_a_run_is_killed_the_next_time_all_is_there_bit_for_bit(
    command: str, kills: Sequence[Kill], commands: Commands, folder: Path, tmp_path: Path
) -> None:
    """Each kill meets what those before it have left, of which all that has its own name is removed.

    The folder has the name of the uninterrupted run, since that is on its page.
    """
    whole, out = content(folder / "whole"), tmp_path / "whole"
    shutil.copytree(folder / "whole", out)
    words = ("run", "--resume", out) if command == "run" else ("report", out)
    for kill in kills:
        remove_derived(out, DERIVED if command == "run" else OF_REPORT)
        if command == "run":
            set_open(out)
        assert was_killed(commands, words, kill, out, whole), kill
        assert_nothing_is_broken(out, whole)
        assert left_behind(out) or not kill.inside
    ended = commands.run(*words)
    assert ended.code == 0, ended.said
    assert content(out) == whole
    assert not left_behind(out)
    assert json.loads((out / "manifest.json").read_bytes())["status"] == "finished"


def test_what_there_was_is_whole_after_kills_at_random_moments(
    commands: Commands, folder: Path, tmp_path: Path
) -> None:
    whole, out = content(folder / "whole"), tmp_path / "whole"
    shutil.copytree(folder / "whole", out)
    moments = random.Random(5)
    for _ in range(3):
        assert commands.run("report", out, end=(signal.SIGKILL, moments.uniform(0, SECONDS_OF_A_REPORT))).code in (
            0,
            -signal.SIGKILL,
        )
        assert content(out) == whole
    assert commands.run("report", out).code == 0
    assert content(out) == whole
    assert not left_behind(out)


def test_a_page_over_several_runs_that_was_killed_is_made_again_whole(
    commands: Commands, folder: Path, tmp_path: Path
) -> None:
    for seed in ("1", "2"):
        shutil.copytree(folder / "whole", tmp_path / seed)
        config = tmp_path / seed / "config.yaml"
        config.write_text(config.read_text(encoding="utf-8").replace("seed: 1", f"seed: {seed}"), encoding="utf-8")
    place = tmp_path / "made"
    place.mkdir()
    words = ("report", tmp_path / "1", tmp_path / "2", "--out", place / "all.html")
    assert commands.run(*words).code == 0
    whole = content(place)
    for kill in OVER_RUNS:
        remove_derived(place, ("all.html", "all-files/*/*"))
        assert was_killed(commands, words, kill, place, whole), kill
        assert_nothing_is_broken(place, whole)
        assert left_behind(place) or not kill.inside
    assert commands.run(*words).code == 0
    assert content(place) == whole
    assert not left_behind(place)
