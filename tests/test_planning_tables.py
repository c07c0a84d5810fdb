"""A planner's tables: what is read, what every defect is called, and that nothing is half written."""

from __future__ import annotations

import builtins
import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from echelon.baselines.planning import PLANNERS, plan_tables
from echelon.baselines.planning_example import SAP_COLUMNS, example_tables, renamed
from echelon.baselines.planning_inputs import planning_inputs
from echelon.baselines.planning_schema import METHODS, SCHEMA
from echelon.baselines.planning_tables import PlanningTables, check_tables, read_tables, write_folder, write_tables
from echelon.baselines.safety_stock import METHODS as SAFETY_STOCK_METHODS
from echelon.envs.errors import ConfigError, MethodError, MissingExtraError

GOOD = {
    "items": "item,category,unit_value\ntea,foods,2.5\nsoap,care,1\n",
    "locations": "location,kind,storage\nDepot,warehouse,\nShop,outlet,900\n",
    "lanes": "source,location,item,duration,unit_cost\nDepot,Shop,tea,2,0.1\n",
    "item_locations": (
        "item,location,method,service_level,lead_time,holding_cost,lot_size,shelf_life\n"
        "tea,Depot,AS,0.9,4,0.5,0,\n"
        "tea,Shop,BT,0.98,,1,12,30\n"
        "soap,Shop,BT,0.95,1,1,0,\n"
    ),
    "forecasts": (
        "item,location,period,quantity\ntea,Shop,2024-01-01,5\ntea,Shop,2024-01-02,6\nsoap,Shop,2024-01-01,3\n"
        "soap,Shop,2024-01-02,3\n"
    ),
    "demand": "item,location,period,quantity\ntea,Shop,2023-12-31,4\n",
    "stock": "item,location,on_hand\ntea,Shop,15\n",
}


def written(folder: Path, **files: str) -> Path:
    """A folder of sound tables, with some of them replaced."""
    for name, text in {**GOOD, **files}.items():
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return folder


def problems(folder: Path) -> list[str]:
    """What is wrong with the tables of a folder, without the path of the folder."""
    with pytest.raises(ConfigError) as caught:
        read_tables(folder)
    return [problem.replace(f"{folder}/", "") for problem in caught.value.problems]


def test_tables_are_read_with_their_kinds_and_defaults(tmp_path: Path) -> None:
    tables = read_tables(written(tmp_path))
    depot, shop, _ = tables["item_locations"].to_dict("records")
    assert (shop["method"], shop["service_kind"], shop["lot_size"], shop["shelf_life"]) == ("BT", "beta", 12.0, 30.0)
    assert np.isnan(depot["shelf_life"])
    assert shop["external"] is False
    assert tables["forecasts"]["period"].tolist()[0] == pd.Timestamp("2024-01-01")
    assert tables["items"]["priority"].dtype == np.int64
    assert tables["receipts"].empty
    assert list(tables["receipts"].columns) == [column.name for column in SCHEMA["receipts"].columns]
    assert tables.provenance["items"] == str(tmp_path / "items.csv")


def test_an_empty_lead_time_is_the_duration_of_the_lane(tmp_path: Path) -> None:
    rows = read_tables(written(tmp_path))["item_locations"]
    assert rows["lead_time"].tolist() == [4.0, 2.0, 1.0]
    soap = GOOD["item_locations"].replace("soap,Shop", "soap,Depot").replace("0.95,1,1", "0.95,,1")
    forecasts = GOOD["forecasts"].replace("soap,Shop", "soap,Depot")
    assert problems(written(tmp_path, item_locations=soap, forecasts=forecasts)) == [
        "item_locations.csv:4: lead_time: is required where no lane leads to the location"
    ]


