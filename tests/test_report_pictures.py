"""Pictures of what policies do, tables for papers, and the page of several runs: they say what the folders hold."""

from __future__ import annotations

import csv
import json
import re
import shutil
from collections.abc import Mapping, Sequence
from html import unescape
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from echelon.envs.errors import ConfigError
from echelon.experiments import by_node, frontier, policy_map, tables
from echelon.experiments.cli import main
from echelon.experiments.findings import with_half_width
from echelon.experiments.grid_figures import Across, forest, frontier_of, grid_figures, sweeps
from echelon.experiments.grid_report import write_grid_report
from echelon.experiments.observe import ECHELON, INSTALLATION, PLANE
from echelon.experiments.observed import BULLWHIP, POLICY_MAP
from echelon.experiments.palette import looks
from echelon.experiments.plots import figures, style
from echelon.experiments.pool import excess, pooled, read_pool
from echelon.experiments.report import remake, render
from echelon.experiments.run_folder import COST_KINDS, SUMMARY, Result, read_run

EVIL = "<img src=x onerror='alert(1)'>&{_%}"
POLICIES = ("base stock", "learned", EVIL)
MEANS = {"base stock": 5.2, "learned": 4.8, EVIL: 5.0}
LEVELS = {"base stock": 18, "learned": 15, EVIL: 16}
NETWORK = {
    "nodes": [
        {"name": "depot", "outlet": False, "holding_cost": 1.0},
        {"name": "store", "outlet": True, "holding_cost": 2.0},
    ],
    "links": [
        {"source": "outside", "target": "depot", "lead_time": 2},
        {"source": "depot", "target": "store", "lead_time": 1},
    ],
}


