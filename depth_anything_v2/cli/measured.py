"""Where `depth-anything align` takes measured distances from."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from depth_anything_v2.errors import OptionError

if TYPE_CHECKING:
    from depth_anything_v2.alignment import Samples
    from depth_anything_v2.io.colmap import ColmapView


@dataclass(frozen=True)
class Measured:
    """Where the distances come from: exactly one source."""

    points: Path | None
    depth: Path | None
    depth_scale: float | None
    colmap: Path | None
    image: str | None
    metres_per_unit: float | None
    distances: tuple[str, ...]

    def __post_init__(self) -> None:
        given = [self.points, self.depth, self.colmap, self.distances or None]
        if sum(source is not None for source in given) != 1:
            raise OptionError("distances come from one source: give --points, --depth, --colmap or --distance")
        if self.depth_scale is not None and self.depth is None:
            raise OptionError("--depth-scale is about --depth: give both")
        if self.colmap is None and not (self.image is None and self.metres_per_unit is None):
            raise OptionError("--image and --scale are about --colmap: give it, too")
        if self.metres_per_unit is not None and not 0 < self.metres_per_unit < math.inf:
            raise OptionError(f"--scale is a positive number of metres, not {self.metres_per_unit:g}")

    def load(self, name: str, *, stem_suffices: bool) -> Samples | ColmapView:
        """Return points, a depth map, or what the picture `name` (unless --image says otherwise) sees in the model."""
        if self.points is not None:
            from depth_anything_v2.io.points import read_points

            return read_points(self.points)
        if self.depth is not None:
            from depth_anything_v2.io.depth_files import read_depth

            try:
                return read_depth(self.depth, kind="metric", scale=self.depth_scale)
            except OptionError as error:
                if self.depth_scale is not None:
                    raise
                raise OptionError(f"--depth takes a map in metres, '{self.depth}' holds relative depth") from error
        if self.colmap is not None:
            from depth_anything_v2.io.colmap import read_colmap

            return read_colmap(self.colmap, self.image or name, stem_suffices=stem_suffices and self.image is None)
        return [_parse_distance(text) for text in self.distances]


def _parse_distance(text: str) -> tuple[float, float, float]:
    try:
        x, y, metres = (float(value) for value in text.split(","))
    except ValueError as error:
        raise OptionError(f"--distance is X,Y,METRES, such as 412,300,1.35, not '{text}'") from error
    return x, y, metres
