"""One prediction against one truth: which pixels count, how it is aligned, and the metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from depth_anything_v2 import metrics
from depth_anything_v2.alignment import fit_scale_shift
from depth_anything_v2.camera import Camera
from depth_anything_v2.config import Geometry, Kind
from depth_anything_v2.errors import DepthKindError, InputError
from depth_anything_v2.evaluation.benchmark import Alignment, Benchmark
from depth_anything_v2.prediction import DepthPrediction
from depth_anything_v2.util.transform import resize_depth

FloatArray = npt.NDArray[np.float64]

_POINTWISE: dict[str, Callable[[FloatArray, FloatArray], float]] = {
    "abs_rel": metrics.abs_rel,
    "delta1": metrics.delta,
    "delta2": lambda depth, truth: metrics.delta(depth, truth, 2),
    "delta3": lambda depth, truth: metrics.delta(depth, truth, 3),
    "sq_rel": metrics.sq_rel,
    "rmse": metrics.rmse,
    "rmse_log": metrics.rmse_log,
    "log10": metrics.log10,
    "silog": metrics.silog,
}


class DepthSample(Protocol):
    """What is scored against: the fields of `datasets.sample.Sample` that evaluation reads."""

    @property
    def image(self) -> npt.NDArray[np.uint8]: ...
    @property
    def depth(self) -> npt.NDArray[np.float32]: ...
    @property
    def valid(self) -> npt.NDArray[np.bool_]: ...
    @property
    def kind(self) -> Kind: ...
    @property
    def geometry(self) -> Geometry: ...
    @property
    def camera(self) -> Camera | None: ...
    @property
    def sky(self) -> npt.NDArray[np.bool_] | None: ...
    @property
    def scene(self) -> str: ...
    @property
    def name(self) -> str: ...


class SkippedSampleError(InputError):
    """A sample that says nothing: too few valid pixels."""


@dataclass(frozen=True)
class Fit:
    """How a prediction became depth in the truth's unit: clip(scale * x + shift) with x the numbers that were fitted.

    inverse: x is inverse depth (that of a relative prediction, or one over a metric one), and the result is
    inverted; else x is depth. low, high: what the depth is kept within. upside_down: the best scale was
    negative, so the constant that fits best stands instead.
    """

    alignment: Alignment
    scale: float
    shift: float
    inverse: bool
    low: float
    high: float
    upside_down: bool = False

    def apply(self, values: npt.NDArray[Any], kind: Kind) -> FloatArray:
        """Return depth, of the shape of `values`, which are a prediction's own numbers."""
        x = _numbers(values, kind, self.inverse)
        fitted = self.scale * x + self.shift
        if self.inverse:
            with np.errstate(divide="ignore"):
                return np.asarray(1 / np.clip(fitted, 1 / self.high, 1 / self.low), dtype=np.float64)
        return np.clip(fitted, self.low, self.high)


def _numbers(values: npt.NDArray[Any], kind: Kind, inverse: bool) -> FloatArray:
    x = np.asarray(values, dtype=np.float64)
    if kind == "metric" and inverse:
        return np.asarray(1 / np.maximum(x, 1e-6), dtype=np.float64)
    return x


def choose_alignment(benchmark: Benchmark, kind: Kind, asked: Alignment | None) -> Alignment:
    """Return the alignment: the one asked for, else the benchmark's for relative depth and none for metric depth.

    Raises DepthKindError for one that relative depth does not allow.
    """
    chosen: Alignment = asked or (benchmark.alignment if kind == "relative" else "none")
    if kind == "relative" and chosen in ("none", "scale-shift-depth"):
        raise DepthKindError(
            f"the alignment '{chosen}' needs metric depth and the model is relative (inverse depth up to scale and "
            "shift): take scale-shift-inverse"
        )
    return chosen


def fit(values: npt.NDArray[Any], truth: FloatArray, kind: Kind, alignment: Alignment, benchmark: Benchmark) -> Fit:
    """Return the fit of a prediction's numbers to true depth, both 1-D (the pixels that count), truth positive."""
    low, high = benchmark.min_depth_m, benchmark.max_depth_m or float("inf")
    if benchmark.limits == "scene" and alignment != "none":
        low, high = 0.5 * float(truth.min()), 2 * float(truth.max())
    inverse = alignment == "scale-shift-inverse" or (kind == "relative" and alignment != "scale-shift-depth")
    x = _numbers(values, kind, inverse)
    target = 1 / truth if inverse else truth
    shift = 0.0
    if alignment == "none":
        scale = 1.0
    elif alignment == "median":
        middle = float(np.median(x))
        scale = float(np.median(target)) / middle if middle > 0 else -1.0
    elif alignment == "scale":
        square = float(x @ x)
        scale = float(x @ target) / square if square > 0 else -1.0
    else:
        scale, shift = fit_scale_shift(x, target)
    if scale < 0:
        return Fit(alignment, 0.0, float(target.mean()), inverse, low, high, upside_down=True)
    return Fit(alignment, scale, shift, inverse, low, high)


