"""Floating-point pictures that hold their own metadata: TIFF and OpenEXR."""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import numpy as np

from depth_anything_v2.errors import InputError, MissingExtraError
from depth_anything_v2.io.formats.stored import (
    METADATA_KEY,
    SOFTWARE,
    Stored,
    float_values,
    metadata_json,
    parse_metadata,
)
from depth_anything_v2.prediction import DepthPrediction

_IMAGE_DESCRIPTION, _SOFTWARE_TAG = 270, 305
_CHANNELS = {"metric": "Z", "relative": "Y"}  # Z is OpenEXR's own name for depth in the unit of the scene


def write_tiff(prediction: DepthPrediction, file: Path) -> None:
    """Write one channel of float32, uncompressed; the tag ImageDescription holds the JSON."""
    from PIL import Image

    values, encoding = float_values(prediction)
    tags = {_IMAGE_DESCRIPTION: metadata_json(prediction, encoding), _SOFTWARE_TAG: SOFTWARE}
    with file.open("wb") as out:
        Image.fromarray(np.ascontiguousarray(values)).save(out, format="TIFF", tiffinfo=tags)


def read_tiff(file: Path) -> Stored:
    """Return the numbers (float32, or uint16 counts) and the metadata. Raises InputError for other pictures."""
    from PIL.TiffImagePlugin import TiffImageFile

    with TiffImageFile(file) as opened:
        picture: Any = opened
        if picture.mode != "F" and not picture.mode.startswith("I"):
            raise InputError(
                f"cannot read '{file}' as depth: it is an 8-bit or colour picture, not one channel of 16-bit or "
                "floating-point numbers"
            )
        text = picture.tag_v2.get(_IMAGE_DESCRIPTION)
        values = np.asarray(picture)
    return Stored(values, parse_metadata(text, file))


def write_exr(prediction: DepthPrediction, file: Path) -> None:
    """Write one channel of float32 (Z for metres, Y for inverse depth); attributes hold kind, unit and the JSON."""
    exr = require_openexr("writing an EXR file")
    values, encoding = float_values(prediction)
    header = {
        "compression": exr.ZIP_COMPRESSION,
        "type": exr.scanlineimage,
        "kind": prediction.kind,
        "unit": prediction.unit,
        "software": SOFTWARE,
        METADATA_KEY: metadata_json(prediction, encoding),
    }
    channels = {_CHANNELS[prediction.kind]: np.ascontiguousarray(values)}
    try:
        exr.File(header, channels).write(str(file))
    except (RuntimeError, ValueError) as error:
        # The library passes the system's reason on in words only.
        codes = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EACCES, errno.EROFS)
        code = next((code for code in codes if os.strerror(code) in str(error)), 0)
        raise OSError(code, "the OpenEXR library failed") from error


def read_exr(file: Path) -> Stored:
    """Return the channel Z, Y or the only one, and the metadata."""
    exr = require_openexr(f"reading '{file}'")
    content = exr.File(str(file), separate_channels=True)
    channels = content.channels()
    name = next((key for key in ("Z", "Y") if key in channels), None) or next(iter(channels), "")
    if name not in channels or (name not in ("Z", "Y") and len(channels) > 1):
        raise InputError(f"cannot read '{file}' as depth: it has the channels {', '.join(channels)}, not Z or Y")
    text = content.header().get(METADATA_KEY)
    return Stored(np.asarray(channels[name].pixels), parse_metadata(text, file))


def require_openexr(feature: str) -> Any:
    """Return the OpenEXR library. Raises MissingExtraError, which names the feature, without it."""
    try:
        import OpenEXR
    except ImportError as error:
        raise MissingExtraError("OpenEXR", "exr", feature) from error
    return OpenEXR
