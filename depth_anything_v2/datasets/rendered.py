"""Random scenes with exact depth, rendered on the CPU, to train depth networks without recorded data.

Every scene is a function of its seed (and the photographs used as textures), so a data set is a seed and a count. Depth
is planar (z along the optical axis) and sampled at pixel centres without smoothing; the picture is made to look like a
photograph: textures in perspective, lamps or sun with shadows, ambient occlusion, haze, and the faults of a camera.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from depth_anything_v2.datasets.scenes.builder import Builder
from depth_anything_v2.datasets.scenes.indoor import abstract, bin_clutter, room, tabletop
from depth_anything_v2.datasets.scenes.outdoor import landscape, street
from depth_anything_v2.datasets.scenes.photograph import photograph
from depth_anything_v2.datasets.scenes.raycast import cast
from depth_anything_v2.datasets.scenes.shading import shade
from depth_anything_v2.datasets.scenes.surface import Scenery, surface_of
from depth_anything_v2.datasets.scenes.textures import build_atlas, load_textures
from depth_anything_v2.errors import OptionError
from depth_anything_v2.io.atomic import atomic_path

FAMILIES: dict[str, tuple[Callable[[Builder, int, int], Scenery], float]] = {
    "room": (room, 0.30),
    "tabletop": (tabletop, 0.20),
    "bin": (bin_clutter, 0.12),
    "street": (street, 0.16),
    "landscape": (landscape, 0.10),
    "abstract": (abstract, 0.12),
}
_PATTERNS, _PHOTOS = 6, 5
_TRIES = 6


@dataclass(frozen=True)
class RenderedScene:
    """A picture with its depth.

    `image` (H, W, 3) uint8 RGB; `depth_m` (H, W) float32 planar depth in metres, +inf for the sky; `focal_px` the
    focal length of square pixels with the principal point in the middle (pixel centres at integer + 0.5); `kind` the
    family of the scene, a key of `FAMILIES`.
    """

    image: NDArray[np.uint8]
    depth_m: NDArray[np.float32]
    focal_px: float
    kind: str


def render_scene(
    seed: int,
    height: int = 240,
    width: int = 320,
    *,
    textures: Sequence[NDArray[np.uint8]] = (),
    kind: str | None = None,
) -> RenderedScene:
    """Render the scene of `seed`: the same arguments give the same bytes.

    `textures` are photographs (H, W, 3) uint8 RGB to be used on surfaces besides the built-in patterns; `kind` asks
    for one family of `FAMILIES`. Raises `OptionError` for a size under 32 pixels or an unknown `kind`.
    """
    if height < 32 or width < 32:
        raise OptionError(f"A scene of {height} x {width} pixels is too small: use at least 32 x 32.")
    if kind is not None and kind not in FAMILIES:
        raise OptionError(f"Unknown kind of scene {kind!r}: choose from {', '.join(FAMILIES)}.")
    rng = np.random.default_rng([int(seed)])
    atlas, photos = build_atlas(rng, textures, _PATTERNS, _PHOTOS)
    names = list(FAMILIES)
    chosen = kind or names[int(rng.choice(len(names), p=[share for _, share in FAMILIES.values()]))]
    first_photo = 1 + _PATTERNS
    for attempt in range(_TRIES):
        scene = FAMILIES[chosen][0](Builder(rng, first_photo + photos, first_photo), height, width)
        depth, index = cast(scene.items, scene.view)
        if attempt + 1 == _TRIES or _worth_keeping(scene, depth, index):
            break
    surface = surface_of(scene.items, scene.materials, scene.view, depth, index)
    linear = shade(scene, surface, depth, atlas, first_photo)
    return RenderedScene(photograph(linear, depth, index, rng), depth, scene.view.focal_px, chosen)


def _worth_keeping(scene: Scenery, depth: NDArray[np.float32], index: NDArray[np.int16]) -> bool:
    """Refuse scenes where one thing fills the picture, the camera touches something, or depth hardly varies."""
    known = depth[np.isfinite(depth)]
    if known.size < 0.3 * depth.size:
        return False
    low, high = np.percentile(known, [4, 96])
    counts = np.bincount(index[index >= 0].ravel(), minlength=len(scene.items)) / depth.size
    single = max((float(c) for c, item in zip(counts, scene.items, strict=True) if not item.backdrop), default=0.0)
    largest = float(counts.max())
    return bool(high > 1.25 * low and single < 0.45 and largest < 0.75 and known.min() > 0.04)


def write_shards(
    folder: str | Path,
    count: int,
    *,
    seed: int,
    height: int = 240,
    width: int = 320,
    textures_dir: str | Path | None = None,
    shard_size: int = 256,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Render `count` scenes into `shard-00000.npz` and so on, skipping the shards already there.

    A shard holds `image` (N, H, W, 3) uint8 and `inverse_depth` (N, H, W) float16: 0 for the sky, otherwise in 1/m,
    divided by its maximum where that is above one (depth is relative). Each shard is a function of `seed`, its number
    and the sizes, and appears whole or not at all. `progress` is called with scenes done and `count`. Returns the
    paths. Raises `OptionError` for counts below one.
    """
    if count < 1 or shard_size < 1 or workers < 1:
        raise OptionError(f"count ({count}), shard_size ({shard_size}) and workers ({workers}) must be at least 1.")
    root = Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    jobs = [
        _Shard(
            root / f"shard-{number:05d}.npz", seed, number, min(shard_size, count - start), height, width, textures_dir
        )
        for number, start in enumerate(range(0, count, shard_size))
    ]
    open_jobs = [job for job in jobs if not job.path.exists()]
    done = count - sum(job.count for job in open_jobs)
    if progress is not None:
        progress(done, count)
    if workers == 1:
        for job in open_jobs:
            done += _write_shard(job)
            if progress is not None:
                progress(done, count)
    elif open_jobs:
        with ProcessPoolExecutor(workers) as pool:
            for written in pool.map(_write_shard, open_jobs):
                done += written
                if progress is not None:
                    progress(done, count)
    return [job.path for job in jobs]


