"""The command line: what it prints, how it ends, and what it says when something cannot be done."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

import echelon
from echelon.baselines import BASELINES
from echelon.envs.catalogue import PROBLEMS, make_problem
from echelon.envs.network import Network
from echelon.envs.scenarios import sample
from echelon.envs.simulate import simulate
from echelon.experiments.cli import main

ROOT = Path(__file__).parents[1]
HISTORY = str(ROOT / "configs" / "history_example.csv")
WILLEMS = ROOT.parent / "shared" / "reference" / "willems2008"
LOST_SALES = "echelon/LostSales-v0"


class Ended(NamedTuple):
    """How a command ended: its exit code and what it printed."""

    code: int
    out: str
    err: str


Command = Callable[..., Ended]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command line in an empty folder."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["echelon", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        printed = capsys.readouterr()
        return Ended(int(caught.value.code or 0), printed.out, printed.err)

    return run


def evaluate(command: Command, *arguments: str) -> dict[str, object]:
    ended = command("evaluate", *arguments, "--json")
    assert (ended.code, ended.err) == (0, "")
    record: dict[str, object] = json.loads(ended.out)
    return record


def test_evaluate_measures_the_best_base_stock_policy_of_zipkin(command: Command) -> None:
    """Lead time 4, stockout cost 4: the best level is 25, at a cost of 5.198; the optimum is 4.7285."""
    ended = command(
        *("evaluate", LOST_SALES, "--set", "lead_time=4", "--set", "stockout_cost=4", "--policy", "base_stock"),
        "--json",
    )
    assert (ended.code, ended.err, ended.out.count("\n")) == (0, "", 1)
    record = json.loads(ended.out)
    assert [*record] == [
        *("problem", "policy", "parameters", "kind", "model_cost", "mean", "half_width", "confidence"),
        *("reference", "reference_kind", "gap_percent"),
    ]
    assert (record["problem"], record["policy"]) == (LOST_SALES, "base_stock")
    assert record["parameters"]["levels"] == [25.0]
    assert record["mean"] == pytest.approx(5.198, rel=0.005)
    assert 0 < record["half_width"] < 0.02
    assert (record["confidence"], record["reference"], record["reference_kind"]) == (0.95, 4.72853, "optimal")
    assert record["gap_percent"] == pytest.approx(100 * (record["mean"] / 4.72853 - 1))


def test_evaluate_prints_a_line_per_figure(command: Command) -> None:
    ended = command("evaluate", LOST_SALES, "--policy", "base_stock", "--option", "levels=[25]", "--replications", "20")
    lines = dict(line.split(maxsplit=1) for line in ended.out.splitlines())
    assert (ended.code, lines["problem"], lines["policy"]) == (0, LOST_SALES, "base_stock")
    assert float(lines["mean"]) == pytest.approx(5.2, rel=0.1)


def test_evaluate_depends_on_its_seed_alone(command: Command) -> None:
    arguments = (LOST_SALES, "--policy", "base_stock", "--option", "levels=[25]", "--replications", "20", "--seed")
    first, again, other = (evaluate(command, *arguments, seed) for seed in ("3", "3", "4"))
    assert first == again
    assert first["mean"] != other["mean"]


def test_evaluate_finds_the_optimum_of_a_serial_system_by_itself(command: Command) -> None:
    record = evaluate(
        command,
        *("echelon/Serial-v0", "--set", "holding_cost=[1, 2]", "--set", "lead_time=1", "--set", "periods=300"),
        *("--policy", "clark_scarf", "--replications", "400"),
    )
    gap, mean, half_width = (float(str(record[key])) for key in ("gap_percent", "mean", "half_width"))
    assert record["reference_kind"] == "optimal"
    assert abs(gap) < 100 * 3 * half_width / mean


def test_evaluate_measures_the_gap_to_a_proven_bound_where_no_optimum_is_known(command: Command) -> None:
    record = evaluate(
        command,
        *("echelon/OneWarehouse-v0", "--set", "periods=120", "--replications", "20"),
        *("--policy", "base_stock", "--option", "levels=[40, 12, 12, 12]"),
    )
    bound = json.loads(command("bound", "echelon/OneWarehouse-v0", "--set", "periods=120", "--json").out)
    assert (record["reference"], record["reference_kind"]) == (bound["lower_bound"], "lower_bound")
    assert record["gap_percent"] == pytest.approx(100 * (record["mean"] / bound["lower_bound"] - 1))
    assert float(str(record["gap_percent"])) > 0


def test_bound_tells_the_bound_and_its_kind_in_words(command: Command) -> None:
    ended = command("bound", "echelon/OneWarehouse-v0")
    assert (ended.code, ended.err) == (0, "")
    assert re.search(r"^lower_bound +15\.581$", ended.out, re.MULTILINE)
    assert re.search(r"^kind +clark_scarf_relaxation$", ended.out, re.MULTILINE)


BROKEN: dict[str, tuple[tuple[str, ...], str]] = {
    "a misspelt baseline": (
        (LOST_SALES, "--policy", "base_stok"),
        "--policy: must be a baseline or the folder of a trained policy (got 'base_stok'); did you mean 'base_stock'?",
    ),
    "a misspelt problem": (
        ("echelon/LostSale-v0", "--policy", "base_stock"),
        "unknown problem 'echelon/LostSale-v0'; did you mean 'echelon/LostSales-v0'?",
    ),
    "a misspelt parameter": (
        (LOST_SALES, "--policy", "base_stock", "--set", "leadtime=3"),
        "echelon/LostSales-v0: leadtime: unknown key; did you mean 'lead_time'?",
    ),
    "a negative lead time": (
        (LOST_SALES, "--policy", "base_stock", "--set", "lead_time=-3"),
        "links.0.lead_time: must be at least 0 (got -3)",
    ),
    "words for a lead time": (
        (LOST_SALES, "--policy", "base_stock", "--set", "lead_time=long"),
        "echelon/LostSales-v0: lead_time: must be a whole number (got 'long')",
    ),
    "a parameter without a value": (
        (LOST_SALES, "--policy", "base_stock", "--set", "lead_time"),
        "--set lead_time: must have the form key.sub_key=value",
    ),
    "a misspelt demand law": (
        (LOST_SALES, "--policy", "base_stock", "--set", "demand=poison"),
        "unknown demand law 'poison'; did you mean 'poisson'?",
    ),
    "a baseline that does not apply": (
        (LOST_SALES, "--policy", "clark_scarf"),
        "clark_scarf needs backorders at every outlet",
    ),
    "levels for another network": (
        (LOST_SALES, "--policy", "base_stock", "--option", "levels=[25, 25]"),
        "up_to must be 1 numbers, one per link (got [25, 25])",
    ),
    "a network file that is not there": (
        ("echelon/Network-v0", "--policy", "base_stock", "--set", "path=none.yaml"),
        "none.yaml: there is no such file",
    ),
}


@pytest.mark.parametrize("defect", BROKEN)
def test_what_cannot_be_evaluated_ends_with_2_and_a_plain_message(defect: str, command: Command) -> None:
    arguments, message = BROKEN[defect]
    assert command("evaluate", *arguments) == Ended(2, "", message + "\n")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--policy", "base_stock", "--option", "level=[25]"), ["level", "did you mean 'levels'?"]),
        (("--policy", "base_stock", "--option", "levels=[x]"), ["levels", "'x'"]),
        (("--policy", "base_stock", "--set", "periods=1100.5"), ["periods", "whole number", "1100.5"]),
        (("--policy", "base_stock", "--set", "periods=x"), ["periods", "whole number", "'x'"]),
        (("--policy", "base_stock", "--set", "demand=3"), ["demand", "must be", "3"]),
    ],
)
def test_what_is_of_the_wrong_kind_ends_with_2_and_a_plain_message(
    arguments: tuple[str, ...], words: list[str], command: Command
) -> None:
    ended = command("evaluate", LOST_SALES, *arguments, "--replications", "4")
    assert (ended.code, ended.out) == (2, "")
    assert all(word in ended.err for word in words), ended.err


@pytest.mark.parametrize("arguments", [("--replications", "1"), ("--seed", "-1")])
def test_options_out_of_bounds_are_refused(arguments: tuple[str, ...], command: Command) -> None:
    ended = command("evaluate", LOST_SALES, "--policy", "base_stock", *arguments)
    assert ended.code == 2
    assert arguments[0] in ended.err


TINY = (LOST_SALES, "--set", "lead_time=1", "--set", "periods=120", "--set", "warm_up=20", "--replications", "20")


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a policy that was trained, if barely, on the problem `TINY`."""
    pytest.importorskip("stable_baselines3")
    from echelon.agents import train_sb3

    problem = make_problem(LOST_SALES, lead_time=1, periods=120, warm_up=20)
    settings = {"n_steps": 8, "batch_size": 32, "n_epochs": 1}
    training = train_sb3(problem, steps=64, copies=4, settings=settings, evaluations=1, validation_replications=4)
    folder = tmp_path_factory.mktemp("learned") / "trained"
    training.policy.save(folder)
    return folder


