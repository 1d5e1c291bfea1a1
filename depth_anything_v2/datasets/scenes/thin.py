"""Thin structures: railings, ladders, bicycles, scaffolds, cables, blinds, grass and bare branches."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from depth_anything_v2.datasets.scenes.builder import Builder, Triple, random_turn
from depth_anything_v2.datasets.scenes.shapes import Shape, Vector


def _metal(b: Builder) -> int:
    return b.material(0.3, plain=0.9, gloss=0.5, metal=b.uniform(0.3, 0.9) if b.chance(0.4) else 0.0)


def railing(b: Builder, size: float) -> None:
    """Upright bars between two rails, along x."""
    wide, tall, gap, bar = size * b.uniform(1.5, 4), b.uniform(0.7, 1.1), b.uniform(0.08, 0.25), b.uniform(0.006, 0.02)
    look = _metal(b)
    for k in range(min(40, int(wide / gap)) + 1):
        x = -wide / 2 + k * gap
        b.rod((x, 0, 0.05), (x, 0, tall), bar, look)
    for z in (0.08, tall):
        b.rod((-wide / 2, 0, z), (wide / 2, 0, z + 1e-3), bar * 1.6, look)


def lattice(b: Builder, size: float) -> None:
    """A fence of crossing wires between posts, along x."""
    wide, tall, gap = size * b.uniform(1.5, 3), b.uniform(0.9, 1.8), b.uniform(0.1, 0.25)
    wire, count = _metal(b), 24
    for k in range(-count // 2, count):
        for way in (-1, 1):
            x = -wide / 2 + k * gap * 2
            ends = np.clip([x, x + way * tall], -wide / 2, wide / 2)
            if abs(ends[1] - ends[0]) > 0.05:
                z = abs(ends - x)
                b.rod((float(ends[0]), 0, float(z[0])), (float(ends[1]), 0, float(z[1])), 0.004, wire)
    for x in (-wide / 2, wide / 2):
        b.post((x, 0, 0), 0.03, tall, wire)


def ladder(b: Builder, size: float) -> None:
    tall, wide, lean = b.uniform(1.5, 3.5), b.uniform(0.3, 0.5), b.uniform(0.1, 0.5)
    look = b.material(0.4, plain=0.7)
    for s in (-1, 1):
        b.rod((s * wide / 2, 0, 0), (s * wide / 2, lean * tall, tall), 0.02, look)
    for k in range(1, int(tall / 0.28)):
        z = 0.28 * k
        b.rod((-wide / 2, lean * z, z), (wide / 2, lean * z + 1e-3, z), 0.014, look)


def bicycle(b: Builder, size: float) -> None:
    """A bicycle along y: wheels of spokes and short pieces, a frame, handlebar and saddle."""
    paint, rubber, steel = _metal(b), b.material(0.2, plain=1, tint=(0.02, 0.02, 0.02)), _metal(b)
    r = 0.33
    hubs = (-0.52, 0.52)
    for y in hubs:
        ring = [(0.0, y + r * np.cos(a), r + r * np.sin(a)) for a in np.linspace(0, 2 * np.pi, 19)]
        for start, end in pairwise(ring):
            b.rod(start, end, 0.018, rubber)
        for a in np.linspace(0, np.pi, 7)[:-1]:
            dy, dz = (r - 0.01) * np.cos(a), (r - 0.01) * np.sin(a)
            b.rod((0, y - dy, r - dz), (0, y + dy, r + dz), 0.002, steel)
    saddle: Triple = (0.0, 0.2, 0.85)
    crank: Triple = (0.0, 0.1, 0.3)
    front: Triple = (0.0, -0.38, 0.85)
    for start, end in ((saddle, crank), (crank, front), (front, saddle), (crank, (0, 0.52, r)), (saddle, (0, 0.52, r))):
        b.rod(start, end, 0.016, paint)
    b.rod((0, -0.52, r), (0.0, -0.36, 0.98), 0.016, paint)
    b.rod((-0.28, -0.36, 1.0), (0.28, -0.35, 1.0), 0.013, steel)
    b.ball((0, 0.22, 0.92), (0.07, 0.14, 0.03), rubber)


def scaffold(b: Builder, size: float) -> None:
    """Poles, ledgers, braces and boards, along x."""
    bay, lift, deep, look, board = b.uniform(1.5, 2.5), 2.0, 0.8, _metal(b), b.material(1, plain=0.3)
    bays, lifts = int(b.rng.integers(1, 4)), int(b.rng.integers(1, 4))
    for i in range(bays + 1):
        for y in (0, deep):
            b.rod((i * bay, y, 0), (i * bay, y + 1e-3, lifts * lift + 1), 0.024, look)
    for j in range(1, lifts + 1):
        for y in (0, deep):
            b.rod((0, y, j * lift), (bays * bay, y + 1e-3, j * lift), 0.024, look)
        b.box((bays * bay / 2, deep / 2, j * lift - 0.04), (bays * bay, deep * 0.9, 0.04), board)
        b.rod((0, 0, (j - 1) * lift), (bay, 0, j * lift), 0.02, look)


def blind(b: Builder, size: float) -> None:
    """Slats one over the other, or strips of cloth side by side."""
    wide, tall, look = b.uniform(0.6, 1.6), b.uniform(0.8, 1.6), b.material(0.5, plain=0.8)
    tilt = b.uniform(-0.8, 0.8)
    turned = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    for k in range(int(tall / 0.06)):
        b.box((0, 0, 0.7 + k * 0.06), (wide, 0.045, 0.003), look, turned)


def grass(b: Builder, size: float, count: int = 40) -> None:
    """Blades of grass or reed around the place."""
    green = (b.uniform(0.08, 0.35), b.uniform(0.2, 0.45), b.uniform(0.02, 0.1))
    look = b.material(0.2, plain=0.8, tint=green, mottle=0.5)
    tall = size * b.uniform(0.1, 0.6)
    for _ in range(count):
        foot = b.rng.normal(0, 0.25 * size, 2)
        bent = b.rng.normal(0, 0.3, 2) * tall
        middle = (float(foot[0] + 0.35 * bent[0]), float(foot[1] + 0.35 * bent[1]), tall * 0.6)
        tip = (float(foot[0] + bent[0]), float(foot[1] + bent[1]), tall * b.uniform(0.8, 1.1))
        width = tall * b.uniform(0.008, 0.02)
        b.tapered((float(foot[0]), float(foot[1]), 0), middle, width, width * 0.8, look)
        b.tapered(middle, tip, width * 0.8, width * 0.05, look)


def branches(b: Builder, size: float, leaves: float) -> None:
    """A tree of limbs that fork, bare or with leaves; about 4 m times `size` high."""
    bark = b.material(0.4, plain=0.3, tint=(0.16, 0.11, 0.07), mottle=0.5, bump=0.9, contrast=0.3)
    green = (b.uniform(0.05, 0.3), b.uniform(0.15, 0.4), b.uniform(0.02, 0.1))
    leaf = b.material(0.5, plain=0.2, tint=green, mottle=0.8, bump=1.2, gloss=0.0, contrast=0.35)
    tall = size * b.uniform(2.5, 5)

    def grow(start: Vector, way: Vector, length: float, radius: float, level: int) -> None:
        end = start + way * length
        a, c = ((float(p[0]), float(p[1]), float(p[2])) for p in (start, end))
        b.tapered(a, c, radius, radius * 0.65, bark)
        if level == 0:
            if b.chance(leaves):
                r = length * b.uniform(0.4, 0.9)
                b.ball(
                    c,
                    (r, r * b.uniform(0.6, 1), r * b.uniform(0.3, 0.8)),
                    leaf,
                    random_turn(b.rng),
                    cutout=b.uniform(0.5, 0.95),
                )
            return
        for _ in range(int(b.rng.integers(2, 4))):
            turned = way + b.rng.normal(0, 0.55, 3)
            turned[2] = max(float(turned[2]), -0.1)
            grow(end, turned / np.linalg.norm(turned), length * b.uniform(0.55, 0.85), radius * 0.6, level - 1)

    grow(np.zeros(3), np.array([b.rng.normal(0, 0.08), b.rng.normal(0, 0.08), 1.0]), tall * 0.42, tall * 0.025, 3)


def leaf_plant(b: Builder, size: float) -> None:
    """Stems that carry flat, stretched leaves on all sides."""
    green = (b.uniform(0.03, 0.25), b.uniform(0.15, 0.5), b.uniform(0.02, 0.15))
    look = b.material(0.2, plain=0.6, tint=green, mottle=0.4, gloss=b.uniform(0, 0.5))
    tall = size * b.uniform(0.4, 1.2)
    for _ in range(int(b.rng.integers(8, 26))):
        a, rise, out = b.uniform(0, 2 * np.pi), b.uniform(0.3, 1) * tall, size * b.uniform(0.08, 0.4)
        start: Triple = (0.0, 0.0, rise * 0.7)
        tip = (out * float(np.cos(a)), out * float(np.sin(a)), rise)
        b.tapered(start, tip, size * 0.006, size * 0.003, look)
        long = size * b.uniform(0.08, 0.22)
        b.add(Shape.ELLIPSOID, tip, (long, long * 0.4, long * 0.03), look, random_turn(b.rng))
    b.tapered((0, 0, 0), (0, 0, tall * 0.7), size * 0.015, size * 0.01, look)
