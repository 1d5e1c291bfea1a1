"""Random light for a finished scene: lamps, windows and flash indoors; sun, clouds, fog and night outdoors."""

from __future__ import annotations

import numpy as np

from depth_anything_v2.datasets.scenes.builder import Builder, Triple
from depth_anything_v2.datasets.scenes.shapes import Vector
from depth_anything_v2.datasets.scenes.surface import Light, Scenery


def indoor_lights(b: Builder, scene: Scenery, middle: Vector, ceiling: float, spread: float) -> None:
    """Light a room or a table: one main lamp, window or flash with shadows, some weak ones, and a base of ambient."""
    warm = 1 + np.array([0.25, 0.0, -0.25]) * b.uniform(-0.6, 1.2)
    dim = b.chance(0.1)
    level = b.uniform(0.01, 0.05) if dim else b.uniform(0.12, 0.6)
    scene.ambient = (level * float(warm[0]), level, level * float(warm[2]))
    scene.ground_bounce = b.uniform(0.35, 0.95)
    bright = b.uniform(0.6, 2.0) * level
    scene.above = (bright * float(warm[0]), bright, bright * float(warm[2]))
    scene.below = (0.3 * bright * float(warm[0]), 0.25 * bright, 0.2 * bright * float(warm[2]))
    kind = b.rng.random()
    shadows = b.chance(0.8)
    reach = spread * b.uniform(0.4, 1.0)
    soft = float(np.exp(b.uniform(np.log(0.01), np.log(0.35))))
    if kind < 0.5:
        offset = np.array([b.uniform(-0.6, 0.6) * spread, b.uniform(-0.6, 0.6) * spread, 0.0])
        place = middle + offset
        place[2] = ceiling * b.uniform(0.8, 0.97)
        scene.lights.append(Light(place, True, _tone(b), b.uniform(0.4, 1.6), reach, shadows, soft * spread))
    elif kind < 0.75:
        way = np.array([b.uniform(-1, 1), b.uniform(-1, 1), b.uniform(0.15, 1.2)])
        scene.lights.append(Light(way, False, _tone(b), b.uniform(0.4, 1.6), 1.0, shadows, soft))
    elif kind < 0.88:
        scene.lights.append(Light(_from_behind(b, scene), False, _tone(b), b.uniform(0.8, 2.5), 1.0, shadows, soft))
    else:
        near = scene.view.position + scene.view.rotation @ np.array([b.uniform(-0.1, 0.1), -0.08, 0.0])
        scene.lights.append(Light(near, True, (1.0, 1.0, 1.0), b.uniform(0.5, 1.8), reach * 1.5, False))
        scene.ambient = (level * 0.4, level * 0.4, level * 0.4)
    for _ in range(int(b.rng.integers(0, 3))):
        place = middle + np.array([b.uniform(-1, 1) * spread, b.uniform(-1, 1) * spread, 0.0])
        place[2] = ceiling * b.uniform(0.3, 0.95)
        scene.lights.append(Light(place, True, _tone(b), b.uniform(0.1, 0.7), reach, False))


def _from_behind(b: Builder, scene: Scenery) -> Vector:
    """Return the direction of a light that stands before the camera, behind the things."""
    forward = scene.view.rotation[:, 2]
    flat = forward[:2] / max(float(np.linalg.norm(forward[:2])), 1e-3)
    return np.array([flat[0] + b.uniform(-0.6, 0.6), flat[1] + b.uniform(-0.6, 0.6), b.uniform(0.15, 0.8)])