def test_a_trained_policy_is_evaluated_from_its_folder(command: Command, trained: Path) -> None:
    from echelon.agents import LearnedPolicy

    record = evaluate(command, *TINY, "--policy", str(trained), "--seed", "5")
    problem = make_problem(LOST_SALES, lead_time=1, periods=120, warm_up=20)
    scenarios = sample(problem.network, periods=120, replications=20, seed=5)
    assert record["mean"] == simulate(problem, LearnedPolicy.load(trained), scenarios).cost.mean()
    assert (record["policy"], record["parameters"]) == (str(trained), {"algorithm": "ppo"})


def test_a_trained_policy_fits_only_its_network(command: Command, trained: Path) -> None:
    message = f"--policy: {trained} was trained on another network than {LOST_SALES} with these parameters\n"
    assert command("evaluate", *TINY, "--set", "lead_time=2", "--policy", str(trained)) == Ended(2, "", message)


def test_a_trained_policy_takes_no_options(command: Command, trained: Path) -> None:
    ended = command("evaluate", *TINY, "--policy", str(trained), "--option", "levels=[3]")
    assert (ended.code, ended.out) == (2, "")
    assert "--option" in ended.err


def test_a_folder_without_a_trained_policy_is_named(command: Command, tmp_path: Path) -> None:
    pytest.importorskip("stable_baselines3")
    (tmp_path / "empty").mkdir()
    ended = command("evaluate", LOST_SALES, "--policy", "empty")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == "empty/policy.json: there is no such file\n"


