"""Random light for a finished scene: lamps, windows and flash indoors, sun and sky outdoors."""

from __future__ import annotations

import numpy as np

from depth_anything_v2.datasets.scenes.builder import Builder, Triple
from depth_anything_v2.datasets.scenes.raycast import Vector
from depth_anything_v2.datasets.scenes.surface import Light, Scenery


def indoor_lights(b: Builder, scene: Scenery, middle: Vector, ceiling: float, spread: float) -> None:
    """Light a room or a table: one main lamp, window or flash with shadows, some weak ones, and a base of ambient."""
    warm = 1 + np.array([0.25, 0.0, -0.25]) * b.uniform(-0.6, 1.2)
    level = b.uniform(0.15, 0.6)
    scene.ambient = (level * float(warm[0]), level, level * float(warm[2]))
    scene.ground_bounce = b.uniform(0.35, 0.95)
    kind = b.rng.random()
    shadows = b.chance(0.75)
    reach = spread * b.uniform(0.4, 1.0)
    if kind < 0.55:
        offset = np.array([b.uniform(-0.6, 0.6) * spread, b.uniform(-0.6, 0.6) * spread, 0.0])
        place = middle + offset
        place[2] = ceiling * b.uniform(0.8, 0.97)
        scene.lights.append(Light(place, True, _tone(b), b.uniform(0.4, 1.6), reach, shadows))
    elif kind < 0.85:
        way = np.array([b.uniform(-1, 1), b.uniform(-1, 1), b.uniform(0.15, 1.2)])
        scene.lights.append(Light(way, False, _tone(b), b.uniform(0.4, 1.6), 1.0, shadows))
    else:
        near = scene.view.position + scene.view.rotation @ np.array([b.uniform(-0.1, 0.1), -0.08, 0.0])
        scene.lights.append(Light(near, True, (1.0, 1.0, 1.0), b.uniform(0.5, 1.8), reach * 1.5, False))
        scene.ambient = (level * 0.4, level * 0.4, level * 0.4)
    for _ in range(int(b.rng.integers(0, 3))):
        place = middle + np.array([b.uniform(-1, 1) * spread, b.uniform(-1, 1) * spread, 0.0])
        place[2] = ceiling * b.uniform(0.3, 0.95)
        scene.lights.append(Light(place, True, _tone(b), b.uniform(0.1, 0.7), reach, False))


def sun_and_sky(b: Builder, scene: Scenery, horizon_m: float) -> None:
    """Light an outdoor scene: sun or overcast, sky colours, clouds and haze."""
    overcast = b.chance(0.35)
    low_sun = b.chance(0.25)
    way = np.array([b.uniform(-1, 1), b.uniform(-1, 1), b.uniform(0.15, 0.5) if low_sun else b.uniform(0.4, 2.0)])
    warm = (1.0, 0.75, 0.5) if low_sun else (1.0, 0.95, 0.87)
    strength = b.uniform(0.05, 0.25) if overcast else b.uniform(0.8, 2.2)
    scene.lights.append(Light(way, False, warm, strength, 1.0, not overcast))
    blue = 0.0 if overcast else b.uniform(0.2, 1.0)
    base = b.uniform(0.45, 0.9)
    scene.ambient = (base * (1 - 0.35 * blue), base * (1 - 0.15 * blue), base)
    scene.ground_bounce = b.uniform(0.3, 0.7)
    bright = b.uniform(0.5, 1.2)
    scene.sky_horizon = (bright * (1 - 0.25 * blue), bright * (1 - 0.1 * blue), bright)
    if low_sun and not overcast:
        scene.sky_horizon = (bright, bright * b.uniform(0.6, 0.8), bright * b.uniform(0.35, 0.6))
    scene.sky_zenith = (bright * (0.85 - 0.7 * blue), bright * (0.87 - 0.5 * blue), bright * (0.92 - 0.15 * blue))
    scene.clouds = b.uniform(0.3, 0.9) if b.chance(0.6) else 0.0
    if b.chance(0.65):
        scene.haze_m = horizon_m * float(np.exp(b.uniform(np.log(0.3), np.log(8))))
        scene.haze_colour = scene.sky_horizon
    if b.chance(0.1) and b.textures > b.first_photo:
        scene.sky_photo = int(b.rng.integers(b.first_photo, b.textures))


def _tone(b: Builder) -> Triple:
    warmth = b.uniform(-0.25, 0.5)
    return (1.0, 1 - 0.25 * abs(warmth), float(np.clip(1 - warmth, 0.4, 1.2)))
