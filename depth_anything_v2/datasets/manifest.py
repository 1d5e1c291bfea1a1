"""People's own data: a table (CSV or JSON lines) of pictures and their depth."""

from __future__ import annotations

import csv
import difflib
import io
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np

from depth_anything_v2.camera import Camera
from depth_anything_v2.config import Geometry, Kind
from depth_anything_v2.datasets.arrays import read_array
from depth_anything_v2.datasets.lists import read_text
from depth_anything_v2.datasets.reader import DepthDataset, frames_of_split
from depth_anything_v2.datasets.rgbd import camera_of_matrix
from depth_anything_v2.datasets.sample import DepthMap, Frame, Mask
from depth_anything_v2.errors import InputError, NoInputError, OptionError, suggestion
from depth_anything_v2.io.depth_files import read_depth
from depth_anything_v2.io.images import read_image

COLUMNS = ("image", "depth", "mask", "scale", "kind", "geometry", "intrinsics", "split", "scene", "name")
INTRINSICS = ("fx", "fy", "cx", "cy")
SUFFIXES = (".csv", ".tsv", ".jsonl", ".ndjson")


@dataclass(frozen=True)
class ManifestFrame(Frame):
    """One row. intrinsics: four numbers fx, fy, cx, cy, nine of K, or a text file with K; of the depth map's size."""

    scale: float | None = None
    kind: Kind | None = None
    geometry: Geometry | None = None
    intrinsics: tuple[float, ...] | Path | None = None


