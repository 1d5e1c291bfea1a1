"""Arrays of numbers out of MATLAB's older files (version 5 to 7, not HDF5).

Source: MathWorks, MAT-File Format, level 5. Only what index tables need: real numeric arrays, compressed or not.
"""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from depth_anything_v2.errors import InputError

_HEADER = 128
_MATRIX, _COMPRESSED = 14, 15
_TYPES = {1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8"}
_NUMERIC_CLASSES = range(6, 16)  # mxDOUBLE_CLASS to mxUINT64_CLASS


def read_mat5(path: Path) -> dict[str, npt.NDArray[Any]]:
    """Return name -> array of the numeric variables; others are left out. Raises InputError."""
    try:
        data = path.read_bytes()
        if len(data) < _HEADER or data[126:128] not in (b"IM", b"MI"):
            raise InputError(f"cannot read '{path}': it is not a MATLAB file of version 5 to 7")
        order = "<" if data[126:128] == b"IM" else ">"
        variables = {}
        for kind, content in _elements(data[_HEADER:], order):
            if kind == _COMPRESSED:
                kind, content = _elements(zlib.decompress(content), order)[0]
            if kind == _MATRIX and (found := _matrix(content, order)) is not None:
                variables[found[0]] = found[1]
    except FileNotFoundError as error:
        raise InputError(f"cannot read '{path}': there is no such file") from error
    except OSError as error:
        raise InputError(f"cannot read '{path}': {error.strerror}") from error
    except (struct.error, zlib.error, ValueError, IndexError, KeyError) as error:
        raise InputError(f"cannot read '{path}': the file is damaged ({error})") from error
    return variables


def _elements(data: bytes, order: str) -> list[tuple[int, bytes]]:
    """Return (type, content) of the elements one after the other; short ones hold their content in the tag."""
    elements, position = [], 0
    while position + 8 <= len(data):
        kind, size = struct.unpack_from(f"{order}II", data, position)
        start = position + 8
        if kind >> 16:
            kind, size, start = kind & 0xFFFF, kind >> 16, position + 4
        if start + size > len(data):
            raise ValueError("its end is missing")
        elements.append((kind, data[start : start + size]))
        ends_at = start + size
        position = ends_at if kind == _COMPRESSED else ends_at + -ends_at % 8
    return elements


def _matrix(content: bytes, order: str) -> tuple[str, npt.NDArray[Any]] | None:
    """Return name and array of a matrix element, None for one that is not numeric."""
    parts = _elements(content, order)
    if struct.unpack_from(f"{order}I", parts[0][1])[0] & 0xFF not in _NUMERIC_CLASSES:
        return None
    shape = np.frombuffer(parts[1][1], f"{order}i4")
    kind, values = parts[3]
    array = np.frombuffer(values, f"{order}{_TYPES[kind]}").reshape(shape, order="F")
    return parts[2][1].decode("ascii"), array
