"""From a prediction to metres by measured distances."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from depth_anything_v2 import AlignmentError, Camera, DepthEstimator, DepthPrediction, Provenance, align
from depth_anything_v2.alignment import fit_alignment
from depth_anything_v2.datasets.rendered import RenderedScene, render_scene
from depth_anything_v2.errors import DepthKindError, InputError, OptionError
from depth_anything_v2.io import read_depth
from depth_anything_v2.metrics import abs_rel

SCALE, SHIFT = 0.6, 0.05  # 1 / metres = SCALE * p + SHIFT


@pytest.fixture(scope="module")
def room() -> RenderedScene:
    return render_scene(3, 120, 160, kind="room")


@pytest.fixture(scope="module")
def relative(room: RenderedScene) -> DepthPrediction:
    """What a model without fault would say of the room."""
    values = (1 / room.depth_m - SHIFT) / SCALE
    return DepthPrediction(values, "relative", provenance=Provenance("tiny", notes=("first",)))


def measured(depth_m: np.ndarray, count: int, wrong: int, seed: int = 0) -> np.ndarray:
    """Points at random pixels, the first `wrong` of them with distances out of the blue."""
    rng = np.random.default_rng(seed)
    ys, xs = np.nonzero(np.isfinite(depth_m))
    chosen = rng.choice(ys.size, count, replace=False)
    metres = depth_m[ys[chosen], xs[chosen]].astype(np.float64)
    metres[:wrong] *= rng.choice([0.4, 0.6, 1.7, 2.5], wrong)
    return np.stack([xs[chosen], ys[chosen], metres], axis=1)


@pytest.mark.parametrize("kind", ["room", "tabletop", "street", "landscape"])
def test_recovers_scale_and_shift_under_30_percent_outliers(kind: str) -> None:
    depth = render_scene(5, 96, 128, kind=kind).depth_m
    prediction = DepthPrediction((1 / depth - SHIFT) / SCALE, "relative")
    found = fit_alignment(prediction, measured(depth, 40, wrong=12))
    assert (found.fit.scale, found.fit.shift) == pytest.approx((SCALE, SHIFT), rel=1e-4, abs=1e-6)
    assert found.fit.inliers.tolist() == [False] * 12 + [True] * 28
    assert found.fit.inlier_share == 0.7
    assert found.weak is None
    aligned = found.apply(prediction)
    near = depth <= found.limit_m
    np.testing.assert_allclose(aligned.depth[near], depth[near], rtol=1e-3)


def test_rounding_makes_no_outliers() -> None:
    """Most points on a wall, whose distance is a whole number of millimetres: the others are no worse for it."""
    depth = np.full((60, 80), 8.0)
    depth[40:] = np.linspace(7.9, 2.5, 20)[:, None]
    prediction = DepthPrediction((1 / depth - SHIFT) / SCALE, "relative")
    rows = np.repeat([5, 10, 20, 42, 47, 51, 58], [4, 4, 3, 2, 3, 2, 2])
    points = np.stack([np.arange(20) * 4, rows, np.round(depth[rows, 0], 3)], axis=1)
    found = fit_alignment(prediction, points)
    assert found.fit.inlier_share == 1
    assert found.weak is None


def test_what_a_real_prediction_becomes(room: RenderedScene) -> None:
    """The built-in checkpoint on a rendered room: metres within a fifth, in spite of six wrong points of 20."""
    prediction = DepthEstimator.from_pretrained("builtin")(room.image)
    points = measured(room.depth_m, 20, wrong=6)
    aligned = align(prediction, points)
    known = aligned.valid & np.isfinite(room.depth_m)
    assert known.mean() > 0.95
    error = abs_rel(aligned.depth[known], room.depth_m[known])
    everything = align(prediction, room.depth_m)
    best = abs_rel(everything.depth[known], room.depth_m[known])
    assert best < 0.15
    assert error < 0.2


def test_the_result_says_what_it_is(relative: DepthPrediction, room: RenderedScene, tmp_path: Any) -> None:
    camera = Camera.from_fov(160, 120, horizontal_deg=60)
    aligned = align(relative.replace(camera=camera), measured(room.depth_m, 14, wrong=2))
    assert (aligned.kind, aligned.unit, aligned.max_depth_m, aligned.camera) == ("metric", "m", None, camera)
    first, how = aligned.provenance.notes
    assert first == "first"
    assert how.startswith("aligned by 12 of 14 points: 1/depth = 0.6 * p + 0.05, residual ")
    assert aligned.provenance.checkpoint == "tiny"
    again = read_depth(aligned.save(tmp_path / "x.npz"))
    assert again.provenance == aligned.provenance
    np.testing.assert_array_equal(again.depth, aligned.depth)


def test_a_map_counts_like_its_pixels(relative: DepthPrediction, room: RenderedScene) -> None:
    holes = room.depth_m.copy()
    holes[::2], holes[1::4], holes[3::4, ::2] = 0, np.nan, np.inf
    np.testing.assert_allclose(align(relative, holes).depth, room.depth_m, rtol=1e-4)
    stored = DepthPrediction(room.depth_m, "metric", valid=room.depth_m > 2)
    found = fit_alignment(relative, stored)
    assert found.measured_m.min() > 2
    assert found.fit.scale == pytest.approx(SCALE, rel=1e-4)


def test_a_map_of_another_size_is_sampled_at_matching_positions() -> None:
    ramp = 1 + np.tile(np.arange(40.0), (30, 1)) / 10
    prediction = DepthPrediction(1 / ramp, "relative")
    small = ramp.reshape(30, 20, 2).mean(axis=2)[::2]
    found = fit_alignment(prediction, small)
    # The middle of two columns belongs to the second: half a pixel, a twentieth of a metre, off.
    assert found.x.min() == 0.5
    assert found.x.max() == 38.5
    np.testing.assert_allclose(found.aligned_m, found.measured_m, rtol=0.04)
    with pytest.raises(InputError, match=r"map is 40 x 20, the prediction 40 x 30, another shape"):
        align(prediction, ramp[:20])


def test_one_point_gives_the_scale(relative: DepthPrediction) -> None:
    found = fit_alignment(relative, [(10, 20, 2.0)])
    assert found.fit.shift == 0
    assert found.aligned_m[0] == pytest.approx(2)
    with pytest.raises(AlignmentError, match="one point gives a scale but no shift"):
        align(relative, [(10, 20, 2.0)], fit="affine")


def test_metric_depth_is_rescaled(room: RenderedScene) -> None:
    """A metric model's error is a factor, mostly; what it calls saturated stays invalid."""
    seen = DepthPrediction(room.depth_m * 1.3, "metric", max_depth_m=float(room.depth_m.max()) * 1.2)
    assert not seen.valid.all()
    found = fit_alignment(seen, measured(room.depth_m, 30, wrong=8))
    assert (found.fit.scale, found.fit.shift) == (pytest.approx(1.3), 0)
    aligned = found.apply(seen)
    np.testing.assert_array_equal(aligned.valid, seen.valid)
    np.testing.assert_allclose(aligned.depth[seen.valid], room.depth_m[seen.valid], rtol=1e-4)
    assert "1/depth = 1.3 * 1/predicted depth, residual" in aligned.provenance.notes[0]


