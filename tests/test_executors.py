"""Executors: the same bits wherever cells are made; a worker that dies costs nothing but a retry of its own cell."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from echelon.envs.errors import ConfigError, MissingExtraError
from echelon.experiments.executors import ONE_THREAD, ExecutorName, open_executor
from echelon.experiments.grid import load_grid
from echelon.experiments.jobs import Way
from echelon.experiments.progress import Progress
from echelon.experiments.run import run_grid

from .forked_commands import results_of

CELLS = """\
name: grid
replications: 10
seeds: [1, 2, 3]
problems:
  shop:
    id: echelon/LostSales-v0
    parameters: {lead_time: 1, stockout_cost: 9, periods: 60, warm_up: 10}
    policies:
      low: {baseline: base_stock, options: {levels: [12]}}
      tuned: {baseline: base_stock}
      slow: {baseline: base_stock, options: {levels: [14]}}
      controlled:
        agent: controlled
        steps: 20
        settings: {generations: 2, rollouts: 100, validation_replications: 50, epochs: 4}
"""
SERIAL = """\
name: cells
replications: 30
problems:
  two stages:
    id: echelon/Serial-v0
    parameters: {holding_cost: [1, 2], lead_time: 1, periods: 40, warm_up: 10}
    policies:
      low: {baseline: base_stock, options: {levels: [12, 12]}}
      high: {baseline: base_stock, options: {levels: [14, 14]}}
      tuned: {baseline: echelon_base_stock}
"""


class Heard(Progress):
    """Keeps what a run says."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, message: str) -> None:
        self.said.append(message)


def grid_of(folder: Path, text: str) -> Any:
    (folder / "grid.yaml").write_text(text, encoding="utf-8")
    return load_grid(folder / "grid.yaml")


def all_results(folder: Path) -> Mapping[str, Any]:
    """The results of all runs of a grid, or of one run."""
    runs = [file.parent for file in folder.glob("**/config.yaml")]
    return {str(run.relative_to(folder)): results_of(run) for run in runs}


@pytest.fixture(scope="module")
def here(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Grids that were made in this process."""
    place = tmp_path_factory.mktemp("here")
    for name, text in (("grid", CELLS), ("cells", SERIAL)):
        run_grid(grid_of(place, text), out=place / name, way=Way(report=False))
    return place


def kill_the_worker_of(folder: Path, cell: str, stop: threading.Event) -> None:
    """Kill the first process that begins a cell; it stands in the lock of the cell."""
    while not stop.is_set():
        for lock in folder.glob(f"*/unfinished/{cell}/lock"):
            try:
                process = int(json.loads(lock.read_bytes().splitlines()[-1])["pid"])
            except (OSError, ValueError, IndexError):
                continue
            assert process != os.getpid()
            os.kill(process, signal.SIGKILL)
            return
        time.sleep(0.001)


@pytest.mark.parametrize(("executor", "workers"), [("local", 4), ("ray", 2), ("dask", 2)])
def test_of_twelve_cells_the_one_whose_worker_is_killed_is_tried_again_and_all_have_the_same_bits(
    executor: ExecutorName, workers: int, here: Path, tmp_path: Path
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip({"ray": "ray", "dask": "distributed"}.get(executor, "joblib"))
    heard, out, stop = Heard(), tmp_path / "out", threading.Event()
    killer = threading.Thread(target=kill_the_worker_of, args=(out, "shop/controlled", stop))
    killer.start()
    try:
        run_grid(grid_of(tmp_path, CELLS), out=out, way=Way(heard, workers, executor, report=False))
    finally:
        stop.set()
        killer.join()
    assert all_results(out) == all_results(here / "grid")
    made = [json.loads(file.read_bytes()) for file in out.glob("*/cells/shop/*/cell.json")]
    assert len(made) == 12
    assert sorted(cell["attempts"] for cell in made) == [1] * 11 + [2]
    assert [cell["policy"] for cell in made if cell["attempts"] == 2] == ["controlled"]
    (said,) = heard.said
    assert "shop / controlled: its process ended: " in said
    assert said.endswith("; it is tried again")
    status = [line.rsplit(",", 1)[1] for line in (out / "grid.csv").read_text(encoding="utf-8").splitlines()]
    assert status == ["status", "finished", "finished", "finished"]


@pytest.mark.parametrize(("executor", "workers", "options"), [("local", 2, {}), ("slurm", 3, {"cluster": "local"})])
def test_cells_have_the_same_bits_wherever_they_are_made(
    executor: ExecutorName, workers: int, options: Mapping[str, Any], here: Path, tmp_path: Path
) -> None:
    pytest.importorskip({"slurm": "submitit"}.get(executor, "joblib"))
    heard = Heard()
    way = Way(heard, workers, executor, options, report=False)
    run_grid(grid_of(tmp_path, SERIAL), out=tmp_path / "out", way=way)
    assert all_results(tmp_path / "out") == all_results(here / "cells")
    assert heard.said == []
    assert not (tmp_path / "out" / "jobs").exists()


def test_workers_have_one_thread_and_leave_ctrl_c_to_the_main_process(tmp_path: Path) -> None:
    with open_executor("local", workers=2, folder=tmp_path) as executor:
        for name in ONE_THREAD:
            assert executor.submit(os.getenv, name).result() == "1"
        assert executor.submit(signal.getsignal, signal.SIGINT).result() == signal.SIG_IGN


def test_workers_end_with_the_process_that_started_them(tmp_path: Path) -> None:
    """A process with two workers is killed; a second later they are gone."""
    code = (
        "import os, signal, time\n"
        "from pathlib import Path\n"
        "from echelon.experiments.executors import open_executor\n"
        "with open_executor('local', workers=2, folder=Path()) as executor:\n"
        "    found = [executor.submit(os.getpid).result() for _ in range(2)]\n"
        "    [executor.submit(time.sleep, 60) for _ in range(2)]\n"
        "    Path('workers').write_text(' '.join(map(str, found)))\n"
        "    os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", code], capture_output=True, check=False, cwd=tmp_path)
    workers = [int(word) for word in (tmp_path / "workers").read_text(encoding="utf-8").split()]
    assert workers
    deadline = time.monotonic() + 10
    while any(is_alive(worker) for worker in workers) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(is_alive(worker) for worker in workers)


def is_alive(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


@pytest.mark.parametrize(("module", "executor"), [("ray", "ray"), ("distributed", "dask"), ("submitit", "slurm")])
def test_an_engine_that_is_not_installed_is_told_with_the_command_that_installs_it(
    module: str, executor: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    words = rf"the executor '{executor}' needs an extra that is not installed: pip install 'echelon\[{executor}\]'"
    with pytest.raises(MissingExtraError, match=words), open_executor(executor, workers=2, folder=tmp_path):
        pass


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("slrum", {}, r"executor must be one of local, ray, dask, slurm \(got 'slrum'\)"),
        ("local", {"address": "x"}, "executor local has no option address"),
        ("dask", {"partition": "cpu"}, "executor dask has no option partition"),
    ],
)
def test_what_an_executor_cannot_be_is_refused(
    name: str, options: Mapping[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(ConfigError, match=message), open_executor(name, workers=2, folder=tmp_path, options=options):
        pass
