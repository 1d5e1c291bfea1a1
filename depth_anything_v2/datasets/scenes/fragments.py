"""The points, normals and texture coordinates that pixels show."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from depth_anything_v2.datasets.scenes.raycast import Hits
from depth_anything_v2.datasets.scenes.shapes import Shape
from depth_anything_v2.datasets.scenes.tables import Table


@dataclass(frozen=True, eq=False)
class Pixels:
    """N pixels of views: `view` (N,) or (1,) and `place` (N,), row * width + column, are int64; `ray` (3, N) is in the
    world.

    `ray` has length one along the optical axis, `x` and `y` (N,) are its parts along the camera's axes.
    """

    view: Tensor
    place: Tensor
    ray: Tensor
    x: Tensor
    y: Tensor

    def take(self, which: Tensor) -> Pixels:
        return Pixels(
            self.view.expand_as(self.place).index_select(0, which),
            self.place.index_select(0, which),
            self.ray.index_select(1, which),
            self.x.index_select(0, which),
            self.y.index_select(0, which),
        )


def pixels_of(views: Table, size: tuple[int, int], view: Tensor, place: Tensor) -> Pixels:
    """Return the pixels of views of one size (height, width)."""
    height, width = size
    pixel = views.at("pixel", view)
    x = ((place % width).float() + (0.5 - width / 2)) * pixel
    y = (torch.div(place, width, rounding_mode="floor").float() + (0.5 - height / 2)) * pixel
    r = views.at("rotation", view)
    ray = torch.stack([r[3 * k] * x + (r[3 * k + 1] * y + r[3 * k + 2]) for k in range(3)])
    return Pixels(view, place, ray, x, y)


@dataclass(frozen=True, eq=False)
class Fragments:
    """Surfaces seen through N pixels.

    `thing` and `shot` (N,) are rows of the tables of objects and shots; `depth` (N,), `point` (3, N) in metres.
    `face` (3, N) is the true normal, `normal` that with rounded edges, both of unit length in the world and towards
    the camera; `u` and `v` (N,) count whole textures.
    """

    pixels: Pixels
    thing: Tensor
    shot: Tensor
    depth: Tensor
    point: Tensor
    face: Tensor
    normal: Tensor
    u: Tensor
    v: Tensor


def fragments_of(hits: Hits, pixels: Pixels, views: Table, objects: Table, thing_of_entry: Tensor) -> Fragments:
    """Return the surfaces that `pixels`, all of which hit something, show."""
    count = hits.depth[0].numel()
    flat = pixels.view * count + pixels.place
    depth, entry = hits.depth.view(-1).index_select(0, flat), hits.entry.view(-1).index_select(0, flat)
    thing = thing_of_entry.index_select(0, entry)
    frame = hits.frames.index_select(1, entry)
    p = torch.stack(
        [
            torch.addcmul(
                frame[9 + k], depth, frame[3 * k] * pixels.x + (frame[3 * k + 1] * pixels.y + frame[3 * k + 2])
            )
            for k in range(3)
        ]
    )
    half = objects.at("half", thing)
    face, smooth, a, b = _on_shape(p, half, objects, thing)
    turn = objects.at("rotation", thing)
    away = None
    world = []
    for local in (face, smooth):
        normal = torch.stack([sum_of(turn[3 * k : 3 * k + 3], local) for k in range(3)])
        away = away if away is not None else -sum_of(normal, pixels.ray)
        world.append(normal * torch.copysign(unit(normal), away))
    c, s = objects.at("turn", thing)
    repeat, offset = objects.at("repeat", thing), objects.at("offset", thing)
    point = pixels.ray * depth + views.at("position", pixels.view)
    return Fragments(
        pixels,
        thing,
        objects.at("shot", thing).long().expand_as(thing),
        depth,
        point,
        world[0],
        world[1],
        repeat * (c * a - s * b) + offset[0],
        repeat * (s * a + c * b) + offset[1],
    )


def sum_of(row: Tensor, vector: Tensor) -> Tensor:
    """Return the inner products (N,) of vectors (3, N)."""
    return torch.addcmul(torch.addcmul(row[0] * vector[0], row[1], vector[1]), row[2], vector[2])


def unit(vector: Tensor) -> Tensor:
    """Return the factor (N,) that brings vectors (3, N) to unit length."""
    return torch.rsqrt(sum_of(vector, vector) + 1e-24)


def _on_shape(p: Tensor, half: Tensor, objects: Table, thing: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Return true and rounded normal (3, N) in the local axes and texture coordinates, in metres or 0..1."""
    face, smooth = torch.zeros_like(p), torch.zeros_like(p)
    u, v = torch.zeros_like(p[0]), torch.zeros_like(p[0])
    shape, stretched = objects.at("shape", thing).expand_as(thing), objects.at("stretched", thing).expand_as(thing)
    for number in Shape:
        which = (shape == int(number)).nonzero()[:, 0]
        if len(which) == 0:
            continue
        q, size = p.index_select(1, which), half.expand_as(p).index_select(1, which)
        if number is Shape.FRUSTUM:
            local = _on_frustum(q, size, objects.at("taper", thing[which]))
        else:
            local = {Shape.BOX: _on_box, Shape.QUAD: _on_quad}.get(number, _on_ball)(q, size)
        for whole, part in zip((face, smooth), local[:2], strict=True):
            whole.index_copy_(1, which, part)
        once = stretched.index_select(0, which)
        for coordinate, metres, share in ((u, local[2], local[4]), (v, local[3], local[5])):
            coordinate.index_copy_(0, which, torch.lerp(metres, share, once))
    return face, smooth, u, v


