"""Rendered scenes as benchmarks: fixed seeds, exact depth, no data needed."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from depth_anything_v2.camera import Camera
from depth_anything_v2.datasets.rendered import FAMILIES, render_clip, render_scene
from depth_anything_v2.datasets.sample import Sample
from depth_anything_v2.evaluation.samples import GroupedSample, SampleSequence

FIRST_SEED = 20_000_000  # training draws 64-bit seeds, of which none is so small


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
    """`count` clips of `frames` frames: the camera moves and turns a little, families in turn.

    From end to end it moves by 8 % of the median depth. Lens, exposure and white balance stay as they are in a clip.
    """

    def __init__(self, count: int = 12, frames: int = 6, height: int = 288, width: int = 384) -> None:
        self.size, self.frames, self.height, self.width = count, frames, height, width

    def __len__(self) -> int:
        return self.size

    def read(self, index: int) -> Clip:
        family = sorted(FAMILIES)[index % len(FAMILIES)]
        name = f"{family}-clip-{index:03d}"
        scenes = render_clip((FIRST_SEED, index), self.frames, self.height, self.width, kind=family)
        frames = [
            _sample(scene.image, scene.depth_m, scene.focal_px, f"{name}-{number}", family)
            for number, scene in enumerate(scenes)
        ]
        return Clip(frames, np.stack([scene.pose for scene in scenes]), scenes[0].camera, name, name, family)

    @property
    def identity(self) -> str:
        first = self.read(0)
        seen = hashlib.sha256(b"".join(f.image.tobytes() + f.depth.tobytes() for f in first.frames)).hexdigest()[:12]
        return f"{self.size} rendered clips of {self.frames} frames of {self.width} x {self.height}, first {seen}"


def _sample(
    image: npt.NDArray[np.uint8], depth: npt.NDArray[np.float32], focal_px: float, name: str, family: str
) -> GroupedSample:
    valid = np.isfinite(depth)
    camera = Camera.from_pixels(depth.shape[1], depth.shape[0], focal_px, source="dataset")
    near = np.where(valid, depth, np.float32(0))
    return GroupedSample(image, near, valid, camera=camera, sky=~valid, scene=name, name=name, group=family)
