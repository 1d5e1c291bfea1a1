"""The formulas, the alignments, and which pixels count."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from evaluation_samples import Knowing, sample, scene_depth

from depth_anything_v2 import DepthPrediction, metrics
from depth_anything_v2.camera import Camera
from depth_anything_v2.errors import DepthKindError, InputError
from depth_anything_v2.evaluation import Benchmark, load_benchmark
from depth_anything_v2.evaluation.benchmark import Crop
from depth_anything_v2.evaluation.scoring import SkippedSampleError, score_depth

POINTWISE = ("abs_rel", "delta1", "delta2", "delta3", "sq_rel", "rmse", "rmse_log", "log10", "silog")
PLAIN = Benchmark("plain", "plain", metrics=POINTWISE, max_depth_m=80.0)

DEPTH = np.array([1.0, 2.2, 2.9, 4.5, 9.0, 16.0, 3.0, 0.5])
TRUTH = np.array([1.1, 2.0, 3.0, 4.0, 6.0, 20.0, 1.5, 0.42])


def scalar_metrics(depth: list[float], truth: list[float]) -> dict[str, float]:
    """The formulas one pixel at a time."""
    n = len(depth)
    pairs = list(zip(depth, truth, strict=True))
    logs = [math.log(d) - math.log(t) for d, t in pairs]
    ratio = [max(d / t, t / d) for d, t in pairs]
    return {
        "abs_rel": sum(abs(d - t) / t for d, t in pairs) / n,
        "delta1": sum(r < 1.25 for r in ratio) / n,
        "delta2": sum(r < 1.25 * 1.25 for r in ratio) / n,
        "delta3": sum(r < 1.25 * 1.25 * 1.25 for r in ratio) / n,
        "sq_rel": sum((d - t) * (d - t) / t for d, t in pairs) / n,
        "rmse": math.sqrt(sum((d - t) * (d - t) for d, t in pairs) / n),
        "rmse_log": math.sqrt(sum(x * x for x in logs) / n),
        "log10": sum(abs(math.log10(d) - math.log10(t)) for d, t in pairs) / n,
        "silog": math.sqrt(sum(x * x for x in logs) / n - 0.5 * (sum(logs) / n) ** 2),
    }


def metric(depth: np.ndarray) -> DepthPrediction:
    return DepthPrediction(depth.astype(np.float32), "metric")


def test_metrics_are_the_formulas() -> None:
    picture = dataclasses.replace(
        sample(0),
        image=np.zeros((2, 4, 3), np.uint8),
        depth=TRUTH.reshape(2, 4).astype(np.float32),
        valid=np.ones((2, 4), bool),
    )
    benchmark = dataclasses.replace(PLAIN, min_valid=1)
    found, fitted = score_depth(metric(DEPTH.reshape(2, 4)), picture, benchmark)
    assert fitted.alignment == "none"
    for name, value in scalar_metrics(DEPTH.tolist(), TRUTH.tolist()).items():
        assert found[name] == pytest.approx(value, abs=1e-6), name


def test_silog_of_a_constant_factor_keeps_half_of_it() -> None:
    assert metrics.silog(2 * TRUTH, TRUTH) == pytest.approx(math.log(2) / math.sqrt(2))


@pytest.mark.parametrize(
    ("alignment", "make"),
    [
        ("none", lambda z: metric(z)),
        ("scale", lambda z: metric(0.3 * z)),
        ("median", lambda z: metric(7 * z)),
        ("scale-shift-depth", lambda z: metric(2 * z + 5)),
        ("scale-shift-inverse", lambda z: metric(1 / (0.2 / z + 0.1))),
        ("scale-shift-inverse", lambda z: DepthPrediction(9 / z - 4, "relative")),
        ("scale", lambda z: DepthPrediction(9 / z, "relative")),
        ("median", lambda z: DepthPrediction(9 / z, "relative")),
    ],
)
def test_each_alignment_takes_out_what_it_says(alignment, make) -> None:
    found, fitted = score_depth(make(scene_depth(3)), sample(3), PLAIN, alignment)
    assert fitted.alignment == alignment
    assert found["rmse"] < 1e-4
    assert found["delta1"] == 1


@pytest.mark.parametrize("alignment", ["scale", "median"])
def test_one_factor_does_not_take_out_a_shift(alignment) -> None:
    found, _ = score_depth(metric(scene_depth(3) + 3), sample(3), PLAIN, alignment)
    assert found["abs_rel"] > 0.02


@pytest.mark.parametrize("alignment", ["none", "scale-shift-depth"])
def test_relative_depth_has_no_metres(alignment) -> None:
    with pytest.raises(DepthKindError, match="take scale-shift-inverse"):
        score_depth(Knowing()(sample(1).image), sample(1), PLAIN, alignment)


def test_upside_down_is_scored_as_the_best_constant() -> None:
    z = scene_depth(2)
    found, fitted = score_depth(DepthPrediction(z, "relative"), sample(2), PLAIN)
    assert fitted.upside_down
    constant = 1 / float(np.mean(1 / z.astype(float)))
    assert found["abs_rel"] == pytest.approx(float(np.mean(np.abs(constant - z) / z)), rel=1e-5)


def test_aligned_depth_is_clipped_where_the_disparity_turns_negative() -> None:
    """One pixel far below zero: without a floor it would be a negative or an endless distance."""
    z = scene_depth(4)
    inverse = 1 / z
    inverse[0, 0] = -5
    capped = dataclasses.replace(PLAIN, max_depth_m=20.0)
    found, fitted = score_depth(DepthPrediction(inverse, "relative"), sample(4), capped)
    assert np.isfinite(list(found.values())).all()
    assert fitted.apply(np.array([-5.0]), "relative")[0] == pytest.approx(20)
    scene = dataclasses.replace(PLAIN, limits="scene", max_depth_m=None)
    _, fitted = score_depth(DepthPrediction(inverse, "relative"), sample(4), scene)
    assert fitted.apply(np.array([-5.0]), "relative")[0] == pytest.approx(2 * z.max(), rel=1e-5)


def test_only_what_counts_is_scored() -> None:
    """Errors outside the crop, beyond the cap and on invalid pixels change nothing."""
    picture = sample(5)
    z = picture.depth.copy()
    valid = np.ones(z.shape, bool)
    valid[3, 4] = False
    z[10, 10] = 200
    picture = dataclasses.replace(picture, depth=z, valid=valid)
    benchmark = dataclasses.replace(PLAIN, crop=Crop((2, 20), (0.0, 32)))
    wrong = z.copy()
    wrong[:2], wrong[20:], wrong[3, 4], wrong[10, 10] = 50, 50, 50, 50
    found, _ = score_depth(metric(wrong), picture, benchmark)
    assert found["rmse"] == 0
    assert score_depth(metric(wrong), picture, PLAIN)[0]["rmse"] > 1


def test_crops_of_eigen_and_garg() -> None:
    eigen, garg = load_benchmark("nyuv2").crop, load_benchmark("kitti").crop
    inside = np.argwhere(eigen.mask(480, 640))
    assert (inside.min(0).tolist(), inside.max(0).tolist()) == ([45, 41], [470, 600])
    inside = np.argwhere(garg.mask(375, 1242))
    assert (inside.min(0).tolist(), inside.max(0).tolist()) == ([153, 44], [370, 1196])


def test_a_truth_of_another_size_than_the_picture() -> None:
    """The prediction, of the picture's size, goes to the truth's: bilinear, corners kept."""
    ramp = np.linspace(2, 9, 32, dtype=np.float32)[None].repeat(24, 0)
    small = sample(0)
    fine = np.linspace(2, 9, 63, dtype=np.float32)[None].repeat(47, 0)
    larger = type("Larger", (), {**vars(small), "depth": fine, "valid": fine > 0})()
    assert score_depth(metric(ramp), larger, PLAIN)[0]["rmse"] < 1e-6


def test_a_ray_distance_becomes_planar() -> None:
    camera = Camera.from_pixels(32, 24, 20.0)
    picture = dataclasses.replace(sample(1), camera=camera)
    ray = camera.planar_to_ray(picture.depth)
    prediction = DepthPrediction(ray, "metric", geometry="ray")
    assert score_depth(prediction, picture, PLAIN)[0]["rmse"] < 1e-5
    assert score_depth(metric(ray), picture, PLAIN)[0]["rmse"] > 0.1


def test_inverse_depth_as_truth() -> None:
    z = scene_depth(7)
    picture = dataclasses.replace(sample(7), depth=1 / z, kind="relative")
    assert score_depth(DepthPrediction(5 / z - 2, "relative"), picture, PLAIN)[0]["rmse"] < 1e-4
    with pytest.raises(DepthKindError, match="no metres"):
        score_depth(metric(z), picture, PLAIN)


def test_wrong_size_holes_and_blind_samples() -> None:
    with pytest.raises(InputError, match=r"answered 16 x 12 .* picture of 32 x 24"):
        score_depth(DepthPrediction(np.ones((12, 16)), "relative"), sample(0), PLAIN)
    holes = scene_depth(0)
    holes[0, :3] = np.nan
    with pytest.raises(InputError, match="3 pixels that are not finite"):
        score_depth(metric(holes), sample(0), PLAIN)
    with pytest.raises(SkippedSampleError, match="0 pixels that count"):
        score_depth(metric(scene_depth(0)), sample(0, valid=np.zeros((24, 32), bool)), PLAIN)


def test_order_and_boundaries_need_no_metres() -> None:
    benchmark = dataclasses.replace(PLAIN, metrics=("order", "boundary_f1"))
    z = scene_depth(6)
    right, _ = score_depth(DepthPrediction(1 / z, "relative"), sample(6), benchmark)
    assert right["order"] == 1
    assert right["boundary_f1"] > 0.8  # below 1 where the truth has no boundary of one ratio and direction
    flat, _ = score_depth(metric(np.full_like(z, 4)), sample(6), benchmark)
    assert flat["boundary_f1"] == 0
    assert flat["order"] < 0.6
