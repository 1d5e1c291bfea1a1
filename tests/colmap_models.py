"""COLMAP models written from the documented formats, text and binary."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

MODELS = {
    "SIMPLE_PINHOLE": 0,
    "PINHOLE": 1,
    "SIMPLE_RADIAL": 2,
    "RADIAL": 3,
    "OPENCV": 4,
    "OPENCV_FISHEYE": 5,
}
NO_POINT = 2**64 - 1


@dataclass
class View:
    """A picture: world-to-camera quaternion (w, x, y, z) and translation, and rows of x, y, id of a point or None."""

    name: str
    quaternion: Sequence[float]
    translation: Sequence[float]
    observations: list[tuple[float, float, int | None]] = field(default_factory=list)


@dataclass
class Model:
    """One camera, several pictures, points by their ids."""

    camera: str
    width: int
    height: int
    parameters: Sequence[float]
    views: list[View]
    points: dict[int, tuple[float, float, float]]

    def write_text(self, folder: Path) -> Path:
        folder.mkdir(parents=True)
        numbers = " ".join(map(repr, self.parameters))
        (folder / "cameras.txt").write_text(
            f"# Camera list with one line of data per camera:\n7 {self.camera} {self.width} {self.height} {numbers}\n"
        )
        lines = ["# Image list with two lines of data per image:", "#   IMAGE_ID, QW, QX, QY, QZ, TX, TY, TZ, ..."]
        for key, view in enumerate(self.views, 1):
            pose = " ".join(map(repr, (*view.quaternion, *view.translation)))
            lines.append(f"{key} {pose} 7 {view.name}")
            lines.append(" ".join(f"{x!r} {y!r} {-1 if i is None else i}" for x, y, i in view.observations))
        (folder / "images.txt").write_text("\n".join(lines) + "\n")
        points = [f"{key} {x!r} {y!r} {z!r} 10 20 30 0.5 1 0 2 3" for key, (x, y, z) in self.points.items()]
        (folder / "points3D.txt").write_text("# 3D point list\n" + "\n".join(points) + "\n")
        return folder

    def write_binary(self, folder: Path) -> Path:
        folder.mkdir(parents=True)
        head = struct.pack("<QiiQQ", 1, 7, MODELS[self.camera], self.width, self.height)
        (folder / "cameras.bin").write_bytes(head + struct.pack(f"<{len(self.parameters)}d", *self.parameters))
        images = struct.pack("<Q", len(self.views))
        for key, view in enumerate(self.views, 1):
            images += struct.pack("<i7di", key, *view.quaternion, *view.translation, 7)
            images += view.name.encode() + b"\0" + struct.pack("<Q", len(view.observations))
            for x, y, i in view.observations:
                images += struct.pack("<ddQ", x, y, NO_POINT if i is None else i)
        (folder / "images.bin").write_bytes(images)
        points = struct.pack("<Q", len(self.points))
        for key, xyz in self.points.items():
            points += struct.pack("<Q3d3BdQ", key, *xyz, 10, 20, 30, 0.5, 2) + struct.pack("<4i", 1, 0, 2, 3)
        (folder / "points3D.bin").write_bytes(points)
        return folder


def of_depth(depth_m: np.ndarray, focal_px: float, name: str, *, unit_m: float = 1.0, count: int = 60) -> Model:
    """The model of a planar depth map, in units of `unit_m`, seen in a picture twice as large, from a turned camera."""
    height, width = depth_m.shape
    rng = np.random.default_rng(0)
    ys, xs = np.nonzero(np.isfinite(depth_m))
    chosen = rng.choice(ys.size, count, replace=False)
    x, y = xs[chosen].astype(np.float64), ys[chosen].astype(np.float64)
    z = depth_m[ys[chosen], xs[chosen]].astype(np.float64) / unit_m
    in_camera = np.stack([(x - (width - 1) / 2) / focal_px * z, (y - (height - 1) / 2) / focal_px * z, z], axis=1)
    # A third of a turn about (1, 1, 1): world x, y, z are camera y, z, x.
    quaternion, translation = (0.5, 0.5, 0.5, 0.5), (0.3, -0.2, 0.7)
    turned = np.array([[0, 0, 1], [1, 0, 0], [0, 1, 0]], np.float64)
    world = (in_camera - translation) @ turned
    points = {100 + k: tuple(map(float, row)) for k, row in enumerate(world)}
    # The corner of the top-left pixel is COLMAP's origin.
    seen: list[tuple[float, float, int | None]] = [
        (float(2 * (a + 0.5)), float(2 * (b + 0.5)), 100 + k) for k, (a, b) in enumerate(zip(x, y, strict=True))
    ]
    views = [
        View("other/door.jpg", (1, 0, 0, 0), (0, 0, 0)),
        View(name, quaternion, translation, [*seen, (3, 4, None)]),
    ]
    size, focal = (2 * width, 2 * height), 2 * focal_px
    return Model("SIMPLE_RADIAL", *size, (focal, size[0] / 2, size[1] / 2, 0.01), views, points)  # type: ignore[arg-type]
