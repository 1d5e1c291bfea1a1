"""Encoded pictures that OpenCV decodes: which they are, and how to keep it from writing to stderr."""

from __future__ import annotations

import io
import re
import struct
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import numpy.typing as npt

from depth_anything_v2.errors import InputError


def deep_size(data: bytes, kind: str) -> tuple[int, int] | None:
    """Return (width, height) of a file for OpenCV (more than 8 bits per sample, mostly), None for all others."""
    if kind == "png" and len(data) > 24 and data[24] == 16:
        width, height = struct.unpack(">II", data[16:24])
        return width, height
    if kind == "ppm":
        found = re.match(rb"P[25 36]\s*(?:#[^\n]*\n\s*)*(\d{1,9})\s+(\d{1,9})\s+(\d{1,5})\s", data[:1024])
        if found and int(found[3]) > 255:
            return int(found[1]), int(found[2])
    if kind == "tiff":
        tags = _tiff_tags(data)
        width, height = int(tags[256]), int(tags[257])
        bits = tags.get(258, (1,))
        # Pillow checks its process-wide pixel limit once more while it loads a TIFF.
        if max(_several(bits)) > 8 or _above_pillows_limit(width * height):
            return width, height
    return None


def _above_pillows_limit(pixels: int) -> bool:
    from PIL import Image

    return Image.MAX_IMAGE_PIXELS is not None and pixels > Image.MAX_IMAGE_PIXELS


def _tiff_tags(data: bytes) -> Any:
    from PIL.TiffImagePlugin import ImageFileDirectory_v2

    big = data[2:3] in (b"+", b"\0") and b"+" in data[2:4]
    directory = ImageFileDirectory_v2(data[: 16 if big else 8])
    stream = io.BytesIO(data)
    stream.seek(directory.next)
    directory.load(stream)
    return directory


def decode_bgr(data: bytes, kind: str, name: str) -> npt.NDArray[Any]:
    """Return (H, W), (H, W, 3) or (H, W, 4) in BGR order and in the file's depth; EXIF orientation not applied.

    name: what messages call the source. Raises InputError.
    """
    import cv2

    flags = cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
    if kind == "tiff" and _has_long_samples(data):
        flags = cv2.IMREAD_UNCHANGED  # OpenCV converts neither the channels of floats nor those of 32 bits
    elif kind == "png":
        data = _checked_png(data, name)
    try:
        with _quiet_opencv():
            bgr = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise InputError(f"cannot read {name}: OpenCV cannot decode it ({error.err})") from error
    if bgr is None:
        raise InputError(f"cannot read {name}: the file is damaged, or its kind of {kind.upper()} is not supported")
    return bgr


def _has_long_samples(data: bytes) -> bool:
    tags = _tiff_tags(data)
    bits, formats = tags.get(258, (1,)), tags.get(339, (1,))
    return max(_several(bits)) > 16 or 3 in _several(formats)


def _several(value: Any) -> tuple[Any, ...]:
    return value if isinstance(value, tuple) else (value,)


def _checked_png(data: bytes, name: str) -> bytes:
    """Return a PNG without the chunks that do not concern its pixels, or raise InputError when it is damaged.

    libpng writes what it dislikes to stderr, past every setting: it must not see it.
    """
    parts, packed, position = [data[:8]], zlib.decompressobj(), 8
    while position + 12 <= len(data):
        end = position + 12 + int.from_bytes(data[position : position + 4], "big")
        kind = data[position + 4 : position + 8]
        if kind[:1].isupper() or kind == b"tRNS":
            if zlib.crc32(data[position + 4 : end - 4]) != int.from_bytes(data[end - 4 : end], "big"):
                raise InputError(f"cannot read {name}: the file is damaged (a checksum is wrong)")
            parts.append(data[position:end])
        if kind == b"IDAT":
            rest = data[position + 8 : end - 4]
            while rest and not packed.eof:
                packed.decompress(rest, 1 << 20)
                rest = packed.unconsumed_tail
        if kind == b"IEND":
            break
        position = end
    if not packed.eof:
        raise InputError(f"cannot read {name}: the file is damaged (its pixels are incomplete)")
    return b"".join(parts)


_opencv_lock = threading.Lock()
_opencv_users = 0
_opencv_level = 0


@contextmanager
def _quiet_opencv() -> Iterator[None]:
    """Keep OpenCV's log off stderr while any thread decodes; the level of the process is put back after that."""
    global _opencv_users, _opencv_level
    import cv2

    with _opencv_lock:
        if _opencv_users == 0:
            _opencv_level = cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        _opencv_users += 1
    try:
        yield
    finally:
        with _opencv_lock:
            _opencv_users -= 1
            if _opencv_users == 0:
                cv2.utils.logging.setLogLevel(_opencv_level)
