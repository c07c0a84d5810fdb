"""Figures and report of a run: they say what the data say, no more, and the page stands alone."""

from __future__ import annotations

import csv
import json
import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from echelon.envs.errors import ConfigError
from echelon.experiments.captions import path_words, words
from echelon.experiments.findings import answer, caution, decimals, plain, ties, verdict, with_half_width
from echelon.experiments.frames import cost_end, difference_end
from echelon.experiments.network_map import LARGEST, network_map
from echelon.experiments.palette import looks
from echelon.experiments.plots import figures, style, write_plots
from echelon.experiments.report import render, write_report
from echelon.experiments.run_folder import COST_KINDS, RESULTS, SUMMARY, TRACE, TRAINING, Result, read_run
from echelon.experiments.tables import league_latex

EVIL = '<script>alert(\'"$x_1$&")</script>'
"""A name that breaks a page, an attribute, or a formula that is not escaped."""

Row = dict[str, Any]


def summary(problem: str, policy: str, kind: str, mean: float, **columns: Any) -> Row:
    """A row of summary.csv; what is not given is an empty cell."""
    row: Row = dict.fromkeys(SUMMARY, "")
    row |= {"problem": problem, "policy": policy, "kind": kind, "mean": mean, "parameters": "{}", "confidence": 0.95}
    row |= {"half_width": 0.012, "fill_rate": 0.97, "alpha": 0.9, "seconds": 2.5, **columns}
    if row["reference"] != "":
        row["gap_percent"] = 100 * (mean / row["reference"] - 1)
        row["gap_half_width"] = 100 * row["half_width"] / row["reference"]
    return row


def paired(difference: float, half_width: float, verdict: str = "worse") -> Row:
    """The columns of a policy that is compared with the best one."""
    return {"difference": difference, "difference_half_width": half_width, "verdict": verdict}


LEVELS = {"parameters": '{"up_to": [25.0]}'}
KNOWN = {"reference": 4.7285, "reference_kind": "optimal"}
LOST_SALES = [
    summary("lost sales", "PPO", "learned", 4.804, difference=0.0, verdict="best", **KNOWN),
    summary("lost sales", EVIL, "baseline", 5.199, **LEVELS, **paired(0.395, 0.02), **KNOWN),
    summary("lost sales", 'myopic "2"', "baseline", 4.902, **paired(0.098, 0.03), **KNOWN),
]
UNKNOWN = [
    summary(EVIL, EVIL, "baseline", 182.4, half_width=0.5, difference=0.0, verdict="best"),
    summary(EVIL, "PPO", "learned", 182.9, half_width=0.8, **paired(0.5, 0.61, "not distinguishable")),
    summary(EVIL, 'myopic "2"', "baseline", 420.0, half_width=1.2, **paired(237.6, 0.85)),
]
NETWORKS = {
    "lost sales": {
        "nodes": [{"name": "store", "outlet": True, "holding_cost": 1.0}],
        "links": [{"source": "outside", "target": "store", "lead_time": 4}],
    },
    EVIL: {
        "nodes": [
            {"name": EVIL, "outlet": False, "holding_cost": 0.5},
            {"name": "store", "outlet": True, "holding_cost": 1.0},
        ],
        "links": [
            {"source": "outside", "target": EVIL, "lead_time": 2},
            {"source": EVIL, "target": "store", "lead_time": 1},
        ],
    },
}
SHARES = {"holding": 0.5, "transit_holding": 0.0, "stockout": 0.3, "purchase": 0.0, "fixed": 0.2} | dict.fromkeys(
    ("processing_holding", "scrap", "revenue"), 0.0
)