def test_twelve_seeded_defects_are_all_found_each_by_file_row_and_column(tmp_path: Path) -> None:
    folder = written(
        tmp_path,
        items="item,category,unit_value\ntea,foods,2.5\nsoap,care,1\ntea,foods,2\n",
        locations="location,kind,storage\nDepot,shed,\nShop,outlet,900\n",
        lanes="source,location,item,duration,unit_cost\nDepot,Shop,tea,2,-0.1\n",
        item_locations=(
            "item,location,method,service_level,lead_time,holding_cost,lot_size,shelf_life\n"
            "tea,Depot,XX,0.9,4,0.5,0,\n"
            "tea,Shop,BT,1,2,1,12,30\n"
            "soap,Shop,BT,0.95,1,,0,\n"
            "soap,Shap,BT,0.95,1,1,0,2.5\n"
        ),
        forecasts="item,location,period,quantity\ntea,Shop,2024-13-01,5\ntea,Shop,2024-01-02,many\n",
        demand="item,location,period,quantity\nsoap,Depot,2023-12-31,4\n",
        stock="item,location,onhand,on_hand\ntea,Shop,15,15\n",
    )
    (tmp_path / "forecast.csv").write_text("item\n")
    assert problems(folder) == [
        "forecast.csv: there is no such table; did you mean 'forecasts'?",
        "items.csv:4: there are two rows for item 'tea'",
        "locations.csv:2: kind: must be one of factory, warehouse, outlet (got 'shed')",
        "lanes.csv:2: unit_cost: must be at least 0 (got '-0.1')",
        f"item_locations.csv:2: method: must be one of {', '.join(METHODS)} (got 'XX')",
        "item_locations.csv:3: service_level: must be less than 1 (got '1')",
        "item_locations.csv:4: holding_cost: is required",
        "item_locations.csv:5: shelf_life: must be a whole number (got '2.5')",
        "forecasts.csv:2: period: must be a date such as 2024-01-31 (got '2024-13-01')",
        "forecasts.csv:3: quantity: must be a finite number (got 'many')",
        "stock.csv: unknown column 'onhand'; did you mean 'on_hand'?",
        "item_locations.csv:5: location: 'Shap' is not in locations; did you mean 'Shop'?",
        "demand.csv:2: 'soap' at 'Depot' is not in item_locations",
    ]


def test_a_name_that_is_unknown_is_told_once_for_each_column_with_few_of_those_that_are_known(tmp_path: Path) -> None:
    places = "location\n" + "".join(f"Depot {k}\n" for k in range(9)) + "Depot\nShop\n"
    days = "".join(f"tea,Xyz,2024-01-{day:02d},5\n" for day in range(1, 29))
    forecasts = f"{GOOD['forecasts']}{days}soap,Depot,2024-01-01,5\nsoap,Depot,2024-01-02,5\n"
    assert problems(written(tmp_path, locations=places, forecasts=forecasts)) == [
        "forecasts.csv:6: location: 'Xyz' is not in locations (28 rows); "
        "known: Depot, Depot 0, Depot 1, Depot 2, Depot 3 and 6 more",
        "forecasts.csv:34: 'soap' at 'Depot' is not in item_locations (2 rows)",
    ]


def test_what_a_misspelt_name_leads_to_is_not_told_as_well(tmp_path: Path) -> None:
    rows = GOOD["item_locations"].replace("tea,Depot", "tea,Depott").replace("soap,Shop", "soup,Shop")
    forecasts = f"{GOOD['forecasts']}tea,Depot,2024-01-01,5\nsoap,Depot,2024-01-01,5\n"
    assert problems(written(tmp_path, item_locations=rows, forecasts=forecasts)) == [
        "item_locations.csv:4: item: 'soup' is not in items; did you mean 'soap'?",
        "item_locations.csv:2: location: 'Depott' is not in locations; did you mean 'Depot'?",
        "forecasts.csv:7: 'soap' at 'Depot' is not in item_locations",
    ]