def write_csv(file: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    with file.open("w", encoding="utf-8", newline="") as lines:
        writer = csv.DictWriter(lines, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def summary(problem: str, policy: str, mean: float, best: float) -> dict[str, Any]:
    row: dict[str, Any] = dict.fromkeys(SUMMARY, "")
    row |= {"problem": problem, "policy": policy, "kind": "learned" if policy == "learned" else "baseline"}
    row |= {"parameters": "{}", "mean": mean, "half_width": 0.02, "confidence": 0.95, "fill_rate": 0.9, "alpha": 0.8}
    row |= {"reference": 4.7, "reference_kind": "optimal", "gap_percent": 100 * (mean / 4.7 - 1), "seconds": 1.0}
    row |= {"gap_half_width": 0.4, "difference": mean - best, "difference_half_width": 0.03}
    return row | {"verdict": "best" if mean == best else "worse"}


def orders(policy: str, link: str, view: str, *, plane: bool = False) -> list[dict[str, Any]]:
    """An order-up-to policy, met once in each position."""
    key = {"problem": "shop", "policy": policy, "link": link, "view": view, "x_width": 1.0, "y_width": ""}
    level = LEVELS[policy]
    if plane:
        return [
            key | {"y_width": 1.0, "x": x, "y": y, "order": max(0, level - x - y), "low": 0, "high": 9, "visits": 1 + x}
            for x in range(8)
            for y in range(2, 10)
        ]
    return [
        key | {"x": x, "y": "", "order": level - x, "low": level - x, "high": level - x + 1, "visits": 20}
        for x in range(level - 9, level)
    ]


def write_run(folder: Path, *, seed: int = 1, cost: float = 9.0, scale: float = 1.0, problem: str = "shop") -> Path:
    folder.mkdir(parents=True)
    means = {policy: mean * scale for policy, mean in MEANS.items()}
    best = min(means.values())
    write_csv(folder / "summary.csv", [summary(problem, policy, mean, best) for policy, mean in means.items()])
    rng = np.random.default_rng(seed)
    write_csv(
        folder / "results.csv",
        [
            {"problem": problem, "policy": policy, "replication": k}
            | dict.fromkeys(COST_KINDS, 0.0)
            | {"holding": 0.6 * mean + 0.1 * rng.random(), "stockout": 0.4 * mean, "fill_rate": 0.85 + mean / 60}
            for policy, mean in means.items()
            for k in range(10)
        ],
    )
    traced = [
        {"problem": problem, "policy": policy, "period": t, "node": node, "on_hand": t % 4, "backorders": 0}
        | {"ordered": 3, "demand": 3 if node == "store" else 0}
        for policy in POLICIES
        for t in range(20)
        for node in ("depot", "store")
    ]
    write_csv(folder / "trace.csv", traced)
    maps = [row for policy in POLICIES for row in orders(policy, "outside -> depot", ECHELON)]
    maps += [row for policy in POLICIES for row in orders(policy, "depot -> store", ECHELON)]
    maps += [row for policy in POLICIES for row in orders(policy, "outside -> depot", PLANE, plane=True)]
    write_csv(folder / "policy_map.csv", [{**row, "problem": problem} for row in maps])
    flows = [
        {"problem": problem, "policy": policy, "node": node, "on_hand": on_hand, "on_hand_half_width": 0.1}
        | {"order_variance": 8.0 * ratio, "demand_variance": 8.0, "bullwhip": ratio, "bullwhip_half_width": 0.05}
        for policy, ratio in (("base stock", 1.0), ("learned", 0.4), (EVIL, 1.3))
        for node, on_hand in (("depot", 3.25 * ratio), ("store", 7.5))
    ]
    write_csv(folder / "bullwhip.csv", flows)
    (folder / "problems.json").write_text(json.dumps({problem: {"title": EVIL, "citation": EVIL}}))
    (folder / "networks.json").write_text(json.dumps({problem: NETWORK}))
    (folder / "manifest.json").write_text(json.dumps({"seed": seed, "failed": {}, "command": ["echelon", "run"]}))
    policies = {policy: {"baseline": "base_stock"} for policy in POLICIES}
    section = {"id": "echelon/LostSales-v0", "parameters": {"stockout_cost": cost}, "policies": policies}
    (folder / "config.yaml").write_text(json.dumps({"name": "x", "problems": {problem: section}}))
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = write_run(tmp_path_factory.mktemp("run") / "one")
    remake(folder)
    return folder


@pytest.fixture(scope="module")
def result(folder: Path) -> Result:
    return read_run(folder).results[0]


@pytest.fixture(scope="module")
def grid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five seeds of two instances; one more member has no results, and a cell of another has failed."""
    place = tmp_path_factory.mktemp("grid") / "grid"
    members = []
    for cost in (4.0, 9.0):
        for seed in range(1, 6):
            label = f"stockout_cost={cost:g},seed={seed}"
            write_run(place / label, seed=seed, cost=cost, scale=1 + 0.01 * seed + 0.02 * (cost == 9))
            members.append({"label": label, "seed": seed, "status": "finished"})
    members.append({"label": "stockout_cost=19,seed=1", "seed": 1, "status": "failed"})
    write_csv(place / "grid.csv", members)
    manifest = place / "stockout_cost=4,seed=2" / "manifest.json"
    manifest.write_text(json.dumps({"seed": 2, "failed": {f"shop/{EVIL}": "ran out of <memory>"}}))
    return place


class Page(HTMLParser):
    """Elements and text of a page."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def must_stand_alone(text: str) -> Page:
    """No script, no handler, nothing fetched, every name as text; returns the page."""
    page = Page(text)
    for tag, attributes in page.elements:
        assert tag not in ("script", "img", "iframe", "object", "embed", "base", "form")
        for name, value in attributes.items():
            assert not name.startswith("on")
            if name in ("src", "srcset", "href", "xlink:href", "data", "action"):
                assert (value or "").startswith(("#", "data:")), (tag, name, value)
    assert re.findall(r"url\((?!#)", text) == []
    assert "Content-Security-Policy\" content=\"default-src 'none'" in text
    assert EVIL not in text
    assert EVIL in page.text
    drawings = [found for tag, found in page.elements if tag == "svg" and found.get("class") != "key"]
    assert drawings
    assert all(found["role"] == "img" and len(found["aria-label"] or "") > 40 for found in drawings)
    assert all("scope" in found for tag, found in page.elements if tag == "th")
    return page


def test_the_page_has_every_picture_and_stands_alone(folder: Path) -> None:
    text = (folder / "report.html").read_text(encoding="utf-8")
    page = must_stand_alone(text)
    for heading in (
        *("Mean cost", "Paired differences", "What service costs", "What the cost consists of"),
        *("Orders by inventory position", "by stock and pipeline", "Where stock stands", "Bullwhip"),
        *("The network", "A sample path of learned"),
    ):
        assert heading in page.text, heading
    assert len(text) < 3_000_000


def test_every_figure_is_there_as_png_pdf_and_svg(folder: Path) -> None:
    from matplotlib.image import imread

    names = {path.name for path in (folder / "plots").iterdir()}
    figure_names = (
        "cost",
        "differences",
        "frontier",
        "breakdown",
        "orders",
        "map-1-outside-depot",
        "stock",
        "bullwhip",
    )
    for name in figure_names:
        assert {f"01-shop-{name}.{kind}" for kind in ("png", "pdf", "svg")} <= names
        assert imread(folder / "plots" / f"01-shop-{name}.png")[..., :3].std() > 0.02
        assert (folder / "plots" / f"01-shop-{name}.pdf").read_bytes().startswith(b"%PDF")
        assert "<path" in (folder / "plots" / f"01-shop-{name}.svg").read_text()
    drawing = (folder / "plots" / "01-shop-network.svg").read_text()
    assert drawing.startswith('<svg xmlns="http://www.w3.org/2000/svg"')
    assert "var(" not in drawing
    Page(drawing)


def test_the_map_of_the_network_shows_the_stock_of_every_node_and_policy(folder: Path) -> None:
    drawing = (folder / "plots" / "01-shop-network.svg").read_text()
    depot, store = re.findall(r"<title>(?:depot|store)</title>.*?</g>", drawing)
    assert re.findall(r'class="amount"[^>]*>([^<]*)<', depot) == ["1.30", "4.23", "3.25"]  # cheapest policy first
    assert re.findall(r'class="amount"[^>]*>([^<]*)<', store) == ["7.50"] * 3
    lengths = [float(length) for length in re.findall(r"h([0-9.]+)v7", depot + store)]
    assert lengths == pytest.approx([44 * units / 7.5 for units in (1.3, 4.225, 3.25, 7.5, 7.5, 7.5)], abs=0.06)


def drawn(result: Result, name: str) -> Any:
    with style():
        return dict(figures(result, looks(tuple(policy.name for policy in result.policies))))[name]


def test_the_frontier_draws_service_against_what_is_spent_and_the_steps_of_the_undominated(result: Result) -> None:
    axes = drawn(result, "frontier").axes[0]
    points = {line.get_label(): (line.get_xdata()[0], line.get_ydata()[0]) for line in axes.lines[: 3 * 20]}
    for policy in result.policies:
        assert policy.served is not None
        assert policy.spent is not None
        assert points[policy.name[:29] + "…" if len(policy.name) > 30 else policy.name] == (
            pytest.approx(100 * policy.served.mean),
            pytest.approx(policy.spent.mean),
        )
        assert policy.spent.mean == pytest.approx(policy.mean * 0.6, abs=0.1)
        assert policy.spent.half_width is not None
        assert 0 < policy.spent.half_width < 0.1
    assert [policy.name for policy in frontier.undominated(result)] == ["learned", EVIL, "base stock"]


def test_orders_are_drawn_as_the_table_has_them(result: Result) -> None:
    panels = drawn(result, "orders").axes
    assert [axes.get_title(loc="left") for axes in panels] == [
        "order on outside -> depot (units)",
        "order on depot -> store (units)",
    ]
    lines = [line for line in panels[0].lines if len(line.get_xdata()) == 9]
    sums = [set(line.get_xdata() + line.get_ydata()) for line in lines]  # of position and order: the level
    assert sums == [{LEVELS[policy.name]} for policy in result.policies]
    assert panels[-1].get_xlabel() == "echelon inventory position at the review (units)"


def test_rare_positions_at_the_ends_are_left_out(result: Result) -> None:
    _, order_map = policy_map.by_position(result)["depot -> store"][0]
    cells = order_map.cells
    few = [type(cell)(cell.x, None, 1.0, 1.0, 1.0, 1 if k in (0, 8) else 1000) for k, cell in enumerate(cells)]
    cut = policy_map.usual(type(order_map)(order_map.link, INSTALLATION, (1.0, None), tuple(few)))
    assert [cell.x for cell in cut.cells] == [cell.x for cell in few[1:-1]]


def test_a_map_by_stock_and_pipeline_puts_every_order_in_its_cell(result: Result) -> None:
    (drawn_maps,) = policy_map.planes(result).values()
    policy, order_map = drawn_maps[0]
    x, y, found = policy_map.grid(order_map)
    assert (x[0], x[-1], y[0], y[-1]) == (-0.5, 7.5, 1.5, 9.5)
    assert found.shape == (8, 8)
    assert found[0, 0] == LEVELS[policy.name] - 0 - 2
    assert found[3, 7] == max(0, LEVELS[policy.name] - 7 - 5)


def test_bullwhip_and_stock_are_those_of_the_table(result: Result) -> None:
    depot, store = by_node.bullwhip(result)
    assert depot.values == {"learned": (0.4, 0.05), EVIL: (1.3, 0.05), "base stock": (1.0, 0.05)}
    assert [group.name for group in by_node.stock(result)] == ["depot", "store"]
    assert store.values == depot.values
    axes = drawn(result, "bullwhip").axes[0]
    marks = [float(line.get_xdata()[0]) for line in axes.lines if line.get_marker() in "os^" and len(line.get_xdata())]
    assert sorted(marks) == pytest.approx(sorted([0.4, 1.3, 1.0] * 2))


def test_nodes_of_a_large_network_stand_together_by_echelon(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "run")
    nodes = ["depot", *(f"store {k}" for k in range(9))]
    key = {"problem": "shop", "policy": "learned", "on_hand_half_width": 0.1, "bullwhip_half_width": 0.1}
    variances = {"order_variance": 1, "demand_variance": 1}
    rows = [key | variances | {"node": node, "on_hand": 2.0, "bullwhip": k} for k, node in enumerate(nodes)]
    write_csv(tmp_path / "run" / "bullwhip.csv", [{name: row[name] for name in BULLWHIP} for row in rows])
    links = [{"source": "depot", "target": node, "lead_time": 1} for node in nodes[1:]]
    described = {"nodes": [{"name": n, "outlet": n != "depot", "holding_cost": 1} for n in nodes], "links": links}
    (tmp_path / "run" / "networks.json").write_text(json.dumps({"shop": described}))
    large = read_run(tmp_path / "run").results[0]
    first, second = by_node.stock(large)
    assert (first.name, first.values) == ("echelon 1 (1 node)", {"learned": (2.0, 0.1)})
    assert (second.name, second.values) == ("echelon 2 (9 nodes)", {"learned": (18.0, None)})
    assert by_node.bullwhip(large)[1].values == {"learned": (5.0, None)}
    assert "Bars: mean stock" in Page(render(read_run(folder))).text
    assert "Bars: mean stock" not in Page(render(read_run(tmp_path / "run"))).text


def test_a_run_without_observations_is_reported_without_them(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "run")
    for name in ("policy_map.csv", "bullwhip.csv"):
        (tmp_path / "run" / name).unlink()
    text = remake(tmp_path / "run").read_text(encoding="utf-8")
    assert "Bullwhip" not in text
    assert "Mean cost" in text


def test_a_table_of_observations_that_lacks_a_column_is_named(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder, tmp_path / "run")
    (tmp_path / "run" / "policy_map.csv").write_text("problem,policy\n")
    with pytest.raises(ConfigError, match="must have the columns " + ", ".join(POLICY_MAP)):
        read_run(tmp_path / "run")


LEAGUE_LATEX = r"""\begin{table}
\centering
\caption{shop: cost with 95 \% confidence intervals over 10 replications; gap to the proven optimum 4.7.}
\label{tab:league-shop}
\begin{tabular}{lrrrl}
\toprule
Policy & Cost per period & Gap (\%) & Fill rate (\%) & Verdict \\
\midrule
learned & 4.800 $\pm$ 0.020 & 2.13 $\pm$ 0.40 & 90.00 & best \\
\textless{}img src=x onerror='alert(1)'\textgreater{}\&\{\_\%\} & 5.000 $\pm$ 0.020 & 6.38 $\pm$ 0.40 & 90.00 & worse \\
base stock & 5.200 $\pm$ 0.020 & 10.64 $\pm$ 0.40 & 90.00 & worse \\
\bottomrule
\end{tabular}
\end{table}
"""


def test_the_tables_hold_the_figures_of_the_league(folder: Path, result: Result) -> None:
    assert (folder / "tables" / "01-shop-league.tex").read_text(encoding="utf-8") == LEAGUE_LATEX
    text = (folder / "tables" / "01-shop-differences.tex").read_text(encoding="utf-8")
    assert r"base stock & 0.400 $\pm$ 0.030 & worse \\" in text
    with (folder / "tables" / "01-shop-league.csv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert [row["policy"] for row in rows] == ["learned", EVIL, "base stock"]
    assert [float(row["cost"]) for row in rows] == [policy.mean for policy in result.policies]
    with (folder / "tables" / "01-shop-differences.csv").open(encoding="utf-8", newline="") as lines:
        differences = {row["policy"]: float(row["difference"]) for row in csv.DictReader(lines)}
    assert [*differences] == [EVIL, "base stock"]
    assert [*differences.values()] == pytest.approx([0.2, 0.4])


def test_nothing_in_a_name_is_a_command_of_latex() -> None:
    every = tables.escaped(r"\{}$&#%_~^<>|")
    assert re.sub(r"\\(textbackslash|textasciitilde|textasciicircum|textless|textgreater|textbar)\{\}", "", every) == (
        r"\{\}\$\&\#\%\_"
    )


def test_several_runs_are_pooled_by_instance_policy_and_seed(grid: Path) -> None:
    pool = read_pool([grid])
    assert pool.instances == ("shop (stockout cost 4)", "shop (stockout cost 9)")
    assert set(pool.policies) == set(POLICIES)
    assert pool.seeds == (1, 2, 3, 4, 5)
    assert pool.shared == pool.instances
    found = pooled(pool, (pool.instances[0], "learned"))
    assert found is not None
    means = 4.8 * (1 + 0.01 * np.arange(1, 6))
    assert found[0].mean == pytest.approx(means.mean())
    assert found[0].half_width == pytest.approx(2.7764451 * means.std(ddof=1) / 5**0.5)
    assert found[1] is not None
    assert found[1].mean == pytest.approx((100 * (means / 4.7 - 1)).mean())
    scores = np.asarray(excess(pool, "learned"))
    assert scores.shape == (5, 2)
    assert scores[:, 0] == pytest.approx(100 * (means / 4.7 - 1))
    assert [sweep.instances for sweep in sweeps(pool)] == [pool.instances]
    assert [group.name for group in forest(pool)] == [*pool.instances]
    assert forest(pool)[0].values["learned"] == (found[1].mean, found[1].half_width)


def test_the_page_of_several_runs_has_every_figure_and_names_what_failed(grid: Path, tmp_path: Path) -> None:
    text = write_grid_report([grid], tmp_path / "all.html").read_text(encoding="utf-8")
    page = must_stand_alone(text)
    for heading in (
        *("Every instance", "Interquartile mean", "Performance profiles", "Probability of improvement"),
        "What service costs: shop",
    ):
        assert heading in page.text
    assert "2 parts of the runs without a result:" in page.text
    assert "stockout_cost=19,seed=1: no results (failed)" in page.text
    assert f"stockout_cost=4,seed=2: shop/{EVIL}: ran out of <memory>" in page.text
    pool = read_pool([grid])
    cells = [unescape(re.sub("<[^>]*>", "|", cell)) for cell in re.findall(r"<td[^>]*>(.*?)</td>", text)]
    mean, _ = pooled(pool, (pool.instances[0], pool.policies[0])) or (None, None)
    assert mean is not None
    assert cells[0].split("|")[0].replace("\xa0", " ") == with_half_width(mean.mean, mean.half_width)
    beside = {path.name for path in (tmp_path / "all-files" / "plots").iterdir()}
    names = ("forest", "iqm", "profiles", "improvement", "sweep-1")
    assert beside == {f"{name}.{kind}" for name in names for kind in ("png", "pdf", "svg")}
    with (tmp_path / "all-files" / "tables" / "pooled.csv").open(encoding="utf-8", newline="") as lines:
        rows = list(csv.DictReader(lines))
    assert (len(rows), {row["seeds"] for row in rows}) == (6, {"5"})
    assert float(rows[0]["cost"]) == mean.mean


def with_fill_rates(run: Path, usual: float, rare: float) -> Path:
    """The run with fill rates of which one in ten is another."""
    with (run / "results.csv").open(encoding="utf-8", newline="") as lines:
        rows = [{**row, "fill_rate": usual if k % 10 else rare} for k, row in enumerate(csv.DictReader(lines))]
    write_csv(run / "results.csv", rows)
    return run


def bars_across(axes: Any) -> list[tuple[float, float]]:
    """The ends of the horizontal bars of a figure."""
    segments = [segment for bars in axes.collections for segment in bars.get_segments()]
    return [(float(one[:, 0].min()), float(one[:, 0].max())) for one in segments if np.ptp(one[:, 0]) > 0]


@pytest.mark.parametrize(("usual", "rare"), [(1.0, 0.6), (0.0, 0.4)])
def test_no_interval_of_a_fill_rate_leaves_0_to_100_per_cent(usual: float, rare: float, tmp_path: Path) -> None:
    """The frontier of a run over replications, and that of a sweep over two seeds."""
    runs = [
        with_fill_rates(write_run(tmp_path / f"{cost}-{seed}", seed=seed, cost=cost), usual, rare + 0.1 * seed)
        for cost in (4.0, 9.0)
        for seed in (0, 1)
    ]
    for name, axes in (
        ("run", drawn(read_run(runs[0]).results[0], "frontier").axes[0]),
        ("sweep", drawn_of_several(runs, "sweep-1").axes[0]),
    ):
        bars = bars_across(axes)
        assert len(bars) >= len(POLICIES), name
        assert {100 * usual} <= {end for ends in bars for end in ends}, name
        assert 0 <= min(left for left, _ in bars) < max(right for _, right in bars) <= 100, name
    pool = read_pool(runs)
    (sweep,) = sweeps(pool)
    found = [served.ends for policy in pool.policies for _, served, _ in frontier_of(pool, sweep, policy)]
    assert all(ends is not None and usual in ends for ends in found)


def drawn_of_several(folders: Sequence[Path], name: str) -> Any:
    across = Across(read_pool(folders))
    with style():
        return dict(grid_figures(across, looks(across.pool.policies)))[name]


def test_the_best_policy_of_several_runs_is_the_lowest_and_always_wins_here(grid: Path) -> None:
    across = Across(read_pool([grid]))
    assert [*across.means] == ["learned", EVIL, "base stock"]
    assert across.improvements["base stock"].value > 0.9
    assert all(profile.share[-1] <= 1 for profile in across.profiles.values())


def test_too_few_seeds_give_no_interval_across_instances_and_say_so(grid: Path, tmp_path: Path) -> None:
    folders = sorted(path for path in grid.iterdir() if path.name.endswith(("seed=1", "seed=2")) and path.is_dir())
    across = Across(read_pool(folders))
    with style():
        names = [name for name, _ in grid_figures(across, looks(across.pool.policies))]
    assert names == ["forest", "sweep-1"]
    text = write_grid_report(folders, tmp_path / "few.html").read_text(encoding="utf-8")
    assert "With 2 seeds and 2 instances no bootstrap interval" in Page(text).text


def test_a_policy_with_other_settings_is_another_policy_and_a_missing_cell_is_told(grid: Path, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("a", "b")]
    for rank, folder in enumerate(folders):
        shutil.copytree(grid / "stockout_cost=4,seed=1", folder)
        config = json.loads((folder / "config.yaml").read_text())
        config["problems"]["shop"]["policies"]["learned"] = {"agent": "ppo", "settings": {"gamma": 0.9 + 0.05 * rank}}
        (folder / "config.yaml").write_text(json.dumps(config))
    pool = read_pool(folders)  # the other policies are in both, with the same results
    assert {"learned (gamma 0.9)", "learned (gamma 0.95)", "base stock", EVIL} == set(pool.policies)
    assert pool.seeds == (1,)
    rows = [line for line in (folders[1] / "summary.csv").read_text().splitlines() if "base stock" not in line]
    (folders[1] / "summary.csv").write_text("\n".join(rows) + "\n")
    config["problems"]["shop"]["parameters"]["stockout_cost"] = 5
    (folders[1] / "config.yaml").write_text(json.dumps(config))
    text = write_grid_report(folders, tmp_path / "two.html").read_text(encoding="utf-8")
    assert "no result" in Page(text).text


def changed(folder: Path, *, parameters: Mapping[str, Any] = {}, costs: Mapping[str, Any] = {}) -> Path:
    """A run with other parameters of its problem in the config, or other columns in the summary of every policy."""
    config = json.loads((folder / "config.yaml").read_text())
    for section in config["problems"].values():
        section["parameters"] |= parameters
    (folder / "config.yaml").write_text(json.dumps(config))
    with (folder / "summary.csv").open(encoding="utf-8", newline="") as lines:
        rows = [{**row, **costs} for row in csv.DictReader(lines)]
    write_csv(folder / "summary.csv", rows)
    return folder


def test_two_results_of_one_cell_and_seed_are_refused(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / name, scale=scale) for name, scale in (("a", 1.0), ("b", 1.1))]
    told = f"{folders[0]} and {folders[1]} differ in the result of policy 'learned' on 'shop' with seed 1"
    with pytest.raises(ConfigError, match=re.escape(told)):
        read_pool(folders)
    assert read_pool([folders[0], folders[0]]).seeds == (1,)


def test_intervals_of_different_confidence_are_not_put_together(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / name, seed=seed) for seed, name in enumerate("ab")]
    changed(folders[1], costs={"confidence": 0.9})
    with pytest.raises(ConfigError, match=r"intervals of one confidence \(got 0.9 in .*b, 0.95 in .*a\)"):
        read_pool(folders)


def test_values_that_differ_in_the_seventh_digit_are_two_instances(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / name, cost=cost) for name, cost in (("a", 1234567.0), ("b", 1234568.0))]
    assert read_pool(folders).instances == ("shop (stockout cost 1234567.0)", "shop (stockout cost 1234568.0)")


