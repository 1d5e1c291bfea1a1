"""Depth maps to files and back, and pictures to PNG. Every write is complete or leaves nothing."""

from __future__ import annotations

import json
import struct
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from depth_anything_v2.config import Kind
from depth_anything_v2.errors import InputError, MissingExtraError, OptionError
from depth_anything_v2.io.atomic import atomic_path
from depth_anything_v2.io.formats import arrays, png16, rasters
from depth_anything_v2.io.formats.stored import METADATA_KEY, SOFTWARE, Stored, metadata_json, rebuild
from depth_anything_v2.io.png import encode_png
from depth_anything_v2.prediction import DepthPrediction

FORMATS: tuple[str, ...] = ("png", "png16", "npy", "npz", "tiff", "exr", "pfm")

_ENDINGS = {"png16": "_depth16.png"}
# '.png' means png16: a name alone must not lose the numbers.
_FORMAT_OF_SUFFIX = {
    ".png": "png16",
    ".npy": "npy",
    ".npz": "npz",
    ".tif": "tiff",
    ".tiff": "tiff",
    ".exr": "exr",
    ".pfm": "pfm",
}
_READERS: dict[str, Callable[[Path], Stored]] = {
    "png16": png16.read,
    "npy": arrays.read_npy,
    "npz": arrays.read_npz,
    "tiff": rasters.read_tiff,
    "exr": rasters.read_exr,
    "pfm": arrays.read_pfm,
}
_READ_ERRORS = (
    OSError,
    ValueError,
    SyntaxError,
    LookupError,
    TypeError,
    ArithmeticError,
    RuntimeError,
    EOFError,
    struct.error,
    zlib.error,
    zipfile.BadZipFile,
)


def output_name(stem: str, format: str) -> str:
    """Return the file name of a format: 'x_depth16.png' for png16, 'x.png' for png, 'x.npy', ...

    Raises OptionError for an unknown format.
    """
    check_format(format)
    return stem + _ENDINGS.get(format, f".{format}")


def output_files(path: Path, format: str) -> tuple[Path, ...]:
    """Return every file that `write_depth(..., path, format)` writes: npy and pfm have a JSON file beside them."""
    check_format(format)
    return (path, arrays.sidecar_path(path)) if format in ("npy", "pfm") else (path,)


def write_depth(prediction: DepthPrediction, path: str | Path, format: str | None = None) -> Path:
    """Write a depth map with what its numbers are, and return the path.

    format: one of FORMATS; without it, what the suffix says, where '.png' is png16. 'png' is a grey picture
    of 8 bits for looking at, the others keep the numbers (see docs/output-formats.md). An existing file is
    replaced; an interrupted or failed write leaves it as it was.

    Raises OptionError (unknown format or suffix), OutputError, MissingExtraError (EXR).
    """
    path = Path(path)
    if format is None:
        format = _FORMAT_OF_SUFFIX.get(path.suffix.lower())
        if format is None:
            raise OptionError(f"'{path.name}' has no suffix of a depth file: {', '.join(sorted(_FORMAT_OF_SUFFIX))}")
    check_format(format)
    if format in ("npy", "pfm"):
        write = arrays.write_npy if format == "npy" else arrays.write_pfm
        with atomic_path(path) as file:
            metadata = write(prediction, file)
            # The inner block ends first: numbers never appear without what they mean.
            with atomic_path(arrays.sidecar_path(path)) as sidecar:
                sidecar.write_text(metadata + "\n", encoding="utf-8")
        return path
    writers: dict[str, Callable[[DepthPrediction, Path], None]] = {
        "png": _write_grey,
        "png16": png16.write,
        "npz": arrays.write_npz,
        "tiff": rasters.write_tiff,
        "exr": rasters.write_exr,
    }
    with atomic_path(path) as file:
        writers[format](prediction, file)
    return path


