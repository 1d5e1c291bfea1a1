"""How much depth changes from frame to frame where the camera's motion is known.

Temporal alignment error of Video Depth Anything (Chen et al. 2025): the points of one frame are moved into the next by
the known motion, and their depth there is compared with what was predicted there; both ways, mean over neighbours.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
import numpy.typing as npt

from depth_anything_v2 import metrics
from depth_anything_v2.camera import Camera
from depth_anything_v2.errors import InputError
from depth_anything_v2.evaluation.benchmark import Alignment, Benchmark
from depth_anything_v2.evaluation.scoring import (
    DepthSample,
    Fit,
    choose_alignment,
    counted,
    fit,
    fitting_values,
    true_depth,
)
from depth_anything_v2.prediction import DepthPrediction

FloatArray = npt.NDArray[np.float64]
SAME_SURFACE = 0.02  # of the depth: beyond, the true point is hidden in the other frame


class ClipSample(Protocol):
    """Frames of one camera that moves through a still scene."""

    @property
    def frames(self) -> Sequence[DepthSample]: ...
    @property
    def poses(self) -> FloatArray:
        """(N, 4, 4): camera to world."""

    @property
    def camera(self) -> Camera: ...
    @property
    def scene(self) -> str: ...
    @property
    def name(self) -> str: ...


def moved(
    depth: FloatArray, camera: Camera, motion: FloatArray
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], FloatArray, npt.NDArray[np.bool_]]:
    """Return (row, column, depth, inside) of each pixel's point in another frame, all (H, W).

    depth: (H, W) planar; motion: (4, 4) from this camera to the other. Rows and columns are those of the nearest
    pixel, 0 where the point falls outside the picture or behind the camera (inside is False there).
    """
    finite = np.isfinite(depth) & (depth > 0)
    points = camera.rays() * np.where(finite, depth, 1.0)[..., None]
    there = points @ motion[:3, :3].T + motion[:3, 3]
    z = there[..., 2]
    front = finite & (z > 1e-6)
    safe = np.where(front, z, 1.0)
    u = np.rint(camera.fx * there[..., 0] / safe + camera.cx)
    v = np.rint(camera.fy * there[..., 1] / safe + camera.cy)
    inside = front & (u >= 0) & (u < camera.width) & (v >= 0) & (v < camera.height)
    row, column = (np.where(inside, axis, 0).astype(np.intp) for axis in (v, u))
    return row, column, z, inside


def temporal_alignment_error(
    depths: Sequence[FloatArray], truths: Sequence[FloatArray], poses: FloatArray, camera: Camera
) -> float:
    """Return the mean relative difference between depth moved into the neighbouring frame and depth predicted there.

    depths: N maps (H, W), planar, in the unit of the poses; truths: N maps, NaN or infinite where unknown;
    poses: (N, 4, 4) camera to world. Only pixels whose true point is seen in both frames count (its true depth
    there agrees within 2 %), so that what comes into view is no error. NaN when there is no such pixel.
    The truth itself has an error of up to 1 % here, because points fall between pixels.
    """
    errors = []
    for first in range(len(depths) - 1):
        for here, there in ((first, first + 1), (first + 1, first)):
            motion = np.linalg.inv(poses[there]) @ poses[here]
            row, column, z, seen = moved(truths[here], camera, motion)
            with np.errstate(invalid="ignore"):
                seen &= np.abs(truths[there][row, column] - z) <= SAME_SURFACE * z
            row, column, z, inside = moved(depths[here], camera, motion)
            landed = depths[there][row, column]
            use = seen & inside & np.isfinite(truths[there][row, column]) & np.isfinite(landed)
            if use.any():
                errors.append(metrics.abs_rel(z[use], landed[use]))
    return float(np.mean(errors)) if errors else float("nan")


def score_clip(
    predictions: Sequence[DepthPrediction], clip: ClipSample, benchmark: Benchmark, asked: Alignment | None = None
) -> tuple[dict[str, float], Fit]:
    """Return {metric: value} of a clip and its fit: one scale and shift for all frames, not one for each.

    Metrics: 'tae' (`temporal_alignment_error`), 'tae_truth' (the same of the truth: the floor), 'abs_rel',
    'delta1' (all pixels of the clip). Raises as `scoring.score_depth`, InputError for a clip of one frame.
    """
    if len(clip.frames) < 2:
        raise InputError(f"the clip '{clip.name}' has fewer than two frames")
    kind = predictions[0].kind
    alignment = choose_alignment(benchmark, kind, asked)
    masks = [counted(frame, benchmark) for frame in clip.frames]
    maps = [fitting_values(p, frame) for p, frame in zip(predictions, clip.frames, strict=True)]
    truths = [true_depth(frame) for frame in clip.frames]
    true = np.concatenate([truth[mask] for truth, mask in zip(truths, masks, strict=True)])
    values = np.concatenate([values[mask] for values, mask in zip(maps, masks, strict=True)])
    fitted = fit(values, true, kind, alignment, benchmark)
    depths = [fitted.apply(values, kind) for values in maps]
    seen = [np.where(mask, truth, np.nan) for truth, mask in zip(truths, masks, strict=True)]
    depth = fitted.apply(values, kind)
    scores = {
        "tae": temporal_alignment_error(depths, seen, clip.poses, clip.camera),
        "tae_truth": temporal_alignment_error(seen, seen, clip.poses, clip.camera),
        "abs_rel": metrics.abs_rel(depth, true),
        "delta1": metrics.delta(depth, true),
    }
    return {metric: scores[metric] for metric in benchmark.metrics}, fitted
