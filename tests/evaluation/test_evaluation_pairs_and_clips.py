"""Pairs of points (DA-2K), and clips with a moving camera."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from depth_anything_v2 import DepthPrediction
from depth_anything_v2.camera import Camera
from depth_anything_v2.datasets.da2k import PointPair
from depth_anything_v2.errors import InputError
from depth_anything_v2.evaluation import evaluate, load_benchmark
from depth_anything_v2.evaluation.pairs import score_pairs
from depth_anything_v2.evaluation.rendered import RenderedClips
from depth_anything_v2.evaluation.temporal import score_clip, temporal_alignment_error


@dataclasses.dataclass(frozen=True)
class Pairs:
    image: np.ndarray
    pairs: tuple[PointPair, ...]
    scene: str = "indoor"
    name: str = "a.jpg"


def pairs_of(*ends: tuple[tuple[int, int], tuple[int, int], int], **fields) -> Pairs:
    return Pairs(np.zeros((4, 6, 3), np.uint8), tuple(PointPair(*end) for end in ends), **fields)


def test_pairs_by_kind_of_depth() -> None:
    """Columns rise from 0 to 5: to the right is nearer in inverse depth, farther in metres."""
    ramp = np.arange(6, dtype=np.float32)[None].repeat(4, 0)
    sample = pairs_of(((0, 0), (0, 5), 2), ((1, 4), (3, 1), 1), ((2, 0), (2, 3), 1), ((0, 2), (3, 2), 1))
    relative = score_pairs(DepthPrediction(ramp, "relative"), sample)
    assert (relative.right, relative.ties, relative.accuracy) == ((True, True, False, False), 1, 0.5)
    metric = score_pairs(DepthPrediction(ramp, "metric"), sample)
    assert (metric.right, metric.ties) == ((False, False, True, False), 1)
    unknown = score_pairs(DepthPrediction(np.full((4, 6), np.nan), "relative"), sample)
    assert (unknown.accuracy, unknown.ties) == (0, 4)


def test_pairs_that_do_not_fit_the_picture() -> None:
    flat = DepthPrediction(np.ones((4, 6)), "relative")
    with pytest.raises(InputError, match=r"row 4, column 0, outside the 6 x 4"):
        score_pairs(flat, pairs_of(((4, 0), (0, 0), 1)))
    with pytest.raises(InputError, match="must have the picture's size"):
        score_pairs(DepthPrediction(np.ones((2, 3)), "relative"), pairs_of(((0, 0), (0, 1), 1)))


def test_accuracy_is_over_pairs_and_by_kind_of_scene() -> None:
    one = pairs_of(((0, 0), (0, 5), 2), name="indoor/a.jpg")
    three = pairs_of(*(((row, 0), (row, 5), 1) for row in range(3)), scene="aerial", name="aerial/b.jpg")

    def model(image: np.ndarray) -> DepthPrediction:
        return DepthPrediction(np.arange(6, dtype=np.float32)[None].repeat(4, 0), "relative")

    from depth_anything_v2.evaluation import build_report

    report = build_report([evaluate(model, [one, three], load_benchmark("da2k"))])["models"][0]
    assert report["estimates"]["accuracy"]["mean"] == 0.25
    assert (report["pairs"], report["ties"], report["alignment"]) == (4, 0, None)
    assert report["groups"] == []  # one picture of each kind: no table of kinds
    twice = [one, three, dataclasses.replace(one, name="indoor/c.jpg")]
    groups = build_report([evaluate(model, twice, load_benchmark("da2k"))])["models"][0]["groups"]
    assert {g["name"]: g["estimates"]["accuracy"]["mean"] for g in groups} == {"aerial": 0.0, "indoor": 1.0}


def clip_of_a_wall(count: int = 4, step_m: float = 0.25) -> tuple[list[np.ndarray], np.ndarray, Camera]:
    """A wall, facing the camera, that comes nearer by `step_m` a frame."""
    poses = np.repeat(np.eye(4)[None], count, 0)
    poses[:, 2, 3] = step_m * np.arange(count)
    return [np.full((12, 16), 5 - step_m * n) for n in range(count)], poses, Camera.from_pixels(16, 12, 20.0)


def test_temporal_error_follows_the_camera() -> None:
    truths, poses, camera = clip_of_a_wall()
    assert temporal_alignment_error(truths, truths, poses, camera) == pytest.approx(0, abs=1e-12)
    # Depth that stays while the camera moves is wrong by the step, though no pixel changes.
    still = [truths[0]] * len(truths)
    assert temporal_alignment_error(still, truths, poses, camera) == pytest.approx(0.05, rel=1e-3)
    flicker = [truth * factor for truth, factor in zip(truths, (1.0, 1.1, 1.0, 1.1), strict=True)]
    assert temporal_alignment_error(flicker, truths, poses, camera) == pytest.approx(0.1, rel=0.1)


def test_what_comes_into_view_is_no_error() -> None:
    """A box before the wall hides other parts of it in each frame; the truth has no error there."""
    poses = np.repeat(np.eye(4)[None], 2, 0)
    poses[1, 0, 3] = 0.5
    camera = Camera.from_pixels(40, 30, 40.0)
    first, second = np.full((30, 40), 10.0), np.full((30, 40), 10.0)
    first[10:20, 15:25] = 2
    second[10:20, 5:15] = 2  # 0.5 m to the side of something 2 m away is 10 pixels
    assert temporal_alignment_error([first, second], [first, second], poses, camera) == pytest.approx(0, abs=1e-12)


@pytest.fixture(scope="module")
def clips() -> RenderedClips:
    return RenderedClips(count=2, frames=3, height=64, width=96)


def test_rendered_clips_are_geometry_that_agrees_with_itself(clips) -> None:
    clip = clips[1]
    assert clip.poses.shape == (3, 4, 4)
    assert np.ptp(clip.poses[:, :3, 3], axis=0).max() > 0.01
    again = clips[1]
    assert all(np.array_equal(a.image, b.image) for a, b in zip(clip.frames, again.frames, strict=True))
    truth = [DepthPrediction(np.where(f.valid, 1 / np.where(f.valid, f.depth, 1), 0), "relative") for f in clip.frames]
    benchmark = dataclasses.replace(load_benchmark("rendered-clips"), alignment="scale-shift-inverse")
    scores, _ = score_clip(truth, clip, benchmark)
    assert scores["abs_rel"] < 1e-4
    assert scores["tae"] == pytest.approx(scores["tae_truth"], abs=1e-3)
    assert scores["tae_truth"] < 0.02
    unsteady = [p.replace(depth=p.depth * factor) for p, factor in zip(truth, (1, 1.3, 1), strict=True)]
    assert score_clip(unsteady, clip, benchmark)[0]["tae"] > 0.1


def test_a_clip_of_one_frame(clips) -> None:
    clip = clips[0]
    short = dataclasses.replace(clip, frames=clip.frames[:1])
    with pytest.raises(InputError, match="fewer than two frames"):
        score_clip([], short, load_benchmark("rendered-clips"))
