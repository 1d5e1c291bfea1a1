"""Furniture and plants, each standing at the current place of a builder."""

from __future__ import annotations

import numpy as np

from depth_anything_v2.datasets.scenes.builder import Builder, random_turn
from depth_anything_v2.datasets.scenes.clutter import stand


def _things(b: Builder, count: int, wide: float, deep: float, z: float, low: float = 0.08, high: float = 0.35) -> None:
    for _ in range(count):
        stand(b, b.uniform(-0.42, 0.42) * wide, b.uniform(-0.42, 0.42) * deep, z, b.uniform(low, high))


def table(b: Builder, r: float) -> None:
    wide, deep, tall = r * b.uniform(1.2, 2), r * b.uniform(0.9, 1.5), b.uniform(0.4, 0.78)
    top = b.glass() if b.chance(0.12) else b.material(1, plain=0.3)
    leg = b.material(0.5, plain=0.6)
    if b.chance(0.2):
        b.post((0, 0, tall - 0.04), r * 0.8, 0.04, top)
        b.post((0, 0, 0), 0.05, tall - 0.04, leg)
        b.post((0, 0, 0), 0.25, 0.03, leg, taper=0.5)
    else:
        b.box((0, 0, tall - 0.02), (wide, deep, 0.04), top)
        thick = b.uniform(0.025, 0.09)
        for sx in (-1, 1):
            for sy in (-1, 1):
                b.box(
                    (sx * (wide / 2 - thick), sy * (deep / 2 - thick), tall / 2 - 0.02),
                    (thick, thick, tall - 0.04),
                    leg,
                )
    _things(b, int(b.rng.integers(0, 7)), wide * 0.8, deep * 0.8, tall)


def desk(b: Builder, r: float) -> None:
    wide, deep, tall = r * b.uniform(1.6, 2.2), b.uniform(0.55, 0.8), 0.73
    top, body = b.material(1, plain=0.5), b.material(0.8, plain=0.8)
    b.box((0, 0, tall - 0.015), (wide, deep, 0.03), top)
    b.box((-wide / 2 + 0.22, 0, tall / 2 - 0.02), (0.42, deep * 0.95, tall - 0.05), body)
    b.box((wide / 2 - 0.03, 0, tall / 2 - 0.02), (0.04, deep * 0.95, tall - 0.05), body)
    dark = b.material(1, plain=1.0, tint=(0.04, 0.04, 0.045))
    screen = b.material(1, plain=0, photo=True, glow=b.uniform(0.2, 0.9), tint=(1, 1, 1), mottle=0.0)
    for k in range(int(b.rng.integers(1, 3))):
        x = -0.2 * wide + 0.55 * k
        b.box((x, 0.12, tall + 0.1), (0.06, 0.05, 0.2), dark)
        b.box((x, 0.1, tall + 0.29), (0.5, 0.04, 0.31), dark)
        b.wall((x, 0.077, tall + 0.29), 0.235, 0.14, (0, -1, 0), screen, backdrop=False)
    b.box((-0.15 * wide, -0.15, tall + 0.012), (0.42, 0.14, 0.024), b.material(0.1, plain=0.2))
    _things(b, int(b.rng.integers(2, 7)), wide * 0.9, deep * 0.7, tall, 0.06, 0.22)
    b.base = b.base + b.frame @ np.array([b.uniform(-0.3, 0.3), -0.6, 0])
    if b.chance(0.5):
        chair(b, 0.4)


def chair(b: Builder, r: float) -> None:
    seat, tall, wide = b.uniform(0.4, 0.5), b.uniform(0.75, 1.15), b.uniform(0.4, 0.52)
    fabric, leg = b.material(0.5, plain=0.6), b.material(0.5, plain=0.8, gloss=0.4)
    b.box((0, 0, seat), (wide, wide, b.uniform(0.03, 0.1)), fabric)
    b.box((0, wide / 2, (seat + 0.15 + tall) / 2), (wide * 0.95, 0.05, tall - seat - 0.15), fabric)
    if b.chance(0.4):
        b.post((0, 0, 0.08), 0.03, seat - 0.08, leg)
        for k in range(5):
            a = 2 * np.pi * k / 5
            b.rod((0, 0, 0.09), (0.28 * np.cos(a), 0.28 * np.sin(a), 0.04), 0.022, leg)
        return
    for sx in (-1, 1):
        for sy in (-1, 1):
            top = tall if sy > 0 else seat
            b.box((sx * (wide / 2 - 0.02), sy * (wide / 2 - 0.02), top / 2), (0.035, 0.035, top), leg)


def sofa(b: Builder, r: float) -> None:
    wide, deep = r * b.uniform(1.4, 2.4), b.uniform(0.75, 0.95)
    fabric = b.material(0.6, plain=0.5, gloss=0.0)
    b.box((0, 0, 0.21), (wide, deep, 0.42), fabric)
    b.box((0, deep / 2 - 0.1, 0.45), (wide, 0.22, 0.85), fabric)
    for sx in (-1, 1):
        b.box((sx * (wide / 2 - 0.08), 0, 0.3), (0.18, deep, 0.6), fabric)
    for _ in range(int(b.rng.integers(0, 4))):
        x = b.uniform(-0.35, 0.35) * wide
        b.ball((x, deep / 2 - 0.28, 0.58), (0.22, 0.1, 0.2), b.material(0.4, plain=0.3))


