"""The report of a planning run: it says what tables and targets say, escapes every name, and stands alone."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import replace
from html import unescape
from typing import Any

import numpy as np
import pandas as pd
import pytest

from echelon.baselines.planning import PLANNERS, Targets, plan_tables
from echelon.baselines.planning_alerts import COLUMNS, alerts
from echelon.baselines.planning_compare import compare_methods
from echelon.baselines.planning_drivers import DRIVERS
from echelon.baselines.planning_frontier import frontiers
from echelon.baselines.planning_service import mean_on_hand
from echelon.baselines.planning_tables import PlanningTables, check_tables
from echelon.baselines.safety_stock_bands import TABLE_1, Band
from echelon.experiments.plan_comparison import comparison_page
from echelon.experiments.plan_curves import REPORTED, draw_frontier, draw_sweep, report_frontier
from echelon.experiments.plan_figures import draw_days, draw_largest, draw_sources, draw_weeks, said_of
from echelon.experiments.plan_map import LARGEST, stock_map
from echelon.experiments.plan_report import plan_page
from echelon.experiments.plan_stacks import DRIVER_LOOKS, draw_drivers, driver_table, driver_totals
from echelon.experiments.plan_summary import amount, plan_summary
from echelon.experiments.plots import style

from .test_report import EVIL, Page, said

FOODS, OTHER = "Packaged foods", "Ready-to-eat foods"
DAYS = 42


def tables_of(*, shops: int = 3, names: str = "", unit_value: float = 2.5) -> PlanningTables:
    """A plant, a depot and some shops with two items; `names` is put before every name."""
    plant, depot = f"{names}plant", f"{names}depot"
    sites = [plant, depot, *(f"{names}shop {k}" for k in range(shops))]
    items = {f"{names}tea": unit_value, f"{names}soap": 1.0}
    ahead, past = pd.date_range("2024-01-01", periods=DAYS), pd.date_range("2023-11-20", periods=42)
    rng = np.random.default_rng(7)
    plans: list[dict[str, Any]] = []
    forecasts, demand = [], []
    for rank, item in enumerate(items):
        for k, site in enumerate(sites):
            stated = {"lead_time_error": 0.2} if site == plant else {}
            plans.append(
                {"item": item, "location": site, "lead_time": 2.0 + rank, "holding_cost": 0.25 * (k + 1)} | stated
            )
        for site in sites[2:]:
            key, mean = {"item": item, "location": site}, 4.0 + 3 * rank
            wave = 1 + 0.5 * np.sin(np.arange(DAYS) / 6)
            forecasts.append(pd.DataFrame({**key, "period": past, "quantity": mean}))
            forecasts.append(pd.DataFrame({**key, "period": ahead, "quantity": mean * wave}))
            demand.append(pd.DataFrame({**key, "period": past, "quantity": rng.poisson(mean, len(past))}))
    kinds = ["factory", "warehouse", *["outlet"] * shops]
    return check_tables(
        {
            "items": pd.DataFrame(
                {"item": list(items), "category": [FOODS, OTHER], "unit_value": list(items.values())}
            ),
            "locations": pd.DataFrame({"location": sites, "kind": kinds}),
            "lanes": pd.DataFrame(
                {"source": [plant, *[depot] * shops], "location": sites[1:], "duration": [2.0] * (shops + 1)}
            ),
            "item_locations": pd.DataFrame(plans).assign(method="BT", service_level=0.95),
            "forecasts": pd.concat(forecasts),
            "demand": pd.concat(demand),
        }
    )


def one_location(*, periods: int = 14) -> PlanningTables:
    """One shop that has one item, supplied from outside."""
    days = pd.date_range("2024-01-01", periods=periods)
    key = {"item": "tea", "location": "shop"}
    return check_tables(
        {
            "items": pd.DataFrame({"item": ["tea"]}),
            "locations": pd.DataFrame({"location": ["shop"], "kind": ["outlet"]}),
            "item_locations": pd.DataFrame([key]).assign(
                method="BT", service_level=0.9, lead_time=3.0, holding_cost=1.0, demand_error=0.3
            ),
            "forecasts": pd.DataFrame({**key, "period": days, "quantity": 5.0}),
        }
    )


def alert(severity: str, rule: str, **cells: Any) -> dict[str, Any]:
    row = {"rule": rule, "severity": severity, "item": "tea", "location": "shop 0", "message": f"{rule} happened"}
    return row | {"period": pd.Timestamp("2024-01-01"), "value": 1.0, "limit": 2.0} | cells


NO_ALERTS = pd.DataFrame(columns=list(COLUMNS))


@pytest.fixture(scope="module")
def tables() -> PlanningTables:
    return tables_of()


@pytest.fixture(scope="module")
def targets(tables: PlanningTables) -> Targets:
    return plan_tables(tables, "assp")


@pytest.fixture(scope="module")
def page(tables: PlanningTables, targets: Targets) -> str:
    return plan_page(tables, targets, alerts(tables, targets), source="data/tea")


def test_the_totals_are_those_of_the_parameters(targets: Targets, page: str) -> None:
    rows = targets.parameters
    value = np.where(rows["item"] == "tea", 2.5, 1.0)
    stock = rows["safety_stock"].to_numpy()
    # holding costs are 0.25 (k + 1) at the k-th of five locations, for both items
    holding = float(mean_on_hand(targets) @ np.tile(0.25 * np.arange(1, 6), 2))
    shops = rows["location"].str.startswith("shop").to_numpy()
    days = float(stock @ value) / float(rows["demand_mean"].to_numpy() @ (value * shops))
    text = said(page)
    assert f"{amount(stock.sum())} units of safety stock, worth {amount(float(stock @ value))}, at 10 of 10" in text
    assert f": {amount(days)} days of the customers' demand. Stock on hand costs {amount(holding)} per period" in text
    assert f"worth {amount(float(rows['pipeline_stock'].to_numpy() @ value))} · " in text
    assert "2 items5 locations10 item-locations42 periods from 2024-01-01 to 2024-02-11tables from data/tea" in text
    assert "echelon plan --method assp data/tea --out DIR" in text


def test_alerts_come_first_and_all_parts_follow(page: str) -> None:
    sections = re.findall(r'<section id="([^"]*)"', page)
    assert sections == ["alerts", "stock", "time", "inputs", "largest", "methods", "reproduce"]
    assert set(re.findall(r'href="#([^"]*)"', page)) <= {a["id"] for _, a in Page(page).elements if a.get("id")}


def test_at_most_fifty_alerts_are_listed_and_the_rest_is_counted(tables: PlanningTables, targets: Targets) -> None:
    many = [alert("critical", "projected_stockout", message=f"stockout {k}") for k in range(45)]
    many += [alert("warning", "clamp_rate", item="", location="") for _ in range(30)] + [alert("info", "demand_spike")]
    text = plan_page(tables, targets, pd.DataFrame(many))
    listed = re.findall(r'<td class="words message" data-label="What">(.*?)</td>', text)
    assert listed == [f"stockout {k}" for k in range(45)] + ["clamp_rate happened"] * 5
    assert "and 26 more in alerts.csv" in said(text)
    assert "45 critical · 30 warnings · 1 note, the most severe first." in said(text)
    counts = re.findall(r"</span> ([a-z ]+)</span><b>([\d,]+)</b>", text)
    assert counts == [("projected stockout", "45"), ("clamp rate", "30"), ("demand spike", "1")]
    assert text.count('class="words empty" data-label="Item-location"') == 5


def test_a_run_without_alerts_says_so(tables: PlanningTables, targets: Targets) -> None:
    text = plan_page(tables, targets, NO_ALERTS)
    assert "No rule was broken" in said(text)
    assert Page(text).faults == []
    assert "What to look at" not in text


@pytest.mark.parametrize("method", sorted(PLANNERS))
def test_every_method_has_a_page_in_which_each_name_is_escaped(method: str) -> None:
    tables = tables_of(shops=2, names=EVIL)
    targets = plan_tables(tables, method)
    found = pd.DataFrame([alert("critical", EVIL, item=EVIL, location=EVIL, message=EVIL)])
    text = plan_page(tables, targets, found, source=EVIL)
    parsed = Page(text)
    assert parsed.faults == []
    tags = Counter(tag for tag, _ in parsed.elements)
    assert (tags["script"], tags["style"], tags["h1"]) == (0, 1, 1)
    assert EVIL not in text
    assert said(text).count(EVIL) > 10
    assert re.search(r'\son\w+="', text) is None
    ids = Counter(attributes["id"] for _, attributes in parsed.elements if "id" in attributes)
    assert [name for name, count in ids.items() if count > 1] == []
    assert set(re.findall(r"url\(#([^)]*)\)", text)) <= set(ids)
    assert ("Internal service (%)" in text) == (method == "multistage")


def test_the_page_loads_nothing_from_outside(page: str) -> None:
    for tag, attributes in Page(page).elements:
        for name in ("src", "srcset", "href", "xlink:href", "data", "action", "poster"):
            target = attributes.get(name) or ""
            assert target.startswith(("#", "data:")) or not target, (tag, name, target)
    assert re.findall(r"url\((?!#)", page) == []
    assert not any(outside in page for outside in ("@import", "http://", "https://"))
    assert "Content-Security-Policy\" content=\"default-src 'none'" in page


def test_the_same_plan_gives_the_same_page(page: str) -> None:
    tables = tables_of()
    targets = plan_tables(tables, "assp")
    assert plan_page(tables, targets, alerts(tables, targets), source="data/tea") == page


def test_every_figure_has_an_alternative_text_and_a_caption(page: str) -> None:
    elements = Page(page).elements
    drawings = [attributes for tag, attributes in elements if tag == "svg"]
    tags = Counter(tag for tag, _ in elements)
    assert len(drawings) == tags["figure"] == tags["figcaption"] == 8
    for attributes in drawings:
        assert attributes["role"] == "img"
        assert len(attributes["aria-label"] or "") > 40


@pytest.mark.parametrize("periods", [1, 14])
def test_one_location_makes_a_page(periods: int) -> None:
    tables = one_location(periods=periods)
    text = plan_page(tables, plan_tables(tables, "assp"), NO_ALERTS)
    assert Page(text).faults == []
    assert f"1 item1 location1 item-location{periods} period" in said(text)
    assert "worth" not in said(text), "no item has a value of its own"
    assert "Stock by category" not in text
    assert "stated in the tables 1" in unescape(text)


def test_tables_without_demand_make_a_page_without_a_number_that_is_none() -> None:
    known = one_location()
    none = {**known.tables, "forecasts": known["forecasts"].assign(quantity=0.0)}
    tables = check_tables(none)
    text = said(plan_page(tables, plan_tables(tables, "assp"), NO_ALERTS))
    assert "0 units of safety stock at 0 of 1 item-location." in text
    assert "nan" not in text.lower().split()
    assert "inf" not in text.lower().split()


def test_the_shares_that_bands_moved_are_those_of_the_log(tables: PlanningTables, targets: Targets, page: str) -> None:
    log = targets.log.assign(food=targets.log["item"] == "tea")
    panels = {panel.name: panel for panel in plan_summary(tables, targets).panels(TABLE_1)}
    assert list(panels) == [FOODS, OTHER]
    for name, food in ((FOODS, True), (OTHER, False)):
        rules = log.loc[log["food"] == food, "rule"]
        assert panels[name].raised == np.mean(rules == "least_days")
        assert panels[name].lowered == np.mean(rules == "most_days")
        assert panels[name].band == TABLE_1[name]
    assert f"nearest edge: {100 * np.mean(log['rule'] != ''):.0f} % of all" in said(page)


def test_bands_of_ones_own_are_drawn_and_an_empty_mapping_means_none(tables: PlanningTables) -> None:
    own = {FOODS: Band(0.9, 0.0, 0.5), OTHER: Band(0.9, 0.0, 90.0)}
    targets = plan_tables(tables, "assp", bands=own)
    panels = plan_summary(tables, targets).panels(own)
    share = np.mean(targets.log.loc[targets.log["item"] == "tea", "planned_days"] > 0.5)
    assert 0.5 < share < 1.0
    assert [said_of(panel) for panel in panels] == [
        f"band 0 to 0.5 · {100 * share:.0f} % lowered",
        "band 0 to 90 · none moved",
    ]
    free = plan_summary(tables, plan_tables(tables, "assp", bands={})).panels({})
    assert [(panel.name, panel.band) for panel in free] == [
        ("factories", None),
        ("warehouses", None),
        ("outlets", None),
    ]


def test_stock_by_tier_and_category_adds_up_to_the_total(tables: PlanningTables, targets: Targets) -> None:
    summary = plan_summary(tables, targets)
    assert summary.groups == ["factories", "warehouses", "outlets"]
    assert summary.rows.loc[summary.rows["location"] == "depot", "tier"].tolist() == [2, 2]
    for column in ("group", "category", "location"):
        table = summary.by(column)
        for component in summary.components:
            assert table[component].sum() == pytest.approx(summary.value(component), rel=1e-12)


def test_the_weeks_are_means_over_seven_days(tables: PlanningTables, targets: Targets) -> None:
    weeks = plan_summary(tables, targets).weeks
    series = targets.series[targets.series["location"] == "plant"]
    tea, soap = (series.loc[series["item"] == item, "safety_stock"].to_numpy() for item in ("tea", "soap"))
    expected = (2.5 * tea + soap).reshape(-1, 7).mean(axis=1)
    np.testing.assert_allclose(weeks["factories"], expected, rtol=1e-12)
    assert list(weeks.index) == list(pd.date_range("2024-01-01", periods=DAYS // 7, freq="7D"))


def test_the_table_has_thirty_rows_by_value_of_safety_stock() -> None:
    tables = tables_of(shops=18)
    targets = plan_tables(tables, "gsm")
    text = plan_page(tables, targets, NO_ALERTS)
    cells = re.findall(r'<td class="[^"]*" data-label="([^"]*)">(.*?)</td>', text)
    table = [(label, unescape(re.sub(r"<[^>]*>", "", cell)).strip()) for label, cell in cells]
    value = targets.parameters["safety_stock"] * np.where(targets.parameters["item"] == "tea", 2.5, 1.0)
    dearest = np.sort(value.to_numpy())[::-1][:30]
    assert [cell for label, cell in table if label == "Value"] == [amount(float(v)) for v in dearest]
    assert "and 10 more in parameters.csv" in said(text)
    promised = {cell for label, cell in table if label == "Service target (%)"}
    assert promised <= {"95 beta", "none"}
    assert "Rows 16 to 30" in said(text)


def test_the_bars_of_the_drivers_sum_to_the_safety_stock(tables: PlanningTables, targets: Targets, page: str) -> None:
    summary = plan_summary(tables, targets)
    table = driver_table(summary)
    value = summary.largest(8)["safety_stock"] * summary.largest(8)["unit_value"]
    np.testing.assert_allclose(table.sum(axis=1), value, rtol=0, atol=1e-9)
    assert sum(driver_totals(summary).values()) == pytest.approx(summary.value("safety_stock"), rel=1e-12)
    assert set(DRIVERS) <= set(DRIVER_LOOKS)
    with style():
        axes = draw_drivers(summary).axes[0]
    ends = [bar.get_x() + bar.get_width() for bar in axes.patches]  # type: ignore[attr-defined]
    assert max(ends) == pytest.approx(value.max())
    share = driver_totals(summary)["demand"] / summary.value("safety_stock")
    assert f"Of all safety stock: demand {100 * share:.0f} %, lead time" in said(page).replace("\xa0", " ")


def test_a_driver_that_lowers_the_stock_is_left_of_zero() -> None:
    tables = tables_of()
    rows = tables["item_locations"].assign(target_days=5.0)
    summary = plan_summary(tables, plan_tables(PlanningTables({**tables.tables, "item_locations": rows}), "assp"))
    table = driver_table(summary)
    assert (table["review_period"] < 0).any()
    with style():
        axes = draw_drivers(summary).axes[0]
    assert min(bar.get_x() + bar.get_width() for bar in axes.patches) == pytest.approx(  # type: ignore[attr-defined]
        table.where(table < 0, 0.0).sum(axis=1).min()
    )


@pytest.mark.parametrize("method", ["dynamic", "gsm"])
def test_methods_without_drivers_have_no_picture_of_them(method: str, tables: PlanningTables) -> None:
    assert "What drives" not in said(plan_page(tables, plan_tables(tables, method), NO_ALERTS))


def test_what_service_costs_is_drawn_with_its_hull_and_the_status_quo(tables: PlanningTables, targets: Targets) -> None:
    curve, why = report_frontier(tables, "assp")
    assert curve is not None
    assert why == ""
    assert curve["service_level"].tolist()[:-1] == list(REPORTED["assp"][1])
    text = plan_page(tables, targets, NO_ALERTS, curve=(curve, why))
    assert Page(text).faults == []
    assert re.findall(r'<section id="([^"]*)"', text)[4] == "service"
    assert 'href="#service"' in text
    assert "a plan with the service levels of the tables" in said(text)
    with style():
        frontier, sweep = draw_frontier(curve, unit="money"), draw_sweep(curve)
    hull, *others = frontier.axes[0].lines
    kept = curve[curve["on_hull"]].sort_values("service")
    np.testing.assert_allclose(np.asarray(hull.get_xdata()), 100 * kept["service"])
    np.testing.assert_allclose(np.asarray(hull.get_ydata()), kept["investment"])
    quo = curve.iloc[-1]
    assert any((np.asarray(line.get_xdata()) == 100 * quo["service"]).any() for line in others)
    areas = [np.asarray(path.vertices) for area in sweep.axes[0].collections for path in area.get_paths()]
    top = max(float(corners[:, 1].max()) for corners in areas)
    stock = curve.iloc[:-1][["safety_stock", "cycle_stock", "pipeline_stock"]].sum(axis=1)
    assert top == pytest.approx(stock.max())


def test_a_picture_that_is_not_drawn_says_why(tables: PlanningTables) -> None:
    targets = plan_tables(tables, "dynamic")
    text = plan_page(tables, targets, NO_ALERTS, curve=report_frontier(tables, "dynamic"))
    assert "dynamic reads no service level, so it has no frontier." in said(text)
    many = tables_of(shops=20)
    curve, why = report_frontier(many, "multistage")
    assert curve is None
    assert why.startswith(
        "A report plans several service levels by multistage for up to 30 item-locations; here are 44."
    )
    assert 'id="service"' not in plan_page(tables, targets, NO_ALERTS)


def test_methods_that_are_compared_have_a_page_with_their_frontiers(tables: PlanningTables) -> None:
    methods, run = ("assp", "dynamic"), {"replications": 3, "periods": 28, "warm_up": 0}
    table = compare_methods(tables, item="tea", methods=methods, **run)  # type: ignore[arg-type]
    curves = frontiers(tables, methods, [0.8, 0.95], item="tea", **run)  # type: ignore[arg-type]
    text = comparison_page(table.assign(method=["assp", EVIL]), curves, item=EVIL)
    assert Page(text).faults == []
    assert EVIL not in text
    assert said(text).count(EVIL) >= 3
    assert f"{100 * table['fill_rate'][0]:.2f}\xa0± {100 * table['fill_rate_half_width'][0]:.2f}".replace(
        "± ", "±\xa0"
    ) in unescape(text)
    assert "Bars are 95 % intervals." in said(text).replace("\xa0", " ")
    with style():
        axes = draw_frontier(curves, unit="money").axes[0]
    legend = [str(line.get_label()) for line in axes.lines if not str(line.get_label()).startswith("_")]
    assert legend == ["assp", "dynamic", "status quo"]
    right = [segment[:, 0].max() for bars in axes.collections for segment in bars.get_segments()]  # type: ignore[attr-defined]
    assert len(right) == len(curves)
    assert max(right) <= 100 + 1e-9
    assert 'id="service"' not in comparison_page(table, item="tea")


def test_sources_are_counted_by_what_they_mean(tables: PlanningTables, targets: Targets, page: str) -> None:
    summary = plan_summary(tables, targets)
    assert sum(summary.sources("demand_source").values()) == len(targets.parameters) == 10
    assert summary.sources("lead_time_source")["stated"] == 2
    figure = next(
        a["aria-label"] or "" for _, a in Page(page).elements if "by the source" in (a.get("aria-label") or "")
    )
    assert "stated in the tables 2" in figure
    assert "sum of the customers below 4" in figure


@pytest.mark.parametrize(("shops", "boxes"), [(3, 5), (LARGEST - 1, 3)])
def test_a_map_has_a_box_for_each_location_or_for_each_tier_where_there_are_many(shops: int, boxes: int) -> None:
    tables = tables_of(shops=shops)
    summary = plan_summary(tables, plan_tables(tables, "gsm"))
    drawing = stock_map(summary, label="a map")
    assert Page(drawing).faults == []
    place = re.findall(r'<rect x="([^"]*)" y="([^"]*)"', drawing)
    assert len(place) == len(set(place)) == boxes
    assert drawing.count('class="link"') - drawing.count('class="customer"') // 2 == boxes - 1


def test_triangles_grow_with_the_root_of_the_value(tables: PlanningTables, targets: Targets) -> None:
    summary = plan_summary(tables, targets)
    drawing = stock_map(summary, label="a map")
    side = {
        name: float(width)
        for name, width in re.findall(r"<title>([^<]*)</title>.*?class=\"triangle\" d=\"[^h]*h-([\d.]+)z", drawing)
    }
    value = summary.rows.groupby("location")["value"].sum()
    for name, width in side.items():
        expected = 28.0 * np.sqrt(float(value[name]) / float(value.max()))
        assert width == pytest.approx(max(expected, 6.0), abs=0.06)


def test_a_planned_delay_counts_as_no_stock(tables: PlanningTables, targets: Targets) -> None:
    rows = targets.parameters.copy()
    rows.loc[0, "safety_stock"] = -40.0
    delayed = replace(targets, parameters=rows)
    summary = plan_summary(tables, delayed)
    assert summary.units("safety_stock") == pytest.approx(rows["safety_stock"].iloc[1:].sum())
    assert "9 of 10 item-locations" in said(plan_page(tables, delayed, NO_ALERTS))


def test_figures_show_names_as_they_are_and_label_their_axes() -> None:
    tables = tables_of(names=EVIL[:12])
    summary = plan_summary(tables, plan_tables(tables, "assp"))
    with style():
        weeks, largest = draw_weeks(summary), draw_largest(summary)
        days, sources = draw_days(summary.panels(TABLE_1)), draw_sources(summary)
    assert weeks.axes[0].get_title(loc="left") == "safety stock (money)"
    assert weeks.axes[0].get_ylim()[0] == 0.0
    assert len(largest.axes) == 6
    assert any(EVIL[:12] in text.get_text() for text in largest.axes[0].texts)
    assert days.axes[-1].get_xlabel() == "safety stock (days of supply)"
    assert sources.axes[0].get_xlabel() == "item-locations (%)"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-1e-9, "0"),
        (0.123, "0.12"),
        (0.96, "1.0"),
        (5.0, "5.0"),
        (99.96, "100"),
        (12345.6, "12,346"),
        (-110.2, "\N{MINUS SIGN}110"),
        (12.3456e6, "12.35 M"),
    ],
)
def test_amounts_have_the_digits_that_a_planner_reads(value: float, text: str) -> None:
    assert amount(value) == text
