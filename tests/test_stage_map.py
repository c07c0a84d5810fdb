"""The picture of a guaranteed-service network: everything is in it, nothing overlaps, and it is sound XML."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from echelon.baselines.guaranteed_service import GuaranteedService, cost_of_service_times, guaranteed_service
from echelon.baselines.stage_network import StageNetwork
from echelon.envs.errors import ConfigError
from echelon.experiments.layering import bends, crossings, heights, layers, neighbours_of, ordered
from echelon.experiments.stage_map import LARGEST, stage_map, write_stage_map
from echelon.experiments.stage_marks import BOX_X, SMALLEST_TRIANGLE

Floats = NDArray[np.float64]

SVG = "{http://www.w3.org/2000/svg}"


def solved(count: int, seed: int = 0, *, arcs: int = 2) -> GuaranteedService:
    """A network of `count` stages with up to `arcs` suppliers each, and its best service times."""
    rng = np.random.default_rng(seed)
    stages: list[dict[str, Any]] = []
    for j in range(count):
        above = rng.choice(j, size=min(j, int(rng.integers(1, arcs + 1))), replace=False).tolist() if j else []
        stages.append(
            {
                "name": f"stage <{j}> & co",
                "stage_time": int(rng.integers(1, 9)),
                "holding_cost": float(1 + j),
                "suppliers": [f"stage <{i}> & co" for i in above],
            }
        )
    fed = {name for stage in stages for name in stage["suppliers"]}
    for stage in stages:
        if stage["name"] not in fed or rng.random() < 0.2:
            stage |= {"demand_mean": 10.0, "demand_sd": 3.0, "service_level": 0.95}
    return guaranteed_service(StageNetwork.from_dict({"name": "a <network>", "stages": stages}))


def boxes(picture: str) -> list[tuple[str, tuple[float, float, float, float], bool]]:
    """The facts, the edges (left, top, right, bottom) and the fill of every stage's box."""
    found = []
    for group in ElementTree.fromstring(picture).iter(f"{SVG}g"):
        title, box = group.find(f"{SVG}title"), group.find(f"{SVG}rect")
        if title is not None and box is not None:
            left, top, width, height = (float(box.attrib[key]) for key in ("x", "y", "width", "height"))
            found.append((str(title.text), (left, top, left + width, top + height), group.attrib["class"] == "stock"))
    return found


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 30), st.integers(0, 10_000))
def test_every_stage_is_drawn_once_apart_from_the_others_and_filled_if_it_holds_stock(count: int, seed: int) -> None:
    solution = solved(count, seed)
    drawn = boxes(stage_map(solution))
    names = [facts.split(": stage time")[0] for facts, _, _ in drawn]
    assert names == [stage.name for stage in solution.network.stages]
    assert [name for name, (_, _, filled) in zip(names, drawn, strict=True) if filled] == solution.placement
    for k, (_, (left, top, right, bottom), _) in enumerate(drawn):
        assert top >= 0
        for _, (other_left, other_top, other_right, other_bottom), _ in drawn[k + 1 :]:
            assert right <= other_left or other_right <= left or bottom <= other_top or other_bottom <= top
    edges = dict(zip(names, (edge for _, edge, _ in drawn), strict=True))
    for stage in solution.network.stages:
        for supplier in stage.suppliers:
            assert edges[supplier][2] + 60 < edges[stage.name][0]


def test_all_stays_within_the_picture() -> None:
    picture = stage_map(solved(45, 3))
    root = ElementTree.fromstring(picture)
    _, _, width, height = map(float, root.attrib["viewBox"].split())
    shift = re.search(r'<g transform="translate\(([\d.]+) (\d+)\)">', picture)
    assert shift is not None
    x, y = float(shift[1]), float(shift[2])
    for _, (left, top, right, bottom), _ in boxes(picture):
        assert 0 <= left + x < right + x <= width
        assert 0 <= top + y < bottom + y <= height - 60  # the legend is below