def test_a_history_becomes_a_network_that_can_be_evaluated(command: Command) -> None:
    ended = command("import", "history", HISTORY, "--out", "shop.yaml")
    assert ended == Ended(0, "shop.yaml: 3 nodes, 3 links, 3 outlets\n", "")
    record = evaluate(
        command,
        *("echelon/Network-v0", "--set", "path=shop.yaml", "--set", "periods=150", "--set", "warm_up=50"),
        *("--policy", "base_stock", "--replications", "20"),
    )
    levels = record["parameters"]["levels"]  # type: ignore[index]
    means = [law.mean_demand for law in Network.from_yaml("shop.yaml").laws]
    # Lead time 2: a level covers three periods of demand, and the dear stockouts ask for more.
    assert all(3 * mean < level < 6 * mean for level, mean in zip(levels, means, strict=True))


def test_a_history_may_be_supplied_from_a_warehouse(command: Command) -> None:
    ended = command(
        *("import", "history", HISTORY, "--out", "m.yaml", "--period", "M", "--method", "bootstrap"),
        *("--warehouse-lead-time", "1", "--lead-time", "0", "--stockout-rule", "backorder", "--stockout-cost", "5"),
    )
    assert ended == Ended(0, "m.yaml: 4 nodes, 4 links, 3 outlets\n", "")
    network = Network.from_yaml("m.yaml")
    assert [link.lead_time for link in network.links] == [1, 0, 0, 0]
    assert {(node.stockout_rule, node.stockout_cost) for node in network.outlets} == {("backorder", 5.0)}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--period", "Q"), "--period: must be one of D, W, M (got 'Q')"),
        (("--method", "kde"), "--method: must be one of empirical, bootstrap (got 'kde')"),
        (("--stockout-rule", "lost"), "--stockout-rule: must be one of lost_sales, backorder (got 'lost')"),
        (("--out", "there.yaml"), "there.yaml: the file exists already; choose another one with --out"),
    ],
)
def test_an_import_that_cannot_be_done_writes_nothing(
    arguments: tuple[str, ...], message: str, command: Command, tmp_path: Path
) -> None:
    (tmp_path / "there.yaml").write_text("mine", encoding="utf-8")
    assert command("import", "history", HISTORY, *arguments) == Ended(2, "", message + "\n")
    assert [(file.name, file.read_text(encoding="utf-8")) for file in tmp_path.iterdir()] == [("there.yaml", "mine")]


