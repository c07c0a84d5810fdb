"""The network of one item as its tables describe it: what it starts with."""

from __future__ import annotations

import io

import pandas as pd
import pytest

from echelon.baselines.planning import plan_tables, replay
from echelon.baselines.planning_network import network_of
from echelon.baselines.planning_tables import PlanningTables, check_tables
from echelon.envs.dynamics import initial_state


def one_shop(**given: object) -> PlanningTables:
    """A shop with a lead time of 3 days, 5 units on hand, and receipts of 70 units tomorrow and 40 in two months."""
    row = {"item": ["a"], "location": ["shop"]}
    days = pd.date_range("2024-01-01", periods=30).strftime("%Y-%m-%d")
    planned = {"lead_time": [3], "holding_cost": [1], "service_level": [0.95], **{k: [v] for k, v in given.items()}}
    return check_tables(
        {
            "items": pd.DataFrame({"item": ["a"]}),
            "locations": pd.DataFrame({"location": ["shop"]}),
            "item_locations": pd.DataFrame({**row, **planned}),
            "forecasts": pd.DataFrame({"item": "a", "location": "shop", "period": days, "quantity": 10}),
            "stock": pd.DataFrame({**row, "on_hand": [5]}),
            "receipts": pd.DataFrame(
                {"item": "a", "location": "shop", "period": ["2024-01-02", "2024-03-01"], "quantity": [70, 40]}
            ),
        }
    )


def test_the_position_at_the_start_is_the_stock_and_what_is_due_within_the_lead_time() -> None:
    network = network_of(one_shop(), item="a")
    assert initial_state(network, 1).inventory_position[0, 0] == pytest.approx(5 + 70, abs=1.5)  # in whole units a day


def test_a_log_that_was_written_and_read_back_reproduces_the_safety_stock() -> None:
    log = plan_tables(one_shop(method="SB", safety_stock=7.0), "assp").log
    again = pd.read_csv(io.StringIO(log.to_csv(index=False)))
    assert replay(again) == pytest.approx(log["safety_stock"].to_numpy())
    assert set(replay(again)) == {7.0}
