"""A picture of a point cloud, drawn without a display: points as small squares, nearest in front."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from depth_anything_v2.errors import OptionError
from depth_anything_v2.point_cloud import PointCloud

BACKGROUND = (24, 26, 30)
_MAX_POINTS = 1_500_000  # more would not be seen
_SPLATS = (2, 5)  # pixels, smallest and largest


@dataclass(frozen=True)
class PreviewOptions:
    """width, height: of the picture in pixels. yaw_deg, pitch_deg: by how much the view moves round the middle of
    the cloud, to the right and upwards, from where the camera stood; so one sees that it is not the photograph.

    Raises OptionError for a size below 16 pixels or angles of 90 degrees and more.
    """

    width: int = 960
    height: int = 720
    yaw_deg: float = 22.0
    pitch_deg: float = 12.0

    def __post_init__(self) -> None:
        if min(self.width, self.height) < 16:
            raise OptionError(f"a preview has at least 16 x 16 pixels, not {self.width} x {self.height}")
        if max(abs(self.yaw_deg), abs(self.pitch_deg)) >= 90:
            raise OptionError("the view of a preview turns by less than 90 degrees")


def render_preview(cloud: PointCloud, options: PreviewOptions | None = None) -> npt.NDArray[np.uint8]:
    """Return an (height, width, 3) uint8 RGB picture of a cloud, all but a hundredth of it within the frame.

    Colours are those of the points, else grey by how much their normals face the view, else plain.
    """
    options = options or PreviewOptions()
    cloud = cloud.in_frame("opencv")
    if len(cloud) > _MAX_POINTS:
        chosen = np.linspace(0, len(cloud) - 1, _MAX_POINTS).astype(np.int64)
        points, shades = cloud.points[chosen], _shades(cloud)[chosen]
    else:
        points, shades = cloud.points, _shades(cloud)
    picture = np.empty((options.height, options.width, 3), np.uint8)
    picture[:] = BACKGROUND
    if not len(points):
        return picture
    seen = _moved(points, options)
    front = seen[:, 2] > 0
    seen, shades = seen[front], shades[front]
    x, y, z = seen.T
    across, down = x / z, y / z
    focal, middle_x, middle_y = _framing(across, down, options)
    columns, rows = focal * (across - middle_x) + options.width / 2, focal * (down - middle_y) + options.height / 2
    # A square as wide as the distance between neighbours closes the gaps of a view from the front.
    spacing = math.sqrt(options.width * options.height / max(1, len(z)))
    size = int(np.clip(math.ceil(spacing * 1.3), *_SPLATS))
    _splat(picture, columns.astype(np.int32), rows.astype(np.int32), z, shades, size)
    return picture


def _shades(cloud: PointCloud) -> npt.NDArray[np.uint8]:
    if cloud.colors is not None:
        return cloud.colors
    level = np.full(len(cloud), 0.75)
    if cloud.normals is not None:
        level = 0.25 + 0.75 * np.abs(cloud.normals @ np.array([0.3, -0.5, -0.81], np.float32))
    return np.repeat((255 * np.clip(level, 0, 1)).astype(np.uint8)[:, None], 3, axis=1)


def _moved(points: npt.NDArray[np.float32], options: PreviewOptions) -> npt.NDArray[np.float32]:
    """Return the points as seen from the moved view: turned about a point in the middle distance of the cloud."""
    pivot = np.median(points[:: max(1, len(points) // 50_000)], axis=0)
    yaw, pitch = math.radians(options.yaw_deg), math.radians(options.pitch_deg)
    about_y = np.array([[math.cos(yaw), 0, math.sin(yaw)], [0, 1, 0], [-math.sin(yaw), 0, math.cos(yaw)]])
    about_x = np.array([[1, 0, 0], [0, math.cos(pitch), -math.sin(pitch)], [0, math.sin(pitch), math.cos(pitch)]])
    turn = (about_x @ about_y).astype(np.float32)
    return np.asarray((points - pivot) @ turn.T + pivot, dtype=np.float32)


def _framing(
    across: npt.NDArray[np.float32], down: npt.NDArray[np.float32], options: PreviewOptions
) -> tuple[float, float, float]:
    """Return focal length in pixels and the direction in the middle of the picture."""
    (left, right), (top, bottom) = (np.percentile(values, (0.5, 99.5)) for values in (across, down))
    focal = 0.92 * min(options.width / max(right - left, 1e-6), options.height / max(bottom - top, 1e-6))
    return float(focal), float(left + right) / 2, float(top + bottom) / 2


def _splat(
    picture: npt.NDArray[np.uint8],
    columns: npt.NDArray[np.int32],
    rows: npt.NDArray[np.int32],
    z: npt.NDArray[np.float32],
    shades: npt.NDArray[np.uint8],
    size: int,
) -> None:
    """Draw squares of `size` pixels; of those at one place the nearest stays."""
    height, width = picture.shape[:2]
    far_to_near = np.argsort(-z, kind="stable")
    columns, rows, z, shades = columns[far_to_near], rows[far_to_near], z[far_to_near], shades[far_to_near]
    nearest = np.full(height * width, np.inf, np.float32)
    flat = picture.reshape(-1, 3)
    for dy in range(size):
        for dx in range(size):
            c, r = columns + dx - size // 2, rows + dy - size // 2
            inside = np.flatnonzero((c >= 0) & (c < width) & (r >= 0) & (r < height))
            winner = np.full(height * width, -1, np.int64)
            winner[r[inside] * width + c[inside]] = inside  # of equal indices the last, the nearest, stays
            there = np.flatnonzero(winner >= 0)
            there = there[z[winner[there]] < nearest[there]]
            nearest[there] = z[winner[there]]
            flat[there] = shades[winner[there]]
