"""What the page does with an upload, without anything of gradio: pictures, files and a line of text."""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from depth_anything_v2.checkpoints import CheckpointSpec, list_checkpoints, resolve_checkpoint
from depth_anything_v2.errors import CheckpointError, InputError
from depth_anything_v2.estimator import DepthEstimator
from depth_anything_v2.io.depth_files import output_name, write_depth
from depth_anything_v2.io.images import read_image, to_uint8
from depth_anything_v2.prediction import DepthPrediction

KEPT_ESTIMATORS = 2
KEPT_SECONDS = 3600.0
SHOWN_SIDE = 2048  # what the browser is sent to look at; the files to download have every pixel

Loader = Callable[[str], DepthEstimator]


@dataclass(frozen=True)
class PageResult:
    """before, after: (H, W, 3) uint8 RGB, at most 2048 pixels a side; grey, png16: files; text: Markdown."""

    before: npt.NDArray[np.uint8]
    after: npt.NDArray[np.uint8]
    grey: Path
    png16: Path
    text: str


def load_estimator(name: str) -> DepthEstimator:
    """Return the estimator of a checkpoint, downloading it when it can be."""
    return DepthEstimator.from_pretrained(name)


def on_disk(spec: CheckpointSpec) -> bool:
    """Return whether a checkpoint can be used without downloading."""
    try:
        resolve_checkpoint(spec.name, offline=True)
    except CheckpointError:
        return False
    return True


def checkpoint_choices(first: str = "auto") -> list[tuple[str, str]]:
    """Return (label, name) of what can be chosen, the default first.

    first: what was asked for on the command line; 'auto' is `vits` if it is on disk, else the built-in one.
    """
    choices = []
    for spec in list_checkpoints():
        here = on_disk(spec)
        if here or spec.downloadable:
            numbers = "inverse depth" if spec.max_depth_m is None else f"metres, up to {spec.max_depth_m:g}"
            size = "" if here or not spec.bytes else f", to download: {spec.bytes / 1e6:.0f} MB"
            choices.append(
                (f"{spec.name}: {numbers}; {spec.licence or 'licence: see its page'}{size}", spec.name, here)
            )
    default = first
    if first == "auto":
        default = "vits" if any(name == "vits" and here for _, name, here in choices) else "builtin"
    plain = [(label, name) for label, name, _ in choices]
    if default not in [name for _, name in plain]:
        plain.insert(0, (default, default))
    return sorted(plain, key=lambda choice: choice[1] != default)


class PageSession:
    """Estimators that were used last, and the files that visitors may download for an hour.

    A context manager: the files are gone when it ends.
    """

    def __init__(self, load: Loader = load_estimator) -> None:
        self._load, self._lock = load, threading.Lock()
        self._estimators: OrderedDict[str, DepthEstimator] = OrderedDict()
        self._files = tempfile.TemporaryDirectory(prefix="depth-anything-page-")

    def __enter__(self) -> PageSession:
        return self

    def __exit__(self, *error: object) -> None:
        self._files.cleanup()

    @property
    def folder(self) -> Path:
        """Where the files to download are."""
        return Path(self._files.name)

    def estimator(self, name: str) -> DepthEstimator:
        """Return the estimator of a checkpoint, kept for the next visitor."""
        with self._lock:
            found = self._estimators.pop(name, None) or self._load(name)
            self._estimators[name] = found
            while len(self._estimators) > KEPT_ESTIMATORS:
                self._estimators.popitem(last=False)
            return found

    def compute(self, path: str | None, checkpoint: str, input_size: int | None, colormap: str) -> PageResult:
        """Return what the page shows for the picture at `path`.

        Raises InputError without a picture or for one that cannot be read, CheckpointError, OptionError.
        """
        if not path:
            raise InputError("there is no picture yet: upload one, or choose an example")
        picture = read_image(path)
        estimator = self.estimator(checkpoint)
        started = time.perf_counter()
        (prediction,) = estimator.predict_arrays([picture], [Path(path).name], input_size=input_size or None)
        seconds = time.perf_counter() - started
        self._sweep()
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        stem = Path(path).stem or "picture"
        grey = write_depth(prediction, folder / f"{stem}_grayscale_depth_map.png", "png")
        png16 = write_depth(prediction, folder / output_name(stem, "png16"), "png16")
        text = describe(prediction, estimator, seconds)
        return PageResult(_to_show(to_uint8(picture)), _to_show(prediction.colorize(colormap)), grey, png16, text)

    def _sweep(self) -> None:
        for folder in self.folder.iterdir():
            if time.time() - folder.stat().st_mtime > KEPT_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


def describe(prediction: DepthPrediction, estimator: DepthEstimator, seconds: float) -> str:
    """Return Markdown that says what the numbers are and where they come from."""
    valid = prediction.depth[prediction.valid]
    unit = " m" if prediction.kind == "metric" else ""
    span = f"{valid.min():.4g} to {valid.max():.4g}{unit}" if valid.size else "no valid pixel"
    told = prediction.provenance
    height, width = told.network_size or (0, 0)
    lines = [
        f"**{prediction.quantity[:1].upper()}{prediction.quantity[1:]}**, {span}.",
        f"Checkpoint `{told.checkpoint}` ({told.licence or 'licence: see its page'}); the network saw "
        f"{width} x {height} pixels, {seconds:.2g} s on {told.device}.",
        *estimator.notes,
    ]
    if told.checkpoint == "builtin":
        lines.append("The built-in checkpoint is a small stand-in, not Depth Anything V2 Small.")
    return "  \n".join(lines)


def _to_show(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    import cv2

    scale = SHOWN_SIDE / max(rgb.shape[:2])
    if scale >= 1:
        return rgb
    size = (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
    return cv2.resize(rgb, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
