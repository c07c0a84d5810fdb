"""Excess stock: a labelled fixture, every boundary, and what the parts add up to."""

from __future__ import annotations

import pandas as pd
import pytest

from echelon.baselines.excess_stock import excess_stock
from echelon.envs.errors import ConfigError, MethodError

COLUMNS = ["item", "on_hand", "most_stock", "mean", "idle_periods", "obsolete", "excess", "cause"]
LABELLED = [
    ("within", 40, 50, 10, 0, 0, 0, "none"),
    ("at the level", 50, 50, 10, 0, 0, 0, "none"),
    ("above", 400, 50, 10, 0, 0, 350, "excess"),
    ("taken up soon", 180, 50, 10, 0, 0, 130, "early"),
    ("not soon enough", 181, 50, 10, 0, 0, 131, "excess"),
    ("still moves", 40, 50, 10, 26, 0, 0, "none"),
    ("rests", 40, 50, 10, 27, 0, 40, "non-moving"),
    ("never asked for", 40, 50, 0, 3, 0, 40, "non-moving"),
    ("withdrawn", 40, 50, 10, 0, 1, 40, "obsolete"),
    ("withdrawn and resting", 40, 50, 0, 99, 1, 40, "obsolete"),
    ("withdrawn and sold out", 0, 50, 10, 0, 1, 0, "none"),
]


def labelled() -> pd.DataFrame:
    return pd.DataFrame(LABELLED, columns=COLUMNS).assign(location="shop")


def test_every_row_of_the_labelled_stock_has_its_cause_and_its_units() -> None:
    table = excess_stock(labelled().drop(columns=["excess", "cause"]))
    assert table["cause"].tolist() == labelled()["cause"].tolist()
    assert table["excess"].tolist() == labelled()["excess"].tolist()


def test_the_limits_can_be_set_and_must_be_numbers_of_at_least_0() -> None:
    table = excess_stock(labelled(), most_idle_periods=2, early_periods=1_000)
    assert set(table["cause"]) == {"none", "early", "non-moving", "obsolete"}
    with pytest.raises(MethodError, match="early_periods must be a finite number of at least 0, got -1"):
        excess_stock(labelled(), early_periods=-1)
    with pytest.raises(ConfigError, match=r"^stock, row 1, on_hand: must be a number from 0 to 1e\+15 \(got -1\)$"):
        excess_stock(labelled().replace({"on_hand": {50: -1}}))


def test_no_stock_is_no_excess() -> None:
    assert len(excess_stock(labelled().iloc[:0])) == 0
