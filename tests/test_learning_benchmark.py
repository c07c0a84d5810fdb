"""The benchmark of learned policies: complete beds, honest costs, tables that go on, and the page made from them."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))

import learning  # noqa: E402
import learning_table  # noqa: E402
from learning import COLUMNS, main, read_table, run, tasks_of  # noqa: E402
from learning_beds import WILLEMS, Bed, Evaluation, Goal, Group, Learner, bed_names, load_bed  # noqa: E402
from learning_costs import Cost, Judge  # noqa: E402
from learning_long_run import long_run_cost  # noqa: E402

from echelon.baselines import make_plan  # noqa: E402
from echelon.baselines.lost_sales_policy_cost import lost_sales_policy_cost  # noqa: E402
from echelon.envs import make_problem  # noqa: E402
from echelon.envs.errors import ConfigError  # noqa: E402

COUNTS = {"lost_sales": 32, "long_lead": 24, "serial": 1, "dual_sourcing": 12, "perishable": 32, "one_warehouse": 14}


def tiny_bed(**changes: object) -> Bed:
    """One instance, and a training of a second."""
    small = {"decision": "levels", "hidden": [4], "batch": [8, 8], "unroll": 4, "tail": 2}
    values = {
        "name": "tiny",
        "title": "Tiny",
        "about": "For tests.",
        "evaluation": Evaluation(kind="exact"),
        "goal": Goal(mean_gap=1e3),
        "policies": {"pathwise": Learner(algorithm="pathwise", steps=2, settings=small)},
        "instances": [Group(id="echelon/LostSales-v0", parameters={"lead_time": 1, "periods": 60, "warm_up": 20})],
    }
    return Bed.model_validate(values | changes)


@pytest.mark.parametrize(("name", "count"), COUNTS.items())
def test_every_bed_has_all_of_its_published_instances(name: str, count: int) -> None:
    bed = load_bed(name)
    members = bed.members()
    assert len(members) + len(bed.left_out) == count
    assert len({one.key for one in members}) == len({one.name for one in members}) == len(members)


@pytest.mark.parametrize("name", bed_names())
def test_every_instance_can_be_built_and_every_published_reference_is_of_one(name: str) -> None:
    bed = load_bed(name)
    members = bed.members()
    assert bed.name == name
    for instance in members:
        if instance.id != WILLEMS:  # their tables are not part of the repository
            assert instance.problem.network.nodes
    named = set(bed.references or {}) | set(bed.published) | set(bed.reference_errors)
    assert named <= {instance.name for instance in members}
    assert not set(bed.left_out) & {instance.name for instance in members}


@pytest.mark.parametrize("name", ["lost_sales", "perishable", "dual_sourcing"])
def test_the_optimal_policy_has_no_gap(name: str) -> None:
    bed = load_bed(name)
    for instance in bed.members()[:2]:
        judge = Judge(bed, instance)
        found = judge.cost(make_plan("optimal", judge.problem).policy)
        assert found.gap_percent == pytest.approx(0.0, abs=2e-4)
        assert found.half_width <= 1e-5


def test_the_cheapest_baseline_has_no_gap_to_itself_and_an_optimum_has_its_exact_cost() -> None:
    bed = load_bed("serial").model_copy(
        update={"evaluation": Evaluation(kind="paired", against=("clark_scarf",), replications=50)}
    )
    judge = Judge(bed, bed.members()[0])
    plan = judge.baselines["clark_scarf"]
    found = judge.cost(plan.policy)
    assert (found.value, found.half_width, found.gap_percent) == (plan.model_cost, 0.0, 0.0)


@pytest.mark.parametrize(("demand", "lead_time"), [("poisson", 4), ("geometric", 3)])
def test_a_long_simulation_agrees_with_the_exact_chain_and_controls_narrow_it(demand: str, lead_time: int) -> None:
    problem = make_problem("echelon/LostSales-v0", demand=demand, lead_time=lead_time, stockout_cost=9.0)
    policy = make_plan("lost_sales_capped_base_stock", problem).policy
    exact = lost_sales_policy_cost(problem, policy).cost
    found = long_run_cost(problem, policy, periods=2_000_000, seed=3)
    assert abs(found.cost - exact) < 1.5 * found.half_width
    assert found.half_width < 0.0005 * exact
    assert found.half_width < found.plain_half_width / 2


def test_a_chain_that_does_not_fit_or_has_no_end_is_simulated() -> None:
    bed = load_bed("long_lead")
    small = bed.evaluation.model_copy(update={"memory_gib": 1e-6, "periods": 100_000})
    judge = Judge(bed.model_copy(update={"evaluation": small}), bed.members()[0])
    found = judge.cost(make_plan("capped_base_stock", judge.problem, levels=[32.0], caps=[6.0]).policy)
    assert found.half_width > 1e-4
    assert found.reference == 4.87206

    sourcing = load_bed("dual_sourcing")
    few = sourcing.evaluation.model_copy(update={"replications": 20})
    judge = Judge(sourcing.model_copy(update={"evaluation": few}), sourcing.members()[0])
    too_much = judge.cost(lambda state: np.full((state.batch, 2), 3.0))
    assert too_much.gap_percent is not None
    assert too_much.gap_percent > 100
    assert too_much.half_width > 0


def test_a_run_writes_its_columns_and_goes_on_where_it_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bed, table = tiny_bed(), tmp_path / "tiny.csv"
    run(bed, tasks_of(bed, [1]), table)
    run(bed, tasks_of(bed, [0, 1]), table)
    rows = read_table(table)
    assert [row["seed"] for row in rows] == ["0", "1"]
    assert all(tuple(row) == COLUMNS for row in rows)
    first = rows[0]
    assert float(first["gap_percent"]) == pytest.approx(
        100 * (float(first["cost"]) / float(first["reference"]) - 1), abs=1e-4
    )
    assert float(first["gap_percent"]) > 0
    assert float(first["train_cpu_seconds"]) > 0

    monkeypatch.setattr(learning, "made", lambda *_: pytest.fail("a row was made again"))
    run(bed, tasks_of(bed, [0, 1]), table)
    assert read_table(table) == rows
    kept = json.loads(table.with_suffix(".json").read_text())
    assert kept["processor"]
    assert kept["settings"]["policies"]["pathwise"]["steps"] == 2
    assert len(list(tmp_path.iterdir())) == 2
    capsys.readouterr()


def test_a_table_of_other_settings_is_not_continued(tmp_path: Path) -> None:
    bed, table = tiny_bed(), tmp_path / "tiny.csv"
    run(bed, [], table)
    other = tiny_bed(policies={"pathwise": Learner(algorithm="pathwise", steps=3)})
    with pytest.raises(ConfigError, match="was made with other policies; remove it or give another --out"):
        run(other, [], table)


def test_a_bounded_bed_has_a_bound_that_its_policies_do_not_beat(tmp_path: Path) -> None:
    bed, table = tiny_bed(bounded=True), tmp_path / "tiny.csv"
    run(bed, tasks_of(bed, [0]), table)
    bound, learned = read_table(table)
    assert (bound["policy"], bound["seed"], bound["reference"]) == ("lower_bound", "", "")
    assert 0 < float(bound["cost"]) <= float(learned["reference"]) < float(learned["cost"])
    cells = [learning_table.cells_of(bed, [bound, learned], learned=kind) for kind in (True, False)]
    assert [cell.policy for both in cells for cell in both] == ["pathwise", "lower_bound"]


def test_rows_stand_in_the_order_of_the_bed(tmp_path: Path) -> None:
    bed, table = load_bed("dual_sourcing"), tmp_path / "table.csv"
    order, tasks = learning.order_of(bed), tasks_of(bed, [0, 1, 2])
    cost = Cost(1.0, 0.0, None)
    shuffled = np.random.default_rng(0).permutation(len(tasks)).tolist()
    for n in shuffled:
        learning.add_row(table, learning.row_of(tasks[n], cost, 0.0), order)
    assert [learning.key_of(row) for row in read_table(table)] == [task.key for task in tasks]


def test_shards_share_all_of_a_bed(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []
    monkeypatch.setattr(learning, "run", lambda _bed, tasks, _table: seen.extend(one.instance.name for one in tasks))
    for shard in ("1/3", "2/3", "3/3"):
        main(["dual_sourcing", "--seeds", "0", "--shard", shard, "--instances", "lr[23]*"])
    assert sorted(seen) == sorted(one.name for one in load_bed("dual_sourcing").members() if one.name[:3] in "lr2 lr3")
    with pytest.raises(SystemExit):
        main(["dual_sourcing", "--shard", "4/3"])


def test_a_bed_names_its_defects(tmp_path: Path) -> None:
    text = (ROOT / "configs/benchmarks/serial.yaml").read_text().replace("clark_scarf", "clark_scraf")
    (tmp_path / "serial.yaml").write_text(text.replace("steps: ", "step: "))
    with pytest.raises(ConfigError, match=r"against must name baselines \(got clark_scraf\)") as error:
        load_bed("serial", tmp_path)
    assert "step" in str(error.value)


def test_the_committed_page_is_what_the_committed_tables_say() -> None:
    assert learning_table.PAGE.read_text() == learning_table.page()


@pytest.mark.parametrize("name", bed_names())
def test_no_instance_is_missing_from_a_committed_table_unless_the_page_says_so(name: str) -> None:
    bed = load_bed(name)
    rows = read_table(learning.RESULTS / f"learning_{name}.csv")
    there = {(row["problem"], row["parameters"]) for row in rows if row["seed"]}
    page = learning_table.PAGE.read_text()
    part = page[page.index(f"## {bed.title}") :].split("\n## ")[0]
    missing = [one.name for one in bed.members() if one.key not in there]
    assert (f"Not run yet: {', '.join(missing)}." in part) == bool(missing)
    assert all(f"Left out: {left}, " in part for left in bed.left_out)


def test_the_page_counts_goals_by_every_seed() -> None:
    bed = tiny_bed(goal=Goal(mean_gap=0.02, worst_gap=0.05, better=1, at_or_below=1, train_cpu_seconds=50))
    tasks = tasks_of(bed, [0, 1, 2])
    costs = [Cost(value, 0.01, 100.0) for value in (99.98, 99.985, 100.06)]
    rows = [learning.row_of(task, cost, 40.0) for task, cost in zip(tasks, costs, strict=True)]
    found = {
        one.asked.split(" on ")[0]: one
        for one in learning_table.verdicts(bed, learning_table.cells_of(bed, rows, learned=True))
    }
    assert {name: one.met for name, one in found.items()} == {
        "mean gap at most 0.02 %": True,
        "worst gap at most 0.05 %": False,
        "training at most 50 CPU-s": True,
        "at or below the reference": True,
        "better than the reference": False,
    }
