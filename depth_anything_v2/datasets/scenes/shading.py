"""Colour of the surfaces seen: textures, lamps and sun, highlights, haze and sky."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from depth_anything_v2.datasets.scenes.occlusion import ambient_occlusion, shadow
from depth_anything_v2.datasets.scenes.raycast import Floats, Primitive
from depth_anything_v2.datasets.scenes.surface import Light, Material, Scenery, Surface
from depth_anything_v2.datasets.scenes.textures import SIZE, read_atlas


def shade(scene: Scenery, surface: Surface, depth: Floats, atlas: NDArray[np.uint8], first_photo: int) -> Floats:
    """Return the linear picture (H, W, 3) float32, not yet exposed."""
    view = scene.view
    picture = sky_colour(scene, atlas)
    if surface.order.size == 0:
        return picture
    counts = surface.counts
    materials = [scene.materials[item.material] for item in scene.items]

    def spread(values: Sequence[float] | NDArray[np.float32]) -> Floats:
        return np.repeat(np.asarray(values, np.float32), counts, axis=0)

    toward = -(surface.normal * surface.ray).sum(axis=0) / np.sqrt((surface.ray * surface.ray).sum(axis=0))
    pixel_m = surface.depth * np.float32(1 / view.focal_px) / np.sqrt(np.maximum(toward, np.float32(0.02)))
    albedo, noise = _reflectance(scene.items, materials, surface, pixel_m, atlas, first_photo, spread)
    normal = surface.normal
    bump = spread([m.bump for m in materials])
    if bump.any():
        slant = noise[:, 1:].T - np.float32(0.5)
        normal = normal.copy()
        normal[:2] += bump * slant
        normal[2] += bump * (slant[0] - slant[1])
        normal /= np.sqrt((normal * normal).sum(axis=0))
    occlusion = ambient_occlusion(view, depth, surface)
    ambient = np.asarray(scene.ambient, np.float32)
    hemisphere = np.float32(0.5) * ((1 + scene.ground_bounce) + (1 - scene.ground_bounce) * normal[2])
    light = (hemisphere * occlusion)[:, None] * ambient
    shine_sum = np.zeros_like(light)
    gloss, shine = spread([m.gloss for m in materials]), spread([m.shine for m in materials])
    eye = -surface.ray / np.sqrt((surface.ray * surface.ray).sum(axis=0))
    for lamp in scene.lights:
        incoming, facing, way = _incoming(lamp, surface, normal)
        if lamp.shadows:
            incoming = incoming * shadow(scene, lamp, surface)
        incoming *= np.sqrt(occlusion)
        colour = np.asarray(lamp.colour, np.float32)
        light += (incoming * facing)[:, None] * colour
        if gloss.any():
            middle = way + eye
            middle /= np.sqrt((middle * middle).sum(axis=0)) + np.float32(1e-6)
            peak = np.maximum((middle * normal).sum(axis=0), 0) ** shine
            shine_sum += (gloss * peak * incoming * (facing > 0))[:, None] * colour
    colour_out = albedo * light + shine_sum + albedo * spread([m.glow for m in materials])[:, None]
    if scene.haze_m > 0:
        keep = np.exp(-surface.depth / np.float32(scene.haze_m))[:, None]
        colour_out = colour_out * keep + (1 - keep) * np.asarray(scene.haze_colour, np.float32)
    picture.reshape(-1, 3)[surface.order] = colour_out
    return picture


def _reflectance(
    items: Sequence[Primitive],
    materials: Sequence[Material],
    surface: Surface,
    pixel_m: Floats,
    atlas: NDArray[np.uint8],
    first_photo: int,
    spread: Callable[[Sequence[float] | Floats], Floats],
) -> tuple[Floats, Floats]:
    """Return reflectance (N, 3) and noise (N, 3) per point; `pixel_m` is the size of a pixel there."""
    texture = spread([m.texture for m in materials])
    repeat = spread(
        [
            0.5 / float(np.sort(item.half)[-2]) if m.stretched else m.repeat
            for item, m in zip(items, materials, strict=True)
        ]
    )
    contrast = spread([m.contrast for m in materials])[:, None]
    tint = spread(np.asarray([m.tint for m in materials], np.float32))
    albedo = tint
    if contrast.any():
        texels = pixel_m * repeat * np.float32(SIZE)
        colour = read_atlas(atlas, texture, surface.u, surface.v, texels, texture >= first_photo)
        albedo = tint * (1 - contrast) + contrast * colour * colour
    mottle = spread([m.mottle for m in materials])[:, None]
    detail = np.float32(0.37)
    stretched = spread([float(m.stretched) for m in materials])
    metres = np.where(stretched > 0, 1 / repeat, np.float32(1))
    noise = read_atlas(
        atlas,
        np.zeros_like(texture),
        surface.v * detail * metres + np.float32(0.3),
        surface.u * detail * metres,
        pixel_m * repeat * np.float32(SIZE * 0.37),
        texture < 0,
    )
    return np.clip(albedo * (1 + mottle * (2 * noise[:, :1] - 1)), 0, 1), noise


def _incoming(lamp: Light, surface: Surface, normal: Floats) -> tuple[Floats, Floats, Floats]:
    """Return strength (N,), cosine (N,) and unit direction (3, N) of the light at each point."""
    vector = lamp.vector.astype(np.float32)[:, None]
    if not lamp.is_lamp:
        way = np.broadcast_to(vector / np.linalg.norm(vector), surface.point.shape)
        strength = np.full(surface.depth.shape, lamp.strength, np.float32)
    else:
        way = vector - surface.point
        distance = np.sqrt((way * way).sum(axis=0)) + np.float32(1e-3)
        way = way / distance
        strength = (lamp.strength / (0.15 + (distance / np.float32(lamp.reach)) ** 2)).astype(np.float32)
    return strength, np.maximum((way * normal).sum(axis=0), 0), way


def sky_colour(scene: Scenery, atlas: NDArray[np.uint8]) -> Floats:
    """Return the sky (H, W, 3) in every direction of the view: a gradient, clouds, or a photograph far away."""
    view = scene.view
    x, y = view.pixel_rays()
    r = view.rotation.astype(np.float32)
    up = r[2, 0] * x + (r[2, 1] * y + r[2, 2])
    length = np.sqrt(x * x + y * y + 1)
    blend = np.clip(up / length, 0, 1)[:, :, None] ** np.float32(0.5)
    zenith, horizon = np.asarray(scene.sky_zenith, np.float32), np.asarray(scene.sky_horizon, np.float32)
    sky = horizon * (1 - blend) + zenith * blend
    if scene.sky_photo > 0:
        flat_u = np.broadcast_to(x * 0.45 + 0.5, up.shape).ravel()
        flat_v = np.broadcast_to(y * 0.45 + 0.5, up.shape).ravel()
        column = np.full(flat_u.shape, scene.sky_photo, np.float32)
        texels = np.full(flat_u.shape, 0.45 * SIZE / view.focal_px, np.float32)
        colour = read_atlas(atlas, column, flat_u, flat_v, texels, np.ones(flat_u.shape, bool))
        return np.asarray((colour * colour).reshape(*up.shape, 3), np.float32)
    if scene.clouds > 0:
        east = r[0, 0] * x + (r[0, 1] * y + r[0, 2])
        north = r[1, 0] * x + (r[1, 1] * y + r[1, 2])
        height = np.maximum(up / length, 0.06)
        u, v = (east / length / height).ravel() * 0.06, (north / length / height).ravel() * 0.06
        texels = np.float32(0.06 * SIZE / view.focal_px) / (height.ravel() ** 1.5)
        noise = read_atlas(atlas, np.zeros_like(u), u, v, texels, np.zeros(u.shape, bool)).reshape(*up.shape, 3)
        amount = np.clip((noise[:, :, :1] - 1 + scene.clouds) * 3, 0, 1) * np.clip(up / length * 8, 0, 1)[:, :, None]
        white = np.float32(0.95) - np.float32(0.3) * noise[:, :, 1:2]
        sky = sky * (1 - amount) + amount * white
    return np.array(np.broadcast_to(sky, (view.height, view.width, 3)), np.float32)
