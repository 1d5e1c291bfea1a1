"""Camera files, and the ways in which a user may say which camera it was."""

from __future__ import annotations

import dataclasses
import hashlib
import io
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from depth_anything_v2.camera import Camera, refuse_unlikely_focal
from depth_anything_v2.errors import InputError, OptionError
from depth_anything_v2.exif_camera import exif_camera
from depth_anything_v2.io.atomic import atomic_path

if TYPE_CHECKING:
    from depth_anything_v2.prediction import DepthPrediction

AUTO = "auto"
_DISTORTION = {*(f"k{n}" for n in range(1, 7)), "p1", "p2", "d", "dist", "distortion", "distortion_coefficients"}


@dataclass(frozen=True)
class CameraOptions:
    """Which camera took the pictures, said in one way, or in none.

    camera: 'auto' (EXIF) or a file for `read_camera`. fx, fy, cx, cy: pixels of the picture. focal_mm and
    sensor_width_mm belong together. fov_deg (horizontal), vertical_fov_deg, diagonal_fov_deg: degrees.

    Raises OptionError when it is said in two ways, or half, or with numbers that are no camera's in any picture.
    """

    camera: str = AUTO
    fx: float | None = None
    fy: float | None = None
    cx: float | None = None
    cy: float | None = None
    focal_mm: float | None = None
    sensor_width_mm: float | None = None
    fov_deg: float | None = None
    vertical_fov_deg: float | None = None
    diagonal_fov_deg: float | None = None

    def __post_init__(self) -> None:
        pixels = [self.fx, self.fy, self.cx, self.cy]
        lens = [self.focal_mm, self.sensor_width_mm]
        angles = [self.fov_deg, self.vertical_fov_deg, self.diagonal_fov_deg]
        groups = {"pixels": pixels, "millimetres": lens, "field of view": angles}
        ways = [name for name, values in groups.items() if any(value is not None for value in values)]
        if self.camera != AUTO:
            ways.append("file")
        if len(ways) > 1 or sum(angle is not None for angle in angles) > 1:
            raise OptionError(
                "say in one way which camera it was: a camera file, fx (fy, cx, cy) in pixels, a focal length with the "
                "sensor width in millimetres, or one field of view"
            )
        if self.fx is None and "pixels" in ways:
            raise OptionError("fy, cx and cy go with fx, the focal length in pixels: give --fx, too")
        if "millimetres" in ways and None in lens:
            raise OptionError(
                "a focal length in millimetres says nothing without the width of the sensor: give both, --focal-mm and "
                "--sensor-width-mm"
            )
        for focal in (self.fx, self.fy):
            if focal is not None and not (math.isfinite(focal) and focal > 0):
                raise OptionError(f"a focal length is a positive number of pixels, not {focal:g}")
        if "millimetres" in ways or "field of view" in ways:
            self.camera_for(1000, 1000)  # nonsense is said at once, not for one picture after the other

    @property
    def given(self) -> bool:
        """Whether a camera was said at all."""
        return self != CameraOptions()

    def describe(self) -> dict[str, Any]:
        """Return JSON data of what was said; {} for 'auto'."""
        return {key: value for key, value in dataclasses.asdict(self).items() if value not in (None, AUTO)}

    def shaping(self) -> dict[str, Any]:
        """Return what shapes an output, for resuming: as `describe`, a file with the digest of its contents.

        Raises InputError when the file cannot be read, OptionError when it is in no known form.
        """
        if self.camera == AUTO:
            return self.describe()
        data, _ = _load(Path(self.camera))
        return {"camera": self.camera, "sha256": hashlib.sha256(data).hexdigest()}

    def camera_for(
        self, width: int, height: int, exif: Mapping[str, Any] | None = None, *, known: Camera | None = None
    ) -> Camera:
        """Return the camera of a picture: as said, else the one `known`, else by EXIF, else assumed.

        known: of a prediction, for this size. Raises OptionError or InputError where what was said does not
        fit the picture.
        """
        if self.camera != AUTO:
            return read_camera(self.camera, width, height)
        if self.fx is not None:
            return Camera.from_pixels(width, height, self.fx, self.fy, self.cx, self.cy)
        if self.focal_mm is not None and self.sensor_width_mm is not None:
            return Camera.from_mm(width, height, self.focal_mm, self.sensor_width_mm)
        if self.given:
            return Camera.from_fov(
                width,
                height,
                horizontal_deg=self.fov_deg,
                vertical_deg=self.vertical_fov_deg,
                diagonal_deg=self.diagonal_fov_deg,
            )
        if known is not None:
            return known
        found, notes = exif_camera(exif or {}, width, height)
        return found or dataclasses.replace(Camera.assume(width, height), notes=notes)

    def applied(self, prediction: DepthPrediction, *, needed: bool = False) -> DepthPrediction:
        """Return the prediction with the camera that was said, else its own; needed: else with an assumed one."""
        if not self.given and (prediction.camera is not None or not needed):
            return prediction
        return prediction.replace(camera=self.camera_for(prediction.width, prediction.height, known=prediction.camera))


