"""The guaranteed-service model: published examples, laws, and what it refuses."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echelon.baselines.guaranteed_service import GuaranteedService, cost_of_service_times, guaranteed_service
from echelon.baselines.stage_demand import demand_bounds
from echelon.baselines.stage_network import StageNetwork
from echelon.envs.errors import MethodError, NetworkError

Z_95 = 1.6448536269514722

# S. C. Graves and S. P. Willems, Supply Chain Design: Safety Stock Placement and Supply Chain Configuration, in
# Handbooks in Operations Research and Management Science 11, 2003: the bulldozer. Stage time, cost added, components.
BULLDOZER: dict[str, tuple[int, float, list[str]]] = {
    "Boggie": (11, 575, []),
    "Brake": (8, 3850, []),
    "Case": (15, 2200, []),
    "Case&Frame": (16, 1500, ["Case", "Frame_Assembly"]),
    "Chassis&Platform": (7, 4320, ["Fender", "Plant_Carrier", "Platform", "Roll_Over"]),
    "Common_Subassembly": (5, 8000, ["Transmission", "Final_Drive&Brake", "Case&Frame"]),
    "Dressed_Out_Engine": (10, 4100, ["Engine", "Fans"]),
    "Drive_Group": (9, 1550, []),
    "Engine": (7, 4500, []),
    "Fans": (12, 650, []),
    "Fender": (9, 900, []),
    "Final_Assembly": (4, 8000, ["Main_Assembly", "Suspension"]),
    "Final_Drive&Brake": (6, 3680, ["Brake", "Drive_Group"]),
    "Frame_Assembly": (19, 605, []),
    "Main_Assembly": (8, 12000, ["Common_Subassembly", "Dressed_Out_Engine", "Chassis&Platform"]),
    "Pin_Assembly": (35, 90, []),
    "Plant_Carrier": (9, 155, []),
    "Platform": (6, 725, []),
    "Roll_Over": (8, 1150, []),
    "Suspension": (7, 3600, ["Pin_Assembly", "Boggie", "Track_Roller"]),
    "Track_Roller": (10, 3000, []),
    "Transmission": (15, 7450, []),
}
BULLDOZER_TIMES = {
    "Boggie": 11,
    "Brake": 8,
    "Case": 0,
    "Case&Frame": 15,
    "Chassis&Platform": 16,
    "Common_Subassembly": 20,
    "Dressed_Out_Engine": 20,
    "Drive_Group": 9,
    "Engine": 7,
    "Fans": 10,
    "Fender": 9,
    "Final_Assembly": 0,
    "Final_Drive&Brake": 15,
    "Frame_Assembly": 0,
    "Main_Assembly": 28,
    "Pin_Assembly": 21,
    "Plant_Carrier": 9,
    "Platform": 6,
    "Roll_Over": 8,
    "Suspension": 28,
    "Track_Roller": 10,
    "Transmission": 15,
}


def bulldozer() -> StageNetwork:
    """Holding cost is 30 % a year of all the cost added so far, demand 5 with a standard deviation of 3."""

    def value(name: str) -> float:
        _, added, parts = BULLDOZER[name]
        return added + sum(value(part) for part in parts)

    stages: list[dict[str, Any]] = [
        {"name": name, "stage_time": time, "holding_cost": 0.3 * value(name), "suppliers": parts}
        for name, (time, _, parts) in BULLDOZER.items()
    ]
    demand = {"demand_mean": 5.0, "demand_sd": 3.0, "safety_factor": 1.645}
    return StageNetwork.from_dict(
        {"stages": [stage | demand if stage["name"] == "Final_Assembly" else stage for stage in stages]}
    )


def test_the_bulldozer_has_the_published_service_times_and_cost() -> None:
    found = guaranteed_service(bulldozer())
    assert found.service_times == BULLDOZER_TIMES
    assert found.cost == pytest.approx(632_775.03, abs=0.005)
    assert found.cost == pytest.approx(632_720, rel=1e-4)  # published, a sum of rounded costs of the stages
    assert found.gap <= 1e-12
    assert found.placement == ["Case", "Case&Frame", "Fans", "Final_Assembly", "Frame_Assembly", "Pin_Assembly"]
    assert cost_of_service_times(bulldozer(), BULLDOZER_TIMES).cost == pytest.approx(found.cost, rel=1e-12)


def tree(
    times: list[int],
    holding: list[float],
    arcs: list[tuple[int, int]],
    *,
    sd: dict[int, float],
    z: float,
    outbound: dict[int, int],
    inbound: dict[int, int] | None = None,
) -> StageNetwork:
    """A textbook's tree: stages 1, 2, ... with times and local holding costs; arcs go downstream."""
    stages: list[dict[str, Any]] = []
    for j, (time, cost) in enumerate(zip(times, holding, strict=True), start=1):
        stage = {"name": str(j), "stage_time": time, "holding_cost": cost}
        stage["suppliers"] = [str(i) for i, k in arcs if k == j]
        stage["inbound_service_time"] = (inbound or {}).get(j, 0)
        if j in sd:
            stage |= {"demand_sd": sd[j], "safety_factor": z, "service_time": outbound[j]}
        stages.append(stage)
    return StageNetwork.from_dict({"stages": stages})


