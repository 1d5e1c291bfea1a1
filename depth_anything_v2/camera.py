"""The camera behind a picture: a pinhole's intrinsics, where they came from, and what follows from them.

Axes are OpenCV's: x to the right, y down, z forward, right-handed. Pixel coordinates are OpenCV's too: the
centre of the top-left pixel is (0, 0), so that a picture reaches from -0.5 to width - 0.5.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from depth_anything_v2.config import Geometry
from depth_anything_v2.errors import OptionError

MAX_FOV_DEG = 170.0  # a pinhole sees less than 180 degrees, lenses without fisheye distortion about 130
MIN_FOV_DEG = 0.2  # a 2,000 mm lens with a doubler on a cropped sensor still sees a quarter of a degree
RADIANS_BELOW = 3.0  # a number below is more often an angle in radians than a lens of more than 600 mm
ASSUMED_FOV_DEG = 60.0  # along the longer side: between a phone's main camera (about 67) and a 35 mm lens (54)
SAME_ASPECT = 0.01  # sides of resized pictures are rounded: 4000 x 3000 becomes 518 x 389


@dataclass(frozen=True)
class Camera:
    """Intrinsics of a picture of width x height pixels.

    fx, fy: focal length in pixels. cx, cy: principal point, (0, 0) being the centre of the top-left pixel.
    source: where they came from: 'pixels', 'matrix', 'mm', 'field of view', 'EXIF', 'file', 'COLMAP', or
    'assumed'. notes: what a user should know about them (a scaled camera file, EXIF values ignored).

    Raises OptionError for sizes that are not positive, focal lengths that are not positive numbers, and a
    field of view over 170 degrees. The constructors `from_...` refuse more, and name the likely mistake.
    """

    width: int
    height: int
    fx: float
    fy: float
    cx: float
    cy: float
    source: str = "pixels"
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in ("width", "height"):
            value = getattr(self, name)
            if not math.isfinite(value) or value < 1 or int(value) != value:
                raise OptionError(f"the {name} of a camera is a whole number of pixels, not {value}")
            object.__setattr__(self, name, int(value))
        for name in ("fx", "fy", "cx", "cy"):
            object.__setattr__(self, name, float(getattr(self, name)))
        if not all(math.isfinite(value) and value > 0 for value in (self.fx, self.fy)):
            raise OptionError(f"a focal length is a positive number of pixels, not fx {self.fx:g}, fy {self.fy:g}")
        if not (math.isfinite(self.cx) and math.isfinite(self.cy)):
            raise OptionError(f"the principal point is two finite numbers, not {self.cx:g}, {self.cy:g}")
        widest = max(self.fov_deg)
        if widest > MAX_FOV_DEG:
            raise OptionError(
                f"a focal length of {self.fx:g} pixels on a picture of {self.width} x {self.height} is a field of view "
                f"of {widest:.0f} degrees, which no pinhole camera has: {_mistake(self.fx)}"
            )

    @property
    def assumed(self) -> bool:
        """True when nobody said which camera it was, and a field of view was assumed."""
        return self.source == "assumed"

    @property
    def matrix(self) -> npt.NDArray[np.float64]:
        """K, (3, 3) float64."""
        return np.array([[self.fx, 0, self.cx], [0, self.fy, self.cy], [0, 0, 1]], dtype=np.float64)

    @property
    def fov_deg(self) -> tuple[float, float]:
        """Horizontal and vertical field of view in degrees, from edge to edge of the picture."""
        return (
            _angle_deg(self.cx + 0.5, self.width - 0.5 - self.cx, self.fx),
            _angle_deg(self.cy + 0.5, self.height - 0.5 - self.cy, self.fy),
        )

    @classmethod
    def from_pixels(
        cls,
        width: int,
        height: int,
        fx: float,
        fy: float | None = None,
        cx: float | None = None,
        cy: float | None = None,
        source: str = "pixels",
    ) -> Camera:
        """Return the camera with focal lengths and principal point in pixels.

        fy: as fx (square pixels) when not given; cx, cy: the middle of the picture. Raises OptionError for
        what looks like millimetres, normalised intrinsics, or a camera of a picture of another size.
        """
        fy = fx if fy is None else fy
        cx = (width - 1) / 2 if cx is None else cx
        cy = (height - 1) / 2 if cy is None else cy
        camera = cls(width, height, fx, fy, cx, cy, source)
        refuse_unlikely_focal(camera)
        _refuse_unlikely_middle(camera)
        return camera

    @classmethod
    def from_matrix(cls, matrix: npt.ArrayLike, width: int, height: int, source: str = "matrix") -> Camera:
        """Return the camera of K (3, 3), in pixels of a picture of width x height.

        Raises OptionError for another shape, a transposed or skewed matrix, and as `from_pixels`.
        """
        k = _numbers(matrix)
        if k.shape != (3, 3):
            raise OptionError(
                f"a camera matrix K is 3 x 3, not {' x '.join(map(str, k.shape)) or 'one number'}"
                + ("; of a projection matrix (3 x 4) K is only one factor" if k.shape == (3, 4) else "")
            )
        if not np.isfinite(k).all():
            raise OptionError("the camera matrix K holds numbers that are not finite")
        if k[2, 2] == 1 and (k[2, :2] != 0).any() and (k[:2, 2] == 0).all():
            raise OptionError("the camera matrix K is transposed: the principal point belongs in the last column")
        if (k[2] != (0, 0, 1)).any() or k[1, 0] != 0:
            raise OptionError("this is not a camera matrix K: [[fx, 0, cx], [0, fy, cy], [0, 0, 1]] is expected")
        if abs(k[0, 1]) > 1e-3 * abs(k[0, 0]):
            raise OptionError(
                f"the camera matrix K has a skew of {k[0, 1]:g}, and only pixels with straight angles are known"
            )
        return cls.from_pixels(width, height, k[0, 0], k[1, 1], k[0, 2], k[1, 2], source)

    @classmethod
    def from_mm(cls, width: int, height: int, focal_mm: float, sensor_width_mm: float) -> Camera:
        """Return the camera of a lens: focal length and width of the sensor (as the picture lies) in millimetres.

        Raises OptionError for numbers that are not positive, or that give an implausible field of view.
        """
        _positive("focal length in millimetres", focal_mm)
        _positive("sensor width in millimetres", sensor_width_mm)
        fov = _angle_deg(sensor_width_mm / 2, sensor_width_mm / 2, focal_mm)
        if fov > MAX_FOV_DEG or fov < MIN_FOV_DEG:
            raise OptionError(
                f"a focal length of {focal_mm:g} mm on a sensor {sensor_width_mm:g} mm wide is a field of view of "
                f"{fov:.3g} degrees: is one of them in pixels, or are the two swapped?"
            )
        return cls(width, height, *_centred(width, height, focal_mm * width / sensor_width_mm), "mm")

    @classmethod
    def from_fov(
        cls,
        width: int,
        height: int,
        *,
        horizontal_deg: float | None = None,
        vertical_deg: float | None = None,
        diagonal_deg: float | None = None,
        source: str = "field of view",
    ) -> Camera:
        """Return the camera with square pixels that sees an angle, from edge to edge or corner to corner.

        Raises OptionError unless exactly one angle is given, between 3 and 170 degrees.
        """
        lengths = {"horizontal": width, "vertical": height, "diagonal": math.hypot(width, height)}
        angles = {"horizontal": horizontal_deg, "vertical": vertical_deg, "diagonal": diagonal_deg}
        given = [(name, angle) for name, angle in angles.items() if angle is not None]
        if len(given) != 1:
            raise OptionError("a field of view is one angle: horizontal, vertical or diagonal")
        name, angle = given[0]
        if not RADIANS_BELOW <= angle <= MAX_FOV_DEG:
            hint = (
                "is it in radians? Give degrees, or a lens that long in millimetres or pixels"
                if 0 < angle < RADIANS_BELOW
                else f"it lies between {RADIANS_BELOW:g} and {MAX_FOV_DEG:g}"
            )
            raise OptionError(f"a {name} field of view of {angle:g} degrees is not that of a pinhole camera: {hint}")
        return cls(
            width, height, *_centred(width, height, lengths[name] / 2 / math.tan(math.radians(angle) / 2)), source
        )

    @classmethod
    def from_exif(cls, exif: Mapping[str, Any], width: int, height: int) -> Camera | None:
        """Return the camera that a photograph's EXIF tells, None where it has no usable focal length.

        exif: tag names to values, already turned as the picture is (`io.exif.read_exif`); width, height: of the
        picture as it is now. How the values are read and which are ignored: `exif_camera`.
        """
        from depth_anything_v2.exif_camera import exif_camera

        return exif_camera(exif, width, height)[0]

    @classmethod
    def assume(cls, width: int, height: int, fov_deg: float = ASSUMED_FOV_DEG) -> Camera:
        """Return a camera for a picture of which nothing is known: `fov_deg` along the longer side."""
        if width >= height:
            return cls.from_fov(width, height, horizontal_deg=fov_deg, source="assumed")
        return cls.from_fov(width, height, vertical_deg=fov_deg, source="assumed")

    def resized(self, width: int, height: int) -> Camera:
        """Return the camera of the same picture resized to width x height pixels (edges stay edges)."""
        sx, sy = width / self.width, height / self.height
        cx, cy = (self.cx + 0.5) * sx - 0.5, (self.cy + 0.5) * sy - 0.5
        return dataclasses.replace(self, width=width, height=height, fx=self.fx * sx, fy=self.fy * sy, cx=cx, cy=cy)

    def cropped(self, x: int, y: int, width: int, height: int) -> Camera:
        """Return the camera of the crop whose top-left pixel is (x, y). Raises OptionError beyond the picture."""
        if x < 0 or y < 0 or width < 1 or height < 1 or x + width > self.width or y + height > self.height:
            raise OptionError(
                f"the crop {width} x {height} at {x}, {y} is not inside the picture of {self.width} x {self.height}"
            )
        return dataclasses.replace(self, width=width, height=height, cx=self.cx - x, cy=self.cy - y)

    def fitted(self, width: int, height: int) -> Camera:
        """Return the camera for a picture of another size but the same shape, with a note that it was scaled.

        Raises OptionError when the aspect differs by more than 1 %: it is the camera of another picture.
        """
        if (width, height) == (self.width, self.height):
            return self
        if abs(math.log(width * self.height / (height * self.width))) > SAME_ASPECT:
            raise OptionError(
                f"the camera is that of a picture of {self.width} x {self.height} pixels, this one is "
                f"{width} x {height}, another shape: it belongs to another picture, or this one was cropped or turned"
            )
        note = f"scaled from the camera of {self.width} x {self.height} pixels"
        return dataclasses.replace(self.resized(width, height), notes=(*self.notes, note))

    def rays(self) -> npt.NDArray[np.float64]:
        """Return (height, width, 3) float64: the direction through each pixel's centre, with z = 1."""
        rays = np.ones((self.height, self.width, 3))
        rays[..., 0], rays[..., 1] = self._xs(), self._ys()[:, None]
        return rays

    def ray_factor(self) -> npt.NDArray[np.float32]:
        """Return (height, width) float32: distance along the ray / planar depth, 1 at the principal point."""
        return np.sqrt(1 + self._xs() ** 2 + self._ys()[:, None] ** 2).astype(np.float32)

    def planar_to_ray(self, depth: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return distances from the camera (height, width) float32 for depths along the optical axis."""
        return np.asarray(self._sized(depth) * self.ray_factor(), dtype=np.float32)

    def ray_to_planar(self, distance: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
        """Return depths along the optical axis (height, width) float32 for distances from the camera."""
        return np.asarray(self._sized(distance) / self.ray_factor(), dtype=np.float32)

    def unproject(self, depth: npt.NDArray[Any], geometry: Geometry = "planar") -> npt.NDArray[np.float32]:
        """Return (height, width, 3) float32: the point of each pixel, in the unit of depth, camera frame."""
        z = self._sized(depth)
        if geometry == "ray":
            z = self.ray_to_planar(z)
        points = np.empty((self.height, self.width, 3), np.float32)
        points[..., 0] = self._xs() * z
        points[..., 1] = self._ys()[:, None] * z
        points[..., 2] = z
        return points

    def project(self, points: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
        """Return (N, 2) float64 pixel coordinates x, y of points (N, 3); NaN for those not in front (z <= 0).

        Raises OptionError for another shape.
        """
        xyz = np.asarray(points, dtype=np.float64)
        if xyz.ndim != 2 or xyz.shape[1] != 3:
            raise OptionError(f"points are (N, 3), not {xyz.shape}")
        z = np.where(xyz[:, 2] > 0, xyz[:, 2], np.nan)
        return np.stack([self.fx * xyz[:, 0] / z + self.cx, self.fy * xyz[:, 1] / z + self.cy], axis=1)

    def describe(self) -> dict[str, Any]:
        """Return JSON data; `from_dict` is its inverse."""
        data = {key: value for key, value in dataclasses.asdict(self).items() if key != "notes"}
        horizontal, vertical = self.fov_deg
        data["field_of_view_deg"] = [round(horizontal, 3), round(vertical, 3)]
        if self.notes:
            data["notes"] = list(self.notes)
        return data

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Camera:
        """Rebuild from `describe`. Raises OptionError when something is missing or no number."""
        names = ("width", "height", "fx", "fy", "cx", "cy")
        missing = [name for name in names if name not in data]
        if missing:
            raise OptionError(f"a camera needs {', '.join(names)}: missing is {', '.join(missing)}")
        try:
            values: dict[str, Any] = {name: float(data[name]) for name in names}
        except (TypeError, ValueError) as error:
            raise OptionError(f"a camera needs {', '.join(names)} as numbers ({error})") from error
        notes = tuple(str(note) for note in data.get("notes", ()))
        return cls(**values, source=str(data.get("source", "file")), notes=notes)

    def __str__(self) -> str:
        focal = f"fx {self.fx:.1f} px" if abs(self.fx / self.fy - 1) < 1e-3 else f"fx {self.fx:.1f} fy {self.fy:.1f} px"
        horizontal, vertical = self.fov_deg
        return f"{focal}, field of view {horizontal:.1f} x {vertical:.1f} degrees ({self.source})"

    def _xs(self) -> npt.NDArray[np.float64]:
        return (np.arange(self.width, dtype=np.float64) - self.cx) / self.fx

    def _ys(self) -> npt.NDArray[np.float64]:
        return (np.arange(self.height, dtype=np.float64) - self.cy) / self.fy

    def _sized(self, depth: npt.NDArray[Any]) -> npt.NDArray[Any]:
        if depth.shape != (self.height, self.width):
            raise OptionError(
                f"the camera is that of a picture of {self.width} x {self.height} pixels, the depth map is "
                f"{' x '.join(str(n) for n in depth.shape[::-1])}: use `resized` or `cropped` first"
            )
        return depth


def _angle_deg(before: float, after: float, focal: float) -> float:
    return math.degrees(math.atan(before / focal) + math.atan(after / focal))


def _centred(width: int, height: int, focal: float) -> tuple[float, float, float, float]:
    return focal, focal, (width - 1) / 2, (height - 1) / 2


def _positive(what: str, value: float) -> None:
    if not (math.isfinite(value) and value > 0):
        raise OptionError(f"the {what} must be a positive number, not {value:g}")


def _numbers(matrix: npt.ArrayLike) -> npt.NDArray[np.float64]:
    try:
        return np.asarray(matrix, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise OptionError(f"a camera matrix K is 3 x 3 numbers: {error}") from error


def _mistake(focal: float) -> str:
    if focal < 3:
        return "are the intrinsics normalised? Multiply fx and cx by the width, fy and cy by the height"
    return f"is {focal:g} in millimetres? Give it so, with the width of the sensor, or give the field of view"


def refuse_unlikely_focal(camera: Camera) -> None:
    """Raise OptionError for focal lengths that a user hardly means in pixels of this picture, naming the mistake."""
    size = f"a picture of {camera.width} x {camera.height}"
    horizontal, vertical = camera.fov_deg
    # A phone's or a camera's focal length in millimetres is 2 to 100; read as pixels it is a very wide lens.
    if max(horizontal, vertical) > 120 and camera.fx <= 100:
        raise OptionError(
            f"a focal length of {camera.fx:g} pixels on {size} is a field of view of {horizontal:.0f} degrees: "
            + _mistake(camera.fx)
        )
    if max(horizontal, vertical) < MIN_FOV_DEG:
        raise OptionError(
            f"a focal length of {camera.fx:g} pixels on {size} is a field of view of {horizontal:.2g} degrees: "
            "is it that of a much larger picture?"
        )
    if not 0.5 < camera.fx / camera.fy < 2:
        raise OptionError(
            f"fx {camera.fx:g} and fy {camera.fy:g} differ by more than a factor of two: are both in pixels of {size}?"
        )


def _refuse_unlikely_middle(camera: Camera) -> None:
    width, height = camera.width, camera.height
    size = f"a picture of {width} x {height}"
    across, down = (2 * camera.cx + 1) / width, (2 * camera.cy + 1) / height
    outside = not (0 <= across <= 2 and 0 <= down <= 2)
    # Off the middle by one factor both ways: what a matrix of the same scene at another size looks like.
    another_size = abs(across - down) < 0.05 and abs(across - 1) > 0.2
    if outside or another_size:
        guess = (
            f"about {across * width:.0f} x {down * height:.0f} pixels" if across > 0 and down > 0 else "another size"
        )
        raise OptionError(
            f"the principal point {camera.cx:g}, {camera.cy:g} is {'outside' if outside else 'far from the middle of'} "
            f"{size}: is this the camera of a picture of {guess}?"
        )
