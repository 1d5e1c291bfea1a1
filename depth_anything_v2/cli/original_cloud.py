"""The original's `metric_depth/depth_to_pointcloud.py`: the same options, geometry and file names."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from depth_anything_v2.cli import common
from depth_anything_v2.cli.original import ENCODERS, metric_checkpoint, run_original

if TYPE_CHECKING:
    from depth_anything_v2.camera import Camera
    from depth_anything_v2.prediction import DepthPrediction

FOCAL_LENGTH_PX = 470.4


class OriginalCloud:
    """What the original writes: <name>.ply, a point (x * z, y * z, z) for every pixel, y down, with its colour.

    The principal point is width / 2, height / 2 of whole pixel numbers, half a pixel beside the middle. No pixel is
    left out: neither sky nor the flying pixels at edges.
    """

    needs_picture = True

    def __init__(self, fx: float, fy: float) -> None:
        self.fx, self.fy = fx, fy

    def files(self, stem: str) -> dict[str, Any]:
        """Return the one file."""
        return {f"{stem}.ply": self.describe()}

    def write(self, prediction: DepthPrediction, rgb: Any, base: Path) -> Camera | None:
        """Write the cloud and return its camera. Raises InputError for depth that is not finite, OutputError."""
        import numpy as np

        from depth_anything_v2.camera import Camera
        from depth_anything_v2.errors import InputError
        from depth_anything_v2.io.images import to_uint8
        from depth_anything_v2.io.point_clouds import write_cloud
        from depth_anything_v2.point_cloud import PointCloud

        if not np.isfinite(prediction.depth).all():
            raise InputError("the depth holds values that are not finite: no point stands for them")
        width, height = prediction.width, prediction.height
        camera = Camera.from_pixels(width, height, self.fx, self.fy, width / 2, height / 2)
        points = camera.unproject(prediction.depth).reshape(-1, 3)
        notes = (f"camera: {camera}", f"depth by {prediction.provenance.checkpoint}")
        write_cloud(PointCloud(points, to_uint8(rgb).reshape(-1, 3), notes=notes), base.with_name(f"{base.name}.ply"))
        return camera

    def describe(self) -> dict[str, Any]:
        """Return its options."""
        return {"fx": self.fx, "fy": self.fy}


def pointcloud_main(arguments: Sequence[str] | None = None) -> int:
    """`python metric_depth/depth_to_pointcloud.py`: return the exit status, as `run_main`."""
    parser = argparse.ArgumentParser(description="Point clouds from pictures, with metric Depth Anything V2")
    parser.add_argument("--encoder", default="vitl", choices=ENCODERS)
    parser.add_argument("--load-from", help="default: the published checkpoint for the encoder and --max-depth")
    parser.add_argument("--max-depth", type=float, default=20.0, help="metres: 20 indoors (default), 80 outdoors")
    parser.add_argument("--img-path", required=True, help="a picture, a folder or a .txt list of pictures")
    parser.add_argument("--outdir", type=Path, default=Path("vis_pointcloud"))
    parser.add_argument("--focal-length-x", type=float, default=FOCAL_LENGTH_PX, help="pixels (default: 470.4)")
    parser.add_argument("--focal-length-y", type=float, default=FOCAL_LENGTH_PX, help="pixels (default: 470.4)")
    parser.add_argument("--input-size", type=int, default=None, help="default: the model's, 518")
    common.add_engine_options(parser)
    options = parser.parse_args(arguments)

    def action() -> int:
        files = OriginalCloud(options.focal_length_x, options.focal_length_y)
        return run_original(options, metric_checkpoint(options), files)

    return common.run_safely(action, "metric_depth/depth_to_pointcloud.py")
