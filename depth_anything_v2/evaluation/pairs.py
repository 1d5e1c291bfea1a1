"""Which of two points is nearer: the scorer of DA-2K (Depth Anything V2, Yang et al. 2024, section 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from depth_anything_v2.errors import InputError
from depth_anything_v2.prediction import DepthPrediction

Point = tuple[int, int]


class PointPair(Protocol):
    """Two points (row, column) and which of them is nearer."""

    @property
    def point1(self) -> Point: ...
    @property
    def point2(self) -> Point: ...
    @property
    def closer(self) -> int: ...


class PairsOfOneImage(Protocol):
    """A picture with its pairs: the fields of `datasets.da2k.PairSample` that evaluation reads."""

    @property
    def image(self) -> npt.NDArray[np.uint8]: ...
    @property
    def pairs(self) -> Sequence[PointPair]: ...
    @property
    def scene(self) -> str: ...
    @property
    def name(self) -> str: ...


@dataclass(frozen=True)
class PairScore:
    """right: for each pair, whether the nearer point was found; ties: how many were undecided (they count as wrong)."""

    right: tuple[bool, ...]
    ties: int

    @property
    def accuracy(self) -> float:
        return float(np.mean(self.right))


def score_pairs(prediction: DepthPrediction, sample: PairsOfOneImage) -> PairScore:
    """Return which pairs a prediction orders right.

    The values at the two pixels are compared as they are, without interpolation: the nearer point must have the
    larger inverse depth (relative) or the smaller depth (metric). Equal values, or one that is not a number,
    decide nothing and count as wrong.

    Raises InputError for a prediction of another size than the picture, or a point outside it.
    """
    height, width = sample.image.shape[:2]
    if prediction.depth.shape != (height, width):
        raise InputError(
            f"the model answered {prediction.width} x {prediction.height} for '{sample.name}', a picture of "
            f"{width} x {height}: a prediction must have the picture's size, resize it in the model"
        )
    nearness = prediction.depth if prediction.kind == "relative" else -prediction.depth
    right, ties = [], 0
    for pair in sample.pairs:
        for row, column in (pair.point1, pair.point2):
            if not (0 <= row < height and 0 <= column < width):
                raise InputError(
                    f"'{sample.name}' has a point at row {row}, column {column}, outside the {width} x {height} pixels"
                )
        closer, farther = (pair.point1, pair.point2) if pair.closer == 1 else (pair.point2, pair.point1)
        near, far = float(nearness[closer]), float(nearness[farther])
        right.append(near > far)
        ties += not (near > far or near < far)
    return PairScore(tuple(right), ties)