def test_the_picture_says_what_the_solution_says() -> None:
    solution = solved(12, 5)
    picture = stage_map(solution)
    texts = [text.text for text in ElementTree.fromstring(picture).iter(f"{SVG}text")]
    assert texts[0] == "a <network>"
    assert str(texts[1]).startswith(f"Safety stock costs {solution.cost:,.0f}, at ")
    for time in solution.outbound:
        assert f"S = {time}" in texts
    arcs = sum(len(stage.suppliers) for stage in solution.network.stages)
    customers = sum(stage.has_customers for stage in solution.network.stages)
    assert picture.count('class="head"') == arcs + customers
    assert picture.count('class="triangle"') == len(solution.placement) + 1  # one is in the legend


def test_the_area_of_the_triangle_grows_in_proportion_to_the_cost() -> None:
    one = {"name": "cheap", "stage_time": 4, "holding_cost": 1.0, "service_level": 0.9, "demand_sd": 3.0}
    four = {**one, "name": "dear", "holding_cost": 4.0}
    picture = stage_map(guaranteed_service(StageNetwork.from_dict({"stages": [one, four]})))
    sides = [float(side) for side in re.findall(r'class="triangle" d="[^"]*h-([\d.]+)z"', picture)]
    assert sides[1] == pytest.approx(2 * sides[0])


def test_a_stage_whose_stock_is_paid_for_by_others_is_drawn_as_small_as_can_be() -> None:
    """Costs below 0, which a stage's own cost function may have, count as none; the facts say what they are."""
    one = {"name": "paid", "stage_time": 4, "holding_cost": 1.0, "service_level": 0.9, "demand_sd": 3.0}
    network = StageNetwork.from_dict({"stages": [one, {**one, "name": "dear", "holding_cost": 4.0}]})
    for costs in ({"paid": bonus}, {"paid": bonus, "dear": bonus}):
        solution = guaranteed_service(network, stage_costs=costs)
        assert solution.stage_cost[0] == -1004
        picture = stage_map(solution)
        facts = [facts for facts, _, _ in boxes(picture)]
        assert "cost -1,004" in facts[0]
        texts = [str(text.text) for text in ElementTree.fromstring(picture).iter(f"{SVG}text")]
        assert sum("units, 0 %" in text for text in texts) == len(costs)
        sides = [float(side) for side in re.findall(r'class="triangle" d="[^"]*h-([\d.]+)z"', picture)]
        assert sides[0] == SMALLEST_TRIANGLE
    many = [{**one, "name": f"stage {j}"} for j in range(LARGEST + 1)]
    large = StageNetwork.from_dict({"stages": many})
    paid = guaranteed_service(large, stage_costs={stage.name: bonus for stage in large.stages})
    assert "61 stages" in stage_map(paid)


def bonus(si: Floats, s: Floats) -> Floats:
    return si - s - 1000.0 - 4.0


def test_names_that_no_xml_file_can_hold_are_drawn_all_the_same() -> None:
    one = {"name": "bell\x07 \ufffe \U0001f3ed", "stage_time": 4, "service_level": 0.9, "demand_sd": 3.0}
    network = StageNetwork.from_dict({"name": "null\x00", "stages": [{**one, "holding_cost": 1.0}]})
    picture = stage_map(guaranteed_service(network))
    texts = [text.text for text in ElementTree.fromstring(picture.encode()).iter(f"{SVG}text")]
    assert "null\ufffd" in texts
    assert "bell\ufffd \ufffd \U0001f3ed" in texts


def test_stock_that_is_early_is_among_the_facts() -> None:
    stage: dict[str, Any] = {"name": "early", "stage_time": {1.0: 0.9, 5.0: 0.1}, "holding_cost": 2.0}
    stage |= {"demand_mean": 5.0, "demand_sd": 1.0, "service_level": 0.9, "service_time": 4}
    network = StageNetwork.from_dict({"stages": [stage]})
    assert "early stock 13.5, base" in stage_map(cost_of_service_times(network, {"early": 4}))
    assert "early stock" not in stage_map(cost_of_service_times(network, {"early": 0}))


def test_a_network_without_safety_stock_has_no_triangle_but_in_the_legend() -> None:
    sure = {"name": "sure", "stage_time": 4, "holding_cost": 1.0, "service_level": 0.9, "demand_mean": 3.0}
    picture = stage_map(guaranteed_service(StageNetwork.from_dict({"stages": [sure]})))
    assert picture.count('class="triangle"') == 1
    assert "costs 0, at 0 of 1 stages" in picture


