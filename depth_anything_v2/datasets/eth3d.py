"""ETH3D, high-resolution multi-view (Schöps et al. 2017): laser-scan depth as bare float32."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from depth_anything_v2.datasets.arrays import read_bytes
from depth_anything_v2.datasets.reader import FolderDataset
from depth_anything_v2.datasets.sample import DepthMap, Frame, above
from depth_anything_v2.errors import InputError


class Eth3d(FolderDataset):
    """SCENE/images/dslr_images/NAME.JPG and SCENE/ground_truth_depth/dslr_images/NAME.JPG.

    The depth files are little-endian float32, row by row, without a header (and are no JPEG files): their size
    is `depth_size` (height, width). Infinite = no measurement. The two archives of a scene may be unpacked into
    one folder or into SCENE_dslr_jpg and SCENE_dslr_depth. These pictures are distorted (the published model is
    a fisheye), so no pinhole camera is given.
    """

    name = "eth3d"
    layout = ("*/ground_truth_depth/dslr_images", "*/*/ground_truth_depth/dslr_images")

    def __init__(
        self,
        root: str | Path,
        *,
        file_list: str | Path | None = None,
        split: str = "",
        depth_size: tuple[int, int] = (4032, 6048),
        resize_image: bool = False,
    ) -> None:
        self.depth_size = depth_size
        super().__init__(root, file_list=file_list, split=split, resize_image=resize_image)

    def discover(self) -> Iterator[Frame]:
        for pattern in self.layout:
            for folder in self.root.glob(pattern):
                scene = folder.parents[1].name
                pictures = self._pictures(folder.parents[1])
                for depth in folder.iterdir():
                    if depth.is_file():
                        yield Frame(pictures / depth.name, depth, scene=scene, name=f"{scene}/{depth.stem}")

    def _pictures(self, scene: Path) -> Path:
        twin = scene.parent.with_name(scene.parent.name.replace("_dslr_depth", "_dslr_jpg")) / scene.name
        found = (base / "images" / "dslr_images" for base in (scene, twin))
        return next((folder for folder in found if folder.is_dir()), scene / "images" / "dslr_images")

    def frame_of(self, image: Path, depth: Path, split: str) -> Frame:
        scene = above(image, 3).name
        return Frame(image, depth, scene=scene, name=f"{scene}/{image.stem}", split=split)

    def read_depth(self, frame: Frame) -> DepthMap:
        data = read_bytes(frame.depth)
        height, width = self.depth_size
        if len(data) != 4 * height * width:
            raise InputError(
                f"cannot read '{frame.depth}': it has {len(data):,} bytes, {width} x {height} float32 have "
                f"{4 * height * width:,}: give its size (depth_size)"
            )
        depth = np.frombuffer(data, "<f4").reshape(height, width).astype(np.float32)
        return DepthMap(depth, np.isfinite(depth) & (depth > 0))
