"""Cars, trees, rocks, street furniture and huts, each standing at the current place of a builder."""

from __future__ import annotations

import numpy as np

from depth_anything_v2.datasets.scenes.builder import Builder, Triple, random_turn
from depth_anything_v2.datasets.scenes.clutter import stand
from depth_anything_v2.datasets.scenes.shapes import Shape


def car(b: Builder) -> None:
    """A car, van or lorry along the y axis of the current place."""
    paint = b.material(1.5, plain=0.95, gloss=0.6, mottle=0.0, bump=0.0)
    glass = b.material(1, plain=1, tint=(0.03, 0.04, 0.05), gloss=0.8, shine=60.0)
    rubber = b.material(1, plain=1, tint=(0.02, 0.02, 0.02))
    light = b.material(1, plain=1, tint=(0.9, 0.9, 0.8) if b.chance(0.5) else (0.7, 0.05, 0.04), glow=b.uniform(0, 0.8))
    kind = b.rng.random()
    wide, long = b.uniform(1.65, 1.9), b.uniform(3.7, 4.8)
    if kind < 0.72:
        belt, roof = b.uniform(0.8, 1.0), b.uniform(1.35, 1.75)
        b.box((0, 0, 0.28 + (belt - 0.28) / 2), (wide, long, belt - 0.28), paint)
        b.add(
            Shape.FRUSTUM,
            (0, -0.15, (belt + roof) / 2),
            (wide * 0.66, long * 0.42, (roof - belt) / 2),
            glass,
            taper=0.72,
        )
        b.box((0, -0.2, roof), (wide * 0.78, long * 0.38, 0.07), paint)
    elif kind < 0.9:
        tall = b.uniform(1.8, 2.4)
        b.box((0, -0.1, tall / 2 + 0.15), (wide, long, tall - 0.3), paint)
        b.box((0, 0, tall * 0.68), (wide * 1.01, long * 0.7, tall * 0.25), glass)
        b.box((0, 0.1, tall * 0.68), (wide * 0.85, long, tall * 0.26), glass)
    else:
        long, wide = b.uniform(6, 9), 2.4
        b.box((0, -0.8, 2.0), (wide, long - 2.2, 2.6), b.material(2, plain=0.5, photo=b.chance(0.3)))
        b.box((0, long / 2 - 1.0, 1.5), (wide * 0.95, 1.8, 2.2), paint)
        b.box((0, long / 2 - 0.9, 2.0), (wide * 0.9, 1.8, 0.8), glass)
    radius = 0.32 if long < 5.5 else 0.48
    for sx in (-1, 1):
        for sy in (-1, 1):
            x, y = sx * (wide / 2 - 0.1), sy * long * 0.31
            b.rod((x - 0.11, y, radius), (x + 0.11, y, radius), radius, rubber)
        for sy in (-1, 1):
            b.box((sx * wide * 0.38, sy * long / 2, 0.68), (wide * 0.18, 0.05, 0.14), light)


def tree(b: Builder, size: float) -> None:
    """A broad-leaved tree or a conifer, about 5 m times `size` high."""
    tall = size * b.uniform(3, 8)
    bark = b.material(0.4, plain=0.3, tint=(0.15, 0.1, 0.06), mottle=0.5, bump=0.8, contrast=0.3)
    hue = b.rng.random()
    tint = (0.3, 0.2, 0.05) if hue < 0.15 else (b.uniform(0.04, 0.2), b.uniform(0.12, 0.35), b.uniform(0.02, 0.1))
    leaf = b.material(
        0.5, plain=0.2, tint=tint, contrast=0.35, mottle=0.8, bump=1.2, gloss=0.0, repeat=b.uniform(0.5, 2) / size
    )
    b.post((0, 0, 0), tall * 0.03, tall * 0.6, bark, taper=0.5)
    if b.chance(0.35):
        for k in range(4):
            b.post((0, 0, tall * (0.15 + 0.2 * k)), tall * (0.24 - 0.05 * k), tall * 0.32, leaf, taper=0.08)
        return
    for _ in range(int(b.rng.integers(6, 18))):
        r = tall * b.uniform(0.06, 0.2)
        place = (b.rng.normal(0, tall * 0.13), b.rng.normal(0, tall * 0.13), tall * b.uniform(0.45, 0.98))
        b.ball(place, (r, r * b.uniform(0.7, 1.2), r * b.uniform(0.6, 1)), leaf, cutout=b.uniform(0.4, 0.95))


