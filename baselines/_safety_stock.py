"""The compiled loops of safety stock for normal demand: what a stock is short of, and the stock for a shortage.

Everything is sums, products, quotients and choices without a branch, so that a loop over rows becomes vector
instructions whose bits do not depend on where a row stands; no function of the C library is called.
"""

from __future__ import annotations

import numpy as np

from echelon.envs._compiled import compiled, inlined, vectorised

STEPS = 400
"""Most steps of an inverse; each either is Newton's or halves an interval, and five or six do for nearly all rows."""
CLOSE = 1e-7
"""A step of this relative length is the last: what is left of the error is about its square."""
BLOCK = 128
"""Rows that go through the steps together."""

CENTRE = 5.0
ROUND = 1.5 * 2.0**52
"""A number whose last bit counts ones, and to which small numbers can be added and subtracted."""


@inlined
def _exp(v):  # type: ignore[no-untyped-def] # pragma: no cover
    """exp(v) for v <= 0: 2^n exp(r) with |r| <= ln(2) / 2, by the series of exp(r), with ln(2) in two parts.

    After W. J. Cody and W. Waite, Software Manual for the Elementary Functions, 1980. Below -700, v is taken for -700.
    """
    v = max(v, -700.0)
    shifted = v * 1.4426950408889634 + ROUND
    n = shifted - ROUND
    r = (v - n * 6.93145751953125e-1) - n * 1.42860682030941723212e-6
    p = (
        1.0 + r * (1.0 + r * (1 / 2 + r * (1 / 6 + r * (1 / 24 + r * (1 / 120 + r * (1 / 720 + r * (1 / 5040
        + r * (1 / 40320 + r * (1 / 362880 + r * (1 / 3628800 + r * (1 / 39916800 + r / 479001600)))))))))))
    )  # fmt: skip
    power = (np.float64(shifted).view(np.int64) << 52) + (1023 << 52)  # the bits of 2^n
    return p * np.int64(power).view(np.float64)


@inlined
def _mills(x):  # type: ignore[no-untyped-def] # pragma: no cover
    """(1 - Phi(x)) / phi(x) for x >= 0, to about 1e-15: a polynomial in (x - 5) / (x + 5), over x + 1.

    After M. M. Shepherd and J. G. Laframboise, Chebyshev approximation of (1 + 2x) exp(x^2) erfc x in
    0 <= x < infinity, Mathematics of Computation 36, 1981; the coefficients are our own.
    """
    t = (x - CENTRE) / (x + CENTRE)
    p = (
        1.1568486282918946 + t * (-0.22948753825211315 + t * (0.07778159886873769 + t * (0.0250721793016388
        + t * (-0.0661776007790963 + t * (0.0615050458401865 + t * (-0.03802659218584139 + t * (0.01634823128102938
        + t * (-0.004201290329187307 + t * (1.9530638370790793e-05 + t * (4.5704392357953655e-04
        + t * (-1.3437427855711353e-04 + t * (-2.4805838451923163e-05 + t * (2.2709612709237756e-05
        + t * (-1.7633239265741913e-07 + t * (-3.277287633209e-06 + t * (3.2054316652596043e-07
        + t * (4.919962331479921e-07 + t * (-6.588974491113964e-08 + t * (-7.758520236797926e-08
        + t * (9.09247613404099e-09 + t * (1.1032071151622536e-08 + t * (-7.073898575602552e-10
        + t * -9.564832934799463e-10))))))))))))))))))))))
    )  # fmt: skip
    return p / (x + 1.0)


@inlined
def _tail_and_loss(x):  # type: ignore[no-untyped-def] # pragma: no cover
    """1 - Phi(x) and G(x) = phi(x) - x (1 - Phi(x)), the chance and the mean of a standard normal excess over x."""
    a = abs(x)
    mills = _mills(a)
    density = 0.3989422804014327 * _exp(-0.5 * a * a)
    tail = density * mills
    loss = density * max(1.0 - a * mills, 0.0)
    return (1.0 - tail, loss + a) if x < 0.0 else (tail, loss)


@vectorised
def shortage(level, span, ratio, tail, loss):  # type: ignore[no-untyped-def] # pragma: no cover
    """F(x) = G(x) - r G((x + q) / r) in `loss`, -F'(x) in `tail`; x `level`, q `span`, r `ratio` > 0, rows [n]."""
    for i in range(level.size):
        upper, above = _tail_and_loss(level[i])
        lower, below = _tail_and_loss((level[i] + span[i]) / ratio[i])
        tail[i] = upper - lower
        loss[i] = above - ratio[i] * below


@vectorised
def _step(level, low, high, span, ratio, target):  # type: ignore[no-untyped-def] # pragma: no cover
    """One step of every row towards F(x) = t; the number of rows that still moved. A row at rest has low = high.

    Newton's method for log F, with log w taken for 3 (w^2 - 1) / (w^2 + 4 w + 1), its Pade approximant at
    w = 1, which never is the larger of the two; or half the bracket where the step leads out of it.
    """
    moving = 0
    for i in range(level.size):
        x = level[i]
        upper, above = _tail_and_loss(x)
        lower, below = _tail_and_loss((x + span[i]) / ratio[i])
        value = above - ratio[i] * below
        w = value / target[i]
        slope = upper - lower
        step = 3.0 * (w * w - 1.0) / (w * w + 4.0 * w + 1.0) * value / slope
        left = x if w >= 1.0 else low[i]
        right = x if w <= 1.0 else high[i]
        to = x + step
        middle = 0.5 * (low[i] + high[i])
        to = to if left <= to <= right else 0.5 * (left + right)
        rest = not (low[i] < high[i])
        to = middle if rest else to
        last = rest or abs(to - x) <= CLOSE * (1.0 + abs(x))
        level[i] = to
        low[i] = to if last else left
        high[i] = to if last else right
        moving += 0 if last else 1
    return moving


@vectorised
def inverse_shortage(level, low, high, span, ratio, target):  # type: ignore[no-untyped-def] # pragma: no cover
    """Move every `level` from its start to the x with F(x) = t, `target`; all rows [n], see `shortage`.

    `low` and `high` bracket the root, and are written to. A row whose bracket is a point stays there. The
    steps of a row depend on nothing but the row.
    """
    n = level.size
    for first in range(0, n, BLOCK):
        last = min(first + BLOCK, n)
        for _ in range(STEPS):
            if not _step(
                level[first:last], low[first:last], high[first:last],
                span[first:last], ratio[first:last], target[first:last],
            ):  # fmt: skip
                break


@compiled
def few_values(values, found, place):  # type: ignore[no-untyped-def] # pragma: no cover
    """The different `values` [n] in the first rows of `found`, and where each value is there in `place` [n].

    Their number, or one more than fits into `found`, which ends the search.
    """
    count = 0
    at = 0
    for i in range(values.size):
        if not count or found[at] != values[i]:
            at = 0
            while at < count and found[at] != values[i]:
                at += 1
            if at == found.size:
                return at + 1
            if at == count:
                found[count] = values[i]
                count += 1
        place[i] = at
    return count
