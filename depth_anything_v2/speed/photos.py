"""Photographs to measure with: as much work to decode as any of their size, and the same each time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np

from depth_anything_v2.engines.accuracy import PHOTOGRAPHS
from depth_anything_v2.errors import OutputError


def make_photos(folder: Path, count: int, width: int, sources: Path = PHOTOGRAPHS, seed: int = 5) -> None:
    """Write `count` JPEG files, the longer side `width` pixels give or take 5 %, mostly 3:2; every fifth is upright.

    They are enlarged crops of the JPEG files in `sources` (by default the example photographs of this package),
    with noise. Raises OutputError.
    """
    random = np.random.default_rng(seed)
    pictures = [cv2.imread(str(path)) for path in sorted(sources.glob("*.jpg"))]
    folder.mkdir(parents=True)
    for number in range(count):
        source: Any = pictures[number % len(pictures)]
        long = round(width * random.uniform(0.95, 1.05))
        short = round(long / random.uniform(1.48, 1.52))
        columns, rows = (short, long) if number % 5 == 4 else (long, short)
        crop = _crop(source, rows / columns, random)
        large = cv2.resize(crop, (columns, rows), interpolation=cv2.INTER_CUBIC).astype(np.float32)
        noisy = large + random.normal(0, 3, large.shape).astype(np.float32)
        picture = np.clip(noisy, 0, 255).astype(np.uint8)
        path = folder / f"photo{number:03d}.jpg"
        if not cv2.imwrite(str(path), picture, [cv2.IMWRITE_JPEG_QUALITY, 90]):
            raise OutputError(f"cannot write '{path}': free some space, or set TMPDIR to another folder")


def _crop(source: Any, aspect: float, random: np.random.Generator) -> Any:
    """Return a part of a picture, 70 to 100 % of what fits, of height = aspect * width."""
    height, width = source.shape[:2]
    part = random.uniform(0.7, 1.0)
    columns = int(part * min(width, height / aspect))
    rows = int(columns * aspect)
    top, left = random.integers(0, height - rows + 1), random.integers(0, width - columns + 1)
    return source[top : top + rows, left : left + columns]
