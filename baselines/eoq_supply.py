"""Economic order quantities where the supplier fails: disruptions, and yields that are not certain.

Snyder & Shen, *Fundamentals of Supply Chain Theory* (2nd ed., 2019), chapter 9. Demand is
known and constant; time is continuous. Symbols as in `eoq`. Costs, rates and quantities must be
greater than 0, or `MethodError` is raised.
"""

from __future__ import annotations

from math import expm1, sqrt

from scipy.optimize import brentq

from echelon.baselines.eoq import LotSize
from echelon.baselines.requirements import require_at_least_zero, require_positive
from echelon.envs.errors import MethodError


def eoq_with_disruptions(
    *,
    fixed_cost: float,
    holding_cost: float,
    stockout_cost: float,
    demand_rate: float,
    disruption_rate: float,
    recovery_rate: float,
    order_quantity: float | None = None,
) -> LotSize:
    """The exact order quantity where the supplier is up and down in turns, for exponential times.

    Disruptions come at the rate l while the supplier is up and end at the rate m. Orders are placed when
    stock runs out; if the supplier is down then, demand is lost, at `stockout_cost` per unit, until it
    recovers. With ``psi(Q) = l / (l + m) (1 - exp(-(l + m) Q / d))``, the chance to find it down,

        g(Q) = (K + h Q^2 / (2 d) + p d psi / m) / (Q / d + psi / m).

    M. Parlar and D. Berkin, Future supply uncertainty in EOQ models, Naval Research Logistics 38(1), 1991,
    as corrected by E. Berk and A. Arreola-Risa, Naval Research Logistics 41(1), 1994. It is assumed that
    serving is worth it: `stockout_cost` must exceed what a unit costs at the economic order quantity
    without disruptions, ``sqrt(2 K h / d)``, or the best cost would be that of never ordering.
    """
    for key, value in (
        ("fixed_cost", fixed_cost),
        ("holding_cost", holding_cost),
        ("stockout_cost", stockout_cost),
        ("demand_rate", demand_rate),
        ("recovery_rate", recovery_rate),
    ):
        require_positive(key, value)
    require_at_least_zero("disruption_rate", disruption_rate)
    undisturbed = sqrt(2 * fixed_cost * demand_rate / holding_cost)
    least = holding_cost * undisturbed / demand_rate
    if not stockout_cost > least:
        raise MethodError(
            f"stockout_cost must be above {least:g}, the cost per unit of the economic order quantity, "
            f"got {stockout_cost:g}: it would be best never to order"
        )
    both = disruption_rate + recovery_rate

    def down(quantity: float) -> float:
        return -disruption_rate / both * expm1(-both * quantity / demand_rate)

    def parts(quantity: float) -> tuple[float, float]:
        """Cost and length of a cycle."""
        idle = down(quantity) / recovery_rate
        held = holding_cost * quantity**2 / (2 * demand_rate)
        return fixed_cost + held + stockout_cost * demand_rate * idle, quantity / demand_rate + idle

    def rising(quantity: float) -> float:
        """The sign of g'(Q): cost' * length - cost * length'."""
        cost, length = parts(quantity)
        idle = (disruption_rate / both - down(quantity)) * both / demand_rate / recovery_rate
        more = holding_cost * quantity / demand_rate + stockout_cost * demand_rate * idle
        return more * length - cost * (1 / demand_rate + idle)

    if order_quantity is None:
        high = undisturbed
        while rising(high) <= 0:
            high *= 2
        quantity = float(brentq(rising, 0.0, high, xtol=1e-12 * high, rtol=1e-14))
    else:
        require_positive("order_quantity", order_quantity)
        quantity = order_quantity
    cost, length = parts(quantity)
    return LotSize(quantity, cost / length)


def eoq_additive_yield(
    *,
    fixed_cost: float,
    holding_cost: float,
    demand_rate: float,
    yield_mean: float,
    yield_sd: float,
    order_quantity: float | None = None,
) -> LotSize:
    """The order quantity where Q + Y units arrive, whatever Q: units are lost (Y < 0) or added.

    A delivery of R units costs ``K + h R^2 / (2 d)`` and lasts ``R / d``. With ``r = Q + E[Y]`` and s the
    standard deviation of Y the cost is ``K d / r + h (r^2 + s^2) / (2 r)``, least at
    ``r* = sqrt(2 K d / h + s^2)``. Q* is 0 where more than r* arrives unasked. The chance that less than
    nothing arrives is taken to be negligible.
    """
    _require_rates(fixed_cost, holding_cost, demand_rate)
    _require_yield(yield_mean, yield_sd)
    received = sqrt(2 * fixed_cost * demand_rate / holding_cost + yield_sd**2)
    quantity = max(received - yield_mean, 0.0) if order_quantity is None else order_quantity
    require_at_least_zero("order_quantity", quantity)
    mean = quantity + yield_mean
    if not mean > 0:
        raise MethodError(f"order_quantity must be above {-yield_mean:g}, so that something arrives, got {quantity:g}")
    return LotSize(quantity, fixed_cost * demand_rate / mean + holding_cost * (mean**2 + yield_sd**2) / (2 * mean))


def eoq_multiplicative_yield(
    *,
    fixed_cost: float,
    holding_cost: float,
    demand_rate: float,
    yield_mean: float,
    yield_sd: float,
    order_quantity: float | None = None,
) -> LotSize:
    """The order quantity where Q Z units arrive: a random share Z of what was ordered.

    The cost is ``K d / (Q m) + h Q (m^2 + s^2) / (2 m)`` with m and s the mean and the standard
    deviation of Z, least at ``Q* = sqrt(2 K d / (h (m^2 + s^2)))``.
    """
    _require_rates(fixed_cost, holding_cost, demand_rate)
    require_positive("yield_mean", yield_mean)
    _require_yield(yield_mean, yield_sd)
    square = yield_mean**2 + yield_sd**2
    best = sqrt(2 * fixed_cost * demand_rate / (holding_cost * square))
    quantity = best if order_quantity is None else order_quantity
    require_positive("order_quantity", quantity)
    cost = fixed_cost * demand_rate / (quantity * yield_mean) + holding_cost * quantity * square / (2 * yield_mean)
    return LotSize(quantity, cost)


def _require_rates(fixed_cost: float, holding_cost: float, demand_rate: float) -> None:
    require_positive("fixed_cost", fixed_cost)
    require_positive("holding_cost", holding_cost)
    require_positive("demand_rate", demand_rate)


def _require_yield(mean: float, sd: float) -> None:
    if not abs(mean) < float("inf"):
        raise MethodError(f"yield_mean must be a finite number, got {mean:g}")
    require_at_least_zero("yield_sd", sd)
