"""Going on with a run, or a grid of runs, that was interrupted."""

from __future__ import annotations

import json
from pathlib import Path

from echelon.envs.errors import ConfigError
from echelon.experiments.cell_files import DamagedCell, discard_cell, read_cell
from echelon.experiments.config import load_config
from echelon.experiments.grid import Grid, Member, load_grid
from echelon.experiments.jobs import KEPT, MANIFEST, Job, Way
from echelon.experiments.locks import locked
from echelon.experiments.run import CONFIG, GRID, RUN_LOCK, carry_out, jobs_of
from echelon.experiments.whole_folder import remove_parts, require_no_links


def resume(folder: Path, *, way: Way | None = None) -> Path:
    """Bring an interrupted run to its end; the results are those of an uninterrupted one, bit for bit.

    Finished cells are kept if their checksums are right, and made again with a warning if not; a training goes on from
    its last save. What had failed is tried again. Raises `ConfigError` for a folder of no run, one that holds links,
    and one that another process works on.
    """
    chosen = way or Way()
    grid = grid_of(folder)
    require_no_links(folder)
    with locked(folder / RUN_LOCK):
        jobs = jobs_of(folder, grid)
        for place in {folder, *(job.folder for job in jobs)}:
            remove_parts(place)
            remove_parts(place / "networks")
        for job in jobs:
            _take_stock(job, chosen)
        carry_out(folder, grid, jobs, chosen)
    return folder


def grid_of(folder: Path) -> Grid:
    """What the runs in a folder are made from. Raises `ConfigError` if it is not the folder of a run or a grid."""
    if (folder / GRID).is_file():
        return load_grid(folder / GRID)
    if (folder / CONFIG).is_file():
        config = load_config(folder / CONFIG)
        return Grid(config.name, (Member("", {}, config),), {})
    raise ConfigError([f"{folder}: must be the folder of a run, with {CONFIG}, or of a grid, with {GRID}"])


def _take_stock(job: Job, way: Way) -> None:
    """Find out what is finished of a run; what is damaged is removed."""
    for name, cell in list(job.open.items()):
        try:
            if read_cell(job.folder, cell) is not None:
                del job.open[name]
        except DamagedCell as error:
            way.progress.say(f"{error}; the cell is made again")
            discard_cell(job.folder, cell)
    try:
        before = json.loads((job.folder / MANIFEST).read_bytes())
        job.first = {key: before[key] for key in KEPT}
        job.spent = float(before["seconds"])
        job.finished = not job.open and before["status"] == "finished"
    except (OSError, ValueError, LookupError, TypeError):
        job.finished = False
