"""A small PNG encoder: fast for depth maps, and with text chunks.

Every row is stored as its difference from the row above (filter 'up') at zlib level 1. On depth maps that
is about three times as fast as choosing a filter for every row, and no larger.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_GREY, _RGB = 0, 2


def encode_png(pixels: npt.NDArray[Any], text: Mapping[str, str]) -> bytes:
    """Return a PNG file of (H, W) uint8 or uint16, or (H, W, 3) uint8 RGB, with `text` as text chunks.

    Keys are 1 to 79 Latin-1 characters, values any text. Raises ValueError for other shapes and types.
    """
    colour = pixels.ndim == 3 and pixels.shape[2] == 3
    if not (colour or pixels.ndim == 2) or pixels.size == 0 or pixels.dtype not in (np.uint8, np.uint16):
        raise ValueError(f"a PNG holds (H, W) or (H, W, 3) of uint8 or uint16, not {pixels.dtype} {pixels.shape}")
    height, width = pixels.shape[:2]
    big_endian = np.ascontiguousarray(pixels, dtype=pixels.dtype.newbyteorder(">"))
    rows = big_endian.view(np.uint8).reshape(height, -1)
    filtered = np.empty((height, rows.shape[1] + 1), np.uint8)
    filtered[:, 0] = 2
    filtered[0, 1:] = rows[0]
    np.subtract(rows[1:], rows[:-1], out=filtered[1:, 1:])
    header = struct.pack(">IIBBBBB", width, height, pixels.itemsize * 8, _RGB if colour else _GREY, 0, 0, 0)
    chunks = [_chunk(b"IHDR", header)]
    chunks += [_text(key, value) for key, value in text.items()]
    chunks += [_chunk(b"IDAT", zlib.compress(filtered.data, 1)), _chunk(b"IEND", b"")]
    return SIGNATURE + b"".join(chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _text(key: str, value: str) -> bytes:
    keyword = key.encode("latin-1")
    if not 1 <= len(keyword) <= 79:
        raise ValueError(f"a PNG text key has 1 to 79 characters, not {len(keyword)}")
    if value.isascii() and "\0" not in value:
        return _chunk(b"tEXt", keyword + b"\0" + value.encode("ascii"))
    return _chunk(b"iTXt", keyword + b"\0\0\0\0\0" + value.replace("\0", " ").encode("utf-8"))
