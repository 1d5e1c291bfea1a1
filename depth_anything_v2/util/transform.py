"""The one preprocessing rule: size, resize, normalise. NumPy in, NumPy out.

`Resize`, `NormalizeImage` and `PrepareForNet` keep the names and behaviour that scripts written for the
original import; everything in this package goes through `preprocess`, which does the same steps.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal

import cv2
import numpy as np
import numpy.typing as npt

from depth_anything_v2.config import Preprocessing
from depth_anything_v2.errors import OptionError

FloatImage = npt.NDArray[np.floating[Any]]
RgbImage = FloatImage | npt.NDArray[np.uint8] | npt.NDArray[np.uint16]

TOKEN_PIXELS = 14 * 14  # what limits in tokens count, whatever the patch of the model
_BAND_PIXELS = 4_000_000  # of an integer picture that are floats at a time
_BAND_VALUES = 65_536  # of a depth map: fits into the cache of a core


def network_size(
    height: int, width: int, input_size: int, multiple_of: int = 14, max_tokens: int | None = None
) -> tuple[int, int]:
    """Return (new_height, new_width) of the network input for a picture of height x width pixels.

    One scale for both sides, max(input_size / height, input_size / width), so that the shorter side
    becomes input_size; each side is then rounded half-to-even to a multiple, and rounded up instead
    where that would fall below input_size (the original's 'lower_bound' rule).

    max_tokens: where that has more tokens (of 14 x 14 pixels), both sides shrink until it has not: the shorter
    side is rounded down to a multiple, the longer one follows the picture's aspect, as long as a shorter side
    of one multiple leaves room for it.

    Raises OptionError when a length or the limit is not positive.
    """
    if min(height, width, input_size, multiple_of) < 1:
        raise OptionError(f"sizes must be positive: height {height}, width {width}, input size {input_size}")
    if max_tokens is not None and max_tokens < 1:
        raise OptionError(f"the token limit must be at least 1, not {max_tokens}")
    scale = max(input_size / height, input_size / width)

    def side(length: int) -> int:
        rounded = int(np.round(scale * length / multiple_of)) * multiple_of
        return rounded if rounded >= input_size else int(np.ceil(scale * length / multiple_of)) * multiple_of

    new_height, new_width = side(height), side(width)
    if max_tokens is None or new_height * new_width <= max_tokens * TOKEN_PIXELS:
        return new_height, new_width
    room = max(1, max_tokens * TOKEN_PIXELS // multiple_of**2)  # in squares of one multiple
    aspect = max(height, width) / min(height, width)
    short = max(1, math.isqrt(int(room / aspect)))
    long = max(short, min(round(short * aspect), room // short))
    sides = (short * multiple_of, long * multiple_of)
    return sides if height <= width else sides[::-1]


def preprocess(rgb: RgbImage, preprocessing: Preprocessing, size: tuple[int, int]) -> npt.NDArray[np.float32]:
    """Return the (3, height, width) float32 network input of an RGB picture.

    rgb: (H, W, 3) floating point in [0, 1], or uint8 or uint16, whose largest value stands for 1; size:
    (height, width), normally from `network_size`. Floats are resized in their own precision (float64 in the
    original), integers in float32; then (x - mean) / std.
    """
    shrinks = size[0] <= rgb.shape[0] and size[1] <= rgb.shape[1]
    method = cv2.INTER_AREA if preprocessing.interpolation == "area" and shrinks else cv2.INTER_CUBIC
    mean, std = np.array(preprocessing.mean), np.array(preprocessing.std)
    if rgb.dtype.kind == "f":
        resized = cv2.resize(rgb, (size[1], size[0]), interpolation=method)
    else:
        resized = _resize_integers(rgb, size, method)
        full_scale = 255 if rgb.dtype == np.uint8 else 65535  # undone here, where the picture is small
        mean, std = mean * full_scale, std * full_scale
    mean, std = mean.astype(resized.dtype), std.astype(resized.dtype)
    result = np.empty((3, *size), np.float32)
    for channel in range(3):
        result[channel] = (resized[:, :, channel] - mean[channel]) / std[channel]
    return result


def _resize_integers(rgb: npt.NDArray[Any], size: tuple[int, int], method: int) -> npt.NDArray[np.float32]:
    """Return the picture as float32 in `size`, without a float copy of all of a large one.

    The interpolation is separable, so the bands of a large one are resized along their rows first.
    """
    height, width = rgb.shape[:2]
    bands = math.ceil(height * width / _BAND_PIXELS)
    rows = math.ceil(height / bands)  # none of the bands is a leftover of a few
    if bands == 1:
        narrow = rgb.astype(np.float32)
    else:
        narrow = np.empty((height, size[1], 3), np.float32)
        for top in range(0, height, rows):
            band = rgb[top : top + rows].astype(np.float32)
            narrow[top : top + rows] = cv2.resize(band, (size[1], band.shape[0]), interpolation=method)
    return np.asarray(cv2.resize(narrow, (size[1], size[0]), interpolation=method), np.float32)


def resize_depth(depth: npt.NDArray[np.float32], height: int, width: int) -> npt.NDArray[np.float32]:
    """Return `depth` (h, w) at (height, width), bilinear with the corner pixels' centres kept in place.

    What torch calls align_corners=True; never outside the range of `depth`.
    """
    if depth.shape == (height, width):
        return depth
    low, high, weight = _neighbours(depth.shape[1], width)
    rows = depth.take(low, axis=1)
    rows += (depth.take(high, axis=1) - rows) * weight
    low, high, weight = _neighbours(depth.shape[0], height)
    result = np.empty((height, width), np.float32)
    band = max(1, _BAND_VALUES // width)
    for top in range(0, height, band):
        part, here = result[top : top + band], slice(top, top + band)
        np.take(rows, low[here], axis=0, out=part, mode="clip")
        difference = rows.take(high[here], axis=0)
        difference -= part
        difference *= weight[here, None]
        part += difference
    return result


def _neighbours(source: int, length: int) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.intp], npt.NDArray[np.float32]]:
    """Return, for each of `length` places, the source places below and above, and the weight of that above."""
    position = np.arange(length, dtype=np.float64) * ((source - 1) / (length - 1) if length > 1 else 0.0)
    low = np.minimum(position.astype(np.intp), source - 1)
    return low, np.minimum(low + 1, source - 1), (position - low).astype(np.float32)


class Resize:
    """Resize the 'image' of a sample (and 'depth', 'mask' as nearest neighbours) to a network size.

    width, height: target in pixels. keep_aspect_ratio with resize_method 'lower_bound' scales until
    both sides are at least the target, 'upper_bound' until both are at most it, 'minimal' as little as
    possible. Sides become multiples of ensure_multiple_of.
    """

    def __init__(
        self,
        width: int,
        height: int,
        resize_target: bool = True,
        keep_aspect_ratio: bool = False,
        ensure_multiple_of: int = 1,
        resize_method: Literal["lower_bound", "upper_bound", "minimal"] = "lower_bound",
        image_interpolation_method: int = cv2.INTER_AREA,
    ) -> None:
        if resize_method not in ("lower_bound", "upper_bound", "minimal"):
            raise OptionError(f"unknown resize method '{resize_method}': lower_bound, upper_bound or minimal")
        self.width, self.height = width, height
        self.resize_target = resize_target
        self.keep_aspect_ratio = keep_aspect_ratio
        self.multiple = ensure_multiple_of
        self.method = resize_method
        self.interpolation = image_interpolation_method

    def constrain_to_multiple_of(self, length: float, min_val: int = 0, max_val: int | None = None) -> int:
        """Round `length` to a multiple, at least min_val and at most max_val."""
        rounded = int(np.round(length / self.multiple)) * self.multiple
        if max_val is not None and rounded > max_val:
            rounded = int(np.floor(length / self.multiple)) * self.multiple
        if rounded < min_val:
            rounded = int(np.ceil(length / self.multiple)) * self.multiple
        return rounded

    def get_size(self, width: int, height: int) -> tuple[int, int]:
        """Return (new_width, new_height) for a picture of width x height pixels."""
        scale_height, scale_width = self.height / height, self.width / width
        if self.keep_aspect_ratio:
            if self.method == "lower_bound":
                scale_height = scale_width = max(scale_height, scale_width)
            elif self.method == "upper_bound":
                scale_height = scale_width = min(scale_height, scale_width)
            else:
                scale_height = scale_width = min(scale_height, scale_width, key=lambda scale: abs(1 - scale))
        limits: dict[str, int | None] = {"min_val": 0, "max_val": None}
        sides = []
        for scale, length, target in ((scale_width, width, self.width), (scale_height, height, self.height)):
            if self.method == "lower_bound":
                limits = {"min_val": target}
            elif self.method == "upper_bound":
                limits = {"max_val": target}
            sides.append(self.constrain_to_multiple_of(scale * length, **limits))  # type: ignore[arg-type]
        return sides[0], sides[1]

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        size = self.get_size(sample["image"].shape[1], sample["image"].shape[0])
        sample["image"] = cv2.resize(sample["image"], size, interpolation=self.interpolation)
        if self.resize_target:
            for name in ("depth", "mask"):
                if name in sample:
                    target = np.asarray(sample[name], dtype=np.float32)
                    sample[name] = cv2.resize(target, size, interpolation=cv2.INTER_NEAREST)
        return sample


class NormalizeImage:
    """Subtract `mean` from the 'image' of a sample and divide by `std`, per channel."""

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self.mean, self.std = np.array(mean), np.array(std)

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        sample["image"] = (sample["image"] - self.mean) / self.std
        return sample


class PrepareForNet:
    """Turn 'image' into contiguous float32 CHW, and 'depth' and 'mask' into contiguous float32."""

    def __call__(self, sample: dict[str, Any]) -> dict[str, Any]:
        sample["image"] = np.ascontiguousarray(sample["image"].transpose(2, 0, 1), dtype=np.float32)
        for name in ("depth", "mask"):
            if name in sample:
                sample[name] = np.ascontiguousarray(sample[name], dtype=np.float32)
        return sample
