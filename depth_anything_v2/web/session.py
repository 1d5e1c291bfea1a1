"""What the page does with an upload, without anything of gradio: pictures, files and a line of text."""

from __future__ import annotations

import dataclasses
import shutil
import sys
import tempfile
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from depth_anything_v2.checkpoints import resolve_checkpoint
from depth_anything_v2.errors import CheckpointNotFoundError, InputError, OptionError
from depth_anything_v2.estimator import DepthEstimator
from depth_anything_v2.io.colormaps import colorize
from depth_anything_v2.io.depth_files import output_name, read_depth, write_depth, write_image
from depth_anything_v2.io.formats.stored import METADATA_KEY, metadata_json
from depth_anything_v2.io.images import read_image, to_uint8
from depth_anything_v2.jobs.options import EstimatorOptions
from depth_anything_v2.prediction import DepthPrediction
from depth_anything_v2.web.offers import Offer, list_offers

KEPT_ESTIMATORS = 2
KEPT_SECONDS = 3600.0
SHOWN_SIDE = 2048  # what the browser is sent to look at; the files to download have every pixel

Loader = Callable[[EstimatorOptions], DepthEstimator]


@dataclass(frozen=True)
class PageResult:
    """Files of one computation, in a folder of their own, and what they are.

    before, after: the picture and its depth in colours as the browser sees them, at most 2048 pixels a side.
    colours (RGB, 8 bit), grey (8 bit), png16 (16 bit, with its range) and npz (float32) have the picture's size.
    text: Markdown.
    """

    before: Path
    after: Path
    colours: Path
    grey: Path
    png16: Path
    npz: Path
    text: str


class PageSession:
    """Estimators that were used last, and the files that visitors may download for an hour.

    options: the checkpoint chosen at first, and how all of them run. folder: where the files go; a temporary
    folder inside it is made, and is gone when this context manager ends. load: makes an estimator.
    """

    def __init__(
        self,
        options: EstimatorOptions | None = None,
        folder: Path | None = None,
        load: Loader = EstimatorOptions.load,
    ) -> None:
        self.options = options or EstimatorOptions()
        self.offers: dict[str, Offer] = list_offers(self.options.checkpoint)
        self._load, self._lock = load, threading.Lock()
        self._estimators: OrderedDict[str, DepthEstimator] = OrderedDict()
        self._files = tempfile.TemporaryDirectory(prefix="depth-anything-page-", dir=folder)
        self.folder = Path(self._files.name)

    def __enter__(self) -> PageSession:
        return self

    def __exit__(self, *error: object) -> None:
        self._files.cleanup()

    def offer(self, name: Any) -> Offer:
        """Return what is offered under a name. Raises OptionError for anything else: a visitor names no files."""
        if not isinstance(name, str) or name not in self.offers:
            raise OptionError(f"the page offers no checkpoint '{name}': choose one from the list")
        return self.offers[name]

    def download(self, name: Any) -> None:
        """Fetch a checkpoint. Raises OptionError, CheckpointError; what was fetched so far is kept."""
        resolve_checkpoint(self.offer(name).name, progress=sys.stderr.isatty())

    def estimator(self, name: Any) -> DepthEstimator:
        """Return the estimator of a checkpoint that is on disk, kept for the next visitor.

        Raises OptionError, CheckpointError.
        """
        offer = self.offer(name)
        if size := offer.download_size:
            raise CheckpointNotFoundError(f"{offer.name} is not on this machine yet: download it first ({size})")
        with self._lock:
            found = self._estimators.pop(offer.name, None) or self._load(self._options(offer))
            self._estimators[offer.name] = found
            while len(self._estimators) > KEPT_ESTIMATORS:
                self._estimators.popitem(last=False)
            return found

    def _options(self, offer: Offer) -> EstimatorOptions:
        """Return the options of the command line for its own checkpoint; for others only where they run."""
        if offer.name == self.options.checkpoint:
            return self.options
        how = {name: getattr(self.options, name) for name in ("engine", "device", "precision", "exact")}
        return EstimatorOptions(offer.name, offline=True, **how)

    def compute(self, path: Path | None, checkpoint: Any, input_size: Any, colormap: str) -> PageResult:
        """Return what the page shows for the picture at `path`.

        input_size: None or 0 for the model's own. Raises InputError without a picture or for one that cannot
        be read, CheckpointError, OptionError.
        """
        if path is None:
            raise InputError("there is no picture yet: upload one, or choose an example")
        size = whole_number(input_size)
        try:
            picture = read_image(path)
        except InputError as error:  # where the upload lies is nothing to a visitor
            raise type(error)(str(error).replace(str(path), path.name)) from error
        estimator = self.estimator(checkpoint)
        started = time.perf_counter()
        (prediction,) = estimator.predict_arrays([picture], [path.name], input_size=size)
        seconds = time.perf_counter() - started
        self._sweep()
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        before = write_image(folder / "picture.png", _to_show(to_uint8(picture)))
        after, colours = _write_colours(prediction, colormap, folder, path.stem)
        return PageResult(
            before,
            after,
            colours,
            write_depth(prediction, folder / f"{path.stem}_grey.png", "png"),
            write_depth(prediction, folder / output_name(path.stem, "png16")),
            write_depth(prediction, folder / output_name(path.stem, "npz")),
            describe(prediction, estimator.notes, seconds),
        )

    def recolour(self, result: PageResult, colormap: str) -> PageResult:
        """Return an earlier result in other colours; nothing is computed again. Raises InputError, OptionError."""
        if not result.npz.is_file():
            raise InputError("this result was kept for an hour and is gone: compute it again")
        stem = result.npz.stem
        after, colours = _write_colours(read_depth(result.npz), colormap, result.npz.parent, stem)
        return dataclasses.replace(result, after=after, colours=colours)

    def _sweep(self) -> None:
        for folder in self.folder.iterdir():
            if time.time() - folder.stat().st_mtime > KEPT_SECONDS:
                shutil.rmtree(folder, ignore_errors=True)


