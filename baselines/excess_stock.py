"""Excess stock: how much of what is on hand no rule asks for, and why it is there.

What is above the level that a plan allows is excess. Its cause decides what to do: obsolete stock is written
off, stock that does not move is sold, what was bought early waits until it is needed, the rest is shed by
ordering less.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from echelon.baselines.demand_tables import SERIES, Schema, checked
from echelon.baselines.requirements import require_at_least_zero

if TYPE_CHECKING:
    import pandas as pd

NUMBERS = ("on_hand", "most_stock", "mean", "idle_periods", "obsolete")
STOCK = Schema("stock", SERIES, NUMBERS)


def excess_stock(stock: pd.DataFrame, *, most_idle_periods: float = 26, early_periods: float = 13) -> pd.DataFrame:
    """The stock with the columns excess (units) and cause, one of "none", "obsolete", "non-moving", "early", "excess".

    `stock` has a row for each item and location: on_hand and most_stock (units: the level that the plan allows),
    mean (demand per period) and idle_periods (since the last demand), both as in `classify`, and obsolete (1
    if nothing will be asked for any more, else 0). The first rule that fits says the cause:

    * obsolete: all of the stock on hand;
    * non-moving, after more than `most_idle_periods` without demand, or if there never was any: all of it;
    * early: what is above `most_stock`, if demand takes that up within `early_periods`;
    * excess: what is above `most_stock`.
    """
    require_at_least_zero("most_idle_periods", most_idle_periods)
    require_at_least_zero("early_periods", early_periods)
    (rows,) = checked((STOCK, stock))
    on_hand, most, mean, idle, obsolete = (rows[name].to_numpy(np.float64) for name in NUMBERS)
    gone = obsolete > 0
    still = ~gone & ((idle > most_idle_periods) | (mean == 0))
    excess = np.where(gone | still, on_hand, np.maximum(on_hand - most, 0.0))
    causes = [excess == 0, gone, still, excess <= mean * early_periods]
    cause = np.select(causes, ["none", "obsolete", "non-moving", "early"], default="excess")
    return rows.assign(excess=excess, cause=cause)
