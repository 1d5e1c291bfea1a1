"""Pictures in: from a path, an address, bytes, a Pillow image or an array, always to RGB."""

from __future__ import annotations

import errno
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from depth_anything_v2.errors import InputError
from depth_anything_v2.io import decode as _decode
from depth_anything_v2.io.decode import RgbArray

if TYPE_CHECKING:
    from PIL import Image

    ImageSource = str | Path | bytes | Image.Image | npt.NDArray[Any]

IMAGE_SUFFIXES: frozenset[str] = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".tif", ".tiff", ".bmp", ".dib", ".gif", ".exr", ".avif"}
    | {".ppm", ".pgm", ".pnm"}
    # Not decoded, but a folder of them must say so instead of looking empty.
    | {".heic", ".heif"}
)
MAX_PIXELS = 300_000_000
_ADDRESS = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+://")


def is_url(source: str) -> bool:
    """Tell whether `source` is an address (of any scheme: `http://`, `file://`, ...) and not a path."""
    return _ADDRESS.match(source) is not None


def read_image(source: ImageSource, *, max_pixels: int = MAX_PIXELS, timeout_s: float = 20.0) -> RgbArray:
    """Return (H, W, 3) RGB: uint8, uint16 (16-bit files) or float32 in [0, 1] (float arrays and TIFF, EXR).

    source: a path, an http(s) address, the bytes of a file, a Pillow image (its current frame), or an
    array: (H, W), (H, W, 1), (H, W, 3) or (H, W, 4) of uint8, uint16 or floats in [0, 1], RGB order.
    The first frame of animations and multi-page files; EXIF orientation applied; alpha dropped, colour
    profiles ignored. EXR is linear light, clipped to [0, 1] and sRGB-encoded. An array that already is
    as asked for is returned as it is, not copied.

    max_pixels: limit on width * height, checked on the header before decoding. timeout_s: for an address,
    from the start to the last byte.

    Raises InputError, ImageTooLargeError, MissingExtraError (EXR without the extra `exr`).
    """
    file = encoded(source, timeout_s)
    if file is not None:
        return _decode.decode(*file, max_pixels)
    if isinstance(source, np.ndarray):
        return _from_array(source, max_pixels)
    if "PIL.Image" in sys.modules and isinstance(source, sys.modules["PIL.Image"].Image):
        return _from_pillow(source, max_pixels)
    raise InputError(
        f"a picture is a path, an http(s) address, bytes, a Pillow image or an RGB array, not {type(source).__name__}"
    )


def encoded(source: ImageSource, timeout_s: float = 20.0) -> tuple[bytes, str] | None:
    """Return the bytes of an encoded picture and what messages call it, None for an array or a Pillow image.

    Raises InputError when a path cannot be read or an address not be fetched.
    """
    if isinstance(source, (bytes, bytearray, memoryview)):
        return bytes(source), "the bytes given"
    if isinstance(source, str) and is_url(source):
        from depth_anything_v2.io.fetch import fetch

        return fetch(source, timeout_s), f"'{source}'"
    if isinstance(source, (str, os.PathLike)):
        return _read_file(Path(source)), f"'{source}'"
    return None


def to_float(rgb: RgbArray) -> npt.NDArray[np.float32]:
    """Return the picture as float32 in [0, 1]: uint8 / 255, uint16 / 65535, floats as they are."""
    if rgb.dtype == np.uint8:
        table = np.arange(256, dtype=np.float32) / np.float32(255)
        return np.asarray(table[rgb], dtype=np.float32)
    if rgb.dtype == np.uint16:
        return np.asarray(rgb.astype(np.float32) / np.float32(65535), dtype=np.float32)
    return rgb.astype(np.float32, copy=False)


def to_uint8(rgb: RgbArray) -> npt.NDArray[np.uint8]:
    """Return the picture as uint8, rounded to the nearest; uint8 as it is."""
    if rgb.dtype == np.uint8:
        return rgb.astype(np.uint8, copy=False)
    if rgb.dtype == np.uint16:
        levels: npt.NDArray[Any] = (rgb.astype(np.uint32) + 128) // 257
    else:
        levels = np.clip(rgb, 0, 1) * np.float32(255) + np.float32(0.5)
    return levels.astype(np.uint8)


def _from_array(values: npt.NDArray[Any], max_pixels: int) -> RgbArray:
    name = "the array given"
    grey_or_colour = values.ndim == 2 or (values.ndim == 3 and values.shape[2] in (1, 3, 4))
    if not grey_or_colour or values.size == 0:
        raise InputError(
            f"{name} has the shape {values.shape}: a picture is (height, width, 3) in RGB, or (height, width)"
        )
    _decode.check_size(values.shape[1], values.shape[0], name, max_pixels)
    values = values.astype(values.dtype.newbyteorder("="), copy=False)
    if values.dtype not in (np.uint8, np.uint16) and values.dtype.kind != "f":
        raise InputError(f"{name} holds {values.dtype}: a picture is uint8, uint16 or floating point in [0, 1]")
    rgb = np.ascontiguousarray(_decode.three_channels(values))
    if values.dtype.kind != "f":
        return rgb
    with np.errstate(over="ignore"):
        return _decode.check_unit_range(rgb.astype(np.float32, copy=False), name)


def _from_pillow(picture: Image.Image, max_pixels: int) -> RgbArray:
    file = getattr(picture, "filename", "")
    name = f"'{file}'" if file else "the Pillow image given"
    _decode.check_size(picture.width, picture.height, name, max_pixels)
    try:
        return _decode.from_pillow(picture, name)
    except (OSError, SyntaxError, ValueError) as error:
        raise InputError(f"cannot read {name}: Pillow cannot decode it ({error})") from error


def _read_file(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            header = file.read(_decode.HEADER_BYTES)
            # Before the rest is read: somebody's 40 GB video must not fill the memory.
            _decode.refuse_unknown(header, _decode.sniff(header), f"'{path}'")
            return header + file.read()
    except FileNotFoundError as error:
        raise InputError(f"cannot read '{path}': there is no such file") from error
    except IsADirectoryError as error:
        raise InputError(f"cannot read '{path}': it is a folder, not a picture") from error
    except PermissionError as error:
        what = "it is a folder, not a picture" if path.is_dir() else "there is no permission to read it"
        raise InputError(f"cannot read '{path}': {what}") from error
    except OSError as error:
        too_long = error.errno == errno.ENAMETOOLONG
        raise InputError(f"cannot read '{path}': {'its name is too long' if too_long else error.strerror}") from error
    except ValueError as error:  # a null character
        raise InputError(f"cannot read {str(path)!r}: that is not a file name") from error
