"""Figures for cases whose result can be said without computing it."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from depth_anything_v2.metrics import boundary_f1


def square(near: float = 2.0, far: float = 5.0) -> np.ndarray:
    """A near square before a far wall: boundaries in all four directions."""
    depth = np.full((60, 80), far)
    depth[20:40, 30:60] = near
    return depth


def test_boundaries_in_the_right_places_count_whatever_the_unit() -> None:
    assert boundary_f1(square(), square()) == 1.0
    assert boundary_f1(100 * square(), square()) == pytest.approx(1.0)
    assert boundary_f1(square(2.0, 3.0), square()) == 1.0  # another ratio, above all thresholds
    assert boundary_f1(np.ones((60, 80)), square()) == 0.0


def test_a_boundary_the_other_way_round_elsewhere_or_blurred_is_not_found() -> None:
    assert boundary_f1(square(5.0, 2.0), square()) == 0.0
    assert boundary_f1(np.roll(square(), 1, (0, 1)), square()) == pytest.approx(0.0, abs=1e-9)
    assert boundary_f1(cv2.blur(square(), (31, 31)), square()) < 0.2
    # Half of what is said is right, and all of the truth is found: F1 is 2 / 3.
    twice = square()
    twice[:, ::1] = np.minimum(twice, np.roll(square(), 15, 0))
    assert 0.6 < boundary_f1(twice, square()) < 1.0


def test_a_low_ratio_is_a_boundary_at_the_low_thresholds_only() -> None:
    weak = square(4.5)  # 1.11 times
    assert boundary_f1(weak, weak) == pytest.approx(sum((1.05, 1.05 + 0.2 / 9, 1.05 + 0.4 / 9)) / 11.5)


def test_sky_is_a_boundary_and_the_unknown_is_none() -> None:
    sky = square()
    sky[:10] = np.inf
    assert boundary_f1(sky, sky) == 1.0
    assert 0 < boundary_f1(square(), sky) < 1
    holes = square()
    holes[20:40, 28:32] = np.nan
    left_edge_lost = square()
    left_edge_lost[20:40, 28:32] = 5.0
    whole = boundary_f1(square(), holes)
    assert whole == pytest.approx(boundary_f1(holes, square()))
    # Of the four directions one has nothing to find, and nothing wrong is said there.
    assert whole == pytest.approx(0.75)