def test_what_a_method_needs_is_told_by_file_row_item_and_location(tmp_path: Path) -> None:
    rows = GOOD["item_locations"].replace("AS,0.9", "AS,").replace("BT,0.95", "BT,").replace("BT,0.98", "SZ,")
    tables = read_tables(written(tmp_path, item_locations=rows))
    with pytest.raises(MethodError) as caught:
        plan_tables(tables, "assp")
    at, why = f"{tmp_path}/item_locations.csv", "where no row of service_targets fits"
    assert str(caught.value).splitlines() == [
        f"{at}:2: service_level: is required by method AS, {why} (tea at Depot)",
        f"{at}:4: service_level: is required by method BT, {why} (soap at Shop)",
        f"{at}:3: safety_days: is required by method SZ (tea at Shop)",
    ]
    for method in ("multistage", "gsm"):
        with pytest.raises(MethodError) as caught:
            plan_tables(tables, method)
        first = f"{at}:3: service_level: is required by {method} at locations with customers, {why} (tea at Shop)"
        assert str(caught.value).splitlines()[0] == first
    with pytest.raises(MethodError, match=r"^item_locations: service_level: .* \(soap at Shop\)$"):
        plan_tables(tables.only(item="soap"), "assp")
    kept = GOOD["item_locations"].replace("soap,Shop,BT", "soap,Shop,MB")
    tables = read_tables(written(tmp_path, item_locations=kept))
    for method in PLANNERS:
        with pytest.raises(MethodError) as caught:
            plan_tables(tables, method)
        assert str(caught.value) == f"{at}:4: safety_stock: is required, as it must not be replanned (soap at Shop)"


BROKEN: dict[str, tuple[dict[str, str], str]] = {
    "a column that is missing": (
        {"items": "category\nfoods\n"},
        "items.csv: the column 'item' is required",
    ),
    "no number": (
        {"stock": "item,location,on_hand\ntea,Shop,inf\n"},
        "stock.csv:2: on_hand: must be a finite number (got 'inf')",
    ),
    "a flag": (
        {"item_locations": GOOD["item_locations"].replace("shelf_life", "external").replace("30", "perhaps")},
        "item_locations.csv:3: external: must be true or false (got 'perhaps')",
    ),
    "a file that is no table": (
        {"stock": 'item,location,on_hand\ntea,"Shop,1\n'},
        "stock.csv: the file cannot be read: unexpected end of data",
    ),
    "a file without a header": ({"stock": ""}, "stock.csv: the column 'item' is required"),
    "a row with a cell too many": (
        {"stock": "item,location,on_hand\ntea,Shop,1,2\n"},
        "stock.csv:2: the row must have 3 cells, as the header (got 4)",
    ),
    "a row with a cell too few": (
        {"demand": GOOD["demand"] + "tea,Shop,2023-12-30\n"},
        "demand.csv:3: the row must have 4 cells, as the header (got 3)",
    ),
    "a column that is there twice": (
        {"stock": "item,location,on_hand,on_hand\ntea,Shop,1,2\n"},
        "stock.csv: there are two columns 'on_hand'",
    ),
    "nothing that is planned": (
        {"item_locations": GOOD["item_locations"].split("tea")[0]},
        "item_locations.csv: must have rows",
    ),
    "nothing that is forecast": ({"forecasts": "item,location,period,quantity\n"}, "forecasts.csv: must have rows"),
    "a quantity beyond all bounds": (
        {"stock": "item,location,on_hand\ntea,Shop,1e308\n"},
        "stock.csv:2: on_hand: must be at most 1e+12 (got '1e308')",
    ),
    "a forecast made before all time": (
        {"forecasts": "item,location,period,lag,quantity\ntea,Shop,2024-01-01,1e19,1\n"},
        "forecasts.csv:2: lag: must be at most 3660 (got '1e19')",
    ),
    "a rank beyond all bounds": (
        {"items": "item,priority\ntea,1e300\nsoap,1\n"},
        "items.csv:2: priority: must be at most 1e+12 (got '1e300')",
    ),
    "a capacity of nothing": (
        {"item_locations": GOOD["item_locations"].replace("lot_size", "capacity")},
        "item_locations.csv:2: capacity: must be at least 1 (got '0')",
    ),
    "a location that is outside": (
        {"locations": "location\nDepot\nShop\noutside\n"},
        "locations.csv:4: location: 'outside' is the name of what is not planned",
    ),
    "an item that nobody knows": (
        {"stock": "item,location,on_hand\nteas,Shop,1\n"},
        "stock.csv:2: item: 'teas' is not in items; did you mean 'tea'?",
    ),
    "an item at two places at once": (
        {"stock": "item,location,on_hand\ntea,Shop,1\ntea,Shop,2\n"},
        "stock.csv:3: there are two rows for item 'tea', location 'Shop'",
    ),
    "a lane for an item that its source does not stock": (
        {"lanes": "source,location,item,duration\nDepot,Shop,tea,2\nDepot,Shop,soap,2\n"},
        "lanes.csv:3: 'soap' is not in item_locations at 'Depot'",
    ),
    "a lane for all items, one of which its source does not stock": (
        {"lanes": "source,location,duration\nDepot,Shop,2\n"},
        "lanes.csv:2: 'soap' is not in item_locations at 'Depot'",
    ),
    "lanes in a circle": (
        {"lanes": "source,location,item,duration\nDepot,Shop,tea,1\nShop,Depot,tea,1\n"},
        "lanes.csv: locations must not supply one another in a cycle (tea at Depot)",
    ),
}


