"""Scenes with something near: people and animals, hands and things close up; and flat walls, where nothing is."""

from __future__ import annotations

import numpy as np

from depth_anything_v2.datasets.scenes.builder import Builder, Triple, camera, free_places
from depth_anything_v2.datasets.scenes.clutter import stand
from depth_anything_v2.datasets.scenes.figures import animal, hand, head, person, skin_of
from depth_anything_v2.datasets.scenes.furniture import cabinet, chair, plant, shelf, sofa, table
from depth_anything_v2.datasets.scenes.lighting import indoor_lights, sun_and_sky
from depth_anything_v2.datasets.scenes.outdoor_things import bush, car, hut, stony, tree
from depth_anything_v2.datasets.scenes.shapes import View
from depth_anything_v2.datasets.scenes.surface import Scenery
from depth_anything_v2.datasets.scenes.thin import bicycle, branches, leaf_plant, railing


def people(b: Builder, height: int, width: int) -> Scenery:
    """One to six people or animals from a portrait to full figures, in a room or outdoors."""
    away = float(np.exp(b.uniform(np.log(0.9), np.log(6))))
    beasts = b.chance(0.35)
    top = b.uniform(0.3, 0.6) if beasts else b.uniform(0.9, 1.65)
    target = np.array([0.0, away * (0.5 if beasts else 1), top])
    eye = np.array([b.rng.normal(0, 0.1), 0.0, max(0.1, top + b.rng.normal(0, 0.25))])
    view = camera(b.rng, eye, target, height, width, focal_mm=(22, 85), dolly=True)
    indoors = b.chance(0.5)
    (_interior if indoors else _exterior)(b, view)
    tan = width / 2 / view.focal_px
    taken: list[Triple] = [(float(view.position[0]), float(view.position[1]), 0.35)]

    def sample() -> tuple[float, float]:
        y = float(target[1]) * b.uniform(0.8, 1.0) if len(taken) == 1 else float(target[1]) * b.uniform(0.8, 2.5)
        return b.uniform(-0.75, 0.75) * tan * (y - float(view.position[1])), y

    radius = 0.25 if beasts else 0.35
    for x, y, _ in free_places(b, int(b.rng.integers(1, 7)), sample, lambda: radius, taken):
        b.at((x, y, 0), b.rng.normal(0, 0.6) if b.chance(0.7) else b.uniform(0, 6))
        if beasts and b.chance(0.85):
            animal(b, b.uniform(0.6, 1.6))
        else:
            person(b, 0.4)
    b.at((0, 0, 0))
    return _lit(b, b.scenery("people", view), indoors, away, 0.45)


def closeup(b: Builder, height: int, width: int) -> Scenery:
    """A hand, a face or a thing 0.2 to 1 m before the camera, with a room or a landscape behind it."""
    away = float(np.exp(b.uniform(np.log(0.2), np.log(1.0))))
    eye = np.array([0.0, 0.0, b.uniform(0.9, 1.7)])
    aim = eye + np.array([0.0, away, b.uniform(-0.25, 0.1) * away])
    view = camera(b.rng, eye, aim, height, width, focal_mm=(22, 85), dolly=True)
    indoors = b.chance(0.5)
    (_interior if indoors else _exterior)(b, view)
    tan = 0.5 * min(height, width) / view.focal_px
    right, down, forward = view.rotation.T
    middle = view.position + forward * float((aim - view.position) @ forward)
    reach = float((aim - view.position) @ forward) * tan
    kind = b.rng.random()
    for number in range(1 if kind > 0.4 else int(b.rng.integers(1, 3))):
        side = float(b.rng.choice([-1, 1]))
        place = middle + right * reach * b.uniform(-0.4, 0.4) * (1 + number) - down * reach * b.uniform(-0.3, 0.2)
        if kind < 0.4:
            way = -right * side * b.uniform(0.2, 1) - down * b.uniform(-0.2, 1) + forward * b.uniform(-0.2, 0.6)
            held = b.uniform(0.04, 0.16) if b.chance(0.7) else 0.0
            hand(b, place - way * 0.12 / np.linalg.norm(way), way, -forward * b.uniform(-1, 1) + right * side, held)
        elif kind < 0.55:
            b.at(place, b.rng.normal(0, 0.7))
            skin = skin_of(b)
            hair = b.material(0.2, plain=1, tint=(b.uniform(0.01, 0.4),) * 3, bump=0.9)
            head(b, np.zeros(3), 0.105, skin, hair)
            b.limb((0, 0.03, -0.08), (0, 0.04, -0.22), 0.06, 0.065, skin)
            b.ball((0, 0.06, -0.36), (0.22, 0.13, 0.17), b.material(0.4, plain=0.5))
        elif kind < 0.75:
            b.at(place - np.array([0, 0, reach * 0.6]), b.uniform(0, 6))
            (leaf_plant if b.chance(0.6) else animal)(b, reach * b.uniform(1.2, 2.2))
        else:
            b.at(place - np.array([0, 0, reach * 0.6]), 0)
            ledge = b.material(0.5, plain=0.4)
            b.box((0, 0.3, -0.02), (b.uniform(0.4, 3), b.uniform(0.65, 0.9), 0.04), ledge)
            for _ in range(int(b.rng.integers(1, 6))):
                stand(b, b.uniform(-0.9, 0.9) * reach, b.uniform(-0.1, 0.5), 0, reach * b.uniform(0.4, 1.3))
        b.at((0, 0, 0))
    return _lit(b, b.scenery("closeup", view), indoors, max(away, 0.4), 0.6)