def read_depth(path: str | Path, *, kind: Kind | None = None, scale: float | None = None) -> DepthPrediction:
    """Return the prediction that `write_depth` wrote, within the precision of the format.

    In png16, invalid pixels come back as NaN. A file of another program does not say what its numbers are:
    give `kind`, and for metric 16-bit integers `scale`, the metres of one count (0.001 for millimetres); 0
    counts as invalid there. kind and scale may not contradict a file that knows.

    Raises InputError (missing, damaged, an 8-bit picture, kind not known), OptionError, MissingExtraError.
    """
    path = Path(path)
    format = _FORMAT_OF_SUFFIX.get(path.suffix.lower())
    if format is None:
        raise InputError(f"cannot read '{path}' as depth: its suffix is none of {', '.join(sorted(_FORMAT_OF_SUFFIX))}")
    try:
        if path.is_dir():
            raise InputError(f"cannot read '{path}': it is a folder, not a depth file")
        stored = _READERS[format](path)
    except FileNotFoundError as error:
        raise InputError(f"cannot read '{path}': there is no such file") from error
    except PermissionError as error:
        raise InputError(f"cannot read '{path}': there is no permission to read it") from error
    except _READ_ERRORS as error:
        if isinstance(error, (MissingExtraError, OptionError)):
            raise
        why = " ".join(str(error).split()) or type(error).__name__
        raise InputError(
            f"cannot read '{path}' as depth: the file is damaged or not what its suffix says ({why})"
        ) from error
    if stored.values.ndim != 2 or stored.values.size == 0 or stored.values.dtype.kind not in "fiu":
        raise InputError(
            f"cannot read '{path}' as depth: a depth map has two axes (height, width) of numbers, this is "
            f"{stored.values.dtype} {stored.values.shape}"
        )
    if stored.metadata is None:
        return _foreign(stored, path, kind, scale)
    if kind is not None and kind != stored.metadata.get("kind"):
        raise OptionError(f"'{path}' holds {stored.metadata.get('kind')} depth, not {kind}: leave out the kind")
    if scale is not None:
        raise OptionError(f"'{path}' carries its own scale: leave out the scale")
    return rebuild(stored, path)


def write_image(path: str | Path, rgb: npt.NDArray[np.uint8], metadata: dict[str, Any] | None = None) -> Path:
    """Write an (H, W, 3) RGB or (H, W) grey uint8 picture as PNG, and return the path.

    metadata: PNG text chunks; keys of 1 to 79 Latin-1 characters, strings as they are, other values as
    JSON, None left out. Raises OptionError (not uint8, not '.png'), OutputError.
    """
    path = Path(path)
    if path.suffix.lower() != ".png":
        raise OptionError(f"pictures are written as PNG: '{path.name}' must end in .png")
    grey_or_rgb = rgb.ndim == 2 or (rgb.ndim == 3 and rgb.shape[2] == 3)
    if rgb.dtype != np.uint8 or not grey_or_rgb or rgb.size == 0:
        raise OptionError(f"a picture to write is uint8 (height, width, 3), not {rgb.dtype} {rgb.shape}")
    given = {key: value for key, value in (metadata or {}).items() if value is not None}
    text = {key: value if isinstance(value, str) else json.dumps(value) for key, value in given.items()}
    with atomic_path(path) as file:
        file.write_bytes(encode_png(rgb, {"Software": SOFTWARE, **text}))
    return path


def check_format(format: str) -> None:
    """Raise OptionError for an unknown format, MissingExtraError for one whose library is not installed."""
    if format not in FORMATS:
        raise OptionError(f"unknown format '{format}': choose one of {', '.join(FORMATS)}")
    if format == "exr":
        from depth_anything_v2.io.formats.rasters import require_openexr

        require_openexr("writing an EXR file")


def _write_grey(prediction: DepthPrediction, file: Path) -> None:
    from depth_anything_v2.io.colormaps import colorize

    grey = colorize(prediction, "grey")[:, :, 0]
    encoding = {"type": "uint8", "note": "for looking at: scaled between the smallest and the largest value"}
    text = {
        "Software": SOFTWARE,
        "Description": f"{prediction.quantity}, scaled to 8 bits for looking at",
        METADATA_KEY: metadata_json(prediction, encoding),
    }
    file.write_bytes(encode_png(grey, text))


def _foreign(stored: Stored, path: Path, kind: Kind | None, scale: float | None) -> DepthPrediction:
    """Return the depth of a file of another program, as the caller says it is to be understood."""
    if kind is None:
        raise InputError(
            f"'{path}' does not say what its numbers are: say so, relative (inverse depth, larger = nearer) or "
            "metric (metres), with kind or, for metres, with the scale (--kind, --depth-scale)"
        )
    integers = stored.values.dtype.kind in "iu"
    if kind == "metric" and integers and scale is None:
        raise InputError(
            f"'{path}' holds integers and does not say how long one is: give scale, in metres (0.001 for mm), "
            "on the command line as --depth-scale"
        )
    if scale is not None and not (0 < scale < float("inf")):
        raise OptionError(f"the scale is a positive number of metres, not {scale:g}")
    depth = stored.values.astype(np.float64) * (scale or 1.0)
    valid = np.isfinite(depth)
    if integers:
        valid &= stored.values != 0
    if stored.valid is not None:
        if stored.valid.shape != depth.shape:
            raise InputError(f"cannot read '{path}': its valid mask has another size than its depth")
        valid &= stored.valid
    with np.errstate(over="ignore"):
        return DepthPrediction(depth.astype(np.float32), kind, valid=valid)
