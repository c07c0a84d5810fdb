"""Small run folders for the tests of the web pages, written by hand."""

from __future__ import annotations

import csv
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from echelon.experiments.run_folder import RESULTS, SUMMARY

PIXEL = bytes.fromhex(
    "89504e470d0a1a0a0000000d49484452000000010000000108060000001f15c4890000000d49444154789c6360606060000000050001a5f6"
    "45400000000049454e44ae426082"
)
"""A PNG of one pixel."""


def write_run(folder: Path, *, problem: str = "lost sales", policies: Sequence[str] = ("base stock", "PPO")) -> Path:
    """A run of one problem, whose first policy is the best, with a figure and a report."""
    rows = [_row(problem, name, rank) for rank, name in enumerate(policies)]
    folder.mkdir(parents=True)
    _write(folder / "summary.csv", SUMMARY, rows)
    costs = dict.fromkeys(RESULTS, "0") | {"holding": "4.5", "problem": problem}
    _write(folder / "results.csv", RESULTS, [costs | {"policy": name} for name in policies for _ in range(2)])
    described = {problem: {"title": "echelon/LostSales-v0", "periods": 100}}
    for name, content in (("problems", described), ("networks", {}), ("manifest", {})):
        (folder / f"{name}.json").write_text(json.dumps(content))
    (folder / "plots").mkdir()
    (folder / "plots" / "01-cost.png").write_bytes(PIXEL)
    (folder / "report.html").write_text("<!DOCTYPE html><title>The report</title><p>All of it.</p>")
    return folder


def _row(problem: str, policy: str, rank: int) -> dict[str, str]:
    verdict = "worse" if rank else "best"
    numbers = {"mean": f"{4.7 + rank}", "half_width": "0.01", "confidence": "0.95", "difference": f"{rank}"}
    return {"problem": problem, "policy": policy, "kind": "baseline", "parameters": "{}", "verdict": verdict, **numbers}


def _write(path: Path, columns: Sequence[str], rows: Sequence[Mapping[str, str]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as lines:
        writer = csv.DictWriter(lines, columns, restval="", extrasaction="ignore")
        writer.writeheader()
        writer.writerows(rows)
