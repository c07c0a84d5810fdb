"""What `echelon report` does: one run's folder is made again, several runs become one page."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from echelon.envs.errors import ConfigError
from echelon.experiments.grid_report import is_grid, write_grid_report


def report_command(folders: Sequence[Path], out: Path | None) -> None:
    """Remake one run and print its league table, or pool several. Raises `ConfigError` for folders of no run."""
    if missing := [folder for folder in folders if not folder.is_dir()]:
        raise ConfigError([f"{folder}: must be a run folder" for folder in missing])
    if len(folders) > 1 or is_grid(folders[0]):
        print(f"Report: {write_grid_report(folders, out or folders[0] / 'report.html')}")
        return
    if out is not None:
        raise ConfigError([f"--out: the report of one run goes into its folder, {folders[0]}"])
    from echelon.experiments.console import print_league
    from echelon.experiments.report import remake

    path = remake(folders[0])
    print_league(folders[0])
    print(f"\nReport: {path}")