def flat_wall(b: Builder, height: int, width: int) -> Scenery:
    """A wall seen straight on or aslant, full of prints and painted things that have no depth; little stands out."""
    away = b.uniform(0.4, 5)
    turn, tip = b.rng.normal(0, 0.5), b.rng.normal(0, 0.15)
    turn = float(np.clip(turn, -1.2, 1.2))
    centre = np.array([0.0, 0.0, 1.5])
    eye = centre + away * np.array([np.sin(turn), -np.cos(turn), np.sin(tip)])
    eye[2] = max(eye[2], 0.2)
    view = camera(b.rng, eye, centre, height, width, focal_mm=(20, 85), dolly=True)
    photo = b.chance(0.3)
    b.wall((0, 0, 1.5), 20, 20, (0, -1, 0), b.material(b.uniform(0.4, 3), plain=0.3, photo=photo, gloss=0.0))
    if b.chance(0.5):
        b.wall((0, -10, min(0.0, 1.4 - 0.4 * away)), 20, 10, (0, 0, 1), b.material(1, plain=0.3))
    seen = away * 18 / 30
    places: list[Triple] = []

    def sample() -> tuple[float, float]:
        return b.uniform(-1.3, 1.3) * seen, 1.5 + b.uniform(-0.9, 0.9) * seen

    raised = b.chance(0.5)
    count = int(b.rng.integers(1, 16))
    for x, z, r in free_places(b, count, sample, lambda: seen * b.uniform(0.08, 0.5), places):
        w, h = r * b.uniform(0.5, 1), r * b.uniform(0.5, 1)
        thick = b.uniform(0.02, 0.3) * r if raised and b.chance(0.5) else b.uniform(0.001, 0.01)
        look = b.material(1, plain=0.1, photo=b.chance(0.6), stretched=True, mottle=0.0, bump=0.0)
        frame = look if b.chance(0.5) else b.material(0.3, plain=0.8)
        b.box((x, -thick / 2, z), (2 * w, thick, 2 * h), frame)
        b.wall((x, -thick - 0.001, z), w * 0.94, h * 0.94, (0, -1, 0), look, backdrop=False)
    if b.chance(0.35):
        for _ in range(int(b.rng.integers(1, 4))):
            b.at((b.uniform(-1, 1) * seen, -b.uniform(0.3, 0.5) * away, min(0.0, 1.4 - 0.4 * away)), b.uniform(0, 6))
            (person, chair, plant, railing, bicycle)[int(b.rng.integers(5))](b, 0.5)
        b.at((0, 0, 0))
    scene = b.scenery("wall", view)
    indoor_lights(b, scene, np.array([0, -away / 2, 0]), 2.8, away)
    scene.flat = True
    return scene