def pole(b: Builder, size: float) -> None:
    tall = b.uniform(3, 8)
    metal = b.material(0.3, plain=0.8)
    b.post((0, 0, 0), b.uniform(0.04, 0.12), tall, metal, taper=0.7)
    b.rod((0, 0, tall * 0.98), (b.uniform(0.5, 1.8), 0, tall), 0.04, metal)


def sign(b: Builder, size: float) -> None:
    tall = b.uniform(2, 3)
    b.post((0, 0, 0), 0.035, tall, b.material(0.3, plain=1))
    w = b.uniform(0.3, 1.0)
    b.box((0, -0.05, tall - 0.3), (w, 0.03, b.uniform(0.3, 0.8)), b.material(0.5, plain=0.2, photo=b.chance(0.4)))


def bollard(b: Builder, size: float) -> None:
    b.post((0, 0, 0), b.uniform(0.06, 0.25), b.uniform(0.5, 1.2), b.material(0.3, plain=0.6), taper=b.uniform(0.5, 1.0))


def crate(b: Builder, size: float) -> None:
    stand(b, 0, 0, 0, b.uniform(0.5, 1.4))


def stony(b: Builder) -> Triple:
    """Return a grey or brownish reflectance, as of asphalt and stone."""
    level = b.uniform(0.06, 0.4)
    return (level, level * b.uniform(0.93, 1.0), level * b.uniform(0.85, 1.02))


def rock(b: Builder, size: float) -> None:
    """A few overlapping, tilted ellipsoids and boxes half in the ground."""
    look = b.material(size, plain=0.2, gloss=0.0, mottle=0.6, bump=1.2, contrast=0.5, tint=stony(b))
    for _ in range(int(b.rng.integers(1, 5))):
        half = size * np.exp(b.rng.uniform(-1.6, 0.0, 3))
        place = (b.rng.normal(0, 0.4) * size, b.rng.normal(0, 0.4) * size, half.min() * 0.5)
        shape = Shape.ELLIPSOID if b.chance(0.7) else Shape.BOX
        b.add(shape, place, (half[0], half[1], half[2]), look, random_turn(b.rng))


def bush(b: Builder, size: float) -> None:
    """Low leaves with holes."""
    leaf = b.material(
        0.5, plain=0.2, tint=(b.uniform(0.05, 0.3), b.uniform(0.12, 0.35), 0.05), mottle=0.8, bump=1.2, contrast=0.3
    )
    for _ in range(int(b.rng.integers(3, 12))):
        r = size * b.uniform(0.1, 0.45)
        place = (b.rng.normal(0, 0.35) * size, b.rng.normal(0, 0.35) * size, r * b.uniform(0.5, 1.8))
        b.ball(place, (r, r, r * b.uniform(0.5, 1)), leaf, cutout=b.uniform(0.3, 0.95))


def hut(b: Builder, size: float) -> None:
    w, d, h = b.uniform(3, 8), b.uniform(3, 10), b.uniform(2.2, 5)
    b.box((0, 0, h / 2), (w, d, h), b.material(2, plain=0.4, gloss=0.0))
    roof = b.material(1, plain=0.4)
    b.post((0, 0, h), max(w, d) * 0.72, h * b.uniform(0.3, 0.8), roof, taper=0.05)
    b.box((0, -d / 2, 1.0), (0.9, 0.1, 2.0), b.material(1, plain=0.7))


def fence(b: Builder, size: float) -> None:
    wood = b.material(0.5, plain=0.4)
    for k in range(-4, 5):
        b.box((k * 1.5, 0, 0.5), (0.1, 0.1, 1.0), wood)
    for z in (0.4, 0.8):
        b.box((0, -0.07, z), (12.5, 0.04, 0.1), wood)
