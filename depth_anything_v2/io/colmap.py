"""COLMAP models, text and binary: the measured points that one picture sees.

Formats: https://colmap.github.io/format.html
"""

from __future__ import annotations

import difflib
import struct
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from depth_anything_v2.camera import SAME_ASPECT, Camera
from depth_anything_v2.errors import InputError, OptionError

Floats = npt.NDArray[np.float64]
Ids = npt.NDArray[np.uint64]

# By the number that binary files use: name, parameters, and how many of them are focal lengths of a pinhole.
_MODELS: tuple[tuple[str, int, int], ...] = (
    ("SIMPLE_PINHOLE", 3, 1),
    ("PINHOLE", 4, 2),
    ("SIMPLE_RADIAL", 4, 1),
    ("RADIAL", 5, 1),
    ("OPENCV", 8, 2),
    ("OPENCV_FISHEYE", 8, 0),
    ("FULL_OPENCV", 12, 2),
    ("FOV", 5, 0),
    ("SIMPLE_RADIAL_FISHEYE", 4, 0),
    ("RADIAL_FISHEYE", 5, 0),
    ("THIN_PRISM_FISHEYE", 12, 0),
    ("RAD_TAN_THIN_PRISM_FISHEYE", 16, 0),
    ("SIMPLE_DIVISION", 4, 1),
    ("DIVISION", 5, 2),
    ("SIMPLE_FISHEYE", 3, 0),
    ("FISHEYE", 4, 0),
    ("EUCM", 6, 0),
    ("EQUIRECTANGULAR", 2, 0),
)
_NO_POINT = np.uint64(2**64 - 1)
_PLACES = (".", "sparse/0", "sparse", "0")  # of the model, below the folder given


@dataclass(frozen=True, eq=False)
class ColmapView:
    """What one picture of a model sees.

    name: in the model. width, height: of its camera. positions: (N, 2) observed x, y in pixels of it, (0, 0) the
    centre of the top-left one (COLMAP's own has (0.5, 0.5) there). depths: (N,) along the optical axis, positive, in
    the unit of the model, which is arbitrary unless the model was scaled. camera: its pinhole part, distortion left
    out; None for lenses that are no pinhole with distortion (fisheye, panorama).
    """

    name: str
    width: int
    height: int
    positions: Floats
    depths: Floats
    camera: Camera | None

    def samples(self, width: int, height: int, metres_per_unit: float = 1.0) -> Floats:
        """Return (N, 3) x, y and metres for the picture at width x height pixels, without points outside it.

        Raises InputError for a picture of another shape, OptionError for a scale that is not positive.
        """
        if not 0 < metres_per_unit < float("inf"):
            raise OptionError(f"the scale of a COLMAP model is a positive number of metres, not {metres_per_unit:g}")
        if abs(np.log(width * self.height / (height * self.width))) > SAME_ASPECT:
            raise InputError(
                f"'{self.name}' is {self.width} x {self.height} in the COLMAP model, the picture here {width} x "
                f"{height}, another shape: it was cropped, or turned by its EXIF orientation, which COLMAP ignores"
            )
        factor = np.array([width / self.width, height / self.height])
        x, y = ((self.positions + 0.5) * factor - 0.5).T
        inside = (x >= -0.5) & (x < width - 0.5) & (y >= -0.5) & (y < height - 0.5)
        return np.asarray(np.stack([x, y, self.depths * metres_per_unit], axis=1)[inside])


@dataclass(frozen=True, eq=False)
class _Image:
    name: str
    camera_id: int
    rotation: Floats
    translation: Floats
    positions: Floats
    point_ids: Ids


