"""Networks from other people's data: the chains of Willems (2008) and demand histories in CSV files."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest

from echelon.envs.demand import Deterministic, Empirical, Gamma, Normal
from echelon.envs.errors import DemandError, NetworkError
from echelon.envs.history import COLUMNS, DemandHistory, history_network, load_history
from echelon.envs.network import OUTSIDE, Network
from echelon.envs.willems import CHAINS, CITATION, load_willems

ROOT = Path(__file__).parents[1]
WILLEMS = ROOT.parent / "shared" / "reference" / "willems2008"
needs_willems = pytest.mark.skipif(not WILLEMS.exists(), reason="the data set of Willems (2008) is not here")

STAGES = """\
chain,Stage_Name,stageCost,avgDemand,stdDevDemand,serviceLevel,stageTime
1,Part,4,,,,2.25
1,Plant,6,,,,2.5
1,Shop,0,10,4,0.9,0
1,Kiosk,1,10,4.01,,1
1,Stall,0,10,0,1,0
2,Part,1,5,0,0.95,1
"""
ARCS = """\
chain,source,destination
1,Part,Plant
1,Part,Plant
1,Plant,Shop
1,Plant,Kiosk
1,Part,Kiosk
1,Plant,Stall
"""


@pytest.fixture
def small(tmp_path: Path) -> Path:
    """A folder with two chains in the form of the data set."""
    (tmp_path / "stages.csv").write_text(STAGES, encoding="utf-8")
    (tmp_path / "arcs.csv").write_text(ARCS, encoding="utf-8")
    return tmp_path


@needs_willems
def test_willems_chain_1_is_the_network_of_the_data() -> None:
    network = load_willems(WILLEMS, 1, holding_rate=0.5)
    cumulative = {node.name: node.holding_cost / 0.5 for node in network.nodes}
    # Manuf_0001 adds 39 to parts of 12, 5 and 9; Manuf_0002 adds 36; Retail_0002 needs a unit of both.
    assert cumulative == {
        "Manuf_0001": 65,
        "Manuf_0002": 62,
        "Part_0001": 12,
        "Part_0002": 5,
        "Part_0003": 9,
        "Retail_0001": 65,
        "Retail_0002": 127,
        "Retail_0003": 62,
    }
    assert {(link.source, link.target): link.lead_time for link in network.links} == {
        (OUTSIDE, "Part_0001"): 28,
        (OUTSIDE, "Part_0002"): 15,
        (OUTSIDE, "Part_0003"): 10,
        ("Part_0001", "Manuf_0001"): 10,
        ("Part_0002", "Manuf_0001"): 10,
        ("Part_0003", "Manuf_0001"): 10,
        ("Part_0001", "Manuf_0002"): 10,
        ("Part_0002", "Manuf_0002"): 10,
        ("Part_0003", "Manuf_0002"): 10,
        ("Manuf_0001", "Retail_0001"): 0,
        ("Manuf_0001", "Retail_0002"): 0,
        ("Manuf_0002", "Retail_0002"): 0,
        ("Manuf_0002", "Retail_0003"): 0,
    }
    assert [(node.name, node.demand) for node in network.outlets] == [
        ("Retail_0001", Normal(mean=253, sd=36.62)),
        ("Retail_0002", Normal(mean=45, sd=1)),
        ("Retail_0003", Normal(mean=75, sd=2)),
    ]
    assert all(node.stockout_cost == pytest.approx(19 * node.holding_cost) for node in network.outlets)
    assert CITATION in network.description


@needs_willems
@pytest.mark.parametrize("chain", CHAINS)
def test_every_willems_chain_loads_with_all_its_stages_and_arcs(chain: int) -> None:
    network = load_willems(WILLEMS, chain)
    with (WILLEMS / "chains.csv").open(encoding="utf-8", newline="") as stream:
        (summary,) = [row for row in csv.DictReader(stream) if row["chain"] == str(chain)]
    assert len(network.nodes) == int(summary["n_stages"])
    assert len([link for link in network.links if link.source != OUTSIDE]) == int(summary["n_arcs"])
    assert len(network.outlets) == int(summary["n_demand_stages"])
    ratios = {
        node.stockout_cost / (node.stockout_cost + node.holding_cost) for node in network.outlets if node.holding_cost
    }
    levels = {float(level) for level in summary["service_levels"].split(";")}
    assert {round(ratio, 9) for ratio in ratios} <= levels


def test_a_chain_is_built_as_documented(small: Path) -> None:
    network = load_willems(small, 1, holding_rate=0.1, verify=False)
    nodes = {node.name: node for node in network.nodes}
    links = {link.label: link for link in network.links}
    assert list(links) == [
        "outside -> Part",
        "Part -> Plant",
        "Plant -> Shop",
        "Plant -> Kiosk",
        "Part -> Kiosk",
        "Plant -> Stall",
    ]
    costs = {"Part": 0.4, "Plant": 1.0, "Shop": 1.0, "Kiosk": 1.5, "Stall": 1.0}
    assert {name: node.holding_cost for name, node in nodes.items()} == pytest.approx(costs)
    assert nodes["Shop"].demand == Normal(mean=10, sd=4)
    assert nodes["Kiosk"].demand == Gamma(mean=10, sd=4.01)
    assert nodes["Stall"].demand == Deterministic(values=(10,))
    # The service levels are 0.9, the default 0.95, and 1 cut to 0.999.
    assert nodes["Shop"].stockout_cost == pytest.approx(9)
    assert nodes["Kiosk"].stockout_cost == pytest.approx(1.5 * 19)
    assert nodes["Stall"].stockout_cost == pytest.approx(999)
    assert links["outside -> Part"].transit_holding_cost == 0
    assert links["Part -> Kiosk"].transit_holding_cost == pytest.approx(0.4)


@pytest.mark.parametrize(("rounding", "part", "plant"), [("up", 3, 3), ("nearest", 2, 3)])
def test_fractional_stage_times_are_rounded(rounding: str, part: int, plant: int, small: Path) -> None:
    network = load_willems(small, 1, rounding=rounding, verify=False)  # type: ignore[arg-type]
    lead_times = {link.label: link.lead_time for link in network.links}
    assert lead_times["outside -> Part"] == part
    assert lead_times["Part -> Plant"] == plant


def test_a_chain_needs_the_files_of_the_data_set(small: Path, tmp_path: Path) -> None:
    with pytest.raises(NetworkError, match=r"chain must be a whole number from 1 to 38 \(got 39\)"):
        load_willems(small, 39)
    with pytest.raises(NetworkError, match=r"stages\.csv: the SHA-256 checksum must be a86f.*pass verify=False"):
        load_willems(small, 1)
    with pytest.raises(NetworkError, match=r"nowhere/stages\.csv: No such file or directory; .*Willems"):
        load_willems(tmp_path / "nowhere", 1)
    with pytest.raises(NetworkError, match="rounding must be 'up' or 'nearest'"):
        load_willems(small, 1, rounding="down")  # type: ignore[arg-type]
    with pytest.raises(NetworkError, match="holding_rate must be at least 0"):
        load_willems(small, 1, holding_rate=-1)


@pytest.mark.parametrize(
    ("arc", "message"),
    [
        ("1,Plant,Part\n", r"must form no cycle \(got P\w+ -> P\w+ -> P\w+\)"),
        ("1,Plant,Shp\n", "chain 1 has no stage for Plant -> Shp"),
    ],
)
def test_arcs_that_make_no_network_are_refused(arc: str, message: str, small: Path) -> None:
    (small / "arcs.csv").write_text(ARCS + arc, encoding="utf-8")
    with pytest.raises(NetworkError, match=message):
        load_willems(small, 1, verify=False)


@needs_willems
def test_a_changed_byte_is_noticed(tmp_path: Path) -> None:
    for name in ("stages.csv", "arcs.csv"):
        shutil.copyfile(WILLEMS / name, tmp_path / name)
    arcs = tmp_path / "arcs.csv"
    arcs.write_bytes(arcs.read_bytes() + b"1,Part_0001,Retail_0001\n")
    with pytest.raises(NetworkError, match=r"arcs\.csv: the SHA-256 checksum must be"):
        load_willems(tmp_path, 1)
    assert len(load_willems(tmp_path, 1, verify=False).links) == 14


def test_the_importers_load_no_pandas() -> None:
    code = "import echelon.envs.history, echelon.envs.willems, sys; print('pandas' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


HISTORY = """\
location,quantity,date,note,item
Lyon,3,2024-01-01,a Monday,valve
Lyon,2,2024-01-07,a Sunday,valve
Turin,1.5,2024-02-01,,valve
Lyon,4,2024-01-17,,hose
"""


def history(tmp_path: Path, text: str = HISTORY, period: str = "W") -> DemandHistory:
    path = tmp_path / "history.csv"
    path.write_text(text, encoding="utf-8")
    return load_history(path, period=period)  # type: ignore[arg-type]


def history_problems(tmp_path: Path, text: str) -> list[str]:
    with pytest.raises(DemandError) as caught:
        history(tmp_path, text)
    return str(caught.value).replace(f"{tmp_path}/", "").split("\n")


def test_rows_are_summed_by_week_and_weeks_without_rows_have_no_demand(tmp_path: Path) -> None:
    read = history(tmp_path)
    assert read.starts == tuple(date(2024, 1, day) for day in (1, 8, 15, 22, 29))
    assert read.series == {
        ("valve", "Lyon"): (5, 0, 0, 0, 0),
        ("valve", "Turin"): (0, 0, 0, 0, 1.5),
        ("hose", "Lyon"): (0, 0, 4, 0, 0),
    }
    assert read.items == ("valve", "hose")
    assert read.locations == ("Lyon", "Turin")


def test_periods_may_be_days_or_months(tmp_path: Path) -> None:
    days = history(tmp_path, period="D")
    assert len(days.starts) == 32
    assert days.series["valve", "Lyon"][:7] == (3, 0, 0, 0, 0, 0, 2)
    months = history(tmp_path, HISTORY + "Lyon,9,2025-01-31,,hose\n", period="M")
    assert months.starts == (*(date(2024, month, 1) for month in range(1, 13)), date(2025, 1, 1))
    assert months.series["hose", "Lyon"] == (4, *[0] * 11, 9)
    with pytest.raises(DemandError, match=r"period must be one of D, W, M \(got 'Q'\)"):
        history(tmp_path, period="Q")


def test_every_broken_row_is_told_by_row_column_and_value(tmp_path: Path) -> None:
    text = "date,item,location,quantity\n" + "\n".join(
        [
            "2024-01-01,valve,Lyon,3",
            "01/02/2024,valve,Lyon,3",
            "2024-02-30,valve,Lyon,3",
            "2024-01-01,,Lyon,3",
            "2024-01-01,valve, ,-1",
            "2024-01-01,valve,Lyon,nan",
            "2024-01-01,valve,Lyon,inf",
            "2024-01-01,valve,Lyon,1_000",
            "2024-01-01,valve,Lyon,",
            "",
            "2024-01-01,valve,Lyon,1,000",
            '2024-01-01,valve,"Lyon, north",three',
        ]
    )
    quantity = "quantity: must be a finite number of at least 0"
    assert history_problems(tmp_path, text) == [
        "history.csv:3: date: must be an ISO date such as 2024-03-31 (got '01/02/2024')",
        "history.csv:4: date: must be an ISO date such as 2024-03-31 (got '2024-02-30')",
        "history.csv:5: item: must not be empty (got '')",
        "history.csv:6: location: must not be empty (got '')",
        f"history.csv:6: {quantity} (got '-1')",
        f"history.csv:7: {quantity} (got 'nan')",
        f"history.csv:8: {quantity} (got 'inf')",
        f"history.csv:9: {quantity} (got '1_000')",
        f"history.csv:10: {quantity} (got '')",
        "history.csv:12: must have 4 columns (got 5)",
        f"history.csv:13: {quantity} (got 'three')",
    ]


def test_a_history_with_many_broken_rows_lists_the_first_and_counts_the_rest(tmp_path: Path) -> None:
    lines = history_problems(tmp_path, "date,item,location,quantity\n" + "2024-01-01,valve,Lyon,x\n" * 50)
    assert len(lines) == 21
    assert lines[-1] == "history.csv: and 30 more"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", [f"history.csv:1: the header must have the column {name!r} once (got nothing)" for name in COLUMNS]),
        (
            "date,item,place,quantity\n2024-01-01,valve,Lyon,x\n",
            ["history.csv:1: the header must have the column 'location' once (got date, item, place, quantity)"],
        ),
        (
            "date,item,item,location,quantity\n",
            ["history.csv:1: the header must have the column 'item' once (got date, item, item, location, quantity)"],
        ),
        ("date,item,location,quantity\n\n", ["history.csv: the history must have at least one row below its header"]),
        (
            'date,item,location,quantity\n2024-01-01,valve,"Lyon,3\n',
            ["history.csv:2: the history must be a CSV file: unexpected end of data"],
        ),
    ],
)
def test_a_file_that_is_no_history_is_refused(text: str, expected: list[str], tmp_path: Path) -> None:
    assert history_problems(tmp_path, text) == expected


def test_a_history_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(DemandError, match=r"none\.csv: the history cannot be read: No such file or directory"):
        load_history(tmp_path / "none.csv")
    (tmp_path / "latin.csv").write_bytes(b"date,item,location,quantity\n2024-01-01,\xe9,Lyon,3\n")
    with pytest.raises(DemandError, match=r"latin\.csv: the history must be text in UTF-8"):
        load_history(tmp_path / "latin.csv")


def build(read: DemandHistory, **options: object) -> Network:
    return history_network(read, lead_time=2, holding_cost=1.0, stockout_cost=9.0, **options)  # type: ignore[arg-type]


def test_a_history_network_has_an_outlet_per_series(tmp_path: Path) -> None:
    network = build(history(tmp_path))
    assert [node.name for node in network.nodes] == ["valve@Lyon", "valve@Turin", "hose@Lyon"]
    assert {(link.source, link.lead_time) for link in network.links} == {(OUTSIDE, 2)}
    assert {node.stockout_rule for node in network.nodes} == {"lost_sales"}
    assert network.nodes[0].demand == Empirical(values=(5, 0, 0, 0, 0))
    assert network.nodes[0].holding_cost == 1
    assert network.nodes[0].stockout_cost == 9


def test_a_history_network_may_have_a_warehouse_per_item(tmp_path: Path) -> None:
    network = build(history(tmp_path), warehouse_lead_time=4, stockout_rule="backorder")
    assert [(link.label, link.lead_time) for link in network.links] == [
        ("outside -> valve@warehouse", 4),
        ("outside -> hose@warehouse", 4),
        ("valve@warehouse -> valve@Lyon", 2),
        ("valve@warehouse -> valve@Turin", 2),
        ("hose@warehouse -> hose@Lyon", 2),
    ]
    warehouse = network.nodes[0]
    assert (warehouse.name, warehouse.holding_cost, warehouse.demand) == ("valve@warehouse", 0.5, None)
    assert {node.stockout_rule for node in network.outlets} == {"backorder"}


@pytest.mark.parametrize(
    ("item", "location", "names"),
    [
        ("valve", None, ["valve@Lyon", "valve@Turin"]),
        (None, "Lyon", ["valve@Lyon", "hose@Lyon"]),
        ("hose", "Lyon", ["hose@Lyon"]),
    ],
)
def test_a_history_network_may_be_of_one_item_or_location(
    item: str | None, location: str | None, names: list[str], tmp_path: Path
) -> None:
    assert [node.name for node in build(history(tmp_path), item=item, location=location).nodes] == names


def test_the_bootstrap_draws_blocks_of_a_quarter_of_weeks() -> None:
    read = load_history(ROOT / "configs" / "history_example.csv")
    assert len(read.starts) == 156
    laws = [node.demand for node in build(read, method="bootstrap").nodes]
    assert [law.block for law in laws if isinstance(law, Empirical)] == [13, 13, 13]
    assert build(read, method="bootstrap").whole_units
    assert build(read, method="bootstrap", block=12).nodes[0].demand == Empirical(
        values=read.series["valve", "Rotterdam"], block=12
    )


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"item": "vlave"}, DemandError, r"the history has no item 'vlave'; did you mean 'valve'\?"),
        ({"location": "Rome"}, DemandError, "the history has no location 'Rome'; known: Lyon, Turin"),
        ({"item": "hose", "location": "Turin"}, DemandError, "no demand for the item 'hose' at the location 'Turin'"),
        ({"method": "kde"}, DemandError, r"method must be 'empirical' or 'bootstrap' \(got 'kde'\)"),
        ({"block": 4}, DemandError, r"block must be left out or 1 unless the method is 'bootstrap' \(got 4\)"),
        ({"method": "bootstrap", "block": 3}, DemandError, "blocks of 3 weeks needs a history of at least 6"),
        ({"warehouse_lead_time": -1}, NetworkError, r"links\.0\.lead_time: must be at least 0 \(got -1\)"),
    ],
)
def test_options_that_do_not_fit_the_history_are_refused(
    options: dict[str, object], error: type[Exception], message: str, tmp_path: Path
) -> None:
    with pytest.raises(error, match=message):
        build(history(tmp_path), **options)
