"""One picture of a video: its data, its time, its orientation and its colours."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from depth_anything_v2.errors import MissingExtraError

RGB = npt.NDArray[np.uint8]

_FULL_RANGE, _LIMITED_RANGE = 2, 1
# AVColorSpace of a frame -> the matrix libswscale knows it by (ITU-T H.273, table 4).
_MATRICES = {1: 1, 4: 4, 5: 5, 6: 5, 7: 7, 9: 9, 10: 9}
_BT709, _BT601 = 1, 5


def import_av() -> Any:
    """Return the module `av`; raises MissingExtraError when it is not installed."""
    try:
        import av
    except ImportError as error:
        raise MissingExtraError("av", "video", "video") from error
    return av


@dataclass(frozen=True, eq=False)
class Frame:
    """One picture of a video.

    rgb: (H, W, 3) uint8, upright. pts: presentation time in units of time_base seconds, as the file
    states it (the first frame need not be at 0). duration: in the same units, None where not known.
    """

    rgb: RGB
    pts: int
    time_base: Fraction
    duration: int | None = None

    @property
    def time_s(self) -> float:
        """Presentation time in seconds."""
        return float(self.pts * self.time_base)


@dataclass(frozen=True)
class Orientation:
    """One of the eight ways to turn a picture by quarters and mirror it."""

    transpose: bool = False
    flip_x: bool = False
    flip_y: bool = False

    @classmethod
    def of(cls, picture: Any) -> Orientation:
        """Return what the metadata of a PyAV frame say; upright without any."""
        side = picture.side_data.get("DISPLAYMATRIX")
        return cls() if side is None else cls.from_display_matrix(np.frombuffer(bytes(side), np.int32))

    @classmethod
    def from_display_matrix(cls, matrix: npt.NDArray[np.int32]) -> Orientation:
        """Return the orientation nearest to a display matrix (nine integers, ISO/IEC 14496-12, 8.3.2).

        Points map as x' = a x + c y, y' = b x + d y with the matrix [a b u; c d v; x y w].
        """
        a, b, _, c, d = (int(value) for value in matrix[:5])
        if abs(a) + abs(d) >= abs(b) + abs(c):
            return cls(False, a < 0, d < 0)
        return cls(True, c < 0, b < 0)

    def apply(self, rgb: RGB) -> RGB:
        """Return the turned picture, contiguous."""
        if self.transpose:
            rgb = rgb.transpose(1, 0, 2)
        return np.ascontiguousarray(rgb[:: -1 if self.flip_y else 1, :: -1 if self.flip_x else 1])


def to_rgb(picture: Any, size: tuple[int, int]) -> RGB:
    """Return a PyAV frame as (H, W, 3) uint8 in `size` (width, height), with the colours it is tagged with."""
    options: dict[str, Any] = {}
    name = picture.format.name
    if name.startswith(("yuv", "nv", "p0")):
        # Untagged video follows the custom of players: BT.709 from 720 lines up, BT.601 below.
        untagged = _BT709 if picture.height >= 720 else _BT601
        full = picture.color_range == _FULL_RANGE or name.startswith("yuvj")
        options["src_colorspace"] = _MATRICES.get(int(picture.colorspace), untagged)
        options["dst_colorspace"] = _BT601  # RGB has none, but older PyAV ignores a source that equals it
        options["src_color_range"] = _FULL_RANGE if full else _LIMITED_RANGE
    rgb: RGB = picture.to_ndarray(format="rgb24", width=size[0], height=size[1], **options)
    return rgb
