"""Rendered scenes as benchmarks: fixed seeds, exact depth, no data needed."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from depth_anything_v2.camera import Camera
from depth_anything_v2.datasets.rendered import FAMILIES, render_scene
from depth_anything_v2.datasets.sample import Sample
from depth_anything_v2.errors import InputError
from depth_anything_v2.evaluation.samples import GroupedSample, SampleSequence

FIRST_SEED = 20_000_000  # training draws 64-bit seeds, of which none is so small
_PATTERNS = 6
_TRIES = 12


class RenderedScenes(SampleSequence[Sample]):
    """`count` scenes of height x width, the families of scenes in turn; each a function of its place alone."""

    def __init__(self, count: int = 60, height: int = 384, width: int = 512) -> None:
        self.size, self.height, self.width = count, height, width

    def __len__(self) -> int:
        return self.size

    def read(self, index: int) -> Sample:
        family = sorted(FAMILIES)[index % len(FAMILIES)]
        scene = render_scene(FIRST_SEED + index, self.height, self.width, kind=family)
        return _sample(scene.image, scene.depth_m, scene.focal_px, f"{family}-{index:03d}", family)

    @property
    def identity(self) -> str:
        """A few words, with a digest of the first scene: another version of the renderer makes other scenes."""
        first = self.read(0)
        seen = hashlib.sha256(first.image.tobytes() + first.depth.tobytes()).hexdigest()[:12]
        return f"{self.size} rendered scenes of {self.width} x {self.height}, seeds from {FIRST_SEED}, first {seen}"


@dataclass(frozen=True, eq=False)
class Clip:
    """Frames of a camera that moves through a still scene; poses: (N, 4, 4) camera to world, in metres."""

    frames: Sequence[Sample]
    poses: npt.NDArray[np.float64]
    camera: Camera
    scene: str
    name: str
    group: str = ""


class RenderedClips(SampleSequence[Clip]):
    """`count` clips of `frames` frames: the camera moves sideways and turns a little, families in turn.

    From end to end it moves by 8 % of the median depth. Lens, exposure and noise stay as they are in a clip.
    """

    def __init__(self, count: int = 12, frames: int = 6, height: int = 288, width: int = 384) -> None:
        self.size, self.frames, self.height, self.width = count, frames, height, width

    def __len__(self) -> int:
        return self.size

    def read(self, index: int) -> Clip:
        family = sorted(FAMILIES)[index % len(FAMILIES)]
        for attempt in range(_TRIES):
            clip = self._try([FIRST_SEED, index, attempt], family, f"{family}-clip-{index:03d}")
            if clip is not None:
                return clip
        raise InputError(f"no clip of the family '{family}' could be rendered")

    @property
    def identity(self) -> str:
        first = self.read(0)
        seen = hashlib.sha256(b"".join(f.image.tobytes() + f.depth.tobytes() for f in first.frames)).hexdigest()[:12]
        return f"{self.size} rendered clips of {self.frames} frames of {self.width} x {self.height}, first {seen}"

    def _try(self, seed: Sequence[int], family: str, name: str) -> Clip | None:
        """Return the clip, None where the camera sees too little, or goes through something."""
        from depth_anything_v2.datasets.scenes.builder import Builder
        from depth_anything_v2.datasets.scenes.photograph import photograph
        from depth_anything_v2.datasets.scenes.raycast import cast
        from depth_anything_v2.datasets.scenes.shading import shade
        from depth_anything_v2.datasets.scenes.surface import surface_of
        from depth_anything_v2.datasets.scenes.textures import build_atlas

        rng = np.random.default_rng(list(seed))
        atlas, photos = build_atlas(rng, (), _PATTERNS, 0)
        scene = FAMILIES[family][0](Builder(rng, 1 + _PATTERNS + photos, 1 + _PATTERNS), self.height, self.width)
        depth, _ = cast(scene.items, scene.view)
        known = depth[np.isfinite(depth)]
        if known.size < 0.5 * depth.size:
            return None
        reach = 0.08 * float(np.median(known)) * rng.choice((-1.0, 1.0))
        turn = rng.uniform(-0.06, 0.06)
        frames, poses = [], []
        for number in range(self.frames):
            along = number / max(1, self.frames - 1) - 0.5
            c, s = np.cos(turn * along), np.sin(turn * along)
            rotation = scene.view.rotation @ np.array([[c, 0, s], [0, 1, 0], [-s, 0, c]])
            position = scene.view.position + reach * along * scene.view.rotation[:, 0]
            view = dataclasses.replace(scene.view, position=position, rotation=rotation)
            moved = dataclasses.replace(scene, view=view)
            depth, index = cast(moved.items, view)
            if float(depth.min()) < 0.15:
                return None
            linear = shade(
                moved, surface_of(moved.items, moved.materials, view, depth, index), depth, atlas, 1 + _PATTERNS
            )
            # The same generator for each frame: the camera's settings must not change from frame to frame.
            image = photograph(linear, depth, index, np.random.default_rng([*seed, 1]))
            frames.append(_sample(image, depth, view.focal_px, f"{name}-{number}", family))
            pose = np.eye(4)
            pose[:3, :3], pose[:3, 3] = rotation, position
            poses.append(pose)
        camera = frames[0].camera
        return None if camera is None else Clip(frames, np.stack(poses), camera, name, name, family)


def _sample(
    image: npt.NDArray[np.uint8], depth: npt.NDArray[np.float32], focal_px: float, name: str, family: str
) -> GroupedSample:
    valid = np.isfinite(depth)
    camera = Camera.from_pixels(depth.shape[1], depth.shape[0], focal_px, source="dataset")
    near = np.where(valid, depth, np.float32(0))
    return GroupedSample(image, near, valid, camera=camera, sky=~valid, scene=name, name=name, group=family)
