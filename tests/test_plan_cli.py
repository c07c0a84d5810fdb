"""`echelon plan` and `echelon import willems --convention`: what they print and write, and what they refuse."""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Callable
from math import sqrt
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from scipy.stats import norm

from echelon.baselines.guaranteed_service import cost_of_service_times, guaranteed_service
from echelon.baselines.stage_examples import STAGE_EXAMPLES
from echelon.baselines.stage_network import StageNetwork
from echelon.experiments.cli import main

ROOT = Path(__file__).parents[1]
WILLEMS = ROOT.parent / "shared" / "reference" / "willems2008"
needs_willems = pytest.mark.skipif(not WILLEMS.exists(), reason="the data set of Willems (2008) is not here")

SHOP = """\
name: shop
stages:
- name: Part
  stage_time: 4
  holding_cost: 1
- name: Shop
  stage_time: 1
  holding_cost: 3
  suppliers: [Part]
  demand_mean: 10
  demand_sd: 3
  safety_factor: 2
"""
NETWORK = """\
name: depot
nodes:
- name: Depot
  holding_cost: 1
- name: Shop
  holding_cost: 3
  stockout_rule: backorder
  stockout_cost: 57
  demand: {law: poisson, mean: 9}
links:
- {source: outside, target: Depot, lead_time: 2}
- {source: Depot, target: Shop, lead_time: 1}
"""


class Ended(NamedTuple):
    """How a command ended: its exit code and what it printed."""

    code: int
    out: str
    err: str


Command = Callable[..., Ended]