def test_settings_of_the_same_last_name_are_told_apart(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / name) for name in ("a", "b")]
    for folder, name in zip(folders, ("up", "down"), strict=True):
        changed(folder, parameters={name: {"mean": 5}})
    assert read_pool(folders).instances == ("shop (parameters.up.mean 5)", "shop (parameters.down.mean 5)")


def test_a_cost_below_zero_is_compared_the_right_way_round(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", scale=-1.0)
    pool = read_pool([changed(run, costs={"reference": "", "gap_percent": "", "gap_half_width": ""})])
    heights = {name: value for name, (value, _) in forest(pool)[0].values.items()}
    assert heights == {name: pytest.approx(100 * (5.2 - mean) / 5.2) for name, mean in MEANS.items()}
    assert excess(pool, "learned") == [[pytest.approx(heights["learned"])]]


def test_where_the_lowest_mean_is_zero_there_are_no_percentages(tmp_path: Path) -> None:
    free = {"mean": 0.0, "reference": "", "gap_percent": "", "gap_half_width": ""}
    folders = [changed(write_run(tmp_path / "free"), costs=free), write_run(tmp_path / "dear", cost=2.0)]
    pool = read_pool(folders)
    assert pool.shared == ("shop (stockout cost 2)",)
    assert forest(pool)[0].values == {}
    text = Page(write_grid_report(folders, tmp_path / "page.html").read_text(encoding="utf-8")).text
    assert "about the 1 instance of 2 on which every policy has a result of the same 1 seed and the lowest mean" in text


def test_runs_of_different_problems_and_policies_share_nothing_and_say_so(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / problem, problem=problem) for problem in ("one", "two")]
    rows = [line for line in (folders[1] / "summary.csv").read_text().splitlines() if "learned" not in line]
    (folders[1] / "summary.csv").write_text("\n".join(rows) + "\n")
    rows = [line for line in (folders[0] / "summary.csv").read_text().splitlines() if "base stock" not in line]
    (folders[0] / "summary.csv").write_text("\n".join(rows) + "\n")
    pool = read_pool(folders)
    assert (pool.seeds, pool.shared) == ((), ())
    text = Page(write_grid_report(folders, tmp_path / "page.html").read_text(encoding="utf-8")).text
    assert "Nothing is said over all instances" in text
    assert "costs are compared as %" not in text


