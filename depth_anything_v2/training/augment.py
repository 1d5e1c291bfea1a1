"""From a sample to a crop for the network: geometry for picture and depth alike, then light, colour, blur and noise."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from depth_anything_v2.training.config import AugmentationConfig

Picture = npt.NDArray[np.uint8]
Unit = npt.NDArray[np.float32]
_LUMA = np.array([0.299, 0.587, 0.114], np.float32)


@dataclass(frozen=True, eq=False)
class Crop:
    """picture: (h, w, 3) uint8. target: (h, w) float32. valid: (h, w) bool."""

    picture: Picture
    target: npt.NDArray[np.float32]
    valid: npt.NDArray[np.bool_]


def random_crop(crop: Crop, size: tuple[int, int], config: AugmentationConfig, rng: np.random.Generator) -> Crop:
    """Return a part of the shape of `size` (height, width), resized to it; depth and mask by the nearest pixel."""
    height, width = size
    full_height, full_width = crop.target.shape
    scale = min(full_height / height, full_width / width) * rng.uniform(*config.zoom)
    rows, columns = (
        max(1, min(full, round(side * scale))) for side, full in ((height, full_height), (width, full_width))
    )
    top, left = int(rng.integers(full_height - rows + 1)), int(rng.integers(full_width - columns + 1))
    area = np.s_[top : top + rows, left : left + columns]
    smaller = cv2.INTER_AREA if rows > height else cv2.INTER_CUBIC
    picture = cv2.resize(crop.picture[area], (width, height), interpolation=smaller)
    target = cv2.resize(crop.target[area], (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    mask = crop.valid[area].astype(np.uint8)
    valid = cv2.resize(mask, (width, height), interpolation=cv2.INTER_NEAREST_EXACT) > 0
    if rng.random() < config.flip:
        picture, target, valid = picture[:, ::-1], target[:, ::-1], valid[:, ::-1]
    return Crop(np.ascontiguousarray(picture), np.ascontiguousarray(target), np.ascontiguousarray(valid))


def disturb(picture: Picture, config: AugmentationConfig, rng: np.random.Generator) -> Unit:
    """Return the picture in [0, 1], changed in what does not change depth."""
    unit: Unit = picture.astype(np.float32) / np.float32(255)
    if rng.random() < config.light:
        unit = np.asarray(unit ** np.float32(np.exp(rng.normal(0, 0.3))) * np.float32(rng.uniform(0.55, 1.25)))
    if rng.random() < config.colour:
        unit = _recolour(unit, rng)
    if rng.random() < config.grey:
        unit = np.repeat((unit @ _LUMA)[:, :, None], 3, axis=2)
    if rng.random() < config.blur:
        unit = np.asarray(cv2.GaussianBlur(unit, (0, 0), float(rng.uniform(0.3, 2.0))))
    if rng.random() < config.noise:
        unit = unit + rng.normal(0, rng.uniform(0.005, 0.05), unit.shape).astype(np.float32)
    return np.clip(unit, 0, 1)


def _recolour(unit: Unit, rng: np.random.Generator) -> Unit:
    """Return the picture with another contrast, saturation and tint, each by up to 40 % (the tint 15 %)."""
    mean = np.float32(unit.mean())
    unit = (unit - mean) * np.float32(rng.uniform(0.6, 1.4)) + mean
    grey = (unit @ _LUMA)[:, :, None]
    unit = grey + (unit - grey) * np.float32(rng.uniform(0.6, 1.4))
    tint: npt.NDArray[Any] = rng.uniform(0.85, 1.15, 3).astype(np.float32)
    return np.asarray(unit * tint, dtype=np.float32)
