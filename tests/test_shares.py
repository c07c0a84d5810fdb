"""The interval of a share, such as a fill rate, stays within [0, 1] wherever one is made or shown."""

from __future__ import annotations

import re

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from echelon.envs import make_problem, order_up_to, sample, simulate
from echelon.envs.metrics import METRICS, Row, share_ends, table
from echelon.experiments.evaluate import estimate
from echelon.experiments.findings import in_percent
from echelon.experiments.measured import Share, share
from echelon.experiments.plan_comparison import comparison_page

WIDTHS = st.floats(0, 10)
SHARES = st.floats(0, 1)


@settings(max_examples=200)
@given(mean=SHARES, half_width=WIDTHS, truth=SHARES)
def test_the_interval_holds_the_same_shares_after_it_is_cut_off(mean: float, half_width: float, truth: float) -> None:
    low, high = share_ends(mean, half_width)
    assert 0 <= low <= mean <= high <= 1
    assert (low <= truth <= high) == (mean - half_width <= truth <= mean + half_width)


def test_coverage_of_the_interval_of_a_share_is_that_of_students() -> None:
    """Near 1, where it is cut off in most repeats: the same repeats hold the truth."""
    rates = np.random.default_rng(0).beta(60, 1.0, size=(4_000, 4))
    truth, plain, cut, reaches = 60 / 61, 0, 0, 0
    for values in rates:
        found, kept = estimate(values), share([*values], confidence=0.95)
        assert kept is not None
        assert kept.ends is not None
        plain += abs(found.mean - truth) <= found.half_width
        cut += kept.ends[0] <= truth <= kept.ends[1]
        reaches += found.mean + found.half_width > 1
    assert cut == plain
    assert reaches > 2_000


def test_two_seeds_of_a_high_fill_rate_end_at_1() -> None:
    found, plain = share([0.985, 0.995], confidence=0.95), estimate([0.985, 0.995])
    assert found is not None
    assert plain.mean + plain.half_width > 1
    assert found.ends == (plain.mean - plain.half_width, 1.0)
    assert found.reach == pytest.approx((plain.half_width, 0.01))
    assert share([0.7], confidence=0.95) == Share(0.7, None)
    assert share([], confidence=0.95) is None
    assert Share(1.0000000000000002, (0.9, 1.0)).reach[1] == 0  # rounding gives no negative bar


@pytest.mark.parametrize(
    ("found", "text"),
    [
        (Share(0.9731, (0.9706, 0.9756)), "97.31 ± 0.25 %"),
        (Share(0.99, (0.96, 1.0)), "99.0 (96.0 to 100.0) %"),
        (Share(0.02, (0.0, 0.05)), "2.0 (0.0 to 5.0) %"),
        (Share(1.0, (1.0, 1.0)), "100.0 ± 0.0 %"),
        (Share(0.5, None), "50.00 %"),
    ],
)
def test_a_share_is_told_with_the_ends_that_it_can_have(found: Share, text: str) -> None:
    assert in_percent(found) == text


def test_rows_of_shares_end_where_shares_do_and_others_do_not() -> None:
    problem = make_problem("echelon/LostSales-v0", lead_time=1, periods=20, warm_up=0)
    outcome = simulate(
        problem,
        order_up_to(problem.network, [14]),
        sample(problem.network, periods=20, replications=2, seed=3),
        trace=True,
    )
    rows = table(outcome)
    assert any(row.mean + row.half_width > 1 for row in rows if row.unit == "share")
    for row in rows:
        low, high = row.ends
        if row.unit == "share":
            assert 0 <= low <= row.mean <= high <= 1
        else:
            assert (low, high) == (row.mean - row.half_width, row.mean + row.half_width)
    assert Row("cost", "network", "x", 0.5, 2.0, "money").ends == (-1.5, 2.5)
    shares = {name for name, definition in METRICS.items() if definition.unit == "share"}
    assert shares >= {"alpha", "fill_rate", "ready_rate", "cycle_service_level", "perfect_order_rate", "lost_fraction"}


def test_the_comparison_of_planning_methods_shows_no_service_beyond_100_per_cent() -> None:
    pandas = pytest.importorskip("pandas")
    names = ("cost", "cost_difference", "fill_rate", "alpha", "on_hand")
    row = {"method": "a", **dict.fromkeys(names, 0.99), **{f"{name}_half_width": 0.03 for name in names}}
    text = comparison_page(pandas.DataFrame([row, row | {"alpha": 0.5}]), item="tea").replace("&nbsp;", " ")
    cells = re.findall(r'<td class="number" data-label="([^"]*)">([^<]*)</td>', text)
    assert [cell for head, cell in cells if head == "Fill rate (%)"] == ["99.00 (96.00 to 100)"] * 2
    assert [cell for head, cell in cells if head.startswith("Periods")] == ["99.00 (96.00 to 100)", "50.00 ± 3.00"]
    assert [cell for head, cell in cells if head == "Stock on hand"] == ["0.99 ± 0.03"] * 2
