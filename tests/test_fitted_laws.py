"""Fitted laws against the probabilities of scipy and sums over them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from echelon.baselines.fitted_laws import FittedLaw

WHOLE = [
    (3.0, 7.0),
    (200.0, 230.0),
    (4.0, 4.0),
    (0.3, 0.31),
    (5.0, 3.0),
    (0.3, 0.25),
    (0.3, 0.21),
    (7.0, 0.0),
    (7.5, 0.25),
    (100.0, 64.0),
    (1e4, 1e4 * (1 + 1e-5)),
    (1e4, 10.0),
    (1e-5, 2e-5),
]


@pytest.mark.parametrize(("mean", "variance"), WHOLE)
def test_a_whole_law_has_its_moments_and_the_losses_that_follow_from_its_tail(mean: float, variance: float) -> None:
    law = FittedLaw(np.array(mean), np.array(variance), whole=True)
    values = np.arange(int(mean + 40 * variance**0.5 + 60))
    tail = np.array(law.above(np.arange(-1, len(values))))
    pmf = tail[:-1] - tail[1:]
    assert pmf.min() > -1e-12
    assert pmf @ values == pytest.approx(mean, rel=1e-9)
    assert pmf @ (values - mean) ** 2 == pytest.approx(variance, rel=1e-7, abs=1e-9)
    for level in (-1.0, 0.0, 1.0, 3.0, 7.5, mean, mean + 2 * variance**0.5):
        over = np.maximum(values - level, 0.0)
        size = max(1.0, mean)
        assert law.shortage(level) == pytest.approx(pmf @ over, rel=1e-7, abs=1e-8 * size)
        assert law.squared_shortage(level) == pytest.approx(pmf @ over**2, rel=1e-7, abs=1e-7 * size)


@pytest.mark.parametrize(("mean", "variance"), [(3.0, 7.0), (0.3, 0.31), (200.0, 230.0)])
def test_a_wide_whole_law_is_the_negative_binomial_one(mean: float, variance: float) -> None:
    law = FittedLaw(np.array(mean), np.array(variance), whole=True)
    levels = np.arange(0, 400)
    want = stats.nbinom(mean**2 / (variance - mean), mean / variance).sf(levels)
    np.testing.assert_allclose(law.above(levels), want, rtol=1e-9, atol=1e-14)


def test_a_whole_law_whose_variance_is_its_mean_is_poisson() -> None:
    levels = np.arange(0, 40)
    law = FittedLaw(np.array(6.0), np.array(6.0), whole=True)
    np.testing.assert_allclose(law.above(levels), stats.poisson(6.0).sf(levels), rtol=1e-9, atol=1e-14)


def test_a_narrow_law_with_a_whole_number_of_trials_is_the_binomial_one() -> None:
    law = FittedLaw(np.array(6.0), np.array(20 * 0.3 * 0.7), whole=True)
    np.testing.assert_allclose(law.above(np.arange(20)), stats.binom(20, 0.3).sf(np.arange(20)), rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize(("mean", "variance"), [(3.0, 7.0), (200.0, 230.0), (0.2, 3.0)])
def test_a_law_of_any_quantity_is_gamma(mean: float, variance: float) -> None:
    law = FittedLaw(np.array(mean), np.array(variance), whole=False)
    gamma = stats.gamma(mean**2 / variance, scale=variance / mean)
    for level in (0.0, 1.0, 3.5, 210.0):
        assert law.above(level) == pytest.approx(gamma.sf(level), rel=1e-10)
        for loss, power in ((law.shortage, 1), (law.squared_shortage, 2)):
            far = 60 * variance**0.5 + 40 * variance / mean
            over = np.linspace(0, far**0.2, 400_001) ** 5  # dense at 0, where it is steep
            want = np.trapezoid(power * over ** (power - 1) * gamma.sf(level + over), over)
            assert loss(level) == pytest.approx(want, rel=1e-5, abs=1e-8)


def test_a_quantity_without_variance_is_its_mean() -> None:
    law = FittedLaw(np.array(2.5), np.array(0.0), whole=False)
    np.testing.assert_array_equal(law.above([2.0, 2.5, 3.0]), [1.0, 0.0, 0.0])
    np.testing.assert_array_equal(law.shortage([2.0, 2.5, 3.0]), [0.5, 0.0, 0.0])
    assert float(FittedLaw(np.array(7.0), np.array(0.0), whole=True).shortage(6.0)) == pytest.approx(1.0)


def test_elements_of_different_laws_do_not_touch_each_other() -> None:
    mean, variance = np.array([3.0, 4.0, 5.0]), np.array([7.0, 4.0, 3.0])
    together = FittedLaw(mean, variance, whole=True).losses(np.array([[2.0], [6.0]]))
    for k in range(3):
        alone = FittedLaw(mean[k], variance[k], whole=True).losses(np.array([2.0, 6.0]))
        for one, all_ in zip(alone, together, strict=True):
            np.testing.assert_array_equal(one, all_[:, k])
