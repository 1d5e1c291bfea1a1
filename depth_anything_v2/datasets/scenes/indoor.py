"""Scenes indoors: rooms with furniture, table-tops seen from near, bins of clutter, and loose shapes."""

from __future__ import annotations

import numpy as np

from depth_anything_v2.datasets.scenes.builder import Builder, Triple, camera, free_places, random_turn
from depth_anything_v2.datasets.scenes.clutter import stand
from depth_anything_v2.datasets.scenes.figures import animal, person
from depth_anything_v2.datasets.scenes.furniture import (
    bed,
    cabinet,
    chair,
    desk,
    floor_lamp,
    glass_case,
    pile,
    plant,
    shelf,
    sofa,
    table,
)
from depth_anything_v2.datasets.scenes.lighting import indoor_lights
from depth_anything_v2.datasets.scenes.shapes import Shape, Vector
from depth_anything_v2.datasets.scenes.surface import Light, Scenery
from depth_anything_v2.datasets.scenes.thin import bicycle, blind, ladder, leaf_plant, railing


def room(b: Builder, height: int, width: int) -> Scenery:
    """A camera in a room, an office or a corridor with furniture, pictures, windows and doors."""
    corridor = b.chance(0.12)
    hall = not corridor and b.chance(0.12)
    wide = b.uniform(1.6, 2.8) if corridor else b.uniform(8, 18) if hall else b.uniform(2.6, 7)
    deep = b.uniform(6, 20) if corridor else b.uniform(8, 22) if hall else b.uniform(2.8, 8)
    tall = b.uniform(3, 6) if hall else b.uniform(2.2, 3.2)
    eye = np.array(
        [
            b.uniform(-0.42, 0.42) * wide,
            -deep / 2 + b.uniform(0.05, 0.35) * deep,
            b.uniform(0.6, 1.9) if b.chance(0.8) else b.uniform(0.1, 0.95) * tall,
        ]
    )
    pitch = np.radians(b.uniform(-32, 6)) if b.chance(0.8) else np.radians(b.uniform(-60, 20))
    yaw = np.radians(b.rng.normal(0, 28)) if not corridor else np.radians(b.rng.normal(0, 9))
    way = np.array([np.sin(yaw) * np.cos(pitch), np.cos(yaw) * np.cos(pitch), np.sin(pitch)])
    view = camera(b.rng, eye, eye + way, height, width, focal_mm=(19, 40))
    polish = b.uniform(0.15, 0.9) if b.chance(0.25) else 0.0
    _shell(b, wide, deep, tall, polish)
    _on_walls(b, wide, deep, tall)
    taken: list[Triple] = [(float(eye[0]), float(eye[1]), 0.55)]
    pieces = (table, table, desk, chair, chair, sofa, shelf, cabinet, bed, floor_lamp, plant, pile, person)
    rare = (animal, bicycle, blind, ladder, leaf_plant, railing, glass_case)
    low, high = (4, 10) if corridor else (14, 30) if hall else (7, 18)
    count = int(b.rng.integers(low, high))

    def sample() -> tuple[float, float]:
        return b.uniform(-0.46, 0.46) * wide, max(b.uniform(-0.46, 0.46), b.uniform(-0.46, 0.46)) * deep

    for x, y, r in free_places(b, count, sample, lambda: b.uniform(0.3, 0.75), taken):
        b.at(
            (x, y, 0),
            float(b.rng.integers(4)) * np.pi / 2 + (b.rng.normal(0, 0.1) if b.chance(0.6) else b.uniform(0, 6)),
        )
        chosen = pieces if b.chance(0.8) else rare
        chosen[int(b.rng.integers(len(chosen)))](b, r)
    b.at((0, 0, 0))
    if b.chance(0.25):
        x = b.uniform(-0.3, 0.3) * wide
        b.box(
            (x, b.uniform(0.0, 0.4) * deep, tall / 2),
            (b.uniform(0.2, 1.6), b.uniform(0.1, 0.4), tall),
            b.material(1, plain=0.7),
        )
    scene = b.scenery("room", view)
    scene.mirror_z = 0.0 if polish else None
    indoor_lights(b, scene, np.array([0.0, 0.1 * deep, 0.0]), tall, min(wide, deep) / 2)
    return scene


