"""Pictures of the worst samples: photograph, truth, prediction and error, small."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from depth_anything_v2.errors import DepthAnythingError
from depth_anything_v2.evaluation.benchmark import Alignment, Benchmark
from depth_anything_v2.evaluation.evaluator import Evaluation, Model
from depth_anything_v2.evaluation.pairs import score_pairs
from depth_anything_v2.evaluation.records import Record
from depth_anything_v2.evaluation.scoring import (
    DepthSample,
    Fit,
    choose_alignment,
    counted,
    fit,
    fitting_values,
    true_depth,
)
from depth_anything_v2.evaluation.statistics import HIGHER_IS_BETTER
from depth_anything_v2.evaluation.temporal import score_clip
from depth_anything_v2.io.colormaps import colorize
from depth_anything_v2.prediction import DepthPrediction

Picture = npt.NDArray[np.uint8]

WIDTH = 320  # pixels of a picture in the report
WORST_ERROR = 0.5  # relative error that has the last colour
UNKNOWN = 96  # grey, where the truth is not known or does not count
RIGHT, WRONG = (40, 200, 80), (240, 60, 60)
GAP = 8


@dataclass(frozen=True)
class Panel:
    """A record and its pictures: (caption, (h, w, 3) uint8 RGB), all of one height."""

    record: Record
    pictures: tuple[tuple[str, Picture], ...]

    def row(self) -> Picture:
        """Return the pictures side by side on white."""
        height = max(picture.shape[0] for _, picture in self.pictures)
        columns: list[Picture] = []
        for _, picture in self.pictures:
            padded = np.full((height, picture.shape[1] + GAP, 3), 255, np.uint8)
            padded[: picture.shape[0], : picture.shape[1]] = picture
            columns.append(padded)
        return np.concatenate(columns, axis=1)[:, :-GAP]


def worst_records(evaluation: Evaluation, count: int) -> list[Record]:
    """Return the records that are worst in the benchmark's first metric, the worst first."""
    metric = evaluation.benchmark.metrics[0]
    scored = [r for r in evaluation.records if r.status == "scored" and np.isfinite(r.metrics.get(metric, np.nan))]
    sign = 1 if metric in HIGHER_IS_BETTER else -1
    return sorted(scored, key=lambda record: sign * record.metrics[metric])[:count]


def worst_panels(model: Model, samples: Sequence[Any], evaluation: Evaluation, count: int = 8) -> list[Panel]:
    """Predict the worst samples once more and draw them; one that cannot be read any more is left out."""
    draw: dict[str, Callable[[Model, Any, Benchmark, Alignment | None], list[tuple[str, Picture]]]] = {
        "depth": _draw_depth,
        "pairs": _draw_pairs,
        "video": _draw_clip,
    }
    panels = []
    for record in worst_records(evaluation, count):
        try:
            pictures = draw[evaluation.benchmark.task](
                model, samples[record.index], evaluation.benchmark, evaluation.alignment_asked
            )
        except (DepthAnythingError, OSError, ValueError, RuntimeError):
            continue
        panels.append(Panel(record, tuple(pictures)))
    return panels


def _draw_depth(
    model: Model, sample: DepthSample, benchmark: Benchmark, asked: Alignment | None
) -> list[tuple[str, Picture]]:
    prediction = model(sample.image)
    mask, truth = counted(sample, benchmark), true_depth(sample)
    alignment = choose_alignment(benchmark, prediction.kind, asked)
    fitted = fit(fitting_values(prediction, sample)[mask], truth[mask], prediction.kind, alignment, benchmark)
    return _maps(sample, prediction, mask, fitted)


def _draw_clip(model: Model, clip: Any, benchmark: Benchmark, asked: Alignment | None) -> list[tuple[str, Picture]]:
    """Show the middle frame, under the fit of the whole clip."""
    predictions = [model(frame.image) for frame in clip.frames]
    _, fitted = score_clip(predictions, clip, benchmark, asked)
    middle = len(predictions) // 2
    frame = clip.frames[middle]
    return _maps(frame, predictions[middle], counted(frame, benchmark), fitted)


def _maps(
    sample: DepthSample, prediction: DepthPrediction, mask: npt.NDArray[np.bool_], fitted: Fit
) -> list[tuple[str, Picture]]:
    truth = true_depth(sample)
    depth = fitted.apply(fitting_values(prediction, sample), prediction.kind)
    near = np.quantile(1 / truth[mask], [0.02, 0.98])
    span = (float(near[0]), float(max(near[1], near[0] * 1.01)))
    known = np.where(mask, truth, 1)
    everywhere = np.ones_like(mask)
    return [
        ("picture", _small(np.asarray(sample.image, np.uint8))),
        ("truth", _small_map(1 / known, mask, "spectral", span)),
        ("prediction, aligned", _small_map(1 / depth, everywhere, "spectral", span)),
        ("relative error", _small_map(np.abs(depth - known) / known, mask, "magma", (0.0, WORST_ERROR))),
    ]


def _small_map(
    values: npt.NDArray[np.float64], mask: npt.NDArray[np.bool_], colormap: str, span: tuple[float, float]
) -> Picture:
    """Draw a map at the report's width; a pixel there is the mean of what is known below it, sparse LiDAR included."""
    import cv2

    size = _small_size(values.shape)
    shrink = cv2.INTER_AREA if values.shape[1] >= WIDTH else cv2.INTER_NEAREST
    total = cv2.resize(np.where(mask, values, 0), size, interpolation=shrink)
    share = cv2.resize(mask.astype(np.float64), size, interpolation=shrink)
    mean = (total / np.maximum(share, 1e-12)).astype(np.float32)
    picture = colorize(DepthPrediction(mean, "relative"), colormap, span)
    picture[share < 1e-9] = UNKNOWN
    return picture


def _draw_pairs(
    model: Model, sample: Any, _benchmark: Benchmark, _asked: Alignment | None
) -> list[tuple[str, Picture]]:
    """Draw the nearer point full and the farther one as a ring; green where the model agrees."""
    import cv2

    prediction = model(sample.image)
    pictures = []
    right = score_pairs(prediction, sample).right
    for name, picture in (("picture", np.array(sample.image, np.uint8)), ("prediction", colorize(prediction))):
        small = _small(picture)
        scale = small.shape[1] / picture.shape[1]
        for pair, good in zip(sample.pairs, right, strict=True):
            ends = [(round(column * scale), round(row * scale)) for row, column in (pair.point1, pair.point2)]
            nearer, farther = ends if pair.closer == 1 else ends[::-1]
            colour = RIGHT if good else WRONG
            cv2.line(small, nearer, farther, colour, 1, cv2.LINE_AA)
            for centre, filled in ((nearer, -1), (farther, 2)):
                cv2.circle(small, centre, 6, (255, 255, 255), -1, cv2.LINE_AA)
                cv2.circle(small, centre, 5, colour, filled, cv2.LINE_AA)
        pictures.append((name, small))
    return pictures


def _small(picture: Picture) -> Picture:
    import cv2

    shrink = cv2.INTER_AREA if picture.shape[1] >= WIDTH else cv2.INTER_NEAREST
    return np.ascontiguousarray(cv2.resize(picture, _small_size(picture.shape), interpolation=shrink), dtype=np.uint8)


def _small_size(shape: tuple[int, ...]) -> tuple[int, int]:
    return WIDTH, max(1, round(shape[0] * WIDTH / shape[1]))
