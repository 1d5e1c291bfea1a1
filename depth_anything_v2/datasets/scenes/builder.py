"""Puts a scene together: random materials, single shapes, places and cameras."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from depth_anything_v2.datasets.scenes.raycast import Primitive, Shape, Vector, View, look_at
from depth_anything_v2.datasets.scenes.surface import Material, Scenery
from depth_anything_v2.datasets.scenes.textures import natural_colour

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
        return float(self.rng.uniform(low, high))

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def at(self, position: Triple | Vector, yaw: float = 0.0) -> None:
        """Set the place that following shapes are relative to."""
        self.base = np.asarray(position, float)
        self.frame = turn_z(yaw)

    def material(self, size_m: float = 1.0, *, plain: float = 0.45, photo: bool = False, **fixed: object) -> int:
        """Add a random material for a thing of about `size_m` and return its number."""
        rng = self.rng
        photos = self.textures - self.first_photo
        texture = int(rng.integers(1, self.textures))
        if photo and photos > 0:
            texture = int(rng.integers(self.first_photo, self.textures))
        contrast = 0.0 if rng.random() < plain else float(rng.uniform(0.35, 1.0))
        tint = natural_colour(rng)
        if contrast > 0.8:
            tint = tint * 0.3 + 0.7
        values: dict[str, object] = {
            "tint": tuple(float(c) for c in tint),
            "texture": texture,
            "contrast": 1.0 if photo else contrast,
            "repeat": float(np.exp(rng.uniform(np.log(0.25), np.log(3.0))) / size_m),
            "angle": float(rng.choice([0.0, np.pi / 2, rng.uniform(0, 2 * np.pi)], p=[0.5, 0.3, 0.2])),
            "offset": (float(rng.random()), float(rng.random())),
            "stretched": photo or bool(rng.random() < 0.12),
            "mottle": float(rng.uniform(0, 0.35)) if rng.random() < 0.6 else 0.0,
            "bump": float(rng.uniform(0.1, 0.9)) if rng.random() < 0.35 else 0.0,
            "gloss": float(rng.uniform(0.05, 0.8)) if rng.random() < 0.45 else 0.0,
            "shine": float(np.exp(rng.uniform(np.log(5), np.log(120)))),
        }
        values.update(fixed)
        self.materials.append(Material(**values))  # type: ignore[arg-type]
        return len(self.materials) - 1

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
    fov: tuple[float, float] = (35.0, 85.0),
) -> View:
    """Return a view of `target` with a random field of view (of the longer side, degrees) and a slight roll."""
    low, high = fov if rng.random() < 0.85 else (25.0, 110.0)
    angle = np.radians(rng.uniform(low, high))
    roll = np.radians(rng.normal(0, 3)) if rng.random() < 0.85 else np.radians(rng.uniform(-40, 40))
    focal = max(height, width) / 2 / np.tan(angle / 2)
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
