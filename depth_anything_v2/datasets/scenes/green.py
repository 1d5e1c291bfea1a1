"""Woods and gardens: trunks, branches, leaves and grass from the lens to the far end."""

from __future__ import annotations

import numpy as np

from depth_anything_v2.datasets.scenes.builder import Builder, Triple, camera, free_places
from depth_anything_v2.datasets.scenes.figures import animal, person
from depth_anything_v2.datasets.scenes.lighting import sun_and_sky
from depth_anything_v2.datasets.scenes.outdoor_things import bush, rock, tree
from depth_anything_v2.datasets.scenes.shapes import Shape
from depth_anything_v2.datasets.scenes.surface import Scenery
from depth_anything_v2.datasets.scenes.thin import branches, grass, lattice, leaf_plant

_MOST_ITEMS = 420


def forest(b: Builder, height: int, width: int) -> Scenery:
    """Trees with visible trunks, undergrowth and grass, seen from among them; now and then a path, a figure, fog."""
    eye = np.array([0.0, 0.0, b.uniform(0.25, 1.9)])
    aim = eye + np.array([b.rng.normal(0, 0.1), 1.0, b.rng.normal(-0.05, 0.18)])
    view = camera(b.rng, eye, aim, height, width, focal_mm=(18, 70))
    soil = (b.uniform(0.08, 0.35), b.uniform(0.1, 0.3), b.uniform(0.03, 0.15))
    ground = b.material(1, plain=0.2, tint=soil, gloss=0.0, mottle=0.8, bump=1.0, contrast=b.uniform(0, 0.6))
    b.wall((0, 0, 0), 1000, 1000, (0, 0, 1), ground)
    for _ in range(int(b.rng.integers(0, 5))):
        y = b.uniform(4, 40)
        half = (b.uniform(2, 10), b.uniform(1, 4), b.uniform(0.1, 0.8))
        b.add(Shape.ELLIPSOID, (b.uniform(-1, 1) * y * 0.6, y, 0), half, ground, backdrop=True)
    if b.chance(0.4):
        path = b.material(1, plain=0.3, tint=(0.4, 0.33, 0.25), gloss=0.0, mottle=0.5)
        b.at((0, 0, 0), b.rng.normal(0, 0.15))
        b.wall((b.uniform(-1, 1), 40, 0.01), b.uniform(0.3, 1.5), 45, (0, 0, 1), path)
        b.at((0, 0, 0))
    tan = width / 2 / view.focal_px
    taken: list[Triple] = [(0.0, 0.0, 0.5)]
    bark = b.material(0.4, plain=0.2, tint=(0.17, 0.12, 0.08), mottle=0.7, bump=1.0, contrast=0.4)

    def sample() -> tuple[float, float]:
        y = float(np.exp(b.uniform(np.log(1.0), np.log(50))))
        return b.uniform(-1.2, 1.2) * tan * y, y

    leaves = 0.0 if b.chance(0.25) else b.uniform(0.3, 0.9)
    for x, y, r in free_places(b, int(b.rng.integers(15, 60)), sample, lambda: b.uniform(0.15, 0.6), taken):
        b.at((x, y, 0), b.uniform(0, 6))
        kind = b.rng.random()
        if kind < 0.35:
            thick, tall = r * b.uniform(0.15, 0.5), b.uniform(5, 14)
            b.tapered((0, 0, -0.1), (b.rng.normal(0, 0.4), b.rng.normal(0, 0.4), tall), thick, thick * 0.4, bark)
            if b.chance(0.5) and y > 4:
                leaf = b.material(0.5, plain=0.2, tint=(0.1, b.uniform(0.15, 0.4), 0.05), mottle=0.8, bump=1.2)
                b.ball((0, 0, tall * 0.8), (1.6, 1.6, tall * 0.25), leaf, cutout=b.uniform(0.5, 0.95))
        elif kind < 0.5 and y > 1.5:
            branches(b, r * 3, leaves)
        elif kind < 0.7:
            grass(b, 1.0, int(b.rng.integers(8, 30)))
        elif kind < 0.95:
            (bush, rock, leaf_plant, leaf_plant, tree)[int(b.rng.integers(4 if y < 6 else 5))](b, r * 2)
        else:
            (animal, person, lattice, _log)[int(b.rng.integers(4))](b, b.uniform(0.7, 1.3))
        if len(b.items) > _MOST_ITEMS:
            break
    b.at((0, 0, 0))
    scene = b.scenery("forest", view)
    sun_and_sky(b, scene, 60)
    return scene


def _log(b: Builder, size: float) -> None:
    bark = b.material(0.4, plain=0.2, tint=(0.2, 0.14, 0.09), mottle=0.7, bump=1.0)
    r = b.uniform(0.1, 0.3)
    b.tapered((-1.5 * size, 0, r * 0.8), (1.5 * size, b.rng.normal(0, 0.3), r * 0.7), r, r * 0.8, bark)
