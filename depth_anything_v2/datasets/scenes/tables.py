"""Tables of what is known of every view, object and shot of a batch, for pixels to look up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor

from depth_anything_v2.datasets.scenes.shapes import Solids, View
from depth_anything_v2.datasets.scenes.surface import Light, Material, Scenery

LIGHTS = 5


class Table:
    """Named float32 columns (n,) or (k, n) on a device."""

    def __init__(self, columns: Mapping[str, ArrayLike], device: torch.device) -> None:
        arrays = {name: np.ascontiguousarray(values, np.float32) for name, values in columns.items()}
        self._columns = {name: torch.from_numpy(values).to(device) for name, values in arrays.items()}
        self._used = {name for name, values in arrays.items() if values.any()}

    def at(self, name: str, index: Tensor) -> Tensor:
        """Return the rows `index` (N,) of a column: (N,) or (k, N); a table of one row gives (1,) or (k, 1)."""
        column = self._columns[name]
        return column if column.shape[-1] == 1 else column.index_select(-1, index)

    def any(self, name: str) -> bool:
        """Say whether a column holds anything but zeros, without asking the device."""
        return name in self._used


def view_table(views: Sequence[View], device: torch.device) -> Table:
    """Return `rotation` (9, V), `position` (3, V) and `pixel` (V,), the width of a pixel at a depth of one metre."""
    return Table(
        {
            "rotation": np.stack([view.rotation.reshape(9) for view in views], axis=1),
            "position": np.stack([view.position for view in views], axis=1),
            "pixel": np.array([1 / view.focal_px for view in views]),
        },
        device,
    )


def object_table(shots: Sequence[tuple[Scenery, Solids, int]], device: torch.device) -> Table:
    """Return what shading needs of every object of all shots (scenery, its solids, first photograph in the atlas)."""
    solids = [one for _, one, _ in shots]
    looks = [scene.materials[item.material] for scene, _, _ in shots for item in scene.items]
    first_photo = np.repeat([first for _, _, first in shots], [len(one.shape) for one in solids])
    shape, half = np.concatenate([one.shape for one in solids]), np.concatenate([one.half for one in solids])

    stretched = np.array([look.stretched for look in looks], float)
    texture, angle = np.array([look.texture for look in looks]), np.array([look.angle for look in looks])
    repeat = np.array([look.repeat for look in looks])
    same = {name: np.array([getattr(look, name) for look in looks], float).T for name in _SAME}
    return Table(
        {
            **same,
            "half": half.T,
            "taper": np.concatenate([one.taper for one in solids]),
            "shape": shape,
            "rotation": np.concatenate([one.rotation for one in solids]).reshape(-1, 9).T,
            "stretched": stretched,
            "turn": np.stack([np.cos(angle), np.sin(angle)]),
            "repeat": np.where(stretched > 0, 1, repeat),
            # Textures per metre, for the level of detail: a stretched texture is as long as the middle side.
            "density": np.where(stretched > 0, 0.5 / np.sort(half, axis=1)[:, 1], repeat),
            "texture": texture,
            "mirrored": texture >= first_photo,
            "shot": np.repeat(np.arange(len(shots)), [len(one.shape) for one in solids]),
        },
        device,
    )


_SAME = tuple(name for name in Material.__dataclass_fields__ if name not in {"texture", "repeat", "angle", "stretched"})


def shot_table(scenes: Sequence[Scenery], device: torch.device) -> Table:
    """Return light, air and sky of every shot; light number k has the columns `vector k`, `colour k` and so on."""
    dark = Light(np.array([0.0, 0.0, 1.0]), False, (0, 0, 0), 0.0)
    columns: dict[str, ArrayLike] = {
        name: np.array([getattr(scene, name) for scene in scenes], float).T
        for name in ("ambient", "haze_colour", "sky_zenith", "sky_horizon", "above", "below")
    }
    columns["bounce"] = [scene.ground_bounce for scene in scenes]
    columns["haze"] = [1 / scene.haze_m if scene.haze_m > 0 else 0.0 for scene in scenes]
    columns["clouds"] = [scene.clouds for scene in scenes]
    columns["stars"] = [scene.stars for scene in scenes]
    columns["sky_photo"] = [scene.sky_photo for scene in scenes]
    columns["mirror_z"] = [1e9 if scene.mirror_z is None else scene.mirror_z for scene in scenes]
    for k in range(LIGHTS):
        lights = [scene.lights[k] if k < len(scene.lights) else dark for scene in scenes]
        far = np.stack([light.vector / max(float(np.linalg.norm(light.vector)), 1e-9) for light in lights])
        near = np.stack([light.vector for light in lights])
        lamp = np.array([light.is_lamp for light in lights], float)
        columns[f"vector {k}"] = np.where(lamp[:, None] > 0, near, far).T
        columns[f"lamp {k}"] = lamp
        columns[f"colour {k}"] = np.array([light.colour for light in lights], float).T
        columns[f"strength {k}"] = [light.strength for light in lights]
        columns[f"reach {k}"] = [light.reach for light in lights]
    return Table(columns, device)
