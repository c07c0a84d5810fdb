"""Only files of the folders that were named leave them, whatever is asked for and whatever lies in them."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from echelon.envs.errors import ConfigError
from echelon.experiments.web import is_loopback
from echelon.experiments.web_folders import RunPlace, find_runs

from .web_runs import PIXEL, write_run

SECRET = "the secret of another folder"


@pytest.fixture
def place(tmp_path: Path) -> RunPlace:
    return next(iter(find_runs([write_run(tmp_path / "runs" / "one")]).values()))


def test_a_run_is_found_by_its_folder_and_by_the_folder_around_it(tmp_path: Path) -> None:
    one, two = (write_run(tmp_path / "runs" / name) for name in ("one", "two"))
    assert [place.folder for place in find_runs([tmp_path / "runs"]).values()] == [one.resolve(), two.resolve()]
    assert list(find_runs([two, one, two])) == ["1-two", "2-one"]


def test_a_folder_without_runs_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="must be a finished run folder, or hold some"):
        find_runs([tmp_path])
    with pytest.raises(ConfigError, match="a run folder must exist"):
        find_runs([tmp_path / "absent"])


def test_the_files_of_a_run_are_its_report_and_its_figures(place: RunPlace) -> None:
    assert place.report() == place.folder / "report.html"
    assert place.pictures() == {"01-cost.png": place.folder / "plots" / "01-cost.png"}
    assert [result.name for result in place.read().results] == ["lost sales"]


def test_of_a_figure_in_two_formats_one_is_shown(place: RunPlace) -> None:
    (place.folder / "plots" / "01-cost.svg").write_text("<svg/>")
    (place.folder / "plots" / "01-cost.pdf").write_text("%PDF")
    (place.folder / "plots" / "notes.txt").write_text(SECRET)
    assert list(place.pictures()) == ["01-cost.svg"]


def test_links_that_lead_out_of_a_run_count_as_absent(place: RunPlace, tmp_path: Path) -> None:
    outside = tmp_path / "secret.png"
    outside.write_bytes(PIXEL)
    (place.folder / "report.html").unlink()
    (place.folder / "report.html").symlink_to(outside)
    (place.folder / "plots" / "02-stolen.png").symlink_to(outside)
    (place.folder / "plots" / "03-own.png").symlink_to(place.folder / "plots" / "01-cost.png")
    assert place.report() is None
    assert list(place.pictures()) == ["01-cost.png", "03-own.png"]


def test_a_folder_of_figures_that_is_a_link_is_not_followed(place: RunPlace, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "stolen.png").write_bytes(PIXEL)
    for path in (place.folder / "plots").iterdir():
        path.unlink()
    (place.folder / "plots").rmdir()
    (place.folder / "plots").symlink_to(tmp_path / "elsewhere")
    assert place.pictures() == {}


@pytest.mark.parametrize("name", ["summary.csv", "results.csv", "problems.json", "manifest.json"])
def test_a_run_whose_data_lie_elsewhere_is_not_read(place: RunPlace, tmp_path: Path, name: str) -> None:
    os.replace(place.folder / name, tmp_path / name)
    (place.folder / name).symlink_to(tmp_path / name)
    with pytest.raises(ConfigError, match=f"^{name} in one is a link that leads out of the run folder$"):
        place.read()


def test_a_link_among_the_runs_is_no_run(tmp_path: Path) -> None:
    write_run(tmp_path / "runs" / "one")
    (tmp_path / "runs" / "linked").symlink_to(write_run(tmp_path / "private"))
    assert list(find_runs([tmp_path / "runs"])) == ["1-one"]


@pytest.mark.parametrize(
    ("name", "content"),
    [("problems.json", "[1"), ("problems.json", "[]"), ("results.csv", "problem,policy\n"), ("summary.csv", "\xff")],
)
def test_a_broken_run_is_an_error_with_its_name_and_no_content(place: RunPlace, name: str, content: str) -> None:
    (place.folder / name).write_bytes(content.encode("latin-1"))
    with pytest.raises(ConfigError) as caught:
        place.read()
    assert "one" in str(caught.value)


@pytest.mark.parametrize(
    ("host", "local"),
    [
        ("127.0.0.1", True),
        ("localhost", True),
        ("::1", True),
        ("127.8.8.8", True),
        ("0.0.0.0", False),
        ("::", False),
        ("192.168.1.7", False),
    ],
)
def test_what_is_this_machine_alone(host: str, local: bool) -> None:
    assert is_loopback(host) is local


def test_a_name_that_is_no_address_is_refused() -> None:
    with pytest.raises(ConfigError, match="--host: must be an IP address or localhost"):
        is_loopback("example.org")


def test_without_the_extra_there_is_one_message_with_the_command_to_install_it(tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['nicegui'] = None; sys.argv = ['echelon', 'web']; "
        "from echelon.experiments.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "echelon web needs the extra 'web' (nicegui is not installed): pip install 'echelon[web]' -c constraints.txt\n"
    )
