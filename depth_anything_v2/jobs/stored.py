"""Inputs that hold depth already, and the pictures that belong to them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from depth_anything_v2.config import Kind
from depth_anything_v2.errors import InputError, OptionError
from depth_anything_v2.io.depth_files import read_depth
from depth_anything_v2.io.images import IMAGE_SUFFIXES, is_url, read_image
from depth_anything_v2.io.recognise import DEPTH_SUFFIXES, recognise
from depth_anything_v2.jobs.inputs import Input, LookedFor
from depth_anything_v2.jobs.outputs import Rgb
from depth_anything_v2.prediction import DepthPrediction

Stored = Callable[[Input], tuple[Rgb, DepthPrediction] | None]

_DEPTH16 = "_depth16"  # what the names of 16-bit depth pictures end in

PICTURES_AND_DEPTH = LookedFor(
    IMAGE_SUFFIXES | DEPTH_SUFFIXES,
    "a picture or depth file",
    "pictures or depth files",
    left_out=lambda path: recognise(path) == "drawing",
)


def no_picture() -> Rgb:
    """Return what stands for the picture of a depth file that has none: (0, 0, 3)."""
    return np.empty((0, 0, 3), np.uint8)


class StoredDepth:
    """Reads depth files, with the picture that each was made from.

    images: a picture, or a folder of pictures named as the depth files; None: the picture beside the depth file, or
    the one its provenance names, if it is there and of the same size. scale: metres of one count in a file of
    another program, which does not say so; its depth is then metric.
    """

    def __init__(self, images: str | None = None, scale: float | None = None) -> None:
        if images is not None and not Path(images).exists():
            raise OptionError(f"there is no picture '{images}', nor a folder of that name")
        if scale is not None and not 0 < scale < float("inf"):
            raise OptionError(f"the scale of a depth file is a positive number of metres, not {scale:g}")
        self._images, self._scale = images, scale

    def needs_model(self, source: Input) -> bool:
        """Say whether an input is a picture, whose depth is to be predicted."""
        if source.problem is not None:
            return False
        return source.path is None or recognise(source.path) == "picture"

    def __call__(self, source: Input) -> tuple[Rgb, DepthPrediction] | None:
        """Return picture ((0, 0, 3) where there is none) and depth, or None for a picture to predict.

        Raises InputError for a file that cannot be read, and for our pictures of depth, which hold no numbers.
        """
        if source.path is None:
            return None
        content = recognise(source.path)
        if content == "drawing":
            raise InputError(
                f"'{source.path}' is a coloured picture of depth and holds no numbers: give the depth file (npz, exr, "
                "tiff, 16-bit png), or the photograph"
            )
        if content == "picture":
            return None
        prediction = self._read(source.path)
        return self._picture(source.path, prediction), prediction

    def _read(self, path: Path) -> DepthPrediction:
        if self._scale is None:
            return read_depth(path)
        kind: Kind = "metric"
        try:
            return read_depth(path, kind=kind, scale=self._scale)
        except OptionError as error:
            raise InputError(str(error)) from error

    def _picture(self, path: Path, prediction: DepthPrediction) -> Rgb:
        if self._images is not None:
            return read_image(self._named(Path(self._images), path))
        named = prediction.provenance.source
        candidates = [path.parent / name for name in _names(path)]
        if named is not None and not is_url(named):
            candidates.append(Path(named))
        for candidate in candidates:
            if candidate.is_file() and recognise(candidate) == "picture":
                rgb = _readable(candidate)
                if rgb.shape[:2] == prediction.depth.shape:
                    return rgb
        return no_picture()

    def _named(self, images: Path, path: Path) -> Path:
        if images.is_file():
            return images
        found = next((images / name for name in _names(path) if (images / name).is_file()), None)
        if found is None:
            raise InputError(f"there is no picture of '{path.name}' in '{images}', such as '{_names(path)[0]}'")
        return found


def _names(path: Path) -> list[str]:
    """Return how the picture of a depth file may be called."""
    stem = path.stem.removesuffix(_DEPTH16)
    suffixes = sorted(IMAGE_SUFFIXES, key=lambda suffix: (suffix != ".jpg", suffix != ".png", suffix))
    return [f"{stem}{suffix}" for suffix in suffixes if f"{stem}{suffix}" != path.name]


def _readable(path: Path) -> Rgb:
    """Return a picture nobody asked for, (0, 0, 3) when it cannot be read."""
    try:
        return read_image(path)
    except InputError:
        return no_picture()