def test_a_large_network_is_drawn_by_layers_which_add_up() -> None:
    solution = solved(LARGEST + 1, 1, arcs=1)
    picture = stage_map(solution)
    texts = [str(text.text) for text in ElementTree.fromstring(picture).iter(f"{SVG}text")]
    counts = [int(found[1]) for text in texts if (found := re.fullmatch(r"(\d+) stages?", text))]
    held = [int(found[1]) for text in texts if (found := re.fullmatch(r"(\d+) with safety stock", text))]
    assert sum(counts) == LARGEST + 1
    assert sum(held) == len(solution.placement)
    dearest = solution.network.stages[int(solution.stage_cost.argmax())].name
    assert dearest in texts
    assert stage_map(solved(LARGEST, 1, arcs=1)).count("<title>") == LARGEST


def test_a_picture_is_a_file_of_its_own_with_light_and_dark_colours(tmp_path: Path) -> None:
    write_stage_map(solved(5), tmp_path / "map.svg")
    text = (tmp_path / "map.svg").read_text(encoding="utf-8")
    assert ElementTree.fromstring(text.encode()).tag == f"{SVG}svg"
    assert "prefers-color-scheme: dark" in text
    assert "http" not in text.replace("http://www.w3.org/2000/svg", "")
    with pytest.raises(ConfigError, match=r"the name of a picture must end in \.svg \(got map\.png\)"):
        write_stage_map(solved(5), "map.png")


def test_a_picture_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError) as error:
        write_stage_map(solved(5), tmp_path / "none" / "map.svg")
    assert str(error.value) == f"{tmp_path}/none/map.svg: the picture cannot be written: No such file or directory"
    (tmp_path / "map.svg").write_text("the old one", encoding="utf-8")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.replace", full)
    with pytest.raises(ConfigError, match="the picture cannot be written: No space left on device"):
        write_stage_map(solved(5), tmp_path / "map.svg")
    assert [path.name for path in tmp_path.iterdir()] == ["map.svg"]
    assert (tmp_path / "map.svg").read_text(encoding="utf-8") == "the old one"


def test_a_tree_is_drawn_without_crossings() -> None:
    rng = np.random.default_rng(4)
    names = [str(j) for j in range(40)]
    links = [{"source": str(j), "target": str(rng.integers(j))} for j in range(1, 40)]
    layer = layers(names, links)
    assert layer is not None
    routes = [bends(link["source"], link["target"], k, layer) for k, link in enumerate(links, start=1)]
    assert crossings(ordered(routes, layer), neighbours_of(routes)) == 0


@settings(max_examples=30, deadline=None)
@given(st.integers(2, 15), st.integers(0, 10_000))
def test_vertices_keep_their_order_and_their_distance(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    links = [{"source": str(i), "target": str(j)} for i in range(count) for j in range(i) if rng.random() < 0.3]
    layer = layers([str(j) for j in range(count)], links)
    assert layer is not None
    routes = [bends(link["source"], link["target"], k, layer) for k, link in enumerate(links, start=1)]
    columns, neighbours = ordered(routes, layer), neighbours_of(routes)
    height = heights(columns, neighbours, lambda vertex: 3.0 if vertex[1] else BOX_X / 10)
    assert min(y - (3.0 if vertex[1] else BOX_X / 10) for vertex, y in height.items()) == pytest.approx(0)
    for column in columns.values():
        for above, below in pairwise(column):
            room = sum(3.0 if vertex[1] else BOX_X / 10 for vertex in (above, below))
            assert height[below] - height[above] >= room - 1e-9


def test_crossings_are_counted_as_by_comparing_all_pairs() -> None:
    rng = np.random.default_rng(1)
    columns = {-1: [(f"a{k}", 0) for k in range(7)], 0: [(f"b{k}", 0) for k in range(7)]}
    pairs = [(i, j) for i in range(7) for j in range(7) if rng.random() < 0.4]
    neighbours = neighbours_of([[(f"a{i}", 0), (f"b{j}", 0)] for i, j in pairs])
    crossed = sum((i - k) * (j - m) < 0 for n, (i, j) in enumerate(pairs) for k, m in pairs[:n])
    assert crossings(columns, neighbours) == crossed > 0
