"""Masks: pictures whose white pixels are not to count, the sky for example."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from depth_anything_v2.camera import SAME_ASPECT
from depth_anything_v2.errors import InputError
from depth_anything_v2.io.images import IMAGE_SUFFIXES, read_image

if TYPE_CHECKING:
    from depth_anything_v2.prediction import DepthPrediction


def find_mask(path: Path, stem: str) -> Path:
    """Return the mask of an output stem ('sub/x'): `path` if it is a file, else sub/x.png or the like below it.

    Raises InputError when there is none: no mask at all would be a mistake that nobody sees.
    """
    if not path.is_dir():
        if not path.is_file():
            raise InputError(f"there is no mask '{path}'")
        return path
    found = (path / f"{stem}{suffix}" for suffix in sorted(IMAGE_SUFFIXES, key=lambda suffix: suffix != ".png"))
    mask = next((candidate for candidate in found if candidate.is_file()), None)
    if mask is None:
        raise InputError(f"there is no mask '{stem}.png' in '{path}': a black picture masks nothing")
    return mask


def read_mask(path: str | Path, width: int, height: int) -> tuple[npt.NDArray[np.bool_], bool]:
    """Return ((height, width) bool, True where masked, and whether it was resized).

    White (half of the range and more, in any channel) is masked, black is not; a picture of 0 and 1 only is
    taken as 0 and white. A mask of another size but the same shape is resized to the nearest pixel.

    Raises InputError when it cannot be read or has another shape.
    """
    values = read_image(path).max(axis=2)
    top = 1.0 if values.dtype.kind == "f" or values.max() == 1 else float(np.iinfo(values.dtype).max)
    mask = values >= top / 2
    if mask.shape == (height, width):
        return mask, False
    if abs(math.log(mask.shape[1] * height / (mask.shape[0] * width))) > SAME_ASPECT:
        raise InputError(
            f"the mask '{path}' is {mask.shape[1]} x {mask.shape[0]} pixels, the picture {width} x {height}, another "
            "shape: is it the mask of another picture?"
        )
    import cv2

    resized = cv2.resize(mask.view(np.uint8), (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(resized, dtype=bool), True


def apply_mask(prediction: DepthPrediction, path: str | Path) -> DepthPrediction:
    """Return the prediction with masked pixels invalid, and a note. Raises InputError.

    Their values stay, but for saturated ones, which become NaN: invalid anyhow, nothing else would tell that they are
    masked.
    """
    mask, resized = read_mask(path, prediction.width, prediction.height)
    note = f"masked by '{path}'{', resized to the picture' * resized}: {mask.mean():.1%} of the pixels"
    depth = np.where(mask & ~prediction.valid, np.float32(np.nan), prediction.depth)
    return prediction.replace(depth=depth, valid=prediction.valid & ~mask).noted(note)