def shelf(b: Builder, r: float) -> None:
    wide, deep, tall = r * b.uniform(1.0, 1.8), b.uniform(0.25, 0.45), b.uniform(0.8, 2.1)
    wood = b.material(1, plain=0.5)
    rows = int(b.rng.integers(2, 6))
    for sx in (-1, 1):
        b.box((sx * wide / 2, 0, tall / 2), (0.025, deep, tall), wood)
    if b.chance(0.7):
        b.box((0, deep / 2, tall / 2), (wide, 0.015, tall), wood)
    for k in range(rows + 1):
        z = tall * k / rows
        b.box((0, 0, z + 0.01), (wide, deep, 0.025), wood)
        if k == rows:
            break
        x = -wide / 2 + 0.04
        while x < wide / 2 - 0.1 and len(b.items) < 150 and b.chance(0.9):
            w, h = b.uniform(0.02, 0.2), tall / rows * b.uniform(0.4, 0.85)
            b.box(
                (x + w / 2, b.uniform(-0.04, 0.06), z + 0.02 + h / 2),
                (w * 0.95, deep * b.uniform(0.5, 0.8), h),
                b.material(0.3, plain=0.5),
            )
            x += w + (b.uniform(0, 0.2) if b.chance(0.3) else 0)


def cabinet(b: Builder, r: float) -> None:
    wide, deep, tall = r * b.uniform(0.8, 1.7), b.uniform(0.35, 0.6), b.uniform(0.5, 2.1)
    body, front = b.material(1, plain=0.5), b.material(1, plain=0.5)
    b.box((0, 0, tall / 2), (wide, deep, tall), body)
    columns, rows = int(b.rng.integers(1, 4)), int(b.rng.integers(1, 5))
    knob = b.material(0.1, plain=1, gloss=0.7)
    for i in range(columns):
        for j in range(rows):
            x, z = wide * ((i + 0.5) / columns - 0.5), tall * (j + 0.5) / rows
            b.box((x, -deep / 2 - 0.008, z), (wide / columns * 0.94, 0.016, tall / rows * 0.94), front)
            b.ball((x + wide / columns * 0.35, -deep / 2 - 0.03, z), (0.015, 0.02, 0.015), knob)
    if tall < 1.3:
        _things(b, int(b.rng.integers(0, 5)), wide, deep, tall, 0.1, 0.4)


def bed(b: Builder, r: float) -> None:
    wide = b.uniform(0.9, 1.6)
    b.box((0, 0, 0.15), (wide, 2.0, 0.3), b.material(1, plain=0.6))
    b.box((0, 0, 0.4), (wide * 0.97, 1.95, 0.22), b.material(1, plain=0.3, gloss=0.0))
    b.box((0, 1.0, 0.5), (wide, 0.06, 1.0), b.material(1, plain=0.5))
    for k in range(int(b.rng.integers(1, 3))):
        b.ball((wide * (k - 0.5) * 0.45, 0.72, 0.56), (0.3, 0.2, 0.1), b.material(0.5, plain=0.6))


def floor_lamp(b: Builder, r: float) -> None:
    tall = b.uniform(1.1, 1.9)
    pole = b.material(0.3, plain=1, gloss=0.6)
    b.post((0, 0, 0), 0.15, 0.03, pole)
    b.post((0, 0, 0), 0.014, tall, pole)
    shade = b.material(0.4, plain=0.8, tint=(0.9, 0.8, 0.6), glow=b.uniform(0, 2))
    b.post((0, 0, tall - 0.15), 0.22, 0.28, shade, taper=b.uniform(0.5, 1.0), open_top=True)


def plant(b: Builder, r: float) -> None:
    tall = b.uniform(0.5, 1.6)
    b.post((0, 0, 0), 0.15, 0.3, b.material(0.4, plain=0.7), taper=1.3)
    green = b.material(0.3, plain=0.3, tint=(0.1, b.uniform(0.2, 0.5), 0.08), mottle=0.6, bump=0.9, contrast=0.3)
    b.post((0, 0, 0.3), 0.02, tall * 0.5, b.material(0.2, plain=1, tint=(0.2, 0.12, 0.06)))
    for _ in range(int(b.rng.integers(4, 9))):
        size = b.uniform(0.12, 0.3)
        place = (b.rng.normal(0, 0.16), b.rng.normal(0, 0.16), 0.3 + tall * b.uniform(0.3, 0.9))
        radii = (size, size * b.uniform(0.3, 1), size * b.uniform(0.2, 0.7))
        b.ball(place, radii, green, random_turn(b.rng), cutout=b.uniform(0.5, 0.95))


def pile(b: Builder, r: float) -> None:
    for _ in range(int(b.rng.integers(2, 7))):
        stand(b, b.rng.normal(0, r * 0.5), b.rng.normal(0, r * 0.5), 0, b.uniform(0.2, 0.6))


def glass_case(b: Builder, r: float) -> None:
    """A case with clear walls on a base, things inside."""
    wide, deep, low, tall = r * b.uniform(0.8, 1.6), r * b.uniform(0.5, 0.9), b.uniform(0.1, 0.9), b.uniform(0.4, 1.0)
    pane, base = b.glass(), b.material(1, plain=0.5)
    b.box((0, 0, low / 2), (wide, deep, low), base)
    _things(b, int(b.rng.integers(1, 6)), wide * 0.8, deep * 0.8, low, 0.08, 0.3)
    for s in (-1, 1):
        b.box((s * wide / 2, 0, low + tall / 2), (0.006, deep, tall), pane)
        b.box((0, s * deep / 2, low + tall / 2), (wide, 0.006, tall), pane)
    b.box((0, 0, low + tall), (wide, deep, 0.02), base if b.chance(0.5) else pane)
