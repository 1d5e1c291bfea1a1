"""What a model answers: a depth map that says what its numbers are and where they come from."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import numpy as np
import numpy.typing as npt

from depth_anything_v2.config import Geometry, Kind
from depth_anything_v2.errors import InputError

SATURATION = 0.99  # of max_depth_m: a metric model answers "at least this far" from here on


@dataclass(frozen=True)
class Provenance:
    """How a prediction came about; travels into every file that can hold it.

    checkpoint: its name or file name; sha256: of the checkpoint file, None when not known; network_size:
    (height, width) of the network input; source: the picture's path or address as given.
    """

    checkpoint: str = "unknown"
    sha256: str | None = None
    licence: str | None = None
    encoder: str | None = None
    engine: str | None = None
    device: str | None = None
    precision: str | None = None
    input_size: int | None = None
    network_size: tuple[int, int] | None = None
    source: str | None = None
    version: str | None = None
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return JSON data without the fields that are not known; `from_dict` is its inverse."""
        return {key: value for key, value in dataclasses.asdict(self).items() if value not in (None, ())}

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Provenance:
        """Rebuild from `to_dict`; keys that this version does not know are left out."""
        known = {f.name for f in dataclasses.fields(cls)}
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in data.items() if k in known}
        return cls(**fields)


@dataclass(frozen=True, eq=False)
class DepthPrediction:
    """Depth of every pixel of one picture.

    depth: (H, W) float32. kind 'relative': inverse depth, affine-invariant, larger = nearer, no unit;
    kind 'metric': metres. geometry: 'planar' (distance along the optical axis, z) or 'ray' (distance
    from the camera). valid: (H, W) bool, False where the value is not finite or, for metric depth, at
    least 0.99 of max_depth_m (as far as the model can say, or sky); computed when not given.

    Raises InputError when depth is not a 2-D array or valid has another shape.
    """

    depth: npt.NDArray[np.float32]
    kind: Kind
    max_depth_m: float | None = None
    valid: npt.NDArray[np.bool_] = field(default=None)  # type: ignore[arg-type]
    geometry: Geometry = "planar"
    provenance: Provenance = Provenance()

    def __post_init__(self) -> None:
        depth = np.asarray(self.depth, dtype=np.float32)
        if depth.ndim != 2 or depth.size == 0:
            raise InputError(f"a depth map has two axes (height, width), not shape {depth.shape}")
        if self.kind not in get_args(Kind) or self.geometry not in get_args(Geometry):
            raise InputError(f"unknown kind '{self.kind}' or geometry '{self.geometry}' of depth")
        valid: npt.NDArray[np.bool_] | None = self.valid
        if valid is None:
            valid = np.isfinite(depth)
            if self.kind == "metric" and self.max_depth_m is not None:
                valid &= depth < SATURATION * self.max_depth_m
        valid = np.asarray(valid, dtype=bool)
        if valid.shape != depth.shape:
            raise InputError(f"the valid mask is {valid.shape}, the depth map {depth.shape}")
        object.__setattr__(self, "depth", depth)
        object.__setattr__(self, "valid", valid)

    @property
    def unit(self) -> str:
        """'m' for metric depth, 'none' for inverse depth."""
        return "m" if self.kind == "metric" else "none"

    @property
    def quantity(self) -> str:
        """What the numbers are, in words, for legends and reports."""
        if self.kind == "metric":
            return "depth in metres" if self.geometry == "planar" else "distance along the ray in metres"
        return "inverse depth (relative, larger = nearer)"

    @property
    def height(self) -> int:
        return int(self.depth.shape[0])

    @property
    def width(self) -> int:
        return int(self.depth.shape[1])

    def describe(self) -> dict[str, Any]:
        """Return JSON data that tells what the numbers are: kind, unit, geometry, size, provenance."""
        data: dict[str, Any] = {
            "kind": self.kind,
            "quantity": self.quantity,
            "unit": self.unit,
            "geometry": self.geometry,
            "height": self.height,
            "width": self.width,
            "provenance": self.provenance.to_dict(),
        }
        if self.max_depth_m is not None:
            data["max_depth_m"] = self.max_depth_m
        return data

    def replace(self, **changes: Any) -> DepthPrediction:
        """Return a copy with some fields changed; pass `valid=None` with a new depth to compute it anew."""
        return dataclasses.replace(self, **changes)

    def colorize(
        self, colormap: str = "spectral", value_range: tuple[float, float] | None = None
    ) -> npt.NDArray[np.uint8]:
        """Return an (H, W, 3) uint8 RGB picture; near is warm for both kinds with 'spectral'.

        value_range: values shown at the two ends of the map, in the prediction's own numbers; without it
        the smallest and largest finite value. See `depth_anything_v2.io.colormaps` for the names.
        """
        from depth_anything_v2.io.colormaps import colorize

        return colorize(self, colormap, value_range)

    def save(self, path: str | Path, format: str | None = None) -> Path:
        """Write the numbers, with what they are, to `path` and return it.

        format: png (grey, 8 bit, for looking at), png16, npy, npz, tiff, exr, pfm; without it, what the
        suffix says ('.png' is png16, so that nothing is lost). Raises OutputError when it cannot be written,
        OptionError for an unknown format.
        """
        from depth_anything_v2.io.depth_files import write_depth

        return write_depth(self, Path(path), format)