def sun_and_sky(b: Builder, scene: Scenery, horizon_m: float) -> None:
    """Light an outdoor scene: sun, backlight, overcast, fog or night, with the sky and the air that belong to it."""
    kind = b.rng.random()
    if kind < 0.1:
        _night(b, scene)
        return
    overcast = b.chance(0.35)
    low_sun = b.chance(0.25)
    way = np.array([b.uniform(-1, 1), b.uniform(-1, 1), b.uniform(0.15, 0.5) if low_sun else b.uniform(0.4, 2.0)])
    if kind < 0.25:
        way = _from_behind(b, scene)
    warm = (1.0, 0.75, 0.5) if low_sun else (1.0, 0.95, 0.87)
    strength = b.uniform(0.1, 0.3) if overcast else b.uniform(0.8, 2.4)
    size = b.uniform(0.1, 0.3) if overcast else b.uniform(0.005, 0.03)
    scene.lights.append(Light(way, False, warm, strength, 1.0, True, size))
    blue = 0.0 if overcast else b.uniform(0.2, 1.0)
    base = b.uniform(0.4, 0.9) if overcast else b.uniform(0.2, 0.8)
    scene.ambient = (base * (1 - 0.35 * blue), base * (1 - 0.15 * blue), base)
    scene.ground_bounce = b.uniform(0.3, 0.7)
    bright = b.uniform(0.5, 1.2)
    scene.sky_horizon = (bright * (1 - 0.25 * blue), bright * (1 - 0.1 * blue), bright)
    if low_sun and not overcast:
        scene.sky_horizon = (bright, bright * b.uniform(0.6, 0.8), bright * b.uniform(0.35, 0.6))
    scene.sky_zenith = (bright * (0.85 - 0.7 * blue), bright * (0.87 - 0.5 * blue), bright * (0.92 - 0.15 * blue))
    scene.clouds = b.uniform(0.3, 0.9) if b.chance(0.6) else 0.0
    if kind > 0.9:
        scene.haze_m = horizon_m * b.uniform(0.08, 0.5)
        level = b.uniform(0.4, 0.9)
        scene.haze_colour = scene.sky_horizon = (level * 0.97, level, level * 1.02)
    elif b.chance(0.6):
        scene.haze_m = horizon_m * float(np.exp(b.uniform(np.log(0.4), np.log(8))))
        scene.haze_colour = scene.sky_horizon
    _reflect_sky(scene)
    if b.chance(0.1) and b.textures > b.first_photo:
        scene.sky_photo = int(b.rng.integers(b.first_photo, b.textures))


def _night(b: Builder, scene: Scenery) -> None:
    """Moonlight or none, lamps on poles along the way, now and then the lamp of the camera."""
    base = float(np.exp(b.uniform(np.log(0.004), np.log(0.05))))
    scene.ambient = (base * 0.8, base * 0.9, base * 1.1)
    scene.sky_horizon = (base * b.uniform(0.5, 3), base * b.uniform(0.5, 2), base * b.uniform(0.5, 2))
    scene.sky_zenith = (base * 0.2, base * 0.25, base * 0.5)
    scene.stars = b.chance(0.4)
    scene.clouds = b.uniform(0.2, 0.6) if b.chance(0.3) else 0.0
    view, far = scene.view, b.uniform(4, 12)
    for k in range(int(b.rng.integers(1, 4))):
        ahead = (
            view.position + view.rotation[:, 2] * far * (k + b.uniform(0.3, 1)) + view.rotation[:, 0] * b.uniform(-5, 5)
        )
        place = np.array([ahead[0], ahead[1], b.uniform(2.5, 6)])
        scene.lights.append(Light(place, True, _tone(b), b.uniform(0.3, 1.5), b.uniform(2, 7), k == 0, 0.1))
    if b.chance(0.3):
        scene.lights.append(Light(view.position, True, (1.0, 1.0, 1.0), b.uniform(0.2, 1), b.uniform(1, 4), False))
    if b.chance(0.3):
        scene.haze_m, scene.haze_colour = b.uniform(20, 200), scene.sky_horizon
    _reflect_sky(scene)


def _reflect_sky(scene: Scenery) -> None:
    scene.above = scene.sky_horizon
    scene.below = (scene.ambient[0] * 0.35, scene.ambient[1] * 0.33, scene.ambient[2] * 0.3)


def _tone(b: Builder) -> Triple:
    warmth = b.uniform(-0.25, 0.5)
    return (1.0, 1 - 0.25 * abs(warmth), float(np.clip(1 - warmth, 0.4, 1.2)))
