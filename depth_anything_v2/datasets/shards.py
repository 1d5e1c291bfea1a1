"""Reading what `datasets.rendered.write_shards` wrote: random crops to train on, whole pictures to judge by."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from depth_anything_v2.config import Preprocessing
from depth_anything_v2.errors import InputError

Batch = tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]
POOL = 6
STEPS_PER_SHARD = 12


def list_shards(folder: Path) -> list[Path]:
    """Return the finished shards of a folder, in order. Raises InputError when there is none."""
    shards = sorted(folder.glob("shard-*.npz"))
    if not shards:
        raise InputError(f"no rendered scenes in '{folder}': make them with depth_anything_v2.datasets.rendered")
    return shards


def read_shard(path: Path) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.float16]]:
    """Return (N, H, W, 3) uint8 RGB and (N, H, W) float16 inverse depth, 0 = infinitely far."""
    with np.load(path) as data:
        return data["image"], data["inverse_depth"]


class CropSampler:
    """Random crops of rendered scenes; the batch of a step depends on seed, step and the shards alone.

    A few shards are in memory at a time, and one of them is exchanged every `STEPS_PER_SHARD` steps.
    sizes: (height, width) of the network input to choose from; the batch holds about `batch_pixels`.
    """

    def __init__(
        self, folder: Path, preprocessing: Preprocessing, sizes: list[tuple[int, int]], batch_pixels: int, seed: int
    ) -> None:
        self.folder, self.preprocessing, self.sizes = folder, preprocessing, sizes
        self.batch_pixels, self.seed = batch_pixels, seed
        self._pool: dict[Path, tuple[npt.NDArray[np.uint8], npt.NDArray[np.float16]]] = {}

    def _shards(self, step: int) -> list[tuple[npt.NDArray[np.uint8], npt.NDArray[np.float16]]]:
        shards = list_shards(self.folder)
        turn = step // STEPS_PER_SHARD
        wanted = [shards[(turn + offset) % len(shards)] for offset in range(min(POOL, len(shards)))]
        for path in set(self._pool) - set(wanted):
            del self._pool[path]
        for path in wanted:
            if path not in self._pool:
                self._pool[path] = read_shard(path)
        return [self._pool[path] for path in wanted]

    def batch(self, step: int) -> Batch:
        """Return normalised pictures (N, 3, H, W) and inverse depth (N, H, W), both float32."""
        rng = np.random.default_rng((self.seed, step))
        height, width = self.sizes[rng.integers(len(self.sizes))]
        shards = self._shards(step)
        pictures, targets = [], []
        for _ in range(max(2, self.batch_pixels // (height * width))):
            images, inverse = shards[rng.integers(len(shards))]
            index = int(rng.integers(len(images)))
            picture, target = random_crop(images[index], inverse[index], height, width, rng)
            pictures.append(picture)
            targets.append(target)
        light = np.stack([_relight(picture, rng) for picture in pictures])
        batch = (light - self.preprocessing.mean) / self.preprocessing.std
        return np.ascontiguousarray(batch.transpose(0, 3, 1, 2), dtype=np.float32), np.stack(targets).astype(np.float32)

    def batches(self, start: int, stop: int) -> Iterator[Batch]:
        """Yield the batches of steps start .. stop - 1."""
        for step in range(start, stop):
            yield self.batch(step)


def _relight(picture: npt.NDArray[np.uint8], rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """Return the picture in [0, 1], every second one with another gamma and brightness."""
    unit = picture.astype(np.float32) / 255.0
    if rng.random() < 0.5:
        unit = np.clip(unit ** np.float32(np.exp(rng.normal(0, 0.3))) * np.float32(rng.uniform(0.55, 1.25)), 0, 1)
    return unit


def random_crop(
    image: npt.NDArray[np.uint8], inverse: npt.NDArray[np.float16], height: int, width: int, rng: np.random.Generator
) -> tuple[npt.NDArray[Any], npt.NDArray[Any]]:
    """Return a crop of the target's aspect, resized to it and mirrored half of the time; depth by nearest pixel."""
    full_height, full_width = inverse.shape
    largest = min(full_height / height, full_width / width)
    scale = largest * rng.uniform(0.6, 1.0)
    crop_height, crop_width = max(8, int(height * scale)), max(8, int(width * scale))
    top = int(rng.integers(full_height - crop_height + 1))
    left = int(rng.integers(full_width - crop_width + 1))
    area = np.s_[top : top + crop_height, left : left + crop_width]
    interpolation = cv2.INTER_AREA if crop_height > height else cv2.INTER_CUBIC
    picture = cv2.resize(image[area], (width, height), interpolation=interpolation)
    target = cv2.resize(inverse[area].astype(np.float32), (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    if rng.random() < 0.5:
        picture, target = picture[:, ::-1], target[:, ::-1]
    return picture, target