def _shell(b: Builder, wide: float, deep: float, tall: float, polish: float) -> None:
    floor = b.material(b.uniform(0.5, 3), plain=0.25, polish=polish)
    b.wall((0, 0, 0), wide / 2, deep / 2, (0, 0, 1), floor)
    b.wall((0, 0, tall), wide / 2, deep / 2, (0, 0, -1), b.material(1.5, plain=0.75, tint=_pale(b), gloss=0.0))
    common = b.material(b.uniform(0.5, 4), plain=0.7, gloss=0.0, tint=_pale(b) if b.chance(0.7) else (0.4, 0.35, 0.3))
    faces: tuple[tuple[Triple, float, Triple], ...] = (
        ((-wide / 2, 0, tall / 2), deep / 2, (1, 0, 0)),
        ((wide / 2, 0, tall / 2), deep / 2, (-1, 0, 0)),
        ((0, deep / 2, tall / 2), wide / 2, (0, -1, 0)),
        ((0, -deep / 2, tall / 2), wide / 2, (0, 1, 0)),
    )
    board = b.material(1, plain=0.8)
    skirting = b.chance(0.5)
    for centre, half, facing in faces:
        look = common if b.chance(0.75) else b.material(b.uniform(0.5, 4), plain=0.5, gloss=0.0)
        b.wall(centre, half, tall / 2, facing, look)
        if skirting:
            inner = (centre[0] + 0.01 * facing[0], centre[1] + 0.01 * facing[1], 0.05)
            size = (0.02, 2 * half, 0.1) if facing[0] else (2 * half, 0.02, 0.1)
            b.box(inner, size, board)
    if b.chance(0.4):
        rug = b.material(1.5, plain=0.15)
        place = (b.uniform(-0.2, 0.2) * wide, b.uniform(-0.1, 0.3) * deep, 0.006)
        b.box(place, (wide * b.uniform(0.25, 0.6), deep * b.uniform(0.2, 0.4), 0.012), rug)
    if b.chance(0.4):
        lamp = b.material(1, plain=1.0, tint=(1, 1, 0.95), glow=b.uniform(0.5, 2.5))
        for k in range(int(b.rng.integers(1, 5))):
            b.box(
                (b.uniform(-0.3, 0.3) * wide, deep * (0.4 - 0.2 * k), tall - 0.03),
                (0.6, b.uniform(0.3, 1.2), 0.06),
                lamp,
            )


def _pale(b: Builder) -> Triple:
    level = b.uniform(0.45, 0.9)
    return (level, level * b.uniform(0.88, 1.02), level * b.uniform(0.75, 1.05))


def _on_walls(b: Builder, wide: float, deep: float, tall: float) -> None:
    """Pictures and screens lie flat on the walls, windows are bright, doors have a frame."""
    for _ in range(int(b.rng.integers(2, 9))):
        side = int(b.rng.choice([0, 1, 2, 2]))
        length = wide if side == 2 else deep
        along = b.uniform(-0.42, 0.42) * length
        kind = b.rng.random()
        w, h = b.uniform(0.3, 1.3), b.uniform(0.25, 0.95)
        z = b.uniform(1.2, 1.8)
        if kind < 0.25:
            w, h, z = b.uniform(0.7, 2.4), b.uniform(0.8, 1.5), b.uniform(1.3, 1.6)
            look = b.material(1, plain=0.5, photo=b.chance(0.5), glow=b.uniform(0.3, 2.0), tint=(0.8, 0.9, 1.0))
        elif kind < 0.45:
            w, h, z = b.uniform(0.75, 1.1), 2.0, 1.0
            look = b.material(1, plain=0.6)
        else:
            look = b.material(1, plain=0.2, photo=b.chance(0.75))
        frame = b.material(1, plain=0.7)
        thick = b.uniform(0.01, 0.06)
        if side == 2:
            b.box((along, deep / 2 - thick / 2, z), (w + 0.1, thick, h + 0.1), frame)
            b.wall((along, deep / 2 - thick - 0.002, z), w / 2, h / 2, (0, -1, 0), look, backdrop=False)
            continue
        sign = 1 if side == 0 else -1
        b.box((-sign * (wide / 2 - thick / 2), along, z), (thick, w + 0.1, h + 0.1), frame)
        b.wall((-sign * (wide / 2 - thick - 0.002), along, z), w / 2, h / 2, (sign, 0, 0), look, backdrop=False)


