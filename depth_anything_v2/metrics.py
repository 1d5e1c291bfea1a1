"""Depth metrics. Arrays only; all inputs are 1-D (valid pixels) of one picture."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.floating[Any]]


def abs_rel(depth: Values, truth: Values) -> float:
    """Mean of |depth - truth| / truth; both in metres (or in one unit), positive."""
    return float(np.mean(np.abs(depth - truth) / truth))


def delta(depth: Values, truth: Values, power: int = 1) -> float:
    """Share of pixels with max(depth / truth, truth / depth) < 1.25 ** power."""
    return float(np.mean(np.maximum(depth / truth, truth / depth) < 1.25**power))


def pair_order(
    inverse_depth: Values, inverse_truth: Values, *, pairs: int = 20_000, apart: float = 1.1, seed: int = 0
) -> float:
    """Share of random pixel pairs, at least a factor `apart` different in truth, whose order is right.

    Larger inverse depth = nearer; a tie in the prediction counts as right only when the first is the
    farther. NaN when fewer than 50 pairs are far enough apart.
    """
    rng = np.random.default_rng(seed)
    i, j = rng.integers(0, inverse_truth.size, (2, pairs))
    first, second = inverse_truth[i], inverse_truth[j]
    chosen = np.maximum(first, second) > apart * np.minimum(first, second)
    if int(chosen.sum()) < 50:
        return float("nan")
    right = (inverse_depth[i] > inverse_depth[j]) == (first > second)
    return float(right[chosen].mean())
