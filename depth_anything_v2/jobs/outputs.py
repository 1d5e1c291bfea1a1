"""What is written for one input: the picture for looking at, and files that hold the numbers."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from depth_anything_v2.io.colormaps import GAP_COLUMNS, colorize
from depth_anything_v2.io.depth_files import check_format, output_files, output_name, write_depth, write_image
from depth_anything_v2.io.formats.stored import METADATA_KEY, metadata_json
from depth_anything_v2.io.images import to_uint8
from depth_anything_v2.jobs.options import PredictOptions
from depth_anything_v2.prediction import DepthPrediction

Rgb = npt.NDArray[Any]


class Product(Protocol):
    """What a job makes of each prediction; used from several threads."""

    def files(self, stem: str) -> Mapping[str, Any]:
        """Return the files written for an output stem ('sub/x', below the output folder), in the order of
        writing, each with JSON data of the options that shape it besides checkpoint and input size."""

    def write(self, prediction: DepthPrediction, rgb: Rgb, base: Path) -> None:
        """Write those files; base is the output folder with the stem. Raises OutputError and the like."""

    def describe(self) -> dict[str, Any]:
        """Return its options as JSON data, for reports."""


class DepthFiles:
    """The product of `depth-anything predict`: one file per format, and JSON beside npy and pfm."""

    def __init__(self, options: PredictOptions) -> None:
        for format in options.formats:
            check_format(format)  # now, not after the first thousand pictures
        self.options = options
        shown = dataclasses.asdict(options)
        del shown["formats"]
        self._picture = shown

    def files(self, stem: str) -> dict[str, Any]:
        """Return the files of every format, with the options of the picture where they matter."""
        found: dict[str, Any] = {}
        for format in self.options.formats:
            for path in output_files(_path(Path(stem), format), format):
                found[path.as_posix()] = self._picture if format == "png" else None
        return found

    def write(self, prediction: DepthPrediction, rgb: Rgb, base: Path) -> None:
        """Write one file per format; a picture carries the metadata of the other formats as PNG text."""
        for format in self.options.formats:
            path = _path(base, format)
            if format == "png":
                encoding = {"type": "uint8", "note": "a picture for looking at", **self._picture}
                text = {"Description": prediction.quantity, METADATA_KEY: metadata_json(prediction, encoding)}
                write_image(path, picture(prediction, rgb, self.options), text)
            else:
                write_depth(prediction, path, format)

    def describe(self) -> dict[str, Any]:
        """Return the options as they were given."""
        return dataclasses.asdict(self.options)


def picture(prediction: DepthPrediction, rgb: Rgb, options: PredictOptions) -> npt.NDArray[np.uint8]:
    """Return the (H, W, 3) uint8 RGB picture of a depth map; with `side_by_side` the photograph and 50
    white columns to the left of it. rgb: (H, W, 3) as `read_image` gives it."""
    depth = colorize(prediction, "grey" if options.grayscale else options.colormap)
    if not options.side_by_side:
        return depth
    gap = np.full((depth.shape[0], GAP_COLUMNS, 3), 255, np.uint8)
    return np.concatenate([to_uint8(rgb), gap, depth], axis=1)


def _path(base: Path, format: str) -> Path:
    return base.with_name(output_name(base.name, format))
