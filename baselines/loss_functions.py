"""Unit normal loss functions: what a standard normal demand Z falls short of, or exceeds, a level z.

Snyder & Shen, *Fundamentals of Supply Chain Theory* (2nd ed., 2019), appendix C. Arguments of any shape.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from echelon.envs.errors import MethodError

Floats = NDArray[np.float64]


def standard_normal_loss(z: ArrayLike) -> Floats:
    """E[(Z - z)+] = phi(z) - z (1 - Phi(z)): the expected shortage of a stock of z."""
    at = _finite(z)
    return np.asarray(_density(at) - at * special.ndtr(-at))


def standard_normal_complementary_loss(z: ArrayLike) -> Floats:
    """E[(z - Z)+], the expected excess: the loss at -z."""
    return standard_normal_loss(-_finite(z))


def standard_normal_second_loss(z: ArrayLike) -> Floats:
    """E[((Z - z)+)^2] / 2 = ((z^2 + 1) (1 - Phi(z)) - z phi(z)) / 2: the integral of the loss from z upwards."""
    at = _finite(z)
    return np.asarray(((at**2 + 1) * special.ndtr(-at) - at * _density(at)) / 2)


def standard_normal_complementary_second_loss(z: ArrayLike) -> Floats:
    """E[((z - Z)+)^2] / 2: the second loss at -z."""
    return standard_normal_second_loss(-_finite(z))


def _density(z: Floats) -> Floats:
    return np.asarray(np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi))


def _finite(z: ArrayLike) -> Floats:
    at = np.asarray(z, dtype=np.float64)
    if not np.isfinite(at).all():
        raise MethodError(f"z must be finite, got {at[~np.isfinite(at)].flat[0]:g}")
    return at
