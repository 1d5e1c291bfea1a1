"""Is it depth along the optical axis, or distance along the ray? Surfaces that are flat can tell.

Of a plane, 1 / z is an affine function of the pixel's column and row. Where depth is planar, an affine fit of
1 / depth leaves only noise; where it is distance along the ray, one of ray factor / distance does. In each of
many windows both are tried, and a window votes where one of the two is flat and clearly flatter than the other.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import numpy.typing as npt

from depth_anything_v2.camera import Camera

Verdict = Literal["planar", "ray", "undecided"]

_PARTS = (2, 3)  # windows are a half and a third of the picture: in smaller ones the two hardly differ
_POINTS = 600  # per window
_LEAST = 120
_FLAT = 0.01  # relative residual of what counts as a plane: the noise of a depth camera
_CLEARLY = 2.0  # times the residual of the better one
_KEPT = 0.75  # share of a window that must lie on the plane; the rest may be things in front of it
MIN_VOTES, MIN_SHARE = 6, 0.8


def geometry_votes(depth: npt.NDArray[np.float32], valid: npt.NDArray[np.bool_], camera: Camera) -> tuple[int, int]:
    """Return how many windows of one depth map look like planar depth, and how many like distance along the ray.

    depth: (H, W) positive where valid, of the camera's size. Deterministic.
    """
    factor = camera.ray_factor()
    height, width = depth.shape
    planar = ray = 0
    for parts in _PARTS:
        for row in range(2 * parts - 1):
            for column in range(2 * parts - 1):
                top, left = row * height // (2 * parts), column * width // (2 * parts)
                window = np.s_[top : top + height // parts, left : left + width // parts]
                vote = _vote(depth[window], valid[window], factor[window])
                planar += vote == "planar"
                ray += vote == "ray"
    return planar, ray


def verdict(planar: int, ray: int) -> Verdict:
    """Return what the votes of all pictures say: 'undecided' for few, or divided ones."""
    total = planar + ray
    if total < MIN_VOTES or max(planar, ray) < MIN_SHARE * total:
        return "undecided"
    return "planar" if planar > ray else "ray"


def _vote(depth: npt.NDArray[np.float32], valid: npt.NDArray[np.bool_], factor: npt.NDArray[np.float32]) -> Verdict:
    rows, columns = np.nonzero(valid)
    if rows.size < _LEAST:
        return "undecided"
    some = np.linspace(0, rows.size - 1, min(rows.size, _POINTS)).astype(int)
    rows, columns = rows[some], columns[some]
    places = np.stack([columns, rows, np.ones(rows.size)], axis=1).astype(np.float64)
    inverse = 1 / depth[rows, columns].astype(np.float64)
    planar = _roughness(places, inverse)
    ray = _roughness(places, inverse * factor[rows, columns])
    if min(planar, ray) > _FLAT or max(planar, ray) < _CLEARLY * min(planar, ray):
        return "undecided"
    return "planar" if planar < ray else "ray"


def _roughness(places: npt.NDArray[np.float64], values: npt.NDArray[np.float64]) -> float:
    """Return the rms residual of an affine fit over the mean, infinite when too little lies on one plane."""
    kept = np.ones(values.size, bool)
    for _ in range(3):
        residual = values - places @ np.linalg.lstsq(places[kept], values[kept], rcond=None)[0]
        kept = np.abs(residual) <= max(3 * 1.4826 * float(np.median(np.abs(residual))), 1e-12)
        if kept.mean() < _KEPT:
            return float("inf")
    # A floor as of float32: two exact fits are no evidence for either.
    return max(float(np.sqrt(np.mean(residual[kept] ** 2))) / float(np.mean(values[kept])), 1e-6)