def figure_6_14(outbound: int) -> StageNetwork:
    """The digital camera of Graves and Willems as Snyder and Shen have it."""
    return tree(
        [2, 3, 2, 4, 2, 3, 6, 4, 3, 2],
        [0.01, 0.03, 0.04, 0.06, 0.12, 0.13, 0.2, 0.08, 0.04, 0.5],
        [(1, 2), (2, 3), (3, 5), (4, 5), (5, 6), (6, 10), (7, 10), (8, 10), (9, 10)],
        sd={10: 10.0},
        z=Z_95,
        outbound={10: outbound},
    )


def problem_6_9(first: int, second: int) -> StageNetwork:
    return tree(
        [7, 7, 21, 3, 8, 2],
        [44 / 365, 28 / 365, 18 / 365, 1 / 365, 4 / 365, 1.5 / 365],
        [(3, 1), (3, 2), (4, 3), (5, 3), (6, 5)],
        sd={1: 4.1, 2: 6.2},
        z=4.0,
        outbound={1: first, 2: second},
    )


# Snyder & Shen, Fundamentals of Supply Chain Theory (2nd ed., Wiley 2019), as stockpyl's tests have them: the network,
# the outbound service times from stage 1 on, and the cost.
TEXTBOOK: dict[str, tuple[StageNetwork, list[int], float]] = {
    "example 6.3": (
        tree([1, 0, 1], [7, 4, 2], [(3, 2), (2, 1)], sd={1: 1.0}, z=1.0, outbound={1: 1}, inbound={3: 1}),
        [1, 0, 0],
        2 * math.sqrt(2),
    ),
    "problem 6.7": (
        tree([2, 1, 1], [4, 3, 2], [(3, 2), (2, 1)], sd={1: 10.0}, z=4.0, outbound={1: 0}, inbound={3: 1}),
        [0, 3, 2],
        160 * math.sqrt(5),
    ),
    "problem 6.8": (
        tree(
            [5, 10, 2, 15, 8, 5, 9, 5, 1, 5],
            [5.73, 4.56, 3.04, 2.93, 2.47, 2.37, 1.15, 1.1, 0.98, 0.87],
            [(j + 1, j) for j in range(1, 10)],
            sd={1: 15.8},
            z=2.0537489106318225,
            outbound={1: 3},
            inbound={10: 7},
        ),
        [3, 10, 0, 28, 13, 5, 0, 18, 13, 12],
        1378.3020369,
    ),
    "example 6.5": (
        tree(
            [2, 1, 1, 1],
            [1, 3, 2, 3],
            [(1, 3), (3, 2), (3, 4)],
            sd={2: 1.0, 4: 1.0},
            z=1.0,
            outbound={2: 0, 4: 1},
            inbound={1: 1},
        ),
        [0, 0, 0, 1],
        2 * math.sqrt(2) + math.sqrt(6) + 3,
    ),
    "figure 6.14": (figure_6_14(2), [0, 3, 5, 4, 7, 0, 0, 0, 0, 2], 18.8240044726),
    "figure 6.14, 5 periods": (figure_6_14(5), [0, 3, 5, 4, 0, 3, 3, 3, 3, 5], 12.4686888061),
    "figure 6.14, 12 periods": (figure_6_14(12), [0, 3, 5, 4, 7, 10, 6, 4, 3, 12], 0.2326174307),
    "problem 6.9": (problem_6_9(3, 3), [3, 3, 0, 0, 0, 2], 15.6495302495),
    "problem 6.9, 0 and 7 periods": (problem_6_9(0, 7), [0, 7, 0, 0, 0, 2], 13.121240238718),
}