def read_camera(path: str | Path, width: int, height: int) -> Camera:
    """Return the camera in a file, for a picture of width x height pixels.

    JSON as `write_camera` writes it (or a depth file's JSON, with the key 'camera'): scaled with a note when
    the picture has another size of the same shape. Distortion (k1, p1, ...) is left out with a note. Or K alone,
    3 x 3, for this size: text with spaces or commas, JSON, or .npy.

    Raises InputError when the file cannot be read, OptionError when it holds no camera, or another picture's.
    """
    path = Path(path)
    _, content = _load(path)
    try:
        if not isinstance(content, dict):
            return Camera.from_matrix(content, width, height, source="file")
        told = content.get("camera", content)
        camera = Camera.from_dict(told)
        if "source" not in told:  # not written by us: a person may have mistaken the unit
            refuse_unlikely_focal(camera)
        camera = dataclasses.replace(camera, notes=(*camera.notes, *_left_out(told)))
        return camera.fitted(width, height)
    except OptionError as error:
        raise _refused(path, error) from error


def write_camera(camera: Camera, path: str | Path) -> Path:
    """Write a camera as JSON and return the path. Raises OutputError when it cannot be written."""
    with atomic_path(Path(path)) as file:
        file.write_text(json.dumps(camera.describe(), indent=2) + "\n", encoding="utf-8")
    return Path(path)


def _load(path: Path) -> tuple[bytes, Any]:
    """Return the bytes of a camera file, and what they hold: a dict (JSON object), or numbers."""
    try:
        data = path.read_bytes()
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"cannot read the camera file '{path}': {why}") from error
    try:
        return data, _content(data)
    except OptionError as error:
        raise _refused(path, error) from error


def _refused(path: Path, error: OptionError) -> OptionError:
    return OptionError(f"camera file '{path}': {error}")


def _left_out(told: Mapping[str, Any]) -> tuple[str, ...]:
    """Return a note that a distortion was not believed, if there is one."""
    values = {key: value if isinstance(value, list) else [value] for key, value in told.items()}
    named = [key for key, value in values.items() if key.lower() in _DISTORTION and any(value)]
    return (f"the distortion ({', '.join(named)}) is left out: a pinhole has none",) if named else ()


def _content(data: bytes) -> Any:
    """Return a dict (JSON object) or an array of numbers. Raises OptionError for anything else."""
    try:
        if data.startswith(b"\x93NUMPY"):
            return np.load(io.BytesIO(data), allow_pickle=False)
        text = data.decode("utf-8-sig").strip()
        if text.startswith(("{", "[")):
            content = json.loads(text)
            if isinstance(content, dict) and not isinstance(content.get("camera", {}), dict):
                raise ValueError("its key 'camera' holds no camera")
            return content
        rows = [line.split("#")[0].replace(",", " ").split() for line in text.splitlines()]
        return np.array([[float(value) for value in row] for row in rows if row])
    except (ValueError, EOFError, RecursionError) as error:
        raise OptionError(
            f"it is neither JSON with width, height, fx, fy, cx and cy nor a matrix K of 3 x 3 numbers ({error})"
        ) from error
