"""What is written for one input: the picture for looking at, and files that hold the numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from depth_anything_v2.camera import Camera
from depth_anything_v2.checkpoints.registry import canonical_focal_px
from depth_anything_v2.errors import InputError, OptionError
from depth_anything_v2.io.colormaps import GAP_COLUMNS
from depth_anything_v2.io.depth_files import check_format, output_files, output_name, write_depth, write_image
from depth_anything_v2.io.formats.stored import METADATA_KEY, metadata_json
from depth_anything_v2.io.images import to_uint8
from depth_anything_v2.io.legend import coloured
from depth_anything_v2.io.masks import apply_mask, find_mask
from depth_anything_v2.jobs.options import PredictOptions
from depth_anything_v2.prediction import DepthPrediction

Rgb = npt.NDArray[Any]


class Product(Protocol):
    """What a job makes of each prediction; used from several threads.

    needs_picture: whether `write` looks at the photograph; otherwise it is given an empty one, (0, 0, 3), so that
    none is kept in memory for nothing.
    """

    needs_picture: bool

    def files(self, stem: str) -> Mapping[str, Any]:
        """Return the files written for an output stem ('sub/x', below the output folder), in the order of
        writing, each with JSON data of the options that shape it besides checkpoint and input size."""

    def write(self, prediction: DepthPrediction, rgb: Rgb, base: Path) -> Camera | None:
        """Write those files and return the camera that stands in them; base is the output folder with the stem.

        Raises OutputError and the like.
        """

    def describe(self) -> dict[str, Any]:
        """Return its options as JSON data, for reports."""


class DepthFiles:
    """The product of `depth-anything predict`: one file per format, and JSON beside npy and pfm.

    folder: the output folder; a folder of masks mirrors what is below it. Raises OptionError, InputError or
    MissingExtraError for options that cannot be fulfilled for any picture.
    """

    def __init__(self, options: PredictOptions, folder: Path | None = None) -> None:
        for format in options.formats:
            check_format(format)  # now, not after the first thousand pictures
        self.options, self._folder = options, folder
        self.needs_picture = options.side_by_side
        about_picture = ("colormap", "grayscale", "side_by_side", "legend", "value_range")
        chosen = {name: getattr(options, name) for name in about_picture}
        self._picture = {
            name: value for name, value in chosen.items() if name not in ("legend", "value_range") or value
        }
        self._numbers: dict[str, Any] = {}
        if options.camera.given:
            self._numbers["camera"] = options.camera.shaping()
        if options.focal_correction:
            self._numbers["focal_correction"] = True
        if options.mask is not None and not Path(options.mask).exists():
            raise OptionError(f"there is no mask '{options.mask}': a picture, or a folder of them")

    def files(self, stem: str) -> dict[str, Any]:
        """Return the files of every format, with the options of the numbers, and of the picture where they matter."""
        numbers = {**self._numbers, **self._mask(stem)}
        found: dict[str, Any] = {}
        for format in self.options.formats:
            shaping = {**self._picture, **numbers} if format == "png" else numbers or None
            for path in output_files(_path(Path(stem), format), format):
                found[path.as_posix()] = shaping
        return found

    def write(self, prediction: DepthPrediction, rgb: Rgb, base: Path) -> Camera | None:
        """Write one file per format; a picture carries the metadata of the other formats as PNG text."""
        stem = base.name if self._folder is None else base.relative_to(self._folder).as_posix()
        prediction = self.finished(prediction, stem)
        for format in self.options.formats:
            path = _path(base, format)
            if format == "png":
                encoding = {"type": "uint8", "note": "a picture for looking at", **self._picture}
                text = {"Description": prediction.quantity, METADATA_KEY: metadata_json(prediction, encoding)}
                write_image(path, picture(prediction, rgb, self.options), text)
            else:
                write_depth(prediction, path, format)
        return prediction.camera

    def finished(self, prediction: DepthPrediction, stem: str) -> DepthPrediction:
        """Return the prediction with the camera, the focal correction and the mask that were asked for."""
        prediction = self.options.camera.applied(prediction)
        if self.options.focal_correction:
            trained_at = canonical_focal_px(prediction.provenance)
            if trained_at is None:
                raise OptionError(
                    f"nothing tells the focal length that '{prediction.provenance.checkpoint}' was trained with: leave "
                    "out the focal correction, or use a published metric checkpoint"
                )
            prediction = prediction.with_focal_correction(trained_at)
        if self.options.mask is not None:
            prediction = apply_mask(prediction, find_mask(Path(self.options.mask), stem))
        return prediction

    def _mask(self, stem: str) -> dict[str, Any]:
        """Return which file masks an output, and its state; a missing one is said when it is the picture's turn."""
        if self.options.mask is None:
            return {}
        try:
            mask = find_mask(Path(self.options.mask), stem)
            return {"mask": [str(mask), mask.stat().st_size, mask.stat().st_mtime_ns]}
        except (InputError, OSError):
            return {"mask": [str(self.options.mask)]}

    def describe(self) -> dict[str, Any]:
        """Return the options as they were given."""
        return {**dataclasses.asdict(self.options), "camera": self.options.camera.describe()}


def picture(prediction: DepthPrediction, rgb: Rgb, options: PredictOptions) -> npt.NDArray[np.uint8]:
    """Return the (H, W, 3) uint8 RGB picture of a depth map; with `side_by_side` the photograph and 50
    white columns to the left of it. rgb: (H, W, 3) as `read_image` gives it."""
    options.check_kind(prediction.kind)
    colormap = "grey" if options.grayscale else options.colormap
    depth = coloured(prediction, colormap, options.value_range, legend=options.legend)
    if not options.side_by_side:
        return depth
    height, width = depth.shape[0], rgb.shape[1]
    beside = np.full((height, width + GAP_COLUMNS, 3), 255, np.uint8)
    beside[: rgb.shape[0], :width] = to_uint8(rgb)
    return np.concatenate([beside, depth], axis=1)


def _path(base: Path, format: str) -> Path:
    return base.with_name(output_name(base.name, format))