@pytest.mark.parametrize("name", TEXTBOOK)
def test_the_textbook_examples_come_out(name: str) -> None:
    network, outbound, cost = TEXTBOOK[name]
    found = guaranteed_service(network)
    assert found.outbound.tolist() == outbound
    assert found.cost == pytest.approx(cost, rel=1e-9)
    assert found.gap <= 1e-12


@pytest.mark.parametrize(("outbound", "cost"), [(5, 12.4686888061), (8, 3.257882364), (12, 0.2326174307)])
def test_the_cost_of_figure_6_14_falls_with_the_service_time_of_the_customer(outbound: int, cost: float) -> None:
    assert guaranteed_service(figure_6_14(outbound)).cost == pytest.approx(cost, rel=1e-9)


def test_units_multiply_along_each_path_and_add_up_over_paths() -> None:
    stages: list[dict[str, Any]] = [
        {"name": "bolt", "stage_time": 1},
        {"name": "wheel", "stage_time": 1, "suppliers": {"bolt": 5.0}},
        {"name": "car", "stage_time": 1, "suppliers": {"wheel": 4.0, "bolt": 7.0}},
        {"name": "cart", "stage_time": 1, "suppliers": {"wheel": 2.0}},
    ]
    stages[2] |= {"demand_mean": 10.0, "demand_sd": 3.0, "safety_factor": 2.0}
    stages[3] |= {"demand_mean": 1.0, "demand_sd": 1.0, "safety_factor": 1.0}
    network = StageNetwork.from_dict({"stages": stages})
    assert demand_bounds(network) == pytest.approx([math.hypot(27 * 6, 10), math.hypot(4 * 6, 2), 6, 1])
    unpooled = StageNetwork.from_dict({"stages": stages, "pooling": 1.0})
    assert demand_bounds(unpooled) == pytest.approx([27 * 6 + 10, 4 * 6 + 2, 6, 1])
    found = guaranteed_service(network)
    assert found.pipeline_stock == pytest.approx([27 * 10 + 10, 42, 10, 1])


def random_network(seed: int) -> StageNetwork:
    """Three layers of 2 to 4 stages, each supplied by some of the layer before; who supplies nobody has customers."""
    rng = np.random.default_rng(seed)
    stages: list[dict[str, Any]] = []
    before: list[str] = []
    for layer in range(3):
        names = [f"{layer}.{k}" for k in range(int(rng.integers(2, 5)))]
        for name in names:
            some = [supplier for supplier in before if rng.random() < 0.6] or before[:1]
            stage = {"name": name, "stage_time": int(rng.integers(0, 6)), "holding_cost": rng.random() + layer}
            stages.append(stage | {"suppliers": {supplier: float(rng.integers(1, 3)) for supplier in some}})
        before = names
    bought = {name for stage in stages for name in stage["suppliers"]}
    for stage in stages:
        if stage["name"] not in bought or rng.random() < 0.1:
            stage |= {"demand_mean": 10.0, "demand_sd": float(rng.integers(1, 4)), "service_level": 0.95}
            stage["service_time"] = int(rng.integers(0, 3))
    return StageNetwork.from_dict({"stages": stages})


