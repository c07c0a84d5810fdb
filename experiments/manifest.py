"""How a run was made: versions, machine, command and time, and what has become of its cells."""

from __future__ import annotations

import os
import platform
import sys
from datetime import UTC, datetime
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

from echelon.experiments.config import Config

PACKAGES = ("numpy", "scipy", "numba", "gymnasium", "pandas", "torch", "stable-baselines3")
CAUSES = ("echelon", *PACKAGES, "python", "platform", "cpu", "processor", "threads")
"""What may change the last bits of a result."""


def manifest(config: Config, *, workers: int, executor: str) -> dict[str, Any]:
    """The manifest of a run that begins now."""
    return {
        **_machine(),
        "threads": os.environ.get("OMP_NUM_THREADS", "as many as cores"),
        "executor": executor,
        "workers": workers,
        "seed": config.seed,
        "replications": config.replications,
        "confidence": config.confidence,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": ["echelon", *sys.argv[1:]],
        "seconds": 0.0,
        "status": "open",
        "failed": {},
        "left_out": {},
    }


@cache
def _machine() -> dict[str, Any]:
    """What stays as it is while the process lasts: versions and processor."""
    versions = {}
    for package in ("echelon", *PACKAGES):
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        **versions,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "cpu": platform.machine(),
        "processor": _processor(),
        "cores": os.cpu_count(),
    }


def _processor() -> str:
    """The name of the processor, where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor()
