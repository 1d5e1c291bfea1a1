"""Scenes outdoors: streets with cars and people, and open land with trees, rocks and hills."""

from __future__ import annotations

import numpy as np

from depth_anything_v2.datasets.scenes.builder import Builder, Triple, camera, free_places
from depth_anything_v2.datasets.scenes.figures import animal, person
from depth_anything_v2.datasets.scenes.lighting import sun_and_sky
from depth_anything_v2.datasets.scenes.outdoor_things import (
    bollard,
    bush,
    car,
    crate,
    fence,
    hut,
    pole,
    rock,
    sign,
    stony,
    tree,
)
from depth_anything_v2.datasets.scenes.shapes import Shape, Vector
from depth_anything_v2.datasets.scenes.surface import Scenery
from depth_anything_v2.datasets.scenes.thin import bicycle, branches, grass, lattice, railing, scaffold


def street(b: Builder, height: int, width: int) -> Scenery:
    """A road or a square between buildings from eye height, with cars, people, trees, poles and cables."""
    lane = b.uniform(5, 16)
    walk = b.uniform(1.2, 5)
    tall = b.uniform(1.2, 2.2) if b.chance(0.7) else b.uniform(0.25, 1.2) if b.chance(0.5) else b.uniform(3, 12)
    eye = np.array([b.uniform(-0.5, 0.5) * lane, 0.0, tall])
    yaw = b.rng.normal(0, 0.2) if b.chance(0.7) else b.uniform(-1.3, 1.3)
    pitch = b.rng.normal(-0.03, 0.07) - 0.03 * max(0.0, tall - 2)
    view = camera(b.rng, eye, eye + np.array([np.sin(yaw), np.cos(yaw), pitch]), height, width, focal_mm=(18, 44))
    wet = b.uniform(0.3, 1.0) if b.chance(0.15) else 0.0
    b.wall((0, 0, 0), 3000, 3000, (0, 0, 1), b.material(3, plain=0.3, tint=stony(b), gloss=0.0, polish=wet))
    paved = b.material(b.uniform(0.5, 2), plain=0.3)
    for s in (-1, 1):
        b.add(
            Shape.BOX, (s * (lane / 2 + walk / 2), 95, 0.07), (walk / 2, 100, 0.07), paved, backdrop=True, casts=False
        )
    if b.chance(0.75):
        paint = b.material(1, plain=1, tint=(0.8, 0.8, 0.75) if b.chance(0.8) else (0.8, 0.6, 0.1), gloss=0.0)
        for k in range(14):
            b.wall((0, 3 + k * 5.5, 0.008), 0.08, 1.4, (0, 0, 1), paint, backdrop=False)
        for s in (-1, 1):
            b.wall((s * (lane / 2 - 0.4), 95, 0.008), 0.06, 100, (0, 0, 1), paint, backdrop=False)
    _buildings(b, lane / 2 + walk)
    _along_road(b, lane, walk, eye)
    scene = b.scenery("street", view)
    scene.mirror_z = 0.0 if wet else None
    sun_and_sky(b, scene, 90)
    return scene