SEEDS = st.integers(0, 10_000)
LAW = settings(max_examples=15, deadline=None)


@LAW
@given(SEEDS, st.lists(st.floats(0.6, 0.999), min_size=2, max_size=2))
def test_stock_and_cost_rise_with_the_service_level_and_pipeline_stock_stays(seed: int, levels: list[float]) -> None:
    network = random_network(seed)
    low, high = (guaranteed_service(network.with_service_level(level)) for level in sorted(levels))
    assert low.cost <= high.cost * (1 + 1e-12)
    assert low.safety_stock.sum() <= high.safety_stock.sum() * (1 + 1e-12)
    assert low.pipeline_stock.tolist() == high.pipeline_stock.tolist()
    factors = [solution.network.stages[-1].z or 0.0 for solution in (low, high)]
    assert high.cost * factors[0] == pytest.approx(low.cost * factors[1], rel=1e-9)


@LAW
@given(SEEDS, st.data())
def test_what_is_asked_of_a_stage_is_never_free(seed: int, data: st.DataObject) -> None:
    network = random_network(seed)
    best = guaranteed_service(network)
    j = data.draw(st.integers(0, len(network.stages) - 1))
    stage, held = network.stages[j], bool(best.net_replenishment_time[j] > 0)
    assert guaranteed_service(network, holds_stock={stage.name: held}).cost == pytest.approx(best.cost, rel=1e-12)
    for asked in (
        {"holds_stock": {stage.name: not held}},
        {"outbound": {stage.name: data.draw(st.integers(0, int(best.inbound[j] + stage.mean_time)))}},
    ):
        try:
            forced = guaranteed_service(network, **asked)
        except MethodError as error:
            assert stage.name in str(error)  # noqa: PT017
        else:
            assert forced.cost >= best.cost * (1 - 1e-12)


@LAW
@given(SEEDS, st.data())
def test_a_longer_service_time_is_never_dearer(seed: int, data: st.DataObject) -> None:
    network = random_network(seed)
    name = data.draw(st.sampled_from([stage.name for stage in network.stages if stage.has_customers]))
    costs = [guaranteed_service(network.with_stages({name: {"service_time": limit}})).cost for limit in range(6)]
    assert all(after <= before * (1 + 1e-12) for before, after in pairwise(costs))


@LAW
@given(SEEDS)
def test_the_optimum_is_what_its_service_times_cost_with_and_without_merging_and_every_time(seed: int) -> None:
    network = random_network(seed)
    found, again = guaranteed_service(network), guaranteed_service(network)
    for field in ("inbound", "outbound", "safety_stock", "base_stock", "stage_cost"):
        assert getattr(found, field).tolist() == getattr(again, field).tolist()
    assert found.cost == again.cost
    assert found.gap <= 1e-9
    assert found.cost == pytest.approx(found.stage_cost.sum(), rel=1e-12)
    assert guaranteed_service(network, merge=False).cost == pytest.approx(found.cost, rel=1e-9)
    evaluated = cost_of_service_times(network, found.service_times)
    assert evaluated.cost == pytest.approx(found.cost, rel=1e-12)
    assert evaluated.service_times == found.service_times


@LAW
@given(SEEDS, st.sampled_from([1e-12, 1e-6, 1e3, 1e12]))
def test_the_optimum_is_in_proportion_to_the_holding_costs(seed: int, unit: float) -> None:
    network = random_network(seed)
    scaled = network.with_stages({s.name: {"holding_cost": unit * s.holding_cost} for s in network.stages})
    found = guaranteed_service(scaled)
    assert found.cost / unit == pytest.approx(guaranteed_service(network).cost, rel=1e-9)
    assert found.gap <= 1e-9


