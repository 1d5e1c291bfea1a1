"""What a scene consists of: materials, lights, and the scenery that holds them together with its shapes."""

from __future__ import annotations

from dataclasses import dataclass, field

from depth_anything_v2.datasets.scenes.shapes import Primitive, Vector, View

Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Material:
    """How a surface looks: `tint` is linear RGB, `contrast` 0 means plain, `repeat` is textures per metre.

    `stretched` lays the texture once over each face. `mottle` and `bump` scale the noise in reflectance and in the
    normals, `gloss` the highlight of exponent `shine`, `glow` the light given off. `metal` is the share of light
    mirrored with the surface's colour, `clear` the share let through (depth is that of the clear surface), `polish`
    the strength of the image that a level floor throws back.
    """

    tint: Colour
    texture: int = 1
    contrast: float = 0.0
    repeat: float = 1.0
    angle: float = 0.0
    offset: tuple[float, float] = (0.0, 0.0)
    stretched: bool = False
    mottle: float = 0.0
    bump: float = 0.0
    gloss: float = 0.0
    shine: float = 20.0
    glow: float = 0.0
    metal: float = 0.0
    clear: float = 0.0
    polish: float = 0.0


@dataclass(frozen=True)
class Light:
    """A far light along `vector` (towards it) or a lamp at `vector`; `strength` at a distance of `reach` metres.

    `size` is what makes shadows soft: the radius of a lamp in metres, of a far light in radians.
    """

    vector: Vector
    is_lamp: bool
    colour: Colour
    strength: float
    reach: float = 1.0
    shadows: bool = False
    size: float = 0.01


@dataclass
class Scenery:
    """Everything that a picture is made of, apart from the textures. Only the first light may throw shadows.

    `above` and `below` are the colours that glossy things reflect, `mirror_z` the height of the polished floor.
    `wide_open` is how likely the lens blurs what is out of focus; a `flat` scene may lack variety of depth.
    """

    kind: str
    view: View
    items: list[Primitive] = field(default_factory=list)
    materials: list[Material] = field(default_factory=list)
    lights: list[Light] = field(default_factory=list)
    ambient: Colour = (0.3, 0.3, 0.3)
    ground_bounce: float = 0.5
    haze_m: float = 0.0
    haze_colour: Colour = (0.7, 0.75, 0.8)
    sky_zenith: Colour = (0.2, 0.35, 0.7)
    sky_horizon: Colour = (0.7, 0.78, 0.85)
    above: Colour = (0.5, 0.5, 0.5)
    below: Colour = (0.2, 0.2, 0.2)
    clouds: float = 0.0
    stars: bool = False
    sky_photo: int = 0
    mirror_z: float | None = None
    wide_open: float = 0.2
    flat: bool = False