class Manifest(DepthDataset):
    """The rows of a manifest.

    path: .csv, .tsv (with a heading) or .jsonl (one object a line). Paths in it are relative to its folder. Columns,
    of which only image and depth must be there: mask (not 0 = valid); scale, the metres of one count ('0.001' or
    '1/5000'); kind ('metric' or 'relative'), geometry ('planar' or 'ray'); intrinsics ('fx fy cx cy', K, or a text
    file with K) or columns fx, fy, cx, cy; split, scene, name. Depth files: whatever `read_depth` reads; those that
    say what they are need no scale and kind, and a scale alone means metric.

    kind, scale, geometry: for the rows that say nothing. label: split of the rows that have none.
    Raises InputError with the line for a row that makes no sense, OptionError for an unknown column.
    """

    name = "manifest"

    def __init__(
        self,
        path: str | Path,
        *,
        split: str = "",
        label: str = "",
        kind: Kind | None = None,
        scale: float | None = None,
        geometry: Geometry | None = None,
        resize_image: bool = False,
    ) -> None:
        self.path = Path(path)
        defaults = ManifestFrame(Path(), Path(), split=label, scale=scale, kind=kind, geometry=geometry)
        rows = [_frame(row, number, self.path, defaults) for number, row in _rows(self.path)]
        if not rows:
            raise NoInputError(f"'{path}' has no rows: one for each picture is expected below the heading")
        chosen = frames_of_split(rows, split, f"no row of '{path}' has the split '{split}'")
        super().__init__(chosen, resize_image=resize_image)

    def read_depth(self, frame: Frame) -> DepthMap:
        row = frame if isinstance(frame, ManifestFrame) else ManifestFrame(**vars(frame))
        kind: Kind | None = row.kind or ("metric" if row.scale is not None else None)
        stored = read_depth(row.depth, kind=kind, scale=row.scale)
        if row.geometry and stored.geometry == "ray" != row.geometry:
            raise InputError(f"'{row.depth}' says that it holds distances along the ray, the manifest says planar")
        height, width = stored.depth.shape
        valid = stored.valid
        if row.mask is not None:
            valid = valid & _mask(row.mask, (height, width))
        return DepthMap(
            stored.depth,
            valid,
            stored.kind,
            row.geometry or stored.geometry,
            self._camera(row, width, height) or stored.camera,
        )

    def _camera(self, row: ManifestFrame, width: int, height: int) -> Camera | None:
        try:
            return _camera(row.intrinsics, width, height)
        except OptionError as error:
            raise InputError(f"the intrinsics of '{row.name}' cannot be right: {error}") from error


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield (number of the line, column -> value) without what is empty. Raises InputError, OptionError."""
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise OptionError(f"'{path}' is not a manifest: its suffix is none of {', '.join(SUFFIXES)}")
    text = read_text(path)
    for number, row in _json_rows(text, path) if suffix in (".jsonl", ".ndjson") else _table_rows(text, path):
        given = {key: value for key, value in row.items() if value is not None and value != ""}
        missing = [key for key in ("image", "depth") if key not in given]
        if missing:
            raise InputError(f"'{path}', line {number}: there is no {' and no '.join(missing)}")
        yield number, given


def _table_rows(text: str, path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    heading = text.splitlines()[0] if text.strip() else ""
    delimiter = max(",;\t", key=heading.count)
    reader = csv.reader(io.StringIO(text), delimiter=delimiter)
    columns: list[str] = []
    try:
        for values in reader:
            if not any(value.strip() for value in values):
                continue
            if not columns:
                columns = [value.strip().lower() for value in values]
                twice = sorted({column for column in columns if columns.count(column) > 1})
                if twice:
                    raise InputError(f"'{path}': the column '{twice[0]}' is there twice")
                _check_columns(columns, path, reader.line_num)
            elif len(values) != len(columns):
                raise InputError(
                    f"'{path}', line {reader.line_num}: {len(values)} values for {len(columns)} columns "
                    f"({', '.join(columns)})"
                )
            else:
                yield reader.line_num, {key: value.strip() for key, value in zip(columns, values, strict=True)}
    except csv.Error as error:
        raise InputError(f"'{path}', line {reader.line_num}: {error}") from error


def _json_rows(text: str, path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except ValueError as error:
            raise InputError(f"'{path}', line {number}: it is not JSON ({error})") from error
        if not isinstance(row, dict):
            raise InputError(f"'{path}', line {number}: an object with the keys image and depth is expected")
        _check_columns(list(row), path, number)
        yield number, row


def _check_columns(columns: Sequence[str], path: Path, number: int) -> None:
    known = (*COLUMNS, *INTRINSICS)
    for column in columns:
        if column not in known:
            hint = suggestion(column, known, "the known ones are")
            raise OptionError(f"'{path}', line {number}: unknown column '{column}': {hint}")


def _frame(row: Mapping[str, Any], number: int, path: Path, defaults: ManifestFrame) -> ManifestFrame:
    """Return the frame of a row. Raises InputError with the line for values that make no sense."""
    base = path.parent
    try:
        image = base / str(row["image"])
        return ManifestFrame(
            image,
            base / str(row["depth"]),
            base / str(row["mask"]) if "mask" in row else None,
            scene=str(row.get("scene", "")),
            name=str(row.get("name", row["image"])),
            split=str(row.get("split", defaults.split)),
            scale=_scale(row["scale"]) if "scale" in row else defaults.scale,
            kind=_choice("kind", row["kind"], get_args(Kind)) if "kind" in row else defaults.kind,
            geometry=_choice("geometry", row["geometry"], get_args(Geometry))
            if "geometry" in row
            else defaults.geometry,
            intrinsics=_intrinsics(row, base),
        )
    except ValueError as error:
        raise InputError(f"'{path}', line {number}: {error}") from error


def _choice(column: str, value: Any, choices: Sequence[str]) -> Any:
    if value in choices:
        return value
    nearest = difflib.get_close_matches(str(value), choices, n=1)
    hint = f": did you mean '{nearest[0]}'?" if nearest else ""
    raise ValueError(f"{column} is {' or '.join(choices)}, not '{value}'{hint}")


def _scale(value: Any) -> float:
    """Return metres of one count, from a number or a fraction ('1/5000')."""
    above, _, below = str(value).partition("/")
    try:
        scale = float(above) / float(below or 1)
    except (ValueError, ZeroDivisionError):
        scale = 0.0
    if not 0 < scale < float("inf"):
        raise ValueError(f"scale is the metres of one count, a positive number or a fraction ('1/5000'), not '{value}'")
    return scale


def _intrinsics(row: Mapping[str, Any], base: Path) -> tuple[float, ...] | Path | None:
    single = [column for column in INTRINSICS if column in row]
    if single and "intrinsics" in row:
        raise ValueError("intrinsics are given twice, in a column of their own and as fx, fy, cx, cy")
    if single:
        if len(single) < 4:
            missing = [column for column in INTRINSICS if column not in row]
            raise ValueError(f"intrinsics are fx, fy, cx and cy: {', '.join(missing)} missing")
        return tuple(float(row[column]) for column in INTRINSICS)
    value = row.get("intrinsics")
    if value is None:
        return None
    if isinstance(value, str):
        words = value.replace(",", " ").replace(";", " ").split()
        try:
            numbers = tuple(float(word) for word in words)
        except ValueError:
            return base / value
    elif isinstance(value, dict):
        return _intrinsics(value, base)
    else:
        try:
            numbers = tuple(float(number) for number in np.ravel(value))
        except (TypeError, ValueError):
            numbers = ()
    if len(numbers) not in (4, 9):
        raise ValueError(f"intrinsics are four numbers (fx fy cx cy), the nine of K, or a text file, not '{value}'")
    return numbers


def _camera(intrinsics: tuple[float, ...] | Path | None, width: int, height: int) -> Camera | None:
    if intrinsics is None:
        return None
    if isinstance(intrinsics, Path):
        return camera_of_matrix(intrinsics, width, height)
    if len(intrinsics) == 9:
        return Camera.from_matrix(np.reshape(intrinsics, (3, 3)), width, height, source="file")
    fx, fy, cx, cy = intrinsics
    return Camera.from_pixels(width, height, fx, fy, cx, cy, source="file")


def _mask(path: Path, size: tuple[int, int]) -> Mask:
    """Return where a mask (picture or .npy) is not 0. Raises InputError when it is of another size."""
    values = read_array(path) if path.suffix.lower() == ".npy" else read_image(path)
    mask: Mask = np.asarray((values.max(axis=2) if values.ndim == 3 else values) != 0)
    if mask.shape != size:
        raise InputError(
            f"the mask '{path}' is {' x '.join(map(str, mask.shape[::-1]))} pixels, the depth map {size[1]} x {size[0]}"
        )
    return mask
