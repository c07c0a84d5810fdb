"""What a planning rule knows of a problem before the first period, and its levels as a policy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.dynamic_stock import average_daily_requirement
from echelon.baselines.per_period import OrderUpToByPeriod
from echelon.baselines.requirements_forecast import (
    RequirementsForecast,
    cover,
    cover_periods,
    planned_lead_times,
    requirements_forecast,
)
from echelon.envs.arrays import network_arrays
from echelon.envs.codec import Codec
from echelon.envs.network import Network
from echelon.envs.policy import Policy, order_up_to
from echelon.envs.problem import Problem

Floats = NDArray[np.float64]

ROUNDING = 1e-9
"""What a level may exceed a whole number by before it counts as the next one."""


@dataclass(frozen=True, eq=False)
class PlanningView:
    """What a rule knows of a problem before the first period: the forecast, and what must be covered by it."""

    network: Network
    forecast: RequirementsForecast
    periods: int
    """T: those of the problem, or 1 where all are alike."""
    cover: Floats
    """[T, E] see `cover`."""
    review_period: int

    @classmethod
    def of(cls, problem: Problem, review_period: int, *, beyond: int = 0) -> PlanningView:
        """The view of a problem, with a forecast that reaches `beyond` the periods that must be covered."""
        network = problem.network
        periods = 1 if steady(network) else problem.periods
        times = planned_lead_times(network)
        reach = int(times.max()) + 2 * review_period
        forecast = requirements_forecast(network, periods=periods + max(reach, beyond), review_period=review_period)
        covered = cover(forecast, times, review_period=review_period, periods=periods)
        return cls(network, forecast, periods, covered, review_period)

    @property
    def links(self) -> int:
        """E"""
        return len(self.network.links)

    @property
    def lot_days(self) -> Floats:
        """[E] periods that an economic lot lasts, 0 without a fixed cost."""
        codec = Codec(self.network)
        return np.divide(codec.economic_lot, codec.need, out=np.zeros(self.links), where=codec.need > 0)

    @property
    def most_days(self) -> Floats:
        """[E] more days of safety stock than a link can need: five standard deviations of what it must cover."""
        codec = Codec(self.network)
        lasting = cover_periods(self.network, planned_lead_times(self.network), review_period=self.review_period)
        spread = 5 * codec.sd * np.sqrt(lasting)
        return np.divide(spread, codec.need, out=np.zeros(self.links), where=codec.need > 0)

    def average_daily_requirement(self, coverage_periods: int, period_length: int) -> Floats:
        """[T, E] the average of the calendar periods from that of period t on, what has passed of it included."""
        window = coverage_periods * period_length
        daily = []
        for t in range(self.periods):
            start = t - t % period_length
            ahead = self.forecast.total[start : start + window].T
            daily.append(
                average_daily_requirement(
                    ahead, periods=coverage_periods, days="calendar", period_length=period_length, today=t - start
                )
            )
        return np.stack(daily)

    def policy(self, *, up_to: Floats, below: Floats | None = None, at_most: Floats | None = None) -> Policy:
        """Order up to a level [T, E] where the position is below one level, or at most another one."""
        strict = at_most is None
        point = np.asarray(below if at_most is None else at_most)
        if network_arrays(self.network).whole_units:
            up_to = np.ceil(up_to - ROUNDING)
            reorder = np.ceil(point - ROUNDING) - 1 if strict else np.floor(point + ROUNDING)
        else:
            reorder = np.nextafter(point, -np.inf) if strict else point
        reorder = np.where(point < up_to, np.minimum(reorder, up_to), up_to)
        up_to, reorder = np.broadcast_to(up_to, (self.periods, self.links)), np.broadcast_to(reorder, up_to.shape)
        if self.periods == 1:
            return order_up_to(self.network, up_to[0], reorder=reorder[0], review_period=self.review_period)
        review = np.arange(self.periods)[:, None] % self.review_period == 0
        return OrderUpToByPeriod(np.where(review, reorder, -np.inf), up_to)


def steady(network: Network) -> bool:
    """Whether the forecast is the same in every period."""
    return all(law.stationary for law in network.laws)
