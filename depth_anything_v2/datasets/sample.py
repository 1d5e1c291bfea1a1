"""What every reader of a depth dataset yields, whatever its files look like."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from depth_anything_v2.camera import SAME_ASPECT, Camera
from depth_anything_v2.config import Geometry, Kind
from depth_anything_v2.errors import InputError

Image = npt.NDArray[np.uint8]
Mask = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Frame:
    """Where one sample is stored.

    image, depth, mask: files. scene: what must not be on both sides of a split, '' when nobody says. split:
    'train', 'val', ... or ''. index: the place inside a file that holds many pictures (NYUv2), otherwise 0.
    """

    image: Path
    depth: Path
    mask: Path | None = None
    scene: str = ""
    name: str = ""
    split: str = ""
    index: int = 0


@dataclass(frozen=True, eq=False)
class DepthMap:
    """The depth of one frame as its file holds it, but in metres (or as inverse depth) and with a mask.

    depth: (H, W) float32. valid: (H, W) bool. geometry: of the file. sky: (H, W) bool, where the file says
    'infinitely far'. camera: that of a picture of the size of the depth map.
    """

    depth: Values
    valid: Mask
    kind: Kind = "metric"
    geometry: Geometry = "planar"
    camera: Camera | None = None
    sky: Mask | None = None


@dataclass(frozen=True, eq=False)
class Sample:
    """One picture with its depth.

    image: (H, W, 3) uint8 RGB. depth: (H, W) float32, metres for kind 'metric', inverse depth (larger = nearer)
    for 'relative'; finite everywhere, 0 where not valid. valid: (H, W) bool. geometry: of `depth`, 'planar' for
    all readers that know the camera; stored_geometry: what the file holds. camera: intrinsics at this size.
    sky: (H, W) bool, known to be infinitely far (never valid in metres); None where the dataset does not say.
    scene, name, split: see `Frame`. Raises InputError when sizes differ.
    """

    image: Image
    depth: Values
    valid: Mask
    kind: Kind = "metric"
    geometry: Geometry = "planar"
    stored_geometry: Geometry = "planar"
    camera: Camera | None = None
    sky: Mask | None = None
    scene: str = ""
    name: str = ""
    split: str = ""

    def __post_init__(self) -> None:
        size = self.depth.shape
        if self.image.ndim != 3 or self.image.shape[2] != 3 or self.image.dtype != np.uint8:
            raise InputError(f"the picture of a sample is (H, W, 3) uint8, not {self.image.dtype} {self.image.shape}")
        for what, shape in (("picture", self.image.shape[:2]), ("mask", self.valid.shape)):
            if shape != size:
                raise InputError(size_mismatch(self.name, what, shape, size))
        if self.camera is not None and (self.camera.height, self.camera.width) != size:
            raise InputError(size_mismatch(self.name, "camera", (self.camera.height, self.camera.width), size))


def make_sample(frame: Frame, image: Image, stored: DepthMap, *, resize_image: bool = False) -> Sample:
    """Return the sample of a picture and a depth map: ray distance becomes planar depth, invalid pixels 0.

    Raises InputError when the sizes differ, or when ray distance has no camera to convert it with.
    """
    size = (stored.depth.shape[0], stored.depth.shape[1])
    if image.shape[:2] != size:
        if not (resize_image and same_shape(image.shape, size)):
            raise InputError(size_mismatch(frame.name, "picture", image.shape, size))
        image = resized(image, size)
    depth, valid = stored.depth, stored.valid & np.isfinite(stored.depth)
    if stored.kind == "metric":
        valid &= depth > 0
        if stored.geometry == "ray":
            if stored.camera is None:
                raise InputError(
                    f"'{frame.name}' holds distances along the ray, and without intrinsics they cannot become depth: "
                    "give them"
                )
            depth = stored.camera.ray_to_planar(depth)
    return Sample(
        image,
        np.where(valid, depth, np.float32(0)),
        valid,
        stored.kind,
        "planar",
        stored.geometry,
        stored.camera,
        stored.sky,
        frame.scene,
        frame.name,
        frame.split,
    )


def above(path: Path, levels: int) -> Path:
    """Return the folder `levels` above a file (1: its own); what a short path lacks is '.', whose name is ''."""
    for _ in range(levels):
        path = path.parent
    return path


def same_shape(one: Sequence[int], other: Sequence[int]) -> bool:
    """Say whether two sizes (height, width, ...) have the same aspect within 1 %."""
    return bool(abs(np.log(one[0] * other[1] / (one[1] * other[0]))) <= SAME_ASPECT)


def resized(image: Image, size: tuple[int, int]) -> Image:
    """Return the picture at (height, width), averaged where it gets smaller."""
    import cv2

    smaller = size[0] < image.shape[0]
    return np.asarray(
        cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA if smaller else cv2.INTER_CUBIC), dtype=np.uint8
    )


def size_mismatch(name: str, what: str, shape: Sequence[int], size: Sequence[int]) -> str:
    """Return the sentence for a part of a sample that has another size than its depth map."""
    hint = ""
    if what == "picture" and same_shape(shape, size):
        hint = "; they have the same shape: the picture can be resized (resize_image)"
    return f"the {what} of '{name}' is {shape[1]} x {shape[0]} pixels, its depth map {size[1]} x {size[0]}{hint}"


def known_camera(depth_shape: Sequence[int], camera: Camera) -> Camera | None:
    """Return a dataset's own camera at the size of a depth map, None for a map of another shape."""
    height, width = depth_shape[:2]
    return camera.fitted(width, height) if same_shape((height, width), (camera.height, camera.width)) else None
