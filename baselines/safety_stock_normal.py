"""Safety stock against normal demand: from a target to a stock, and from a stock to what it delivers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import special

from echelon.baselines._safety_stock import few_values, inverse_shortage, shortage
from echelon.baselines.safety_stock_columns import MOST, Floats
from echelon.baselines.safety_stock_exposure import Exposure

FAR = 1e100
"""A span in standard deviations over which the second loss term is 0."""
NARROW = 1e-6
"""The smallest lot in standard deviations: below it the two loss terms differ by little more than rounding errors."""
TINY = 1e-200
"""What stands for a standard deviation, or a ratio of two, that is 0."""
FEW = 16
"""How many service levels a chunk may have for each to be worth looking up."""
BEYOND = 40.0
"""A safety factor at which the loss is below the smallest number."""


@dataclass(frozen=True)
class NormalExposure:
    """X is normal and not truncated at 0."""

    def third_cumulant(self, mean: Floats, variance: Floats) -> Floats:
        """0."""
        return np.zeros_like(mean)

    def alpha_stock(self, exposure: Exposure, level: Floats) -> Floats:
        """``SS = Phi^-1(alpha) sigma``."""
        return _quantile(level) * exposure.sd

    def beta_stock(self, exposure: Exposure, level: Floats, *, two_term: bool, floor: bool) -> Floats:
        """SS = x sigma with ``G(x) - r G((x + q) / r) = t``, r = sigma0 / sigma, q = B / sigma and t = (1 - beta) q."""
        ratio, span = _in_deviations(exposure)
        target = (1.0 - level) * span
        x, tail, loss = (np.zeros_like(span) for _ in range(3))
        seen = span if two_term else np.full_like(span, FAR)
        shortage(x, seen, ratio, tail, loss)
        above = loss > target
        high = np.where(above, BEYOND, 0.0)
        low = np.zeros_like(span)
        if not floor:
            low = np.where(above, 0.0, -span - BEYOND)  # where all q units are late
            x = np.where(above, 0.0, -target)
        inverse_shortage(x, low, high, seen, ratio, target)
        return x * exposure.sd

    def alpha_of(self, exposure: Exposure, stock: Floats) -> Floats:
        """``P(X <= E[X] + SS) = Phi(SS / sigma)``."""
        certain = np.where(stock >= 0, np.inf, -np.inf)
        return np.asarray(special.ndtr(np.divide(stock, exposure.sd, out=certain, where=exposure.sd > 0)))

    def late(self, exposure: Exposure, stock: Floats) -> Floats:
        """The units of a cycle that come too late, see `Exposure`."""
        varies = exposure.sd > 0
        sd = np.where(varies, exposure.sd, TINY)
        ratio = np.where(varies, np.maximum(exposure.sd_before / sd, TINY), 1.0)
        tail, loss = np.empty_like(sd), np.empty_like(sd)
        shortage(stock / sd, np.minimum(exposure.span / sd, np.where(varies, FAR, MOST / TINY)), ratio, tail, loss)
        return loss * sd


def _quantile(probability: Floats) -> Floats:
    """Phi^-1 of each: of a few different ones once, since service levels go by category rather than by row."""
    found, place = np.empty(FEW), np.empty(len(probability), dtype=np.int8)
    count = few_values(probability, found, place)
    if count > FEW:
        return np.asarray(special.ndtri(probability))
    return np.asarray(special.ndtri(found[:count])[place])


def _in_deviations(exposure: Exposure) -> tuple[Floats, Floats]:
    """r and q of `NormalExposure.beta_stock`; harmless numbers for rows without variance."""
    sd = np.where(exposure.sd > 0, exposure.sd, 1.0)
    ratio, span = np.maximum(exposure.sd_before / sd, TINY), np.minimum(exposure.span / sd, FAR)
    return ratio, np.where(ratio == 1.0, np.maximum(span, NARROW), span)