@pytest.mark.parametrize(
    "cell", ["2024", "2024-01", "2024-01-01T06:00", "2024-01-01T00:00+02:00", "9999-12-31", "1/2/24"]
)
def test_periods_are_whole_days(cell: str, tmp_path: Path) -> None:
    forecasts = f"item,location,period,quantity\ntea,Shop,{cell},5\n"
    message = f"forecasts.csv:2: period: must be a date such as 2024-01-31 (got '{cell}')"
    assert problems(written(tmp_path, forecasts=forecasts)) == [message]


def test_days_from_memory_have_no_time_and_no_zone(tmp_path: Path) -> None:
    sound = dict(read_tables(written(tmp_path)).tables)
    day = pd.Series(pd.to_datetime(["2024-01-01", "2024-01-02", "2024-01-01", "2024-01-02"]))
    for same in (day, day.astype(object), day.dt.date):
        again = check_tables(sound | {"forecasts": sound["forecasts"].assign(period=same)})
        pd.testing.assert_frame_equal(again["forecasts"], sound["forecasts"])
    for other in (day + pd.Timedelta(hours=6), day.dt.tz_localize("Asia/Tokyo")):
        with pytest.raises(ConfigError, match="forecasts:2: period: must be a date such as 2024-01-31"):
            check_tables(sound | {"forecasts": sound["forecasts"].assign(period=other)})


def test_one_lane_that_brings_an_item_is_enough(tmp_path: Path) -> None:
    folder = written(
        tmp_path,
        locations="location\nDepot\nPlant\nShop\n",
        lanes="source,location,duration\nDepot,Shop,2\nPlant,Shop,3\n",
        item_locations=GOOD["item_locations"].replace("0.95,1,1", "0.95,,1") + "soap,Plant,BT,0.95,1,1,0,\n",
    )
    assert read_tables(folder)["item_locations"]["lead_time"].tolist() == [4.0, 2.0, 3.0, 1.0]


def test_a_table_is_a_data_frame() -> None:
    sound = dict(small().tables)
    with pytest.raises(ConfigError, match=r"items: must be a DataFrame \(got list\)"):
        check_tables(sound | {"items": cast("pd.DataFrame", [{"item": "tea"}])})
    twice = pd.concat([sound["stock"], sound["stock"][["item"]]], axis=1)
    with pytest.raises(ConfigError, match="stock: there are two columns 'item'"):
        check_tables(sound | {"stock": twice})


def by_week(weeks: int, last: str = "") -> str:
    days = [f"{day:%Y-%m-%d}" for day in pd.date_range("2023-01-02", periods=weeks, freq="7D")]
    rows = "".join(f"tea,Shop,{day},70\n" for day in [*days, *([last] if last else [])])
    return f"item,location,period,quantity\n{rows}"


def test_a_plan_by_weeks_is_not_read_as_one_by_days(tmp_path: Path) -> None:
    gap = "2023-01-09 comes 7 days after the last one"
    days = f"forecasts.csv:3: period: periods are days, and none may be left out ({gap})"
    assert problems(written(tmp_path, forecasts=by_week(9))) == [days]
    weeks = "demand.csv: period: periods are days, and these are weeks or months; days without demand can be 0"
    assert problems(written(tmp_path, demand=by_week(9))) == [weeks]
    assert len(read_tables(written(tmp_path, demand=by_week(9, last="2023-01-03")))["demand"]) == 10


