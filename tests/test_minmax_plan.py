"""`echelon plan --method minmax`: what it prints and writes, and what it refuses."""

from __future__ import annotations

import csv
import io
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
from rich.console import Console

from echelon.baselines.cost_surface import CostSurface, cost_surface, dearest_link
from echelon.baselines.network_trials import SearchRecord
from echelon.baselines.rule_space import Rule, rule_space
from echelon.baselines.service_floors import ServiceFloor, achieved
from echelon.baselines.service_frontier import floors_at, service_frontier
from echelon.envs import make_problem, order_up_to, sample
from echelon.envs.errors import ConfigError, MethodError
from echelon.envs.node_outcome import simulate_nodes
from echelon.experiments import minmax_folder
from echelon.experiments.cli import main
from echelon.experiments.minmax_folder import LEVELS, frontier_levels
from echelon.experiments.minmax_plan import MinMaxPlan, asked_for, plan_min_max, plan_record
from echelon.experiments.minmax_words import plan_lines
from echelon.experiments.search_trace import EVENT_FILE, SearchProgress, trace_rows, write_events

CASE = "echelon/MinMaxCase-v0"
SMALL = ("--method", "minmax", CASE, "--set", "warehouses=2", "--option", "budget=2000000")
FILES = {"parameters.csv", "plan.json", "trace.csv", "report.html"}


class Ended(NamedTuple):
    """How a command ended: its exit code and what it printed."""

    code: int
    out: str
    err: str