@LAW
@given(st.integers(1, 5), st.lists(st.tuples(st.integers(0, 4), st.floats(0.1, 9)), min_size=6, max_size=6))
def test_a_stage_that_holds_for_nothing_takes_all_stock_from_upstream(free: int, line: list[tuple[int, float]]) -> None:
    stages: list[dict[str, Any]] = [
        {"name": str(j), "stage_time": time, "holding_cost": 0.0 if j == free else cost, "suppliers": [str(j - 1)]}
        for j, (time, cost) in enumerate(line)
    ]
    stages[0]["suppliers"] = []
    stages[-1] |= {"demand_sd": 1.0, "safety_factor": 1.0}
    found = guaranteed_service(StageNetwork.from_dict({"stages": stages}))
    assert found.stage_cost[: free + 1].tolist() == [0.0] * (free + 1)
    downstream: list[dict[str, Any]] = stages[free + 1 :]
    if downstream:
        downstream[0] = {**downstream[0], "suppliers": []}
        assert found.cost == pytest.approx(guaranteed_service(StageNetwork.from_dict({"stages": downstream})).cost)


def pair(**first: Any) -> StageNetwork:
    """A stage that supplies another one."""
    return StageNetwork.from_dict(
        {
            "stages": [
                {"name": "part", "stage_time": 2, "holding_cost": 1.0, **first},
                {"name": "product", "stage_time": 1, "holding_cost": 3.0, "suppliers": ["part"]}
                | {"demand_mean": 10.0, "demand_sd": 2.0, "safety_factor": 1.0},
            ]
        }
    )


def test_certain_demand_needs_no_safety_stock() -> None:
    found = guaranteed_service(pair().with_stages({"product": {"demand_sd": 0.0}}))
    assert found.cost == found.lower_bound == found.gap == 0
    assert found.placement == []
    assert found.pipeline_stock.tolist() == [20, 10]


def test_a_cost_that_only_some_service_times_may_have_is_kept() -> None:
    # infinite unless the part waits for 2 periods, and else by SI + T - S
    def cost(si: Any, s: Any) -> Any:
        return np.where(si < 2, np.inf, 3 * np.sqrt(np.maximum(si + 1 - s, 0)))

    waits = guaranteed_service(pair(), stage_costs={"product": cost})
    assert waits.cost == pytest.approx(3 * math.sqrt(3))
    assert waits.inbound[1] == 2


def test_a_cost_is_not_charged_for_service_times_that_cannot_be() -> None:
    found = guaranteed_service(pair(), stage_costs={"part": lambda si, s: 4 / (si + 2 - s) ** 0.5})
    assert found.cost == pytest.approx(4 / math.sqrt(2) + 6)


def test_costs_below_zero_are_minimised_too() -> None:
    found = guaranteed_service(pair(), stage_costs={"part": lambda _, s: -5.0 * s, "product": lambda si, _: -si})
    assert found.cost == found.lower_bound == -12


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"outbound": {"prat": 1}}, "outbound: there is no stage 'prat'; did you mean 'part'?"),
        ({"holds_stock": {"produkt": True}}, "holds_stock: there is no stage 'produkt'; did you mean 'product'?"),
        ({"stage_costs": {"x": lambda si, _: si}}, "stage_costs: there is no stage 'x'; known: part, product"),
        ({"outbound": {"part": 3}}, "outbound: the service time of part must be a whole number from 0 to 2 (got 3)"),
        ({"outbound": {"part": -1}}, "outbound: the service time of part must be a whole number from 0 to 2 (got -1)"),
        (
            {"outbound": {"part": 0.5}},
            "outbound: the service time of part must be a whole number from 0 to 2 (got 0.5)",
        ),
        (
            {"outbound": {"product": 1}},
            "outbound: the service time of product must be a whole number from 0 to 0, what its customers are promised "
            "(got 1)",
        ),
        (
            {"outbound": {"part": 2}, "holds_stock": {"part": True}},
            "no service times meet what is asked of the stages part",
        ),
        (
            {"outbound": {"part": 1}, "holds_stock": {"part": False}},
            "no service times meet what is asked of the stages part",
        ),
        ({"holds_stock": {"product": False}}, "no service times meet what is asked of the stages product"),
        (
            {"stage_costs": {"part": lambda *_: np.inf}},
            "no service times meet what is asked of the stages part",
        ),
        (
            {"stage_costs": {"part": lambda _, s: np.where(s == 1, np.nan, 1.0)}},
            "the cost of stage part must be a number for all service times, or infinite",
        ),
        (
            {"stage_costs": {"part": lambda *_: -np.inf}},
            "the cost of stage part must be a number for all service times, or infinite",
        ),
        (
            {"stage_costs": {"part": lambda *_: np.ones(7)}},
            "the cost of stage part must be numbers that broadcast to 1 inbound by 3 outbound service times "
            "(got an array of shape (7,))",
        ),
        (
            {"stage_costs": {"part": lambda *_: "free"}},
            "the cost of stage part must be numbers that broadcast to 1 inbound by 3 outbound service times "
            "(got an array of shape ())",
        ),
    ],
)
def test_what_cannot_be_is_refused_with_the_name_of_the_stage(asked: dict[str, Any], message: str) -> None:
    with pytest.raises(MethodError) as refused:
        guaranteed_service(pair(), **asked)
    assert str(refused.value) == message


