"""What a model answers: a depth map that says what its numbers are and where they come from."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import numpy as np
import numpy.typing as npt

from depth_anything_v2.camera import Camera
from depth_anything_v2.config import Geometry, Kind
from depth_anything_v2.errors import DepthKindError, InputError, OptionError

if TYPE_CHECKING:
    from depth_anything_v2.io.images import ImageSource
    from depth_anything_v2.point_cloud import PointCloud

SATURATION = 0.99  # of max_depth_m: a metric model answers "at least this far" from here on
# How notes begin that say that the scale is no longer the model's own.
ALIGNED, CORRECTED = "aligned by", "focal correction"


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
    least 0.99 of max_depth_m (as far as the model can say, or sky); computed when not given. camera: the
    intrinsics of the picture at this size, None where they are not known.

    Raises InputError when depth is not a 2-D array, or valid or the camera have another size.
    """

    depth: npt.NDArray[np.float32]
    kind: Kind
    max_depth_m: float | None = None
    valid: npt.NDArray[np.bool_] = field(default=None)  # type: ignore[arg-type]
    geometry: Geometry = "planar"
    provenance: Provenance = Provenance()
    camera: Camera | None = None

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
        if self.camera is not None and (self.camera.height, self.camera.width) != depth.shape:
            raise InputError(
                f"the camera is that of a picture of {self.camera.width} x {self.camera.height} pixels, the depth map "
                f"is {depth.shape[1]} x {depth.shape[0]}: use the camera's `resized`, `cropped` or `fitted` first"
            )
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
        if self.camera is not None:
            data["camera"] = self.camera.describe()
        return data

    def replace(self, **changes: Any) -> DepthPrediction:
        """Return a copy with some fields changed; pass `valid=None` with a new depth to compute it anew."""
        return dataclasses.replace(self, **changes)

    def noted(self, note: str) -> DepthPrediction:
        """Return a copy whose provenance says what was done to it."""
        provenance = dataclasses.replace(self.provenance, notes=(*self.provenance.notes, note))
        return self.replace(provenance=provenance)

    def with_focal_correction(self, canonical_focal_px: float) -> DepthPrediction:
        """Return metric depth scaled for this camera: times its focal length / that of the training pictures.

        A network that learnt from one focal length takes a longer lens for a shorter distance. Both focal
        lengths are in pixels of the network's input: `camera.fx` is scaled to it, canonical_focal_px is
        `CheckpointSpec.canonical_focal_px`. max_depth_m scales along. Noted in the provenance.

        Raises DepthKindError for relative depth, OptionError where the camera or the network's input size is
        not known, the camera is only assumed, or the scale was corrected or aligned before.
        """
        if self.kind != "metric":
            raise DepthKindError("focal correction is about metres, and relative depth has none")
        before = [note for note in self.provenance.notes if note.startswith((ALIGNED, CORRECTED))]
        if before:
            raise OptionError(f"leave out the focal correction: the scale of this depth was set before ({before[-1]})")
        if self.camera is None or self.camera.assumed or self.provenance.network_size is None:
            raise OptionError(
                "focal correction needs the camera's focal length, and nothing tells it: give the camera (fx, a field "
                "of view or a camera file)"
            )
        focal = self.camera.fx * self.provenance.network_size[1] / self.width
        factor = focal / canonical_focal_px
        limit = None if self.max_depth_m is None else self.max_depth_m * factor
        return self.replace(depth=self.depth * np.float32(factor), max_depth_m=limit).noted(
            f"{CORRECTED}: depth x {factor:.4f} ({focal:.1f} px at the network's input, trained at "
            f"{canonical_focal_px:.1f} px)"
        )

    def to_planar(self, camera: Camera | None = None) -> DepthPrediction:
        """Return the same depth as distance along the optical axis, with `camera` or the prediction's own.

        Raises DepthKindError for relative depth, OptionError without a camera or for one of another size.
        """
        return self._as_geometry("planar", camera)

    def to_ray(self, camera: Camera | None = None) -> DepthPrediction:
        """Return the same depth as distance from the camera; see `to_planar`."""
        return self._as_geometry("ray", camera)

    def _as_geometry(self, geometry: Geometry, camera: Camera | None) -> DepthPrediction:
        if self.kind != "metric":
            raise DepthKindError(
                "relative depth has no distances to convert: align it to metres first (`align`), or use a metric "
                "checkpoint"
            )
        camera = camera or self.camera
        if camera is None:
            raise OptionError(
                "planar depth and distance along the ray differ by the camera: give one, "
                "Camera.from_fov(width, height, horizontal_deg=60) for example"
            )
        if geometry == self.geometry:
            return self.replace(camera=camera)
        convert = camera.planar_to_ray if geometry == "ray" else camera.ray_to_planar
        return self.replace(depth=convert(self.depth), geometry=geometry, camera=camera)

    def colorize(
        self, colormap: str = "spectral", value_range: tuple[float, float] | None = None
    ) -> npt.NDArray[np.uint8]:
        """Return an (H, W, 3) uint8 RGB picture; near is warm for both kinds with 'spectral'.

        value_range: values shown at the two ends of the map, in the prediction's own numbers; without it
        the smallest and largest finite value. See `depth_anything_v2.io.colormaps` for the names.
        """
        from depth_anything_v2.io.colormaps import colorize

        return colorize(self, colormap, value_range)

    def to_point_cloud(
        self, camera: Camera | None = None, image: ImageSource | None = None, **options: Any
    ) -> PointCloud:
        """Return the depth as points in the camera's frame; `io.point_clouds.write_cloud` writes them.

        camera: else the prediction's own, else an assumed one, said in the notes. image: the picture, for the
        colours; anything `read_image` takes. options: the fields of `point_cloud.CloudOptions` (mesh, voxel, ...).

        Raises DepthKindError for relative depth without `affine` or `visual`, OptionError for the camera of another
        picture or a bad option, InputError for a picture of another size or a map without a usable pixel.
        """
        from depth_anything_v2.io.images import read_image, to_uint8
        from depth_anything_v2.point_cloud import CloudOptions, build_cloud

        rgb = None if image is None else to_uint8(read_image(image))
        return build_cloud(self, camera, rgb, CloudOptions(**options))

    def save(self, path: str | Path, format: str | None = None) -> Path:
        """Write the numbers, with what they are, to `path` and return it.

        format: png (grey, 8 bit, for looking at), png16, npy, npz, tiff, exr, pfm; without it, what the
        suffix says ('.png' is png16, so that nothing is lost). Raises OutputError when it cannot be written,
        OptionError for an unknown format.
        """
        from depth_anything_v2.io.depth_files import write_depth

        return write_depth(self, Path(path), format)