_Local = tuple[Tensor, Tensor, Tensor, Tensor, Tensor, Tensor]
"""True and rounded normal (3, n), texture coordinates in metres (two), and as shares of the face (two)."""


def _on_quad(p: Tensor, half: Tensor) -> _Local:
    normal = torch.zeros_like(p)
    normal[2] = 1
    return normal, normal, p[0] * half[0], -p[1] * half[1], (p[0] + 1) * 0.5, (1 - p[1]) * 0.5


def _on_box(p: Tensor, half: Tensor) -> _Local:
    size = p.abs()
    side = torch.ge(size, size.max(0).values, out=torch.empty_like(size))
    sign = torch.copysign(side, p)
    power = size * size
    power = power * power
    power = power * power
    # The power makes a narrow rounded edge: highlights there, flat faces elsewhere.
    rounded = torch.copysign(power * power * power + 1e-20, p)
    a, b = torch.lerp(p[0], p[1], side[0]), torch.lerp(-p[2], p[1], side[2])
    metres = p * half
    wide, tall = torch.lerp(metres[0], metres[1], side[0]), torch.lerp(-metres[2], metres[1], side[2])
    return sign, rounded, wide, tall, (a + 1) * 0.5, (b + 1) * 0.5


def _on_ball(p: Tensor, half: Tensor) -> _Local:
    normal = p / half
    turn = torch.atan2(p[1], p[0])
    around = turn * ((half[0] + half[1]) * 0.5)
    return normal, normal, around, -p[2] * half[2], turn * 0.15915494 + 0.5, (1 - p[2]) * 0.5


def _on_frustum(p: Tensor, half: Tensor, taper: Tensor) -> _Local:
    """Points on the rim of a cap keep the normal of the side, as a rounded rim would have it."""
    _, _, around, up, share, height = _on_ball(p, half)
    radius = (p[0] * p[0] + p[1] * p[1]).sqrt() + 1e-9
    limit = 1 + (taper - 1) * (p[2] > 0)
    cap = ((p[2].abs() > 0.9995) & (radius < limit * 0.998)).float()
    side = torch.stack([p[0] / half[0], p[1] / half[1], (0.5 - 0.5 * taper) * radius / half[2]])
    normal = side * (1 - cap)
    normal[2] += cap
    wide, tall = torch.lerp(around, p[0] * half[0], cap), torch.lerp(up, p[1] * half[1], cap)
    return normal, normal, wide, tall, share, height
