"""Small things that lie on tables, shelves and floors and in bins."""

from __future__ import annotations

import numpy as np

from depth_anything_v2.datasets.scenes.builder import Builder, turn_z
from depth_anything_v2.datasets.scenes.shapes import Shape


def stand(b: Builder, x: float, y: float, z: float, size: float) -> None:
    """Stand a small object of about `size` metres at (x, y, z) of the current place, turned at random."""
    saved = b.base, b.frame
    b.base = b.base + b.frame @ np.array([x, y, z])
    b.frame = b.frame @ turn_z(b.uniform(0, 2 * np.pi))
    _KINDS[int(b.rng.integers(len(_KINDS)))](b, size)
    b.base, b.frame = saved


def _carton(b: Builder, size: float) -> None:
    w, d, h = (size * b.uniform(0.3, 1.1) for _ in range(3))
    b.box((0, 0, h / 2), (w, d, h), b.material(size, plain=0.35, photo=b.chance(0.25)))
    if b.chance(0.3):
        b.box((0, 0, h * 1.05), (w * 1.04, d * 1.04, h * 0.12), b.material(size))


def _can(b: Builder, size: float) -> None:
    radius, height = size * b.uniform(0.2, 0.45), size * b.uniform(0.4, 1.3)
    b.post((0, 0, 0), radius, height, b.material(size, plain=0.3, photo=b.chance(0.3), gloss=0.4))
    b.post((0, 0, height), radius * 0.93, height * 0.03, b.material(size, plain=0.9, gloss=0.6))


def _bottle(b: Builder, size: float) -> None:
    radius, height = size * b.uniform(0.16, 0.3), size * b.uniform(0.6, 1.1)
    body = b.glass() if b.chance(0.4) else b.material(size, plain=0.6, gloss=0.7)
    neck = b.uniform(0.25, 0.6)
    b.post((0, 0, 0), radius, height * 0.65, body)
    b.post((0, 0, height * 0.65), radius, height * 0.2, body, taper=neck)
    b.post((0, 0, height * 0.85), radius * neck, height * 0.2, b.material(size, plain=0.8))
    if b.chance(0.6):
        b.post((0, 0, height * 0.15), radius * 1.01, height * 0.35, b.material(size, plain=0.1, photo=b.chance(0.4)))


def _sphere(b: Builder, size: float) -> None:
    r = size * b.uniform(0.25, 0.5)
    squash = b.uniform(0.6, 1.1)
    b.ball((0, 0, r * squash), (r, r * b.uniform(0.7, 1.1), r * squash), b.material(size, plain=0.6))


def _bowl(b: Builder, size: float) -> None:
    r, h = size * b.uniform(0.4, 0.7), size * b.uniform(0.25, 0.6)
    b.add(Shape.BOWL, (0, 0, h), (r, r, h), b.material(size, plain=0.7, gloss=0.5))
    for _ in range(int(b.rng.integers(0, 4))):
        f = r * b.uniform(0.25, 0.4)
        b.ball((b.uniform(-0.4, 0.4) * r, b.uniform(-0.4, 0.4) * r, h * 0.5 + f * 0.5), (f, f, f), b.material(size))


def _mug(b: Builder, size: float) -> None:
    radius, height = size * b.uniform(0.25, 0.4), size * b.uniform(0.4, 0.9)
    look = b.glass() if b.chance(0.3) else b.material(size, plain=0.6, gloss=0.5)
    b.post((0, 0, 0), radius, height, look, taper=b.uniform(0.9, 1.4), open_top=True)
    if b.chance(0.6):
        inner = b.material(size, plain=0.9)
        b.post((0, 0, height * 0.05), radius * 0.9, height * b.uniform(0.1, 0.8), inner)
    if b.chance(0.6):
        b.box((radius * 1.2, 0, height * 0.5), (radius * 0.5, radius * 0.2, height * 0.1), look)
        b.box((radius * 1.2, 0, height * 0.2), (radius * 0.5, radius * 0.2, height * 0.1), look)
        b.box((radius * 1.45, 0, height * 0.35), (radius * 0.12, radius * 0.2, height * 0.4), look)


