"""Fits of scale and shift between a relative prediction and measured depth. Arrays only."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.floating[Any]]


def fit_scale_shift(prediction: Values, target: Values) -> tuple[float, float]:
    """Return (a, b) that minimise the sum of squares of a * prediction + b - target.

    Both 1-D (valid pixels only), usually inverse depth. A constant prediction gives a = 0 and b = the
    mean of the target.
    """
    p, t = prediction.astype(np.float64), target.astype(np.float64)
    centred = p - p.mean()
    variance = float(centred @ centred)
    scale = float(centred @ (t - t.mean())) / variance if variance > 0 else 0.0
    return scale, float(t.mean() - scale * p.mean())