def tabletop(b: Builder, height: int, width: int) -> Scenery:
    """Things on a table seen from 0.3 to 1.5 m, at any pitch from flat to straight down."""
    away = float(np.exp(b.uniform(np.log(0.3), np.log(1.6))))
    pitch = np.radians(b.uniform(10, 60)) if b.chance(0.65) else np.radians(b.uniform(50, 89))
    turn = b.uniform(0, 2 * np.pi)
    aim = np.array([b.rng.normal(0, 0.05), b.rng.normal(0, 0.05), b.uniform(0, 0.08)])
    eye = aim + away * np.array([-np.sin(turn) * np.cos(pitch), -np.cos(turn) * np.cos(pitch), np.sin(pitch)])
    view = camera(b.rng, eye, aim, height, width, focal_mm=(22, 47), dolly=True)
    polish = b.uniform(0.15, 0.9) if b.chance(0.2) else 0.0
    top = b.material(b.uniform(0.2, 1.0), plain=0.35, polish=polish)
    half_x, half_y = (20.0, 20.0) if b.chance(0.25) else (b.uniform(0.3, 1.2), b.uniform(0.3, 0.9))
    twist = b.uniform(0, np.pi)
    b.at((0, 0, 0), twist)
    b.add(Shape.BOX, (0, 0, -0.02), (half_x, half_y, 0.02), top, backdrop=True)
    b.at((0, 0, 0))
    if half_x < 10:
        b.wall((0, 0, -b.uniform(0.4, 0.8)), 8, 8, (0, 0, 1), b.material(1.5, plain=0.4))
    ahead = np.array([np.sin(turn), np.cos(turn)])
    if b.chance(0.7):
        far = max(half_x if half_x < 10 else 0.5, 0.4) * b.uniform(1.0, 3.5)
        look = b.material(b.uniform(0.5, 2), plain=0.5, photo=b.chance(0.1), gloss=0.0)
        lean = b.rng.normal(0, 0.25)
        facing = (
            -ahead[0] * np.cos(lean) + ahead[1] * np.sin(lean),
            -ahead[1] * np.cos(lean) - ahead[0] * np.sin(lean),
            0.0,
        )
        b.wall((ahead[0] * far, ahead[1] * far, 0.5), 8, 3.5, facing, look)
    else:
        b.wall((ahead[0] * 6, ahead[1] * 6, 1), 9, 4, (-ahead[0], -ahead[1], 0), b.material(2, plain=0.4))
        for _ in range(int(b.rng.integers(2, 6))):
            along, aside = b.uniform(1.3, 4), b.uniform(-2, 2)
            place = ahead * along + np.array([-ahead[1], ahead[0]]) * aside
            b.at((place[0], place[1], -0.75), b.uniform(0, 6))
            (chair, shelf, cabinet, table)[int(b.rng.integers(4))](b, 0.6)
        b.at((0, 0, 0))
    spread = 0.5 * away + 0.1
    size = b.uniform(0.08, 0.22) * (0.5 + away / 1.4)
    taken: list[Triple] = [
        (float(view.position[0]), float(view.position[1]), 0.6 * size + 0.1 if view.position[2] < 2.2 * size else 0.0)
    ]

    def sample() -> tuple[float, float]:
        x, y = b.rng.normal(0, spread, 2)
        return (
            (float(x), float(y))
            if half_x > 10
            else (float(np.clip(x, -half_y, half_y)), float(np.clip(y, -half_y, half_y)))
        )

    crowd = b.uniform(0.35, 1.0)
    for x, y, r in free_places(
        b, int(b.rng.integers(8, 40)), sample, lambda: size * b.uniform(0.3, 0.8) * crowd, taken
    ):
        stand(b, x, y, 0, r / crowd * 1.6)
    scene = b.scenery("tabletop", view)
    scene.mirror_z = 0.0 if polish else None
    indoor_lights(b, scene, np.zeros(3), b.uniform(0.8, 2.0), b.uniform(0.5, 1.5))
    return scene


