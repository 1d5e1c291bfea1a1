"""16-bit grey PNG: 0 is invalid, 1 to 65535 are linear in the numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from depth_anything_v2.errors import InputError
from depth_anything_v2.io.formats.stored import METADATA_KEY, SOFTWARE, Stored, metadata_json, parse_metadata
from depth_anything_v2.io.png import encode_png
from depth_anything_v2.prediction import DepthPrediction

MAX_COUNT = 65535
MILLIMETRE = 0.001


def write(prediction: DepthPrediction, file: Path) -> None:
    """Write the map; scale and offset stand in the JSON and in text chunks of their own."""
    counts, scale, offset = to_counts(prediction)
    encoding = {"type": "uint16", "scale": scale, "offset": offset, "invalid": 0, "formula": "offset + scale * count"}
    text = {
        "Software": SOFTWARE,
        "Description": f"{prediction.quantity}; value = {offset!r} + {scale!r} * count, count 0 = invalid",
        "depth_kind": prediction.kind,
        "depth_unit": prediction.unit,
        "depth_scale": repr(scale),
        "depth_offset": repr(offset),
        METADATA_KEY: metadata_json(prediction, encoding),
    }
    file.write_bytes(encode_png(counts, text))


def to_counts(prediction: DepthPrediction) -> tuple[npt.NDArray[np.uint16], float, float]:
    """Return ((H, W) uint16 counts, scale, offset) with value = offset + scale * count, rounded to the nearest.

    Relative: the map's own valid range on 1..65535. Metric: offset 0 and a step of 1 mm where the largest
    valid distance is at most 65.535 m, else the first of 2, 5, 10, 20, 50, ... mm that reaches it; what is
    nearer than half a step gets count 1, because 0 says invalid. Metres below zero are stored as relative is.
    """
    valid = prediction.valid & np.isfinite(prediction.depth)
    if not valid.any():
        return np.zeros(prediction.depth.shape, np.uint16), MILLIMETRE if prediction.kind == "metric" else 1.0, 0.0
    values = prediction.depth.astype(np.float64)
    chosen = values[valid]
    low, high = float(chosen.min()), float(chosen.max())
    if prediction.kind == "metric" and low >= 0:
        scale, offset = metric_step(high), 0.0
    else:
        scale = (high - low) / (MAX_COUNT - 1)
        offset = low - scale
    # Scale 0 is a flat map: every count stands for its one value.
    counts = np.rint((np.where(valid, values, low) - offset) / scale) if scale > 0 else np.ones(values.shape)
    return np.where(valid, np.clip(counts, 1, MAX_COUNT), 0).astype(np.uint16), scale, offset


def metric_step(largest_m: float) -> float:
    """Return the step in metres: 1 mm, or the smallest of 2, 5, 10, ... mm that reaches `largest_m`."""
    power = 1
    while True:
        for step in (1, 2, 5):
            millimetres = step * power
            if round(largest_m * 1000 / millimetres) <= MAX_COUNT:
                return millimetres / 1000
        power *= 10


def read(file: Path) -> Stored:
    """Return the counts and the metadata. Raises InputError for a PNG of 8 bits or with colours."""
    from PIL.PngImagePlugin import PngImageFile

    with PngImageFile(file) as opened:
        picture: Any = opened
        if not picture.mode.startswith("I"):
            raise InputError(
                f"cannot read '{file}' as depth: it is an 8-bit or colour picture for looking at, its numbers are "
                "gone; read the png16, npy, npz, tiff, exr or pfm file instead"
            )
        text = picture.text.get(METADATA_KEY)
        values = np.asarray(picture).astype(np.uint16)
    return Stored(values, parse_metadata(text, file))