def test_policies_that_differ_by_rounding_alone_have_a_profile(tmp_path: Path) -> None:
    folders = [write_run(tmp_path / str(seed), seed=seed) for seed in range(5)]
    for folder in folders:
        changed(folder, costs={"mean": 5.2, "gap_percent": 10.0})
    across = Across(read_pool(folders))
    assert [profile.share[-1] for profile in across.profiles.values()] == [1.0] * 3
    assert (np.diff(across.thresholds) > 0).all()


def test_the_command_makes_one_run_again_and_pools_several(
    folder: Path, grid: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def command(*words: str) -> int:
        monkeypatch.setattr("sys.argv", ["echelon", "report", *words])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0)

    shutil.copytree(folder, tmp_path / "run", ignore=shutil.ignore_patterns("plots", "tables", "report.html"))
    assert command(str(tmp_path / "run")) == 0
    assert {"plots", "tables", "report.html"} <= {path.name for path in (tmp_path / "run").iterdir()}
    assert command(str(grid), "--out", str(tmp_path / "page.html")) == 0
    assert (tmp_path / "page.html").exists()
    capsys.readouterr()
    assert command(str(tmp_path / "none")) == 2
    assert "must be a run folder" in capsys.readouterr().err
    assert command(str(tmp_path / "run"), "--out", "x.html") == 2
    assert "the report of one run goes into its folder" in capsys.readouterr().err
