"""Files of measured points: x and y in pixels, and metres."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from depth_anything_v2.errors import InputError

POINTS_SUFFIXES: tuple[str, ...] = (".csv", ".txt", ".tsv", ".json", ".npy")
MAX_BYTES = 512 * 1024 * 1024

_NAMES = {
    "x": ("x", "u", "col", "column", "x_px"),
    "y": ("y", "v", "row", "y_px"),
    "metres": ("metres", "meters", "metre", "meter", "m", "depth_m", "distance_m", "depth", "distance", "z"),
}
_COLUMNS = ", ".join(_NAMES)

Points = npt.NDArray[np.float64]


def read_points(path: str | Path) -> Points:
    """Return (N, 3) float64: x, y (pixels, (0, 0) the centre of the top-left one) and metres of every point.

    .csv, .txt, .tsv: one point per line, separated by commas, semicolons, tabs or spaces, `#` starts a comment; a first
    line of names may give the columns in any order, among others. .json: a list of [x, y, metres] or of objects with
    these keys, bare or under "points". .npy: (N, 3) numbers. Names besides x, y, metres: u, v, column, row, m, meters,
    depth, depth_m, distance, distance_m, z.

    Raises InputError, with the line or point: a column is missing, no number, not finite, a distance that is not
    positive, no point at all.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in POINTS_SUFFIXES:
        raise InputError(f"cannot read '{path}' as points: its suffix is none of {', '.join(POINTS_SUFFIXES)}")
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"cannot read '{path}' as points: it is larger than {MAX_BYTES >> 20} MiB")
        if suffix == ".npy":
            return _from_npy(path)
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"cannot read '{path}' as points: it is not text in UTF-8") from error
    except OSError as error:
        why = "there is no such file" if isinstance(error, FileNotFoundError) else error.strerror or str(error)
        raise InputError(f"cannot read '{path}': {why}") from error
    return _from_json(text, path) if suffix == ".json" else _from_text(text, path)


def _from_npy(path: Path) -> Points:
    try:
        values = np.load(path, allow_pickle=False)
    except (ValueError, EOFError) as error:
        raise InputError(f"cannot read '{path}' as points: it is not a NumPy array ({error})") from error
    if not isinstance(values, np.ndarray) or values.ndim != 2 or values.shape[1] != 3 or values.dtype.kind not in "fiu":
        shape = getattr(values, "shape", "an archive")
        raise InputError(f"cannot read '{path}' as points: it is {shape}, not (N, 3) numbers: {_COLUMNS}")
    return _collect(((f"point {i + 1}", row) for i, row in enumerate(values.tolist())), path)


def _from_json(text: str, path: Path) -> Points:
    try:
        data = json.loads(text)
    except ValueError as error:
        raise InputError(f"cannot read '{path}' as points: it is not JSON ({error})") from error
    if isinstance(data, dict):
        data = data.get("points")
    if not isinstance(data, list):
        raise InputError(f"cannot read '{path}' as points: a list of [x, y, metres] is expected, bare or as 'points'")
    return _collect(((f"point {i + 1}", _json_point(row, i, path)) for i, row in enumerate(data)), path)


def _json_point(row: Any, index: int, path: Path) -> Sequence[Any]:
    if isinstance(row, dict):
        order = _order([str(key) for key in row], f"'{path}', point {index + 1}")
        values = list(row.values())
        return [values[k] for k in order]
    if not isinstance(row, list) or len(row) != 3:
        raise InputError(f"'{path}', point {index + 1}: {json.dumps(row)[:60]} is not [x, y, metres]")
    return row


def _from_text(text: str, path: Path) -> Points:
    lines = [(number, line.split("#")[0].strip()) for number, line in enumerate(text.splitlines(), 1)]
    lines = [(number, line) for number, line in lines if line]
    if not lines:
        raise InputError(f"'{path}' holds no point")
    separator = next((mark for mark in ";\t," if mark in lines[0][1]), None)
    rows = [(f"line {number}", _fields(line, separator)) for number, line in lines]
    where, first = rows[0]
    order: Sequence[int] = (0, 1, 2)
    named = any(re.match(r"[A-Za-z_]", name) and not _is_number(name) for name in first)
    if named:
        order = _order(first, f"'{path}', {where}")
        rows = rows[1:]
    width = len(first)
    for where, fields in rows:
        if not named and len(fields) != 3:
            raise InputError(
                f"'{path}', {where}: it has {len(fields)} columns, not {_COLUMNS}; name the columns in a first line if "
                "there are others"
            )
        if len(fields) != width:
            raise InputError(f"'{path}', {where}: it has {len(fields)} columns, the first line has {width}")
    return _collect(((where, [fields[k] for k in order]) for where, fields in rows), path)


def _fields(line: str, separator: str | None) -> list[str]:
    fields = [field.strip().strip("\"'") for field in line.split(separator)]
    if separator == ";":  # where the comma is the decimal point
        fields = [field.replace(",", ".") for field in fields]
    return fields


def _order(names: Sequence[str], where: str) -> list[int]:
    """Return the places of x, y and metres among the names of columns."""
    lower = [name.strip().lower() for name in names]
    found: Mapping[str, int | None] = {
        column: next((lower.index(name) for name in known if name in lower), None) for column, known in _NAMES.items()
    }
    missing = [column for column, place in found.items() if place is None]
    if missing:
        raise InputError(
            f"{where}: the column {' and '.join(missing)} is missing: points need {_COLUMNS}, here are "
            f"{', '.join(names)[:200]}"
        )
    return [place for place in found.values() if place is not None]


def _collect(rows: Iterator[tuple[str, Sequence[Any]]], path: Path) -> Points:
    """Return the rows as numbers, each checked; the first of a pair says where it stands."""
    points: list[list[float]] = []
    for where, row in rows:
        for column, value in zip(_NAMES, row, strict=True):
            if not _is_number(value):
                raise InputError(f"'{path}', {where}: {column} is {str(value)[:40]!r}, not a finite number")
        if float(row[2]) <= 0:
            raise InputError(f"'{path}', {where}: {float(row[2]):g} m is not a distance: leave the point out")
        points.append([float(value) for value in row])
    if not points:
        raise InputError(f"'{path}' holds no point")
    return np.array(points, np.float64)


def _is_number(value: Any) -> bool:
    try:
        return not isinstance(value, bool) and bool(np.isfinite(float(value)))
    except (TypeError, ValueError):
        return False