def test_an_import_into_a_folder_that_is_not_there_is_an_error_in_plain_words(command: Command) -> None:
    ended = command("import", "history", HISTORY, "--out", "nowhere/shop.yaml")
    assert (ended.code, ended.out) == (2, "")
    assert "nowhere" in ended.err


def test_a_history_that_is_not_there_is_named(command: Command) -> None:
    ended = command("import", "history", "none.csv")
    assert ended == Ended(2, "", "none.csv: the history cannot be read: No such file or directory\n")


@pytest.mark.skipif(not WILLEMS.exists(), reason="the data set of Willems (2008) is not here")
def test_a_real_supply_chain_can_be_imported_and_evaluated(command: Command) -> None:
    ended = command("import", "willems", str(WILLEMS), "--chain", "1")
    assert ended == Ended(0, "willems_1.yaml: 8 nodes, 13 links, 3 outlets\n", "")
    record = evaluate(
        command,
        *("echelon/Network-v0", "--set", "path=willems_1.yaml", "--set", "periods=12", "--set", "warm_up=8"),
        *("--policy", "base_stock", "--replications", "4"),
    )
    assert len(record["parameters"]["levels"]) == 13  # type: ignore[index]
    assert 100 < float(str(record["mean"])) < 200
    again = command("import", "willems", str(WILLEMS), "--chain", "1")
    assert again == Ended(2, "", "willems_1.yaml: the file exists already; choose another one with --out\n")


def test_a_chain_that_is_not_there_is_named(command: Command, tmp_path: Path) -> None:
    assert command("import", "willems", str(tmp_path), "--chain", "39") == Ended(
        2, "", "chain must be a whole number from 1 to 38 (got 39)\n"
    )
    ended = command("import", "willems", str(tmp_path), "--chain", "1")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err.startswith(f"{tmp_path / 'stages.csv'}: No such file or directory")


def test_problems_lists_every_problem_with_its_parameters(command: Command) -> None:
    ended = command("problems")
    assert ended.code == 0
    assert [line for line in ended.out.splitlines() if line.startswith("echelon/")] == list(PROBLEMS)
    assert "    lead_time = 4\n" in ended.out


def test_baselines_lists_every_baseline_with_its_options(command: Command) -> None:
    ended = command("baselines")
    assert ended.code == 0
    assert [line for line in ended.out.splitlines() if not line.startswith(" ")] == list(BASELINES)
    assert "\n    service_level = 0.95 (float above 0 and below 1)\n    kind = 'fill_rate' (Service)\n" in ended.out
    assert "seed" not in ended.out


def test_version_is_that_of_the_package(command: Command) -> None:
    assert command("--version") == Ended(0, f"echelon {echelon.__version__}\n", "")


@pytest.mark.parametrize("arguments", [(), ("import",)])
def test_a_command_without_arguments_shows_its_help(arguments: tuple[str, ...], command: Command) -> None:
    ended = command(*arguments)
    assert ended.code == 2
    assert "Usage" in ended.out + ended.err


def test_help_is_shown_without_loading_the_heavy_packages() -> None:
    heavy = "torch", "stable_baselines3", "pandas", "matplotlib", "numba"
    code = (
        "import sys; from echelon.experiments.cli import main; sys.argv[1:] = ['--help']\n"
        f"try: main()\nexcept SystemExit: print([name for name in {heavy!r} if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    *helped, loaded = shown.stdout.splitlines()
    assert loaded == "[]"
    for name in ("problems", "baselines", "run", "evaluate", "bound", "plan", "import"):
        assert any(name in line for line in helped)


def test_the_module_can_be_run_as_a_command(tmp_path: Path) -> None:
    """An error of Echelon reaches the shell as exit code 2, without a traceback."""
    code = "from echelon.experiments.cli import main; main()"
    ended = subprocess.run(
        [sys.executable, "-c", code, "evaluate", "echelon/LostSale-v0", "--policy", "base_stock"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
    )
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "unknown problem 'echelon/LostSale-v0'; did you mean 'echelon/LostSales-v0'?\n"
