"""The pinhole: where its numbers come from, what is refused, and the geometry."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from depth_anything_v2 import Camera, DepthKindError, DepthPrediction, InputError, OptionError, Provenance, align

# Hypersim's distances along the ray and the depths that follow, at rows and columns of 1024 x 768 pixels, by
# depth = distance * f / sqrt(x^2 + y^2 + f^2), x = column + 0.5 - 512, y = row + 0.5 - 384, f = 886.81.
HYPERSIM = [
    (0, 0, 2.0, 1.622377171272034),
    (0, 1023, 5.5, 4.461537220998094),
    (383, 511, 7.25, 7.249997695288098),
    (767, 300, 12.5, 11.207756024173479),
    (200, 900, 19.75, 17.773784476902186),
]
widths, heights = st.integers(2, 3000), st.integers(2, 3000)


@st.composite
def cameras(draw: st.DrawFn) -> Camera:
    width, height = draw(widths), draw(heights)
    longest = max(width, height)
    fx, stretch = draw(st.floats(0.3, 30)) * longest, draw(st.floats(0.8, 1.25))
    cx, cy = draw(st.floats(-0.5, 0.5)), draw(st.floats(-0.5, 0.5))
    return Camera(width, height, fx, fx * stretch, (0.5 + cx) * width, (0.5 + cy) * height)


@pytest.mark.parametrize("direction", ["to planar", "to ray"])
def test_hypersim_distances_become_depths_and_back(direction: str) -> None:
    camera = Camera.from_pixels(1024, 768, 886.81)
    rows, columns, distance, depth = (np.array(values) for values in zip(*HYPERSIM, strict=True))
    given_values, expected = (distance, depth) if direction == "to planar" else (depth, distance)
    full = np.ones((768, 1024), np.float32)
    full[rows, columns] = given_values
    convert = camera.ray_to_planar if direction == "to planar" else camera.planar_to_ray
    np.testing.assert_allclose(convert(full)[rows, columns], expected, atol=1e-5)


@given(cameras(), st.floats(0.05, 500), st.integers(0, 2**31))
def test_a_point_comes_back_to_its_pixel(camera: Camera, depth_m: float, seed: int) -> None:
    camera = camera.cropped(0, 0, min(camera.width, 40), min(camera.height, 40))
    rng = np.random.default_rng(seed)
    depth = (depth_m * rng.uniform(0.5, 2, (camera.height, camera.width))).astype(np.float32)
    points = camera.unproject(depth)
    assert points.dtype == np.float32
    np.testing.assert_array_equal(points[..., 2], depth)
    x, y = np.meshgrid(np.arange(camera.width), np.arange(camera.height))
    pixels = camera.project(points.reshape(-1, 3)).reshape(*depth.shape, 2)
    np.testing.assert_allclose(pixels, np.stack([x, y], axis=-1), atol=2e-7 * (3000 + abs(camera.cx) + abs(camera.cy)))
    by_ray = camera.unproject(camera.planar_to_ray(depth), "ray")
    np.testing.assert_allclose(by_ray, points, rtol=1e-5, atol=1e-6 * depth_m)


def test_reprojection_is_exact_to_a_ten_thousandth_of_a_pixel() -> None:
    camera = Camera.from_fov(2000, 1330, horizontal_deg=65)
    depth = np.random.default_rng(0).uniform(0.1, 80, (1330, 2000)).astype(np.float32)
    pixels = camera.project(camera.unproject(depth)[::7, ::7].reshape(-1, 3))
    x, y = np.meshgrid(np.arange(0, 2000, 7), np.arange(0, 1330, 7))
    assert np.abs(pixels - np.stack([x.ravel(), y.ravel()], axis=1)).max() < 1e-4


def test_axes_are_those_of_opencv() -> None:
    camera = Camera(5, 5, 4, 4, 2, 2)
    points = camera.unproject(np.full((5, 5), 2.0))
    np.testing.assert_array_equal(points[2, 2], [0, 0, 2])
    assert points[2, 4, 0] == 1  # right of the middle: x > 0
    assert points[4, 2, 1] == 1  # below the middle: y > 0
    np.testing.assert_allclose(np.linalg.norm(camera.rays(), axis=-1), camera.ray_factor(), rtol=1e-6)
    assert np.isnan(camera.project(np.array([[0.0, 0, -1], [0, 0, 0]]))).all()


@given(cameras(), widths, heights)
def test_resizing_keeps_what_is_seen(camera: Camera, width: int, height: int) -> None:
    resized = camera.resized(width, height)
    np.testing.assert_allclose(resized.fov_deg, camera.fov_deg, rtol=1e-9)
    point = np.array([[0.3, -0.2, 1.0]])
    shares = [(c.project(point)[0] + 0.5) / (c.width, c.height) for c in (camera, resized)]
    np.testing.assert_allclose(shares[0], shares[1], rtol=1e-9)


def test_cropping_moves_the_principal_point() -> None:
    camera = Camera.from_pixels(640, 480, 500)
    crop = camera.cropped(100, 50, 200, 300)
    assert (crop.width, crop.height, crop.fx, crop.cx, crop.cy) == (200, 300, 500, 219.5, 189.5)
    point = np.array([[0.1, 0.05, 2.0]])
    np.testing.assert_allclose(crop.project(point), camera.project(point) - (100, 50))
    with pytest.raises(OptionError, match="not inside the picture of 640 x 480"):
        camera.cropped(500, 0, 141, 10)


def test_every_way_to_say_it_gives_the_same_camera() -> None:
    expected = Camera.from_pixels(3600, 2400, 3500)
    matrix = Camera.from_matrix([[3500, 0, 1799.5], [0, 3500, 1199.5], [0, 0, 1]], 3600, 2400)
    lens = Camera.from_mm(3600, 2400, 35, 36)
    horizontal, vertical = expected.fov_deg
    diagonal = 2 * np.degrees(np.arctan(np.hypot(3600, 2400) / 2 / 3500))
    others = [
        matrix,
        lens,
        Camera.from_fov(3600, 2400, horizontal_deg=horizontal),
        Camera.from_fov(3600, 2400, vertical_deg=vertical),
        Camera.from_fov(3600, 2400, diagonal_deg=diagonal),
    ]
    assert (horizontal, vertical) == pytest.approx((54.432, 37.849), abs=1e-3)
    for other in others:
        np.testing.assert_allclose(other.matrix, expected.matrix, rtol=1e-12)
    assert [other.source for other in others] == ["matrix", "mm", *["field of view"] * 3]
    assert str(lens) == "fx 3500.0 px, field of view 54.4 x 37.8 degrees (mm)"


def test_an_assumed_camera_says_so() -> None:
    wide, tall = Camera.assume(640, 480), Camera.assume(480, 640)
    assert wide.assumed
    assert (wide.fov_deg[0], tall.fov_deg[1]) == pytest.approx((60, 60))
    assert str(wide).endswith("(assumed)")
    assert not Camera.from_pixels(640, 480, 500).assumed


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Camera.from_pixels(640, 480, 18), "field of view of 174 degrees.*is 18 in millimetres"),
        (lambda: Camera.from_pixels(200, 150, 28), "is 28 in millimetres"),
        (lambda: Camera.from_pixels(640, 480, 0.8), "normalised"),
        (lambda: Camera.from_pixels(640, 480, 1e6), "much larger picture"),
        (lambda: Camera.from_pixels(640, 480, 500, 5), "field of view|factor of two"),
        (lambda: Camera.from_pixels(640, 480, 500, 1200), "factor of two"),
        (lambda: Camera.from_pixels(640, 480, 500, cx=960), "outside a picture of 640 x 480.*1921 x 480 pixels"),
        (lambda: Camera.from_pixels(1280, 960, 500, 500, 319.5, 239.5), "far from the middle.*640 x 480 pixels"),
        (lambda: Camera.from_pixels(640, 480, -500), "positive number of pixels"),
        (lambda: Camera.from_pixels(640, 480, float("nan")), "positive number of pixels"),
        (lambda: Camera.from_pixels(0, 480, 500), "width of a camera is a whole number of pixels, not 0"),
        (lambda: Camera(640, 480, 20, 20, 319.5, 239.5), "which no pinhole camera has"),
        (lambda: Camera.from_fov(640, 480, horizontal_deg=175), "175 degrees.*between 3 and 170"),
        (lambda: Camera.from_fov(640, 480, vertical_deg=1.05), "radians"),
        (lambda: Camera.from_fov(640, 480), "one angle"),
        (lambda: Camera.from_fov(640, 480, horizontal_deg=60, vertical_deg=40), "one angle"),
        (lambda: Camera.from_mm(640, 480, 0, 36), "focal length in millimetres must be a positive"),
        (lambda: Camera.from_mm(640, 480, 500, 3.6e-1), "pixels, or are the two swapped"),
        (lambda: Camera.from_mm(640, 480, 1, 36), "swapped"),
        (lambda: Camera.from_matrix(np.eye(4), 640, 480), "3 x 3, not 4 x 4"),
        (lambda: Camera.from_matrix(np.ones((3, 4)), 640, 480), "projection matrix"),
        (lambda: Camera.from_matrix([500, 500, 320, 240], 640, 480), "3 x 3, not 4"),
        (lambda: Camera.from_matrix([["a"] * 3] * 3, 640, 480), "3 x 3 numbers"),
        (lambda: Camera.from_matrix([[500, 0, 0], [0, 500, 0], [320, 240, 1]], 640, 480), "transposed"),
        (lambda: Camera.from_matrix([[500, 20, 320], [0, 500, 240], [0, 0, 1]], 640, 480), "skew of 20"),
        (lambda: Camera.from_matrix([[500, 0, 320], [0, 500, 240], [0, 0, 2]], 640, 480), "not a camera matrix"),
        (lambda: Camera.from_matrix([[np.nan, 0, 320], [0, 500, 240], [0, 0, 1]], 640, 480), "not finite"),
    ],
)
def test_the_likely_mistake_is_named(make, said: str) -> None:
    with pytest.raises(OptionError, match=said):
        make()


def test_a_camera_of_another_picture_is_scaled_or_refused() -> None:
    camera = Camera.from_pixels(4000, 3000, 3000)
    scaled = camera.fitted(1000, 750)
    assert (scaled.fx, scaled.cx) == (750, 499.5)
    assert scaled.notes == ("scaled from the camera of 4000 x 3000 pixels",)
    assert camera.fitted(4000, 3000) is camera
    assert camera.fitted(518, 389).width == 518  # a side was rounded
    for size in ((1000, 1000), (3000, 4000)):
        with pytest.raises(OptionError, match="another shape"):
            camera.fitted(*size)
    with pytest.raises(OptionError, match="the depth map is 10 x 20"):
        camera.unproject(np.ones((20, 10)))


def test_json_brings_it_back() -> None:
    camera = dataclasses.replace(Camera.from_fov(64, 48, diagonal_deg=70), notes=("a note",))
    told = json.loads(json.dumps(camera.describe()))
    assert Camera.from_dict(told) == camera
    for name in ("width", "fx", "cy"):
        with pytest.raises(OptionError, match=f"missing is {name}"):
            Camera.from_dict({key: value for key, value in told.items() if key != name})
    for nonsense in ("wide", None, [1]):
        with pytest.raises(OptionError, match="as numbers"):
            Camera.from_dict({**told, "fx": nonsense})


def metric(camera: Camera | None = None, **changes) -> DepthPrediction:
    depth = np.linspace(1, 19.9, 48 * 64).reshape(48, 64)
    return DepthPrediction(depth, "metric", 20.0, camera=camera, **changes)


def test_a_prediction_converts_between_planar_and_ray() -> None:
    camera = Camera.from_pixels(64, 48, 60)
    planar = metric(camera)
    ray = planar.to_ray()
    assert (ray.geometry, ray.quantity) == ("ray", "distance along the ray in metres")
    np.testing.assert_allclose(ray.depth, planar.depth * camera.ray_factor(), rtol=1e-6)
    np.testing.assert_array_equal(ray.valid, planar.valid)  # of what the model said, not of the longer rays
    back = ray.to_planar()
    np.testing.assert_allclose(back.depth, planar.depth, rtol=1e-6)
    assert back.geometry == "planar"
    np.testing.assert_array_equal(metric().to_ray(camera).depth, ray.depth)
    np.testing.assert_array_equal(ray.to_ray().depth, ray.depth)


def test_conversions_that_make_no_sense() -> None:
    with pytest.raises(OptionError, match="give one"):
        metric().to_ray()
    with pytest.raises(OptionError, match="the depth map is 64 x 48"):
        metric().to_ray(Camera.assume(64, 49))
    with pytest.raises(DepthKindError, match="align"):
        DepthPrediction(np.ones((48, 64)), "relative", camera=Camera.assume(64, 48)).to_planar()
    with pytest.raises(InputError, match="picture of 48 x 64 pixels, the depth map is 64 x 48"):
        metric(Camera.assume(48, 64))


def test_focal_correction_scales_with_the_lens() -> None:
    told = Provenance(checkpoint="x", network_size=(518, 686))
    camera = Camera.from_pixels(64, 48, 64)
    corrected = metric(camera, provenance=told).with_focal_correction(598.1)
    factor = 64 * (686 / 64) / 598.1
    np.testing.assert_allclose(corrected.depth, metric().depth * factor, rtol=1e-6)
    assert corrected.max_depth_m == pytest.approx(20 * factor)
    np.testing.assert_array_equal(corrected.valid, metric().valid)
    assert "focal correction: depth x 1.1470 (686.0 px at the network's input" in corrected.provenance.notes[0]
    trained = Camera.from_pixels(1024, 768, 886.81)  # Hypersim's own pictures stay as they are
    own = DepthPrediction(np.ones((768, 1024)), "metric", camera=trained)
    own = own.replace(provenance=Provenance(network_size=(518, 690)))
    assert own.with_focal_correction(598.1).depth[0, 0] == pytest.approx(1, abs=2e-3)
    with pytest.raises(OptionError, match="needs the camera's focal length"):
        metric(Camera.assume(64, 48), provenance=told).with_focal_correction(598.1)
    with pytest.raises(OptionError, match="needs the camera's focal length"):
        metric(provenance=told).with_focal_correction(598.1)
    with pytest.raises(DepthKindError):
        DepthPrediction(np.ones((48, 64)), "relative", camera=camera).with_focal_correction(598.1)


def test_a_scale_is_not_corrected_twice() -> None:
    told = Provenance(checkpoint="x", network_size=(518, 686))
    corrected = metric(Camera.from_pixels(64, 48, 64), provenance=told).with_focal_correction(598.1)
    with pytest.raises(OptionError, match=r"set before \(focal correction: depth x 1\.1470"):
        corrected.with_focal_correction(598.1)
    aligned = align(metric(Camera.from_pixels(64, 48, 64), provenance=told), [(1, 1, 3.0), (40, 40, 5.0)])
    with pytest.raises(OptionError, match=r"set before \(aligned by 2 of 2 points"):
        aligned.with_focal_correction(598.1)