def test_pixels_without_positive_inverse_depth_become_invalid_never_huge() -> None:
    values = np.array([[1.0, 0.5, 0.2, 0.101], [0.0999999, 0.05, 0.0, np.nan]])
    prediction = DepthPrediction(values, "relative")
    points = [(0, 0, 1 / 0.9), (1, 0, 1 / 0.4)]  # 1 / metres = p - 0.1
    aligned = align(prediction, points)
    assert aligned.valid.tolist() == [[True, True, True, False], [False] * 4]
    assert np.isnan(aligned.depth[~aligned.valid]).all()
    assert aligned.depth[0, 2] == pytest.approx(10)
    assert align(prediction, points, max_depth_m=math.inf).valid.sum() == 4
    near = align(prediction, points, max_depth_m=5)
    assert near.valid.sum() == 2
    assert near.max_depth_m == 5


def test_distances_along_the_ray_are_converted(relative: DepthPrediction, room: RenderedScene) -> None:
    camera = Camera.from_fov(160, 120, horizontal_deg=80)
    seen = relative.replace(camera=camera)
    points = measured(room.depth_m, 25, wrong=0)
    points[:, 2] *= camera.ray_factor()[points[:, 1].astype(int), points[:, 0].astype(int)]
    assert fit_alignment(seen, points, geometry="ray").fit.scale == pytest.approx(SCALE, rel=1e-4)
    stored = DepthPrediction(camera.planar_to_ray(room.depth_m), "metric", geometry="ray")
    assert fit_alignment(seen, stored).fit.scale == pytest.approx(SCALE, rel=1e-4)
    with pytest.raises(OptionError, match="converting takes a camera"):
        align(relative, points, geometry="ray")


def test_points_on_invalid_pixels_are_left_out(relative: DepthPrediction, room: RenderedScene) -> None:
    points = measured(room.depth_m, 10, wrong=0)
    mask = np.ones(relative.depth.shape, bool)
    mask[points[:4, 1].astype(int), points[:4, 0].astype(int)] = False
    found = fit_alignment(relative.replace(valid=mask), points)
    assert (found.skipped, found.x.size) == (4, 6)
    with pytest.raises(AlignmentError, match="invalid at all 10 points"):
        align(relative.replace(valid=np.zeros_like(mask)), points)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ([(5, 5, 2.0), (90, 70, 2.0), (30, 40, 2.01)], r"all 3 points are 2 m away"),
        (np.empty((0, 3)), "no point was given"),
        ([(5, 5, 0.0)], r"point 1 \(x 5, y 5\) is 0 m away"),
        ([(5, 5, 1.0), (5, 5, np.nan)], r"point 2 .* is nan m away"),
        ([(5, 5, 1.0), (160, 5, 2.0)], r"point 2 \(x 160, y 5\) is outside the picture of 160 x 120"),
        ([(-0.6, 5, 1.0)], "outside the picture"),
        (np.zeros((120, 160)), "no measurement"),
    ],
)
def test_useless_points_are_refused(points: Any, message: str, relative: DepthPrediction) -> None:
    with pytest.raises(AlignmentError, match=message):
        align(relative, points)


