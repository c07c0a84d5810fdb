"""Which run folders the web pages show, and which of their files may leave them.

A page is served from the folders that were named when it was started, and from nothing else: files are looked up in
a list made from the folder itself, never by putting a requested name behind a path, and a link that leads out of its
folder counts as absent.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from echelon.envs.errors import ConfigError
from echelon.experiments.run_folder import Run, read_run

SUMMARY, REPORT, PLOTS = "summary.csv", "report.html", "plots"
PICTURES = {".png": "image/png", ".svg": "image/svg+xml"}
"""The formats of figures; of a figure that is there in both the last is shown."""


BROKEN = (OSError, ValueError, LookupError, TypeError, AttributeError, csv.Error)
"""What files of the wrong form make the code raise that reads them."""


@dataclass(frozen=True)
class RunPlace:
    """A run folder that may be shown."""

    key: str
    """Its name in addresses."""
    folder: Path
    """Without links."""

    @property
    def name(self) -> str:
        """The folder's own name."""
        return self.folder.name

    def read(self) -> Run:
        """The run as data. Raises `ConfigError` if it cannot be read, or would be read from somewhere else."""
        for path in sorted(self.folder.iterdir()):
            if path.is_symlink() and not self._owns(path):
                raise ConfigError([f"{path.name} in {self.name} is a link that leads out of the run folder"])
        try:
            return read_run(self.folder)
        except BROKEN as error:
            if isinstance(error, ConfigError):
                raise
            raise ConfigError([f"{self.name} cannot be read as a run: {type(error).__name__}"]) from error

    def report(self) -> Path | None:
        """The report, if there is one."""
        path = self.folder / REPORT
        return path if self._owns(path) else None

    def pictures(self) -> dict[str, Path]:
        """The figures by their file names, each in one format."""
        place = self.folder / PLOTS
        if not place.is_dir() or not place.resolve().is_relative_to(self.folder):
            return {}
        found = (path for path in sorted(place.iterdir()) if path.suffix.lower() in PICTURES)
        chosen = {path.stem: path for path in found if self._owns(path)}
        return {path.name: path for path in chosen.values()}

    def _owns(self, path: Path) -> bool:
        real = path.resolve()
        return real.is_file() and real.is_relative_to(self.folder)


def find_runs(named: Sequence[Path]) -> dict[str, RunPlace]:
    """The run folders among those named and right below them, by key. Raises `ConfigError` for a folder without any."""
    folders: list[Path] = []
    for given in named:
        if not given.is_dir():
            raise ConfigError([f"a run folder must exist (got {str(given)!r})"])
        place = given.resolve()
        below = (path for path in sorted(place.iterdir()) if path.is_dir() and not path.is_symlink())
        found = [path for path in (place, *below) if (path / SUMMARY).is_file()]
        if not found:
            raise ConfigError([f"{given} must be a finished run folder, or hold some (got no {SUMMARY} in it)"])
        folders += found
    places = (RunPlace(_key(rank, folder), folder) for rank, folder in enumerate(dict.fromkeys(folders), start=1))
    return {place.key: place for place in places}


def _key(rank: int, folder: Path) -> str:
    return f"{rank}-{re.sub(r'[^A-Za-z0-9_]+', '-', folder.name).strip('-')[:60]}"
