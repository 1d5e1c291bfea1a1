"""Encoded pictures to RGB arrays, from bytes in memory.

Eight bits are decoded by Pillow (the same pixels as OpenCV's, and silent about damaged metadata), deeper
PNG, TIFF and PPM by OpenCV, OpenEXR by its own library. The size is read from the header and checked
before anything is decoded. Colour profiles are not applied; alpha is dropped, not composited.
"""

from __future__ import annotations

import importlib
import io
import re
import struct
import tempfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from depth_anything_v2.errors import ImageTooLargeError, InputError, MissingExtraError
from depth_anything_v2.io.opencv import decode_bgr, deep_size

if TYPE_CHECKING:
    from PIL import Image

RgbArray = npt.NDArray[np.uint8] | npt.NDArray[np.uint16] | npt.NDArray[np.float32]

HEADER_BYTES = 32  # enough for `sniff`

# The plug-ins are called directly: Image.open has a process-wide pixel limit of its own, which warns.
_PLUGINS = {
    "jpeg": ("JpegImagePlugin", "JpegImageFile"),
    "png": ("PngImagePlugin", "PngImageFile"),
    "webp": ("WebPImagePlugin", "WebPImageFile"),
    "tiff": ("TiffImagePlugin", "TiffImageFile"),
    "bmp": ("BmpImagePlugin", "BmpImageFile"),
    "gif": ("GifImagePlugin", "GifImageFile"),
    "ppm": ("PpmImagePlugin", "PpmImageFile"),
    "avif": ("AvifImagePlugin", "AvifImageFile"),
}
_SIGNATURES = (
    (b"\xff\xd8\xff", "jpeg"),
    (b"\x89PNG\r\n\x1a\n", "png"),
    (b"II*\0", "tiff"),
    (b"MM\0*", "tiff"),
    (b"II+\0", "tiff"),
    (b"MM\0+", "tiff"),
    (b"BM", "bmp"),
    (b"GIF8", "gif"),
    (b"\x76\x2f\x31\x01", "exr"),
)
_HEIF_BRANDS = (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1")
_ORIENTATION = 0x0112
DECODE_ERRORS = (
    OSError,
    SyntaxError,
    ValueError,
    ArithmeticError,
    LookupError,
    TypeError,
    AttributeError,
    EOFError,
    RuntimeError,
    struct.error,
    zlib.error,
)


def sniff(header: bytes) -> str | None:
    """Return the format that the first bytes show ('jpeg', 'png', ..., 'heif'), or None."""
    for signature, kind in _SIGNATURES:
        if header.startswith(signature):
            return kind
    if header[:4] == b"RIFF" and header[8:12] == b"WEBP":
        return "webp"
    if re.match(rb"P[1-6][\s#]", header):
        return "ppm"
    if header[4:8] == b"ftyp":
        brand = header[8:12]
        return "avif" if brand in (b"avif", b"avis") else "heif" if brand in _HEIF_BRANDS else None
    return None


def decode(data: bytes, name: str, max_pixels: int) -> RgbArray:
    """Return the first frame of an encoded picture as (H, W, 3) RGB, turned upright by its EXIF orientation.

    uint8; uint16 for 16-bit files; float32 in [0, 1] for float TIFF and for EXR (linear, clipped, sRGB-encoded).
    name: what messages call the source (a path in quotes). Raises InputError, ImageTooLargeError, MissingExtraError.
    """
    kind = sniff(data[:HEADER_BYTES])
    refuse_unknown(data[:HEADER_BYTES], kind, name)
    try:
        if kind == "exr":
            return _decode_exr(data, name, max_pixels)
        deep = deep_size(data, str(kind))
        if deep is not None:
            check_size(deep[0], deep[1], name, max_pixels)
            _refuse_truncated(data, str(kind), name)
            return _decode_deep(data, str(kind), name)
        with open_picture(data, str(kind), name) as picture:
            check_size(picture.width, picture.height, name, max_pixels)
            _refuse_truncated(data, str(kind), name)
            return from_pillow(picture, name)
    except MemoryError as error:
        raise ImageTooLargeError(f"cannot read {name}: the decoded picture does not fit into memory") from error
    except DECODE_ERRORS as error:
        if isinstance(error, MissingExtraError):
            raise
        why = "the file is truncated" if "truncated" in str(error).lower() else "the file is damaged"
        raise InputError(
            f"cannot read {name}: {why} ({' '.join(str(error).split()) or type(error).__name__})"
        ) from error


def refuse_unknown(header: bytes, kind: str | None, name: str) -> None:
    """Raise InputError for no bytes, a format that is not read, or something that is no picture."""
    if not header:
        raise InputError(f"cannot read {name}: it is empty (0 bytes)")
    if kind == "heif":
        raise InputError(f"cannot read {name}: HEIC pictures are not supported; convert it to JPEG or PNG first")
    if kind is None:
        start = header.lstrip()[:16].lower()
        looks = "a web page" if start.startswith((b"<!doctype", b"<html")) else "not a picture in a known format"
        raise InputError(
            f"cannot read {name}: it is {looks} (JPEG, PNG, WebP, TIFF, BMP, GIF, AVIF, PPM and EXR are read)"
        )


def check_size(width: int, height: int, name: str, max_pixels: int) -> None:
    """Raise ImageTooLargeError above `max_pixels`, InputError for an empty picture."""
    if width < 1 or height < 1:
        raise InputError(f"cannot read {name}: its header says {width} x {height} pixels")
    if width * height > max_pixels:
        raise ImageTooLargeError(
            f"{name} is {width} x {height} pixels ({width * height / 1e6:.1f} megapixels), above the limit of "
            f"{max_pixels / 1e6:g}: shrink it or raise the limit (max pixels)"
        )


def from_pillow(picture: Image.Image, name: str) -> RgbArray:
    """Return a Pillow picture of any mode as (H, W, 3) RGB, turned upright; the picture itself is not changed.

    Mode 'I;16' and 'I' give uint16, 'F' float32 (its values must lie in [0, 1]), all others uint8.
    """
    picture.load()
    orientation = _orientation(picture)
    values: npt.NDArray[Any]
    if picture.mode.startswith("I"):
        values = np.asarray(picture)
        if values.min() < 0 or values.max() > 65535:
            raise InputError(f"cannot read {name}: its integers do not fit into 16 bits; scale them first")
        values = values.astype(np.uint16)
    elif picture.mode == "F":
        values = check_unit_range(np.asarray(picture, dtype=np.float32), name)
    else:
        if picture.mode in ("P", "L", "RGB") and "transparency" in picture.info:
            picture = picture.copy()
            del picture.info["transparency"]
        values = np.asarray(picture if picture.mode in ("RGB", "L") else picture.convert("RGB"))
    return upright(three_channels(values), orientation)


def three_channels(values: npt.NDArray[Any]) -> npt.NDArray[Any]:
    """Return (H, W, 3) of (H, W), (H, W, 1), (H, W, 3) or (H, W, 4): grey repeated, alpha dropped."""
    if values.ndim == 2:
        values = values[:, :, None]
    if values.shape[2] == 1:
        return np.repeat(values, 3, axis=2)
    return values[:, :, :3]


def check_unit_range(values: npt.NDArray[np.float32], name: str) -> npt.NDArray[np.float32]:
    """Return the array, or raise InputError when a value is NaN or outside [0, 1]."""
    low, high = float(values.min()), float(values.max())
    if np.isnan(low) or np.isnan(high):
        raise InputError(f"cannot read {name}: it holds NaN; replace them by numbers in [0, 1]")
    if low < 0 or high > 1:
        raise InputError(
            f"cannot read {name}: floating-point pictures hold values in [0, 1], this one {low:g} to {high:g}; scale it"
        )
    return values


def upright(rgb: npt.NDArray[Any], orientation: object) -> npt.NDArray[Any]:
    """Return the picture turned as the EXIF orientation (1 to 8) says; others leave it as it is."""
    if orientation in (5, 6, 7, 8):
        rgb = rgb.swapaxes(0, 1)
    if orientation in (3, 4, 7, 8):
        rgb = rgb[::-1]
    if orientation in (2, 3, 6, 7):
        rgb = rgb[:, ::-1]
    return np.ascontiguousarray(rgb)


def _orientation(picture: Image.Image) -> object:
    """Return the EXIF orientation, 1 where it is missing or damaged: that is no reason to refuse a picture."""
    try:
        return picture.getexif().get(_ORIENTATION, 1)
    except DECODE_ERRORS:
        return 1


def open_picture(data: bytes, kind: str, name: str) -> Image.Image:
    """Return the picture opened but not decoded. Raises InputError where Pillow lacks support for its kind."""
    module, plugin = _PLUGINS[kind]
    try:
        opener = getattr(importlib.import_module(f"PIL.{module}"), plugin)
    except ImportError as error:
        raise InputError(f"cannot read {name}: this Pillow has no {kind.upper()} support; convert it to PNG") from error
    if kind == "avif":
        from PIL import features

        if not features.check("avif"):
            raise InputError(f"cannot read {name}: this Pillow has no AVIF support; convert it to JPEG or PNG")
    picture: Image.Image = opener(io.BytesIO(data))
    return picture


def _refuse_truncated(data: bytes, kind: str, name: str) -> None:
    """Raise InputError where the end is missing: decoders fill the rest with grey, some without a word."""
    if kind == "jpeg":
        complete = _jpeg_is_complete(data)
    elif kind == "png":
        complete = _png_is_complete(data)
    elif kind == "webp":
        complete = len(data) >= int.from_bytes(data[4:8], "little") + 8
    else:
        return
    if not complete:
        raise InputError(f"cannot read {name}: the file is truncated (its end is missing); copy or download it again")


_JPEG_MARKER = re.compile(rb"\xff([\x01-\xcf\xd8-\xfe])")  # restart markers and stuffed bytes belong to the data


def _jpeg_is_complete(data: bytes) -> bool:
    """Walk the segments, so that the end of an embedded thumbnail is not taken for the picture's."""
    position = 2
    while found := _JPEG_MARKER.search(data, position):
        if found[1] == b"\xd9":
            return True
        length = int.from_bytes(data[found.end() : found.end() + 2], "big")
        position = found.end() + max(length, 2)
    return False


def _png_is_complete(data: bytes) -> bool:
    position = 8
    while position + 12 <= len(data):
        if data[position + 4 : position + 8] == b"IEND":
            return True
        position += 12 + int.from_bytes(data[position : position + 4], "big")
    return False


def _decode_deep(data: bytes, kind: str, name: str) -> RgbArray:
    rgb = three_channels(decode_bgr(data, kind, name))[:, :, ::-1]
    if rgb.dtype == np.float64 or rgb.dtype == np.float32:
        rgb = check_unit_range(rgb.astype(np.float32), name)
    elif rgb.dtype not in (np.uint8, np.uint16):
        raise InputError(f"cannot read {name}: {rgb.dtype} samples are not supported; save it with 8 or 16 bits")
    if kind == "png":
        with open_picture(data, kind, name) as picture:
            return upright(rgb, _orientation(picture))
    return np.ascontiguousarray(rgb)


def linear_to_srgb(linear: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    """Return sRGB-encoded values of linear light, clipped to [0, 1]; NaN becomes 0 (IEC 61966-2-1)."""
    clipped = np.clip(np.nan_to_num(linear, nan=0.0), 0.0, 1.0).astype(np.float32)
    curve = 1.055 * np.power(clipped, np.float32(1 / 2.4)) - 0.055
    return np.where(clipped <= 0.0031308, 12.92 * clipped, curve).astype(np.float32)


def _decode_exr(data: bytes, name: str, max_pixels: int) -> npt.NDArray[np.float32]:
    try:
        import OpenEXR
    except ImportError as error:
        raise MissingExtraError("OpenEXR", "exr", f"reading {name}") from error

    with tempfile.TemporaryDirectory() as folder:  # the library reads files; streams only in its newest versions
        path = Path(folder, "picture.exr")
        path.write_bytes(data)
        (left, top), (right, bottom) = OpenEXR.File(str(path), header_only=True).header()["dataWindow"]
        check_size(int(right - left + 1), int(bottom - top + 1), name, max_pixels)
        channels = {
            key: part.pixels for key, part in OpenEXR.File(str(path), separate_channels=True).channels().items()
        }
    if {"R", "G", "B"} <= channels.keys():
        planes = [channels[key] for key in "RGB"]
    elif "Y" in channels:
        planes = [channels["Y"]] * 3
    else:
        raise InputError(f"cannot read {name}: it has the channels {', '.join(sorted(channels))}, not R, G, B or Y")
    if len({plane.shape for plane in planes}) > 1:
        raise InputError(f"cannot read {name}: its colour channels differ in size (subsampled); save it as plain RGB")
    return linear_to_srgb(np.stack(planes, axis=-1).astype(np.float32))
