"""Depth metrics. Arrays only; inputs are 1-D (valid pixels) of one picture, but for `boundary_f1`: (H, W)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.floating[Any]]

BOUNDARY_RATIOS = tuple(float(ratio) for ratio in np.linspace(1.05, 1.25, 10))


def abs_rel(depth: Values, truth: Values) -> float:
    """Mean of |depth - truth| / truth; both in metres (or in one unit), positive."""
    return float(np.mean(np.abs(depth - truth) / truth))


def delta(depth: Values, truth: Values, power: int = 1) -> float:
    """Share of pixels with max(depth / truth, truth / depth) < 1.25 ** power."""
    return float(np.mean(np.maximum(depth / truth, truth / depth) < 1.25**power))


def sq_rel(depth: Values, truth: Values) -> float:
    """Mean of (depth - truth) ** 2 / truth; in the unit of both."""
    return float(np.mean((depth - truth) ** 2 / truth))


def rmse(depth: Values, truth: Values) -> float:
    """Root of the mean squared error; in the unit of both."""
    return float(np.sqrt(np.mean((depth - truth) ** 2)))


def rmse_log(depth: Values, truth: Values) -> float:
    """Root of the mean squared difference of natural logarithms; both positive."""
    return float(np.sqrt(np.mean((np.log(depth) - np.log(truth)) ** 2)))


def log10(depth: Values, truth: Values) -> float:
    """Mean absolute difference of decimal logarithms; both positive."""
    return float(np.mean(np.abs(np.log10(depth) - np.log10(truth))))


def silog(depth: Values, truth: Values) -> float:
    """Root of mean(d ** 2) - 0.5 * mean(d) ** 2, d the difference of natural logarithms (Eigen et al. 2014)."""
    difference = np.log(depth) - np.log(truth)
    return float(np.sqrt(np.mean(difference**2) - 0.5 * np.mean(difference) ** 2))


def pair_order(
    inverse_depth: Values, inverse_truth: Values, *, pairs: int = 20_000, apart: float = 1.1, seed: int = 0
) -> float:
    """Share of random pixel pairs, at least a factor `apart` different in truth, whose order is right.

    Larger inverse depth = nearer; a tie in the prediction counts as right only when the first is the
    farther. NaN when fewer than 50 pairs are far enough apart.
    """
    # Of the generators, the one whose numbers are the same in every version of NumPy: a figure must not drift.
    rng = np.random.RandomState(seed)
    i, j = rng.randint(0, inverse_truth.size, (2, pairs))
    first, second = inverse_truth[i], inverse_truth[j]
    chosen = np.maximum(first, second) > apart * np.minimum(first, second)
    if int(chosen.sum()) < 50:
        return float("nan")
    right = (inverse_depth[i] > inverse_depth[j]) == (first > second)
    return float(right[chosen].mean())


def boundary_f1(depth: Values, truth: Values, *, ratios: Sequence[float] = BOUNDARY_RATIOS) -> float:
    """F1 of occlusion boundaries, in [0, 1], averaged over `ratios` with weights in proportion to them.

    depth, truth: (H, W), positive, in one unit or each in its own (only ratios count, so a relative prediction
    is first aligned and inverted); +inf is as far as can be (sky), NaN in either is not known. A boundary at
    ratio t is a pair of pixels next to each other of which one is more than t times as far as the other, and it
    is found when the prediction has the same pair in the same direction. Precision and recall are the means of
    those of the four directions (right, left, below and above farther). 0 where the truth has no boundary.

    Source: Bochkovskii et al., Depth Pro (2024), section 3.3, "scale-invariant boundary F1".
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        logs = np.log(depth.astype(np.float32)), np.log(truth.astype(np.float32))
        steps = [(np.diff(logs[0], axis=axis), np.diff(logs[1], axis=axis)) for axis in (0, 1)]
    unknown = np.isnan(logs[0]) | np.isnan(logs[1])
    pairs_unknown = unknown[1:] | unknown[:-1], unknown[:, 1:] | unknown[:, :-1]
    for (found, real), either in zip(steps, pairs_unknown, strict=True):
        found[either] = real[either] = 0
    scores = [_boundary_f1_at(float(np.log(ratio)), steps) for ratio in ratios]
    return float(np.average(scores, weights=ratios))


def _boundary_f1_at(step: float, steps: Sequence[tuple[Values, Values]]) -> float:
    precision = recall = 0.0
    for found, real in steps:
        for sign in (1, -1):
            here, there = sign * found > step, sign * real > step
            hits = int(np.count_nonzero(here & there))
            precision += hits / max(1, int(np.count_nonzero(here))) / 4
            recall += hits / max(1, int(np.count_nonzero(there))) / 4
    return 2 * precision * recall / (precision + recall) if precision + recall > 0 else 0.0
