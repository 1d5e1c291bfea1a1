"""Turns linear light into a picture as a camera would, faults included."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from depth_anything_v2.datasets.scenes.raycast import Floats


def photograph(linear: Floats, depth: Floats, index: NDArray[np.int16], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Expose and develop a linear picture (H, W, 3) with the faults of lens, sensor and compression."""
    import cv2

    edge = np.zeros(index.shape, bool)
    edge[:, 1:] |= index[:, 1:] != index[:, :-1]
    edge[1:] |= index[1:] != index[:-1]
    edge[:-1] |= edge[1:]
    edge[:, :-1] |= edge[:, 1:]
    picture = np.minimum(np.maximum(linear, 0), np.float32(8))
    soft = cv2.GaussianBlur(picture, (3, 3), 0.7)
    picture = np.where(edge[:, :, None], soft, picture)
    picture *= np.exp(rng.normal(0, 0.08, 3)).astype(np.float32)
    grey = picture.mean(axis=2)
    level = 0.6 * float(grey.mean()) + 0.4 * float(np.median(grey))
    picture *= np.float32(np.exp(rng.uniform(np.log(0.08), np.log(0.36))) / max(level, 1e-4))
    # A soft shoulder keeps highlights from clipping flat, as cameras do.
    picture = picture * (1 + picture * np.float32(0.15)) / (1 + np.float32(0.6) * picture)
    picture = np.sqrt(picture * np.float32(1.3))
    if rng.random() < 0.5:
        gain = rng.uniform(0.8, 1.3)
        picture = (picture - np.float32(0.45)) * np.float32(gain) + np.float32(0.45 + rng.normal(0, 0.03))
    h, w = index.shape
    if rng.random() < 0.3:
        y, x = np.ogrid[-1 : 1 : h * 1j, -1 : 1 : w * 1j]
        picture = (
            picture * (1 - np.float32(rng.uniform(0.05, 0.35)) * (x * x + y * y).astype(np.float32) / 2)[:, :, None]
        )
    if rng.random() < 0.12:
        picture = _out_of_focus(picture, depth, rng)
    if rng.random() < 0.4:
        picture = cv2.GaussianBlur(picture, (0, 0), float(rng.uniform(0.4, 1.1)))
    elif rng.random() < 0.25:
        picture = picture + np.float32(rng.uniform(0.3, 0.9)) * (picture - cv2.GaussianBlur(picture, (0, 0), 1.2))
    if rng.random() < 0.7:
        sigma = np.float32(abs(rng.normal(0, 0.02)) + 0.002)
        picture = picture + sigma * rng.standard_normal(picture.shape, dtype=np.float32)
    if rng.random() < 0.04:
        picture = np.repeat(picture.mean(axis=2, keepdims=True), 3, axis=2)
    image: NDArray[np.uint8] = (np.clip(picture, 0, 1) * 255 + np.float32(0.5)).astype(np.uint8)
    if rng.random() < 0.5:
        quality = int(rng.integers(45, 96))
        packed = cv2.imencode(".jpg", image[:, :, ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        unpacked = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
        image = np.ascontiguousarray(unpacked[:, :, ::-1])
    return image


def _out_of_focus(picture: Floats, depth: Floats, rng: np.random.Generator) -> Floats:
    """Blur with the distance from a plane in focus, in inverse depth as a lens does."""
    import cv2

    inverse = np.where(np.isfinite(depth), 1 / np.maximum(depth, 1e-3), 0)
    focus = float(np.quantile(inverse, rng.uniform(0.2, 0.95)))
    circle = np.abs(inverse - focus) / max(float(np.quantile(inverse, 0.98)), 1e-9) * rng.uniform(1.5, 5)
    circle = np.asarray(cv2.GaussianBlur(circle.astype(np.float32), (0, 0), 2.0), np.float32)
    levels = [picture] + [cv2.GaussianBlur(picture, (0, 0), s) for s in (1.0, 2.0, 4.0)]
    out = picture
    for near, far, start in zip(levels[:-1], levels[1:], (0.0, 1.0, 2.0), strict=True):
        share = np.clip(circle - np.float32(start), 0, 1)[:, :, None]
        out = np.where(circle[:, :, None] > start, near * (1 - share) + far * share, out)
    return out
