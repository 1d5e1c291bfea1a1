"""Puts a scene together: random materials, single shapes, places and cameras."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from depth_anything_v2.datasets.scenes.shapes import Primitive, Shape, Vector, View, look_at
from depth_anything_v2.datasets.scenes.surface import Material, Scenery
from depth_anything_v2.datasets.scenes.textures import PRINTS, natural_colour

Triple = tuple[float, float, float]


def turn_z(angle: float) -> Vector:
    """Return the rotation by `angle` (radians) about the vertical."""
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


def random_turn(rng: np.random.Generator) -> Vector:
    """Return a rotation drawn evenly from all rotations."""
    q = rng.normal(size=4)
    w, x, y, z = q / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w)],
            [2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w)],
            [2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y)],
        ]
    )


class Builder:
    """Collects the objects of one scene. Positions are in metres, z is up; compounds stand at `at` turned by `yaw`."""

    def __init__(self, rng: np.random.Generator, textures: int, first_photo: int) -> None:
        self.rng = rng
        self.textures = textures
        self.first_photo = first_photo
        self.items: list[Primitive] = []
        self.materials: list[Material] = []
        self.tidy = rng.random()
        self.frame: Vector = np.eye(3)
        self.base: Vector = np.zeros(3)

    def uniform(self, low: float, high: float) -> float:
        return float(low + (high - low) * self.rng.random())

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def at(self, position: Triple | Vector, yaw: float = 0.0) -> None:
        """Set the place that following shapes are relative to."""
        self.base = np.asarray(position, float)
        self.frame = turn_z(yaw)

    def material(self, size_m: float = 1.0, *, plain: float = 0.45, photo: bool = False, **fixed: object) -> int:
        """Add a random material for a thing of about `size_m` and return its number."""
        rng, r = self.rng, self.rng.random(20).tolist()
        photos = self.textures - self.first_photo
        first = 1
        if photo:
            first = self.first_photo if photos > 0 and r[0] < 0.8 else self.first_photo - PRINTS
        contrast = 0.0 if r[1] < plain else 0.35 + 0.65 * r[2]
        red, green, blue = natural_colour(rng).tolist()
        if contrast > 0.8:
            red, green, blue = red * 0.3 + 0.7, green * 0.3 + 0.7, blue * 0.3 + 0.7
        turn = 0.0 if r[3] < 0.5 else np.pi / 2 if r[3] < 0.8 else 2 * np.pi * r[4]
        values: dict[str, object] = {
            "tint": (red, green, blue),
            "texture": first + int(r[5] * (self.textures - first)),
            "contrast": 1.0 if photo else contrast,
            "repeat": 0.25 * 12.0 ** r[6] / size_m,
            "angle": turn,
            "offset": (r[7], r[8]),
            "stretched": photo or r[9] < 0.12,
            "mottle": 0.35 * r[10] if r[11] < 0.6 else 0.0,
            "bump": 0.1 + 0.8 * r[12] if r[13] < 0.35 else 0.0,
            "gloss": 0.05 + 0.75 * r[14] if r[15] < 0.45 else 0.0,
            "shine": 5.0 * 24.0 ** r[16],
            "metal": 0.4 + 0.55 * r[17] if r[18] < 0.04 else 0.0,
        }
        values.update(fixed)
        self.materials.append(Material(**values))  # type: ignore[arg-type]
        return len(self.materials) - 1

    def glass(self, **fixed: object) -> int:
        """Add clear, glossy material, mostly colourless."""
        level = self.uniform(0.75, 0.98)
        tint = (level, level, level) if self.chance(0.6) else tuple(self.uniform(0.3, 1.0) for _ in range(3))
        look: dict[str, object] = {
            "tint": tint,
            "clear": self.uniform(0.55, 0.95),
            "gloss": self.uniform(0.5, 1.0),
            "shine": self.uniform(40, 200),
            "metal": 0.0,
            "bump": 0.0,
            "mottle": 0.0,
        }
        return self.material(1, plain=1, **(look | fixed))  # type: ignore[arg-type]

    def add(
        self,
        shape: Shape,
        centre: Triple,
        half: Triple,
        material: int,
        rotation: Vector | None = None,
        *,
        taper: float = 1.0,
        open_top: bool = False,
        cutout: float = 0.0,
        casts: bool = True,
        backdrop: bool = False,
    ) -> None:
        """Add one shape in the current place."""
        turned = self.frame if rotation is None else self.frame @ rotation
        middle = self.base + self.frame @ np.asarray(centre, float)
        size = np.maximum(np.asarray(half, float), 1e-4)
        self.items.append(Primitive(shape, middle, size, turned, material, taper, open_top, cutout, casts, backdrop))

    def box(self, centre: Triple, size: Triple, material: int, rotation: Vector | None = None) -> None:
        self.add(Shape.BOX, centre, (size[0] / 2, size[1] / 2, size[2] / 2), material, rotation)

    def ball(
        self, centre: Triple, radii: Triple, material: int, rotation: Vector | None = None, cutout: float = 0.0
    ) -> None:
        self.add(Shape.ELLIPSOID, centre, radii, material, rotation, cutout=cutout)

    def post(
        self, foot: Triple, radius: float, height: float, material: int, taper: float = 1.0, open_top: bool = False
    ) -> None:
        middle = (foot[0], foot[1], foot[2] + height / 2)
        self.add(Shape.FRUSTUM, middle, (radius, radius, height / 2), material, taper=taper, open_top=open_top)

    def rod(self, start: Triple, end: Triple, radius: float, material: int) -> None:
        """Add a thin cylinder between two points (a cable, a strut)."""
        a, b = np.asarray(start, float), np.asarray(end, float)
        turned = look_at(a, b)
        middle = (a + b) / 2
        half = (radius, radius, float(np.linalg.norm(b - a)) / 2)
        self.add(Shape.FRUSTUM, (middle[0], middle[1], middle[2]), half, material, turned)

    def tapered(self, start: Triple, end: Triple, first: float, last: float, material: int) -> None:
        """Add a round bar whose radius goes from `first` to `last`."""
        a, b = np.asarray(start, float), np.asarray(end, float)
        middle = (a + b) / 2
        half = (first, first, float(np.linalg.norm(b - a)) / 2)
        self.add(Shape.FRUSTUM, (middle[0], middle[1], middle[2]), half, material, look_at(a, b), taper=last / first)

    def limb(self, start: Triple, end: Triple, first: float, last: float, material: int) -> None:
        """Add a tapered bar with round ends."""
        self.tapered(start, end, first, last, material)
        self.ball(start, (first, first, first), material)
        self.ball(end, (last, last, last), material)

    def wall(
        self, centre: Triple, half_u: float, half_v: float, facing: Triple, material: int, *, backdrop: bool = True
    ) -> None:
        """Add a flat rectangle that faces `facing`; half_v is its half height."""
        normal = np.asarray(facing, float)
        normal = normal / np.linalg.norm(normal)
        up = np.array([0.0, 0.0, 1.0]) if abs(normal[2]) < 0.9 else np.array([0.0, 1.0, 0.0])
        right = np.cross(up, normal)
        right /= np.linalg.norm(right)
        turned = np.stack([right, np.cross(normal, right), normal], axis=1)
        self.add(Shape.QUAD, centre, (half_u, half_v, 1.0), material, turned, casts=False, backdrop=backdrop)

    def single(self, centre: Triple, size: float) -> None:
        """Add one shape of any kind, proportion and orientation."""
        rng = self.rng
        half = size / 2 * np.exp(rng.uniform(-1.1, 0.35, 3))
        shape = Shape(int(rng.choice(5, p=[0.42, 0.06, 0.22, 0.24, 0.06])))
        if shape is Shape.FRUSTUM:
            half[1] = half[0]
        material = self.material(size, plain=0.5)
        taper = float(rng.choice([1.0, rng.uniform(0, 1), rng.uniform(1, 1.6)]))
        self.add(
            shape,
            centre,
            (half[0], half[1], half[2]),
            material,
            random_turn(rng),
            taper=taper,
            open_top=self.chance(0.2),
        )

    def scenery(self, kind: str, view: View) -> Scenery:
        """Return the finished scene, without lights."""
        return Scenery(kind=kind, view=view, items=self.items, materials=self.materials)


def camera(
    rng: np.random.Generator,
    position: Vector,
    target: Vector,
    height: int,
    width: int,
    *,
    focal_mm: tuple[float, float] = (20.0, 57.0),
    dolly: bool = False,
) -> View:
    """Return a view of `target` with a random lens and roll.

    `focal_mm` is the usual range, as on film of 36 x 24 mm; now and then it is anything from 14 to 200 mm. `dolly`
    moves the camera away with a longer lens, so that the target stays as large.
    """
    low, high = focal_mm if rng.random() < 0.82 else (14.0, 200.0 if dolly or rng.random() < 0.4 else 85.0)
    lens = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    roll = np.radians(rng.normal(0, 3)) if rng.random() < 0.85 else np.radians(rng.uniform(-40, 40))
    if dolly:
        position = target + (position - target) * max(lens / 35, 0.75)
    focal = max(height, width) * lens / 36
    return View(position, look_at(position, target, roll), float(focal), height, width)


def free_places(
    b: Builder, count: int, sample: Callable[[], tuple[float, float]], radius: Callable[[], float], taken: list[Triple]
) -> list[Triple]:
    """Return up to `count` places (x, y, radius) that keep clear of `taken`, which they are added to."""
    found = []
    for _ in range(count):
        r = radius()
        for _ in range(6):
            x, y = sample()
            if all((x - tx) ** 2 + (y - ty) ** 2 > (r + tr) ** 2 for tx, ty, tr in taken):
                found.append((x, y, r))
                taken.append((x, y, r))
                break
    return found