def test_a_year_with_a_typo_is_no_horizon(tmp_path: Path) -> None:
    far = "forecasts.csv:4: period: 2124-01-03 must be within 3660 days of the first, 2023-01-02"
    assert problems(written(tmp_path, forecasts=by_week(2, last="2124-01-03"))) == [far]


@pytest.mark.parametrize("defect", BROKEN)
def test_every_defect_has_its_message(defect: str, tmp_path: Path) -> None:
    files, message = BROKEN[defect]
    assert message in problems(written(tmp_path, **files))


def test_required_tables_and_folders_are_asked_for(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nowhere: there is no such folder"):
        read_tables(tmp_path / "nowhere")
    assert problems(tmp_path) == [
        f"{tmp_path}: the table {name} is required ({SCHEMA[name].meaning})"
        for name in ("items", "locations", "item_locations", "forecasts")
    ]
    with pytest.raises(ConfigError, match="item: there is no such table; did you mean 'items'"):
        check_tables({"item": pd.DataFrame()})


def test_more_defects_than_fit_are_counted(tmp_path: Path) -> None:
    rows = "".join(f"tea,Shop,2023-01-{day % 28 + 1:02d},-1\n" for day in range(60))
    found = problems(written(tmp_path, demand=f"item,location,period,quantity\n{rows}"))
    assert len(found) == 51
    assert found[-1] == "and 42 more"


def small() -> PlanningTables:
    return example_tables(distributors=5, warehouses=2, mother_warehouses=1, weeks=4, history_weeks=8)


def test_tables_survive_a_round_trip_to_the_last_digit(tmp_path: Path) -> None:
    tables = small()
    write_tables(tables, tmp_path / "data")
    again = read_tables(tmp_path / "data")
    for name, table in tables.tables.items():
        pd.testing.assert_frame_equal(table, again[name])
    assert not list(tmp_path.glob(".*"))


def test_nothing_is_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "mine.txt").write_text("x")
    for name, message in (("used", "the folder must be new or empty"), ("no/way", "the folder .*no must exist")):
        with pytest.raises(ConfigError, match=message):
            write_tables(small(), tmp_path / name)
    before = Path.write_text

    def breaks(self: Path, data: str, *args: Any, **kwargs: Any) -> int:
        if self.name == "b.csv":
            raise OSError("disk full")
        return before(self, data, *args, **kwargs)

    monkeypatch.setattr(Path, "write_text", breaks)
    with pytest.raises(ConfigError, match="new: the folder cannot be written: disk full"):
        write_folder(tmp_path / "new", {"a.csv": "1", "b.csv": "2"})
    assert [path.name for path in tmp_path.iterdir()] == ["used"]


