"""What learners decide where nobody says it."""

from __future__ import annotations

from typing import Any

import pytest

from echelon.agents.decisions import default_decision
from echelon.envs import make_problem


@pytest.mark.parametrize(
    ("problem", "parameters", "decision"),
    [
        ("echelon/LostSales-v0", {}, "orders"),
        ("echelon/SingleLocation-v0", {}, "levels"),  # customers wait: a base-stock level is optimal
        ("echelon/DualSourcing-v0", {}, "orders"),  # one level for both sources is a policy of its own
        ("echelon/Perishable-v0", {}, "orders"),
        ("echelon/Serial-v0", {}, "levels"),
        ("echelon/OneWarehouse-v0", {"stockout_rule": "lost_sales"}, "levels"),
    ],
)
def test_learners_decide_on_orders_where_a_level_would_bind_them(
    problem: str, parameters: dict[str, Any], decision: str
) -> None:
    assert default_decision(make_problem(problem, **parameters).network) == decision