Command = Callable[..., Ended]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs `echelon plan` in an empty folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(minmax_folder, "SURFACE_YEARS", 8)

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["echelon", "plan", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        printed = capsys.readouterr()
        return Ended(int(caught.value.code or 0), printed.out, printed.err)

    return run


@pytest.fixture(scope="module")
def small() -> MinMaxPlan:
    """One centre, two warehouses with floors and one under the centre."""
    options = {"budget": 2_000_000}
    asked = asked_for(CASE, service=0.9, floors=["centre_1=0.7"], options=options, parameters={"warehouses": 2}, seed=1)
    return plan_min_max(asked)


def test_the_plan_is_printed_with_its_floors_and_a_row_for_every_link(command: Command) -> None:
    ended = command(*SMALL, "--service", "0.9", "--floor", "centre_1=0.7", "--seed", "1")
    assert (ended.code, ended.err) == (0, "")
    head, _, table = ended.out.partition("\n\n")
    assert head.startswith("echelon/MinMaxCase-v0: Min/Max by simulation, 6 numbers\n")
    assert re.findall(r"fill_rate of (\w+) >= (0\.\d+): ", head) == [
        ("warehouse_1", "0.9"),
        ("warehouse_2", "0.9"),
        ("centre_1", "0.7"),
    ]
    lines = table.splitlines()
    assert lines[0].split() == ["place", "Min", "Max", "on", "hand", "fill", "rate", "cost"]
    assert [line.split()[0] for line in lines[1:]] == ["centre_1", "warehouse_1", "warehouse_2"]


def test_the_json_record_has_what_is_documented(small: MinMaxPlan) -> None:
    record = json.loads(json.dumps(plan_record(small)))
    documented = Path(__file__).parents[1].joinpath("docs", "minmax.md").read_text(encoding="utf-8")
    assert [key for key in record if f"`{key}`" not in documented] == []
    assert record["certified"] is True
    assert [(one["node"], one["level"], one["verdict"]) for one in record["floors"]] == [
        ("warehouse_1", 0.9, "met"),
        ("warehouse_2", 0.9, "met"),
        ("centre_1", 0.7, "met"),
    ]
    assert all(one["at_least"] >= one["level"] for one in record["floors"])
    assert record["selection"].keys() == {"contenders", "confidence", "indifference_zone"}
    for row in record["nodes"]:
        assert (row["min"], row["max"]) == tuple(
            record["parameters"][f"{name} {row['node']}"] for name in ("Min", "Max")
        )


def test_the_numbers_of_the_record_do_what_the_record_says(small: MinMaxPlan) -> None:
    record, problem = plan_record(small), small.problem
    reorder, up_to = ([row[key] for row in record["nodes"]] for key in ("min", "max"))
    policy = order_up_to(problem.network, up_to, reorder=reorder, position="installation")
    scenarios = sample(problem.network, periods=problem.periods, replications=1_000, seed=99, stream="evaluation")
    outcome = simulate_nodes(problem, policy, scenarios)
    error = outcome.cost.std(ddof=1) / 1_000**0.5
    assert abs(outcome.cost.mean() - record["cost"]) < 4 * error + 2 * record["half_width"]
    assert achieved(problem, outcome, small.floors) == pytest.approx(
        [one["service"] for one in record["floors"]], abs=0.01
    )
    by_node = [row["cost"] for row in record["nodes"]]
    assert sum(by_node) == pytest.approx(outcome.cost.mean(), rel=0.01)
    assert by_node == pytest.approx(outcome.node_cost.mean(axis=0), rel=0.03)
    assert [row["on_hand"] for row in record["nodes"]] == pytest.approx(outcome.on_hand.mean(axis=0), rel=0.03)


def test_the_same_seed_gives_the_same_json(command: Command) -> None:
    def printed() -> dict[str, Any]:
        ended = command(*SMALL, "--json", "--service", "0.9", "--option", "rule=base_stock")
        assert (ended.code, ended.err, ended.out.count("\n")) == (0, "", 1)
        record: dict[str, Any] = json.loads(ended.out)
        return {key: value for key, value in record.items() if key != "cpu_seconds"}

    first = printed()
    assert first == printed()
    assert list(first["parameters"]) == ["Level centre_1", "Level warehouse_1", "Level warehouse_2"]


def test_csv_has_a_row_for_every_link(command: Command) -> None:
    ended = command("--method", "minmax", "echelon/SingleLocation-v0", "--option", "budget=500000", "--csv", "plan.csv")
    assert (ended.code, ended.err) == (0, "")
    assert "floors      none\nplan.csv: 1 rows" in ended.out
    (row,) = csv.DictReader(Path("plan.csv").read_text(encoding="utf-8").splitlines())
    assert (row["node"], row["source"]) == ("store", "outside")
    assert 2 <= int(row["min"]) <= 10 <= 30 <= int(row["max"]) <= 50


def test_a_network_file_is_planned_as_its_problem_is(command: Command, tmp_path: Path) -> None:
    problem = make_problem("echelon/SingleLocation-v0")
    problem.network.to_yaml(tmp_path / "store.yaml")
    common = ("--method", "minmax", "--json", "--option", "budget=300000", "--service", "0.9")
    horizon = ("--set", f"periods={problem.periods}", "--set", f"warm_up={problem.warm_up}")
    of_file = json.loads(command(*common, "store.yaml", *horizon).out)
    assert of_file["parameters"] == json.loads(command(*common, "echelon/SingleLocation-v0").out)["parameters"]
    assert of_file["source"] == "store.yaml"


def test_the_folder_has_all_files_and_the_page_loads_nothing_from_outside(command: Command) -> None:
    ended = command(*SMALL, "--service", "0.9", "--out", "plan", "--frontier", "0.8")
    assert (ended.code, ended.err) == (0, "")
    assert {path.name for path in Path("plan").iterdir()} in (FILES, FILES | {EVENT_FILE})
    page = Path("plan/report.html").read_text(encoding="utf-8")
    assert not re.search(r"https?:|//\w|<script|<link rel=\"stylesheet|@import", page)
    assert page.count("<svg") == 4
    assert "--service 0.9 --option budget=2000000 --set warehouses=2 --seed 0 --out DIR" in page
    record = json.loads(Path("plan/plan.json").read_text(encoding="utf-8"))
    assert [point["level"] for point in record["frontier"]] == [0.8]
    assert record["frontier"][0]["cost"] < record["cost"]
    (head, *trace) = csv.reader(Path("plan/trace.csv").read_text(encoding="utf-8").splitlines())
    assert head == ["stage", "evaluations", "node_periods", "best_cost"]
    assert [int(row[2]) for row in trace] == sorted(int(row[2]) for row in trace)


@pytest.mark.parametrize("error", [OSError("disk full"), RuntimeError("a fault")])
def test_a_folder_is_written_whole_or_not_at_all(
    command: Command, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def fail(*_: object, **__: object) -> Path:
        raise error

    monkeypatch.setattr(minmax_folder, "write_events", fail)
    arguments = (*SMALL, "--service", "0.9", "--out", "plan", "--frontier", "none")
    if isinstance(error, OSError):
        ended = command(*arguments)
        assert (ended.code, ended.err) == (2, "plan: the folder cannot be written: disk full\n")
        assert "cost  " in ended.out
    else:
        with pytest.raises(RuntimeError):
            command(*arguments)
    assert list(Path().iterdir()) == []


def test_without_tensorboard_one_line_says_that_its_file_is_left_out(
    command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard.compat.proto.event_pb2", None)
    ended = command(*SMALL, "--service", "0.9", "--out", "plan", "--frontier", "none")
    assert ended.code == 0
    assert ended.out.splitlines()[-1] == (
        f"plan: without {EVENT_FILE}: the trace for TensorBoard needs it: pip install 'echelon[learn]'"
    )
    assert {path.name for path in Path("plan").iterdir()} == FILES


def test_tensorboard_reads_the_trace(small: MinMaxPlan, tmp_path: Path) -> None:
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    trace = small.optimum.trace
    write_events(tmp_path, trace, {"service/fill_rate centre_1": 0.75}, times={one.evaluations: 5e8 for one in trace})
    events = accumulators.EventAccumulator(str(tmp_path))
    events.Reload()
    best = [one for one in trace if one.best is not None]
    read = events.Scalars("search/best cost")
    assert [one.step for one in read] == [one.evaluations for one in best]
    assert [one.value for one in read] == pytest.approx([one.best for one in best], rel=1e-6)
    assert {one.wall_time for one in read} == {5e8}
    periods = [one.value for one in events.Scalars("search/node-periods")]
    assert periods == pytest.approx([one.node_periods for one in trace], rel=1e-6)
    (service,) = events.Scalars("service/fill_rate centre_1")
    assert (service.step, service.value) == (trace[-1].evaluations, 0.75)


def test_writing_events_does_not_load_torch(small: MinMaxPlan, tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    loaded = set(sys.modules)
    write_events(tmp_path, small.optimum.trace, {})
    assert not {name for name in set(sys.modules) - loaded if name.split(".")[0] in ("torch", "tensorflow")}


def test_floors_that_cannot_be_met_are_told_and_the_plan_is_printed_all_the_same(command: Command) -> None:
    arguments = (*SMALL, "--service", "0.95", "--option", "bounds.Max warehouse_1=[0, 4]")
    ended = command(*arguments)
    assert ended.code == 0
    assert "floors      1 of 2 not shown to be met" in ended.out
    first, second = ended.err.splitlines()
    assert first == "warning: not every floor is shown to be met; this is the least infeasible plan that was found"
    assert re.fullmatch(
        r"warning: fill_rate of warehouse_1 >= 0.95: 0\.\d+, at most 0\.\d+ with 95 % confidence: missed, short by "
        r"0\.\d+ \(Max warehouse_1 is at its upper bound 4\)",
        second,
    )
    ended = command(*arguments, "--json")
    assert (ended.code, ended.err) == (0, "")
    record = json.loads(ended.out)
    assert record["certified"] is False
    assert len(record["shortfalls"]) == 1
    assert [one["verdict"] for one in record["floors"]] == ["missed", "met"]


def test_an_uncertified_plan_warns_on_its_page(command: Command) -> None:
    bounds = ("--option", "bounds.Max warehouse_1=[0, 4]")
    ended = command(*SMALL, "--service", "0.95", *bounds, "--out", "plan", "--frontier", "none")
    assert ended.code == 0
    page = Path("plan/report.html").read_text(encoding="utf-8")
    assert '<p class="caution">not every floor is shown to be met' in page
    assert '<span class="severity critical">missed</span>' in page


REFUSED: Sequence[tuple[tuple[str, ...], str]] = (
    ((CASE, "--service", "1.2"), "--service: must be greater than 0 and less than 1 (got 1.2)"),
    (
        (CASE, "--floor", "centre_1"),
        "--floor: must be NODE=LEVEL with a level greater than 0 and less than 1, such as depot=0.9 (got 'centre_1')",
    ),
    (
        (CASE, "--floor", "centre_1=nan"),
        "--floor: must be NODE=LEVEL with a level greater than 0 and less than 1, such as depot=0.9 (got "
        "'centre_1=nan')",
    ),
    (
        (CASE, "--floor", "centre_1=0.9", "--floor", "centre_1=0.8"),
        "--floor: centre_1 must be given once, got 0.9 and 0.8",
    ),
    ((CASE, "--floor", "centr_1=0.9"), "floors: the network has no node 'centr_1'; did you mean 'centre_1'?"),
    ((CASE, "--option", "rul=min_max"), "--option: rul: unknown key; did you mean 'rule'?"),
    ((CASE, "--option", "review_period=0"), "--option: review_period: must be at least 1 (got 0)"),
    (
        (CASE, "--option", "bounds.Max centre_1=[5, 1]"),
        "bounds: Max centre_1 must not cross, got lowest 5 above highest 1",
    ),
    ((CASE, "--set", "warehouse=3"), f"{CASE}: warehouse: unknown key; did you mean 'warehouses'?"),
    (
        ("echelon/MinMaxCas-v0",),
        f"echelon/MinMaxCas-v0: there is no such file, problem or instance; did you mean '{CASE}'?",
    ),
    (
        ("bulldozer",),
        "bulldozer: there is no such file, problem or instance; `echelon problems` lists the names",
    ),
    ((".",), ".: minmax plans a network file or a problem by name, not a folder"),
    ((CASE, "--picture", "map.svg"), "--picture: minmax draws its pictures into the folder of --out"),
    ((CASE, "--frontier", "0.9"), "--frontier: it is drawn into the report, so give --out as well"),
    (
        (CASE, "--out", "plan", "--frontier", "0.9,2"),
        "--frontier: must be none, or levels greater than 0 and less than 1, such as 0.9,0.95 (got '0.9,2')",
    ),
    ((CASE, "--out", "no/plan"), "no/plan: the folder no must exist"),
    ((CASE, "--json", "--csv", "plan.csv"), "--json and --csv: give one of them"),
    (
        (CASE, "--set", "stockout_cost=0", "--set", "warehouses=1"),
        "simulation_optimization needs a floor, a stockout cost or a price at every outlet (got none at warehouse_1)",
    ),
)


@pytest.mark.parametrize(("arguments", "message"), REFUSED)
def test_what_cannot_be_planned_is_refused_by_name(command: Command, arguments: Sequence[str], message: str) -> None:
    assert command("--method", "minmax", *arguments) == (2, "", f"{message}\n")
    assert list(Path().iterdir()) == []


@pytest.mark.parametrize(
    ("option", "value"),
    [("--floor", "a=0.9"), ("--option", "rule=min_max"), ("--set", "a=1"), ("--seed", "3"), ("--frontier", "none")],
)
def test_other_methods_refuse_the_options_of_this_one(command: Command, option: str, value: str) -> None:
    ended = command("--method", "gsm", "bulldozer", option, value)
    assert ended == (2, "", f"{option}: only --method minmax takes it (got 'gsm')\n")


def test_a_folder_that_exists_is_left_alone(command: Command) -> None:
    Path("plan").mkdir()
    ended = command(*SMALL, "--service", "0.9", "--out", "plan")
    assert ended == (2, "", "plan: the folder exists already; choose another one with --out\n")
    assert list(Path("plan").iterdir()) == []


def test_the_levels_of_a_frontier_leave_out_that_of_the_plan() -> None:
    asked = asked_for(CASE, service=0.95)
    assert frontier_levels(None, asked) == (0.8, 0.9, 0.98)
    assert frontier_levels(None, asked_for(CASE, service=0.93)) == LEVELS
    assert frontier_levels(None, asked_for(CASE, floors=["centre_1=0.9"])) == ()
    assert frontier_levels("none", asked) == ()
    assert frontier_levels("0.97,0.9,0.95", asked) == (0.9, 0.97)
    with pytest.raises(ConfigError, match="--frontier"):
        frontier_levels("high", asked)


def test_no_frontier_is_drawn_where_no_common_floor_can_move() -> None:
    name = "echelon/SingleLocation-v0"
    assert frontier_levels(None, asked_for(name, service=0.9, floors=["store=0.95"])) == ()
    with pytest.raises(ConfigError, match="--frontier: every node with customers has a --floor"):
        frontier_levels("0.8", asked_for(name, floors=["store=0.95"]))


def test_a_fixed_floor_takes_the_place_of_the_common_one_of_its_kind() -> None:
    network = make_problem(CASE, warehouses=2).network
    fixed = (ServiceFloor("warehouse_1", 0.99), ServiceFloor("centre_1", 0.8))
    common = ServiceFloor("warehouse_2", 0.9)
    assert floors_at(network, 0.9, fixed=fixed) == (common, *fixed)
    assert floors_at(network, None, fixed=fixed) == fixed
    both = floors_at(network, 0.9, kind="period_service", fixed=fixed)
    assert [floor.node for floor in both] == ["warehouse_1", "warehouse_2", "warehouse_1", "centre_1"]


def surface_of(problem_id: str, numbers: Sequence[float], *, rule: Rule = "min_max", years: int = 60) -> CostSurface:
    problem = make_problem(problem_id)
    space = rule_space(problem, rule=rule)
    scenarios = sample(problem.network, periods=problem.periods, replications=years, seed=0, stream="surface")
    return cost_surface(problem, space, space.encode(numbers), scenarios, link=0)


def test_the_surface_of_a_location_is_lowest_at_the_policy_that_is_known_to_be_optimal() -> None:
    # Zheng and Federgruen (1991): Poisson demand with mean 10 costs 35.02 with s = 6 (order at or below) and S = 40.
    surface = surface_of("zheng_federgruen1991/mean10", [6, 40])
    assert surface.names == ("Min", "Max")
    i, j = np.unravel_index(np.nanargmin(surface.cost), surface.cost.shape)
    assert abs(surface.axes[0][i] - 6) <= 2
    assert abs(surface.axes[1][j] - 40) <= 4
    assert np.nanmin(surface.cost) == pytest.approx(35.02155, rel=0.005)
    assert np.isnan(surface.slack).all()


def test_the_surface_of_base_stock_is_a_curve_that_is_convex_but_for_rounding() -> None:
    surface = surface_of("zheng_federgruen1991/mean10", [14], rule="base_stock")
    assert surface.cost.shape == surface.axes[0].shape
    slopes = np.diff(surface.cost) / np.diff(surface.axes[0])
    assert (np.diff(slopes) > -0.05).all()


def test_a_surface_has_no_cost_where_min_is_above_max_and_no_slack_but_of_floors_that_it_moves() -> None:
    problem = make_problem(CASE, warehouses=2)
    space = rule_space(problem)
    parameters = space.encode([90, 300, 14, 20, 38, 90])
    scenarios = sample(problem.network, periods=problem.periods, replications=16, seed=0, stream="surface")
    floors = (ServiceFloor("warehouse_1", 0.9), ServiceFloor("warehouse_2", 0.9), ServiceFloor("centre_1", 0.5))
    own = cost_surface(problem, space, parameters, scenarios, link=1, floors=floors, points=6)
    assert own.floors == floors[:1]
    above = own.axes[0][:, None] > own.axes[1][None, :]
    assert above.any()
    assert (np.isnan(own.cost) == above).all()
    assert (np.isnan(own.slack) == above).all()
    assert np.nanmin(own.slack) < 0 < np.nanmax(own.slack)
    centre = cost_surface(problem, space, parameters, scenarios, link=0, floors=floors, points=3)
    assert centre.floors == floors
    outcome = simulate_nodes(problem, space.policy(parameters), scenarios)
    costs = dict(zip(("centre_1", "warehouse_1", "warehouse_2"), outcome.node_cost.mean(axis=0), strict=True))
    dearest = problem.network.links[dearest_link(problem, outcome.node_cost)].target
    assert dearest == max(("warehouse_1", "warehouse_2"), key=lambda name: costs[name])


def test_the_frontier_rises_and_bends_as_the_prices_of_its_floors_say(small: MinMaxPlan) -> None:
    levels = (0.97, 0.9, 0.95)
    points = service_frontier(small.problem, levels, start=small.optimum.parameters, near=0.9, budget=40_000_000)
    assert [point.level for point in points] == sorted(levels)
    assert all(point.optimum.certified for point in points)
    costs = [point.optimum.cost.mean for point in points]
    prices = [sum(price.per_point or 0.0 for price in point.optimum.prices) for point in points]
    assert prices == sorted(prices)
    for low, high, below, above in ((0, 1, 0.9, 0.95), (1, 2, 0.95, 0.97)):
        slope = (costs[high] - costs[low]) / (100 * (above - below))
        assert 0.75 * prices[low] < slope < 1.25 * prices[high]


def test_a_frontier_without_levels_or_with_an_impossible_one_is_refused(small: MinMaxPlan) -> None:
    with pytest.raises(MethodError, match="levels must be at least one level of service, got none"):
        service_frontier(small.problem, [], start=small.optimum.parameters, budget=1)
    with pytest.raises(MethodError, match="must be greater than 0 and less than 1"):
        service_frontier(small.problem, [0.9, 1.0], start=small.optimum.parameters, budget=1)


def records() -> Iterator[SearchRecord]:
    yield SearchRecord("explore", 1, 1_000, None)
    yield SearchRecord("polish", 1_200, 20_000, 21.5)


def test_progress_shows_the_stage_the_evaluations_and_the_best_cost_on_a_terminal_alone() -> None:
    for terminal in (True, False):
        stream = io.StringIO()
        with SearchProgress(Console(file=stream, force_terminal=terminal, width=100)) as progress:
            for record in records():
                progress._seen = 0.0
                progress.search()(record)
        assert all(text in stream.getvalue() for text in ("polish", "1,200 evaluations", "21.5")) is terminal
        assert set(progress.times) == {1, 1_200}


def test_a_trace_is_a_table_with_no_cost_as_long_as_there_is_none() -> None:
    assert trace_rows(list(records())) == [
        {"stage": "explore", "evaluations": 1, "node_periods": 1_000, "best_cost": ""},
        {"stage": "polish", "evaluations": 1_200, "node_periods": 20_000, "best_cost": 21.5},
    ]


def test_a_start_that_is_the_plan_is_called_so() -> None:
    bounds = {"Min store": [6, 6], "Max store": [40, 40]}
    store = plan_min_max(asked_for("zheng_federgruen1991/mean10", options={"budget": 300_000, "bounds": bounds}))
    assert "gain        none: the start by formulas is the plan itself" in plan_lines(store, table=False)
