"""The steps of the original's `run.py`, one after the other, as its users have them.

    python benchmarks/original_steps.py --img-path PHOTOS --outdir OUT --weights FILE.pth [--encoder vits] [--times]
    python benchmarks/original_steps.py ... --model transformers --weights FOLDER

OpenCV reads; the picture goes to the network's size in float64 (bicubic); the model runs in float32 through
PyTorch, not compiled; the depth comes back bilinear; matplotlib colours it; picture, 50 white columns and depth
are written side by side as PNG. Nothing overlaps. `--times` prints what each step took.

It stands for the original, whose own model is not here. `--model package` runs this package's model as the
original builds its own (random, then `load_state_dict(torch.load(...))`), so that starting up costs what it
costs there: torch, OpenCV and matplotlib. `--model transformers` runs that library's model, 1.68 times as fast as
the original's; importing the library takes seconds longer. Being faster than either is harder than being
faster than the original.
"""

from __future__ import annotations

import argparse
import collections
import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import matplotlib
import numpy as np
import torch
import torch.nn.functional as functional

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PATCH = 14
GAP_COLUMNS = 50
SUFFIXES = (".jpg", ".jpeg", ".png")


class Clock:
    """Adds up the seconds of each step."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = collections.defaultdict(float)

    @contextlib.contextmanager
    def step(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - began


def load_model(kind: str, weights: Path, encoder: str) -> Callable[[torch.Tensor], torch.Tensor]:
    """Return a function from (1, 3, H, W) to (1, H, W), in float32 on the CPU."""
    if kind == "transformers":
        from weights import load_transformers

        theirs = load_transformers(weights)
        return lambda x: theirs(x).predicted_depth
    from depth_anything_v2.dpt import DepthAnythingV2

    model = DepthAnythingV2(encoder)
    model.load_state_dict(torch.load(weights, map_location="cpu"))
    return model.to("cpu").eval()


def network_size(height: int, width: int, input_size: int) -> tuple[int, int]:
    """Return both sides in multiples of 14, the shorter one at least `input_size`."""
    scale = max(input_size / height, input_size / width)
    sides = []
    for length in (height, width):
        side = round(length * scale / PATCH) * PATCH
        sides.append(side if side >= input_size else int(np.ceil(length * scale / PATCH)) * PATCH)
    return sides[0], sides[1]


def network_input(bgr: Any, input_size: int) -> torch.Tensor:
    """Return (1, 3, H, W) float32; everything before that is float64."""
    rgb = cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB) / 255.0
    height, width = network_size(rgb.shape[0], rgb.shape[1], input_size)
    resized = cv2.resize(rgb, (width, height), interpolation=cv2.INTER_CUBIC)
    normal = (resized - MEAN) / STD
    planes = np.ascontiguousarray(normal.transpose(2, 0, 1).astype(np.float32))
    return torch.from_numpy(planes).unsqueeze(0)


def coloured(bgr: Any, depth: Any, colours: Any) -> Any:
    """Return [picture | white | depth in colours], BGR uint8."""
    levels = ((depth - depth.min()) / (depth.max() - depth.min()) * 255.0).astype(np.uint8)
    shown = (colours(levels)[:, :, :3] * 255)[:, :, ::-1].astype(np.uint8)
    white = np.full((bgr.shape[0], GAP_COLUMNS, 3), 255, np.uint8)
    return cv2.hconcat([bgr, white, shown])


def run(photos: list[Path], outdir: Path, model: Callable[..., torch.Tensor], input_size: int, clock: Clock) -> None:
    """Write one picture for each photo."""
    outdir.mkdir(parents=True, exist_ok=True)
    colours = matplotlib.colormaps["Spectral_r"]
    for photo in photos:
        with clock.step("read"):
            bgr = cv2.imread(str(photo))
        if bgr is None:
            raise SystemExit(f"original_steps.py: cannot read {photo}")
        with clock.step("resize"):
            x = network_input(bgr, input_size)
        with clock.step("model"), torch.no_grad():
            depth = model(x)
        with clock.step("resize back"):
            full = functional.interpolate(depth[:, None], bgr.shape[:2], mode="bilinear", align_corners=True)
            array = full[0, 0].numpy()
        with clock.step("colour"):
            picture = coloured(bgr, array, colours)
        with clock.step("write"):
            cv2.imwrite(str(outdir / f"{photo.stem}.png"), picture)


def main() -> None:
    parser = argparse.ArgumentParser(description="The steps of the original's run.py.")
    parser.add_argument("--img-path", type=Path, required=True, help="a photo, or a folder of them")
    parser.add_argument("--outdir", type=Path, required=True)
    parser.add_argument("--weights", type=Path, required=True, help="the .pth, or the folder for transformers")
    parser.add_argument("--model", choices=("package", "transformers"), default="package")
    parser.add_argument("--encoder", choices=("vits", "vitb", "vitl", "vitg"), default="vits")
    parser.add_argument("--input-size", type=int, default=518)
    parser.add_argument("--times", action="store_true", help="print the seconds that each step took")
    options = parser.parse_args()
    clock = Clock()
    photos = [options.img_path]
    if options.img_path.is_dir():
        photos = sorted(path for path in options.img_path.rglob("*") if path.suffix.lower() in SUFFIXES)
    with clock.step("load"):
        model = load_model(options.model, options.weights, options.encoder)
    run(photos, options.outdir, model, options.input_size, clock)
    if options.times:
        for name, seconds in clock.seconds.items():
            print(f"{name:12s} {seconds:8.3f} s, {seconds / len(photos):.3f} per photo")


if __name__ == "__main__":
    main()