def test_inverse_depth_in_place_of_metres_is_refused(relative: DepthPrediction, room: RenderedScene) -> None:
    points = measured(room.depth_m, 30, wrong=0)
    points[:, 2] = 1 / points[:, 2]
    with pytest.raises(AlignmentError, match="the scale would be negative"):
        align(relative, points)


def test_a_flat_prediction_is_refused() -> None:
    flat = DepthPrediction(np.full((4, 5), 0.5), "relative")
    with pytest.raises(AlignmentError, match="the same at all 2 points"):
        align(flat, [(0, 0, 1.0), (3, 3, 2.0)])
    with pytest.raises(AlignmentError, match="0 at every point"):
        align(DepthPrediction(np.zeros((4, 5)), "relative"), [(0, 0, 1.0)])


def test_points_that_agree_on_one_distance_only_are_refused() -> None:
    """The rest is outliers: a plane through the majority says nothing of the scale."""
    rng = np.random.default_rng(0)
    prediction = DepthPrediction(rng.uniform(0.5, 1, (10, 10)), "relative")
    far = np.argwhere(prediction.depth == prediction.depth.min())[0]
    points = [(x, 0, 2.0) for x in range(8)] + [(far[1], far[0], 5.0), (far[1], far[0], 9.0)]
    with pytest.raises(AlignmentError, match="all 8 points that agree are 2 m away"):
        align(prediction, points)


def test_distances_at_random_are_refused_or_called_weak(relative: DepthPrediction) -> None:
    points = measured(1 / relative.depth, 30, wrong=0)
    passed = 0
    for seed in range(40):
        points[:, 2] = np.random.default_rng(seed).uniform(0.5, 20, 30)
        try:
            passed += fit_alignment(relative, points).weak is None
        except AlignmentError:
            continue
    assert passed <= 4


@pytest.mark.parametrize(
    ("samples", "options", "error", "message"),
    [
        ([(1, 1, 1.0)], {"fit": "cubic"}, OptionError, "unknown fit 'cubic'"),
        ([(1, 1, 1.0)], {"geometry": "round"}, OptionError, "unknown geometry 'round'"),
        ([(1, 1, 1.0)], {"max_depth_m": 0}, OptionError, "maximum depth is a positive number"),
        ([(1, 1, 1.0)], {"max_depth_m": math.nan}, OptionError, "maximum depth is a positive number"),
        ([1.0, 2.0, 3.0], {}, OptionError, r"not \(3,\)"),
        ([("a", "b", "c")], {}, OptionError, "samples are numbers"),
        (DepthPrediction(np.ones((120, 160)), "relative"), {}, DepthKindError, "must be in metres"),
    ],
)
def test_wrong_use_is_refused(
    samples: Any, options: dict[str, Any], error: type[Exception], message: str, relative: DepthPrediction
) -> None:
    with pytest.raises(error, match=message):
        align(relative, samples, **options)


def test_an_alignment_is_for_predictions_of_its_kind(relative: DepthPrediction, room: RenderedScene) -> None:
    found = fit_alignment(relative, measured(room.depth_m, 10, wrong=0))
    with pytest.raises(DepthKindError, match="alignment is that of relative planar depth, this is metric planar"):
        found.apply(DepthPrediction(room.depth_m, "metric"))


@settings(max_examples=40, deadline=None)
@given(a=st.floats(0.01, 100), b=st.floats(-5, 5), seed=st.integers(0, 1000))
def test_scale_and_shift_of_the_prediction_do_not_matter(a: float, b: float, seed: int) -> None:
    """Relative depth has neither: the metres must come out the same whatever they are."""
    depth = np.random.default_rng(seed).uniform(1, 6, (12, 16))
    points = measured(depth, 24, wrong=7, seed=seed)
    once = align(DepthPrediction(1 / depth, "relative"), points)
    moved = align(DepthPrediction(a / depth + b, "relative"), points)
    np.testing.assert_allclose(moved.depth, once.depth, rtol=2e-3 * max(1, abs(b) / a))


@settings(max_examples=25, deadline=None)
@given(unit=st.floats(0.001, 1000), seed=st.integers(0, 1000))
def test_the_unit_of_the_distances_is_that_of_the_result(unit: float, seed: int) -> None:
    depth = np.random.default_rng(seed).uniform(1, 6, (12, 16))
    points = measured(depth, 24, wrong=7, seed=seed)
    prediction = DepthPrediction(1 / depth, "relative")
    scaled = align(prediction, points * (1, 1, unit))
    np.testing.assert_allclose(scaled.depth, align(prediction, points).depth * unit, rtol=1e-4)
