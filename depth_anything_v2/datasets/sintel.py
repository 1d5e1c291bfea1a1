"""MPI Sintel (Butler et al. 2012): an animated film with its depth, in .dpt files."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt

from depth_anything_v2.camera import Camera
from depth_anything_v2.datasets.arrays import read_bytes
from depth_anything_v2.datasets.reader import FolderDataset
from depth_anything_v2.datasets.sample import DepthMap, Frame, above, known_camera
from depth_anything_v2.errors import InputError

TAG = 202021.25  # the first float32 of .dpt and .cam files


class Sintel(FolderDataset):
    """training/{final,clean}/SCENE/frame_NNNN.png, training/depth/SCENE/frame_NNNN.dpt, training/camdata_left.

    The root holds `training` or is that folder. render_pass: 'final' (with blur and haze) or 'clean'. Every pixel
    has depth, the sky a very large one. The unit is that of the film's makers, taken for metres.
    """

    name = "sintel"
    layout = ("training/depth/*/frame_*.dpt", "depth/*/frame_*.dpt")

    def __init__(
        self,
        root: str | Path,
        *,
        file_list: str | Path | None = None,
        split: str = "",
        render_pass: str = "final",
        resize_image: bool = False,
    ) -> None:
        self.render_pass = render_pass
        super().__init__(root, file_list=file_list, split=split, resize_image=resize_image)

    def discover(self) -> Iterator[Frame]:
        for pattern in self.layout:
            for depth in self.root.glob(pattern):
                image = above(depth, 3) / self.render_pass / depth.parent.name / f"{depth.stem}.png"
                yield self.frame_of(image, depth, "")

    def frame_of(self, image: Path, depth: Path, split: str) -> Frame:
        scene = depth.parent.name
        return Frame(image, depth, scene=scene, name=f"{scene}/{depth.stem}", split=split)

    def read_depth(self, frame: Frame) -> DepthMap:
        depth = read_dpt(frame.depth)
        cam = above(frame.depth, 3) / "camdata_left" / frame.depth.parent.name / f"{frame.depth.stem}.cam"
        camera = None
        if cam.is_file():
            k = _read_cam(cam)
            full = Camera(1024, 436, k[0, 0], k[1, 1], k[0, 2], k[1, 2], source="file")
            camera = known_camera(depth.shape, full)
        return DepthMap(depth, np.isfinite(depth) & (depth > 0), camera=camera)


def read_dpt(path: Path) -> npt.NDArray[np.float32]:
    """Return the (H, W) float32 of a .dpt file: tag, int32 width, int32 height, numbers. Raises InputError."""
    data = _tagged(path, 12)
    width, height = struct.unpack_from("<ii", data, 4)
    if width < 1 or height < 1 or len(data) != 12 + 4 * width * height:
        raise InputError(f"cannot read '{path}': it says {width} x {height}, and has {len(data):,} bytes")
    return np.frombuffer(data, "<f4", offset=12).reshape(height, width).astype(np.float32)


def _read_cam(path: Path) -> npt.NDArray[np.float64]:
    """Return K (3, 3) of a .cam file: tag, K and the extrinsics (3, 4), both float64."""
    return np.frombuffer(_tagged(path, 4 + 8 * 21), "<f8", 9, offset=4).reshape(3, 3)


def _tagged(path: Path, least: int) -> bytes:
    data = read_bytes(path)
    if len(data) < least or struct.unpack_from("<f", data)[0] != TAG:
        raise InputError(f"cannot read '{path}': it does not begin with Sintel's tag ({TAG}), or is too short")
    return data
