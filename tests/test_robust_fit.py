"""Lines through values of which some are wrong."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from depth_anything_v2.alignment import fit_affine_robust, fit_scale_shift
from depth_anything_v2.errors import AlignmentError, OptionError


def contaminated(count: int, share: float, seed: int, noise: float = 0.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """x, y = 0.7 x + 0.1 with noise, and which of them are outliers, far from the line."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, 2, count)
    y = 0.7 * x + 0.1 + rng.normal(0, noise, count)
    wrong = np.arange(count) < round(share * count)
    y[wrong] += rng.uniform(0.5, 3, wrong.sum())  # all on one side: least squares alone would follow them
    return x, y, wrong


@pytest.mark.parametrize("count", [10, 20, 200, 50_000])
def test_recovers_a_line_under_30_percent_outliers(count: int) -> None:
    x, y, wrong = contaminated(count, 0.3, seed=count)
    fit = fit_affine_robust(x.astype(np.float32), y)
    assert (fit.scale, fit.shift) == pytest.approx((0.7, 0.1), abs=1e-6)
    np.testing.assert_array_equal(fit.inliers, ~wrong)
    assert fit.inlier_share == pytest.approx(0.7)
    assert fit.residual < 1e-6
    assert abs(fit_scale_shift(x, y)[1] - 0.1) > 0.2


def test_noise_averages_out_and_is_reported() -> None:
    x, y, wrong = contaminated(2000, 0.4, seed=1, noise=0.02)
    fit = fit_affine_robust(x, y)
    assert (fit.scale, fit.shift) == pytest.approx((0.7, 0.1), abs=0.01)
    assert fit.residual == pytest.approx(0.02, rel=0.1)
    assert not fit.inliers[wrong].any()
    assert fit.inliers[~wrong].mean() > 0.97


def test_a_threshold_finds_a_minority() -> None:
    """Fewer than half of the values are on a line, which the median of the residuals cannot see."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 1, 300)
    y = np.where(np.arange(300) < 90, 2 * x - 0.5, rng.uniform(-5, 5, 300))
    fit = fit_affine_robust(x, y, threshold=0.01)
    assert (fit.scale, fit.shift) == pytest.approx((2, -0.5), abs=0.01)
    assert fit.inliers[:90].all()


def test_scale_only_goes_through_zero() -> None:
    fit = fit_affine_robust(np.array([1.0, 2, 3, 4, 5]), np.array([2.0, 4, 6, 8, 90]), scale_only=True)
    assert (fit.scale, fit.shift) == (pytest.approx(2), 0)
    assert fit.inliers.tolist() == [True, True, True, True, False]
    assert fit_affine_robust(np.array([4.0]), np.array([2.0]), scale_only=True).scale == 0.5


def test_weights_say_which_values_are_sure() -> None:
    """Least squares with weights, as numpy.polyfit has it, where nothing is an outlier."""
    rng = np.random.default_rng(2)
    x = rng.uniform(0, 1, 40)
    weights = rng.uniform(0.2, 5, 40)
    y = 3 * x + 1 + rng.normal(0, 0.05, 40) / weights
    fit = fit_affine_robust(x, y, weights=weights, threshold=10)
    np.testing.assert_allclose([fit.scale, fit.shift], np.polyfit(x, y, 1, w=weights), rtol=1e-9)


def test_values_that_are_not_finite_are_left_out() -> None:
    x = np.array([[0.0, 1, 2], [3, np.nan, 5]])
    y = np.array([[1.0, 3, 5], [7, 9, np.inf]])
    fit = fit_affine_robust(x, y)
    assert (fit.scale, fit.shift) == pytest.approx((2, 1))
    assert fit.inliers.tolist() == [[True, True, True], [True, False, False]]


def test_rising_lines_on_request() -> None:
    x = np.arange(6.0)
    falling = np.array([5.0, 4, 3, 2, 3, 4])
    assert fit_affine_robust(x, falling).scale < 0
    assert fit_affine_robust(x, falling, rising=True).scale >= 0
    with pytest.raises(AlignmentError, match="no two values are in the order"):
        fit_affine_robust(x, -x, rising=True)


@pytest.mark.parametrize(
    ("x", "y", "options", "message"),
    [
        ([], [], {}, "0 values are too few to fit a line"),
        ([1.0], [1.0], {}, "1 values are too few to fit a line"),
        ([np.nan, 1.0], [1.0, 1.0], {}, "1 values are too few"),
        ([], [], {"scale_only": True}, "too few to fit a scale"),
        ([2.0, 2.0], [1.0, 3.0], {}, "x is 2 for all 2 values"),
        ([0.0, 0.0], [1.0, 3.0], {"scale_only": True}, "x is 0 for all 2 values"),
        ([0.1, 0.3, 0.9], [5.7, 3.1, 7.7], {"threshold": 1e-300}, "too few of 3 values agree"),
    ],
)
def test_degenerate_values_are_refused(x: list, y: list, options: dict, message: str) -> None:
    with pytest.raises(AlignmentError, match=message):
        fit_affine_robust(np.array(x), np.array(y), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"threshold": 0.0}, "threshold"),
        ({"weights": np.array([1.0, 0.0])}, "positive"),
        ({"weights": np.ones(3)}, "one shape"),
    ],
)
def test_options_are_checked(options: dict, message: str) -> None:
    with pytest.raises(OptionError, match=message):
        fit_affine_robust(np.array([0.0, 1.0]), np.array([0.0, 1.0]), **options)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    count=st.integers(12, 60),
    stretch=st.floats(0.05, 50),
    offset=st.floats(-20, 20),
)
def test_the_fit_follows_changes_of_unit(seed: int, count: int, stretch: float, offset: float) -> None:
    """Where x becomes stretch * x + offset, scale and shift change so that the line stays; the same for y."""
    x, y, _ = contaminated(count, 0.25, seed, noise=0.01)
    assume(np.ptp(x) > 0.5)
    fit, moved = fit_affine_robust(x, y), fit_affine_robust(stretch * x + offset, y)
    line = fit.scale * x + fit.shift
    np.testing.assert_allclose(moved.scale * (stretch * x + offset) + moved.shift, line, atol=1e-6)
    np.testing.assert_array_equal(moved.inliers, fit.inliers)
    scaled = fit_affine_robust(x, stretch * y)
    np.testing.assert_allclose(scaled.scale * x + scaled.shift, stretch * line, atol=1e-6 * stretch)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_the_order_of_few_values_does_not_matter(seed: int) -> None:
    """Up to 32 values every pair is tried."""
    x, y, _ = contaminated(30, 0.3, seed, noise=0.005)
    order = np.random.default_rng(seed).permutation(30)
    fit, shuffled = fit_affine_robust(x, y), fit_affine_robust(x[order], y[order])
    assert (shuffled.scale, shuffled.shift) == pytest.approx((fit.scale, fit.shift))
    np.testing.assert_array_equal(shuffled.inliers, fit.inliers[order])
