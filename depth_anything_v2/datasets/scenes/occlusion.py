"""Light that does not arrive: shadows of a lamp or the sun, and ambient occlusion between near surfaces."""

from __future__ import annotations

import numpy as np

from depth_anything_v2.datasets.scenes.raycast import Floats, View, cast, look_at
from depth_anything_v2.datasets.scenes.surface import Light, Scenery, Surface


def shadow(scene: Scenery, lamp: Light, surface: Surface, size: int = 256) -> Floats:
    """Return 0 (dark) .. 1 (lit) per point, from a depth picture taken at the light."""
    near = surface.depth <= np.quantile(surface.depth[:: max(1, surface.depth.size // 2000)], 0.8)
    sample = surface.point[:, near][:, :: max(1, int(near.sum()) // 500)].astype(np.float64)
    target = np.median(sample, axis=1)
    radius = float(np.quantile(np.linalg.norm(sample - target[:, None], axis=0), 0.95)) * 1.15 + 0.05
    if lamp.is_lamp:
        position = lamp.vector
        distance = float(np.linalg.norm(target - position)) + 1e-6
        focal = size / 2 * max(distance / max(radius, 1e-6), 0.35)
    else:
        distance = 30 * radius
        position = target + lamp.vector / np.linalg.norm(lamp.vector) * distance
        focal = size / 2 * 30
    view = View(position, look_at(position, target), focal, size, size)
    casters = [
        item
        for item in scene.items
        if item.casts and np.linalg.norm(item.centre - position) > 0.3 * np.linalg.norm(item.half)
    ]
    if not casters:
        return np.ones(surface.depth.shape, np.float32)
    depth, _ = cast(casters, view)
    seen = view.rotation.T.astype(np.float32) @ (surface.point - position.astype(np.float32)[:, None])
    z = np.maximum(seen[2], np.float32(1e-3))
    u = seen[0] / z * np.float32(focal) + np.float32(size / 2)
    v = seen[1] / z * np.float32(focal) + np.float32(size / 2)
    texel = z / np.float32(focal)
    bias = 2.5 * texel + (0.01 * np.minimum(z, 1.0) if lamp.is_lamp else 0.004 * radius)
    lit = np.zeros(surface.depth.shape, np.float32)
    inside = (seen[2] > 1e-3) & (np.abs(u - size / 2) < size / 2 - 2) & (np.abs(v - size / 2) < size / 2 - 2)
    safe_u, safe_v = np.where(inside, u, 2), np.where(inside, v, 2)
    for du, dv in ((-0.9, -0.4), (0.4, -0.9), (0.9, 0.4), (-0.4, 0.9)):
        at = depth[(safe_v + np.float32(dv)).astype(np.int32), (safe_u + np.float32(du)).astype(np.int32)]
        lit += at > z - bias
    return np.where(inside, lit / 4, 1).astype(np.float32)


def ambient_occlusion(view: View, depth: Floats, surface: Surface, step: int = 3) -> Floats:
    """Return 0..1 per point from the solid angle hidden by neighbours on the screen, at a third of the resolution."""
    import cv2

    small = depth[step // 2 :: step, step // 2 :: step]
    rows, columns = small.shape
    normals = np.zeros((view.height * view.width, 3), np.float32)
    normals[surface.order] = surface.normal.T @ view.rotation.astype(np.float32)
    n = normals.reshape(view.height, view.width, 3)[step // 2 :: step, step // 2 :: step]
    x, y = view.pixel_rays()
    x, y = x[:, step // 2 :: step], y[step // 2 :: step]
    z = np.where(np.isfinite(small), small, 1e6).astype(np.float32)
    px, py = x * z, y * z
    typical = float(np.median(z))
    hidden = np.zeros_like(z)
    reach_px = 0.035 * columns
    taps = [(r, a) for r in (1.0, 2.4) for a in range(5)]
    for r, a in taps:
        angle = 2 * np.pi * a / 5 + r
        dx, dy = round(reach_px * r * np.cos(angle)), round(reach_px * r * np.sin(angle))
        shift = np.array([[1, 0, -dx], [0, 1, -dy]], np.float32)
        qz, qx, qy = (
            cv2.warpAffine(m, shift, (columns, rows), flags=cv2.INTER_NEAREST, borderMode=cv2.BORDER_REPLICATE)
            for m in (z, px, py)
        )
        vx, vy, vz = qx - px, qy - py, qz - z
        length = np.sqrt(vx * vx + vy * vy + vz * vz) + np.float32(1e-6)
        rise = (vx * n[:, :, 0] + vy * n[:, :, 1] + vz * n[:, :, 2]) / length
        reach = np.float32(2.5 * reach_px * r * step / view.focal_px) * np.minimum(z, typical * 2)
        hidden += np.maximum(rise - np.float32(0.08), 0) * np.maximum(1 - length / reach, 0)
    open_sky = cv2.blur(np.clip(1 - hidden * np.float32(2.2 / len(taps)) * 1.6, 0.15, 1), (3, 3))
    full = cv2.resize(open_sky, (view.width, view.height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(full.ravel()[surface.order], np.float32)