def read_colmap(folder: str | Path, name: str, *, stem_suffices: bool = False) -> ColmapView:
    """Return what the picture `name` sees in the model of `folder` (or its sparse/0, sparse or 0).

    name: as in the model, or a path whose last parts are; stem_suffices: 'x.npz' also finds 'x.jpg'. Distances come
    from the points and the pose, positions from the observations, so distortion plays no part.

    Raises InputError: no model, a damaged one, the picture not in it or there twice, no point seen in it.
    """
    model = _find_model(Path(folder))
    binary = (model / "images.bin").is_file()
    ending = "bin" if binary else "txt"
    paths = {what: model / f"{what}.{ending}" for what in ("cameras", "images", "points3D")}
    path = paths["images"]
    try:
        if binary:
            names = [image.name for image in _binary_images(path, None)]
            chosen = _choose(name, names, path, stem_suffices)
            image = next(_binary_images(path, chosen))
        else:
            names = [fields[9] for fields, _ in _text_images(path)]
            chosen = _choose(name, names, path, stem_suffices)
            image = next(_text_image(*pair) for pair in _text_images(path) if pair[0][9] == chosen)
        path = paths["cameras"]
        cameras = _binary_cameras(path) if binary else _text_cameras(path)
        model_name, width, height, values = next(camera[1:] for camera in cameras if camera[0] == image.camera_id)
        path = paths["points3D"]
        positions = _binary_points(path) if binary else _text_points(path)
        seen = {int(key) for key in image.point_ids}
        xyz = {key: point for key, point in positions if key in seen}
    except FileNotFoundError as error:
        raise InputError(f"cannot read the COLMAP model in '{model}': '{path.name}' is missing") from error
    except (OSError, ValueError, IndexError, StopIteration, OverflowError, struct.error) as error:
        why = " ".join(str(error).split()) or "a camera is missing"
        raise InputError(f"cannot read the COLMAP model: '{path}' is damaged ({why})") from error
    known = np.array([int(key) in xyz for key in image.point_ids], bool)
    points = np.array([xyz[int(key)] for key in image.point_ids[known]], np.float64).reshape(-1, 3)
    depths = points @ image.rotation[2] + image.translation[2]
    ahead = depths > 0
    if not ahead.any():
        raise InputError(f"the COLMAP model in '{model}' has no points that '{chosen}' sees: it was not triangulated")
    camera = _pinhole(model_name, width, height, values)
    return ColmapView(chosen, width, height, image.positions[known][ahead] - 0.5, depths[ahead], camera)


def _find_model(folder: Path) -> Path:
    for place in _PLACES:
        for ending in ("bin", "txt"):
            if (folder / place / f"images.{ending}").is_file():
                return folder / place
    why = "it has no images.bin or images.txt, nor has its sparse/0" if folder.is_dir() else "there is no such folder"
    raise InputError(f"cannot read '{folder}' as a COLMAP model: {why}")


def _choose(wanted: str, names: list[str], path: Path, stem_suffices: bool) -> str:
    """Return the name in the model that is meant: the whole, the same last parts, or else the same file name."""
    parts = PurePosixPath(wanted.replace("\\", "/")).parts
    tests: list[Callable[[tuple[str, ...]], bool]] = [
        lambda p: p == parts,
        lambda p: parts[-len(p) :] == p or p[-len(parts) :] == parts,
        lambda p: p[-1] == parts[-1],
    ]
    if stem_suffices:
        tests.append(lambda p: PurePosixPath(p[-1]).stem == PurePosixPath(parts[-1]).stem)
    split = {name: PurePosixPath(name.replace("\\", "/")).parts for name in names}
    for test in tests if parts else ():
        found = [name for name, own in split.items() if own and test(own)]
        if len(found) == 1:
            return found[0]
        if found:
            raise InputError(f"'{wanted}' may be {' or '.join(found[:3])} in '{path}': give the whole name")
    near = difflib.get_close_matches(parts[-1] if parts else wanted, names, 5, 0.3) or names[:5]
    listed = f"it has {len(names)}, such as {', '.join(near)}" if names else "it has none"
    raise InputError(f"the picture '{wanted}' is not in '{path}': {listed}")


def _rotation(quaternion: Iterable[float]) -> Floats:
    """Return (3, 3), world to camera, of a quaternion w, x, y, z."""
    q = np.array(list(quaternion), np.float64)
    norm = float(np.linalg.norm(q))
    if not 0 < norm < float("inf"):
        raise ValueError("a rotation is not a quaternion")
    w, x, y, z = q / norm
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def _pinhole(model: str, width: int, height: int, values: list[float]) -> Camera | None:
    focal = next((focal for name, _, focal in _MODELS if name == model), 0)
    if focal == 0:
        return None
    fx, fy, cx, cy = values[0], values[focal - 1], values[focal] - 0.5, values[focal + 1] - 0.5
    notes = (f"the distortion of COLMAP's {model} is left out",) if any(values[focal + 2 :]) else ()
    try:
        return Camera(width, height, fx, fy, cx, cy, "COLMAP", notes)
    except OptionError:  # the model did not converge; its points and pose may serve all the same
        return None


