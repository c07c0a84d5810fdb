"""The report of a run, the page of several and the explorer tell what failed and what was left out, and why."""

from __future__ import annotations

import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from echelon.envs.errors import ConfigError
from echelon.experiments.config import load_config
from echelon.experiments.grid_report import write_grid_report
from echelon.experiments.missing import OPEN, Missing, failed_in, left_out_in, missing_parts
from echelon.experiments.pool import read_pool
from echelon.experiments.report import render
from echelon.experiments.run import run_experiment
from echelon.experiments.run_folder import read_run
from echelon.experiments.web_folders import find_runs

from .web_runs import write_run

EVIL = "<img src=x onerror='alert(1)'>&"
CONFIG: dict[str, Any] = {
    "name": "x",
    "problems": {
        "lost sales": {
            "id": "echelon/LostSales-v0",
            "parameters": {},
            "policies": {"base stock": {"baseline": "base_stock"}, "PPO": {"agent": "ppo"}},
            "left_out": {"eoq": "eoq needs backorders at every outlet"},
        }
    },
}


class Items(HTMLParser):
    """The elements of a page, and the text of its list items."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.items: list[str] = []
        self.text = ""
        self.inside = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag == "li":
            self.items.append("")
            self.inside = True

    def handle_endtag(self, tag: str) -> None:
        self.inside &= tag != "li"

    def handle_data(self, data: str) -> None:
        self.text += data
        if self.inside:
            self.items[-1] += data


def lacking(
    folder: Path, *, failed: dict[str, str], left_out: dict[str, str], seed: int = 0, config: dict[str, Any] = CONFIG
) -> Path:
    run = write_run(folder)
    (run / "manifest.json").write_text(json.dumps({"seed": seed, "failed": failed, "left_out": left_out}))
    (run / "config.yaml").write_text(json.dumps(config))
    return run


def test_reasons_are_one_line_and_come_from_the_manifest_and_the_config() -> None:
    manifest = {"failed": {"a / b": "ValueError: first\nsecond"}, "left_out": {"a / c": "c needs\nmuch"}}
    assert failed_in(manifest) == (Missing("a / b", "ValueError: first"),)
    config = json.dumps(CONFIG)
    assert left_out_in(manifest, config) == (
        Missing("lost sales / eoq", "eoq needs backorders at every outlet"),
        Missing("a / c", "c needs"),
    )
    assert failed_in({}) == left_out_in({}, "") == left_out_in({}, "name: x\n") == ()
    with pytest.raises(ConfigError, match=r"config\.yaml:1"):
        left_out_in({}, "left_out: [")


def test_nothing_is_said_where_nothing_is_missing(tmp_path: Path) -> None:
    assert missing_parts((), (), "the run") == ""
    plain = write_run(tmp_path / "plain")
    text = Items(render(read_run(plain))).text
    assert "without a result" not in text
    assert "left out" not in text


def test_the_report_of_a_run_names_each_with_its_reason_as_text(tmp_path: Path) -> None:
    failed = {"lost sales / PPO 2": f"RuntimeError: {EVIL}\nTraceback of many lines"}
    run = lacking(tmp_path / "run", failed=failed, left_out={f"lost sales / {EVIL}": EVIL})
    text = render(read_run(run))
    page = Items(text)
    assert "1 part of the run without a result:" in page.text
    assert "2 policies are left out of problems that their methods do not apply to" in page.text
    for told in (
        f"lost sales / PPO 2: RuntimeError: {EVIL}",
        "lost sales / eoq: eoq needs backorders at every outlet",
        f"lost sales / {EVIL}: {EVIL}",
    ):
        assert told in page.items
    assert "img" not in page.tags
    assert "Traceback" not in page.text
    assert EVIL not in text


def test_a_long_list_of_what_is_left_out_is_folded() -> None:
    some = tuple(Missing(f"a / {k}", "why") for k in range(OPEN + 1))
    assert '<details class="left-out" open>' in missing_parts((), some[:-1], "the run")
    assert '<details class="left-out">' in missing_parts((), some, "the run")


def test_the_page_of_several_runs_tells_once_what_is_left_out_of_all_and_in_how_many_else(tmp_path: Path) -> None:
    folders = [
        lacking(tmp_path / f"{seed}", failed=failed, left_out=left_out, seed=seed)
        for seed, failed, left_out in (
            (1, {"lost sales / PPO": EVIL}, {}),
            (2, {}, {"lost sales / metric": f"metric needs {EVIL}"}),
        )
    ]
    pool = read_pool(folders)
    assert pool.failed == (Missing("1: lost sales / PPO", EVIL),)
    assert pool.left_out == (
        Missing("lost sales / eoq", "eoq needs backorders at every outlet"),
        Missing("lost sales / metric (1 of 2 runs)", f"metric needs {EVIL}"),
    )
    text = write_grid_report(folders, tmp_path / "all.html").read_text(encoding="utf-8")
    page = Items(text)
    for told in (*pool.failed, *pool.left_out):
        assert f"{told.place}: {told.reason}" in page.items
    assert EVIL not in text


def test_a_run_of_its_own_tells_in_its_report_what_did_not_apply(tmp_path: Path) -> None:
    config = tmp_path / "shop.yaml"
    config.write_text(
        "name: shop\nreplications: 20\nproblems:\n  shop:\n    id: echelon/LostSales-v0\n"
        "    parameters: {lead_time: 1, periods: 40, warm_up: 10}\n    policies:\n"
        "      low: {baseline: base_stock, options: {levels: [8]}}\n"
        "      eoq: {baseline: eoq, where_it_applies: true}\n"
    )
    run = run_experiment(load_config(config), out=tmp_path / "run")
    items = Items((run / "report.html").read_text(encoding="utf-8")).items
    assert "shop / eoq: eoq needs backorders at every outlet" in items


def test_a_manifest_of_the_wrong_form_is_an_error_of_the_explorer(tmp_path: Path) -> None:
    run = lacking(tmp_path / "runs" / "one", failed=["no mapping"], left_out={})  # type: ignore[arg-type]
    with pytest.raises(ConfigError, match="one cannot be read as a run: AttributeError"):
        next(iter(find_runs([run]).values())).read()
