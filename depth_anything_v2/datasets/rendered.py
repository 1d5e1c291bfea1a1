"""Random scenes with exact depth, rendered on the CPU or a GPU, to train depth networks without recorded data.

Every scene is a function of its seed (and the photographs used as textures), so a data set is a seed and a count. Depth
is planar (z along the optical axis) and sampled at pixel centres without smoothing; the picture is made to look like a
photograph: textures in perspective, lamps or sun with soft shadows, ambient occlusion, reflections, haze, and the
faults of a camera. Lenses do not distort: picture and depth are those of a pinhole.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from depth_anything_v2.camera import Camera
from depth_anything_v2.datasets.scenes.builder import Builder
from depth_anything_v2.datasets.scenes.green import forest
from depth_anything_v2.datasets.scenes.indoor import abstract, bin_clutter, room, tabletop
from depth_anything_v2.datasets.scenes.near import closeup, flat_wall, people
from depth_anything_v2.datasets.scenes.outdoor import landscape, street
from depth_anything_v2.datasets.scenes.surface import Scenery
from depth_anything_v2.datasets.scenes.textures import load_textures
from depth_anything_v2.errors import OptionError
from depth_anything_v2.io.atomic import atomic_path

if TYPE_CHECKING:
    from depth_anything_v2.datasets.scenes.shot import Shot

FAMILIES: dict[str, tuple[Callable[[Builder, int, int], Scenery], float]] = {
    "room": (room, 0.21),
    "tabletop": (tabletop, 0.12),
    "bin": (bin_clutter, 0.06),
    "street": (street, 0.14),
    "landscape": (landscape, 0.08),
    "abstract": (abstract, 0.07),
    "people": (people, 0.12),
    "closeup": (closeup, 0.09),
    "forest": (forest, 0.06),
    "wall": (flat_wall, 0.05),
}


@dataclass(frozen=True, eq=False)
class RenderedScene:
    """A picture with its depth.

    `image` (H, W, 3) uint8 RGB; `depth_m` (H, W) float32 planar depth in metres, +inf for the sky; `normal` (H, W, 3)
    float32 unit normals towards the camera in its axes (right, down, forward), 0 for the sky; `focal_px` the focal
    length of square pixels with the principal point in the middle (pixel centres at integer + 0.5); `pose` (4, 4)
    float64 from the camera's axes to the world, in metres; `kind` the family of the scene, a key of `FAMILIES`.
    """

    image: NDArray[np.uint8]
    depth_m: NDArray[np.float32]
    normal: NDArray[np.float32]
    focal_px: float
    pose: NDArray[np.float64]
    kind: str

    @property
    def camera(self) -> Camera:
        """The intrinsics."""
        return Camera.from_pixels(self.depth_m.shape[1], self.depth_m.shape[0], self.focal_px, source="dataset")


def render_scene(
    seed: int,
    height: int = 240,
    width: int = 320,
    *,
    textures: Sequence[NDArray[np.uint8]] = (),
    kind: str | None = None,
    device: str = "cpu",
) -> RenderedScene:
    """Render the scene of `seed`: the same arguments give the same bytes.

    `textures` are photographs (H, W, 3) uint8 RGB to be used on surfaces besides the built-in patterns; `kind` asks
    for one family of `FAMILIES`; `device` is one of torch. Another device shows the same scene, with values that
    differ in their last digits. Raises `OptionError` for a size under 32 pixels, an unknown `kind` or an unknown or
    absent `device`.
    """
    return render_scenes([seed], height, width, textures=textures, kind=kind, device=device)[0]


def render_scenes(
    seeds: Iterable[int],
    height: int = 240,
    width: int = 320,
    *,
    textures: Sequence[NDArray[np.uint8]] = (),
    kind: str | None = None,
    device: str = "cpu",
) -> list[RenderedScene]:
    """Render the scenes of several seeds in one go, which is what fills a GPU. See `render_scene`."""
    planned = [_planned([int(seed)], height, width, textures, kind, None) for seed in seeds]
    return [frames[0] for frames in _rendered(planned, device)]


def render_clip(
    seed: int | Sequence[int],
    frames: int = 6,
    height: int = 240,
    width: int = 320,
    *,
    reach: float = 0.08,
    textures: Sequence[NDArray[np.uint8]] = (),
    kind: str | None = None,
    device: str = "cpu",
) -> tuple[RenderedScene, ...]:
    """Render `frames` pictures of a camera that moves through a still scene; see `render_scene`.

    It moves sideways, forward or around by `reach` times the median depth from end to end, with the small tremor of
    a hand. Lens, exposure and white balance stay as they are, noise differs from frame to frame.
    """
    if frames < 1:
        raise OptionError(f"A clip of {frames} frames can't be rendered: ask for at least one.")
    seeds = [seed] if isinstance(seed, int) else [int(part) for part in seed]
    return tuple(_rendered([_planned(seeds, height, width, textures, kind, (frames, reach))], device)[0])


def _planned(
    seed: Sequence[int],
    height: int,
    width: int,
    textures: Sequence[NDArray[np.uint8]],
    kind: str | None,
    path: tuple[int, float] | None,
) -> Shot:
    from depth_anything_v2.datasets.scenes.shot import Path, plan_shot

    if height < 32 or width < 32:
        raise OptionError(f"A scene of {height} x {width} pixels is too small: use at least 32 x 32.")
    if kind is not None and kind not in FAMILIES:
        raise OptionError(f"Unknown kind of scene {kind!r}: choose from {', '.join(FAMILIES)}.")
    rng = np.random.default_rng(list(seed))
    names = list(FAMILIES)
    drawn = names[int(rng.choice(len(names), p=[share for _, share in FAMILIES.values()]))]
    return plan_shot(rng, FAMILIES[kind or drawn][0], height, width, textures, None if path is None else Path(*path))


def _rendered(shots: Sequence[Shot], device: str) -> list[list[RenderedScene]]:
    import torch

    from depth_anything_v2.datasets.scenes.render import render_shots

    try:
        place = torch.device(device)
        torch.empty(0, device=place)
    except (RuntimeError, AssertionError) as error:
        raise OptionError(f"Scenes can't be rendered on {device!r}: use 'cpu', or a device that torch has.") from error
    return [
        [
            RenderedScene(one.image, one.depth_m, one.normal, one.view.focal_px, one.view.pose, shot.scene.kind)
            for one in frames
        ]
        for shot, frames in zip(shots, render_shots(shots, place), strict=True)
    ]


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
    device: str = "cpu",
    batch: int = 16,
    portrait: float = 0.0,
    normals: bool = False,
    progress: Callable[[int, int], None] | None = None,
) -> list[Path]:
    """Render `count` scenes into `shard-00000.npz` and so on, skipping the shards already there.

    A shard holds `image` (N, H, W, 3) uint8; `inverse_depth` (N, H, W) float16, 0 for the sky and otherwise in 1/m,
    divided by its maximum where that is above one (depth is relative); `scale` (N,) float32, by which it was divided;
    `focal_px` (N,) float32; `kind` (N,) str; with `normals` also `normal` (N, H, W, 3) int8, 127 times those of
    `RenderedScene`. A share `portrait` of the shards is upright: height and width change places.

    Each shard is a function of `seed`, its number and the options, and appears whole or not at all. On the CPU scenes
    are rendered one by one, on another `device` `batch` at a time; `workers` processes share it. `progress` is called
    with scenes done and `count`. Returns the paths. Raises `OptionError` for counts below one, a share outside 0..1
    and what `render_scene` refuses.
    """
    if min(count, shard_size, workers, batch) < 1:
        raise OptionError(
            f"count ({count}), shard_size ({shard_size}), workers ({workers}) and batch ({batch}) must be at least 1."
        )
    if not 0 <= portrait <= 1:
        raise OptionError(f"portrait is the share of upright shards, between 0 and 1, not {portrait}.")
    root = Path(folder)
    root.mkdir(parents=True, exist_ok=True)
    jobs = []
    for number, start in enumerate(range(0, count, shard_size)):
        upright = int((number + 1) * portrait) > int(number * portrait)
        size = (width, height) if upright else (height, width)
        many = min(shard_size, count - start)
        path = root / f"shard-{number:05d}.npz"
        jobs.append(_Shard(path, seed, number, many, *size, textures_dir, device, batch, normals))
    open_jobs = [job for job in jobs if not job.path.exists()]
    done = count - sum(job.count for job in open_jobs)
    if progress is not None:
        progress(done, count)
    for written in _written(open_jobs, workers):
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
    device: str
    batch: int
    normals: bool


def _written(jobs: Sequence[_Shard], workers: int) -> Iterator[int]:
    if workers == 1 or len(jobs) < 2:
        yield from map(_write_shard, jobs)
        return
    # A forked process can neither use a GPU that its parent uses nor count on its parent's threads.
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=_one_thread) as pool:
        yield from pool.map(_write_shard, jobs)


def _one_thread() -> None:
    import cv2
    import torch

    cv2.setNumThreads(1)
    torch.set_num_threads(1)


def _write_shard(job: _Shard) -> int:
    textures = load_textures(job.textures_dir) if job.textures_dir is not None else []
    seeds = np.random.SeedSequence([job.seed, job.number]).generate_state(job.count, np.uint64)
    shape = (job.count, job.height, job.width)
    image, inverse = np.empty((*shape, 3), np.uint8), np.empty(shape, np.float16)
    normal = np.empty((*shape, 3), np.int8) if job.normals else None
    scale, focal, kinds = np.empty(job.count, np.float32), np.empty(job.count, np.float32), []
    step = 1 if job.device == "cpu" else job.batch
    for start in range(0, job.count, step):
        part = [int(one) for one in seeds[start : start + step]]
        scenes = render_scenes(part, job.height, job.width, textures=textures, device=job.device)
        for k, scene in enumerate(scenes, start):
            near = 1 / scene.depth_m
            scale[k], focal[k] = max(1.0, float(near.max())), scene.focal_px
            image[k], inverse[k] = scene.image, near / scale[k]
            kinds.append(scene.kind)
            if normal is not None:
                normal[k] = np.rint(scene.normal * 127)
    arrays = {"image": image, "inverse_depth": inverse, "scale": scale, "focal_px": focal, "kind": np.array(kinds)}
    if normal is not None:
        arrays["normal"] = normal
    with atomic_path(job.path) as part_path, part_path.open("wb") as stream:
        np.savez(stream, **arrays)  # type: ignore[arg-type]
    return job.count


def _report(done: int, total: int) -> None:
    sys.stderr.write(f"{done}/{total}\n")


def main(arguments: Sequence[str] | None = None) -> None:
    """Render shards from the command line."""
    parser = argparse.ArgumentParser(description="Render random scenes with exact depth into NPZ shards.")
    parser.add_argument("-o", "--out", required=True, help="folder for the shards")
    parser.add_argument("--count", type=int, required=True, help="number of scenes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--height", type=int, default=240)
    parser.add_argument("--width", type=int, default=320)
    parser.add_argument("--textures", default=None, help="folder with photographs")
    parser.add_argument("--shard-size", type=int, default=256)
    parser.add_argument("--workers", type=int, default=1, help="processes")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, ...")
    parser.add_argument("--batch", type=int, default=16, help="scenes at a time on a GPU")
    parser.add_argument("--portrait", type=float, default=0.0, help="share of upright pictures")
    parser.add_argument("--normals", action="store_true", help="store normals too")
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
        device=given.device,
        batch=given.batch,
        portrait=given.portrait,
        normals=given.normals,
        progress=_report,
    )


if __name__ == "__main__":
    main()