@pytest.fixture
def command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Runs the command line in a folder that holds `shop.yaml` alone."""
    monkeypatch.chdir(tmp_path)
    Path("shop.yaml").write_text(SHOP, encoding="utf-8")

    def run(*arguments: str) -> Ended:
        monkeypatch.setattr(sys, "argv", ["echelon", *arguments])
        with pytest.raises(SystemExit) as caught:
            main()
        printed = capsys.readouterr()
        return Ended(int(caught.value.code or 0), printed.out, printed.err)

    return run


def planned(command: Command, *arguments: str) -> dict[str, Any]:
    """What --json prints of a plan."""
    ended = command("plan", "--method", "gsm", "--json", *arguments)
    assert (ended.code, ended.err, ended.out.count("\n")) == (0, "", 1)
    record: dict[str, Any] = json.loads(ended.out)
    return record


def numbers(text: str) -> dict[str, int]:
    """The numbers in `NAME NUMBER NAME NUMBER ...` by their names."""
    words = text.split()
    return dict(zip(words[::2], map(int, words[1::2]), strict=True))


EXAMPLES: dict[str, tuple[float, dict[str, int]]] = {
    "bulldozer": (
        632775.03,
        numbers(
            "Boggie 11 Brake 8 Case 0 Case&Frame 15 Chassis&Platform 16 Common_Subassembly 20 "
            "Dressed_Out_Engine 20 Drive_Group 9 Engine 7 Fans 10 Fender 9 Final_Assembly 0 "
            "Final_Drive&Brake 15 Frame_Assembly 0 Main_Assembly 28 Pin_Assembly 21 Plant_Carrier 9 "
            "Platform 6 Roll_Over 8 Suspension 28 Track_Roller 10 Transmission 15"
        ),
    ),
    "battery": (
        853077.33,
        numbers(
            "EMD 2 Spun_Zinc 2 Separator 2 Nail_Wire 2 Label 2 Other_Raw_Materials 1 Packaging_A 7 "
            "Packaging_B 7 Packaging_C 7 Bulk_Battery_Manufacturing 7 Pack_SKU_A 0 Pack_SKU_B 0 "
            "Pack_SKU_C 0 Central_DC_A 0 Central_DC_B 0 Central_DC_C 0 East_DC_A 0 East_DC_B 0 East_DC_C 0 "
            "West_DC_A 0 West_DC_B 0 West_DC_C 0"
        ),
    ),
    "digital_camera": (
        71475.76,
        numbers(
            "Camera 60 Imager 60 Circuit_Board 40 Other_Parts_L_60 60 Other_Parts_M_60 60 Build_Test_Pack 0 "
            "Transfer 2 Ship 5"
        ),
    ),
    "snyder_shen/example-6.3": (
        2 * sqrt(2),
        numbers("1 1 2 0 3 0"),
    ),
    "snyder_shen/example-6.5": (
        2 * sqrt(2) + sqrt(6) + 3,
        numbers("1 0 2 0 3 0 4 1"),
    ),
    "snyder_shen/figure-6.14": (
        18.8240044725922,
        numbers("1 0 2 3 3 5 4 4 5 7 6 0 7 0 8 0 9 0 10 2"),
    ),
    "snyder_shen/problem-6.7": (
        160 * sqrt(5),
        numbers("1 0 2 3 3 2"),
    ),
    "snyder_shen/problem-6.8": (
        1378.3020369,
        numbers("1 3 2 10 3 0 4 28 5 13 6 5 7 0 8 18 9 13 10 12"),
    ),
    "snyder_shen/problem-6.9": (
        15.649530249501,
        numbers("1 3 2 3 3 0 4 0 5 0 6 2"),
    ),
}
"""Least costs, of another solver, and service times. Graves and Willems (2003) print 632,720 for the bulldozer and
852,992 for the battery, as sums of rounded costs of stages, and the same service times; those of the others but the
camera are in Snyder and Shen (2019), chapter 6."""


@pytest.mark.parametrize("name", STAGE_EXAMPLES)
def test_a_published_example_costs_what_is_printed(name: str) -> None:
    cost, service_times = EXAMPLES[name]
    network = STAGE_EXAMPLES[name]()
    assert network.name == name
    assert guaranteed_service(network).cost == pytest.approx(cost, rel=1e-8)
    assert cost_of_service_times(network, service_times).cost == pytest.approx(cost, rel=1e-8)


@pytest.mark.parametrize(("promised", "cost"), [(5, 12.4686888061), (8, 3.257882364), (12, 0.2326174307)])
def test_figure_6_14_costs_less_the_longer_its_customers_wait(promised: int, cost: float) -> None:
    network = STAGE_EXAMPLES["snyder_shen/figure-6.14"]().with_stages({"10": {"service_time": promised}})
    assert guaranteed_service(network).cost == pytest.approx(cost, rel=1e-8)


def test_problem_6_9_may_promise_its_customers_different_times() -> None:
    network = STAGE_EXAMPLES["snyder_shen/problem-6.9"]()
    network = network.with_stages({"1": {"service_time": 0}, "2": {"service_time": 7}})
    assert guaranteed_service(network).cost == pytest.approx(13.121240238718, rel=1e-8)


def test_the_stages_of_the_battery_cost_what_is_printed() -> None:
    """Graves and Willems (2003) round the costs by stage, some of them from rounded stocks."""
    printed = numbers(
        "Central_DC_A 56889 Central_DC_B 38245 Central_DC_C 11066 East_DC_A 73716 East_DC_B 26907 "
        "East_DC_C 13940 Label 23361 Nail_Wire 7163 Pack_SKU_A 251253 Pack_SKU_B 94741 Pack_SKU_C 37573 "
        "Packaging_A 52953 Packaging_B 25852 Packaging_C 13022 West_DC_A 91501 West_DC_B 26531 "
        "West_DC_C 8279"
    )
    found = guaranteed_service(STAGE_EXAMPLES["battery"]())
    assert set(found.placement) == printed.keys()
    for stage, cost in zip(found.network.stages, found.stage_cost, strict=True):
        assert cost == pytest.approx(printed.get(stage.name, 0.0), rel=2e-4)


def test_a_plan_is_printed_as_a_table(command: Command) -> None:
    """By hand: the part quotes 0, so that the costs are 6 (1 sqrt(4) + 3 sqrt(1)) = 30; at 4 they are 40.2."""
    assert command("plan", "--method", "gsm", "shop.yaml") == Ended(
        0,
        "shop: safety stock at 2 of 2 stages\n"
        "cost           30\n"
        "lower bound    30\n"
        "gap            0.000 %\n"
        "\n"
        "stage  service time      net time  safety stock    base stock          cost\n"
        "Shop              0             1             6            16            18\n"
        "Part              0             4            12            52            12\n",
        "",
    )


def test_a_plan_is_printed_as_json(command: Command) -> None:
    record = planned(command, "shop.yaml")
    assert [*record] == ["cost", "lower_bound", "gap", "service_times", "solve_seconds", "stages"]
    assert [stage["safety_stock"] for stage in record["stages"]] == [12, 6]
    assert record["cost"] == pytest.approx(30)
    assert record["lower_bound"] == pytest.approx(30)
    assert (record["gap"], record["service_times"]) == (0.0, {"Part": 0, "Shop": 0})
    assert record["solve_seconds"] >= 0


def test_a_plan_is_written_as_csv_with_a_row_for_each_stage(command: Command) -> None:
    assert command("plan", "--method", "gsm", "shop.yaml", "--csv", "plan.csv") == Ended(
        0,
        "shop: safety stock at 2 of 2 stages\n"
        "cost           30\n"
        "lower bound    30\n"
        "gap            0.000 %\n"
        "plan.csv: 2 stages\n",
        "",
    )
    assert Path("plan.csv").read_text(encoding="utf-8") == (
        "stage,inbound_service_time,outbound_service_time,net_replenishment_time,safety_stock,early_stock,base_stock,"
        "pipeline_stock,holding_cost,cost,share\n"
        "Part,0,0,4.0,12.0,0.0,52.0,40.0,1.0,12.0,0.4\n"
        "Shop,0,0,1.0,6.0,0.0,16.0,10.0,3.0,18.0,0.6\n"
    )
    assert sorted(file.name for file in Path().iterdir()) == ["plan.csv", "shop.yaml"]


def test_one_service_level_is_set_for_all_customers(command: Command) -> None:
    Path("bare.yaml").write_text(SHOP.replace("  safety_factor: 2\n", ""), encoding="utf-8")
    for file in ("shop.yaml", "bare.yaml"):
        record = planned(command, file, "--service", "0.99")
        assert record["cost"] == pytest.approx(15 * norm.ppf(0.99))


def test_an_example_is_planned_by_its_name(command: Command) -> None:
    record = planned(command, "bulldozer")
    assert record["cost"] == pytest.approx(632775.03, rel=1e-8)
    assert record["service_times"]["Main_Assembly"] == 28
    served = planned(command, "bulldozer", "--service", "0.99")
    assert served["cost"] == pytest.approx(632775.03 * norm.ppf(0.99) / 1.645, rel=1e-8)


@pytest.mark.parametrize(("options", "level"), [((), 57 / 60), (("--service", "0.9"), 0.9)])
def test_a_network_file_is_planned_by_its_lead_times(options: tuple[str, ...], level: float, command: Command) -> None:
    """The shop's net replenishment time has a period more than its lead time, in which its customers' demand falls."""
    Path("depot.yaml").write_text(NETWORK, encoding="utf-8")
    record = planned(command, "depot.yaml", *options)
    least = min(3 * norm.ppf(level) * (sqrt(2 - s) + 3 * sqrt(s + 2)) for s in range(3))
    assert record["cost"] == pytest.approx(least)
    assert record["service_times"] == {"Depot": 0, "Shop": 0}


def test_a_long_plan_is_cut_after_forty_stages_those_with_stock_first(command: Command) -> None:
    parts = "".join(
        f"- {{name: Part_{k:02}, stage_time: {k % 2}, holding_cost: {1 + k}, suppliers: []}}\n" for k in range(50)
    )
    suppliers = ", ".join(f"Part_{k:02}" for k in range(50))
    shop = (
        f"- {{name: Shop, stage_time: 1, holding_cost: 5000, suppliers: [{suppliers}], demand_sd: 1, safety_factor: 1}}"
    )
    Path("long.yaml").write_text(f"name: long\nstages:\n{parts}{shop}\n", encoding="utf-8")
    lines = command("plan", "--method", "gsm", "long.yaml").out.splitlines()
    assert lines[0] == "long: safety stock at 26 of 51 stages"
    rows = lines[6:-1]
    assert [line.split()[0] for line in rows[:3]] == ["Shop", "Part_49", "Part_47"]
    assert [float(line.split()[3]) > 0 for line in rows] == [True] * 26 + [False] * 14
    assert lines[-1] == "and 11 more stages; --csv writes all of them"


def test_fractional_stage_times_and_stages_without_cost_are_allowed(command: Command) -> None:
    text = SHOP.replace("stage_time: 4", "stage_time: 4.5").replace("holding_cost: 3", "holding_cost: 0")
    Path("odd.yaml").write_text(text, encoding="utf-8")
    # Service times are whole: the part quotes 4, and half a period is left that it must hold stock for.
    record = planned(command, "odd.yaml")
    assert record["cost"] == pytest.approx(6 * sqrt(0.5))
    assert record["service_times"] == {"Part": 4, "Shop": 0}


BROKEN: dict[str, tuple[str, str, str]] = {
    "a cycle": (
        *("  stage_time: 4\n", "  stage_time: 4\n  suppliers: [Shop]\n"),
        "bad.yaml:2: stages: stages must not supply one another in a cycle (got Part -> Shop -> Part)",
    ),
    "a negative service time": (
        *("  safety_factor: 2\n", "  safety_factor: 2\n  service_time: -1\n"),
        "bad.yaml:13: stages.1.service_time: must be at least 0 (got -1)",
    ),
    "a fractional service time": (
        *("  safety_factor: 2\n", "  safety_factor: 2\n  service_time: 1.5\n"),
        "bad.yaml:13: stages.1.service_time: must be a whole number (got 1.5)",
    ),
    "no demand": (
        *("  demand_mean: 10\n  demand_sd: 3\n  safety_factor: 2\n", ""),
        "bad.yaml:6: stages.1: Shop: a stage that supplies no other needs demand (demand_mean, demand_sd) or a "
        "demand_bound of 0",
    ),
    "no service level": (
        *("  safety_factor: 2\n", ""),
        "bad.yaml:6: stages.1: Shop: a stage with customers needs a service_level (or a safety_factor)\n"
        "bad.yaml: --service LEVEL gives every stage with customers the same service level",
    ),
    "a service level of 1": (
        *("safety_factor: 2", "service_level: 1"),
        "bad.yaml:12: stages.1.service_level: must be less than 1 (got 1)",
    ),
    "an unknown supplier": (
        *("[Part]", "[Parts]"),
        "bad.yaml:9: stages.1.suppliers: Shop: there is no stage 'Parts'; did you mean 'Part'?",
    ),
    "a name twice": (
        *("name: Shop", "name: Part"),
        "bad.yaml:3: stages.0.name: there are 2 stages 'Part'; every name must occur once\n"
        "bad.yaml:6: stages.1.name: there are 2 stages 'Part'; every name must occur once",
    ),
    "several defects": (
        *("  stage_time: 1\n  holding_cost: 3\n", "  stage_tme: 1\n  holding_cost: -3\n"),
        "bad.yaml:6: stages.1.stage_time: is required\n"
        "bad.yaml:7: stages.1.stage_tme: unknown key; did you mean 'stage_time'?\n"
        "bad.yaml:8: stages.1.holding_cost: must be at least 0 (got -3)",
    ),
    "stages that are none": (SHOP, "stages: 3\n", "bad.yaml:1: stages: must be a list (got 3)"),
    "another kind of file": (
        *(SHOP, "name: shop\n"),
        "bad.yaml: must have the key 'stages' (a file of stages) or 'nodes' (a network file)",
    ),
}


@pytest.mark.parametrize("defect", BROKEN)
def test_a_broken_file_ends_with_2_and_every_defect_by_its_line(defect: str, command: Command) -> None:
    before, after, message = BROKEN[defect]
    assert before in SHOP
    Path("bad.yaml").write_text(SHOP.replace(before, after), encoding="utf-8")
    assert command("plan", "--method", "gsm", "bad.yaml") == Ended(2, "", message + "\n")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("bulldozr", "--method", "gsm"), "bulldozr: there is no such file or example; did you mean 'bulldozer'?"),
        (("shop.yaml", "--method", "gms"), "--method: must be a planning method (got 'gms'); did you mean 'gsm'?"),
        (
            ("shop.yaml", "--method", "mrp"),
            "--method: must be a planning method (got 'mrp'); known: assp, dynamic, gsm, minmax, multistage",
        ),
        (
            ("shop.yaml", "--method", "gsm", "--service", "1"),
            "--service: must be greater than 0.5 and less than 1 (got 1)",
        ),
        (("shop.yaml", "--method", "gsm", "--json", "--csv", "plan.csv"), "--json and --csv: give one of them"),
        (
            ("shop.yaml", "--method", "gsm", "--csv", "shop.yaml"),
            "shop.yaml: the file exists already; choose another one with --csv",
        ),
        (("shop.yaml", "--method", "gsm", "--csv", "no/plan.csv"), "no/plan.csv: the folder no must exist"),
    ],
)
def test_a_plan_that_cannot_be_made_writes_nothing(
    arguments: tuple[str, ...], message: str, command: Command, tmp_path: Path
) -> None:
    assert command("plan", *arguments) == Ended(2, "", message + "\n")
    assert [(file.name, file.read_text(encoding="utf-8")) for file in tmp_path.iterdir()] == [("shop.yaml", SHOP)]


def test_a_network_that_has_no_stages_is_refused_by_the_rule_that_it_breaks(command: Command) -> None:
    second = "- {source: outside, target: Shop, lead_time: 1, component: Depot}\n"
    Path("depot.yaml").write_text(NETWORK + second, encoding="utf-8")
    message = "guaranteed_service needs one source for every component (got several of 'Depot' at 'Shop')\n"
    assert command("plan", "--method", "gsm", "depot.yaml") == Ended(2, "", message)


@needs_willems
def test_a_real_supply_chain_is_imported_as_stages_and_planned(command: Command) -> None:
    arguments = ("import", "willems", str(WILLEMS), "--chain", "1", "--convention")
    said = "8 stages, 10 arcs, 3 with customers\n"
    assert command(*arguments, "canonical") == Ended(0, f"willems_1.yaml: {said}", "")
    assert command(*arguments, "moncayo", "--out", "m.yaml") == Ended(0, f"m.yaml: {said}", "")
    assert StageNetwork.from_yaml("willems_1.yaml").name == "willems_01"
    # Costs proven by another solver.
    for file, cost in (("willems_1.yaml", 3966.4619156911317), ("m.yaml", 3965.4644566951597)):
        assert planned(command, file)["cost"] == pytest.approx(cost, rel=1e-9)
    again = command(*arguments, "canonical")
    assert again == Ended(2, "", "willems_1.yaml: the file exists already; choose another one with --out\n")
    message = (
        "--service: changes nothing at stage Manuf_0001, to which m.yaml gives a demand_bound; leave one of them out"
    )
    assert command("plan", "--method", "gsm", "m.yaml", "--service", "0.9") == Ended(2, "", message + "\n")


@needs_willems
def test_a_written_plan_sums_to_its_cost(command: Command) -> None:
    command("import", "willems", str(WILLEMS), "--chain", "3", "--convention", "canonical")
    command("plan", "--method", "gsm", "willems_3.yaml", "--csv", "plan.csv")
    with Path("plan.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert len(rows) == 17
    assert sum(float(row["cost"]) for row in rows) == pytest.approx(2745337.895922984, rel=1e-9)
    assert all(
        float(row["cost"]) == pytest.approx(float(row["holding_cost"]) * float(row["safety_stock"])) for row in rows
    )


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--convention", "willems"), "--convention: must be one of canonical, moncayo (got 'willems')"),
        (("--convention", "moncayo", "--holding-rate", "-1"), "holding_rate must be at least 0 and finite (got -1.0)"),
    ],
)
def test_a_chain_that_cannot_be_imported_so_is_refused(
    arguments: tuple[str, ...], message: str, command: Command
) -> None:
    assert command("import", "willems", ".", "--chain", "1", *arguments) == Ended(2, "", message + "\n")


def test_the_picture_of_a_plan_is_written_beside_its_figures(command: Command) -> None:
    ended = command("plan", "--method", "gsm", "bulldozer", "--json", "--picture", "bulldozer.svg")
    assert json.loads(ended.out)["cost"] == pytest.approx(632_775.03, abs=0.01)
    assert "Final_Assembly" in Path("bulldozer.svg").read_text(encoding="utf-8")
    again = command("plan", "--method", "gsm", "bulldozer", "--picture", "bulldozer.svg")
    assert again == Ended(2, "", "bulldozer.svg: the file exists already; choose another one with --picture\n")
    other = command("plan", "--method", "gsm", "bulldozer", "--picture", "bulldozer.png")
    assert other == Ended(2, "", "the name of a picture must end in .svg (got bulldozer.png)\n")


TABLES = {
    "items": "item,category\ntea,\n",
    "locations": "location,kind\nDepot,warehouse\nShop,outlet\n",
    "lanes": "source,location,duration\nDepot,Shop,1\n",
    "item_locations": (
        "item,location,method,safety_days,service_level,lead_time,holding_cost,demand_error\n"
        "tea,Depot,SZ,2,,2,1,\n"
        "tea,Shop,SZ,3,0.95,,2,0.25\n"
    ),
    "forecasts": "item,location,period,quantity\ntea,Shop,2024-01-01,8\ntea,Shop,2024-01-02,8\n",
}


def write_tables(folder: str, **files: str) -> None:
    """Write the planner's tables into a new folder, some of them replaced."""
    Path(folder).mkdir()
    for name, text in {**TABLES, **files}.items():
        (Path(folder) / f"{name}.csv").write_text(text, encoding="utf-8")


