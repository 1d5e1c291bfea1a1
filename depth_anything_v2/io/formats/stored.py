"""What a depth file holds besides its numbers, and the way back to a DepthPrediction."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from depth_anything_v2.camera import Camera
from depth_anything_v2.errors import InputError
from depth_anything_v2.prediction import DepthPrediction, Provenance
from depth_anything_v2.version import __version__

SOFTWARE = f"depth-anything-v2 {__version__}"
METADATA_KEY = "depth_anything_v2"  # of the PNG text chunk and the EXR attribute that hold the JSON
FORMAT_NAME, FORMAT_VERSION = "depth-anything-v2 depth map", 1


@dataclass(frozen=True)
class Stored:
    """The contents of a depth file as they stand in it.

    values: (H, W), uint16 counts or floats. metadata: the JSON written beside them, None in a file of
    another program. valid: (H, W) bool where the format stores it.
    """

    values: npt.NDArray[Any]
    metadata: dict[str, Any] | None
    valid: npt.NDArray[np.bool_] | None = None


def metadata_json(prediction: DepthPrediction, encoding: dict[str, Any]) -> str:
    """Return one line of ASCII JSON: what the numbers are, where they come from, how they are stored."""
    head = {"format": FORMAT_NAME, "format_version": FORMAT_VERSION, "software": SOFTWARE}
    return json.dumps({**head, **prediction.describe(), "encoding": encoding}, allow_nan=False)


def parse_metadata(text: str | bytes | None, path: Path) -> dict[str, Any] | None:
    """Return the JSON object of `metadata_json`, None where there is none or it is of another program.

    Raises InputError when it is damaged or of a newer version.
    """
    if text is None:
        return None
    try:
        data = json.loads(text)
    except ValueError:
        return None
    if not isinstance(data, dict) or data.get("format") != FORMAT_NAME:
        return None
    if data.get("format_version") != FORMAT_VERSION:
        raise InputError(
            f"cannot read '{path}': it has version {data.get('format_version')} of the depth file format, this "
            f"program reads version {FORMAT_VERSION}; update depth-anything-v2"
        )
    return data


def float_values(prediction: DepthPrediction) -> tuple[npt.NDArray[np.float32], dict[str, Any]]:
    """Return what a floating-point format stores, and its 'encoding'.

    The numbers as they are, as long as the valid mask follows from them by the rule of DepthPrediction;
    otherwise NaN at every invalid pixel.
    """
    derived = prediction.replace(valid=None).valid
    if np.array_equal(derived, prediction.valid):
        return prediction.depth, {"type": "float32", "invalid": "rule"}
    return np.where(prediction.valid, prediction.depth, np.float32(np.nan)), {"type": "float32", "invalid": "NaN"}


def rebuild(stored: Stored, path: Path) -> DepthPrediction:
    """Return the prediction that was written. Raises InputError when numbers and metadata don't fit together."""
    data = stored.metadata or {}
    try:
        size = (int(data["height"]), int(data["width"]))
        if stored.values.shape != size:
            raise InputError(f"cannot read '{path}': it holds {stored.values.shape} values, its metadata says {size}")
        encoding = data["encoding"]
        depth, valid = stored.values, stored.valid
        if depth.dtype == np.uint16:
            valid = depth != 0
            counts = depth.astype(np.float64)
            depth = np.where(valid, float(encoding["offset"]) + float(encoding["scale"]) * counts, np.nan)
        elif encoding["invalid"] == "NaN":
            valid = np.isfinite(depth)
        return DepthPrediction(
            depth.astype(np.float32, copy=False),
            data["kind"],
            max_depth_m=data.get("max_depth_m"),
            valid=valid,  # type: ignore[arg-type]
            geometry=data["geometry"],
            provenance=Provenance.from_dict(data.get("provenance", {})),
            camera=Camera.from_dict(data["camera"]) if "camera" in data else None,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise InputError(f"cannot read '{path}': its metadata is damaged ({error!r})") from error
