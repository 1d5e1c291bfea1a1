"""What tiles bring, on rendered scenes whose depth is known, and what a large picture takes with them.

    python benchmarks/tiles.py [--scenes 12] [--checkpoint builtin] [--pictures DIR]
    python benchmarks/tiles.py --large [--size 6000 4000]

The first prints, for the global pass alone, for the network at larger input sizes and for tiles, the boundary F1 and
the AbsRel after the best scale and shift in inverse depth, means over the scenes, and how steep the change that tiles
make is at their borders, compared with elsewhere (1: as everywhere). The second prints time and peak memory of whole
processes, with tiles and without, for a picture pasted together from those in assets/examples.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from measure import print_table, run_process

from depth_anything_v2.datasets.rendered import FAMILIES, render_scene
from depth_anything_v2.estimator import DepthEstimator
from depth_anything_v2.metrics import abs_rel, boundary_f1
from depth_anything_v2.prediction import DepthPrediction
from depth_anything_v2.robust_fit import fit_scale_shift
from depth_anything_v2.tiles import TileGrid, plan_tiles

EXAMPLES = Path(__file__).parent.parent / "assets" / "examples"
HEIGHT, WIDTH = 1152, 1536
FIRST_SEED = 10_000_000  # none of these scenes was seen in training
LARGER = (2, 4)  # times the input size, to compare with

FloatMap = npt.NDArray[np.float32]


def scores(inverse: FloatMap, truth_m: FloatMap) -> tuple[float, float]:
    """Return boundary F1 and AbsRel of inverse depth, aligned to the truth by least squares.

    For AbsRel nothing is farther than the farthest true depth.
    """
    known = np.isfinite(truth_m)
    scale, shift = fit_scale_shift(inverse.ravel(), (1 / truth_m).ravel())
    farthest = float(truth_m[known].max())
    depth_m = 1 / np.maximum(scale * inverse + shift, 0.1 / farthest)
    return boundary_f1(depth_m, truth_m), abs_rel(np.minimum(depth_m, farthest)[known], truth_m[known])


def seam_ratio(change: FloatMap, grid: TileGrid) -> float:
    """Return the mean |gradient| of `change` across the borders of tiles, over that everywhere else."""
    at_borders, elsewhere = [], []
    for axis, starts in ((0, grid.tops), (1, grid.lefts)):
        steps = np.abs(np.diff(change, axis=axis)).mean(axis=1 - axis)
        borders = sorted({b - 1 for start in starts for b in (start, start + grid.side) if 0 < b <= steps.size})
        at_borders.append(steps[borders])
        elsewhere.append(np.delete(steps, borders))
    return float(np.concatenate(at_borders).mean() / np.concatenate(elsewhere).mean())


def compare(checkpoint: str, count: int, side: int | None, pictures: Path | None) -> None:
    """Print the table of scores over `count` scenes."""
    plain = DepthEstimator.from_pretrained(checkpoint, exact=True)
    fine = DepthEstimator(plain.engine, plain.config, tile=side or 0)
    size = plain.input_size
    grid = plan_tiles(HEIGHT, WIDTH, size, side)
    if grid is None or plain.config.kind == "metric":
        raise SystemExit(f"choose a relative checkpoint and a side of tiles below two thirds of {HEIGHT}")
    names = ["global pass", *(f"input size {times * size}" for times in LARGER), f"{len(grid)} tiles"]
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in names}
    seams = []
    for number in range(count):
        kind = list(FAMILIES)[number % len(FAMILIES)]
        scene = render_scene(FIRST_SEED + number, HEIGHT, WIDTH, kind=kind)
        coarse = plain(scene.image).depth
        maps = [coarse, *(plain(scene.image, input_size=times * size).depth for times in LARGER)]
        maps.append(fine(scene.image).depth)
        seams.append(seam_ratio(maps[-1] - coarse, grid))
        for name, inverse in zip(names, maps, strict=True):
            found[name].append(scores(inverse, scene.depth_m))
        if pictures:
            show(pictures / f"{number:02d}-{kind}.png", scene.image, coarse, maps[-1], scene.depth_m)
    base = np.array(found[names[0]])
    rows = [["", "boundary F1", "finer edges in", "AbsRel", "median ratio", "worst ratio"]]
    for name in names:
        figures = np.array(found[name])
        ratio = figures[:, 1] / base[:, 1]
        finer = f"{int((figures[:, 0] > base[:, 0]).sum())} of {count}" if name != names[0] else ""
        f1, away = figures.mean(axis=0)
        rows.append([name, f"{f1:.4f}", finer, f"{away:.4f}", f"{np.median(ratio):.3f}", f"{ratio.max():.3f}"])
    print_table(rows)
    print(f"change across the borders of tiles / elsewhere: mean {np.mean(seams):.2f}, median {np.median(seams):.2f}")


def show(path: Path, image: npt.NDArray[np.uint8], coarse: FloatMap, fine: FloatMap, truth_m: FloatMap) -> None:
    """Write picture, global pass, tiles and truth side by side, above a part of each at its full size."""
    path.parent.mkdir(parents=True, exist_ok=True)
    ends = float(coarse.min()), float(coarse.max())
    near = np.asarray(1 / truth_m, np.float32)
    panels = [image, *(DepthPrediction(depth, "relative").colorize("spectral", ends) for depth in (coarse, fine))]
    panels.append(DepthPrediction(near, "relative").colorize("spectral", (0, float(np.percentile(near, 99.5)))))
    height, width = coarse.shape[0] // 3, coarse.shape[1] // 3
    whole = [cv2.resize(panel, (width, height), interpolation=cv2.INTER_AREA) for panel in panels]
    part = [panel[height : 2 * height, width : 2 * width] for panel in panels]
    cv2.imwrite(str(path), np.vstack([np.hstack(whole), np.hstack(part)])[:, :, ::-1])


def large_picture(width: int, height: int) -> npt.NDArray[np.uint8]:
    """Return photographs enlarged and pasted beside each other, as one picture of that size."""
    paths = sorted(EXAMPLES.glob("*.jpg"))[:6]
    columns, rows = 3, 2
    picture = np.empty((height, width, 3), np.uint8)
    for number, path in enumerate(paths):
        row, column = divmod(number, columns)
        top, bottom = height * row // rows, height * (row + 1) // rows
        left, right = width * column // columns, width * (column + 1) // columns
        photograph: Any = cv2.imread(str(path))
        picture[top:bottom, left:right] = cv2.resize(photograph, (right - left, bottom - top))
    return picture


def measure_large(checkpoint: str, width: int, height: int, side: int | None) -> None:
    """Print time and peak memory of processes that predict one large picture."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cv2.imwrite(str(folder / "large.jpg"), large_picture(width, height))
        command = [sys.executable, str(Path(__file__).resolve()), "--checkpoint", checkpoint, "--one", "large.jpg"]
        run_process([*command, "--global-pass"], folder)  # fills the caches
        rows = [[f"{width} x {height}", "seconds", "peak memory"]]
        with_tiles = [] if side is None else ["--tile-size", str(side)]
        for label, more in (("global pass", ["--global-pass"]), ("tiles", with_tiles)):
            done = run_process([*command, *more], folder)
            rows.append([label, f"{done.seconds:.1f}", f"{done.peak_bytes / 2**20:.0f} MiB"])
    print_table(rows)


def predict_one(checkpoint: str, path: Path, tile: int | None) -> None:
    """Read a picture, predict it and write the numbers: what a measured process does."""
    DepthEstimator.from_pretrained(checkpoint, tile=tile)(path).save(path.with_suffix(".npy"))


def main() -> None:
    parser = argparse.ArgumentParser(description="What tiles bring, and what they take.")
    parser.add_argument("--checkpoint", default="builtin")
    parser.add_argument("--scenes", type=int, default=12)
    parser.add_argument("--tile-size", type=int, default=None, help="side of a tile in pixels")
    parser.add_argument("--pictures", type=Path, default=None, help="folder for the maps as PNG")
    parser.add_argument("--large", action="store_true", help="time and memory of one large picture")
    parser.add_argument("--size", type=int, nargs=2, default=(6000, 4000), metavar=("WIDTH", "HEIGHT"))
    parser.add_argument("--one", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--global-pass", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        predict_one(given.checkpoint, given.one, None if given.global_pass else given.tile_size or 0)
    elif given.large:
        measure_large(given.checkpoint, given.size[0], given.size[1], given.tile_size)
    else:
        compare(given.checkpoint, given.scenes, given.tile_size, given.pictures)


if __name__ == "__main__":
    main()