def true_depth(sample: DepthSample) -> npt.NDArray[np.float64]:
    """Return the truth as depth (h, w): inverse depth inverted, +inf where it is infinitely far, NaN where unknown."""
    depth = np.asarray(sample.depth, dtype=np.float64)
    known = np.asarray(sample.valid, dtype=bool) & (depth > 0)
    if sample.kind == "relative":
        return np.where(known, 1 / np.where(known, depth, 1), np.nan)
    truth = np.where(known, depth, np.nan)
    if sample.sky is not None:
        truth[sample.sky] = np.inf
    return truth


def counted(sample: DepthSample, benchmark: Benchmark) -> npt.NDArray[np.bool_]:
    """Return (h, w) bool: the pixels of the truth that count. Raises SkippedSampleError when they are too few."""
    truth = true_depth(sample)
    mask = np.isfinite(truth)
    if sample.kind == "metric":
        with np.errstate(invalid="ignore"):
            mask &= (truth >= benchmark.min_depth_m) & (truth <= (benchmark.max_depth_m or np.inf))
    if benchmark.crop is not None:
        mask &= benchmark.crop.mask(*truth.shape)
    if int(mask.sum()) < benchmark.min_valid:
        raise SkippedSampleError(
            f"'{sample.name}' has {int(mask.sum())} pixels that count, fewer than {benchmark.min_valid}"
        )
    return mask


def fitting_values(prediction: DepthPrediction, sample: DepthSample) -> npt.NDArray[np.float32]:
    """Return the prediction's numbers at the size of the truth.

    Resized bilinearly with the corners kept in place where the truth has another size than the picture. A metric
    distance along the ray becomes planar with the sample's camera where the truth is planar, and the reverse.

    Raises InputError when the prediction is not of the picture's size or not finite.
    """
    height, width = sample.image.shape[:2]
    if prediction.depth.shape != (height, width):
        raise InputError(
            f"the model answered {prediction.width} x {prediction.height} for '{sample.name}', a picture of "
            f"{width} x {height}: a prediction must have the picture's size, resize it in the model"
        )
    if not np.isfinite(prediction.depth).all():
        missing = int((~np.isfinite(prediction.depth)).sum())
        raise InputError(f"the model's answer for '{sample.name}' has {missing} pixels that are not finite numbers")
    if prediction.kind == "metric" and prediction.geometry != sample.geometry:
        camera = prediction.camera or sample.camera
        if camera is not None and (camera.height, camera.width) != (height, width):
            camera = camera.resized(width, height)
        convert = prediction.to_planar if sample.geometry == "planar" else prediction.to_ray
        prediction = convert(camera)
    return resize_depth(prediction.depth, *sample.depth.shape)


def score_depth(
    prediction: DepthPrediction, sample: DepthSample, benchmark: Benchmark, asked: Alignment | None = None
) -> tuple[dict[str, float], Fit]:
    """Return {metric: value} of one image, for the benchmark's metrics, and the fit they were computed after.

    order and boundary F1 do not depend on the unit; 'order' is of the prediction's own numbers. Raises
    SkippedSampleError (too few pixels), InputError (`fitting_values`), DepthKindError (alignment).
    """
    mask = counted(sample, benchmark)
    alignment = choose_alignment(benchmark, prediction.kind, asked)
    if alignment == "none" and sample.kind == "relative":
        raise DepthKindError(f"'{sample.name}' has no metres to compare with: take the alignment scale-shift-inverse")
    values, truth = fitting_values(prediction, sample), true_depth(sample)
    chosen, true = values[mask], truth[mask]
    fitted = fit(chosen, true, prediction.kind, alignment, benchmark)
    depth = fitted.apply(chosen, prediction.kind)
    scores: dict[str, float] = {}
    for metric in benchmark.metrics:
        if metric == "order":
            scores[metric] = metrics.pair_order(_numbers(chosen, prediction.kind, True), 1 / true)
        elif metric == "boundary_f1":
            seen = np.where(mask | np.isposinf(truth), truth, np.nan)
            scores[metric] = metrics.boundary_f1(fitted.apply(values, prediction.kind), seen)
        else:
            scores[metric] = _POINTWISE[metric](depth, true)
    return scores, fitted
