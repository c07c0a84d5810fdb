"""Convex functions that are straight between the points of a lattice: what the relaxations of distribution theory need.

A function is its value at one point and the jumps of its slope, all at least 0. Taking expectations
then is a convolution of numbers that are not negative, sharing a total among several functions is a
merge of their slopes, and nothing is lost to cancellation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from echelon.baselines.lattice import convolve
from echelon.baselines.total_demand import LatticeTotal

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Convex:
    """A convex function with knots at `origin + k * step`."""

    origin: float
    value: float
    """At the origin."""
    slope: float
    """Everywhere below the origin."""
    jumps: Floats
    """[K] how much the slope grows at each knot; beyond the last it stays."""
    step: float

    @cached_property
    def slopes(self) -> Floats:
        """[K + 1] below the first knot, between the knots, and beyond the last."""
        return self.slope + np.append(0.0, np.cumsum(self.jumps))

    @property
    def minimiser(self) -> float:
        """The lowest point at which the function is least; the first or last knot if it falls or rises for ever."""
        return self.origin + self.step * self._cells_to_minimum

    @property
    def minimum(self) -> float:
        """The value there."""
        return self.value + self.step * float(self.slopes[1 : self._cells_to_minimum + 1].sum())

    @property
    def _cells_to_minimum(self) -> int:
        return min(int(np.searchsorted(self.slopes[1:], 0.0)), len(self.jumps) - 1)

    def expected(self, demand: LatticeTotal) -> Convex:
        """``E[f(y - D)]`` as a function of y; the demand must lie on a lattice of the same step."""
        above_least = demand.mean - demand.origin
        jumps = convolve(self.jumps, demand.pmf)
        return Convex(self.origin + demand.origin, self.value - self.slope * above_least, self.slope, jumps, self.step)

    def steepest(self, slope: float) -> Convex:
        """``min over z <= x of f(z) + slope * (x - z)``: no unit costs more than `slope`."""
        slopes = np.minimum(self.slopes, slope)
        return Convex(self.origin, self.value, float(slopes[0]), np.diff(slopes), self.step)


def kink(left: float, right: float, step: float) -> Convex:
    """``left * x`` below 0 and ``right * x`` above it."""
    return Convex(0.0, 0.0, left, np.array([right - left]), step)


def shared(functions: Sequence[Convex]) -> Convex:
    """``min sum f_i(y_i) over y with sum y_i = x`` as a function of x (infimal convolution).

    Each further unit goes where it costs least, so the slopes of the parts are passed through in
    ascending order. None is below the highest of the slopes on the left, at which units can be taken
    away without end, nor above the lowest of those on the right.
    """
    low = max(float(f.slopes[0]) for f in functions)
    high = min(float(f.slopes[-1]) for f in functions)
    firsts = [int(np.searchsorted(f.slopes[1:], low, side="right")) for f in functions]
    firsts = [min(first, len(f.jumps) - 1) for first, f in zip(firsts, functions, strict=True)]
    starts = list(zip(firsts, functions, strict=True))
    origin = sum(f.origin + f.step * first for first, f in starts)
    value = sum(f.value + f.step * float(f.slopes[1 : first + 1].sum()) for first, f in starts)
    between = np.sort(np.concatenate([f.slopes[first + 1 : -1] for first, f in starts]))
    slopes = np.concatenate([[low], between[between < high], [high]])
    return Convex(origin, value, low, np.diff(slopes), functions[0].step)