def _buildings(b: Builder, edge: float) -> None:
    for side in (-1, 1):
        if b.chance(0.15):
            continue
        y, gap = b.uniform(-8, 4), b.chance(0.6)
        back = b.uniform(0, 4)
        while y < 130:
            long, tall, deep = b.uniform(6, 25), b.uniform(4, 22), b.uniform(8, 14)
            front = edge + back + (b.uniform(0, 1.5) if gap else 0)
            look = b.material(
                b.uniform(4, 9), plain=0.25, gloss=0.0, repeat=b.uniform(0.08, 0.35), angle=0.0, stretched=False
            )
            b.at((side * (front + deep / 2), y + long / 2, 0))
            b.add(Shape.BOX, (0, 0, tall / 2), (deep / 2, long / 2, tall / 2), look, backdrop=True)
            if b.chance(0.5):
                b.box((0, 0, tall + 0.2), (deep * 1.06, long * 1.02, 0.4), b.material(2, plain=0.7))
            if y < 45 and len(b.items) < 110:
                glass, frame = b.material(1, plain=0.7, tint=(0.05, 0.07, 0.09), gloss=0.6), b.material(1, plain=1)
                for k in range(int(long // 4)):
                    for floor in range(min(2, int(tall // 3.2))):
                        where = (-side * (deep / 2 + 0.02), -long / 2 + 2 + 4 * k, 1.7 + 3.1 * floor)
                        b.box(where, (0.1, 1.7, 1.9), frame)
                        b.box((where[0] - side * 0.02, where[1], where[2]), (0.1, 1.5, 1.7), glass)
            b.at((0, 0, 0))
            y += long + (b.uniform(1, 12) if gap and b.chance(0.5) else 0)
    if b.chance(0.5):
        b.box((b.uniform(-20, 20), 140, 8), (b.uniform(20, 60), 10, b.uniform(6, 30)), b.material(6, plain=0.3))


def _along_road(b: Builder, lane: float, walk: float, eye: Vector) -> None:
    taken: list[Triple] = [(float(eye[0]), 0.0, 1.6)]
    kerb = lane / 2

    def parked() -> tuple[float, float]:
        return float(b.rng.choice([-1, 1])) * (kerb - 1.1), float(np.exp(b.uniform(np.log(4), np.log(70))))

    def driving() -> tuple[float, float]:
        return b.uniform(-0.35, 0.35) * lane, float(np.exp(b.uniform(np.log(6), np.log(80))))

    def pavement() -> tuple[float, float]:
        return float(b.rng.choice([-1, 1])) * (kerb + b.uniform(0.1, walk)), float(
            np.exp(b.uniform(np.log(2.5), np.log(45)))
        )

    for x, y, _ in free_places(b, int(b.rng.integers(0, 6)), parked, lambda: 2.3, taken):
        b.at((x, y, 0), b.rng.normal(0, 0.05))
        car(b)
    for x, y, _ in free_places(b, int(b.rng.integers(0, 4)), driving, lambda: 2.3, taken):
        b.at((x, y, 0), b.rng.normal(0, 0.08) if b.chance(0.85) else b.uniform(0, 6))
        car(b)
    kinds = (person, person, pole, sign, tree, bollard, crate, bicycle, railing, lattice, _street_tree, animal)
    for x, y, _ in free_places(b, int(b.rng.integers(3, 13)), pavement, lambda: b.uniform(0.3, 0.7), taken):
        b.at((x, y, 0.14), b.uniform(0, 6))
        kinds[int(b.rng.integers(len(kinds)))](b, 1.0)
    if b.chance(0.2):
        b.at((float(b.rng.choice([-1, 1])) * (kerb + 0.4), b.uniform(4, 25), 0.14), np.pi / 2)
        scaffold(b, 1.0)
    b.at((0, 0, 0))
    if b.chance(0.3):
        wire = b.material(1, plain=1, tint=(0.03, 0.03, 0.03))
        for _ in range(int(b.rng.integers(1, 4))):
            z = b.uniform(5, 8)
            x = b.uniform(-1, 1) * lane
            b.rod((x, 2, z), (x + b.uniform(-8, 8), 80, z), 0.02, wire)


def _street_tree(b: Builder, size: float) -> None:
    branches(b, 1.3 * size, 0.8 if b.chance(0.6) else 0.0)


def landscape(b: Builder, height: int, width: int) -> Scenery:
    """Open land: a plain, hills made of large ellipsoids, trees, rocks, fences, huts, animals, water, sky."""
    eye = np.array([0.0, 0.0, b.uniform(0.4, 2.5) if b.chance(0.7) else b.uniform(3, 30)])
    pitch = b.rng.normal(-0.06, 0.1) - 0.012 * eye[2]
    view = camera(b.rng, eye, eye + np.array([0.0, 1.0, pitch]), height, width, focal_mm=(20, 57))
    tint = (b.uniform(0.08, 0.45), b.uniform(0.15, 0.4), b.uniform(0.03, 0.2)) if b.chance(0.7) else (0.5, 0.42, 0.3)
    turf = b.material(2, plain=0.2, tint=tint, gloss=0.0, mottle=0.6, bump=0.7, contrast=b.uniform(0, 0.6))
    b.wall((0, 0, 0), 6000, 6000, (0, 0, 1), turf)
    tan = width / 2 / view.focal_px
    for _ in range(int(b.rng.integers(0, 9))):
        y = float(np.exp(b.uniform(np.log(60), np.log(1500))))
        tall = y * b.uniform(0.03, 0.3)
        look = turf if b.chance(0.4) else b.material(y / 4, plain=0.2, gloss=0.0, mottle=0.6, bump=0.8, contrast=0.4)
        x = b.uniform(-1.6, 1.6) * tan * y
        b.add(
            Shape.ELLIPSOID, (x, y, 0), (y * b.uniform(0.25, 0.8), y * b.uniform(0.15, 0.4), tall), look, backdrop=True
        )
    for _ in range(int(b.rng.integers(0, 4))):
        y = b.uniform(6, 40)
        half = (b.uniform(4, 12), b.uniform(1.5, 4), b.uniform(0.15, 1.2))
        b.add(Shape.ELLIPSOID, (b.uniform(-1, 1) * tan * y, y, 0), half, turf, backdrop=True)
    pond = False
    if b.chance(0.3):
        y = b.uniform(8, 80)
        water = b.material(4, plain=0.8, tint=(0.05, 0.08, 0.1), gloss=0.3, bump=0.2, polish=b.uniform(0.5, 1.5))
        pond = True
        b.wall((b.uniform(-10, 10), y, 0.02), b.uniform(10, 80), b.uniform(4, 20), (0, 0, 1), water)
    if b.chance(0.35):
        path = b.material(1, plain=0.3, tint=(0.45, 0.38, 0.28), gloss=0.0, mottle=0.4)
        b.at((0, 0, 0), b.rng.normal(0, 0.3))
        b.wall((b.uniform(-1.5, 1.5), 50, 0.015), b.uniform(0.4, 2), 60, (0, 0, 1), path)
        b.at((0, 0, 0))
    taken: list[Triple] = [(0.0, 0.0, 1.5)]

    def sample() -> tuple[float, float]:
        y = float(np.exp(b.uniform(np.log(2.5 + eye[2] * 0.6), np.log(90 + 8 * eye[2]))))
        return b.uniform(-1.15, 1.15) * tan * y, y

    kinds = (tree, tree, _street_tree, rock, rock, bush, bush, person, animal, hut, fence, grass, lattice)
    for x, y, _ in free_places(b, int(b.rng.integers(6, 26)), sample, lambda: b.uniform(0.4, 1.2), taken):
        b.at((x, y, 0), b.uniform(0, 6))
        kinds[int(b.rng.integers(len(kinds)))](b, b.uniform(0.7, 1.6))
        if len(b.items) > 130:
            break
    b.at((0, 0, 0))
    scene = b.scenery("landscape", view)
    scene.mirror_z = 0.02 if pond else None
    sun_and_sky(b, scene, 250)
    return scene
