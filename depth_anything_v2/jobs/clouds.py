"""The product of `depth-anything pointcloud`: point clouds or meshes, and pictures of them."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from depth_anything_v2.camera import Camera
from depth_anything_v2.errors import InputError, OptionError
from depth_anything_v2.io.camera_files import CameraOptions
from depth_anything_v2.io.cloud_preview import render_preview
from depth_anything_v2.io.depth_files import write_image
from depth_anything_v2.io.images import to_uint8
from depth_anything_v2.io.point_clouds import CLOUD_FORMATS, write_cloud
from depth_anything_v2.jobs.options import PredictOptions, parse_formats
from depth_anything_v2.jobs.outputs import DepthFiles, Rgb
from depth_anything_v2.point_cloud import CloudOptions, build_cloud
from depth_anything_v2.prediction import DepthPrediction

PREVIEW = "_preview.png"


@dataclass(frozen=True)
class CloudFileOptions:
    """What is written for each input.

    formats: names of CLOUD_FORMATS, or comma lists of them. preview: a picture of the cloud, <name>_preview.png.
    mask, camera, focal_correction: as in PredictOptions. images, depth_scale: of depth files, as in StoredDepth.
    Raises OptionError for what makes no sense.
    """

    cloud: CloudOptions = field(default_factory=CloudOptions)
    formats: tuple[str, ...] = ("ply",)
    preview: bool = False
    mask: str | None = None
    camera: CameraOptions = field(default_factory=CameraOptions)
    focal_correction: bool = False
    images: str | None = None
    depth_scale: float | None = None

    def __post_init__(self) -> None:
        object.__setattr__(
            self, "formats", parse_formats(self.formats, CLOUD_FORMATS, what="format", of=" of a point cloud")
        )
        if self.cloud.mesh and "xyz" in self.formats:
            raise OptionError("an xyz file holds points only: write the mesh as ply or glb")
        if self.cloud.visual and "xyz" in self.formats:
            raise OptionError("an xyz file cannot say that its numbers are no metres: write the cloud as ply or glb")


class CloudFiles:
    """One file per format, and a preview if asked for.

    folder: the output folder; a folder of masks mirrors what is below it. Raises as DepthFiles does.
    """

    needs_picture = True

    def __init__(self, options: CloudFileOptions, folder: Path | None = None) -> None:
        self.options, self._folder = options, folder
        numbers = PredictOptions(
            ("npz",), mask=options.mask, camera=options.camera, focal_correction=options.focal_correction
        )
        self._depth = DepthFiles(numbers, folder)

    def files(self, stem: str) -> dict[str, Any]:
        """Return the files of every format, with all that shapes the cloud."""
        (numbers,) = self._depth.files(stem).values()
        stored = {"images": self.options.images, "depth_scale": self.options.depth_scale}
        shaping = {**dataclasses.asdict(self.options.cloud), **stored, **(numbers or {})}
        names = [f"{stem}.{format}" for format in self.options.formats]
        return dict.fromkeys([*names, f"{stem}{PREVIEW}"] if self.options.preview else names, shaping)

    def write(self, prediction: DepthPrediction, rgb: Rgb, base: Path) -> Camera | None:
        """Write the cloud of a prediction and return its camera; rgb is (0, 0, 3) where there is no picture."""
        stem = base.name if self._folder is None else base.relative_to(self._folder).as_posix()
        prediction = self._depth.finished(prediction, stem)
        prediction = self.options.camera.applied(prediction, needed=True)
        if rgb.size and rgb.shape[:2] != prediction.depth.shape:
            raise InputError(
                f"the picture is {rgb.shape[1]} x {rgb.shape[0]} pixels, the depth map {prediction.width} x "
                f"{prediction.height}: the colours must be those of the same picture"
            )
        cloud = build_cloud(prediction, image=to_uint8(rgb) if rgb.size else None, options=self.options.cloud)
        for format in self.options.formats:
            write_cloud(cloud, base.with_name(f"{base.name}.{format}"), format)
        if self.options.preview:
            about = "; ".join(cloud.describe())
            write_image(base.with_name(base.name + PREVIEW), render_preview(cloud), {"Description": about})
        return prediction.camera

    def describe(self) -> dict[str, Any]:
        """Return the options as they were given."""
        return {**dataclasses.asdict(self.options), "camera": self.options.camera.describe()}
