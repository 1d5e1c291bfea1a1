"""The shapes that scenes are made of, and the pinhole views from which they are seen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from math import cos, sin, sqrt

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Vector = NDArray[np.float64]


class Shape(IntEnum):
    """Unit shapes: the cube [-1, 1]^3, its square z = 0, the unit ball, a cone frustum, half a spherical shell."""

    BOX = 0
    QUAD = 1
    ELLIPSOID = 2
    FRUSTUM = 3
    BOWL = 4


@dataclass(frozen=True)
class Primitive:
    """One object of a scene.

    `centre` (3,) and `half` (3,) are in metres, `rotation` (3, 3) has the local axes as columns. `taper` is the
    radius of a frustum at the top over that at the bottom. `cutout` > 0 punches irregular holes (leaves). `casts`
    says whether the object throws a shadow, `backdrop` that it may fill the picture (walls, ground).
    """

    shape: Shape
    centre: Vector
    half: Vector
    rotation: Vector
    material: int
    taper: float = 1.0
    open_top: bool = False
    cutout: float = 0.0
    casts: bool = True
    backdrop: bool = False


@dataclass(frozen=True)
class View:
    """A pinhole view: `rotation` columns are right, down and forward in the world, the principal point is central."""

    position: Vector
    rotation: Vector
    focal_px: float
    height: int
    width: int

    @property
    def pose(self) -> Vector:
        """The matrix (4, 4) from the camera's axes (right, down, forward) to the world, in metres."""
        pose = np.eye(4)
        pose[:3, :3], pose[:3, 3] = self.rotation, self.position
        return pose

    def resized(self, height: int, width: int) -> View:
        """Return this view on another number of pixels; the height decides where the aspect changes."""
        return View(self.position, self.rotation, self.focal_px * height / self.height, height, width)


def look_at(position: Vector, target: Vector, roll: float = 0.0) -> Vector:
    """Return the rotation (columns right, down, forward) of a camera at `position` that looks at `target`."""
    # In plain numbers: thousands of bars are turned this way, and arrays of three are slow.
    x, y, z = (float(t) - float(p) for t, p in zip(target, position, strict=True))
    length = max(sqrt(x * x + y * y + z * z), 1e-9)
    x, y, z = x / length, y / length, z / length
    right = (y, -x, 0.0) if abs(z) < 0.999 else (-z, 0.0, x)
    scale = 1 / sqrt(right[0] ** 2 + right[1] ** 2 + right[2] ** 2)
    u, v, w = right[0] * scale, right[1] * scale, right[2] * scale
    down = (y * w - z * v, z * u - x * w, x * v - y * u)
    c, s = cos(roll), sin(roll)
    return np.array([[c * r + s * d, c * d - s * r, f] for r, d, f in zip((u, v, w), down, (x, y, z), strict=True)])


@dataclass(frozen=True, eq=False)
class Solids:
    """The shapes of a scene as arrays of one row per object, in double precision."""

    shape: NDArray[np.int64]
    centre: Vector
    half: Vector
    rotation: Vector
    taper: Vector
    open_top: NDArray[np.bool_]
    cutout: Vector

    @classmethod
    def of(cls, items: Sequence[Primitive]) -> Solids:
        count = len(items)
        return cls(
            np.array([int(item.shape) for item in items], np.int64),
            np.array([item.centre for item in items], float).reshape(count, 3),
            np.array([item.half for item in items], float).reshape(count, 3),
            np.array([item.rotation for item in items], float).reshape(count, 3, 3),
            np.array([item.taper for item in items], float),
            np.array([item.open_top for item in items], bool),
            np.array([item.cutout for item in items], float),
        )

    def take(self, which: NDArray[np.intp]) -> Solids:
        return Solids(*(getattr(self, name)[which] for name in self.__dataclass_fields__))

    def local_frames(self, view: View) -> tuple[Vector, Vector]:
        """Return the matrices (n, 3, 3) from ray directions to the unit frames and the ray origins (n, 3) there."""
        to_local = self.rotation.transpose(0, 2, 1) / self.half[:, :, None]
        return to_local @ view.rotation, np.einsum("nij,nj->ni", to_local, view.position - self.centre)

    def screen_rectangles(self, view: View) -> NDArray[np.int64]:
        """Return top, bottom, left and right (n, 4) of pixels that hold all of each object; empty where unseen."""
        corners = _CORNERS * self.half[:, None]
        corners[:, :, :2] *= np.where(self.shape == Shape.FRUSTUM, np.maximum(self.taper, 1), 1)[:, None, None]
        corners[:, :, 2] *= (self.shape != Shape.QUAD)[:, None]
        world = self.centre[:, None] + corners @ self.rotation.transpose(0, 2, 1)
        seen = (world - view.position) @ view.rotation
        first, last = seen[:, _EDGES[0]], seen[:, _EDGES[1]]
        # Where an edge goes through the plane just before the camera, its point there stands in for the end behind.
        share = (_BEFORE - first[..., 2]) / np.where(first[..., 2] == last[..., 2], 1, last[..., 2] - first[..., 2])
        cut = first + np.clip(share, 0, 1)[..., None] * (last - first)
        points = np.concatenate([seen, cut], axis=1)
        ahead = points[..., 2] >= _BEFORE * (1 - 1e-9)
        z = np.where(ahead, points[..., 2], 1)
        limits = []
        for axis, pixels in ((1, view.height), (0, view.width)):
            at = points[..., axis] / z * view.focal_px + pixels / 2
            low = np.where(ahead, at, np.inf).min(axis=1) - 1
            high = np.where(ahead, at, -np.inf).max(axis=1) + 2
            limits += [np.clip(low, 0, pixels), np.clip(high, 0, pixels)]
        return np.stack(limits, axis=1).astype(np.int64)


_BEFORE = 1e-3
_CORNERS = np.array([[i, j, k] for i in (-1.0, 1.0) for j in (-1.0, 1.0) for k in (-1.0, 1.0)])
_EDGES = np.array([(a, b) for a in range(8) for b in range(a + 1, 8) if (a ^ b) in (1, 2, 4)]).T
