"""Floors: their service is that of the metrics, their margins have its sign, and bad ones are named."""

from __future__ import annotations

from dataclasses import replace

import pytest

from echelon.baselines.service_floors import FloorKind, ServiceFloor, achieved, floors_of, margins, require_floors
from echelon.envs.catalogue import make_problem
from echelon.envs.errors import MethodError
from echelon.envs.metrics import measure
from echelon.envs.node_outcome import simulate_nodes
from echelon.envs.policy import order_up_to
from echelon.envs.scenarios import sample
from echelon.envs.simulate import simulate

CASE = make_problem("echelon/MinMaxCase-v0", warehouses=2, periods=200, warm_up=20)
RULE = order_up_to(CASE.network, [200, 40, 60], reorder=[60, 4, 20])


@pytest.mark.parametrize(
    ("kind", "metric"),
    [("fill_rate", "fill_rate"), ("period_service", "alpha"), ("cycle_service", "cycle_service_level")],
)
def test_the_service_under_a_floor_is_that_of_the_metrics(kind: FloorKind, metric: str) -> None:
    scenarios = sample(CASE.network, periods=CASE.periods, replications=1, seed=3)
    floors = floors_of(CASE.network, 0.9, kind=kind)
    outcome = simulate_nodes(CASE, RULE, scenarios)
    expected = measure(simulate(CASE, RULE, scenarios, trace=True), [metric])[metric].values[0]
    found = achieved(CASE, outcome, floors)
    assert 0 < found.min() < 1
    assert found == pytest.approx(expected, rel=1e-12)
    exact = [replace(floor, level=float(level)) for floor, level in zip(floors, found, strict=True)]
    assert margins(CASE, outcome, exact)[0] == pytest.approx(0.0, abs=1e-9)
    assert (margins(CASE, outcome, [replace(floor, level=floor.level - 0.05) for floor in exact]) > 0).all()


def test_every_broken_floor_is_named() -> None:
    broken = [
        ServiceFloor("warehouse_3", 0.9),
        ServiceFloor("warehouse_1", 1.2),
        ServiceFloor("centre_1", 0.9),
        ServiceFloor("centre_1", 0.8),
    ]
    with pytest.raises(MethodError) as refused:
        require_floors(CASE.network, broken)
    assert str(refused.value).splitlines() == [
        "floors: the network has no node 'warehouse_3'; did you mean 'warehouse_2'?",
        "floors: the level of warehouse_1 must be greater than 0 and less than 1 (got 1.2)",
        "floors: centre_1 has 2 floors under its fill_rate",
    ]