def test_parquet_files_need_an_extra_and_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written(tmp_path)
    (tmp_path / "stock.parquet").write_bytes(b"")
    twice = "stock.parquet: there must be one file for each table, and stock.csv is there too"
    assert problems(tmp_path) == [twice]
    (tmp_path / "stock.csv").unlink()
    imported = builtins.__import__

    def without(name: str, *args: Any, **kwargs: Any) -> Any:
        if name.split(".")[0] in ("pyarrow", "fastparquet"):
            raise ImportError(name)
        return imported(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    message = "stock.parquet: Parquet files need pyarrow: pip install pyarrow, or give CSV files"
    with pytest.raises(MissingExtraError, match=message):
        read_tables(tmp_path)


def test_only_keeps_one_item_or_category_in_all_tables() -> None:
    tables = small()
    one = tables.only(item="tobacco_high")
    assert set(one["forecasts"]["item"]) == {"tobacco_high"} == set(one["items"]["item"])
    assert len(one["lanes"]) == len(tables["lanes"])
    by_category = tables.only(category="Tobacco (high sellers)")
    pd.testing.assert_frame_equal(one["item_locations"], by_category["item_locations"])
    with pytest.raises(ConfigError, match="item: there is no item 'tobaco_high'; did you mean 'tobacco_high'"):
        tables.only(item="tobaco_high")


def test_an_export_in_the_shape_of_sap_is_renamed_and_planned() -> None:
    ours = small()
    raw = {
        name: ours[name][list(columns.values())].rename(columns={new: old for old, new in columns.items()})
        for name, columns in SAP_COLUMNS.items()
    }
    raw["items"] = raw["items"].assign(MAKTX="a text that nobody asked for")
    tables = check_tables(renamed(raw, SAP_COLUMNS))
    for name, columns in SAP_COLUMNS.items():
        names = list(columns.values())
        pd.testing.assert_frame_equal(tables[name][names], ours[name][names])
    del raw["demand"]["WERKS"]
    with pytest.raises(ConfigError, match="demand: the column 'WERKS' is required"):
        renamed(raw | {"prices": pd.DataFrame()}, SAP_COLUMNS)


def test_the_schema_knows_the_methods_of_safety_stock() -> None:
    assert set(METHODS) == set(SAFETY_STOCK_METHODS)


def test_a_hundred_thousand_rows_are_checked_in_seconds() -> None:
    count = 100_000
    items = [f"item_{k}" for k in range(1_000)]
    places = [f"place_{k}" for k in range(100)]
    rows = pd.DataFrame(
        {"item": np.repeat(items, 100), "location": np.tile(places, 1_000), "lead_time": 3, "holding_cost": 1.0}
    )
    forecasts = rows[["item", "location"]].assign(period="2024-01-01", quantity=np.arange(count))
    tables = {
        "items": pd.DataFrame({"item": items}),
        "locations": pd.DataFrame({"location": places}),
        "item_locations": rows,
        "forecasts": forecasts,
    }
    started = time.process_time()
    assert len(check_tables(tables)["item_locations"]) == count
    assert time.process_time() - started < 10
    bad = rows.assign(lead_time=np.where(np.arange(count) == count - 1, -1, 3))
    with pytest.raises(ConfigError, match=r"item_locations:100001: lead_time: must be at least 0 \(got -1\)"):
        check_tables(tables | {"item_locations": bad})


def test_the_schema_in_the_documents_is_that_of_the_code() -> None:
    page = (Path(__file__).parents[1] / "docs" / "planning.md").read_text(encoding="utf-8")
    for table in SCHEMA.values():
        assert table.as_markdown() in page, table.as_markdown()


def test_the_deviation_is_that_of_the_latest_forecasts() -> None:
    tables = small()
    late = tables["forecasts"]
    early = late.assign(lag=late["lag"] + 28, quantity=10 * late["quantity"])
    for both in (pd.concat([early, late]), pd.concat([late, early])):
        known = planning_inputs(check_tables(dict(tables.tables) | {"forecasts": both}))
        np.testing.assert_allclose(known.relative_error, planning_inputs(tables).relative_error)


def test_targets_that_fit_nobody_leave_the_level_empty_for_methods_that_read_none() -> None:
    sound = dict(small().tables)
    item = sound["items"]["item"][0]
    level = sound["item_locations"].assign(service_level=np.nan)
    target = pd.DataFrame({"item": [item], "service_level": [0.9]})
    tables = check_tables(sound | {"item_locations": level, "service_targets": target})
    rows = planning_inputs(tables).rows
    served = rows.set_index(["item", "location"]).index.isin(sound["forecasts"].set_index(["item", "location"]).index)
    fits = served & (rows["item"] == item).to_numpy()
    assert 0 < fits.sum() < served.sum()
    np.testing.assert_array_equal(rows["service_level"], np.where(fits, 0.9, np.nan))
    np.testing.assert_array_equal(rows["service_source"], np.where(fits, f"item={item}", ""))
    plan_tables(tables, "dynamic")
    for method in ("assp", "multistage", "gsm"):
        with pytest.raises((ConfigError, MethodError), match="service_level"):
            plan_tables(tables, method)
    every = check_tables(dict(tables.tables) | {"service_targets": pd.DataFrame({"service_level": [0.8]})})
    assert set(planning_inputs(every).rows["service_level"][served]) == {0.8}
