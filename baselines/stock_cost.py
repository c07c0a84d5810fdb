"""What the stock at the end of a period costs, as a function of the level that must cover the demand until then."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from echelon.baselines.total_demand import Floats, LeadTimeDemand


@dataclass(frozen=True, eq=False)
class StockCost:
    """G(y) = h E[(y - X)+] + b E[(X - y)+]: expected holding and stockout cost of the period that level y decides."""

    total: LeadTimeDemand
    """X, the demand that y must cover."""
    holding_cost: float
    stockout_cost: float

    def __call__(self, level: ArrayLike) -> Floats:
        """G at levels of any shape."""
        return np.asarray(
            self.holding_cost * self.total.excess(level) + self.stockout_cost * self.total.shortage(level)
        )

    @property
    def best_level(self) -> float:
        """The smallest y at which G is least."""
        return self.total.quantile(self.stockout_cost / (self.stockout_cost + self.holding_cost))