def _books(b: Builder, size: float) -> None:
    z = 0.0
    for _ in range(int(b.rng.integers(1, 6))):
        w, d, h = size * b.uniform(0.7, 1.1), size * b.uniform(0.5, 0.8), size * b.uniform(0.05, 0.2)
        b.box(
            (0, 0, z + h / 2), (w, d, h), b.material(size, plain=0.4, photo=b.chance(0.3)), turn_z(b.uniform(-0.4, 0.4))
        )
        z += h


def _flat(b: Builder, size: float) -> None:
    w, d, h = size * b.uniform(0.6, 1.6), size * b.uniform(0.3, 1.0), size * b.uniform(0.01, 0.08)
    b.box((0, 0, h / 2), (w, d, h), b.material(size, plain=0.3, photo=b.chance(0.35)))


def _toy(b: Builder, size: float) -> None:
    r = size * 0.3
    coat = b.material(size, plain=0.6, mottle=0.3)
    b.ball((0, 0, r), (r, r * 0.9, r * 1.1), coat)
    b.ball((0, 0, r * 2.4), (r * 0.7, r * 0.7, r * 0.7), coat if b.chance(0.6) else b.material(size))
    for side in (-1, 1):
        b.ball((0.2 * r, side * r, r * 1.4), (r * 0.3, r * 0.7, r * 0.3), coat)
        b.ball((r * 0.8, side * r * 0.5, r * 0.3), (r * 0.7, r * 0.35, r * 0.3), coat)


def _cone(b: Builder, size: float) -> None:
    taper = b.uniform(0.0, 0.8)
    b.post((0, 0, 0), size * b.uniform(0.2, 0.5), size * b.uniform(0.4, 1.2), b.material(size), taper=taper)


def _lying(b: Builder, size: float) -> None:
    r, length = size * b.uniform(0.03, 0.3), size * b.uniform(0.5, 1.6)
    b.rod((-length / 2, 0, r), (length / 2, 0.01, r), r, b.material(size))


def _screen(b: Builder, size: float) -> None:
    w, h = size * b.uniform(0.8, 1.5), size * b.uniform(0.5, 1.0)
    dark = b.material(size, plain=0.95, tint=(0.03, 0.03, 0.035))
    b.box((0, 0, size * 0.02), (w * 0.5, size * 0.3, size * 0.04), dark)
    b.box((0, 0, size * 0.15), (w * 0.08, size * 0.06, size * 0.3), dark)
    b.box((0, -0.04 * size, size * 0.2 + h / 2), (w, size * 0.06, h), dark)
    glow = b.uniform(0.1, 0.8)
    picture = b.material(size, plain=0, photo=True, glow=glow, tint=(1, 1, 1), mottle=0.0, bump=0.0)
    b.wall((0, -0.075 * size, size * 0.2 + h / 2), w * 0.46, h * 0.45, (0, -1, 0), picture, backdrop=False)


def _plate(b: Builder, size: float) -> None:
    r = size * b.uniform(0.4, 0.8)
    b.post((0, 0, 0), r * 0.7, r * 0.12, b.material(size, plain=0.7, gloss=0.5), taper=1.35)
    if b.chance(0.5):
        stand(b, 0, 0, r * 0.12, r * 0.8)


def _cutlery(b: Builder, size: float) -> None:
    """Spoons, pens and wires side by side."""
    look = b.material(size, plain=1, gloss=0.8, metal=b.uniform(0, 0.95))
    for k in range(int(b.rng.integers(1, 5))):
        r, y = size * b.uniform(0.01, 0.03), size * (0.15 * k + b.uniform(-0.05, 0.05))
        b.rod((-0.5 * size, y, r), (0.4 * size, y + b.uniform(-0.1, 0.1) * size, r), r, look)
        b.ball((0.5 * size, y, r), (0.12 * size, 0.07 * size, r), look)


_KINDS = (
    _carton,
    _carton,
    _can,
    _bottle,
    _sphere,
    _bowl,
    _mug,
    _books,
    _flat,
    _toy,
    _cone,
    _lying,
    _screen,
    _plate,
    _cutlery,
)
