"""What a safety stock stands against: the demand from one chance to act until the supply of the next one has come."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from echelon.baselines.safety_stock_columns import Floats


@dataclass(frozen=True, eq=False)
class Exposure:
    """The demand X of the exposure, and the demand X0 from whose shortage X's is counted; every field [n], units.

    A reorder point s, or a level S to order up to, is ``E[X] + SS`` with the safety stock SS. In a cycle the units
    ``E[(X - E[X] - SS)+] - E[(X0 - E[X0] - SS - B)+]`` come too late, B = `span`:

    - reorder point: X is the demand of the lead time, X0 is X, and B the lot Q, ``E[(X - s)+] - E[(X - s - Q)+]``;
    - reorder cycle: X is the demand of lead time and cycle, X0 that of the lead time, and B the mean demand of the
      cycle, so that both shortages are those of S.

    Alpha service asks for X alone.
    """

    mean: Floats
    sd: Floats
    mean_before: Floats
    sd_before: Floats
    span: Floats


def exposure_sd(tau: Floats, demand_mean: Floats, demand_sd: Floats, lead_time_sd: Floats) -> Floats:
    """The standard deviation of the demand of `tau` periods: the root of ``tau sd^2 + D^2 sd_L^2``."""
    uncertain = demand_mean * lead_time_sd
    return np.sqrt(tau * demand_sd * demand_sd + uncertain * uncertain)


def exposure_of(
    demand_mean: Floats, demand_sd: Floats, tau: Floats, lead_time_sd: Floats, lot: Floats | None = None
) -> Exposure:
    """Of AS and AT, and with a lot of BS: the demand of `tau` periods."""
    mean = demand_mean * tau
    sd = exposure_sd(tau, demand_mean, demand_sd, lead_time_sd)
    return Exposure(mean, sd, mean, sd, mean if lot is None else lot)


def reorder_cycle_exposure(
    demand_mean: Floats, demand_sd: Floats, lead_time: Floats, lead_time_sd: Floats, review_period: Floats
) -> Exposure:
    """Of BT: the demand of the lead time and of the cycle."""
    span = demand_mean * review_period
    mean = demand_mean * lead_time
    sd = exposure_sd(lead_time + review_period, demand_mean, demand_sd, lead_time_sd)
    return Exposure(mean + span, sd, mean, exposure_sd(lead_time, demand_mean, demand_sd, lead_time_sd), span)


def undershoot_moments(mean: Floats, variance: Floats, third_cumulant: Floats) -> tuple[Floats, Floats]:
    """Mean and variance of the undershoot U of a reorder point that is looked at now and then; 0 for mean 0.

    D is the demand between two looks: ``E[U] = E[D^2] / (2 E[D])`` and ``E[U^2] = E[D^3] / (3 E[D])``, the
    excess of a renewal process.
    """
    m = np.where(mean > 0, mean, 1.0)
    first = (m * m + variance) / (2 * m)
    second = (m**3 + 3 * m * variance + third_cumulant) / (3 * m)
    return np.where(mean > 0, first, 0.0), np.where(mean > 0, np.maximum(second - first * first, 0.0), 0.0)


def with_undershoot(exposure: Exposure, mean: Floats, variance: Floats) -> Exposure:
    """The exposure of a reorder point whose stock is lower by an undershoot of that mean and variance on ordering."""
    total, sd = exposure.mean + mean, np.sqrt(exposure.sd**2 + variance)
    return Exposure(total, sd, total, sd, exposure.span)
