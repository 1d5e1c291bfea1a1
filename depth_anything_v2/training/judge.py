"""How good the network is on held-out samples, and pictures of some of them."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from depth_anything_v2.datasets.sample import Sample
from depth_anything_v2.errors import DepthKindError, InputError
from depth_anything_v2.estimator import DepthEstimator
from depth_anything_v2.evaluation.benchmark import Benchmark
from depth_anything_v2.evaluation.scoring import score_depth
from depth_anything_v2.io.colormaps import colorize
from depth_anything_v2.prediction import DepthPrediction
from depth_anything_v2.training.sources import Opened

Picture = npt.NDArray[np.uint8]
_HEIGHT = 160  # pixels of one picture on the sheet
_LOOKED_AT = 4  # held-out samples that are read before training begins
_UNKNOWN = 96  # grey, where the truth is not known


class HeldOut:
    """The samples to judge by: `limit` of each source, evenly spread (0: all)."""

    def __init__(self, sources: Sequence[Opened], limit: int) -> None:
        self._items = [(source, place) for source in sources for place in _spread(len(source.dataset), limit)]

    def __len__(self) -> int:
        return len(self._items)

    def read(self, index: int) -> Sample:
        """Return one sample. Raises InputError."""
        opened, number = self._items[index]
        return opened.dataset[number]

    def spread(self, count: int) -> list[int]:
        """Return so many indices, evenly spread."""
        return _spread(len(self), count)


def _spread(length: int, count: int) -> list[int]:
    """Return so many of `length` places, evenly spread; all for 0."""
    if not count or count >= length:
        return list(range(length))
    return [round(float(place)) for place in np.linspace(0, length - 1, count)]


def score(
    estimator: DepthEstimator, samples: HeldOut, benchmark: Benchmark, index: int, step: int
) -> list[dict[str, float]]:
    """Return the metrics of every `step`-th sample from `index`; one that says nothing or cannot be read is left out.

    Raises DepthKindError for a sample of a kind that cannot be judged.
    """
    rows = []
    for number in range(index, len(samples), step):
        try:
            sample = samples.read(number)
            rows.append(score_depth(estimator(sample.image), sample, benchmark)[0])
        except InputError:
            continue
    return rows


def mean_scores(rows: Sequence[dict[str, float]]) -> dict[str, float]:
    """Return the mean of each metric over images. Raises InputError when nothing could be scored."""
    if not rows:
        raise InputError(
            "no held-out sample could be scored: none can be read, none has valid pixels, or the network's answer is "
            "not finite"
        )
    return {name: float(np.nanmean([row[name] for row in rows])) for name in rows[0]}


def check_kind(samples: HeldOut, benchmark: Benchmark, metric: str, kind: str) -> None:
    """Raise DepthKindError, before training, where held-out samples cannot be judged so."""
    if metric not in benchmark.metrics:
        raise DepthKindError(f"validation.metric = '{metric}' is not of this task: {', '.join(benchmark.metrics)}")
    for number in samples.spread(_LOOKED_AT) if kind == "metric" else []:
        with contextlib.suppress(InputError):
            if samples.read(number).kind != "metric":
                raise DepthKindError("data.val holds relative depth, and a metric network is judged in metres")


def sheet(estimator: DepthEstimator, samples: HeldOut, count: int) -> Picture | None:
    """Return rows of picture, truth and prediction, None where there is nothing to show."""
    rows = []
    for number in samples.spread(count) if count else []:
        try:
            sample = samples.read(number)
            rows.append(_row(sample, estimator(sample.image)))
        except InputError:
            continue
    if not rows:
        return None
    width = max(row.shape[1] for row in rows)
    return np.concatenate([np.pad(row, ((0, 4), (0, width - row.shape[1]), (0, 0))) for row in rows])


def _row(sample: Sample, prediction: DepthPrediction) -> Picture:
    """Return three pictures side by side; metres share one range, relative depth has each its own."""
    truth, known = np.asarray(sample.depth), sample.valid
    if sample.kind == "metric" and prediction.kind == "relative":
        truth = np.where(known, 1 / np.where(known, truth, 1), 0).astype(np.float32)
    shown: Any = truth[known] if known.any() else truth
    low, high = (float(value) for value in np.percentile(shown, (1, 99)))
    limits = (low, max(high, low + 1e-6))
    own = limits if prediction.kind == "metric" else None
    true = colorize(DepthPrediction(truth, prediction.kind), value_range=limits)
    true[~known] = _UNKNOWN
    pictures = (sample.image, true, colorize(prediction, value_range=own))
    return np.concatenate([_fitted(picture) for picture in pictures], axis=1)


def _fitted(picture: Picture) -> Picture:
    width = max(1, round(picture.shape[1] * _HEIGHT / picture.shape[0]))
    small = cv2.resize(picture, (width, _HEIGHT), interpolation=cv2.INTER_AREA)
    return np.pad(small, ((0, 0), (0, 4), (0, 0)))
