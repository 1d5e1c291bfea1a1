"""DIODE (Vasiljevic et al. 2019): laser-scanned rooms and outdoor places, depth and mask in NumPy files."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from depth_anything_v2.camera import Camera
from depth_anything_v2.datasets.arrays import read_array
from depth_anything_v2.datasets.reader import FolderDataset
from depth_anything_v2.datasets.sample import DepthMap, Frame, above, known_camera
from depth_anything_v2.errors import InputError

CAMERA = Camera(1024, 768, 886.81, 927.06, 512.0, 384.0, source="dataset")  # intrinsics.txt of the devkit


class Diode(FolderDataset):
    """{train,val}/{indoors,outdoor}/scene_*/scan_*/NAME.png, NAME_depth.npy (H, W, 1) metres, NAME_depth_mask.npy.

    The root may be the folder above `val` or `val` itself. subset: 'indoors' or 'outdoor' alone.
    """

    name = "diode"
    layout = (
        "*/*/scene_*/scan_*/*_depth.npy",
        "*/scene_*/scan_*/*_depth.npy",
    )

    def __init__(
        self,
        root: str | Path,
        *,
        file_list: str | Path | None = None,
        split: str = "",
        subset: str = "",
        resize_image: bool = False,
    ) -> None:
        self.subset = subset
        super().__init__(root, file_list=file_list, split=split, resize_image=resize_image)

    def discover(self) -> Iterator[Frame]:
        for pattern in self.layout:
            for depth in self.root.glob(pattern):
                kind, split = above(depth, 3).name, above(depth, 4).name
                if self.subset in ("", kind):
                    yield self.frame_of(depth.with_name(depth.name.replace("_depth.npy", ".png")), depth, split)

    def frame_of(self, image: Path, depth: Path, split: str) -> Frame:
        mask = depth.with_name(depth.name.replace("_depth.npy", "_depth_mask.npy"))
        return Frame(image, depth, mask, scene=above(image, 2).name, name=image.stem, split=split)

    def read_depth(self, frame: Frame) -> DepthMap:
        depth = read_array(frame.depth).astype(np.float32)
        mask = read_array(frame.mask) if frame.mask is not None else np.ones(depth.shape[:2])
        if depth.ndim == 3 and depth.shape[2] == 1:
            depth = depth[:, :, 0]
        if depth.ndim != 2 or mask.shape != depth.shape:
            raise InputError(f"cannot read '{frame.depth}': depth {depth.shape} and mask {mask.shape} do not match")
        return DepthMap(depth, (mask > 0) & (depth > 0), camera=known_camera(depth.shape, CAMERA))
