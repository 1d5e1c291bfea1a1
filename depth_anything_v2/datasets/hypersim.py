"""Hypersim (Roberts et al., ICCV 2021): rendered rooms, depth as distance along the ray in HDF5."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from depth_anything_v2.camera import Camera
from depth_anything_v2.datasets.hdf5 import read_hdf5
from depth_anything_v2.datasets.lists import read_text
from depth_anything_v2.datasets.reader import FolderDataset
from depth_anything_v2.datasets.sample import DepthMap, Frame, above
from depth_anything_v2.errors import InputError

# The pinhole that the original's metric recipe converts with, for all scenes.
CAMERA = Camera.from_pixels(1024, 768, 886.81, source="dataset")
SPLIT_FILE = "metadata_images_split_scene_v1.csv"


class Hypersim(FolderDataset):
    """SCENE/images/scene_cam_NN_{final_preview/frame.NNNN.tonemap.jpg,geometry_hdf5/frame.NNNN.depth_meters.hdf5}.

    The dataset's own table of splits in the root (`metadata_images_split_scene_v1.csv`) names the splits and
    leaves out the frames it excludes; without it the split of every frame is ''. Not a number = invalid.
    """

    name = "hypersim"
    layout = ("*/images/scene_cam_*_geometry_hdf5", "*/*/images/scene_cam_*_geometry_hdf5")

    def discover(self) -> Iterator[Frame]:
        table = self._official_splits()
        for pattern in self.layout:
            for folder in self.root.glob(pattern):
                pictures = folder.with_name(folder.name.replace("_geometry_hdf5", "_final_preview"))
                for depth in folder.glob("frame.*.depth_meters.hdf5"):
                    number = depth.name.split(".")[1]
                    image = pictures / f"frame.{number}.tonemap.jpg"
                    frame = self.frame_of(image, depth, "")
                    if table is None:
                        yield frame
                    elif split := table.get(frame.name):
                        yield self.frame_of(image, depth, split)

    def frame_of(self, image: Path, depth: Path, split: str) -> Frame:
        scene, camera = above(depth, 3).name, depth.parent.name.removeprefix("scene_").removesuffix("_geometry_hdf5")
        number = depth.name.removeprefix("frame.").removesuffix(".depth_meters.hdf5")
        return Frame(image, depth, scene=scene, name=f"{scene}/{camera}/{number}", split=split)

    def read_depth(self, frame: Frame) -> DepthMap:
        distance = read_hdf5(frame.depth, "dataset").astype(np.float32)
        if distance.ndim != 2:
            raise InputError(f"cannot read '{frame.depth}': {distance.ndim} axes instead of two (height, width)")
        camera = CAMERA.fitted(distance.shape[1], distance.shape[0])
        return DepthMap(distance, np.isfinite(distance), geometry="ray", camera=camera)

    def _official_splits(self) -> dict[str, str] | None:
        """Return frame name -> split of the frames that are part of the release, None without the table."""
        path = self.root / SPLIT_FILE
        if not path.is_file():
            return None
        splits = {}
        try:
            for row in csv.DictReader(io.StringIO(read_text(path))):
                if row["included_in_public_release"].strip().lower() == "true":
                    name = f"{row['scene_name']}/{row['camera_name']}/{int(row['frame_id']):04d}"
                    splits[name] = row["split_partition_name"].strip()
        except (KeyError, ValueError, AttributeError) as error:
            raise InputError(f"cannot read '{path}': it is not Hypersim's table of splits ({error!r})") from error
        return splits
