"""Plans a shot on the CPU: the scene of a generator, where the camera stands in each frame, light and lens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from depth_anything_v2.datasets.scenes.builder import Builder, turn_z
from depth_anything_v2.datasets.scenes.occlusion import shadow_view
from depth_anything_v2.datasets.scenes.photograph import CameraSettings
from depth_anything_v2.datasets.scenes.raycast import FAR, cast_views
from depth_anything_v2.datasets.scenes.shapes import Floats, Solids, Vector, View
from depth_anything_v2.datasets.scenes.surface import Scenery
from depth_anything_v2.datasets.scenes.textures import Packed, build_atlas

Family = Callable[[Builder, int, int], Scenery]
_PATTERNS, _PHOTOS = 8, 5
_TRIES = 8
_PREVIEW_ROWS = 48


@dataclass(frozen=True, eq=False)
class Shot:
    """A still scene seen by a camera in one or more places, all that rendering needs.

    `light` is the view from the light that throws shadows with that light's radius in metres. `noise_seed` differs
    from frame to frame by the frame's number.
    """

    scene: Scenery
    solids: Solids
    atlas: Packed
    first_photo: int
    views: tuple[View, ...]
    light: tuple[View, float] | None
    camera: CameraSettings
    noise_seed: int


@dataclass(frozen=True)
class Path:
    """How a camera moves: `frames`, and the way from end to end as a share of the scene's median depth."""

    frames: int = 1
    reach: float = 0.08


def plan_shot(
    rng: np.random.Generator,
    family: Family,
    height: int,
    width: int,
    textures: Sequence[NDArray[np.uint8]] = (),
    path: Path | None = None,
) -> Shot:
    """Build scenes of a family until one is worth a picture (or several tries were not), and plan its shot."""
    atlas, photos = build_atlas(rng, textures, _PATTERNS, _PHOTOS)
    first_photo = 1 + _PATTERNS
    for attempt in range(_TRIES):
        scene = family(Builder(rng, first_photo + photos, first_photo), height, width)
        solids = Solids.of(scene.items)
        depth, entry = _preview(solids, [scene.view])
        views = (scene.view,) if path is None else _along(rng, scene.view, depth[0], path)
        if attempt + 1 == _TRIES:
            break
        if _worth_keeping(scene, depth[0], entry[0]) and (path is None or _free(solids, views)):
            break
    light = None
    if scene.lights and scene.lights[0].shadows and np.isfinite(depth[0]).any():
        light = shadow_view(scene.lights[0], _points(scene.view, depth[0]))
    dark = sum(scene.ambient) < 0.2
    camera = CameraSettings.draw(rng, depth[0], wide_open=scene.wide_open, dark=dark)
    return Shot(scene, solids, atlas, first_photo, views, light, camera, int(rng.integers(2**31)))


def _preview(solids: Solids, views: Sequence[View]) -> tuple[Floats, NDArray[np.int64]]:
    """Return small pictures of depth (V, h, w), +inf for the sky, and of the object seen (V, h, w), -1 for none."""
    rows = _PREVIEW_ROWS
    small = [view.resized(rows, max(8, round(rows * view.width / view.height))) for view in views]
    hits = cast_views([(solids, view) for view in small], torch.device("cpu"))
    depth, entry = hits.depth.numpy(), hits.entry.numpy() % max(1, len(solids.shape))
    known = depth < FAR
    return np.where(known, depth, np.float32(np.inf)), np.where(known, entry, -1)


def _points(view: View, depth: Floats) -> Vector:
    """Return the points (3, n) in the world that a preview shows, without the farthest fifth."""
    row, column = np.nonzero(depth <= np.quantile(depth[np.isfinite(depth)], 0.8))
    z = depth[row, column].astype(float)
    pixel = view.height / depth.shape[0] / view.focal_px
    x, y = (column + 0.5 - depth.shape[1] / 2) * pixel * z, (row + 0.5 - depth.shape[0] / 2) * pixel * z
    return np.asarray(view.rotation @ np.stack([x, y, z]) + view.position[:, None])


def _worth_keeping(scene: Scenery, depth: Floats, entry: NDArray[np.int64]) -> bool:
    """Refuse scenes where one thing fills the picture, the camera touches something, or depth hardly varies."""
    known = depth[np.isfinite(depth)]
    if known.size < 0.3 * depth.size:
        return False
    low, high = np.percentile(known, [4, 96])
    counts = np.bincount(entry[entry >= 0].ravel(), minlength=len(scene.items)) / depth.size
    single = max((float(c) for c, item in zip(counts, scene.items, strict=True) if not item.backdrop), default=0.0)
    largest = float(counts.max())
    if scene.flat:
        return bool(known.min() > 0.04)
    return bool(high > 1.25 * low and single < 0.45 and largest < 0.75 and known.min() > 0.04)


def _along(rng: np.random.Generator, view: View, depth: Floats, path: Path) -> tuple[View, ...]:
    """Return the views of a camera that moves past, into or around the scene, or looks around from its place."""
    known = depth[np.isfinite(depth)]
    middle = float(np.median(known)) if known.size else 1.0
    way = rng.normal(0, 1, 3) * (1.0, 0.35, 0.35) if rng.random() < 0.6 else rng.normal(0, 1, 3) * (0.3, 0.2, 1.0)
    way = view.rotation @ (way / np.linalg.norm(way)) * path.reach * middle
    turn, nod, roll = rng.uniform(-0.06, 0.06), rng.normal(0, 0.015), rng.normal(0, 0.01)
    around = rng.random() < 0.3
    wobble = rng.normal(0, 0.0015, (path.frames, 3))
    views = []
    for frame in range(path.frames):
        share = frame / max(1, path.frames - 1) - 0.5
        position = view.position + share * way + wobble[frame] * middle * min(1.0, path.reach * 10)
        angles = np.array([nod, turn, roll]) * share + wobble[frame]
        rotation = view.rotation @ _small_turn(angles)
        if around:
            pivot = view.position + view.rotation[:, 2] * middle
            spin = turn_z(float(share * path.reach))
            position, rotation = pivot + spin @ (position - pivot), spin @ rotation
        views.append(replace(view, position=position, rotation=rotation))
    return tuple(views)


def _small_turn(angles: Vector) -> Vector:
    """Return the rotation about the axes x, y and z of the camera, one after the other."""
    cx, cy, cz = np.cos(angles)
    sx, sy, sz = np.sin(angles)
    about_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    about_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    about_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    return np.asarray(about_y @ about_x @ about_z)


def _free(solids: Solids, views: Sequence[View]) -> bool:
    """Say whether the camera sees enough and comes near to nothing on its way."""
    depth, _ = _preview(solids, views)
    return bool(depth.min() > 0.06 and np.isfinite(depth).mean(axis=(1, 2)).min() > 0.3)
