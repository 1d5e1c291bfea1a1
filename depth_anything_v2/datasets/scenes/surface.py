"""What a scene consists of, and the points, normals and texture coordinates that its pixels show."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from depth_anything_v2.datasets.scenes.raycast import Floats, Primitive, Shape, Vector, View, local_frame


@dataclass(frozen=True)
class Material:
    """How a surface looks: `tint` is linear RGB, `contrast` 0 means plain, `repeat` is textures per metre.

    `stretched` lays the texture once over each face. `mottle` and `bump` scale the noise in reflectance and in the
    normals, `gloss` the highlight of exponent `shine`, `glow` the light given off.
    """

    tint: tuple[float, float, float]
    texture: int = 1
    contrast: float = 0.0
    repeat: float = 1.0
    angle: float = 0.0
    offset: tuple[float, float] = (0.0, 0.0)
    stretched: bool = False
    mottle: float = 0.0
    bump: float = 0.0
    gloss: float = 0.0
    shine: float = 20.0
    glow: float = 0.0


@dataclass(frozen=True)
class Light:
    """A far light along `vector` (towards it) or a lamp at `vector`; `strength` at a distance of `reach` metres."""

    vector: Vector
    is_lamp: bool
    colour: tuple[float, float, float]
    strength: float
    reach: float = 1.0
    shadows: bool = False


@dataclass
class Scenery:
    """Everything that a picture is made of, apart from the textures."""

    kind: str
    view: View
    items: list[Primitive] = field(default_factory=list)
    materials: list[Material] = field(default_factory=list)
    lights: list[Light] = field(default_factory=list)
    ambient: tuple[float, float, float] = (0.3, 0.3, 0.3)
    ground_bounce: float = 0.5
    haze_m: float = 0.0
    haze_colour: tuple[float, float, float] = (0.7, 0.75, 0.8)
    sky_zenith: tuple[float, float, float] = (0.2, 0.35, 0.7)
    sky_horizon: tuple[float, float, float] = (0.7, 0.78, 0.85)
    clouds: float = 0.0
    sky_photo: int = 0


@dataclass(frozen=True)
class Surface:
    """Hit pixels sorted by object: `order` indexes the flat image, arrays are (N,) or (3, N)."""

    order: NDArray[np.intp]
    counts: NDArray[np.intp]
    depth: Floats
    point: Floats
    normal: Floats
    ray: Floats
    u: Floats
    v: Floats


def surface_of(
    items: Sequence[Primitive], materials: Sequence[Material], view: View, depth: Floats, index: NDArray[np.int16]
) -> Surface:
    """Return points, normals (both in the world) and texture coordinates of the hit pixels."""
    flat = index.ravel()
    order = np.argsort(flat, kind="stable")
    order = order[np.searchsorted(flat[order], 0) :]
    counts = np.bincount(flat[order], minlength=len(items))
    x, y = view.pixel_rays()
    column, row = order % view.width, order // view.width
    rx, ry, t = x[0][column], y[:, 0][row], depth.ravel()[order]
    n = order.size
    normal, u, v = np.empty((3, n), np.float32), np.empty(n, np.float32), np.empty(n, np.float32)
    start = 0
    for item, count in zip(items, counts, strict=True):
        if count == 0:
            continue
        part = slice(start, start + int(count))
        start += int(count)
        matrix, origin = local_frame(item, view)
        local = [
            origin[k] + t[part] * (matrix[k, 0] * rx[part] + matrix[k, 1] * ry[part] + matrix[k, 2]) for k in range(3)
        ]
        n_local, a, b = _local_surface(item, local, materials[item.material].stretched)
        normal[:, part] = item.rotation.astype(np.float32) @ n_local
        m = materials[item.material]
        c, s = np.float32(np.cos(m.angle)), np.float32(np.sin(m.angle))
        repeat = np.float32(1.0 if m.stretched else m.repeat)
        u[part] = repeat * (c * a - s * b) + np.float32(m.offset[0])
        v[part] = repeat * (s * a + c * b) + np.float32(m.offset[1])
    rotation = view.rotation.astype(np.float32)
    ray = rotation[:, :1] * rx + (rotation[:, 1:2] * ry + rotation[:, 2:])
    point = ray * t + view.position.astype(np.float32)[:, None]
    normal /= np.sqrt((normal * normal).sum(axis=0)) + np.float32(1e-12)
    away = (normal * ray).sum(axis=0) > 0
    normal *= np.where(away, np.float32(-1), np.float32(1))
    return Surface(order, counts, t, point, normal, ray, u, v)


def _local_surface(item: Primitive, p: list[Floats], stretched: bool) -> tuple[Floats, Floats, Floats]:
    """Return the normal (3, m) in the local axes and texture coordinates in metres (0..1 when stretched)."""
    half = item.half.astype(np.float32)
    if item.shape is Shape.QUAD:
        normal = np.zeros((3, p[0].size), np.float32)
        normal[2] = 1
        a, b = (p[0] + 1) / 2, (1 - p[1]) / 2
        if not stretched:
            a, b = p[0] * half[0], -p[1] * half[1]
    elif item.shape is Shape.BOX:
        q = np.stack(p)
        size = np.abs(q)
        axis = np.argmax(size, axis=0)
        # The power makes a narrow rounded edge: highlights there, flat faces elsewhere.
        normal = np.sign(q) * size**24 + np.float32(1e-20)
        q = q * np.float32(0.5) + np.float32(0.5) if stretched else q * half[:, None]
        a, b = np.where(axis == 0, q[1], q[0]), np.where(axis == 2, q[1], -q[2])
    else:
        turn = np.arctan2(p[1], p[0])
        a, b = turn * np.float32((half[0] + half[1]) / 2), -p[2] * half[2]
        if item.shape is Shape.FRUSTUM:
            normal, cap = _frustum_normal(item, p, half)
            a, b = np.where(cap, p[0] * half[0], a), np.where(cap, p[1] * half[1], b)
        else:
            normal = np.stack([p[k] / half[k] for k in range(3)])
        if stretched:
            a, b = turn * np.float32(0.5 / np.pi) + np.float32(0.5), (1 - p[2]) / 2
    return normal, np.asarray(a, np.float32), np.asarray(b, np.float32)


def _frustum_normal(item: Primitive, p: list[Floats], half: Floats) -> tuple[Floats, NDArray[np.bool_]]:
    """Return the normal (3, m) and which points lie on a cap: those on the rim keep the normal of the side."""
    slope = np.float32((item.taper - 1) / 2)
    radius = np.sqrt(p[0] * p[0] + p[1] * p[1]) + np.float32(1e-9)
    normal = np.stack([p[0] / half[0], p[1] / half[1], -slope * radius / half[2]])
    limit = np.where(p[2] > 0, np.float32(item.taper), np.float32(1))
    cap = (np.abs(p[2]) > np.float32(0.9995)) & (radius < limit * np.float32(0.998))
    normal[:, cap] = np.array([[0], [0], [1]], np.float32) * np.sign(p[2][cap])
    return normal, cap
