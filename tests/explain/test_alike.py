import numpy as np
import pytest
from scipy import stats

from regard.explain.alike import C1, C2, SIGMA, complexity, spearman, ssim

DRAW = np.random.default_rng(0)
FIRST, SECOND = DRAW.random((2, 14, 14))


def test_spearman_is_that_of_scipy_also_with_ties():
    tied = np.round(SECOND, 1)
    expected = stats.spearmanr(FIRST.ravel(), tied.ravel()).statistic
    assert spearman(FIRST, tied) == pytest.approx(expected, abs=1e-12)
    assert spearman(FIRST, -FIRST) == pytest.approx(-1.0)
    assert np.isnan(spearman(FIRST, np.ones((14, 14))))


def test_ssim_is_the_formula_at_every_patch():
    a = (FIRST - FIRST.min()) / np.ptp(FIRST)
    b = (SECOND - SECOND.min()) / np.ptp(SECOND)
    radius = 5
    offsets = np.arange(-radius, radius + 1)
    window = np.exp(-(offsets**2) / (2 * SIGMA**2))
    window = np.outer(window, window) / window.sum() ** 2
    values = []
    padded = [np.pad(each, radius, mode="symmetric") for each in (a, b)]
    for y in range(14):
        for x in range(14):
            p, q = (each[y : y + 11, x : x + 11] for each in padded)
            mean_p, mean_q = (window * p).sum(), (window * q).sum()
            var_p = (window * (p - mean_p) ** 2).sum()
            var_q = (window * (q - mean_q) ** 2).sum()
            both = (window * (p - mean_p) * (q - mean_q)).sum()
            above = (2 * mean_p * mean_q + C1) * (2 * both + C2)
            values.append(above / ((mean_p**2 + mean_q**2 + C1) * (var_p + var_q + C2)))
    assert ssim(FIRST, SECOND) == pytest.approx(np.mean(values), abs=1e-12)


def test_ssim_of_a_map_with_itself_on_any_scale_is_one():
    assert ssim(FIRST, 3 * FIRST + 1) == pytest.approx(1.0)
    assert np.isnan(ssim(FIRST, np.zeros((14, 14))))


def test_complexity_by_hand():
    # 16 values, all in bins of their own: log2(16) bits; all equal: 0 bits.
    assert complexity(np.linspace(0, 1, 16).reshape(4, 4)) == pytest.approx(4.0)
    assert complexity(np.ones((4, 4))) == 0.0
    # a quarter here and three quarters there: 0.25 * 2 + 0.75 * log2(4 / 3)
    assert complexity(np.array([[0.0, 1.0], [1.0, 1.0]])) == pytest.approx(0.811278, abs=1e-6)
