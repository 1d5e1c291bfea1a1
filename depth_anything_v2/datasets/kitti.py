"""KITTI (Geiger et al. 2013; Uhrig et al. 2017): streets, LiDAR depth in 16-bit PNG, 1/256 m a count."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from depth_anything_v2.camera import Camera
from depth_anything_v2.datasets.lists import read_text
from depth_anything_v2.datasets.reader import FolderDataset
from depth_anything_v2.datasets.sample import DepthMap, Frame, above, known_camera
from depth_anything_v2.errors import InputError
from depth_anything_v2.io.depth_files import read_depth

METRES_PER_COUNT = 1 / 256


class Kitti(FolderDataset):
    """{train,val}/DRIVE/proj_depth/groundtruth/image_0N/*.png, and DATE/DRIVE/image_0N/data/*.png of the raw data.

    Both below the root or one folder deeper (`data_depth_annotated`, `raw_data`). 0 = no measurement. The scene
    is the drive. The camera is P_rect of `calib_cam_to_cam.txt` in the folder of the date, where it is there.
    """

    name = "kitti"
    layout = ("*/*/proj_depth/groundtruth/image_0?", "*/*/*/proj_depth/groundtruth/image_0?")

    def discover(self) -> Iterator[Frame]:
        for pattern in self.layout:
            for folder in self.root.glob(pattern):
                drive = folder.parents[2]
                pictures = self._pictures(drive.name, folder.name)
                for depth in folder.glob("*.png"):
                    yield self.frame_of(pictures / depth.name, depth, drive.parent.name)

    def _pictures(self, drive: str, camera: str) -> Path:
        tail = Path(drive[:10], drive, camera, "data")
        found = (base / tail for base in (self.root, *sorted(self.root.iterdir())) if (base / tail).is_dir())
        return next(found, self.root / tail)

    def frame_of(self, image: Path, depth: Path, split: str) -> Frame:
        scene, camera = above(depth, 4).name, depth.parent.name
        return Frame(image, depth, scene=scene, name=f"{scene}/{camera}/{depth.stem}", split=split)

    def read_depth(self, frame: Frame) -> DepthMap:
        stored = read_depth(frame.depth, kind="metric", scale=METRES_PER_COUNT)
        path = above(frame.image, 4) / "calib_cam_to_cam.txt"
        camera = None
        if path.is_file():
            camera = known_camera(stored.depth.shape, _rectified(path, above(frame.image, 2).name[-2:]))
        return DepthMap(stored.depth, stored.valid, camera=camera)


@lru_cache(maxsize=64)
def _rectified(path: Path, number: str) -> Camera:
    """Return the camera of the rectified pictures of camera 'number' ('02'). Raises InputError."""
    entries = dict(line.split(":", 1) for line in read_text(path).splitlines() if ":" in line)
    try:
        width, height = (round(float(value)) for value in entries[f"S_rect_{number}"].split())
        p = [float(value) for value in entries[f"P_rect_{number}"].split()]
        return Camera(width, height, p[0], p[5], p[2], p[6], source="file")
    except (KeyError, ValueError, IndexError) as error:
        raise InputError(f"cannot read '{path}': it has no S_rect_{number} and P_rect_{number} of numbers") from error
