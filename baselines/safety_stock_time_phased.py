"""Safety stock per period, against the forecasts of the periods that it must last."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import ArrayLike

from echelon.baselines.requirements import require_choice
from echelon.baselines.safety_stock import EXTENDED, LOSSES, Model, law_of, read_fields
from echelon.baselines.safety_stock_columns import Floats, by_chunks, common_shape
from echelon.baselines.safety_stock_exposure import Exposure
from echelon.envs.errors import MethodError


def assp_time_phased(
    method: str,
    *,
    demand_mean: ArrayLike,
    demand_sd: ArrayLike,
    lead_time: ArrayLike,
    lead_time_sd: ArrayLike = 0.0,
    review_period: ArrayLike | None = None,
    order_quantity: ArrayLike | None = None,
    service_level: ArrayLike,
    loss: str = "two_term",
    demand: str = "normal",
    floor: bool = True,
) -> Floats:
    """The safety stock [..., T] (units) of each period by AS, AT, BS or BT, as `assp` for forecasts that change.

    `demand_mean` [..., T] and `demand_sd` are forecast and standard deviation of each period; all other fields
    broadcast against the series, their last axis being time too. The exposure that begins with period t is the window
    [t, t + tau), tau = L or L + R, with a share of its last period if tau is not whole:

        mean = sum of D,  variance = sum of sd^2 + (mean D of the window)^2 sd_L^2.

    BT's D R is the forecast of the cycle that follows the lead time; BS without `order_quantity` buys the forecast of
    `review_period` periods from t. Beyond the horizon the last forecast goes on. With forecasts that do not
    change this is `assp`.
    """
    require_choice("method", method, EXTENDED)
    require_choice("loss", loss, LOSSES)
    given = {
        "demand_mean": demand_mean,
        "demand_sd": demand_sd,
        "lead_time": lead_time,
        "lead_time_sd": lead_time_sd,
        "review_period": review_period,
        "order_quantity": order_quantity,
        "undershoot": None,
        "service_level": service_level,
    }
    columns = read_fields(method, given)
    shape = common_shape(columns)
    if columns["demand_mean"].ndim == 0 or not shape[-1]:
        raise MethodError("demand_mean must have an axis of periods with at least one")
    rows = {key: np.broadcast_to(column.astype(np.float64), shape) for key, column in columns.items()}
    exposure = _exposure(method, rows)
    model = Model(method, tuple(rows), law_of(demand), two_term=loss == "two_term", floor=floor)
    parts = {
        "mean": exposure.mean,
        "sd": exposure.sd,
        "mean_before": exposure.mean_before,
        "sd_before": exposure.sd_before,
        "span": exposure.span,
        "service_level": rows["service_level"],
    }
    return by_chunks(lambda given: model.stock_for(Exposure(*given[:-1]), given[-1]), parts)


def _exposure(method: str, rows: Mapping[str, Floats]) -> Exposure:
    lead, lead_sd = rows["lead_time"], rows["lead_time_sd"]
    mean, variance = _Windows(rows["demand_mean"]), _Windows(rows["demand_sd"] ** 2)

    def sd(tau: Floats) -> Floats:
        rate = np.where(tau > 0, mean(tau) / np.where(tau > 0, tau, 1.0), rows["demand_mean"])
        return np.sqrt(variance(tau) + (rate * lead_sd) ** 2)

    before, spread = mean(lead), sd(lead)
    if method in ("AT", "BT"):
        total = lead + rows["review_period"]
        return Exposure(mean(total), sd(total), before, spread, mean(total) - before)
    lot = before
    if method == "BS":
        lot = rows["order_quantity"] if "order_quantity" in rows else mean(rows["review_period"])
    return Exposure(before, spread, before, spread, lot)


class _Windows:
    """The sums of a series [..., T] over [t, t + tau) for every t, with the last value repeated beyond its end."""

    def __init__(self, series: Floats) -> None:
        self.series = series
        self.until = np.concatenate([np.zeros_like(series[..., :1]), np.cumsum(series, axis=-1)], axis=-1)

    def __call__(self, tau: Floats) -> Floats:
        periods = self.series.shape[-1]
        end = np.arange(periods) + tau
        whole = np.minimum(np.floor(end), periods - 1).astype(np.int64)
        part = end - whole
        within = np.take_along_axis(self.until, whole, axis=-1) - self.until[..., :-1]
        return np.asarray(np.maximum(within + part * np.take_along_axis(self.series, whole, axis=-1), 0.0))
