"""How files are written: beside their place, given to the disk where they count, and only then moved there."""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from echelon.envs.errors import ConfigError
from echelon.envs.yaml_io import dump_yaml
from echelon.experiments.grid import load_grid
from echelon.experiments.jobs import Way
from echelon.experiments.locks import locked
from echelon.experiments.page import write_page
from echelon.experiments.run import run_grid
from echelon.experiments.tables import write_table
from echelon.experiments.whole_folder import remove_parts, whole_folder, write_file, write_json

CONFIG = """\
name: tiny
replications: 10
seeds: [1, 2]
problems:
  shop:
    id: echelon/LostSales-v0
    parameters: {lead_time: 1, periods: 40, warm_up: 10}
    policies:
      low: {baseline: base_stock, options: {levels: [12]}}
      high: {baseline: base_stock, options: {levels: [14]}}
"""


class Disk:
    """What the disk was asked to keep, and where things were moved from."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kept: set[tuple[int, int]] = set()
        self.moved: list[tuple[Path, Path, bool]] = []
        """From where, to where, and whether the content was on the disk by then."""
        fsync, replace = os.fsync, os.replace

        def spied_fsync(handle: int) -> None:
            fsync(handle)
            self.kept.add(identity(os.fstat(handle)))

        def spied_replace(source: Path, target: Path) -> None:
            self.moved.append((Path(source), Path(target), self.has(Path(source))))
            replace(source, target)

        monkeypatch.setattr(os, "fsync", spied_fsync)
        monkeypatch.setattr(os, "replace", spied_replace)

    def has(self, path: Path) -> bool:
        """Whether the disk was asked to keep a file or the names in a folder."""
        return identity(path.stat()) in self.kept


def identity(found: os.stat_result) -> tuple[int, int]:
    return found.st_dev, found.st_ino


def write_weights(path: Path) -> None:
    torch = pytest.importorskip("torch")
    checkpoint = pytest.importorskip("echelon.agents.checkpoint")
    checkpoint.write_checkpoint(path.parent, path.stem, tensors={"w": torch.ones(2)}, data={})


def write_folder(path: Path) -> None:
    with whole_folder(path) as place:
        (place / "file").write_text("text", encoding="utf-8")


WRITERS: dict[str, tuple[Callable[[Path], object], bool]] = {
    "a text": (lambda path: write_file(path, "text"), True),
    "plain data": (lambda path: write_json(path, {"a": 1}), True),
    "weights": (write_weights, True),
    "a config": (lambda path: dump_yaml({"a": 1}, path), False),
    "a page": (lambda path: write_page("text", path), False),
    "a table": (lambda path: write_table(path, "a,b\n"), False),
    "a folder": (write_folder, False),
}
"""How each is written, and whether the disk has it before it counts."""


@pytest.mark.parametrize("kind", WRITERS)
def test_what_is_written_comes_from_beside_its_place_where_a_move_is_one_step(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, lasts = WRITERS[kind]
    disk, target = Disk(monkeypatch), tmp_path / "file.json"
    write(target)
    assert disk.moved
    for source, place, was_kept in disk.moved:
        assert source.parent == place.parent == tmp_path
        assert source.name.startswith(".")
        assert was_kept or not lasts
    assert disk.has(tmp_path) or not lasts
    assert target.exists()
    assert not [*tmp_path.glob(".*")]


def test_all_files_of_a_run_that_has_ended_are_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "exp.yaml").write_text(CONFIG, encoding="utf-8")
    disk = Disk(monkeypatch)
    out = run_grid(load_grid(tmp_path / "exp.yaml"), out=tmp_path / "out", way=Way(report=False))
    files = [file for file in out.rglob("*") if file.is_file() and not file.name.startswith(".")]
    assert len([file for file in files if file.name == "cell.json"]) == 4
    assert [file for file in files if not disk.has(file)] == []
    assert all(disk.has(folder) for folder in (out, *out.glob("*/cells/*/*"), *out.glob("*/cells/*")))
    assert all(source.parent == place.parent for source, place, _ in disk.moved)
    assert all(kept for _, place, kept in disk.moved if place.name in ("manifest.json", "summary.csv", "grid.csv"))


def test_only_what_was_never_whole_is_removed(tmp_path: Path) -> None:
    for name in (".a.csv.0123abcd.part", ".a.yaml.0123abcd", ".b.html.89abcdef.part"):
        (tmp_path / name).write_text("half", encoding="utf-8")
    kept = {"a.csv", ".lock", ".gitignore", ".a.csv.part", "a.0123abcd.part", ".a.0123ABCD.part"}
    for name in kept:
        (tmp_path / name).write_text("whole", encoding="utf-8")
    (tmp_path / ".a.0123abcd").mkdir()
    remove_parts(tmp_path, "a.csv")
    assert {file.name for file in tmp_path.iterdir()} == {
        *kept,
        ".a.0123abcd",
        ".a.yaml.0123abcd",
        ".b.html.89abcdef.part",
    }
    remove_parts(tmp_path)
    assert {file.name for file in tmp_path.iterdir()} == {*kept, ".a.0123abcd"}
    remove_parts(tmp_path / "no folder")


def test_a_lock_that_is_taken_names_the_process_that_holds_it_now(tmp_path: Path) -> None:
    lock = tmp_path / ".lock"
    lock.write_text('{"pid": 1, "host": "one that has ended"}\n', encoding="utf-8")
    now = re.escape(f"process {os.getpid()} on {platform.node()} is at work on it; wait for it, or end it")
    with locked(lock) as holders:
        assert holders == 2
        with pytest.raises(ConfigError, match=now), locked(lock):
            pass
    with locked(lock) as holders:
        assert holders == 3