def test_a_folder_of_tables_is_planned_into_a_new_folder(command: Command) -> None:
    write_tables("data")
    summary = """\
assp: 2 item-locations, 2 periods from 2024-01-01 to 2024-01-02
item  locations     mean demand    safety stock     cycle stock  pipeline stock
tea           2              16              40               0              24
"""
    ended = command("plan", "--method", "assp", "data", "--out", "plan")
    assert (ended.code, ended.err) == (0, "")
    assert ended.out.startswith(summary)
    series = """\
item,location,period,mean_demand,safety_stock,safety_days,cycle_stock,pipeline_stock,prebuild_stock,\
merchandising_stock,target_position,reorder_position
tea,Depot,2024-01-01,8.0,16.0,2.0,0.0,16.0,0.0,0.0,32.0,32.0
tea,Depot,2024-01-02,8.0,16.0,2.0,0.0,16.0,0.0,0.0,32.0,32.0
tea,Shop,2024-01-01,8.0,24.0,3.0,0.0,8.0,0.0,0.0,40.0,40.0
tea,Shop,2024-01-02,8.0,24.0,3.0,0.0,8.0,0.0,0.0,40.0,40.0
"""
    assert Path("plan/series.csv").read_text(encoding="utf-8") == series
    with Path("plan/log.csv").open(encoding="utf-8", newline="") as stream:
        rows = [(row["location"], row["planned_stock"], row["status"]) for row in csv.DictReader(stream)]
    assert rows == [("Depot", "16.0", "planned")] * 2 + [("Shop", "24.0", "planned")] * 2
    files = ["parameters.csv", "series.csv", "log.csv", "alerts.csv", "report.html"]
    assert ended.out.splitlines()[-1] == f"plan: {', '.join(files)}"
    assert sorted(file.name for file in Path("plan").iterdir()) == sorted(files)
    again = command("plan", "--method", "assp", "data", "--out", "plan")
    assert again == Ended(2, "", "plan: the folder must be new or empty\n")


