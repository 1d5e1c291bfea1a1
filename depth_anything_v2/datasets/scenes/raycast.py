"""Ray casting of a few analytic shapes, in tiles of pixels, for many views at once and on any device.

A ray through a pixel is `position + t * direction` where the direction has length one along the optical axis, so
that the ray parameter `t` is the planar depth. Every shape is a unit shape under a rotation and a scale per axis,
which leaves `t` unchanged. Conditions are written as products with 0 and 1: on a CPU, torch multiplies several times
faster than it selects.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from depth_anything_v2.datasets.scenes.shapes import Floats, Primitive, Shape, Solids, View

FAR = 1e30
"""Depth of what no object covers; a finite number, because it takes part in products with zero."""

_NEAR = 1e-3
_TILE_HEIGHT, _TILE_WIDTH = 8, 32
_TILE = _TILE_HEIGHT * _TILE_WIDTH
_CPU_CHUNK, _GPU_CHUNK = 384, 65536  # tiles at once: what fits into a core's cache, and what fills a GPU
_BITS = 24
_NOTHING = (int(np.float32(FAR).view(np.int32)) << _BITS) + (1 << _BITS) - 1


@dataclass(frozen=True, eq=False)
class Hits:
    """What V views of one size see.

    `depth` (V, H, W) float32 planar metres, `FAR` where nothing is hit. `entry` (V, H, W) int64 counts the objects of
    all views one after the other (of no meaning where nothing is hit). `frames` (12, entries) float32: the matrix
    and origin of `Solids.local_frames` of every entry.
    """

    depth: Tensor
    entry: Tensor
    frames: Tensor


def cast(items: Sequence[Primitive], view: View) -> tuple[Floats, NDArray[np.int16]]:
    """Return the planar depth (H, W), +inf where nothing is hit, and the index of the object seen (-1: none)."""
    hits = cast_views([(Solids.of(items), view)], torch.device("cpu"))
    depth, entry = hits.depth[0].numpy(), hits.entry[0].numpy()
    known = depth < FAR
    return np.where(known, depth, np.float32(np.inf)), np.where(known, entry, -1).astype(np.int16)


def cast_views(jobs: Sequence[tuple[Solids, View]], device: torch.device) -> Hits:
    """Cast the rays of views of one size, each with its own objects."""
    height, width = jobs[0][1].height, jobs[0][1].width
    down, across = -(-height // _TILE_HEIGHT), -(-width // _TILE_WIDTH)
    table = np.concatenate([_columns(solids, view) for solids, view in jobs], axis=1)
    tiles = _tiles(jobs, down, across)
    group = np.concatenate([2 * solids.shape + (solids.cutout > 0) for solids, _ in jobs])[tiles[0]]
    columns = torch.from_numpy(table).to(device)
    nearest = torch.full((len(jobs) * down * across * _TILE,), _NOTHING, dtype=torch.int64, device=device)
    inside = torch.arange(_TILE, device=device)
    pixel_x = (inside % _TILE_WIDTH).float() + (0.5 - width / 2)
    pixel_y = (inside // _TILE_WIDTH).float() + (0.5 - height / 2)
    chunk = _CPU_CHUNK if device.type == "cpu" else _GPU_CHUNK
    for number in np.unique(group):
        mine = torch.from_numpy(tiles[:, group == number]).to(device)
        for start in range(0, mine.shape[1], chunk):
            entry, tile, left, top = mine[:, start : start + chunk]
            column = columns.index_select(1, entry)[:, :, None]
            x, y = ((left.float()[:, None] + pixel_x) * column[12], (top.float()[:, None] + pixel_y) * column[12])
            t = _intersect(Shape(number // 2), bool(number % 2), column, x, y)
            key = (t.view(torch.int32).long() << _BITS).add_(entry[:, None])
            place = tile[:, None] * _TILE + inside
            nearest.scatter_reduce_(0, place.view(-1), key.view(-1), "amin")
    grid = nearest.view(len(jobs), down, across, _TILE_HEIGHT, _TILE_WIDTH).transpose(2, 3)
    whole = grid.reshape(len(jobs), down * _TILE_HEIGHT, across * _TILE_WIDTH)[:, :height, :width]
    depth = (whole >> _BITS).int().contiguous().view(torch.float32)
    return Hits(depth, (whole & ((1 << _BITS) - 1)).contiguous(), columns[:12])


def _columns(solids: Solids, view: View) -> Floats:
    """Return what the intersections need of each object (20, n): see `_intersect`."""
    matrix, origin = solids.local_frames(view)
    rest = np.stack([np.full(len(origin), 1 / view.focal_px), solids.taper, solids.open_top, solids.cutout])
    turn = solids.centre.sum(axis=1) * 7
    return np.concatenate([matrix.reshape(-1, 9).T, origin.T, rest, solids.half.T, turn[None]]).astype(np.float32)


def _tiles(jobs: Sequence[tuple[Solids, View]], down: int, across: int) -> NDArray[np.int64]:
    """Return entry, tile, left and top (4, n) of every tile that an object may cover."""
    rectangles = np.concatenate([solids.screen_rectangles(view) for solids, view in jobs])
    owner = np.repeat(np.arange(len(jobs)), [len(solids.shape) for solids, _ in jobs])
    seen = (rectangles[:, 0] < rectangles[:, 1]) & (rectangles[:, 2] < rectangles[:, 3])
    row, column = rectangles[:, 0] // _TILE_HEIGHT, rectangles[:, 2] // _TILE_WIDTH
    wide = -(-rectangles[:, 3] // _TILE_WIDTH) - column
    count = np.where(seen, wide * (-(-rectangles[:, 1] // _TILE_HEIGHT) - row), 0)
    entry = np.repeat(np.arange(len(count)), count)
    step = np.arange(len(entry)) - np.repeat(np.cumsum(count) - count, count)
    y, x = row[entry] + step // wide[entry], column[entry] + step % wide[entry]
    return np.stack([entry, (owner[entry] * down + y) * across + x, x * _TILE_WIDTH, y * _TILE_HEIGHT])


def _intersect(shape: Shape, holes: bool, column: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """Return the ray parameter (n, tile), `FAR` for a miss.

    `column` (20, n, 1) holds matrix (9), origin (3), 1 / focal length, taper, open top, cutout, half (3) and phase.
    """
    o = [column[9 + k] for k in range(3)]
    d = [torch.addcmul(column[3 * k + 1] * y + column[3 * k + 2], column[3 * k], x) for k in range(3)]
    if shape is Shape.BOX:
        t = _box(o, d)
    elif shape is Shape.QUAD:
        t = _quad(o, d)
    elif shape is Shape.FRUSTUM:
        t = _frustum(o, d, column[13], column[14])
    else:
        t = _ball(o, d, shape is Shape.BOWL)
    if holes:
        _punch(t, o, d, column)
    return t.nan_to_num_(nan=FAR).clamp_(max=FAR)


def _miss(t: Tensor, *amounts: Tensor) -> Tensor:
    """Put `t` out of reach where any of `amounts` (0 or 1) says so, or where it lies behind the camera."""
    for amount in amounts:
        t.add_(amount, alpha=FAR)
    return t.add_(_less(t, _NEAR), alpha=FAR)


def _less(a: Tensor, b: Tensor | float) -> Tensor:
    """Return 1.0 where a < b and 0.0 elsewhere."""
    return torch.lt(a, b, out=torch.empty_like(a))


def _safe(d: Tensor) -> Tensor:
    return d + 1e-20


def _box(o: list[Tensor], d: list[Tensor]) -> Tensor:
    near, far = torch.full_like(d[0], -FAR), torch.full_like(d[0], FAR)
    for axis in range(3):
        inverse = _safe(d[axis]).reciprocal_()
        middle = inverse * -o[axis]
        reach = inverse.abs_()
        near = torch.maximum(near, middle - reach)
        far = torch.minimum(far, middle.add_(reach))
    missed = _less(far, near)
    inside = _less(near, _NEAR)
    # Seen from inside, the box shows its far side.
    return _miss(torch.lerp(near, far, inside), missed)


def _quad(o: list[Tensor], d: list[Tensor]) -> Tensor:
    t = -o[2] / _safe(d[2])
    a, b = torch.addcmul(o[0], t, d[0]).abs_(), torch.addcmul(o[1], t, d[1]).abs_()
    return _miss(t, torch.gt(torch.maximum(a, b), 1, out=torch.empty_like(t)))


def _nearest_to_centre(o: list[Tensor], d: list[Tensor]) -> tuple[Tensor, Tensor, list[Tensor]]:
    """Return |d|^2, the parameter of the ray's point nearest to the centre, and that point.

    Solved from there, the equations of small, far things lose no digits.
    """
    square = torch.addcmul(torch.addcmul(d[0] * d[0], d[1], d[1]), d[2], d[2])
    middle = torch.addcmul(torch.addcmul(d[0] * o[0], d[1], o[1]), d[2], o[2]).div_(square).neg_()
    return square, middle, [torch.addcmul(o[k], middle, d[k]) for k in range(3)]


def _ball(o: list[Tensor], d: list[Tensor], lower_half: bool) -> Tensor:
    square, middle, p = _nearest_to_centre(o, d)
    rest = 1 - torch.addcmul(torch.addcmul(p[0] * p[0], p[1], p[1]), p[2], p[2])
    reach = rest.clamp(min=0).div_(square).sqrt_()
    missed = _less(rest, 0)
    sides = [middle - reach, middle + reach]
    if lower_half:
        for t in sides:
            t.add_(torch.gt(torch.addcmul(o[2], t, d[2]), 0, out=torch.empty_like(t)), alpha=FAR)
    return torch.minimum(*(_miss(t, missed) for t in sides))


def _frustum(o: list[Tensor], d: list[Tensor], taper: Tensor, open_top: Tensor) -> Tensor:
    mean, slope = (1 + taper) / 2, (taper - 1) / 2
    _, shift, (a, b, c) = _nearest_to_centre(o, d)
    radius, rate = mean + slope * c, slope * d[2]
    qa = torch.addcmul(torch.addcmul(d[0] * d[0], d[1], d[1]), rate, rate, value=-1)
    qb = torch.addcmul(torch.addcmul(a * d[0], b, d[1]), radius, rate, value=-1)
    qc = torch.addcmul(torch.addcmul(a * a, b, b), radius, radius, value=-1)
    # The root of a negative number is not a number, which counts as a miss.
    root = torch.addcmul(qb * qb, qa, qc, value=-1).sqrt_()
    inverse = _safe(qa).reciprocal_()
    found = []
    for candidate in ((root + qb).neg_() * inverse, (root - qb) * inverse):
        z = torch.addcmul(c, candidate, d[2])
        outside = torch.gt(z.abs(), 1, out=torch.empty_like(z))
        found.append(_miss(candidate + shift, outside, _less(mean + slope * z, 0)).nan_to_num_(nan=FAR))
    down = _safe(d[2]).reciprocal_()
    for side, reach, closed in ((-1.0, torch.ones_like(taper), 0.0), (1.0, taper, open_top)):
        t = (side - o[2]) * down
        x, y = torch.addcmul(o[0], t, d[0]), torch.addcmul(o[1], t, d[1])
        beyond = torch.addcmul(torch.addcmul(x * x, y, y), reach, reach, value=-1)
        found.append(_miss(t, torch.gt(beyond, 0, out=beyond) + closed))
    return torch.minimum(torch.minimum(found[0], found[1]), torch.minimum(found[2], found[3]))


def _punch(t: Tensor, o: list[Tensor], d: list[Tensor], column: Tensor) -> None:
    """Take the hit out of reach where three waves over the surface add up to more than the cutout allows."""
    at = t.clamp(max=1e4)
    p = [torch.addcmul(o[k], at, d[k]) * column[16 + k] for k in range(3)]
    frequency = 14.0 / torch.minimum(torch.minimum(column[16], column[17]), column[18]).clamp(min=1e-3)
    turn = column[19]
    wave = (frequency * (p[0] + 0.6 * p[2]) + turn).sin_()
    wave += (1.7 * frequency * (p[1] - 0.4 * p[0]) - turn).sin_()
    wave += (2.3 * frequency * (p[2] + 0.5 * p[1]) + 2 * turn).sin_()
    t.add_(torch.gt(wave, 3 - 3 * column[15], out=torch.empty_like(wave)), alpha=FAR)
