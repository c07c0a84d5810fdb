"""Shrinkage: what a short history does not tell is taken from its like.

Every estimate `z_i` of a group has a known sampling variance `v_i` about a true value of its own; the true
values scatter about a common location with variance `tau^2`. Where the scatter is large against `v_i` the
estimate stands, where it is small the location does.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, inf, isinf

import numpy as np
from scipy.special import digamma, polygamma

from echelon.baselines.demand_tables import Floats

LEAST_SCATTER = 1e-9
"""Of the logarithm of a variance; below it true values count as equal."""


@dataclass(frozen=True)
class VariancePrior:
    """What is known of the variances of a pool: a typical one, worth so many degrees of freedom."""

    variance: float
    degrees: float


def random_effects(estimates: Floats, variances: Floats) -> tuple[float, float]:
    """The location and the scatter tau^2 of the true values behind at least one estimate.

    The moment estimator of R. DerSimonian and N. Laird, Meta-analysis in clinical trials, *Controlled
    Clinical Trials* 7, 1986. A single estimate is its own location; of scatter it shows none.
    """
    weight = 1 / variances
    common = np.average(estimates, weights=weight)
    excess = np.sum(weight * (estimates - common) ** 2) - (len(estimates) - 1)
    spread = np.sum(weight) - np.sum(weight**2) / np.sum(weight)
    tau2 = max(0.0, float(excess / spread)) if len(estimates) > 1 else 0.0
    return float(np.average(estimates, weights=1 / (variances + tau2))), tau2


def variance_prior(variances: Floats, degrees: Floats) -> VariancePrior | None:
    """The prior that explains the sample variances of a pool, or None if none of them is above 0.

    The variances are those of normal samples, ``s^2 ~ sigma^2 chi2_d / d``, whose true values are
    inversely chi-square distributed with ``d_0`` degrees of freedom. Then ``log s^2`` has the bias
    ``digamma(d/2) - log(d/2)``, the sampling variance ``trigamma(d/2)``, and ``trigamma(d_0/2)`` is the
    scatter of ``log sigma^2`` (G. K. Smyth, Linear models and empirical Bayes methods, *Statistical
    Applications in Genetics and Molecular Biology* 3, 2004, section 6.2). The typical variance is
    ``exp E[log sigma^2]``. Without any scatter ``d_0`` is infinite and all degrees of freedom are pooled.
    Variances of 0 have no logarithm and are left out. One variance shows no scatter, and no
    agreement either: it has a prior of 0 degrees, which leaves it as it is.
    """
    usable = (variances > 0) & (degrees > 0)
    if not usable.any():
        return None
    seen, half = variances[usable], degrees[usable] / 2
    logs = np.log(seen) - digamma(half) + np.log(half)
    location, tau2 = random_effects(logs, polygamma(1, half))
    if len(seen) == 1:
        return VariancePrior(float(seen[0]), 0.0)
    if tau2 < LEAST_SCATTER:
        return VariancePrior(float(np.average(seen, weights=half)), inf)
    return VariancePrior(exp(location), 2 * inverse_trigamma(tau2))


def shrunk_variances(variances: Floats, degrees: Floats, prior: VariancePrior) -> tuple[Floats, Floats]:
    """The variance behind each sample variance, ``exp E[log sigma^2 | s^2]``, and the weight of the sample.

    Given ``s^2`` with ``d`` degrees of freedom, ``sigma^2`` is inversely chi-square distributed with
    ``d + d_0`` of them about ``w s^2 + (1 - w) s_0^2``, ``w = d / (d + d_0)``, where ``s_0^2`` is the prior's
    scale (Smyth's). Its geometric mean is that scale times ``h exp(-digamma(h))`` with ``h = (d + d_0) / 2``:
    without a sample the typical variance of the prior. A prior of 0 degrees leaves a sample as it is.
    """
    if isinf(prior.degrees):
        return np.full(len(variances), prior.variance), np.zeros(len(variances))
    if prior.degrees == 0:
        weight = (degrees > 0).astype(np.float64)
        return np.where(degrees > 0, variances, prior.variance), weight
    weight = degrees / (degrees + prior.degrees)
    scale = prior.variance / _geometric_factor(np.array([prior.degrees]))
    mixed = weight * variances + (1 - weight) * scale
    return mixed * _geometric_factor(degrees + prior.degrees), weight


def _geometric_factor(degrees: Floats) -> Floats:
    """Geometric mean over scale of an inverse chi-square law, ``h exp(-digamma(h))`` with ``h = d / 2``."""
    half = degrees / 2
    return np.asarray(np.exp(np.log(half) - digamma(half)))


def inverse_trigamma(y: float) -> float:
    """The x > 0 with ``trigamma(x) = y`` > 0, by Newton's method on 1 / trigamma, which is nearly linear."""
    x = 0.5 + 1 / y
    for _ in range(50):
        value = float(polygamma(1, x))
        step = value * (1 - value / y) / float(polygamma(2, x))
        x += step
        if -step < 1e-12 * x:
            break
    return x
