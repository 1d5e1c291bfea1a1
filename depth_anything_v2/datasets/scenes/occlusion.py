"""Light that does not arrive: soft shadows of a lamp or the sun, and ambient occlusion between near surfaces."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from depth_anything_v2.datasets.scenes.fragments import Fragments, sum_of
from depth_anything_v2.datasets.scenes.raycast import Hits
from depth_anything_v2.datasets.scenes.shapes import Vector, View, look_at
from depth_anything_v2.datasets.scenes.surface import Light, Scenery
from depth_anything_v2.datasets.scenes.tables import Table

SHADOW_SIZE = 256
_SUN_AWAY = 30  # radii of the scene
_SEARCH, _FILTER = 5, 9
_WIDEST_TEXELS = 13.0


def shadow_view(lamp: Light, points: Vector) -> tuple[View, float]:
    """Return a view from the light that covers most of `points` (3, n), and the radius of the light in metres."""
    target = np.median(points, axis=1)
    radius = float(np.quantile(np.linalg.norm(points - target[:, None], axis=0), 0.95)) * 1.15 + 0.05
    if lamp.is_lamp:
        position, size = lamp.vector, lamp.size
        distance = float(np.linalg.norm(target - position)) + 1e-6
        focal = SHADOW_SIZE / 2 * max(distance / max(radius, 1e-6), 0.35)
    else:
        position = target + lamp.vector / np.linalg.norm(lamp.vector) * _SUN_AWAY * radius
        focal, size = SHADOW_SIZE / 2 * _SUN_AWAY, lamp.size * _SUN_AWAY * radius
    return View(position, look_at(position, target), focal, SHADOW_SIZE, SHADOW_SIZE), size


def casters(scene: Scenery, position: Vector) -> NDArray[np.intp]:
    """Return which objects throw shadows: not those that hold the light."""
    return np.array(
        [
            number
            for number, item in enumerate(scene.items)
            if item.casts and np.linalg.norm(item.centre - position) > 0.3 * np.linalg.norm(item.half)
        ],
        np.intp,
    )


def shadow_table(lights: Sequence[tuple[View, float]], device: torch.device) -> Table:
    """Return what `shadows` needs of lights, each a view and a size as `shadow_view` gives them."""
    return Table(
        {
            "rotation": np.stack([view.rotation.T.reshape(9) for view, _ in lights], axis=1),
            "position": np.stack([view.position for view, _ in lights], axis=1),
            "focal": [view.focal_px for view, _ in lights],
            "size": [size for _, size in lights],
        },
        device,
    )


def shadows(surface: Fragments, maps: Hits, lights: Table, light_of_shot: Tensor) -> Tensor:
    """Return 0 (dark) .. 1 (lit) per fragment, from depth pictures (L, S, S) taken at the lights.

    `light_of_shot` (shots,) is the row of the shot's light, -1 where it has none. Shadows widen with the distance
    between the thing and its shadow (percentage-closer soft shadows, Fernando 2005).
    """
    row = light_of_shot.index_select(0, surface.shot)
    none = row < 0
    row = row.clamp(min=0)
    r, position, focal = lights.at("rotation", row), lights.at("position", row), lights.at("focal", row)
    q, n = ([sum_of(r[3 * k : 3 * k + 3], w) for k in range(3)] for w in (surface.point - position, surface.face))
    z = q[2].clamp(min=1e-3)
    half = SHADOW_SIZE / 2
    ray_x, ray_y, texel = q[0] / z, q[1] / z, z / focal
    u, v = ray_x * focal + half, ray_y * focal + half
    # Depth along the surface changes from texel to texel; compared without that, slopes would shade themselves.
    facing = n[0] * ray_x + n[1] * ray_y + n[2]
    slope = -texel / torch.copysign(facing.abs().clamp(min=0.05), facing)
    slope_u, slope_v = n[0] * slope, n[1] * slope
    limit = z - 1.5 * texel - 0.5 * (slope_u.abs() + slope_v.abs()) - 0.002 * z.clamp(max=1.0)
    start = row * (SHADOW_SIZE * SHADOW_SIZE)
    depth = maps.depth.view(-1)
    phase = (surface.pixels.place.float() * 0.61803399).frac() * (2 * math.pi)
    c, s = torch.cos(phase), torch.sin(phase)

    def tap(k: int, count: int, radius: Tensor) -> tuple[Tensor, Tensor]:
        """Return the depth of the nearest thing and the depth it must have to leave the point lit."""
        angle, away = k * 2.399963, math.sqrt((k + 0.5) / count)
        dx, dy = away * math.cos(angle), away * math.sin(angle)
        du, dv = radius * (c * dx - s * dy), radius * (s * dx + c * dy)
        x, y = (u + du).clamp_(0, SHADOW_SIZE - 1).int(), (v + dv).clamp_(0, SHADOW_SIZE - 1).int()
        return depth.index_select(0, start + (y * SHADOW_SIZE + x)), limit + du * slope_u + dv * slope_v

    size = lights.at("size", row) / texel
    wide = (size * 0.35).clamp(1.0, _WIDEST_TEXELS)
    blocked, sum_near = torch.zeros_like(z), torch.zeros_like(z)
    for k in range(_SEARCH):
        found, needed = tap(k, _SEARCH, wide)
        hidden = torch.lt(found, needed, out=torch.empty_like(z))
        blocked += hidden
        sum_near += hidden * found.clamp(max=1e6)
    blocker = (sum_near / blocked.clamp(min=1)).clamp(min=1e-3)
    spread = (size * (z / blocker - 1)).clamp(0.9, _WIDEST_TEXELS)
    lit = torch.zeros_like(z)
    for k in range(_FILTER):
        lit += torch.ge(*tap(k, _FILTER, spread), out=torch.empty_like(z))
    outside = none | (q[2] < 1e-3) | ((u - half).abs() > half - 2) | ((v - half).abs() > half - 2)
    return (lit / _FILTER).masked_fill(outside, 1.0)


def ambient_occlusion(depth: Tensor, normal: Tensor, pixel: Tensor, step: int = 3) -> Tensor:
    """Return how open each pixel is, (V, H, W) 0..1, from the solid angle hidden by neighbours on the screen.

    `depth` (V, H, W), `normal` (V, 3, H, W) in the camera's axes, `pixel` (V,) the inverse focal lengths. It is
    computed at a third of the resolution.
    """
    height, width = depth.shape[1:]
    z = depth[:, step // 2 :: step, step // 2 :: step].clamp(max=1e6)
    n = normal[:, :, step // 2 :: step, step // 2 :: step].unbind(1)
    rows, columns = z.shape[1:]
    pixel = pixel.view(-1, 1, 1)
    x = (torch.arange(columns, device=z.device) * step + step // 2 + (0.5 - width / 2)) * pixel
    y = (torch.arange(rows, device=z.device)[:, None] * step + step // 2 + (0.5 - height / 2)) * pixel
    at = torch.stack([x * z, y * z, z], dim=1)
    typical = z.flatten(1).median(dim=1).values.view(-1, 1, 1)
    hidden = torch.zeros_like(z)
    reach_px = 0.035 * max(columns, rows)
    taps = [(r, a) for r in (1.0, 2.4) for a in range(5)]
    column, row = torch.arange(columns, device=z.device), torch.arange(rows, device=z.device)
    for r, a in taps:
        angle = 2 * math.pi * a / 5 + r
        dx, dy = round(reach_px * r * math.cos(angle)), round(reach_px * r * math.sin(angle))
        there = at[:, :, (row + dy).clamp(0, rows - 1)][:, :, :, (column + dx).clamp(0, columns - 1)]
        way = there - at
        length = (way * way).sum(1).sqrt() + 1e-6
        rise = (way[:, 0] * n[0] + way[:, 1] * n[1] + way[:, 2] * n[2]) / length
        reach = (2.5 * reach_px * r * step) * pixel * torch.minimum(z, typical * 2)
        hidden += (rise - 0.08).clamp(min=0) * (1 - length / reach).clamp(min=0)
    open_sky = (1 - hidden * (2.2 / len(taps) * 1.6)).clamp(0.15, 1)[:, None]
    smooth = torch.nn.functional.avg_pool2d(open_sky, 3, 1, 1, count_include_pad=False)
    return torch.nn.functional.interpolate(smooth, (height, width), mode="bilinear", align_corners=False)[:, 0]
