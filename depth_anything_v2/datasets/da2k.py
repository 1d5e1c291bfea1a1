"""DA-2K (Yang et al. 2024, section 6): pictures with pairs of points, of which the nearer one is known."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from depth_anything_v2.datasets.lists import read_text
from depth_anything_v2.datasets.sample import Image
from depth_anything_v2.errors import InputError, NoInputError
from depth_anything_v2.io.images import read_image, to_uint8

ANNOTATIONS = "annotations.json"
SCENE_TYPES = (
    "indoor",
    "outdoor",
    "non_real",
    "transparent_reflective",
    "adverse_style",
    "aerial",
    "underwater",
    "object",
)


@dataclass(frozen=True)
class PointPair:
    """Two points (row, column) of one picture. closer: 1 or 2, which of them is nearer."""

    point1: tuple[int, int]
    point2: tuple[int, int]
    closer: int


@dataclass(frozen=True)
class PairSample:
    """A picture with its pairs. scene: one of SCENE_TYPES, '' where the path does not say; name: path as annotated."""

    path: Path
    pairs: tuple[PointPair, ...]
    scene: str
    name: str

    @property
    def image(self) -> Image:
        """The picture, (H, W, 3) uint8 RGB, read from disk each time. Raises InputError."""
        return to_uint8(read_image(self.path))


def load_da2k(folder: str | Path) -> list[PairSample]:
    """Return the pictures of a copy of DA-2K, in the order of its annotations; no picture is read.

    folder: the one with `annotations.json`, an object of picture path -> list of {"point1": [row, column],
    "point2": [row, column], "closer_point": "point1"}. Raises NoInputError without that file or any annotation,
    InputError for one that does not look like this, or when none of the pictures is there.
    """
    folder = Path(folder)
    path = folder / ANNOTATIONS
    if not path.is_file():
        raise NoInputError(f"there is no {ANNOTATIONS} in '{folder}': give the folder of DA-2K")
    try:
        data = json.loads(read_text(path))
    except ValueError as error:
        raise InputError(f"cannot read '{path}': it is not JSON ({error})") from error
    if not isinstance(data, dict):
        raise InputError(f"cannot read '{path}': an object of picture -> annotations is expected")
    if not data:
        raise NoInputError(f"'{path}' holds no annotations")
    samples = [
        PairSample(folder.joinpath(*PurePosixPath(name).parts), _pairs(entries, name, path), scene_type(name), name)
        for name, entries in data.items()
    ]
    if not any(sample.path.is_file() for sample in samples):
        raise InputError(f"none of the {len(samples)} pictures of '{path}' is there: '{samples[0].path}', for example")
    return samples


def scene_type(name: str) -> str:
    """Return which of SCENE_TYPES a path names: as a folder, or at the beginning of a folder's or the file's name."""
    parts = PurePosixPath(name).parts
    exact = (kind for kind in SCENE_TYPES if kind in parts)
    begins = (kind for part in reversed(parts) for kind in SCENE_TYPES if part.startswith(kind))
    return next(exact, None) or next(begins, "")


def _pairs(entries: Any, name: str, path: Path) -> tuple[PointPair, ...]:
    pairs = []
    try:
        for entry in entries:
            points = [(int(entry[key][0]), int(entry[key][1])) for key in ("point1", "point2")]
            if entry["closer_point"] not in ("point1", "point2"):
                raise ValueError(f"closer_point is '{entry['closer_point']}'")
            pairs.append(PointPair(points[0], points[1], 1 if entry["closer_point"] == "point1" else 2))
    except (KeyError, IndexError, TypeError, ValueError) as error:
        raise InputError(
            f"'{path}': the annotation of '{name}' is not two points and the closer one ({error!r})"
        ) from error
    return tuple(pairs)
