"""Small samples with a known truth, and models that know it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from depth_anything_v2 import DepthPrediction
from depth_anything_v2.evaluation.samples import GroupedSample, SampleSequence


def scene_depth(seed: int, height: int = 24, width: int = 32) -> np.ndarray:
    """A slope with steps, in metres, float32."""
    rng = np.random.default_rng(seed)
    rows = np.linspace(8, 1.5, height)[:, None]
    steps = rng.uniform(0.5, 2.5, (height // 8, width // 8)).repeat(8, 0).repeat(8, 1)
    return (rows + steps).astype(np.float32)


def sample(seed: int, *, scene: str = "", group: str = "", valid: np.ndarray | None = None) -> GroupedSample:
    """The picture carries the seed, so that a model can know the truth."""
    depth = scene_depth(seed)
    image = np.full((*depth.shape, 3), seed, np.uint8)
    valid = np.ones(depth.shape, bool) if valid is None else valid
    return GroupedSample(image, np.where(valid, depth, 0), valid, scene=scene, name=f"picture-{seed}", group=group)


@dataclass(frozen=True)
class Samples(SampleSequence[GroupedSample]):
    """`count` samples, two to a scene; `bad` cannot be read, `blind` have no valid pixel."""

    count: int = 6
    bad: tuple[int, ...] = ()
    blind: tuple[int, ...] = ()

    def __len__(self) -> int:
        return self.count

    def read(self, index: int) -> GroupedSample:
        if index in self.bad:
            raise OSError("the disk is gone")
        valid = np.zeros((24, 32), bool) if index in self.blind else None
        return sample(index, scene=f"scene-{index // 2}", group="odd" if index % 2 else "even", valid=valid)


@dataclass(frozen=True)
class Knowing:
    """A relative model: the truth's inverse depth, scaled, shifted and disturbed by `noise`."""

    noise: float = 0.0
    scale: float = 3.0

    def __call__(self, image: np.ndarray) -> DepthPrediction:
        seed = int(image[0, 0, 0])
        inverse = 1 / scene_depth(seed)
        disturbed = inverse * np.exp(self.noise * np.random.default_rng(seed).standard_normal(inverse.shape))
        return DepthPrediction((self.scale * disturbed + 1).astype(np.float32), "relative")

    def load(self) -> Knowing:
        return self


@dataclass(frozen=True)
class Loader:
    """Makes a model in each process; not a model itself."""

    noise: float = 0.0

    def load(self) -> Knowing:
        return Knowing(self.noise)