@pytest.mark.parametrize("merge", [True, False])
def test_what_suppliers_quote_and_a_customer_can_bear_may_exclude_each_other(merge: bool) -> None:
    demand = {"demand_mean": 10.0, "demand_sd": 2.0, "safety_factor": 1.0}
    products: list[dict[str, Any]] = [
        {"name": name, "stage_time": 0, "holding_cost": 2.0, "suppliers": ["a", "b"], **demand} for name in "cd"
    ]
    parts: list[dict[str, Any]] = [{"name": name, "stage_time": 3, "holding_cost": 1.0} for name in "ab"]
    network = StageNetwork.from_dict({"stages": [*parts, *products]})
    assert guaranteed_service(network, outbound={"a": 2}, merge=merge).inbound[2:].min() >= 2
    with pytest.raises(MethodError, match="no service times meet what is asked of the stages a, c"):
        guaranteed_service(network, outbound={"a": 2}, holds_stock={"c": False}, merge=merge)


def test_a_stage_that_waits_for_nothing_cannot_hold_safety_stock() -> None:
    with pytest.raises(MethodError, match=r"holds_stock: part cannot hold safety stock, since it waits for nothing"):
        guaranteed_service(pair(stage_time=0), holds_stock={"part": True})


def test_a_stage_time_that_is_not_whole_needs_safety_stock() -> None:
    network = pair(stage_time=1.5)
    free = guaranteed_service(network)
    assert free.net_replenishment_time[0] >= 0.5
    assert guaranteed_service(network, holds_stock={"part": True}).cost == free.cost
    with pytest.raises(
        MethodError, match="holds_stock: part must hold safety stock, since its stage time is not whole"
    ):
        guaranteed_service(network, holds_stock={"part": False})


def test_every_stage_needs_a_service_time_to_be_costed() -> None:
    with pytest.raises(MethodError, match=r"outbound must have a service time for every stage \(none for product\)"):
        cost_of_service_times(pair(), {"part": 1})


def test_a_bound_without_a_service_level_does_not_tell_what_suppliers_need() -> None:
    network = pair().with_stages({"product": {"safety_factor": None, "demand_bound": 2.0}})
    with pytest.raises(
        MethodError, match="part needs a demand_bound, as stages that it supplies have no service_level"
    ):
        guaranteed_service(network)
    told = guaranteed_service(network.with_stages({"part": {"demand_bound": 2.0}}))
    assert told.cost == guaranteed_service(pair()).cost


def test_networks_that_break_a_rule_are_refused() -> None:
    with pytest.raises(NetworkError, match="part: there is no stage 'plant'"):
        pair(suppliers=["plant"])
    with pytest.raises(NetworkError, match="cycle"):
        pair(suppliers=["product"])


