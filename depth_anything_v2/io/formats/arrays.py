"""NumPy's own files, and PFM: plain numbers with a JSON file beside them, and NPZ with fields."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from depth_anything_v2.errors import InputError
from depth_anything_v2.io.formats.stored import Stored, float_values, metadata_json, parse_metadata
from depth_anything_v2.prediction import DepthPrediction

_PFM_HEADER = re.compile(rb"P([fF])\s+(\d{1,9})\s+(\d{1,9})\s+(-?[0-9.eE+-]{1,30})[ \t\r]*\n")


def write_npy(prediction: DepthPrediction, file: Path) -> str:
    """Write (H, W) float32 and return the JSON for the file beside it."""
    values, encoding = float_values(prediction)
    # Through memory: NumPy writing to a file itself does not say why it failed (disk full, ...).
    buffer = io.BytesIO()
    np.save(buffer, np.ascontiguousarray(values), allow_pickle=False)
    file.write_bytes(buffer.getbuffer())
    return metadata_json(prediction, encoding)


def read_npy(file: Path) -> Stored:
    """Return the array, and the metadata of the JSON file beside it."""
    with file.open("rb") as data:
        values = np.load(data, allow_pickle=False)
    if not isinstance(values, np.ndarray):
        raise InputError(f"cannot read '{file}': it is an archive, not an array; give it the suffix .npz")
    return Stored(values, parse_metadata(_sidecar_text(file), file))


def write_npz(prediction: DepthPrediction, file: Path) -> None:
    """Write the fields depth (float32), valid (bool), kind, unit, geometry and metadata (JSON), uncompressed."""
    metadata = metadata_json(prediction, {"type": "float32", "invalid": "field"})
    fields: dict[str, Any] = {
        "depth": prediction.depth,
        "valid": prediction.valid,
        "kind": np.array(prediction.kind),
        "unit": np.array(prediction.unit),
        "geometry": np.array(prediction.geometry),
        "metadata": np.array(metadata),
    }
    with file.open("wb") as out:
        np.savez(out, **fields)


def read_npz(file: Path) -> Stored:
    """Return the fields; 'valid' and 'metadata' may be absent in a file of another program."""
    with file.open("rb") as data, np.load(data, allow_pickle=False) as fields:
        if "depth" not in fields:
            raise InputError(f"cannot read '{file}': it has no field 'depth', only {', '.join(fields.files) or 'none'}")
        text = str(fields["metadata"]) if "metadata" in fields else None
        valid = fields["valid"].astype(bool) if "valid" in fields else None
        return Stored(fields["depth"], parse_metadata(text, file), valid)


def write_pfm(prediction: DepthPrediction, file: Path) -> str:
    """Write little-endian float32, the bottom row first, and return the JSON for the file beside it."""
    values, encoding = float_values(prediction)
    header = f"Pf\n{prediction.width} {prediction.height}\n-1.0\n".encode("ascii")
    file.write_bytes(header + values[::-1].astype("<f4").tobytes())
    return metadata_json(prediction, encoding)


def read_pfm(file: Path) -> Stored:
    """Return the numbers, top row first, of either byte order; the size of the scale in the header is ignored."""
    data = file.read_bytes()
    header = _PFM_HEADER.match(data)
    if header is None or header[1] == b"F":
        raise InputError(f"cannot read '{file}': it is not a PFM file with one channel")
    width, height = int(header[2]), int(header[3])
    if len(data) - header.end() < width * height * 4:
        raise InputError(f"cannot read '{file}': the file is truncated")
    order = "<f4" if float(header[4]) < 0 else ">f4"
    values: npt.NDArray[Any] = np.frombuffer(data, order, width * height, header.end()).reshape(height, width)
    return Stored(values[::-1].astype(np.float32), parse_metadata(_sidecar_text(file), file))


def sidecar_path(path: Path) -> Path:
    """Return the JSON file beside a depth file: `x.npy` has `x.npy.json`."""
    return path.with_name(path.name + ".json")


def _sidecar_text(file: Path) -> str | None:
    try:
        return sidecar_path(file).read_text(encoding="utf-8")
    except FileNotFoundError:
        return None
