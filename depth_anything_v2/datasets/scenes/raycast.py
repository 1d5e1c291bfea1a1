"""Vectorised ray casting of a few analytic shapes, each restricted to its bounding box on the image.

A ray through a pixel is `position + t * direction` where the direction has length one along the optical axis, so
that the ray parameter `t` is the planar depth. Every shape is a unit shape under a rotation and a scale per axis,
which leaves `t` unchanged.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]
Vector = NDArray[np.float64]
_NEAR = np.float32(1e-3)
_INF = np.float32(np.inf)


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

    def pixel_rays(self) -> tuple[Floats, Floats]:
        """Return x (1, W) and y (H, 1) of the ray directions (x, y, 1), pixel centres at integer + 0.5."""
        x = (np.arange(self.width, dtype=np.float32) + np.float32(0.5 - self.width / 2)) / np.float32(self.focal_px)
        y = (np.arange(self.height, dtype=np.float32) + np.float32(0.5 - self.height / 2)) / np.float32(self.focal_px)
        return x[None, :], y[:, None]


def look_at(position: Vector, target: Vector, roll: float = 0.0) -> Vector:
    """Return the rotation (columns right, down, forward) of a camera at `position` that looks at `target`."""
    forward = (target - position) / max(float(np.linalg.norm(target - position)), 1e-9)
    up = np.array([0.0, 0.0, 1.0]) if abs(forward[2]) < 0.999 else np.array([0.0, 1.0, 0.0])
    right = np.cross(forward, up)
    right /= np.linalg.norm(right)
    down = np.cross(forward, right)
    c, s = np.cos(roll), np.sin(roll)
    return np.stack([c * right + s * down, c * down - s * right, forward], axis=1)


def local_frame(item: Primitive, view: View) -> tuple[Floats, Floats]:
    """Return the matrix (3, 3) from ray directions to the unit frame of `item` and the ray origin (3,) there."""
    to_local = item.rotation.T / item.half[:, None]
    return (to_local @ view.rotation).astype(np.float32), (to_local @ (view.position - item.centre)).astype(np.float32)


def cast(items: Sequence[Primitive], view: View) -> tuple[Floats, NDArray[np.int16]]:
    """Return the planar depth (H, W), +inf where nothing is hit, and the index of the object seen (-1: none)."""
    depth = np.full((view.height, view.width), _INF, np.float32)
    index = np.full((view.height, view.width), -1, np.int16)
    x, y = view.pixel_rays()
    for number, item in enumerate(items):
        rectangle = _screen_rectangle(item, view)
        if rectangle is None:
            continue
        top, bottom, left, right = rectangle
        matrix, origin = local_frame(item, view)
        xs, ys = x[:, left:right], y[top:bottom]
        direction = (
            matrix[0, 0] * xs + (matrix[0, 1] * ys + matrix[0, 2]),
            matrix[1, 0] * xs + (matrix[1, 1] * ys + matrix[1, 2]),
            matrix[2, 0] * xs + (matrix[2, 1] * ys + matrix[2, 2]),
        )
        t = _intersect(item, origin, direction)
        if item.cutout > 0:
            _punch(t, item, origin, direction)
        block = depth[top:bottom, left:right]
        nearer = t < block
        np.copyto(block, t, where=nearer)
        np.copyto(index[top:bottom, left:right], np.int16(number), where=nearer)
    return depth, index


def _screen_rectangle(item: Primitive, view: View) -> tuple[int, int, int, int] | None:
    depth_half = 0.0 if item.shape is Shape.QUAD else 1.0
    corners = np.array([[i, j, k * depth_half] for i in (-1, 1) for j in (-1, 1) for k in (-1, 1)]) * item.half
    if item.shape is Shape.FRUSTUM and item.taper > 1:
        corners[:, :2] *= item.taper
    seen = (item.centre + corners @ item.rotation.T - view.position) @ view.rotation
    z = seen[:, 2]
    if z.max() <= 1e-3:
        return None
    if z.min() <= 1e-3:
        return 0, view.height, 0, view.width
    u = seen[:, 0] / z * view.focal_px + view.width / 2
    v = seen[:, 1] / z * view.focal_px + view.height / 2
    left, right = max(int(u.min()) - 1, 0), min(int(u.max()) + 2, view.width)
    top, bottom = max(int(v.min()) - 1, 0), min(int(v.max()) + 2, view.height)
    return None if left >= right or top >= bottom else (top, bottom, left, right)


def _intersect(item: Primitive, origin: Floats, direction: tuple[Floats, Floats, Floats]) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        if item.shape is Shape.BOX:
            return _box(origin, direction)
        if item.shape is Shape.QUAD:
            return _quad(origin, direction)
        if item.shape is Shape.FRUSTUM:
            return _frustum(origin, direction, item.taper, item.open_top)
        return _ball(origin, direction, item.shape is Shape.BOWL)


def _box(o: Floats, d: tuple[Floats, Floats, Floats]) -> Floats:
    near = np.full(d[0].shape, -_INF, np.float32)
    far = np.full(d[0].shape, _INF, np.float32)
    for axis in range(3):
        inverse = np.reciprocal(np.where(d[axis] == 0, np.float32(1e-12), d[axis]))
        middle = inverse * -o[axis]
        reach = np.abs(inverse)
        np.maximum(near, middle - reach, out=near)
        np.minimum(far, middle + reach, out=far)
    t = np.where(near > _NEAR, near, far)
    hit = (near <= far) & (far > _NEAR)
    return np.asarray(np.where(hit, t, _INF), np.float32)


def _quad(o: Floats, d: tuple[Floats, Floats, Floats]) -> Floats:
    t = -o[2] / d[2]
    hit = (np.abs(o[0] + t * d[0]) <= 1) & (np.abs(o[1] + t * d[1]) <= 1) & (t > _NEAR)
    return np.asarray(np.where(hit, t, _INF), np.float32)


def _ball(o: Floats, d: tuple[Floats, Floats, Floats], lower_half: bool) -> Floats:
    # From the point of the ray nearest to the centre: no cancellation for small, far balls.
    square = d[0] * d[0] + d[1] * d[1] + d[2] * d[2]
    middle = (d[0] * -o[0] - d[1] * o[1] - d[2] * o[2]) / square
    a, b, c = o[0] + middle * d[0], o[1] + middle * d[1], o[2] + middle * d[2]
    rest = 1 - (a * a + b * b + c * c)
    reach = np.sqrt(np.maximum(rest, 0) / square)
    near, far = middle - reach, middle + reach
    near_ok, far_ok = near > _NEAR, far > _NEAR
    if lower_half:
        near_ok &= o[2] + near * d[2] <= 0
        far_ok &= o[2] + far * d[2] <= 0
    t = np.where(near_ok, near, np.where(far_ok, far, _INF))
    return np.asarray(np.where(rest > 0, t, _INF), np.float32)


def _frustum(o: Floats, d: tuple[Floats, Floats, Floats], taper: float, open_top: bool) -> Floats:
    mean, slope = np.float32((1 + taper) / 2), np.float32((taper - 1) / 2)
    square = d[0] * d[0] + d[1] * d[1] + d[2] * d[2]
    shift = (d[0] * -o[0] - d[1] * o[1] - d[2] * o[2]) / square
    a, b, c = o[0] + shift * d[0], o[1] + shift * d[1], o[2] + shift * d[2]
    radius, radius_rate = mean + slope * c, slope * d[2]
    qa = d[0] * d[0] + d[1] * d[1] - radius_rate * radius_rate
    qb = a * d[0] + b * d[1] - radius * radius_rate
    qc = a * a + b * b - radius * radius
    root = np.sqrt(qb * qb - qa * qc)
    best = np.full(square.shape, _INF, np.float32)
    for candidate in ((-qb - root) / qa, (-qb + root) / qa):
        z = c + candidate * d[2]
        t = candidate + shift
        hit = (np.abs(z) <= 1) & (mean + slope * z >= 0) & (t > _NEAR)
        best = np.where(hit & (t < best), t, best)
    for side, cap_radius in ((-1.0, 1.0), (1.0, taper)):
        if (side > 0 and open_top) or cap_radius <= 0:
            continue
        t = (np.float32(side) - o[2]) / d[2]
        x, y = o[0] + t * d[0], o[1] + t * d[1]
        hit = (x * x + y * y <= np.float32(cap_radius**2)) & (t > _NEAR) & (t < best)
        best = np.where(hit, t, best)
    return best


def _punch(t: Floats, item: Primitive, o: Floats, d: tuple[Floats, Floats, Floats]) -> None:
    finite = np.where(np.isfinite(t), t, 0)
    p = [(o[k] + finite * d[k]) * np.float32(item.half[k]) for k in range(3)]
    frequency = np.float32(9.0 / max(float(item.half.min()), 1e-3))
    turn = np.float32(item.centre.sum() * 7)
    wave = np.sin(frequency * (p[0] + np.float32(0.6) * p[2]) + turn)
    wave += np.sin(np.float32(1.7) * frequency * (p[1] - np.float32(0.4) * p[0]) - turn)
    wave += np.sin(np.float32(2.3) * frequency * (p[2] + np.float32(0.5) * p[1]) + 2 * turn)
    t[wave > np.float32(3 - 3 * item.cutout)] = _INF