def write_csv(file: Path, columns: Sequence[str], rows: Sequence[Mapping[str, Any]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.DictWriter(lines, columns)
        writer.writeheader()
        writer.writerows(rows)


def write_run(folder: Path, rows: Sequence[Row], *, training: bool = True) -> Path:
    """A run folder of two replications and 50 traced periods around the rows of its summary."""
    folder.mkdir(exist_ok=True)
    write_csv(folder / "summary.csv", SUMMARY, rows)
    keys = [{"problem": row["problem"], "policy": row["policy"]} for row in rows]
    results = [
        {**key, **{kind: share * row["mean"] * (0.9 + 0.2 * k) for kind, share in SHARES.items()}}
        for key, row in zip(keys, rows, strict=True)
        for k in range(2)
    ]
    write_csv(folder / "results.csv", RESULTS, results)
    trace = [
        {**key, "period": t, "node": node["name"], "on_hand": t % 5, "backorders": 2 * (t % 10 == 9), "ordered": 3}
        | {"demand": 4 if node["outlet"] else ""}
        for key in keys
        for t in range(50)
        for node in NETWORKS[key["problem"]]["nodes"]
    ]
    write_csv(folder / "trace.csv", TRACE, trace)
    curve = [
        {**key, "steps": steps, "cost": row["mean"] * (1 + 3 / (1 + steps)), "half_width": 0.05}
        for key, row in zip(keys, rows, strict=True)
        for steps in range(0, 1001, 100)
        if row["kind"] == "learned"
    ]
    if training:
        write_csv(folder / "training.csv", TRAINING, curve)
    problems = {row["problem"]: {"title": row["problem"], "citation": f"Cited, {EVIL}"} for row in rows}
    (folder / "problems.json").write_text(json.dumps(problems))
    (folder / "networks.json").write_text(json.dumps(NETWORKS))
    manifest = {"echelon": "0.1.0", "seed": 7, "command": ["echelon", "run", f"{EVIL}.yaml"], "note": EVIL}
    (folder / "manifest.json").write_text(json.dumps(manifest))
    (folder / "config.yaml").write_text(f"name: {EVIL}\n")
    return folder


def result_of(folder: Path, rows: Sequence[Row]) -> Result:
    return read_run(write_run(folder, rows)).results[0]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_run(tmp_path_factory.mktemp("runs") / f"a run & {EVIL[:8]}", LOST_SALES + UNKNOWN)


@pytest.fixture(scope="module")
def page(folder: Path) -> str:
    return write_report(folder).read_text(encoding="utf-8")


VOID = {"meta", "link", "wbr", "br", "img"}


class Page(HTMLParser):
    """The elements of a page, with what is wrong in its nesting."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.faults: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        self.faults += self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if len(attrs) != len(dict(attrs)):
            self.faults.append(f"{tag} has an attribute twice")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if not self.open or self.open.pop() != tag:
            self.faults.append(f"stray </{tag}>")

    def handle_data(self, data: str) -> None:
        if not self.open or self.open[-1] != "style":
            self.text += data


def said(page: str) -> str:
    """The text that a reader sees, on one line."""
    return " ".join(Page(page).text.replace("\xa0", " ").split())


def test_the_answer_names_cost_gap_and_the_difference_that_was_shown(tmp_path: Path) -> None:
    expected = (
        "PPO costs 4.804 ± 0.012 a period: 1.60 ± 0.25 % above the proven optimum 4.7285 "
        'and 2.00 ± 0.61 % below myopic "2", the best baseline.'
    )
    assert answer(result_of(tmp_path, LOST_SALES)) == expected
    assert round(100 * (4.804 / 4.7285 - 1), 2) == 1.60
    assert round(100 * 0.098 / 4.902, 2) == 2.00
    assert round(100 * 0.03 / 4.902, 2) == 0.61


def test_the_answer_claims_no_difference_that_was_not_shown(tmp_path: Path) -> None:
    result = result_of(tmp_path, UNKNOWN)
    assert answer(result) == (
        f"{EVIL} costs 182.40 ± 0.50 a period: not distinguishable from PPO, the only learned policy "
        "(paired difference 0.50 ± 0.61)."
    )
    assert [verdict(result, policy) for policy in result.policies] == [
        "lowest mean, tied",
        "not distinguishable",
        "worse",
    ]


def test_policies_are_placed_beside_an_optimal_one_and_not_ranked_among_themselves(tmp_path: Path) -> None:
    rows = [
        summary("lost sales", "exact", "optimal", 4.73, difference=0.0, verdict="best", **KNOWN),
        summary("lost sales", "PPO", "learned", 4.80, **paired(0.07, 0.02), **KNOWN),
        summary("lost sales", "base stock", "baseline", 5.2, **paired(0.47, 0.02), **KNOWN),
    ]
    assert answer(result_of(tmp_path, rows)) == (
        "PPO costs 4.800 ± 0.012 a period: 1.51 ± 0.25 % above the proven optimum 4.7285; "
        "base stock, the only baseline, is 9.97 ± 0.25 % above it."
    )
    for row in rows:
        row |= {"reference": "", "reference_kind": "", "gap_percent": "", "gap_half_width": ""}
    assert answer(result_of(tmp_path, rows)) == (
        "PPO costs 4.800 ± 0.012 a period: 1.48 ± 0.42 % above exact, the optimal policy; "
        "base stock, the only baseline, is 9.94 ± 0.42 % above it."
    )


def test_a_tie_with_an_optimal_policy_is_no_distance(tmp_path: Path) -> None:
    rows = [
        summary("lost sales", "exact", "optimal", 4.73, difference=0.0, verdict="best"),
        summary("lost sales", "PPO", "learned", 4.74, **paired(0.01, 0.02, "not distinguishable")),
    ]
    assert answer(result_of(tmp_path, rows)) == (
        "PPO costs 4.740 ± 0.012 a period: not distinguishable from exact, the optimal policy "
        "(paired difference 0.010 ± 0.020)."
    )


@pytest.mark.parametrize(
    ("mean", "kind", "expected"),
    [
        (4.74, "optimal", "not distinguishable from the proven optimum 4.7285 (gap 0.24 ± 0.25 %)"),
        (4.80, "lower_bound", "1.51 ± 0.25 % above the proven lower bound 4.7285"),
        (4.60, "best_known", "2.72 ± 0.25 % below the best known value 4.7285"),
    ],
)
def test_a_gap_is_worded_by_its_interval_and_the_kind_of_reference(
    tmp_path: Path, mean: float, kind: str, expected: str
) -> None:
    known = {"reference": 4.7285, "reference_kind": kind}
    result = result_of(tmp_path, [summary("lost sales", "PPO", "learned", mean, difference=0, verdict="best", **known)])
    assert answer(result) == f"PPO costs {mean:.3f} ± 0.012 a period: {expected}."
    assert caution(result) == ""


def test_a_cost_below_what_is_proven_is_doubted(tmp_path: Path) -> None:
    result = result_of(tmp_path, [summary("lost sales", "PPO", "learned", 4.6, verdict="best", **KNOWN)])
    assert "PPO is below the proven optimum by more than its interval allows" in caution(result)
    rows = [
        summary("lost sales", "PPO", "learned", 4.6, verdict="best"),
        summary("lost sales", "exact", "optimal", 4.9, **paired(0.3, 0.1)),
    ]
    assert caution(result_of(tmp_path, rows)) == "exact is marked as optimal, yet PPO costs less. Check both."


def test_further_ties_are_told(tmp_path: Path) -> None:
    tied = paired(0.01, 0.02, "not distinguishable")
    rows = [
        summary("lost sales", "PPO", "learned", 4.80, verdict="best"),
        summary("lost sales", "base stock", "baseline", 4.81, **tied),
        summary("lost sales", "SAC", "learned", 4.81, **tied),
    ]
    assert ties(result_of(tmp_path, rows)) == "Also not distinguishable from PPO: SAC."


def test_policies_that_cost_the_same_in_every_replication_are_level(tmp_path: Path) -> None:
    tied = paired(0.0, 0.0, "not distinguishable")
    rows = [
        summary("lost sales", "echelon", "baseline", 65.1, verdict="best"),
        summary("lost sales", "installation", "baseline", 65.1, **tied),
    ]
    expected = (
        "echelon costs 65.100 ± 0.012 a period: level with installation, the next best baseline, in every replication."
    )
    assert answer(result_of(tmp_path, rows)) == expected


verdicts = st.sampled_from(["worse", "not distinguishable"])
others = st.lists(st.tuples(st.sampled_from(["learned", "baseline", "optimal"]), verdicts), min_size=1, max_size=4)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(best=st.sampled_from(["learned", "baseline", "optimal"]), others=others)
def test_nothing_is_said_to_cost_less_without_a_verdict(
    tmp_path: Path, best: str, others: list[tuple[str, str]]
) -> None:
    rows = [summary("lost sales", "p0", best, 5.0, difference=0, verdict="best")]
    for rank, (kind, found) in enumerate(others, start=1):
        rows.append(summary("lost sales", f"p{rank}", kind, 5.0 + 0.1 * rank, **paired(0.1 * rank, 0.05, found)))
    sentence = answer(result_of(tmp_path, rows))
    below = re.findall(r"% below (p\d)", sentence)
    assert all(rows[int(name[1:])]["verdict"] == "worse" for name in below)
    assert not below or sentence.startswith("p0 ")
    for name in re.findall(r"not distinguishable from (p[1-9])", sentence):
        assert rows[int(name[1:])]["verdict"] == "not distinguishable"


@pytest.mark.parametrize(
    ("value", "half_width", "text"),
    [
        (4.80123, 0.01234, "4.801 ± 0.012"),
        (4.8, 0.0996, "4.80 ± 0.10"),
        (12345.6, 667.8, "12,346 ± 668"),
        (-0.00001, 0.02, "0.000 ± 0.020"),
        (-0.5, 0.02, "\N{MINUS SIGN}0.500 ± 0.020"),
        (4.80123, None, "4.801"),
        (0.0, 0.0, "0 ± 0"),
        (5.0, 0.0, "5.000 ± 0.000"),
    ],
)
def test_the_half_width_decides_how_many_digits_are_shown(value: float, half_width: float | None, text: str) -> None:
    assert with_half_width(value, half_width) == text


@given(st.floats(0.01, 1e6), st.floats(1e-6, 1e3))
def test_rounding_hides_less_than_a_twentieth_of_the_half_width(value: float, half_width: float) -> None:
    shown = float(plain(value, decimals(value, half_width)).replace(",", ""))
    assert abs(shown - value) <= max(0.051 * half_width, 1e-9 * value)


def test_the_page_is_well_formed_and_every_name_is_escaped(page: str) -> None:
    parsed = Page(page)
    assert parsed.faults == []
    tags = Counter(tag for tag, _ in parsed.elements)
    assert tags["script"] == 0
    assert tags["style"] == 1
    assert EVIL in said(page)
    assert EVIL not in page
    ids = Counter(attributes["id"] for _, attributes in parsed.elements if "id" in attributes)
    assert [name for name, count in ids.items() if count > 1] == []
    targets = [attributes.get("href") or "" for _, attributes in parsed.elements]
    assert {target[1:] for target in targets if target.startswith("#")} <= set(ids)
    assert set(re.findall(r"url\(#([^)]*)\)", page)) <= set(ids)


def test_the_page_loads_nothing_from_outside(page: str) -> None:
    for tag, attributes in Page(page).elements:
        for name in ("src", "srcset", "href", "xlink:href", "data", "action", "poster"):
            target = attributes.get(name) or ""
            assert target.startswith(("#", "data:")) or not target, (tag, name, target)
        assert not any(name.startswith("on") for name in attributes)
    assert re.findall(r"url\((?!#)", page) == []
    assert "@import" not in page
    assert "http://" not in page
    assert "https://" not in page
    assert "Content-Security-Policy\" content=\"default-src 'none'" in page


def test_every_sentence_of_the_run_is_on_the_page(folder: Path, page: str) -> None:
    text = said(page)
    for result in read_run(folder).results:
        assert text.count(" ".join(answer(result).split())) == 2
        for figure in ("cost", "differences", "breakdown", "training"):
            assert words(result, figure).caption in text
    assert f"echelon run '{EVIL.split(chr(39))[0]}" in text
    assert f"name: {EVIL}" in text
    assert text.count(f"{EVIL[:29]}…") >= 6


def test_every_row_of_the_table_repeats_the_summary(folder: Path, page: str) -> None:
    cells = re.findall(r'<td class="[^"]*" data-label="([^"]*)">(.*?)</td>', page)
    table = [(label, unescape(re.sub(r"<[^>]*>", "", cell)).strip()) for label, cell in cells]
    assert [cell for label, cell in table if label == "Cost a period"] == [
        *("4.804 ± 0.012", "4.902 ± 0.012", "5.199 ± 0.012"),
        *("182.40 ± 0.50", "182.90 ± 0.80", "420.0 ± 1.2"),
    ]
    assert [cell for label, cell in table if label == "Gap to optimum (%)"] == [
        *("1.60 ± 0.25", "3.67 ± 0.25", "9.95 ± 0.25"),
    ]
    assert [cell for label, cell in table if label == "Verdict"] == [
        *("best", "worse", "worse"),
        *("lowest mean, tied", "not distinguishable", "worse"),
    ]
    assert [cell for label, cell in table if label == "Fill rate (%)"] == ["97.00"] * 6
    assert ("Parameters", "up_to = 25") in table
    assert len(read_run(folder).results) == page.count("<table")


def test_every_figure_has_an_alternative_text_and_a_caption(page: str) -> None:
    elements = Page(page).elements
    drawings = [attributes for tag, attributes in elements if tag == "svg" and attributes.get("class") != "key"]
    tags = Counter(tag for tag, _ in elements)
    assert len(drawings) == tags["figure"] == tags["figcaption"] == 2 * (1 + 4 + 2)
    for attributes in drawings:
        assert attributes["role"] == "img"
        assert len(attributes["aria-label"] or "") > 40


def test_captions_repeat_the_data(tmp_path: Path) -> None:
    result = result_of(tmp_path, LOST_SALES)
    assert result.policies[0].costs == pytest.approx({kind: 4.804 * share for kind, share in SHARES.items()})
    assert "over 2 replications" in words(result, "cost").caption
    assert words(result, "cost").alternative.startswith("Dot plot of mean cost: PPO 4.804 ± 0.012; ")
    assert 'myopic "2" 0.098 ± 0.030, worse' in words(result, "differences").alternative
    assert "PPO holding, 50 %" in words(result, "breakdown").alternative
    lowest = with_half_width(4.804 * (1 + 3 / 1001), None)
    assert f"Lowest: PPO {lowest} after 1,000 of 1,000 steps." in words(result, "training").caption
    path = path_words(result, result.policies[0])
    assert "the last 40 periods" in path.caption
    assert "Customers were waiting at the end of 4 of them." in path.caption
    assert "Mean stock on hand: store 2.0 units." in path.alternative


def test_customers_who_wait_at_a_node_that_is_not_drawn_are_counted(tmp_path: Path) -> None:
    folder = write_run(tmp_path, LOST_SALES)
    trace = [
        {"problem": "lost sales", "policy": "PPO", "period": t, "node": f"store {k}", "on_hand": 1, "ordered": 1}
        | {"backorders": int(k == 4 and t < 13), "demand": 1}
        for t in range(20)
        for k in range(9)
    ]
    write_csv(folder / "trace.csv", TRACE, trace)
    result = read_run(folder).results[0]
    caption = path_words(result, result.policies[0]).caption
    assert "over 20 periods of one scenario. Customers were waiting at the end of 13 of them. 6 of 9 nodes" in caption


def test_a_hopeless_policy_does_not_flatten_the_others(tmp_path: Path) -> None:
    assert cost_end(result_of(tmp_path, LOST_SALES)) is None
    fourth = summary(EVIL, "fourth", "baseline", 190.0, **paired(7.6, 0.1))
    fifth = summary(EVIL, "fifth", "baseline", 2000.0, **paired(1817.6, 0.1))
    result = result_of(tmp_path, [*UNKNOWN, fourth, fifth])
    end = difference_end(result)
    assert end is not None
    assert 237.6 < end < 1817.6
    assert "An arrow at the edge" in words(result, "cost").caption


def test_one_policy_without_interval_reference_network_or_training_makes_a_page(tmp_path: Path) -> None:
    only = summary("lost sales", "base stock", "baseline", 5.2, half_width="", verdict="best")
    folder = write_run(tmp_path / "run", [only], training=False)
    (folder / "networks.json").write_text("{}")
    (folder / "config.yaml").unlink()
    (folder / "trace.csv").unlink()
    assert answer(read_run(folder).results[0]) == "base stock costs 5.200 a period."
    page = write_report(folder).read_text(encoding="utf-8")
    assert Page(page).faults == []
    assert "optimum" not in said(page).split("Methods and sources")[0]
    assert [path.stem for path in write_plots(folder)] == [
        *["01-lost-sales-cost"] * 3,
        *["01-lost-sales-breakdown"] * 3,
    ]


def test_revenue_makes_costs_negative_and_shares_are_of_what_is_paid(tmp_path: Path) -> None:
    rows = [
        summary("lost sales", "earns (more)", "baseline", -40.0, verdict="best"),
        summary("lost sales", "earns less", "learned", -39.0, **paired(1.0, 0.1)),
    ]
    folder = write_run(tmp_path, rows)
    paid = dict.fromkeys(COST_KINDS, 0.0) | {"purchase": 45.0, "holding": 15.0, "revenue": -100.0}
    cells = [{"problem": row["problem"], "policy": row["policy"], **paid} for row in rows for _ in range(2)]
    write_csv(folder / "results.csv", RESULTS, cells)
    text = said(render(read_run(folder)))
    assert "earns (more) costs \N{MINUS SIGN}40.000 ± 0.012 a period: below earns less" in text
    alternative = words(read_run(folder).results[0], "breakdown").alternative
    assert "The largest part: earns (more) purchase, 75 %; earns less purchase, 75 %." in alternative


def test_what_has_failed_is_named_at_the_head_of_the_page(tmp_path: Path) -> None:
    folder = write_run(tmp_path, LOST_SALES)
    assert "without a result" not in said(render(read_run(folder)))
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps(manifest | {"failed": {"lost sales/SAC": f"died, {EVIL}"}}))
    page = render(read_run(folder))
    assert Page(page).faults == []
    assert f"1 part of the run without a result:lost sales/SAC: died, {EVIL}" in said(page.split("</header>")[0])


def test_policies_of_different_numbers_of_replications_are_said_to_differ(tmp_path: Path) -> None:
    folder = write_run(tmp_path, LOST_SALES)
    assert "over 2 replications;" in words(read_run(folder).results[0], "cost").caption
    with (folder / "results.csv").open(encoding="utf-8", newline="") as lines:
        cells = list(csv.DictReader(lines))
    write_csv(folder / "results.csv", RESULTS, [*cells, *(cell for cell in cells if cell["policy"] == "PPO")])
    result = read_run(folder).results[0]
    assert "over 2 to 4 replications;" in words(result, "cost").caption
    assert "over 2 to 4 replications;" in league_latex(result)


def test_a_cost_that_is_no_number_is_named(tmp_path: Path) -> None:
    folder = write_run(tmp_path, LOST_SALES[:1])
    row = {"problem": "lost sales", "policy": "a b"} | dict.fromkeys(COST_KINDS, 0.0) | {"stockout": "nan"}
    write_csv(folder / "results.csv", RESULTS, [row])
    with pytest.raises(ConfigError, match=r"stockout of policy 'a b' on 'lost sales' must be a finite number"):
        read_run(folder)


def test_a_discounted_cost_is_not_called_a_cost_per_period(tmp_path: Path) -> None:
    folder = write_run(tmp_path, [summary("lost sales", "PPO", "learned", 48.0, verdict="best")])
    (folder / "problems.json").write_text(json.dumps({"lost sales": {"objective": "discounted cost"}}))
    assert answer(read_run(folder).results[0]) == "PPO has a discounted cost of 48.000 ± 0.012."
    text = said(render(read_run(folder)))
    assert "Discounted cost" in text
    assert "Cost a period" not in text


def test_empty_training_as_pandas_writes_it_is_no_training(tmp_path: Path) -> None:
    folder = write_run(tmp_path, LOST_SALES)
    (folder / "training.csv").write_text("\n")
    assert all(policy.training is None for policy in read_run(folder).results[0].policies)


def test_the_same_run_gives_the_same_page_and_leaves_no_part_behind(folder: Path, page: str) -> None:
    before = {path.name for path in folder.iterdir()}
    assert write_report(folder).read_text(encoding="utf-8") == page
    assert {path.name for path in folder.iterdir()} == before


def test_a_page_that_cannot_be_written_leaves_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = write_run(tmp_path, LOST_SALES[:1])
    (folder / "report.html").write_text("the old page")

    def full(source: Path, target: Path) -> None:
        raise OSError(f"no space left to move {source.name} to {target.name}")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(OSError, match="no space left"):
        write_report(folder)
    assert (folder / "report.html").read_text() == "the old page"
    assert [path for path in folder.iterdir() if path.name.startswith(".")] == []


def test_plots_are_written_and_not_blank(folder: Path) -> None:
    from matplotlib.image import imread

    written = write_plots(folder)
    assert len(written) == len({path.name for path in written}) == 2 * (3 * (4 + 2) + 1)
    assert all(path.parent == folder / "plots" for path in written)
    assert Counter(path.suffix for path in written) == {".png": 12, ".pdf": 12, ".svg": 14}
    for path in written:
        if path.suffix != ".png":
            assert len(path.read_bytes()) > 1_000
            continue
        pixels = imread(path)[..., :3]
        assert min(pixels.shape[:2]) > 300
        assert pixels.std() > 0.02, path.name
    first = written[0].read_bytes()
    assert write_plots(folder)[0].read_bytes() == first


def test_a_figure_shows_names_as_they_are_and_labels_its_axes(folder: Path) -> None:
    run = read_run(folder)
    with style():
        drawn = dict(figures(run.results[0], looks(run.policy_names)))
    texts = [text.get_text() for text in drawn["cost"].axes[0].texts]
    assert "PPO" in texts
    assert f"{EVIL[:29]}…" in texts
    assert "4.804 ± 0.012 · +1.60 %" in texts
    assert drawn["cost"].axes[0].get_xlabel() == "mean cost (money per period)"
    assert drawn["training"].axes[0].get_xlabel() == "training (% of its steps)"
    assert drawn["path-1-PPO"].axes[-1].get_xlabel() == "period"


def test_no_two_policies_look_alike() -> None:
    given_out = looks(tuple(f"policy {k}" for k in range(64)))
    assert len(set(given_out.values())) == 64
    assert len({look.colour for look in list(given_out.values())[:8]}) == 8


@pytest.mark.parametrize("missing", ["summary.csv", "results.csv", "problems.json", "networks.json", "manifest.json"])
def test_a_missing_file_is_named(tmp_path: Path, missing: str) -> None:
    folder = write_run(tmp_path, LOST_SALES)
    (folder / missing).unlink()
    with pytest.raises(ConfigError, match=f"a run folder must hold {missing}"):
        write_report(folder)
    assert not (folder / "report.html").exists()


def test_a_missing_column_and_a_missing_mean_are_named(tmp_path: Path) -> None:
    folder = write_run(tmp_path, LOST_SALES[:1])
    write_csv(folder / "summary.csv", SUMMARY, [LOST_SALES[0] | {"mean": math.nan}])
    with pytest.raises(ConfigError, match=r"mean of policy 'PPO' on 'lost sales' must be a number \(got 'nan'\)"):
        read_run(folder)
    (folder / "results.csv").write_text("problem,policy\n")
    with pytest.raises(ConfigError, match="lacks " + ", ".join(COST_KINDS)):
        read_run(folder)


def network(count: int, links: Sequence[tuple[str, str]]) -> dict[str, Any]:
    nodes = [{"name": f"n{k}", "outlet": k == count - 1, "holding_cost": 1.0} for k in range(count)]
    return {"nodes": nodes, "links": [{"source": s, "target": t, "lead_time": 3} for s, t in links]}


@st.composite
def networks(draw: st.DrawFn) -> dict[str, Any]:
    count = draw(st.integers(1, LARGEST))
    links = [("outside", "n0")]
    for target in range(1, count):
        sources = draw(st.lists(st.integers(-1, target - 1), min_size=1, max_size=3))
        links += [("outside" if source < 0 else f"n{source}", f"n{target}") for source in sources]
    return network(count, links)


@given(networks())
def test_a_map_shows_every_node_once_apart_and_every_link_to_the_right(described: dict[str, Any]) -> None:
    drawing = network_map(described, label="a map")
    assert drawing is not None
    assert Page(drawing).faults == []
    boxes = re.findall(r'<title>(.*?)</title><rect x="([^"]*)" y="([^"]*)" width="(\d+)" height="(\d+)"', drawing)
    place = {name: (float(x), float(y)) for name, x, y, _, _ in boxes}
    assert len(boxes) == len(place) == len(described["nodes"])
    width, height = float(boxes[0][3]), float(boxes[0][4])
    corners = list(place.values())
    for k, (x, y) in enumerate(corners):
        assert all(abs(x - left) >= width or abs(y - top) >= height for left, top in corners[k + 1 :])
    for link in described["links"]:
        assert link["source"] == "outside" or place[link["source"]][0] + width < place[link["target"]][0]
    assert drawing.count("L = 3") == len(described["links"])


def test_a_map_keeps_its_words_readable_on_a_phone() -> None:
    drawing = network_map(network(4, [("outside", "n0"), ("n0", "n1"), ("n1", "n2"), ("n2", "n3")]), label="four")
    assert drawing is not None
    found = re.search(r'width="(\d+)" style="min-width:(\d+)px"', drawing)
    assert found is not None
    width, least = map(int, found.groups())
    assert 0.8 * width <= least <= width


def test_a_network_too_large_to_draw_is_described_and_not_drawn(tmp_path: Path) -> None:
    folder = write_run(tmp_path, LOST_SALES)
    large = network(LARGEST + 1, [("outside", "n0"), *((f"n{k}", f"n{k + 1}") for k in range(LARGEST))])
    (folder / "networks.json").write_text(json.dumps({"lost sales": large}))
    page = render(read_run(folder))
    assert "The network has 31 nodes and 31 links; maps are drawn up to 30 nodes." in said(page)
    assert 'class="network"' not in page