def whole_number(value: Any) -> int | None:
    """Return an input size as it comes from a form: None where it is empty or 0. Raises OptionError."""
    if not value:
        return None
    if not isinstance(value, (int, float)) or isinstance(value, bool) or not 1 <= value < 100_000:
        raise OptionError(f"the input size is a number of pixels, such as 518, not {value!r}")
    return int(value)


def describe(prediction: DepthPrediction, notes: tuple[str, ...], seconds: float) -> str:
    """Return Markdown that says what the numbers are and where they come from."""
    told = prediction.provenance
    valid = prediction.depth[prediction.valid]
    metric = prediction.kind == "metric"
    unit = " m" if metric else ""
    span = f"{valid.min():.4g} to {valid.max():.4g}{unit}" if valid.size else "no valid pixel"
    lines = [f"**{prediction.quantity[:1].upper()}{prediction.quantity[1:]}**: {span}."]
    if metric:
        lines[0] += " Larger = farther; the grey picture is dark where it is near."
    else:
        lines[0] += (
            " No unit: scale and shift differ from picture to picture. The grey picture is bright where it is near."
        )
    missing = 1 - valid.size / prediction.depth.size
    if missing:
        limit = f": {prediction.max_depth_m:g} m or farther, as far as this checkpoint can say" if metric else ""
        lines.append(f"{missing:.1%} of the pixels are not valid{limit}; they are 0 in the 16-bit PNG.")
    height, width = told.network_size or (0, 0)
    licence = told.licence or "licence: see its page"
    builtin = ", a small stand-in, not Depth Anything V2 Small" if told.checkpoint == "builtin" else ""
    lines.append(f"Checkpoint `{told.checkpoint}` ({licence}){builtin}.")
    lines.append(
        f"Picture {prediction.width} × {prediction.height} pixels; the network saw {width} × {height}; "
        f"{seconds:.2g} s on {told.device}."
    )
    return "  \n".join([*lines, *told.notes, *notes])


def _write_colours(prediction: DepthPrediction, colormap: str, folder: Path, stem: str) -> tuple[Path, Path]:
    """Write the depth in colours, small and whole, and return both; names differ by colour map, for caches."""
    rgb = colorize(prediction, colormap)
    encoding = {"type": "uint8", "note": "a picture for looking at", "colormap": colormap}
    text = {"Description": prediction.quantity, METADATA_KEY: metadata_json(prediction, encoding)}
    colours = write_image(folder / f"{stem}_{colormap}.png", rgb, text)
    shown = _to_show(rgb)
    return (colours if shown is rgb else write_image(folder / f"depth_{colormap}.png", shown)), colours


def _to_show(rgb: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint8]:
    import cv2

    scale = SHOWN_SIDE / max(rgb.shape[:2])
    if scale >= 1:
        return rgb
    size = (max(1, round(rgb.shape[1] * scale)), max(1, round(rgb.shape[0] * scale)))
    return cv2.resize(rgb, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
