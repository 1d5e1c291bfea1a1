"""Virtual KITTI 2 (Cabon et al. 2020): rendered streets, depth in centimetres in 16-bit PNG."""

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

CAMERA = Camera(1242, 375, 725.0087, 725.0087, 620.5, 187.0, source="dataset")
METRES_PER_COUNT = 0.01
SKY_M = 655.34  # 65535 is the far end of the range, where the sky is


class VirtualKitti2(FolderDataset):
    """SceneXX/VARIATION/frames/{rgb,depth}/Camera_N/{rgb_NNNNN.jpg,depth_NNNNN.png}, in one tree or one per archive.

    The variations (clone, fog, 15-deg-left, ...) show the same world, so the scene is 'SceneXX'. The camera is
    that of `intrinsic.txt` beside `frames` where it is there, otherwise the dataset's usual one.
    """

    name = "vkitti2"
    layout = ("Scene*/*/frames/depth/Camera_*", "*/Scene*/*/frames/depth/Camera_*")

    def discover(self) -> Iterator[Frame]:
        for pattern in self.layout:
            for folder in self.root.glob(pattern):
                tail = Path(*folder.parts[-5:-2], "rgb", folder.name)
                for depth in folder.glob("depth_*.png"):
                    picture = tail / depth.name.replace("depth_", "rgb_").replace(".png", ".jpg")
                    yield self.frame_of(self._picture(folder.parents[4], picture), depth, "")

    def _picture(self, base: Path, picture: Path) -> Path:
        """Return the picture in the tree of the depth map, or in that of the archive of pictures."""
        if (base / picture).is_file() or base == self.root:
            return base / picture
        archive = base.with_name(base.name.replace("depth", "rgb"))
        return archive / picture

    def frame_of(self, image: Path, depth: Path, split: str) -> Frame:
        scene, variation, camera = above(depth, 5).name, above(depth, 4).name, depth.parent.name
        number = depth.stem.removeprefix("depth_")
        return Frame(image, depth, scene=scene, name=f"{scene}/{variation}/{camera}/{number}", split=split)

    def read_depth(self, frame: Frame) -> DepthMap:
        stored = read_depth(frame.depth, kind="metric", scale=METRES_PER_COUNT)
        sky = stored.depth > SKY_M
        camera = known_camera(stored.depth.shape, self._camera(frame))
        return DepthMap(stored.depth, stored.valid & ~sky, camera=camera, sky=sky)

    def _camera(self, frame: Frame) -> Camera:
        folder = above(frame.depth, 4)
        for base in (folder, *(tree / Path(*folder.parts[-2:]) for tree in self.root.glob("*textgt*"))):
            path = base / "intrinsic.txt"
            if path.is_file():
                which = frame.depth.parent.name.removeprefix("Camera_")
                return _intrinsics(path).get(
                    (frame.depth.stem.removeprefix("depth_").lstrip("0") or "0", which), CAMERA
                )
        return CAMERA


@lru_cache(maxsize=64)
def _intrinsics(path: Path) -> dict[tuple[str, str], Camera]:
    """Return (frame, camera) -> intrinsics of a file 'frame cameraID K[0,0] K[1,1] K[0,2] K[1,2]' with a heading."""
    cameras = {}
    for number, line in enumerate(read_text(path).splitlines()[1:], start=2):
        try:
            frame, which, *values = line.split()
            fx, fy, cx, cy = map(float, values)
        except ValueError as error:
            raise InputError(f"'{path}', line {number}: six numbers are expected, not '{line}'") from error
        cameras[frame, which] = Camera(CAMERA.width, CAMERA.height, fx, fy, cx, cy, source="file")
    return cameras