def test_a_plan_is_cut_to_a_budget_and_to_storage_where_that_is_asked(command: Command) -> None:
    write_tables("data", locations="location,storage\nDepot,10\nShop,\n")
    assert command("plan", "--method", "assp", "data", "--out", "free").code == 0
    assert "storage_exceeded" in Path("free/alerts.csv").read_text(encoding="utf-8")
    ended = command("plan", "--method", "assp", "data", "--out", "plan", "--budget", "30", "--within-storage")
    assert (ended.code, ended.err) == (0, "")
    with Path("plan/log.csv").open(encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    stock = {row["location"]: float(row["safety_stock"]) for row in rows}
    assert stock["Depot"] <= 10
    assert 29.9 < sum(stock.values()) <= 30  # and what is backordered in the mean
    assert all(float(row["budget_price"]) > 0 for row in rows)
    fired = Path("plan/alerts.csv").read_text(encoding="utf-8")
    assert "storage_exceeded" not in fired
    assert "to keep the budget, of which a unit more would save" in fired
    report = Path("plan/report.html").read_text(encoding="utf-8")
    assert "echelon plan --method assp data --budget 30 --within-storage --out DIR" in report
    refused = command("plan", "--method", "gsm", "shop.yaml", "--budget", "30")
    assert refused == Ended(2, "", "--budget, --within-storage: only a folder of tables takes them (got 'shop.yaml')\n")


@pytest.mark.parametrize("method", ["dynamic", "multistage", "gsm"])
def test_every_method_plans_a_folder(method: str, command: Command) -> None:
    write_tables("data")
    ended = command("plan", "--method", method, "data", "--out", "plan")
    assert (ended.code, ended.err, ended.out.split(",")[0]) == (0, "", f"{method}: 2 item-locations")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("data", "--method", "assp"), "data: a folder of tables is planned with --out"),
        (
            ("data", "--method", "gsm", "--out", "plan", "--service", "0.9", "--json"),
            "data: a folder of tables is planned with --out, without --service, without --json",
        ),
        (("date", "--method", "assp", "--out", "plan"), "date: there is no such folder"),
        (
            ("data", "--method", "asp", "--out", "plan"),
            "--method: must be a planning method (got 'asp'); did you mean 'assp'?",
        ),
        (("data", "--method", "assp", "--out", "no/plan"), "no/plan: the folder no must exist"),
        (
            ("broken", "--method", "assp", "--out", "plan"),
            "broken/item_locations.csv:2: safety_days: must be at least 0 (got '-2')\n"
            "broken/forecasts.csv:2: location: 'Shap' is not in locations; did you mean 'Shop'?",
        ),
    ],
)
def test_a_folder_that_cannot_be_planned_leaves_nothing(
    arguments: tuple[str, ...], message: str, command: Command
) -> None:
    write_tables("data")
    write_tables(
        "broken",
        item_locations=TABLES["item_locations"].replace("SZ,2", "SZ,-2"),
        forecasts=TABLES["forecasts"].replace("Shop,2024-01-01", "Shap,2024-01-01"),
    )
    assert command("plan", *arguments) == Ended(2, "", message + "\n")
    assert sorted(path.name for path in Path().iterdir()) == ["broken", "data", "shop.yaml"]


def test_a_network_that_the_model_does_not_know_is_refused(command: Command) -> None:
    shop = "nodes:\n- {name: shop, holding_cost: 1.0, %s demand: {law: poisson, mean: 5}}\nlinks:\n- {target: shop%s}\n"
    for node, link, message in (
        ("stockout_cost: 9.0, stockout_rule: lost_sales,", "", "guaranteed_service needs backorders at every outlet"),
        ("stockout_cost: 9.0,", ", fixed_cost: 50.0", "guaranteed_service needs no fixed cost per order"),
        ("", "", "guaranteed_service needs a stockout_cost at shop, or a service_level"),
    ):
        Path("net.yaml").write_text(shop % (node, link), encoding="utf-8")
        assert command("plan", "--method", "gsm", "net.yaml") == Ended(2, "", message + "\n")
    assert command("plan", "--method", "gsm", "net.yaml", "--service", "0.9").code == 0