def bin_clutter(b: Builder, height: int, width: int) -> Scenery:
    """Piled objects of all orientations in an open box or a loose heap, seen from above."""
    wide, deep, tall = b.uniform(0.3, 0.9), b.uniform(0.25, 0.7), b.uniform(0.1, 0.4)
    away = b.uniform(0.45, 1.1)
    pitch = np.radians(b.uniform(50, 90))
    turn = b.uniform(0, 2 * np.pi)
    aim = np.array([b.rng.normal(0, 0.05), b.rng.normal(0, 0.05), 0.05])
    eye = aim + (away + tall * 0.5) * np.array(
        [np.sin(turn) * np.cos(pitch), np.cos(turn) * np.cos(pitch), np.sin(pitch) + 1e-3]
    )
    view = camera(b.rng, eye, aim, height, width, focal_mm=(23, 50), dolly=True)
    lift = b.uniform(0, 0.8)
    b.wall((0, 0, -lift - 0.01), 6, 6, (0, 0, 1), b.material(1.5, plain=0.35))
    boxed = b.chance(0.75)
    if boxed:
        plastic, bottom = b.material(0.5, plain=0.7), b.material(0.5, plain=0.6)
        thick = b.uniform(0.004, 0.03)
        b.add(Shape.BOX, (0, 0, -0.005), (wide / 2, deep / 2, 0.005), bottom, backdrop=True)
        for s in (-1, 1):
            b.box((s * wide / 2, 0, tall / 2), (thick, deep + thick, tall), plastic)
            b.box((0, s * deep / 2, tall / 2), (wide + thick, thick, tall), plastic)
    else:
        b.add(Shape.BOX, (0, 0, -0.01), (wide, deep, 0.01), b.material(0.8, plain=0.4), backdrop=True)
    count = int(b.rng.integers(10, 50))
    size = b.uniform(0.05, 0.16)
    area = wide * deep * 0.6
    for k in range(count):
        x, y = b.uniform(-0.42, 0.42) * wide, b.uniform(-0.42, 0.42) * deep
        z = min(size * (0.3 + 0.9 * k * size * size / area), tall * 1.1)
        if b.chance(0.35):
            stand(b, x, y, max(z - size * 0.4, 0), size * b.uniform(0.7, 1.6))
        else:
            b.single((x, y, z), size * b.uniform(0.7, 1.8))
    for _ in range(int(b.rng.integers(0, 6))):
        a = b.uniform(0, 2 * np.pi)
        stand(b, wide * 1.2 * np.cos(a), wide * 1.2 * np.sin(a), -lift, b.uniform(0.1, 0.4))
    scene = b.scenery("bin", view)
    indoor_lights(b, scene, np.zeros(3), b.uniform(1.2, 2.5), b.uniform(0.6, 1.5))
    return scene


def abstract(b: Builder, height: int, width: int) -> Scenery:
    """Loose and stacked shapes of all orientations before a wall, a floor or a far background."""
    scale = float(np.exp(b.uniform(np.log(0.5), np.log(6))))
    eye: Vector = np.zeros(3)
    view = camera(b.rng, eye, np.array([0.0, 1.0, b.uniform(-0.5, 0.3)]), height, width, focal_mm=(18, 57))
    tan = width / 2 / view.focal_px
    far = b.uniform(3, 9) * scale
    if b.chance(0.8):
        tilt = (b.rng.normal(0, 0.35), -1.0, b.rng.normal(0, 0.25))
        b.wall((0, far, 0), far * 4, far * 4, tilt, b.material(scale * 2, plain=0.3, photo=b.chance(0.15)))
    if b.chance(0.55):
        b.wall((0, far, -b.uniform(0.4, 1.2) * scale), far * 4, far * 4, (0, 0, 1), b.material(scale, plain=0.3))
    for _ in range(int(b.rng.integers(8, 45))):
        y = float(np.exp(b.uniform(np.log(1.0 * scale), np.log(far))))
        size = min(b.uniform(0.15, 0.9) * scale * b.uniform(0.4, 1.4), y * 0.55)
        centre = (b.uniform(-1.2, 1.2) * tan * y, y, b.uniform(-0.95, 0.95) * tan * y)
        if b.chance(0.75):
            b.single(centre, size)
        else:
            b.at(centre, b.uniform(0, 6))
            b.frame = b.frame @ random_turn(b.rng)
            stand(b, 0, 0, 0, size)
            b.at((0, 0, 0))
    for _ in range(int(b.rng.integers(0, 5))):
        y = b.uniform(1, 6) * scale
        ends = [(b.uniform(-2, 2) * tan * y, y * b.uniform(0.8, 1.3), b.uniform(-2, 2) * tan * y) for _ in range(2)]
        b.rod(ends[0], ends[1], scale * b.uniform(0.004, 0.05), b.material(0.3))
    scene = b.scenery("abstract", view)
    scene.lights.append(
        Light(
            np.array([b.uniform(-1, 1), -b.uniform(0.1, 1), b.uniform(0.2, 1.2)]),
            False,
            (1, 0.97, 0.92),
            b.uniform(0.4, 1.5),
            1.0,
            b.chance(0.6),
        )
    )
    indoor_lights(b, scene, np.array([0, far / 2, 0]), scale * 2, scale * 2)
    scene.lights = scene.lights[:2]
    if b.textures > b.first_photo and b.chance(0.5):
        scene.sky_photo = int(b.rng.integers(b.first_photo, b.textures))
    return scene