def _lit(b: Builder, scene: Scenery, indoors: bool, away: float, wide_open: float) -> Scenery:
    if indoors:
        indoor_lights(b, scene, np.array([0, away, 0]), 2.5, max(1.0, away))
    else:
        sun_and_sky(b, scene, 80)
    scene.wide_open = wide_open
    return scene


def _behind(b: Builder, view: View, count: int, low: float, high: float) -> list[Triple]:
    """Return free places on the ground behind the subject, in the view."""
    tan = view.width / 2 / view.focal_px
    start = float(view.position[1])

    def sample() -> tuple[float, float]:
        y = float(np.exp(b.uniform(np.log(low), np.log(high))))
        return b.uniform(-1.1, 1.1) * tan * (y - start), y

    return free_places(b, count, sample, lambda: b.uniform(0.3, 0.8), [])


def _interior(b: Builder, view: View) -> None:
    """A room around the view, furniture from 2.5 m on."""
    deep, wide, tall = b.uniform(4, 12), b.uniform(2, 6), b.uniform(2.3, 3.5)
    back = float(view.position[1]) - 1
    middle = (deep + back) / 2
    floor, wall = b.material(1, plain=0.3), b.material(2, plain=0.7, gloss=0.0)
    b.wall((0, middle, 0), wide, (deep - back) / 2, (0, 0, 1), floor)
    b.wall((0, middle, tall), wide, (deep - back) / 2, (0, 0, -1), b.material(1, plain=0.8, tint=(0.8, 0.8, 0.75)))
    b.wall((0, deep, tall / 2), wide, tall / 2, (0, -1, 0), wall)
    for s in (-1, 1):
        b.wall((s * wide, middle, tall / 2), (deep - back) / 2, tall / 2, (-s, 0, 0), wall)
    for _ in range(int(b.rng.integers(0, 4))):
        glow = b.uniform(0.5, 3) if b.chance(0.35) else 0.0
        look = b.material(1, plain=0.3, photo=True, glow=glow)
        b.wall(
            (b.uniform(-0.8, 0.8) * wide, deep - 0.02, b.uniform(1, 1.8)), b.uniform(0.2, 0.8), 0.5, (0, -1, 0), look
        )
    pieces = (table, chair, sofa, shelf, cabinet, plant, person, railing)
    for x, y, r in _behind(b, view, int(b.rng.integers(2, 8)), 2.5, deep - 0.5):
        if abs(x) < wide - 0.4:
            b.at((x, y, 0), float(b.rng.integers(4)) * np.pi / 2)
            pieces[int(b.rng.integers(len(pieces)))](b, r)
    b.at((0, 0, 0))


def _exterior(b: Builder, view: View) -> None:
    """Ground, and trees, houses, cars and fences from 3 m on."""
    b.wall((0, 0, 0), 2000, 2000, (0, 0, 1), b.material(2, plain=0.3, tint=stony(b), gloss=0.0, mottle=0.5))
    if b.chance(0.4):
        wall = b.material(b.uniform(1, 6), plain=0.2, gloss=0.0)
        y = b.uniform(5, 30)
        b.wall((b.uniform(-5, 5), y, 3), b.uniform(3, 20), 3, (b.rng.normal(0, 0.3), -1, 0), wall)
    kinds = (tree, branches_bare, bush, hut_far, railing, person, bicycle, parked)
    for x, y, r in _behind(b, view, int(b.rng.integers(4, 12)), 3, 40):
        b.at((x, y, 0), b.uniform(0, 6))
        kinds[int(b.rng.integers(len(kinds)))](b, b.uniform(0.7, 1.5) if r else 1.0)
        if len(b.items) > 260:
            break
    b.at((0, 0, 0))


def branches_bare(b: Builder, size: float) -> None:
    branches(b, size, 0.7 if b.chance(0.6) else 0.0)


def parked(b: Builder, size: float) -> None:
    car(b)


def hut_far(b: Builder, size: float) -> None:
    """A hut, moved away by its own length."""
    b.base = b.base + np.array([0.0, 9.0, 0.0])
    hut(b, size)