@dataclass(frozen=True)
class _Shard:
    path: Path
    seed: int
    number: int
    count: int
    height: int
    width: int
    textures_dir: str | Path | None


def _write_shard(job: _Shard) -> int:
    import cv2

    cv2.setNumThreads(1)
    textures = load_textures(job.textures_dir) if job.textures_dir is not None else []
    seeds = np.random.SeedSequence([job.seed, job.number]).generate_state(job.count, np.uint64)
    image = np.empty((job.count, job.height, job.width, 3), np.uint8)
    inverse = np.empty((job.count, job.height, job.width), np.float16)
    for k, scene_seed in enumerate(seeds):
        scene = render_scene(int(scene_seed), job.height, job.width, textures=textures)
        image[k] = scene.image
        near = 1 / scene.depth_m
        inverse[k] = near / max(1.0, float(near.max()))
    with atomic_path(job.path) as part, part.open("wb") as stream:
        np.savez(stream, image=image, inverse_depth=inverse)
    return job.count


def _report(done: int, total: int) -> None:
    sys.stderr.write(f"{done}/{total}\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Render shards from the command line."""
    parser = argparse.ArgumentParser(description="Render random scenes with exact depth into NPZ shards.")
    parser.add_argument("--out", required=True, help="folder for the shards")
    parser.add_argument("--count", type=int, required=True, help="number of scenes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--height", type=int, default=240)
    parser.add_argument("--width", type=int, default=320)
    parser.add_argument("--textures", default=None, help="folder with photographs")
    parser.add_argument("--shard-size", type=int, default=256)
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args(arguments)
    write_shards(
        given.out,
        given.count,
        seed=given.seed,
        height=given.height,
        width=given.width,
        textures_dir=given.textures,
        shard_size=given.shard_size,
        workers=given.workers,
        progress=_report,
    )


if __name__ == "__main__":
    main()