_Camera = tuple[int, str, int, int, list[float]]


def _text_cameras(path: Path) -> Iterator[_Camera]:
    for line in _text_lines(path):
        if line:
            fields = line.split()
            yield int(fields[0]), fields[1], int(fields[2]), int(fields[3]), [float(value) for value in fields[4:]]


def _text_images(path: Path) -> Iterator[tuple[list[str], str]]:
    """Yield the ten fields of the first line, and the second line, of every picture."""
    lines = _text_lines(path)
    for line in lines:
        if line:
            fields = line.split(maxsplit=9)
            if len(fields) != 10:
                raise ValueError(f"'{line[:60]}' has {len(fields)} fields, not 10")
            yield fields, next(lines, "")  # empty where no point was observed


def _text_image(fields: list[str], observed: str) -> _Image:
    pose = [float(value) for value in fields[1:8]]
    table = observed.split()
    if len(table) % 3:
        raise ValueError(f"the points of '{fields[9]}' are not threes of x, y and number")
    positions = np.array([table[0::3], table[1::3]], np.float64).T
    # -1 marks an observation without a point; in binary files it is the largest number.
    ids = np.array([int(value) % 2**64 for value in table[2::3]], np.uint64)
    return _view(fields[9], int(fields[8]), pose, positions, ids)


def _text_points(path: Path) -> Iterator[tuple[int, tuple[float, ...]]]:
    for line in _text_lines(path):
        if line:
            key, x, y, z = line.split(maxsplit=4)[:4]
            yield int(key), (float(x), float(y), float(z))


def _text_lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8") as file:
        for line in file:
            if not line.startswith("#"):
                yield line.strip()


def _view(name: str, camera_id: int, pose: Sequence[float], positions: Floats, ids: Ids) -> _Image:
    real = ids != _NO_POINT
    return _Image(name, camera_id, _rotation(pose[:4]), np.array(pose[4:]), positions[real], ids[real])


def _binary_cameras(path: Path) -> Iterator[_Camera]:
    with path.open("rb") as file:
        for _ in range(*_unpack(file, "<Q")):
            key, number, width, height = _unpack(file, "<iiQQ")
            if not 0 <= number < len(_MODELS):
                raise ValueError(f"camera model {number} is not known")
            name, count, _ = _MODELS[number]
            yield key, name, width, height, list(_unpack(file, f"<{count}d"))


def _binary_images(path: Path, wanted: str | None) -> Iterator[_Image]:
    """Yield the picture `wanted` with its observations, or all of them without."""
    with path.open("rb") as file:
        size = path.stat().st_size
        for _ in range(*_unpack(file, "<Q")):
            *pose, camera_id = _unpack(file, "<i7di")[1:]
            name = _text(file)
            (count,) = _unpack(file, "<Q")
            if count * 24 > size - file.tell():
                raise ValueError("the file is truncated")
            if wanted is None:
                file.seek(count * 24, 1)
                yield _view(name, camera_id, pose, np.empty((0, 2)), np.empty(0, np.uint64))
            elif name == wanted:
                table = np.frombuffer(file.read(count * 24), np.dtype([("xy", "<f8", 2), ("id", "<u8")]))
                yield _view(name, camera_id, pose, table["xy"].astype(np.float64), table["id"].astype(np.uint64))
            else:
                file.seek(count * 24, 1)


def _binary_points(path: Path) -> Iterator[tuple[int, tuple[float, ...]]]:
    with path.open("rb") as file:
        for _ in range(*_unpack(file, "<Q")):
            key, x, y, z, _, _, _, _, length = _unpack(file, "<Q3d3BdQ")
            file.seek(length * 8, 1)
            yield key, (x, y, z)


def _unpack(file: BinaryIO, layout: str) -> tuple[int, ...]:
    data = file.read(struct.calcsize(layout))
    return struct.unpack(layout, data)


def _text(file: BinaryIO) -> str:
    """Return the bytes up to a zero, as text."""
    data = bytearray()
    while (byte := file.read(1)) != b"\0":
        if not byte:
            raise ValueError("the file is truncated")
        data += byte
    return data.decode("utf-8")