def solution_fields(found: GuaranteedService) -> list[float]:
    arrays = (
        found.net_replenishment_time,
        found.safety_stock,
        found.base_stock,
        found.pipeline_stock,
        found.stage_cost,
    )
    return [*np.concatenate(arrays).tolist(), found.cost, found.lower_bound, found.gap]


@LAW
@given(SEEDS)
def test_no_figure_is_infinite(seed: int) -> None:
    assert np.isfinite(solution_fields(guaranteed_service(random_network(seed)))).all()


def test_the_stock_of_a_stage_that_costs_nothing_is_that_of_the_shortest_wait() -> None:
    network = pair(stage_time=5).with_stages({"product": {"holding_cost": 0.0}})
    found = cost_of_service_times(network, {"part": 0, "product": 0})
    assert found.inbound[1] == 0
    assert found.net_replenishment_time[1] == network.stages[1].mean_time


def test_a_stage_of_the_network_can_be_one_that_must_or_must_not_hold_stock() -> None:
    network = pair(stage_time=2)
    for held in (True, False):
        own = guaranteed_service(network.with_stages({"part": {"holds_stock": held}}))
        assert own.cost == guaranteed_service(network, holds_stock={"part": held}).cost
        assert ("part" in own.placement) == held
        asked = guaranteed_service(network.with_stages({"part": {"holds_stock": not held}}), holds_stock={"part": held})
        assert asked.cost == own.cost


def test_times_that_no_memory_holds_are_refused() -> None:
    with pytest.raises(MethodError) as error:
        guaranteed_service(pair(stage_time=1e9))
    assert str(error.value) == (
        "guaranteed_service needs replenishment times of at most 1,000,000 periods at a stage (got at least 2,000,001 "
        "at product) and 300,000,000 over all stages (got at least 4,000,001): count in longer periods"
    )


def test_a_cycle_with_too_many_pairs_of_service_times_is_refused() -> None:
    layers = [[f"{letter}{k}" for k in range(3)] for letter in "abc"]
    stages = [{"name": name, "stage_time": 9_000, "holding_cost": 1.0} for name in layers[0]]
    for above, here in pairwise(layers):
        stages += [{"name": name, "stage_time": 9_000, "holding_cost": 2.0, "suppliers": above} for name in here]
    for stage in stages[-3:]:
        stage.update(demand_mean=1, demand_sd=1, safety_factor=1)
    with pytest.raises(MethodError, match=r"at most 50,000,000 pairs of service times .* \(got 162,027,001\)"):
        guaranteed_service(StageNetwork.from_dict({"stages": stages}))


def test_a_random_time_above_customers_without_a_service_level_is_refused() -> None:
    network = pair(stage_time={1: 0.5, 9: 0.5}, demand_bound=8.0).with_stages(
        {"product": {"demand_mean": 10.0, "demand_bound": 5.0, "safety_factor": None, "service_level": None}}
    )
    with pytest.raises(MethodError, match="part needs customers with a service_level, for the spread of"):
        guaranteed_service(network)


def test_a_supplier_that_is_listed_twice_is_refused() -> None:
    with pytest.raises(NetworkError, match="part is listed twice; say how many units of it one unit needs: part: 2"):
        pair().with_stages({"product": {"suppliers": ["part", "part"]}})


def test_a_cost_that_is_no_finite_number_is_refused() -> None:
    with pytest.raises(MethodError, match=r"the cost of stage part must be finite \(got holding_cost 1e\+308 on a "):
        guaranteed_service(pair(holding_cost=1e308))
    with pytest.raises(MethodError, match="holds_stock: must be true or false for part"):
        guaranteed_service(pair(), holds_stock={"part": "no"})  # type: ignore[dict-item]
    with pytest.raises(MethodError, match="the cost of stage part must be a function of two arrays"):
        guaranteed_service(pair(), stage_costs={"part": lambda si, s: np.array(math.sqrt(si + s))})
